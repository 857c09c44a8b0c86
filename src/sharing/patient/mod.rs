//! Who a record is about: particulars of people, checked and normalised, and matched.
//!
//! [`prepare`] turns what was sent into what is matched. Numbers (resident ID, health card,
//! telephone) leave it as keyed hashes only. [`PeopleIndex`] holds everybody and answers who
//! somebody is: linked, to be reviewed, or new, each with its reasons.
//!
//! Deliberately absent: where decisions and links are kept, and undone (`app`, `store`); learning
//! m and u from a region's own pairs is possible with [`linkage::fit`], and left to its operators.

pub mod identifier;
pub mod linkage;
pub mod name;

mod address;
mod blob;
mod compare;
mod found;
mod hash;
mod index;
mod person;
mod problem;
mod tables;

pub use address::AddressSketch;
pub use blob::NotPrepared;
pub use found::{
    Candidate, Decision, Decisions, Explanation, FieldEvidence, Found, Reason, Undecided,
};
pub use identifier::ResidentId;
pub use index::{IndexFull, PeopleIndex, PeopleLoader};
pub use person::{
    BirthDate, Digest, IdentifierKind, Keyer, Person, Prepared, Sex, prepare, prepare_leniently,
};
pub use problem::{Part, Problem, ProblemKind};
pub use tables::{Limits, PeopleTables};

#[cfg(test)]
mod testing;
