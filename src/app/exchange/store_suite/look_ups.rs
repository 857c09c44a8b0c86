//! Records of a person, and who asked for them.

use std::sync::Arc;

use futures_util::future::join_all;

use super::handles::Hubs;
use super::{document, kept, key, of, person, record, registration, says};
use crate::app::exchange::ports::{
    Allowance, Counting, Facts, HeldRecord, HubDocuments, LookUpEntry, REGISTER, Relation, Spent,
    TOO_MANY, Wanted,
};
use crate::sharing::exchange::Kind;

const TWO: Allowance = Allowance { of: Counting::LookUps, persons_max: 2, since_ms: 1_000 };

fn entry(node: &str, person: u8, at_ms: i64) -> LookUpEntry {
    LookUpEntry {
        at_ms,
        node: node.to_owned(),
        caller: "村医甲".to_owned(),
        role: "village_doctor",
        action: "look_up",
        purpose: "ETREAT",
        glass_broken: true,
        reason: "患者昏迷送来".to_owned(),
        person: key(person).to_vec(),
        record: String::new(),
        version: 0,
        documents: vec![1, 2],
        outcome: "found",
        counted: true,
    }
}

fn named(held: &[HeldRecord]) -> Vec<String> {
    held.iter().map(|held| format!("{}/{}", held.name, held.version)).collect()
}

async fn found(store: &dyn HubDocuments, person: u8) -> Vec<String> {
    named(&store.held(&[key(person)], Wanted::Current, 10).await.unwrap())
}

pub(super) async fn current_ones(store: &dyn HubDocuments) {
    let both = Facts { keys: vec![key(1), key(2)], ..Facts::default() };
    kept(store, record("hospital", 1, "r1", both)).await;
    let withdrawn = Facts { withdrawn: true, ..person(1) };
    let number =
        kept(store, of("county", 1, document(Kind::Record, "r2", 3, "x"), withdrawn)).await;
    kept(store, of("county", 2, document(Kind::Record, "r2", 2, "y"), person(1))).await;
    kept(store, record("hospital", 3, "r3", person(3))).await;
    kept(store, registration("village-1", 1, says(1, Relation::Contract, true, None))).await;
    // Those kept last first; a record that has both keys once; nobody else's, and records only.
    assert_eq!(found(store, 1).await, ["r2/3", "r1/1"]);
    assert_eq!(found(store, 2).await, ["r1/1"]);
    assert_eq!(found(store, 4).await, [""; 0]);
    assert_eq!(store.held(&[], Wanted::Current, 10).await.unwrap(), []);
    let all = store.held(&[key(1), key(2), key(3)], Wanted::Current, 10).await.unwrap();
    assert_eq!(named(&all), ["r3/1", "r2/3", "r1/1"]);
    let part = store.held(&[key(1), key(2), key(3)], Wanted::Current, 2).await.unwrap();
    assert_eq!(named(&part), ["r3/1", "r2/3"]);
    let expected = HeldRecord {
        number,
        name: "r2".to_owned(),
        version: 3,
        current: true,
        node: "county".to_owned(),
        withdrawn: true,
        kept_ms: 1_000,
        bytes: 1,
    };
    assert_eq!(all[1], expected);
    let sealed = store.document(number).await.unwrap().unwrap();
    assert_eq!((sealed.name.as_str(), sealed.version, &sealed.body[..]), ("r2", 3, &b"x"[..]));
    assert_eq!(store.document(number + 100).await.unwrap(), None);
}

pub(super) async fn named_ones(store: &dyn HubDocuments) {
    let version = |version| document(Kind::Record, "r", version, &format!("v{version}"));
    kept(store, of("hospital", 1, version(1), person(1))).await;
    kept(store, of("hospital", 2, version(2), person(1))).await;
    kept(store, record("hospital", 3, "other", person(1))).await;
    let ask = async |person: u8, name: &str, version: u32| {
        let held = store.held(&[key(person)], Wanted::Named(name, version), 10).await.unwrap();
        held.iter().map(|held| (held.version, held.current)).collect::<Vec<_>>()
    };
    assert_eq!(ask(1, "r", 0).await, [(2, true)]);
    assert_eq!(ask(1, "r", 1).await, [(1, false)]);
    assert_eq!(ask(1, "r", 3).await, []);
    assert_eq!(ask(2, "r", 0).await, []);
    assert_eq!(ask(2, "r", 1).await, []);
    assert_eq!(ask(1, "nobody", 0).await, []);
    // The correction says that it is somebody else's.
    kept(store, of("hospital", 4, version(3), person(2))).await;
    assert_eq!(ask(1, "r", 0).await, []);
    assert_eq!(ask(2, "r", 0).await, [(3, true)]);
    assert_eq!(found(store, 1).await, ["other/1"]);
}

pub(super) async fn allowance(store: &dyn HubDocuments) {
    let enter = async |entry| store.enter(entry, TWO).await.unwrap();
    // What came before does not count.
    enter(entry("village-1", 9, 1_000)).await;
    let first = enter(entry("village-1", 1, 1_001)).await;
    assert!(first.over.is_none());
    // What was denied counts for nobody.
    let denied = LookUpEntry { counted: false, ..entry("village-1", 8, 1_002) };
    assert!(enter(denied).await.number > first.number);
    enter(entry("village-1", 2, 1_003)).await;
    let spent = async |person| store.spent("village-1", &key(person), TWO).await.unwrap();
    let used = Spent { persons: 2, is_known: false, oldest_ms: 1_001 };
    assert_eq!(spent(3).await, used);
    let refused = enter(entry("village-1", 3, 1_004)).await;
    assert_eq!(refused.over, Some(used));
    assert_eq!(spent(3).await, used, "a refusal is not counted");
    // Again is no other person, and another node has an allowance of its own.
    assert!(enter(entry("village-1", 1, 1_005)).await.over.is_none());
    let known = Spent { is_known: true, oldest_ms: 1_003, ..used };
    assert_eq!(spent(1).await, known);
    assert!(enter(entry("village-2", 3, 1_006)).await.over.is_none());
    // Who is registered counts by itself.
    let registers = Allowance { of: Counting::Registrations, persons_max: 1, ..TWO };
    let registered =
        |person, at_ms| LookUpEntry { action: REGISTER, ..entry("village-1", person, at_ms) };
    let register =
        async |person, at_ms| store.enter(registered(person, at_ms), registers).await.unwrap().over;
    assert_eq!(register(3, 1_007).await, None);
    let one = Spent { persons: 1, is_known: false, oldest_ms: 1_007 };
    assert_eq!(register(4, 1_008).await, Some(one));
    assert_eq!(register(3, 1_009).await, None, "again is no other person");
    assert_eq!(spent(1).await, known);
    // An hour later it is free again.
    let later = Allowance { since_ms: 1_003, ..TWO };
    assert!(store.enter(entry("village-1", 3, 4_000), later).await.unwrap().over.is_none());
    let none = Allowance { persons_max: 0, since_ms: 5_000, ..TWO };
    assert!(store.enter(entry("village-1", 3, 6_000), none).await.unwrap().over.is_some());
}

/// A little of what the trail of look-ups tells.
pub(crate) async fn story(store: &dyn HubDocuments) {
    for (person, at_ms) in [(1, 2_000), (2, 2_001), (3, 2_002)] {
        store.enter(entry("village-1", person, at_ms), TWO).await.unwrap();
    }
    let fetch = LookUpEntry {
        action: "fetch",
        glass_broken: false,
        reason: String::new(),
        record: "r".to_owned(),
        version: 4,
        documents: Vec::new(),
        outcome: "not_found",
        ..entry("village-1", 1, 2_003)
    };
    store.enter(fetch, TWO).await.unwrap();
}

/// What the trail says of [`story`].
pub(crate) const TRAIL: [&str; 4] = [
    "2000 village-1 村医甲 village_doctor look_up ETREAT true 患者昏迷送来 1 /0 [1 2] found true",
    "2001 village-1 村医甲 village_doctor look_up ETREAT true 患者昏迷送来 2 /0 [1 2] found true",
    "2002 village-1 村医甲 village_doctor look_up ETREAT true 患者昏迷送来 3 /0 [] too_many_persons false",
    "2003 village-1 村医甲 village_doctor fetch ETREAT false  1 r/4 [] not_found true",
];

/// Hubs that count at the same time let no more through than one would.
pub(super) async fn counted_at_once(hubs: Hubs) {
    let store = Arc::clone(&hubs[0]);
    let allowance = Allowance { persons_max: 10, since_ms: 0, ..TWO };
    let asks =
        (0..60_u8).map(|at| {
            let hub = Arc::clone(&hubs[usize::from(at) % hubs.len()]);
            // Each person three times.
            async move {
                (at / 3, hub.enter(entry("village-1", at / 3, 1_000), allowance).await.unwrap())
            }
        });
    let done = join_all(asks).await;
    let mut let_through: Vec<u8> = Vec::new();
    let_through.extend(done.iter().filter(|(_, e)| e.over.is_none()).map(|(person, _)| *person));
    let_through.sort_unstable();
    let_through.dedup();
    assert_eq!(let_through.len(), 10);
    assert_eq!(store.spent("village-1", &key(99), allowance).await.unwrap().persons, 10);
    assert!(done.iter().any(|(_, entered)| entered.over.is_some()));
    assert_eq!(TOO_MANY, "too_many_persons");
}
