//! Objects arrive, are kept once, apart, or not at all.

mod copies;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use dicom_core::VR;
use dicom_dictionary_std::tags;

use super::testing::{MemoryArchive, MemoryHoldings, MemoryIndex};
use super::transcode::TranscodeError;
use super::*;
use crate::app::access::Permit;
use crate::app::ports::{
    Appended, AuditEntry, BoxFuture, JournalInfo, KeptRecord, ListQuery, ListedRecord, NewRecord,
    RecordKind,
};
use crate::sharing::imaging::element::{Element, ElementSet, Value};
use crate::sharing::imaging::query::{Condition, Level, Matching, Query};
use crate::sharing::imaging::writing::write;

const CT: &str = "1.2.840.10008.5.1.4.1.1.2";
const EXPLICIT: &str = "1.2.840.10008.1.2.1";
const IMPLICIT: &str = "1.2.840.10008.1.2";

#[derive(Debug)]
pub(in crate::app) struct Noon;

impl Clock for Noon {
    fn now_ms(&self) -> i64 {
        1_700_000_000_000
    }
}

/// Remembers entries: action, outcome, record and patient; or fails.
#[derive(Debug, Default)]
pub(in crate::app) struct Entries {
    entries: Mutex<Vec<[String; 4]>>,
    fails: AtomicBool,
}

impl Entries {
    pub(in crate::app) fn taken(&self) -> Vec<[String; 4]> {
        std::mem::take(&mut *self.entries.lock().unwrap())
    }

    pub(in crate::app) fn fail(&self) {
        self.fails.store(true, Ordering::Relaxed);
    }
}

impl Journal for Entries {
    fn append<'a>(
        &'a self,
        _: &'a Permit<'a>,
        _: NewRecord,
        _: AuditEntry,
    ) -> BoxFuture<'a, Result<Appended, Error>> {
        Box::pin(async { Ok(Appended::New) })
    }
    fn find_request<'a>(
        &'a self,
        _: &'a Permit<'a>,
        _: RecordKind,
        _: &'a str,
    ) -> BoxFuture<'a, Result<Option<KeptRecord>, Error>> {
        Box::pin(async { Ok(None) })
    }
    fn read<'a>(
        &'a self,
        _: &'a Permit<'a>,
        _: RecordKind,
        _: &'a str,
        _: AuditEntry,
    ) -> BoxFuture<'a, Result<Option<KeptRecord>, Error>> {
        Box::pin(async { Ok(None) })
    }
    fn list<'a>(
        &'a self,
        _: &'a Permit<'a>,
        _: ListQuery,
        _: AuditEntry,
    ) -> BoxFuture<'a, Result<Vec<ListedRecord>, Error>> {
        Box::pin(async { Ok(Vec::new()) })
    }
    fn audit<'a>(
        &'a self,
        permit: &'a Permit<'a>,
        entry: AuditEntry,
    ) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            if self.fails.load(Ordering::Relaxed) {
                return Err(Error::Unavailable { what: "store", cause: None });
            }
            let AuditEntry { record_id, patient_reference, outcome, .. } = entry;
            let action = permit.action().name().to_owned();
            let entry = [action, outcome.to_owned(), record_id, patient_reference];
            self.entries.lock().unwrap().push(entry);
            Ok(())
        })
    }
    fn info(&self) -> BoxFuture<'_, Result<JournalInfo, Error>> {
        Box::pin(async { Err(Error::Unavailable { what: "store", cause: None }) })
    }
}

/// Takes explicit VR, and gives twenty times as much.
#[derive(Debug)]
pub(super) struct Twentyfold;

impl Transcoder for Twentyfold {
    fn can(&self, stored: &str, _: &str) -> bool {
        stored == EXPLICIT
    }

    fn transcode<'a>(
        &'a self,
        stored: &'a str,
        data_set: Bytes,
        wanted: &'a str,
    ) -> BoxFuture<'a, Result<Bytes, TranscodeError>> {
        let given = if self.can(stored, wanted) {
            Ok(data_set.repeat(20).into())
        } else {
            Err(TranscodeError::NotOffered)
        };
        Box::pin(std::future::ready(given))
    }
}

/// Imaging over an archive and an index in memory, with what keeps it going.
pub(in crate::app) async fn imaging_in_memory() -> (Arc<Imaging>, tokio::task::JoinHandle<()>) {
    let rig = rig_over(Arc::default(), Arc::default()).await;
    (rig.imaging, rig.keeper)
}

struct Rig {
    archive: Arc<MemoryArchive>,
    index: Arc<MemoryIndex>,
    holdings: Arc<MemoryHoldings>,
    entries: Arc<Entries>,
    imaging: Arc<Imaging>,
    keeper: tokio::task::JoinHandle<()>,
    caught: CaughtUp,
}

async fn rig_over(archive: Arc<MemoryArchive>, index: Arc<MemoryIndex>) -> Rig {
    let holdings = Arc::<MemoryHoldings>::default();
    let entries = Arc::<Entries>::default();
    let parts = ImagingParts {
        archive: Arc::<MemoryArchive>::clone(&archive),
        index: Arc::<MemoryIndex>::clone(&index),
        journal: Arc::<Entries>::clone(&entries),
        clock: Arc::new(Noon),
        transcoder: Arc::new(Twentyfold),
        custody: Arc::<MemoryHoldings>::clone(&holdings),
        copies: CopyLimits { bytes_max: u64::MAX, spare_bytes_min: 0 },
    };
    let (imaging, keeper, caught) = Imaging::start(parts).await.unwrap();
    #[expect(clippy::disallowed_methods, reason = "the test waits for it")]
    let keeper = tokio::spawn(keeper.run());
    Rig { archive, index, holdings, entries, imaging, keeper, caught }
}

async fn rig() -> Rig {
    rig_over(Arc::default(), Arc::default()).await
}

fn local() -> Requester {
    Requester::of(Caller::local("test"))
}

/// A data set with this SOP instance UID, something in it, and pixels of `pixels` bytes.
fn object(instance: &str, comment: &str, pixels: usize) -> Vec<u8> {
    let mut set = ElementSet::default()
        .with_text(tags::SOP_CLASS_UID, VR::UI, CT)
        .with_text(tags::SOP_INSTANCE_UID, VR::UI, instance)
        .with_text(tags::STUDY_DESCRIPTION, VR::LO, comment)
        .with_text(tags::STUDY_INSTANCE_UID, VR::UI, "1.2.3")
        .with_text(tags::SERIES_INSTANCE_UID, VR::UI, "1.2.3.4");
    let value = Value::Bytes(vec![7; pixels]);
    set.insert(Element { tag: tags::PIXEL_DATA, vr: VR::OW, value });
    write(&set, true)
}

async fn store(
    imaging: &Imaging,
    bytes: &[u8],
    expected: Option<Expected>,
) -> Result<Kept, Refused> {
    let mut incoming = imaging.receive(&Intake::of(local()), EXPLICIT, expected, Vec::new())?;
    for chunk in bytes.chunks(1000) {
        incoming.push(Bytes::copy_from_slice(chunk)).await?;
    }
    incoming.finish().await.map(|stored| stored.kept)
}

#[tokio::test]
async fn an_object_is_kept_once_and_another_under_its_uid_apart() {
    let rig = rig().await;
    let (first, other) = (object("1.9", "one", 10), object("1.9", "two", 10));
    assert_eq!(store(&rig.imaging, &first, None).await.unwrap(), Kept::New);
    assert_eq!(store(&rig.imaging, &first, None).await.unwrap(), Kept::Known);
    assert_eq!(store(&rig.imaging, &other, None).await.unwrap(), Kept::Apart);
    assert_eq!(store(&rig.imaging, &other, None).await.unwrap(), Kept::Known);
    assert_eq!(store(&rig.imaging, &object("1.8", "one", 10), None).await.unwrap(), Kept::New);
    let objects = rig.archive.objects.lock().unwrap();
    let kept: Vec<&[u8]> =
        objects.iter().filter(|(o, _)| !o.erased).map(|(_, bytes)| &bytes[..]).collect();
    assert_eq!(kept[..2], [&first[..], &other[..]], "byte for byte");
    assert_eq!(kept.len(), 3);
    // The first repetition was written before it was known; after it the index is asked first.
    assert_eq!(objects.iter().filter(|(o, _)| o.erased).count(), 1);
    let apart: Vec<bool> = rig.index.entries.lock().unwrap().iter().map(|e| e.apart).collect();
    assert_eq!(apart, [false, true, false]);
}

#[tokio::test]
async fn twins_that_arrive_together_are_kept_once() {
    let rig = rig().await;
    let bytes = object("1.9", "one", 10);
    let one = store(&rig.imaging, &bytes, None);
    let two = store(&rig.imaging, &bytes, None);
    let other = object("1.9", "two", 10);
    let three = store(&rig.imaging, &other, None);
    let (one, two, three) = tokio::join!(one, two, three);
    assert_eq!([one.unwrap(), two.unwrap(), three.unwrap()], [Kept::New, Kept::Known, Kept::Apart]);
    assert_eq!(rig.archive.objects.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn a_long_object_goes_through_a_file_and_comes_out_whole() {
    let rig = rig().await;
    let bytes = object("1.9", "long", 9 * 1024 * 1024);
    assert_eq!(store(&rig.imaging, &bytes, None).await.unwrap(), Kept::New);
    assert!(rig.archive.objects.lock().unwrap()[0].1 == bytes);
}

#[tokio::test]
async fn what_does_not_fit_is_refused_and_nothing_is_kept() {
    let rig = rig().await;
    let good = object("1.9", "one", 10);
    let expected = |class: &str, instance: &str| {
        Some(Expected { sop_class: class.to_owned(), sop_instance: instance.to_owned() })
    };
    let refused = store(&rig.imaging, &good, expected(CT, "1.8")).await.unwrap_err();
    assert_eq!(refused.to_string(), "SOP instance UID of the data set is not the one announced");
    let refused = store(&rig.imaging, &good, expected("1.2", "1.9")).await.unwrap_err();
    assert!(matches!(refused, Refused::NotAsAnnounced { attribute: "SOP class UID" }));
    let cut = &good[..good.len() - 1];
    assert!(matches!(store(&rig.imaging, cut, None).await, Err(Refused::Structure(_))));
    let nameless = object("", "one", 10);
    assert!(matches!(store(&rig.imaging, &nameless, None).await, Err(Refused::Identity(_))));
    let unknown = rig.imaging.receive(&Intake::of(local()), "no UID", None, Vec::new());
    assert!(matches!(unknown, Err(Refused::TransferSyntax)));
    let nobody =
        Requester { caller: Caller::system("nobody", Role::DicomPeer), services: Services::NONE };
    let denied = rig.imaging.receive(&Intake::of(nobody), EXPLICIT, None, Vec::new());
    assert!(matches!(denied, Err(Refused::Node(Error::Denied { action: "store_images" }))));
    assert!(rig.archive.objects.lock().unwrap().is_empty());
    assert_eq!(store(&rig.imaging, &good, expected(CT, "1.9")).await.unwrap(), Kept::New);
}

#[tokio::test]
async fn a_full_archive_is_said_and_nothing_is_indexed() {
    let rig = rig().await;
    rig.archive.full.store(true, Ordering::Relaxed);
    let bytes = object("1.9", "one", 10);
    let refused = store(&rig.imaging, &bytes, None).await.unwrap_err();
    assert!(matches!(refused, Refused::Node(Error::Unavailable { what: "archive", .. })));
    assert!(rig.index.entries.lock().unwrap().is_empty());
    rig.archive.full.store(false, Ordering::Relaxed);
    assert_eq!(store(&rig.imaging, &bytes, None).await.unwrap(), Kept::New);
}

#[tokio::test]
async fn an_index_that_failed_is_brought_up_to_the_archive_before_more_is_added() {
    let rig = rig().await;
    rig.index.broken.store(true, Ordering::Relaxed);
    let refused = store(&rig.imaging, &object("1.9", "one", 10), None).await.unwrap_err();
    assert!(matches!(refused, Refused::Node(Error::Unavailable { what: "index", .. })));
    rig.index.broken.store(false, Ordering::Relaxed);
    assert_eq!(store(&rig.imaging, &object("1.8", "two", 10), None).await.unwrap(), Kept::New);
    // What was answered with an error lies in the archive and is known when it is sent again.
    let again = store(&rig.imaging, &object("1.9", "one", 10), None).await.unwrap();
    assert_eq!(again, Kept::Known);
    let objects = rig.archive.objects.lock().unwrap();
    assert_eq!(objects.iter().filter(|(o, _)| !o.erased).count(), 2);
    assert_eq!(rig.index.entries.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn a_batch_after_one_that_failed_does_not_hide_what_is_missing() {
    let rig = rig().await;
    *rig.index.fails_after.lock().unwrap() = Some((Arc::clone(&rig.archive), 2));
    let bytes = [object("1.9", "one", 10), object("1.8", "two", 10), object("1.7", "three", 10)];
    let second = async {
        // Its batch follows the first, which is on its way into the index.
        while rig.archive.appends.load(Ordering::Relaxed) == 0 {
            tokio::task::yield_now().await;
        }
        store(&rig.imaging, &bytes[1], None).await
    };
    let (first, second) = tokio::join!(store(&rig.imaging, &bytes[0], None), second);
    for refused in [first.unwrap_err(), second.unwrap_err()] {
        assert!(matches!(refused, Refused::Node(Error::Unavailable { .. })), "{refused:?}");
    }
    assert!(rig.index.entries.lock().unwrap().is_empty(), "the second would hide the first");
    assert_eq!(store(&rig.imaging, &bytes[2], None).await.unwrap(), Kept::New);
    for (bytes, kept) in bytes.iter().zip([Kept::Known; 3]) {
        assert_eq!(store(&rig.imaging, bytes, None).await.unwrap(), kept);
    }
    assert_eq!(rig.index.entries.lock().unwrap().len(), 3);
}

#[tokio::test]
async fn what_the_index_has_lost_is_added_again_before_anything_comes() {
    let rig = rig().await;
    for uid in ["1.9", "1.8"] {
        store(&rig.imaging, &object(uid, "one", 10), None).await.unwrap();
    }
    rig.index.entries.lock().unwrap().truncate(1);
    rig.index.undone.notify_one();
    while rig.index.entries.lock().unwrap().len() < 2 {
        tokio::task::yield_now().await;
    }
    assert_eq!(store(&rig.imaging, &object("1.8", "one", 10), None).await.unwrap(), Kept::Known);
}

#[tokio::test]
async fn what_is_on_its_way_when_the_index_loses_something_does_not_hide_it() {
    let rig = rig().await;
    let bytes = [object("1.9", "one", 10), object("1.8", "two", 10)];
    store(&rig.imaging, &bytes[0], None).await.unwrap();
    rig.index.undoes.store(true, Ordering::Relaxed);
    let refused = store(&rig.imaging, &bytes[1], None).await.unwrap_err();
    assert!(matches!(refused, Refused::Node(Error::Unavailable { .. })), "{refused:?}");
    for bytes in &bytes {
        assert_eq!(store(&rig.imaging, bytes, None).await.unwrap(), Kept::Known);
    }
    assert_eq!(rig.index.entries.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn a_copy_that_was_not_erased_in_time_is_one_object_with_the_first() {
    let Rig { archive, index, imaging, keeper, .. } = rig().await;
    let bytes = object("1.9", "one", 10);
    store(&imaging, &bytes, None).await.unwrap();
    store(&imaging, &bytes, None).await.unwrap();
    drop(imaging);
    keeper.await.unwrap();
    archive.objects.lock().unwrap()[1].0.erased = false;
    archive.objects.lock().unwrap()[1].1 = Bytes::from(bytes);
    index.entries.lock().unwrap().clear();
    let again = rig_over(archive, index).await;
    assert_eq!(again.caught.added, 1);
    let entries = again.index.entries.lock().unwrap();
    assert_eq!(entries.iter().map(|e| e.apart).collect::<Vec<_>>(), [false]);
}

#[tokio::test]
async fn many_at_once_are_each_kept_once() {
    let rig = rig().await;
    let objects: Vec<Vec<u8>> =
        (0..40).map(|n| object(&format!("1.{}", n % 20), &format!("{}", n % 10), 100)).collect();
    let stores = objects.iter().map(|bytes| store(&rig.imaging, bytes, None));
    let kept: Vec<Kept> =
        futures_util::future::join_all(stores).await.into_iter().map(Result::unwrap).collect();
    assert!(kept[..20].iter().all(|k| *k == Kept::New), "{kept:?}");
    assert!(kept[20..].iter().all(|k| *k == Kept::Known), "{kept:?}");
    let archived = rig.archive.objects.lock().unwrap();
    assert_eq!(archived.iter().filter(|(o, _)| !o.erased).count(), 20);
    assert_eq!(rig.index.entries.lock().unwrap().len(), 20);
}

#[tokio::test]
async fn an_index_that_was_lost_is_made_anew_from_the_archive() {
    let Rig { archive, imaging, keeper, .. } = rig().await;
    for (uid, comment) in [("1.9", "one"), ("1.9", "two"), ("1.8", "three")] {
        store(&imaging, &object(uid, comment, 10), None).await.unwrap();
    }
    drop(imaging);
    keeper.await.unwrap();
    let again = rig_over(archive, Arc::default()).await;
    assert_eq!(again.caught, CaughtUp { added: 3, unreadable: 0 });
    let entries = again.index.entries.lock().unwrap();
    let seen: Vec<_> =
        entries.iter().map(|e| (e.header.study.description.as_str(), e.apart)).collect();
    assert_eq!(seen, [("one", false), ("two", true), ("three", false)]);
    assert!(entries.iter().all(|e| e.header.study.uid == "1.2.3"));
}

#[tokio::test]
async fn the_same_bytes_in_another_syntax_are_another_object() {
    let rig = rig().await;
    let bytes = object("1.9", "one", 10);
    store(&rig.imaging, &bytes, None).await.unwrap();
    // Explicit VR read as implicit is no data set; nothing is confused.
    let mut incoming =
        rig.imaging.receive(&Intake::of(local()), IMPLICIT, None, Vec::new()).unwrap();
    let pushed = incoming.push(Bytes::from(bytes)).await;
    assert!(pushed.is_err() || incoming.finish().await.is_err());
}

#[tokio::test]
async fn an_index_that_cannot_be_brought_up_now_is_brought_up_before_anything_is_taken() {
    let rig = rig().await;
    assert_eq!(store(&rig.imaging, &object("1.9", "one", 10), None).await.unwrap(), Kept::New);
    let (archive, index) = (Arc::clone(&rig.archive), Arc::<MemoryIndex>::default());
    index.broken.store(true, Ordering::Relaxed);
    let rig = rig_over(archive, Arc::clone(&index)).await;
    assert_eq!(rig.caught, CaughtUp::default());
    let refused = store(&rig.imaging, &object("1.8", "two", 10), None).await.unwrap_err();
    assert!(matches!(refused, Refused::Node(Error::Unavailable { .. })), "{refused:?}");
    assert_eq!(rig.archive.objects.lock().unwrap().len(), 1, "nothing more is written");
    index.broken.store(false, Ordering::Relaxed);
    assert_eq!(store(&rig.imaging, &object("1.8", "two", 10), None).await.unwrap(), Kept::New);
    assert_eq!(index.entries.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn objects_are_converted_for_those_who_may_have_them_as_far_as_there_is_memory() {
    let rig = rig().await;
    let bytes = object("1.9", "one", 100_000);
    store(&rig.imaging, &bytes, None).await.unwrap();
    let location = rig.archive.objects.lock().unwrap()[0].0.location;
    let instance = |transfer_syntax: &str, location| ports::IndexedInstance {
        uids: crate::sharing::imaging::object::InstanceUids {
            study: "1.2.3".to_owned(),
            series: "1.2.3.4".to_owned(),
            instance: "1.9".to_owned(),
        },
        sop_class: CT.to_owned(),
        transfer_syntax: transfer_syntax.to_owned(),
        digest: crate::sharing::imaging::object::Digest([0; 32]),
        location,
        frames: 1,
    };
    let kept = instance(EXPLICIT, location);
    let converted = rig.imaging.converted(&local(), &kept, IMPLICIT).await.unwrap();
    assert_eq!(converted.bytes().len(), bytes.len() * 20, "what the port gave");
    let free = rig.imaging.converting.available_permits();
    assert!(free < transcode::CONVERTING_BYTES_MAX / MEMORY_UNIT - 20, "it counts until it goes");
    drop(converted);
    assert!(rig.imaging.converting.available_permits() > free);
    let refused = rig.imaging.converted(&local(), &instance("1.2", location), IMPLICIT).await;
    assert!(matches!(refused, Err(Error::Refused { .. })), "{refused:?}");
    let long = crate::sharing::imaging::object::Location { length: 1 << 32, ..location };
    let refused = rig.imaging.converted(&local(), &instance(EXPLICIT, long), IMPLICIT).await;
    assert!(matches!(refused, Err(Error::TooLarge { .. })), "{refused:?}");
    let auditor = Caller::shipped("auditor", Role::Auditor);
    let refused = rig.imaging.converted(&Requester::of(auditor), &kept, IMPLICIT).await;
    assert!(matches!(refused, Err(Error::Denied { .. })), "{refused:?}");
}

#[tokio::test]
async fn who_stores_is_in_the_trail_once_a_study_before_success_is_said() {
    let rig = rig().await;
    let of = |patient: &str, study: &str, instance: &str| {
        let set = ElementSet::default()
            .with_text(tags::SOP_CLASS_UID, VR::UI, CT)
            .with_text(tags::SOP_INSTANCE_UID, VR::UI, instance)
            .with_text(tags::PATIENT_ID, VR::LO, patient)
            .with_text(tags::STUDY_INSTANCE_UID, VR::UI, study)
            .with_text(tags::SERIES_INSTANCE_UID, VR::UI, "1.2.3.4");
        write(&set, true)
    };
    let entry =
        |study: &str, patient: &str| ["store_images", "ok", study, patient].map(str::to_owned);
    let intake = Intake::of(local());
    let store = async |intake: &Arc<Intake>, bytes: Vec<u8>| {
        let mut incoming = rig.imaging.receive(intake, EXPLICIT, None, Vec::new()).unwrap();
        incoming.push(bytes.into()).await.unwrap();
        incoming.finish().await
    };
    store(&intake, of("P1", "1.2", "1.9.1")).await.unwrap();
    assert_eq!(rig.entries.taken(), [entry("1.2", "P1")]);
    store(&intake, of("P1", "1.2", "1.9.2")).await.unwrap();
    assert_eq!(rig.entries.taken(), [[""; 4]; 0], "one stands for the study");
    store(&intake, of("P2", "1.3", "1.9.3")).await.unwrap();
    // A study of which one object says another patient.
    store(&intake, of("P3", "1.3", "1.9.4")).await.unwrap();
    assert_eq!(rig.entries.taken(), [entry("1.3", "P2"), entry("1.3", "P3")]);
    let again = Intake::of(local());
    let sent = store(&again, of("P1", "1.2", "1.9.1")).await.unwrap();
    assert_eq!((sent.kept, rig.entries.taken()), (Kept::Known, vec![entry("1.2", "P1")]));
    rig.entries.fail();
    assert!(store(&again, of("P1", "1.2", "1.9.5")).await.is_ok(), "it is entered already");
    let refused = store(&again, of("P4", "1.4", "1.9.6")).await.unwrap_err();
    assert!(matches!(refused, Refused::Node(Error::Unavailable { .. })), "{refused:?}");
}

#[tokio::test]
async fn what_is_found_is_in_the_trail_with_its_number_and_its_patient() {
    let rig = rig().await;
    store(&rig.imaging, &object("1.9", "one", 10), None).await.unwrap();
    rig.entries.taken();
    let query = |conditions| Query {
        level: Level::Study,
        conditions,
        combined_date_time: false,
        offset: 0,
        limit: 10,
    };
    let condition =
        |tag, value: &str| Condition { tag, matching: Matching::Single(value.to_owned()) };
    let found =
        |study: &str, patient: &str| [["find_images", "ok", study, patient].map(str::to_owned)];
    let none = rig.imaging.answer(&local(), query(vec![condition(tags::PATIENT_ID, "P7")])).await;
    assert_eq!(none.unwrap(), Found::default());
    assert_eq!(rig.entries.taken(), found("", "P7"), "nobody is there, but was asked for");
    let matching = Matching::AnyOf(vec!["1.9".to_owned()]);
    let by_uid = query(vec![Condition { tag: tags::SOP_INSTANCE_UID, matching }]);
    rig.imaging.answer(&local(), by_uid.clone()).await.unwrap();
    assert_eq!(rig.entries.taken(), found("1.2.3", ""), "all answers are of one study");
    rig.entries.fail();
    assert!(rig.imaging.answer(&local(), by_uid).await.is_err());
}
