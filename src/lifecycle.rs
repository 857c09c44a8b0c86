//! Start and stop: signals, draining, and what systemd is told.

use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// SIGTERM and SIGINT, caught from the moment this is made.
#[derive(Debug)]
pub struct Termination {
    terminate: Signal,
    interrupt: Signal,
}

impl Termination {
    /// Begins to catch the signals. Make it before anybody is told that the node serves.
    pub fn listen() -> std::io::Result<Self> {
        let terminate = signal(SignalKind::terminate())?;
        let interrupt = signal(SignalKind::interrupt())?;
        Ok(Self { terminate, interrupt })
    }

    /// Waits for either signal.
    pub async fn received(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Asks everything to stop and waits until it has, at most for `grace`. Tells whether all of it
/// stopped in time.
pub async fn drain(stop: &CancellationToken, tasks: &TaskTracker, grace: Duration) -> bool {
    stop.cancel();
    tasks.close();
    tokio::time::timeout(grace, tasks.wait()).await.is_ok()
}

/// Keeps what the process has in its memory to itself: no core file, also where one is piped to a
/// collector, and no other process of the same user may look in.
pub fn keep_memory_private() {
    use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};

    let none = Rlimit { current: Some(0), maximum: Some(0) };
    if let Err(error) = setrlimit(Resource::Core, none) {
        tracing::warn!(error = %error, "core files cannot be turned off");
    }
    if let Err(error) = set_dumpable_behavior(DumpableBehavior::NotDumpable) {
        tracing::warn!(error = %error, "the memory can be dumped");
    }
}

/// Lets the process have as many files and connections as the system lets it ask for: what it may have
/// from the start (1,024 mostly) is less than the nodes of a region.
pub fn raise_files_max() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    let now = getrlimit(Resource::Nofile);
    let most = Rlimit { current: now.maximum, maximum: now.maximum };
    if let Err(error) = setrlimit(Resource::Nofile, most) {
        tracing::warn!(%error, files_max = now.current, "the limit of open files stays");
    }
}

/// Tells systemd that the node serves (`Type=notify`); silent where there is no systemd.
pub fn tell_ready() {
    tell(&[sd_notify::NotifyState::Ready]);
}

/// Tells systemd that the node stops.
pub fn tell_stopping() {
    tell(&[sd_notify::NotifyState::Stopping]);
}

fn tell(states: &[sd_notify::NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(error = %error, "cannot notify systemd");
    }
}
