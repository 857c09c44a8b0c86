//! Diagnoses, procedures, allergies and studies of images.

use super::super::json::Node;
use super::super::terms::{
    ABSENT_UNKNOWN, ADMISSION_SECTIONS, DICOM_UID, HISTORY_SECTIONS, NO_ALLERGY,
};
use super::composition::Sections;
use super::patient::{concept_extension, own_code};
use super::source::Source;
use super::stay::{reasons, role_in_stay};
use super::types::{coded, concept_codes, moment, notes, read_concept_if, read_if, words};
use crate::sharing::discharge::model::{
    Allergy, Coded, Diagnosis, DiagnosisKind, DiagnosisRole, ImagingReference, Procedure,
};

/// Diagnoses, in the bundle's order, after what the stay gives as its reasons.
pub(super) fn diagnoses(source: &Source<'_, '_>, sections: &Sections<'_>) -> Vec<Diagnosis> {
    let mut found = reasons(source);
    for entry in source.of("Condition") {
        let node = entry.node;
        let clinical = node.peek("clinicalStatus");
        let status = clinical.and_then(|c| concept_codes(c).next()).unwrap_or_default();
        let resolved = matches!(status, "resolved" | "inactive")
            || (status.is_empty() && node.fields().iter().any(|f| f.name.starts_with("abatement")));
        let of_stay = source.of_stay(node);
        let onset = node.peek_text("onsetDateTime");
        let onset_moment = crate::sharing::discharge::Moment::iso(onset).ok();
        let named = role_in_stay(source, node);
        if named.is_none()
            && !of_stay
            && (resolved || !source.before_discharge(onset_moment.as_ref()))
        {
            continue;
        }
        if node.peek("code").is_some_and(says_none) {
            continue;
        }
        source.begin(node);
        read_concept_if(node, "clinicalStatus", &["active", "resolved"]);
        read_concept_if(node, "verificationStatus", &["confirmed", "unconfirmed", "provisional"]);
        let unconfirmed = node.peek("verificationStatus").is_some_and(|status| {
            concept_codes(status).any(|code| matches!(code, "unconfirmed" | "provisional"))
        });
        let role = named.unwrap_or_else(|| role(node, sections, of_stay));
        categories(node);
        let coded = node.get("code").map(coded).unwrap_or_default();
        let kind = kind(node, &coded);
        let onset = moment(node, "onsetDateTime");
        found.push(Diagnosis { role, kind, coded, onset, resolved, unconfirmed });
    }
    found
}

fn categories(node: &Node<'_>) {
    for item in node.peek_list("category") {
        let mut codes = concept_codes(item);
        if codes.any(|code| matches!(code, "encounter-diagnosis" | "problem-list-item")) {
            node.get("category");
            item.mark_all();
        }
    }
}

fn role(node: &Node<'_>, sections: &Sections<'_>, of_stay: bool) -> DiagnosisRole {
    if sections.has(node, ADMISSION_SECTIONS) {
        return DiagnosisRole::Admission;
    }
    let problem = node
        .peek_list("category")
        .iter()
        .any(|item| concept_codes(item).any(|code| code == "problem-list-item"));
    if problem || !of_stay || sections.has(node, HISTORY_SECTIONS) {
        return DiagnosisRole::History;
    }
    DiagnosisRole::Discharge
}

/// GB/T 15657 tells diseases from syndromes by the first letter: of 1995 B and Z, of 2021 A and B.
fn kind(node: &Node<'_>, coded: &Coded) -> DiagnosisKind {
    match own_code(node, "diagnosis-kind") {
        "western" => return DiagnosisKind::Western,
        "tcm-disease" => return DiagnosisKind::TcmDisease,
        "tcm-syndrome" => return DiagnosisKind::TcmSyndrome,
        _ => {}
    }
    kind_by_code(coded)
}

/// What kind of diagnosis the code system says.
pub(in super::super) fn kind_by_code(coded: &Coded) -> DiagnosisKind {
    let tcm =
        |system: &str| system == "urn:oid:2.16.156.10011.2.3.3.14" || system.contains("15657");
    let Some(code) = coded.codes.iter().find(|code| tcm(&code.system)) else {
        return DiagnosisKind::Western;
    };
    let newer = code.system.contains("2021");
    match code.code.chars().next() {
        Some('Z') if !newer => DiagnosisKind::TcmSyndrome,
        Some('B') if newer => DiagnosisKind::TcmSyndrome,
        _ => DiagnosisKind::TcmDisease,
    }
}

/// Whether a code says that there is none, or nothing known.
pub(super) fn says_none(code: &Node<'_>) -> bool {
    code.peek_list("coding").iter().any(|coding| coding.peek_text("system") == ABSENT_UNKNOWN)
}

/// Operations and other procedures of the stay.
pub(super) fn procedures(source: &Source<'_, '_>) -> Vec<Procedure> {
    let mut found = Vec::new();
    for entry in source.of("Procedure") {
        let node = entry.node;
        if !source.of_stay(node) || node.peek("code").is_some_and(says_none) {
            continue;
        }
        source.begin(node);
        read_if(node, "status", &["completed"]);
        let period = node.peek("performedPeriod").filter(|p| p.peek("start").is_some());
        let started = match period {
            Some(period) => moment(period.mark(), "start"),
            None => moment(node, "performedDateTime"),
        };
        found.push(Procedure {
            coded: node.get("code").map(coded).unwrap_or_default(),
            started,
            course: notes(node, "note"),
            anaesthesia: concept_extension(node, "anaesthesia"),
            incision: concept_extension(node, "incision"),
            healing: concept_extension(node, "healing"),
        });
    }
    found
}

/// Allergies, whenever they were found.
pub(super) fn allergies(source: &Source<'_, '_>) -> Vec<Allergy> {
    let mut found = Vec::new();
    for entry in source.of("AllergyIntolerance") {
        let node = entry.node;
        let said = node.peek("code");
        let codes = || said.into_iter().flat_map(|said| concept_codes(said));
        if codes().any(|code| code.starts_with("no-") && code.ends_with("-info")) {
            continue;
        }
        source.begin(node);
        let verified = node.peek("verificationStatus");
        let refuted = verified.is_some_and(|v| concept_codes(v).any(|code| code == "refuted"));
        let absent = refuted || codes().any(|code| NO_ALLERGY.contains(&code));
        read_concept_if(node, "verificationStatus", &["confirmed", "refuted"]);
        read_concept_if(node, "clinicalStatus", &["active"]);
        let substance = node.get("code").map(coded).unwrap_or_default();
        let mut reactions = Vec::new();
        for reaction in node.each("reaction") {
            let said: Vec<String> = reaction.each("manifestation").map(words).collect();
            reactions.extend(said.into_iter().filter(|text| !text.is_empty()));
            let told = reaction.text("description");
            if !told.is_empty() {
                reactions.push(told.to_owned());
            }
        }
        found.push(Allergy { coded: substance, reaction: reactions.join("；"), absent });
    }
    found
}

/// Studies of images of the stay, each with the report that refers to it.
pub(super) fn imaging(source: &Source<'_, '_>) -> Vec<ImagingReference> {
    let mut found = Vec::new();
    for entry in source.of("ImagingStudy") {
        let node = entry.node;
        if !source.of_stay(node) {
            continue;
        }
        source.begin(node);
        read_if(node, "status", &["available"]);
        let mut study = ImagingReference { date: moment(node, "started"), ..Default::default() };
        identifiers(node, &mut study);
        study.modality = modality(node);
        node.text("description").clone_into(&mut study.description);
        if study.description.is_empty() {
            study.description = examined(node);
        }
        study.report = report(source, node);
        found.push(study);
    }
    found
}

fn identifiers(node: &Node<'_>, study: &mut ImagingReference) {
    for item in node.peek_list("identifier") {
        let value = item.peek_text("value");
        let uid = value.strip_prefix("urn:oid:").unwrap_or(value);
        let kinds = item.peek("type").is_some_and(|t| concept_codes(t).any(|code| code == "ACSN"));
        let system = item.peek_text("system");
        let is_uid = system == DICOM_UID || (system == "urn:ietf:rfc:3986" && uid != value);
        let target = if is_uid && study.study_uid.is_empty() {
            item.text("system");
            uid.clone_into(&mut study.study_uid);
            true
        } else if kinds && study.accession_number.is_empty() {
            read_concept_if(item, "type", &["ACSN"]);
            value.clone_into(&mut study.accession_number);
            true
        } else {
            false
        };
        if target {
            node.get("identifier");
            item.mark();
            item.text("value");
            read_if(item, "use", &["official", "usual"]);
        }
    }
}

fn modality(node: &Node<'_>) -> String {
    let mut found: Vec<&str> = Vec::new();
    let of = |coding: &Node<'_>| {
        read_if(coding, "system", &[super::super::terms::DICOM]);
    };
    for coding in node.each("modality") {
        of(coding);
        found.push(coding.text("code"));
    }
    if found.is_empty() {
        for series in node.each("series") {
            if let Some(coding) = series.get("modality") {
                of(coding);
                let code = coding.text("code");
                if !found.contains(&code) {
                    found.push(code);
                }
            }
        }
    }
    found.join("/")
}

fn examined(node: &Node<'_>) -> String {
    if let Some(code) = node.first("procedureCode") {
        return words(code);
    }
    let mut found: Vec<&str> = Vec::new();
    for series in node.each("series") {
        let text = match series.peek_text("description") {
            "" => series.get("bodySite").map_or("", |site| site.text("display")),
            _ => series.text("description"),
        };
        if !text.is_empty() && !found.contains(&text) {
            found.push(text);
        }
    }
    found.join("、")
}

fn report<'n, 'a>(source: &Source<'n, 'a>, study: &'n Node<'a>) -> String {
    let mut found = Vec::new();
    for &(node, reference) in source.reports_on(study) {
        source.begin(node);
        node.get("imagingStudy");
        source.follow(reference, node);
        read_if(node, "status", &["final"]);
        read_concept_if(node, "code", &["18748-4"]);
        let conclusion = node.text("conclusion");
        if !conclusion.is_empty() {
            found.push(conclusion);
        }
    }
    found.join("\n")
}
