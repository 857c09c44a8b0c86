//! Codes and certificates of nodes, beside the documents of hubs.

use sqlx::Row as _;
use sqlx::postgres::{PgConnection, PgPool, PgRow};

use super::DURABLE;
use crate::app::error::Error;
use crate::app::nodes::ports::{
    Enrolment, Invitation, NodeCertificate, NodeEntry, NodeStore, Sha, Which,
};
use crate::app::ports::BoxFuture;
use crate::store::hub::{failed, sha, version};
use crate::store::postgres::{KEYED, Server, pool};

/// Connections.
const POOLED_MAX: u32 = 2;

/// Codes and certificates in the schema of hubs.
#[derive(Debug)]
pub struct NodeCertificates {
    pool: PgPool,
}

impl NodeCertificates {
    /// Over `schema` on `server`, which [`super::HubStore::open`] has brought up to date. Connects when it
    /// is asked.
    pub fn open(server: &Server, schema: &str) -> Self {
        let options = server.options(schema).options(KEYED).options(DURABLE);
        Self { pool: pool(POOLED_MAX, options) }
    }
}

impl NodeStore for NodeCertificates {
    fn adopt<'a>(&'a self, authority: &'a Sha, at_ms: i64) -> BoxFuture<'a, Result<Sha, Error>> {
        Box::pin(async move {
            let mut transaction = self.pool.begin().await.map_err(failed)?;
            let kept = adopt(&mut transaction, authority, at_ms).await.map_err(failed)?;
            transaction.commit().await.map_err(failed)?;
            Ok(kept)
        })
    }

    fn invite(&self, invitation: Invitation, entry: NodeEntry) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move {
            let mut transaction = self.pool.begin().await.map_err(failed)?;
            invite(&mut transaction, &invitation).await.map_err(failed)?;
            enter(&mut transaction, entry).await.map_err(failed)?;
            transaction.commit().await.map_err(failed)?;
            Ok(())
        })
    }

    fn invitations(&self, since_ms: i64) -> BoxFuture<'_, Result<Vec<Invitation>, Error>> {
        Box::pin(async move { invitations(&self.pool, since_ms).await.map_err(failed) })
    }

    fn retract(&self, mut entry: NodeEntry) -> BoxFuture<'_, Result<u64, Error>> {
        Box::pin(async move {
            let mut transaction = self.pool.begin().await.map_err(failed)?;
            let ended = sqlx::query(
                "UPDATE node_invitation SET until_ms = $1 WHERE key IS NULL AND until_ms > $1",
            )
            .bind(entry.at_ms)
            .execute(&mut *transaction)
            .await
            .map_err(failed)?
            .rows_affected();
            entry.outcome = format!("{ended} ended");
            enter(&mut transaction, entry).await.map_err(failed)?;
            transaction.commit().await.map_err(failed)?;
            Ok(ended)
        })
    }

    fn enrol(
        &self,
        code: Sha,
        certificate: NodeCertificate,
        failures_max: u32,
        entry: NodeEntry,
    ) -> BoxFuture<'_, Result<Enrolment, Error>> {
        Box::pin(async move {
            let mut transaction = self.pool.begin().await.map_err(failed)?;
            let enrolled = enrol(&mut transaction, &code, &certificate, failures_max).await;
            let enrolled = enrolled.map_err(failed)?;
            if enrolled == Enrolment::Issued {
                enter(&mut transaction, entry).await.map_err(failed)?;
            }
            transaction.commit().await.map_err(failed)?;
            Ok(enrolled)
        })
    }

    fn renew(
        &self,
        shown: Sha,
        certificate: NodeCertificate,
        entry: NodeEntry,
    ) -> BoxFuture<'_, Result<bool, Error>> {
        Box::pin(async move {
            let mut transaction = self.pool.begin().await.map_err(failed)?;
            let is_kept = renew(&mut transaction, &shown, &certificate).await.map_err(failed)?;
            if is_kept {
                enter(&mut transaction, entry).await.map_err(failed)?;
            }
            transaction.commit().await.map_err(failed)?;
            Ok(is_kept)
        })
    }

    fn certificates(&self, since_ms: i64) -> BoxFuture<'_, Result<Vec<NodeCertificate>, Error>> {
        Box::pin(async move { certificates(&self.pool, since_ms).await.map_err(failed) })
    }

    fn revoke(
        &self,
        which: Which,
        reason: String,
        mut entry: NodeEntry,
    ) -> BoxFuture<'_, Result<Vec<String>, Error>> {
        Box::pin(async move {
            let mut transaction = self.pool.begin().await.map_err(failed)?;
            let of = (entry.at_ms, reason.as_str());
            let serials = revoke(&mut transaction, &which, of).await.map_err(failed)?;
            entry.outcome = format!("{} revoked", serials.len());
            enter(&mut transaction, entry).await.map_err(failed)?;
            transaction.commit().await.map_err(failed)?;
            Ok(serials)
        })
    }

    fn seen<'a>(&'a self, seen: &'a [(Sha, i64)]) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            let mut transaction = self.pool.begin().await.map_err(failed)?;
            self::seen(&mut transaction, seen).await.map_err(failed)?;
            transaction.commit().await.map_err(failed)?;
            Ok(())
        })
    }

    fn note(&self, entry: NodeEntry) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move {
            let mut transaction = self.pool.begin().await.map_err(failed)?;
            enter(&mut transaction, entry).await.map_err(failed)?;
            transaction.commit().await.map_err(failed)?;
            Ok(())
        })
    }
}

/// Says which authority signs; the first counts.
async fn adopt(
    connection: &mut PgConnection,
    authority: &Sha,
    at_ms: i64,
) -> Result<Sha, sqlx::Error> {
    sqlx::query(
        "INSERT INTO node_authority (id, sha256, since_ms) VALUES (1, $1, $2) \
         ON CONFLICT (id) DO NOTHING",
    )
    .bind(authority.as_slice())
    .bind(at_ms)
    .execute(&mut *connection)
    .await?;
    let kept: Vec<u8> = sqlx::query_scalar("SELECT sha256 FROM node_authority WHERE id = 1")
        .fetch_one(connection)
        .await?;
    sha(&kept)
}

async fn invite(connection: &mut PgConnection, invitation: &Invitation) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO node_invitation (code, node, made_ms, until_ms) VALUES ($1, $2, $3, $4)",
    )
    .bind(invitation.code.as_slice())
    .bind(&invitation.node)
    .bind(invitation.made_ms)
    .bind(invitation.until_ms)
    .execute(connection)
    .await?;
    Ok(())
}

async fn invitations(readers: &PgPool, since_ms: i64) -> Result<Vec<Invitation>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT code, node, made_ms, until_ms, key, failures FROM node_invitation \
         WHERE until_ms > $1 ORDER BY made_ms, code",
    )
    .bind(since_ms)
    .fetch_all(readers)
    .await?;
    rows.iter().map(invitation).collect()
}

fn invitation(row: &PgRow) -> Result<Invitation, sqlx::Error> {
    let key: Option<Vec<u8>> = row.try_get(4)?;
    Ok(Invitation {
        code: sha(row.try_get(0)?)?,
        node: row.try_get(1)?,
        made_ms: row.try_get(2)?,
        until_ms: row.try_get(3)?,
        key: key.as_deref().map(sha).transpose()?,
        failures: version(row.try_get(5)?),
    })
}

/// Uses a code, if it may be used; the caller commits.
async fn enrol(
    connection: &mut PgConnection,
    code: &Sha,
    certificate: &NodeCertificate,
    failures_max: u32,
) -> Result<Enrolment, sqlx::Error> {
    let row = sqlx::query(
        "SELECT code, node, made_ms, until_ms, key, failures FROM node_invitation \
         WHERE code = $1 FOR UPDATE",
    )
    .bind(code.as_slice())
    .fetch_optional(&mut *connection)
    .await?;
    let Some(kept) = row.as_ref().map(invitation).transpose()? else {
        return Ok(Enrolment::Gone);
    };
    if kept.until_ms <= certificate.issued_ms || kept.node != certificate.node {
        return Ok(Enrolment::Gone);
    }
    if kept.failures >= failures_max {
        return Ok(Enrolment::Used);
    }
    let Some(key) = kept.key else {
        sqlx::query("UPDATE node_invitation SET key = $2 WHERE code = $1")
            .bind(code.as_slice())
            .bind(certificate.key.as_slice())
            .execute(&mut *connection)
            .await?;
        insert(connection, certificate, Some(code), &certificate.serial).await?;
        return Ok(Enrolment::Issued);
    };
    if key != certificate.key {
        sqlx::query("UPDATE node_invitation SET failures = failures + 1 WHERE code = $1")
            .bind(code.as_slice())
            .execute(connection)
            .await?;
        return Ok(Enrolment::Used);
    }
    let given = sqlx::query(
        "SELECT sha256, serial, node, key, issued_ms, until_ms, seen_ms, revoked_ms, \
         revoked_reason, der FROM node_certificate WHERE code = $1",
    )
    .bind(code.as_slice())
    .fetch_one(connection)
    .await?;
    let der = given.try_get(9)?;
    Ok(Enrolment::Again(Box::new(NodeCertificate { der, ..certificate_of(&given)? })))
}

async fn insert(
    connection: &mut PgConnection,
    certificate: &NodeCertificate,
    code: Option<&Sha>,
    line: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO node_certificate (sha256, serial, node, key, der, issued_ms, until_ms, code, \
         line) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    )
    .bind(certificate.sha256.as_slice())
    .bind(&certificate.serial)
    .bind(&certificate.node)
    .bind(certificate.key.as_slice())
    .bind(&certificate.der)
    .bind(certificate.issued_ms)
    .bind(certificate.until_ms)
    .bind(code.map(Sha::as_slice))
    .bind(line)
    .execute(connection)
    .await?;
    Ok(())
}

/// Keeps another certificate of the node that shows a good one. What is shown is locked, so that it is not
/// revoked meanwhile.
async fn renew(
    connection: &mut PgConnection,
    shown: &Sha,
    certificate: &NodeCertificate,
) -> Result<bool, sqlx::Error> {
    let line: Option<String> = sqlx::query_scalar(
        "SELECT line FROM node_certificate WHERE sha256 = $1 AND node = $2 \
         AND revoked_ms IS NULL AND until_ms > $3 FOR UPDATE",
    )
    .bind(shown.as_slice())
    .bind(&certificate.node)
    .bind(certificate.issued_ms)
    .fetch_optional(&mut *connection)
    .await?;
    let Some(line) = line else { return Ok(false) };
    insert(connection, certificate, None, &line).await?;
    Ok(true)
}

async fn certificates(
    readers: &PgPool,
    since_ms: i64,
) -> Result<Vec<NodeCertificate>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT sha256, serial, node, key, issued_ms, until_ms, seen_ms, revoked_ms, \
         revoked_reason FROM node_certificate WHERE until_ms > $1 ORDER BY node, issued_ms, serial",
    )
    .bind(since_ms)
    .fetch_all(readers)
    .await?;
    rows.iter().map(certificate_of).collect()
}

/// Without the certificate itself.
fn certificate_of(row: &PgRow) -> Result<NodeCertificate, sqlx::Error> {
    let revoked: Option<i64> = row.try_get(7)?;
    let reason: Option<String> = row.try_get(8)?;
    Ok(NodeCertificate {
        sha256: sha(row.try_get(0)?)?,
        serial: row.try_get(1)?,
        node: row.try_get(2)?,
        key: sha(row.try_get(3)?)?,
        der: Vec::new(),
        issued_ms: row.try_get(4)?,
        until_ms: row.try_get(5)?,
        seen_ms: row.try_get(6)?,
        revoked: revoked.map(|at_ms| (at_ms, reason.unwrap_or_default())),
    })
}

/// Revokes; the caller commits. Gives the serial numbers. Of a serial number all go that were renewed from
/// it or that it was renewed from: whoever has one key may have the others.
async fn revoke(
    connection: &mut PgConnection,
    which: &Which,
    (at_ms, reason): (i64, &str),
) -> Result<Vec<String>, sqlx::Error> {
    let (node, serial) = match which {
        Which::Node(node) => (Some(node), None),
        Which::Serial(serial) => (None, Some(serial)),
    };
    if let Some(node) = node {
        sqlx::query("UPDATE node_invitation SET until_ms = $2 WHERE node = $1 AND until_ms > $2")
            .bind(node)
            .bind(at_ms)
            .execute(&mut *connection)
            .await?;
    }
    let mut all = Vec::new();
    loop {
        let some: Vec<String> = sqlx::query_scalar(
            "UPDATE node_certificate SET revoked_ms = $3, revoked_reason = $4 \
             WHERE (node = $1 OR line = (SELECT line FROM node_certificate WHERE serial = $2)) \
             AND revoked_ms IS NULL RETURNING serial",
        )
        .bind(node)
        .bind(serial)
        .bind(at_ms)
        .bind(reason)
        .fetch_all(&mut *connection)
        .await?;
        // One that was renewed while this waited for it has a successor that was not seen yet.
        if some.is_empty() {
            return Ok(all);
        }
        all.extend(some);
    }
}

async fn seen(connection: &mut PgConnection, seen: &[(Sha, i64)]) -> Result<(), sqlx::Error> {
    for (sha256, at_ms) in seen {
        sqlx::query("UPDATE node_certificate SET seen_ms = $2 WHERE sha256 = $1 AND seen_ms < $2")
            .bind(sha256.as_slice())
            .bind(at_ms)
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

async fn enter(connection: &mut PgConnection, entry: NodeEntry) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO audit (at_ms, node, action, document, outcome, recipients) \
         VALUES ($1, $2, $3, 0, $4, $5)",
    )
    .bind(entry.at_ms)
    .bind(entry.node)
    .bind(entry.action)
    .bind(entry.outcome)
    .bind(entry.detail)
    .execute(connection)
    .await?;
    Ok(())
}
