//! Writes what was decided of a submission, and what is put aside.

use std::collections::{BTreeSet, HashMap};

use sqlx::Row as _;
use sqlx::sqlite::SqliteConnection;

use crate::app::error::Error;
use crate::app::exchange::ports::{Quarantined, Submission};
use crate::sharing::exchange::{Cursor, Kind};
use crate::store::hub::plan::Plan;
use crate::store::hub::rows::{AuditRow, ConsentRow, HeadRow, InboxRow, RegistrationRow, Rows};
use crate::store::hub::{count, failed, int, mended, relation_name, sha};

/// Writes what `plan` says of `batch`.
pub(super) async fn write(
    connection: &mut SqliteConnection,
    plan: Plan,
    batch: &[Submission],
) -> Result<Rows, Error> {
    let mut numbers = Vec::with_capacity(plan.new.len());
    for place in &plan.new {
        let Some(submission) = batch.get(*place) else { continue };
        numbers.push(insert(connection, submission).await.map_err(failed)?);
    }
    let heads = heads(connection, &plan.heads(batch)).await.map_err(failed)?;
    let rows = Rows::settle(plan, batch, &numbers, &heads)
        .map_err(|e| Error::internal("store of documents", e))?;
    write_rows(connection, &rows, batch).await.map_err(failed)?;
    Ok(rows)
}

async fn insert(
    connection: &mut SqliteConnection,
    submission: &Submission,
) -> Result<i64, sqlx::Error> {
    let Submission { node, document, sm3, facts, at_ms, .. } = submission;
    let variant = if document.kind.has_variants() { document.sha256.as_slice() } else { &[] };
    let number = sqlx::query_scalar(
        "INSERT INTO document (kind, name, version, variant, media_type, sha256, sm3, node, \
         withdrawn, kept_ms, bytes, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12) \
         RETURNING number",
    )
    .bind(document.kind.name())
    .bind(&document.name)
    .bind(i64::from(document.version))
    .bind(variant)
    .bind(&document.media_type)
    .bind(document.sha256.as_slice())
    .bind(sm3.as_slice())
    .bind(node)
    .bind(facts.withdrawn)
    .bind(at_ms)
    .bind(i64::try_from(document.body.len()).unwrap_or(i64::MAX))
    .bind(&document.body[..])
    .fetch_one(&mut *connection)
    .await?;
    if matches!(document.kind, Kind::Record | Kind::Registration) {
        sqlx::query("INSERT INTO people_todo (document) VALUES (?1)")
            .bind(number)
            .execute(&mut *connection)
            .await?;
    }
    for key in facts.keys.iter().collect::<BTreeSet<_>>() {
        sqlx::query("INSERT INTO document_key (key, document) VALUES (?1, ?2)")
            .bind(key.as_slice())
            .bind(number)
            .execute(&mut *connection)
            .await?;
    }
    Ok(number)
}

/// Where the inboxes of `nodes` have come to.
pub(super) async fn heads(
    connection: &mut SqliteConnection,
    nodes: &BTreeSet<String>,
) -> Result<HashMap<String, Cursor>, sqlx::Error> {
    let mut heads = HashMap::new();
    for node in nodes {
        let row = sqlx::query("SELECT number, chain FROM head WHERE node = ?1")
            .bind(node)
            .fetch_optional(&mut *connection)
            .await?;
        if let Some(row) = row {
            let cursor = Cursor { number: count(row.try_get(0)?), chain: sha(row.try_get(1)?)? };
            heads.insert(node.clone(), cursor);
        }
    }
    Ok(heads)
}

async fn write_rows(
    connection: &mut SqliteConnection,
    rows: &Rows,
    batch: &[Submission],
) -> Result<(), sqlx::Error> {
    for (place, document) in &rows.handed {
        let Some(Submission { node, store, number, .. }) = batch.get(*place) else { continue };
        sqlx::query("INSERT INTO handed (node, store, number, document) VALUES (?1, ?2, ?3, ?4)")
            .bind(node)
            .bind(store)
            .bind(int(*number))
            .bind(document)
            .execute(&mut *connection)
            .await?;
    }
    for submission in rows.names.iter().filter_map(|place| batch.get(*place)) {
        sqlx::query("INSERT INTO record_name (name, node, author) VALUES (?1, ?2, ?3)")
            .bind(&submission.document.name)
            .bind(&submission.node)
            .bind(&submission.facts.author)
            .execute(&mut *connection)
            .await?;
    }
    for row in &rows.inbox {
        deliver(connection, row).await?;
    }
    for row in &rows.heads {
        set_head(connection, row).await?;
    }
    for row in &rows.registrations {
        register(connection, row).await?;
    }
    for row in &rows.consents {
        say(connection, row).await?;
    }
    for row in &rows.audit {
        enter(connection, row).await?;
    }
    Ok(())
}

/// Puts a document into an inbox.
pub(super) async fn deliver(
    connection: &mut SqliteConnection,
    row: &InboxRow,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO inbox (node, number, document, chain, reason, handed_ms) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )
    .bind(&row.node)
    .bind(int(row.cursor.number))
    .bind(row.document)
    .bind(row.cursor.chain.as_slice())
    .bind(row.reason)
    .bind(row.handed_ms)
    .execute(connection)
    .await?;
    Ok(())
}

/// Writes down where an inbox has come to.
pub(super) async fn set_head(
    connection: &mut SqliteConnection,
    row: &HeadRow,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO head (node, number, chain, handed) VALUES (?1, ?2, ?3, ?4) \
         ON CONFLICT (node) DO UPDATE SET number = ?2, chain = ?3, handed = handed + ?4",
    )
    .bind(&row.node)
    .bind(int(row.cursor.number))
    .bind(row.cursor.chain.as_slice())
    .bind(row.handed)
    .execute(connection)
    .await?;
    Ok(())
}

async fn register(
    connection: &mut SqliteConnection,
    row: &RegistrationRow,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO registration (key, node, relation, active, until_ms, name, version, document) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT (key, node, relation) DO UPDATE \
         SET active = ?4, until_ms = ?5, name = ?6, version = ?7, document = ?8",
    )
    .bind(row.key.as_slice())
    .bind(&row.node)
    .bind(relation_name(row.relation))
    .bind(row.said.active)
    .bind(row.said.until_ms)
    .bind(&row.said.name)
    .bind(i64::from(row.said.version))
    .bind(row.document)
    .execute(connection)
    .await?;
    Ok(())
}

async fn say(connection: &mut SqliteConnection, row: &ConsentRow) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO consent (key, name, version, at_ms, sha256, given, record, document) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT (key, name) DO UPDATE \
         SET version = ?3, at_ms = ?4, sha256 = ?5, given = ?6, record = ?7, document = ?8",
    )
    .bind(row.key.as_slice())
    .bind(&row.name)
    .bind(i64::from(row.said.version))
    .bind(row.said.consent.at_ms)
    .bind(row.said.sha256.as_slice())
    .bind(row.said.consent.given)
    .bind(row.record())
    .bind(row.document)
    .execute(connection)
    .await?;
    Ok(())
}

/// Writes an entry of the audit trail.
pub(super) async fn enter(
    connection: &mut SqliteConnection,
    row: &AuditRow,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO audit (at_ms, node, action, document, outcome, recipients) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )
    .bind(row.at_ms)
    .bind(&row.node)
    .bind(row.action)
    .bind(row.document)
    .bind(&row.outcome)
    .bind(&row.recipients)
    .execute(connection)
    .await?;
    Ok(())
}

/// Puts a document aside, or counts up.
pub(super) async fn put_aside(
    connection: &mut SqliteConnection,
    put: &Quarantined,
) -> Result<(), sqlx::Error> {
    let Quarantined { node, store, number, document, code, reason, at_ms } = put;
    let times: i64 = sqlx::query_scalar(
        "INSERT INTO quarantine (node, store, number, sha256, kind, name, version, media_type, \
         body, code, reason, first_ms, last_ms, times) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?12, 1) \
         ON CONFLICT (node, store, number, sha256) DO UPDATE \
         SET code = ?10, reason = ?11, last_ms = max(last_ms, ?12), times = times + 1 \
         RETURNING times",
    )
    .bind(node)
    .bind(store)
    .bind(int(*number))
    .bind(document.sha256.as_slice())
    .bind(document.kind.name())
    .bind(mended(&document.name))
    .bind(i64::from(document.version))
    .bind(mended(&document.media_type))
    .bind(&document.body[..])
    .bind(mended(code))
    .bind(mended(reason))
    .bind(at_ms)
    .fetch_one(&mut *connection)
    .await?;
    if times > 1 {
        return Ok(());
    }
    let entry = AuditRow {
        at_ms: *at_ms,
        node: node.clone(),
        action: "quarantine",
        document: 0,
        outcome: mended(code),
        recipients: String::new(),
    };
    enter(connection, &entry).await
}
