//! One set of tasks for the records of one stay.

use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use sqlx::Row as _;

use super::{Node, entry};
use crate::app::access::{Action, Caller, authorise};
use crate::app::records::person::PersonKeys;
use crate::app::records::ports::{
    Arrived, DocumentStore as _, Indexed, NewDocument, NewTask, Submitted, TaskChange, TaskQuery,
    TaskState,
};
use crate::app::records::tasks::TaskBody;
use crate::sharing::discharge::{Format, Task};
use crate::sharing::exchange::{Document, Kind};

/// A version of a record that comes.
#[derive(Clone, Copy)]
struct Came {
    name: &'static str,
    version: u32,
    format: Format,
    day: &'static str,
    person: &'static str,
    sender: &'static str,
    replaces: &'static str,
    withdrawn: bool,
    rules: &'static [&'static str],
}

const SUMMARY: Came = Came {
    name: "summary",
    version: 1,
    format: Format::CdaDischargeSummary,
    day: "2026-11-18",
    person: "one",
    sender: "county",
    replaces: "",
    withdrawn: false,
    rules: &["visit", "medicines"],
};
const FRONT: Came =
    Came { name: "front", format: Format::CdaWst500_32, rules: &["visit", "phone"], ..SUMMARY };

fn task(record: &str, rule: &str) -> NewTask {
    let json = format!(
        r#"{{"id": "{rule}", "rule": "{rule}", "programmes": ["stroke"], "kind": "visit",
            "earliest": null, "due": "2026-12-02", "wording_zh": "{rule}", "reasons": [],
            "targets": []}}"#
    );
    assert!(serde_json::from_str::<Task>(&json).is_ok(), "{json}");
    let id = format!("{record}/{rule}");
    NewTask { id, due_day: "2026-12-02".to_owned(), urgent: false, task_json: json }
}

async fn keep(node: &Node, came: Came) {
    let body = Bytes::from(format!("{} {} {} {}", came.name, came.version, came.day, came.person));
    let document = Document {
        kind: Kind::Record,
        name: came.name.to_owned(),
        version: came.version,
        media_type: "text/plain".to_owned(),
        sha256: Sha256::digest(&body).into(),
        body,
    };
    let cursor = node.documents.hello().await.unwrap().inbox.after(&document.sha256);
    let keys = PersonKeys {
        name: "a".to_owned(),
        resident: came.person.to_owned(),
        // A family's, which is borrowed.
        card: "family".to_owned(),
        ..PersonKeys::default()
    };
    let rules = if came.withdrawn { &[] } else { came.rules };
    let arrived = Arrived {
        document,
        indexed: Indexed {
            format: came.format.name(),
            patient: keys.name.clone(),
            person: keys.resident.clone(),
            keys,
            sender: came.sender.to_owned(),
            author: "hospital".to_owned(),
            replaces: came.replaces.to_owned(),
            discharged: came.day.to_owned(),
            programmes: vec!["stroke".to_owned()],
            withdrawn: came.withdrawn,
            ..Indexed::default()
        },
        tasks: rules.iter().map(|rule| task(came.name, rule)).collect(),
        task: None,
        grant: None,
        sent_for: None,
        at_ms: 2,
    };
    node.documents.keep(cursor, arrived).await.unwrap();
}

/// Somebody elsewhere says how a task stands.
async fn said(node: &Node, record: &str, id: &str, state: TaskState) {
    let body = TaskBody {
        task: id.to_owned(),
        state,
        note: String::new(),
        by: "b@elsewhere".to_owned(),
        at_ms: 3,
    };
    let bytes = Bytes::from(serde_json::to_vec(&body).unwrap());
    let document = Document {
        kind: Kind::Task,
        name: format!("{record}#{id}"),
        version: 1,
        media_type: "application/json".to_owned(),
        sha256: Sha256::digest(&bytes).into(),
        body: bytes,
    };
    let cursor = node.documents.hello().await.unwrap().inbox.after(&document.sha256);
    let arrived = Arrived {
        document,
        indexed: Indexed { format: "task", ..Indexed::default() },
        tasks: Vec::new(),
        task: Some(body.change(1)),
        grant: None,
        sent_for: None,
        at_ms: 4,
    };
    node.documents.keep(cursor, arrived).await.unwrap();
}

/// Somebody here says that a task is done.
async fn done_here(node: &Node, record: &str, id: &str, seen: u32) -> Submitted {
    let caller = Caller::local("t");
    let permit = authorise(&caller, Action::ChangeTasks).unwrap();
    let body = Bytes::from(format!("{id} {seen}"));
    let change = TaskChange {
        id: id.to_owned(),
        revision: seen + 1,
        state: TaskState::Done,
        note: String::new(),
        by: "t@here".to_owned(),
    };
    let new = NewDocument {
        document: Document {
            kind: Kind::Task,
            name: format!("{record}#{id}"),
            version: seen + 1,
            media_type: "application/json".to_owned(),
            sha256: Sha256::digest(&body).into(),
            body,
        },
        indexed: Indexed { format: "task", ..Indexed::default() },
        task: Some(change),
        grant: None,
        at_ms: 5,
    };
    node.documents.submit(&permit, new, entry(id)).await.unwrap()
}

async fn of_state(node: &Node, state: TaskState) -> Vec<(String, String)> {
    let caller = Caller::local("t");
    let permit = authorise(&caller, Action::ReadRecords).unwrap();
    let query = TaskQuery { state: Some(state), limit: 50, ..TaskQuery::default() };
    let found = node.documents.tasks(&permit, query, entry("")).await.unwrap();
    let mut ids: Vec<_> = found.into_iter().map(|task| (task.id, task.covered_by)).collect();
    ids.sort();
    ids
}

async fn open(node: &Node) -> Vec<String> {
    of_state(node, TaskState::Open).await.into_iter().map(|(id, _)| id).collect()
}

const BOTH: [&str; 3] = ["front/phone", "summary/medicines", "summary/visit"];

#[tokio::test]
async fn two_records_of_one_stay_make_one_set_of_visits_in_either_order() {
    for order in [[SUMMARY, FRONT], [FRONT, SUMMARY]] {
        let node = Node::new().await;
        for came in order {
            keep(&node, came).await;
        }
        assert_eq!(open(&node).await, BOTH);
        let covered = of_state(&node, TaskState::Superseded).await;
        assert_eq!(covered, [("front/visit".to_owned(), "summary".to_owned())]);
    }
}

#[tokio::test]
async fn other_people_days_and_nodes_make_another_stay() {
    for other in [
        Came { person: "two", ..FRONT },
        Came { day: "2026-11-17", ..FRONT },
        Came { day: "", ..FRONT },
        Came { sender: "elsewhere", ..FRONT },
    ] {
        let node = Node::new().await;
        keep(&node, SUMMARY).await;
        keep(&node, other).await;
        assert_eq!(open(&node).await.len(), 4);
    }
}

#[tokio::test]
async fn a_record_that_is_taken_back_takes_no_visit_of_the_other() {
    let node = Node::new().await;
    keep(&node, FRONT).await;
    keep(&node, SUMMARY).await;
    keep(&node, Came { version: 2, withdrawn: true, ..SUMMARY }).await;
    assert_eq!(open(&node).await, ["front/phone", "front/visit"]);
    // Given back it stands for the other's again.
    keep(&node, Came { version: 3, ..SUMMARY }).await;
    assert_eq!(open(&node).await, BOTH);
    keep(&node, Came { version: 2, withdrawn: true, ..FRONT }).await;
    assert_eq!(open(&node).await, ["summary/medicines", "summary/visit"]);
}

#[tokio::test]
async fn a_correction_of_the_day_or_of_the_patient_parts_what_was_together() {
    for corrected in [
        Came { version: 2, day: "2026-11-20", ..SUMMARY },
        Came { version: 2, day: "", ..SUMMARY },
        Came { version: 2, person: "two", ..SUMMARY },
    ] {
        let node = Node::new().await;
        keep(&node, FRONT).await;
        keep(&node, SUMMARY).await;
        keep(&node, corrected).await;
        assert_eq!(open(&node).await.len(), 4);
        // And the other way round: what was apart comes together.
        keep(&node, Came { version: 3, ..SUMMARY }).await;
        assert_eq!(open(&node).await, BOTH);
        // An older version that comes late changes nothing.
        keep(&node, Came { version: 2, day: "2026-11-21", ..FRONT }).await;
        keep(&node, Came { version: 3, ..FRONT }).await;
        assert_eq!(open(&node).await, BOTH);
    }
}

#[tokio::test]
async fn a_record_that_is_replaced_stands_for_nothing() {
    let node = Node::new().await;
    keep(&node, FRONT).await;
    keep(&node, SUMMARY).await;
    // The front sheet is replaced by one of another stay, as its sender says.
    let other = Came { name: "other", replaces: "front", day: "2026-11-25", ..FRONT };
    keep(&node, other).await;
    let rest = ["other/phone", "other/visit", "summary/medicines", "summary/visit"];
    assert_eq!(open(&node).await, rest);
    keep(&node, Came { version: 2, withdrawn: true, ..SUMMARY }).await;
    assert_eq!(open(&node).await, ["other/phone", "other/visit"], "the front sheet is replaced");
    keep(&node, Came { version: 2, withdrawn: true, ..other }).await;
    assert_eq!(open(&node).await, ["front/phone", "front/visit"]);
    keep(&node, Came { version: 3, ..SUMMARY }).await;
    assert_eq!(open(&node).await, BOTH);
}

#[tokio::test]
async fn a_visit_that_was_done_under_one_record_is_done_under_the_other() {
    // Done here under the front sheet before the summary comes.
    let node = Node::new().await;
    keep(&node, FRONT).await;
    assert_eq!(done_here(&node, "front", "front/visit", 0).await, Submitted::Kept(1));
    keep(&node, SUMMARY).await;
    assert_eq!(open(&node).await, ["front/phone", "summary/medicines"]);
    // Where both were there, and it comes from elsewhere that the covered one was done.
    let other = Node::new().await;
    keep(&other, FRONT).await;
    keep(&other, SUMMARY).await;
    said(&other, "front", "front/visit", TaskState::Done).await;
    assert_eq!(open(&other).await, ["front/phone", "summary/medicines"]);
    for node in [&node, &other] {
        let covered = of_state(node, TaskState::Superseded).await;
        assert_eq!(covered, [("summary/visit".to_owned(), "front".to_owned())]);
        assert_eq!(of_state(node, TaskState::Done).await[0].0, "front/visit");
    }
    // Somebody does the covered one all the same: both are done.
    assert_eq!(done_here(&node, "summary", "summary/visit", 0).await, Submitted::Kept(1));
    assert_eq!(of_state(&node, TaskState::Done).await.len(), 2);
    // What was said before its record came counts when it does.
    let late = Node::new().await;
    said(&late, "front", "front/visit", TaskState::Done).await;
    keep(&late, SUMMARY).await;
    assert_eq!(open(&late).await, ["summary/medicines", "summary/visit"]);
    keep(&late, FRONT).await;
    assert_eq!(open(&late).await, ["front/phone", "summary/medicines"]);
}

#[tokio::test]
async fn others_of_one_name_card_and_day_do_not_take_the_room() {
    let node = Node::new().await;
    keep(&node, Came { name: "z summary", ..SUMMARY }).await;
    for number in 0..300 {
        let leak = |text: String| -> &'static str { text.leak() };
        let (name, person) = (leak(format!("other {number:03}")), leak(format!("p{number}")));
        keep(&node, Came { name, person, rules: &[], ..SUMMARY }).await;
    }
    keep(&node, Came { name: "z front", ..FRONT }).await;
    let open = open(&node).await;
    assert_eq!(open.iter().filter(|id| id.ends_with("/visit")).count(), 1, "{open:?}");
}

/// A thousand people of one name who went home on one day made every arrival go through all of them and
/// through all programmes, for each of them.
#[tokio::test]
async fn no_arrival_goes_through_all_that_came_before() {
    let node = Node::new().await;
    for sql in super::super::stays::STATEMENTS {
        let sql = format!("EXPLAIN QUERY PLAN {sql}");
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql)).fetch_all(&node.documents.readers).await;
        let steps: Vec<String> =
            rows.unwrap().iter().map(|row| row.get::<String, _>("detail")).collect();
        assert!(
            !steps.is_empty() && !steps.iter().any(|step| step.starts_with("SCAN")),
            "{steps:?}"
        );
    }
}
