//! A consultation as it is asked and as it is kept and answered: plain data, no wire types.
//!
//! The JSON form of these types is what the store keeps; fields may be added with a default,
//! never renamed or given another meaning.

use serde::{Deserialize, Serialize};

/// What is known of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// The patient has it.
    Present,
    /// The patient does not have it.
    Absent,
    /// Said, but not for sure; not used by the model.
    Uncertain,
}

/// Where a finding came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// Read from the text.
    Text,
    /// Given as a coded finding.
    Given,
    /// Follows from a measured value.
    Measured,
    /// Follows from another finding.
    Implied,
}

/// How severe a finding was said to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SaidDegree {
    /// 轻
    Mild,
    /// 中
    Moderate,
    /// 重
    Severe,
}

/// A stretch of time that was said with a finding, in hours.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SaidDuration {
    /// Shortest.
    pub hours_min: f32,
    /// Longest.
    pub hours_max: f32,
    /// The words.
    pub words: String,
}

/// What the reader took from the text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReadMention {
    /// Finding id.
    pub finding: String,
    /// Chinese name.
    pub name: String,
    /// State.
    pub state: State,
    /// The words.
    pub words: String,
    /// First character in the text.
    pub start: u32,
    /// One past the last character.
    pub end: u32,
    /// Duration, where said.
    pub duration: Option<SaidDuration>,
    /// Degree, where said.
    pub degree: Option<SaidDegree>,
    /// Somebody else has it.
    pub other_person: bool,
    /// Said of the past, or said to be over.
    pub past: bool,
}

/// A stretch of text no rule could read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unread {
    /// The words.
    pub words: String,
    /// First character in the text.
    pub start: u32,
    /// One past the last character.
    pub end: u32,
}

/// A measured value found in the text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReadValue {
    /// Name of the measure, unit last.
    pub measure: String,
    /// Value in that unit.
    pub value: f32,
    /// The words.
    pub words: String,
    /// Outside what a living patient can have; not used.
    pub implausible: bool,
}

/// A finding as it was used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Used {
    /// Finding id.
    pub finding: String,
    /// Chinese name.
    pub name: String,
    /// State.
    pub state: State,
    /// Where it came from.
    pub origin: Origin,
    /// Whether the model has an input for it.
    pub known_to_model: bool,
}

/// Why a condition stands where it stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Why {
    /// Finding id.
    pub finding: String,
    /// Chinese name.
    pub name: String,
    /// State.
    pub state: State,
    /// Natural logarithm of the likelihood ratio against the other conditions.
    pub log_likelihood_ratio: f32,
    /// Citation.
    pub source: String,
}

/// A condition of the differential.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ranked {
    /// Condition id.
    pub condition: String,
    /// Calibrated probability.
    pub probability: f32,
    /// What speaks for it, strongest first.
    pub reasons_for: Vec<Why>,
    /// What speaks against it, strongest first.
    pub reasons_against: Vec<Why>,
    /// Listed because it must not be missed.
    pub listed_for_safety: bool,
    /// What the tables said of the condition when the answer was given.
    #[serde(flatten)]
    pub about: ConditionFacts,
}

/// What the tables say of a condition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConditionFacts {
    /// Chinese name.
    pub name: String,
    /// English name.
    pub name_en: String,
    /// ICD-10 code, 医保 form.
    pub icd10: String,
    /// `mild`, `moderate`, `severe` or `critical`.
    pub severity: SeverityLevel,
    /// Must not be missed.
    pub must_not_miss: bool,
    /// Level of care.
    pub referral: CareLevel,
    /// Department.
    pub department: String,
    /// The duty to report it, where the law sets one.
    #[serde(default)]
    pub reporting: Option<Duty>,
}

/// A duty to report a condition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Duty {
    /// `A`, `B` or `C`: 甲, 乙 or 丙.
    pub class: String,
    /// Hours from diagnosis to the report.
    pub hours: u32,
    /// Citation.
    pub source: String,
}

/// Where the patient belongs now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CarePlace {
    /// Home with advice.
    Home,
    /// This clinic.
    Clinic,
    /// 乡镇卫生院
    Township,
    /// 县级医院
    County,
    /// 120
    Ambulance,
}

/// Where the patient belongs, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Triage {
    /// Where.
    pub place: CarePlace,
    /// Why, in Chinese.
    pub reason: String,
    /// To be acted on now.
    pub emergency: bool,
    /// A planned visit will do.
    #[serde(default)]
    pub can_wait: bool,
}

/// A test whose result would change the order most.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SuggestedTest {
    /// Test id.
    pub test: String,
    /// Chinese name.
    pub name: String,
    /// English name.
    pub name_en: String,
    /// Lowest level of care that has it.
    pub level: CareLevel,
    /// Expected information in nats.
    pub worth: f32,
    /// Chinese names of the conditions that it is about.
    pub about: Vec<String>,
    /// Citation.
    pub source: String,
}

/// A question whose answer would change the order most.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ask {
    /// Finding id.
    pub finding: String,
    /// Chinese name.
    pub name: String,
    /// The question in Chinese.
    pub question: String,
    /// `symptom`, `sign`, `vital`, `history`, `exposure` or `medicine`.
    pub kind: String,
    /// Part of the body; may be empty.
    pub body_part: String,
    /// Expected information, in nats.
    pub worth: f32,
    /// Chinese names of the conditions that a yes would move up most.
    pub about: Vec<String>,
}

/// How dangerous a condition is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SeverityLevel {
    /// Self-limiting or chronic without danger.
    Mild,
    /// Needs treatment.
    Moderate,
    /// Needs hospital care.
    Severe,
    /// Threatens life.
    Critical,
}

/// Level of care.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CareLevel {
    /// 村卫生室
    Village,
    /// 乡镇卫生院
    Township,
    /// 县级医院
    County,
    /// 市级医院
    City,
}

/// A red flag that fired.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alarm {
    /// Rule id.
    pub rule: String,
    /// Chinese name.
    pub name: String,
    /// Now, or today.
    pub emergency: bool,
    /// What it may mean.
    pub meaning: String,
    /// What to do in the next ten minutes.
    pub act_now: String,
    /// Where to refer.
    pub refer_to: String,
    /// What made it fire.
    pub because: Vec<String>,
    /// Citation.
    pub source: String,
}

/// What the answer does not cover.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Limits {
    /// Text that could not be read.
    pub unread: Vec<Unread>,
    /// Coded findings that the vocabulary does not have.
    pub unknown_findings: Vec<String>,
    /// Findings said both present and absent.
    pub contradictions: Vec<String>,
    /// Facts the model was given.
    pub fact_count: u32,
    /// Probability that the case lies outside the model's conditions.
    pub outside_probability: f32,
    /// Conditions the model knows.
    pub condition_count: u32,
    /// Plain sentences for the doctor.
    pub notes: Vec<String>,
}

/// An answered consultation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Consultation {
    /// Id.
    pub id: String,
    /// Request id, given or made.
    pub request_id: String,
    /// Milliseconds since 1970.
    pub created_ms: i64,
    /// The clinic's reference of the patient.
    pub patient_reference: String,
    /// Conditions, most probable first, those listed for safety at the end.
    pub conditions: Vec<Ranked>,
    /// Red flags, most urgent first.
    pub alarms: Vec<Alarm>,
    /// What was read from the text.
    pub mentions: Vec<ReadMention>,
    /// Values read from the text.
    pub values: Vec<ReadValue>,
    /// Findings as used.
    pub findings: Vec<Used>,
    /// What is not covered.
    pub limits: Limits,
    /// Where the patient belongs; none in answers kept before there was triage.
    #[serde(default)]
    pub triage: Option<Triage>,
    /// What to find out next, the most telling first.
    #[serde(default)]
    pub next: Vec<Ask>,
    /// Tests worth doing, the most telling first.
    #[serde(default)]
    pub tests: Vec<SuggestedTest>,
    /// Model id.
    pub model_id: String,
    /// Model version.
    pub model_version: String,
    /// Engine with its version.
    pub engine: String,
    /// Version of the diagnosis tables.
    pub knowledge_version: String,
}

/// What a list shows of a consultation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsultationLine {
    /// Id.
    pub id: String,
    /// Milliseconds since 1970.
    pub created_ms: i64,
    /// The clinic's reference of the patient.
    pub patient_reference: String,
    /// Most probable condition's id; empty where there is none.
    pub top_condition: String,
    /// How many red flags.
    pub red_flag_count: u32,
}

/// What every answer says it is not.
pub const DISCLAIMER_ZH: &str = "本结果由规则和统计模型生成，知识表由工程人员据文献整理，尚未经临床审核，仅供医生参考，不能代替医生的判断。";
