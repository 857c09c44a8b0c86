//! What the tests of recognition share.

mod assessing;
mod decisions;
mod loading;
mod properties;
mod quality;

use std::sync::LazyLock;

use jiff::civil::Date;

use super::{
    Existing, Institution, Level, Mark, Planned, Policies, Policy, ReasonCode, Report, SeriesFacts,
    Situation, StudyAssessment,
};
use crate::sharing::imaging::examination::Examinations;
use crate::tables::files::Files;

/// The day on which the tests ask.
const TODAY: &str = "2026-06-15";
/// A county, its city and its province.
const COUNTY: &str = "361123";
const OTHER_COUNTY: &str = "361102";
const OTHER_CITY: &str = "360102";
const OTHER_PROVINCE: &str = "330102";

fn day(text: &str) -> Date {
    text.parse().unwrap()
}

fn load(files: &Files) -> Policies {
    Policies::load(files, &Examinations::load(files).unwrap()).unwrap()
}

/// The shipped rules, read once: property tests ask for them often.
fn policies() -> Policies {
    static SHIPPED: LazyLock<Policies> = LazyLock::new(|| load(&crate::embedded::files()));
    SHIPPED.clone()
}

fn today() -> Policy {
    policies().on(day(TODAY))
}

fn institution(id: &str, region: &str) -> Institution {
    Institution { id: id.to_owned(), region: region.to_owned() }
}

fn planned(examination: &str) -> Planned {
    Planned {
        examination: Some(examination.to_owned()),
        asking: institution("asking", COUNTY),
        situation: Situation::Any,
        laterality: None,
        grounds: Vec::new(),
    }
}

fn mark(level: Level, scope: &str) -> Mark {
    Mark { level, scope: scope.to_owned(), valid_from: day("2022-03-01"), valid_to: None }
}

/// Facts that no requirement objects to.
fn good_series() -> SeriesFacts {
    SeriesFacts {
        images: Some(300),
        missing_numbers: Some(0),
        missing_slices: Some(0),
        slice_thickness_mm: Some(1.0),
        coverage_mm: Some(500.0),
        burned_in: Some(false),
        side_marked: Some(true),
    }
}

/// A study of ten days ago in another county of the same city that nothing speaks against.
fn good(examination: &str) -> Existing {
    Existing {
        study: "1.2.3".to_owned(),
        examinations: Some(vec![examination.to_owned()]),
        confidence: Some(0.95),
        date: Some(day("2026-06-05")),
        institution: institution("holding", OTHER_COUNTY),
        marks: Some(vec![mark(Level::City, "3611")]),
        report: Some(Report::Signed),
        laterality: None,
        series: vec![good_series()],
    }
}

fn has(study: &StudyAssessment, code: ReasonCode) -> bool {
    study.reasons.iter().any(|r| r.code == code)
}
