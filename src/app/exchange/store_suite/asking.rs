//! What nodes are answered that ask for a person's records: the hub's use case on a real store.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use sha2::{Digest as _, Sha256};

use crate::app::error::Code;
use crate::app::exchange::facts::{JSON, RegisteredPerson, RegistrationBody, RelationName};
use crate::app::exchange::hub::Exchange;
use crate::app::exchange::key::HubKey;
use crate::app::exchange::look_up::{
    DAMAGED, Decision, LookUpCounts, LookUps, Most, Question, Refusal, StatedPerson,
};
use crate::app::exchange::ports::{HubDocuments, TOO_MANY};
use crate::app::ports::{BoxFuture, Clock};
use crate::app::regional::ports::{AskedImages, Ledger as _};
use crate::sharing::consent::{PolicyTables, Purpose, Role};
use crate::sharing::discharge::divisions::Divisions;
use crate::sharing::discharge::{DischargeRecord, Moment, cda, fhir};
use crate::sharing::exchange::{Document, Kind, Outcome};
use crate::sharing::patient::PeopleTables;

type Test = fn(Arc<dyn HubDocuments>) -> BoxFuture<'static, ()>;

/// Name and body of each test; each gets an empty store.
pub(crate) const TESTS: &[(&str, Test)] = &[
    ("a_persons_current_records_are_found_and_given", |s| Box::pin(answered(s))),
    ("a_name_with_another_number_finds_nothing", |s| Box::pin(mismatched(s))),
    ("what_the_policy_does_not_allow_is_refused_and_written_down", |s| Box::pin(denied(s))),
    ("a_node_that_looks_too_many_persons_up_is_refused", |s| Box::pin(harvesting(s))),
    ("whose_images_are_asked_for_counts_with_whose_records", |s| Box::pin(images(s))),
    ("whom_a_node_registers_counts_where_it_is_given_records", |s| Box::pin(registering(s))),
    ("a_question_that_cannot_be_is_refused_by_field", |s| Box::pin(impossible(s))),
];

const NAME: &str = "饶建国";
const RESIDENT_ID: &str = "36112119570317051X";
const HEALTH_CARD: &str = "36110000000571";
const REASON: &str = "患者昏迷送来，需要知道用药和过敏史";
const NODE: &str = "elsewhere";

#[derive(Debug)]
struct Watch(AtomicI64);

impl Clock for Watch {
    fn now_ms(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A hub, and its clock.
pub(crate) struct Asking {
    pub(crate) hub: Arc<Exchange>,
    clock: Arc<Watch>,
}

impl Asking {
    /// On a store; nodes may look two persons up within an hour.
    pub(crate) fn new(store: Arc<dyn HubDocuments>) -> Self {
        static TABLES: LazyLock<(PolicyTables, Divisions, Arc<PeopleTables>)> =
            LazyLock::new(|| {
                let files = crate::embedded::files();
                let people = Arc::new(PeopleTables::load(&files).unwrap());
                (PolicyTables::load(&files).unwrap(), Divisions::load(&files).unwrap(), people)
            });
        let (policy, divisions, people) = TABLES.clone();
        let areas = HashMap::from([(NODE.to_owned(), "361102001001".to_owned())]);
        // 2026-11-29.
        let clock = Arc::new(Watch(AtomicI64::new(1_795_924_800_000)));
        let hub = Exchange::new(
            store,
            (HubKey::new(&[7; 32]), divisions, people),
            LookUps::new(policy, areas, Most { looked_up: 2, registered: 1 }),
            Arc::<Watch>::clone(&clock),
        );
        Self { hub, clock }
    }

    /// Hands the record of the fixture over.
    pub(crate) async fn submit(
        &self,
        number: u64,
        (name, version): (&str, u32),
        change: impl FnOnce(&mut DischargeRecord),
    ) -> Document {
        let fixture = include_bytes!("../../../../tests/data/records/wst500-53-stroke.xml");
        let mut record = cda::read(fixture).unwrap().record;
        change(&mut record);
        let written = Moment::iso("2026-11-18T16:12:00+08:00").unwrap();
        let body = serde_json::to_vec(&fhir::write(&record, &written)).unwrap();
        let document = Document {
            kind: Kind::Record,
            name: name.to_owned(),
            version,
            media_type: "application/fhir+json".to_owned(),
            sha256: Sha256::digest(&body).into(),
            body: body.into(),
        };
        let handed = self.hub.submit("county", "s".to_owned(), number, document.clone()).await;
        let handed = handed.unwrap();
        assert!(matches!(handed, Outcome::Kept(_)), "{handed:?}");
        document
    }

    /// What the hub says of the record `r` to somebody who may have it.
    pub(crate) async fn fetched(&self, version: u32) -> Result<Option<Document>, Refusal> {
        let answer = self.hub.fetch(NODE, &question(), ("r", version)).await.unwrap();
        answer.result.map(|found| found.map(|found| found.document))
    }

    /// What is wrong with the record `r`, as a look-up shows it.
    pub(crate) async fn problem(&self) -> String {
        let found = self.hub.look_up(NODE, &question()).await.unwrap().result.unwrap();
        assert_eq!((found.records.len(), found.records[0].line.name.as_str()), (1, "r"));
        found.records[0].line.problem.clone()
    }

    /// That a document of which nothing is left as it was is refused as damaged.
    pub(crate) async fn finds_damage(&self) {
        let damaged = Err(Refusal::Damaged { node: "county".to_owned() });
        assert_eq!(self.fetched(0).await, damaged);
        assert_eq!(self.problem().await, DAMAGED);
        assert_eq!(self.hub.look_up_counts().damaged, 2);
    }
}

fn question() -> Question {
    Question {
        person: StatedPerson {
            name: NAME.to_owned(),
            resident_id: RESIDENT_ID.to_owned(),
            health_card: String::new(),
        },
        purpose: Purpose::Emergency,
        role: Role::VillageDoctor,
        asked_by: "doctor".to_owned(),
        decision: Decision::GlassBroken,
        reason: REASON.to_owned(),
    }
}

fn of(person: StatedPerson) -> Question {
    Question { person, ..question() }
}

/// By the number of a card.
fn of_card(number: u64) -> Question {
    of(stated(NAME, "", &number.to_string()))
}

fn stated(name: &str, resident_id: &str, health_card: &str) -> StatedPerson {
    StatedPerson {
        name: name.to_owned(),
        resident_id: resident_id.to_owned(),
        health_card: health_card.to_owned(),
    }
}

async fn answered(store: Arc<dyn HubDocuments>) {
    let asking = Asking::new(store);
    let first = asking.submit(1, ("r", 1), |_| ()).await;
    let second = asking.submit(2, ("r", 2), |r| r.stay.institution = "上饶市人民医院".into()).await;
    asking.submit(3, ("wrong", 1), |r| r.document.entered_in_error = true).await;
    asking.submit(4, ("other", 1), |r| r.patient.name = "饶建中".into()).await;
    let both = of(stated(" 饶建国", "３６１１２１１９５７０３１７０５１ｘ", HEALTH_CARD));
    let card = of(stated(NAME, "", HEALTH_CARD));
    for asked in [question(), both, card] {
        let answer = asking.hub.look_up(NODE, &asked).await.unwrap();
        let found = answer.result.unwrap();
        let lines: Vec<_> = found
            .records
            .iter()
            .map(|r| (r.line.name.as_str(), r.line.version, r.line.withdrawn, r.node.as_str()))
            .collect();
        assert_eq!(lines, [("wrong", 1, true, "county"), ("r", 2, false, "county")]);
        let line = &found.records[1].line;
        assert_eq!((line.patient.as_str(), line.institution.as_str()), (NAME, "上饶市人民医院"));
        assert!(!line.diagnosis.is_empty() && line.problem.is_empty() && !found.has_more);
        // Of each number that was stated there is a digest, and of nothing else.
        let numbers = [&asked.person.resident_id, &asked.person.health_card];
        let numbers = numbers.iter().filter(|number| !number.is_empty()).count();
        assert_eq!(answer.person.len(), 16 * numbers);
        assert!(answer.entry > 0);
        asking.clock.0.fetch_add(7_200_000, Ordering::Relaxed);
    }
    assert_eq!(asking.fetched(0).await.unwrap(), Some(second));
    let old = asking.hub.fetch(NODE, &question(), ("r", 1)).await.unwrap().result.unwrap().unwrap();
    assert_eq!((old.document, old.current, old.node.as_str()), (first, false, "county"));
    let of_other = asking.hub.fetch(NODE, &question(), ("other", 1)).await.unwrap();
    assert_eq!(of_other.result, Ok(None));
    let counts = LookUpCounts { looked_up: 3, fetched: 2, ..LookUpCounts::default() };
    assert_eq!(asking.hub.look_up_counts(), counts);
}

async fn mismatched(store: Arc<dyn HubDocuments>) {
    let asking = Asking::new(store);
    asking.submit(1, ("r", 1), |_| ()).await;
    for person in [
        stated("饶建中", RESIDENT_ID, ""),
        stated(NAME, "11010519491231002X", ""),
        stated(NAME, "", "36110000000572"),
        stated("无人", "", "0"),
    ] {
        let asked = of(person);
        let found = asking.hub.look_up(NODE, &asked).await.unwrap().result.unwrap();
        assert!(found.records.is_empty() && !found.has_more);
        let fetched = asking.hub.fetch(NODE, &asked, ("r", 1)).await.unwrap().result;
        assert_eq!(fetched, Ok(None));
        asking.clock.0.fetch_add(7_200_000, Ordering::Relaxed);
    }
}

async fn denied(store: Arc<dyn HubDocuments>) {
    let asking = Asking::new(store);
    asking.submit(1, ("r", 1), |_| ()).await;
    let allowed = |purpose, role| Question {
        purpose,
        role,
        decision: Decision::Allowed,
        reason: String::new(),
        ..question()
    };
    for refused in [
        // Nobody reads for these, and these read nothing.
        allowed(Purpose::Research, Role::VillageDoctor),
        allowed(Purpose::Payment, Role::HospitalDoctor),
        allowed(Purpose::Treatment, Role::Administrator),
        allowed(Purpose::Treatment, Role::Auditor),
        // A glass that cannot be broken, and reasons that are none.
        Question { purpose: Purpose::Treatment, ..question() },
        Question { role: Role::Pharmacist, ..question() },
        Question { reason: "急".to_owned(), ..question() },
        Question { decision: Decision::Denied, ..question() },
    ] {
        let answer = asking.hub.look_up(NODE, &refused).await.unwrap();
        let Err(Refusal::Denied { reason }) = answer.result else { panic!("{refused:?}") };
        assert_eq!(reason.is_empty(), refused.decision == Decision::Denied, "{refused:?}");
        assert!(!reason.contains(NAME) && answer.entry > 0 && answer.person.len() == 16);
        let answer = asking.hub.fetch(NODE, &refused, ("r", 1)).await.unwrap();
        assert!(matches!(answer.result, Err(Refusal::Denied { .. })), "{refused:?}");
    }
    assert_eq!(asking.hub.look_up_counts().denied, 16);
    // What is denied uses nothing up; what is allowed is given.
    for role in [Role::VillageDoctor, Role::HospitalDoctor, Role::Pharmacist] {
        let answer = asking.hub.look_up(NODE, &allowed(Purpose::Treatment, role)).await.unwrap();
        assert_eq!(answer.result.unwrap().records.len(), 1, "{role:?}");
    }
}

async fn harvesting(store: Arc<dyn HubDocuments>) {
    let asking = Asking::new(store);
    asking.submit(1, ("r", 1), |_| ()).await;
    for number in 1..=2 {
        asking.hub.look_up(NODE, &of_card(number)).await.unwrap().result.unwrap();
        asking.clock.0.fetch_add(60_000, Ordering::Relaxed);
    }
    // The third person of the hour, by either question; also when the number of the first is kept
    // and another one is tried.
    let tried = of(stated(NAME, RESIDENT_ID, "1"));
    for asked in [question(), tried] {
        let looked = asking.hub.look_up(NODE, &asked).await.unwrap().result.map(|_| ());
        let fetched = asking.hub.fetch(NODE, &asked, ("r", 1)).await.unwrap().result.map(|_| ());
        let retry_after = Duration::from_mins(58);
        assert_eq!(looked, Err(Refusal::TooMany { retry_after }));
        assert_eq!(fetched, looked);
    }
    assert_eq!(asking.hub.look_up_counts().too_many, 4);
    // Who was looked up is, other nodes are not concerned, and an hour ends.
    asking.hub.look_up(NODE, &of_card(2)).await.unwrap().result.unwrap();
    let other = asking.hub.look_up("village", &question()).await.unwrap();
    assert_eq!(other.result.unwrap().records.len(), 1);
    asking.clock.0.fetch_add(58 * 60_000, Ordering::Relaxed);
    let found = asking.hub.look_up(NODE, &question()).await.unwrap().result.unwrap();
    assert_eq!(found.records.len(), 1);
}

async fn impossible(store: Arc<dyn HubDocuments>) {
    let asking = Asking::new(store);
    let long = "长".repeat(501);
    for (asked, field) in [
        (of(stated("", RESIDENT_ID, "")), "person.name"),
        (of(stated("·", RESIDENT_ID, "")), "person.name"),
        (of(stated(NAME, "", "")), "person.resident_id"),
        (of(stated(NAME, "361121195703170510", "")), "person.resident_id"),
        (of(stated(NAME, "", &"1".repeat(65))), "person.health_card"),
        (Question { asked_by: String::new(), ..question() }, "asked_by"),
        (Question { asked_by: "a\nb".to_owned(), ..question() }, "asked_by"),
        (Question { reason: " ".to_owned(), ..question() }, "reason"),
        (Question { reason: long, ..question() }, "reason"),
    ] {
        let refused = asking.hub.look_up(NODE, &asked).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{field}");
        assert!(refused.public().contains(field), "{field}: {}", refused.public());
        assert!(!refused.public().contains(NAME) && !format!("{asked:?}").contains(NAME));
    }
    for name in ["", "a\0b", &"r".repeat(513)] {
        let refused = asking.hub.fetch(NODE, &question(), (name, 0)).await.unwrap_err();
        assert!(refused.public().contains("name "), "{}", refused.public());
    }
}

async fn registering(store: Arc<dyn HubDocuments>) {
    let asking = Asking::new(store);
    asking.submit(1, ("r", 1), |_| ()).await;
    asking.submit(2, ("other", 1), |r| r.patient.name = "饶建中".into()).await;
    let register = async |number: u64, (name, version): (&str, u32)| {
        let person = RegisteredPerson {
            name: name.to_owned(),
            resident_id: RESIDENT_ID.to_owned(),
            ..RegisteredPerson::default()
        };
        let said = RegistrationBody {
            relation: RelationName::Registered,
            active: true,
            until_ms: None,
            reason: String::new(),
            person,
        };
        let body = serde_json::to_vec(&said).unwrap();
        let document = Document {
            kind: Kind::Registration,
            name: format!("registration of {name}"),
            version,
            media_type: JSON.to_owned(),
            sha256: Sha256::digest(&body).into(),
            body: body.into(),
        };
        match asking.hub.submit(NODE, "n".to_owned(), number, document).await.unwrap() {
            Outcome::Kept(_) => "kept".to_owned(),
            Outcome::Refused { code, reason } => {
                assert!(reason.contains("自动重新提交"), "{reason}");
                code
            }
            other @ (Outcome::Known(_) | Outcome::Forked) => panic!("{other:?}"),
        }
    };
    let inbox = async || asking.hub.inbox(NODE, 0, 10).await.unwrap().0.len();
    assert_eq!(register(1, ("无名氏", 1)).await, "kept", "of whom there is nothing");
    assert_eq!(register(2, (NAME, 1)).await, "kept");
    assert_eq!(register(3, ("饶建中", 1)).await, TOO_MANY);
    assert_eq!((inbox().await, asking.hub.quarantined_count().await.unwrap()), (1, 0));
    assert_eq!(register(4, (NAME, 2)).await, "kept", "nothing more is given");
    assert!(asking.hub.look_up(NODE, &question()).await.unwrap().result.is_ok(), "by itself");
    // Nothing else waits behind it, and it comes again by itself.
    asking.clock.0.fetch_add(3_600_001, Ordering::Relaxed);
    assert_eq!(register(3, ("饶建中", 1)).await, "kept");
    assert_eq!(inbox().await, 2);
}

async fn images(store: Arc<dyn HubDocuments>) {
    let asking = Asking::new(store);
    let of = |persons: &[&str]| AskedImages {
        node: NODE.to_owned(),
        asked_by: "doctor".to_owned(),
        action: "find_images",
        persons: persons.iter().map(|&person| person.to_owned()).collect(),
        ..AskedImages::default()
    };
    let hub = &asking.hub;
    hub.note(&of(&["id A"])).await.unwrap();
    hub.note(&of(&["id A"])).await.unwrap();
    assert!(hub.look_up(NODE, &question()).await.unwrap().result.is_ok(), "the second of two");
    let refused = hub.note(&of(&["id A", "id B"])).await.unwrap_err();
    assert_eq!(refused.code(), Code::Overloaded);
    let refused = hub.look_up(NODE, &of_card(1)).await.unwrap().result;
    assert!(matches!(refused, Err(Refusal::TooMany { .. })), "{refused:?}");
    let elsewhere = AskedImages { node: "another".to_owned(), ..of(&["id B"]) };
    hub.note(&elsewhere).await.unwrap();
    asking.clock.0.fetch_add(3_600_001, Ordering::Relaxed);
    hub.note(&of(&["id B"])).await.unwrap();
    assert_eq!(hub.look_up_counts().too_many, 2);
}
