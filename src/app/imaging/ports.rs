//! What imaging needs from the outside: an archive of bytes and an index of what they are.
//!
//! The archive is the truth. The index is derived from it and can be made anew at any time; it
//! says how far into the archive it has come ([`StudyIndex::reached`]), and the node catches up
//! from there when it starts.

use std::fmt::Debug;
use std::ops::Range;

use bytes::Bytes;

use crate::app::error::Error;
use crate::app::ports::BoxFuture;
use crate::sharing::imaging::header::Header;
use crate::sharing::imaging::object::{Digest, InstanceUids, Location, ObjectHead};
use crate::sharing::imaging::query::{Match, Query};

/// The bytes of an object that is to be kept.
#[derive(Debug)]
pub enum Body {
    /// In memory, as it arrived.
    Memory(Vec<Bytes>),
    /// Too large for memory: already in a file of the archive.
    Spooled(Box<dyn Spool>),
}

/// An object that is to be kept.
#[derive(Debug)]
pub struct NewObject {
    /// SHA-256 of the body.
    pub digest: Digest,
    /// What is kept beside it.
    pub head: ObjectHead,
    /// The data set as received.
    pub body: Body,
}

/// What the archive holds at one place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchivedObject {
    /// SHA-256 of the body.
    pub digest: Digest,
    /// What is kept beside it.
    pub head: ObjectHead,
    /// Where it lies.
    pub location: Location,
    /// Whether its bytes were erased; then only this remains of it.
    pub erased: bool,
}

/// A file of the archive that an object too large for memory is written to while it arrives. Goes
/// away when dropped before it was appended.
pub trait Spool: Debug + Send {
    /// Writes `chunk` at the end.
    fn write(&mut self, chunk: Bytes) -> BoxFuture<'_, Result<(), Error>>;
    /// Bytes written.
    fn length(&self) -> u64;
    /// For the archive that made it.
    fn into_any(self: Box<Self>) -> Box<dyn std::any::Any + Send>;
}

/// Bytes, once written never changed.
pub trait Archive: Debug + Send + Sync {
    /// Keeps all of `batch`, in order. What has a location is on the disk when this returns. A
    /// failure concerns every object of the batch that has none.
    fn append(&self, batch: Vec<NewObject>) -> BoxFuture<'_, Vec<Result<Location, Error>>>;

    /// A place for an object that is too large for memory.
    fn spool(&self) -> BoxFuture<'_, Result<Box<dyn Spool>, Error>>;

    /// Bytes `range` of the data set at `location`; cut at its end. [`Error::NotFound`] if it was
    /// erased.
    fn read(&self, location: Location, range: Range<u64>) -> BoxFuture<'_, Result<Bytes, Error>>;

    /// The record at `location`: head without body. None if there is no such record.
    fn object(&self, location: Location) -> BoxFuture<'_, Result<Option<ArchivedObject>, Error>>;

    /// The next objects after the record at `after` (from the beginning if none), in the order they
    /// were appended, at most `limit`.
    fn objects_after(
        &self,
        after: Option<Location>,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<ArchivedObject>, Error>>;

    /// Erases the bytes at `location` for good; `reason` is kept. Durable when this returns.
    fn erase<'a>(&'a self, location: Location, reason: &'a str)
    -> BoxFuture<'a, Result<(), Error>>;

    /// Objects and bytes kept.
    fn usage(&self) -> BoxFuture<'_, Result<Usage, Error>>;
}

/// What an archive holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Segments.
    pub segments: u64,
    /// Bytes on the disk.
    pub bytes: u64,
    /// Bytes that may still be written; none if not known.
    pub bytes_free: Option<u64>,
    /// Copies of segments in a remote store, where there is one.
    pub remote: Option<RemoteUsage>,
}

/// What a remote store has of an archive.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RemoteUsage {
    /// Segments of which it has a copy.
    pub segments: u64,
    /// Bytes of the copies.
    pub bytes: u64,
    /// Bytes kept whose bodies are not on the disk any more.
    pub away_bytes: u64,
    /// Bytes kept that wait to be copied.
    pub waiting_bytes: u64,
    /// Copies that must be made anew, or an older one deleted, because bodies were erased.
    pub tainted_segments: u64,
    /// Whether the store failed when it was last used.
    pub failing: bool,
}

/// One object for the index.
#[derive(Debug, Clone)]
pub struct IndexEntry {
    /// SHA-256 of its bytes.
    pub digest: Digest,
    /// What is kept beside it.
    pub head: ObjectHead,
    /// Where it lies.
    pub location: Location,
    /// What it can be found by.
    pub header: Header,
    /// Whether another object with this SOP instance UID came first: then it is kept apart, answers
    /// no question, and waits for somebody to look.
    pub apart: bool,
}

/// An instance of which something is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexedInstance {
    /// Where it stands.
    pub uids: InstanceUids,
    /// SOP class UID.
    pub sop_class: String,
    /// Transfer syntax UID of the bytes kept.
    pub transfer_syntax: String,
    /// SHA-256 of them.
    pub digest: Digest,
    /// Where they lie.
    pub location: Location,
    /// Number of frames; 0 without pixels.
    pub frames: u32,
}

/// Which instances: all conditions that are not empty must hold. Nothing asked for selects nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// Patient ID.
    pub patient_id: Option<String>,
    /// Study instance UIDs.
    pub studies: Vec<String>,
    /// Series instance UIDs.
    pub series: Vec<String>,
    /// SOP instance UIDs.
    pub instances: Vec<String>,
}

/// What is known of a SOP instance UID.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownObject {
    /// SHA-256 of its bytes.
    pub digest: Digest,
    /// SOP class UID.
    pub sop_class: String,
    /// Transfer syntax UID.
    pub transfer_syntax: String,
    /// Where it stands.
    pub uids: InstanceUids,
    /// Where it lies.
    pub location: Location,
    /// Whether it is kept apart.
    pub apart: bool,
}

/// One line of the change feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Its number; numbers only grow.
    pub number: u64,
    /// What happened.
    pub kind: ChangeKind,
    /// Where.
    pub uids: InstanceUids,
    /// When, in milliseconds since 1970-01-01T00:00:00Z.
    pub at_ms: i64,
}

/// What can happen to an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeKind {
    /// It was stored.
    Stored,
    /// Another object with its SOP instance UID came and is kept apart.
    KeptApart,
    /// It was erased.
    Erased,
}

/// The index of studies.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct IndexCounts {
    /// Patients.
    pub patients: u64,
    /// Studies.
    pub studies: u64,
    /// Series.
    pub series: u64,
    /// Instances.
    pub instances: u64,
    /// Objects kept apart.
    pub apart: u64,
}

/// What is kept, by what it can be found.
pub trait StudyIndex: Debug + Send + Sync {
    /// What is known of each of these SOP instance UIDs, in their order; the first object that came
    /// stands first.
    fn known(&self, instances: Vec<String>) -> BoxFuture<'_, Result<Vec<Vec<KnownObject>>, Error>>;

    /// Adds `entries`, in the order of the archive, and remembers the location of the last as
    /// reached. Seen by every question asked after it returns; a loss of power may undo the last
    /// additions, and then `reached` as well. Entries that are there already change nothing.
    fn add(&self, entries: Vec<IndexEntry>) -> BoxFuture<'_, Result<(), Error>>;

    /// Where in the archive the index stands; none at the beginning.
    fn reached(&self) -> BoxFuture<'_, Result<Option<Location>, Error>>;

    /// Returns when additions that were answered have been undone although the node lives on: the
    /// server of the index lost them. Until somebody has asked how far the index has
    /// [reached](Self::reached), it refuses additions. Never returns for an index that cannot lose
    /// any while the node runs.
    fn undone(&self) -> BoxFuture<'_, ()>;

    /// Answers a question.
    fn find(&self, query: Query) -> BoxFuture<'_, Result<Vec<Match>, Error>>;

    /// The instances that `selection` names, in the order of study, series, instance number; none
    /// that is kept apart. At most `limit` beyond the first `offset`.
    fn instances(
        &self,
        selection: Selection,
        offset: u64,
        limit: u64,
    ) -> BoxFuture<'_, Result<Vec<IndexedInstance>, Error>>;

    /// The patient ID of a study, which may be empty; none if the study is not there.
    fn patient_of<'a>(&'a self, study: &'a str) -> BoxFuture<'a, Result<Option<String>, Error>>;

    /// Forgets an instance that was erased.
    fn remove(&self, digest: Digest, at_ms: i64) -> BoxFuture<'_, Result<(), Error>>;

    /// Objects kept apart, oldest first, at most `limit` beyond the first `offset`.
    fn apart(&self, offset: u64, limit: u64) -> BoxFuture<'_, Result<Vec<KnownObject>, Error>>;

    /// What happened after `number`, at most `limit`.
    fn changes(&self, number: u64, limit: u64) -> BoxFuture<'_, Result<Vec<Change>, Error>>;

    /// How much there is.
    fn counts(&self) -> BoxFuture<'_, Result<IndexCounts, Error>>;

    /// Forgets everything, so that it can be made anew from the archive.
    fn clear(&self) -> BoxFuture<'_, Result<(), Error>>;
}
