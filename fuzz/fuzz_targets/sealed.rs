//! Keyrings, headers of backups and chunks of bodies on any bytes: no panic, and nothing opens, because
//! nothing here was ever sealed with the key that is tried.
#![no_main]

use std::io::Read as _;

use libfuzzer_sys::fuzz_target;
use xiangyi::node::backup::file::{Header, Reader};
use xiangyi::sharing::sealing::chunks;
use xiangyi::sharing::sealing::cipher::{Cipher, Sealer};
use xiangyi::sharing::sealing::keyring::{KnownMaster, Master, Sealed};
use xiangyi::sharing::sealing::{KeyId, Secret};

fuzz_target!(|data: &[u8]| {
    let master = KnownMaster::new(Cipher::Aes256Gcm, Secret::new(vec![7; 32])).unwrap();
    if let Some(sealed) = std::str::from_utf8(data).ok().and_then(|text| Sealed::parse(text).ok()) {
        let text = sealed.text().unwrap();
        assert_eq!(Sealed::parse(&text).unwrap(), sealed);
        assert!(sealed.open(&[&master]).is_err());
    }
    assert!(master.unwrap(data).is_err());
    if let Some((header, length)) = Header::decode(data) {
        assert_eq!(header.encode(), &data[..length]);
    }
    // As the header of a backup that names this very key.
    let mut named = b"XiangyiB\x01\x01".to_vec();
    named.extend_from_slice(&KeyId::of(&[7; 32]).0);
    named.extend_from_slice(data);
    if let Ok(mut reader) = Reader::open(&named[..], &[&master as &dyn Master]) {
        assert!(reader.read_to_end(&mut Vec::new()).is_err());
    }
    let sealer = Sealer::new(Cipher::Sm4Gcm, &[7; 32], b"", &[]).unwrap();
    if let Some((begin, body)) = data.split_first_chunk::<16>() {
        let number = |at: usize| u64::from_le_bytes(begin[at..at + 8].try_into().unwrap());
        let (length, from) = (number(0) % 300_000, number(8) % 310_000);
        let span = chunks::span(length, &(from..from.saturating_add(70_000))).unwrap();
        assert!(chunks::open(&sealer, &span, &mut body.to_vec()).is_err() || body.is_empty());
    }
});
