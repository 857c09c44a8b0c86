//! The one writer: takes the commits that wait and does them in one transaction.

use sqlx::sqlite::SqliteConnection;
use sqlx::{Connection as _, QueryBuilder, Row as _};
use tokio::sync::{mpsc, oneshot};
use tokio_util::task::TaskTracker;

use super::trail::chain;
use crate::app::error::Error;
use crate::app::ports::{Appended, AuditEntry, KeptRecord, NewRecord, RecordKind};
use crate::sharing::audit::{Head, Said};

/// Commits that share one transaction at most.
const BATCH_MAX: usize = 64;
/// What a batch says whose chain does not go on from the last entry in the database.
const MOVED: &str = "audit head moved";

/// Who did what, as the audit trail names it.
#[derive(Debug, Clone)]
pub(super) struct Actor {
    pub(super) caller: String,
    pub(super) role: &'static str,
    pub(super) action: &'static str,
    /// The division that holds all the places where they work; empty for the whole node.
    pub(super) area: String,
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
    let mut head = None;
    while queue.recv_many(&mut batch, BATCH_MAX).await > 0 {
        batch.retain(|job| !job.reply.is_closed());
        if batch.is_empty() {
            continue;
        }
        match commit_new(&mut connection, &mut head, &batch).await {
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
                    let outcome =
                        commit_one(&mut connection, &mut head, &mut job).await.map_err(failed);
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
         NULL AS rule_version, NULL AS area, NULL AS seq, NULL AS follows, NULL AS sha256, NULL AS sm3; \
         CREATE TEMP TRIGGER keep_record INSTEAD OF INSERT ON batch WHEN NEW.kind IS NOT NULL BEGIN \
         INSERT INTO record (id, kind, caller, request_id, content_sha256, patient_reference, \
         created_ms, request_json, answer_json, summary_json, model_version, rule_version, area) \
         VALUES (NEW.record_id, NEW.kind, NEW.caller, NEW.request_id, NEW.content_sha256, \
         NEW.patient_reference, NEW.created_ms, NEW.request_json, NEW.answer_json, \
         NEW.summary_json, NEW.model_version, NEW.rule_version, NEW.area); \
         END; \
         CREATE TEMP TRIGGER keep_entry INSTEAD OF INSERT ON batch BEGIN \
         SELECT RAISE(ABORT, 'audit head moved') WHERE NEW.follows IS NOT NULL AND \
         (coalesce((SELECT max(seq) FROM audit), 0) <> NEW.seq - 1 OR \
         coalesce((SELECT sha256 FROM audit WHERE seq = NEW.seq - 1), NEW.follows) <> NEW.follows); \
         INSERT INTO audit (seq, at_ms, caller, role, action, record_id, patient_reference, \
         outcome, detail, sha256, sm3) \
         VALUES (NEW.seq, NEW.at_ms, NEW.caller, NEW.role, NEW.action, NEW.record_id, \
         NEW.patient_reference, NEW.outcome, NEW.detail, NEW.sha256, NEW.sm3); \
         END;",
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Keeps one, unless its request id is there: then that is audited and returned.
async fn commit_one(
    connection: &mut SqliteConnection,
    head: &mut Option<Head>,
    job: &mut Job,
) -> Result<Appended, sqlx::Error> {
    let error = match commit_new(connection, head, std::slice::from_ref(job)).await {
        Ok(()) => return Ok(Appended::New),
        Err(error) => error,
    };
    match job.record.take() {
        Some(record) if is_conflict(&error) => {
            let kept = existing(connection, &job.actor, &record).await?.ok_or(error)?;
            job.audit.outcome = "replayed";
            commit_new(connection, head, std::slice::from_ref(job)).await?;
            Ok(Appended::Existing(kept))
        }
        Some(_) | None => Err(error),
    }
}

/// Keeps all of them, or none, and remembers where the chain has come to. Another connection writes
/// entries too: where it has meanwhile, the statement undoes itself, and they are kept in a transaction
/// that looks first.
async fn commit_new(
    connection: &mut SqliteConnection,
    head: &mut Option<Head>,
    jobs: &[Job],
) -> Result<(), sqlx::Error> {
    if let Some(known) = *head {
        match insert(connection, known, jobs).await {
            Ok(now) => {
                *head = Some(now);
                return Ok(());
            }
            Err(error) if is_moved(&error) => {}
            Err(error) => {
                if !is_conflict(&error) {
                    *head = None;
                }
                return Err(error);
            }
        }
    }
    *head = None;
    // Not sqlx's own transaction: where the disk is full SQLite has rolled back by itself, and sqlx would
    // hold the connection to be within one for ever after.
    sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut *connection).await?;
    match insert_after_look(connection, jobs).await {
        Ok(now) => {
            *head = Some(now);
            Ok(())
        }
        Err(error) => {
            // Refused where nothing is left to undo.
            drop(sqlx::raw_sql("ROLLBACK").execute(connection).await);
            Err(error)
        }
    }
}

/// Within a transaction, which it commits.
async fn insert_after_look(
    connection: &mut SqliteConnection,
    jobs: &[Job],
) -> Result<Head, sqlx::Error> {
    let known = chain::head(connection).await?;
    let now = insert(connection, known, jobs).await?;
    sqlx::raw_sql("COMMIT").execute(connection).await?;
    Ok(now)
}

/// Writes all of them after `head`, or none, in one statement. The head then.
async fn insert(
    connection: &mut SqliteConnection,
    mut head: Head,
    jobs: &[Job],
) -> Result<Head, sqlx::Error> {
    let mut follows = Some(head.sha256);
    let mut query = QueryBuilder::new("INSERT INTO batch ");
    query.push_values(jobs, |mut row, Job { actor, record, audit, .. }| {
        let record = record.as_ref();
        let said = Said {
            at_ms: audit.at_ms,
            caller: &actor.caller,
            role: actor.role,
            action: actor.action,
            record_id: record.map_or(&audit.record_id, |r| &r.id),
            patient_reference: record.map_or(&audit.patient_reference, |r| &r.patient_reference),
            outcome: audit.outcome,
            detail: &audit.detail,
        };
        head = head.after(&said);
        row.push_bind(said.at_ms)
            .push_bind(said.caller)
            .push_bind(said.role)
            .push_bind(said.action)
            .push_bind(said.record_id)
            .push_bind(said.patient_reference)
            .push_bind(said.outcome)
            .push_bind(said.detail)
            .push_bind(record.map(|r| kind_name(r.kind)))
            .push_bind(record.map(|r| &r.request_id))
            .push_bind(record.map(|r| r.content_sha256.as_slice()))
            .push_bind(record.map(|r| r.created_ms))
            .push_bind(record.map(|r| &r.request_json))
            .push_bind(record.map(|r| &r.answer_json))
            .push_bind(record.map(|r| &r.summary_json))
            .push_bind(record.map(|r| &r.model_version))
            .push_bind(record.map(|r| &r.rule_version))
            .push_bind(record.map(|_| &actor.area))
            .push_bind(chain::signed(head.number))
            .push_bind(follows.take().map(|digest| digest.to_vec()))
            .push_bind(head.sha256.to_vec())
            .push_bind(head.sm3.to_vec());
    });
    query.build().execute(connection).await?;
    Ok(head)
}

/// Whether the chain does not go on from the last entry in the database.
fn is_moved(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(|error| error.message() == MOVED)
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
