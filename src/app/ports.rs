//! What the application needs from the outside: time, ids, models, a journal. Adapters implement
//! these traits; nothing here names an adapter.

use std::fmt::Debug;
use std::pin::Pin;
use std::sync::Arc;

use super::access::Permit;
use super::error::{Cause, Error};
use super::knowledge::Knowledge;

/// A boxed future that may cross threads.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The wall clock.
pub trait Clock: Debug + Send + Sync {
    /// Milliseconds since 1970-01-01T00:00:00Z.
    fn now_ms(&self) -> i64;
}

/// A maker of unique ids.
pub trait IdSource: Debug + Send + Sync {
    /// A new id: URL-safe, at most 64 characters, sortable by time.
    fn new_id(&self) -> String;
}

/// A differential model.
pub trait Predictor: Debug + Send + Sync {
    /// What is being served.
    fn description(&self) -> &ModelDescription;
    /// Probabilities, one per label, for one patient. `findings`: +1 present, -1 absent, 0 not
    /// asked, one per feature. `patient`: age in years or -1; sex 0 unknown, 1 male, -1 female.
    fn predict(
        &self,
        findings: Vec<f32>,
        patient: [f32; 2],
    ) -> BoxFuture<'_, Result<Vec<f32>, Error>>;
    /// Whether the model still answers.
    fn healthy(&self) -> bool;
}

/// An indication-fit model. It orders what rules allow and drops hints; rules decide.
pub trait IndicationFit: Debug + Send + Sync {
    /// What is being served.
    fn description(&self) -> &ModelDescription;
    /// A score below this is worth telling.
    fn hint_below(&self) -> f32;
    /// For each medicine (code on the list) how well it belongs to the patient's diagnoses (ICD-10
    /// categories, three characters), from 0 (not at all) to 1. `None` where the model was not
    /// asked: it knows none of the diagnoses, or not the medicine, or the medicine is for anything.
    fn fit<'a>(
        &'a self,
        categories: &'a [String],
        medicines: &'a [String],
    ) -> BoxFuture<'a, Result<Vec<Option<f32>>, Error>>;
}

/// What a model is and takes.
#[derive(Debug, Clone)]
pub struct ModelDescription {
    /// Id.
    pub id: String,
    /// Version.
    pub version: String,
    /// SHA-256 of the ONNX file, hex.
    pub sha256: String,
    /// What most of its weights are: `f32` or `int8`.
    pub precision: &'static str,
    /// Size of the ONNX file.
    pub size_bytes: u64,
    /// Engine and its version, for example `rten 0.27.0`.
    pub engine: String,
    /// Inputs: name, element type, dimensions (`batch` or a number).
    pub inputs: Vec<(String, String, Vec<String>)>,
    /// Outputs, likewise.
    pub outputs: Vec<(String, String, Vec<String>)>,
    /// Finding ids in input order.
    pub features: Vec<String>,
    /// Condition ids in output order, `outside` last.
    pub labels: Vec<String>,
    /// Microseconds that loading and self-test took.
    pub load_us: u64,
    /// Known answers reproduced at load.
    pub self_test_count: usize,
}

/// Builds a complete, checked [`Knowledge`] from wherever the node keeps it.
pub trait KnowledgeSource: Debug + Send + Sync {
    /// Reads, checks and self-tests. The error says which file or model and why.
    fn load(&self) -> BoxFuture<'_, Result<Arc<Knowledge>, Cause>>;
}

/// What kind of answer is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RecordKind {
    /// An answered consultation.
    Consultation,
    /// An answered prescription check.
    Check,
    /// Why a doctor went on in spite of a finding.
    Override,
    /// A recommended treatment plan.
    Plan,
    /// A decision on recognising an examination.
    Recognition,
}

/// An answer to keep.
#[derive(Debug, Clone)]
pub struct NewRecord {
    /// Its id.
    pub id: String,
    /// Its kind.
    pub kind: RecordKind,
    /// The caller's request id: unique per kind and caller.
    pub request_id: String,
    /// SHA-256 over the request's content.
    pub content_sha256: [u8; 32],
    /// The clinic's reference of the patient; may be empty.
    pub patient_reference: String,
    /// When.
    pub created_ms: i64,
    /// The request, JSON.
    pub request_json: String,
    /// The answer, JSON.
    pub answer_json: String,
    /// What a list shows, JSON.
    pub summary_json: String,
    /// Version of the model; empty where none took part.
    pub model_version: String,
    /// Version of the tables.
    pub rule_version: String,
}

/// A kept answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptRecord {
    /// SHA-256 over the request's content.
    pub content_sha256: [u8; 32],
    /// The answer, JSON.
    pub answer_json: String,
}

/// A line of a list of kept answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedRecord {
    /// Position: lists go from high to low. A cursor, never a time.
    pub seq: i64,
    /// What a list shows, JSON.
    pub summary_json: String,
}

/// Which records to list.
#[derive(Debug, Clone)]
pub struct ListQuery {
    /// Kind.
    pub kind: RecordKind,
    /// Only below this position.
    pub before_seq: Option<i64>,
    /// Only this patient reference.
    pub patient_reference: Option<String>,
    /// At most so many.
    pub limit: u32,
}

/// What became of an append.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Appended {
    /// Kept, on disk.
    New,
    /// The request id was there already: this is what it holds.
    Existing(KeptRecord),
}

/// An entry of the audit trail without its time, which the journal's caller gives.
#[derive(Debug, Clone)]
pub struct AuditEntry {
    /// Milliseconds since 1970.
    pub at_ms: i64,
    /// Record it is about; empty where none.
    pub record_id: String,
    /// Patient reference it is about; empty where none.
    pub patient_reference: String,
    /// `ok`, or the error's code.
    pub outcome: &'static str,
    /// Why it was done, where that must be said; else empty. Never patient data.
    pub detail: String,
}

/// What a store says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalInfo {
    /// Back-end and version.
    pub backend: String,
    /// Schema version.
    pub schema_version: u32,
    /// Kept records.
    pub record_count: u64,
}

/// Keeps answers and the audit trail. What it says is kept, is on disk.
pub trait Journal: Debug + Send + Sync {
    /// Keeps a record with its audit entry in one transaction, or returns the one that holds the
    /// same kind, caller and request id.
    fn append<'a>(
        &'a self,
        permit: &'a Permit<'a>,
        record: NewRecord,
        audit: AuditEntry,
    ) -> BoxFuture<'a, Result<Appended, Error>>;
    /// The record of a request id, if there is one.
    fn find_request<'a>(
        &'a self,
        permit: &'a Permit<'a>,
        kind: RecordKind,
        request_id: &'a str,
    ) -> BoxFuture<'a, Result<Option<KeptRecord>, Error>>;
    /// A record by id, if the caller may read it ([`Caller::reads_of`](super::access::Caller::reads_of));
    /// the reading is audited, as `denied` where not.
    fn read<'a>(
        &'a self,
        permit: &'a Permit<'a>,
        kind: RecordKind,
        id: &'a str,
        audit: AuditEntry,
    ) -> BoxFuture<'a, Result<Option<KeptRecord>, Error>>;
    /// Records that the caller may read, newest first; the reading is audited.
    fn list<'a>(
        &'a self,
        permit: &'a Permit<'a>,
        query: ListQuery,
        audit: AuditEntry,
    ) -> BoxFuture<'a, Result<Vec<ListedRecord>, Error>>;
    /// An audit entry alone.
    fn audit<'a>(
        &'a self,
        permit: &'a Permit<'a>,
        audit: AuditEntry,
    ) -> BoxFuture<'a, Result<(), Error>>;
    /// Whether the store answers, and what it is.
    fn info(&self) -> BoxFuture<'_, Result<JournalInfo, Error>>;
}
