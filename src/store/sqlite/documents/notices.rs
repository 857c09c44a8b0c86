//! What patients are to be told.

use sqlx::Row as _;
use sqlx::sqlite::{SqliteConnection, SqlitePool};

use super::whole;
use crate::app::access::Permit;
use crate::app::records::notices::{NewNotice, NoticeState, PatientNotice, Telling};

/// Keeps a notice. A read that goes on under one that is open is told once; a broken glass each time.
pub(super) async fn keep(
    connection: &mut SqliteConnection,
    notice: &NewNotice,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO patient_notice (id, record, review, at_ms, until_ms, reader, role, purpose, words) \
         SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9 WHERE ?3 <> '' OR NOT EXISTS \
         (SELECT 1 FROM patient_notice WHERE state = 'open' AND record = ?2 AND reader = ?6 \
         AND purpose = ?8 AND until_ms > ?4)",
    )
    .bind(&notice.id)
    .bind(&notice.record)
    .bind(&notice.review)
    .bind(notice.at_ms)
    .bind(notice.until_ms)
    .bind(&notice.reader)
    .bind(&notice.role)
    .bind(notice.purpose)
    .bind(&notice.words)
    .execute(connection)
    .await?;
    Ok(())
}

/// Open ones first, newest first.
pub(super) async fn list(
    readers: &SqlitePool,
    open: bool,
    limit: u32,
) -> Result<Vec<PatientNotice>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT n.id, n.record, n.review, n.at_ms, n.until_ms, n.reader, n.role, n.purpose, n.words, \
         n.state, n.told_ms, n.told_by, n.note, n.noted_by, n.noted_ms, \
         coalesce((SELECT json_extract(d.summary_json, '$.patient') FROM document d \
         WHERE d.kind = 'record' AND d.name = n.record AND d.current = 1 \
         AND json_valid(d.summary_json)), '') AS patient \
         FROM patient_notice n WHERE ?1 = 0 OR n.state = 'open' \
         ORDER BY n.state = 'open' DESC, n.seq DESC LIMIT ?2",
    )
    .bind(open)
    .bind(limit)
    .fetch_all(readers)
    .await?;
    let notices = rows.iter().map(|row| {
        let state: String = row.try_get("state")?;
        Ok(PatientNotice {
            id: row.try_get("id")?,
            record: row.try_get("record")?,
            patient: row.try_get("patient")?,
            review: row.try_get("review")?,
            at_ms: row.try_get("at_ms")?,
            until_ms: row.try_get("until_ms")?,
            reader: row.try_get("reader")?,
            role: row.try_get("role")?,
            purpose: row.try_get("purpose")?,
            words: row.try_get("words")?,
            state: NoticeState::named(&state).ok_or_else(|| sqlx::Error::ColumnDecode {
                index: "state".to_owned(),
                source: "unknown state".into(),
            })?,
            told_ms: row.try_get("told_ms")?,
            told_by: row.try_get("told_by")?,
            note: row.try_get("note")?,
            noted_by: row.try_get("noted_by")?,
            noted_ms: row.try_get("noted_ms")?,
        })
    });
    notices.collect()
}

/// False: nobody of this notice is to be told. Who could not be told once may be told later.
pub(super) async fn record(
    connection: &mut SqliteConnection,
    permit: &Permit<'_>,
    (telling, at_ms): (&Telling, i64),
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query(
        "UPDATE patient_notice SET state = ?2, told_ms = ?3, told_by = ?4, note = ?5, noted_by = ?6, \
         noted_ms = ?7 WHERE id = ?1 AND state IN ('open', 'not_told')",
    )
    .bind(&telling.id)
    .bind(telling.state.name())
    .bind(telling.told_ms.unwrap_or(at_ms))
    .bind(&telling.told_by)
    .bind(&telling.note)
    .bind(&permit.caller().name)
    .bind(at_ms)
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// The record that was read, and who read it.
pub(super) async fn of(
    readers: &SqlitePool,
    id: &str,
) -> Result<Option<(String, String)>, sqlx::Error> {
    sqlx::query_as("SELECT record, reader FROM patient_notice WHERE id = ?1")
        .bind(id)
        .fetch_optional(readers)
        .await
}

/// How many are open.
pub(super) async fn open(readers: &SqlitePool) -> Result<u64, sqlx::Error> {
    let count = sqlx::query_scalar("SELECT count(*) FROM patient_notice WHERE state = 'open'");
    Ok(whole(count.fetch_one(readers).await?))
}
