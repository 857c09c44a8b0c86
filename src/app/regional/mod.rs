//! Studies across regions: what nodes publish of theirs, who holds what, and the way of an object
//! from the node that holds it to the one that asks.
//!
//! A node publishes an index of its studies to the hub ([`publisher`]); nothing else leaves it until
//! somebody with a reason asks. The hub ([`hub`]) looks patients up and passes objects through from
//! the nearest node that holds them, without keeping any. The node that asks ([`fetching`]) checks
//! every object against the digest that the holder published, goes on where a broken line left off,
//! and keeps what came as a copy. A PACS behind a node ([`behind`]) is asked what it has, and for the
//! images when they are ordered. How nodes reach the hub is behind [`ports::Region`].

pub mod behind;
pub mod fetching;
pub mod holding;
pub mod hub;
pub mod ports;
pub mod publisher;
pub mod searching;
#[cfg(test)]
pub(crate) mod store_suite;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use crate::sharing::imaging::object::{Digest, InstanceUids};
use crate::sharing::imaging::published::{FoundBy, PublishedStudy};

/// Studies told of one patient at most; the newest.
pub const STUDIES_MAX: usize = 500;
/// Studies of one publication at most.
pub const PUBLISHED_MAX: usize = 200;
/// Objects asked for at once.
pub const WANTED_MAX: usize = 500;
/// Bytes of a piece of an object.
pub const PIECE_BYTES: u64 = 256 * 1024;

/// Why images of another node are asked for (after HL7 v3 `PurposeOfUse`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// TREAT: the patient is treated by who asks.
    Treatment,
    /// ETREAT: an emergency.
    Emergency,
    /// HQUALASS: the quality of recognised examinations is looked at.
    Quality,
}

/// Where the index of a node stands at the hub.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IndexState {
    /// Which telling of the whole index it belongs to; empty before the first.
    pub generation: String,
    /// Whether that telling has come to its end.
    pub complete: bool,
    /// The last change that is in it; the node alone reads it.
    pub cursor: String,
}

/// A part of a node's index.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Publication {
    /// Which telling of the whole index it belongs to.
    pub generation: String,
    /// Studies as they are now.
    pub studies: Vec<PublishedStudy>,
    /// Studies that the node no longer has.
    pub removed: Vec<String>,
    /// Where the index stands with these.
    pub cursor: String,
    /// Whether the whole index has been told with these: then what an earlier telling had and this
    /// one had not is gone.
    pub complete: bool,
}

/// One node's holding of a study.
#[derive(Debug, Clone, PartialEq)]
pub struct Holding {
    /// Name of the node.
    pub node: String,
    /// What it published.
    pub study: PublishedStudy,
    /// Whether it is connected now.
    pub online: bool,
    /// When its index was last known to be current, in milliseconds since 1970-01-01T00:00:00Z.
    pub indexed_ms: i64,
}

/// A study of the region with everybody who holds it.
#[derive(Debug, Clone, PartialEq)]
pub struct RegionalStudy {
    /// How it was found.
    pub found_by: FoundBy,
    /// Who holds it, the one it is best had from first; never empty. Only the first has series.
    pub holdings: Vec<Holding>,
}

/// What the region knows of a patient.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RegionalAnswer {
    /// Newest first; at most [`STUDIES_MAX`].
    pub studies: Vec<RegionalStudy>,
    /// Nodes of the region.
    pub nodes: u64,
    /// Those that are not connected now: what was made there since is not known.
    pub offline: Vec<OfflineNode>,
}

/// A node that is not connected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfflineNode {
    /// Name.
    pub node: String,
    /// When its index was last known to be current, in milliseconds since 1970-01-01T00:00:00Z; 0
    /// if never.
    pub indexed_ms: i64,
}

/// A node of the region, as the hub sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeLine {
    /// Name.
    pub node: String,
    /// Administrative division code (GB/T 2260) it belongs to; may be empty.
    pub area: String,
    /// Whether it is connected now.
    pub online: bool,
    /// When it was last connected, in milliseconds since 1970-01-01T00:00:00Z; 0 if never.
    pub seen_ms: i64,
    /// When its index was last known to be current, likewise.
    pub indexed_ms: i64,
    /// Studies it published.
    pub studies: u64,
    /// Round trip to it in microseconds, as last measured; 0 if not known.
    pub round_trip_us: u64,
}

/// What is asked of the node that holds a study.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// A list of its objects.
    Listing,
    /// Some of them.
    Objects(Vec<WantedObject>),
}

/// An object, or what is left of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantedObject {
    /// SOP instance UID.
    pub instance: String,
    /// SHA-256 of the object.
    pub digest: Digest,
    /// Byte to begin at.
    pub offset: u64,
}

/// A question for objects of another node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchRequest {
    /// Study instance UID.
    pub study: String,
    /// Node to ask; empty for the nearest.
    pub node: String,
    /// Nodes that are not to be asked.
    pub avoid: Vec<String>,
    /// What.
    pub wanted: Wanted,
    /// Why.
    pub purpose: Purpose,
    /// Who asks, at the node that does.
    pub requested_by: String,
}

/// One object of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedObject {
    /// Where it stands.
    pub uids: InstanceUids,
    /// SHA-256.
    pub digest: Digest,
    /// Bytes.
    pub bytes: u64,
}

/// What comes of an object, or of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// Who answers; the first piece.
    From {
        /// Name of the node.
        node: String,
    },
    /// A part of a listing.
    Listed(Vec<ListedObject>),
    /// An object begins.
    Object {
        /// SOP instance UID.
        instance: String,
        /// SHA-256.
        digest: Digest,
        /// Transfer syntax UID.
        transfer_syntax: String,
        /// Preamble and file meta group as received with it; may be empty.
        meta: bytes::Bytes,
        /// Byte it begins at.
        offset: u64,
        /// Bytes of the whole.
        length: u64,
    },
    /// Its next bytes.
    Bytes(bytes::Bytes),
    /// The node does not have it any more.
    Missing {
        /// SOP instance UID.
        instance: String,
    },
}

impl Purpose {
    /// The name in audit.
    pub fn name(self) -> &'static str {
        match self {
            Self::Treatment => "treatment",
            Self::Emergency => "emergency",
            Self::Quality => "quality",
        }
    }

    /// Why, as the audit trail says it.
    pub fn audited(self) -> String {
        format!("purpose {}", self.name())
    }
}
