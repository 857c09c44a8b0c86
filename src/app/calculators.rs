//! Use cases of the calculators.

use std::collections::BTreeMap;

use super::App;
use super::access::{Action, Caller, authorise};
use super::error::Error;
use super::request::{PageRequest, Problems, is_table_name};
use super::treatment::paged;
use crate::medicine::calculators::{self, CalculatorError};

/// Lists of calculators are told apart from others by this.
const SEAL: &str = "calculators";

/// A calculator, described.
#[derive(Debug, Clone, PartialEq)]
pub struct Description {
    /// Name.
    pub name: String,
    /// Title.
    pub title: String,
    /// Inputs.
    pub inputs: Vec<InputDescription>,
    /// Unit of the result.
    pub unit: String,
    /// Paper.
    pub source: String,
}

/// An input, described.
#[derive(Debug, Clone, PartialEq)]
pub struct InputDescription {
    /// Name.
    pub name: String,
    /// What to enter.
    pub label: String,
    /// Unit.
    pub unit: String,
    /// Least value.
    pub min: f64,
    /// Greatest value.
    pub max: f64,
    /// Whether it can be left out.
    pub optional: bool,
}

/// A computed score.
#[derive(Debug, Clone, PartialEq)]
pub struct Computed {
    /// Value.
    pub value: f64,
    /// Unit.
    pub unit: String,
    /// What it means.
    pub meaning: String,
    /// Paper.
    pub source: String,
}

impl App {
    /// The calculators by name, and the token of the next page.
    pub fn list_calculators(
        &self,
        caller: &Caller,
        page: &PageRequest,
    ) -> Result<(Vec<Description>, String), Error> {
        authorise(caller, Action::SearchKnowledge)?;
        let all = calculators::all().iter().map(|c| Description {
            name: c.name.to_owned(),
            title: c.title_zh.to_owned(),
            inputs: c
                .inputs
                .iter()
                .map(|i| InputDescription {
                    name: i.name.to_owned(),
                    label: i.label_zh.to_owned(),
                    unit: i.unit.to_owned(),
                    min: i.min,
                    max: i.max,
                    optional: i.optional,
                })
                .collect(),
            unit: c.unit.to_owned(),
            source: c.source.to_owned(),
        });
        paged(all, page, SEAL)
    }

    /// Computes one score. Every wrong input is told.
    pub fn calculate(
        &self,
        caller: &Caller,
        name: &str,
        inputs: &BTreeMap<String, f64>,
    ) -> Result<Computed, Error> {
        authorise(caller, Action::SearchKnowledge)?;
        let (calculator, score) = calculators::calculate(name, inputs).map_err(refused)?;
        Ok(Computed {
            value: score.value,
            unit: calculator.unit.to_owned(),
            meaning: score.meaning_zh,
            source: calculator.source.to_owned(),
        })
    }
}

fn refused(errors: Vec<CalculatorError>) -> Error {
    let mut problems = Problems::default();
    for error in errors {
        match error {
            CalculatorError::Unknown { .. } => {
                problems.add("name", "must be a calculator of ListCalculators");
            }
            CalculatorError::Missing { name, label } => {
                problems.add(format!("inputs.{name}"), format!("must be given ({label})"));
            }
            CalculatorError::OutOfRange { name, min, max } => {
                problems.add(format!("inputs.{name}"), format!("must be from {min} to {max}"));
            }
            CalculatorError::NotAnInput { name } => {
                if is_table_name(&name) {
                    problems.add(format!("inputs.{name}"), "must be an input of this calculator");
                } else {
                    problems.add("inputs", "must only name inputs of this calculator");
                }
            }
        }
    }
    match problems.finish() {
        Err(error) => error,
        Ok(()) => Error::NotFound { kind: "calculator" },
    }
}
