//! Everything goes, however peers behave and whenever the node dies.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use tokio::time::{Instant, timeout};

use super::testing::{FakeSender, Largest, MemoryQueue, PausedClock, Peer, START_MS};
use super::*;
use crate::app::imaging::CopyLimits;
use crate::app::imaging::ImagingParts;
use crate::app::imaging::ports::{ArchivedObject, IndexEntry};
use crate::app::imaging::testing::{MemoryArchive, MemoryHoldings, MemoryIndex};
use crate::app::imaging::tests::{Entries, Twentyfold};
use crate::sharing::imaging::forwarding::Window;
use crate::sharing::imaging::header::Header;
use crate::sharing::imaging::object::{Digest, InstanceUids, Location, ObjectHead};

struct Rig {
    archive: Arc<MemoryArchive>,
    index: Arc<MemoryIndex>,
    imaging: Arc<Imaging>,
    queue: Arc<MemoryQueue>,
    sender: Arc<FakeSender>,
    clock: Arc<PausedClock>,
}

impl Rig {
    async fn new(peers: &[(&str, Peer)]) -> Self {
        let (archive, index) = (Arc::<MemoryArchive>::default(), Arc::<MemoryIndex>::default());
        let clock = Arc::new(PausedClock(Instant::now()));
        let imaging = imaging(&archive, &index, &clock).await;
        let sender = Arc::new(FakeSender::new(peers));
        Self { archive, index, imaging, queue: Arc::default(), sender, clock }
    }

    async fn start(&self, plan: Plan) -> (Arc<Forwarding>, Vec<Work>) {
        let parts = ForwardingParts {
            imaging: Arc::clone(&self.imaging),
            examinations: Arc::new(Examinations::load(&crate::embedded::files()).unwrap()),
            store: Arc::<MemoryQueue>::clone(&self.queue),
            sender: Arc::<FakeSender>::clone(&self.sender),
            clock: Arc::<PausedClock>::clone(&self.clock),
            dice: Arc::new(Largest),
        };
        Forwarding::start(plan, parts).await.unwrap()
    }

    /// Keeps object `number` of 1000 bytes.
    fn keep(&self, number: u8, apart: bool) {
        let head = ObjectHead {
            uids: InstanceUids {
                study: "1.2".to_owned(),
                series: "1.2.3".to_owned(),
                instance: uid(number),
            },
            sop_class: "1.2.840.10008.5.1.4.1.1.2".to_owned(),
            transfer_syntax: "1.2.840.10008.1.2.1".to_owned(),
            source: "dicom:CT01".to_owned(),
            received_ms: START_MS,
            meta: Vec::new(),
        };
        let mut objects = self.archive.objects.lock().unwrap();
        let offset = u64::try_from(objects.len()).unwrap();
        let location = Location { segment: 1, offset, body: 0, length: 1000 };
        let digest = Digest([number + if apart { 128 } else { 0 }; 32]);
        let archived = ArchivedObject { digest, head: head.clone(), location, erased: false };
        objects.push((archived, Bytes::from(vec![0; 1000])));
        let mut header = Header::default();
        header.instance.uid = uid(number);
        let entry = IndexEntry { digest, head, location, header, apart };
        self.index.entries.lock().unwrap().push(entry);
    }
}

async fn imaging(
    archive: &Arc<MemoryArchive>,
    index: &Arc<MemoryIndex>,
    clock: &Arc<PausedClock>,
) -> Arc<Imaging> {
    let parts = ImagingParts {
        archive: Arc::<MemoryArchive>::clone(archive),
        index: Arc::<MemoryIndex>::clone(index),
        journal: Arc::new(Entries::default()),
        clock: Arc::<PausedClock>::clone(clock),
        transcoder: Arc::new(Twentyfold),
        custody: Arc::new(MemoryHoldings::default()),
        copies: CopyLimits { bytes_max: u64::MAX, spare_bytes_min: 0 },
    };
    Imaging::start(parts).await.unwrap().0
}

fn uid(number: u8) -> String {
    format!("1.2.3.{number}")
}

fn uids(numbers: std::ops::RangeInclusive<u8>) -> BTreeSet<String> {
    numbers.map(uid).collect()
}

fn set(sent: Vec<String>) -> BTreeSet<String> {
    sent.into_iter().collect()
}

/// Everything to each of `titles`.
fn plan(titles: &[&str]) -> Plan {
    let to: Vec<String> = titles.iter().map(|&t| t.to_owned()).collect();
    let destination = |t: &String| Destination {
        ae_title: t.clone(),
        bytes_per_second_max: None,
        associations_max: 1,
    };
    let destinations = to.iter().map(destination).collect();
    let rule = Rule { name: "all".to_owned(), to, ..Rule::default() };
    Plan { rules: vec![rule], destinations, utc_offset_minutes: 0 }
}

/// Lets the node work for so long, and then ends it as a crash would.
async fn run(work: Vec<Work>, seconds: u64) {
    assert!(timeout(Duration::from_secs(seconds), join_all(work)).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn what_is_new_goes_to_each_destination_once_and_what_is_old_stays() {
    let rig = Rig::new(&[("A", Peer::Well), ("B", Peer::Well)]).await;
    rig.keep(1, false);
    let (forwarding, work) = rig.start(plan(&["A", "B"])).await;
    for number in 2..=4 {
        rig.keep(number, false);
    }
    rig.keep(4, true);
    run(work, 10).await;
    let wanted: Vec<String> = (2..=4).map(uid).collect();
    assert_eq!((rig.sender.sent("A"), rig.sender.sent("B")), (wanted.clone(), wanted));
    let status = forwarding.status().await.unwrap();
    assert_eq!(
        status.iter().map(|s| (&*s.ae_title, s.counts.sent)).collect::<Vec<_>>(),
        [("A", 3), ("B", 3)]
    );
    assert!(status.iter().all(|s| s.bytes_per_second == 50 && s.oldest_ms.is_none()));
}

#[tokio::test(start_paused = true)]
async fn a_dead_or_hanging_destination_delays_no_other_and_is_tried_ever_more_seldom() {
    let rig = Rig::new(&[("WELL", Peer::Well), ("DOWN", Peer::Down), ("HANGS", Peer::Hangs)]).await;
    let (forwarding, work) = rig.start(plan(&["WELL", "DOWN", "HANGS"])).await;
    for number in 1..=9 {
        rig.keep(number, false);
    }
    let mut all = join_all(work);
    assert!(timeout(Duration::from_secs(70), &mut all).await.is_err());
    assert_eq!(set(rig.sender.sent("WELL")), uids(1..=9));
    let last = rig.sender.log.lock().unwrap().last().unwrap().2;
    assert!(last < Duration::from_secs(3), "{last:?}");
    let called = rig.sender.called("DOWN");
    let pauses: Vec<u64> = called.iter().zip(called.iter().skip(1)).map(|(a, b)| b - a).collect();
    assert!(
        pauses.len() >= 4 && pauses.iter().zip([2, 4, 8, 16]).all(|(p, w)| (w..w + 2).contains(p)),
        "{pauses:?}"
    );
    let status = forwarding.status().await.unwrap();
    let down = status.iter().find(|s| s.ae_title == "DOWN").unwrap();
    assert_eq!((down.counts.waiting, &*down.reason), (9, "cannot reach it"));
    assert!(down.next_try_ms.unwrap() > rig.clock.now_ms() && down.oldest_ms.unwrap() > 60_000);
    rig.sender.set("DOWN", Peer::Well);
    assert!(timeout(Duration::from_mins(10), &mut all).await.is_err());
    assert_eq!(set(rig.sender.sent("DOWN")), uids(1..=9));
    let status = forwarding.status().await.unwrap();
    assert!(status.iter().filter(|s| s.ae_title != "HANGS").all(|s| s.reason.is_empty()));
}

#[tokio::test(start_paused = true)]
async fn a_crash_between_sending_and_writing_down_sends_again_and_loses_nothing() {
    let rig = Rig::new(&[("A", Peer::Well)]).await;
    let (_, work) = rig.start(plan(&["A"])).await;
    rig.keep(1, false);
    rig.queue.cannot_record.store(true, Ordering::Relaxed);
    run(work, 5).await;
    assert_eq!(rig.sender.sent("A"), [uid(1)]);
    assert_eq!(rig.queue.states()[0].1, EntryState::Sending);
    // Kept, acknowledged, and the node died before the feed was read.
    rig.keep(2, false);
    rig.queue.cannot_record.store(false, Ordering::Relaxed);
    let (_, work) = rig.start(plan(&["A"])).await;
    run(work, 5).await;
    assert_eq!(rig.sender.sent("A"), [uid(1), uid(1), uid(2)]);
    let (_, work) = rig.start(plan(&["A"])).await;
    run(work, 5).await;
    assert_eq!(rig.sender.sent("A").len(), 3, "what is written down does not go again");
}

#[tokio::test(start_paused = true)]
async fn an_index_made_anew_sends_what_was_missed_and_nothing_twice() {
    let rig = Rig::new(&[("A", Peer::Well)]).await;
    let (_, work) = rig.start(plan(&["A"])).await;
    rig.keep(1, false);
    rig.keep(2, false);
    run(work, 5).await;
    // Another order, so that the change at the cursor is another one.
    rig.index.entries.lock().unwrap().reverse();
    rig.keep(3, false);
    let (_, work) = rig.start(plan(&["A"])).await;
    run(work, 5).await;
    assert_eq!(rig.sender.sent("A"), [uid(1), uid(2), uid(3)]);
}

#[tokio::test(start_paused = true)]
async fn objects_wait_for_their_window() {
    let rig = Rig::new(&[("A", Peer::Well)]).await;
    let mut night = plan(&["A"]);
    night.rules[0].window = Some(Window::parse("23:00-23:30").unwrap());
    let (_, work) = rig.start(night).await;
    rig.keep(1, false);
    // It is 22:13:20.
    let mut all = join_all(work);
    assert!(timeout(Duration::from_mins(46), &mut all).await.is_err());
    assert!(rig.sender.sent("A").is_empty());
    assert!(timeout(Duration::from_mins(1), &mut all).await.is_err());
    assert_eq!(rig.sender.sent("A"), [uid(1)]);
    assert!(timeout(Duration::from_mins(30), &mut all).await.is_err());
    rig.keep(2, false);
    assert!(timeout(Duration::from_mins(30), &mut all).await.is_err());
    assert_eq!(rig.sender.sent("A"), [uid(1)], "shut again");
}

#[tokio::test(start_paused = true)]
async fn bytes_are_held_back_to_the_rate_over_all_associations() {
    let rig = Rig::new(&[("A", Peer::Well)]).await;
    let mut slow = plan(&["A"]);
    slow.destinations[0].bytes_per_second_max = Some(500);
    slow.destinations[0].associations_max = 4;
    let (_, work) = rig.start(slow).await;
    for number in 1..=10 {
        rig.keep(number, false);
    }
    let mut all = join_all(work);
    assert!(timeout(Duration::from_secs(10), &mut all).await.is_err());
    let sent = rig.sender.sent("A").len();
    assert!((4..=6).contains(&sent), "{sent} of 10 after 10 s at half an object a second");
    assert!(timeout(Duration::from_secs(15), &mut all).await.is_err());
    assert_eq!(set(rig.sender.sent("A")), uids(1..=10));
}

#[tokio::test(start_paused = true)]
async fn refusals_are_tried_again_and_then_parked_with_the_reason() {
    let rig = Rig::new(&[("A", Peer::Answers(0xC123)), ("B", Peer::AcceptsNothing)]).await;
    let (forwarding, work) = rig.start(plan(&["A", "B"])).await;
    rig.keep(1, false);
    run(work, 120).await;
    let states = rig.queue.states();
    assert!(states.iter().all(|(_, state, ..)| *state == EntryState::Parked), "{states:?}");
    assert_eq!((states[0].2, &*states[0].3), (4, "status c123 said"));
    assert_eq!(states[1].2, 1);
    assert!(states[1].3.starts_with("it does not take class"));
    assert_eq!(forwarding.status().await.unwrap()[0].counts.parked, 1);
}

#[tokio::test(start_paused = true)]
async fn a_full_destination_is_never_given_up_and_a_warning_is_as_good_as_success() {
    let rig = Rig::new(&[("A", Peer::Answers(0xA700)), ("B", Peer::Answers(0xB000))]).await;
    let (forwarding, work) = rig.start(plan(&["A", "B"])).await;
    for number in 1..=3 {
        rig.keep(number, false);
    }
    let mut all = join_all(work);
    assert!(timeout(Duration::from_hours(1), &mut all).await.is_err());
    let status = forwarding.status().await.unwrap();
    assert_eq!((status[0].counts.waiting, status[0].counts.parked), (3, 0));
    assert_eq!(status[0].reason, "it has no room");
    assert_eq!(status[1].counts.sent, 3);
    rig.sender.set("A", Peer::Well);
    assert!(timeout(Duration::from_mins(30), &mut all).await.is_err());
    assert_eq!(set(rig.sender.sent("A")), uids(1..=3));
}

#[tokio::test(start_paused = true)]
async fn an_object_that_breaks_the_association_holds_up_no_other() {
    let rig = Rig::new(&[("A", Peer::BreaksAt(uid(1)))]).await;
    let (_, work) = rig.start(plan(&["A"])).await;
    for number in 1..=5 {
        rig.keep(number, false);
    }
    run(work, 120).await;
    assert_eq!(set(rig.sender.sent("A")), uids(2..=5));
    let states = rig.queue.states();
    assert_eq!(states[0].1, EntryState::Waiting, "it is tried on");
    assert!(states[0].2 >= 3 && states[0].3 == "connection reset");
}

#[tokio::test(start_paused = true)]
async fn what_was_erased_meanwhile_goes_nowhere() {
    let rig = Rig::new(&[("A", Peer::Down)]).await;
    let (_, work) = rig.start(plan(&["A"])).await;
    rig.keep(1, false);
    let mut all = join_all(work);
    assert!(timeout(Duration::from_secs(5), &mut all).await.is_err());
    assert_eq!(rig.queue.states().len(), 1);
    rig.index.entries.lock().unwrap().clear();
    rig.sender.set("A", Peer::Well);
    assert!(timeout(Duration::from_mins(2), &mut all).await.is_err());
    assert!(rig.queue.states().is_empty() && rig.sender.sent("A").is_empty());
}
