//! Where a master key comes from: a file, a credential of systemd, or a token.

use std::fs::{File, Metadata};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::token::{self, TokenError};
use crate::config::EncryptionSection;
use crate::sharing::sealing::keyring::{KnownMaster, Master};
use crate::sharing::sealing::{Fault, Secret};

/// Bytes of a master key in a file, least and most.
const KEY_BYTES: std::ops::RangeInclusive<usize> = 32..=4096;

/// Bytes of a token's PIN at most.
const PIN_BYTES_MAX: usize = 255;

/// Why there is no master key.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// It cannot be read.
    #[error("cannot read the secret {} ({field})", path.display())]
    Read {
        /// What names it.
        field: &'static str,
        /// Where it is.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Others can read it.
    #[error(
        "the secret {} ({field}) {why}: {advice}",
        path.display()
    )]
    Open {
        /// What names it.
        field: &'static str,
        /// Where it is.
        path: PathBuf,
        /// What is wrong.
        why: &'static str,
        /// What to do.
        advice: &'static str,
    },
    /// It is no key.
    #[error("the master key {} ({field}) must have 32 to 4096 bytes", path.display())]
    Length {
        /// What names it.
        field: &'static str,
        /// Where it is.
        path: PathBuf,
    },
    /// It is no PIN.
    #[error(
        "{} (encryption.token.pin_file) must have the PIN of the token's user in one line of UTF-8, 1 to \
         255 bytes",
        path.display()
    )]
    Pin {
        /// Where it is.
        path: PathBuf,
    },
    /// It cannot be used.
    #[error("the master key: {0}")]
    Key(Fault),
    /// The token has none for us.
    #[error(transparent)]
    Token(#[from] TokenError),
}

/// The master key that the configuration names.
pub fn master(section: &EncryptionSection) -> Result<Box<dyn Master>, SourceError> {
    let known = |secret| -> Result<Box<dyn Master>, SourceError> {
        Ok(Box::new(KnownMaster::new(section.cipher, secret).map_err(SourceError::Key)?))
    };
    if let Some(token) = &section.token {
        return Ok(Box::new(token::TokenMaster::open(token, pin(&token.pin_file)?)?));
    }
    match (&section.key_file, &section.credential, &section.credentials_dir) {
        (Some(path), _, _) => known(read(path, "encryption.key_file", owner_only)?),
        (None, Some(name), Some(dir)) => {
            known(read(&dir.join(name), "encryption.credential", not_for_all)?)
        }
        (None, _, _) => Err(SourceError::Read {
            field: "encryption.key_file",
            path: PathBuf::new(),
            source: io::ErrorKind::NotFound.into(),
        }),
    }
}

/// The master key in a file that only its owner can read.
pub fn file(path: &Path, section: &EncryptionSection) -> Result<Box<dyn Master>, SourceError> {
    let secret = read(path, "the file named", owner_only)?;
    Ok(Box::new(KnownMaster::new(section.cipher, secret).map_err(SourceError::Key)?))
}

/// The PIN in a file that only its owner can read, without the end of its line.
pub(super) fn pin(path: &Path) -> Result<Secret, SourceError> {
    let field = "encryption.token.pin_file";
    let read = bytes(path, field, owner_only, PIN_BYTES_MAX)?;
    let text = std::str::from_utf8(read.expose()).map(|text| text.trim_end_matches(['\r', '\n']));
    match text {
        Ok(pin) if !pin.is_empty() && pin.len() <= PIN_BYTES_MAX && !pin.contains('\n') => {
            Ok(Secret::new(pin.as_bytes().to_vec()))
        }
        Ok(_) | Err(_) => Err(SourceError::Pin { path: path.to_owned() }),
    }
}

fn read(
    path: &Path,
    field: &'static str,
    check: fn(&Metadata) -> Result<(), (&'static str, &'static str)>,
) -> Result<Secret, SourceError> {
    let secret = bytes(path, field, check, *KEY_BYTES.end())?;
    if KEY_BYTES.contains(&secret.expose().len()) {
        Ok(secret)
    } else {
        Err(SourceError::Length { field, path: path.to_owned() })
    }
}

/// A secret that its owner alone can read; of a longer one than `most`, a byte more than that.
fn bytes(
    path: &Path,
    field: &'static str,
    check: fn(&Metadata) -> Result<(), (&'static str, &'static str)>,
    most: usize,
) -> Result<Secret, SourceError> {
    let failed = |source| SourceError::Read { field, path: path.to_owned(), source };
    let file = File::open(path).map_err(failed)?;
    // Of the opened file: what is read is what was looked at.
    check(&file.metadata().map_err(failed)?).map_err(|(why, advice)| SourceError::Open {
        field,
        path: path.to_owned(),
        why,
        advice,
    })?;
    // Room from the start: what is moved to more room stays behind in the old one.
    let most = most.saturating_add(1);
    let mut bytes = Vec::with_capacity(most);
    file.take(u64::try_from(most).unwrap_or(u64::MAX)).read_to_end(&mut bytes).map_err(failed)?;
    Ok(Secret::new(bytes))
}

fn owner_only(found: &Metadata) -> Result<(), (&'static str, &'static str)> {
    if !found.is_file() {
        return Err(("is no file", "name a file"));
    }
    if found.mode() & 0o077 != 0 {
        return Err(("can be read by others than its owner", "chmod 600 it"));
    }
    let us = rustix::process::geteuid().as_raw();
    if found.uid() != us && found.uid() != 0 {
        return Err(("belongs to another user", "chown it to the user of the node"));
    }
    Ok(())
}

/// systemd lets the unit's user in by an access list, which looks like rights of the group.
fn not_for_all(found: &Metadata) -> Result<(), (&'static str, &'static str)> {
    if !found.is_file() {
        return Err(("is no file", "check LoadCredential= in the unit"));
    }
    if found.mode() & 0o027 != 0 {
        return Err(("can be read by everybody", "let systemd make it"));
    }
    Ok(())
}
