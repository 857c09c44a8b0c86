//! The index of studies over PostgreSQL, in a schema of its own.
//!
//! It is derived from the archive and can be made anew. One connection writes ([`desk`]); a pool of
//! others asks. A connection that was lost is made again, and a question that met the loss is asked a
//! second time; while the server is away, questions and additions are answered as unavailable.
//!
//! Deliberately absent: text of more than 1,024 bytes in an attribute. No attribute that is kept may be
//! so long; one that is, is found by its beginning and a digest.

mod add;
mod batch;
mod desk;
mod question;
mod read;
mod remove;
mod sealed;
mod values;

use std::collections::HashSet;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use sqlx::postgres::{PgPool, PgRow};
use sqlx::{Postgres, QueryBuilder, Row as _};
use tokio_util::task::TaskTracker;

use self::desk::{Desk, Undone};
use self::question::{Narrow, Place, Search};
use self::sealed::SealedPatients;
use super::{KEYED, OpenError, Server, lost, pool};
use crate::app::error::Error;
use crate::app::imaging::ports::{
    Change, IndexCounts, IndexEntry, IndexedInstance, KnownObject, Selection, StudyIndex,
};
use crate::app::ports::BoxFuture;
use crate::sharing::imaging::object::{Digest, Location};
use crate::sharing::imaging::query::{Level, Match, Query};
use crate::sharing::sealing::keyring::DataKey;
use crate::store::studies::answers::{instance_columns, series_columns, study_columns};
use crate::store::studies::packed::int;
use crate::store::studies::question::{KeyRange, Question};
use crate::store::studies::queue::{Writer, failed};
use crate::store::studies::{COMMON_NAMES_MAX, DESCRIPTIONS_MAX, FAR, KEYS_MAX, NAMES_MAX};

/// Released migrations. One never changes once released; a change is a new one.
pub(super) const MIGRATIONS: [(i64, &str, &str); 2] = [
    (1, "studies", include_str!("../../../../migrations/postgres-imaging/0001_studies.sql")),
    (2, "sealed", include_str!("../../../../migrations/postgres-imaging/0002_sealed.sql")),
];

/// Studies of the first step of a walk to patients, and of the longest.
const STEP: u64 = if cfg!(test) { 2 } else { 512 };
const STEP_MAX: u64 = 1 << 16;

/// Settings of readers: a plan for each question, because `LIMIT` and what is asked decide it; always
/// by an index, the order of the studies if no other fits, because right after a large addition the
/// server knows nothing of the tables yet; and on one core, because a question must not take those of
/// the others.
const PLANNED: [(&str, &str); 4] = [
    ("plan_cache_mode", "force_custom_plan"),
    ("enable_seqscan", "off"),
    ("enable_bitmapscan", "off"),
    ("max_parallel_workers_per_gather", "0"),
];
/// Connections that look up by key.
const LOOKUPS_MAX: u32 = 2;
/// Begins a question that walks through the studies in their order instead of sorting them.
const WALK: &str = "BEGIN; SET LOCAL enable_sort = off";

/// Reads an answer from its row.
type Reader = fn(&PgRow, Option<&SealedPatients>) -> Result<Match, sqlx::Error>;

/// An open index of studies.
#[derive(Debug)]
pub struct StudyIndexStore {
    /// For questions.
    readers: PgPool,
    /// For what is found by its key.
    lookups: PgPool,
    writer: Writer,
    sealed: Option<Arc<SealedPatients>>,
    undone: Arc<Undone>,
}

/// Asks, and once more if the connection turned out to be lost.
async fn twice<T, F>(ask: impl Fn() -> F) -> Result<T, Error>
where
    F: Future<Output = Result<T, sqlx::Error>>,
{
    match ask().await {
        Err(error) if lost(&error) => ask().await.map_err(failed),
        outcome => outcome.map_err(failed),
    }
}

impl StudyIndexStore {
    /// Opens `schema` on `server`, or makes it, and brings it up to date. At most `readers` questions
    /// are answered at the same time. The writer runs on `tracker` until the index is dropped. With a
    /// key patients are sealed, also those that lie there already.
    ///
    /// # Errors
    ///
    /// The server does not answer, another node works on the schema, it is newer than this program, or its
    /// patients are sealed with another key.
    pub async fn open(
        server: Server,
        schema: &str,
        readers: u32,
        key: Option<&DataKey>,
        tracker: &TaskTracker,
    ) -> Result<Self, OpenError> {
        let undone = Arc::new(Undone::default());
        let options = server.options(schema).options([("default_transaction_read_only", "on")]);
        let sealed = key.map(SealedPatients::new).transpose();
        let sealed =
            sealed.map_err(|fault| server.sealed(schema, fault.to_string()))?.map(Arc::new);
        let desk = Desk::open(server, schema, sealed.clone(), Arc::clone(&undone)).await?;
        let readers = pool(readers, options.clone().options(PLANNED));
        let lookups = pool(LOOKUPS_MAX, options.options(KEYED));
        Ok(Self { readers, lookups, writer: Writer::start(desk, tracker), sealed, undone })
    }

    async fn answer(
        &self,
        question: &Question,
        who: Option<&[i64]>,
        query: &Query,
    ) -> Result<Vec<Match>, sqlx::Error> {
        let narrow = match who {
            None => self.narrow(question).await?,
            Some(who) if i64::try_from(who.len()).is_ok_and(|few| few < NAMES_MAX) => {
                Narrow::Nothing
            }
            Some(_) => Narrow::Walk,
        };
        let search = Search { question, narrow, who };
        if query.level == Level::Patient {
            return self.patients(&search, query).await;
        }
        let (columns, read): (_, Reader) = match query.level {
            Level::Patient | Level::Study => {
                (concat!("SELECT ", study_columns!(), ", p.sealed"), read::study_match)
            }
            Level::Series => (
                concat!("SELECT ", study_columns!(), ", ", series_columns!(), ", p.sealed"),
                read::series_match,
            ),
            Level::Image => (
                concat!(
                    "SELECT ",
                    study_columns!(),
                    ", ",
                    series_columns!(),
                    ", ",
                    instance_columns!(),
                    ", p.sealed"
                ),
                read::instance_match,
            ),
        };
        let mut sql = QueryBuilder::<Postgres>::new(columns);
        // Far into the answers the ids of a page are found first: what is skipped is read from the
        // index alone.
        let far = query.level == Level::Study && query.offset >= FAR;
        if far {
            sql.push(" FROM (SELECT s.id AS id");
        }
        question::push(&search, &mut sql, !far);
        question::push_order(question, &mut sql);
        sql.push(" LIMIT ").push_bind(int(query.limit));
        sql.push(" OFFSET ").push_bind(int(query.offset));
        if far {
            sql.push(") w JOIN study s ON s.id = w.id JOIN patient p ON p.id = s.patient");
        }
        let mut rows = self.rows(sql, &search.narrow).await?;
        if far {
            // Put in order here: a walk may not sort, and would walk through everything for it.
            let mut placed = Vec::with_capacity(rows.len());
            for row in rows {
                placed.push((read::place(&row)?, row));
            }
            placed.sort_by(|(a, _), (b, _)| b.cmp(a));
            rows = placed.into_iter().map(|(_, row)| row).collect();
        }
        rows.iter().map(|row| read(row, self.sealed.as_deref())).collect()
    }

    async fn rows(
        &self,
        mut sql: QueryBuilder<Postgres>,
        narrow: &Narrow,
    ) -> Result<Vec<PgRow>, sqlx::Error> {
        if !matches!(narrow, Narrow::Walk) {
            return sql.build().fetch_all(&self.readers).await;
        }
        let mut transaction = self.readers.begin_with(WALK).await?;
        let rows = sql.build().fetch_all(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(rows)
    }

    /// Patients stand in the order of their newest study that fits: a walk through the studies, in
    /// steps, meets each there first.
    async fn patients(
        &self,
        search: &Search<'_>,
        query: &Query,
    ) -> Result<Vec<Match>, sqlx::Error> {
        let enough = query.offset.saturating_add(query.limit);
        let mut step = enough.clamp(STEP, STEP_MAX);
        let mut seen = HashSet::new();
        let mut wanted = Vec::new();
        let mut after: Option<Place> = None;
        while u64::try_from(seen.len()).unwrap_or(u64::MAX) < enough {
            let mut sql = QueryBuilder::<Postgres>::new("SELECT s.patient, s.date, s.time, s.id");
            question::push(search, &mut sql, false);
            if let Some(place) = &after {
                question::push_after(&mut sql, place);
            }
            question::push_order(search.question, &mut sql);
            sql.push(" LIMIT ").push_bind(int(step));
            let rows = self.rows(sql, &search.narrow).await?;
            for row in &rows {
                let id: i64 = row.try_get(0)?;
                let place = u64::try_from(seen.len()).unwrap_or(u64::MAX);
                if place < enough && seen.insert(id) && place >= query.offset {
                    wanted.push(id);
                }
            }
            let Some(last) = rows.last() else { break };
            if u64::try_from(rows.len()).unwrap_or(u64::MAX) < step {
                break;
            }
            after = Some((last.try_get(1)?, last.try_get(2)?, last.try_get(3)?));
            step = step.saturating_mul(2).min(STEP_MAX);
        }
        let rows = sqlx::query(
            "SELECT p.id, p.patient_id, p.issuer, p.name, p.birth_date, p.sex, count(*), \
             sum(s.series)::int8, sum(s.instances)::int8, sum(s.bytes)::int8, p.sealed \
             FROM unnest($1::int8[]) WITH ORDINALITY j(id, at) JOIN patient p ON p.id = j.id \
             JOIN study s ON s.patient = p.id GROUP BY j.at, p.id ORDER BY j.at",
        )
        .bind(wanted)
        .fetch_all(&self.readers)
        .await?;
        rows.iter().map(|row| read::patient_match(row, self.sealed.as_deref())).collect()
    }

    /// What narrows the search of a question.
    async fn narrow(&self, question: &Question) -> Result<Narrow, sqlx::Error> {
        let keys = question.name_keys();
        if !keys.is_empty() {
            return self.rare(keys).await;
        }
        match question.description_pattern() {
            Some(pattern) => self.descriptions(&question::like(pattern)).await,
            None => Ok(Narrow::Nothing),
        }
    }

    /// The first key that has few names, or two together; else the names are common.
    async fn rare(&self, keys: Vec<KeyRange>) -> Result<Narrow, sqlx::Error> {
        let mut common = Vec::new();
        for key in keys.into_iter().take(KEYS_MAX) {
            if self.names(std::slice::from_ref(&key), NAMES_MAX).await? < NAMES_MAX {
                return Ok(Narrow::Names(vec![key]));
            }
            common.push(key);
        }
        common.truncate(2);
        if common.len() < 2 {
            return Ok(Narrow::Walk);
        }
        for key in &common {
            if self.names(std::slice::from_ref(key), COMMON_NAMES_MAX).await? >= COMMON_NAMES_MAX {
                return Ok(Narrow::Walk);
            }
        }
        let few = self.names(&common, NAMES_MAX).await? < NAMES_MAX;
        Ok(if few { Narrow::Names(common) } else { Narrow::Walk })
    }

    /// How many names have a key in each of these ranges, counted to `limit`.
    async fn names(&self, keys: &[KeyRange], limit: i64) -> Result<i64, sqlx::Error> {
        let mut sql = QueryBuilder::<Postgres>::new("SELECT count(*) FROM (SELECT 1 FROM (");
        question::push_names(&mut sql, keys);
        sql.push(") n LIMIT ").push_bind(limit).push(") m");
        sql.build_query_scalar().fetch_one(&self.readers).await
    }

    /// The descriptions that fit `pattern`, if there are not many different ones and those that fit
    /// have not many studies. Each is found from the one before.
    async fn descriptions(&self, pattern: &str) -> Result<Narrow, sqlx::Error> {
        let row = sqlx::query(
            "WITH RECURSIVE d(t) AS (\
             SELECT (SELECT min(description) FROM study WHERE description > '') UNION ALL \
             SELECT (SELECT min(description) FROM study WHERE description > d.t) \
             FROM d WHERE d.t IS NOT NULL), few AS (SELECT t FROM d LIMIT $1) \
             SELECT count(t), coalesce(array_agg(t) FILTER (WHERE lower(t) LIKE $2), '{}') FROM few",
        )
        .bind(DESCRIPTIONS_MAX)
        .bind(pattern)
        .fetch_one(&self.readers)
        .await?;
        let (different, fitting): (i64, Vec<String>) = (row.try_get(0)?, row.try_get(1)?);
        if different >= DESCRIPTIONS_MAX {
            return Ok(Narrow::Nothing);
        }
        let studies: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM (SELECT 1 FROM study WHERE description = ANY($1) LIMIT $2) s",
        )
        .bind(&fitting)
        .bind(NAMES_MAX)
        .fetch_one(&self.readers)
        .await?;
        Ok(if studies < NAMES_MAX { Narrow::Descriptions(fitting) } else { Narrow::Walk })
    }
}

impl StudyIndex for StudyIndexStore {
    fn known(&self, instances: Vec<String>) -> BoxFuture<'_, Result<Vec<Vec<KnownObject>>, Error>> {
        Box::pin(async move { twice(|| read::known(&self.lookups, &instances)).await })
    }

    fn add(&self, entries: Vec<IndexEntry>) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(self.writer.add(entries))
    }

    fn reached(&self) -> BoxFuture<'_, Result<Option<Location>, Error>> {
        Box::pin(async move {
            // Who asks adds from there on.
            self.undone.unread.store(false, Ordering::Release);
            twice(|| read::reached(&self.lookups)).await
        })
    }

    fn undone(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.undone.told.notified())
    }

    fn find(&self, query: Query) -> BoxFuture<'_, Result<Vec<Match>, Error>> {
        Box::pin(async move {
            let mut question = Question::new(&query)?;
            let who = match &self.sealed {
                Some(sealed) => sealed.who(&mut question).await.map_err(failed)?,
                None => None,
            };
            twice(|| self.answer(&question, who.as_deref(), &query)).await
        })
    }

    fn instances(
        &self,
        selection: Selection,
        offset: u64,
        limit: u64,
    ) -> BoxFuture<'_, Result<Vec<IndexedInstance>, Error>> {
        Box::pin(async move {
            let sealed = self.sealed.as_deref();
            twice(|| read::instances(&self.readers, sealed, &selection, (offset, limit))).await
        })
    }

    fn remove(&self, digest: Digest, at_ms: i64) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(self.writer.remove(digest, at_ms))
    }

    fn apart(&self, offset: u64, limit: u64) -> BoxFuture<'_, Result<Vec<KnownObject>, Error>> {
        Box::pin(async move { twice(|| read::apart(&self.lookups, offset, limit)).await })
    }

    fn changes(&self, number: u64, limit: u64) -> BoxFuture<'_, Result<Vec<Change>, Error>> {
        Box::pin(async move { twice(|| read::changes(&self.lookups, number, limit)).await })
    }

    fn patient_of<'a>(&'a self, study: &'a str) -> BoxFuture<'a, Result<Option<String>, Error>> {
        let sealed = self.sealed.as_deref();
        Box::pin(async move { twice(|| read::patient_id(&self.lookups, sealed, study)).await })
    }

    fn counts(&self) -> BoxFuture<'_, Result<IndexCounts, Error>> {
        Box::pin(async move { twice(|| read::counts(&self.lookups)).await })
    }

    fn clear(&self) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(self.writer.clear())
    }
}

#[cfg(test)]
mod tests;
