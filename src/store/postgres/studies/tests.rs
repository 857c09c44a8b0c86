//! The suite of every index of studies, and what only a server can do wrong.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use tokio::time::{sleep, timeout};
use tokio_util::task::TaskTracker;

use super::StudyIndexStore;
use crate::app::imaging::index_suite::{TESTS, entry};
use crate::app::imaging::ports::{IndexEntry, StudyIndex};
use crate::sharing::imaging::query::{Condition, Level, Matching, Query};
use crate::sharing::sealing::keyring::DataKey;
use crate::store::postgres::testing::{Cluster, Scratch, url};
use crate::store::postgres::{OpenError, Server};
use dicom_dictionary_std::tags;

mod sealed;

const READERS: u32 = 3;
/// Ends the writer's connection.
const END_WRITER: &str = "SELECT count(pg_terminate_backend(a.pid)) FROM pg_stat_activity a \
               WHERE a.application_name = 'xiangyi' AND a.pid <> pg_backend_pid() \
               AND EXISTS (SELECT 1 FROM pg_locks l WHERE l.pid = a.pid \
               AND l.locktype = 'advisory' AND l.objid = current_schema()::regnamespace::oid)";

async fn open(scratch: &Scratch, tracker: &TaskTracker) -> StudyIndexStore {
    open_with(scratch, tracker, None).await.unwrap()
}

async fn open_with(
    scratch: &Scratch,
    tracker: &TaskTracker,
    key: Option<&DataKey>,
) -> Result<StudyIndexStore, OpenError> {
    let server = scratch.server.clone();
    StudyIndexStore::open(server, &scratch.schema, READERS, key, tracker).await
}

async fn close(index: StudyIndexStore, tracker: &TaskTracker) {
    drop(index);
    tracker.close();
    tracker.wait().await;
}

fn all() -> Query {
    Query {
        level: Level::Study,
        conditions: vec![],
        combined_date_time: false,
        offset: 0,
        limit: 100_000,
    }
}

#[tokio::test]
async fn the_index_over_postgres_passes_the_suite() {
    suite(None).await;
}

async fn suite(key: Option<&DataKey>) {
    let Some(url) = url() else { return };
    for (name, test) in TESTS {
        println!("{name}");
        let scratch = Scratch::new(&url);
        let tracker = TaskTracker::new();
        let index = open_with(&scratch, &tracker, key).await.unwrap();
        test(&index).await;
        close(index, &tracker).await;
        scratch.drop().await;
    }
}

#[tokio::test]
async fn everything_is_there_after_reopening() {
    let Some(url) = url() else { return };
    let scratch = Scratch::new(&url);
    let tracker = TaskTracker::new();
    let index = open(&scratch, &tracker).await;
    index.add(vec![entry(1, 1, 1), entry(1, 1, 2), entry(2, 1, 1)]).await.unwrap();
    let before = (index.find(all()).await.unwrap(), index.counts().await.unwrap());
    close(index, &tracker).await;
    let tracker = TaskTracker::new();
    let index = open(&scratch, &tracker).await;
    assert_eq!((index.find(all()).await.unwrap(), index.counts().await.unwrap()), before);
    assert_eq!(index.reached().await.unwrap(), Some(entry(2, 1, 1).location));
    // Nothing is remembered; ids and numbers go on from the database.
    index.add(vec![entry(1, 1, 3), entry(3, 1, 1), entry(1, 1, 1)]).await.unwrap();
    let counts = index.counts().await.unwrap();
    assert_eq!((counts.studies, counts.instances), (3, 5));
    let numbers: Vec<_> =
        index.changes(0, 10).await.unwrap().iter().map(|change| change.number).collect();
    assert_eq!(numbers, [1, 2, 3, 4, 5]);
    close(index, &tracker).await;
    // As a node that was killed leaves it: what it told may be lost, and no number is told twice.
    scratch.run("UPDATE state SET closed = 0").await;
    let tracker = TaskTracker::new();
    let index = open(&scratch, &tracker).await;
    index.add(vec![entry(4, 1, 1)]).await.unwrap();
    assert!(index.changes(5, 10).await.unwrap()[0].number > 1000);
    close(index, &tracker).await;
    scratch.drop().await;
}

#[tokio::test]
async fn a_second_node_is_refused_and_told_who_has_the_schema() {
    let Some(url) = url() else { return };
    let scratch = Scratch::new(&url);
    let tracker = TaskTracker::new();
    let index = open(&scratch, &tracker).await;
    let other = TaskTracker::new();
    let server = scratch.server.clone();
    let refused = StudyIndexStore::open(server.clone(), &scratch.schema, 1, None, &other).await;
    let Err(error @ OpenError::Taken { .. }) = refused else { panic!("{refused:?}") };
    let text = error.to_string();
    assert!(text.contains(&scratch.schema) && text.contains("server process"), "{text}");
    assert!(text.contains("imaging.postgres_schema"), "{text}");
    // Another schema of the same database is another node's.
    let beside = Scratch::new(&url);
    let own = open(&beside, &other).await;
    close(own, &other).await;
    beside.drop().await;
    close(index, &tracker).await;
    // The lock goes with its holder.
    let tracker = TaskTracker::new();
    close(open(&scratch, &tracker).await, &tracker).await;
    scratch.drop().await;
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named_without_the_password() {
    let server = Server::parse("postgres://me:secret@127.0.0.1:9/records").unwrap();
    let refused = StudyIndexStore::open(server, "xiangyi", 1, None, &TaskTracker::new()).await;
    let error = refused.unwrap_err();
    let text = crate::app::chain(&error);
    assert!(text.contains("127.0.0.1:9/records"), "{text}");
    assert!(!text.contains("secret") && !format!("{error:?}").contains("secret"), "{text}");
}

#[tokio::test]
async fn values_longer_than_any_may_be_are_kept_found_and_told_apart() {
    let Some(url) = url() else { return };
    let scratch = Scratch::new(&url);
    let tracker = TaskTracker::new();
    let index = open(&scratch, &tracker).await;
    let mut long = entry(1, 1, 1);
    // Random enough that no compression makes it fit an index.
    let noise = |seed: u32| -> String {
        let mut state = seed;
        (0..60_000)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                char::from_u32(0x4E00 + (state >> 16) % 0x4000).unwrap()
            })
            .collect()
    };
    let texts = [noise(1), noise(2), noise(3), noise(4), noise(5), noise(6)];
    let [study, series, instance, patient, accession, description] = texts.clone();
    long.header.study.uid.clone_from(&study);
    (long.head.uids.study, long.head.uids.series, long.head.uids.instance) =
        (study, series, instance);
    long.header.patient.id = patient;
    long.header.patient.name = noise(7);
    long.header.study.accession_number = accession;
    long.header.study.description = description;
    long.header.instance.image_type = noise(8);
    long.head.sop_class = noise(9);
    long.header.study.date = noise(10);
    long.header.study.time = noise(11);
    long.header.study.id = "a\0b".to_owned();
    index.add(vec![long.clone(), entry(2, 1, 1)]).await.unwrap();
    index.add(vec![long.clone()]).await.unwrap();
    assert_eq!(index.counts().await.unwrap().instances, 2);
    let known = index.known(vec![long.head.uids.instance.clone()]).await.unwrap();
    assert_eq!(known[0][0].digest, long.digest);
    for (tag, value) in [
        (tags::STUDY_INSTANCE_UID, &texts[0]),
        (tags::SERIES_INSTANCE_UID, &texts[1]),
        (tags::SOP_INSTANCE_UID, &texts[2]),
        (tags::PATIENT_ID, &texts[3]),
        (tags::ACCESSION_NUMBER, &texts[4]),
        (tags::STUDY_DESCRIPTION, &texts[5]),
        (tags::STUDY_ID, &"ab".to_owned()),
    ] {
        let matching = Matching::Single(value.clone());
        let question = Query { conditions: vec![Condition { tag, matching }], ..all() };
        assert_eq!(index.find(question).await.unwrap().len(), 1, "{tag}");
    }
    index.remove(long.digest, 1).await.unwrap();
    assert_eq!(index.counts().await.unwrap().studies, 1);
    close(index, &tracker).await;
    scratch.drop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn questions_are_answered_whole_while_others_add() {
    let Some(url) = url() else { return };
    let scratch = Scratch::new(&url);
    let tracker = TaskTracker::new();
    let index = Arc::new(open(&scratch, &tracker).await);
    let tasks = TaskTracker::new();
    for writer in 0..4 {
        let index = Arc::clone(&index);
        tasks.spawn(async move {
            for n in 0..25 {
                let study = writer * 100 + n;
                index.add(vec![entry(study, 1, 1), entry(study, 1, 2)]).await.unwrap();
                let tag = tags::STUDY_INSTANCE_UID;
                let matching = Matching::Single(format!("1.2.{study}"));
                let question = Query { conditions: vec![Condition { tag, matching }], ..all() };
                assert_eq!(index.find(question).await.unwrap()[0].instances, 2);
            }
        });
    }
    let asking = Arc::clone(&index);
    tasks.spawn(async move {
        let mut seen = 0;
        while seen < 100 {
            let found = asking.find(all()).await.unwrap();
            assert!(found.len() >= seen);
            assert!(found.iter().all(|m| m.instances == 2 && m.bytes == 1000));
            seen = found.len();
        }
    });
    tasks.close();
    tasks.wait().await;
    let numbers: Vec<_> =
        index.changes(0, 1000).await.unwrap().iter().map(|change| change.number).collect();
    assert_eq!(numbers, (1..=200).collect::<Vec<_>>());
    close(Arc::into_inner(index).unwrap(), &tracker).await;
    scratch.drop().await;
}

#[tokio::test]
async fn an_addition_whose_caller_has_gone_is_done() {
    let Some(url) = url() else { return };
    let scratch = Scratch::new(&url);
    let tracker = TaskTracker::new();
    let index = open(&scratch, &tracker).await;
    let gone = timeout(Duration::ZERO, index.add(vec![entry(1, 1, 1)])).await;
    drop(gone);
    index.add(vec![entry(2, 1, 1)]).await.unwrap();
    assert_eq!(index.counts().await.unwrap().studies, 2);
    close(index, &tracker).await;
    scratch.drop().await;
}

#[tokio::test]
async fn a_connection_that_the_server_ended_is_made_again() {
    let Some(url) = url() else { return };
    let scratch = Scratch::new(&url);
    let tracker = TaskTracker::new();
    let index = open(&scratch, &tracker).await;
    index.add(vec![entry(1, 1, 1)]).await.unwrap();
    assert_eq!(index.find(all()).await.unwrap().len(), 1);
    scratch.run(END_WRITER).await;
    // Questions have other connections, and the writer's is made again; who adds in between hears
    // that it failed.
    assert_eq!(index.find(all()).await.unwrap().len(), 1);
    while index.add(vec![entry(2, 1, 1)]).await.is_err() {
        sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(index.find(all()).await.unwrap().len(), 2);
    // Nothing was lost: only the numbers have a gap.
    assert!(timeout(Duration::ZERO, index.undone()).await.is_err());
    close(index, &tracker).await;
    scratch.drop().await;
}

/// The object at a place of an archive that has three of each study.
fn at(place: u32) -> IndexEntry {
    entry(place / 3 + 1, 1, place % 3 + 1)
}

/// Adds objects in order as a node does, after a failure from where the index has come to, until it
/// is told to stop. Returns how many, and how often it failed; counts additions while it goes on.
async fn keep_until(index: &StudyIndexStore, stop: &AtomicBool, added: &AtomicU32) -> (u32, u32) {
    let (mut next, mut failures) = (0, 0);
    while !stop.load(Ordering::Relaxed) || next % 3 != 0 {
        if index.add((next..next + 3).map(at).collect()).await.is_ok() {
            next += 3;
            added.fetch_add(1, Ordering::Relaxed);
            continue;
        }
        failures += 1;
        let reached = loop {
            match index.reached().await {
                Ok(reached) => break reached,
                Err(_) => sleep(Duration::from_millis(20)).await,
            }
        };
        next = (0..next).rev().find(|n| Some(at(*n).location) == reached).map_or(0, |n| n + 1);
    }
    (next, failures)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_crashes_under_load_loses_nothing_that_is_caught_up() {
    crashes_under_load("postgres-load", None).await;
}

async fn crashes_under_load(name: &str, key: Option<&DataKey>) {
    if url().is_none() {
        return;
    }
    let (cluster, url) = Cluster::start(name);
    let scratch = Scratch::new(&url);
    let tracker = TaskTracker::new();
    let index = Arc::new(open_with(&scratch, &tracker, key).await.unwrap());
    let (stop, added) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
    let adding = {
        let (index, stop, added) = (Arc::clone(&index), Arc::clone(&stop), Arc::clone(&added));
        tracker.spawn(async move { keep_until(&index, &stop, &added).await })
    };
    let told = Arc::clone(&stop);
    let cluster = tokio::task::spawn_blocking(move || {
        // A crash is noticed by who adds: on a busy machine the writer is not back yet after a while.
        let more = || {
            let enough = added.load(Ordering::Relaxed) + 20;
            for _ in 0..6_000 {
                if added.load(Ordering::Relaxed) >= enough {
                    return;
                }
                std::thread::sleep(Duration::from_millis(10));
            }
            panic!("nothing is added any more");
        };
        for _ in 0..3 {
            more();
            cluster.crash();
            cluster.go_on();
        }
        more();
        told.store(true, Ordering::Relaxed);
        cluster
    })
    .await
    .unwrap();
    let (kept, failures) = adding.await.unwrap();
    assert!(failures >= 3, "the server crashed and nobody noticed");
    let archive: Vec<IndexEntry> = (0..kept).map(at).collect();
    let uids: Vec<_> = archive.iter().map(|e| e.head.uids.instance.clone()).collect();
    let known = index.known(uids).await.unwrap();
    let missing: Vec<_> = known
        .iter()
        .zip(&archive)
        .filter(|(k, e)| k.len() != 1 || k[0].digest != e.digest)
        .map(|(_, e)| &e.head.uids.instance)
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
    let counts = index.counts().await.unwrap();
    assert_eq!((counts.studies, counts.instances), (u64::from(kept / 3), u64::from(kept)));
    let changes = index.changes(0, 1_000_000).await.unwrap();
    assert_eq!(changes.len(), archive.len());
    assert!(changes.windows(2).all(|pair| pair[0].number < pair[1].number));
    // Every patient is found by name and by ID.
    let asked = |tag, value: &str| {
        let matching = Matching::Single(value.to_owned());
        index.find(Query { conditions: vec![Condition { tag, matching }], ..all() })
    };
    let named = asked(tags::PATIENT_NAME, "张^三").await.unwrap().len();
    assert_eq!(named, usize::try_from(kept / 3).unwrap());
    let last = format!("P{}", kept / 3);
    assert_eq!(asked(tags::PATIENT_ID, &last).await.unwrap().len(), 1);
    close(Arc::into_inner(index).unwrap(), &tracker).await;
    drop(cluster);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_crashed_server_has_lost_is_told_and_no_addition_hides_it() {
    if url().is_none() {
        return;
    }
    let (cluster, url) = Cluster::start("postgres-undone");
    let scratch = Scratch::new(&url);
    let tracker = TaskTracker::new();
    let index = open(&scratch, &tracker).await;
    // The log is written seldom, so that the last addition is lost for certain, or nearly.
    scratch.run("ALTER SYSTEM SET wal_writer_delay = '10s'").await;
    scratch.run("SELECT pg_reload_conf()").await;
    let mut archive = Vec::new();
    let mut losses = 0;
    for round in 1..=8_u32 {
        archive.push(entry(1, 1, round));
        let last = archive[archive.len() - 1].clone();
        while index.add(vec![last.clone()]).await.is_err() {
            index.reached().await.unwrap();
        }
        cluster.crash();
        cluster.go_on();
        let next = entry(2, 1, round);
        if timeout(Duration::from_secs(4), index.undone()).await.is_ok() {
            losses += 1;
            index.add(vec![next.clone()]).await.unwrap_err();
            let reached = index.reached().await.unwrap();
            assert_ne!(reached, Some(last.location));
            let from =
                archive.iter().position(|e| Some(e.location) == reached).map_or(0, |a| a + 1);
            index.add(archive[from..].to_vec()).await.unwrap();
        }
        let counts = index.counts().await.unwrap();
        assert_eq!(counts.instances, u64::try_from(archive.len()).unwrap());
        index.add(vec![next.clone()]).await.unwrap();
        archive.push(next);
        if losses >= 2 {
            break;
        }
    }
    assert!(losses > 0, "no crash lost anything: the test tells nothing");
    close(index, &tracker).await;
    drop(cluster);
}
