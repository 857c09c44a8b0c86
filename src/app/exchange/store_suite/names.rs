//! Whose the name of a record is, and who hears of a new version.

use super::{VILLAGE, document, inbox, is_known, kept, key, of, person, place, registration, says};
use crate::app::exchange::ports::{Facts, HubDocuments, Relation, Submission};
use crate::app::exchange::store_suite::deliveries;
use crate::sharing::exchange::{Kind, Outcome, SentFor};

const OTHER_VILLAGE: &str = "360121100202";

fn version(node: &str, number: u64, version: u32, facts: Facts) -> Submission {
    let text = format!("{node} {version} {facts:?}");
    of(node, number, document(Kind::Record, "r", version, &text), facts)
}

fn by(author: &str, facts: Facts) -> Facts {
    Facts { author: author.to_owned(), ..facts }
}

async fn is_taken(store: &dyn HubDocuments, submission: Submission) {
    let outcome = store.keep(submission).await.unwrap();
    let Outcome::Refused { code, reason } = outcome else { panic!("{outcome:?}") };
    assert_eq!(code, "name_taken");
    assert!(reason.contains("标识根"), "{reason}");
}

pub(super) async fn taken(store: &dyn HubDocuments) {
    let first = version("hospital", 1, 1, by("A", Facts { keys: vec![key(1)], ..place(VILLAGE) }));
    kept(store, first.clone()).await;
    // Of another hospital, whatever it says of itself: a higher version, the same one, a lower one.
    for at in [2, 1, 7] {
        is_taken(store, version("county", 1, at, by("A", person(2)))).await;
        is_taken(store, version("county", 1, at, by("A", person(1)))).await;
    }
    // Of another institution behind the same node, about somebody else.
    is_taken(store, version("hospital", 2, 2, by("B", person(2)))).await;
    is_taken(store, version("hospital", 2, 1, by("B", place(VILLAGE)))).await;
    assert_eq!(inbox(store, "village-1").await, ["r/1"]);
    // The same bytes are the same document, whoever has them; the name stays the first one's.
    is_known(store, Submission { node: "county".to_owned(), ..first }).await;
    is_taken(store, version("county", 2, 2, by("A", person(1)))).await;
    // The numbers of what was refused are free.
    kept(store, of("county", 3, document(Kind::Record, "s", 1, "s"), by("A", person(2)))).await;
    kept(store, version("hospital", 2, 2, by("A", person(1)))).await;
    // A code that was wrong is put right for the same person; who does not say it is believed; and the
    // same institution may say that it is somebody else.
    kept(store, version("hospital", 3, 3, by("B", person(1)))).await;
    kept(store, version("hospital", 4, 4, person(3))).await;
    kept(store, version("hospital", 5, 5, by("A", person(4)))).await;
    kept(store, version("hospital", 6, 6, by("B", person(4)))).await;
    is_taken(store, version("hospital", 7, 7, by("B", person(5)))).await;
    let all: Vec<_> = (1..=6).map(|version| format!("r/{version}")).collect();
    assert_eq!(inbox(store, "village-1").await, all);
    // Another kind of that name is nobody's.
    kept(store, of("county", 9, document(Kind::Registration, "r", 1, "r"), person(1))).await;
}

async fn last(store: &dyn HubDocuments, node: &str) -> (u32, Option<SentFor>) {
    let last = deliveries(store, node).await.pop().unwrap();
    (last.document.version, last.sent_for)
}

pub(super) async fn corrected(store: &dyn HubDocuments) {
    let lives = |person, division| Facts { keys: vec![key(person)], ..place(division) };
    kept(store, registration("county", 1, says(1, Relation::Referral, true, None))).await;
    kept(store, version("hospital", 1, 2, lives(1, VILLAGE))).await;
    // It is another one's, who lives elsewhere.
    kept(store, version("hospital", 2, 3, lives(2, OTHER_VILLAGE))).await;
    assert_eq!(last(store, "village-1").await, (3, Some(SentFor::Correction)));
    assert_eq!(last(store, "county").await, (3, Some(SentFor::Correction)));
    assert_eq!(last(store, "village-2").await, (3, Some(SentFor::Village)));
    assert_eq!(last(store, "township").await, (3, Some(SentFor::Township)));
    // A version from before that comes late is no news for who has only newer ones.
    kept(store, version("hospital", 3, 1, person(3))).await;
    assert_eq!(inbox(store, "village-2").await, ["r/3"]);
    // Whoever has any version hears of the next one, for the closest reason; each once.
    kept(store, registration("county", 2, says(2, Relation::Registered, true, None))).await;
    kept(store, version("hospital", 4, 4, lives(2, VILLAGE))).await;
    assert_eq!(last(store, "village-1").await, (4, Some(SentFor::Village)));
    assert_eq!(last(store, "village-2").await, (4, Some(SentFor::Correction)));
    assert_eq!(last(store, "county").await, (4, Some(SentFor::Registered)));
    assert_eq!(inbox(store, "village-1").await, ["r/2", "r/3", "r/4"]);
    assert_eq!(inbox(store, "village-2").await, ["r/3", "r/4"]);
    assert_eq!(inbox(store, "hospital").await, [""; 0]);
    // Who followed the person that it is about no more is told for that reason, and not again for it.
    is_known(store, version("hospital", 5, 4, lives(2, VILLAGE))).await;
    assert_eq!(inbox(store, "village-2").await, ["r/3", "r/4"]);
    // Those who come later get the current one only.
    kept(store, registration("village-2", 1, says(1, Relation::Contract, true, None))).await;
    assert_eq!(inbox(store, "village-2").await.last().unwrap(), "r/4");
}

pub(super) async fn taken_back(store: &dyn HubDocuments) {
    kept(store, registration("county", 1, says(1, Relation::Contract, true, Some(5_000)))).await;
    kept(store, version("hospital", 1, 1, Facts { keys: vec![key(1)], ..place(VILLAGE) })).await;
    // The contract has ended, and what takes the record back says neither person nor place.
    let void = version("hospital", 2, 2, Facts { withdrawn: true, ..Facts::default() });
    kept(store, Submission { at_ms: 6_000, ..void }).await;
    for node in ["county", "village-1", "township"] {
        assert_eq!(last(store, node).await, (2, Some(SentFor::Correction)), "{node}");
    }
    assert_eq!(inbox(store, "village-2").await, [""; 0]);
}
