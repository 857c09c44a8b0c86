//! Nodes whose index of studies lies in PostgreSQL.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use sqlx::ConnectOptions as _;
use sqlx::postgres::PgConnectOptions;
use tonic::Code;
use xiangyi::config::{Config, IndexName};
use xiangyi::node;
use xiangyi::rpc::proto::xiangyi::imaging::v1 as im;

use crate::at_rest::{files, master};
use crate::harness::{Setup, TestNode, reason};
use crate::images::{Slice, as_data_set, search, small, store, store_slices};

/// The address of the server for tests. Without one the test says on standard error that it did not
/// run; with `XIANGYI_REQUIRE_POSTGRES` set that is a failure.
pub(crate) fn url() -> Option<String> {
    #[expect(clippy::disallowed_methods, reason = "tests learn here what the machine has")]
    let (url, required) =
        (std::env::var("XIANGYI_TEST_POSTGRES"), std::env::var("XIANGYI_REQUIRE_POSTGRES"));
    if url.is_err() {
        assert!(required.is_err(), "XIANGYI_REQUIRE_POSTGRES is set, XIANGYI_TEST_POSTGRES is not");
        // Straight to the terminal: the test harness hides what a passing test prints.
        let note = "NOT RUN: a node on PostgreSQL; XIANGYI_TEST_POSTGRES is not set";
        let _ = writeln!(std::io::stderr(), "{note}");
    }
    url.ok()
}

/// A configuration with its index in `schema` of the database at `url`.
fn on(url: &str, schema: &str) -> Setup {
    let section = format!(
        "[imaging]\nindex = \"postgres\"\npostgres_url = \"{url}\"\npostgres_schema = \"{schema}\"\n"
    );
    let read = Config::parse("test", &section, &std::collections::BTreeMap::new()).unwrap();
    small().with(|c| {
        c.imaging.index = IndexName::Postgres;
        c.imaging.postgres_url = read.imaging.postgres_url;
        c.imaging.postgres_schema = read.imaging.postgres_schema;
    })
}

/// A name that no other test has.
pub(crate) fn schema(name: &str) -> String {
    format!("it_{name}_{}", std::process::id())
}

pub(crate) async fn drop_schema(url: &str, schema: &str) {
    let options: PgConnectOptions = url.parse().unwrap();
    let mut connection = options.connect().await.unwrap();
    // The name is made of letters and digits above.
    let sql = sqlx::AssertSqlSafe(format!("DROP SCHEMA \"{schema}\" CASCADE"));
    sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
}

async fn named(node: &TestNode, name: &str) -> Vec<String> {
    let request = im::SearchStudiesRequest { patient_name: name.to_owned(), ..Default::default() };
    search(node, request).await.into_iter().map(|study| study.study_uid).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_node_stores_is_found_in_postgres_also_after_a_restart_and_made_anew() {
    let Some(url) = url() else { return };
    let schema = schema("restart");
    let node = on(&url, &schema).start().await;
    let slices: Vec<_> = (1..=5).map(|n| Slice::head("1.2.77", n)).collect();
    store_slices(&node, &slices).await;
    let other = Slice { name: "Li^Si=李^四".to_owned(), ..Slice::head("1.2.78", 1) };
    store_slices(&node, &[Slice { patient_id: "P2".to_owned(), ..other }]).await;
    for (asked, found) in [("*小东*", "1.2.77"), ("李四", "1.2.78"), ("*wang*", "1.2.77")] {
        assert_eq!(named(&node, asked).await, [found], "{asked}");
    }
    // A second node on the same schema is refused, before it touches anything.
    let second = tempfile::tempdir().unwrap();
    let mut config = on(&url, &schema).config;
    config.store.dir = second.path().to_owned();
    let refused = node::Node::start(config).await.expect_err("refused");
    let refused = xiangyi::app::chain(&refused);
    assert!(refused.contains(&schema) && refused.contains("another node"), "{refused}");

    let TestNode { node: running, data, .. } = node;
    assert!(running.stop().await, "drains");
    let mut config = on(&url, &schema).config;
    config.store.dir = data.path().to_owned();
    let held = node::imaging::held(&config).await.unwrap();
    assert_eq!((held.counts.studies, held.counts.instances), (2, 6));
    let node = on(&url, &schema).start_in(data).await;
    assert_eq!(named(&node, "*小东*").await, ["1.2.77"]);

    let TestNode { node: running, data, .. } = node;
    assert!(running.stop().await, "drains");
    drop_schema(&url, &schema).await;
    let caught = node::imaging::reindex(&config, &mut |_| ()).await.unwrap();
    assert_eq!((caught.added, caught.unreadable), (6, 0));
    let caught = node::imaging::reindex(&config, &mut |_| ()).await.unwrap();
    assert_eq!(caught.added, 6);
    let node = on(&url, &schema).start_in(data).await;
    assert_eq!(named(&node, "*小东*").await, ["1.2.77"]);
    assert!(node.node.stop().await, "drains");
    drop_schema(&url, &schema).await;
}

/// A server that belongs to one test and may crash.
struct Server(PathBuf);

impl Server {
    fn run(&self, command: &str) -> String {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/postgres");
        let done = Command::new(script).arg(command).arg(&self.0).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8(done.stdout).unwrap().trim().to_owned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.run("stop");
    }
}

/// What of the planted patient stands in the files of a server.
fn names_in(server: &Server) -> Vec<&'static str> {
    let files = files(&Path::new(env!("CARGO_MANIFEST_DIR")).join(&server.0).join("data"));
    assert!(files.iter().any(|(path, _)| path.ends_with("PG_VERSION")), "no server's files");
    let has = |word: &str| {
        files.iter().any(|(_, bytes)| memchr::memmem::find(bytes, word.as_bytes()).is_some())
    };
    ["欧阳", "测试密", "ZZ-4417-QX"].into_iter().filter(|word| has(word)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_was_carried_away_names_no_patient_of_a_node_that_encrypts() {
    if url().is_none() {
        return;
    }
    let server = Server(PathBuf::from(format!("target/postgres-away-{}", std::process::id())));
    let url = server.run("start");
    let keys = tempfile::tempdir().unwrap();
    let key = master(keys.path(), "master", 1);
    let sealed = || on(&url, "sealed").with(|c| c.encryption.key_file = Some(key.clone()));
    let slice = Slice {
        name: "Ouyang^CeShi=欧阳^测试密".to_owned(),
        patient_id: "ZZ-4417-QX".to_owned(),
        ..Slice::head("1.2.79", 1)
    };
    let node = sealed().start().await;
    store_slices(&node, std::slice::from_ref(&slice)).await;
    assert_eq!(named(&node, "*测试*").await, ["1.2.79"]);
    let TestNode { node: running, data, .. } = node;
    assert!(running.stop().await, "drains");
    // It is the keyring's key that opens the index again, and no node without it begins one there.
    let node = sealed().start_in(data).await;
    assert_eq!(named(&node, "欧阳^测试密").await, ["1.2.79"]);
    let mut config = on(&url, "sealed").config;
    let other = tempfile::tempdir().unwrap();
    assert!(node.node.stop().await, "drains");
    other.path().clone_into(&mut config.store.dir);
    let refused = xiangyi::app::chain(&node::Node::start(config).await.expect_err("refused"));
    assert!(refused.contains("sealed with key") && refused.contains("made anew"), "{refused}");
    server.run("crash");
    assert_eq!(names_in(&server), [""; 0]);

    // A node that does not encrypt writes all of it there: this test can fail.
    server.run("start");
    let node = on(&url, "plain").start().await;
    store_slices(&node, &[slice]).await;
    assert!(node.node.stop().await, "drains");
    server.run("crash");
    assert_eq!(names_in(&server).len(), 3);
    server.run("start");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_answers_unavailable_while_its_server_is_away_and_goes_on_when_it_is_back() {
    if url().is_none() {
        return;
    }
    let server = Server(PathBuf::from(format!("target/postgres-it-{}", std::process::id())));
    let url = server.run("start");
    let node = on(&url, "xiangyi").start().await;
    let mut kept = Vec::new();
    for round in 1..=3_u32 {
        for number in 1..=10 {
            let slice = Slice::head(&format!("1.2.9{round}"), number);
            store_slices(&node, std::slice::from_ref(&slice)).await;
            kept.push(slice);
        }
        server.run("crash");
        let slice = Slice::head(&format!("1.2.9{round}"), 11);
        let messages = as_data_set(&slice.uid(), &slice.bytes());
        let status = store(&node, messages.clone()).await.err();
        assert!(status.is_none_or(|s| s.code() == Code::Unavailable), "no object is taken");
        let asked = node.imaging().search_studies(im::SearchStudiesRequest::default()).await;
        let status = asked.unwrap_err();
        assert_eq!((status.code(), reason(&status).as_str()), (Code::Unavailable, "UNAVAILABLE"));
        assert!(!status.message().contains("postgres://"), "{}", status.message());
        server.run("start");
        // Sent again until it is taken, as a sender does. What the server lost is added first.
        let mut tries = 0;
        loop {
            let stored = store(&node, messages.clone()).await;
            let outcome = stored.ok().and_then(|s| Some(s.results.first()?.outcome()));
            if matches!(outcome, Some(im::StoreOutcome::Stored | im::StoreOutcome::Known)) {
                break;
            }
            tries += 1;
            assert!(tries < 100, "{outcome:?}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        kept.push(slice);
    }
    let info = node.imaging().get_archive_info(im::GetArchiveInfoRequest {}).await.unwrap();
    assert_eq!(info.into_inner().instance_count, u64::try_from(kept.len()).unwrap());
    let found = search(&node, im::SearchStudiesRequest::default()).await;
    assert!(found.iter().all(|study| study.instance_count == 11), "{found:?}");
    assert_eq!(found.len(), 3);
    assert!(node.node.stop().await, "drains");
}
