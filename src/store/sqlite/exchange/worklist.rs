//! The modality worklist and performed procedure steps.

use sqlx::Row as _;
use sqlx::sqlite::{SqliteConnection, SqliteRow};

use super::{ExchangeStore, failed};
use crate::app::error::Error;
use crate::app::imaging::worklist::{Filter, Planned, WorklistStore};
use crate::app::ports::BoxFuture;
use crate::sharing::imaging::element::ElementSet;
use crate::sharing::imaging::performed::{Performed, Progress, Reference};
use crate::sharing::imaging::structure::{Guard, Limits, Syntax, Wanted};
use crate::sharing::imaging::worklist::{Item, State};
use crate::sharing::imaging::writing::write;

/// Explicit VR little endian.
const EXPLICIT: &str = "1.2.840.10008.1.2.1";

impl WorklistStore for ExchangeStore {
    fn put(&self, items: Vec<(Item, String)>, now_ms: i64) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move {
            let mut transaction = self.begin().await?;
            for (item, uid) in items {
                put(&mut transaction, item, uid, now_ms).await?;
            }
            transaction.commit().await.map_err(failed)
        })
    }

    fn cancel(&self, step_ids: Vec<String>, now_ms: i64) -> BoxFuture<'_, Result<u64, Error>> {
        Box::pin(async move {
            let mut transaction = self.begin().await?;
            let mut count = 0;
            for step_id in step_ids {
                let done = sqlx::query(
                    "UPDATE worklist SET state = 4, changed_ms = ?2 \
                     WHERE step_id = ?1 AND state = 0",
                )
                .bind(step_id)
                .bind(now_ms)
                .execute(&mut *transaction)
                .await
                .map_err(failed)?;
                count += done.rows_affected();
            }
            transaction.commit().await.map_err(failed)?;
            Ok(count)
        })
    }

    fn planned(&self, filter: Filter, limit: u32) -> BoxFuture<'_, Result<Vec<Planned>, Error>> {
        Box::pin(async move {
            let rows = sqlx::query(
                "SELECT item, state, performed, changed_ms, study FROM worklist \
                 WHERE (?1 = '' OR start_date >= ?1) AND (?2 = '' OR start_date <= ?2) \
                 AND (NOT ?3 OR state < 2) ORDER BY start_date, start_time, step_id LIMIT ?4",
            )
            .bind(filter.from)
            .bind(filter.to)
            .bind(filter.open)
            .bind(limit)
            .fetch_all(&self.readers)
            .await
            .map_err(failed)?;
            rows.iter().map(planned).collect()
        })
    }

    fn performed<'a>(
        &'a self,
        instance: &'a str,
    ) -> BoxFuture<'a, Result<Option<Performed>, Error>> {
        Box::pin(async move {
            let row = sqlx::query("SELECT progress, elements FROM performed WHERE instance = ?1")
                .bind(instance)
                .fetch_optional(&self.readers)
                .await
                .map_err(failed)?;
            let Some(row) = row else { return Ok(None) };
            let progress: i64 = row.try_get(0).map_err(failed)?;
            let bytes: Vec<u8> = row.try_get(1).map_err(failed)?;
            let progress = match progress {
                1 => Progress::InProgress,
                2 => Progress::Completed,
                _ => Progress::Discontinued,
            };
            let elements = elements(&bytes)?;
            Ok(Some(Performed { instance: instance.to_owned(), progress, elements }))
        })
    }

    fn put_performed(&self, performed: Performed, now_ms: i64) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move {
            let mut transaction = self.begin().await?;
            keep(&mut transaction, &performed, now_ms).await.map_err(failed)?;
            transaction.commit().await.map_err(failed)
        })
    }
}

fn damaged(cause: impl Into<crate::app::error::Cause>) -> Error {
    Error::internal("exchange database", cause)
}

fn elements(bytes: &[u8]) -> Result<ElementSet, Error> {
    let syntax = Syntax::of(EXPLICIT).ok_or_else(|| damaged("no explicit VR"))?;
    let mut guard = Guard::new(syntax, Wanted::All, Limits::default());
    let read = guard.push(bytes).and_then(|()| guard.finish());
    read.map(|facts| facts.captured).map_err(damaged)
}

fn planned(row: &SqliteRow) -> Result<Planned, Error> {
    let json: String = row.try_get(0).map_err(failed)?;
    let mut item: Item = serde_json::from_str(&json).map_err(damaged)?;
    item.study_instance_uid = row.try_get(4).map_err(failed)?;
    let state: i64 = row.try_get(1).map_err(failed)?;
    let state = match state {
        0 => State::Scheduled,
        1 => State::InProgress,
        2 => State::Completed,
        3 => State::Discontinued,
        _ => State::Cancelled,
    };
    Ok(Planned {
        item,
        state,
        performed: row.try_get(2).map_err(failed)?,
        changed_ms: row.try_get(3).map_err(failed)?,
    })
}

async fn put(
    connection: &mut SqliteConnection,
    item: Item,
    uid: String,
    now_ms: i64,
) -> Result<(), Error> {
    let json = serde_json::to_string(&item).map_err(damaged)?;
    let given = item.study_instance_uid;
    sqlx::query(
        "INSERT INTO worklist (step_id, state, start_date, start_time, study, item, created_ms, \
         changed_ms) VALUES (?1, 0, ?2, ?3, CASE ?4 WHEN '' THEN ?5 ELSE ?4 END, ?6, ?7, ?7) \
         ON CONFLICT (step_id) DO UPDATE SET start_date = ?2, start_time = ?3, \
         study = CASE ?4 WHEN '' THEN study ELSE ?4 END, item = ?6, changed_ms = ?7, \
         state = CASE state WHEN 4 THEN 0 ELSE state END",
    )
    .bind(&item.step_id)
    .bind(&item.start_date)
    .bind(&item.start_time)
    .bind(given)
    .bind(uid)
    .bind(json)
    .bind(now_ms)
    .execute(connection)
    .await
    .map_err(failed)?;
    Ok(())
}

async fn keep(
    connection: &mut SqliteConnection,
    performed: &Performed,
    now_ms: i64,
) -> Result<(), sqlx::Error> {
    let progress: i64 = match performed.progress {
        Progress::InProgress => 1,
        Progress::Completed => 2,
        Progress::Discontinued => 3,
    };
    sqlx::query(
        "INSERT INTO performed (instance, progress, elements, created_ms, changed_ms) \
         VALUES (?1, ?2, ?3, ?4, ?4) ON CONFLICT (instance) DO UPDATE SET progress = ?2, \
         elements = ?3, changed_ms = ?4",
    )
    .bind(&performed.instance)
    .bind(progress)
    .bind(write(&performed.elements, true))
    .bind(now_ms)
    .execute(&mut *connection)
    .await?;
    for Reference { step_id, study } in performed.references() {
        // A modality that was given no step id still names the study. What another performed step
        // has ended stays as it is.
        sqlx::query(
            "UPDATE worklist SET state = ?3, performed = ?4, changed_ms = ?5 \
             WHERE (step_id = ?1 AND study = ?2 OR ?1 = '' AND study = ?2) \
             AND (performed = ?4 OR state < 2 OR state = 4)",
        )
        .bind(step_id)
        .bind(study)
        .bind(progress)
        .bind(&performed.instance)
        .bind(now_ms)
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}
