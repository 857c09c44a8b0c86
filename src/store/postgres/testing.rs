//! A schema for each test on the server that the environment names, and clusters that may crash.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use sqlx::postgres::PgConnection;
use sqlx::{ConnectOptions as _, Connection as _};

use super::Server;

/// The server for tests. Without one the test says on standard error that it did not run; with
/// `XIANGYI_REQUIRE_POSTGRES=1` that is a failure.
pub(crate) fn url() -> Option<String> {
    #[expect(clippy::disallowed_methods, reason = "tests learn here what the machine has")]
    let (url, required) =
        (std::env::var("XIANGYI_TEST_POSTGRES"), std::env::var("XIANGYI_REQUIRE_POSTGRES"));
    if let Ok(url) = url {
        return Some(url);
    }
    assert!(required.is_err(), "XIANGYI_REQUIRE_POSTGRES is set and XIANGYI_TEST_POSTGRES is not");
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    // Straight to the terminal: the test harness hides what a passing test prints.
    let note = format!("NOT RUN on PostgreSQL: {test}: XIANGYI_TEST_POSTGRES is not set");
    let _ = writeln!(std::io::stderr(), "{note}");
    None
}

/// A schema of its own.
#[derive(Debug)]
pub(crate) struct Scratch {
    pub(crate) server: Server,
    pub(crate) schema: String,
}

impl Scratch {
    /// On the server at `url`; the schema is made when it is opened.
    pub(crate) fn new(url: &str) -> Self {
        let mut bytes = [0_u8; 8];
        getrandom::fill(&mut bytes).unwrap();
        let schema = format!("test_{:016x}", u64::from_be_bytes(bytes));
        Self { server: Server::parse(url).unwrap(), schema }
    }

    /// Runs `sql` beside everything else.
    pub(crate) async fn run(&self, sql: &'static str) {
        let mut connection = self.server.options(&self.schema).connect().await.unwrap();
        sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    }

    /// The schema, made and empty, and a connection to it.
    pub(crate) async fn made(&self) -> PgConnection {
        let mut connection = self.server.options(&self.schema).connect().await.unwrap();
        // The name was made of hex digits above.
        let sql = sqlx::AssertSqlSafe(format!("CREATE SCHEMA \"{}\"", self.schema));
        sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
        connection
    }

    /// Takes the schema away.
    pub(crate) async fn drop(self) {
        let mut connection = self.server.options(&self.schema).connect().await.unwrap();
        // The name was made of hex digits above.
        let sql = sqlx::AssertSqlSafe(format!("DROP SCHEMA \"{}\" CASCADE", self.schema));
        sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    }
}

/// A cluster that belongs to one test.
#[derive(Debug)]
pub(crate) struct Cluster {
    folder: PathBuf,
}

impl Cluster {
    /// Starts one in a folder of this name under `target/`.
    pub(crate) fn start(name: &str) -> (Self, String) {
        let folder = PathBuf::from(format!("target/{name}-{}", std::process::id()));
        let cluster = Self { folder };
        let url = cluster.script("start");
        (cluster, url)
    }

    /// Ends the server as a power cut would.
    pub(crate) fn crash(&self) {
        self.script("crash");
    }

    /// Starts it again, at the same address.
    pub(crate) fn go_on(&self) {
        self.script("start");
    }

    fn script(&self, command: &str) -> String {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/postgres");
        let done = Command::new(script).arg(command).arg(&self.folder).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8(done.stdout).unwrap().trim().to_owned()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.script("stop");
    }
}
