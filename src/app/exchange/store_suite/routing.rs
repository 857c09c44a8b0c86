//! Who gets a document.

use super::{
    COUNTY, TOWNSHIP, VILLAGE, deliveries, document, hello, inbox, kept, key, of, person, place,
    record, registration, says,
};
use crate::app::exchange::ports::{Facts, HubDocuments, Relation, Submission};
use crate::sharing::exchange::{Cursor, Kind, Position, SentFor};

const NOBODY: [&str; 0] = [];

pub(super) async fn by_place(store: &dyn HubDocuments) {
    let other_village = "360121100999";
    let other_township = "360121101201";
    let odd = ["", COUNTY, "36012110020", "3601211002011", other_township, "三六〇一"];
    let named = [VILLAGE, TOWNSHIP, other_village].into_iter().chain(odd);
    for (number, division) in (1..).zip(named) {
        let name = format!("r{number}");
        kept(store, record("hospital", number, &name, place(division))).await;
    }
    assert_eq!(inbox(store, "village-1").await, ["r1/1"]);
    assert_eq!(inbox(store, "township").await, ["r1/1", "r2/1", "r3/1"]);
    for node in ["village-2", "county", "hospital"] {
        assert_eq!(inbox(store, node).await, NOBODY, "{node}");
    }
    // Never the sender, whose place it is.
    kept(store, record("village-1", 1, "own", place(VILLAGE))).await;
    assert_eq!(inbox(store, "village-1").await, ["r1/1"]);
    assert_eq!(inbox(store, "township").await.last().unwrap(), "own/1");
}

pub(super) async fn registered(store: &dyn HubDocuments) {
    kept(store, registration("village-2", 1, says(1, Relation::Registered, true, None))).await;
    kept(store, registration("county", 1, says(1, Relation::Subscription, true, None))).await;
    kept(store, registration("county", 2, says(1, Relation::Referral, true, None))).await;
    // The second one is a document of the person, too.
    let registrations = inbox(store, "village-2").await;
    assert_eq!(registrations.len(), 2);
    kept(store, record("hospital", 1, "r1", person(1))).await;
    kept(store, record("hospital", 2, "r2", person(2))).await;
    // By one of several keys, and by the place too: once.
    let facts = Facts { keys: vec![key(2), key(1), key(1)], ..place(VILLAGE) };
    kept(store, record("hospital", 3, "r3", facts)).await;
    assert_eq!(inbox(store, "village-2").await[2..], ["r1/1", "r3/1"]);
    assert_eq!(inbox(store, "county").await, ["r1/1", "r3/1"]);
    assert_eq!(inbox(store, "village-1").await, ["r3/1"]);
    // Not to the sender.
    kept(store, record("village-2", 1, "r4", person(1))).await;
    assert_eq!(inbox(store, "village-2").await.len(), 4);
    assert_eq!(inbox(store, "county").await, ["r1/1", "r3/1", "r4/1"]);
}

pub(super) async fn contract(store: &dyn HubDocuments) {
    let until = 5_000;
    let facts = says(1, Relation::Contract, true, Some(until));
    kept(store, registration("village-1", 1, facts)).await;
    for (number, at_ms) in (1..).zip([until - 1, until, until + 1]) {
        let name = format!("r{number}");
        kept(store, Submission { at_ms, ..record("hospital", number, &name, person(1)) }).await;
    }
    assert_eq!(inbox(store, "village-1").await, ["r1/1", "r2/1"]);
    // One that has ended when it comes brings nothing; one that is longer brings what was missed.
    let late = registration("village-2", 1, says(1, Relation::Contract, true, Some(until)));
    kept(store, Submission { at_ms: until + 1, ..late }).await;
    assert_eq!(inbox(store, "village-2").await, NOBODY);
    let facts = says(1, Relation::Contract, true, Some(until * 2));
    let renewed = registration("village-1", 2, facts);
    kept(store, Submission { at_ms: until + 2, ..renewed }).await;
    let records = records_in(store, "village-1").await;
    assert_eq!(records, ["r1/1", "r2/1", "r3/1"]);
}

async fn records_in(store: &dyn HubDocuments, node: &str) -> Vec<String> {
    let mut names = inbox(store, node).await;
    names.retain(|name| !name.starts_with("registration") && !name.contains('#'));
    names
}

pub(super) async fn taken_back(store: &dyn HubDocuments) {
    let on = |relation| says(1, relation, true, None);
    let off = |relation| says(1, relation, false, None);
    kept(store, registration("village-2", 1, on(Relation::Registered))).await;
    kept(store, record("hospital", 1, "r1", person(1))).await;
    kept(store, registration("village-2", 3, off(Relation::Registered))).await;
    kept(store, record("hospital", 2, "r2", person(1))).await;
    assert_eq!(inbox(store, "village-2").await, ["r1/1"]);
    // A version before the last one comes late, and brings nothing back.
    kept(store, registration("village-2", 2, on(Relation::Registered))).await;
    kept(store, record("hospital", 3, "r3", person(1))).await;
    assert_eq!(inbox(store, "village-2").await, ["r1/1"]);
    // One of two reasons ends, the other holds.
    kept(store, registration("village-2", 4, on(Relation::Registered))).await;
    kept(store, registration("village-2", 5, on(Relation::Contract))).await;
    kept(store, registration("village-2", 6, off(Relation::Registered))).await;
    kept(store, record("hospital", 4, "r4", person(1))).await;
    assert_eq!(inbox(store, "village-2").await, ["r1/1", "r2/1", "r3/1", "r4/1"]);
    kept(store, registration("village-2", 7, off(Relation::Contract))).await;
    kept(store, record("hospital", 5, "r5", person(1))).await;
    assert_eq!(inbox(store, "village-2").await.len(), 4);
}

pub(super) async fn backfill(store: &dyn HubDocuments) {
    let both = Facts { keys: vec![key(1), key(3)], ..place(VILLAGE) };
    kept(store, record("hospital", 1, "r1", both)).await;
    kept(store, record("hospital", 2, "r2", person(2))).await;
    kept(store, record("village-2", 1, "own", person(1))).await;
    kept(store, of("hospital", 3, document(Kind::Task, "r1#1", 1, "t"), person(1))).await;
    let facts = Facts { keys: vec![key(1), key(3)], ..says(1, Relation::Registered, true, None) };
    let first = registration("village-2", 1, facts.clone());
    kept(store, first.clone()).await;
    // Neither another person's, nor its own, nor twice by two keys.
    assert_eq!(inbox(store, "village-2").await, ["r1/1", "r1#1/1"]);
    super::is_known(store, first).await;
    kept(store, registration("village-2", 2, facts)).await;
    assert_eq!(inbox(store, "village-2").await, ["r1/1", "r1#1/1"]);
    // Who has it in the inbox by the place is not given it again.
    kept(store, registration("village-1", 1, says(1, Relation::Contract, true, None))).await;
    assert_eq!(records_in(store, "village-1").await, ["r1/1", "own/1"]);
    // A registration that ends, and one without a person, bring nothing.
    let ends = says(2, Relation::Registered, false, None);
    kept(store, registration("county", 1, ends)).await;
    let nobody = Facts { keys: Vec::new(), ..says(2, Relation::Registered, true, None) };
    kept(store, registration("county", 2, nobody)).await;
    assert_eq!(inbox(store, "county").await, NOBODY);
}

pub(super) async fn current(store: &dyn HubDocuments) {
    let version = |number, version, text: &str, facts| {
        of("hospital", number, document(Kind::Record, "r", version, text), facts)
    };
    kept(store, version(1, 3, "three", person(1))).await;
    kept(store, version(2, 1, "one", person(1))).await;
    kept(store, version(3, 2, "two", person(1))).await;
    kept(store, registration("village-1", 1, says(1, Relation::Registered, true, None))).await;
    assert_eq!(inbox(store, "village-1").await, ["r/3"]);
    // A corrected person: the record is no longer the first one's.
    kept(store, version(4, 4, "four", person(2))).await;
    kept(store, registration("village-2", 1, says(1, Relation::Registered, true, None))).await;
    assert_eq!(records_in(store, "village-2").await, NOBODY);
    kept(store, registration("village-2", 2, says(2, Relation::Contract, true, None))).await;
    assert_eq!(inbox(store, "village-2").await, ["r/4"]);
    // That it was taken back is a version, and reaches whoever had it.
    let taken_back = Facts { withdrawn: true, ..person(2) };
    kept(store, version(5, 5, "void", taken_back)).await;
    assert_eq!(inbox(store, "village-2").await, ["r/4", "r/5"]);
    kept(store, registration("county", 1, says(2, Relation::Referral, true, None))).await;
    assert_eq!(inbox(store, "county").await, ["r/5"]);
}

/// Name of the record, why it is there, and who handed it over, of records alone.
async fn reasons(store: &dyn HubDocuments, node: &str) -> Vec<(String, &'static str, String)> {
    let found = deliveries(store, node).await.into_iter();
    let records = found.filter(|delivery| delivery.document.kind == Kind::Record);
    let said = records.map(|delivery| {
        let why = delivery.sent_for.map_or("", SentFor::name);
        (delivery.document.name, why, delivery.sender)
    });
    said.collect()
}

pub(super) async fn sent_for(store: &dyn HubDocuments) {
    let from = |name: &str, why, node: &str| (name.to_owned(), why, node.to_owned());
    // What is there before a registration comes for the relation that it says.
    kept(store, record("hospital", 1, "before", person(1))).await;
    let says = |version, relation| registration("county", version, says(1, relation, true, None));
    kept(store, says(1, Relation::Subscription)).await;
    kept(store, record("hospital", 2, "r1", person(1))).await;
    // Of several reasons the closest is said, whichever came first.
    kept(store, says(2, Relation::Registered)).await;
    kept(store, says(3, Relation::Referral)).await;
    kept(store, record("village-2", 1, "r2", person(1))).await;
    let expected = [
        from("before", "subscription", "hospital"),
        from("r1", "subscription", "hospital"),
        from("r2", "registered", "village-2"),
    ];
    assert_eq!(reasons(store, "county").await, expected);
    // When it was handed over is said of what was on its way at once.
    assert_eq!(handed(store, "county").await, [None, Some(1_000), Some(1_000)]);
    // Who lives there stays a patient of the village, also where it follows a programme.
    let follows = super::says(1, Relation::Subscription, true, None);
    kept(store, registration("village-1", 1, follows)).await;
    let facts = Facts { keys: vec![key(1)], ..place(VILLAGE) };
    kept(store, record("hospital", 3, "r3", facts)).await;
    let last = reasons(store, "village-1").await.pop().unwrap();
    assert_eq!(last, from("r3", "village", "hospital"));
    assert_eq!(reasons(store, "township").await, [from("r3", "township", "hospital")]);
    // What a node had sent comes back to a new box as its own.
    for (name, last) in [("hospital-a", 3), ("hospital-b", 0)] {
        let hello = hello(name, last, Position::default(), Cursor::default());
        store.attend("hospital", &hello, 2_000).await.unwrap();
    }
    let back = reasons(store, "hospital").await;
    let back: Vec<_> = back.iter().map(|(name, why, by)| (&**name, *why, &**by)).collect();
    let own = |name| (name, "returned", "hospital");
    assert_eq!(back, [own("before"), own("r1"), own("r3")]);
    assert_eq!(handed(store, "hospital").await, [None; 3]);
}

/// When records of an inbox were handed over.
async fn handed(store: &dyn HubDocuments, node: &str) -> Vec<Option<i64>> {
    let found = deliveries(store, node).await.into_iter();
    let records = found.filter(|delivery| delivery.document.kind == Kind::Record);
    records.map(|delivery| delivery.handed_ms).collect()
}

pub(super) async fn task(store: &dyn HubDocuments) {
    kept(store, record("hospital", 1, "r", place(VILLAGE))).await;
    kept(store, record("hospital", 2, "r-other", place("360121100202"))).await;
    kept(store, registration("village-2", 1, says(1, Relation::Registered, true, None))).await;
    let task = |node, number, name: &str, facts| {
        of(node, number, document(Kind::Task, name, 1, name), facts)
    };
    // Whoever had the record, by name alone: neither the person's other nodes nor the place.
    let facts = Facts { division: "360121100202".to_owned(), ..person(1) };
    kept(store, task("village-1", 1, "r#pressure-1", facts)).await;
    assert_eq!(inbox(store, "village-1").await, ["r/1"]);
    assert_eq!(inbox(store, "township").await, ["r/1", "r-other/1", "r#pressure-1/1"]);
    assert_eq!(inbox(store, "hospital").await, ["r#pressure-1/1"]);
    assert_eq!(inbox(store, "village-2").await, ["r-other/1"]);
    // Who came to the record later, and tasks of no record.
    kept(store, of("hospital", 7, document(Kind::Record, "r", 2, "v2"), person(1))).await;
    kept(store, task("hospital", 3, "r#2", Facts::default())).await;
    kept(store, task("hospital", 4, "r", place(VILLAGE))).await;
    kept(store, task("hospital", 5, "nothing#1", place(VILLAGE))).await;
    kept(store, task("hospital", 6, "r-oth#1", place(VILLAGE))).await;
    assert_eq!(inbox(store, "village-1").await, ["r/1", "r/2", "r#2/1"]);
    assert_eq!(inbox(store, "village-2").await, ["r-other/1", "r/2", "r#2/1"]);
    assert_eq!(inbox(store, "county").await, NOBODY);
    assert_eq!(inbox(store, "hospital").await, ["r#pressure-1/1"]);
}

pub(super) async fn said_before(store: &dyn HubDocuments) {
    let task = |node, number, name: &str, version, text: &str| {
        of(node, number, document(Kind::Task, name, version, text), Facts::default())
    };
    let version = |number, name: &str, version, facts| {
        of("hospital", number, document(Kind::Record, name, version, &format!("{version}")), facts)
    };
    // What is said of a task may be kept before its record, and names may begin alike.
    kept(store, task("village-1", 1, "r#1", 1, "early")).await;
    kept(store, version(1, "r", 1, Facts { keys: vec![key(1)], ..place(VILLAGE) })).await;
    kept(store, task("village-1", 2, "r#1", 2, "done")).await;
    kept(store, task("township", 1, "r#1", 2, "lost")).await;
    kept(store, task("hospital", 2, "r#二", 1, "open")).await;
    for (number, name) in (3..).zip(["r#a#1", "r2#1", "r", "r$#1", "other#1"]) {
        kept(store, task("hospital", number, name, 1, name)).await;
    }
    kept(store, version(20, "other", 1, person(2))).await;
    // The newest version of the record comes after what was said of its tasks.
    kept(store, version(21, "r", 2, person(1))).await;
    kept(store, registration("county", 1, says(1, Relation::Registered, true, None))).await;
    let said = ["r/2", "r#1/1", "r#1/2", "r#1/2", "r#二/1"];
    assert_eq!(inbox(store, "county").await, said);
    // In the order in which they were kept, so that it comes to the same there.
    let bodies: Vec<_> = super::all(store, "county").await.into_iter().map(|d| d.body).collect();
    assert_eq!(bodies[1..], ["early", "done", "lost", "open"]);
    // Not what the node said itself or has; and records named with a `#` have tasks, too.
    kept(store, version(22, "r#a", 1, person(1))).await;
    kept(store, registration("village-1", 1, says(1, Relation::Registered, true, None))).await;
    let has = records_and_tasks(store, "village-1").await;
    assert_eq!(has, ["r/1", "r#1/2", "r#二/1", "r/2", "r#a/1", "r#a#1/1"]);
    assert_eq!(super::all(store, "village-1").await[1].body, "lost");
    // Again, and in another relation: nothing comes twice.
    kept(store, registration("county", 2, says(1, Relation::Contract, true, None))).await;
    let has = records_and_tasks(store, "county").await;
    assert_eq!(has, ["r/2", "r#1/1", "r#1/2", "r#1/2", "r#二/1", "r#a/1", "r#a#1/1"]);
    // What is said from now on comes by itself.
    kept(store, task("hospital", 23, "r#1", 3, "open again")).await;
    assert_eq!(records_and_tasks(store, "county").await.last().unwrap(), "r#1/3");
}

async fn records_and_tasks(store: &dyn HubDocuments, node: &str) -> Vec<String> {
    let mut names = inbox(store, node).await;
    names.retain(|name| !name.starts_with("registration"));
    names
}
