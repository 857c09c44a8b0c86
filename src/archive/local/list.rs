//! The list of sealed segments: lets an archive of ten thousand segments open without a look at
//! any of them. Derived from the segments; what is missing or damaged is found again by walking.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::Path;

use super::disk::{self, Disk, sync_dir};
use super::error::{ArchiveError, Tried as _};
use super::format::{Entry, Flaw, Key, LABEL_BYTES, Label};
use crate::sharing::sealing::KeyId;

/// Bytes of a list that are read at most: four million entries.
const LIST_BYTES_MAX: u64 = 256 << 20;

/// The list, open for more.
#[derive(Debug)]
pub(super) struct List {
    file: File,
    length: u64,
    key: Key,
}

/// What a list says.
#[derive(Debug, Default)]
pub(super) struct Listed {
    pub(super) label: Option<Label>,
    pub(super) entries: BTreeMap<u64, Entry>,
    /// Whether something in it cannot be read, or has been said again: time to write it anew.
    pub(super) untidy: bool,
}

/// Reads the list; an empty one if there is none.
pub(super) fn read(path: &Path) -> Result<Listed, ArchiveError> {
    let untidy = Listed { untidy: true, ..Listed::default() };
    let bytes = match fs::metadata(path) {
        Ok(found) if found.len() > LIST_BYTES_MAX => return Ok(untidy),
        Ok(_) => fs::read(path).tried("read", path)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(untidy),
        Err(error) => return Err(error).tried("read", path),
    };
    let (label, rest) = bytes.split_at(bytes.len().min(LABEL_BYTES));
    let label = match Label::decode_list(label) {
        Ok(label) => label,
        Err(Flaw::Version(found)) => {
            return Err(ArchiveError::Version { path: path.to_owned(), found });
        }
        Err(_) => return Ok(untidy),
    };
    let mut listed = Listed { label: Some(label), ..Listed::default() };
    for bytes in rest.chunks(LABEL_BYTES) {
        match Entry::decode(bytes, label.key) {
            Some(entry) => listed.untidy |= listed.entries.insert(entry.number, entry).is_some(),
            None => listed.untidy = true,
        }
    }
    Ok(listed)
}

impl List {
    /// Opens a tidy list.
    pub(super) fn open(path: &Path, key: Key) -> Result<Self, ArchiveError> {
        let file = File::options().write(true).open(path).tried("open", path)?;
        let length = file.metadata().tried("look at", path)?.len();
        Ok(Self { file, length, key })
    }

    /// Writes the list anew.
    pub(super) fn create(
        path: &Path,
        root: &Path,
        (key, seal): (Key, Option<KeyId>),
        entries: impl Iterator<Item = Entry>,
    ) -> Result<Self, ArchiveError> {
        let mut bytes = Label::encode_list(key, seal).to_vec();
        for entry in entries {
            bytes.extend_from_slice(&entry.encode(key));
        }
        let new = path.with_extension("new");
        fs::write(&new, &bytes).tried("write", &new)?;
        File::open(&new).and_then(|file| file.sync_all()).tried("write", &new)?;
        fs::rename(&new, path).tried("replace", path)?;
        sync_dir(root).tried("write", root)?;
        Self::open(path, key)
    }

    /// Adds an entry. Where this fails the segment is walked when the archive is next opened.
    pub(super) fn add(&mut self, disk: &dyn Disk, entry: &Entry) -> io::Result<()> {
        disk.write(&self.file, self.length, &[&entry.encode(self.key)])?;
        self.length = self.length.saturating_add(disk::bytes(LABEL_BYTES));
        disk.sync(&self.file)
    }
}
