//! Who works for one village of a township, or sees summaries only, at every door to records.

use serde_json::{Value, json};
use sqlx::ConnectOptions as _;
use sqlx::sqlite::SqliteConnectOptions;
use tonic::{Code, Request, Status};
use xiangyi::app::access::Role;
use xiangyi::config::TokenSection;
use xiangyi::rpc::proto::xiangyi::audit::v1 as audit;
use xiangyi::rpc::proto::xiangyi::audit::v1::audit_service_client::AuditServiceClient;
use xiangyi::rpc::proto::xiangyi::records::v1 as pb;
use xiangyi::rpc::proto::xiangyi::records::v1::consent_service_client::ConsentServiceClient;

use crate::fhir::{FHIR, TREAT, at, call};
use crate::harness::{Setup, TestNode, bad_fields, hex};
use crate::records::{PATIENT, exchange, follow_up, hub, node_with, records, stroke, submit};
use crate::region::until;

const VILLAGE: &str = "361104204201";
const OTHER: &str = "361104204202";

fn credentials(config: &mut xiangyi::config::Config) {
    use sha2::{Digest as _, Sha256};
    let credential = |name: &str, role, area: &str| TokenSection {
        name: name.to_owned(),
        sha256: hex(&Sha256::digest(name.as_bytes())),
        role,
        place: None,
        area: area.to_owned(),
    };
    config.auth.tokens = vec![
        credential("township", Role::VillageDoctor, ""),
        credential("own", Role::VillageDoctor, VILLAGE),
        credential("other", Role::VillageDoctor, OTHER),
        credential("pharmacist", Role::Pharmacist, ""),
        credential("auditor", Role::Auditor, ""),
    ];
}

fn by<T>(who: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", format!("Bearer {who}").parse().unwrap());
    request
}

fn consent(node: &TestNode) -> ConsentServiceClient<tonic::transport::Channel> {
    ConsentServiceClient::new(node.channel.clone())
}

/// Who did what, and what came of it, from an entry on.
async fn trail(node: &TestNode, after: i64) -> Vec<(String, String, String, String)> {
    let path = node.data.path().join("xiangyi.db");
    let options = SqliteConnectOptions::new().filename(path).read_only(true);
    let mut connection = options.connect().await.unwrap();
    sqlx::query_as(
        "SELECT caller, action, record_id, outcome FROM audit WHERE seq > ?1 ORDER BY seq",
    )
    .bind(after)
    .fetch_all(&mut connection)
    .await
    .unwrap()
}

/// All that was entered of the patient.
async fn accesses(node: &TestNode) -> Vec<audit::AuditEntry> {
    let asked = audit::ListPatientAccessesRequest {
        person: Some(audit::AccessedPerson {
            name: PATIENT.0.to_owned(),
            resident_id: PATIENT.1.to_owned(),
            ..Default::default()
        }),
        page_size: 200,
        ..Default::default()
    };
    let mut service = AuditServiceClient::new(node.channel.clone());
    let found = service.list_patient_accesses(by("auditor", asked)).await.unwrap().into_inner();
    found.entries
}

fn is_out_of_place<T>(done: Result<tonic::Response<T>, Status>) {
    let Err(status) = done else { panic!("out of place and done") };
    assert_eq!(status.code(), Code::PermissionDenied, "{status}");
    assert!(status.message().contains("不在您负责的区划内"), "{status}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn somebody_who_works_for_one_village_writes_of_its_people() {
    let hub = hub().await;
    let county = crate::records::node("county", &hub).await;
    let clinic = node_with("village", &hub, tempfile::tempdir().unwrap(), |c| {
        c.node.area = "361104204".to_owned();
        credentials(c);
    })
    .await;
    let kept = submit(&county, stroke("CYXJ-1")).await;
    let list = || pb::ListTasksRequest {
        record: kept.name.clone(),
        purpose: pb::Purpose::Treatment.into(),
        ..Default::default()
    };
    let task = until("its tasks are there", async || {
        let found = follow_up(&clinic).list_tasks(by("own", list())).await.unwrap();
        found.into_inner().tasks.into_iter().next()
    })
    .await;
    let done = |seen_revision| pb::UpdateTaskRequest {
        task_id: task.id.clone(),
        state: pb::TaskState::Done.into(),
        note: "血压 120/80".to_owned(),
        seen_revision,
    };
    let person = |division: &str| pb::RegisterPatientRequest {
        person: Some(pb::RegisteredPerson {
            name: PATIENT.0.to_owned(),
            resident_id: PATIENT.1.to_owned(),
            division: division.to_owned(),
            ..Default::default()
        }),
        relation: pb::Relation::Registered.into(),
        ..Default::default()
    };
    let withdraw = || pb::WithdrawConsentRequest { record: kept.name.clone(), all: true };
    let restore = || pb::RestoreConsentRequest { record: kept.name.clone(), all: true };
    let grants = || pb::ListGrantsRequest {
        record: kept.name.clone(),
        purpose: pb::Purpose::Treatment.into(),
        ..Default::default()
    };
    // Nothing of somebody who is of another village.
    is_out_of_place(follow_up(&clinic).update_task(by("other", done(0))).await);
    is_out_of_place(consent(&clinic).withdraw_consent(by("other", withdraw())).await);
    is_out_of_place(consent(&clinic).restore_consent(by("other", restore())).await);
    is_out_of_place(consent(&clinic).list_grants(by("other", grants())).await);
    for division in [VILLAGE, ""] {
        let registered = exchange(&clinic).register_patient(by("other", person(division))).await;
        is_out_of_place(registered);
    }
    let said = trail(&clinic, 0).await;
    let refused =
        said.iter().filter(|(who, _, _, outcome)| who == "other" && outcome == "out_of_place");
    assert_eq!(refused.count(), 6, "{said:?}");
    // Refused tries are in the trail.
    let unknown = pb::UpdateTaskRequest { task_id: "nothing".to_owned(), ..done(0) };
    let missing = follow_up(&clinic).update_task(by("own", unknown)).await.unwrap_err();
    assert_eq!(missing.code(), Code::NotFound);
    let stale = follow_up(&clinic).update_task(by("own", done(5))).await.unwrap_err();
    assert_eq!(stale.code(), Code::FailedPrecondition, "{stale}");
    let said = trail(&clinic, 0).await;
    for (record, outcome) in [("nothing", "not_found"), (task.id.as_str(), "stale")] {
        assert!(
            said.iter().any(|(who, _, of, came)| who == "own" && of == record && came == outcome),
            "{outcome} {said:?}"
        );
    }
    // The village's own goes on, and the township's.
    follow_up(&clinic).update_task(by("own", done(0))).await.unwrap();
    consent(&clinic).withdraw_consent(by("own", withdraw())).await.unwrap();
    exchange(&clinic).register_patient(by("own", person(VILLAGE))).await.unwrap();

    // The patient comes to the other village's doctor: tasks and words of the patient's, but what somebody
    // else wrote down as taken back is not given again there.
    let present = pb::ConfirmPresenceRequest {
        record: kept.name.clone(),
        check: pb::PresenceCheck::IdentityCard.into(),
        ..Default::default()
    };
    consent(&clinic).confirm_presence(by("other", present)).await.unwrap();
    is_out_of_place(consent(&clinic).restore_consent(by("other", restore())).await);
    follow_up(&clinic).update_task(by("other", done(1))).await.unwrap();
    consent(&clinic).restore_consent(by("own", restore())).await.unwrap();
    consent(&clinic).withdraw_consent(by("other", withdraw())).await.unwrap();
    consent(&clinic).restore_consent(by("other", restore())).await.unwrap();
    consent(&clinic).withdraw_consent(by("own", withdraw())).await.unwrap();
    consent(&clinic).restore_consent(by("township", restore())).await.unwrap();

    // Who saw and wrote what of the person is found, registration and presence among it.
    let found = accesses(&clinic).await;
    let found: Vec<_> = found.iter().map(|e| (&*e.caller, &*e.action, &*e.outcome)).collect();
    for one in [
        ("own", "register_people", "ok"),
        ("other", "register_people", "out_of_place"),
        ("other", "change_tasks", "out_of_place"),
        ("other", "change_consent", "ok"),
    ] {
        assert!(found.contains(&one), "{one:?} {found:?}");
    }
}

fn clinic() -> Setup {
    Setup::new().with(|c| {
        c.fhir.listen = Some("127.0.0.1:0".parse().unwrap());
        "361104204".clone_into(&mut c.node.area);
        credentials(c);
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn grants_are_listed_for_purposes_of_the_role() {
    let clinic = clinic().start().await;
    let request = pb::SubmitRecordRequest { content: stroke("CYXJ-1"), ..Default::default() };
    let kept = records(&clinic).submit_record(by("township", request)).await.unwrap().into_inner();
    let name = kept.name;
    let asked = |purpose: pb::Purpose| pb::ListGrantsRequest {
        record: name.clone(),
        purpose: purpose.into(),
        ..Default::default()
    };
    let seen = i64::try_from(trail(&clinic, 0).await.len()).unwrap();
    let of_patient = by("pharmacist", asked(pb::Purpose::PatientRequest));
    let denied = consent(&clinic).list_grants(of_patient).await.unwrap_err();
    assert_eq!(denied.code(), Code::PermissionDenied, "{denied}");
    consent(&clinic).list_grants(by("pharmacist", asked(pb::Purpose::Treatment))).await.unwrap();
    let said = trail(&clinic, seen).await;
    let outcomes: Vec<_> = said.iter().map(|(who, _, of, came)| (&**who, &**of, &**came)).collect();
    assert_eq!(outcomes, [("pharmacist", &*name, "denied"), ("pharmacist", &*name, "ok")]);
}

async fn fhir(node: &TestNode, who: &str, path: &str) -> (u16, Value) {
    let bearer = format!("Bearer {who}");
    let headers = [TREAT, ("authorization", bearer.as_str())];
    let answer = call(at(node), &format!("GET /fhir/{path}"), &headers, b"").await;
    (answer.status, answer.json())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_fhir_door_tells_nobody_that_there_is_what_they_may_not_see() {
    let clinic = clinic().start().await;
    for number in ["CYXJ-1", "CYXJ-2", "CYXJ-3"] {
        let request = pb::SubmitRecordRequest { content: stroke(number), ..Default::default() };
        records(&clinic).submit_record(by("township", request)).await.unwrap();
    }
    let of_person = format!("DocumentReference?patient.identifier={}", PATIENT.1);
    for query in ["", "&_count=0", "&_count=1", "&date=ge2020&_count=0"] {
        let (status, found) = fhir(&clinic, "own", &format!("{of_person}{query}")).await;
        assert_eq!((status, &found["total"]), (200, &json!(3)), "{query}");
        let (status, found) = fhir(&clinic, "other", &format!("{of_person}{query}")).await;
        assert_eq!((status, &found["total"]), (200, &json!(0)), "{query}");
        let links = found["link"].as_array().unwrap();
        assert!(links.iter().all(|link| link["relation"] != "next"), "{query} {found}");
        assert!(found["entry"].is_null(), "{query}");
    }
    let (_, first) = fhir(&clinic, "own", &format!("{of_person}&_count=1")).await;
    let (id, next) =
        (first["entry"][0]["resource"]["id"].as_str().unwrap(), first["link"].to_string());
    assert!(next.contains("\"next\""), "{next}");
    let seen = trail(&clinic, 0).await.len();
    let (status, _) = fhir(&clinic, "own", &format!("DocumentReference/{id}")).await;
    assert_eq!(status, 200);
    let (status, _) = fhir(&clinic, "other", &format!("DocumentReference/{id}")).await;
    assert_eq!(status, 404, "not even that there is one");
    let (status, _) = fhir(&clinic, "own", "DocumentReference/nothing").await;
    assert_eq!(status, 404);
    let said = trail(&clinic, i64::try_from(seen).unwrap()).await;
    let said: Vec<_> = said.iter().map(|(who, _, of, came)| (&**who, &**of, &**came)).collect();
    let name = said[0].1;
    assert!(name.contains("CYXJ-"), "{said:?}");
    assert_eq!(
        said,
        [("own", name, "ok"), ("other", name, "withheld"), ("own", "nothing", "not_found")]
    );
    // Whoever asks who saw the person's data finds the search and the reads, those withheld among them.
    let found = accesses(&clinic).await;
    let count = |who: &str, outcome: &str| {
        let of = |e: &&audit::AuditEntry| {
            e.caller == who && e.outcome == outcome && e.action == "read_records"
        };
        found.iter().filter(of).count()
    };
    assert_eq!((count("own", "ok"), count("other", "withheld")), (6, 5), "{found:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_match_shows_whoever_sees_summaries_no_more_than_a_summary() {
    let clinic = clinic().start().await;
    let request = pb::SubmitRecordRequest { content: stroke("CYXJ-1"), ..Default::default() };
    records(&clinic).submit_record(by("township", request)).await.unwrap();
    let body = json!({ "resourceType": "Parameters", "parameter": [{ "name": "resource", "resource": {
        "resourceType": "Patient", "name": [{ "text": PATIENT.0 }], "birthDate": PATIENT.2,
        "identifier": [{ "system": "urn:oid:2.16.156.10011.1.3", "value": PATIENT.1 }] } }] });
    let body = body.to_string();
    let matched = async |who: &str| {
        let bearer = format!("Bearer {who}");
        let headers = [TREAT, FHIR, ("authorization", bearer.as_str())];
        let answer =
            call(at(&clinic), "POST /fhir/Patient/$match", &headers, body.as_bytes()).await;
        let found = answer.json();
        assert_eq!((answer.status, &found["total"]), (200, &json!(1)), "{who} {found}");
        let patient = found["entry"][0]["resource"].clone();
        assert_eq!(patient["name"][0]["text"], PATIENT.0, "{who}");
        patient
    };
    let whole = matched("own").await;
    assert!(whole["identifier"].is_array() && whole["address"].is_array(), "{whole}");
    let summary = matched("pharmacist").await;
    for field in ["identifier", "telecom", "address", "contact"] {
        assert!(summary[field].is_null(), "{field} {summary}");
    }
    assert!(!summary.to_string().contains(PATIENT.1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_would_forge_a_line_of_the_trail_is_refused_with_its_field() {
    let clinic = Setup::new().start().await;
    for number in [
        "CYXJ-9&#10;2026-11-30 09:00  account:dr.wang（village_doctor）read_records ok",
        "CYXJ-9\u{202e}01",
        "CYXJ-9\u{2066}",
    ] {
        let request = pb::SubmitRecordRequest { content: stroke(number), ..Default::default() };
        let refused = records(&clinic).submit_record(request).await.unwrap_err();
        assert_eq!(bad_fields(&refused), ["content"], "{number:?}");
    }
    let name = submit(&clinic, stroke("CYXJ-1")).await.name;
    let broken = |between: &str| pb::GetRecordRequest {
        name: name.clone(),
        purpose: pb::Purpose::Emergency.into(),
        break_glass_reason: format!("患者昏迷送来，需要知道{between}用药和过敏史"),
        ..Default::default()
    };
    for hidden in ["\u{202e}", "\u{1b}[1A", "\u{85}"] {
        let refused = records(&clinic).get_record(broken(hidden)).await.unwrap_err();
        assert_eq!(bad_fields(&refused), ["break_glass_reason"], "{hidden:?}");
    }
    // A box for text has several lines.
    records(&clinic).get_record(broken("\n")).await.unwrap();
    let follows = pb::RegisterPatientRequest {
        person: Some(pb::RegisteredPerson {
            name: PATIENT.0.to_owned(),
            resident_id: PATIENT.1.to_owned(),
            ..Default::default()
        }),
        relation: pb::Relation::Subscription.into(),
        reason: "高血压\u{202d}管理".to_owned(),
        ..Default::default()
    };
    let refused = exchange(&clinic).register_patient(follows).await.unwrap_err();
    assert_eq!(bad_fields(&refused), ["reason"]);
}
