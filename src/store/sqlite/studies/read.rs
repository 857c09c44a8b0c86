//! Rows read back: what stands in which column, and what is looked up by UID, place or number.

use sqlx::Row as _;
use sqlx::sqlite::{SqlitePool, SqliteRow};

use super::rows::Rows;
use crate::app::imaging::ports::{
    Change, ChangeKind, IndexCounts, IndexedInstance, KnownObject, Selection,
};
use crate::sharing::imaging::header::{Header, Instance, Patient, Series, Study};
use crate::sharing::imaging::object::{InstanceUids, Location};
use crate::sharing::imaging::query::Match;
use crate::store::studies::answers::{self, SERIES_COLUMNS, STUDY_COLUMNS};
use crate::store::studies::merge::{
    SeriesState, StudyState, parted, patient_fields, series_fields, study_fields,
};
use crate::store::studies::packed::{count, int, join_digest, pack_uid, unpack_uid};

/// Reads the fields of a level from the columns that begin at `at`.
fn read_fields<const N: usize>(
    row: &SqliteRow,
    at: usize,
    fields: [&mut String; N],
) -> Result<(), sqlx::Error> {
    for (column, field) in (at..).zip(fields) {
        *field = row.try_get(column)?;
    }
    Ok(())
}

fn uid(row: &SqliteRow, column: usize) -> Result<String, sqlx::Error> {
    Ok(unpack_uid(row.try_get::<&[u8], _>(column)?))
}

fn whole(row: &SqliteRow, column: usize) -> Result<u64, sqlx::Error> {
    Ok(count(row.try_get(column)?))
}

/// A number of which NULL says that it is absent.
fn small(row: &SqliteRow, column: usize) -> Result<u32, sqlx::Error> {
    let number: Option<i64> = row.try_get(column)?;
    Ok(number.and_then(|n| u32::try_from(n).ok()).unwrap_or_default())
}

/// The patient whose columns begin at `at`.
pub(super) fn patient_of(row: &SqliteRow, at: usize) -> Result<Patient, sqlx::Error> {
    let mut patient = Patient::default();
    read_fields(row, at, patient_fields(&mut patient))?;
    Ok(patient)
}

/// The study whose columns a row begins with.
pub(super) fn study_state(row: &SqliteRow) -> Result<StudyState, sqlx::Error> {
    let mut study = Study { uid: uid(row, 3)?, ..Study::default() };
    read_fields(row, 14, study_fields(&mut study))?;
    Ok(StudyState {
        id: row.try_get(0)?,
        patient_id: row.try_get(1)?,
        patient: patient_of(row, 9)?,
        study,
        guessed: row.try_get::<i64, _>(2)? != 0,
        modalities: parted(row.try_get(4)?).collect(),
        sop_classes: parted(row.try_get(5)?).collect(),
        series: whole(row, 6)?,
        instances: whole(row, 7)?,
        bytes: whole(row, 8)?,
    })
}

/// The series whose columns begin at `at`.
pub(super) fn series_state(row: &SqliteRow, at: usize) -> Result<SeriesState, sqlx::Error> {
    let mut series = Series { uid: uid(row, at + 4)?, ..Series::default() };
    read_fields(row, at + 6, series_fields(&mut series))?;
    Ok(SeriesState {
        id: row.try_get(at)?,
        study: row.try_get(at + 1)?,
        series,
        sop_classes: parted(row.try_get(at + 5)?).collect(),
        instances: whole(row, at + 2)?,
        bytes: whole(row, at + 3)?,
    })
}

/// The answer of a question for patients: columns of the patient, then counts.
pub(super) fn patient_match(row: &SqliteRow) -> Result<Match, sqlx::Error> {
    Ok(Match {
        header: Header { patient: patient_of(row, 0)?, ..Header::default() },
        studies: whole(row, 5)?,
        series: whole(row, 6)?,
        instances: whole(row, 7)?,
        bytes: whole(row, 8)?,
        ..Match::default()
    })
}

/// The answer of a question for studies.
pub(super) fn study_match(row: &SqliteRow) -> Result<Match, sqlx::Error> {
    Ok(answers::study_match(study_state(row)?))
}

/// The answer of a question for series.
pub(super) fn series_match(row: &SqliteRow) -> Result<Match, sqlx::Error> {
    Ok(answers::series_match(study_state(row)?, series_state(row, STUDY_COLUMNS)?))
}

/// The answer of a question for instances.
pub(super) fn instance_match(row: &SqliteRow) -> Result<Match, sqlx::Error> {
    const AT: usize = STUDY_COLUMNS + SERIES_COLUMNS;
    let mut answer = series_match(row)?;
    answer.transfer_syntax = row.try_get(AT + 1)?;
    answer.bytes = whole(row, AT + 4)?;
    answer.header.instance = Instance {
        sop_class: row.try_get(AT)?,
        uid: uid(row, AT + 3)?,
        number: row.try_get(AT + 9)?,
        content_date: row.try_get(AT + 10)?,
        content_time: row.try_get(AT + 11)?,
        image_type: row.try_get(AT + 2)?,
        rows: small(row, AT + 5)?,
        columns: small(row, AT + 6)?,
        frames: small(row, AT + 7)?,
        bits_allocated: small(row, AT + 8)?,
        slice_thickness: row.try_get(AT + 12)?,
        image_position: row.try_get(AT + 13)?,
        burned_in_annotation: row.try_get(AT + 14)?,
        report_state: row.try_get(AT + 15)?,
        report_title: row.try_get(AT + 16)?,
    };
    Ok(answer)
}

/// The UIDs whose columns begin at `at`.
fn uids(row: &SqliteRow, at: usize) -> Result<InstanceUids, sqlx::Error> {
    Ok(InstanceUids {
        study: uid(row, at)?,
        series: uid(row, at + 1)?,
        instance: uid(row, at + 2)?,
    })
}

/// The place whose columns (segment, start, head, length) begin at `at`.
fn location(row: &SqliteRow, at: usize) -> Result<Location, sqlx::Error> {
    let offset = whole(row, at + 1)?;
    Ok(Location {
        segment: whole(row, at)?,
        offset,
        body: offset.saturating_add(whole(row, at + 2)?),
        length: whole(row, at + 3)?,
    })
}

/// Columns: UIDs, transfer syntax, digest (two), place (four), whether apart, SOP class.
fn known_object(row: &SqliteRow, at: usize) -> Result<KnownObject, sqlx::Error> {
    Ok(KnownObject {
        uids: uids(row, at)?,
        transfer_syntax: row.try_get(at + 3)?,
        digest: join_digest(row.try_get(at + 4)?, row.try_get(at + 5)?).ok_or_else(broken)?,
        location: location(row, at + 6)?,
        apart: row.try_get::<i64, _>(at + 10)? != 0,
        sop_class: row.try_get(at + 11)?,
    })
}

fn broken() -> sqlx::Error {
    sqlx::Error::ColumnDecode { index: "digest_rest".to_owned(), source: "not 24 bytes".into() }
}

/// What is known of each of `instances`.
pub(super) async fn known(
    readers: &SqlitePool,
    instances: &[String],
) -> Result<Vec<Vec<KnownObject>>, sqlx::Error> {
    let mut answer = vec![Vec::new(); instances.len()];
    let mut asked = Rows::new();
    for uid in instances {
        asked.row().bytes(&pack_uid(uid));
    }
    let rows = sqlx::query(
        "SELECT j.key, s.uid, e.uid, i.uid, (SELECT text FROM word WHERE id = i.transfer_syntax), \
         i.digest_head, i.digest_rest, i.segment, i.start, i.head, i.length, 0, \
         (SELECT text FROM word WHERE id = i.sop_class), i.id \
         FROM json_each(?1) j CROSS JOIN instance i ON i.uid = unhex(j.value ->> 0) \
         JOIN series e ON e.id = i.series JOIN study s ON s.id = e.study \
         UNION ALL SELECT j.key, a.study_uid, a.series_uid, a.uid, \
         (SELECT text FROM word WHERE id = a.transfer_syntax), \
         a.digest_head, a.digest_rest, a.segment, a.start, a.head, a.length, 1, \
         (SELECT text FROM word WHERE id = a.sop_class), a.id \
         FROM json_each(?1) j CROSS JOIN apart a ON a.uid = unhex(j.value ->> 0) \
         ORDER BY 1, 12, 14",
    )
    .bind(asked.finish())
    .fetch_all(readers)
    .await?;
    for row in &rows {
        if let Some(objects) = answer.get_mut(usize::try_from(whole(row, 0)?).unwrap_or(usize::MAX))
        {
            objects.push(known_object(row, 1)?);
        }
    }
    Ok(answer)
}

/// Objects kept apart, oldest first.
pub(super) async fn apart(
    readers: &SqlitePool,
    offset: u64,
    limit: u64,
) -> Result<Vec<KnownObject>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT a.study_uid, a.series_uid, a.uid, \
         (SELECT text FROM word WHERE id = a.transfer_syntax), a.digest_head, a.digest_rest, \
         a.segment, a.start, a.head, a.length, 1, \
         (SELECT text FROM word WHERE id = a.sop_class) FROM apart a ORDER BY a.id LIMIT ?1 OFFSET ?2",
    )
    .bind(int(limit))
    .bind(int(offset))
    .fetch_all(readers)
    .await?;
    rows.iter().map(|row| known_object(row, 0)).collect()
}

/// The patient ID of a study.
pub(super) async fn patient_id(
    readers: &SqlitePool,
    study: &str,
) -> Result<Option<String>, sqlx::Error> {
    sqlx::query_scalar(
        "SELECT patient_id FROM patient WHERE id = (SELECT patient FROM study WHERE uid = ?1)",
    )
    .bind(pack_uid(study))
    .fetch_optional(readers)
    .await
}

/// The instances that `selection` names.
pub(super) async fn instances(
    readers: &SqlitePool,
    selection: &Selection,
    offset: u64,
    limit: u64,
) -> Result<Vec<IndexedInstance>, sqlx::Error> {
    if *selection == Selection::default() {
        return Ok(Vec::new());
    }
    let mut query = sqlx::QueryBuilder::new(
        "SELECT s.uid, e.uid, i.uid, (SELECT text FROM word WHERE id = i.sop_class), \
         (SELECT text FROM word WHERE id = i.transfer_syntax), i.digest_head, i.digest_rest, \
         i.segment, i.start, i.head, i.length, i.frames \
         FROM study s JOIN series e ON e.study = s.id JOIN instance i ON i.series = e.id WHERE 1",
    );
    if let Some(id) = &selection.patient_id {
        query.push(" AND s.patient IN (SELECT id FROM patient WHERE patient_id = ").push_bind(id);
        query.push(")");
    }
    for (column, uids) in [
        ("s.uid", &selection.studies),
        ("e.uid", &selection.series),
        ("i.uid", &selection.instances),
    ] {
        push_uids(&mut query, column, uids);
    }
    query.push(" ORDER BY s.id, e.ordinal, e.uid, i.ordinal, i.uid LIMIT ").push_bind(int(limit));
    query.push(" OFFSET ").push_bind(int(offset));
    let rows = query.build().fetch_all(readers).await?;
    rows.iter()
        .map(|row| {
            Ok(IndexedInstance {
                uids: uids(row, 0)?,
                sop_class: row.try_get(3)?,
                transfer_syntax: row.try_get(4)?,
                digest: join_digest(row.try_get(5)?, row.try_get(6)?).ok_or_else(broken)?,
                location: location(row, 7)?,
                frames: small(row, 11)?,
            })
        })
        .collect()
}

/// Adds `AND column IN uids`, unless there are none.
fn push_uids(query: &mut sqlx::QueryBuilder<sqlx::Sqlite>, column: &'static str, uids: &[String]) {
    match uids {
        [] => {}
        [uid] => {
            query.push(" AND ").push(column).push(" = ").push_bind(pack_uid(uid));
        }
        uids => {
            query.push(" AND ").push(column).push(" IN ");
            push_uid_list(query, uids);
        }
    }
}

/// Adds the list of `uids` as a subquery: any number of them is one parameter.
pub(super) fn push_uid_list(query: &mut sqlx::QueryBuilder<sqlx::Sqlite>, uids: &[String]) {
    let mut rows = Rows::new();
    for uid in uids {
        rows.row().bytes(&pack_uid(uid));
    }
    query.push("(SELECT unhex(value ->> 0) FROM json_each(").push_bind(rows.finish()).push("))");
}

/// What happened after `number`. An instance is its own line, and what was erased has kept the
/// number under which it was stored.
pub(super) async fn changes(
    readers: &SqlitePool,
    number: u64,
    limit: u64,
) -> Result<Vec<Change>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT s.uid, e.uid, c.uid, c.id, c.kind, c.at_ms FROM (SELECT * FROM (\
         SELECT id, 0 AS kind, series, uid, received_ms AS at_ms FROM instance WHERE id > ?1 \
         ORDER BY id LIMIT ?2)) c \
         CROSS JOIN series e ON e.id = c.series CROSS JOIN study s ON s.id = e.study \
         UNION ALL SELECT * FROM (SELECT study_uid, series_uid, uid, id, 1, received_ms FROM apart \
         WHERE id > ?1 ORDER BY id LIMIT ?2) \
         UNION ALL SELECT * FROM (SELECT study_uid, series_uid, uid, id, 2, erased_ms FROM gone \
         WHERE id > ?1 ORDER BY id LIMIT ?2) \
         UNION ALL SELECT * FROM (SELECT study_uid, series_uid, uid, stored, was_apart, \
         received_ms FROM gone WHERE stored > ?1 ORDER BY stored LIMIT ?2) \
         ORDER BY 4 LIMIT ?2",
    )
    .bind(int(number))
    .bind(int(limit))
    .fetch_all(readers)
    .await?;
    rows.iter()
        .map(|row| {
            Ok(Change {
                uids: uids(row, 0)?,
                number: whole(row, 3)?,
                kind: match row.try_get::<i64, _>(4)? {
                    0 => ChangeKind::Stored,
                    1 => ChangeKind::KeptApart,
                    _ => ChangeKind::Erased,
                },
                at_ms: row.try_get(5)?,
            })
        })
        .collect()
}

/// How far into the archive the index has come.
pub(super) async fn reached(readers: &SqlitePool) -> Result<Option<Location>, sqlx::Error> {
    let row =
        sqlx::query("SELECT segment, start, body, length FROM state").fetch_one(readers).await?;
    let Some(segment) = row.try_get::<Option<i64>, _>(0)? else { return Ok(None) };
    Ok(Some(Location {
        segment: count(segment),
        offset: whole(&row, 1)?,
        body: whole(&row, 2)?,
        length: whole(&row, 3)?,
    }))
}

/// How much there is; kept up with every addition, not counted.
pub(super) async fn counts(readers: &SqlitePool) -> Result<IndexCounts, sqlx::Error> {
    let row = sqlx::query("SELECT patients, studies, series, instances, apart FROM state")
        .fetch_one(readers)
        .await?;
    Ok(IndexCounts {
        patients: whole(&row, 0)?,
        studies: whole(&row, 1)?,
        series: whole(&row, 2)?,
        instances: whole(&row, 3)?,
        apart: whole(&row, 4)?,
    })
}
