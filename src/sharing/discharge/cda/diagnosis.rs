//! Diagnoses: as data elements of the Chinese standards, and as problem observations.

use super::super::model::{Coded, Diagnosis, DiagnosisKind, DiagnosisRole};
use super::body::{Body, Place, is_denied, own_code, related_to};
use super::elements::{self, Field, Kind};
use super::systems;
use super::values::type_of;
use super::xml::{Element, Reading, at, attribute, child, children};

/// LOINC of the observation that says whether a problem is over.
pub(super) const STATUS: &str = "33999-4";
/// What an observation of a problem is called when nothing more is said: problem, diagnosis, condition
/// and finding in SNOMED CT, and HL7's assertion.
const PLAIN: [&str; 5] = ["55607006", "282291009", "64572001", "404684003", "ASSERTION"];
/// SNOMED CT: active.
const ACTIVE: &str = "55561003";
/// SNOMED CT: resolved.
pub(super) const RESOLVED: &str = "413322009";
/// The qualifier of a main diagnosis.
pub(super) const MAIN: &str = "主要诊断";
/// Our code of what is suspected only.
pub(super) const UNCONFIRMED: &str = "unconfirmed";

/// A diagnosis as a data element: a code (DE05.01.024.00, DE05.10.130.00), or a name
/// (DE05.01.025.00, DE05.10.172.00) with its code inside or in the next entry.
pub(super) fn data_element<'d>(
    body: &mut Body<'_, 'd>,
    node: Element<'d>,
    kind: DiagnosisKind,
    name: &str,
    place: &Place,
) {
    let reading = body.reading;
    let role = role_of(node, name, place.kind);
    let mut coded = Coded::default();
    let mut is_name = false;
    if let Some(value) = child(node, "value") {
        if matches!(type_of(value), "CD" | "CE" | "CV" | "CO") {
            coded = reading.coded(value);
            check_icd10(reading, value, kind);
        } else {
            coded.text = reading.text(value);
            is_name = true;
        }
    }
    for inner in children(node, "entryRelationship") {
        if is_denied(inner) {
            body.entry(inner, place);
            continue;
        }
        let Some(observation) = child(inner, "observation") else { continue };
        if own_code(observation) == Some(UNCONFIRMED) {
            continue;
        }
        let code = child(observation, "code");
        let (de, shown) =
            code.map_or(("", ""), |code| (attribute(code, "code"), attribute(code, "displayName")));
        let field = elements::element(de, shown).map(|element| element.field);
        match (child(observation, "value"), field) {
            (Some(value), Some(Field::Diagnosis(_))) => {
                let inner = reading.coded(value);
                check_icd10(reading, value, kind);
                reading.take(observation);
                if coded.text.is_empty() {
                    coded.text = inner.text;
                }
                coded.codes.extend(inner.codes);
                is_name = false;
            }
            (Some(_), _) if de == STATUS => {}
            _ => body.entry(inner, place),
        }
    }
    if coded.is_empty() {
        return;
    }
    let found = Diagnosis {
        role,
        kind,
        coded,
        onset: onset(reading, node),
        resolved: resolved(reading, node),
        unconfirmed: unconfirmed(reading, node),
    };
    let waiting = body.named.take().and_then(|index| body.record.diagnoses.get_mut(index));
    if let Some(before) = waiting.filter(|before| before.role == role && before.kind == kind)
        && !is_name
        && (found.coded.text.is_empty() || found.coded.text == before.coded.text)
    {
        before.coded.codes = found.coded.codes;
        return;
    }
    body.record.diagnoses.push(found);
    if is_name {
        body.named = Some(body.record.diagnoses.len() - 1);
    }
}

/// What an observation is the diagnosis for: its name says so, or its section.
fn role_of(node: Element<'_>, name: &str, kind: Kind) -> DiagnosisRole {
    let qualifiers = child(node, "code").into_iter().flat_map(|code| children(code, "qualifier"));
    let main = name.contains(MAIN)
        || qualifiers
            .filter_map(|qualifier| child(qualifier, "name"))
            .any(|name| attribute(name, "displayName").contains(MAIN));
    let at_discharge = name.contains("出院诊断");
    if name.contains("入院诊断") {
        DiagnosisRole::Admission
    } else if !at_discharge && matches!(kind, Kind::Past | Kind::Problems) {
        DiagnosisRole::History
    } else if !at_discharge && kind == Kind::AdmissionDiagnosis {
        DiagnosisRole::Admission
    } else if main {
        DiagnosisRole::DischargeMain
    } else {
        DiagnosisRole::Discharge
    }
}

/// A problem observation of C-CDA.
pub(super) fn observed<'d>(body: &mut Body<'_, 'd>, node: Element<'d>, kind: Kind) {
    let reading = body.reading;
    let Some(value) = child(node, "value") else { return };
    let mut coded = reading.coded(value);
    if coded.text.is_empty() {
        coded.text = reading.child_text(node, "text");
    }
    if coded.is_empty() {
        return;
    }
    // That it is a complaint or a symptom has no place.
    if let Some(code) = child(node, "code").filter(|code| PLAIN.contains(&attribute(*code, "code")))
    {
        reading.take(code);
    }
    let diagnosis = Diagnosis {
        role: role_of(node, "", kind),
        kind: DiagnosisKind::Western,
        coded,
        onset: onset(reading, node),
        resolved: resolved(reading, node),
        unconfirmed: unconfirmed(reading, node),
    };
    body.record.diagnoses.push(diagnosis);
}

fn onset<'d>(reading: &Reading<'d>, node: Element<'d>) -> Option<super::super::Moment> {
    at(node, &["effectiveTime", "low"]).and_then(|low| reading.entry_moment(low))
}

/// Whether an entry of ours says that it is only suspected, for which the standard has no element.
fn unconfirmed<'d>(reading: &Reading<'d>, node: Element<'d>) -> bool {
    let mut found = false;
    for inner in related_to(node) {
        let observation = child(inner, "observation");
        if observation.is_some_and(|of| own_code(of) == Some(UNCONFIRMED)) {
            reading.take(inner);
            found = true;
        }
    }
    found
}

/// Whether an end or a status says that it is over.
fn resolved<'d>(reading: &Reading<'d>, node: Element<'d>) -> bool {
    let high = at(node, &["effectiveTime", "high"]);
    let ended = high.is_some_and(|high| reading.entry_moment(high).is_some());
    let mut over = false;
    for inner in related_to(node) {
        let Some(observation) = child(inner, "observation") else { continue };
        if child(observation, "code").is_some_and(|code| attribute(code, "code") == STATUS) {
            match child(observation, "value").map(|value| attribute(value, "code")) {
                Some(RESOLVED) => over = true,
                Some(ACTIVE) => {}
                // Neither, as inactive or in remission, has no place.
                Some(_) | None => continue,
            }
            reading.take(inner);
        }
    }
    ended || over
}

/// Warns where a code of ICD-10 does not look like one.
fn check_icd10<'d>(reading: &Reading<'d>, value: Element<'d>, kind: DiagnosisKind) {
    let system = attribute(value, "codeSystem");
    let code = attribute(value, "code");
    if kind == DiagnosisKind::Western
        && (system.is_empty() || elements::ICD10_ACCEPTED.contains(&system))
        && !code.is_empty()
        && !is_icd10(code)
    {
        let message =
            format!("不是ICD-10编码的写法（如I63.9、I63.900x005）；代码体系{}", systems::ICD10_CN);
        reading.warn(value, "icd10_malformed", message);
    }
}

/// A letter and two digits, what is behind the point up to the length that Chinese extensions have,
/// and a dagger or asterisk.
fn is_icd10(code: &str) -> bool {
    let code = code.strip_suffix(['+', '*', '†']).unwrap_or(code);
    let (category, rest) = match code.split_once('.') {
        Some((category, rest)) => (category, Some(rest)),
        None => (code, None),
    };
    let mut letters = category.bytes();
    letters.next().is_some_and(|b| b.is_ascii_uppercase())
        && category.len() == 3
        && letters.all(|b| b.is_ascii_digit())
        && rest.is_none_or(|rest| {
            (1..=8).contains(&rest.len()) && rest.bytes().all(|b| b.is_ascii_alphanumeric())
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_of_icd10_and_its_chinese_extensions_are_known() {
        for code in ["I10", "I63.9", "I63.900", "I63.900x005", "E11.900x001+", "G63.2*", "E14"] {
            assert!(is_icd10(code), "{code}");
        }
        for code in ["", "I1", "10", "i63.9", "I63.", "高血压", "I63.9000x0051", "I6A", "M80000/3"]
        {
            assert!(!is_icd10(code), "{code}");
        }
    }
}
