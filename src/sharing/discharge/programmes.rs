//! Which chronic-disease programmes a discharge record belongs to: hypertension, type 2 diabetes,
//! COPD, stroke and coronary heart disease.
//!
//! Codes decide (ICD-10 in all the forms in which Chinese hospitals write it, SNOMED CT); only a
//! diagnosis without a code that can be read is known by its name. The tables are
//! `models/records/programme_codes.csv`, `programme_names.csv`, `diagnosis_cues.csv`; of two rows
//! that fit the longer counts. Words of doubt, of the family and of denial take a diagnosis out,
//! and what was taken out is said. Traditional diagnoses (中医病名, 证候) never count: 消渴 or 中风 of
//! a traditional diagnosis is no proof of diabetes or stroke.

mod tables;

#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use super::model::{Coded, Diagnosis, DiagnosisKind, DiagnosisRole, DischargeRecord, Patient};
use jiff::civil::Date;
use tables::{Hit, Told};

pub use tables::Programmes;

/// A chronic-disease programme.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Programme {
    /// 高血压.
    Hypertension,
    /// 2型糖尿病.
    Type2Diabetes,
    /// 慢性阻塞性肺疾病.
    Copd,
    /// 脑卒中.
    Stroke,
    /// 冠心病.
    CoronaryHeartDisease,
}

impl Programme {
    /// All of them, in the order of answers.
    pub const ALL: [Self; 5] = [
        Self::Hypertension,
        Self::Type2Diabetes,
        Self::Copd,
        Self::Stroke,
        Self::CoronaryHeartDisease,
    ];

    /// The id in tables and JSON.
    pub fn id(self) -> &'static str {
        match self {
            Self::Hypertension => "hypertension",
            Self::Type2Diabetes => "type2_diabetes",
            Self::Copd => "copd",
            Self::Stroke => "stroke",
            Self::CoronaryHeartDisease => "coronary_heart_disease",
        }
    }
}

/// How sure a membership is; the later the surer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// Only as history (既往史, 陈旧性, 后遗症, a procedure in the past).
    History,
    /// To be confirmed by the doctor: the type is not said, the finding is wider than the disease,
    /// or only the admission diagnoses have it.
    ToConfirm,
    /// A diagnosis of this stay.
    Current,
}

/// What of a diagnosis spoke.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Because {
    /// A code, as sent.
    Code {
        /// Its system, as sent.
        system: String,
        /// The code, as sent.
        code: String,
    },
    /// A term in the diagnosis's words.
    Name {
        /// The term, as the table has it.
        term: String,
    },
}

/// One diagnosis that makes a membership.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// Index into [`DischargeRecord::diagnoses`].
    pub diagnosis: usize,
    /// What of it.
    pub because: Because,
    /// How sure.
    pub standing: Standing,
    /// What the doctor is to know about it, in Chinese; may be empty.
    pub note_zh: String,
    /// The row, as `file:line`.
    pub row: String,
    /// The row's source, as a person reads it.
    pub source: String,
}

impl Evidence {
    /// Why, in Chinese: what of the diagnosis spoke, and what the doctor is to know about it.
    pub fn reason_zh(&self) -> String {
        let because = match &self.because {
            Because::Code { code, .. } => format!("诊断编码{code}"),
            Because::Name { term } => format!("诊断名称“{term}”"),
        };
        joined(&because, &self.note_zh)
    }
}

/// Whether the patient's age lies where the programme's standard begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AgeFit {
    /// It does, or the programme has no such age.
    Fits,
    /// Younger. The patient is followed up all the same; whether the visit counts for the
    /// programme's figures is another matter.
    Below,
    /// The record says no age.
    Unknown,
}

/// A programme to which the record belongs, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Membership {
    /// Which.
    pub programme: Programme,
    /// Its Chinese name.
    pub name_zh: String,
    /// The surest of its evidence.
    pub standing: Standing,
    /// Age.
    pub age: AgeFit,
    /// Every diagnosis that says so, in the record's order; never empty.
    pub evidence: Vec<Evidence>,
}

/// Why a diagnosis that names a disease of a programme does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NotCounted {
    /// Doubt (疑似, 待排, ?).
    Uncertain,
    /// The family's (家族史).
    Family,
    /// Denied or ruled out (否认, 排除).
    Denied,
    /// Another disease, which the table names (白大衣高血压, 1型糖尿病).
    Other,
}

/// A diagnosis that was looked at for a programme and does not count.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PassedOver {
    /// Index into [`DischargeRecord::diagnoses`].
    pub diagnosis: usize,
    /// For which programme.
    pub programme: Programme,
    /// What of it.
    pub because: Because,
    /// Why not.
    pub reason: NotCounted,
    /// In Chinese.
    pub note_zh: String,
    /// The row that took it out, as `file:line`.
    pub row: String,
    /// That row's source, as a person reads it.
    pub source: String,
}

/// What a record's diagnoses say.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Memberships {
    /// The programmes, in the order of [`Programme::ALL`].
    pub members: Vec<Membership>,
    /// What does not count, in the record's order.
    pub passed_over: Vec<PassedOver>,
}

impl Programmes {
    /// The programmes of a record.
    pub fn of(&self, record: &DischargeRecord) -> Memberships {
        let mut found: Vec<(Programme, Evidence)> = Vec::new();
        let mut passed_over = Vec::new();
        for (at, diagnosis) in record.diagnoses.iter().enumerate() {
            match diagnosis.kind {
                DiagnosisKind::Western => {}
                DiagnosisKind::TcmDisease | DiagnosisKind::TcmSyndrome => continue,
            }
            for (programme, told) in self.told(&diagnosis.coded) {
                match told {
                    Told::Is { because, hit } => {
                        found.push((programme, evidence(at, diagnosis, because, hit)));
                    }
                    Told::IsNot { because, reason, hit } => {
                        let entry = PassedOver {
                            diagnosis: at,
                            programme,
                            because,
                            reason,
                            note_zh: hit.note_zh,
                            row: hit.row,
                            source: hit.source,
                        };
                        if !passed_over.contains(&entry) {
                            passed_over.push(entry);
                        }
                    }
                }
            }
        }
        only_on_admission(record, &mut found);
        let age = age_years(record);
        let members = Programme::ALL.into_iter().filter_map(|programme| {
            let evidence: Vec<Evidence> =
                found.iter().filter(|(p, _)| *p == programme).map(|(_, e)| e.clone()).collect();
            let standing = evidence.iter().map(|e| e.standing).max()?;
            let (name_zh, age_from) = self.about(programme);
            let age = match (age_from, age) {
                (None, _) => AgeFit::Fits,
                (Some(from), Some(age)) if age >= from => AgeFit::Fits,
                (Some(_), Some(_)) => AgeFit::Below,
                (Some(_), None) => AgeFit::Unknown,
            };
            Some(Membership { programme, name_zh, standing, age, evidence })
        });
        Memberships { members: members.collect(), passed_over }
    }

    /// What one coded diagnosis says about each programme.
    fn told(&self, coded: &Coded) -> Vec<(Programme, Told)> {
        let (read, hits) = self.by_codes(coded);
        if read { hits } else { self.by_names(&coded.text) }
    }
}

fn evidence(at: usize, diagnosis: &Diagnosis, because: Because, hit: Hit) -> Evidence {
    let mut note_zh = hit.note_zh;
    let past = match diagnosis.role {
        DiagnosisRole::History => Some("既往史"),
        DiagnosisRole::Admission | DiagnosisRole::DischargeMain | DiagnosisRole::Discharge => {
            diagnosis.resolved.then_some("记录说已经痊愈或结束")
        }
    };
    let mut standing = hit.standing;
    if let Some(words) = past {
        standing = Standing::History;
        note_zh = joined(&note_zh, words);
    } else if diagnosis.unconfirmed {
        standing = standing.min(Standing::ToConfirm);
        note_zh = joined(&note_zh, "记录说尚未确诊，请核对");
    }
    Evidence { diagnosis: at, because, standing, note_zh, row: hit.row, source: hit.source }
}

fn joined(first: &str, second: &str) -> String {
    match (first, second) {
        ("", one) | (one, "") => one.to_owned(),
        (first, second) => format!("{first}；{second}"),
    }
}

/// A disease that only the admission diagnoses name is to be confirmed: an admission diagnosis is
/// what was thought before anybody had looked.
fn only_on_admission(record: &DischargeRecord, found: &mut [(Programme, Evidence)]) {
    let admission = |evidence: &Evidence| {
        record.diagnoses.get(evidence.diagnosis).is_some_and(|d| d.role == DiagnosisRole::Admission)
    };
    let confirmed: Vec<Programme> =
        found.iter().filter(|(_, e)| !admission(e)).map(|(p, _)| *p).collect();
    for (programme, evidence) in found {
        if !confirmed.contains(programme)
            && admission(evidence)
            && evidence.standing == Standing::Current
        {
            evidence.standing = Standing::ToConfirm;
            evidence.note_zh = joined(&evidence.note_zh, "只见于入院诊断，请核对");
        }
    }
}

/// Whole years at discharge (at admission where that is not said), by the birth date or as told.
pub(super) fn age_years(record: &DischargeRecord) -> Option<i32> {
    let day = |moment: &Option<super::Moment>| moment.as_ref().and_then(super::Moment::day);
    let on = day(&record.stay.discharged).or_else(|| day(&record.stay.admitted));
    let born = day(&record.patient.birth_date);
    if let (Some(born), Some(on)) = (born, on) {
        return years_between(born, on);
    }
    told_age(&record.patient)
}

fn years_between(born: Date, on: Date) -> Option<i32> {
    let had_birthday = (on.month(), on.day()) >= (born.month(), born.day());
    let years = i32::from(on.year()) - i32::from(born.year()) - i32::from(!had_birthday);
    (years >= 0).then_some(years)
}

fn told_age(patient: &Patient) -> Option<i32> {
    let age = patient.age.as_ref()?;
    let in_years = match age.unit.trim() {
        "岁" | "周岁" | "年" | "a" | "year" | "years" => age.value,
        "月" | "个月" | "mo" | "month" | "months" => age.value / 12.0,
        _ => return None,
    };
    (0_i32..=150).rev().find(|whole| f64::from(*whole) <= in_years)
}
