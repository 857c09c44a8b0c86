//! What a node's database promises: see `app::records::ports`.

mod naming;
mod relations;
mod stays;

use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use tokio_util::task::TaskTracker;

use super::Documents;
use crate::app::access::{Action, Caller, authorise};
use crate::app::ports::AuditEntry;
use crate::app::records::ports::{
    Arrived, ConsentSaid, DocumentStore as _, Indexed, NewDocument, NewTask, Submitted, TakenBack,
    TaskQuery, TaskState,
};
use crate::sharing::exchange::{Cursor, Document, Kind, Outcome};
use crate::store::sqlite::SqliteStore;

struct Node {
    documents: Documents,
    folder: tempfile::TempDir,
}

impl Node {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.db");
        // Brings the schema up to date.
        drop(SqliteStore::open(&path, 16, &TaskTracker::new()).await.unwrap());
        let documents = Documents::open(&path, "first").await.unwrap();
        Self { documents, folder }
    }

    async fn submit(&self, name: &str, version: u32, body: &'static str) -> Submitted {
        let caller = Caller::local("t");
        let permit = authorise(&caller, Action::SubmitRecords).unwrap();
        let new = NewDocument {
            document: document(name, version, body),
            indexed: Indexed { format: "test", ..Indexed::default() },
            task: None,
            grant: None,
            at_ms: 1,
        };
        self.documents.submit(&permit, new, entry(name)).await.unwrap()
    }

    async fn waiting(&self, after: u64, now_ms: i64) -> Vec<u64> {
        let (found, whole) = self.documents.outbox(after, 10, now_ms).await.unwrap();
        assert!(whole);
        found.into_iter().map(|(number, _)| number).collect()
    }

    async fn keep(&self, cursor: Cursor, document: Document, tasks: &[&str]) -> Cursor {
        let cursor = cursor.after(&document.sha256);
        let tasks = tasks.iter().map(|id| NewTask {
            id: (*id).to_owned(),
            due_day: String::new(),
            urgent: false,
            task_json: "{}".to_owned(),
        });
        let arrived = Arrived {
            document,
            indexed: Indexed { format: "test", ..Indexed::default() },
            tasks: tasks.collect(),
            task: None,
            grant: None,
            sent_for: None,
            at_ms: 2,
        };
        self.documents.keep(cursor, arrived).await.unwrap();
        cursor
    }

    async fn open_tasks(&self) -> Vec<String> {
        let caller = Caller::local("t");
        let permit = authorise(&caller, Action::ReadRecords).unwrap();
        let query = TaskQuery { state: Some(TaskState::Open), limit: 10, ..TaskQuery::default() };
        let found = self.documents.tasks(&permit, query, entry("")).await.unwrap();
        found.into_iter().map(|task| task.id).collect()
    }

    async fn audited(&self) -> i64 {
        let count = sqlx::query_scalar("SELECT count(*) FROM audit");
        count.fetch_one(&self.documents.readers).await.unwrap()
    }
}

fn entry(name: &str) -> AuditEntry {
    AuditEntry {
        at_ms: 1,
        record_id: name.to_owned(),
        patient_reference: String::new(),
        outcome: "ok",
        detail: String::new(),
    }
}

fn document(name: &str, version: u32, body: &'static str) -> Document {
    Document {
        kind: Kind::Record,
        name: name.to_owned(),
        version,
        media_type: "text/plain".to_owned(),
        sha256: Sha256::digest(body).into(),
        body: Bytes::from(body),
    }
}

#[tokio::test]
async fn a_version_has_one_content_and_what_is_there_is_not_handed_over_again() {
    let node = Node::new().await;
    assert_eq!(node.submit("a", 1, "one").await, Submitted::Kept(1));
    assert_eq!(node.submit("a", 1, "one").await, Submitted::Known(1));
    assert_eq!(node.submit("a", 1, "other").await, Submitted::Conflict(1));
    assert_eq!(node.submit("a", 0, "next").await, Submitted::Kept(2));
    assert_eq!(node.submit("a", 0, "one").await, Submitted::Known(1));
    assert_eq!(node.waiting(0, 0).await, [1, 2]);
    // Each of them is in the audit trail, those that changed nothing included.
    assert_eq!(node.audited().await, 5);
    assert_eq!(node.documents.hello().await.unwrap().last, 2);
}

#[tokio::test]
async fn what_the_hub_refuses_waits_shows_why_and_blocks_nothing() {
    let node = Node::new().await;
    for name in ["a", "b", "c"] {
        node.submit(name, 1, "text").await;
    }
    let refused = || Outcome::Refused { code: "bad".to_owned(), reason: "why".to_owned() };
    node.documents.settle(1, refused(), 1_000).await.unwrap();
    node.documents.settle(2, Outcome::Kept(7), 1_000).await.unwrap();
    assert_eq!(node.waiting(2, 1_000).await, [3]);
    assert_eq!(node.waiting(3, 60_999).await, [0_u64; 0], "a minute has not passed");
    assert_eq!(node.waiting(3, 61_000).await, [1]);
    // Each time it waits twice as long, and it is never given up.
    node.documents.settle(1, refused(), 61_000).await.unwrap();
    assert_eq!(node.waiting(3, 180_999).await, [0_u64; 0]);
    assert_eq!(node.waiting(3, 181_000).await, [1]);
    let report = node.documents.report().await.unwrap();
    assert_eq!((report.waiting, report.stuck.len()), (2, 1));
    let stuck = &report.stuck[0];
    assert_eq!((stuck.number, stuck.attempts, &*stuck.code, &*stuck.reason), (1, 2, "bad", "why"));
    let position = node.documents.hello().await.unwrap().position;
    assert_eq!((position.number, position.sha256), (7, Sha256::digest("text").into()));
    // The hub was set back: everything is to be sent again, at once.
    node.documents.unsettle(62_000).await.unwrap();
    assert_eq!(node.waiting(0, 62_000).await, [1, 2, 3]);
    assert_eq!(node.documents.hello().await.unwrap().position.number, 0);
}

#[tokio::test]
async fn what_comes_twice_is_kept_once_and_the_cursor_goes_on() {
    let node = Node::new().await;
    let first = node.keep(Cursor::default(), document("r", 1, "one"), &["t1", "t2"]).await;
    let second = node.keep(first, document("r", 1, "one"), &["t1", "t2"]).await;
    assert_eq!(node.documents.hello().await.unwrap().inbox, second);
    assert_eq!(node.open_tasks().await, ["t1", "t2"]);
    let count = "SELECT count(*) FROM document";
    let count: i64 = sqlx::query_scalar(count).fetch_one(&node.documents.readers).await.unwrap();
    assert_eq!(count, 1);
    // A newer version asks for something else; one that comes late changes nothing.
    let third = node.keep(second, document("r", 3, "three"), &["t2", "t3"]).await;
    assert_eq!(node.open_tasks().await, ["t2", "t3"]);
    let last = node.keep(third, document("r", 2, "two"), &["t1"]).await;
    assert_eq!(node.open_tasks().await, ["t2", "t3"]);
    // What came over the link is not handed back.
    assert_eq!(node.waiting(0, 0).await, [0_u64; 0]);
    // Another content under a version that is here is not taken, is said, and does not stop the rest.
    node.keep(last, document("r", 3, "other"), &[]).await;
    let report = node.documents.report().await.unwrap();
    assert_eq!(report.inbox, 5);
    assert!(report.events.iter().any(|(_, kind)| kind == "version_conflict"));
}

#[tokio::test]
async fn the_database_keeps_its_name_until_it_takes_another() {
    let node = Node::new().await;
    let again = Documents::open(&node.folder.path().join("x.db"), "second").await.unwrap();
    assert_eq!(again.hello().await.unwrap().store, "first");
    again.renew("third".to_owned(), 5).await.unwrap();
    assert_eq!(node.documents.hello().await.unwrap().store, "third");
    let report = again.report().await.unwrap();
    assert_eq!(report.events, [(5, "renewed".to_owned())]);
}

/// What is said of consent for all records of a person, as its document.
fn consent((version, at_ms, given): (u32, i64, bool), persons: &[&str]) -> (Document, Indexed) {
    let said = ConsentSaid {
        persons: persons.iter().map(|person| (*person).to_owned()).collect(),
        record: String::new(),
        given,
        at_ms,
    };
    said_as("c", version, &said)
}

fn said_as(name: &str, version: u32, said: &ConsentSaid) -> (Document, Indexed) {
    let json = serde_json::to_string(said).unwrap();
    let body = Bytes::from(json.clone());
    let document = Document {
        kind: Kind::Consent,
        name: name.to_owned(),
        version,
        media_type: "application/json".to_owned(),
        sha256: Sha256::digest(&body).into(),
        body,
    };
    (document, Indexed { format: "consent", reading_json: json, ..Indexed::default() })
}

impl Node {
    async fn hear(&self, cursor: Cursor, (document, indexed): (Document, Indexed)) -> Cursor {
        let cursor = cursor.after(&document.sha256);
        let arrived = Arrived {
            document,
            indexed,
            tasks: Vec::new(),
            task: None,
            grant: None,
            sent_for: None,
            at_ms: 1_000,
        };
        self.documents.keep(cursor, arrived).await.unwrap();
        cursor
    }

    /// A record of person `p`.
    async fn with_record() -> (Self, Cursor) {
        let node = Self::new().await;
        let indexed = Indexed { format: "test", person: "p".to_owned(), ..Indexed::default() };
        let cursor = node.hear(Cursor::default(), (document("r", 1, "r"), indexed)).await;
        (node, cursor)
    }

    /// Since when consent is taken back now.
    async fn taken_back(&self) -> Vec<i64> {
        let standing = self.documents.standing("r").await.unwrap().unwrap();
        let open = standing.withdrawals.into_iter().filter(|(_, _, until)| until.is_none());
        open.map(|(_, from, _)| from).collect()
    }
}

#[tokio::test]
async fn the_later_word_on_consent_counts_in_whatever_order_it_comes() {
    // The last stands by its version; of one version by its time.
    for (last, others) in [
        ((3, 10, false), [(2, 30, true), (1, 20, true)]),
        ((3, 10, true), [(2, 30, false), (1, 20, false)]),
        ((2, 30, false), [(2, 20, true), (1, 40, true)]),
        ((2, 30, true), [(2, 20, false), (2, 10, false)]),
    ] {
        let all = [last, others[0], others[1]];
        for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
            let (node, mut cursor) = Node::with_record().await;
            for at in order {
                cursor = node.hear(cursor, consent(all[at], &["q", "p"])).await;
            }
            let expected = if last.2 { vec![] } else { vec![last.1] };
            assert_eq!(node.taken_back().await, expected, "{last:?} {others:?} {order:?}");
            // Said twice it is said once.
            node.hear(cursor, consent(all[2], &["q", "p"])).await;
            assert_eq!(node.taken_back().await, expected);
        }
    }
    // Somebody else's changes nothing; a clock that is ahead counts from now on.
    let (node, cursor) = Node::with_record().await;
    let cursor = node.hear(cursor, consent((1, 10, false), &["q"])).await;
    assert_eq!(node.taken_back().await, [0; 0]);
    node.hear(cursor, consent((2, 9_000, false), &["p"])).await;
    assert_eq!(node.taken_back().await, [1_000]);
}

#[tokio::test]
async fn what_is_said_here_counts_over_what_came_before_and_waits_for_the_hub() {
    let (node, cursor) = Node::with_record().await;
    node.hear(cursor, consent((7, 50, false), &["p"])).await;
    let caller = Caller::local("t");
    let permit = authorise(&caller, Action::ChangeConsent).unwrap();
    let say = async |given| {
        let (document, indexed) = consent((0, 60, given), &["p"]);
        // Under another name: it was said by another number of the person.
        let document = Document { name: "d".to_owned(), ..document };
        let new = NewDocument { document, indexed, task: None, grant: None, at_ms: 60 };
        node.documents.submit(&permit, new, entry("d")).await.unwrap()
    };
    assert_eq!(say(true).await, Submitted::Kept(8));
    assert_eq!(node.taken_back().await, [0; 0]);
    assert_eq!(say(false).await, Submitted::Kept(9));
    assert_eq!(node.taken_back().await, [60]);
    assert_eq!(node.waiting(0, 60).await.len(), 2);
}

#[tokio::test]
async fn what_a_person_took_back_and_which_versions_are_here_can_be_asked() {
    let node = Node::new().await;
    let caller = Caller::local("t");
    let permit = authorise(&caller, Action::SubmitRecords).unwrap();
    let person = |person: &str| person.to_owned();
    for (name, of) in [("a", "one"), ("b", "two")] {
        let indexed = Indexed { format: "test", person: person(of), ..Indexed::default() };
        let document = document(name, 1, "x");
        let new = NewDocument { document, indexed, task: None, grant: None, at_ms: 1 };
        node.documents.submit(&permit, new, entry(name)).await.unwrap();
    }
    let holds = async |name, version| node.documents.holds(name, version).await.unwrap();
    assert!(holds("a", 1).await && !holds("a", 2).await && !holds("c", 1).await);
    let permit = authorise(&caller, Action::ChangeConsent).unwrap();
    for (of, record, given, at_ms) in [
        ("one", "", false, 10),
        ("one", "", true, 20),
        ("one", "a", false, 30),
        ("two", "", false, 40),
    ] {
        let said = ConsentSaid { persons: vec![person(of)], record: person(record), given, at_ms };
        let (document, indexed) = said_as(&format!("{of}-{record}"), 0, &said);
        let new = NewDocument { document, indexed, task: None, grant: None, at_ms };
        node.documents.submit(&permit, new, entry(record)).await.unwrap();
    }
    let back = async |persons: &[String]| node.documents.withdrawals(persons).await.unwrap();
    let took = |record: &str, from_ms, until_ms| TakenBack {
        record: record.to_owned(),
        from_ms,
        until_ms,
    };
    let of_one = vec![took("", 10, Some(20)), took("a", 30, None)];
    assert_eq!(back(&[person("one")]).await, of_one);
    let both = [of_one, vec![took("", 40, None)]].concat();
    assert_eq!(back(&[person("one"), person("nobody"), person("two")]).await, both);
    assert_eq!(back(&[]).await, []);
}
