//! Publishes a node's index of studies to the region and keeps it current.
//!
//! The region remembers how far it has come, as a change of the node's feed; the node remembers
//! nothing. Where that change is not in the feed any more (the index was made anew, another box took
//! the node's name, the hub was set back) the whole index is told again, and what the new telling
//! does not have is gone at its end.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::behind::{Behind, BehindStudy, Mark};
use super::ports::Region;
use super::{IndexState, PUBLISHED_MAX, Publication};
use crate::app::access::{Caller, Role};
use crate::app::error::Error;
use crate::app::imaging::Requester;
use crate::app::imaging::images::Images;
use crate::app::imaging::peers::{Service, Services};
use crate::app::imaging::ports::{Change, ChangeKind, Selection};
use crate::app::{App, chain};
use crate::sharing::imaging::published::{
    ContentHash, Held, PublishedReport, PublishedSeries, PublishedStudy,
};
use crate::sharing::imaging::query::{Level, Match, Query};

/// Between two looks at the feed.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// A study is told once nothing of it has come for so long,
const SETTLED_AFTER: Duration = Duration::from_secs(2);
/// or so long after its first change.
const TOLD_WITHIN: Duration = Duration::from_secs(20);
/// Between two times that the region is told that nothing is new.
const CURRENT_EVERY: Duration = Duration::from_secs(20);
/// A pause after a failure.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(5);
/// Changes looked at together.
const CHANGES_PAGE: u64 = 5_000;
/// Studies told together while the whole index is told.
const STUDIES_PAGE: u64 = 100;
/// How often the whole index is walked again because something was erased meanwhile.
const WALKS_MAX: usize = 3;
/// Series of one publication at most, about.
const SERIES_AT_ONCE: usize = 2_000;
/// Series told of one study: of more, the first.
const SERIES_MAX: usize = 2_000;
/// Objects of a study asked for at once.
const INSTANCES_PAGE: u64 = 10_000;

/// Publishes the studies of one node.
#[derive(Debug)]
pub struct Publisher {
    app: Arc<App>,
    region: Arc<dyn Region>,
    behind: Option<Arc<Behind>>,
    requester: Requester,
}

/// A place in the change feed, with what tells it from the same number in another feed; and in the
/// feed of what is behind the node, where something is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Cursor {
    number: u64,
    at_ms: i64,
    instance: String,
    behind: Option<Mark>,
}

impl Publisher {
    /// For the images of `app`, and what is behind the node.
    pub fn new(app: Arc<App>, region: Arc<dyn Region>, behind: Option<Arc<Behind>>) -> Self {
        let services: Services = [Service::Find, Service::Retrieve].into_iter().collect();
        let caller = Caller::system("region", Role::Node);
        Self { app, region, behind, requester: Requester { caller, services } }
    }

    /// Publishes for ever.
    pub async fn run(self) {
        loop {
            if let Err(error) = self.session().await {
                // A line that is down is no fault; it is told where it is dialled.
                tracing::debug!(error = chain(&error), "index is not published now");
            }
            sleep(PAUSE_AFTER_FAILURE).await;
        }
    }

    /// Publishes until something fails.
    async fn session(&self) -> Result<(), Error> {
        let state = self.region.attended().await?;
        let (generation, mut cursor) = self.resume(state).await?;
        let mut told = None;
        loop {
            let (changed, next) = self.settled(&cursor).await?;
            if !changed.is_empty() {
                self.tell(&generation, changed, &next).await?;
                cursor = next;
                told = None;
            }
            if told.is_none_or(|at: Instant| at.elapsed() >= CURRENT_EVERY) {
                self.region.current().await?;
                told = Some(Instant::now());
            }
            sleep(LOOK_EVERY).await;
        }
    }

    /// Where to go on: from what the region has, or from the end of a new telling of everything.
    async fn resume(&self, state: IndexState) -> Result<(String, Cursor), Error> {
        if state.complete
            && let Some(cursor) = Cursor::parse(&state.cursor)
            && self.is_there(&cursor).await?
        {
            return Ok((state.generation, cursor));
        }
        self.tell_all().await
    }

    /// Tells the whole index.
    async fn tell_all(&self) -> Result<(String, Cursor), Error> {
        let images = self.images()?;
        let generation = self.app.ids.new_id();
        let begun = self.end().await?;
        tracing::info!("whole index of studies is published");
        let mut studies = 0;
        for walk in 1.. {
            let from = self.end().await?;
            studies = 0;
            loop {
                let query = Query {
                    level: Level::Study,
                    conditions: Vec::new(),
                    combined_date_time: false,
                    offset: studies,
                    limit: STUDIES_PAGE,
                };
                let page = images.imaging().find(&self.requester, query).await?;
                let count = u64::try_from(page.len()).unwrap_or(u64::MAX);
                studies += count;
                let uids = page.iter().map(|found| found.header.study.uid.clone()).collect();
                let behind = self.behind(uids).await?;
                self.publish(&generation, self.merged(page, behind).await?).await?;
                if count < STUDIES_PAGE {
                    break;
                }
            }
            // What was erased on the way has moved the pages, and a study may have been passed over.
            if walk >= WALKS_MAX || !self.erased_since(&from).await? {
                break;
            }
        }
        studies += self.tell_behind(&generation).await?;
        let publication = Publication {
            generation: generation.clone(),
            cursor: begun.to_string(),
            complete: true,
            ..Publication::default()
        };
        self.region.publish(publication).await?;
        tracing::info!(studies, "whole index of studies is published");
        Ok((generation, begun))
    }

    /// Tells what is only behind the node. How many studies that are.
    async fn tell_behind(&self, generation: &str) -> Result<u64, Error> {
        let Some(behind) = &self.behind else { return Ok(0) };
        let mut told = 0;
        let mut after = String::new();
        loop {
            let uids = behind.store().list(&after, STUDIES_PAGE).await?;
            let Some(last) = uids.last() else { return Ok(told) };
            after.clone_from(last);
            let mut only = self.behind(uids.clone()).await?;
            for found in self.images()?.studies(&self.requester, uids).await? {
                only.remove(&found.header.study.uid);
            }
            told += u64::try_from(only.len()).unwrap_or(u64::MAX);
            let studies = only.into_values().map(|behind| behind.study).collect();
            self.publish(generation, studies).await?;
        }
    }

    /// Studies that have changed since `cursor` and have come to rest, with the place of the feed
    /// that they go up to.
    async fn settled(&self, cursor: &Cursor) -> Result<(BTreeSet<String>, Cursor), Error> {
        let mut changed = BTreeSet::new();
        let mut at = cursor.clone();
        let first = Instant::now();
        let mut last = first;
        loop {
            let page = self.changes(at.number, CHANGES_PAGE).await?;
            if let Some(end) = page.last() {
                at = Cursor { behind: at.behind, ..Cursor::of(end) };
                changed.extend(page.into_iter().map(|change| change.uids.study));
                last = Instant::now();
            }
            if let (Some(behind), Some(mark)) = (&self.behind, &mut at.behind) {
                let page = behind.store().changed(mark.number, CHANGES_PAGE).await?;
                if let Some((number, _)) = page.last() {
                    mark.number = *number;
                    last = Instant::now();
                }
                changed.extend(page.into_iter().map(|(_, study)| study));
            }
            let rests = last.elapsed() >= SETTLED_AFTER || first.elapsed() >= TOLD_WITHIN;
            if changed.is_empty() || rests {
                return Ok((changed, at));
            }
            sleep(LOOK_EVERY).await;
        }
    }

    /// Tells what these studies are now.
    async fn tell(
        &self,
        generation: &str,
        changed: BTreeSet<String>,
        cursor: &Cursor,
    ) -> Result<(), Error> {
        let uids: Vec<String> = changed.into_iter().collect();
        let mut groups = uids.chunks(PUBLISHED_MAX).peekable();
        while let Some(group) = groups.next() {
            let found = self.images()?.studies(&self.requester, group.to_vec()).await?;
            let behind = self.behind(group.to_vec()).await?;
            let studies = self.merged(found, behind).await?;
            let there: BTreeSet<&str> = studies.iter().map(|s| s.study.uid.as_str()).collect();
            let removed = group.iter().filter(|uid| !there.contains(uid.as_str())).cloned();
            let removed: Vec<String> = removed.collect();
            self.publish(generation, studies).await?;
            let publication = Publication {
                generation: generation.to_owned(),
                removed,
                studies: Vec::new(),
                // Only with the last of them has the index come to `cursor`.
                cursor: if groups.peek().is_none() { cursor.to_string() } else { String::new() },
                complete: false,
            };
            self.region.publish(publication).await?;
        }
        Ok(())
    }

    /// Publishes studies, so many at once that a message can take them.
    async fn publish(&self, generation: &str, studies: Vec<PublishedStudy>) -> Result<(), Error> {
        let (mut together, mut series) = (Vec::new(), 0);
        for study in studies {
            series += study.series.len();
            if series > SERIES_AT_ONCE && !together.is_empty() {
                self.send(generation, std::mem::take(&mut together)).await?;
                series = study.series.len();
            }
            together.push(study);
        }
        if together.is_empty() { Ok(()) } else { self.send(generation, together).await }
    }

    async fn send(&self, generation: &str, studies: Vec<PublishedStudy>) -> Result<(), Error> {
        let generation = generation.to_owned();
        let publication = Publication { generation, studies, ..Publication::default() };
        self.region.publish(publication).await
    }

    /// What is behind the node of these studies.
    async fn behind(&self, studies: Vec<String>) -> Result<HashMap<String, BehindStudy>, Error> {
        match &self.behind {
            Some(behind) => behind.among(studies).await,
            None => Ok(HashMap::new()),
        }
    }

    /// Studies as they are published: by what is behind the node where that is more than what the
    /// node holds.
    async fn merged(
        &self,
        found: Vec<Match>,
        mut behind: HashMap<String, BehindStudy>,
    ) -> Result<Vec<PublishedStudy>, Error> {
        let here = found.into_iter().filter(|study| {
            let more = behind.get(&study.header.study.uid);
            more.is_none_or(|behind| behind.study.instances <= study.instances)
        });
        let mut studies = self.describe(here.collect()).await?;
        for study in &mut studies {
            // What was brought from the node's own PACS is the node's own for the region.
            if behind.remove(&study.study.uid).is_some() {
                study.held = Held::Own;
            }
        }
        studies.extend(behind.into_values().map(|behind| behind.study));
        Ok(studies)
    }

    /// Studies as they are published.
    async fn describe(&self, found: Vec<Match>) -> Result<Vec<PublishedStudy>, Error> {
        let images = self.images()?;
        let uids: Vec<String> = found.iter().map(|m| m.header.study.uid.clone()).collect();
        let mut headers = images.series_headers(&self.requester, &uids).await?;
        let mut reports = images.reports(&self.requester, &uids).await?;
        let apart = images.apart_by_study(&self.requester).await?;
        let copied = images.imaging().copied(&uids).await?;
        let copied: BTreeSet<String> =
            copied.into_iter().filter(|c| c.wholly).map(|c| c.copies.study).collect();
        let mut published = Vec::with_capacity(found.len());
        for study in found {
            let uid = study.header.study.uid.clone();
            let quality: BTreeMap<_, _> =
                images.quality(&self.requester, &uid).await?.into_iter().collect();
            let series = headers.remove(&uid).unwrap_or_default().into_iter();
            let series = series.take(SERIES_MAX).map(|header| {
                let quality = quality.get(&header.series.uid).cloned().unwrap_or_default();
                PublishedSeries { series: header.series, quality }
            });
            let report = reports.remove(&uid).unwrap_or_default();
            let series = series.collect();
            published.push(PublishedStudy {
                patient: study.header.patient,
                study: study.header.study,
                modalities: study.modalities,
                series,
                report: PublishedReport {
                    state: report.state,
                    title: report.title,
                    instance: report.instance,
                },
                instances: study.instances,
                bytes: study.bytes,
                kept_apart: apart.get(&uid).copied().unwrap_or(0),
                content: self.content(images, &uid).await?,
                held: if copied.contains(&uid) { Held::Copy } else { Held::Own },
                character_set_guessed: study.header.character_set_guessed,
            });
        }
        Ok(published)
    }

    /// The content of a study: see [`PublishedStudy::content`].
    async fn content(&self, images: &Images, study: &str) -> Result<String, Error> {
        let selection = Selection { studies: vec![study.to_owned()], ..Selection::default() };
        let mut objects = Vec::new();
        loop {
            let offset = u64::try_from(objects.len()).unwrap_or(u64::MAX);
            let imaging = images.imaging();
            let page = imaging
                .instances(&self.requester, selection.clone(), offset, INSTANCES_PAGE)
                .await?;
            let count = u64::try_from(page.len()).unwrap_or(u64::MAX);
            objects.extend(page.into_iter().map(|i| (i.uids.instance, i.digest)));
            if count < INSTANCES_PAGE {
                break;
            }
        }
        objects.sort_unstable();
        let mut hash = ContentHash::default();
        for (instance, digest) in &objects {
            hash.add(instance, digest);
        }
        Ok(hash.finish())
    }

    async fn changes(&self, number: u64, limit: u64) -> Result<Vec<Change>, Error> {
        self.images()?.imaging().changes(&self.requester, number, limit).await
    }

    /// Whether the feeds still have the changes at which `cursor` stands.
    async fn is_there(&self, cursor: &Cursor) -> Result<bool, Error> {
        let epoch = |mark: &Option<Mark>| mark.as_ref().map(|mark| mark.epoch.clone());
        let end = self.mark().await?;
        let number = |mark: &Option<Mark>| mark.as_ref().map_or(0, |mark| mark.number);
        if epoch(&cursor.behind) != epoch(&end) || number(&cursor.behind) > number(&end) {
            return Ok(false);
        }
        // A node that has nothing of its own has told that.
        if cursor.number == 0 && cursor.behind.is_some() {
            return Ok(self.changes(0, 1).await?.is_empty());
        }
        let Some(before) = cursor.number.checked_sub(1) else { return Ok(false) };
        let changes = self.changes(before, 1).await?;
        Ok(changes
            .first()
            .is_some_and(|change| Cursor::of(change) == Cursor { behind: None, ..cursor.clone() }))
    }

    /// The end of the feed of what is behind the node.
    async fn mark(&self) -> Result<Option<Mark>, Error> {
        match &self.behind {
            Some(behind) => behind.store().mark().await.map(Some),
            None => Ok(None),
        }
    }

    /// The end of the feeds.
    async fn end(&self) -> Result<Cursor, Error> {
        let behind = self.mark().await?;
        let mut cursor = Cursor::default();
        loop {
            let page = self.changes(cursor.number, CHANGES_PAGE).await?;
            let Some(last) = page.last() else { return Ok(Cursor { behind, ..cursor }) };
            cursor = Cursor::of(last);
        }
    }

    async fn erased_since(&self, cursor: &Cursor) -> Result<bool, Error> {
        let mut number = cursor.number;
        loop {
            let page = self.changes(number, CHANGES_PAGE).await?;
            let Some(last) = page.last() else { return Ok(false) };
            number = last.number;
            if page.iter().any(|change| change.kind == ChangeKind::Erased) {
                return Ok(true);
            }
        }
    }

    fn images(&self) -> Result<&Images, Error> {
        self.app.images()
    }
}

impl Cursor {
    fn of(change: &Change) -> Self {
        let Change { number, at_ms, uids, .. } = change;
        let instance = uids.instance.clone();
        Self { number: *number, at_ms: *at_ms, instance, behind: None }
    }

    /// `number:at_ms:instance`, and with something behind the node `:epoch:number`.
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(':');
        let (number, at_ms) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        let instance = parts.next()?.to_owned();
        let behind = match (parts.next(), parts.next(), parts.next()) {
            (None, None, None) => None,
            (Some(epoch), Some(number), None) => {
                Some(Mark { epoch: epoch.to_owned(), number: number.parse().ok()? })
            }
            (_, _, _) => return None,
        };
        Some(Self { number, at_ms, instance, behind })
    }
}

impl std::fmt::Display for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}:{}", self.number, self.at_ms, self.instance)?;
        match &self.behind {
            Some(Mark { epoch, number }) => write!(f, ":{epoch}:{number}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Cursor, Mark};

    #[test]
    fn a_cursor_reads_back_what_it_prints() {
        let cursor = Cursor { number: 7, at_ms: -1, instance: "1.2.3".to_owned(), behind: None };
        assert_eq!(Cursor::parse(&cursor.to_string()), Some(cursor.clone()));
        let behind = Some(Mark { epoch: "ab12".to_owned(), number: 9 });
        let cursor = Cursor { behind, ..cursor };
        assert_eq!(Cursor::parse(&cursor.to_string()), Some(cursor));
        for text in ["", "7", "7:1", "x:1:1.2", "7:x:1.2", "7:1:1.2:e", "7:1:1.2:e:x"] {
            assert_eq!(Cursor::parse(text), None, "{text}");
        }
    }
}
