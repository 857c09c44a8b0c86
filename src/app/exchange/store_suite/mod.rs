//! What every [`HubDocuments`] must do; each back-end runs it. `handles` is what must hold when
//! several hubs work on one store, `model` a comparison with a store in memory, `asking` what nodes are
//! answered that look records up.

pub(crate) mod asking;
mod attending;
mod consent;
pub(crate) mod handles;
mod keeping;
pub(crate) mod look_ups;
pub(crate) mod model;
mod names;
mod routing;

use sha2::{Digest as _, Sha256};

use super::ports::{
    Facts, HubDocuments, NodeExchange, PersonKey, Registers, Relation, Scope, Submission,
};
use crate::app::ports::BoxFuture;
use crate::sharing::exchange::{Cursor, Delivery, Document, Hello, Kind, Outcome, Position};

type Test = for<'a> fn(&'a dyn HubDocuments) -> BoxFuture<'a, ()>;

/// Name and body of each test; each gets an empty store with [`scopes`].
pub(crate) const TESTS: &[(&str, Test)] = &[
    ("what_is_kept_is_known_when_it_comes_again", |s| Box::pin(keeping::known(s))),
    ("a_number_that_stands_for_another_document_is_forked", |s| Box::pin(keeping::forked(s))),
    ("another_body_under_the_same_version_is_refused", |s| Box::pin(keeping::conflict(s))),
    ("the_name_of_a_record_is_its_first_senders", |s| Box::pin(names::taken(s))),
    ("a_correction_reaches_whoever_has_an_older_version", |s| Box::pin(names::corrected(s))),
    ("what_was_taken_back_reaches_whoever_has_it", |s| Box::pin(names::taken_back(s))),
    ("tasks_of_one_version_are_kept_beside_each_other", |s| Box::pin(keeping::tasks(s))),
    ("names_that_cannot_be_kept_are_refused", |s| Box::pin(keeping::names(s))),
    ("a_document_comes_out_as_it_went_in", |s| Box::pin(keeping::whole(s))),
    ("an_inbox_is_read_in_parts_that_are_not_too_large", |s| Box::pin(keeping::parts(s))),
    ("what_is_put_aside_is_counted_once", |s| Box::pin(keeping::quarantine(s))),
    ("what_is_put_aside_is_shown_and_dealt_with", |s| Box::pin(keeping::put_aside(s))),
    ("those_who_wait_hear_whose_inbox_grows", |s| Box::pin(keeping::grown(s))),
    ("village_and_township_get_what_is_of_their_place", |s| Box::pin(routing::by_place(s))),
    ("registered_nodes_get_a_persons_documents", |s| Box::pin(routing::registered(s))),
    ("a_contract_holds_until_its_last_day", |s| Box::pin(routing::contract(s))),
    ("a_registration_that_is_taken_back_ends", |s| Box::pin(routing::taken_back(s))),
    ("a_new_registration_brings_what_was_kept_before", |s| Box::pin(routing::backfill(s))),
    ("only_the_current_version_is_brought", |s| Box::pin(routing::current(s))),
    ("a_delivery_says_why_it_comes_and_from_whom", |s| Box::pin(routing::sent_for(s))),
    ("a_new_registration_brings_what_was_said_of_tasks", |s| Box::pin(routing::said_before(s))),
    ("a_task_goes_to_whoever_had_its_record", |s| Box::pin(routing::task(s))),
    ("consent_reaches_whoever_has_the_persons_records", |s| Box::pin(consent::reaches(s))),
    ("the_later_word_on_consent_counts", |s| Box::pin(consent::later(s))),
    ("who_comes_to_a_person_later_hears_of_consent_first", |s| Box::pin(consent::afterwards(s))),
    ("of_consent_only_the_patients_nodes_speak", |s| Box::pin(consent::of_others(s))),
    ("what_is_counted_up_does_not_leap", |s| Box::pin(consent::leaps(s))),
    ("consent_counts_by_every_number_of_a_person", |s| Box::pin(consent::joined(s))),
    ("a_node_that_comes_is_greeted_by_what_is_there", |s| Box::pin(attending::greeted(s))),
    ("an_inbox_goes_on_only_from_its_own_chain", |s| Box::pin(attending::chain(s))),
    ("an_old_copy_must_take_another_name_and_gets_back", |s| Box::pin(attending::restored(s))),
    ("a_new_box_gets_back_what_the_node_had_sent", |s| Box::pin(attending::replaced(s))),
    ("the_report_says_how_far_each_node_is", |s| Box::pin(attending::report(s))),
    ("a_persons_current_records_are_found_by_key", |s| Box::pin(look_ups::current_ones(s))),
    ("a_record_is_found_by_name_if_it_is_the_persons", |s| Box::pin(look_ups::named_ones(s))),
    ("persons_are_counted_within_an_hour_and_by_node", |s| Box::pin(look_ups::allowance(s))),
];

pub(super) const VILLAGE: &str = "360121100201";
pub(super) const TOWNSHIP: &str = "360121100";
pub(super) const COUNTY: &str = "360121";

/// A county hospital and a centre of the county, a township and two of its villages.
pub(crate) fn scopes() -> Vec<Scope> {
    let scope = |node: &str, area: &str| Scope { node: node.to_owned(), area: area.to_owned() };
    vec![
        scope("hospital", ""),
        scope("county", COUNTY),
        scope("township", TOWNSHIP),
        scope("village-1", VILLAGE),
        scope("village-2", "360121100202"),
    ]
}

pub(super) fn document(kind: Kind, name: &str, version: u32, text: &str) -> Document {
    let body = bytes::Bytes::from(text.to_owned());
    Document {
        kind,
        name: name.to_owned(),
        version,
        media_type: "application/fhir+json".to_owned(),
        sha256: Sha256::digest(&body).into(),
        body,
    }
}

/// A document of the first database of `node`.
pub(super) fn of(node: &str, number: u64, document: Document, facts: Facts) -> Submission {
    Submission {
        node: node.to_owned(),
        store: format!("{node}-a"),
        number,
        document,
        sm3: [7; 32],
        facts,
        at_ms: 1_000,
    }
}

pub(super) fn key(person: u8) -> PersonKey {
    [person; 16]
}

pub(super) fn person(person: u8) -> Facts {
    Facts { keys: vec![key(person)], ..Facts::default() }
}

pub(super) fn place(division: &str) -> Facts {
    Facts { division: division.to_owned(), ..Facts::default() }
}

/// The first version of a record with its name as text.
pub(super) fn record(node: &str, number: u64, name: &str, facts: Facts) -> Submission {
    of(node, number, document(Kind::Record, name, 1, name), facts)
}

pub(super) fn says(person: u8, relation: Relation, active: bool, until_ms: Option<i64>) -> Facts {
    let registers = Some(Registers { relation, active, until_ms });
    Facts { keys: vec![key(person)], registers, ..Facts::default() }
}

/// A registration of a person; each version has a number of its own.
pub(super) fn registration(node: &str, version: u32, facts: Facts) -> Submission {
    let name = format!("registration-{node}-{:?}", facts.keys);
    let text = format!("{name} {version} {:?}", facts.registers);
    let document = document(Kind::Registration, &name, version, &text);
    of(node, 1_000 + u64::from(version), document, facts)
}

pub(super) async fn kept(store: &dyn HubDocuments, submission: Submission) -> u64 {
    let outcome = store.keep(submission).await.unwrap();
    let Outcome::Kept(number) = outcome else { panic!("{outcome:?}") };
    number
}

pub(super) async fn is_known(store: &dyn HubDocuments, submission: Submission) -> u64 {
    let outcome = store.keep(submission).await.unwrap();
    let Outcome::Known(number) = outcome else { panic!("{outcome:?}") };
    number
}

/// Everything in an inbox, read in parts of three; numbers must rise by one.
pub(super) async fn all(store: &dyn HubDocuments, node: &str) -> Vec<Document> {
    deliveries(store, node).await.into_iter().map(|delivery| delivery.document).collect()
}

/// Likewise, with why each is there and who handed it over.
pub(super) async fn deliveries(store: &dyn HubDocuments, node: &str) -> Vec<Delivery> {
    let mut all = Vec::new();
    loop {
        let after = u64::try_from(all.len()).unwrap();
        let (read, is_last) = store.inbox(node, after, 3).await.unwrap();
        for (expected, (number, delivery)) in (after + 1..).zip(read) {
            assert_eq!(number, expected, "a gap in the inbox of {node}");
            all.push(delivery);
        }
        if is_last {
            return all;
        }
    }
}

/// Names and versions in an inbox.
pub(super) async fn inbox(store: &dyn HubDocuments, node: &str) -> Vec<String> {
    let documents = all(store, node).await;
    documents.iter().map(|document| format!("{}/{}", document.name, document.version)).collect()
}

/// The end of an inbox.
pub(super) async fn cursor(store: &dyn HubDocuments, node: &str) -> Cursor {
    let documents = all(store, node).await;
    documents.iter().fold(Cursor::default(), |cursor, document| cursor.after(&document.sha256))
}

pub(super) fn hello(store: &str, last: u64, position: Position, inbox: Cursor) -> Hello {
    Hello { store: store.to_owned(), last, position, inbox }
}

pub(super) async fn line(store: &dyn HubDocuments, node: &str) -> NodeExchange {
    store.nodes().await.unwrap().into_iter().find(|line| line.node == node).unwrap()
}

/// A little of everything that the audit trail tells.
pub(crate) async fn story(store: &dyn HubDocuments) {
    kept(store, record("hospital", 1, "r", Facts { keys: vec![key(1)], ..place(VILLAGE) })).await;
    // Said again it is no event, under another number it is.
    is_known(store, record("hospital", 1, "r", place(VILLAGE))).await;
    is_known(store, record("hospital", 2, "r", place(VILLAGE))).await;
    let other = document(Kind::Record, "r", 1, "other");
    let _ = store.keep(of("hospital", 1, other.clone(), Facts::default())).await.unwrap();
    let _ = store.keep(of("hospital", 3, other.clone(), Facts::default())).await.unwrap();
    kept(store, registration("village-2", 1, says(1, Relation::Contract, true, None))).await;
    for _ in 0..2 {
        let put = super::ports::Quarantined {
            node: "county".to_owned(),
            store: "a".to_owned(),
            number: 1,
            document: other.clone(),
            code: "not_xml".to_owned(),
            reason: String::new(),
            at_ms: 1,
        };
        store.quarantine(put).await.unwrap();
    }
    for name in ["hospital-a", "hospital-b"] {
        let hello = hello(name, 3, Position::default(), Cursor::default());
        store.attend("hospital", &hello, 1).await.unwrap();
    }
}

/// What the audit trail says of [`story`]: node, action, outcome, recipients.
pub(crate) const AUDIT: [&str; 8] = [
    "hospital record: kept [township village-1]",
    "hospital record: known []",
    "hospital record: forked []",
    "hospital record: version_conflict []",
    "village-2 registration: kept []",
    "village-2 backfill: 1 records, 0 tasks, 0 consents [village-2]",
    "county quarantine: not_xml []",
    "hospital attend: current, 1 given back []",
];

/// Record `r<number>`, which goes to the first village.
pub(crate) fn for_the_village(number: u64) -> Submission {
    record("hospital", number, &format!("r{number}"), place(VILLAGE))
}

/// Keeps [`for_the_village`].
pub(crate) async fn kept_for_the_village(store: &dyn HubDocuments, number: u64) -> u64 {
    kept(store, for_the_village(number)).await
}

/// The same document of another node.
pub(crate) fn renamed(before: Document, node: &str) -> Document {
    Document { name: format!("{node}-{}", before.name), ..before }
}

/// Names and versions in an inbox, which has no gaps.
pub(crate) async fn names_in(store: &dyn HubDocuments, node: &str) -> Vec<String> {
    inbox(store, node).await
}
