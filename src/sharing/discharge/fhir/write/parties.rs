//! Patient, institution, stay and those who signed.

use serde_json::{Value, json};

use super::super::terms::{
    ACT_CODE, DIAGNOSIS_ROLE, IDENTIFIER_TYPE, IDENTIFIER_TYPES, INSTITUTION_OID, LOCATION_TYPE,
    own,
};
use super::object::{Object, code, days};
use super::{Parties, Writer};
use crate::sharing::discharge::model::{
    Address, DiagnosisRole, DischargeRecord, Identifier, Patient, Sex,
};

/// Adds them.
pub(super) fn write(writer: &mut Writer, record: &DischargeRecord) -> Parties {
    let resource = patient(writer, &record.patient);
    let patient = writer.add(resource);
    let stay = &record.stay;
    let institution = if stay.institution.is_empty() && stay.institution_code.is_empty() {
        None
    } else {
        let number = match stay.institution_code.as_str() {
            "" => Value::Null,
            number => json!([{ "system": INSTITUTION_OID, "value": number }]),
        };
        let organization = writer
            .start("Organization", 0)
            .value("identifier", number)
            .text("name", &stay.institution);
        Some(writer.add(organization))
    };
    let encounter = encounter(writer, record, institution.as_ref());
    let stay = writer.add(encounter);
    let mut signed = Vec::new();
    for (index, signature) in record.signatures.iter().enumerate() {
        let number = Object::default().text("value", &signature.number).build();
        let practitioner = writer
            .start("Practitioner", index)
            .list("identifier", [number])
            .words("name", &signature.name);
        signed.push(writer.add(practitioner));
    }
    Parties { patient, stay, institution, signed }
}

/// A `Patient`.
pub(in super::super) fn patient_resource(id: &str, patient: &Patient) -> Value {
    of_patient(Object::resource("Patient", id), patient).build()
}

fn patient(writer: &Writer, patient: &Patient) -> Object {
    of_patient(writer.start("Patient", 0), patient)
}

fn of_patient(object: Object, patient: &Patient) -> Object {
    let phones = patient.phones.iter().map(|phone| json!({ "system": "phone", "value": phone }));
    let contacts = patient.contacts.iter().map(|contact| {
        let phone = match contact.phone.as_str() {
            "" => Value::Null,
            phone => json!([{ "system": "phone", "value": phone }]),
        };
        let name = Object::default().text("text", &contact.name).build();
        Object::default()
            .words("relationship", &contact.relation)
            .value("name", name)
            .value("telecom", phone)
            .build()
    });
    let age = patient.age.as_ref();
    let object = object
        .extension("age", "valueQuantity", quantity(age))
        .concept("occupation", patient.occupation.as_ref())
        .list("identifier", patient.identifiers.iter().map(identifier))
        .words("name", &patient.name)
        .list("telecom", phones)
        .date("birthDate", patient.birth_date.as_ref())
        .list("address", [address(&patient.address)])
        .coded("maritalStatus", patient.marital_status.as_ref())
        .list("contact", contacts);
    match patient.sex {
        Sex::Male => object.text("gender", "male"),
        Sex::Female => object.text("gender", "female"),
        Sex::Unknown => object,
        Sex::Unstated => object
            .text("gender", "unknown")
            .beside("gender", &json!({ "url": own("sex"), "valueCode": "9" })),
    }
}

fn quantity(quantity: Option<&crate::sharing::discharge::model::Quantity>) -> Value {
    let object = Object::default().quantity("it", quantity).build();
    object.get("it").cloned().unwrap_or_default()
}

fn identifier(identifier: &Identifier) -> Value {
    let kind = IDENTIFIER_TYPES.iter().find(|(_, kind)| *kind == identifier.kind);
    let kind = kind.map(|(name, _)| code(IDENTIFIER_TYPE, name)).unwrap_or_default();
    Object::default()
        .value("type", kind)
        .text("system", &identifier.system)
        .text("value", &identifier.value)
        .build()
}

fn address(address: &Address) -> Value {
    let parts = [
        ("township", &address.township),
        ("village", &address.village),
        ("house", &address.house),
        ("division", &address.division),
    ];
    let mut object = Object::default();
    for (name, part) in parts {
        object = object.extension(name, "valueString", Value::String(part.clone()));
    }
    let lines = parts.iter().take(3).map(|(_, part)| part.as_str()).filter(|part| !part.is_empty());
    let object = object
        .text("text", &address.text)
        .list("line", lines.map(Value::from))
        .text("city", &address.city)
        .text("district", &address.county)
        .text("state", &address.province);
    if object.is_empty() { object.build() } else { object.text("use", "home").build() }
}

fn encounter(writer: &Writer, record: &DischargeRecord, institution: Option<&Value>) -> Object {
    let stay = &record.stay;
    let places = [("wa", &stay.ward), ("ro", &stay.room), ("bd", &stay.bed)];
    let places = places.into_iter().filter(|(_, name)| !name.is_empty()).map(|(kind, name)| {
        json!({ "location": { "display": name }, "physicalType": code(LOCATION_TYPE, kind) })
    });
    let department = Object::default().text("text", &stay.department).build();
    writer
        .start("Encounter", 0)
        .concept("treatment-outcome", stay.outcome.as_ref())
        .text("status", "finished")
        .value("class", json!({ "system": ACT_CODE, "code": "IMP" }))
        .value("serviceType", department)
        .value("subject", writer.reference("Patient", 0))
        .period("period", stay.admitted.as_ref(), stay.discharged.as_ref())
        .value("length", days(stay.days))
        .list("diagnosis", diagnoses(writer, record))
        .list("location", places)
        .value("serviceProvider", institution.cloned().unwrap_or_default())
}

/// The role of each diagnosis of the stay.
fn diagnoses(writer: &Writer, record: &DischargeRecord) -> Vec<Value> {
    let mut found = Vec::new();
    for (index, diagnosis) in record.diagnoses.iter().enumerate() {
        let (role, rank) = match diagnosis.role {
            DiagnosisRole::Admission => ("AD", None),
            DiagnosisRole::DischargeMain => ("DD", Some(1)),
            DiagnosisRole::Discharge => ("DD", Some(2)),
            DiagnosisRole::History => continue,
        };
        let item = Object::default()
            .value("condition", writer.reference("Condition", index))
            .value("use", code(DIAGNOSIS_ROLE, role))
            .value("rank", rank.map(Value::from).unwrap_or_default());
        found.push(item.build());
    }
    found
}
