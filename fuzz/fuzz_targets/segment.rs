//! Records of an archive's segment: whatever the bytes, they are read or refused, and what was read
//! is written the same again.

#![no_main]

use libfuzzer_sys::fuzz_target;
use xiangyi::archive::local::format::{
    Entry, HEAD_BYTES_MAX, HEADER_BYTES, Header, Key, Label, Place, RECORD_MAGIC, decode_erasure,
    decode_object, encode_erasure, encode_object,
};

fuzz_target!(|data: &[u8]| {
    let place = Place { key: Key([7; 16]), segment: 1, offset: 64 };
    let _ = Label::decode(data);
    let _ = Entry::decode(data, place.key);
    let _ = Header::read(data, &place);
    // Past the magic and the checksum, which a fuzzer does not guess.
    let mut begun = RECORD_MAGIC.to_vec();
    begun.extend_from_slice(data);
    if let Ok(header) = Header::decode(&begun) {
        assert!(HEADER_BYTES + header.head_bytes as usize <= header.body_at as usize);
        assert!(header.head_bytes as usize <= HEAD_BYTES_MAX);
        let _ = (header.ends(64), header.ends(u64::MAX), header.location(&place));
        assert_eq!(Header::read(&header.encode(&place), &place), Ok(header));
    }
    if let Ok(head) = decode_object(data)
        && data.len() <= HEAD_BYTES_MAX
    {
        assert_eq!(encode_object(&head).as_deref(), Some(data));
    }
    if let Ok(erasure) = decode_erasure(data)
        && let Some(again) = encode_erasure(&erasure.location, &erasure.reason)
    {
        assert_eq!(again, data);
    }
});
