//! What is exchanged with other systems and cannot be made anew: the queue of forwarding, the
//! modality worklist, performed procedure steps, which objects are copies of other nodes, legal holds,
//! erasures; and what PACS behind the node answered. A small database of its own,
//! `synchronous=FULL`.
//!
//! The command line opens it beside a running node, so every transaction that writes begins as one
//! that writes (a deferred one that upgrades does not wait for its lock).

mod analysis;
mod behind;
mod custody;
mod forwarding;
mod holdings;
#[cfg(test)]
mod tests;
mod worklist;

use sqlx::sqlite::{SqlitePool, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions as _, Sqlite, Transaction};

use super::{Database, OpenError, make_folder, migrator, options, writers};
use crate::app::error::Error;

/// Released migrations. One never changes once released; a change is a new one.
pub(super) const MIGRATIONS: [(i64, &str, &str); 6] = [
    (1, "forwarding", include_str!("../../../../migrations/sqlite-exchange/0001_forwarding.sql")),
    (2, "worklist", include_str!("../../../../migrations/sqlite-exchange/0002_worklist.sql")),
    (
        3,
        "imaging models",
        include_str!("../../../../migrations/sqlite-exchange/0003_imaging_models.sql"),
    ),
    (4, "copies", include_str!("../../../../migrations/sqlite-exchange/0004_copies.sql")),
    (5, "custody", include_str!("../../../../migrations/sqlite-exchange/0005_custody.sql")),
    (6, "behind", include_str!("../../../../migrations/sqlite-exchange/0006_behind.sql")),
];

/// Connections that only read.
const READERS_MAX: u32 = 2;

/// An open database.
#[derive(Debug)]
pub struct ExchangeStore {
    readers: SqlitePool,
    /// One connection: who writes waits for it.
    writer: SqlitePool,
}

impl ExchangeStore {
    /// Opens, or makes, the database and brings its schema up to date.
    pub async fn open(database: impl Into<Database>) -> Result<Self, OpenError> {
        let database = database.into();
        let path = database.path();
        make_folder(path).await?;
        let open = |source| OpenError::Open { path: path.to_owned(), source };
        let options = options(&database).synchronous(SqliteSynchronous::Full).foreign_keys(true);
        let mut connection = options.clone().connect().await.map_err(open)?;
        migrator(&MIGRATIONS)
            .run(&mut connection)
            .await
            .map_err(|source| OpenError::Migrate { path: path.to_owned(), source })?;
        drop(connection);
        let writer = writers().connect_lazy_with(options.clone());
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS_MAX)
            .connect_lazy_with(options.read_only(true).create_if_missing(false));
        Ok(Self { readers, writer })
    }

    /// A transaction that writes.
    async fn begin(&self) -> Result<Transaction<'static, Sqlite>, Error> {
        self.writer.begin_with("BEGIN IMMEDIATE").await.map_err(failed)
    }
}

fn failed(error: sqlx::Error) -> Error {
    Error::Unavailable { what: "exchange database", cause: Some(error.into()) }
}

/// `SQLite` has no unsigned numbers; what does not fit is as large as can be.
fn int(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn whole(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}
