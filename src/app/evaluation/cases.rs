//! The case formats.

use serde::Deserialize;
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
    pub sex: Option<SexName>,
    /// Complaint and history.
    #[serde(default)]
    pub text: String,
    /// What the patient has; the first one is the chief complaint.
    #[serde(default)]
    pub present: Vec<String>,
    /// What the patient does not have.
    #[serde(default)]
    pub absent: Vec<String>,
    /// Measured signs.
    #[serde(default)]
    pub vitals: Option<Measured>,
    /// Any of these is a hit: names or ICD-10 codes.
    pub gold: Vec<String>,
    /// The choice among these is reported too.
    #[serde(default)]
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
    #[serde(default)]
    pub present: Vec<String>,
    /// What it says is not there.
    #[serde(default)]
    pub absent: Vec<String>,
    /// What is not part of the format.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// A patient's sex.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SexName {
    /// Male.
    Male,
    /// Female.
    Female,
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

/// Measured signs, in the units of their names.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default)]
pub struct Measured {
    /// °C.
    pub temperature_c: Option<f32>,
    /// mmHg.
    pub systolic_mmhg: Option<f32>,
    /// mmHg.
    pub diastolic_mmhg: Option<f32>,
    /// Beats per minute.
    pub heart_rate_bpm: Option<f32>,
    /// Breaths per minute.
    pub respiratory_rate_bpm: Option<f32>,
    /// Percent.
    pub spo2_percent: Option<f32>,
    /// mmol/L.
    pub glucose_mmol_l: Option<f32>,
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
        Patient {
            age_years: self.age_years,
            sex: self.sex.map(|sex| match sex {
                SexName::Male => Sex::Male,
                SexName::Female => Sex::Female,
            }),
            ..Patient::default()
        }
    }

    pub(super) fn vitals(&self) -> Vitals {
        let given = self.vitals.unwrap_or_default();
        Vitals {
            temperature_c: given.temperature_c,
            systolic_mmhg: given.systolic_mmhg,
            diastolic_mmhg: given.diastolic_mmhg,
            heart_rate_bpm: given.heart_rate_bpm,
            respiratory_rate_bpm: given.respiratory_rate_bpm,
            spo2_percent: given.spo2_percent,
            glucose_mmol_l: given.glucose_mmol_l,
        }
    }
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
