//! De-identification for research and teaching: images ([`images`]), discharge records
//! ([`records`]) and tables of counts ([`counts`]), by rules that are data (`models/policy/
//! deidentification/`, [`rules`]) and with pseudonyms of one secret ([`key`]).
//!
//! What was done is told by attribute and number ([`report`]), never with values. Everything here
//! is done again to what is done already without changing it.
//!
//! Deliberately absent: taking text out of pixels, taking faces out of volumes (both are flagged
//! instead), and a way back from a pseudonym. What is left can still be linked by somebody who knows
//! enough of a patient otherwise: it is de-identified by rule, not anonymous.

pub mod counts;
pub mod images;
pub mod key;
pub mod records;
pub mod report;
pub mod rules;
mod scrub;
mod shift;
mod words;

pub use key::Key;
pub use report::{Did, Report};
pub use rules::{Choice, Choices, Rules};
