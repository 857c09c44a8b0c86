//! The persons of the hub, in memory, and how documents find theirs.
//!
//! The store is what counts; the index in memory follows it, here and at other hubs on the same store.
//! Documents are taken up in the order in which they came, after they were acknowledged, so that nothing
//! of handing over waits for this. Whoever writes says what it has read: if another hub was faster nothing
//! is written, and the batch is done again.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::{Mutex, MutexGuard};

use super::ports::{
    Applied, HubPeople, PeopleChange, PeopleCounts, PeopleEntry, PeopleState, PersonEvent,
    PersonReview, Stated, Unsettled,
};
use super::stated::{Particulars, Reader, joined_person, keep_person, open_person};
use crate::app::chain;
use crate::app::error::Error;
use crate::app::exchange::key::HubKey;
use crate::app::ports::Clock;
use crate::sharing::discharge::divisions::Divisions;
use crate::sharing::patient::{
    Candidate, Decision, Explanation, Found, PeopleIndex, PeopleLoader, PeopleTables, Prepared,
};

/// Documents taken up at once.
const BATCH: usize = 64;
/// Persons read at once.
const PAGE: usize = 4_096;
/// How long nothing is looked for after nothing was found.
const QUIET: Duration = Duration::from_millis(250);
/// After a fault.
const PAUSE: Duration = Duration::from_secs(5);
/// How often a batch is done again at once because another hub was faster.
const TRIES_MAX: usize = 5;
/// Who decides where nobody does.
pub(super) const PROGRAM: &str = "hub";

/// The persons of a hub. `Debug` prints nobody.
pub struct People {
    pub(super) store: Arc<dyn HubPeople>,
    pub(super) key: Arc<HubKey>,
    pub(super) tables: Arc<PeopleTables>,
    reader: Arc<Reader>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) index: RwLock<PeopleIndex>,
    /// What the index knows of the store; none before it was loaded.
    seen: Mutex<Option<PeopleState>>,
}

impl fmt::Debug for People {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("People").finish_non_exhaustive()
    }
}

/// A person that particulars may be of, as a review keeps it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReviewCandidate {
    /// Number of the person.
    pub person: u64,
    /// What speaks for and against.
    pub explanation: Explanation,
}

/// The index and what it has seen, held by whoever changes persons.
pub(super) struct Turn<'a> {
    seen: MutexGuard<'a, Option<PeopleState>>,
    pub(super) state: PeopleState,
}

/// Particulars on their way to a person.
struct Arrival {
    document: u64,
    said: Option<(Particulars, Stated, Stated)>,
}

/// A change in the making: numbers that it gives, and how the index was before.
pub(super) struct Draft {
    pub(super) change: PeopleChange,
    persons: BTreeMap<u64, Option<Prepared>>,
    before: Vec<(u64, Option<Prepared>)>,
}

impl Draft {
    pub(super) fn new(state: PeopleState, at_ms: i64) -> Self {
        let change =
            PeopleChange { seen: state, number: state.number, at_ms, ..PeopleChange::default() };
        Self { change, persons: BTreeMap::new(), before: Vec::new() }
    }

    /// The next number.
    pub(super) fn number(&mut self) -> u64 {
        self.change.number += 1;
        self.change.number
    }

    pub(super) fn route(&mut self, person: u64) {
        if !self.change.routed.contains(&person) {
            self.change.routed.push(person);
        }
    }

    pub(super) fn event(&mut self, event: PersonEvent) -> u64 {
        let number = self.number();
        let at_ms = self.change.at_ms;
        self.change.events.push(PersonEvent { number, at_ms, ..event });
        number
    }
}

impl People {
    /// Over a store, with the hub's key.
    pub fn new(
        store: Arc<dyn HubPeople>,
        key: Arc<HubKey>,
        (tables, divisions): (Arc<PeopleTables>, Divisions),
        clock: Arc<dyn Clock>,
    ) -> Arc<Self> {
        let reader = Reader { key: Arc::clone(&key), tables: Arc::clone(&tables), divisions };
        let (index, seen) = (RwLock::default(), Mutex::new(None));
        Arc::new(Self { store, key, tables, reader: Arc::new(reader), clock, index, seen })
    }

    /// Finds the persons of documents as they come, for ever.
    pub async fn run(self: Arc<Self>) {
        loop {
            match self.settle().await {
                Ok(0) => tokio::time::sleep(QUIET).await,
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(error = chain(&error), "persons of documents are not found yet");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    /// Takes up the next documents; how many there were.
    pub async fn settle(&self) -> Result<usize, Error> {
        for _ in 0..TRIES_MAX {
            let mut turn = self.turn().await?;
            let new = self.store.unsettled(BATCH).await?;
            if new.is_empty() {
                return Ok(0);
            }
            let count = new.len();
            let mut draft = Draft::new(turn.state, self.clock.now_ms());
            let filled = self.fill(&mut draft, new).await;
            if self.write(&mut turn, draft, filled).await? {
                return Ok(count);
            }
        }
        // Another hub does it.
        Ok(0)
    }

    /// Takes up everything that waits.
    pub async fn settle_all(&self) -> Result<(), Error> {
        while self.settle().await? > 0 {}
        Ok(())
    }

    /// Whoever changes persons, alone at this hub, with an index that has seen what the store has.
    pub(super) async fn turn(&self) -> Result<Turn<'_>, Error> {
        let mut seen = self.seen.lock().await;
        let state = match *seen {
            None => self.load().await?,
            Some(state) => self.follow(state).await?,
        };
        *seen = Some(state);
        Ok(Turn { seen, state })
    }

    /// Reads all persons.
    async fn load(&self) -> Result<PeopleState, Error> {
        let state = self.store.state().await?;
        let mut loader = PeopleLoader::new();
        let mut after = 0;
        loop {
            let page = self.store.changes(after, PAGE).await?;
            let Some(last) = page.last() else { break };
            after = last.change;
            for kept in &page {
                if let Some(prepared) = open_person(&self.key, &self.tables, kept)? {
                    loader.add(kept.number, &prepared).map_err(full)?;
                }
            }
        }
        let index = loader.finish();
        tracing::info!(persons = index.len(), "persons are in memory");
        *self.index.write().unwrap_or_else(PoisonError::into_inner) = index;
        // Whoever changed meanwhile was read, or comes again.
        self.follow(state).await
    }

    /// Takes in what others have changed.
    async fn follow(&self, mut state: PeopleState) -> Result<PeopleState, Error> {
        loop {
            let now = self.store.state().await?;
            let page = self.store.changes(state.change, PAGE).await?;
            for kept in &page {
                let prepared = open_person(&self.key, &self.tables, kept)?;
                self.put(kept.number, prepared.as_ref())?;
                state.change = kept.change;
            }
            if page.is_empty() {
                return Ok(now);
            }
        }
    }

    fn put(&self, number: u64, prepared: Option<&Prepared>) -> Result<(), Error> {
        let mut index = self.index.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(prepared) = prepared {
            return index.insert(number, prepared).map_err(full);
        }
        index.remove(number);
        Ok(())
    }

    /// Writes a draft, or puts the index back. False if another hub was faster.
    pub(super) async fn write(
        &self,
        turn: &mut Turn<'_>,
        draft: Draft,
        filled: Result<(), Error>,
    ) -> Result<bool, Error> {
        let applied = match filled {
            Ok(()) => self.store.apply(draft.change).await,
            Err(error) => Err(error),
        };
        if let Ok(Applied::Done(state)) = applied {
            *turn.seen = Some(state);
            turn.state = state;
            return Ok(true);
        }
        for (number, before) in draft.before.into_iter().rev() {
            self.put(number, before.as_ref())?;
        }
        // If it was written all the same, the next turn reads it.
        applied.map(|_| false)
    }

    /// Changes a person, in the draft and in the index. One without particulars was joined to `into`.
    pub(super) async fn set(
        &self,
        draft: &mut Draft,
        number: u64,
        (prepared, into): (Option<Prepared>, u64),
    ) -> Result<(), Error> {
        let before = self.person(draft, number).await?;
        let kept = match &prepared {
            Some(prepared) => keep_person(&self.key, number, prepared)?,
            None => joined_person(number, into),
        };
        self.put(number, prepared.as_ref())?;
        draft.before.push((number, before));
        draft.persons.insert(number, prepared);
        draft.change.persons.retain(|person| person.number != number);
        draft.change.persons.push(kept);
        Ok(())
    }

    /// What is matched of a person, as the draft leaves it.
    async fn person(&self, draft: &Draft, number: u64) -> Result<Option<Prepared>, Error> {
        if let Some(known) = draft.persons.get(&number) {
            return Ok(known.clone());
        }
        let kept = self.store.persons(&[number]).await?;
        kept.first().map_or(Ok(None), |kept| open_person(&self.key, &self.tables, kept))
    }

    async fn fill(&self, draft: &mut Draft, new: Vec<Unsettled>) -> Result<(), Error> {
        let reader = Arc::clone(&self.reader);
        // Opening and reading takes some milliseconds a document.
        let read = tokio::task::spawn_blocking(move || read_all(&reader, new));
        let arrivals = read.await.map_err(|e| Error::internal("people", e))??;
        let said = || arrivals.iter().filter_map(|arrival| arrival.said.as_ref());
        let digests: BTreeSet<Stated> = said().map(|(_, digest, _)| *digest).collect();
        let digests: Vec<Stated> = digests.into_iter().collect();
        let known = self.store.known(&digests).await?;
        let mut known: HashMap<Stated, (u64, u64)> =
            known.into_iter().map(|one| (one.digest, (one.number, one.person))).collect();
        let cores: BTreeSet<Stated> = said().map(|(_, _, core)| *core).collect();
        let cores: Vec<Stated> = cores.into_iter().collect();
        let mut decided: HashMap<Stated, BTreeMap<u64, Decision>> = HashMap::new();
        for one in self.store.decided(&cores).await? {
            decided.entry(one.core).or_default().insert(one.person, one.decision);
        }
        for Arrival { document, said } in arrivals {
            let Some((particulars, digest, core)) = said else {
                draft.change.settled.push((document, 0));
                entry(draft, PROGRAM, document, "unidentified".to_owned());
                continue;
            };
            let (number, person) = if let Some(known) = known.get(&digest) {
                *known
            } else {
                let decisions = decided.get(&core).cloned().unwrap_or_default();
                let added = self.add(draft, &particulars, document, &decisions).await?;
                known.insert(digest, added);
                added
            };
            draft.change.settled.push((document, number));
            draft.route(person);
        }
        Ok(())
    }

    /// Finds the person of new particulars, or begins one. Numbers of the particulars and the person.
    async fn add(
        &self,
        draft: &mut Draft,
        said: &Particulars,
        document: u64,
        decisions: &BTreeMap<u64, Decision>,
    ) -> Result<(u64, u64), Error> {
        let found = self.find(&said.prepared, decisions);
        let number = draft.number();
        let (action, linked) = match &found {
            Found::Linked(one) => ("linked", Some(one.id)),
            Found::Review(_) => ("review", None),
            Found::New(_) => ("new", None),
        };
        let person = if let Some(person) = linked {
            let before = self.person(draft, person).await?;
            let joined = match &before {
                Some(before) => before.joined(&said.prepared),
                None => said.prepared.clone(),
            };
            if before.as_ref() != Some(&joined) {
                self.set(draft, person, (Some(joined), 0)).await?;
            }
            person
        } else {
            let person = draft.number();
            self.set(draft, person, (Some(said.prepared.clone()), 0)).await?;
            person
        };
        let at_ms = draft.change.at_ms;
        draft.change.particulars.push(said.keep(&self.key, (number, person, at_ms))?);
        let reason = match &found {
            Found::Linked(one) => crate::app::encode(&one.explanation)?,
            // The review has them all.
            Found::Review(_) | Found::New(_) => String::new(),
        };
        draft.event(PersonEvent {
            number: 0,
            at_ms: 0,
            action: action.to_owned(),
            particulars: number,
            from: 0,
            to: person,
            decision: 0,
            by: String::new(),
            reason,
        });
        if let Found::Review(candidates) = found {
            let candidates: Vec<ReviewCandidate> =
                candidates.into_iter().map(ReviewCandidate::from).collect();
            let review = PersonReview {
                number: draft.number(),
                particulars: number,
                candidates: crate::app::encode(&candidates)?,
                at_ms,
                closed_ms: 0,
                outcome: String::new(),
            };
            draft.change.reviews.push(review);
        }
        entry(draft, PROGRAM, document, format!("{action} person {person}"));
        Ok((number, person))
    }

    /// Who somebody is.
    pub(super) fn find(&self, said: &Prepared, decisions: &BTreeMap<u64, Decision>) -> Found {
        let index = self.index.read().unwrap_or_else(PoisonError::into_inner);
        index.find(&self.tables, said, decisions)
    }

    /// Persons in memory, documents that wait for theirs, and open reviews.
    pub async fn waiting(&self) -> Result<(u64, u64, u64), Error> {
        let (unsettled, reviews) = self.store.waiting().await?;
        let persons = self.index.read().unwrap_or_else(PoisonError::into_inner).len();
        Ok((u64::try_from(persons).unwrap_or(u64::MAX), unsettled, reviews))
    }

    /// How many there are.
    pub async fn counts(&self) -> Result<PeopleCounts, Error> {
        self.store.counts().await
    }
}

impl From<Candidate> for ReviewCandidate {
    fn from(candidate: Candidate) -> Self {
        Self { person: candidate.id, explanation: candidate.explanation }
    }
}

fn read_all(reader: &Reader, new: Vec<Unsettled>) -> Result<Vec<Arrival>, Error> {
    let read = |one: Unsettled| {
        let opened = reader.key.open(one.document)?;
        let said = reader.read(&opened).map(|said| {
            let (digest, core) = (said.digest(&reader.key), said.core(&reader.key));
            (said, digest, core)
        });
        Ok(Arrival { document: one.number, said })
    };
    new.into_iter().map(read).collect()
}

/// An entry of the audit trail.
pub(super) fn entry(draft: &mut Draft, by: &str, document: u64, outcome: String) {
    let by = by.to_owned();
    draft.change.audit.push(PeopleEntry { by, action: "person", document, outcome });
}

fn full(error: crate::sharing::patient::IndexFull) -> Error {
    Error::internal("people", error)
}
