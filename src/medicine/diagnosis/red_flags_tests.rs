//! Tests of red flags.

use super::*;
use crate::medicine::diagnosis::evidence::Claims;
use crate::medicine::diagnosis::tests::{knowledge, refused};

struct Case<'a> {
    text: &'a str,
    age_years: Option<f32>,
    sex: Option<Sex>,
    pregnancy: Pregnancy,
}

const NOBODY: Case<'_> =
    Case { text: "", age_years: None, sex: None, pregnancy: Pregnancy::Unknown };

/// Ids of flags with the number of atoms that made them fire.
type Fired = Vec<(String, usize)>;
/// Ids of flags with what is unknown.
type Undecided = Vec<(String, Vec<Atom>)>;

/// Ids of the flags that fire with their atoms, and of those undecided with what is unknown.
fn flags(case: &Case<'_>) -> (Fired, Undecided) {
    let knowledge = knowledge();
    let reading = knowledge.reader.read(case.text);
    let patient = Patient {
        age_years: case.age_years,
        sex: case.sex,
        pregnancy: case.pregnancy,
        ..Patient::default()
    };
    let vitals = Vitals::default();
    let claims = Claims {
        reading: Some(&reading),
        present: &[],
        absent: &[],
        vitals: &vitals,
        patient: &patient,
    };
    let evidence = Evidence::gather(&knowledge.vocabulary, claims);
    let hits = knowledge.red_flags.evaluate(&evidence, evidence.vitals(), &patient);
    let open = knowledge.red_flags.undecided(&evidence, evidence.vitals(), &patient);
    (
        hits.iter().map(|hit| (hit.flag.id.clone(), hit.atoms.len())).collect(),
        open.into_iter().map(|open| (open.flag.id.clone(), open.unknown)).collect(),
    )
}

fn fire(case: &Case<'_>) -> Vec<String> {
    flags(case).0.into_iter().map(|(id, _)| id).collect()
}

#[test]
fn every_clause_must_hold_and_one_atom_of_each_suffices() {
    let case = |text| Case { text, age_years: Some(58.0), ..NOBODY };
    assert_eq!(flags(&case("胸痛，出汗")).0, [("acs".to_owned(), 3)]);
    assert_eq!(flags(&case("胸痛，出汗，呼吸困难")).0, [("acs".to_owned(), 4)]);
    assert_eq!(fire(&case("胸痛")), Vec::<String>::new());
    assert_eq!(fire(&case("胸痛，无出汗")), Vec::<String>::new());
    assert_eq!(fire(&Case { age_years: Some(20.0), ..case("胸痛，出汗") }), Vec::<String>::new());
}

#[test]
fn the_most_urgent_flag_comes_first() {
    let case = Case { text: "血压190/120，胸痛，出汗", age_years: Some(58.0), ..NOBODY };
    assert_eq!(fire(&case), ["acs", "high_bp"]);
}

#[test]
fn a_finding_nobody_mentioned_is_not_present() {
    let case = |text| Case { text, ..NOBODY };
    assert_eq!(fire(&case("发热，抽搐")), ["sepsis"]);
    assert_eq!(fire(&case("发热，抽搐，咳嗽")), Vec::<String>::new());
    assert_eq!(fire(&case("发热，抽搐，无咳嗽")), ["sepsis"]);
}

#[test]
fn what_only_an_unknown_value_decides_is_told() {
    let (hits, open) = flags(&Case { text: "胸痛，出汗", ..NOBODY });
    assert!(hits.is_empty());
    let age = Atom::Age { comparison: Comparison::AtLeast, limit: 40.0 };
    assert_eq!(open, [("acs".to_owned(), vec![age])]);
    let (_, open) = flags(&Case { text: "腹痛", sex: Some(Sex::Female), ..NOBODY });
    assert_eq!(open, [("ectopic".to_owned(), vec![Atom::Pregnant])]);
    let (_, open) = flags(&Case { text: "腹痛", sex: Some(Sex::Male), ..NOBODY });
    assert!(open.is_empty(), "a man is not pregnant");
    let (_, open) = flags(&Case { text: "腹痛", age_years: Some(3.0), ..NOBODY });
    assert!(open.is_empty(), "nor is a child");
    assert!(flags(&NOBODY).1.is_empty(), "nothing is present");
}

#[test]
fn pregnancy_and_sex_are_asked_of_the_patient() {
    let pregnancy = Pregnancy::Yes { weeks: Some(7) };
    let case = Case { text: "腹痛", sex: Some(Sex::Female), pregnancy, ..NOBODY };
    assert_eq!(fire(&case), ["ectopic"]);
    let case = Case { pregnancy: Pregnancy::No, ..case };
    assert_eq!(fire(&case), Vec::<String>::new());
}

#[test]
fn a_condition_that_does_not_parse_names_its_line() {
    let no = |to, message| refused(RED_FLAGS, "chest_pain;sweating", to, Some(3), message);
    no("chest_pane;sweating", "unknown finding `chest_pane`");
    no("chest_pain;!sweting", "unknown finding `sweting`");
    no("chest_pain;;sweating", "empty part");
    no("chest_pain;|sweating", "empty part");
    no("chest_pain;temperature>=38;sweating", "unknown measure `temperature`");
    no("chest_pain;temperature_c>=hot;sweating", "`hot` is not a number");
    no("chest_pain;temperature_c>=NaN;sweating", "lies outside");
    no("chest_pain;temperature_c>=380;sweating", "lies outside 25 to 45");
    no("chest_pain;sex=child;sweating", "unknown finding `sex=child`");
    no("chest_pain;!age_years>=3;sweating", "unknown finding `age_years>=3`");
}

#[test]
fn a_flag_that_everybody_meets_is_refused() {
    let from = "systolic_mmhg>=180|diastolic_mmhg>=110";
    for to in ["age_years>=40", "!cough", "sex=male;!fever", "fever|!cough"] {
        refused(RED_FLAGS, from, to, Some(2), "without any finding");
    }
}

#[test]
fn flags_without_source_or_twice_are_refused() {
    refused(RED_FLAGS, "book#3", "", Some(3), "row has no source");
    refused(RED_FLAGS, "ectopic,", "acs,", Some(4), "`acs` stands twice");
    refused(RED_FLAGS, "拨打120", "", Some(3), "something to do");
    refused(RED_FLAGS, "emergency", "soon", Some(3), "unknown variant");
}
