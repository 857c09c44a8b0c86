//! Any bytes as a FHIR bundle and as the parameters of a match: no panic, limits hold, what is
//! refused has a fatal reason, and what is read can be written and read again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use xiangyi::sharing::discharge::fhir::{self, PROBLEMS_MAX, UNPLACED_MAX, resources};
use xiangyi::sharing::discharge::{Moment, Severity};

fuzz_target!(|bytes: &[u8]| {
    let fatal = |severity: Severity| severity == Severity::Fatal;
    match fhir::read(bytes) {
        Ok(reading) => {
            assert!(!reading.problems.iter().any(|problem| fatal(problem.severity)));
            assert!(reading.unplaced.len() <= UNPLACED_MAX + 1);
            let now = Moment::iso("2026-11-29T08:00:00+08:00").unwrap();
            let written = fhir::write(&reading.record, &now).to_string();
            assert!(fhir::read(written.as_bytes()).is_ok(), "what was written is refused");
        }
        Err(problems) => {
            assert!(problems.iter().any(|problem| fatal(problem.severity)));
            assert!(problems.len() <= PROBLEMS_MAX + 1);
        }
    }
    let _ = resources::match_request(bytes);
});
