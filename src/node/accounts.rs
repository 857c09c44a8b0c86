//! Accounts of this node: the store, what is not taken as a password, and the code that the first
//! account is made with.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;

use super::backup::RESTORED;
use super::{DATABASE, NodeError, SystemClock, UuidSource, keys};
use crate::app::identity::accounts::password::Denied;
use crate::app::identity::accounts::ports::Lock;
use crate::app::identity::accounts::{Accounts, Options};
use crate::app::ports::{Clock, IdSource};
use crate::config::{AccountsSection, Config};
use crate::embedded;
use crate::store::sqlite::accounts::AccountsStore;
use crate::store::sqlite::{Database, OpenError, SqliteStore};
use crate::tables::table;

/// Passwords that everybody tries.
const DENIED: &str = "identity/passwords.csv";
/// Name of the file in the store's directory that the code of the first account is in.
const SETUP_CODE: &str = "setup-code";

/// A row of the table.
#[derive(Deserialize)]
struct Row {
    password: String,
}

/// The accounts in a database that is up to date.
pub(super) fn open(
    database: &Database,
    section: &AccountsSection,
) -> Result<Arc<Accounts>, NodeError> {
    let rows: Vec<(u64, Row)> =
        table::rows(&embedded::files(), DENIED).map_err(|e| NodeError::Accounts(e.into()))?;
    let denied = Denied::new(rows.iter().map(|(_, row)| row.password.as_str()));
    let options = Options {
        access: Duration::from_secs(section.access_s),
        refresh: Duration::from_secs(section.refresh_s),
        session: Duration::from_secs(section.session_s),
        lock: Lock {
            failures_max: section.failures_max,
            first: Duration::from_secs(section.lock_s),
            longest: Duration::from_secs(section.lock_max_s),
        },
        hashes_max: section.hashes_max,
    };
    let store = Arc::new(AccountsStore::open(database));
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let ids: Arc<dyn IdSource> = Arc::new(UuidSource);
    Ok(Arc::new(Accounts::new(store, (clock, ids), options, denied)))
}

/// Ends all sessions where the node was put back from a backup and has not started since.
pub(super) async fn after_restore(accounts: &Accounts, folder: &Path) -> Result<(), NodeError> {
    let failed = |source: std::io::Error| NodeError::Accounts(source.into());
    let mark = folder.join(RESTORED);
    if !tokio::fs::try_exists(&mark).await.map_err(failed)? {
        return Ok(());
    }
    let ended = accounts.end_all().await.map_err(|e| NodeError::Accounts(e.into()))?;
    tracing::warn!(
        sessions = ended,
        "put back from a backup: sessions were ended; accounts are as they were then, look through them \
         (`xiangyi admin account list`)"
    );
    tokio::fs::remove_file(&mark).await.map_err(failed)
}

/// The accounts of a node that may be running or not, for the command line.
pub async fn beside(config: &Config) -> Result<Arc<Accounts>, NodeError> {
    let database = keys::database(config, DATABASE)?;
    let tasks = tokio_util::task::TaskTracker::new();
    let store: Result<SqliteStore, OpenError> = SqliteStore::open(&database, 1, &tasks).await;
    drop(store?);
    tasks.close();
    tasks.wait().await;
    open(&database, &config.auth.accounts.clone().unwrap_or_default())
}

/// Writes a code into a file that only the node's user reads, while there is no account; takes an old
/// one away. The log says where it is and never what it is.
pub(super) async fn offer_setup(accounts: &Accounts, folder: &Path) -> Result<(), NodeError> {
    let code = accounts.offer_setup().await.map_err(|e| NodeError::Accounts(e.into()))?;
    let path = folder.join(SETUP_CODE);
    let written = path.clone();
    let offered = code.is_some();
    tokio::task::spawn_blocking(move || put(&written, code.as_deref()))
        .await
        .map_err(|e| NodeError::Accounts(e.into()))?
        .map_err(|source| NodeError::Pem { path: path.clone(), source: source.into() })?;
    if offered {
        tracing::warn!(
            file = %path.display(),
            "nobody can sign in yet: add an account with `xiangyi admin account add`, or from afar by \
             the code in the file"
        );
    }
    Ok(())
}

fn put(path: &Path, code: Option<&str>) -> std::io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let Some(code) = code else { return Ok(()) };
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(0o600).open(path)?;
    writeln!(file, "{code}")?;
    file.sync_all()
}
