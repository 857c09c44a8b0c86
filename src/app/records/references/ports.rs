//! What references to records need from a node's store.

use std::fmt::Debug;

use bytes::Bytes;

use crate::app::error::Error;
use crate::app::ports::BoxFuture;
use crate::sharing::discharge::fhir::resources::Standing;
use crate::sharing::patient::Digest;

/// A kept version of a record that has no reference yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreferenced {
    /// Its place among the documents.
    pub document: i64,
    /// Name.
    pub name: String,
    /// Version.
    pub version: u32,
    /// What was read of it, JSON; empty where it could not be read.
    pub reading_json: String,
    /// When it came, in milliseconds since 1970.
    pub received_ms: i64,
}

/// Who a record is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// Somebody of other records, by number.
    Known(i64),
    /// Somebody new, who takes the document's place for a number.
    New,
    /// Cannot be said.
    Unknown,
}

/// A reference to be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewReference {
    /// The document's place.
    pub document: i64,
    /// The reference's id.
    pub id: String,
    /// Who it is about.
    pub subject: Subject,
    /// Particulars as they are matched; empty if unknown.
    pub particulars: Vec<u8>,
    /// Keyed digests of the patient's identifiers.
    pub identifiers: Vec<Digest>,
}

/// From one millisecond since 1970 up to, not including, another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// First.
    pub from_ms: i64,
    /// The first one after.
    pub before_ms: i64,
}

/// Which references are wanted. Of every list one must fit; none: any.
#[derive(Debug, Clone, Default)]
pub struct ReferenceQuery {
    /// Only below this place.
    pub before: Option<i64>,
    /// Ids.
    pub ids: Option<Vec<String>>,
    /// Numbers of persons.
    pub persons: Option<Vec<i64>>,
    /// Digests of identifiers.
    pub identifiers: Option<Vec<Digest>>,
    /// What has become of the record.
    pub standings: Option<Vec<Standing>>,
    /// When it came.
    pub kept: Span,
    /// When what is said of it last changed.
    pub updated: Span,
    /// At most so many.
    pub limit: u32,
}

/// A reference as kept, with what it refers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptReference {
    /// Its place: lists go from high to low.
    pub document: i64,
    /// Id.
    pub id: String,
    /// Number of the person, if known.
    pub person: Option<i64>,
    /// Name of the record.
    pub name: String,
    /// Version.
    pub version: u32,
    /// Media type.
    pub media_type: String,
    /// Bytes.
    pub size: u64,
    /// SHA-256.
    pub sha256: [u8; 32],
    /// SM3.
    pub sm3: [u8; 32],
    /// What was read of it, JSON; empty where it could not be read.
    pub reading_json: String,
    /// What has become of it.
    pub standing: Standing,
    /// When it came, in milliseconds since 1970.
    pub received_ms: i64,
    /// When what is said of it last changed, in milliseconds since 1970.
    pub updated_ms: i64,
    /// Id of the reference to the version before.
    pub replaces: Option<String>,
}

/// A record that a question finds, with how many references lead to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Matching {
    /// Name of the record.
    pub name: String,
    /// Number of the person, if known.
    pub person: Option<i64>,
    /// References.
    pub references: u64,
}

/// A record's place in the matching of persons: whose it is, and the particulars it gives.
pub type Particulars = (i64, Bytes);

/// Keeps references to records, in the same database as the records.
pub trait ReferenceStore: Debug + Send + Sync {
    /// Forgets all references if they were made with another key than the one of this proof.
    fn open(&self, proof: Digest) -> BoxFuture<'_, Result<(), Error>>;
    /// Records above the last one that has a reference, lowest first.
    fn unreferenced(&self, limit: u32) -> BoxFuture<'_, Result<Vec<Unreferenced>, Error>>;
    /// Keeps a reference. Answers the persons whose particulars may be others now.
    fn refer(&self, new: NewReference) -> BoxFuture<'_, Result<Vec<i64>, Error>>;
    /// Particulars in current records that are not withdrawn, of one person or of all, oldest first.
    fn particulars(&self, person: Option<i64>) -> BoxFuture<'_, Result<Vec<Particulars>, Error>>;
    /// What was read of the newest current record of a person, JSON.
    fn reading_of(&self, person: i64) -> BoxFuture<'_, Result<Option<String>, Error>>;
    /// Name and version of the record that a reference leads to.
    fn named<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Option<(String, u32)>, Error>>;
    /// References, newest first. Whoever asks decides what may be shown, and writes it down.
    fn search(&self, query: ReferenceQuery) -> BoxFuture<'_, Result<Vec<KeptReference>, Error>>;
    /// The records of all pages, at most `limit` of them.
    fn matching(
        &self,
        query: ReferenceQuery,
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<Matching>, Error>>;
}

impl Default for Span {
    /// Always.
    fn default() -> Self {
        Self { from_ms: i64::MIN, before_ms: i64::MAX }
    }
}

impl Span {
    /// What lies in both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            from_ms: self.from_ms.max(other.from_ms),
            before_ms: self.before_ms.min(other.before_ms),
        }
    }
}
