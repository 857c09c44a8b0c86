//! Cited tables under `models/`: the files in memory, typed rows with their sources, and the one
//! form to which Chinese text and dictionaries are folded.
//!
//! Below `medicine` and `sharing`, which both read tables and may not name each other. Pure: no
//! I/O, and nothing here knows what a table is about.

pub mod files;
pub mod signed;
pub mod table;
pub mod text;
