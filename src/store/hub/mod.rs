//! What both stores of the hub's documents do alike, without SQL: who is to have a document
//! ([`Scopes`]), what becomes of a batch of submissions ([`plan`]), and which rows that gives ([`rows`]).

pub(in crate::store) mod consent;
pub(in crate::store) mod look_up;
pub(in crate::store) mod people;
pub(in crate::store) mod plan;
pub(in crate::store) mod reporting;
pub(in crate::store) mod rows;
pub(in crate::store) mod seal;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use tokio::sync::broadcast;

use crate::app::error::{Cause, Error};
use crate::app::exchange::ports::{NodeExchange, Relation, Scope};
use crate::sharing::exchange::hub::{Acquaintance, greet};
use crate::sharing::exchange::{Document, Hello, Standing, Welcome};

/// SHA-256.
pub(in crate::store) type Sha = [u8; 32];

/// Bytes of a document's name at most, which is 512 characters of any kind: it stands in an index, and
/// a row of one has 2,700 bytes.
const NAME_BYTES_MAX: usize = 2_048;
/// Bytes of the names of a node and of its database, and of a media type, at most.
const WORD_BYTES_MAX: usize = 256;
/// Bytes of bodies after which a reading of an inbox stops.
pub(in crate::store) const READ_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// Documents of one reading at most, whatever is asked for.
pub(in crate::store) const READ_MAX: usize = 1024;
/// Names of nodes that wait for a slow listener.
const GROWN_MAX: usize = 4096;

/// Which nodes cover a place.
#[derive(Debug, Default)]
pub(in crate::store) struct Scopes {
    by_area: HashMap<String, BTreeSet<String>>,
    nodes: BTreeSet<String>,
}

impl Scopes {
    pub(in crate::store) fn new(scopes: Vec<Scope>) -> Self {
        let mut all = Self::default();
        for Scope { node, area } in scopes {
            if area.len() == 9 || area.len() == 12 {
                all.by_area.entry(area).or_default().insert(node.clone());
            }
            all.nodes.insert(node);
        }
        all
    }

    /// Names of all nodes that are configured.
    pub(in crate::store) fn nodes(&self) -> impl Iterator<Item = &str> {
        self.nodes.iter().map(String::as_str)
    }

    /// Nodes of the village and of the township of a place, each with the reason. A county gets nothing.
    fn of(&self, division: &str) -> Vec<(&str, &'static str)> {
        let (village, township) = match division.len() {
            12 => (Some(division), division.get(..9)),
            9 => (None, Some(division)),
            _ => (None, None),
        };
        let mut found = Vec::new();
        for (area, reason) in [(village, "village"), (township, "township")] {
            let nodes = area.and_then(|area| self.by_area.get(area));
            found.extend(nodes.into_iter().flatten().map(|node| (node.as_str(), reason)));
        }
        found
    }

    /// The report, with those that never came.
    pub(in crate::store) fn report(&self, kept: Vec<NodeExchange>) -> Vec<NodeExchange> {
        let mut all: BTreeMap<String, NodeExchange> =
            self.nodes.iter().map(|node| (node.clone(), nobody(node))).collect();
        all.extend(kept.into_iter().map(|node| (node.node.clone(), node)));
        all.into_values().collect()
    }
}

fn nobody(node: &str) -> NodeExchange {
    NodeExchange {
        node: node.to_owned(),
        handed_over: 0,
        inbox: 0,
        kept: 0,
        quarantined: 0,
        seen_ms: 0,
        retired_stores: 0,
        clock_ahead_ms: None,
    }
}

/// Who is told that inboxes have grown.
#[derive(Debug, Clone)]
pub(in crate::store) struct Grown(broadcast::Sender<Arc<str>>);

impl Grown {
    pub(in crate::store) fn new() -> Self {
        Self(broadcast::channel(GROWN_MAX).0)
    }

    pub(in crate::store) fn listen(&self) -> broadcast::Receiver<Arc<str>> {
        self.0.subscribe()
    }

    pub(in crate::store) fn tell(&self, node: &str) {
        // Nobody listening is no fault.
        let _ = self.0.send(Arc::from(node));
    }
}

/// The name of a relation in the store.
pub(in crate::store) fn relation_name(relation: Relation) -> &'static str {
    match relation {
        Relation::Registered => "registered",
        Relation::Contract => "contract",
        Relation::Referral => "referral",
        Relation::Subscription => "subscription",
    }
}

/// By its name.
pub(in crate::store) fn relation_named(name: &str) -> Option<Relation> {
    [Relation::Registered, Relation::Contract, Relation::Referral, Relation::Subscription]
        .into_iter()
        .find(|relation| relation_name(*relation) == name)
}

/// The name of a standing in the audit trail.
pub(in crate::store) fn standing_name(standing: Standing) -> &'static str {
    match standing {
        Standing::Current => "current",
        Standing::Forked => "forked",
        Standing::Replaced => "replaced",
    }
}

/// The names of a node and of its database, as both stores can keep them.
pub(in crate::store) fn check_names(node: &str, store: &str) -> Result<(), Error> {
    for (field, word) in [("node", node), ("store", store)] {
        if !is_word(word) {
            let allowed = format!("is 1 to {WORD_BYTES_MAX} bytes without control characters");
            return Err(Error::field(field, allowed));
        }
    }
    Ok(())
}

fn is_word(word: &str) -> bool {
    (1..=WORD_BYTES_MAX).contains(&word.len()) && !word.chars().any(char::is_control)
}

/// Whether both stores can keep the document's name and type.
fn is_keepable(document: &Document) -> bool {
    let Document { name, media_type, .. } = document;
    (1..=NAME_BYTES_MAX).contains(&name.len())
        && media_type.len() <= WORD_BYTES_MAX
        && !name.chars().chain(media_type.chars()).any(char::is_control)
}

/// Text of a document that was put aside, as both stores can keep it: whatever it was.
pub(in crate::store) fn mended(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

pub(in crate::store) fn int(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

pub(in crate::store) fn count(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

pub(in crate::store) fn failed(cause: impl Into<Cause>) -> Error {
    Error::Unavailable { what: "store of documents", cause: Some(cause.into()) }
}

/// A column that is not what was written there.
pub(in crate::store) fn damaged(column: &'static str) -> sqlx::Error {
    sqlx::Error::ColumnDecode { index: column.to_owned(), source: "not what was written".into() }
}

/// A version, as both stores keep it.
pub(in crate::store) fn version(number: i64) -> u32 {
    u32::try_from(count(number)).unwrap_or(u32::MAX)
}

pub(in crate::store) fn sha(bytes: &[u8]) -> Result<Sha, sqlx::Error> {
    bytes.try_into().map_err(|_| damaged("sha256"))
}

/// What a store has read of a node that comes.
#[derive(Debug)]
pub(in crate::store) struct Came {
    pub(in crate::store) has: Acquaintance,
    /// The database that had the name until now; empty if none had.
    pub(in crate::store) store: String,
}

/// What is to be written when a node comes.
#[derive(Debug)]
pub(in crate::store) struct Greeting {
    pub(in crate::store) welcome: Welcome,
    /// The database that had the name and loses it.
    pub(in crate::store) retires: Option<String>,
    /// What the node has sent above this number is to be put into its inbox.
    pub(in crate::store) gives_back_above: Option<i64>,
}

impl Greeting {
    pub(in crate::store) fn of(hello: &Hello, came: Came) -> Self {
        let welcome = greet(hello, came.has);
        let takes = welcome.standing == Standing::Current
            && !came.store.is_empty()
            && came.store != hello.store;
        // A position that the hub does not have says nothing of what the database has.
        let above = if welcome.remembers { int(hello.position.number) } else { 0 };
        Self {
            welcome,
            retires: takes.then_some(came.store),
            gives_back_above: takes.then_some(above),
        }
    }

    /// The database that has the name from now on.
    pub(in crate::store) fn current(&self) -> Option<&str> {
        (self.welcome.standing == Standing::Current).then_some(self.welcome.store.as_str())
    }

    /// Whether the audit trail is to say that the node came: not when all is as it was.
    pub(in crate::store) fn is_told(&self) -> bool {
        self.retires.is_some() || self.welcome.standing != Standing::Current
    }
}
