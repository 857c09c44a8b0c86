//! One set of tasks for one stay, of which a hospital may send several records: the front sheet, the
//! summary, the record of discharge.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use super::{Basis, Task};
use crate::sharing::discharge::Format;
use crate::sharing::discharge::programmes::Programme;

/// What has become of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Nobody has said anything of it yet.
    Untouched,
    /// It is done, or somebody works at it.
    Taken,
    /// It is not to be done, as somebody said of this one.
    Dropped,
}

/// A task of a record of a stay.
#[derive(Debug, Clone)]
pub struct StayTask {
    /// Its id.
    pub id: String,
    /// What is to be done.
    pub task: Task,
    /// What has become of it.
    pub progress: Progress,
}

/// A record of a stay, with its tasks.
#[derive(Debug, Clone)]
pub struct StayRecord {
    /// Its name.
    pub name: String,
    /// Name of the format it came in.
    pub format: String,
    /// Programmes it belongs to.
    pub programmes: Vec<Programme>,
    /// Its tasks.
    pub tasks: Vec<StayTask>,
}

/// Which tasks need not be done because of another record of the stay: the id of the task, and the name
/// of that record. Only tasks of which nobody has said anything yet. The order of the records makes no
/// difference.
pub fn covered(records: &[StayRecord]) -> BTreeMap<String, String> {
    let mut ranked: Vec<&StayRecord> = records.iter().collect();
    ranked.sort_by(|a, b| (rank(&a.format), &a.name).cmp(&(rank(&b.format), &b.name)));
    let mut found = BTreeMap::new();
    for (at, record) in ranked.iter().enumerate() {
        for task in record.tasks.iter().filter(|task| task.progress == Progress::Untouched) {
            let others = ranked.iter().enumerate().filter(|(other, _)| *other != at);
            let by =
                others.into_iter().find(|(other, by)| stands_for(by, (record, task), *other < at));
            if let Some((_, by)) = by {
                found.insert(task.id.clone(), by.name.clone());
            }
        }
    }
    found
}

/// Formats by how much they say of what is to come: the lowest first.
fn rank(format: &str) -> u8 {
    let imports = [Format::CdaWst500_49, Format::Ccda, Format::CdaWst500_25, Format::CdaWst500_32];
    let at = imports.iter().position(|import| import.name() == format);
    at.map_or(0, |at| u8::try_from(at + 1).unwrap_or(u8::MAX))
}

/// Whether one record makes a task of another one needless. `goes_first`: of two that could stand for
/// each other it is this one.
fn stands_for(by: &StayRecord, (of, asked): (&StayRecord, &StayTask), goes_first: bool) -> bool {
    if by.tasks.iter().any(|other| other.task.basis == Basis::Death) {
        return asked.task.basis != Basis::Death || goes_first;
    }
    if asked.task.basis == Basis::Unsaid {
        return says(by, of, asked) || same(by, asked, goes_first);
    }
    same(by, asked, goes_first)
}

/// Whether a record says what the other one does not: it would have the task as well if it did not.
fn says(by: &StayRecord, of: &StayRecord, asked: &StayTask) -> bool {
    let mut programmes = asked.task.programmes.iter();
    let looked = if asked.task.programmes.is_empty() {
        by.programmes.is_empty() == of.programmes.is_empty()
    } else {
        programmes.all(|programme| by.programmes.contains(programme))
    };
    looked
        && !by.tasks.is_empty()
        && by.tasks.iter().all(|other| other.task.rule != asked.task.rule)
}

/// Whether a record has the same task, which asks for no less.
fn same(by: &StayRecord, asked: &StayTask, goes_first: bool) -> bool {
    by.tasks.iter().any(|other| {
        let (one, another) = (&other.task, &asked.task);
        if one.rule != another.rule || one.wording_zh != another.wording_zh {
            return false;
        }
        let no_fewer = another.programmes.iter().all(|p| one.programmes.contains(p));
        match other.progress {
            Progress::Taken => no_fewer,
            Progress::Dropped => false,
            Progress::Untouched => {
                let no_later = sooner(one, another) != Ordering::Greater;
                let both = one.programmes.len() == another.programmes.len()
                    && sooner(one, another) == Ordering::Equal;
                no_fewer && no_later && (!both || goes_first)
            }
        }
    })
}

/// Which of two is due first; one without a day last.
fn sooner(one: &Task, another: &Task) -> Ordering {
    (one.due.is_none(), one.due).cmp(&(another.due.is_none(), another.due))
}
