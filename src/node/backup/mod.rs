//! Backups of a node that may be running: one file, sealed with the node's master key and nothing else,
//! so that whoever has the file learns nothing from it and cannot make another.
//!
//! - [`file`](mod@file): the bytes of the file, and what seals them.
//! - [`taking`]: copies of databases at one moment each, then what only grows, then a manifest.
//! - [`reading`]: verifying, and putting back into a folder where nothing is.
//!
//! Databases first and the archive after them: what a database speaks of is in the archive then, and what
//! the archive has beyond it is caught up with at the next start.
//!
//! Deliberately absent: backups of a part, and backups on top of others. Not in it: master keys,
//! certificates, the configuration, bodies that are only in a remote store, and databases on a server.

pub mod file;
pub mod reading;
pub mod taking;

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::keys::KeysError;
use crate::sharing::sealing::Fault;
use crate::store::sqlite::copying::CopyError;

/// Name of the list of what there is, the last in a backup.
const MANIFEST: &str = "manifest.json";
/// What a manifest begins with.
const FORMAT: &str = "xiangyi backup 1";
/// What stands in front of the names of files of the store's directory, and of the imaging directory.
const STORE: &str = "store";
const IMAGING: &str = "imaging";

/// Name of the empty file in the store's directory that says that it was put back from a backup and that no
/// node has started on it since: sessions that were ended after the backup would go on.
pub(super) const RESTORED: &str = "restored-from-backup";
/// Likewise, of codes that nodes have enrolled with since, at a hub.
pub(super) const RESTORED_CODES: &str = "restored-enrolment-codes";

/// What is in a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    format: String,
    /// Name of the node.
    pub node: String,
    /// Version of the program that took it.
    pub program: String,
    /// When it was begun, in milliseconds since 1970.
    pub begun_ms: i64,
    /// Its files, in their order.
    pub files: Vec<Listed>,
}

/// A file in a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listed {
    /// Its name there.
    pub name: String,
    /// Its bytes.
    pub bytes: u64,
    /// Their SHA-256, in hexadecimal digits.
    pub sha256: String,
}

/// Why there is no backup, or why one is not good.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The keys cannot be used.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// Nothing is encrypted.
    #[error(
        "a backup is sealed with the master key of the node: set encryption.key_file, \
         encryption.credential or encryption.token (and run `xiangyi admin encrypt` where something is kept already)"
    )]
    Off,
    /// The system refuses.
    #[error("cannot {what} {}", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// With which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A database cannot be copied.
    #[error("cannot copy {}", path.display())]
    Copy {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: CopyError,
    },
    /// Something is where nothing may be.
    #[error("{} is there already: nothing is written over it", path.display())]
    Taken {
        /// What.
        path: PathBuf,
    },
    /// The file is no backup.
    #[error("{} is no backup of this program", path.display())]
    Foreign {
        /// Which.
        path: PathBuf,
    },
    /// It does not open.
    #[error("{} {fault}", path.display())]
    Sealed {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        fault: Fault,
    },
    /// It was altered or cut.
    #[error("{} was altered or cut: {name}: {what}", path.display())]
    Damaged {
        /// Which.
        path: PathBuf,
        /// The file in it.
        name: String,
        /// What is wrong.
        what: String,
    },
}

/// Adds what was tried to an error of the system.
trait Tried<T> {
    fn tried(self, what: &'static str, path: &Path) -> Result<T, BackupError>;
}

impl<T> Tried<T> for io::Result<T> {
    fn tried(self, what: &'static str, path: &Path) -> Result<T, BackupError> {
        self.map_err(|source| BackupError::Io { what, path: path.to_owned(), source })
    }
}
