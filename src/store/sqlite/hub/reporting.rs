//! What nodes told and when they were connected, beside the documents of a hub.

use sqlx::sqlite::SqlitePool;

use crate::app::error::Error;
use crate::app::ports::BoxFuture;
use crate::app::reporting::ports::{Heard, KeptTelling, Present, ReportingStore};
use crate::sharing::reporting::{Month, Site};
use crate::store::hub::failed;
use crate::store::hub::reporting::{PresentRow, ToldRow, heard, numbers, present, telling};
use crate::store::sqlite::{Database, pools};

/// Connections that only read.
const READERS_MAX: u32 = 2;

/// Reporting in a hub's database.
#[derive(Debug)]
pub struct HubReporting {
    readers: SqlitePool,
    writer: SqlitePool,
}

impl HubReporting {
    /// Over a database, which [`super::HubStore::open`] has brought up to date.
    pub fn open(database: impl Into<Database>) -> Self {
        let (readers, writer) = pools(database, READERS_MAX);
        Self { readers, writer }
    }

    async fn kept(&self, kept: KeptTelling) -> Result<Heard, Error> {
        let KeptTelling { node, telling, at_ms } = kept;
        let numbers = numbers(&telling).map_err(|e| Error::internal("store of reporting", e))?;
        let month = telling.month.to_string();
        let mut transaction = self.writer.begin_with("BEGIN IMMEDIATE").await.map_err(failed)?;
        let done = sqlx::query(
            "INSERT INTO told (node, place, month, revision, at_ms, numbers) \
             SELECT ?1, ?2, ?3, ?4, ?5, ?6 WHERE NOT EXISTS (SELECT 1 FROM told \
             WHERE node = ?1 AND place = ?2 AND month = ?3 AND revision >= ?4)",
        )
        .bind(&node)
        .bind(&telling.place)
        .bind(&month)
        .bind(i64::from(telling.revision))
        .bind(at_ms)
        .bind(&numbers)
        .execute(&mut *transaction)
        .await
        .map_err(failed)?;
        let newest = sqlx::query_as(
            "SELECT revision, numbers FROM told WHERE node = ?1 AND place = ?2 AND month = ?3 \
             ORDER BY revision DESC LIMIT 1",
        )
        .bind(&node)
        .bind(&telling.place)
        .bind(&month)
        .fetch_optional(&mut *transaction)
        .await
        .map_err(failed)?;
        transaction.commit().await.map_err(failed)?;
        Ok(heard(done.rows_affected() == 1, newest, (telling.revision, &numbers)))
    }

    async fn noted(&self, seen: &[(Present, i64)]) -> Result<(), sqlx::Error> {
        let mut transaction = self.writer.begin_with("BEGIN IMMEDIATE").await?;
        for (present, first_ms) in seen {
            sqlx::query(
                "INSERT INTO site (node, place, since_ms) VALUES (?1, ?2, ?3) \
                 ON CONFLICT (node) DO UPDATE SET place = excluded.place, \
                 since_ms = min(since_ms, excluded.since_ms)",
            )
            .bind(&present.node)
            .bind(&present.place)
            .bind(first_ms)
            .execute(&mut *transaction)
            .await?;
            sqlx::query(
                "INSERT INTO presence (day_ms, node, hours) VALUES (?1, ?2, ?3) \
                 ON CONFLICT (day_ms, node) DO UPDATE SET hours = hours | excluded.hours",
            )
            .bind(present.day_ms)
            .bind(&present.node)
            .bind(i64::from(present.hours))
            .execute(&mut *transaction)
            .await?;
        }
        transaction.commit().await
    }
}

impl ReportingStore for HubReporting {
    fn keep(&self, telling: KeptTelling) -> BoxFuture<'_, Result<Heard, Error>> {
        Box::pin(self.kept(telling))
    }

    fn known(&self, month: Month, at_ms: i64) -> BoxFuture<'_, Result<Vec<KeptTelling>, Error>> {
        Box::pin(async move {
            let rows: Vec<ToldRow> = sqlx::query_as(
                "SELECT node, place, month, revision, at_ms, numbers FROM told t \
                 WHERE month = ?1 AND at_ms <= ?2 AND revision = (SELECT max(revision) FROM told o \
                 WHERE o.month = t.month AND o.node = t.node AND o.place = t.place \
                 AND o.at_ms <= ?2) ORDER BY node, place",
            )
            .bind(month.to_string())
            .bind(at_ms)
            .fetch_all(&self.readers)
            .await
            .map_err(failed)?;
            rows.into_iter().map(telling).collect::<Result<_, _>>().map_err(failed)
        })
    }

    fn present(&self, seen: Vec<(Present, i64)>) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move { self.noted(&seen).await.map_err(failed) })
    }

    fn sites(&self) -> BoxFuture<'_, Result<Vec<Site>, Error>> {
        Box::pin(async move {
            let rows: Vec<(String, String, i64)> =
                sqlx::query_as("SELECT node, place, since_ms FROM site ORDER BY node")
                    .fetch_all(&self.readers)
                    .await
                    .map_err(failed)?;
            let site = |(node, place, since_ms)| Site { node, place, since_ms };
            Ok(rows.into_iter().map(site).collect())
        })
    }

    fn presence(&self, from_ms: i64, to_ms: i64) -> BoxFuture<'_, Result<Vec<Present>, Error>> {
        Box::pin(async move {
            let rows: Vec<PresentRow> = sqlx::query_as(
                "SELECT p.node, s.place, p.day_ms, p.hours FROM presence p \
                 JOIN site s ON s.node = p.node WHERE p.day_ms >= ?1 AND p.day_ms < ?2 \
                 ORDER BY p.day_ms, p.node",
            )
            .bind(from_ms)
            .bind(to_ms)
            .fetch_all(&self.readers)
            .await
            .map_err(failed)?;
            Ok(rows.into_iter().map(present).collect())
        })
    }
}
