//! Who hears what patients said of their consent, and what counts.

use super::{document, inbox, kept, key, of, person, place, record, registration, says};
use crate::app::exchange::ports::{
    Consent, Facts, HubDocuments, PersonKey, Relation, Submission, Withdrawn,
};
use crate::sharing::exchange::Kind;

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
