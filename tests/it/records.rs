//! Discharge records between a hospital, a hub and a village: over real links, through broken lines,
//! restored backups and replaced boxes.

use std::net::SocketAddr;
use std::path::Path;

use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tonic::Code;
use tonic::transport::Channel;
use xiangyi::config::{Config, NodeRole};
use xiangyi::rpc::proto::xiangyi::records::v1 as pb;
use xiangyi::rpc::proto::xiangyi::records::v1::exchange_service_client::ExchangeServiceClient;
use xiangyi::rpc::proto::xiangyi::records::v1::follow_up_service_client::FollowUpServiceClient;
use xiangyi::rpc::proto::xiangyi::records::v1::record_service_client::RecordServiceClient;

use crate::copied::copy;
use crate::harness::{Setup, TestNode, bad_fields};
use crate::region::{member, token, until};

/// Name, resident ID and birth date of the patient of the fixture, who is made up.
pub(crate) const PATIENT: (&str, &str, &str) = ("饶建国", "36112119570317051X", "1957-03-17");
/// The end of 2099.
pub(crate) const UNTIL_MS: i64 = 4_102_415_999_999;
pub(crate) const NODES: [(&str, &str); 3] =
    [("county", "361104"), ("village", "361104204201"), ("elsewhere", "361102001001")];

pub(crate) fn fixture(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/records").join(name);
    std::fs::read(path).unwrap()
}

/// The fixture as a document of another number, of somebody who lives in 湖村村.
pub(crate) fn stroke(number: &str) -> Vec<u8> {
    let text = String::from_utf8(fixture("wst500-53-stroke.xml")).unwrap();
    assert!(text.contains("CYXJ20261118-0437") && text.contains("石峡村"));
    text.replace("CYXJ20261118-0437", number).replace("石峡村", "湖村村").into_bytes()
}

async fn hub_in(data: TempDir, listen: &str) -> TestNode {
    hub_with(data, |c| c.link.listen = Some(listen.parse().unwrap())).await
}

/// A hub on a port of its own, with more in its configuration.
pub(crate) async fn hub_with(data: TempDir, more: impl FnOnce(&mut Config)) -> TestNode {
    let setup = Setup::new().with(|c| {
        "hub".clone_into(&mut c.node.name);
        c.node.role = NodeRole::Hub;
        c.link.listen = Some("127.0.0.1:0".parse().unwrap());
        c.link.nodes = NODES.map(|(name, area)| member(name, area)).to_vec();
        more(c);
    });
    setup.start_in(data).await
}

pub(crate) async fn hub() -> TestNode {
    hub_in(tempfile::tempdir().unwrap(), "127.0.0.1:0").await
}

pub(crate) async fn node_in(name: &str, hub: &str, data: TempDir) -> TestNode {
    node_at(name, hub, data, |_| ()).await
}

/// A node that dials the hub, with more in its configuration.
pub(crate) async fn node_with(
    name: &str,
    hub: &TestNode,
    data: TempDir,
    more: impl FnOnce(&mut Config),
) -> TestNode {
    node_at(name, &hub.node.link_address().unwrap().to_string(), data, more).await
}

async fn node_at(name: &str, hub: &str, data: TempDir, more: impl FnOnce(&mut Config)) -> TestNode {
    let file = data.path().join("link-token");
    std::fs::write(&file, token(name)).unwrap();
    let role = if name == "county" { NodeRole::Hospital } else { NodeRole::Clinic };
    let setup = Setup::new().with(|c| {
        name.clone_into(&mut c.node.name);
        c.node.role = role;
        c.link.hub = Some(format!("http://{hub}"));
        c.link.token_file = Some(file);
        more(c);
    });
    let setup = setup.metrics();
    setup.start_in(data).await
}

pub(crate) async fn node(name: &str, hub: &TestNode) -> TestNode {
    let address = hub.node.link_address().unwrap().to_string();
    node_in(name, &address, tempfile::tempdir().unwrap()).await
}

pub(crate) fn records(node: &TestNode) -> RecordServiceClient<Channel> {
    RecordServiceClient::new(node.channel.clone())
}

pub(crate) fn follow_up(node: &TestNode) -> FollowUpServiceClient<Channel> {
    FollowUpServiceClient::new(node.channel.clone())
}

pub(crate) fn exchange(node: &TestNode) -> ExchangeServiceClient<Channel> {
    ExchangeServiceClient::new(node.channel.clone())
}

pub(crate) async fn submit(node: &TestNode, content: Vec<u8>) -> pb::SubmitRecordResponse {
    let request = pb::SubmitRecordRequest { content, ..Default::default() };
    records(node).submit_record(request).await.unwrap().into_inner()
}

pub(crate) async fn register(node: &TestNode, ends: bool) {
    let (name, resident_id, birth_date) = PATIENT;
    let person = pb::RegisteredPerson {
        name: name.to_owned(),
        resident_id: resident_id.to_owned(),
        birth_date: birth_date.to_owned(),
        ..pb::RegisteredPerson::default()
    };
    let request = pb::RegisterPatientRequest {
        person: Some(person),
        relation: pb::Relation::Contract.into(),
        ends,
        until_ms: UNTIL_MS,
        ..pb::RegisterPatientRequest::default()
    };
    exchange(node).register_patient(request).await.unwrap();
}

pub(crate) async fn status(node: &TestNode) -> pb::GetExchangeStatusResponse {
    exchange(node).get_exchange_status(pb::GetExchangeStatusRequest {}).await.unwrap().into_inner()
}

pub(crate) async fn handed_over(node: &TestNode) {
    until("everything is handed over", async || (status(node).await.waiting == 0).then_some(()))
        .await;
}

pub(crate) async fn listed(node: &TestNode) -> Vec<pb::RecordLine> {
    let request = pb::ListRecordsRequest {
        purpose: pb::Purpose::Treatment.into(),
        page_size: 200,
        ..pb::ListRecordsRequest::default()
    };
    records(node).list_records(request).await.unwrap().into_inner().records
}

pub(crate) async fn has(node: &TestNode, name: &str, version: u32) -> pb::RecordLine {
    until(&format!("{name} version {version} is there"), async || {
        listed(node).await.into_iter().find(|line| line.name == name && line.version == version)
    })
    .await
}

pub(crate) async fn tasks(node: &TestNode, record: &str) -> Vec<pb::FollowUpTask> {
    let request = pb::ListTasksRequest {
        record: record.to_owned(),
        purpose: pb::Purpose::Treatment.into(),
        page_size: 200,
        ..pb::ListTasksRequest::default()
    };
    follow_up(node).list_tasks(request).await.unwrap().into_inner().tasks
}

/// Passes bytes on to the hub while it is joined; cutting it ends every line.
pub(crate) async fn wire(hub: SocketAddr) -> (SocketAddr, watch::Sender<bool>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let joined = watch::Sender::new(true);
    let seen = joined.subscribe();
    #[expect(clippy::disallowed_methods, reason = "lives as long as the test")]
    tokio::spawn(async move {
        while let Ok((mut near, _)) = listener.accept().await {
            let mut seen = seen.clone();
            if !*seen.borrow_and_update() {
                continue;
            }
            tokio::spawn(async move {
                let Ok(mut far) = TcpStream::connect(hub).await else { return };
                tokio::select! {
                    _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
                    _ = seen.wait_for(|joined| !joined) => {}
                }
            });
        }
    });
    (address, joined)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_discharge_reaches_the_patients_village_and_no_other_with_its_tasks() {
    let hub = hub().await;
    let (county, village, elsewhere) =
        (node("county", &hub).await, node("village", &hub).await, node("elsewhere", &hub).await);
    let content = stroke("CYXJ-1");
    let kept = submit(&county, content.clone()).await;
    assert_eq!(kept.outcome(), pb::SubmitOutcome::Kept);
    // By the address alone: nobody has registered the patient.
    let line = has(&village, &kept.name, kept.version).await;
    assert_eq!(line.patient_name, PATIENT.0);
    assert!(line.programmes.iter().any(|p| p == "stroke"), "{line:?}");
    let request = pb::GetRecordRequest {
        name: kept.name.clone(),
        purpose: pb::Purpose::Treatment.into(),
        ..Default::default()
    };
    let found = records(&village).get_record(request).await.unwrap().into_inner();
    assert!(found.from_hub && found.current);
    assert_eq!((found.sha256.as_str(), found.sm3.as_str()), (&*kept.sha256, &*kept.sm3));
    let record = found.record.unwrap();
    assert_eq!(record.patient.unwrap().name, PATIENT.0);
    let request = pb::ExportRecordRequest {
        name: kept.name.clone(),
        purpose: pb::Purpose::Treatment.into(),
        ..pb::ExportRecordRequest::default()
    };
    let original = records(&village).export_record(request).await.unwrap().into_inner();
    assert_eq!(original.content, content, "the bytes are those that the hospital sent");
    let open = tasks(&village, &kept.name).await;
    assert!(open.iter().any(|task| task.kind() == pb::TaskKind::Visit && !task.due.is_empty()));
    assert!(open.iter().all(|task| !task.reasons.is_empty()), "{open:?}");
    // Who is not concerned has nothing, and the sender is not sent its own.
    handed_over(&county).await;
    assert_eq!(listed(&elsewhere).await, []);
    assert_eq!(status(&county).await.received, 0);
    let nodes = exchange(&hub).list_exchange_nodes(pb::ListExchangeNodesRequest {}).await.unwrap();
    let nodes = nodes.into_inner().nodes;
    let of = |name: &str| nodes.iter().find(|node| node.node == name).unwrap();
    assert_eq!((of("county").handed_over, of("village").inbox, of("elsewhere").inbox), (1, 1, 0));
}

#[tokio::test]
async fn a_discharge_that_has_not_come_yet_is_refused_where_it_is_handed_in() {
    let county = Setup::new().with(|c| c.node.role = NodeRole::Hospital).start().await;
    let text = String::from_utf8(stroke("CYXJ-2036")).unwrap();
    assert!(text.contains("20261118150000"));
    let later = text.replace("20261118150000", "21361118150000").into_bytes();
    let request = pb::SubmitRecordRequest { content: later, ..Default::default() };
    let refused = records(&county).submit_record(request).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    let path = "/ClinicalDocument/componentOf/encompassingEncounter/effectiveTime/high";
    assert_eq!(bad_fields(&refused), [format!("content:{path}")]);
    assert_eq!(listed(&county).await, []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_record_says_can_be_handed_in_without_a_document() {
    let county = Setup::new().with(|c| c.node.role = NodeRole::Hospital).start().await;
    let read = pb::ValidateRecordRequest { content: stroke("CYXJ-1"), ..Default::default() };
    let mut record =
        records(&county).validate_record(read).await.unwrap().into_inner().record.unwrap();
    let said = |record: &pb::DischargeRecord| pb::SubmitRecordRequest {
        record: Some(record.clone()),
        ..Default::default()
    };
    // When it was written must be an instant: the same content is then the same document.
    record.document.as_mut().unwrap().written = "2026-11-18".to_owned();
    let refused = records(&county).submit_record(said(&record)).await.unwrap_err();
    assert_eq!(bad_fields(&refused), ["record.document.written"]);
    record.document.as_mut().unwrap().written = "2026-11-18T16:12:00+08:00".to_owned();
    let both = pb::SubmitRecordRequest { content: b"{}".to_vec(), ..said(&record) };
    let refused = records(&county).submit_record(both).await.unwrap_err();
    assert_eq!(bad_fields(&refused), ["content"]);
    let kept = records(&county).submit_record(said(&record)).await.unwrap().into_inner();
    let again = records(&county).submit_record(said(&record)).await.unwrap().into_inner();
    assert_eq!(
        (kept.outcome(), again.outcome()),
        (pb::SubmitOutcome::Kept, pb::SubmitOutcome::Known)
    );
    let request = pb::GetRecordRequest {
        name: kept.name,
        purpose: pb::Purpose::Treatment.into(),
        ..Default::default()
    };
    let found = records(&county).get_record(request).await.unwrap().into_inner();
    let (said, found) = (record, found.record.unwrap());
    assert_eq!(found.patient, said.patient);
    assert_eq!(found.diagnoses, said.diagnoses);
    assert_eq!(found.narrative, said.narrative);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_contract_brings_what_came_before_it_and_its_end_stops_what_comes_after() {
    let hub = hub().await;
    let (county, elsewhere) = (node("county", &hub).await, node("elsewhere", &hub).await);
    let before = submit(&county, stroke("CYXJ-1")).await;
    handed_over(&county).await;
    assert_eq!(listed(&elsewhere).await, []);
    register(&elsewhere, false).await;
    has(&elsewhere, &before.name, before.version).await;
    let during = submit(&county, stroke("CYXJ-2")).await;
    has(&elsewhere, &during.name, during.version).await;
    register(&elsewhere, true).await;
    handed_over(&elsewhere).await;
    let after = submit(&county, stroke("CYXJ-3")).await;
    handed_over(&county).await;
    let nodes = exchange(&hub).list_exchange_nodes(pb::ListExchangeNodesRequest {}).await.unwrap();
    let inbox = nodes.into_inner().nodes.into_iter().find(|n| n.node == "elsewhere").unwrap().inbox;
    assert_eq!(inbox, 2);
    // In the words of the first time.
    register(&elsewhere, false).await;
    has(&elsewhere, &after.name, after.version).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clinic_that_registers_later_sees_what_was_done_before() {
    let hub = hub().await;
    let (county, village) = (node("county", &hub).await, node("village", &hub).await);
    let kept = submit(&county, stroke("CYXJ-1")).await;
    has(&village, &kept.name, kept.version).await;
    let task = tasks(&village, &kept.name).await.remove(0);
    let request = pb::UpdateTaskRequest {
        task_id: task.id.clone(),
        state: pb::TaskState::Done.into(),
        note: "已随访".to_owned(),
        seen_revision: 0,
    };
    follow_up(&village).update_task(request).await.unwrap();
    handed_over(&village).await;
    let elsewhere = node("elsewhere", &hub).await;
    register(&elsewhere, false).await;
    has(&elsewhere, &kept.name, kept.version).await;
    let done = is_done(&elsewhere, &kept.name).await;
    assert_eq!((done.id, done.note.as_str(), done.revision), (task.id, "已随访", 1));
    let open = tasks(&elsewhere, &kept.name).await.len();
    assert_eq!(open, tasks(&village, &kept.name).await.len());
}

/// The first task of the record that is done.
async fn is_done(node: &TestNode, record: &str) -> pb::FollowUpTask {
    until("a task is done", async || {
        let request = pb::ListTasksRequest {
            record: record.to_owned(),
            state: pb::TaskState::Done.into(),
            purpose: pb::Purpose::Treatment.into(),
            ..pb::ListTasksRequest::default()
        };
        follow_up(node).list_tasks(request).await.unwrap().into_inner().tasks.pop()
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_wait_for_a_line_that_is_down_and_come_once_when_it_is_back() {
    let hub = hub().await;
    let (through, joined) = wire(hub.node.link_address().unwrap()).await;
    let county = node("county", &hub).await;
    let data = tempfile::tempdir().unwrap();
    let village = node_in("village", &through.to_string(), data).await;
    let first = submit(&county, stroke("CYXJ-0")).await;
    has(&village, &first.name, 1).await;
    joined.send_replace(false);
    let mut names = Vec::new();
    for number in 1..=30 {
        names.push(submit(&county, stroke(&format!("CYXJ-{number}"))).await.name);
    }
    handed_over(&county).await;
    assert_eq!(listed(&village).await.len(), 1);
    // It breaks again while they come.
    joined.send_replace(true);
    until("some have come", async || (listed(&village).await.len() > 2).then_some(())).await;
    joined.send_replace(false);
    joined.send_replace(true);
    let all = until("all records are in the village", async || {
        let all = listed(&village).await;
        (all.len() == 31).then_some(all)
    })
    .await;
    for name in &names {
        assert_eq!(all.iter().filter(|line| line.name == *name).count(), 1);
    }
    assert_eq!(status(&village).await.received, 31, "none came twice");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_copy_of_a_villages_database_is_noticed_and_gets_back_what_it_lost() {
    let hub = hub().await;
    let address = hub.node.link_address().unwrap().to_string();
    let county = node("county", &hub).await;
    let village = node("village", &hub).await;
    let first = submit(&county, stroke("CYXJ-1")).await;
    has(&village, &first.name, 1).await;
    let TestNode { node: running, data, .. } = village;
    assert!(running.stop().await);
    let backup = tempfile::tempdir().unwrap();
    copy(data.path(), backup.path()).await;
    // After the backup: a record comes, and the doctor does a task.
    let village = node_in("village", &address, data).await;
    let second = submit(&county, stroke("CYXJ-2")).await;
    has(&village, &second.name, 1).await;
    let task = tasks(&village, &first.name).await.remove(0);
    let request = pb::UpdateTaskRequest {
        task_id: task.id.clone(),
        state: pb::TaskState::Done.into(),
        note: "已随访".to_owned(),
        seen_revision: 0,
    };
    follow_up(&village).update_task(request).await.unwrap();
    handed_over(&village).await;
    assert!(village.node.stop().await);
    // The box breaks; the backup is put back.
    let village = node_in("village", &address, backup).await;
    has(&village, &second.name, 1).await;
    let done = is_done(&village, &first.name).await;
    assert_eq!((done.id, done.note.as_str()), (task.id, "已随访"));
    let events = status(&village).await.events;
    assert!(events.iter().any(|e| e.kind == "renewed" && e.advice.contains("old copy")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_box_under_the_same_name_gets_everything_and_the_old_one_is_told() {
    let hub = hub().await;
    let address = hub.node.link_address().unwrap().to_string();
    let county = node("county", &hub).await;
    let village = node("village", &hub).await;
    let first = submit(&county, stroke("CYXJ-1")).await;
    has(&village, &first.name, 1).await;
    let TestNode { node: running, data: old, .. } = village;
    assert!(running.stop().await);
    let second = submit(&county, stroke("CYXJ-2")).await;
    let village = node("village", &hub).await;
    has(&village, &first.name, 1).await;
    has(&village, &second.name, 1).await;
    // The old box comes back with something it had not handed over.
    let back = node_in("village", &address, old).await;
    let task = tasks(&back, &first.name).await.remove(0);
    let request = pb::UpdateTaskRequest {
        task_id: task.id,
        state: pb::TaskState::Done.into(),
        note: "旧设备上完成".to_owned(),
        seen_revision: 0,
    };
    follow_up(&back).update_task(request).await.unwrap();
    handed_over(&back).await;
    let told = status(&back).await.events;
    assert!(told.iter().any(|e| e.kind == "replaced" && e.advice.contains("another name")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hub_that_is_set_back_gets_everything_again() {
    let hub = hub().await;
    let address = hub.node.link_address().unwrap();
    let (county, village) = (node("county", &hub).await, node("village", &hub).await);
    let first = submit(&county, stroke("CYXJ-1")).await;
    has(&village, &first.name, 1).await;
    let TestNode { node: running, data, .. } = hub;
    assert!(running.stop().await);
    let backup = tempfile::tempdir().unwrap();
    copy(data.path(), backup.path()).await;
    let hub = hub_in(data, &address.to_string()).await;
    let second = submit(&county, stroke("CYXJ-2")).await;
    has(&village, &second.name, 1).await;
    handed_over(&county).await;
    assert!(hub.node.stop().await);
    let hub = hub_in(backup, &address.to_string()).await;
    until("the hub has both again", async || {
        let nodes = exchange(&hub).list_exchange_nodes(pb::ListExchangeNodesRequest {}).await;
        let nodes = nodes.unwrap().into_inner().nodes;
        let of = |name: &str| nodes.iter().find(|node| node.node == name).cloned().unwrap();
        (of("county").handed_over == 2 && of("village").inbox == 2 && of("village").kept == 2)
            .then_some(())
    })
    .await;
    assert_eq!(listed(&village).await.len(), 2, "nothing is there twice");
    let events = status(&county).await.events;
    assert!(events.iter().any(|e| e.kind == "hub_set_back"), "{events:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_places_that_disagree_about_a_task_are_both_kept_and_shown() {
    let hub = hub().await;
    let (county, village, elsewhere) =
        (node("county", &hub).await, node("village", &hub).await, node("elsewhere", &hub).await);
    register(&elsewhere, false).await;
    handed_over(&elsewhere).await;
    let kept = submit(&county, stroke("CYXJ-1")).await;
    has(&village, &kept.name, 1).await;
    has(&elsewhere, &kept.name, 1).await;
    let id = tasks(&village, &kept.name).await.remove(0).id;
    assert!(tasks(&elsewhere, &kept.name).await.iter().any(|task| task.id == id));
    let address = hub.node.link_address().unwrap().to_string();
    let TestNode { node: running, data, .. } = hub;
    assert!(running.stop().await);
    for (node, state, note) in [
        (&village, pb::TaskState::Done, "已随访"),
        (&elsewhere, pb::TaskState::Cancelled, "患者外出务工"),
    ] {
        let request = pb::UpdateTaskRequest {
            task_id: id.clone(),
            state: state.into(),
            note: note.to_owned(),
            seen_revision: 0,
        };
        follow_up(node).update_task(request).await.unwrap();
    }
    let _hub = hub_in(data, &address).await;
    let mut seen = 0;
    for node in [&village, &elsewhere] {
        let found = until("the task is in conflict", async || {
            let found = tasks(node, &kept.name).await.into_iter().find(|task| task.id == id)?;
            (found.state() == pb::TaskState::Conflict).then_some(found)
        })
        .await;
        assert!(found.note.contains("已随访") && found.note.contains("患者外出务工"), "{found:?}");
        seen = found.revision;
    }
    // Somebody decides.
    let request = |seen_revision| pb::UpdateTaskRequest {
        task_id: id.clone(),
        state: pb::TaskState::Done.into(),
        note: "电话核实，已随访".to_owned(),
        seen_revision,
    };
    let stale = follow_up(&village).update_task(request(seen - 1)).await.unwrap_err();
    assert_eq!(stale.code(), Code::FailedPrecondition, "{stale}");
    follow_up(&village).update_task(request(seen)).await.unwrap();
    until("both agree", async || {
        let open = tasks(&elsewhere, &kept.name).await;
        (!open.iter().any(|task| task.id == id)).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_a_record_is_refused_by_name_and_nothing_is_kept() {
    let county = Setup::new().with(|c| c.node.role = NodeRole::Hospital).start().await;
    let text = String::from_utf8(stroke("CYXJ-1")).unwrap();
    let gb18030 = text.replace("饶建国", "\u{0}").into_bytes();
    let gb18030: Vec<u8> = gb18030
        .iter()
        .flat_map(|b| if *b == 0 { vec![0xc8, 0xc4, 0xbd, 0xa8, 0xb9, 0xfa] } else { vec![*b] })
        .collect();
    let bomb = text.replacen(
        "<ClinicalDocument",
        "<!DOCTYPE d [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b \"&a;&a;&a;\">]><ClinicalDocument",
        1,
    );
    for (what, content) in [
        ("empty", Vec::new()),
        ("neither", b"hello".to_vec()),
        ("broken XML", text.replace("</ClinicalDocument>", "").into_bytes()),
        ("entities", bomb.into_bytes()),
        ("GB18030 as UTF-8", gb18030),
        (
            "another template",
            text.replace("2.1.1.73", "2.1.1.99").replace("C0053", "C0099").into_bytes(),
        ),
        ("a day that is none", text.replace("19570317\"", "19570231\"").into_bytes()),
        ("broken JSON", b"{\"resourceType\": \"Bundle\", ".to_vec()),
        ("not a Bundle", b"{\"resourceType\": \"Patient\"}".to_vec()),
    ] {
        let request = pb::SubmitRecordRequest { content, ..Default::default() };
        let refused = records(&county).submit_record(request).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{what}: {refused}");
        assert!(!bad_fields(&refused).is_empty(), "{what}");
        assert!(!refused.message().contains("饶"), "{what}: {refused}");
    }
    assert_eq!(listed(&county).await, []);
    assert_eq!(status(&county).await.queued, 0);
    // The same name and version with another content is no correction.
    submit(&county, stroke("CYXJ-1")).await;
    let again = submit(&county, stroke("CYXJ-1")).await;
    assert_eq!(again.outcome(), pb::SubmitOutcome::Known);
    assert_eq!(status(&county).await.queued, 1);
    let request = pb::GetRecordRequest { name: again.name, ..Default::default() };
    let refused = records(&county).get_record(request).await.unwrap_err();
    assert_eq!(bad_fields(&refused), ["purpose"]);
}
