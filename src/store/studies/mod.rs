//! What every index of studies does alike, whatever database it lies in: how values are packed, what
//! later instances add to a study, what a batch changes, how a question is understood, and the queue
//! of the one writer. No SQL is here; each back-end has its own.

pub(in crate::store) mod answers;
pub(in crate::store) mod memory;
pub(in crate::store) mod merge;
pub(in crate::store) mod packed;
pub(in crate::store) mod plan;
pub(in crate::store) mod question;
pub(in crate::store) mod queue;

/// Instances that one statement writes at most.
pub(in crate::store) const INSTANCES_MAX: usize = 256;
/// Conditions of one question.
const CONDITIONS_MAX: usize = 64;
/// Values of one list, other than UIDs: an expression may not be deeper than `SQLite` allows.
const VALUES_MAX: usize = 256;
/// Names under one key of which a search is narrowed by it. Of a commoner one, answers come sooner
/// from a walk through the studies, newest first: about as many studies are looked at as there are
/// names under this key.
pub(in crate::store) const NAMES_MAX: i64 = 4_000;
/// Names under each of two keys that are looked through for those under both.
pub(in crate::store) const COMMON_NAMES_MAX: i64 = 100_000;
/// Keys tried for one question.
pub(in crate::store) const KEYS_MAX: usize = 8;
/// Different descriptions of studies that a pattern is tried on; beyond that every study is looked
/// at, newest first.
pub(in crate::store) const DESCRIPTIONS_MAX: i64 = 4_096;
/// Answers skipped from which on a page is found in two steps; tests get there with few.
pub(in crate::store) const FAR: u64 = if cfg!(test) { 2 } else { 200 };
