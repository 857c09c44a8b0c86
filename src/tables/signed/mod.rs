//! Signed folders of models and tables: which files lie in them, with their digests, signed with
//! Ed25519, in a file of the folder itself.
//!
//! What is held to a manifest are bytes in memory, the same that are used afterwards; nothing is read
//! from the disk a second time. Deliberately absent: revocation (a key is trusted as long as the
//! configuration names it), and any order of releases (an older one that was signed is taken).

mod format;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;

use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use sha2::{Digest as _, Sha256};

pub use self::format::{Entry, Unverified};
use super::files::{Files, LoadError};
use super::text::{fold, hex};

/// Name of the manifest, in the folder it is about.
pub const MANIFEST: &str = "SIGNED.jsonl";
/// Bytes of a public key, and of the seed of a private one.
pub const KEY_BYTES: usize = 32;
/// What the signed bytes begin with, so that no signature of something else is one of a folder.
const DOMAIN: &[u8] = b"xiangyi signed folder 1\n";
/// Digits of a key that name it in messages.
const KEY_DIGITS: usize = 16;
/// Files that a message names; it counts the others.
const NAMED_MAX: usize = 3;

/// An Ed25519 public key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey(pub [u8; KEY_BYTES]);

/// Whose signatures count, and whether a folder needs one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trust {
    /// Keys that are trusted. With none, a manifest is held against the key that it names itself, which
    /// shows what was altered by somebody who cannot write the manifest anew, and no more.
    pub keys: Vec<PublicKey>,
    /// Whether a folder without a manifest is refused.
    pub required: bool,
}

/// What a manifest says about its folder, apart from the files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    /// What the signer calls this state of the folder.
    pub release: String,
    /// Who signed, in the signer's words.
    pub by: String,
    /// When, in whole seconds since 1970.
    pub at_s: i64,
}

/// A manifest whose signature is right, and which its folder fits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// What it says.
    pub about: About,
    /// Whose signature it is.
    pub key: PublicKey,
    /// Whether that key is among the trusted ones.
    pub trusted: bool,
    /// Number of files.
    pub files: usize,
}

/// A private key.
pub struct SigningKey(Ed25519KeyPair);

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

/// The key is a secret.
impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(..)")
    }
}

impl PublicKey {
    /// From 64 hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        Some(Self(format::unhex(&text.to_ascii_lowercase())?))
    }

    /// The digits that name it in messages.
    pub fn short(&self) -> String {
        self.to_string().chars().take(KEY_DIGITS).collect()
    }
}

impl About {
    /// When, in RFC 3339.
    pub fn at(&self) -> String {
        format::time(self.at_s).unwrap_or_default()
    }
}

impl SigningKey {
    /// Of 32 random bytes; none for a seed that is no key.
    pub fn new(seed: &[u8; KEY_BYTES]) -> Option<Self> {
        Ed25519KeyPair::from_seed_unchecked(seed).ok().map(Self)
    }

    /// From 64 hexadecimal digits; white space around them is dropped.
    pub fn parse(text: &str) -> Option<Self> {
        Self::new(&format::unhex(text.trim())?)
    }

    /// The key that others check its signatures with.
    pub fn public(&self) -> PublicKey {
        let mut key = [0; KEY_BYTES];
        for (to, from) in key.iter_mut().zip(self.0.public_key().as_ref()) {
            *to = *from;
        }
        PublicKey(key)
    }
}

/// The manifest of `files`, signed. What lies there as manifest already is not part of it.
///
/// # Errors
/// A file whose path cannot stand in a manifest, by its path; what `about` cannot say.
pub fn sign(files: &Files, about: About, key: &SigningKey) -> Result<Vec<u8>, LoadError> {
    let listed = listed(files);
    let entries = listed.map(|(path, bytes)| Entry {
        path: path.to_owned(),
        bytes: size(bytes),
        sha256: digest(bytes),
    });
    let unsigned = Unverified::new(about, key.public(), entries.collect())?;
    let signature = key.0.sign(&unsigned.signed_bytes());
    Ok(unsigned.write(signature.as_ref()))
}

/// Holds `files` to their manifest and the manifest to `trust`. None: there is no manifest, and none is
/// required.
///
/// # Errors
/// What is wrong, by the name of the file: one that was altered, added or taken away, or the manifest.
pub fn admit(files: &Files, trust: &Trust) -> Result<Option<Signed>, LoadError> {
    let like = |path: &&str| fold(path) == fold(MANIFEST) && *path != MANIFEST;
    if let Some(path) = files.paths().find(like) {
        return Err(LoadError::file(path, format!("a manifest is called {MANIFEST}")));
    }
    let Ok(bytes) = files.bytes(MANIFEST) else {
        if trust.required {
            return Err(LoadError::file(
                MANIFEST,
                "file is missing: folders must be signed here (models.require_signed); sign this \
                 one with `xiangyi models sign`",
            ));
        }
        return Ok(None);
    };
    let manifest = Unverified::parse(bytes)?;
    let key = UnparsedPublicKey::new(&ED25519, manifest.key.0);
    if key.verify(&manifest.signed_bytes(), &manifest.signature).is_err() {
        return Err(LoadError::file(
            MANIFEST,
            format!(
                "the signature is not that of key {} on what the manifest says: it was altered, or \
                 cut; take the folder from its source again",
                manifest.key.short()
            ),
        ));
    }
    let trusted = trust.keys.contains(&manifest.key);
    if !trusted && !trust.keys.is_empty() {
        return Err(LoadError::file(
            MANIFEST,
            format!(
                "is signed by key {}, which is none of the trusted ones (models.trusted_keys)",
                manifest.key
            ),
        ));
    }
    compare(files, &manifest.files)?;
    let Unverified { about, key, files, .. } = manifest;
    Ok(Some(Signed { about, key, trusted, files: files.len() }))
}

/// Whether `files` are those of the manifest, each with its bytes, and no others.
fn compare(files: &Files, entries: &[Entry]) -> Result<(), LoadError> {
    let mut there: BTreeMap<&str, &[u8]> = listed(files).collect();
    let mut wrong: Vec<(&str, &str)> = Vec::new();
    for entry in entries {
        match there.remove(entry.path.as_str()) {
            None => wrong.push((&entry.path, "is missing; the manifest lists it")),
            Some(bytes) if size(bytes) != entry.bytes || digest(bytes) != entry.sha256 => {
                wrong.push((&entry.path, "is not the file that was signed: it was altered"));
            }
            Some(_) => {}
        }
    }
    wrong.extend(there.keys().map(|path| (*path, "was added; the manifest does not list it")));
    let Some((first, why)) = wrong.first() else { return Ok(()) };
    let others: Vec<&str> = wrong.iter().skip(1).take(NAMED_MAX).map(|(path, _)| *path).collect();
    let more = match wrong.len() - 1 {
        0 => String::new(),
        count => format!("; {count} more do not fit, for example {}", others.join(", ")),
    };
    Err(LoadError::file(first, format!("{why}{more}")))
}

/// The files that a manifest is about.
fn listed(files: &Files) -> impl Iterator<Item = (&str, &[u8])> {
    let paths = files.paths().filter(|path| *path != MANIFEST);
    paths.filter_map(|path| Some((path, files.bytes(path).ok()?)))
}

fn size(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

fn digest(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}
