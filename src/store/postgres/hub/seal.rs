//! Sealing the audit trail of hubs, and reading it as a chain.
//!
//! Numbers of entries are taken before their transactions end, in any order. What is sealed are those up
//! to a number that was the last one a moment ago, once every transaction that ran then has ended: none of
//! them can come late.

use std::sync::{Mutex, PoisonError};

use sqlx::postgres::{PgConnection, PgPool, PgRow};
use sqlx::{Connection as _, Row as _};

use super::DURABLE;
use super::load::column;
use crate::app::audit::ports::{Chained, Sealing};
use crate::app::error::Error;
use crate::app::ports::BoxFuture;
use crate::sharing::audit::{DIGEST_BYTES, Entry, Head, Origin};
use crate::store::hub::seal::{AUDIT, LOOK_UP, LookedUp, Unsealed, of_audit, seal};
use crate::store::hub::{count, failed, int};
use crate::store::postgres::{KEYED, Server, pool};

/// Connections, for sealing and for reading.
const POOLED_MAX: u32 = 2;
/// First half of the lock of whoever seals; the second is the schema.
const SEALING: i32 = 0x5864;
/// Rows of a table that are sealed in one transaction.
const ROWS_MAX: i64 = 5_000;

/// The trail of hubs on one schema.
#[derive(Debug)]
pub struct HubTrail {
    pool: PgPool,
    horizon: Mutex<Option<Horizon>>,
}

/// Entries up to these numbers are all there once no transaction before `xid` runs any more.
#[derive(Debug, Clone, Copy)]
struct Horizon {
    xid: i64,
    audit: i64,
    look_up: i64,
}

impl HubTrail {
    /// Over `schema` on `server`, which [`super::HubStore::open`] has brought up to date. Connects when it
    /// is asked.
    pub fn open(server: &Server, schema: &str) -> Self {
        let options = server.options(schema).options(KEYED).options(DURABLE);
        Self { pool: pool(POOLED_MAX, options), horizon: Mutex::default() }
    }
}

impl Chained for HubTrail {
    fn origin(&self) -> BoxFuture<'_, Result<(Origin, u64), Error>> {
        Box::pin(async move {
            let mut connection = self.pool.acquire().await.map_err(failed)?;
            let origin = origin(&mut connection).await.map_err(failed)?;
            let reached: i64 =
                sqlx::query_scalar("SELECT coalesce(max(number), 0) FROM audit_seal")
                    .fetch_one(&mut *connection)
                    .await
                    .map_err(failed)?;
            Ok((origin, count(reached)))
        })
    }

    fn after(&self, after: u64, limit: u32) -> BoxFuture<'_, Result<Vec<Entry>, Error>> {
        Box::pin(async move {
            // What is sealed and not there leaves a gap.
            let rows = sqlx::query(
                "SELECT a.id, a.at_ms, a.node, a.action, a.document, a.outcome, a.recipients, \
                 l.number, l.at_ms, l.node, l.caller, l.role, l.action, l.purpose, l.glass_broken, \
                 l.reason, l.person, l.record, l.version, l.documents, l.outcome, l.counted, \
                 s.number, s.sha256, s.sm3 FROM audit_seal s \
                 LEFT JOIN LATERAL (SELECT * FROM audit a WHERE s.source = 'audit' \
                 AND a.id = s.entry OFFSET 0) a ON true \
                 LEFT JOIN LATERAL (SELECT * FROM look_up l WHERE s.source = 'look_up' \
                 AND l.number = s.entry OFFSET 0) l ON true \
                 WHERE s.number > $1 AND (a.id IS NOT NULL OR l.number IS NOT NULL) \
                 ORDER BY s.number LIMIT $2",
            )
            .bind(int(after))
            .bind(i64::from(limit))
            .fetch_all(&self.pool)
            .await
            .map_err(failed)?;
            rows.iter().map(sealed).collect::<Result<_, _>>().map_err(failed)
        })
    }

    fn stray(&self) -> BoxFuture<'_, Result<Option<u64>, Error>> {
        Box::pin(async move {
            let number: Option<i64> = sqlx::query_scalar(
                "SELECT min(number) FROM (\
                 SELECT (SELECT min(s.number) FROM audit_seal s WHERE s.source = 'audit' \
                 AND s.entry > a.id) AS number FROM audit a WHERE NOT EXISTS \
                 (SELECT 1 FROM audit_seal s WHERE s.source = 'audit' AND s.entry = a.id) \
                 UNION ALL SELECT (SELECT min(s.number) FROM audit_seal s \
                 WHERE s.source = 'look_up' AND s.entry > l.number) FROM look_up l \
                 WHERE NOT EXISTS (SELECT 1 FROM audit_seal s WHERE s.source = 'look_up' \
                 AND s.entry = l.number)) strays",
            )
            .fetch_one(&self.pool)
            .await
            .map_err(failed)?;
            Ok(number.map(count))
        })
    }
}

impl Sealing for HubTrail {
    fn seal(&self) -> BoxFuture<'_, Result<u64, Error>> {
        Box::pin(async move {
            let mut connection = self.pool.acquire().await.map_err(failed)?;
            let (now, oldest) = horizon(&mut connection).await.map_err(failed)?;
            let last = *self.horizon.lock().unwrap_or_else(PoisonError::into_inner);
            let settled = match last {
                Some(last) if oldest >= last.xid => last,
                Some(_) => return Ok(0),
                None => {
                    *self.horizon.lock().unwrap_or_else(PoisonError::into_inner) = Some(now);
                    return Ok(0);
                }
            };
            let mut total = 0;
            loop {
                let sealed = seal_some(&mut connection, settled).await.map_err(failed)?;
                total += sealed;
                if sealed == 0 {
                    break;
                }
            }
            *self.horizon.lock().unwrap_or_else(PoisonError::into_inner) = Some(now);
            Ok(total)
        })
    }
}

/// The last numbers now with the next transaction, and the oldest one that runs.
async fn horizon(connection: &mut PgConnection) -> Result<(Horizon, i64), sqlx::Error> {
    let row = sqlx::query(
        "SELECT pg_snapshot_xmax(s.s)::text::int8, pg_snapshot_xmin(s.s)::text::int8, \
         coalesce((SELECT max(id) FROM audit), 0), coalesce((SELECT max(number) FROM look_up), 0) \
         FROM (SELECT pg_current_snapshot() AS s) s",
    )
    .fetch_one(connection)
    .await?;
    let now = Horizon { xid: row.try_get(0)?, audit: row.try_get(2)?, look_up: row.try_get(3)? };
    Ok((now, row.try_get(1)?))
}

/// Seals some of what is settled; none where another hub is at it.
async fn seal_some(connection: &mut PgConnection, settled: Horizon) -> Result<u64, sqlx::Error> {
    let mut transaction = connection.begin().await?;
    let alone: bool =
        sqlx::query_scalar("SELECT pg_try_advisory_xact_lock($1, hashtext(current_schema()))")
            .bind(SEALING)
            .fetch_one(&mut *transaction)
            .await?;
    if !alone {
        return Ok(0);
    }
    let last =
        sqlx::query("SELECT number, sha256, sm3 FROM audit_seal ORDER BY number DESC LIMIT 1")
            .fetch_optional(&mut *transaction)
            .await?;
    let head = match last {
        Some(row) => Head {
            number: count(row.try_get(0)?),
            sha256: digest(row.try_get(1)?)?,
            sm3: digest(row.try_get(2)?)?,
        },
        None => origin(&mut transaction).await?.head(),
    };
    let rows = unsealed(&mut transaction, settled).await?;
    if rows.is_empty() {
        return Ok(0);
    }
    let seals = seal(head, &rows);
    sqlx::query(
        "INSERT INTO audit_seal (number, source, entry, sha256, sm3) \
         SELECT * FROM unnest($1::int8[], $2::text[], $3::int8[], $4::bytea[], $5::bytea[])",
    )
    .bind(column(&seals, |seal| int(seal.head.number)))
    .bind(column(&seals, |seal| seal.source))
    .bind(column(&seals, |seal| seal.id))
    .bind(column(&seals, |seal| seal.head.sha256.as_slice()))
    .bind(column(&seals, |seal| seal.head.sm3.as_slice()))
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(u64::try_from(seals.len()).unwrap_or(u64::MAX))
}

async fn unsealed(
    connection: &mut PgConnection,
    settled: Horizon,
) -> Result<Vec<Unsealed>, sqlx::Error> {
    let mut rows = Vec::new();
    for row in sqlx::query(
        "SELECT id, at_ms, node, action, document, outcome, recipients FROM audit WHERE id > \
         coalesce((SELECT max(entry) FROM audit_seal WHERE source = 'audit'), 0) AND id <= $1 \
         ORDER BY id LIMIT $2",
    )
    .bind(settled.audit)
    .bind(ROWS_MAX)
    .fetch_all(&mut *connection)
    .await?
    {
        rows.push(Unsealed { source: AUDIT, id: row.try_get(0)?, entry: audit(&row, 0)? });
    }
    for row in sqlx::query(
        "SELECT number, at_ms, node, caller, role, action, purpose, glass_broken, reason, person, \
         record, version, documents, outcome, counted FROM look_up WHERE number > \
         coalesce((SELECT max(entry) FROM audit_seal WHERE source = 'look_up'), 0) \
         AND number <= $1 ORDER BY number LIMIT $2",
    )
    .bind(settled.look_up)
    .bind(ROWS_MAX)
    .fetch_all(connection)
    .await?
    {
        rows.push(Unsealed { source: LOOK_UP, id: row.try_get(0)?, entry: looked_up(&row, 0)? });
    }
    Ok(rows)
}

async fn origin(connection: &mut PgConnection) -> Result<Origin, sqlx::Error> {
    let row = sqlx::query("SELECT chain, begun_ms FROM audit_chain WHERE id = 1")
        .fetch_one(connection)
        .await?;
    Ok(Origin { chain: row.try_get(0)?, begun_ms: row.try_get(1)?, chained_later: 0 })
}

/// The entry that a seal is of.
fn sealed(row: &PgRow) -> Result<Entry, sqlx::Error> {
    let is_audit = row.try_get::<Option<i64>, _>(0)?.is_some();
    let entry = if is_audit { audit(row, 0)? } else { looked_up(row, 7)? };
    Ok(Entry {
        number: count(row.try_get(22)?),
        sha256: row.try_get(23)?,
        sm3: row.try_get(24)?,
        ..entry
    })
}

/// From the columns after the number's.
fn audit(row: &PgRow, at: usize) -> Result<Entry, sqlx::Error> {
    let what = (row.try_get(at + 2)?, row.try_get(at + 3)?, row.try_get(at + 4)?);
    Ok(of_audit(row.try_get(at + 1)?, what, (row.try_get(at + 5)?, row.try_get(at + 6)?)))
}

fn looked_up(row: &PgRow, at: usize) -> Result<Entry, sqlx::Error> {
    let row = LookedUp {
        at_ms: row.try_get(at + 1)?,
        node: row.try_get(at + 2)?,
        caller: row.try_get(at + 3)?,
        role: row.try_get(at + 4)?,
        action: row.try_get(at + 5)?,
        purpose: row.try_get(at + 6)?,
        glass_broken: row.try_get(at + 7)?,
        reason: row.try_get(at + 8)?,
        person: row.try_get(at + 9)?,
        record: row.try_get(at + 10)?,
        version: row.try_get(at + 11)?,
        documents: row.try_get(at + 12)?,
        outcome: row.try_get(at + 13)?,
        counted: row.try_get(at + 14)?,
    };
    Ok(row.entry())
}

fn digest(bytes: Vec<u8>) -> Result<[u8; DIGEST_BYTES], sqlx::Error> {
    bytes.try_into().map_err(|_| sqlx::Error::ColumnDecode {
        index: "sha256".to_owned(),
        source: "not 32 bytes".into(),
    })
}
