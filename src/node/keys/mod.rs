//! The keys of a node: where the master key is, the keyring in the store's directory, and what each
//! database, the archive and the small secrets are sealed with.
//!
//! Keys are looked up where something is opened, and made where something is begun. A database that is
//! there has its key in the ring, or is refused: nothing is begun anew over what cannot be read.

pub mod checking;
pub mod encrypting;
pub mod rotation;
pub mod source;
pub mod token;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use self::source::SourceError;
use super::{SystemClock, imaging};
use crate::app::error::Cause;
use crate::app::ports::Clock as _;
use crate::archive::local::Seals;
use crate::config::{Config, HsmSection};
use crate::sharing::sealing::keyring::{DataKey, Keyring, Master, Sealed};
use crate::sharing::sealing::{Fault, Secret};
use crate::store::sqlite::Database;
use crate::store::sqlite::database::Form;

/// Name of the keyring in the store's directory.
pub const KEYRING: &str = "keyring.json";
/// Who changes the keyring holds this.
const LOCK: &str = "keyring.lock";
/// What the archive's keys are for.
const ARCHIVE: &str = "archive";
/// What the key of patients in an index on a server is for.
const STUDIES: &str = "studies";
/// Names of databases in the store's directory.
pub(super) const DATABASES: [&str; 5] =
    ["xiangyi.db", "exchange.db", "hub.db", "region.db", "anchors.db"];
/// Name of the database in the imaging directory.
pub(super) const INDEX: &str = "imaging.db";
/// Names of the small secrets that a node without a keyring has in files.
pub(super) const SECRETS: [&str; 3] = ["people.key", "audit.key", "hub.key"];

/// Why the keys of a node cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// The master key cannot be had.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The keyring does not open, or is none.
    #[error("{} {fault}", path.display())]
    Ring {
        /// The keyring.
        path: PathBuf,
        /// What is wrong with it.
        fault: Fault,
    },
    /// There is a keyring and no master key.
    #[error(
        "what lies in {} is encrypted ({KEYRING}): name its master key in section encryption \
         (encryption.key_file, encryption.credential or encryption.token)",
        dir.display()
    )]
    Off {
        /// The store's directory.
        dir: PathBuf,
    },
    /// No token is configured.
    #[error(
        "section encryption.token is not there: it names the token's module, its label and a file with the PIN"
    )]
    NoToken,
    /// There is no keyring.
    #[error("there is no {KEYRING} in {}: nothing is encrypted there", dir.display())]
    None {
        /// The store's directory.
        dir: PathBuf,
    },
    /// Something is not sealed.
    #[error(
        "{} is not encrypted, and section encryption asks for it: stop the node and run \
         `xiangyi admin encrypt`",
        path.display()
    )]
    Plain {
        /// What.
        path: PathBuf,
    },
    /// Something is sealed, and its key is not there.
    #[error(
        "{} is encrypted, and {} has no key for it: put the keyring back from a backup",
        path.display(), ring.display()
    )]
    Missing {
        /// What.
        path: PathBuf,
        /// The keyring.
        ring: PathBuf,
    },
    /// Something is no database, and there is no keyring.
    #[error(
        "{} does not begin as a database: it is damaged (put it back from a backup), or encrypted and {} \
         is lost (put that back)",
        path.display(), ring.display()
    )]
    Neither {
        /// What.
        path: PathBuf,
        /// The keyring.
        ring: PathBuf,
    },
    /// The system refuses.
    #[error("cannot {what} {}", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// With which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// Adds what was tried to an error of the system.
pub(super) trait Tried<T> {
    fn tried(self, what: &'static str, path: &Path) -> Result<T, KeysError>;
}

impl<T> Tried<T> for io::Result<T> {
    fn tried(self, what: &'static str, path: &Path) -> Result<T, KeysError> {
        self.map_err(|source| KeysError::Io { what, path: path.to_owned(), source })
    }
}

/// Chance from the system.
pub(super) fn random(bytes: &mut [u8]) -> Result<(), Fault> {
    getrandom::fill(bytes).map_err(|_| Fault::Random)
}

fn place(config: &Config) -> PathBuf {
    config.store.dir.join(KEYRING)
}

fn faulty(path: &Path) -> impl Fn(Fault) -> KeysError + '_ {
    |fault| KeysError::Ring { path: path.to_owned(), fault }
}

/// Makes the key that the section names, in the token.
pub fn make_token_key(section: &HsmSection) -> Result<token::Made, KeysError> {
    let pin = source::pin(&section.pin_file)?;
    Ok(token::make(section, &pin).map_err(SourceError::from)?)
}

/// The keyring as it lies there; none without one.
pub fn sealed(config: &Config) -> Result<Option<Sealed>, KeysError> {
    let path = place(config);
    match fs::read_to_string(&path) {
        Ok(text) => Sealed::parse(&text).map(Some).map_err(faulty(&path)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).tried("read", &path),
    }
}

/// Whether what lies in the node's folders is sealed, or will be.
pub fn is_on(config: &Config) -> Result<bool, KeysError> {
    let there = place(config).try_exists().tried("look for", &place(config))?;
    match (config.encryption.is_on(), there) {
        (false, true) => Err(KeysError::Off { dir: config.store.dir.clone() }),
        (on, _) => Ok(on),
    }
}

/// Opens the keyring and makes none; none where nothing is sealed, or nothing was kept yet.
pub(super) fn look(config: &Config) -> Result<Option<Keyring>, KeysError> {
    if !is_on(config)? {
        return Ok(None);
    }
    let master = source::master(&config.encryption)?;
    match sealed(config)? {
        Some(sealed) => sealed.open(&[master.as_ref()]).map(Some).map_err(faulty(&place(config))),
        None => nothing_kept(config).map(|()| None),
    }
}

/// Opens the keyring; none where nothing is sealed. Where nothing was kept yet, a new one is made.
pub fn open(config: &Config) -> Result<Option<Keyring>, KeysError> {
    if !is_on(config)? {
        return Ok(None);
    }
    let master = source::master(&config.encryption)?;
    if let Some(sealed) = sealed(config)? {
        return sealed.open(&[master.as_ref()]).map(Some).map_err(faulty(&place(config)));
    }
    nothing_kept(config)?;
    change(config, |ring| Ok(ring.clone())).map(Some)
}

/// Fails if something is kept already: it is not sealed, or its keyring is lost.
fn nothing_kept(config: &Config) -> Result<(), KeysError> {
    for path in databases(config) {
        match Database::form(&path).tried("read", &path)? {
            Form::Absent => {}
            Form::Plain => return Err(KeysError::Plain { path }),
            Form::Sealed => return Err(KeysError::Missing { path, ring: place(config) }),
        }
    }
    let segments = imaging::folder(config).join("archive").join("segments");
    match fs::read_dir(&segments) {
        Ok(mut entries) => match entries.next() {
            Some(_) => Err(KeysError::Plain { path: segments }),
            None => Ok(()),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error).tried("read", &segments),
    }
}

/// Where the databases of a node are, or would be.
pub(super) fn databases(config: &Config) -> Vec<PathBuf> {
    let own = DATABASES.iter().map(|name| config.store.dir.join(name));
    own.chain([imaging::folder(config).join(INDEX)]).collect()
}

/// Changes the keyring while nobody else does, and writes it; makes one where there is none.
pub(super) fn change<T>(
    config: &Config,
    work: impl FnOnce(&mut Keyring) -> Result<T, Fault>,
) -> Result<T, KeysError> {
    let (dir, path) = (&config.store.dir, place(config));
    let lock = locked(dir)?;
    let master = source::master(&config.encryption)?;
    let masters: [&dyn Master; 1] = [master.as_ref()];
    let faulty = faulty(&path);
    let mut ring = match sealed(config)? {
        Some(sealed) => sealed.open(&masters).map_err(&faulty)?,
        None => Keyring::new(config.encryption.cipher, &masters, &random).map_err(&faulty)?,
    };
    let before = ring.clone();
    let done = work(&mut ring).map_err(&faulty)?;
    if ring != before || before.generation == 0 {
        write(dir, &path, &ring.seal(&random).and_then(|s| s.text()).map_err(&faulty)?)?;
    }
    drop(lock);
    Ok(done)
}

/// Waits until nobody else changes the keyring in `dir`.
fn locked(dir: &Path) -> Result<File, KeysError> {
    fs::create_dir_all(dir).tried("create", dir)?;
    let path = dir.join(LOCK);
    let mut options = OpenOptions::new();
    let options = options.write(true).create(true).truncate(false).mode(0o600);
    let file = options.open(&path).tried("open", &path)?;
    file.lock().tried("lock", &path)?;
    Ok(file)
}

/// Puts a text in a file's place: the old one or the new one is there, whatever happens.
pub(super) fn write(dir: &Path, path: &Path, text: &str) -> Result<(), KeysError> {
    let new = path.with_extension("new");
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new);
    let mut file = file.tried("write", &new)?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).tried("write", &new)?;
    fs::rename(&new, path).tried("replace", path)?;
    File::open(dir).and_then(|dir| dir.sync_all()).tried("write", dir)
}

/// The database `name` in `dir`, with its key; a new key where there is no database yet.
pub(super) fn database_in(config: &Config, dir: &Path, name: &str) -> Result<Database, KeysError> {
    let path = dir.join(name);
    let Some(ring) = open(config)? else { return Ok(Database::new(path, None)) };
    let purpose = format!("database/{name}");
    if let Some(key) = ring.newest(&purpose) {
        return Ok(Database::new(path, Some(key.secret.clone())));
    }
    if !is_there(&path)? {
        return Ok(Database::new(path, Some(find_or_make(config, &purpose)?)));
    }
    // Nobody here has it open: there was no key.
    Err(match Database::form(&path).tried("read", &path)? {
        Form::Plain => KeysError::Plain { path },
        Form::Absent | Form::Sealed => KeysError::Missing { path, ring: place(config) },
    })
}

/// Whether there is something at `path`. Looks at the folder and never opens the file: who closes a
/// database's file gives back, for the whole process, the locks that other connections have on it.
pub(super) fn is_there(path: &Path) -> Result<bool, KeysError> {
    match fs::metadata(path) {
        Ok(found) => Ok(found.len() > 0),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error).tried("look at", path),
    }
}

/// Whether what is kept is all sealed, or all not, as the configuration has it. Before anything is
/// opened.
pub(super) fn prepare(config: &Config) -> Result<(), KeysError> {
    let on = open(config)?.is_some();
    for path in databases(config) {
        match (Database::form(&path).tried("read", &path)?, on) {
            (Form::Plain, true) => return Err(KeysError::Plain { path }),
            // What is wrong with an index is said where it is opened: it can be made anew.
            (Form::Sealed, false) if !path.ends_with(INDEX) => {
                return Err(KeysError::Neither { path, ring: place(config) });
            }
            (Form::Absent, _) | (Form::Plain | Form::Sealed, false) | (Form::Sealed, true) => {}
        }
    }
    Ok(())
}

/// The database `name` in the store's directory.
pub(super) fn database(config: &Config, name: &str) -> Result<Database, KeysError> {
    database_in(config, &config.store.dir, name)
}

/// The newest key for a purpose, made if there is none.
fn key(config: &Config, purpose: &str) -> Result<DataKey, KeysError> {
    change(config, |ring| {
        if let Some(known) = ring.newest(purpose) {
            return Ok(known.clone());
        }
        ring.add(purpose, Secret::random(&random)?, SystemClock.now_ms())
    })
}

/// The secret of it.
pub(super) fn find_or_make(config: &Config, purpose: &str) -> Result<Secret, KeysError> {
    Ok(key(config, purpose)?.secret.clone())
}

/// The key of patients in an index of studies on a server; none where nothing is sealed.
pub(super) fn studies(config: &Config) -> Result<Option<DataKey>, KeysError> {
    let Some(ring) = open(config)? else { return Ok(None) };
    match ring.newest(STUDIES) {
        Some(key) => Ok(Some(key.clone())),
        None => key(config, STUDIES).map(Some),
    }
}

/// The keys of the archive; none where nothing is sealed.
pub(super) fn archive(config: &Config) -> Result<Option<Arc<Seals>>, KeysError> {
    let of = |ring: &Keyring| {
        ring.keys().iter().filter(|key| key.purpose == ARCHIVE).cloned().collect::<Vec<_>>()
    };
    let Some(ring) = open(config)? else { return Ok(None) };
    let mut keys = of(&ring);
    if keys.is_empty() {
        keys = change(config, |ring| {
            if ring.newest(ARCHIVE).is_none() {
                ring.add(ARCHIVE, Secret::random(&random)?, SystemClock.now_ms())?;
            }
            Ok(of(ring))
        })?;
    }
    Ok(Seals::new(keys).map(Arc::new))
}

/// A small secret of the node: in the keyring where there is one, else in a file beside the database
/// that is made, readable by its owner only, where `make` is set.
pub(super) async fn secret(config: &Config, name: &str, make: bool) -> Result<Vec<u8>, Cause> {
    let (config, name) = (config.clone(), name.to_owned());
    tokio::task::spawn_blocking(move || secret_of(&config, &name, make)).await?
}

fn secret_of(config: &Config, name: &str, make: bool) -> Result<Vec<u8>, Cause> {
    let path = config.store.dir.join(name);
    let Some(ring) = open(config)? else { return key_file(&path, make) };
    if path.try_exists()? {
        return Err(KeysError::Plain { path }.into());
    }
    let purpose = format!("secret/{name}");
    match ring.newest(&purpose) {
        Some(key) => Ok(key.secret.expose().to_vec()),
        None if make => Ok(find_or_make(config, &purpose)?.expose().to_vec()),
        None => Err(format!("{} has no {purpose}", place(config).display()).into()),
    }
}

/// Bytes of a key in a file.
const KEY_BYTES: usize = 32;

/// A key in a file. Where `make` is set one is made if there is none, readable by its owner only.
pub(super) fn key_file(path: &Path, make: bool) -> Result<Vec<u8>, Cause> {
    match fs::read(path) {
        Ok(key) if key.len() >= KEY_BYTES => return Ok(key),
        Ok(_) => return Err(format!("{} has less than 32 bytes", path.display()).into()),
        Err(error) if make && error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(format!("{}: {error}", path.display()).into()),
    }
    let mut key = vec![0; KEY_BYTES];
    getrandom::fill(&mut key)?;
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(&key)?;
    file.sync_all()?;
    Ok(key)
}
