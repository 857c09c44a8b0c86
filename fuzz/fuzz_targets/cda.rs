//! Any bytes as a CDA document: no panic, a refusal says why, and what was read can be written and is
//! read again with nothing left over.
#![no_main]

use libfuzzer_sys::fuzz_target;
use xiangyi::sharing::discharge::cda::{read, write};
use xiangyi::sharing::discharge::problems::{Format, Severity};

fuzz_target!(|bytes: &[u8]| {
    match read(bytes) {
        Ok(reading) => {
            assert!(reading.problems.iter().all(|problem| problem.severity < Severity::Fatal));
            let again = read(write(&reading.record).as_bytes()).unwrap();
            assert_eq!(again.format, Format::CdaDischargeSummary);
            assert!(again.unplaced.is_empty());
            let third = read(write(&again.record).as_bytes()).unwrap();
            assert!(third.record == again.record);
        }
        Err(problems) => {
            assert!(problems.iter().any(|problem| problem.severity == Severity::Fatal));
            assert!(problems.iter().all(|problem| problem.path.starts_with('/')));
        }
    }
});
