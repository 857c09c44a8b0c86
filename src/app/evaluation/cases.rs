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
