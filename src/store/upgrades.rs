//! Every released schema is brought to the newest one with a row in each of its tables, on both back-ends,
//! and what was kept is as it was.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::sqlite::SqliteConnection;
use sqlx::{ConnectOptions as _, Connection as _, Row as _};

use super::looking::Step;
use super::sqlite::{Database, looking as sqlite_looking, migrator};

/// Rows of a table: each as its columns with their values as text.
type Rows = BTreeSet<BTreeMap<String, String>>;
/// Tables with their rows.
type Tables = BTreeMap<String, Rows>;

/// A table that a later step took away, and where its rows went.
const MOVED: [(&str, &str); 1] = [("consent_said", "consent_word")];
/// Columns that a later step fills anew from others, on purpose.
const DERIVED: [(&str, &str); 0] = [];

/// A column that a row is made for.
struct Column {
    name: String,
    /// As the database calls it, in small letters.
    kind: String,
}

/// The condition that the text of a table has about a column.
fn condition<'a>(sql: &'a str, column: &str) -> Option<&'a str> {
    sql.split("CHECK").skip(1).find(|check| {
        let from = check.trim_start_matches([' ', '(']);
        let from = from.strip_prefix("length(").unwrap_or(from);
        let goes_on = |rest: &str| rest.starts_with(|c: char| c.is_alphanumeric() || c == '_');
        from.strip_prefix(column).is_some_and(|rest| !goes_on(rest))
    })
}

/// A value that the column takes, as SQL: what fits numbers fits keys of other tables, too.
fn value(column: &Column, check: Option<&str>) -> String {
    let Column { name, kind } = column;
    let bytes = check.and_then(|check| {
        let (_, length) = check.split_once("length(")?.1.split_once("= ")?;
        length.split(|c: char| !c.is_ascii_digit()).next()?.parse::<usize>().ok()
    });
    let first = check.and_then(|check| check.split('\'').nth(1));
    match kind.as_str() {
        "blob" => format!("x'{}'", "01".repeat(bytes.unwrap_or(32))),
        "bytea" => format!("'\\x{}'::bytea", "01".repeat(bytes.unwrap_or(32))),
        "boolean" => "true".to_owned(),
        "array" => "'{}'".to_owned(),
        "text" | "character varying" => match first {
            Some(allowed) => format!("'{allowed}'"),
            None if name.ends_with("json") => "'{}'".to_owned(),
            None => "'x'".to_owned(),
        },
        _ => "1".to_owned(),
    }
}

/// What is in `after` of what was in `before`: everything, or the test fails.
fn kept(of: &str, before: &Tables, after: &Tables) {
    for (table, rows) in before {
        assert!(!rows.is_empty(), "{of}: no row was made in {table}");
        let moved = MOVED.iter().find(|(from, _)| from == table);
        if let Some((_, to)) = moved.filter(|_| !after.contains_key(table)) {
            let there = after.get(*to).map_or(0, BTreeSet::len);
            assert!(there >= rows.len(), "{of}: rows of {table} did not come to {to}");
            continue;
        }
        let now = after.get(table).unwrap_or_else(|| panic!("{of}: {table} is gone"));
        for row in rows {
            let same = |other: &BTreeMap<String, String>| {
                row.iter().all(|(column, value)| {
                    let derived = DERIVED.contains(&(table.as_str(), column.as_str()));
                    derived || other.get(column) == Some(value)
                })
            };
            assert!(now.iter().any(same), "{of}: {table} had {row:?} and has {now:?}");
        }
    }
}

/// Tables of the schema itself, not those of an index of words.
async fn sqlite_tables(connection: &mut SqliteConnection) -> Vec<(String, String)> {
    sqlx::query_as(
        "SELECT s.name, s.sql FROM pragma_table_list t JOIN sqlite_schema s ON s.name = t.name \
         WHERE t.schema = 'main' AND t.type = 'table' AND s.type = 'table' \
         AND s.name NOT LIKE 'sqlite_%' AND s.name <> '_sqlx_migrations' ORDER BY s.name",
    )
    .fetch_all(connection)
    .await
    .unwrap()
}

async fn sqlite_columns(connection: &mut SqliteConnection, table: &str) -> Vec<Column> {
    let rows: Vec<(String, String)> =
        sqlx::query_as("SELECT name, lower(type) FROM pragma_table_info(?1)")
            .bind(table)
            .fetch_all(connection)
            .await
            .unwrap();
    rows.into_iter().map(|(name, kind)| Column { name, kind }).collect()
}

/// A row in every table that has none: as often as tables that others point at were filled.
async fn fill_sqlite(connection: &mut SqliteConnection, of: &str) {
    let mut open = sqlite_tables(connection).await;
    loop {
        let (before, mut left, mut why) = (open.len(), Vec::new(), String::new());
        for (table, sql) in open {
            let columns = sqlite_columns(connection, &table).await;
            let names: Vec<_> = columns.iter().map(|c| format!("\"{}\"", c.name)).collect();
            let values: Vec<_> =
                columns.iter().map(|c| value(c, condition(&sql, &c.name))).collect();
            let insert = format!(
                "INSERT INTO \"{table}\" ({}) SELECT {} WHERE NOT EXISTS (SELECT 1 FROM \"{table}\")",
                names.join(", "),
                values.join(", ")
            );
            if let Err(error) =
                sqlx::query(sqlx::AssertSqlSafe(insert)).execute(&mut *connection).await
            {
                why = format!("{table}: {error}");
                left.push((table, sql));
            }
        }
        if left.is_empty() {
            return;
        }
        assert!(left.len() < before, "{of}: {why}");
        open = left;
    }
}

async fn sqlite_rows(connection: &mut SqliteConnection) -> Tables {
    let mut all = Tables::new();
    for (table, _) in sqlite_tables(connection).await {
        let columns = sqlite_columns(connection, &table).await;
        let quoted: Vec<_> = columns.iter().map(|c| format!("quote(\"{}\")", c.name)).collect();
        let sql = format!("SELECT {} FROM \"{table}\"", quoted.join(", "));
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql)).fetch_all(&mut *connection).await.unwrap();
        let row = |row: &sqlx::sqlite::SqliteRow| {
            columns.iter().enumerate().map(|(i, c)| (c.name.clone(), row.get(i))).collect()
        };
        all.insert(table, rows.iter().map(row).collect());
    }
    all
}

async fn upgraded_sqlite(which: sqlite_looking::Which) {
    let steps: &[Step] = which.steps();
    let mut shapes = BTreeSet::new();
    for at in 1..=steps.len() {
        let of = format!("{which:?} from {at}");
        let folder = tempfile::tempdir().unwrap();
        let database = Database::new(folder.path().join("x.db"), None);
        let options = || super::sqlite::options(&database).foreign_keys(true);
        let mut connection = options().connect().await.unwrap();
        migrator(&steps[..at]).run(&mut connection).await.unwrap();
        fill_sqlite(&mut connection, &of).await;
        let before = sqlite_rows(&mut connection).await;
        connection.close().await.unwrap();
        // As the program does it: in another session.
        let mut connection = options().connect().await.unwrap();
        migrator(steps).run(&mut connection).await.unwrap();
        let after = sqlite_rows(&mut connection).await;
        kept(&of, &before, &after);
        let broken: i64 = sqlx::query_scalar("SELECT count(*) FROM pragma_foreign_key_check")
            .fetch_one(&mut connection)
            .await
            .unwrap();
        assert_eq!(broken, 0, "{of}: a row points at nothing");
        connection.close().await.unwrap();
        assert_eq!(sqlite_looking::flaw(&database).await.unwrap(), None, "{of}");
        // Whichever way a database came, it has the same shape.
        shapes.insert(after.keys().cloned().collect::<Vec<_>>());
    }
    assert_eq!(shapes.len(), 1, "{which:?}: {shapes:?}");
}

#[tokio::test]
async fn every_released_schema_is_upgraded_with_its_rows_on_sqlite() {
    for which in sqlite_looking::Which::ALL {
        upgraded_sqlite(which).await;
    }
}

/// The program's own way in, from the first schema of a node: what opens it finds what it needs.
#[tokio::test]
async fn the_first_schema_of_a_node_opens_as_a_store() {
    let folder = tempfile::tempdir().unwrap();
    let database = Database::new(folder.path().join("xiangyi.db"), None);
    let steps = sqlite_looking::Which::Node.steps();
    let mut connection = super::sqlite::options(&database).connect().await.unwrap();
    migrator(&steps[..1]).run(&mut connection).await.unwrap();
    fill_sqlite(&mut connection, "first").await;
    connection.close().await.unwrap();
    let tasks = tokio_util::task::TaskTracker::new();
    let store = super::sqlite::SqliteStore::open(&database, 4, &tasks).await.unwrap();
    super::sqlite::documents::Documents::open(&database, "first").await.unwrap();
    drop(store);
    tasks.close();
    tasks.wait().await;
    let schema = sqlite_looking::schema(&database, sqlite_looking::Which::Node).await.unwrap();
    assert_eq!(schema.at, schema.known);
}

mod on_postgres {
    use sqlx::postgres::PgConnection;

    use super::*;
    use crate::store::postgres::looking::Which;
    use crate::store::postgres::testing::{Scratch, url};

    async fn tables(connection: &mut PgConnection) -> Vec<String> {
        sqlx::query_scalar(
            "SELECT c.relname::text FROM pg_class c WHERE c.relkind = 'r' \
             AND c.relnamespace = current_schema()::regnamespace \
             AND c.relname <> '_sqlx_migrations' ORDER BY 1",
        )
        .fetch_all(connection)
        .await
        .unwrap()
    }

    /// Columns with what the table says of them.
    async fn columns(connection: &mut PgConnection, table: &str) -> Vec<(Column, Option<String>)> {
        let rows: Vec<(String, String)> = sqlx::query_as(
            "SELECT column_name::text, lower(data_type)::text FROM information_schema.columns \
             WHERE table_schema = current_schema() AND table_name = $1 AND is_generated = 'NEVER' \
             ORDER BY ordinal_position",
        )
        .bind(table)
        .fetch_all(&mut *connection)
        .await
        .unwrap();
        let checks: Vec<String> = sqlx::query_scalar(
            "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE contype = 'c' \
             AND conrelid = quote_ident($1)::regclass",
        )
        .bind(table)
        .fetch_all(connection)
        .await
        .unwrap();
        let about = |name: &str| {
            let is_of = |check: &&String| {
                check
                    .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
                    .any(|word| word == name)
            };
            checks.iter().find(is_of).cloned()
        };
        let with = |(name, kind): (String, String)| {
            let check = about(&name);
            (Column { name, kind }, check)
        };
        rows.into_iter().map(with).collect()
    }

    async fn fill(connection: &mut PgConnection, of: &str) {
        let mut open = tables(connection).await;
        loop {
            let (before, mut left, mut why) = (open.len(), Vec::new(), String::new());
            for table in open {
                let columns = columns(connection, &table).await;
                let names: Vec<_> =
                    columns.iter().map(|(c, _)| format!("\"{}\"", c.name)).collect();
                let values: Vec<_> =
                    columns.iter().map(|(c, check)| value(c, check.as_deref())).collect();
                let insert = format!(
                    "INSERT INTO \"{table}\" ({}) OVERRIDING SYSTEM VALUE SELECT {} \
                     WHERE NOT EXISTS (SELECT 1 FROM \"{table}\")",
                    names.join(", "),
                    values.join(", ")
                );
                if let Err(error) =
                    sqlx::query(sqlx::AssertSqlSafe(insert)).execute(&mut *connection).await
                {
                    why = format!("{table}: {error}");
                    left.push(table);
                }
            }
            if left.is_empty() {
                return;
            }
            assert!(left.len() < before, "{of}: {why}");
            open = left;
        }
    }

    async fn rows(connection: &mut PgConnection) -> Tables {
        let mut all = Tables::new();
        for table in tables(connection).await {
            let columns = columns(connection, &table).await;
            let texts: Vec<_> = columns
                .iter()
                .map(|(c, _)| format!("coalesce(\"{}\"::text, 'NULL')", c.name))
                .collect();
            let sql = format!("SELECT {} FROM \"{table}\"", texts.join(", "));
            let found =
                sqlx::query(sqlx::AssertSqlSafe(sql)).fetch_all(&mut *connection).await.unwrap();
            let row = |row: &sqlx::postgres::PgRow| {
                columns.iter().enumerate().map(|(i, (c, _))| (c.name.clone(), row.get(i))).collect()
            };
            all.insert(table, found.iter().map(row).collect());
        }
        all
    }

    #[tokio::test]
    async fn every_released_schema_is_upgraded_with_its_rows_on_postgres() {
        let Some(url) = url() else { return };
        for which in [Which::Hub, Which::Studies] {
            let steps = which.steps();
            let mut shapes = BTreeSet::new();
            for at in 1..=steps.len() {
                let of = format!("{which:?} from {at}");
                let scratch = Scratch::new(&url);
                let mut connection = scratch.made().await;
                migrator(&steps[..at]).run_direct(None, &mut connection, false).await.unwrap();
                fill(&mut connection, &of).await;
                let before = rows(&mut connection).await;
                migrator(steps).run_direct(None, &mut connection, false).await.unwrap();
                let after = rows(&mut connection).await;
                kept(&of, &before, &after);
                shapes.insert(after.keys().cloned().collect::<Vec<_>>());
                connection.close().await.unwrap();
                scratch.drop().await;
            }
            assert_eq!(shapes.len(), 1, "{which:?}: {shapes:?}");
        }
    }
}
