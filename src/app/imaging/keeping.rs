//! Keeping complete objects, those that wait together: one write and sync of the archive, one
//! addition to the index.
//!
//! Two steps run beside each other, so that the index takes one batch while the disk takes the next
//! ([`Keeper::run`]). An object is written while the index is asked whether it is known: nearly all
//! are new. One that was known is erased again, and from then on, for a while, the index is asked
//! first: whoever sends a study twice sends all of it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedRwLockReadGuard, OwnedSemaphorePermit, mpsc, oneshot};
use tokio::time::sleep;

use super::catching_up::catch_up;
use super::entering::{About, Intake, Trail};
use super::eraser::{Eraser, Errand, Gate};
use super::holdings::{Holdings, Uses, copies_among};
use super::ports::{Archive, IndexEntry, KnownObject, NewObject, StudyIndex};
use super::room::Promise;
use crate::app::chain;
use crate::app::error::Error;
use crate::sharing::imaging::header::Header;
use crate::sharing::imaging::object::{Digest, InstanceUids, Location};

/// Objects kept together at most.
const BATCH_MAX: usize = 256;
/// Bytes kept together at most, beyond the first object.
const BATCH_BYTES_MAX: u64 = 32 * 1024 * 1024;
/// Objects for which the index is asked first after one that was known.
const ASK_FIRST: usize = 1000;
/// Between two times that last uses are written.
const WRITE_USES_EVERY: Duration = Duration::from_mins(1);
/// Why bytes that were kept twice are erased.
const KEPT_TWICE: &str = "these bytes were kept before";

/// What became of an object that is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// It is new.
    New,
    /// These very bytes were kept before.
    Known,
    /// Another object with its SOP instance UID was kept before. Both are kept; this one apart.
    Apart,
}

/// An object that is on the disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// What became of it.
    pub kept: Kept,
    /// SHA-256 of its bytes.
    pub digest: Digest,
    /// Where it stands.
    pub uids: InstanceUids,
    /// SOP class UID.
    pub sop_class: String,
}

/// A complete object that waits.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) object: NewObject,
    pub(super) header: Header,
    pub(super) bytes: u64,
    /// Whether it was fetched from another node.
    pub(super) copy: bool,
    /// With whom it came.
    pub(super) intake: Arc<Intake>,
    /// Room for it, if it was.
    pub(super) promise: Option<Promise>,
    pub(super) answer: oneshot::Sender<Result<Stored, Error>>,
    /// Gives its memory back when the object is done with.
    pub(super) memory: Vec<OwnedSemaphorePermit>,
}

/// The task that keeps.
#[derive(Debug)]
pub struct Keeper {
    places: Places,
    waiting: mpsc::Receiver<Job>,
    on_the_way: Arc<OnTheWay>,
    ask_first: usize,
    eraser: Option<(Eraser, mpsc::Receiver<Errand>)>,
}

/// Where things are kept.
#[derive(Debug)]
pub(super) struct Places {
    pub(super) archive: Arc<dyn Archive>,
    pub(super) index: Arc<dyn StudyIndex>,
    pub(super) holdings: Arc<dyn Holdings>,
    pub(super) uses: Arc<Uses>,
    pub(super) trail: Trail,
    pub(super) gate: Gate,
}

/// Objects that are on the disk and not in the index yet: the digests under a SOP instance UID.
#[derive(Debug, Default)]
struct OnTheWay {
    objects: Mutex<HashMap<String, Vec<Digest>>>,
    /// The index lacks something that the archive holds.
    behind: AtomicBool,
    /// Held by whoever adds to the index: a batch that went in while it is brought up would move
    /// the place that it has reached past what it lacks.
    adding: tokio::sync::Mutex<()>,
}

/// One who waits, and what there is to tell.
struct Waiter {
    answer: oneshot::Sender<Result<Stored, Error>>,
    stored: Stored,
    /// Whether it was fetched from another node.
    copy: bool,
    /// With whom it came, and whose it is.
    came: (Arc<Intake>, About),
    told: Told,
}

/// What a waiter is to be told.
enum Told {
    /// That its object is kept, once the index has the batch.
    Kept(Kept),
    /// That it failed.
    Failed(Error),
    /// What the waiter with this number is told, as known.
    As(usize),
}

/// A batch on its way into the index.
struct Batch {
    entries: Vec<IndexEntry>,
    waiters: Vec<Waiter>,
    /// Gives the batch's memory back when it is done with.
    memory: Vec<OwnedSemaphorePermit>,
    /// Room of its copies, until they are noted.
    promises: Vec<Promise>,
    /// Nothing is erased until those who wait were told.
    keeping: Keeping,
}

/// Keeps the eraser away.
type Keeping = OwnedRwLockReadGuard<()>;

impl Keeper {
    pub(super) fn new(
        places: Places,
        waiting: mpsc::Receiver<Job>,
        behind: bool,
        eraser: (Eraser, mpsc::Receiver<Errand>),
    ) -> Self {
        let on_the_way = OnTheWay { behind: AtomicBool::new(behind), ..OnTheWay::default() };
        let (on_the_way, eraser) = (Arc::new(on_the_way), Some(eraser));
        Self { places, waiting, on_the_way, ask_first: 0, eraser }
    }

    /// Keeps what arrives until nobody can send any more.
    pub async fn run(mut self) {
        // A batch may be written while the one before goes into the index, no further ahead.
        let (to_index, written) = mpsc::channel(1);
        let (index, holdings) = (Arc::clone(&self.places.index), Arc::clone(&self.places.holdings));
        let on_the_way = Arc::clone(&self.on_the_way);
        let (uses, trail) = (Arc::clone(&self.places.uses), self.places.trail.clone());
        let eraser = self.eraser.take();
        let erase = async {
            if let Some((eraser, errands)) = eraser {
                eraser.run(errands).await;
            }
        };
        let keep = async {
            let add = add(written, (&*index, &*holdings, &trail), &on_the_way);
            tokio::join!(self.write(to_index), add, erase);
        };
        tokio::select! {
            () = keep => {}
            () = write_uses(&uses, &*holdings) => {}
        }
        if let Err(error) = uses.write(&*holdings).await {
            tracing::warn!(error = chain(&error), "last uses of studies are lost");
        }
    }

    async fn write(&mut self, to_index: mpsc::Sender<Batch>) {
        loop {
            let first = tokio::select! {
                biased;
                job = self.waiting.recv() => job,
                () = self.places.index.undone() => {
                    self.on_the_way.behind.store(true, Ordering::Release);
                    // What is erased meanwhile would be added again.
                    let _keeping = Arc::clone(&self.places.gate).read_owned().await;
                    if let Err(error) = self.bring_up().await {
                        tracing::warn!(error = %error, "the index of studies stays behind for now");
                    }
                    continue;
                }
            };
            let Some(first) = first else { return };
            let mut bytes = first.bytes;
            let mut jobs = vec![first];
            while jobs.len() < BATCH_MAX && bytes < BATCH_BYTES_MAX {
                let Ok(next) = self.waiting.try_recv() else { break };
                bytes += next.bytes;
                jobs.push(next);
            }
            let keeping = Arc::clone(&self.places.gate).read_owned().await;
            if self.on_the_way.behind.load(Ordering::Acquire)
                && let Err(error) = self.bring_up().await
            {
                answer_all(jobs, &error);
                continue;
            }
            if let Some(batch) = self.keep(jobs, keeping).await
                && to_index.send(batch).await.is_err()
            {
                return;
            }
        }
    }

    /// Brings an index up that failed before, once what is on its way into it has come or failed.
    async fn bring_up(&self) -> Result<(), Error> {
        let _adding = self.on_the_way.adding.lock().await;
        let Places { archive, index, holdings, .. } = &self.places;
        catch_up(&**archive, &**index, Some(&**holdings), &mut |_| ()).await?;
        self.on_the_way.behind.store(false, Ordering::Release);
        Ok(())
    }

    /// Writes a batch. None: all of it has been answered.
    async fn keep(&mut self, jobs: Vec<Job>, keeping: Keeping) -> Option<Batch> {
        let uids: Vec<String> =
            jobs.iter().map(|job| job.object.head.uids.instance.clone()).collect();
        if self.ask_first > 0 {
            self.ask_first = self.ask_first.saturating_sub(jobs.len());
            let known = match self.places.index.known(uids).await {
                Ok(known) => known,
                Err(error) => {
                    answer_all(jobs, &error);
                    return None;
                }
            };
            let plan = plan(&jobs, &known, &self.on_the_way);
            let (rests, objects) = take_objects(jobs, &plan);
            let located = self.append(objects).await;
            return Some(self.settle((rests, keeping), &plan, &known, located).await);
        }
        let plan = plan(&jobs, &[], &self.on_the_way);
        let (rests, objects) = take_objects(jobs, &plan);
        let (known, located) = tokio::join!(self.places.index.known(uids), self.append(objects));
        match known {
            Ok(known) => Some(self.settle((rests, keeping), &plan, &known, located).await),
            Err(error) => {
                // What was written will be in the index when that answers again.
                self.on_the_way.behind.store(true, Ordering::Release);
                for (rest, _) in rests {
                    let _ = rest.answer.send(Err(again(&error)));
                }
                None
            }
        }
    }

    async fn append(&self, objects: Vec<NewObject>) -> Vec<Result<Location, Error>> {
        if objects.is_empty() { Vec::new() } else { self.places.archive.append(objects).await }
    }

    /// Decides what becomes of each object, now that it is written and what was known is known.
    async fn settle(
        &mut self,
        (jobs, keeping): (Vec<(Rest, Option<usize>)>, Keeping),
        plan: &[Plan],
        known: &[Vec<KnownObject>],
        located: Vec<Result<Location, Error>>,
    ) -> Batch {
        let mut batch = Batch {
            entries: Vec::new(),
            waiters: Vec::new(),
            memory: Vec::new(),
            promises: Vec::new(),
            keeping,
        };
        for (((rest, write), plan), known) in jobs.into_iter().zip(plan).zip(known) {
            let Rest { digest, head, header, copy, intake, promise, answer, memory } = rest;
            let patient = header.patient.id.clone();
            let came = (intake, About { study: head.uids.study.clone(), patient });
            batch.promises.extend(promise);
            batch.memory.extend(memory);
            let stored = Stored {
                kept: Kept::Known,
                digest,
                uids: head.uids.clone(),
                sop_class: head.sop_class.clone(),
            };
            let location = write.map(|at| located.get(at));
            let same = known.iter().any(|k| k.digest == digest);
            let told = match (plan, location) {
                (Plan::SameAs(first), _) => Told::As(*first),
                (Plan::Known, _) | (Plan::Write { .. }, None) => Told::Kept(Kept::Known),
                (Plan::Write { .. }, Some(Some(Err(error)))) => Told::Failed(again(error)),
                (Plan::Write { .. }, Some(None)) => {
                    Told::Failed(Error::Unavailable { what: "archive", cause: None })
                }
                (Plan::Write { .. }, Some(Some(Ok(location)))) if same => {
                    self.ask_first = ASK_FIRST;
                    // It takes room and nothing else if this fails; nothing points to it.
                    let _ = self.places.archive.erase(*location, KEPT_TWICE).await;
                    Told::Kept(Kept::Known)
                }
                (Plan::Write { apart }, Some(Some(Ok(location)))) => {
                    let apart = *apart || !known.is_empty();
                    self.on_the_way.add(&head.uids.instance, digest);
                    let location = *location;
                    batch.entries.push(IndexEntry { digest, head, location, header, apart });
                    Told::Kept(if apart { Kept::Apart } else { Kept::New })
                }
            };
            batch.waiters.push(Waiter { answer, stored, copy, came, told });
        }
        batch
    }
}

/// Adds what was written to the index and tells those who wait.
async fn add(
    mut written: mpsc::Receiver<Batch>,
    (index, holdings, trail): (&dyn StudyIndex, &dyn Holdings, &Trail),
    on_the_way: &OnTheWay,
) {
    while let Some(batch) = written.recv().await {
        let Batch { entries, waiters, memory, promises, keeping } = batch;
        let names: Vec<(String, Digest)> =
            entries.iter().map(|e| (e.head.uids.instance.clone(), e.digest)).collect();
        let adding = on_the_way.adding.lock().await;
        // Beside the index, so that it takes no time of its own; who waits is told after both.
        let entering = enter(&waiters, trail);
        let index_them = async {
            if !entries.is_empty() && on_the_way.behind.load(Ordering::Acquire) {
                // What came before is missing: this would hide that. Catching up adds both.
                return Err(Error::Unavailable { what: "index of studies", cause: None });
            }
            settled_in(entries, index, holdings).await
        };
        let (added, entered) = tokio::join!(index_them, entering);
        let owned = own(&waiters, holdings).await;
        on_the_way.remove(&names);
        if added.is_err() {
            on_the_way.behind.store(true, Ordering::Release);
        }
        drop(adding);
        drop((memory, promises));
        let written = !names.is_empty();
        let mut failed: Vec<bool> = Vec::with_capacity(waiters.len());
        for Waiter { answer, stored, copy, came: (intake, about), told } in waiters {
            let outcome = match (told, &added) {
                (Told::Failed(error), _) => Err(error),
                (Told::Kept(Kept::Known) | Told::As(_), _) if !copy && owned.is_err() => {
                    Err(Error::Unavailable { what: "imaging", cause: None })
                }
                (Told::As(first), _) if failed.get(first) == Some(&true) => {
                    Err(Error::Unavailable { what: "imaging", cause: None })
                }
                (Told::Kept(Kept::New | Kept::Apart) | Told::As(_), Err(error)) if written => {
                    Err(again(error))
                }
                // It was on its way in a batch that did not arrive.
                (Told::Kept(Kept::Known), _) if on_the_way.behind.load(Ordering::Acquire) => {
                    Err(Error::Unavailable { what: "imaging", cause: None })
                }
                (Told::Kept(kept), _) => Ok(kept),
                (Told::As(_), _) => Ok(Kept::Known),
            };
            // Nobody is told of what is not in the trail; whoever sends it again is entered then.
            let outcome = match &entered {
                Err(error) if !intake.has(&about) => outcome.and(Err(again(error))),
                Ok(()) | Err(_) => outcome,
            };
            failed.push(outcome.is_err());
            // A sender that has gone will send again and be told then.
            let _ = answer.send(outcome.map(|kept| Stored { kept, ..stored }));
        }
        drop(keeping);
    }
}

/// Writes down who stores of which studies, but for what failed.
async fn enter(waiters: &[Waiter], trail: &Trail) -> Result<(), Error> {
    let kept = waiters.iter().filter(|waiter| !matches!(waiter.told, Told::Failed(_)));
    let entered = trail.store(kept.map(|Waiter { came: (intake, about), .. }| (intake, about)));
    let entered = entered.await;
    if let Err(error) = &entered {
        tracing::warn!(error = chain(error), "who stores cannot be entered in the audit trail");
    }
    entered
}

/// Writes down from time to time which studies were used; never ends.
async fn write_uses(uses: &Uses, holdings: &dyn Holdings) {
    loop {
        sleep(WRITE_USES_EVERY).await;
        if let Err(error) = uses.write(holdings).await {
            tracing::warn!(error = chain(&error), "last uses of studies cannot be written");
        }
    }
}

/// Notes the copies among `entries` and adds all of them to the index.
async fn settled_in(
    entries: Vec<IndexEntry>,
    index: &dyn StudyIndex,
    holdings: &dyn Holdings,
) -> Result<(), Error> {
    if entries.is_empty() {
        return Ok(());
    }
    let copies = copies_among(&entries);
    if !copies.is_empty() {
        holdings.note(copies).await?;
    }
    index.add(entries).await
}

/// What the node's own senders sent and was there before is the node's own, copy or not.
async fn own(waiters: &[Waiter], holdings: &dyn Holdings) -> Result<(), Error> {
    let sent = waiters.iter().filter(|waiter| {
        !waiter.copy && matches!(waiter.told, Told::Kept(Kept::Known) | Told::As(_))
    });
    let digests: Vec<Digest> = sent.map(|waiter| waiter.stored.digest).collect();
    if digests.is_empty() {
        return Ok(());
    }
    holdings.own(digests).await.map(drop)
}

impl OnTheWay {
    fn add(&self, instance: &str, digest: Digest) {
        let mut objects = self.objects.lock().unwrap_or_else(PoisonError::into_inner);
        objects.entry(instance.to_owned()).or_default().push(digest);
    }

    fn remove(&self, names: &[(String, Digest)]) {
        let mut objects = self.objects.lock().unwrap_or_else(PoisonError::into_inner);
        for (instance, digest) in names {
            if let Some(digests) = objects.get_mut(instance) {
                digests.retain(|d| d != digest);
                if digests.is_empty() {
                    objects.remove(instance);
                }
            }
        }
    }

    fn digests(&self, instance: &str) -> Vec<Digest> {
        let objects = self.objects.lock().unwrap_or_else(PoisonError::into_inner);
        objects.get(instance).cloned().unwrap_or_default()
    }
}

/// What is to become of a job of a batch.
#[derive(Debug, Clone, Copy)]
enum Plan {
    /// It is to be written, and perhaps kept apart.
    Write { apart: bool },
    /// Its bytes are kept already.
    Known,
    /// Its bytes are those of an earlier job of this batch, by number.
    SameAs(usize),
}

/// Decides each job by what is kept, what is on its way, and the jobs before it. One SOP instance in
/// the same bytes is one object, whatever syntax they are said to be in.
fn plan(jobs: &[Job], known: &[Vec<KnownObject>], on_the_way: &OnTheWay) -> Vec<Plan> {
    let mut seen: HashMap<&str, Vec<usize>> = HashMap::new();
    let mut plans = Vec::with_capacity(jobs.len());
    for (number, job) in jobs.iter().enumerate() {
        let (digest, head) = (job.object.digest, &job.object.head);
        let earlier = seen.entry(head.uids.instance.as_str()).or_default();
        let twin = earlier
            .iter()
            .copied()
            .find(|at| jobs.get(*at).is_some_and(|job| job.object.digest == digest));
        let kept = known.get(number).map(Vec::as_slice).unwrap_or_default();
        let moving = on_the_way.digests(&head.uids.instance);
        let plan = if kept.iter().any(|k| k.digest == digest) || moving.contains(&digest) {
            Plan::Known
        } else if let Some(first) = twin {
            Plan::SameAs(first)
        } else {
            Plan::Write { apart: !kept.is_empty() || !moving.is_empty() || !earlier.is_empty() }
        };
        earlier.push(number);
        plans.push(plan);
    }
    plans
}

/// A job without the object's bytes.
struct Rest {
    digest: Digest,
    head: crate::sharing::imaging::object::ObjectHead,
    header: Header,
    copy: bool,
    intake: Arc<Intake>,
    promise: Option<Promise>,
    answer: oneshot::Sender<Result<Stored, Error>>,
    memory: Vec<OwnedSemaphorePermit>,
}

/// Takes out what is to be written; the others' bytes are let go. The number is the place among
/// the objects.
fn take_objects(jobs: Vec<Job>, plans: &[Plan]) -> (Vec<(Rest, Option<usize>)>, Vec<NewObject>) {
    let mut objects = Vec::new();
    let mut rests = Vec::with_capacity(jobs.len());
    for (job, plan) in jobs.into_iter().zip(plans) {
        let Job { object, header, copy, intake, promise, answer, memory, .. } = job;
        let (digest, head) = (object.digest, object.head.clone());
        let rest = Rest { digest, head, header, copy, intake, promise, answer, memory };
        let place = matches!(plan, Plan::Write { .. }).then_some(objects.len());
        if place.is_some() {
            objects.push(object);
        }
        rests.push((rest, place));
    }
    (rests, objects)
}

fn answer_all(jobs: Vec<Job>, error: &Error) {
    for job in jobs {
        let _ = job.answer.send(Err(again(error)));
    }
}

/// The same error for another caller; the cause goes to the log once, where it arose.
fn again(error: &Error) -> Error {
    match error {
        Error::Overloaded { what, retry_after } => {
            Error::Overloaded { what, retry_after: *retry_after }
        }
        Error::Unavailable { what, .. } | Error::Internal { what, .. } => {
            Error::Unavailable { what, cause: None }
        }
        Error::Invalid(_)
        | Error::Unauthenticated
        | Error::Denied { .. }
        | Error::Withheld { .. }
        | Error::NotFound { .. }
        | Error::RequestIdReused
        | Error::TooLarge { .. }
        | Error::DeadlineExceeded
        | Error::Refused { .. } => Error::Unavailable { what: "imaging", cause: None },
    }
}
