//! What PACS behind the node have.

use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Row as _, Sqlite, SqliteConnection};

use super::{ExchangeStore, failed, int, whole};
use crate::app::error::Error;
use crate::app::ports::BoxFuture;
use crate::app::regional::behind::{BehindStore, BehindStudy, Mark};
use crate::sharing::imaging::published::PublishedStudy;

/// Values in one statement.
const VALUES_MAX: usize = 500;

impl BehindStore for ExchangeStore {
    fn mark(&self) -> BoxFuture<'_, Result<Mark, Error>> {
        Box::pin(async move {
            let row = sqlx::query("SELECT epoch, number FROM behind_feed")
                .fetch_one(&self.readers)
                .await
                .map_err(failed)?;
            let read = || Ok(Mark { epoch: row.try_get(0)?, number: whole(row.try_get(1)?) });
            read().map_err(failed)
        })
    }

    fn keep<'a>(
        &'a self,
        pacs: &'a str,
        day: &'a str,
        studies: Vec<PublishedStudy>,
    ) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            let mut transaction = self.begin().await?;
            for study in &studies {
                let told = serde_json::to_string(study)
                    .map_err(|error| failed(sqlx::Error::Encode(error.into())))?;
                let number = next(&mut transaction).await.map_err(failed)?;
                sqlx::query(
                    "INSERT INTO behind (study, pacs, day, number, told) \
                     VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (study, pacs) DO UPDATE \
                     SET day = ?3, number = ?4, gone = 0, told = ?5",
                )
                .bind(&study.study.uid)
                .bind(pacs)
                .bind(day)
                .bind(number)
                .bind(told)
                .execute(&mut *transaction)
                .await
                .map_err(failed)?;
            }
            transaction.commit().await.map_err(failed)
        })
    }

    fn gone<'a>(&'a self, pacs: &'a str, studies: Vec<String>) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            let mut transaction = self.begin().await?;
            for study in &studies {
                gone(&mut transaction, study, pacs).await.map_err(failed)?;
            }
            transaction.commit().await.map_err(failed)
        })
    }

    fn retain(&self, names: Vec<String>) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move {
            let mut transaction = self.begin().await?;
            let mut sql =
                QueryBuilder::<Sqlite>::new("SELECT study, pacs FROM behind WHERE gone = 0");
            for name in &names {
                sql.push(" AND pacs <> ").push_bind(name);
            }
            let rows = sql.build().fetch_all(&mut *transaction).await.map_err(failed)?;
            for row in rows {
                let study: String = row.try_get(0).map_err(failed)?;
                let pacs: String = row.try_get(1).map_err(failed)?;
                gone(&mut transaction, &study, &pacs).await.map_err(failed)?;
            }
            transaction.commit().await.map_err(failed)
        })
    }

    fn dated<'a>(
        &'a self,
        pacs: &'a str,
        from: &'a str,
        to: &'a str,
    ) -> BoxFuture<'a, Result<Vec<PublishedStudy>, Error>> {
        Box::pin(async move {
            let rows = sqlx::query(
                "SELECT told FROM behind WHERE pacs = ?1 AND day >= ?2 AND day <= ?3 \
                 AND gone = 0 ORDER BY study",
            )
            .bind(pacs)
            .bind(from)
            .bind(to)
            .fetch_all(&self.readers)
            .await
            .map_err(failed)?;
            rows.iter().map(|row| study(row, 0)).collect::<Result<_, _>>().map_err(failed)
        })
    }

    fn changed(&self, number: u64, limit: u64) -> BoxFuture<'_, Result<Vec<(u64, String)>, Error>> {
        Box::pin(async move {
            let rows = sqlx::query(
                "SELECT number, study FROM behind WHERE number > ?1 ORDER BY number LIMIT ?2",
            )
            .bind(int(number))
            .bind(int(limit))
            .fetch_all(&self.readers)
            .await
            .map_err(failed)?;
            let read = |row: &SqliteRow| Ok((whole(row.try_get(0)?), row.try_get(1)?));
            rows.iter().map(read).collect::<Result<_, _>>().map_err(failed)
        })
    }

    fn of(&self, studies: Vec<String>) -> BoxFuture<'_, Result<Vec<BehindStudy>, Error>> {
        Box::pin(async move {
            let mut found = Vec::new();
            for studies in studies.chunks(VALUES_MAX) {
                let mut sql = QueryBuilder::<Sqlite>::new(
                    "SELECT pacs, told FROM behind WHERE gone = 0 AND study IN (",
                );
                let mut uids = sql.separated(", ");
                for study in studies {
                    uids.push_bind(study);
                }
                sql.push(") ORDER BY study, pacs");
                let rows = sql.build().fetch_all(&self.readers).await.map_err(failed)?;
                for row in &rows {
                    let pacs = row.try_get(0).map_err(failed)?;
                    found.push(BehindStudy { pacs, study: study(row, 1).map_err(failed)? });
                }
            }
            Ok(found)
        })
    }

    fn list<'a>(&'a self, after: &'a str, limit: u64) -> BoxFuture<'a, Result<Vec<String>, Error>> {
        Box::pin(async move {
            sqlx::query_scalar(
                "SELECT DISTINCT study FROM behind WHERE study > ?1 AND gone = 0 \
                 ORDER BY study LIMIT ?2",
            )
            .bind(after)
            .bind(int(limit))
            .fetch_all(&self.readers)
            .await
            .map_err(failed)
        })
    }
}

/// The next number of the feed.
async fn next(connection: &mut SqliteConnection) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar("UPDATE behind_feed SET number = number + 1 RETURNING number")
        .fetch_one(connection)
        .await
}

async fn gone(
    connection: &mut SqliteConnection,
    study: &str,
    pacs: &str,
) -> Result<(), sqlx::Error> {
    let number = next(connection).await?;
    sqlx::query(
        "UPDATE behind SET gone = 1, told = '', number = ?3 \
         WHERE study = ?1 AND pacs = ?2 AND gone = 0",
    )
    .bind(study)
    .bind(pacs)
    .bind(number)
    .execute(connection)
    .await
    .map(|_| ())
}

fn study(row: &SqliteRow, at: usize) -> Result<PublishedStudy, sqlx::Error> {
    let told: String = row.try_get(at)?;
    serde_json::from_str(&told).map_err(|error| sqlx::Error::Decode(error.into()))
}
