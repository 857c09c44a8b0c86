//! Keeping documents: those that this node makes or takes, and those that come.

use std::borrow::Cow;

use sqlx::Row as _;
use sqlx::sqlite::SqliteConnection;

use super::{audit, audit_as, consent, exchange, grants, naming, replacement, small, stays, tasks};
use crate::app::access::Permit;
use crate::app::ports::AuditEntry;
use crate::app::records::ports::{Arrived, Indexed, NewDocument, Submitted};
use crate::sharing::exchange::{Cursor, Document, Kind, SentFor};

/// What becomes of what has no version above the last one.
const EXHAUSTED: (&str, Submitted) = ("exhausted", Submitted::Exhausted);

/// Keeps a document, its place in the outbox, and the audit entry.
pub(super) async fn submit(
    connection: &mut SqliteConnection,
    permit: &Permit<'_>,
    new: &NewDocument,
    mut entry: AuditEntry,
) -> Result<Submitted, sqlx::Error> {
    let mut document = new.document.clone();
    if let Some(change) = &new.task {
        let revision = tasks::revision(connection, &change.id).await?.unwrap_or(0);
        let refused = match revision.checked_add(1) {
            Some(next) if next == change.revision => None,
            Some(_) => Some(("stale", Submitted::Stale(revision))),
            None => Some(EXHAUSTED),
        };
        if let Some((outcome, submitted)) = refused {
            entry.outcome = outcome;
            audit(connection, permit, &entry).await?;
            return Ok(submitted);
        }
    }
    // The same bytes again are the same version, whichever was asked for. A registration that was
    // ended meanwhile begins anew, though its words are those of before.
    let same: Option<i64> = sqlx::query_scalar(
        "SELECT version FROM document WHERE kind = ?1 AND name = ?2 AND sha256 = ?3 \
         AND (kind <> 'registration' OR current = 1)",
    )
    .bind(document.kind.name())
    .bind(&document.name)
    .bind(document.sha256.as_slice())
    .fetch_optional(&mut *connection)
    .await?;
    if let Some(version) = same {
        if let Some(change) = &new.grant {
            grants::change(connection, change).await?;
        }
        entry.outcome = "replayed";
        audit(connection, permit, &entry).await?;
        return Ok(Submitted::Known(small(version)));
    }
    if let Some(whose) = naming::taken(connection, &document, &new.indexed).await? {
        entry.outcome = "name_taken";
        audit(connection, permit, &entry).await?;
        return Ok(Submitted::NameTaken(whose));
    }
    let said = consent::said(&document, &new.indexed);
    if document.version == 0 {
        let last: i64 = sqlx::query_scalar(
            "SELECT coalesce(max(version), 0) FROM document WHERE kind = ?1 AND name = ?2",
        )
        .bind(document.kind.name())
        .bind(&document.name)
        .fetch_one(&mut *connection)
        .await?;
        let mut last = small(last);
        if let Some(said) = &said {
            last = last.max(consent::last(connection, said, &new.indexed.keys).await?);
        }
        let Some(next) = last.checked_add(1) else {
            let (outcome, submitted) = EXHAUSTED;
            entry.outcome = outcome;
            audit(connection, permit, &entry).await?;
            return Ok(submitted);
        };
        document.version = next;
    } else if !document.kind.has_variants() && is_there(connection, &document).await? {
        entry.outcome = "version_conflict";
        audit(connection, permit, &entry).await?;
        return Ok(Submitted::Conflict(document.version));
    }
    let version = document.version;
    let came = Came { origin: "own", sent_for: "", at_ms: new.at_ms };
    let (seq, _) = insert(connection, &document, &new.indexed, &came).await?;
    sqlx::query("INSERT INTO outbox (document) VALUES (?1)")
        .bind(seq)
        .execute(&mut *connection)
        .await?;
    if let Some(change) = &new.task {
        tasks::change(connection, change, new.at_ms).await?;
        stays::settle_of_task(connection, &change.id, new.at_ms).await?;
    }
    if let Some(change) = &new.grant {
        grants::change(connection, change).await?;
    }
    if document.kind == Kind::Record {
        for name in replacement::settle(connection, &document.name, new.at_ms).await? {
            stays::settle(connection, &name, new.at_ms).await?;
        }
    }
    if let Some(said) = &said {
        let by = (permit.caller().name.as_str(), new.at_ms);
        consent::count(connection, (&document, &new.indexed.keys), said, by).await?;
    }
    audit(connection, permit, &entry).await?;
    Ok(Submitted::Kept(version))
}

async fn is_there(
    connection: &mut SqliteConnection,
    document: &Document,
) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM document WHERE kind = ?1 AND name = ?2 AND version = ?3)",
    )
    .bind(document.kind.name())
    .bind(&document.name)
    .bind(document.version)
    .fetch_one(connection)
    .await
}

/// How a document came.
struct Came {
    origin: &'static str,
    sent_for: &'static str,
    at_ms: i64,
}

/// Keeps a document; its place, and whether it is the newest version.
async fn insert(
    connection: &mut SqliteConnection,
    document: &Document,
    indexed: &Indexed,
    came: &Came,
) -> Result<(i64, bool), sqlx::Error> {
    let newer: bool = sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM document WHERE kind = ?1 AND name = ?2 AND version > ?3)",
    )
    .bind(document.kind.name())
    .bind(&document.name)
    .bind(document.version)
    .fetch_one(&mut *connection)
    .await?;
    if !newer {
        sqlx::query(
            "UPDATE document SET current = 0 WHERE kind = ?1 AND name = ?2 AND current = 1",
        )
        .bind(document.kind.name())
        .bind(&document.name)
        .execute(&mut *connection)
        .await?;
    }
    let row = sqlx::query(
        "INSERT INTO document (kind, name, version, media_type, sha256, sm3, body, format, \
         reading_json, summary_json, patient, person, withdrawn, current, origin, problem, received_ms, \
         resident, card, born, sent_for, sender, author, replaces, discharged, \
         handed_ms) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, \
         ?20, ?21, ?22, ?23, ?24, ?25, ?26) \
         RETURNING seq",
    )
    .bind(document.kind.name())
    .bind(&document.name)
    .bind(document.version)
    .bind(&document.media_type)
    .bind(document.sha256.as_slice())
    .bind(indexed.sm3.as_slice())
    .bind(document.body.as_ref())
    .bind(indexed.format)
    .bind(&indexed.reading_json)
    .bind(&indexed.summary_json)
    .bind(&indexed.patient)
    .bind(&indexed.person)
    .bind(indexed.withdrawn)
    .bind(!newer)
    .bind(came.origin)
    .bind(&indexed.problem)
    .bind(came.at_ms)
    .bind(&indexed.keys.resident)
    .bind(&indexed.keys.card)
    .bind(&indexed.keys.born)
    .bind(came.sent_for)
    .bind(&indexed.sender)
    .bind(&indexed.author)
    .bind(&indexed.replaces)
    .bind(&indexed.discharged)
    .bind(indexed.handed_ms)
    .fetch_one(&mut *connection)
    .await?;
    let seq: i64 = row.try_get("seq")?;
    for programme in &indexed.programmes {
        sqlx::query(
            "INSERT INTO document_programme (document, programme) VALUES (?1, ?2) \
             ON CONFLICT DO NOTHING",
        )
        .bind(seq)
        .bind(programme)
        .execute(&mut *connection)
        .await?;
    }
    Ok((seq, !newer))
}

/// Keeps what came over the link, and the cursor.
pub(super) async fn keep(
    connection: &mut SqliteConnection,
    cursor: Cursor,
    arrived: &Arrived,
) -> Result<(), sqlx::Error> {
    let arrived = naming::beside(connection, arrived).await?;
    let is_beside = matches!(arrived, Cow::Owned(_));
    let arrived = arrived.as_ref();
    let Arrived { document, indexed, at_ms, .. } = arrived;
    let known: bool = sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM document \
         WHERE kind = ?1 AND name = ?2 AND version = ?3 AND sha256 = ?4)",
    )
    .bind(document.kind.name())
    .bind(&document.name)
    .bind(document.version)
    .bind(document.sha256.as_slice())
    .fetch_one(&mut *connection)
    .await?;
    exchange::set_inbox(connection, cursor).await?;
    if known {
        return Ok(());
    }
    let mut entry = AuditEntry {
        at_ms: *at_ms,
        record_id: document.name.clone(),
        patient_reference: String::new(),
        outcome: "ok",
        detail: document.kind.name().to_owned(),
    };
    let who = ("hub", "node", "receive_document");
    if !document.kind.has_variants() && is_there(connection, document).await? {
        // Two boxes under one name gave one version to two documents; the hub has one of them.
        entry.outcome = "version_conflict";
        exchange::event(connection, "version_conflict", *at_ms).await?;
        return audit_as(connection, who, &entry).await;
    }
    if is_beside {
        exchange::event(connection, "name_taken", *at_ms).await?;
    }
    let sent_for = arrived.sent_for.map(SentFor::name).unwrap_or_default();
    let came = Came { origin: "hub", sent_for, at_ms: *at_ms };
    let (_, newest) = insert(connection, document, indexed, &came).await?;
    match document.kind {
        Kind::Record => {
            if arrived.sent_for == Some(SentFor::Correction) && newest {
                exchange::event(connection, "corrected_elsewhere", *at_ms).await?;
            }
            tasks::of_record(connection, arrived).await?;
            for name in replacement::settle(connection, &document.name, *at_ms).await? {
                stays::settle(connection, &name, *at_ms).await?;
            }
        }
        Kind::Task => {
            if let Some(change) = &arrived.task {
                tasks::arrived(connection, change, *at_ms).await?;
                stays::settle_of_task(connection, &change.id, *at_ms).await?;
            }
        }
        Kind::Consent => {
            if let Some(said) = consent::said(document, indexed)
                && !consent::heard(connection, arrived, &said).await?
            {
                entry.outcome = "not_counted";
                exchange::event(connection, "consent_not_counted", *at_ms).await?;
            }
        }
        Kind::Registration => {
            if let Some(change) = arrived.grant.as_ref().filter(|_| newest) {
                grants::change(connection, change).await?;
            }
        }
    }
    audit_as(connection, who, &entry).await
}
