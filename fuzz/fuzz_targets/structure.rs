//! Any bytes as a file and as a data set in every coding: no panic, and how they are cut changes
//! nothing.
#![no_main]

use libfuzzer_sys::fuzz_target;
use xiangyi::sharing::imaging::identity::{self, identify};
use xiangyi::sharing::imaging::part10;
use xiangyi::sharing::imaging::structure::{Facts, Guard, Limits, StructureError, Syntax, Wanted};

/// One transfer syntax for each way in which bytes are read.
const SYNTAXES: [&str; 6] = [
    "1.2.840.10008.1.2",
    "1.2.840.10008.1.2.1",
    "1.2.840.10008.1.2.2",
    "1.2.840.10008.1.2.1.99",
    "1.2.840.10008.1.2.4.50",
    "1.2.840.10008.1.2.4.95",
];

/// Limits that short inputs reach.
const LIMITS: Limits = Limits {
    depth_max: 8,
    bytes_max: 1 << 16,
    inflated_bytes_max: 1 << 16,
    elements_max: 1000,
    kept_bytes_max: 1 << 14,
    value_bytes_max: 1 << 10,
};

fn check(
    syntax: Syntax,
    wanted: Wanted,
    bytes: &[u8],
    piece: usize,
) -> (Result<(), StructureError>, Facts) {
    let mut guard = Guard::new(syntax, wanted, LIMITS);
    for chunk in bytes.chunks(piece) {
        if guard.push(chunk).is_err() {
            break;
        }
    }
    (guard.check_end(), guard.abandon())
}

fn checked(syntax: Syntax, bytes: &[u8]) {
    for wanted in [Wanted::List(identity::WANTED), Wanted::All] {
        let (result, facts) = check(syntax, wanted, bytes, usize::MAX);
        assert!(facts.depth <= LIMITS.depth_max && facts.bytes <= LIMITS.bytes_max);
        let _ = identify(&facts.captured);
        for piece in [1, 7] {
            let again = check(syntax, wanted, bytes, piece);
            assert_eq!(again.0, result);
            if result.is_ok() {
                assert_eq!(again.1, facts);
            }
        }
    }
}

fuzz_target!(|bytes: &[u8]| {
    for syntax in SYNTAXES.iter().filter_map(|uid| Syntax::of(uid)) {
        checked(syntax, bytes);
    }
    if let Ok(opening) = part10::open(bytes) {
        let data_set = bytes.get(opening.data_set..).unwrap();
        if let Some(syntax) = Syntax::of(&opening.transfer_syntax) {
            checked(syntax, data_set);
        }
    }
});
