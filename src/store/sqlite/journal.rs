//! The journal port over `SQLite`.

use serde_json::json;
use sqlx::Row as _;

use super::writer::{Actor, kept, kind_name};
use super::{MIGRATIONS, SqliteStore};
use crate::app::access::Permit;
use crate::app::error::Error;
use crate::app::ports::{
    Appended, AuditEntry, BoxFuture, Journal, JournalInfo, KeptRecord, ListQuery, ListedRecord,
    NewRecord, RecordKind,
};

impl Journal for SqliteStore {
    fn append<'a>(
        &'a self,
        permit: &'a Permit<'a>,
        record: NewRecord,
        audit: AuditEntry,
    ) -> BoxFuture<'a, Result<Appended, Error>> {
        Box::pin(self.writer.commit(actor(permit), Some(record), audit))
    }

    fn find_request<'a>(
        &'a self,
        permit: &'a Permit<'a>,
        kind: RecordKind,
        request_id: &'a str,
    ) -> BoxFuture<'a, Result<Option<KeptRecord>, Error>> {
        Box::pin(async move {
            let row = sqlx::query(
                "SELECT content_sha256, answer_json FROM record \
                 WHERE kind = ?1 AND caller = ?2 AND request_id = ?3",
            )
            .bind(kind_name(kind))
            .bind(&permit.caller().name)
            .bind(request_id)
            .fetch_optional(&self.readers)
            .await
            .map_err(unavailable)?;
            row.as_ref().map(kept).transpose().map_err(unavailable)
        })
    }

    fn read<'a>(
        &'a self,
        permit: &'a Permit<'a>,
        kind: RecordKind,
        id: &'a str,
        mut audit: AuditEntry,
    ) -> BoxFuture<'a, Result<Option<KeptRecord>, Error>> {
        Box::pin(async move {
            let row = sqlx::query(
                "SELECT content_sha256, answer_json, patient_reference, caller, area FROM record \
                 WHERE kind = ?1 AND id = ?2",
            )
            .bind(kind_name(kind))
            .bind(id)
            .fetch_optional(&self.readers)
            .await
            .map_err(unavailable)?;
            let mut found = row.as_ref().map(kept).transpose().map_err(unavailable)?;
            match &row {
                Some(row) => {
                    let text = |column| row.try_get::<String, _>(column).map_err(unavailable);
                    audit.patient_reference = text("patient_reference")?;
                    if !permit.caller().reads_of(&text("caller")?, &text("area")?) {
                        audit.outcome = "denied";
                        found = None;
                    }
                }
                None => audit.outcome = "not_found",
            }
            self.writer.commit(actor(permit), None, audit).await?;
            Ok(found)
        })
    }

    fn list<'a>(
        &'a self,
        permit: &'a Permit<'a>,
        query: ListQuery,
        audit: AuditEntry,
    ) -> BoxFuture<'a, Result<Vec<ListedRecord>, Error>> {
        Box::pin(async move {
            let caller = permit.caller();
            let rows = sqlx::query(
                "SELECT seq, summary_json FROM record \
                 WHERE kind = ?1 AND (?2 IS NULL OR seq < ?2) \
                 AND (?3 IS NULL OR patient_reference = ?3) \
                 AND (?5 IS NULL OR caller = ?6 OR EXISTS (SELECT 1 FROM json_each(?5) AS place \
                 WHERE substr(area, 1, length(place.value)) = place.value)) \
                 ORDER BY seq DESC LIMIT ?4",
            )
            .bind(kind_name(query.kind))
            .bind(query.before_seq)
            .bind(query.patient_reference.as_deref())
            .bind(query.limit)
            .bind((!caller.has_the_whole_node()).then(|| json!(caller.areas()).to_string()))
            .bind(&caller.name)
            .fetch_all(&self.readers)
            .await
            .map_err(unavailable)?;
            let listed = rows
                .iter()
                .map(|row| {
                    Ok(ListedRecord {
                        seq: row.try_get("seq")?,
                        summary_json: row.try_get("summary_json")?,
                    })
                })
                .collect::<Result<_, sqlx::Error>>()
                .map_err(unavailable)?;
            self.writer.commit(actor(permit), None, audit).await?;
            Ok(listed)
        })
    }

    fn audit<'a>(
        &'a self,
        permit: &'a Permit<'a>,
        audit: AuditEntry,
    ) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            self.writer.commit(actor(permit), None, audit).await?;
            Ok(())
        })
    }

    fn info(&self) -> BoxFuture<'_, Result<JournalInfo, Error>> {
        Box::pin(async move {
            let last: Option<i64> = sqlx::query_scalar("SELECT max(seq) FROM record")
                .fetch_one(&self.readers)
                .await
                .map_err(unavailable)?;
            let schema_version =
                MIGRATIONS.iter().map(|&(v, _, _)| u32::try_from(v).unwrap_or(0)).max();
            Ok(JournalInfo {
                backend: self.backend.clone(),
                schema_version: schema_version.unwrap_or(0),
                record_count: last.and_then(|n| u64::try_from(n).ok()).unwrap_or(0),
            })
        })
    }
}

fn actor(permit: &Permit<'_>) -> Actor {
    let caller = permit.caller();
    Actor {
        caller: caller.name.clone(),
        role: caller.role.name(),
        action: permit.action().name(),
        area: caller.home().to_owned(),
    }
}

fn unavailable(error: sqlx::Error) -> Error {
    Error::Unavailable { what: "store", cause: Some(error.into()) }
}
