//! A bounded queue of work for a few threads. Nobody waits for room: when it is full, work whose
//! caller has gone makes room, or the new work is refused.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::error::RenderError;

/// Something to do for a caller that may go away.
pub(super) trait Task: Send {
    /// Whether nobody waits for the answer any more.
    fn abandoned(&self) -> bool;
    /// Does it and answers.
    fn run(self: Box<Self>);
}

/// What waits.
pub(super) struct Queue {
    state: Mutex<State>,
    changed: Condvar,
    waiting_max: usize,
}

struct State {
    tasks: VecDeque<Box<dyn Task>>,
    closed: bool,
}

impl std::fmt::Debug for Queue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Queue").field("waiting_max", &self.waiting_max).finish_non_exhaustive()
    }
}

impl Queue {
    pub(super) fn new(waiting_max: usize) -> Self {
        let state = Mutex::new(State { tasks: VecDeque::new(), closed: false });
        Self { state, changed: Condvar::new(), waiting_max }
    }

    /// Adds `task`, or says why not.
    pub(super) fn push(&self, task: Box<dyn Task>) -> Result<(), RenderError> {
        let mut state = self.lock();
        if state.closed {
            return Err(RenderError::Stopped);
        }
        if state.tasks.len() >= self.waiting_max {
            state.tasks.retain(|task| !task.abandoned());
        }
        if state.tasks.len() >= self.waiting_max {
            return Err(RenderError::Full);
        }
        state.tasks.push_back(task);
        drop(state);
        self.changed.notify_one();
        Ok(())
    }

    /// The next task that somebody waits for; none once the queue is closed and empty.
    pub(super) fn take(&self) -> Option<Box<dyn Task>> {
        let mut state = self.lock();
        loop {
            while let Some(task) = state.tasks.pop_front() {
                if !task.abandoned() {
                    return Some(task);
                }
            }
            if state.closed {
                return None;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Refuses tasks from now on and drops those that wait.
    pub(super) fn close(&self) {
        let dropped = {
            let mut state = self.lock();
            state.closed = true;
            std::mem::take(&mut state.tasks)
        };
        drop(dropped);
        self.changed.notify_all();
    }

    /// The state is whole after every statement, so a poisoned lock changes nothing.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
