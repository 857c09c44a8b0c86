//! What the node keeps. SQL lives only here.
//!
//! One folder per back-end with the same file names: `SQLite` beside the node, PostgreSQL for an index
//! of studies that outgrows it. What they do alike is in `studies/`.

pub mod discard;
pub mod postgres;
pub mod sqlite;
mod studies;
