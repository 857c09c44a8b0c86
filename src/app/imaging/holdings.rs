//! Which of the objects kept are copies: fetched from another node, which has them still.
//!
//! What is not noted is the node's own. An object is noted after the archive has it and before its
//! arrival is acknowledged; whatever a crash leaves between the two is noted when the index catches
//! up, by the source in the archive ([`NODE_SOURCE`]). An object that the node had already is no
//! copy, and a copy that one of the node's own senders sends as well becomes the node's own.

use std::collections::{BTreeSet, HashMap};
use std::fmt::Debug;
use std::sync::{Mutex, PoisonError};

use dicom_dictionary_std::tags;

use super::Imaging;
use super::custody::Evictions;
use super::ports::IndexEntry;
use super::study::any_of;
use crate::app::error::Error;
use crate::app::ports::BoxFuture;
use crate::sharing::imaging::object::Digest;
use crate::sharing::imaging::query::{Level, Query};

/// Prefix that the source of an object has when it was fetched from another node.
pub const NODE_SOURCE: &str = "node:";
/// Studies asked for at once at most.
pub const STUDIES_MAX: usize = 1_000;
/// Bytes of a node's name at most.
pub const NODE_BYTES_MAX: usize = 256;
/// Studies whose last use waits to be written at most.
const USES_MAX: usize = 65_536;

/// A copy that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldCopy {
    /// SHA-256 of its bytes.
    pub digest: Digest,
    /// Study instance UID.
    pub study: String,
    /// SOP instance UID.
    pub instance: String,
    /// Name of the node that it was fetched from.
    pub node: String,
    /// Its bytes.
    pub bytes: u64,
    /// Whether it is kept apart.
    pub apart: bool,
    /// When it was kept, in milliseconds since 1970.
    pub kept_ms: i64,
}

/// The copies of a study.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StudyCopies {
    /// Study instance UID.
    pub study: String,
    /// Names of the nodes that they were fetched from, sorted.
    pub nodes: BTreeSet<String>,
    /// How many there are.
    pub objects: u64,
    /// How many of them are kept apart.
    pub apart: u64,
    /// Their bytes.
    pub bytes: u64,
    /// When the study was last used, about, in milliseconds since 1970.
    pub used_ms: i64,
}

/// A study of which there are copies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopiedStudy {
    /// Its copies.
    pub copies: StudyCopies,
    /// Whether every instance of the study is a copy: nothing of it is the node's own.
    pub wholly: bool,
}

/// All copies together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CopyTotals {
    /// Studies of which there are some.
    pub studies: u64,
    /// Copies.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// What there is and was of copies.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CopyInfo {
    /// What there is.
    pub totals: CopyTotals,
    /// Bytes at most.
    pub bytes_max: u64,
    /// What gave room over all time.
    pub evictions: Evictions,
}

/// Keeps which objects are copies. What it says is kept, is on the disk.
pub trait Holdings: Debug + Send + Sync {
    /// Notes copies. One that was noted before changes nothing, and neither does one that has become
    /// the node's own.
    fn note(&self, copies: Vec<HeldCopy>) -> BoxFuture<'_, Result<(), Error>>;

    /// The node's own senders sent these: those that are copies become the node's own. Answers how
    /// many did.
    fn own(&self, digests: Vec<Digest>) -> BoxFuture<'_, Result<u64, Error>>;

    /// The copies of these studies, at most [`STUDIES_MAX`]; a study without any is left out.
    fn copies_of(&self, studies: Vec<String>) -> BoxFuture<'_, Result<Vec<StudyCopies>, Error>>;

    /// Notes when studies were last used; those without copies are passed over.
    fn used(&self, uses: Vec<(String, i64)>) -> BoxFuture<'_, Result<(), Error>>;

    /// All copies together.
    fn totals(&self) -> BoxFuture<'_, Result<CopyTotals, Error>>;
}

/// Which studies were used since the last writing.
#[derive(Debug, Default)]
pub(super) struct Uses(Mutex<HashMap<String, i64>>);

impl Uses {
    /// Remembers a use. Coarse: of too many at once some are not remembered.
    pub(super) fn remember(&self, study: &str, at_ms: i64) {
        let mut uses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = uses.get_mut(study) {
            *last = at_ms.max(*last);
        } else if uses.len() < USES_MAX {
            uses.insert(study.to_owned(), at_ms);
        }
    }

    fn take(&self) -> Vec<(String, i64)> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
            .into_iter()
            .collect()
    }

    /// Writes what was remembered. Where that fails it is remembered on.
    pub(super) async fn write(&self, holdings: &dyn Holdings) -> Result<(), Error> {
        let uses = self.take();
        if uses.is_empty() {
            return Ok(());
        }
        let written = holdings.used(uses.clone()).await;
        if written.is_err() {
            for (study, at_ms) in uses {
                self.remember(&study, at_ms);
            }
        }
        written
    }
}

/// Those of `entries` that the archive says were fetched from other nodes.
pub(super) fn copies_among(entries: &[IndexEntry]) -> Vec<HeldCopy> {
    let copies = entries.iter().filter_map(|entry| {
        let node = entry.head.source.strip_prefix(NODE_SOURCE)?;
        Some(HeldCopy {
            digest: entry.digest,
            study: entry.head.uids.study.clone(),
            instance: entry.head.uids.instance.clone(),
            node: node.to_owned(),
            bytes: entry.location.length,
            apart: entry.apart,
            kept_ms: entry.head.received_ms,
        })
    });
    copies.collect()
}

impl Imaging {
    /// Which of these studies are copies, wholly or partly, and of which nodes; at most
    /// [`STUDIES_MAX`] studies. One of which the node holds nothing but its own objects is left out.
    pub async fn copied(&self, studies: &[String]) -> Result<Vec<CopiedStudy>, Error> {
        if studies.len() > STUDIES_MAX {
            return Err(Error::field("study_uids", format!("must be {STUDIES_MAX} at most")));
        }
        let copies = self.holdings.copies_of(studies.to_vec()).await?;
        if copies.is_empty() {
            return Ok(Vec::new());
        }
        let uids: Vec<String> = copies.iter().map(|c| c.study.clone()).collect();
        let limit = u64::try_from(uids.len()).unwrap_or(u64::MAX);
        let query = Query {
            level: Level::Study,
            conditions: vec![any_of(tags::STUDY_INSTANCE_UID, uids)],
            combined_date_time: false,
            offset: 0,
            limit,
        };
        let found = self.index.find(query).await?;
        let counts: HashMap<&str, u64> =
            found.iter().map(|m| (m.header.study.uid.as_str(), m.instances)).collect();
        let told = copies.into_iter().map(|copies| {
            let all = counts.get(copies.study.as_str()).copied().unwrap_or(0);
            CopiedStudy { wholly: copies.objects.saturating_sub(copies.apart) >= all, copies }
        });
        Ok(told.collect())
    }

    /// What there is and was of copies.
    pub async fn copy_info(&self) -> Result<CopyInfo, Error> {
        let (totals, evictions) = (self.holdings.totals().await?, self.custody.evictions().await?);
        Ok(CopyInfo { totals, bytes_max: self.room.limits.bytes_max, evictions })
    }

    /// Remembers that a study is used, for as long as it takes to be written.
    pub(super) fn remember_use(&self, study: &str) {
        let now_ms = self.clock.now_ms();
        self.uses.remember(study, now_ms);
        self.room.reading.study(study, now_ms);
    }
}
