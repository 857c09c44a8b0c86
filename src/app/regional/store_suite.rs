//! What every [`RegionalStore`] must do; each back-end runs it.

use super::ports::RegionalStore;
use super::{IndexState, Publication};
use crate::app::ports::BoxFuture;
use crate::sharing::imaging::header::{Patient, Study};
use crate::sharing::imaging::published::{PatientQuestion, PublishedStudy};

type Test = for<'a> fn(&'a dyn RegionalStore) -> BoxFuture<'a, ()>;

/// Name and body of each test; each gets an empty store.
pub(crate) const TESTS: &[(&str, Test)] = &[
    ("a_study_is_found_by_each_of_its_keys", |s| Box::pin(by_each_key(s))),
    ("a_study_told_again_replaces_what_was_told", |s| Box::pin(told_again(s))),
    ("what_a_new_telling_does_not_have_is_gone_at_its_end", |s| Box::pin(new_telling(s))),
    ("only_the_telling_in_force_moves_the_cursor", |s| Box::pin(cursor(s))),
    ("nodes_are_apart_and_counted", |s| Box::pin(nodes(s))),
    ("studies_of_a_month_are_counted_by_node", |s| Box::pin(studied(s))),
    ("the_newest_come_first_and_no_more_than_asked_for", |s| Box::pin(order(s))),
];

pub(super) fn study(uid: &str, id: &str, name: &str, birth: &str, date: &str) -> PublishedStudy {
    PublishedStudy {
        patient: Patient {
            id: id.to_owned(),
            name: name.to_owned(),
            birth_date: birth.to_owned(),
            ..Patient::default()
        },
        study: Study { uid: uid.to_owned(), date: date.to_owned(), ..Study::default() },
        instances: 1,
        ..PublishedStudy::default()
    }
}

pub(super) fn told(generation: &str, studies: Vec<PublishedStudy>) -> Publication {
    Publication { generation: generation.to_owned(), studies, ..Publication::default() }
}

fn all(generation: &str, cursor: &str, studies: Vec<PublishedStudy>) -> Publication {
    Publication { cursor: cursor.to_owned(), complete: true, ..told(generation, studies) }
}

fn named(name: &str, birth_date: &str) -> PatientQuestion {
    PatientQuestion {
        name: name.to_owned(),
        birth_date: birth_date.to_owned(),
        ..PatientQuestion::default()
    }
}

fn with_id(id: &str) -> PatientQuestion {
    PatientQuestion { patient_id: id.to_owned(), ..PatientQuestion::default() }
}

/// Node and UID of each answer, as `node/uid`.
async fn found(store: &dyn RegionalStore, question: &PatientQuestion) -> Vec<String> {
    let keys = question.keys().into_iter().map(|(_, key)| key).collect();
    let found = store.find(keys, 100).await.unwrap();
    found.into_iter().map(|f| format!("{}/{}", f.node, f.study.study.uid)).collect()
}

async fn by_each_key(store: &dyn RegionalStore) {
    let whole = study("1.1", "A", "Zhang^San=张^三", "19600131", "20261101");
    store.publish("a", told("g", vec![whole.clone()])).await.unwrap();
    for question in [named("张三", "19600131"), named("zhangsan", "19600131"), with_id("A")] {
        assert_eq!(found(store, &question).await, ["a/1.1"], "{question:?}");
    }
    for question in [named("李四", "19600131"), named("张三", "19600130"), with_id("B")] {
        assert!(found(store, &question).await.is_empty(), "{question:?}");
    }
    // What comes back is what was told, and the first of the keys that fits.
    let question = PatientQuestion { patient_id: "A".to_owned(), ..named("张三", "19600131") };
    let keys: Vec<_> = question.keys().into_iter().map(|(_, key)| key).collect();
    let kept = store.find(keys, 100).await.unwrap();
    assert_eq!(kept.len(), 1);
    assert_eq!((&kept[0].study, kept[0].key), (&whole, 0));
    assert!(store.find(Vec::new(), 100).await.unwrap().is_empty());
}

async fn told_again(store: &dyn RegionalStore) {
    store.publish("a", told("g", vec![study("1", "A", "张三", "19600131", "")])).await.unwrap();
    let corrected = study("1", "B", "李四", "19610101", "");
    for _ in 0..2 {
        store.publish("a", told("g", vec![corrected.clone()])).await.unwrap();
    }
    assert!(found(store, &with_id("A")).await.is_empty());
    assert!(found(store, &named("张三", "19600131")).await.is_empty());
    assert_eq!(found(store, &with_id("B")).await, ["a/1"]);
    let removal =
        Publication { removed: vec!["1".to_owned(), "9".to_owned()], ..told("g", vec![]) };
    store.publish("a", removal).await.unwrap();
    assert!(found(store, &with_id("B")).await.is_empty());
    assert_eq!(store.node("a").await.unwrap().studies, 0);
}

async fn new_telling(store: &dyn RegionalStore) {
    let (one, two) = (study("1", "A", "", "", "1"), study("2", "A", "", "", "2"));
    store.publish("a", all("g1", "5", vec![one.clone(), two.clone()])).await.unwrap();
    store.publish("b", all("g0", "1", vec![one.clone()])).await.unwrap();
    store.publish("a", told("g2", vec![two.clone()])).await.unwrap();
    // Until the new telling has come to its end the old one holds.
    assert_eq!(found(store, &with_id("A")).await, ["a/2", "a/1", "b/1"]);
    let kept = store.node("a").await.unwrap();
    assert_eq!(kept.state.generation, "g1");
    store.publish("a", all("g2", "9", Vec::new())).await.unwrap();
    assert_eq!(found(store, &with_id("A")).await, ["a/2", "b/1"]);
    let state = IndexState { generation: "g2".into(), complete: true, cursor: "9".into() };
    let kept = store.node("a").await.unwrap();
    assert_eq!((kept.state, kept.studies), (state, 1));
}

async fn cursor(store: &dyn RegionalStore) {
    let at = async |store: &dyn RegionalStore| store.node("a").await.unwrap().state.cursor;
    let moved = |generation: &str, to: &str| Publication {
        cursor: to.to_owned(),
        ..told(generation, Vec::new())
    };
    store.publish("a", all("g1", "5", Vec::new())).await.unwrap();
    store.publish("a", moved("g1", "6")).await.unwrap();
    assert_eq!(at(store).await, "6");
    store.publish("a", moved("g1", "")).await.unwrap();
    store.publish("a", moved("g0", "7")).await.unwrap();
    assert_eq!(at(store).await, "6");
    assert_eq!(store.node("nobody").await.unwrap().state, IndexState::default());
}

async fn nodes(store: &dyn RegionalStore) {
    store.seen("b", 50, None).await.unwrap();
    store.seen("b", 60, Some(60)).await.unwrap();
    // A clock that goes back takes nothing back.
    store.seen("b", 40, Some(40)).await.unwrap();
    let both = vec![study("1", "A", "", "", ""), study("2", "B", "", "", "")];
    store.publish("a", told("g", both)).await.unwrap();
    let kept = store.nodes().await.unwrap();
    let lines: Vec<_> =
        kept.iter().map(|n| (n.node.as_str(), n.studies, n.seen_ms, n.indexed_ms)).collect();
    assert_eq!(lines, [("a", 2, 0, 0), ("b", 0, 60, 60)]);
}

async fn studied(store: &dyn RegionalStore) {
    let dated = |uid: &str, date: &str| study(uid, "P1", "王^小东", "19600131", date);
    let studies = ["20260930", "20261001", "20261031", "20261101", ""];
    let studies = studies.iter().enumerate().map(|(at, date)| dated(&format!("1.{at}"), date));
    store.publish("a", told("g", studies.collect())).await.unwrap();
    store.publish("b", told("g", vec![dated("1.1", "20261001")])).await.unwrap();
    let counted = store.studied("202610").await.unwrap();
    assert_eq!(counted, [("a".to_owned(), 2), ("b".to_owned(), 1)]);
    assert_eq!(store.studied("202612").await.unwrap(), []);
}

async fn order(store: &dyn RegionalStore) {
    let studies = (1..=9).map(|n| study(&format!("1.{n}"), "A", "", "", &format!("2026010{n}")));
    store.publish("a", told("g", studies.collect())).await.unwrap();
    let keys: Vec<_> = with_id("A").keys().into_iter().map(|(_, key)| key).collect();
    let found = store.find(keys, 3).await.unwrap();
    let uids: Vec<_> = found.iter().map(|f| f.study.study.uid.as_str()).collect();
    assert_eq!(uids, ["1.9", "1.8", "1.7"]);
}
