//! Beginnings of files, regular and not.

use dicom_dictionary_std::{tags, uids};
use proptest::prelude::*;

use super::*;

const CT: &str = uids::CT_IMAGE_STORAGE;
const EXPLICIT: &str = uids::EXPLICIT_VR_LITTLE_ENDIAN;
const IMPLICIT: &str = uids::IMPLICIT_VR_LITTLE_ENDIAN;

/// Modality, explicit VR little endian.
const EXPLICIT_DATA: &[u8] = b"\x08\0\x60\0CS\x02\0CT";
const IMPLICIT_DATA: &[u8] = b"\x08\0\x60\0\x02\0\0\0CT";
const BIG_DATA: &[u8] = b"\0\x08\0\x60CS\0\x02CT";

fn meta(transfer_syntax: &str) -> Vec<u8> {
    write_meta(Meta {
        sop_class: CT,
        sop_instance: "1.2.3.4",
        transfer_syntax,
        source_ae: Some("COUNTY_PACS"),
    })
    .unwrap()
}

fn element(tag: Tag, vr: [u8; 3], value: &str) -> Vec<u8> {
    let mut out = Vec::new();
    put(&mut out, tag, vr, value, usize::MAX).unwrap();
    out
}

fn implicit(tag: Tag, value: &[u8]) -> Vec<u8> {
    let length = u32::try_from(value.len()).unwrap().to_le_bytes();
    [&tag.0.to_le_bytes(), &tag.1.to_le_bytes(), length.as_slice(), value].concat()
}

/// Prefix and meta group of `elements`, without group length.
fn file(elements: &[Vec<u8>], data: &[u8]) -> Vec<u8> {
    [&[0; 128], b"DICM".as_slice(), &elements.concat(), data].concat()
}

#[test]
fn what_is_written_is_read() {
    let written = meta(EXPLICIT);
    let opening = open(&[&written, EXPLICIT_DATA].concat()).unwrap();
    assert_eq!(
        opening,
        Opening {
            data_set: written.len(),
            form: Form::File,
            transfer_syntax: EXPLICIT.to_owned(),
            basis: Basis::Declared,
            sop_class: Some(CT.to_owned()),
            sop_instance: Some("1.2.3.4".to_owned()),
            source_ae: Some("COUNTY_PACS".to_owned()),
        }
    );
}

#[test]
fn another_reader_reads_what_is_written() {
    let file = [meta(EXPLICIT), EXPLICIT_DATA.to_vec()].concat();
    let object = dicom_object::from_reader(file.as_slice()).unwrap();
    let read = object.meta();
    assert_eq!(read.media_storage_sop_class_uid.trim_end_matches('\0'), CT);
    assert_eq!(read.media_storage_sop_instance_uid.trim_end_matches('\0'), "1.2.3.4");
    assert_eq!(read.transfer_syntax(), EXPLICIT);
    assert_eq!(read.implementation_class_uid.trim_end_matches('\0'), implementation::CLASS_UID);
    assert_eq!(
        read.implementation_version_name.as_deref().map(str::trim_end),
        Some(implementation::VERSION_NAME)
    );
    assert_eq!(
        read.source_application_entity_title.as_deref().map(str::trim_end),
        Some("COUNTY_PACS")
    );
    assert_eq!(usize::try_from(read.information_group_length).unwrap(), meta(EXPLICIT).len() - 144);
}

#[test]
fn a_value_too_long_to_be_written_is_named() {
    let long = "1".repeat(65);
    let plain = Meta { sop_class: CT, sop_instance: "1", transfer_syntax: "1", source_ae: None };
    for (meta, tag, limit, length) in [
        (Meta { sop_class: &long, ..plain }, tags::MEDIA_STORAGE_SOP_CLASS_UID, 64, 65),
        (Meta { sop_instance: &long, ..plain }, tags::MEDIA_STORAGE_SOP_INSTANCE_UID, 64, 65),
        (Meta { transfer_syntax: &long, ..plain }, tags::TRANSFER_SYNTAX_UID, 64, 65),
        (
            Meta { source_ae: long.get(..17), ..plain },
            tags::SOURCE_APPLICATION_ENTITY_TITLE,
            16,
            17,
        ),
    ] {
        assert_eq!(write_meta(meta), Err(Part10Error::ValueTooLong { tag, length, limit }));
    }
}

#[test]
fn the_group_length_is_not_believed() {
    let right = [meta(EXPLICIT), EXPLICIT_DATA.to_vec()].concat();
    let opening = open(&right).unwrap();
    for length in [0_u32, 12, 200, 100_000, u32::MAX] {
        let mut wrong = right.clone();
        wrong.splice(140..144, length.to_le_bytes());
        assert_eq!(open(&wrong).unwrap(), opening, "{length}");
    }
    let mut none = right.clone();
    none.drain(132..144);
    assert_eq!(open(&none).unwrap(), Opening { data_set: opening.data_set - 12, ..opening });
}

#[test]
fn deflated_bytes_that_look_like_meta_are_not_read_as_such() {
    let written = meta(uids::DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN);
    let opening = open(&[&written, b"\x02\0\xFF\xFF\xFF\xFF\xFF\xFF\xFF".as_slice()].concat());
    assert_eq!(opening.unwrap().data_set, written.len());
}

#[test]
fn values_longer_than_they_may_be_are_read() {
    let long = format!("1.{}", "2".repeat(98));
    let elements = [
        element(tags::MEDIA_STORAGE_SOP_INSTANCE_UID, *b"UI\0", &long),
        element(tags::TRANSFER_SYNTAX_UID, *b"UI\0", EXPLICIT),
        element(tags::IMPLEMENTATION_VERSION_NAME, *b"SH ", &"x".repeat(300)),
    ];
    let opening = open(&file(&elements, EXPLICIT_DATA)).unwrap();
    assert_eq!(opening.sop_instance.as_deref(), Some(long.as_str()));
    assert_eq!((opening.transfer_syntax.as_str(), opening.basis), (EXPLICIT, Basis::Declared));
}

#[test]
fn meta_in_implicit_vr_is_read() {
    let elements = [
        implicit(Tag(2, 0), &40_u32.to_le_bytes()),
        implicit(tags::MEDIA_STORAGE_SOP_CLASS_UID, CT.as_bytes()),
        implicit(tags::TRANSFER_SYNTAX_UID, b"1.2.840.10008.1.2\0"),
    ];
    let opening = open(&file(&elements, IMPLICIT_DATA)).unwrap();
    assert_eq!((opening.transfer_syntax.as_str(), opening.basis), (IMPLICIT, Basis::Declared));
    assert_eq!(opening.sop_class.as_deref(), Some(CT));
    assert_eq!(opening.data_set, 132 + elements.concat().len());
}

#[test]
fn meta_without_preamble_or_prefix_is_read() {
    let whole = [meta(EXPLICIT), EXPLICIT_DATA.to_vec()].concat();
    for (cut, form) in [(128, Form::NoPreamble), (132, Form::NoPreamble)] {
        let opening = open(&whole[cut..]).unwrap();
        assert_eq!(opening.form, form);
        assert_eq!(opening.data_set, whole.len() - EXPLICIT_DATA.len() - cut);
        assert_eq!(opening.basis, Basis::Declared);
    }
    let no_prefix = [&whole[..128], &whole[132..]].concat();
    let opening = open(&no_prefix).unwrap();
    assert_eq!((opening.form, opening.basis), (Form::File, Basis::Declared));
}

#[test]
fn a_bare_data_set_is_told_by_its_first_element() {
    for (data, syntax) in
        [(EXPLICIT_DATA, EXPLICIT), (IMPLICIT_DATA, IMPLICIT), (BIG_DATA, EXPLICIT_BIG)]
    {
        let opening = open(data).unwrap();
        assert_eq!((opening.form, opening.data_set), (Form::Bare, 0));
        assert_eq!((opening.transfer_syntax.as_str(), opening.basis), (syntax, Basis::Guessed));
    }
}

#[test]
fn a_missing_transfer_syntax_is_guessed_and_said_so() {
    for value in [None, Some(""), Some("implicit")] {
        let mut elements = vec![element(tags::MEDIA_STORAGE_SOP_CLASS_UID, *b"UI\0", CT)];
        elements.extend(value.map(|value| element(tags::TRANSFER_SYNTAX_UID, *b"UI\0", value)));
        let opening = open(&file(&elements, IMPLICIT_DATA)).unwrap();
        assert_eq!((opening.transfer_syntax.as_str(), opening.basis), (IMPLICIT, Basis::Guessed));
        assert_eq!(open(&file(&elements, b"")), Err(Part10Error::UnknownSyntax));
        assert_eq!(open(&file(&elements, b"not a data set")), Err(Part10Error::UnknownSyntax));
    }
}

#[test]
fn a_native_syntax_that_the_first_element_contradicts_is_corrected() {
    for (declared, data, right) in [
        (IMPLICIT, EXPLICIT_DATA, EXPLICIT),
        (EXPLICIT, IMPLICIT_DATA, IMPLICIT),
        (EXPLICIT, BIG_DATA, EXPLICIT_BIG),
        (EXPLICIT_BIG, EXPLICIT_DATA, EXPLICIT),
    ] {
        let opening = open(&[&meta(declared), data].concat()).unwrap();
        assert_eq!((opening.transfer_syntax.as_str(), opening.basis), (right, Basis::Corrected));
    }
    let jpeg = uids::JPEG_BASELINE8_BIT;
    let opening = open(&[&meta(jpeg), IMPLICIT_DATA].concat()).unwrap();
    assert_eq!((opening.transfer_syntax.as_str(), opening.basis), (jpeg, Basis::Declared));
}

#[test]
fn what_is_no_dicom_file_is_said_so() {
    for bytes in [
        b"".as_slice(),
        b"\x08\0",
        b"# DICOM files from public test collections\n",
        b"GIF89a\x01\0\x01\0\x80\0\0",
        b"{\"00080018\": {}}",
        b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
        &[0; 400],
    ] {
        assert_eq!(open(bytes), Err(Part10Error::NotDicom));
    }
}

#[test]
fn a_meta_group_that_does_not_end_is_said_so() {
    let whole = meta(EXPLICIT);
    let cut = whole.len() - 3;
    let error = Part10Error::MetaCut { offset: whole.len() - 20, given: cut };
    assert_eq!(open(&whole[..cut]), Err(error));
    let huge = file(&[b"\x02\0\x01\0OB\0\0\xFE\xFF\xFF\xFF".to_vec()], b"");
    let error = Part10Error::MetaCut { offset: 132, given: huge.len() };
    assert_eq!(open(&huge), Err(error));
}

proptest! {
    #[test]
    fn any_bytes_are_opened_or_refused(
        prefix in prop_oneof![Just(0), Just(4), Just(132)],
        bytes in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let mut file = vec![0; 132];
        file.splice(128.., *b"DICM");
        let file = [&file[132 - prefix..], b"\x02\0", &bytes].concat();
        if let Ok(opening) = open(&file) {
            prop_assert!(opening.data_set <= file.len());
            prop_assert!(!opening.transfer_syntax.is_empty());
        }
    }

    #[test]
    fn any_meta_that_can_be_written_reads_back(
        class in "[0-9][0-9.]{0,63}",
        instance in "[0-9][0-9.]{0,63}",
        ae in prop::option::of("[A-Z][A-Z0-9_]{0,15}"),
    ) {
        let written = write_meta(Meta {
            sop_class: &class,
            sop_instance: &instance,
            transfer_syntax: IMPLICIT,
            source_ae: ae.as_deref(),
        }).unwrap();
        prop_assert_eq!(written.len() % 2, 0);
        let opening = open(&[&written, IMPLICIT_DATA].concat()).unwrap();
        prop_assert_eq!(opening.data_set, written.len());
        prop_assert_eq!(opening.sop_class, Some(class));
        prop_assert_eq!(opening.sop_instance, Some(instance));
        prop_assert_eq!(opening.source_ae, ae);
    }
}
