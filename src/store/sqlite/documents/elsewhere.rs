//! What a node knows of a person whose records it looks up elsewhere.

use sqlx::sqlite::SqlitePool;

use crate::app::records::ports::TakenBack;
use crate::sharing::exchange::Kind;

/// What persons took back.
pub(super) async fn withdrawals(
    readers: &SqlitePool,
    persons: &[String],
) -> Result<Vec<TakenBack>, sqlx::Error> {
    let mut all = Vec::new();
    for person in persons {
        let found: Vec<(String, i64, Option<i64>)> = sqlx::query_as(
            "SELECT record, from_ms, until_ms FROM consent_withdrawal WHERE person = ?1 ORDER BY seq",
        )
        .bind(person)
        .fetch_all(readers)
        .await?;
        all.extend(found.into_iter().map(|(record, from_ms, until_ms)| TakenBack {
            record,
            from_ms,
            until_ms,
        }));
    }
    Ok(all)
}

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
