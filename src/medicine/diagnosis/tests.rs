//! Small tables for the tests of diagnosis, and the way from text to differential.

use super::differential::{Differential, Inputs, Labels};
use super::evidence::{Claims, Evidence, Features};
use super::likelihood::{BACKGROUND, LIKELIHOODS, PREVALENCE};
use super::reading::CUES;
use super::red_flags::RED_FLAGS;
use super::*;
use crate::medicine::patient::{Patient, Sex, Vitals};
use crate::medicine::vocabulary::tests as small;

/// The small vocabulary with red flags, likelihoods and the cues that are shipped.
pub(super) fn files() -> Files {
    let mut files = small::files();
    for (path, text) in [
        (CUES, include_str!("../../../models/diagnosis/cues.csv")),
        (RED_FLAGS, RED_FLAGS_CSV),
        (LIKELIHOODS, LIKELIHOODS_CSV),
        (BACKGROUND, BACKGROUND_CSV),
        (PREVALENCE, PREVALENCE_CSV),
    ] {
        files.insert(path, text.as_bytes());
    }
    files
}

/// Everything loaded from [`files`].
pub(super) fn knowledge() -> DiagnosisKnowledge {
    DiagnosisKnowledge::load(&files()).unwrap()
}

/// The error that one changed table gives.
pub(super) fn refused(path: &str, from: &str, to: &str, line: Option<u64>, message: &str) {
    let mut files = files();
    let text = files.text(path).unwrap().replacen(from, to, 1);
    assert_ne!(text, files.text(path).unwrap(), "the test changes nothing");
    files.insert(path, text.into_bytes());
    let error = DiagnosisKnowledge::load(&files).unwrap_err();
    assert_eq!((error.file.as_str(), error.line), (path, line), "{error}");
    assert!(error.message.contains(message), "{error}");
}

const RED_FLAGS_CSV: &str = "\
id,name_zh,when,meaning_zh,act_now_zh,refer_to,urgency,source,status
high_bp,血压很高,systolic_mmhg>=180|diastolic_mmhg>=110,高血压急症,复测血压,township,urgent,memory,draft
acs,疑似心梗,chest_pain;sweating|dyspnea;age_years>=40,急性冠脉综合征,拨打120,ambulance,emergency,book#3,draft
ectopic,异位妊娠,abdominal_pain;sex=female;pregnant,异位妊娠,转县医院,county,emergency,memory,draft
sepsis,脓毒症,fever;!cough;apnea|convulsion,重症感染,吸氧,county,emergency,memory,draft
";

const LIKELIHOODS_CSV: &str = "\
condition,finding,age_band,sex,p,p_low,p_high,source,status
common_cold,runny_nose,any,any,0.8,0.7,0.9,book#4,draft
common_cold,cough,any,any,0.6,0.4,0.8,memory,draft
common_cold,fever,any,any,0.3,0.2,0.4,memory,draft
common_cold,fever,infant,any,0.6,0.5,0.7,memory,draft
pneumonia,cough,any,any,0.9,0.8,0.95,memory,draft
pneumonia,fever,any,any,0.8,0.7,0.9,memory,draft
pneumonia,high_fever,any,any,0.4,0.3,0.5,memory,draft
acs,chest_pain,any,any,0.85,0.8,0.9,expert-guess,draft
acs,chest_pain,elder,any,0.6,0.5,0.7,expert-guess,draft
acs,chest_pain,any,female,0.7,0.6,0.8,expert-guess,draft
";

const BACKGROUND_CSV: &str = "\
finding,p,source,status
runny_nose,0.05,memory,draft
cough,0.05,memory,draft
fever,0.02,memory,draft
high_fever,0.01,memory,draft
chest_pain,0.01,expert-guess,draft
";

const PREVALENCE_CSV: &str = "\
condition,age_band,sex,per_1000,source,status
common_cold,any,any,150,expert-guess,draft
pneumonia,any,any,20,expert-guess,draft
pneumonia,elder,any,50,expert-guess,draft
acs,any,any,5,expert-guess,draft
pid,any,female,10,expert-guess,draft
bronchiolitis,infant,any,40,expert-guess,draft
";

#[test]
fn a_complaint_leads_to_flags_and_an_explained_differential() {
    let knowledge = knowledge();
    let vocabulary = &knowledge.vocabulary;
    let patient = Patient { age_years: Some(58.0), sex: Some(Sex::Male), ..Patient::default() };
    let text = "胸口痛半小时，大汗，无咳嗽，BP 150/95mmHg，脸色蜡黄";
    let reading = knowledge.reader.read(text);
    let vitals = Vitals::default();
    let claims = Claims {
        reading: Some(&reading),
        present: &[],
        absent: &[],
        vitals: &vitals,
        patient: &patient,
    };
    let evidence = Evidence::gather(vocabulary, claims);
    let flags = knowledge.red_flags.evaluate(&evidence, evidence.vitals(), &patient);
    let strings = |slugs: &[&str]| slugs.iter().map(ToString::to_string).collect::<Vec<_>>();
    let features = Features::new(vocabulary, &strings(&["chest_pain", "cough"])).unwrap();
    let labels =
        Labels::new(vocabulary, &strings(&["common_cold", "acs", "pid", "outside"])).unwrap();
    assert_eq!(features.vector(&evidence), [1.0, -1.0]);
    let inputs = Inputs {
        vocabulary,
        likelihoods: &knowledge.likelihoods,
        features: &features,
        labels: &labels,
        evidence: &evidence,
        patient: &patient,
        reading: Some(&reading),
        ranked_max: 10,
    };
    let answer = Differential::new(inputs, &[0.1, 0.7, 0.05, 0.15], flags).unwrap();
    assert_eq!(answer.red_flags[0].flag.id, "acs");
    assert_eq!(vocabulary.condition_slug(answer.ranked[0].condition), "acs");
    let reason = &answer.ranked[0].reasons_for[0];
    assert_eq!(vocabulary.finding_slug(reason.finding), "chest_pain");
    assert_eq!(answer.coverage.unread, ["脸色蜡黄"]);
}

#[test]
fn a_missing_table_is_named() {
    let files = small::files();
    let error = DiagnosisKnowledge::load(&files).unwrap_err();
    assert_eq!(error.to_string(), "diagnosis/cues.csv: file is missing");
}
