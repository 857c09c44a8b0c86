//! How a node and its hub exchange documents so that nothing is lost and nothing comes twice: the
//! two sides of the conversation as state machines without I/O.
//!
//! A document is one immutable version of something with a name ([`Document`]). A node numbers what
//! it sends by the row of its outbox, under the name of its database ([`Hello::store`]); the hub
//! answers each by itself after it is on disk, so that one that is refused blocks none behind it. The
//! hub numbers what a node is to have, per node and without gaps; the node answers with how far it has
//! come after that is on its disk. Both sides may say anything twice.
//!
//! [`node::NodeSession`] and [`hub::HubSession`] take what was heard and what the store said, and give
//! what is to be done; `app::exchange` does it, and `simulation` does it under seeded faults.

pub mod hub;
pub mod node;
#[cfg(test)]
mod simulation;

use std::fmt;

use bytes::Bytes;
use sha2::{Digest as _, Sha256};

/// Highest version that a sender may state. Above it there is room for the versions that follow from it.
pub const VERSION_MAX: u32 = 4_000_000_000;
/// So far ahead of what was known may a version be that is counted up by those who say something, as
/// that of a task or of consent is: what lies between may be lost or come later.
pub const VERSIONS_AHEAD_MAX: u32 = 1_000;

/// Documents under way in one direction at most.
pub const IN_FLIGHT_MAX: usize = 256;
/// Bytes under way in one direction, above which nothing more is sent; one document may be larger.
pub const IN_FLIGHT_BYTES_MAX: usize = 4 * 1024 * 1024;

/// What a document is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A discharge record, as its sender wrote it.
    Record,
    /// A person registered with a clinic, or no longer.
    Registration,
    /// The state of a follow-up task, as somebody left it.
    Task,
    /// What a patient said of consent: taken back, or given again.
    Consent,
}

/// One version of something.
#[derive(Clone, PartialEq, Eq)]
pub struct Document {
    /// What it is about.
    pub kind: Kind,
    /// What all its versions share.
    pub name: String,
    /// Version, from 1.
    pub version: u32,
    /// Media type of the body.
    pub media_type: String,
    /// SHA-256 of the body.
    pub sha256: [u8; 32],
    /// The bytes.
    pub body: Bytes,
}

/// Why the hub gives a node a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SentFor {
    /// The patient lives in the node's village.
    Village,
    /// The patient lives in the node's township.
    Township,
    /// The patient is registered with the node's institution.
    Registered,
    /// A family-doctor contract.
    Contract,
    /// A referral.
    Referral,
    /// The node follows the patient for another stated reason.
    Subscription,
    /// A registration brought what was there before; hubs of today name its relation instead.
    Backfill,
    /// The node had sent it, and its database may have lost it.
    Returned,
    /// It is about a task of a record that the node has.
    Task,
    /// The node has an older version of it, and no other reason to have this one: it is to know that
    /// its own no longer counts.
    Correction,
    /// Something that this version does not know.
    Other,
}

/// A document for a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// The document.
    pub document: Document,
    /// Why the node is to have it; none: a hub of before did not say.
    pub sent_for: Option<SentFor>,
    /// Name of the node that handed it over first; empty: a hub of before did not say.
    pub sender: String,
    /// When it was handed over, in milliseconds since 1970; none where the node is to have it only by what
    /// was said later, or the hub is one of before.
    pub handed_ms: Option<i64>,
}

/// Documents with their numbers, and whether there is no more.
pub type Numbered<D = Document> = (Vec<(u64, D)>, bool);

/// Where a node's own documents have come to at the hub: the last one answered for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Position {
    /// The hub's number of it, over all nodes; 0 before the first.
    pub number: u64,
    /// SHA-256 of its body.
    pub sha256: [u8; 32],
}

/// How far a node has come in what it is to have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cursor {
    /// Number in the node's inbox; 0 before the first.
    pub number: u64,
    /// Digest over everything up to it: see [`Cursor::after`].
    pub chain: [u8; 32],
}

/// First word of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    /// Name of the node's database: made at random with it.
    pub store: String,
    /// Highest number of its outbox; 0 before the first.
    pub last: u64,
    /// The last of its documents that the hub answered for.
    pub position: Position,
    /// How far it has come in its inbox.
    pub inbox: Cursor,
}

/// From the node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FromNode {
    /// First word.
    Hello(Hello),
    /// A document, by its number in the outbox.
    Document(u64, Document),
    /// Everything up to this number is on the node's disk.
    Kept(u64),
}

/// From the hub.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FromHub {
    /// Answers [`Hello`].
    Welcome(Welcome),
    /// Answers a document, after it is on disk.
    Answer(u64, Outcome),
    /// A document for the node, by its number in the node's inbox.
    Deliver(u64, Delivery),
}

/// How the hub sees the node's database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// As expected.
    Current,
    /// The database is older than what it has sent, or two boxes have the same one: it must take
    /// another name before it sends.
    Forked,
    /// Another box has taken the node's name. It may hand over what it still has and is given nothing.
    Replaced,
}

/// The hub answers a [`Hello`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Welcome {
    /// The database that said hello.
    pub store: String,
    /// How the hub sees it.
    pub standing: Standing,
    /// Whether the hub has the document at [`Hello::position`]. If not it was set back, and the node
    /// sends everything again.
    pub remembers: bool,
    /// Where deliveries begin: the node's own cursor, or the beginning if the hub's numbers are not
    /// those that the node has.
    pub inbox: Cursor,
}

/// What became of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It is on the hub's disk, under this number of the hub.
    Kept(u64),
    /// It was there already, under this number.
    Known(u64),
    /// It cannot be kept as it is. A stable name, and words without patient data.
    Refused {
        /// Stable name, for example `version_conflict`.
        code: String,
        /// What is wrong and what to do.
        reason: String,
    },
    /// The number stands for another document there: see [`Standing::Forked`].
    Forked,
}

/// The other side broke the rules; the line is given up and dialled again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the other side broke the protocol: {0}")]
pub struct Breach(pub &'static str);

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Record, Self::Registration, Self::Task, Self::Consent];

    /// Whether documents of one name and version with other contents are kept beside each other: who reads
    /// them decides which counts.
    pub fn has_variants(self) -> bool {
        match self {
            Self::Task | Self::Consent => true,
            Self::Record | Self::Registration => false,
        }
    }

    /// The name in stores and on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Record => "record",
            Self::Registration => "registration",
            Self::Task => "task",
            Self::Consent => "consent",
        }
    }

    /// By its name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

impl SentFor {
    /// Every reason.
    pub const ALL: [Self; 11] = [
        Self::Village,
        Self::Township,
        Self::Registered,
        Self::Contract,
        Self::Referral,
        Self::Subscription,
        Self::Backfill,
        Self::Returned,
        Self::Task,
        Self::Correction,
        Self::Other,
    ];

    /// The name in stores and answers.
    pub fn name(self) -> &'static str {
        match self {
            Self::Village => "village",
            Self::Township => "township",
            Self::Registered => "registered",
            Self::Contract => "contract",
            Self::Referral => "referral",
            Self::Subscription => "subscription",
            Self::Backfill => "backfill",
            Self::Returned => "returned",
            Self::Task => "task",
            Self::Correction => "correction",
            Self::Other => "other",
        }
    }

    /// By its name; none for the empty one.
    pub fn named(name: &str) -> Option<Self> {
        let known = Self::ALL.into_iter().find(|reason| reason.name() == name);
        known.or((!name.is_empty()).then_some(Self::Other))
    }
}

impl From<Document> for Delivery {
    /// From a hub that does not say why.
    fn from(document: Document) -> Self {
        Self { document, sent_for: None, sender: String::new(), handed_ms: None }
    }
}

impl Cursor {
    /// With one more document: the chain is SHA-256 over the chain before and the document's.
    #[must_use]
    pub fn after(self, sha256: &[u8; 32]) -> Self {
        let chain = Sha256::new().chain_update(self.chain).chain_update(sha256).finalize().into();
        Self { number: self.number + 1, chain }
    }
}

impl Outcome {
    /// The hub's number of the document, if it has it.
    pub fn number(&self) -> Option<u64> {
        match self {
            Self::Kept(number) | Self::Known(number) => Some(*number),
            Self::Refused { .. } | Self::Forked => None,
        }
    }
}

impl Document {
    /// Bytes that count against a window.
    fn weight(&self) -> usize {
        self.body.len() + self.name.len() + 256
    }
}

/// The body is a patient's.
impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Document")
            .field("kind", &self.kind)
            .field("version", &self.version)
            .field("bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

/// What is under way and has not been answered.
#[derive(Debug, Default)]
struct Window {
    weights: std::collections::BTreeMap<u64, usize>,
    bytes: usize,
}

impl Window {
    fn has_room(&self) -> bool {
        self.weights.len() < IN_FLIGHT_MAX && self.bytes < IN_FLIGHT_BYTES_MAX
    }

    fn room(&self) -> usize {
        if self.bytes >= IN_FLIGHT_BYTES_MAX {
            return 0;
        }
        IN_FLIGHT_MAX.saturating_sub(self.weights.len())
    }

    fn holds(&self, number: u64) -> bool {
        self.weights.contains_key(&number)
    }

    fn add(&mut self, number: u64, weight: usize) {
        self.bytes += weight;
        if let Some(before) = self.weights.insert(number, weight) {
            self.bytes -= before;
        }
    }

    fn remove(&mut self, number: u64) -> bool {
        let removed = self.weights.remove(&number);
        self.bytes -= removed.unwrap_or(0);
        removed.is_some()
    }

    fn remove_through(&mut self, number: u64) {
        while let Some((&first, _)) = self.weights.first_key_value()
            && first <= number
        {
            self.remove(first);
        }
    }
}
