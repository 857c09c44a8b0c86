//! Callers who were refused at a door because of their credentials, for the audit trail. Nobody knows who
//! they are, and a flood of them must not fill the trail: the first is entered at once, and then what
//! came in each minute as one entry.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::app::access::{Action, Caller, Role, authorise};
use crate::app::error::Error;
use crate::app::ports::{AuditEntry, Clock, Journal};

/// Between two entries.
const PAUSE: Duration = Duration::from_mins(1);
/// Who it was, as the trail says it.
const NOBODY: &str = "unknown caller";

/// Why somebody was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    /// No credentials, or none of a kind that is taken.
    Missing,
    /// A token or session that is not known, or has ended.
    Unknown,
    /// A token of an identity provider that is not good.
    Token,
    /// A good token without a role here.
    Role,
    /// Nobody has credentials, and another host than this box was asked for.
    Host,
}

/// What was refused and is not entered yet.
#[derive(Debug, Default)]
pub struct Refusals {
    counts: Mutex<BTreeMap<Why, u64>>,
    came: Notify,
}

impl Why {
    fn name(self) -> &'static str {
        match self {
            Self::Missing => "no credentials",
            Self::Unknown => "not known or ended",
            Self::Token => "a token that is not good",
            Self::Role => "no role here",
            Self::Host => "asked for another host",
        }
    }
}

impl Refusals {
    /// Counts one.
    pub fn note(&self, why: Why) {
        *self.counts.lock().unwrap_or_else(PoisonError::into_inner).entry(why).or_default() += 1;
        self.came.notify_one();
    }

    /// Writes entries until `stop`, and then what is left.
    pub async fn enter(&self, journal: &dyn Journal, clock: &dyn Clock, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = self.came.notified() => {}
                () = stop.cancelled() => {}
            }
            if let Err(error) = self.write(journal, clock).await {
                tracing::warn!(error = crate::app::chain(&error), "entering refused callers");
            }
            tokio::select! {
                () = tokio::time::sleep(PAUSE) => {}
                () = stop.cancelled() => {}
            }
            if stop.is_cancelled() {
                let left = self.write(journal, clock).await;
                if let Err(error) = left {
                    tracing::warn!(error = crate::app::chain(&error), "entering refused callers");
                }
                return;
            }
        }
    }

    /// Writes one entry for all that are counted; they stay counted where it fails.
    async fn write(&self, journal: &dyn Journal, clock: &dyn Clock) -> Result<(), Error> {
        let counts =
            std::mem::take(&mut *self.counts.lock().unwrap_or_else(PoisonError::into_inner));
        if counts.is_empty() {
            return Ok(());
        }
        let mut detail = String::new();
        for (why, count) in &counts {
            let comma = if detail.is_empty() { "" } else { ", " };
            let _ = write!(detail, "{comma}{}: {count}", why.name());
        }
        let caller = Caller::resumed(NOBODY, Role::Local, Action::OwnSession);
        let permit = authorise(&caller, Action::OwnSession)?;
        let entry = AuditEntry {
            at_ms: clock.now_ms(),
            record_id: String::new(),
            patient_reference: String::new(),
            outcome: "unauthenticated",
            detail,
        };
        let written = journal.audit(&permit, entry).await;
        if written.is_err() {
            let mut kept = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
            for (why, count) in counts {
                *kept.entry(why).or_default() += count;
            }
        }
        written
    }
}
