//! Forgetting what was erased. Seldom done, so it asks the database for what remains instead of
//! keeping more in every row.

use std::collections::BTreeSet;

use sqlx::postgres::PgConnection;
use sqlx::{Connection as _, Row as _};

use crate::sharing::imaging::name;
use crate::sharing::imaging::object::Digest;
use crate::store::studies::merge::{joined, parted};
use crate::store::studies::packed::{cut_digest, join_digest};

/// An instance that is to go, and where it stands.
struct Leaving {
    id: i64,
    length: i64,
    sop_class: i64,
    series: i64,
    study: i64,
    patient: i64,
    last_of_series: bool,
    last_of_study: bool,
}

/// Forgets the object with `digest`; nothing happens if there is none. Answers the patient who went with
/// it.
pub(super) async fn remove(
    connection: &mut PgConnection,
    digest: Digest,
    at_ms: i64,
) -> Result<Option<i64>, sqlx::Error> {
    let Some((id, apart)) = object(connection, &digest).await? else { return Ok(None) };
    let mut patient = None;
    let mut transaction = connection.begin().await?;
    let change: i64 =
        sqlx::query_scalar("UPDATE state SET changes = changes + 1 RETURNING changes")
            .fetch_one(&mut *transaction)
            .await?;
    if apart {
        sqlx::query(
            "WITH a AS (DELETE FROM apart WHERE id = $2 RETURNING *), \
             n AS (UPDATE state SET apart = apart - 1) \
             INSERT INTO gone SELECT $1, a.id, 1, a.received_ms, $3, a.study_uid, a.series_uid, \
             a.uid FROM a",
        )
        .bind(change)
        .bind(id)
        .bind(at_ms)
        .execute(&mut *transaction)
        .await?;
    } else {
        patient = take_out(&mut transaction, id, change, at_ms).await?;
    }
    transaction.commit().await?;
    Ok(patient)
}

/// The change that stored the object with `digest`, and whether it is kept apart.
async fn object(
    connection: &mut PgConnection,
    digest: &Digest,
) -> Result<Option<(i64, bool)>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT id, digest_rest, false FROM instance WHERE digest_head = $1 \
         UNION ALL SELECT id, digest_rest, true FROM apart WHERE digest_head = $1",
    )
    .bind(cut_digest(digest).0)
    .fetch_all(connection)
    .await?;
    for row in rows {
        if join_digest(cut_digest(digest).0, row.try_get(1)?) == Some(*digest) {
            return Ok(Some((row.try_get(0)?, row.try_get(2)?)));
        }
    }
    Ok(None)
}

/// Takes instance `id` out, and what is empty without it. Answers the patient who went.
async fn take_out(
    connection: &mut PgConnection,
    id: i64,
    change: i64,
    at_ms: i64,
) -> Result<Option<i64>, sqlx::Error> {
    let row = sqlx::query(
        "WITH i AS (DELETE FROM instance WHERE id = $2 RETURNING *), \
         g AS (INSERT INTO gone SELECT $1, i.id, 0, i.received_ms, $3, s.uid, e.uid, i.uid \
         FROM i JOIN series e ON e.id = i.series JOIN study s ON s.id = e.study) \
         SELECT i.id, i.length, i.sop_class, e.id, s.id, s.patient, e.instances <= 1, \
         s.instances <= 1 FROM i JOIN series e ON e.id = i.series JOIN study s ON s.id = e.study",
    )
    .bind(change)
    .bind(id)
    .bind(at_ms)
    .fetch_one(&mut *connection)
    .await?;
    let leaving = Leaving {
        id: row.try_get(0)?,
        length: row.try_get(1)?,
        sop_class: row.try_get(2)?,
        series: row.try_get(3)?,
        study: row.try_get(4)?,
        patient: row.try_get(5)?,
        last_of_series: row.try_get(6)?,
        last_of_study: row.try_get(7)?,
    };
    take_from_series(connection, &leaving).await?;
    if leaving.last_of_study {
        sqlx::query(
            "WITH s AS (DELETE FROM study WHERE id = $1) UPDATE state SET studies = studies - 1",
        )
        .bind(leaving.study)
        .execute(&mut *connection)
        .await?;
        let gone = forget_patient(connection, leaving.patient).await?;
        return Ok(gone.then_some(leaving.patient));
    }
    count_study(connection, &leaving).await?;
    Ok(None)
}

async fn take_from_series(
    connection: &mut PgConnection,
    leaving: &Leaving,
) -> Result<(), sqlx::Error> {
    if leaving.last_of_series {
        sqlx::query(
            "WITH e AS (DELETE FROM series WHERE id = $1) \
             UPDATE state SET instances = instances - 1, series = series - 1",
        )
        .bind(leaving.series)
        .execute(connection)
        .await?;
        return Ok(());
    }
    sqlx::query(
        "WITH e AS (UPDATE series SET instances = instances - 1, bytes = bytes - $2 WHERE id = $1) \
         UPDATE state SET instances = instances - 1",
    )
    .bind(leaving.series)
    .bind(leaving.length)
    .execute(&mut *connection)
    .await?;
    let others: bool = sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM instance WHERE series = $1 AND sop_class = $2 AND id <> $3)",
    )
    .bind(leaving.series)
    .bind(leaving.sop_class)
    .bind(leaving.id)
    .fetch_one(&mut *connection)
    .await?;
    if others {
        return Ok(());
    }
    let classes: Vec<String> = sqlx::query_scalar(
        "SELECT text FROM word WHERE text <> '' AND id IN \
         (SELECT sop_class FROM instance WHERE series = $1)",
    )
    .bind(leaving.series)
    .fetch_all(&mut *connection)
    .await?;
    sqlx::query("UPDATE series SET sop_classes = $2 WHERE id = $1")
        .bind(leaving.series)
        .bind(joined(&classes.into_iter().collect()))
        .execute(connection)
        .await?;
    Ok(())
}

/// Says anew what a study has.
async fn count_study(connection: &mut PgConnection, leaving: &Leaving) -> Result<(), sqlx::Error> {
    let rows = sqlx::query("SELECT modality, sop_classes FROM series WHERE study = $1")
        .bind(leaving.study)
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
    sqlx::query(
        "UPDATE study SET modalities = $2, sop_classes = $3, instances = instances - 1, \
         bytes = bytes - $4, series = series - $5 WHERE id = $1",
    )
    .bind(leaving.study)
    .bind(joined(&modalities))
    .bind(joined(&classes))
    .bind(leaving.length)
    .bind(i64::from(leaving.last_of_series))
    .execute(connection)
    .await?;
    Ok(())
}

/// Takes away those of these patients that no study names any more, and answers them.
pub(super) async fn forget(
    connection: &mut PgConnection,
    patients: &[i64],
) -> Result<Vec<i64>, sqlx::Error> {
    let mut transaction = connection.begin().await?;
    let mut gone = Vec::new();
    for id in patients {
        if forget_patient(&mut transaction, *id).await? {
            gone.push(*id);
        }
    }
    transaction.commit().await?;
    Ok(gone)
}

/// Takes away patient `id` and the keys of its name, if no study names it any more. Whether it went.
async fn forget_patient(connection: &mut PgConnection, id: i64) -> Result<bool, sqlx::Error> {
    let name: Option<String> = sqlx::query_scalar(
        "DELETE FROM patient WHERE id = $1 \
         AND NOT EXISTS (SELECT 1 FROM study WHERE patient = $1) RETURNING name",
    )
    .bind(id)
    .fetch_optional(&mut *connection)
    .await?;
    let Some(name) = name else { return Ok(false) };
    sqlx::query(
        "WITH k AS (DELETE FROM name_key WHERE patient = $1 AND key = ANY($2)) \
         UPDATE state SET patients = patients - 1",
    )
    .bind(id)
    .bind(name::keys(&name).into_iter().collect::<Vec<_>>())
    .execute(connection)
    .await?;
    Ok(true)
}
