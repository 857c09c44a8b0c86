//! Small tables for the tests of diagnosis, and the way from text to differential.

use super::differential::{Differential, Inputs, Labels};
use super::evidence::{Claims, Evidence, Features};
use super::likelihood::{BACKGROUND, LIKELIHOODS};
use super::prior::{PREVALENCE, SEASONS};
use super::reading::CUES;
use super::red_flags::RED_FLAGS;
use super::*;
use crate::medicine::patient::{Patient, Sex, Vitals};
use crate::medicine::vocabulary::{self, tests as small};

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

/// Everything loaded from [`files`] and some more.
pub(super) fn knowledge_with(more: &[(&str, &str)]) -> DiagnosisKnowledge {
    let mut files = files();
    for (path, text) in more {
        files.insert(*path, text.as_bytes().to_vec());
    }
    DiagnosisKnowledge::load(&files).unwrap_or_else(|e| panic!("{e}"))
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

/// The tables that are shipped.
fn shipped() -> DiagnosisKnowledge {
    let mut files = Files::new();
    for (path, text) in [
        (vocabulary::SOURCES, include_str!("../../../models/diagnosis/sources.csv")),
        (vocabulary::FINDINGS, include_str!("../../../models/diagnosis/findings.csv")),
        (vocabulary::CONDITIONS, include_str!("../../../models/diagnosis/conditions.csv")),
        (vocabulary::IMPLICATIONS, include_str!("../../../models/diagnosis/implications.csv")),
        (vocabulary::MEASUREMENTS, include_str!("../../../models/diagnosis/measurements.csv")),
        (vocabulary::WORDINGS, include_str!("../../../models/diagnosis/wordings.csv")),
        (CUES, include_str!("../../../models/diagnosis/cues.csv")),
        (RED_FLAGS, include_str!("../../../models/diagnosis/red_flags.csv")),
        (LIKELIHOODS, include_str!("../../../models/diagnosis/likelihoods.csv")),
        (BACKGROUND, include_str!("../../../models/diagnosis/background.csv")),
        (PREVALENCE, include_str!("../../../models/diagnosis/prevalence.csv")),
        (SEASONS, include_str!("../../../models/diagnosis/seasons.csv")),
        (vocabulary::DURATIONS, include_str!("../../../models/diagnosis/durations.csv")),
    ] {
        files.insert(path, text.as_bytes());
    }
    DiagnosisKnowledge::load(&files).unwrap_or_else(|e| panic!("{e}"))
}

#[test]
fn every_shipped_wording_is_read_as_its_finding_or_as_a_number() {
    let knowledge = shipped();
    let mut wrong = Vec::new();
    for (id, finding) in knowledge.vocabulary.findings() {
        for wording in std::iter::once(&finding.name_zh).chain(&finding.synonyms) {
            let reading = knowledge.reader.read(wording);
            let read = reading.mentions.iter().any(|mention| {
                mention.finding == id && mention.presence == reading::Presence::Present
            });
            if !read && reading.measurements.is_empty() {
                wrong.push(wording.clone());
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[test]
fn emergencies_as_a_village_doctor_types_them_raise_their_flags() {
    let knowledge = shipped();
    for (age, sex, text, flag) in [
        (58.0, Sex::Male, "胸口像压石头一样疼半小时，出冷汗，无发热", "acs_typical"),
        (30.0, Sex::Female, "停经50天，下腹剧痛，阴道少量流血，面色苍白", "ectopic"),
        (4.0, Sex::Male, "高烧3天，不咳嗽，今天抽了一次，脖子硬", "meningitis"),
        (70.0, Sex::Male, "右边没劲、说话不清1小时，现在好了", "stroke"),
        (66.0, Sex::Male, "拉黑便3天，头晕，否认腹痛", "melena"),
        (0.5, Sex::Female, "咳嗽，吸气时胸口凹，SpO2 88%", "spo2"),
    ] {
        let patient = Patient { age_years: Some(age), sex: Some(sex), ..Patient::default() };
        let reading = knowledge.reader.read(text);
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
        let ids: Vec<&str> = hits.iter().map(|hit| hit.flag.id.as_str()).collect();
        assert!(ids.iter().any(|id| id.contains(flag)), "{text}: {ids:?}");
    }
}
