//! The model thread: one thread owns the engine, callers queue rows for it.
//!
//! The thread takes what is waiting, up to a limit, drops the requests whose caller has gone or
//! whose deadline has passed, runs the rest as one batch and hands each caller its row. It never
//! waits to fill a batch. Deliberately absent: retries, and recovery from a panic; a model whose
//! engine panicked stays down and says so until it is loaded again.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::check;
use super::engine::Engine;
use super::error::InferenceError;
use super::manifest::Column;
use super::observer::{Dropped, Observer, RunReport};
use super::queue::{NotTaken, Queue};

/// Tells the time. Injected so that a test can decide what is late.
pub type Clock = Arc<dyn Fn() -> Instant + Send + Sync>;

/// What a model thread needs besides its engine.
#[derive(Clone)]
pub struct WorkerOptions {
    /// Requests that may wait; more are answered [`InferenceError::Overloaded`].
    pub queue_max: usize,
    /// Requests that run together at most.
    pub batch_max: usize,
    /// Watches the thread.
    pub observer: Arc<dyn Observer>,
    /// Tells the time.
    pub clock: Clock,
}

/// A handle to a model thread. Dropping it lets the thread finish what is queued and end.
#[derive(Debug)]
pub struct Worker {
    shared: Arc<Shared>,
}

/// The thread itself, for whoever has to wait for its end.
#[derive(Debug)]
pub struct WorkerThread {
    shared: Arc<Shared>,
    thread: JoinHandle<()>,
}

struct Shared {
    model: String,
    inputs: Vec<Column>,
    output: Column,
    queue: Queue<Job>,
    /// What the engine's panic said.
    panicked: OnceLock<String>,
    options: WorkerOptions,
}

type Answer = Result<Vec<f32>, InferenceError>;

struct Job {
    /// One row per input, in the order of the model's inputs.
    rows: Vec<Vec<f32>>,
    queued: Instant,
    deadline: Option<Instant>,
    reply: oneshot::Sender<Answer>,
}

impl Worker {
    /// Starts the thread of `model`, whose `engine` takes `inputs` and answers `output`.
    pub fn start(
        model: &str,
        inputs: &[Column],
        output: &Column,
        engine: Box<dyn Engine>,
        options: WorkerOptions,
    ) -> Result<(Self, WorkerThread), InferenceError> {
        let shared = Arc::new(Shared {
            model: model.to_owned(),
            inputs: inputs.to_vec(),
            output: output.clone(),
            queue: Queue::watched(options.queue_max.max(1), {
                let (observer, model) = (Arc::clone(&options.observer), model.to_owned());
                move |waiting| observer.queue_depth(&model, waiting)
            }),
            panicked: OnceLock::new(),
            options,
        });
        let name = engine.name();
        let in_thread = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name(format!("model-{model}"))
            .spawn(move || in_thread.serve(engine))
            .map_err(|error| InferenceError::engine(name, "get a thread", error))?;
        Ok((Self { shared: Arc::clone(&shared) }, WorkerThread { shared, thread }))
    }

    /// Queues one row and waits for the model's probabilities. `rows` names every input of the
    /// model once, in any order, each with `width` finite numbers. A request still queued at
    /// `deadline` does not run; a caller that stops waiting drops the future, and then its request
    /// does not run either.
    ///
    /// # Errors
    ///
    /// [`InferenceError::Input`], [`InferenceError::Overloaded`] (at once),
    /// [`InferenceError::Expired`], [`InferenceError::Engine`], [`InferenceError::Output`] or
    /// [`InferenceError::Stopped`].
    pub async fn predict(
        &self,
        rows: Vec<(&str, Vec<f32>)>,
        deadline: Option<Instant>,
    ) -> Result<Vec<f32>, InferenceError> {
        let answer = self.shared.submit(rows, deadline)?;
        // The sender goes away unanswered only if the thread died around the run.
        answer.await.unwrap_or_else(|_| Err(self.shared.stopped()))
    }

    /// Whether the thread takes requests.
    pub fn is_healthy(&self) -> bool {
        self.shared.panicked.get().is_none() && !self.shared.queue.is_closed()
    }

    /// Requests waiting.
    pub fn waiting(&self) -> usize {
        self.shared.queue.waiting()
    }

    /// Takes no more requests; those queued are still answered.
    pub fn close(&self) {
        self.shared.queue.close();
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.close();
    }
}

impl WorkerThread {
    /// Takes no more requests, answers those queued and waits for the thread to end. Blocks.
    pub fn stop(self) {
        self.shared.queue.close();
        if self.thread.join().is_err() {
            tracing::error!(model = self.shared.model, "the model thread ended with a panic");
        }
    }

    /// Whether the thread has ended.
    pub fn is_finished(&self) -> bool {
        self.thread.is_finished()
    }
}

impl std::fmt::Debug for WorkerOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WorkerOptions")
            .field("queue_max", &self.queue_max)
            .field("batch_max", &self.batch_max)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Worker")
            .field("model", &self.model)
            .field("waiting", &self.queue.waiting())
            .field("panicked", &self.panicked)
            .finish_non_exhaustive()
    }
}

impl Shared {
    fn submit(
        &self,
        named: Vec<(&str, Vec<f32>)>,
        deadline: Option<Instant>,
    ) -> Result<oneshot::Receiver<Answer>, InferenceError> {
        let rows = self.arrange(named)?;
        let queued = (self.options.clock)();
        if deadline.is_some_and(|deadline| deadline <= queued) {
            self.options.observer.dropped(&self.model, Dropped::Expired);
            return Err(InferenceError::Expired { model: self.model.clone() });
        }
        let (reply, answer) = oneshot::channel();
        match self.queue.push(Job { rows, queued, deadline, reply }, |job| job.reply.is_closed()) {
            Ok(pushed) => {
                for _ in 0..pushed.purged {
                    self.options.observer.dropped(&self.model, Dropped::Cancelled);
                }
                Ok(answer)
            }
            Err(NotTaken::Full) => {
                self.options.observer.dropped(&self.model, Dropped::Overloaded);
                Err(InferenceError::Overloaded {
                    model: self.model.clone(),
                    queue_max: self.queue.max(),
                })
            }
            Err(NotTaken::Closed) => Err(self.stopped()),
        }
    }

    /// The rows in the order of the model's inputs, each checked.
    fn arrange(&self, mut named: Vec<(&str, Vec<f32>)>) -> Result<Vec<Vec<f32>>, InferenceError> {
        let mut rows = Vec::with_capacity(self.inputs.len());
        for input in &self.inputs {
            let at = named.iter().position(|(name, _)| *name == input.name);
            let Some(at) = at else {
                return Err(InferenceError::input(&input.name, "expected a row, found none"));
            };
            let (_, row) = named.swap_remove(at);
            if row.len() != input.width {
                let message = format!("expected {} numbers, found {}", input.width, row.len());
                return Err(InferenceError::input(&input.name, message));
            }
            if !row.iter().all(|value| value.is_finite()) {
                return Err(InferenceError::input(&input.name, "expected finite numbers"));
            }
            rows.push(row);
        }
        match named.first() {
            Some((name, _)) => Err(InferenceError::input(name, "stands twice or is no input")),
            None => Ok(rows),
        }
    }

    fn stopped(&self) -> InferenceError {
        let message = match self.panicked.get() {
            Some(message) => format!("its engine panicked: {message}"),
            None => "it is shutting down".to_owned(),
        };
        InferenceError::Stopped { model: self.model.clone(), message }
    }

    fn serve(&self, mut engine: Box<dyn Engine>) {
        // Should anything but the engine panic, nobody may be left waiting.
        let _open = OpenWhileServing(self);
        let mut taken = Vec::with_capacity(self.options.batch_max);
        let mut columns: Vec<Vec<f32>> = vec![Vec::new(); self.inputs.len()];
        while self.queue.take(&mut taken, self.options.batch_max.max(1)).is_some() {
            let now = (self.options.clock)();
            let batch: Vec<Job> = taken.drain(..).filter_map(|job| self.live(job, now)).collect();
            if batch.is_empty() {
                continue;
            }
            for (at, column) in columns.iter_mut().enumerate() {
                column.clear();
                for row in batch.iter().filter_map(|job| job.rows.get(at)) {
                    column.extend_from_slice(row);
                }
            }
            let outcome = catch_unwind(AssertUnwindSafe(|| {
                check::run(engine.as_mut(), &self.inputs, &self.output, &columns, batch.len())
            }));
            let took = (self.options.clock)().saturating_duration_since(now);
            if let Err(panic) = &outcome {
                self.fail(panic.as_ref());
            }
            let mut answers = self.answers(outcome, batch.len());
            let waited_max =
                batch.iter().map(|job| now.saturating_duration_since(job.queued)).max();
            self.options.observer.ran(
                &self.model,
                &RunReport {
                    rows: batch.len(),
                    waited_max: waited_max.unwrap_or_default(),
                    took,
                    ok: answers.iter().all(Result::is_ok),
                },
            );
            for (job, answer) in batch.into_iter().zip(answers.drain(..)) {
                // The caller may have gone meanwhile.
                let _ = job.reply.send(answer);
            }
            if self.panicked.get().is_some() {
                return;
            }
        }
    }

    /// The job, unless there is nobody left to answer or it is too late.
    fn live(&self, job: Job, now: Instant) -> Option<Job> {
        if job.reply.is_closed() {
            self.options.observer.dropped(&self.model, Dropped::Cancelled);
            return None;
        }
        if job.deadline.is_some_and(|deadline| deadline <= now) {
            self.options.observer.dropped(&self.model, Dropped::Expired);
            let _ = job.reply.send(Err(InferenceError::Expired { model: self.model.clone() }));
            return None;
        }
        Some(job)
    }

    /// One answer per row. A row that is no set of probabilities fails alone.
    fn answers(
        &self,
        outcome: Result<Result<ndarray::Array2<f32>, InferenceError>, Box<dyn Any + Send>>,
        rows: usize,
    ) -> Vec<Answer> {
        match outcome {
            Ok(Ok(table)) => table
                .rows()
                .into_iter()
                .map(|row| {
                    let row = row.to_vec();
                    check::probabilities(&row, self.output.width).map(|()| row)
                })
                .collect(),
            Ok(Err(error)) => {
                tracing::warn!(model = self.model, error = error.chain(), "a run failed");
                (0..rows).map(|_| Err(error.clone())).collect()
            }
            Err(_) => (0..rows).map(|_| Err(self.stopped())).collect(),
        }
    }

    fn fail(&self, panic: &(dyn Any + Send)) {
        let message = panic
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| panic.downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "without a message".to_owned());
        tracing::error!(model = self.model, message, "the engine panicked; the model is down");
        let _ = self.panicked.set(message);
    }
}

struct OpenWhileServing<'a>(&'a Shared);

impl Drop for OpenWhileServing<'_> {
    fn drop(&mut self) {
        for job in self.0.queue.close_and_drain() {
            let _ = job.reply.send(Err(self.0.stopped()));
        }
    }
}

#[cfg(test)]
mod tests;
