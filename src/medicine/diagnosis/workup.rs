//! Tests worth doing: which one's result would tell most about the likely conditions.
//!
//! A test shows several findings; it is worth what they would tell together at most, the sum of
//! their expected information (see `interview`). Where it can be done is a column of the table.

use std::collections::BTreeSet;

use serde::Deserialize;

use super::interview::Situation;
use crate::medicine::vocabulary::{ConditionId, FindingId, Referral, Vocabulary};
use crate::tables::files::{Files, LoadError};
use crate::tables::table::{Status, list, rows};

/// The table of tests.
pub const TESTS: &str = "diagnosis/tests.csv";

/// Information, in nats, below which a test is not worth doing.
const WORTH_MIN: f32 = 0.03;
/// Conditions named as what a test is about.
const ABOUT_MAX: usize = 3;

/// A test (one row of `tests.csv`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Test {
    /// Slug.
    pub id: String,
    /// Chinese name.
    pub name_zh: String,
    /// English name.
    pub name_en: String,
    /// Lowest level of care that has it.
    pub level: Referral,
    /// What it can show.
    pub findings: Vec<FindingId>,
    /// `<source id>` or `<source id>#<locator>`.
    pub source: String,
    /// Whether a clinician has reviewed the row.
    pub status: Status,
}

/// A test worth doing.
#[derive(Debug, Clone, PartialEq)]
pub struct Suggestion<'a> {
    /// The test.
    pub test: &'a Test,
    /// Expected information, in nats, conditions that must not be missed counted twice.
    pub worth: f32,
    /// The conditions that its findings would move up most.
    pub about: Vec<ConditionId>,
}

/// All tests, in the order of the table.
#[derive(Debug, Clone, Default)]
pub struct Workup {
    tests: Vec<Test>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    id: String,
    name_zh: String,
    name_en: String,
    level: Referral,
    findings: String,
    source: String,
    status: Status,
}

impl Workup {
    /// Loads [`TESTS`]; a set of tables without it knows none. Refuses an uncited row, an id that
    /// stands twice, an unknown finding, a test that shows nothing.
    pub fn load(files: &Files, vocabulary: &Vocabulary) -> Result<Self, LoadError> {
        let mut tests: Vec<Test> = Vec::new();
        if !files.paths().any(|path| path == TESTS) {
            return Ok(Self { tests });
        }
        for (line, row) in rows::<Row>(files, TESTS)? {
            let refuse = |message: String| LoadError::line(TESTS, line, message);
            vocabulary.sources().check(TESTS, line, &row.source)?;
            let findings = list(&row.findings)
                .map(|slug| vocabulary.require_finding(TESTS, line, slug))
                .collect::<Result<Vec<_>, _>>()?;
            if row.id.is_empty() || row.name_zh.is_empty() || findings.is_empty() {
                return Err(refuse("needs an id, a name and what it can show".to_owned()));
            }
            if tests.iter().any(|test| test.id == row.id) {
                return Err(refuse(format!("`{}` stands twice", row.id)));
            }
            tests.push(Test {
                id: row.id,
                name_zh: row.name_zh,
                name_en: row.name_en,
                level: row.level,
                findings,
                source: row.source,
                status: row.status,
            });
        }
        Ok(Self { tests })
    }

    /// All tests.
    pub fn tests(&self) -> &[Test] {
        &self.tests
    }

    /// The tests worth doing in `situation`, the most telling first, at most `count`. A test of
    /// which something is known already is not done again.
    pub fn suggest(&self, situation: &Situation<'_>, count: usize) -> Vec<Suggestion<'_>> {
        let known = |test: &Test| {
            test.findings.iter().any(|finding| situation.evidence.state(*finding).is_some())
        };
        let open: Vec<&Test> = self.tests.iter().filter(|test| !known(test)).collect();
        let wanted: BTreeSet<FindingId> =
            open.iter().flat_map(|test| &test.findings).copied().collect();
        let told = situation.told_by(&wanted);
        let mut out: Vec<Suggestion<'_>> = open
            .into_iter()
            .filter_map(|test| {
                let shown: Vec<_> = test.findings.iter().filter_map(|id| told.get(id)).collect();
                let worth: f32 = shown.iter().map(|question| question.worth).sum();
                let mut about: Vec<ConditionId> = Vec::new();
                for condition in shown.iter().flat_map(|question| &question.about) {
                    if about.len() < ABOUT_MAX && !about.contains(condition) {
                        about.push(*condition);
                    }
                }
                (worth >= WORTH_MIN).then_some(Suggestion { test, worth, about })
            })
            .collect();
        out.sort_by(|a, b| b.worth.total_cmp(&a.worth).then(a.test.id.cmp(&b.test.id)));
        out.truncate(count);
        out
    }
}

#[cfg(test)]
#[path = "workup_tests.rs"]
mod tests;
