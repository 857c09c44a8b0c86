//! What the hub's use cases of the exchange need from a store.

mod look_ups;

use std::sync::Arc;

use tokio::sync::broadcast;

use crate::app::error::Error;
use crate::app::people::ports::HubPeople;
use crate::app::ports::BoxFuture;
use crate::sharing::exchange::{Delivery, Document, Hello, Kind, Numbered, Outcome, Welcome};

pub use self::look_ups::{
    Allowance, Counting, Entered, HeldRecord, HubLookUps, LookUpEntry, REGISTER, Spent, TOO_MANY,
    Wanted,
};

/// A keyed digest of what identifies a person: an identifier together with the name, so that the
/// number of a borrowed card finds nobody. The key stays at the hub.
pub type PersonKey = [u8; 16];

/// Why a node gets a person's documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Relation {
    /// The person is registered with the clinic.
    Registered,
    /// A signed family-doctor contract.
    Contract,
    /// The person was referred there.
    Referral,
    /// The node follows the person for another stated reason.
    Subscription,
}

/// Says that a node gets a person's documents from now on, or no longer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registers {
    /// Why.
    pub relation: Relation,
    /// False: no longer.
    pub active: bool,
    /// Last day it holds, in milliseconds since 1970 of the day's end; none: until taken back.
    pub until_ms: Option<i64>,
}

/// What a patient said of consent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consent {
    /// Given again; false: taken back.
    pub given: bool,
    /// It is about all of the person's records.
    pub all: bool,
    /// The record by which it was said, and that it is about if it is not about all; may be empty then.
    pub record: String,
    /// When, in milliseconds since 1970.
    pub at_ms: i64,
}

/// What a person has taken back, and not given again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Withdrawn {
    /// The person.
    pub key: PersonKey,
    /// The record that it is about; empty: all of the person's.
    pub record: String,
    /// Since when, in milliseconds since 1970.
    pub at_ms: i64,
}

/// What the hub has read of a document, for routing. Never what only a doctor needs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Facts {
    /// Whose it is; empty if the document does not say well enough.
    pub keys: Vec<PersonKey>,
    /// Where the person lives: division code of 6, 9 or 12 digits, or empty.
    pub division: String,
    /// A registration's own meaning.
    pub registers: Option<Registers>,
    /// What a document of consent says.
    pub consent: Option<Consent>,
    /// The sender takes the document back.
    pub withdrawn: bool,
    /// Of a record, the institution that wrote it: its code, else its name folded; empty if not known.
    pub author: String,
}

/// A document that a node hands over.
#[derive(Debug, Clone)]
pub struct Submission {
    /// The node, as the link knows it.
    pub node: String,
    /// Name of its database.
    pub store: String,
    /// Number in its outbox.
    pub number: u64,
    /// The document.
    pub document: Document,
    /// SM3 of the body.
    pub sm3: [u8; 32],
    /// What was read of it.
    pub facts: Facts,
    /// When it came, in milliseconds since 1970.
    pub at_ms: i64,
}

/// A document that cannot be kept as it is, put aside with its reason.
#[derive(Debug, Clone)]
pub struct Quarantined {
    /// The node.
    pub node: String,
    /// Name of its database.
    pub store: String,
    /// Number in its outbox.
    pub number: u64,
    /// The document.
    pub document: Document,
    /// A stable name.
    pub code: String,
    /// What is wrong, without patient data.
    pub reason: String,
    /// When it came, in milliseconds since 1970.
    pub at_ms: i64,
}

/// Which documents that were put aside are listed.
#[derive(Debug, Clone, Default)]
pub struct QuarantineQuery {
    /// Only of this node; empty for all.
    pub node: String,
    /// Those that were dealt with, too.
    pub settled: bool,
    /// Only below this id.
    pub before: Option<i64>,
    /// At most so many.
    pub limit: u32,
}

/// A document that was put aside, without its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PutAside {
    /// Its id: lists go from high to low.
    pub id: u64,
    /// Who sent it.
    pub node: String,
    /// Name of the node's database.
    pub store: String,
    /// Number in its outbox.
    pub number: u64,
    /// What it is about.
    pub kind: Kind,
    /// Name.
    pub name: String,
    /// Version.
    pub version: u32,
    /// Media type that it was sent with.
    pub media_type: String,
    /// Bytes as they are kept.
    pub bytes: u64,
    /// A stable name of what is wrong.
    pub code: String,
    /// What is wrong, without patient data.
    pub reason: String,
    /// When it came first, in milliseconds since 1970.
    pub first_ms: i64,
    /// When it came last.
    pub last_ms: i64,
    /// How often it came.
    pub times: u64,
    /// When somebody said what came of it; 0 if nobody did.
    pub settled_ms: i64,
    /// Who did.
    pub settled_by: String,
    /// What came of it.
    pub finding: String,
}

/// Somebody says what came of a document that was put aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// Who.
    pub by: String,
    /// What came of it.
    pub finding: String,
    /// When, in milliseconds since 1970.
    pub at_ms: i64,
}

/// A node and what it covers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// Name of the node.
    pub node: String,
    /// Division code: a village has 12 digits, a township 9, a county 6; empty: covers nothing. Only
    /// villages and townships are given documents for their residents.
    pub area: String,
}

/// A node as the hub's report shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeExchange {
    /// Name.
    pub node: String,
    /// Documents it has handed over.
    pub handed_over: u64,
    /// Last number of its inbox.
    pub inbox: u64,
    /// How far it has said that it has come.
    pub kept: u64,
    /// Documents put aside that nobody has dealt with.
    pub quarantined: u64,
    /// When it last came, in milliseconds since 1970; 0 if never.
    pub seen_ms: i64,
    /// Databases that had the name before.
    pub retired_stores: u64,
    /// By how much its clock was ahead of the hub's when it last said so, in milliseconds.
    pub clock_ahead_ms: Option<i64>,
}

/// Keeps documents at the hub. What it answers is on disk. Several hubs may work on one store.
///
/// A submission is one transaction with the numbers of everybody's inbox and the audit entry; those that
/// wait at the same moment may share one. An inbox has no gaps and its numbers become visible in order,
/// however transactions overlap.
pub trait HubDocuments: HubLookUps + HubPeople {
    /// Writes down who came, by `sharing::exchange::hub::greet`: with `Current` the database becomes the
    /// node's; if it was another one, that is retired, and what the node has sent above `hello.position`
    /// is put into its inbox in the same transaction.
    fn attend<'a>(
        &'a self,
        node: &'a str,
        hello: &'a Hello,
        at_ms: i64,
    ) -> BoxFuture<'a, Result<Welcome, Error>>;

    /// Keeps a document and gives it to those who are to have it:
    /// - (node, store, number) is there with the same digest: `Known`; with another one: `Forked`;
    /// - (kind, name, version) is there with the same digest: `Known`, and the number is written down;
    ///   with another digest: `Refused` `version_conflict`, except for tasks and consent, which are kept
    ///   beside each other;
    /// - the name of a record is its first sender's: a document of that name from another node, or of
    ///   another institution (where both are known) and about nobody whom the earlier ones are about, is
    ///   `Refused` `name_taken`;
    /// - what is said of consent by a node that neither sent nor has in its inbox a record of each of the keys,
    ///   nor has registered the person, or where there is no key has not the very record, is `Refused`
    ///   `not_the_patients_node`; that or a task whose version is more than
    ///   [`VERSIONS_AHEAD_MAX`](crate::sharing::exchange::VERSIONS_AHEAD_MAX) above the last of its name (and
    ///   of the person's consent) is `Refused` `version_leaps`;
    /// - else it is kept, and put into the inbox of every recipient but the sender: nodes that are
    ///   registered for one of the keys (and not past their last day), and nodes whose scope is the village or the
    ///   township of `division`, with the closest of the reasons: registered, village, township, contract,
    ///   referral, subscription; a record goes to whoever has an older version of it in the inbox, too, if
    ///   for no other reason then for `correction`; a task goes to whoever had its record; what is said of consent goes to
    ///   whoever is registered for one of the keys, and to whoever sent or has in the inbox a record of one
    ///   of the keys, or the record that it is about;
    /// - what was said last of a person's consent (by version, then time, then digest) goes before a record
    ///   of the person to whoever gets that record or sends it, unless it is there;
    /// - a registration that becomes active puts the person's kept records of the current version that
    ///   the node neither sent nor has in its inbox into it, before them what was said last of the person's
    ///   consent, and after them what was said of the tasks of the person's records, likewise, for the
    ///   relation that it says.
    fn keep(&self, submission: Submission) -> BoxFuture<'_, Result<Outcome, Error>>;

    /// Whether a node that registered the person of these keys would be given records that it neither sent
    /// nor has in its inbox.
    fn opens<'a>(
        &'a self,
        node: &'a str,
        keys: &'a [PersonKey],
    ) -> BoxFuture<'a, Result<bool, Error>>;

    /// What the person of these keys has taken back, and not given again: by any number that a record of
    /// the person has.
    fn withdrawals<'a>(
        &'a self,
        keys: &'a [PersonKey],
    ) -> BoxFuture<'a, Result<Vec<Withdrawn>, Error>>;

    /// Puts a document aside; the same again only counts up.
    fn quarantine(&self, document: Quarantined) -> BoxFuture<'_, Result<(), Error>>;

    /// Documents that were put aside, newest first.
    fn quarantined(&self, query: QuarantineQuery) -> BoxFuture<'_, Result<Vec<PutAside>, Error>>;

    /// How many of them nobody has dealt with.
    fn quarantined_count(&self) -> BoxFuture<'_, Result<u64, Error>>;

    /// One of them, with its bytes as they are kept.
    fn read_quarantined(
        &self,
        id: u64,
    ) -> BoxFuture<'_, Result<Option<(PutAside, Document)>, Error>>;

    /// Writes down what came of one, with an entry of the audit trail; none: there is no such document.
    fn settle_quarantined(
        &self,
        id: u64,
        settled: Settled,
    ) -> BoxFuture<'_, Result<Option<PutAside>, Error>>;

    /// Documents for a node above a number, in order and without gaps, at most `limit`, each with why it
    /// is there and who handed it over; and whether there is no more. Stops early after about 4 MiB.
    fn inbox<'a>(
        &'a self,
        node: &'a str,
        after: u64,
        limit: usize,
    ) -> BoxFuture<'a, Result<Numbered<Delivery>, Error>>;

    /// The node has everything up to `number`.
    fn advance<'a>(
        &'a self,
        node: &'a str,
        number: u64,
        at_ms: i64,
    ) -> BoxFuture<'a, Result<(), Error>>;

    /// The node says by how much its clock is ahead, in milliseconds.
    fn note_clock<'a>(&'a self, node: &'a str, ahead_ms: i64) -> BoxFuture<'a, Result<(), Error>>;

    /// Names of nodes whose inbox has grown, here or at another hub on the same store; `*` for all.
    /// Only a hint: it may be late or missing, so whoever waits looks by itself now and then.
    fn grown(&self) -> broadcast::Receiver<Arc<str>>;

    /// All nodes, by name.
    fn nodes(&self) -> BoxFuture<'_, Result<Vec<NodeExchange>, Error>>;

    /// Whether the store answers now.
    fn ready(&self) -> BoxFuture<'_, Result<(), Error>>;
}
