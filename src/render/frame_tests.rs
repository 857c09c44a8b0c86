//! Finding the bytes of one frame.

use super::error::RenderError;
use super::frame_bytes;
use super::testing::{EXPLICIT, Object, file};

const JPEG: &str = "1.2.840.10008.1.2.4.50";
const RLE: &str = "1.2.840.10008.1.2.5";

fn frames(count: &str) -> Object {
    Object::image("MONOCHROME2", 2, 2, 8).text(0x0028_0008, count)
}

#[test]
fn native_frames_are_slices_of_what_was_received() {
    let source = frames("2").pixels8(&[1, 2, 3, 4, 5, 6, 7, 8]).source(EXPLICIT);
    let second = frame_bytes(&source, 2).unwrap();
    assert_eq!(second.bytes, [5, 6, 7, 8].as_slice());
    assert_eq!(second.media_type, "application/octet-stream");
    let whole = source.data_set.as_ptr_range();
    assert!(whole.contains(&second.bytes.as_ptr()), "bytes were copied");
    assert_eq!(frame_bytes(&source, 3), Err(RenderError::NoSuchFrame { frames: 2 }));
    assert_eq!(frame_bytes(&source, 0), Err(RenderError::NoSuchFrame { frames: 2 }));
}

#[test]
fn a_native_frame_that_is_not_all_there_is_refused() {
    let source = frames("2").pixels8(&[1, 2, 3, 4, 5, 6]).source(EXPLICIT);
    assert_eq!(frame_bytes(&source, 1).unwrap().bytes.len(), 4);
    assert_eq!(frame_bytes(&source, 2), Err(RenderError::Truncated));
}

#[test]
fn the_offset_table_says_which_fragments_are_a_frame() {
    let parts: [&[u8]; 3] = [b"ab", b"cd", b"ef"];
    let source = frames("2").fragments(&[0, 20], &parts).source(JPEG);
    assert_eq!(frame_bytes(&source, 1).unwrap().bytes, b"abcd".as_slice());
    let second = frame_bytes(&source, 2).unwrap();
    assert_eq!((second.bytes.as_ref(), second.media_type), (b"ef".as_slice(), "image/jpeg"));
    assert!(source.data_set.as_ptr_range().contains(&second.bytes.as_ptr()), "bytes were copied");
}

#[test]
fn without_a_table_one_fragment_is_one_frame() {
    let source = frames("3").fragments(&[], &[b"ab", b"cd", b"ef"]).source(RLE);
    assert_eq!(frame_bytes(&source, 3).unwrap().bytes, b"ef".as_slice());
    let single = frames("1").fragments(&[], &[b"ab", b"cd", b"ef"]).source(JPEG);
    assert_eq!(frame_bytes(&single, 1).unwrap().bytes, b"abcdef".as_slice());
}

#[test]
fn without_a_table_a_stream_begins_a_frame() {
    let parts: [&[u8]; 4] = [b"\xFF\xD8ab", b"cd", b"ef", b"\xFF\xD8gh"];
    let source = frames("2").fragments(&[], &parts).source(JPEG);
    assert_eq!(frame_bytes(&source, 1).unwrap().bytes, b"\xFF\xD8abcdef".as_slice());
    assert_eq!(frame_bytes(&source, 2).unwrap().bytes, b"\xFF\xD8gh".as_slice());
    let dull = frames("2").fragments(&[], &[b"ab", b"cd", b"ef"]).source(JPEG);
    assert!(matches!(frame_bytes(&dull, 1), Err(RenderError::Malformed(_))));
}

#[test]
fn a_table_that_lies_is_not_believed() {
    let parts: [&[u8]; 2] = [b"ab", b"cd"];
    for table in [[0, 7], [0, 4_000_000_000], [3, 3]] {
        let source = frames("2").fragments(&table, &parts).source(JPEG);
        assert_eq!(frame_bytes(&source, 2).unwrap().bytes, b"cd".as_slice(), "{table:?}");
    }
}

#[test]
fn the_extended_table_counts_in_64_bits() {
    let longs = |values: [u64; 2]| values.map(u64::to_le_bytes).concat();
    let source = frames("2")
        .bytes(0x7FE0_0001, &longs([0, 10]))
        .bytes(0x7FE0_0002, &longs([2, 1]))
        .fragments(&[], &[b"ab", b"cd"])
        .source(JPEG);
    assert_eq!(frame_bytes(&source, 1).unwrap().bytes, b"ab".as_slice());
    // An odd length has a byte of padding that is not part of the frame.
    assert_eq!(frame_bytes(&source, 2).unwrap().bytes, b"c".as_slice());
    let lying = frames("2")
        .bytes(0x7FE0_0001, &longs([0, u64::MAX]))
        .fragments(&[], &[b"ab", b"cd"])
        .source(JPEG);
    assert_eq!(frame_bytes(&lying, 2).unwrap().bytes, b"cd".as_slice());
}

#[test]
fn big_endian_frames_come_out_little_endian() {
    let big = file(
        "cornerstone-wado/CTImage.dcm_BigEndianExplicitTransferSyntax_1.2.840.10008.1.2.2.dcm",
    );
    let little = file(
        "cornerstone-wado/CTImage.dcm_LittleEndianExplicitTransferSyntax_1.2.840.10008.1.2.1.dcm",
    );
    assert_eq!(frame_bytes(&big, 1).unwrap(), frame_bytes(&little, 1).unwrap());
}

#[test]
fn objects_without_pixels_say_so() {
    let report = Object::default().text(0x0008_0060, "SR").source(EXPLICIT);
    assert_eq!(frame_bytes(&report, 1), Err(RenderError::NoPixels));
    let video = frames("1").fragments(&[], &[b"ab"]).source("1.2.840.10008.1.2.4.102");
    assert!(matches!(frame_bytes(&video, 1), Err(RenderError::Unsupported(_))));
}
