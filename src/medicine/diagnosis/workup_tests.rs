//! Tests worth doing, over the shipped tables.

use std::collections::BTreeSet;

use super::super::DiagnosisKnowledge;
use super::super::evidence::{Claims, Evidence, Features};
use super::*;
use crate::embedded;
use crate::medicine::patient::{Patient, Vitals};
use crate::medicine::vocabulary::CONDITIONS;

fn suggested(probabilities: &[(&str, f32)], present: &[&str]) -> Vec<(String, f32)> {
    let knowledge = DiagnosisKnowledge::load(&embedded::files()).unwrap();
    let vocabulary = &knowledge.vocabulary;
    let present: Vec<_> = present.iter().map(|n| vocabulary.finding(n).unwrap()).collect();
    let patient = Patient { age_years: Some(50.0), ..Patient::default() };
    let claims = Claims {
        reading: None,
        present: &present,
        absent: &[],
        vitals: &Vitals::default(),
        patient: &patient,
    };
    let slugs: Vec<String> = vocabulary.findings().map(|(_, f)| f.slug.clone()).collect();
    let probabilities: Vec<_> =
        probabilities.iter().map(|(c, p)| (vocabulary.condition(c).unwrap(), *p)).collect();
    let situation = Situation {
        vocabulary,
        likelihoods: &knowledge.likelihoods,
        features: &Features::new(vocabulary, &slugs).unwrap(),
        evidence: &Evidence::gather(vocabulary, claims),
        patient: &patient,
        probabilities: &probabilities,
        skipped: &BTreeSet::new(),
    };
    let found = knowledge.workup.suggest(&situation, 4);
    found.iter().map(|s| (s.test.id.clone(), s.worth)).collect()
}

#[test]
fn the_test_that_tells_the_likely_conditions_apart_comes_first() {
    let heart = suggested(&[("acute_mi", 0.5), ("gerd", 0.5)], &["chest_pain"]);
    assert!(heart.iter().take(2).any(|t| t.0 == "ecg"), "{heart:?}");
    let sugar = suggested(&[("type2_diabetes", 0.5), ("anxiety_disorder", 0.5)], &["fatigue"]);
    assert_eq!(sugar[0].0, "capillary_glucose", "{sugar:?}");
    assert!(sugar.windows(2).all(|w| w[0].1 >= w[1].1));
}

#[test]
fn a_test_whose_result_is_known_is_not_done_again_and_a_settled_case_needs_none() {
    let done = suggested(&[("acute_mi", 0.5), ("gerd", 0.5)], &["ecg_st_elevation"]);
    assert!(done.iter().all(|t| t.0 != "ecg"), "{done:?}");
    assert_eq!(suggested(&[("common_cold", 1.0)], &["cough"]), []);
}

#[test]
fn a_bad_row_is_refused_with_its_line() {
    let load = |row: &str| {
        let mut files = embedded::files();
        assert!(files.text(CONDITIONS).is_ok());
        let text = format!("id,name_zh,name_en,level,findings,source,status\n{row}\n");
        files.insert(TESTS, text.into_bytes());
        DiagnosisKnowledge::load(&files).unwrap_err().to_string()
    };
    for (row, message) in [
        ("ecg,心电图,ECG,township,no_such_thing,memory,draft", "no_such_thing"),
        ("ecg,心电图,ECG,township,,memory,draft", "what it can show"),
        ("ecg,心电图,ECG,township,fever,,draft", "source"),
        ("ecg,心电图,ECG,moon,fever,memory,draft", "moon"),
    ] {
        let error = load(row);
        assert!(error.contains("tests.csv:2") && error.contains(message), "{row}: {error}");
    }
}
