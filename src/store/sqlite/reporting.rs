//! A node's counts of a month, of what it keeps in its own database.
//!
//! What each counter means stands in `models/reporting/counters.csv`; a query here is that sentence in SQL.
//! Counters of one query come together, and of each class of hours there is one, also where it is 0: what
//! the node can count is never unknown.

#[cfg(test)]
mod tests;

use sqlx::Row as _;
use sqlx::sqlite::{SqlitePool, SqliteRow};

use super::{Database, pools};
use crate::app::error::{Cause, Error};
use crate::app::ports::BoxFuture;
use crate::app::reporting::ports::{NodeCounts, Spoken, Telling};
use crate::sharing::reporting::Month;
use crate::sharing::reporting::hours::{CLASSES, class_name, class_of_ms};

/// How long after a consultation or a finding what is asked for the same patient counts as following it.
const FOLLOWS_MS: i64 = 24 * 3_600_000;
/// Connections that only read.
const READERS_MAX: u32 = 1;

/// Consultations: all, with a patient's reference, followed by a plan or a prescription for one of the
/// listed conditions, and sent to a hospital. ?1, ?2: the month; ?3: how long something follows.
const CONSULTATIONS: &str = "
    SELECT count(*) AS consultations,
        coalesce(sum(c.patient_reference <> ''), 0) AS consultations_named,
        coalesce(sum(c.patient_reference <> '' AND EXISTS (
            SELECT 1 FROM record f
            JOIN json_each(f.request_json, CASE f.kind WHEN 'plan' THEN '$.query.order.diagnoses'
                ELSE '$.order.diagnoses' END) d
            JOIN json_each(c.answer_json, '$.conditions') x
            WHERE f.kind IN ('plan', 'check') AND f.caller = c.caller
                AND f.patient_reference = c.patient_reference
                AND f.created_ms >= c.created_ms AND f.created_ms < c.created_ms + ?3
                AND (trim(d.value) = x.value ->> '$.name'
                    OR (length(trim(d.value)) >= 3 AND upper(substr(trim(d.value), 1, 3))
                        = substr(x.value ->> '$.icd10', 1, 3)))
        )), 0) AS consultations_accepted,
        coalesce(sum(coalesce(c.answer_json ->> '$.triage.place', '') IN ('county', 'ambulance')), 0)
            AS referrals_advised
    FROM record c WHERE c.kind = 'consultation' AND c.created_ms >= ?1 AND c.created_ms < ?2";

/// Checks with what was found that stops or needs a reason, by kind; and those after which a later check
/// of the same patient by the same caller lacks one of the findings.
const CHECKS: &str = "
    WITH c AS MATERIALIZED (
        SELECT seq, caller, patient_reference, created_ms, answer_json FROM record
        WHERE kind = 'check' AND created_ms >= ?1 AND created_ms < ?2
    ), p AS MATERIALIZED (
        SELECT c.seq, j.value ->> '$.id' AS id, j.value ->> '$.kind' AS kind
        FROM c, json_each(c.answer_json, '$.problems') j
        WHERE j.value ->> '$.demand' IN ('stop', 'needs_reason')
    )
    SELECT (SELECT count(*) FROM c) AS checks,
        (SELECT count(DISTINCT seq) FROM p) AS checks_flagged,
        (SELECT count(DISTINCT seq) FROM p WHERE kind = 'allergy') AS flagged_allergy,
        (SELECT count(DISTINCT seq) FROM p WHERE kind IN ('interaction', 'infusion'))
            AS flagged_interaction,
        (SELECT count(DISTINCT seq) FROM p WHERE kind = 'duplicate') AS flagged_duplicate,
        (SELECT count(DISTINCT seq) FROM p
            WHERE kind IN ('single_dose', 'daily_dose', 'frequency', 'duration')) AS flagged_dose,
        (SELECT count(DISTINCT seq) FROM p WHERE kind IN ('age', 'sex', 'pregnancy', 'lactation',
            'disease', 'renal', 'hepatic', 'elderly')) AS flagged_person,
        (SELECT count(DISTINCT seq) FROM p WHERE kind IN ('antibiotic', 'skin_test'))
            AS flagged_antibiotic,
        (SELECT count(DISTINCT seq) FROM p WHERE kind IN ('route', 'indication', 'tcm', 'legal_form',
            'monitoring', 'food_alcohol')) AS flagged_other,
        (SELECT count(*) FROM c WHERE patient_reference <> ''
            AND seq IN (SELECT seq FROM p)) AS flagged_named,
        (SELECT count(*) FROM c WHERE patient_reference <> '' AND EXISTS (
            SELECT 1 FROM p JOIN record f ON f.kind = 'check' AND f.caller = c.caller
                AND f.patient_reference = c.patient_reference AND f.seq > c.seq
                AND f.created_ms < c.created_ms + ?3
            WHERE p.seq = c.seq AND p.id NOT IN
                (SELECT k.value ->> '$.id' FROM json_each(f.answer_json, '$.problems') k)
        )) AS checks_changed";

/// What is counted by itself. Days are those of Shanghai.
const OTHERS: &str = "
    SELECT (SELECT count(DISTINCT caller) FROM audit WHERE at_ms >= ?1 AND at_ms < ?2
            AND action IN ('diagnose', 'check_prescription', 'recommend_plan') AND outcome = 'ok'
            AND role IN ('village_doctor', 'township_doctor', 'hospital_doctor', 'local'))
            AS active_doctors,
        (SELECT count(*) FROM record WHERE kind = 'override'
            AND created_ms >= ?1 AND created_ms < ?2) AS overrides,
        (SELECT count(*) FROM relation_grant WHERE kind = 'referral'
            AND from_ms >= ?1 AND from_ms < ?2) AS referrals,
        (SELECT count(*) FROM task t WHERE due_day >= ?3 AND due_day < ?4
            AND state IN ('open', 'done', 'conflict') AND EXISTS (SELECT 1 FROM document d
                WHERE d.kind = 'record' AND d.name = t.record AND d.origin = 'hub')) AS tasks_due,
        (SELECT count(*) FROM task t WHERE due_day >= ?3 AND due_day < ?4 AND state = 'done'
            AND date(changed_ms / 1000, 'unixepoch', '+8 hours') <= due_day
            AND EXISTS (SELECT 1 FROM document d
                WHERE d.kind = 'record' AND d.name = t.record AND d.origin = 'hub')) AS tasks_on_time";

/// Decisions on recognition, and the grounds of repeating.
const RECOGNITION: &str = "
    SELECT count(*) AS recognition_decisions,
        coalesce(sum(json_type(request_json, '$.decision.recognised') IS NOT NULL), 0)
            AS studies_recognised,
        coalesce(sum(json_type(request_json, '$.decision.repeated') IS NOT NULL), 0)
            AS studies_repeated,
        coalesce(sum(request_json ->> '$.decision.repeated.ground' = 'condition_changed'), 0)
            AS repeated_condition_changed,
        coalesce(sum(request_json ->> '$.decision.repeated.ground' = 'changes_quickly'), 0)
            AS repeated_changes_quickly,
        coalesce(sum(request_json ->> '$.decision.repeated.ground' = 'decisive'), 0)
            AS repeated_decisive,
        coalesce(sum(request_json ->> '$.decision.repeated.ground' = 'emergency'), 0)
            AS repeated_emergency,
        coalesce(sum(request_json ->> '$.decision.repeated.ground' = 'forensic'), 0)
            AS repeated_forensic,
        coalesce(sum(request_json ->> '$.decision.repeated.ground' = 'other'), 0)
            AS repeated_other
    FROM record WHERE kind = 'recognition' AND created_ms >= ?1 AND created_ms < ?2";

/// First versions of records that came in a month: made here or sent by the hub.
const RECORDS: &str = "
    WITH d AS MATERIALIZED (
        SELECT seq, name, origin, received_ms, reading_json FROM document n
        WHERE kind = 'record' AND received_ms >= ?1 AND received_ms < ?2 AND NOT EXISTS
            (SELECT 1 FROM document o WHERE o.kind = 'record' AND o.name = n.name AND o.seq < n.seq)
    )
    SELECT (SELECT count(*) FROM d WHERE origin = 'own') AS records_made,
        (SELECT count(*) FROM d WHERE origin = 'own' AND json_valid(reading_json)
            AND coalesce(reading_json ->> '$.record.patient.name', '') <> ''
            AND coalesce(reading_json ->> '$.record.patient.sex', '') IN ('male', 'female')
            AND coalesce(reading_json ->> '$.record.patient.birth_date', '') <> ''
            AND coalesce(json_array_length(reading_json, '$.record.patient.identifiers'), 0) > 0
            AND coalesce(reading_json ->> '$.record.stay.admitted', '') <> ''
            AND coalesce(reading_json ->> '$.record.stay.discharged', '') <> ''
            AND coalesce(json_array_length(reading_json, '$.record.diagnoses'), 0) > 0
            AND (coalesce(json_array_length(reading_json, '$.record.medicines'), 0) > 0
                OR coalesce(reading_json ->> '$.record.narrative.orders', '') <> ''))
            AS records_complete,
        (SELECT count(*) FROM d WHERE origin = 'own' AND EXISTS
            (SELECT 1 FROM outbox o WHERE o.document = d.seq AND o.settled = 1)) AS records_sent,
        (SELECT count(*) FROM d WHERE origin = 'hub') AS records_delivered,
        (SELECT count(*) FROM d WHERE origin = 'hub' AND EXISTS
            (SELECT 1 FROM audit a WHERE a.record_id = d.name AND a.action = 'read_records'
            AND a.outcome = 'ok' AND a.at_ms >= d.received_ms)) AS records_read";

/// Milliseconds from when records were made here until the hub took them.
const SYNC: &str = "
    SELECT o.settled_ms - n.received_ms FROM document n JOIN outbox o ON o.document = n.seq
    WHERE n.kind = 'record' AND n.origin = 'own' AND n.received_ms >= ?1 AND n.received_ms < ?2
        AND o.settled = 1 AND o.settled_ms IS NOT NULL AND NOT EXISTS
        (SELECT 1 FROM document o WHERE o.kind = 'record' AND o.name = n.name AND o.seq < n.seq)";

/// Milliseconds from when the hub had records until they came here, of those that were on their way at once.
const DELIVERY: &str = "
    SELECT n.received_ms - n.handed_ms FROM document n
    WHERE n.kind = 'record' AND n.origin = 'hub' AND n.received_ms >= ?1 AND n.received_ms < ?2
        AND n.handed_ms IS NOT NULL AND NOT EXISTS
        (SELECT 1 FROM document o WHERE o.kind = 'record' AND o.name = n.name AND o.seq < n.seq)";

/// Milliseconds from when records came until somebody read them first.
const READ: &str = "
    SELECT min(a.at_ms) - n.received_ms FROM document n
    JOIN audit a ON a.record_id = n.name AND a.action = 'read_records' AND a.outcome = 'ok'
        AND a.at_ms >= n.received_ms
    WHERE n.kind = 'record' AND n.origin = 'hub' AND n.received_ms >= ?1 AND n.received_ms < ?2
        AND NOT EXISTS
        (SELECT 1 FROM document o WHERE o.kind = 'record' AND o.name = n.name AND o.seq < n.seq)
    GROUP BY n.seq";

/// A node's counts, and what was told of them.
#[derive(Debug)]
pub struct Counts {
    readers: SqlitePool,
    writer: SqlitePool,
}

impl Counts {
    /// Over the database that [`super::SqliteStore::open`] has brought up to date.
    pub fn open(database: impl Into<Database>) -> Self {
        let (readers, writer) = pools(database, READERS_MAX);
        Self { readers, writer }
    }

    async fn counted(&self, month: Month) -> Result<Vec<(String, u64)>, sqlx::Error> {
        let (from_ms, to_ms) = (month.start_ms(), month.end_ms());
        let span = |sql| sqlx::query(sql).bind(from_ms).bind(to_ms);
        // One state of the database for all of them.
        let mut transaction = self.readers.begin().await?;
        let mut numbers = Vec::new();
        for sql in [CONSULTATIONS, CHECKS] {
            let row = span(sql).bind(FOLLOWS_MS).fetch_one(&mut *transaction).await?;
            named(&row, &mut numbers)?;
        }
        let days = (month.first_day().to_string(), month.day_after().to_string());
        let others = span(OTHERS).bind(days.0).bind(days.1);
        named(&others.fetch_one(&mut *transaction).await?, &mut numbers)?;
        for sql in [RECOGNITION, RECORDS] {
            named(&span(sql).fetch_one(&mut *transaction).await?, &mut numbers)?;
        }
        let hours = [("delivery_hours", DELIVERY), ("sync_hours", SYNC), ("read_hours", READ)];
        for (id, sql) in hours {
            let mut classes = [0_u64; CLASSES];
            for row in span(sql).fetch_all(&mut *transaction).await? {
                if let Some(class) = classes.get_mut(class_of_ms(row.try_get(0)?)) {
                    *class += 1;
                }
            }
            let named = classes.into_iter().enumerate();
            numbers.extend(named.map(|(class, n)| (format!("{id}/{}", class_name(class)), n)));
        }
        transaction.commit().await?;
        Ok(numbers)
    }
}

impl NodeCounts for Counts {
    fn count(&self, month: Month) -> BoxFuture<'_, Result<Vec<(String, u64)>, Error>> {
        Box::pin(async move { self.counted(month).await.map_err(failed) })
    }

    fn first(&self) -> BoxFuture<'_, Result<Option<Month>, Error>> {
        Box::pin(async move {
            let first: Option<i64> = sqlx::query_scalar(
                "SELECT min(at) FROM (SELECT (SELECT created_ms FROM record ORDER BY seq LIMIT 1) \
                 AS at UNION ALL SELECT (SELECT received_ms FROM document ORDER BY seq LIMIT 1))",
            )
            .fetch_one(&self.readers)
            .await
            .map_err(failed)?;
            Ok(first.and_then(Month::of_ms))
        })
    }

    fn spoken(&self, month: Month) -> BoxFuture<'_, Result<Option<Spoken>, Error>> {
        Box::pin(async move {
            let row: Option<(String, i64, String, i64)> = sqlx::query_as(
                "SELECT place, revision, numbers, taken_ms FROM coverage_told WHERE month = ?1",
            )
            .bind(month.to_string())
            .fetch_optional(&self.readers)
            .await
            .map_err(failed)?;
            let Some((place, revision, numbers, taken_ms)) = row else { return Ok(None) };
            let numbers = serde_json::from_str(&numbers).map_err(failed)?;
            let revision = u32::try_from(revision).unwrap_or(u32::MAX);
            Ok(Some(Spoken { telling: Telling { place, month, revision, numbers }, taken_ms }))
        })
    }

    fn note(&self, spoken: Spoken) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move {
            let Spoken { telling, taken_ms } = spoken;
            let numbers = serde_json::to_string(&telling.numbers).map_err(failed)?;
            sqlx::query(
                "INSERT INTO coverage_told (month, place, revision, numbers, taken_ms) \
                 VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (month) DO UPDATE SET \
                 place = excluded.place, revision = excluded.revision, \
                 numbers = excluded.numbers, taken_ms = excluded.taken_ms",
            )
            .bind(telling.month.to_string())
            .bind(telling.place)
            .bind(i64::from(telling.revision))
            .bind(numbers)
            .bind(taken_ms)
            .execute(&self.writer)
            .await
            .map_err(failed)?;
            Ok(())
        })
    }
}

/// The columns of a row, by their names.
fn named(row: &SqliteRow, numbers: &mut Vec<(String, u64)>) -> Result<(), sqlx::Error> {
    use sqlx::Column as _;
    for column in row.columns() {
        let number: i64 = row.try_get(column.ordinal())?;
        numbers.push((column.name().to_owned(), u64::try_from(number).unwrap_or(0)));
    }
    Ok(())
}

fn failed(cause: impl Into<Cause>) -> Error {
    Error::Unavailable { what: "store of counts", cause: Some(cause.into()) }
}
