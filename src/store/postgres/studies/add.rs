//! Adding entries: what is there already is read, what is to become of it is decided in
//! [`Plan`], and one trip to the server writes it.

use std::collections::HashMap;

use sqlx::Row as _;
use sqlx::postgres::PgConnection;

use super::batch::{Batch, Instances, Patients, Series, Studies};
use super::desk::look_up;
use super::read::{patient_of, series_state, study_state};
use super::remove::forget;
use super::sealed::SealedPatients;
use super::values::{Rows, keep, sha256, uid, uids};
use crate::app::imaging::ports::IndexEntry;
use crate::sharing::imaging::header::Patient;
use crate::sharing::imaging::object::Location;
use crate::sharing::imaging::{matching, name};
use crate::store::studies::INSTANCES_MAX;
use crate::store::studies::answers::{series_columns, study_columns};
use crate::store::studies::memory::Memory;
use crate::store::studies::merge::{
    Identity, SeriesState, StudyState, joined, patient_fields, series_fields,
};
use crate::store::studies::packed::{cut_digest, int, join_digest};
use crate::store::studies::plan::{
    Changed, NewApart, NewInstance, Objects, Plan, fresh, some, sounds_column,
};

/// Adds `entries`; what is there already changes nothing but how far the index has come.
pub(super) async fn add(
    connection: &mut PgConnection,
    (memory, sealed): (&mut Memory, Option<&SealedPatients>),
    mut entries: Vec<IndexEntry>,
) -> Result<(), sqlx::Error> {
    entries.iter_mut().for_each(keep);
    while !entries.is_empty() {
        let later = entries.split_off(entries.len().min(INSTANCES_MAX));
        add_some(connection, (memory, sealed), entries).await?;
        entries = later;
    }
    Ok(())
}

/// Adds as many as one statement takes, in one transaction.
async fn add_some(
    connection: &mut PgConnection,
    (memory, sealed): (&mut Memory, Option<&SealedPatients>),
    entries: Vec<IndexEntry>,
) -> Result<(), sqlx::Error> {
    let Some(reached) = entries.last().map(|entry| entry.location) else { return Ok(()) };
    let there = there(connection, &entries).await?;
    let fresh = fresh(entries, there);
    load(connection, (memory, sealed), &fresh).await?;
    let mut plan = Plan::new(memory, fresh);
    load_patients(connection, (memory, sealed), &plan).await?;
    plan.place_patients(memory);
    let left = std::mem::take(&mut plan.left);
    let changes = plan.changes;
    let people = sealed.map(|_| plan.patients.clone());
    batch((memory, sealed), plan, reached)?.write(connection).await?;
    memory.changes = changes;
    if let (Some(sealed), Some(people)) = (sealed, people) {
        sealed.know(people);
    }
    if !left.is_empty() {
        for gone in forget(connection, &left).await? {
            sealed.inspect(|sealed| sealed.forget(gone));
        }
        *memory = look_up(connection).await?;
    }
    Ok(())
}

async fn there(
    connection: &mut PgConnection,
    entries: &[IndexEntry],
) -> Result<HashMap<String, Objects>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT j.at, 0::int8, i.digest_head, i.digest_rest \
         FROM unnest($1::bytea[]) WITH ORDINALITY j(uid, at) JOIN instance i ON i.uid = j.uid \
         UNION ALL SELECT j.at, 1::int8, a.digest_head, a.digest_rest \
         FROM unnest($1::bytea[]) WITH ORDINALITY j(uid, at) JOIN apart a ON a.uid = j.uid",
    )
    .bind(uids(entries.iter().map(|entry| &entry.head.uids.instance)))
    .fetch_all(connection)
    .await?;
    let mut there: HashMap<String, Objects> = HashMap::new();
    for row in rows {
        let at = usize::try_from(row.try_get::<i64, _>(0)? - 1).unwrap_or(usize::MAX);
        let Some(entry) = entries.get(at) else { continue };
        let objects = there.entry(entry.head.uids.instance.clone()).or_default();
        objects.digests.extend(join_digest(row.try_get(2)?, row.try_get(3)?));
        objects.first |= row.try_get::<i64, _>(1)? == 0;
    }
    Ok(there)
}

/// Reads the studies, series and words of `entries` that are not remembered.
async fn load(
    connection: &mut PgConnection,
    (memory, sealed): (&mut Memory, Option<&SealedPatients>),
    entries: &[IndexEntry],
) -> Result<(), sqlx::Error> {
    let studies = memory.unknown_studies(entries);
    if !studies.is_empty() {
        let rows = sqlx::query(concat!(
            "SELECT ",
            study_columns!(),
            ", p.sealed FROM unnest($1::bytea[]) j(uid) JOIN study s ON s.uid = j.uid \
             JOIN patient p ON p.id = s.patient",
        ))
        .bind(uids(&studies))
        .fetch_all(&mut *connection)
        .await?;
        for row in &rows {
            memory.remember_study(study_state(row, sealed)?);
        }
    }
    let series = memory.unknown_series(entries);
    if !series.is_empty() {
        let (ids, names): (Vec<i64>, Vec<String>) = series.into_iter().unzip();
        let rows = sqlx::query(concat!(
            "SELECT ",
            series_columns!(),
            " FROM unnest($1::int8[], $2::bytea[]) j(study, uid) \
             JOIN series e ON e.uid = j.uid AND e.study = j.study",
        ))
        .bind(ids)
        .bind(uids(names))
        .fetch_all(&mut *connection)
        .await?;
        for row in &rows {
            memory.remember_series(series_state(row, 0)?);
        }
    }
    let words = memory.unknown_words(entries);
    if !words.is_empty() {
        let words: Vec<String> = words.into_iter().map(str::to_owned).collect();
        let rows = sqlx::query(
            "SELECT w.id, w.text FROM unnest($1::text[]) j(text) JOIN word w ON w.text = j.text",
        )
        .bind(words)
        .fetch_all(&mut *connection)
        .await?;
        for row in &rows {
            memory.words.insert(row.try_get(1)?, row.try_get(0)?);
        }
    }
    Ok(())
}

/// What tells a patient from another, as one value.
fn identity(identity: &Identity, sealed: Option<&SealedPatients>) -> Vec<u8> {
    let Identity { id, issuer, look, birth_date } = identity;
    match sealed {
        None => sha256(&[id, issuer, look, birth_date]).to_vec(),
        Some(sealed) => sealed.identity(identity),
    }
}

/// Reads the patients that the plan moves studies to and that are not remembered.
async fn load_patients(
    connection: &mut PgConnection,
    (memory, sealed): (&mut Memory, Option<&SealedPatients>),
    plan: &Plan,
) -> Result<(), sqlx::Error> {
    let unknown: Vec<_> =
        plan.unknown_patients(memory).iter().map(|one| identity(one, sealed)).collect();
    if unknown.is_empty() {
        return Ok(());
    }
    let rows = sqlx::query(
        "SELECT p.id, p.patient_id, p.issuer, p.name, p.birth_date, p.sex, p.sealed \
         FROM unnest($1::bytea[]) j(identity) JOIN patient p ON p.identity = j.identity",
    )
    .bind(unknown)
    .fetch_all(connection)
    .await?;
    for row in &rows {
        let id = row.try_get(0)?;
        memory.remember_patient(id, patient_of(row, (id, 1), sealed)?);
    }
    Ok(())
}

fn batch(
    (memory, sealed): (&Memory, Option<&SealedPatients>),
    plan: Plan,
    reached: Location,
) -> Result<Batch, sqlx::Error> {
    let Changed { studies, series, study_counts, series_counts } = plan.changed(memory);
    let mut batch = Batch {
        words: Rows::new(),
        patients: Rows::new(),
        name_keys: Rows::new(),
        studies: Rows::new(),
        series: Rows::new(),
        instances: Rows::new(),
        apart: Rows::new(),
        study_counts: Rows::new(),
        series_counts: Rows::new(),
        reached,
        counts: memory.counts,
        changes: plan.changes,
    };
    for state in studies {
        push_study(&mut batch.studies, state);
    }
    for state in series {
        push_series(&mut batch.series, state);
    }
    for state in study_counts {
        let StudyState { id, series, instances, bytes, .. } = state;
        let counts = [Some(*id), Some(int(*series)), Some(int(*instances)), Some(int(*bytes))];
        batch.study_counts.push(counts, [], []);
    }
    for SeriesState { id, instances, bytes, .. } in series_counts {
        let counts = [Some(*id), Some(int(*instances)), Some(int(*bytes))];
        batch.series_counts.push(counts, [], []);
    }
    for (id, word) in plan.words {
        batch.words.push([Some(id)], [], [word]);
    }
    for (id, patient) in plan.patients {
        push_patient(&mut batch.patients, id, patient, sealed)?;
    }
    // What is sealed is looked for elsewhere.
    for (key, patient) in plan.name_keys.into_iter().filter(|_| sealed.is_none()) {
        batch.name_keys.push([Some(patient)], [], [key]);
    }
    for instance in plan.instances {
        push_instance(&mut batch.instances, instance);
    }
    for NewApart { id, sop_class, transfer_syntax, entry } in plan.apart {
        let (head, rest) = cut_digest(&entry.digest);
        let [segment, start, before, length] = place(entry.location);
        let named = &entry.head.uids;
        let received = entry.head.received_ms;
        batch.apart.push(
            [id, sop_class, transfer_syntax, head, segment, start, before, length, received]
                .map(Some),
            [uid(&named.study), uid(&named.series), uid(&named.instance), rest.to_vec()],
            [],
        );
    }
    Ok(batch)
}

/// Segment, start of the record, bytes from there to the data set, and its length.
fn place(location: Location) -> [i64; 4] {
    let Location { segment, offset, body, length } = location;
    [int(segment), int(offset), int(body.saturating_sub(offset)), int(length)]
}

fn push_patient(
    rows: &mut Patients,
    id: i64,
    mut patient: Patient,
    sealed: Option<&SealedPatients>,
) -> Result<(), sqlx::Error> {
    let identity = identity(&Identity::of(&patient), sealed);
    if let Some(sealed) = sealed {
        let text = sealed.seal(id, &patient).map_err(|fault| sqlx::Error::Encode(fault.into()))?;
        let mut texts: [String; 7] = Default::default();
        let [patient_id, ..] = &mut texts;
        *patient_id = sealed.patient_id(&patient.id);
        rows.push([Some(id)], [identity, text], texts);
        return Ok(());
    }
    let (look, sounds) = (name::look(&patient.name), sounds_column(&patient.name));
    let [patient_id, issuer, name, birth_date, sex] =
        patient_fields(&mut patient).map(std::mem::take);
    let texts = [patient_id, issuer, name, birth_date, sex, look, sounds];
    rows.push([Some(id)], [identity, Vec::new()], texts);
    Ok(())
}

fn push_study(rows: &mut Studies, state: &StudyState) {
    let study = &state.study;
    rows.push(
        [
            Some(state.id),
            Some(state.patient_id),
            Some(int(state.instances)),
            Some(int(state.bytes)),
            Some(int(state.series)),
            Some(i64::from(state.guessed)),
        ],
        [uid(&study.uid)],
        [
            study.date.clone(),
            study.time.clone(),
            joined(&state.modalities),
            joined(&state.sop_classes),
            study.accession_number.clone(),
            study.id.clone(),
            study.description.clone(),
            study.referring_physician.clone(),
            name::look(&study.referring_physician),
            sounds_column(&study.referring_physician),
            study.patient_age.clone(),
            study.procedure.clone(),
        ],
    );
}

fn push_series(rows: &mut Series, state: &SeriesState) {
    let mut series = state.series.clone();
    let mut texts: [String; 22] = Default::default();
    let classes = joined(&state.sop_classes);
    let fields = std::iter::once(classes).chain(series_fields(&mut series).map(std::mem::take));
    for (text, field) in texts.iter_mut().zip(fields) {
        *text = field;
    }
    rows.push(
        [
            Some(state.id),
            Some(state.study),
            Some(int(state.instances)),
            Some(int(state.bytes)),
            matching::number(&state.series.number),
        ],
        [uid(&state.series.uid)],
        texts,
    );
}

fn push_instance(rows: &mut Instances, new: NewInstance) {
    let NewInstance { id, series, sop_class, transfer_syntax, image_type, entry } = new;
    let (head, rest) = cut_digest(&entry.digest);
    let [segment, start, before, length] = place(entry.location);
    let instance = entry.header.instance;
    rows.push(
        [
            Some(id),
            Some(series),
            matching::number(&instance.number),
            Some(sop_class),
            Some(transfer_syntax),
            Some(image_type),
            some(instance.rows),
            some(instance.columns),
            some(instance.frames),
            some(instance.bits_allocated),
            Some(head),
            Some(segment),
            Some(start),
            Some(before),
            Some(length),
            Some(entry.head.received_ms),
        ],
        [uid(&entry.head.uids.instance), rest.to_vec()],
        [
            instance.number,
            instance.content_date,
            instance.content_time,
            instance.slice_thickness,
            instance.image_position,
            instance.burned_in_annotation,
            instance.report_state,
            instance.report_title,
        ],
    );
}
