//! Section of the keys that what lies on the disk is sealed with.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{ConfigError, refuse};
use crate::sharing::sealing::cipher::Cipher;

/// Bytes of a token's label, at most (PKCS#11 2.40, `CK_TOKEN_INFO`).
const TOKEN_LABEL_BYTES: usize = 32;
/// Bytes of a key's label that are taken, at most.
const KEY_LABEL_BYTES: usize = 200;

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
    /// A key in a token (PKCS#11) that never leaves it.
    pub token: Option<HsmSection>,
    /// What keys and files that are made from now on are sealed with: `aes-256-gcm`, or `sm4-gcm`.
    /// Databases are sealed by `SQLCipher` (AES-256) with either.
    pub cipher: Cipher,
}

/// A master key in a token: an AES key of 256 bits that wraps the keyring inside it (`CKM_AES_GCM`).
/// Make it with `xiangyi admin keys make-token-key`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HsmSection {
    /// The maker's PKCS#11 module, a shared library, as an absolute path.
    pub module: PathBuf,
    /// Label of the token.
    pub label: String,
    /// Label of the key in it (`CKA_LABEL`).
    #[serde(default = "key_label")]
    pub key: String,
    /// A file with the user's PIN that only its owner can read.
    pub pin_file: PathBuf,
}

fn key_label() -> String {
    "xiangyi-master".to_owned()
}

impl HsmSection {
    fn validate(&self) -> Result<(), ConfigError> {
        // A name without a folder is looked for along the loader's path: whose file that is nobody says.
        if !self.module.is_absolute() {
            return refuse("encryption.token.module must be an absolute path of a PKCS#11 module");
        }
        let fits = |text: &str, most| !text.trim().is_empty() && text.len() <= most;
        if !fits(&self.label, TOKEN_LABEL_BYTES) {
            return refuse(
                "encryption.token.label must have 1 to 32 bytes, as labels of tokens have",
            );
        }
        if !fits(&self.key, KEY_LABEL_BYTES) {
            return refuse("encryption.token.key must have 1 to 200 bytes");
        }
        Ok(())
    }
}

impl EncryptionSection {
    /// Whether there is a master key.
    pub fn is_on(&self) -> bool {
        self.key_file.is_some() || self.credential.is_some() || self.token.is_some()
    }

    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        let set = [self.key_file.is_some(), self.credential.is_some(), self.token.is_some()];
        if set.into_iter().filter(|set| *set).count() > 1 {
            return refuse(
                "encryption.key_file, encryption.credential and encryption.token: set one of them",
            );
        }
        if let Some(token) = &self.token {
            token.validate()?;
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
