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
use crate::app::records::person::PersonKeys;
use crate::app::records::ports::{
    Arrived, ConsentSaid, DocumentStore as _, Indexed, NewDocument, NewTask, Submitted, TakenBack,
    TaskChange, TaskQuery, TaskState,
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
fn consent((version, at_ms, given): (u32, i64, bool), keys: &PersonKeys) -> (Document, Indexed) {
    said_as("c", version, (&of_all(given, at_ms), keys))
}

fn of_all(given: bool, at_ms: i64) -> ConsentSaid {
    let (record, by_record) = (String::new(), "r".to_owned());
    ConsentSaid { persons: Vec::new(), record, by_record, given, at_ms }
}

/// Somebody with numbers; empty: none.
fn keys(name: &str, resident: &str, card: &str) -> PersonKeys {
    PersonKeys {
        name: name.to_owned(),
        resident: resident.to_owned(),
        card: card.to_owned(),
        ..PersonKeys::default()
    }
}

fn said_as(
    name: &str,
    version: u32,
    (said, keys): (&ConsentSaid, &PersonKeys),
) -> (Document, Indexed) {
    let json = serde_json::to_string(said).unwrap();
    let body = Bytes::from(format!("{json} {} {}", keys.resident, keys.card));
    let document = Document {
        kind: Kind::Consent,
        name: name.to_owned(),
        version,
        media_type: "application/json".to_owned(),
        sha256: Sha256::digest(&body).into(),
        body,
    };
    let keys = keys.clone();
    (document, Indexed { format: "consent", reading_json: json, keys, ..Indexed::default() })
}

fn of_person(keys: &PersonKeys) -> Indexed {
    let (patient, keys) = (keys.name.clone(), keys.clone());
    Indexed { format: "test", patient, keys, ..Indexed::default() }
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

    /// A record of `甲` with both numbers.
    async fn with_record() -> (Self, Cursor) {
        let node = Self::new().await;
        let indexed = of_person(&keys("甲", "p", "q"));
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
        // By whichever number it was said.
        let both = [keys("甲", "p", "q"), keys("甲", "", "q")];
        for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
            let (node, mut cursor) = Node::with_record().await;
            for at in order {
                cursor = node.hear(cursor, consent(all[at], &both[at % 2])).await;
            }
            let expected = if last.2 { vec![] } else { vec![last.1] };
            assert_eq!(node.taken_back().await, expected, "{last:?} {others:?} {order:?}");
            // Said twice it is said once.
            node.hear(cursor, consent(all[2], &both[0])).await;
            assert_eq!(node.taken_back().await, expected);
        }
    }
    // Somebody else's changes nothing; a clock that is ahead counts from now on.
    let (node, cursor) = Node::with_record().await;
    let cursor = node.hear(cursor, consent((1, 10, false), &keys("甲", "q", ""))).await;
    assert_eq!(node.taken_back().await, [0; 0]);
    node.hear(cursor, consent((2, 9_000, false), &keys("甲", "p", ""))).await;
    assert_eq!(node.taken_back().await, [1_000]);
}

#[tokio::test]
async fn what_is_said_here_counts_over_what_came_before_and_waits_for_the_hub() {
    let (node, cursor) = Node::with_record().await;
    node.hear(cursor, consent((7, 50, false), &keys("甲", "p", ""))).await;
    let caller = Caller::local("t");
    let permit = authorise(&caller, Action::ChangeConsent).unwrap();
    let say = async |given| {
        let (document, indexed) = consent((0, 60, given), &keys("甲", "", "q"));
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

/// As the hub joins keys by the records that have them together.
#[tokio::test]
async fn what_was_said_by_one_number_counts_for_a_record_that_has_another_where_a_third_has_both() {
    for has_both in [false, true] {
        let (node, mut cursor) = (Node::new().await, Cursor::default());
        for (name, of) in [("by-id", keys("甲", "p", "")), ("by-card", keys("甲", "", "q"))] {
            cursor = node.hear(cursor, (document(name, 1, name), of_person(&of))).await;
        }
        if has_both {
            let of = keys("甲", "p", "q");
            cursor = node.hear(cursor, (document("both", 1, "both"), of_person(&of))).await;
        }
        // Somebody else of the name, with the same card: borrowed, as it has another number.
        let of = keys("甲", "other", "q");
        cursor = node.hear(cursor, (document("other", 1, "other"), of_person(&of))).await;
        node.hear(cursor, consent((1, 50, false), &keys("甲", "p", ""))).await;
        let back = async |name| {
            let standing = node.documents.standing(name).await.unwrap().unwrap();
            standing.withdrawals.len()
        };
        assert_eq!(back("by-id").await, 1);
        assert_eq!(back("by-card").await, usize::from(has_both));
        assert_eq!(back("other").await, 0);
    }
}

#[tokio::test]
async fn what_a_person_took_back_and_which_versions_are_here_can_be_asked() {
    let node = Node::new().await;
    let caller = Caller::local("t");
    let permit = authorise(&caller, Action::SubmitRecords).unwrap();
    let person = |of: &str| keys("甲", of, "");
    for (name, of) in [("a", "one"), ("b", "two")] {
        let indexed = of_person(&person(of));
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
        let said = ConsentSaid { record: record.to_owned(), ..of_all(given, at_ms) };
        let (document, indexed) = said_as(&format!("{of}-{record}"), 0, (&said, &person(of)));
        let new = NewDocument { document, indexed, task: None, grant: None, at_ms };
        node.documents.submit(&permit, new, entry(record)).await.unwrap();
    }
    let back = async |of: &PersonKeys| node.documents.withdrawals(of, &[]).await.unwrap();
    let took = |record: &str, from_ms, until_ms| TakenBack {
        record: record.to_owned(),
        from_ms,
        until_ms,
    };
    assert_eq!(back(&person("one")).await, [took("", 10, Some(20)), took("a", 30, None)]);
    assert_eq!(back(&person("two")).await, [took("", 40, None)]);
    // The number of another, and a name alone.
    assert_eq!(back(&keys("乙", "one", "")).await, []);
    assert_eq!(back(&person("nobody")).await, []);
    assert_eq!(back(&PersonKeys::default()).await, []);
    // Who wrote it down is known here.
    let standing = async |name| node.documents.standing(name).await.unwrap().unwrap().withdrawn_by;
    assert_eq!(
        (standing("a").await, standing("b").await),
        (vec!["t".to_owned()], vec!["t".to_owned()])
    );
}

/// What was taken back before the upgrade stays taken back, whatever the record says of the name.
#[tokio::test]
async fn what_was_said_before_there_were_keys_counts_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.db");
    drop(SqliteStore::open(&path, 16, &TaskTracker::new()).await.unwrap());
    let documents = Documents::open(&path, "first").await.unwrap();
    // As 0015 finds it.
    sqlx::raw_sql(
        "DROP TABLE consent_word; CREATE TABLE consent_said (person TEXT NOT NULL, \
         record TEXT NOT NULL, version INTEGER NOT NULL, at_ms INTEGER NOT NULL, \
         sha256 BLOB NOT NULL, PRIMARY KEY (person, record)) STRICT, WITHOUT ROWID; \
         INSERT INTO consent_said VALUES ('p', '', 7, 10, zeroblob(32)), ('g', '', 3, 10, zeroblob(32)); \
         INSERT INTO consent_withdrawal (person, record, from_ms, until_ms) VALUES \
         ('p', '', 5, 6), ('p', '', 11, NULL), ('g', '', 5, 9), ('early', 'r', 4, NULL)",
    )
    .execute(&documents.writer)
    .await
    .unwrap();
    let migration = include_str!("../../../../migrations/sqlite/0015_words_on_consent.sql");
    sqlx::raw_sql(migration).execute(&documents.writer).await.unwrap();
    let back =
        async |resident: &str| documents.withdrawals(&keys("甲", resident, ""), &[]).await.unwrap();
    let took =
        |record: &str, from_ms| TakenBack { record: record.to_owned(), from_ms, until_ms: None };
    assert_eq!(back("p").await, [took("", 11)]);
    assert_eq!(back("g").await, []);
    assert_eq!(back("early").await, [took("r", 4)]);
    let before = ["p".to_owned()];
    let found = documents.withdrawals(&keys("甲", "x", ""), &before).await.unwrap();
    assert_eq!(found, [took("", 11)]);
}

#[tokio::test]
async fn what_others_say_of_consent_counts_only_if_it_can_be_theirs_to_say() {
    let (node, cursor) = Node::with_record().await;
    let born = PersonKeys { born: "b".to_owned(), ..keys("乙", "", "") };
    let cursor = node.hear(cursor, (document("s", 1, "s"), of_person(&born))).await;
    let open = async |name: &str| {
        let has = node.documents.standing(name).await.unwrap().unwrap();
        has.withdrawals.iter().any(|(_, _, until)| until.is_none())
    };
    // Somebody of the same name and birth date with a number that this node does not know, by a record
    // that is about somebody else or not here.
    let forged = PersonKeys { resident: "x".to_owned(), ..born.clone() };
    let mut cursor = node.hear(cursor, consent((1, 10, false), &forged)).await;
    assert!(!open("s").await && !open("r").await);
    // By name and birth date alone, and by the record of somebody else.
    cursor = node.hear(cursor, consent((2, 10, false), &born)).await;
    assert!(!open("s").await);
    // By the person's own record.
    let by_own = ConsentSaid { by_record: "s".to_owned(), ..of_all(false, 20) };
    cursor = node.hear(cursor, said_as("c", 3, (&by_own, &born))).await;
    assert!(open("s").await && !open("r").await);
    // Given again, it must not leap; taken back, it counts whatever its version is.
    let given = ConsentSaid { given: true, ..by_own.clone() };
    for version in [u32::MAX, 1_004] {
        cursor = node.hear(cursor, said_as("c", version, (&given, &born))).await;
        assert!(open("s").await, "{version}");
    }
    cursor = node.hear(cursor, said_as("c", 1_003, (&given, &born))).await;
    assert!(!open("s").await);
    node.hear(cursor, said_as("c", u32::MAX, (&by_own, &born))).await;
    assert!(open("s").await);
    let report = node.documents.report().await.unwrap();
    let told = report.events.iter().filter(|(_, kind)| kind == "consent_not_counted").count();
    assert_eq!(told, 3);
    // Nobody can say anything after that, and is told so; nothing breaks.
    let caller = Caller::local("t");
    let permit = authorise(&caller, Action::ChangeConsent).unwrap();
    let (document, indexed) = said_as("d", 0, (&given, &born));
    let new = NewDocument { document, indexed, task: None, grant: None, at_ms: 60 };
    let submitted = node.documents.submit(&permit, new, entry("d")).await.unwrap();
    assert_eq!(submitted, Submitted::Exhausted);
}

#[tokio::test]
async fn the_last_version_ends_a_record_and_a_task_without_breaking_anything() {
    let node = Node::new().await;
    assert_eq!(node.submit("a", u32::MAX, "last").await, Submitted::Kept(u32::MAX));
    let before = node.audited().await;
    assert_eq!(node.submit("a", 0, "next").await, Submitted::Exhausted);
    assert_eq!(node.audited().await, before + 1);
    node.keep(Cursor::default(), document("r", 1, "r"), &["t1"]).await;
    let change = |revision| TaskChange {
        id: "t1".to_owned(),
        revision,
        state: TaskState::Done,
        note: String::new(),
        by: "x@y".to_owned(),
    };
    let caller = Caller::local("t");
    let permit = authorise(&caller, Action::ChangeTasks).unwrap();
    let say = async |revision: u32| {
        let document =
            Document { kind: Kind::Task, version: revision, ..document("r#t1", revision, "t") };
        let task = Some(change(revision));
        let indexed = Indexed { format: "task", ..Indexed::default() };
        let new = NewDocument { document, indexed, task, grant: None, at_ms: 9 };
        node.documents.submit(&permit, new, entry("t1")).await.unwrap()
    };
    // A stale one is in the trail.
    let before = node.audited().await;
    assert_eq!(say(7).await, Submitted::Stale(0));
    assert_eq!(node.audited().await, before + 1);
    sqlx::query("UPDATE task SET revision = ?1")
        .bind(u32::MAX)
        .execute(&node.documents.writer)
        .await
        .unwrap();
    assert_eq!(say(u32::MAX).await, Submitted::Exhausted);
    assert_eq!(node.audited().await, before + 2);
    // From elsewhere a leap says nothing.
    sqlx::query("UPDATE task SET revision = 1").execute(&node.documents.writer).await.unwrap();
    let mut connection = node.documents.writer.acquire().await.unwrap();
    super::tasks::arrived(&mut connection, &change(u32::MAX), 9).await.unwrap();
    assert_eq!(super::tasks::revision(&mut connection, "t1").await.unwrap(), Some(1));
    super::tasks::arrived(&mut connection, &change(1_001), 9).await.unwrap();
    assert_eq!(super::tasks::revision(&mut connection, "t1").await.unwrap(), Some(1_001));
}
