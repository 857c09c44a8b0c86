//! Headers of made-up objects and of the corpus.

use dicom_core::dictionary::{DataDictionary, DataDictionaryEntry};
use dicom_core::{Tag, VR};
use dicom_dictionary_std::{StandardDataDictionary, tags};

use super::{Header, WANTED, WANTED_IN_ITEMS};
use crate::sharing::imaging::element::{Element, ElementSet, Value};
use crate::sharing::imaging::structure::Want;
use crate::sharing::imaging::test_files;

fn put(set: &mut ElementSet, tag: Tag, text: &str) {
    let vr = StandardDataDictionary.by_tag(tag).unwrap().vr().relaxed();
    let bytes = if vr == VR::US {
        text.parse::<u16>().unwrap().to_le_bytes().to_vec()
    } else {
        text.as_bytes().to_vec()
    };
    set.insert(Element { tag, vr, value: Value::Bytes(bytes) });
}

fn put_item(set: &mut ElementSet, tag: Tag, texts: &[(Tag, &str)]) {
    let mut item = ElementSet::default();
    for (tag, text) in texts {
        put(&mut item, *tag, text);
    }
    set.insert(Element { tag, vr: VR::SQ, value: Value::Items(vec![item]) });
}

#[test]
fn what_is_wanted_is_sorted_and_known() {
    for list in [WANTED, WANTED_IN_ITEMS] {
        assert!(Want::sorted(list));
        assert!(list.iter().all(|want| StandardDataDictionary.by_tag(want.tag).is_some()));
    }
}

/// Gives every wanted text element a value of its own and looks for it in the header.
#[test]
fn every_wanted_element_comes_into_the_header() {
    for want in WANTED.iter().filter(|want| want.tag != tags::SPECIFIC_CHARACTER_SET) {
        let tag = &want.tag;
        let mut set = ElementSet::default();
        put(&mut set, tags::ROWS, "512");
        put(&mut set, tags::COLUMNS, "513");
        let vr = StandardDataDictionary.by_tag(*tag).unwrap().vr().relaxed();
        if vr == VR::SQ {
            let texts = [(tags::CODE_MEANING, "x"), (tags::REQUESTED_PROCEDURE_ID, "x")];
            put_item(&mut set, *tag, &texts);
        }
        let forms = [
            (VR::SQ, "", "\"x\""),
            (VR::DA, "2024.02.29", "\"20240229\""),
            (VR::TM, "10:15", "\"101500.000000\""),
            (VR::US, "7", ": 7"),
            (VR::IS, "9 ", "9"),
        ];
        let (_, text, expected) =
            forms.into_iter().find(|form| form.0 == vr).unwrap_or((vr, "O ", "O"));
        if vr != VR::SQ {
            put(&mut set, *tag, text);
        }
        let header = format!("{:?}", Header::from_elements(&set));
        assert!(header.contains(expected), "{tag}: {header}");
    }
}

#[test]
fn a_header_has_what_the_items_of_sequences_say() {
    let mut set = ElementSet::default();
    put_item(
        &mut set,
        tags::ANATOMIC_REGION_SEQUENCE,
        &[
            (tags::CODE_VALUE, "69536005"),
            (tags::CODING_SCHEME_DESIGNATOR, "SCT "),
            (tags::CODE_MEANING, "Head"),
        ],
    );
    put_item(
        &mut set,
        tags::REQUEST_ATTRIBUTES_SEQUENCE,
        &[(tags::REQUESTED_PROCEDURE_ID, "RP1"), (tags::SCHEDULED_PROCEDURE_STEP_ID, "SPS1")],
    );
    put_item(&mut set, tags::CONCEPT_NAME_CODE_SEQUENCE, &[(tags::CODE_MEANING, "Report")]);
    put(&mut set, tags::COMPLETION_FLAG, "COMPLETE");
    put(&mut set, tags::VERIFICATION_FLAG, "VERIFIED");
    put(&mut set, tags::PATIENT_SEX, "女");
    let header = Header::from_elements(&set);
    assert_eq!(header.series.anatomic_region, "Head");
    assert_eq!(header.series.anatomic_region_code, "SCT:69536005");
    assert_eq!(header.series.requested_procedure_id, "RP1");
    assert_eq!(header.series.scheduled_step_id, "SPS1");
    assert_eq!(header.instance.report_title, "Report");
    assert_eq!(header.instance.report_state, "COMPLETE\\VERIFIED");
    assert_eq!(header.patient.sex, "F");
    assert!(header.character_set_guessed);
    assert_eq!((header.instance.frames, header.instance.rows), (0, 0));
    assert_eq!(Header::from_elements(&ElementSet::default()), Header::default());
}

#[test]
fn headers_of_the_corpus_have_their_uids_and_a_ct_has_its_size() {
    let mut headers = 0;
    for path in test_files::files(&test_files::corpus()) {
        let Some(elements) = test_files::read(&path) else { continue };
        let header = Header::from_elements(&elements);
        headers += usize::from(!header.study.uid.is_empty() && !header.instance.uid.is_empty());
    }
    assert!(headers > 200, "{headers} headers");
    let ct = test_files::corpus().join("pydicom-bundled/CT_small.dcm");
    let ct = test_files::files(&test_files::corpus())
        .into_iter()
        .find(|path| path.file_name() == ct.file_name())
        .unwrap();
    let header = Header::from_elements(&test_files::read(&ct).unwrap());
    assert_eq!(header.series.modality, "CT");
    assert_eq!(header.patient.name, "CompressedSamples^CT1");
    assert_eq!(
        (header.instance.rows, header.instance.columns, header.instance.frames),
        (128, 128, 1)
    );
    assert_eq!(header.study.date, "20040119");
    assert_eq!(header.instance.slice_thickness, "5.000000");
}
