//! Going along the trail as it grows, for alarms.

use std::collections::HashMap;
use std::sync::Arc;

use super::ports::AuditTrail;
use crate::app::error::Error;
use crate::sharing::audit::Entry;
use crate::sharing::audit::alarms::{Alarm, Limits, Subject, Watch};

/// Entries that are looked at at once.
const PAGE: u32 = 1_000;
/// Entries before the last one that was looked at, by which a fresh watcher learns who was read lately.
const REPLAY: u64 = 20_000;

/// Looks through a trail.
#[derive(Debug)]
pub struct Watcher {
    trail: Arc<dyn AuditTrail>,
    watch: Watch,
    /// The last entry that was looked at; none before the first look.
    last: Option<u64>,
}

impl Watcher {
    /// Over a trail, with these limits.
    pub fn new(trail: Arc<dyn AuditTrail>, limits: Limits) -> Self {
        Self { trail, watch: Watch::new(limits), last: None }
    }

    /// Looks at what came since, and keeps the alarms. What was raised now.
    pub async fn look(&mut self) -> Result<Vec<Alarm>, Error> {
        let told = self.trail.watched().await?;
        let mut at = self.last.unwrap_or_else(|| told.saturating_sub(REPLAY));
        let mut raised = Vec::new();
        loop {
            let page = self.trail.after(at, PAGE).await?;
            let Some(end) = page.last().map(|entry| entry.number) else { break };
            let subjects = self.subjects(&page).await?;
            let mut alarms = Vec::new();
            for entry in &page {
                let subject = subjects.get(&entry.record_id);
                // Entries up to there were looked at before this watcher began.
                alarms
                    .extend(self.watch.see(entry, subject).into_iter().filter(|a| a.entry > told));
            }
            if end > told {
                self.trail.keep_alarms(end, alarms.clone()).await?;
            }
            raised.extend(alarms);
            at = end;
            self.last = Some(at);
        }
        Ok(raised)
    }

    async fn subjects(&self, page: &[Entry]) -> Result<HashMap<String, Subject>, Error> {
        let mut records: Vec<String> =
            page.iter().map(|entry| entry.record_id.clone()).filter(|r| !r.is_empty()).collect();
        records.sort_unstable();
        records.dedup();
        Ok(self.trail.subjects(records).await?.into_iter().collect())
    }
}
