//! The queue, the worklist and performed steps over a real file.

mod behind;
mod holdings;

use std::path::Path;

use dicom_core::VR;
use dicom_dictionary_std::tags;

use super::ExchangeStore;
use crate::app::imaging::forwarding::{
    Cursor, EntryState, ForwardingStore as _, NewEntry, Outcome,
};
use crate::app::imaging::worklist::{Filter, WorklistStore as _};
use crate::sharing::imaging::element::ElementSet;
use crate::sharing::imaging::object::Digest;
use crate::sharing::imaging::performed::{Performed, Progress};
use crate::sharing::imaging::worklist::{Item, State};

async fn open(folder: &Path) -> ExchangeStore {
    ExchangeStore::open(&folder.join("imaging").join("exchange.db")).await.unwrap()
}

fn entry(number: u8, destination: &str, queued_ms: i64) -> NewEntry {
    NewEntry {
        destination: destination.to_owned(),
        rule: "all".to_owned(),
        digest: Digest([number; 32]),
        instance: format!("1.2.{number}"),
        study: "1.2".to_owned(),
        patient_id: "P1".to_owned(),
        bytes: 100,
        queued_ms,
        delay_ms: 0,
    }
}

fn cursor(number: u64) -> Cursor {
    Cursor { number, instance: "1.2.3".to_owned(), at_ms: 5 }
}

fn sent() -> Outcome {
    Outcome::Sent { bytes: 100, warning: String::new() }
}

#[tokio::test]
async fn what_is_queued_goes_once_and_is_counted_for_ever() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    assert_eq!(store.cursor().await.unwrap(), None);
    let entries = vec![entry(1, "HUB", 10), entry(2, "HUB", 11), entry(1, "B", 10)];
    store.add(entries.clone(), cursor(7)).await.unwrap();
    store.add(entries, cursor(8)).await.unwrap();
    assert_eq!(store.cursor().await.unwrap(), Some(cursor(8)));
    let taken = store.take("HUB", &[], 20, 10).await.unwrap();
    let ids: Vec<i64> = taken.iter().map(|e| e.id).collect();
    assert_eq!(taken.iter().map(|e| &*e.instance).collect::<Vec<_>>(), ["1.2.1", "1.2.2"]);
    assert!(store.take("HUB", &[], 20, 10).await.unwrap().is_empty(), "being sent");
    let warned = Outcome::Sent { bytes: 100, warning: "coerced".to_owned() };
    store.record("HUB", vec![(ids[0], sent()), (ids[1], warned)], 30).await.unwrap();
    store.add(vec![entry(1, "HUB", 40)], cursor(9)).await.unwrap();
    assert!(store.take("HUB", &[], 50, 10).await.unwrap().is_empty(), "sent before");
    assert_eq!(store.prune(31).await.unwrap(), 2);
    let counts = store.counts().await.unwrap();
    let hub = &counts["HUB"];
    assert_eq!((hub.sent, hub.sent_bytes, hub.warned, hub.failed), (2, 200, 1, 0));
    assert_eq!((counts["B"].waiting, counts["B"].oldest_queued_ms), (1, Some(10)));
}

#[tokio::test]
async fn what_was_being_sent_when_the_node_died_is_sent_again() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    store.add(vec![entry(1, "HUB", 10)], cursor(1)).await.unwrap();
    assert_eq!(store.take("HUB", &[], 20, 10).await.unwrap().len(), 1);
    drop(store);
    let store = open(folder.path()).await;
    assert!(store.take("HUB", &[], 20, 10).await.unwrap().is_empty());
    store.release().await.unwrap();
    assert_eq!(store.take("HUB", &[], 20, 10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn refused_waits_parked_stays_and_both_can_be_tried_again_or_forgotten() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    let entries = (1..=4).map(|n| entry(n, "HUB", 10)).collect();
    store.add(entries, cursor(1)).await.unwrap();
    let ids: Vec<i64> =
        store.take("HUB", &[], 20, 10).await.unwrap().iter().map(|e| e.id).collect();
    let outcomes = vec![
        (ids[0], Outcome::Refused { reason: "full".to_owned(), again_ms: 100 }),
        (ids[1], Outcome::Parked { reason: "no such class".to_owned() }),
        (ids[2], Outcome::Untried),
        (ids[3], Outcome::Gone),
    ];
    store.record("HUB", outcomes, 30).await.unwrap();
    let again = store.take("HUB", &[], 40, 10).await.unwrap();
    assert_eq!(again.iter().map(|e| (e.id, e.tries)).collect::<Vec<_>>(), [(ids[2], 0)]);
    store.record("HUB", vec![(ids[2], sent())], 41).await.unwrap();
    let late = store.take("HUB", &[], 100, 10).await.unwrap();
    assert_eq!(late.iter().map(|e| (e.id, e.tries)).collect::<Vec<_>>(), [(ids[0], 1)]);
    store.record("HUB", vec![(ids[0], Outcome::Untried)], 101).await.unwrap();
    let parked = store.list(None, EntryState::Parked, 10).await.unwrap();
    assert_eq!(parked.iter().map(|e| &*e.reason).collect::<Vec<_>>(), ["no such class"]);
    assert_eq!(store.retry(Some("OTHER"), 200).await.unwrap(), 0);
    assert_eq!(store.retry(None, 200).await.unwrap(), 2);
    assert_eq!(store.take("HUB", &[], 200, 10).await.unwrap().len(), 2);
    assert_eq!(store.forget("HUB", true).await.unwrap(), 0, "what is being sent is not forgotten");
    store.release().await.unwrap();
    assert_eq!(store.forget("HUB", false).await.unwrap(), 0);
    assert_eq!(store.forget("HUB", true).await.unwrap(), 2);
}

#[tokio::test]
async fn a_delay_starts_anew_with_each_object_of_the_study_but_not_for_ever() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    let delayed = |n, at| NewEntry { delay_ms: 100, ..entry(n, "HUB", at) };
    store.add(vec![delayed(1, 0)], cursor(1)).await.unwrap();
    store.add(vec![delayed(2, 90)], cursor(2)).await.unwrap();
    assert!(store.take("HUB", &[], 150, 10).await.unwrap().is_empty());
    store.add(vec![delayed(3, 980)], cursor(3)).await.unwrap();
    let ready = store.take("HUB", &[], 1000, 10).await.unwrap();
    assert_eq!(ready.len(), 1, "the first has waited ten times its delay");
    assert_eq!(store.take("HUB", &[], 1080, 10).await.unwrap().len(), 2);
}

#[tokio::test]
async fn rules_whose_window_is_shut_hold_their_entries_back() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    let night = NewEntry { rule: "night".to_owned(), ..entry(1, "HUB", 0) };
    store.add(vec![night, entry(2, "HUB", 0)], cursor(1)).await.unwrap();
    let shut = ["night".to_owned(), "other".to_owned()];
    let taken = store.take("HUB", &shut, 10, 10).await.unwrap();
    assert_eq!(taken.iter().map(|e| &*e.rule).collect::<Vec<_>>(), ["all"]);
    assert_eq!(store.take("HUB", &[], 10, 10).await.unwrap().len(), 1);
}

fn item(step_id: &str, study: &str) -> Item {
    let mut item = Item {
        step_id: step_id.to_owned(),
        patient_id: "P1".to_owned(),
        modality: "CT".to_owned(),
        start_date: "20260105".to_owned(),
        start_time: "1030".to_owned(),
        study_instance_uid: study.to_owned(),
        ..Item::default()
    };
    assert!(item.settle().is_empty());
    item
}

fn performed(progress: Progress, step_id: &str, study: &str) -> Performed {
    let step = ElementSet::default().with_text(tags::STUDY_INSTANCE_UID, VR::UI, study).with_text(
        tags::SCHEDULED_PROCEDURE_STEP_ID,
        VR::SH,
        step_id,
    );
    let elements = ElementSet::default()
        .with_text(tags::MODALITY, VR::CS, "CT")
        .with_items(tags::SCHEDULED_STEP_ATTRIBUTES_SEQUENCE, vec![step]);
    Performed { instance: "1.9".to_owned(), progress, elements }
}

async fn states(store: &ExchangeStore) -> Vec<(String, State)> {
    let all = store.planned(Filter::default(), 10).await.unwrap();
    all.into_iter().map(|p| (p.item.step_id, p.state)).collect()
}

#[tokio::test]
async fn a_performed_step_reads_back_and_moves_the_item_it_carries_out() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    let items =
        vec![(item("S1", "1.22"), "2.25.1".to_owned()), (item("S2", ""), "2.25.2".to_owned())];
    store.put(items, 1).await.unwrap();
    assert_eq!(store.performed("1.9").await.unwrap(), None);
    let begun = performed(Progress::InProgress, "S1", "1.22");
    store.put_performed(begun.clone(), 2).await.unwrap();
    assert_eq!(store.performed("1.9").await.unwrap(), Some(begun));
    let now = [("S1".to_owned(), State::InProgress), ("S2".to_owned(), State::Scheduled)];
    assert_eq!(states(&store).await, now);
    store.put_performed(performed(Progress::Completed, "S1", "1.22"), 3).await.unwrap();
    assert_eq!(states(&store).await[0].1, State::Completed);
    // Another study's report does not touch it, and neither does a step id by chance.
    store.put_performed(performed(Progress::InProgress, "S2", "1.77"), 4).await.unwrap();
    assert_eq!(states(&store).await[1].1, State::Scheduled);
    // A modality without the step id names the study.
    let nameless = performed(Progress::Discontinued, "", "2.25.2");
    store.put_performed(nameless, 5).await.unwrap();
    assert_eq!(states(&store).await[1].1, State::Discontinued);
    let open = Filter { open: true, ..Filter::default() };
    assert!(store.planned(open, 10).await.unwrap().is_empty());
}

#[tokio::test]
async fn an_item_is_replaced_by_its_step_id_and_keeps_its_study_and_state() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    store.put(vec![(item("S1", ""), "2.25.1".to_owned())], 1).await.unwrap();
    let mut moved = item("S1", "");
    moved.start_date = "20260106".to_owned();
    store.put(vec![(moved.clone(), "2.25.9".to_owned())], 2).await.unwrap();
    let all = store.planned(Filter::default(), 10).await.unwrap();
    let [one] = all.as_slice() else { panic!("{all:?}") };
    assert_eq!((&*one.item.start_date, &*one.item.study_instance_uid), ("20260106", "2.25.1"));
    let cancelled = store.cancel(vec!["S1".to_owned(), "S9".to_owned()], 3).await.unwrap();
    assert_eq!(cancelled, 1);
    assert_eq!(store.cancel(vec!["S1".to_owned()], 4).await.unwrap(), 0);
    assert_eq!(states(&store).await[0].1, State::Cancelled);
    store.put(vec![(moved, String::new())], 5).await.unwrap();
    assert_eq!(states(&store).await[0].1, State::Scheduled, "planned again");
    let days = Filter { from: "20260107".to_owned(), ..Filter::default() };
    assert!(store.planned(days, 10).await.unwrap().is_empty());
}
