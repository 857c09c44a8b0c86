//! Records over the wire and back, and what is refused on the way in.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use prost::Message as _;
use serde_json::Value;

use super::record_in::{ENTRIES_MAX, FEW_MAX, LINE_CHARS_MAX, PROBLEMS_MAX, TEXT_CHARS_MAX};
use crate::app::error::{Error, FieldProblem};
use crate::rpc::proto::xiangyi::records::v1 as pb;
use crate::sharing::discharge::testing::records;
use crate::sharing::discharge::{DischargeRecord, Format, Problem, Severity, Unplaced};

fn read(wire: pb::DischargeRecord) -> Result<DischargeRecord, Vec<FieldProblem>> {
    DischargeRecord::try_from(wire).map_err(|error| {
        let Error::Invalid(problems) = error else { panic!("{error}") };
        problems
    })
}

/// What is refused of `wire`, as `path what is allowed`.
fn refused(wire: pb::DischargeRecord) -> Vec<String> {
    let problems = read(wire).unwrap_err();
    problems.into_iter().map(|p| format!("{} {}", p.field, p.allowed)).collect()
}

proptest! {
    #[test]
    fn a_record_over_the_wire_and_back_is_the_same(record in records()) {
        let bytes = pb::DischargeRecord::from(record.clone()).encode_to_vec();
        let wire = pb::DischargeRecord::decode(bytes.as_slice()).unwrap();
        let back = read(wire).unwrap();
        // The two do not show what they say: compare what is kept of them.
        prop_assert_eq!(
            serde_json::to_string(&back).unwrap(),
            serde_json::to_string(&record).unwrap()
        );
        prop_assert!(back == record);
    }

    #[test]
    fn damaged_bytes_are_a_record_or_refused_with_paths(
        record in records(),
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..20),
    ) {
        let mut bytes = pb::DischargeRecord::from(record).encode_to_vec();
        prop_assume!(!bytes.is_empty());
        for (at, byte) in damage {
            *at.get_mut(&mut bytes) = byte;
        }
        if let Ok(wire) = pb::DischargeRecord::decode(bytes.as_slice()) {
            match read(wire) {
                Ok(record) => {
                    let again = read(record.clone().into()).unwrap();
                    prop_assert!(again == record);
                }
                Err(problems) => {
                    prop_assert!(!problems.is_empty());
                    prop_assert!(problems.iter().all(|p| p.field.starts_with("record.")));
                }
            }
        }
    }
}

/// Every leaf of a record's JSON by its path, with the values seen there, those of the default left
/// out; list indices are written `[]`.
fn leaves(path: &str, value: &Value, seen: &mut BTreeMap<String, BTreeSet<String>>) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                leaves(&format!("{path}.{name}"), field, seen);
            }
        }
        Value::Array(entries) => {
            let path = format!("{path}[]");
            seen.entry(path.clone()).or_default().extend(entries.first().map(|_| "some".into()));
            for entry in entries {
                leaves(&path, entry, seen);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            let values = seen.entry(path.to_owned()).or_default();
            if !matches!(value, Value::Null | Value::Bool(false)) && value != "" && value != 0.0 {
                values.insert(value.to_string());
            }
        }
    }
}

#[test]
fn the_records_of_the_round_trip_fill_every_field_and_have_every_value_of_an_enum() {
    let mut runner = TestRunner::deterministic();
    let mut seen = BTreeMap::new();
    for _ in 0..200 {
        let record = records().new_tree(&mut runner).unwrap().current();
        leaves("record", &serde_json::to_value(&record).unwrap(), &mut seen);
    }
    // A thing that may be missing is a leaf while it is missing.
    let parents: BTreeSet<String> =
        seen.keys().filter_map(|path| path.rsplit_once('.')).map(|(path, _)| path.into()).collect();
    seen.retain(|path, _| !parents.contains(path) || path.ends_with("[]"));
    let never: Vec<_> = seen.iter().filter(|(_, values)| values.is_empty()).collect();
    assert!(never.is_empty(), "{never:?}");
    for (path, values) in [
        ("record.patient.identifiers[].kind", 4),
        ("record.patient.sex", 4),
        ("record.diagnoses[].role", 4),
        ("record.diagnoses[].kind", 3),
        ("record.medicines[].change", 4),
        ("record.signatures[].role", 3),
    ] {
        assert_eq!(seen[path].len(), values, "{path}");
    }
    // One for each field, and one for each list; it grows with the model.
    assert_eq!(seen.len(), 182);
}

#[test]
fn what_is_not_said_is_not_said_on_the_wire_either() {
    let wire = pb::DischargeRecord::from(DischargeRecord::default());
    assert_eq!(wire.patient.as_ref().unwrap().birth_date, "");
    assert_eq!(wire.stay.as_ref().unwrap().days, None);
    assert!(read(wire).unwrap() == DischargeRecord::default());
    assert!(read(pb::DischargeRecord::default()).unwrap() == DischargeRecord::default());
}

#[test]
fn everything_that_cannot_be_is_refused_at_once_with_its_path() {
    let quantity = |value| Some(pb::Quantity { value, unit: String::new() });
    let medicine = pb::Medicine {
        dose: quantity(f64::NAN),
        days: Some(f64::INFINITY),
        ..pb::Medicine::default()
    };
    let unknown = pb::Medicine { change: 77, end: "2026-02-30".into(), ..pb::Medicine::default() };
    let target = pb::Target { high: quantity(f64::NEG_INFINITY), ..pb::Target::default() };
    let wire = pb::DischargeRecord {
        patient: Some(pb::Patient {
            sex: 3,
            birth_date: "1950-13".into(),
            identifiers: vec![pb::Identifier { kind: -1, ..pb::Identifier::default() }],
            ..pb::Patient::default()
        }),
        diagnoses: vec![pb::Diagnosis { role: 5, kind: 4, ..pb::Diagnosis::default() }],
        medicines: vec![pb::Medicine::default(), unknown, medicine],
        follow_ups: vec![pb::FollowUp {
            due: "20261213".into(),
            targets: vec![target],
            ..pb::FollowUp::default()
        }],
        signatures: vec![pb::Signature { role: 4, ..pb::Signature::default() }],
        ..pb::DischargeRecord::default()
    };
    let moment = "must be a day or time that exists, in ISO 8601, or empty";
    assert_eq!(
        refused(wire),
        [
            "record.patient.identifiers[0].kind must be one of IDENTIFIER_KIND_UNSPECIFIED, \
             IDENTIFIER_KIND_RESIDENT_ID, IDENTIFIER_KIND_HEALTH_CARD, \
             IDENTIFIER_KIND_INPATIENT_NUMBER, IDENTIFIER_KIND_OTHER",
            "record.patient.sex must be one of SEX_UNSPECIFIED, SEX_MALE, SEX_FEMALE, SEX_UNSTATED",
            &format!("record.patient.birth_date {moment}"),
            "record.diagnoses[0].role must be one of DIAGNOSIS_ROLE_UNSPECIFIED, \
             DIAGNOSIS_ROLE_ADMISSION, DIAGNOSIS_ROLE_DISCHARGE_MAIN, DIAGNOSIS_ROLE_DISCHARGE, \
             DIAGNOSIS_ROLE_HISTORY",
            "record.diagnoses[0].kind must be one of DIAGNOSIS_KIND_UNSPECIFIED, \
             DIAGNOSIS_KIND_WESTERN, DIAGNOSIS_KIND_TCM_DISEASE, DIAGNOSIS_KIND_TCM_SYNDROME",
            "record.medicines[1].change must be one of MEDICINE_CHANGE_UNSPECIFIED, \
             MEDICINE_CHANGE_NEW, MEDICINE_CHANGE_CONTINUED, MEDICINE_CHANGE_ALTERED, \
             MEDICINE_CHANGE_STOPPED",
            &format!("record.medicines[1].end {moment}"),
            "record.medicines[2].dose.value must be a finite number",
            "record.medicines[2].days must be a finite number",
            &format!("record.follow_ups[0].due {moment}"),
            "record.follow_ups[0].targets[0].high.value must be a finite number",
            "record.signatures[0].role must be one of SIGNATURE_ROLE_UNSPECIFIED, \
             SIGNATURE_ROLE_RESIDENT, SIGNATURE_ROLE_SENIOR, SIGNATURE_ROLE_AUTHOR",
        ]
    );
}

#[test]
fn lists_and_texts_may_be_as_long_as_they_may_and_no_longer() {
    let record = |more: usize| pb::DischargeRecord {
        document: Some(pb::Document {
            title: "题".repeat(LINE_CHARS_MAX + more),
            ..pb::Document::default()
        }),
        patient: Some(pb::Patient {
            phones: vec![String::new(); FEW_MAX + more],
            ..pb::Patient::default()
        }),
        narrative: Some(pb::Narrative {
            course: "病".repeat(TEXT_CHARS_MAX + more),
            ..pb::Narrative::default()
        }),
        measurements: vec![pb::Measurement {
            coded: Some(pb::Coded {
                text: String::new(),
                codes: vec![pb::Code::default(); FEW_MAX + more],
            }),
            ..pb::Measurement::default()
        }],
        allergies: vec![pb::Allergy::default(); ENTRIES_MAX + more],
        ..pb::DischargeRecord::default()
    };
    assert_eq!(read(record(0)).unwrap().allergies.len(), ENTRIES_MAX);
    assert_eq!(
        refused(record(1)),
        [
            "record.document.title must have at most 1000 characters",
            "record.patient.phones must have at most 100 entries",
            "record.narrative.course must have at most 100000 characters",
            "record.measurements[0].coded.codes must have at most 100 entries",
            "record.allergies must have at most 5000 entries",
        ]
    );
}

#[test]
fn of_thousands_of_problems_the_first_hundred_are_told() {
    let wrong = pb::Signature { role: 99, signed: "yesterday".into(), ..pb::Signature::default() };
    let wire = pb::DischargeRecord {
        signatures: vec![wrong; ENTRIES_MAX],
        ..pb::DischargeRecord::default()
    };
    let problems = refused(wire);
    assert_eq!(problems.len(), PROBLEMS_MAX);
    assert!(problems[PROBLEMS_MAX - 1].starts_with("record.signatures[49].signed "));
}

#[test]
fn a_refusal_never_repeats_what_was_sent() {
    let wire = pb::DischargeRecord {
        patient: Some(pb::Patient { birth_date: "秘密".into(), ..pb::Patient::default() }),
        ..pb::DischargeRecord::default()
    };
    let error = DischargeRecord::try_from(wire).unwrap_err();
    assert!(!format!("{error} {error:?} {}", error.public()).contains("秘密"));
}

#[test]
fn problems_formats_and_unplaced_parts_are_on_the_wire() {
    let severities = [
        (Severity::Information, pb::Severity::Information),
        (Severity::Warning, pb::Severity::Warning),
        (Severity::Fatal, pb::Severity::Fatal),
    ];
    for (severity, wire) in severities {
        let problem =
            pb::Problem::from(Problem::new(severity, "/", "date_impossible", "日期不存在"));
        assert_eq!(problem.severity(), wire);
        assert_eq!(
            (problem.path.as_str(), problem.code.as_str(), problem.message.as_str()),
            ("/", "date_impossible", "日期不存在")
        );
    }
    let unplaced = Unplaced { path: "Bundle.entry[3]".into(), what: "Immunization".into() };
    let unplaced = pb::Unplaced::from(unplaced);
    assert_eq!(unplaced.path, "Bundle.entry[3]");
    assert_eq!(unplaced.what, "Immunization");
    for format in [
        Format::FhirDocument,
        Format::FhirBundle,
        Format::CdaDischargeSummary,
        Format::CdaWst500_49,
        Format::CdaWst500_25,
        Format::CdaWst500_32,
        Format::Ccda,
        Format::Native,
    ] {
        let name = pb::Format::from(format).as_str_name().to_ascii_lowercase();
        assert_eq!(name, format!("format_{}", format.name()));
    }
}
