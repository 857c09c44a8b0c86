//! What happened, what is kept apart, and how much there is.

use std::collections::{BTreeSet, HashSet};

use super::holdings::CopyInfo;
use super::ports::{Change, IndexCounts, KnownObject, Usage};
use super::{Requester, counted};
use crate::app::App;
use crate::app::access::{Action, Caller, authorise};
use crate::app::error::Error;
use crate::app::request::{PageRequest, Problems};

/// Lists of objects kept apart are told apart from others by this.
const SEAL: &str = "apart";
/// Changes of a page at most.
pub const CHANGES_MAX: u32 = 1_000;
/// Changes of a page when the caller does not say.
const CHANGES_DEFAULT: u32 = 200;

/// Studies that a feed remembers; beyond, they are entered again.
const REMEMBERED_MAX: usize = 10_000;

/// Changes after a number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangePage {
    /// Oldest first.
    pub changes: Vec<Change>,
    /// Number to go on from.
    pub last: u64,
    /// Whether there are more now.
    pub more: bool,
}

/// How much is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchiveInfo {
    /// Counts.
    pub counts: IndexCounts,
    /// Room.
    pub usage: Usage,
    /// Copies of other nodes.
    pub copies: CopyInfo,
    /// Version of the tables that examinations are told by.
    pub examination_version: String,
}

/// A change feed that somebody follows. Each study is in the audit trail before the first change of it
/// is told.
#[derive(Debug)]
pub struct Feed {
    requester: Requester,
    last: u64,
    entered: HashSet<String>,
}

impl Feed {
    /// The last change that was told, or that it began after.
    pub fn last(&self) -> u64 {
        self.last
    }

    /// It goes on for `caller`, who was looked at again.
    pub fn follow_as(&mut self, caller: &Caller) -> Result<(), Error> {
        authorise(caller, Action::FindImages)?;
        self.requester = Requester::of(caller.clone());
        Ok(())
    }
}

impl App {
    /// What happened after change `after`; at most `size`, 0 for the default.
    pub async fn imaging_changes(
        &self,
        caller: &Caller,
        after: u64,
        size: u32,
    ) -> Result<ChangePage, Error> {
        authorise(caller, Action::FindImages)?;
        let requester = Requester::of(caller.clone());
        let page = self.changes(&requester, after, size).await?;
        let studies = page.changes.iter().map(|c| c.uids.study.as_str()).collect();
        let detail = counted(page.changes.len(), "changes");
        self.images()?.imaging.enter_told(&requester, &studies, detail).await?;
        Ok(page)
    }

    /// Begins to follow what happens after change `after`.
    pub async fn follow_changes(&self, caller: &Caller, after: u64) -> Result<Feed, Error> {
        authorise(caller, Action::FindImages)?;
        let requester = Requester::of(caller.clone());
        self.changes(&requester, after, 1).await?;
        let detail = "change feed".to_owned();
        self.images()?.imaging.enter_told(&requester, &BTreeSet::new(), detail).await?;
        Ok(Feed { requester, last: after, entered: HashSet::new() })
    }

    /// Whether something happened since.
    pub async fn has_changes(&self, feed: &Feed) -> Result<bool, Error> {
        Ok(self.changes(&feed.requester, feed.last, 1).await?.last > feed.last)
    }

    /// What happened since.
    pub async fn next_changes(&self, feed: &mut Feed) -> Result<ChangePage, Error> {
        let page = self.changes(&feed.requester, feed.last, CHANGES_MAX).await?;
        let studies = page.changes.iter().map(|c| c.uids.study.as_str());
        let new: BTreeSet<&str> = studies.filter(|study| !feed.entered.contains(*study)).collect();
        if !new.is_empty() {
            let detail = counted(new.len(), "change feed: studies");
            self.images()?.imaging.enter_told(&feed.requester, &new, detail).await?;
            if feed.entered.len() >= REMEMBERED_MAX {
                feed.entered.clear();
            }
            feed.entered.extend(new.into_iter().map(str::to_owned));
        }
        feed.last = page.last;
        Ok(page)
    }

    async fn changes(
        &self,
        requester: &Requester,
        after: u64,
        size: u32,
    ) -> Result<ChangePage, Error> {
        let images = self.images()?;
        let mut problems = Problems::default();
        problems.unless(size <= CHANGES_MAX, "page_size", "must be from 0 to 1000");
        problems.unless(i64::try_from(after).is_ok(), "after_number", "must be below 2^63");
        problems.finish()?;
        let size = u64::from(if size == 0 { CHANGES_DEFAULT } else { size });
        let mut changes = images.imaging.changes(requester, after, size + 1).await?;
        let more = u64::try_from(changes.len()).unwrap_or(0) > size;
        changes.truncate(usize::try_from(size).unwrap_or(usize::MAX));
        let last = changes.last().map_or(after, |c| c.number);
        let studies = changes.iter().map(|c| c.uids.study.clone()).collect();
        let near = images.imaging.near_studies(requester, studies).await?;
        changes.retain(|c| near.contains(&c.uids.study));
        Ok(ChangePage { changes, last, more })
    }

    /// Objects kept apart, oldest first, and the token of the next page.
    pub async fn kept_apart(
        &self,
        caller: &Caller,
        page: &PageRequest,
    ) -> Result<(Vec<KnownObject>, String), Error> {
        authorise(caller, Action::FindImages)?;
        let images = self.images()?;
        let (size, skip) = page.open(SEAL)?;
        let (size, skip) = (u64::from(size), skip.and_then(|n| u64::try_from(n).ok()).unwrap_or(0));
        let requester = Requester::of(caller.clone());
        let mut objects = images.imaging.apart(&requester, skip, size + 1).await?;
        let more = u64::try_from(objects.len()).unwrap_or(0) > size;
        objects.truncate(usize::try_from(size).unwrap_or(usize::MAX));
        let studies = objects.iter().map(|object| object.uids.study.clone()).collect();
        let near = images.imaging.near_studies(&requester, studies).await?;
        objects.retain(|object| near.contains(&object.uids.study));
        let studies = objects.iter().map(|object| object.uids.study.as_str()).collect();
        let detail = counted(objects.len(), "objects");
        images.imaging.enter_told(&requester, &studies, detail).await?;
        let next = if more { format!("{SEAL}-{}", skip + size) } else { String::new() };
        Ok((objects, next))
    }

    /// How much is kept. Says nothing of any patient.
    pub async fn archive_info(&self, caller: &Caller) -> Result<ArchiveInfo, Error> {
        authorise(caller, Action::ReadNodeInfo)?;
        let images = self.images()?;
        Ok(ArchiveInfo {
            counts: images.imaging.counts().await?,
            usage: images.imaging.usage().await?,
            copies: images.imaging.copy_info().await?,
            examination_version: self.knowledge.load().examinations.version().to_owned(),
        })
    }
}
