//! Sealed records: nothing of them can be read on the disk, and nothing that was altered is given out.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::super::format::{FIRST_RECORD_AT, Flaw, HEADER_BYTES, Header, Place};
use super::super::*;
use super::support::{bodies, digest, listed, object, options, scrub, store_one};
use crate::sharing::sealing::cipher::Cipher;
use crate::sharing::sealing::keyring::{Keyring, KnownMaster, Master};
use crate::sharing::sealing::{Fault, Secret};

const PATIENT: &[u8] = "ZHANG^SAN=张^三".as_bytes();

fn seals(cipher: Cipher, keys: &[u8]) -> Option<Arc<Seals>> {
    let random = |bytes: &mut [u8]| {
        bytes.fill(5);
        Ok::<_, Fault>(())
    };
    let master = KnownMaster::new(cipher, Secret::new(vec![1; 32])).unwrap();
    let masters: [&dyn Master; 1] = [&master];
    let mut ring = Keyring::new(cipher, &masters, &random).unwrap();
    for byte in keys {
        ring.add("archive", Secret::new(vec![*byte; 32]), 0).unwrap();
    }
    Seals::new(ring.keys().to_vec()).map(Arc::new)
}

fn sealed(dir: &Path, seals: Option<Arc<Seals>>) -> Result<(LocalArchive, Recovery), ArchiveError> {
    LocalArchive::open(Options { seals, ..options(dir) })
}

fn aes(dir: &Path) -> (LocalArchive, Recovery) {
    sealed(dir, seals(Cipher::Aes256Gcm, &[7])).unwrap()
}

fn segment(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("segments/{number:016}.seg"))
}

/// Every file below, with its bytes.
fn files(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push((path.clone(), fs::read(&path).unwrap()));
        }
    }
    found.sort();
    found
}

fn contains(dir: &Path, needle: &[u8]) -> bool {
    files(dir).iter().any(|(_, bytes)| bytes.windows(needle.len()).any(|part| part == needle))
}

/// A body with a patient's name at its beginning, its end, and at the edge of a chunk.
fn named(length: usize) -> Vec<u8> {
    let mut body: Vec<u8> = (0..length).map(|i| u8::try_from(i % 253).unwrap()).collect();
    for at in [0, 65_530, length - PATIENT.len()] {
        if at + PATIENT.len() <= length {
            body[at..at + PATIENT.len()].copy_from_slice(PATIENT);
        }
    }
    body
}

/// The writer is given a large batch in parts: every object has the answer that belongs to it.
#[tokio::test]
async fn a_batch_that_is_written_while_it_is_sealed_is_answered_in_its_order() {
    let dir = tempfile::tempdir().unwrap();
    let (archive, _) = aes(dir.path());
    let all: Vec<_> = (0..9).map(|number| named(400_000 + number)).collect();
    let whole: u64 = all.iter().map(|body| u64::try_from(body.len()).unwrap()).sum();
    assert!(whole > 3 * HANDED_BYTES, "it is given in several parts");
    let mut batch: Vec<_> = all.iter().map(|body| object(body)).collect();
    // Refused before it is sealed: as the first, within, and as the last.
    let refused = [0, 4, 10, 12];
    for at in refused {
        let mut other = object(b"refused");
        other.head.source = "x".repeat(70_000);
        batch.insert(at, other);
    }
    let mut answers = archive.append(batch).await;
    assert_eq!(answers.len(), 13);
    for at in refused.into_iter().rev() {
        let answer = answers.remove(at);
        assert!(matches!(answer, Err(Error::TooLarge { .. })), "{at}: {answer:?}");
    }
    for (answer, body) in answers.into_iter().zip(&all) {
        assert_eq!(archive.read(answer.unwrap(), 0..u64::MAX).await.unwrap(), body);
    }
}

#[tokio::test]
async fn sealed_objects_read_back_and_say_nothing_on_the_disk() {
    for cipher in [Cipher::Aes256Gcm, Cipher::Sm4Gcm] {
        let dir = tempfile::tempdir().unwrap();
        let mut all = bodies(30);
        all.extend([named(100), named(65_536), named(70_000), named(300_000)]);
        let (archive, _) = sealed(dir.path(), seals(cipher, &[7])).unwrap();
        let batch = all.iter().map(|body| object(body)).collect();
        let kept: Vec<_> = archive.append(batch).await.into_iter().map(Result::unwrap).collect();
        drop(archive);
        let (archive, recovery) = sealed(dir.path(), seals(cipher, &[7])).unwrap();
        assert_eq!((recovery.records, recovery.gaps, recovery.bytes_cut), (34, 0, 0));
        for (location, body) in kept.iter().zip(&all) {
            assert_eq!(location.length, u64::try_from(body.len()).unwrap());
            assert_eq!(archive.read(*location, 0..u64::MAX).await.unwrap(), body);
            let (from, to) = (body.len() / 3, body.len() / 2);
            let range = u64::try_from(from).unwrap()..u64::try_from(to).unwrap();
            assert_eq!(archive.read(*location, range).await.unwrap(), &body[from..to]);
        }
        let found = listed(&archive).await;
        assert!(found.iter().map(|o| o.digest).eq(all.iter().map(|body| digest(body))));
        assert_eq!(archive.object(kept[3]).await.unwrap().unwrap().head.source, "CT-HALL-ONE");
        assert_eq!(scrub(&archive).flaws, 0);
        let uid = found[7].head.uids.instance.as_bytes().to_vec();
        for secret in [PATIENT, b"CT-HALL-ONE", &uid, &digest(&all[33]).0] {
            assert!(!contains(dir.path(), secret), "{cipher:?}");
        }
    }
    // The same can be read where nothing is sealed.
    let dir = tempfile::tempdir().unwrap();
    let (archive, _) = sealed(dir.path(), None).unwrap();
    store_one(&archive, &named(100)).await;
    assert!(contains(dir.path(), PATIENT) && contains(dir.path(), b"CT-HALL-ONE"));
}

#[tokio::test]
async fn a_large_object_is_sealed_while_it_arrives() {
    let dir = tempfile::tempdir().unwrap();
    for length in [0, 100, 65_536, 3 << 20] {
        let (archive, _) = aes(dir.path());
        let body = if length == 0 { Vec::new() } else { named(length) };
        let mut spool = archive.spool().await.unwrap();
        for part in body.chunks(77_777) {
            spool.write(Bytes::copy_from_slice(part)).await.unwrap();
        }
        assert!(!contains(dir.path(), PATIENT), "while it arrives");
        let NewObject { digest, head, .. } = object(&body);
        let new = NewObject { digest, head, body: Body::Spooled(spool) };
        let location = archive.append(vec![new]).await.pop().unwrap().unwrap();
        drop(archive);
        let (archive, recovery) = aes(dir.path());
        assert_eq!(recovery.gaps, 0);
        assert_eq!(archive.read(location, 0..u64::MAX).await.unwrap(), body);
        assert_eq!(scrub(&archive).flaws, 0);
        assert!(!contains(dir.path(), PATIENT));
    }
}

#[tokio::test]
async fn what_was_altered_is_not_given_out_and_the_scrub_names_it() {
    let dir = tempfile::tempdir().unwrap();
    let (archive, _) = aes(dir.path());
    let body = named(200_000);
    let damaged = store_one(&archive, &body).await;
    let good = store_one(&archive, &body[..1000]).await;
    drop(archive);
    let path = segment(dir.path(), damaged.segment);
    let whole = fs::read(&path).unwrap();
    let (first, last) = (usize::try_from(damaged.body).unwrap(), 200_000 + 4 * 16);
    for at in [0, 65_535, 65_536, 65_551, 65_552, last - 1] {
        let mut bytes = whole.clone();
        bytes[first + at] ^= 0x40;
        fs::write(&path, &bytes).unwrap();
        let (archive, _) = aes(dir.path());
        let read = archive.read(damaged, 0..u64::MAX).await;
        assert!(matches!(read, Err(Error::Internal { .. })), "byte {at}: {read:?}");
        assert_eq!(archive.read(good, 0..u64::MAX).await.unwrap(), &body[..1000]);
        let report = scrub(&archive);
        let named = Damage { segment: damaged.segment, offset: damaged.offset, flaw: Flaw::Body };
        assert_eq!((report.flaws, report.damaged), (1, vec![named]), "byte {at}");
        drop(archive);
    }
    // A byte of the first chunk does not stop who reads the last.
    let mut bytes = whole.clone();
    bytes[first] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let (archive, _) = aes(dir.path());
    assert_eq!(archive.read(damaged, 199_000..200_000).await.unwrap(), &body[199_000..]);
}

/// Who has the box can work the checksums out. A body, or a whole record, in another's place is not
/// taken for that one.
#[tokio::test]
async fn records_and_bodies_do_not_open_in_another_s_place() {
    let dir = tempfile::tempdir().unwrap();
    let (archive, _) = aes(dir.path());
    let (one, two) = (store_one(&archive, &[1; 500]).await, store_one(&archive, &[2; 500]).await);
    let key = archive.store.key;
    drop(archive);
    let path = segment(dir.path(), 1);
    let whole = fs::read(&path).unwrap();
    let at = |byte: u64| usize::try_from(byte).unwrap();

    let mut swapped = whole.clone();
    let bodies = [at(one.body)..at(one.body) + 516, at(two.body)..at(two.body) + 516];
    swapped.copy_within(bodies[1].clone(), bodies[0].start);
    swapped[bodies[1].clone()].copy_from_slice(&whole[bodies[0].clone()]);
    fs::write(&path, &swapped).unwrap();
    let (archive, _) = aes(dir.path());
    // The last one counts as torn, as whatever in the last batch is not as it was written.
    assert!(matches!(archive.read(one, 0..500).await, Err(Error::Internal { .. })));
    assert!(matches!(archive.read(two, 0..500).await, Err(Error::NotFound { .. })));
    drop(archive);

    // The second record, header and all, where the first was, its place in the checksum put right.
    let place = |offset| Place { key, segment: 1, offset };
    let bytes = &whole[at(two.offset)..];
    let header = Header::read(&bytes[..HEADER_BYTES], &place(two.offset)).unwrap();
    let mut moved = whole.clone();
    let length = at(two.body - two.offset) + 516;
    moved[at(one.offset)..at(one.offset) + length].copy_from_slice(&bytes[..length]);
    moved[at(one.offset)..at(one.offset) + HEADER_BYTES]
        .copy_from_slice(&header.encode(&place(FIRST_RECORD_AT)));
    fs::write(&path, &moved).unwrap();
    let (archive, _) = aes(dir.path());
    let found = listed(&archive).await;
    assert!(found.iter().map(|o| o.location).eq([two]), "{found:?}");
    assert!(archive.object(one).await.unwrap().is_none());
    let flaws: Vec<_> = scrub(&archive).damaged.iter().map(|damage| damage.flaw).collect();
    assert_eq!(flaws, [Flaw::Seal]);
    assert_eq!(header.seal.unwrap().key, seals(Cipher::Aes256Gcm, &[7]).unwrap().newest());
}

#[tokio::test]
async fn without_the_right_keys_nothing_is_opened_and_nothing_changed() {
    let dir = tempfile::tempdir().unwrap();
    let (archive, _) = aes(dir.path());
    store_one(&archive, &[1; 500]).await;
    drop(archive);
    for list_is_lost in [false, true] {
        if list_is_lost {
            fs::remove_file(dir.path().join("sealed")).unwrap();
        }
        let before = files(dir.path());
        let without = sealed(dir.path(), None);
        assert!(matches!(without, Err(ArchiveError::Sealed { .. })), "{without:?}");
        let error = sealed(dir.path(), seals(Cipher::Aes256Gcm, &[8])).unwrap_err();
        assert!(matches!(error, ArchiveError::Key { .. }), "{error}");
        let id = seals(Cipher::Aes256Gcm, &[7]).unwrap().newest().to_string();
        assert!(error.to_string().contains(&id), "{error}");
        assert!(before == files(dir.path()), "something was changed");
    }
    // A later key seals what comes, and the older one still opens.
    let (archive, recovery) = sealed(dir.path(), seals(Cipher::Aes256Gcm, &[7, 8])).unwrap();
    assert_eq!(recovery.records, 1);
    let late = store_one(&archive, &[2; 500]).await;
    drop(archive);
    let (archive, _) = sealed(dir.path(), seals(Cipher::Aes256Gcm, &[7, 8])).unwrap();
    assert_eq!(listed(&archive).await.len(), 2);
    assert_eq!(archive.read(late, 0..9).await.unwrap(), &[2; 9][..]);
}

#[tokio::test]
async fn what_is_not_sealed_yet_is_not_mixed_with_what_is() {
    let dir = tempfile::tempdir().unwrap();
    let (archive, _) = sealed(dir.path(), None).unwrap();
    store_one(&archive, &[1; 500]).await;
    drop(archive);
    let opened = sealed(dir.path(), seals(Cipher::Aes256Gcm, &[7]));
    assert!(matches!(opened, Err(ArchiveError::Plain { .. })), "{opened:?}");
    // One that never held anything may begin.
    let dir = tempfile::tempdir().unwrap();
    drop(sealed(dir.path(), None).unwrap());
    let (archive, _) = aes(dir.path());
    store_one(&archive, &named(200)).await;
    drop(archive);
    assert!(!contains(dir.path(), PATIENT));
    assert!(matches!(sealed(dir.path(), None), Err(ArchiveError::Sealed { .. })));
    assert_eq!(aes(dir.path()).1.records, 1);
}

#[tokio::test]
async fn an_erased_object_is_gone_and_why_is_sealed_too() {
    let dir = tempfile::tempdir().unwrap();
    let (archive, _) = aes(dir.path());
    let location = store_one(&archive, &named(70_000)).await;
    let other = store_one(&archive, &named(100)).await;
    let kept = archive.usage().await.unwrap().bytes;
    archive.erase(location, "张三 asked for it").await.unwrap();
    let freed = kept - archive.usage().await.unwrap().bytes;
    assert!((69_000..70_100).contains(&freed), "{freed} bytes");
    assert!(matches!(archive.read(location, 0..9).await, Err(Error::NotFound { .. })));
    drop(archive);
    let (archive, recovery) = aes(dir.path());
    assert_eq!((recovery.records, recovery.erasures_completed), (3, 0));
    assert_eq!(archive.read(other, 0..u64::MAX).await.unwrap(), named(100));
    assert!(!contains(dir.path(), "张三".as_bytes()));
    let body = fs::read(segment(dir.path(), 1)).unwrap();
    let hole = usize::try_from(location.body).unwrap();
    assert!(body[hole..hole + 70_032].iter().all(|byte| *byte == 0), "a hole as long as the seal");
    let report = scrub(&archive);
    assert_eq!((report.flaws, report.erased), (0, 1));
}
