//! The suite of every index of studies, and what only a database in a file can do wrong.

use std::path::Path;
use std::sync::Arc;

use dicom_dictionary_std::tags;
use tokio_util::task::TaskTracker;

use super::StudyIndexStore;
use crate::app::imaging::index_suite::{TESTS, entry};
use crate::app::imaging::ports::StudyIndex;
use crate::sharing::imaging::query::{Condition, Level, Matching, Query};

async fn open(folder: &Path, tracker: &TaskTracker) -> StudyIndexStore {
    StudyIndexStore::open(&folder.join("sub/imaging.db"), tracker).await.unwrap()
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
async fn the_index_over_sqlite_passes_the_suite() {
    for (name, test) in TESTS {
        println!("{name}");
        let folder = tempfile::tempdir().unwrap();
        let tracker = TaskTracker::new();
        let index = open(folder.path(), &tracker).await;
        test(&index).await;
        close(index, &tracker).await;
    }
}

#[tokio::test]
async fn everything_is_there_after_reopening() {
    let folder = tempfile::tempdir().unwrap();
    let tracker = TaskTracker::new();
    let index = open(folder.path(), &tracker).await;
    index.add(vec![entry(1, 1, 1), entry(1, 1, 2), entry(2, 1, 1)]).await.unwrap();
    let before = (index.find(all()).await.unwrap(), index.counts().await.unwrap());
    close(index, &tracker).await;
    let tracker = TaskTracker::new();
    let index = open(folder.path(), &tracker).await;
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
}

#[tokio::test]
async fn a_copy_of_the_files_taken_while_it_works_is_whole() {
    // What a killed process leaves: the database and its log at some moment, never closed.
    let folder = tempfile::tempdir().unwrap();
    let tracker = TaskTracker::new();
    let index = open(folder.path(), &tracker).await;
    for study in 1..=40 {
        index.add(vec![entry(study, 1, 1), entry(study, 1, 2)]).await.unwrap();
        if study % 8 != 0 {
            continue;
        }
        let copy = tempfile::tempdir().unwrap();
        std::fs::create_dir(copy.path().join("sub")).unwrap();
        for file in ["sub/imaging.db", "sub/imaging.db-wal"] {
            std::fs::copy(folder.path().join(file), copy.path().join(file)).unwrap();
        }
        let other = TaskTracker::new();
        let left = open(copy.path(), &other).await;
        let counts = left.counts().await.unwrap();
        assert_eq!(counts.studies, u64::from(study));
        assert_eq!(left.find(all()).await.unwrap().len(), usize::try_from(study).unwrap());
        assert_eq!(left.reached().await.unwrap(), Some(entry(study, 1, 2).location));
        left.add(vec![entry(99, 1, 1)]).await.unwrap();
        close(left, &other).await;
    }
    close(index, &tracker).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn questions_are_answered_whole_while_others_add() {
    let folder = tempfile::tempdir().unwrap();
    let tracker = TaskTracker::new();
    let index = Arc::new(open(folder.path(), &tracker).await);
    let tasks = TaskTracker::new();
    for writer in 0..4 {
        let index = Arc::clone(&index);
        tasks.spawn(async move {
            for n in 0..25 {
                let study = writer * 100 + n;
                let pair = vec![entry(study, 1, 1), entry(study, 1, 2)];
                index.add(pair).await.unwrap();
                let own = Condition {
                    tag: tags::STUDY_INSTANCE_UID,
                    matching: Matching::Single(format!("1.2.{study}")),
                };
                let mut question = all();
                question.conditions.push(own);
                assert_eq!(index.find(question).await.unwrap()[0].instances, 2);
            }
        });
    }
    for _ in 0..2 {
        let index = Arc::clone(&index);
        tasks.spawn(async move {
            let mut seen = 0;
            while seen < 100 {
                let found = index.find(all()).await.unwrap();
                assert!(found.len() >= seen);
                assert!(found.iter().all(|m| m.instances == 2 && m.bytes == 1000));
                seen = found.len();
                tokio::task::yield_now().await;
            }
        });
    }
    tasks.close();
    tasks.wait().await;
    let counts = index.counts().await.unwrap();
    assert_eq!((counts.studies, counts.instances), (100, 200));
    close(Arc::into_inner(index).unwrap(), &tracker).await;
}

#[tokio::test]
async fn an_addition_whose_caller_has_gone_is_done() {
    let folder = tempfile::tempdir().unwrap();
    let tracker = TaskTracker::new();
    let index = open(folder.path(), &tracker).await;
    let gone =
        tokio::time::timeout(std::time::Duration::ZERO, index.add(vec![entry(1, 1, 1)])).await;
    drop(gone);
    index.add(vec![entry(2, 1, 1)]).await.unwrap();
    assert_eq!(index.counts().await.unwrap().studies, 2);
    close(index, &tracker).await;
}
