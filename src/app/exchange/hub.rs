//! The hub's use cases of the exchange: who comes, what is handed over, who is woken.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use sm3::{Digest as _, Sm3};
use tokio::sync::{Notify, broadcast};

use super::clock::AHEAD_MAX_MS;
use super::facts;
use super::key::{HubKey, SEAL_BYTES};
use super::look_up::LookUps;
use super::ports::{
    HubDocuments, NodeExchange, PutAside, QuarantineQuery, Quarantined, Settled, Submission,
};
use crate::app::chain;
use crate::app::error::Error;
use crate::app::people::People;
use crate::app::people::ports::HubPeople;
use crate::app::ports::Clock;
use crate::sharing::discharge::divisions::Divisions;
use crate::sharing::exchange::{
    Delivery, Document, Hello, Numbered, Outcome, VERSION_MAX, Welcome,
};
use crate::sharing::patient::PeopleTables;
use crate::tables::text;

/// Characters of a name at most.
const NAME_CHARS_MAX: usize = 512;
/// A node's clock is written down again when it moved so much, in milliseconds.
const CLOCK_NEWS_MS: i64 = 10_000;
/// Bytes of a body at most.
pub const BODY_BYTES_MAX: usize = 16 * 1024 * 1024;

/// See the module.
#[derive(Debug)]
pub struct Exchange {
    pub(super) store: Arc<dyn HubDocuments>,
    people: Arc<People>,
    pub(super) key: Arc<HubKey>,
    divisions: Divisions,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) look_ups: LookUps,
    wakers: Mutex<HashMap<String, Arc<Notify>>>,
    /// What nodes have said of their clocks, as it was last written down.
    clocks: Mutex<HashMap<String, i64>>,
}

impl Exchange {
    /// Over a store; `key` seals, and makes digests of what identifies people; `divisions` tells where an
    /// address is, the tables how people are matched, `look_ups` who may look records up.
    pub fn new(
        store: Arc<dyn HubDocuments>,
        (key, divisions, tables): (HubKey, Divisions, Arc<PeopleTables>),
        look_ups: LookUps,
        clock: Arc<dyn Clock>,
    ) -> Arc<Self> {
        let (key, wakers, clocks) = (Arc::new(key), Mutex::default(), Mutex::default());
        let persons: Arc<dyn HubPeople> = Arc::<dyn HubDocuments>::clone(&store);
        let known = (tables, divisions.clone());
        let people = People::new(persons, Arc::clone(&key), known, Arc::clone(&clock));
        Arc::new(Self { store, people, key, divisions, clock, look_ups, wakers, clocks })
    }

    /// Who the documents are about.
    pub fn people(&self) -> &Arc<People> {
        &self.people
    }

    /// Wakes whoever waits for a node's inbox, for ever.
    pub async fn run(self: Arc<Self>) {
        let mut grown = self.store.grown();
        loop {
            match grown.recv().await {
                Ok(node) if &*node == "*" => self.wake_all(),
                Ok(node) => {
                    let wakers = self.wakers.lock().unwrap_or_else(PoisonError::into_inner);
                    if let Some(waker) = wakers.get(&*node) {
                        waker.notify_waiters();
                        waker.notify_one();
                    }
                }
                // Too many at once: nobody knows for whom.
                Err(broadcast::error::RecvError::Lagged(_)) => self.wake_all(),
                Err(broadcast::error::RecvError::Closed) => return,
            }
        }
    }

    fn wake_all(&self) {
        let wakers = self.wakers.lock().unwrap_or_else(PoisonError::into_inner);
        for waker in wakers.values() {
            waker.notify_waiters();
            waker.notify_one();
        }
    }

    /// Is notified when the node's inbox may have grown.
    pub fn waker(&self, node: &str) -> Arc<Notify> {
        let mut wakers = self.wakers.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(wakers.entry(node.to_owned()).or_default())
    }

    /// A node says hello.
    pub async fn attend(&self, node: &str, hello: &Hello) -> Result<Welcome, Error> {
        if hello.store.is_empty() || hello.store.chars().count() > 64 {
            return Err(Error::field("hello.store", "must have 1 to 64 characters"));
        }
        let welcome = self.store.attend(node, hello, self.clock.now_ms()).await?;
        match welcome.standing {
            crate::sharing::exchange::Standing::Current => {}
            crate::sharing::exchange::Standing::Forked => tracing::warn!(
                node,
                "an old copy of the node's database came, or a second box with the same one; it is \
                 given another name and what it lost"
            ),
            crate::sharing::exchange::Standing::Replaced => tracing::warn!(
                node,
                "a box came whose name another box has taken; it hands over what it has and is given \
                 nothing: give one of them another name"
            ),
        }
        Ok(welcome)
    }

    /// A node hands a document over. What cannot be kept is put aside, and told.
    pub async fn submit(
        &self,
        node: &str,
        store: String,
        number: u64,
        document: Document,
    ) -> Result<Outcome, Error> {
        let at_ms = self.clock.now_ms();
        let (refused, document) = match self.read(&document) {
            Ok((sm3, facts)) => {
                let document = self.key.seal(document)?;
                let node = node.to_owned();
                let submission = Submission {
                    node,
                    store: store.clone(),
                    number,
                    document: document.clone(),
                    sm3,
                    facts,
                    at_ms,
                };
                if let Some(waits) = self.counted(&submission).await? {
                    return Ok(waits);
                }
                match self.store.keep(submission).await? {
                    Outcome::Refused { code, reason } => ((code, reason), document),
                    outcome @ (Outcome::Kept(_) | Outcome::Known(_) | Outcome::Forked) => {
                        return Ok(outcome);
                    }
                }
            }
            Err(refused) => (refused, self.key.seal(aside(document))?),
        };
        let (code, reason) = refused;
        let quarantined = Quarantined {
            node: node.to_owned(),
            store,
            number,
            document,
            code: code.clone(),
            reason: reason.clone(),
            at_ms,
        };
        self.store.quarantine(quarantined).await?;
        tracing::warn!(node, number, code, "a document was put aside");
        Ok(Outcome::Refused { code, reason })
    }

    fn read(
        &self,
        document: &Document,
    ) -> Result<([u8; 32], super::ports::Facts), (String, String)> {
        let refuse = |code: &str, reason: &str| Err((code.to_owned(), reason.to_owned()));
        let name = document.name.chars().count();
        if name == 0 || name > NAME_CHARS_MAX || !text::is_printable(&document.name) {
            return refuse(
                "name_impossible",
                "the name must have 1 to 512 characters, none that does not show",
            );
        }
        if !(1..=VERSION_MAX).contains(&document.version) {
            return refuse("version_impossible", "the version must be from 1 to 4000000000");
        }
        if document.body.len() > BODY_BYTES_MAX {
            return refuse("body_too_large", "the body must have at most 16 MiB");
        }
        let digest: [u8; 32] = sha2::Sha256::digest(&document.body).into();
        if digest != document.sha256 {
            return refuse("digest_differs", "the body is not the one that its digest says");
        }
        let facts = facts::of(document, &self.key, &self.divisions)?;
        Ok((Sm3::digest(&document.body).into(), facts))
    }

    /// Documents for a node above a number; and whether there is no more.
    pub async fn inbox(
        &self,
        node: &str,
        after: u64,
        limit: usize,
    ) -> Result<Numbered<Delivery>, Error> {
        let (deliveries, whole) = self.store.inbox(node, after, limit).await?;
        let opened = deliveries.into_iter().map(|(number, delivery)| {
            let document = self.key.open(delivery.document)?;
            Ok((number, Delivery { document, ..delivery }))
        });
        Ok((opened.collect::<Result<_, Error>>()?, whole))
    }

    /// The node has everything up to `number`.
    pub async fn advance(&self, node: &str, number: u64) {
        // Only the report reads it: the node says it again with its next hello.
        if let Err(error) = self.store.advance(node, number, self.clock.now_ms()).await {
            tracing::warn!(
                node,
                error = chain(&error),
                "how far a node has come is not written down"
            );
        }
    }

    /// A node has compared its clock with this hub's: it is ahead by so much, in milliseconds. Written
    /// down where that is news; a node whose clock is off is told of once.
    pub async fn note_clock(&self, node: &str, ahead_ms: i64) {
        let is_off = |ahead: i64| ahead.saturating_abs() > AHEAD_MAX_MS;
        let before = {
            let clocks = self.clocks.lock().unwrap_or_else(PoisonError::into_inner);
            clocks.get(node).copied()
        };
        let is_news = before.is_none_or(|before| {
            ahead_ms.saturating_sub(before).saturating_abs() > CLOCK_NEWS_MS
                || is_off(before) != is_off(ahead_ms)
        });
        if !is_news {
            return;
        }
        if let Err(error) = self.store.note_clock(node, ahead_ms).await {
            // It is said again with the next beat.
            tracing::debug!(node, error = chain(&error), "a node's clock is not written down");
            return;
        }
        self.clocks
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(node.to_owned(), ahead_ms);
        match (before.is_some_and(is_off), is_off(ahead_ms)) {
            (false, true) => tracing::warn!(
                node,
                ahead_s = ahead_ms / 1_000,
                "a node's clock and this hub's differ by more than two minutes: set the one that is wrong \
                 (chrony; 请对时)"
            ),
            (true, false) => tracing::warn!(node, "a node's clock and this hub's agree again"),
            (false, false) | (true, true) => {}
        }
    }

    /// This hub's time, in milliseconds since 1970.
    pub fn now_ms(&self) -> i64 {
        self.clock.now_ms()
    }

    /// Documents that were put aside, newest first.
    pub(super) async fn quarantined(&self, query: QuarantineQuery) -> Result<Vec<PutAside>, Error> {
        let found = self.store.quarantined(query).await?;
        Ok(found.into_iter().map(unsealed).collect())
    }

    /// How many of them nobody has dealt with.
    pub async fn quarantined_count(&self) -> Result<u64, Error> {
        self.store.quarantined_count().await
    }

    /// One of them, with its bytes as they came.
    pub(super) async fn read_quarantined(
        &self,
        id: u64,
    ) -> Result<Option<(PutAside, Document)>, Error> {
        let Some((line, document)) = self.store.read_quarantined(id).await? else {
            return Ok(None);
        };
        Ok(Some((unsealed(line), self.key.open(document)?)))
    }

    /// Writes down what came of one.
    pub(super) async fn settle_quarantined(
        &self,
        id: u64,
        settled: Settled,
    ) -> Result<Option<PutAside>, Error> {
        Ok(self.store.settle_quarantined(id, settled).await?.map(unsealed))
    }

    /// Whether the store answers now.
    pub async fn ready(&self) -> Result<(), Error> {
        self.store.ready().await
    }

    /// All nodes, by name.
    pub async fn nodes(&self) -> Result<Vec<NodeExchange>, Error> {
        self.store.nodes().await
    }
}

/// A document as it is put aside: under the digest that it has, whatever it says, because that makes the
/// nonce, and with a name that can be kept.
fn aside(document: Document) -> Document {
    let sha256 = sha2::Sha256::digest(&document.body).into();
    Document { name: document.name.replace('\0', "\u{fffd}"), sha256, ..document }
}

/// With the bytes that the document has itself.
fn unsealed(line: PutAside) -> PutAside {
    PutAside { bytes: line.bytes.saturating_sub(SEAL_BYTES), ..line }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sharing::exchange::Kind;

    #[test]
    fn bodies_that_claim_one_digest_are_sealed_apart() {
        let key = HubKey::new(&[7; 32]);
        let claims = |body: &'static str| Document {
            kind: Kind::Record,
            name: "a".to_owned(),
            version: 1,
            media_type: String::new(),
            sha256: [5; 32],
            body: bytes::Bytes::from(body),
        };
        let sealed = |body| key.seal(aside(claims(body))).unwrap();
        let (one, other) = (sealed("one"), sealed("other"));
        // A nonce that comes twice under one key opens both.
        assert_ne!(one.body[1..13], other.body[1..13]);
        assert_eq!(&*key.open(one).unwrap().body, b"one");
    }
}
