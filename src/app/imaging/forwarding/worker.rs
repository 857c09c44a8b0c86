//! Sends what is queued for one destination.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt as _};
use tokio::time::{Instant, sleep};

use super::ports::{Call, Dice, Entry, ForwardingStore, Outcome, Pace, Sender, SentObject};
use super::throttle::Throttle;
use super::{Destination, Imaging, LOOK_EVERY, lock};
use crate::app::access::Caller;
use crate::app::chain;
use crate::app::error::Error;
use crate::app::imaging::Requester;
use crate::app::imaging::ports::{IndexedInstance, Selection};
use crate::app::ports::Clock;
use crate::sharing::imaging::forwarding::Window;
use crate::sharing::imaging::object::Digest;

/// Objects on one association. Each may need a presentation context of its own, of which a request
/// has 128.
const BATCH_MAX: u32 = 100;
/// Objects that were sent are written down at least so often.
const RECORD_EVERY: Duration = Duration::from_secs(1);
/// The first pause after a failure; each further one doubles it.
const BACK_OFF_MIN: Duration = Duration::from_secs(2);
/// The longest.
const BACK_OFF_MAX: Duration = Duration::from_mins(10);
/// Refusals of one object after which it is given up until somebody looks.
const REFUSALS_MAX: u32 = 4;
/// The rate is taken over so long.
const RATE_OVER_MS: i64 = 60_000;
/// Characters of a reason that are kept.
const REASON_CHARS_MAX: usize = 200;

/// What is known of a destination only while the node runs.
#[derive(Debug, Default)]
pub(super) struct Live {
    /// Bytes sent by second.
    went: VecDeque<(i64, u64)>,
    next_try_ms: Option<i64>,
    reason: String,
}

/// [`Live`] at one moment.
#[derive(Debug, Default)]
pub(super) struct Snapshot {
    pub(super) bytes_per_second: u64,
    pub(super) next_try_ms: Option<i64>,
    pub(super) reason: String,
}

impl Live {
    pub(super) fn at(&self, now_ms: i64) -> Snapshot {
        let recent = |&&(at, _): &&(i64, u64)| now_ms.saturating_sub(at) < RATE_OVER_MS;
        let bytes: u64 = self.went.iter().filter(recent).map(|(_, bytes)| bytes).sum();
        Snapshot {
            bytes_per_second: bytes / RATE_OVER_MS.unsigned_abs().div_euclid(1000),
            next_try_ms: self.next_try_ms.filter(|at| *at > now_ms),
            reason: self.reason.clone(),
        }
    }

    fn went(&mut self, now_ms: i64, bytes: u64) {
        let second = now_ms - now_ms.rem_euclid(1000);
        match self.went.back_mut() {
            Some((at, sum)) if *at == second => *sum = sum.saturating_add(bytes),
            Some(_) | None => self.went.push_back((second, bytes)),
        }
        while self.went.front().is_some_and(|(at, _)| now_ms.saturating_sub(*at) >= RATE_OVER_MS) {
            self.went.pop_front();
        }
    }
}

/// The worker of one destination.
pub(super) struct Worker {
    pub(super) destination: Destination,
    /// Rules that send to it, with their windows.
    pub(super) rules: Vec<(String, Option<Window>)>,
    pub(super) utc_offset_minutes: i16,
    pub(super) imaging: Arc<Imaging>,
    pub(super) store: Arc<dyn ForwardingStore>,
    pub(super) sender: Arc<dyn Sender>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) dice: Arc<dyn Dice>,
    pub(super) live: Arc<Mutex<Live>>,
    pub(super) throttle: Option<Arc<Throttle>>,
}

/// How an association went.
enum End {
    /// The destination answered.
    Reached,
    /// It did not, or is full.
    Failed(String),
}

/// Pauses between tries to reach a destination.
#[derive(Debug, Default)]
struct BackOff {
    failures: u32,
    until: Option<Instant>,
}

impl Worker {
    /// Sends for ever.
    pub(super) async fn run(self) {
        let mut back_off = BackOff::default();
        let mut lanes = FuturesUnordered::new();
        loop {
            let mut idle = LOOK_EVERY;
            loop {
                // A destination that failed is tried on one association first.
                let lanes_max = if back_off.failures > 0 {
                    1
                } else {
                    self.destination.associations_max.max(1)
                };
                if lanes.len() >= lanes_max {
                    break;
                }
                if let Some(left) = back_off.left() {
                    idle = left;
                    break;
                }
                match self.take().await {
                    Ok(batch) if batch.is_empty() => break,
                    Ok(batch) => lanes.push(self.batch(batch)),
                    Err(error) => {
                        self.tell("queue cannot be read", &error);
                        idle = BACK_OFF_MIN;
                        break;
                    }
                }
            }
            tokio::select! {
                Some(end) = lanes.next(), if !lanes.is_empty() => self.ended(end, &mut back_off),
                () = sleep(idle) => {}
            }
        }
    }

    fn ended(&self, end: Result<End, Error>, back_off: &mut BackOff) {
        let reason = match end {
            Ok(End::Reached) => {
                *back_off = BackOff::default();
                let mut live = lock(&self.live);
                live.next_try_ms = None;
                live.reason.clear();
                return;
            }
            Ok(End::Failed(reason)) => reason,
            Err(error) => {
                self.tell("queue cannot be written", &error);
                "the queue cannot be written".to_owned()
            }
        };
        // Several associations that break together are one failure.
        if back_off.left().is_none() {
            back_off.failures = back_off.failures.saturating_add(1);
            let pause = pause(back_off.failures, &*self.dice);
            back_off.until = Some(Instant::now() + pause);
            let pause_ms = i64::try_from(pause.as_millis()).unwrap_or(i64::MAX);
            let mut live = lock(&self.live);
            live.next_try_ms = Some(self.clock.now_ms().saturating_add(pause_ms));
            live.reason.clone_from(&reason);
            let (destination, failures) = (&self.destination.ae_title, back_off.failures);
            tracing::warn!(destination, failures, pause_ms, reason, "forwarding is held up");
        }
    }

    fn tell(&self, what: &'static str, error: &Error) {
        tracing::warn!(destination = self.destination.ae_title, error = chain(error), "{what}");
    }

    /// Rules whose window is shut.
    fn shut(&self) -> Vec<String> {
        let now = self.clock.now_ms();
        let shut = |window: Option<Window>| {
            window.is_some_and(|window| !window.is_open(now, self.utc_offset_minutes))
        };
        self.rules.iter().filter(|(_, w)| shut(*w)).map(|(name, _)| name.clone()).collect()
    }

    async fn take(&self) -> Result<Vec<Entry>, Error> {
        let (destination, shut) = (&self.destination.ae_title, self.shut());
        let mut entries =
            self.store.take(destination, &shut, self.clock.now_ms(), BATCH_MAX).await?;
        // One that breaks every association must not stand before those that would go.
        entries.sort_by_key(|entry| (entry.tries, entry.id));
        Ok(entries)
    }

    /// Sends `entries` on one association.
    async fn batch(&self, entries: Vec<Entry>) -> Result<End, Error> {
        let mut record = Record { worker: self, outcomes: Vec::new(), last: Instant::now() };
        let untried = |entries: &[Entry]| -> Vec<(i64, Outcome)> {
            entries.iter().map(|e| (e.id, Outcome::Untried)).collect()
        };
        let found = match self.look_up(&entries).await {
            Ok(found) => found,
            Err(error) => {
                record.outcomes = untried(&entries);
                record.write().await?;
                return Ok(End::Failed(chain(&error)));
            }
        };
        let mut sending: Vec<(Entry, IndexedInstance)> = Vec::new();
        for entry in entries {
            match found.get(&entry.digest) {
                Some(instance) => sending.push((entry, instance.clone())),
                None => record.outcomes.push((entry.id, Outcome::Gone)),
            }
        }
        if sending.is_empty() {
            record.write().await?;
            return Ok(End::Reached);
        }
        let instances: Vec<IndexedInstance> = sending.iter().map(|(_, i)| i.clone()).collect();
        let pace = self.throttle.clone().map(|throttle| -> Arc<dyn Pace> { throttle });
        let called = self.sender.call(&self.destination.ae_title, &instances, pace).await;
        let mut call = match called {
            Ok(call) => call,
            Err(failure) => {
                record.outcomes.extend(sending.iter().map(|(e, _)| (e.id, Outcome::Untried)));
                record.write().await?;
                return Ok(End::Failed(short(&failure.reason)));
            }
        };
        let end = self.send_all(call.as_mut(), &sending, &mut record).await?;
        record.write().await?;
        if matches!(end, End::Reached) {
            call.close().await;
        }
        Ok(end)
    }

    /// Sends one after the other until all went, the window shuts or the association breaks.
    async fn send_all(
        &self,
        call: &mut dyn Call,
        sending: &[(Entry, IndexedInstance)],
        record: &mut Record<'_>,
    ) -> Result<End, Error> {
        let mut answered = false;
        let mut stopped: Option<End> = None;
        for (entry, instance) in sending {
            if stopped.is_none() && self.shut().contains(&entry.rule) {
                stopped = Some(End::Reached);
            }
            if stopped.is_some() {
                record.outcomes.push((entry.id, Outcome::Untried));
                continue;
            }
            let outcome = match call.send(instance).await {
                Ok(sent) => {
                    answered = true;
                    let full = matches!(&sent, SentObject::Answered { status, .. }
                        if is_full(*status));
                    let outcome = self.judge(entry, instance, sent);
                    if full {
                        stopped = Some(End::Failed("it has no room".to_owned()));
                    }
                    outcome
                }
                Err(failure) => {
                    // Perhaps this very object breaks the association: others go before it.
                    let reason = short(&failure.reason);
                    stopped =
                        Some(if answered { End::Reached } else { End::Failed(reason.clone()) });
                    Outcome::Refused { reason, again_ms: self.again_ms(entry.tries) }
                }
            };
            record.put(entry.id, outcome).await?;
        }
        Ok(stopped.unwrap_or(End::Reached))
    }

    /// The objects of entries that are still kept, by digest, and the audit entries for sending
    /// them.
    async fn look_up(&self, entries: &[Entry]) -> Result<HashMap<Digest, IndexedInstance>, Error> {
        let selection = Selection {
            instances: entries.iter().map(|entry| entry.instance.clone()).collect(),
            ..Selection::default()
        };
        let limit = u64::from(BATCH_MAX);
        let instances = self.imaging.index.instances(selection, 0, limit).await?;
        let found: HashMap<Digest, IndexedInstance> =
            instances.into_iter().map(|instance| (instance.digest, instance)).collect();
        let name = format!("forward:{}", self.destination.ae_title);
        let requester = Requester::of(Caller::local(name));
        let mut audited = HashSet::new();
        for entry in entries.iter().filter(|entry| found.contains_key(&entry.digest)) {
            if audited.insert((&entry.study, &entry.patient_id)) {
                self.imaging.audit_retrieval(&requester, &entry.study, &entry.patient_id).await?;
            }
        }
        Ok(found)
    }

    /// What an answer means for an object.
    fn judge(&self, entry: &Entry, instance: &IndexedInstance, sent: SentObject) -> Outcome {
        let bytes = instance.location.length;
        let (reason, parked) = match sent {
            SentObject::Answered { status: 0, .. } => {
                return Outcome::Sent { bytes, warning: String::new() };
            }
            SentObject::Answered { status, comment } if is_warning(status) => {
                return Outcome::Sent { bytes, warning: said(status, &comment) };
            }
            SentObject::Answered { status, comment } => {
                let last = entry.tries.saturating_add(1) >= REFUSALS_MAX;
                (said(status, &comment), last && !is_full(status))
            }
            SentObject::NotAccepted => {
                let (class, syntax) = (&instance.sop_class, &instance.transfer_syntax);
                (format!("it does not take class {class} in transfer syntax {syntax}"), true)
            }
            SentObject::Unreadable { reason } => {
                (reason, entry.tries.saturating_add(1) >= REFUSALS_MAX)
            }
        };
        let reason = short(&reason);
        if parked {
            tracing::warn!(destination = self.destination.ae_title, reason, "object is parked");
            return Outcome::Parked { reason };
        }
        Outcome::Refused { reason, again_ms: self.again_ms(entry.tries) }
    }

    fn again_ms(&self, tries: u32) -> i64 {
        let pause = pause(tries.saturating_add(1), &*self.dice);
        let pause_ms = i64::try_from(pause.as_millis()).unwrap_or(i64::MAX);
        self.clock.now_ms().saturating_add(pause_ms)
    }
}

/// Outcomes that are not yet written down.
struct Record<'a> {
    worker: &'a Worker,
    outcomes: Vec<(i64, Outcome)>,
    last: Instant,
}

impl Record<'_> {
    async fn put(&mut self, id: i64, outcome: Outcome) -> Result<(), Error> {
        if let Outcome::Sent { bytes, .. } = &outcome {
            lock(&self.worker.live).went(self.worker.clock.now_ms(), *bytes);
        }
        self.outcomes.push((id, outcome));
        if self.last.elapsed() >= RECORD_EVERY { self.write().await } else { Ok(()) }
    }

    async fn write(&mut self) -> Result<(), Error> {
        self.last = Instant::now();
        if self.outcomes.is_empty() {
            return Ok(());
        }
        let outcomes = std::mem::take(&mut self.outcomes);
        let destination = &self.worker.destination.ae_title;
        self.worker.store.record(destination, outcomes, self.worker.clock.now_ms()).await
    }
}

impl BackOff {
    /// How long to wait still.
    fn left(&self) -> Option<Duration> {
        let left = self.until?.saturating_duration_since(Instant::now());
        (!left.is_zero()).then_some(left)
    }
}

/// The pause after so many failures in a row: half of it is chance, so that what failed together
/// does not come again together.
fn pause(failures: u32, dice: &dyn Dice) -> Duration {
    let doublings = failures.saturating_sub(1).min(16);
    let whole = BACK_OFF_MIN.saturating_mul(1 << doublings).min(BACK_OFF_MAX);
    let chance = f64::from(dice.roll()) / f64::from(u32::MAX);
    whole / 2 + (whole / 2).mul_f64(chance)
}

/// Statuses of a peer that took the object (PS3.7, C.4; PS3.4, B.2.3). Under 0111 it has an object
/// with that UID already.
fn is_warning(status: u16) -> bool {
    status & 0xF000 == 0xB000 || matches!(status, 0x0001 | 0x0107 | 0x0111 | 0x0116)
}

/// Out of resources: the object is not at fault.
fn is_full(status: u16) -> bool {
    status & 0xFF00 == 0xA700
}

fn said(status: u16, comment: &str) -> String {
    short(format!("status {status:04x} {comment}").trim_end())
}

fn short(text: &str) -> String {
    text.chars().take(REASON_CHARS_MAX).collect()
}
