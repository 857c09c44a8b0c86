//! Where a database lies, and the key that its pages are sealed with.

use std::path::{Path, PathBuf};
use std::sync::Once;

use sqlx::ConnectOptions as _;
use sqlx::sqlite::SqliteConnectOptions;
use zeroize::Zeroizing;

use crate::sharing::sealing::Secret;
use crate::tables::text::hex;

/// What every unsealed database begins with.
const MAGIC: &[u8; 16] = b"SQLite format 3\0";

/// A database, sealed or not.
#[derive(Debug, Clone)]
pub struct Database {
    path: PathBuf,
    key: Option<Secret>,
}

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// There is none, or an empty one.
    Absent,
    /// A database that anybody reads.
    Plain,
    /// Something else: a sealed database, or none.
    Sealed,
}

impl Database {
    /// The database at `path`; with a `key`, 32 bytes, its pages are sealed.
    pub fn new(path: PathBuf, key: Option<Secret>) -> Self {
        Self { path, key }
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A database with the same key at `path`.
    #[must_use]
    pub fn at(&self, path: PathBuf) -> Self {
        Self { path, key: self.key.clone() }
    }

    /// What the file at `path` is.
    pub fn form(path: &Path) -> std::io::Result<Form> {
        use std::io::Read as _;
        let mut begins = Vec::new();
        match std::fs::File::open(path) {
            Ok(file) => file.take(16).read_to_end(&mut begins)?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Form::Absent);
            }
            Err(error) => return Err(error),
        };
        Ok(match begins.as_slice() {
            [] => Form::Absent,
            begins if begins == MAGIC => Form::Plain,
            _ => Form::Sealed,
        })
    }

    /// How it is opened: the key before anything else is asked.
    pub(super) fn options(&self) -> SqliteConnectOptions {
        prepare();
        let options = SqliteConnectOptions::new().filename(&self.path);
        match &self.key {
            Some(_) => options.pragma("key", self.literal().as_str().to_owned()),
            None => options,
        }
    }

    /// The key as SQL has it; an empty text without one.
    pub(super) fn literal(&self) -> Zeroizing<String> {
        Zeroizing::new(match &self.key {
            Some(key) => format!("\"x'{}'\"", hex(key.expose())),
            None => "''".to_owned(),
        })
    }
}

/// Whether the library was made ready.
static READY: Once = Once::new();

/// Makes the library ready, once in a process and before its first database. `sqlite3_initialize` counts
/// itself as done before it has called `SQLITE_EXTRA_INIT`, where `SQLCipher` sets itself up: of two threads
/// that come first at the same time one was told "sqlcipher not initialized".
fn prepare() {
    READY.call_once(|| {
        // The callers are tasks, and in a task nothing else may be waited for.
        let opener = std::thread::spawn(|| {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_time().build().ok()?;
            let options = SqliteConnectOptions::new().in_memory(true).disable_statement_logging();
            runtime.block_on(options.connect()).ok()
        });
        // Where even this fails, the database that is opened next fails too, and says why.
        drop(opener.join());
    });
}

impl From<&Self> for Database {
    fn from(database: &Self) -> Self {
        database.clone()
    }
}

impl From<&Path> for Database {
    fn from(path: &Path) -> Self {
        Self::new(path.to_owned(), None)
    }
}

impl From<&PathBuf> for Database {
    fn from(path: &PathBuf) -> Self {
        Self::new(path.clone(), None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHILD: &str = "XIANGYI_OPEN_AT_ONCE";

    #[test]
    fn the_library_is_ready_before_anybody_learns_how_to_open_a_database() {
        let _options = Database::new(PathBuf::from("x.db"), None).options();
        assert!(READY.is_completed());
    }

    /// In a process that has opened nothing, threads that all open a sealed database at once.
    fn opened_at_once(folder: &Path) {
        let gate = std::sync::Barrier::new(8);
        std::thread::scope(|scope| {
            for number in 0..8_u8 {
                let gate = &gate;
                scope.spawn(move || {
                    let key = Secret::new(vec![number; 32]);
                    let database = Database::new(folder.join(format!("{number}.db")), Some(key));
                    let runtime =
                        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                    gate.wait();
                    let options = database.options().create_if_missing(true);
                    let mut open = runtime.block_on(options.connect()).unwrap();
                    let made = sqlx::query("CREATE TABLE t (x)").execute(&mut open);
                    runtime.block_on(made).unwrap();
                });
            }
        });
    }

    #[expect(clippy::disallowed_methods, reason = "the only word between a test and its child")]
    fn child_folder() -> Option<PathBuf> {
        std::env::var(CHILD).ok().map(PathBuf::from)
    }

    #[test]
    fn databases_that_a_new_process_opens_at_once_are_all_opened() {
        if let Some(folder) = child_folder() {
            return opened_at_once(&folder);
        }
        let name = std::thread::current().name().unwrap().to_owned();
        for _ in 0..20 {
            let folder = tempfile::tempdir().unwrap();
            let child = std::process::Command::new(std::env::current_exe().unwrap())
                .args(["--exact", &name])
                .env(CHILD, folder.path())
                .output()
                .unwrap();
            assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stdout));
            for number in 0..8 {
                let form = Database::form(&folder.path().join(format!("{number}.db"))).unwrap();
                assert_eq!(form, Form::Sealed, "database {number}");
            }
        }
    }
}
