//! What a batch changes, worked out from what the writer remembers; nothing is read or written here.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::memory::Memory;
use super::merge::{
    Identity, SeriesState, StudyState, fill, patient_fields, series_fields, study_fields,
};
use crate::app::imaging::ports::IndexEntry;
use crate::sharing::imaging::header::Patient;
use crate::sharing::imaging::name;
use crate::sharing::imaging::object::Digest;

/// An instance, and the ids of what its row names.
#[derive(Debug)]
pub(in crate::store) struct NewInstance {
    pub(in crate::store) id: i64,
    pub(in crate::store) series: i64,
    pub(in crate::store) sop_class: i64,
    pub(in crate::store) transfer_syntax: i64,
    pub(in crate::store) image_type: i64,
    pub(in crate::store) entry: IndexEntry,
}

/// An object kept apart, and the ids of what its row names.
#[derive(Debug)]
pub(in crate::store) struct NewApart {
    pub(in crate::store) id: i64,
    pub(in crate::store) sop_class: i64,
    pub(in crate::store) transfer_syntax: i64,
    pub(in crate::store) entry: IndexEntry,
}

/// The objects that have a SOP instance UID.
#[derive(Debug, Default)]
pub(in crate::store) struct Objects {
    pub(in crate::store) digests: Vec<Digest>,
    /// Whether one of them is not kept apart.
    pub(in crate::store) first: bool,
}

/// The entries that are not there yet; what comes second under its SOP instance UID is kept apart.
pub(in crate::store) fn fresh(
    entries: Vec<IndexEntry>,
    mut there: HashMap<String, Objects>,
) -> Vec<IndexEntry> {
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
    fresh
}

/// What is to be written.
#[derive(Debug)]
pub(in crate::store) struct Plan {
    pub(in crate::store) changes: i64,
    pub(in crate::store) words: Vec<(i64, String)>,
    /// By id.
    pub(in crate::store) patients: BTreeMap<i64, Patient>,
    /// Key and patient.
    pub(in crate::store) name_keys: Vec<(String, i64)>,
    pub(in crate::store) instances: Vec<NewInstance>,
    pub(in crate::store) apart: Vec<NewApart>,
    /// Patients that studies were taken from.
    pub(in crate::store) left: Vec<i64>,
    /// Studies with new attributes, by UID, and whether the patient's are among them.
    studies: HashMap<String, bool>,
    /// Series with new attributes.
    series: HashSet<(i64, String)>,
    /// Studies and series of which only the counts have changed.
    counted: HashSet<(String, String)>,
}

/// Rows of studies and series that a plan changes.
#[derive(Debug)]
pub(in crate::store) struct Changed<'a> {
    /// New, or with new attributes.
    pub(in crate::store) studies: Vec<&'a StudyState>,
    /// New, or with new attributes.
    pub(in crate::store) series: Vec<&'a SeriesState>,
    /// Only the counts are new.
    pub(in crate::store) study_counts: Vec<&'a StudyState>,
    /// Only the counts are new.
    pub(in crate::store) series_counts: Vec<&'a SeriesState>,
}

impl Plan {
    /// Takes in what is fresh and whose studies, series and words are remembered as far as they are
    /// there.
    pub(in crate::store) fn new(memory: &mut Memory, fresh: Vec<IndexEntry>) -> Self {
        let mut plan = Self {
            changes: memory.changes,
            words: Vec::new(),
            patients: BTreeMap::new(),
            name_keys: Vec::new(),
            instances: Vec::new(),
            apart: Vec::new(),
            left: Vec::new(),
            studies: HashMap::new(),
            series: HashSet::new(),
            counted: HashSet::new(),
        };
        for entry in fresh {
            plan.take(memory, entry);
        }
        plan
    }

    fn word(&mut self, memory: &mut Memory, word: &str) -> i64 {
        if let Some(id) = memory.words.get(word) {
            return *id;
        }
        memory.last_word += 1;
        memory.words.insert(word.to_owned(), memory.last_word);
        self.words.push((memory.last_word, word.to_owned()));
        memory.last_word
    }

    fn take(&mut self, memory: &mut Memory, entry: IndexEntry) {
        self.changes += 1;
        let id = self.changes;
        let sop_class = self.word(memory, &entry.head.sop_class);
        let transfer_syntax = self.word(memory, &entry.head.transfer_syntax);
        if entry.apart {
            memory.counts.apart += 1;
            self.apart.push(NewApart { id, sop_class, transfer_syntax, entry });
            return;
        }
        let image_type = self.word(memory, &entry.header.instance.image_type);
        let series = self.place(memory, &entry);
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

    /// Patients of studies that have none yet or whose patient was filled: the study's UID, and who
    /// it is.
    fn moved(&self, memory: &Memory) -> Vec<(String, Identity)> {
        self.studies
            .iter()
            .filter(|(_, patient)| **patient)
            .filter_map(|(uid, _)| {
                Some((uid.clone(), Identity::of(&memory.studies.get(uid)?.patient)))
            })
            .collect()
    }

    /// Those of them that are not remembered.
    pub(in crate::store) fn unknown_patients(&self, memory: &Memory) -> HashSet<Identity> {
        let moved = self.moved(memory).into_iter().map(|(_, identity)| identity);
        moved.filter(|identity| !memory.patients.contains_key(identity)).collect()
    }

    /// Gives each study its patient. Every patient that is there must be remembered now.
    pub(in crate::store) fn place_patients(&mut self, memory: &mut Memory) {
        let moved = self.moved(memory);
        let Memory { counts, last_patient, studies, patients, .. } = memory;
        for (uid, identity) in moved {
            let Some(study) = studies.get_mut(&uid) else { continue };
            let new = !patients.contains_key(&identity);
            let (id, patient) = patients.entry(identity).or_insert_with(|| {
                *last_patient += 1;
                counts.patients += 1;
                for key in name::keys(&study.patient.name) {
                    self.name_keys.push((key, *last_patient));
                }
                (*last_patient, study.patient.clone())
            });
            let filled = fill(patient_fields(patient), patient_fields(&mut study.patient.clone()));
            if new || filled {
                self.patients.insert(*id, patient.clone());
            }
            if study.patient_id != 0 && study.patient_id != *id {
                self.left.push(study.patient_id);
            }
            study.patient_id = *id;
        }
    }

    /// The rows of studies and series to write.
    pub(in crate::store) fn changed<'a>(&self, memory: &'a Memory) -> Changed<'a> {
        let mut changed = Changed {
            studies: self.studies.keys().filter_map(|uid| memory.studies.get(uid)).collect(),
            series: self.series.iter().filter_map(|key| memory.series.get(key)).collect(),
            study_counts: Vec::new(),
            series_counts: Vec::new(),
        };
        let mut counted = HashSet::new();
        for (study, uid) in &self.counted {
            let Some(state) = memory.studies.get(study) else { continue };
            if !self.studies.contains_key(study) && counted.insert(state.id) {
                changed.study_counts.push(state);
            }
            let key = (state.id, uid.clone());
            if let Some(state) = memory.series.get(&key)
                && !self.series.contains(&key)
            {
                changed.series_counts.push(state);
            }
        }
        changed
    }
}

/// The sounds of a name as a question looks through them: each after a control character, which
/// stands in no sound.
pub(in crate::store) fn sounds_column(name: &str) -> String {
    name::sounds(name).iter().flat_map(|sound| ["\u{1}", sound.as_str()]).collect()
}

/// A number of which 0 says that it is absent.
pub(in crate::store) fn some(number: u32) -> Option<i64> {
    (number != 0).then(|| i64::from(number))
}
