//! What is refused, with which limit, and how little it takes.

use dicom_core::{Tag, VR};
use dicom_dictionary_std::tags;

use super::fixtures::*;
use super::header::{ITEM, ITEM_END, SEQUENCE_END};
use super::*;

const EXPLICIT: Syntax = Syntax::EXPLICIT_LITTLE;

fn limits() -> Limits {
    Limits::default()
}

/// Asserts that `writer`, to which nothing need follow, is refused with `error`.
fn refused(writer: &Writer, error: &StructureError) {
    assert_eq!(check_explicit(writer).as_ref(), Err(error), "{error}");
    let message = error.to_string();
    assert!(message.starts_with(|c: char| c.is_lowercase() || c == '(' || c.is_ascii_digit()));
    assert!(!message.ends_with('.'));
}

#[test]
fn an_element_longer_than_its_item_is_refused() {
    let writer = Writer::explicit().start().header(SEQUENCE, VR::SQ, 20).item(12);
    let offset = writer.at();
    refused(
        &writer.header(tags::CODE_VALUE, VR::SH, 5),
        &StructureError::Overrun {
            tag: tags::CODE_VALUE,
            offset,
            length: 5,
            remaining: 4,
            within: SEQUENCE,
        },
    );
}

#[test]
fn an_item_longer_than_its_sequence_is_refused() {
    let writer = Writer::explicit().start().header(SEQUENCE, VR::SQ, 20);
    let (offset, within) = (writer.at(), SEQUENCE);
    let error = StructureError::Overrun { tag: ITEM, offset, length: 13, remaining: 12, within };
    refused(&writer.item(13), &error);
}

#[test]
fn a_sequence_longer_than_its_item_is_refused_also_within_undefined_ones() {
    let writer = Writer::explicit().header(SEQUENCE, VR::SQ, 100).item(92).open(PRIVATE);
    let writer = writer.item(UNDEFINED);
    let offset = writer.at();
    refused(
        &writer.header(SEQUENCE, VR::SQ, 61),
        &StructureError::Overrun {
            tag: SEQUENCE,
            offset,
            length: 61,
            remaining: 92 - 12 - 8 - 12,
            within: PRIVATE,
        },
    );
}

#[test]
fn bytes_left_over_in_an_item_are_refused() {
    let writer = Writer::explicit().header(SEQUENCE, VR::SQ, 20).item(12);
    let writer = writer.value(tags::CODE_VALUE, VR::SH, b"");
    let offset = writer.at();
    refused(&writer, &StructureError::Leftover { offset, remaining: 4, within: SEQUENCE });
    // Eight bytes are enough for a header, but not for that of a long one.
    let writer = Writer::explicit().header(SEQUENCE, VR::SQ, 16).item(8);
    let offset = writer.at();
    let error = StructureError::Leftover { offset, remaining: 8, within: SEQUENCE };
    refused(&writer.header(PRIVATE, VR::UN, 0), &error);
}

#[test]
fn what_is_not_closed_in_time_is_refused() {
    let writer = Writer::explicit().header(SEQUENCE, VR::SQ, 28).item(20).open(PRIVATE);
    let writer = writer.item(0);
    let offset = writer.at();
    refused(&writer, &StructureError::NotClosed { tag: PRIVATE, offset });
    let fragments = Writer::explicit().header(SEQUENCE, VR::SQ, 28).item(20);
    let fragments = fragments.header(PIXELS, VR::OB, UNDEFINED).item(0);
    let error = StructureError::NotClosed { tag: PIXELS, offset: fragments.at() };
    assert_eq!(check_encapsulated(&fragments), Err(error));
}

#[test]
fn illegal_representations_are_refused() {
    for vr in [b"ui", b"\0\0", b"1A", b"A ", b"?A", b"\xFF\xFF"] {
        let writer = Writer::explicit().start();
        let offset = writer.at();
        let writer = writer.raw(b"\x10\0\x10\0").raw(vr).raw(b"\0\0");
        refused(&writer, &StructureError::IllegalVr { tag: tags::PATIENT_NAME, offset });
    }
}

#[test]
fn undefined_length_is_refused_where_it_may_not_be() {
    let start = || Writer::explicit().start();
    let offset = start().at();
    for vr in [VR::OB, VR::OW, VR::OF, VR::UT, VR::UC, VR::UR, VR::OD] {
        let writer = start().header(PIXELS, vr, UNDEFINED);
        refused(&writer, &StructureError::UndefinedLength { tag: PIXELS, offset });
    }
    for vr in [VR::UT, VR::UC, VR::UR, VR::OF] {
        let writer = start().header(PRIVATE, vr, UNDEFINED);
        let error = StructureError::UndefinedLength { tag: PRIVATE, offset };
        assert_eq!(check_encapsulated(&writer), Err(error));
    }
    let writer = Writer::new(Coding::ImplicitLittle).plain(tags::MODALITY, UNDEFINED);
    let error = StructureError::UndefinedLength { tag: tags::MODALITY, offset: 0 };
    assert_eq!(check(Syntax::IMPLICIT_LITTLE, NOTHING, limits(), &writer.bytes), Err(error));
    let writer = start().header(PIXELS, VR::OB, UNDEFINED);
    let error = StructureError::UndefinedLength { tag: ITEM, offset: writer.at() };
    assert_eq!(check_encapsulated(&writer.item(UNDEFINED)), Err(error));
}

#[test]
fn only_items_stand_in_sequences_and_between_fragments() {
    let writer = Writer::explicit().start().open(SEQUENCE);
    let (offset, within) = (writer.at(), SEQUENCE);
    for tag in [tags::MODALITY, ITEM_END, Tag(0xFFFE, 0x0000)] {
        let error = StructureError::NotAnItem { tag, offset, within };
        refused(&writer.clone().plain(tag, 0), &error);
    }
    let writer = Writer::explicit().header(PIXELS, VR::OB, UNDEFINED);
    let error =
        StructureError::NotAnItem { tag: tags::MODALITY, offset: writer.at(), within: PIXELS };
    assert_eq!(check_encapsulated(&writer.plain(tags::MODALITY, 0)), Err(error));
}

#[test]
fn items_and_delimiters_are_refused_where_an_element_should_be() {
    for tag in [ITEM, ITEM_END, SEQUENCE_END] {
        let writer = Writer::explicit().start();
        let offset = writer.at();
        refused(&writer.plain(tag, 0), &StructureError::StrayDelimiter { tag, offset });
    }
    for tag in [ITEM, SEQUENCE_END] {
        let writer = Writer::explicit().open(SEQUENCE).item(UNDEFINED);
        let offset = writer.at();
        refused(&writer.plain(tag, 0), &StructureError::StrayDelimiter { tag, offset });
    }
}

#[test]
fn only_zeros_follow_padding() {
    let writer = Writer::explicit().start().raw(&[0; 20]);
    let error = StructureError::AfterPadding { offset: writer.at() };
    refused(&writer.raw(b"\x01"), &error);
}

#[test]
fn a_data_set_cut_anywhere_is_truncated_and_says_whether_its_header_was_whole() {
    let header = Writer::explicit().start();
    let header = header.open(SEQUENCE).item(UNDEFINED).end_item().end();
    let whole = header.clone().fragments(&[b"", b"abcd"]).bytes;
    let tops = [0, 14, 24, header.bytes.len(), whole.len()];
    for cut in 0..=whole.len() {
        let result = check(jpeg(), NOTHING, limits(), &whole[..cut]);
        if tops.contains(&cut) {
            assert!(result.unwrap().header_whole);
        } else {
            let Err(StructureError::Truncated { offset, header_whole, .. }) = result else {
                panic!("{cut}: {result:?}");
            };
            assert_eq!((offset, header_whole), (bytes(cut), cut >= header.bytes.len() + 12));
        }
    }
    let small = deflate(&whole);
    for cut in 0..small.len() {
        let result = check(Syntax { deflated: true, ..jpeg() }, NOTHING, limits(), &small[..cut]);
        assert!(matches!(result, Err(StructureError::Truncated { .. })), "{cut}: {result:?}");
    }
    let error = StructureError::Truncated { tag: None, offset: 3, header_whole: false };
    refused(&Writer::explicit().raw(b"\x08\0\x16"), &error);
}

#[test]
fn a_broken_deflated_stream_is_refused() {
    assert_eq!(check(deflated(), NOTHING, limits(), &[0xFF; 9]), Err(StructureError::Inflate));
}

#[test]
fn sequences_are_taken_to_the_limit_and_no_deeper() {
    for coding in [Coding::ImplicitLittle, Coding::ExplicitLittle, Coding::ExplicitBig] {
        let syntax = Syntax { coding, ..EXPLICIT };
        for defined in [false, true] {
            for wanted in [NOTHING, Wanted::All] {
                let deep = nested(coding, DEPTH_MAX, defined);
                assert_eq!(check(syntax, wanted, limits(), &deep).unwrap().depth, DEPTH_MAX);
                let deeper = nested(coding, DEPTH_MAX + 1, defined);
                let result = check(syntax, wanted, limits(), &deeper);
                let Err(StructureError::TooDeep { tag: SEQUENCE, limit: DEPTH_MAX, .. }) = result
                else {
                    panic!("{result:?}");
                };
            }
        }
    }
}

#[test]
fn twenty_thousand_nested_sequences_are_refused_at_the_limit() {
    let bomb = nested(Coding::ImplicitLittle, 20_000, false);
    let mut guard = Guard::new(Syntax::IMPLICIT_LITTLE, Wanted::All, limits());
    assert!(matches!(guard.push(&bomb), Err(StructureError::TooDeep { offset: 1024, .. })));
    assert!(guard.walk.open_frames() <= 2 * 64 + 1);
    let again = guard.push(b"");
    assert!(matches!(again, Err(StructureError::TooDeep { offset: 1024, .. })));
    assert_eq!(guard.check_end(), again);
}

#[test]
fn nine_kilobytes_that_claim_four_gigabytes_are_refused_at_once() {
    let writer = Writer::explicit().start();
    let offset = writer.at();
    for tag in [PIXELS, PRIVATE] {
        let writer = writer.clone().header(tag, VR::OW, 0xFFFF_FFFE).raw(&[0; 9000]);
        let mut guard = Guard::new(EXPLICIT, Wanted::List(LIST), limits());
        let limit = BYTES_MAX;
        let length = 0xFFFF_FFFE;
        let error = StructureError::LengthBeyondLimit { tag, offset, length, limit };
        assert_eq!(guard.push(&writer.bytes), Err(error));
        assert!(guard.walk.held_bytes() < 1000);
    }
    // A little less may still come, and takes no memory until it does.
    let writer = writer.header(PIXELS, VR::OW, 0xFFFF_0000).raw(&[0; 9000]);
    let mut guard = Guard::new(EXPLICIT, Wanted::List(LIST), limits());
    guard.push(&writer.bytes).unwrap();
    assert!(guard.walk.held_bytes() < 1000);
    assert!(matches!(
        guard.finish(),
        Err(StructureError::Truncated { tag: Some(PIXELS), header_whole: true, .. })
    ));
}

#[test]
fn a_deflate_bomb_is_refused_when_it_has_inflated_to_the_limit() {
    let few = Limits { inflated_bytes_max: 4 << 20, ..limits() };
    let writer = Writer::explicit().start().header(PIXELS, VR::OW, 4 << 20);
    let bomb = deflate(&[writer.bytes.as_slice(), &vec![0; 4 << 20]].concat());
    let mut guard = Guard::new(deflated(), Wanted::List(LIST), few);
    let error = StructureError::LengthBeyondLimit {
        tag: PIXELS,
        offset: 24,
        length: 4 << 20,
        limit: 4 << 20,
    };
    assert_eq!(guard.push(&bomb), Err(error));
    // One that is honest at every single element.
    let element = Writer::explicit().value(PRIVATE, VR::UN, &vec![0; 65_000]).bytes;
    let bomb = deflate(&element.repeat(100));
    assert!(bomb.len() < 40_000, "{}", bomb.len());
    let mut guard = Guard::new(deflated(), Wanted::All, Limits { kept_bytes_max: u32::MAX, ..few });
    let result = guard.push(&bomb);
    assert!(matches!(result, Err(StructureError::LengthBeyondLimit { .. })), "{result:?}");
    let zeros = deflate(&vec![0; (4 << 20) + 1]);
    let limit = 4 << 20;
    assert_eq!(
        check(deflated(), NOTHING, few, &zeros),
        Err(StructureError::InflatedTooLong { limit })
    );
    assert!(check(deflated(), NOTHING, few, &deflate(&vec![0; 4 << 20])).is_ok());
}

#[test]
fn bytes_are_taken_to_the_limit_and_no_further() {
    let writer = Writer::explicit().start().raw(&[0; 76]);
    let few = |bytes_max| Limits { bytes_max, ..limits() };
    assert!(check(EXPLICIT, NOTHING, few(100), &writer.bytes).is_ok());
    let limit = 99;
    assert_eq!(
        check(EXPLICIT, NOTHING, few(limit), &writer.bytes),
        Err(StructureError::TooManyBytes { limit })
    );
}

#[test]
fn elements_items_and_fragments_are_taken_to_the_limit_and_no_further() {
    let few = |elements_max| Limits { elements_max, ..limits() };
    let items = Writer::explicit().open(SEQUENCE).item(0).item(0);
    let (tag, offset) = (ITEM, items.at());
    let writer = items.item(0).end();
    assert!(check(EXPLICIT, NOTHING, few(4), &writer.bytes).is_ok());
    assert_eq!(
        check(EXPLICIT, NOTHING, few(3), &writer.bytes),
        Err(StructureError::TooManyElements { tag, offset, limit: 3 })
    );
    let fragments = Writer::explicit().fragments(&[b"", b"a", b"b"]).bytes;
    assert!(check(jpeg(), NOTHING, few(4), &fragments).is_ok());
    assert!(check(jpeg(), NOTHING, few(3), &fragments).is_err());
    let elements = Writer::explicit().start().bytes;
    assert!(check(EXPLICIT, NOTHING, few(2), &elements).is_ok());
    assert!(check(EXPLICIT, NOTHING, few(1), &elements).is_err());
}

#[test]
fn what_is_to_be_read_whole_may_not_exceed_its_limits() {
    let long = |length: usize| Writer::explicit().value(PRIVATE, VR::UN, &vec![0; length]);
    let limit = VALUE_BYTES_MAX;
    let at_limit = usize::try_from(limit).unwrap();
    let all = |writer: &Writer| check(EXPLICIT, Wanted::All, limits(), &writer.bytes);
    assert!(all(&long(at_limit)).is_ok());
    assert_eq!(
        all(&long(at_limit + 1)),
        Err(StructureError::ValueTooLong { tag: PRIVATE, offset: 0, length: limit + 1, limit })
    );
    // Each costs its length and 128 bytes.
    let few = Limits { kept_bytes_max: 3 * (1000 + 128), ..limits() };
    let three = long(1000).bytes.repeat(3);
    assert!(check(EXPLICIT, Wanted::All, few, &three).is_ok());
    let offset = bytes(three.len());
    let four = [three, long(0).bytes].concat();
    let limit = few.kept_bytes_max;
    assert_eq!(
        check(EXPLICIT, Wanted::All, few, &four),
        Err(StructureError::TooMuchToRead { tag: PRIVATE, offset, limit })
    );
    let fragments = Writer::explicit().fragments(&[b""]);
    assert_eq!(
        check(jpeg(), Wanted::All, limits(), &fragments.bytes),
        Err(StructureError::Fragments { tag: PIXELS, offset: 0 })
    );
}

#[test]
fn a_million_empty_items_in_a_wanted_sequence_are_not_kept() {
    let items = Writer::explicit().item(0).bytes.repeat(1_000_000);
    let writer = Writer::explicit().open(SEQUENCE).raw(&items).end();
    let mut guard = Guard::new(EXPLICIT, Wanted::List(LIST), limits());
    guard.push(&writer.bytes).unwrap();
    assert!(guard.walk.held_bytes() <= usize::try_from(KEPT_BYTES_MAX).unwrap());
    let facts = guard.finish().unwrap();
    assert_eq!(bytes(facts.captured.items(SEQUENCE).len()) + facts.warnings.left_out, 1_000_000);
}
