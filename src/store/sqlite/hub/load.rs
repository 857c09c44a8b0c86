//! Reads what a submission is decided by.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use sqlx::Row as _;
use sqlx::sqlite::SqliteConnection;

use crate::app::exchange::ports::{Consent, PersonKey, Relation};
use crate::sharing::exchange::Kind;
use crate::store::hub::plan::{At, Holders, Loaded, Missing, Owner, Questions, Registration, Said};
use crate::store::hub::{damaged, int, relation_named, sha, version};

/// What was said last of a person's consent, the person's records of the current version, then the documents of the tasks of those records: what
/// of it the node neither sent nor has in its inbox. A task is named by what stands before its last `#`;
/// `$` is the character after `#`.
const MISSING: &str = "\
    WITH r AS MATERIALIZED (SELECT d.number, d.name, d.sha256 FROM document_key k \
    CROSS JOIN document d ON d.number = k.document WHERE k.key = ?1 AND d.kind = 'record' \
    AND NOT EXISTS (SELECT 1 FROM document l \
    WHERE l.name = d.name AND l.kind = 'record' AND l.version > d.version)), \
    m AS (SELECT 'consent' AS kind, document AS number, sha256 FROM consent WHERE key = ?1 \
    UNION ALL SELECT 'record', number, sha256 FROM r \
    UNION ALL SELECT t.kind, t.number, t.sha256 FROM r CROSS JOIN document t \
    ON t.name >= r.name || '#' AND t.name < r.name || '$' \
    WHERE t.kind = 'task' AND instr(substr(t.name, length(r.name) + 2), '#') = 0) \
    SELECT m.kind, m.number, m.sha256 FROM m \
    WHERE NOT EXISTS (SELECT 1 FROM inbox i WHERE i.document = m.number AND i.node = ?2) \
    AND NOT EXISTS (SELECT 1 FROM handed h WHERE h.document = m.number AND h.node = ?2) \
    ORDER BY m.kind, m.number";

/// Reads what `questions` ask for.
pub(super) async fn load(
    connection: &mut SqliteConnection,
    questions: &Questions,
) -> Result<Loaded, sqlx::Error> {
    let mut loaded = Loaded::default();
    for handed in &questions.handed {
        let row = sqlx::query(
            "SELECT d.number, d.sha256 FROM handed h JOIN document d ON d.number = h.document \
             WHERE h.node = ?1 AND h.store = ?2 AND h.number = ?3",
        )
        .bind(&handed.0)
        .bind(&handed.1)
        .bind(int(handed.2))
        .fetch_optional(&mut *connection)
        .await?;
        if let Some(row) = row {
            let found = (At::There(row.try_get(0)?), sha(row.try_get(1)?)?);
            loaded.handed.insert(handed.clone(), found);
        }
    }
    for named in &questions.named {
        let rows = sqlx::query(
            "SELECT number, sha256 FROM document WHERE name = ?1 AND version = ?2 AND kind = ?3 \
             ORDER BY number",
        )
        .bind(&named.1)
        .bind(i64::from(named.2))
        .bind(named.0.name())
        .fetch_all(&mut *connection)
        .await?;
        for row in &rows {
            let found = (At::There(row.try_get(0)?), sha(row.try_get(1)?)?);
            loaded.named.entry(named.clone()).or_default().push(found);
        }
    }
    for (kind, name) in &questions.counted {
        let last: Option<i64> =
            sqlx::query_scalar("SELECT max(version) FROM document WHERE name = ?1 AND kind = ?2")
                .bind(name)
                .bind(kind.name())
                .fetch_one(&mut *connection)
                .await?;
        if let Some(last) = last {
            loaded.last.insert((*kind, name.clone()), version(last));
        }
    }
    for key in &questions.keys {
        loaded.registrations.insert(*key, registrations(connection, key).await?);
    }
    for record in &questions.owned {
        if let Some(mut owner) = owner(connection, record).await? {
            for (_, key) in questions.about.iter().filter(|(name, _)| name == record) {
                if is_about(connection, record, key).await? {
                    owner.keys.insert(*key);
                }
            }
            loaded.owners.insert(record.clone(), owner);
        }
    }
    let taken = questions.owned.iter().filter(|name| loaded.owners.contains_key(*name));
    for record in taken.chain(&questions.records) {
        loaded.holders.insert(record.clone(), holders(connection, record).await?);
    }
    for key in &questions.people {
        let rows = sqlx::query_scalar(
            "SELECT i.node FROM document_key k CROSS JOIN document d ON d.number = k.document \
             JOIN inbox i ON i.document = d.number WHERE k.key = ?1 AND d.kind = 'record' \
             UNION SELECT d.node FROM document_key k CROSS JOIN document d \
             ON d.number = k.document WHERE k.key = ?1 AND d.kind = 'record'",
        )
        .bind(key.as_slice())
        .fetch_all(&mut *connection)
        .await?;
        loaded.people.insert(*key, rows.into_iter().collect());
    }
    for key in &questions.keys {
        let said = consents(connection, key).await?;
        loaded.consents.insert(*key, said);
    }
    for (node, key) in &questions.missing {
        let missing = missing(connection, node, key).await?;
        loaded.missing.insert((node.clone(), *key), missing);
    }
    Ok(loaded)
}

async fn missing(
    connection: &mut SqliteConnection,
    node: &str,
    key: &PersonKey,
) -> Result<Vec<Missing>, sqlx::Error> {
    let rows =
        sqlx::query(MISSING).bind(key.as_slice()).bind(node).fetch_all(&mut *connection).await?;
    let mut missing = Vec::with_capacity(rows.len());
    for row in &rows {
        let kind = Kind::named(row.try_get(0)?).ok_or_else(|| damaged("kind"))?;
        missing.push(Missing { kind, number: row.try_get(1)?, sha256: sha(row.try_get(2)?)? });
    }
    Ok(missing)
}

/// Whether a node that registered the person would be given records.
pub(super) async fn opens(
    connection: &mut SqliteConnection,
    node: &str,
    keys: &[PersonKey],
) -> Result<bool, sqlx::Error> {
    for key in keys {
        let missing = missing(connection, node, key).await?;
        if missing.iter().any(|missing| missing.kind == Kind::Record) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whose the name of a record is, if it is anybody's.
async fn owner(
    connection: &mut SqliteConnection,
    record: &str,
) -> Result<Option<Owner>, sqlx::Error> {
    let row = sqlx::query("SELECT node, author FROM record_name WHERE name = ?1")
        .bind(record)
        .fetch_optional(&mut *connection)
        .await?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some(Owner { node: row.try_get(0)?, author: row.try_get(1)?, keys: BTreeSet::new() }))
}

async fn is_about(
    connection: &mut SqliteConnection,
    record: &str,
    key: &PersonKey,
) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM document_key k CROSS JOIN document d ON d.number = k.document \
         WHERE k.key = ?2 AND d.name = ?1 AND d.kind = 'record')",
    )
    .bind(record)
    .bind(key.as_slice())
    .fetch_one(connection)
    .await
}

async fn holders(connection: &mut SqliteConnection, record: &str) -> Result<Holders, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT node, min(version) FROM (SELECT i.node, d.version FROM document d \
         JOIN inbox i ON i.document = d.number WHERE d.name = ?1 AND d.kind = 'record' \
         UNION SELECT node, version FROM document WHERE name = ?1 AND kind = 'record') GROUP BY node",
    )
    .bind(record)
    .fetch_all(connection)
    .await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, version(row.try_get(1)?)))).collect()
}

async fn consents(
    connection: &mut SqliteConnection,
    key: &PersonKey,
) -> Result<BTreeMap<String, Said>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT name, version, at_ms, sha256, given, record, document FROM consent WHERE key = ?1",
    )
    .bind(key.as_slice())
    .fetch_all(&mut *connection)
    .await?;
    let mut all = BTreeMap::new();
    for row in &rows {
        let document: i64 = row.try_get(6)?;
        let holders: Vec<String> = sqlx::query_scalar(
            "SELECT node FROM inbox WHERE document = ?1 \
             UNION SELECT node FROM document WHERE number = ?1",
        )
        .bind(document)
        .fetch_all(&mut *connection)
        .await?;
        let record: String = row.try_get(5)?;
        let (given, at_ms) = (row.try_get(4)?, row.try_get(2)?);
        let consent = Consent { given, all: record.is_empty(), record, at_ms };
        let said = Said {
            version: version(row.try_get(1)?),
            sha256: sha(row.try_get(3)?)?,
            consent,
            document: At::There(document),
            holders: holders.into_iter().collect(),
        };
        all.insert(row.try_get(0)?, said);
    }
    Ok(all)
}

type Registrations = HashMap<(String, Relation), Registration>;

async fn registrations(
    connection: &mut SqliteConnection,
    key: &PersonKey,
) -> Result<Registrations, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT node, relation, active, until_ms, name, version FROM registration WHERE key = ?1",
    )
    .bind(key.as_slice())
    .fetch_all(&mut *connection)
    .await?;
    let mut all = Registrations::new();
    for row in &rows {
        let Some(relation) = relation_named(row.try_get(1)?) else { continue };
        let said = Registration {
            active: row.try_get(2)?,
            until_ms: row.try_get(3)?,
            name: row.try_get(4)?,
            version: version(row.try_get(5)?),
        };
        all.insert((row.try_get(0)?, relation), said);
    }
    Ok(all)
}
