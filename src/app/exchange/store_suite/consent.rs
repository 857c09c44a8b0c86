//! Who hears what patients said of their consent, and what counts.

use super::{document, inbox, kept, key, of, person, place, record, registration, says};
use crate::app::exchange::ports::{
    Consent, Facts, HubDocuments, PersonKey, Relation, Submission, Withdrawn,
};
use crate::sharing::exchange::{Kind, Outcome};

const NOBODY: [&str; 0] = [];

/// Says it of all records of a person, by the record `r`.
fn said(node: &str, number: u64, (version, at_ms): (u32, i64), given: bool) -> Submission {
    let consent = Consent { given, all: true, record: "r".to_owned(), at_ms };
    of_consent(node, number, ("all-1", version), Facts { consent: Some(consent), ..person(1) })
}

fn of_consent(node: &str, number: u64, (name, version): (&str, u32), facts: Facts) -> Submission {
    let text = format!("{node} {number} {name} {version} {:?}", facts.consent);
    of(node, number, document(Kind::Consent, name, version, &text), facts)
}

fn taken_back(person: u8, record: &str, at_ms: i64) -> Withdrawn {
    Withdrawn { key: key(person), record: record.to_owned(), at_ms }
}

async fn withdrawals(store: &dyn HubDocuments, keys: &[PersonKey]) -> Vec<Withdrawn> {
    store.withdrawals(keys).await.unwrap()
}

pub(super) async fn reaches(store: &dyn HubDocuments) {
    let facts = Facts { keys: vec![key(1)], ..place(super::VILLAGE) };
    kept(store, record("hospital", 1, "r", facts)).await;
    kept(store, record("hospital", 2, "other", person(2))).await;
    kept(store, registration("county", 1, says(1, Relation::Contract, true, None))).await;
    // Who sent a record or has one in the inbox, and who is registered; not who says it.
    kept(store, said("village-1", 1, (1, 10), false)).await;
    assert_eq!(inbox(store, "hospital").await, ["all-1/1"]);
    assert_eq!(inbox(store, "township").await, ["r/1", "all-1/1"]);
    assert_eq!(inbox(store, "county").await.last().unwrap(), "all-1/1");
    assert_eq!(inbox(store, "village-1").await, ["r/1"]);
    assert_eq!(inbox(store, "village-2").await, NOBODY);
    assert_eq!(withdrawals(store, &[key(1)]).await, [taken_back(1, "", 10)]);
    assert_eq!(withdrawals(store, &[key(2), key(3)]).await, []);
    // By the record's name alone, where nobody can be told.
    kept(store, record("hospital", 3, "nameless", place("360121100202"))).await;
    let consent = Consent { given: false, all: false, record: "nameless".to_owned(), at_ms: 11 };
    let facts = Facts { consent: Some(consent.clone()), ..Facts::default() };
    kept(store, of_consent("hospital", 4, ("one", 1), facts)).await;
    assert_eq!(inbox(store, "village-2").await, ["nameless/1", "one/1"]);
    assert_eq!(inbox(store, "hospital").await, ["all-1/1"]);
    // Of one record of a person: the record is told, too.
    let facts = Facts { consent: Some(Consent { record: "r".to_owned(), ..consent }), ..person(1) };
    kept(store, of_consent("hospital", 5, ("one-r", 1), facts)).await;
    let both = [taken_back(1, "", 10), taken_back(1, "r", 11)];
    assert_eq!(withdrawals(store, &[key(1), key(1)]).await.len() % 2, 0);
    assert_eq!(withdrawals(store, &[key(1)]).await, both);
}

pub(super) async fn later(store: &dyn HubDocuments) {
    kept(store, record("hospital", 1, "r", person(1))).await;
    for node in ["village-1", "village-2"] {
        kept(store, registration(node, 1, says(1, Relation::Registered, true, None))).await;
    }
    kept(store, said("village-1", 1, (2, 20), false)).await;
    // An older version comes late; one of the same version is kept beside it, and the later counts.
    kept(store, said("village-2", 1, (1, 90), true)).await;
    assert_eq!(withdrawals(store, &[key(1)]).await, [taken_back(1, "", 20)]);
    kept(store, said("village-2", 2, (2, 19), true)).await;
    assert_eq!(withdrawals(store, &[key(1)]).await, [taken_back(1, "", 20)]);
    kept(store, said("village-2", 3, (2, 21), true)).await;
    assert_eq!(withdrawals(store, &[key(1)]).await, []);
    kept(store, said("village-1", 2, (3, 5), false)).await;
    assert_eq!(withdrawals(store, &[key(1)]).await, [taken_back(1, "", 5)]);
    // All of it reaches the hospital, which decides alike.
    assert_eq!(
        inbox(store, "hospital").await,
        ["all-1/2", "all-1/1", "all-1/2", "all-1/2", "all-1/3"]
    );
}

pub(super) async fn afterwards(store: &dyn HubDocuments) {
    kept(store, record("hospital", 1, "r", person(1))).await;
    kept(store, said("hospital", 2, (1, 10), false)).await;
    kept(store, said("hospital", 3, (2, 20), true)).await;
    kept(store, said("hospital", 4, (3, 30), false)).await;
    // Who registers later hears the last word, before the records.
    kept(store, registration("county", 1, says(1, Relation::Registered, true, None))).await;
    assert_eq!(inbox(store, "county").await, ["all-1/3", "r/1"]);
    // So does who is given a record by the place, and another hospital that sends one; once.
    let of_village = |number, name: &str| {
        let facts = Facts { keys: vec![key(1)], ..place(super::VILLAGE) };
        record("village-2", number, name, facts)
    };
    kept(store, of_village(1, "r2")).await;
    kept(store, of_village(2, "r3")).await;
    assert_eq!(inbox(store, "village-1").await, ["all-1/3", "r2/1", "r3/1"]);
    assert_eq!(inbox(store, "village-2").await, ["all-1/3"]);
    assert_eq!(inbox(store, "county").await[2..], ["r2/1", "r3/1"]);
    // Who said it is not told.
    assert_eq!(inbox(store, "hospital").await, NOBODY);
    // Whoever is new to the person hears what counts then.
    kept(store, said("hospital", 5, (4, 40), true)).await;
    kept(store, registration("village-2", 1, says(1, Relation::Registered, true, None))).await;
    assert_eq!(inbox(store, "village-2").await[..2], ["all-1/3", "all-1/4"]);
    assert_eq!(withdrawals(store, &[key(1)]).await, []);
}

async fn refused(store: &dyn HubDocuments, submission: Submission) -> String {
    let outcome = store.keep(submission).await.unwrap();
    let Outcome::Refused { code, reason } = outcome else { panic!("{outcome:?}") };
    assert!(!reason.is_empty());
    code
}

pub(super) async fn of_others(store: &dyn HubDocuments) {
    let facts = Facts { keys: vec![key(1)], ..place(super::VILLAGE) };
    kept(store, record("hospital", 1, "r", facts)).await;
    kept(store, record("village-2", 1, "own", person(9))).await;
    kept(store, said("village-1", 1, (1, 10), false)).await;
    // Who has no record of the person and has not registered the person says nothing, in either direction,
    // and nobody hears of it.
    for (number, given) in [(2, true), (3, false)] {
        let code = refused(store, said("village-2", number, (2, 20), given)).await;
        assert_eq!(code, "not_the_patients_node");
    }
    // A record of one's own, or one of the numbers, does not help.
    let by_own = |keys, number| {
        let consent = Consent { given: true, all: true, record: "own".to_owned(), at_ms: 30 };
        let facts = Facts { keys, consent: Some(consent), ..Facts::default() };
        of_consent("village-2", number, ("all-1", 2), facts)
    };
    for (number, keys) in [(4, vec![key(1)]), (5, vec![key(1), key(9)])] {
        assert_eq!(refused(store, by_own(keys, number)).await, "not_the_patients_node");
    }
    // Where nobody can be told, the very record must be there.
    let of_record = |node: &str, number| {
        let consent = Consent { given: true, all: false, record: "r".to_owned(), at_ms: 40 };
        let facts = Facts { consent: Some(consent), ..Facts::default() };
        of_consent(node, number, ("one", 1), facts)
    };
    assert_eq!(refused(store, of_record("village-2", 6)).await, "not_the_patients_node");
    assert_eq!(withdrawals(store, &[key(1)]).await, [taken_back(1, "", 10)]);
    assert_eq!(inbox(store, "village-1").await, ["r/1"]);
    // Whoever has registered the person goes on, until the registration ends.
    kept(store, registration("village-2", 1, says(1, Relation::Registered, true, None))).await;
    kept(store, said("village-2", 7, (2, 50), true)).await;
    assert_eq!(withdrawals(store, &[key(1)]).await, []);
    kept(store, of_record("township", 1)).await;
    kept(store, registration("county", 1, says(1, Relation::Contract, true, None))).await;
    let ends = says(1, Relation::Contract, false, None);
    let before = inbox(store, "county").await.len();
    kept(store, registration("county", 2, ends)).await;
    // It has the record from the registration.
    kept(store, said("county", 3, (3, 60), false)).await;
    assert!(before > 0);
    assert_eq!(withdrawals(store, &[key(1)]).await, [taken_back(1, "", 60)]);
}

pub(super) async fn leaps(store: &dyn HubDocuments) {
    let facts = Facts { keys: vec![key(1)], ..place(super::VILLAGE) };
    kept(store, record("hospital", 1, "r", facts)).await;
    for (number, version) in [(2, u32::MAX), (3, 1_001)] {
        let code = refused(store, said("hospital", number, (version, 10), true)).await;
        assert_eq!(code, "version_leaps", "{version}");
    }
    // Of the person by another name, too: there is one last word.
    kept(store, said("hospital", 4, (1_000, 10), false)).await;
    let other = |number, version| {
        let consent = Consent { given: true, all: true, record: "r".to_owned(), at_ms: 20 };
        let facts = Facts { consent: Some(consent), ..person(1) };
        of_consent("village-1", number, ("all-by-card", version), facts)
    };
    assert_eq!(refused(store, other(1, 2_001)).await, "version_leaps");
    // A clinic from an old backup is behind, and goes on; what it says then is not the last word.
    kept(store, other(2, 3)).await;
    assert_eq!(withdrawals(store, &[key(1)]).await, [taken_back(1, "", 10)]);
    // A hub that was set back hears what lies further on.
    kept(store, other(3, 1_900)).await;
    assert_eq!(withdrawals(store, &[key(1)]).await, []);
    let task = |node: &str, number, version| {
        let document = document(Kind::Task, "r#1", version, &format!("{node} {version}"));
        of(node, number, document, Facts::default())
    };
    for version in [u32::MAX, 1_001] {
        assert_eq!(refused(store, task("village-2", 1, version)).await, "version_leaps");
    }
    kept(store, task("village-1", 10, 2)).await;
    kept(store, task("village-1", 11, 1_002)).await;
    kept(store, task("village-1", 12, 1)).await;
    assert_eq!(refused(store, task("village-1", 13, 2_003)).await, "version_leaps");
}

pub(super) async fn joined(store: &dyn HubDocuments) {
    let both = Facts { keys: vec![key(1), key(2)], ..Facts::default() };
    kept(store, record("hospital", 1, "by-both", both.clone())).await;
    kept(store, record("hospital", 2, "by-card", person(2))).await;
    kept(store, record("hospital", 3, "other", person(3))).await;
    let word = |number, name: &str, (version, given), facts: &Facts| {
        let at_ms = i64::from(version) * 10;
        let consent = Consent { given, all: true, record: "by-card".to_owned(), at_ms };
        let facts = Facts { consent: Some(consent), ..facts.clone() };
        of_consent("hospital", number, (name, version), facts)
    };
    // Said by the one number, it counts by the other, which a record joins to it.
    kept(store, word(4, "all-2", (1, false), &person(2))).await;
    assert_eq!(withdrawals(store, &[key(2)]).await, [taken_back(2, "", 10)]);
    assert_eq!(withdrawals(store, &[key(1)]).await, [taken_back(2, "", 10)]);
    assert_eq!(withdrawals(store, &[key(3)]).await, []);
    // So does the last word, under whichever name.
    kept(store, word(5, "all-1", (2, true), &both)).await;
    for asked in [vec![key(1)], vec![key(2)], vec![key(1), key(2)]] {
        assert_eq!(withdrawals(store, &asked).await, [], "{asked:?}");
    }
}
