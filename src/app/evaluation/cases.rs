//! The case formats.

use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use super::HasExtra;
use crate::medicine::patient::{Patient, Sex, Vitals};

/// A case of `xiangyi eval diagnosis`.
#[derive(Debug, Clone, Deserialize)]
pub struct DiagnosisCase {
    /// Id.
    pub id: String,
    /// Age in years.
    #[serde(default)]
    pub age_years: Option<f32>,
    /// `male` or `female`.
    #[serde(default)]
    pub sex: Option<Sex>,
    /// Complaint and history.
    #[serde(default, deserialize_with = "nothing_for_null")]
    pub text: String,
    /// What the patient has; the first one is the chief complaint.
    #[serde(default, deserialize_with = "nothing_for_null")]
    pub present: Vec<String>,
    /// What the patient does not have.
    #[serde(default, deserialize_with = "nothing_for_null")]
    pub absent: Vec<String>,
    /// Measured signs.
    #[serde(default, deserialize_with = "nothing_for_null")]
    pub vitals: Vitals,
    /// Any of these is a hit: names or ICD-10 codes.
    pub gold: Vec<String>,
    /// The choice among these is reported too.
    #[serde(default, deserialize_with = "nothing_for_null")]
    pub candidates: Vec<String>,
    /// `emergency`, `urgent` or `routine`.
    #[serde(default)]
    pub triage: Option<Urgency>,
    /// For a report by level.
    #[serde(default)]
    pub level: Option<String>,
    /// Where the case comes from.
    #[serde(default)]
    pub source: Option<String>,
    /// What is not part of the format.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// A case of `xiangyi eval reading`.
#[derive(Debug, Clone, Deserialize)]
pub struct ReadingCase {
    /// Id.
    pub id: String,
    /// The text to read.
    pub text: String,
    /// What it says is there.
    #[serde(default, deserialize_with = "nothing_for_null")]
    pub present: Vec<String>,
    /// What it says is not there.
    #[serde(default, deserialize_with = "nothing_for_null")]
    pub absent: Vec<String>,
    /// What is not part of the format.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// A case of `xiangyi eval prescription`.
#[derive(Debug, Clone, Deserialize)]
pub struct PrescriptionCase {
    /// Id.
    pub id: String,
    /// The patient.
    #[serde(default, deserialize_with = "nothing_for_null")]
    pub patient: CasePatient,
    /// `outpatient` or `emergency`.
    #[serde(default)]
    pub setting: Option<CaseSetting>,
    /// Diagnoses as written.
    #[serde(default, deserialize_with = "nothing_for_null")]
    pub diagnoses: Vec<String>,
    /// What the patient takes already.
    #[serde(default, deserialize_with = "nothing_for_null")]
    pub current: Vec<String>,
    /// Lines.
    pub prescription: Vec<CaseLine>,
    /// What must be found.
    #[serde(default, deserialize_with = "nothing_for_null")]
    pub expect: Vec<Expectation>,
    /// Nothing is wrong with it.
    #[serde(default, deserialize_with = "nothing_for_null")]
    pub clean: bool,
    /// What is not part of the format.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// The patient of a prescription.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct CasePatient {
    /// Age in years.
    #[serde(default)]
    pub age_years: Option<f32>,
    /// `male` or `female`.
    #[serde(default)]
    pub sex: Option<Sex>,
    /// Weight.
    #[serde(default)]
    pub weight_kg: Option<f32>,
    /// Completed weeks; `null` where she is not known to be pregnant.
    #[serde(default)]
    pub pregnancy_weeks: Option<f32>,
    /// Whether she is breastfeeding.
    #[serde(default)]
    pub lactating: Option<bool>,
    /// Allergies as charts write them.
    #[serde(default, deserialize_with = "nothing_for_null")]
    pub allergies: Vec<String>,
    /// Diseases and states.
    #[serde(default, deserialize_with = "nothing_for_null")]
    pub conditions: Vec<String>,
    /// mL/min/1.73 m².
    #[serde(default)]
    pub egfr: Option<f32>,
    /// µmol/L.
    #[serde(default)]
    pub creatinine_umol_l: Option<f32>,
    /// Multiples of the upper limit.
    #[serde(default)]
    pub alt_times_uln: Option<f32>,
}

/// Where the prescription is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CaseSetting {
    /// 门诊
    Outpatient,
    /// 急诊
    Emergency,
}

/// A line of a prescription.
#[derive(Debug, Clone, Deserialize)]
pub struct CaseLine {
    /// Number; the place where it is missing.
    #[serde(default)]
    pub line: Option<Value>,
    /// Name as written.
    pub name: String,
    /// Strength as written.
    #[serde(default, deserialize_with = "nothing_for_null")]
    pub strength: String,
    /// One dose.
    #[serde(default)]
    pub dose: Option<f32>,
    /// Its unit.
    #[serde(default, deserialize_with = "nothing_for_null")]
    pub dose_unit: String,
    /// Route as written.
    #[serde(default, deserialize_with = "nothing_for_null")]
    pub route: String,
    /// Frequency as written.
    #[serde(default, deserialize_with = "nothing_for_null")]
    pub frequency: String,
    /// Days.
    #[serde(default)]
    pub days: Option<f32>,
    /// What it is dissolved in.
    #[serde(default, deserialize_with = "nothing_for_null")]
    pub diluent: String,
    /// `negative`, `positive` or `not_recorded`.
    #[serde(default)]
    pub skin_test: Option<CaseSkinTest>,
    /// Lines of one bag.
    #[serde(default, deserialize_with = "nothing_for_null")]
    pub group: String,
}

/// What is on record of a skin test.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CaseSkinTest {
    /// 阴性
    Negative,
    /// 阳性
    Positive,
    /// Not on record.
    NotRecorded,
}

/// What must be found in a prescription.
#[derive(Debug, Clone, Deserialize)]
pub struct Expectation {
    /// `STOP`, `NEEDS_REASON` or `NOTICE`.
    pub action: CaseAction,
    /// Name of the kind.
    pub kind: String,
    /// Medicines it is about.
    #[serde(default, deserialize_with = "nothing_for_null")]
    pub about: Vec<String>,
    /// Whether it belongs to what every check must find.
    #[serde(default, deserialize_with = "nothing_for_null")]
    pub basic: bool,
    /// Other kinds that name the same hazard.
    #[serde(default, deserialize_with = "nothing_for_null")]
    pub alt_kinds: Vec<String>,
    /// Other actions that count as the expected strength.
    #[serde(default, deserialize_with = "nothing_for_null")]
    pub ok_actions: Vec<CaseAction>,
}

/// An action as case files write it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum CaseAction {
    /// Do not dispense.
    Stop,
    /// A reason is asked for.
    NeedsReason,
    /// Know about it.
    Notice,
    /// For those who ask.
    OnRequest,
}

/// How fast a patient must be seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Urgency {
    /// Can wait, or treat himself.
    Routine,
    /// Today.
    Urgent,
    /// Now.
    Emergency,
}

impl Urgency {
    /// The name in case files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Routine => "routine",
            Self::Urgent => "urgent",
            Self::Emergency => "emergency",
        }
    }
}

impl DiagnosisCase {
    pub(super) fn patient(&self) -> Patient {
        Patient { age_years: self.age_years, sex: self.sex, ..Patient::default() }
    }
}

/// A field that other teams may also write as `null`.
fn nothing_for_null<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    field: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(field)?.unwrap_or_default())
}

impl HasExtra for DiagnosisCase {
    fn extra(&self) -> &Map<String, Value> {
        &self.extra
    }
}

impl HasExtra for ReadingCase {
    fn extra(&self) -> &Map<String, Value> {
        &self.extra
    }
}

impl HasExtra for PrescriptionCase {
    fn extra(&self) -> &Map<String, Value> {
        &self.extra
    }
}
