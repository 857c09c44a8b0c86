//! Small random populations and random questions, answered by the index and by the model.

use dicom_core::Tag;
use dicom_dictionary_std::tags;

use super::model::{answers, key};
use super::{entry, find};
use crate::app::imaging::ports::{IndexCounts, IndexEntry, StudyIndex};
use crate::sharing::imaging::query::{Condition, Level, Match, Matching, Query};
use crate::sharing::imaging::{matching, name};

/// Populations, and questions to each.
const POPULATIONS: u64 = 4;
const QUESTIONS: u32 = 400;

const LEVELS: [Level; 4] = [Level::Patient, Level::Study, Level::Series, Level::Image];
const NAMES: [&str; 12] = [
    "",
    "王伟",
    "王小明",
    "王^小明",
    "Wang^Xiaoming=王^小明",
    "ＷＡＮＧ^Wei",
    "曾伟",
    "𠮷田^太郎",
    "买买提·吐尔逊",
    "单*?[]",
    "O'Brien-Smith^Sean",
    "张偉",
];
const TAGS: &[Tag] = &[
    tags::PATIENT_ID,
    tags::ISSUER_OF_PATIENT_ID,
    tags::PATIENT_NAME,
    tags::PATIENT_NAME,
    tags::PATIENT_BIRTH_DATE,
    tags::PATIENT_SEX,
    tags::STUDY_INSTANCE_UID,
    tags::STUDY_DATE,
    tags::STUDY_DATE,
    tags::STUDY_TIME,
    tags::ACCESSION_NUMBER,
    tags::STUDY_ID,
    tags::STUDY_DESCRIPTION,
    tags::REFERRING_PHYSICIAN_NAME,
    tags::PATIENT_AGE,
    tags::MODALITIES_IN_STUDY,
    tags::SOP_CLASSES_IN_STUDY,
    tags::SERIES_INSTANCE_UID,
    tags::SERIES_NUMBER,
    tags::MODALITY,
    tags::SERIES_DESCRIPTION,
    tags::SERIES_DATE,
    tags::SERIES_TIME,
    tags::BODY_PART_EXAMINED,
    tags::LATERALITY,
    tags::PROTOCOL_NAME,
    tags::INSTITUTION_NAME,
    tags::MANUFACTURER,
    tags::SOP_INSTANCE_UID,
    tags::SOP_CLASS_UID,
    tags::INSTANCE_NUMBER,
    tags::CONTENT_DATE,
    tags::CONTENT_TIME,
    tags::IMAGE_TYPE,
    tags::BURNED_IN_ANNOTATION,
    tags::COMPLETION_FLAG,
    tags::ROWS,
    tags::NUMBER_OF_FRAMES,
];

/// A small generator of numbers (xorshift), so that a failure names the seed that repeats it.
struct Dice(u64);

impl Dice {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from((self.0 >> 11) % u64::try_from(n).unwrap()).unwrap()
    }

    fn of<'a>(&mut self, texts: &[&'a str]) -> &'a str {
        texts[self.below(texts.len())]
    }
}

/// Up to 60 instances in up to 14 studies of up to 8 patients.
fn population(dice: &mut Dice) -> Vec<IndexEntry> {
    let mut entries = Vec::new();
    let patients: Vec<_> = (0..8)
        .map(|n| {
            let mut patient = entry(n, 1, 1).header.patient;
            patient.id = dice.of(&["", "1", "P1", "p1", "P-10*"]).to_owned();
            patient.issuer = dice.of(&["", "县医院", "B"]).to_owned();
            patient.name = dice.of(&NAMES).to_owned();
            patient.birth_date = dice.of(&["", "19600101", "19600102"]).to_owned();
            patient.sex = if patient.id.is_empty() { String::new() } else { "M".to_owned() };
            patient
        })
        .collect();
    for study in 1..=14 {
        let mut about = entry(study, 1, 1).header;
        about.patient = patients[dice.below(8)].clone();
        about.study.date = dice.of(&["", "20240101", "20240131", "20240201"]).to_owned();
        about.study.time = dice.of(&["", "10", "1030", "103000", "103059.5", "2359"]).to_owned();
        about.study.accession_number = dice.of(&["", "A1", "A2", "a1"]).to_owned();
        about.study.id = dice.of(&["", "1"]).to_owned();
        about.study.description = dice.of(&["", "CT Head", "头颅 CT 平扫", "ct[head]"]).to_owned();
        about.study.referring_physician = dice.of(&NAMES).to_owned();
        about.study.patient_age = dice.of(&["", "045Y"]).to_owned();
        for series in 1..=u32::try_from(1 + dice.below(2)).unwrap() {
            let mut about = about.clone();
            about.series.modality = dice.of(&["", "CT", "DX", "SR", "ct"]).to_owned();
            about.series.number = dice.of(&["", "1", "01", "2", "x"]).to_owned();
            about.series.description = dice.of(&["", "Axial 5mm", "轴位"]).to_owned();
            about.series.date = dice.of(&["", "20240101", "20240131"]).to_owned();
            about.series.time = dice.of(&["", "1030", "000000"]).to_owned();
            about.series.body_part = dice.of(&["", "HEAD", "CHEST"]).to_owned();
            about.series.laterality = dice.of(&["", "L", "R"]).to_owned();
            about.series.protocol = dice.of(&["", "Head\"routine\""]).to_owned();
            about.series.institution = dice.of(&["", "上饶县医院"]).to_owned();
            about.series.manufacturer = dice.of(&["", "ACME", "Acme"]).to_owned();
            for instance in 1..=u32::try_from(1 + dice.below(3)).unwrap() {
                let mut one = entry(study, series, instance);
                one.head.sop_class = dice.of(&["1.2.3", "1.2.3.4", "1.2"]).to_owned();
                let mut header = about.clone();
                header.series.uid.clone_from(&one.head.uids.series);
                header.instance = one.header.instance;
                header.instance.sop_class.clone_from(&one.head.sop_class);
                header.instance.number = dice.of(&["", "1", "2", "10", "-1"]).to_owned();
                header.instance.content_date = dice.of(&["", "20240131"]).to_owned();
                header.instance.content_time = dice.of(&["", "10", "1100"]).to_owned();
                header.instance.image_type = dice
                    .of(&["", r"ORIGINAL\PRIMARY\AXIAL", r"DERIVED\SECONDARY", r"A\\B"])
                    .to_owned();
                header.instance.burned_in_annotation = dice.of(&["", "YES", "NO"]).to_owned();
                header.instance.report_state = dice.of(&["", r"COMPLETE\VERIFIED"]).to_owned();
                header.instance.rows = u32::try_from(dice.below(3) * 256).unwrap();
                header.instance.frames = u32::try_from(dice.below(3)).unwrap();
                one.header = header;
                entries.push(one);
            }
        }
    }
    entries
}

fn text(dice: &mut Dice, entries: &[IndexEntry], tag: Tag) -> String {
    let entry = &entries[dice.below(entries.len())];
    let value = match tag {
        tags::MODALITIES_IN_STUDY => entry.header.series.modality.clone(),
        tags::SOP_CLASSES_IN_STUDY => entry.head.sop_class.clone(),
        tag => matching::value(&entry.header, tag).into_owned(),
    };
    let chars: Vec<char> = value.chars().collect();
    match dice.below(6) {
        0 => value.to_lowercase(),
        1 => value.to_uppercase(),
        2 => chars[..dice.below(chars.len() + 1)].iter().collect(),
        3 => value.split('\\').next_back().unwrap().to_owned(),
        _ => value,
    }
}

fn pattern(dice: &mut Dice, text: &str) -> String {
    let mut pattern: Vec<char> = text.chars().collect();
    for _ in 0..=dice.below(2) {
        let at = dice.below(pattern.len() + 1);
        match dice.below(3) {
            0 if at < pattern.len() => pattern[at] = '?',
            1 => pattern.truncate(at),
            _ => {
                pattern.drain(..at);
                pattern.insert(0, '*');
            }
        }
    }
    if dice.below(2) == 0 {
        pattern.push('*');
    }
    pattern.into_iter().collect()
}

fn question(dice: &mut Dice, entries: &[IndexEntry]) -> Query {
    let mut conditions: Vec<Condition> = Vec::new();
    for _ in 0..=dice.below(3) {
        let tag = TAGS[dice.below(TAGS.len())];
        if conditions.iter().any(|c| c.tag == tag) {
            continue;
        }
        let value = text(dice, entries, tag);
        let matching = match dice.below(6) {
            1 => Matching::AnyOf(vec![value, text(dice, entries, tag)]),
            2 => Matching::Range { from: value, to: text(dice, entries, tag) },
            3 if tag == tags::PATIENT_NAME || tag == tags::REFERRING_PHYSICIAN_NAME => {
                let sounds: Vec<_> = name::sounds(&value).into_iter().collect();
                let sound = sounds.get(dice.below(sounds.len().max(1))).cloned();
                let cut = dice.below(4);
                Matching::Fuzzy(
                    sound
                        .unwrap_or(value)
                        .chars()
                        .rev()
                        .skip(cut)
                        .collect::<Vec<_>>()
                        .into_iter()
                        .rev()
                        .collect(),
                )
            }
            0 | 4 => Matching::Single(value),
            _ => Matching::Wildcard(pattern(dice, &value)),
        };
        conditions.push(Condition { tag, matching });
    }
    if dice.below(4) == 0 {
        let value = |dice: &mut Dice, tag| text(dice, entries, tag);
        for tag in [tags::STUDY_DATE, tags::STUDY_TIME] {
            conditions.retain(|c| c.tag != tag);
            let (from, to) = (value(dice, tag), value(dice, tag));
            conditions.push(Condition { tag, matching: Matching::Range { from, to } });
        }
    }
    Query {
        level: LEVELS[dice.below(4)],
        conditions,
        combined_date_time: dice.below(2) == 0,
        offset: 0,
        limit: 1000,
    }
}

fn found_key(level: Level, found: &Match) -> String {
    let mut entry = entry(1, 1, 1);
    entry.header.clone_from(&found.header);
    entry.head.uids.study.clone_from(&found.header.study.uid);
    entry.head.uids.series.clone_from(&found.header.series.uid);
    entry.head.uids.instance.clone_from(&found.header.instance.uid);
    key(level, &entry)
}

pub(super) async fn answers_are_those_of_the_model(index: &dyn StudyIndex) {
    let mut answered = 0;
    for seed in 1..=POPULATIONS {
        index.clear().await.unwrap();
        let mut dice = Dice::new(seed);
        let mut entries = population(&mut dice);
        // Issuers are no part of the model's key.
        for entry in &mut entries {
            let issuer = if entry.header.patient.id == "1" { "县医院" } else { "" };
            issuer.clone_into(&mut entry.header.patient.issuer);
        }
        for batch in entries.chunks(7) {
            index.add(batch.to_vec()).await.unwrap();
        }
        for number in 0..QUESTIONS {
            let asked = question(&mut dice, &entries);
            let found = index.find(asked.clone()).await.unwrap();
            let wanted = answers(&entries, &asked);
            let keys: Vec<_> = found.iter().map(|m| found_key(asked.level, m)).collect();
            let mut sorted = keys.clone();
            sorted.sort();
            let expected: Vec<_> = wanted.into_iter().collect();
            assert_eq!(sorted, expected, "seed {seed}, question {number}: {asked:?}");
            answered += usize::from(!found.is_empty() && found.len() < 8);
            if asked.level != Level::Patient {
                let moments: Vec<_> =
                    found.iter().map(|m| (&m.header.study.date, &m.header.study.time)).collect();
                assert!(moments.is_sorted_by(|a, b| a >= b), "{asked:?}");
            }
            let from = dice.below(found.len() + 1);
            let limit = dice.below(5);
            let mut page = asked;
            page.offset = u64::try_from(from).unwrap();
            page.limit = u64::try_from(limit).unwrap();
            let to = (from + limit).min(found.len());
            let paged = index.find(page.clone()).await.unwrap();
            let keys_of_page: Vec<_> = paged.iter().map(|m| found_key(page.level, m)).collect();
            assert_eq!(keys_of_page, keys[from..to], "seed {seed}, question {number}: {page:?}");
            assert_eq!(paged, found[from..to]);
        }
    }
    assert!(answered > 300, "{answered} questions had a few answers: too few to tell much");
}

pub(super) async fn counts_survive_random_removals(index: &dyn StudyIndex) {
    let mut dice = Dice::new(99);
    let mut entries = population(&mut dice);
    index.add(entries.clone()).await.unwrap();
    while !entries.is_empty() {
        let gone = entries.swap_remove(dice.below(entries.len()));
        index.remove(gone.digest, 1).await.unwrap();
        if dice.below(8) != 0 && entries.len() > 1 {
            continue;
        }
        let count = |level| {
            let asked =
                Query { level, conditions: vec![], combined_date_time: false, offset: 0, limit: 1 };
            u64::try_from(answers(&entries, &asked).len()).unwrap()
        };
        let counts = index.counts().await.unwrap();
        assert_eq!(counts.studies, count(Level::Study));
        assert_eq!(counts.series, count(Level::Series));
        assert_eq!(counts.instances, count(Level::Image));
        for found in find(index, Level::Study, vec![]).await {
            let mine: Vec<_> =
                entries.iter().filter(|e| e.head.uids.study == found.header.study.uid).collect();
            assert_eq!(found.instances, u64::try_from(mine.len()).unwrap());
            assert_eq!(found.bytes, mine.iter().map(|e| e.location.length).sum::<u64>());
            for class in &found.sop_classes {
                assert!(mine.iter().any(|e| &e.head.sop_class == class));
            }
        }
    }
    assert_eq!(index.counts().await.unwrap(), IndexCounts::default());
}
