//! Retrospective review of prescriptions (处方点评): the same checks over thousands, and the
//! statistics that inspectors ask for. Nothing is kept but the entry in the audit trail.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::App;
use super::access::{Action, Caller, authorise};
use super::error::Error;
use super::knowledge::Knowledge;
use super::prescription_check::{Demand, Problem};
use super::request::CheckRequest;
use crate::medicine::prescription::{Facts, rule_row};

/// A review under way.
#[derive(Debug)]
pub struct Review {
    knowledge: Arc<Knowledge>,
    tally: Tally,
}

/// What one prescription came to.
#[derive(Debug, Clone, PartialEq)]
pub struct Reviewed {
    /// Findings that are not for request only.
    pub problems: Vec<Problem>,
    /// Review items, ascending.
    pub review_codes: Vec<String>,
    /// Things that could not be checked.
    pub unchecked_count: u32,
    /// Why it could not be reviewed; empty when it was.
    pub rejected: Vec<String>,
}

/// Counts of a review.
#[derive(Debug, Clone, Default, PartialEq)]
struct Tally {
    reviewed: u32,
    rejected: u32,
    medicines: u64,
    essential: u64,
    antibiotic: u32,
    antibiotic_combination: u32,
    injection: u32,
    infusion: u32,
    glucocorticoid: u32,
    rational: u32,
    stop: u32,
    needs_reason: u32,
    unchecked: u32,
    codes: BTreeMap<(u32, u32), (String, u32)>,
}

/// What inspectors ask for. Shares are of the prescriptions reviewed.
#[derive(Debug, Clone, PartialEq)]
pub struct Statistics {
    /// Prescriptions reviewed.
    pub prescription_count: u32,
    /// Prescriptions that could not be read.
    pub rejected_count: u32,
    /// Medicines on average.
    pub mean_medicines: f64,
    /// With an antibiotic.
    pub antibiotic_share: f64,
    /// With two or more.
    pub antibiotic_combination_share: f64,
    /// With an injection.
    pub injection_share: f64,
    /// With an infusion.
    pub infusion_share: f64,
    /// With a systemic glucocorticoid.
    pub glucocorticoid_share: f64,
    /// Medicines on the essential list, of all medicines.
    pub essential_medicine_share: f64,
    /// Without a finding that is shown unasked.
    pub rational_share: f64,
    /// With a finding that says STOP.
    pub stop_share: f64,
    /// With a finding that asks for a reason.
    pub needs_reason_share: f64,
    /// With something that could not be checked.
    pub unchecked_share: f64,
    /// Review item, its words, and the prescriptions under it.
    pub codes: Vec<(String, String, u32)>,
    /// Version of the tables.
    pub rule_version: String,
}

impl App {
    /// Begins a review on the tables of this moment.
    pub fn begin_review(&self, caller: &Caller) -> Result<Review, Error> {
        authorise(caller, Action::ReviewPrescriptions)?;
        Ok(Review { knowledge: self.knowledge.load_full(), tally: Tally::default() })
    }

    /// Ends a review: the audit trail says that it happened.
    pub async fn end_review(&self, caller: &Caller, review: &Review) -> Result<Statistics, Error> {
        let permit = authorise(caller, Action::ReviewPrescriptions)?;
        self.journal.audit(&permit, self.entry("", "")).await?;
        Ok(review.statistics())
    }
}

impl Review {
    /// Reviews one prescription. One that breaks the contract is counted and told, and does not
    /// end the review.
    pub fn add(&mut self, request: Result<CheckRequest, Error>) -> Reviewed {
        let request = request.and_then(|request| request.validate().map(|()| request));
        let request = match request {
            Ok(request) => request,
            Err(error) => {
                self.tally.rejected = self.tally.rejected.saturating_add(1);
                let rejected = match error {
                    Error::Invalid(problems) => problems
                        .into_iter()
                        .map(|p| format!("{}: {}", p.field, p.allowed))
                        .collect(),
                    other @ (Error::Unauthenticated
                    | Error::Denied { .. }
                    | Error::Withheld { .. }
                    | Error::NotFound { .. }
                    | Error::RequestIdReused
                    | Error::TooLarge { .. }
                    | Error::Overloaded { .. }
                    | Error::Unavailable { .. }
                    | Error::DeadlineExceeded
                    | Error::Refused { .. }
                    | Error::Internal { .. }) => vec![other.to_string()],
                };
                return Reviewed {
                    problems: Vec::new(),
                    review_codes: Vec::new(),
                    unchecked_count: 0,
                    rejected,
                };
            }
        };
        let (report, facts) = self.knowledge.prescription.review(&request.order);
        let problems: Vec<Problem> = report.findings.into_iter().map(Problem::from).collect();
        let problems: Vec<Problem> =
            problems.into_iter().filter(|p| p.demand != Demand::OnRequest).collect();
        let mut codes: Vec<(u32, u32)> =
            problems.iter().filter_map(|p| order(&p.review_code)).collect();
        codes.sort_unstable();
        codes.dedup();
        let unchecked = report.unchecked.iter().filter(|u| !u.on_request).count();
        self.tally.add(&problems, &codes, unchecked > 0, &facts);
        Reviewed {
            review_codes: codes.iter().map(|(a, b)| format!("{a}-{b}")).collect(),
            problems,
            unchecked_count: u32::try_from(unchecked).unwrap_or(u32::MAX),
            rejected: Vec::new(),
        }
    }

    fn statistics(&self) -> Statistics {
        let t = &self.tally;
        let of = |n: u32| share(f64::from(n), f64::from(t.reviewed));
        let sources = self.knowledge.prescription.formulary().sources();
        let name = |code: &str| {
            let row = rule_row(&self.knowledge.tables, sources, code);
            row.and_then(|row| row.cell("zh")).unwrap_or_default()
        };
        Statistics {
            prescription_count: t.reviewed,
            rejected_count: t.rejected,
            mean_medicines: share(wide(t.medicines), f64::from(t.reviewed)),
            antibiotic_share: of(t.antibiotic),
            antibiotic_combination_share: of(t.antibiotic_combination),
            injection_share: of(t.injection),
            infusion_share: of(t.infusion),
            glucocorticoid_share: of(t.glucocorticoid),
            essential_medicine_share: share(wide(t.essential), wide(t.medicines)),
            rational_share: of(t.rational),
            stop_share: of(t.stop),
            needs_reason_share: of(t.needs_reason),
            unchecked_share: of(t.unchecked),
            codes: t.codes.values().map(|(code, n)| (code.clone(), name(code), *n)).collect(),
            rule_version: self.knowledge.prescription.version().to_owned(),
        }
    }
}

impl Tally {
    fn add(&mut self, problems: &[Problem], codes: &[(u32, u32)], unchecked: bool, facts: &Facts) {
        let has = |demand: Demand| u32::from(problems.iter().any(|p| p.demand == demand));
        self.reviewed = self.reviewed.saturating_add(1);
        self.medicines = self.medicines.saturating_add(facts.medicines);
        self.essential = self.essential.saturating_add(facts.essential);
        self.antibiotic += u32::from(facts.antibiotics > 0);
        self.antibiotic_combination += u32::from(facts.antibiotics > 1);
        self.injection += u32::from(facts.injection);
        self.infusion += u32::from(facts.infusion);
        self.glucocorticoid += u32::from(facts.glucocorticoid);
        self.rational += u32::from(problems.is_empty());
        self.stop += has(Demand::Stop);
        self.needs_reason += has(Demand::NeedsReason);
        self.unchecked += u32::from(unchecked);
        for (class, item) in codes {
            let entry = self.codes.entry((*class, *item));
            entry.or_insert_with(|| (format!("{class}-{item}"), 0)).1 += 1;
        }
    }
}

/// `2-10` as numbers, so that it comes after `2-9`.
fn order(code: &str) -> Option<(u32, u32)> {
    let (class, item) = code.split_once('-')?;
    Some((class.parse().ok()?, item.parse().ok()?))
}

fn share(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}

fn wide(n: u64) -> f64 {
    f64::from(u32::try_from(n).unwrap_or(u32::MAX))
}
