//! Prescription checks (合理用药): from a written order to findings a doctor can act on.
//!
//! [`PrescriptionKnowledge`] is loaded once from the cited tables under `models/prescription/`;
//! [`PrescriptionKnowledge::check`] is then pure: the same order gives the same report, whatever
//! the order of its lines. What a name stands for is decided by [`Formulary::resolve`], never by
//! likeness; what is not known is reported as unchecked and is never silently taken as safe.
//!
//! Deliberately absent: prices, stock, and any wording that is not in a table except the sentences
//! that join names and numbers together.

mod bits;
mod check;
mod diseases;
mod formulary;
mod frequency;
mod loading;
mod order;
mod quantity;
mod reading;
mod report;
mod resolve;
mod route;
mod rows;
mod rules;
#[cfg(test)]
mod tests;
mod usage;
mod words;

pub use check::{Facts, PrescriptionKnowledge, Profile};
pub use formulary::{
    Class, ClassId, Formulary, Ingredient, IngredientId, IngredientKind, Medicine, MedicineId,
    MedicineKind, Subject,
};
pub use order::{
    AllergyEntry, Chart, DAYS_MAX, LINES_MAX, LIST_MAX, Level, Line, NAME_CHARS_MAX, Order,
    PREGNANCY_WEEKS_MAX, Problem, Setting, SkinTestResult, TEXT_CHARS_MAX, WEIGHT_KG,
};
pub use reading::read_orders;
pub use report::{Action, Alternative, Finding, Kind, Report, Severity, Summary, Taken, Unchecked};
pub use resolve::{Resolution, SUGGESTIONS_MAX};
pub use route::Route;
pub use rows::{RuleRow, rule_row};
