//! Readings of inboxes and the report.

use sqlx::Row as _;
use sqlx::postgres::{PgPool, PgRow};

use crate::app::exchange::ports::{NodeExchange, PersonKey, Withdrawn};
use crate::sharing::exchange::{Delivery, Document, Kind, Numbered, SentFor};
use crate::store::hub::consent::{Word, taken_back};
use crate::store::hub::{READ_BYTES_MAX, READ_MAX, count, damaged, int, sha, version};

/// Documents for a node above a number, and whether there is no more.
pub(super) async fn inbox(
    readers: &PgPool,
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
         FROM (SELECT number, document, reason, handed_ms FROM inbox WHERE node = $1 AND number > $2 \
         ORDER BY number LIMIT $3::int8 + 1) i CROSS JOIN LATERAL \
         (SELECT d.bytes FROM document d WHERE d.number = i.document OFFSET 0) d) \
         SELECT w.number, d.kind, d.name, d.version, d.media_type, d.sha256, d.body, \
         (SELECT max(number) FROM w), w.reason, d.node, w.handed_ms \
         FROM w CROSS JOIN LATERAL (SELECT d.* FROM document d WHERE d.number = w.document \
         OFFSET 0) d WHERE w.before < $4::int8 ORDER BY w.number LIMIT $3::int8",
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

fn delivery(row: &PgRow) -> Result<Delivery, sqlx::Error> {
    let sent_for: String = row.try_get(8)?;
    let sent_for = SentFor::named(&sent_for);
    let (sender, handed_ms) = (row.try_get(9)?, row.try_get(10)?);
    Ok(Delivery { document: document(row)?, sent_for, sender, handed_ms })
}

pub(super) fn document(row: &PgRow) -> Result<Document, sqlx::Error> {
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

/// Whether the server answers.
pub(super) async fn ready(readers: &PgPool) -> Result<(), sqlx::Error> {
    sqlx::query("SELECT 1").execute(readers).await.map(|_| ())
}

/// Words on the consent of the person of these keys and of the records that have one of them.
pub(super) const WORDS: &str = "\
    SELECT c.key, c.record, c.given, c.version, c.at_ms, c.sha256 \
    FROM (SELECT j.key FROM unnest($1::bytea[]) j(key) \
    UNION SELECT o.key FROM unnest($1::bytea[]) j(key) \
    CROSS JOIN LATERAL (SELECT k.document FROM document_key k WHERE k.key = j.key OFFSET 0) k \
    CROSS JOIN LATERAL (SELECT d.number FROM document d WHERE d.number = k.document \
    AND d.kind = 'record' OFFSET 0) d \
    CROSS JOIN LATERAL (SELECT o.key FROM document_key o WHERE o.document = d.number OFFSET 0) o) a \
    CROSS JOIN LATERAL (SELECT c.* FROM consent c WHERE c.key = a.key OFFSET 0) c";

/// What the person of these keys has taken back, and not given again.
pub(super) async fn withdrawals(
    readers: &PgPool,
    keys: &[PersonKey],
) -> Result<Vec<Withdrawn>, sqlx::Error> {
    let keys: Vec<&[u8]> = keys.iter().map(<[u8; 16]>::as_slice).collect();
    let rows = sqlx::query(WORDS).bind(keys).fetch_all(readers).await?;
    let words = rows.iter().map(|row| {
        let key: Vec<u8> = row.try_get(0)?;
        Ok(Word {
            key: key.as_slice().try_into().map_err(|_| damaged("key"))?,
            record: row.try_get(1)?,
            given: row.try_get(2)?,
            version: version(row.try_get(3)?),
            at_ms: row.try_get(4)?,
            sha256: sha(row.try_get(5)?)?,
        })
    });
    Ok(taken_back(words.collect::<Result<_, sqlx::Error>>()?))
}

/// Every node that is known here.
pub(super) async fn nodes(readers: &PgPool) -> Result<Vec<NodeExchange>, sqlx::Error> {
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
    let number = |row: &PgRow, at: usize| row.try_get(at).map(count);
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
