//! Discharge records (出院小结): what one holds ([`model`]), what can be wrong with one
//! ([`problems`]), and when something is said to have happened ([`moment`]); what it means: the
//! programmes to which it belongs ([`programmes`]), the tasks that follow from it
//! ([`mod@tasks`]); where an address is ([`divisions`]).
//!
//! Nothing here is about transport or storage. The bytes that a sender sent are always kept beside
//! what is read from them, so that nothing is lost where the model has no place for it.

pub mod cda;
pub mod divisions;
pub mod fhir;
pub mod model;
pub mod moment;
mod outcome;
pub mod plausible;
pub mod problems;
pub mod programmes;
pub mod tasks;
#[cfg(test)]
pub(crate) mod testing;
mod units;

pub use model::DischargeRecord;
pub use moment::Moment;
pub use problems::{Format, Problem, Reading, Severity, Unplaced};
pub use programmes::{Membership, Memberships, Programme, Programmes};
pub use tasks::{FollowUpTables, Task, TaskKind, TaskReason, tasks};
