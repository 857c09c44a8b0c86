//! What happened, what is kept apart, and how much there is.

use super::Requester;
use super::holdings::CopyInfo;
use super::ports::{Change, IndexCounts, KnownObject, Usage};
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

impl App {
    /// What happened after change `after`; at most `size`, 0 for the default.
    pub async fn imaging_changes(
        &self,
        caller: &Caller,
        after: u64,
        size: u32,
    ) -> Result<ChangePage, Error> {
        authorise(caller, Action::FindImages)?;
        let images = self.images()?;
        let mut problems = Problems::default();
        problems.unless(size <= CHANGES_MAX, "page_size", "must be from 0 to 1000");
        problems.unless(i64::try_from(after).is_ok(), "after_number", "must be below 2^63");
        problems.finish()?;
        let size = u64::from(if size == 0 { CHANGES_DEFAULT } else { size });
        let requester = Requester::of(caller.clone());
        let mut changes = images.imaging.changes(&requester, after, size + 1).await?;
        let more = u64::try_from(changes.len()).unwrap_or(0) > size;
        changes.truncate(usize::try_from(size).unwrap_or(usize::MAX));
        let last = changes.last().map_or(after, |c| c.number);
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
