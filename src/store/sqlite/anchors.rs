//! Signed heads of nodes' audit trails, at the hub: a database of its own, `synchronous=FULL`.

use sqlx::sqlite::{SqliteConnection, SqlitePool, SqlitePoolOptions, SqliteRow, SqliteSynchronous};
use sqlx::{ConnectOptions as _, Row as _};

use super::trail::chain::{number, signed};
use super::{Database, OpenError, make_folder, migrator, options, writers};
use crate::app::audit::ports::{Anchored, Taken};
use crate::app::error::Error;
use crate::app::ports::BoxFuture;
use crate::sharing::audit::{Anchor, Head, Mark};

/// Released migrations. One never changes once released; a change is a new one.
pub(super) const MIGRATIONS: [(i64, &str, &str); 1] =
    [(1, "anchors", include_str!("../../../migrations/sqlite-anchors/0001_anchors.sql"))];

/// Connections that only read.
const READERS_MAX: u32 = 2;
/// Heads of a node that are given at once, the newest: one of every five minutes of a year.
const GIVEN_MAX: u32 = 100_000;

/// An open database.
#[derive(Debug)]
pub struct AnchorStore {
    readers: SqlitePool,
    /// One connection: who writes waits for it.
    writer: SqlitePool,
}

impl AnchorStore {
    /// Opens, or makes, the database and brings its schema up to date.
    pub async fn open(database: impl Into<Database>) -> Result<Self, OpenError> {
        let database = database.into();
        let path = database.path();
        make_folder(path).await?;
        let open = |source| OpenError::Open { path: path.to_owned(), source };
        let options = options(&database).synchronous(SqliteSynchronous::Full);
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
}

impl Anchored for AnchorStore {
    fn take(&self, anchor: Anchor, at_ms: i64) -> BoxFuture<'_, Result<Taken, Error>> {
        Box::pin(async move {
            let begin = self.writer.begin_with("BEGIN IMMEDIATE");
            let mut transaction = begin.await.map_err(failed)?;
            let (taken, known) = compare(&mut transaction, &anchor).await.map_err(failed)?;
            if !known {
                keep(&mut transaction, &anchor, (at_ms, taken)).await.map_err(failed)?;
            }
            transaction.commit().await.map_err(failed)?;
            Ok(taken)
        })
    }

    fn of<'a>(&'a self, node: &'a str) -> BoxFuture<'a, Result<Vec<Anchor>, Error>> {
        Box::pin(async move {
            let rows = sqlx::query(
                "SELECT node, chain, number, sha256, sm3, at_ms, key, signature FROM \
                 (SELECT * FROM anchor WHERE node = ?1 ORDER BY id DESC LIMIT ?2) \
                 ORDER BY chain, number, id",
            )
            .bind(node)
            .bind(GIVEN_MAX)
            .fetch_all(&self.readers)
            .await
            .map_err(failed)?;
            rows.iter().map(read).collect::<Result<_, _>>().map_err(failed)
        })
    }

    fn counts(&self) -> BoxFuture<'_, Result<Vec<(String, u64)>, Error>> {
        Box::pin(async move {
            let rows: Vec<(String, i64)> = sqlx::query_as(
                "SELECT taken_as, count(*) FROM anchor WHERE taken_as <> 'fits' GROUP BY taken_as",
            )
            .fetch_all(&self.readers)
            .await
            .map_err(failed)?;
            Ok(rows.into_iter().map(|(taken, count)| (taken, number(count))).collect())
        })
    }
}

/// What a head is to those before, and whether it is one of them, word for word.
async fn compare(
    connection: &mut SqliteConnection,
    anchor: &Anchor,
) -> Result<(Taken, bool), sqlx::Error> {
    let Anchor { mark, key, .. } = anchor;
    let row = sqlx::query(
        "SELECT EXISTS (SELECT 1 FROM anchor WHERE node = ?1), \
         EXISTS (SELECT 1 FROM anchor WHERE node = ?1 AND chain = ?2 AND key = ?3), \
         coalesce((SELECT max(number) FROM anchor WHERE node = ?1 AND chain = ?2), 0), \
         EXISTS (SELECT 1 FROM anchor WHERE node = ?1 AND chain = ?2 AND number = ?4 \
         AND (sha256 <> ?5 OR sm3 <> ?6)), \
         EXISTS (SELECT 1 FROM anchor WHERE node = ?1 AND chain = ?2 AND number = ?4 \
         AND sha256 = ?5 AND sm3 = ?6 AND key = ?3)",
    )
    .bind(&mark.node)
    .bind(&mark.chain)
    .bind(key.as_slice())
    .bind(signed(mark.head.number))
    .bind(mark.head.sha256.as_slice())
    .bind(mark.head.sm3.as_slice())
    .fetch_one(connection)
    .await?;
    let (any, own): (bool, bool) = (row.try_get(0)?, row.try_get(1)?);
    let last = number(row.try_get(2)?);
    let (differs, known): (bool, bool) = (row.try_get(3)?, row.try_get(4)?);
    let taken = if differs {
        Taken::Differs
    } else if mark.head.number < last {
        Taken::Lower
    } else if any && !own {
        Taken::Other
    } else {
        Taken::Fits
    };
    Ok((taken, known))
}

async fn keep(
    connection: &mut SqliteConnection,
    Anchor { mark, key, signature }: &Anchor,
    (at_ms, taken): (i64, Taken),
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO anchor (node, chain, number, sha256, sm3, at_ms, key, signature, taken_ms, \
         taken_as) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
    )
    .bind(&mark.node)
    .bind(&mark.chain)
    .bind(signed(mark.head.number))
    .bind(mark.head.sha256.as_slice())
    .bind(mark.head.sm3.as_slice())
    .bind(mark.at_ms)
    .bind(key.as_slice())
    .bind(signature.as_slice())
    .bind(at_ms)
    .bind(taken.name())
    .execute(connection)
    .await?;
    Ok(())
}

fn read(row: &SqliteRow) -> Result<Anchor, sqlx::Error> {
    let array = |place: usize| {
        let bytes: Vec<u8> = row.try_get(place)?;
        bytes.try_into().map_err(|_| sqlx::Error::ColumnDecode {
            index: place.to_string(),
            source: "not 32 bytes".into(),
        })
    };
    let head = Head { number: number(row.try_get(2)?), sha256: array(3)?, sm3: array(4)? };
    let (node, chain, at_ms) = (row.try_get(0)?, row.try_get(1)?, row.try_get(5)?);
    let mark = Mark { node, chain, head, at_ms };
    Ok(Anchor { mark, key: row.try_get(6)?, signature: row.try_get(7)? })
}

fn failed(error: sqlx::Error) -> Error {
    Error::Unavailable { what: "store of anchors", cause: Some(error.into()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::audit::ports::Signer as _;
    use crate::app::audit::sign::NodeKey;

    #[tokio::test]
    async fn whatever_a_node_says_is_kept_and_what_does_not_fit_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let store = AnchorStore::open(&folder.path().join("anchors.db")).await.unwrap();
        let (key, other) = (NodeKey::new(&[1; 32]).unwrap(), NodeKey::new(&[2; 32]).unwrap());
        let mark = |chain: &str, number, digest| Mark {
            node: "村甲".to_owned(),
            chain: chain.to_owned(),
            head: Head { number, sha256: [digest; 32], sm3: [digest; 32] },
            at_ms: 1,
        };
        let said = [
            (key.sign(mark("c", 5, 1)), Taken::Fits),
            (key.sign(mark("c", 9, 2)), Taken::Fits),
            // Once more, as after a line that broke.
            (key.sign(mark("c", 9, 2)), Taken::Fits),
            (key.sign(mark("c", 9, 3)), Taken::Differs),
            (key.sign(mark("c", 7, 4)), Taken::Lower),
            (other.sign(mark("c", 12, 5)), Taken::Other),
            (key.sign(mark("d", 3, 6)), Taken::Other),
            (key.sign(mark("d", 4, 6)), Taken::Fits),
        ];
        for (anchor, taken) in said {
            assert_eq!(store.take(anchor, 10).await.unwrap(), taken);
        }
        let numbers: Vec<u64> =
            store.of("村甲").await.unwrap().iter().map(|a| a.mark.head.number).collect();
        assert_eq!(numbers, [5, 7, 9, 9, 12, 3, 4]);
        assert!(store.of("村乙").await.unwrap().is_empty());
        let mut counts = store.counts().await.unwrap();
        counts.sort();
        let counts: Vec<(&str, u64)> = counts.iter().map(|(kind, n)| (kind.as_str(), *n)).collect();
        assert_eq!(counts, [("differs", 1), ("lower", 1), ("other_chain", 2)]);
        let deleted = sqlx::query("DELETE FROM anchor").execute(&store.writer).await;
        assert!(deleted.is_err());
    }
}
