//! A record that is written and read again is the same record.

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;

use super::arbitrary::record;
use super::{leave, read};
use crate::sharing::discharge::DischargeRecord;
use crate::sharing::discharge::cda::{write, write_noting};

fn json(record: &DischargeRecord) -> serde_json::Value {
    serde_json::to_value(record).unwrap()
}

proptest! {
    #[test]
    fn what_is_written_is_read_again_the_same(record in record()) {
        let written = write_noting(&record);
        prop_assert!(written.problems.is_empty());
        let reading = read(written.xml.as_bytes()).map_err(|problems| {
            TestCaseError::fail(format!("{problems:?}\n{}", written.xml))
        })?;
        prop_assert_eq!(json(&reading.record), json(&record), "{}", &written.xml);
        prop_assert!(reading.unplaced.is_empty(), "{:?}\n{}", reading.unplaced, &written.xml);
        prop_assert_eq!(&write(&reading.record), &written.xml);
    }
}

#[test]
fn arbitrary_documents_are_left_for_the_schema_check() {
    let mut runner = TestRunner::deterministic();
    for number in 0..100 {
        let record = record().new_tree(&mut runner).unwrap().current();
        let written = write(&record);
        leave(&format!("{number:03}.xml"), &written);
        assert_eq!(json(&read(written.as_bytes()).unwrap().record), json(&record));
    }
}

#[test]
fn a_record_with_nothing_in_it_is_still_a_document() {
    let written = write(&DischargeRecord::default());
    leave("empty.xml", &written);
    let problems = read(written.as_bytes()).unwrap_err();
    let codes: Vec<_> = problems.iter().map(|problem| problem.code.as_str()).collect();
    for code in ["patient_name_missing", "identity_missing", "nothing_said"] {
        assert!(codes.contains(&code), "{codes:?}");
    }
}

#[test]
fn what_cannot_come_back_as_it_was_comes_back_as_the_documentation_says() {
    let mut record = DischargeRecord::default();
    record.document.name = "1.2.3^1".to_owned();
    record.patient.name = " 张 三\n".to_owned();
    record.narrative.course = "\n好转 ".to_owned();
    record.document.written =
        Some(crate::sharing::discharge::Moment::iso("2026-01-02T03:04:05.123456789Z").unwrap());
    let again = read(write(&record).as_bytes()).unwrap().record;
    assert_eq!(again.document.title, "出院小结");
    assert_eq!(again.patient.name, "张 三");
    assert_eq!(again.narrative.course, "好转");
    assert_eq!(again.document.written.unwrap().as_str(), "2026-01-02T03:04:05.123456+00:00");
}
