//! What look-ups of records need from the hub's store.

use std::fmt::Debug;

use super::PersonKey;
use crate::app::error::Error;
use crate::app::ports::BoxFuture;
use crate::sharing::exchange::Document;

/// A record of a person as the hub keeps it, without its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldRecord {
    /// The hub's number of the document.
    pub number: u64,
    /// Name.
    pub name: String,
    /// Version.
    pub version: u32,
    /// Whether it is the newest version of its name.
    pub current: bool,
    /// The node that handed it over first.
    pub node: String,
    /// The sender took it back.
    pub withdrawn: bool,
    /// When it was kept, in milliseconds since 1970.
    pub kept_ms: i64,
    /// Bytes of its sealed body.
    pub bytes: u64,
}

/// Which records of a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted<'a> {
    /// The current version of each.
    Current,
    /// Of this name the version; 0: the current one.
    Named(&'a str, u32),
}

/// An entry of the trail of look-ups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LookUpEntry {
    /// When, in milliseconds since 1970.
    pub at_ms: i64,
    /// The node, as the link knows it.
    pub node: String,
    /// Who asked there.
    pub caller: String,
    /// As what.
    pub role: &'static str,
    /// `look_up`, `fetch`, [`REGISTER`] or what is done with images.
    pub action: &'static str,
    /// What for.
    pub purpose: &'static str,
    /// Whether the glass was broken.
    pub glass_broken: bool,
    /// Why, in the reader's words.
    pub reason: String,
    /// Keys of the person as stated, one after the other.
    pub person: Vec<u8>,
    /// Name of the record asked for; empty where all were.
    pub record: String,
    /// Its version; 0: the current one, or all.
    pub version: u32,
    /// Numbers of the documents told or given.
    pub documents: Vec<u64>,
    /// What came of it, a stable name.
    pub outcome: &'static str,
    /// Whether the person counts among those that the node has looked up.
    pub counted: bool,
}

/// What is counted by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counting {
    /// Whose records or images a node asks for.
    LookUps,
    /// Whom a node registers of whom it is given what it did not have: entries of [`REGISTER`].
    Registrations,
}

/// How many different persons a node may look up, or register.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance {
    /// Which of them.
    pub of: Counting,
    /// Persons at most.
    pub persons_max: u64,
    /// Counted from after this time, in milliseconds since 1970.
    pub since_ms: i64,
}

/// How much of its allowance a node has used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Spent {
    /// Different persons.
    pub persons: u64,
    /// The person asked about is one of them.
    pub is_known: bool,
    /// When the one of them was last looked up that was so longest ago, in milliseconds since 1970.
    pub oldest_ms: i64,
}

impl Spent {
    /// Whether the person may be looked up.
    pub fn allows(&self, allowance: Allowance) -> bool {
        self.is_known || self.persons < allowance.persons_max
    }
}

/// An entry that is on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entered {
    /// Its number.
    pub number: u64,
    /// Where the node has used its allowance up: then the entry says [`TOO_MANY`], and nothing may be
    /// given.
    pub over: Option<Spent>,
}

/// Action of an entry that says whom a node has registered.
pub const REGISTER: &str = "register";
/// Outcome of a look-up by a node that has used its allowance up.
pub const TOO_MANY: &str = "too_many_persons";

/// Finds the records of a person at the hub, and writes down who asked.
pub trait HubLookUps: Debug + Send + Sync {
    /// Records that have one of `keys`, those kept last first, at most `limit`.
    fn held<'a>(
        &'a self,
        keys: &'a [PersonKey],
        wanted: Wanted<'a>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<HeldRecord>, Error>>;

    /// A document by the hub's number, sealed as it was kept; none if it is not there.
    /// [`Error::Internal`] if it is damaged.
    fn document(&self, number: u64) -> BoxFuture<'_, Result<Option<Document>, Error>>;

    /// How much of an allowance a node has used, by entries that count.
    fn spent<'a>(
        &'a self,
        node: &'a str,
        person: &'a [u8],
        allowance: Allowance,
    ) -> BoxFuture<'a, Result<Spent, Error>>;

    /// Writes an entry. One that counts is checked against the allowance in the same transaction, also
    /// where several hubs write at once: where it is used up, the entry is written without documents,
    /// uncounted and with [`TOO_MANY`].
    fn enter(
        &self,
        entry: LookUpEntry,
        allowance: Allowance,
    ) -> BoxFuture<'_, Result<Entered, Error>>;
}
