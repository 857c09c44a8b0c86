//! A prescription check as it is kept and answered: plain data, no wire types.
//!
//! The JSON form of these types is what the store keeps; fields may be added with a default,
//! never renamed or given another meaning.

use serde::{Deserialize, Serialize};

/// What kind of problem it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProblemKind {
    /// The same ingredient more than once.
    Duplicate,
    /// Allergy.
    Allergy,
    /// Two medicines that harm each other.
    Interaction,
    /// Pregnancy.
    Pregnancy,
    /// Form and law.
    LegalForm,
    /// Days of supply.
    Duration,
    /// One dose.
    SingleDose,
    /// The dose of a day.
    DailyDose,
    /// Age.
    Age,
    /// Sex.
    Sex,
    /// Breastfeeding.
    Lactation,
    /// A disease of the patient.
    Disease,
    /// Kidney.
    Renal,
    /// Liver.
    Hepatic,
    /// Route and form.
    Route,
    /// How often.
    Frequency,
    /// Indication.
    Indication,
    /// Antibiotics.
    Antibiotic,
    /// Skin test.
    SkinTest,
    /// Infusion.
    Infusion,
    /// Chinese medicine.
    Tcm,
    /// Missing test or protection.
    Monitoring,
    /// Old age.
    Elderly,
    /// Food and alcohol.
    FoodAlcohol,
}

/// What the doctor must do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Demand {
    /// Do not dispense.
    Stop,
    /// Dispense only with a reason written down.
    NeedsReason,
    /// Know about it.
    Notice,
    /// Shown when asked for.
    OnRequest,
}

/// How bad it can get.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Harm {
    /// Minor.
    Minor,
    /// Moderate.
    Moderate,
    /// Serious.
    Serious,
    /// Contraindicated.
    Contraindicated,
}

/// One problem.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// Stable id.
    pub id: String,
    /// Kind.
    pub kind: ProblemKind,
    /// Severity.
    pub harm: Harm,
    /// Action.
    pub demand: Demand,
    /// Lines.
    pub lines: Vec<String>,
    /// Medicines as written.
    pub medicines: Vec<String>,
    /// Why.
    pub reason: String,
    /// What instead.
    pub instead: String,
    /// 处方点评 item.
    pub review_code: String,
    /// Rule row.
    pub rule: String,
    /// Citation.
    pub source: String,
    /// Code and name of what could be given instead.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alternatives: Vec<(String, String)>,
    /// What was recorded when the same was overridden for this patient before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overridden_before: Option<Override>,
}

/// Why a doctor went on in spite of a finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Override {
    /// Id.
    pub id: String,
    /// Milliseconds since 1970.
    pub created_ms: i64,
    /// The check.
    pub check: String,
    /// The finding.
    pub finding: String,
    /// Why.
    pub reason: String,
    /// The clinic's reference of the patient.
    pub patient_reference: String,
    /// Credential that recorded it.
    pub recorded_by: String,
}

/// Something that could not be checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotChecked {
    /// Lines.
    pub lines: Vec<String>,
    /// What it is about, as written.
    pub subjects: Vec<String>,
    /// Which checks.
    pub checks: Vec<ProblemKind>,
    /// Why.
    pub reason: String,
    /// Near names.
    pub suggestions: Vec<String>,
    /// Shown when asked for.
    pub on_request: bool,
}

/// How a line was understood.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UnderstoodLine {
    /// Line id.
    pub line: String,
    /// Name as written.
    pub name: String,
    /// Code; empty when unknown.
    pub code: String,
    /// Name on the list.
    pub medicine: String,
    /// Active ingredients.
    pub ingredients: Vec<String>,
    /// Route it counts as.
    #[serde(default)]
    pub route: String,
    /// One dose as understood.
    #[serde(default)]
    pub dose: String,
    /// Doses a day.
    #[serde(default)]
    pub per_day: Option<f64>,
    /// Days of supply.
    #[serde(default)]
    pub days: Option<f64>,
    /// What it is dissolved in.
    #[serde(default)]
    pub diluent: String,
}

/// An answered check.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PrescriptionCheck {
    /// Id.
    pub id: String,
    /// Request id, given or made.
    pub request_id: String,
    /// Milliseconds since 1970.
    pub created_ms: i64,
    /// The clinic's reference of the patient.
    pub patient_reference: String,
    /// Problems, strongest action first.
    pub problems: Vec<Problem>,
    /// What could not be checked.
    pub not_checked: Vec<NotChecked>,
    /// How lines were understood.
    pub lines: Vec<UnderstoodLine>,
    /// Version of the tables.
    pub rule_version: String,
    /// Checks that ran.
    pub checks_done: Vec<ProblemKind>,
    /// Medicines that a model sees no use of for these diagnoses. They are no problems.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hints: Vec<FitHint>,
    /// Id and version of the model that was asked for hints and ordered alternatives; empty where
    /// none was.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub fit_model: String,
}

/// A medicine that a model sees no use of for the diagnoses.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FitHint {
    /// Line.
    pub line: String,
    /// The medicine as written.
    pub medicine: String,
    /// How well it belongs to the diagnoses, from 0 to 1.
    pub fit: f32,
    /// One plain sentence.
    pub text: String,
}

/// What a list shows of a check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckLine {
    /// Id.
    pub id: String,
    /// Milliseconds since 1970.
    pub created_ms: i64,
    /// The clinic's reference of the patient.
    pub patient_reference: String,
    /// Findings that say STOP.
    pub stop_count: u32,
    /// Findings.
    pub finding_count: u32,
    /// Not checked.
    pub unchecked_count: u32,
}
