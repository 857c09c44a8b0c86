//! What is asked and what is answered.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::policy::{Ground, Mark, Situation};
use super::quality::SeriesFacts;
use super::reasons::Reason;
use crate::sharing::imaging::examination::Laterality;

/// An institution and where it lies.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Institution {
    /// Its id, as in `institutions.csv`.
    pub id: String,
    /// Code of its county (six digits, GB/T 2260), for example `361123`; empty if unknown.
    pub region: String,
}

/// A doctor's claim that one of the six grounds for examining again is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroundClaim {
    /// The ground.
    pub ground: Ground,
    /// The doctor's words; [`Ground::Other`] does not count without.
    pub explanation: String,
}

/// An examination that somebody is about to order, on the day of the policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Planned {
    /// Id in `examinations.csv`; `None` if what was written could not be told. A request for
    /// several is assessed once for each (see `Examinations::derive_request`).
    pub examination: Option<String>,
    /// Who asks.
    pub asking: Institution,
    /// How the patient is.
    pub situation: Situation,
    /// Side, where it matters.
    pub laterality: Option<Laterality>,
    /// Grounds for examining again that the doctor gives.
    pub grounds: Vec<GroundClaim>,
}

/// State of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Report {
    /// There is none.
    Absent,
    /// Written and not signed (`PARTIAL` or `UNVERIFIED`).
    Unsigned,
    /// Signed (`COMPLETE\VERIFIED`).
    Signed,
}

/// An examination that the patient has had. `None` is unknown throughout.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Existing {
    /// Its study instance UID or another reference.
    pub study: String,
    /// Ids in `examinations.csv`.
    pub examinations: Option<Vec<String>>,
    /// How sure these are, 0 to 1 (`Derived::confidence`); 1 where a person coded them.
    pub confidence: Option<f64>,
    /// Day on which it was made.
    #[serde(with = "super::rows::written_open_day")]
    pub date: Option<Date>,
    /// Who made it.
    pub institution: Institution,
    /// Marks of recognition on it. `None`: those of the institution, from the table, count.
    pub marks: Option<Vec<Mark>>,
    /// State of its report.
    pub report: Option<Report>,
    /// Side.
    pub laterality: Option<Laterality>,
    /// What is known of its series. The one that fits best counts; empty: nothing is known.
    pub series: Vec<SeriesFacts>,
}

/// What is to be thought of one existing study.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// It stands in the place of the planned examination.
    Recognised,
    /// It does; something about it is to be minded.
    RecognisedWithRemark,
    /// Something that decides it is not known.
    CannotSay,
    /// It does not.
    NotRecognised,
}

/// One existing study, judged.
#[derive(Debug, Clone, PartialEq)]
pub struct StudyAssessment {
    /// [`Existing::study`].
    pub study: String,
    /// What is to be thought of it.
    pub verdict: Verdict,
    /// Every rule that was looked at, those that spoke against it first.
    pub reasons: Vec<Reason>,
}

/// A ground that was claimed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroundReason {
    /// The ground.
    pub ground: Ground,
    /// Whether it counts.
    pub accepted: bool,
    /// Its clause.
    pub clause: String,
    /// For the doctor.
    pub doctor_zh: String,
    /// For the patient, who must be told why.
    pub patient_zh: String,
}

/// What follows for the planned examination.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Conclusion {
    /// An existing study stands in its place.
    NotNeeded,
    /// One would, but the doctor gives a ground for examining again.
    RepeatAllowed,
    /// None is recognised; of at least one it cannot be said.
    Unclear,
    /// None stands in its place.
    Needed,
}

/// The answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Assessment {
    /// Version of the tables.
    pub policy_version: String,
    /// Day whose rules were applied.
    pub date: Date,
    /// What follows.
    pub conclusion: Conclusion,
    /// Studies, the best first: by verdict, then the newest, then by reference.
    pub studies: Vec<StudyAssessment>,
    /// Grounds that were claimed.
    pub grounds: Vec<GroundReason>,
}
