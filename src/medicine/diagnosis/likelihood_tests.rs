//! Tests of likelihoods.

use super::*;
use crate::medicine::diagnosis::evidence::Claims;
use crate::medicine::diagnosis::prior::PREVALENCE;
use crate::medicine::diagnosis::tests::{knowledge, refused};
use crate::medicine::patient::Vitals;

fn patient(age_years: Option<f32>, sex: Option<Sex>) -> Patient {
    Patient { age_years, sex, ..Patient::default() }
}

fn close(a: f32, b: f64) {
    assert!((f64::from(a) - b).abs() < 1e-4, "{a} is not {b}");
}

/// (log likelihood ratio, P given the condition, P given the others) of one present finding.
fn weigh(condition: &str, finding: &str, who: Patient) -> (f32, f32, f32) {
    let knowledge = knowledge();
    let condition = knowledge.vocabulary.condition(condition).unwrap();
    let finding = knowledge.vocabulary.finding(finding).unwrap();
    let reason = knowledge.likelihoods.weigh(condition, finding, true, &who).unwrap();
    (reason.log_likelihood_ratio, reason.p_given_condition, reason.p_given_others)
}

#[test]
fn the_others_are_mixed_by_their_share_of_visits() {
    // A man of 30: cold 150, pneumonia 20, coronary syndrome 5, nobody else.
    let (weight, p, others) = weigh("pneumonia", "cough", patient(Some(30.0), Some(Sex::Male)));
    let mix = (150.0 * 0.6 + 5.0 * 0.05) / 155.0;
    close(p, 0.9);
    close(others, mix);
    close(weight, (0.9 / mix).ln());
}

#[test]
fn conditions_that_the_patient_cannot_have_are_not_among_the_others() {
    // A woman of 30 may have pelvic inflammation (10, background rate of fever).
    let woman = weigh("pneumonia", "fever", patient(Some(30.0), Some(Sex::Female))).2;
    close(woman, (150.0 * 0.3 + 5.0 * 0.02 + 10.0 * 0.02) / 165.0);
    let man = weigh("pneumonia", "fever", patient(Some(30.0), Some(Sex::Male))).2;
    close(man, (150.0 * 0.3 + 5.0 * 0.02) / 155.0);
    // An infant cannot have a coronary syndrome or pelvic inflammation, but bronchiolitis.
    let infant = weigh("pneumonia", "fever", patient(Some(0.5), Some(Sex::Female))).2;
    close(infant, (150.0 * 0.6 + 40.0 * 0.02) / 190.0);
}

#[test]
fn the_most_specific_row_is_used() {
    close(weigh("acs", "chest_pain", patient(Some(30.0), Some(Sex::Male))).1, 0.85);
    close(weigh("acs", "chest_pain", patient(Some(30.0), Some(Sex::Female))).1, 0.7);
    close(weigh("acs", "chest_pain", patient(Some(70.0), Some(Sex::Female))).1, 0.6);
    close(weigh("acs", "chest_pain", patient(None, None)).1, 0.85);
    close(weigh("acs", "cough", patient(None, None)).1, 0.05);
    close(weigh("common_cold", "fever", patient(Some(0.5), None)).1, 0.6);
}

#[test]
fn age_bands_meet_at_their_limits() {
    let bands = [(0.0, AgeBand::Infant), (0.99, AgeBand::Infant), (1.0, AgeBand::Child)];
    for (age, band) in bands {
        assert_eq!(AgeBand::of(age), band, "{age}");
    }
    assert_eq!(AgeBand::of(13.9), AgeBand::Child);
    assert_eq!(AgeBand::of(14.0), AgeBand::Adult);
    assert_eq!(AgeBand::of(65.0), AgeBand::Elder);
}

#[test]
fn shares_of_visits_follow_age_and_sex() {
    let knowledge = knowledge();
    let share = |slug, age, sex| {
        let id = knowledge.vocabulary.condition(slug).unwrap();
        knowledge.likelihoods.share(id, &patient(age, sex)).unwrap()
    };
    close(share("pneumonia", Some(30.0), Some(Sex::Male)), 20.0 / 175.0);
    close(share("pneumonia", Some(70.0), Some(Sex::Male)), 50.0 / 205.0);
    close(share("pid", Some(30.0), Some(Sex::Male)), 0.0);
    close(share("pid", Some(30.0), Some(Sex::Female)), 10.0 / 185.0);
    close(share("pid", Some(30.0), None), 10.0 / (185.0 + 175.0));
    close(share("bronchiolitis", Some(30.0), None), 0.0);
}

#[test]
fn weights_are_sorted_cited_and_count_nothing_twice() {
    let knowledge = knowledge();
    let vocabulary = &knowledge.vocabulary;
    let who = patient(Some(30.0), Some(Sex::Male));
    let reading = knowledge.reader.read("高热，流涕，无胸痛，头痛");
    let vitals = Vitals::default();
    let claims = Claims {
        reading: Some(&reading),
        present: &[],
        absent: &[],
        vitals: &vitals,
        patient: &who,
    };
    let evidence = Evidence::gather(vocabulary, claims);
    let cold = vocabulary.condition("common_cold").unwrap();
    let weights = knowledge.likelihoods.weights(cold, &evidence, &who);
    let slugs: Vec<&str> = weights.iter().map(|r| vocabulary.finding_slug(r.finding)).collect();
    assert_eq!(
        slugs,
        ["high_fever", "runny_nose", "chest_pain"],
        "fever is entailed by high fever, headache has no likelihood"
    );
    assert_eq!(weights[1].source, "book#4");
    assert_eq!(weights[0].source, "memory", "the background rate is cited too");
    assert!(weights[0].log_likelihood_ratio < 0.0 && weights[1].log_likelihood_ratio > 0.0);
    assert!(!weights[2].present);
    let absent = (1.0 - 0.01_f64) / (1.0 - (5.0 * 0.85 + 20.0 * 0.01) / 25.0);
    close(weights[2].log_likelihood_ratio, absent.ln());
}

#[test]
fn numbers_that_are_no_probabilities_are_refused() {
    let no = |to, message| refused(LIKELIHOODS, "0.8,0.7,0.9,book#4", to, Some(2), message);
    no("0.8,0.85,0.9,book#4", "needs 0 < p_low <= p <= p_high < 1");
    no("0.95,0.7,0.9,book#4", "needs 0 < p_low");
    no("0.8,0,0.9,book#4", "needs 0 < p_low");
    no("0.8,0.7,1,book#4", "needs 0 < p_low");
    no("NaN,0.7,0.9,book#4", "needs 0 < p_low");
    no("0.8,0.7,0.9,", "row has no source");
    no("0.8,0.7,0.9,gossip", "unknown source");
    refused(BACKGROUND, "0.05", "0", Some(2), "needs 0 < p < 1");
    refused(PREVALENCE, "150", "-1", Some(2), "needs 0 to 1000");
}

#[test]
fn unknown_double_and_missing_rows_are_refused() {
    refused(LIKELIHOODS, "common_cold,cough", "commoncold,cough", Some(3), "unknown condition");
    refused(LIKELIHOODS, "common_cold,cough", "common_cold,cugh", Some(3), "unknown finding");
    refused(LIKELIHOODS, "common_cold,cough", "common_cold,runny_nose", Some(3), "twice");
    refused(BACKGROUND, "cough,0.05", "runny_nose,0.05", Some(3), "stands twice");
    refused(BACKGROUND, "cough,0.05", "rash,0.05", None, "no rate for `cough`");
    refused(PREVALENCE, "acs,any", "pid,any", None, "no visits for `acs`");
    refused(PREVALENCE, "pneumonia,elder", "pneumonia,any", Some(4), "twice");
}
