//! Records of a person, and who asked for them.

use sqlx::Row as _;
use sqlx::postgres::{PgConnection, PgPool};

use super::load::column;
use super::read::document;
use super::{HubStore, again};
use crate::app::error::Error;
use crate::app::exchange::ports::{
    Allowance, Counting, Entered, HeldRecord, HubLookUps, LookUpEntry, PersonKey, REGISTER, Spent,
    Wanted,
};
use crate::app::ports::BoxFuture;
use crate::sharing::exchange::Document;
use crate::store::hub::look_up::{failed_reading, numbers, over};
use crate::store::hub::{count, damaged, int};

/// First half of the lock under which a node's look-ups are counted; the second is schema and node.
const COUNTING: i32 = 0x5861;

/// Records that have one of the keys, and those of the persons that these are about. `OFFSET 0` keeps the
/// planner from beginning at the other end.
pub(super) const HELD: &str = "\
    WITH own AS MATERIALIZED (SELECT DISTINCT k.document FROM unnest($1::bytea[]) j(key) \
    CROSS JOIN LATERAL (SELECT k.document FROM document_key k WHERE k.key = j.key OFFSET 0) k), \
    found AS MATERIALIZED (SELECT own.document FROM own UNION SELECT m.document FROM own \
    CROSS JOIN LATERAL (SELECT l.particulars FROM particulars_document l \
    WHERE l.document = own.document OFFSET 0) l \
    CROSS JOIN LATERAL (SELECT p.person FROM particulars p \
    WHERE p.number = l.particulars OFFSET 0) p \
    CROSS JOIN LATERAL (SELECT q.number FROM particulars q WHERE q.person = p.person OFFSET 0) q \
    CROSS JOIN LATERAL (SELECT m.document FROM particulars_document m \
    WHERE m.particulars = q.number OFFSET 0) m) \
    SELECT h.* FROM (SELECT d.number, d.name, d.version, d.node, d.withdrawn, d.kept_ms, \
    d.bytes, NOT EXISTS (SELECT 1 FROM document l WHERE l.name = d.name \
    AND l.version > d.version AND l.kind = 'record' OFFSET 0) AS current \
    FROM found CROSS JOIN LATERAL (SELECT d.* FROM document d WHERE d.number = found.document \
    AND d.kind = 'record' OFFSET 0) d) h \
    WHERE ($2::text IS NULL OR h.name = $2) AND (h.version = $3 OR ($3::int8 = 0 AND h.current)) \
    ORDER BY h.number DESC LIMIT $4";

impl HubLookUps for HubStore {
    fn held<'a>(
        &'a self,
        keys: &'a [PersonKey],
        wanted: Wanted<'a>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<HeldRecord>, Error>> {
        Box::pin(again(move || held(&self.pool, keys, wanted, limit)))
    }

    fn document(&self, number: u64) -> BoxFuture<'_, Result<Option<Document>, Error>> {
        Box::pin(async move {
            // In the order in which an inbox is read.
            let row = again(|| {
                sqlx::query(
                    "SELECT number, kind, name, version, media_type, sha256, body \
                     FROM document WHERE number = $1",
                )
                .bind(int(number))
                .fetch_optional(&self.pool)
            });
            row.await?.as_ref().map(document).transpose().map_err(failed_reading)
        })
    }

    fn spent<'a>(
        &'a self,
        node: &'a str,
        person: &'a [u8],
        allowance: Allowance,
    ) -> BoxFuture<'a, Result<Spent, Error>> {
        Box::pin(again(move || async move {
            let mut connection = self.pool.acquire().await?;
            spent(&mut connection, (node, person), allowance).await
        }))
    }

    fn enter(
        &self,
        entry: LookUpEntry,
        allowance: Allowance,
    ) -> BoxFuture<'_, Result<Entered, Error>> {
        // A commit whose answer was lost may be entered twice: that is told rather than not.
        Box::pin(async move { again(|| enter(&self.pool, entry.clone(), allowance)).await })
    }
}

async fn held(
    pool: &PgPool,
    keys: &[PersonKey],
    wanted: Wanted<'_>,
    limit: usize,
) -> Result<Vec<HeldRecord>, sqlx::Error> {
    let (name, version) = match wanted {
        Wanted::Current => (None, 0),
        Wanted::Named(name, version) => (Some(name), version),
    };
    let rows = sqlx::query(HELD)
        .bind(column(keys, <[u8; 16]>::as_slice))
        .bind(name)
        .bind(i64::from(version))
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .fetch_all(pool)
        .await?;
    rows.iter()
        .map(|row| {
            let version = row.try_get::<i64, _>(2)?;
            Ok(HeldRecord {
                number: count(row.try_get(0)?),
                name: row.try_get(1)?,
                version: u32::try_from(version).map_err(|_| damaged("version"))?,
                node: row.try_get(3)?,
                withdrawn: row.try_get(4)?,
                kept_ms: row.try_get(5)?,
                bytes: count(row.try_get(6)?),
                current: row.try_get(7)?,
            })
        })
        .collect()
}

async fn spent(
    connection: &mut PgConnection,
    (node, person): (&str, &[u8]),
    Allowance { of, since_ms, .. }: Allowance,
) -> Result<Spent, sqlx::Error> {
    let row = sqlx::query(
        "SELECT count(*), coalesce(bool_or(p.person = $2), false), coalesce(min(p.last_ms), 0) \
         FROM (SELECT person, max(at_ms) AS last_ms FROM look_up \
         WHERE node = $1 AND at_ms > $3 AND counted \
         AND (action = $4) = $5 GROUP BY person) p",
    )
    .bind(node)
    .bind(person)
    .bind(since_ms)
    .bind(REGISTER)
    .bind(of == Counting::Registrations)
    .fetch_one(connection)
    .await?;
    Ok(Spent {
        persons: count(row.try_get(0)?),
        is_known: row.try_get(1)?,
        oldest_ms: row.try_get(2)?,
    })
}

async fn enter(
    pool: &PgPool,
    entry: LookUpEntry,
    allowance: Allowance,
) -> Result<Entered, sqlx::Error> {
    let mut transaction = pool.begin().await?;
    let mut has = None;
    if entry.counted {
        // One after the other, at whichever hub.
        sqlx::query("SELECT pg_advisory_xact_lock($1, hashtext(current_schema() || '/' || $2))")
            .bind(COUNTING)
            .bind(&entry.node)
            .execute(&mut *transaction)
            .await?;
        let who = (entry.node.as_str(), entry.person.as_slice());
        has = Some(spent(&mut transaction, who, allowance).await?);
    }
    let (entry, over) = over(entry, has, allowance);
    let number: i64 = sqlx::query_scalar(
        "INSERT INTO look_up (at_ms, node, caller, role, action, purpose, glass_broken, reason, \
         person, record, version, documents, outcome, counted) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) RETURNING number",
    )
    .bind(entry.at_ms)
    .bind(&entry.node)
    .bind(&entry.caller)
    .bind(entry.role)
    .bind(entry.action)
    .bind(entry.purpose)
    .bind(entry.glass_broken)
    .bind(&entry.reason)
    .bind(&entry.person)
    .bind(&entry.record)
    .bind(i64::from(entry.version))
    .bind(numbers(&entry.documents))
    .bind(entry.outcome)
    .bind(entry.counted)
    .fetch_one(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(Entered { number: count(number), over })
}
