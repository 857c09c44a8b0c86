//! Decisions as they are kept.
//!
//! The JSON form of these types is what the store keeps; fields may be added with a default,
//! never renamed or given another meaning.

use serde::{Deserialize, Serialize};

use crate::sharing::recognition::{Conclusion, Decision, DecisionRecord, Institution};

/// A decision with what it was taken on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KeptDecision {
    /// Id.
    pub id: String,
    /// The request id, given or made.
    pub request_id: String,
    /// When, in milliseconds since 1970.
    pub created_ms: i64,
    /// Patient ID.
    pub patient_id: String,
    /// Examination by id.
    pub examination: String,
    /// Its Chinese name then.
    pub examination_name: String,
    /// The doctor's words.
    pub explanation: String,
    /// Institution that made the study that was taken: id, or name where it has none.
    pub holder: String,
    /// What spoke against studies of the same examination.
    pub refusals: Vec<String>,
    /// Whether it follows from what the rules said.
    pub follows: bool,
    /// Name of the caller.
    pub recorded_by: String,
    /// What was planned, known, answered and decided.
    pub record: DecisionRecord,
}

/// What a list shows and what is counted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DecisionLine {
    /// Id.
    pub id: String,
    /// The request id.
    pub request_id: String,
    /// When, in milliseconds since 1970.
    pub created_ms: i64,
    /// Day, `2026-11-28`.
    pub date: String,
    /// Patient ID.
    pub patient_id: String,
    /// Examination by id.
    pub examination: String,
    /// Its Chinese name then.
    pub examination_name: String,
    /// What was decided.
    pub decision: Decision,
    /// The doctor's words.
    pub explanation: String,
    /// What the rules said.
    pub conclusion: Conclusion,
    /// Whether it follows from that.
    pub follows: bool,
    /// Who asked.
    pub asking: Institution,
    /// Institution that made the study that was taken.
    pub holder: String,
    /// What spoke against studies of the same examination.
    pub refusals: Vec<String>,
    /// Version of the tables.
    pub policy_version: String,
    /// Name of the caller.
    pub recorded_by: String,
}

impl From<&KeptDecision> for DecisionLine {
    fn from(kept: &KeptDecision) -> Self {
        Self {
            id: kept.id.clone(),
            request_id: kept.request_id.clone(),
            created_ms: kept.created_ms,
            date: kept.record.date.to_string(),
            patient_id: kept.patient_id.clone(),
            examination: kept.examination.clone(),
            examination_name: kept.examination_name.clone(),
            decision: kept.record.decision.clone(),
            explanation: kept.explanation.clone(),
            conclusion: kept.record.conclusion,
            follows: kept.follows,
            asking: kept.record.planned.asking.clone(),
            holder: kept.holder.clone(),
            refusals: kept.refusals.clone(),
            policy_version: kept.record.policy_version.clone(),
            recorded_by: kept.recorded_by.clone(),
        }
    }
}
