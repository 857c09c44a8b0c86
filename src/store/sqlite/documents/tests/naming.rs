//! Whose the name of a record is, at a node.

use super::{Node, document, entry};
use crate::app::access::{Action, Caller, authorise};
use crate::app::records::person::PersonKeys;
use crate::app::records::ports::{
    Arrived, DocumentStore as _, Indexed, NameTaken, NewDocument, NewTask, Submitted,
};
use crate::sharing::exchange::SentFor;

fn whose(name: &str, resident: &str, born: &str) -> Indexed {
    let keys = PersonKeys {
        name: name.to_owned(),
        resident: resident.to_owned(),
        born: born.to_owned(),
        ..PersonKeys::default()
    };
    Indexed {
        format: "test",
        patient: name.to_owned(),
        person: resident.to_owned(),
        keys,
        sender: "here".to_owned(),
        author: "hospital".to_owned(),
        summary_json: r#"{"name":"r","version":1}"#.to_owned(),
        ..Indexed::default()
    }
}

async fn submit(node: &Node, version: u32, body: &'static str, indexed: Indexed) -> Submitted {
    let caller = Caller::local("t");
    let permit = authorise(&caller, Action::SubmitRecords).unwrap();
    let document = document("r", version, body);
    let new = NewDocument { document, indexed, task: None, grant: None, at_ms: 1 };
    node.documents.submit(&permit, new, entry("r")).await.unwrap()
}

async fn came(node: &Node, version: u32, body: &'static str, indexed: Indexed) {
    let document = document("r", version, body);
    let cursor = node.documents.hello().await.unwrap().inbox.after(&document.sha256);
    let task = NewTask {
        id: "task of r".to_owned(),
        due_day: String::new(),
        urgent: false,
        task_json: "{}".to_owned(),
    };
    let arrived = Arrived {
        document,
        indexed,
        tasks: vec![task],
        task: None,
        grant: None,
        sent_for: Some(SentFor::Village),
        at_ms: 2,
    };
    node.documents.keep(cursor, arrived).await.unwrap();
}

/// Names and versions of current records, the newest first.
async fn names(node: &Node) -> Vec<(String, u32)> {
    let sql = "SELECT name, version FROM document WHERE current = 1 ORDER BY seq DESC";
    sqlx::query_as(sql).fetch_all(&node.documents.readers).await.unwrap()
}

#[tokio::test]
async fn without_a_version_a_number_stays_the_same_persons() {
    let node = Node::new().await;
    let taken = Submitted::NameTaken(NameTaken::OtherPatient);
    assert_eq!(submit(&node, 0, "1", whose("a", "id", "a 1957")).await, Submitted::Kept(1));
    for (body, other) in [
        ("2", whose("b", "other", "b 1981")),
        ("3", whose("a", "other", "")),
        ("4", whose("a", "", "a 1981")),
    ] {
        assert_eq!(submit(&node, 0, body, other).await, taken, "{body}");
    }
    // A mistyped name, a mistyped number, one that is not known any more.
    assert_eq!(submit(&node, 0, "5", whose("b", "id", "b 1957")).await, Submitted::Kept(2));
    assert_eq!(submit(&node, 0, "6", whose("b", "new", "b 1957")).await, Submitted::Kept(3));
    assert_eq!(submit(&node, 0, "7", whose("b", "", "")).await, Submitted::Kept(4));
    // Who says which version it is, or that it replaces it, means it.
    let other = whose("c", "c", "c 1990");
    assert_eq!(submit(&node, 0, "8", other.clone()).await, taken);
    let replaces = Indexed { replaces_itself: true, ..other.clone() };
    assert_eq!(submit(&node, 0, "8", replaces).await, Submitted::Kept(5));
    assert_eq!(submit(&node, 9, "9", whose("d", "d", "")).await, Submitted::Kept(9));
    // Said again it is what it was.
    assert_eq!(submit(&node, 0, "1", whose("a", "id", "a 1957")).await, Submitted::Known(1));
    // A refusal is in the trail.
    let refused: i64 =
        sqlx::query_scalar("SELECT count(*) FROM audit WHERE outcome = 'name_taken'")
            .fetch_one(&node.documents.readers)
            .await
            .unwrap();
    assert_eq!(refused, 4);
}

#[tokio::test]
async fn a_number_stays_its_institutions() {
    let node = Node::new().await;
    let taken = Submitted::NameTaken(NameTaken::OtherInstitution);
    let by = |author: &str, indexed: Indexed| Indexed { author: author.to_owned(), ..indexed };
    submit(&node, 1, "1", whose("a", "id", "")).await;
    assert_eq!(submit(&node, 2, "2", by("other", whose("b", "b", ""))).await, taken);
    assert_eq!(submit(&node, 2, "2", by("right", whose("a", "id", ""))).await, Submitted::Kept(2));
    assert_eq!(submit(&node, 3, "3", by("", whose("b", "b", ""))).await, Submitted::Kept(3));
    // What came from another node is not this one's to correct; what this node lost and got back is.
    let node = Node::new().await;
    let county = Indexed { sender: "county".to_owned(), ..whose("a", "id", "") };
    came(&node, 1, "1", county).await;
    assert_eq!(submit(&node, 2, "2", whose("a", "id", "")).await, taken);
    let node = Node::new().await;
    came(&node, 1, "1", whose("a", "id", "")).await;
    assert_eq!(submit(&node, 2, "2", whose("a", "id", "")).await, Submitted::Kept(2));
}

#[tokio::test]
async fn what_comes_under_a_number_of_this_node_is_kept_beside_it_once() {
    let node = Node::new().await;
    submit(&node, 1, "mine", whose("a", "id", "")).await;
    let county = Indexed { sender: "county".to_owned(), ..whose("b", "b", "") };
    // The same version with other content, a higher one, and the first one again.
    for (version, body) in [(1, "theirs"), (2, "theirs 2"), (1, "theirs")] {
        came(&node, version, body, county.clone()).await;
    }
    let beside = "r@county".to_owned();
    assert_eq!(names(&node).await, [(beside.clone(), 2), ("r".to_owned(), 1)]);
    let shown: Vec<String> =
        sqlx::query_scalar("SELECT summary_json FROM document WHERE current = 1 ORDER BY seq")
            .fetch_all(&node.documents.readers)
            .await
            .unwrap();
    let [mine, theirs] = &*shown else { panic!("{shown:?}") };
    assert!(mine.contains(r#""name":"r""#) && theirs.contains(r#""name":"r@county""#), "{shown:?}");
    let events = node.documents.report().await.unwrap().events;
    assert_eq!(events.iter().filter(|(_, kind)| kind == "name_taken").count(), 2);
    // Its tasks have the ids that they have elsewhere.
    let task: (String, String) = sqlx::query_as("SELECT id, record FROM task")
        .fetch_one(&node.documents.readers)
        .await
        .unwrap();
    assert_eq!(task, ("task of r".to_owned(), beside));
    // What this node had sent and gets back is its own.
    came(&node, 2, "mine 2", whose("a", "id", "")).await;
    assert_eq!(names(&node).await[0], ("r".to_owned(), 2));
}
