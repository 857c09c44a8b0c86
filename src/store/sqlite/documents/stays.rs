//! Records of one stay in hospital: one set of tasks for all of them.
//!
//! Two records are of one stay if they are of one person, say the same day of discharge, and came from
//! one node. What follows is settled anew whenever one of them, or a task of one, changes: the order in
//! which they come makes no difference, and one that is taken back takes no task of another with it.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::Row as _;
use sqlx::sqlite::{SqliteConnection, SqliteRow};

use super::grants;
use crate::app::records::person::PersonKeys;
use crate::sharing::discharge::Programme;
use crate::sharing::discharge::tasks::stay::{Progress, StayRecord, StayTask, covered};

/// Records of one stay that are looked at.
const RECORDS_MAX: usize = 16;
/// Records of people of one name that left on one day, of whom those of one person are looked for.
const CANDIDATES_MAX: i64 = 256;

/// A version of a record, by what tells of which stay it is.
struct Version {
    name: String,
    format: String,
    programmes: String,
    discharged: String,
    keys: PersonKeys,
    sender: String,
    author: String,
}

impl Version {
    fn of(row: &SqliteRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            name: row.try_get("name")?,
            format: row.try_get("format")?,
            programmes: row.try_get("programmes")?,
            discharged: row.try_get("discharged")?,
            keys: grants::keys_of(row)?,
            sender: row.try_get("sender")?,
            author: row.try_get("author")?,
        })
    }

    /// Whether both are of one person and came from one node. A hub of before does not name the node:
    /// then the institution must be known, and the same.
    fn fits(&self, other: &Self) -> bool {
        let nodes_known = !self.sender.is_empty() && !other.sender.is_empty();
        let one_origin = if nodes_known {
            self.sender == other.sender
        } else {
            !self.author.is_empty() && self.author == other.author
        };
        one_origin && self.keys.fits(&other.keys)
    }
}

macro_rules! versions {
    ($which:literal) => {
        concat!(
            "SELECT d.name, d.format, d.discharged, d.person, d.patient, d.resident, d.card, d.born, ",
            "d.sender, d.author, coalesce((SELECT group_concat(p.programme, ' ') ",
            "FROM document_programme AS p WHERE p.document = d.seq), '') AS programmes ",
            "FROM document AS d ",
            $which
        )
    };
}

/// All versions of a record.
const OF_RECORD: &str = versions!("WHERE d.kind = 'record' AND d.name = ?1 ORDER BY d.seq");
/// Those that may be of a stay.
const OF_STAY: &str = versions!(
    "INDEXED BY document_of_stay WHERE d.kind = 'record' AND d.current = 1 AND d.withdrawn = 0 \
     AND d.replaced_by = '' AND d.discharged <> '' AND d.discharged = ?1 AND d.patient = ?2 \
     AND (?7 <> '' OR d.resident || d.card || d.born = '' OR CASE \
     WHEN d.resident <> '' AND ?4 <> '' THEN d.resident = ?4 \
     WHEN d.card <> '' AND ?5 <> '' THEN d.card = ?5 \
     WHEN d.resident || d.card <> '' AND ?4 || ?5 <> '' THEN 0 \
     ELSE d.born <> '' AND d.born = ?6 END) \
     ORDER BY d.name LIMIT ?3"
);
/// What every arrival asks.
#[cfg(test)]
pub(super) const STATEMENTS: [&str; 2] = [OF_RECORD, OF_STAY];

/// A version of a record has come, or one has come to be replaced or no longer is: the tasks of its
/// stay, and of the stays that its earlier versions spoke of.
pub(super) async fn settle(
    connection: &mut SqliteConnection,
    name: &str,
    at_ms: i64,
) -> Result<(), sqlx::Error> {
    let has_tasks: bool =
        sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM task WHERE record = ?1)")
            .bind(name)
            .fetch_one(&mut *connection)
            .await?;
    if !has_tasks {
        // This node's own, or one of which nothing follows; a record covers only by its tasks.
        return Ok(());
    }
    let rows = sqlx::query(OF_RECORD).bind(name).fetch_all(&mut *connection).await?;
    let versions: Vec<Version> = rows.iter().map(Version::of).collect::<Result<_, _>>()?;
    let mut settled: BTreeSet<BTreeSet<String>> = BTreeSet::new();
    for version in &versions {
        let names = of_stay(connection, version).await?;
        if !settled.contains(&names.keys().cloned().collect()) {
            settle_stay(connection, &names, at_ms).await?;
            settled.insert(names.into_keys().collect());
        }
    }
    Ok(())
}

/// The records that count of the stay that a version speaks of, by name.
async fn of_stay(
    connection: &mut SqliteConnection,
    version: &Version,
) -> Result<BTreeMap<String, Version>, sqlx::Error> {
    if version.discharged.is_empty() {
        return Ok(BTreeMap::new());
    }
    // As `PersonKeys::fits` compares, so that those of others do not take the room.
    let PersonKeys { name, resident, card, born, only } = &version.keys;
    let rows = sqlx::query(OF_STAY)
        .bind(&version.discharged)
        .bind(name)
        .bind(CANDIDATES_MAX)
        .bind(resident)
        .bind(card)
        .bind(born)
        .bind(only)
        .fetch_all(&mut *connection)
        .await?;
    let mut found = BTreeMap::new();
    for row in &rows {
        let other = Version::of(row)?;
        if other.fits(version) && found.len() < RECORDS_MAX {
            found.insert(other.name.clone(), other);
        }
    }
    Ok(found)
}

/// A task as it is kept.
struct Row {
    covered_by: String,
    task: StayTask,
}

async fn tasks_of(connection: &mut SqliteConnection, name: &str) -> Result<Vec<Row>, sqlx::Error> {
    // What a newer version no longer asks for counts no longer.
    let rows = sqlx::query(
        "SELECT id, state, revision, task_json, covered_by FROM task WHERE record = ?1 \
         AND replaced = 0 AND (state <> 'superseded' OR covered_by <> '') ORDER BY seq",
    )
    .bind(name)
    .fetch_all(connection)
    .await?;
    let mut tasks = Vec::new();
    for row in &rows {
        let (json, state): (String, String) = (row.try_get("task_json")?, row.try_get("state")?);
        let revision: i64 = row.try_get("revision")?;
        // One of another program, that this one cannot read, stands by itself.
        let Ok(task) = serde_json::from_str(&json) else { continue };
        let progress = match (revision, &*state) {
            (0, _) => Progress::Untouched,
            (_, "cancelled") => Progress::Dropped,
            (_, _) => Progress::Taken,
        };
        let task = StayTask { id: row.try_get("id")?, task, progress };
        tasks.push(Row { covered_by: row.try_get("covered_by")?, task });
    }
    Ok(tasks)
}

async fn settle_stay(
    connection: &mut SqliteConnection,
    versions: &BTreeMap<String, Version>,
    at_ms: i64,
) -> Result<(), sqlx::Error> {
    let (mut records, mut before) = (Vec::new(), BTreeMap::new());
    for (name, version) in versions {
        let rows = tasks_of(connection, name).await?;
        let programmes = version.programmes.split_ascii_whitespace();
        let known = programmes.filter_map(|id| Programme::ALL.into_iter().find(|p| p.id() == id));
        let (programmes, format) = (known.collect(), version.format.clone());
        let mut tasks = Vec::new();
        for row in rows {
            before.insert(row.task.id.clone(), row.covered_by);
            tasks.push(row.task);
        }
        records.push(StayRecord { name: name.clone(), format, programmes, tasks });
    }
    let now = covered(&records);
    for (id, was) in before {
        let is = now.get(&id).map(String::as_str).unwrap_or_default();
        if was == is {
            continue;
        }
        let sql = if is.is_empty() {
            "UPDATE task SET state = CASE WHEN state = 'superseded' AND revision = 0 THEN 'open' \
             ELSE state END, covered_by = ?2, changed_ms = ?3 WHERE id = ?1"
        } else {
            "UPDATE task SET state = 'superseded', covered_by = ?2, changed_ms = ?3 WHERE id = ?1 \
             AND revision = 0"
        };
        sqlx::query(sql).bind(&id).bind(is).bind(at_ms).execute(&mut *connection).await?;
    }
    Ok(())
}

/// A task has come to stand otherwise.
pub(super) async fn settle_of_task(
    connection: &mut SqliteConnection,
    id: &str,
    at_ms: i64,
) -> Result<(), sqlx::Error> {
    let record: Option<String> = sqlx::query_scalar("SELECT record FROM task WHERE id = ?1")
        .bind(id)
        .fetch_optional(&mut *connection)
        .await?;
    let Some(record) = record else { return Ok(()) };
    settle(connection, &record, at_ms).await
}
