//! What the node keeps. SQL lives only here.
//!
//! One folder per back-end with the same file names: `SQLite` beside the node, PostgreSQL for an index
//! of studies that outgrows it and for the documents of a hub. What they do alike is in `studies/` and
//! `hub/`.

pub mod discard;
mod hub;
pub mod looking;
pub mod postgres;
pub mod sqlite;
mod studies;
#[cfg(test)]
mod upgrades;
