//! The suites of the application on PostgreSQL, and what only a server can do wrong.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use proptest::test_runner::{Config, TestRunner};
use sqlx::Row as _;
use tokio::time::{sleep, timeout};
use tokio_util::task::TaskTracker;

use super::nodes::NodeCertificates;
use super::reporting::HubReporting;
use super::seal::HubTrail;
use super::{HubStore, load, look_up, read};
use crate::app::error::{Code, Error};
use crate::app::exchange::ports::{HubDocuments, Submission};
use crate::app::exchange::store_suite::{self, TESTS, asking, handles, look_ups, model, scopes};
use crate::app::nodes::store_suite as nodes;
use crate::app::people::store_suite as people;
use crate::app::reporting::store_suite as reporting;
use crate::sharing::audit::Fault;
use crate::sharing::exchange::Outcome;
use crate::store::postgres::Server;
use crate::store::postgres::testing::{Cluster, Scratch, url};

async fn open(scratch: &Scratch, tracker: &TaskTracker) -> HubStore {
    HubStore::open(&scratch.server, &scratch.schema, scopes(), tracker).await.unwrap()
}

/// After the last handle is dropped.
async fn end(scratch: Scratch, tracker: TaskTracker) {
    tracker.close();
    timeout(Duration::from_secs(10), tracker.wait()).await.expect("a task goes on");
    scratch.drop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keeps_what_the_suite_asks_for() {
    let Some(url) = url() else { return };
    for (name, test) in TESTS {
        println!("{name}");
        let (scratch, tracker) = (Scratch::new(&url), TaskTracker::new());
        let store = open(&scratch, &tracker).await;
        test(&store).await;
        drop(store);
        end(scratch, tracker).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn joins_people_as_the_suite_asks_for() {
    let Some(url) = url() else { return };
    for (name, test) in people::TESTS {
        println!("{name}");
        let (scratch, tracker) = (Scratch::new(&url), TaskTracker::new());
        let mut hubs = Vec::new();
        for _ in 0..2 {
            let scopes = people::scopes();
            let opened = HubStore::open(&scratch.server, &scratch.schema, scopes, &tracker).await;
            hubs.push(people::hub(Arc::new(opened.unwrap())));
        }
        test(hubs).await;
        end(scratch, tracker).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keeps_what_nodes_tell_as_the_suite_asks_for() {
    let Some(url) = url() else { return };
    for (name, test) in reporting::TESTS {
        println!("{name}");
        let (scratch, tracker) = (Scratch::new(&url), TaskTracker::new());
        drop(open(&scratch, &tracker).await);
        let mut hubs: reporting::Hubs = Vec::new();
        for _ in 0..3 {
            hubs.push(Arc::new(HubReporting::open(&scratch.server, &scratch.schema)));
        }
        test(hubs).await;
        end(scratch, tracker).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keeps_certificates_of_nodes_as_the_suite_asks_for() {
    let Some(url) = url() else { return };
    for (name, test) in nodes::TESTS {
        println!("{name}");
        let (scratch, tracker) = (Scratch::new(&url), TaskTracker::new());
        drop(open(&scratch, &tracker).await);
        let mut hubs: nodes::Hubs = Vec::new();
        for _ in 0..3 {
            hubs.push(Arc::new(NodeCertificates::open(&scratch.server, &scratch.schema)));
        }
        test(hubs).await;
        end(scratch, tracker).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_and_three_hubs_work_on_one_schema() {
    let Some(url) = url() else { return };
    for (name, test) in handles::TESTS {
        for count in 2..=3 {
            println!("{name}");
            let (scratch, tracker) = (Scratch::new(&url), TaskTracker::new());
            // They start at the same time, on a schema that is not there yet.
            let opens = (0..count).map(|_| open(&scratch, &tracker));
            let opened = futures_util::future::join_all(opens).await;
            let mut hubs: handles::Hubs = Vec::new();
            for store in opened {
                hubs.push(Arc::new(store));
            }
            test(hubs).await;
            end(scratch, tracker).await;
        }
    }
}

#[test]
fn answers_as_a_store_in_memory_does() {
    let Some(url) = url() else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let config = Config { cases: 48, failure_persistence: None, ..Config::default() };
    TestRunner::new(config)
        .run(&model::conversation(), |conversation| {
            runtime.block_on(async {
                let (scratch, tracker) = (Scratch::new(&url), TaskTracker::new());
                let store = open(&scratch, &tracker).await;
                model::agree(&store, conversation).await;
                drop(store);
                end(scratch, tracker).await;
            });
            Ok(())
        })
        .unwrap();
}

#[tokio::test]
async fn the_audit_trail_says_what_became_of_each_document() {
    let Some(url) = url() else { return };
    let (scratch, tracker) = (Scratch::new(&url), TaskTracker::new());
    let store = open(&scratch, &tracker).await;
    store_suite::story(&store).await;
    let rows = sqlx::query("SELECT node, action, outcome, recipients FROM audit ORDER BY id")
        .fetch_all(&store.pool)
        .await
        .unwrap();
    let text = |row: &sqlx::postgres::PgRow, at| row.get::<String, usize>(at);
    let rows: Vec<_> = rows
        .iter()
        .map(|r| format!("{} {}: {} [{}]", text(r, 0), text(r, 1), text(r, 2), text(r, 3)))
        .collect();
    assert_eq!(rows, store_suite::AUDIT);
    drop(store);
    end(scratch, tracker).await;
}

#[tokio::test]
async fn a_hub_hears_what_another_one_gives_and_listens_again_after_a_break() {
    let Some(url) = url() else { return };
    let (scratch, tracker) = (Scratch::new(&url), TaskTracker::new());
    let (one, other) = (open(&scratch, &tracker).await, open(&scratch, &tracker).await);
    let mut grown = other.grown();
    let heard = async |grown: &mut tokio::sync::broadcast::Receiver<Arc<str>>, name: &str| {
        let wait = async { while &*grown.recv().await.unwrap() != name {} };
        timeout(Duration::from_secs(20), wait).await.unwrap();
    };
    // It listens once it has said so.
    heard(&mut grown, "*").await;
    store_suite::kept_for_the_village(&one, 1).await;
    heard(&mut grown, "village-1").await;
    scratch
        .run(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
             WHERE pid <> pg_backend_pid() AND query LIKE 'LISTEN %'",
        )
        .await;
    heard(&mut grown, "*").await;
    store_suite::kept_for_the_village(&one, 2).await;
    heard(&mut grown, "village-1").await;
    drop((one, other));
    end(scratch, tracker).await;
}

#[tokio::test]
async fn a_poisoned_document_fails_alone() {
    let Some(url) = url() else { return };
    let (scratch, tracker) = (Scratch::new(&url), TaskTracker::new());
    let store = open(&scratch, &tracker).await;
    // The server refuses one of those that share a transaction.
    scratch.run("ALTER TABLE document ADD CHECK (name <> 'r7')").await;
    let keeps = (1..=20).map(|number| store.keep(store_suite::for_the_village(number)));
    let outcomes = futures_util::future::join_all(keeps).await;
    for (number, outcome) in (1..).zip(outcomes) {
        match outcome {
            Ok(Outcome::Kept(_)) => assert_ne!(number, 7),
            outcome => {
                assert_eq!(number, 7, "{outcome:?}");
                assert_eq!(outcome.unwrap_err().code(), Code::Unavailable);
            }
        }
    }
    drop(store);
    end(scratch, tracker).await;
}

#[tokio::test]
async fn look_ups_that_were_planned_on_empty_tables_begin_with_what_is_asked() {
    let Some(url) = url() else { return };
    let (scratch, tracker) = (Scratch::new(&url), TaskTracker::new());
    let store = open(&scratch, &tracker).await;
    for (name, sql, parameters) in [
        ("a", load::LOOK_UP, 10),
        ("b", load::HOLDERS, 1),
        ("c", load::MISSING, 2),
        ("d", look_up::HELD, 4),
        ("e", load::PEOPLE, 1),
        ("f", load::CONSENTS, 1),
        ("g", load::ABOUT, 2),
        ("h", read::WORDS, 1),
    ] {
        let mut connection = store.pool.acquire().await.unwrap();
        let prepare = format!("PREPARE {name} AS {sql}");
        sqlx::raw_sql(sqlx::AssertSqlSafe(prepare)).execute(&mut *connection).await.unwrap();
        let nothing = vec!["NULL"; parameters].join(", ");
        let explain = format!("EXPLAIN EXECUTE {name} ({nothing})");
        let rows = sqlx::raw_sql(sqlx::AssertSqlSafe(explain)).fetch_all(&mut *connection).await;
        let plan: Vec<String> = rows.unwrap().iter().map(|row| row.get(0)).collect();
        assert!(plan.iter().any(|line| line.contains("Function Scan on")), "{plan:#?}");
        for line in &plan {
            let is_by_key = !line.contains("Filter: ")
                || line.contains("Filter: (kind = 'record'::text)")
                || line.contains("Filter: (strpos(")
                || line.contains("Filter: (NOT (SubPlan")
                || line.contains("Filter: ((NOT (SubPlan")
                // Of what one person has, which is little.
                || (name == "g" && line.contains("= d.name)"))
                || (name == "d" && line.contains("Filter: ((($2 IS NULL) OR (d.name = $2))"));
            assert!(is_by_key && !line.contains("Seq Scan"), "{line} in {plan:#?}");
        }
    }
    drop(store);
    end(scratch, tracker).await;
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named_without_the_password() {
    let server = Server::parse("postgres://me:secret@127.0.0.1:9/records").unwrap();
    let opened = HubStore::open(&server, "hub", scopes(), &TaskTracker::new()).await;
    let text = crate::app::chain(&opened.unwrap_err());
    assert!(text.contains("127.0.0.1:9/records") && !text.contains("secret"), "{text}");
}

/// Keeps documents one after the other until told to stop, each until it is answered for; the
/// numbers that were told, and how often the store was not to be had.
async fn keep_until(store: &HubStore, node: &str, stop: &AtomicBool) -> (BTreeMap<u64, u64>, u32) {
    let (mut told, mut failures) = (BTreeMap::new(), 0);
    let mut number = 0;
    while !stop.load(Ordering::Relaxed) {
        number += 1;
        let submission = store_suite::for_the_village(number);
        let submission = Submission {
            node: node.to_owned(),
            document: store_suite::renamed(submission.document, node),
            ..submission
        };
        let outcome = loop {
            match store.keep(submission.clone()).await {
                Ok(outcome) => break outcome,
                Err(Error::Unavailable { .. }) => {
                    failures += 1;
                    sleep(Duration::from_millis(10)).await;
                }
                Err(error) => panic!("{error:?}"),
            }
        };
        told.insert(number, outcome.number().unwrap());
    }
    (told, failures)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_that_was_answered_is_there_after_crashes_of_the_server() {
    if url().is_none() {
        return;
    }
    let (cluster, url) = Cluster::start("postgres-hub");
    let scratch = Scratch::new(&url);
    let tracker = TaskTracker::new();
    let hubs = [open(&scratch, &tracker).await, open(&scratch, &tracker).await];
    let stop = AtomicBool::new(false);
    let crashes = async {
        let mut cluster = cluster;
        for _ in 0..3 {
            sleep(Duration::from_millis(400)).await;
            cluster = tokio::task::spawn_blocking(move || {
                cluster.crash();
                cluster.go_on();
                cluster
            })
            .await
            .unwrap();
        }
        sleep(Duration::from_millis(400)).await;
        stop.store(true, Ordering::Relaxed);
        cluster
    };
    let names: Vec<String> = (0..16).map(|at| format!("node-{at}")).collect();
    let keeps = names.iter().enumerate().map(|(at, name)| keep_until(&hubs[at % 2], name, &stop));
    let (kept, cluster) =
        futures_util::future::join(futures_util::future::join_all(keeps), crashes).await;
    let failures: u32 = kept.iter().map(|(_, failures)| failures).sum();
    assert!(failures > 0, "the server crashed and nobody noticed");
    let mut numbers = Vec::new();
    for (name, (told, _)) in names.iter().zip(&kept) {
        for (number, told) in told {
            let row: (i64, String) = sqlx::query_as(
                "SELECT d.number, d.name FROM handed h JOIN document d ON d.number = h.document \
                 WHERE h.node = $1 AND h.store = 'hospital-a' AND h.number = $2",
            )
            .bind(name)
            .bind(i64::try_from(*number).unwrap())
            .fetch_one(&hubs[0].pool)
            .await
            .unwrap();
            assert_eq!(row, (i64::try_from(*told).unwrap(), format!("{name}-r{number}")));
            numbers.push(*told);
        }
    }
    let all = numbers.len();
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers.len(), all, "two documents were told one number");
    // Nothing else is there, and the village has all of it, once and without a gap.
    let documents: i64 =
        sqlx::query_scalar("SELECT count(*) FROM document").fetch_one(&hubs[1].pool).await.unwrap();
    assert_eq!(usize::try_from(documents).unwrap(), all);
    assert_eq!(store_suite::names_in(&hubs[0], "village-1").await.len(), all);
    let audited: i64 = sqlx::query_scalar("SELECT count(*) FROM audit WHERE outcome = 'kept'")
        .fetch_one(&hubs[1].pool)
        .await
        .unwrap();
    assert_eq!(audited, documents);
    drop(hubs);
    tracker.close();
    tracker.wait().await;
    drop(cluster);
}

#[tokio::test]
async fn while_the_server_is_away_nobody_is_told_kept() {
    if url().is_none() {
        return;
    }
    let (cluster, url) = Cluster::start("postgres-hub-away");
    let scratch = Scratch::new(&url);
    let tracker = TaskTracker::new();
    let store = open(&scratch, &tracker).await;
    store_suite::kept_for_the_village(&store, 1).await;
    cluster.crash();
    for number in 1..4 {
        let failed = store.keep(store_suite::for_the_village(number)).await.unwrap_err();
        assert_eq!(failed.code(), Code::Unavailable);
    }
    assert_eq!(store.advance("village-1", 1, 1).await.unwrap_err().code(), Code::Unavailable);
    cluster.go_on();
    let mut answer = store.keep(store_suite::for_the_village(1)).await;
    while answer.is_err() {
        sleep(Duration::from_millis(20)).await;
        answer = store.keep(store_suite::for_the_village(1)).await;
    }
    assert!(matches!(answer, Ok(Outcome::Known(_))));
    assert_eq!(store_suite::names_in(&store, "village-1").await, ["r1/1"]);
    drop(store);
    tracker.close();
    tracker.wait().await;
    drop(cluster);
}

#[tokio::test]
async fn nodes_that_ask_for_records_are_answered_as_the_application_says() {
    let Some(url) = url() else { return };
    for (name, test) in asking::TESTS {
        println!("{name}");
        let (scratch, tracker) = (Scratch::new(&url), TaskTracker::new());
        test(Arc::new(open(&scratch, &tracker).await)).await;
        end(scratch, tracker).await;
    }
}

#[tokio::test]
async fn a_document_that_was_damaged_is_named_and_not_given() {
    let Some(url) = url() else { return };
    for damage in [
        "UPDATE document SET body = substr(body, 1, 40)",
        "UPDATE document SET body = decode(repeat('00', length(body)), 'hex')",
        "UPDATE document SET sha256 = decode(repeat('00', 32), 'hex')",
        "UPDATE document SET sha256 = '\\x00'",
    ] {
        let (scratch, tracker) = (Scratch::new(&url), TaskTracker::new());
        let asking = asking::Asking::new(Arc::new(open(&scratch, &tracker).await));
        let sent = asking.submit(1, ("r", 1), |_| ()).await;
        assert_eq!(asking.fetched(0).await.unwrap(), Some(sent));
        scratch.run(damage).await;
        asking.finds_damage().await;
        drop(asking);
        end(scratch, tracker).await;
    }
}

#[tokio::test]
async fn the_trail_of_look_ups_says_who_whose_why_and_what_came_of_it() {
    let Some(url) = url() else { return };
    let (scratch, tracker) = (Scratch::new(&url), TaskTracker::new());
    let store = open(&scratch, &tracker).await;
    look_ups::story(&store).await;
    let rows: Vec<String> = sqlx::query_scalar(
        "SELECT concat_ws(' ', at_ms, node, caller, role, action, purpose, glass_broken::text, reason, \
         get_byte(person, 0), record || '/' || version, '[' || documents || ']', outcome, \
         counted::text) FROM look_up ORDER BY number",
    )
    .fetch_all(&store.pool)
    .await
    .unwrap();
    assert_eq!(rows, look_ups::TRAIL);
    drop(store);
    end(scratch, tracker).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_audit_trail_is_chained_and_what_is_done_to_it_is_found() {
    use crate::app::audit::ports::Chained as _;
    use crate::store::hub::seal::suite::{ATTACKS, ENTRIES, LOOKED_UP, chained, verified};
    let Some(url) = url() else { return };
    let rows = format!("{LOOKED_UP} FROM (SELECT true AS yes, '\\x0102'::bytea AS person) x");
    let inserted = "INSERT INTO audit (id, at_ms, node, action, document, outcome, recipients) \
                    OVERRIDING SYSTEM VALUE VALUES (-1, 1, 'n', 'a', 0, 'o', '')";
    let attacks = ATTACKS.into_iter().chain([(inserted, 1, Fault::Inserted)]);
    for (sql, number, fault) in attacks {
        let (scratch, tracker) = (Scratch::new(&url), TaskTracker::new());
        let store = open(&scratch, &tracker).await;
        store_suite::story(&store).await;
        // A test's own text.
        sqlx::raw_sql(sqlx::AssertSqlSafe(rows.clone())).execute(&store.pool).await.unwrap();
        let trail = HubTrail::open(&scratch.server, &scratch.schema);
        chained(&trail, ENTRIES).await;
        assert_eq!(verified(&trail).await.unwrap().entries, ENTRIES);
        let last = trail.after(ENTRIES - 1, 9).await.unwrap();
        assert_eq!((&*last[0].caller, &*last[0].patient_reference), ("village/李医生", "0102"));
        sqlx::raw_sql(sql).execute(&store.pool).await.unwrap();
        let broken = verified(&trail).await.unwrap_err();
        assert_eq!((broken.number, broken.fault), (number, fault), "{sql}");
        drop((trail, store));
        end(scratch, tracker).await;
    }
}

/// An entry whose number was taken early and that comes late is chained, not passed over.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_entry_that_comes_late_is_chained_in_its_place() {
    use crate::app::audit::ports::Sealing as _;
    use crate::store::hub::seal::suite::{chained, verified};
    let Some(url) = url() else { return };
    let (scratch, tracker) = (Scratch::new(&url), TaskTracker::new());
    let store = open(&scratch, &tracker).await;
    let enter = "INSERT INTO audit (at_ms, node, action, document, outcome, recipients) \
                 VALUES (1, 'n', 'a', 0, 'o', '')";
    let mut late = store.pool.begin().await.unwrap();
    sqlx::raw_sql(enter).execute(&mut *late).await.unwrap();
    sqlx::raw_sql(enter).execute(&store.pool).await.unwrap();
    let trail = HubTrail::open(&scratch.server, &scratch.schema);
    for _ in 0..5 {
        assert_eq!(trail.seal().await.unwrap(), 0);
    }
    late.commit().await.unwrap();
    chained(&trail, 2).await;
    assert_eq!(verified(&trail).await.unwrap().entries, 2);
    drop((trail, store));
    end(scratch, tracker).await;
}
