//! Whole databases: copies of one that is being written to, and sealing one that was not.

use std::path::Path;

use sqlx::sqlite::SqliteConnection;
use sqlx::{ConnectOptions as _, Connection as _, QueryBuilder, Row as _, Sqlite};

use super::{BUSY_TIMEOUT, Database};

/// Why a database was not copied.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// The database refuses.
    #[error(transparent)]
    Sql(#[from] sqlx::Error),
    /// What was written is not what was read.
    #[error("the copy differs from the database: {0}")]
    Differs(String),
}

async fn connect(database: &Database, writes: bool) -> Result<SqliteConnection, sqlx::Error> {
    let options = database.options().busy_timeout(BUSY_TIMEOUT).disable_statement_logging();
    // What is attached is made where it is not there.
    options.read_only(!writes).create_if_missing(writes).connect().await
}

/// A copy of `database` as it stands at one moment, at `to`, where nothing may be; sealed with the same
/// key. Others go on reading and writing meanwhile.
pub async fn copy(database: &Database, to: &Path) -> Result<(), CopyError> {
    let mut connection = connect(database, false).await?;
    let to = to.to_string_lossy().into_owned();
    sqlx::query("VACUUM INTO ?1").bind(to).execute(&mut connection).await?;
    connection.close().await?;
    Ok(())
}

/// Whether every page of `database` can be read and fits the others.
pub async fn check(database: &Database) -> Result<(), CopyError> {
    let mut connection = connect(database, false).await?;
    let said: String =
        sqlx::query_scalar("PRAGMA integrity_check(1)").fetch_one(&mut connection).await?;
    connection.close().await?;
    if said == "ok" { Ok(()) } else { Err(CopyError::Differs(said)) }
}

/// Makes sure that nobody else has the unsealed database at `path` open, and that nothing is left in a
/// write-ahead log.
pub async fn alone(path: &Path) -> Result<(), CopyError> {
    let mut connection = connect(&Database::new(path.to_owned(), None), true).await?;
    let mode: String =
        sqlx::query_scalar("PRAGMA journal_mode = DELETE").fetch_one(&mut connection).await?;
    connection.close().await?;
    if mode == "delete" {
        Ok(())
    } else {
        Err(CopyError::Differs(format!("it is in use ({mode})")))
    }
}

/// Seals what the unsealed database at `from`, which nobody else uses, holds into `to`, where nothing
/// may be, and compares the two row by row.
pub async fn seal(from: &Path, to: &Database) -> Result<(), CopyError> {
    let plain = Database::new(from.to_owned(), None);
    let mut connection = connect(&plain, true).await?;
    // What is in the write-ahead log comes along; the log itself is removed with the database.
    let target = to.path().to_string_lossy().into_owned();
    // The key as a text that SQLCipher reads as a key and not as a password.
    let key = to.literal().trim_matches('"').to_owned();
    sqlx::query("ATTACH DATABASE ?1 AS sealed KEY ?2")
        .bind(target)
        .bind(key)
        .execute(&mut connection)
        .await?;
    let versions: (i64, i64) = sqlx::query_as(
        "SELECT u.user_version, a.application_id FROM pragma_user_version() u, \
                        pragma_application_id() a",
    )
    .fetch_one(&mut connection)
    .await?;
    if versions != (0, 0) {
        return Err(CopyError::Differs(
            "it says a version of its own, which none of ours do".into(),
        ));
    }
    sqlx::query("SELECT sqlcipher_export('sealed')").execute(&mut connection).await?;
    compare(&mut connection).await?;
    sqlx::query("DETACH DATABASE sealed").execute(&mut connection).await?;
    connection.close().await?;
    check(to).await
}

/// Compares `main` and `sealed`: their schema, and every row of every table.
async fn compare(connection: &mut SqliteConnection) -> Result<(), CopyError> {
    let differs = |what: &str| CopyError::Differs(what.to_owned());
    let schema = "SELECT count(*) FROM (SELECT type, name, tbl_name, sql FROM main.sqlite_schema \
                  EXCEPT SELECT type, name, tbl_name, sql FROM sealed.sqlite_schema)";
    let missing: i64 = sqlx::query_scalar(schema).fetch_one(&mut *connection).await?;
    if missing != 0 {
        return Err(differs("its schema"));
    }
    let tables = sqlx::query("SELECT name FROM main.sqlite_schema WHERE type = 'table'")
        .fetch_all(&mut *connection)
        .await?;
    for row in tables {
        let name: String = row.try_get("name")?;
        // A name of the schema itself, quoted.
        let quoted = format!("\"{}\"", name.replace('"', "\"\""));
        // EXCEPT alone would not see a row that is there twice.
        let mut sql = QueryBuilder::<Sqlite>::new("SELECT (SELECT count(*) FROM main.");
        sql.push(&quoted).push(") = (SELECT count(*) FROM sealed.").push(&quoted);
        sql.push(") AND NOT EXISTS (SELECT * FROM main.").push(&quoted);
        sql.push(" EXCEPT SELECT * FROM sealed.").push(&quoted).push(")");
        let same: bool = sql.build_query_scalar().fetch_one(&mut *connection).await?;
        if !same {
            return Err(differs(&name));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use sqlx::Executor as _;

    use super::super::options;
    use super::*;
    use crate::sharing::sealing::Secret;
    use crate::store::sqlite::database::Form;

    const PATIENT: &str = "张三丰一三九";

    async fn filled(database: &Database) -> SqliteConnection {
        let mut connection = options(database).connect().await.unwrap();
        connection
            .execute(
                "CREATE TABLE person (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL);
                 CREATE INDEX by_name ON person (name);
                 CREATE TABLE loose (a, b) ;
                 INSERT INTO loose VALUES (1, NULL), (1, NULL), (2, x'00ff');",
            )
            .await
            .unwrap();
        for _ in 0..200 {
            sqlx::query("INSERT INTO person (name) VALUES (?1)")
                .bind(PATIENT)
                .execute(&mut connection)
                .await
                .unwrap();
        }
        connection
    }

    async fn names(database: &Database) -> i64 {
        let mut connection = options(database).connect().await.unwrap();
        sqlx::query_scalar("SELECT count(*) FROM person WHERE name = ?1")
            .bind(PATIENT)
            .fetch_one(&mut connection)
            .await
            .unwrap()
    }

    /// Every byte of every file in the folder.
    fn bytes(folder: &Path) -> Vec<u8> {
        let files = std::fs::read_dir(folder).unwrap();
        // A log goes when its last connection does, also while this looks.
        let read = |path: std::path::PathBuf| match std::fs::read(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            read => read.unwrap(),
        };
        files.flat_map(|file| read(file.unwrap().path())).collect()
    }

    fn says(folder: &Path) -> bool {
        bytes(folder).windows(PATIENT.len()).any(|part| part == PATIENT.as_bytes())
    }

    #[tokio::test]
    async fn a_sealed_database_and_its_log_say_nothing_without_the_key() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.db");
        let key = || Some(Secret::new(vec![7; 32]));
        let sealed = Database::new(path.clone(), key());
        let open = filled(&sealed).await;
        assert!(std::fs::metadata(folder.path().join("x.db-wal")).unwrap().len() > 0);
        assert!(!says(folder.path()), "a name is in the database or its log");
        assert_eq!(Database::form(&path).unwrap(), Form::Sealed);
        open.close().await.unwrap();
        assert_eq!(names(&sealed).await, 200);
        for wrong in [None, Some(Secret::new(vec![8; 32]))] {
            let wrong = Database::new(path.clone(), wrong);
            assert!(options(&wrong).connect().await.is_err());
        }
        // Without the key the same rows are there to be read.
        let plain = tempfile::tempdir().unwrap();
        filled(&Database::from(&plain.path().join("x.db"))).await.close().await.unwrap();
        assert!(says(plain.path()));
    }

    #[tokio::test]
    async fn a_page_that_was_altered_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.db");
        let sealed = Database::new(path.clone(), Some(Secret::new(vec![7; 32])));
        filled(&sealed).await.close().await.unwrap();
        let mut bytes = std::fs::read(&path).unwrap();
        let middle = bytes.len() - 2000;
        bytes[middle] ^= 1;
        std::fs::write(&path, bytes).unwrap();
        assert!(check(&sealed).await.is_err());
    }

    #[tokio::test]
    async fn a_copy_beside_a_writer_is_sealed_and_whole() {
        let folder = tempfile::tempdir().unwrap();
        let key = || Some(Secret::new(vec![7; 32]));
        let sealed = Database::new(folder.path().join("x.db"), key());
        let mut writer = filled(&sealed).await;
        writer.execute("BEGIN IMMEDIATE; INSERT INTO person (name) VALUES ('late')").await.unwrap();
        let copied = Database::new(folder.path().join("copy.db"), key());
        copy(&sealed, copied.path()).await.unwrap();
        writer.execute("COMMIT").await.unwrap();
        assert_eq!(names(&copied).await, 200);
        check(&copied).await.unwrap();
        assert!(!says(folder.path()));
        assert!(copy(&sealed, copied.path()).await.is_err(), "nothing is written over");
    }

    #[tokio::test]
    async fn sealing_keeps_every_row_and_the_counters() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.db");
        let plain = Database::from(&path);
        let mut connection = filled(&plain).await;
        connection.execute("DELETE FROM person WHERE id > 190").await.unwrap();
        connection.close().await.unwrap();
        let sealed = Database::new(folder.path().join("sealed.db"), Some(Secret::new(vec![7; 32])));
        seal(&path, &sealed).await.unwrap();
        std::fs::remove_file(&path).unwrap();
        assert!(!says(folder.path()));
        assert_eq!(names(&sealed).await, 190);
        let mut connection = options(&sealed).connect().await.unwrap();
        connection.execute("INSERT INTO person (name) VALUES ('next')").await.unwrap();
        let id: i64 = sqlx::query_scalar("SELECT max(id) FROM person")
            .fetch_one(&mut connection)
            .await
            .unwrap();
        assert_eq!(id, 201, "numbers are never given twice");
    }

    #[tokio::test]
    async fn a_copy_that_lacks_a_row_is_found() {
        let folder = tempfile::tempdir().unwrap();
        for change in [
            "DELETE FROM sealed.loose WHERE rowid = 1",
            "UPDATE sealed.loose SET b = 3 WHERE a = 2",
            "DROP INDEX sealed.by_name",
        ] {
            let at = folder.path().join(change.len().to_string());
            let mut connection = filled(&Database::from(&at)).await;
            connection.execute("ATTACH ':memory:' AS sealed").await.unwrap();
            connection.execute("SELECT sqlcipher_export('sealed')").await.unwrap();
            compare(&mut connection).await.unwrap();
            connection.execute(change).await.unwrap();
            assert!(
                matches!(compare(&mut connection).await, Err(CopyError::Differs(_))),
                "{change}"
            );
        }
    }
}
