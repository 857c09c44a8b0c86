//! Scores and estimates of the clinic, each from its paper.
//!
//! Every score is a plain function with its units in the names of its arguments, and is described
//! once as a [`Calculator`] so that a caller can list what to enter and compute by name. Inputs are
//! checked here, before any score is computed; the functions themselves trust their arguments.

mod acuity;
mod body;
mod china_par;
mod fluids;
mod growth;
mod growth_tables;
mod heart;
mod kidney;
mod points;
mod qrisk3;
mod qrisk3_coefficients;
mod respiratory;
mod thrombosis;

#[cfg(test)]
mod growth_tests;
#[cfg(test)]
mod qrisk3_tests;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

pub use acuity::{Observations, news2, qsofa};
pub use body::{body_mass_index, body_surface_area};
pub use china_par::{ChinaPar, ChinaParFactor, china_par};
pub use fluids::{PlanA, PlanC, anion_gap, plan_a, plan_b, plan_c};
pub use growth::{child_weight_estimate, weight_for_age_z};
pub use heart::{BleedingFactor, StrokeFactor, cha2ds2_vasc, has_bled};
pub use kidney::{ckd_epi_2021, cockcroft_gault};
pub use qrisk3::{Ethnicity, Qrisk3, RiskFactor, Smoking, qrisk3};
pub use respiratory::{Pneumonia, ThroatSign, centor, crb_65, curb_65, mcisaac};
pub use thrombosis::{DvtSign, PeSign, wells_dvt, wells_pe};

use crate::medicine::patient::Sex;

/// Unit of an input that takes 0 or 1.
const YES_NO: &str = "yes_no";
/// Unit of an input that takes one of the whole numbers in its label.
const CHOICE: &str = "choice";

/// One input of a calculator.
#[derive(Debug)]
pub struct Input {
    /// Name.
    pub name: &'static str,
    /// What to enter.
    pub label_zh: &'static str,
    /// Unit; `yes_no` takes 0 or 1, `choice` one of the values in the label.
    pub unit: &'static str,
    /// Least value.
    pub min: f64,
    /// Greatest value.
    pub max: f64,
    /// Whether it can be left out.
    pub optional: bool,
}

impl Input {
    const fn number(
        name: &'static str,
        label_zh: &'static str,
        unit: &'static str,
        (min, max): (f64, f64),
    ) -> Self {
        Self { name, label_zh, unit, min, max, optional: false }
    }

    const fn yes_no(name: &'static str, label_zh: &'static str) -> Self {
        Self::number(name, label_zh, YES_NO, (0.0, 1.0))
    }

    const fn choice(name: &'static str, label_zh: &'static str, range: (f64, f64)) -> Self {
        Self::number(name, label_zh, CHOICE, range)
    }

    const fn optional(mut self) -> Self {
        self.optional = true;
        self
    }

    /// Whether a value can be entered here.
    fn takes(&self, value: f64) -> bool {
        let whole = self.unit == YES_NO || self.unit == CHOICE;
        (self.min..=self.max).contains(&value) && (!whole || value.fract() == 0.0)
    }
}

/// Sex, as every calculator asks for it.
const FEMALE: Input = Input::yes_no("female", "性别（1 女，0 男）");

/// A calculator.
#[derive(Debug)]
pub struct Calculator {
    /// Name.
    pub name: &'static str,
    /// Title.
    pub title_zh: &'static str,
    /// Unit of the result.
    pub unit: &'static str,
    /// Paper.
    pub source: &'static str,
    /// Inputs.
    pub inputs: &'static [Input],
    compute: fn(&Values<'_>) -> Score,
}

/// A score.
#[derive(Debug)]
pub struct Score {
    /// Value.
    pub value: f64,
    /// What it means and what to do.
    pub meaning_zh: String,
}

/// Checked inputs of one calculator: every required one is there, and each is in its range.
#[derive(Debug)]
struct Values<'a> {
    given: &'a BTreeMap<String, f64>,
    inputs: &'static [Input],
}

impl Values<'_> {
    /// The number, where it was given.
    fn optional(&self, name: &str) -> Option<f64> {
        debug_assert!(self.inputs.iter().any(|i| i.name == name), "{name} is not described");
        self.given.get(name).copied()
    }

    /// The number of a required input.
    fn number(&self, name: &str) -> f64 {
        self.optional(name).unwrap_or_default()
    }

    /// Whether it was answered with 1; an optional question that was left out is a no.
    fn yes(&self, name: &str) -> bool {
        self.optional(name).is_some_and(|v| v > 0.5)
    }

    /// The chosen value, where one was chosen.
    fn choice(&self, name: &str) -> Option<u8> {
        let value = self.optional(name)?;
        (0..=u8::MAX).find(|c| f64::from(*c) >= value)
    }

    fn sex(&self) -> Sex {
        if self.yes(FEMALE.name) { Sex::Female } else { Sex::Male }
    }
}

/// Why nothing was computed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum CalculatorError {
    /// No such calculator.
    #[error("unknown calculator {name}")]
    Unknown {
        /// Name.
        name: String,
    },
    /// Missing.
    #[error("{name} is missing")]
    Missing {
        /// Name.
        name: &'static str,
        /// Label.
        label: &'static str,
    },
    /// Out of range.
    #[error("{name} must be from {min} to {max}")]
    OutOfRange {
        /// Name.
        name: &'static str,
        /// Least.
        min: f64,
        /// Greatest.
        max: f64,
    },
    /// No input.
    #[error("{name} is no input")]
    NotAnInput {
        /// Name.
        name: String,
    },
}

/// By name.
static ALL: [Calculator; 22] = [
    fluids::ANION_GAP,
    body::BODY_MASS_INDEX,
    body::BODY_SURFACE_AREA,
    respiratory::CENTOR,
    heart::CHA2DS2_VASC,
    growth::CHILD_WEIGHT_ESTIMATE,
    china_par::CHINA_PAR,
    kidney::CKD_EPI_2021,
    kidney::COCKCROFT_GAULT,
    respiratory::CRB_65,
    respiratory::CURB_65,
    heart::HAS_BLED,
    respiratory::MCISAAC,
    acuity::NEWS2,
    qrisk3::QRISK3,
    acuity::QSOFA,
    fluids::REHYDRATION_PLAN_A,
    fluids::REHYDRATION_PLAN_B,
    fluids::REHYDRATION_PLAN_C,
    growth::WEIGHT_FOR_AGE,
    thrombosis::WELLS_DVT,
    thrombosis::WELLS_PE,
];

/// All calculators, by name.
pub fn all() -> &'static [Calculator] {
    &ALL
}

/// Computes one score, or tells everything that is wrong with its inputs.
pub fn calculate(
    name: &str,
    values: &BTreeMap<String, f64>,
) -> Result<(&'static Calculator, Score), Vec<CalculatorError>> {
    let Some(calculator) = all().iter().find(|c| c.name == name) else {
        return Err(vec![CalculatorError::Unknown { name: name.to_owned() }]);
    };
    let mut errors = Vec::new();
    for input in calculator.inputs {
        let &Input { name, label_zh, min, max, .. } = input;
        match values.get(name) {
            None if input.optional => {}
            None => errors.push(CalculatorError::Missing { name, label: label_zh }),
            Some(value) if input.takes(*value) => {}
            Some(_) => errors.push(CalculatorError::OutOfRange { name, min, max }),
        }
    }
    let known = |name: &str| calculator.inputs.iter().any(|i| i.name == name);
    for name in values.keys().filter(|name| !known(name)) {
        errors.push(CalculatorError::NotAnInput { name: name.clone() });
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    let values = Values { given: values, inputs: calculator.inputs };
    Ok((calculator, (calculator.compute)(&values)))
}
