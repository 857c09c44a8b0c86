//! What a term of a case file means: a finding by name, else what the reader reads in it.

use crate::app::knowledge::Knowledge;
use crate::medicine::diagnosis::evidence::{Claims, Evidence, Origin};
use crate::medicine::patient::{Patient, Vitals};
use crate::medicine::vocabulary::FindingId;

/// The findings a term names, each with whether it is there; empty for a term that says nothing
/// the vocabulary knows.
pub(super) fn meaning(
    knowledge: &Knowledge,
    patient: &Patient,
    term: &str,
) -> Vec<(FindingId, bool)> {
    let diagnosis = &knowledge.diagnosis;
    if let Some(id) = diagnosis.vocabulary.resolve_finding(term) {
        return vec![(id, true)];
    }
    let reading = diagnosis.reader.read(term);
    let claims = Claims {
        reading: Some(&reading),
        present: &[],
        absent: &[],
        vitals: &Vitals::default(),
        patient,
    };
    let evidence = Evidence::gather(&diagnosis.vocabulary, claims);
    let facts = evidence.facts().iter();
    facts
        .filter(|fact| !matches!(fact.origin, Origin::Implied(_) | Origin::Lasting(_)))
        .map(|fact| (fact.finding, fact.present))
        .collect()
}
