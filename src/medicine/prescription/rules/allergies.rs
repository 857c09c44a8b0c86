//! `allergy_cross.csv` and `allergen_names.csv`.

use std::collections::HashMap;

use serde::Deserialize;

use super::{Origin, Rows, TableAction, place};
use crate::medicine::prescription::formulary::{Formulary, IngredientId, Subject};
use crate::medicine::prescription::report::Action;
use crate::medicine::prescription::words::key;
use crate::tables::files::{Files, LoadError};
use crate::tables::table::{Status, list, rows};
use crate::tables::text::fold;

const RULES: &str = "prescription/allergy_cross.csv";
const NAMES: &str = "prescription/allergen_names.csv";

/// How near a medicine is to the allergen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::medicine::prescription) enum Tier {
    /// The very substance.
    Ingredient,
    /// The same class.
    Class,
    /// Another class that may cross-react.
    CrossClass,
}

/// One row.
#[derive(Debug, Clone)]
pub(in crate::medicine::prescription) struct AllergyRule {
    pub(in crate::medicine::prescription) origin: Origin,
    pub(in crate::medicine::prescription) allergen: Subject,
    pub(in crate::medicine::prescription) subject: Subject,
    pub(in crate::medicine::prescription) tier: Tier,
    pub(in crate::medicine::prescription) risk_zh: String,
    pub(in crate::medicine::prescription) action: Action,
}

/// Rules, and the names by which charts call allergens.
#[derive(Debug)]
pub(in crate::medicine::prescription) struct Allergies {
    rules: Vec<AllergyRule>,
    /// For each ingredient, the rules that speak of it.
    ingredients: Vec<Vec<u16>>,
    names: HashMap<String, Vec<Subject>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleRow {
    id: String,
    allergen: String,
    subject: String,
    tier: Tier,
    risk_zh: String,
    action: TableAction,
    source: String,
    status: Status,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NameRow {
    name: String,
    allergen: String,
    source: String,
    #[expect(dead_code, reason = "a fact like any other: its status must be readable")]
    status: Status,
}

impl Allergies {
    pub(in crate::medicine::prescription) fn load(
        files: &Files,
        formulary: &Formulary,
    ) -> Result<Self, LoadError> {
        let mut checks = Rows::new(formulary, RULES);
        let mut all = Self {
            rules: Vec::new(),
            ingredients: vec![Vec::new(); formulary.ingredients().len()],
            names: HashMap::new(),
        };
        for (line, row) in rows::<RuleRow>(files, RULES)? {
            let origin = checks.origin(line, &row.id, &row.source, row.status)?;
            checks.filled(line, "risk_zh", &row.risk_zh)?;
            let subject = checks.ingredients(line, &row.subject)?;
            let at = place(all.rules.len(), RULES, line)?;
            for id in formulary.members(subject) {
                all.ingredients.get_mut(id.index()).into_iter().for_each(|rules| rules.push(at));
            }
            all.rules.push(AllergyRule {
                origin,
                allergen: checks.ingredients(line, &row.allergen)?,
                subject,
                tier: row.tier,
                risk_zh: row.risk_zh,
                action: row.action.into(),
            });
        }
        let checks = Rows::new(formulary, NAMES);
        for (line, row) in rows::<NameRow>(files, NAMES)? {
            formulary.sources().check(NAMES, line, &row.source)?;
            let allergens: Result<Vec<Subject>, LoadError> =
                list(&row.allergen).map(|cell| checks.ingredients(line, cell)).collect();
            let name = key(&fold(&row.name));
            checks.filled(line, "name", &name)?;
            if all.names.insert(name, allergens?).is_some() {
                let message = format!("allergen name `{}` stands twice", row.name);
                return Err(LoadError::line(NAMES, line, message));
            }
        }
        Ok(all)
    }

    /// What a chart's word for an allergen means; an empty list is something that is no medicine.
    pub(in crate::medicine::prescription) fn named(&self, key: &str) -> Option<&[Subject]> {
        self.names.get(key).map(Vec::as_slice)
    }

    /// The rules by which an allergy to `allergen` concerns an ingredient.
    pub(in crate::medicine::prescription) fn of(
        &self,
        formulary: &Formulary,
        allergen: Subject,
        ingredient: IngredientId,
    ) -> impl Iterator<Item = &AllergyRule> {
        let places = self.ingredients.get(ingredient.index()).into_iter().flatten();
        places
            .filter_map(|at| self.rules.get(usize::from(*at)))
            .filter(move |rule| matches(formulary, rule, allergen))
    }
}

/// Whether an allergy to `allergen` is one the rule speaks of.
fn matches(formulary: &Formulary, rule: &AllergyRule, allergen: Subject) -> bool {
    match (rule.allergen, allergen) {
        (Subject::Ingredient(a), Subject::Ingredient(b)) => a == b,
        (Subject::Class(outer), Subject::Ingredient(b)) => formulary.is_member(b, outer),
        (Subject::Class(outer), Subject::Class(inner)) => formulary.is_within(inner, outer),
        // An allergy to a class need not be one to the member the rule names.
        (Subject::Ingredient(_) | Subject::Medicine(_), _) | (_, Subject::Medicine(_)) => false,
    }
}
