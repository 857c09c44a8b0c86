//! Tests of the differential.

use super::*;
use crate::medicine::diagnosis::DiagnosisKnowledge;
use crate::medicine::diagnosis::evidence::Claims;
use crate::medicine::diagnosis::tests::knowledge;
use crate::medicine::patient::{Sex, Vitals};

struct Desk {
    knowledge: DiagnosisKnowledge,
    features: Features,
    labels: Labels,
}

const LABELS: [&str; 6] = ["common_cold", "pneumonia", "acs", "pid", "bronchiolitis", "outside"];

fn strings(slugs: &[&str]) -> Vec<String> {
    slugs.iter().map(ToString::to_string).collect()
}

impl Desk {
    fn new() -> Self {
        let knowledge = knowledge();
        let features = strings(&["cough", "fever", "chest_pain", "sweating", "runny_nose"]);
        let features = Features::new(&knowledge.vocabulary, &features).unwrap();
        let labels = Labels::new(&knowledge.vocabulary, &strings(&LABELS)).unwrap();
        Self { knowledge, features, labels }
    }

    fn answer<T>(
        &self,
        text: &str,
        patient: Patient,
        probabilities: &[f32],
        then: impl FnOnce(Result<Differential<'_>, DifferentialError>) -> T,
    ) -> T {
        self.ask(text, patient, 10, |inputs, flags| {
            then(Differential::new(inputs, probabilities, flags))
        })
    }

    fn ask<T>(
        &self,
        text: &str,
        patient: Patient,
        ranked_max: usize,
        then: impl for<'a> FnOnce(Inputs<'a>, Vec<RedFlagHit<'a>>) -> T,
    ) -> T {
        let reading = self.knowledge.reader.read(text);
        let vitals = Vitals::default();
        let claims = Claims {
            reading: Some(&reading),
            present: &[],
            absent: &[],
            vitals: &vitals,
            patient: &patient,
        };
        let evidence = Evidence::gather(&self.knowledge.vocabulary, claims);
        let inputs = Inputs {
            vocabulary: &self.knowledge.vocabulary,
            likelihoods: &self.knowledge.likelihoods,
            features: &self.features,
            labels: &self.labels,
            evidence: &evidence,
            patient: &patient,
            reading: Some(&reading),
            ranked_max,
        };
        let flags = self.knowledge.red_flags.evaluate(&evidence, evidence.vitals(), &patient);
        then(inputs, flags)
    }

    fn slugs(&self, candidates: &[Candidate<'_>]) -> Vec<String> {
        let slug = |c: &Candidate<'_>| self.knowledge.vocabulary.condition_slug(c.condition);
        candidates.iter().map(|candidate| slug(candidate).to_owned()).collect()
    }
}

fn woman_of_30() -> Patient {
    Patient { age_years: Some(30.0), sex: Some(Sex::Female), ..Patient::default() }
}

#[test]
fn conditions_are_ranked_and_what_must_not_be_missed_stays_in_sight() {
    let desk = Desk::new();
    desk.answer("流涕", woman_of_30(), &[0.9, 0.03, 0.006, 0.02, 0.0, 0.044], |answer| {
        let answer = answer.unwrap();
        assert_eq!(desk.slugs(&answer.ranked), ["common_cold", "pneumonia", "pid"]);
        assert_eq!(desk.slugs(&answer.must_not_miss), ["acs"]);
        assert!((answer.outside_probability - 0.044).abs() < 1e-6);
        assert!(answer.ranked[1].must_not_miss && !answer.ranked[0].must_not_miss);
    });
    desk.answer("流涕", woman_of_30(), &[0.9, 0.03, 0.004, 0.02, 0.0, 0.046], |answer| {
        assert!(answer.unwrap().must_not_miss.is_empty(), "below the threshold");
    });
}

#[test]
fn no_more_conditions_are_ranked_than_asked_for() {
    let desk = Desk::new();
    desk.ask("流涕", woman_of_30(), 1, |inputs, flags| {
        let answer = Differential::new(inputs, &[0.6, 0.3, 0.0, 0.1, 0.0, 0.0], flags).unwrap();
        assert_eq!(desk.slugs(&answer.ranked), ["common_cold"]);
        assert_eq!(desk.slugs(&answer.must_not_miss), ["pneumonia"], "pid may be missed");
    });
}

#[test]
fn without_an_answer_of_the_model_flags_and_coverage_stand() {
    let desk = Desk::new();
    let patient = Patient { age_years: Some(58.0), ..Patient::default() };
    desk.ask("胸痛，出汗，屙得凶", patient, 10, |inputs, flags| {
        let answer = Differential::unranked(inputs, flags);
        assert!(answer.ranked.is_empty() && answer.must_not_miss.is_empty());
        assert_eq!(answer.red_flags.len(), 1);
        assert_eq!(answer.coverage.unread, ["屙得凶"]);
    });
}

#[test]
fn conditions_of_another_age_or_sex_are_set_aside_and_shown() {
    let desk = Desk::new();
    let boy = Patient { age_years: Some(4.0), sex: Some(Sex::Male), ..Patient::default() };
    desk.answer("流涕", boy, &[0.5, 0.1, 0.2, 0.15, 0.004, 0.046], |answer| {
        let answer = answer.unwrap();
        assert_eq!(desk.slugs(&answer.ranked), ["common_cold", "pneumonia"]);
        let by: Vec<RuledOutBy> = answer.ruled_out.iter().map(|out| out.by).collect();
        assert_eq!(by, [RuledOutBy::Age, RuledOutBy::Sex], "the fifth is too small to show");
        assert!((answer.ranked[0].probability - 0.5).abs() < 1e-6, "nothing is rescaled");
    });
}

#[test]
fn reasons_for_and_against_come_with_the_candidate() {
    let desk = Desk::new();
    desk.answer("流涕，无发热", woman_of_30(), &[0.9, 0.05, 0.0, 0.0, 0.0, 0.05], |answer| {
        let answer = answer.unwrap();
        let slug = |r: &Reason<'_>| desk.knowledge.vocabulary.finding_slug(r.finding).to_owned();
        let cold = &answer.ranked[0];
        assert_eq!(cold.reasons_for.iter().map(slug).collect::<Vec<_>>(), ["runny_nose", "fever"]);
        assert!(cold.reasons_against.is_empty());
        let against = &answer.ranked[1].reasons_against;
        assert_eq!(against.iter().map(slug).collect::<Vec<_>>(), ["runny_nose", "fever"]);
    });
}

#[test]
fn no_probability_silences_a_red_flag() {
    let desk = Desk::new();
    let patient = Patient { age_years: Some(58.0), ..Patient::default() };
    desk.answer("胸痛，出汗", patient, &[1.0, 0.0, 0.0, 0.0, 0.0, 0.0], |answer| {
        let answer = answer.unwrap();
        assert_eq!(answer.red_flags.len(), 1);
        assert_eq!(answer.red_flags[0].flag.id, "acs");
    });
}

#[test]
fn coverage_says_what_the_model_did_not_see() {
    let desk = Desk::new();
    let text = "咳嗽，皮疹，可能发热，腰杆子胀。无胸痛。胸痛，高热，T389";
    desk.answer(text, woman_of_30(), &[1.0, 0.0, 0.0, 0.0, 0.0, 0.0], |answer| {
        let coverage = answer.unwrap().coverage;
        let slugs = |ids: &[FindingId]| -> Vec<String> {
            let vocabulary = &desk.knowledge.vocabulary;
            ids.iter().map(|id| vocabulary.finding_slug(*id).to_owned()).collect()
        };
        assert_eq!(slugs(&coverage.unknown_to_model), ["high_fever", "rash"]);
        assert_eq!(coverage.unread, ["腰杆子胀"]);
        assert_eq!(coverage.implausible, 1);
        assert_eq!(coverage.facts, 4, "fever is entailed, not said");
        assert_eq!(coverage.facts_used, 2);
        assert!(coverage.is_thin());
        assert!(slugs(&coverage.uncertain).is_empty(), "high fever settles fever");
    });
    desk.answer(
        "咳嗽。无咳嗽，可能发热",
        woman_of_30(),
        &[1.0, 0.0, 0.0, 0.0, 0.0, 0.0],
        |answer| {
            let coverage = answer.unwrap().coverage;
            assert_eq!(coverage.contradictory.len(), 1);
            assert_eq!(coverage.uncertain.len(), 1);
        },
    );
}

#[test]
fn answers_that_are_no_probabilities_are_refused() {
    let desk = Desk::new();
    let error = |probabilities: &[f32]| {
        desk.answer("咳嗽", woman_of_30(), probabilities, |answer| {
            answer.unwrap_err().to_string()
        })
    };
    assert_eq!(error(&[1.0]), "expected 6 probabilities, found 1");
    assert_eq!(error(&[]), "expected 6 probabilities, found 0");
    assert_eq!(error(&[0.2, f32::NAN, 0.2, 0.2, 0.2, 0.2]), "probability 1 is NaN");
    assert_eq!(error(&[0.2, 0.2, 0.2, 0.2, 0.2, 1.5]), "probability 5 is 1.5");
}

#[test]
fn labels_must_be_known_single_and_end_with_outside() {
    let vocabulary = knowledge().vocabulary;
    let labels = |slugs: &[&str]| Labels::new(&vocabulary, &strings(slugs));
    assert_eq!(labels(&LABELS).unwrap().conditions().len(), 5);
    assert_eq!(labels(&["acs"]), Err(LabelError::NoOutside));
    assert_eq!(labels(&[]), Err(LabelError::NoOutside));
    assert_eq!(labels(&["acs", "outside", "pid"]), Err(LabelError::NoOutside));
    assert_eq!(labels(&["asc", "outside"]), Err(LabelError::Unknown("asc".to_owned())));
    assert_eq!(labels(&["acs", "acs", "outside"]), Err(LabelError::Twice("acs".to_owned())));
}
