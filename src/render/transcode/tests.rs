//! What a conversion keeps, what it changes and what it refuses.

use dicom_core::VR;
use dicom_dictionary_std::tags;

use super::*;
use crate::render::testing::Object;
use crate::sharing::imaging::element::{Element, ElementSet, Value};
use crate::sharing::imaging::writing::write;

const BIG: &str = "1.2.840.10008.1.2.2";
const JPEG: &str = "1.2.840.10008.1.2.4.50";
const RLE: &str = "1.2.840.10008.1.2.5";

fn element(tag: dicom_core::Tag, vr: VR, value: &[u8]) -> Element {
    Element { tag, vr, value: Value::Bytes(value.to_vec()) }
}

fn set(elements: impl IntoIterator<Item = Element>) -> ElementSet {
    let mut set = ElementSet::default();
    elements.into_iter().for_each(|element| set.insert(element));
    set
}

fn converted(stored: &str, data: &[u8], wanted: &str) -> Vec<u8> {
    transcode(stored, &Bytes::copy_from_slice(data), wanted).unwrap().to_vec()
}

fn contains(data: &[u8], part: &[u8]) -> bool {
    data.windows(part.len()).any(|window| window == part)
}

#[test]
fn what_is_offered_is_little_endian_and_not_compressed() {
    for stored in [IMPLICIT_LITTLE, EXPLICIT_LITTLE, DEFLATED, BIG, JPEG, RLE] {
        assert!(TARGETS.iter().all(|wanted| can(stored, wanted)), "{stored}");
        assert!(can(stored, stored));
    }
    assert!(!can(EXPLICIT_LITTLE, BIG) && !can(EXPLICIT_LITTLE, RLE) && !can(JPEG, RLE));
    let video = "1.2.840.10008.1.2.4.102";
    assert!(!can(video, EXPLICIT_LITTLE) && can(video, video));
    assert!(!can("1.2.3.4", EXPLICIT_LITTLE));
    let refused = transcode(video, &Bytes::new(), EXPLICIT_LITTLE);
    assert!(matches!(refused, Err(TranscodeError::NotOffered)));
}

#[test]
fn numbers_words_and_tags_of_big_endian_are_turned() {
    let big: &[u8] = &[
        0, 8, 0, 6, b'S', b'Q', 0, 0, 0, 0, 0, 18, // (0008,0006), 18 bytes
        0xFF, 0xFE, 0xE0, 0, 0, 0, 0, 10, // one item
        0, 0x28, 0, 0x10, b'U', b'S', 0, 2, 1, 2, // Rows
        0, 8, 0, 0x60, b'C', b'S', 0, 2, b'C', b'T', // Modality
        0, 0x18, 0x90, 0x73, b'F', b'D', 0, 8, 1, 2, 3, 4, 5, 6, 7, 8, // Acquisition Duration
        0, 0x28, 0, 9, b'A', b'T', 0, 4, 0, 0x18, 0x10, 0x63, // Frame Increment Pointer
        0, 0x28, 0x12, 1, b'O', b'W', 0, 0, 0, 0, 0, 4, 1, 2, 3, 4, // red palette
    ];
    let little: &[u8] = &[
        8, 0, 6, 0, b'S', b'Q', 0, 0, 18, 0, 0, 0, 0xFE, 0xFF, 0, 0xE0, 10, 0, 0, 0, //
        0x28, 0, 0x10, 0, b'U', b'S', 2, 0, 2, 1, //
        8, 0, 0x60, 0, b'C', b'S', 2, 0, b'C', b'T', //
        0x18, 0, 0x73, 0x90, b'F', b'D', 8, 0, 8, 7, 6, 5, 4, 3, 2, 1, //
        0x28, 0, 9, 0, b'A', b'T', 4, 0, 0x18, 0, 0x63, 0x10, //
        0x28, 0, 1, 0x12, b'O', b'W', 0, 0, 4, 0, 0, 0, 2, 1, 4, 3,
    ];
    assert_eq!(converted(BIG, big, EXPLICIT_LITTLE), little);
    assert_eq!(
        converted(BIG, big, IMPLICIT_LITTLE),
        converted(EXPLICIT_LITTLE, little, IMPLICIT_LITTLE)
    );
}

#[test]
fn the_dictionary_and_what_was_said_before_tell_representations() {
    let implicit = write(
        &set([
            element(tags::MODALITY, VR::CS, b"CT"),
            element(dicom_core::Tag(0x0009, 0x0010), VR::LO, b"MAKER "),
            element(dicom_core::Tag(0x0009, 0x1001), VR::UN, b"what"),
            element(tags::PIXEL_REPRESENTATION, VR::US, &[1, 0]),
            element(tags::SMALLEST_IMAGE_PIXEL_VALUE, VR::SS, &[0xFF, 0xFF]),
            element(tags::LUT_DATA, VR::US, &[1, 0]),
            element(dicom_core::Tag(0x6000, 0x3000), VR::OW, &[1, 0]),
        ]),
        false,
    );
    let explicit = converted(IMPLICIT_LITTLE, &implicit, EXPLICIT_LITTLE);
    for part in [
        &b"\x09\0\x10\0LO\x06\0MAKER "[..],
        b"\x09\0\x01\x10UN\0\0\x04\0\0\0what",
        b"\x28\0\x06\x01SS\x02\0\xFF\xFF",
        b"\x28\0\x06\x30US\x02\0\x01\0",
        b"\0\x60\0\x30OW\0\0\x02\0\0\0\x01\0",
    ] {
        assert!(contains(&explicit, part), "{part:?}");
    }
    assert_eq!(converted(EXPLICIT_LITTLE, &explicit, IMPLICIT_LITTLE), implicit);
}

#[test]
fn a_value_too_long_for_its_representation_becomes_un_and_comes_back() {
    let long = vec![b'x'; 70_000];
    let implicit = write(&set([element(tags::STUDY_DESCRIPTION, VR::LO, &long)]), false);
    let explicit = converted(IMPLICIT_LITTLE, &implicit, EXPLICIT_LITTLE);
    assert!(explicit.starts_with(b"\x08\0\x30\x10UN\0\0\x70\x11\x01\0"));
    assert_eq!(converted(EXPLICIT_LITTLE, &explicit, IMPLICIT_LITTLE), implicit);
}

#[test]
fn group_lengths_and_zeros_at_the_end_go() {
    let data = b"\x08\0\0\0UL\x04\0\x0A\0\0\0\x08\0\x60\0CS\x02\0CT\0\0\0\0\0\0\0\0\0\0";
    assert_eq!(converted(EXPLICIT_LITTLE, data, IMPLICIT_LITTLE), b"\x08\0\x60\0\x02\0\0\0CT");
}

#[test]
fn an_open_sequence_without_representation_stays_implicit_inside() {
    // A private sequence that went through a node that did not know it (PS3.5, 6.2.2, note 2).
    let implicit = b"\x09\0\x01\x10\xFF\xFF\xFF\xFF\xFE\xFF\0\xE0\xFF\xFF\xFF\xFF\
        \x08\0\x60\0\x02\0\0\0CT\xFE\xFF\x0D\xE0\0\0\0\0\xFE\xFF\xDD\xE0\0\0\0\0";
    let explicit = converted(IMPLICIT_LITTLE, implicit, EXPLICIT_LITTLE);
    assert!(explicit.starts_with(b"\x09\0\x01\x10UN\0\0\xFF\xFF\xFF\xFF"));
    assert_eq!(explicit.get(12..), implicit.get(8..));
    assert_eq!(converted(EXPLICIT_LITTLE, &explicit, IMPLICIT_LITTLE), implicit);
}

#[test]
fn an_unknown_representation_becomes_un() {
    let data = b"\x08\0\x60\0ZZ\0\0\x02\0\0\0CT";
    let deflated = converted(EXPLICIT_LITTLE, data, DEFLATED);
    assert_eq!(converted(DEFLATED, &deflated, EXPLICIT_LITTLE), data, "nothing is written anew");
    let big = b"\0\x08\0\x60ZZ\0\0\0\0\0\x02CT";
    assert_eq!(converted(BIG, big, EXPLICIT_LITTLE), b"\x08\0\x60\0UN\0\0\x02\0\0\0CT");
}

/// Run lengths of one segment: the bytes as they are.
fn rle(segments: &[&[u8]]) -> Vec<u8> {
    let mut frame = u32::try_from(segments.len()).unwrap().to_le_bytes().to_vec();
    let mut body = Vec::new();
    for segment in segments {
        frame.extend(u32::try_from(64 + body.len()).unwrap().to_le_bytes());
        body.push(u8::try_from(segment.len() - 1).unwrap());
        body.extend_from_slice(segment);
    }
    frame.resize(64, 0);
    frame.extend(body);
    frame.resize(frame.len().next_multiple_of(2), 0);
    frame
}

#[test]
fn colour_becomes_colour_by_pixel_and_says_so() {
    let frame = rle(&[&[1, 2], &[3, 4], &[5, 6]]);
    let object = Object::image("RGB", 2, 1, 8)
        .shorts(0x0028_0002, &[3])
        .shorts(0x0028_0006, &[1])
        .fragments(&[], &[&frame]);
    let explicit = converted(RLE, &object.data(), EXPLICIT_LITTLE);
    assert!(contains(&explicit, b"\x28\0\x06\0US\x02\0\0\0"), "planar configuration");
    assert!(explicit.ends_with(b"\xE0\x7F\x10\0OB\0\0\x06\0\0\0\x01\x03\x05\x02\x04\x06"));
}

#[test]
fn frames_of_bits_follow_each_other_without_a_gap() {
    let frames = [rle(&[&[0b0000_0101]]), rle(&[&[0b0000_0010]])];
    let object = Object::image("MONOCHROME2", 3, 1, 1)
        .text(0x0028_0008, "2 ")
        .fragments(&[], &[&frames[0], &frames[1]]);
    let explicit = converted(RLE, &object.data(), EXPLICIT_LITTLE);
    assert!(explicit.ends_with(&[2, 0, 0, 0, 0b0001_0101, 0]), "{explicit:x?}");
}

#[test]
fn damaged_pixels_are_refused_and_none_are_none() {
    let damaged = Object::image("MONOCHROME2", 2, 2, 8).fragments(&[], &[&[0xFF, 0xD8, 1, 2]]);
    let data = Bytes::from(damaged.data());
    let refused = transcode(JPEG, &data, EXPLICIT_LITTLE);
    assert!(matches!(refused, Err(TranscodeError::Pixels(_))), "{refused:?}");
    let empty = Object::image("MONOCHROME2", 2, 2, 8).fragments(&[], &[]);
    let explicit = converted(JPEG, &empty.data(), EXPLICIT_LITTLE);
    assert!(contains(&explicit, b"\xE0\x7F\x10\0OB\0\0\0\0\0\0"));
}

#[test]
fn what_would_be_too_long_is_refused_before_it_is_decoded() {
    let object = Object::image("MONOCHROME2", 30_000, 30_000, 16).fragments(&[], &[&[0; 8]]);
    let data = Bytes::from(object.data());
    let refused = transcode(RLE, &data, EXPLICIT_LITTLE);
    assert!(matches!(refused, Err(TranscodeError::TooLarge { .. })), "{refused:?}");
    let object = Object::image("MONOCHROME2", 100, 100, 16)
        .text(0x0028_0008, "900000")
        .fragments(&[], &[&[0; 8]]);
    let data = Bytes::from(object.data());
    let refused = transcode(RLE, &data, EXPLICIT_LITTLE);
    assert!(matches!(refused, Err(TranscodeError::TooLarge { .. })), "{refused:?}");
}

#[test]
fn a_data_set_that_is_cut_off_is_refused() {
    let data = Bytes::from_static(b"\x08\0\x60\0CS\x04\0CT");
    let refused = transcode(EXPLICIT_LITTLE, &data, IMPLICIT_LITTLE);
    assert!(matches!(refused, Err(TranscodeError::Structure(_))), "{refused:?}");
    let deflated = transcode(EXPLICIT_LITTLE, &Bytes::from(vec![0; 64]), DEFLATED).unwrap();
    let cut = deflated.slice(..2);
    let refused = transcode(DEFLATED, &cut, EXPLICIT_LITTLE);
    assert!(matches!(refused, Err(TranscodeError::Inflate)), "{refused:?}");
}

#[tokio::test]
async fn workers_convert() {
    let workers = Workers::start(super::super::Options { threads: 1, waiting_max: 1 }).unwrap();
    let port: &dyn Transcoder = &workers;
    let data = Bytes::from_static(b"\x08\0\x60\0CS\x02\0CT");
    let found = port.transcode(EXPLICIT_LITTLE, data, IMPLICIT_LITTLE).await.unwrap();
    assert_eq!(found.as_ref(), b"\x08\0\x60\0\x02\0\0\0CT");
    let cut = Bytes::from_static(b"\x08\0\x60\0CS\x02\0C");
    let refused = port.transcode(EXPLICIT_LITTLE, cut, IMPLICIT_LITTLE).await;
    assert!(matches!(refused, Err(TranscodeError::Structure(_))));
}

/// Without representations a reader takes what the dictionary says: the fuzzer found text in the place of
/// a sequence, which came out as something that cannot be read.
#[test]
fn a_value_where_the_dictionary_has_a_sequence_is_not_written_as_one() {
    let text = |vr, value: &[u8]| {
        write(&set([element(tags::REFERENCED_SERIES_SEQUENCE, vr, value)]), true)
    };
    for (vr, value) in [(VR::LO, b"no items".as_slice()), (VR::UN, b"no items")] {
        let data = text(vr, value);
        let refused = transcode(EXPLICIT_LITTLE, &data.clone().into(), IMPLICIT_LITTLE);
        assert!(refused.is_err(), "{vr:?}");
        assert_eq!(converted(EXPLICIT_LITTLE, &data, EXPLICIT_LITTLE), data);
    }
    // Unknown to who wrote it, coded as the standard asks: one empty item.
    let item = [0xFE, 0xFF, 0, 0xE0, 0, 0, 0, 0];
    let written = converted(EXPLICIT_LITTLE, &text(VR::UN, &item), IMPLICIT_LITTLE);
    assert!(contains(&written, &item));
    let nothing = converted(EXPLICIT_LITTLE, &text(VR::LO, b""), IMPLICIT_LITTLE);
    assert_eq!(nothing.len(), 8);
}
