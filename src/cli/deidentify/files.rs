//! Files in and out. What is told of a file that cannot be read does not name it: names of files
//! name patients.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use crate::app::deidentify::Sink;
use crate::cli::Failure;

/// Folders inside one another at most.
const DEPTH_MAX: usize = 64;
/// Bytes of a file with a secret at most.
const SECRET_FILE_BYTES_MAX: u64 = 4096;

/// A folder that is filled with what is made.
#[derive(Debug)]
pub(super) struct FolderSink(PathBuf);

impl FolderSink {
    /// Makes the folder, if it is not there.
    pub(super) fn new(folder: &Path) -> Result<Self, Failure> {
        fs::create_dir_all(folder).map_err(|e| format!("--out: {e}"))?;
        Ok(Self(folder.to_owned()))
    }
}

impl Sink for FolderSink {
    fn put(&mut self, path: &[&str], bytes: &[u8]) -> io::Result<()> {
        let fits = |part: &&str| {
            let first = part.starts_with(|c: char| c.is_ascii_alphanumeric());
            first && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
        };
        let Some((name, folders)) = path.split_last().filter(|_| path.iter().all(fits)) else {
            return Err(io::Error::other("a path has letters, digits, `.`, `_` and `-` alone"));
        };
        let folder = folders.iter().fold(self.0.clone(), |at, part| at.join(part));
        fs::create_dir_all(&folder)?;
        let file = folder.join(name);
        match fs::File::options().write(true).create_new(true).open(&file) {
            Ok(mut new) => new.write_all(bytes),
            // The same input twice, or the same run again.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                if fs::read(&file)? == bytes {
                    return Ok(());
                }
                Err(io::Error::new(
                    io::ErrorKind::AlreadyExists,
                    "--out: a file of that name is there already with other content",
                ))
            }
            Err(error) => Err(error),
        }
    }
}

/// Files under `path` in the order of their names, without hidden ones and directories of media.
pub(super) fn collect(path: &Path, depth: usize, files: &mut Vec<PathBuf>) -> Result<(), Failure> {
    let told = |e: io::Error| format!("an input cannot be looked at: {e}");
    if !fs::metadata(path).map_err(told)?.is_dir() {
        files.push(path.to_owned());
        return Ok(());
    }
    if depth >= DEPTH_MAX {
        return Err(format!("folders lie deeper than the {DEPTH_MAX} levels allowed").into());
    }
    let entries = fs::read_dir(path).map_err(told)?;
    let mut entries = entries.collect::<Result<Vec<_>, _>>().map_err(told)?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if !(name.starts_with('.') || name.eq_ignore_ascii_case("DICOMDIR")) {
            collect(&entry.path(), depth + 1, files)?;
        }
    }
    Ok(())
}

/// The content of a file of `bytes_max` bytes at most.
pub(super) fn read_bounded(path: &Path, bytes_max: u64) -> Result<Vec<u8>, String> {
    let read = |path: &Path| {
        let mut content = Vec::new();
        fs::File::open(path)?.take(bytes_max + 1).read_to_end(&mut content)?;
        Ok::<_, io::Error>(content)
    };
    let content = read(path).map_err(|e| format!("cannot be read: {e}"))?;
    if u64::try_from(content.len()).unwrap_or(u64::MAX) > bytes_max {
        return Err(format!("is larger than {bytes_max} bytes"));
    }
    Ok(content)
}

/// Writes a file for its owner alone, which must not exist.
pub(in crate::cli) fn create_private(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let file = fs::File::options().write(true).create_new(true).mode(0o600).open(path);
    let mut file = file.map_err(|e| format!("cannot make {}: {e}", path.display()))?;
    file.write_all(bytes)?;
    file.sync_all()?;
    Ok(())
}

/// Reads a file that only its owner may read.
pub(in crate::cli) fn read_private(path: &Path) -> Result<String, Failure> {
    let told = |e: io::Error| format!("--key: cannot be read: {e}");
    let mode = fs::metadata(path).map_err(told)?.permissions().mode();
    if mode & 0o077 != 0 {
        return Err("--key: others may read or write the file; chmod 600 it".into());
    }
    let bytes = read_bounded(path, SECRET_FILE_BYTES_MAX).map_err(|e| format!("--key: {e}"))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
