//! Mutual recognition (互认): whether an examination that a patient has had elsewhere stands in
//! the place of one that is planned, and why or why not, in words for doctor and patient.
//!
//! The rules are dated rows under `models/imaging/recognition/`. [`Policies::on`] gives those in
//! force on a day, [`assess`] applies them, [`explain`] works a past decision out again by the
//! rules of its day. What is not known of a study is said and never passes as fulfilled. Nothing
//! here decides: 以接诊医师判断为标准, the doctor does.

mod assess;
mod checks;
mod decision;
mod listing;
mod policy;
mod quality;
mod reasons;
mod rows;
mod study;

#[cfg(test)]
mod tests;

pub use assess::assess;
pub use decision::{Decision, DecisionRecord, Explanation, explain};
pub use listing::{Item, Required};
pub use policy::{Ground, GroundText, Level, Mark, Policies, Policy, Situation};
pub use quality::{SeriesFacts, series_quality};
pub use reasons::{Outcome, Reason, ReasonCode};
pub use study::{
    Assessment, Conclusion, Existing, GroundClaim, GroundReason, Institution, Planned, Report,
    StudyAssessment, Verdict,
};
