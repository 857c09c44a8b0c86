//! A disk that fails, tears what is written, or is full.

use std::path::Path;
use std::sync::atomic::Ordering;

use super::super::*;
use super::support::{Counting, listed, object, open, options, scrub, store_one};

fn failing(dir: &Path) -> (LocalArchive, Arc<Counting>) {
    let disk = Arc::new(Counting::default());
    let (archive, _) = LocalArchive::open_on(options(dir), Arc::clone(&disk), None).unwrap();
    (archive, disk)
}

async fn refused(archive: &LocalArchive, body: &[u8]) -> Error {
    archive.append(vec![object(body)]).await.pop().unwrap().unwrap_err()
}

#[tokio::test]
async fn after_a_failed_sync_the_batch_is_refused_and_a_new_segment_begun() {
    for torn_segment_stays in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let (archive, disk) = failing(dir.path());
        let first = store_one(&archive, &[1; 100]).await;
        disk.fail_sync.store(true, Ordering::SeqCst);
        disk.fail_truncate.store(torn_segment_stays, Ordering::SeqCst);
        let error = refused(&archive, &[2; 100]).await;
        assert!(
            matches!(error, Error::Unavailable { what: "archive", cause: Some(_) }),
            "{error:?}"
        );
        disk.fail_sync.store(false, Ordering::SeqCst);
        disk.fail_truncate.store(false, Ordering::SeqCst);
        let third = store_one(&archive, &[3; 100]).await;
        assert_eq!((first.segment, third.segment), (1, 2));
        let places = |found: Vec<ArchivedObject>| found.into_iter().map(|o| o.location);
        assert!(places(listed(&archive).await).eq([first, third]));
        drop(archive);
        let (archive, _) = open(dir.path());
        let found: Vec<_> = places(listed(&archive).await).collect();
        assert!(found.contains(&first) && found.contains(&third), "{found:?}");
        assert_eq!(scrub(&archive).flaws, 0);
    }
}

#[tokio::test]
async fn a_write_torn_at_any_place_is_refused_and_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (archive, disk) = failing(dir.path());
    let mut kept = Vec::new();
    for torn in (0..500).step_by(37) {
        kept.push(store_one(&archive, &[1; 100]).await);
        disk.torn_at.store(torn, Ordering::SeqCst);
        disk.fail_write.store(true, Ordering::SeqCst);
        let error = refused(&archive, &[2; 100]).await;
        assert!(error.retryable(), "{error:?}");
        disk.fail_write.store(false, Ordering::SeqCst);
    }
    let places = |found: Vec<ArchivedObject>| found.into_iter().map(|o| o.location);
    assert!(places(listed(&archive).await).eq(kept.iter().copied()));
    drop(archive);
    let (archive, recovery) = open(dir.path());
    assert_eq!((recovery.bytes_cut, recovery.gaps), (0, 0));
    assert!(places(listed(&archive).await).eq(kept));
}

#[tokio::test]
async fn a_full_disk_refuses_objects_and_still_reads_and_erases() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new(Counting::default());
    let options = Options { free_bytes_min: 1 << 20, ..options(dir.path()) };
    let (archive, _) = LocalArchive::open_on(options.clone(), Arc::clone(&disk), None).unwrap();
    let kept = store_one(&archive, &[1; 100]).await;
    let large = vec![2; 30 << 10];
    disk.used.store((1 << 30) - (1 << 20) - (20 << 10), Ordering::SeqCst);
    let error = refused(&archive, &large).await;
    assert!(matches!(error, Error::Overloaded { what: "archive", .. }), "{error:?}");
    disk.used.store((1 << 30) - 1000, Ordering::SeqCst);
    assert!(matches!(archive.spool().await, Err(Error::Overloaded { what: "archive", .. })));
    let usage = archive.usage().await.unwrap();
    assert_eq!(usage.bytes_free, Some(0));
    assert_eq!(archive.read(kept, 0..u64::MAX).await.unwrap(), vec![1; 100]);
    archive.erase(kept, "a person asked").await.unwrap();
    let error = refused(&archive, &[3; 10]).await;
    assert!(matches!(error, Error::Overloaded { .. }), "{error:?}");
    drop(archive);
    disk.used.store(0, Ordering::SeqCst);
    let (archive, _) = LocalArchive::open_on(options, disk, None).unwrap();
    store_one(&archive, &large).await;
}

#[tokio::test]
async fn a_real_file_system_without_room_refuses_and_recovers() {
    let dir = tempfile::tempdir().unwrap();
    let (archive, _) =
        LocalArchive::open(Options { free_bytes_min: u64::MAX, ..options(dir.path()) }).unwrap();
    let error = refused(&archive, &[1; 10]).await;
    assert!(matches!(error, Error::Overloaded { .. }), "{error:?}");
    assert!(listed(&archive).await.is_empty());
    assert_eq!(fs::read_dir(dir.path().join("segments")).unwrap().count(), 0);
}
