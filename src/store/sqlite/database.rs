//! Where a database lies, and the key that its pages are sealed with.

use std::path::{Path, PathBuf};

use sqlx::sqlite::SqliteConnectOptions;
use zeroize::Zeroizing;

use crate::sharing::sealing::Secret;
use crate::tables::text::hex;

/// What every unsealed database begins with.
const MAGIC: &[u8; 16] = b"SQLite format 3\0";

/// A database, sealed or not.
#[derive(Debug, Clone)]
pub struct Database {
    path: PathBuf,
    key: Option<Secret>,
}

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// There is none, or an empty one.
    Absent,
    /// A database that anybody reads.
    Plain,
    /// Something else: a sealed database, or none.
    Sealed,
}

impl Database {
    /// The database at `path`; with a `key`, 32 bytes, its pages are sealed.
    pub fn new(path: PathBuf, key: Option<Secret>) -> Self {
        Self { path, key }
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A database with the same key at `path`.
    #[must_use]
    pub fn at(&self, path: PathBuf) -> Self {
        Self { path, key: self.key.clone() }
    }

    /// What the file at `path` is.
    pub fn form(path: &Path) -> std::io::Result<Form> {
        use std::io::Read as _;
        let mut begins = Vec::new();
        match std::fs::File::open(path) {
            Ok(file) => file.take(16).read_to_end(&mut begins)?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Form::Absent);
            }
            Err(error) => return Err(error),
        };
        Ok(match begins.as_slice() {
            [] => Form::Absent,
            begins if begins == MAGIC => Form::Plain,
            _ => Form::Sealed,
        })
    }

    /// How it is opened: the key before anything else is asked.
    pub(super) fn options(&self) -> SqliteConnectOptions {
        let options = SqliteConnectOptions::new().filename(&self.path);
        match &self.key {
            Some(_) => options.pragma("key", self.literal().as_str().to_owned()),
            None => options,
        }
    }

    /// The key as SQL has it; an empty text without one.
    pub(super) fn literal(&self) -> Zeroizing<String> {
        Zeroizing::new(match &self.key {
            Some(key) => format!("\"x'{}'\"", hex(key.expose())),
            None => "''".to_owned(),
        })
    }
}

impl From<&Self> for Database {
    fn from(database: &Self) -> Self {
        database.clone()
    }
}

impl From<&Path> for Database {
    fn from(path: &Path) -> Self {
        Self::new(path.to_owned(), None)
    }
}

impl From<&PathBuf> for Database {
    fn from(path: &PathBuf) -> Self {
        Self::new(path.clone(), None)
    }
}
