//! Looking at a database from beside, whether its node runs or not: which schema it has, whether it is
//! whole, what waits in it. Nothing is written, made or migrated.

use std::path::{Path, PathBuf};

use sqlx::sqlite::SqliteConnection;
use sqlx::{ConnectOptions as _, Connection as _};

use super::{BUSY_TIMEOUT, Database, anchors, exchange, hub, region, studies};
pub use crate::store::looking::Schema;
use crate::store::looking::{Step, Taken};

/// Which database it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// Answers, documents and the audit trail of a node.
    Node,
    /// Forwarding, worklist and custody.
    Exchange,
    /// Documents of a hub.
    Hub,
    /// At a hub: what nodes published.
    Region,
    /// At a hub: heads of audit trails.
    Anchors,
    /// The index of studies.
    Studies,
}

/// What waits in a database, of what it is for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Waiting {
    /// Documents for the hub.
    pub documents: u64,
    /// Those of them that the hub refused.
    pub refused: u64,
    /// When the oldest of them came, in milliseconds since 1970; 0: none waits.
    pub oldest_ms: i64,
    /// Objects that are given up for another archive until somebody looks.
    pub parked: u64,
}

impl Which {
    /// Every one.
    pub const ALL: [Self; 6] =
        [Self::Node, Self::Exchange, Self::Hub, Self::Region, Self::Anchors, Self::Studies];

    /// Its released steps.
    pub(in crate::store) fn steps(self) -> &'static [Step] {
        match self {
            Self::Node => &super::MIGRATIONS,
            Self::Exchange => &exchange::MIGRATIONS,
            Self::Hub => &hub::MIGRATIONS,
            Self::Region => &region::MIGRATIONS,
            Self::Anchors => &anchors::MIGRATIONS,
            Self::Studies => &studies::MIGRATIONS,
        }
    }
}

/// The log beside a database.
pub fn log_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push("-wal");
    PathBuf::from(name)
}

/// A connection that changes nothing. Where there is no log nobody has the database open, and it is read
/// as it lies there: `SQLite` would make a log to read it otherwise.
async fn open(database: &Database) -> Result<SqliteConnection, sqlx::Error> {
    let options = database
        .options()
        .read_only(true)
        .create_if_missing(false)
        .busy_timeout(BUSY_TIMEOUT)
        .disable_statement_logging();
    let is_logged = || log_of(database.path()).try_exists().unwrap_or(true);
    let logged = is_logged();
    match options.clone().immutable(!logged).connect().await {
        // A node was started meanwhile.
        Err(_) if !logged && is_logged() => options.connect().await,
        opened => opened,
    }
}

/// Which schema the database has.
pub async fn schema(database: &Database, which: Which) -> Result<Schema, sqlx::Error> {
    let mut connection = open(database).await?;
    let made: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = '_sqlx_migrations'",
    )
    .fetch_one(&mut connection)
    .await?;
    let taken: Vec<Taken> = if made == 0 {
        Vec::new()
    } else {
        sqlx::query_as(
            "SELECT version, description, installed_on, success, checksum FROM _sqlx_migrations \
             ORDER BY version",
        )
        .fetch_all(&mut connection)
        .await?
    };
    connection.close().await?;
    Ok(Schema::of(&taken, which.steps()))
}

/// Whether an error says that the file is damaged, or sealed with another key (`SQLITE_CORRUPT`,
/// `SQLITE_NOTADB`), and not that it cannot be reached.
pub fn is_damage(error: &sqlx::Error) -> bool {
    let sqlx::Error::Database(error) = error else { return false };
    let code = error.code().and_then(|code| code.parse::<u32>().ok());
    // Extended codes have the plain one in their low byte.
    matches!(code.map(|code| code % 256), Some(11 | 26))
}

/// What is wrong with the pages of the database; none: nothing. Reads all of it, and compares no index
/// with its table: `PRAGMA integrity_check` does, and takes much longer.
pub async fn flaw(database: &Database) -> Result<Option<String>, sqlx::Error> {
    let mut connection = open(database).await?;
    let said: String =
        sqlx::query_scalar("PRAGMA quick_check(1)").fetch_one(&mut connection).await?;
    connection.close().await?;
    Ok((said != "ok").then_some(said))
}

/// When the newest entry of the audit trail was made, in milliseconds since 1970; none: there is none.
pub async fn newest_ms(database: &Database) -> Result<Option<i64>, sqlx::Error> {
    let mut connection = open(database).await?;
    // The last few: a clock that was set back again has older entries behind newer ones.
    let newest = sqlx::query_scalar(
        "SELECT max(at_ms) FROM (SELECT at_ms FROM audit ORDER BY seq DESC LIMIT 1000)",
    )
    .fetch_one(&mut connection)
    .await?;
    connection.close().await?;
    Ok(newest)
}

/// What waits in a database of the newest schema.
pub async fn waiting(database: &Database, which: Which) -> Result<Waiting, sqlx::Error> {
    let mut connection = open(database).await?;
    let whole = |number: i64| u64::try_from(number).unwrap_or(0);
    let waiting = match which {
        Which::Node => {
            let (documents, refused, oldest_ms): (i64, i64, i64) = sqlx::query_as(
                "SELECT count(*), coalesce(sum(o.attempts > 0), 0), coalesce(min(d.received_ms), 0) \
                 FROM outbox o JOIN document d ON d.seq = o.document WHERE o.settled = 0",
            )
            .fetch_one(&mut connection)
            .await?;
            let (documents, refused) = (whole(documents), whole(refused));
            Waiting { documents, refused, oldest_ms, parked: 0 }
        }
        Which::Exchange => {
            let parked: i64 = sqlx::query_scalar("SELECT count(*) FROM forward WHERE state = 3")
                .fetch_one(&mut connection)
                .await?;
            Waiting { parked: whole(parked), ..Waiting::default() }
        }
        Which::Hub | Which::Region | Which::Anchors | Which::Studies => Waiting::default(),
    };
    connection.close().await?;
    Ok(waiting)
}

#[cfg(test)]
mod tests {
    use sqlx::Executor as _;

    use super::super::{migrator, options};
    use super::*;
    use crate::sharing::sealing::Secret;

    async fn made(database: &Database, which: Which, steps: usize) -> SqliteConnection {
        let mut connection = options(database).connect().await.unwrap();
        migrator(&which.steps()[..steps]).run(&mut connection).await.unwrap();
        connection
    }

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[tokio::test]
    async fn a_schema_is_told_from_older_and_newer_ones_and_nothing_is_left_behind() {
        for key in [None, Some(Secret::new(vec![7; 32]))] {
            for which in Which::ALL {
                let folder = tempfile::tempdir().unwrap();
                let database = Database::new(folder.path().join("x.db"), key.clone());
                let newest = which.steps().len();
                for steps in 1..=newest {
                    made(&database, which, steps).await.close().await.unwrap();
                    let looked = schema(&database, which).await.unwrap();
                    assert_eq!(looked.at, i64::try_from(steps).unwrap(), "{which:?}");
                    assert_eq!(looked.known, i64::try_from(newest).unwrap());
                    assert_eq!((looked.unfinished, looked.differs), (None, None));
                }
                assert_eq!(flaw(&database).await.unwrap(), None);
                assert_eq!(names(folder.path()), ["x.db"], "{which:?}: a log was made");
                let mut connection = options(&database).connect().await.unwrap();
                connection
                    .execute(
                        "INSERT INTO _sqlx_migrations (version, description, success, checksum, \
                         execution_time) VALUES (99, 'later', 0, x'00', 0); \
                         UPDATE _sqlx_migrations SET checksum = x'01' WHERE version = 1",
                    )
                    .await
                    .unwrap();
                // With somebody else writing.
                let looked = schema(&database, which).await.unwrap();
                assert_eq!((looked.at, looked.name.as_str()), (99, "later"));
                assert_eq!((looked.unfinished, looked.differs), (Some(99), Some(1)));
            }
        }
    }

    #[tokio::test]
    async fn what_is_not_there_is_not_made_and_what_is_damaged_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::new(folder.path().join("x.db"), None);
        assert!(schema(&database, Which::Node).await.is_err());
        assert!(names(folder.path()).is_empty());
        let all = Which::Node.steps().len();
        let mut connection = made(&database, Which::Node, all).await;
        for at in 0..400 {
            sqlx::query(
                "INSERT INTO audit (at_ms, caller, role, action, record_id, patient_reference, outcome) \
                 VALUES (?1, 'a', 'b', 'c', 'd', 'e', 'f')",
            )
            .bind(at)
            .execute(&mut connection)
            .await
            .unwrap();
        }
        connection.close().await.unwrap();
        assert_eq!(newest_ms(&database).await.unwrap(), Some(399));
        assert_eq!(waiting(&database, Which::Node).await.unwrap(), Waiting::default());
        let mut bytes = std::fs::read(database.path()).unwrap();
        let pages = bytes.len() / 4096;
        // One leaf of a table whose first row is said to lie beyond its page: the check tells it, and goes on.
        let leaf = (1..pages).map(|page| page * 4096).rfind(|at| bytes[*at] == 0x0d).unwrap();
        let whole = bytes.clone();
        bytes[leaf + 8..leaf + 10].fill(0xff);
        std::fs::write(database.path(), &bytes).unwrap();
        let told = flaw(&database).await.unwrap().unwrap();
        assert!(told.contains("out of range"), "{told}");
        let mut bytes = whole;
        for page in pages / 2..pages {
            bytes[page * 4096..page * 4096 + 64].fill(0xa5);
        }
        std::fs::write(database.path(), bytes).unwrap();
        let told = flaw(&database).await;
        assert!(told.as_ref().is_ok_and(Option::is_some) || told.is_err_and(|e| is_damage(&e)));
        std::fs::write(database.path(), [7; 8192]).unwrap();
        assert!(is_damage(&schema(&database, Which::Node).await.unwrap_err()));
        let gone = Database::new(folder.path().join("y.db"), None);
        assert!(!is_damage(&schema(&gone, Which::Node).await.unwrap_err()));
    }
}
