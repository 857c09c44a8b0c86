//! The outbox, the inbox's cursor, and what an operator should know.

use bytes::Bytes;
use sqlx::Row as _;
use sqlx::sqlite::{SqliteConnection, SqlitePool, SqliteRow};

use super::{array, int, small, whole};
use crate::app::records::ports::{ExchangeReport, Stuck};
use crate::sharing::exchange::{
    Cursor, Document, Hello, IN_FLIGHT_BYTES_MAX, Kind, Numbered, Outcome, Position,
};

/// Pause before a refused document is tried again: the first, and the longest, in milliseconds.
const PAUSES_MS: (i64, i64) = (60_000, 6 * 3_600_000);
/// Stuck documents in a report.
const STUCK_MAX: i64 = 50;
/// Events in a report.
const EVENTS_MAX: i64 = 20;

pub(super) async fn hello(readers: &SqlitePool) -> Result<Hello, sqlx::Error> {
    let row = sqlx::query(
        "SELECT store, position_number, position_sha256, inbox_number, inbox_chain, \
         (SELECT coalesce(max(number), 0) FROM outbox) AS last FROM exchange_state",
    )
    .fetch_one(readers)
    .await?;
    Ok(Hello {
        store: row.try_get("store")?,
        last: whole(row.try_get("last")?),
        position: Position {
            number: whole(row.try_get("position_number")?),
            sha256: array(row.try_get("position_sha256")?, "position_sha256")?,
        },
        inbox: Cursor {
            number: whole(row.try_get("inbox_number")?),
            chain: array(row.try_get("inbox_chain")?, "inbox_chain")?,
        },
    })
}

pub(super) fn kind(row: &SqliteRow) -> Result<Kind, sqlx::Error> {
    let name: String = row.try_get("kind")?;
    Kind::named(&name).ok_or_else(|| sqlx::Error::ColumnDecode {
        index: "kind".to_owned(),
        source: "unknown kind".into(),
    })
}

pub(super) async fn outbox(
    readers: &SqlitePool,
    after: u64,
    limit: usize,
    now_ms: i64,
) -> Result<Numbered, sqlx::Error> {
    let limit = limit.max(1);
    let rows = sqlx::query(
        "SELECT o.number, d.kind, d.name, d.version, d.media_type, d.sha256, length(d.body) AS size, \
         d.seq FROM outbox o JOIN document d ON d.seq = o.document \
         WHERE o.settled = 0 AND (o.number > ?1 OR o.attempts > 0) AND o.due_ms <= ?2 \
         ORDER BY o.number LIMIT ?3",
    )
    .bind(int(after))
    .bind(now_ms)
    .bind(int(u64::try_from(limit).unwrap_or(u64::MAX)).saturating_add(1))
    .fetch_all(readers)
    .await?;
    let mut documents = Vec::new();
    let (mut bytes, mut whole_outbox) = (0_usize, rows.len() <= limit);
    for row in rows.iter().take(limit) {
        if bytes > IN_FLIGHT_BYTES_MAX {
            whole_outbox = false;
            break;
        }
        let size: i64 = row.try_get("size")?;
        bytes = bytes.saturating_add(usize::try_from(size).unwrap_or(0));
        let seq: i64 = row.try_get("seq")?;
        let body: Vec<u8> = sqlx::query_scalar("SELECT body FROM document WHERE seq = ?1")
            .bind(seq)
            .fetch_one(readers)
            .await?;
        let document = Document {
            kind: kind(row)?,
            name: row.try_get("name")?,
            version: small(row.try_get("version")?),
            media_type: row.try_get("media_type")?,
            sha256: array(row.try_get("sha256")?, "sha256")?,
            body: Bytes::from(body),
        };
        documents.push((whole(row.try_get("number")?), document));
    }
    Ok((documents, whole_outbox))
}

pub(super) async fn settle(
    connection: &mut SqliteConnection,
    number: u64,
    outcome: &Outcome,
    now_ms: i64,
) -> Result<(), sqlx::Error> {
    match outcome {
        Outcome::Kept(position) | Outcome::Known(position) => {
            sqlx::query(
                "UPDATE outbox SET settled = 1, code = '', reason = '', \
                 settled_ms = coalesce(settled_ms, ?2) WHERE number = ?1",
            )
            .bind(int(number))
            .bind(now_ms)
            .execute(&mut *connection)
            .await?;
            sqlx::query(
                "UPDATE exchange_state SET position_number = ?1, position_sha256 = \
                 (SELECT d.sha256 FROM outbox o JOIN document d ON d.seq = o.document \
                 WHERE o.number = ?2) WHERE position_number < ?1",
            )
            .bind(int(*position))
            .bind(int(number))
            .execute(connection)
            .await?;
        }
        Outcome::Refused { code, reason } => {
            let attempts: i64 = sqlx::query_scalar("SELECT attempts FROM outbox WHERE number = ?1")
                .bind(int(number))
                .fetch_optional(&mut *connection)
                .await?
                .unwrap_or(0);
            let doubled = PAUSES_MS.0.saturating_mul(1 << attempts.clamp(0, 20));
            sqlx::query(
                "UPDATE outbox SET attempts = attempts + 1, due_ms = ?2, code = ?3, reason = ?4 \
                 WHERE number = ?1",
            )
            .bind(int(number))
            .bind(now_ms.saturating_add(doubled.min(PAUSES_MS.1)))
            .bind(code)
            .bind(reason)
            .execute(connection)
            .await?;
        }
        // The database takes another name; the documents wait on.
        Outcome::Forked => {}
    }
    Ok(())
}

pub(super) async fn set_inbox(
    connection: &mut SqliteConnection,
    cursor: Cursor,
) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE exchange_state SET inbox_number = ?1, inbox_chain = ?2")
        .bind(int(cursor.number))
        .bind(cursor.chain.as_slice())
        .execute(connection)
        .await?;
    Ok(())
}

pub(super) async fn unsettle(
    connection: &mut SqliteConnection,
    now_ms: i64,
) -> Result<(), sqlx::Error> {
    event(connection, "hub_set_back", now_ms).await?;
    sqlx::query("UPDATE outbox SET settled = 0, due_ms = 0").execute(&mut *connection).await?;
    sqlx::query("UPDATE exchange_state SET position_number = 0, position_sha256 = zeroblob(32)")
        .execute(connection)
        .await?;
    Ok(())
}

pub(super) async fn renew(
    connection: &mut SqliteConnection,
    store: &str,
    now_ms: i64,
) -> Result<(), sqlx::Error> {
    event(connection, "renewed", now_ms).await?;
    sqlx::query("UPDATE exchange_state SET store = ?1").bind(store).execute(connection).await?;
    Ok(())
}

pub(super) async fn event(
    connection: &mut SqliteConnection,
    kind: &str,
    now_ms: i64,
) -> Result<(), sqlx::Error> {
    sqlx::query("INSERT INTO exchange_event (at_ms, kind) VALUES (?1, ?2)")
        .bind(now_ms)
        .bind(kind)
        .execute(connection)
        .await?;
    Ok(())
}

pub(super) async fn report(readers: &SqlitePool) -> Result<ExchangeReport, sqlx::Error> {
    let row = sqlx::query(
        "SELECT store, inbox_number, \
         (SELECT count(*) FROM outbox WHERE settled = 0) AS waiting, \
         (SELECT coalesce(min(d.received_ms), 0) FROM outbox o JOIN document d \
         ON d.seq = o.document WHERE o.settled = 0) AS oldest, \
         (SELECT coalesce(max(number), 0) FROM outbox) AS last, \
         (SELECT count(*) FROM document WHERE problem <> '') AS unreadable FROM exchange_state",
    )
    .fetch_one(readers)
    .await?;
    let stuck = sqlx::query(
        "SELECT o.number, d.kind, d.name, o.attempts, o.code, o.reason, o.due_ms FROM outbox o \
         JOIN document d ON d.seq = o.document WHERE o.settled = 0 AND o.attempts > 0 \
         ORDER BY o.number LIMIT ?1",
    )
    .bind(STUCK_MAX)
    .fetch_all(readers)
    .await?;
    let stuck = stuck.iter().map(|row| {
        Ok(Stuck {
            number: whole(row.try_get("number")?),
            kind: kind(row)?,
            name: row.try_get("name")?,
            attempts: small(row.try_get("attempts")?),
            code: row.try_get("code")?,
            reason: row.try_get("reason")?,
            due_ms: row.try_get("due_ms")?,
        })
    });
    let stuck = stuck.collect::<Result<_, sqlx::Error>>()?;
    let events: Vec<(i64, String)> =
        sqlx::query_as("SELECT at_ms, kind FROM exchange_event ORDER BY seq DESC LIMIT ?1")
            .bind(EVENTS_MAX)
            .fetch_all(readers)
            .await?;
    Ok(ExchangeReport {
        store: row.try_get("store")?,
        waiting: whole(row.try_get("waiting")?),
        oldest_ms: row.try_get("oldest")?,
        last: whole(row.try_get("last")?),
        inbox: whole(row.try_get("inbox_number")?),
        unreadable: whole(row.try_get("unreadable")?),
        stuck,
        events,
        clock: None,
    })
}
