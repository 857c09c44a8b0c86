//! The checks, one file each, over one prepared [`Case`].

mod allergy;
mod case;
mod duplicate;
mod interaction;
mod legal;
mod pregnancy;
mod unknown;

use case::{Case, Outcome};

use super::formulary::{Formulary, IngredientId};
use super::order::Order;
use super::report::{Finding, Report, Summary};
use super::rules::{Allergies, Interactions, Limits, Origin, PregnancyRules, ReviewItems};
use crate::medicine::files::{Files, LoadError};

/// Review item: the medicine chosen does not suit the patient.
const UNSUITABLE: &str = "2-2";
/// Review item: the same medicine given twice.
const REPEATED: &str = "2-7";
/// Review item: incompatible or interacting medicines.
const INTERACTING: &str = "2-8";

/// Everything the checks know. Load once, share, ask often.
#[derive(Debug)]
pub struct PrescriptionKnowledge {
    formulary: Formulary,
    interactions: Interactions,
    allergies: Allergies,
    pregnancy: PregnancyRules,
    limits: Limits,
    repeated: Origin,
    /// Vitamins and minerals, of which a double dose does little harm.
    light: Vec<IngredientId>,
    version: String,
}

impl PrescriptionKnowledge {
    /// Reads all tables under `prescription/`. The first row that is uncited, dangling or
    /// malformed is an error with its file and line.
    pub fn load(files: &Files) -> Result<Self, LoadError> {
        let formulary = Formulary::load(files)?;
        let items = ReviewItems::load(files, &formulary)?;
        for code in [UNSUITABLE, INTERACTING] {
            items.require(code)?;
        }
        Ok(Self {
            interactions: Interactions::load(files, &formulary)?,
            allergies: Allergies::load(files, &formulary)?,
            pregnancy: PregnancyRules::load(files, &formulary)?,
            limits: Limits::load(files, &formulary, &items)?,
            repeated: items.require(REPEATED)?,
            light: duplicate::light(&formulary),
            version: files.digest("prescription/", ".csv"),
            formulary,
        })
    }

    /// The medicines, for search and display.
    pub fn formulary(&self) -> &Formulary {
        &self.formulary
    }

    /// Version of the tables: twelve hex digits.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Checks an order that has no [`Order::problems`]. Deterministic; the set of finding ids
    /// does not depend on the order of the lines.
    pub fn check(&self, order: &Order) -> Report {
        let case = Case::new(self, order);
        let mut out = Outcome::default();
        allergy::check(&case, &mut out);
        interaction::check(&case, &mut out);
        pregnancy::check(&case, &mut out);
        duplicate::check(&case, &mut out);
        legal::check(&case, &mut out);
        unknown::check(&case, &mut out);
        let Outcome { mut findings, unchecked } = out;
        findings.sort_by_cached_key(|found| {
            let first = |f: &Finding| {
                let id = f.lines.first();
                id.and_then(|id| order.lines.iter().position(|line| line.id == *id))
            };
            let line = first(found).unwrap_or(usize::MAX);
            (found.action, found.severity, line, found.kind, found.id.clone())
        });
        Report {
            summary: Summary::of(&findings, &unchecked),
            taken: case.taken(),
            findings,
            unchecked,
            rule_version: self.version.clone(),
        }
    }
}
