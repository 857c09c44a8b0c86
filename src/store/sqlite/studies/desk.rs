//! What the one writer works with: a connection that only it uses, and what it remembers.

use sqlx::sqlite::SqliteConnection;
use sqlx::{Connection as _, Row as _};

use super::{add, batch, remove};
use crate::app::error::Cause;
use crate::app::imaging::ports::{IndexCounts, IndexEntry};
use crate::sharing::imaging::object::Digest;
use crate::store::studies::memory::Memory;
use crate::store::studies::packed::count;
use crate::store::studies::queue;

/// See the module.
#[derive(Debug)]
pub(super) struct Desk {
    pub(super) connection: SqliteConnection,
    pub(super) memory: Memory,
}

impl Desk {
    pub(super) async fn new(connection: SqliteConnection) -> Result<Self, sqlx::Error> {
        let mut desk = Self { connection, memory: Memory::default() };
        batch::prepare(&mut desk.connection).await?;
        desk.look_up().await?;
        Ok(desk)
    }

    /// Reads what the memory begins with.
    pub(super) async fn look_up(&mut self) -> Result<(), sqlx::Error> {
        let row = sqlx::query(
            "SELECT patients, studies, series, instances, apart, changes, \
             (SELECT coalesce(max(id), 0) FROM patient), \
             (SELECT coalesce(max(id), 0) FROM study), \
             (SELECT coalesce(max(id), 0) FROM series), \
             (SELECT coalesce(max(id), 0) FROM word) FROM state",
        )
        .fetch_one(&mut self.connection)
        .await?;
        self.memory = Memory {
            counts: IndexCounts {
                patients: count(row.try_get(0)?),
                studies: count(row.try_get(1)?),
                series: count(row.try_get(2)?),
                instances: count(row.try_get(3)?),
                apart: count(row.try_get(4)?),
            },
            changes: row.try_get(5)?,
            last_patient: row.try_get(6)?,
            last_study: row.try_get(7)?,
            last_series: row.try_get(8)?,
            last_word: row.try_get(9)?,
            ..Memory::default()
        };
        Ok(())
    }
}

impl queue::Desk for Desk {
    async fn add(&mut self, entries: Vec<IndexEntry>) -> Result<(), Cause> {
        Ok(add::add(self, entries).await?)
    }

    async fn remove(&mut self, digest: Digest, at_ms: i64) -> Result<(), Cause> {
        remove::remove(self, digest, at_ms).await?;
        Ok(self.look_up().await?)
    }

    async fn clear(&mut self) -> Result<(), Cause> {
        // Numbers of changes go on: who follows them sees everything once more.
        sqlx::raw_sql(
            "BEGIN IMMEDIATE; DELETE FROM name_key; DELETE FROM patient; DELETE FROM study; \
             DELETE FROM series; DELETE FROM instance; DELETE FROM apart; DELETE FROM gone; \
             DELETE FROM word; UPDATE state SET segment = NULL, start = NULL, body = NULL, \
             length = NULL, patients = 0, studies = 0, series = 0, instances = 0, apart = 0; \
             COMMIT",
        )
        .execute(&mut self.connection)
        .await?;
        Ok(self.look_up().await?)
    }

    /// Forgets what a failed transaction may have made untrue.
    async fn recover(&mut self) {
        // Fails when no transaction is open, which is as good.
        let _ = sqlx::raw_sql("ROLLBACK").execute(&mut self.connection).await;
        if let Err(error) = self.look_up().await {
            tracing::warn!(error = %error, "the index of studies cannot be read");
        }
    }

    /// A file stays where it is.
    async fn idle(&mut self) {}

    fn trim(&mut self) {
        self.memory.trim();
    }

    async fn close(self) {
        if let Err(error) = self.connection.close().await {
            tracing::warn!(error = %error, "closing the index of studies");
        }
    }
}
