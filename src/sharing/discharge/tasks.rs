//! What the village is to do for a patient who has been discharged: dated follow-up tasks, each
//! with its reasons and their sources.
//!
//! The rules are rows of `models/records/follow_up.csv`; the measurements that they look at are
//! known by `measures.csv`. Rows of one rule that hold together (a visit that hypertension and
//! diabetes both ask for) are one task with several reasons. What the record does not say is a
//! task of its own, and never passes as fine. Pure: the same record gives the same tasks, in the
//! same order.
//!
//! Where a hospital sends several records of one stay, [`stay`] tells which tasks stand for which.
//!
//! Deliberately absent: whether a task is done, who does it, and what the clinic prescribes.

mod dates;
mod making;
mod measured;
pub mod stay;
mod tables;

#[cfg(test)]
mod stay_tests;
#[cfg(test)]
mod tests;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::model::{DischargeRecord, Target};
use super::programmes::{Membership, Programme};

pub use dates::relative_due;
pub use tables::FollowUpTables;

/// What kind of task it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskKind {
    /// Refer the patient at once.
    ReferNow,
    /// Refer if it is found again.
    Refer,
    /// See the patient.
    Visit,
    /// Measure something.
    Measure,
    /// Look through the patient's medicines.
    MedicineReview,
    /// What the hospital asked for.
    HospitalRequest,
    /// Anything else.
    Other,
}

/// Why a task is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskReason {
    /// In Chinese, for the doctor.
    pub text_zh: String,
    /// The row, as `file:line`.
    pub row: String,
    /// The row's source, as a person reads it.
    pub source: String,
}

/// What of a record a task follows from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// From what it says.
    #[default]
    Said,
    /// From what it does not say, and another record of the stay may.
    Unsaid,
    /// From the patient's death.
    Death,
}

/// A follow-up task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Task {
    /// Stable within the record and over its versions: the rule, and after `#` which of several
    /// (the visit of the year, the medicine or the request in the record's order, from 1).
    pub id: String,
    /// The rule's stable id.
    pub rule: String,
    /// The programmes that ask for it; empty if it is asked for in any case.
    pub programmes: Vec<Programme>,
    /// What kind.
    pub kind: TaskKind,
    /// What it follows from; said where tasks from before do not tell.
    #[serde(default)]
    pub basis: Basis,
    /// Not before this day.
    #[serde(with = "dates::written")]
    pub earliest: Option<Date>,
    /// Not after this day; none where no day can be said, and then a reason says why.
    #[serde(with = "dates::written")]
    pub due: Option<Date>,
    /// What is to be done, in Chinese.
    pub wording_zh: String,
    /// Why; never empty.
    pub reasons: Vec<TaskReason>,
    /// Values to be reached, as the hospital set them.
    pub targets: Vec<Target>,
}

/// The tasks of a record that belongs to `programmes`, those to refer at once first, then by due
/// day, then by id. A record that was entered in error has none; that of a patient who died has
/// the one to close the file.
pub fn tasks(
    record: &DischargeRecord,
    programmes: &[Membership],
    rules: &FollowUpTables,
) -> Vec<Task> {
    if record.document.entered_in_error {
        return Vec::new();
    }
    let mut tasks = making::all(record, programmes, rules);
    tasks.sort_by(|a, b| {
        let key = |task: &Task| (task.kind != TaskKind::ReferNow, task.due.is_none(), task.due);
        key(a).cmp(&key(b)).then_with(|| a.id.cmp(&b.id))
    });
    tasks
}
