//! The one writer: takes the commits that wait and does them in one transaction.

use sqlx::sqlite::SqliteConnection;
use sqlx::{Connection as _, QueryBuilder, Row as _};
use tokio::sync::{mpsc, oneshot};
use tokio_util::task::TaskTracker;

use crate::app::error::Error;
use crate::app::ports::{Appended, AuditEntry, KeptRecord, NewRecord, RecordKind};

/// Commits that share one transaction at most.
const BATCH_MAX: usize = 64;

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
        RecordKind::Override => "override",
        RecordKind::Plan => "plan",
        RecordKind::Recognition => "recognition",
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
                for mut job in batch.drain(..) {
                    let outcome = commit_one(&mut connection, &mut job).await.map_err(failed);
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
        "CREATE TEMP VIEW batch AS SELECT NULL AS at_ms, NULL AS caller, NULL AS role, \
         NULL AS action, NULL AS record_id, NULL AS patient_reference, NULL AS outcome, NULL AS detail, \
         NULL AS kind, NULL AS request_id, NULL AS content_sha256, NULL AS created_ms, \
         NULL AS request_json, NULL AS answer_json, NULL AS summary_json, NULL AS model_version, \
         NULL AS rule_version; \
         CREATE TEMP TRIGGER keep_record INSTEAD OF INSERT ON batch WHEN NEW.kind IS NOT NULL BEGIN \
         INSERT INTO record (id, kind, caller, request_id, content_sha256, patient_reference, \
         created_ms, request_json, answer_json, summary_json, model_version, rule_version) \
         VALUES (NEW.record_id, NEW.kind, NEW.caller, NEW.request_id, NEW.content_sha256, \
         NEW.patient_reference, NEW.created_ms, NEW.request_json, NEW.answer_json, \
         NEW.summary_json, NEW.model_version, NEW.rule_version); \
         END; \
         CREATE TEMP TRIGGER keep_entry INSTEAD OF INSERT ON batch BEGIN \
         INSERT INTO audit (at_ms, caller, role, action, record_id, patient_reference, outcome, \
         detail) \
         VALUES (NEW.at_ms, NEW.caller, NEW.role, NEW.action, NEW.record_id, \
         NEW.patient_reference, NEW.outcome, NEW.detail); \
         END;",
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Keeps one, unless its request id is there: then that is audited and returned.
async fn commit_one(
    connection: &mut SqliteConnection,
    job: &mut Job,
) -> Result<Appended, sqlx::Error> {
    let error = match commit_new(connection, std::slice::from_ref(job)).await {
        Ok(()) => return Ok(Appended::New),
        Err(error) => error,
    };
    match job.record.take() {
        Some(record) if is_conflict(&error) => {
            let kept = existing(connection, &job.actor, &record).await?.ok_or(error)?;
            job.audit.outcome = "replayed";
            commit_new(connection, std::slice::from_ref(job)).await?;
            Ok(Appended::Existing(kept))
        }
        Some(_) | None => Err(error),
    }
}

/// Keeps all of them, or none.
async fn commit_new(connection: &mut SqliteConnection, jobs: &[Job]) -> Result<(), sqlx::Error> {
    let mut query = QueryBuilder::new("INSERT INTO batch ");
    query.push_values(jobs, |mut row, Job { actor, record, audit, .. }| {
        let record = record.as_ref();
        row.push_bind(audit.at_ms)
            .push_bind(&actor.caller)
            .push_bind(actor.role)
            .push_bind(actor.action)
            .push_bind(record.map_or(&audit.record_id, |r| &r.id))
            .push_bind(record.map_or(&audit.patient_reference, |r| &r.patient_reference))
            .push_bind(audit.outcome)
            .push_bind(&audit.detail)
            .push_bind(record.map(|r| kind_name(r.kind)))
            .push_bind(record.map(|r| &r.request_id))
            .push_bind(record.map(|r| r.content_sha256.as_slice()))
            .push_bind(record.map(|r| r.created_ms))
            .push_bind(record.map(|r| &r.request_json))
            .push_bind(record.map(|r| &r.answer_json))
            .push_bind(record.map(|r| &r.summary_json))
            .push_bind(record.map(|r| &r.model_version))
            .push_bind(record.map(|r| &r.rule_version));
    });
    query.build().execute(connection).await?;
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
