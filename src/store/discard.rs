//! Keeps nothing: for answers worked out on the command line without a node, which says so.

use crate::app::access::Permit;
use crate::app::error::Error;
use crate::app::ports::{
    Appended, AuditEntry, BoxFuture, Journal, JournalInfo, KeptRecord, ListQuery, ListedRecord,
    NewRecord, RecordKind,
};

/// See the module.
#[derive(Debug)]
pub struct Discard;

impl Journal for Discard {
    fn append<'a>(
        &'a self,
        _: &'a Permit<'a>,
        _: NewRecord,
        _: AuditEntry,
    ) -> BoxFuture<'a, Result<Appended, Error>> {
        Box::pin(async { Ok(Appended::New) })
    }

    fn find_request<'a>(
        &'a self,
        _: &'a Permit<'a>,
        _: RecordKind,
        _: &'a str,
    ) -> BoxFuture<'a, Result<Option<KeptRecord>, Error>> {
        Box::pin(async { Ok(None) })
    }

    fn read<'a>(
        &'a self,
        _: &'a Permit<'a>,
        _: RecordKind,
        _: &'a str,
        _: AuditEntry,
    ) -> BoxFuture<'a, Result<Option<KeptRecord>, Error>> {
        Box::pin(async { Ok(None) })
    }

    fn list<'a>(
        &'a self,
        _: &'a Permit<'a>,
        _: ListQuery,
        _: AuditEntry,
    ) -> BoxFuture<'a, Result<Vec<ListedRecord>, Error>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn audit<'a>(&'a self, _: &'a Permit<'a>, _: AuditEntry) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async { Ok(()) })
    }

    fn info(&self) -> BoxFuture<'_, Result<JournalInfo, Error>> {
        Box::pin(async {
            Ok(JournalInfo { backend: "none".to_owned(), schema_version: 0, record_count: 0 })
        })
    }
}
