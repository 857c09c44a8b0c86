//! Sealing what a node kept before it had keys: each thing is written anew, compared with what it was,
//! and takes its place; only then the old one goes. Cut short anywhere, the same command goes on.
//!
//! What was on a disk in the clear may stay in blocks that nobody uses any more.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;

use super::{KeysError, SECRETS, Tried as _, change, databases, find_or_make, is_on, key_file};
use crate::app::error::{Cause, Error};
use crate::app::imaging::custody::Custody as _;
use crate::app::imaging::ports::{Archive as _, ArchivedObject, Body, NewObject};
use crate::app::ports::Clock as _;
use crate::archive::local::format::{LABEL_BYTES, Label};
use crate::archive::local::{LocalArchive, Options};
use crate::config::{Config, IndexName};
use crate::node::{SystemClock, imaging};
use crate::sharing::imaging::object::Location;
use crate::sharing::sealing::Secret;
use crate::store::sqlite::database::{Database, Form};
use crate::store::sqlite::exchange::ExchangeStore;
use crate::store::sqlite::{OpenError, copying};

/// How often, and how long apart, it is tried to have a database alone.
const ALONE_TRIES: u32 = 50;
const ALONE_PAUSE: Duration = Duration::from_millis(100);
/// Objects copied at once.
const PAGE: usize = 64;
/// Bytes read of an object at once; a larger one goes through a spool.
const READ_BYTES: u64 = 4 << 20;

/// Why something was not encrypted.
#[derive(Debug, thiserror::Error)]
pub enum EncryptError {
    /// The keys cannot be used.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// There is no master key.
    #[error(
        "set encryption.key_file, encryption.credential or encryption.token first: what is sealed needs a \
         master key"
    )]
    Off,
    /// A database was not sealed.
    #[error("cannot encrypt {} (does the node run?)", path.display())]
    Database {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: copying::CopyError,
    },
    /// A database cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The archive was not sealed.
    #[error("cannot encrypt the archive of images in {}", path.display())]
    Archive {
        /// Where it is.
        path: PathBuf,
        /// Why.
        #[source]
        source: Cause,
    },
}

/// What was done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Encrypted {
    /// Databases.
    pub databases: u64,
    /// Small secrets that went into the keyring.
    pub secrets: u64,
    /// Objects of the archive.
    pub objects: u64,
    /// Bytes of their bodies.
    pub bytes: u64,
}

/// Folders of an archive that is being sealed.
struct Folders {
    archive: PathBuf,
    /// The one that is written.
    sealing: PathBuf,
    /// The one that was, once the other has its place.
    plain: PathBuf,
}

/// Seals everything of a node that does not run. `progress` is told how far it is.
pub async fn encrypt(
    config: &Config,
    progress: &mut (dyn FnMut(&Encrypted) + Send),
) -> Result<Encrypted, EncryptError> {
    if !is_on(config)? {
        return Err(EncryptError::Off);
    }
    // A keyring is made beside what is not sealed yet, or opened; with the wrong key this fails first.
    change(config, |_| Ok(()))?;
    let mut done = Encrypted::default();
    if config.imaging.enabled {
        let path = imaging::folder(config);
        archive(config, &mut done, progress)
            .await
            .map_err(|source| EncryptError::Archive { path, source })?;
    }
    for path in databases(config) {
        if Database::form(&path).tried("read", &path)? == Form::Plain {
            database(config, &path).await?;
            done.databases += 1;
            progress(&done);
        }
    }
    for name in SECRETS {
        done.secrets += u64::from(secret(config, name)?);
    }
    progress(&done);
    Ok(done)
}

async fn database(config: &Config, path: &Path) -> Result<(), EncryptError> {
    let failed = |source| EncryptError::Database { path: path.to_owned(), source };
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let key = find_or_make(config, &format!("database/{name}"))?;
    let sealing = path.with_file_name(format!("{name}.sealing"));
    remove_database(&sealing)?;
    // Fails where anybody else has it open, and leaves no write-ahead log behind.
    let mut tries = 0;
    while let Err(error) = copying::alone(path).await {
        tries += 1;
        if tries == ALONE_TRIES {
            return Err(failed(error));
        }
        // A connection of a process that has just ended may still be closing.
        tokio::time::sleep(ALONE_PAUSE).await;
    }
    let sealed = Database::new(sealing.clone(), Some(key));
    copying::seal(path, &sealed).await.map_err(failed)?;
    File::open(&sealing).and_then(|file| file.sync_all()).tried("write", &sealing)?;
    fs::rename(&sealing, path).tried("replace", path)?;
    let dir = path.parent().unwrap_or(Path::new("."));
    File::open(dir).and_then(|dir| dir.sync_all()).tried("write", dir)?;
    // A log of the database that was says nothing of the one that is.
    for suffix in ["-wal", "-shm"] {
        remove(&path.with_file_name(format!("{name}{suffix}")))?;
    }
    Ok(())
}

fn remove(path: &Path) -> Result<(), KeysError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error).tried("remove", path),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn remove_database(path: &Path) -> Result<(), KeysError> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    ["", "-journal", "-wal", "-shm"]
        .iter()
        .try_for_each(|suffix| remove(&path.with_file_name(format!("{name}{suffix}"))))
}

/// A small secret goes into the ring, and its file away. Whether there was one.
fn secret(config: &Config, name: &str) -> Result<bool, EncryptError> {
    let path = config.store.dir.join(name);
    if !path.try_exists().tried("look for", &path)? {
        return Ok(false);
    }
    let unread = |error: Cause| KeysError::Io {
        what: "read",
        path: path.clone(),
        source: io::Error::other(error),
    };
    let bytes = key_file(&path, false).map_err(unread)?;
    change(config, |ring| {
        ring.add(&format!("secret/{name}"), Secret::new(bytes), SystemClock.now_ms()).map(drop)
    })?;
    remove(&path)?;
    Ok(true)
}

async fn archive(
    config: &Config,
    done: &mut Encrypted,
    progress: &mut (dyn FnMut(&Encrypted) + Send),
) -> Result<(), Cause> {
    let dir = imaging::folder(config);
    let folders = Folders {
        archive: dir.join("archive"),
        sealing: dir.join("archive.sealing"),
        plain: dir.join("archive.plain"),
    };
    if folders.plain.try_exists()? {
        // Everything was compared before it got this name.
        if !folders.archive.try_exists()? {
            fs::rename(&folders.sealing, &folders.archive)?;
            sync(&dir)?;
        }
        fs::remove_dir_all(&folders.plain)?;
        return sync(&dir);
    }
    if !folders.archive.join("segments").try_exists()? {
        return Ok(());
    }
    let options = |dir: &Path| Options {
        segment_bytes: config.imaging.segment_bytes,
        free_bytes_min: config.imaging.free_bytes_min,
        ..Options::new(dir.to_owned())
    };
    if is_sealed(&folders.archive)? {
        return Ok(());
    }
    if folders.archive.join("remote").try_exists()? {
        return Err(
            "it has copies of segments in a remote store, which are not encrypted: this is not \
                    supported yet; begin a new archive and store the objects there"
                .into(),
        );
    }
    finished(config).await?;
    let seals = super::archive(config)?;
    let from = options(&folders.archive);
    let to = Options { seals, ..options(&folders.sealing) };
    let open = move || Ok::<_, Cause>((LocalArchive::open(from)?.0, LocalArchive::open(to)?.0));
    let (from, to) = tokio::task::spawn_blocking(open).await??;
    copy(&from, &to, done, progress).await?;
    compare(&from, &to).await?;
    drop((from, to));
    // The index says where in the old archive objects lie, and is made anew at the next start.
    forget_index(config).await?;
    fs::rename(&folders.archive, &folders.plain)?;
    sync(&dir)?;
    fs::rename(&folders.sealing, &folders.archive)?;
    sync(&dir)?;
    fs::remove_dir_all(&folders.plain)?;
    sync(&dir)
}

/// Whether the archive in `dir` is sealed, as its list of closed segments says.
fn is_sealed(dir: &Path) -> Result<bool, Cause> {
    let list = match fs::read(dir.join("sealed")) {
        Ok(list) => list,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error.into()),
    };
    let label = list.get(..LABEL_BYTES).ok_or("the list of closed segments is damaged")?;
    Ok(Label::decode_list(label)?.seal.is_some())
}

/// Fails if an erasure is under way: it names places in the old archive.
async fn finished(config: &Config) -> Result<(), Cause> {
    let path = crate::node::exchange_path(config);
    if Database::form(&path)? != Form::Plain {
        return Ok(());
    }
    let store = ExchangeStore::open(&path).await?;
    let open = store.unfinished().await?;
    if open.is_empty() {
        return Ok(());
    }
    Err("an erasure is not finished: start the node once without section encryption, stop it, and try \
         again"
        .into())
}

fn sync(dir: &Path) -> Result<(), Cause> {
    Ok(File::open(dir)?.sync_all()?)
}

/// Copies what `to` does not have yet; it has objects in the same order.
async fn copy(
    from: &LocalArchive,
    to: &LocalArchive,
    done: &mut Encrypted,
    progress: &mut (dyn FnMut(&Encrypted) + Send),
) -> Result<(), Cause> {
    // What was copied before; none once its end was reached, for what is copied now comes behind it.
    let mut had = Some(Objects::of(to));
    let mut objects = Objects::of(from);
    while let Some(object) = objects.next().await? {
        if object.erased {
            continue;
        }
        let there = match &mut had {
            Some(had) => had.next().await?,
            None => None,
        };
        if let Some(there) = there {
            if there.digest != object.digest || there.head != object.head {
                return Err("the folder archive.sealing has other objects: remove it".into());
            }
        } else {
            had = None;
            copy_one(from, to, &object).await?;
        }
        done.objects += 1;
        done.bytes = done.bytes.saturating_add(object.location.length);
        progress(done);
    }
    Ok(())
}

async fn copy_one(
    from: &LocalArchive,
    to: &LocalArchive,
    object: &ArchivedObject,
) -> Result<(), Cause> {
    let length = object.location.length;
    let body = if length <= READ_BYTES {
        Body::Memory(vec![from.read(object.location, 0..length).await?])
    } else {
        let mut spool = to.spool().await?;
        let mut at = 0;
        while at < length {
            let part = from.read(object.location, at..at.saturating_add(READ_BYTES)).await?;
            at = at.saturating_add(u64::try_from(part.len())?);
            spool.write(part).await?;
        }
        Body::Spooled(spool)
    };
    let new = NewObject { digest: object.digest, head: object.head.clone(), body };
    to.append(vec![new]).await.pop().ok_or("the archive gives no answer")??;
    Ok(())
}

/// Whether both archives have the same objects, byte by byte.
async fn compare(from: &LocalArchive, to: &LocalArchive) -> Result<(), Cause> {
    let (mut one, mut two) = (Objects::of(from), Objects::of(to));
    while let Some(object) = one.next().await? {
        if object.erased {
            continue;
        }
        let other = two.next().await?.ok_or("an object is missing")?;
        let mut at = 0;
        while at < object.location.length {
            let range = at..at.saturating_add(READ_BYTES).min(object.location.length);
            let parts: (Bytes, Bytes) = (
                from.read(object.location, range.clone()).await?,
                to.read(other.location, range.clone()).await?,
            );
            if parts.0 != parts.1 || parts.0.is_empty() {
                return Err("an object differs".into());
            }
            at = range.end;
        }
        if other.digest != object.digest || other.head != object.head {
            return Err("an object differs".into());
        }
    }
    match two.next().await? {
        None => Ok(()),
        Some(_) => Err("there is an object too many".into()),
    }
}

/// The objects of an archive, in their order.
struct Objects<'a> {
    archive: &'a LocalArchive,
    page: VecDeque<ArchivedObject>,
    after: Option<Location>,
}

impl<'a> Objects<'a> {
    fn of(archive: &'a LocalArchive) -> Self {
        Self { archive, page: VecDeque::new(), after: None }
    }

    async fn next(&mut self) -> Result<Option<ArchivedObject>, Error> {
        if self.page.is_empty() {
            self.page = self.archive.objects_after(self.after, PAGE).await?.into();
        }
        let next = self.page.pop_front();
        if let Some(object) = &next {
            self.after = Some(object.location);
        }
        Ok(next)
    }
}

/// The index of studies is emptied.
async fn forget_index(config: &Config) -> Result<(), Cause> {
    match config.imaging.index {
        IndexName::Sqlite => Ok(remove_database(&imaging::folder(config).join(super::INDEX))?),
        IndexName::Postgres => imaging::clear_index(config).await.map_err(Into::into),
    }
}
