//! Taking a backup of a node that may be running.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use super::file::{HeaderError, Writer};
use super::{BackupError, FORMAT, IMAGING, Listed, MANIFEST, Manifest, STORE, Tried as _};
use crate::app::ports::Clock as _;
use crate::config::Config;
use crate::node::keys::{self, KEYRING, database_in, databases, is_there, random, source};
use crate::node::{SystemClock, imaging, nodes};
use crate::store::sqlite::copying;
use crate::tables::text::hex;

/// Bytes read at once.
const READ_BYTES: usize = 1 << 20;
/// What is kept of the zeros behind the last byte of a segment, and to what its length is rounded up.
const PAGE_BYTES: u64 = 4096;
/// Folder, beside the databases, of their copies while a backup is taken. They are sealed as the
/// databases are.
const COPIES: &str = "backup-";

/// Where a file that goes into a backup is, and its name there.
#[derive(Debug)]
struct Source {
    name: String,
    path: PathBuf,
}

/// A backup that is being written.
struct Taking {
    tar: tar::Builder<Writer<File>>,
    files: Vec<Listed>,
    to: PathBuf,
}

/// Writes a backup of the node to `to`, where nothing may be. `progress` is told the name of each file and
/// the bytes so far.
pub async fn take(
    config: &Config,
    to: &Path,
    progress: &mut (dyn FnMut(&str, u64) + Send),
) -> Result<Manifest, BackupError> {
    if keys::open(config)?.is_none() {
        return Err(BackupError::Off);
    }
    if to.try_exists().tried("look for", to)? {
        return Err(BackupError::Taken { path: to.to_owned() });
    }
    let begun_ms = SystemClock.now_ms();
    let dir = &config.store.dir;
    let copies = tempfile::Builder::new().prefix(COPIES).tempdir_in(dir);
    let copies = copies.tried("write", dir)?;
    let mut sources = database_copies(config, &copies).await?;
    // The keyring after the databases: it has the keys of all of them.
    sources.push(Source { name: format!("{STORE}/{KEYRING}"), path: dir.join(KEYRING) });
    // Without it, every node would have to enrol again with a hub that is put back.
    if let Some(ca) = config.link.ca.as_ref().filter(|ca| ca.file.is_none()) {
        let path = nodes::authority_path(config, ca);
        if is_there(&path)? {
            sources.push(Source { name: format!("{STORE}/{}", nodes::FILE), path });
        }
    }
    let part = part_of(to);
    let taken = async {
        let mut taking = Taking::begin(config, to, &part)?;
        for source in sources {
            taking.add(&source, None, progress)?;
        }
        taking.add_archive(&imaging::folder(config).join("archive"), progress)?;
        let manifest = Manifest {
            format: FORMAT.to_owned(),
            node: config.node.name.clone(),
            program: env!("CARGO_PKG_VERSION").to_owned(),
            begun_ms,
            files: Vec::new(),
        };
        taking.finish(manifest)
    };
    let taken = taken.await.and_then(|manifest| {
        fs::rename(&part, to).tried("write", to)?;
        let folder = to.parent().filter(|dir| !dir.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new("."));
        File::open(folder).and_then(|dir| dir.sync_all()).tried("write", folder)?;
        Ok(manifest)
    });
    if taken.is_err() {
        // What was begun is of no use to anybody.
        let _ = fs::remove_file(&part);
    }
    taken
}

fn part_of(to: &Path) -> PathBuf {
    let mut name = to.file_name().unwrap_or_default().to_owned();
    name.push(".part");
    to.with_file_name(name)
}

/// Copies of the databases at one moment each, looked through.
async fn database_copies(config: &Config, to: &TempDir) -> Result<Vec<Source>, BackupError> {
    let mut sources = Vec::new();
    for path in databases(config) {
        let (Some(dir), Some(name)) = (path.parent(), path.file_name()) else { continue };
        if !is_there(&path)? {
            continue;
        }
        let name = name.to_string_lossy().into_owned();
        let folder = if dir == config.store.dir { STORE } else { IMAGING };
        let copy = to.path().join(&name);
        let failed = |source| BackupError::Copy { path: path.clone(), source };
        let database = database_in(config, dir, &name)?;
        copying::copy(&database, &copy).await.map_err(failed)?;
        copying::check(&database.at(copy.clone())).await.map_err(failed)?;
        sources.push(Source { name: format!("{folder}/{name}"), path: copy });
    }
    Ok(sources)
}

impl Taking {
    fn begin(config: &Config, to: &Path, part: &Path) -> Result<Self, BackupError> {
        let master = source::master(&config.encryption).map_err(keys::KeysError::from)?;
        let options =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(part);
        let file = options.tried("write", part)?;
        let with = (config.encryption.cipher, master.as_ref());
        let writer = Writer::begin(file, with, &random).map_err(|error| match error {
            HeaderError::Io(source) => {
                BackupError::Io { what: "write", path: part.to_owned(), source }
            }
            HeaderError::Fault(fault) => BackupError::Sealed { path: to.to_owned(), fault },
            HeaderError::Foreign => BackupError::Foreign { path: to.to_owned() },
        })?;
        Ok(Self { tar: tar::Builder::new(writer), files: Vec::new(), to: to.to_owned() })
    }

    /// Adds a file as long as it is now, or only its first bytes.
    fn add(
        &mut self,
        source: &Source,
        length: Option<u64>,
        progress: &mut (dyn FnMut(&str, u64) + Send),
    ) -> Result<(), BackupError> {
        let Source { name, path } = source;
        let file = File::open(path).tried("read", path)?;
        let whole = file.metadata().tried("look at", path)?.len();
        let bytes = length.map_or(whole, |length| length.min(whole));
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes);
        header.set_mode(0o600);
        let mut hashed = Hashed { from: file.take(bytes), hash: Sha256::new() };
        self.tar.append_data(&mut header, name, &mut hashed).tried("write", &self.to)?;
        if hashed.from.limit() > 0 {
            let source = io::ErrorKind::UnexpectedEof.into();
            return Err(BackupError::Io { what: "read", path: path.clone(), source });
        }
        let sha256 = hex(&hashed.hash.finalize());
        self.files.push(Listed { name: name.clone(), bytes, sha256 });
        let all = self.files.iter().fold(0_u64, |sum, file| sum.saturating_add(file.bytes));
        progress(name, all);
        Ok(())
    }

    /// Adds the archive: its list first, which then says less than the segments hold and nothing else;
    /// the list of copies last, so that no body is said to be here that had left.
    fn add_archive(
        &mut self,
        archive: &Path,
        progress: &mut (dyn FnMut(&str, u64) + Send),
    ) -> Result<(), BackupError> {
        let segments = archive.join("segments");
        let mut names = Vec::new();
        match fs::read_dir(&segments) {
            Ok(entries) => {
                for entry in entries {
                    names.push(entry.tried("list", &segments)?.file_name());
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error).tried("list", &segments),
        }
        names.sort();
        let list = |name: &str| Source {
            name: format!("{IMAGING}/archive/{name}"),
            path: archive.join(name),
        };
        if list("sealed").path.try_exists().tried("look for", archive)? {
            self.add(&list("sealed"), None, progress)?;
        }
        for name in names {
            let path = segments.join(&name);
            let name = format!("{IMAGING}/archive/segments/{}", name.to_string_lossy());
            let length = data_end(&path).tried("read", &path)?;
            self.add(&Source { name, path }, Some(length), progress)?;
        }
        if list("remote").path.try_exists().tried("look for", archive)? {
            self.add(&list("remote"), None, progress)?;
        }
        Ok(())
    }

    fn finish(mut self, mut manifest: Manifest) -> Result<Manifest, BackupError> {
        manifest.files = self.files;
        let text =
            serde_json::to_vec(&manifest).map_err(io::Error::other).tried("write", &self.to)?;
        let mut header = tar::Header::new_ustar();
        header.set_size(u64::try_from(text.len()).unwrap_or(u64::MAX));
        header.set_mode(0o600);
        self.tar.append_data(&mut header, MANIFEST, text.as_slice()).tried("write", &self.to)?;
        let writer = self.tar.into_inner().tried("write", &self.to)?;
        let mut file = writer.finish().tried("write", &self.to)?;
        file.flush().and_then(|()| file.sync_all()).tried("write", &self.to)?;
        Ok(manifest)
    }
}

/// Where the data of a segment ends, about: what was reserved for it and is zeros is left out. Records
/// are sealed, so that none ends with a page of zeros.
fn data_end(path: &Path) -> io::Result<u64> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    let mut end = length;
    let mut buffer = vec![0; READ_BYTES];
    while end > 0 {
        let from = end.saturating_sub(u64::try_from(READ_BYTES).unwrap_or(u64::MAX));
        file.seek(SeekFrom::Start(from))?;
        let want = usize::try_from(end.saturating_sub(from)).unwrap_or(READ_BYTES);
        let part = buffer.get_mut(..want).unwrap_or_default();
        file.read_exact(part)?;
        if let Some(last) = part.iter().rposition(|byte| *byte != 0) {
            let last = from.saturating_add(u64::try_from(last).unwrap_or(0));
            let pages = (last / PAGE_BYTES).saturating_add(2);
            return Ok(pages.saturating_mul(PAGE_BYTES).min(length));
        }
        end = from;
    }
    Ok(length.min(PAGE_BYTES))
}

/// Hashes what it reads.
struct Hashed<R> {
    from: R,
    hash: Sha256,
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let read = self.from.read(out)?;
        self.hash.update(out.get(..read).unwrap_or_default());
        Ok(read)
    }
}
