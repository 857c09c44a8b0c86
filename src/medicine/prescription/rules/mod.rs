//! The rule tables, checked against the formulary and made ready for look-up.

mod allergies;
mod interactions;
mod limits;
mod pregnancy;

use std::collections::HashSet;

pub(super) use allergies::{Allergies, AllergyRule, Tier};
pub(super) use interactions::{Condition, Grade, InteractionRule, Interactions};
pub(super) use limits::{Limit, Limits, ReviewItems};
pub(super) use pregnancy::{PregnancyRule, PregnancyRules};

use super::formulary::{Formulary, Subject};
use super::report::Action;
use crate::medicine::files::LoadError;
use crate::medicine::table::Status;

/// Where a rule comes from.
#[derive(Debug, Clone)]
pub(super) struct Origin {
    /// Id of the row.
    pub(super) id: String,
    /// Citation as in the table.
    pub(super) source: String,
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
}

impl From<TableAction> for Action {
    fn from(action: TableAction) -> Self {
        match action {
            TableAction::Stop => Self::Stop,
            TableAction::NeedsReason => Self::NeedsReason,
            TableAction::Notice => Self::Notice,
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
        Ok(Origin { id: id.to_owned(), source: source.to_owned(), status })
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
