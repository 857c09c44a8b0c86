//! Metadata of made and of real objects.

use dicom_dictionary_std::tags;
use serde_json::{Value, json};

use super::*;
use crate::sharing::imaging::part10;
use crate::sharing::imaging::test_files::{corpus, files};

const EXPLICIT: Syntax = Syntax::EXPLICIT_LITTLE;

/// An element in explicit VR little endian.
fn element(tag: Tag, vr: &str, value: &[u8]) -> Vec<u8> {
    let mut out = [tag.0.to_le_bytes(), tag.1.to_le_bytes()].concat();
    out.extend_from_slice(vr.as_bytes());
    if matches!(vr, "OB" | "OW" | "SQ" | "UN" | "UT" | "SV" | "UV") {
        out.extend_from_slice(&[0, 0]);
        out.extend_from_slice(&u32::try_from(value.len()).unwrap().to_le_bytes());
    } else {
        out.extend_from_slice(&u16::try_from(value.len()).unwrap().to_le_bytes());
    }
    out.extend_from_slice(value);
    out
}

fn item(value: &[u8]) -> Vec<u8> {
    let length = u32::try_from(value.len()).unwrap().to_le_bytes();
    [b"\xFE\xFF\x00\xE0".as_slice(), &length, value].concat()
}

/// The walk over `data`, which is given in windows of at least `window` bytes; and how much of it
/// was asked for.
fn walk(syntax: Syntax, data: &[u8], window: usize) -> Result<(Walk, usize), MetadataError> {
    let data = Bytes::copy_from_slice(data);
    let mut walk = Walk::new(syntax, u64::try_from(data.len()).unwrap());
    let (mut from, mut least, mut given) = (0, 0, 0);
    loop {
        let begin = usize::try_from(from).unwrap().min(data.len());
        let end = begin.saturating_add(window.max(usize::try_from(least).unwrap())).min(data.len());
        given += end - begin;
        match walk.feed(from, &data.slice(begin..end))? {
            Next::Done => return Ok((walk, given)),
            Next::Read { from: next, least: more } => (from, least) = (next, more),
        }
    }
}

fn json(syntax: Syntax, data: &[u8], window: usize) -> Value {
    let (walk, _) = walk(syntax, data, window).unwrap();
    let mut out = Vec::new();
    write_json(&walk, "bulk/", &mut out);
    serde_json::from_slice(&out).unwrap()
}

fn one(tag: Tag, vr: &str, value: &[u8]) -> Value {
    let all = json(EXPLICIT, &element(tag, vr, value), 1000);
    let Value::Object(all) = all else { panic!() };
    all.into_iter().next().unwrap().1
}

#[test]
fn values_are_written_as_their_representation_asks() {
    let number = Tag(0x0028, 0x0010);
    for (tag, vr, value, expected) in [
        (number, "US", b"\x01\x00\xFF\xFF".to_vec(), json!([1, 65535])),
        (number, "SS", b"\xFF\xFF".to_vec(), json!([-1])),
        (number, "UL", vec![0xFF; 4], json!([4_294_967_295_u32])),
        (number, "SL", vec![0xFF; 4], json!([-1])),
        (number, "UV", vec![0xFF; 8], json!(["18446744073709551615"])),
        (number, "SV", vec![0xFF; 8], json!([-1])),
        (number, "FL", 0.5_f32.to_le_bytes().to_vec(), json!([0.5])),
        (number, "FD", f64::NAN.to_le_bytes().to_vec(), json!(["NaN"])),
        (number, "FD", f64::NEG_INFINITY.to_le_bytes().to_vec(), json!(["-inf"])),
        (number, "AT", b"\x28\x00\x10\x00".to_vec(), json!(["00280010"])),
        (number, "DS", b" 1.50\\-.5\\\\x ".to_vec(), json!([1.5, -0.5, null, "x"])),
        (number, "IS", b"\\007 ".to_vec(), json!([null, 7])),
        (tags::IMAGE_COMMENTS, "LT", b" a\\b\r\n ".to_vec(), json!([" a\\b\r\n"])),
        (tags::STUDY_INSTANCE_UID, "UI", b"1.2.3\0".to_vec(), json!(["1.2.3"])),
        (
            tags::PATIENT_NAME,
            "PN",
            b"A^B=C=D".to_vec(),
            json!([
                { "Alphabetic": "A^B", "Ideographic": "C", "Phonetic": "D" }
            ]),
        ),
        (tags::PATIENT_NAME, "PN", b"=C".to_vec(), json!([{ "Ideographic": "C" }])),
    ] {
        assert_eq!(one(tag, vr, &value), json!({ "vr": vr, "Value": expected }), "{vr}");
    }
    let bytes = json!({ "vr": "OB", "InlineBinary": "AQI=" });
    assert_eq!(one(tags::ENCAPSULATED_DOCUMENT, "OB", &[1, 2]), bytes);
    assert_eq!(one(tags::PATIENT_ID, "LO", b"  "), json!({ "vr": "LO" }));
    assert_eq!(one(tags::PATIENT_ID, "LO", b""), json!({ "vr": "LO" }));
    // A public element whose sender did not know it, and a private one.
    let known = json!({ "vr": "LO", "Value": ["x"] });
    assert_eq!(one(tags::PATIENT_ID, "UN", b"x "), known);
    let private = json!({ "vr": "UN", "InlineBinary": "eCA=" });
    assert_eq!(one(Tag(0x0029, 0x1000), "UN", b"x "), private);
}

#[test]
fn text_is_unicode_whatever_it_was_and_items_may_declare_their_own() {
    let gbk = b"\xD5\xC5\xC8\xFD";
    let inner = [
        element(tags::SPECIFIC_CHARACTER_SET, "CS", b"ISO_IR 192"),
        element(tags::PATIENT_ID, "LO", "张三".as_bytes()),
    ]
    .concat();
    let data = [
        element(tags::SPECIFIC_CHARACTER_SET, "CS", b"GB18030 "),
        element(tags::INSTITUTION_NAME, "LO", gbk),
        element(Tag(0x0008, 0x1140), "SQ", &[item(&inner), item(b"")].concat()),
        element(tags::PATIENT_ID, "LO", gbk),
    ]
    .concat();
    let said = json!({ "vr": "CS", "Value": ["ISO_IR 192"] });
    let name = json!({ "vr": "LO", "Value": ["张三"] });
    let expected = json!({
        "00080005": said,
        "00080080": name,
        "00081140": { "vr": "SQ", "Value": [{ "00080005": said, "00100020": name }, {}] },
        "00100020": name,
    });
    for window in [1, 20, 1000] {
        assert_eq!(json(EXPLICIT, &data, window), expected);
    }
}

#[test]
fn what_is_long_has_an_address_and_is_not_read() {
    let long = vec![7; 50_000];
    let inner = element(Tag(0x0042, 0x0011), "OB", &long);
    let data = [
        element(Tag(0x0042, 0x0011), "OB", &long),
        element(Tag(0x5200, 0x9229), "SQ", &[item(b""), item(&inner)].concat()),
        element(Tag(0x7FE0, 0x0010), "OW", &long),
        element(Tag(0x7FE1, 0x1010), "OB", b"ab"),
    ]
    .concat();
    let (walk, read) = walk(EXPLICIT, &data, 64).unwrap();
    assert!(read < 1000, "{read}");
    let places: Vec<String> = walk.bulk().into_iter().map(|(path, _)| path).collect();
    assert_eq!(places, ["00420011", "52009229/1/00420011", "7FE00010"]);
    for (_, bulk) in walk.bulk() {
        let at = |n| usize::try_from(n).unwrap();
        assert_eq!(data[at(bulk.range.start)..at(bulk.range.end)], long);
    }
    let json = json(EXPLICIT, &data, 64);
    assert_eq!(json["7FE00010"], json!({ "vr": "OW", "BulkDataURI": "bulk/7FE00010" }));
    assert_eq!(json["7FE11010"]["InlineBinary"], "YWI=");
    let nested = &json["52009229"]["Value"][1]["00420011"]["BulkDataURI"];
    assert_eq!(nested, "bulk/52009229/1/00420011");
}

#[test]
fn nesting_without_end_and_broken_bytes_are_refused() {
    let open = b"\x08\x00\x40\x11SQ\0\0\xFF\xFF\xFF\xFF\xFE\xFF\x00\xE0\xFF\xFF\xFF\xFF";
    let deep = open.repeat(20_000);
    assert_eq!(walk(EXPLICIT, &deep, 100).unwrap_err(), MetadataError::TooDeep);
    for bad in [
        b"\x08\x00\x40\x11sq\0\0".to_vec(),
        b"\x08\x00\x60\x00CS\xFF\x00CT".to_vec(),
        b"\xFE\xFF\x00\xE0\0\0\0\0".to_vec(),
        element(Tag(0x0008, 0x1140), "SQ", b"\x08\x00\x60\x00CS\x00\x00"),
    ] {
        let refused = walk(EXPLICIT, &bad, 1).unwrap_err();
        assert!(matches!(refused, MetadataError::Malformed { .. }), "{bad:?}");
    }
}

#[test]
fn every_stored_file_has_metadata_and_windows_change_nothing() {
    let mut walked = 0;
    for path in files(&corpus()) {
        let bytes = std::fs::read(&path).unwrap();
        let Ok(opening) = part10::open(&bytes) else { continue };
        let syntax = Syntax::of(&opening.transfer_syntax).unwrap();
        let data = &bytes[opening.data_set..];
        if syntax.deflated {
            continue;
        }
        let Ok((whole, _)) = walk(syntax, data, usize::MAX) else { continue };
        let (parts, _) = walk(syntax, data, 16).unwrap();
        assert_eq!(whole.parts, parts.parts, "{}", path.display());
        let json = json(syntax, data, usize::MAX);
        assert!(json.is_object(), "{}", path.display());
        walked += 1;
    }
    assert!(walked >= 290, "{walked}");
}

proptest::proptest! {
    #[test]
    fn whatever_the_bytes_are_what_is_written_is_json(
        data in proptest::collection::vec(proptest::sample::select(b"\0\x01\x02\x08\x10\x28\xFE\xFF\xE0\xDD\x0DSQUNLOPNDSUS\\=".to_vec()), 0..200),
        coding in 0_usize..4,
    ) {
        let uids = ["1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.4.50"];
        let syntax = Syntax::of(uids[coding]).unwrap();
        match (walk(syntax, &data, usize::MAX), walk(syntax, &data, 8)) {
            (Ok((whole, _)), Ok((parts, _))) => {
                proptest::prop_assert_eq!(&whole.parts, &parts.parts);
                let mut out = Vec::new();
                write_json(&whole, "bulk/", &mut out);
                serde_json::from_slice::<Value>(&out).unwrap();
            }
            (whole, parts) => proptest::prop_assert_eq!(whole.unwrap_err(), parts.unwrap_err()),
        }
    }
}

proptest::proptest! {
    #[test]
    fn plain_text_is_written_as_decoded_text_is(text in "[ -~]{0,24}[ \0]{0,2}", which in 0_usize..7) {
        let vr = ["LO", "DS", "IS", "PN", "UI", "LT", "SH"][which];
        let plain = one(tags::PATIENT_ID, vr, text.as_bytes());
        // A bell is no part of any text, and sends it through the decoder.
        let mut decoded = text.clone().into_bytes();
        decoded.insert(0, 7);
        proptest::prop_assert_eq!(plain, one(tags::PATIENT_ID, vr, &decoded));
    }
}
