//! Objects too large for memory.

use std::path::Path;

use super::super::*;
use super::support::{digest, listed, object, open, scrub, store_one};

async fn spooled(archive: &LocalArchive, body: &[u8]) -> NewObject {
    let mut spool = archive.spool().await.unwrap();
    for chunk in body.chunks(100_000) {
        spool.write(Bytes::copy_from_slice(chunk)).await.unwrap();
    }
    assert_eq!(spool.length(), u64::try_from(body.len()).unwrap());
    let NewObject { digest, head, .. } = object(body);
    NewObject { digest, head, body: Body::Spooled(spool) }
}

fn files(dir: &Path) -> usize {
    fs::read_dir(dir.join("spool")).unwrap().count()
}

#[tokio::test]
async fn a_spooled_object_becomes_a_segment_between_those_before_and_after_it() {
    let dir = tempfile::tempdir().unwrap();
    let (archive, _) = open(dir.path());
    let body: Vec<u8> =
        (0..3_000_001_u32).map(|n| n.to_le_bytes()[0] ^ n.to_le_bytes()[1]).collect();
    let first = store_one(&archive, &[1; 100]).await;
    let large = spooled(&archive, &body).await;
    let answers = archive.append(vec![object(&[2; 100]), large, object(&[3; 100])]).await;
    let locations: Vec<_> = answers.into_iter().map(Result::unwrap).collect();
    assert_eq!(locations.iter().map(|l| l.segment).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(files(dir.path()), 0);
    drop(archive);
    for list in [true, false] {
        if !list {
            fs::remove_file(dir.path().join("sealed")).unwrap();
        }
        let (archive, recovery) = open(dir.path());
        assert_eq!((recovery.records, recovery.segments, recovery.bytes_cut), (4, 3, 0));
        assert_eq!(archive.read(locations[1], 0..u64::MAX).await.unwrap(), body);
        assert_eq!(
            archive.read(locations[1], 2_999_999..u64::MAX).await.unwrap(),
            &body[2_999_999..]
        );
        let places: Vec<_> = listed(&archive).await.iter().map(|o| o.location).collect();
        assert_eq!(places, [first, locations[0], locations[1], locations[2]]);
        assert_eq!(archive.object(locations[1]).await.unwrap().unwrap().digest, digest(&body));
        assert_eq!(scrub(&archive).flaws, 0);
    }
}

#[tokio::test]
async fn an_empty_spool_is_an_empty_object() {
    let dir = tempfile::tempdir().unwrap();
    let (archive, _) = open(dir.path());
    let empty = spooled(&archive, b"").await;
    let location = archive.append(vec![empty]).await.pop().unwrap().unwrap();
    assert!(archive.read(location, 0..9).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_spool_that_is_dropped_or_left_over_goes_away() {
    let dir = tempfile::tempdir().unwrap();
    let (archive, _) = open(dir.path());
    let object = spooled(&archive, &vec![1; 300_000]).await;
    assert_eq!(files(dir.path()), 1);
    drop(object);
    assert_eq!(files(dir.path()), 0);
    drop(archive);
    fs::write(dir.path().join("spool/0000000000000007.part"), b"left over").unwrap();
    let (archive, recovery) = open(dir.path());
    assert_eq!(recovery.spools_removed, 1);
    assert_eq!(files(dir.path()), 0);
    assert!(listed(&archive).await.is_empty());
}

#[tokio::test]
async fn a_spool_of_another_archive_is_refused() {
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let ((archive, _), (other, _)) = (open(here.path()), open(there.path()));
    let foreign = spooled(&other, &[1; 10]).await;
    let answers = archive.append(vec![foreign, object(&[2; 10])]).await;
    assert!(matches!(answers.as_slice(), [Err(Error::Internal { .. }), Ok(_)]), "{answers:?}");
}
