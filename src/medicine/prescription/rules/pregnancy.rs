//! `pregnancy.csv` and `pregnancy_ok.csv`.

use std::collections::HashSet;

use serde::Deserialize;

use super::{Origin, Rows, TableAction, place};
use crate::medicine::prescription::bits::Bits;
use crate::medicine::prescription::formulary::{Formulary, IngredientId, MedicineId, Subject};
use crate::medicine::prescription::order::PREGNANCY_WEEKS_MAX;
use crate::medicine::prescription::quantity::Quantity;
use crate::medicine::prescription::report::Action;
use crate::tables::files::{Files, LoadError};
use crate::tables::table::{Status, rows};

const RULES: &str = "prescription/pregnancy.csv";
const ACCEPTED: &str = "prescription/pregnancy_ok.csv";

/// A row that ends with term ends with the pregnancy.
const TERM_WEEKS: u8 = 42;

/// One row.
#[derive(Debug, Clone)]
pub(in crate::medicine::prescription) struct PregnancyRule {
    pub(in crate::medicine::prescription) origin: Origin,
    /// What the row speaks of.
    pub(in crate::medicine::prescription) subject: Subject,
    /// First and last completed week for which the row holds.
    pub(in crate::medicine::prescription) weeks: (u8, u8),
    /// The row holds only above this dose of a day, or where the dose is unknown.
    pub(in crate::medicine::prescription) daily_over: Option<Quantity>,
    pub(in crate::medicine::prescription) action: Action,
    pub(in crate::medicine::prescription) reason_zh: String,
    pub(in crate::medicine::prescription) instead_zh: String,
}

/// Rules by ingredient and by medicine, and what is accepted.
#[derive(Debug)]
pub(in crate::medicine::prescription) struct PregnancyRules {
    rules: Vec<PregnancyRule>,
    ingredients: Vec<Vec<u16>>,
    medicines: Vec<Vec<u16>>,
    accepted_ingredients: Bits,
    accepted_medicines: Bits,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleRow {
    id: String,
    subject: String,
    weeks_from: Option<u8>,
    weeks_to: Option<u8>,
    #[serde(default)]
    daily_over: String,
    action: TableAction,
    reason_zh: String,
    instead_zh: String,
    source: String,
    status: Status,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AcceptedRow {
    subject: String,
    #[expect(dead_code, reason = "for the reader of the table")]
    note_zh: String,
    source: String,
    #[expect(dead_code, reason = "a fact like any other: its status must be readable")]
    status: Status,
}

impl PregnancyRule {
    /// Whether the row holds at all times.
    pub(in crate::medicine::prescription) fn is_always(&self) -> bool {
        self.weeks == (0, PREGNANCY_WEEKS_MAX)
    }

    /// Whether the row holds in a week, or may where the week is unknown.
    pub(in crate::medicine::prescription) fn holds(&self, week: Option<u8>) -> bool {
        week.is_none_or(|week| (self.weeks.0..=self.weeks.1).contains(&week))
    }
}

impl PregnancyRules {
    pub(in crate::medicine::prescription) fn load(
        files: &Files,
        formulary: &Formulary,
    ) -> Result<Self, LoadError> {
        let (ingredients, medicines) = (formulary.ingredients().len(), formulary.medicines().len());
        let mut all = Self {
            rules: Vec::new(),
            ingredients: vec![Vec::new(); ingredients],
            medicines: vec![Vec::new(); medicines],
            accepted_ingredients: Bits::new(ingredients),
            accepted_medicines: Bits::new(medicines),
        };
        let mut checks = Rows::new(formulary, RULES);
        for (line, row) in rows::<RuleRow>(files, RULES)? {
            let origin = checks.origin(line, &row.id, &row.source, row.status)?;
            checks.filled(line, "reason_zh", &row.reason_zh)?;
            let to = row.weeks_to.filter(|to| *to != TERM_WEEKS).unwrap_or(PREGNANCY_WEEKS_MAX);
            let weeks = (row.weeks_from.unwrap_or(0), to);
            if weeks.0 > weeks.1 || weeks.1 > PREGNANCY_WEEKS_MAX {
                let message = format!("weeks must rise and end by {PREGNANCY_WEEKS_MAX}");
                return Err(LoadError::line(RULES, line, message));
            }
            let daily_over = checks.amount(line, &row.daily_over)?;
            let at = place(all.rules.len(), RULES, line)?;
            let subject = checks.subject(line, &row.subject)?;
            if let Subject::Medicine(id) = subject {
                all.medicines.get_mut(id.index()).into_iter().for_each(|rules| rules.push(at));
            } else {
                for id in formulary.members(subject) {
                    all.ingredients.get_mut(id.index()).into_iter().for_each(|r| r.push(at));
                }
            }
            all.rules.push(PregnancyRule {
                origin,
                subject,
                weeks,
                daily_over,
                action: row.action.into(),
                reason_zh: row.reason_zh,
                instead_zh: row.instead_zh,
            });
        }
        all.load_accepted(files, formulary)?;
        Ok(all)
    }

    fn load_accepted(&mut self, files: &Files, formulary: &Formulary) -> Result<(), LoadError> {
        let checks = Rows::new(formulary, ACCEPTED);
        let mut seen = HashSet::new();
        for (line, row) in rows::<AcceptedRow>(files, ACCEPTED)? {
            formulary.sources().check(ACCEPTED, line, &row.source)?;
            let subject = checks.subject(line, &row.subject)?;
            if !seen.insert(subject) {
                let message = format!("`{}` stands twice", row.subject);
                return Err(LoadError::line(ACCEPTED, line, message));
            }
            if let Subject::Medicine(id) = subject {
                self.accepted_medicines.insert(id.index());
            } else {
                for id in formulary.members(subject) {
                    self.accepted_ingredients.insert(id.index());
                }
            }
        }
        Ok(())
    }

    /// The rules of an ingredient, in the order of the table.
    pub(in crate::medicine::prescription) fn of_ingredient(
        &self,
        id: IngredientId,
    ) -> impl Iterator<Item = &PregnancyRule> {
        let places = self.ingredients.get(id.index()).into_iter().flatten();
        places.filter_map(|at| self.rules.get(usize::from(*at)))
    }

    /// The rules of a medicine itself, not of what it contains.
    pub(in crate::medicine::prescription) fn of_medicine(
        &self,
        id: MedicineId,
    ) -> impl Iterator<Item = &PregnancyRule> {
        let places = self.medicines.get(id.index()).into_iter().flatten();
        places.filter_map(|at| self.rules.get(usize::from(*at)))
    }

    /// Whether the use of an ingredient in pregnancy is accepted.
    pub(in crate::medicine::prescription) fn accepts_ingredient(&self, id: IngredientId) -> bool {
        self.accepted_ingredients.contains(id.index())
    }

    /// Whether the use of a medicine in pregnancy is accepted.
    pub(in crate::medicine::prescription) fn accepts_medicine(&self, id: MedicineId) -> bool {
        self.accepted_medicines.contains(id.index())
    }
}
