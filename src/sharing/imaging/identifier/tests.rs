//! What identifiers of other systems ask for.

use dicom_core::dictionary::{DataDictionary, DataDictionaryEntry};
use dicom_core::{Tag, VR};
use dicom_dictionary_std::{StandardDataDictionary, tags};
use proptest::prelude::*;

use super::{Asked, Chosen, KEY_VALUES_MAX, Problem, Root, Rules};
use crate::sharing::imaging::charset::{Encoding, Kind};
use crate::sharing::imaging::element::{Element, ElementSet, Value};
use crate::sharing::imaging::query::{Condition, Level, Matching};

const RULES: Rules = Rules {
    root: Root::Study,
    relational: false,
    combined_date_time: false,
    fuzzy_names: false,
    answers_max: 100,
};
const RELATIONAL: Rules = Rules { relational: true, ..RULES };

fn set(keys: &[(Tag, &[u8])]) -> ElementSet {
    let mut set = ElementSet::default();
    for (tag, bytes) in keys {
        let vr = StandardDataDictionary.by_tag(*tag).map_or(VR::UN, |e| e.vr().relaxed());
        let value = if vr == VR::SQ { Value::Items(vec![]) } else { Value::Bytes(bytes.to_vec()) };
        set.insert(Element { tag: *tag, vr, value });
    }
    set
}

fn at(level: &str, keys: &[(Tag, &[u8])]) -> ElementSet {
    let mut set = set(keys);
    set.insert(Element {
        tag: tags::QUERY_RETRIEVE_LEVEL,
        vr: VR::CS,
        value: Value::Bytes(level.as_bytes().to_vec()),
    });
    set
}

/// The matching of one key of a study question.
fn matched(tag: Tag, value: &str) -> Result<Option<Matching>, Problem> {
    let asked = Asked::read(&at("STUDY ", &[(tag, value.as_bytes())]), &RELATIONAL)?;
    assert!(asked.query.conditions.len() <= 1);
    Ok(asked.query.conditions.into_iter().next().map(|condition| condition.matching))
}

fn range(from: &str, to: &str) -> Matching {
    Matching::Range { from: from.to_owned(), to: to.to_owned() }
}

#[test]
fn a_question_has_conditions_wanted_attributes_and_what_is_not_supported() {
    let identifier = at(
        "STUDY",
        &[
            (tags::SPECIFIC_CHARACTER_SET, b"ISO_IR 192"),
            (tags::STUDY_DATE, b"20230101-20231231"),
            (tags::PATIENT_NAME, "*王*".as_bytes()),
            (tags::PATIENT_ID, b""),
            (tags::STUDY_INSTANCE_UID, b""),
            (tags::MODALITIES_IN_STUDY, b"CT\\MR"),
            (tags::NUMBER_OF_STUDY_RELATED_INSTANCES, b""),
            (tags::PROCEDURE_CODE_SEQUENCE, b""),
            (tags::OTHER_PATIENT_NAMES, b""),
            (tags::PATIENT_AGE, b"045Y"),
            (Tag(0x0009, 0x1001), b"x"),
            (Tag(0x0010, 0x0000), b"\0\0\0\0"),
        ],
    );
    let asked = Asked::read(&identifier, &RULES).unwrap();
    assert_eq!(asked.level, Level::Study);
    assert_eq!((asked.query.level, asked.query.limit), (Level::Study, 100));
    assert_eq!(
        asked.query.conditions,
        [
            Condition { tag: tags::STUDY_DATE, matching: range("20230101", "20231231") },
            Condition {
                tag: tags::MODALITIES_IN_STUDY,
                matching: Matching::AnyOf(vec!["CT".to_owned(), "MR".to_owned()])
            },
            Condition { tag: tags::PATIENT_NAME, matching: Matching::Wildcard("*王*".to_owned()) },
        ]
    );
    assert_eq!(
        asked.wanted,
        [
            tags::STUDY_DATE,
            tags::MODALITIES_IN_STUDY,
            tags::PROCEDURE_CODE_SEQUENCE,
            tags::PATIENT_NAME,
            tags::PATIENT_ID,
            tags::PATIENT_AGE,
            tags::STUDY_INSTANCE_UID,
            tags::NUMBER_OF_STUDY_RELATED_INSTANCES,
        ]
    );
    assert_eq!(asked.ignored, [Tag(0x0009, 0x1001), tags::OTHER_PATIENT_NAMES, tags::PATIENT_AGE]);
}

#[test]
fn every_kind_of_matching_is_told_apart() {
    let single = |text: &str| Ok(Some(Matching::Single(text.to_owned())));
    let wildcard = |text: &str| Ok(Some(Matching::Wildcard(text.to_owned())));
    for (tag, universal) in [
        (tags::PATIENT_NAME, "*"),
        (tags::PATIENT_NAME, "**"),
        (tags::PATIENT_NAME, "  "),
        (tags::STUDY_DATE, "*"),
        (tags::STUDY_INSTANCE_UID, "*"),
        (tags::MODALITIES_IN_STUDY, "CT\\*"),
    ] {
        assert_eq!(matched(tag, universal), Ok(None), "{tag} {universal}");
    }
    assert_eq!(matched(tags::PATIENT_ID, " 12 "), single("12"));
    assert_eq!(matched(tags::PATIENT_NAME, "Wang^?ei"), wildcard("Wang^?ei"));
    assert_eq!(matched(tags::ACCESSION_NUMBER, "A*"), wildcard("A*"));
    // `*` and `?` are ordinary characters in these.
    assert_eq!(matched(tags::SERIES_NUMBER, "1?"), single("1?"));
    assert_eq!(matched(tags::STUDY_INSTANCE_UID, "1.2.3\0"), single("1.2.3"));
    assert_eq!(
        matched(tags::STUDY_INSTANCE_UID, "1.2\\1.3\\"),
        Ok(Some(Matching::AnyOf(vec!["1.2".to_owned(), "1.3".to_owned()])))
    );
    for bad in ["1.2.*", "1 2", &"1".repeat(65), "1.2\\1.é"] {
        let problem = matched(tags::STUDY_INSTANCE_UID, bad).unwrap_err();
        assert_eq!(problem.tag(), tags::STUDY_INSTANCE_UID, "{bad}");
    }
    let fuzzy = Rules { fuzzy_names: true, ..RULES };
    for (name, expected) in [
        ("wang", Matching::Fuzzy("wang".to_owned())),
        ("wang*", Matching::Wildcard("wang*".to_owned())),
    ] {
        let identifier = at("STUDY", &[(tags::PATIENT_NAME, name.as_bytes())]);
        assert_eq!(
            Asked::read(&identifier, &fuzzy).unwrap().query.conditions[0].matching,
            expected
        );
    }
}

#[test]
fn dates_and_times_are_ranges_of_what_they_mean() {
    let single = |text: &str| Ok(Some(Matching::Single(text.to_owned())));
    assert_eq!(matched(tags::STUDY_DATE, "20230131"), single("20230131"));
    assert_eq!(matched(tags::STUDY_DATE, "2023.01.31"), single("20230131"));
    assert_eq!(matched(tags::STUDY_DATE, "-20230131"), Ok(Some(range("", "20230131"))));
    assert_eq!(matched(tags::STUDY_DATE, "20230131- "), Ok(Some(range("20230131", ""))));
    assert_eq!(
        matched(tags::STUDY_DATE, "2023.01.01-2023.01.31"),
        Ok(Some(range("20230101", "20230131")))
    );
    for (text, from, to) in [
        ("1015", "101500.000000", "101559.999999"),
        ("08-1200", "080000.000000", "120059.999999"),
        ("-12:00:00", "", "120000.999999"),
        ("101530.5-", "101530.500000", ""),
    ] {
        assert_eq!(matched(tags::STUDY_TIME, text), Ok(Some(range(from, to))), "{text}");
    }
    for (tag, bad) in [
        (tags::STUDY_DATE, "2023"),
        (tags::STUDY_DATE, "-"),
        (tags::STUDY_DATE, "20230101-20230231"),
        (tags::STUDY_DATE, "2023*"),
        (tags::STUDY_TIME, "25"),
        (tags::STUDY_TIME, "-"),
        (tags::PATIENT_BIRTH_DATE, "王"),
    ] {
        let problem = matched(tag, bad).unwrap_err();
        assert!(matches!(problem, Problem::Value { .. }) && problem.tag() == tag, "{bad}");
        assert!(!problem.to_string().contains(bad) || bad == "-", "{problem}");
    }
}

#[test]
fn chinese_keys_are_understood_in_every_declaration() {
    for (declared, encoding, answer) in [
        ("ISO_IR 192", Encoding::Utf8, Some(Encoding::Utf8)),
        ("GB18030", Encoding::Gb18030, Some(Encoding::Gb18030)),
        ("GBK", Encoding::Gbk, Some(Encoding::Gbk)),
        ("\\ISO 2022 IR 58", Encoding::Iso2022Gb2312, Some(Encoding::Iso2022Gb2312)),
        ("ISO_IR 100", Encoding::Gbk, Some(Encoding::Gb18030)),
        ("", Encoding::Gbk, Some(Encoding::Gb18030)),
        ("", Encoding::Utf8, Some(Encoding::Utf8)),
    ] {
        let name = encoding.encode("*王^伟*", Kind::Names).unwrap();
        let keys =
            [(tags::SPECIFIC_CHARACTER_SET, declared.as_bytes()), (tags::PATIENT_NAME, &name)];
        let asked = Asked::read(&at("STUDY", &keys), &RULES).unwrap();
        assert_eq!(
            asked.query.conditions[0].matching,
            Matching::Wildcard("*王^伟*".to_owned()),
            "{declared}"
        );
        assert!(!asked.wanted.contains(&tags::SPECIFIC_CHARACTER_SET));
        assert_eq!(asked.encoding, answer, "{declared}");
    }
}

#[test]
fn a_level_is_needed_and_must_belong_to_the_information_model() {
    for (level, root, expected) in [
        ("", Root::Study, Err(Problem::LevelMissing)),
        ("PATIENT", Root::Study, Err(Problem::LevelIllegal)),
        ("SERIES", Root::PatientStudyOnly, Err(Problem::LevelIllegal)),
        ("FRAME", Root::Patient, Err(Problem::LevelIllegal)),
        ("PATIENT ", Root::Patient, Ok(Level::Patient)),
        ("study", Root::Study, Ok(Level::Study)),
    ] {
        let asked = Asked::read(&at(level, &[]), &Rules { root, ..RULES });
        assert_eq!(asked.map(|a| a.level), expected, "{level} {root:?}");
    }
    let problem = Asked::read(&ElementSet::default(), &RULES).unwrap_err();
    assert_eq!(problem.tag(), tags::QUERY_RETRIEVE_LEVEL);
}

#[test]
fn without_relational_queries_the_hierarchy_is_kept() {
    let missing = Asked::read(&at("SERIES", &[(tags::MODALITY, b"CT")]), &RULES);
    assert_eq!(
        missing,
        Err(Problem::UniqueKeyMissing { tag: tags::STUDY_INSTANCE_UID, level: Level::Study })
    );
    for several in [b"1.2\\1.3".as_slice(), b"1.*", b"*"] {
        let keys = [(tags::STUDY_INSTANCE_UID, several)];
        assert_eq!(
            Asked::read(&at("SERIES", &keys), &RULES),
            Err(Problem::UniqueKeyNotSingle { tag: tags::STUDY_INSTANCE_UID })
        );
    }
    let patient_root = Rules { root: Root::Patient, ..RULES };
    let study = at("STUDY", &[(tags::STUDY_INSTANCE_UID, b"1.2")]);
    assert_eq!(Asked::read(&study, &patient_root).unwrap_err().tag(), tags::PATIENT_ID);
    // A key of a lower level is not supported there, and relational queries look below.
    let below = at("STUDY", &[(tags::MODALITY, b"CT")]);
    let asked = Asked::read(&below, &RULES).unwrap();
    assert_eq!(
        (asked.ignored.as_slice(), asked.query.conditions.len()),
        (&[tags::MODALITY][..], 0)
    );
    let asked = Asked::read(&below, &RELATIONAL).unwrap();
    assert_eq!((asked.ignored.len(), asked.wanted.len()), (0, 0));
    assert_eq!(asked.query.conditions[0].tag, tags::MODALITY);
    assert!(Asked::read(&at("IMAGE", &[]), &RELATIONAL).is_ok());
}

#[test]
fn known_sequences_are_matched_by_their_items() {
    let mut identifier = at("SERIES", &[]);
    let item = set(&[
        (tags::REQUESTED_PROCEDURE_ID, b"RP1"),
        (tags::SCHEDULED_PROCEDURE_STEP_ID, b""),
        (tags::STUDY_DATE, b"x"),
    ]);
    identifier.insert(Element {
        tag: tags::REQUEST_ATTRIBUTES_SEQUENCE,
        vr: VR::SQ,
        value: Value::Items(vec![item]),
    });
    identifier.insert(Element {
        tag: tags::REFERENCED_STUDY_SEQUENCE,
        vr: VR::SQ,
        value: Value::Items(vec![]),
    });
    let asked = Asked::read(&identifier, &RELATIONAL).unwrap();
    assert_eq!(asked.wanted, [tags::REQUEST_ATTRIBUTES_SEQUENCE]);
    assert_eq!(
        asked.query.conditions,
        [Condition {
            tag: tags::REQUESTED_PROCEDURE_ID,
            matching: Matching::Single("RP1".to_owned())
        }]
    );
    assert_eq!(asked.ignored, [tags::REFERENCED_STUDY_SEQUENCE, tags::STUDY_DATE]);
}

#[test]
fn a_retrieve_names_what_it_wants() {
    let keys: [(Tag, &[u8]); 3] = [
        (tags::PATIENT_ID, b"P1 "),
        (tags::STUDY_INSTANCE_UID, b"1.2"),
        (tags::SERIES_INSTANCE_UID, b"1.2.1\\1.2.2"),
    ];
    let chosen = Chosen::read(&at("SERIES", &keys), Root::Patient).unwrap();
    assert_eq!(
        chosen,
        Chosen {
            level: Level::Series,
            patient_id: Some("P1".to_owned()),
            studies: vec!["1.2".to_owned()],
            series: vec!["1.2.1".to_owned(), "1.2.2".to_owned()],
            instances: vec![],
        }
    );
    // Keys below the level say nothing.
    let chosen = Chosen::read(&at("STUDY", &keys), Root::Study).unwrap();
    assert!(chosen.series.is_empty());
    for (level, keys, root, expected) in [
        (
            "STUDY",
            vec![],
            Root::Study,
            Problem::UniqueKeyMissing { tag: tags::STUDY_INSTANCE_UID, level: Level::Study },
        ),
        (
            "PATIENT",
            vec![],
            Root::Patient,
            Problem::UniqueKeyMissing { tag: tags::PATIENT_ID, level: Level::Patient },
        ),
        (
            "PATIENT",
            vec![(tags::PATIENT_ID, b"P*".as_slice())],
            Root::Patient,
            Problem::UniqueKeyNotSingle { tag: tags::PATIENT_ID },
        ),
        (
            "SERIES",
            vec![
                (tags::STUDY_INSTANCE_UID, b"1\\2".as_slice()),
                (tags::SERIES_INSTANCE_UID, b"3".as_slice()),
            ],
            Root::Study,
            Problem::UniqueKeyNotSingle { tag: tags::STUDY_INSTANCE_UID },
        ),
        (
            "STUDY",
            vec![(tags::STUDY_INSTANCE_UID, b"*".as_slice())],
            Root::Study,
            Problem::Value { tag: tags::STUDY_INSTANCE_UID, must_be: "one UID or a list of UIDs" },
        ),
    ] {
        assert_eq!(Chosen::read(&at(level, &keys), root), Err(expected), "{level}");
    }
}

#[test]
fn endless_lists_are_refused() {
    let many = vec!["1.2"; KEY_VALUES_MAX + 1].join("\\");
    assert_eq!(
        matched(tags::STUDY_INSTANCE_UID, &many),
        Err(Problem::TooMuch { tag: tags::STUDY_INSTANCE_UID })
    );
    let long = "王".repeat(super::KEY_CHARACTERS_MAX + 1);
    assert_eq!(
        matched(tags::PATIENT_NAME, &long),
        Err(Problem::TooMuch { tag: tags::PATIENT_NAME })
    );
}

proptest! {
    #[test]
    fn any_identifier_is_read_or_refused(
        level in prop::sample::select(vec!["PATIENT", "STUDY", "SERIES", "IMAGE", ""]),
        relational: bool,
        keys in prop::collection::vec((0..64_usize, prop::collection::vec(any::<u8>(), 0..20)), 0..8),
    ) {
        let attributes = crate::sharing::imaging::attribute::ATTRIBUTES;
        let keys: Vec<(Tag, &[u8])> = keys
            .iter()
            .map(|(at, bytes)| (attributes[at % attributes.len()].tag, bytes.as_slice()))
            .collect();
        let identifier = at(level, &keys);
        let rules = Rules { relational, root: Root::Patient, ..RULES };
        if let Ok(asked) = Asked::read(&identifier, &rules) {
            prop_assert!(asked.wanted.is_sorted());
        }
        let _ = Chosen::read(&identifier, Root::Patient);
    }
}
