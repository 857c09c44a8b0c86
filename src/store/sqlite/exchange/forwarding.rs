//! The queue of forwarding.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{QueryBuilder, Row as _, Sqlite};

use super::{ExchangeStore, failed, int, whole};
use crate::app::error::Error;
use crate::app::imaging::forwarding::{
    Counts, Cursor, Entry, EntryState, ForwardingStore, ListedEntry, NewEntry, Outcome,
};
use crate::app::ports::BoxFuture;
use crate::sharing::imaging::object::Digest;

/// Entries in one statement; each has twelve values.
const ROWS_MAX: usize = 500;
/// How many times its delay an entry may wait for its study.
const DELAYS_MAX: i64 = 10;

impl ForwardingStore for ExchangeStore {
    fn cursor(&self) -> BoxFuture<'_, Result<Option<Cursor>, Error>> {
        Box::pin(async move {
            let row = sqlx::query("SELECT number, instance, at_ms FROM forward_cursor")
                .fetch_optional(&self.readers)
                .await
                .map_err(failed)?;
            let read = |row: SqliteRow| {
                Ok(Cursor {
                    number: whole(row.try_get(0)?),
                    instance: row.try_get(1)?,
                    at_ms: row.try_get(2)?,
                })
            };
            row.map(read).transpose().map_err(failed)
        })
    }

    fn add(&self, entries: Vec<NewEntry>, cursor: Cursor) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move {
            let mut transaction = self.begin().await?;
            add(&mut transaction, &entries).await.map_err(failed)?;
            sqlx::query(
                "INSERT INTO forward_cursor (one, number, instance, at_ms) VALUES (1, ?1, ?2, ?3) \
                 ON CONFLICT (one) DO UPDATE SET number = ?1, instance = ?2, at_ms = ?3",
            )
            .bind(int(cursor.number))
            .bind(&cursor.instance)
            .bind(cursor.at_ms)
            .execute(&mut *transaction)
            .await
            .map_err(failed)?;
            transaction.commit().await.map_err(failed)
        })
    }

    fn take<'a>(
        &'a self,
        destination: &'a str,
        shut: &'a [String],
        now_ms: i64,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<Entry>, Error>> {
        Box::pin(async move { self.taken(destination, shut, now_ms, limit).await.map_err(failed) })
    }

    fn record<'a>(
        &'a self,
        destination: &'a str,
        outcomes: Vec<(i64, Outcome)>,
        now_ms: i64,
    ) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            let mut transaction = self.begin().await?;
            let tally = record(&mut transaction, &outcomes, now_ms).await.map_err(failed)?;
            tally.add(&mut transaction, destination).await.map_err(failed)?;
            transaction.commit().await.map_err(failed)
        })
    }

    fn release(&self) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move {
            sqlx::query("UPDATE forward SET state = 0 WHERE state = 1")
                .execute(&self.writer)
                .await
                .map_err(failed)?;
            Ok(())
        })
    }

    fn counts(&self) -> BoxFuture<'_, Result<BTreeMap<String, Counts>, Error>> {
        Box::pin(async move { self.counted().await.map_err(failed) })
    }

    fn list<'a>(
        &'a self,
        destination: Option<&'a str>,
        state: EntryState,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<ListedEntry>, Error>> {
        Box::pin(async move {
            let rows = sqlx::query(
                "SELECT destination, rule, instance, study, tries, reason FROM forward \
                 WHERE state = ?1 AND (?2 IS NULL OR destination = ?2) ORDER BY id LIMIT ?3",
            )
            .bind(number(state))
            .bind(destination)
            .bind(limit)
            .fetch_all(&self.readers)
            .await
            .map_err(failed)?;
            let read = |row: &SqliteRow| {
                Ok(ListedEntry {
                    destination: row.try_get(0)?,
                    rule: row.try_get(1)?,
                    instance: row.try_get(2)?,
                    study: row.try_get(3)?,
                    state,
                    tries: row.try_get(4)?,
                    reason: row.try_get(5)?,
                })
            };
            rows.iter().map(read).collect::<Result<_, _>>().map_err(failed)
        })
    }

    fn retry<'a>(
        &'a self,
        destination: Option<&'a str>,
        now_ms: i64,
    ) -> BoxFuture<'a, Result<u64, Error>> {
        Box::pin(async move {
            let done = sqlx::query(
                "UPDATE forward SET state = 0, tries = 0, ready_ms = ?2, changed_ms = ?2 \
                 WHERE (state = 3 OR state = 0 AND tries > 0) \
                 AND (?1 IS NULL OR destination = ?1)",
            )
            .bind(destination)
            .bind(now_ms)
            .execute(&self.writer)
            .await
            .map_err(failed)?;
            Ok(done.rows_affected())
        })
    }

    fn forget<'a>(
        &'a self,
        destination: &'a str,
        waiting_too: bool,
    ) -> BoxFuture<'a, Result<u64, Error>> {
        Box::pin(async move {
            let done = sqlx::query(
                "DELETE FROM forward WHERE destination = ?1 AND (state = 3 OR ?2 AND state = 0)",
            )
            .bind(destination)
            .bind(waiting_too)
            .execute(&self.writer)
            .await
            .map_err(failed)?;
            Ok(done.rows_affected())
        })
    }

    fn prune(&self, before_ms: i64) -> BoxFuture<'_, Result<u64, Error>> {
        Box::pin(async move {
            let done = sqlx::query("DELETE FROM forward WHERE state = 2 AND changed_ms < ?1")
                .bind(before_ms)
                .execute(&self.writer)
                .await
                .map_err(failed)?;
            Ok(done.rows_affected())
        })
    }
}

impl ExchangeStore {
    async fn taken(
        &self,
        destination: &str,
        shut: &[String],
        now_ms: i64,
        limit: u32,
    ) -> Result<Vec<Entry>, sqlx::Error> {
        let mut sql = QueryBuilder::<Sqlite>::new("SELECT id FROM forward WHERE destination = ");
        sql.push_bind(destination).push(" AND state = 0 AND ready_ms <= ").push_bind(now_ms);
        if !shut.is_empty() {
            sql.push(" AND rule NOT IN (");
            let mut list = sql.separated(", ");
            for rule in shut {
                list.push_bind(rule);
            }
            sql.push(")");
        }
        sql.push(" ORDER BY ready_ms, id LIMIT ").push_bind(limit);
        // Looking does not need the writer, and mostly nothing is there.
        let ids: Vec<i64> = sql.build_query_scalar().fetch_all(&self.readers).await?;
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let mut sql = QueryBuilder::<Sqlite>::new("UPDATE forward SET state = 1, changed_ms = ");
        sql.push_bind(now_ms).push(" WHERE state = 0 AND id IN (");
        let mut list = sql.separated(", ");
        for id in ids {
            list.push_bind(id);
        }
        sql.push(") RETURNING id, rule, digest, instance, study, patient_id, tries");
        let rows = sql.build().fetch_all(&self.writer).await?;
        let mut entries = rows.iter().map(entry).collect::<Result<Vec<_>, _>>()?;
        entries.sort_by_key(|entry| entry.id);
        Ok(entries)
    }

    async fn counted(&self) -> Result<BTreeMap<String, Counts>, sqlx::Error> {
        let mut all: BTreeMap<String, Counts> = BTreeMap::new();
        let rows = sqlx::query(
            "SELECT destination, state, count(*), sum(bytes), min(queued_ms) FROM forward \
             WHERE state <> 2 GROUP BY destination, state",
        )
        .fetch_all(&self.readers)
        .await?;
        for row in &rows {
            let counts = all.entry(row.try_get(0)?).or_default();
            let count = whole(row.try_get(2)?);
            let oldest: i64 = row.try_get(4)?;
            let state: i64 = row.try_get(1)?;
            match state {
                0 => (counts.waiting, counts.waiting_bytes) = (count, whole(row.try_get(3)?)),
                1 => counts.sending = count,
                _ => counts.parked = count,
            }
            if state < 2 {
                let so_far = counts.oldest_queued_ms.unwrap_or(oldest);
                counts.oldest_queued_ms = Some(so_far.min(oldest));
            }
        }
        let rows = sqlx::query(
            "SELECT destination, sent, sent_bytes, warned, failed, reason FROM forward_tally",
        )
        .fetch_all(&self.readers)
        .await?;
        for row in &rows {
            let counts = all.entry(row.try_get(0)?).or_default();
            counts.sent = whole(row.try_get(1)?);
            counts.sent_bytes = whole(row.try_get(2)?);
            counts.warned = whole(row.try_get(3)?);
            counts.failed = whole(row.try_get(4)?);
            counts.reason = row.try_get(5)?;
        }
        Ok(all)
    }
}

fn number(state: EntryState) -> i64 {
    match state {
        EntryState::Waiting => 0,
        EntryState::Sending => 1,
        EntryState::Sent => 2,
        EntryState::Parked => 3,
    }
}

fn entry(row: &SqliteRow) -> Result<Entry, sqlx::Error> {
    let digest: Vec<u8> = row.try_get(2)?;
    let digest = digest.try_into().map(Digest).map_err(|_| sqlx::Error::ColumnDecode {
        index: "digest".to_owned(),
        source: "not 32 bytes".into(),
    })?;
    Ok(Entry {
        id: row.try_get(0)?,
        rule: row.try_get(1)?,
        digest,
        instance: row.try_get(3)?,
        study: row.try_get(4)?,
        patient_id: row.try_get(5)?,
        tries: row.try_get(6)?,
    })
}

async fn add(connection: &mut SqliteConnection, entries: &[NewEntry]) -> Result<(), sqlx::Error> {
    for rows in entries.chunks(ROWS_MAX) {
        let mut sql = QueryBuilder::<Sqlite>::new(
            "INSERT INTO forward (destination, rule, digest, instance, study, patient_id, bytes, \
             queued_ms, ready_ms, delay_ms, changed_ms) ",
        );
        sql.push_values(rows, |mut row, entry| {
            row.push_bind(&entry.destination)
                .push_bind(&entry.rule)
                .push_bind(entry.digest.0.as_slice())
                .push_bind(&entry.instance)
                .push_bind(&entry.study)
                .push_bind(&entry.patient_id)
                .push_bind(int(entry.bytes))
                .push_bind(entry.queued_ms)
                .push_bind(entry.queued_ms.saturating_add(entry.delay_ms))
                .push_bind(entry.delay_ms)
                .push_bind(entry.queued_ms);
        });
        sql.push(" ON CONFLICT (destination, digest) DO NOTHING");
        sql.build().execute(&mut *connection).await?;
    }
    let studies: BTreeSet<(&str, &str, i64)> = entries
        .iter()
        .filter(|entry| entry.delay_ms > 0)
        .map(|entry| (entry.destination.as_str(), entry.study.as_str(), entry.queued_ms))
        .collect();
    for (destination, study, now_ms) in studies {
        sqlx::query(
            "UPDATE forward SET ready_ms = min(?3 + delay_ms, queued_ms + ?4 * delay_ms) \
             WHERE destination = ?1 AND study = ?2 AND state = 0 AND delay_ms > 0 AND tries = 0",
        )
        .bind(destination)
        .bind(study)
        .bind(now_ms)
        .bind(DELAYS_MAX)
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

/// What is added to the counts of a destination.
#[derive(Debug, Default)]
struct Tally {
    sent: u64,
    sent_bytes: u64,
    warned: u64,
    failed: u64,
    reason: Option<String>,
}

impl Tally {
    async fn add(
        self,
        connection: &mut SqliteConnection,
        destination: &str,
    ) -> Result<(), sqlx::Error> {
        if self.sent == 0 && self.failed == 0 {
            return Ok(());
        }
        sqlx::query(
            "INSERT INTO forward_tally (destination, sent, sent_bytes, warned, failed, reason) \
             VALUES (?1, ?2, ?3, ?4, ?5, coalesce(?6, '')) \
             ON CONFLICT (destination) DO UPDATE SET sent = sent + ?2, \
             sent_bytes = sent_bytes + ?3, warned = warned + ?4, failed = failed + ?5, \
             reason = coalesce(?6, reason)",
        )
        .bind(destination)
        .bind(int(self.sent))
        .bind(int(self.sent_bytes))
        .bind(int(self.warned))
        .bind(int(self.failed))
        .bind(self.reason)
        .execute(connection)
        .await?;
        Ok(())
    }
}

async fn record(
    connection: &mut SqliteConnection,
    outcomes: &[(i64, Outcome)],
    now_ms: i64,
) -> Result<Tally, sqlx::Error> {
    let mut tally = Tally::default();
    for (id, outcome) in outcomes {
        let query = match outcome {
            Outcome::Sent { bytes, warning } => {
                tally.sent += 1;
                tally.sent_bytes = tally.sent_bytes.saturating_add(*bytes);
                tally.warned += u64::from(!warning.is_empty());
                sqlx::query(
                    "UPDATE forward SET state = 2, reason = ?2, changed_ms = ?3 \
                     WHERE id = ?1 AND state = 1",
                )
                .bind(id)
                .bind(warning)
                .bind(now_ms)
            }
            Outcome::Refused { reason, again_ms } => {
                tally.failed += 1;
                tally.reason = Some(reason.clone());
                sqlx::query(
                    "UPDATE forward SET state = 0, tries = tries + 1, reason = ?2, \
                     changed_ms = ?3, ready_ms = ?4 WHERE id = ?1 AND state = 1",
                )
                .bind(id)
                .bind(reason)
                .bind(now_ms)
                .bind(again_ms)
            }
            Outcome::Parked { reason } => {
                tally.failed += 1;
                tally.reason = Some(reason.clone());
                sqlx::query(
                    "UPDATE forward SET state = 3, tries = tries + 1, reason = ?2, \
                     changed_ms = ?3 WHERE id = ?1 AND state = 1",
                )
                .bind(id)
                .bind(reason)
                .bind(now_ms)
            }
            Outcome::Untried => {
                sqlx::query("UPDATE forward SET state = 0 WHERE id = ?1 AND state = 1").bind(id)
            }
            Outcome::Gone => {
                sqlx::query("DELETE FROM forward WHERE id = ?1 AND state = 1").bind(id)
            }
        };
        query.execute(&mut *connection).await?;
    }
    Ok(tally)
}
