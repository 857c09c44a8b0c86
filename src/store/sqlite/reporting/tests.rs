//! Counts of rows that are written here by hand, so that a query and its sentence in the table are held to
//! each other.

use std::collections::BTreeMap;

use serde_json::json;
use sqlx::sqlite::SqliteConnection;
use sqlx::{ConnectOptions as _, Connection as _};
use tempfile::TempDir;
use tokio_util::task::TaskTracker;

use super::*;
use crate::sharing::discharge::divisions::Divisions;
use crate::sharing::reporting::month::{DAY_MS, HOUR_MS};
use crate::sharing::reporting::{ReportingTables, ToldBy};
use crate::store::sqlite::{SqliteStore, options};

struct Node {
    _folder: TempDir,
    counts: Counts,
    connection: SqliteConnection,
    rows: u32,
}

fn month() -> Month {
    "2026-10".parse().unwrap()
}

/// A moment of the month: day and hour.
fn at(day: i64, hour: i64) -> i64 {
    month().start_ms() + (day - 1) * DAY_MS + hour * HOUR_MS
}

impl Node {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("xiangyi.db");
        let tracker = TaskTracker::new();
        drop(SqliteStore::open(&path, 10, &tracker).await.unwrap());
        tracker.close();
        tracker.wait().await;
        let connection = options(&path).connect().await.unwrap();
        Self { _folder: folder, counts: Counts::open(&path), connection, rows: 0 }
    }

    async fn run(&mut self, sql: &'static str, with: &[serde_json::Value]) {
        let mut query = sqlx::query(sql);
        for value in with {
            query = match value {
                serde_json::Value::String(text) => query.bind(text.clone()),
                serde_json::Value::Number(number) => query.bind(number.as_i64().unwrap()),
                serde_json::Value::Null
                | serde_json::Value::Bool(_)
                | serde_json::Value::Array(_)
                | serde_json::Value::Object(_) => panic!("{value}"),
            };
        }
        query.execute(&mut self.connection).await.unwrap();
    }

    async fn record(
        &mut self,
        kind: &str,
        (caller, patient, at_ms): (&str, &str, i64),
        (request, answer): (serde_json::Value, serde_json::Value),
    ) {
        self.rows += 1;
        let id = format!("{kind}-{}", self.rows);
        self.run(
            "INSERT INTO record (id, kind, caller, request_id, content_sha256, patient_reference, \
             created_ms, request_json, answer_json, summary_json, model_version, rule_version) \
             VALUES (?1, ?2, ?3, ?1, zeroblob(32), ?4, ?5, ?6, ?7, '{}', '', '')",
            &[
                json!(id),
                json!(kind),
                json!(caller),
                json!(patient),
                json!(at_ms),
                json!(request.to_string()),
                json!(answer.to_string()),
            ],
        )
        .await;
    }

    async fn document(&mut self, name: &str, origin: &str, at_ms: i64, record: serde_json::Value) {
        self.rows += 1;
        let reading = json!({ "record": record }).to_string();
        self.run(
            "INSERT INTO document (kind, name, version, media_type, sha256, sm3, body, format, \
             reading_json, summary_json, patient, person, withdrawn, current, origin, problem, \
             received_ms) VALUES ('record', ?1, ?2, '', zeroblob(32), zeroblob(32), x'', '', ?3, \
             '{}', '', '', 0, 1, ?4, '', ?5)",
            &[json!(name), json!(self.rows), json!(reading), json!(origin), json!(at_ms)],
        )
        .await;
    }

    async fn audit(&mut self, action: &str, caller: &str, record: &str, at_ms: i64) {
        self.run(
            "INSERT INTO audit (at_ms, caller, role, action, record_id, patient_reference, \
             outcome, detail) VALUES (?1, ?2, 'village_doctor', ?3, ?4, '', 'ok', '')",
            &[json!(at_ms), json!(caller), json!(action), json!(record)],
        )
        .await;
    }

    async fn counted(&self) -> BTreeMap<String, u64> {
        self.counts.count(month()).await.unwrap().into_iter().collect()
    }
}

fn consultation(place: &str) -> (serde_json::Value, serde_json::Value) {
    let conditions = json!([{ "name": "社区获得性肺炎", "icd10": "J18.900" }, { "name": "急性支气管炎", "icd10": "J20.900" }]);
    (json!({}), json!({ "conditions": conditions, "triage": { "place": place } }))
}

fn check(
    diagnosis: &str,
    problems: &[(&str, &str, &str)],
) -> (serde_json::Value, serde_json::Value) {
    let problems: Vec<_> = problems
        .iter()
        .map(|(id, kind, demand)| json!({ "id": id, "kind": kind, "demand": demand }))
        .collect();
    (json!({ "order": { "diagnoses": [diagnosis] } }), json!({ "problems": problems }))
}

fn plan(diagnosis: &str) -> (serde_json::Value, serde_json::Value) {
    (json!({ "query": { "order": { "diagnoses": [diagnosis] } } }), json!({}))
}

#[tokio::test]
async fn an_empty_month_is_told_as_noughts_and_every_name_is_a_counter() {
    let node = Node::new().await;
    assert_eq!(node.counts.first().await.unwrap(), None);
    let told = node.counts.count(month()).await.unwrap();
    assert!(told.iter().all(|(_, number)| *number == 0));
    let files = crate::embedded::files();
    let tables = ReportingTables::load(&files, &Divisions::load(&files).unwrap()).unwrap();
    let taken = tables.counters.taken(&told, ToldBy::Node).unwrap();
    // A node tells every counter that the table says nodes tell.
    for counter in tables.counters.all() {
        let known = counter.slots().all(|slot| taken.at(slot).is_some());
        let wanted = counter.counted && counter.told_by == ToldBy::Node;
        assert_eq!(known, wanted, "{}", counter.id);
    }
}

#[tokio::test]
async fn a_diagnosis_is_accepted_by_what_the_same_doctor_asks_next() {
    let mut node = Node::new().await;
    for (patient, hour) in [("P1", 8), ("P2", 8), ("P3", 8), ("P4", 8), ("P5", 8), ("", 8)] {
        node.record("consultation", ("li", patient, at(5, hour)), consultation("clinic")).await;
    }
    node.record("consultation", ("li", "P6", at(5, 9)), consultation("county")).await;
    node.record("consultation", ("li", "P7", at(5, 9)), consultation("ambulance")).await;
    // By name; by category of ICD-10; of another doctor; something else; too late.
    node.record("plan", ("li", "P1", at(5, 9)), plan("急性支气管炎")).await;
    node.record("check", ("li", "P2", at(5, 10)), check("J18.000", &[])).await;
    node.record("plan", ("wang", "P3", at(5, 9)), plan("急性支气管炎")).await;
    node.record("plan", ("li", "P4", at(5, 9)), plan("高血压病")).await;
    node.record("plan", ("li", "P5", at(6, 8)), plan("急性支气管炎")).await;
    // Before and after the month.
    node.record("consultation", ("li", "P1", at(1, 0) - 1), consultation("clinic")).await;
    node.record("consultation", ("li", "P1", at(32, 0)), consultation("clinic")).await;
    let counted = node.counted().await;
    let of = |id: &str| counted[id];
    assert_eq!(of("consultations"), 8);
    assert_eq!(of("consultations_named"), 7);
    assert_eq!(of("consultations_accepted"), 2);
    assert_eq!(of("referrals_advised"), 2);
    assert_eq!(node.counts.first().await.unwrap(), Some(month()));
}

#[tokio::test]
async fn a_prescription_has_changed_where_a_finding_is_gone() {
    let mut node = Node::new().await;
    let found = [("a", "allergy", "stop"), ("d", "daily_dose", "needs_reason")];
    node.record("check", ("li", "P1", at(5, 8)), check("", &found)).await;
    node.record("check", ("li", "P1", at(5, 9)), check("", &found[1..])).await;
    // The same again; a notice only; without a patient.
    node.record("check", ("li", "P2", at(5, 8)), check("", &found)).await;
    node.record("check", ("li", "P2", at(5, 9)), check("", &found)).await;
    node.record("check", ("li", "P3", at(5, 8)), check("", &[("n", "tcm", "notice")])).await;
    node.record("check", ("li", "P3", at(5, 9)), check("", &[])).await;
    node.record("check", ("li", "", at(5, 8)), check("", &[("i", "infusion", "stop")])).await;
    node.record("override", ("li", "P2", at(5, 9)), (json!({}), json!({}))).await;
    let counted = node.counted().await;
    let of = |id: &str| counted[id];
    assert_eq!((of("checks"), of("checks_flagged"), of("flagged_named")), (7, 5, 4));
    assert_eq!((of("flagged_allergy"), of("flagged_dose"), of("flagged_interaction")), (3, 4, 1));
    assert_eq!((of("flagged_other"), of("checks_changed"), of("overrides")), (0, 1, 1));
}

#[tokio::test]
async fn records_are_counted_by_their_first_version_and_what_became_of_it() {
    let mut node = Node::new().await;
    let whole = json!({
        "patient": { "name": "饶建国", "sex": "male", "birth_date": "1957-03-17",
            "identifiers": [{ "value": "1" }] },
        "stay": { "admitted": "2026-10-01", "discharged": "2026-10-05" },
        "diagnoses": [{}], "medicines": [], "narrative": { "orders": "休息" },
    });
    node.document("own-1", "own", at(5, 8), whole.clone()).await;
    node.document("own-2", "own", at(5, 8), json!({ "patient": { "name": "饶建国" } })).await;
    // A second version is no second record.
    node.document("own-1", "own", at(6, 8), whole.clone()).await;
    node.run(
        "INSERT INTO outbox (document, settled, settled_ms) SELECT seq, 1, ?1 FROM document \
         WHERE name = 'own-1' ORDER BY seq LIMIT 1",
        &[json!(at(5, 11))],
    )
    .await;
    node.run("INSERT INTO outbox (document) SELECT seq FROM document WHERE name = 'own-2'", &[])
        .await;
    for name in ["hub-1", "hub-2"] {
        node.document(name, "hub", at(7, 8), whole.clone()).await;
    }
    // The other one came by a relation that was written down later.
    node.run("UPDATE document SET handed_ms = ?1 WHERE name = 'hub-1'", &[json!(at(7, 5))]).await;
    node.audit("read_records", "li", "hub-1", at(7, 7)).await;
    node.audit("read_records", "li", "hub-1", at(8, 8)).await;
    node.audit("read_records", "li", "hub-1", at(20, 8)).await;
    for caller in ["li", "wang", "li"] {
        node.audit("diagnose", caller, "x", at(9, 8)).await;
    }
    let task = "INSERT INTO task (id, record, record_version, state, due_day, urgent, task_json, \
        changed_ms) VALUES (?1, ?2, 1, ?3, ?4, 0, '{}', ?5)";
    for (id, record, state, due, changed_ms) in [
        ("on-time", "hub-1", "done", "2026-10-20", at(20, 23)),
        ("late", "hub-1", "done", "2026-10-20", at(21, 0)),
        ("open", "hub-1", "open", "2026-10-31", at(7, 8)),
        ("gone", "hub-1", "superseded", "2026-10-20", at(7, 8)),
        ("other month", "hub-1", "done", "2026-11-01", at(7, 8)),
        ("made here", "own-1", "done", "2026-10-20", at(7, 8)),
    ] {
        let with = [json!(id), json!(record), json!(state), json!(due), json!(changed_ms)];
        node.run(task, &with).await;
    }
    let counted = node.counted().await;
    let of = |id: &str| counted[id];
    assert_eq!((of("records_made"), of("records_complete"), of("records_sent")), (2, 1, 1));
    assert_eq!((of("sync_hours/4"), of("sync_hours/2")), (1, 0));
    assert_eq!((of("records_delivered"), of("records_read")), (2, 1));
    let delivery = counted.iter().filter(|(name, _)| name.starts_with("delivery_hours/"));
    assert_eq!((of("delivery_hours/4"), delivery.map(|(_, n)| n).sum::<u64>()), (1, 1));
    assert_eq!((of("read_hours/24"), of("read_hours/48")), (1, 0));
    assert_eq!((of("tasks_due"), of("tasks_on_time")), (3, 1));
    assert_eq!(of("active_doctors"), 2);
}

#[tokio::test]
async fn decisions_on_recognition_are_counted_with_their_grounds() {
    let mut node = Node::new().await;
    for decision in [
        json!({ "recognised": { "study": "1.2" } }),
        json!({ "repeated": { "ground": "emergency" } }),
        json!({ "repeated": { "ground": "other" } }),
        json!("examined"),
    ] {
        let request = json!({ "decision": decision });
        node.record("recognition", ("li", "P1", at(3, 8)), (request, json!({}))).await;
    }
    let counted = node.counted().await;
    let of = |id: &str| counted[id];
    assert_eq!((of("recognition_decisions"), of("studies_recognised")), (4, 1));
    assert_eq!((of("studies_repeated"), of("repeated_emergency")), (2, 1));
    assert_eq!((of("repeated_other"), of("repeated_decisive")), (1, 0));
}

#[tokio::test]
async fn what_was_told_is_remembered() {
    let node = Node::new().await;
    assert_eq!(node.counts.spoken(month()).await.unwrap(), None);
    for revision in [1, 2] {
        let numbers = vec![("checks".to_owned(), 3), ("overrides".to_owned(), 0)];
        let telling = Telling { place: "361102".to_owned(), month: month(), revision, numbers };
        let spoken = Spoken { telling, taken_ms: 5 };
        node.counts.note(spoken.clone()).await.unwrap();
        assert_eq!(node.counts.spoken(month()).await.unwrap(), Some(spoken));
    }
    node.connection.close().await.unwrap();
}
