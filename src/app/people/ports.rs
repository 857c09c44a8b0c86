//! What the hub's use cases about people need from a store.

use std::fmt::Debug;

use crate::app::error::Error;
use crate::app::ports::BoxFuture;
use crate::sharing::exchange::Document;
use crate::sharing::patient::Decision;

/// A keyed digest of what was stated.
pub type Stated = [u8; 16];

/// How far the store's persons have come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PeopleState {
    /// Of the last change of a person.
    pub change: u64,
    /// The last number that was given to anything.
    pub number: u64,
}

/// A person as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptPerson {
    /// Number.
    pub number: u64,
    /// What is matched of it, sealed; empty where it was joined to another.
    pub sealed: Vec<u8>,
    /// The person it was joined to; 0 if none.
    pub into: u64,
    /// Of its last change; given by the store.
    pub change: u64,
}

/// What documents state of a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptParticulars {
    /// Number.
    pub number: u64,
    /// Of all that was stated.
    pub digest: Stated,
    /// Of name, birth date, sex and numbers alone.
    pub core: Stated,
    /// All that was stated, sealed.
    pub sealed: Vec<u8>,
    /// Whom it belongs to.
    pub person: u64,
    /// When it first came, in milliseconds since 1970.
    pub at_ms: i64,
}

/// A document whose person is still to be found.
#[derive(Debug, Clone)]
pub struct Unsettled {
    /// The hub's number of it.
    pub number: u64,
    /// The document, sealed.
    pub document: Document,
}

/// How particulars came to a person, or left one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PersonEvent {
    /// Number.
    pub number: u64,
    /// When, in milliseconds since 1970.
    pub at_ms: i64,
    /// What happened.
    pub action: String,
    /// Which particulars.
    pub particulars: u64,
    /// The person it was; 0 if none.
    pub from: u64,
    /// The person it is.
    pub to: u64,
    /// The decision by hand that it follows from; 0 if none.
    pub decision: u64,
    /// Who; empty for the program.
    pub by: String,
    /// Why: the matcher's explanation as JSON, or the note of whoever decided.
    pub reason: String,
}

/// Particulars about which somebody must decide.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PersonReview {
    /// Number.
    pub number: u64,
    /// Which particulars.
    pub particulars: u64,
    /// Persons and explanations as JSON, the likeliest first.
    pub candidates: String,
    /// When it was opened, in milliseconds since 1970.
    pub at_ms: i64,
    /// When it was closed; 0: it is open.
    pub closed_ms: i64,
    /// What came of it; empty while it is open.
    pub outcome: String,
}

/// What was decided by hand about two cores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecidedPair {
    /// Several pairs may belong to one decision.
    pub decision: u64,
    /// The smaller one.
    pub a: Stated,
    /// The larger one.
    pub b: Stated,
    /// What.
    pub same: bool,
}

/// What was decided about a core and a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecidedPerson {
    /// The core that was asked for.
    pub core: Stated,
    /// A person that has the other core.
    pub person: u64,
    /// What.
    pub decision: Decision,
}

/// An entry of the hub's audit trail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeopleEntry {
    /// Who; `hub` for the program.
    pub by: String,
    /// What.
    pub action: &'static str,
    /// The document; 0 if none.
    pub document: u64,
    /// What came of it, without patient data.
    pub outcome: String,
}

/// What is to be written, all or nothing.
#[derive(Debug, Clone, Default)]
pub struct PeopleChange {
    /// What the writer has read; if the store has gone on, nothing is written.
    pub seen: PeopleState,
    /// The last number that this gives.
    pub number: u64,
    /// When, in milliseconds since 1970.
    pub at_ms: i64,
    /// New or changed persons; the store numbers the changes in this order.
    pub persons: Vec<KeptPerson>,
    /// New particulars.
    pub particulars: Vec<KeptParticulars>,
    /// Particulars that get another person.
    pub moves: Vec<(u64, u64)>,
    /// Documents whose particulars are known now; 0: they say too little.
    pub settled: Vec<(u64, u64)>,
    /// What happened.
    pub events: Vec<PersonEvent>,
    /// New reviews.
    pub reviews: Vec<PersonReview>,
    /// Reviews that are closed, or, with an empty outcome, open again.
    pub closed: Vec<(u64, &'static str)>,
    /// What is decided.
    pub decisions: Vec<DecidedPair>,
    /// Decisions that count no longer.
    pub undone: Vec<u64>,
    /// Persons whose records and registrations may meet anew.
    pub routed: Vec<u64>,
    /// For the audit trail.
    pub audit: Vec<PeopleEntry>,
}

/// What became of a [`PeopleChange`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applied {
    /// It is on disk; the store has come so far.
    Done(PeopleState),
    /// Somebody else was faster; nothing was written.
    Stale,
}

/// How many there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PeopleCounts {
    /// Persons, without those joined to others.
    pub persons: u64,
    /// Particulars.
    pub particulars: u64,
    /// Documents whose person is still to be found.
    pub unsettled: u64,
    /// Documents that say too little of a person.
    pub unidentified: u64,
    /// Open reviews.
    pub reviews: u64,
}

/// Persons, particulars and decisions at the hub.
///
/// Several hubs may work on one store: who writes says what it has read, and writes nothing if somebody
/// else has written since.
pub trait HubPeople: Debug + Send + Sync {
    /// How far the store has come.
    fn state(&self) -> BoxFuture<'_, Result<PeopleState, Error>>;

    /// Persons that changed after `after`, in order of their last change, at most `limit`.
    fn changes(&self, after: u64, limit: usize) -> BoxFuture<'_, Result<Vec<KeptPerson>, Error>>;

    /// Documents whose person is still to be found, in order, at most `limit` and about 8 MiB.
    fn unsettled(&self, limit: usize) -> BoxFuture<'_, Result<Vec<Unsettled>, Error>>;

    /// Particulars that are there, by their digests.
    fn known<'a>(
        &'a self,
        digests: &'a [Stated],
    ) -> BoxFuture<'a, Result<Vec<KeptParticulars>, Error>>;

    /// What was decided about these cores and stands, and about whom.
    fn decided<'a>(
        &'a self,
        cores: &'a [Stated],
    ) -> BoxFuture<'a, Result<Vec<DecidedPerson>, Error>>;

    /// Persons by their numbers.
    fn persons<'a>(&'a self, numbers: &'a [u64]) -> BoxFuture<'a, Result<Vec<KeptPerson>, Error>>;

    /// All particulars of these persons, in order.
    fn particulars_of<'a>(
        &'a self,
        persons: &'a [u64],
    ) -> BoxFuture<'a, Result<Vec<KeptParticulars>, Error>>;

    /// Particulars by their numbers.
    fn particulars<'a>(
        &'a self,
        numbers: &'a [u64],
    ) -> BoxFuture<'a, Result<Vec<KeptParticulars>, Error>>;

    /// Writes it, and puts records of [`PeopleChange::routed`] into the inboxes of nodes that one of the
    /// person's registrations gives them to and that neither have nor sent them.
    fn apply(&self, change: PeopleChange) -> BoxFuture<'_, Result<Applied, Error>>;

    /// Reviews with a number above `after`, at most `limit`.
    fn reviews(
        &self,
        closed: bool,
        after: u64,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<PersonReview>, Error>>;

    /// Reviews of these particulars, and the one of this number, open or closed.
    fn reviews_of<'a>(
        &'a self,
        particulars: &'a [u64],
        number: Option<u64>,
    ) -> BoxFuture<'a, Result<Vec<PersonReview>, Error>>;

    /// What happened to a person, in order.
    fn events(&self, person: u64) -> BoxFuture<'_, Result<Vec<PersonEvent>, Error>>;

    /// What followed from a decision, in order; nothing if it was undone or there is none.
    fn decision(&self, number: u64) -> BoxFuture<'_, Result<Vec<PersonEvent>, Error>>;

    /// Names, versions and kinds of the documents of particulars, with the nodes that have them.
    fn documents<'a>(
        &'a self,
        particulars: &'a [u64],
    ) -> BoxFuture<'a, Result<Vec<PersonDocument>, Error>>;

    /// How many documents wait for their person, and how many reviews are open. Asked every few seconds.
    fn waiting(&self) -> BoxFuture<'_, Result<(u64, u64), Error>>;

    /// How many there are.
    fn counts(&self) -> BoxFuture<'_, Result<PeopleCounts, Error>>;
}

/// A document of a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PersonDocument {
    /// The particulars that it states.
    pub particulars: u64,
    /// `record` or `registration`.
    pub kind: String,
    /// Name.
    pub name: String,
    /// Version.
    pub version: u32,
    /// Who handed it over first.
    pub sender: String,
    /// Nodes in whose inbox it is.
    pub nodes: Vec<String>,
}
