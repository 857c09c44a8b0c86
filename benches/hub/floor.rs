//! What a bare transaction of the same shape costs: document, two rows of inboxes, audit entry, commit.
//! Nothing is looked up, locked or decided.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions as _, Connection as _};

use super::{Line, SCHEMA, body, new_histogram};

/// Submissions of a batched transaction.
const BATCH: i64 = 256;
/// Connections of the line that shows what the server's own group commit gives.
const CONNECTIONS: i64 = 16;

/// Each connection of each line has numbers of its own.
static NUMBERS: AtomicI64 = AtomicI64::new(0);

const TABLES: &str = "\
    CREATE TABLE floor_document (number bigint PRIMARY KEY, name text NOT NULL UNIQUE, \
    sha256 bytea NOT NULL, body bytea NOT NULL); \
    CREATE TABLE floor_inbox (node text NOT NULL, number bigint NOT NULL, document bigint NOT NULL, \
    PRIMARY KEY (node, number)); \
    CREATE TABLE floor_audit (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, \
    at_ms bigint NOT NULL, action text NOT NULL, document bigint NOT NULL)";

/// As the store's table has it.
const COMPRESSION: &str = "ALTER TABLE floor_document ALTER COLUMN body SET COMPRESSION lz4";

async fn connect(url: &str) -> PgConnection {
    let options: PgConnectOptions = url.parse().unwrap();
    let options = options.options([("search_path", SCHEMA), ("synchronous_commit", "on")]);
    options.disable_statement_logging().connect().await.unwrap()
}

/// Takes the schema of the run away.
pub(super) async fn drop_schema(url: &str, schema: &str) {
    let mut connection = connect(url).await;
    let sql = sqlx::AssertSqlSafe(format!("DROP SCHEMA IF EXISTS {schema} CASCADE"));
    sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

/// One transaction for documents `first` to `first + count - 1`.
async fn commit(connection: &mut PgConnection, first: i64, count: i64) {
    let numbers: Vec<i64> = (first..first + count).collect();
    let names: Vec<String> = numbers.iter().map(|n| format!("hospital/{n:036}")).collect();
    let digests: Vec<Vec<u8>> = numbers.iter().map(|n| n.to_be_bytes().repeat(4)).collect();
    let bodies: Vec<bytes::Bytes> = numbers.iter().map(|n| body(n.unsigned_abs())).collect();
    let bodies: Vec<&[u8]> = bodies.iter().map(|body| &body[..]).collect();
    let mut transaction = connection.begin().await.unwrap();
    sqlx::query(
        "INSERT INTO floor_document (number, name, sha256, body) \
         SELECT * FROM unnest($1::int8[], $2::text[], $3::bytea[], $4::bytea[])",
    )
    .bind(&numbers)
    .bind(names)
    .bind(digests)
    .bind(bodies)
    .execute(&mut *transaction)
    .await
    .unwrap();
    sqlx::query(
        "INSERT INTO floor_inbox (node, number, document) \
         SELECT 'village-' || n % 2883, n, n FROM unnest($1::int8[]) j(n) \
         UNION ALL SELECT 'township-' || n % 145, n, n FROM unnest($1::int8[]) j(n)",
    )
    .bind(&numbers)
    .execute(&mut *transaction)
    .await
    .unwrap();
    sqlx::query(
        "INSERT INTO floor_audit (at_ms, action, document) \
         SELECT 1764000000000, 'record', n FROM unnest($1::int8[]) j(n)",
    )
    .bind(&numbers)
    .execute(&mut *transaction)
    .await
    .unwrap();
    transaction.commit().await.unwrap();
}

async fn run(url: &str, name: &str, (connections, count): (i64, i64), time: Duration) -> Line {
    let tasks: Vec<_> = (0..connections)
        .map(|_| {
            let url = url.to_owned();
            let mut next = NUMBERS.fetch_add(10_000_000, Ordering::Relaxed);
            tokio::spawn(async move {
                let mut connection = connect(&url).await;
                let (mut latency, begin) = (new_histogram(), Instant::now());
                while begin.elapsed() < time {
                    let sent = Instant::now();
                    commit(&mut connection, next, count).await;
                    latency.saturating_record(sent.elapsed().as_micros().try_into().unwrap());
                    next += count;
                }
                let seconds = begin.elapsed().as_secs_f64();
                connection.close().await.unwrap();
                (latency, seconds)
            })
        })
        .collect();
    let (mut latency, mut seconds) = (new_histogram(), 0.0_f64);
    for task in tasks {
        let (of_one, its_seconds) = task.await.unwrap();
        latency.add(of_one).unwrap();
        seconds = seconds.max(its_seconds);
    }
    let count = latency.len() * count.unsigned_abs();
    Line { name: name.to_owned(), count, seconds, latency }
}

/// Measures and prints; the rates of one at a time and of batches.
pub(super) async fn measure(url: &str, time: Duration) -> (f64, f64) {
    let mut connection = connect(url).await;
    let sql = sqlx::AssertSqlSafe(format!("CREATE SCHEMA {SCHEMA}"));
    sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
    sqlx::raw_sql(TABLES).execute(&mut connection).await.unwrap();
    if let Err(error) = sqlx::raw_sql(COMPRESSION).execute(&mut connection).await {
        println!("the server has no lz4: {error}");
    }
    connection.close().await.unwrap();
    run(url, "", (1, 1), Duration::from_millis(500)).await;
    let single = run(url, "bare transaction, one at a time", (1, 1), time).await;
    single.print(None);
    let many = run(url, "bare transaction, 16 connections", (CONNECTIONS, 1), time).await;
    many.print(None);
    let batched = run(url, "bare transaction of 256", (1, BATCH), time).await;
    batched.print(None);
    (single.rate(), batched.rate())
}
