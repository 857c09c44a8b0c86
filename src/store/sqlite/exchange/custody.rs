//! Legal holds and erasures.

use std::collections::BTreeMap;

use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{QueryBuilder, Row as _, Sqlite};

use super::holdings::{digest_of, list, study_copies};
use super::{ExchangeStore, failed, int, whole};
use crate::app::error::Error;
use crate::app::imaging::custody::{
    Begun, Custody, ErasedBy, ErasedObject, Erasure, Evictions, Hold, HoldQuery, Lifted,
    NewErasure, NewHold, Placed,
};
use crate::app::imaging::holdings::{HeldCopy, StudyCopies};
use crate::app::ports::BoxFuture;
use crate::sharing::imaging::object::{Digest, Location};

/// Rows in one statement; each has seven values.
const ROWS_MAX: usize = 500;

impl Custody for ExchangeStore {
    fn place(&self, hold: NewHold) -> BoxFuture<'_, Result<Placed, Error>> {
        Box::pin(async move {
            let mut transaction = self.begin().await?;
            let placed = place(&mut transaction, &hold).await.map_err(failed)?;
            transaction.commit().await.map_err(failed)?;
            Ok(placed)
        })
    }

    fn lift<'a>(
        &'a self,
        id: &'a str,
        lifted: Lifted,
    ) -> BoxFuture<'a, Result<Option<Hold>, Error>> {
        Box::pin(async move {
            sqlx::query(
                "UPDATE hold SET lifted_by = ?2, lifted_ms = ?3, lift_reason = ?4 \
                 WHERE id = ?1 AND lifted_ms IS NULL",
            )
            .bind(id)
            .bind(&lifted.by)
            .bind(lifted.at_ms)
            .bind(&lifted.reason)
            .execute(&self.writer)
            .await
            .map_err(failed)?;
            let row = sqlx::query(
                "SELECT seq, id, study, reason, placed_by, placed_ms, lifted_by, lifted_ms, \
                 lift_reason FROM hold WHERE id = ?",
            )
            .bind(id)
            .fetch_optional(&self.readers)
            .await
            .map_err(failed)?;
            row.as_ref().map(hold).transpose().map_err(failed)
        })
    }

    fn holds(&self, query: HoldQuery) -> BoxFuture<'_, Result<Vec<Hold>, Error>> {
        Box::pin(async move {
            let rows = sqlx::query(
                "SELECT seq, id, study, reason, placed_by, placed_ms, lifted_by, lifted_ms, \
                 lift_reason FROM hold WHERE (?1 IS NULL OR study = ?1) \
                 AND (NOT ?2 OR lifted_ms IS NULL) AND (?3 IS NULL OR seq < ?3) AND (?5 IS NULL OR id = ?5) \
                 ORDER BY seq DESC LIMIT ?4",
            )
            .bind(query.study)
            .bind(query.standing)
            .bind(query.before_seq)
            .bind(query.limit)
            .bind(query.id)
            .fetch_all(&self.readers)
            .await
            .map_err(failed)?;
            rows.iter().map(hold).collect::<Result<_, _>>().map_err(failed)
        })
    }

    fn begin(&self, erasure: NewErasure) -> BoxFuture<'_, Result<Begun, Error>> {
        Box::pin(async move {
            let mut transaction = ExchangeStore::begin(self).await?;
            let begun = begin(&mut transaction, erasure).await.map_err(failed)?;
            transaction.commit().await.map_err(failed)?;
            Ok(begun)
        })
    }

    fn still_copies(&self, digests: Vec<Digest>) -> BoxFuture<'_, Result<Vec<Digest>, Error>> {
        Box::pin(async move {
            let mut still = Vec::new();
            for digests in digests.chunks(ROWS_MAX) {
                let mut sql = QueryBuilder::<Sqlite>::new(
                    "SELECT digest FROM copy WHERE own = 0 AND digest IN (",
                );
                list(&mut sql, digests);
                let rows = sql.build().fetch_all(&self.readers).await.map_err(failed)?;
                for row in &rows {
                    still.push(digest_of(row, 0).map_err(failed)?);
                }
            }
            Ok(still)
        })
    }

    fn did(&self, number: i64, digests: Vec<Digest>) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move {
            let mut transaction = ExchangeStore::begin(self).await?;
            for digests in digests.chunks(ROWS_MAX) {
                let mut sql =
                    QueryBuilder::<Sqlite>::new("UPDATE erased SET done = 1 WHERE erasure = ");
                sql.push_bind(number).push(" AND digest IN (");
                list(&mut sql, digests);
                sql.build().execute(&mut *transaction).await.map_err(failed)?;
                let mut sql = QueryBuilder::<Sqlite>::new("DELETE FROM copy WHERE digest IN (");
                list(&mut sql, digests);
                sql.build().execute(&mut *transaction).await.map_err(failed)?;
            }
            transaction.commit().await.map_err(failed)
        })
    }

    fn finish(&self, number: i64, at_ms: i64) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move {
            let mut transaction = ExchangeStore::begin(self).await?;
            finish(&mut transaction, number, at_ms).await.map_err(failed)?;
            transaction.commit().await.map_err(failed)
        })
    }

    fn unfinished(&self) -> BoxFuture<'_, Result<Vec<Erasure>, Error>> {
        Box::pin(async move { self.all_unfinished().await.map_err(failed) })
    }

    fn lately_erased(&self) -> BoxFuture<'_, Result<Vec<ErasedObject>, Error>> {
        Box::pin(async move {
            let rows = sqlx::query(
                "SELECT digest, instance, segment, offset, body, length FROM erased WHERE done = 1",
            )
            .fetch_all(&self.readers)
            .await
            .map_err(failed)?;
            rows.iter().map(object).collect::<Result<_, _>>().map_err(failed)
        })
    }

    fn prune(&self, before_ms: i64) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move {
            let due: Option<i64> =
                sqlx::query_scalar("SELECT 1 FROM erasure WHERE done_ms < ? LIMIT 1")
                    .bind(before_ms)
                    .fetch_optional(&self.readers)
                    .await
                    .map_err(failed)?;
            if due.is_none() {
                return Ok(());
            }
            let mut transaction = ExchangeStore::begin(self).await?;
            for sql in [
                "DELETE FROM erased WHERE erasure IN \
                 (SELECT seq FROM erasure WHERE done_ms < ?)",
                "DELETE FROM erasure WHERE done_ms < ? AND caller = ''",
            ] {
                sqlx::query(sql)
                    .bind(before_ms)
                    .execute(&mut *transaction)
                    .await
                    .map_err(failed)?;
            }
            transaction.commit().await.map_err(failed)
        })
    }

    fn least_used(
        &self,
        offset: u64,
        limit: u64,
    ) -> BoxFuture<'_, Result<Vec<StudyCopies>, Error>> {
        Box::pin(async move {
            let rows = sqlx::query(
                "SELECT s.study, s.objects, s.bytes, s.used_ms, 0, '' FROM copied_study s \
                 WHERE NOT EXISTS \
                 (SELECT 1 FROM hold h WHERE h.study = s.study AND h.lifted_ms IS NULL) \
                 ORDER BY s.used_ms, s.study LIMIT ?2 OFFSET ?1",
            )
            .bind(int(offset))
            .bind(int(limit))
            .fetch_all(&self.readers)
            .await
            .map_err(failed)?;
            rows.iter().map(study_copies).collect::<Result<_, _>>().map_err(failed)
        })
    }

    fn copies(&self, study: String) -> BoxFuture<'_, Result<Vec<HeldCopy>, Error>> {
        Box::pin(async move {
            let rows = sqlx::query(
                "SELECT digest, instance, node, bytes, apart, kept_ms FROM copy \
                 WHERE study = ? AND own = 0",
            )
            .bind(&study)
            .fetch_all(&self.readers)
            .await
            .map_err(failed)?;
            let read = |row: &SqliteRow| {
                Ok(HeldCopy {
                    digest: digest_of(row, 0)?,
                    study: study.clone(),
                    instance: row.try_get(1)?,
                    node: row.try_get(2)?,
                    bytes: whole(row.try_get(3)?),
                    apart: row.try_get(4)?,
                    kept_ms: row.try_get(5)?,
                })
            };
            rows.iter().map(read).collect::<Result<_, _>>().map_err(failed)
        })
    }

    fn evictions(&self) -> BoxFuture<'_, Result<Evictions, Error>> {
        Box::pin(async move {
            let row = sqlx::query("SELECT studies, objects, bytes FROM eviction_tally")
                .fetch_one(&self.readers)
                .await
                .map_err(failed)?;
            let number = |at: usize| row.try_get::<i64, _>(at).map(whole).map_err(failed);
            Ok(Evictions { studies: number(0)?, objects: number(1)?, bytes: number(2)? })
        })
    }
}

impl ExchangeStore {
    async fn all_unfinished(&self) -> Result<Vec<Erasure>, sqlx::Error> {
        let rows = sqlx::query(
            "SELECT seq, study, patient_id, caller, role, reason FROM erasure \
             WHERE done_ms IS NULL ORDER BY seq",
        )
        .fetch_all(&self.readers)
        .await?;
        let mut erasures: BTreeMap<i64, Erasure> = BTreeMap::new();
        for row in &rows {
            let name: String = row.try_get(3)?;
            let by = if name.is_empty() {
                ErasedBy::Quota
            } else {
                ErasedBy::Caller { name, role: row.try_get(4)?, reason: row.try_get(5)? }
            };
            let number = row.try_get(0)?;
            let (study, patient_id) = (row.try_get(1)?, row.try_get(2)?);
            let erasure = Erasure { number, study, patient_id, by, objects: Vec::new() };
            erasures.insert(number, erasure);
        }
        if !erasures.is_empty() {
            let rows = sqlx::query(
                "SELECT digest, instance, segment, offset, body, length, erasure FROM erased \
                 WHERE done = 0 AND erasure IN (SELECT seq FROM erasure WHERE done_ms IS NULL)",
            )
            .fetch_all(&self.readers)
            .await?;
            for row in &rows {
                if let Some(erasure) = erasures.get_mut(&row.try_get(6)?) {
                    erasure.objects.push(object(row)?);
                }
            }
        }
        Ok(erasures.into_values().collect())
    }
}

async fn place(connection: &mut SqliteConnection, new: &NewHold) -> Result<Placed, sqlx::Error> {
    let erasing: Option<i64> =
        sqlx::query_scalar("SELECT 1 FROM erasure WHERE study = ? AND done_ms IS NULL LIMIT 1")
            .bind(&new.study)
            .fetch_optional(&mut *connection)
            .await?;
    if erasing.is_some() {
        return Ok(Placed::Erasing);
    }
    sqlx::query(
        "INSERT INTO hold (id, study, reason, placed_by, placed_ms) SELECT ?1, ?2, ?3, ?4, ?5 \
         WHERE NOT EXISTS (SELECT 1 FROM hold WHERE study = ?2 AND reason = ?3 \
         AND placed_by = ?4 AND lifted_ms IS NULL)",
    )
    .bind(&new.id)
    .bind(&new.study)
    .bind(&new.reason)
    .bind(&new.by)
    .bind(new.at_ms)
    .execute(&mut *connection)
    .await?;
    let row = sqlx::query(
        "SELECT seq, id, study, reason, placed_by, placed_ms, lifted_by, lifted_ms, lift_reason \
         FROM hold WHERE study = ? AND reason = ? AND placed_by = ? AND lifted_ms IS NULL",
    )
    .bind(&new.study)
    .bind(&new.reason)
    .bind(&new.by)
    .fetch_one(connection)
    .await?;
    hold(&row).map(Placed::Stands)
}

async fn begin(connection: &mut SqliteConnection, new: NewErasure) -> Result<Begun, sqlx::Error> {
    let held: Option<String> = sqlx::query_scalar(
        "SELECT id FROM hold WHERE study = ? AND lifted_ms IS NULL ORDER BY seq LIMIT 1",
    )
    .bind(&new.study)
    .fetch_optional(&mut *connection)
    .await?;
    if let Some(id) = held {
        return Ok(Begun::Held(id));
    }
    let NewErasure { study, patient_id, by, at_ms, objects } = new;
    let (name, role, reason) = match &by {
        ErasedBy::Caller { name, role, reason } => (name.as_str(), role.as_str(), reason.as_str()),
        ErasedBy::Quota => ("", "", ""),
    };
    let lengths = objects.iter().filter_map(|o| o.location).map(|l| l.length);
    let bytes = lengths.fold(0, u64::saturating_add);
    let number: i64 = sqlx::query_scalar(
        "INSERT INTO erasure (study, patient_id, caller, role, reason, begun_ms, objects, bytes) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?) RETURNING seq",
    )
    .bind(&study)
    .bind(&patient_id)
    .bind(name)
    .bind(role)
    .bind(reason)
    .bind(at_ms)
    .bind(int(u64::try_from(objects.len()).unwrap_or(u64::MAX)))
    .bind(int(bytes))
    .fetch_one(&mut *connection)
    .await?;
    for rows in objects.chunks(ROWS_MAX) {
        let mut sql = QueryBuilder::<Sqlite>::new(
            "INSERT INTO erased (erasure, digest, instance, segment, offset, body, length) ",
        );
        sql.push_values(rows, |mut row, object| {
            let at = object.location;
            row.push_bind(number)
                .push_bind(object.digest.0.to_vec())
                .push_bind(&object.instance)
                .push_bind(at.map(|l| int(l.segment)))
                .push_bind(int(at.map_or(0, |l| l.offset)))
                .push_bind(int(at.map_or(0, |l| l.body)))
                .push_bind(int(at.map_or(0, |l| l.length)));
        });
        sql.push(" ON CONFLICT DO NOTHING");
        sql.build().execute(&mut *connection).await?;
    }
    Ok(Begun::Open(Erasure { number, study, patient_id, by, objects }))
}

async fn finish(
    connection: &mut SqliteConnection,
    number: i64,
    at_ms: i64,
) -> Result<(), sqlx::Error> {
    let row = sqlx::query(
        "UPDATE erasure SET done_ms = ?2 WHERE seq = ?1 AND done_ms IS NULL RETURNING caller",
    )
    .bind(number)
    .bind(at_ms)
    .fetch_optional(&mut *connection)
    .await?;
    let Some(row) = row else { return Ok(()) };
    if row.try_get::<String, _>(0)?.is_empty() {
        sqlx::query(
            "UPDATE eviction_tally SET studies = studies + 1, \
             objects = objects + (SELECT count(*) FROM erased WHERE erasure = ?1 AND done = 1), \
             bytes = bytes + (SELECT coalesce(sum(length), 0) FROM erased \
             WHERE erasure = ?1 AND done = 1)",
        )
        .bind(number)
        .execute(connection)
        .await?;
    }
    Ok(())
}

fn hold(row: &SqliteRow) -> Result<Hold, sqlx::Error> {
    let at_ms: Option<i64> = row.try_get(7)?;
    let lifted = match at_ms {
        None => None,
        Some(at_ms) => Some(Lifted { by: row.try_get(6)?, at_ms, reason: row.try_get(8)? }),
    };
    Ok(Hold {
        seq: row.try_get(0)?,
        id: row.try_get(1)?,
        study: row.try_get(2)?,
        reason: row.try_get(3)?,
        placed_by: row.try_get(4)?,
        placed_ms: row.try_get(5)?,
        lifted,
    })
}

fn object(row: &SqliteRow) -> Result<ErasedObject, sqlx::Error> {
    let segment: Option<i64> = row.try_get(2)?;
    let (offset, body, length) = (row.try_get(3)?, row.try_get(4)?, row.try_get(5)?);
    let location = segment.map(|segment| Location {
        segment: whole(segment),
        offset: whole(offset),
        body: whole(body),
        length: whole(length),
    });
    Ok(ErasedObject { digest: digest_of(row, 0)?, instance: row.try_get(1)?, location })
}
