//! The archive as its callers see it.

mod damage;
mod disk_faults;
mod erasure;
mod killed;
mod remote;
mod sealed;
mod spools;
mod support;

use std::sync::Arc;

use super::format::FIRST_RECORD_AT;
use super::*;
use support::{Counting, bodies, digest, listed, object, open, options, store_one};

#[tokio::test]
async fn an_object_reads_back_as_it_was_given() {
    let dir = tempfile::tempdir().unwrap();
    let (archive, recovery) = open(dir.path());
    assert_eq!(recovery, Recovery::default());
    let body = b"0123456789".to_vec();
    let mut new = object(&body);
    new.body = Body::Memory(vec![Bytes::from_static(b"01234"), Bytes::from_static(b"56789")]);
    new.head.meta = vec![9; 300];
    let head = new.head.clone();
    let location = archive.append(vec![new]).await.pop().unwrap().unwrap();
    assert_eq!((location.segment, location.offset), (1, FIRST_RECORD_AT));

    assert_eq!(archive.read(location, 0..u64::MAX).await.unwrap(), body);
    assert_eq!(archive.read(location, 3..5).await.unwrap(), &body[3..5]);
    assert!(archive.read(location, 10..20).await.unwrap().is_empty());
    #[expect(clippy::reversed_empty_ranges, reason = "a caller may send one")]
    let reversed = 7..2;
    assert!(archive.read(location, reversed).await.unwrap().is_empty());
    let found = archive.object(location).await.unwrap().unwrap();
    assert_eq!(found, ArchivedObject { digest: digest(&body), head, location, erased: false });
    let usage = archive.usage().await.unwrap();
    assert_eq!(usage.segments, 1);
    assert!(usage.bytes > 400 && usage.bytes < 1000, "{usage:?}");
}

#[tokio::test]
async fn what_is_at_no_location_is_not_found() {
    let dir = tempfile::tempdir().unwrap();
    let (archive, _) = open(dir.path());
    let good = store_one(&archive, &[1; 100]).await;
    for bad in [
        Location { segment: 2, ..good },
        Location { offset: good.offset + 8, ..good },
        Location { body: good.body + 8, ..good },
        Location { length: good.length + 1, ..good },
        Location { length: u64::MAX, ..good },
        Location { offset: u64::MAX, body: u64::MAX, ..good },
    ] {
        let answer = archive.read(bad, 0..10).await;
        assert!(matches!(answer, Err(Error::NotFound { .. })), "{bad:?}: {answer:?}");
        assert!(archive.object(bad).await.unwrap().is_none());
        let erased = archive.erase(bad, "").await;
        assert!(matches!(erased, Err(Error::NotFound { .. })), "{bad:?}: {erased:?}");
    }
    assert!(archive.object(good).await.unwrap().is_some());
}

#[tokio::test]
async fn objects_come_in_the_order_of_the_batch_page_by_page_over_segments_and_restarts() {
    let dir = tempfile::tempdir().unwrap();
    let bodies = bodies(40);
    let half = bodies.len() / 2;
    for part in [&bodies[..half], &bodies[half..]] {
        let (archive, recovery) = open(dir.path());
        assert_eq!(recovery.bytes_cut + recovery.gaps + recovery.voided, 0);
        let batch = part.iter().map(|b| object(b)).collect();
        assert!(archive.append(batch).await.iter().all(Result::is_ok));
    }
    let (archive, recovery) = open(dir.path());
    assert_eq!(recovery.records, 40);
    assert!(recovery.segments > 3, "{recovery:?}");
    assert_eq!(recovery.walked, 1, "only the last segment");
    let mut found = Vec::new();
    let mut after = None;
    loop {
        let page = archive.objects_after(after, 7).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some(last.location);
        found.extend(page);
    }
    assert_eq!(found.len(), bodies.len());
    assert!(found.iter().map(|o| o.digest).eq(bodies.iter().map(|b| digest(b))));
    assert!(found.is_sorted_by_key(|o| (o.location.segment, o.location.offset)));
    for (object, body) in found.iter().zip(&bodies) {
        assert_eq!(archive.read(object.location, 0..u64::MAX).await.unwrap(), body);
    }
}

#[tokio::test]
async fn a_lost_list_is_made_anew_from_the_segments() {
    let dir = tempfile::tempdir().unwrap();
    let (archive, _) = open(dir.path());
    let batch = bodies(40).iter().map(|b| object(b)).collect();
    assert!(archive.append(batch).await.iter().all(Result::is_ok));
    let before = (listed(&archive).await, archive.usage().await.unwrap());
    drop(archive);
    let list = dir.path().join("sealed");
    let whole = fs::read(&list).unwrap();
    let mut flipped = whole.clone();
    flipped[70] ^= 1;
    for spoilt in [None, Some(&whole[..30]), Some(&whole[..100]), Some(flipped.as_slice())] {
        match spoilt {
            Some(bytes) => fs::write(&list, bytes).unwrap(),
            None => fs::remove_file(&list).unwrap(),
        }
        let (archive, recovery) = open(dir.path());
        assert_eq!(recovery.records, 40);
        assert!(recovery.walked > 1, "{recovery:?}");
        let after = (listed(&archive).await, archive.usage().await.unwrap());
        assert_eq!((&after.0, after.1.bytes), (&before.0, before.1.bytes));
        drop(archive);
        let (_archive, recovery) = open(dir.path());
        assert!(recovery.walked <= 1, "{recovery:?}");
    }
}

#[tokio::test]
async fn many_appends_share_few_syncs() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new(Counting::slow());
    let options = Options { segment_bytes: 1 << 20, ..options(dir.path()) };
    let (archive, _) = LocalArchive::open_on(options, Arc::clone(&disk), None).unwrap();
    let bodies = bodies(64);
    let before = disk.syncs();
    let appends = bodies.iter().map(|b| archive.append(vec![object(b)]));
    let answers = futures_util::future::join_all(appends).await;
    let locations: Vec<_> = answers.into_iter().map(|mut a| a.pop().unwrap().unwrap()).collect();
    assert!(disk.syncs() - before <= 8, "{} syncs", disk.syncs() - before);
    for (location, body) in locations.iter().zip(&bodies) {
        assert_eq!(archive.read(*location, 0..u64::MAX).await.unwrap(), body);
    }
}

#[tokio::test]
async fn a_second_opening_is_refused_while_the_first_lasts() {
    let dir = tempfile::tempdir().unwrap();
    let (archive, _) = open(dir.path());
    let second = LocalArchive::open(options(dir.path()));
    assert!(matches!(second, Err(ArchiveError::Locked { .. })), "{second:?}");
    drop(archive);
    open(dir.path());
}

#[tokio::test]
async fn an_archive_of_a_later_version_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    store_one(&open(dir.path()).0, &[1; 100]).await;
    let segment = dir.path().join("segments/0000000000000001.seg");
    let mut bytes = fs::read(&segment).unwrap();
    bytes[8] = 9;
    let sum = format::checksum(&[&bytes[..48]]);
    bytes[48..64].copy_from_slice(&sum);
    fs::write(&segment, &bytes).unwrap();
    let opened = LocalArchive::open(options(dir.path()));
    assert!(matches!(opened, Err(ArchiveError::Version { found: 9, .. })), "{opened:?}");
    assert_eq!(fs::read(&segment).unwrap(), bytes);
}

#[tokio::test]
async fn a_head_that_is_too_long_is_refused_alone() {
    let dir = tempfile::tempdir().unwrap();
    let (archive, _) = open(dir.path());
    let mut long = object(&[1; 10]);
    long.head.meta = vec![0; HEAD_BYTES_MAX];
    let answers = archive.append(vec![object(&[2; 10]), long, object(&[3; 10])]).await;
    assert!(matches!(answers.as_slice(), [Ok(_), Err(Error::TooLarge { .. }), Ok(_)]));
    assert_eq!(listed(&archive).await.len(), 2);
    let kept = listed(&archive).await[0].location;
    let reason = "x".repeat(REASON_BYTES_MAX + 1);
    assert!(matches!(archive.erase(kept, &reason).await, Err(Error::Invalid(_))));
}

#[tokio::test]
async fn a_page_of_large_heads_is_short_but_never_empty() {
    let dir = tempfile::tempdir().unwrap();
    let (archive, _) = open(dir.path());
    let large = |n: u8| {
        let mut large = object(&[n; 10]);
        large.head.meta = vec![0; 1_000_000];
        large
    };
    let answers = archive.append((0..20).map(large).collect()).await;
    assert!(answers.iter().all(Result::is_ok));
    let first = listed(&archive).await;
    assert_eq!(first.len(), 17);
    let rest = archive.objects_after(Some(first[16].location), 50).await.unwrap();
    assert_eq!(rest.len(), 3);
    assert!(archive.objects_after(None, 0).await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn objects_are_read_while_others_are_appended() {
    let dir = tempfile::tempdir().unwrap();
    let (archive, _) = open(dir.path());
    let bodies = bodies(200);
    let append = async {
        for part in bodies.chunks(5) {
            let batch = part.iter().map(|b| object(b)).collect();
            assert!(archive.append(batch).await.iter().all(Result::is_ok));
        }
    };
    let read = async {
        let (mut after, mut seen) = (None, 0);
        while seen < bodies.len() {
            for found in archive.objects_after(after, 16).await.unwrap() {
                let body = archive.read(found.location, 0..u64::MAX).await.unwrap();
                assert_eq!(digest(&body), found.digest);
                assert_eq!(body, bodies[seen]);
                (after, seen) = (Some(found.location), seen + 1);
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::join!(append, read);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_passes_over_nothing_that_was_appended_while_it_was_read() {
    let dir = tempfile::tempdir().unwrap();
    // The smallest segments there are.
    let options = Options { segment_bytes: 0, ..options(dir.path()) };
    let (archive, _) = LocalArchive::open(options).unwrap();
    let archive = Arc::new(archive);
    let bodies: Vec<_> = (0..100_u32).map(u32::to_le_bytes).collect();
    let append = async |archive: &LocalArchive, some: &[[u8; 4]]| {
        let answers = archive.append(some.iter().map(|body| object(body)).collect()).await;
        assert!(answers.iter().all(Result::is_ok));
    };
    append(&archive, &bodies[..3]).await;
    let (writer, handle) = (Arc::clone(&archive), Handle::current());
    let rest = bodies[3..].to_vec();
    // Once it is known how far the first segment goes it grows, is closed, and others follow.
    let mut meanwhile = Some(move || {
        handle.block_on(async {
            for some in rest.chunks(3) {
                append(&writer, some).await;
            }
        });
    });
    let store = Arc::clone(&archive.store);
    let read = move || {
        read::page(&store, None, 1_000, &mut || {
            if let Some(write) = meanwhile.take() {
                write();
            }
        })
    };
    let mut found = tokio::task::spawn_blocking(read).await.unwrap().unwrap();
    let mut last = found.last().unwrap().location;
    loop {
        let more = archive.objects_after(Some(last), 1_000).await.unwrap();
        let Some(end) = more.last() else { break };
        last = end.location;
        found.extend(more);
    }
    let found: Vec<_> = found.into_iter().map(|object| object.digest).collect();
    assert_eq!(found, bodies.iter().map(|body| digest(body)).collect::<Vec<_>>());
    assert!(last.segment > 3, "{last:?}");
}

#[tokio::test]
async fn an_archive_dropped_has_answered_everything_accepted() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new(Counting::slow());
    let (archive, _) = LocalArchive::open_on(options(dir.path()), disk, None).unwrap();
    let (reply, mut answer) = oneshot::channel();
    let NewObject { digest, head, .. } = object(b"abc");
    let head = format::encode_object(&head).unwrap();
    let body = Ready::Memory(vec![Bytes::from_static(b"abc")]);
    let job = Job::Append {
        objects: vec![Prepared { digest, head, length: 3, body, cover: None }],
        reply,
    };
    archive.send(job).await.unwrap();
    drop(archive);
    assert!(matches!(answer.try_recv().unwrap().as_slice(), [Ok(_)]));
}
