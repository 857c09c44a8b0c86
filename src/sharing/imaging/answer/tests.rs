//! Answers are read back by the DICOM crates, their text by our own reader.

use dicom_core::{Tag, VR};
use dicom_dictionary_std::{tags, uids};
use dicom_encoding::transfer_syntax::TransferSyntaxIndex;
use dicom_object::InMemDicomObject;
use dicom_transfer_syntax_registry::TransferSyntaxRegistry;
use proptest::prelude::*;

use super::{Manner, Syntax, answer};
use crate::sharing::imaging::charset::Encoding;
use crate::sharing::imaging::element::{Element, ElementSet, Value};
use crate::sharing::imaging::identifier::Asked;
use crate::sharing::imaging::query::{Level, Match, Query};
use crate::sharing::imaging::value::Values;

fn asked(level: Level, wanted: &[Tag]) -> Asked {
    Asked {
        query: Query { level, conditions: vec![], combined_date_time: false, offset: 0, limit: 1 },
        level,
        wanted: wanted.to_vec(),
        ignored: vec![],
        encoding: None,
    }
}

fn manner(encoding: Encoding) -> Manner<'static> {
    Manner { encoding, syntax: Syntax::ExplicitLittleEndian, retrieve_ae: "NODE" }
}

fn named(name: &str) -> Match {
    let mut found = Match::default();
    found.header.patient.name = name.to_owned();
    found
}

fn object(bytes: &[u8], syntax: Syntax) -> InMemDicomObject {
    let uid = match syntax {
        Syntax::ExplicitLittleEndian => uids::EXPLICIT_VR_LITTLE_ENDIAN,
        Syntax::ImplicitLittleEndian => uids::IMPLICIT_VR_LITTLE_ENDIAN,
    };
    let syntax = TransferSyntaxRegistry.get(uid).unwrap();
    InMemDicomObject::read_dataset_with_ts(bytes, syntax).unwrap()
}

/// Elements of an answer without sequences in explicit VR.
fn elements(mut bytes: &[u8]) -> ElementSet {
    let mut set = ElementSet::default();
    while let [g0, g1, e0, e1, v0, v1, l0, l1, rest @ ..] = bytes {
        let length = usize::from(u16::from_le_bytes([*l0, *l1]));
        set.insert(Element {
            tag: Tag(u16::from_le_bytes([*g0, *g1]), u16::from_le_bytes([*e0, *e1])),
            vr: VR::from_binary([*v0, *v1]).unwrap(),
            value: Value::Bytes(rest[..length].to_vec()),
        });
        bytes = &rest[length..];
    }
    set
}

#[test]
fn only_what_was_asked_for_is_answered_and_empty_where_nothing_is_known() {
    let wanted = [
        tags::STUDY_TIME,
        tags::ACCESSION_NUMBER,
        tags::ANATOMIC_REGION_SEQUENCE,
        tags::PATIENT_ID,
        tags::STUDY_INSTANCE_UID,
        tags::SERIES_NUMBER,
        tags::ROWS,
        tags::REQUEST_ATTRIBUTES_SEQUENCE,
    ];
    let mut found = Match::default();
    found.header.patient.id = "P12".to_owned();
    found.header.study.time = "101500.000000".to_owned();
    found.header.study.uid = "1.2.3".to_owned();
    found.header.series.number = "4".to_owned();
    found.header.series.anatomic_region = "Head".to_owned();
    found.header.series.anatomic_region_code = "SCT:69536005".to_owned();
    found.header.series.modality = "CT".to_owned();
    found.header.instance.rows = 512;
    for syntax in [Syntax::ExplicitLittleEndian, Syntax::ImplicitLittleEndian] {
        let manner = Manner { syntax, ..manner(Encoding::Ascii) };
        let bytes = answer(&found, &asked(Level::Image, &wanted), &manner);
        let object = object(&bytes, syntax);
        let text = |tag| object.element(tag).unwrap().to_str().unwrap().into_owned();
        assert_eq!(text(tags::PATIENT_ID).trim(), "P12");
        assert_eq!(text(tags::STUDY_TIME), "101500");
        assert_eq!(text(tags::STUDY_INSTANCE_UID), "1.2.3");
        assert_eq!(text(tags::ACCESSION_NUMBER), "");
        assert_eq!(text(tags::QUERY_RETRIEVE_LEVEL).trim(), "IMAGE");
        assert_eq!(text(tags::RETRIEVE_AE_TITLE), "NODE");
        assert_eq!(object.element(tags::ROWS).unwrap().to_int::<u16>().unwrap(), 512);
        let region = object.element(tags::ANATOMIC_REGION_SEQUENCE).unwrap().items().unwrap();
        assert_eq!(region[0].element(tags::CODE_MEANING).unwrap().to_str().unwrap(), "Head");
        assert_eq!(region[0].element(tags::CODE_VALUE).unwrap().to_str().unwrap(), "69536005");
        let request = object.element(tags::REQUEST_ATTRIBUTES_SEQUENCE).unwrap();
        assert_eq!(request.items().unwrap().len(), 0);
        assert!(object.element(tags::MODALITY).is_err());
        assert!(object.element(tags::SPECIFIC_CHARACTER_SET).is_err());
        assert_eq!(object.into_iter().count(), wanted.len() + 2);
    }
}

#[test]
fn text_goes_in_the_set_of_the_peer_or_the_next_one_that_has_its_characters() {
    for (encoding, name, term) in [
        (Encoding::Ascii, "Wang^Wei", ""),
        (Encoding::Ascii, "Wang^Wei=王^伟", "ISO_IR 192"),
        (Encoding::Latin1, "Müller", "ISO_IR 100"),
        (Encoding::Latin1, "王^伟", "ISO_IR 192"),
        (Encoding::Utf8, "王^𬱖", "ISO_IR 192"),
        (Encoding::Gbk, "王^喆", "GBK"),
        (Encoding::Gbk, "王^𬱖", "GB18030"),
        (Encoding::Gb18030, "王^㛃", "GB18030"),
        (Encoding::Iso2022Gb2312, "Wang^Wei=王^伟", "\\ISO 2022 IR 58"),
        (Encoding::Iso2022Gb2312, "王^镕", "GB18030"),
    ] {
        let wanted = [tags::SPECIFIC_CHARACTER_SET, tags::PATIENT_NAME];
        let bytes = answer(&named(name), &asked(Level::Study, &wanted), &manner(encoding));
        let set = elements(&bytes);
        let values = Values::of(&set);
        assert_eq!(values.text(tags::PATIENT_NAME), name, "{encoding:?}");
        assert_eq!(values.text(tags::SPECIFIC_CHARACTER_SET), term, "{encoding:?} {name}");
        assert!(!values.character_sets().guessed());
    }
}

#[test]
fn values_have_even_length_and_over_long_ones_are_left_out() {
    let bytes =
        answer(&named("abc"), &asked(Level::Study, &[tags::PATIENT_NAME]), &manner(Encoding::Utf8));
    let set = elements(&bytes);
    assert_eq!(set.bytes(tags::PATIENT_NAME), Some(b"abc ".as_slice()));
    let long = named(&"王".repeat(30_000));
    let bytes = answer(&long, &asked(Level::Study, &[tags::PATIENT_NAME]), &manner(Encoding::Utf8));
    assert_eq!(elements(&bytes).bytes(tags::PATIENT_NAME), Some(b"".as_slice()));
}

proptest! {
    #[test]
    fn every_answer_reads_back(
        name in "[ -\\[\\]-~一-龥𠀀-𪛖é]{0,30}",
        encoding in prop::sample::select(vec![
            Encoding::Ascii, Encoding::Latin1, Encoding::Utf8, Encoding::Gb18030, Encoding::Gbk,
            Encoding::Iso2022Gb2312,
        ]),
    ) {
        let mut found = Match::default();
        found.header.study.description.clone_from(&name);
        let bytes = answer(&found, &asked(Level::Study, &[tags::STUDY_DESCRIPTION]), &manner(encoding));
        let set = elements(&bytes);
        let values = Values::of(&set);
        prop_assert_eq!(values.text(tags::STUDY_DESCRIPTION), name.trim_matches(' '));
    }
}
