//! Images of nobody.

mod corpus;
mod planted;

use std::sync::OnceLock;

use dicom_core::{Tag, VR};
use dicom_dictionary_std::tags;

use super::tree::{Held, Node, Set};
use super::*;
use crate::sharing::deidentify::{Choice, Did};

fn rules() -> &'static Rules {
    static RULES: OnceLock<Rules> = OnceLock::new();
    RULES.get_or_init(|| Rules::load(&crate::embedded::files()).unwrap())
}

fn key() -> Key {
    Key::new(&[9; 32])
}

fn choices(of: &[Choice]) -> Choices {
    Choices::of(of.iter().copied()).unwrap()
}

/// A file with `set` as its data set.
fn file(mut set: Set<'_>, transfer_syntax: &str) -> Vec<u8> {
    const CLASS: &str = "1.2.840.10008.5.1.4.1.1.2";
    const INSTANCE: &str = "1.2.3.4.5";
    set.retain(|node| ![tags::SOP_CLASS_UID, tags::SOP_INSTANCE_UID].contains(&node.tag));
    set.push(Node::text(tags::SOP_CLASS_UID, VR::UI, CLASS));
    set.push(Node::text(tags::SOP_INSTANCE_UID, VR::UI, INSTANCE));
    let meta = Meta {
        sop_class: CLASS,
        sop_instance: INSTANCE,
        transfer_syntax,
        source_ae: Some("ZHANGSANS_CT"),
    };
    let mut bytes = write_meta(meta).unwrap();
    bytes[..7].copy_from_slice(b"TIFFish");
    bytes.append(&mut tree::write(&set, Syntax::of(transfer_syntax).unwrap()));
    bytes
}

fn done(file: &[u8], of: &[Choice]) -> Outcome {
    let choices = choices(of);
    let key = key();
    let way = Way { rules: rules(), choices: &choices, key: &key, include_burned_in: true };
    deidentify(file, way).unwrap()
}

/// The data set of a file that was made.
fn set_of(bytes: &[u8]) -> Set<'_> {
    let opening = open(bytes).unwrap();
    tree::read(&bytes[opening.data_set..], Syntax::of(&opening.transfer_syntax).unwrap()).unwrap()
}

fn text(tag: Tag, vr: VR, text: &str) -> Node<'static> {
    Node::bytes(tag, vr, text.as_bytes().to_vec())
}

fn find<'s, 'a>(set: &'s Set<'a>, tag: Tag) -> Option<&'s Node<'a>> {
    set.iter().find(|node| node.tag == tag)
}

fn items<'s, 'a>(set: &'s Set<'a>, tag: Tag) -> &'s [Set<'a>] {
    match find(set, tag).map(|node| &node.value) {
        Some(Held::Items(items)) => items,
        _ => &[],
    }
}

const EXPLICIT: &str = "1.2.840.10008.1.2.1";

fn patient() -> Set<'static> {
    vec![
        text(tags::SPECIFIC_CHARACTER_SET, VR::CS, "ISO_IR 192"),
        text(tags::MODALITY, VR::CS, "CT"),
        text(tags::PATIENT_NAME, VR::PN, "ZHANG^SAN=张^三"),
        text(tags::PATIENT_ID, VR::LO, "ZY0012345"),
        text(tags::PATIENT_BIRTH_DATE, VR::DA, "19580321"),
        text(tags::PATIENT_AGE, VR::AS, "093Y"),
        text(tags::PATIENT_SEX, VR::CS, "M"),
        text(tags::STUDY_DATE, VR::DA, "20261129"),
        text(tags::SERIES_DATE, VR::DA, "20261130"),
        text(tags::STUDY_TIME, VR::TM, "081500"),
        text(tags::STUDY_INSTANCE_UID, VR::UI, "1.2.3.4"),
        text(tags::STUDY_DESCRIPTION, VR::LO, "张三 胸部CT平扫 13912345678"),
        text(tags::MANUFACTURER, VR::LO, "SIEMENS"),
        text(tags::INSTITUTION_NAME, VR::LO, "上饶市人民医院"),
        text(tags::STATION_NAME, VR::SH, "CT-ROOM-2"),
    ]
}

#[test]
fn the_basic_profile_says_what_it_did_and_leaves_no_preamble_or_ae_title() {
    let outcome = done(&file(patient(), EXPLICIT), &[]);
    let made = outcome.made.unwrap();
    assert_eq!(&made.bytes[..128], &[0; 128]);
    let opening = open(&made.bytes).unwrap();
    assert_eq!(opening.source_ae, None);
    assert_eq!(opening.sop_instance.as_deref(), Some(made.instance.as_str()));
    let set = set_of(&made.bytes);
    let of = |tag| tree::ascii(&set, tag);
    assert_eq!(of(tags::PATIENT_ID), made.patient);
    assert_eq!(of(tags::PATIENT_NAME), made.patient);
    assert_eq!(of(tags::PATIENT_BIRTH_DATE), "");
    assert_eq!(of(tags::STUDY_DATE), "");
    assert_eq!(of(tags::SERIES_DATE), "19000101");
    assert_eq!(of(tags::MANUFACTURER), "SIEMENS");
    assert_eq!(of(tags::PATIENT_IDENTITY_REMOVED), "YES");
    assert_eq!(of(tags::LONGITUDINAL_TEMPORAL_INFORMATION_MODIFIED), "REMOVED");
    assert!(find(&set, tags::STUDY_DESCRIPTION).is_none());
    let codes = items(&set, tags::DEIDENTIFICATION_METHOD_CODE_SEQUENCE);
    assert_eq!(codes.len(), 1);
    assert_eq!(tree::ascii(&codes[0], tags::CODE_VALUE), "113100");
    assert_eq!(outcome.report.count("(0010,0010)", Did::Pseudonymised), 1);
    assert_eq!(outcome.report.count("(0008,1030)", Did::Removed), 1);
    assert_eq!(outcome.report.count("(0008,0070)", Did::Kept), 1);
}

#[test]
fn options_keep_what_they_name_and_dates_move_together() {
    let of = [
        Choice::ModifiedDates,
        Choice::Patient,
        Choice::Descriptors,
        Choice::Institution,
        Choice::Device,
    ];
    let made = done(&file(patient(), EXPLICIT), &of).made.unwrap();
    let set = set_of(&made.bytes);
    let of = |tag| {
        String::from_utf8(tree::value(&set, tag).unwrap().to_vec()).unwrap().trim().to_owned()
    };
    let limits = rules().limits;
    let days = key().shift_days(&made.patient, limits.shift_days_min, limits.shift_days_max);
    let moved = |date: &str| crate::sharing::deidentify::shift::da(date, days).unwrap();
    assert_eq!(of(tags::STUDY_DATE), moved("20261129"));
    assert_eq!(of(tags::SERIES_DATE), moved("20261130"));
    assert_eq!(of(tags::STUDY_TIME), "081500");
    assert_eq!(of(tags::PATIENT_AGE), "090Y");
    assert_eq!(of(tags::PATIENT_SEX), "M");
    assert_eq!(of(tags::STUDY_DESCRIPTION), "胸部CT平扫");
    assert_eq!(of(tags::INSTITUTION_NAME), "上饶市人民医院");
    assert_eq!(of(tags::STATION_NAME), "CT-ROOM-2");
    assert_eq!(tree::ascii(&set, tags::LONGITUDINAL_TEMPORAL_INFORMATION_MODIFIED), "MODIFIED");
    assert_eq!(items(&set, tags::DEIDENTIFICATION_METHOD_CODE_SEQUENCE).len(), 6);
}

#[test]
fn one_patient_of_two_files_is_one_patient_and_references_still_lead_there() {
    let mut second = patient();
    second.push(Node::items(
        tags::REFERENCED_IMAGE_SEQUENCE,
        vec![vec![text(tags::REFERENCED_SOP_INSTANCE_UID, VR::UI, "1.2.3.4.5")]],
    ));
    let first = done(&file(patient(), EXPLICIT), &[]).made.unwrap();
    let second = done(&file(second, EXPLICIT), &[]).made.unwrap();
    assert_eq!(first.patient, second.patient);
    assert_eq!(first.study, second.study);
    let set = set_of(&second.bytes);
    let reference = &items(&set, tags::REFERENCED_IMAGE_SEQUENCE)[0];
    assert_eq!(tree::ascii(reference, tags::REFERENCED_SOP_INSTANCE_UID), first.instance);
}

#[test]
fn safe_private_attributes_stay_with_their_creator_and_others_never_do() {
    let mut set = patient();
    let creator = Tag(0x0019, 0x0010);
    let b_value = Tag(0x0019, 0x100C);
    let other = Tag(0x0019, 0x1008);
    set.push(text(creator, VR::LO, "SIEMENS MR HEADER"));
    set.push(text(b_value, VR::IS, "800"));
    set.push(text(other, VR::CS, "张三"));
    set.push(text(Tag(0x0029, 0x0010), VR::LO, "ZHANG SAN"));
    set.push(text(Tag(0x0029, 0x1010), VR::OB, "张三"));
    let bytes = file(set, EXPLICIT);
    let outcome = done(&bytes, &[Choice::SafePrivate]);
    let made = outcome.made.unwrap();
    let kept = set_of(&made.bytes);
    assert!(find(&kept, creator).is_some() && find(&kept, b_value).is_some());
    assert!(kept.iter().all(|node| node.tag.0 % 2 == 0 || [creator, b_value].contains(&node.tag)));
    assert_eq!(outcome.report.count("(0029,xxxx)", Did::Removed), 2);
    let made = done(&bytes, &[]).made.unwrap();
    assert!(set_of(&made.bytes).iter().all(|node| node.tag.0 % 2 == 0));
}

#[test]
fn structured_content_keeps_codes_and_numbers_and_loses_words_and_names() {
    let concept = || {
        vec![
            text(tags::CODE_VALUE, VR::SH, "121206"),
            text(tags::CODING_SCHEME_DESIGNATOR, VR::SH, "DCM"),
            text(tags::CODE_MEANING, VR::LO, "Distance"),
        ]
    };
    let item = |kind: &str, more: Node<'static>| {
        vec![
            text(tags::VALUE_TYPE, VR::CS, kind),
            Node::items(tags::CONCEPT_NAME_CODE_SEQUENCE, vec![concept()]),
            more,
        ]
    };
    let deep = item("TEXT", text(tags::TEXT_VALUE, VR::UT, "张三 said"));
    let mut set = patient();
    set.push(Node::items(
        tags::CONTENT_SEQUENCE,
        vec![
            item("NUM", Node::items(tags::CONTENT_SEQUENCE, vec![deep])),
            item("PNAME", text(tags::PERSON_NAME, VR::PN, "LI^SI")),
        ],
    ));
    let bytes = file(set, EXPLICIT);
    let made = done(&bytes, &[Choice::Structured]).made.unwrap();
    let kept = set_of(&made.bytes);
    let content = items(&kept, tags::CONTENT_SEQUENCE);
    assert_eq!(content.len(), 1);
    assert_eq!(tree::ascii(&content[0], tags::VALUE_TYPE), "NUM");
    let name = &items(&content[0], tags::CONCEPT_NAME_CODE_SEQUENCE)[0];
    assert_eq!(tree::ascii(name, tags::CODE_MEANING), "Distance");
    assert!(items(&content[0], tags::CONTENT_SEQUENCE).is_empty());
    let made = done(&bytes, &[]).made.unwrap();
    let gone = set_of(&made.bytes);
    assert_eq!(
        tree::ascii(&items(&gone, tags::CONTENT_SEQUENCE)[0], tags::TEXT_VALUE),
        "ANONYMIZED"
    );
}

#[test]
fn overlays_and_curves_go_and_regions_stay_where_graphics_are_cleaned() {
    let mut set = patient();
    for (group, kind) in [(0x6000, "G"), (0x6002, "R")] {
        set.push(text(Tag(group, 0x0040), VR::CS, kind));
        set.push(text(Tag(group, 0x3000), VR::OW, "12345678"));
        set.push(text(Tag(group, 0x4000), VR::LT, "张三"));
    }
    set.push(text(Tag(0x5000, 0x3000), VR::OW, "12345678"));
    let bytes = file(set, EXPLICIT);
    let groups = |of: &[Choice]| {
        let made = done(&bytes, of).made.unwrap();
        let kept = set_of(&made.bytes);
        kept.iter().map(|node| node.tag).filter(|tag| tag.0 >= 0x5000).collect::<Vec<_>>()
    };
    assert_eq!(groups(&[]), []);
    assert_eq!(groups(&[Choice::Graphics]), [Tag(0x6002, 0x0040), Tag(0x6002, 0x3000)]);
}

#[test]
fn what_may_have_text_in_its_pixels_is_flagged_and_withheld_unless_asked_for() {
    for (more, flag, withheld) in [
        (text(tags::MODALITY, VR::CS, "US"), "burned_in_text", true),
        (text(tags::BURNED_IN_ANNOTATION, VR::CS, "YES"), "burned_in_text", true),
        (text(tags::IMAGE_TYPE, VR::CS, "DERIVED\\SECONDARY\\SCREEN SAVE"), "burned_in_text", true),
        (text(Tag(0x6000, 0x0102), VR::US, "\u{c}\0"), "overlay_in_pixels", true),
        (text(tags::BODY_PART_EXAMINED, VR::CS, "HEAD"), "face_may_be_rebuilt", false),
    ] {
        let mut set = patient();
        set.retain(|node| node.tag != more.tag);
        set.push(more);
        let bytes = file(set, EXPLICIT);
        let (choices, key) = (choices(&[]), key());
        let way = Way { rules: rules(), choices: &choices, key: &key, include_burned_in: false };
        let outcome = deidentify(&bytes, way).unwrap();
        assert_eq!(outcome.made.is_none(), withheld, "{flag}");
        assert_eq!(outcome.report.flags().get(flag), Some(&1));
        let asked = deidentify(&bytes, Way { include_burned_in: true, ..way }).unwrap();
        assert!(asked.made.is_some());
    }
    let mut denied = patient();
    denied.retain(|node| node.tag != tags::MODALITY);
    denied.push(text(tags::MODALITY, VR::CS, "XA"));
    denied.push(text(tags::BURNED_IN_ANNOTATION, VR::CS, "NO"));
    assert!(!done(&file(denied, EXPLICIT), &[]).flags.withhold());
}

#[test]
fn a_comment_of_the_codec_that_names_the_patient_withholds_the_image() {
    let stream = |comment: &[u8]| {
        let mut bytes = b"\xFF\xD8\xFF\xFE".to_vec();
        bytes.extend_from_slice(&u16::try_from(comment.len() + 2).unwrap().to_be_bytes());
        bytes.extend_from_slice(comment);
        bytes.extend_from_slice(b"\xFF\xDA\0\x02\0\xFF\xD9");
        bytes
    };
    for (comment, withheld) in [(&b"LEAD 1.0"[..], false), (b"for Zhang San", true)] {
        let mut set = patient();
        let bytes = stream(comment);
        set.push(Node {
            tag: tags::PIXEL_DATA,
            vr: VR::OB,
            value: Held::Fragments(vec![b"", &bytes]),
        });
        let outcome = done(&file(set, "1.2.840.10008.1.2.4.50"), &[]);
        assert_eq!(outcome.flags.withhold(), withheld);
        assert_eq!(outcome.report.flags().get("comment_in_codestream"), Some(&1));
    }
}

#[test]
fn what_is_no_object_is_refused_without_a_value_in_the_message() {
    let (choices, key) = (choices(&[]), key());
    let way = Way { rules: rules(), choices: &choices, key: &key, include_burned_in: true };
    assert!(matches!(deidentify(b"ZHANG SAN is no file", way), Err(ImageError::NotAFile(_))));
    let mut cut = file(patient(), EXPLICIT);
    cut.truncate(cut.len() - 3);
    let error = deidentify(&cut, way).unwrap_err();
    assert!(matches!(error, ImageError::Broken(_)) && !error.to_string().contains("ZHANG"));
}
