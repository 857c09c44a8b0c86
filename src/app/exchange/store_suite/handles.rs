//! What must hold when several hubs work on one store at the same time.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures_util::future::join_all;

use super::{
    VILLAGE, all, cursor, hello, inbox, kept, line, person, place, record, registration, says,
};
use crate::app::exchange::ports::{Facts, HubDocuments, Relation, Submission};
use crate::app::ports::BoxFuture;
use crate::sharing::exchange::{Cursor, Outcome, Position, Standing};

/// Hubs on one store.
pub(crate) type Hubs = Vec<Arc<dyn HubDocuments>>;
type Test = fn(Hubs) -> BoxFuture<'static, ()>;

/// Name and body of each test; each gets two handles or more of an empty store.
pub(crate) const TESTS: &[(&str, Test)] = &[
    ("inboxes_have_no_gaps_however_many_keep_at_once", |s| Box::pin(no_gaps(s))),
    ("one_document_handed_to_all_hubs_is_kept_once", |s| Box::pin(once(s))),
    ("versions_that_race_are_kept_once_and_refused_else", |s| Box::pin(conflicts(s))),
    ("no_record_slips_past_a_registration", |s| Box::pin(registrations(s))),
    ("a_node_may_change_hubs", |s| Box::pin(changes(s))),
    ("a_box_that_is_replaced_meanwhile_gets_all_of_it_once", |s| Box::pin(replaced(s))),
    ("hubs_that_count_persons_at_once_let_no_more_through", |s| {
        Box::pin(super::look_ups::counted_at_once(s))
    }),
];

const EACH: u64 = 60;

async fn no_gaps(hubs: Hubs) {
    let mut keeps = Vec::new();
    for number in 1..=EACH {
        for (at, hub) in hubs.iter().enumerate() {
            for sender in ["hospital", "county", "village-2"] {
                let node = format!("{sender}-{at}");
                let submission = record(&node, number, &format!("{node}-{number}"), place(VILLAGE));
                keeps.push(hub.keep(submission));
            }
        }
    }
    // Somebody reads meanwhile: what was seen once stays, in its place.
    let reads = async {
        let mut seen = Vec::new();
        while seen.len() < 3 * usize::try_from(EACH).unwrap() {
            let now = all(&*hubs[0], "village-1").await;
            assert!(now.starts_with(&seen), "a late commit changed what was read");
            seen = now;
        }
    };
    let (outcomes, ()) = futures_util::future::join(join_all(keeps), reads).await;
    let mut numbers = BTreeSet::new();
    for outcome in outcomes {
        let Outcome::Kept(number) = outcome.unwrap() else { panic!("not kept") };
        assert!(numbers.insert(number), "number {number} was given twice");
    }
    for hub in &hubs {
        for node in ["village-1", "township"] {
            let names = BTreeSet::from_iter(inbox(&**hub, node).await);
            assert_eq!(names.len(), numbers.len(), "{node}");
        }
        // The chain is that of the documents in their order.
        let end = cursor(&**hub, "village-1").await;
        let hello = hello("village-1-a", 0, Position::default(), end);
        assert_eq!(hub.attend("village-1", &hello, 1).await.unwrap().inbox, end);
        assert_eq!(line(&**hub, "hospital-0").await.handed_over, EACH);
    }
}

async fn once(hubs: Hubs) {
    for number in 1..=EACH {
        let submission = record("hospital", number, &format!("r{number}"), place(VILLAGE));
        let keeps = hubs.iter().chain(&hubs).chain(&hubs).map(|hub| hub.keep(submission.clone()));
        let outcomes = join_all(keeps).await;
        let outcomes: Vec<_> = outcomes.into_iter().map(Result::unwrap).collect();
        let numbers: BTreeSet<_> =
            outcomes.iter().map(|outcome| outcome.number().unwrap()).collect();
        assert_eq!(numbers.len(), 1);
        let kept = outcomes.iter().filter(|outcome| matches!(outcome, Outcome::Kept(_))).count();
        assert_eq!(kept, 1, "{outcomes:?}");
    }
    for hub in &hubs {
        assert_eq!(u64::try_from(inbox(&**hub, "village-1").await.len()).unwrap(), EACH);
        assert_eq!(line(&**hub, "hospital").await.handed_over, EACH);
    }
}

async fn conflicts(hubs: Hubs) {
    for number in 1..=EACH {
        let name = format!("r{number}");
        let keeps = hubs.iter().enumerate().map(|(at, hub)| {
            let mut submission = record(&format!("node-{at}"), number, &name, place(VILLAGE));
            submission.document =
                super::document(submission.document.kind, &name, 1, &format!("{at} {name}"));
            hub.keep(submission)
        });
        let outcomes = join_all(keeps).await;
        let outcomes: Vec<_> = outcomes.into_iter().map(Result::unwrap).collect();
        let kept = outcomes.iter().filter(|outcome| matches!(outcome, Outcome::Kept(_))).count();
        assert_eq!(kept, 1, "{outcomes:?}");
        let refused = |outcome: &&Outcome| matches!(outcome, Outcome::Refused { .. });
        assert_eq!(outcomes.iter().filter(refused).count(), hubs.len() - 1);
    }
    assert_eq!(u64::try_from(inbox(&*hubs[0], "village-1").await.len()).unwrap(), EACH);
}

async fn registrations(hubs: Hubs) {
    let mut names = Vec::new();
    for round in 0..20_u8 {
        let mut keeps = Vec::new();
        for (number, hub) in (1..).zip(hubs.iter().cycle().take(3 * hubs.len())) {
            let name = format!("r{round}-{number}");
            let number = u64::from(round) * 100 + number;
            keeps.push(hub.keep(record("hospital", number, &name, person(round))));
            if number % 3 == 1 {
                let facts = says(round, Relation::Registered, true, None);
                let version = u32::try_from(number % 100).unwrap();
                let mut said = registration("village-2", version, facts);
                said.number = u64::from(round) * 100 + u64::from(version);
                keeps.push(hub.keep(said));
            }
            names.push(format!("{name}/1"));
        }
        for outcome in join_all(keeps).await {
            assert!(matches!(outcome.unwrap(), Outcome::Kept(_)));
        }
        // Kept before or after it: everything has come, once.
        let mut has = inbox(&*hubs[0], "village-2").await;
        has.sort();
        let mut expected = names.clone();
        expected.sort();
        assert_eq!(has, expected, "round {round}");
    }
}

async fn changes(hubs: Hubs) {
    let first = hello("hospital-a", 0, Position::default(), Cursor::default());
    for (number, hub) in (1..).zip(hubs.iter().cycle().take(6)) {
        let welcome = hub.attend("hospital", &first, 1).await;
        let standing = welcome.unwrap().standing;
        // It says that it has handed over nothing, and another hub knows better.
        let expected = if number == 1 { Standing::Current } else { Standing::Forked };
        assert_eq!(standing, expected);
        kept(&**hub, record("hospital", number, &format!("r{number}"), place(VILLAGE))).await;
    }
    for hub in &hubs {
        assert_eq!(inbox(&**hub, "village-1").await.len(), 6);
        let again = record("hospital", 1, "r1", place(VILLAGE));
        super::is_known(&**hub, again.clone()).await;
        let other = Submission { document: record("h", 1, "x", place("")).document, ..again };
        assert_eq!(hub.keep(other).await.unwrap(), Outcome::Forked);
    }
    hubs[0].advance("village-1", 4, 9).await.unwrap();
    assert_eq!(line(&*hubs[1], "village-1").await.kept, 4);
}

async fn replaced(hubs: Hubs) {
    let first = hello("hospital-a", 0, Position::default(), Cursor::default());
    hubs[0].attend("hospital", &first, 1).await.unwrap();
    for number in 1..=EACH {
        kept(&*hubs[0], record("hospital", number, &format!("r{number}"), Facts::default())).await;
    }
    // Registrations bring the node's inbox to grow at the same time.
    for number in 1..=EACH {
        let name = format!("other-{number}");
        kept(&*hubs[0], record("county", number, &name, person(u8::try_from(number).unwrap())))
            .await;
    }
    let registers = (1..=u8::try_from(EACH).unwrap()).map(|person| {
        let hub = &hubs[usize::from(person) % hubs.len()];
        let mut said = registration("hospital", 1, says(person, Relation::Registered, true, None));
        said.number = 1_000 + u64::from(person);
        hub.keep(said)
    });
    let new = hello("hospital-b", 0, Position::default(), Cursor::default());
    let attends = hubs.iter().map(|hub| hub.attend("hospital", &new, 2));
    let (kept, greeted) = futures_util::future::join(join_all(registers), join_all(attends)).await;
    for outcome in kept {
        assert!(matches!(outcome.unwrap(), Outcome::Kept(_)));
    }
    for welcome in greeted {
        assert_eq!(welcome.unwrap().standing, Standing::Current);
    }
    let has = inbox(&*hubs[0], "hospital").await;
    let once: BTreeSet<_> = has.iter().collect();
    assert_eq!(once.len(), has.len(), "something came twice");
    for number in 1..=EACH {
        assert!(once.contains(&format!("r{number}/1")), "r{number} was not given back");
        assert!(once.contains(&format!("other-{number}/1")), "other-{number} did not come");
    }
}
