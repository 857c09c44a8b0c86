//! Follow-up tasks and their states.

use sqlx::Row as _;
use sqlx::sqlite::{SqliteConnection, SqlitePool, SqliteRow};

use super::small;
use crate::app::records::ports::{Arrived, KeptTask, TaskChange, TaskQuery, TaskState};
use crate::app::records::tasks::TaskBody;
use crate::sharing::exchange::VERSIONS_AHEAD_MAX;

pub(super) fn state_name(state: TaskState) -> &'static str {
    match state {
        TaskState::Open => "open",
        TaskState::Done => "done",
        TaskState::Cancelled => "cancelled",
        TaskState::Superseded => "superseded",
        TaskState::Conflict => "conflict",
    }
}

fn state(name: &str) -> Result<TaskState, sqlx::Error> {
    Ok(match name {
        "open" => TaskState::Open,
        "done" => TaskState::Done,
        "cancelled" => TaskState::Cancelled,
        "superseded" => TaskState::Superseded,
        "conflict" => TaskState::Conflict,
        _ => {
            let source = "unknown state".into();
            return Err(sqlx::Error::ColumnDecode { index: "state".to_owned(), source });
        }
    })
}

fn kept(row: &SqliteRow) -> Result<KeptTask, sqlx::Error> {
    let named: String = row.try_get("state")?;
    Ok(KeptTask {
        id: row.try_get("id")?,
        record: row.try_get("record")?,
        record_version: small(row.try_get("record_version")?),
        state: state(&named)?,
        revision: small(row.try_get("revision")?),
        task_json: row.try_get("task_json")?,
        note: row.try_get("note")?,
        changed_by: row.try_get("changed_by")?,
        changed_ms: row.try_get("changed_ms")?,
        covered_by: row.try_get("covered_by")?,
    })
}

pub(super) async fn one(readers: &SqlitePool, id: &str) -> Result<Option<KeptTask>, sqlx::Error> {
    let row = sqlx::query(
        "SELECT id, record, record_version, state, revision, task_json, note, changed_by, changed_ms, \
         covered_by \
         FROM task WHERE id = ?1",
    )
    .bind(id)
    .fetch_optional(readers)
    .await?;
    row.as_ref().map(kept).transpose()
}

pub(super) async fn list(
    readers: &SqlitePool,
    query: &TaskQuery,
) -> Result<Vec<KeptTask>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT id, record, record_version, state, revision, task_json, note, changed_by, changed_ms, \
         covered_by \
         FROM task WHERE ((?1 IS NULL AND state IN ('open', 'conflict')) OR state = ?1) \
         AND (?2 = '' OR urgent = 1 OR (due_day <> '' AND due_day <= ?2)) \
         AND (?3 = '' OR record = ?3) \
         ORDER BY urgent DESC, due_day = '', due_day, seq LIMIT ?4 OFFSET ?5",
    )
    .bind(query.state.map(state_name))
    .bind(&query.due_by)
    .bind(&query.record)
    .bind(query.limit)
    .bind(query.skip)
    .fetch_all(readers)
    .await?;
    rows.iter().map(kept).collect()
}

/// Revision of a task, if it is here.
pub(super) async fn revision(
    connection: &mut SqliteConnection,
    id: &str,
) -> Result<Option<u32>, sqlx::Error> {
    let revision: Option<i64> = sqlx::query_scalar("SELECT revision FROM task WHERE id = ?1")
        .bind(id)
        .fetch_optional(connection)
        .await?;
    Ok(revision.map(small))
}

/// Somebody here says how a task stands.
pub(super) async fn change(
    connection: &mut SqliteConnection,
    change: &TaskChange,
    at_ms: i64,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE task SET state = ?2, revision = ?3, note = ?4, changed_by = ?5, changed_ms = ?6, \
         covered_by = '' WHERE id = ?1",
    )
    .bind(&change.id)
    .bind(state_name(change.state))
    .bind(change.revision)
    .bind(&change.note)
    .bind(&change.by)
    .bind(at_ms)
    .execute(connection)
    .await?;
    Ok(())
}

/// Somebody elsewhere says how a task stands. If it is not what was seen there, both are kept as
/// documents, and the task says that they disagree until somebody decides.
pub(super) async fn arrived(
    connection: &mut SqliteConnection,
    said: &TaskChange,
    at_ms: i64,
) -> Result<(), sqlx::Error> {
    // Its record has not come yet: what was said is found among the documents when it does.
    let Some(here) = revision(connection, &said.id).await? else { return Ok(()) };
    if said.revision > here.saturating_add(VERSIONS_AHEAD_MAX) {
        // Nobody could say anything after it.
        return Ok(());
    }
    if said.revision > here {
        return change(connection, said, at_ms).await;
    }
    if said.revision < here {
        return Ok(());
    }
    let now: String = sqlx::query_scalar("SELECT state FROM task WHERE id = ?1")
        .bind(&said.id)
        .fetch_one(&mut *connection)
        .await?;
    if now == state_name(said.state) {
        return Ok(());
    }
    sqlx::query(
        "UPDATE task SET state = 'conflict', changed_ms = ?2, \
         note = note || ' ⇄ ' || ?3, changed_by = changed_by || ' ⇄ ' || ?4 WHERE id = ?1",
    )
    .bind(&said.id)
    .bind(at_ms)
    .bind(&said.note)
    .bind(&said.by)
    .execute(connection)
    .await?;
    Ok(())
}

/// A version of a record came with its tasks.
pub(super) async fn of_record(
    connection: &mut SqliteConnection,
    arrived: &Arrived,
) -> Result<(), sqlx::Error> {
    let (name, version) = (&arrived.document.name, arrived.document.version);
    let newest: i64 =
        sqlx::query_scalar("SELECT max(version) FROM document WHERE kind = 'record' AND name = ?1")
            .bind(name)
            .fetch_one(&mut *connection)
            .await?;
    if small(newest) > version {
        // It came late: what a newer version asks for stands.
        return Ok(());
    }
    let leaving =
        if arrived.indexed.withdrawn { TaskState::Cancelled } else { TaskState::Superseded };
    sqlx::query(
        "UPDATE task SET state = CASE WHEN state = 'open' THEN ?2 ELSE state END, record_version = ?3, \
         changed_ms = ?4, replaced = 0, covered_by = '' \
         WHERE record = ?1 AND (state = 'open' OR replaced = 1 OR covered_by <> '')",
    )
    .bind(name)
    .bind(state_name(leaving))
    .bind(version)
    .bind(arrived.at_ms)
    .execute(&mut *connection)
    .await?;
    for task in &arrived.tasks {
        sqlx::query(
            "INSERT INTO task (id, record, record_version, state, due_day, urgent, task_json, \
             changed_ms) VALUES (?1, ?2, ?3, 'open', ?4, ?5, ?6, ?7) \
             ON CONFLICT (id) DO UPDATE SET record_version = ?3, due_day = ?4, urgent = ?5, \
             task_json = ?6, changed_ms = ?7, \
             state = CASE WHEN revision = 0 THEN 'open' ELSE state END",
        )
        .bind(&task.id)
        .bind(name)
        .bind(version)
        .bind(&task.due_day)
        .bind(task.urgent)
        .bind(&task.task_json)
        .bind(arrived.at_ms)
        .execute(&mut *connection)
        .await?;
        said_before(connection, (name, &task.id), arrived.at_ms).await?;
    }
    Ok(())
}

/// What somebody said of a task before its record came.
async fn said_before(
    connection: &mut SqliteConnection,
    (record, id): (&str, &str),
    at_ms: i64,
) -> Result<(), sqlx::Error> {
    if revision(connection, id).await? != Some(0) {
        return Ok(());
    }
    let said: Vec<(i64, Vec<u8>)> = sqlx::query_as(
        "SELECT version, body FROM document WHERE kind = 'task' AND name = ?1 ORDER BY version, seq",
    )
    .bind(format!("{record}#{id}"))
    .fetch_all(&mut *connection)
    .await?;
    for (version, body) in said {
        if let Ok(body) = serde_json::from_slice::<TaskBody>(&body) {
            arrived(connection, &body.change(small(version)), at_ms).await?;
        }
    }
    Ok(())
}
