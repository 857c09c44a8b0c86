//! Copies in a remote store: put, read back, used when bodies have left the disk, made anew when
//! something is erased; and what happens when the store is down or loses something.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64};

use futures_util::future::BoxFuture as Boxed;

use super::super::*;
use super::support::{bodies, listed, object, options, store_one};
use crate::archive::remote::{Blobs, Putting, RemoteError};

/// Blobs in memory that fail when told to.
#[derive(Debug, Default)]
struct Memory {
    blobs: Arc<Mutex<BTreeMap<String, Vec<u8>>>>,
    down: AtomicBool,
    /// Parts that are taken before the store goes down; it counts down.
    parts: Arc<AtomicU64>,
    ranges: AtomicU64,
    /// Whether what is put comes out changed.
    garbles: AtomicBool,
    keeps_deleted: AtomicBool,
}

#[derive(Debug)]
struct Part {
    blobs: Arc<Mutex<BTreeMap<String, Vec<u8>>>>,
    parts: Arc<AtomicU64>,
    name: String,
    bytes: Vec<u8>,
    garbles: bool,
}

fn down() -> RemoteError {
    let source = "connection refused".into();
    RemoteError::Store(object_store::Error::Generic { store: "test", source })
}

impl Memory {
    fn up(&self) -> Result<(), RemoteError> {
        if self.down.load(Ordering::SeqCst) { Err(down()) } else { Ok(()) }
    }

    fn names(&self) -> Vec<String> {
        self.blobs.lock().unwrap().keys().cloned().collect()
    }

    fn contains(&self, needle: &[u8]) -> bool {
        let blobs = self.blobs.lock().unwrap();
        blobs.values().any(|bytes| bytes.windows(needle.len()).any(|w| w == needle))
    }
}

impl Blobs for Memory {
    fn range<'a>(
        &'a self,
        name: &'a str,
        range: Range<u64>,
    ) -> Boxed<'a, Result<Bytes, RemoteError>> {
        Box::pin(async move {
            self.up()?;
            self.ranges.fetch_add(1, Ordering::SeqCst);
            let blobs = self.blobs.lock().unwrap();
            let missing = || RemoteError::Missing { name: name.to_owned() };
            let bytes = blobs.get(name).ok_or_else(missing)?;
            let range = usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap();
            let changed = || RemoteError::Changed { name: name.to_owned() };
            Ok(Bytes::copy_from_slice(bytes.get(range).ok_or_else(changed)?))
        })
    }

    fn length<'a>(&'a self, name: &'a str) -> Boxed<'a, Result<u64, RemoteError>> {
        Box::pin(async move {
            self.up()?;
            let blobs = self.blobs.lock().unwrap();
            let missing = || RemoteError::Missing { name: name.to_owned() };
            Ok(u64::try_from(blobs.get(name).ok_or_else(missing)?.len()).unwrap())
        })
    }

    fn put<'a>(&'a self, name: &'a str) -> Boxed<'a, Result<Box<dyn Putting>, RemoteError>> {
        Box::pin(async move {
            self.up()?;
            let putting: Box<dyn Putting> = Box::new(Part {
                blobs: Arc::clone(&self.blobs),
                parts: Arc::clone(&self.parts),
                name: name.to_owned(),
                bytes: Vec::new(),
                garbles: self.garbles.load(Ordering::SeqCst),
            });
            Ok(putting)
        })
    }

    fn delete<'a>(&'a self, name: &'a str) -> Boxed<'a, Result<(), RemoteError>> {
        Box::pin(async move {
            self.up()?;
            if self.keeps_deleted.load(Ordering::SeqCst) {
                return Err(down());
            }
            self.blobs.lock().unwrap().remove(name);
            Ok(())
        })
    }
}

impl Putting for Part {
    fn part(&mut self, bytes: Bytes) -> Boxed<'_, Result<(), RemoteError>> {
        Box::pin(async move {
            if self.parts.fetch_sub(1, Ordering::SeqCst) == 0 {
                return Err(down());
            }
            self.bytes.extend_from_slice(&bytes);
            Ok(())
        })
    }

    fn complete(&mut self) -> Boxed<'_, Result<(), RemoteError>> {
        Box::pin(async move {
            if self.garbles {
                *self.bytes.last_mut().unwrap() ^= 1;
            }
            self.blobs.lock().unwrap().insert(self.name.clone(), self.bytes.clone());
            Ok(())
        })
    }

    fn abort(&mut self) -> Boxed<'_, ()> {
        Box::pin(async {})
    }
}

fn memory() -> Arc<Memory> {
    let memory = Memory::default();
    memory.parts.store(u64::MAX / 2, Ordering::SeqCst);
    Arc::new(memory)
}

fn open(dir: &std::path::Path, memory: &Arc<Memory>) -> (LocalArchive, Recovery) {
    LocalArchive::open_with(options(dir), Arc::<Memory>::clone(memory)).unwrap()
}

fn segment(dir: &std::path::Path, number: u64) -> PathBuf {
    dir.join(format!("segments/{number:016}.seg"))
}

/// Bodies of 3 KiB, four in a segment.
fn many() -> Vec<Vec<u8>> {
    (0..14_u8)
        .map(|i| (0..3072_u32).map(|k| i ^ u8::try_from(k % 251).unwrap()).collect())
        .collect()
}

async fn fill(archive: &LocalArchive) -> Vec<(Location, Vec<u8>)> {
    let mut kept = Vec::new();
    for body in many() {
        kept.push((store_one(archive, &body).await, body));
    }
    kept
}

async fn check(archive: &LocalArchive, kept: &[(Location, Vec<u8>)]) {
    for (location, body) in kept {
        let read = archive.read(*location, 0..u64::MAX).await.unwrap();
        assert!(read == *body, "at {location:?}");
        let part = archive.read(*location, 100..200).await.unwrap();
        assert!(part == body[100..200]);
    }
}

#[tokio::test]
async fn segments_are_copied_and_their_bodies_leave_the_disk_the_oldest_first() {
    let (dir, memory) = (tempfile::tempdir().unwrap(), memory());
    let (archive, _) = open(dir.path(), &memory);
    let kept = fill(&archive).await;
    let tender = archive.tender(Some(0)).unwrap();
    let keeps_all = archive.tender(None).unwrap();
    let sealed = kept.last().unwrap().0.segment - 1;
    let done = keeps_all.tend().await.unwrap();
    assert_eq!((done.put, done.away), (sealed, 0));
    assert_eq!(keeps_all.tend().await.unwrap(), Tended::default(), "nothing is done twice");
    for number in 1..=sealed {
        let name = tend::name(archive.store.key, number, 1);
        let local = fs::read(segment(dir.path(), number)).unwrap();
        assert!(memory.blobs.lock().unwrap()[&name] == local, "whole, byte for byte");
    }
    assert!(memory.ranges.load(Ordering::SeqCst) >= sealed, "read back");
    assert_eq!(tender.tend().await.unwrap().away, sealed);
    let raw = fs::read(segment(dir.path(), 1)).unwrap();
    let body = &kept[0].1[..64];
    assert!(!raw.windows(64).any(|w| w == body), "no body is left of it");
    check(&archive, &kept).await;
    let usage = archive.usage().await.unwrap().remote.unwrap();
    assert_eq!((usage.segments, usage.waiting_bytes, usage.failing), (sealed, 0, false));
    assert!(usage.away_bytes > 0);

    // Without the store the node opens and gives what is here, heads of everything included.
    drop((archive, tender, keeps_all));
    let (archive, recovery) = LocalArchive::open(options(dir.path())).unwrap();
    assert_eq!((recovery.voided, recovery.gaps, recovery.bytes_cut), (0, 0, 0));
    assert_eq!(listed(&archive).await.len(), kept.len());
    assert!(archive.object(kept[0].0).await.unwrap().is_some());
    let refused = archive.read(kept[0].0, 0..9).await;
    assert!(matches!(refused, Err(Error::Unavailable { what: "remote archive", .. })));
    assert!(archive.read(kept.last().unwrap().0, 0..9).await.is_ok());
    drop(archive);

    // The list of sealed segments is derived; that of copies is enough to make it anew.
    fs::remove_file(dir.path().join("sealed")).unwrap();
    let (archive, recovery) = open(dir.path(), &memory);
    assert_eq!((recovery.voided, recovery.bytes_cut), (0, 0));
    check(&archive, &kept).await;
}

#[tokio::test]
async fn a_store_that_goes_down_stops_nothing_and_is_gone_on_with_later() {
    let (dir, memory) = (tempfile::tempdir().unwrap(), memory());
    let (archive, _) = open(dir.path(), &memory);
    let kept = fill(&archive).await;
    let tender = archive.tender(Some(0)).unwrap();
    memory.parts.store(1, Ordering::SeqCst);
    assert!(tender.tend().await.is_err(), "down at the second segment");
    assert_eq!(memory.names().len(), 1, "no half of anything");
    check(&archive, &kept).await;
    let usage = archive.usage().await.unwrap().remote.unwrap();
    assert!(usage.failing && usage.waiting_bytes > 0 && usage.away_bytes == 0);
    memory.parts.store(u64::MAX / 2, Ordering::SeqCst);
    tender.tend().await.unwrap();
    check(&archive, &kept).await;
    let before = memory.ranges.load(Ordering::SeqCst);
    check(&archive, &kept).await;
    assert_eq!(memory.ranges.load(Ordering::SeqCst), before, "read ahead and kept");
    drop((archive, tender));
    let (archive, _) = open(dir.path(), &memory);
    memory.down.store(true, Ordering::SeqCst);
    let refused = archive.read(kept[0].0, 0..9).await;
    assert!(matches!(refused, Err(Error::Unavailable { what: "remote archive", .. })));
    assert!(archive.read(kept.last().unwrap().0, 0..9).await.is_ok());
    store_one(&archive, &[9; 3000]).await;
    memory.down.store(false, Ordering::SeqCst);
    check(&archive, &kept).await;
}

#[tokio::test]
async fn what_does_not_come_back_as_it_was_put_is_not_relied_on() {
    let (dir, memory) = (tempfile::tempdir().unwrap(), memory());
    let (archive, _) = open(dir.path(), &memory);
    let kept = fill(&archive).await;
    let tender = archive.tender(Some(0)).unwrap();
    memory.garbles.store(true, Ordering::SeqCst);
    let refused = tender.tend().await;
    assert!(matches!(refused, Err(RemoteError::Changed { .. })), "{refused:?}");
    assert!(archive.store.tiers.all().is_empty());
    check(&archive, &kept).await;
    memory.garbles.store(false, Ordering::SeqCst);
    tender.tend().await.unwrap();
    check(&archive, &kept).await;
}

#[tokio::test]
async fn what_is_erased_leaves_the_copies_too_wherever_the_bodies_are() {
    let (dir, memory) = (tempfile::tempdir().unwrap(), memory());
    let (archive, _) = open(dir.path(), &memory);
    let mut kept = fill(&archive).await;
    let keeps_all = archive.tender(None).unwrap();
    keeps_all.tend().await.unwrap();
    for local_bytes_max in [None, Some(0)] {
        let tender = archive.tender(local_bytes_max).unwrap();
        tender.tend().await.unwrap();
        let (location, body) = kept.remove(0);
        assert!(memory.contains(&body[..500]));
        archive.erase(location, "a person asked").await.unwrap();
        let read = archive.read(location, 0..9).await;
        assert!(matches!(read, Err(Error::NotFound { .. })), "at once");
        assert_eq!(archive.usage().await.unwrap().remote.unwrap().tainted_segments, 1);
        // The old copy cannot be deleted now; that is not forgotten.
        memory.keeps_deleted.store(true, Ordering::SeqCst);
        assert!(tender.tend().await.is_err());
        assert!(memory.contains(&body[..500]));
        memory.keeps_deleted.store(false, Ordering::SeqCst);
        tender.tend().await.unwrap();
        assert!(!memory.contains(&body[..500]), "gone from the store");
        assert_eq!(archive.usage().await.unwrap().remote.unwrap().tainted_segments, 0);
        check(&archive, &kept).await;
        let copies: u64 = archive.usage().await.unwrap().remote.unwrap().segments;
        assert_eq!(u64::try_from(memory.names().len()).unwrap(), copies, "one copy a segment");
    }
}

#[tokio::test]
async fn an_erasure_before_a_crash_taints_the_copy_at_the_next_opening() {
    let (dir, memory) = (tempfile::tempdir().unwrap(), memory());
    let (archive, _) = open(dir.path(), &memory);
    let kept = fill(&archive).await;
    archive.tender(None).unwrap().tend().await.unwrap();
    let list = fs::read(dir.path().join("remote")).unwrap();
    archive.erase(kept[0].0, "a person asked").await.unwrap();
    drop(archive);
    // As if it had ended between the erasure and the note.
    fs::write(dir.path().join("remote"), list).unwrap();
    let (archive, _) = open(dir.path(), &memory);
    assert!(archive.store.tiers.get(kept[0].0.segment).unwrap().tainted);
    archive.tender(None).unwrap().tend().await.unwrap();
    assert!(!memory.contains(&kept[0].1[..500]));
    drop(archive);
    let (archive, _) = open(dir.path(), &memory);
    assert!(archive.store.tiers.all().iter().all(|tier| !tier.tainted), "once is enough");
}

#[tokio::test]
async fn an_end_between_the_note_and_the_holes_loses_nothing() {
    let (dir, memory) = (tempfile::tempdir().unwrap(), memory());
    let (archive, _) = open(dir.path(), &memory);
    let kept = fill(&archive).await;
    archive.tender(None).unwrap().tend().await.unwrap();
    let note = |there: Option<tier::Tier>, _| there.map(|t| tier::Tier { away: true, ..t });
    archive.store.tiers.say(&LocalDisk, 1, note).unwrap();
    drop(archive);
    let (archive, _) = open(dir.path(), &memory);
    check(&archive, &kept).await;
    assert!(!archive.store.tiers.get(1).unwrap().punched);
    archive.tender(None).unwrap().tend().await.unwrap();
    assert!(archive.store.tiers.get(1).unwrap().punched);
    check(&archive, &kept).await;
}

async fn scrubbed(archive: &Arc<LocalArchive>) -> ScrubReport {
    let archive = Arc::clone(archive);
    tokio::task::spawn_blocking(move || archive.scrub(&|| false, &mut |_| {})).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_scrub_reads_what_is_only_in_the_store_and_finds_what_it_lost() {
    let (dir, memory) = (tempfile::tempdir().unwrap(), memory());
    let (archive, _) = open(dir.path(), &memory);
    let archive = Arc::new(archive);
    let kept = fill(&archive).await;
    archive.tender(None).unwrap().tend().await.unwrap();
    let clean = scrubbed(&archive).await;
    assert_eq!(clean.flaws, 0, "{clean:?}");
    // A copy that was cut while the bodies are here is put again.
    let name = tend::name(archive.store.key, 2, 1);
    memory.blobs.lock().unwrap().get_mut(&name).unwrap().truncate(1000);
    let report = scrubbed(&archive).await;
    assert_eq!((report.flaws, report.damaged[0].flaw), (1, format::Flaw::Remote));
    archive.tender(Some(0)).unwrap().tend().await.unwrap();
    let report = scrubbed(&archive).await;
    assert_eq!((report.flaws, report.done.records), (0, clean.done.records));
    check(&archive, &kept).await;
    // One that is cut when the bodies are gone is told, and so is one whose bytes changed.
    let name = tend::name(archive.store.key, 1, 1);
    let whole = memory.blobs.lock().unwrap()[&name].clone();
    memory.blobs.lock().unwrap().get_mut(&name).unwrap().truncate(1000);
    let report = scrubbed(&archive).await;
    assert_eq!((report.flaws, report.damaged[0].segment), (1, 1));
    let afresh = Ahead::default();
    let (tier, name_of) = (archive.store.tiers.get(1).unwrap(), name.clone());
    let read = afresh.read(&*memory, (&name_of, &tier), 5000..6000).await;
    assert!(matches!(read, Err(RemoteError::Changed { .. })), "{read:?}");
    let mut changed = whole.clone();
    changed[usize::try_from(kept[0].0.body).unwrap()] ^= 1;
    memory.blobs.lock().unwrap().insert(name.clone(), changed);
    let report = scrubbed(&archive).await;
    assert_eq!((report.flaws, report.damaged[0].flaw), (1, format::Flaw::Body));
    memory.blobs.lock().unwrap().insert(name, whole);
    assert_eq!(scrubbed(&archive).await.flaws, 0);
}

#[tokio::test]
async fn a_large_object_is_copied_and_read_in_parts() {
    let (dir, memory) = (tempfile::tempdir().unwrap(), memory());
    let (archive, _) = open(dir.path(), &memory);
    let body: Vec<u8> = (0..20_000_000_u32).map(|i| u8::try_from(i % 253).unwrap()).collect();
    let mut spool = archive.spool().await.unwrap();
    for chunk in body.chunks(1 << 20) {
        spool.write(Bytes::copy_from_slice(chunk)).await.unwrap();
    }
    let large = NewObject { body: Body::Spooled(spool), ..object(&body) };
    let location = archive.append(vec![large]).await.pop().unwrap().unwrap();
    let small = bodies(2).remove(1);
    let other = store_one(&archive, &small).await;
    archive.tender(Some(0)).unwrap().tend().await.unwrap();
    assert!(archive.store.tiers.away(location.segment));
    assert!(archive.read(location, 0..u64::MAX).await.unwrap() == body);
    assert!(
        archive.read(location, 9_000_000..9_000_100).await.unwrap() == body[9_000_000..9_000_100]
    );
    assert!(archive.read(other, 0..u64::MAX).await.unwrap() == small);
}
