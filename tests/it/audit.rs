//! The audit trail of running nodes: whole, tampered with, exported, asked who saw what, and anchored at
//! the hub.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use sha2::{Digest as _, Sha256};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _};
use tonic::transport::Channel;
use tonic::{Code, Request};
use xiangyi::app::access::Role;
use xiangyi::app::audit::ports::Signer as _;
use xiangyi::app::audit::sign::NodeKey;
use xiangyi::config::TokenSection;
use xiangyi::link::proto::xiangyi::link::v1 as link;
use xiangyi::rpc::proto::xiangyi::audit::v1 as pb;
use xiangyi::rpc::proto::xiangyi::audit::v1::audit_service_client::AuditServiceClient;
use xiangyi::rpc::proto::xiangyi::diagnosis::v1 as dx;
use xiangyi::rpc::proto::xiangyi::records::v1 as rc;
use xiangyi::sharing::audit::{Head, Mark};

use crate::harness::{Setup, TestNode, bad_fields, complaint, hex, reason, token_of};
use crate::records::{records, stroke};
use crate::region::{hub, node, until};

fn audit(node: &TestNode) -> AuditServiceClient<Channel> {
    AuditServiceClient::new(node.channel.clone())
}

/// A head that a node with this name has signed.
pub(crate) fn signed_head(node: &str) -> link::AnchorTrailRequest {
    let head = Head { number: 3, sha256: [1; 32], sm3: [2; 32] };
    let mark = Mark { node: node.to_owned(), chain: "c".to_owned(), head, at_ms: 5 };
    let anchor = NodeKey::new(&[7; 32]).unwrap().sign(mark);
    link::AnchorTrailRequest {
        node: anchor.mark.node,
        chain: anchor.mark.chain,
        number: 3,
        sha256: vec![1; 32].into(),
        sm3: vec![2; 32].into(),
        at_ms: 5,
        key: anchor.key.into(),
        signature: anchor.signature.into(),
    }
}

/// `xiangyi audit` on the node's own database.
fn command(node: &str, data: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_xiangyi"))
        .arg("audit")
        .args(arguments)
        .env("XIANGYI_STORE_DIR", data)
        .env("XIANGYI_NODE_NAME", node)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"))
}

fn text(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// Somebody with the file.
async fn tamper(data: &Path, sql: &'static str) {
    let options = SqliteConnectOptions::new().filename(data.join("xiangyi.db"));
    let mut connection = options.connect().await.unwrap();
    sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

/// A consultation of a patient.
async fn consult(node: &TestNode, reference: &str) {
    let mut request = complaint("发热3天，咳嗽");
    reference.clone_into(&mut request.patient.as_mut().unwrap().reference);
    node.diagnose(request).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_nodes_trail_is_whole_and_says_who_saw_a_patients_data() {
    let node = Setup::new().start().await;
    for patient in ["P-1", "P-2", "P-1"] {
        consult(&node, patient).await;
    }
    let asked = pb::ListPatientAccessesRequest {
        patient_reference: "P-1".to_owned(),
        ..Default::default()
    };
    let seen = audit(&node).list_patient_accesses(asked.clone()).await.unwrap().into_inner();
    let seen: Vec<_> = seen.entries.iter().map(|e| (&*e.action, &*e.patient_reference)).collect();
    assert_eq!(seen, [("diagnose", "P-1"), ("diagnose", "P-1")]);
    // An answer that is given once more is one more read of it.
    let mut again = complaint("发热3天，咳嗽");
    again.patient.as_mut().unwrap().reference = "P-3".to_owned();
    again.request_id = "once".to_owned();
    for _ in 0..2 {
        node.diagnose(again.clone()).await.unwrap();
    }
    let third = pb::ListPatientAccessesRequest {
        patient_reference: "P-3".to_owned(),
        ..Default::default()
    };
    let third = audit(&node).list_patient_accesses(third).await.unwrap().into_inner();
    let third: Vec<_> = third.entries.iter().map(|entry| &*entry.outcome).collect();
    assert_eq!(third, ["replayed", "ok"]);
    // Having asked is in the trail too.
    let again = audit(&node).list_patient_accesses(asked).await.unwrap().into_inner();
    assert_eq!(again.entries[0].action, "read_audit");
    let person = pb::AccessedPerson { name: "饶建国".to_owned(), ..Default::default() };
    let refused = pb::ListPatientAccessesRequest { person: Some(person), ..Default::default() };
    let refused = audit(&node).list_patient_accesses(refused).await.unwrap_err();
    assert_eq!(bad_fields(&refused), ["person.resident_id"]);

    let page = pb::ListAuditEntriesRequest { page_size: 2, ..Default::default() };
    let first = audit(&node).list_audit_entries(page.clone()).await.unwrap().into_inner();
    assert_eq!((first.entries.len(), first.entries[0].number), (2, 8));
    let token = first.next_page_token;
    let next = pb::ListAuditEntriesRequest { page_token: token, ..page };
    let next = audit(&node).list_audit_entries(next).await.unwrap().into_inner();
    assert_eq!(next.entries[0].number, 6);

    let verified = audit(&node).verify_trail(pb::VerifyTrailRequest::default()).await;
    let verified = verified.unwrap().into_inner();
    assert!(verified.intact, "{verified:?}");
    assert_eq!(verified.chain, first.chain);
    // Of another node, and of one that nobody signed.
    let mut foreign = pb::Anchor { node: "other".to_owned(), ..Default::default() };
    (foreign.sha256, foreign.sm3) = (vec![0; 32], vec![0; 32]);
    let foreign = pb::VerifyTrailRequest { anchors: vec![foreign], exchange: false };
    let status = audit(&node).verify_trail(foreign).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert_eq!(bad_fields(&status), ["anchors[0].signature", "anchors[0].node"]);
}

/// Asks for a consultation that was just made.
fn read_again(made: dx::DiagnoseResponse) -> dx::GetConsultationRequest {
    let consultation_id = made.consultation.unwrap().consultation_id;
    dx::GetConsultationRequest { consultation_id }
}

/// A request by whoever has this role.
fn by<T>(role: Role, message: T) -> Request<T> {
    let mut request = Request::new(message);
    let bearer = format!("Bearer {}", token_of(role)).parse().unwrap();
    request.metadata_mut().insert("authorization", bearer);
    request
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_alarm_is_closed_once_by_somebody_else_with_a_finding() {
    let node = Setup::new().tokens().start().await;
    for patient in 0..41 {
        let mut request = complaint("咳嗽");
        request.patient.as_mut().unwrap().reference = format!("P-{patient}");
        let made = node.diagnosis().diagnose(by(Role::VillageDoctor, request)).await.unwrap();
        let read = read_again(made.into_inner());
        node.diagnosis().get_consultation(by(Role::VillageDoctor, read)).await.unwrap();
    }
    let open = pb::ListAlarmsRequest { open_only: true, ..Default::default() };
    let listed = async |asked: &pb::ListAlarmsRequest| {
        let request = by(Role::Auditor, asked.clone());
        audit(&node).list_alarms(request).await.unwrap().into_inner().alarms
    };
    let alarm = until("the alarm", async || listed(&open).await.pop()).await;
    assert_eq!((alarm.kind(), &*alarm.caller), (pb::AlarmKind::MassReading, "test-village_doctor"));
    assert_eq!(alarm.closure, None);

    let closing = pb::CloseAlarmRequest {
        number: alarm.number,
        finding: pb::AlarmFinding::Justified.into(),
        note: "  流感高峰，当日接诊 41 人 ".to_owned(),
    };
    let close = async |role, request| audit(&node).close_alarm(by(role, request)).await;
    let bad = |finding: i32, note: &str| pb::CloseAlarmRequest {
        finding,
        note: note.to_owned(),
        ..closing.clone()
    };
    for (request, field) in [
        (bad(0, "x"), "finding"),
        (bad(9, "x"), "finding"),
        (bad(1, " "), "note"),
        (bad(1, "a\nb"), "note"),
        (bad(1, &"字".repeat(201)), "note"),
    ] {
        let status = close(Role::Auditor, request).await.unwrap_err();
        assert_eq!(bad_fields(&status), [field]);
    }
    let nothing = pb::CloseAlarmRequest { number: alarm.number + 1, ..closing.clone() };
    let status = close(Role::Auditor, nothing).await.unwrap_err();
    assert_eq!(reason(&status), "NOT_FOUND");
    let status = close(Role::VillageDoctor, closing.clone()).await.unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied);
    assert_eq!(listed(&open).await.len(), 1);

    let closed = close(Role::Auditor, closing.clone()).await.unwrap().into_inner().alarm.unwrap();
    let closure = closed.closure.clone().unwrap();
    assert_eq!(closure.finding(), pb::AlarmFinding::Justified);
    assert_eq!(closure.note, "流感高峰，当日接诊 41 人");
    assert_eq!(closure.closed_by, "test-auditor");
    let again = pb::CloseAlarmRequest { note: "又一次".to_owned(), ..closing };
    let status = close(Role::Auditor, again).await.unwrap_err();
    assert_eq!(status.code(), Code::FailedPrecondition);
    assert!(listed(&open).await.is_empty());
    assert_eq!(listed(&pb::ListAlarmsRequest::default()).await, [closed]);
    // It is in the trail, with those that came to nothing.
    let asked =
        pb::ListAuditEntriesRequest { action: "close_alarms".to_owned(), ..Default::default() };
    let entries = audit(&node).list_audit_entries(by(Role::Auditor, asked)).await.unwrap();
    let entries = entries.into_inner().entries;
    let said: Vec<_> = entries.iter().map(|entry| &*entry.outcome).collect();
    assert_eq!(said, ["refused", "ok", "not_found"]);
    assert_eq!(entries[1].number, closure.entry_number);
}

/// A valid resident ID (GB 11643) of somebody born on the day of the fixture's patient.
fn resident_id(number: u32) -> String {
    let begins = format!("36112119570317{number:03}");
    let weights = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2];
    let sum: u32 = begins.chars().zip(weights).map(|(c, w)| c.to_digit(10).unwrap() * w).sum();
    let check = "10X98765432".chars().nth(usize::try_from(sum % 11).unwrap()).unwrap();
    format!("{begins}{check}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_reads_people_of_the_own_name_and_village_raises_an_alarm() {
    let hash = |token: &str| hex(&Sha256::digest(token.as_bytes()));
    let credential = |name: &str, role| TokenSection {
        name: name.to_owned(),
        sha256: hash(&token_of(role)),
        role,
        place: None,
        area: String::new(),
    };
    let people = [("饶医生", Role::VillageDoctor), ("审查员", Role::Auditor)];
    let tokens = people.map(|(name, role)| credential(name, role)).to_vec();
    let node = Setup::new().with(|c| c.auth.tokens = tokens).start().await;
    for number in 0..6 {
        let text = String::from_utf8(stroke(&format!("CYXJ-{number}"))).unwrap();
        let given = ["一", "二", "三", "四", "五", "六"][usize::try_from(number).unwrap()];
        let text = text
            .replace("饶建国", &format!("饶{given}"))
            .replace("36112119570317051X", &resident_id(100 + number))
            .replace("36110000000571", &format!("3611000000{:04}", 1000 + number));
        let request = rc::SubmitRecordRequest { content: text.into_bytes(), ..Default::default() };
        let kept = records(&node).submit_record(by(Role::VillageDoctor, request)).await.unwrap();
        let purpose = rc::Purpose::Treatment.into();
        let name = kept.into_inner().name;
        let read = rc::GetRecordRequest { name, purpose, ..Default::default() };
        records(&node).get_record(by(Role::VillageDoctor, read)).await.unwrap();
    }
    let alarm = until("the alarm", async || {
        let asked = by(Role::Auditor, pb::ListAlarmsRequest::default());
        audit(&node).list_alarms(asked).await.unwrap().into_inner().alarms.pop()
    });
    let alarm = alarm.await;
    assert_eq!((alarm.kind(), alarm.person_count), (pb::AlarmKind::SameName, 6));
    assert_eq!(alarm.caller, "饶医生");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_auditor_does_not_close_an_alarm_about_themselves() {
    let node = Setup::new().start().await;
    for patient in 0..61 {
        let mut request = complaint("咳嗽");
        request.patient.as_mut().unwrap().reference = format!("P-{patient}");
        let made = node.diagnosis().diagnose(request).await.unwrap().into_inner();
        node.diagnosis().get_consultation(read_again(made)).await.unwrap();
    }
    let alarm = until("the alarm", async || {
        let found = audit(&node).list_alarms(pb::ListAlarmsRequest::default()).await;
        found.unwrap().into_inner().alarms.pop()
    });
    let alarm = alarm.await;
    assert_eq!(alarm.caller, "local");
    let closing = pb::CloseAlarmRequest {
        number: alarm.number,
        finding: pb::AlarmFinding::Justified.into(),
        note: "本人".to_owned(),
    };
    let status = audit(&node).close_alarm(closing).await.unwrap_err();
    assert_eq!(status.code(), Code::FailedPrecondition);
    assert!(status.message().contains("themselves"), "{status:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_line_verifies_and_exports_and_names_an_altered_entry() {
    let node = Setup::new().start().await;
    for patient in ["P-1", "P-2"] {
        consult(&node, patient).await;
    }
    let data = node.data.path();
    let fine = command("xiangyi", data, &["verify", "--json"]);
    assert!(fine.status.success(), "{fine:?}");
    assert_eq!(json(&fine)["entry_count"], "2");
    let csv = text(&command("xiangyi", data, &["export"]));
    assert_eq!(csv.lines().count(), 3);
    assert!(csv.lines().nth(2).unwrap().contains(",diagnose,"), "{csv}");
    let events = text(&command("xiangyi", data, &["export", "--format", "fhir"]));
    let events: Vec<Value> = events.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(events.len(), 2);
    assert_eq!(events[1]["resourceType"], "AuditEvent");
    assert_eq!(events[1]["entity"][0]["what"]["identifier"]["value"], "P-2");
    let url = format!("http://{}", node.node.address());
    let remote = text(&command("xiangyi", data, &["export", "--server", &url]));
    assert_eq!(remote.lines().count(), 3);

    tamper(
        data,
        "DROP TRIGGER audit_is_not_changed; \
         UPDATE audit SET patient_reference = 'P-9' WHERE patient_reference = 'P-1'",
    )
    .await;
    let broken = command("xiangyi", data, &["verify"]);
    assert_eq!(broken.status.code(), Some(1));
    assert!(text(&broken).contains("第 1 条内容被改动"), "{}", text(&broken));
    let verified = audit(&node).verify_trail(pb::VerifyTrailRequest::default()).await;
    let verified = verified.unwrap().into_inner();
    assert_eq!((verified.fault(), verified.bad_number), (pb::Fault::Altered, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_cut_off_at_a_node_is_found_by_what_the_hub_keeps() {
    let hub = hub().await;
    let village = node("village", &hub).await;
    for patient in ["P-1", "P-2", "P-3"] {
        consult(&village, patient).await;
    }
    let asked = pb::ListAnchorsRequest { node: "village".to_owned() };
    let kept = until("the hub has a head", async || {
        let found = audit(&hub).list_anchors(asked.clone()).await.unwrap().into_inner();
        (!found.anchors.is_empty()).then_some(found.anchors)
    })
    .await;
    assert_eq!(kept[0].node, "village");
    let anchored = kept[0].number;
    let brought = pb::VerifyTrailRequest { anchors: kept, exchange: false };
    let verified = audit(&village).verify_trail(brought).await.unwrap().into_inner();
    assert!(verified.intact && verified.anchored_up_to >= anchored, "{verified:?}");

    let url = format!("http://{}", hub.node.address());
    let data = village.data.path();
    let printed = command("hub", data, &["anchors", "--node", "village", "--server", &url]);
    let file = data.join("anchors.jsonl");
    std::fs::write(&file, &printed.stdout).unwrap();
    let file = file.to_str().unwrap();
    let whole = command("village", data, &["verify", "--anchors", file]);
    assert!(whole.status.success(), "{whole:?}");
    // What the nodes' coming and going entered at the hub is a chain as well.
    let exchange = pb::VerifyTrailRequest { exchange: true, ..Default::default() };
    let said = audit(&hub).verify_trail(exchange.clone()).await.unwrap().into_inner();
    assert!(said.intact, "{said:?}");
    let status = audit(&village).verify_trail(exchange).await.unwrap_err();
    assert_eq!(status.code(), Code::FailedPrecondition);
    // All that the node itself knows of it goes with it.
    tamper(
        data,
        "DROP TRIGGER audit_is_not_deleted; DELETE FROM audit; DELETE FROM audit_anchor; \
         DELETE FROM sqlite_sequence WHERE name = 'audit'",
    )
    .await;
    assert!(command("village", data, &["verify"]).status.success());
    let broken = command("village", data, &["verify", "--json", "--anchors", file]);
    assert_eq!(broken.status.code(), Some(1));
    let said = json(&broken);
    assert_eq!((&said["fault"], &said["bad_number"]), (&"FAULT_CUT_OFF".into(), &"1".into()));
    // A head that somebody changed on the way is no head.
    let text = std::fs::read_to_string(file).unwrap();
    let forged = text.replace("\"number\":", "\"number\":1");
    std::fs::write(file, forged).unwrap();
    let refused = command("village", data, &["verify", "--anchors", file]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("signature"), "{refused:?}");
}

/// By itself the new chain is whole; that there was another one must not go unsaid.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trail_that_was_exchanged_and_then_anchored_is_said() {
    let hub = hub().await;
    let asked = pb::ListAnchorsRequest { node: "village".to_owned() };
    let anchored = async |chains: usize| {
        until("the hub has heads", async || {
            let found = audit(&hub).list_anchors(asked.clone()).await.unwrap().into_inner();
            let of: std::collections::BTreeSet<_> =
                found.anchors.iter().map(|anchor| anchor.chain.clone()).collect();
            (of.len() == chains).then_some(found.anchors)
        })
        .await
    };
    let village = node("village", &hub).await;
    consult(&village, "P-1").await;
    let first = anchored(1).await;
    let brought = pb::VerifyTrailRequest { anchors: first.clone(), exchange: false };
    let whole = audit(&village).verify_trail(brought).await.unwrap().into_inner();
    assert!(whole.intact && whole.other_chains.is_empty(), "{whole:?}");
    assert!(village.node.stop().await);

    let exchanged = node("village", &hub).await;
    consult(&exchanged, "P-2").await;
    let brought = pb::VerifyTrailRequest { anchors: anchored(2).await, exchange: false };
    let verified = audit(&exchanged).verify_trail(brought).await.unwrap().into_inner();
    assert!(verified.intact, "{verified:?}");
    let others: Vec<_> =
        verified.other_chains.iter().map(|other| (&other.chain, other.anchored_up_to)).collect();
    let last = first.iter().map(|anchor| anchor.number).max().unwrap();
    assert!(
        matches!(others.as_slice(), [(chain, upto)] if **chain == first[0].chain && *upto >= last)
    );
    let url = format!("http://{}", hub.node.address());
    let data = exchanged.data.path();
    let printed = command("hub", data, &["anchors", "--node", "village", "--server", &url]);
    let file = data.join("anchors.jsonl");
    std::fs::write(&file, &printed.stdout).unwrap();
    let said = command("village", data, &["verify", "--anchors", file.to_str().unwrap()]);
    assert!(said.status.success(), "{said:?}");
    assert!(text(&said).contains("本节点名下另有锚定过的链"), "{}", text(&said));
}
