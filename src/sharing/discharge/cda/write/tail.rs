//! Sections beside those of the standard: medicines, allergies, images, illness of the past, and the
//! document's own state. Each only where it has something to say.

use super::super::super::model::{DiagnosisRole, DischargeRecord};
use super::body::{derived, diagnosis_text, entry, section, write_diagnosis};
use super::entries;
use super::medicine;
use super::xml::Xml;

/// Writes them; `structuredBody` is open.
pub(super) fn write(xml: &mut Xml, record: &DischargeRecord) {
    if !record.medicines.is_empty() {
        section(xml, "10183-2", "Hospital discharge medications", "出院用药");
        derived(xml, &record.medicines.iter().map(medicine::text).collect::<Vec<_>>());
        for of in &record.medicines {
            medicine::write(xml, of);
        }
        xml.close_all(2);
    }
    if !record.allergies.is_empty() {
        section(xml, "48765-2", "Allergies, adverse reactions, alerts", "过敏与不耐受");
        derived(xml, &record.allergies.iter().map(entries::allergy_text).collect::<Vec<_>>());
        for allergy in &record.allergies {
            entries::allergy(xml, allergy);
        }
        xml.close_all(2);
    }
    if !record.imaging.is_empty() {
        section(xml, "18748-4", "Diagnostic imaging study", "影像检查");
        derived(xml, &record.imaging.iter().map(entries::imaging_text).collect::<Vec<_>>());
        for image in &record.imaging {
            entries::imaging(xml, image);
        }
        xml.close_all(2);
    }
    let past = || record.diagnoses.iter().filter(|of| of.role == DiagnosisRole::History);
    if past().next().is_some() {
        section(xml, "11348-0", "History of past illness", "既往疾病");
        derived(xml, &past().map(diagnosis_text).collect::<Vec<_>>());
        for diagnosis in past() {
            write_diagnosis(xml, diagnosis);
        }
        xml.close_all(2);
    }
    if record.document.entered_in_error {
        xml.open("component", &[("typeCode", "COMP")]);
        xml.open("section", &[("classCode", "DOCSECT"), ("moodCode", "EVN")]);
        xml.own_code("document-status", "文档状态");
        xml.text("title", &[], "文档状态");
        derived(xml, &["本文档已作废（录入错误），不得使用。".to_owned()]);
        entry(xml, "");
        xml.open("act", &[("classCode", "ACT"), ("moodCode", "EVN")]);
        xml.own_code("entered-in-error", "作废（录入错误）");
        xml.empty("statusCode", &[("code", "nullified")]);
        xml.close_all(4);
    }
}
