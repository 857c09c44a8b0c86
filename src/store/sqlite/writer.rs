//! The one writer: takes the commits that wait and does them in one transaction.

use std::fmt::Write as _;

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
        if batch.is_empty() {
            continue;
        }
        match commit_new(&mut connection, &batch).await {
            Ok(()) => {
                for job in batch.drain(..) {
                    // A caller that has gone finds the answer under its request id.
                    let _ = job.reply.send(Ok(Appended::New));
                }
            }
            Err(error) => {
                if !is_conflict(&error) {
                    tracing::warn!(error = %error, size = batch.len(), "shared commit failed, one by one");
                }
                for job in batch.drain(..) {
                    let outcome = commit_one(&mut connection, &job).await.map_err(failed);
                    let _ = job.reply.send(outcome);
                }
            }
        }
    }
    if let Err(error) = connection.close().await {
        tracing::warn!(error = %error, "closing the store");
    }
}

/// Whether a row was there already: two calls raced with one request id.
fn is_conflict(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(sqlx::error::DatabaseError::is_unique_violation)
}

/// What the writer's connection needs before its first commit. A view that only takes inserts: one
/// statement, and so one trip to the connection's thread, keeps any number of records and audit
/// entries in the transaction that `SQLite` puts around a statement. Trips cost more than rows.
pub(super) async fn prepare(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    sqlx::raw_sql(
        "CREATE TEMP VIEW batch AS SELECT NULL AS records, NULL AS entries; \
         CREATE TEMP TRIGGER keep_batch INSTEAD OF INSERT ON batch BEGIN \
         INSERT INTO record (id, kind, caller, request_id, content_sha256, patient_reference, \
         created_ms, request_json, answer_json, summary_json, model_version, rule_version) \
         SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, unhex(value ->> 4), \
         value ->> 5, value ->> 6, value ->> 7, value ->> 8, value ->> 9, value ->> 10, \
         value ->> 11 FROM json_each(NEW.records); \
         INSERT INTO audit (at_ms, caller, role, action, record_id, patient_reference, outcome) \
         SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, \
         value ->> 6 FROM json_each(NEW.entries); \
         END;",
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Keeps all of them, or none.
async fn commit_new(connection: &mut SqliteConnection, jobs: &[Job]) -> Result<(), sqlx::Error> {
    let records: Vec<RecordRow<'_>> = jobs.iter().filter_map(RecordRow::of).collect();
    let entries: Vec<AuditRow<'_>> =
        jobs.iter().map(|job| AuditRow::of(job, job.audit.outcome)).collect();
    insert(connection, &records, &entries).await
}

/// Keeps one, unless its request id is there: then that is audited and returned.
async fn commit_one(connection: &mut SqliteConnection, job: &Job) -> Result<Appended, sqlx::Error> {
    let error = match commit_new(connection, std::slice::from_ref(job)).await {
        Ok(()) => return Ok(Appended::New),
        Err(error) => error,
    };
    match &job.record {
        Some(record) if is_conflict(&error) => {
            let kept = existing(connection, &job.actor, record).await?.ok_or(error)?;
            insert(connection, &[], &[AuditRow::of(job, "replayed")]).await?;
            Ok(Appended::Existing(kept))
        }
        Some(_) | None => Err(error),
    }
}

async fn insert(
    connection: &mut SqliteConnection,
    records: &[RecordRow<'_>],
    entries: &[AuditRow<'_>],
) -> Result<(), sqlx::Error> {
    sqlx::query("INSERT INTO batch VALUES (?1, ?2)")
        .bind(json(records)?)
        .bind(json(entries)?)
        .execute(connection)
        .await?;
    Ok(())
}

async fn existing(
    connection: &mut SqliteConnection,
    actor: &Actor,
    record: &NewRecord,
) -> Result<Option<KeptRecord>, sqlx::Error> {
    let row = sqlx::query(
        "SELECT content_sha256, answer_json FROM record \
         WHERE kind = ?1 AND caller = ?2 AND request_id = ?3",
    )
    .bind(kind_name(record.kind))
    .bind(&actor.caller)
    .bind(&record.request_id)
    .fetch_optional(connection)
    .await?;
    row.as_ref().map(kept).transpose()
}

fn json<T: serde::Serialize>(rows: &[T]) -> Result<String, sqlx::Error> {
    serde_json::to_string(rows).map_err(|e| sqlx::Error::Encode(e.into()))
}

/// The columns of a record in the order of the insert.
#[derive(serde::Serialize)]
struct RecordRow<'a>(
    &'a str,
    &'static str,
    &'a str,
    &'a str,
    String,
    &'a str,
    i64,
    &'a str,
    &'a str,
    &'a str,
    &'a str,
    &'a str,
);

impl<'a> RecordRow<'a> {
    fn of(job: &'a Job) -> Option<Self> {
        let record = job.record.as_ref()?;
        let digest = record.content_sha256.iter().fold(String::new(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        });
        Some(Self(
            &record.id,
            kind_name(record.kind),
            &job.actor.caller,
            &record.request_id,
            digest,
            &record.patient_reference,
            record.created_ms,
            &record.request_json,
            &record.answer_json,
            &record.summary_json,
            &record.model_version,
            &record.rule_version,
        ))
    }
}

/// The columns of an audit entry in the order of the insert.
#[derive(serde::Serialize)]
struct AuditRow<'a>(i64, &'a str, &'a str, &'a str, &'a str, &'a str, &'a str);

impl<'a> AuditRow<'a> {
    fn of(job: &'a Job, outcome: &'a str) -> Self {
        let (actor, entry) = (&job.actor, &job.audit);
        Self(
            entry.at_ms,
            &actor.caller,
            actor.role,
            actor.action,
            &entry.record_id,
            &entry.patient_reference,
            outcome,
        )
    }
}
