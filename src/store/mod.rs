//! What the node keeps. SQL lives only here.
//!
//! One folder per back-end with the same file names; `SQLite` on a clinic or hospital node.
//! PostgreSQL for the hub joins with the hub itself and is deliberately absent until then.

pub mod discard;
pub mod sqlite;
mod studies;
