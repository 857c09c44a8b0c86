//! What was put aside, as an operator looks at it.

use sqlx::Row as _;
use sqlx::postgres::{PgPool, PgRow};

use super::attend::enter;
use crate::app::exchange::ports::{PutAside, QuarantineQuery, Settled};
use crate::sharing::exchange::{Document, Kind};
use crate::store::hub::{READ_MAX, count, damaged, int, sha};

/// Documents that were put aside, newest first.
pub(super) async fn list(
    readers: &PgPool,
    query: &QuarantineQuery,
) -> Result<Vec<PutAside>, sqlx::Error> {
    let limit = i64::from(query.limit).min(i64::try_from(READ_MAX).unwrap_or(i64::MAX));
    let rows = sqlx::query(
        "SELECT id, node, store, number, kind, name, version, media_type, octet_length(body)::int8, \
         code, reason, first_ms, last_ms, times, settled_ms, settled_by, finding FROM quarantine \
         WHERE id < coalesce($1::int8, 9223372036854775807) AND ($2 = '' OR node = $2) \
         AND ($3 OR settled_ms = 0) ORDER BY id DESC LIMIT $4",
    )
    .bind(query.before)
    .bind(&query.node)
    .bind(query.settled)
    .bind(limit)
    .fetch_all(readers)
    .await?;
    rows.iter().map(line).collect()
}

/// How many nobody has dealt with.
pub(super) async fn open(readers: &PgPool) -> Result<u64, sqlx::Error> {
    let open = sqlx::query_scalar("SELECT count(*) FROM quarantine WHERE settled_ms = 0");
    Ok(count(open.fetch_one(readers).await?))
}

/// One of them, with its bytes.
pub(super) async fn read(
    readers: &PgPool,
    id: u64,
) -> Result<Option<(PutAside, Document)>, sqlx::Error> {
    let row = sqlx::query(
        "SELECT id, node, store, number, kind, name, version, media_type, octet_length(body)::int8, \
         code, reason, first_ms, last_ms, times, settled_ms, settled_by, finding, sha256, body \
         FROM quarantine WHERE id = $1",
    )
    .bind(int(id))
    .fetch_optional(readers)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let line = line(&row)?;
    let document = Document {
        kind: line.kind,
        name: line.name.clone(),
        version: line.version,
        media_type: line.media_type.clone(),
        sha256: sha(row.try_get(17)?)?,
        body: row.try_get::<Vec<u8>, _>(18)?.into(),
    };
    Ok(Some((line, document)))
}

/// Writes down what came of one, with an entry of the audit trail.
pub(super) async fn settle(
    pool: &PgPool,
    id: u64,
    settled: &Settled,
) -> Result<Option<PutAside>, sqlx::Error> {
    let mut transaction = pool.begin().await?;
    let row = sqlx::query(
        "UPDATE quarantine SET settled_ms = $2, settled_by = $3, finding = $4 WHERE id = $1 \
         RETURNING id, node, store, number, kind, name, version, media_type, \
         octet_length(body)::int8, code, reason, first_ms, last_ms, times, settled_ms, settled_by, \
         finding",
    )
    .bind(int(id))
    .bind(settled.at_ms)
    .bind(&settled.by)
    .bind(&settled.finding)
    .fetch_optional(&mut *transaction)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let line = line(&row)?;
    enter(&mut transaction, settled.at_ms, &line.node, "settle", &line.code).await?;
    transaction.commit().await?;
    Ok(Some(line))
}

fn line(row: &PgRow) -> Result<PutAside, sqlx::Error> {
    Ok(PutAside {
        id: count(row.try_get(0)?),
        node: row.try_get(1)?,
        store: row.try_get(2)?,
        number: count(row.try_get(3)?),
        kind: Kind::named(row.try_get(4)?).ok_or_else(|| damaged("kind"))?,
        name: row.try_get(5)?,
        version: u32::try_from(row.try_get::<i64, _>(6)?).map_err(|_| damaged("version"))?,
        media_type: row.try_get(7)?,
        bytes: count(row.try_get(8)?),
        code: row.try_get(9)?,
        reason: row.try_get(10)?,
        first_ms: row.try_get(11)?,
        last_ms: row.try_get(12)?,
        times: count(row.try_get(13)?),
        settled_ms: row.try_get(14)?,
        settled_by: row.try_get(15)?,
        finding: row.try_get(16)?,
    })
}
