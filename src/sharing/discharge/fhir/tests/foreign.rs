//! Documents of others: Synthea's inpatients and the examples of the International Patient Summary,
//! each compared with an independent look into its JSON.

use std::collections::BTreeSet;
use std::path::PathBuf;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::read::check;
use super::{bytes, read};
use crate::sharing::discharge::model::{DiagnosisRole, DischargeRecord, MedicineChange};
use crate::sharing::discharge::problems::{Format, Reading, Severity};

fn files(folder: &str) -> Vec<(String, Vec<u8>)> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/data/records");
    let mut found: Vec<_> = std::fs::read_dir(root.join(folder))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .map(|path| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            (name, std::fs::read(&path).unwrap())
        })
        .collect();
    found.sort();
    found
}

fn resources<'v>(bundle: &'v Value, kind: &str) -> Vec<(&'v str, &'v Value)> {
    let entries = bundle["entry"].as_array().unwrap().iter();
    let entries = entries.map(|e| (e["fullUrl"].as_str().unwrap_or_default(), &e["resource"]));
    entries.filter(|(_, resource)| resource["resourceType"] == *kind).collect()
}

fn code<'v>(resource: &'v Value, field: &str) -> &'v str {
    resource[field]["coding"][0]["code"].as_str().unwrap_or_default()
}

/// The newest inpatient stay of a Synthea bundle.
fn stay(bundle: &Value) -> (&str, &Value) {
    let stays =
        resources(bundle, "Encounter").into_iter().filter(|(_, e)| e["class"]["code"] == "IMP");
    stays.max_by_key(|(_, e)| e["period"]["end"].as_str().unwrap().to_owned()).unwrap()
}

fn codes<'r>(
    coded: impl Iterator<Item = &'r crate::sharing::discharge::model::Coded>,
) -> BTreeSet<String> {
    coded.filter_map(|coded| coded.codes.first()).map(|code| code.code.clone()).collect()
}

fn compare(name: &str, bundle: &Value, reading: &Reading) {
    let record: &DischargeRecord = &reading.record;
    let (url, encounter) = stay(bundle);
    let of = |resource: &Value| resource["encounter"]["reference"] == *url;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    assert_eq!(reading.format, Format::FhirBundle);
    assert_eq!(record.document.name, url, "{name}");
    let moment = |m: &Option<crate::sharing::discharge::Moment>| m.as_ref().unwrap().to_string();
    assert_eq!(moment(&record.stay.admitted), text(&encounter["period"]["start"]), "{name}");
    assert_eq!(moment(&record.stay.discharged), text(&encounter["period"]["end"]), "{name}");
    let patient = resources(bundle, "Patient")[0].1;
    assert!(record.patient.name.contains(patient["name"][0]["family"].as_str().unwrap()));
    assert_eq!(moment(&record.patient.birth_date), text(&patient["birthDate"]));
    assert_eq!(record.patient.identifiers.len(), patient["identifier"].as_array().unwrap().len());

    let conditions = resources(bundle, "Condition");
    let expected: BTreeSet<String> =
        conditions.iter().filter(|(_, c)| of(c)).map(|(_, c)| code(c, "code").to_owned()).collect();
    let stays_own = record.diagnoses.iter().filter(|d| d.role == DiagnosisRole::Discharge);
    assert_eq!(codes(stays_own.map(|d| &d.coded)), expected, "{name}: diagnoses");

    let end = encounter["period"]["end"].as_str().unwrap();
    let active = |r: &Value, said: &str| r["status"] == "active" && said[..10] <= end[..10];
    let orders = resources(bundle, "MedicationRequest");
    let orders = orders.iter().map(|(_, order)| order);
    let orders: Vec<_> =
        orders.filter(|o| of(o) || active(o, o["authoredOn"].as_str().unwrap())).collect();
    assert_eq!(record.medicines.len(), orders.len(), "{name}: medicines");
    for (medicine, order) in record.medicines.iter().zip(orders) {
        assert_eq!(medicine.coded.codes[0].code, code(order, "medicationCodeableConcept"));
        let stopped = order["status"] == "stopped";
        assert_eq!(medicine.change == Some(MedicineChange::Stopped), stopped);
        let repeat = &order["dosageInstruction"][0]["timing"]["repeat"];
        let expected = repeat["frequency"].as_f64().map(|frequency| {
            let day = match repeat["periodUnit"].as_str().unwrap() {
                "h" => 24.0,
                "d" => 1.0,
                "wk" => 1.0 / 7.0,
                other => panic!("{other}"),
            };
            frequency * day / repeat["period"].as_f64().unwrap()
        });
        match (expected, medicine.times_per_day) {
            (None, None) => {}
            (Some(expected), Some(times)) => assert!((expected - times).abs() < 1e-9),
            other => panic!("{name}: {other:?}"),
        }
    }

    let observations = resources(bundle, "Observation");
    let mut expected = 0;
    for (_, observation) in observations.iter().filter(|(_, o)| of(o)) {
        let components = observation["component"].as_array().map_or(0, Vec::len);
        let valued = observation.as_object().unwrap().keys().any(|key| key.starts_with("value"));
        expected += components + usize::from(valued || components == 0);
    }
    assert_eq!(record.measurements.len(), expected, "{name}: measurements");
    let count = |kind: &str| resources(bundle, kind).iter().filter(|(_, r)| of(r)).count();
    assert_eq!(record.procedures.len(), count("Procedure"), "{name}");
    assert_eq!(record.imaging.len(), count("ImagingStudy"), "{name}");
    assert!(record.imaging.iter().all(|study| study.study_uid.starts_with("1.2.840.")));
    assert_eq!(record.allergies.len(), resources(bundle, "AllergyIntolerance").len(), "{name}");
}

#[test]
fn every_inpatient_of_synthea_gives_the_record_of_the_newest_stay() {
    let files = files("fhir-synthea");
    assert_eq!(files.len(), 22);
    for (name, bytes) in &files {
        let bundle: Value = serde_json::from_slice(bytes).unwrap();
        let reading = read(bytes).unwrap();
        compare(name, &bundle, &reading);
        let told: Vec<_> =
            reading.problems.iter().filter(|p| p.severity > Severity::Information).collect();
        assert_eq!(told, Vec::<&_>::new(), "{name}");
        // Every type of resource is in the record or named as not being there.
        let entries = bundle["entry"].as_array().unwrap();
        let bills = entries.iter().filter(|e| e["resource"]["resourceType"] == "Claim").count();
        let what = format!("Claim ×{bills}");
        assert!(reading.unplaced.iter().any(|unplaced| unplaced.what == what), "{name}");
        assert!(reading.unplaced.len() < 200, "{name}: {}", reading.unplaced.len());
    }
}

#[test]
fn a_patient_summary_is_no_discharge_record_and_nothing_else_is_wrong_with_it() {
    for (name, bytes) in files("fhir-ips").iter().filter(|(name, _)| name.starts_with("Bundle")) {
        let fatal = super::fatal_codes(bytes);
        assert_eq!(fatal, ["document_type"], "{name}");
    }
}

#[test]
fn the_examples_of_the_patient_summary_are_read_when_they_say_they_are_discharge_records() {
    for (name, original) in files("fhir-ips") {
        let mut bundle: Value = serde_json::from_slice(&original).unwrap();
        if bundle["resourceType"] != "Bundle" {
            continue;
        }
        bundle["entry"][0]["resource"]["type"]["coding"][0]["code"] = json!("18842-5");
        let reading = read(&bytes(&bundle)).unwrap();
        let record = &reading.record;
        assert!(!record.patient.name.is_empty() && record.patient.birth_date.is_some());
        let known = |value: &Value| {
            let codings = value["coding"].as_array().cloned().unwrap_or_default();
            !codings.iter().any(|c| c["system"].as_str().is_some_and(|s| s.contains("absent-unk")))
        };
        let conditions = resources(&bundle, "Condition");
        let expected = conditions.iter().filter(|(_, c)| known(&c["code"])).count();
        assert_eq!(record.diagnoses.len(), expected, "{name}");
        let taken = resources(&bundle, "MedicationStatement");
        let expected = taken.iter().filter(|(_, m)| known(&m["medicationCodeableConcept"])).count();
        assert_eq!(record.medicines.len(), expected, "{name}");
        // What sections tell in words alone, and vaccinations, are not lost.
        let named = |what: &str| reading.unplaced.iter().any(|u| u.what.starts_with(what));
        if !resources(&bundle, "Immunization").is_empty() {
            assert!(named("Immunization"), "{name}");
        }
        let wrong: Vec<_> = reading
            .problems
            .iter()
            .filter(|p| p.severity > Severity::Information && p.code != "encounter_missing")
            .map(|p| (&p.path, &p.code))
            .collect();
        assert_eq!(wrong, [], "{name}");
    }
}

#[test]
fn the_single_examples_of_the_patient_summary_keep_all_rules_that_do_not_need_their_neighbours() {
    for (name, bytes) in files("fhir-ips").iter().filter(|(name, _)| !name.starts_with("Bundle")) {
        let problems = check(bytes);
        let wrong: Vec<_> = problems.iter().filter(|p| p.code != "reference_nothing").collect();
        assert!(wrong.is_empty(), "{name}: {wrong:?}");
    }
}

/// A small bundle of everything, to be spoiled.
fn small() -> Value {
    let (_, bytes) = files("fhir-ips").into_iter().find(|(n, _)| n.contains("minimal")).unwrap();
    let mut bundle: Value = serde_json::from_slice(&bytes).unwrap();
    bundle["entry"][0]["resource"]["type"]["coding"][0]["code"] = json!("18842-5");
    bundle
}

/// The places in a document at which something can be spoiled.
fn places(value: &Value, at: &str, found: &mut Vec<String>) {
    found.push(at.to_owned());
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                places(
                    field,
                    &format!("{at}/{}", name.replace('~', "~0").replace('/', "~1")),
                    found,
                );
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                places(item, &format!("{at}/{index}"), found);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
        "(urn:uuid:x|#|Patient/1|2026-02-30|active|http://x/y)".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        let keys =
            "(resourceType|entry|resource|type|code|coding|reference|value|_x|subject|.{0,4})";
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map(keys, inner, 0..4)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn any_json_is_refused_or_read(value in any_json()) {
        prop_assert!(read(&bytes(&value)).is_err());
    }

    #[test]
    fn a_spoiled_document_is_refused_with_reasons_or_read(
        spoils in proptest::collection::vec((any::<proptest::sample::Index>(), any_json()), 1..4),
    ) {
        let mut bundle = small();
        for (at, value) in spoils {
            let mut all = Vec::new();
            places(&bundle, "", &mut all);
            let place = at.get(&all);
            *bundle.pointer_mut(place).unwrap() = value;
        }
        match read(&bytes(&bundle)) {
            Ok(reading) => {
                prop_assert!(reading.problems.iter().all(|p| p.severity < Severity::Fatal));
                // What was read can be written and read again.
                let written = super::write(&reading.record, &super::now());
                prop_assert!(read(&bytes(&written)).is_ok());
            }
            Err(problems) => {
                prop_assert!(problems.iter().any(|p| p.severity == Severity::Fatal));
            }
        }
    }

    #[test]
    fn a_document_with_other_bytes_is_refused_or_read(
        at in any::<proptest::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut document = bytes(&small());
        let at = at.index(document.len());
        document[at] = byte;
        let _ = read(&document);
        let _ = read(&document[..at]);
    }
}
