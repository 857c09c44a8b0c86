//! What patients took back, and reads that are to be looked at afterwards.

use sqlx::sqlite::{SqliteConnection, SqlitePool};
use sqlx::{Row as _, SqliteExecutor};

use super::{array, grants, small};
use crate::app::access::Permit;
use crate::app::records::person::PersonKeys;
use crate::app::records::ports::{
    AccessReview, Arrived, ConsentSaid, Indexed, RecordStanding, TakenBack,
};
use crate::app::records::words::{Word, taken_back};
use crate::sharing::exchange::{Document, Kind, SentFor, VERSIONS_AHEAD_MAX};

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
    let mut words = words(readers, (&keys.name, Some(record))).await?;
    if !words.is_empty() {
        let joined = joined(readers, &keys).await?;
        words.retain(|word| word.is_of(&joined, std::slice::from_ref(&person)));
    }
    let (taken, withdrawn_by) = taken_back(words);
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
        withdrawals: taken
            .into_iter()
            .map(|back| (back.record.is_empty(), back.from_ms, back.until_ms))
            .collect(),
        withdrawn_by,
    }))
}

/// What the document says, if it says something of consent.
pub(super) fn said(document: &Document, indexed: &Indexed) -> Option<ConsentSaid> {
    if document.kind != Kind::Consent {
        return None;
    }
    serde_json::from_str(&indexed.reading_json).ok()
}

/// Words on the consent of people of this name, or of before, when there was none: of one record and of all,
/// or of any.
async fn words<'e>(
    executor: impl SqliteExecutor<'e>,
    (name, record): (&str, Option<&str>),
) -> Result<Vec<Word>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT record, name, resident, card, born, only, version, at_ms, sha256, given, counts_ms, \
         said_by FROM consent_word WHERE name IN ('', ?1) AND (?2 IS NULL OR record IN ('', ?2)) \
         ORDER BY seq",
    )
    .bind(name)
    .bind(record)
    .fetch_all(executor)
    .await?;
    let words = rows.iter().map(|row| {
        Ok(Word {
            record: row.try_get("record")?,
            keys: PersonKeys {
                name: row.try_get("name")?,
                resident: row.try_get("resident")?,
                card: row.try_get("card")?,
                born: row.try_get("born")?,
                only: row.try_get("only")?,
            },
            version: small(row.try_get("version")?),
            at_ms: row.try_get("at_ms")?,
            sha256: array(row.try_get("sha256")?, "sha256")?,
            given: row.try_get("given")?,
            counts_ms: row.try_get("counts_ms")?,
            by: row.try_get("said_by")?,
        })
    });
    words.collect()
}

/// What a person took back.
pub(super) async fn withdrawals(
    readers: &SqlitePool,
    person: &PersonKeys,
    before: &[String],
) -> Result<Vec<TakenBack>, sqlx::Error> {
    let mut words = words(readers, (&person.name, None)).await?;
    if !words.is_empty() {
        let joined = joined(readers, person).await?;
        words.retain(|word| !word.keys.is_empty() && word.is_of(&joined, before));
    }
    Ok(taken_back(words).0)
}

/// The keys, and those of the records here that are of the same person: one of them may have the number by
/// which something was said beside the one that is asked with.
async fn joined<'e>(
    executor: impl SqliteExecutor<'e>,
    keys: &PersonKeys,
) -> Result<Vec<PersonKeys>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT DISTINCT person, patient, resident, card, born FROM document \
         WHERE kind = 'record' AND current = 1 AND patient = ?1",
    )
    .bind(&keys.name)
    .fetch_all(executor)
    .await?;
    let mut all = vec![keys.clone()];
    for row in &rows {
        let of = grants::keys_of(row)?;
        if of != *keys && of.fits(keys) {
            all.push(of);
        }
    }
    Ok(all)
}

/// The highest version of what was said of this person's consent, for the same records.
pub(super) async fn last(
    connection: &mut SqliteConnection,
    said: &ConsentSaid,
    keys: &PersonKeys,
) -> Result<u32, sqlx::Error> {
    let words = words(&mut *connection, (&keys.name, Some(&said.record))).await?;
    let joined = joined(connection, keys).await?;
    let same = words.iter().filter(|word| word.record == said.record);
    let same = same.filter(|word| word.is_of(&joined, &said.persons));
    Ok(same.map(|word| word.version).max().unwrap_or(0))
}

/// Lets count what a document says that was written down here.
pub(super) async fn count(
    connection: &mut SqliteConnection,
    (document, keys): (&Document, &PersonKeys),
    said: &ConsentSaid,
    (by, now_ms): (&str, i64),
) -> Result<(), sqlx::Error> {
    // What says nothing of the person is about its record, whosever that turns out to be.
    let nobody = PersonKeys::default();
    let keys = if keys.is_empty() { &nobody } else { keys };
    sqlx::query(
        "INSERT INTO consent_word (record, name, resident, card, born, only, version, at_ms, sha256, \
         given, counts_ms, said_by) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
    )
    .bind(&said.record)
    .bind(&keys.name)
    .bind(&keys.resident)
    .bind(&keys.card)
    .bind(&keys.born)
    .bind(&keys.only)
    .bind(document.version)
    .bind(said.at_ms)
    .bind(document.sha256.as_slice())
    .bind(said.given)
    // Clocks differ: it counts from now on at the latest.
    .bind(said.at_ms.min(now_ms))
    .bind(by)
    .execute(connection)
    .await?;
    Ok(())
}

/// Lets count what a document says that came over the link. False: it does not count. The hub has seen that
/// its sender has to do with whoever has the numbers; by name and birth date alone it counts only if the
/// record by which it was said is here and about the person. What gives consent again must not leap over
/// what was said before.
pub(super) async fn heard(
    connection: &mut SqliteConnection,
    arrived: &Arrived,
    said: &ConsentSaid,
) -> Result<bool, sqlx::Error> {
    let Arrived { document, indexed, sent_for, at_ms, .. } = arrived;
    let mut keys = indexed.keys.clone();
    // This node's own comes back to a box that has lost it, before the records perhaps.
    if *sent_for != Some(SentFor::Returned) {
        let rows = sqlx::query(
            "SELECT person, patient, resident, card, born FROM document \
             WHERE kind = 'record' AND name = ?1",
        )
        .bind(&said.by_record)
        .fetch_all(&mut *connection)
        .await?;
        let mut is_borne_out = !rows.is_empty() && keys.is_empty();
        for row in &rows {
            is_borne_out |= grants::keys_of(row)?.fits(&keys);
        }
        if !is_borne_out {
            keys.born.clear();
            if keys.is_empty() {
                return Ok(false);
            }
        }
        let highest = last(connection, said, &keys).await?.saturating_add(VERSIONS_AHEAD_MAX);
        if said.given && document.version > highest {
            return Ok(false);
        }
    }
    count(connection, (document, &keys), said, ("", *at_ms)).await?;
    Ok(true)
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
