//! What is wrong with a document is said with its path, and what must not be taken is refused.

use serde_json::{Value, json};

use super::super::{BYTES_MAX, DEPTH_MAX, PROBLEMS_MAX};
use super::{bytes, fatal_codes, read};
use crate::sharing::discharge::problems::{Problem, Severity};

/// A sound collection: a patient, a stay, a diagnosis, a medicine, a measurement.
fn sound() -> Value {
    json!({
        "resourceType": "Bundle",
        "type": "collection",
        "identifier": { "system": "urn:oid:1.2.3", "value": "S-1" },
        "entry": [
            { "fullUrl": "urn:uuid:p", "resource": {
                "resourceType": "Patient", "id": "p", "name": [{ "text": "某甲" }],
                "birthDate": "1950-02-03", "gender": "male",
            } },
            { "fullUrl": "urn:uuid:e", "resource": {
                "resourceType": "Encounter", "id": "e", "status": "finished",
                "class": { "code": "IMP" }, "subject": { "reference": "urn:uuid:p" },
                "period": { "start": "2026-11-01", "end": "2026-11-09" },
            } },
            { "fullUrl": "urn:uuid:c", "resource": {
                "resourceType": "Condition", "subject": { "reference": "Patient/p" },
                "encounter": { "reference": "urn:uuid:e" }, "code": { "text": "高血压" },
            } },
            { "fullUrl": "urn:uuid:m", "resource": {
                "resourceType": "MedicationRequest", "status": "active", "intent": "order",
                "medicationReference": { "reference": "#m" },
                "contained": [{ "resourceType": "Medication", "id": "m",
                                "code": { "text": "氨氯地平片 5mg" } }],
                "subject": { "reference": "urn:uuid:p" },
                "dosageInstruction": [{ "text": "每日一次，一次一片", "timing": { "repeat": {
                    "frequency": 1, "period": 1, "periodUnit": "d" } } }],
            } },
            { "fullUrl": "urn:uuid:o", "resource": {
                "resourceType": "Observation", "status": "final",
                "code": { "coding": [{ "system": "http://loinc.org", "code": "85354-9" }] },
                "subject": { "reference": "urn:uuid:p" },
                "component": [
                    { "code": { "text": "收缩压" },
                      "valueQuantity": { "value": 150, "unit": "mmHg" } },
                    { "code": { "text": "舒张压" },
                      "valueQuantity": { "value": 95, "comparator": ">", "unit": "mmHg" } },
                ],
            } },
        ],
    })
}

/// The sound one with one place changed.
fn with(place: &str, value: Value) -> Vec<u8> {
    let mut bundle = sound();
    let (holder, name) = place.rsplit_once('/').unwrap();
    match bundle.pointer_mut(holder).unwrap_or_else(|| panic!("{place}")) {
        Value::Object(fields) => {
            fields.insert(name.to_owned(), value);
        }
        Value::Array(items) => items.push(value),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            panic!("{place} holds nothing")
        }
    }
    bytes(&bundle)
}

/// The sound one without one place.
fn without(place: &str) -> Vec<u8> {
    let mut bundle = sound();
    let (holder, name) = place.rsplit_once('/').unwrap();
    let fields = bundle.pointer_mut(holder).and_then(Value::as_object_mut).unwrap();
    fields.remove(name).unwrap();
    bytes(&bundle)
}

fn problems(bytes: &[u8]) -> Vec<Problem> {
    match read(bytes) {
        Ok(reading) => reading.problems,
        Err(problems) => problems,
    }
}

#[test]
fn a_sound_collection_is_read_with_nothing_wrong() {
    let reading = read(&bytes(&sound())).unwrap();
    let told: Vec<_> = reading.problems.iter().map(|p| (p.severity, p.code.as_str())).collect();
    assert_eq!(told, [(Severity::Information, "stay_chosen")]);
    let lost: Vec<_> = reading.unplaced.iter().map(|u| (&*u.path, &*u.what)).collect();
    // What only says which the components belong to.
    assert_eq!(lost, [("Bundle.entry[4].resource.code", "code")]);
    let record = &reading.record;
    assert_eq!(record.document.name, "urn:oid:1.2.3|S-1");
    assert_eq!(record.medicines[0].coded.text, "氨氯地平片 5mg");
    assert_eq!(record.medicines[0].times_per_day, Some(1.0));
    let pressure: Vec<_> = record.measurements.iter().map(|m| m.coded.text.as_str()).collect();
    assert_eq!(pressure, ["收缩压", "舒张压"]);
    let first = record.measurements[0].value.as_ref().unwrap();
    assert_eq!((first.value.to_string().as_str(), first.unit.as_str()), ("150", "mmHg"));
    // A bound is no number.
    assert_eq!((&record.measurements[1].value, &*record.measurements[1].text), (&None, ">95 mmHg"));
}

/// What is changed in the sound one (entry and place within its resource, JSON; `-` takes it away),
/// and what is then told: code, path within `Bundle.entry`, and whether it refuses.
const FAULTS: &str = r##"
0/gender | 5 | type_wrong | [0].resource.gender | fatal
0/gender | "m" | code_unknown | [0].resource.gender | fatal
0/name | "某甲" | type_wrong | [0].resource.name | fatal
0/birthDate | "1950-02-30" | date_impossible | [0].resource.birthDate | fatal
0/birthDate | ["1950-02-03"] | type_wrong | [0].resource.birthDate | fatal
0/active | "true" | type_wrong | [0].resource.active | fatal
0/active | null | null_value | [0].resource.active | fatal
0/resourceType | "Group" | patient_missing | | fatal
0/nickname | "x" | element_unknown | [0].resource.nickname | warning
0/name/0/use | "x" | code_unknown | [0].resource.name[0].use | warning
0/name/0/text | "" | patient_nameless | [0].resource.name | fatal
0/name/0/family | "" | value_empty | [0].resource.name[0].family | warning
0/_gender | {"extension": [{"valueString": "x"}]} | missing | [0].resource._gender.extension[0].url | warning
0/modifierExtension | [{"url": "urn:x"}] | patient_modified | [0].resource | fatal
1/id | "一" | id_form | [1].resource.id | warning
1/status | - | missing | [1].resource.status | fatal
1/class | - | missing | [1].resource.class | fatal
1/status | "in-progress" | stay_missing | | fatal
1/class/code | "AMB" | stay_missing | | fatal
1/period/end | "2026-10-09" | dates_reversed | [1].resource.period | fatal
1/period/end | "2026-11-09T25:00:00Z" | date_impossible | [1].resource.period.end | fatal
1/period/end | "2026-11-09T08:00" | datetime_form | [1].resource.period.end | warning
2/subject | - | missing | [2].resource.subject | fatal
2/subject/reference | "urn:uuid:q" | reference_nothing | [2].resource.subject.reference | fatal
2/subject/reference | "http://x/fhir/Patient/9" | patient_other | [2].resource.subject | fatal
2/encounter/reference | "Encounter/9" | reference_nothing | [2].resource.encounter.reference | fatal
2/asserter | {"reference": "urn:uuid:x"} | reference_nothing | [2].resource.asserter.reference | warning
2/asserter | {"reference": "urn:uuid:e"} | reference_type | [2].resource.asserter.reference | warning
2/clinicalStatus | {"coding": [{"code": "x"}]} | code_unknown | [2].resource.clinicalStatus | fatal
2/modifierExtension | [{"url": "urn:x"}] | modifier_extension | [2].resource.modifierExtension[0] | warning
3/status | "aktiv" | code_unknown | [3].resource.status | fatal
3/status | "completed" | medicine_status | [3].resource.status | warning
3/medicationReference | - | missing | [3].resource.medication | fatal
3/medicationReference/reference | "#n" | reference_nothing | [3].resource.medicationReference.reference | fatal
3/medicationCodeableConcept | {"text": "x"} | choice_twice | [3].resource.medicationReference | fatal
3/dosageInstruction/0/timing/repeat/frequency | 1.5 | type_wrong | [3].resource.dosageInstruction[0].timing.repeat.frequency | fatal
3/dosageInstruction/0/timing/repeat/periodUnit | "day" | code_unknown | [3].resource.dosageInstruction[0].timing.repeat.periodUnit | fatal
3/dosageInstruction/0/timing/repeat/timeOfDay | ["8:00"] | time_impossible | [3].resource.dosageInstruction[0].timing.repeat.timeOfDay[0] | fatal
3/dosageInstruction/- | {"text": "睡前"} | dosage_several | [3].resource.dosageInstruction | warning
4/resourceType | "Observatoin" | resource_unknown | [4].resource.resourceType | warning
4/component/0/valueQuantity/value | "150" | type_wrong | [4].resource.component[0].valueQuantity.value | fatal
4/component/0/code | - | missing | [4].resource.component[0].code | fatal
- | {"fullUrl": "urn:uuid:q", "resource": {"resourceType": "Patient", "name": [{"text": "某乙"}]}} | patient_two | [5].resource | fatal
- | {"fullUrl": "urn:uuid:p", "resource": {"resourceType": "Basic"}} | full_url_twice | [5].fullUrl | fatal
"##;

#[test]
fn every_fault_is_named_with_its_path_and_whether_it_refuses() {
    for row in FAULTS.trim().lines() {
        let columns: Vec<&str> = row.split('|').map(str::trim).collect();
        let [place, value, code, path, severity] = columns[..] else { panic!("{row}") };
        let place = match place.split_once('/') {
            Some((entry, rest)) => format!("/entry/{entry}/resource/{rest}"),
            None => "/entry/-".to_owned(),
        };
        let document = match value {
            "-" => without(&place),
            value => with(&place, serde_json::from_str(value).unwrap()),
        };
        let refused = severity == "fatal";
        let found = problems(&document);
        let path = format!("Bundle.entry{path}");
        let hit = found.iter().find(|p| p.code == code && p.path == path);
        let hit = hit.unwrap_or_else(|| panic!("{row}: {found:?}"));
        assert_eq!(hit.severity == Severity::Fatal, refused, "{row}");
        assert!(!hit.message.is_ascii(), "said in Chinese: {}", hit.message);
        assert_eq!(read(&document).is_err(), refused, "{row}: {found:?}");
    }
}

#[test]
fn all_faults_are_told_at_once() {
    let mut bundle = sound();
    bundle["entry"][0]["resource"]["gender"] = json!(5);
    bundle["entry"][0]["resource"]["birthDate"] = json!("1950-02-30");
    bundle["entry"][2]["resource"]["subject"] = json!({ "reference": "urn:uuid:q" });
    bundle["type"] = json!("pile");
    let found = fatal_codes(&bytes(&bundle));
    for code in ["type_wrong", "date_impossible", "reference_nothing", "code_unknown"] {
        assert!(found.iter().any(|found| found == code), "{code} in {found:?}");
    }
}

#[test]
fn what_is_no_bundle_in_utf8_json_is_refused_at_once() {
    let text = String::from_utf8(bytes(&sound())).unwrap();
    let (gbk, ..) = encoding_rs::GB18030.encode(&text);
    assert_eq!(fatal_codes(&gbk), ["not_utf8"]);
    let told = read(&gbk).unwrap_err();
    assert!(told[0].message.contains("GB18030"), "{}", told[0].message);
    assert_eq!(fatal_codes(b"\xff\xfe{\x00}\x00"), ["not_utf8"]);
    assert_eq!(fatal_codes(b""), ["not_json"]);
    assert_eq!(fatal_codes(b"{\"resourceType\":\"Bundle\",}"), ["not_json"]);
    assert_eq!(fatal_codes(b"[]"), ["not_bundle"]);
    assert_eq!(fatal_codes(b"{\"resourceType\":\"Patient\"}"), ["not_bundle"]);
    assert_eq!(fatal_codes("[".repeat(DEPTH_MAX + 1).as_bytes()), ["too_deep"]);
    assert_eq!(fatal_codes(&vec![b' '; BYTES_MAX + 1]), ["too_large"]);
    let many = format!("[{}0]", "0,".repeat(super::super::VALUES_MAX));
    assert_eq!(fatal_codes(many.as_bytes()), ["too_many"]);
    for kind in ["searchset", "history", "message"] {
        assert!(fatal_codes(&with("/type", json!(kind))).contains(&"bundle_type".to_owned()));
    }
}

#[test]
fn a_byte_order_mark_is_told_and_read_over() {
    let mut marked = b"\xef\xbb\xbf".to_vec();
    marked.extend(bytes(&sound()));
    let reading = read(&marked).unwrap();
    assert!(reading.problems.iter().any(|p| p.code == "bom" && p.severity == Severity::Warning));
}

#[test]
fn a_key_that_stands_twice_refuses_the_document() {
    let text = String::from_utf8(bytes(&sound())).unwrap();
    let twice = text.replace("\"gender\":\"male\"", "\"gender\":\"male\",\"gender\":\"female\"");
    assert_ne!(text, twice);
    let found = problems(twice.as_bytes());
    let hit = found.iter().find(|p| p.code == "key_twice").unwrap();
    assert_eq!(hit.path, "Bundle.entry[0].resource.gender");
    assert_eq!(hit.severity, Severity::Fatal);
}

#[test]
fn what_was_withdrawn_or_is_another_persons_is_named_and_not_read() {
    for (n, field, value) in [
        (2, "verificationStatus", json!({ "coding": [{ "code": "refuted" }] })),
        (2, "verificationStatus", json!({ "coding": [{ "code": "entered-in-error" }] })),
        (3, "status", json!("cancelled")),
        (3, "doNotPerform", json!(true)),
        (4, "status", json!("entered-in-error")),
        (4, "focus", json!([{ "display": "胎儿" }])),
    ] {
        let reading = read(&with(&format!("/entry/{n}/resource/{field}"), value)).unwrap();
        let record = &reading.record;
        let found = [
            record.diagnoses.is_empty(),
            record.medicines.is_empty(),
            record.measurements.is_empty(),
        ];
        assert_eq!(found.iter().filter(|empty| **empty).count(), 1, "{field}");
        assert!(found[n - 2], "{field}");
        let path = format!("Bundle.entry[{n}].resource");
        assert!(
            reading.unplaced.iter().any(|u| u.path == path && u.what.contains('（')),
            "{field}"
        );
    }
}

#[test]
fn what_has_no_place_is_named_with_its_path_and_never_with_its_content() {
    let reading = read(&with(
        "/entry/0/resource/telecom",
        json!([
            { "system": "email", "value": "secret@example.org" },
            { "system": "phone", "value": "13800000000" },
            { "system": "fax", "value": "0790-1234567" },
        ]),
    ))
    .unwrap();
    assert_eq!(reading.record.patient.phones, ["13800000000"]);
    let named: Vec<_> = reading.unplaced.iter().map(|u| (&*u.path, &*u.what)).collect();
    let path = "Bundle.entry.resource.ofType(Patient).telecom";
    assert!(named.contains(&(path, "telecom ×2")), "{named:?}");
    assert!(!format!("{named:?}").contains("secret"));
}

#[test]
fn what_names_no_stay_belongs_to_the_stay_in_whose_days_it_was_done() {
    for (day, number) in [("2026-11-01", 2), ("2026-11-09T23:00:00+08:00", 2), ("2026-11-10", 0)] {
        let document = with("/entry/4/resource/effectiveDateTime", json!(day));
        let reading = read(&document).unwrap();
        assert_eq!(reading.record.measurements.len(), number, "{day}");
        let named = reading.unplaced.iter().any(|u| u.what == "Observation（不属于本次住院）");
        assert_eq!(named, number == 0, "{day}");
    }
}

#[test]
fn a_list_of_changes_says_what_became_of_a_medicine() {
    use crate::sharing::discharge::model::MedicineChange;
    let list = |entry: Value| {
        with(
            "/entry/-",
            json!({ "fullUrl": "urn:uuid:l", "resource": {
            "resourceType": "List", "status": "current", "mode": "changes",
            "subject": { "reference": "urn:uuid:p" }, "entry": [entry] } }),
        )
    };
    let item = json!({ "reference": "urn:uuid:m" });
    let system = "urn:oid:1.2.36.1.2001.1001.101.104.16592";
    let flag = |code: &str| json!({ "coding": [{ "system": system, "code": code }] });
    for (entry, change) in [
        (json!({ "item": item, "flag": flag("02") }), MedicineChange::Altered),
        (json!({ "item": item, "flag": flag("04") }), MedicineChange::New),
        (json!({ "item": item, "deleted": true }), MedicineChange::Stopped),
    ] {
        let reading = read(&list(entry)).unwrap();
        assert_eq!(reading.record.medicines[0].change, Some(change));
        assert!(!reading.unplaced.iter().any(|u| u.path.contains("[5]")), "{:?}", reading.unplaced);
    }
    // The status of the order itself comes first.
    let mut stopped = sound();
    stopped["entry"][3]["resource"]["status"] = json!("stopped");
    stopped["entry"][3]["resource"]["statusReason"] = json!({ "text": "踝部水肿" });
    let medicine = &read(&bytes(&stopped)).unwrap().record.medicines[0];
    assert_eq!(medicine.change, Some(MedicineChange::Stopped));
    assert_eq!(medicine.change_text, "踝部水肿");
}

/// Documents that would make a careless reader slow or large.
fn hostile() -> Vec<(&'static str, String)> {
    const MANY: usize = 30_000;
    let around = |entries: &str| {
        let entries: Value = serde_json::from_str(&format!("[{entries}]")).unwrap();
        let mut bundle = sound();
        let list = bundle["entry"].as_array_mut().unwrap();
        list.extend(entries.as_array().unwrap().iter().cloned());
        bundle.to_string()
    };
    let repeated = |of: &dyn Fn(usize) -> String| (0..MANY).map(of).collect::<Vec<_>>().join(",");
    let keys = repeated(&|n| format!("\"k{n}\":0"));
    let same = repeated(&|_| "\"k\":0".to_owned());
    let parts = repeated(&|n| format!("{{\"resourceType\":\"Basic\",\"id\":\"{n}\"}}"));
    let refers = repeated(&|n| format!("{{\"reference\":\"#{}\"}}", MANY - 1 - n));
    let long = "长".repeat(300_000);
    let takes = repeated(&|_| {
        "{\"resource\":{\"resourceType\":\"MedicationStatement\",\"status\":\"active\",\
          \"subject\":{\"reference\":\"urn:uuid:p\"},\
          \"medicationReference\":{\"reference\":\"urn:uuid:long\"}}}"
            .to_owned()
    });
    let goals = repeated(&|_| "{\"reference\":\"urn:uuid:g\"}".to_owned());
    let targets = repeated(&|_| "{\"detailString\":\"x\"}".to_owned());
    let subject = "\"subject\":{\"reference\":\"urn:uuid:p\"}";
    vec![
        (
            "keys",
            around(&format!(
                "{{\"resource\":{{\"resourceType\":\"Condition\",{subject},{keys}}}}}"
            )),
        ),
        ("same", format!("{{\"resourceType\":\"Bundle\",\"type\":\"collection\",{same}}}")),
        (
            "contained",
            around(&format!(
                "{{\"resource\":{{\"resourceType\":\"Observation\",\"status\":\"final\",\"code\":{{}},\
             {subject},\"contained\":[{parts}],\"hasMember\":[{refers}]}}}}"
            )),
        ),
        (
            "medication",
            around(&format!(
                "{{\"fullUrl\":\"urn:uuid:long\",\"resource\":{{\"resourceType\":\"Medication\",\
             \"code\":{{\"text\":\"{long}\"}}}}}},{takes}"
            )),
        ),
        (
            "goals",
            around(&format!(
                "{{\"fullUrl\":\"urn:uuid:g\",\"resource\":{{\"resourceType\":\"Goal\",\
             \"lifecycleStatus\":\"active\",\"description\":{{\"text\":\"x\"}},{subject},\
             \"target\":[{targets}]}}}},{{\"resource\":{{\"resourceType\":\"CarePlan\",\
             \"status\":\"active\",\"intent\":\"plan\",{subject},\"goal\":[{goals}]}}}}"
            )),
        ),
    ]
}

#[test]
fn documents_made_to_be_slow_are_answered_and_their_answer_is_small() {
    for (name, document) in hostile() {
        let answer = match read(document.as_bytes()) {
            Ok(reading) => serde_json::to_vec(&reading).unwrap().len(),
            Err(problems) => {
                assert!(problems.len() <= PROBLEMS_MAX + 1, "{name}");
                serde_json::to_vec(&problems).unwrap().len()
            }
        };
        assert!(answer < 256 << 20, "{name}: {answer} bytes of {}", document.len());
    }
}
