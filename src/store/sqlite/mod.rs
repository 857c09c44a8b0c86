//! `SQLite`: WAL, `synchronous=FULL`, one writer, readers beside it.
//!
//! "Kept" is said after the commit has reached the disk. Commits that wait at the same time share
//! one transaction ([`writer`]), so that durability costs one fsync for all of them.

pub mod accounts;
pub mod anchors;
pub mod copying;
pub mod database;
pub mod documents;
pub mod exchange;
pub mod hub;
mod journal;
pub mod looking;
pub mod region;
pub mod reporting;
pub mod studies;
pub mod trail;
mod writer;

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{ConnectOptions as _, Connection as _, SqlSafeStr as _};
use tokio_util::task::TaskTracker;

pub use self::database::Database;
use self::writer::Writer;

/// Released migrations. One never changes once released; a change is a new one.
const MIGRATIONS: [(i64, &str, &str); 17] = [
    (1, "records and audit", include_str!("../../../migrations/sqlite/0001_records_and_audit.sql")),
    (
        2,
        "overrides and plans",
        include_str!("../../../migrations/sqlite/0002_overrides_and_plans.sql"),
    ),
    (3, "recognition", include_str!("../../../migrations/sqlite/0003_recognition.sql")),
    (4, "audit detail", include_str!("../../../migrations/sqlite/0004_audit_detail.sql")),
    (5, "documents", include_str!("../../../migrations/sqlite/0005_documents.sql")),
    (6, "references", include_str!("../../../migrations/sqlite/0006_references.sql")),
    (7, "relations", include_str!("../../../migrations/sqlite/0007_relations.sql")),
    (8, "sent for", include_str!("../../../migrations/sqlite/0008_sent_for.sql")),
    (9, "consent", include_str!("../../../migrations/sqlite/0009_consent.sql")),
    (10, "audit chain", include_str!("../../../migrations/sqlite/0010_audit_chain.sql")),
    (11, "accounts", include_str!("../../../migrations/sqlite/0011_accounts.sql")),
    (12, "stays", include_str!("../../../migrations/sqlite/0012_stays.sql")),
    (
        13,
        "programmes of a document",
        include_str!("../../../migrations/sqlite/0013_programmes_of_a_document.sql"),
    ),
    (
        14,
        "places of records",
        include_str!("../../../migrations/sqlite/0014_places_of_records.sql"),
    ),
    (15, "words on consent", include_str!("../../../migrations/sqlite/0015_words_on_consent.sql")),
    (16, "reporting", include_str!("../../../migrations/sqlite/0016_reporting.sql")),
    (
        17,
        "people registered",
        include_str!("../../../migrations/sqlite/0017_people_registered.sql"),
    ),
];

/// How long a reader waits for a lock.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Rows that a reader may be ahead of whoever asked: with the usual 50 both threads wait for each
/// other again and again over an answer of hundreds.
const ROWS_AHEAD: usize = 1024;
/// Pages in the write-ahead log before they are copied into the database: 8 MB. Pages that every
/// commit touches are then copied once per many commits.
const CHECKPOINT_PAGES: &str = "2000";
/// Connections that only read.
const READERS_MAX: u32 = 4;

/// Why a store could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file or folder cannot be used.
    #[error("cannot open the store at {}", path.display())]
    Open {
        /// Path of the database.
        path: PathBuf,
        /// Why.
        #[source]
        source: sqlx::Error,
    },
    /// The folder cannot be made.
    #[error("cannot create the data directory {}", path.display())]
    Folder {
        /// Path of the folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The schema cannot be brought up to date; often a store written by a newer version.
    #[error("cannot migrate the store at {}", path.display())]
    Migrate {
        /// Path of the database.
        path: PathBuf,
        /// Why.
        #[source]
        source: sqlx::migrate::MigrateError,
    },
}

/// An open `SQLite` store.
#[derive(Debug)]
pub struct SqliteStore {
    readers: SqlitePool,
    writer: Writer,
    backend: String,
}

impl SqliteStore {
    /// Opens, or makes, the database and brings its schema up to date. The writer runs
    /// on `tracker` until the store is dropped. At most `writes_max` commits wait.
    pub async fn open(
        database: impl Into<Database>,
        writes_max: usize,
        tracker: &TaskTracker,
    ) -> Result<Self, OpenError> {
        let database = database.into();
        let path = database.path();
        make_folder(path).await?;
        let open = |source| OpenError::Open { path: path.to_owned(), source };
        let options = options(&database).synchronous(SqliteSynchronous::Full).foreign_keys(true);
        let mut connection = options.connect().await.map_err(open)?;
        migrator(&MIGRATIONS)
            .run(&mut connection)
            .await
            .map_err(|source| OpenError::Migrate { path: path.to_owned(), source })?;
        let version: String = sqlx::query_scalar("SELECT sqlite_version()")
            .fetch_one(&mut connection)
            .await
            .map_err(open)?;
        let linked = trail::chain::link_older(&mut connection).await.map_err(open)?;
        if linked > 0 {
            tracing::info!(entries = linked, "entries of the audit trail of before were chained");
        }
        writer::prepare(&mut connection).await.map_err(open)?;
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS_MAX)
            .connect_lazy_with(options.read_only(true).create_if_missing(false));
        Ok(Self {
            readers,
            writer: Writer::start(connection, writes_max, tracker),
            backend: format!("sqlite {version}"),
        })
    }
}

/// Makes the folder that the database at `path` lies in, closed to others.
async fn make_folder(path: &Path) -> Result<(), OpenError> {
    let Some(folder) = path.parent() else { return Ok(()) };
    tokio::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .await
        .map_err(|source| OpenError::Folder { path: folder.to_owned(), source })
}

/// How every database here is opened.
pub(in crate::store) fn options(database: impl Into<Database>) -> SqliteConnectOptions {
    database
        .into()
        .options()
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .pragma("wal_autocheckpoint", CHECKPOINT_PAGES)
        .busy_timeout(BUSY_TIMEOUT)
        .row_buffer_size(ROWS_AHEAD)
        .disable_statement_logging()
}

/// Pool of the one connection that writes. Where the disk is full `SQLite` has undone the transaction
/// by itself, the roll-back fails, and the connection counts as within a transaction for ever after: it
/// is closed, and whoever comes next gets a new one.
fn writers() -> SqlitePoolOptions {
    SqlitePoolOptions::new().max_connections(1).after_release(|connection, _| {
        Box::pin(async move {
            // What was dropped without a commit is rolled back before this is answered.
            connection.ping().await?;
            Ok(!connection.is_in_transaction())
        })
    })
}

/// Connections that read, at most so many, and the one that writes and waits for the disk, to a database that
/// was brought up to date. They are opened when first used.
fn pools(database: impl Into<Database>, readers_max: u32) -> (SqlitePool, SqlitePool) {
    let options = options(database).create_if_missing(false);
    let writer = writers().connect_lazy_with(options.clone().synchronous(SqliteSynchronous::Full));
    let readers = SqlitePoolOptions::new()
        .max_connections(readers_max)
        .connect_lazy_with(options.read_only(true));
    (readers, writer)
}

pub(super) fn migrator(migrations: &[(i64, &'static str, &'static str)]) -> Migrator {
    Migrator::with_migrations(
        migrations
            .iter()
            .map(|&(version, name, sql)| {
                Migration::new(
                    version,
                    Cow::Borrowed(name),
                    MigrationType::Simple,
                    sql.into_sql_str(),
                    false,
                )
            })
            .collect(),
    )
}
