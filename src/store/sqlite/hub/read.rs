//! Readings of inboxes and the report.

use std::collections::BTreeSet;

use sqlx::Row as _;
use sqlx::sqlite::{SqlitePool, SqliteRow};

use crate::app::exchange::ports::{NodeExchange, PersonKey, Withdrawn};
use crate::sharing::exchange::{Delivery, Document, Kind, Numbered, SentFor};
use crate::store::hub::consent::{Word, taken_back};
use crate::store::hub::{READ_BYTES_MAX, READ_MAX, count, damaged, int, sha, version};

/// Documents for a node above a number, and whether there is no more.
pub(super) async fn inbox(
    readers: &SqlitePool,
    node: &str,
    after: u64,
    limit: usize,
) -> Result<Numbered<Delivery>, sqlx::Error> {
    let limit = i64::try_from(limit.min(READ_MAX)).unwrap_or(0);
    // One more than asked for tells whether there is more; a document that begins past the bytes
    // is not read, the first always is.
    let rows = sqlx::query(
        "WITH w AS MATERIALIZED (SELECT i.number AS number, i.document AS document, i.reason, i.handed_ms, \
         sum(d.bytes) OVER (ORDER BY i.number) - d.bytes AS before \
         FROM (SELECT number, document, reason, handed_ms FROM inbox WHERE node = ?1 AND number > ?2 \
         ORDER BY number LIMIT ?3 + 1) i JOIN document d ON d.number = i.document) \
         SELECT w.number, d.kind, d.name, d.version, d.media_type, d.sha256, d.body, \
         (SELECT max(number) FROM w), w.reason, d.node, w.handed_ms \
         FROM w JOIN document d ON d.number = w.document \
         WHERE w.before < ?4 ORDER BY w.number LIMIT ?3",
    )
    .bind(node)
    .bind(int(after))
    .bind(limit)
    .bind(int(READ_BYTES_MAX))
    .fetch_all(readers)
    .await?;
    let mut documents = Vec::with_capacity(rows.len());
    for row in &rows {
        documents.push((count(row.try_get(0)?), delivery(row)?));
    }
    let last: Option<i64> = rows.last().map(|row| row.try_get(7)).transpose()?;
    let read = documents.last().map(|(number, _)| int(*number));
    Ok((documents, read == last && limit > 0))
}

fn delivery(row: &SqliteRow) -> Result<Delivery, sqlx::Error> {
    let sent_for: String = row.try_get(8)?;
    let sent_for = SentFor::named(&sent_for);
    let (sender, handed_ms) = (row.try_get(9)?, row.try_get(10)?);
    Ok(Delivery { document: document(row)?, sent_for, sender, handed_ms })
}

pub(super) fn document(row: &SqliteRow) -> Result<Document, sqlx::Error> {
    let body: Vec<u8> = row.try_get(6)?;
    Ok(Document {
        kind: Kind::named(row.try_get(1)?).ok_or_else(|| damaged("kind"))?,
        name: row.try_get(2)?,
        version: u32::try_from(row.try_get::<i64, _>(3)?).map_err(|_| damaged("version"))?,
        media_type: row.try_get(4)?,
        sha256: sha(row.try_get(5)?)?,
        body: body.into(),
    })
}

/// Whether the database answers.
pub(super) async fn ready(readers: &SqlitePool) -> Result<(), sqlx::Error> {
    sqlx::query("SELECT 1").execute(readers).await.map(|_| ())
}

/// What the person of these keys has taken back, and not given again.
pub(super) async fn withdrawals(
    readers: &SqlitePool,
    keys: &[PersonKey],
) -> Result<Vec<Withdrawn>, sqlx::Error> {
    let mut words = Vec::new();
    for key in keys.iter().collect::<BTreeSet<_>>() {
        let rows = sqlx::query(
            "SELECT key, record, given, version, at_ms, sha256 FROM consent WHERE key IN \
             (SELECT ?1 UNION SELECT o.key FROM document_key k \
             JOIN document d ON d.number = k.document JOIN document_key o ON o.document = d.number \
             WHERE k.key = ?1 AND d.kind = 'record')",
        )
        .bind(key.as_slice())
        .fetch_all(readers)
        .await?;
        for row in &rows {
            let key: Vec<u8> = row.try_get(0)?;
            words.push(Word {
                key: key.as_slice().try_into().map_err(|_| damaged("key"))?,
                record: row.try_get(1)?,
                given: row.try_get(2)?,
                version: version(row.try_get(3)?),
                at_ms: row.try_get(4)?,
                sha256: sha(row.try_get(5)?)?,
            });
        }
    }
    Ok(taken_back(words))
}

/// Every node that is known here.
pub(super) async fn nodes(readers: &SqlitePool) -> Result<Vec<NodeExchange>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT n.node, coalesce(h.handed, 0), coalesce(h.number, 0), coalesce(m.kept, 0), \
         coalesce(m.seen_ms, 0), (SELECT count(*) FROM quarantine q WHERE q.node = n.node \
         AND q.settled_ms = 0), \
         (SELECT count(*) FROM retired r WHERE r.node = n.node), m.clock_ahead_ms \
         FROM (SELECT node FROM head UNION SELECT node FROM member \
         UNION SELECT node FROM quarantine) n \
         LEFT JOIN head h ON h.node = n.node LEFT JOIN member m ON m.node = n.node",
    )
    .fetch_all(readers)
    .await?;
    let number = |row: &SqliteRow, at: usize| row.try_get(at).map(count);
    rows.iter()
        .map(|row| {
            Ok(NodeExchange {
                node: row.try_get(0)?,
                handed_over: number(row, 1)?,
                inbox: number(row, 2)?,
                kept: number(row, 3)?,
                seen_ms: row.try_get(4)?,
                quarantined: number(row, 5)?,
                retired_stores: number(row, 6)?,
                clock_ahead_ms: row.try_get(7)?,
            })
        })
        .collect()
}
