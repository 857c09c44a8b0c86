//! The queue of the one writer. Additions that wait at the same time share one transaction.

use std::future::Future;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio_util::task::TaskTracker;

use super::INSTANCES_MAX;
use crate::app::error::{Cause, Error};
use crate::app::imaging::ports::IndexEntry;
use crate::sharing::imaging::object::Digest;

/// Jobs that wait at most.
const JOBS_MAX: usize = 256;
/// Entries that share one transaction, if more than one addition waits.
const ENTRIES_MAX: usize = INSTANCES_MAX;
/// After so long without a job the desk is looked after.
const IDLE: Duration = Duration::from_secs(2);

/// What the writer works with: a connection, and what it remembers.
pub(in crate::store) trait Desk: Send + 'static {
    /// Adds `entries`; what is there already changes nothing but how far the index has come.
    fn add(&mut self, entries: Vec<IndexEntry>) -> impl Future<Output = Result<(), Cause>> + Send;
    /// Forgets the object with `digest`; nothing happens if there is none.
    fn remove(
        &mut self,
        digest: Digest,
        at_ms: i64,
    ) -> impl Future<Output = Result<(), Cause>> + Send;
    /// Forgets everything.
    fn clear(&mut self) -> impl Future<Output = Result<(), Cause>> + Send;
    /// Makes good what a failed job may have left untrue.
    fn recover(&mut self) -> impl Future<Output = ()> + Send;
    /// Nothing was to do for a while.
    fn idle(&mut self) -> impl Future<Output = ()> + Send;
    /// Keeps what it remembers small.
    fn trim(&mut self);
    /// The end.
    fn close(self) -> impl Future<Output = ()> + Send;
}

type Reply = oneshot::Sender<Result<(), Error>>;

#[derive(Debug)]
enum Job {
    Add(Vec<IndexEntry>, Reply),
    Remove { digest: Digest, at_ms: i64, reply: Reply },
    Clear(Reply),
}

/// Handle of the writer task.
#[derive(Debug)]
pub(in crate::store) struct Writer {
    jobs: mpsc::Sender<Job>,
}

impl Writer {
    /// Starts the writer on `tracker`; it runs until the handle is dropped.
    pub(in crate::store) fn start(desk: impl Desk, tracker: &TaskTracker) -> Self {
        let (jobs, queue) = mpsc::channel(JOBS_MAX);
        tracker.spawn(run(desk, queue));
        Self { jobs }
    }

    pub(in crate::store) async fn add(&self, entries: Vec<IndexEntry>) -> Result<(), Error> {
        self.ask(|reply| Job::Add(entries, reply)).await
    }

    pub(in crate::store) async fn remove(&self, digest: Digest, at_ms: i64) -> Result<(), Error> {
        self.ask(|reply| Job::Remove { digest, at_ms, reply }).await
    }

    pub(in crate::store) async fn clear(&self) -> Result<(), Error> {
        self.ask(Job::Clear).await
    }

    /// Waits for a place in the queue: who adds has the object on the disk already, and nothing is
    /// gained by sending it away.
    async fn ask(&self, job: impl FnOnce(Reply) -> Job) -> Result<(), Error> {
        let (reply, answer) = oneshot::channel();
        self.jobs.send(job(reply)).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}

pub(in crate::store) fn failed(cause: impl Into<Cause>) -> Error {
    Error::Unavailable { what: "index of studies", cause: Some(cause.into()) }
}

fn gone() -> Error {
    Error::Unavailable { what: "index of studies", cause: None }
}

async fn run(mut desk: impl Desk, mut queue: mpsc::Receiver<Job>) {
    let mut next = None;
    loop {
        let job = match next.take() {
            Some(job) => job,
            None => match tokio::time::timeout(IDLE, queue.recv()).await {
                Ok(Some(job)) => job,
                Ok(None) => break,
                Err(_) => {
                    desk.idle().await;
                    continue;
                }
            },
        };
        match job {
            Job::Add(mut entries, reply) => {
                let mut replies = vec![reply];
                while entries.len() < ENTRIES_MAX {
                    match queue.try_recv() {
                        Ok(Job::Add(more, reply)) => {
                            entries.extend(more);
                            replies.push(reply);
                        }
                        Ok(other) => {
                            next = Some(other);
                            break;
                        }
                        Err(_) => break,
                    }
                }
                let outcome = desk.add(entries).await;
                if let Err(error) = &outcome {
                    tracing::warn!(error = %error, "adding to the index of studies");
                    desk.recover().await;
                }
                answer_all(replies, outcome);
            }
            Job::Remove { digest, at_ms, reply } => {
                let outcome = desk.remove(digest, at_ms).await;
                if let Err(error) = &outcome {
                    tracing::warn!(error = %error, "removing from the index of studies");
                    desk.recover().await;
                }
                answer_all(vec![reply], outcome);
            }
            Job::Clear(reply) => {
                let outcome = desk.clear().await;
                if outcome.is_err() {
                    desk.recover().await;
                }
                answer_all(vec![reply], outcome);
            }
        }
        desk.trim();
    }
    desk.close().await;
}

/// Tells everybody who waited. Only the first hears the cause; it cannot be copied, and is logged.
fn answer_all(replies: Vec<Reply>, outcome: Result<(), Cause>) {
    let failure = outcome.is_err();
    let mut first = Some(outcome.map_err(failed));
    for reply in replies {
        let answer = first.take().unwrap_or_else(|| if failure { Err(gone()) } else { Ok(()) });
        // Who has gone asks again, and finds it there.
        let _ = reply.send(answer);
    }
}
