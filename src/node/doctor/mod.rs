//! What is wrong with a node, and what to do: `xiangyi doctor`. It reads the configuration that the node
//! reads, and looks at everything from beside, whether the node runs or not. Nothing of the node's is
//! opened for writing; no database, key or folder is made.
//!
//! Checks run beside each other, each within a time of its own. What a check has found counts also where
//! it then hangs or breaks, and the others go on.

mod clock;
mod configuration;
mod database;
mod dicom;
mod disk;
mod hub;
mod keys;
mod limits;
mod models;
mod postgres;
mod seen;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::Serialize;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use self::seen::Seen;
use super::security;
use crate::app::ports::BoxFuture;
use crate::config::{Config, ConfigError};

/// What is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Check {
    /// The configuration reads, and means one thing wherever the node is started.
    Config,
    /// The addresses of the doors are free, or the node's own.
    Doors,
    /// Keys, secrets and certificates are there, private, and good.
    Keys,
    /// The clock is right.
    Clock,
    /// There is room, and the disk takes what is written.
    Disk,
    /// Tables and models are what was signed, and run.
    Models,
    /// Databases open, are whole, and have a schema that this program knows.
    Database,
    /// `PostgreSQL`, where something lies on it.
    Postgres,
    /// The hub is reached, and knows this node.
    Hub,
    /// DICOM peers answer.
    Dicom,
    /// What the system lets the node have.
    Limits,
}

/// How something stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// As it should be.
    Ok,
    /// Nothing was looked at, or not to the end.
    NotChecked,
    /// It works, and will not for ever or not as it should.
    Warning,
    /// It does not work.
    Failed,
}

/// One line of what was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Line {
    /// By which check.
    pub check: Check,
    /// How it stands.
    pub standing: Standing,
    /// What it is about: a key of the configuration, a file, a peer.
    pub subject: String,
    /// What was found.
    pub found: String,
    /// What to do; empty where nothing is.
    pub advice: String,
}

/// What is to be examined, and how.
#[derive(Debug)]
pub struct Patient {
    /// Where the configuration was read; none: the defaults and the environment.
    pub file: Option<PathBuf>,
    /// The configuration, or why there is none.
    pub config: Result<Config, ConfigError>,
    /// How long each check may take; none: as long as each usually may.
    pub within: Option<Duration>,
}

impl Check {
    /// All of them, in the order in which they are told.
    pub const ALL: [Self; 11] = [
        Self::Config,
        Self::Doors,
        Self::Keys,
        Self::Clock,
        Self::Disk,
        Self::Models,
        Self::Database,
        Self::Postgres,
        Self::Hub,
        Self::Dicom,
        Self::Limits,
    ];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Config => "config",
            Self::Doors => "doors",
            Self::Keys => "keys",
            Self::Clock => "clock",
            Self::Disk => "disk",
            Self::Models => "models",
            Self::Database => "database",
            Self::Postgres => "postgres",
            Self::Hub => "hub",
            Self::Dicom => "dicom",
            Self::Limits => "limits",
        }
    }

    /// How long it may take.
    fn within(self) -> Duration {
        Duration::from_secs(match self {
            Self::Config | Self::Doors | Self::Limits => 10,
            Self::Keys | Self::Clock | Self::Disk | Self::Postgres => 30,
            Self::Hub => 40,
            Self::Models | Self::Dicom => 60,
            // Every page is read.
            Self::Database => 600,
        })
    }

    fn work(self, seen: Arc<Seen>, notes: Notes) -> BoxFuture<'static, ()> {
        match self {
            Self::Config => Box::pin(async move { configuration::config(&seen, &notes) }),
            Self::Doors => Box::pin(async move { configuration::doors(&seen, &notes).await }),
            Self::Keys => Box::pin(async move { keys::check(&seen, &notes).await }),
            Self::Clock => Box::pin(async move { clock::check(&seen, &notes).await }),
            Self::Disk => Box::pin(async move { disk::check(&seen, &notes).await }),
            Self::Models => Box::pin(async move { models::check(&seen, &notes).await }),
            Self::Database => Box::pin(async move { database::check(&seen, &notes).await }),
            Self::Postgres => Box::pin(async move { postgres::check(&seen, &notes).await }),
            Self::Hub => Box::pin(async move { hub::check(&seen, &notes).await }),
            Self::Dicom => Box::pin(async move { dicom::check(&seen, &notes).await }),
            Self::Limits => Box::pin(async move { limits::check(&seen, &notes).await }),
        }
    }
}

/// What a check writes down while it runs.
#[derive(Debug, Clone)]
struct Notes {
    check: Check,
    lines: Arc<Mutex<Vec<Line>>>,
}

impl Notes {
    fn of(check: Check) -> Self {
        Self { check, lines: Arc::default() }
    }

    fn write(&self, standing: Standing, subject: impl Into<String>, said: (String, String)) {
        let (found, advice) = said;
        let line = Line { check: self.check, standing, subject: subject.into(), found, advice };
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).push(line);
    }

    fn ok(&self, subject: impl Into<String>, found: impl Into<String>) {
        self.write(Standing::Ok, subject, (found.into(), String::new()));
    }

    fn warn(
        &self,
        subject: impl Into<String>,
        (found, advice): (impl Into<String>, impl Into<String>),
    ) {
        self.write(Standing::Warning, subject, (found.into(), advice.into()));
    }

    fn fail(
        &self,
        subject: impl Into<String>,
        (found, advice): (impl Into<String>, impl Into<String>),
    ) {
        self.write(Standing::Failed, subject, (found.into(), advice.into()));
    }

    fn skip(&self, subject: impl Into<String>, why: impl Into<String>) {
        self.write(Standing::NotChecked, subject, (why.into(), String::new()));
    }

    /// Lines of the security report; what is as it should be becomes one line.
    fn security(&self, subject: &str, findings: Vec<security::Finding>) {
        let mut fine = 0_usize;
        for finding in findings {
            let said = (finding.means, finding.remedy);
            match finding.standing {
                security::Standing::Ok => fine += 1,
                security::Standing::Weak => self.write(Standing::Warning, finding.subject, said),
                security::Standing::Bad => self.write(Standing::Failed, finding.subject, said),
            }
        }
        if fine > 0 {
            self.ok(subject, format!("{fine} as they should be"));
        }
    }

    fn taken(&self) -> Vec<Line> {
        std::mem::take(&mut *self.lines.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Why work on a thread of its own came to nothing.
#[derive(Debug)]
struct Broke;

/// Does `work` on a thread that nobody waits for at the end: a call into the system that hangs, as on a
/// disk that is gone, must not keep the program.
async fn apart<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Broke> {
    let (done, waits) = oneshot::channel();
    let thread = std::thread::Builder::new().name("doctor".to_owned());
    let spawned = thread.spawn(move || {
        // Who waited may have given up.
        let _ = done.send(work());
    });
    spawned.map_err(|_| Broke)?;
    waits.await.map_err(|_| Broke)
}

/// A check that was begun.
struct Begun {
    check: Check,
    notes: Notes,
    within: Duration,
    running: JoinHandle<Result<(), tokio::time::error::Elapsed>>,
}

fn begin(
    check: Check,
    within: Duration,
    work: impl FnOnce(Notes) -> BoxFuture<'static, ()>,
    tasks: &TaskTracker,
) -> Begun {
    let notes = Notes::of(check);
    let running = tasks.spawn(timeout(within, work(notes.clone())));
    Begun { check, notes, within, running }
}

/// Waits until a check has ended, in whichever way, and gives what it found.
async fn ended(begun: Begun) -> Vec<Line> {
    let Begun { check, notes, within, running } = begun;
    match running.await {
        Ok(Ok(())) => {}
        Ok(Err(_)) => {
            let why = format!("was not finished within {} s", within.as_secs());
            let advice = "look at what it stands at, or give it longer with --timeout".to_owned();
            notes.write(Standing::NotChecked, check.name(), (why, advice));
        }
        Err(_) => {
            let advice = "the fault is the program's: report what stands on standard error";
            notes.fail(check.name(), ("the check itself broke off", advice));
        }
    }
    let lines = notes.taken();
    if lines.is_empty() {
        notes.skip(check.name(), "there is nothing of the kind in the configuration");
        return notes.taken();
    }
    lines
}

/// Examines a node. `told` is called with the lines of each check, in the order of [`Check::ALL`], as soon
/// as it and those before it have ended.
pub async fn examine(
    patient: Patient,
    checks: &[Check],
    mut told: impl FnMut(Vec<Line>),
) -> Vec<Line> {
    let Patient { file, config, within } = patient;
    let tasks = TaskTracker::new();
    let of = |check: Check| within.unwrap_or_else(|| check.within());
    let mut all = Vec::new();
    let mut tell = |lines: Vec<Line>| {
        all.extend(lines.iter().cloned());
        told(lines);
    };
    match config {
        Err(error) => {
            let notes = Notes::of(Check::Config);
            configuration::refused(&notes, file.as_deref(), &error);
            tell(notes.taken());
            for check in checks.iter().filter(|check| **check != Check::Config) {
                let notes = Notes::of(*check);
                notes.skip(check.name(), "the configuration is not read");
                tell(notes.taken());
            }
        }
        Ok(config) => {
            let seen = Arc::new(Seen::new(config, file));
            let begun: Vec<Begun> = Check::ALL
                .into_iter()
                .filter(|check| checks.contains(check))
                .map(|check| {
                    let seen = Arc::clone(&seen);
                    begin(check, of(check), |notes| check.work(seen, notes), &tasks)
                })
                .collect();
            for one in begun {
                tell(ended(one).await);
            }
        }
    }
    all
}
