//! What is taken, what is counted, what is kept.

use dicom_core::{Tag, VR};
use dicom_dictionary_std::tags;

use super::fixtures::*;
use super::*;
use crate::sharing::imaging::element::{Element, ElementSet, Value};

#[test]
fn a_plain_data_set_is_described() {
    let writer = Writer::explicit().start().value(tags::PATIENT_NAME, VR::PN, b"A^B ").value(
        tags::ROWS,
        VR::US,
        b"\0\x02",
    );
    let writer = writer.value(PIXELS, VR::OW, &[7; 20]);
    let facts = check_explicit(&writer).unwrap();
    assert_eq!((facts.bytes, facts.checked_bytes), (writer.at(), writer.at()));
    assert_eq!((facts.elements, facts.depth, facts.header_whole), (5, 0, true));
    let pixels = facts.pixel_data.unwrap();
    assert_eq!((pixels.tag, pixels.vr, pixels.offset), (PIXELS, VR::OW, writer.at() - 20));
    assert_eq!(pixels.form, PixelForm::Native { length: 20 });
    assert!(!pixels.is_empty());
    assert_eq!(facts.warnings, Warnings::default());
    assert_eq!(facts.captured.len(), 4);
    assert_eq!(facts.captured.bytes(tags::PATIENT_NAME), Some(b"A^B ".as_slice()));
}

#[test]
fn an_empty_data_set_is_whole() {
    for syntax in [Syntax::EXPLICIT_LITTLE, Syntax::IMPLICIT_LITTLE, jpeg(), big_endian()] {
        let facts = check(syntax, Wanted::All, Limits::default(), b"").unwrap();
        assert!(facts.header_whole && facts.elements == 0 && facts.pixel_data.is_none());
    }
}

#[test]
fn pixel_data_without_a_byte_is_told() {
    let native = Writer::explicit().start().header(PIXELS, VR::OW, 0);
    assert!(check_explicit(&native).unwrap().pixel_data.unwrap().is_empty());
    let empty: &[&[u8]] = &[b"", b""];
    for parts in [&empty[..0], &empty[..1], empty] {
        let facts = check_encapsulated(&Writer::explicit().start().fragments(parts)).unwrap();
        assert!(facts.pixel_data.unwrap().is_empty(), "{parts:?}");
    }
}

#[test]
fn fragments_are_counted_and_found() {
    let start = Writer::explicit().start();
    let offset = start.at() + 12;
    let table = b"\0\0\0\0\x0C\0\0\0";
    let facts = check_encapsulated(&start.fragments(&[table, b"abcd", b"efghij"])).unwrap();
    let pixels = facts.pixel_data.unwrap();
    assert_eq!(pixels.offset, offset);
    assert_eq!(
        pixels.form,
        PixelForm::Encapsulated {
            offset_table_bytes: 8,
            fragments: 2,
            fragment_bytes: 10,
            first_fragment: Some(offset + 16),
        }
    );
}

#[test]
fn only_pixels_of_the_data_set_itself_are_described() {
    let icon = Writer::explicit().open(tags::ICON_IMAGE_SEQUENCE).item(UNDEFINED);
    let icon = icon.fragments(&[b"", b"icon"]).end_item().end();
    let facts = check_encapsulated(&icon).unwrap();
    assert_eq!((facts.pixel_data, facts.depth, facts.elements), (None, 1, 2));
    let both = icon.fragments(&[b"", b"pixels"]);
    let pixels = check_encapsulated(&both).unwrap().pixel_data.unwrap();
    assert!(matches!(pixels.form, PixelForm::Encapsulated { fragments: 1, fragment_bytes: 6, .. }));
}

#[test]
fn native_pixels_are_taken_in_an_encapsulated_syntax_and_float_pixels_are_pixels() {
    let native = Writer::explicit().value(PIXELS, VR::OW, b"1234");
    let pixels = check_encapsulated(&native).unwrap().pixel_data.unwrap();
    assert_eq!(pixels.form, PixelForm::Native { length: 4 });
    let float = Writer::explicit().value(tags::FLOAT_PIXEL_DATA, VR::OF, b"1234");
    assert_eq!(check_explicit(&float).unwrap().pixel_data.unwrap().tag, tags::FLOAT_PIXEL_DATA);
}

#[test]
fn items_and_sequences_are_walked_with_and_without_lengths() {
    for coding in [Coding::ImplicitLittle, Coding::ExplicitLittle, Coding::ExplicitBig] {
        let syntax = Syntax { coding, ..Syntax::EXPLICIT_LITTLE };
        let code = |value: &[u8]| Writer::new(coding).value(tags::CODE_VALUE, VR::SH, value).bytes;
        let (a, b) = (code(b"T-1 "), code(b"T-2 "));
        let item = u32::try_from(a.len()).unwrap();
        let open = Writer::new(coding).open(SEQUENCE);
        let defined = Writer::new(coding).header(SEQUENCE, VR::SQ, 2 * (item + 8));
        let long = |writer: Writer| writer.item(item).raw(&a).item(item).raw(&b);
        let short = open.clone().item(UNDEFINED).raw(&a).end_item().item(item).raw(&b).end();
        for writer in [long(open).end(), long(defined), short] {
            let facts = check(syntax, Wanted::List(LIST), Limits::default(), &writer.bytes);
            let facts = facts.unwrap();
            assert_eq!((facts.depth, facts.elements), (1, 3));
            let items = facts.captured.items(SEQUENCE);
            assert_eq!(items.len(), 2);
            assert_eq!(items[1].bytes(tags::CODE_VALUE), Some(b"T-2 ".as_slice()));
            assert_eq!(facts.captured.get(SEQUENCE).unwrap().vr, VR::SQ);
        }
    }
}

#[test]
fn an_unknown_sequence_of_undefined_length_is_implicit_inside() {
    let inside = Writer::new(Coding::ImplicitLittle)
        .item(UNDEFINED)
        .value(tags::CODE_VALUE, VR::SH, b"T-1 ")
        .end_item()
        .end();
    for (coding, syntax) in [
        (Coding::ExplicitLittle, Syntax::EXPLICIT_LITTLE),
        (Coding::ExplicitBig, big_endian()),
        (Coding::ImplicitLittle, Syntax::IMPLICIT_LITTLE),
    ] {
        for tag in [PRIVATE, SEQUENCE] {
            let writer = Writer::new(coding).header(tag, VR::UN, UNDEFINED).raw(&inside.bytes);
            let writer = writer.value(tags::ROWS, VR::US, b"\x02\x01");
            let facts = check(syntax, Wanted::All, Limits::default(), &writer.bytes).unwrap();
            let marked = u64::from(coding != Coding::ImplicitLittle);
            assert_eq!(facts.unknown_sequences, marked);
            assert_eq!(facts.is_read_alike(), marked == 0);
            let value = facts.captured.items(tag)[0].bytes(tags::CODE_VALUE);
            assert_eq!(value, Some(b"T-1 ".as_slice()));
            assert!(facts.captured.get(tags::ROWS).is_some());
        }
    }
}

#[test]
fn a_private_value_of_known_length_is_passed_over_whatever_it_holds() {
    let bytes = nested(Coding::ImplicitLittle, 500, false);
    let writer = Writer::explicit().value(PRIVATE, VR::UN, &bytes);
    assert_eq!(check_explicit(&writer).unwrap().elements, 1);
}

#[test]
fn a_public_element_written_as_unknown_is_known_again() {
    let writer = Writer::explicit().value(tags::MODALITY, VR::UN, b"CT");
    let facts = check_explicit(&writer).unwrap();
    assert_eq!(facts.captured, set([element(tags::MODALITY, VR::CS, b"CT")]));
}

#[test]
fn representations_of_implicit_data_sets_come_from_the_dictionary() {
    let creator = Tag(0x0009, 0x0010);
    let writer = Writer::new(Coding::ImplicitLittle)
        .value(Tag(0x0008, 0x0000), VR::UL, b"\x10\0\0\0")
        .value(tags::MODALITY, VR::CS, b"CT")
        .value(creator, VR::LO, b"ACME")
        .value(PRIVATE, VR::UN, b"x ")
        .value(Tag(0x6002, 0x0010), VR::US, b"\x01\0");
    let facts =
        check(Syntax::IMPLICIT_LITTLE, Wanted::All, Limits::default(), &writer.bytes).unwrap();
    let vrs: Vec<_> = facts.captured.iter().map(|element| element.vr).collect();
    assert_eq!(vrs, [VR::UL, VR::CS, VR::LO, VR::UN, VR::US]);
}

#[test]
fn big_endian_numbers_are_kept_little_endian() {
    for (vr, value, turned) in [
        (VR::US, b"\x01\x02\x03\x04".as_slice(), b"\x02\x01\x04\x03".as_slice()),
        (VR::AT, b"\0\x08\0\x60", b"\x08\0\x60\0"),
        (VR::OW, b"\x01\x02", b"\x02\x01"),
        (VR::UL, b"\x01\x02\x03\x04", b"\x04\x03\x02\x01"),
        (VR::FL, b"\x01\x02\x03\x04", b"\x04\x03\x02\x01"),
        (VR::FD, b"\x01\x02\x03\x04\x05\x06\x07\x08", b"\x08\x07\x06\x05\x04\x03\x02\x01"),
        (VR::OB, b"\x01\x02", b"\x01\x02"),
        (VR::UN, b"\x01\x02", b"\x01\x02"),
        (VR::LO, b"AB", b"AB"),
    ] {
        let writer = Writer::new(Coding::ExplicitBig).value(PRIVATE, vr, value);
        let facts = check(big_endian(), Wanted::All, Limits::default(), &writer.bytes).unwrap();
        assert_eq!(facts.captured, set([element(PRIVATE, vr, turned)]), "{vr:?}");
    }
}

#[test]
fn representations_newer_than_this_are_read_by_their_length() {
    let long = Writer::explicit().raw(b"\x09\0\x01\x10ZZ\0\0\x04\0\0\0abcd");
    let short = Writer::explicit().raw(b"\x09\0\x01\x10ZZ\x04\0abcd");
    let question = Writer::explicit().raw(b"\x09\0\x01\x10??\x04\0abcd");
    for writer in [long, short, question] {
        let facts =
            check(Syntax::EXPLICIT_LITTLE, Wanted::All, Limits::default(), &writer.start().bytes)
                .unwrap();
        assert_eq!(facts.captured.bytes(PRIVATE), Some(b"abcd".as_slice()));
        assert_eq!(facts.captured.get(PRIVATE).unwrap().vr, VR::UN);
        assert_eq!((facts.elements, facts.warnings.unknown_vrs), (3, 1));
        assert!(!facts.is_read_alike());
    }
}

#[test]
fn what_real_files_do_wrong_is_counted() {
    let out_of_order = Writer::explicit().value(tags::ROWS, VR::US, b"\0\0").start();
    let repeated = Writer::explicit().start().value(tags::MODALITY, VR::CS, b"MR");
    let odd = Writer::explicit().value(tags::MODALITY, VR::CS, b"CT1");
    let meta = Writer::explicit().value(tags::TRANSFER_SYNTAX_UID, VR::UI, b"1.2 ").start();
    let needless = Writer::explicit().header(SEQUENCE, VR::SQ, 24).item(8).end_item().end();
    let lengths = Writer::explicit().open(SEQUENCE).plain(Tag(0xFFFE, 0xE0DD), 8);
    let none = Warnings::default();
    for (writer, warnings) in [
        (out_of_order, Warnings { out_of_order: 1, ..none }),
        (repeated, Warnings { repeated: 1, ..none }),
        (odd, Warnings { odd_lengths: 1, ..none }),
        (meta, Warnings { meta_elements: 1, ..none }),
        (needless, Warnings { needless_delimiters: 2, ..none }),
        (lengths, Warnings { delimiter_lengths: 1, ..none }),
    ] {
        assert_eq!(check_explicit(&writer).unwrap().warnings, warnings);
    }
    let odd = Writer::explicit().fragments(&[b"", b"abc"]);
    assert_eq!(check_encapsulated(&odd).unwrap().warnings, Warnings { odd_lengths: 1, ..none });
}

#[test]
fn padding_at_the_end_is_taken() {
    let pixels = Writer::explicit().start().value(PIXELS, VR::OW, b"1234");
    let standard = pixels.clone().value(tags::DATA_SET_TRAILING_PADDING, VR::OB, &[0; 50]);
    assert_eq!(check_explicit(&standard).unwrap().warnings, Warnings::default());
    for zeros in [1_u16, 7, 8, 9, 1000] {
        let zeros = usize::from(zeros);
        let facts = check_explicit(&pixels.clone().raw(&vec![0; zeros])).unwrap();
        assert_eq!(facts.warnings.padding_bytes, bytes(zeros));
        assert_eq!((facts.warnings.count(), facts.elements), (1, 3));
    }
}

#[test]
fn a_deflated_data_set_is_checked_as_it_inflates() {
    let plain = Writer::explicit().start().value(PIXELS, VR::OW, &vec![3; 100_000]);
    let small = deflate(&plain.bytes);
    let limits = Limits::default();
    let facts = check(deflated(), Wanted::List(LIST), limits, &small).unwrap();
    let direct = check_explicit(&plain).unwrap();
    assert_eq!(facts, Facts { bytes: bytes(small.len()), ..direct });
    let padded = [small.as_slice(), b"\0"].concat();
    let facts = check(deflated(), NOTHING, limits, &padded).unwrap();
    assert_eq!(facts.warnings.count(), 0);
    let more = [small.as_slice(), b"\0\x01\x02"].concat();
    assert_eq!(check(deflated(), NOTHING, limits, &more).unwrap().warnings.after_deflated, 2);
}

#[test]
fn the_last_of_two_equal_tags_counts() {
    let writer = Writer::explicit().start().value(tags::MODALITY, VR::CS, b"MR");
    let facts = check_explicit(&writer).unwrap();
    assert_eq!(facts.captured.bytes(tags::MODALITY), Some(b"MR".as_slice()));
}

const PIXELS_WANTED: &[Want] = &[Want::value(PIXELS)];

#[test]
fn a_wanted_value_that_is_too_long_is_left_out_and_counted() {
    let long = vec![b' '; usize::try_from(VALUE_BYTES_MAX).unwrap() + 1];
    let implicit = Writer::new(Coding::ImplicitLittle);
    let writer = implicit.start().value(tags::PATIENT_NAME, VR::PN, &long);
    let writer = writer.value(tags::ROWS, VR::US, b"\x01\0");
    let syntax = Syntax::IMPLICIT_LITTLE;
    let facts = check(syntax, Wanted::List(LIST), Limits::default(), &writer.bytes).unwrap();
    assert_eq!(facts.warnings.left_out, 1);
    assert!(facts.captured.get(tags::PATIENT_NAME).is_none());
    assert!(facts.captured.get(tags::ROWS).is_some());
    let writer = Writer::explicit().fragments(&[b"", b"abcd"]);
    let facts =
        check(jpeg(), Wanted::List(PIXELS_WANTED), Limits::default(), &writer.bytes).unwrap();
    assert_eq!((facts.warnings.left_out, facts.captured.len()), (1, 0));
}

#[test]
fn everything_is_kept_where_all_is_wanted() {
    let writer = Writer::explicit()
        .start()
        .open(SEQUENCE)
        .item(UNDEFINED)
        .value(tags::CODE_VALUE, VR::SH, b"1 ")
        .open(PRIVATE)
        .item(0)
        .end()
        .end_item()
        .end();
    let facts =
        check(Syntax::EXPLICIT_LITTLE, Wanted::All, Limits::default(), &writer.bytes).unwrap();
    let private =
        Element { tag: PRIVATE, vr: VR::SQ, value: Value::Items(vec![ElementSet::default()]) };
    let item = set([element(tags::CODE_VALUE, VR::SH, b"1 "), private]);
    let sequence = Element { tag: SEQUENCE, vr: VR::SQ, value: Value::Items(vec![item]) };
    assert_eq!(
        facts.captured,
        set([
            element(tags::SOP_INSTANCE_UID, VR::UI, b"1.2.3\0"),
            element(tags::MODALITY, VR::CS, b"CT"),
            sequence,
        ])
    );
}

#[test]
fn facts_can_be_read_on_the_way_and_after_a_refusal() {
    let writer = Writer::explicit().start().value(PIXELS, VR::OW, &[0; 100]);
    let mut guard = Guard::new(Syntax::EXPLICIT_LITTLE, Wanted::List(LIST), Limits::default());
    guard.push(&writer.bytes[..20]).unwrap();
    assert!(!guard.facts().header_whole);
    guard.push(&writer.bytes[20..60]).unwrap();
    assert!(guard.facts().header_whole && guard.facts().captured.len() == 2);
    let error = guard.check_end().unwrap_err();
    let tag = Some(PIXELS);
    assert_eq!(error, StructureError::Truncated { tag, offset: 60, header_whole: true });
    let facts = guard.abandon();
    assert_eq!((facts.bytes, facts.captured.len()), (60, 2));
}
