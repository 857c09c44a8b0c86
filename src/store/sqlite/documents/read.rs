//! Reading and listing documents.

use bytes::Bytes;
use sqlx::Row as _;
use sqlx::sqlite::SqlitePool;

use super::{array, small};
use crate::app::records::ports::{DocumentQuery, KeptDocument, ListedDocument};
use crate::sharing::exchange::Kind;

pub(super) async fn document(
    readers: &SqlitePool,
    kind: Kind,
    name: &str,
    version: Option<u32>,
) -> Result<Option<KeptDocument>, sqlx::Error> {
    let row = sqlx::query(
        "SELECT name, version, media_type, sha256, sm3, body, format, reading_json, current, \
         replaced_by, origin, received_ms FROM document WHERE kind = ?1 AND name = ?2 \
         AND (version = ?3 OR (?3 IS NULL AND current = 1)) ORDER BY seq DESC LIMIT 1",
    )
    .bind(kind.name())
    .bind(name)
    .bind(version)
    .fetch_optional(readers)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let (body, origin): (Vec<u8>, String) = (row.try_get("body")?, row.try_get("origin")?);
    let (newest, replaced_by): (bool, String) =
        (row.try_get("current")?, row.try_get("replaced_by")?);
    Ok(Some(KeptDocument {
        name: row.try_get("name")?,
        version: small(row.try_get("version")?),
        media_type: row.try_get("media_type")?,
        sha256: array(row.try_get("sha256")?, "sha256")?,
        sm3: array(row.try_get("sm3")?, "sm3")?,
        body: Bytes::from(body),
        format: row.try_get("format")?,
        reading_json: row.try_get("reading_json")?,
        current: newest && replaced_by.is_empty(),
        replaced_by,
        from_hub: origin == "hub",
        received_ms: row.try_get("received_ms")?,
    }))
}

pub(super) async fn list(
    readers: &SqlitePool,
    kind: Kind,
    query: &DocumentQuery,
) -> Result<Vec<ListedDocument>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT d.seq, d.version, d.summary_json FROM document d \
         WHERE d.kind = ?1 AND d.current = 1 AND d.replaced_by = '' AND (?2 IS NULL OR d.seq < ?2) \
         AND (?3 = '' OR d.patient = ?3) \
         AND (?4 = '' OR EXISTS (SELECT 1 FROM document_programme p \
         WHERE p.document = d.seq AND p.programme = ?4)) ORDER BY d.seq DESC LIMIT ?5",
    )
    .bind(kind.name())
    .bind(query.before_seq)
    .bind(&query.patient)
    .bind(&query.programme)
    .bind(query.limit)
    .fetch_all(readers)
    .await?;
    let listed = rows.iter().map(|row| {
        Ok(ListedDocument {
            seq: row.try_get("seq")?,
            version: row.try_get("version")?,
            summary_json: row.try_get("summary_json")?,
        })
    });
    listed.collect()
}
