//! What regional imaging needs from the outside: a way to the region, and at the hub a place for
//! what nodes publish.

use std::fmt::Debug;
use std::pin::Pin;

use futures_util::stream::Stream;

use super::{FetchRequest, IndexState, NodeLine, Piece, Publication, RegionalAnswer};
use crate::app::error::Error;
use crate::app::ports::BoxFuture;
use crate::sharing::imaging::published::{Key, PatientQuestion, PublishedStudy};

/// Pieces as they come. Dropping it ends the delivery.
pub type Pieces = Pin<Box<dyn Stream<Item = Result<Piece, Error>> + Send>>;

/// The region as a node reaches it.
pub trait Region: Debug + Send + Sync {
    /// Returns once the region can be reached, with what it has of this node's index.
    fn attended(&self) -> BoxFuture<'_, Result<IndexState, Error>>;

    /// Publishes a part of this node's index. Kept when this returns.
    fn publish(&self, publication: Publication) -> BoxFuture<'_, Result<(), Error>>;

    /// Says that everything this node has is published.
    fn current(&self) -> BoxFuture<'_, Result<(), Error>>;

    /// A patient's studies.
    fn find(&self, question: PatientQuestion) -> BoxFuture<'_, Result<RegionalAnswer, Error>>;

    /// Objects of a study, from the node that holds them.
    fn fetch(&self, request: FetchRequest) -> BoxFuture<'_, Result<Pieces, Error>>;

    /// The nodes of the region, by name.
    fn nodes(&self) -> BoxFuture<'_, Result<Vec<NodeLine>, Error>>;
}

/// A question of a node for images, as it is written down at the hub.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AskedImages {
    /// The node, as the link knows it.
    pub node: String,
    /// Who asks there, as far as the node says.
    pub asked_by: String,
    /// `find_images` or `fetch_images`.
    pub action: &'static str,
    /// What for, where that is said.
    pub purpose: &'static str,
    /// Study instance UID, where it is about one.
    pub study: String,
    /// Whose images: patient IDs or names with birth dates. Kept as keyed digests only.
    pub persons: Vec<String>,
    /// Whether anything was found.
    pub found: bool,
}

/// Counts whose images a node asks for, at the hub, together with whose records.
pub trait Ledger: Debug + Send + Sync {
    /// Writes a question down before it is answered. [`Error::Overloaded`] where the node has asked for
    /// too many persons: then nothing may be told.
    fn note<'a>(&'a self, asked: &'a AskedImages) -> BoxFuture<'a, Result<(), Error>>;
}

/// What a node has published, and its index as a whole.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeptNode {
    /// Name.
    pub node: String,
    /// Where its index stands.
    pub state: IndexState,
    /// When it was last known to be current, in milliseconds since 1970-01-01T00:00:00Z; 0 if never.
    pub indexed_ms: i64,
    /// When it was last connected, likewise.
    pub seen_ms: i64,
    /// Studies.
    pub studies: u64,
}

/// A study as one node published it.
#[derive(Debug, Clone, PartialEq)]
pub struct KeptStudy {
    /// Name of the node.
    pub node: String,
    /// What it published.
    pub study: PublishedStudy,
    /// Which of the keys asked for it has, by place; the first that fits.
    pub key: usize,
}

/// What nodes have published, at the hub.
pub trait RegionalStore: Debug + Send + Sync {
    /// Keeps a publication of `node`, all of it or nothing.
    fn publish<'a>(
        &'a self,
        node: &'a str,
        publication: Publication,
    ) -> BoxFuture<'a, Result<(), Error>>;

    /// Notes that the node was connected at `seen_ms` and, if given, its index current then.
    fn seen<'a>(
        &'a self,
        node: &'a str,
        seen_ms: i64,
        indexed_ms: Option<i64>,
    ) -> BoxFuture<'a, Result<(), Error>>;

    /// A node; what was never heard of is empty.
    fn node<'a>(&'a self, node: &'a str) -> BoxFuture<'a, Result<KeptNode, Error>>;

    /// All nodes ever heard of, by name.
    fn nodes(&self) -> BoxFuture<'_, Result<Vec<KeptNode>, Error>>;

    /// Studies that have one of `keys`, newest first, at most `limit` holdings.
    fn find(&self, keys: Vec<Key>, limit: u64) -> BoxFuture<'_, Result<Vec<KeptStudy>, Error>>;

    /// How many studies of a month (as in `202611`) each node has published, by name; those without a date
    /// are of none.
    fn studied<'a>(&'a self, month: &'a str) -> BoxFuture<'a, Result<Vec<(String, u64)>, Error>>;
}
