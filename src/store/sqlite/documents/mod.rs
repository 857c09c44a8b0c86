//! Documents of a node: what it was handed, what it is to hand over, what came over the link, and the
//! tasks that follow. In the same database as the audit trail, so that a document, its place in the
//! outbox and its audit entry are one transaction.

mod consent;
mod elsewhere;
mod exchange;
mod grants;
mod naming;
mod notices;
mod read;
mod references;
mod replacement;
mod stays;
mod submit;
mod tasks;
#[cfg(test)]
mod tests;

use sqlx::sqlite::{SqliteConnection, SqlitePool, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Sqlite, Transaction};

use super::trail::chain;
use super::{Database, OpenError, options, writers};
use crate::app::access::Permit;
use crate::app::error::Error;
use crate::app::ports::{AuditEntry, BoxFuture};
use crate::app::records::grants::GrantChange;
use crate::app::records::notices::{NewNotice, PatientNotice, Telling};
use crate::app::records::person::PersonKeys;
use crate::app::records::ports::{
    AccessReview, Arrived, DocumentQuery, DocumentStore, ExchangeReport, KeptDocument, KeptGrant,
    KeptTask, ListedDocument, NewDocument, RecordStanding, Submitted, TakenBack, TaskQuery,
};
use crate::sharing::audit::Said;
use crate::sharing::discharge::model::Address;
use crate::sharing::exchange::{Cursor, Hello, Kind, Numbered, Outcome};

/// Connections that only read.
const READERS_MAX: u32 = 2;

/// An open database.
#[derive(Debug)]
pub struct Documents {
    readers: SqlitePool,
    /// One connection: who writes waits for it.
    writer: SqlitePool,
}

impl Documents {
    /// Over the database that [`super::SqliteStore::open`] has brought up to date. `store`
    /// becomes the database's name if it has none.
    pub async fn open(database: impl Into<Database>, store: &str) -> Result<Self, OpenError> {
        let database = database.into();
        let path = database.path();
        let open = |source| OpenError::Open { path: path.to_owned(), source };
        let options = options(&database).synchronous(SqliteSynchronous::Full).foreign_keys(true);
        let writer = writers().connect_lazy_with(options.clone());
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS_MAX)
            .connect_lazy_with(options.read_only(true).create_if_missing(false));
        sqlx::query("INSERT INTO exchange_state (id, store) VALUES (1, ?1) ON CONFLICT DO NOTHING")
            .bind(store)
            .execute(&writer)
            .await
            .map_err(open)?;
        Ok(Self { readers, writer })
    }

    /// A transaction that writes.
    async fn begin(&self) -> Result<Transaction<'static, Sqlite>, Error> {
        self.writer.begin_with("BEGIN IMMEDIATE").await.map_err(failed)
    }

    async fn audited(&self, permit: &Permit<'_>, entry: &AuditEntry) -> Result<(), Error> {
        let mut transaction = self.begin().await?;
        audit(&mut transaction, permit, entry).await.map_err(failed)?;
        transaction.commit().await.map_err(failed)
    }
}

impl DocumentStore for Documents {
    fn submit<'a>(
        &'a self,
        permit: &'a Permit<'a>,
        new: NewDocument,
        audit: AuditEntry,
    ) -> BoxFuture<'a, Result<Submitted, Error>> {
        Box::pin(async move {
            let mut transaction = self.begin().await?;
            let done =
                submit::submit(&mut transaction, permit, &new, audit).await.map_err(failed)?;
            transaction.commit().await.map_err(failed)?;
            Ok(done)
        })
    }

    fn read<'a>(
        &'a self,
        permit: &'a Permit<'a>,
        kind: Kind,
        name: &'a str,
        version: Option<u32>,
        mut audit: AuditEntry,
    ) -> BoxFuture<'a, Result<Option<KeptDocument>, Error>> {
        Box::pin(async move {
            let found = read::document(&self.readers, kind, name, version).await.map_err(failed)?;
            if found.is_none() {
                audit.outcome = "not_found";
            }
            self.audited(permit, &audit).await?;
            Ok(found)
        })
    }

    fn list<'a>(
        &'a self,
        permit: &'a Permit<'a>,
        kind: Kind,
        query: DocumentQuery,
        audit: AuditEntry,
    ) -> BoxFuture<'a, Result<Vec<ListedDocument>, Error>> {
        Box::pin(async move {
            let listed = read::list(&self.readers, kind, &query).await.map_err(failed)?;
            self.audited(permit, &audit).await?;
            Ok(listed)
        })
    }

    fn tasks<'a>(
        &'a self,
        permit: &'a Permit<'a>,
        query: TaskQuery,
        audit: AuditEntry,
    ) -> BoxFuture<'a, Result<Vec<KeptTask>, Error>> {
        Box::pin(async move {
            let listed = tasks::list(&self.readers, &query).await.map_err(failed)?;
            self.audited(permit, &audit).await?;
            Ok(listed)
        })
    }

    fn task<'a>(
        &'a self,
        _permit: &'a Permit<'a>,
        id: &'a str,
    ) -> BoxFuture<'a, Result<Option<KeptTask>, Error>> {
        Box::pin(async move { tasks::one(&self.readers, id).await.map_err(failed) })
    }

    fn standing<'a>(
        &'a self,
        record: &'a str,
    ) -> BoxFuture<'a, Result<Option<RecordStanding>, Error>> {
        Box::pin(async move { consent::standing(&self.readers, record).await.map_err(failed) })
    }

    fn withdrawals<'a>(
        &'a self,
        person: &'a PersonKeys,
        before: &'a [String],
    ) -> BoxFuture<'a, Result<Vec<TakenBack>, Error>> {
        Box::pin(async move {
            consent::withdrawals(&self.readers, person, before).await.map_err(failed)
        })
    }

    fn holds<'a>(&'a self, record: &'a str, version: u32) -> BoxFuture<'a, Result<bool, Error>> {
        Box::pin(
            async move { elsewhere::holds(&self.readers, record, version).await.map_err(failed) },
        )
    }

    fn grants<'a>(
        &'a self,
        person: &'a PersonKeys,
    ) -> BoxFuture<'a, Result<Vec<KeptGrant>, Error>> {
        Box::pin(async move { grants::of(&self.readers, person).await.map_err(failed) })
    }

    fn homes<'a>(
        &'a self,
        person: &'a PersonKeys,
        now_ms: i64,
    ) -> BoxFuture<'a, Result<Vec<Address>, Error>> {
        Box::pin(async move { grants::homes(&self.readers, person, now_ms).await.map_err(failed) })
    }

    fn change_grant<'a>(
        &'a self,
        permit: &'a Permit<'a>,
        change: GrantChange,
        mut entry: AuditEntry,
    ) -> BoxFuture<'a, Result<bool, Error>> {
        Box::pin(async move {
            let mut transaction = self.begin().await?;
            let done = grants::change(&mut transaction, &change).await.map_err(failed)?;
            if !done {
                entry.outcome = "not_found";
            }
            audit(&mut transaction, permit, &entry).await.map_err(failed)?;
            transaction.commit().await.map_err(failed)?;
            Ok(done)
        })
    }

    fn open_review<'a>(
        &'a self,
        permit: &'a Permit<'a>,
        review: Option<AccessReview>,
        notice: Option<NewNotice>,
        entry: AuditEntry,
    ) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            let mut transaction = self.begin().await?;
            if let Some(review) = review {
                consent::open_review(&mut transaction, &review).await.map_err(failed)?;
            }
            if let Some(notice) = notice {
                notices::keep(&mut transaction, &notice).await.map_err(failed)?;
            }
            audit(&mut transaction, permit, &entry).await.map_err(failed)?;
            transaction.commit().await.map_err(failed)
        })
    }

    fn notices<'a>(
        &'a self,
        permit: &'a Permit<'a>,
        open: bool,
        limit: u32,
        entry: AuditEntry,
    ) -> BoxFuture<'a, Result<Vec<PatientNotice>, Error>> {
        Box::pin(async move {
            let found = notices::list(&self.readers, open, limit).await.map_err(failed)?;
            self.audited(permit, &entry).await?;
            Ok(found)
        })
    }

    fn noticed<'a>(
        &'a self,
        id: &'a str,
    ) -> BoxFuture<'a, Result<Option<(String, String)>, Error>> {
        Box::pin(async move { notices::of(&self.readers, id).await.map_err(failed) })
    }

    fn record_notice<'a>(
        &'a self,
        permit: &'a Permit<'a>,
        telling: Telling,
        mut entry: AuditEntry,
    ) -> BoxFuture<'a, Result<bool, Error>> {
        Box::pin(async move {
            let mut transaction = self.begin().await?;
            let said = (&telling, entry.at_ms);
            let done = notices::record(&mut transaction, permit, said).await.map_err(failed)?;
            if !done {
                entry.outcome = "not_found";
            }
            audit(&mut transaction, permit, &entry).await.map_err(failed)?;
            transaction.commit().await.map_err(failed)?;
            Ok(done)
        })
    }

    fn notices_open(&self) -> BoxFuture<'_, Result<u64, Error>> {
        Box::pin(async move { notices::open(&self.readers).await.map_err(failed) })
    }

    fn reviews<'a>(
        &'a self,
        permit: &'a Permit<'a>,
        open: bool,
        limit: u32,
        entry: AuditEntry,
    ) -> BoxFuture<'a, Result<Vec<AccessReview>, Error>> {
        Box::pin(async move {
            let found = consent::reviews(&self.readers, open, limit).await.map_err(failed)?;
            self.audited(permit, &entry).await?;
            Ok(found)
        })
    }

    fn close_review<'a>(
        &'a self,
        permit: &'a Permit<'a>,
        id: &'a str,
        finding: &'a str,
        mut entry: AuditEntry,
    ) -> BoxFuture<'a, Result<bool, Error>> {
        Box::pin(async move {
            let mut transaction = self.begin().await?;
            let closing = (id, finding, entry.at_ms);
            let done = consent::close_review(&mut transaction, permit, closing).await;
            let done = done.map_err(failed)?;
            if !done {
                entry.outcome = "not_found";
            }
            audit(&mut transaction, permit, &entry).await.map_err(failed)?;
            transaction.commit().await.map_err(failed)?;
            Ok(done)
        })
    }

    fn report(&self) -> BoxFuture<'_, Result<ExchangeReport, Error>> {
        Box::pin(async move { exchange::report(&self.readers).await.map_err(failed) })
    }

    fn hello(&self) -> BoxFuture<'_, Result<Hello, Error>> {
        Box::pin(async move { exchange::hello(&self.readers).await.map_err(failed) })
    }

    fn outbox(
        &self,
        after: u64,
        limit: usize,
        now_ms: i64,
    ) -> BoxFuture<'_, Result<Numbered, Error>> {
        Box::pin(async move {
            exchange::outbox(&self.readers, after, limit, now_ms).await.map_err(failed)
        })
    }

    fn settle(
        &self,
        number: u64,
        outcome: Outcome,
        now_ms: i64,
    ) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move {
            let mut transaction = self.begin().await?;
            exchange::settle(&mut transaction, number, &outcome, now_ms).await.map_err(failed)?;
            transaction.commit().await.map_err(failed)
        })
    }

    fn keep(&self, cursor: Cursor, arrived: Arrived) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move {
            let mut transaction = self.begin().await?;
            submit::keep(&mut transaction, cursor, &arrived).await.map_err(failed)?;
            transaction.commit().await.map_err(failed)
        })
    }

    fn unsettle(&self, now_ms: i64) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move {
            let mut transaction = self.begin().await?;
            exchange::unsettle(&mut transaction, now_ms).await.map_err(failed)?;
            transaction.commit().await.map_err(failed)
        })
    }

    fn reset_inbox(&self, cursor: Cursor, now_ms: i64) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move {
            let mut transaction = self.begin().await?;
            exchange::event(&mut transaction, "inbox_renumbered", now_ms).await.map_err(failed)?;
            exchange::set_inbox(&mut transaction, cursor).await.map_err(failed)?;
            transaction.commit().await.map_err(failed)
        })
    }

    fn renew(&self, store: String, now_ms: i64) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move {
            let mut transaction = self.begin().await?;
            exchange::renew(&mut transaction, &store, now_ms).await.map_err(failed)?;
            transaction.commit().await.map_err(failed)
        })
    }

    fn note_replaced(&self, now_ms: i64) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move {
            let mut transaction = self.begin().await?;
            exchange::event(&mut transaction, "replaced", now_ms).await.map_err(failed)?;
            transaction.commit().await.map_err(failed)
        })
    }
}

async fn audit(
    connection: &mut SqliteConnection,
    permit: &Permit<'_>,
    entry: &AuditEntry,
) -> Result<(), sqlx::Error> {
    let caller = permit.caller();
    let who = (caller.name.as_str(), caller.role.name(), permit.action().name());
    audit_as(connection, who, entry).await
}

pub(in crate::store::sqlite) async fn audit_as(
    connection: &mut SqliteConnection,
    (caller, role, action): (&str, &str, &str),
    entry: &AuditEntry,
) -> Result<(), sqlx::Error> {
    let said = Said {
        at_ms: entry.at_ms,
        caller,
        role,
        action,
        record_id: &entry.record_id,
        patient_reference: &entry.patient_reference,
        outcome: entry.outcome,
        detail: &entry.detail,
    };
    chain::append(connection, &said).await?;
    Ok(())
}

fn failed(error: sqlx::Error) -> Error {
    Error::Unavailable { what: "store", cause: Some(error.into()) }
}

fn int(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn whole(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

fn small(number: i64) -> u32 {
    u32::try_from(number).unwrap_or(0)
}

fn array(bytes: Vec<u8>, column: &str) -> Result<[u8; 32], sqlx::Error> {
    bytes.try_into().map_err(|_| sqlx::Error::ColumnDecode {
        index: column.to_owned(),
        source: "not 32 bytes".into(),
    })
}
