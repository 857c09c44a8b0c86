//! Room for copies: what may be kept of them, what is promised to those that arrive, and which
//! studies are being read and must not go now.

use std::collections::HashSet;
use std::hash::Hash;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use super::Imaging;
use super::eraser::Errand;
use crate::app::error::Error;
use crate::sharing::imaging::object::Location;

/// A study or object that was asked for is being read for so long at least, and twice as long at
/// most, in milliseconds.
const READING_MS: i64 = 120_000;
/// Studies or objects that are remembered as being read at most; with more than that everything
/// is.
const READING_MAX: usize = 200_000;
/// When a copy may be offered again for which there was no room.
const NO_ROOM_RETRY: Duration = Duration::from_mins(1);

/// What may be kept of copies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CopyLimits {
    /// Bytes of all copies at most.
    pub bytes_max: u64,
    /// Bytes that copies leave to what is the node's own, of those that the archive may still
    /// write.
    pub spare_bytes_min: u64,
}

/// What is promised and what is being read.
#[derive(Debug)]
pub(super) struct Room {
    pub(super) limits: CopyLimits,
    promised: AtomicU64,
    /// Who asks for room waits for those who asked before.
    asking: tokio::sync::Mutex<()>,
    pub(super) reading: Reading,
}

/// Room for a copy that arrives; given back when dropped.
#[derive(Debug)]
pub(super) struct Promise {
    room: Arc<Room>,
    bytes: u64,
}

/// What was asked for lately.
#[derive(Debug, Default)]
pub(super) struct Reading {
    studies: Mutex<Lately<String>>,
    objects: Mutex<Lately<(u64, u64)>>,
}

/// Two sets that take turns: nothing has to be looked through for what is old.
#[derive(Debug)]
struct Lately<T> {
    now: HashSet<T>,
    before: HashSet<T>,
    since_ms: i64,
    overflowed: [bool; 2],
}

impl<T> Default for Lately<T> {
    fn default() -> Self {
        Self {
            now: HashSet::new(),
            before: HashSet::new(),
            since_ms: i64::MIN,
            overflowed: [false; 2],
        }
    }
}

impl<T: Eq + Hash> Lately<T> {
    fn turn(&mut self, now_ms: i64) {
        let age = now_ms.saturating_sub(self.since_ms);
        if age < READING_MS {
            return;
        }
        self.before = std::mem::take(&mut self.now);
        self.overflowed = [false, self.overflowed[0]];
        if age >= 2 * READING_MS {
            self.before.clear();
            self.overflowed = [false; 2];
        }
        self.since_ms = now_ms;
    }

    fn add(&mut self, what: T, now_ms: i64) {
        self.turn(now_ms);
        if self.now.len() < READING_MAX {
            self.now.insert(what);
        } else {
            self.overflowed = [true, self.overflowed[1]];
        }
    }

    fn has(&mut self, what: &T, now_ms: i64) -> bool {
        self.turn(now_ms);
        self.overflowed != [false; 2] || self.now.contains(what) || self.before.contains(what)
    }
}

impl Reading {
    /// A study was asked for.
    pub(super) fn study(&self, study: &str, now_ms: i64) {
        let mut studies = self.studies.lock().unwrap_or_else(PoisonError::into_inner);
        studies.add(study.to_owned(), now_ms);
    }

    /// Bytes of an object are given out.
    pub(super) fn object(&self, at: Location, now_ms: i64) {
        let mut objects = self.objects.lock().unwrap_or_else(PoisonError::into_inner);
        objects.add((at.segment, at.offset), now_ms);
    }

    /// Whether a study was asked for lately.
    pub(super) fn has_study(&self, study: &str, now_ms: i64) -> bool {
        let mut studies = self.studies.lock().unwrap_or_else(PoisonError::into_inner);
        studies.has(&study.to_owned(), now_ms)
    }

    /// Whether bytes of any of these objects were given out lately.
    pub(super) fn has_object(&self, mut at: impl Iterator<Item = Location>, now_ms: i64) -> bool {
        let mut objects = self.objects.lock().unwrap_or_else(PoisonError::into_inner);
        at.any(|at| objects.has(&(at.segment, at.offset), now_ms))
    }
}

impl Room {
    pub(super) fn new(limits: CopyLimits) -> Self {
        Self {
            limits,
            promised: AtomicU64::new(0),
            asking: tokio::sync::Mutex::default(),
            reading: Reading::default(),
        }
    }

    /// Bytes promised to copies that arrive.
    pub(super) fn promised(&self) -> u64 {
        self.promised.load(Ordering::Acquire)
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        self.room.promised.fetch_sub(self.bytes, Ordering::AcqRel);
    }
}

impl Imaging {
    /// Room for a copy of `bytes` bytes of `study`, made by evicting others where need be.
    pub(super) async fn room_for(&self, study: &str, bytes: u64) -> Result<Promise, Error> {
        if bytes > self.room.limits.bytes_max {
            let reason = "a copy is longer than imaging.copies.bytes_max".to_owned();
            return Err(Error::Refused { reason });
        }
        let _in_turn = self.room.asking.lock().await;
        if !self.fits(bytes).await? {
            let (done, told) = oneshot::channel();
            let gone = || Error::Unavailable { what: "imaging", cause: None };
            let errand = Errand::Evict { bytes, except: study.to_owned(), done };
            self.errands.send(errand).await.map_err(|_| gone())?;
            told.await.map_err(|_| gone())??;
            if !self.fits(bytes).await? {
                return Err(Error::Overloaded {
                    what: "room for copies of other nodes",
                    retry_after: NO_ROOM_RETRY,
                });
            }
        }
        self.room.promised.fetch_add(bytes, Ordering::AcqRel);
        Ok(Promise { room: Arc::clone(&self.room), bytes })
    }

    async fn fits(&self, bytes: u64) -> Result<bool, Error> {
        let totals = self.holdings.totals().await?;
        let usage = self.archive.usage().await?;
        Ok(self.room.limits.allow(totals.bytes, self.room.promised().saturating_add(bytes), &usage))
    }
}

impl CopyLimits {
    /// Whether `more` bytes may be kept beside those of `held` bytes of copies.
    pub(super) fn allow(&self, held: u64, more: u64, usage: &super::ports::Usage) -> bool {
        let spare = |free: u64| free >= self.spare_bytes_min.saturating_add(more);
        held.saturating_add(more) <= self.bytes_max && usage.bytes_free.is_none_or(spare)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::imaging::ports::Usage;

    #[test]
    fn what_was_asked_for_is_being_read_for_a_while_and_then_no_longer() {
        let reading = Reading::default();
        let at = Location { segment: 1, offset: 64, body: 200, length: 10 };
        reading.study("1.2", 1_000);
        reading.object(at, 1_000);
        for now_ms in [1_000, 1_000 + READING_MS, 999 + 2 * READING_MS] {
            assert!(reading.has_study("1.2", now_ms), "at {now_ms}");
        }
        assert!(!reading.has_study("1.3", 1_000));
        assert!(reading.has_object([at].into_iter(), 999 + 2 * READING_MS));
        assert!(!reading.has_study("1.2", 1_000 + 4 * READING_MS));
        assert!(!reading.has_object([at].into_iter(), 1_000 + 4 * READING_MS));
    }

    #[test]
    fn with_more_than_can_be_remembered_everything_is_being_read() {
        let mut lately = Lately::default();
        for number in 0..=READING_MAX {
            lately.add(number, 5);
        }
        assert!(lately.has(&usize::MAX, 5));
        assert!(lately.has(&usize::MAX, 5 + READING_MS), "one turn later as well");
        assert!(!lately.has(&usize::MAX, 5 + 2 * READING_MS));
    }

    #[test]
    fn quota_and_free_bytes_both_count() {
        let limits = CopyLimits { bytes_max: 100, spare_bytes_min: 50 };
        let usage = |bytes_free| Usage { bytes_free, ..Usage::default() };
        assert!(limits.allow(90, 10, &usage(None)));
        assert!(!limits.allow(90, 11, &usage(None)));
        assert!(limits.allow(0, 10, &usage(Some(60))));
        assert!(!limits.allow(0, 10, &usage(Some(59))));
    }
}
