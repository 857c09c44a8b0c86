//! Forwarding: what is newly kept and matches a rule goes on to other archives, some time, once or
//! more, never not at all.
//!
//! Objects are found in the index's change feed ([`feed`]), from a place that is kept on the disk
//! together with the entries that were made up to it; so ingestion never waits for a queue, and
//! whatever dies between storing and queueing is picked up after the next start. One worker for each
//! destination ([`worker`]) takes entries out of a durable queue and sends them; none waits for
//! another. An entry leaves the queue only after the destination has taken its object and that has
//! been written down: after a crash an object may go twice.

mod feed;
mod ports;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod throttle;
mod worker;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use self::feed::Feed;
pub(super) use self::feed::{end_of_feed, stands_in_feed};
pub use self::ports::{
    Call, Counts, Cursor, Dice, Entry, EntryState, ForwardingStore, ListedEntry, NewEntry, Outcome,
    Pace, SendFailure, Sender, SentObject,
};
use self::throttle::Throttle;
use self::worker::{Live, Worker};
use super::Imaging;
use crate::app::error::Error;
use crate::app::ports::{BoxFuture, Clock};
use crate::sharing::imaging::examination::Examinations;
use crate::sharing::imaging::forwarding::Rule;

/// How a destination is served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    /// AE title.
    pub ae_title: String,
    /// Bytes that go to it in a second at most; none: as many as it takes.
    pub bytes_per_second_max: Option<u64>,
    /// Associations with it at the same time.
    pub associations_max: usize,
}

/// What to forward, and how.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Rules, in the order they are tried.
    pub rules: Vec<Rule>,
    /// Every destination that a rule names.
    pub destinations: Vec<Destination>,
    /// How far local time is ahead of UTC, in minutes.
    pub utc_offset_minutes: i16,
}

/// What forwarding works with.
#[derive(Debug)]
pub struct ForwardingParts {
    /// Where objects are found and read.
    pub imaging: Arc<Imaging>,
    /// What examinations are, for rules by region and programme.
    pub examinations: Arc<Examinations>,
    /// The queue.
    pub store: Arc<dyn ForwardingStore>,
    /// How objects go out.
    pub sender: Arc<dyn Sender>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Chance, for back-off.
    pub dice: Arc<dyn Dice>,
}

/// How a destination stands.
#[derive(Debug, Clone, PartialEq)]
pub struct DestinationStatus {
    /// AE title.
    pub ae_title: String,
    /// What the queue holds for it and what went out over all time.
    pub counts: Counts,
    /// How long the oldest object that waits has waited, in milliseconds.
    pub oldest_ms: Option<i64>,
    /// Bytes in a second over the last minute.
    pub bytes_per_second: u64,
    /// When it is tried again after it could not be reached, in milliseconds since
    /// 1970-01-01T00:00:00Z.
    pub next_try_ms: Option<i64>,
    /// Why it could not be reached, or why it took the last object that it refused not.
    pub reason: String,
}

/// Forwarding, as the node runs it.
#[derive(Debug)]
pub struct Forwarding {
    store: Arc<dyn ForwardingStore>,
    clock: Arc<dyn Clock>,
    live: BTreeMap<String, Arc<Mutex<Live>>>,
}

/// A task that runs until its node stops.
pub type Work = BoxFuture<'static, ()>;

impl Forwarding {
    /// Finds its place in the change feed and gives back the use cases with the tasks that do the
    /// work: one that finds objects, one for each destination. Dropping a task stops it; nothing is
    /// lost by that. Must have returned before the doors open, so that the place is before whatever
    /// comes in.
    pub async fn start(
        plan: Plan,
        parts: ForwardingParts,
    ) -> Result<(Arc<Self>, Vec<Work>), Error> {
        let ForwardingParts { imaging, examinations, store, sender, clock, dice } = parts;
        // What was being sent when the node died is sent again.
        store.release().await?;
        let feed = Feed::start(&plan, &imaging, &store, &clock, examinations).await?;
        let mut live = BTreeMap::new();
        let mut work: Vec<Work> = vec![Box::pin(feed.run())];
        for destination in &plan.destinations {
            let state = Arc::new(Mutex::new(Live::default()));
            live.insert(destination.ae_title.clone(), Arc::clone(&state));
            let rate = destination.bytes_per_second_max;
            let worker = Worker {
                destination: destination.clone(),
                rules: plan
                    .rules
                    .iter()
                    .filter(|rule| rule.to.contains(&destination.ae_title))
                    .map(|rule| (rule.name.clone(), rule.window))
                    .collect(),
                utc_offset_minutes: plan.utc_offset_minutes,
                imaging: Arc::clone(&imaging),
                store: Arc::clone(&store),
                sender: Arc::clone(&sender),
                clock: Arc::clone(&clock),
                dice: Arc::clone(&dice),
                live: state,
                throttle: rate.map(|rate| Arc::new(Throttle::new(rate))),
            };
            work.push(Box::pin(worker.run()));
        }
        Ok((Arc::new(Self { store, clock, live }), work))
    }

    /// How every destination stands: those of the plan, and others for which the queue still holds
    /// something.
    pub async fn status(&self) -> Result<Vec<DestinationStatus>, Error> {
        let now = self.clock.now_ms();
        let mut counts = self.store.counts().await?;
        let mut titles: Vec<String> = self.live.keys().chain(counts.keys()).cloned().collect();
        titles.sort_unstable();
        titles.dedup();
        let statuses = titles.into_iter().map(|ae_title| {
            let counts = counts.remove(&ae_title).unwrap_or_default();
            let live = self.live.get(&ae_title).map(|l| lock(l).at(now)).unwrap_or_default();
            DestinationStatus {
                oldest_ms: counts.oldest_queued_ms.map(|at| now.saturating_sub(at).max(0)),
                bytes_per_second: live.bytes_per_second,
                next_try_ms: live.next_try_ms,
                reason: match live.reason {
                    // What was refused long ago and went later is no reason any more.
                    reason if !reason.is_empty() || counts.parked + counts.waiting == 0 => reason,
                    _ => counts.reason.clone(),
                },
                counts,
                ae_title,
            }
        });
        Ok(statuses.collect())
    }
}

/// A pause between looks at a queue in which nothing is ready.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// State that is only ever set whole is good even if its last holder panicked.
fn lock<T>(of: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}
