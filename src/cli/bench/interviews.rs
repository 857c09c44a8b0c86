//! Interviews that are under way, so that one step of one can be timed: an answer goes out, the next
//! question comes. Who took a step puts the interview back, or opens another where it has ended.
//!
//! There are never more than a fixed number: each holds a stream of its connection also while it waits for an
//! answer. Without that, steps that came in a burst each opened one, until streams ran out, and those that still
//! waited for a stream waited for ever, because the interviews that had them waited for a step.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::task::TaskTracker;

use super::driven::Clients;
use super::{Failure, requests};
use crate::cli::client::Talk;
use crate::rpc::proto::xiangyi::diagnosis::v1 as dx;
use crate::rpc::proto::xiangyi::diagnosis::v1::interview_response::Step;

/// Questions of an interview at most: as many as a node allows.
const QUESTIONS: u32 = 30;

/// Interviews under way.
#[derive(Clone)]
pub(super) struct Pool {
    clients: Clients,
    waiting: Arc<Mutex<Vec<Open>>>,
    /// Interviews that there may be, each with a step or being opened.
    busy: Arc<Semaphore>,
    tracker: TaskTracker,
}

/// An interview that waits for an answer.
struct Open {
    talk: Talk,
    question: String,
}

impl Pool {
    /// Opens so many; there are never more.
    pub(super) async fn open(clients: &Clients, count: u32) -> Result<Self, Failure> {
        let pool = Self {
            clients: clients.clone(),
            waiting: Arc::default(),
            busy: Arc::new(Semaphore::new(usize::try_from(count).unwrap_or(1))),
            tracker: TaskTracker::new(),
        };
        for number in 0..count {
            pool.refill(number.into()).await?;
        }
        Ok(pool)
    }

    /// One step. Where all interviews have a step one is waited for, and where one is lacking it is opened
    /// first; both count.
    pub(super) async fn step(self, number: u64) -> Result<(), String> {
        let turn = Arc::clone(&self.busy).acquire_owned().await;
        let turn = turn.map_err(|error| error.to_string())?;
        self.with_turn(number, turn).await
    }

    async fn with_turn(self, number: u64, turn: OwnedSemaphorePermit) -> Result<(), String> {
        let waiting = self.taken();
        let Open { mut talk, question } = match waiting {
            Some(open) => open,
            None => self.begin(number).await?,
        };
        // "Not sure" changes nothing, so that there is another question.
        let answer = talk.answer(&question, dx::FindingState::Uncertain).await;
        let answer = answer.map_err(|error| error.to_string())?;
        match answer.step {
            Some(Step::Question(next)) => self.put(Open { talk, question: next.finding_id }),
            // Who timed the step does not wait for the next interview.
            Some(Step::Consultation(_)) | None => {
                let pool = self.clone();
                self.tracker.spawn(async move {
                    // One less waits; who comes then opens one.
                    let _ = pool.refill(number).await;
                    drop(turn);
                });
            }
        }
        Ok(())
    }

    fn taken(&self) -> Option<Open> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    fn put(&self, open: Open) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).push(open);
    }

    async fn refill(&self, number: u64) -> Result<(), String> {
        let open = self.begin(number).await?;
        self.put(open);
        Ok(())
    }

    async fn begin(&self, number: u64) -> Result<Open, String> {
        let client = self.clients.of(number)?;
        let text = |error: Failure| error.to_string();
        // Complaints that leave questions open.
        let request = requests::complaint(number);
        let mut talk = client.talk(request, QUESTIONS).await.map_err(text)?;
        match talk.hear().await.map_err(text)?.step {
            Some(Step::Question(question)) => Ok(Open { talk, question: question.finding_id }),
            Some(Step::Consultation(_)) | None => {
                Err("the node asked no question in an interview".to_owned())
            }
        }
    }
}
