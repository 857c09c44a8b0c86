//! Grants, what a record was sent for, records that replace others, and what patients are told.

use sqlx::{ConnectOptions as _, Connection as _};
use tokio_util::task::TaskTracker;

use super::{Node, document, entry};
use crate::app::access::{Action, Caller, Permit, authorise};
use crate::app::records::grants::{GrantChange, NewGrant};
use crate::app::records::notices::{NewNotice, NoticeState, Telling};
use crate::app::records::person::PersonKeys;
use crate::app::records::ports::{
    Arrived, DocumentQuery, DocumentStore as _, Indexed, NewDocument, NewTask, Submitted,
    TaskQuery, TaskState,
};
use crate::app::records::references::ports::{
    NewReference, ReferenceQuery, ReferenceStore as _, Subject,
};
use crate::sharing::consent::GrantKind;
use crate::sharing::discharge::fhir::resources::Standing;
use crate::sharing::exchange::{Cursor, Document, Kind, SentFor};
use crate::store::sqlite::documents::Documents;
use crate::store::sqlite::{MIGRATIONS, SqliteStore, migrator, options};

fn keys(name: &str, resident: &str, card: &str) -> PersonKeys {
    PersonKeys {
        name: name.to_owned(),
        resident: resident.to_owned(),
        card: card.to_owned(),
        ..PersonKeys::default()
    }
}

fn local() -> Caller {
    Caller::local("t")
}

fn permit(caller: &Caller, action: Action) -> Permit<'_> {
    authorise(caller, action).unwrap()
}

/// A contract of a person until a time, or its end.
fn contract(id: &str, keys: &PersonKeys, at_ms: i64, until_ms: Option<i64>) -> GrantChange {
    let gives = until_ms.map(|until_ms| NewGrant {
        id: id.to_owned(),
        until_ms: Some(until_ms),
        by: "t@here".to_owned(),
        how: String::new(),
    });
    GrantChange { keys: keys.clone(), kind: GrantKind::Contract, at_ms, gives }
}

async fn register(node: &Node, body: &'static str, change: GrantChange) -> Submitted {
    let caller = local();
    let new = NewDocument {
        document: Document { kind: Kind::Registration, ..document("registration", 0, body) },
        indexed: Indexed { format: "registration", ..Indexed::default() },
        task: None,
        at_ms: change.at_ms,
        grant: Some(change),
    };
    let permit = permit(&caller, Action::RegisterPeople);
    node.documents.submit(&permit, new, entry("registration")).await.unwrap()
}

/// Ids of a person's grants with their ends, the last to end first.
async fn held(node: &Node, keys: &PersonKeys) -> Vec<(String, Option<i64>)> {
    let grants = node.documents.grants(keys).await.unwrap();
    grants.into_iter().map(|grant| (grant.id, grant.until_ms)).collect()
}

#[tokio::test]
async fn a_registration_keeps_its_grant_once_and_its_end_ends_it() {
    let node = Node::new().await;
    let who = keys("a", "id", "card");
    let grant = |id: &str, until| (id.to_owned(), Some(until));
    assert_eq!(
        register(&node, "one", contract("g1", &who, 10, Some(100))).await,
        Submitted::Kept(1)
    );
    // Said again in the same words.
    assert_eq!(
        register(&node, "one", contract("g2", &who, 20, Some(100))).await,
        Submitted::Known(1)
    );
    assert_eq!(held(&node, &who).await, [grant("g1", 100)]);
    // By the card alone, and by another name, who has the card too.
    assert_eq!(held(&node, &keys("a", "", "card")).await, [grant("g1", 100)]);
    assert!(held(&node, &keys("b", "id", "card")).await.is_empty());
    assert!(held(&node, &PersonKeys::default()).await.is_empty());
    // A longer one takes its place; the end is of the person, by whatever number it is said.
    register(&node, "two", contract("g3", &who, 30, Some(200))).await;
    assert_eq!(held(&node, &who).await, [grant("g3", 200), grant("g1", 30)]);
    let ended = contract("", &keys("a", "", "card"), 40, None);
    register(&node, "three", ended.clone()).await;
    assert_eq!(held(&node, &who).await, [grant("g3", 40), grant("g1", 30)]);
    let caller = local();
    let permit = permit(&caller, Action::ChangeConsent);
    let nothing = node.documents.change_grant(&permit, ended, entry("x")).await.unwrap();
    assert!(!nothing, "there is none to end any more");
    // A database from before this was known to a clinic registers in the words of before.
    sqlx::query("DELETE FROM relation_grant").execute(&node.documents.writer).await.unwrap();
    let again = contract("g4", &who, 50, Some(300));
    assert_eq!(register(&node, "three", again).await, Submitted::Known(3));
    assert_eq!(held(&node, &who).await, [grant("g4", 300)]);
}

/// A version of a record, with whom and what it speaks of.
struct Said {
    name: &'static str,
    version: u32,
    body: &'static str,
    keys: PersonKeys,
    sender: &'static str,
    author: &'static str,
    replaces: &'static str,
    withdrawn: bool,
}

fn said(name: &'static str, version: u32, body: &'static str, replaces: &'static str) -> Said {
    let (sender, author) = ("county", "hospital");
    let keys = keys("a", "id", "");
    Said { name, version, body, keys, sender, author, replaces, withdrawn: false }
}

async fn keep(node: &Node, said: &Said, sent_for: Option<SentFor>) {
    let cursor = node.documents.hello().await.unwrap().inbox;
    let document = document(said.name, said.version, said.body);
    let cursor = cursor.after(&document.sha256);
    let task = NewTask {
        id: format!("task of {}", said.name),
        due_day: String::new(),
        urgent: false,
        task_json: "{}".to_owned(),
    };
    let arrived = Arrived {
        document,
        indexed: Indexed {
            format: "test",
            patient: said.keys.name.clone(),
            person: said.keys.resident.clone(),
            keys: said.keys.clone(),
            sender: said.sender.to_owned(),
            author: said.author.to_owned(),
            replaces: said.replaces.to_owned(),
            withdrawn: said.withdrawn,
            summary_json: format!(r#"{{"patient": "{}"}}"#, said.keys.name),
            ..Indexed::default()
        },
        tasks: if said.withdrawn { Vec::new() } else { vec![task] },
        task: None,
        grant: None,
        sent_for,
        at_ms: 2,
    };
    node.documents.keep(cursor, arrived).await.unwrap();
}

async fn standing(node: &Node, name: &str) -> crate::app::records::ports::RecordStanding {
    node.documents.standing(name).await.unwrap().unwrap()
}

#[tokio::test]
async fn a_record_stands_by_what_its_newest_version_was_sent_for() {
    let node = Node::new().await;
    register(&node, "one", contract("g1", &keys("a", "id", ""), 1, Some(100))).await;
    keep(&node, &said("r", 1, "one", ""), None).await;
    let has = standing(&node, "r").await;
    assert_eq!((has.from_hub, has.sent_for, has.sender.as_str()), (true, None, "county"));
    assert_eq!(has.grants.len(), 1, "the contract of the same person");
    keep(&node, &said("r", 3, "three", ""), Some(SentFor::Subscription)).await;
    keep(&node, &said("r", 2, "two", ""), Some(SentFor::Village)).await;
    assert_eq!(standing(&node, "r").await.sent_for, Some(SentFor::Subscription));
    // The same document again changes nothing.
    keep(&node, &said("r", 3, "three", ""), Some(SentFor::Village)).await;
    assert_eq!(standing(&node, "r").await.sent_for, Some(SentFor::Subscription));
    // One from before, of which only one digest is known.
    sqlx::query("UPDATE document SET resident = '' WHERE name = 'r'")
        .execute(&node.documents.writer)
        .await
        .unwrap();
    let has = standing(&node, "r").await;
    assert_eq!((has.keys.only.as_str(), has.grants.len()), ("id", 1));
    // What this node makes itself was sent for nothing.
    node.submit("own", 1, "text").await;
    let own = standing(&node, "own").await;
    assert_eq!((own.from_hub, own.sent_for), (false, None));
}

#[tokio::test]
async fn a_returned_registration_gives_its_grant_back_and_its_end_takes_it() {
    let node = Node::new().await;
    let who = keys("a", "id", "");
    let back = async |version, body, grant| {
        let document = Document { kind: Kind::Registration, ..document("reg", version, body) };
        let cursor: Cursor = node.documents.hello().await.unwrap().inbox.after(&document.sha256);
        let arrived = Arrived {
            document,
            indexed: Indexed { format: "registration", ..Indexed::default() },
            tasks: Vec::new(),
            task: None,
            grant: Some(grant),
            sent_for: Some(SentFor::Returned),
            at_ms: 10,
        };
        node.documents.keep(cursor, arrived).await.unwrap();
    };
    back(1, "one", contract("g1", &who, 10, Some(100))).await;
    assert_eq!(held(&node, &who).await, [("g1".to_owned(), Some(100))]);
    back(3, "three", contract("", &who, 20, None)).await;
    assert_eq!(held(&node, &who).await, [("g1".to_owned(), Some(20))]);
    // A version that comes late brings nothing back.
    back(2, "two", contract("g2", &who, 30, Some(100))).await;
    assert_eq!(held(&node, &who).await.len(), 1);
}

async fn listed(documents: &Documents) -> Vec<String> {
    let caller = local();
    let permit = permit(&caller, Action::ReadRecords);
    let query = DocumentQuery { limit: 50, ..DocumentQuery::default() };
    let found = documents.list(&permit, Kind::Record, query, entry("")).await.unwrap();
    let count = found.len();
    let mut names = Vec::new();
    for name in ["a", "b", "c"] {
        let kept = documents.read(&permit, Kind::Record, name, None, entry(name)).await.unwrap();
        match kept {
            Some(kept) if kept.current => names.push(name.to_owned()),
            Some(kept) => assert!(!kept.replaced_by.is_empty(), "{name}"),
            None => {}
        }
    }
    assert_eq!(count, names.len(), "lists show what is current");
    names
}

async fn tasks(documents: &Documents, state: TaskState) -> Vec<String> {
    let caller = local();
    let permit = permit(&caller, Action::ReadRecords);
    let query = TaskQuery { state: Some(state), limit: 50, ..TaskQuery::default() };
    let found = documents.tasks(&permit, query, entry("")).await.unwrap();
    let mut records: Vec<String> = found.into_iter().map(|task| task.record).collect();
    records.sort();
    records
}

async fn events(documents: &Documents) -> usize {
    let events = documents.report().await.unwrap().events;
    events.iter().filter(|(_, kind)| kind == "replacement_refused").count()
}

#[tokio::test]
async fn a_record_that_another_replaces_is_superseded_in_whatever_order_they_come() {
    let all = [said("a", 1, "a1", ""), said("b", 1, "b1", "a"), said("c", 1, "c1", "b")];
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let node = Node::new().await;
        for at in order {
            keep(&node, &all[at], None).await;
        }
        let documents = &node.documents;
        assert_eq!(listed(documents).await, ["c"], "{order:?}");
        assert_eq!(tasks(documents, TaskState::Open).await, ["c"], "{order:?}");
        assert_eq!(tasks(documents, TaskState::Superseded).await, ["a", "b"], "{order:?}");
        assert_eq!(events(documents).await, 0);
        // A correction of the one that is replaced is replaced too.
        keep(&node, &said("a", 2, "a2", ""), None).await;
        assert_eq!(listed(documents).await, ["c"]);
        assert_eq!(tasks(documents, TaskState::Open).await, ["c"]);
        // Taken back it replaces nothing: what it had replaced is to be done again.
        let back = Said { withdrawn: true, ..said("b", 2, "b2", "") };
        keep(&node, &back, None).await;
        assert_eq!(listed(documents).await, ["a", "c"]);
        assert_eq!(tasks(documents, TaskState::Open).await, ["a", "c"]);
    }
}

#[tokio::test]
async fn only_a_record_of_the_same_person_node_and_institution_replaces_another() {
    let b = || said("b", 1, "b1", "a");
    for (what, other, replaces) in [
        ("the same", b(), true),
        ("another person", Said { keys: keys("a", "other", ""), ..b() }, false),
        ("another name", Said { keys: keys("x", "id", ""), ..b() }, false),
        ("nobody", Said { keys: PersonKeys::default(), ..b() }, false),
        ("another institution", Said { author: "clinic", ..b() }, false),
        ("another node", Said { sender: "elsewhere", ..b() }, false),
        ("a node that a hub of before did not name", Said { sender: "", ..b() }, true),
        ("neither known", Said { sender: "", author: "", ..b() }, false),
        ("itself taken back", Said { withdrawn: true, ..b() }, false),
    ] {
        for late in [false, true] {
            let node = Node::new().await;
            let a = said("a", 1, "a1", "");
            let order = if late { [&other, &a] } else { [&a, &other] };
            for one in order {
                keep(&node, one, None).await;
            }
            let expected: &[&str] = if replaces { &["b"] } else { &["a", "b"] };
            assert_eq!(listed(&node.documents).await, expected, "{what}, late: {late}");
            let told = !replaces && !other.withdrawn;
            assert_eq!(events(&node.documents).await, usize::from(told), "{what}, late: {late}");
        }
    }
}

#[tokio::test]
async fn records_that_say_it_of_each_other_all_stay_until_one_no_longer_does() {
    let ring = [said("a", 1, "a1", "b"), said("b", 1, "b1", "c"), said("c", 1, "c1", "a")];
    for order in [[0, 1, 2], [2, 1, 0], [1, 0, 2]] {
        let node = Node::new().await;
        for at in order {
            keep(&node, &ring[at], None).await;
        }
        assert_eq!(listed(&node.documents).await, ["a", "b", "c"], "{order:?}");
        assert_eq!(tasks(&node.documents, TaskState::Open).await, ["a", "b", "c"]);
        assert!(events(&node.documents).await > 0);
        keep(&node, &said("c", 2, "c2", ""), None).await;
        assert_eq!(listed(&node.documents).await, ["a"], "{order:?}");
    }
    // One that says it of itself is one like any other.
    let node = Node::new().await;
    keep(&node, &said("a", 1, "a1", "a"), None).await;
    assert_eq!(listed(&node.documents).await, ["a"]);
}

fn notice(id: &str, review: &str, at_ms: i64) -> NewNotice {
    NewNotice {
        id: id.to_owned(),
        record: "r".to_owned(),
        review: review.to_owned(),
        at_ms,
        until_ms: at_ms + 100,
        reader: "t".to_owned(),
        role: "local".to_owned(),
        purpose: "ETREAT",
        words: "紧急调阅".to_owned(),
    }
}

#[tokio::test]
async fn what_a_patient_is_to_be_told_stays_open_until_somebody_says_how() {
    let node = Node::new().await;
    let documents = &node.documents;
    keep(&node, &said("r", 1, "one", ""), None).await;
    let caller = local();
    let permit = permit(&caller, Action::TellPatients);
    let open = async |notice| {
        documents.open_review(&permit, None, Some(notice), entry("r")).await.unwrap();
    };
    open(notice("n1", "", 1)).await;
    // The same read goes on; a broken glass is told each time.
    open(notice("n2", "", 50)).await;
    open(notice("n3", "", 101)).await;
    open(notice("n4", "review", 102)).await;
    let ids = async |open| {
        let found = documents.notices(&permit, open, 10, entry("")).await.unwrap();
        found.into_iter().map(|notice| notice.id).collect::<Vec<_>>()
    };
    assert_eq!(ids(true).await, ["n4", "n3", "n1"]);
    assert_eq!(documents.notices_open().await.unwrap(), 3);
    let tell = async |id: &str, state| {
        let telling = Telling {
            id: id.to_owned(),
            state,
            told_ms: Some(200),
            told_by: "饶医生".to_owned(),
            note: "电话无人接".to_owned(),
        };
        documents.record_notice(&permit, telling, entry(id)).await.unwrap()
    };
    assert!(tell("n4", NoticeState::NotTold).await);
    assert_eq!(ids(true).await, ["n3", "n1"]);
    assert_eq!(ids(false).await, ["n3", "n1", "n4"], "open ones first");
    // Who could not be told is told later, and once.
    assert!(tell("n4", NoticeState::Phone).await);
    assert!(!tell("n4", NoticeState::Letter).await);
    assert!(!tell("nobody", NoticeState::Letter).await);
    let told = documents.notices(&permit, false, 10, entry("")).await.unwrap().pop().unwrap();
    assert_eq!(
        (told.state, told.told_ms, told.told_by.as_str()),
        (NoticeState::Phone, 200, "饶医生")
    );
    assert_eq!((told.patient.as_str(), told.review.as_str()), ("a", "review"));
    assert_eq!((told.noted_by.as_str(), documents.notices_open().await.unwrap()), ("t", 2));
}

#[tokio::test]
async fn records_from_before_are_told_apart_by_what_they_say() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.db");
    let mut connection = options(&path).connect().await.unwrap();
    migrator(&MIGRATIONS[..6]).run(&mut connection).await.unwrap();
    let reading = |stay: &str, replaces: &str| {
        format!(r#"{{"record": {{"document": {{"replaces": "{replaces}"}}, "stay": {stay}}}}}"#)
    };
    let code = r#"{"institution": "县医院", "institution_code": " x1 ",
        "discharged": "2026-11-18T15:00+08:00"}"#;
    for (name, reading) in [
        ("a", reading(code, "")),
        ("b", reading(r#"{"institution": " 县医院A ", "discharged": "2026-11"}"#, "a")),
        ("c", String::new()),
    ] {
        sqlx::query(
            "INSERT INTO document (kind, name, version, media_type, sha256, sm3, body, format, \
             reading_json, summary_json, patient, person, withdrawn, current, origin, problem, \
             received_ms) VALUES ('record', ?1, 1, '', zeroblob(32), zeroblob(32), zeroblob(1), '', ?2, '', \
             'a', 'id', 0, 1, 'hub', '', 1)",
        )
        .bind(name)
        .bind(reading)
        .execute(&mut connection)
        .await
        .unwrap();
    }
    connection.close().await.unwrap();
    drop(SqliteStore::open(&path, 16, &TaskTracker::new()).await.unwrap());
    let documents = Documents::open(&path, "first").await.unwrap();
    let said = "SELECT name, author, replaces, discharged FROM document ORDER BY name";
    let rows: Vec<(String, String, String, String)> =
        sqlx::query_as(said).fetch_all(&documents.readers).await.unwrap();
    let rows: Vec<_> = rows.iter().map(|(n, a, r, d)| (&**n, &**a, &**r, &**d)).collect();
    let expected = [("a", "X1", "", "2026-11-18"), ("b", "县医院a", "a", ""), ("c", "", "", "")];
    assert_eq!(rows, expected);
    // A correction of today replaces the one from before, in the words of which it is the same person.
    let node = Node { documents, folder };
    keep(&node, &Said { author: "X1", ..said_of("d", "a") }, Some(SentFor::Village)).await;
    let has = standing(&node, "a").await;
    assert_eq!((has.sent_for, has.keys.only.as_str()), (None, "id"));
    assert_eq!(listed_names(&node.documents).await, ["d", "c", "b"]);
}

#[tokio::test]
async fn where_people_live_is_known_from_registrations_that_hold_and_records() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.db");
    let mut connection = options(&path).connect().await.unwrap();
    migrator(&MIGRATIONS[..16]).run(&mut connection).await.unwrap();
    let registration = |division: &str, until_ms: &str| {
        format!(
            r#"{{"until_ms": {until_ms}, "person": {{"name": " a ", "division": "{division}"}}}}"#
        )
    };
    let record = r#"{"record": {"patient": {"address": {"division": "361104"}}}}"#;
    for (name, kind, body, reading, resident, withdrawn) in [
        ("holds", "registration", registration("361104204201", "null"), "", "x", 0),
        ("until", "registration", registration("361104204202", "11"), "", "x", 0),
        ("past", "registration", registration("361104204203", "10"), "", "x", 0),
        ("ended", "registration", registration("361104204204", "null"), "", "x", 1),
        ("another", "registration", registration("361104204205", "null"), "", "y", 0),
        ("broken", "registration", "{".to_owned(), "", "x", 0),
        ("record", "record", String::new(), record, "x", 0),
    ] {
        // What this node knew before people could be found by their registration.
        let patient = if kind == "record" { "a" } else { "" };
        sqlx::query(
            "INSERT INTO document (kind, name, version, media_type, sha256, sm3, body, format, \
             reading_json, summary_json, patient, person, withdrawn, current, origin, problem, \
             received_ms, resident) VALUES (?1, ?2, 1, '', zeroblob(32), zeroblob(32), ?3, '', ?4, '', \
             ?5, '', ?6, 1, 'own', '', 1, ?7)",
        )
        .bind(kind)
        .bind(name)
        .bind(body.as_bytes())
        .bind(reading)
        .bind(patient)
        .bind(withdrawn)
        .bind(resident)
        .execute(&mut connection)
        .await
        .unwrap();
    }
    connection.close().await.unwrap();
    drop(SqliteStore::open(&path, 16, &TaskTracker::new()).await.unwrap());
    let documents = Documents::open(&path, "first").await.unwrap();
    let homes = async |keys: &PersonKeys| {
        let homes = documents.homes(keys, 10).await.unwrap();
        let mut divisions: Vec<String> = homes.into_iter().map(|home| home.division).collect();
        divisions.sort();
        divisions
    };
    let here = ["361104", "361104204201", "361104204202"];
    assert_eq!(homes(&keys("a", "x", "")).await, here);
    assert_eq!(homes(&keys("b", "x", "")).await, [""; 0], "a borrowed card");
    assert_eq!(homes(&keys("a", "z", "")).await, [""; 0]);
}

fn said_of(name: &'static str, replaces: &'static str) -> Said {
    said(name, 1, "text", replaces)
}

async fn listed_names(documents: &Documents) -> Vec<String> {
    let current =
        "SELECT name FROM document WHERE current = 1 AND replaced_by = '' ORDER BY seq DESC";
    sqlx::query_scalar(current).fetch_all(&documents.readers).await.unwrap()
}

#[tokio::test]
async fn references_show_what_replaces_a_record_and_when() {
    let node = Node::new().await;
    let documents = &node.documents;
    keep(&node, &said("a", 1, "a1", ""), None).await;
    let refer = async |id: &str, document, subject| {
        let new = NewReference {
            document,
            id: id.to_owned(),
            subject,
            particulars: b"p".to_vec(),
            identifiers: Vec::new(),
        };
        documents.refer(new).await.unwrap()
    };
    assert_eq!(refer("id-a", 1, Subject::New).await, [1]);
    assert_eq!(documents.particulars(None).await.unwrap().len(), 1);
    keep(&node, &said("b", 1, "b1", "a"), None).await;
    sqlx::query("UPDATE document SET received_ms = 9 WHERE name = 'b'")
        .execute(&documents.writer)
        .await
        .unwrap();
    // The person of the record that is replaced is looked at again.
    let mut persons = refer("id-b", 2, Subject::New).await;
    persons.sort_unstable();
    assert_eq!(persons, [1, 2]);
    assert_eq!(documents.particulars(Some(1)).await.unwrap().len(), 0);
    assert_eq!(documents.particulars(Some(2)).await.unwrap().len(), 1);
    assert!(documents.reading_of(1).await.unwrap().is_none());
    let find = async |standing| {
        let query = ReferenceQuery {
            standings: Some(vec![standing]),
            limit: 10,
            ..ReferenceQuery::default()
        };
        let matching = documents.matching(query.clone(), 10).await.unwrap();
        assert_eq!((matching.len(), matching[0].references), (1, 1));
        let mut found = documents.search(query).await.unwrap();
        assert_eq!(found.len(), 1);
        found.remove(0)
    };
    let (current, before) = (find(Standing::Current).await, find(Standing::Superseded).await);
    assert_eq!((current.id.as_str(), current.replaces.as_deref()), ("id-b", Some("id-a")));
    assert_eq!((before.id.as_str(), before.replaces, before.updated_ms), ("id-a", None, 9));
}
