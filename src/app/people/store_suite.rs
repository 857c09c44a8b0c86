//! What people at the hub must come to, whatever store they are in; each back-end runs it.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use super::People;
use super::decide::{MatchOutcome, Verdict};
use super::ports::{Applied, HubPeople, PeopleChange, PersonReview};
use crate::app::error::{Code, Error};
use crate::app::exchange::facts::{JSON, RegisteredPerson, RegistrationBody, RelationName};
use crate::app::exchange::hub::Exchange;
use crate::app::exchange::key::HubKey;
use crate::app::exchange::look_up::{LookUps, Most};
use crate::app::exchange::ports::{HubDocuments, Scope, Wanted};
use crate::app::ports::{BoxFuture, Clock};
use crate::sharing::consent::PolicyTables;
use crate::sharing::discharge::divisions::Divisions;
use crate::sharing::discharge::model::{
    DischargeRecord, Identifier, IdentifierKind, Patient, Sex, Stay,
};
use crate::sharing::discharge::{Moment, fhir};
use crate::sharing::exchange::{Document, Kind, Outcome};
use crate::sharing::patient::PeopleTables;

/// A hub over a store, with people in memory.
pub(crate) struct Hub {
    exchange: Arc<Exchange>,
    documents: Arc<dyn HubDocuments>,
    store: Arc<dyn HubPeople>,
    people: Arc<People>,
    key: HubKey,
}

type Test = fn(Vec<Hub>) -> BoxFuture<'static, ()>;

/// Name and body of each test; each gets two hubs on one empty store.
pub(crate) const TESTS: &[(&str, Test)] = &[
    ("a_record_without_a_number_finds_its_person", |h| Box::pin(linked(h))),
    ("a_doubt_is_a_person_of_its_own_until_somebody_decides", |h| Box::pin(decided(h))),
    ("what_was_decided_holds_for_what_comes_later", |h| Box::pin(holds(h))),
    ("a_wrong_link_is_parted_and_the_parting_undone", |h| Box::pin(parted(h))),
    ("persons_are_joined_by_hand_and_the_joining_undone", |h| Box::pin(joined(h))),
    ("who_registers_later_gets_what_was_linked", |h| Box::pin(later(h))),
    ("an_ended_registration_brings_nothing", |h| Box::pin(ended(h))),
    ("hubs_on_one_store_follow_each_other", |h| Box::pin(followed(h))),
    ("whoever_was_slower_writes_nothing", |h| Box::pin(stale(h))),
    ("what_says_too_little_is_counted", |h| Box::pin(unidentified(h))),
    ("what_is_kept_names_nobody", |h| Box::pin(sealed(h))),
    ("a_wrong_decision_is_refused", |h| Box::pin(refused(h))),
];

/// A hospital and two clinics without a place, so that only registrations give them anything.
pub(crate) fn scopes() -> Vec<Scope> {
    let scope = |node: &str| Scope { node: node.to_owned(), area: String::new() };
    ["hospital", "clinic", "other"].map(scope).into()
}

#[derive(Debug)]
struct At(i64);

impl Clock for At {
    fn now_ms(&self) -> i64 {
        self.0
    }
}

/// A hub over one opening of a store.
pub(crate) fn hub(documents: Arc<dyn HubDocuments>) -> Hub {
    let files = crate::embedded::files();
    let tables = Arc::new(PeopleTables::load(&files).unwrap());
    let divisions = Divisions::load(&files).unwrap();
    let look_ups = LookUps::new(
        PolicyTables::load(&files).unwrap(),
        HashMap::new(),
        Most { looked_up: 10, registered: 10 },
    );
    let with = (HubKey::new(SECRET), divisions, tables);
    let exchange = Exchange::new(Arc::clone(&documents), with, look_ups, Arc::new(At(5_000)));
    let people = Arc::clone(exchange.people());
    let store: Arc<dyn HubPeople> = Arc::<dyn HubDocuments>::clone(&documents);
    Hub { exchange, documents, store, people, key: HubKey::new(SECRET) }
}

const SECRET: &[u8] = &[7; 32];
const RESIDENT_ID: &str = "36112119570317051X";

fn rao() -> RegisteredPerson {
    RegisteredPerson {
        name: "饶建国".to_owned(),
        resident_id: RESIDENT_ID.to_owned(),
        birth_date: "1957-03-17".to_owned(),
        sex: "male".to_owned(),
        phone: "13979300571".to_owned(),
        ..RegisteredPerson::default()
    }
}

/// The same person as a hospital wrote it down that saw no card.
fn without_card() -> RegisteredPerson {
    RegisteredPerson { resident_id: String::new(), ..rao() }
}

/// Somebody who may be the same: another name of the same sound, another telephone.
fn doubtful() -> RegisteredPerson {
    RegisteredPerson { name: "饶健国".to_owned(), phone: String::new(), ..without_card() }
}

impl Hub {
    async fn hand(&self, node: &str, number: u64, document: Document) -> Outcome {
        self.exchange.submit(node, format!("{node}-a"), number, document).await.unwrap()
    }

    async fn register(&self, number: u64, person: RegisteredPerson, active: bool) {
        let body = RegistrationBody {
            relation: RelationName::Registered,
            active,
            until_ms: None,
            reason: String::new(),
            person,
        };
        let body = Bytes::from(serde_json::to_vec(&body).unwrap());
        let version = u32::try_from(number).unwrap();
        let document = document(Kind::Registration, "registration-clinic", version, JSON, body);
        let outcome = self.hand("clinic", number, document).await;
        assert!(matches!(outcome, Outcome::Kept(_)), "{outcome:?}");
    }

    async fn record(&self, number: u64, name: &str, person: RegisteredPerson) {
        let written = Moment::iso("2026-11-20T10:00:00+08:00").unwrap();
        let mut identifiers = Vec::new();
        if !person.resident_id.is_empty() {
            identifiers.push(Identifier {
                kind: IdentifierKind::ResidentId,
                system: String::new(),
                value: person.resident_id,
            });
        }
        let mut record = DischargeRecord {
            patient: Patient {
                identifiers,
                name: person.name,
                sex: if person.sex == "male" { Sex::Male } else { Sex::Female },
                birth_date: Moment::iso(&person.birth_date).ok(),
                phones: Some(person.phone).filter(|phone| !phone.is_empty()).into_iter().collect(),
                ..Patient::default()
            },
            stay: Stay {
                institution: "广信区人民医院".to_owned(),
                discharged: Moment::iso("2026-11-20").ok(),
                ..Stay::default()
            },
            ..DischargeRecord::default()
        };
        record.document.name = name.to_owned();
        record.document.version = Some(1);
        record.document.written = Some(written.clone());
        let body = fhir::write(&record, &written).to_string();
        let document = document(Kind::Record, name, 1, "application/fhir+json", Bytes::from(body));
        let outcome = self.hand("hospital", number, document).await;
        assert!(matches!(outcome, Outcome::Kept(_)), "{outcome:?}");
    }

    async fn settle(&self) {
        self.people.settle_all().await.unwrap();
        assert_eq!(self.people.counts().await.unwrap().unsettled, 0);
    }

    /// Records in the clinic's inbox.
    async fn records(&self) -> Vec<String> {
        let (read, whole) = self.documents.inbox("clinic", 0, 100).await.unwrap();
        assert!(whole);
        let records = read.into_iter().map(|(_, delivery)| delivery.document);
        records.filter(|document| document.kind == Kind::Record).map(|d| d.name).collect()
    }

    async fn reviews(&self) -> Vec<PersonReview> {
        self.store.reviews(false, 0, 10).await.unwrap()
    }

    async fn persons(&self) -> u64 {
        self.people.counts().await.unwrap().persons
    }

    /// Records that a look-up by name and resident ID finds.
    async fn held(&self) -> Vec<String> {
        let keys = self.key.people("饶建国", &[("resident_id", RESIDENT_ID)]);
        let held = self.documents.held(&keys, Wanted::Current, 10).await.unwrap();
        held.into_iter().map(|record| record.name).collect()
    }

    /// Number of the person that these particulars are of, asked as a match.
    async fn linked(&self, person: RegisteredPerson) -> Option<u64> {
        let found = self.people.whois(person).await.unwrap();
        (found.outcome == MatchOutcome::Linked).then(|| found.candidates[0].person)
    }
}

fn document(kind: Kind, name: &str, version: u32, media_type: &str, body: Bytes) -> Document {
    Document {
        kind,
        name: name.to_owned(),
        version,
        media_type: media_type.to_owned(),
        sha256: Sha256::digest(&body).into(),
        body,
    }
}

async fn linked(hubs: Vec<Hub>) {
    let hub = &hubs[0];
    hub.register(1, rao(), true).await;
    hub.record(1, "a", without_card()).await;
    assert!(hub.records().await.is_empty(), "by its keys alone it finds nobody");
    assert!(hub.held().await.is_empty());
    hub.settle().await;
    assert_eq!(hub.records().await, ["a"]);
    assert_eq!(hub.held().await, ["a"], "a look-up by the number finds it, too");
    assert_eq!((hub.persons().await, hub.reviews().await.len()), (1, 0));
    // The same again is known by what it states, and comes too.
    hub.record(2, "b", without_card()).await;
    hub.settle().await;
    assert_eq!(hub.records().await, ["a", "b"]);
    assert_eq!(hub.people.counts().await.unwrap().particulars, 2);
    let person = hub.linked(rao()).await.unwrap();
    let shown = hub.people.shown(person).await.unwrap().unwrap();
    let actions: Vec<&str> = shown.events.iter().map(|event| event.action.as_str()).collect();
    assert_eq!(actions, ["new", "linked"]);
    assert_eq!(shown.documents.len(), 3);
    assert_eq!(shown.documents[1].nodes, ["clinic"]);
    assert_eq!(shown.particulars[0].person.resident_id, "361121********051X");
    // Somebody else with the name is not meant.
    let other = RegisteredPerson {
        birth_date: "1981-08-02".to_owned(),
        phone: String::new(),
        ..without_card()
    };
    hub.record(3, "c", other).await;
    hub.settle().await;
    assert_eq!((hub.persons().await, hub.records().await.len()), (2, 2));
}

async fn decided(hubs: Vec<Hub>) {
    let hub = &hubs[0];
    hub.register(1, rao(), true).await;
    hub.record(1, "a", doubtful()).await;
    hub.settle().await;
    assert!(hub.records().await.is_empty(), "a doubt gives nobody anything");
    assert_eq!(hub.persons().await, 2);
    let reviews = hub.people.shown_reviews(false, 0, 10).await.unwrap();
    let [review] = reviews.as_slice() else { panic!("{}", reviews.len()) };
    let person = hub.linked(rao()).await.unwrap();
    assert_eq!(review.candidates.iter().map(|c| c.person).collect::<Vec<_>>(), [person]);
    assert_ne!(review.person, person);
    let verdict = Verdict::Review(review.review.number, Some(person));
    let decided = hub.people.decide("registrar", verdict, "电话核实").await.unwrap();
    assert_eq!(decided.persons, [person]);
    assert_eq!(hub.records().await, ["a"], "it goes where it belongs at once");
    assert_eq!((hub.persons().await, hub.reviews().await.len()), (1, 0));
    // The number that is no more leads to the one that is.
    let shown = hub.people.shown(review.person).await.unwrap().unwrap();
    assert_eq!((shown.number, shown.asked), (person, review.person));
    let closed = hub.store.reviews(true, 0, 10).await.unwrap();
    assert_eq!(closed[0].outcome, "same");
}

async fn holds(hubs: Vec<Hub>) {
    let hub = &hubs[0];
    hub.register(1, rao(), true).await;
    hub.record(1, "a", doubtful()).await;
    hub.settle().await;
    let review = hub.reviews().await[0].number;
    let person = hub.linked(rao()).await.unwrap();
    let verdict = Verdict::Review(review, Some(person));
    let same = hub.people.decide("registrar", verdict, "同一人").await.unwrap();
    // The same core with a new telephone: the decision is older than the weights.
    let moved = RegisteredPerson { phone: "13607930000".to_owned(), ..doubtful() };
    hub.record(2, "b", moved.clone()).await;
    hub.settle().await;
    assert_eq!(hub.records().await, ["a", "b"]);
    assert!(hub.reviews().await.is_empty());
    // Taken back, the two are persons again, and what comes is looked at anew.
    hub.people.decide("registrar", Verdict::Undone(same.decision), "认错了").await.unwrap();
    assert_eq!(hub.persons().await, 2);
    let review = hub.people.shown_reviews(true, 0, 10).await.unwrap();
    assert_ne!(review[0].person, person);
    let again = Verdict::Undone(same.decision);
    let error = hub.people.decide("registrar", again, "再一次").await.unwrap_err();
    assert_eq!(error.code(), Code::NotFound);
    // Now the other way: none of these, for good.
    let other = RegisteredPerson { phone: "13607931111".to_owned(), ..doubtful() };
    hub.record(3, "c", other).await;
    hub.settle().await;
    if let [open] = hub.reviews().await.as_slice() {
        let verdict = Verdict::Review(open.number, None);
        hub.people.decide("registrar", verdict, "不是他").await.unwrap();
    } else {
        panic!("{} reviews", hub.reviews().await.len());
    }
    let before = hub.records().await;
    let last = RegisteredPerson { phone: "13607932222".to_owned(), ..doubtful() };
    hub.record(4, "d", last).await;
    hub.settle().await;
    assert_eq!(hub.records().await, before, "it never goes to the clinic of the other");
}

async fn parted(hubs: Vec<Hub>) {
    let hub = &hubs[0];
    hub.register(1, rao(), true).await;
    hub.record(1, "a", without_card()).await;
    hub.settle().await;
    let person = hub.linked(rao()).await.unwrap();
    let shown = hub.people.shown(person).await.unwrap().unwrap();
    let of = shown.particulars[1].number;
    let parted = hub.people.decide("registrar", Verdict::Apart(of), "同名兄弟").await.unwrap();
    assert_eq!((hub.persons().await, parted.persons.len()), (2, 2));
    assert_eq!(parted.nodes, ["clinic"], "who has what should not have come");
    // It holds: the same particulars stay apart, and so do they with another telephone.
    hub.record(2, "b", without_card()).await;
    let moved = RegisteredPerson { phone: "13607930000".to_owned(), ..without_card() };
    hub.record(3, "c", moved).await;
    hub.settle().await;
    assert_eq!(hub.records().await, ["a"]);
    hub.people.decide("registrar", Verdict::Undone(parted.decision), "确是本人").await.unwrap();
    assert_eq!(hub.records().await[..2], ["a", "b"]);
    let shown = hub.people.shown(person).await.unwrap().unwrap();
    assert!(shown.particulars.iter().any(|one| one.number == of));
}

async fn joined(hubs: Vec<Hub>) {
    let hub = &hubs[0];
    hub.register(1, rao(), true).await;
    let other = RegisteredPerson {
        name: "王秀英".to_owned(),
        birth_date: "1960-01-01".to_owned(),
        sex: "female".to_owned(),
        ..RegisteredPerson::default()
    };
    hub.record(1, "a", other.clone()).await;
    hub.settle().await;
    assert_eq!((hub.persons().await, hub.reviews().await.len()), (2, 0));
    let person = hub.linked(rao()).await.unwrap();
    let found = hub.people.whois(other).await.unwrap();
    let second = found.candidates.iter().map(|c| c.person).find(|p| *p != person).unwrap();
    let verdict = Verdict::Same(second, person);
    let decided = hub.people.decide("registrar", verdict, "改名").await.unwrap();
    assert_eq!(decided.persons, [person.min(second)]);
    assert_eq!(hub.records().await, ["a"]);
    let error = hub.people.decide("registrar", verdict, "再").await.unwrap_err();
    assert!(matches!(error, Error::Invalid(_)), "{error:?}");
    hub.people.decide("registrar", Verdict::Undone(decided.decision), "误").await.unwrap();
    assert_eq!(hub.persons().await, 2);
    for number in [person, second] {
        let shown = hub.people.shown(number).await.unwrap().unwrap();
        assert_eq!((shown.number, shown.particulars.len()), (number, 1));
    }
}

async fn later(hubs: Vec<Hub>) {
    let hub = &hubs[0];
    hub.record(1, "a", rao()).await;
    hub.record(2, "b", without_card()).await;
    hub.settle().await;
    assert!(hub.records().await.is_empty());
    hub.register(1, rao(), true).await;
    assert_eq!(hub.records().await, ["a"], "by its own keys");
    hub.settle().await;
    assert_eq!(hub.records().await, ["a", "b"]);
}

async fn ended(hubs: Vec<Hub>) {
    let hub = &hubs[0];
    hub.register(1, rao(), true).await;
    hub.settle().await;
    hub.register(2, rao(), false).await;
    hub.settle().await;
    hub.record(1, "a", without_card()).await;
    hub.settle().await;
    assert!(hub.records().await.is_empty());
}

async fn followed(hubs: Vec<Hub>) {
    let [one, two] = hubs.as_slice() else { panic!() };
    one.register(1, rao(), true).await;
    one.settle().await;
    // The other hub has read nothing yet, and finds the person all the same.
    two.record(1, "a", without_card()).await;
    two.settle().await;
    assert_eq!(one.records().await, ["a"]);
    let (a, b) = (one.linked(rao()).await, two.linked(rao()).await);
    assert!(a.is_some() && a == b);
    // Both at once: every document once.
    for number in 2..40 {
        let person = RegisteredPerson { phone: format!("139793{number:05}"), ..without_card() };
        one.record(number, &format!("r{number}"), person).await;
    }
    let (a, b) = tokio::join!(one.people.settle_all(), two.people.settle_all());
    a.unwrap();
    b.unwrap();
    one.settle().await;
    let counts = one.people.counts().await.unwrap();
    assert_eq!(counts, two.people.counts().await.unwrap());
    assert_eq!(one.linked(rao()).await, two.linked(rao()).await);
    let mut names = one.records().await;
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), one.records().await.len(), "nothing comes twice");
}

async fn stale(hubs: Vec<Hub>) {
    let [one, two] = hubs.as_slice() else { panic!() };
    let before = one.store.state().await.unwrap();
    one.register(1, rao(), true).await;
    one.settle().await;
    let change = PeopleChange {
        seen: before,
        number: before.number + 1,
        settled: vec![(1, 1)],
        ..PeopleChange::default()
    };
    assert_eq!(two.store.apply(change).await.unwrap(), Applied::Stale);
    assert_ne!(one.store.state().await.unwrap(), before);
}

async fn unidentified(hubs: Vec<Hub>) {
    let hub = &hubs[0];
    let nobody = RegisteredPerson {
        name: "无名氏".to_owned(),
        sex: "male".to_owned(),
        ..RegisteredPerson::default()
    };
    hub.record(1, "a", nobody).await;
    hub.settle().await;
    let counts = hub.people.counts().await.unwrap();
    assert_eq!((counts.unidentified, counts.persons), (1, 0));
}

async fn sealed(hubs: Vec<Hub>) {
    let hub = &hubs[0];
    hub.register(1, rao(), true).await;
    hub.record(1, "a", without_card()).await;
    hub.settle().await;
    let persons = hub.store.changes(0, 10).await.unwrap();
    let numbers: Vec<u64> = persons.iter().map(|person| person.number).collect();
    let particulars = hub.store.particulars_of(&numbers).await.unwrap();
    assert_eq!((persons.len(), particulars.len()), (1, 2));
    let all = persons.iter().map(|p| &p.sealed).chain(particulars.iter().map(|p| &p.sealed));
    for sealed in all {
        for part in ["饶", "建国", RESIDENT_ID, "13979300571", "1957"] {
            assert!(!sealed.windows(part.len()).any(|window| window == part.as_bytes()));
        }
    }
    let shown = format!("{:?}", hub.people.shown(numbers[0]).await.unwrap());
    assert!(!shown.contains('饶'), "{shown}");
}

async fn refused(hubs: Vec<Hub>) {
    let hub = &hubs[0];
    hub.register(1, rao(), true).await;
    hub.record(1, "a", doubtful()).await;
    hub.settle().await;
    let review = hub.reviews().await[0].number;
    let state = hub.store.state().await.unwrap();
    for (verdict, code) in [
        (Verdict::Review(review, Some(9_999)), Code::InvalidArgument),
        (Verdict::Review(9_999, None), Code::NotFound),
        (Verdict::Same(1, 9_999), Code::InvalidArgument),
        (Verdict::Apart(9_999), Code::NotFound),
        (Verdict::Undone(9_999), Code::NotFound),
    ] {
        let error = hub.people.decide("registrar", verdict, "x").await.unwrap_err();
        assert_eq!(error.code(), code, "{verdict:?}");
    }
    // The only particulars of a person cannot leave it.
    let person = hub.linked(rao()).await.unwrap();
    let only = hub.people.shown(person).await.unwrap().unwrap().particulars[0].number;
    let error = hub.people.decide("registrar", Verdict::Apart(only), "x").await.unwrap_err();
    assert_eq!(error.code(), Code::InvalidArgument);
    assert_eq!(hub.store.state().await.unwrap(), state, "nothing was written");
}
