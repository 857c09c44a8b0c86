//! The C-CDA documents of real vendors in the shared data. What is compared with is another look at
//! them, by `XPath` in lxml: `tests/python/records/test_ccda_facts.py` writes and checks the table.

use std::collections::BTreeSet;

use serde::Deserialize;

use super::{fixture, leave, read, shared};
use crate::sharing::discharge::cda::write;
use crate::sharing::discharge::model::{DiagnosisRole, Quantity};
use crate::sharing::discharge::problems::Format;

/// A row of the table.
#[derive(Debug, PartialEq, Deserialize)]
struct Facts {
    file: String,
    name: String,
    birth_date: String,
    medicines: usize,
    history: usize,
    admission: usize,
    discharge: usize,
    allergies: usize,
    vital_signs: usize,
    results: usize,
    procedures: usize,
    follow_ups: usize,
    allergens: String,
}

fn table() -> Vec<Facts> {
    let bytes = fixture("ccda_facts.csv");
    csv::Reader::from_reader(bytes.as_slice()).deserialize().map(Result::unwrap).collect()
}

#[test]
fn every_document_of_a_vendor_says_what_another_reader_finds() {
    let table = table();
    assert_eq!(table.len(), 18);
    for wanted in table {
        let reading = read(&std::fs::read(shared("ccda").join(&wanted.file)).unwrap()).unwrap();
        assert_eq!(reading.format, Format::Ccda);
        let record = &reading.record;
        let role = |role| record.diagnoses.iter().filter(|of| of.role == role).count();
        let found = Facts {
            file: wanted.file.clone(),
            name: record.patient.name.clone(),
            birth_date: record.patient.birth_date.as_ref().unwrap().as_str()[..10].to_owned(),
            medicines: record.medicines.len(),
            history: role(DiagnosisRole::History),
            admission: role(DiagnosisRole::Admission),
            discharge: role(DiagnosisRole::Discharge),
            allergies: record.allergies.len(),
            // Results and vital signs are one list in the model.
            vital_signs: record.measurements.len() - wanted.results,
            results: wanted.results,
            procedures: record.procedures.len(),
            follow_ups: record.follow_ups.len(),
            allergens: record
                .allergies
                .iter()
                .map(|of| of.coded.text.as_str())
                .collect::<Vec<_>>()
                .join("|"),
        };
        assert_eq!(found, wanted);
        assert!(record.measurements.iter().all(|of| of.value.is_some() || !of.text.is_empty()));
        assert!(record.medicines.iter().all(|of| !of.coded.text.is_empty()));
        assert!(record.diagnoses.iter().all(|of| !of.coded.text.is_empty()));
    }
}

#[test]
fn every_narrative_and_every_unread_element_of_a_vendor_is_accounted_for() {
    for wanted in table() {
        let bytes = std::fs::read(shared("ccda").join(&wanted.file)).unwrap();
        let reading = read(&bytes).unwrap();
        let text = String::from_utf8(bytes).unwrap();
        let document = roxmltree::Document::parse(&text).unwrap();
        let paths: BTreeSet<&str> =
            reading.unplaced.iter().map(|unplaced| unplaced.path.as_str()).collect();
        assert_eq!(paths.len(), reading.unplaced.len());
        let record = &reading.record;
        for section in document.descendants().filter(|node| node.has_tag_name((HL7, "section"))) {
            let text = section.children().find(|node| node.has_tag_name((HL7, "text"))).unwrap();
            let words: Vec<&str> = text
                .descendants()
                .filter_map(|node| if node.is_text() { node.text() } else { None })
                .flat_map(str::split_whitespace)
                .collect();
            let kept = record.sections.iter().map(|section| section.text.as_str()).chain([
                record.narrative.course.as_str(),
                record.narrative.orders.as_str(),
                record.narrative.discharge.as_str(),
                record.narrative.positive_results.as_str(),
            ]);
            let wanted_words: String = words.concat();
            let found = kept.into_iter().any(|text| {
                text.replace(" | ", "").split_whitespace().collect::<String>()
                    == wanted_words.replace('|', "")
                    || text.split_whitespace().collect::<String>().replace('|', "")
                        == wanted_words.replace('|', "")
            });
            assert!(found || wanted_words.is_empty(), "{}: {words:?}", wanted.file);
        }
    }
}

const HL7: &str = "urn:hl7-org:v3";

/// Everything that JSON says as text or number; moments also as their digits.
fn said(value: &serde_json::Value, out: &mut BTreeSet<String>) {
    match value {
        serde_json::Value::Object(fields) => fields.values().for_each(|inner| said(inner, out)),
        serde_json::Value::Array(items) => items.iter().for_each(|inner| said(inner, out)),
        serde_json::Value::String(text) => {
            out.insert(text.chars().filter(char::is_ascii_digit).collect());
            out.extend(text.split(" | ").map(str::to_owned));
            out.extend(text.split("; ").map(str::to_owned));
            out.insert(text.clone());
        }
        serde_json::Value::Number(number) => {
            out.insert(number.as_f64().unwrap().to_string());
        }
        serde_json::Value::Null | serde_json::Value::Bool(_) => {}
    }
}

/// What only says how an entry is built, or becomes a number or a flag of the model.
fn is_structure(node: roxmltree::Node<'_, '_>, parent: &str) -> bool {
    let name = node.tag_name().name();
    let code = node.attribute("code").unwrap_or_default();
    let wraps = name == "code" && ["act", "section"].contains(&parent);
    let kind_of_problem = name == "code"
        && parent == "observation"
        && ["55607006", "282291009", "404684003", "64572001", "ASSERTION", "33999-4"]
            .contains(&code);
    // Active, inactive, resolved; wheezing is why it is taken when needed.
    let status = name == "value" && ["55561003", "73425007", "413322009"].contains(&code);
    // That something goes on or was done says no more than that it is there.
    let done = name == "statusCode" && ["active", "completed"].contains(&code);
    let times = done || name == "repeatNumber";
    wraps || kind_of_problem || status || times
}

#[test]
fn every_code_and_value_of_a_body_is_in_the_record_or_below_a_listed_path() {
    let (mut looked_at, mut periods) = (0, 0);
    for wanted in table() {
        let bytes = std::fs::read(shared("ccda").join(&wanted.file)).unwrap();
        let reading = read(&bytes).unwrap();
        let listed: BTreeSet<&str> = reading.unplaced.iter().map(|of| of.path.as_str()).collect();
        let mut record = BTreeSet::new();
        said(&serde_json::to_value(&reading.record).unwrap(), &mut record);
        let text = String::from_utf8(bytes).unwrap();
        let document = roxmltree::Document::parse(&text).unwrap();
        let body = document.descendants().find(|node| node.has_tag_name((HL7, "structuredBody")));
        let mut open =
            vec![(body.unwrap(), "/ClinicalDocument/component/structuredBody".to_owned())];
        while let Some((node, path)) = open.pop() {
            if listed.contains(path.as_str()) || node.has_tag_name((HL7, "text")) {
                continue;
            }
            let children: Vec<_> = node.children().filter(roxmltree::Node::is_element).collect();
            for (at, child) in children.iter().enumerate() {
                let same = |other: &&roxmltree::Node<'_, '_>| other.tag_name() == child.tag_name();
                let name = child.tag_name().name();
                let step = match children.iter().filter(same).count() {
                    1 => name.to_owned(),
                    _ => format!("{name}[{}]", children[..=at].iter().filter(same).count()),
                };
                open.push((*child, format!("{path}/{step}")));
            }
            let parent = node.parent().unwrap().tag_name().name().to_owned();
            if is_structure(node, &parent) || node.tag_name().name() == "templateId" {
                continue;
            }
            if node.tag_name().name() == "period" {
                // It stands in the record as times a day.
                let number = |name| node.attribute(name).unwrap().parse::<f64>().unwrap();
                assert_eq!(node.attribute("unit"), Some("h"));
                assert!(record.contains(&(24.0 / number("value")).to_string()), "{path}");
                periods += 1;
                continue;
            }
            for attribute in ["code", "displayName", "value", "unit"] {
                let Some(value) = node.attribute(attribute).map(str::trim) else { continue };
                let is_number = value.parse::<f64>().map(|number| number.to_string());
                let digits: String = value.chars().filter(char::is_ascii_digit).collect();
                let found = record.contains(value)
                    || is_number.is_ok_and(|number| record.contains(&number))
                    || (digits.len() >= 4 && record.contains(&digits))
                    || (digits.len() == 10 && record.contains(&format!("{digits}00")));
                looked_at += 1;
                assert!(
                    found || value.is_empty() || value.starts_with('#'),
                    "{} {path}/@{attribute} {value}",
                    wanted.file
                );
            }
        }
    }
    assert!(looked_at > 3_000, "{looked_at}");
    assert!(periods > 0);
}

#[test]
fn what_a_vendor_said_survives_being_written_as_a_chinese_document() {
    for wanted in table() {
        let bytes = std::fs::read(shared("ccda").join(&wanted.file)).unwrap();
        let mut first = read(&bytes).unwrap().record;
        let written = write(&first);
        leave(&format!("vendor-{}", wanted.file), &written);
        let mut again = read(written.as_bytes()).unwrap();
        assert_eq!(again.format, Format::CdaDischargeSummary);
        // Diagnoses and signatures come back by role.
        first.diagnoses.sort_by_key(|of| format!("{:?}", of.role));
        again.record.diagnoses.sort_by_key(|of| format!("{:?}", of.role));
        first.signatures.sort_by_key(|of| format!("{:?}", of.role));
        again.record.signatures.sort_by_key(|of| format!("{:?}", of.role));
        let json = |record| serde_json::to_value(record).unwrap();
        assert_eq!(json(&again.record), json(&first), "{}", wanted.file);
    }
}

#[test]
fn medicines_of_a_discharge_summary_have_dose_route_times_and_reason() {
    let reading = read(&std::fs::read(shared("ccda").join("DS.sample.xml")).unwrap()).unwrap();
    let medicine = &reading.record.medicines[0];
    assert_eq!(medicine.coded.text, "Albuterol 0.09 MG/ACTUAT inhalant solution");
    let codes: Vec<_> = medicine.coded.codes.iter().map(|code| code.code.as_str()).collect();
    assert_eq!(codes, ["329498", "573621"]);
    assert_eq!(medicine.coded.codes[0].system, "http://www.nlm.nih.gov/research/umls/rxnorm");
    assert_eq!(medicine.dose, Some(Quantity { value: 1.0, unit: "INHALANT".to_owned() }));
    assert_eq!(medicine.times_per_day, Some(4.0));
    assert_eq!(medicine.route.as_ref().unwrap().text, "RESPIRATORY (INHALATION)");
    assert!(medicine.as_needed);
    assert_eq!(medicine.start.as_ref().unwrap().as_str(), "2011-03-01");
    assert_eq!(medicine.end.as_ref().unwrap().as_str(), "2012-03-01");
    assert_eq!(medicine.supplied, Some(Quantity { value: 75.0, unit: String::new() }));
    assert_eq!(medicine.reason, "Bronchitis");
    let stay = &reading.record.stay;
    assert_eq!(stay.institution, "Good Health Clinic");
    assert_eq!(stay.admitted.as_ref().unwrap().as_str(), "2005-03-29");
}
