//! `dosing.csv`: how much, how often and how long, by route, age, weight and indication.

use serde::Deserialize;

use super::{BySubject, Origin, Rows, place};
use crate::medicine::prescription::diseases::Icd;
use crate::medicine::prescription::formulary::Formulary;
use crate::medicine::prescription::quantity::Unit;
use crate::medicine::prescription::route::Routes;
use crate::tables::files::{Files, LoadError};
use crate::tables::table::{Status, rows};

const PATH: &str = "prescription/dosing.csv";

/// A range whose ends may be open.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::medicine::prescription) struct Span {
    pub(in crate::medicine::prescription) min: Option<f64>,
    pub(in crate::medicine::prescription) max: Option<f64>,
}

/// One row. Amounts are in `unit`, for `per_kg` rows for each kilogram.
#[derive(Debug)]
pub(in crate::medicine::prescription) struct Dosing {
    pub(in crate::medicine::prescription) origin: Origin,
    pub(in crate::medicine::prescription) routes: Routes,
    /// Completed months, from (inclusive) to (exclusive).
    pub(in crate::medicine::prescription) age_m: Span,
    /// Kilograms, from (inclusive) to (exclusive).
    pub(in crate::medicine::prescription) weight_kg: Span,
    /// Only for these diagnoses; empty for all.
    pub(in crate::medicine::prescription) icd: Vec<Icd>,
    pub(in crate::medicine::prescription) per_kg: bool,
    pub(in crate::medicine::prescription) unit: Unit,
    pub(in crate::medicine::prescription) single: Span,
    pub(in crate::medicine::prescription) daily: Span,
    /// Doses a day.
    pub(in crate::medicine::prescription) frequency: Span,
    /// Longest ordinary course.
    pub(in crate::medicine::prescription) days_max: Option<f64>,
    /// Ceilings of a dose by weight.
    pub(in crate::medicine::prescription) single_cap: Option<f64>,
    pub(in crate::medicine::prescription) daily_cap: Option<f64>,
    pub(in crate::medicine::prescription) note_zh: String,
}

/// All rows by what they speak of.
#[derive(Debug)]
pub(in crate::medicine::prescription) struct Dosings {
    rules: Vec<Dosing>,
    by_subject: BySubject,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Basis {
    Fixed,
    Kg,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    id: String,
    subject: String,
    route: String,
    age_from_m: Option<f64>,
    age_to_m: Option<f64>,
    weight_from_kg: Option<f64>,
    weight_to_kg: Option<f64>,
    icd: String,
    basis: Basis,
    single_min: Option<f64>,
    single_max: Option<f64>,
    daily_min: Option<f64>,
    daily_max: Option<f64>,
    unit: String,
    freq_min: Option<f64>,
    freq_max: Option<f64>,
    days_max: Option<f64>,
    single_cap: Option<f64>,
    daily_cap: Option<f64>,
    note_zh: String,
    source: String,
    status: Status,
}

impl Dosings {
    pub(in crate::medicine::prescription) fn load(
        files: &Files,
        formulary: &Formulary,
    ) -> Result<Self, LoadError> {
        let mut checks = Rows::new(formulary, PATH);
        let mut all = Self { rules: Vec::new(), by_subject: BySubject::new(formulary) };
        for (line, row) in rows::<Row>(files, PATH)? {
            let origin = checks.origin(line, &row.id, &row.source, row.status)?;
            let bad = |message: String| LoadError::line(PATH, line, message);
            let (unit, factor) =
                Unit::read(&row.unit).ok_or_else(|| bad(format!("`{}` is no unit", row.unit)))?;
            for (columns, from, to) in [
                ("age_from_m and age_to_m", row.age_from_m, row.age_to_m),
                ("weight_from_kg and weight_to_kg", row.weight_from_kg, row.weight_to_kg),
                ("single_min and single_max", row.single_min, row.single_max),
                ("daily_min and daily_max", row.daily_min, row.daily_max),
                ("freq_min and freq_max", row.freq_min, row.freq_max),
            ] {
                checks.rising(line, columns, from, to)?;
            }
            if row.single_max.is_none() && row.daily_max.is_none() {
                return Err(bad("a dose needs single_max or daily_max".to_owned()));
            }
            let span = |min: Option<f64>, max: Option<f64>| Span {
                min: min.map(|v| v * factor),
                max: max.map(|v| v * factor),
            };
            let subject = checks.subject(line, &row.subject)?;
            let at = place(all.rules.len(), PATH, line)?;
            all.by_subject.add(formulary, subject, at);
            all.rules.push(Dosing {
                origin,
                routes: checks.routes(line, &row.route)?,
                age_m: Span { min: row.age_from_m, max: row.age_to_m },
                weight_kg: Span { min: row.weight_from_kg, max: row.weight_to_kg },
                icd: checks.prefixes(line, &row.icd)?,
                per_kg: row.basis == Basis::Kg,
                unit,
                single: span(row.single_min, row.single_max),
                daily: span(row.daily_min, row.daily_max),
                frequency: Span { min: row.freq_min, max: row.freq_max },
                days_max: row.days_max,
                single_cap: row.single_cap.map(|v| v * factor),
                daily_cap: row.daily_cap.map(|v| v * factor),
                note_zh: row.note_zh,
            });
        }
        Ok(all)
    }

    /// Rows by what they speak of.
    pub(in crate::medicine::prescription) fn by_subject(&self) -> &BySubject {
        &self.by_subject
    }

    /// One row.
    pub(in crate::medicine::prescription) fn get(&self, at: u16) -> Option<&Dosing> {
        self.rules.get(usize::from(at))
    }
}

impl Span {
    /// Whether a value lies in the half-open range.
    pub(in crate::medicine::prescription) fn holds(self, value: f64) -> bool {
        self.min.is_none_or(|min| value >= min) && self.max.is_none_or(|max| value < max)
    }
}
