//! Keeping complete objects, those that wait together: one look at what is known, one write and
//! sync of the archive, one addition to the index.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};

use super::catching_up::catch_up;
use super::ports::{Archive, IndexEntry, KnownObject, NewObject, StudyIndex};
use crate::app::error::Error;
use crate::sharing::imaging::header::Header;
use crate::sharing::imaging::object::{Digest, InstanceUids};

/// Objects kept together at most.
const BATCH_MAX: usize = 256;
/// Bytes kept together at most, beyond the first object.
const BATCH_BYTES_MAX: u64 = 32 * 1024 * 1024;

/// What became of an object that is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// It is new.
    New,
    /// These very bytes were kept before.
    Known,
    /// Another object with its SOP instance UID was kept before. Both are kept; this one apart.
    Apart,
}

/// An object that is on the disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// What became of it.
    pub kept: Kept,
    /// SHA-256 of its bytes.
    pub digest: Digest,
    /// Where it stands.
    pub uids: InstanceUids,
    /// SOP class UID.
    pub sop_class: String,
}

/// A complete object that waits.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) object: NewObject,
    pub(super) header: Header,
    pub(super) bytes: u64,
    pub(super) answer: oneshot::Sender<Result<Stored, Error>>,
    /// Gives its memory back when the object is done with.
    pub(super) memory: Vec<OwnedSemaphorePermit>,
}

/// The task that keeps.
#[derive(Debug)]
pub struct Keeper {
    archive: Arc<dyn Archive>,
    index: Arc<dyn StudyIndex>,
    waiting: mpsc::Receiver<Job>,
    /// The index lacks something that the archive holds.
    behind: bool,
}

/// What is to become of the jobs of a batch.
enum Plan {
    /// It is to be written, and perhaps kept apart.
    Write { apart: bool },
    /// Its bytes are kept already.
    Known,
    /// Its bytes are those of an earlier job of this batch, by number.
    SameAs(usize),
}

impl Keeper {
    pub(super) fn new(
        archive: Arc<dyn Archive>,
        index: Arc<dyn StudyIndex>,
        waiting: mpsc::Receiver<Job>,
    ) -> Self {
        Self { archive, index, waiting, behind: false }
    }

    /// Keeps what arrives until nobody can send any more.
    pub async fn run(mut self) {
        while let Some(first) = self.waiting.recv().await {
            let mut bytes = first.bytes;
            let mut batch = vec![first];
            while batch.len() < BATCH_MAX && bytes < BATCH_BYTES_MAX {
                let Ok(next) = self.waiting.try_recv() else { break };
                bytes += next.bytes;
                batch.push(next);
            }
            self.keep(batch).await;
        }
    }

    async fn keep(&mut self, batch: Vec<Job>) {
        if self.behind {
            match catch_up(&*self.archive, &*self.index, &mut |_| ()).await {
                Ok(_) => self.behind = false,
                Err(error) => return answer_all(batch, &error),
            }
        }
        let uids = batch.iter().map(|job| job.object.head.uids.instance.clone()).collect();
        match self.index.known(uids).await {
            Ok(known) => {
                let plans = plan(&batch, &known);
                self.carry_out(batch, &plans).await;
            }
            Err(error) => answer_all(batch, &error),
        }
    }

    async fn carry_out(&mut self, batch: Vec<Job>, plans: &[Plan]) {
        let mut told = Vec::with_capacity(batch.len());
        let mut writes = Vec::new();
        let mut about = Vec::new();
        // Memory is given back when all of the batch is done with.
        let mut permits = Vec::new();
        for (job, plan) in batch.into_iter().zip(plans) {
            let Job { object, header, answer, memory, .. } = job;
            permits.push(memory);
            let stored = Stored {
                kept: Kept::Known,
                digest: object.digest,
                uids: object.head.uids.clone(),
                sop_class: object.head.sop_class.clone(),
            };
            let write = match plan {
                Plan::Write { apart } => {
                    about.push((object.digest, object.head.clone(), header, *apart));
                    writes.push(object);
                    Some(writes.len() - 1)
                }
                Plan::Known => None,
                Plan::SameAs(first) => told.get(*first).and_then(|(_, _, write)| *write),
            };
            told.push((answer, stored, write));
        }
        let written =
            if writes.is_empty() { Vec::new() } else { self.archive.append(writes).await };
        let mut entries = Vec::new();
        for (location, (digest, head, header, apart)) in written.iter().zip(about.iter()) {
            if let Ok(location) = location {
                entries.push(IndexEntry {
                    digest: *digest,
                    head: head.clone(),
                    location: *location,
                    header: header.clone(),
                    apart: *apart,
                });
            }
        }
        let indexed = if entries.is_empty() { Ok(()) } else { self.index.add(entries).await };
        self.behind = indexed.is_err();
        let outcome = |write: Option<usize>, plan: &Plan| -> Result<Kept, Error> {
            let Some(write) = write else { return Ok(Kept::Known) };
            match written.get(write) {
                Some(Ok(_)) => indexed.as_ref().map_err(again).copied()?,
                Some(Err(error)) => return Err(again(error)),
                None => return Err(Error::Unavailable { what: "archive", cause: None }),
            }
            Ok(match plan {
                Plan::Write { apart: true } => Kept::Apart,
                Plan::Write { apart: false } => Kept::New,
                Plan::Known | Plan::SameAs(_) => Kept::Known,
            })
        };
        for ((answer, stored, write), plan) in told.into_iter().zip(plans) {
            // A sender that has gone will send again and be told then.
            let _ = answer.send(outcome(write, plan).map(|kept| Stored { kept, ..stored }));
        }
    }
}

/// Decides each job by what is kept and by the jobs before it.
fn plan(batch: &[Job], known: &[Vec<KnownObject>]) -> Vec<Plan> {
    let mut seen: HashMap<&str, Vec<usize>> = HashMap::new();
    let mut plans = Vec::with_capacity(batch.len());
    for (number, (job, known)) in batch.iter().zip(known).enumerate() {
        let (digest, head) = (job.object.digest, &job.object.head);
        // One SOP instance in the same bytes is one object, whatever syntax they are said to be in.
        let same = |k: &KnownObject| k.digest == digest;
        let earlier = seen.entry(head.uids.instance.as_str()).or_default();
        let twin = earlier
            .iter()
            .copied()
            .find(|at| batch.get(*at).is_some_and(|job| job.object.digest == digest));
        let plan = if known.iter().any(same) {
            Plan::Known
        } else if let Some(first) = twin {
            Plan::SameAs(first)
        } else {
            Plan::Write { apart: !known.is_empty() || !earlier.is_empty() }
        };
        earlier.push(number);
        plans.push(plan);
    }
    plans
}

fn answer_all(batch: Vec<Job>, error: &Error) {
    for job in batch {
        let _ = job.answer.send(Err(again(error)));
    }
}

/// The same error for another caller; the cause goes to the log once, where it arose.
fn again(error: &Error) -> Error {
    match error {
        Error::Overloaded { what, retry_after } => {
            Error::Overloaded { what, retry_after: *retry_after }
        }
        Error::Unavailable { what, .. } | Error::Internal { what, .. } => {
            Error::Unavailable { what, cause: None }
        }
        Error::Invalid(_)
        | Error::Unauthenticated
        | Error::Denied { .. }
        | Error::NotFound { .. }
        | Error::RequestIdReused
        | Error::TooLarge { .. }
        | Error::DeadlineExceeded
        | Error::Refused { .. } => Error::Unavailable { what: "imaging", cause: None },
    }
}
