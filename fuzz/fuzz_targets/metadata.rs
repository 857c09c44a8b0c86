//! Any bytes as a data set in every coding: metadata is JSON or an error, XML is made of it, and how
//! much is read at once changes nothing.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use xiangyi::sharing::imaging::metadata::{MetadataError, Next, Walk, native_xml, write_json};
use xiangyi::sharing::imaging::structure::Syntax;

/// One transfer syntax for each way in which bytes are read.
const SYNTAXES: [&str; 4] =
    ["1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.4.50"];

fn json(syntax: Syntax, data: &Bytes, window: usize) -> Result<Vec<u8>, MetadataError> {
    let mut walk = Walk::new(syntax, data.len() as u64);
    let (mut from, mut least) = (0, 0);
    loop {
        let begin = (from as usize).min(data.len());
        let end = (begin + window.max(least as usize)).min(data.len());
        match walk.feed(from, &data.slice(begin..end))? {
            Next::Done => break,
            Next::Read { from: next, least: more } => (from, least) = (next, more),
        }
        assert!(from + least <= data.len() as u64);
    }
    let mut out = Vec::new();
    write_json(&walk, "bulk/", &mut out);
    Ok(out)
}

fuzz_target!(|bytes: &[u8]| {
    let data = Bytes::copy_from_slice(bytes);
    for syntax in SYNTAXES.iter().filter_map(|uid| Syntax::of(uid)) {
        let whole = json(syntax, &data, usize::MAX >> 1);
        assert_eq!(json(syntax, &data, 16), whole);
        if let Ok(json) = whole {
            let xml = native_xml(&serde_json::from_slice(&json).unwrap());
            assert!(xml.ends_with("</NativeDicomModel>\n"));
        }
    }
});
