//! The documents of a hub over PostgreSQL. Two hubs or more work on one schema.
//!
//! Each hub has one writer ([`writer`]): submissions that wait at the same time share a transaction, in
//! which the heads of the inboxes that grow are locked in order of name. So the numbers of an inbox
//! have no gaps, and one that is visible has all before it. Registrations exclude other submissions
//! while they are kept, by a lock that both take before they read: a registration sees every document
//! kept before it, and every document kept after it sees the registration.
//!
//! Everything else goes through a pool. A commit whose answer was lost is answered as unavailable;
//! asked again, it is known. NOTIFY only wakes ([`listen`]).

mod attend;
mod batch;
mod listen;
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
mod waiting;
mod writer;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use sqlx::ConnectOptions as _;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool};
use tokio::sync::broadcast;
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use self::listen::Notes;
pub use self::waiting::open_or_wait;
use self::writer::Writer;
use super::{KEYED, OpenError, Server, lost, pool};
use crate::app::error::Error;
use crate::app::exchange::ports::{
    HubDocuments, NodeExchange, PersonKey, PutAside, QuarantineQuery, Quarantined, Scope, Settled,
    Submission, Withdrawn,
};
use crate::app::ports::BoxFuture;
use crate::sharing::exchange::{Delivery, Document, Hello, Numbered, Outcome, Welcome};
use crate::store::hub::{Grown, Scopes, check_names, failed};
use crate::store::sqlite::migrator;

/// Released migrations. One never changes once released; a change is a new one.
pub(super) const MIGRATIONS: [(i64, &str, &str); 11] = [
    (1, "documents", include_str!("../../../../migrations/postgres-hub/0001_documents.sql")),
    (
        2,
        "quarantine and consent",
        include_str!("../../../../migrations/postgres-hub/0002_quarantine_and_consent.sql"),
    ),
    (3, "people", include_str!("../../../../migrations/postgres-hub/0003_people.sql")),
    (4, "look-ups", include_str!("../../../../migrations/postgres-hub/0004_look_ups.sql")),
    (5, "audit chain", include_str!("../../../../migrations/postgres-hub/0005_audit_chain.sql")),
    (
        6,
        "names of records",
        include_str!("../../../../migrations/postgres-hub/0006_record_names.sql"),
    ),
    (7, "clocks", include_str!("../../../../migrations/postgres-hub/0007_clocks.sql")),
    (
        8,
        "certificates of nodes",
        include_str!("../../../../migrations/postgres-hub/0008_node_certificates.sql"),
    ),
    (
        9,
        "lines of certificates",
        include_str!("../../../../migrations/postgres-hub/0009_lines_of_certificates.sql"),
    ),
    (
        10,
        "keys of documents",
        include_str!("../../../../migrations/postgres-hub/0010_keys_of_documents.sql"),
    ),
    (11, "reporting", include_str!("../../../../migrations/postgres-hub/0011_reporting.sql")),
];

/// Connections beside the writer's and the listener's.
const POOLED_MAX: u32 = 6;
/// First half of the lock that is held while the schema is migrated; the second is the schema.
const MIGRATING: i32 = 0x5860;
/// How long the server may take to let a hub in.
const CONNECT_WAIT: Duration = Duration::from_secs(10);
/// How often something is tried that others may have been in the way of.
const TRIES_MAX: usize = 5;

/// What every connection is set to. What is answered is on the server's disk; locks work as they are
/// meant to only if each statement sees what was committed before it; and a hub that hangs in the
/// middle must not hold the others up.
const DURABLE: [(&str, &str); 3] = [
    ("synchronous_commit", "on"),
    ("default_transaction_isolation", "read committed"),
    ("idle_in_transaction_session_timeout", "30s"),
];

/// An open store.
#[derive(Debug)]
pub struct HubStore {
    pool: PgPool,
    writer: Writer,
    scopes: Arc<Scopes>,
    grown: Grown,
    notes: Notes,
    _listening: DropGuard,
}

impl HubStore {
    /// Opens `schema` on `server`, or makes it, and brings it up to date. Documents go to the nodes that
    /// cover a place by `scopes`. The writer and the listener run on `tracker` until the store is
    /// dropped.
    ///
    /// # Errors
    ///
    /// The server does not answer, or the schema is newer than this program.
    pub async fn open(
        server: &Server,
        schema: &str,
        scopes: Vec<Scope>,
        tracker: &TaskTracker,
    ) -> Result<Self, OpenError> {
        let scopes = Arc::new(Scopes::new(scopes));
        Self::open_telling(server, schema, (scopes, Grown::new()), tracker).await
    }

    /// As [`Self::open`]; growth of inboxes is told by `grown`.
    async fn open_telling(
        server: &Server,
        schema: &str,
        (scopes, grown): (Arc<Scopes>, Grown),
        tracker: &TaskTracker,
    ) -> Result<Self, OpenError> {
        let options = server.options(schema).options(KEYED).options(DURABLE);
        let mut connection = connect(&options).await.map_err(|e| server.unreachable(e))?;
        prepare(&mut connection, server, schema).await?;
        let configured: Vec<&str> = scopes.nodes().collect();
        batch::make_heads(&mut connection, &configured).await.map_err(|e| server.unreachable(e))?;
        let hub = sqlx::query_scalar("SELECT nextval('hub_number')").fetch_one(&mut connection);
        let notes = Notes::new(schema, hub.await.map_err(|e| server.unreachable(e))?);
        let stop = CancellationToken::new();
        listen::start(server.options(schema), &notes, &grown, &stop, tracker);
        let desk = writer::Desk::new(
            connection,
            options.clone(),
            Arc::clone(&scopes),
            notes.clone(),
            grown.clone(),
        );
        let writer = Writer::start(desk, tracker);
        let pool = pool(POOLED_MAX, options);
        Ok(Self { pool, writer, scopes, grown, notes, _listening: stop.drop_guard() })
    }

    async fn attended(&self, node: &str, hello: &Hello, at_ms: i64) -> Result<Welcome, Error> {
        check_names(node, &hello.store)?;
        let (welcome, has_grown) =
            again(|| attend::attend(&self.pool, &self.notes, node, hello, at_ms)).await?;
        if has_grown {
            self.grown.tell(node);
        }
        Ok(welcome)
    }
}

/// Opens a connection.
async fn connect(options: &PgConnectOptions) -> Result<PgConnection, sqlx::Error> {
    timeout(CONNECT_WAIT, options.connect()).await.unwrap_or(Err(sqlx::Error::PoolTimedOut))
}

/// Makes the schema if it is not there, and brings it up to date; other hubs wait meanwhile.
async fn prepare(
    connection: &mut PgConnection,
    server: &Server,
    schema: &str,
) -> Result<(), OpenError> {
    let failed = |source| server.unreachable(source);
    let encoding: String = sqlx::query_scalar("SHOW server_encoding")
        .fetch_one(&mut *connection)
        .await
        .map_err(failed)?;
    if encoding != "UTF8" {
        return Err(OpenError::Encoding { server: server.name.clone(), encoding });
    }
    sqlx::query("SELECT pg_advisory_lock($1, hashtext($2))")
        .bind(MIGRATING)
        .bind(schema)
        .execute(&mut *connection)
        .await
        .map_err(failed)?;
    let there: bool = sqlx::query_scalar("SELECT to_regnamespace(quote_ident($1)) IS NOT NULL")
        .bind(schema)
        .fetch_one(&mut *connection)
        .await
        .map_err(failed)?;
    if !there {
        // The configuration allows letters, digits and `_`.
        let make = sqlx::AssertSqlSafe(format!("CREATE SCHEMA IF NOT EXISTS \"{schema}\""));
        sqlx::raw_sql(make).execute(&mut *connection).await.map_err(failed)?;
    }
    let migrated = migrator(&MIGRATIONS).run_direct(None, &mut *connection, false).await;
    migrated.map_err(|source| OpenError::Migrate {
        schema: schema.to_owned(),
        server: server.name.clone(),
        source,
    })?;
    sqlx::query("SELECT pg_advisory_unlock($1, hashtext($2))")
        .bind(MIGRATING)
        .bind(schema)
        .execute(&mut *connection)
        .await
        .map_err(failed)?;
    Ok(())
}

/// Whether others were in the way: what failed may succeed at once. Unique violation, serialisation,
/// deadlock, lock.
fn raced(error: &sqlx::Error) -> bool {
    let sqlx::Error::Database(error) = error else { return false };
    error.code().is_some_and(|code| ["23505", "40001", "40P01", "55P03"].contains(&&*code))
}

/// Does what may be done twice, again where others were in the way, and once more if the connection
/// turned out to be lost.
async fn again<T, F>(job: impl Fn() -> F) -> Result<T, Error>
where
    F: Future<Output = Result<T, sqlx::Error>>,
{
    let mut was_lost = false;
    for _ in 1..TRIES_MAX {
        match job().await {
            Err(error) if raced(&error) => {}
            Err(error) if lost(&error) && !was_lost => was_lost = true,
            outcome => return outcome.map_err(failed),
        }
    }
    job().await.map_err(failed)
}

impl HubDocuments for HubStore {
    fn attend<'a>(
        &'a self,
        node: &'a str,
        hello: &'a Hello,
        at_ms: i64,
    ) -> BoxFuture<'a, Result<Welcome, Error>> {
        Box::pin(self.attended(node, hello, at_ms))
    }

    fn keep(&self, submission: Submission) -> BoxFuture<'_, Result<Outcome, Error>> {
        Box::pin(async move {
            check_names(&submission.node, &submission.store)?;
            self.writer.keep(submission).await
        })
    }

    fn opens<'a>(
        &'a self,
        node: &'a str,
        keys: &'a [PersonKey],
    ) -> BoxFuture<'a, Result<bool, Error>> {
        Box::pin(again(move || async move {
            load::opens(&mut *self.pool.acquire().await?, node, keys).await
        }))
    }

    fn withdrawals<'a>(
        &'a self,
        keys: &'a [PersonKey],
    ) -> BoxFuture<'a, Result<Vec<Withdrawn>, Error>> {
        Box::pin(again(move || read::withdrawals(&self.pool, keys)))
    }

    fn quarantine(&self, document: Quarantined) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move {
            check_names(&document.node, &document.store)?;
            again(|| attend::put_aside(&self.pool, &document)).await
        })
    }

    fn quarantined(&self, query: QuarantineQuery) -> BoxFuture<'_, Result<Vec<PutAside>, Error>> {
        Box::pin(async move { again(|| quarantine::list(&self.pool, &query)).await })
    }

    fn quarantined_count(&self) -> BoxFuture<'_, Result<u64, Error>> {
        Box::pin(again(|| quarantine::open(&self.pool)))
    }

    fn read_quarantined(
        &self,
        id: u64,
    ) -> BoxFuture<'_, Result<Option<(PutAside, Document)>, Error>> {
        Box::pin(again(move || quarantine::read(&self.pool, id)))
    }

    fn settle_quarantined(
        &self,
        id: u64,
        settled: Settled,
    ) -> BoxFuture<'_, Result<Option<PutAside>, Error>> {
        Box::pin(async move { again(|| quarantine::settle(&self.pool, id, &settled)).await })
    }

    fn inbox<'a>(
        &'a self,
        node: &'a str,
        after: u64,
        limit: usize,
    ) -> BoxFuture<'a, Result<Numbered<Delivery>, Error>> {
        Box::pin(again(move || read::inbox(&self.pool, node, after, limit)))
    }

    fn advance<'a>(
        &'a self,
        node: &'a str,
        number: u64,
        at_ms: i64,
    ) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            check_names(node, "-")?;
            self.writer.advance(node, number, at_ms).await
        })
    }

    fn note_clock<'a>(&'a self, node: &'a str, ahead_ms: i64) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            check_names(node, "-")?;
            again(|| attend::note_clock(&self.pool, node, ahead_ms)).await
        })
    }

    fn grown(&self) -> broadcast::Receiver<Arc<str>> {
        self.grown.listen()
    }

    fn nodes(&self) -> BoxFuture<'_, Result<Vec<NodeExchange>, Error>> {
        Box::pin(async move { Ok(self.scopes.report(again(|| read::nodes(&self.pool)).await?)) })
    }

    fn ready(&self) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(again(|| read::ready(&self.pool)))
    }
}
