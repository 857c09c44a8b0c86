//! The suite of the application on `SQLite`, and what the audit trail says.

use std::path::Path;
use std::sync::Arc;

use proptest::test_runner::{Config, TestRunner};

use super::HubStore;
use super::nodes::NodeCertificates;
use super::reporting::HubReporting;
use super::seal::HubTrail;
use crate::app::exchange::ports::HubDocuments;
use crate::app::exchange::store_suite::{TESTS, asking, handles, look_ups, model, scopes};
use crate::app::nodes::store_suite as nodes;
use crate::app::people::store_suite as people;
use crate::app::reporting::store_suite as reporting;
use crate::sharing::audit::Fault;

async fn open(folder: &Path) -> HubStore {
    HubStore::open(&folder.join("hub.db"), scopes()).await.unwrap()
}

#[tokio::test]
async fn keeps_what_the_suite_asks_for() {
    for (name, test) in TESTS {
        println!("{name}");
        let folder = tempfile::tempdir().unwrap();
        test(&open(folder.path()).await).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_hubs_may_open_one_file() {
    for (name, test) in handles::TESTS {
        println!("{name}");
        let folder = tempfile::tempdir().unwrap();
        let mut hubs: handles::Hubs = Vec::new();
        for _ in 0..2 {
            hubs.push(Arc::new(open(folder.path()).await));
        }
        test(hubs).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn joins_people_as_the_suite_asks_for() {
    for (name, test) in people::TESTS {
        println!("{name}");
        let folder = tempfile::tempdir().unwrap();
        let mut hubs = Vec::new();
        for _ in 0..2 {
            let path = folder.path().join("hub.db");
            let store = HubStore::open(&path, people::scopes()).await.unwrap();
            hubs.push(people::hub(Arc::new(store)));
        }
        test(hubs).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keeps_what_nodes_tell_as_the_suite_asks_for() {
    for (name, test) in reporting::TESTS {
        println!("{name}");
        let folder = tempfile::tempdir().unwrap();
        drop(open(folder.path()).await);
        let mut hubs: reporting::Hubs = Vec::new();
        for _ in 0..2 {
            hubs.push(Arc::new(HubReporting::open(&folder.path().join("hub.db"))));
        }
        test(hubs).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keeps_certificates_of_nodes_as_the_suite_asks_for() {
    for (name, test) in nodes::TESTS {
        println!("{name}");
        let folder = tempfile::tempdir().unwrap();
        drop(open(folder.path()).await);
        let mut hubs: nodes::Hubs = Vec::new();
        for _ in 0..2 {
            hubs.push(Arc::new(NodeCertificates::open(&folder.path().join("hub.db"))));
        }
        test(hubs).await;
    }
}

#[test]
fn answers_as_a_store_in_memory_does() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut runner =
        TestRunner::new(Config { cases: 96, failure_persistence: None, ..Config::default() });
    runner
        .run(&model::conversation(), |conversation| {
            runtime.block_on(async {
                let folder = tempfile::tempdir().unwrap();
                model::agree(&open(folder.path()).await, conversation).await;
            });
            Ok(())
        })
        .unwrap();
}

#[tokio::test]
async fn everything_is_there_after_reopening() {
    let folder = tempfile::tempdir().unwrap();
    let (_, keeps) = TESTS[0];
    let store = open(folder.path()).await;
    keeps(&store).await;
    let before = (store.inbox("village-1", 0, 10).await.unwrap(), store.nodes().await.unwrap());
    drop(store);
    let store = open(folder.path()).await;
    let after = (store.inbox("village-1", 0, 10).await.unwrap(), store.nodes().await.unwrap());
    assert_eq!(after, before);
    let full: i64 =
        sqlx::query_scalar("PRAGMA synchronous").fetch_one(&store.writer).await.unwrap();
    assert_eq!(full, 2);
}

#[tokio::test]
async fn the_audit_trail_says_what_became_of_each_document() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    crate::app::exchange::store_suite::story(&store).await;
    let rows: Vec<(String, String, String, String)> =
        sqlx::query_as("SELECT node, action, outcome, recipients FROM audit ORDER BY id")
            .fetch_all(&store.readers)
            .await
            .unwrap();
    let rows: Vec<_> = rows.iter().map(|(a, b, c, d)| format!("{a} {b}: {c} [{d}]")).collect();
    assert_eq!(rows, crate::app::exchange::store_suite::AUDIT);
}

#[tokio::test]
async fn nodes_that_ask_for_records_are_answered_as_the_application_says() {
    for (name, test) in asking::TESTS {
        println!("{name}");
        let folder = tempfile::tempdir().unwrap();
        test(Arc::new(open(folder.path()).await)).await;
    }
}

#[tokio::test]
async fn a_document_that_was_damaged_is_named_and_not_given() {
    for damage in [
        "UPDATE document SET body = substr(body, 1, 40)",
        "UPDATE document SET body = zeroblob(length(body))",
        "UPDATE document SET name = 'r', sha256 = zeroblob(32)",
        "UPDATE document SET sha256 = x'00'",
    ] {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(open(folder.path()).await);
        let asking = asking::Asking::new(Arc::<HubStore>::clone(&store));
        let sent = asking.submit(1, ("r", 1), |_| ()).await;
        assert_eq!(asking.fetched(0).await.unwrap(), Some(sent));
        sqlx::query(damage).execute(&store.writer).await.unwrap();
        asking.finds_damage().await;
    }
}

#[tokio::test]
async fn the_trail_of_look_ups_says_who_whose_why_and_what_came_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    look_ups::story(&store).await;
    let rows: Vec<String> = sqlx::query_scalar(
        "SELECT format('%d %s %s %s %s %s %s %s %d %s/%d [%s] %s %s', at_ms, node, caller, role, \
         action, purpose, iif(glass_broken, 'true', 'false'), reason, unicode(person), record, \
         version, documents, outcome, iif(counted, 'true', 'false')) FROM look_up ORDER BY number",
    )
    .fetch_all(&store.readers)
    .await
    .unwrap();
    assert_eq!(rows, look_ups::TRAIL);
}

#[tokio::test]
async fn the_audit_trail_is_chained_and_what_is_done_to_it_is_found() {
    use crate::app::audit::ports::Chained as _;
    use crate::store::hub::seal::suite::{ATTACKS, ENTRIES, LOOKED_UP, chained, verified};
    let rows = format!("{LOOKED_UP} FROM (SELECT 1 AS yes, x'0102' AS person) x");
    let inserted = "INSERT INTO audit (id, at_ms, node, action, document, outcome, recipients) \
                    VALUES (-1, 1, 'n', 'a', 0, 'o', '')";
    let attacks = ATTACKS.into_iter().chain([(inserted, 1, Fault::Inserted)]);
    for (sql, number, fault) in attacks {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path()).await;
        crate::app::exchange::store_suite::story(&store).await;
        // A test's own text.
        sqlx::raw_sql(sqlx::AssertSqlSafe(rows.clone())).execute(&store.writer).await.unwrap();
        let trail = HubTrail::open(&folder.path().join("hub.db"));
        chained(&trail, ENTRIES).await;
        assert_eq!(verified(&trail).await.unwrap().entries, ENTRIES);
        let last = trail.after(ENTRIES - 1, 9).await.unwrap();
        assert_eq!((&*last[0].caller, &*last[0].patient_reference), ("village/李医生", "0102"));
        sqlx::raw_sql(sql).execute(&store.writer).await.unwrap();
        let broken = verified(&trail).await.unwrap_err();
        assert_eq!((broken.number, broken.fault), (number, fault), "{sql}");
    }
}
