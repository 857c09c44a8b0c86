//! Verifying a backup, and putting one back.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, Read, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Component, Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::file::{HeaderError, Reader};
use super::{
    BackupError, FORMAT, IMAGING, Listed, MANIFEST, Manifest, RESTORED, RESTORED_CODES, STORE,
    Tried as _,
};
use crate::config::EncryptionSection;
use crate::node::keys::{KEYRING, KeysError, source};
use crate::sharing::sealing::keyring::{FILE_BYTES_MAX, Sealed};
use crate::tables::text::hex;

/// Bytes of a manifest that are read at most.
const MANIFEST_BYTES_MAX: u64 = 64 << 20;
/// Bytes read at once.
const READ_BYTES: usize = 1 << 20;

/// Reads all of the backup at `from` and says what is wrong with it. `progress` is told the name of each
/// file and the bytes so far.
pub fn verify(
    encryption: &EncryptionSection,
    from: &Path,
    progress: &mut dyn FnMut(&str, u64),
) -> Result<Manifest, BackupError> {
    read(encryption, from, None, progress)
}

/// Puts the backup at `from` into the folder `into`, where nothing may be: the store's directory, and
/// in it `imaging`. The folder gets its name when everything is there.
pub fn restore(
    encryption: &EncryptionSection,
    from: &Path,
    into: &Path,
    progress: &mut dyn FnMut(&str, u64),
) -> Result<Manifest, BackupError> {
    match fs::read_dir(into) {
        Ok(mut entries) => {
            if entries.next().is_some() {
                return Err(BackupError::Taken { path: into.to_owned() });
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error).tried("look into", into),
    }
    let mut name = into.file_name().unwrap_or_default().to_owned();
    name.push(".restoring");
    let part = into.with_file_name(name);
    if part.try_exists().tried("look for", &part)? {
        return Err(BackupError::Taken { path: part });
    }
    make(&part)?;
    let restored = read(encryption, from, Some(&part), progress).and_then(|manifest| {
        // Replaces an empty folder and no other.
        fs::rename(&part, into).tried("write", into)?;
        let folder = into.parent().filter(|dir| !dir.as_os_str().is_empty());
        sync(folder.unwrap_or(Path::new(".")))?;
        Ok(manifest)
    });
    if restored.is_err() {
        // Nobody takes a part for the whole.
        let _ = fs::remove_dir_all(&part);
    }
    restored
}

fn make(dir: &Path) -> Result<(), BackupError> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).tried("create", dir)
}

fn sync(dir: &Path) -> Result<(), BackupError> {
    File::open(dir).and_then(|dir| dir.sync_all()).tried("write", dir)
}

fn read(
    encryption: &EncryptionSection,
    from: &Path,
    into: Option<&Path>,
    progress: &mut dyn FnMut(&str, u64),
) -> Result<Manifest, BackupError> {
    let master = source::master(encryption).map_err(KeysError::from)?;
    let file = BufReader::new(File::open(from).tried("read", from)?);
    let mut reader = Reader::open(file, &[master.as_ref()]).map_err(|error| match error {
        HeaderError::Io(source) => BackupError::Io { what: "read", path: from.to_owned(), source },
        HeaderError::Foreign => BackupError::Foreign { path: from.to_owned() },
        HeaderError::Fault(fault) => BackupError::Sealed { path: from.to_owned(), fault },
    })?;
    let mut name = "its beginning".to_owned();
    let damaged = |name: &str, what: String| BackupError::Damaged {
        path: from.to_owned(),
        name: name.to_owned(),
        what,
    };
    let (mut files, mut manifest, mut all) = (Vec::new(), None, 0_u64);
    let mut tar = tar::Archive::new(&mut reader);
    let entries = tar.entries().map_err(|error| damaged(&name, error.to_string()))?;
    for entry in entries {
        let behind = format!("what follows {name}");
        let mut entry = entry.map_err(|error| damaged(&behind, error.to_string()))?;
        let path = entry.path().map_err(|error| damaged(&behind, error.to_string()))?.into_owned();
        name = path.to_string_lossy().into_owned();
        let place = place_of(&path).filter(|_| entry.header().entry_type().is_file());
        let place = place.ok_or_else(|| damaged(&name, "is no file of a backup".to_owned()))?;
        if manifest.is_some() {
            return Err(damaged(&name, "stands behind the manifest".to_owned()));
        }
        if name == MANIFEST {
            let mut text = Vec::new();
            let read = entry.take(MANIFEST_BYTES_MAX).read_to_end(&mut text);
            read.map_err(|error| damaged(&name, error.to_string()))?;
            let found: Manifest =
                serde_json::from_slice(&text).map_err(|error| damaged(&name, error.to_string()))?;
            manifest = Some(found);
            continue;
        }
        let target = into.map(|into| into.join(&place));
        let listed = copy(&mut entry, (&name, from), target.as_deref())?;
        if place == Path::new(KEYRING) && listed.bytes > u64::try_from(FILE_BYTES_MAX).unwrap_or(0)
        {
            return Err(damaged(&name, "is too long".to_owned()));
        }
        all = all.saturating_add(listed.bytes);
        files.push(listed);
        progress(&name, all);
    }
    // What is behind the end of the tape must be good too, and the last chunk there.
    reader.drain().map_err(|error| damaged("its end", error.to_string()))?;
    let manifest = manifest.ok_or_else(|| damaged(MANIFEST, "is missing".to_owned()))?;
    agrees(&manifest, &files).map_err(|(name, what)| damaged(&name, what))?;
    if let Some(into) = into {
        opens(&into.join(KEYRING), master.as_ref())?;
        for mark in [RESTORED, RESTORED_CODES] {
            let mark = into.join(mark);
            OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&mark)
                .tried("write", &mark)?;
        }
        sync_all(into)?;
    }
    Ok(manifest)
}

/// Whether the keyring that came along opens.
fn opens(
    path: &Path,
    master: &dyn crate::sharing::sealing::keyring::Master,
) -> Result<(), BackupError> {
    let text = fs::read_to_string(path).tried("read", path)?;
    let opened = Sealed::parse(&text).and_then(|sealed| sealed.open(&[master]));
    opened.map(drop).map_err(|fault| BackupError::Sealed { path: path.to_owned(), fault })
}

/// Where a file of a backup goes, beside the folder that it is put into; none for names that lead
/// elsewhere.
fn place_of(name: &Path) -> Option<PathBuf> {
    let mut parts = Vec::new();
    for part in name.components() {
        match part {
            Component::Normal(part) => parts.push(part),
            Component::Prefix(_)
            | Component::RootDir
            | Component::CurDir
            | Component::ParentDir => return None,
        }
    }
    let (first, rest) = parts.split_first()?;
    if rest.is_empty() {
        return (*first == MANIFEST).then(|| PathBuf::from(MANIFEST));
    }
    let rest: PathBuf = rest.iter().collect();
    if *first == STORE {
        Some(rest)
    } else if *first == IMAGING {
        Some(Path::new(IMAGING).join(rest))
    } else {
        None
    }
}

fn copy(
    entry: &mut impl Read,
    (name, from): (&str, &Path),
    to: Option<&Path>,
) -> Result<Listed, BackupError> {
    let mut out = match to {
        Some(to) => {
            if let Some(dir) = to.parent() {
                make(dir)?;
            }
            let mut options = OpenOptions::new();
            Some((
                options.write(true).create_new(true).mode(0o600).open(to).tried("write", to)?,
                to,
            ))
        }
        None => None,
    };
    let (mut hash, mut bytes) = (Sha256::new(), 0_u64);
    let mut buffer = vec![0; READ_BYTES];
    loop {
        let read = entry.read(&mut buffer).map_err(|error| BackupError::Damaged {
            path: from.to_owned(),
            name: name.to_owned(),
            what: error.to_string(),
        })?;
        let Some(part) = buffer.get(..read).filter(|part| !part.is_empty()) else { break };
        hash.update(part);
        bytes = bytes.saturating_add(u64::try_from(read).unwrap_or(0));
        if let Some((out, to)) = &mut out {
            out.write_all(part).tried("write", to)?;
        }
    }
    if let Some((out, to)) = out {
        out.sync_all().tried("write", to)?;
    }
    Ok(Listed { name: name.to_owned(), bytes, sha256: hex(&hash.finalize()) })
}

/// The name of the first file that is not as the manifest has it, and how.
fn agrees(manifest: &Manifest, files: &[Listed]) -> Result<(), (String, String)> {
    if manifest.format != FORMAT {
        return Err((MANIFEST.to_owned(), "is of another version of this program".to_owned()));
    }
    for (there, listed) in files.iter().zip(&manifest.files) {
        if there.name != listed.name {
            return Err((listed.name.clone(), "is missing".to_owned()));
        }
        if there != listed {
            return Err((listed.name.clone(), "differs from the manifest".to_owned()));
        }
    }
    match (manifest.files.get(files.len()), files.get(manifest.files.len())) {
        (Some(missing), _) => Err((missing.name.clone(), "is missing".to_owned())),
        (None, Some(more)) => Err((more.name.clone(), "is not in the manifest".to_owned())),
        (None, None) => Ok(()),
    }
}

/// Makes every folder durable.
fn sync_all(dir: &Path) -> Result<(), BackupError> {
    for entry in fs::read_dir(dir).tried("list", dir)? {
        let entry = entry.tried("list", dir)?;
        if entry.file_type().tried("look at", dir)?.is_dir() {
            sync_all(&entry.path())?;
        }
    }
    sync(dir)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_a_backup_have_a_place() {
        for (name, place) in [
            ("store/xiangyi.db", Some("xiangyi.db")),
            ("imaging/archive/segments/1.seg", Some("imaging/archive/segments/1.seg")),
            ("manifest.json", Some("manifest.json")),
            ("store", None),
            ("other/x", None),
            ("store/../x", None),
            ("/store/x", None),
            ("../x", None),
            ("", None),
        ] {
            assert_eq!(place_of(Path::new(name)), place.map(PathBuf::from), "{name}");
        }
    }

    #[test]
    fn what_is_missing_altered_or_too_much_is_named() {
        let listed =
            |name: &str| Listed { name: name.to_owned(), bytes: 3, sha256: "ab".to_owned() };
        let manifest = Manifest {
            format: FORMAT.to_owned(),
            node: "n".to_owned(),
            program: "0".to_owned(),
            begun_ms: 0,
            files: vec![listed("a"), listed("b")],
        };
        let named = |files: &[Listed]| agrees(&manifest, files).err().map(|(name, _)| name);
        assert_eq!(named(&[listed("a"), listed("b")]), None);
        assert_eq!(named(&[listed("a")]), Some("b".to_owned()));
        assert_eq!(named(&[listed("b")]), Some("a".to_owned()));
        assert_eq!(named(&[listed("a"), listed("b"), listed("c")]), Some("c".to_owned()));
        let altered = Listed { bytes: 4, ..listed("b") };
        assert_eq!(named(&[listed("a"), altered]), Some("b".to_owned()));
    }
}
