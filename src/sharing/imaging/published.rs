//! What a node tells its hub of a study, and the keys under which a region finds a patient.
//!
//! Nothing but this leaves the node until somebody with a reason asks for the images. A region is
//! never listed: a question names a patient by ID, or by whole name and birth date, and each of
//! these is a key that is looked up exactly.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::header::{Header, Patient, Series, Study};
use super::name;
use super::object::Digest;
use crate::sharing::recognition::{Report, SeriesFacts};

/// Bytes of a key.
pub const KEY_BYTES: usize = 16;
/// Keys of one patient at most: a name has few readings.
const KEYS_MAX: usize = 24;

/// A key: a digest of what it stands for, so that all are of one size.
pub type Key = [u8; KEY_BYTES];

/// A study as it is published.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PublishedStudy {
    /// Patient.
    pub patient: Patient,
    /// Study.
    pub study: Study,
    /// Modalities, sorted.
    pub modalities: Vec<String>,
    /// Its series.
    pub series: Vec<PublishedSeries>,
    /// Its report, as far as it is among the objects.
    pub report: PublishedReport,
    /// Instances.
    pub instances: u64,
    /// Bytes.
    pub bytes: u64,
    /// Objects kept apart.
    pub kept_apart: u64,
    /// SHA-256 over the digests of its objects in order of SOP instance UID, hex: two nodes that
    /// hold the same objects publish the same. Empty where the node does not have the objects.
    pub content: String,
    /// How it is held.
    pub held: Held,
    /// Whether the declared character set did not fit the text, and another was found to fit.
    pub character_set_guessed: bool,
}

/// How a node holds a study.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Held {
    /// In its archive, as its own.
    #[default]
    Own,
    /// In its archive, fetched from another node.
    Copy,
    /// In the PACS behind it; fetched from there when asked for.
    Behind,
}

/// A series as it is published.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PublishedSeries {
    /// Attributes.
    pub series: Series,
    /// What recognition asks of its images.
    pub quality: SeriesFacts,
}

/// The report of a study as it is published.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PublishedReport {
    /// State; none if it is not known.
    pub state: Option<Report>,
    /// Title.
    pub title: String,
    /// SOP instance UID; empty without a report object.
    pub instance: String,
}

/// A question for one patient's studies. One of the three ways must be complete.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PatientQuestion {
    /// Patient ID, whole.
    pub patient_id: String,
    /// Name, whole, in one script or in pinyin.
    pub name: String,
    /// Birth date, `YYYYMMDD`; goes with the name.
    pub birth_date: String,
    /// Study instance UIDs.
    pub studies: Vec<String>,
}

/// Which part of a question a study answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FoundBy {
    /// The study's UID.
    Study,
    /// The patient ID. Hospitals give out their own, so it may be another person's.
    PatientId,
    /// Name as written, and birth date.
    Name,
    /// Name by its sound, and birth date.
    Sound,
}

impl PublishedStudy {
    /// The keys under which the region finds it.
    pub fn keys(&self) -> BTreeSet<Key> {
        let Patient { id, name, birth_date, .. } = &self.patient;
        let mut keys = BTreeSet::new();
        keys.insert(study_key(&self.study.uid));
        if !id.trim().is_empty() {
            keys.insert(id_key(id));
        }
        if !birth_date.is_empty() {
            keys.extend(name_keys(name, birth_date));
            keys.extend(sound_keys(name, birth_date));
        }
        keys
    }

    /// Who it is about, in words that are the same for all studies of one patient of one hospital.
    pub fn person(&self) -> String {
        let Patient { id, name, birth_date, .. } = &self.patient;
        person(id, name, birth_date).unwrap_or_else(|| format!("study {}", self.study.uid.trim()))
    }

    /// One header of each series, as an index would give them.
    pub fn headers(&self) -> Vec<Header> {
        self.series
            .iter()
            .map(|series| Header {
                patient: self.patient.clone(),
                study: self.study.clone(),
                series: series.series.clone(),
                character_set_guessed: self.character_set_guessed,
                ..Header::default()
            })
            .collect()
    }
}

impl PatientQuestion {
    /// Whether it names somebody or something.
    pub fn is_complete(&self) -> bool {
        let named = !name::look(&self.name).is_empty() && !self.birth_date.is_empty();
        named || !self.patient_id.trim().is_empty() || !self.studies.is_empty()
    }

    /// Whom it asks for, in the words of [`PublishedStudy::person`].
    pub fn person(&self) -> String {
        let study = || format!("study {}", self.studies.first().map_or("", |uid| uid.trim()));
        person(&self.patient_id, &self.name, &self.birth_date).unwrap_or_else(study)
    }

    /// What to look up, the surest way first.
    pub fn keys(&self) -> Vec<(FoundBy, Key)> {
        let mut keys: Vec<(FoundBy, Key)> =
            self.studies.iter().map(|uid| (FoundBy::Study, study_key(uid))).collect();
        if !self.patient_id.trim().is_empty() {
            keys.push((FoundBy::PatientId, id_key(&self.patient_id)));
        }
        if !self.birth_date.is_empty() {
            let names = name_keys(&self.name, &self.birth_date);
            keys.extend(names.into_iter().map(|key| (FoundBy::Name, key)));
            let sounds = sound_keys(&self.name, &self.birth_date);
            keys.extend(sounds.into_iter().map(|key| (FoundBy::Sound, key)));
        }
        keys
    }
}

/// SHA-256 over the digests of a study's objects, which come in order of SOP instance UID.
#[derive(Debug, Default)]
pub struct ContentHash(Sha256);

impl ContentHash {
    /// Adds the next object.
    pub fn add(&mut self, instance: &str, digest: &Digest) {
        self.0.update(instance.as_bytes());
        self.0.update([0]);
        self.0.update(digest.0);
    }

    /// The hash in hex.
    pub fn finish(self) -> String {
        Digest(self.0.finalize().into()).to_string()
    }
}

fn key(kind: &str, parts: [&str; 2]) -> Key {
    let mut hash = Sha256::new();
    for part in [kind, parts[0], parts[1]] {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    let all: [u8; 32] = hash.finalize().into();
    let mut key = [0; KEY_BYTES];
    for (to, from) in key.iter_mut().zip(all) {
        *to = from;
    }
    key
}

fn person(id: &str, name: &str, birth_date: &str) -> Option<String> {
    let (id, look) = (id.trim(), name::look(name));
    match (id, look.as_str()) {
        ("", "") => None,
        ("", look) => Some(format!("name {look} {birth_date}")),
        (id, _) => Some(format!("id {id}")),
    }
}

fn study_key(uid: &str) -> Key {
    key("study", [uid.trim(), ""])
}

fn id_key(id: &str) -> Key {
    key("id", [id.trim(), ""])
}

/// One key for each component group.
fn name_keys(name: &str, birth_date: &str) -> BTreeSet<Key> {
    let look = name::look(name);
    let groups = look.split('=').filter(|group| !group.is_empty());
    groups.take(KEYS_MAX).map(|group| key("name", [group, birth_date])).collect()
}

/// One key for each reading of each component group.
fn sound_keys(name: &str, birth_date: &str) -> BTreeSet<Key> {
    let look = name::look(name);
    let groups = look.split('=').filter(|group| !group.is_empty());
    let spelt = groups.flat_map(name::spellings);
    spelt.take(KEYS_MAX).map(|spelling| key("sound", [&spelling, birth_date])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn study(name: &str, birth_date: &str) -> PublishedStudy {
        PublishedStudy {
            patient: Patient {
                id: "A1".into(),
                name: name.into(),
                birth_date: birth_date.into(),
                ..Patient::default()
            },
            study: Study { uid: "1.2.3".into(), ..Study::default() },
            ..PublishedStudy::default()
        }
    }

    fn found(study: &PublishedStudy, question: &PatientQuestion) -> Option<FoundBy> {
        let keys = study.keys();
        question.keys().into_iter().find(|(_, key)| keys.contains(key)).map(|(by, _)| by)
    }

    fn by_name(name: &str, birth_date: &str) -> PatientQuestion {
        PatientQuestion {
            name: name.into(),
            birth_date: birth_date.into(),
            ..PatientQuestion::default()
        }
    }

    #[test]
    fn a_whole_name_with_the_birth_date_finds_a_study_and_less_does_not() {
        let held = study("Zhang^San=张^三", "19600131");
        assert_eq!(found(&held, &by_name("张三", "19600131")), Some(FoundBy::Name));
        assert_eq!(found(&held, &by_name("ＺＨＡＮＧ San", "19600131")), Some(FoundBy::Name));
        assert_eq!(found(&held, &by_name("張三", "19600131")), Some(FoundBy::Name));
        for (name, birth) in [("张三", "19600201"), ("张", "19600131"), ("张*", "19600131")] {
            assert_eq!(found(&held, &by_name(name, birth)), None, "{name}");
        }
        assert!(!by_name("张三", "").is_complete());
        assert!(!by_name("", "19600131").is_complete());
        assert!(!by_name("^=^", "19600131").is_complete());
    }

    #[test]
    fn a_name_kept_in_pinyin_is_found_by_its_characters_and_is_told_apart() {
        let held = study("ZHANG^SAN", "19600131");
        assert_eq!(found(&held, &by_name("张三", "19600131")), Some(FoundBy::Sound));
        let held = study("张三", "19600131");
        assert_eq!(found(&held, &by_name("zhang san", "19600131")), Some(FoundBy::Sound));
        // 单 is read shan as a family name, dan otherwise.
        let held = study("SHAN^WEI", "19600131");
        assert_eq!(found(&held, &by_name("单伟", "19600131")), Some(FoundBy::Sound));
        assert_eq!(found(&held, &by_name("zs", "19600131")), None, "initials are no name");
    }

    #[test]
    fn an_id_and_a_study_uid_find_a_study_as_they_stand() {
        let held = study("张三", "");
        let id = PatientQuestion { patient_id: " A1 ".into(), ..PatientQuestion::default() };
        assert_eq!(found(&held, &id), Some(FoundBy::PatientId));
        let other = PatientQuestion { patient_id: "a1".into(), ..PatientQuestion::default() };
        assert_eq!(found(&held, &other), None);
        let uid = PatientQuestion { studies: vec!["1.2.3".into()], ..PatientQuestion::default() };
        assert_eq!(found(&held, &uid), Some(FoundBy::Study));
        assert_eq!(found(&held, &by_name("张三", "")), None);
    }

    #[test]
    fn the_same_objects_give_the_same_content_and_others_another() {
        let of = |pairs: &[(&str, u8)]| {
            let mut hash = ContentHash::default();
            for (uid, byte) in pairs {
                hash.add(uid, &Digest([*byte; 32]));
            }
            hash.finish()
        };
        assert_eq!(of(&[("1", 1), ("2", 2)]), of(&[("1", 1), ("2", 2)]));
        assert_ne!(of(&[("1", 1), ("2", 2)]), of(&[("1", 1)]));
        assert_ne!(of(&[("1", 1), ("2", 2)]), of(&[("1", 2), ("2", 1)]));
    }
}
