//! Adding entries: what is there already is read, what is to become of it is decided here, and one
//! trip to the connection's thread writes it, in one transaction.

use std::collections::{HashMap, HashSet};

use sqlx::Row as _;

use super::batch::{self, NewInstance, Totals};
use super::merge::{
    Identity, SeriesState, StudyState, fill, joined, patient_fields, series_fields, study_fields,
};
use super::packed::{Rows, cut_digest, int, join_digest, pack_uid};
use super::read::{patient_of, series_columns, series_state, study_columns, study_state};
use super::remove::forget_patient;
use super::writer::{Desk, Memory};
use crate::app::imaging::ports::IndexEntry;
use crate::sharing::imaging::object::{Digest, Location};
use crate::sharing::imaging::{matching, name};

/// Adds `entries`; what is there already changes nothing but how far the index has come.
pub(super) async fn add(desk: &mut Desk, mut entries: Vec<IndexEntry>) -> Result<(), sqlx::Error> {
    while !entries.is_empty() {
        let later = entries.split_off(entries.len().min(batch::INSTANCES_MAX));
        add_some(desk, entries).await?;
        entries = later;
    }
    Ok(())
}

/// Adds as many as one statement takes, in one transaction.
async fn add_some(desk: &mut Desk, entries: Vec<IndexEntry>) -> Result<(), sqlx::Error> {
    let Some(reached) = entries.last().map(|entry| entry.location) else { return Ok(()) };
    let mut there = there(desk, &entries).await?;
    let mut fresh = Vec::with_capacity(entries.len());
    for mut entry in entries {
        let objects = there.entry(entry.head.uids.instance.clone()).or_default();
        if objects.digests.contains(&entry.digest) {
            continue;
        }
        objects.digests.push(entry.digest);
        entry.apart |= objects.first;
        objects.first |= !entry.apart;
        fresh.push(entry);
    }
    load(desk, &fresh).await?;
    let mut plan = Plan::new(desk.memory.changes);
    for entry in fresh {
        plan.take(&mut desk.memory, entry);
    }
    place_patients(desk, &mut plan).await?;
    let left = std::mem::take(&mut plan.left);
    write(desk, plan, reached).await?;
    if !left.is_empty() {
        forget(desk, &left).await?;
    }
    Ok(())
}

/// The objects that have a SOP instance UID.
#[derive(Debug, Default)]
struct Objects {
    digests: Vec<Digest>,
    /// Whether one of them is not kept apart.
    first: bool,
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
    let placed = || entries.iter().filter(|entry| !entry.apart);
    let studies: HashSet<&str> = placed()
        .map(|entry| entry.head.uids.study.as_str())
        .filter(|uid| !memory.studies.contains_key(*uid))
        .collect();
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
            let state = study_state(row)?;
            memory.studies.insert(state.study.uid.clone(), state);
        }
    }
    let mut series = HashSet::new();
    for entry in placed() {
        if let Some(study) = memory.studies.get(&entry.head.uids.study) {
            let key = (study.id, entry.head.uids.series.clone());
            if !memory.series.contains_key(&key) {
                series.insert(key);
            }
        }
    }
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
            let state = series_state(row, 0)?;
            memory.series.insert((state.study, state.series.uid.clone()), state);
        }
    }
    let words: HashSet<&str> = entries
        .iter()
        .flat_map(|entry| {
            let instance = &entry.header.instance;
            [&entry.head.sop_class, &entry.head.transfer_syntax, &instance.image_type]
        })
        .map(String::as_str)
        .filter(|word| !memory.words.contains_key(*word))
        .collect();
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

/// What is to be written.
#[derive(Debug)]
struct Plan {
    changes: i64,
    words: Rows,
    patients: Rows,
    name_keys: Rows,
    instances: Vec<NewInstance>,
    apart: Rows,
    /// Studies with new attributes, by UID, and whether the patient's are among them.
    studies: HashMap<String, bool>,
    /// Series with new attributes.
    series: HashSet<(i64, String)>,
    /// Studies and series of which only the counts have changed.
    counted: HashSet<(String, String)>,
    /// Patients that studies were taken from.
    left: Vec<i64>,
}

impl Plan {
    fn new(changes: i64) -> Self {
        Self {
            changes,
            words: Rows::new(),
            patients: Rows::new(),
            name_keys: Rows::new(),
            instances: Vec::new(),
            apart: Rows::new(),
            studies: HashMap::new(),
            series: HashSet::new(),
            counted: HashSet::new(),
            left: Vec::new(),
        }
    }

    fn word(&mut self, memory: &mut Memory, word: &str) -> i64 {
        if let Some(id) = memory.words.get(word) {
            return *id;
        }
        memory.last_word += 1;
        memory.words.insert(word.to_owned(), memory.last_word);
        self.words.row().int(memory.last_word).text(word);
        memory.last_word
    }

    fn take(&mut self, memory: &mut Memory, entry: IndexEntry) {
        self.changes += 1;
        let sop_class = self.word(memory, &entry.head.sop_class);
        let transfer_syntax = self.word(memory, &entry.head.transfer_syntax);
        let uids = &entry.head.uids;
        if entry.apart {
            memory.counts.apart += 1;
            let row = self.apart.row();
            row.int(self.changes)
                .bytes(&pack_uid(&uids.study))
                .bytes(&pack_uid(&uids.series))
                .bytes(&pack_uid(&uids.instance))
                .int(sop_class)
                .int(transfer_syntax);
            let (head, rest) = cut_digest(&entry.digest);
            let Location { segment, offset, body, length } = entry.location;
            row.int(head)
                .bytes(rest)
                .int(int(segment))
                .int(int(offset))
                .int(int(body.saturating_sub(offset)))
                .int(int(length))
                .int(entry.head.received_ms);
            return;
        }
        let image_type = self.word(memory, &entry.header.instance.image_type);
        let series = self.place(memory, &entry);
        let id = self.changes;
        self.instances.push(NewInstance {
            id,
            series,
            sop_class,
            transfer_syntax,
            image_type,
            entry,
        });
    }

    /// Counts an instance into its study and series, which it makes or fills; the series.
    fn place(&mut self, memory: &mut Memory, entry: &IndexEntry) -> i64 {
        let uids = &entry.head.uids;
        let Memory { counts, last_study, last_series, studies, series, .. } = memory;
        let known = studies.contains_key(&uids.study);
        let study = studies.entry(uids.study.clone()).or_insert_with(|| {
            *last_study += 1;
            counts.studies += 1;
            let mut state = StudyState { id: *last_study, ..StudyState::default() };
            state.study.uid.clone_from(&uids.study);
            state
        });
        let key = (study.id, uids.series.clone());
        let known_series = series.contains_key(&key);
        let one = series.entry(key).or_insert_with(|| {
            *last_series += 1;
            counts.series += 1;
            study.series += 1;
            let mut state =
                SeriesState { id: *last_series, study: study.id, ..SeriesState::default() };
            state.series.uid.clone_from(&uids.series);
            state
        });
        let mut header = entry.header.clone();
        let new_patient =
            fill(patient_fields(&mut study.patient), patient_fields(&mut header.patient)) || !known;
        let mut new_study =
            fill(study_fields(&mut study.study), study_fields(&mut header.study)) || new_patient;
        if header.character_set_guessed && !study.guessed {
            study.guessed = true;
            new_study = true;
        }
        let mut new_series =
            fill(series_fields(&mut one.series), series_fields(&mut header.series))
                || !known_series;
        if !one.series.modality.is_empty() && !study.modalities.contains(&one.series.modality) {
            study.modalities.insert(one.series.modality.clone());
            new_study = true;
        }
        let sop_class = &entry.head.sop_class;
        if !sop_class.is_empty() && !one.sop_classes.contains(sop_class) {
            one.sop_classes.insert(sop_class.clone());
            new_series = true;
            new_study |= study.sop_classes.insert(sop_class.clone());
        }
        let bytes = entry.location.length;
        counts.instances += 1;
        study.instances += 1;
        study.bytes = study.bytes.saturating_add(bytes);
        one.instances += 1;
        one.bytes = one.bytes.saturating_add(bytes);
        if new_study {
            *self.studies.entry(uids.study.clone()).or_default() |= new_patient;
        }
        if new_series {
            self.series.insert((study.id, uids.series.clone()));
        }
        if !self.counted.contains(&(uids.study.clone(), uids.series.clone())) {
            self.counted.insert((uids.study.clone(), uids.series.clone()));
        }
        one.id
    }
}

/// Finds or makes the patient of each study that has none yet or whose patient was filled.
async fn place_patients(desk: &mut Desk, plan: &mut Plan) -> Result<(), sqlx::Error> {
    let Desk { connection, memory } = desk;
    let Memory { counts, last_patient, studies, patients, .. } = memory;
    let moved: Vec<(String, Identity)> = plan
        .studies
        .iter()
        .filter(|(_, patient)| **patient)
        .filter_map(|(uid, _)| Some((uid.clone(), Identity::of(&studies.get(uid)?.patient))))
        .collect();
    let mut unknown = Rows::new();
    for (_, identity) in moved.iter().filter(|(_, identity)| !patients.contains_key(identity)) {
        let Identity { id, issuer, look, birth_date } = identity;
        unknown.row().text(id).text(issuer).text(look).text(birth_date);
    }
    if unknown.len() > 0 {
        let rows = sqlx::query(
            "SELECT p.id, p.patient_id, p.issuer, p.name, p.birth_date, p.sex FROM json_each(?1) j \
             CROSS JOIN patient p ON p.patient_id = j.value ->> 0 AND p.issuer = j.value ->> 1 \
             AND p.look = j.value ->> 2 AND p.birth_date = j.value ->> 3",
        )
        .bind(unknown.finish())
        .fetch_all(connection)
        .await?;
        for row in &rows {
            let patient = patient_of(row, 1)?;
            patients.insert(Identity::of(&patient), (row.try_get(0)?, patient));
        }
    }
    for (uid, identity) in moved {
        let Some(study) = studies.get_mut(&uid) else { continue };
        let new = !patients.contains_key(&identity);
        let (id, patient) = patients.entry(identity).or_insert_with(|| {
            *last_patient += 1;
            counts.patients += 1;
            for key in name::keys(&study.patient.name) {
                plan.name_keys.row().text(&key).int(*last_patient);
            }
            (*last_patient, study.patient.clone())
        });
        let filled = fill(patient_fields(patient), patient_fields(&mut study.patient.clone()));
        if new || filled {
            let row = plan.patients.row();
            row.int(*id);
            for field in patient_fields(patient) {
                row.text(field);
            }
            row.text(&name::look(&patient.name)).text(&sounds_column(&patient.name));
        }
        if study.patient_id != 0 && study.patient_id != *id {
            plan.left.push(study.patient_id);
        }
        study.patient_id = *id;
    }
    Ok(())
}

/// The sounds of a name as a question looks through them: each after a control character, which
/// stands in no sound.
fn sounds_column(name: &str) -> String {
    name::sounds(name).iter().flat_map(|sound| ["\u{1}", sound.as_str()]).collect()
}

async fn write(desk: &mut Desk, plan: Plan, reached: Location) -> Result<(), sqlx::Error> {
    let Desk { connection, memory } = desk;
    let Plan { changes, words, patients, name_keys, instances, apart, .. } = plan;
    let mut studies = Rows::new();
    for uid in plan.studies.keys() {
        if let Some(state) = memory.studies.get(uid) {
            study_row(studies.row(), state);
        }
    }
    let mut series = Rows::new();
    for key in &plan.series {
        if let Some(state) = memory.series.get(key) {
            series_row(series.row(), state);
        }
    }
    let mut study_counts = Rows::new();
    let mut series_counts = Rows::new();
    let mut counted = HashSet::new();
    for (study, uid) in plan.counted {
        let Some(state) = memory.studies.get(&study) else { continue };
        if !plan.studies.contains_key(&study) && counted.insert(state.id) {
            let row = study_counts.row().int(state.id).int(int(state.series));
            row.int(int(state.instances)).int(int(state.bytes));
        }
        let key = (state.id, uid);
        if let Some(state) = memory.series.get(&key)
            && !plan.series.contains(&key)
        {
            series_counts.row().int(state.id).int(int(state.instances)).int(int(state.bytes));
        }
    }
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
        changes,
    };
    batch::write(connection, &instances, &totals).await?;
    memory.changes = changes;
    Ok(())
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
