//! The chain of the audit trail: where it has come to, and the digests of entries of before.

use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{QueryBuilder, Row as _};

use crate::sharing::audit::{DIGEST_BYTES, Entry, Head, Origin, Said};

/// Entries of before that get their digests in one statement.
const PAGE: i64 = 500;

/// What the chain begins with.
pub(in crate::store::sqlite) async fn origin(
    connection: &mut SqliteConnection,
) -> Result<Origin, sqlx::Error> {
    let row = sqlx::query("SELECT chain, begun_ms, chained_later FROM audit_chain WHERE id = 1")
        .fetch_one(connection)
        .await?;
    Ok(Origin {
        chain: row.try_get(0)?,
        begun_ms: row.try_get(1)?,
        chained_later: number(row.try_get(2)?),
    })
}

/// Where the chain has come to. An entry without digests, which only tampering leaves, counts as one of
/// zeros: writing goes on, and verifying names it.
pub(in crate::store::sqlite) async fn head(
    connection: &mut SqliteConnection,
) -> Result<Head, sqlx::Error> {
    let last = sqlx::query("SELECT seq, sha256, sm3 FROM audit ORDER BY seq DESC LIMIT 1")
        .fetch_optional(&mut *connection)
        .await?;
    match last {
        Some(row) => Ok(Head {
            number: number(row.try_get(0)?),
            sha256: digest(row.try_get(1)?),
            sm3: digest(row.try_get(2)?),
        }),
        None => Ok(origin(connection).await?.head()),
    }
}

/// Writes an entry after the last one. Within a transaction that writes, so that nobody comes between.
pub(in crate::store::sqlite) async fn append(
    connection: &mut SqliteConnection,
    said: &Said<'_>,
) -> Result<Head, sqlx::Error> {
    let head = head(connection).await?.after(said);
    sqlx::query(
        "INSERT INTO audit (seq, at_ms, caller, role, action, record_id, patient_reference, \
         outcome, detail, sha256, sm3) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
    )
    .bind(signed(head.number))
    .bind(said.at_ms)
    .bind(said.caller)
    .bind(said.role)
    .bind(said.action)
    .bind(said.record_id)
    .bind(said.patient_reference)
    .bind(said.outcome)
    .bind(said.detail)
    .bind(head.sha256.as_slice())
    .bind(head.sm3.as_slice())
    .execute(connection)
    .await?;
    Ok(head)
}

/// Gives entries of before the chain their digests, all or none. How many there were.
pub(in crate::store::sqlite) async fn link_older(
    connection: &mut SqliteConnection,
) -> Result<u64, sqlx::Error> {
    let linked: bool = sqlx::query_scalar("SELECT linked FROM audit_chain WHERE id = 1")
        .fetch_one(&mut *connection)
        .await?;
    if linked {
        return Ok(0);
    }
    sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut *connection).await?;
    let done = link_pages(connection).await;
    let end = if done.is_ok() { "COMMIT" } else { "ROLLBACK" };
    sqlx::raw_sql(end).execute(connection).await?;
    done
}

async fn link_pages(connection: &mut SqliteConnection) -> Result<u64, sqlx::Error> {
    let origin = origin(connection).await?;
    let (mut head, mut count) = (origin.head(), 0);
    loop {
        let rows = sqlx::query(
            "SELECT seq, at_ms, caller, role, action, record_id, patient_reference, outcome, \
             detail, NULL, NULL FROM audit WHERE seq > ?1 AND seq <= ?2 ORDER BY seq LIMIT ?3",
        )
        .bind(signed(head.number))
        .bind(signed(origin.chained_later))
        .bind(PAGE)
        .fetch_all(&mut *connection)
        .await?;
        if rows.is_empty() {
            break;
        }
        let mut heads = Vec::with_capacity(rows.len());
        for row in &rows {
            let entry = entry(row)?;
            head = head.at(entry.number, &entry.said());
            heads.push(head);
        }
        let mut update =
            QueryBuilder::new("UPDATE audit SET sha256 = v.column2, sm3 = v.column3 FROM (");
        update.push_values(&heads, |mut row, head| {
            row.push_bind(signed(head.number))
                .push_bind(head.sha256.as_slice())
                .push_bind(head.sm3.as_slice());
        });
        update.push(") AS v WHERE audit.seq = v.column1");
        count += update.build().execute(&mut *connection).await?.rows_affected();
    }
    sqlx::query("UPDATE audit_chain SET linked = 1 WHERE id = 1").execute(connection).await?;
    Ok(count)
}

/// An entry from the eleven columns that every query here has.
pub(super) fn entry(row: &SqliteRow) -> Result<Entry, sqlx::Error> {
    let bytes = |place: usize| row.try_get::<Option<Vec<u8>>, usize>(place);
    Ok(Entry {
        number: number(row.try_get(0)?),
        at_ms: row.try_get(1)?,
        caller: row.try_get(2)?,
        role: row.try_get(3)?,
        action: row.try_get(4)?,
        record_id: row.try_get(5)?,
        patient_reference: row.try_get(6)?,
        outcome: row.try_get(7)?,
        detail: row.try_get(8)?,
        sha256: bytes(9)?.unwrap_or_default(),
        sm3: bytes(10)?.unwrap_or_default(),
    })
}

fn digest(kept: Option<Vec<u8>>) -> [u8; DIGEST_BYTES] {
    kept.and_then(|bytes| bytes.try_into().ok()).unwrap_or([0; DIGEST_BYTES])
}

pub(in crate::store::sqlite) fn number(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

pub(in crate::store::sqlite) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
