//! The rule tables, checked against the formulary and made ready for look-up.

mod allergies;
mod cautions;
mod courses;
mod dosing;
mod herbs;
mod indications;
mod infusions;
mod interactions;
mod limits;
mod lists;
mod pregnancy;

use std::collections::HashSet;
use std::sync::Arc;

pub(super) use allergies::{Allergies, AllergyRule, Tier};
pub(super) use cautions::{Caution, CautionKind, Cautions};
pub(super) use courses::Courses;
pub(super) use dosing::{Dosing, Dosings};
pub(super) use herbs::{HerbPair, Herbs, Toxicity};
pub(super) use indications::{Indication, Indications};
pub(super) use infusions::{Infusions, Vehicle};
pub(super) use interactions::{Condition, Grade, InteractionRule, Interactions};
pub(super) use limits::{Limit, Limits, ReviewItems};
pub(super) use lists::{
    Category, DuplicateClass, Grade as AntibioticGrade, Judged, Lists, Need, Unfit, WeightForAge,
};
pub(super) use pregnancy::{PregnancyRule, PregnancyRules};

use super::diseases::{Icd, prefixes};
use super::formulary::{Formulary, IngredientId, Medicine, MedicineId, Subject};
use super::report::{Action, Severity};
use super::route::Routes;
use crate::medicine::prescription::quantity::{Quantity, amounts};
use crate::tables::files::LoadError;
use crate::tables::table::{Status, list};

/// Where a rule comes from.
#[derive(Debug, Clone)]
pub(super) struct Origin {
    /// Id of the row.
    pub(super) id: Arc<str>,
    /// Citation as in the table.
    pub(super) source: Arc<str>,
    /// The citation in words.
    pub(super) citation: Arc<str>,
    /// Whether a clinician has reviewed it.
    pub(super) status: Status,
}

/// An action as the tables write it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum TableAction {
    Stop,
    NeedsReason,
    Notice,
    OnRequest,
}

impl From<TableAction> for Action {
    fn from(action: TableAction) -> Self {
        match action {
            TableAction::Stop => Self::Stop,
            TableAction::NeedsReason => Self::NeedsReason,
            TableAction::Notice => Self::Notice,
            TableAction::OnRequest => Self::OnRequest,
        }
    }
}

/// Checks what all rule tables have in common: a citation, an id of its own.
struct Rows<'a> {
    formulary: &'a Formulary,
    path: &'static str,
    seen: HashSet<String>,
}

impl<'a> Rows<'a> {
    fn new(formulary: &'a Formulary, path: &'static str) -> Self {
        Self { formulary, path, seen: HashSet::new() }
    }

    fn origin(
        &mut self,
        line: u64,
        id: &str,
        source: &str,
        status: Status,
    ) -> Result<Origin, LoadError> {
        self.formulary.sources().check(self.path, line, source)?;
        if id.is_empty() {
            return Err(LoadError::line(self.path, line, "a rule needs an id"));
        }
        if !self.seen.insert(id.to_owned()) {
            return Err(LoadError::line(self.path, line, format!("id `{id}` stands twice")));
        }
        let citation = self.formulary.sources().cite(source).into();
        Ok(Origin { id: id.into(), source: source.into(), citation, status })
    }

    /// The subject a cell names.
    fn subject(&self, line: u64, cell: &str) -> Result<Subject, LoadError> {
        let unknown = || LoadError::line(self.path, line, format!("unknown subject `{cell}`"));
        self.formulary.subject(cell).ok_or_else(unknown)
    }

    /// The ingredient or class a cell names.
    fn ingredients(&self, line: u64, cell: &str) -> Result<Subject, LoadError> {
        match self.subject(line, cell)? {
            Subject::Medicine(_) => {
                let message = format!("`{cell}` must be an ingredient or a class");
                Err(LoadError::line(self.path, line, message))
            }
            subject @ (Subject::Ingredient(_) | Subject::Class(_)) => Ok(subject),
        }
    }

    /// The subjects a `|`-separated cell names; at least one.
    fn subjects(&self, line: u64, cell: &str) -> Result<Vec<Subject>, LoadError> {
        self.filled(line, "subject", cell)?;
        list(cell).map(|one| self.subject(line, one)).collect()
    }

    /// The subjects of a cell that may be empty.
    fn some_subjects(&self, line: u64, cell: &str) -> Result<Vec<Subject>, LoadError> {
        list(cell).map(|one| self.subject(line, one)).collect()
    }

    fn routes(&self, line: u64, cell: &str) -> Result<Routes, LoadError> {
        Routes::read(cell)
            .map_err(|name| LoadError::line(self.path, line, format!("unknown route `{name}`")))
    }

    fn prefixes(&self, line: u64, cell: &str) -> Result<Vec<Icd>, LoadError> {
        prefixes(cell).map_err(|message| LoadError::line(self.path, line, message))
    }

    /// Refuses a range whose end lies before its beginning.
    fn rising(
        &self,
        line: u64,
        columns: &str,
        from: Option<f64>,
        to: Option<f64>,
    ) -> Result<(), LoadError> {
        match (from, to) {
            (Some(from), Some(to)) if from > to => {
                Err(LoadError::line(self.path, line, format!("{columns} must rise")))
            }
            _ => Ok(()),
        }
    }

    /// The ingredients and classes a `|`-separated cell names; at least one.
    fn sides(&self, line: u64, cell: &str) -> Result<Vec<Subject>, LoadError> {
        self.filled(line, "subject", cell)?;
        list(cell).map(|one| self.ingredients(line, one)).collect()
    }

    /// An amount such as `150mg`; `None` for an empty cell.
    fn amount(&self, line: u64, cell: &str) -> Result<Option<Quantity>, LoadError> {
        match amounts(cell).first() {
            Some((quantity, _)) => Ok(Some(*quantity)),
            None if cell.is_empty() => Ok(None),
            None => Err(LoadError::line(self.path, line, format!("`{cell}` is no amount"))),
        }
    }

    fn filled(&self, line: u64, column: &str, cell: &str) -> Result<(), LoadError> {
        if cell.is_empty() {
            return Err(LoadError::line(self.path, line, format!("column `{column}` is empty")));
        }
        Ok(())
    }
}

/// A rule's place in its list.
fn place(length: usize, path: &str, line: u64) -> Result<u16, LoadError> {
    u16::try_from(length).map_err(|_| LoadError::line(path, line, "table is too long"))
}

/// How bad a rule says it can become.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
enum TableSeverity {
    Contraindicated,
    Serious,
    Moderate,
    Minor,
}

impl From<TableSeverity> for Severity {
    fn from(severity: TableSeverity) -> Self {
        match severity {
            TableSeverity::Contraindicated => Self::Contraindicated,
            TableSeverity::Serious => Self::Serious,
            TableSeverity::Moderate => Self::Moderate,
            TableSeverity::Minor => Self::Minor,
        }
    }
}

/// Places of rules by what they speak of: a medicine's own rules, and those of its ingredients.
#[derive(Debug)]
pub(super) struct BySubject {
    ingredients: Vec<Vec<u16>>,
    medicines: Vec<Vec<u16>>,
}

impl BySubject {
    fn new(formulary: &Formulary) -> Self {
        Self {
            ingredients: vec![Vec::new(); formulary.ingredients().len()],
            medicines: vec![Vec::new(); formulary.medicines().len()],
        }
    }

    /// Enters a rule; once for each subject, however often it is named.
    fn add(&mut self, formulary: &Formulary, subject: Subject, at: u16) {
        let push = |places: Option<&mut Vec<u16>>| {
            if let Some(places) = places.filter(|places| places.last() != Some(&at)) {
                places.push(at);
            }
        };
        if let Subject::Medicine(id) = subject {
            push(self.medicines.get_mut(id.index()));
        } else {
            for id in formulary.members(subject) {
                push(self.ingredients.get_mut(id.index()));
            }
        }
    }

    /// Rules of the medicine itself.
    pub(super) fn of_medicine(&self, medicine: Option<&Medicine>) -> &[u16] {
        medicine.and_then(|m| self.medicines.get(m.id.index())).map_or(&[], Vec::as_slice)
    }

    /// Whether a medicine has rules of its own.
    pub(super) fn has_medicine(&self, id: MedicineId) -> bool {
        self.medicines.get(id.index()).is_some_and(|rules| !rules.is_empty())
    }

    /// Rules of one ingredient.
    pub(super) fn of_ingredient(&self, id: IngredientId) -> &[u16] {
        self.ingredients.get(id.index()).map_or(&[], Vec::as_slice)
    }
}
