//! What the time that something has lasted says: a cough of three weeks is more than a cough.

use serde::Deserialize;

use super::{FindingId, FindingKind, Vocabulary};
use crate::tables::files::{Files, LoadError};
use crate::tables::table::{Status, rows};

/// The table of findings that a stated duration entails.
pub const DURATIONS: &str = "diagnosis/durations.csv";

/// A finding that a stated duration entails (one row of `durations.csv`).
#[derive(Debug, Clone, PartialEq)]
pub struct TimedFinding {
    /// The finding entailed.
    pub finding: FindingId,
    /// What lasts; `None` for the illness as a whole.
    pub of: Option<FindingId>,
    /// From this many days on, inclusive.
    pub min_days: f32,
    /// To this many days, exclusive; `None` for no end.
    pub max_days: Option<f32>,
    /// `<source id>` or `<source id>#<locator>`.
    pub source: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    finding: String,
    of: String,
    min_days: f32,
    max_days: Option<f32>,
    source: String,
    #[serde(rename = "status")]
    _status: Status,
}

impl TimedFinding {
    /// Whether something that has lasted for `least_days` to `most_days` entails the finding
    /// (true), excludes it (false), or leaves it open. Of a vague time for the whole illness
    /// ("several days") the middle counts; one course is known when no other is denied.
    pub fn holds(&self, least_days: f32, most_days: f32) -> Option<bool> {
        let within =
            |days: f32| days >= self.min_days && self.max_days.is_none_or(|max| days < max);
        if self.of.is_none() {
            return within(f32::midpoint(least_days, most_days)).then_some(true);
        }
        if within(least_days) && within(most_days) {
            return Some(true);
        }
        (most_days < self.min_days).then_some(false)
    }
}

/// Reads and checks [`DURATIONS`]; a set of tables without it knows none.
pub(super) fn timed(
    files: &Files,
    vocabulary: &Vocabulary,
) -> Result<Vec<TimedFinding>, LoadError> {
    if !files.paths().any(|path| path == DURATIONS) {
        return Ok(Vec::new());
    }
    let mut out: Vec<TimedFinding> = Vec::new();
    for (line, row) in rows::<Row>(files, DURATIONS)? {
        let refuse = |message: String| Err(LoadError::line(DURATIONS, line, message));
        let finding = vocabulary.require_finding(DURATIONS, line, &row.finding)?;
        let of = match row.of.as_str() {
            "" => None,
            of => Some(vocabulary.require_finding(DURATIONS, line, of)?),
        };
        vocabulary.sources.check(DURATIONS, line, &row.source)?;
        let max = row.max_days.unwrap_or(f32::INFINITY);
        if !(row.min_days >= 0.0 && row.min_days < max) {
            return refuse(format!("needs 0 <= min_days < max_days, has {} {max}", row.min_days));
        }
        if out.iter().any(|other| other.finding == finding) {
            return refuse(format!("`{}` stands twice", row.finding));
        }
        let course = vocabulary.get_finding(finding).map(|f| f.kind) == Some(FindingKind::Course);
        if course != of.is_none() {
            return refuse("a course, and only a course, lasts as long as the illness".to_owned());
        }
        out.push(TimedFinding {
            finding,
            of,
            min_days: row.min_days,
            max_days: row.max_days,
            source: row.source,
        });
    }
    Ok(out)
}
