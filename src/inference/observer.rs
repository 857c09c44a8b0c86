//! Hooks through which a metrics layer can watch the model threads.
//!
//! Deliberately absent: any metrics library. The hooks are called on the model thread or in the
//! caller's task, so they must be short and must not block.

use std::time::Duration;

/// Watches queues and runs. All methods do nothing unless overridden.
pub trait Observer: Send + Sync {
    /// The number of requests waiting for `model` has changed.
    fn queue_depth(&self, model: &str, waiting: usize) {
        let _ = (model, waiting);
    }

    /// A batch has run.
    fn ran(&self, model: &str, report: &RunReport) {
        let _ = (model, report);
    }

    /// A request was dropped without running.
    fn dropped(&self, model: &str, why: Dropped) {
        let _ = (model, why);
    }
}

/// One run of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunReport {
    /// Requests in the batch.
    pub rows: usize,
    /// How long the request that had waited longest was in the queue.
    pub waited_max: Duration,
    /// Time in the engine.
    pub took: Duration,
    /// Whether every request of the batch was answered with probabilities.
    pub ok: bool,
}

/// Why a request did not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Dropped {
    /// The queue was full.
    Overloaded,
    /// The caller had gone.
    Cancelled,
    /// The deadline had passed.
    Expired,
}

/// Watches nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unobserved;

impl Observer for Unobserved {}
