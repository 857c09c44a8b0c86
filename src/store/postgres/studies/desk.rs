//! What the one writer works with: a connection that only it uses and that holds the lock of the
//! schema, and what it remembers.
//!
//! Commits of this connection do not wait for the server's disk (`synchronous_commit=off`): the
//! archive has everything, and the index says how far it has come. A server that dies may so lose the
//! last additions while the node lives on. The desk notices when it is connected again, refuses
//! additions until somebody has asked how far the index reaches, and says so ([`Undone`]).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sqlx::postgres::PgConnection;
use sqlx::{ConnectOptions as _, Connection as _, Row as _};
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use super::sealed::{self, Misfit, SealedPatients};
use super::{KEYED, MIGRATIONS, add, remove};
use crate::app::chain;
use crate::app::error::Cause;
use crate::app::imaging::ports::{IndexCounts, IndexEntry};
use crate::sharing::imaging::object::Digest;
use crate::store::postgres::{OpenError, Server};
use crate::store::sqlite::migrator;
use crate::store::studies::memory::Memory;
use crate::store::studies::packed::count;
use crate::store::studies::queue;

/// First half of the lock of a schema, so that it is no other program's; the second is the schema.
const LOCK: i32 = 0x5859;
/// How long a node that starts waits for the lock of one that has just ended, and how often it looks.
const LOCK_WAIT: Duration = Duration::from_secs(5);
const LOCK_LOOK: Duration = Duration::from_millis(100);
/// How long the server may take to let the writer in, or to answer a ping.
const ANSWER_WAIT: Duration = Duration::from_secs(10);
/// How long one job may take; after that the connection is given up.
const JOB_WAIT: Duration = Duration::from_mins(2);
/// Numbers of changes passed over when some may have been told and lost. No server loses so many.
const CHANGES_PASSED: i64 = 1 << 20;

/// Whether the server has lost additions that were answered.
#[derive(Debug, Default)]
pub(super) struct Undone {
    /// Nobody has asked yet how far the index reaches now.
    pub(super) unread: AtomicBool,
    pub(super) told: Notify,
}

/// Why the writer takes nothing in.
#[derive(Debug, thiserror::Error)]
enum DeskError {
    #[error("the server lost its last additions to the index; they are added again")]
    Undone,
    #[error("the server took longer than {} s", .0.as_secs())]
    Late(Duration),
}

/// See the module.
#[derive(Debug)]
pub(super) struct Desk {
    server: Server,
    schema: String,
    connection: Option<PgConnection>,
    memory: Memory,
    sealed: Option<Arc<SealedPatients>>,
    undone: Arc<Undone>,
}

/// Reads what the memory begins with.
pub(super) async fn look_up(connection: &mut PgConnection) -> Result<Memory, sqlx::Error> {
    let row = sqlx::query(
        "SELECT patients, studies, series, instances, apart, changes, \
         (SELECT coalesce(max(id), 0) FROM patient), (SELECT coalesce(max(id), 0) FROM study), \
         (SELECT coalesce(max(id), 0) FROM series), (SELECT coalesce(max(id), 0) FROM word) \
         FROM state",
    )
    .fetch_one(connection)
    .await?;
    Ok(Memory {
        counts: IndexCounts {
            patients: count(row.try_get(0)?),
            studies: count(row.try_get(1)?),
            series: count(row.try_get(2)?),
            instances: count(row.try_get(3)?),
            apart: count(row.try_get(4)?),
        },
        changes: row.try_get(5)?,
        last_patient: row.try_get(6)?,
        last_study: row.try_get(7)?,
        last_series: row.try_get(8)?,
        last_word: row.try_get(9)?,
        ..Memory::default()
    })
}

/// Sets the last number of a change, and whether the index is closed, and waits for the server's
/// disk: what was committed before is there as well then.
async fn sign(
    connection: &mut PgConnection,
    changes: i64,
    closed: bool,
) -> Result<(), sqlx::Error> {
    let mut transaction = connection.begin().await?;
    sqlx::query("SET LOCAL synchronous_commit = on").execute(&mut *transaction).await?;
    sqlx::query("UPDATE state SET changes = $1, closed = $2")
        .bind(changes)
        .bind(i64::from(closed))
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await
}

impl Desk {
    /// Connects, takes the lock and brings the schema up to date.
    pub(super) async fn open(
        server: Server,
        schema: &str,
        sealed: Option<Arc<SealedPatients>>,
        undone: Arc<Undone>,
    ) -> Result<Self, OpenError> {
        let mut connection = connect(&server, schema).await?;
        migrator(&MIGRATIONS).run(&mut connection).await.map_err(|source| OpenError::Migrate {
            schema: schema.to_owned(),
            server: server.name.clone(),
            source,
        })?;
        let failed = |source| server.unreachable(source);
        sealed::prepare(&mut connection, sealed.as_deref()).await.map_err(|why| match why {
            Misfit::Server(source @ sqlx::Error::ColumnDecode { .. }) => {
                server.sealed(schema, source.to_string())
            }
            Misfit::Server(source) => server.unreachable(source),
            Misfit::Key { .. } => server.sealed(schema, why.to_string()),
        })?;
        let mut memory = look_up(&mut connection).await.map_err(failed)?;
        let closed: i64 = sqlx::query_scalar("SELECT closed FROM state")
            .fetch_one(&mut connection)
            .await
            .map_err(failed)?;
        if closed == 0 {
            memory.changes = memory.changes.saturating_add(CHANGES_PASSED);
        }
        sign(&mut connection, memory.changes, false).await.map_err(failed)?;
        let connection = Some(connection);
        Ok(Self { server, schema: schema.to_owned(), connection, memory, sealed, undone })
    }

    /// Connects again if the connection was lost. Whether the server has lost additions then.
    async fn ready(&mut self) -> Result<bool, Cause> {
        if self.connection.is_some() {
            return Ok(false);
        }
        let mut connection = connect(&self.server, &self.schema).await?;
        let mut memory = look_up(&mut connection).await?;
        if let Some(sealed) = &self.sealed {
            sealed.load(&mut connection).await?;
        }
        let lost = memory.changes < self.memory.changes;
        if lost {
            tracing::warn!(
                server = self.server.name,
                lost = self.memory.changes - memory.changes,
                "the server of the index of studies lost its last changes; they are made again"
            );
            self.undone.unread.store(true, Ordering::Release);
            self.undone.told.notify_one();
        } else {
            tracing::info!(server = self.server.name, "connected to the index of studies again");
        }
        memory.changes = memory.changes.max(self.memory.changes).saturating_add(CHANGES_PASSED);
        sign(&mut connection, memory.changes, false).await?;
        self.memory = memory;
        self.connection = Some(connection);
        Ok(lost)
    }

    /// Gives up the connection after `cause`.
    fn lose(&mut self, cause: &dyn std::error::Error) {
        if self.connection.take().is_some() {
            tracing::warn!(
                server = self.server.name,
                error = chain(cause),
                "lost the connection to the index of studies"
            );
        }
    }

    async fn add_now(&mut self, entries: Vec<IndexEntry>) -> Result<(), Cause> {
        let lost = self.ready().await?;
        // Whoever asked meanwhile did not know of this addition.
        if lost || self.undone.unread.load(Ordering::Acquire) {
            return Err(DeskError::Undone.into());
        }
        let Some(connection) = &mut self.connection else { return Ok(()) };
        Ok(add::add(connection, (&mut self.memory, self.sealed.as_deref()), entries).await?)
    }

    async fn remove_now(&mut self, digest: Digest, at_ms: i64) -> Result<(), Cause> {
        self.ready().await?;
        let Some(connection) = &mut self.connection else { return Ok(()) };
        if let Some(gone) = remove::remove(connection, digest, at_ms).await?
            && let Some(sealed) = &self.sealed
        {
            sealed.forget(gone);
        }
        self.memory = look_up(connection).await?;
        Ok(())
    }

    async fn clear_now(&mut self) -> Result<(), Cause> {
        self.ready().await?;
        let Some(connection) = &mut self.connection else { return Ok(()) };
        // Numbers of changes go on: who follows them sees everything once more.
        sqlx::raw_sql(
            "BEGIN; TRUNCATE name_key, patient, study, series, instance, apart, gone, word; \
             UPDATE state SET segment = NULL, start = NULL, body = NULL, length = NULL, \
             patients = 0, studies = 0, series = 0, instances = 0, apart = 0; COMMIT",
        )
        .execute(&mut *connection)
        .await?;
        if let Some(sealed) = &self.sealed {
            sealed.clear();
        }
        self.memory = look_up(connection).await?;
        Ok(())
    }
}

/// Does a job in [`JOB_WAIT`] or gives the connection up: where it stands is not known then.
macro_rules! in_time {
    ($desk:ident, $job:expr) => {
        match timeout(JOB_WAIT, $job).await {
            Ok(outcome) => outcome,
            Err(_) => {
                let late = DeskError::Late(JOB_WAIT);
                $desk.lose(&late);
                Err(late.into())
            }
        }
    };
}

impl queue::Desk for Desk {
    async fn add(&mut self, entries: Vec<IndexEntry>) -> Result<(), Cause> {
        in_time!(self, self.add_now(entries))
    }

    async fn remove(&mut self, digest: Digest, at_ms: i64) -> Result<(), Cause> {
        in_time!(self, self.remove_now(digest, at_ms))
    }

    async fn clear(&mut self) -> Result<(), Cause> {
        in_time!(self, self.clear_now())
    }

    /// Reads anew what a failed job may have left untrue. Where that fails the last number of a change
    /// is all that is still worth knowing.
    async fn recover(&mut self) {
        let Some(connection) = &mut self.connection else { return };
        // A statement that was cut off has left a transaction open.
        let open = if connection.is_in_transaction() {
            sqlx::raw_sql("ROLLBACK").execute(&mut *connection).await.err()
        } else {
            None
        };
        let read = match open {
            Some(error) => Err(error),
            None => timeout(ANSWER_WAIT, look_up(connection))
                .await
                .unwrap_or(Err(sqlx::Error::PoolTimedOut)),
        };
        match read {
            Ok(memory) => self.memory = memory,
            Err(error) => self.lose(&error),
        }
    }

    /// Looks whether the server is still there, so that what it lost is noticed before the next
    /// object comes.
    async fn idle(&mut self) {
        if let Some(connection) = &mut self.connection {
            let answered = timeout(ANSWER_WAIT, connection.ping()).await;
            if let Err(error) = answered.unwrap_or(Err(sqlx::Error::PoolTimedOut)) {
                self.lose(&error);
            }
        }
        if self.connection.is_none()
            && let Err(error) = self.ready().await
        {
            tracing::debug!(error = chain(&*error), "the index of studies is not to be had");
        }
    }

    fn trim(&mut self) {
        self.memory.trim();
    }

    async fn close(self) {
        let Some(mut connection) = self.connection else { return };
        let closed = async {
            sign(&mut connection, self.memory.changes, true).await?;
            connection.close().await
        };
        if let Err(error) = closed.await {
            tracing::warn!(error = %error, "closing the index of studies");
        }
    }
}

/// Opens the writer's connection and takes the lock of the schema, which it makes if it is not there.
async fn connect(server: &Server, schema: &str) -> Result<PgConnection, OpenError> {
    let failed = |source| server.unreachable(source);
    let options = server.options(schema).options(KEYED).options([("synchronous_commit", "off")]);
    let mut connection = timeout(ANSWER_WAIT, options.connect())
        .await
        .unwrap_or(Err(sqlx::Error::PoolTimedOut))
        .map_err(failed)?;
    let encoding: String = sqlx::query_scalar("SHOW server_encoding")
        .fetch_one(&mut connection)
        .await
        .map_err(failed)?;
    if encoding != "UTF8" {
        return Err(OpenError::Encoding { server: server.name.clone(), encoding });
    }
    let there: bool = sqlx::query_scalar("SELECT to_regnamespace($1) IS NOT NULL")
        .bind(schema)
        .fetch_one(&mut connection)
        .await
        .map_err(failed)?;
    if !there {
        // The configuration allows letters, digits and `_`.
        let make = sqlx::AssertSqlSafe(format!("CREATE SCHEMA IF NOT EXISTS \"{schema}\""));
        sqlx::raw_sql(make).execute(&mut connection).await.map_err(failed)?;
    }
    let mut waited = Duration::ZERO;
    loop {
        let mine: bool = sqlx::query_scalar(
            "SELECT pg_try_advisory_lock($1, to_regnamespace($2)::oid::int8::bit(32)::int4)",
        )
        .bind(LOCK)
        .bind(schema)
        .fetch_one(&mut connection)
        .await
        .map_err(failed)?;
        if mine {
            return Ok(connection);
        }
        if waited >= LOCK_WAIT {
            let holder = holder(&mut connection, schema).await.map_err(failed)?;
            return Err(OpenError::Taken {
                schema: schema.to_owned(),
                server: server.name.clone(),
                holder,
            });
        }
        sleep(LOCK_LOOK).await;
        waited += LOCK_LOOK;
    }
}

/// Who has the lock of the schema, as far as the server tells.
async fn holder(connection: &mut PgConnection, schema: &str) -> Result<String, sqlx::Error> {
    let row = sqlx::query(
        "SELECT l.pid::int8, coalesce(host(a.client_addr), 'the same machine') \
         FROM pg_locks l LEFT JOIN pg_stat_activity a ON a.pid = l.pid \
         WHERE l.locktype = 'advisory' AND l.granted AND l.classid = $1::int8::oid \
         AND l.objid = to_regnamespace($2)::oid \
         AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())",
    )
    .bind(i64::from(LOCK))
    .bind(schema)
    .fetch_optional(connection)
    .await?;
    let Some(row) = row else { return Ok("another node".to_owned()) };
    let (process, from): (i64, String) = (row.try_get(0)?, row.try_get(1)?);
    Ok(format!("another node (server process {process}, connected from {from})"))
}
