//! Adding entries: what is there already is read, what is to become of it is decided here, and one
//! trip to the connection's thread writes it, in one transaction.

use std::collections::HashMap;

use sqlx::Row as _;

use super::batch::{self, Totals};
use super::desk::Desk;
use super::read::{patient_of, series_state, study_state};
use super::remove::forget_patient;
use super::rows::Rows;
use crate::app::imaging::ports::IndexEntry;
use crate::sharing::imaging::object::Location;
use crate::sharing::imaging::{matching, name};
use crate::store::studies::INSTANCES_MAX;
use crate::store::studies::answers::{series_columns, study_columns};
use crate::store::studies::merge::{
    Identity, SeriesState, StudyState, joined, patient_fields, series_fields,
};
use crate::store::studies::packed::{cut_digest, int, join_digest, pack_uid};
use crate::store::studies::plan::{Changed, NewApart, Objects, Plan, fresh, sounds_column};

/// Adds `entries`; what is there already changes nothing but how far the index has come.
pub(super) async fn add(desk: &mut Desk, mut entries: Vec<IndexEntry>) -> Result<(), sqlx::Error> {
    while !entries.is_empty() {
        let later = entries.split_off(entries.len().min(INSTANCES_MAX));
        add_some(desk, entries).await?;
        entries = later;
    }
    Ok(())
}

/// Adds as many as one statement takes, in one transaction.
async fn add_some(desk: &mut Desk, entries: Vec<IndexEntry>) -> Result<(), sqlx::Error> {
    let Some(reached) = entries.last().map(|entry| entry.location) else { return Ok(()) };
    let there = there(desk, &entries).await?;
    let fresh = fresh(entries, there);
    load(desk, &fresh).await?;
    let mut plan = Plan::new(&mut desk.memory, fresh);
    load_patients(desk, &plan).await?;
    plan.place_patients(&mut desk.memory);
    let left = std::mem::take(&mut plan.left);
    write(desk, plan, reached).await?;
    if !left.is_empty() {
        forget(desk, &left).await?;
    }
    Ok(())
}

async fn there(
    desk: &mut Desk,
    entries: &[IndexEntry],
) -> Result<HashMap<String, Objects>, sqlx::Error> {
    let mut uids = Rows::new();
    for entry in entries {
        uids.row().bytes(&pack_uid(&entry.head.uids.instance));
    }
    let rows = sqlx::query(
        "SELECT j.key, 0, i.digest_head, i.digest_rest FROM json_each(?1) j \
         JOIN instance i ON i.uid = unhex(j.value ->> 0) \
         UNION ALL SELECT j.key, 1, a.digest_head, a.digest_rest FROM json_each(?1) j \
         JOIN apart a ON a.uid = unhex(j.value ->> 0)",
    )
    .bind(uids.finish())
    .fetch_all(&mut desk.connection)
    .await?;
    let mut there: HashMap<String, Objects> = HashMap::new();
    for row in rows {
        let at = usize::try_from(row.try_get::<i64, _>(0)?).unwrap_or(usize::MAX);
        let Some(entry) = entries.get(at) else { continue };
        let objects = there.entry(entry.head.uids.instance.clone()).or_default();
        objects.digests.extend(join_digest(row.try_get(2)?, row.try_get(3)?));
        objects.first |= row.try_get::<i64, _>(1)? == 0;
    }
    Ok(there)
}

/// Reads the studies, series and words of `entries` that are not remembered.
async fn load(desk: &mut Desk, entries: &[IndexEntry]) -> Result<(), sqlx::Error> {
    let Desk { connection, memory } = desk;
    let studies = memory.unknown_studies(entries);
    if !studies.is_empty() {
        let mut uids = Rows::new();
        for uid in &studies {
            uids.row().bytes(&pack_uid(uid));
        }
        let rows = sqlx::query(concat!(
            "SELECT ",
            study_columns!(),
            " FROM json_each(?1) j CROSS JOIN study s ON s.uid = unhex(j.value ->> 0) \
             CROSS JOIN patient p ON p.id = s.patient",
        ))
        .bind(uids.finish())
        .fetch_all(&mut *connection)
        .await?;
        for row in &rows {
            memory.remember_study(study_state(row)?);
        }
    }
    let series = memory.unknown_series(entries);
    if !series.is_empty() {
        let mut keys = Rows::new();
        for (study, uid) in &series {
            keys.row().int(*study).bytes(&pack_uid(uid));
        }
        let rows = sqlx::query(concat!(
            "SELECT ",
            series_columns!(),
            " FROM json_each(?1) j CROSS JOIN series e \
             ON e.uid = unhex(j.value ->> 1) AND e.study = j.value ->> 0",
        ))
        .bind(keys.finish())
        .fetch_all(&mut *connection)
        .await?;
        for row in &rows {
            memory.remember_series(series_state(row, 0)?);
        }
    }
    let words = memory.unknown_words(entries);
    if !words.is_empty() {
        let mut texts = Rows::new();
        for word in &words {
            texts.row().text(word);
        }
        let rows = sqlx::query(
            "SELECT w.id, w.text FROM json_each(?1) j CROSS JOIN word w ON w.text = j.value ->> 0",
        )
        .bind(texts.finish())
        .fetch_all(&mut *connection)
        .await?;
        for row in &rows {
            memory.words.insert(row.try_get(1)?, row.try_get(0)?);
        }
    }
    Ok(())
}

/// Reads the patients that the plan moves studies to and that are not remembered.
async fn load_patients(desk: &mut Desk, plan: &Plan) -> Result<(), sqlx::Error> {
    let Desk { connection, memory } = desk;
    let mut unknown = Rows::new();
    for Identity { id, issuer, look, birth_date } in plan.unknown_patients(memory) {
        unknown.row().text(&id).text(&issuer).text(&look).text(&birth_date);
    }
    if unknown.len() == 0 {
        return Ok(());
    }
    let rows = sqlx::query(
        "SELECT p.id, p.patient_id, p.issuer, p.name, p.birth_date, p.sex FROM json_each(?1) j \
         CROSS JOIN patient p ON p.patient_id = j.value ->> 0 AND p.issuer = j.value ->> 1 \
         AND p.look = j.value ->> 2 AND p.birth_date = j.value ->> 3",
    )
    .bind(unknown.finish())
    .fetch_all(connection)
    .await?;
    for row in &rows {
        memory.remember_patient(row.try_get(0)?, patient_of(row, 1)?);
    }
    Ok(())
}

async fn write(desk: &mut Desk, mut plan: Plan, reached: Location) -> Result<(), sqlx::Error> {
    let Desk { connection, memory } = desk;
    let (mut words, mut patients, mut name_keys) = (Rows::new(), Rows::new(), Rows::new());
    for (id, word) in &plan.words {
        words.row().int(*id).text(word);
    }
    for (id, patient) in &mut plan.patients {
        let row = patients.row();
        row.int(*id);
        for field in patient_fields(patient) {
            row.text(field);
        }
        row.text(&name::look(&patient.name)).text(&sounds_column(&patient.name));
    }
    for (key, patient) in &plan.name_keys {
        name_keys.row().text(key).int(*patient);
    }
    let mut apart = Rows::new();
    for one in &plan.apart {
        apart_row(apart.row(), one);
    }
    let changed = plan.changed(memory);
    let (mut studies, mut series) = (Rows::new(), Rows::new());
    for state in &changed.studies {
        study_row(studies.row(), state);
    }
    for state in &changed.series {
        series_row(series.row(), state);
    }
    let (study_counts, series_counts) = counts(&changed);
    let full = words.len() + patients.len() + name_keys.len() + studies.len() + series.len() > 0;
    let totals = Totals {
        full,
        words: words.finish(),
        patients: patients.finish(),
        name_keys: name_keys.finish(),
        studies: studies.finish(),
        series: series.finish(),
        apart: apart.finish(),
        study_counts: study_counts.finish(),
        series_counts: series_counts.finish(),
        reached,
        counts: memory.counts,
        changes: plan.changes,
    };
    batch::write(connection, &plan.instances, &totals).await?;
    memory.changes = plan.changes;
    Ok(())
}

fn counts(changed: &Changed<'_>) -> (Rows, Rows) {
    let (mut studies, mut series) = (Rows::new(), Rows::new());
    for state in &changed.study_counts {
        let row = studies.row().int(state.id).int(int(state.series));
        row.int(int(state.instances)).int(int(state.bytes));
    }
    for state in &changed.series_counts {
        series.row().int(state.id).int(int(state.instances)).int(int(state.bytes));
    }
    (studies, series)
}

fn apart_row(row: &mut Rows, apart: &NewApart) {
    let uids = &apart.entry.head.uids;
    row.int(apart.id)
        .bytes(&pack_uid(&uids.study))
        .bytes(&pack_uid(&uids.series))
        .bytes(&pack_uid(&uids.instance))
        .int(apart.sop_class)
        .int(apart.transfer_syntax);
    let (head, rest) = cut_digest(&apart.entry.digest);
    let Location { segment, offset, body, length } = apart.entry.location;
    row.int(head)
        .bytes(rest)
        .int(int(segment))
        .int(int(offset))
        .int(int(body.saturating_sub(offset)))
        .int(int(length))
        .int(apart.entry.head.received_ms);
}

fn study_row(row: &mut Rows, state: &StudyState) {
    row.int(state.id)
        .int(state.patient_id)
        .int(int(state.instances))
        .int(int(state.bytes))
        .int(int(state.series))
        .int(i64::from(state.guessed))
        .bytes(&pack_uid(&state.study.uid))
        .text(&state.study.date)
        .text(&state.study.time)
        .text(&joined(&state.modalities))
        .text(&joined(&state.sop_classes))
        .text(&state.study.accession_number)
        .text(&state.study.id)
        .text(&state.study.description)
        .text(&state.study.referring_physician)
        .text(&name::look(&state.study.referring_physician))
        .text(&sounds_column(&state.study.referring_physician))
        .text(&state.study.patient_age)
        .text(&state.study.procedure);
}

fn series_row(row: &mut Rows, state: &SeriesState) {
    row.int(state.id)
        .int(state.study)
        .int(int(state.instances))
        .int(int(state.bytes))
        .maybe(matching::number(&state.series.number))
        .bytes(&pack_uid(&state.series.uid))
        .text(&joined(&state.sop_classes));
    for field in series_fields(&mut state.series.clone()) {
        row.text(field);
    }
}

/// Takes away the patients among `left` that no study names any more, and begins anew to remember.
async fn forget(desk: &mut Desk, left: &[i64]) -> Result<(), sqlx::Error> {
    sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut desk.connection).await?;
    for &id in left {
        forget_patient(&mut desk.connection, id).await?;
    }
    sqlx::raw_sql("COMMIT").execute(&mut desk.connection).await?;
    desk.look_up().await
}
