//! Measures the node's own decisions on files of cases, JSON Lines, one case a line.
//!
//! Names in a case are resolved through the node's vocabulary, then as free text; what cannot be
//! resolved is counted and listed with its case, never dropped in silence. Nothing is kept.

mod cases;
mod diagnosis;
mod prescription;
mod reading;
mod scores;
mod terms;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

pub use cases::{DiagnosisCase, PrescriptionCase, ReadingCase};
pub use diagnosis::{DiagnosisOptions, Input, Watch};

/// A case file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CaseError {
    /// A line is no case.
    #[error("line {line}: {source}")]
    Line {
        /// Line, from 1.
        line: usize,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// No line is a case.
    #[error("the file holds no case")]
    Empty,
}

/// What a run found: the report, and one value per case.
#[derive(Debug, Clone)]
pub struct Evaluation {
    /// The report.
    pub report: Value,
    /// One object per case, in the order of the file.
    pub cases: Vec<Value>,
}

/// Cases of a file, blank lines left out, and how many fields nobody knows.
pub fn parse<T: DeserializeOwned + HasExtra>(text: &str) -> Result<(Vec<T>, usize), CaseError> {
    let mut cases = Vec::new();
    let mut unknown = 0;
    for (i, line) in text.lines().enumerate() {
        let line_text = line.trim_start_matches('\u{feff}').trim();
        if line_text.is_empty() {
            continue;
        }
        let case: T = serde_json::from_str(line_text)
            .map_err(|source| CaseError::Line { line: i + 1, source })?;
        unknown += case.extra().len();
        cases.push(case);
    }
    if cases.is_empty() { Err(CaseError::Empty) } else { Ok((cases, unknown)) }
}

/// A case that keeps the fields it does not know.
pub trait HasExtra {
    /// Fields nobody knows.
    fn extra(&self) -> &Map<String, Value>;
}
