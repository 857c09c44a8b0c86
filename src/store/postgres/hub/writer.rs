//! The one writer of a hub: takes the submissions that wait and keeps them in one transaction.
//!
//! If a batch fails because another hub was in the way, or because of one of its documents, each is
//! tried alone, so that an error goes to its own caller only. If the connection is lost nobody is told
//! "kept": who asks again hears what became of it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use sqlx::Connection as _;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout};
use tokio_util::task::TaskTracker;

use super::batch::{Advance, Done, commit};
use super::listen::Notes;
use super::{TRIES_MAX, connect, lost, raced};
use crate::app::error::Error;
use crate::app::exchange::ports::Submission;
use crate::sharing::exchange::Outcome;
use crate::store::hub::plan::class;
use crate::store::hub::{Grown, Scopes, failed};

/// Submissions that share a transaction at most, and bytes of bodies after which it takes no more.
const BATCH_MAX: usize = 256;
const BATCH_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Jobs that wait at most; who comes then waits outside.
const JOBS_MAX: usize = 512;
/// How long one transaction may take; after that the connection is given up.
const JOB_WAIT: Duration = Duration::from_mins(1);
/// Between two attempts to connect: at first, and at most.
const PAUSE: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(2);

type Reply<T> = oneshot::Sender<Result<T, Error>>;

#[derive(Debug)]
enum Job {
    Keep(Box<Submission>, Reply<Outcome>),
    Advance(Advance, Reply<()>),
}

/// Handle of the writer task.
#[derive(Debug)]
pub(super) struct Writer {
    jobs: mpsc::Sender<Job>,
}

impl Writer {
    /// Starts the writer on `tracker`; it runs until the handle is dropped.
    pub(super) fn start(desk: Desk, tracker: &TaskTracker) -> Self {
        let (jobs, queue) = mpsc::channel(JOBS_MAX);
        tracker.spawn(run(desk, queue));
        Self { jobs }
    }

    pub(super) async fn keep(&self, submission: Submission) -> Result<Outcome, Error> {
        self.ask(|reply| Job::Keep(Box::new(submission), reply)).await
    }

    pub(super) async fn advance(&self, node: &str, number: u64, at_ms: i64) -> Result<(), Error> {
        let advance = Advance { node: node.to_owned(), number, at_ms };
        self.ask(|reply| Job::Advance(advance, reply)).await
    }

    async fn ask<T>(&self, job: impl FnOnce(Reply<T>) -> Job) -> Result<T, Error> {
        let (reply, answer) = oneshot::channel();
        self.jobs.send(job(reply)).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}

fn gone() -> Error {
    Error::Unavailable { what: "store of documents", cause: None }
}

/// What shares a transaction.
#[derive(Debug, Default)]
struct Batch {
    submissions: Vec<Submission>,
    replies: Vec<Reply<Outcome>>,
    advances: BTreeMap<String, Advance>,
    advanced: Vec<Reply<()>>,
    bytes: usize,
}

impl Batch {
    /// Takes from those that wait: the first, and what may share a transaction with it. The others
    /// stay in their order.
    fn take(waiting: &mut VecDeque<Job>) -> Self {
        let mut batch = Self::default();
        let mut left = VecDeque::new();
        while let Some(job) = waiting.pop_front() {
            match job {
                Job::Keep(submission, reply) if batch.has_room(&submission) => {
                    // Who has gone asks again.
                    if !reply.is_closed() {
                        batch.bytes += submission.document.body.len();
                        batch.submissions.push(*submission);
                        batch.replies.push(reply);
                    }
                }
                Job::Keep(..) => left.push_back(job),
                Job::Advance(advance, reply) => {
                    batch.advanced.push(reply);
                    let there = batch.advances.entry(advance.node.clone());
                    let there = there.or_insert_with(|| advance.clone());
                    there.number = there.number.max(advance.number);
                    there.at_ms = there.at_ms.max(advance.at_ms);
                }
            }
        }
        *waiting = left;
        batch
    }

    fn has_room(&self, submission: &Submission) -> bool {
        self.submissions.len() < BATCH_MAX
            && self.bytes < BATCH_BYTES_MAX
            && self.submissions.first().is_none_or(|first| class(first) == class(submission))
    }
}

async fn run(mut desk: Desk, mut queue: mpsc::Receiver<Job>) {
    let mut waiting = VecDeque::new();
    loop {
        if waiting.is_empty() {
            let Some(job) = queue.recv().await else { break };
            waiting.push_back(job);
        }
        // Those who were just answered may have more: let them say so before the next commit.
        tokio::task::yield_now().await;
        while waiting.len() < JOBS_MAX
            && let Ok(job) = queue.try_recv()
        {
            waiting.push_back(job);
        }
        desk.work(Batch::take(&mut waiting)).await;
    }
    if let Some(connection) = desk.connection
        && let Err(error) = connection.close().await
    {
        tracing::warn!(error = %error, "closing the store of documents");
    }
}

/// What the writer works with.
#[derive(Debug)]
pub(super) struct Desk {
    connection: Option<PgConnection>,
    options: PgConnectOptions,
    scopes: Arc<Scopes>,
    notes: Notes,
    grown: Grown,
    /// Not before this is the server dialled again, and so long is the pause after a failure.
    dial_at: Option<Instant>,
    pause: Duration,
}

impl Desk {
    pub(super) fn new(
        connection: PgConnection,
        options: PgConnectOptions,
        scopes: Arc<Scopes>,
        notes: Notes,
        grown: Grown,
    ) -> Self {
        let connection = Some(connection);
        Self { connection, options, scopes, notes, grown, dial_at: None, pause: PAUSE }
    }

    async fn work(&mut self, batch: Batch) {
        let Batch { submissions, replies, advances, advanced, .. } = batch;
        let advances: Vec<Advance> = advances.into_values().collect();
        if submissions.is_empty() && advances.is_empty() {
            return;
        }
        match self.keep(&submissions, &advances).await {
            Ok(outcomes) => {
                for (reply, outcome) in replies.into_iter().zip(outcomes) {
                    // Who has gone asks again, and finds it there.
                    let _ = reply.send(Ok(outcome));
                }
                for reply in advanced {
                    let _ = reply.send(Ok(()));
                }
            }
            Err(error) if self.connection.is_none() => {
                // The cause cannot be copied; it is in the log.
                tracing::debug!(error = %error, "a batch was not kept");
                for reply in replies {
                    let _ = reply.send(Err(gone()));
                }
                for reply in advanced {
                    let _ = reply.send(Err(gone()));
                }
            }
            Err(error) => {
                let size = submissions.len();
                tracing::debug!(error = %error, size, "a shared commit failed, one by one");
                for (submission, reply) in submissions.iter().zip(replies) {
                    let kept = self.alone(std::slice::from_ref(submission), &[]).await;
                    let _ =
                        reply.send(kept.and_then(|kept| kept.into_iter().next().ok_or_else(gone)));
                }
                if !advances.is_empty() {
                    let mut kept = self.alone(&[], &advances).await.map(|_| ()).err();
                    let has_failed = kept.is_some();
                    for reply in advanced {
                        let answer = match kept.take() {
                            Some(error) => Err(error),
                            None if has_failed => Err(gone()),
                            None => Ok(()),
                        };
                        let _ = reply.send(answer);
                    }
                }
            }
        }
    }

    /// Tries again while others are in the way.
    async fn alone(
        &mut self,
        batch: &[Submission],
        advances: &[Advance],
    ) -> Result<Vec<Outcome>, Error> {
        for _ in 1..TRIES_MAX {
            match self.keep(batch, advances).await {
                Err(error) if raced(&error) => {}
                outcome => return outcome.map_err(failed),
            }
        }
        self.keep(batch, advances).await.map_err(failed)
    }

    /// One transaction. After an error nothing of it is there, or the connection was lost, and what is
    /// there is not known.
    async fn keep(
        &mut self,
        batch: &[Submission],
        advances: &[Advance],
    ) -> Result<Vec<Outcome>, sqlx::Error> {
        let mut connection = self.ready().await?;
        let done = commit(&mut connection, &self.scopes, &self.notes, batch, advances);
        let done = timeout(JOB_WAIT, done).await.unwrap_or(Err(sqlx::Error::PoolTimedOut));
        match done {
            Ok(Done { outcomes, grown }) => {
                self.connection = Some(connection);
                for node in grown {
                    self.grown.tell(&node);
                }
                Ok(outcomes)
            }
            Err(error) => {
                let is_gone = lost(&error) || matches!(error, sqlx::Error::PoolTimedOut);
                let undone = async {
                    sqlx::raw_sql("ROLLBACK").execute(&mut connection).await.map(|_| connection)
                };
                if is_gone {
                    tracing::warn!(error = %error, "lost the connection to the store of documents");
                } else if let Ok(Ok(connection)) = timeout(JOB_WAIT, undone).await {
                    self.connection = Some(connection);
                }
                Err(error)
            }
        }
    }

    /// The connection, made again if it was lost and it is time to.
    async fn ready(&mut self) -> Result<PgConnection, sqlx::Error> {
        if let Some(connection) = self.connection.take() {
            return Ok(connection);
        }
        if self.dial_at.is_some_and(|at| Instant::now() < at) {
            return Err(sqlx::Error::PoolClosed);
        }
        let connected = connect(&self.options).await;
        match connected {
            Ok(connection) => {
                tracing::info!("connected to the store of documents again");
                (self.dial_at, self.pause) = (None, PAUSE);
                Ok(connection)
            }
            Err(error) => {
                self.dial_at = Some(Instant::now() + self.pause);
                self.pause = (self.pause * 2).min(PAUSE_MAX);
                Err(error)
            }
        }
    }
}
