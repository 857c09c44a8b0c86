//! What the writer remembers of the database, so that it need not ask while the same series go on
//! coming.

use std::collections::{HashMap, HashSet};

use super::merge::{Identity, SeriesState, StudyState};
use crate::app::imaging::ports::{IndexCounts, IndexEntry};
use crate::sharing::imaging::header::Patient;

/// Studies, series and words remembered; beyond that all are forgotten and read again.
const REMEMBERED_MAX: usize = 1024;

/// See the module.
#[derive(Debug, Default)]
pub(in crate::store) struct Memory {
    pub(in crate::store) counts: IndexCounts,
    pub(in crate::store) changes: i64,
    pub(in crate::store) last_patient: i64,
    pub(in crate::store) last_study: i64,
    pub(in crate::store) last_series: i64,
    pub(in crate::store) last_word: i64,
    pub(in crate::store) studies: HashMap<String, StudyState>,
    /// By study and UID.
    pub(in crate::store) series: HashMap<(i64, String), SeriesState>,
    pub(in crate::store) patients: HashMap<Identity, (i64, Patient)>,
    pub(in crate::store) words: HashMap<String, i64>,
}

impl Memory {
    /// Keeps it small.
    pub(in crate::store) fn trim(&mut self) {
        if self.studies.len() > REMEMBERED_MAX || self.series.len() > REMEMBERED_MAX {
            self.studies.clear();
            self.series.clear();
        }
        if self.patients.len() > REMEMBERED_MAX {
            self.patients.clear();
        }
        if self.words.len() > REMEMBERED_MAX {
            self.words.clear();
        }
    }

    /// Studies of `entries` that are not remembered.
    pub(in crate::store) fn unknown_studies<'a>(
        &self,
        entries: &'a [IndexEntry],
    ) -> HashSet<&'a str> {
        placed(entries)
            .map(|entry| entry.head.uids.study.as_str())
            .filter(|uid| !self.studies.contains_key(*uid))
            .collect()
    }

    /// Series of `entries`, in studies that are remembered, that are not remembered themselves.
    pub(in crate::store) fn unknown_series(
        &self,
        entries: &[IndexEntry],
    ) -> HashSet<(i64, String)> {
        let keys = placed(entries).filter_map(|entry| {
            let study = self.studies.get(&entry.head.uids.study)?;
            Some((study.id, entry.head.uids.series.clone()))
        });
        keys.filter(|key| !self.series.contains_key(key)).collect()
    }

    /// Words of `entries` that are not remembered.
    pub(in crate::store) fn unknown_words<'a>(
        &self,
        entries: &'a [IndexEntry],
    ) -> HashSet<&'a str> {
        entries
            .iter()
            .flat_map(|entry| {
                let image_type = &entry.header.instance.image_type;
                [&entry.head.sop_class, &entry.head.transfer_syntax, image_type]
            })
            .map(String::as_str)
            .filter(|word| !self.words.contains_key(*word))
            .collect()
    }

    pub(in crate::store) fn remember_study(&mut self, state: StudyState) {
        self.studies.insert(state.study.uid.clone(), state);
    }

    pub(in crate::store) fn remember_series(&mut self, state: SeriesState) {
        self.series.insert((state.study, state.series.uid.clone()), state);
    }

    pub(in crate::store) fn remember_patient(&mut self, id: i64, patient: Patient) {
        self.patients.insert(Identity::of(&patient), (id, patient));
    }
}

fn placed(entries: &[IndexEntry]) -> impl Iterator<Item = &IndexEntry> {
    entries.iter().filter(|entry| !entry.apart)
}
