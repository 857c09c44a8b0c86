//! Requirements on report and images.

use super::assess::Findings;
use super::policy::{Check, Policy, RequirementRow, Weight};
use super::quality::SeriesFacts;
use super::reasons::{Outcome, Reason, ReasonCode};
use super::study::Existing;

/// The name of a check in `requirements.csv`.
pub(super) fn known_as(check: Check) -> &'static str {
    match check {
        Check::SignedReport => "signed_report",
        Check::Confidence => "confidence",
        Check::Images => "images",
        Check::MissingNumbers => "missing_numbers",
        Check::MissingSlices => "missing_slices",
        Check::ThicknessMm => "thickness_mm",
        Check::CoverageMm => "coverage_mm",
        Check::NoBurnedIn => "no_burned_in",
        Check::SideMarked => "side_marked",
    }
}

/// How a reason counts when its requirement is only to be minded: it no longer decides, and what
/// is not known is still said.
pub(super) fn weighed(code: ReasonCode, weight: Weight) -> Outcome {
    match (weight, code.outcome()) {
        (Weight::Remark, Outcome::Failed | Outcome::Unknown) => Outcome::Remark,
        (Weight::Required | Weight::Remark, outcome) => outcome,
    }
}

/// The requirement of a signed report, if there is one.
pub(super) fn signed_report<'p>(policy: &'p Policy, held: &str) -> Option<&'p RequirementRow> {
    policy.requirements(held).into_iter().find(|r| r.check == Check::SignedReport)
}

/// What the requirements on images say of a study: of the series that fulfils them best, since a
/// localiser beside it does no harm.
pub(super) fn requirements(policy: &Policy, held: &str, study: &Existing) -> Vec<Reason> {
    let rows = policy.requirements(held);
    let mut findings = Findings::new(policy);
    if let Some(row) = rows.iter().find(|r| r.check == Check::Confidence) {
        let sure = study.confidence.unwrap_or(0.0);
        if sure.is_nan() || sure < row.limit.unwrap_or(1.0) {
            let code = ReasonCode::ExaminationUnsure;
            let values = values(sure, row);
            findings.add_as(code, weighed(code, row.weight), &values, Some(&row.source));
        }
    }
    let nothing = [SeriesFacts::default()];
    let series = if study.series.is_empty() { &nothing } else { study.series.as_slice() };
    let of_images = series
        .iter()
        .map(|facts| {
            let mut findings = Findings::new(policy);
            for row in &rows {
                if let Some((code, values)) = look(row, facts) {
                    let outcome = weighed(code, row.weight);
                    findings.add_as(code, outcome, &values, Some(&row.source));
                }
            }
            findings.reasons
        })
        .min_by_key(|reasons| {
            let count = |o| reasons.iter().filter(|r| r.outcome == o).count();
            let codes: Vec<ReasonCode> = reasons.iter().map(|r| r.code).collect();
            (count(Outcome::Failed), count(Outcome::Unknown), count(Outcome::Remark), codes)
        });
    findings.reasons.extend(of_images.unwrap_or_default());
    findings.reasons
}

type Values = Vec<(&'static str, String)>;

fn values(found: f64, row: &RequirementRow) -> Values {
    let limit = row.limit.unwrap_or_default();
    vec![("found", plain(found)), ("limit", plain(limit))]
}

/// A number as a person writes it: at most two decimals.
fn plain(n: f64) -> String {
    let text = format!("{n:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// What one requirement on images says of one series.
fn look(row: &RequirementRow, facts: &SeriesFacts) -> Option<(ReasonCode, Values)> {
    use ReasonCode as Code;
    let limit = row.limit.unwrap_or_default();
    let most = |found: Option<f64>, [met, failed, unknown]: [Code; 3]| match found {
        Some(found) if found <= limit => (met, values(found, row)),
        Some(found) => (failed, values(found, row)),
        None => (unknown, vec![("limit", plain(limit))]),
    };
    let least = |found: Option<f64>, [met, failed, unknown]: [Code; 3]| match found {
        Some(found) if found >= limit => (met, values(found, row)),
        Some(found) => (failed, values(found, row)),
        None => (unknown, vec![("limit", plain(limit))]),
    };
    let whether = |found: Option<bool>, [met, failed, unknown]: [Code; 3]| match found {
        Some(true) => (met, Vec::new()),
        Some(false) => (failed, Vec::new()),
        None => (unknown, Vec::new()),
    };
    let known = |n: Option<f64>| n.filter(|n| n.is_finite());
    Some(match row.check {
        Check::SignedReport | Check::Confidence => return None,
        Check::Images => least(
            facts.images.map(f64::from),
            [Code::ImagesEnough, Code::ImagesFew, Code::ImagesUnknown],
        ),
        Check::MissingNumbers => most(
            facts.missing_numbers.map(f64::from),
            [Code::NumbersComplete, Code::NumbersMissing, Code::NumbersUnknown],
        ),
        Check::MissingSlices => most(
            facts.missing_slices.map(f64::from),
            [Code::SlicesComplete, Code::SlicesMissing, Code::SlicesUnknown],
        ),
        Check::ThicknessMm => most(
            known(facts.slice_thickness_mm),
            [Code::ThicknessFits, Code::ThicknessThick, Code::ThicknessUnknown],
        ),
        Check::CoverageMm => least(
            known(facts.coverage_mm),
            [Code::CoverageFits, Code::CoverageShort, Code::CoverageUnknown],
        ),
        Check::NoBurnedIn => whether(
            facts.burned_in.map(|burned| !burned),
            [Code::PixelsClean, Code::PixelsBurned, Code::PixelsUnknown],
        ),
        Check::SideMarked => whether(
            facts.side_marked,
            [Code::SideMarked, Code::SideUnmarked, Code::SideMarkUnknown],
        ),
    })
}
