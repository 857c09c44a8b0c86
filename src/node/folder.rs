//! Reading folders of models and tables: nothing gets from such a folder into a node without what is
//! signed having been checked, and what is used are the bytes that were checked.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::NodeError;
use crate::app::chain;
use crate::app::error::Cause;
use crate::app::imaging::models::RefusedModel;
use crate::config::ModelsSection;
use crate::embedded;
use crate::tables::files::{Files, LoadError};
use crate::tables::signed::{self, MANIFEST, Signed, Trust};

/// Training code, which no node reads.
const TRAIN: &str = "train";

/// What lies in a folder.
#[derive(Debug, Default)]
pub(crate) struct Folder {
    /// Plain files, by path with `/`. Training code is left out.
    files: Files,
    /// What is no plain file, by path, and what it is instead.
    odd: BTreeMap<String, &'static str>,
}

impl Folder {
    /// Reads everything below `dir`; links are not followed.
    pub(crate) fn read(dir: &Path) -> Result<Self, NodeError> {
        let failed = |path: &Path, source| NodeError::ModelDir { path: path.to_owned(), source };
        let mut read = Self::default();
        let mut folders = vec![PathBuf::new()];
        while let Some(folder) = folders.pop() {
            let here = dir.join(&folder);
            for entry in std::fs::read_dir(&here).map_err(|e| failed(&here, e))? {
                let entry = entry.map_err(|e| failed(&here, e))?;
                let path = folder.join(entry.file_name());
                let kind = entry.file_type().map_err(|e| failed(&entry.path(), e))?;
                let Some(name) = path.to_str() else {
                    let name = path.to_string_lossy().into_owned();
                    read.odd.insert(name, "has a name that is not UTF-8");
                    continue;
                };
                if kind.is_dir() {
                    if entry.file_name() != TRAIN {
                        folders.push(path);
                    }
                } else if kind.is_file() {
                    let bytes = std::fs::read(entry.path());
                    let bytes = bytes.map_err(|e| failed(&entry.path(), e))?;
                    read.files.insert(name, Cow::Owned(bytes));
                } else if kind.is_symlink() {
                    read.odd.insert(name.to_owned(), "is a symbolic link");
                } else {
                    read.odd.insert(name.to_owned(), "is no plain file");
                }
            }
        }
        Ok(read)
    }

    /// The plain files, where there is nothing else: a manifest can say of nothing else what it was.
    pub(crate) fn plain(&self) -> Result<&Files, LoadError> {
        let Some((path, what)) = self.odd.first_key_value() else { return Ok(&self.files) };
        let shown = path.escape_debug().to_string();
        Err(LoadError::file(&shown, format!("{what}; a signed folder has plain files alone")))
    }

    /// Holds the folder to its manifest, and the manifest to `trust`.
    pub(crate) fn admit(&self, trust: &Trust) -> Result<Option<Signed>, LoadError> {
        let unsigned = self.files.bytes(MANIFEST).is_err() && !self.odd.contains_key(MANIFEST);
        if unsigned {
            // Says whether that is allowed.
            return signed::admit(&self.files, trust);
        }
        signed::admit(self.plain()?, trust)
    }
}

/// The files of `dir`, checked.
fn admitted(dir: &Path, trust: &Trust) -> Result<Files, NodeError> {
    let folder = Folder::read(dir)?;
    let refused = |source| NodeError::Signature { path: dir.to_owned(), source };
    match folder.admit(trust).map_err(refused)? {
        Some(signed) => {
            let (release, by, key) = (&signed.about.release, &signed.about.by, signed.key.short());
            tracing::info!(dir = %dir.display(), release, by, key, "folder is as it was signed");
            if !signed.trusted {
                tracing::warn!(
                    dir = %dir.display(),
                    "whose signature it is nobody here can say: models.trusted_keys names no key"
                );
            }
        }
        None if !trust.keys.is_empty() => {
            tracing::warn!(dir = %dir.display(), "folder is not signed; models.require_signed is off");
        }
        None => {}
    }
    Ok(folder.files)
}

/// The tables and models of the configuration: those of its folder, or those inside the program.
pub(crate) fn tables(section: &ModelsSection) -> Result<Files, NodeError> {
    match &section.dir {
        Some(dir) => admitted(dir, &section.trust()),
        None => Ok(embedded::files()),
    }
}

/// One file, checked together with the folder that it lies in, where that is signed or has to be.
pub(super) fn one_file(path: &Path, trust: &Trust) -> Result<Vec<u8>, Cause> {
    let beside = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let folder = beside.unwrap_or(Path::new("."));
    let signed = std::fs::symlink_metadata(folder.join(MANIFEST)).is_ok();
    if !signed && !trust.required {
        return Ok(std::fs::read(path)?);
    }
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    Ok(admitted(folder, trust)?.bytes(name)?.to_vec())
}

/// The files of a folder of imaging models. It is signed as a whole, or each folder in it is by itself;
/// then one that is not what was signed is left out, and told.
pub(super) fn models(dir: &Path, trust: &Trust) -> Result<(Files, Vec<RefusedModel>), NodeError> {
    if std::fs::symlink_metadata(dir.join(MANIFEST)).is_ok() {
        return Ok((admitted(dir, trust)?, Vec::new()));
    }
    let failed = |source| NodeError::ModelDir { path: dir.to_owned(), source };
    let (mut files, mut refused) = (Files::new(), Vec::new());
    let mut entries =
        std::fs::read_dir(dir).map_err(failed)?.collect::<Result<Vec<_>, _>>().map_err(failed)?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        if !entry.file_type().map_err(failed)?.is_dir() || entry.file_name() == TRAIN {
            continue;
        }
        let name = entry.file_name();
        let folder = name.to_string_lossy().into_owned();
        if name.to_str().is_none() {
            refused.push(RefusedModel { folder, reason: "the name is not UTF-8".to_owned() });
            continue;
        }
        match admitted(&entry.path(), trust) {
            Ok(read) => {
                for path in read.paths() {
                    if let Ok(bytes) = read.bytes(path) {
                        files.insert(format!("{folder}/{path}"), bytes.to_vec());
                    }
                }
            }
            Err(error) => refused.push(RefusedModel { folder, reason: chain(&error) }),
        }
    }
    Ok((files, refused))
}

#[cfg(test)]
mod tests;
