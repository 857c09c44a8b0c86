//! Rows read back: what stands in which column, and what is looked up by UID, place or number.

use sqlx::Row as _;
use sqlx::postgres::{PgPool, PgRow};

use super::question::Place;
use super::sealed::SealedPatients;
use super::values::{kept, uid as packed, uids as packed_uids};
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
use crate::store::studies::packed::{count, int, join_digest, unpack_uid};

/// Reads the fields of a level from the columns that begin at `at`.
fn read_fields<const N: usize>(
    row: &PgRow,
    at: usize,
    fields: [&mut String; N],
) -> Result<(), sqlx::Error> {
    for (column, field) in (at..).zip(fields) {
        *field = row.try_get(column)?;
    }
    Ok(())
}

fn uid(row: &PgRow, column: usize) -> Result<String, sqlx::Error> {
    Ok(unpack_uid(row.try_get::<&[u8], _>(column)?))
}

fn whole(row: &PgRow, column: usize) -> Result<u64, sqlx::Error> {
    Ok(count(row.try_get(column)?))
}

/// A number of which NULL says that it is absent.
fn small(row: &PgRow, column: usize) -> Result<u32, sqlx::Error> {
    let number: Option<i64> = row.try_get(column)?;
    Ok(number.and_then(|n| u32::try_from(n).ok()).unwrap_or_default())
}

/// The patient `id` whose columns begin at `at`, or stand in column `sealed`.
pub(super) fn patient_of(
    row: &PgRow,
    (id, at): (i64, usize),
    sealed: Option<&SealedPatients>,
) -> Result<Patient, sqlx::Error> {
    if let Some(sealed) = sealed {
        return sealed.read(id, row.try_get("sealed")?);
    }
    let mut patient = Patient::default();
    read_fields(row, at, patient_fields(&mut patient))?;
    Ok(patient)
}

/// The study whose columns a row begins with; `p.sealed` is among them.
pub(super) fn study_state(
    row: &PgRow,
    sealed: Option<&SealedPatients>,
) -> Result<StudyState, sqlx::Error> {
    let mut study = Study { uid: uid(row, 3)?, ..Study::default() };
    read_fields(row, 14, study_fields(&mut study))?;
    Ok(StudyState {
        id: row.try_get(0)?,
        patient_id: row.try_get(1)?,
        patient: patient_of(row, (row.try_get(1)?, 9), sealed)?,
        study,
        guessed: row.try_get::<i64, _>(2)? != 0,
        modalities: parted(row.try_get(4)?).collect(),
        sop_classes: parted(row.try_get(5)?).collect(),
        series: whole(row, 6)?,
        instances: whole(row, 7)?,
        bytes: whole(row, 8)?,
    })
}

/// Where the study whose columns a row begins with stands in the order of answers.
pub(super) fn place(row: &PgRow) -> Result<Place, sqlx::Error> {
    Ok((row.try_get(14)?, row.try_get(15)?, row.try_get(0)?))
}

/// The series whose columns begin at `at`.
pub(super) fn series_state(row: &PgRow, at: usize) -> Result<SeriesState, sqlx::Error> {
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

/// The answer of a question for patients: id and columns of the patient, then counts.
pub(super) fn patient_match(
    row: &PgRow,
    sealed: Option<&SealedPatients>,
) -> Result<Match, sqlx::Error> {
    let patient = patient_of(row, (row.try_get(0)?, 1), sealed)?;
    Ok(Match {
        header: Header { patient, ..Header::default() },
        studies: whole(row, 6)?,
        series: whole(row, 7)?,
        instances: whole(row, 8)?,
        bytes: whole(row, 9)?,
        ..Match::default()
    })
}

/// The answer of a question for studies.
pub(super) fn study_match(
    row: &PgRow,
    sealed: Option<&SealedPatients>,
) -> Result<Match, sqlx::Error> {
    Ok(answers::study_match(study_state(row, sealed)?))
}

/// The answer of a question for series.
pub(super) fn series_match(
    row: &PgRow,
    sealed: Option<&SealedPatients>,
) -> Result<Match, sqlx::Error> {
    Ok(answers::series_match(study_state(row, sealed)?, series_state(row, STUDY_COLUMNS)?))
}

/// The answer of a question for instances.
pub(super) fn instance_match(
    row: &PgRow,
    sealed: Option<&SealedPatients>,
) -> Result<Match, sqlx::Error> {
    const AT: usize = STUDY_COLUMNS + SERIES_COLUMNS;
    let mut answer = series_match(row, sealed)?;
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
fn uids(row: &PgRow, at: usize) -> Result<InstanceUids, sqlx::Error> {
    Ok(InstanceUids {
        study: uid(row, at)?,
        series: uid(row, at + 1)?,
        instance: uid(row, at + 2)?,
    })
}

/// The place whose columns (segment, start, head, length) begin at `at`.
fn location(row: &PgRow, at: usize) -> Result<Location, sqlx::Error> {
    let offset = whole(row, at + 1)?;
    Ok(Location {
        segment: whole(row, at)?,
        offset,
        body: offset.saturating_add(whole(row, at + 2)?),
        length: whole(row, at + 3)?,
    })
}

/// Columns: UIDs, transfer syntax, digest (two), place (four), whether apart, SOP class.
fn known_object(row: &PgRow, at: usize) -> Result<KnownObject, sqlx::Error> {
    Ok(KnownObject {
        uids: uids(row, at)?,
        transfer_syntax: row.try_get(at + 3)?,
        digest: join_digest(row.try_get(at + 4)?, row.try_get(at + 5)?).ok_or_else(broken)?,
        location: location(row, at + 6)?,
        apart: row.try_get(at + 10)?,
        sop_class: row.try_get(at + 11)?,
    })
}

fn broken() -> sqlx::Error {
    sqlx::Error::ColumnDecode { index: "digest_rest".to_owned(), source: "not 24 bytes".into() }
}

/// What is known of each of `instances`.
pub(super) async fn known(
    readers: &PgPool,
    instances: &[String],
) -> Result<Vec<Vec<KnownObject>>, sqlx::Error> {
    let mut answer = vec![Vec::new(); instances.len()];
    let rows = sqlx::query(
        "SELECT j.at, s.uid, e.uid, i.uid, (SELECT text FROM word WHERE id = i.transfer_syntax), \
         i.digest_head, i.digest_rest, i.segment, i.start, i.head, i.length, false, \
         (SELECT text FROM word WHERE id = i.sop_class), i.id \
         FROM unnest($1::bytea[]) WITH ORDINALITY j(uid, at) JOIN instance i ON i.uid = j.uid \
         JOIN series e ON e.id = i.series JOIN study s ON s.id = e.study \
         UNION ALL SELECT j.at, a.study_uid, a.series_uid, a.uid, \
         (SELECT text FROM word WHERE id = a.transfer_syntax), \
         a.digest_head, a.digest_rest, a.segment, a.start, a.head, a.length, true, \
         (SELECT text FROM word WHERE id = a.sop_class), a.id \
         FROM unnest($1::bytea[]) WITH ORDINALITY j(uid, at) JOIN apart a ON a.uid = j.uid \
         ORDER BY 1, 12, 14",
    )
    .bind(packed_uids(instances))
    .fetch_all(readers)
    .await?;
    for row in &rows {
        let at = usize::try_from(row.try_get::<i64, _>(0)? - 1).unwrap_or(usize::MAX);
        if let Some(objects) = answer.get_mut(at) {
            objects.push(known_object(row, 1)?);
        }
    }
    Ok(answer)
}

/// Objects kept apart, oldest first.
pub(super) async fn apart(
    readers: &PgPool,
    offset: u64,
    limit: u64,
) -> Result<Vec<KnownObject>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT a.study_uid, a.series_uid, a.uid, \
         (SELECT text FROM word WHERE id = a.transfer_syntax), a.digest_head, a.digest_rest, \
         a.segment, a.start, a.head, a.length, true, \
         (SELECT text FROM word WHERE id = a.sop_class) \
         FROM apart a ORDER BY a.id LIMIT $1 OFFSET $2",
    )
    .bind(int(limit))
    .bind(int(offset))
    .fetch_all(readers)
    .await?;
    rows.iter().map(|row| known_object(row, 0)).collect()
}

/// The instances that `selection` names.
pub(super) async fn instances(
    readers: &PgPool,
    sealed: Option<&SealedPatients>,
    selection: &Selection,
    (offset, limit): (u64, u64),
) -> Result<Vec<IndexedInstance>, sqlx::Error> {
    if *selection == Selection::default() {
        return Ok(Vec::new());
    }
    let mut query = sqlx::QueryBuilder::new(
        "SELECT s.uid, e.uid, i.uid, (SELECT text FROM word WHERE id = i.sop_class), \
         (SELECT text FROM word WHERE id = i.transfer_syntax), i.digest_head, i.digest_rest, \
         i.segment, i.start, i.head, i.length, i.frames \
         FROM study s JOIN series e ON e.study = s.id JOIN instance i ON i.series = e.id \
         WHERE true",
    );
    if let Some(id) = &selection.patient_id {
        query.push(" AND s.patient IN (SELECT id FROM patient WHERE patient_id = ");
        let id = kept(id);
        let there = sealed.map_or_else(|| id.to_string(), |sealed| sealed.patient_id(&id));
        query.push_bind(there).push(")");
    }
    for (column, uids) in [
        ("s.uid", &selection.studies),
        ("e.uid", &selection.series),
        ("i.uid", &selection.instances),
    ] {
        match uids.as_slice() {
            [] => {}
            [uid] => {
                query.push(" AND ").push(column).push(" = ").push_bind(packed(uid));
            }
            uids => {
                query.push(" AND ").push(column).push(" = ANY(");
                query.push_bind(packed_uids(uids)).push(")");
            }
        }
    }
    query.push(" ORDER BY s.id, e.ordinal NULLS FIRST, e.uid, i.ordinal NULLS FIRST, i.uid LIMIT ");
    query.push_bind(int(limit)).push(" OFFSET ").push_bind(int(offset));
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

/// What happened after `number`. An instance is its own line, and what was erased has kept the
/// number under which it was stored.
pub(super) async fn changes(
    readers: &PgPool,
    number: u64,
    limit: u64,
) -> Result<Vec<Change>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT s.uid, e.uid, c.uid, c.id, 0::int8, c.received_ms FROM \
         (SELECT id, series, uid, received_ms FROM instance WHERE id > $1 ORDER BY id LIMIT $2) c \
         JOIN series e ON e.id = c.series JOIN study s ON s.id = e.study \
         UNION ALL (SELECT study_uid, series_uid, uid, id, 1, received_ms FROM apart \
         WHERE id > $1 ORDER BY id LIMIT $2) \
         UNION ALL (SELECT study_uid, series_uid, uid, id, 2, erased_ms FROM gone \
         WHERE id > $1 ORDER BY id LIMIT $2) \
         UNION ALL (SELECT study_uid, series_uid, uid, stored, was_apart, received_ms FROM gone \
         WHERE stored > $1 ORDER BY stored LIMIT $2) \
         ORDER BY 4 LIMIT $2",
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
pub(super) async fn reached(readers: &PgPool) -> Result<Option<Location>, sqlx::Error> {
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

/// The patient ID of a study.
pub(super) async fn patient_id(
    readers: &PgPool,
    sealed: Option<&SealedPatients>,
    study: &str,
) -> Result<Option<String>, sqlx::Error> {
    let row = sqlx::query(
        "SELECT id, patient_id, sealed FROM patient \
         WHERE id = (SELECT patient FROM study WHERE uid = $1)",
    )
    .bind(packed(study))
    .fetch_optional(readers)
    .await?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some(match sealed {
        None => row.try_get(1)?,
        Some(sealed) => sealed.read(row.try_get(0)?, row.try_get(2)?)?.id,
    }))
}

/// How much there is; kept up with every addition, not counted.
pub(super) async fn counts(readers: &PgPool) -> Result<IndexCounts, sqlx::Error> {
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
