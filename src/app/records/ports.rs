//! What the use cases of records need from a node's store.

use std::fmt::Debug;

use bytes::Bytes;

use super::grants::GrantChange;
use super::notices::{NewNotice, PatientNotice, Telling};
use super::person::PersonKeys;
use crate::app::access::Permit;
use crate::app::error::Error;
use crate::app::exchange::clock::Compared;
use crate::app::ports::{AuditEntry, BoxFuture};
use crate::sharing::consent::GrantKind;
use crate::sharing::discharge::model::Address;
use crate::sharing::exchange::{Cursor, Document, Hello, Kind, Numbered, Outcome, SentFor};

/// What a node's store keeps beside the bytes of a document.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Indexed {
    /// SM3 of the body.
    pub sm3: [u8; 32],
    /// How it is written.
    pub format: &'static str,
    /// What was read of it, JSON; empty where it could not be read.
    pub reading_json: String,
    /// What a list shows, JSON.
    pub summary_json: String,
    /// Whose it is, folded, for looking up.
    pub patient: String,
    /// Whose it is: a digest of number, or of name and birth date; empty where it does not apply.
    pub person: String,
    /// Whose it is, by each thing that says it.
    pub keys: PersonKeys,
    /// The institution that wrote it: its code, else its name folded; empty where not known.
    pub author: String,
    /// Name of the node that handed it over first, this one's own included; empty where not known.
    pub sender: String,
    /// When the hub had it, where it was sent on at once, in milliseconds since 1970.
    pub handed_ms: Option<i64>,
    /// Name of the document that it says it replaces; empty if none.
    pub replaces: String,
    /// Day of discharge that it says, ISO 8601; empty where not known.
    pub discharged: String,
    /// It says that it replaces what has its own name.
    pub replaces_itself: bool,
    /// Programmes it belongs to.
    pub programmes: Vec<String>,
    /// The sender takes it back.
    pub withdrawn: bool,
    /// Why it could not be read; empty if it could.
    pub problem: String,
}

/// A document that this node makes or takes, to be handed over to the hub.
#[derive(Debug, Clone)]
pub struct NewDocument {
    /// The document; version 0: the next one.
    pub document: Document,
    /// What was read of it.
    pub indexed: Indexed,
    /// A task whose state it says.
    pub task: Option<TaskChange>,
    /// What it makes of the clinic's relation to a person.
    pub grant: Option<GrantChange>,
    /// When it came, in milliseconds since 1970.
    pub at_ms: i64,
}

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Submitted {
    /// It is on disk, under this version.
    Kept(u32),
    /// It was there already.
    Known(u32),
    /// The version is there with other content.
    Conflict(u32),
    /// A task's state was changed meanwhile: this is its revision.
    Stale(u32),
    /// The name is that of another record.
    NameTaken(NameTaken),
    /// There is no version above the last one.
    Exhausted,
}

/// Whose the name of a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameTaken {
    /// The record of that name is about another patient, and this one does not say that it replaces it.
    OtherPatient,
    /// The record of that name is another institution's.
    OtherInstitution,
}

/// A document that came over the link.
#[derive(Debug, Clone)]
pub struct Arrived {
    /// The document.
    pub document: Document,
    /// What was read of it.
    pub indexed: Indexed,
    /// What is to be done because of it. Open tasks of the record's other versions that are not among
    /// them are superseded.
    pub tasks: Vec<NewTask>,
    /// A task whose state it says.
    pub task: Option<TaskChange>,
    /// What it makes of the clinic's relation to a person, if it is the newest version.
    pub grant: Option<GrantChange>,
    /// Why the hub gave it; none where it did not say.
    pub sent_for: Option<SentFor>,
    /// When it came, in milliseconds since 1970.
    pub at_ms: i64,
}

/// A task to keep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTask {
    /// Id: the same on every node.
    pub id: String,
    /// Last day, ISO 8601; empty if unknown.
    pub due_day: String,
    /// At once.
    pub urgent: bool,
    /// What it is, JSON.
    pub task_json: String,
}

/// A new state of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskChange {
    /// Id of the task.
    pub id: String,
    /// Its revision, one above the one that was seen.
    pub revision: u32,
    /// State.
    pub state: TaskState,
    /// In words.
    pub note: String,
    /// Who, and at which node.
    pub by: String,
}

/// State of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskState {
    /// To be done.
    Open,
    /// Done.
    Done,
    /// Not to be done.
    Cancelled,
    /// A newer version of the record asks for something else.
    Superseded,
    /// Two places have said different things at the same time; somebody must decide.
    Conflict,
}

/// A document as kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptDocument {
    /// Name.
    pub name: String,
    /// Version.
    pub version: u32,
    /// Media type.
    pub media_type: String,
    /// SHA-256 of the body.
    pub sha256: [u8; 32],
    /// SM3 of the body.
    pub sm3: [u8; 32],
    /// The bytes as they came.
    pub body: Bytes,
    /// How it is written.
    pub format: String,
    /// What was read of it, JSON; empty where it could not be read.
    pub reading_json: String,
    /// Whether it is the newest version, and not replaced by another record.
    pub current: bool,
    /// Name of the record that replaces it; empty if none does.
    pub replaced_by: String,
    /// Whether it came over the link.
    pub from_hub: bool,
    /// When it came, in milliseconds since 1970.
    pub received_ms: i64,
}

/// A line of a list of documents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedDocument {
    /// Position: lists go from high to low.
    pub seq: i64,
    /// Version.
    pub version: u32,
    /// What a list shows, JSON.
    pub summary_json: String,
}

/// Which documents to list: newest versions only, of those that no other record replaces.
#[derive(Debug, Clone, Default)]
pub struct DocumentQuery {
    /// Only below this position.
    pub before_seq: Option<i64>,
    /// Only of this programme; empty for all.
    pub programme: String,
    /// Only of this patient, folded; empty for all.
    pub patient: String,
    /// At most so many.
    pub limit: u32,
}

/// Which tasks to list, urgent ones first, then by last day.
#[derive(Debug, Clone, Default)]
pub struct TaskQuery {
    /// Only of this state; none for open and in conflict.
    pub state: Option<TaskState>,
    /// Only those due on this day or before, or urgent; empty for all.
    pub due_by: String,
    /// Only of this record; empty for all.
    pub record: String,
    /// Leave out so many.
    pub skip: u32,
    /// At most so many.
    pub limit: u32,
}

/// A task as kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptTask {
    /// Id.
    pub id: String,
    /// Name of its record.
    pub record: String,
    /// Version of it.
    pub record_version: u32,
    /// State.
    pub state: TaskState,
    /// Revision of the state; 0: nobody has touched it.
    pub revision: u32,
    /// What it is, JSON.
    pub task_json: String,
    /// What was last said.
    pub note: String,
    /// Who said it.
    pub changed_by: String,
    /// When, in milliseconds since 1970.
    pub changed_ms: i64,
    /// Name of another record of the stay, of which a task stands for this one; empty if none does.
    pub covered_by: String,
}

/// How a kept record stands to consent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordStanding {
    /// Whether it came over the link.
    pub from_hub: bool,
    /// Why the hub gave the newest version that came over the link; none where it did not say.
    pub sent_for: Option<SentFor>,
    /// Name of the node that handed the newest version over first; empty where not known.
    pub sender: String,
    /// When it first came, in milliseconds since 1970.
    pub received_ms: i64,
    /// Whose it is.
    pub person: String,
    /// Where the patient lives, as the newest version says.
    pub address: Address,
    /// Whose it is, by each thing that says it.
    pub keys: PersonKeys,
    /// What the patient took back: of this record or of all; since when, and until when.
    pub withdrawals: Vec<(bool, i64, Option<i64>)>,
    /// Who wrote down what is taken back now; empty where it came from elsewhere.
    pub withdrawn_by: Vec<String>,
    /// Grants of the patient, the last to end first, those that have ended included; at most 50.
    pub grants: Vec<KeptGrant>,
}

/// Something that stands between this clinic and a person. Times are milliseconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptGrant {
    /// Id.
    pub id: String,
    /// What it rests on.
    pub kind: GrantKind,
    /// From when.
    pub from_ms: i64,
    /// Until when, not included; none: open-ended.
    pub until_ms: Option<i64>,
    /// Who wrote it down.
    pub by: String,
    /// How a presence was confirmed; else empty.
    pub how: String,
    /// Where it follows from what the hub sent a record for: that, if it was said.
    pub sent_for: Option<SentFor>,
}

/// What a person took back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TakenBack {
    /// Name of the record; empty: all of them.
    pub record: String,
    /// Since when, in milliseconds since 1970.
    pub from_ms: i64,
    /// Until when; none: still.
    pub until_ms: Option<i64>,
}

/// A patient takes consent back, or gives it again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsentChange {
    /// Any record of the patient's.
    pub record: String,
    /// For all of the patient's records, not for that one.
    pub all: bool,
    /// Given again.
    pub given: bool,
    /// When, in milliseconds since 1970.
    pub at_ms: i64,
}

/// What was said of consent, as its document says it; kept as what was read of the document. Whose consent
/// it is stands in [`Indexed::keys`].
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ConsentSaid {
    /// Whose consent, as it was said before there were keys: one digest for each identifier.
    pub persons: Vec<String>,
    /// The record that it is about; empty: all of the person's.
    pub record: String,
    /// The record by which it was said.
    pub by_record: String,
    /// Given again; false: taken back.
    pub given: bool,
    /// When, in milliseconds since 1970.
    pub at_ms: i64,
}

/// The glass was broken: to be looked at afterwards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessReview {
    /// Id.
    pub id: String,
    /// When, in milliseconds since 1970.
    pub at_ms: i64,
    /// Until when the record can be read for this reason.
    pub until_ms: i64,
    /// Who.
    pub caller: String,
    /// As what.
    pub role: String,
    /// Name of the record; empty where all records of a person were looked up at the hub.
    pub record: String,
    /// Why, in the reader's words.
    pub reason: String,
    /// The policy's row.
    pub rule: String,
    /// When it was looked at; 0 if not yet.
    pub closed_ms: i64,
    /// Who looked at it.
    pub closed_by: String,
    /// What came of it.
    pub finding: String,
}

/// A document of the outbox that the hub did not take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stuck {
    /// Number in the outbox.
    pub number: u64,
    /// What it is about.
    pub kind: Kind,
    /// Its name.
    pub name: String,
    /// How often it was tried.
    pub attempts: u32,
    /// Stable name of the reason.
    pub code: String,
    /// The reason.
    pub reason: String,
    /// When it is tried again, in milliseconds since 1970.
    pub due_ms: i64,
}

/// How the exchange stands.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ExchangeReport {
    /// Name of the database.
    pub store: String,
    /// Documents that wait, stuck ones included.
    pub waiting: u64,
    /// When the oldest of them came, in milliseconds since 1970; 0 if none waits.
    pub oldest_ms: i64,
    /// Highest number of the outbox.
    pub last: u64,
    /// How far the inbox has come.
    pub inbox: u64,
    /// Documents that came and could not be read here.
    pub unreadable: u64,
    /// Those that the hub did not take, at most 50.
    pub stuck: Vec<Stuck>,
    /// What an operator should know, newest first, at most 20: when and a stable name.
    pub events: Vec<(i64, String)>,
    /// How the node's clock stands to the hub's; none: not compared since the start. No store knows it.
    pub clock: Option<Compared>,
}

/// Keeps documents on a node. What it answers is on disk.
pub trait DocumentStore: Debug + Send + Sync {
    /// Keeps a document, its place in the outbox and the audit entry in one transaction. A record is a
    /// version of the one that has its name only if it is of the same node and of the same institution or
    /// person; one without a version only if it is about the same person. What is said of
    /// consent counts from then on, unless something later was said.
    fn submit<'a>(
        &'a self,
        permit: &'a Permit<'a>,
        new: NewDocument,
        audit: AuditEntry,
    ) -> BoxFuture<'a, Result<Submitted, Error>>;
    /// A document by name, of a version or of the newest; the reading is audited.
    fn read<'a>(
        &'a self,
        permit: &'a Permit<'a>,
        kind: Kind,
        name: &'a str,
        version: Option<u32>,
        audit: AuditEntry,
    ) -> BoxFuture<'a, Result<Option<KeptDocument>, Error>>;
    /// Documents, newest first; the reading is audited.
    fn list<'a>(
        &'a self,
        permit: &'a Permit<'a>,
        kind: Kind,
        query: DocumentQuery,
        audit: AuditEntry,
    ) -> BoxFuture<'a, Result<Vec<ListedDocument>, Error>>;
    /// Tasks; the reading is audited.
    fn tasks<'a>(
        &'a self,
        permit: &'a Permit<'a>,
        query: TaskQuery,
        audit: AuditEntry,
    ) -> BoxFuture<'a, Result<Vec<KeptTask>, Error>>;
    /// A task by id; not audited by itself.
    fn task<'a>(
        &'a self,
        permit: &'a Permit<'a>,
        id: &'a str,
    ) -> BoxFuture<'a, Result<Option<KeptTask>, Error>>;
    /// How a record stands to consent; none where there is no such record.
    fn standing<'a>(
        &'a self,
        record: &'a str,
    ) -> BoxFuture<'a, Result<Option<RecordStanding>, Error>>;
    /// What a person took back; `before` are the digests that the person may have in what was kept before
    /// there were keys.
    fn withdrawals<'a>(
        &'a self,
        person: &'a PersonKeys,
        before: &'a [String],
    ) -> BoxFuture<'a, Result<Vec<TakenBack>, Error>>;
    /// Whether this version of a record is here.
    fn holds<'a>(&'a self, record: &'a str, version: u32) -> BoxFuture<'a, Result<bool, Error>>;
    /// Grants of a person, the last to end first, those that have ended included; at most 50.
    fn grants<'a>(&'a self, person: &'a PersonKeys)
    -> BoxFuture<'a, Result<Vec<KeptGrant>, Error>>;
    /// Where a person lives, as the newest versions of records say and registrations that hold.
    fn homes<'a>(
        &'a self,
        person: &'a PersonKeys,
        now_ms: i64,
    ) -> BoxFuture<'a, Result<Vec<Address>, Error>>;
    /// Changes what stands between this clinic and a person. False: there was nothing to end.
    fn change_grant<'a>(
        &'a self,
        permit: &'a Permit<'a>,
        change: GrantChange,
        audit: AuditEntry,
    ) -> BoxFuture<'a, Result<bool, Error>>;
    /// Opens a review, and keeps what the patient is to be told, in one transaction.
    fn open_review<'a>(
        &'a self,
        permit: &'a Permit<'a>,
        review: Option<AccessReview>,
        notice: Option<NewNotice>,
        audit: AuditEntry,
    ) -> BoxFuture<'a, Result<(), Error>>;
    /// What patients are to be told, open ones first, newest first, open ones only or all, at most
    /// `limit`; the reading is audited.
    fn notices<'a>(
        &'a self,
        permit: &'a Permit<'a>,
        open: bool,
        limit: u32,
        audit: AuditEntry,
    ) -> BoxFuture<'a, Result<Vec<PatientNotice>, Error>>;
    /// Of a notice, the record that was read and who read it.
    fn noticed<'a>(&'a self, id: &'a str)
    -> BoxFuture<'a, Result<Option<(String, String)>, Error>>;
    /// A patient was told, or could not be. False: there is no such notice, or the patient was told.
    fn record_notice<'a>(
        &'a self,
        permit: &'a Permit<'a>,
        telling: Telling,
        audit: AuditEntry,
    ) -> BoxFuture<'a, Result<bool, Error>>;
    /// Patients who are yet to be told.
    fn notices_open(&self) -> BoxFuture<'_, Result<u64, Error>>;
    /// Reviews, newest first, open ones only or all, at most `limit`; the reading is audited.
    fn reviews<'a>(
        &'a self,
        permit: &'a Permit<'a>,
        open: bool,
        limit: u32,
        audit: AuditEntry,
    ) -> BoxFuture<'a, Result<Vec<AccessReview>, Error>>;
    /// Closes a review. False: no such open review.
    fn close_review<'a>(
        &'a self,
        permit: &'a Permit<'a>,
        id: &'a str,
        finding: &'a str,
        audit: AuditEntry,
    ) -> BoxFuture<'a, Result<bool, Error>>;
    /// How the exchange stands.
    fn report(&self) -> BoxFuture<'_, Result<ExchangeReport, Error>>;

    /// What the database says of itself.
    fn hello(&self) -> BoxFuture<'_, Result<Hello, Error>>;
    /// Documents that wait: those above a number, and those that were refused and are due again.
    fn outbox(
        &self,
        after: u64,
        limit: usize,
        now_ms: i64,
    ) -> BoxFuture<'_, Result<Numbered, Error>>;
    /// What became of one of them.
    fn settle(
        &self,
        number: u64,
        outcome: Outcome,
        now_ms: i64,
    ) -> BoxFuture<'_, Result<(), Error>>;
    /// Keeps what came, with the cursor, its tasks and an audit entry, in one transaction. What is there
    /// already moves the cursor only. A record of another node whose name a document of this node's own
    /// has is kept beside it, as `<name>@<node>`. What is said of consent counts as if it had been said here.
    fn keep(&self, cursor: Cursor, arrived: Arrived) -> BoxFuture<'_, Result<(), Error>>;
    /// Everything in the outbox is to be sent again.
    fn unsettle(&self, now_ms: i64) -> BoxFuture<'_, Result<(), Error>>;
    /// The inbox begins at another place.
    fn reset_inbox(&self, cursor: Cursor, now_ms: i64) -> BoxFuture<'_, Result<(), Error>>;
    /// The database takes another name.
    fn renew(&self, store: String, now_ms: i64) -> BoxFuture<'_, Result<(), Error>>;
    /// Another box has the node's name.
    fn note_replaced(&self, now_ms: i64) -> BoxFuture<'_, Result<(), Error>>;
}
