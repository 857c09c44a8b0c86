//! Triage over the shipped tables, with probabilities made up for the test.

use super::super::DiagnosisKnowledge;
use super::super::differential::{Coverage, Differential};
use super::*;
use crate::embedded;
use crate::medicine::diagnosis::differential::Candidate;

fn placed(probabilities: &[(&str, f32)], outside: f32) -> Triage {
    let knowledge = DiagnosisKnowledge::load(&embedded::files()).unwrap();
    let candidate = |(slug, probability): &(&str, f32)| Candidate {
        condition: knowledge.vocabulary.condition(slug).unwrap(),
        probability: *probability,
        must_not_miss: false,
        reasons_for: Vec::new(),
        reasons_against: Vec::new(),
    };
    let differential = Differential {
        red_flags: Vec::new(),
        ranked: probabilities.iter().map(candidate).collect(),
        must_not_miss: Vec::new(),
        ruled_out: Vec::new(),
        outside_probability: outside,
        coverage: Coverage::default(),
    };
    decide(&knowledge.vocabulary, &differential)
}

#[test]
fn a_likely_mild_illness_stays_and_what_only_needs_a_hospital_can_wait() {
    let cold = placed(&[("common_cold", 0.8)], 0.0);
    assert_eq!((cold.place, cold.emergency), (Place::Home, false));
    let cataract = placed(&[("cataract", 0.9)], 0.0);
    assert!(cataract.place >= Place::Township && cataract.can_wait, "{cataract:?}");
}

#[test]
fn severe_conditions_add_up_and_are_for_today() {
    let apart = placed(&[("meningitis", 0.15), ("common_cold", 0.7)], 0.0);
    assert!(apart.can_wait || apart.place < Place::Township, "{apart:?}");
    let together = placed(&[("common_cold", 0.3), ("pneumonia", 0.22), ("lung_abscess", 0.2)], 0.0);
    assert!(together.place >= Place::Township && !together.can_wait, "{together:?}");
    let critical = placed(&[("common_cold", 0.7), ("acute_mi", 0.26)], 0.0);
    assert_eq!((critical.place, critical.can_wait), (Place::County, false));
}

#[test]
fn a_case_outside_the_list_is_sent_on_today() {
    let outside = placed(&[("common_cold", 0.3)], 0.6);
    assert_eq!((outside.place, outside.can_wait), (Place::Township, false));
}
