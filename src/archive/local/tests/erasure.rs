//! Erased bytes are gone, and a crash half-way is put right.

use std::os::unix::fs::MetadataExt as _;
use std::sync::atomic::Ordering;

use super::super::*;
use super::support::{Counting, listed, open, options, scrub, store_one};

#[tokio::test]
async fn erased_bytes_are_gone_from_disk_and_the_record_says_so_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let (archive, _) = open(dir.path());
    let body = vec![0xAB; 200 << 10];
    let location = store_one(&archive, &body).await;
    let other = store_one(&archive, &[2; 100]).await;
    let path = dir.path().join("segments/0000000000000001.seg");
    let (blocks, usage) = (fs::metadata(&path).unwrap().blocks(), archive.usage().await.unwrap());
    archive.erase(location, "a person asked").await.unwrap();
    archive.erase(location, "a person asked again").await.unwrap();
    assert!(matches!(archive.read(location, 0..9).await, Err(Error::NotFound { .. })));
    let raw = fs::read(&path).unwrap();
    assert!(!raw.windows(8).any(|w| w == [0xAB; 8]));
    assert!(fs::metadata(&path).unwrap().blocks() + 300 < blocks, "the room is given back");
    let freed = usage.bytes - archive.usage().await.unwrap().bytes;
    assert!(freed > 199 << 10, "{freed}");
    drop(archive);
    drop(open(dir.path()));
    let (archive, recovery) = open(dir.path());
    assert_eq!((recovery.records, recovery.erasures_completed), (3, 0));
    let found = listed(&archive).await;
    assert_eq!(found.iter().map(|o| o.erased).collect::<Vec<_>>(), [true, false]);
    assert!(archive.object(location).await.unwrap().unwrap().erased);
    assert_eq!(archive.read(other, 0..u64::MAX).await.unwrap(), vec![2; 100]);
    assert!(archive.usage().await.unwrap().bytes < usage.bytes);
    let report = scrub(&archive);
    assert_eq!((report.flaws, report.erased), (0, 1));
}

/// Writes the erasure down and then fails to mark the record, as a crash in between would.
async fn half_erased(dir: &std::path::Path) -> (LocalArchive, Location) {
    let disk = Arc::new(Counting::default());
    let (archive, _) = LocalArchive::open_on(options(dir), Arc::clone(&disk), None).unwrap();
    let location = store_one(&archive, &[0xAB; 5000]).await;
    disk.fail_punch.store(true, Ordering::SeqCst);
    let answer = archive.erase(location, "a person asked").await;
    assert!(matches!(answer, Err(Error::Unavailable { .. })), "{answer:?}");
    // As if the mark had not reached the disk either.
    let path = dir.join("segments/0000000000000001.seg");
    let file = File::options().write(true).open(path).unwrap();
    LocalDisk.write(&file, location.offset + format::MARK_AT, &[&[0; 8]]).unwrap();
    disk.fail_punch.store(false, Ordering::SeqCst);
    (archive, location)
}

#[tokio::test]
async fn an_erasure_that_a_crash_cut_short_is_carried_out_at_the_next_opening() {
    let dir = tempfile::tempdir().unwrap();
    let (archive, location) = half_erased(dir.path()).await;
    assert!(archive.read(location, 0..9).await.is_ok());
    drop(archive);
    let (archive, recovery) = open(dir.path());
    assert_eq!(recovery.erasures_completed, 1);
    assert!(matches!(archive.read(location, 0..9).await, Err(Error::NotFound { .. })));
    let raw = fs::read(dir.path().join("segments/0000000000000001.seg")).unwrap();
    assert!(!raw.windows(8).any(|w| w == [0xAB; 8]));
}

#[tokio::test]
async fn an_erasure_that_failed_is_carried_out_by_the_scrub() {
    let dir = tempfile::tempdir().unwrap();
    let (archive, location) = half_erased(dir.path()).await;
    assert_eq!(scrub(&archive).erasures_completed, 1);
    assert!(matches!(archive.read(location, 0..9).await, Err(Error::NotFound { .. })));
    assert_eq!(scrub(&archive).erasures_completed, 0);
}
