//! `courses.csv`: courses that last longer than an ordinary prescription may, by what they treat.

use serde::Deserialize;

use super::lists::Listed;
use crate::medicine::prescription::diseases::Icd;
use crate::medicine::prescription::formulary::Formulary;
use crate::tables::files::{Files, LoadError};
use crate::tables::table::Status;

const PATH: &str = "prescription/courses.csv";

/// One row.
#[derive(Debug)]
pub(in crate::medicine::prescription) struct Course {
    /// Prefixes of the diseases that it is for.
    pub(in crate::medicine::prescription) icd: Vec<Icd>,
    /// Days of the whole course at most.
    pub(in crate::medicine::prescription) days: f64,
}

/// All courses, by medicine.
pub(in crate::medicine::prescription) type Courses = Listed<Course>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    id: String,
    subject: String,
    icd: String,
    days: f64,
    reason_zh: String,
    source: String,
    status: Status,
}

impl Courses {
    pub(in crate::medicine::prescription) fn read(
        files: &Files,
        formulary: &Formulary,
    ) -> Result<Self, LoadError> {
        Self::load(files, formulary, PATH, |checks, line, row: Row| {
            checks.origin(line, &row.id, &row.source, row.status)?;
            checks.filled(line, "icd", &row.icd)?;
            checks.filled(line, "reason_zh", &row.reason_zh)?;
            if !(row.days > 0.0 && row.days <= 366.0) {
                return Err(LoadError::line(PATH, line, "days must be above 0 and at most 366"));
            }
            let course = Course { icd: checks.prefixes(line, &row.icd)?, days: row.days };
            Ok((checks.subjects(line, &row.subject)?, course))
        })
    }
}
