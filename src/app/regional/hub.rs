//! The hub: which nodes there are, what they published, and the passing through of objects from the
//! node that holds them to the node that asks.
//!
//! Nodes dial the hub and never each other. Objects pass through a bounded channel and are not kept.
//! Everything here but the store is in memory and comes back when nodes attend again.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::stream::{self, StreamExt as _};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::holding::{Holder, Order};
use super::ports::{AskedImages, KeptNode, KeptStudy, Ledger, Pieces, Region, RegionalStore};
use super::{
    FetchRequest, Holding, IndexState, NodeLine, OfflineNode, PUBLISHED_MAX, Piece, Publication,
    RegionalAnswer, RegionalStudy, STUDIES_MAX, WANTED_MAX, Wanted,
};
use crate::app::access::{Action, Caller, Role, authorise};
use crate::app::error::Error;
use crate::app::imaging::{counted, only};
use crate::app::ports::{AuditEntry, BoxFuture, Clock, IdSource, Journal};
use crate::app::request::Problems;
use crate::sharing::imaging::published::{Held, Key, PatientQuestion, PublishedStudy};

/// Orders that wait for a node to take them.
const ORDERS_MAX: usize = 64;
/// Pieces under way from one node to another; with [`super::PIECE_BYTES`] four mebibytes.
const PIECES_MAX: usize = 16;
/// Deliveries at the same time.
const DELIVERIES_MAX: usize = 256;
/// How long a node may take to begin a delivery.
const BEGIN_WITHIN: Duration = Duration::from_secs(15);
/// Holdings looked at for one question.
const HOLDINGS_MAX: u64 = 2_000;
/// Holders that are tried for one request.
const HOLDERS_TRIED_MAX: usize = 4;

/// A node that may attend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Name.
    pub name: String,
    /// Administrative division code (GB/T 2260): the more digits two nodes share from the left, the
    /// nearer they are. May be empty.
    pub area: String,
}

/// What an attending node is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToNode {
    /// Deliver this.
    Order(Order),
    /// Another node attends under the same name; this one is no longer heard.
    Replaced,
}

/// A node that attends. Dropping it says that it has gone.
#[derive(Debug)]
pub struct Attendance {
    hub: Arc<Hub>,
    node: String,
    session: u64,
    /// What it is sent.
    pub orders: mpsc::Receiver<ToNode>,
    /// What the hub has of its index.
    pub state: IndexState,
}

#[derive(Debug)]
struct Attending {
    session: u64,
    orders: mpsc::Sender<ToNode>,
    round_trip_us: u64,
}

#[derive(Debug)]
struct Awaited {
    node: String,
    pieces: mpsc::Sender<Result<Piece, Error>>,
}

/// What a hub is made of.
#[derive(Debug)]
pub struct HubParts {
    /// Its own name as a node.
    pub name: String,
    /// The nodes that may attend.
    pub members: Vec<Member>,
    /// What they published.
    pub store: Arc<dyn RegionalStore>,
    /// Whose images they asked for.
    pub ledger: Arc<dyn Ledger>,
    /// Gives out what the hub itself holds, if it keeps images.
    pub own: Option<Holder>,
    /// Where passings are audited.
    pub journal: Arc<dyn Journal>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Ids.
    pub ids: Arc<dyn IdSource>,
}

/// See the module.
#[derive(Debug)]
pub struct Hub {
    name: String,
    members: BTreeMap<String, Member>,
    store: Arc<dyn RegionalStore>,
    ledger: Arc<dyn Ledger>,
    own: Option<Holder>,
    journal: Arc<dyn Journal>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn IdSource>,
    attending: Mutex<HashMap<String, Attending>>,
    awaited: Mutex<HashMap<String, Awaited>>,
    sessions: AtomicU64,
}

impl Hub {
    /// Puts the parts together.
    pub fn new(parts: HubParts) -> Arc<Self> {
        let HubParts { name, members, store, ledger, own, journal, clock, ids } = parts;
        let members = members.into_iter().map(|m| (m.name.clone(), m)).collect();
        Arc::new(Self {
            name,
            members,
            store,
            ledger,
            own,
            journal,
            clock,
            ids,
            attending: Mutex::default(),
            awaited: Mutex::default(),
            sessions: AtomicU64::new(1),
        })
    }

    /// Its own name as a node.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A node attends. One that attended under the same name is sent away.
    pub async fn attend(self: &Arc<Self>, node: &str) -> Result<Attendance, Error> {
        self.member(node)?;
        let state = self.store.node(node).await?.state;
        self.store.seen(node, self.clock.now_ms(), None).await?;
        let (sender, orders) = mpsc::channel(ORDERS_MAX);
        let session = self.sessions.fetch_add(1, Ordering::Relaxed);
        let new = Attending { session, orders: sender, round_trip_us: 0 };
        let old = lock(&self.attending).insert(node.to_owned(), new);
        if let Some(old) = old {
            tracing::warn!(node, "attends twice; the older connection is given up");
            let _ = old.orders.try_send(ToNode::Replaced);
        }
        tracing::info!(node, "attends");
        Ok(Attendance { hub: Arc::clone(self), node: node.to_owned(), session, orders, state })
    }

    /// Keeps a publication of `node`.
    pub async fn publish(&self, node: &str, publication: Publication) -> Result<(), Error> {
        self.member(node)?;
        let mut problems = Problems::default();
        problems.id("generation", &publication.generation);
        problems.unless(!publication.generation.is_empty(), "generation", "must not be empty");
        let few = publication.studies.len() <= PUBLISHED_MAX;
        problems.unless(few, "studies", "must have at most 200 entries");
        let few = publication.removed.len() <= PUBLISHED_MAX;
        problems.unless(few, "removed_study_uids", "must have at most 200 entries");
        let named = publication.studies.iter().all(|s| !s.study.uid.is_empty());
        problems.unless(named, "studies", "must each have a study instance UID");
        problems.finish()?;
        self.store.publish(node, publication).await
    }

    /// Notes that everything `node` has is published, and how long a message to it and back takes.
    pub async fn beat(
        &self,
        node: &str,
        current: bool,
        round_trip: Option<Duration>,
    ) -> Result<(), Error> {
        if let Some(round_trip) = round_trip
            && let Some(attending) = lock(&self.attending).get_mut(node)
        {
            attending.round_trip_us = u64::try_from(round_trip.as_micros()).unwrap_or(u64::MAX);
        }
        let now = self.clock.now_ms();
        self.store.seen(node, now, current.then_some(now)).await
    }

    /// What the region knows of a patient, asked by `asker`, whom that counts against: persons asked for
    /// within an hour are limited. In the trail before it is told.
    pub async fn find(
        &self,
        asker: &str,
        question: &PatientQuestion,
    ) -> Result<RegionalAnswer, Error> {
        let answer = self.look(asker, question).await?;
        let told = || answer.studies.iter().filter_map(|study| study.holdings.first());
        let mut persons: BTreeSet<String> = told().map(|told| told.study.person()).collect();
        let found = !persons.is_empty();
        if !found {
            persons.insert(question.person());
        }
        let study = only(told().map(|told| told.study.study.uid.as_str())).unwrap_or_default();
        let noted = AskedImages {
            node: asker.to_owned(),
            asked_by: format!("node:{asker}"),
            action: Action::FindImages.name(),
            study: study.to_owned(),
            persons: persons.into_iter().collect(),
            found,
            ..AskedImages::default()
        };
        self.ledger.note(&noted).await?;
        // What the hub's own people ask for is in its trail already.
        if asker != self.name {
            let patient = only(told().map(|told| told.study.patient.id.as_str()));
            let patient = patient.unwrap_or(&question.patient_id);
            let detail = counted(answer.studies.len(), "answers");
            let by = (noted.asked_by.clone(), Action::FindImages);
            self.enter(by, (study, patient), detail).await?;
        }
        Ok(answer)
    }

    async fn look(&self, asker: &str, question: &PatientQuestion) -> Result<RegionalAnswer, Error> {
        if !question.is_complete() {
            let allowed = "must be given with the patient's birth date, or a patient ID instead";
            return Err(Error::field("patient_name", allowed));
        }
        let looked_up = question.keys();
        let keys: Vec<Key> = looked_up.iter().map(|(_, key)| *key).collect();
        let kept = self.store.find(keys, HOLDINGS_MAX).await?;
        let nodes: HashMap<String, KeptNode> =
            self.store.nodes().await?.into_iter().map(|n| (n.node.clone(), n)).collect();
        let mut studies: Vec<RegionalStudy> = Vec::new();
        let mut places: HashMap<String, usize> = HashMap::new();
        for KeptStudy { node, study, key } in kept {
            // What a node published that is no longer a member is not told.
            if node != self.name && !self.members.contains_key(&node) {
                continue;
            }
            let Some((found_by, _)) = looked_up.get(key) else { continue };
            let holding = Holding {
                online: self.is_online(&node),
                indexed_ms: nodes.get(&node).map_or(0, |n| n.indexed_ms),
                node,
                study,
            };
            let place = *places.entry(holding.study.study.uid.clone()).or_insert(studies.len());
            if let Some(there) = studies.get_mut(place) {
                there.found_by = there.found_by.min(*found_by);
                there.holdings.push(holding);
            } else {
                studies.push(RegionalStudy { found_by: *found_by, holdings: vec![holding] });
            }
        }
        studies.truncate(STUDIES_MAX);
        for study in &mut studies {
            study.holdings.sort_by_key(|holding| self.rank(asker, holding));
            // The series are told once; of the others it counts who has how much of it.
            for other in study.holdings.iter_mut().skip(1) {
                other.study.series.clear();
            }
        }
        let members = self.members.keys().filter(|name| **name != self.name);
        let offline = members
            .clone()
            .filter(|name| !self.is_online(name))
            .map(|name| OfflineNode {
                node: name.clone(),
                indexed_ms: nodes.get(name).map_or(0, |n| n.indexed_ms),
            })
            .collect();
        let count = u64::try_from(members.count()).unwrap_or(u64::MAX);
        Ok(RegionalAnswer { studies, nodes: count + 1, offline })
    }

    /// Passes objects of a study through from a node that holds it to `asker`.
    pub async fn fetch(
        self: &Arc<Self>,
        asker: &str,
        request: FetchRequest,
    ) -> Result<Pieces, Error> {
        if let Wanted::Objects(wanted) = &request.wanted
            && !(1..=WANTED_MAX).contains(&wanted.len())
        {
            return Err(Error::field("objects", "must have 1 to 500 entries"));
        }
        let question =
            PatientQuestion { studies: vec![request.study.clone()], ..PatientQuestion::default() };
        let found = self.look(asker, &question).await?;
        let holdings = found.studies.into_iter().flat_map(|study| study.holdings);
        let mut holdings: Vec<Holding> = holdings.filter(|h| h.node != asker).collect();
        let first = holdings.first().map(|holding| holding.study.clone());
        // Who was not asked for before is asked for now; in vain, too, so that nobody tries UIDs.
        let noted = AskedImages {
            node: asker.to_owned(),
            asked_by: request.requested_by.clone(),
            action: "fetch_images",
            purpose: request.purpose.name(),
            study: request.study.clone(),
            persons: vec![first.as_ref().map_or_else(|| question.person(), PublishedStudy::person)],
            found: first.is_some(),
        };
        self.ledger.note(&noted).await?;
        let Some(PublishedStudy { patient, .. }) = first else {
            return Err(Error::NotFound { kind: "study" });
        };
        if !request.node.is_empty() {
            holdings.retain(|holding| holding.node == request.node);
        }
        holdings.retain(|h| h.online && !request.avoid.contains(&h.node));
        if holdings.is_empty() {
            return Err(Error::Unavailable { what: "node that holds the study", cause: None });
        }
        // Who passes what, before the first object goes.
        let by = (format!("node:{asker}/{}", request.requested_by), Action::RetrieveImages);
        self.enter(by, (&request.study, &patient.id), request.purpose.audited()).await?;
        let mut why = Error::Unavailable { what: "node that holds the study", cause: None };
        for holding in holdings.into_iter().take(HOLDERS_TRIED_MAX) {
            match self.order(asker, &holding.node, &request).await {
                Ok(pieces) => return Ok(pieces),
                Err(error) => {
                    let node = holding.node;
                    tracing::info!(node, error = crate::app::chain(&error), "does not deliver");
                    why = error;
                }
            }
        }
        Err(why)
    }

    /// The channel that the delivery of `node` for `ticket` goes into. A ticket holds once.
    pub fn deliver(
        &self,
        node: &str,
        ticket: &str,
    ) -> Result<mpsc::Sender<Result<Piece, Error>>, Error> {
        let mut awaited = lock(&self.awaited);
        if awaited.get(ticket).is_none_or(|a| a.node != node) {
            return Err(Error::NotFound { kind: "ticket" });
        }
        let found = awaited.remove(ticket);
        found.map(|a| a.pieces).ok_or(Error::NotFound { kind: "ticket" })
    }

    /// The nodes of the region, by name.
    pub async fn nodes(&self) -> Result<Vec<NodeLine>, Error> {
        let kept: HashMap<String, KeptNode> =
            self.store.nodes().await?.into_iter().map(|n| (n.node.clone(), n)).collect();
        let attending = lock(&self.attending);
        let own = Member { name: self.name.clone(), area: String::new() };
        let mut members = self.members.clone();
        members.entry(own.name.clone()).or_insert(own);
        let line = |member: Member| {
            let kept = kept.get(&member.name).cloned().unwrap_or_default();
            let here = attending.get(&member.name);
            NodeLine {
                online: member.name == self.name || here.is_some(),
                round_trip_us: here.map_or(0, |a| a.round_trip_us),
                seen_ms: kept.seen_ms,
                indexed_ms: kept.indexed_ms,
                studies: kept.studies,
                node: member.name,
                area: member.area,
            }
        };
        Ok(members.into_values().map(line).collect())
    }

    /// Orders a delivery and waits for its beginning.
    async fn order(
        self: &Arc<Self>,
        asker: &str,
        node: &str,
        request: &FetchRequest,
    ) -> Result<Pieces, Error> {
        let order = Order {
            ticket: self.ids.new_id(),
            study: request.study.clone(),
            wanted: request.wanted.clone(),
            asked_by: asker.to_owned(),
            requested_by: request.requested_by.clone(),
            purpose: request.purpose,
        };
        if node == self.name {
            let own = self.own.as_ref().ok_or(Error::NotFound { kind: "study" })?;
            return own.open(order).await;
        }
        let (sender, mut receiver) = mpsc::channel(PIECES_MAX);
        let _ticket = self.await_delivery(&order.ticket, node, sender)?;
        let gone = || Error::Unavailable { what: "node that holds the study", cause: None };
        let orders = lock(&self.attending).get(node).map(|a| a.orders.clone()).ok_or_else(gone)?;
        orders.try_send(ToNode::Order(order)).map_err(|_| Error::Overloaded {
            what: "queue of orders to the node",
            retry_after: BEGIN_WITHIN,
        })?;
        let first = timeout(BEGIN_WITHIN, receiver.recv()).await;
        let first = first.map_err(|_| gone())?.ok_or_else(gone)??;
        let first = stream::once(std::future::ready(Ok(first)));
        let rest = stream::unfold(receiver, |mut receiver| async move {
            receiver.recv().await.map(|piece| (piece, receiver))
        });
        let (study, node) = (request.study.clone(), node.to_owned());
        let of_study = move |piece: Result<Piece, Error>| match piece {
            // Who delivers is known by its link, not by what it says.
            Ok(Piece::From { .. }) => Ok(Piece::From { node: node.clone() }),
            // A listing is of the study that was asked for; its holder does not repeat the UID.
            Ok(Piece::Listed(mut objects)) => {
                for object in &mut objects {
                    object.uids.study.clone_from(&study);
                }
                Ok(Piece::Listed(objects))
            }
            other => other,
        };
        Ok(Box::pin(first.chain(rest).map(of_study)))
    }

    /// Awaits a delivery until the guard is dropped.
    fn await_delivery(
        self: &Arc<Self>,
        ticket: &str,
        node: &str,
        pieces: mpsc::Sender<Result<Piece, Error>>,
    ) -> Result<Ticket, Error> {
        let mut awaited = lock(&self.awaited);
        if awaited.len() >= DELIVERIES_MAX {
            let retry_after = BEGIN_WITHIN;
            return Err(Error::Overloaded { what: "queue of deliveries", retry_after });
        }
        awaited.insert(ticket.to_owned(), Awaited { node: node.to_owned(), pieces });
        Ok(Ticket { hub: Arc::clone(self), ticket: ticket.to_owned() })
    }

    /// Writes into the hub's trail what is told or passed.
    async fn enter(
        &self,
        (name, action): (String, Action),
        (study, patient): (&str, &str),
        detail: String,
    ) -> Result<(), Error> {
        let caller = Caller::resumed(name, Role::Node, action);
        let permit = authorise(&caller, action)?;
        let entry = AuditEntry {
            at_ms: self.clock.now_ms(),
            record_id: study.to_owned(),
            patient_reference: patient.to_owned(),
            outcome: "ok",
            detail,
        };
        self.journal.audit(&permit, entry).await
    }

    fn member(&self, node: &str) -> Result<&Member, Error> {
        self.members.get(node).ok_or(Error::Denied { action: "attend" })
    }

    /// How many nodes attend.
    pub fn attending_count(&self) -> usize {
        lock(&self.attending).len()
    }

    fn is_online(&self, node: &str) -> bool {
        node == self.name || lock(&self.attending).contains_key(node)
    }

    /// The smaller the better: there, most objects, in an archive and not behind one, nearest by
    /// area, quickest to answer, the original before copies, by name.
    fn rank(&self, asker: &str, holding: &Holding) -> impl Ord + use<> {
        let area = |name: &str| self.members.get(name).map_or("", |m| m.area.as_str());
        let shared =
            area(asker).bytes().zip(area(&holding.node).bytes()).take_while(|(a, b)| a == b);
        let here = holding.node == asker;
        let trip = lock(&self.attending).get(&holding.node).map_or(0, |a| a.round_trip_us);
        (
            !holding.online,
            std::cmp::Reverse(holding.study.instances),
            holding.study.held == Held::Behind,
            !here,
            std::cmp::Reverse(shared.count()),
            // Differences below ten milliseconds are chance.
            trip / 10_000,
            holding.study.held == Held::Copy,
            holding.node.clone(),
        )
    }
}

/// A ticket that is no longer awaited when dropped.
struct Ticket {
    hub: Arc<Hub>,
    ticket: String,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        lock(&self.hub.awaited).remove(&self.ticket);
    }
}

impl Attendance {
    /// The node's name.
    pub fn node(&self) -> &str {
        &self.node
    }
}

impl Drop for Attendance {
    fn drop(&mut self) {
        let mut attending = lock(&self.hub.attending);
        if attending.get(&self.node).is_some_and(|a| a.session == self.session) {
            attending.remove(&self.node);
            tracing::info!(node = self.node, "attends no longer");
        }
    }
}

/// The region as the hub itself reaches it.
#[derive(Debug)]
pub struct OwnRegion(pub Arc<Hub>);

impl Region for OwnRegion {
    fn attended(&self) -> BoxFuture<'_, Result<IndexState, Error>> {
        Box::pin(async { Ok(self.0.store.node(&self.0.name).await?.state) })
    }

    fn publish(&self, publication: Publication) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async { self.0.store.publish(&self.0.name, publication).await })
    }

    fn current(&self) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async { self.0.beat(&self.0.name, true, None).await })
    }

    fn find(&self, question: PatientQuestion) -> BoxFuture<'_, Result<RegionalAnswer, Error>> {
        Box::pin(async move { self.0.find(&self.0.name, &question).await })
    }

    fn fetch(&self, request: FetchRequest) -> BoxFuture<'_, Result<Pieces, Error>> {
        Box::pin(async { self.0.fetch(&self.0.name, request).await })
    }

    fn nodes(&self) -> BoxFuture<'_, Result<Vec<NodeLine>, Error>> {
        Box::pin(self.0.nodes())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
