//! The one writer. Additions that wait at the same time share one transaction; what it reads to
//! decide, it reads on its own connection and remembers while the same series go on coming.

use std::collections::HashMap;

use sqlx::sqlite::SqliteConnection;
use sqlx::{Connection as _, Row as _};
use tokio::sync::{mpsc, oneshot};
use tokio_util::task::TaskTracker;

use super::merge::{Identity, SeriesState, StudyState};
use super::packed::count;
use super::{add, batch, remove};
use crate::app::error::Error;
use crate::app::imaging::ports::{IndexCounts, IndexEntry};
use crate::sharing::imaging::header::Patient;
use crate::sharing::imaging::object::Digest;

/// Jobs that wait at most.
const JOBS_MAX: usize = 256;
/// Entries that share one transaction, if more than one addition waits.
const ENTRIES_MAX: usize = batch::INSTANCES_MAX;
/// Studies, series and words remembered; beyond that all are forgotten and read again.
const REMEMBERED_MAX: usize = 1024;

type Reply = oneshot::Sender<Result<(), Error>>;

#[derive(Debug)]
enum Job {
    Add(Vec<IndexEntry>, Reply),
    Remove { digest: Digest, at_ms: i64, reply: Reply },
    Clear(Reply),
}

/// Handle of the writer task.
#[derive(Debug)]
pub(super) struct Writer {
    jobs: mpsc::Sender<Job>,
}

/// What the writer works with.
#[derive(Debug)]
pub(super) struct Desk {
    pub(super) connection: SqliteConnection,
    pub(super) memory: Memory,
}

/// What the writer remembers of the database, so that it need not ask.
#[derive(Debug, Default)]
pub(super) struct Memory {
    pub(super) counts: IndexCounts,
    pub(super) changes: i64,
    pub(super) last_patient: i64,
    pub(super) last_study: i64,
    pub(super) last_series: i64,
    pub(super) last_word: i64,
    pub(super) studies: HashMap<String, StudyState>,
    /// By study and UID.
    pub(super) series: HashMap<(i64, String), SeriesState>,
    pub(super) patients: HashMap<Identity, (i64, Patient)>,
    pub(super) words: HashMap<String, i64>,
}

impl Writer {
    /// Starts the writer on `tracker`; it runs until the handle is dropped.
    pub(super) async fn start(
        connection: SqliteConnection,
        tracker: &TaskTracker,
    ) -> Result<Self, sqlx::Error> {
        let mut desk = Desk { connection, memory: Memory::default() };
        batch::prepare(&mut desk.connection).await?;
        desk.look_up().await?;
        let (jobs, queue) = mpsc::channel(JOBS_MAX);
        tracker.spawn(run(desk, queue));
        Ok(Self { jobs })
    }

    pub(super) async fn add(&self, entries: Vec<IndexEntry>) -> Result<(), Error> {
        self.ask(|reply| Job::Add(entries, reply)).await
    }

    pub(super) async fn remove(&self, digest: Digest, at_ms: i64) -> Result<(), Error> {
        self.ask(|reply| Job::Remove { digest, at_ms, reply }).await
    }

    pub(super) async fn clear(&self) -> Result<(), Error> {
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

impl Desk {
    /// Reads what the memory begins with.
    pub(super) async fn look_up(&mut self) -> Result<(), sqlx::Error> {
        let row = sqlx::query(
            "SELECT patients, studies, series, instances, apart, changes, \
             (SELECT coalesce(max(id), 0) FROM patient), \
             (SELECT coalesce(max(id), 0) FROM study), \
             (SELECT coalesce(max(id), 0) FROM series), \
             (SELECT coalesce(max(id), 0) FROM word) FROM state",
        )
        .fetch_one(&mut self.connection)
        .await?;
        self.memory = Memory {
            counts: IndexCounts {
                patients: count(row.try_get(0)?),
                studies: count(row.try_get(1)?),
                series: count(row.try_get(2)?),
                instances: count(row.try_get(3)?),
                apart: count(row.try_get(4)?),
            },
            changes: row.try_get(5)?,
            last_patient: row.try_get(6)?,
            last_study: row.try_get(7)?,
            last_series: row.try_get(8)?,
            last_word: row.try_get(9)?,
            ..Memory::default()
        };
        Ok(())
    }

    /// Forgets what a failed transaction may have made untrue.
    async fn recover(&mut self) {
        // Fails when no transaction is open, which is as good.
        let _ = sqlx::raw_sql("ROLLBACK").execute(&mut self.connection).await;
        if let Err(error) = self.look_up().await {
            tracing::warn!(error = %error, "the index of studies cannot be read");
        }
    }

    async fn clear(&mut self) -> Result<(), sqlx::Error> {
        // Numbers of changes go on: who follows them sees everything once more.
        sqlx::raw_sql(
            "BEGIN IMMEDIATE; DELETE FROM name_key; DELETE FROM patient; DELETE FROM study; \
             DELETE FROM series; DELETE FROM instance; DELETE FROM apart; DELETE FROM gone; \
             DELETE FROM word; UPDATE state SET segment = NULL, start = NULL, body = NULL, \
             length = NULL, patients = 0, studies = 0, series = 0, instances = 0, apart = 0; \
             COMMIT",
        )
        .execute(&mut self.connection)
        .await?;
        self.look_up().await
    }
}

impl Memory {
    /// Keeps it small.
    fn trim(&mut self) {
        if self.studies.len() > REMEMBERED_MAX || self.series.len() > REMEMBERED_MAX {
            self.studies.clear();
            self.series.clear();
        }
        if self.patients.len() > REMEMBERED_MAX {
            self.patients.clear();
        }
        if self.words.len() > REMEMBERED_MAX {
            self.words.clear();
        }
    }
}

pub(super) fn failed(error: sqlx::Error) -> Error {
    Error::Unavailable { what: "index of studies", cause: Some(error.into()) }
}

fn gone() -> Error {
    Error::Unavailable { what: "index of studies", cause: None }
}

async fn run(mut desk: Desk, mut queue: mpsc::Receiver<Job>) {
    let mut next = None;
    loop {
        let job = match next.take() {
            Some(job) => job,
            None => match queue.recv().await {
                Some(job) => job,
                None => break,
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
                let outcome = add::add(&mut desk, entries).await;
                if let Err(error) = &outcome {
                    tracing::warn!(error = %error, "adding to the index of studies");
                    desk.recover().await;
                }
                answer_all(replies, outcome);
            }
            Job::Remove { digest, at_ms, reply } => {
                let outcome = remove::remove(&mut desk, digest, at_ms).await;
                desk.recover().await;
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
        desk.memory.trim();
    }
    if let Err(error) = desk.connection.close().await {
        tracing::warn!(error = %error, "closing the index of studies");
    }
}

/// Tells everybody who waited. Only the first hears the cause; it cannot be copied, and is logged.
fn answer_all(replies: Vec<Reply>, outcome: Result<(), sqlx::Error>) {
    let failure = outcome.is_err();
    let mut first = Some(outcome.map_err(failed));
    for reply in replies {
        let answer = first.take().unwrap_or_else(|| if failure { Err(gone()) } else { Ok(()) });
        // Who has gone asks again, and finds it there.
        let _ = reply.send(answer);
    }
}
