//! How far models that run by themselves have come in the change feed.

use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use super::{ExchangeStore, failed, int, whole};
use crate::app::error::Error;
use crate::app::imaging::forwarding::Cursor;
use crate::app::imaging::models::AnalysisStore;
use crate::app::ports::BoxFuture;

impl AnalysisStore for ExchangeStore {
    fn cursor(&self) -> BoxFuture<'_, Result<Option<Cursor>, Error>> {
        Box::pin(async move {
            let row = sqlx::query("SELECT number, instance, at_ms FROM analysis_cursor")
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

    fn advance(&self, cursor: Cursor) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move {
            sqlx::query(
                "INSERT INTO analysis_cursor (one, number, instance, at_ms) VALUES (1, ?1, ?2, ?3) \
                 ON CONFLICT (one) DO UPDATE SET number = ?1, instance = ?2, at_ms = ?3",
            )
            .bind(int(cursor.number))
            .bind(&cursor.instance)
            .bind(cursor.at_ms)
            .execute(&self.writer)
            .await
            .map_err(failed)?;
            Ok(())
        })
    }
}
