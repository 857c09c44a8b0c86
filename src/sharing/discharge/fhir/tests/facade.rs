//! What the façade answers keeps R4's rules, and asks for a match are understood.

use serde_json::{Value, json};

use super::super::read::check;
use super::super::resources::*;
use super::{bytes, now, read};
use crate::sharing::discharge::Moment;
use crate::sharing::discharge::model::{DischargeRecord, Identifier, IdentifierKind, Patient, Sex};
use crate::sharing::discharge::problems::Problem;

/// Problems that R4's own tables find in a resource; references to other servers aside.
fn faults(resource: &Value) -> Vec<Problem> {
    let found = check(&bytes(resource)).into_iter();
    found.filter(|problem| problem.code != "reference_nothing").collect()
}

fn person() -> Patient {
    Patient {
        name: "某甲".to_owned(),
        sex: Sex::Female,
        birth_date: Some(Moment::iso("1950-02-03").unwrap()),
        identifiers: vec![Identifier {
            kind: IdentifierKind::ResidentId,
            system: "urn:oid:2.16.156.10011.1.3".to_owned(),
            value: "110101195002030028".to_owned(),
        }],
        ..Patient::default()
    }
}

fn record() -> DischargeRecord {
    let mut record = DischargeRecord { patient: person(), ..DischargeRecord::default() };
    record.document.name = "urn:oid:1.2.3|A-1".to_owned();
    record.document.version = Some(2);
    record.document.written = Some(Moment::iso("2026-11-28T10:00").unwrap());
    record.stay.institution = "某县人民医院".to_owned();
    record.stay.admitted = Some(Moment::iso("2026-11-20").unwrap());
    record
}

fn kept(standing: Standing, subject: Subject<'_>) -> Value {
    let contents = [Content {
        content_type: "application/fhir+json",
        url: "https://hub.example/fhir/Composition/7/$document",
        size: Some(1234),
        sha256: "00ff",
        sm3: "",
    }];
    document_reference(&Kept {
        id: "7",
        record: &record(),
        standing,
        kept: &now(),
        updated: &now(),
        subject,
        contents: &contents,
        replaces: Some("6"),
    })
}

#[test]
fn a_document_reference_keeps_the_rules_and_shows_of_the_patient_only_what_it_is_given() {
    for (standing, status, doc_status) in [
        (Standing::Current, "current", "final"),
        (Standing::Superseded, "superseded", "final"),
        (Standing::EnteredInError, "entered-in-error", "entered-in-error"),
    ] {
        let resource = kept(standing, Subject::default());
        assert_eq!(faults(&resource), []);
        assert_eq!(
            (&resource["status"], &resource["docStatus"]),
            (&json!(status), &json!(doc_status))
        );
        assert_eq!(resource["type"]["coding"][0]["code"], "18842-5");
        assert_eq!(resource["relatesTo"][0]["target"]["reference"], "DocumentReference/6");
        let attachment = &resource["content"][0]["attachment"];
        assert_eq!((&attachment["size"], &attachment["hash"]), (&json!(1234), &Value::Null));
        assert_eq!(attachment["extension"].as_array().unwrap().len(), 1);
        assert_eq!(resource["subject"], Value::Null);
        assert!(!resource.to_string().contains("某甲") && !resource.to_string().contains("110101"));
    }
    let patient = person();
    let subject = Subject { reference: Some("Patient/p"), identifier: None, display: "某*" };
    assert_eq!(
        kept(Standing::Current, subject)["subject"],
        json!({ "reference": "Patient/p", "display": "某*" })
    );
    let subject = Subject { identifier: patient.identifiers.first(), ..Subject::default() };
    let shown = kept(Standing::Current, subject);
    assert_eq!(shown["subject"]["identifier"]["value"], "110101195002030028");
}

#[test]
fn a_search_set_counts_and_leads_on() {
    let one = kept(Standing::Current, Subject::default());
    let page = Page {
        total: Some(3),
        this: "https://hub.example/fhir/DocumentReference?_count=1",
        next: Some("https://hub.example/fhir/DocumentReference?_count=1&page=2"),
        matches: vec![("https://hub.example/fhir/DocumentReference/7".to_owned(), one)],
    };
    let set = searchset(page);
    assert_eq!(faults(&set), []);
    assert_eq!((&set["total"], &set["link"][1]["relation"]), (&json!(3), &json!("next")));
    let none = searchset(Page { total: Some(0), this: "https://x/y", next: None, matches: vec![] });
    assert_eq!(faults(&none), []);
    assert_eq!((&none["entry"], &none["link"][1]), (&Value::Null, &Value::Null));
}

#[test]
fn an_outcome_tells_every_problem_with_its_path() {
    let problems =
        read(b"{\"resourceType\":\"Bundle\",\"type\":\"pile\",\"entry\":[]}").unwrap_err();
    let outcome = operation_outcome(&problems);
    assert_eq!(faults(&outcome), []);
    let issues = outcome["issue"].as_array().unwrap();
    assert_eq!(issues.len(), problems.len());
    let kind = issues.iter().find(|issue| issue["expression"][0] == "Bundle.type").unwrap();
    assert_eq!((&kind["severity"], &kind["code"]), (&json!("error"), &json!("code-invalid")));
    let broken = operation_outcome(&read(b"{").unwrap_err());
    assert_eq!(broken["issue"][0]["severity"], "fatal");
    assert_eq!(broken["issue"][0]["expression"], Value::Null);
    let fine = operation_outcome(&[]);
    assert_eq!((faults(&fine), &fine["issue"][0]["severity"]), (vec![], &json!("information")));
}

#[test]
fn the_statement_of_capabilities_keeps_the_rules_and_promises_nothing_more() {
    let statement = capability_statement(&Server {
        base: "https://hub.example/fhir",
        version: "0.1.0",
        date: &Moment::iso("2026-11-29").unwrap(),
    });
    assert_eq!(faults(&statement), []);
    let resources = statement["rest"][0]["resource"].as_array().unwrap();
    let types: Vec<_> = resources.iter().map(|r| r["type"].as_str().unwrap()).collect();
    assert_eq!(types, ["Patient", "DocumentReference", "Bundle", "Composition", "Binary"]);
}

#[test]
fn a_match_is_asked_for_with_parameters_or_with_a_patient_alone() {
    let patient = json!({
        "resourceType": "Patient", "name": [{ "family": "欧阳", "given": ["某"] }],
        "birthDate": "1950-02", "gender": "female",
        "identifier": [{ "system": "urn:oid:2.16.156.10011.1.3", "value": "1" }],
    });
    let ask = |count: Value| {
        json!({ "resourceType": "Parameters", "parameter": [
        { "name": "resource", "resource": patient },
        { "name": "onlyCertainMatches", "valueBoolean": true },
        { "name": "count", "valueInteger": count },
    ] })
    };
    let asked = match_request(&bytes(&ask(json!(3)))).unwrap();
    assert_eq!(asked.patient.name, "欧阳某");
    assert_eq!(asked.patient.identifier(IdentifierKind::ResidentId), Some("1"));
    assert_eq!((asked.only_certain, asked.count), (true, Some(3)));
    assert_eq!(match_request(&bytes(&ask(json!(1_000_000)))).unwrap().count, Some(MATCHES_MAX));
    let alone = match_request(&bytes(&patient)).unwrap();
    assert_eq!((alone.only_certain, alone.count), (false, None));
    for (asked, code) in [
        (ask(json!(0)), "number_form"),
        (ask(json!("3")), "type_wrong"),
        (json!({ "resourceType": "Parameters" }), "patient_missing"),
        (json!({ "resourceType": "Patient", "gender": "male" }), "patient_nameless"),
        // An identifier or a name that says nothing names nobody.
        (
            json!({ "resourceType": "Patient", "identifier": [{ "system": "urn:oid:1.2" }],
                "name": [{ "use": "official" }] }),
            "patient_nameless",
        ),
        (json!({ "resourceType": "Bundle" }), "not_parameters"),
        (
            json!({ "resourceType": "Patient", "name": [{ "text": "x" }], "birthDate": "1950-13" }),
            "date_impossible",
        ),
    ] {
        let problems = match_request(&bytes(&asked)).unwrap_err();
        assert!(problems.iter().any(|problem| problem.code == code), "{asked}: {problems:?}");
    }
}

#[test]
fn the_answer_to_a_match_has_scores_and_grades() {
    let patient = person();
    let candidate = |score, grade| Candidate {
        id: "p",
        url: "https://hub.example/fhir/Patient/p",
        patient: &patient,
        score,
        grade,
    };
    let answer = match_answer(
        &[candidate(0.99, Grade::Certain), candidate(0.6, Grade::Possible)],
        "https://hub.example/fhir/Patient/$match",
    );
    assert_eq!(faults(&answer), []);
    assert_eq!(answer["total"], 2);
    let search = &answer["entry"][1]["search"];
    assert_eq!((&search["score"], &search["mode"]), (&json!(0.6), &json!("match")));
    assert_eq!(search["extension"][0]["valueCode"], "possible");
    let shown = answer["entry"][0]["resource"].clone();
    assert_eq!(match_request(&bytes(&shown)).unwrap().patient, patient);
}
