//! Who a record is about: particulars of people, checked and normalised, and matched.
//!
//! [`prepare`] turns what was sent into what is matched. Numbers (resident ID, health card,
//! telephone) leave it as keyed hashes only.

pub mod identifier;
pub mod linkage;
pub mod name;

mod address;
mod blob;
mod hash;
mod person;
mod problem;
mod tables;

pub use address::AddressSketch;
pub use blob::NotPrepared;
pub use person::{
    BirthDate, Digest, IdentifierKind, Keyer, Person, Prepared, Sex, prepare, prepare_leniently,
};
pub use problem::{Part, Problem, ProblemKind};
pub use tables::{Limits, PeopleTables};

#[cfg(test)]
mod testing;
