//! `cautions.csv`: what speaks against a medicine in this patient, at this dose or beside that
//! other medicine. One row is one fact; all its filled conditions must hold together.

use std::collections::HashMap;

use serde::Deserialize;

use super::{BySubject, Origin, Rows, TableAction, TableSeverity, place};
use crate::medicine::patient::Sex;
use crate::medicine::prescription::diseases::Icd;
use crate::medicine::prescription::formulary::{Formulary, Medicine, Subject};
use crate::medicine::prescription::quantity::Quantity;
use crate::medicine::prescription::report::{Action, Severity};
use crate::medicine::prescription::route::Routes;
use crate::tables::files::{Files, LoadError};
use crate::tables::table::{Status, list, rows};

const PATH: &str = "prescription/cautions.csv";

/// What a caution is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::medicine::prescription) enum CautionKind {
    /// Too young, or a dose form not for this age.
    Age,
    /// Not for this sex.
    Sex,
    /// 65 years and over.
    Elderly,
    /// Breastfeeding.
    Lactation,
    /// A disease of the patient.
    Disease,
    /// Kidney function.
    Renal,
    /// Liver function.
    Hepatic,
    /// A test that should be known.
    Monitoring,
    /// A protecting medicine that is missing.
    Protective,
    /// Food and alcohol.
    FoodAlcohol,
    /// A route that must not be used.
    Route,
}

/// One row.
#[derive(Debug)]
pub(in crate::medicine::prescription) struct Caution {
    pub(in crate::medicine::prescription) origin: Origin,
    pub(in crate::medicine::prescription) kind: CautionKind,
    pub(in crate::medicine::prescription) routes: Routes,
    /// Whether the row names its routes.
    pub(in crate::medicine::prescription) routes_named: bool,
    /// Completed months, from (inclusive) and to (exclusive).
    pub(in crate::medicine::prescription) age_m: (Option<f64>, Option<f64>),
    pub(in crate::medicine::prescription) sex: Option<Sex>,
    pub(in crate::medicine::prescription) icd: Vec<Icd>,
    /// mL/min/1.73 m².
    pub(in crate::medicine::prescription) egfr_below: Option<f64>,
    /// Multiples of the upper limit of ALT.
    pub(in crate::medicine::prescription) alt_from: Option<f64>,
    pub(in crate::medicine::prescription) daily_over: Option<Quantity>,
    pub(in crate::medicine::prescription) days_over: Option<f64>,
    pub(in crate::medicine::prescription) with: Vec<Subject>,
    pub(in crate::medicine::prescription) without: Vec<Subject>,
    /// Name of a test that must not be known for the row to hold.
    pub(in crate::medicine::prescription) test: String,
    pub(in crate::medicine::prescription) action: Action,
    pub(in crate::medicine::prescription) severity: Severity,
    pub(in crate::medicine::prescription) reason_zh: String,
    pub(in crate::medicine::prescription) instead_zh: String,
}

/// All rows by what they speak of.
#[derive(Debug)]
pub(in crate::medicine::prescription) struct Cautions {
    rules: Vec<Caution>,
    by_subject: BySubject,
    /// Rows that hold for every patient: advice that goes with the medicine, and no finding.
    advice: BySubject,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    id: String,
    kind: CautionKind,
    subject: String,
    route: String,
    age_from_m: Option<f64>,
    age_to_m: Option<f64>,
    sex: Option<RowSex>,
    icd: String,
    egfr_below: Option<f64>,
    alt_from: Option<f64>,
    daily_over: String,
    days_over: Option<f64>,
    with: String,
    without: String,
    test: String,
    action: TableAction,
    severity: TableSeverity,
    reason_zh: String,
    instead_zh: String,
    source: String,
    status: Status,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum RowSex {
    M,
    F,
}

impl Cautions {
    pub(in crate::medicine::prescription) fn load(
        files: &Files,
        formulary: &Formulary,
    ) -> Result<Self, LoadError> {
        let mut checks = Rows::new(formulary, PATH);
        let mut all = Self {
            rules: Vec::new(),
            by_subject: BySubject::new(formulary),
            advice: BySubject::new(formulary),
        };
        let mut said: HashMap<String, (Action, u64)> = HashMap::new();
        for (line, row) in rows::<Row>(files, PATH)? {
            consistent(&mut said, line, &row)?;
            let origin = checks.origin(line, &row.id, &row.source, row.status)?;
            checks.filled(line, "reason_zh", &row.reason_zh)?;
            checks.rising(line, "age_from_m and age_to_m", row.age_from_m, row.age_to_m)?;
            let daily_over = checks.amount(line, &row.daily_over)?;
            let at = place(all.rules.len(), PATH, line)?;
            let subjects = checks.subjects(line, &row.subject)?;
            let rule = Caution {
                origin,
                kind: row.kind,
                routes: checks.routes(line, &row.route)?,
                routes_named: !row.route.is_empty() && row.route != "any",
                age_m: (row.age_from_m, row.age_to_m),
                sex: row.sex.map(|sex| match sex {
                    RowSex::M => Sex::Male,
                    RowSex::F => Sex::Female,
                }),
                icd: checks.prefixes(line, &row.icd)?,
                egfr_below: row.egfr_below,
                alt_from: row.alt_from,
                daily_over,
                days_over: row.days_over,
                with: checks.some_subjects(line, &row.with)?,
                without: checks.some_subjects(line, &row.without)?,
                test: row.test,
                action: row.action.into(),
                severity: row.severity.into(),
                reason_zh: row.reason_zh,
                instead_zh: row.instead_zh,
            };
            let advice = rule.is_unconditional();
            if advice && rule.action != Action::OnRequest {
                return Err(LoadError::line(PATH, line, "rule would hold for every patient"));
            }
            let index = if advice { &mut all.advice } else { &mut all.by_subject };
            for subject in subjects {
                index.add(formulary, subject, at);
            }
            all.rules.push(rule);
        }
        Ok(all)
    }

    /// Rows by what they speak of.
    pub(in crate::medicine::prescription) fn by_subject(&self) -> &BySubject {
        &self.by_subject
    }

    /// Advice that goes with a medicine, whoever takes it.
    pub(in crate::medicine::prescription) fn advice<'a>(
        &'a self,
        medicine: &'a Medicine,
    ) -> impl Iterator<Item = &'a Caution> {
        let own = self.advice.of_medicine(Some(medicine)).iter();
        let inside = medicine.ingredients.iter().flat_map(|id| self.advice.of_ingredient(*id));
        own.chain(inside).filter_map(|at| self.get(*at))
    }

    /// One row.
    pub(in crate::medicine::prescription) fn get(&self, at: u16) -> Option<&Caution> {
        self.rules.get(usize::from(at))
    }
}

/// Refuses a row that says of one subject, under the very same conditions, something else than a
/// row before it.
fn consistent(
    said: &mut HashMap<String, (Action, u64)>,
    line: u64,
    row: &Row,
) -> Result<(), LoadError> {
    for subject in list(&row.subject) {
        let key = format!(
            "{:?} {subject} {} {:?} {:?} {} {} {:?} {:?} {} {:?} {} {} {}",
            row.kind,
            row.route,
            row.age_from_m,
            row.age_to_m,
            row.sex.map_or("", |sex| if matches!(sex, RowSex::M) { "m" } else { "f" }),
            row.icd,
            row.egfr_below,
            row.alt_from,
            row.daily_over,
            row.days_over,
            row.with,
            row.without,
            row.test,
        );
        let action = row.action.into();
        match said.insert(key, (action, line)) {
            Some((before, at)) if before != action => {
                let message = format!("contradicts line {at} about `{subject}`");
                return Err(LoadError::line(PATH, line, message));
            }
            Some(_) | None => {}
        }
    }
    Ok(())
}

impl Caution {
    /// Whether nothing but the medicine is asked: such a row would speak on every prescription.
    /// It is only allowed as advice that goes with the medicine, or where the kind itself is the
    /// condition.
    fn is_unconditional(&self) -> bool {
        let conditioned = self.age_m != (None, None)
            || self.sex.is_some()
            || !self.icd.is_empty()
            || self.egfr_below.is_some()
            || self.alt_from.is_some()
            || self.daily_over.is_some()
            || self.days_over.is_some()
            || !self.with.is_empty()
            || !self.without.is_empty()
            || !self.test.is_empty()
            || self.routes_named
                && !(self.kind == CautionKind::FoodAlcohol && self.action == Action::OnRequest);
        let by_kind = matches!(self.kind, CautionKind::Lactation | CautionKind::Elderly);
        !conditioned && !by_kind
    }
}
