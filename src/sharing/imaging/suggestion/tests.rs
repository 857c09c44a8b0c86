//! The report reads back as what was said, and is never taken for a doctor's.

use dicom_core::Tag;
use dicom_dictionary_std::tags;
use dicom_object::InMemDicomObject;
use dicom_transfer_syntax_registry::entries::EXPLICIT_VR_LITTLE_ENDIAN;

use super::*;

fn image() -> Header {
    let mut header = Header::default();
    header.patient.name = "Wang^XiaoDong=王^小东".to_owned();
    header.patient.id = "P1".to_owned();
    header.study.uid = "1.2.3".to_owned();
    header.series.uid = "1.2.3.4".to_owned();
    header.series.modality = "DX".to_owned();
    header.instance.uid = "1.2.3.4.5".to_owned();
    header.instance.sop_class = uids::DIGITAL_X_RAY_IMAGE_STORAGE_FOR_PRESENTATION.to_owned();
    header.instance.number = "7".to_owned();
    header
}

fn signature(version: &str) -> Signature<'_> {
    Signature {
        id: "mean",
        version,
        title: "平均亮度",
        manufacturer: "测试",
        sha256: "00",
        engine: "rten 0",
        certificate: "仅供研究",
    }
}

fn findings() -> Vec<Finding> {
    let finding = |id: &str, probability, code| Finding {
        id: id.to_owned(),
        name: format!("名称{id}"),
        code,
        probability,
        threshold: 0.5,
    };
    vec![
        finding("bright", 0.731, Some(("SCT".to_owned(), "39607008".to_owned()))),
        finding("dark", 0.25, None),
    ]
}

fn written(version: &str) -> Vec<u8> {
    let (image, findings) = (image(), findings());
    let model = signature(version);
    let made = ("20261129", "090000");
    report(&Suggestion { image: &image, model, findings: &findings, date: made.0, time: made.1 })
}

fn read(bytes: &[u8]) -> InMemDicomObject {
    let syntax = EXPLICIT_VR_LITTLE_ENDIAN.erased();
    InMemDicomObject::read_dataset_with_ts(bytes, &syntax).unwrap()
}

fn text(object: &InMemDicomObject, tag: Tag) -> String {
    object.element(tag).unwrap().to_str().unwrap().trim_end_matches(['\0', ' ']).to_owned()
}

fn items(object: &InMemDicomObject, tag: Tag) -> &[InMemDicomObject] {
    object.element(tag).unwrap().items().unwrap()
}

#[test]
fn a_report_says_whose_it_is_and_that_it_is_none() {
    let object = read(&written("1"));
    for (tag, value) in [
        (tags::SOP_CLASS_UID, uids::COMPREHENSIVE_SR_STORAGE),
        (tags::SERIES_DESCRIPTION, MARK),
        (tags::COMPLETION_FLAG, "PARTIAL"),
        (tags::VERIFICATION_FLAG, "UNVERIFIED"),
        (tags::PRELIMINARY_FLAG, "PRELIMINARY"),
        (tags::MANUFACTURER_MODEL_NAME, "mean"),
        (tags::INSTANCE_NUMBER, "7"),
        (tags::STUDY_INSTANCE_UID, "1.2.3"),
    ] {
        assert_eq!(text(&object, tag), value, "{tag}");
    }
    let children = items(&object, tags::CONTENT_SEQUENCE);
    let comment = children.iter().find(|item| {
        let name = items(item, tags::CONCEPT_NAME_CODE_SEQUENCE);
        text(&name[0], tags::CODE_VALUE) == "121106"
    });
    let comment = text(comment.unwrap(), tags::TEXT_VALUE);
    assert!(comment.starts_with(MARK) && comment.contains("仅供研究"), "{comment}");
    assert!(comment.contains("名称bright") && !comment.contains("名称dark"), "{comment}");
}

#[test]
fn each_label_has_its_probability_threshold_and_whether_it_passes() {
    let object = read(&written("1"));
    let children = items(&object, tags::CONTENT_SEQUENCE);
    let groups = items(children.last().unwrap(), tags::CONTENT_SEQUENCE);
    let said: Vec<(String, String, String)> = groups
        .iter()
        .map(|group| {
            let items_of = items(group, tags::CONTENT_SEQUENCE);
            let number = |at: usize| {
                let value = items(&items_of[at], tags::MEASURED_VALUE_SEQUENCE);
                text(&value[0], tags::NUMERIC_VALUE)
            };
            let passes = items(items_of.last().unwrap(), tags::CONCEPT_CODE_SEQUENCE);
            (number(7), number(8), text(&passes[0], tags::CODE_MEANING))
        })
        .collect();
    let said: Vec<(&str, &str, &str)> =
        said.iter().map(|(a, b, c)| (a.as_str(), b.as_str(), c.as_str())).collect();
    assert_eq!(said, [("73.10", "50.00", "Yes"), ("25.00", "50.00", "No")]);
}

#[test]
fn uids_are_made_from_what_a_report_is_about() {
    assert_eq!(written("1"), written("1"));
    let uid = instance_uid("1.2.3", "mean", "1");
    assert!(uid.starts_with("2.25.") && uid.len() <= 64);
    for other in [
        instance_uid("1.2.4", "mean", "1"),
        instance_uid("1.2.3", "other", "1"),
        instance_uid("1.2.3", "mean", "2"),
        series_uid("1.2.3", "mean", "1"),
    ] {
        assert_ne!(uid, other);
    }
}

#[test]
fn suggestions_are_known_by_their_mark_or_title() {
    let mut header = image();
    assert!(!is_suggestion(&header));
    header.series.description = MARK.to_owned();
    assert!(is_suggestion(&header));
    header.series.description = "CT 报告".to_owned();
    header.instance.report_title = MEASUREMENT_REPORT.to_owned();
    assert!(is_suggestion(&header));
}
