//! What patients took back, and reads that are to be looked at afterwards.

use sqlx::Row as _;
use sqlx::sqlite::{SqliteConnection, SqlitePool};

use super::grants;
use crate::app::access::Permit;
use crate::app::records::ports::{AccessReview, ConsentSaid, Indexed, RecordStanding};
use crate::sharing::exchange::{Document, Kind, SentFor};

pub(super) async fn standing(
    readers: &SqlitePool,
    record: &str,
) -> Result<Option<RecordStanding>, sqlx::Error> {
    let row = sqlx::query(
        "SELECT (SELECT min(received_ms) FROM document WHERE kind = 'record' AND name = ?1) \
         AS received_ms, (SELECT max(origin = 'hub') FROM document WHERE kind = 'record' \
         AND name = ?1) AS from_hub, \
         (SELECT sent_for FROM document WHERE kind = 'record' AND name = ?1 AND origin = 'hub' \
         ORDER BY version DESC LIMIT 1) AS sent_for, sender, person, patient, resident, card, born, \
         json_extract(nullif(reading_json, ''), '$.record.patient.address') AS address \
         FROM document WHERE kind = 'record' AND name = ?1 AND current = 1",
    )
    .bind(record)
    .fetch_optional(readers)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let person: String = row.try_get("person")?;
    let keys = grants::keys_of(&row)?;
    let withdrawals: Vec<(String, i64, Option<i64>)> = sqlx::query_as(
        "SELECT record, from_ms, until_ms FROM consent_withdrawal \
         WHERE person = ?1 AND record IN ('', ?2) ORDER BY seq",
    )
    .bind(&person)
    .bind(record)
    .fetch_all(readers)
    .await?;
    let withdrawals = withdrawals.into_iter();
    let sent_for: Option<String> = row.try_get("sent_for")?;
    // Absent in what this node cannot read: then it is not known where the patient lives.
    let address: Option<String> = row.try_get("address")?;
    Ok(Some(RecordStanding {
        from_hub: row.try_get("from_hub")?,
        sent_for: sent_for.as_deref().and_then(SentFor::named),
        sender: row.try_get("sender")?,
        received_ms: row.try_get("received_ms")?,
        grants: grants::of(readers, &keys).await?,
        person,
        address: address.and_then(|json| serde_json::from_str(&json).ok()).unwrap_or_default(),
        keys,
        withdrawals: withdrawals.map(|(of, from, until)| (of.is_empty(), from, until)).collect(),
    }))
}

/// What the document says, if it says something of consent.
pub(super) fn said(document: &Document, indexed: &Indexed) -> Option<ConsentSaid> {
    if document.kind != Kind::Consent {
        return None;
    }
    serde_json::from_str(&indexed.reading_json).ok()
}

/// The highest version of what was said of these people's consent.
pub(super) async fn last(
    connection: &mut SqliteConnection,
    said: &ConsentSaid,
) -> Result<i64, sqlx::Error> {
    let mut last = 0;
    for person in &said.persons {
        let version: Option<i64> = sqlx::query_scalar(
            "SELECT version FROM consent_said WHERE person = ?1 AND record = ?2",
        )
        .bind(person)
        .bind(&said.record)
        .fetch_optional(&mut *connection)
        .await?;
        last = last.max(version.unwrap_or(0));
    }
    Ok(last)
}

/// Lets count what a document says, unless something later was said.
pub(super) async fn count(
    connection: &mut SqliteConnection,
    document: &Document,
    said: &ConsentSaid,
    now_ms: i64,
) -> Result<(), sqlx::Error> {
    // Clocks differ: it counts from now on at the latest.
    let at_ms = said.at_ms.min(now_ms);
    for person in &said.persons {
        let done = sqlx::query(
            "INSERT INTO consent_said (person, record, version, at_ms, sha256) \
             VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (person, record) DO UPDATE \
             SET version = ?3, at_ms = ?4, sha256 = ?5 \
             WHERE (version, at_ms, sha256) < (?3, ?4, ?5)",
        )
        .bind(person)
        .bind(&said.record)
        .bind(document.version)
        .bind(said.at_ms)
        .bind(document.sha256.as_slice())
        .execute(&mut *connection)
        .await?;
        if done.rows_affected() == 0 {
            continue;
        }
        // Taking back twice is taking back once.
        sqlx::query(
            "UPDATE consent_withdrawal SET until_ms = ?3 \
             WHERE person = ?1 AND record = ?2 AND until_ms IS NULL",
        )
        .bind(person)
        .bind(&said.record)
        .bind(at_ms)
        .execute(&mut *connection)
        .await?;
        if !said.given {
            sqlx::query(
                "INSERT INTO consent_withdrawal (person, record, from_ms) VALUES (?1, ?2, ?3)",
            )
            .bind(person)
            .bind(&said.record)
            .bind(at_ms)
            .execute(&mut *connection)
            .await?;
        }
    }
    Ok(())
}

pub(super) async fn open_review(
    connection: &mut SqliteConnection,
    review: &AccessReview,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO access_review (id, at_ms, until_ms, caller, role, record, reason, rule) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )
    .bind(&review.id)
    .bind(review.at_ms)
    .bind(review.until_ms)
    .bind(&review.caller)
    .bind(&review.role)
    .bind(&review.record)
    .bind(&review.reason)
    .bind(&review.rule)
    .execute(connection)
    .await?;
    Ok(())
}

pub(super) async fn reviews(
    readers: &SqlitePool,
    open: bool,
    limit: u32,
) -> Result<Vec<AccessReview>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT id, at_ms, until_ms, caller, role, record, reason, rule, closed_ms, closed_by, \
         finding FROM access_review WHERE ?1 = 0 OR closed_ms IS NULL ORDER BY seq DESC LIMIT ?2",
    )
    .bind(open)
    .bind(limit)
    .fetch_all(readers)
    .await?;
    let reviews = rows.iter().map(|row| {
        Ok(AccessReview {
            id: row.try_get("id")?,
            at_ms: row.try_get("at_ms")?,
            until_ms: row.try_get("until_ms")?,
            caller: row.try_get("caller")?,
            role: row.try_get("role")?,
            record: row.try_get("record")?,
            reason: row.try_get("reason")?,
            rule: row.try_get("rule")?,
            closed_ms: row.try_get::<Option<i64>, _>("closed_ms")?.unwrap_or(0),
            closed_by: row.try_get("closed_by")?,
            finding: row.try_get("finding")?,
        })
    });
    reviews.collect()
}

/// False: no such open review.
pub(super) async fn close_review(
    connection: &mut SqliteConnection,
    permit: &Permit<'_>,
    (id, finding, at_ms): (&str, &str, i64),
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query(
        "UPDATE access_review SET closed_ms = ?2, closed_by = ?3, finding = ?4 \
         WHERE id = ?1 AND closed_ms IS NULL",
    )
    .bind(id)
    .bind(at_ms)
    .bind(&permit.caller().name)
    .bind(finding)
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}
