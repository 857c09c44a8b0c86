//! Tests of gathering evidence.

use super::*;
use crate::medicine::diagnosis::tests::knowledge;

/// Facts as `+fever(text)`, contradictions as `fever`, uncertain ones as `fever`.
struct Told {
    facts: Vec<String>,
    contradictions: Vec<String>,
    uncertain: Vec<String>,
}

fn gather(text: &str, present: &[&str], absent: &[&str], vitals: Vitals, age: f32) -> Told {
    let knowledge = knowledge();
    let vocabulary = &knowledge.vocabulary;
    let ids = |slugs: &[&str]| -> Vec<FindingId> {
        slugs.iter().map(|slug| vocabulary.finding(slug).unwrap()).collect()
    };
    let reading = knowledge.reader.read(text);
    let patient = Patient { age_years: Some(age), ..Patient::default() };
    let claims = Claims {
        reading: Some(&reading),
        present: &ids(present),
        absent: &ids(absent),
        vitals: &vitals,
        patient: &patient,
    };
    let evidence = Evidence::gather(vocabulary, claims);
    let name = |origin: &Origin| match origin {
        Origin::Text(_) => "text".to_owned(),
        Origin::Given => "given".to_owned(),
        Origin::Lasting(_) => "time".to_owned(),
        Origin::Measured { measure, value } => format!("{} {value}", measure.name()),
        Origin::Implied(by) => format!("by {}", vocabulary.finding_slug(*by)),
    };
    let show = |fact: &Fact| {
        let sign = if fact.present { '+' } else { '-' };
        format!("{sign}{} {}", vocabulary.finding_slug(fact.finding), name(&fact.origin))
    };
    for fact in evidence.facts() {
        assert_eq!(evidence.state(fact.finding), Some(fact.present));
        assert_eq!(evidence.fact(fact.finding), Some(fact));
    }
    Told {
        facts: evidence.facts().iter().map(show).collect(),
        contradictions: evidence
            .contradictions()
            .iter()
            .map(|c| format!("{} against {}", show(&c.kept), name(&c.against)))
            .collect(),
        uncertain: evidence
            .uncertain()
            .iter()
            .map(|id| vocabulary.finding_slug(*id).to_owned())
            .collect(),
    }
}

fn text(text: &str) -> Told {
    gather(text, &[], &[], Vitals::default(), 30.0)
}

#[test]
fn a_present_finding_entails_and_an_absent_one_excludes() {
    assert_eq!(text("高热").facts, ["+fever by high_fever", "+high_fever text"]);
    assert_eq!(
        text("无发热").facts,
        ["-fever text", "-high_fever by fever", "-hyperpyrexia by fever"]
    );
    assert_eq!(
        text("超高热").facts,
        ["+fever by hyperpyrexia", "+high_fever by hyperpyrexia", "+hyperpyrexia text"]
    );
    assert_eq!(text("无高热，有发热").facts[..2], ["+fever text", "-high_fever text"]);
}

#[test]
fn what_is_given_wins_over_the_text_and_the_quarrel_is_listed() {
    let told = gather("咳嗽，无头痛", &["headache"], &["cough"], Vitals::default(), 30.0);
    assert_eq!(told.facts, ["-cough given", "+headache given"]);
    assert_eq!(told.contradictions, ["-cough given against text", "+headache given against text"]);
}

#[test]
fn of_two_statements_of_the_text_the_present_one_is_kept() {
    let told = text("无咳嗽。咳嗽3天。无咳嗽");
    assert_eq!(told.facts, ["+cough text"]);
    assert_eq!(told.contradictions, ["+cough text against text"]);
    let told = gather("", &["cough"], &["cough"], Vitals::default(), 30.0);
    assert_eq!(told.facts, ["+cough given"]);
    assert_eq!(told.contradictions, ["+cough given against given"]);
}

#[test]
fn a_claim_that_lost_entails_nothing() {
    let told = gather("超高热", &[], &["high_fever"], Vitals::default(), 30.0);
    assert_eq!(told.facts, ["-high_fever given", "-hyperpyrexia by high_fever"]);
    assert_eq!(
        told.contradictions,
        ["-hyperpyrexia by high_fever against text"],
        "fever is unknown: its only witness was overruled"
    );
}

#[test]
fn measured_values_entail_findings() {
    assert_eq!(text("T38.9℃").facts[..1], ["+fever temperature_c 38.9"], "from the text");
    let vitals = Vitals { temperature_c: Some(39.5), ..Vitals::default() };
    let told = gather("无发热，T36.5℃", &[], &[], vitals, 30.0);
    assert_eq!(
        told.facts,
        ["+fever temperature_c 39.5", "+high_fever temperature_c 39.5"],
        "the given value replaces the one of the text"
    );
    assert_eq!(told.contradictions, ["+fever temperature_c 39.5 against text"]);
    assert_eq!(text("最高体温39.5，现体温36.8℃").facts[0], "+fever temperature_c 39.5");
}

#[test]
fn a_normal_value_excludes_a_sign_but_not_what_the_patient_reports() {
    assert_eq!(text("T36.5℃").facts, Vec::<String>::new(), "fever is a symptom here");
    assert_eq!(text("SpO2 98%").facts, ["-low_spo2 spo2_percent 98"]);
    assert_eq!(text("BP120/80").facts, ["-raised_bp diastolic_mmhg 80"]);
    assert_eq!(text("BP120/95").facts, ["+raised_bp diastolic_mmhg 95"]);
    assert_eq!(text("收缩压120").facts, Vec::<String>::new(), "half of a blood pressure");
    let said = gather("SpO2 98%", &["low_spo2"], &[], Vitals::default(), 30.0);
    assert_eq!(said.facts, ["+low_spo2 given"]);
    assert!(said.contradictions.is_empty(), "an old low value is no quarrel");
}

#[test]
fn limits_of_age_decide_which_rows_count() {
    let at = |age| gather("R 45次/分", &[], &[], Vitals::default(), age).facts;
    assert_eq!(at(30.0), ["+tachypnea respiratory_rate_bpm 45"]);
    assert_eq!(at(0.5), ["-tachypnea respiratory_rate_bpm 45"]);
    assert_eq!(at(5.0), Vec::<String>::new(), "no row for this age");
}

#[test]
fn others_and_past_symptoms_are_not_evidence() {
    assert_eq!(
        text("母亲有糖尿病。既往高血压。既往抽搐史。同学有水痘").facts,
        ["+hypertension text"]
    );
}

#[test]
fn what_is_over_by_now_still_counts_for_this_illness() {
    assert_eq!(text("抽搐半小时，现已消失").facts, ["+convulsion text"]);
}

#[test]
fn uncertain_findings_are_kept_apart_until_they_are_known() {
    let told = text("可能发热，好像咳嗽。咳嗽3天");
    assert_eq!(told.facts, ["+cough text"]);
    assert_eq!(told.uncertain, ["fever"]);
}

#[test]
fn features_are_resolved_once_and_refused_when_they_leak() {
    let vocabulary = knowledge().vocabulary;
    let features = |slugs: &[&str]| {
        let slugs: Vec<String> = slugs.iter().map(ToString::to_string).collect();
        Features::new(&vocabulary, &slugs)
    };
    let patient = Patient::default();
    let vitals = Vitals::default();
    let (fever, cough) =
        (vocabulary.finding("fever").unwrap(), vocabulary.finding("cough").unwrap());
    let claims = Claims {
        reading: None,
        present: &[cough],
        absent: &[fever],
        vitals: &vitals,
        patient: &patient,
    };
    let evidence = Evidence::gather(&vocabulary, claims);
    let inputs = features(&["cough", "rash", "fever", "high_fever"]).unwrap();
    assert_eq!(inputs.vector(&evidence), [1.0, 0.0, -1.0, -1.0]);
    assert_eq!(inputs.findings()[2], fever);
    assert_eq!(features(&["fevr"]), Err(FeatureError::Unknown("fevr".to_owned())));
    assert_eq!(features(&["fever", "fever"]), Err(FeatureError::Twice("fever".to_owned())));
}

const COURSES: &str = "\
finding,of,min_days,max_days,source,status
course_days,,1,7.5,memory,draft
course_weeks,,7.5,29,memory,draft
prolonged_fever,fever,5,,memory,draft
";

/// What a text says, with courses in the vocabulary.
fn timed_facts(text: &str) -> Vec<String> {
    use crate::medicine::diagnosis::tests::{files, knowledge_with};
    use crate::medicine::vocabulary::{DURATIONS, FINDINGS};
    let findings = format!(
        "{}course_days,病程数天,Days,course,general,,memory,draft\n\
         course_weeks,病程数周,Weeks,course,general,,memory,draft\n",
        files().text(FINDINGS).unwrap()
    );
    let knowledge = knowledge_with(&[(FINDINGS, &findings), (DURATIONS, COURSES)]);
    let reading = knowledge.reader.read(text);
    let claims = Claims {
        reading: Some(&reading),
        present: &[],
        absent: &[],
        vitals: &Vitals::default(),
        patient: &Patient::default(),
    };
    let evidence = Evidence::gather(&knowledge.vocabulary, claims);
    let show = |fact: &Fact| {
        let sign = if fact.present { '+' } else { '-' };
        format!("{sign}{}", knowledge.vocabulary.finding_slug(fact.finding))
    };
    evidence.facts().iter().map(show).collect()
}

#[test]
fn the_first_time_said_is_the_course_of_the_illness() {
    assert_eq!(timed_facts("咳嗽3天"), ["+cough", "+course_days"]);
    assert_eq!(timed_facts("咳嗽3周，加重伴头痛2天"), ["+cough", "+headache", "+course_weeks"]);
    // No course has such a time, or the time is not the patient's.
    assert_eq!(timed_facts("咳嗽3年"), ["+cough"]);
    assert_eq!(timed_facts("患儿母亲咳嗽3天"), Vec::<String>::new());
    assert_eq!(timed_facts("咳嗽"), ["+cough"]);
}

#[test]
fn a_time_makes_a_finding_of_its_own_and_rules_it_out() {
    assert_eq!(timed_facts("发热6天"), ["+fever", "+prolonged_fever", "+course_days"]);
    assert_eq!(timed_facts("高热6天")[2], "+prolonged_fever", "what entails fever lasts as long");
    assert_eq!(timed_facts("发热2天"), ["+fever", "-prolonged_fever", "+course_days"]);
    assert_eq!(timed_facts("发热3到6天"), ["+fever", "+course_days"], "left open");
    assert_eq!(timed_facts("咳嗽6天，发热"), ["+fever", "+cough", "+course_days"]);
}

#[test]
fn of_an_unknown_age_an_adults_limits_raise_an_alarm_and_give_none_away() {
    assert!(timed_facts("BP 150/95mmHg").contains(&"+raised_bp".to_owned()));
    assert!(timed_facts("R 30次/分").contains(&"+tachypnea".to_owned()));
    // 20 breaths are few for an infant: nothing is excluded.
    assert_eq!(timed_facts("R 20次/分"), Vec::<String>::new());
}
