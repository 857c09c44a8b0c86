//! Records that another record replaces: FHIR `relatesTo` with `replaces`, CDA `RPLC`.
//!
//! What a record says is kept with it; what follows from it is settled anew whenever a version of one
//! of the two comes, so that the order in which they come makes no difference.

use std::collections::BTreeSet;

use sqlx::Row as _;
use sqlx::sqlite::{SqliteConnection, SqliteRow};

use super::{exchange, grants};
use crate::app::records::person::PersonKeys;

/// Records of a chain that are followed, each said to replace the next.
const CHAIN_MAX: usize = 32;
/// Records that may say that they replace one.
const CANDIDATES_MAX: i64 = 16;

/// The newest version of a record.
struct Newest {
    name: String,
    keys: PersonKeys,
    sender: String,
    author: String,
    replaces: String,
}

impl Newest {
    fn of(row: &SqliteRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            name: row.try_get("name")?,
            keys: grants::keys_of(row)?,
            sender: row.try_get("sender")?,
            author: row.try_get("author")?,
            replaces: row.try_get("replaces")?,
        })
    }

    /// Whether both are of one person, from one node and one institution. A hub of before does not name
    /// the node: then the institution must be known.
    fn may_replace(&self, other: &Self) -> bool {
        let nodes_known = !self.sender.is_empty() && !other.sender.is_empty();
        let one_node = !nodes_known || self.sender == other.sender;
        let one_author = self.author == other.author && (nodes_known || !self.author.is_empty());
        one_node && one_author && self.keys.fits(&other.keys)
    }
}

/// Newest versions of records, found by an index, of which also holds what is given. For an order by
/// name SQLite would else go through all records.
macro_rules! newest {
    ($index:literal, $which:literal) => {
        concat!(
            "SELECT name, person, patient, resident, card, born, sender, author, replaces ",
            "FROM document ",
            $index,
            " WHERE kind = 'record' AND current = 1 AND ",
            $which
        )
    };
}

/// A version of a record has come: what it replaces, and what replaces it. The records that it may have
/// changed, its own name with them.
pub(super) async fn settle(
    connection: &mut SqliteConnection,
    came: &str,
    at_ms: i64,
) -> Result<BTreeSet<String>, sqlx::Error> {
    // What it replaces now, and what it did.
    let targets: Vec<String> = sqlx::query_scalar(
        "SELECT name FROM document WHERE replaced_by = ?1 AND replaced_by <> '' \
         UNION SELECT replaces FROM document WHERE kind = 'record' AND name = ?1 AND replaces <> ''",
    )
    .bind(came)
    .fetch_all(&mut *connection)
    .await?;
    let mut names = before(connection, came).await?;
    names.extend(targets);
    let mut refused = false;
    for name in &names {
        refused |= settle_one(connection, name, (came, at_ms)).await?;
    }
    if refused {
        exchange::event(connection, "replacement_refused", at_ms).await?;
    }
    Ok(names)
}

/// A record, with those that say that they replace it, and so on: it can close or open a ring of them.
async fn before(
    connection: &mut SqliteConnection,
    name: &str,
) -> Result<BTreeSet<String>, sqlx::Error> {
    let mut found = BTreeSet::from([name.to_owned()]);
    let mut next = vec![name.to_owned()];
    while let Some(at) = next.pop().filter(|_| found.len() < CHAIN_MAX) {
        let names: Vec<String> = sqlx::query_scalar(
            "SELECT name FROM document INDEXED BY document_replaces WHERE kind = 'record' \
             AND current = 1 AND replaces = ?1 AND replaces <> '' ORDER BY name LIMIT ?2",
        )
        .bind(&at)
        .bind(CANDIDATES_MAX)
        .fetch_all(&mut *connection)
        .await?;
        next.extend(names.into_iter().filter(|name| found.insert(name.clone())));
    }
    Ok(found)
}

/// Names that a record says it replaces, and those say in their turn.
async fn chain(connection: &mut SqliteConnection, name: &str) -> Result<Vec<String>, sqlx::Error> {
    let mut chain = Vec::new();
    let mut at = name.to_owned();
    while chain.len() < CHAIN_MAX
        && let Some(newest) = newest(connection, &at).await?
        && !newest.replaces.is_empty()
        && !chain.contains(&newest.replaces)
    {
        at.clone_from(&newest.replaces);
        chain.push(newest.replaces);
    }
    Ok(chain)
}

async fn newest(
    connection: &mut SqliteConnection,
    name: &str,
) -> Result<Option<Newest>, sqlx::Error> {
    let row = sqlx::query(newest!("", "name = ?1")).bind(name).fetch_optional(connection).await?;
    row.as_ref().map(Newest::of).transpose()
}

/// Whether what `came` says, or is said of it, was refused.
async fn settle_one(
    connection: &mut SqliteConnection,
    name: &str,
    (came, at_ms): (&str, i64),
) -> Result<bool, sqlx::Error> {
    let Some(replaced) = newest(connection, name).await? else { return Ok(false) };
    let candidates = newest!(
        "INDEXED BY document_replaces",
        "replaces = ?1 AND replaces <> '' AND withdrawn = 0 AND name <> ?1 ORDER BY name LIMIT ?2"
    );
    let rows =
        sqlx::query(candidates).bind(name).bind(CANDIDATES_MAX).fetch_all(&mut *connection).await?;
    let (mut by, mut refused) = (String::new(), false);
    // Two that say it of each other both stay.
    let onwards = if rows.is_empty() { Vec::new() } else { chain(connection, name).await? };
    for row in &rows {
        let other = Newest::of(row)?;
        if other.may_replace(&replaced) && !onwards.contains(&other.name) {
            by = other.name;
        } else {
            refused |= came == name || came == other.name;
        }
    }
    sqlx::query(
        "UPDATE document SET replaced_by = ?2 \
         WHERE kind = 'record' AND name = ?1 AND replaced_by <> ?2",
    )
    .bind(name)
    .bind(&by)
    .execute(&mut *connection)
    .await?;
    let sql = if by.is_empty() {
        "UPDATE task SET state = CASE WHEN state = 'superseded' THEN 'open' ELSE state END, \
         replaced = 0, changed_ms = ?2 WHERE record = ?1 AND replaced = 1"
    } else {
        "UPDATE task SET state = 'superseded', replaced = 1, covered_by = '', changed_ms = ?2 \
         WHERE record = ?1 AND (state = 'open' OR covered_by <> '')"
    };
    sqlx::query(sql).bind(name).bind(at_ms).execute(connection).await?;
    Ok(refused)
}
