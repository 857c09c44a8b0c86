//! What a bundle says that decides whether something counts: what is to be deleted, diagnoses that are
//! only weighed, values that are only bounds, and death.

use serde_json::{Value, json};

use super::bytes;
use crate::sharing::discharge::problems::{Problem, Reading};
use crate::sharing::discharge::programmes::Standing;
use crate::sharing::discharge::{FollowUpTables, Programmes, tasks};

fn read(sent: &Value) -> Result<Reading, Vec<Problem>> {
    super::read(&bytes(sent))
}

fn bundle(kind: &str, more: &[Value]) -> Value {
    let patient = json!({
        "resourceType": "Patient", "id": "p", "name": [{ "text": "某人" }], "birthDate": "1957-03-17",
    });
    let stay = json!({
        "resourceType": "Encounter", "id": "e", "status": "finished",
        "class": { "system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "IMP" },
        "period": { "start": "2026-11-10", "end": "2026-11-20" },
    });
    let entry = |resource: &Value| json!({ "resource": resource, "request": { "method": "POST", "url": resource["resourceType"] } });
    let entries: Vec<Value> = [patient, stay].iter().chain(more).map(entry).collect();
    json!({ "resourceType": "Bundle", "type": kind, "entry": entries })
}

fn reading(bundle: &Value) -> Reading {
    read(bundle).unwrap()
}

fn hypertension(status: &str) -> Value {
    json!({
        "resourceType": "Condition", "subject": { "display": "本人" },
        "verificationStatus": { "coding": [{
            "system": "http://terminology.hl7.org/CodeSystem/condition-ver-status", "code": status,
        }] },
        "code": { "coding": [{ "system": "http://hl7.org/fhir/sid/icd-10", "code": "I10" }] },
    })
}

/// Programmes and tasks by id.
fn follows(reading: &Reading) -> (usize, Vec<String>) {
    let files = crate::embedded::files();
    let programmes = Programmes::load(&files).unwrap();
    let members = programmes.of(&reading.record).members;
    let rules = FollowUpTables::load(&files).unwrap();
    let ids = tasks(&reading.record, &members, &rules).into_iter().map(|task| task.id);
    (members.len(), ids.collect())
}

#[test]
fn what_is_to_be_deleted_is_not_read_and_is_listed() {
    let mut sent = bundle("transaction", &[hypertension("confirmed")]);
    assert_eq!(reading(&sent).record.diagnoses.len(), 1);
    sent["entry"][2]["request"] = json!({ "method": "DELETE", "url": "Condition/1" });
    let deleted = reading(&sent);
    assert_eq!(deleted.record.diagnoses, []);
    assert!(deleted.unplaced.iter().any(|of| of.what.contains("DELETE")), "{:?}", deleted.unplaced);
    // Nor is a second person that is to be deleted a second patient.
    let mut sent = bundle(
        "transaction",
        &[json!({
            "resourceType": "Patient", "id": "q", "name": [{ "text": "旁人" }],
        })],
    );
    assert!(read(&sent).is_err());
    sent["entry"][2]["request"] = json!({ "method": "DELETE", "url": "Patient/q" });
    assert_eq!(reading(&sent).record.patient.name, "某人");
    // Without the patient there is no record.
    let mut sent = bundle("transaction", &[]);
    sent["entry"][0]["request"] = json!({ "method": "DELETE", "url": "Patient/p" });
    assert!(read(&sent).unwrap_err().iter().any(|problem| problem.code == "patient_missing"));
    // Nor with a number and a name that say nothing.
    let mut sent = bundle("transaction", &[]);
    let patient = &mut sent["entry"][0]["resource"];
    patient["identifier"] = json!([{ "system": "urn:oid:2.16.156.10011.1.3" }]);
    patient["name"] = json!([{ "use": "official" }]);
    assert!(read(&sent).unwrap_err().iter().any(|problem| problem.code == "patient_nameless"));
}

#[test]
fn a_diagnosis_that_is_only_weighed_or_refuted_is_none() {
    for (status, is_one) in [
        ("confirmed", true),
        ("differential", false),
        ("refuted", false),
        ("entered-in-error", false),
    ] {
        let read = reading(&bundle("collection", &[hypertension(status)]));
        assert_eq!(read.record.diagnoses.len(), usize::from(is_one), "{status}");
        assert_eq!(follows(&read).0, usize::from(is_one), "{status}");
        let listed = read.unplaced.iter().any(|of| of.what.starts_with("Condition"));
        assert_eq!(listed, !is_one, "{status}");
    }
    // One that is suspected is there, and to be confirmed.
    for status in ["unconfirmed", "provisional"] {
        let read = reading(&bundle("collection", &[hypertension(status)]));
        assert!(read.record.diagnoses[0].unconfirmed, "{status}");
        let members = Programmes::load(&crate::embedded::files()).unwrap().of(&read.record).members;
        assert_eq!(members[0].standing, Standing::ToConfirm, "{status}");
        assert!(!read.unplaced.iter().any(|of| of.what.contains("verificationStatus")));
    }
    // A second coding of the status counts too.
    let mut both = hypertension("refuted");
    both["verificationStatus"]["coding"]
        .as_array_mut()
        .unwrap()
        .insert(0, json!({ "system": "http://example.org/own", "code": "no" }));
    assert_eq!(reading(&bundle("collection", &[both])).record.diagnoses, []);
}

#[test]
fn a_bound_is_no_reading_of_its_value() {
    let pressure = |comparator: &str, value: f64| {
        let mut value = json!({
            "value": value, "unit": "mmHg", "system": "http://unitsofmeasure.org", "code": "mm[Hg]",
        });
        if !comparator.is_empty() {
            value["comparator"] = json!(comparator);
        }
        json!({
            "resourceType": "Observation", "status": "final", "effectiveDateTime": "2026-11-19",
            "code": { "coding": [{ "system": "http://loinc.org", "code": "8480-6" }] },
            "valueQuantity": value,
        })
    };
    for (comparator, value, refer) in [
        ("", 180.0, true),
        ("<", 180.0, false),
        ("<=", 180.0, false),
        (">", 180.0, true),
        (">=", 180.0, true),
        (">", 150.0, false),
    ] {
        let sent = bundle("collection", &[hypertension("confirmed"), pressure(comparator, value)]);
        let asked = follows(&reading(&sent)).1;
        let found = asked.contains(&"refer_blood_pressure".to_owned());
        assert_eq!(found, refer, "{comparator}{value}");
        let told = asked.contains(&"unreadable_blood_pressure".to_owned());
        assert_eq!(told, !refer, "{comparator}{value}: {asked:?}");
    }
}

#[test]
fn who_died_is_not_visited() {
    let dead = |change: &dyn Fn(&mut Value)| {
        let mut sent = bundle("collection", &[hypertension("confirmed")]);
        change(&mut sent);
        let read = reading(&sent);
        (follows(&read).1, read)
    };
    let exp = |code: &str| {
        json!({ "dischargeDisposition": { "coding": [{
        "system": "http://terminology.hl7.org/CodeSystem/discharge-disposition", "code": code,
    }] } })
    };
    let died = ["died".to_owned()];
    let boolean = dead(&|sent| sent["entry"][0]["resource"]["deceasedBoolean"] = json!(true));
    assert_eq!(boolean.0, died);
    let time = dead(&|sent| {
        sent["entry"][0]["resource"]["deceasedDateTime"] = json!("2026-11-20");
    });
    assert_eq!(time.0, died);
    assert!(time.1.unplaced.iter().any(|of| of.what == "deceasedDateTime"), "when is listed");
    let went = dead(&|sent| sent["entry"][1]["resource"]["hospitalization"] = exp("exp"));
    assert_eq!(went.0, died);
    // It is still said when the record is written and read again.
    let written = crate::sharing::discharge::fhir::write(
        &went.1.record,
        &crate::sharing::discharge::Moment::iso("2026-11-20T10:00:00+08:00").unwrap(),
    );
    assert_eq!(follows(&read(&written).unwrap()).1, died);
    let alive = dead(&|sent| {
        sent["entry"][0]["resource"]["deceasedBoolean"] = json!(false);
        sent["entry"][1]["resource"]["hospitalization"] = exp("home");
    });
    assert!(alive.0.contains(&"visit_after_discharge".to_owned()));
    assert_eq!(alive.1.record.stay.outcome, None);
}
