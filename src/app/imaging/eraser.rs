//! Carrying out what is written down to be erased, one erasure at a time, and evicting copies.
//!
//! Some objects at a time are erased while nothing is being kept ([`Gate`]): an object that a sender
//! is told is known cannot go between the look and the answer. What became the node's own since the
//! eviction of its study was written down stays.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{RwLock, mpsc, oneshot};
use tokio::time::sleep;

use super::custody::{Begun, Custody, ErasedBy, ErasedObject, Erasure, NewErasure};
use super::holdings::Uses;
use super::ports::{Archive, KnownObject, StudyIndex};
use super::room::Room;
use crate::app::access::{Action, Caller, Role, authorise};
use crate::app::chain;
use crate::app::error::Error;
use crate::app::ports::{AuditEntry, Clock, Journal};
use crate::sharing::imaging::object::Digest;

/// Objects erased while nothing is kept.
const AT_ONCE: usize = 16;
/// SOP instance UIDs asked of the index at once.
const PAGE: usize = 500;
/// Studies looked at together for eviction.
const STUDIES: u64 = 100;
/// Between two looks at whether copies must go and something was left unfinished.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// How long the objects of an erasure stay written down: much longer than a system keeps changes
/// from the disk.
const REMEMBERED_MS: i64 = 86_400_000;
/// Reason that the archive keeps for an eviction.
const EVICTED: &str = "a copy of another node gave room";

/// Held, shared, from the look whether an object is known until its sender is told; alone, while
/// objects are erased.
pub(super) type Gate = Arc<RwLock<()>>;

/// Something for the eraser to do.
#[derive(Debug)]
pub(super) enum Errand {
    /// Carry out what is written down.
    Erase { erasure: Erasure, done: oneshot::Sender<Result<(), Error>> },
    /// Evict copies until there is room for so many bytes, none of the study `except`.
    Evict { bytes: u64, except: String, done: oneshot::Sender<Result<(), Error>> },
}

/// See the module.
#[derive(Debug)]
pub(super) struct Eraser {
    pub(super) archive: Arc<dyn Archive>,
    pub(super) index: Arc<dyn StudyIndex>,
    pub(super) custody: Arc<dyn Custody>,
    pub(super) journal: Arc<dyn Journal>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) uses: Arc<Uses>,
    pub(super) room: Arc<Room>,
    pub(super) gate: Gate,
}

impl Eraser {
    /// Does errands until nobody can send any more, and looks after copies in between.
    pub(super) async fn run(self, mut errands: mpsc::Receiver<Errand>) {
        loop {
            tokio::select! {
                errand = errands.recv() => match errand {
                    None => return,
                    Some(Errand::Erase { erasure, done }) => {
                        let outcome = self.carry_out(erasure).await;
                        // Whoever has gone finds the audit trail.
                        let _ = done.send(outcome);
                    }
                    Some(Errand::Evict { bytes, except, done }) => {
                        let _ = done.send(self.evict(bytes, &except).await);
                    }
                },
                () = sleep(LOOK_EVERY) => {
                    if let Err(error) = self.look().await {
                        tracing::warn!(error = chain(&error), "copies cannot be looked after");
                    }
                }
            }
        }
    }

    /// Finishes what was begun before the node stopped. What cannot be done now is tried again.
    pub(super) async fn begin(&self) {
        let again = self.forget_again().await;
        match again.and(self.finish_all().await) {
            Ok(0) => {}
            Ok(finished) => tracing::info!(finished, "erasures finished that were cut short"),
            Err(error) => tracing::warn!(error = chain(&error), "erasures are not finished yet"),
        }
    }

    /// What is done without being asked: erasures that failed are tried again, and copies go until
    /// they are within their limits.
    async fn look(&self) -> Result<(), Error> {
        self.finish_all().await?;
        self.custody.prune(self.clock.now_ms().saturating_sub(REMEMBERED_MS)).await?;
        self.evict(0, "").await
    }

    /// Carries out everything that is written down and not done.
    async fn finish_all(&self) -> Result<u64, Error> {
        let mut finished = 0;
        for erasure in self.custody.unfinished().await? {
            self.carry_out(erasure).await?;
            finished += 1;
        }
        Ok(finished)
    }

    /// Has the index forget again what it lost with the power that it had forgotten.
    async fn forget_again(&self) -> Result<(), Error> {
        let objects = self.custody.lately_erased().await?;
        for objects in objects.chunks(PAGE) {
            let known = self.known(objects).await?;
            for object in objects {
                if stands(object, &known) {
                    self.index.remove(object.digest, self.clock.now_ms()).await?;
                }
            }
        }
        Ok(())
    }

    /// Carries out an erasure and writes it into the audit trail.
    async fn carry_out(&self, erasure: Erasure) -> Result<(), Error> {
        let Erasure { number, study, patient_id, by, objects } = erasure;
        let reason = match &by {
            ErasedBy::Caller { reason, .. } => reason.as_str(),
            ErasedBy::Quota => EVICTED,
        };
        for objects in objects.chunks(AT_ONCE) {
            let _alone = self.gate.write().await;
            let goes = match by {
                ErasedBy::Caller { .. } => objects.iter().map(|o| o.digest).collect(),
                ErasedBy::Quota => {
                    let digests = objects.iter().map(|o| o.digest).collect();
                    self.custody.still_copies(digests).await?
                }
            };
            let goes: HashSet<Digest> = goes.into_iter().collect();
            let known = self.known(objects).await?;
            for object in objects.iter().filter(|o| goes.contains(&o.digest)) {
                self.erase(object, reason, &known).await?;
            }
            self.custody.did(number, goes.into_iter().collect()).await?;
        }
        if let ErasedBy::Caller { name, role, reason } = by {
            let role = Role::ALL.into_iter().find(|known| known.name() == role);
            // Was permitted when it was written down.
            let role = role.unwrap_or(Role::Administrator);
            let caller = Caller::resumed(name, role, Action::EraseImages);
            let permit = authorise(&caller, Action::EraseImages)?;
            let entry = AuditEntry {
                at_ms: self.clock.now_ms(),
                record_id: study,
                patient_reference: patient_id,
                outcome: "ok",
                detail: reason,
            };
            self.journal.audit(&permit, entry).await?;
        }
        self.custody.finish(number, self.clock.now_ms()).await
    }

    async fn erase(
        &self,
        object: &ErasedObject,
        reason: &str,
        known: &HashMap<String, Vec<KnownObject>>,
    ) -> Result<(), Error> {
        if let Some(location) = object.location {
            match self.archive.erase(location, reason).await {
                Ok(()) | Err(Error::NotFound { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        if stands(object, known) {
            self.index.remove(object.digest, self.clock.now_ms()).await?;
        }
        Ok(())
    }

    async fn known(
        &self,
        objects: &[ErasedObject],
    ) -> Result<HashMap<String, Vec<KnownObject>>, Error> {
        let uids: Vec<String> = objects.iter().map(|o| o.instance.clone()).collect();
        let known = self.index.known(uids.clone()).await?;
        Ok(uids.into_iter().zip(known).collect())
    }

    /// Evicts copies until there is room for `bytes` more, whole studies, the least recently used
    /// first; none of `except`, none that is held or being read. There may be too little room when
    /// this returns.
    async fn evict(&self, bytes: u64, except: &str) -> Result<(), Error> {
        // What was written at the last minute counts.
        self.uses.write(&*self.custody).await?;
        let mut passed = 0;
        loop {
            let studies = self.custody.least_used(passed, STUDIES).await?;
            if studies.is_empty() {
                return Ok(());
            }
            for study in studies {
                if self.fits(bytes).await? {
                    return Ok(());
                }
                let evicted = study.study != except && self.evict_study(&study.study).await?;
                passed += u64::from(!evicted);
            }
        }
    }

    async fn fits(&self, bytes: u64) -> Result<bool, Error> {
        let held = self.custody.totals().await?.bytes;
        let more = self.room.promised().saturating_add(bytes);
        Ok(self.room.limits.allow(held, more, &self.archive.usage().await?))
    }

    /// Evicts the copies of a study; false if it is held or being read.
    async fn evict_study(&self, study: &str) -> Result<bool, Error> {
        let now_ms = self.clock.now_ms();
        if self.room.reading.has_study(study, now_ms) {
            return Ok(false);
        }
        let copies = self.custody.copies(study.to_owned()).await?;
        let mut objects = Vec::with_capacity(copies.len());
        for copies in copies.chunks(PAGE) {
            let uids = copies.iter().map(|copy| copy.instance.clone()).collect();
            let known = self.index.known(uids).await?;
            for (copy, known) in copies.iter().zip(known) {
                let found = known.into_iter().find(|k| k.digest == copy.digest);
                objects.push(ErasedObject {
                    digest: copy.digest,
                    instance: copy.instance.clone(),
                    location: found.map(|k| k.location),
                });
            }
        }
        let places = objects.iter().filter_map(|object| object.location);
        if self.room.reading.has_object(places, now_ms) {
            return Ok(false);
        }
        let count = objects.len();
        let erasure = NewErasure {
            study: study.to_owned(),
            patient_id: String::new(),
            by: ErasedBy::Quota,
            at_ms: now_ms,
            objects,
        };
        match self.custody.begin(erasure).await? {
            Begun::Held(_) => Ok(false),
            Begun::Open(erasure) => {
                self.carry_out(erasure).await?;
                tracing::info!(objects = count, "copies of a study were evicted");
                Ok(true)
            }
        }
    }
}

/// Whether the index has the object where it was erased: the same bytes may have come again.
fn stands(object: &ErasedObject, known: &HashMap<String, Vec<KnownObject>>) -> bool {
    let there = known.get(&object.instance).map(Vec::as_slice).unwrap_or_default();
    there.iter().any(|k| k.digest == object.digest && Some(k.location) == object.location)
}
