//! Objects of the archive of a node that does not run, for whoever gives them out de-identified.

use std::collections::BTreeSet;

use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;

use super::imaging::{open_archive, open_index};
use super::{DATABASE, NodeError, SystemClock, keys};
use crate::app::access::Caller;
use crate::app::deidentify::{Purpose, enter};
use crate::app::imaging::ports::{Archive, ArchivedObject, StudyIndex};
use crate::app::ports::{Clock as _, Journal};
use crate::config::Config;
use crate::sharing::imaging::part10::{Meta, write_meta};
use crate::store::sqlite::SqliteStore;

/// Objects asked for at a time.
const PAGE: usize = 64;

/// An object as a file, or why it cannot be read; no message holds a value.
pub type Read = Result<Vec<u8>, &'static str>;

/// What is wanted of an archive.
#[derive(Debug)]
pub struct Wanted {
    /// Study instance UIDs; none: all studies.
    pub studies: BTreeSet<String>,
    /// Bytes of an object at most.
    pub bytes_max: u64,
    /// What for.
    pub purpose: Purpose,
}

/// Where it is entered that a study is read.
struct Trail {
    journal: Box<dyn Journal>,
    index: std::sync::Arc<dyn StudyIndex>,
    purpose: Purpose,
    entered: BTreeSet<String>,
}

impl Trail {
    /// Enters a study before the first of its objects is read.
    async fn enter(&mut self, study: &str) -> Result<(), crate::app::error::Error> {
        if !self.entered.insert(study.to_owned()) {
            return Ok(());
        }
        let patient = self.index.patient_of(study).await?.unwrap_or_default();
        let caller = Caller::local("command line");
        let why = (self.purpose, SystemClock.now_ms());
        enter(self.journal.as_ref(), &caller, (study, &patient), why).await
    }
}

/// Reads every object of the archive that is not erased, of these studies or of all if none is
/// named, and sends them as files. Each study is entered in the node's trail before it is read. Ends
/// when nobody takes them any more.
///
/// # Errors
/// The archive, its index or the trail cannot be opened or used; another process has the archive.
pub async fn objects(
    config: &Config,
    wanted: &Wanted,
    to: mpsc::Sender<Read>,
) -> Result<(), NodeError> {
    let failed = |e: crate::app::error::Error| NodeError::Imaging(e.into());
    let (archive, _) = open_archive(config).await?;
    let tasks = TaskTracker::new();
    let store = SqliteStore::open(&keys::database(config, DATABASE)?, 1, &tasks).await?;
    let index = open_index(config, &tasks).await?;
    let mut trail = Trail {
        journal: Box::new(store),
        index,
        purpose: wanted.purpose,
        entered: BTreeSet::new(),
    };
    let (mut after, mut seen) = (None, BTreeSet::new());
    'pages: loop {
        let page = archive.objects_after(after, PAGE).await.map_err(failed)?;
        let Some(last) = page.last() else { break };
        after = Some(last.location);
        for object in page {
            let studies = &wanted.studies;
            let is_wanted = studies.is_empty() || studies.contains(&object.head.uids.study);
            // What is kept twice is one object.
            if object.erased || !is_wanted || !seen.insert(object.digest) {
                continue;
            }
            trail.enter(&object.head.uids.study).await.map_err(failed)?;
            if to.send(file(&archive, &object, wanted.bytes_max).await).await.is_err() {
                break 'pages;
            }
        }
    }
    drop(trail);
    tasks.close();
    tasks.wait().await;
    Ok(())
}

async fn file(archive: &dyn Archive, object: &ArchivedObject, bytes_max: u64) -> Read {
    let length = object.location.length;
    if length > bytes_max {
        return Err("larger than what is taken");
    }
    let meta = write_meta(Meta {
        sop_class: &object.head.sop_class,
        sop_instance: &object.head.uids.instance,
        transfer_syntax: &object.head.transfer_syntax,
        source_ae: None,
    });
    let mut file = meta.map_err(|_| "its UIDs are longer than UIDs may be")?;
    let bytes = archive.read(object.location, 0..length).await;
    file.extend_from_slice(&bytes.map_err(|_| "the archive cannot read it")?);
    Ok(file)
}
