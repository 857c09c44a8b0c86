//! The index of studies over `SQLite`, in a database of its own.
//!
//! It is derived from the archive and can be made anew, so it need not be as careful as the
//! journal: WAL with `synchronous=NORMAL`. A loss of power may undo the last transactions but breaks
//! nothing; `reached` goes back with them, and the node catches up from there.
//!
//! Deliberately absent: conflicts between an instance and what its study says already. The archive
//! keeps what the instance said; [`merge`](crate::store::studies::merge) says what the index makes of it.

mod add;
mod batch;
mod desk;
mod question;
mod read;
mod remove;
mod rows;

use std::collections::HashSet;

use futures_util::StreamExt as _;
use sqlx::sqlite::{SqlitePool, SqlitePoolOptions, SqliteRow, SqliteSynchronous};
use sqlx::{ConnectOptions as _, QueryBuilder, Row as _, Sqlite};
use tokio_util::task::TaskTracker;

use self::desk::Desk;
use self::question::Narrow;
use self::rows::Rows;
use super::{Database, OpenError, make_folder, migrator, options};
use crate::app::error::Error;
use crate::app::imaging::ports::{
    Change, IndexCounts, IndexEntry, IndexedInstance, KnownObject, Selection, StudyIndex,
};
use crate::app::ports::BoxFuture;
use crate::sharing::imaging::object::{Digest, Location};
use crate::sharing::imaging::query::{Level, Match, Query};
use crate::store::studies::answers::{instance_columns, series_columns, study_columns};
use crate::store::studies::packed::int;
use crate::store::studies::question::{KeyRange, Question};
use crate::store::studies::queue::{Writer, failed};
use crate::store::studies::{COMMON_NAMES_MAX, DESCRIPTIONS_MAX, FAR, KEYS_MAX, NAMES_MAX};

/// Released migrations. One never changes once released; a change is a new one.
pub(super) const MIGRATIONS: [(i64, &str, &str); 2] = [
    (1, "studies", include_str!("../../../../migrations/sqlite-imaging/0001_studies.sql")),
    (
        2,
        "descriptions",
        include_str!("../../../../migrations/sqlite-imaging/0002_descriptions.sql"),
    ),
];

/// Connections that only read.
const READERS_MAX: u32 = 4;
/// Pages each reader keeps, in KiB as `SQLite` writes it; the system keeps the file besides.
const READER_CACHE: &str = "-1024";
/// Pages the writer keeps: the inner pages of every tree it adds to.
const WRITER_CACHE: &str = "-8192";
/// Statements each connection keeps prepared.
const STATEMENTS_MAX: usize = 32;
/// Reads an answer from its row.
type Reader = fn(&SqliteRow) -> Result<Match, sqlx::Error>;

/// An open index of studies.
#[derive(Debug)]
pub struct StudyIndexStore {
    readers: SqlitePool,
    writer: Writer,
}

impl StudyIndexStore {
    /// Opens, or makes, the database and brings its schema up to date. The writer runs
    /// on `tracker` until the index is dropped. A database that cannot be opened may be thrown away:
    /// the archive has everything that was in it.
    pub async fn open(
        database: impl Into<Database>,
        tracker: &TaskTracker,
    ) -> Result<Self, OpenError> {
        let database = database.into();
        let path = database.path();
        make_folder(path).await?;
        let open = |source| OpenError::Open { path: path.to_owned(), source };
        let options = options(&database)
            .synchronous(SqliteSynchronous::Normal)
            .foreign_keys(false)
            .statement_cache_capacity(STATEMENTS_MAX);
        let mut connection =
            options.clone().pragma("cache_size", WRITER_CACHE).connect().await.map_err(open)?;
        migrator(&MIGRATIONS)
            .run(&mut connection)
            .await
            .map_err(|source| OpenError::Migrate { path: path.to_owned(), source })?;
        // What a reader asks comes by the hundred; a ping before each would cost as much again.
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS_MAX)
            .test_before_acquire(false)
            .connect_lazy_with(
                options.read_only(true).create_if_missing(false).pragma("cache_size", READER_CACHE),
            );
        let desk = Desk::new(connection).await.map_err(open)?;
        Ok(Self { readers, writer: Writer::start(desk, tracker) })
    }

    async fn answer(&self, query: &Query) -> Result<Vec<Match>, Error> {
        let question = &Question::new(query)?;
        let keys = self.rare(question.name_keys()).await.map_err(failed)?;
        let narrow = match question.description_pattern() {
            Some(pattern) if keys.is_empty() => {
                let pattern = question::glob(pattern);
                Narrow::by_descriptions(self.descriptions(&pattern).await.map_err(failed)?)
            }
            Some(_) | None => Narrow::by_keys(keys),
        };
        if query.level == Level::Patient {
            return self.patients(question, &narrow, query).await.map_err(failed);
        }
        let (columns, read): (_, Reader) = match query.level {
            Level::Patient | Level::Study => {
                (concat!("SELECT ", study_columns!()), read::study_match)
            }
            Level::Series => {
                (concat!("SELECT ", study_columns!(), ", ", series_columns!()), read::series_match)
            }
            Level::Image => (
                concat!(
                    "SELECT ",
                    study_columns!(),
                    ", ",
                    series_columns!(),
                    ", ",
                    instance_columns!()
                ),
                read::instance_match,
            ),
        };
        let mut sql = QueryBuilder::<Sqlite>::new(columns);
        // Far into the answers the ids of a page are found first: what is skipped is read from the
        // index alone.
        let far = query.level == Level::Study && query.offset >= FAR;
        if far {
            sql.push(" FROM (SELECT s.id AS id");
        }
        question::push(question, &mut sql, &narrow, !far);
        question::push_order(question, &mut sql);
        sql.push(" LIMIT ").push_bind(int(query.limit));
        sql.push(" OFFSET ").push_bind(int(query.offset));
        if far {
            sql.push(
                ") w CROSS JOIN study s ON s.id = w.id CROSS JOIN patient p ON p.id = s.patient",
            );
            question::push_order(question, &mut sql);
        }
        let rows = sql.build().fetch_all(&self.readers).await.map_err(failed)?;
        rows.iter().map(read).collect::<Result<_, _>>().map_err(failed)
    }

    /// Patients stand in the order of their newest study that fits: a walk through the studies
    /// meets each there first.
    async fn patients(
        &self,
        question: &Question,
        narrow: &Narrow,
        query: &Query,
    ) -> Result<Vec<Match>, sqlx::Error> {
        let mut sql = QueryBuilder::<Sqlite>::new("SELECT s.patient");
        question::push(question, &mut sql, narrow, false);
        question::push_order(question, &mut sql);
        let mut seen = HashSet::new();
        let mut wanted = Rows::new();
        let mut connection = self.readers.acquire().await?;
        let mut rows = sql.build().fetch(&mut *connection);
        while int(query.limit) > i64::try_from(wanted.len()).unwrap_or(i64::MAX)
            && let Some(row) = rows.next().await
        {
            let id: i64 = row?.try_get(0)?;
            if seen.insert(id) && u64::try_from(seen.len()).is_ok_and(|n| n > query.offset) {
                wanted.row().int(id);
            }
        }
        drop(rows);
        let rows = sqlx::query(
            "SELECT p.patient_id, p.issuer, p.name, p.birth_date, p.sex, count(*), \
             sum(s.series), sum(s.instances), sum(s.bytes) FROM json_each(?1) j \
             CROSS JOIN patient p ON p.id = j.value ->> 0 \
             CROSS JOIN study s ON s.patient = p.id GROUP BY j.key ORDER BY j.key",
        )
        .bind(wanted.finish())
        .fetch_all(&mut *connection)
        .await?;
        rows.iter().map(read::patient_match).collect()
    }

    /// The keys that narrow the search: the rarest alone, or the two rarest together; none if even
    /// these have too many names.
    async fn rare(&self, keys: Vec<KeyRange>) -> Result<Vec<KeyRange>, sqlx::Error> {
        let mut counted = Vec::new();
        for key in keys.into_iter().take(KEYS_MAX) {
            let names = self.names(std::slice::from_ref(&key), COMMON_NAMES_MAX).await?;
            if names == 0 {
                return Ok(vec![key]);
            }
            counted.push((names, key));
        }
        counted.sort_by_key(|(names, _)| *names);
        counted.truncate(2);
        let fewest = counted.first().map_or(NAMES_MAX, |(names, _)| *names);
        let most = counted.last().map_or(NAMES_MAX, |(names, _)| *names);
        let mut keys: Vec<_> = counted.into_iter().map(|(_, key)| key).collect();
        if fewest < NAMES_MAX {
            keys.truncate(1);
        } else if keys.len() < 2
            || most >= COMMON_NAMES_MAX
            || self.names(&keys, NAMES_MAX).await? >= NAMES_MAX
        {
            keys.clear();
        }
        Ok(keys)
    }

    /// The descriptions that fit `pattern`, as a JSON list, if there are not many different ones and
    /// those that fit have not many studies. Each is found from the one before.
    async fn descriptions(&self, pattern: &str) -> Result<Option<String>, sqlx::Error> {
        let row = sqlx::query(
            "WITH RECURSIVE d(t) AS (SELECT (SELECT min(description) FROM study WHERE description > '') \
             UNION ALL SELECT (SELECT min(description) FROM study WHERE description > d.t) \
             FROM d WHERE d.t IS NOT NULL LIMIT ?1) \
             SELECT count(t), json_group_array(t) FILTER (WHERE lower(t) GLOB ?2) FROM d",
        )
        .bind(DESCRIPTIONS_MAX)
        .bind(pattern)
        .fetch_one(&self.readers)
        .await?;
        let (different, fitting): (i64, String) = (row.try_get(0)?, row.try_get(1)?);
        if different >= DESCRIPTIONS_MAX {
            return Ok(None);
        }
        let studies: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM (SELECT 1 FROM json_each(?1) j \
             CROSS JOIN study s ON s.description = j.value LIMIT ?2)",
        )
        .bind(&fitting)
        .bind(NAMES_MAX)
        .fetch_one(&self.readers)
        .await?;
        Ok((studies < NAMES_MAX).then_some(fitting))
    }

    /// How many names have a key in each of these ranges, counted to `limit`.
    async fn names(&self, keys: &[KeyRange], limit: i64) -> Result<i64, sqlx::Error> {
        let mut sql = QueryBuilder::<Sqlite>::new("SELECT count(*) FROM (SELECT 1 FROM (");
        question::push_names(&mut sql, keys);
        sql.push(") LIMIT ").push_bind(limit).push(")");
        sql.build_query_scalar().fetch_one(&self.readers).await
    }
}

impl StudyIndex for StudyIndexStore {
    fn known(&self, instances: Vec<String>) -> BoxFuture<'_, Result<Vec<Vec<KnownObject>>, Error>> {
        Box::pin(async move { read::known(&self.readers, &instances).await.map_err(failed) })
    }

    fn add(&self, entries: Vec<IndexEntry>) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(self.writer.add(entries))
    }

    fn reached(&self) -> BoxFuture<'_, Result<Option<Location>, Error>> {
        Box::pin(async move { read::reached(&self.readers).await.map_err(failed) })
    }

    fn undone(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::pending())
    }

    fn find(&self, query: Query) -> BoxFuture<'_, Result<Vec<Match>, Error>> {
        Box::pin(async move { self.answer(&query).await })
    }

    fn instances(
        &self,
        selection: Selection,
        offset: u64,
        limit: u64,
    ) -> BoxFuture<'_, Result<Vec<IndexedInstance>, Error>> {
        Box::pin(async move {
            read::instances(&self.readers, &selection, offset, limit).await.map_err(failed)
        })
    }

    fn remove(&self, digest: Digest, at_ms: i64) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(self.writer.remove(digest, at_ms))
    }

    fn apart(&self, offset: u64, limit: u64) -> BoxFuture<'_, Result<Vec<KnownObject>, Error>> {
        Box::pin(async move { read::apart(&self.readers, offset, limit).await.map_err(failed) })
    }

    fn changes(&self, number: u64, limit: u64) -> BoxFuture<'_, Result<Vec<Change>, Error>> {
        Box::pin(async move { read::changes(&self.readers, number, limit).await.map_err(failed) })
    }

    fn patient_of<'a>(&'a self, study: &'a str) -> BoxFuture<'a, Result<Option<String>, Error>> {
        Box::pin(async move { read::patient_id(&self.readers, study).await.map_err(failed) })
    }

    fn counts(&self) -> BoxFuture<'_, Result<IndexCounts, Error>> {
        Box::pin(async move { read::counts(&self.readers).await.map_err(failed) })
    }

    fn clear(&self) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(self.writer.clear())
    }
}

#[cfg(test)]
mod tests;
