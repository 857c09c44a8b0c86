//! The documents of a hub, for one that serves few nodes: a database of its own, `synchronous=FULL`.
//!
//! One connection writes, and each submission is a transaction. A hub of a whole city keeps its
//! documents on a server: `store::postgres::hub`.

mod attend;
mod keep;
mod load;
mod look_up;
pub mod nodes;
mod people;
mod quarantine;
mod read;
pub mod reporting;
pub mod seal;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use sqlx::sqlite::{SqlitePool, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions as _, Sqlite, Transaction};
use tokio::sync::broadcast;

use super::{Database, OpenError, make_folder, migrator, options, writers};
use crate::app::error::Error;
use crate::app::exchange::ports::{
    HubDocuments, NodeExchange, PersonKey, PutAside, QuarantineQuery, Quarantined, Scope, Settled,
    Submission, Withdrawn,
};
use crate::app::ports::BoxFuture;
use crate::sharing::exchange::{Delivery, Document, Hello, Numbered, Outcome, Welcome};
use crate::store::hub::plan::{Plan, Questions};
use crate::store::hub::rows::Rows;
use crate::store::hub::{Grown, Scopes, check_names, failed};

/// Released migrations. One never changes once released; a change is a new one.
pub(super) const MIGRATIONS: [(i64, &str, &str); 11] = [
    (1, "documents", include_str!("../../../../migrations/sqlite-hub/0001_documents.sql")),
    (
        2,
        "quarantine and consent",
        include_str!("../../../../migrations/sqlite-hub/0002_quarantine_and_consent.sql"),
    ),
    (3, "people", include_str!("../../../../migrations/sqlite-hub/0003_people.sql")),
    (4, "look-ups", include_str!("../../../../migrations/sqlite-hub/0004_look_ups.sql")),
    (5, "audit chain", include_str!("../../../../migrations/sqlite-hub/0005_audit_chain.sql")),
    (
        6,
        "names of records",
        include_str!("../../../../migrations/sqlite-hub/0006_record_names.sql"),
    ),
    (7, "clocks", include_str!("../../../../migrations/sqlite-hub/0007_clocks.sql")),
    (
        8,
        "certificates of nodes",
        include_str!("../../../../migrations/sqlite-hub/0008_node_certificates.sql"),
    ),
    (
        9,
        "lines of certificates",
        include_str!("../../../../migrations/sqlite-hub/0009_lines_of_certificates.sql"),
    ),
    (
        10,
        "keys of documents",
        include_str!("../../../../migrations/sqlite-hub/0010_keys_of_documents.sql"),
    ),
    (11, "reporting", include_str!("../../../../migrations/sqlite-hub/0011_reporting.sql")),
];

/// Connections that only read.
const READERS_MAX: u32 = 4;

/// An open database.
#[derive(Debug)]
pub struct HubStore {
    readers: SqlitePool,
    /// One connection: who writes waits for it.
    writer: SqlitePool,
    scopes: Scopes,
    grown: Grown,
}

impl HubStore {
    /// Opens, or makes, the database and brings its schema up to date. Documents go to
    /// the nodes that cover a place by `scopes`.
    pub async fn open(
        database: impl Into<Database>,
        scopes: Vec<Scope>,
    ) -> Result<Self, OpenError> {
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
        Ok(Self { readers, writer, scopes: Scopes::new(scopes), grown: Grown::new() })
    }

    async fn begin(&self) -> Result<Transaction<'_, Sqlite>, Error> {
        self.writer.begin_with("BEGIN IMMEDIATE").await.map_err(failed)
    }

    async fn kept(&self, submission: Submission) -> Result<Outcome, Error> {
        check_names(&submission.node, &submission.store)?;
        let batch = [submission];
        let mut transaction = self.begin().await?;
        let questions = Questions::of(&batch);
        let loaded = load::load(&mut transaction, &questions).await.map_err(failed)?;
        let plan = Plan::make(&batch, &self.scopes, loaded);
        // What is known already changes nothing.
        let is_new = !plan.is_empty();
        let rows = keep::write(&mut transaction, plan, &batch).await?;
        if is_new {
            transaction.commit().await.map_err(failed)?;
            self.tell(&rows);
        }
        let outcome = rows.outcomes.into_iter().next();
        outcome.ok_or_else(|| Error::internal("store of documents", "no outcome"))
    }

    fn tell(&self, rows: &Rows) {
        for node in rows.grown() {
            self.grown.tell(&node);
        }
    }
}

impl HubDocuments for HubStore {
    fn attend<'a>(
        &'a self,
        node: &'a str,
        hello: &'a Hello,
        at_ms: i64,
    ) -> BoxFuture<'a, Result<Welcome, Error>> {
        Box::pin(async move {
            check_names(node, &hello.store)?;
            let mut transaction = self.begin().await?;
            let (welcome, grown) =
                attend::attend(&mut transaction, node, hello, at_ms).await.map_err(failed)?;
            transaction.commit().await.map_err(failed)?;
            if grown {
                self.grown.tell(node);
            }
            Ok(welcome)
        })
    }

    fn keep(&self, submission: Submission) -> BoxFuture<'_, Result<Outcome, Error>> {
        Box::pin(self.kept(submission))
    }

    fn opens<'a>(
        &'a self,
        node: &'a str,
        keys: &'a [PersonKey],
    ) -> BoxFuture<'a, Result<bool, Error>> {
        Box::pin(async move {
            let mut connection = self.readers.acquire().await.map_err(failed)?;
            load::opens(&mut connection, node, keys).await.map_err(failed)
        })
    }

    fn withdrawals<'a>(
        &'a self,
        keys: &'a [PersonKey],
    ) -> BoxFuture<'a, Result<Vec<Withdrawn>, Error>> {
        Box::pin(async move { read::withdrawals(&self.readers, keys).await.map_err(failed) })
    }

    fn quarantine(&self, document: Quarantined) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move {
            check_names(&document.node, &document.store)?;
            let mut transaction = self.begin().await?;
            keep::put_aside(&mut transaction, &document).await.map_err(failed)?;
            transaction.commit().await.map_err(failed)
        })
    }

    fn quarantined(&self, query: QuarantineQuery) -> BoxFuture<'_, Result<Vec<PutAside>, Error>> {
        Box::pin(async move { quarantine::list(&self.readers, &query).await.map_err(failed) })
    }

    fn quarantined_count(&self) -> BoxFuture<'_, Result<u64, Error>> {
        Box::pin(async move { quarantine::open(&self.readers).await.map_err(failed) })
    }

    fn read_quarantined(
        &self,
        id: u64,
    ) -> BoxFuture<'_, Result<Option<(PutAside, Document)>, Error>> {
        Box::pin(async move { quarantine::read(&self.readers, id).await.map_err(failed) })
    }

    fn settle_quarantined(
        &self,
        id: u64,
        settled: Settled,
    ) -> BoxFuture<'_, Result<Option<PutAside>, Error>> {
        Box::pin(async move {
            let mut transaction = self.begin().await?;
            let line = quarantine::settle(&mut transaction, id, &settled).await.map_err(failed)?;
            transaction.commit().await.map_err(failed)?;
            Ok(line)
        })
    }

    fn inbox<'a>(
        &'a self,
        node: &'a str,
        after: u64,
        limit: usize,
    ) -> BoxFuture<'a, Result<Numbered<Delivery>, Error>> {
        Box::pin(
            async move { read::inbox(&self.readers, node, after, limit).await.map_err(failed) },
        )
    }

    fn advance<'a>(
        &'a self,
        node: &'a str,
        number: u64,
        at_ms: i64,
    ) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            check_names(node, "-")?;
            attend::advance(&self.writer, node, number, at_ms).await.map_err(failed)
        })
    }

    fn note_clock<'a>(&'a self, node: &'a str, ahead_ms: i64) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            check_names(node, "-")?;
            attend::note_clock(&self.writer, node, ahead_ms).await.map_err(failed)
        })
    }

    fn grown(&self) -> broadcast::Receiver<Arc<str>> {
        self.grown.listen()
    }

    fn nodes(&self) -> BoxFuture<'_, Result<Vec<NodeExchange>, Error>> {
        Box::pin(async move {
            let kept = read::nodes(&self.readers).await.map_err(failed)?;
            Ok(self.scopes.report(kept))
        })
    }

    fn ready(&self) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move { read::ready(&self.readers).await.map_err(failed) })
    }
}
