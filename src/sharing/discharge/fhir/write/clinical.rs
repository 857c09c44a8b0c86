//! Diagnoses, procedures, measurements, allergies and studies of images.

use serde_json::{Value, json};

use super::super::read::clinical::kind_by_code;
use super::super::terms::{
    ALLERGIES, ALLERGY_CLINICAL, ALLERGY_VERIFICATION, CONDITION_CATEGORY, CONDITION_CLINICAL,
    CONDITION_VERIFICATION, DIAGNOSES, DICOM, DICOM_UID, IDENTIFIER_TYPE, IMAGING, LOINC,
    MEASUREMENTS, NO_ALLERGY, PROCEDURES,
};
use super::object::{Object, code};
use super::{Writer, line};
use crate::sharing::discharge::model::{
    Allergy, Diagnosis, DiagnosisKind, DiagnosisRole, DischargeRecord, ImagingReference,
    Measurement,
};

/// Adds diagnoses and procedures.
pub(super) fn write(writer: &mut Writer, record: &DischargeRecord) {
    let mut listed = Vec::new();
    for (index, diagnosis) in record.diagnoses.iter().enumerate() {
        let condition = condition(writer, index, diagnosis);
        listed.push((writer.add(condition), line(&diagnosis.coded)));
    }
    writer.list(DIAGNOSES, listed);
    let mut listed = Vec::new();
    for (index, procedure) in record.procedures.iter().enumerate() {
        let resource = writer
            .about("Procedure", index)
            .concept("anaesthesia", procedure.anaesthesia.as_ref())
            .concept("incision", procedure.incision.as_ref())
            .concept("healing", procedure.healing.as_ref())
            .text("status", "completed")
            .coded("code", Some(&procedure.coded))
            .date_time("performedDateTime", procedure.started.as_ref())
            .words("note", &procedure.course);
        listed.push((writer.add(resource), line(&procedure.coded)));
    }
    writer.list(PROCEDURES, listed);
}

/// Adds measurements, allergies and studies of images.
pub(super) fn measured(writer: &mut Writer, record: &DischargeRecord) {
    let mut listed = Vec::new();
    for (index, measurement) in record.measurements.iter().enumerate() {
        let observation = observation(writer, index, measurement);
        listed.push((writer.add(observation), measured_line(measurement)));
    }
    writer.list(MEASUREMENTS, listed);
    let mut listed = Vec::new();
    for (index, allergy) in record.allergies.iter().enumerate() {
        let resource = allergy_intolerance(writer, index, allergy);
        listed.push((writer.add(resource), line(&allergy.coded)));
    }
    writer.list(ALLERGIES, listed);
    let mut listed = Vec::new();
    for (index, study) in record.imaging.iter().enumerate() {
        let resource = imaging_study(writer, index, study);
        let reference = writer.add(resource);
        if !study.report.is_empty() {
            let report = writer
                .about("DiagnosticReport", index)
                .text("status", "final")
                .value("code", code(LOINC, "18748-4"))
                .list("imagingStudy", [reference.clone()])
                .text("conclusion", &study.report);
            listed.push((writer.add(report), study.report.clone()));
        }
        listed.push((reference, study.description.clone()));
    }
    writer.list(IMAGING, listed);
}

fn condition(writer: &Writer, index: usize, diagnosis: &Diagnosis) -> Object {
    let status = if diagnosis.resolved { "resolved" } else { "active" };
    let verified = if diagnosis.unconfirmed { "unconfirmed" } else { "confirmed" };
    let category = match diagnosis.role {
        DiagnosisRole::History => "problem-list-item",
        DiagnosisRole::Admission | DiagnosisRole::DischargeMain | DiagnosisRole::Discharge => {
            "encounter-diagnosis"
        }
    };
    let kind = match diagnosis.kind {
        kind if kind == kind_by_code(&diagnosis.coded) => "",
        DiagnosisKind::Western => "western",
        DiagnosisKind::TcmDisease => "tcm-disease",
        DiagnosisKind::TcmSyndrome => "tcm-syndrome",
    };
    writer
        .about("Condition", index)
        .extension("diagnosis-kind", "valueCode", Value::from(kind))
        .value("clinicalStatus", code(CONDITION_CLINICAL, status))
        .value("verificationStatus", code(CONDITION_VERIFICATION, verified))
        .list("category", [code(CONDITION_CATEGORY, category)])
        .coded("code", Some(&diagnosis.coded))
        .date_time("onsetDateTime", diagnosis.onset.as_ref())
}

fn observation(writer: &Writer, index: usize, measurement: &Measurement) -> Object {
    let object = writer
        .about("Observation", index)
        .text("status", "final")
        .coded_or_absent("code", &measurement.coded)
        .date_time("effectiveDateTime", measurement.taken.as_ref())
        .words("interpretation", &measurement.interpretation)
        .words("referenceRange", &measurement.reference_range);
    match &measurement.value {
        Some(value) => {
            object.quantity("valueQuantity", Some(value)).words("note", &measurement.text)
        }
        None => object.text("valueString", &measurement.text),
    }
}

fn measured_line(measurement: &Measurement) -> String {
    let value = measurement.value.as_ref().map(|value| format!("{} {}", value.value, value.unit));
    let parts = [line(&measurement.coded), value.unwrap_or_default(), measurement.text.clone()];
    let parts: Vec<String> = parts.into_iter().filter(|part| !part.trim().is_empty()).collect();
    parts.join(" ")
}

fn allergy_intolerance(writer: &Writer, index: usize, allergy: &Allergy) -> Object {
    // A code that says "none known" is confirmed; refuting it would say the opposite.
    let says_so = allergy.coded.codes.iter().any(|code| NO_ALLERGY.contains(&code.code.as_str()));
    let verified = if allergy.absent && !says_so { "refuted" } else { "confirmed" };
    let reaction = match allergy.reaction.as_str() {
        "" => Vec::new(),
        text => vec![json!({ "manifestation": [{ "text": text }] })],
    };
    writer
        .start("AllergyIntolerance", index)
        .value("clinicalStatus", code(ALLERGY_CLINICAL, "active"))
        .value("verificationStatus", code(ALLERGY_VERIFICATION, verified))
        .coded("code", Some(&allergy.coded))
        .value("patient", writer.reference("Patient", 0))
        .list("reaction", reaction)
}

fn imaging_study(writer: &Writer, index: usize, study: &ImagingReference) -> Object {
    let mut identifiers = Vec::new();
    if !study.study_uid.is_empty() {
        let value = format!("urn:oid:{}", study.study_uid);
        identifiers.push(json!({ "system": DICOM_UID, "value": value }));
    }
    if !study.accession_number.is_empty() {
        let kind = code(IDENTIFIER_TYPE, "ACSN");
        identifiers.push(json!({ "type": kind, "value": study.accession_number }));
    }
    let modality = match study.modality.as_str() {
        "" => Vec::new(),
        modality => vec![json!({ "system": DICOM, "code": modality })],
    };
    writer
        .about("ImagingStudy", index)
        .list("identifier", identifiers)
        .text("status", "available")
        .list("modality", modality)
        .date_time("started", study.date.as_ref())
        .text("description", &study.description)
}
