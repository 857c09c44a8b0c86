//! What the tests of this module share.

use std::path::Path;
use std::sync::LazyLock;

use sha2::{Digest as _, Sha256};

use super::person::{Digest, IdentifierKind, Keyer};
use super::tables::PeopleTables;
use crate::tables::files::Files;

static TABLES: LazyLock<PeopleTables> =
    LazyLock::new(|| PeopleTables::load(&files()).unwrap_or_else(|e| panic!("{e}")));

/// The tables of this repository.
pub(super) fn tables() -> &'static PeopleTables {
    &TABLES
}

/// The files under `models/people/`.
pub(super) fn files() -> Files {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/people");
    let mut files = Files::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = format!("people/{}", path.file_name().unwrap().to_string_lossy());
        files.insert(name, std::fs::read(&path).unwrap());
    }
    files
}

/// A keyed hash for tests.
pub(super) struct TestKeyer;

impl Keyer for TestKeyer {
    fn digest(&self, kind: IdentifierKind, number: &str) -> Digest {
        let mut digest = Digest::default();
        for (place, byte) in
            digest.iter_mut().zip(Sha256::digest(format!("{kind:?} {number}")).iter())
        {
            *place = *byte;
        }
        digest
    }
}
