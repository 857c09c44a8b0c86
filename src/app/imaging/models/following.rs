//! Models that run by themselves: on what the change feed says was stored.
//!
//! Images are found in the feed, from a place that is kept on the disk, so storing never waits for
//! a model. One image at a time is looked at; what is asked for by people goes on beside it. After
//! a crash a page of the feed is looked at again, and what was said is not said again.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use dicom_dictionary_std::tags;
use tokio::time::sleep;

use super::analysing::Subject;
use super::{Analyses, AnalysisStore, ModelCard};
use crate::app::chain;
use crate::app::error::Error;
use crate::app::imaging::forwarding::{Cursor, end_of_feed, stands_in_feed};
use crate::app::imaging::ports::{Change, ChangeKind, Selection};
use crate::app::imaging::study::any_of;
use crate::sharing::imaging::header::Header;
use crate::sharing::imaging::query::{Level, Query};

/// Changes looked at together.
const PAGE: u64 = 100;
/// A pause between looks at a feed in which nothing is new.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// A pause after something that may go later has failed.
const PAUSE: Duration = Duration::from_secs(5);
/// How often one image is tried.
const TRIES_MAX: u32 = 5;

/// Reads the change feed.
pub(super) struct Follower {
    analyses: Arc<Analyses>,
    store: Arc<dyn AnalysisStore>,
    cursor: Cursor,
    /// Changes that happened before are passed over, in milliseconds since 1970-01-01T00:00:00Z.
    not_before_ms: i64,
}

impl Follower {
    /// Finds the place to go on from. The first time that is the end of the feed: what was kept
    /// before a model was installed waits until somebody asks.
    pub(super) async fn start(
        analyses: Arc<Analyses>,
        store: Arc<dyn AnalysisStore>,
    ) -> Result<Self, Error> {
        let mut not_before_ms = i64::MIN;
        let imaging = &analyses.imaging;
        let cursor = match store.cursor().await? {
            Some(cursor) if stands_in_feed(imaging, &cursor).await? => cursor,
            Some(cursor) => {
                // The index was made anew: its feed begins again.
                not_before_ms = cursor.at_ms;
                Cursor { at_ms: cursor.at_ms, ..Cursor::default() }
            }
            None => {
                let end = end_of_feed(imaging).await?;
                store.advance(end.clone()).await?;
                end
            }
        };
        Ok(Self { analyses, store, cursor, not_before_ms })
    }

    /// Follows for ever.
    pub(super) async fn run(mut self) {
        loop {
            match self.page().await {
                Ok(true) => {}
                Ok(false) => sleep(LOOK_EVERY).await,
                Err(error) => {
                    tracing::warn!(error = chain(&error), "models cannot follow what is stored");
                    sleep(PAUSE).await;
                }
            }
        }
    }

    /// Looks at the next page of changes. Tells whether there was one.
    pub(super) async fn page(&mut self) -> Result<bool, Error> {
        let imaging = Arc::clone(&self.analyses.imaging);
        let changes = imaging.index.changes(self.cursor.number, PAGE).await?;
        let Some(last) = changes.last() else { return Ok(false) };
        let next = Cursor {
            number: last.number,
            instance: last.uids.instance.clone(),
            at_ms: last.at_ms.max(self.cursor.at_ms),
        };
        for subject in self.subjects(&changes).await? {
            let cards: Vec<Arc<ModelCard>> = self
                .analyses
                .for_image(&subject.header)
                .filter(|card| card.automatic)
                .map(Arc::clone)
                .collect();
            for card in cards {
                self.analyse(&card, &subject).await;
            }
        }
        self.store.advance(next.clone()).await?;
        self.cursor = next;
        Ok(true)
    }

    /// Images among what was stored, with their headers. What was erased meanwhile is not there.
    async fn subjects(&self, changes: &[Change]) -> Result<Vec<Subject>, Error> {
        let new = |change: &&Change| {
            change.kind == ChangeKind::Stored && change.at_ms >= self.not_before_ms
        };
        let uids: Vec<String> =
            changes.iter().filter(new).map(|change| change.uids.instance.clone()).collect();
        if uids.is_empty() {
            return Ok(Vec::new());
        }
        let index = &self.analyses.imaging.index;
        let query = Query {
            level: Level::Image,
            conditions: vec![any_of(tags::SOP_INSTANCE_UID, uids.clone())],
            combined_date_time: false,
            offset: 0,
            limit: PAGE,
        };
        let found = index.find(query).await?.into_iter();
        let mut headers: HashMap<String, Header> =
            found.map(|one| (one.header.instance.uid.clone(), one.header)).collect();
        let selection = Selection { instances: uids, ..Selection::default() };
        let images = index.instances(selection, 0, PAGE).await?;
        let images = images.into_iter().filter(|image| image.frames > 0);
        let with_header = images.filter_map(|image| {
            let header = headers.remove(&image.uids.instance)?;
            Some(Subject { image, header })
        });
        Ok(with_header.collect())
    }

    /// Tries one model on one image until it has an answer, a few times.
    async fn analyse(&self, card: &ModelCard, subject: &Subject) {
        for _ in 0..TRIES_MAX {
            match self.analyses.analyse(&card.id, subject, None).await {
                Ok(analysed) => {
                    tracing::debug!(model = card.id, outcome = ?analysed.outcome.name(), "analysed");
                    return;
                }
                Err(error) if error.retryable() => {
                    tracing::debug!(model = card.id, error = chain(&error), "analysed later");
                    sleep(PAUSE).await;
                }
                Err(error) => {
                    tracing::warn!(model = card.id, error = chain(&error), "an image is left out");
                    return;
                }
            }
        }
        tracing::warn!(model = card.id, "an image is left out: the model does not answer");
    }
}
