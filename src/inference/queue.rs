//! A bounded queue between many callers and one model thread.
//!
//! Deliberately absent: waiting for room. A caller learns at once that the queue is full. When it
//! is, entries whose caller has gone make room first.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// A first-in first-out queue of at most `max` entries.
#[derive(Debug)]
pub(super) struct Queue<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
    max: usize,
    watch: Watch,
}

/// Told how many wait, while the queue is locked: so the last number told is the true one.
struct Watch(Box<dyn Fn(usize) + Send + Sync>);

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Watch")
    }
}

/// Why an entry was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NotTaken {
    Full,
    Closed,
}

/// What a successful push did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pushed {
    /// Dead entries that made room.
    pub purged: usize,
}

#[derive(Debug)]
struct State<T> {
    entries: VecDeque<T>,
    closed: bool,
}

impl<T> Queue<T> {
    /// `watch` is told how many wait whenever that changes; it must be short.
    pub(super) fn watched(max: usize, watch: impl Fn(usize) + Send + Sync + 'static) -> Self {
        let state = State { entries: VecDeque::with_capacity(max.min(1024)), closed: false };
        let watch = Watch(Box::new(watch));
        Self { state: Mutex::new(state), changed: Condvar::new(), max, watch }
    }

    /// Appends an entry. Never waits for room; in a full queue entries that are `dead` are purged.
    pub(super) fn push(&self, entry: T, dead: impl Fn(&T) -> bool) -> Result<Pushed, NotTaken> {
        let mut state = self.lock();
        if state.closed {
            return Err(NotTaken::Closed);
        }
        let mut purged = 0;
        if state.entries.len() >= self.max {
            let before = state.entries.len();
            state.entries.retain(|entry| !dead(entry));
            purged = before - state.entries.len();
            if purged == 0 {
                return Err(NotTaken::Full);
            }
        }
        state.entries.push_back(entry);
        (self.watch.0)(state.entries.len());
        drop(state);
        self.changed.notify_one();
        Ok(Pushed { purged })
    }

    /// Waits until there is an entry and moves up to `max` of them into `taken`. The number still
    /// waiting, or `None` once the queue is closed and empty.
    pub(super) fn take(&self, taken: &mut Vec<T>, max: usize) -> Option<usize> {
        let mut state = self.lock();
        loop {
            if !state.entries.is_empty() {
                let count = state.entries.len().min(max);
                taken.extend(state.entries.drain(..count));
                (self.watch.0)(state.entries.len());
                return Some(state.entries.len());
            }
            if state.closed {
                return None;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Refuses entries from now on; those waiting are still handed out.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    /// Closes and hands back everything that waits.
    pub(super) fn close_and_drain(&self) -> VecDeque<T> {
        let mut state = self.lock();
        state.closed = true;
        let rest = std::mem::take(&mut state.entries);
        (self.watch.0)(0);
        drop(state);
        self.changed.notify_all();
        rest
    }

    /// Entries waiting.
    pub(super) fn waiting(&self) -> usize {
        self.lock().entries.len()
    }

    /// Whether [`Queue::close`] was called.
    pub(super) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// The longest the queue can get.
    pub(super) fn max(&self) -> usize {
        self.max
    }

    /// The state is consistent after every statement, so a poisoned lock changes nothing.
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALIVE: fn(&u32) -> bool = |_| false;

    fn unwatched(max: usize) -> Queue<u32> {
        Queue::watched(max, |_| {})
    }

    #[test]
    fn the_last_number_told_is_the_number_that_waits() {
        let last = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(9));
        let told = std::sync::Arc::clone(&last);
        let queue = Queue::watched(4, move |n| told.store(n, std::sync::atomic::Ordering::SeqCst));
        let seen = || last.load(std::sync::atomic::Ordering::SeqCst);
        queue.push(1, ALIVE).unwrap();
        queue.push(2, ALIVE).unwrap();
        assert_eq!(seen(), 2);
        queue.take(&mut Vec::new(), 1);
        assert_eq!(seen(), 1);
        queue.close_and_drain();
        assert_eq!(seen(), 0);
    }

    #[test]
    fn entries_come_out_in_order_and_no_more_than_asked_for() {
        let queue = unwatched(4);
        for n in 0..4 {
            queue.push(n, ALIVE).unwrap();
        }
        let mut taken = Vec::new();
        assert_eq!(queue.take(&mut taken, 3), Some(1));
        assert_eq!(taken, [0, 1, 2]);
        assert_eq!(queue.take(&mut taken, 3), Some(0));
        assert_eq!(taken, [0, 1, 2, 3]);
    }

    #[test]
    fn a_full_queue_refuses_unless_a_dead_entry_makes_room() {
        let queue = unwatched(2);
        queue.push(1, ALIVE).unwrap();
        queue.push(2, ALIVE).unwrap();
        assert_eq!(queue.push(3, ALIVE), Err(NotTaken::Full));
        assert_eq!(queue.push(3, |n| *n == 1), Ok(Pushed { purged: 1 }));
        let mut taken = Vec::new();
        queue.take(&mut taken, 9);
        assert_eq!(taken, [2, 3]);
    }

    #[test]
    fn a_closed_queue_is_emptied_but_not_filled() {
        let queue = unwatched(2);
        queue.push(1, ALIVE).unwrap();
        queue.close();
        assert_eq!(queue.push(2, ALIVE), Err(NotTaken::Closed));
        let mut taken = Vec::new();
        assert_eq!(queue.take(&mut taken, 9), Some(0));
        assert_eq!(queue.take(&mut taken, 9), None);
        assert_eq!(taken, [1]);
    }

    #[test]
    fn closing_wakes_a_waiting_taker() {
        let queue = unwatched(1);
        std::thread::scope(|scope| {
            let taker = scope.spawn(|| queue.take(&mut Vec::new(), 1));
            queue.close();
            assert_eq!(taker.join().unwrap(), None);
        });
    }
}
