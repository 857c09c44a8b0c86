//! Probabilistic record linkage after Fellegi and Sunter (JASA 1969): fields with levels of
//! agreement, the weight of each level in bits, and how the weights are learnt without anybody
//! having said which pairs belong together.
//!
//! Nothing here knows what a field is about. Who links compares two records to a [`Pattern`], one
//! level a field, and asks a [`Model`] what that weighs; people of the region and the published
//! FEBRL sets run on the same code with other fields.

mod assign;
mod compare;
mod em;
mod model;

pub use assign::{Link, one_to_one};
pub use compare::{edits, edits_level, similarity_level};
pub use em::{FitOptions, Fitted, fit};
pub use model::{FIELDS_MAX, Field, Level, Model, ModelError, Pattern, PatternWeight};

#[cfg(test)]
mod tests;
