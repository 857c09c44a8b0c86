//! People at a hub: records that state no number reach the clinic that registered the person, at once
//! where it is sure and after a decision where it is not.

use std::process::Command;

use tonic::transport::Channel;
use xiangyi::rpc::proto::xiangyi::people::v1 as pe;
use xiangyi::rpc::proto::xiangyi::people::v1::person_service_client::PersonServiceClient;
use xiangyi::rpc::proto::xiangyi::records::v1 as pb;
use xiangyi::rpc::proto::xiangyi::records::v1::exchange_service_client::ExchangeServiceClient;

use crate::harness::TestNode;
use crate::records::{PATIENT, has, hub, listed, node, stroke, submit};
use crate::region::until;

fn people(hub: &TestNode) -> PersonServiceClient<Channel> {
    PersonServiceClient::new(hub.channel.clone())
}

async fn register(node: &TestNode) {
    let (name, resident_id, birth_date) = PATIENT;
    let person = pb::RegisteredPerson {
        name: name.to_owned(),
        resident_id: resident_id.to_owned(),
        birth_date: birth_date.to_owned(),
        phone: "13900000001".to_owned(),
        ..pb::RegisteredPerson::default()
    };
    let request = pb::RegisterPatientRequest {
        person: Some(person),
        relation: pb::Relation::Registered.into(),
        ..pb::RegisterPatientRequest::default()
    };
    let mut exchange = ExchangeServiceClient::new(node.channel.clone());
    exchange.register_patient(request).await.unwrap();
}

/// The fixture as a hospital writes it that saw no card, of somebody who lives nowhere in particular.
fn without_numbers(number: &str, name: &str, phone: &str) -> Vec<u8> {
    let text = String::from_utf8(stroke(number)).unwrap();
    let text = text.replace("湖村村", "某地").replace("13900000001", phone);
    let text = text.replace(PATIENT.1, "").replace("36110000000571", "").replace(PATIENT.0, name);
    text.into_bytes()
}

async fn settled(hub: &TestNode, documents: u64) -> pe::GetPeopleReportResponse {
    until("every document has found its person", async || {
        // First what was kept: what comes in between is not settled yet.
        let kept = kept(hub).await;
        let report = people(hub).get_people_report(pe::GetPeopleReportRequest {}).await;
        let report = report.unwrap().into_inner();
        (report.unsettled == 0 && kept == documents).then_some(report)
    })
    .await
}

/// Documents that nodes have handed over.
async fn kept(hub: &TestNode) -> u64 {
    let mut exchange = ExchangeServiceClient::new(hub.channel.clone());
    let nodes = exchange.list_exchange_nodes(pb::ListExchangeNodesRequest {}).await.unwrap();
    nodes.into_inner().nodes.iter().map(|node| node.handed_over).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_without_a_number_reaches_the_clinic_and_a_doubtful_one_after_a_decision() {
    let hub = hub().await;
    let (county, clinic) = (node("county", &hub).await, node("elsewhere", &hub).await);
    register(&clinic).await;
    settled(&hub, 1).await;
    let sure = submit(&county, without_numbers("CYXJ-P1", PATIENT.0, "13900000001")).await;
    has(&clinic, &sure.name, sure.version).await;
    // Another character of the same sound: somebody must look.
    let doubtful = submit(&county, without_numbers("CYXJ-P2", "饶健国", "")).await;
    let report = settled(&hub, 3).await;
    assert_eq!(report.reviews, 1, "{report:?}");
    assert!(!listed(&clinic).await.iter().any(|line| line.name == doubtful.name));
    let request = pe::ListPersonReviewsRequest::default();
    let reviews = people(&hub).list_person_reviews(request).await.unwrap().into_inner().reviews;
    let [review] = reviews.as_slice() else { panic!("{reviews:?}") };
    let person = review.candidates[0].person;
    assert!(!review.candidates[0].fields.is_empty() && !review.candidates[0].reason.is_empty());
    let shown = review.candidates[0].particulars[0].stated.clone().unwrap();
    assert_eq!(
        (shown.name.as_str(), shown.resident_id.as_str()),
        (PATIENT.0, "361121********051X")
    );
    // As an operator decides it.
    let said =
        command(&hub, &["decide", &review.review.to_string(), "--same", &person.to_string()]);
    assert!(said.contains("已认定"), "{said}");
    has(&clinic, &doubtful.name, doubtful.version).await;
    let person = people(&hub).get_person(pe::GetPersonRequest { person }).await.unwrap();
    let person = person.into_inner();
    let same = person.events.iter().find(|event| event.action == "same").unwrap();
    assert_eq!((same.by.as_str(), same.reason.as_str()), ("local", "电话核实"));
    assert!(person.documents.iter().any(|d| d.nodes == ["elsewhere"]), "{person:?}");
    let said = command(&hub, &["undo", &same.decision.to_string()]);
    assert!(said.contains("已撤销") && said.contains("elsewhere"), "{said}");
    let report = settled(&hub, 3).await;
    assert_eq!(report.persons, 2);
    let found = people(&hub)
        .match_person(pe::MatchPersonRequest {
            person: Some(pe::StatedPerson {
                name: PATIENT.0.to_owned(),
                resident_id: PATIENT.1.to_owned(),
                ..pe::StatedPerson::default()
            }),
        })
        .await
        .unwrap()
        .into_inner();
    assert_eq!(found.outcome(), pe::MatchOutcome::Linked, "{found:?}");
}

/// What `xiangyi people` prints.
fn command(hub: &TestNode, arguments: &[&str]) -> String {
    let server = format!("http://{}", hub.node.address());
    let output = Command::new(env!("CARGO_BIN_EXE_xiangyi"))
        .arg("people")
        .args(arguments)
        .args(["--note", "电话核实", "--server", &server])
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    String::from_utf8(output.stdout).unwrap()
}
