//! Treatment plans (治疗方案): decision tables in the shape of WHO's digital adaptation kits, joined
//! with the prescription check.
//!
//! [`TreatmentKnowledge`] is loaded once from the cited tables under `models/treatment/`.
//! [`TreatmentKnowledge::recommend`] is pure: it chooses the plans of the diagnoses, the rows that
//! certainly hold, and for each group of medicines the first that passes the prescription check
//! with this patient. What would decide further rows is asked for; where two guidelines disagree,
//! both are shown with the one that is followed.

mod answer;
mod loading;
mod recommend;
#[cfg(test)]
mod tests;
mod when;

pub use answer::{Advice, Disagreement, Other, Planned, Recommendation, Rejected, WantedInput};
pub use loading::{Conflict, Plan, Section, TreatmentKnowledge, Urgency};
pub use recommend::{DIAGNOSES_MAX, FLAGS_MAX, PLANS_MAX, PlanQuery};
pub use when::Number;
