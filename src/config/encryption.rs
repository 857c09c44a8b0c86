//! Section of the keys that what lies on the disk is sealed with.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{ConfigError, refuse};
use crate::sharing::sealing::cipher::Cipher;

/// Where the master key of this node comes from. Without one nothing is sealed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EncryptionSection {
    /// A file of 32 bytes or more that only its owner can read, best on another device than the data
    /// (make one with `head -c 32 /dev/urandom > master.key; chmod 600 master.key`).
    pub key_file: Option<PathBuf>,
    /// Name of a systemd credential with as many bytes (`LoadCredentialEncrypted=`).
    pub credential: Option<String>,
    /// Where systemd puts credentials; none: what it says in `CREDENTIALS_DIRECTORY`.
    pub credentials_dir: Option<PathBuf>,
    /// What keys and files that are made from now on are sealed with: `aes-256-gcm`, or `sm4-gcm`.
    /// Databases are sealed by `SQLCipher` (AES-256) with either.
    pub cipher: Cipher,
}

impl EncryptionSection {
    /// Whether there is a master key.
    pub fn is_on(&self) -> bool {
        self.key_file.is_some() || self.credential.is_some()
    }

    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        if self.key_file.is_some() && self.credential.is_some() {
            return refuse("encryption.key_file and encryption.credential: set one of them");
        }
        let Some(name) = &self.credential else { return Ok(()) };
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if name.is_empty() || !name.chars().all(plain) || name.starts_with('.') {
            return refuse(
                "encryption.credential must be letters, digits, -, _ and ., and not begin with .",
            );
        }
        if self.credentials_dir.is_none() {
            return refuse(
                "encryption.credential: systemd gave no credentials (CREDENTIALS_DIRECTORY is not set); \
                 put LoadCredential= or LoadCredentialEncrypted= into the unit, or set \
                 encryption.credentials_dir",
            );
        }
        Ok(())
    }
}
