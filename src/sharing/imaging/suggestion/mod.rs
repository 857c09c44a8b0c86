//! What an imaging model says of an image, as a structured report (Comprehensive SR, PS3.3, A.35.3;
//! the tree follows TID 1500 of PS3.16).
//!
//! It is a suggestion of software and says so in its description, its first line and its flags; it
//! is never taken for the report of a study ([`is_suggestion`]). Its UIDs are made from what it is
//! about, so that the same model says the same of the same image once.

mod content;
#[cfg(test)]
mod tests;

use dicom_core::VR;
use dicom_dictionary_std::{tags, uids};
use uuid::Uuid;

use super::element::ElementSet;
use super::header::Header;
use super::writing::write;

/// What stands in the description of the series and before everything else that is said.
pub const MARK: &str = "模型提示，不是诊断报告";
/// Meaning of the title of a measurement report (DCM 126000): what devices and software write, as
/// against a doctor's report.
pub const MEASUREMENT_REPORT: &str = "Imaging Measurement Report";
/// Transfer syntax of what is written here: explicit VR little endian.
pub const TRANSFER_SYNTAX: &str = uids::EXPLICIT_VR_LITTLE_ENDIAN;
/// Number of the series.
const SERIES_NUMBER: &str = "9901";
/// `cf361479-5e2b-4567-a691-f2b9e996f981`: our root, see `implementation`.
const NAMESPACE: Uuid = Uuid::from_u128(0xcf36_1479_5e2b_4567_a691_f2b9_e996_f981);

/// A model, as it signs what it says.
#[derive(Debug, Clone, Copy)]
pub struct Signature<'a> {
    /// Id.
    pub id: &'a str,
    /// Version.
    pub version: &'a str,
    /// What it is called.
    pub title: &'a str,
    /// Who made it.
    pub manufacturer: &'a str,
    /// SHA-256 of the file, hex.
    pub sha256: &'a str,
    /// Engine and its version.
    pub engine: &'a str,
    /// Its certificate, for people.
    pub certificate: &'a str,
}

/// What was found of one thing that a model looks for.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// Id of the label, at most 16 characters.
    pub id: String,
    /// Chinese name.
    pub name: String,
    /// Scheme and value of its code, if it has one.
    pub code: Option<(String, String)>,
    /// 0 to 1.
    pub probability: f32,
    /// From here on it is told as found.
    pub threshold: f32,
}

/// What is to be said.
#[derive(Debug, Clone, Copy)]
pub struct Suggestion<'a> {
    /// Header of the image.
    pub image: &'a Header,
    /// Who says it.
    pub model: Signature<'a>,
    /// What it says.
    pub findings: &'a [Finding],
    /// Day it is made, `YYYYMMDD`.
    pub date: &'a str,
    /// Time it is made, `HHMMSS`.
    pub time: &'a str,
}

impl Finding {
    /// Whether the probability reaches the threshold.
    pub fn passes(&self) -> bool {
        self.probability >= self.threshold
    }
}

/// SOP instance UID of what a model in one version says of one image (a UUID of version 5 as
/// PS3.5, B.2 writes it).
pub fn instance_uid(image: &str, model: &str, version: &str) -> String {
    named(&["suggestion", image, model, version])
}

/// Series instance UID of all that a model in one version says of a study.
pub fn series_uid(study: &str, model: &str, version: &str) -> String {
    named(&["series", study, model, version])
}

/// UID of a model in one version, as an observer.
fn device_uid(model: &str, version: &str) -> String {
    named(&["model", model, version])
}

fn named(parts: &[&str]) -> String {
    format!("2.25.{}", Uuid::new_v5(&NAMESPACE, parts.join("\n").as_bytes()).as_u128())
}

/// Whether an object with this header is what software says of images, and so no report of a
/// doctor, whatever its flags are.
pub fn is_suggestion(header: &Header) -> bool {
    header.series.description.trim() == MARK
        || header.instance.report_title.trim() == MEASUREMENT_REPORT
}

/// Writes the structured report, in [`TRANSFER_SYNTAX`] and UTF-8.
pub fn report(suggestion: &Suggestion<'_>) -> Vec<u8> {
    let Suggestion { image, model, date, time, .. } = suggestion;
    let uids = Uids {
        sop: instance_uid(&image.instance.uid, model.id, model.version),
        series: series_uid(&image.study.uid, model.id, model.version),
        device: device_uid(model.id, model.version),
    };
    let software = format!("{}\\Xiangyi {}", model.version, env!("CARGO_PKG_VERSION"));
    let number = match image.instance.number.trim() {
        number if number.parse::<u32>().is_ok() => number,
        _ => "1",
    };
    let mut set = ElementSet::default();
    for (tag, vr, value) in [
        (tags::SPECIFIC_CHARACTER_SET, VR::CS, "ISO_IR 192"),
        (tags::SOP_CLASS_UID, VR::UI, uids::COMPREHENSIVE_SR_STORAGE),
        (tags::SOP_INSTANCE_UID, VR::UI, &uids.sop),
        (tags::STUDY_DATE, VR::DA, &image.study.date),
        (tags::CONTENT_DATE, VR::DA, date),
        (tags::STUDY_TIME, VR::TM, &image.study.time),
        (tags::CONTENT_TIME, VR::TM, time),
        (tags::ACCESSION_NUMBER, VR::SH, &image.study.accession_number),
        (tags::MODALITY, VR::CS, "SR"),
        (tags::MANUFACTURER, VR::LO, model.manufacturer),
        (tags::REFERRING_PHYSICIAN_NAME, VR::PN, &image.study.referring_physician),
        (tags::STUDY_DESCRIPTION, VR::LO, &image.study.description),
        (tags::SERIES_DESCRIPTION, VR::LO, MARK),
        (tags::MANUFACTURER_MODEL_NAME, VR::LO, model.id),
        (tags::PATIENT_NAME, VR::PN, &image.patient.name),
        (tags::PATIENT_ID, VR::LO, &image.patient.id),
        (tags::PATIENT_BIRTH_DATE, VR::DA, &image.patient.birth_date),
        (tags::PATIENT_SEX, VR::CS, &image.patient.sex),
        (tags::SOFTWARE_VERSIONS, VR::LO, &software),
        (tags::STUDY_INSTANCE_UID, VR::UI, &image.study.uid),
        (tags::SERIES_INSTANCE_UID, VR::UI, &uids.series),
        (tags::STUDY_ID, VR::SH, &image.study.id),
        (tags::SERIES_NUMBER, VR::IS, SERIES_NUMBER),
        (tags::INSTANCE_NUMBER, VR::IS, number),
        (tags::COMPLETION_FLAG, VR::CS, "PARTIAL"),
        (tags::COMPLETION_FLAG_DESCRIPTION, VR::LO, MARK),
        (tags::VERIFICATION_FLAG, VR::CS, "UNVERIFIED"),
        (tags::PRELIMINARY_FLAG, VR::CS, "PRELIMINARY"),
    ] {
        set = set.with_text(tag, vr, value);
    }
    for (tag, vr, value) in [
        (tags::ISSUER_OF_PATIENT_ID, VR::LO, &image.patient.issuer),
        (tags::PATIENT_AGE, VR::AS, &image.study.patient_age),
    ] {
        if !value.is_empty() {
            set = set.with_text(tag, vr, value);
        }
    }
    set = set
        .with_items(tags::REFERENCED_PERFORMED_PROCEDURE_STEP_SEQUENCE, Vec::new())
        .with_items(tags::PERFORMED_PROCEDURE_CODE_SEQUENCE, Vec::new())
        .with_items(
            tags::CURRENT_REQUESTED_PROCEDURE_EVIDENCE_SEQUENCE,
            vec![content::evidence(image)],
        );
    for element in content::root(suggestion, &uids).iter() {
        set.insert(element.clone());
    }
    write(&set, true)
}

/// UIDs of one report.
struct Uids {
    sop: String,
    series: String,
    device: String,
}
