//! Whose the name of a record is on a node: the first that used it, here as at the hub. What comes under
//! a name that a document of this node's own has is kept beside it.

use std::borrow::Cow;

use sqlx::Row as _;
use sqlx::sqlite::SqliteConnection;

use super::grants;
use crate::app::records::person::PersonKeys;
use crate::app::records::ports::{Arrived, Indexed, NameTaken};
use crate::sharing::exchange::{Document, Kind};

/// A version of a record that is here.
struct There {
    is_own: bool,
    sender: String,
    author: String,
    keys: PersonKeys,
    version: i64,
}

impl There {
    /// Whether the node that handed this over is known to be another one.
    fn is_from_another(&self, sender: &str) -> bool {
        !self.sender.is_empty() && !sender.is_empty() && self.sender != sender
    }
}

/// Versions of a record, in the order in which they came.
async fn versions(
    connection: &mut SqliteConnection,
    name: &str,
) -> Result<Vec<There>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT origin, sender, author, person, patient, resident, card, born, version \
         FROM document WHERE kind = 'record' AND name = ?1 ORDER BY seq",
    )
    .bind(name)
    .fetch_all(connection)
    .await?;
    let there = rows.iter().map(|row| {
        let origin: String = row.try_get("origin")?;
        Ok(There {
            is_own: origin == "own",
            sender: row.try_get("sender")?,
            author: row.try_get("author")?,
            keys: grants::keys_of(row)?,
            version: row.try_get("version")?,
        })
    });
    there.collect()
}

/// Why a record that is handed in here is no version of the one that has its name; none if it is one, or
/// if nobody has the name. One without a version of its own would become the next one by itself, so it
/// must be about the same person, unless it says that it replaces the one before.
pub(super) async fn taken(
    connection: &mut SqliteConnection,
    document: &Document,
    indexed: &Indexed,
) -> Result<Option<NameTaken>, sqlx::Error> {
    if document.kind != Kind::Record {
        return Ok(None);
    }
    let there = versions(connection, &document.name).await?;
    let Some(first) = there.first() else { return Ok(None) };
    let one_author = first.author.is_empty()
        || indexed.author.is_empty()
        || first.author == indexed.author
        || there.iter().any(|version| version.keys.agrees(&indexed.keys));
    if (!first.is_own && first.is_from_another(&indexed.sender)) || !one_author {
        return Ok(Some(NameTaken::OtherInstitution));
    }
    let newest = there.iter().max_by_key(|version| version.version);
    let is_another = newest.is_some_and(|newest| !newest.keys.agrees(&indexed.keys));
    let is_silent = document.version == 0 && !indexed.replaces_itself;
    Ok((is_another && is_silent).then_some(NameTaken::OtherPatient))
}

/// What came, under the name by which this node keeps it: with that of the node that handed it over
/// behind it, if a document of this node's own has the name. The hub has taken that name for the other
/// one and does not take this node's.
pub(super) async fn beside<'a>(
    connection: &mut SqliteConnection,
    arrived: &'a Arrived,
) -> Result<Cow<'a, Arrived>, sqlx::Error> {
    let Arrived { document, indexed, .. } = arrived;
    if document.kind != Kind::Record {
        return Ok(Cow::Borrowed(arrived));
    }
    let there = versions(connection, &document.name).await?;
    let first = there.first().filter(|first| first.is_own);
    if !first.is_some_and(|first| first.is_from_another(&indexed.sender)) {
        return Ok(Cow::Borrowed(arrived));
    }
    let mut beside = arrived.clone();
    beside.document.name = format!("{}@{}", document.name, indexed.sender);
    // A list shows the name by which it is read.
    if let Ok(mut line) = serde_json::from_str::<serde_json::Value>(&indexed.summary_json)
        && let Some(name) = line.get_mut("name")
    {
        *name = beside.document.name.clone().into();
        beside.indexed.summary_json = line.to_string();
    }
    Ok(Cow::Owned(beside))
}
