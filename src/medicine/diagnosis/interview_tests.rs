//! Questions over the shipped tables, with probabilities made up for the test.

use super::*;
use crate::embedded;
use crate::medicine::diagnosis::DiagnosisKnowledge;
use crate::medicine::diagnosis::evidence::Claims;
use crate::medicine::patient::Vitals;

fn known(knowledge: &DiagnosisKnowledge, present: &[&str], absent: &[&str]) -> Evidence {
    let ids = |names: &[&str]| -> Vec<FindingId> {
        names.iter().map(|n| knowledge.vocabulary.finding(n).unwrap()).collect()
    };
    let claims = Claims {
        reading: None,
        present: &ids(present),
        absent: &ids(absent),
        vitals: &Vitals::default(),
        patient: &Patient::default(),
    };
    Evidence::gather(&knowledge.vocabulary, claims)
}

/// Slugs of the questions asked of `probabilities`.
fn asked(
    present: &[&str],
    absent: &[&str],
    probabilities: &[(&str, f32)],
    skipped: &[&str],
) -> Vec<(String, f32)> {
    let knowledge = DiagnosisKnowledge::load(&embedded::files()).unwrap();
    let vocabulary = &knowledge.vocabulary;
    let slugs: Vec<String> = vocabulary.findings().map(|(_, f)| f.slug.clone()).collect();
    let probabilities: Vec<_> =
        probabilities.iter().map(|(c, p)| (vocabulary.condition(c).unwrap(), *p)).collect();
    let situation = Situation {
        vocabulary,
        likelihoods: &knowledge.likelihoods,
        features: &Features::new(vocabulary, &slugs).unwrap(),
        evidence: &known(&knowledge, present, absent),
        patient: &Patient::default(),
        probabilities: &probabilities,
        skipped: &skipped.iter().map(|s| vocabulary.finding(s).unwrap()).collect(),
    };
    let questions = situation.questions(5, None);
    questions.iter().map(|q| (vocabulary.finding_slug(q.finding).to_owned(), q.worth)).collect()
}

const COUGH_OR_BOWEL: [(&str, f32); 2] = [("acute_bronchitis", 0.5), ("gastroenteritis", 0.5)];

#[test]
fn what_tells_two_conditions_apart_is_asked_first() {
    let questions = asked(&["fever"], &[], &COUGH_OR_BOWEL, &[]);
    let first: Vec<_> = questions.iter().take(3).map(|q| q.0.as_str()).collect();
    assert!(first.contains(&"cough") || first.contains(&"diarrhea"), "{first:?}");
    assert!(questions.windows(2).all(|w| w[0].1 >= w[1].1), "{questions:?}");
}

#[test]
fn what_is_known_was_skipped_or_cannot_be_is_not_asked() {
    let questions = asked(&["cough"], &["diarrhea"], &COUGH_OR_BOWEL, &["vomiting"]);
    for name in ["cough", "diarrhea", "vomiting", "watery_stool"] {
        assert!(questions.iter().all(|q| q.0 != name), "{name}: {questions:?}");
    }
}

#[test]
fn what_was_measured_is_not_asked() {
    let knowledge = DiagnosisKnowledge::load(&embedded::files()).unwrap();
    let vocabulary = &knowledge.vocabulary;
    let slugs: Vec<String> = vocabulary.findings().map(|(_, f)| f.slug.clone()).collect();
    let fever = |temperature_c| {
        let vitals = Vitals { temperature_c, ..Vitals::default() };
        let patient = Patient::default();
        let claims =
            Claims { reading: None, present: &[], absent: &[], vitals: &vitals, patient: &patient };
        let id = |name| vocabulary.condition(name).unwrap();
        let situation = Situation {
            vocabulary,
            likelihoods: &knowledge.likelihoods,
            features: &Features::new(vocabulary, &slugs).unwrap(),
            evidence: &Evidence::gather(vocabulary, claims),
            patient: &patient,
            probabilities: &[(id("influenza"), 0.5), (id("allergic_rhinitis"), 0.5)],
            skipped: &BTreeSet::new(),
        };
        let asked = situation.questions(100, None);
        asked.iter().any(|q| vocabulary.finding_slug(q.finding).contains("fever"))
    };
    assert!(fever(None));
    assert!(!fever(Some(38.5)) && !fever(Some(36.5)));
}

#[test]
fn one_condition_alone_leaves_nothing_to_ask() {
    assert_eq!(asked(&["cough"], &[], &[("acute_bronchitis", 1.0)], &[]), []);
    assert_eq!(asked(&["cough"], &[], &[], &[]), []);
}

#[test]
fn excluding_a_dangerous_condition_is_worth_more_than_a_harmless_one() {
    let danger = asked(&["chest_pain"], &[], &[("costochondritis", 0.5), ("acute_mi", 0.5)], &[]);
    let worth = |questions: &[(String, f32)]| questions.iter().map(|q| q.1).fold(0.0, f32::max);
    let harmless = asked(&["chest_pain"], &[], &[("costochondritis", 0.5), ("gerd", 0.5)], &[]);
    assert!(worth(&danger) > worth(&harmless), "{danger:?} {harmless:?}");
}

#[test]
fn a_settled_order_is_told_apart_from_one_with_danger_left() {
    let knowledge = DiagnosisKnowledge::load(&embedded::files()).unwrap();
    let vocabulary = &knowledge.vocabulary;
    let id = |name| vocabulary.condition(name).unwrap();
    let settled = |probabilities: &[(ConditionId, f32)]| {
        Situation {
            vocabulary,
            likelihoods: &knowledge.likelihoods,
            features: &Features::new(vocabulary, &[]).unwrap(),
            evidence: &Evidence::default(),
            patient: &Patient::default(),
            probabilities,
            skipped: &BTreeSet::new(),
        }
        .is_settled()
    };
    assert!(settled(&[(id("common_cold"), 0.95), (id("urti"), 0.05)]));
    assert!(!settled(&[(id("common_cold"), 0.95), (id("acute_mi"), 0.05)]));
    assert!(!settled(&[(id("common_cold"), 0.6), (id("urti"), 0.4)]));
    assert!(!settled(&[]));
}

#[test]
fn every_question_reads_as_one() {
    let knowledge = DiagnosisKnowledge::load(&embedded::files()).unwrap();
    for (_, finding) in knowledge.vocabulary.findings() {
        let text = wording(finding);
        assert!(text.ends_with('？') && text.contains(&finding.name_zh), "{text}");
    }
}
