//! The stay, and which resources are its diagnoses.

use super::super::json::Node;
use super::super::terms::INSTITUTION_OID;
use super::patient::concept_extension;
use super::source::{Source, head};
use super::types::{absent, coded, concept_codes, days, moment, read_concept_if, read_if, words};
use crate::sharing::discharge::model::{Coded, Diagnosis, DiagnosisRole, Stay};
use crate::sharing::discharge::outcome;

/// Where a bed is, by HL7's location types.
const PLACES: [&str; 3] = ["wa", "ro", "bd"];

/// The stay that the bundle is about.
pub(super) fn stay(source: &Source<'_, '_>) -> Stay {
    let mut stay = Stay::default();
    let Some(node) = source.encounter else {
        institution(source, source.composition, "custodian", &mut stay);
        return stay;
    };
    source.begin(node);
    read_if(node, "status", &["finished"]);
    if let Some(class) = node.peek("class")
        && class.peek_text("code") == "IMP"
    {
        class.mark_all();
    }
    institution(source, Some(node), "serviceProvider", &mut stay);
    if stay.institution.is_empty() {
        institution(source, source.composition, "custodian", &mut stay);
    }
    stay.department = node.get("serviceType").map(words).unwrap_or_default();
    if let Some(period) = node.get("period") {
        stay.admitted = moment(period, "start");
        stay.discharged = moment(period, "end");
    }
    stay.days = node.peek("length").and_then(days);
    stay.outcome = concept_extension(node, "treatment-outcome");
    disposition(node, &mut stay);
    places(source, node, &mut stay);
    stay
}

/// Where the patient went; the model has a place for it only if it was death.
fn disposition(node: &Node<'_>, stay: &mut Stay) {
    let Some(hospitalization) = node.peek("hospitalization") else { return };
    let Some(went) = hospitalization.peek("dischargeDisposition") else { return };
    let said = concept_codes(went).any(outcome::is_death_disposition)
        || went.peek_text("text").contains("死亡");
    if said {
        node.get("hospitalization");
        hospitalization.get("dischargeDisposition");
        outcome::died(&mut stay.outcome, coded(went));
    }
}

/// That the patient is dead. When is left to be listed.
pub(super) fn deceased(patient: &Node<'_>, stay: &mut Stay) {
    match patient.peek("deceasedBoolean") {
        Some(said) => {
            patient.get("deceasedBoolean");
            if said.is_true() {
                outcome::died(&mut stay.outcome, Coded::default());
            }
        }
        None if patient.peek("deceasedDateTime").is_some() => {
            outcome::died(&mut stay.outcome, Coded::default());
        }
        None => {}
    }
}

fn institution<'n, 'a>(
    source: &Source<'n, 'a>,
    holder: Option<&'n Node<'a>>,
    field: &str,
    stay: &mut Stay,
) {
    let Some((holder, reference)) = holder.and_then(|h| Some((h, h.peek(field)?))) else { return };
    match source.follow(reference, holder) {
        Some(organization) => {
            head(organization);
            absent(organization, "name");
            organization.text("name").clone_into(&mut stay.institution);
            let numbers = organization.peek_list("identifier");
            let official = numbers.iter().find(|n| n.peek_text("system") == INSTITUTION_OID);
            if let Some(number) = official.or(numbers.first()) {
                organization.get("identifier");
                number.mark();
                read_if(number, "system", &[INSTITUTION_OID]);
                number.text("value").clone_into(&mut stay.institution_code);
            }
        }
        None if !reference.peek_text("display").is_empty() => {
            reference.mark();
            reference.text("display").clone_into(&mut stay.institution);
        }
        None => {}
    }
}

fn places<'n, 'a>(source: &Source<'n, 'a>, node: &'n Node<'a>, stay: &mut Stay) {
    let all = node.peek_list("location");
    for place in PLACES {
        // Of several wards and beds the last is where the patient was discharged from.
        let of = |item: &&Node<'a>| {
            item.peek("physicalType").is_some_and(|kind| concept_codes(kind).any(|c| c == place))
        };
        let Some(item) = all.iter().rev().find(of) else { continue };
        let Some(location) = item.peek("location") else { continue };
        let name = source.name_of(location, node);
        if name.is_empty() {
            continue;
        }
        node.get("location");
        item.mark();
        read_concept_if(item, "physicalType", &[place]);
        match place {
            "wa" => stay.ward = name,
            "ro" => stay.room = name,
            _ => stay.bed = name,
        }
    }
}

/// What the stay says of the conditions that it names: their role.
pub(super) fn role_in_stay<'n, 'a>(
    source: &Source<'n, 'a>,
    condition: &'n Node<'a>,
) -> Option<DiagnosisRole> {
    let stay = source.encounter?;
    let item = source.diagnosis_item(condition)?;
    stay.get("diagnosis");
    item.mark();
    if let Some(reference) = item.peek("condition") {
        source.follow(reference, stay);
    }
    let first = item.number("rank") == Some(1.0);
    let used = item.peek("use");
    let role = used.and_then(|u| concept_codes(u).find(|c| matches!(*c, "AD" | "DD" | "CM")));
    if let Some(role) = role {
        read_concept_if(item, "use", &[role]);
    }
    Some(match role {
        Some("AD") => DiagnosisRole::Admission,
        Some("CM") => DiagnosisRole::Discharge,
        _ if first => DiagnosisRole::DischargeMain,
        _ => DiagnosisRole::Discharge,
    })
}

/// Why the patient was admitted, as the stay says it in words or codes.
pub(super) fn reasons(source: &Source<'_, '_>) -> Vec<Diagnosis> {
    let Some(node) = source.encounter else { return Vec::new() };
    let list = node.each("reasonCode").map(|reason| Diagnosis {
        role: DiagnosisRole::Admission,
        coded: coded(reason),
        ..Diagnosis::default()
    });
    list.filter(|diagnosis| !diagnosis.coded.is_empty()).collect()
}
