//! The audit trail of running nodes: whole, tampered with, exported, asked who saw what, and anchored at
//! the hub.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _};
use tonic::Code;
use tonic::transport::Channel;
use xiangyi::app::audit::ports::Signer as _;
use xiangyi::app::audit::sign::NodeKey;
use xiangyi::link::proto::xiangyi::link::v1 as link;
use xiangyi::rpc::proto::xiangyi::audit::v1 as pb;
use xiangyi::rpc::proto::xiangyi::audit::v1::audit_service_client::AuditServiceClient;
use xiangyi::sharing::audit::{Head, Mark};

use crate::harness::{Setup, TestNode, bad_fields, complaint};
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
