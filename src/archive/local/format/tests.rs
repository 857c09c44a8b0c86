//! What is encoded reads back, and what is not right is refused.

use proptest::prelude::*;

use super::*;
use crate::sharing::imaging::object::{InstanceUids, ObjectHead};

fn place() -> Place {
    Place { key: Key([7; 16]), segment: 3, offset: 64 }
}

fn header() -> Header {
    Header {
        kind: Kind::Object,
        head_bytes: 20,
        body_at: 136,
        body_bytes: 1000,
        batch: 9,
        digest: Digest([0xAB; 32]),
        seal: None,
        head_checksum: [1; 16],
        mark: 0,
    }
}

fn any_head() -> impl Strategy<Value = ObjectHead> {
    let text = || proptest::collection::vec(any::<char>(), 0..40).prop_map(String::from_iter);
    let texts = [text(), text(), text(), text(), text(), text()];
    (texts, any::<i64>(), proptest::collection::vec(any::<u8>(), 0..300)).prop_map(
        |([study, series, instance, sop_class, transfer_syntax, source], received_ms, meta)| {
            let uids = InstanceUids { study, series, instance };
            ObjectHead { uids, sop_class, transfer_syntax, source, received_ms, meta }
        },
    )
}

#[test]
fn a_header_reads_back_only_where_it_was_written() {
    let bytes = header().encode(&place());
    assert_eq!(Header::read(&bytes, &place()), Ok(header()));
    for elsewhere in [
        Place { offset: 72, ..place() },
        Place { segment: 4, ..place() },
        Place { key: Key([8; 16]), ..place() },
    ] {
        assert_eq!(Header::read(&bytes, &elsewhere), Err(Flaw::Header));
    }
}

#[test]
fn a_flipped_bit_in_a_header_is_found_and_in_the_mark_outvoted() {
    let bytes = header().encode(&place());
    for bit in 0..bytes.len() * 8 {
        let mut wrong = bytes;
        wrong[bit / 8] ^= 1 << (bit % 8);
        let read = Header::read(&wrong, &place());
        if bit / 8 < 104 {
            assert!(matches!(read, Err(Flaw::NoRecord | Flaw::Header)), "bit {bit}: {read:?}");
        } else {
            let read = read.unwrap();
            assert!(!read.erased() && read.mark_damaged(), "bit {bit}");
        }
    }
    let erased = Header { mark: u64::from_le_bytes(MARK_ERASED) ^ 0x10, ..header() };
    assert!(erased.erased() && erased.mark_damaged());
}

#[test]
fn lengths_that_make_no_sense_are_refused_under_a_right_checksum() {
    let most = u32::try_from(HEAD_BYTES_MAX).unwrap();
    for wrong in [
        Header { head_bytes: 200, ..header() },
        Header { head_bytes: most + 1, body_at: most + 4096, ..header() },
        Header { head_bytes: u32::MAX, body_at: u32::MAX - 7, ..header() },
        Header { body_at: 137, ..header() },
        Header { body_at: BODY_AT_MAX + 8, ..header() },
        Header { kind: Kind::Erasure, ..header() },
    ] {
        assert_eq!(Header::read(&wrong.encode(&place()), &place()), Err(Flaw::Nonsense));
    }
    let endless = Header { body_bytes: u64::MAX, ..header() };
    assert_eq!(endless.ends(64), None);
}

#[test]
fn a_later_version_is_named() {
    let mut bytes = header().encode(&place());
    bytes[8] = 3;
    let sum = place().checksum(&bytes[..88]);
    bytes[88..104].copy_from_slice(&sum);
    assert_eq!(Header::read(&bytes, &place()), Err(Flaw::Version(3)));

    let mut label = Label { number: 5, key: Key([9; 16]), seal: None }.encode();
    label[8] = 7;
    let sum = checksum(&[&label[..48]]);
    label[48..].copy_from_slice(&sum);
    assert_eq!(Label::decode(&label), Err(Flaw::Version(7)));
}

#[test]
fn a_label_reads_back_and_is_not_one_of_a_list() {
    let label = Label { number: 5, key: Key([9; 16]), seal: None };
    assert_eq!(Label::decode(&label.encode()), Ok(label));
    assert_eq!(Label::decode_list(&label.encode()), Err(Flaw::Label));
    let list = |seal| Label::decode_list(&Label::encode_list(label.key, seal)).unwrap();
    assert_eq!((list(None).key, list(None).seal), (label.key, None));
    let sealed = Label { seal: Some(KeyId([4; 8])), ..label };
    assert_eq!(Label::decode(&sealed.encode()), Ok(sealed));
    assert_eq!(list(sealed.seal).seal, sealed.seal);
}

#[test]
fn an_entry_reads_back_under_its_key() {
    let entry = Entry { number: 1, end: 2, records: 3, bytes_kept: 4, batch: 5 };
    let bytes = entry.encode(Key([9; 16]));
    assert_eq!(Entry::decode(&bytes, Key([9; 16])), Some(entry));
    assert_eq!(Entry::decode(&bytes, Key([8; 16])), None);
    assert_eq!(Entry::decode(&bytes[..63], Key([9; 16])), None);
}

#[test]
fn heads_longer_than_the_format_holds_are_refused() {
    let empty = ObjectHead {
        uids: InstanceUids { study: String::new(), series: String::new(), instance: String::new() },
        sop_class: String::new(),
        transfer_syntax: String::new(),
        source: String::new(),
        received_ms: 0,
        meta: Vec::new(),
    };
    let long = ObjectHead { source: "x".repeat(65_536), ..empty.clone() };
    assert_eq!(encode_object(&long), None);
    let long = ObjectHead { meta: vec![0; HEAD_BYTES_MAX], ..empty };
    assert_eq!(encode_object(&long), None);
    let location = Location { segment: 1, offset: 64, body: 200, length: 8 };
    assert_eq!(encode_erasure(&location, &"x".repeat(REASON_BYTES_MAX + 1)), None);
}

proptest! {
    #[test]
    fn heads_of_objects_read_back(head in any_head()) {
        let bytes = encode_object(&head).unwrap();
        prop_assert_eq!(decode_object(&bytes), Ok(head));
        prop_assert_eq!(decode_object(&bytes[..bytes.len() - 1]), Err(Flaw::Head));
    }

    #[test]
    fn heads_of_erasures_read_back(
        (segment, offset, body, length) in any::<(u64, u64, u64, u64)>(),
        reason in ".{0,60}",
    ) {
        let location = Location { segment, offset, body, length };
        let bytes = encode_erasure(&location, &reason).unwrap();
        prop_assert_eq!(decode_erasure(&bytes), Ok(Erasure { location, reason }));
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = Header::read(&bytes, &place());
        let _ = Label::decode(&bytes);
        let _ = Entry::decode(&bytes, Key([7; 16]));
        let _ = (decode_object(&bytes), decode_erasure(&bytes));
        let mut begun = RECORD_MAGIC.to_vec();
        begun.extend_from_slice(&bytes);
        if let Ok(header) = Header::decode(&begun) {
            prop_assert!(usize::try_from(header.head_bytes).unwrap() <= HEAD_BYTES_MAX);
        }
    }
}
