//! Start and stop: signals, draining, and what systemd is told.

use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Waits for SIGTERM or SIGINT.
pub async fn terminated() -> std::io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

/// Asks everything to stop and waits until it has, at most for `grace`. Tells whether all of it
/// stopped in time.
pub async fn drain(stop: &CancellationToken, tasks: &TaskTracker, grace: Duration) -> bool {
    stop.cancel();
    tasks.close();
    tokio::time::timeout(grace, tasks.wait()).await.is_ok()
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
