//! `interactions.csv`, expanded to pairs of ingredients.

use std::collections::HashMap;

use serde::Deserialize;

use super::{Origin, Rows, TableAction, place};
use crate::medicine::prescription::bits::Bits;
use crate::medicine::prescription::formulary::{Formulary, IngredientId, Subject};
use crate::medicine::prescription::report::Action;
use crate::tables::files::{Files, LoadError};
use crate::tables::table::{Status, rows};

const PATH: &str = "prescription/interactions.csv";

/// How two ingredients may not meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::medicine::prescription) enum Grade {
    Contraindicated,
    Avoid,
    Precaution,
    Consider,
}

/// In which context a rule holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::medicine::prescription) enum Condition {
    /// Both reach the blood.
    SystemicOnly,
    /// Both go into a vein.
    SameRouteIv,
    /// The calcium goes into a vein.
    IvCalcium,
    /// One of them is given in a high dose. Doses are not weighed here.
    DoseHigh,
    /// The heparin is given to treat, not to prevent. Doses are not weighed here.
    TreatmentDose,
    /// The form holds alcohol (藿香正气水, not the capsules).
    AlcoholInTincture,
    /// The patient has heart failure.
    HeartFailure,
    /// It is not a rescue.
    NotEmergency,
    /// There is no reason for two antiplatelet medicines, such as a stent.
    NoDualAntiplateletIndication,
    /// Both make drowsy: common, and tolerable when the patient is told.
    AdditiveSedation,
    /// Both are swallowed: they hinder each other's absorption.
    OralBoth,
    /// The patient is 65 or older.
    #[serde(rename = "age_65")]
    Age65,
    /// The patient is 65 or older and has no heart failure, for which both are given together.
    #[serde(rename = "age_65_no_heart_failure")]
    Age65NoHeartFailure,
    /// The kidney is known to be weak.
    Kidney,
    /// It goes on for more than a week.
    LongTerm,
    /// Bleeding under anticoagulants.
    AnticoagulantBleeding,
    /// Nobody knows the potassium.
    PotassiumUnknown,
}

/// One row.
#[derive(Debug, Clone)]
pub(in crate::medicine::prescription) struct InteractionRule {
    pub(in crate::medicine::prescription) origin: Origin,
    pub(in crate::medicine::prescription) grade: Grade,
    /// What the row itself asks for; by the grade where it does not say.
    pub(in crate::medicine::prescription) action: Option<Action>,
    pub(in crate::medicine::prescription) effect_zh: String,
    pub(in crate::medicine::prescription) management_zh: String,
    pub(in crate::medicine::prescription) condition: Option<Condition>,
    a: Vec<Subject>,
    b: Vec<Subject>,
}

impl InteractionRule {
    /// Whether a side of the rule is one of these ingredients and not a class.
    pub(in crate::medicine::prescription) fn names_one_of(&self, ids: &[IngredientId]) -> bool {
        self.a.iter().chain(&self.b).any(|side| match side {
            Subject::Ingredient(id) => ids.contains(id),
            Subject::Class(_) | Subject::Medicine(_) => false,
        })
    }

    /// How many sides are a whole class: the fewer, the more specific.
    fn classes(&self) -> usize {
        self.a.iter().chain(&self.b).filter(|side| matches!(side, Subject::Class(_))).count()
    }
}

/// All rules, by pair of ingredients.
#[derive(Debug)]
pub(in crate::medicine::prescription) struct Interactions {
    rules: Vec<InteractionRule>,
    /// For each ingredient, those it has a rule with.
    partners: Vec<Bits>,
    /// Rules of a pair, the lower id first; strongest and most specific rule first.
    pairs: HashMap<(IngredientId, IngredientId), Vec<u16>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    id: String,
    a: String,
    b: String,
    severity: Grade,
    /// Empty: by the severity.
    action: Option<TableAction>,
    effect_zh: String,
    management_zh: String,
    condition: Option<Condition>,
    source: String,
    status: Status,
}

impl Interactions {
    pub(in crate::medicine::prescription) fn load(
        files: &Files,
        formulary: &Formulary,
    ) -> Result<Self, LoadError> {
        let mut checks = Rows::new(formulary, PATH);
        let count = formulary.ingredients().len();
        let mut all = Self {
            rules: Vec::new(),
            partners: vec![Bits::new(count); count],
            pairs: HashMap::new(),
        };
        for (line, row) in rows::<Row>(files, PATH)? {
            let origin = checks.origin(line, &row.id, &row.source, row.status)?;
            checks.filled(line, "effect_zh", &row.effect_zh)?;
            checks.filled(line, "management_zh", &row.management_zh)?;
            let (a, b) = (checks.sides(line, &row.a)?, checks.sides(line, &row.b)?);
            let at = place(all.rules.len(), PATH, line)?;
            if !all.pair(formulary, (&a, &b), at) {
                let message = "rule holds for no two different ingredients";
                return Err(LoadError::line(PATH, line, message));
            }
            all.rules.push(InteractionRule {
                origin,
                grade: row.severity,
                action: row.action.map(Into::into),
                effect_zh: row.effect_zh,
                management_zh: row.management_zh,
                condition: row.condition,
                a,
                b,
            });
        }
        let rules = &all.rules;
        for places in all.pairs.values_mut() {
            places.sort_by_key(|at| {
                (rules.get(usize::from(*at)).map(|r| (r.action, r.grade, r.classes())), *at)
            });
        }
        Ok(all)
    }

    /// Enters a rule for every two different ingredients of its sides.
    fn pair(&mut self, formulary: &Formulary, (a, b): (&[Subject], &[Subject]), at: u16) -> bool {
        let members = |side: &[Subject]| -> Vec<IngredientId> {
            side.iter().flat_map(|subject| formulary.members(*subject)).collect()
        };
        let others = members(b);
        let mut found = false;
        for x in members(a) {
            for y in others.iter().copied().filter(|y| *y != x) {
                let places = self.pairs.entry((x.min(y), x.max(y))).or_default();
                if !places.contains(&at) {
                    places.push(at);
                }
                for (one, other) in [(x, y), (y, x)] {
                    if let Some(bits) = self.partners.get_mut(one.index()) {
                        bits.insert(other.index());
                    }
                }
                found = true;
            }
        }
        found
    }

    /// The rules of two ingredients, strongest first.
    pub(in crate::medicine::prescription) fn of(
        &self,
        x: IngredientId,
        y: IngredientId,
    ) -> impl Iterator<Item = &InteractionRule> {
        let known = self.partners.get(x.index()).is_some_and(|bits| bits.contains(y.index()));
        let places = known.then(|| self.pairs.get(&(x.min(y), x.max(y)))).flatten();
        places.into_iter().flatten().filter_map(|at| self.rules.get(usize::from(*at)))
    }
}
