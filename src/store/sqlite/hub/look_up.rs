//! Records of a person, and who asked for them.

use std::collections::BTreeMap;

use sqlx::Row as _;
use sqlx::sqlite::{SqliteConnection, SqlitePool};

use super::HubStore;
use super::read::document;
use crate::app::error::Error;
use crate::app::exchange::ports::{
    Allowance, Counting, Entered, HeldRecord, HubLookUps, LookUpEntry, PersonKey, REGISTER, Spent,
    Wanted,
};
use crate::app::ports::BoxFuture;
use crate::sharing::exchange::Document;
use crate::store::hub::look_up::{failed_reading, numbers, over};
use crate::store::hub::{count, damaged, failed, int};

impl HubLookUps for HubStore {
    fn held<'a>(
        &'a self,
        keys: &'a [PersonKey],
        wanted: Wanted<'a>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<HeldRecord>, Error>> {
        Box::pin(
            async move { held(&self.readers, keys, wanted, limit).await.map_err(failed_reading) },
        )
    }

    fn document(&self, number: u64) -> BoxFuture<'_, Result<Option<Document>, Error>> {
        Box::pin(async move {
            // In the order in which an inbox is read.
            let row = sqlx::query(
                "SELECT number, kind, name, version, media_type, sha256, body \
                 FROM document WHERE number = ?1",
            )
            .bind(int(number))
            .fetch_optional(&self.readers)
            .await
            .map_err(failed)?;
            row.as_ref().map(document).transpose().map_err(failed_reading)
        })
    }

    fn spent<'a>(
        &'a self,
        node: &'a str,
        person: &'a [u8],
        allowance: Allowance,
    ) -> BoxFuture<'a, Result<Spent, Error>> {
        Box::pin(async move {
            let mut connection = self.readers.acquire().await.map_err(failed)?;
            spent(&mut connection, (node, person), allowance).await.map_err(failed)
        })
    }

    fn enter(
        &self,
        entry: LookUpEntry,
        allowance: Allowance,
    ) -> BoxFuture<'_, Result<Entered, Error>> {
        Box::pin(async move {
            let mut transaction = self.begin().await?;
            let mut has = None;
            if entry.counted {
                let who = (entry.node.as_str(), entry.person.as_slice());
                let spent = spent(&mut transaction, who, allowance).await;
                has = Some(spent.map_err(failed)?);
            }
            let (entry, over) = over(entry, has, allowance);
            let number = insert(&mut transaction, &entry).await.map_err(failed)?;
            transaction.commit().await.map_err(failed)?;
            Ok(Entered { number: count(number), over })
        })
    }
}

async fn held(
    readers: &SqlitePool,
    keys: &[PersonKey],
    wanted: Wanted<'_>,
    limit: usize,
) -> Result<Vec<HeldRecord>, sqlx::Error> {
    let (name, version) = match wanted {
        Wanted::Current => (None, 0),
        Wanted::Named(name, version) => (Some(name), version),
    };
    let limit_each = i64::try_from(limit).unwrap_or(i64::MAX);
    // A record may have several of the keys. Those of the persons that these are about are found, too.
    let mut found = BTreeMap::new();
    for key in keys {
        let rows = sqlx::query(
            "SELECT * FROM (SELECT d.number, d.name, d.version, d.node, d.withdrawn, d.kept_ms, \
             d.bytes, NOT EXISTS (SELECT 1 FROM document l WHERE l.name = d.name \
             AND l.version > d.version AND l.kind = 'record') AS current \
             FROM (SELECT document FROM document_key WHERE key = ?1 UNION \
             SELECT m.document FROM document_key k \
             JOIN particulars_document l ON l.document = k.document \
             JOIN particulars p ON p.number = l.particulars \
             JOIN particulars q ON q.person = p.person \
             JOIN particulars_document m ON m.particulars = q.number WHERE k.key = ?1) k \
             JOIN document d ON d.number = k.document \
             WHERE d.kind = 'record' AND (?2 IS NULL OR d.name = ?2) \
             AND (?3 = 0 OR d.version = ?3)) \
             WHERE ?3 <> 0 OR current = 1 ORDER BY number DESC LIMIT ?4",
        )
        .bind(key.as_slice())
        .bind(name)
        .bind(i64::from(version))
        .bind(limit_each)
        .fetch_all(readers)
        .await?;
        for row in &rows {
            let number = count(row.try_get(0)?);
            let version = row.try_get::<i64, _>(2)?;
            let held = HeldRecord {
                number,
                name: row.try_get(1)?,
                version: u32::try_from(version).map_err(|_| damaged("version"))?,
                node: row.try_get(3)?,
                withdrawn: row.try_get(4)?,
                kept_ms: row.try_get(5)?,
                bytes: count(row.try_get(6)?),
                current: row.try_get(7)?,
            };
            found.insert(number, held);
        }
    }
    Ok(found.into_values().rev().take(limit).collect())
}

async fn spent(
    connection: &mut SqliteConnection,
    (node, person): (&str, &[u8]),
    Allowance { of, since_ms, .. }: Allowance,
) -> Result<Spent, sqlx::Error> {
    let row = sqlx::query(
        "SELECT count(*), coalesce(max(person = ?2), 0), coalesce(min(last_ms), 0) \
         FROM (SELECT person, max(at_ms) AS last_ms FROM look_up \
         WHERE node = ?1 AND at_ms > ?3 AND counted = 1 \
         AND (action = ?4) = ?5 GROUP BY person)",
    )
    .bind(node)
    .bind(person)
    .bind(since_ms)
    .bind(REGISTER)
    .bind(of == Counting::Registrations)
    .fetch_one(connection)
    .await?;
    Ok(Spent {
        persons: count(row.try_get(0)?),
        is_known: row.try_get(1)?,
        oldest_ms: row.try_get(2)?,
    })
}

async fn insert(
    connection: &mut SqliteConnection,
    entry: &LookUpEntry,
) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar(
        "INSERT INTO look_up (at_ms, node, caller, role, action, purpose, glass_broken, reason, \
         person, record, version, documents, outcome, counted) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14) RETURNING number",
    )
    .bind(entry.at_ms)
    .bind(&entry.node)
    .bind(&entry.caller)
    .bind(entry.role)
    .bind(entry.action)
    .bind(entry.purpose)
    .bind(entry.glass_broken)
    .bind(&entry.reason)
    .bind(&entry.person)
    .bind(&entry.record)
    .bind(i64::from(entry.version))
    .bind(numbers(&entry.documents))
    .bind(entry.outcome)
    .bind(entry.counted)
    .fetch_one(connection)
    .await
}
