//! Data sets in another transfer syntax: nothing panics, and what is written can be read, whatever
//! the bytes. The first byte chooses the transfer syntax they are in.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use xiangyi::app::imaging::transcode::{EXPLICIT_LITTLE, IMPLICIT_LITTLE};
use xiangyi::render::transcode::transcode;
use xiangyi::sharing::imaging::structure::{Guard, Limits, Syntax, Wanted};

const SYNTAXES: [&str; 8] = [
    "1.2.840.10008.1.2",
    "1.2.840.10008.1.2.1",
    "1.2.840.10008.1.2.1.99",
    "1.2.840.10008.1.2.2",
    "1.2.840.113619.5.2",
    "1.2.840.10008.1.2.4.50",
    "1.2.840.10008.1.2.5",
    "1.2.840.10008.1.2.8.1",
];

fuzz_target!(|data: &[u8]| {
    let Some((choice, data)) = data.split_first() else { return };
    let stored = SYNTAXES[usize::from(*choice) % SYNTAXES.len()];
    let data = Bytes::copy_from_slice(data);
    for wanted in [EXPLICIT_LITTLE, IMPLICIT_LITTLE] {
        let Ok(written) = transcode(stored, &data, wanted) else { continue };
        if stored == wanted {
            continue;
        }
        let Some(syntax) = Syntax::of(wanted) else { return };
        let mut guard = Guard::new(syntax, Wanted::List(&[]), Limits::default());
        guard.push(&written).and_then(|()| guard.finish().map(drop)).expect("what is written");
    }
});
