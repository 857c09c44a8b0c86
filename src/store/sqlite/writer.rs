//! The one writer: takes the commits that wait and does them in one transaction.

use sqlx::sqlite::SqliteConnection;
use sqlx::{Connection as _, Row as _};
use tokio::sync::{mpsc, oneshot};
use tokio_util::task::TaskTracker;

use crate::app::error::Error;
use crate::app::ports::{Appended, AuditEntry, KeptRecord, NewRecord, RecordKind};

/// Commits that share one transaction at most.
const BATCH_MAX: usize = 128;

/// Who did what, as the audit trail names it.
#[derive(Debug, Clone)]
pub(super) struct Actor {
    pub(super) caller: String,
    pub(super) role: &'static str,
    pub(super) action: &'static str,
}

/// Something to commit.
#[derive(Debug)]
struct Job {
    actor: Actor,
    record: Option<NewRecord>,
    audit: AuditEntry,
    reply: oneshot::Sender<Result<Appended, Error>>,
}

/// Handle of the writer task.
#[derive(Debug)]
pub(super) struct Writer {
    jobs: mpsc::Sender<Job>,
}

impl Writer {
    pub(super) fn start(
        connection: SqliteConnection,
        writes_max: usize,
        tracker: &TaskTracker,
    ) -> Self {
        let (jobs, queue) = mpsc::channel(writes_max.max(1));
        tracker.spawn(run(connection, queue));
        Self { jobs }
    }

    /// Commits `record`, if any, and its audit entry; returns after the commit is on disk.
    pub(super) async fn commit(
        &self,
        actor: Actor,
        record: Option<NewRecord>,
        audit: AuditEntry,
    ) -> Result<Appended, Error> {
        let (reply, answer) = oneshot::channel();
        self.jobs.try_send(Job { actor, record, audit, reply }).map_err(|e| match e {
            mpsc::error::TrySendError::Full(_) => Error::Overloaded {
                what: "write queue",
                retry_after: std::time::Duration::from_millis(200),
            },
            mpsc::error::TrySendError::Closed(_) => gone(),
        })?;
        answer.await.map_err(|_| gone())?
    }
}

pub(super) fn kind_name(kind: RecordKind) -> &'static str {
    match kind {
        RecordKind::Consultation => "consultation",
        RecordKind::Check => "check",
    }
}

pub(super) fn kept(row: &sqlx::sqlite::SqliteRow) -> Result<KeptRecord, sqlx::Error> {
    let digest: Vec<u8> = row.try_get("content_sha256")?;
    let content_sha256 = digest.try_into().map_err(|_| sqlx::Error::ColumnDecode {
        index: "content_sha256".to_owned(),
        source: "not 32 bytes".into(),
    })?;
    Ok(KeptRecord { content_sha256, answer_json: row.try_get("answer_json")? })
}

fn gone() -> Error {
    Error::Unavailable { what: "store", cause: None }
}

fn failed(error: sqlx::Error) -> Error {
    Error::Unavailable { what: "store", cause: Some(error.into()) }
}

async fn run(mut connection: SqliteConnection, mut queue: mpsc::Receiver<Job>) {
    let mut batch = Vec::with_capacity(BATCH_MAX);
    while queue.recv_many(&mut batch, BATCH_MAX).await > 0 {
        batch.retain(|job| !job.reply.is_closed());
        match commit_all(&mut connection, &batch).await {
            Ok(outcomes) => {
                for (job, outcome) in batch.drain(..).zip(outcomes) {
                    // A caller that has gone finds the answer under its request id.
                    let _ = job.reply.send(Ok(outcome));
                }
            }
            Err(error) if batch.len() > 1 => {
                tracing::warn!(error = %error, size = batch.len(), "shared commit failed, one by one");
                for job in batch.drain(..) {
                    let one = std::slice::from_ref(&job);
                    let outcome = match commit_all(&mut connection, one).await {
                        Ok(mut outcomes) => outcomes.pop().ok_or_else(gone),
                        Err(error) => Err(failed(error)),
                    };
                    let _ = job.reply.send(outcome);
                }
            }
            Err(error) => {
                if let Some(job) = batch.pop() {
                    let _ = job.reply.send(Err(failed(error)));
                }
            }
        }
    }
    if let Err(error) = connection.close().await {
        tracing::warn!(error = %error, "closing the store");
    }
}

async fn commit_all(
    connection: &mut SqliteConnection,
    jobs: &[Job],
) -> Result<Vec<Appended>, sqlx::Error> {
    let mut outcomes = Vec::with_capacity(jobs.len());
    if jobs.is_empty() {
        return Ok(outcomes);
    }
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    for job in jobs {
        let outcome = match &job.record {
            Some(record) => append(&mut transaction, &job.actor, record).await?,
            None => Appended::New,
        };
        audit(&mut transaction, &job.actor, &job.audit, &outcome).await?;
        outcomes.push(outcome);
    }
    transaction.commit().await?;
    Ok(outcomes)
}

async fn append(
    connection: &mut SqliteConnection,
    actor: &Actor,
    record: &NewRecord,
) -> Result<Appended, sqlx::Error> {
    let done = sqlx::query(
        "INSERT INTO record (id, kind, caller, request_id, content_sha256, patient_reference, \
         created_ms, request_json, answer_json, summary_json, model_version, rule_version) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12) \
         ON CONFLICT (kind, caller, request_id) DO NOTHING",
    )
    .bind(&record.id)
    .bind(kind_name(record.kind))
    .bind(&actor.caller)
    .bind(&record.request_id)
    .bind(record.content_sha256.as_slice())
    .bind(&record.patient_reference)
    .bind(record.created_ms)
    .bind(&record.request_json)
    .bind(&record.answer_json)
    .bind(&record.summary_json)
    .bind(&record.model_version)
    .bind(&record.rule_version)
    .execute(&mut *connection)
    .await?;
    if done.rows_affected() == 1 {
        return Ok(Appended::New);
    }
    let row = sqlx::query(
        "SELECT content_sha256, answer_json FROM record \
         WHERE kind = ?1 AND caller = ?2 AND request_id = ?3",
    )
    .bind(kind_name(record.kind))
    .bind(&actor.caller)
    .bind(&record.request_id)
    .fetch_one(connection)
    .await?;
    Ok(Appended::Existing(kept(&row)?))
}

async fn audit(
    connection: &mut SqliteConnection,
    actor: &Actor,
    entry: &AuditEntry,
    outcome: &Appended,
) -> Result<(), sqlx::Error> {
    let outcome = match outcome {
        Appended::New => entry.outcome,
        Appended::Existing(_) => "replayed",
    };
    let done = sqlx::query(
        "INSERT INTO audit (at_ms, caller, role, action, record_id, patient_reference, outcome) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )
    .bind(entry.at_ms)
    .bind(&actor.caller)
    .bind(actor.role)
    .bind(actor.action)
    .bind(&entry.record_id)
    .bind(&entry.patient_reference)
    .bind(outcome)
    .execute(connection)
    .await?;
    if done.rows_affected() == 1 { Ok(()) } else { Err(sqlx::Error::RowNotFound) }
}
