//! Files that only the node's user may read, written whole or not at all.

use std::fs::{File, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::Path;

use crate::app::error::Cause;

/// Bits of everybody but the owner.
const OTHERS: u32 = 0o077;
/// Bytes of a file at most.
const BYTES_MAX: u64 = 1024 * 1024;

/// Reads a file that nobody else may read; none where there is none.
pub(super) fn read(path: &Path) -> Result<Option<Vec<u8>>, Cause> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(format!("{}: {error}", path.display()).into()),
    };
    let mode = file.metadata()?.permissions().mode();
    if mode & OTHERS != 0 {
        let path = path.display();
        return Err(format!(
            "{path} can be read or changed by others (mode {:o}): run `chmod 600 {path}`, and ask who \
             has seen it",
            mode & 0o777
        )
        .into());
    }
    let mut bytes = Vec::new();
    file.take(BYTES_MAX).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

/// Makes a file that is not there yet; `false`: it is.
pub(super) fn make(path: &Path, bytes: &[u8]) -> Result<bool, Cause> {
    let named = |error: io::Error| format!("{}: {error}", path.display());
    let folder = path.parent().unwrap_or(Path::new("."));
    make_folder(folder).map_err(named)?;
    // Written beside it first: whoever reads it at the same moment sees all of it or nothing.
    let mut file = tempfile::Builder::new();
    let mut file = file.permissions(Permissions::from_mode(0o600)).tempfile_in(folder)?;
    file.write_all(bytes).map_err(named)?;
    file.as_file().sync_all().map_err(named)?;
    match file.persist_noclobber(path) {
        Ok(_) => {}
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => return Ok(false),
        Err(error) => return Err(named(error.error).into()),
    }
    sync(folder).map_err(named)?;
    Ok(true)
}

/// Puts a file in the place of another, if there is one. `mode`: who may read it.
pub(super) fn replace(path: &Path, bytes: &[u8], mode: u32) -> Result<(), Cause> {
    let named = |error: io::Error| format!("{}: {error}", path.display());
    let folder = path.parent().unwrap_or(Path::new("."));
    make_folder(folder).map_err(named)?;
    let mut file = tempfile::Builder::new();
    let mut file = file.permissions(Permissions::from_mode(mode)).tempfile_in(folder)?;
    file.write_all(bytes).map_err(named)?;
    file.as_file().sync_all().map_err(named)?;
    file.persist(path).map_err(|error| named(error.error))?;
    sync(folder).map_err(named)?;
    Ok(())
}

/// Makes a folder that is closed to others, unless it is there.
fn make_folder(folder: &Path) -> io::Result<()> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_others_may_read_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys").join("secret.pem");
        assert!(read(&path).unwrap().is_none());
        assert!(make(&path, b"one").unwrap());
        assert!(!make(&path, b"two").unwrap());
        assert_eq!(read(&path).unwrap().unwrap(), b"one");
        replace(&path, b"three", 0o600).unwrap();
        assert_eq!(read(&path).unwrap().unwrap(), b"three");
        for mode in [0o640, 0o604, 0o620, 0o602] {
            std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            let error = read(&path).unwrap_err().to_string();
            assert!(error.contains("secret.pem") && error.contains("chmod 600"), "{error}");
        }
        // Nothing half-written is left.
        assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }
}
