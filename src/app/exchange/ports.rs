//! What the hub's use cases of the exchange need from a store.

use std::fmt::Debug;
use std::sync::Arc;

use tokio::sync::broadcast;

use crate::app::error::Error;
use crate::app::ports::BoxFuture;
use crate::sharing::exchange::{Document, Hello, Numbered, Outcome, Welcome};

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

/// What the hub has read of a document, for routing. Never what only a doctor needs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Facts {
    /// Whose it is; empty if the document does not say well enough.
    pub keys: Vec<PersonKey>,
    /// Where the person lives: division code of 6, 9 or 12 digits, or empty.
    pub division: String,
    /// A registration's own meaning.
    pub registers: Option<Registers>,
    /// The sender takes the document back.
    pub withdrawn: bool,
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
    /// Documents put aside.
    pub quarantined: u64,
    /// When it last came, in milliseconds since 1970; 0 if never.
    pub seen_ms: i64,
    /// Databases that had the name before.
    pub retired_stores: u64,
}

/// Keeps documents at the hub. What it answers is on disk. Several hubs may work on one store.
///
/// A submission is one transaction with the numbers of everybody's inbox and the audit entry; those that
/// wait at the same moment may share one. An inbox has no gaps and its numbers become visible in order,
/// however transactions overlap.
pub trait HubDocuments: Debug + Send + Sync {
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
    ///   with another digest: `Refused` `version_conflict`, except for tasks, which are kept beside each other;
    /// - else it is kept, and put into the inbox of every recipient but the sender: nodes that are
    ///   registered for one of the keys (and not past their last day), and nodes whose scope is the village or the
    ///   township of `division`; a task goes to whoever had its record;
    /// - a registration that becomes active puts the person's kept records of the current version that are
    ///   not in the node's inbox already into it.
    fn keep(&self, submission: Submission) -> BoxFuture<'_, Result<Outcome, Error>>;

    /// Puts a document aside; the same again only counts up.
    fn quarantine(&self, document: Quarantined) -> BoxFuture<'_, Result<(), Error>>;

    /// Documents for a node above a number, in order and without gaps, at most `limit`; and whether there
    /// is no more. Stops early after about 4 MiB.
    fn inbox<'a>(
        &'a self,
        node: &'a str,
        after: u64,
        limit: usize,
    ) -> BoxFuture<'a, Result<Numbered, Error>>;

    /// The node has everything up to `number`.
    fn advance<'a>(
        &'a self,
        node: &'a str,
        number: u64,
        at_ms: i64,
    ) -> BoxFuture<'a, Result<(), Error>>;

    /// Names of nodes whose inbox has grown, here or at another hub on the same store; `*` for all.
    /// Only a hint: it may be late or missing, so whoever waits looks by itself now and then.
    fn grown(&self) -> broadcast::Receiver<Arc<str>>;

    /// All nodes, by name.
    fn nodes(&self) -> BoxFuture<'_, Result<Vec<NodeExchange>, Error>>;
}
