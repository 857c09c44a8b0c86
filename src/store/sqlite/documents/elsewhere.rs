//! What a node knows of a person whose records it looks up elsewhere.

use sqlx::sqlite::SqlitePool;

use crate::sharing::exchange::Kind;

/// Whether this version of a record is here.
pub(super) async fn holds(
    readers: &SqlitePool,
    name: &str,
    version: u32,
) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM document WHERE kind = ?1 AND name = ?2 AND version = ?3)",
    )
    .bind(Kind::Record.name())
    .bind(name)
    .bind(version)
    .fetch_one(readers)
    .await
}
