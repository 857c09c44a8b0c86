//! The rules in force on a day as a list: what can be recognised, how far, for how long, and what
//! is required.

use std::collections::BTreeSet;

use super::checks::known_as;
use super::policy::{Level, Policies, Policy, Situation, Weight};
use super::study::Institution;

/// One examination that can be recognised.
#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    /// Id in `examinations.csv`.
    pub examination: String,
    /// Chinese name.
    pub zh: String,
    /// Levels on whose list it stands, with the code of the place; `*` is any.
    pub levels: Vec<(Level, String)>,
    /// Days for which a result counts, by situation, with the source.
    pub validities: Vec<(Situation, u32, String)>,
    /// What is required of a study.
    pub requirements: Vec<Required>,
}

/// One requirement.
#[derive(Debug, Clone, PartialEq)]
pub struct Required {
    /// What is looked at, as in `requirements.csv`.
    pub check: &'static str,
    /// Its limit, if it has one.
    pub limit: Option<f64>,
    /// Whether it decides.
    pub decides: bool,
    /// Citation.
    pub source: String,
}

impl Policy {
    /// Every examination that stands on a list on the day, by id.
    pub fn items(&self) -> Vec<Item> {
        let items = self.examinations().filter_map(|(id, zh)| {
            let levels: BTreeSet<(Level, String)> = self.levels(id).into_iter().collect();
            if levels.is_empty() {
                return None;
            }
            let situations =
                [Situation::Any, Situation::Stable, Situation::Acute, Situation::Preoperative];
            let validities = situations.into_iter().filter_map(|situation| {
                let row = self.window(id, situation)?;
                Some((situation, row.days, self.cite(&row.source)))
            });
            let requirements = self.requirements(id).into_iter().map(|row| Required {
                check: known_as(row.check),
                limit: row.limit,
                decides: row.weight == Weight::Required,
                source: self.cite(&row.source),
            });
            Some(Item {
                examination: id.to_owned(),
                zh: zh.to_owned(),
                levels: levels.into_iter().collect(),
                validities: validities.collect(),
                requirements: requirements.collect(),
            })
        });
        items.collect()
    }
}

impl Policies {
    /// The institution of this name in the tables. Width, case and spaces do not matter; a name
    /// that two institutions have names none.
    pub fn institution_named(&self, name: &str) -> Option<Institution> {
        let wanted = folded(name);
        if wanted.is_empty() {
            return None;
        }
        let mut found: Option<Institution> = None;
        for (id, of, region) in self.institutions().filter(|(_, of, _)| folded(of) == wanted) {
            debug_assert!(!of.is_empty());
            match &found {
                Some(other) if other.id != id => return None,
                Some(_) | None => {
                    found = Some(Institution { id: id.to_owned(), region: region.to_owned() });
                }
            }
        }
        found
    }
}

fn folded(name: &str) -> String {
    use unicode_normalization::UnicodeNormalization as _;
    name.nfkc().flat_map(char::to_lowercase).filter(|c| !c.is_whitespace()).collect()
}
