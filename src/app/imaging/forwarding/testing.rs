//! A queue in memory, peers that behave as told, and a clock that follows the paused time of tests.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::ports::{
    Call, Counts, Cursor, Dice, Entry, EntryState, ForwardingStore, ListedEntry, NewEntry, Outcome,
    Pace, SendFailure, Sender, SentObject,
};
use crate::app::error::Error;
use crate::app::imaging::ports::IndexedInstance;
use crate::app::ports::{BoxFuture, Clock};

/// 2023-11-14, 22:13:20 UTC.
pub(super) const START_MS: i64 = 1_700_000_000_000;

#[derive(Debug, Clone)]
struct Row {
    new: NewEntry,
    state: EntryState,
    tries: u32,
    ready_ms: i64,
    reason: String,
}

#[derive(Debug, Default)]
struct Table {
    rows: BTreeMap<i64, Row>,
    cursor: Option<Cursor>,
    tally: BTreeMap<String, Counts>,
}

/// What the disk would hold: it survives the node that is dropped.
#[derive(Debug, Default)]
pub(super) struct MemoryQueue {
    table: Mutex<Table>,
    pub(super) cannot_record: AtomicBool,
}

fn now<T: Send + 'static>(value: T) -> BoxFuture<'static, T> {
    Box::pin(std::future::ready(value))
}

impl MemoryQueue {
    pub(super) fn states(&self) -> Vec<(String, EntryState, u32, String)> {
        let table = self.table.lock().unwrap();
        let read = |r: &Row| (r.new.instance.clone(), r.state, r.tries, r.reason.clone());
        table.rows.values().map(read).collect()
    }
}

impl ForwardingStore for MemoryQueue {
    fn cursor(&self) -> BoxFuture<'_, Result<Option<Cursor>, Error>> {
        now(Ok(self.table.lock().unwrap().cursor.clone()))
    }

    fn add(&self, entries: Vec<NewEntry>, cursor: Cursor) -> BoxFuture<'_, Result<(), Error>> {
        let mut table = self.table.lock().unwrap();
        let known: HashSet<_> =
            table.rows.values().map(|r| (r.new.destination.clone(), r.new.digest)).collect();
        for new in entries {
            if !known.contains(&(new.destination.clone(), new.digest)) {
                let id = i64::try_from(table.rows.len()).unwrap();
                let ready_ms = new.queued_ms + new.delay_ms;
                let state = EntryState::Waiting;
                table
                    .rows
                    .insert(id, Row { new, state, tries: 0, ready_ms, reason: String::new() });
            }
        }
        table.cursor = Some(cursor);
        now(Ok(()))
    }

    fn take<'a>(
        &'a self,
        destination: &'a str,
        shut: &'a [String],
        now_ms: i64,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<Entry>, Error>> {
        let mut table = self.table.lock().unwrap();
        let ready = table.rows.iter_mut().filter(|(_, row)| {
            row.new.destination == destination
                && row.state == EntryState::Waiting
                && row.ready_ms <= now_ms
                && !shut.contains(&row.new.rule)
        });
        let taken = ready.take(usize::try_from(limit).unwrap()).map(|(id, row)| {
            row.state = EntryState::Sending;
            Entry {
                id: *id,
                rule: row.new.rule.clone(),
                digest: row.new.digest,
                instance: row.new.instance.clone(),
                study: row.new.study.clone(),
                patient_id: row.new.patient_id.clone(),
                tries: row.tries,
            }
        });
        now(Ok(taken.collect()))
    }

    fn record<'a>(
        &'a self,
        destination: &'a str,
        outcomes: Vec<(i64, Outcome)>,
        _: i64,
    ) -> BoxFuture<'a, Result<(), Error>> {
        if self.cannot_record.load(Ordering::Relaxed) {
            return now(Err(Error::Unavailable { what: "queue", cause: None }));
        }
        let mut table = self.table.lock().unwrap();
        let Table { rows, tally, .. } = &mut *table;
        let counts = tally.entry(destination.to_owned()).or_default();
        for (id, outcome) in outcomes {
            let row = rows.get_mut(&id).unwrap();
            assert_eq!(row.state, EntryState::Sending);
            match outcome {
                Outcome::Sent { .. } => {
                    row.state = EntryState::Sent;
                    counts.sent += 1;
                }
                Outcome::Refused { reason, again_ms } => {
                    row.state = EntryState::Waiting;
                    row.tries += 1;
                    (row.reason, row.ready_ms) = (reason, again_ms);
                }
                Outcome::Parked { reason } => {
                    row.state = EntryState::Parked;
                    row.tries += 1;
                    row.reason = reason;
                }
                Outcome::Untried => row.state = EntryState::Waiting,
                Outcome::Gone => {
                    rows.remove(&id);
                }
            }
        }
        now(Ok(()))
    }

    fn release(&self) -> BoxFuture<'_, Result<(), Error>> {
        for row in self.table.lock().unwrap().rows.values_mut() {
            if row.state == EntryState::Sending {
                row.state = EntryState::Waiting;
            }
        }
        now(Ok(()))
    }

    fn counts(&self) -> BoxFuture<'_, Result<BTreeMap<String, Counts>, Error>> {
        let table = self.table.lock().unwrap();
        let mut all = table.tally.clone();
        for row in table.rows.values() {
            let counts = all.entry(row.new.destination.clone()).or_default();
            match row.state {
                EntryState::Waiting => counts.waiting += 1,
                EntryState::Sending => counts.sending += 1,
                EntryState::Parked => counts.parked += 1,
                EntryState::Sent => continue,
            }
            let oldest = counts.oldest_queued_ms.unwrap_or(i64::MAX).min(row.new.queued_ms);
            counts.oldest_queued_ms = Some(oldest);
        }
        now(Ok(all))
    }

    fn list<'a>(
        &'a self,
        _: Option<&'a str>,
        _: EntryState,
        _: u32,
    ) -> BoxFuture<'a, Result<Vec<ListedEntry>, Error>> {
        now(Ok(Vec::new()))
    }

    fn retry<'a>(&'a self, _: Option<&'a str>, _: i64) -> BoxFuture<'a, Result<u64, Error>> {
        now(Ok(0))
    }

    fn forget<'a>(&'a self, _: &'a str, _: bool) -> BoxFuture<'a, Result<u64, Error>> {
        now(Ok(0))
    }

    fn prune(&self, _: i64) -> BoxFuture<'_, Result<u64, Error>> {
        now(Ok(0))
    }
}

/// How a peer behaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Peer {
    /// It takes everything.
    Well,
    /// Nobody answers.
    Down,
    /// It accepts the connection and says nothing.
    Hangs,
    /// It answers so.
    Answers(u16),
    /// It accepts no context.
    AcceptsNothing,
    /// It breaks the association at that object.
    BreaksAt(String),
}

/// What peers were sent: destination, SOP instance UID, when.
pub(super) type Log = Vec<(String, String, Duration)>;

#[derive(Debug)]
pub(super) struct FakeSender {
    pub(super) peers: Arc<Mutex<BTreeMap<String, Peer>>>,
    pub(super) log: Arc<Mutex<Log>>,
    pub(super) calls: Arc<Mutex<VecDeque<(String, Duration)>>>,
    pub(super) begun: Instant,
}

#[derive(Debug)]
struct FakeCall {
    destination: String,
    peers: Arc<Mutex<BTreeMap<String, Peer>>>,
    log: Arc<Mutex<Log>>,
    pace: Option<Arc<dyn Pace>>,
    begun: Instant,
}

impl FakeSender {
    pub(super) fn new(peers: &[(&str, Peer)]) -> Self {
        let peers = peers.iter().map(|(title, peer)| ((*title).to_owned(), peer.clone())).collect();
        Self {
            peers: Arc::new(Mutex::new(peers)),
            log: Arc::default(),
            calls: Arc::default(),
            begun: Instant::now(),
        }
    }

    pub(super) fn set(&self, title: &str, peer: Peer) {
        self.peers.lock().unwrap().insert(title.to_owned(), peer);
    }

    /// What `title` was sent, in order.
    pub(super) fn sent(&self, title: &str) -> Vec<String> {
        let log = self.log.lock().unwrap();
        log.iter().filter(|(to, _, _)| to == title).map(|(_, uid, _)| uid.clone()).collect()
    }

    /// When `title` was called, in whole seconds.
    pub(super) fn called(&self, title: &str) -> Vec<u64> {
        let calls = self.calls.lock().unwrap();
        calls.iter().filter(|(to, _)| to == title).map(|(_, at)| at.as_secs()).collect()
    }
}

impl Sender for FakeSender {
    fn call<'a>(
        &'a self,
        destination: &'a str,
        _: &'a [IndexedInstance],
        pace: Option<Arc<dyn Pace>>,
    ) -> BoxFuture<'a, Result<Box<dyn Call>, SendFailure>> {
        self.calls.lock().unwrap().push_back((destination.to_owned(), self.begun.elapsed()));
        let peer = self.peers.lock().unwrap()[destination].clone();
        Box::pin(async move {
            if peer == Peer::Down {
                return Err(SendFailure { reason: "cannot reach it".to_owned() });
            }
            let call: Box<dyn Call> = Box::new(FakeCall {
                destination: destination.to_owned(),
                peers: Arc::clone(&self.peers),
                log: Arc::clone(&self.log),
                pace,
                begun: self.begun,
            });
            Ok(call)
        })
    }
}

impl Call for FakeCall {
    fn send<'a>(
        &'a mut self,
        instance: &'a IndexedInstance,
    ) -> BoxFuture<'a, Result<SentObject, SendFailure>> {
        let peer = self.peers.lock().unwrap()[&self.destination].clone();
        Box::pin(async move {
            if let Some(pace) = &self.pace {
                sleep(pace.delay(instance.location.length)).await;
            }
            sleep(Duration::from_millis(1)).await;
            let uid = &instance.uids.instance;
            let answered = |status| Ok(SentObject::Answered { status, comment: "said".to_owned() });
            match peer {
                Peer::Hangs => std::future::pending().await,
                Peer::AcceptsNothing => Ok(SentObject::NotAccepted),
                Peer::BreaksAt(at) if at == *uid => {
                    Err(SendFailure { reason: "connection reset".to_owned() })
                }
                Peer::Down => Err(SendFailure { reason: "connection lost".to_owned() }),
                Peer::Answers(status) => answered(status),
                Peer::Well | Peer::BreaksAt(_) => {
                    let at = self.begun.elapsed();
                    self.log.lock().unwrap().push((self.destination.clone(), uid.clone(), at));
                    answered(0)
                }
            }
        })
    }

    fn close(self: Box<Self>) -> BoxFuture<'static, ()> {
        now(())
    }
}

#[derive(Debug)]
pub(super) struct PausedClock(pub(super) Instant);

impl Clock for PausedClock {
    fn now_ms(&self) -> i64 {
        START_MS + i64::try_from(self.0.elapsed().as_millis()).unwrap()
    }
}

/// The largest number always: pauses are as long as they can be.
#[derive(Debug)]
pub(super) struct Largest;

impl Dice for Largest {
    fn roll(&self) -> u32 {
        u32::MAX
    }
}
