//! Tests of priors.

use super::*;
use crate::medicine::diagnosis::DiagnosisKnowledge;
use crate::medicine::diagnosis::tests::{files, knowledge_with, refused};

const HEADER: &str = "condition,age_band,sex,per_1000,source,status\n";
const SEASONAL: &str = "condition,spring,summer,autumn,winter,source,status\n\
                        common_cold,1.0,0.5,1.0,1.5,memory,draft\n";

fn man() -> Patient {
    Patient { age_years: Some(30.0), sex: Some(Sex::Male), ..Patient::default() }
}

fn factor(knowledge: &DiagnosisKnowledge, condition: &str, month: Option<u8>) -> f32 {
    let vocabulary = &knowledge.vocabulary;
    knowledge.priors.factor(vocabulary, vocabulary.condition(condition).unwrap(), &man(), month)
}

fn close(a: f32, b: f32) {
    assert!((a - b).abs() < 1e-5, "{a} is not {b}");
}

#[test]
fn nothing_stated_moves_nothing() {
    let knowledge = knowledge_with(&[]);
    let mut probabilities = [0.25, 0.75];
    let ids = [knowledge.vocabulary.condition("common_cold").unwrap()];
    let (vocabulary, priors) = (&knowledge.vocabulary, &knowledge.priors);
    priors.adjust(vocabulary, &ids, &man(), Some(1), &mut probabilities);
    close(probabilities[0], 0.25);
    close(factor(&knowledge, "common_cold", None), 1.0);
}

#[test]
fn a_month_has_the_factor_of_its_season() {
    let knowledge = knowledge_with(&[(SEASONS, SEASONAL)]);
    for (month, expected) in [(1, 1.5), (2, 1.5), (3, 1.0), (6, 0.5), (8, 0.5), (9, 1.0), (12, 1.5)]
    {
        close(factor(&knowledge, "common_cold", Some(month)), expected);
    }
    close(factor(&knowledge, "common_cold", Some(13)), 1.0);
    close(factor(&knowledge, "pneumonia", Some(1)), 1.0);
}

#[test]
fn a_clinic_moves_the_odds_by_the_ratio_of_its_visits_and_the_sum_stays() {
    // A man of 30: cold 150 in the tables.
    let site = format!("{HEADER}common_cold,any,any,450,memory,draft\n");
    let knowledge = knowledge_with(&[(SITE, &site)]);
    close(factor(&knowledge, "common_cold", None), 3.0);
    close(factor(&knowledge, "pneumonia", None), 1.0);
    let ids =
        ["common_cold", "pneumonia"].map(|name| knowledge.vocabulary.condition(name).unwrap());
    let mut probabilities = [0.2, 0.4, 0.4];
    knowledge.priors.adjust(&knowledge.vocabulary, &ids, &man(), None, &mut probabilities);
    close(probabilities[0] / probabilities[1], 1.5);
    close(probabilities[1], probabilities[2]);
    close(probabilities.iter().sum(), 1.0);
    // The reasons are weighed against the patients of this clinic too.
    let share =
        |knowledge: &DiagnosisKnowledge| knowledge.likelihoods.share(ids[0], &man()).unwrap();
    close(share(&knowledge), 450.0 / 475.0);
    close(share(&knowledge_with(&[])), 150.0 / 175.0);
}

#[test]
fn faulty_tables_are_refused_with_their_line() {
    for (path, text, message) in [
        (SITE, "common_cold,any,any,1001,memory,draft", "needs 0 to 1000"),
        (SITE, "unheard,any,any,1,memory,draft", "unheard"),
        (SITE, "common_cold,any,any,1,,draft", "source"),
    ] {
        let error = refused_with(path, &format!("{HEADER}{text}\n"));
        assert!(error.message.contains(message) && error.line == Some(2), "{error}");
    }
    for (row, message) in [
        ("common_cold,1,1,1,2,memory,draft", "average 1"),
        ("common_cold,0,1,1,2,memory,draft", "above 0"),
        ("unheard,1,1,1,1,memory,draft", "unheard"),
    ] {
        let header = SEASONAL.lines().next().unwrap();
        let error = refused_with(SEASONS, &format!("{header}\n{row}\n"));
        assert!(error.message.contains(message) && error.line == Some(2), "{error}");
    }
    let twice = format!("{SEASONAL}common_cold,1,1,1,1,memory,draft\n");
    assert!(refused_with(SEASONS, &twice).message.contains("twice"));
    refused(PREVALENCE, "150", "-1", Some(2), "needs 0 to 1000");
}

fn refused_with(path: &str, text: &str) -> LoadError {
    let mut files = files();
    files.insert(path, text.as_bytes().to_vec());
    DiagnosisKnowledge::load(&files).unwrap_err()
}
