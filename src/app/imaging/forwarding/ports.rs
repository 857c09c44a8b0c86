//! What forwarding needs from the outside: a durable queue, a way to send, chance.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::time::Duration;

use crate::app::error::Error;
use crate::app::imaging::ports::IndexedInstance;
use crate::app::ports::BoxFuture;
use crate::sharing::imaging::object::Digest;

/// A place in the change feed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cursor {
    /// Number of the last change that was looked at; 0: none.
    pub number: u64,
    /// Its SOP instance UID, by which it is known that the index is still the one it was.
    pub instance: String,
    /// When it happened, in milliseconds since 1970-01-01T00:00:00Z.
    pub at_ms: i64,
}

/// An object that is to go somewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEntry {
    /// AE title of the destination.
    pub destination: String,
    /// Name of the rule that sends it.
    pub rule: String,
    /// SHA-256 of its bytes. With the destination it names the entry: the same object is queued for
    /// the same place once.
    pub digest: Digest,
    /// SOP instance UID.
    pub instance: String,
    /// Study instance UID.
    pub study: String,
    /// Patient ID, for the audit trail.
    pub patient_id: String,
    /// Bytes.
    pub bytes: u64,
    /// When it was queued, in milliseconds since 1970-01-01T00:00:00Z.
    pub queued_ms: i64,
    /// How long nothing more of the study must come before it goes, in milliseconds.
    pub delay_ms: i64,
}

/// An entry of the queue that is to be sent now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its number in the queue.
    pub id: i64,
    /// Name of the rule that sends it.
    pub rule: String,
    /// SHA-256 of the object's bytes.
    pub digest: Digest,
    /// SOP instance UID.
    pub instance: String,
    /// Study instance UID.
    pub study: String,
    /// Patient ID.
    pub patient_id: String,
    /// How often it was refused.
    pub tries: u32,
}

/// How an entry stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryState {
    /// It waits for its turn, its time or its next try.
    Waiting,
    /// It is being sent.
    Sending,
    /// The destination has it.
    Sent,
    /// It was given up until somebody looks.
    Parked,
}

/// An entry, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedEntry {
    /// AE title of the destination.
    pub destination: String,
    /// Name of the rule.
    pub rule: String,
    /// SOP instance UID.
    pub instance: String,
    /// Study instance UID.
    pub study: String,
    /// How it stands.
    pub state: EntryState,
    /// How often it was refused.
    pub tries: u32,
    /// Why, if it was.
    pub reason: String,
}

/// What became of an entry that was being sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The destination has the object.
    Sent {
        /// Its bytes.
        bytes: u64,
        /// What the destination warned of; empty: nothing.
        warning: String,
    },
    /// The destination refused it. It is tried again.
    Refused {
        /// What it said.
        reason: String,
        /// When it is tried again, in milliseconds since 1970-01-01T00:00:00Z.
        again_ms: i64,
    },
    /// It is not tried again until somebody says so.
    Parked {
        /// Why.
        reason: String,
    },
    /// The association broke, or never was. That says nothing of the object.
    Untried,
    /// The object is no longer kept here.
    Gone,
}

/// What the queue holds for a destination, and what went out over all time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// Entries that wait.
    pub waiting: u64,
    /// Bytes of those.
    pub waiting_bytes: u64,
    /// Entries being sent.
    pub sending: u64,
    /// Entries given up until somebody looks.
    pub parked: u64,
    /// When the oldest entry that waits or is being sent was queued, in milliseconds since
    /// 1970-01-01T00:00:00Z.
    pub oldest_queued_ms: Option<i64>,
    /// Objects sent over all time, warnings included.
    pub sent: u64,
    /// Bytes of those.
    pub sent_bytes: u64,
    /// Objects that the destination took with a warning.
    pub warned: u64,
    /// How often an object was refused.
    pub failed: u64,
    /// Why the last one was.
    pub reason: String,
}

/// The durable queue. What a call has returned from survives a loss of power.
pub trait ForwardingStore: Debug + Send + Sync {
    /// The place in the change feed up to which entries were made; none before the first.
    fn cursor(&self) -> BoxFuture<'_, Result<Option<Cursor>, Error>>;

    /// Adds `entries` and moves the cursor, both or neither. What is queued already, or was sent
    /// not long ago, is left as it is. An entry that must wait for its study holds back the entries
    /// of that study that wait with it, but none for longer than ten times its delay.
    fn add(&self, entries: Vec<NewEntry>, cursor: Cursor) -> BoxFuture<'_, Result<(), Error>>;

    /// Takes the next entries for `destination` that are ready at `now_ms` and that none of the
    /// rules `shut` sends, at most `limit`, oldest first. They are being sent from then on.
    fn take<'a>(
        &'a self,
        destination: &'a str,
        shut: &'a [String],
        now_ms: i64,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<Entry>, Error>>;

    /// Writes down what became of entries that were being sent.
    fn record<'a>(
        &'a self,
        destination: &'a str,
        outcomes: Vec<(i64, Outcome)>,
        now_ms: i64,
    ) -> BoxFuture<'a, Result<(), Error>>;

    /// Puts back what was being sent when the node ended.
    fn release(&self) -> BoxFuture<'_, Result<(), Error>>;

    /// What there is, by destination.
    fn counts(&self) -> BoxFuture<'_, Result<BTreeMap<String, Counts>, Error>>;

    /// Entries for `destination` (of all if none) in `state`, oldest first, at most `limit`.
    fn list<'a>(
        &'a self,
        destination: Option<&'a str>,
        state: EntryState,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<ListedEntry>, Error>>;

    /// Has entries for `destination` (of all if none) that are parked, or wait for a later try,
    /// tried now. How many.
    fn retry<'a>(
        &'a self,
        destination: Option<&'a str>,
        now_ms: i64,
    ) -> BoxFuture<'a, Result<u64, Error>>;

    /// Forgets parked entries of `destination`, or all that are not being sent if `waiting_too`. How
    /// many.
    fn forget<'a>(
        &'a self,
        destination: &'a str,
        waiting_too: bool,
    ) -> BoxFuture<'a, Result<u64, Error>>;

    /// Forgets entries sent before `before_ms`. What was sent stays counted.
    fn prune(&self, before_ms: i64) -> BoxFuture<'_, Result<u64, Error>>;
}

/// Why nothing could be sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct SendFailure {
    /// What happened, without patient data.
    pub reason: String,
}

/// What came of sending one object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SentObject {
    /// The destination answered. Status as in PS3.7, annex C.
    Answered {
        /// Status; 0 is success, Bxxx a warning.
        status: u16,
        /// What it said.
        comment: String,
    },
    /// The destination takes no such class or transfer syntax.
    NotAccepted,
    /// The object cannot be read here. Nothing of it was sent.
    Unreadable {
        /// Why.
        reason: String,
    },
}

/// How objects go out.
pub trait Sender: Debug + Send + Sync {
    /// Opens an association with `destination` on which `instances` can go. `pace` is asked before
    /// bytes go.
    fn call<'a>(
        &'a self,
        destination: &'a str,
        instances: &'a [IndexedInstance],
        pace: Option<std::sync::Arc<dyn Pace>>,
    ) -> BoxFuture<'a, Result<Box<dyn Call>, SendFailure>>;
}

/// An open association.
pub trait Call: Debug + Send {
    /// Sends one object. After a failure nothing more can be sent.
    fn send<'a>(
        &'a mut self,
        instance: &'a IndexedInstance,
    ) -> BoxFuture<'a, Result<SentObject, SendFailure>>;

    /// Ends it in good order.
    fn close(self: Box<Self>) -> BoxFuture<'static, ()>;
}

/// Holds bytes back so that a line is not filled.
pub trait Pace: Debug + Send + Sync {
    /// How long to wait before `bytes` may go. They are taken as gone.
    fn delay(&self, bytes: u64) -> Duration;
}

/// Chance.
pub trait Dice: Debug + Send + Sync {
    /// A number, each as likely as any other.
    fn roll(&self) -> u32;
}
