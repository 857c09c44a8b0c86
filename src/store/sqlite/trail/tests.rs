//! The chain under both writers, over what was there before, and under tampering with the file.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use sqlx::sqlite::SqliteConnection;
use sqlx::{ConnectOptions as _, Connection as _};
use tokio_util::task::TaskTracker;

use super::Trail;
use crate::app::access::{Action, Caller, Role, authorise};
use crate::app::audit::anchoring::{AnchorPlace, Anchoring};
use crate::app::audit::ports::{AlarmCount, AlarmQuery, AuditTrail, EntryQuery, Signer, Whose};
use crate::app::audit::sign::{NodeKey, is_signed};
use crate::app::audit::watching::Watcher;
use crate::app::audit::{Verdict, alarm_record, verify};
use crate::app::error::Error;
use crate::app::ports::{AuditEntry, BoxFuture, Clock, Journal as _, NewRecord, RecordKind};
use crate::app::records::person::PersonKeys;
use crate::app::records::ports::DocumentQuery;
use crate::app::records::ports::DocumentStore as _;
use crate::sharing::audit::alarms::{AlarmKind, Limits};
use crate::sharing::audit::{Anchor, Broken, Fault, Head, Intact, Mark};
use crate::sharing::discharge::DischargeRecord;
use crate::sharing::exchange::Kind;
use crate::store::sqlite::documents::Documents;
use crate::store::sqlite::{MIGRATIONS, SqliteStore, migrator, options};

fn caller() -> Caller {
    Caller::local("李医生")
}

fn entry(record: &str, patient: &str) -> AuditEntry {
    AuditEntry {
        at_ms: 1_700_000_000_000,
        record_id: record.to_owned(),
        patient_reference: patient.to_owned(),
        outcome: "ok",
        detail: "TREAT".to_owned(),
    }
}

fn record(id: &str, request: &str) -> NewRecord {
    NewRecord {
        id: id.to_owned(),
        kind: RecordKind::Consultation,
        request_id: request.to_owned(),
        content_sha256: [1; 32],
        patient_reference: "P1".to_owned(),
        created_ms: 1,
        request_json: "{}".to_owned(),
        answer_json: "{}".to_owned(),
        summary_json: "{}".to_owned(),
        model_version: String::new(),
        rule_version: String::new(),
    }
}

/// A database with `count` entries of the journal.
async fn filled(path: &Path, count: usize) {
    let tracker = TaskTracker::new();
    let store = SqliteStore::open(path, 64, &tracker).await.unwrap();
    let caller = caller();
    let permit = authorise(&caller, Action::ReadConsultations).unwrap();
    for number in 1..=count {
        store.audit(&permit, entry(&format!("r{number}"), "P1")).await.unwrap();
    }
    drop(store);
    tracker.close();
    tracker.wait().await;
}

async fn verdict(path: &Path, marks: &[Mark]) -> Verdict {
    verify(&Trail::look(path).await.unwrap(), marks).await.unwrap()
}

async fn intact(path: &Path) -> Intact {
    verdict(path, &[]).await.result.unwrap()
}

/// Somebody with the file.
async fn attacker(path: &Path) -> SqliteConnection {
    let mut connection = options(path).connect().await.unwrap();
    sqlx::raw_sql("DROP TRIGGER audit_is_not_deleted; DROP TRIGGER audit_is_not_changed;")
        .execute(&mut connection)
        .await
        .unwrap();
    connection
}

async fn attack(path: &Path, sql: &'static str) {
    let mut connection = attacker(path).await;
    sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

async fn mark(path: &Path) -> Mark {
    let Verdict { origin, result } = verdict(path, &[]).await;
    Mark { node: "村甲".to_owned(), chain: origin.chain, head: result.unwrap().head, at_ms: 1 }
}

fn broken(number: u64, up_to: u64, fault: Fault) -> Result<Intact, Broken> {
    Err(Broken { number, up_to, fault })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_writers_write_one_chain_at_the_same_time() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.db");
    let tracker = TaskTracker::new();
    let store = Arc::new(SqliteStore::open(&path, 64, &tracker).await.unwrap());
    let documents = Arc::new(Documents::open(&path, "first").await.unwrap());
    let mut tasks = tokio::task::JoinSet::new();
    for client in 0..4 {
        let (store, documents) = (Arc::clone(&store), Arc::clone(&documents));
        tasks.spawn(async move {
            let caller = caller();
            let permit = authorise(&caller, Action::ReadRecords).unwrap();
            for number in 0..20 {
                let id = format!("{client}-{number}");
                // Every fifth is a repeated request, which is audited once more.
                let request = format!("{client}-{}", number / 5);
                store.append(&permit, record(&id, &request), entry("", "")).await.unwrap();
                documents
                    .list(&permit, Kind::Record, DocumentQuery::default(), entry("", ""))
                    .await
                    .unwrap();
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    assert_eq!(intact(&path).await.entries, 160);
    let replayed =
        EntryQuery { outcome: Some("replayed".to_owned()), limit: 200, ..EntryQuery::default() };
    assert_eq!(Trail::open(&path).find(replayed).await.unwrap().len(), 64);
}

#[tokio::test]
async fn what_was_there_before_the_chain_is_chained_when_the_store_is_opened() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.db");
    let mut connection = options(&path).connect().await.unwrap();
    migrator(&MIGRATIONS[..9]).run(&mut connection).await.unwrap();
    sqlx::raw_sql(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1203) \
         INSERT INTO audit (at_ms, caller, role, action, record_id, patient_reference, outcome, \
         detail) SELECT i, 'a', 'local', 'diagnose', 'r' || i, '', 'ok', '' FROM n; \
         DELETE FROM audit WHERE seq = 700;",
    )
    .execute(&mut connection)
    .await
    .unwrap();
    connection.close().await.unwrap();
    filled(&path, 3).await;
    let found = verdict(&path, &[]).await;
    assert_eq!(found.origin.chained_later, 1203);
    assert_eq!(found.result.unwrap().entries, 1205);
    // They are as closed as any other now.
    attack(&path, "UPDATE audit SET caller = 'b' WHERE seq = 50").await;
    assert_eq!(verdict(&path, &[]).await.result, broken(50, 50, Fault::Altered));
}

#[tokio::test]
async fn entries_cannot_be_changed_or_deleted_by_mistake() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.db");
    filled(&path, 2).await;
    let mut connection = options(&path).connect().await.unwrap();
    for sql in ["DELETE FROM audit", "UPDATE audit SET caller = ''"] {
        let error = sqlx::raw_sql(sql).execute(&mut connection).await.unwrap_err();
        assert!(error.to_string().contains("are never"), "{error}");
    }
}

#[tokio::test]
async fn every_attack_on_the_file_is_found_and_the_first_bad_entry_named() {
    let attacks: [(&'static str, Broken); 6] = [
        (
            "DELETE FROM audit WHERE seq IN (4, 5)",
            Broken { number: 4, up_to: 5, fault: Fault::Missing },
        ),
        (
            "DELETE FROM audit WHERE seq = 4; UPDATE audit SET seq = seq - 1 WHERE seq > 4",
            Broken { number: 4, up_to: 4, fault: Fault::Missing },
        ),
        (
            "UPDATE audit SET seq = -seq WHERE seq > 3; UPDATE audit SET seq = 1 - seq WHERE seq < 0; \
             INSERT INTO audit SELECT 4, at_ms, 'forged', role, action, record_id, \
             patient_reference, outcome, detail, sha256, sm3 FROM audit WHERE seq = 3",
            Broken { number: 4, up_to: 4, fault: Fault::Inserted },
        ),
        (
            "UPDATE audit SET seq = 99 WHERE seq = 4; UPDATE audit SET seq = 4 WHERE seq = 5; \
             UPDATE audit SET seq = 5 WHERE seq = 99",
            Broken { number: 4, up_to: 4, fault: Fault::Reordered },
        ),
        (
            "UPDATE audit SET patient_reference = 'P2' WHERE seq = 6",
            Broken { number: 6, up_to: 6, fault: Fault::Altered },
        ),
        // The database remembers how many there were, unless that is taken away too.
        ("DELETE FROM audit WHERE seq > 7", Broken { number: 8, up_to: 9, fault: Fault::CutOff }),
    ];
    for (sql, expected) in attacks {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.db");
        filled(&path, 9).await;
        attack(&path, sql).await;
        assert_eq!(verdict(&path, &[]).await.result, Err(expected), "{sql}");
        // Whatever was done, the node goes on writing, and the attack stays found.
        filled(&path, 1).await;
        assert!(verdict(&path, &[]).await.result.is_err(), "{sql}");
    }
}

#[tokio::test]
async fn a_tail_that_is_cut_off_and_a_database_that_is_exchanged_are_found_by_an_anchor() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = (folder.path().join("1.db"), folder.path().join("2.db"));
    filled(&one, 9).await;
    filled(&two, 9).await;
    let anchored = [mark(&one).await];
    let whole = verdict(&one, &anchored).await.result.unwrap();
    assert_eq!((whole.anchors, whole.anchored_up_to), (1, 9));
    attack(&one, "DELETE FROM audit WHERE seq > 6; UPDATE sqlite_sequence SET seq = 6").await;
    assert!(verdict(&one, &[]).await.result.is_ok());
    assert_eq!(verdict(&one, &anchored).await.result, broken(7, 9, Fault::CutOff));
    // Others in the place of those that were cut off.
    filled(&one, 5).await;
    assert_eq!(verdict(&one, &anchored).await.result, broken(1, 9, Fault::Rewritten));
    assert_eq!(verdict(&two, &anchored).await.result, broken(1, 1, Fault::OtherChain));
}

#[tokio::test]
async fn signed_heads_stay_as_they_were_first_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.db");
    filled(&path, 3).await;
    let trail = Trail::open(&path);
    let key = NodeKey::new(&[9; 32]).unwrap();
    let anchor = key.sign(mark(&path).await);
    trail.keep_anchor(anchor.clone(), None).await.unwrap();
    let mut other = anchor.clone();
    other.mark.head = Head { sha256: [0; 32], ..other.mark.head };
    trail.keep_anchor(key.sign(other.mark), Some(5)).await.unwrap();
    assert_eq!(trail.anchors("村甲").await.unwrap(), [anchor]);
}

#[tokio::test]
async fn what_was_done_about_a_patient_is_found_by_reference_and_record() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.db");
    let tracker = TaskTracker::new();
    let store = SqliteStore::open(&path, 64, &tracker).await.unwrap();
    let caller = caller();
    let permit = authorise(&caller, Action::ReadRecords).unwrap();
    for (record, patient) in [
        ("a", "P1"),
        ("b", ""),
        ("c", "P2"),
        ("", ""),
        ("b", "p-7"),
        ("", "p-7,p-71"),
        ("", "p-71"),
    ] {
        store.audit(&permit, entry(record, patient)).await.unwrap();
    }
    let trail = Trail::open(&path);
    let numbers = async |patients: &[&str], records: &[&str]| {
        let texts = |all: &[&str]| all.iter().map(|text| (*text).to_owned()).collect();
        let whose = Whose { patients: texts(patients), records: texts(records) };
        let query = EntryQuery { whose: Some(whose), limit: 9, ..EntryQuery::default() };
        let found = trail.find(query).await.unwrap();
        found.iter().map(|entry| entry.number).collect::<Vec<_>>()
    };
    assert_eq!(numbers(&["P1"], &[]).await, [1]);
    assert_eq!(numbers(&["P2"], &["b"]).await, [5, 3, 2]);
    assert_eq!(numbers(&["p-7"], &[]).await, [6, 5]);
    assert!(numbers(&[], &[]).await.is_empty());
    assert!(numbers(&[""], &[""]).await.is_empty());
}

#[tokio::test]
async fn a_watcher_keeps_what_it_raises_once_and_another_goes_on_where_it_ended() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.db");
    let tracker = TaskTracker::new();
    let store = SqliteStore::open(&path, 64, &tracker).await.unwrap();
    let doctor = Caller::shipped("李医生", Role::VillageDoctor);
    let permit = authorise(&doctor, Action::ReadConsultations).unwrap();
    let trail: Arc<dyn AuditTrail> = Arc::new(Trail::open(&path));
    let limits = Limits::load(&crate::embedded::files()).unwrap();
    let mut watcher = Watcher::new(Arc::clone(&trail), limits.clone());
    for number in 0..40 {
        store.audit(&permit, entry("", &format!("P{number}"))).await.unwrap();
    }
    assert!(watcher.look().await.unwrap().is_empty());
    // A fresh one learns who was read before.
    let mut fresh = Watcher::new(Arc::clone(&trail), limits.clone());
    store.audit(&permit, entry("", "P40")).await.unwrap();
    let raised = fresh.look().await.unwrap();
    let [alarm] = &raised[..] else { panic!("{raised:?}") };
    assert_eq!((alarm.kind, alarm.entry, alarm.persons), (AlarmKind::MassReading, 41, 41));
    assert!(fresh.look().await.unwrap().is_empty());
    assert!(Watcher::new(Arc::clone(&trail), limits).look().await.unwrap().is_empty());
    let all = AlarmQuery { limit: 10, ..AlarmQuery::default() };
    let kept = trail.alarms(all).await.unwrap();
    assert_eq!(kept.iter().map(|kept| &kept.alarm).collect::<Vec<_>>(), [alarm]);
    let number = kept[0].number;
    let below = AlarmQuery { before: Some(number), ..all };
    assert!(trail.alarms(below).await.unwrap().is_empty());
    let counts = async || trail.alarm_counts().await.unwrap();
    let count = |open| AlarmCount { kind: "mass_reading".to_owned(), raised: 1, open };
    assert_eq!(counts().await, [count(1)]);
    assert_eq!(trail.watched().await.unwrap(), 41);

    // Only an entry of the right action that went well closes it, and the first of them.
    let open = AlarmQuery { open_only: true, ..all };
    let auditor = Caller::shipped("审查", Role::Auditor);
    let reading = authorise(&auditor, Action::ReadAudit).unwrap();
    let closing = authorise(&auditor, Action::CloseAlarms).unwrap();
    let said = |record: u64| entry(&alarm_record(record), "");
    store.audit(&reading, said(number)).await.unwrap();
    store.audit(&closing, said(number + 1)).await.unwrap();
    let refused = AuditEntry { outcome: "refused", ..said(number) };
    store.audit(&closing, refused).await.unwrap();
    assert_eq!(trail.alarms(open).await.unwrap().len(), 1);
    for note in ["justified: 夜班", "misuse: 后来的不算"] {
        let entry = AuditEntry { detail: note.to_owned(), ..said(number) };
        store.audit(&closing, entry).await.unwrap();
    }
    assert!(trail.alarms(open).await.unwrap().is_empty());
    assert_eq!(counts().await, [count(0)]);
    let one = AlarmQuery { number: Some(number), ..all };
    let closed = trail.alarms(one).await.unwrap().remove(0).closed.unwrap();
    assert_eq!((&*closed.caller, &*closed.detail), ("审查", "justified: 夜班"));
    assert!(trail.alarms(AlarmQuery { number: Some(number + 1), ..all }).await.unwrap().is_empty());
}

#[tokio::test]
async fn records_and_tasks_of_a_person_and_their_village_are_found() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.db");
    filled(&path, 1).await;
    let keys = PersonKeys {
        name: "饶建国".to_owned(),
        resident: "d1".to_owned(),
        ..PersonKeys::default()
    };
    let mut record = DischargeRecord::default();
    "饶建国".clone_into(&mut record.patient.name);
    "361121001003".clone_into(&mut record.patient.address.division);
    let mut connection = options(&path).connect().await.unwrap();
    for (name, resident, body) in [
        ("r1", &*keys.resident, serde_json::json!({ "record": record }).to_string()),
        ("r2", "", String::new()),
    ] {
        sqlx::query(
            "INSERT INTO document (kind, name, version, media_type, sha256, sm3, body, format, \
             reading_json, summary_json, patient, person, withdrawn, current, origin, problem, \
             received_ms, resident) VALUES ('record', ?1, 1, '', zeroblob(32), zeroblob(32), \
             x'', '', ?3, '', '', '', 0, 1, 'own', '', 1, ?2)",
        )
        .bind(name)
        .bind(resident)
        .bind(body)
        .execute(&mut connection)
        .await
        .unwrap();
    }
    sqlx::raw_sql(
        "INSERT INTO task (id, record, record_version, state, due_day, urgent, task_json, \
         changed_ms) VALUES ('t1', 'r1', 1, 'open', '', 0, '{}', 1)",
    )
    .execute(&mut connection)
    .await
    .unwrap();
    let trail = Trail::open(&path);
    let whose = trail.whose(keys.clone()).await.unwrap();
    assert_eq!(whose.records, ["r1", "t1"]);
    let nobody = trail.whose(PersonKeys::default()).await.unwrap();
    assert_eq!(nobody, Whose::default());
    let mut found = trail.subjects(vec!["r1".to_owned(), "r2".to_owned()]).await.unwrap();
    found.sort_by(|one, other| one.0.cmp(&other.0));
    let villages: Vec<_> = found.iter().map(|(_, s)| (&*s.name, &*s.village)).collect();
    assert_eq!(villages, [("饶建国", "361121001003"), ("", "")]);
    assert_eq!(found[0].1.person, keys.resident);
}

/// A place that takes heads, or not.
#[derive(Debug, Default)]
struct Place {
    fails: AtomicBool,
    taken: Mutex<Vec<Anchor>>,
}

impl AnchorPlace for Place {
    fn anchor<'a>(&'a self, anchor: &'a Anchor) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            if self.fails.load(Ordering::Relaxed) {
                return Err(Error::Unavailable { what: "hub", cause: None });
            }
            self.taken.lock().unwrap().push(anchor.clone());
            Ok(())
        })
    }
}

#[derive(Debug)]
struct Noon;

impl Clock for Noon {
    fn now_ms(&self) -> i64 {
        43_200_000
    }
}

#[tokio::test]
async fn a_head_is_signed_when_it_has_changed_and_handed_over_until_it_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.db");
    filled(&path, 0).await;
    let place = Arc::new(Place::default());
    let trail: Arc<dyn AuditTrail> = Arc::new(Trail::open(&path));
    let key: Arc<dyn Signer> = Arc::new(NodeKey::new(&[9; 32]).unwrap());
    let handed: Arc<dyn AnchorPlace> = Arc::<Place>::clone(&place);
    let with = (Arc::clone(&trail), key);
    let mut anchoring = Anchoring::new("村甲", with, Arc::new(Noon), Some(handed));
    assert_eq!(anchoring.anchor().await.unwrap(), 0);
    filled(&path, 2).await;
    place.fails.store(true, Ordering::Relaxed);
    assert!(anchoring.anchor().await.is_err());
    // Kept here although nobody took it.
    assert_eq!(trail.anchors("村甲").await.unwrap().len(), 1);
    place.fails.store(false, Ordering::Relaxed);
    for _ in 0..2 {
        assert_eq!(anchoring.anchor().await.unwrap(), 2);
    }
    filled(&path, 1).await;
    assert_eq!(anchoring.anchor().await.unwrap(), 3);
    let taken = place.taken.lock().unwrap().clone();
    assert_eq!(taken.iter().map(|anchor| anchor.mark.head.number).collect::<Vec<_>>(), [2, 3]);
    assert!(taken.iter().all(is_signed));
    let marks: Vec<Mark> = taken.into_iter().map(|anchor| anchor.mark).collect();
    let whole = verdict(&path, &marks).await.result.unwrap();
    assert_eq!((whole.anchors, whole.anchored_up_to), (2, 3));
}
