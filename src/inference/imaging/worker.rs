//! One thread for one model. Work whose caller has gone is not begun; an engine that panics takes
//! its model out of service and nothing else.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use tokio::sync::oneshot;

use super::check;
use super::manifest::Manifest;
use crate::inference::engine::ImageEngine;
use crate::inference::error::InferenceError;
use crate::inference::queue::{NotTaken, Queue};

type Answer = Result<Vec<Vec<f32>>, InferenceError>;

/// What waits for a model.
#[derive(Debug)]
struct Job {
    tensor: Vec<f32>,
    reply: oneshot::Sender<Answer>,
}

/// A model with its thread, which ends when this is dropped.
#[derive(Debug)]
pub(super) struct Worker {
    model: String,
    queue: Arc<Queue<Job>>,
}

impl Worker {
    pub(super) fn start(
        manifest: Manifest,
        engine: Box<dyn ImageEngine>,
        queue_max: usize,
    ) -> std::io::Result<Self> {
        let queue = Arc::new(Queue::watched(queue_max.max(1), |_| {}));
        let worker = Self { model: manifest.id.clone(), queue: Arc::clone(&queue) };
        let name = format!("image-model-{}", manifest.id);
        std::thread::Builder::new().name(name).spawn(move || serve(&manifest, engine, &queue))?;
        Ok(worker)
    }

    /// Waits for the model's turn and its answer.
    pub(super) async fn run(&self, tensor: Vec<f32>) -> Answer {
        let (reply, answer) = oneshot::channel();
        let gone = |job: &Job| job.reply.is_closed();
        match self.queue.push(Job { tensor, reply }, gone) {
            Ok(_) => {}
            Err(NotTaken::Full) => {
                let queue_max = self.queue.max();
                return Err(InferenceError::Overloaded { model: self.model.clone(), queue_max });
            }
            Err(NotTaken::Closed) => return Err(stopped(&self.model)),
        }
        answer.await.unwrap_or_else(|_| Err(stopped(&self.model)))
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.queue.close();
    }
}

fn stopped(model: &str) -> InferenceError {
    InferenceError::Stopped { model: model.to_owned(), message: "its thread has ended".to_owned() }
}

fn serve(manifest: &Manifest, mut engine: Box<dyn ImageEngine>, queue: &Queue<Job>) {
    let mut taken = Vec::new();
    while queue.take(&mut taken, 1).is_some() {
        let Some(Job { tensor, reply }) = taken.pop() else { continue };
        if reply.is_closed() {
            continue;
        }
        let run = || check::run(engine.as_mut(), manifest, &tensor);
        let Ok(answer) = catch_unwind(AssertUnwindSafe(run)) else {
            tracing::error!(model = manifest.id, "the engine panicked; the model is down");
            // Dropped with their senders: those who wait are told that it has stopped.
            drop(queue.close_and_drain());
            return;
        };
        if let Err(error) = &answer {
            tracing::warn!(model = manifest.id, error = error.chain(), "a run failed");
        }
        // The caller may have gone meanwhile.
        let _ = reply.send(answer);
    }
}
