//! The knowledge files under `models/`, in memory.
//!
//! Pure: whoever loads them (embedded in the binary, or a directory on disk) does the
//! I/O and hands the bytes over. Paths are relative to `models/` and use `/`.

use std::borrow::Cow;
use std::collections::BTreeMap;

use sha2::{Digest as _, Sha256};

/// A set of knowledge files, by path relative to `models/`.
#[derive(Clone, Default)]
pub struct Files(BTreeMap<String, Cow<'static, [u8]>>);

/// Why a knowledge file was refused. The message names the file, and the line where it can.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}{}: {message}", line.map(|l| format!(":{l}")).unwrap_or_default())]
pub struct LoadError {
    /// Path relative to `models/`.
    pub file: String,
    /// 1-based line in the file, where one is to blame.
    pub line: Option<u64>,
    /// What is wrong, as a lowercase fragment.
    pub message: String,
}

impl LoadError {
    /// An error about a whole file.
    pub fn file(file: &str, message: impl Into<String>) -> Self {
        Self { file: file.to_owned(), line: None, message: message.into() }
    }

    /// An error about one line of a file.
    pub fn line(file: &str, line: u64, message: impl Into<String>) -> Self {
        Self { file: file.to_owned(), line: Some(line), message: message.into() }
    }
}

impl std::fmt::Debug for Files {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Files {
    /// An empty set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds or replaces a file.
    pub fn insert(&mut self, path: impl Into<String>, bytes: impl Into<Cow<'static, [u8]>>) {
        self.0.insert(path.into(), bytes.into());
    }

    /// The bytes of `path`, or an error that names it.
    pub fn bytes(&self, path: &str) -> Result<&[u8], LoadError> {
        self.0.get(path).map(AsRef::as_ref).ok_or_else(|| LoadError::file(path, "file is missing"))
    }

    /// The text of `path`; a byte-order mark is dropped.
    pub fn text(&self, path: &str) -> Result<&str, LoadError> {
        let text = std::str::from_utf8(self.bytes(path)?).map_err(|e| {
            LoadError::file(path, format!("is not UTF-8 (byte {})", e.valid_up_to()))
        })?;
        Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
    }

    /// Paths in order.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// The files whose path starts with `prefix` and ends with `suffix`. What is embedded in the
    /// binary is not copied.
    #[must_use]
    pub fn below(&self, prefix: &str, suffix: &str) -> Self {
        let fits = |path: &&String| path.starts_with(prefix) && path.ends_with(suffix);
        let files = self.0.iter().filter(|(path, _)| fits(path));
        Self(files.map(|(path, bytes)| (path.clone(), bytes.clone())).collect())
    }

    /// First twelve hex digits of the SHA-256 over the names and contents of all files whose
    /// path starts with `prefix` and ends with `suffix`: the version of a set of tables.
    pub fn digest(&self, prefix: &str, suffix: &str) -> String {
        let mut sha = Sha256::new();
        for (path, bytes) in &self.0 {
            if path.starts_with(prefix) && path.ends_with(suffix) {
                sha.update(path.as_bytes());
                sha.update([0]);
                sha.update(u64::try_from(bytes.len()).unwrap_or(u64::MAX).to_le_bytes());
                sha.update(bytes);
            }
        }
        let mut hex = String::with_capacity(12);
        for byte in sha.finalize().iter().take(6) {
            use std::fmt::Write as _;
            let _ = write!(hex, "{byte:02x}");
        }
        hex
    }
}
