//! Any bytes as an image, a discharge record and a table to be de-identified: no panic, and what was made
//! is one again, of the same pseudonym, without the numbers that the patient had.
#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use xiangyi::embedded;
use xiangyi::sharing::deidentify::counts::{Shape, suppress};
use xiangyi::sharing::deidentify::images::{self, Way};
use xiangyi::sharing::deidentify::records::{self, FreeText};
use xiangyi::sharing::deidentify::{Choices, Key, Rules};
use xiangyi::sharing::discharge::model::DischargeRecord;
use xiangyi::sharing::discharge::{cda, fhir};

/// Counts below this one are suppressed.
const THRESHOLD: u64 = 10;

struct Fixed {
    rules: Rules,
    choices: Choices,
    key: Key,
}

fn fixed() -> &'static Fixed {
    static FIXED: OnceLock<Fixed> = OnceLock::new();
    FIXED.get_or_init(|| Fixed {
        rules: Rules::load(&embedded::files()).unwrap(),
        choices: Choices::of([]).unwrap(),
        key: Key::new(&[7; 32]),
    })
}

fn image(bytes: &[u8]) {
    let Fixed { rules, choices, key } = fixed();
    let way = Way { rules, choices, key, include_burned_in: true };
    let Ok(outcome) = images::deidentify(bytes, way) else { return };
    let made = outcome.made.expect("what may have text in it was asked for");
    let again = images::deidentify(&made.bytes, way).unwrap().made.unwrap();
    assert_eq!(again.patient, made.patient);
}

fn record(record: &DischargeRecord) {
    let Fixed { rules, key, .. } = fixed();
    for text in [FreeText::Withheld, FreeText::Scrubbed] {
        let made = records::deidentify(record, rules, key, text).unwrap();
        let said = serde_json::to_string(&made.record).unwrap();
        for number in record.patient.identifiers.iter().map(|id| id.value.trim()) {
            let long = number.len() >= 15 && number.bytes().all(|byte| byte.is_ascii_digit());
            assert!(!long || !said.contains(number), "a number of the patient is still there");
        }
        let again = records::deidentify(&made.record, rules, key, text).unwrap();
        assert_eq!(again.patient, made.patient);
    }
}

fn table(text: &str) {
    let rows: Vec<Vec<String>> =
        text.lines().map(|line| line.split(',').map(str::to_owned).collect()).collect();
    let shape = Shape { label_columns: Some(1) };
    let Ok(made) = suppress(&rows, shape, THRESHOLD) else { return };
    assert_eq!(made.rows.len(), rows.len());
    for cell in made.rows.iter().skip(1).flat_map(|row| row.iter().skip(1)) {
        let small = cell.trim().parse().is_ok_and(|count: u64| (1..THRESHOLD).contains(&count));
        assert!(!small, "a small count is still there");
    }
}

fuzz_target!(|bytes: &[u8]| {
    image(bytes);
    if let Ok(own) = records::own_json::<DischargeRecord>(bytes) {
        record(&own);
    }
    if let Ok(reading) = cda::read(bytes) {
        record(&reading.record);
    }
    if let Ok(reading) = fhir::read(bytes) {
        record(&reading.record);
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        table(text);
    }
});
