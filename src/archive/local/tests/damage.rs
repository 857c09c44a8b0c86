//! Torn tails, flipped bits and segments of nothing but noise.

use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::super::format::Flaw;
use super::super::*;
use super::support::{bodies, digest, listed, object, open, options, scrub, store_one};

fn segment(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("segments/{number:016}.seg"))
}

fn torn_files(dir: &Path) -> usize {
    fs::read_dir(dir.join("torn")).unwrap().count()
}

/// An archive of three small objects, each in its own batch, and the bytes of its segment.
async fn three(dir: &Path) -> (Vec<Location>, Vec<u8>) {
    let (archive, _) = open(dir);
    let mut locations = Vec::new();
    for n in 1..=3 {
        locations.push(store_one(&archive, &[n; 40]).await);
    }
    drop(archive);
    (locations, fs::read(segment(dir, 1)).unwrap())
}

fn end(location: &Location) -> usize {
    usize::try_from(location.body + location.length).unwrap().next_multiple_of(8)
}

#[tokio::test]
async fn a_tail_torn_at_any_byte_is_cut_off_and_costs_nothing_before_it() {
    let dir = tempfile::tempdir().unwrap();
    let (locations, whole) = three(dir.path()).await;
    let begin = usize::try_from(locations[2].offset).unwrap();
    let body_end = usize::try_from(locations[2].body + locations[2].length).unwrap();
    for cut in begin..body_end {
        for zeros in [true, false] {
            let mut bytes = whole[..cut].to_vec();
            if zeros {
                bytes.resize(whole.len(), 0);
            }
            fs::write(segment(dir.path(), 1), &bytes).unwrap();
            let (archive, recovery) = open(dir.path());
            assert_eq!((recovery.records, recovery.gaps), (2, 0), "cut at {cut}");
            let found = listed(&archive).await;
            assert!(found.iter().map(|o| o.location).eq(locations[..2].iter().copied()));
            assert!(usize::try_from(recovery.bytes_cut).unwrap() <= cut - begin);
            if cut % 16 != 0 {
                // Writing and opening again at every byte would take a minute.
                continue;
            }
            let location = store_one(&archive, &[9; 50]).await;
            assert_eq!(location.offset, locations[2].offset);
            drop(archive);
            let (archive, recovery) = open(dir.path());
            assert_eq!((recovery.records, recovery.bytes_cut), (3, 0), "cut at {cut}");
            assert_eq!(archive.read(location, 0..99).await.unwrap(), vec![9; 50]);
            assert_eq!(scrub(&archive).flaws, 0);
            drop(archive);
            for torn in fs::read_dir(dir.path().join("torn")).unwrap() {
                fs::remove_file(torn.unwrap().path()).unwrap();
            }
        }
    }
}

#[tokio::test]
async fn a_tail_that_looks_like_a_record_is_put_aside() {
    let dir = tempfile::tempdir().unwrap();
    let (locations, whole) = three(dir.path()).await;
    let begin = usize::try_from(locations[2].offset).unwrap();
    let mut bytes = whole.clone();
    bytes[usize::try_from(locations[2].body).unwrap()] ^= 1;
    fs::write(segment(dir.path(), 1), &bytes).unwrap();
    let (_archive, recovery) = open(dir.path());
    assert_eq!((recovery.records, recovery.put_aside), (2, 1));
    assert_eq!(torn_files(dir.path()), 1);
    let torn = fs::read_dir(dir.path().join("torn")).unwrap().next().unwrap().unwrap().path();
    let torn = fs::read(torn).unwrap();
    assert_eq!(torn, bytes[begin..begin + torn.len()]);
}

#[tokio::test]
async fn records_after_a_damaged_one_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    let (locations, whole) = three(dir.path()).await;
    let mut bytes = whole.clone();
    bytes[usize::try_from(locations[1].offset).unwrap() + 30] ^= 4;
    fs::write(segment(dir.path(), 1), &bytes).unwrap();
    let (archive, recovery) = open(dir.path());
    assert_eq!((recovery.records, recovery.gaps, recovery.bytes_cut), (2, 1, 0));
    assert_eq!(archive.read(locations[2], 0..99).await.unwrap(), vec![3; 40]);
    assert!(matches!(archive.read(locations[1], 0..9).await, Err(Error::NotFound { .. })));
    // A cursor that points at it goes on behind it.
    let after = archive.objects_after(Some(locations[1]), 9).await.unwrap();
    assert_eq!(after.len(), 1);
    let report = scrub(&archive);
    let offset = locations[1].offset;
    assert_eq!(report.damaged, [Damage { segment: 1, offset, flaw: Flaw::Header }]);
}

#[tokio::test]
async fn a_record_of_the_last_batch_without_its_body_is_no_object() {
    let dir = tempfile::tempdir().unwrap();
    let (archive, _) = open(dir.path());
    let bodies: Vec<_> = (1..=3).map(|n| vec![n; 700]).collect();
    let batch = bodies.iter().map(|b| object(b)).collect();
    let locations: Vec<_> = archive.append(batch).await.into_iter().map(Result::unwrap).collect();
    // The first record began the segment alone; the other two share a batch.
    drop(archive);
    let mut bytes = fs::read(segment(dir.path(), 1)).unwrap();
    let at = usize::try_from(locations[1].body).unwrap();
    bytes[at..at + 700].fill(0);
    fs::write(segment(dir.path(), 1), &bytes).unwrap();
    let (archive, recovery) = open(dir.path());
    assert_eq!((recovery.voided, recovery.records), (1, 3));
    let erased: Vec<_> = listed(&archive).await.iter().map(|o| o.erased).collect();
    assert_eq!(erased, [false, true, false]);
    assert_eq!(scrub(&archive).flaws, 0);
}

#[tokio::test]
async fn a_flipped_bit_anywhere_is_found_by_the_scrub_and_stops_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (locations, _) = three(dir.path()).await;
    // Sealed, so that opening does not look.
    let (archive, _) = open(dir.path());
    store_one(&archive, &vec![4; 40 << 10]).await;
    drop(archive);
    let whole = fs::read(segment(dir.path(), 1)).unwrap();
    assert_eq!(whole.len(), end(&locations[2]));
    for byte in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[byte] ^= 1 << (byte % 8);
        fs::write(segment(dir.path(), 1), &bytes).unwrap();
        let (archive, recovery) = open(dir.path());
        assert_eq!(recovery.records, 4);
        let report = scrub(&archive);
        let padding = [&locations[0], &locations[1], &locations[2]].iter().any(|l| {
            let head_end = usize::try_from(l.body).unwrap();
            let zeros = whole[..head_end].iter().rev().take_while(|b| **b == 0).count().min(7);
            (head_end - zeros..head_end).contains(&byte)
        });
        assert!(padding || report.flaws == 1, "byte {byte}: {report:?}");
        assert!(padding || report.damaged[0].segment == 1);
        assert_eq!(report.done.segments, report.done.segments_all);
        assert!(listed(&archive).await.len() >= 3, "byte {byte}");
    }
}

#[tokio::test]
async fn a_sealed_segment_cut_short_or_gone_is_reported_and_stops_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (archive, _) = open(dir.path());
    let batch = bodies(30).iter().map(|b| object(b)).collect();
    assert!(archive.append(batch).await.iter().all(Result::is_ok));
    let before = listed(&archive).await;
    drop(archive);
    let file = File::options().write(true).open(segment(dir.path(), 1)).unwrap();
    file.set_len(file.metadata().unwrap().len() - 100).unwrap();
    let (archive, _) = open(dir.path());
    let report = scrub(&archive);
    assert_eq!((report.damaged.len(), report.damaged[0].segment), (1, 1));
    drop(archive);
    fs::remove_file(segment(dir.path(), 1)).unwrap();
    let (archive, recovery) = open(dir.path());
    assert_eq!(recovery.missing, 1);
    let left = before.iter().filter(|o| o.location.segment > 1);
    assert!(listed(&archive).await.iter().map(|o| o.digest).eq(left.map(|o| o.digest)));
    // Its number is not used again.
    assert!(store_one(&archive, &vec![1; 60 << 10]).await.segment > 1);
}

#[tokio::test]
async fn a_scrub_stops_when_told_to_and_tells_how_far_it_came() {
    let dir = tempfile::tempdir().unwrap();
    let (archive, _) = open(dir.path());
    let batch = bodies(30).iter().map(|b| object(b)).collect();
    assert!(archive.append(batch).await.iter().all(Result::is_ok));
    let seen = std::cell::Cell::new(0);
    let report = archive.scrub(&|| seen.get() >= 5, &mut |progress| seen.set(progress.records));
    assert!(report.cancelled);
    assert_eq!(report.done.records, 5);
    assert_eq!(scrub(&archive).done.records, 30);
}

#[tokio::test]
async fn an_object_that_contains_a_segment_forges_no_record() {
    let dir = tempfile::tempdir().unwrap();
    let (_, forged) = three(dir.path()).await;
    let other = tempfile::tempdir().unwrap();
    let (archive, _) = open(other.path());
    let location = store_one(&archive, &forged[..1200]).await;
    drop(archive);
    // Its header is damaged, and so its body is searched for records.
    let mut bytes = fs::read(segment(other.path(), 1)).unwrap();
    bytes[usize::try_from(location.offset).unwrap() + 33] ^= 1;
    fs::write(segment(other.path(), 1), &bytes).unwrap();
    let (archive, _) = open(other.path());
    assert!(listed(&archive).await.is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_bytes_as_a_segment_open_and_scrub(
        noise in proptest::collection::vec(any::<u8>(), 0..6000),
        labelled in any::<bool>(),
    ) {
        let dir = tempfile::tempdir().unwrap();
        drop(open(dir.path()));
        let mut bytes = noise;
        if labelled {
            let list = fs::read(dir.path().join("sealed")).unwrap();
            let key = format::Label::decode_list(&list).unwrap().key;
            bytes.splice(0..0, format::Label { number: 1, key, seal: None }.encode());
        }
        fs::write(segment(dir.path(), 1), &bytes).unwrap();
        let (archive, recovery) = LocalArchive::open(options(dir.path())).unwrap();
        prop_assert_eq!(recovery.records, 0);
        prop_assert_eq!(scrub(&archive).flaws, 0);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let body = [5; 30];
        let location = runtime.block_on(store_one(&archive, &body));
        let found = runtime.block_on(archive.object(location)).unwrap().unwrap();
        prop_assert_eq!(found.digest, digest(&body));
    }
}
