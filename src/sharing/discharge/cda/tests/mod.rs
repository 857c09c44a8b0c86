//! Reading and writing CDA: what is refused, the shared documents of real vendors, and round trips.

mod arbitrary;
mod chinese;
mod hostile;
mod negated;
mod round_trip;
mod vendors;

use std::path::{Path, PathBuf};

use super::super::problems::{Problem, Reading, Severity};

/// A folder of the shared data.
fn shared(folder: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/records").join(folder)
}

/// A document that was written for these tests.
fn fixture(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/records");
    std::fs::read(folder.join(name)).unwrap()
}

fn read(bytes: &[u8]) -> Result<Reading, Vec<Problem>> {
    super::read(bytes)
}

fn fatal(bytes: &[u8]) -> Vec<(String, String)> {
    let problems = read(bytes).unwrap_err();
    let fatal = problems.iter().filter(|problem| problem.severity == Severity::Fatal);
    fatal.map(|problem| (problem.code.clone(), problem.path.clone())).collect()
}

/// Leaves a document for `tests/python/records/test_cda_written.py`: the schema is not for Rust.
fn leave(name: &str, document: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/cda-written");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join(name), document).unwrap();
}
