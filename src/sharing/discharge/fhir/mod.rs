//! Discharge records as FHIR R4 (4.0.1): a `Bundle` read with everything that is wrong with it
//! and everything of it that has no place in the model ([`read()`]), and a record written as a
//! document `Bundle` ([`write()`]).
//!
//! The rules of R4 are data (`elements.txt`, `codes.txt`); the walk over them is in `validate`.
//! What is read is marked in the parsed document itself, and what is not marked at the end is
//! listed: nothing is dropped without being named. Only what carries resources and says nothing of
//! the patient is not listed: ids, `fullUrl`, `entry.request`, `Bundle.timestamp`, `meta` without
//! tags and labels, references that lead to a resource of the bundle, and narrative that its sender
//! marks as generated from the rest.
//!
//! Deliberately absent: profiles of other countries, XML, terminology servers, versions other
//! than R4.

mod elements;
mod json;
mod leftover;
mod path;
mod primitives;
mod read;
mod references;
pub mod resources;
mod terms;
#[cfg(test)]
mod tests;
mod validate;
mod write;
mod xhtml;

use serde_json::Value;

use super::model::DischargeRecord;
use super::moment::Moment;
use super::problems::{Problem, Reading};

/// Bytes of a document at most.
pub const BYTES_MAX: usize = 16 << 20;
/// Objects and lists within each other at most.
pub const DEPTH_MAX: usize = 64;
/// Values of a document at most: what 16 MiB of the densest real bundles hold, twice.
pub const VALUES_MAX: usize = 2_000_000;
/// Problems listed at most; the last then says how many more there are.
pub const PROBLEMS_MAX: usize = 5_000;
/// Kinds of unplaced content listed at most.
pub const UNPLACED_MAX: usize = 5_000;
/// Characters of a foreign name within a path at most.
pub const NAME_CHARS_MAX: usize = 120;
/// Bytes read through references at most.
const EMBEDDED_BYTES_MAX: usize = BYTES_MAX;

/// Reads a FHIR R4 `Bundle` in JSON.
///
/// A `document` is read by its `Composition`, which must be a discharge summary (LOINC 18842-5). Of a
/// `collection`, `transaction` or `batch` the record is composed by its newest finished inpatient
/// encounter, which the reading names as a problem of severity `Information`.
///
/// # Errors
/// All problems, if one of them is fatal.
pub fn read(bytes: &[u8]) -> Result<Reading, Vec<Problem>> {
    read::read(bytes)
}

/// Writes a record as a FHIR R4 document `Bundle` that was `assembled` then.
///
/// The same record gives the same ids. [`read()`] gives the record back, as far as R4 can carry it:
/// texts without control characters, no concept or list item that says nothing at all.
pub fn write(record: &DischargeRecord, assembled: &Moment) -> Value {
    write::write(record, assembled)
}
