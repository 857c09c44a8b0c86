//! The manifest's form: JSON lines, one for the folder, one for each file in the order of their paths,
//! one with the signature of all bytes before it.
//!
//! There is one way to write a manifest, and nothing else is read: what was read and is written again
//! gives the same bytes. So there is no key that stands twice, no space and no order in which somebody
//! could hide something.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use unicode_normalization::is_nfc;

use super::{About, DOMAIN, MANIFEST, PublicKey};
use crate::tables::files::LoadError;
use crate::tables::text::{fold, hex};

/// The version of the form that this build reads.
const SCHEMA: u32 = 1;
/// Bytes of a manifest at most.
const MANIFEST_BYTES_MAX: usize = 8 << 20;
/// Files that it lists at most.
const FILES_MAX: usize = 20_000;
/// Bytes of a path at most.
const PATH_BYTES_MAX: usize = 512;
/// Characters of a release and of a signer at most.
const TEXT_CHARS_MAX: usize = 64;
/// Bytes of a signature.
const SIGNATURE_BYTES: usize = 64;

/// A file that a manifest lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Path within the folder, with `/`.
    pub path: String,
    /// Its size in bytes.
    pub bytes: u64,
    /// SHA-256 of its content.
    pub sha256: [u8; 32],
}

/// A manifest that is right in form. Nobody has looked at its signature or its folder yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unverified {
    /// What it says about the folder.
    pub about: About,
    /// The key it is said to be signed with.
    pub key: PublicKey,
    /// Files, in the order of their paths.
    pub files: Vec<Entry>,
    /// What is said to be the signature.
    pub signature: Vec<u8>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    xiangyi_signed_folder: u32,
    release: String,
    by: String,
    at: String,
    key: String,
    files: usize,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    path: String,
    bytes: u64,
    sha256: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Tail {
    signature: String,
}

impl Unverified {
    /// A manifest that is yet to be signed; the files in any order.
    pub(super) fn new(
        about: About,
        key: PublicKey,
        mut files: Vec<Entry>,
    ) -> Result<Self, LoadError> {
        files.sort_by(|a, b| a.path.cmp(&b.path));
        let unsigned = Self { about, key, files, signature: Vec::new() };
        unsigned.check()?;
        Ok(unsigned)
    }

    /// Reads a manifest.
    ///
    /// # Errors
    /// What is wrong with its form, with the line.
    pub fn parse(bytes: &[u8]) -> Result<Self, LoadError> {
        if bytes.len() > MANIFEST_BYTES_MAX {
            return Err(whole(format!("has more than {MANIFEST_BYTES_MAX} bytes")));
        }
        let text = std::str::from_utf8(bytes).map_err(|_| whole("is not UTF-8"))?;
        let text = text.strip_suffix('\n').ok_or_else(|| whole("is cut off: it has no end"))?;
        let mut lines = (1_u64..).zip(text.split('\n'));
        let mut next = |what: &str| lines.next().ok_or_else(|| whole(format!("has no {what}")));
        let (at, line) = next("first line")?;
        let head: Head = strict(at, line)?;
        if head.xiangyi_signed_folder != SCHEMA {
            return Err(LoadError::line(MANIFEST, at, format!("this build reads form {SCHEMA}")));
        }
        if head.files > FILES_MAX {
            return Err(LoadError::line(
                MANIFEST,
                at,
                format!("lists more than {FILES_MAX} files"),
            ));
        }
        let odd = |what: &str| LoadError::line(MANIFEST, at, format!("`{what}` is not understood"));
        let at_s = seconds(&head.at).ok_or_else(|| odd("at"))?;
        let key = PublicKey(unhex(&head.key).ok_or_else(|| odd("key"))?);
        let mut files = Vec::new();
        for _ in 0..head.files {
            let (at, line) = next("line for each file that it counts: it is cut off")?;
            let Line { path, bytes, sha256 } = strict(at, line)?;
            let sha256 = unhex(&sha256).ok_or_else(|| {
                LoadError::line(MANIFEST, at, "`sha256` is not 64 small hexadecimal digits")
            })?;
            files.push(Entry { path, bytes, sha256 });
        }
        let (at, line) = next("signature: it is cut off")?;
        let Tail { signature } = strict(at, line)?;
        let signature = unhex::<SIGNATURE_BYTES>(&signature).ok_or_else(|| {
            LoadError::line(MANIFEST, at, "`signature` is not 128 small hexadecimal digits")
        })?;
        if let Some((at, _)) = lines.next() {
            return Err(LoadError::line(MANIFEST, at, "stands after the signature"));
        }
        let about = About { release: head.release, by: head.by, at_s };
        let read = Self { about, key, files, signature: signature.to_vec() };
        read.check()?;
        Ok(read)
    }

    /// The manifest with a signature.
    pub fn write(&self, signature: &[u8]) -> Vec<u8> {
        let mut text = self.unsigned_lines();
        text.push_str(&json(&Tail { signature: hex(signature) }));
        text.into_bytes()
    }

    /// The bytes that are signed: a domain, then every line before the signature.
    pub fn signed_bytes(&self) -> Vec<u8> {
        [DOMAIN, self.unsigned_lines().as_bytes()].concat()
    }

    fn unsigned_lines(&self) -> String {
        let mut text = json(&Head {
            xiangyi_signed_folder: SCHEMA,
            release: self.about.release.clone(),
            by: self.about.by.clone(),
            at: time(self.about.at_s).unwrap_or_default(),
            key: self.key.to_string(),
            files: self.files.len(),
        });
        for Entry { path, bytes, sha256 } in &self.files {
            text.push_str(&json(&Line { path: path.clone(), bytes: *bytes, sha256: hex(sha256) }));
        }
        text
    }

    /// What must be true of every manifest: texts are short, paths stay in the folder, each file stands
    /// there once, also for a disk that takes two names for one.
    fn check(&self) -> Result<(), LoadError> {
        for (field, text) in [("release", &self.about.release), ("by", &self.about.by)] {
            let fine = (1..=TEXT_CHARS_MAX).contains(&text.chars().count());
            if !fine || text.chars().any(char::is_control) {
                return Err(whole(format!(
                    "`{field}` must have 1 to {TEXT_CHARS_MAX} characters of text"
                )));
            }
        }
        if time(self.about.at_s).is_none() {
            return Err(whole("`at` is no time"));
        }
        if self.files.len() > FILES_MAX {
            return Err(whole(format!("lists more than {FILES_MAX} files")));
        }
        for file in &self.files {
            // What is no path may hold characters that spoil a log.
            let named = |why| LoadError::file(&file.path.escape_debug().to_string(), why);
            inside(&file.path).map_err(named)?;
        }
        for pair in self.files.windows(2) {
            let [before, file] = pair else { continue };
            if before.path >= file.path {
                let why = "stands twice in the manifest, or not in its order";
                return Err(LoadError::file(&file.path, why));
            }
        }
        let mut folded: Vec<(String, &str)> =
            self.files.iter().map(|file| (fold(&file.path), file.path.as_str())).collect();
        folded.sort_unstable();
        for pair in folded.windows(2) {
            if let [(a, first), (b, second)] = pair
                && a == b
            {
                let why = format!("differs from {first} only in how its letters are written");
                return Err(LoadError::file(second, why));
            }
        }
        Ok(())
    }
}

/// Whether `path` may stand in a manifest: a file in the folder, written in one way, which is neither
/// the manifest nor training code, which is never read.
pub(super) fn inside(path: &str) -> Result<(), &'static str> {
    if path.len() > PATH_BYTES_MAX {
        return Err("is too long a path");
    }
    if path.contains(|c: char| c.is_control() || c == '\\' || c == ':') || !is_nfc(path) {
        return Err("is a path with characters that another system would take for others");
    }
    let bad = |part: &str| part.is_empty() || part.ends_with(['.', ' ']) || part.starts_with(' ');
    if path.split('/').any(bad) {
        return Err("is no plain path inside the folder");
    }
    let train = path.rsplit('/').skip(1).any(|folder| folder == "train");
    if fold(path) == fold(MANIFEST) || train {
        return Err("is no file that a manifest lists");
    }
    Ok(())
}

/// Small hexadecimal digits as bytes.
pub(super) fn unhex<const BYTES: usize>(text: &str) -> Option<[u8; BYTES]> {
    let small = |digit: u8| digit.is_ascii_digit() || (b'a'..=b'f').contains(&digit);
    if text.len() != BYTES * 2 || !text.bytes().all(small) {
        return None;
    }
    let mut bytes = [0; BYTES];
    for (byte, at) in bytes.iter_mut().zip((0..).step_by(2)) {
        *byte = u8::from_str_radix(text.get(at..at + 2)?, 16).ok()?;
    }
    Some(bytes)
}

/// A line that is written as we write it.
fn strict<T: Serialize + DeserializeOwned>(at: u64, line: &str) -> Result<T, LoadError> {
    let refused = |why: &str| LoadError::line(MANIFEST, at, why);
    let read: T = serde_json::from_str(line).map_err(|_| refused("is not what stands there"))?;
    if json(&read).strip_suffix('\n') != Some(line) {
        return Err(refused("is not written as `xiangyi models sign` writes it"));
    }
    Ok(read)
}

fn json<T: Serialize>(line: &T) -> String {
    let mut text = serde_json::to_string(line).unwrap_or_default();
    text.push('\n');
    text
}

fn whole(why: impl Into<String>) -> LoadError {
    LoadError::file(MANIFEST, why)
}

/// RFC 3339 in UTC, whole seconds.
pub(super) fn time(at_s: i64) -> Option<String> {
    Some(jiff::Timestamp::from_second(at_s).ok()?.to_string())
}

fn seconds(text: &str) -> Option<i64> {
    let at: jiff::Timestamp = text.parse().ok()?;
    (time(at.as_second()).as_deref() == Some(text)).then_some(at.as_second())
}
