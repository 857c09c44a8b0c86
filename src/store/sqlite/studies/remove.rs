//! Forgetting what was erased. Seldom done, so it asks the database for what remains instead of
//! keeping more in every row.

use std::collections::BTreeSet;

use sqlx::Row as _;
use sqlx::sqlite::SqliteConnection;

use super::desk::Desk;
use super::rows::Rows;
use crate::sharing::imaging::name;
use crate::sharing::imaging::object::Digest;
use crate::store::studies::merge::{joined, parted};
use crate::store::studies::packed::{cut_digest, join_digest};

/// Forgets the object with `digest`; nothing happens if there is none.
pub(super) async fn remove(desk: &mut Desk, digest: Digest, at_ms: i64) -> Result<(), sqlx::Error> {
    let connection = &mut desk.connection;
    let Some((id, apart)) = object(connection, &digest).await? else { return Ok(()) };
    sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut *connection).await?;
    sqlx::query(
        "INSERT INTO gone SELECT (SELECT changes + 1 FROM state), i.id, 0, s.uid, e.uid, i.uid, \
         i.received_ms, ?1 FROM instance i JOIN series e ON e.id = i.series \
         JOIN study s ON s.id = e.study WHERE i.id = ?2 AND NOT ?3 \
         UNION ALL SELECT (SELECT changes + 1 FROM state), id, 1, study_uid, series_uid, uid, \
         received_ms, ?1 FROM apart WHERE id = ?2 AND ?3",
    )
    .bind(at_ms)
    .bind(id)
    .bind(apart)
    .execute(&mut *connection)
    .await?;
    sqlx::raw_sql("UPDATE state SET changes = changes + 1").execute(&mut *connection).await?;
    if apart {
        sqlx::query("DELETE FROM apart WHERE id = ?").bind(id).execute(&mut *connection).await?;
        sqlx::raw_sql("UPDATE state SET apart = apart - 1").execute(&mut *connection).await?;
    } else {
        take_out(connection, id).await?;
    }
    sqlx::raw_sql("COMMIT").execute(&mut *connection).await?;
    Ok(())
}

/// The change that stored the object with `digest`, and whether it is kept apart.
async fn object(
    connection: &mut SqliteConnection,
    digest: &Digest,
) -> Result<Option<(i64, bool)>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT id, digest_rest, 0 FROM instance WHERE digest_head = ?1 \
         UNION ALL SELECT id, digest_rest, 1 FROM apart WHERE digest_head = ?1",
    )
    .bind(cut_digest(digest).0)
    .fetch_all(connection)
    .await?;
    for row in rows {
        if join_digest(cut_digest(digest).0, row.try_get(1)?) == Some(*digest) {
            return Ok(Some((row.try_get(0)?, row.try_get::<i64, _>(2)? != 0)));
        }
    }
    Ok(None)
}

/// Takes instance `id` out, and what is empty without it.
async fn take_out(connection: &mut SqliteConnection, id: i64) -> Result<(), sqlx::Error> {
    let row = sqlx::query(
        "SELECT e.id, s.id, s.patient, i.length, e.instances, s.instances, i.sop_class \
         FROM instance i JOIN series e ON e.id = i.series JOIN study s ON s.id = e.study WHERE i.id = ?",
    )
    .bind(id)
    .fetch_one(&mut *connection)
    .await?;
    let (series, study, patient): (i64, i64, i64) =
        (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
    let length: i64 = row.try_get(3)?;
    let last_of_series = row.try_get::<i64, _>(4)? <= 1;
    let sop_class: i64 = row.try_get(6)?;
    let last_of_study = row.try_get::<i64, _>(5)? <= 1;
    sqlx::query(
        "DELETE FROM instance WHERE id = ?; \
         UPDATE series SET instances = instances - 1, bytes = bytes - ? WHERE id = ?; \
         UPDATE study SET instances = instances - 1, bytes = bytes - ? WHERE id = ?; \
         UPDATE state SET instances = instances - 1",
    )
    .bind(id)
    .bind(length)
    .bind(series)
    .bind(length)
    .bind(study)
    .execute(&mut *connection)
    .await?;
    if last_of_series {
        sqlx::query(
            "DELETE FROM series WHERE id = ?; UPDATE study SET series = series - 1 WHERE id = ?; \
             UPDATE state SET series = series - 1",
        )
        .bind(series)
        .bind(study)
        .execute(&mut *connection)
        .await?;
    } else if !has_class(connection, series, sop_class).await? {
        let classes = words_of(connection, series).await?;
        sqlx::query("UPDATE series SET sop_classes = ? WHERE id = ?")
            .bind(joined(&classes))
            .bind(series)
            .execute(&mut *connection)
            .await?;
    }
    if last_of_study {
        sqlx::query("DELETE FROM study WHERE id = ?; UPDATE state SET studies = studies - 1")
            .bind(study)
            .execute(&mut *connection)
            .await?;
        return forget_patient(connection, patient).await;
    }
    count_study(connection, study).await
}

/// Whether a series still has an instance of this class; the first one says so.
async fn has_class(
    connection: &mut SqliteConnection,
    series: i64,
    sop_class: i64,
) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM instance WHERE series = ? AND sop_class = ?)")
        .bind(series)
        .bind(sop_class)
        .fetch_one(connection)
        .await
}

/// The SOP classes of the instances of a series.
async fn words_of(
    connection: &mut SqliteConnection,
    series: i64,
) -> Result<BTreeSet<String>, sqlx::Error> {
    let texts: Vec<String> = sqlx::query_scalar(
        "SELECT text FROM word WHERE text <> '' AND id IN \
         (SELECT sop_class FROM instance WHERE series = ?)",
    )
    .bind(series)
    .fetch_all(connection)
    .await?;
    Ok(texts.into_iter().collect())
}

/// Says anew which modalities and SOP classes a study has.
async fn count_study(connection: &mut SqliteConnection, study: i64) -> Result<(), sqlx::Error> {
    let rows = sqlx::query("SELECT modality, sop_classes FROM series WHERE study = ?")
        .bind(study)
        .fetch_all(&mut *connection)
        .await?;
    let (mut modalities, mut classes) = (BTreeSet::new(), BTreeSet::new());
    for row in rows {
        let modality: String = row.try_get(0)?;
        if !modality.is_empty() {
            modalities.insert(modality);
        }
        classes.extend(parted(row.try_get(1)?));
    }
    sqlx::query("UPDATE study SET modalities = ?, sop_classes = ? WHERE id = ?")
        .bind(joined(&modalities))
        .bind(joined(&classes))
        .bind(study)
        .execute(connection)
        .await?;
    Ok(())
}

/// Takes away patient `id` and the keys of its name, if no study names it any more.
pub(super) async fn forget_patient(
    connection: &mut SqliteConnection,
    id: i64,
) -> Result<(), sqlx::Error> {
    let row = sqlx::query(
        "SELECT name FROM patient WHERE id = ?1 \
         AND NOT EXISTS (SELECT 1 FROM study WHERE patient = ?1)",
    )
    .bind(id)
    .fetch_optional(&mut *connection)
    .await?;
    let Some(row) = row else { return Ok(()) };
    let mut keys = Rows::new();
    for key in name::keys(row.try_get(0)?) {
        keys.row().text(&key);
    }
    sqlx::query(
        "DELETE FROM name_key WHERE patient = ? \
         AND key IN (SELECT value ->> 0 FROM json_each(?)); \
         DELETE FROM patient WHERE id = ?; UPDATE state SET patients = patients - 1",
    )
    .bind(id)
    .bind(keys.finish())
    .bind(id)
    .execute(connection)
    .await?;
    Ok(())
}
