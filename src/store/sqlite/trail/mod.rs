//! The audit trail of a node, for reading, with its alarms and signed heads. Entries are written by
//! [`super::writer`] and [`super::documents`], linked by [`chain`].

pub(super) mod chain;
#[cfg(test)]
mod tests;

use sqlx::sqlite::{SqlitePool, SqlitePoolOptions, SqliteRow};
use sqlx::{ConnectOptions as _, Row as _};

use self::chain::{number, signed};
use super::{Database, OpenError, pools};
use crate::app::audit::ports::{
    AlarmCount, AlarmQuery, AuditTrail, Chained, EntryQuery, KeptAlarm, Whose,
};
use crate::app::error::Error;
use crate::app::ports::BoxFuture;
use crate::app::records::person::PersonKeys;
use crate::sharing::audit::alarms::{Alarm, AlarmKind, Subject};
use crate::sharing::audit::{Anchor, Entry, Head, Mark, Origin};

/// Connections that only read.
const READERS_MAX: u32 = 2;

/// Number of the entry that closes the alarm of a row; NULL while it is open.
macro_rules! closed_by {
    () => {
        "(SELECT min(seq) FROM audit WHERE record_id <> '' AND record_id = 'alarm-' || number \
         AND action = 'close_alarms' AND outcome = 'ok')"
    };
}

/// The trail of an open database.
#[derive(Debug)]
pub struct Trail {
    readers: SqlitePool,
    /// For alarms and heads; none where the database is only looked at.
    writer: Option<SqlitePool>,
}

impl Trail {
    /// Over the database that [`super::SqliteStore::open`] has brought up to date.
    pub fn open(database: impl Into<Database>) -> Self {
        let (readers, writer) = pools(database, READERS_MAX);
        Self { readers, writer: Some(writer) }
    }

    /// Over the database of a node that may run or not, to look at only.
    pub async fn look(database: impl Into<Database>) -> Result<Self, OpenError> {
        let database = database.into();
        let path = database.path();
        let open = |source| OpenError::Open { path: path.to_owned(), source };
        let options = database
            .options()
            .read_only(true)
            .busy_timeout(super::BUSY_TIMEOUT)
            .row_buffer_size(super::ROWS_AHEAD)
            .disable_statement_logging();
        let readers = SqlitePoolOptions::new()
            .max_connections(1)
            .connect_with(options)
            .await
            .map_err(open)?;
        Ok(Self { readers, writer: None })
    }

    fn writer(&self) -> Result<&SqlitePool, Error> {
        self.writer.as_ref().ok_or(Error::Unavailable { what: "store", cause: None })
    }
}

impl Chained for Trail {
    fn origin(&self) -> BoxFuture<'_, Result<(Origin, u64), Error>> {
        Box::pin(async move {
            let mut connection = self.readers.acquire().await.map_err(failed)?;
            let origin = chain::origin(&mut connection).await.map_err(failed)?;
            let reached: Option<i64> =
                sqlx::query_scalar("SELECT seq FROM sqlite_sequence WHERE name = 'audit'")
                    .fetch_optional(&mut *connection)
                    .await
                    .map_err(failed)?;
            Ok((origin, number(reached.unwrap_or(0))))
        })
    }

    fn after(&self, after: u64, limit: u32) -> BoxFuture<'_, Result<Vec<Entry>, Error>> {
        Box::pin(async move {
            let rows = sqlx::query(
                "SELECT seq, at_ms, caller, role, action, record_id, patient_reference, outcome, \
                 detail, sha256, sm3 FROM audit WHERE seq > ?1 ORDER BY seq LIMIT ?2",
            )
            .bind(signed(after))
            .bind(limit)
            .fetch_all(&self.readers)
            .await
            .map_err(failed)?;
            entries(&rows)
        })
    }
}

impl AuditTrail for Trail {
    fn find(&self, query: EntryQuery) -> BoxFuture<'_, Result<Vec<Entry>, Error>> {
        Box::pin(async move { entries(&find(&self.readers, &query).await.map_err(failed)?) })
    }

    fn whose(&self, person: PersonKeys) -> BoxFuture<'_, Result<Whose, Error>> {
        Box::pin(async move { whose(&self.readers, &person).await.map_err(failed) })
    }

    fn subjects(
        &self,
        records: Vec<String>,
    ) -> BoxFuture<'_, Result<Vec<(String, Subject)>, Error>> {
        Box::pin(async move { subjects(&self.readers, &records).await.map_err(failed) })
    }

    fn last(&self) -> BoxFuture<'_, Result<u64, Error>> {
        Box::pin(async move {
            let last: Option<i64> = sqlx::query_scalar("SELECT max(seq) FROM audit")
                .fetch_one(&self.readers)
                .await
                .map_err(failed)?;
            Ok(number(last.unwrap_or(0)))
        })
    }

    fn watched(&self) -> BoxFuture<'_, Result<u64, Error>> {
        Box::pin(async move {
            let entry: i64 = sqlx::query_scalar("SELECT entry FROM audit_watch WHERE id = 1")
                .fetch_one(&self.readers)
                .await
                .map_err(failed)?;
            Ok(number(entry))
        })
    }

    fn keep_alarms(&self, up_to: u64, alarms: Vec<Alarm>) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move {
            let begin = self.writer()?.begin_with("BEGIN IMMEDIATE");
            let mut transaction = begin.await.map_err(failed)?;
            for alarm in &alarms {
                sqlx::query(
                    "INSERT INTO audit_alarm (at_ms, kind, caller, role, entry, persons, hours, \
                     detail) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, '') ON CONFLICT DO NOTHING",
                )
                .bind(alarm.at_ms)
                .bind(alarm.kind.name())
                .bind(&alarm.caller)
                .bind(&alarm.role)
                .bind(signed(alarm.entry))
                .bind(signed(alarm.persons))
                .bind(alarm.hours)
                .execute(&mut *transaction)
                .await
                .map_err(failed)?;
            }
            sqlx::query("UPDATE audit_watch SET entry = ?1 WHERE id = 1")
                .bind(signed(up_to))
                .execute(&mut *transaction)
                .await
                .map_err(failed)?;
            transaction.commit().await.map_err(failed)
        })
    }

    fn alarms(&self, query: AlarmQuery) -> BoxFuture<'_, Result<Vec<KeptAlarm>, Error>> {
        Box::pin(async move {
            let rows = sqlx::query(concat!(
                "SELECT number, at_ms, kind, caller, role, entry, persons, hours, ",
                closed_by!(),
                " AS closed FROM audit_alarm WHERE (?1 IS NULL OR number < ?1) \
                 AND (?2 IS NULL OR number = ?2) AND (NOT ?3 OR closed IS NULL) \
                 ORDER BY number DESC LIMIT ?4"
            ))
            .bind(query.before.map(signed))
            .bind(query.number.map(signed))
            .bind(query.open_only)
            .bind(query.limit)
            .fetch_all(&self.readers)
            .await
            .map_err(failed)?;
            let mut kept = rows.iter().map(alarm).collect::<Result<Vec<_>, _>>().map_err(failed)?;
            for (kept, row) in kept.iter_mut().zip(&rows) {
                let closed: Option<i64> = row.try_get(8).map_err(failed)?;
                if let Some(entry) = closed.map(number) {
                    kept.closed = self.after(entry.saturating_sub(1), 1).await?.pop();
                }
            }
            Ok(kept)
        })
    }

    fn alarm_counts(&self) -> BoxFuture<'_, Result<Vec<AlarmCount>, Error>> {
        Box::pin(async move {
            let rows: Vec<(String, i64, i64)> = sqlx::query_as(concat!(
                "SELECT kind, count(*), count(*) FILTER (WHERE ",
                closed_by!(),
                " IS NULL) FROM audit_alarm GROUP BY kind"
            ))
            .fetch_all(&self.readers)
            .await
            .map_err(failed)?;
            let count = |(kind, raised, open)| AlarmCount {
                kind,
                raised: number(raised),
                open: number(open),
            };
            Ok(rows.into_iter().map(count).collect())
        })
    }

    fn keep_anchor(
        &self,
        anchor: Anchor,
        taken_ms: Option<i64>,
    ) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move {
            let Anchor { mark, key, signature } = &anchor;
            sqlx::query(
                "INSERT INTO audit_anchor (chain, number, sha256, sm3, at_ms, key, signature, \
                 taken_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT (chain, number) \
                 DO UPDATE SET taken_ms = coalesce(taken_ms, ?8)",
            )
            .bind(&mark.chain)
            .bind(signed(mark.head.number))
            .bind(mark.head.sha256.as_slice())
            .bind(mark.head.sm3.as_slice())
            .bind(mark.at_ms)
            .bind(key.as_slice())
            .bind(signature.as_slice())
            .bind(taken_ms)
            .execute(self.writer()?)
            .await
            .map_err(failed)?;
            Ok(())
        })
    }

    fn anchors<'a>(&'a self, node: &'a str) -> BoxFuture<'a, Result<Vec<Anchor>, Error>> {
        Box::pin(async move {
            let rows = sqlx::query(
                "SELECT chain, number, sha256, sm3, at_ms, key, signature FROM audit_anchor \
                 ORDER BY number",
            )
            .fetch_all(&self.readers)
            .await
            .map_err(failed)?;
            rows.iter().map(|row| anchor(row, node)).collect::<Result<_, _>>().map_err(failed)
        })
    }
}

async fn find(readers: &SqlitePool, query: &EntryQuery) -> Result<Vec<SqliteRow>, sqlx::Error> {
    let before = query.before.map_or(i64::MAX, signed);
    let from_ms = query.from_ms.unwrap_or(i64::MIN);
    let until_ms = query.until_ms.unwrap_or(i64::MAX);
    let Some(whose) = &query.whose else {
        return sqlx::query(
            "SELECT seq, at_ms, caller, role, action, record_id, patient_reference, outcome, \
             detail, sha256, sm3 FROM audit WHERE seq < ?1 AND at_ms >= ?2 AND at_ms < ?3 \
             AND (?4 IS NULL OR caller = ?4) AND (?5 IS NULL OR action = ?5) \
             AND (?6 IS NULL OR outcome = ?6) ORDER BY seq DESC LIMIT ?7",
        )
        .bind(before)
        .bind(from_ms)
        .bind(until_ms)
        .bind(&query.caller)
        .bind(&query.action)
        .bind(&query.outcome)
        .bind(query.limit)
        .fetch_all(readers)
        .await;
    };
    let list = |texts: &[String]| serde_json::Value::from(texts.to_vec()).to_string();
    // A search of the FHIR door names several persons with commas between them.
    sqlx::query(
        "SELECT seq, at_ms, caller, role, action, record_id, patient_reference, outcome, detail, \
         sha256, sm3 FROM audit WHERE seq IN \
         (SELECT a.seq FROM json_each(?8) j JOIN audit a ON a.patient_reference = j.value \
         WHERE j.value <> '' AND a.patient_reference <> '' \
         UNION SELECT a.seq FROM json_each(?9) j JOIN audit a ON a.record_id = j.value \
         WHERE j.value <> '' AND a.record_id <> '' \
         UNION SELECT a.seq FROM audit a WHERE a.patient_reference GLOB 'p-*,p-*' AND EXISTS \
         (SELECT 1 FROM json_each(?8) j WHERE j.value GLOB 'p-*' \
         AND instr(',' || a.patient_reference || ',', ',' || j.value || ',') > 0)) \
         AND seq < ?1 AND at_ms >= ?2 AND at_ms < ?3 AND (?4 IS NULL OR caller = ?4) \
         AND (?5 IS NULL OR action = ?5) AND (?6 IS NULL OR outcome = ?6) \
         ORDER BY seq DESC LIMIT ?7",
    )
    .bind(before)
    .bind(from_ms)
    .bind(until_ms)
    .bind(&query.caller)
    .bind(&query.action)
    .bind(&query.outcome)
    .bind(query.limit)
    .bind(list(&whose.patients))
    .bind(list(&whose.records))
    .fetch_all(readers)
    .await
}

/// Records of a person, the tasks of those, and the ids that the FHIR door gives the person.
async fn whose(readers: &SqlitePool, person: &PersonKeys) -> Result<Whose, sqlx::Error> {
    let rows: Vec<(String, Option<i64>)> = sqlx::query_as(
        "SELECT DISTINCT d.name, r.person FROM document d \
         LEFT JOIN record_reference r ON r.document = d.seq WHERE d.kind IN ('record', 'registration') AND \
         ((?1 <> '' AND d.resident = ?1) OR (?2 <> '' AND d.card = ?2) OR \
         (?3 <> '' AND d.born = ?3) OR (d.person <> '' AND d.person IN (?1, ?2, ?3)))",
    )
    .bind(&person.resident)
    .bind(&person.card)
    .bind(&person.born)
    .fetch_all(readers)
    .await?;
    let mut whose = Whose::default();
    for (record, person) in rows {
        whose.records.push(record);
        whose.patients.extend(person.map(|person| format!("p-{person}")));
    }
    let tasks: Vec<String> =
        sqlx::query_scalar("SELECT id FROM task WHERE record IN (SELECT value FROM json_each(?1))")
            .bind(serde_json::Value::from(whose.records.clone()).to_string())
            .fetch_all(readers)
            .await?;
    whose.records.extend(tasks);
    let grants: Vec<String> = sqlx::query_scalar(
        "SELECT id FROM relation_grant WHERE (?1 <> '' AND resident = ?1) \
         OR (?2 <> '' AND card = ?2) OR (?3 <> '' AND born = ?3)",
    )
    .bind(&person.resident)
    .bind(&person.card)
    .bind(&person.born)
    .fetch_all(readers)
    .await?;
    whose.records.extend(grants);
    for list in [&mut whose.records, &mut whose.patients] {
        list.sort_unstable();
        list.dedup();
    }
    Ok(whose)
}

async fn subjects(
    readers: &SqlitePool,
    records: &[String],
) -> Result<Vec<(String, Subject)>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT name, person, coalesce(reading ->> '$.record.patient.name', ''), \
         coalesce(reading ->> '$.record.patient.address.division', ''), \
         coalesce(reading ->> '$.record.patient.address.township', ''), \
         coalesce(reading ->> '$.record.patient.address.village', '') FROM \
         (SELECT name, CASE WHEN resident <> '' THEN resident WHEN card <> '' THEN card \
         WHEN born <> '' THEN born ELSE person END AS person, \
         CASE WHEN json_valid(reading_json) THEN reading_json ELSE '{}' END AS reading \
         FROM document WHERE kind = 'record' AND current = 1 \
         AND name IN (SELECT value FROM json_each(?1)))",
    )
    .bind(serde_json::Value::from(records.to_vec()).to_string())
    .fetch_all(readers)
    .await?;
    rows.iter()
        .map(|row| {
            let division: String = row.try_get(3)?;
            let (township, village): (String, String) = (row.try_get(4)?, row.try_get(5)?);
            // Codes of 12 digits that end in zeros are of a county or township.
            let is_village = division.len() == 12 && !division.ends_with("000");
            let village = match (is_village, village.is_empty()) {
                (true, _) => division,
                (false, false) => format!("{township} {village}"),
                (false, true) => String::new(),
            };
            let subject = Subject { person: row.try_get(1)?, name: row.try_get(2)?, village };
            Ok((row.try_get(0)?, subject))
        })
        .collect()
}

fn entries(rows: &[SqliteRow]) -> Result<Vec<Entry>, Error> {
    rows.iter().map(chain::entry).collect::<Result<_, _>>().map_err(failed)
}

fn alarm(row: &SqliteRow) -> Result<KeptAlarm, sqlx::Error> {
    let kind = AlarmKind::named(row.try_get(2)?).ok_or_else(|| damaged("kind"))?;
    let alarm = Alarm {
        at_ms: row.try_get(1)?,
        kind,
        caller: row.try_get(3)?,
        role: row.try_get(4)?,
        entry: number(row.try_get(5)?),
        persons: number(row.try_get(6)?),
        hours: u32::try_from(row.try_get::<i64, _>(7)?).map_err(|_| damaged("hours"))?,
    };
    Ok(KeptAlarm { number: number(row.try_get(0)?), alarm, closed: None })
}

fn anchor(row: &SqliteRow, node: &str) -> Result<Anchor, sqlx::Error> {
    let array = |place: usize| {
        let bytes: Vec<u8> = row.try_get(place)?;
        bytes.try_into().map_err(|_| damaged("digest"))
    };
    let head = Head { number: number(row.try_get(1)?), sha256: array(2)?, sm3: array(3)? };
    let at_ms = row.try_get(4)?;
    let mark = Mark { node: node.to_owned(), chain: row.try_get(0)?, head, at_ms };
    Ok(Anchor { mark, key: row.try_get(5)?, signature: row.try_get(6)? })
}

fn damaged(column: &str) -> sqlx::Error {
    sqlx::Error::ColumnDecode { index: column.to_owned(), source: "not what it may be".into() }
}

fn failed(error: sqlx::Error) -> Error {
    Error::Unavailable { what: "store", cause: Some(error.into()) }
}
