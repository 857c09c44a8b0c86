//! What a recommendation says.

use super::loading::{Section, Urgency};
use crate::medicine::prescription::Finding;
use crate::tables::table::Status;

/// A plan for this patient.
#[derive(Debug, Clone, PartialEq)]
pub struct Recommendation {
    /// Id of the plan.
    pub plan: String,
    /// Its name.
    pub name_zh: String,
    /// For whom it is.
    pub scope_zh: String,
    /// Citation in words.
    pub citation: String,
    /// Rows without a medicine, by section and order.
    pub advice: Vec<Advice>,
    /// Medicines, by section and order.
    pub medicines: Vec<Planned>,
    /// Medicines that this patient should not have, or whose dose cannot be worked out.
    pub rejected: Vec<Rejected>,
    /// What would decide further rows.
    pub wanted: Vec<WantedInput>,
    /// Where guidelines disagree.
    pub conflicts: Vec<Disagreement>,
}

/// Two guidelines that disagree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disagreement {
    /// About what.
    pub topic_zh: String,
    /// What the one says, and its citation in words.
    pub a: (String, String),
    /// What the other says, and its citation in words.
    pub b: (String, String),
    /// Whether the first is followed.
    pub follows_a: bool,
    /// Why.
    pub why_zh: String,
}

/// Another medicine of a group that passed too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Other {
    /// Id of the row.
    pub rule: String,
    /// Code.
    pub code: String,
    /// Name.
    pub name_zh: String,
    /// One dose with its unit.
    pub dose: String,
}

/// A row without a medicine.
#[derive(Debug, Clone, PartialEq)]
pub struct Advice {
    /// Id of the row.
    pub rule: String,
    /// What it is.
    pub section: Section,
    /// Whether its condition holds now; `false` for a criterion to watch for.
    pub applies_now: bool,
    /// The sentence.
    pub text_zh: String,
    /// How soon, of a referral.
    pub urgency: Option<Urgency>,
    /// In how many days, of a follow-up.
    pub days: Option<f64>,
    /// Remark for the doctor.
    pub annotation_zh: String,
    /// Citation in words.
    pub citation: String,
    /// Whether a clinician has reviewed it.
    pub status: Status,
}

/// A medicine of the plan.
#[derive(Debug, Clone, PartialEq)]
pub struct Planned {
    /// Id of the row.
    pub rule: String,
    /// First aid or treatment.
    pub section: Section,
    /// Code.
    pub code: String,
    /// Name.
    pub name_zh: String,
    /// One dose for this patient.
    pub dose: f64,
    /// Its unit.
    pub unit: String,
    /// How the dose came about: `10mg/kg × 16kg`; empty for a fixed one.
    pub dose_basis: String,
    /// Route, in Chinese.
    pub route_zh: String,
    /// Frequency as doctors write it.
    pub frequency: String,
    /// Days.
    pub days: Option<f64>,
    /// Why and how.
    pub text_zh: String,
    /// Remark for the doctor.
    pub annotation_zh: String,
    /// Group of alternatives; empty where there is none.
    pub choice: String,
    /// What the prescription check says of it, beside the rest of the plan.
    pub findings: Vec<Finding>,
    /// Others of its group that pass too.
    pub alternatives: Vec<Other>,
    /// Citation in words.
    pub citation: String,
    /// Whether a clinician has reviewed it.
    pub status: Status,
}

/// A medicine that is not proposed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    /// Id of the row.
    pub rule: String,
    /// Code.
    pub code: String,
    /// Name.
    pub name_zh: String,
    /// Why not.
    pub reasons_zh: Vec<String>,
}

/// Something to ask or measure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantedInput {
    /// Name of the number or flag; `sex`, `pregnancy`, `lactating` or `level`.
    pub name: String,
    /// What to ask for.
    pub question_zh: String,
    /// Whether a row about danger hangs on it.
    pub about_danger: bool,
}
