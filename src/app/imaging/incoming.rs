//! One object while it arrives: checked, hashed, and held in memory or, when long, in a file.

use std::sync::Arc;

use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::entering::Intake;
use super::holdings::{NODE_BYTES_MAX, NODE_SOURCE};
use super::keeping::{Job, Stored};
use super::peers::Service;
use super::ports::{Body, NewObject, Spool};
use super::{Imaging, MEMORY_BYTES_MAX, MEMORY_UNIT, OBJECT_BYTES_MAX};
use crate::app::error::Error;
use crate::sharing::imaging::header::{Header, WANTED};
use crate::sharing::imaging::identity::{Identity, IdentityError, identify};
use crate::sharing::imaging::object::{Digest, ObjectHead};
use crate::sharing::imaging::structure::{Guard, Limits, StructureError, Syntax, Wanted};

/// What the sender said of an object before it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    /// SOP class UID.
    pub sop_class: String,
    /// SOP instance UID.
    pub sop_instance: String,
}

/// Why an object is not kept.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// Its transfer syntax is not one that can be checked.
    #[error("transfer syntax is not known")]
    TransferSyntax,
    /// It is no data set, or goes beyond a limit.
    #[error(transparent)]
    Structure(#[from] StructureError),
    /// It does not say what it is.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// It is another than the sender said.
    #[error("{attribute} of the data set is not the one announced")]
    NotAsAnnounced {
        /// Which attribute differs.
        attribute: &'static str,
    },
    /// It is too long.
    #[error("object is longer than {OBJECT_BYTES_MAX} bytes")]
    TooLong,
    /// The node cannot keep it, or not now.
    #[error(transparent)]
    Node(#[from] Error),
}

/// An object that arrives.
#[derive(Debug)]
pub struct Incoming<'a> {
    imaging: &'a Imaging,
    intake: Arc<Intake>,
    transfer_syntax: String,
    meta: Vec<u8>,
    expected: Option<Expected>,
    study: Option<String>,
    node: Option<String>,
    guard: Guard,
    hash: Sha256,
    length: u64,
    parts: Vec<Bytes>,
    spool: Option<Box<dyn Spool>>,
    held: usize,
    memory: Vec<OwnedSemaphorePermit>,
}

impl Imaging {
    /// Begins to take an object in `transfer_syntax`. `intake` says who sends it; `meta` is the
    /// preamble and file meta group it came with, if any.
    pub fn receive(
        &self,
        intake: &Arc<Intake>,
        transfer_syntax: &str,
        expected: Option<Expected>,
        meta: Vec<u8>,
    ) -> Result<Incoming<'_>, Refused> {
        intake.requester().permit(Service::Store)?;
        let syntax = Syntax::of(transfer_syntax).ok_or(Refused::TransferSyntax)?;
        Ok(Incoming {
            imaging: self,
            intake: Arc::clone(intake),
            transfer_syntax: transfer_syntax.to_owned(),
            meta,
            expected,
            study: None,
            node: None,
            guard: Guard::new(syntax, Wanted::List(WANTED), Limits::default()),
            hash: Sha256::new(),
            length: 0,
            parts: Vec::new(),
            spool: None,
            held: 0,
            memory: Vec::new(),
        })
    }
}

impl Incoming<'_> {
    /// Takes the object only if it is of the study with that UID.
    #[must_use]
    pub fn of_study(mut self, study: Option<String>) -> Self {
        self.study = study;
        self
    }

    /// Notes the object as a copy of what the node of that name has, unless it turns out to be there
    /// already as this node's own.
    #[must_use]
    pub fn copy_of(mut self, node: &str) -> Self {
        self.node = Some(node.to_owned());
        self
    }

    /// Takes the next bytes.
    pub async fn push(&mut self, bytes: Bytes) -> Result<(), Refused> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.length += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        if self.length > OBJECT_BYTES_MAX {
            return Err(Refused::TooLong);
        }
        self.guard.push(&bytes)?;
        self.hash.update(&bytes);
        if let Some(spool) = &mut self.spool {
            return Ok(spool.write(bytes).await?);
        }
        let room = self.count(bytes.len());
        self.parts.push(bytes);
        if self.length > MEMORY_BYTES_MAX || !room {
            let mut spool = self.imaging.archive.spool().await?;
            for part in self.parts.drain(..) {
                spool.write(part).await?;
            }
            self.spool = Some(spool);
            self.memory.clear();
        }
        Ok(())
    }

    /// SHA-256 of the bytes that have come.
    pub fn digest(&self) -> Digest {
        Digest(self.hash.clone().finalize().into())
    }

    /// Counts `more` bytes of memory. Whether there was room: whoever waited for it while holding
    /// some could wait for ever.
    fn count(&mut self, more: usize) -> bool {
        let before = self.held.div_ceil(MEMORY_UNIT);
        self.held += more;
        let units = u32::try_from(self.held.div_ceil(MEMORY_UNIT) - before).unwrap_or(u32::MAX);
        if units == 0 {
            return true;
        }
        match Arc::clone(&self.imaging.memory).try_acquire_many_owned(units) {
            Ok(permit) => {
                self.memory.push(permit);
                true
            }
            Err(_) => false,
        }
    }

    /// Checks that the object is whole, keeps it, and says what became of it once it is on the
    /// disk and can be found.
    pub async fn finish(self) -> Result<Stored, Refused> {
        let answer = self.submit().await?;
        answer.await.map_err(|_| gone())?.map_err(Refused::Node)
    }

    /// The first half of [`Incoming::finish`]: the object is checked and waits to be kept. The
    /// receiver tells what became of it.
    pub async fn submit(self) -> Result<oneshot::Receiver<Result<Stored, Error>>, Refused> {
        let Self { imaging, guard, hash, memory, node, .. } = self;
        let named = |node: &String| (1..=NODE_BYTES_MAX).contains(&node.len());
        if !node.as_ref().is_none_or(named) {
            let allowed = format!("must have 1 to {NODE_BYTES_MAX} bytes");
            return Err(Error::field("node", allowed).into());
        }
        let facts = guard.finish()?;
        let Identity { uids, sop_class, .. } = identify(&facts.captured)?;
        if let Some(expected) = &self.expected {
            for (attribute, is, said) in [
                ("SOP class UID", &sop_class, &expected.sop_class),
                ("SOP instance UID", &uids.instance, &expected.sop_instance),
            ] {
                if is != said {
                    return Err(Refused::NotAsAnnounced { attribute });
                }
            }
        }
        if self.study.as_ref().is_some_and(|study| *study != uids.study) {
            return Err(Refused::NotAsAnnounced { attribute: "study instance UID" });
        }
        let header = Header::from_elements(&facts.captured);
        let source = self.intake.requester().caller.name.clone();
        let head = ObjectHead {
            uids,
            sop_class,
            transfer_syntax: self.transfer_syntax,
            source: match &node {
                Some(node) => format!("{NODE_SOURCE}{node}"),
                // A caller whose name looks like that is no node.
                None if source.starts_with(NODE_SOURCE) => format!("caller:{source}"),
                None => source,
            },
            received_ms: imaging.clock.now_ms(),
            meta: self.meta,
        };
        let body = self.spool.map_or(Body::Memory(self.parts), Body::Spooled);
        let object = NewObject { digest: Digest(hash.finalize().into()), head, body };
        let (answer, told) = oneshot::channel();
        let promise = match &node {
            Some(_) => Some(imaging.room_for(&object.head.uids.study, self.length).await?),
            None => None,
        };
        let (copy, intake) = (node.is_some(), self.intake);
        let bytes = self.length;
        let job = Job { object, header, bytes, copy, intake, promise, answer, memory };
        imaging.jobs.send(job).await.map_err(|_| gone())?;
        Ok(told)
    }
}

fn gone() -> Error {
    Error::Unavailable { what: "imaging", cause: None }
}
