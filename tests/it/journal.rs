//! The journal port: one list of tests for every back-end.

use std::path::Path;
use std::sync::Arc;

use tokio_util::task::TaskTracker;
use xiangyi::app::access::{Action, AuthorisationTable, Caller, Place, Post, Role, authorise};
use xiangyi::app::ports::{
    Appended, AuditEntry, Journal, KeptRecord, ListQuery, NewRecord, RecordKind,
};
use xiangyi::store::sqlite::SqliteStore;

/// Opens a back-end in a folder.
async fn sqlite(folder: &Path) -> Arc<dyn Journal> {
    let tracker = TaskTracker::new();
    Arc::new(SqliteStore::open(&folder.join("journal.db"), 64, &tracker).await.unwrap())
}

macro_rules! journal_suite {
    ($open:ident: $($test:ident),+ $(,)?) => {
        mod $open {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $test() {
                    let folder = tempfile::tempdir().unwrap();
                    let journal = super::$open(folder.path()).await;
                    super::$test(journal).await;
                }
            )+
        }
    };
}

// Another back-end joins by adding a line.
journal_suite!(sqlite:
    what_is_kept_is_found_by_request_and_by_id,
    a_second_append_of_a_request_id_returns_the_first,
    request_ids_of_other_callers_and_kinds_are_their_own,
    lists_go_from_new_to_old_and_never_skip,
    many_writers_at_once_are_all_kept,
    what_is_not_there_is_none,
    what_was_made_elsewhere_is_not_read,
);

fn doctor(name: &str) -> Caller {
    doctor_of(name, &[])
}

/// A doctor who works in these divisions of the node's.
fn doctor_of(name: &str, areas: &[&str]) -> Caller {
    let table = AuthorisationTable::load(&xiangyi::embedded::files()).unwrap();
    let areas = areas.iter().map(|&area| area.to_owned()).collect();
    Caller::person(name, Role::VillageDoctor, Post { place: Place::Village, areas }, &table)
}

fn record(id: &str, kind: RecordKind, request_id: &str) -> NewRecord {
    NewRecord {
        id: id.to_owned(),
        kind,
        request_id: request_id.to_owned(),
        content_sha256: [7; 32],
        patient_reference: "p1".to_owned(),
        created_ms: 1_700_000_000_000,
        request_json: "{}".to_owned(),
        answer_json: format!("{{\"id\":\"{id}\",\"名\":\"𠮷\"}}"),
        summary_json: format!("\"{id}\""),
        model_version: "m".to_owned(),
        rule_version: "r".to_owned(),
    }
}

fn audit(id: &str) -> AuditEntry {
    AuditEntry {
        at_ms: 1_700_000_000_000,
        record_id: id.to_owned(),
        patient_reference: "p1".to_owned(),
        outcome: "ok",
        detail: String::new(),
    }
}

async fn append(journal: &dyn Journal, who: &Caller, record: NewRecord) -> Appended {
    let action = match record.kind {
        RecordKind::Consultation => Action::Diagnose,
        RecordKind::Check => Action::CheckPrescription,
        RecordKind::Override => Action::RecordOverride,
        RecordKind::Plan => Action::RecommendPlan,
        RecordKind::Recognition => Action::RecordRecognition,
    };
    let permit = authorise(who, action).unwrap();
    let entry = audit(&record.id);
    journal.append(&permit, record, entry).await.unwrap()
}

async fn find(journal: &dyn Journal, who: &Caller, id: &str) -> Option<KeptRecord> {
    let permit = authorise(who, Action::Diagnose).unwrap();
    journal.find_request(&permit, RecordKind::Consultation, id).await.unwrap()
}

async fn what_is_kept_is_found_by_request_and_by_id(journal: Arc<dyn Journal>) {
    let who = doctor("a");
    let first = record("c1", RecordKind::Consultation, "r1");
    let (answer, digest) = (first.answer_json.clone(), first.content_sha256);
    assert_eq!(append(&*journal, &who, first).await, Appended::New);
    let kept = find(&*journal, &who, "r1").await.unwrap();
    assert_eq!(kept, KeptRecord { content_sha256: digest, answer_json: answer });
    let permit = authorise(&who, Action::ReadConsultations).unwrap();
    let read = journal.read(&permit, RecordKind::Consultation, "c1", audit("c1")).await.unwrap();
    assert_eq!(read, Some(kept));
    let info = journal.info().await.unwrap();
    assert_eq!(info.record_count, 1);
    assert!(info.schema_version >= 1 && !info.backend.is_empty());
}

async fn what_was_made_elsewhere_is_not_read(journal: Arc<dyn Journal>) {
    let (one, two) = ("361121001001", "361121001002");
    let makers = [
        ("c1", doctor_of("a", &[one])),
        ("c2", doctor_of("b", &[two])),
        ("c3", doctor_of("c", &[one, two])),
        ("c4", doctor("d")),
        ("c5", doctor_of("e", &["361121002001"])),
    ];
    for (id, maker) in &makers {
        append(&*journal, maker, record(id, RecordKind::Consultation, id)).await;
    }
    for (reader, may) in [
        (doctor_of("x", &[one]), &["c1"][..]),
        (doctor_of("x", &[one, two]), &["c2", "c1"]),
        (doctor_of("x", &["361121001"]), &["c3", "c2", "c1"]),
        (doctor_of("x", &["3611210010"]), &["c2", "c1"]),
        (doctor("x"), &["c5", "c4", "c3", "c2", "c1"]),
        (doctor_of("d", &[one]), &["c4", "c1"]),
        (doctor_of("x", &["361121003"]), &[]),
        (doctor_of("x", &["%", "_", "\""]), &[]),
    ] {
        let permit = authorise(&reader, Action::ReadConsultations).unwrap();
        let query = ListQuery {
            kind: RecordKind::Consultation,
            before_seq: None,
            patient_reference: None,
            limit: 10,
        };
        let listed = journal.list(&permit, query, audit("")).await.unwrap();
        let listed: Vec<String> =
            listed.iter().map(|r| serde_json::from_str(&r.summary_json).unwrap()).collect();
        assert_eq!(listed, may, "{reader:?}");
        for (id, _) in &makers {
            let read =
                journal.read(&permit, RecordKind::Consultation, id, audit(id)).await.unwrap();
            assert_eq!(read.is_some(), may.contains(id), "{reader:?} {id}");
        }
    }
}

async fn a_second_append_of_a_request_id_returns_the_first(journal: Arc<dyn Journal>) {
    let who = doctor("a");
    append(&*journal, &who, record("c1", RecordKind::Consultation, "r1")).await;
    let mut other = record("c2", RecordKind::Consultation, "r1");
    other.content_sha256 = [9; 32];
    match append(&*journal, &who, other).await {
        Appended::Existing(kept) => {
            assert!(kept.answer_json.contains("c1"));
            assert_eq!(kept.content_sha256, [7; 32]);
        }
        Appended::New => panic!("kept twice"),
    }
    let permit = authorise(&who, Action::ReadConsultations).unwrap();
    let read = journal.read(&permit, RecordKind::Consultation, "c2", audit("c2")).await.unwrap();
    assert_eq!(read, None);
}

async fn request_ids_of_other_callers_and_kinds_are_their_own(journal: Arc<dyn Journal>) {
    let (a, b) = (doctor("a"), doctor("b"));
    assert_eq!(
        append(&*journal, &a, record("1", RecordKind::Consultation, "r")).await,
        Appended::New
    );
    assert_eq!(
        append(&*journal, &b, record("2", RecordKind::Consultation, "r")).await,
        Appended::New
    );
    assert_eq!(append(&*journal, &a, record("3", RecordKind::Check, "r")).await, Appended::New);
    assert!(find(&*journal, &b, "r").await.unwrap().answer_json.contains("\"2\""));
}

async fn lists_go_from_new_to_old_and_never_skip(journal: Arc<dyn Journal>) {
    let who = doctor("a");
    for i in 0..7 {
        let id = format!("c{i}");
        append(&*journal, &who, record(&id, RecordKind::Consultation, &id)).await;
    }
    append(&*journal, &who, record("x", RecordKind::Check, "x")).await;
    let permit = authorise(&who, Action::ReadConsultations).unwrap();
    let (mut seen, mut before_seq) = (Vec::new(), None);
    loop {
        let query = ListQuery {
            kind: RecordKind::Consultation,
            before_seq,
            patient_reference: Some("p1".to_owned()),
            limit: 3,
        };
        let page = journal.list(&permit, query, audit("")).await.unwrap();
        let Some(last) = page.last() else { break };
        before_seq = Some(last.seq);
        seen.extend(page.into_iter().map(|l| l.summary_json));
    }
    let expected: Vec<_> = (0..7).rev().map(|i| format!("\"c{i}\"")).collect();
    assert_eq!(seen, expected);
    let query = ListQuery {
        kind: RecordKind::Consultation,
        before_seq: None,
        patient_reference: Some("nobody".to_owned()),
        limit: 3,
    };
    assert!(journal.list(&permit, query, audit("")).await.unwrap().is_empty());
}

async fn many_writers_at_once_are_all_kept(journal: Arc<dyn Journal>) {
    let mut writers = tokio::task::JoinSet::new();
    for i in 0..50 {
        let journal = Arc::clone(&journal);
        writers.spawn(async move {
            let id = format!("c{i}");
            append(&*journal, &doctor("a"), record(&id, RecordKind::Consultation, &id)).await
        });
    }
    assert!(writers.join_all().await.iter().all(|a| *a == Appended::New));
    for i in 0..50 {
        assert!(find(&*journal, &doctor("a"), &format!("c{i}")).await.is_some());
    }
}

async fn what_is_not_there_is_none(journal: Arc<dyn Journal>) {
    assert_eq!(find(&*journal, &doctor("a"), "r").await, None);
    let who = doctor("a");
    let permit = authorise(&who, Action::ReadConsultations).unwrap();
    let read = journal.read(&permit, RecordKind::Consultation, "c", audit("c")).await.unwrap();
    assert_eq!(read, None);
}

#[tokio::test]
async fn the_audit_trail_stands_in_the_same_file_and_names_who_what_and_whose() {
    use sqlx::ConnectOptions as _;
    use sqlx::Row as _;
    use sqlx::sqlite::SqliteConnectOptions;

    let folder = tempfile::tempdir().unwrap();
    let journal = sqlite(folder.path()).await;
    let who = doctor("a");
    append(&*journal, &who, record("c1", RecordKind::Consultation, "r1")).await;
    append(&*journal, &who, record("c2", RecordKind::Consultation, "r1")).await;
    let permit = authorise(&who, Action::ReadConsultations).unwrap();
    journal.read(&permit, RecordKind::Consultation, "c1", audit("c1")).await.unwrap();
    journal.read(&permit, RecordKind::Consultation, "zz", audit("zz")).await.unwrap();

    let options = SqliteConnectOptions::new().filename(folder.path().join("journal.db"));
    let mut connection = options.connect().await.unwrap();
    let rows =
        sqlx::query("SELECT caller, role, action, record_id, outcome FROM audit ORDER BY seq")
            .fetch_all(&mut connection)
            .await
            .unwrap();
    let trail: Vec<String> = rows
        .iter()
        .map(|r| (0..5).map(|i| r.get::<String, _>(i)).collect::<Vec<_>>().join(" "))
        .collect();
    let expected = [
        "a village_doctor diagnose c1 ok",
        "a village_doctor diagnose c2 replayed",
        "a village_doctor read_consultations c1 ok",
        "a village_doctor read_consultations zz not_found",
    ];
    assert_eq!(trail, expected);
    let mode: String =
        sqlx::query_scalar("PRAGMA journal_mode").fetch_one(&mut connection).await.unwrap();
    assert_eq!(mode, "wal");
}
