//! What can go wrong with an archive on disk, and how it is told to callers.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::app::error::Error;
use crate::archive::remote::RemoteError;
use crate::sharing::sealing::KeyId;

/// When to try again after the disk was full.
const FULL_RETRY: Duration = Duration::from_secs(30);

/// Why an archive was not opened.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// Another process has it.
    #[error("archive {} is in use by another process", .path.display())]
    Locked {
        /// Its directory.
        path: PathBuf,
    },
    /// The disk refuses.
    #[error("cannot {what} {}", .path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// With which file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// A later version of this program wrote it.
    #[error("{} has format version {found}, which this program does not know", .path.display())]
    Version {
        /// Which file.
        path: PathBuf,
        /// The version found.
        found: u16,
    },
    /// It is sealed, and the node has no keys.
    #[error(
        "{} is sealed with key {id}: configure the master key of this node (section encryption)",
        .path.display()
    )]
    Sealed {
        /// Which file.
        path: PathBuf,
        /// The key it needs.
        id: KeyId,
    },
    /// It is sealed with a key that the keyring does not have.
    #[error(
        "{} is sealed with key {id}, which the keyring of this node does not have; is it an older one?",
        .path.display()
    )]
    Key {
        /// Which file.
        path: PathBuf,
        /// The key it needs.
        id: KeyId,
    },
    /// It is not sealed, and what the node keeps is to be.
    #[error("{} is not encrypted: `xiangyi admin encrypt` does it", .path.display())]
    Plain {
        /// Which file.
        path: PathBuf,
    },
    /// No random bytes to be had.
    #[error("the system gives no random bytes")]
    Random(#[source] getrandom::Error),
    /// No thread to be had.
    #[error("the system gives no thread")]
    Thread(#[source] io::Error),
}

/// Adds what was tried to an error of the system.
pub(super) trait Tried<T> {
    /// What was tried, with which file.
    fn tried(self, what: &'static str, path: &std::path::Path) -> Result<T, ArchiveError>;
}

impl<T> Tried<T> for io::Result<T> {
    fn tried(self, what: &'static str, path: &std::path::Path) -> Result<T, ArchiveError> {
        self.map_err(|source| ArchiveError::Io { what, path: path.to_owned(), source })
    }
}

/// Whether there is no room on the disk.
pub(super) fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
    )
}

/// An error of the system as callers see it.
pub(super) fn refusal(error: &io::Error) -> Error {
    if is_full(error) {
        return full();
    }
    let again = error.raw_os_error().map_or_else(
        || io::Error::new(error.kind(), error.to_string()),
        io::Error::from_raw_os_error,
    );
    Error::Unavailable { what: "archive", cause: Some(again.into()) }
}

/// The disk is full.
pub(super) fn full() -> Error {
    Error::Overloaded { what: "archive", retry_after: FULL_RETRY }
}

/// A failure of the remote store as callers see it.
pub(super) fn remote(error: RemoteError) -> Error {
    match error {
        RemoteError::Missing { .. } | RemoteError::Changed { .. } => {
            Error::internal("remote archive", error)
        }
        RemoteError::Store(_) | RemoteError::Local(_) => {
            Error::Unavailable { what: "remote archive", cause: Some(error.into()) }
        }
    }
}

/// Bodies are in a remote store, and none is configured.
pub(super) fn no_remote() -> Error {
    Error::Unavailable {
        what: "remote archive",
        cause: Some("bodies of this segment are in a remote store: configure imaging.s3".into()),
    }
}

/// The writer has gone.
pub(super) fn gone() -> Error {
    Error::Unavailable { what: "archive", cause: None }
}

/// There is no such record, or it was erased.
pub(super) fn not_found() -> Error {
    Error::NotFound { kind: "object" }
}
