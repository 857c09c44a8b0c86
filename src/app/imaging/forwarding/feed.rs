//! Makes entries of the queue from what the index says has happened.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use dicom_dictionary_std::tags;
use tokio::time::sleep;

use super::ports::{Cursor, ForwardingStore, NewEntry};
use super::{Imaging, LOOK_EVERY, Plan};
use crate::app::chain;
use crate::app::error::Error;
use crate::app::imaging::ports::{Change, ChangeKind, KnownObject};
use crate::app::ports::Clock;
use crate::sharing::imaging::examination::Examinations;
use crate::sharing::imaging::forwarding::{Candidate, Rule, decide};
use crate::sharing::imaging::header::Header;
use crate::sharing::imaging::query::{Condition, Level, Matching, Query};

/// Changes looked at together.
const PAGE: u64 = 500;
/// Changes passed over at once on the way to the end.
const SKIP_PAGE: u64 = 10_000;
/// A pause after the index or the queue has failed.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(5);
/// When the index was made anew, objects received so long before the last one that was queued are
/// looked at again; older ones were queued for certain.
const LOOK_BACK_MS: i64 = 24 * 60 * 60 * 1000;
/// How long what was sent is remembered, so that an index made anew does not send it again.
const SENT_KEPT_MS: i64 = 30 * 24 * 60 * 60 * 1000;
/// Between two looks for what may be forgotten.
const PRUNE_EVERY_MS: i64 = 60 * 60 * 1000;

/// Reads the change feed.
pub(super) struct Feed {
    imaging: Arc<Imaging>,
    examinations: Arc<Examinations>,
    store: Arc<dyn ForwardingStore>,
    clock: Arc<dyn Clock>,
    rules: Vec<Rule>,
    cursor: Cursor,
    /// Changes that happened before are passed over, in milliseconds since 1970-01-01T00:00:00Z.
    not_before_ms: i64,
}

impl Feed {
    /// Finds the place to go on from. The first time that is the end of the feed: what was kept
    /// before anybody asked for forwarding stays where it is.
    pub(super) async fn start(
        plan: &Plan,
        imaging: &Arc<Imaging>,
        store: &Arc<dyn ForwardingStore>,
        clock: &Arc<dyn Clock>,
        examinations: Arc<Examinations>,
    ) -> Result<Self, Error> {
        let mut not_before_ms = i64::MIN;
        let cursor = match store.cursor().await? {
            Some(cursor) if stands_in_feed(imaging, &cursor).await? => cursor,
            Some(cursor) => {
                tracing::warn!(
                    "the index of studies was made anew; its changes are looked at again"
                );
                not_before_ms = cursor.at_ms.saturating_sub(LOOK_BACK_MS);
                Cursor { at_ms: cursor.at_ms, ..Cursor::default() }
            }
            None => {
                let end = end_of_feed(imaging).await?;
                store.add(Vec::new(), end.clone()).await?;
                end
            }
        };
        Ok(Self {
            imaging: Arc::clone(imaging),
            examinations,
            store: Arc::clone(store),
            clock: Arc::clone(clock),
            rules: plan.rules.clone(),
            cursor,
            not_before_ms,
        })
    }

    /// Makes entries for ever.
    pub(super) async fn run(mut self) {
        let mut pruned_ms = i64::MIN;
        loop {
            let now = self.clock.now_ms();
            if now.saturating_sub(pruned_ms) >= PRUNE_EVERY_MS {
                pruned_ms = now;
                if let Err(error) = self.store.prune(now.saturating_sub(SENT_KEPT_MS)).await {
                    tracing::warn!(error = chain(&error), "cannot forget what was sent long ago");
                }
            }
            match self.page().await {
                Ok(true) => {}
                Ok(false) => sleep(LOOK_EVERY).await,
                Err(error) => {
                    tracing::warn!(error = chain(&error), "cannot queue what is to be forwarded");
                    sleep(PAUSE_AFTER_FAILURE).await;
                }
            }
        }
    }

    /// Queues what the next page of changes brings. Tells whether there may be more.
    pub(super) async fn page(&mut self) -> Result<bool, Error> {
        let changes = self.imaging.index.changes(self.cursor.number, PAGE).await?;
        let Some(last) = changes.last() else { return Ok(false) };
        let next = Cursor {
            number: last.number,
            instance: last.uids.instance.clone(),
            at_ms: last.at_ms.max(self.cursor.at_ms),
        };
        let more = u64::try_from(changes.len()).unwrap_or(0) == PAGE;
        let entries = self.entries(&changes).await?;
        if !entries.is_empty() {
            tracing::debug!(entries = entries.len(), "queued");
        }
        self.store.add(entries, next.clone()).await?;
        self.cursor = next;
        Ok(more)
    }

    async fn entries(&self, changes: &[Change]) -> Result<Vec<NewEntry>, Error> {
        let new = |change: &&Change| {
            change.kind == ChangeKind::Stored && change.at_ms >= self.not_before_ms
        };
        let uids: Vec<String> =
            changes.iter().filter(new).map(|change| change.uids.instance.clone()).collect();
        if uids.is_empty() {
            return Ok(Vec::new());
        }
        let known = self.imaging.index.known(uids.clone()).await?;
        let query = Query {
            level: Level::Image,
            conditions: vec![Condition {
                tag: tags::SOP_INSTANCE_UID,
                matching: Matching::AnyOf(uids.clone()),
            }],
            combined_date_time: false,
            offset: 0,
            limit: PAGE,
        };
        let headers: HashMap<String, Header> = self
            .imaging
            .index
            .find(query)
            .await?
            .into_iter()
            .map(|found| (found.header.instance.uid.clone(), found.header))
            .collect();
        let now = self.clock.now_ms();
        let mut entries = Vec::new();
        for (uid, known) in uids.iter().zip(&known) {
            // What was erased meanwhile is not there any more, and goes nowhere.
            let (Some(header), Some(object)) =
                (headers.get(uid), known.iter().find(|object| !object.apart))
            else {
                continue;
            };
            let Some(source) = self.source(object).await? else { continue };
            let of = Candidate { source: &source, header };
            for forward in decide(&self.rules, &self.examinations, &of) {
                entries.push(NewEntry {
                    destination: forward.destination.to_owned(),
                    rule: forward.rule.name.clone(),
                    digest: object.digest,
                    instance: uid.clone(),
                    study: object.uids.study.clone(),
                    patient_id: header.patient.id.clone(),
                    bytes: object.location.length,
                    queued_ms: now,
                    delay_ms: forward.rule.delay_ms,
                });
            }
        }
        Ok(entries)
    }

    async fn source(&self, object: &KnownObject) -> Result<Option<String>, Error> {
        let record = self.imaging.archive.object(object.location).await?;
        Ok(record.filter(|record| !record.erased).map(|record| record.head.source))
    }
}

/// Whether the feed still has the change at which `cursor` stands.
pub(in crate::app::imaging) async fn stands_in_feed(
    imaging: &Imaging,
    cursor: &Cursor,
) -> Result<bool, Error> {
    let Some(before) = cursor.number.checked_sub(1) else { return Ok(true) };
    let changes = imaging.index.changes(before, 1).await?;
    Ok(changes
        .first()
        .is_some_and(|c| c.number == cursor.number && c.uids.instance == cursor.instance))
}

/// The end of the feed.
pub(in crate::app::imaging) async fn end_of_feed(imaging: &Imaging) -> Result<Cursor, Error> {
    let mut cursor = Cursor::default();
    loop {
        let changes = imaging.index.changes(cursor.number, SKIP_PAGE).await?;
        let Some(last) = changes.last() else { return Ok(cursor) };
        cursor = Cursor {
            number: last.number,
            instance: last.uids.instance.clone(),
            at_ms: last.at_ms.max(cursor.at_ms),
        };
    }
}
