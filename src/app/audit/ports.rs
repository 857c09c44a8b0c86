//! What the application needs of the store of an audit trail.

use std::fmt::Debug;

use crate::app::error::Error;
use crate::app::ports::BoxFuture;
use crate::app::records::person::PersonKeys;
use crate::sharing::audit::alarms::{Alarm, Subject};
use crate::sharing::audit::{Anchor, Entry, Origin};

/// Which entries, newest first. Of every condition all must hold.
#[derive(Debug, Clone, Default)]
pub struct EntryQuery {
    /// Only below this number.
    pub before: Option<u64>,
    /// Only from this time on, in milliseconds since 1970.
    pub from_ms: Option<i64>,
    /// Only before this time, in milliseconds since 1970.
    pub until_ms: Option<i64>,
    /// Only of this caller.
    pub caller: Option<String>,
    /// Only of this action.
    pub action: Option<String>,
    /// Only with this outcome.
    pub outcome: Option<String>,
    /// Only about a person.
    pub whose: Option<Whose>,
    /// At most so many.
    pub limit: u32,
}

/// What entries about a person name.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Whose {
    /// Patient references.
    pub patients: Vec<String>,
    /// Records.
    pub records: Vec<String>,
}

/// Which alarms, newest first. Of every condition all must hold.
#[derive(Debug, Clone, Copy, Default)]
pub struct AlarmQuery {
    /// Only below this number.
    pub before: Option<u64>,
    /// Only this one.
    pub number: Option<u64>,
    /// Only those that are not closed.
    pub open_only: bool,
    /// At most so many.
    pub limit: u32,
}

/// An alarm as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptAlarm {
    /// Its number: lists go from high to low.
    pub number: u64,
    /// What it says.
    pub alarm: Alarm,
    /// The entry of the trail that closes it; none while it is open.
    pub closed: Option<Entry>,
}

/// How many alarms of a kind there are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlarmCount {
    /// Name of the kind.
    pub kind: String,
    /// All that were ever raised.
    pub raised: u64,
    /// Those that are not closed.
    pub open: u64,
}

/// A trail as a chain.
pub trait Chained: Debug + Send + Sync {
    /// What the chain begins with, and the number up to which the store remembers by itself that there
    /// were entries.
    fn origin(&self) -> BoxFuture<'_, Result<(Origin, u64), Error>>;
    /// Entries above a number, in order, at most so many.
    fn after(&self, number: u64, limit: u32) -> BoxFuture<'_, Result<Vec<Entry>, Error>>;
    /// Where entries are chained after they were written: the first chained one that an entry which is
    /// not stands before.
    fn stray(&self) -> BoxFuture<'_, Result<Option<u64>, Error>> {
        Box::pin(async { Ok(None) })
    }
}

/// A trail whose entries are chained after they were written.
pub trait Sealing: Chained {
    /// Chains the entries that are settled; how many.
    fn seal(&self) -> BoxFuture<'_, Result<u64, Error>>;
}

/// The store of a node's audit trail, for reading. Entries come by the journal and the other stores, each
/// in the transaction of what it is about.
pub trait AuditTrail: Chained {
    /// Entries, newest first.
    fn find(&self, query: EntryQuery) -> BoxFuture<'_, Result<Vec<Entry>, Error>>;
    /// What entries about this person name, as far as the documents of the node tell.
    fn whose(&self, person: PersonKeys) -> BoxFuture<'_, Result<Whose, Error>>;
    /// Whose these records are; those that are not known are left out.
    fn subjects(
        &self,
        records: Vec<String>,
    ) -> BoxFuture<'_, Result<Vec<(String, Subject)>, Error>>;
    /// Number of the last entry.
    fn last(&self) -> BoxFuture<'_, Result<u64, Error>>;
    /// Up to which entry the trail was looked through for alarms.
    fn watched(&self) -> BoxFuture<'_, Result<u64, Error>>;
    /// Keeps alarms, and up to which entry the trail was looked through, in one transaction.
    fn keep_alarms(&self, up_to: u64, alarms: Vec<Alarm>) -> BoxFuture<'_, Result<(), Error>>;
    /// Alarms, newest first. One is closed by the first entry of the action
    /// [`CloseAlarms`](crate::app::access::Action::CloseAlarms) that went well and has
    /// [`alarm_record`](super::alarm_record) of it as its record.
    fn alarms(&self, query: AlarmQuery) -> BoxFuture<'_, Result<Vec<KeptAlarm>, Error>>;
    /// How many alarms of each kind there are.
    fn alarm_counts(&self) -> BoxFuture<'_, Result<Vec<AlarmCount>, Error>>;
    /// Keeps a signed head; `taken_ms`: when the hub took it.
    fn keep_anchor(
        &self,
        anchor: Anchor,
        taken_ms: Option<i64>,
    ) -> BoxFuture<'_, Result<(), Error>>;
    /// Signed heads that are kept here, by number. `node`: the name that they were signed for.
    fn anchors<'a>(&'a self, node: &'a str) -> BoxFuture<'a, Result<Vec<Anchor>, Error>>;
}

/// What became of a head that a node handed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// It goes on from those before, or is one of them.
    Fits,
    /// It is the first of another chain, or by another key, than the node's last one: the box or its
    /// database was replaced.
    Other,
    /// Its number is below the last one's of the same chain: entries were cut off, or an old copy runs.
    Lower,
    /// Another digest is known for its number: the chain was written anew.
    Differs,
}

impl Taken {
    /// The name in the trail and in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fits => "fits",
            Self::Other => "other_chain",
            Self::Lower => "lower",
            Self::Differs => "differs",
        }
    }
}

/// At the hub: heads of nodes. All are kept, whatever they say.
pub trait Anchored: Debug + Send + Sync {
    /// Keeps a head; what it is to those before.
    fn take(&self, anchor: Anchor, at_ms: i64) -> BoxFuture<'_, Result<Taken, Error>>;
    /// Heads of a node, by chain and number.
    fn of<'a>(&'a self, node: &'a str) -> BoxFuture<'a, Result<Vec<Anchor>, Error>>;
    /// How many heads did not fit, by what they were.
    fn counts(&self) -> BoxFuture<'_, Result<Vec<(String, u64)>, Error>>;
}

/// Who signs heads.
pub trait Signer: Debug + Send + Sync {
    /// A mark with key and signature.
    fn sign(&self, mark: crate::sharing::audit::Mark) -> Anchor;
}

/// References are the patient's.
impl Debug for Whose {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Whose({} references, {} records)", self.patients.len(), self.records.len())
    }
}
