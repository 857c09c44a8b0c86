//! People at the hub: who the documents of all nodes are about.
//!
//! Every record and registration states particulars of a person. [`registry`] matches them, one document
//! after the other, with the persons that are known: they are linked, or a new person begins, which
//! somebody may have to look at. [`decide`] is what people decide by hand; that wins for good, and can be
//! undone. [`ports`] says what the store must do; what identifies anybody is sealed there.

pub mod cases;
pub mod decide;
pub mod ports;
pub mod registry;
pub mod stated;
#[cfg(test)]
pub(crate) mod store_suite;

pub use self::registry::People;
