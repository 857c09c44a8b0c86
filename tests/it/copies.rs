//! Copies of other nodes give room, the least recently used study first, and nothing else does.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use bytes::Bytes;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::task::TaskTracker;
use xiangyi::app::access::Caller;
use xiangyi::app::error::Error;
use xiangyi::app::imaging::custody::{
    Begun, Custody as _, ErasedBy, ErasedObject, NewErasure, NewHold, Placed,
};
use xiangyi::app::imaging::ports::{ChangeKind, KnownObject, StudyIndex as _};
use xiangyi::app::imaging::{CopyLimits, Imaging, ImagingParts, Intake, Kept, Refused, Requester};
use xiangyi::app::ports::Clock;
use xiangyi::archive::local::{LocalArchive, Options};
use xiangyi::render::Workers;
use xiangyi::store::discard::Discard;
use xiangyi::store::sqlite::exchange::ExchangeStore;
use xiangyi::store::sqlite::studies::StudyIndexStore;

use crate::images::{EXPLICIT, Slice};

/// Long enough after a use that nobody is reading any more.
const LATER_MS: i64 = 10 * 60_000;

#[derive(Debug)]
struct SetClock(AtomicI64);

impl Clock for SetClock {
    fn now_ms(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }
}

/// Imaging over real files, with a clock that the test turns.
struct Rig {
    imaging: Arc<Imaging>,
    index: Arc<StudyIndexStore>,
    exchange: Arc<ExchangeStore>,
    clock: Arc<SetClock>,
    keeper: JoinHandle<()>,
    tasks: TaskTracker,
}

async fn rig(folder: &Path, bytes_max: u64, now_ms: i64) -> Rig {
    let options = Options { free_bytes_min: 0, ..Options::new(folder.join("archive")) };
    let (archive, _) = LocalArchive::open(options).unwrap();
    let tasks = TaskTracker::new();
    let index = StudyIndexStore::open(&folder.join("imaging.db"), &tasks).await.unwrap();
    let index = Arc::new(index);
    let exchange = Arc::new(ExchangeStore::open(&folder.join("exchange.db")).await.unwrap());
    let clock = Arc::new(SetClock(AtomicI64::new(now_ms)));
    let parts = ImagingParts {
        archive: Arc::new(archive),
        index: Arc::<StudyIndexStore>::clone(&index),
        journal: Arc::new(Discard),
        clock: Arc::<SetClock>::clone(&clock),
        transcoder: Arc::new(Workers::start(xiangyi::render::Options::default()).unwrap()),
        custody: Arc::<ExchangeStore>::clone(&exchange),
        copies: CopyLimits { bytes_max, spare_bytes_min: 0 },
    };
    let (imaging, keeper, _) = Imaging::start(parts).await.unwrap();
    let keeper = tasks.spawn(keeper.run());
    Rig { imaging, index, exchange, clock, keeper, tasks }
}

fn local() -> Requester {
    Requester::of(Caller::local("test"))
}

impl Rig {
    async fn keep(&self, study: &str, number: u32, node: Option<&str>) -> Result<Kept, Refused> {
        let bytes = Slice::head(study, number).bytes();
        let mut incoming =
            self.imaging.receive(&Intake::of(local()), EXPLICIT, None, Vec::new())?;
        if let Some(node) = node {
            incoming = incoming.copy_of(node);
        }
        incoming.push(Bytes::from(bytes)).await?;
        Ok(incoming.finish().await?.kept)
    }

    /// Fetches two objects of a study, a minute after whatever came before.
    async fn fetch(&self, study: &str) {
        self.clock.0.fetch_add(60_000, Ordering::SeqCst);
        for number in [1, 2] {
            let kept = self.keep(study, number, Some("hospital")).await.unwrap();
            assert_eq!(kept, Kept::New, "{study}");
        }
    }

    async fn known(&self, study: &str, number: u32) -> Vec<KnownObject> {
        let uid = Slice::head(study, number).uid();
        self.imaging.known(&local(), vec![uid]).await.unwrap().remove(0)
    }

    async fn has(&self, study: &str) -> bool {
        !self.known(study, 1).await.is_empty()
    }

    fn later(&self, ms: i64) {
        self.clock.0.fetch_add(ms, Ordering::SeqCst);
    }

    /// Stops as a node does.
    async fn stop(self) {
        drop((self.imaging, self.index, self.exchange));
        self.keeper.await.unwrap();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

/// Bytes of the copies of a study as `fetch` makes them.
fn study_bytes() -> u64 {
    2 * u64::try_from(Slice::head("1.2.1", 1).bytes().len()).unwrap()
}

async fn full_rig() -> (TempDir, Rig) {
    let folder = tempfile::tempdir().unwrap();
    let rig = rig(folder.path(), 3 * study_bytes(), 1_700_000_000_000).await;
    assert_eq!(rig.keep("1.2.9", 1, None).await.unwrap(), Kept::New, "the node's own");
    for study in ["1.2.1", "1.2.2", "1.2.3"] {
        rig.fetch(study).await;
    }
    rig.later(LATER_MS);
    (folder, rig)
}

fn hold(study: &str) -> NewHold {
    NewHold {
        id: format!("hold-{study}"),
        study: study.to_owned(),
        reason: "a court asked".to_owned(),
        by: "test".to_owned(),
        at_ms: 1,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_least_recently_used_study_of_copies_gives_room_and_nothing_of_the_nodes_own() {
    let (folder, rig) = full_rig().await;
    rig.imaging.audit_retrieval(&local(), "1.2.1", "P1").await.unwrap();
    rig.later(LATER_MS);
    let location = rig.known("1.2.2", 1).await[0].location;
    rig.fetch("1.2.4").await;
    assert!(!rig.has("1.2.2").await, "the oldest that nobody used");
    for study in ["1.2.1", "1.2.3", "1.2.4", "1.2.9"] {
        assert!(rig.has(study).await, "{study}");
    }
    let read = rig.imaging.bytes(&local(), location, 0..8).await;
    assert!(matches!(read, Err(Error::NotFound { .. })), "{read:?}");
    let changes = rig.index.changes(0, 100).await.unwrap();
    let erased = changes.iter().filter(|c| c.kind == ChangeKind::Erased && c.uids.study == "1.2.2");
    assert_eq!(erased.count(), 2);
    let info = rig.imaging.copy_info().await.unwrap();
    assert_eq!((info.totals.studies, info.totals.bytes), (3, 3 * study_bytes()));
    assert_eq!((info.evictions.studies, info.evictions.objects), (1, 2));
    assert_eq!(info.evictions.bytes, study_bytes());
    // What was evicted can be fetched again, and another goes for it.
    rig.later(LATER_MS);
    rig.fetch("1.2.2").await;
    assert!(!rig.has("1.2.3").await);
    rig.stop().await;
    let rig = self::rig(folder.path(), 3 * study_bytes(), 1_800_000_000_000).await;
    assert!(rig.has("1.2.2").await && !rig.has("1.2.3").await, "the same after a restart");
    let copied = rig.imaging.copied(&["1.2.2".to_owned(), "1.2.9".to_owned()]).await.unwrap();
    assert_eq!(copied.len(), 1);
    assert!(copied[0].wholly && copied[0].copies.nodes.contains("hospital"));
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_held_or_being_read_stays_and_without_room_a_copy_is_refused() {
    let (_folder, rig) = full_rig().await;
    assert!(matches!(rig.exchange.place(hold("1.2.1")).await.unwrap(), Placed::Stands(_)));
    rig.imaging.audit_retrieval(&local(), "1.2.2", "P1").await.unwrap();
    rig.fetch("1.2.4").await;
    assert!(rig.has("1.2.1").await, "held");
    assert!(rig.has("1.2.2").await, "being read");
    assert!(!rig.has("1.2.3").await);
    rig.imaging.audit_retrieval(&local(), "1.2.4", "P1").await.unwrap();
    let refused = rig.keep("1.2.5", 1, Some("hub")).await.unwrap_err();
    assert!(matches!(refused, Refused::Node(Error::Overloaded { .. })), "{refused:?}");
    assert!(!rig.has("1.2.5").await);
    assert_eq!(rig.keep("1.2.5", 1, None).await.unwrap(), Kept::New, "the own sender may");
    // A stream that goes on keeps its study although it was asked for long ago.
    rig.later(LATER_MS);
    let location = rig.known("1.2.2", 2).await[0].location;
    rig.imaging.bytes(&local(), location, 0..8).await.unwrap();
    rig.fetch("1.2.6").await;
    assert!(rig.has("1.2.2").await && !rig.has("1.2.4").await);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_that_became_the_nodes_own_is_not_evicted_with_its_study() {
    let (_folder, rig) = full_rig().await;
    assert_eq!(rig.keep("1.2.1", 1, None).await.unwrap(), Kept::Known, "from its own sender");
    let copied = rig.imaging.copied(&["1.2.1".to_owned()]).await.unwrap();
    assert!(!copied[0].wholly, "partly its own");
    rig.fetch("1.2.4").await;
    assert_eq!(rig.known("1.2.1", 1).await.len(), 1);
    assert!(rig.known("1.2.1", 2).await.is_empty());
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_that_can_never_fit_is_refused_and_evicts_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let rig = rig(folder.path(), 100, 1_700_000_000_000).await;
    let refused = rig.keep("1.2.1", 1, Some("hub")).await.unwrap_err();
    assert!(matches!(refused, Refused::Node(Error::Refused { .. })), "{refused:?}");
    rig.stop().await;
}

/// Writes an erasure of both objects of a study down and dies.
async fn begun(rig: &Rig, study: &str, by: ErasedBy) -> Vec<ErasedObject> {
    let mut objects = Vec::new();
    for number in [1, 2] {
        let known = rig.known(study, number).await.remove(0);
        objects.push(ErasedObject {
            digest: known.digest,
            instance: known.uids.instance,
            location: Some(known.location),
        });
    }
    let (study, patient_id) = (study.to_owned(), "P1".to_owned());
    let new = NewErasure { study, patient_id, by, at_ms: 1, objects: objects.clone() };
    assert!(matches!(rig.exchange.begin(new).await.unwrap(), Begun::Open(_)));
    objects
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_written_down_before_a_crash_is_erased_at_the_next_start() {
    let (folder, rig) = full_rig().await;
    let by = ErasedBy::Caller {
        name: "admin".to_owned(),
        role: "administrator".to_owned(),
        reason: "the patient asked".to_owned(),
    };
    begun(&rig, "1.2.1", by).await;
    let placed = rig.exchange.place(hold("1.2.1")).await.unwrap();
    assert_eq!(placed, Placed::Erasing, "too late for a hold");
    // One whose copies became the node's own before the eviction was carried out.
    begun(&rig, "1.2.2", ErasedBy::Quota).await;
    assert_eq!(rig.keep("1.2.2", 1, None).await.unwrap(), Kept::Known);
    rig.stop().await;
    let rig = self::rig(folder.path(), 3 * study_bytes(), 1_700_000_000_000).await;
    assert!(!rig.has("1.2.1").await);
    assert_eq!(rig.known("1.2.2", 1).await.len(), 1, "its own");
    assert!(rig.known("1.2.2", 2).await.is_empty());
    assert!(rig.exchange.unfinished().await.unwrap().is_empty());
    assert_eq!(rig.imaging.copy_info().await.unwrap().totals.studies, 1);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_index_that_lost_a_removal_with_the_power_forgets_again_but_not_what_came_back() {
    let (folder, rig) = full_rig().await;
    rig.stop().await;
    let before = tempfile::tempdir().unwrap();
    std::fs::copy(folder.path().join("imaging.db"), before.path().join("imaging.db")).unwrap();
    let rig = self::rig(folder.path(), 3 * study_bytes(), 1_700_100_000_000).await;
    rig.fetch("1.2.4").await;
    assert!(!rig.has("1.2.1").await);
    rig.stop().await;
    // The index as it was before; it catches up with what was added since, not with what went.
    for suffix in ["-wal", "-shm"] {
        let _ = std::fs::remove_file(folder.path().join(format!("imaging.db{suffix}")));
    }
    std::fs::copy(before.path().join("imaging.db"), folder.path().join("imaging.db")).unwrap();
    let rig = self::rig(folder.path(), 3 * study_bytes(), 1_700_100_000_000).await;
    assert!(!rig.has("1.2.1").await && rig.has("1.2.4").await);
    rig.later(LATER_MS);
    rig.fetch("1.2.1").await;
    rig.stop().await;
    let rig = self::rig(folder.path(), 3 * study_bytes(), 1_700_200_000_000).await;
    assert!(rig.has("1.2.1").await, "came back and stays");
    rig.stop().await;
}
