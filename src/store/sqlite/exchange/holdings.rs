//! Which objects are copies.

use std::collections::BTreeSet;

use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Row as _, Sqlite};

use super::{ExchangeStore, failed, int, whole};
use crate::app::error::Error;
use crate::app::imaging::holdings::{CopyTotals, HeldCopy, Holdings, StudyCopies};
use crate::app::ports::BoxFuture;
use crate::sharing::imaging::object::Digest;

/// Rows in one statement; each has seven values at most.
const ROWS_MAX: usize = 500;
/// Separates names of nodes in an answer.
const SEPARATOR: char = '\u{1f}';

impl Holdings for ExchangeStore {
    fn note(&self, copies: Vec<HeldCopy>) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move {
            let mut transaction = self.begin().await?;
            for rows in copies.chunks(ROWS_MAX) {
                let mut sql = QueryBuilder::<Sqlite>::new(
                    "INSERT INTO copy (digest, study, instance, node, bytes, apart, kept_ms) ",
                );
                sql.push_values(rows, |mut row, copy| {
                    row.push_bind(copy.digest.0.as_slice())
                        .push_bind(&copy.study)
                        .push_bind(&copy.instance)
                        .push_bind(&copy.node)
                        .push_bind(int(copy.bytes))
                        .push_bind(copy.apart)
                        .push_bind(copy.kept_ms);
                });
                sql.push(" ON CONFLICT (digest) DO NOTHING");
                sql.build().execute(&mut *transaction).await.map_err(failed)?;
            }
            transaction.commit().await.map_err(failed)
        })
    }

    fn own(&self, digests: Vec<Digest>) -> BoxFuture<'_, Result<u64, Error>> {
        Box::pin(async move {
            // Mostly none of them is a copy, and looking does not need the writer.
            let mut copies = 0;
            for digests in digests.chunks(ROWS_MAX) {
                let mut sql = QueryBuilder::<Sqlite>::new(
                    "SELECT count(*) FROM copy WHERE own = 0 AND digest IN (",
                );
                list(&mut sql, digests);
                let found: i64 =
                    sql.build_query_scalar().fetch_one(&self.readers).await.map_err(failed)?;
                copies += found;
            }
            if copies == 0 {
                return Ok(0);
            }
            let mut transaction = self.begin().await?;
            let mut owned = 0;
            for digests in digests.chunks(ROWS_MAX) {
                let mut sql = QueryBuilder::<Sqlite>::new(
                    "UPDATE copy SET own = 1 WHERE own = 0 AND digest IN (",
                );
                list(&mut sql, digests);
                let done = sql.build().execute(&mut *transaction).await.map_err(failed)?;
                owned += done.rows_affected();
            }
            transaction.commit().await.map_err(failed)?;
            Ok(owned)
        })
    }

    fn copies_of(&self, studies: Vec<String>) -> BoxFuture<'_, Result<Vec<StudyCopies>, Error>> {
        Box::pin(async move {
            let mut found = Vec::new();
            for studies in studies.chunks(ROWS_MAX) {
                let mut sql = QueryBuilder::<Sqlite>::new(
                    "SELECT s.study, s.objects, s.bytes, s.used_ms, \
                     (SELECT sum(c.apart) FROM copy c WHERE c.study = s.study AND c.own = 0), \
                     (SELECT group_concat(node, char(31)) FROM \
                     (SELECT DISTINCT c.node FROM copy c WHERE c.study = s.study AND c.own = 0)) \
                     FROM copied_study s WHERE s.study IN (",
                );
                let mut names = sql.separated(", ");
                for study in studies {
                    names.push_bind(study);
                }
                sql.push(")");
                let rows = sql.build().fetch_all(&self.readers).await.map_err(failed)?;
                for row in &rows {
                    found.push(study_copies(row).map_err(failed)?);
                }
            }
            Ok(found)
        })
    }

    fn used(&self, uses: Vec<(String, i64)>) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move {
            let mut transaction = self.begin().await?;
            for (study, at_ms) in &uses {
                sqlx::query(
                    "UPDATE copied_study SET used_ms = ?2 WHERE study = ?1 AND used_ms < ?2",
                )
                .bind(study)
                .bind(at_ms)
                .execute(&mut *transaction)
                .await
                .map_err(failed)?;
            }
            transaction.commit().await.map_err(failed)
        })
    }

    fn totals(&self) -> BoxFuture<'_, Result<CopyTotals, Error>> {
        Box::pin(async move {
            let row = sqlx::query(
                "SELECT count(*), coalesce(sum(objects), 0), coalesce(sum(bytes), 0) \
                 FROM copied_study",
            )
            .fetch_one(&self.readers)
            .await
            .map_err(failed)?;
            let number = |at: usize| row.try_get::<i64, _>(at).map(whole).map_err(failed);
            Ok(CopyTotals { studies: number(0)?, objects: number(1)?, bytes: number(2)? })
        })
    }
}

pub(super) fn list(sql: &mut QueryBuilder<Sqlite>, digests: &[Digest]) {
    let mut values = sql.separated(", ");
    for digest in digests {
        values.push_bind(digest.0.to_vec());
    }
    sql.push(")");
}

/// The SHA-256 in a column.
pub(super) fn digest_of(row: &SqliteRow, at: usize) -> Result<Digest, sqlx::Error> {
    let digest: Vec<u8> = row.try_get(at)?;
    digest.try_into().map(Digest).map_err(|_| sqlx::Error::ColumnDecode {
        index: "digest".to_owned(),
        source: "not 32 bytes".into(),
    })
}

pub(super) fn study_copies(row: &SqliteRow) -> Result<StudyCopies, sqlx::Error> {
    let nodes: Option<String> = row.try_get(5)?;
    let nodes: BTreeSet<String> = nodes
        .unwrap_or_default()
        .split(SEPARATOR)
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect();
    Ok(StudyCopies {
        study: row.try_get(0)?,
        nodes,
        objects: whole(row.try_get(1)?),
        apart: whole(row.try_get::<Option<i64>, _>(4)?.unwrap_or(0)),
        bytes: whole(row.try_get(2)?),
        used_ms: row.try_get(3)?,
    })
}
