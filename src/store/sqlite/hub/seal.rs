//! Sealing the audit trail of a hub, and reading it as a chain.

use sqlx::Row as _;
use sqlx::sqlite::{SqliteConnection, SqlitePool, SqliteRow};

use crate::app::audit::ports::{Chained, Sealing};
use crate::app::error::Error;
use crate::app::ports::BoxFuture;
use crate::sharing::audit::{DIGEST_BYTES, Entry, Head, Origin};
use crate::store::hub::seal::{AUDIT, LOOK_UP, LookedUp, Seal, Unsealed, of_audit, seal};
use crate::store::hub::{count, failed, int};
use crate::store::sqlite::{Database, pools};

/// Connections that only read.
const READERS_MAX: u32 = 2;
/// Rows of a table that are sealed in one transaction.
const ROWS_MAX: i64 = 2_000;

/// The trail of a hub.
#[derive(Debug)]
pub struct HubTrail {
    readers: SqlitePool,
    writer: SqlitePool,
}

impl HubTrail {
    /// Over the database that [`super::HubStore::open`] has brought up to date.
    pub fn open(database: impl Into<Database>) -> Self {
        let (readers, writer) = pools(database, READERS_MAX);
        Self { readers, writer }
    }
}

impl Chained for HubTrail {
    fn origin(&self) -> BoxFuture<'_, Result<(Origin, u64), Error>> {
        Box::pin(async move {
            let mut connection = self.readers.acquire().await.map_err(failed)?;
            let origin = origin(&mut connection).await.map_err(failed)?;
            let reached: Option<i64> = sqlx::query_scalar("SELECT max(number) FROM audit_seal")
                .fetch_one(&mut *connection)
                .await
                .map_err(failed)?;
            Ok((origin, count(reached.unwrap_or(0))))
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
                 LEFT JOIN audit a ON s.source = 'audit' AND a.id = s.entry \
                 LEFT JOIN look_up l ON s.source = 'look_up' AND l.number = s.entry \
                 WHERE s.number > ?1 AND (a.id IS NOT NULL OR l.number IS NOT NULL) \
                 ORDER BY s.number LIMIT ?2",
            )
            .bind(int(after))
            .bind(limit)
            .fetch_all(&self.readers)
            .await
            .map_err(failed)?;
            rows.iter().map(sealed).collect::<Result<_, _>>().map_err(failed)
        })
    }

    fn stray(&self) -> BoxFuture<'_, Result<Option<u64>, Error>> {
        Box::pin(async move {
            sqlx::query_scalar::<_, Option<i64>>(
                "SELECT min(number) FROM (\
                 SELECT (SELECT min(s.number) FROM audit_seal s WHERE s.source = 'audit' \
                 AND s.entry > a.id) AS number FROM audit a WHERE NOT EXISTS \
                 (SELECT 1 FROM audit_seal s WHERE s.source = 'audit' AND s.entry = a.id) \
                 UNION ALL SELECT (SELECT min(s.number) FROM audit_seal s \
                 WHERE s.source = 'look_up' AND s.entry > l.number) FROM look_up l \
                 WHERE NOT EXISTS (SELECT 1 FROM audit_seal s WHERE s.source = 'look_up' \
                 AND s.entry = l.number))",
            )
            .fetch_one(&self.readers)
            .await
            .map(|number| number.map(count))
            .map_err(failed)
        })
    }
}

impl Sealing for HubTrail {
    fn seal(&self) -> BoxFuture<'_, Result<u64, Error>> {
        Box::pin(async move {
            let mut total = 0;
            loop {
                if !is_due(&self.readers).await.map_err(failed)? {
                    return Ok(total);
                }
                let begin = self.writer.begin_with("BEGIN IMMEDIATE");
                let mut transaction = begin.await.map_err(failed)?;
                total += seal_some(&mut transaction).await.map_err(failed)?;
                transaction.commit().await.map_err(failed)?;
            }
        })
    }
}

/// Whether there is anything after what was sealed.
async fn is_due(readers: &SqlitePool) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar(
        "SELECT coalesce((SELECT max(id) FROM audit), 0) > \
         coalesce((SELECT max(entry) FROM audit_seal WHERE source = 'audit'), 0) \
         OR coalesce((SELECT max(number) FROM look_up), 0) > \
         coalesce((SELECT max(entry) FROM audit_seal WHERE source = 'look_up'), 0)",
    )
    .fetch_one(readers)
    .await
}

async fn seal_some(connection: &mut SqliteConnection) -> Result<u64, sqlx::Error> {
    let last =
        sqlx::query("SELECT number, sha256, sm3 FROM audit_seal ORDER BY number DESC LIMIT 1")
            .fetch_optional(&mut *connection)
            .await?;
    let head = match last {
        Some(row) => Head {
            number: count(row.try_get(0)?),
            sha256: digest(row.try_get(1)?)?,
            sm3: digest(row.try_get(2)?)?,
        },
        None => origin(connection).await?.head(),
    };
    let mut rows = Vec::new();
    for row in sqlx::query(
        "SELECT id, at_ms, node, action, document, outcome, recipients FROM audit WHERE id > \
         coalesce((SELECT max(entry) FROM audit_seal WHERE source = 'audit'), 0) \
         ORDER BY id LIMIT ?1",
    )
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
         ORDER BY number LIMIT ?1",
    )
    .bind(ROWS_MAX)
    .fetch_all(&mut *connection)
    .await?
    {
        rows.push(Unsealed { source: LOOK_UP, id: row.try_get(0)?, entry: looked_up(&row, 0)? });
    }
    for Seal { source, id, head } in seal(head, &rows) {
        sqlx::query(
            "INSERT INTO audit_seal (number, source, entry, sha256, sm3) \
             VALUES (?1, ?2, ?3, ?4, ?5)",
        )
        .bind(int(head.number))
        .bind(source)
        .bind(id)
        .bind(head.sha256.as_slice())
        .bind(head.sm3.as_slice())
        .execute(&mut *connection)
        .await?;
    }
    Ok(u64::try_from(rows.len()).unwrap_or(u64::MAX))
}

async fn origin(connection: &mut SqliteConnection) -> Result<Origin, sqlx::Error> {
    let row = sqlx::query("SELECT chain, begun_ms FROM audit_chain WHERE id = 1")
        .fetch_one(connection)
        .await?;
    Ok(Origin { chain: row.try_get(0)?, begun_ms: row.try_get(1)?, chained_later: 0 })
}

/// The entry that a seal is of.
fn sealed(row: &SqliteRow) -> Result<Entry, sqlx::Error> {
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
fn audit(row: &SqliteRow, at: usize) -> Result<Entry, sqlx::Error> {
    let what = (row.try_get(at + 2)?, row.try_get(at + 3)?, row.try_get(at + 4)?);
    Ok(of_audit(row.try_get(at + 1)?, what, (row.try_get(at + 5)?, row.try_get(at + 6)?)))
}

fn looked_up(row: &SqliteRow, at: usize) -> Result<Entry, sqlx::Error> {
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
