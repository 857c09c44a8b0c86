//! What keeps objects from being erased, and what is written down before they are: the port of legal
//! holds and erasures.
//!
//! An erasure is first written down with every object that it concerns, in one transaction that
//! looks for a hold. Then the objects go, some at a time; a crash in between is finished at the next
//! start. The objects of a finished erasure stay written down for a while, because an index that lost
//! its last changes with the power would find them again.

use super::holdings::{HeldCopy, Holdings, StudyCopies};
use crate::app::error::Error;
use crate::app::ports::BoxFuture;
use crate::sharing::imaging::object::{Digest, Location};

/// A legal hold on a study.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// Position: lists go from high to low.
    pub seq: i64,
    /// Id.
    pub id: String,
    /// Study instance UID.
    pub study: String,
    /// Why it was placed.
    pub reason: String,
    /// Who placed it.
    pub placed_by: String,
    /// When, in milliseconds since 1970.
    pub placed_ms: i64,
    /// How it was lifted; none while it stands.
    pub lifted: Option<Lifted>,
}

/// How a hold was lifted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lifted {
    /// Who lifted it.
    pub by: String,
    /// When, in milliseconds since 1970.
    pub at_ms: i64,
    /// Why.
    pub reason: String,
}

/// A hold to place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewHold {
    /// Id.
    pub id: String,
    /// Study instance UID.
    pub study: String,
    /// Why.
    pub reason: String,
    /// Who places it.
    pub by: String,
    /// When, in milliseconds since 1970.
    pub at_ms: i64,
}

/// What became of a hold that was to be placed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Placed {
    /// It stands. The same caller's hold for the same reason that stood before is that one.
    Stands(Hold),
    /// Objects of the study are being erased.
    Erasing,
}

/// Which holds to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HoldQuery {
    /// Only of this study.
    pub study: Option<String>,
    /// Only those that stand.
    pub standing: bool,
    /// Only the one with this id.
    pub id: Option<String>,
    /// Only below this position.
    pub before_seq: Option<i64>,
    /// At most so many.
    pub limit: u32,
}

/// Who has objects erased.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ErasedBy {
    /// A caller.
    Caller {
        /// Name.
        name: String,
        /// Name of the role.
        role: String,
        /// Why.
        reason: String,
    },
    /// The quota of copies.
    Quota,
}

/// An object that is to be erased.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErasedObject {
    /// SHA-256 of its bytes.
    pub digest: Digest,
    /// SOP instance UID.
    pub instance: String,
    /// Where it lies; none where the index does not know it.
    pub location: Option<Location>,
}

/// An erasure to write down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewErasure {
    /// Study instance UID.
    pub study: String,
    /// Patient ID, for the audit trail.
    pub patient_id: String,
    /// Who has it done.
    pub by: ErasedBy,
    /// When, in milliseconds since 1970.
    pub at_ms: i64,
    /// What.
    pub objects: Vec<ErasedObject>,
}

/// An erasure that is written down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Erasure {
    /// Its number.
    pub number: i64,
    /// Study instance UID.
    pub study: String,
    /// Patient ID.
    pub patient_id: String,
    /// Who has it done.
    pub by: ErasedBy,
    /// What of it is still to be done.
    pub objects: Vec<ErasedObject>,
}

/// What became of an erasure that was to be written down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Begun {
    /// It is written down and must be carried out.
    Open(Erasure),
    /// A hold with this id forbids it.
    Held(String),
}

/// What gave room over all time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Evictions {
    /// Studies.
    pub studies: u64,
    /// Objects.
    pub objects: u64,
    /// Bytes.
    pub bytes: u64,
}

/// Keeps holds and erasures. What it says is kept, is on the disk.
pub trait Custody: Holdings {
    /// Places a hold, unless objects of the study are being erased.
    fn place(&self, hold: NewHold) -> BoxFuture<'_, Result<Placed, Error>>;

    /// Lifts the hold with that id; none if there is none. One that was lifted before stays as it
    /// is.
    fn lift<'a>(
        &'a self,
        id: &'a str,
        lifted: Lifted,
    ) -> BoxFuture<'a, Result<Option<Hold>, Error>>;

    /// Holds, newest first.
    fn holds(&self, query: HoldQuery) -> BoxFuture<'_, Result<Vec<Hold>, Error>>;

    /// Writes an erasure down, unless a hold stands on the study.
    fn begin(&self, erasure: NewErasure) -> BoxFuture<'_, Result<Begun, Error>>;

    /// Those of `digests` that are copies and not the node's own.
    fn still_copies(&self, digests: Vec<Digest>) -> BoxFuture<'_, Result<Vec<Digest>, Error>>;

    /// These objects of an erasure are done with; of copies the note goes as well.
    fn did(&self, number: i64, digests: Vec<Digest>) -> BoxFuture<'_, Result<(), Error>>;

    /// An erasure is done.
    fn finish(&self, number: i64, at_ms: i64) -> BoxFuture<'_, Result<(), Error>>;

    /// Erasures that are written down and not done.
    fn unfinished(&self) -> BoxFuture<'_, Result<Vec<Erasure>, Error>>;

    /// Objects whose erasure was done and is still written down.
    fn lately_erased(&self) -> BoxFuture<'_, Result<Vec<ErasedObject>, Error>>;

    /// Forgets the objects of erasures that were done before a time; of those that a caller had
    /// done, who, when and why stays.
    fn prune(&self, before_ms: i64) -> BoxFuture<'_, Result<(), Error>>;

    /// Studies of which there are copies and on which no hold stands, the least recently used first,
    /// beyond the first `offset`.
    fn least_used(&self, offset: u64, limit: u64)
    -> BoxFuture<'_, Result<Vec<StudyCopies>, Error>>;

    /// The copies of a study.
    fn copies(&self, study: String) -> BoxFuture<'_, Result<Vec<HeldCopy>, Error>>;

    /// What gave room over all time.
    fn evictions(&self) -> BoxFuture<'_, Result<Evictions, Error>>;
}
