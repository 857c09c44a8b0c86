//! The table against the dictionary, and what is read at which level.

use dicom_core::dictionary::{DataDictionary, DataDictionaryEntry};
use dicom_dictionary_std::{StandardDataDictionary, tags};

use super::{ATTRIBUTES, About, At, Attribute, Held};
use crate::sharing::imaging::header::WANTED;
use crate::sharing::imaging::query::{Level, Match};

fn found() -> Match {
    let mut found = Match { studies: 3, series: 5, instances: 7, ..Match::default() };
    found.modalities = vec!["CT".to_owned(), "SR".to_owned()];
    found.header.study.time = "101500.000000".to_owned();
    found.header.series.anatomic_region = "Head".to_owned();
    found.header.series.anatomic_region_code = "SCT:69536005".to_owned();
    found.header.instance.rows = 512;
    found.header.instance.report_state = "COMPLETE\\VERIFIED".to_owned();
    found
}

fn text(tag: dicom_core::Tag, level: Level) -> String {
    let about = About { level, retrieve_ae: "NODE" };
    match Attribute::by_tag(tag).unwrap().held(&found(), &about) {
        Held::Text(text) => text,
        Held::Item(item) => format!("{item:?}"),
    }
}

#[test]
fn the_table_is_sorted_and_says_what_the_dictionary_says() {
    assert!(ATTRIBUTES.is_sorted_by(|a, b| a.tag < b.tag));
    for attribute in ATTRIBUTES {
        let entry = StandardDataDictionary.by_tag(attribute.tag).unwrap();
        assert_eq!(attribute.keyword, entry.alias());
        assert_eq!(attribute.vr, entry.vr().relaxed(), "{}", attribute.keyword);
        assert_eq!(Attribute::by_keyword(attribute.keyword).unwrap().tag, attribute.tag);
        for nested in attribute.nested() {
            let entry = StandardDataDictionary.by_tag(nested.tag).unwrap();
            assert_eq!(nested.vr, entry.vr().relaxed(), "{}", nested.tag);
        }
    }
    assert!(Attribute::by_tag(tags::TIMEZONE_OFFSET_FROM_UTC).is_none());
}

#[test]
fn everything_that_a_header_keeps_is_answered() {
    for want in WANTED {
        assert!(Attribute::by_tag(want.tag).is_some(), "{}", want.tag);
    }
}

#[test]
fn values_are_read_as_they_are_written_in_answers() {
    assert_eq!(text(tags::STUDY_TIME, Level::Study), "101500");
    assert_eq!(text(tags::MODALITIES_IN_STUDY, Level::Study), "CT\\SR");
    assert_eq!(text(tags::ROWS, Level::Image), "512");
    assert_eq!(text(tags::COLUMNS, Level::Image), "");
    assert_eq!(text(tags::COMPLETION_FLAG, Level::Image), "COMPLETE");
    assert_eq!(text(tags::VERIFICATION_FLAG, Level::Image), "VERIFIED");
    assert_eq!(text(tags::QUERY_RETRIEVE_LEVEL, Level::Image), "IMAGE");
    assert_eq!(text(tags::RETRIEVE_AE_TITLE, Level::Image), "NODE");
    assert_eq!(text(tags::INSTANCE_AVAILABILITY, Level::Image), "ONLINE");
    let region = text(tags::ANATOMIC_REGION_SEQUENCE, Level::Series);
    for part in ["\"SCT\"", "\"69536005\"", "\"Head\""] {
        assert!(region.contains(part), "{region}");
    }
    assert_eq!(text(tags::REQUEST_ATTRIBUTES_SEQUENCE, Level::Series), "[]");
}

#[test]
fn counts_are_of_the_level_that_was_asked_for() {
    assert_eq!(text(tags::NUMBER_OF_PATIENT_RELATED_STUDIES, Level::Patient), "3");
    assert_eq!(text(tags::NUMBER_OF_PATIENT_RELATED_INSTANCES, Level::Patient), "7");
    assert_eq!(text(tags::NUMBER_OF_STUDY_RELATED_SERIES, Level::Study), "5");
    assert_eq!(text(tags::NUMBER_OF_STUDY_RELATED_INSTANCES, Level::Study), "7");
    assert_eq!(text(tags::NUMBER_OF_SERIES_RELATED_INSTANCES, Level::Series), "7");
    // At another level the numbers count something else.
    assert_eq!(text(tags::NUMBER_OF_STUDY_RELATED_INSTANCES, Level::Series), "");
    assert_eq!(text(tags::NUMBER_OF_PATIENT_RELATED_STUDIES, Level::Study), "");
}

#[test]
fn an_answer_has_its_own_level_and_those_above() {
    let modality = Attribute::by_tag(tags::MODALITY).unwrap();
    assert_eq!(modality.level, At::Series);
    assert!(!modality.is_at(Level::Study));
    assert!(modality.is_at(Level::Series) && modality.is_at(Level::Image));
    assert!(Attribute::by_tag(tags::QUERY_RETRIEVE_LEVEL).unwrap().is_at(Level::Patient));
}
