//! What nodes have published of their studies, at the hub. `synchronous=NORMAL`: a loss of power may
//! undo the last publications together with the cursor that counts them, and the nodes go on from
//! there.

#[cfg(test)]
mod tests;

use std::collections::HashMap;

use sqlx::sqlite::{SqliteConnection, SqlitePool, SqlitePoolOptions, SqliteRow, SqliteSynchronous};
use sqlx::{ConnectOptions as _, QueryBuilder, Row as _, Sqlite};

use super::{Database, OpenError, make_folder, migrator, options, writers};
use crate::app::error::Error;
use crate::app::ports::BoxFuture;
use crate::app::regional::ports::{KeptNode, KeptStudy, RegionalStore};
use crate::app::regional::{IndexState, Publication};
use crate::sharing::imaging::published::{Key, PublishedStudy};

/// Released migrations. One never changes once released; a change is a new one.
pub(super) const MIGRATIONS: [(i64, &str, &str); 2] = [
    (1, "region", include_str!("../../../../migrations/sqlite-region/0001_region.sql")),
    (2, "by time", include_str!("../../../../migrations/sqlite-region/0002_by_time.sql")),
];

/// Connections that only read.
const READERS_MAX: u32 = 4;

/// An open database.
#[derive(Debug)]
pub struct RegionStore {
    readers: SqlitePool,
    /// One connection: who writes waits for it.
    writer: SqlitePool,
}

impl RegionStore {
    /// Opens, or makes, the database and brings its schema up to date.
    pub async fn open(database: impl Into<Database>) -> Result<Self, OpenError> {
        let database = database.into();
        let path = database.path();
        make_folder(path).await?;
        let open = |source| OpenError::Open { path: path.to_owned(), source };
        let options = options(&database).synchronous(SqliteSynchronous::Normal).foreign_keys(true);
        let mut connection = options.clone().connect().await.map_err(open)?;
        migrator(&MIGRATIONS)
            .run(&mut connection)
            .await
            .map_err(|source| OpenError::Migrate { path: path.to_owned(), source })?;
        drop(connection);
        let writer = writers().connect_lazy_with(options.clone());
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS_MAX)
            .connect_lazy_with(options.read_only(true).create_if_missing(false));
        Ok(Self { readers, writer })
    }

    async fn found(&self, keys: &[Key], limit: u64) -> Result<Vec<KeptStudy>, sqlx::Error> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let mut query = QueryBuilder::<Sqlite>::new(
            "SELECT s.node, s.study, k.key, s.id FROM region_key k \
             JOIN region_study s ON s.id = k.study WHERE k.key IN (",
        );
        let mut wanted = query.separated(", ");
        for key in keys {
            wanted.push_bind(key.to_vec());
        }
        query.push(") ORDER BY s.moment DESC, s.uid, s.node LIMIT ");
        // A study is found once for each of its keys.
        let rows = limit.saturating_mul(u64::try_from(keys.len()).unwrap_or(1));
        query.push_bind(i64::try_from(rows).unwrap_or(i64::MAX));
        let rows = query.build().fetch_all(&self.readers).await?;
        let places: HashMap<&[u8], usize> =
            keys.iter().enumerate().rev().map(|(at, key)| (key.as_slice(), at)).collect();
        let mut found: Vec<KeptStudy> = Vec::new();
        let mut last = None;
        for row in rows {
            let (id, key): (i64, Vec<u8>) = (row.try_get(3)?, row.try_get(2)?);
            let key = places.get(key.as_slice()).copied().unwrap_or(usize::MAX);
            if last == Some(id) {
                if let Some(there) = found.last_mut() {
                    there.key = there.key.min(key);
                }
                continue;
            }
            if u64::try_from(found.len()).unwrap_or(u64::MAX) >= limit {
                break;
            }
            last = Some(id);
            let study: String = row.try_get(1)?;
            let study: PublishedStudy =
                serde_json::from_str(&study).map_err(|e| sqlx::Error::Decode(e.into()))?;
            found.push(KeptStudy { node: row.try_get(0)?, study, key });
        }
        Ok(found)
    }
}

impl RegionalStore for RegionStore {
    fn publish<'a>(
        &'a self,
        node: &'a str,
        publication: Publication,
    ) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            let mut transaction =
                self.writer.begin_with("BEGIN IMMEDIATE").await.map_err(failed)?;
            publish(&mut transaction, node, &publication).await.map_err(failed)?;
            transaction.commit().await.map_err(failed)
        })
    }

    fn seen<'a>(
        &'a self,
        node: &'a str,
        seen_ms: i64,
        indexed_ms: Option<i64>,
    ) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            sqlx::query(
                "INSERT INTO region_node (node, seen_ms, indexed_ms) VALUES (?1, ?2, ?3) \
                 ON CONFLICT (node) DO UPDATE \
                 SET seen_ms = max(seen_ms, ?2), indexed_ms = max(indexed_ms, ?3)",
            )
            .bind(node)
            .bind(seen_ms)
            .bind(indexed_ms.unwrap_or(0))
            .execute(&self.writer)
            .await
            .map_err(failed)?;
            Ok(())
        })
    }

    fn node<'a>(&'a self, node: &'a str) -> BoxFuture<'a, Result<KeptNode, Error>> {
        Box::pin(async move {
            let row = sqlx::query(
                "SELECT node, generation, complete, cursor, indexed_ms, seen_ms, studies \
                 FROM region_node WHERE node = ?1",
            )
            .bind(node)
            .fetch_optional(&self.readers)
            .await
            .map_err(failed)?;
            let kept = row.as_ref().map(read).transpose().map_err(failed)?;
            Ok(kept.unwrap_or_else(|| KeptNode { node: node.to_owned(), ..KeptNode::default() }))
        })
    }

    fn nodes(&self) -> BoxFuture<'_, Result<Vec<KeptNode>, Error>> {
        Box::pin(async move {
            let rows = sqlx::query(
                "SELECT node, generation, complete, cursor, indexed_ms, seen_ms, studies \
                 FROM region_node ORDER BY node",
            )
            .fetch_all(&self.readers)
            .await
            .map_err(failed)?;
            rows.iter().map(read).collect::<Result<_, _>>().map_err(failed)
        })
    }

    fn find(&self, keys: Vec<Key>, limit: u64) -> BoxFuture<'_, Result<Vec<KeptStudy>, Error>> {
        Box::pin(async move { self.found(&keys, limit).await.map_err(failed) })
    }

    fn studied<'a>(&'a self, month: &'a str) -> BoxFuture<'a, Result<Vec<(String, u64)>, Error>> {
        Box::pin(async move {
            let rows: Vec<(String, i64)> = sqlx::query_as(
                "SELECT node, count(*) FROM region_study WHERE moment >= ?1 AND moment < ?1 || '4' \
                 GROUP BY node ORDER BY node",
            )
            .bind(month)
            .fetch_all(&self.readers)
            .await
            .map_err(failed)?;
            let count = |n: i64| u64::try_from(n).unwrap_or(0);
            Ok(rows.into_iter().map(|(node, studies)| (node, count(studies))).collect())
        })
    }
}

fn read(row: &SqliteRow) -> Result<KeptNode, sqlx::Error> {
    Ok(KeptNode {
        node: row.try_get(0)?,
        state: IndexState {
            generation: row.try_get(1)?,
            complete: row.try_get::<i64, _>(2)? != 0,
            cursor: row.try_get(3)?,
        },
        indexed_ms: row.try_get(4)?,
        seen_ms: row.try_get(5)?,
        studies: u64::try_from(row.try_get::<i64, _>(6)?).unwrap_or(0),
    })
}

async fn publish(
    connection: &mut SqliteConnection,
    node: &str,
    publication: &Publication,
) -> Result<(), sqlx::Error> {
    let Publication { generation, studies, removed, cursor, complete } = publication;
    sqlx::query("INSERT INTO region_node (node) VALUES (?1) ON CONFLICT (node) DO NOTHING")
        .bind(node)
        .execute(&mut *connection)
        .await?;
    for study in studies {
        add(connection, node, generation, study).await?;
    }
    for uid in removed {
        sqlx::query("DELETE FROM region_study WHERE node = ?1 AND uid = ?2")
            .bind(node)
            .bind(uid)
            .execute(&mut *connection)
            .await?;
    }
    if *complete {
        sqlx::query("DELETE FROM region_study WHERE node = ?1 AND generation <> ?2")
            .bind(node)
            .bind(generation)
            .execute(&mut *connection)
            .await?;
        sqlx::query(
            "UPDATE region_node SET generation = ?2, complete = 1, cursor = ?3 WHERE node = ?1",
        )
        .bind(node)
        .bind(generation)
        .bind(cursor)
        .execute(&mut *connection)
        .await?;
    } else if !cursor.is_empty() {
        sqlx::query("UPDATE region_node SET cursor = ?3 WHERE node = ?1 AND generation = ?2")
            .bind(node)
            .bind(generation)
            .bind(cursor)
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

async fn add(
    connection: &mut SqliteConnection,
    node: &str,
    generation: &str,
    study: &PublishedStudy,
) -> Result<(), sqlx::Error> {
    let json = serde_json::to_string(study).map_err(|e| sqlx::Error::Encode(e.into()))?;
    let id: i64 = sqlx::query_scalar(
        "INSERT INTO region_study (node, uid, generation, moment, study) \
         VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (node, uid) DO UPDATE \
         SET generation = ?3, moment = ?4, study = ?5 RETURNING id",
    )
    .bind(node)
    .bind(&study.study.uid)
    .bind(generation)
    .bind(format!("{}{}", study.study.date, study.study.time))
    .bind(json)
    .fetch_one(&mut *connection)
    .await?;
    sqlx::query("DELETE FROM region_key WHERE study = ?1")
        .bind(id)
        .execute(&mut *connection)
        .await?;
    let mut query = QueryBuilder::<Sqlite>::new("INSERT INTO region_key (key, study) ");
    query.push_values(study.keys(), |mut row, key| {
        row.push_bind(key.to_vec()).push_bind(id);
    });
    query.build().execute(&mut *connection).await?;
    Ok(())
}

fn failed(error: sqlx::Error) -> Error {
    Error::Unavailable { what: "index of the region", cause: Some(error.into()) }
}
