//! What stands between a clinic and a patient: what the hub sent a record for, what the clinic has
//! written down, and who is here now.

use tonic::{Code, Status};
use xiangyi::rpc::proto::xiangyi::records::v1 as pb;
use xiangyi::rpc::proto::xiangyi::records::v1::consent_service_client::ConsentServiceClient;

use crate::harness::{Setup, TestNode, bad_fields};
use crate::records::{
    PATIENT, UNTIL_MS, exchange, handed_over, has, hub, listed, node, records, register, status,
    stroke, submit, tasks,
};
use crate::region::until;

fn consent(node: &TestNode) -> ConsentServiceClient<tonic::transport::Channel> {
    ConsentServiceClient::new(node.channel.clone())
}

fn patient() -> pb::RegisteredPerson {
    let (name, resident_id, _) = PATIENT;
    pb::RegisteredPerson {
        name: name.to_owned(),
        resident_id: resident_id.to_owned(),
        ..pb::RegisteredPerson::default()
    }
}

fn registration(relation: pb::Relation) -> pb::RegisterPatientRequest {
    pb::RegisterPatientRequest {
        person: Some(patient()),
        relation: relation.into(),
        ..pb::RegisterPatientRequest::default()
    }
}

async fn read(node: &TestNode, name: &str) -> Result<pb::GetRecordResponse, Status> {
    let request = pb::GetRecordRequest {
        name: name.to_owned(),
        purpose: pb::Purpose::Treatment.into(),
        ..pb::GetRecordRequest::default()
    };
    records(node).get_record(request).await.map(tonic::Response::into_inner)
}

async fn is_denied(node: &TestNode, name: &str) -> String {
    let denied = read(node, name).await.unwrap_err();
    assert_eq!(denied.code(), Code::PermissionDenied, "{denied}");
    denied.message().to_owned()
}

/// Kinds of the grants of a record, with what it was sent for.
async fn grants(node: &TestNode, record: &str) -> Vec<(pb::GrantKind, String)> {
    let request = pb::ListGrantsRequest {
        record: record.to_owned(),
        purpose: pb::Purpose::Treatment.into(),
        ..pb::ListGrantsRequest::default()
    };
    let found = consent(node).list_grants(request).await.unwrap().into_inner().grants;
    found.into_iter().map(|grant| (grant.kind(), grant.sent_for)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_contract_and_a_referral_need_an_end_and_a_subscription_its_reason() {
    let clinic = Setup::new().with(|c| "clinic".clone_into(&mut c.node.name)).start().await;
    let refused = async |request| {
        let refused = exchange(&clinic).register_patient(request).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{refused}");
        bad_fields(&refused)
    };
    for relation in [pb::Relation::Contract, pb::Relation::Referral] {
        assert_eq!(refused(registration(relation)).await, ["until_ms"], "{relation:?}");
    }
    let past = pb::RegisterPatientRequest { until_ms: 1, ..registration(pb::Relation::Registered) };
    assert_eq!(refused(past).await, ["until_ms"]);
    let follows = |reason: &str| pb::RegisterPatientRequest {
        reason: reason.to_owned(),
        ..registration(pb::Relation::Subscription)
    };
    assert_eq!(refused(follows("  ")).await, ["reason"]);
    let other = pb::RegisterPatientRequest {
        reason: "卒中登记".to_owned(),
        ..registration(pb::Relation::Registered)
    };
    assert_eq!(refused(other).await, ["reason"]);
    exchange(&clinic).register_patient(follows("卒中登记")).await.unwrap();
    exchange(&clinic).register_patient(registration(pb::Relation::Registered)).await.unwrap();
    // A subscription is no relation; a registration is one, and may be open-ended.
    let request = pb::ListGrantsRequest {
        person: Some(patient()),
        purpose: pb::Purpose::Treatment.into(),
        ..pb::ListGrantsRequest::default()
    };
    let found = consent(&clinic).list_grants(request).await.unwrap().into_inner().grants;
    let kinds: Vec<_> = found.iter().map(|grant| (grant.kind(), grant.until_ms)).collect();
    assert_eq!(kinds, [(pb::GrantKind::Registration, 0)]);
    assert!(found[0].given_by.ends_with("@clinic"), "{found:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_came_for_a_subscription_is_read_only_while_the_patient_is_here() {
    let hub = hub().await;
    let (county, elsewhere) = (node("county", &hub).await, node("elsewhere", &hub).await);
    let request = pb::RegisterPatientRequest {
        reason: "卒中登记".to_owned(),
        ..registration(pb::Relation::Subscription)
    };
    exchange(&elsewhere).register_patient(request).await.unwrap();
    handed_over(&elsewhere).await;
    let kept = submit(&county, stroke("CYXJ-1")).await;
    until("the record is there", async || (status(&elsewhere).await.received == 1).then_some(()))
        .await;
    assert!(is_denied(&elsewhere, &kept.name).await.contains("没有诊疗关系"));
    assert_eq!(listed(&elsewhere).await, []);
    assert_eq!(grants(&elsewhere, &kept.name).await, []);
    // How it was seen must be said; a day is the most.
    let confirm = |check: pb::PresenceCheck, until_ms| pb::ConfirmPresenceRequest {
        record: kept.name.clone(),
        check: check.into(),
        until_ms,
        ..pb::ConfirmPresenceRequest::default()
    };
    let seen = pb::PresenceCheck::IdentityCard;
    for (request, field) in [
        (confirm(pb::PresenceCheck::Unspecified, 0), "check"),
        (confirm(seen, 1), "until_ms"),
        (confirm(seen, UNTIL_MS), "until_ms"),
        (pb::ConfirmPresenceRequest { person: Some(patient()), ..confirm(seen, 0) }, "record"),
        (pb::ConfirmPresenceRequest { record: String::new(), ..confirm(seen, 0) }, "record"),
    ] {
        let refused = consent(&elsewhere).confirm_presence(request).await.unwrap_err();
        assert_eq!(bad_fields(&refused), [field], "{refused}");
    }
    let grant = consent(&elsewhere).confirm_presence(confirm(seen, 0)).await.unwrap();
    let grant = grant.into_inner().grant.unwrap();
    assert_eq!((grant.kind(), grant.check()), (pb::GrantKind::Presence, seen));
    assert_eq!(grant.until_ms - grant.from_ms, 24 * 3_600_000);
    let found = read(&elsewhere, &kept.name).await.unwrap();
    assert!(found.access_until_ms <= grant.until_ms && found.record.is_some());
    assert_eq!(listed(&elsewhere).await.len(), 1);
    let present = (pb::GrantKind::Presence, String::new());
    assert_eq!(grants(&elsewhere, &kept.name).await, [present]);
    // It ends by the person, as it began by the record.
    let end =
        pb::EndPresenceRequest { person: Some(patient()), ..pb::EndPresenceRequest::default() };
    consent(&elsewhere).end_presence(end.clone()).await.unwrap();
    is_denied(&elsewhere, &kept.name).await;
    let again = consent(&elsewhere).end_presence(end).await.unwrap_err();
    assert_eq!(again.code(), Code::NotFound);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_came_for_a_contract_is_read_as_long_as_it_holds_on_a_new_box_too() {
    let hub = hub().await;
    let (county, village) = (node("county", &hub).await, node("village", &hub).await);
    let elsewhere = node("elsewhere", &hub).await;
    register(&elsewhere, false).await;
    handed_over(&elsewhere).await;
    let kept = submit(&county, stroke("CYXJ-1")).await;
    has(&elsewhere, &kept.name, 1).await;
    let contract = (pb::GrantKind::Contract, String::new());
    assert_eq!(grants(&elsewhere, &kept.name).await, std::slice::from_ref(&contract));
    // In the village the patient lives: for that no contract is needed.
    has(&village, &kept.name, 1).await;
    let lives = (pb::GrantKind::Registration, "village".to_owned());
    assert_eq!(grants(&village, &kept.name).await, [lives]);
    // A new box gets the contract back with the record.
    assert!(elsewhere.node.stop().await);
    let elsewhere = node("elsewhere", &hub).await;
    has(&elsewhere, &kept.name, 1).await;
    assert_eq!(grants(&elsewhere, &kept.name).await, [contract]);
    register(&elsewhere, true).await;
    assert!(is_denied(&elsewhere, &kept.name).await.contains("已经到期"));
    assert_eq!(listed(&elsewhere).await, []);
}

/// The record of this number, which says that it replaces another one.
fn replacing(number: &str, other: &str) -> Vec<u8> {
    let text = String::from_utf8(stroke(number)).unwrap();
    let parent = format!("<parentDocument><id root=\"2.16.156.10011.1.1\" extension=\"{other}\"/>");
    assert!(text.contains("<parentDocument><id/>"));
    text.replace("<parentDocument><id/>", &parent).into_bytes()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_that_replaces_another_supersedes_it_and_its_tasks() {
    let hub = hub().await;
    let (county, village) = (node("county", &hub).await, node("village", &hub).await);
    let first = submit(&county, stroke("CYXJ-1")).await;
    has(&village, &first.name, 1).await;
    assert!(!tasks(&village, &first.name).await.is_empty());
    let second = submit(&county, replacing("CYXJ-2", "CYXJ-1")).await;
    has(&village, &second.name, 1).await;
    for node in [&county, &village] {
        let names: Vec<_> = listed(node).await.into_iter().map(|line| line.name).collect();
        assert_eq!(names, std::slice::from_ref(&second.name));
    }
    assert!(tasks(&village, &first.name).await.is_empty());
    assert!(!tasks(&village, &second.name).await.is_empty());
    let found = read(&village, &first.name).await.unwrap();
    assert_eq!((found.current, found.replaced_by.as_str()), (false, &*second.name));
    assert!(read(&village, &second.name).await.unwrap().current);
    // Another node's record replaces nothing here, and that is told.
    let foreign = submit(&village, replacing("CYXJ-3", "CYXJ-2")).await;
    let found = read(&village, &second.name).await.unwrap();
    assert!(found.current && found.replaced_by.is_empty());
    assert!(listed(&village).await.iter().any(|line| line.name == foreign.name));
    let events = status(&village).await.events;
    let told = events.iter().find(|event| event.kind == "replacement_refused").unwrap();
    assert!(told.advice.contains("both stay"), "{told:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_patient_of_a_broken_glass_is_to_be_told_until_somebody_says_how() {
    let hub = hub().await;
    let (county, village) = (node("county", &hub).await, node("village", &hub).await);
    let kept = submit(&county, stroke("CYXJ-1")).await;
    has(&village, &kept.name, 1).await;
    let withdraw = pb::WithdrawConsentRequest { record: kept.name.clone(), all: true };
    consent(&village).withdraw_consent(withdraw).await.unwrap();
    let reason = "患者昏迷送来，需要知道用药和过敏史";
    let request = pb::GetRecordRequest {
        name: kept.name.clone(),
        purpose: pb::Purpose::Emergency.into(),
        break_glass_reason: reason.to_owned(),
        ..pb::GetRecordRequest::default()
    };
    records(&village).get_record(request).await.unwrap();
    let list = async |include_told| {
        let request = pb::ListPatientNoticesRequest { include_told, page_size: 0 };
        consent(&village).list_patient_notices(request).await.unwrap().into_inner().notices
    };
    let notices = list(false).await;
    assert_eq!(notices.len(), 1);
    let notice = &notices[0];
    assert_eq!((notice.record.as_str(), notice.patient_name.as_str()), (&*kept.name, PATIENT.0));
    assert_eq!((notice.purpose.as_str(), notice.state()), ("ETREAT", pb::NoticeState::Open));
    // Who, when, for what, and where to object; not the reader's own words.
    for part in ["village", "乡村医生", "“急救”", "紧急调阅", "年", "异议", "卫生健康主管部门"]
    {
        assert!(notice.words.contains(part), "{part}: {}", notice.words);
    }
    assert!(!notice.words.contains("昏迷") && !notice.words.contains('{'), "{}", notice.words);
    let reviews = pb::ListAccessReviewsRequest::default();
    let reviews = consent(&village).list_access_reviews(reviews).await.unwrap().into_inner();
    assert_eq!(reviews.notices_open, 1);
    assert_eq!(reviews.reviews[0].review_id, notice.review_id);
    let telling = |told: pb::NoticeState, note: &str| pb::RecordPatientNoticeRequest {
        notice_id: notice.notice_id.clone(),
        told: told.into(),
        note: note.to_owned(),
        ..pb::RecordPatientNoticeRequest::default()
    };
    for (request, field) in [
        (telling(pb::NoticeState::Unspecified, ""), "told"),
        (telling(pb::NoticeState::Open, ""), "told"),
        (telling(pb::NoticeState::NotTold, " "), "note"),
        (
            pb::RecordPatientNoticeRequest {
                told_ms: UNTIL_MS,
                ..telling(pb::NoticeState::Phone, "")
            },
            "told_ms",
        ),
    ] {
        let refused = consent(&village).record_patient_notice(request).await.unwrap_err();
        assert_eq!(bad_fields(&refused), [field], "{refused}");
    }
    let metric = "xiangyi_patient_notices_open 1\n";
    until("it is measured", async || village.metrics().await.contains(metric).then_some(())).await;
    let record = async |request| consent(&village).record_patient_notice(request).await;
    record(telling(pb::NoticeState::NotTold, "无法联系")).await.unwrap();
    assert!(list(false).await.is_empty());
    record(telling(pb::NoticeState::InPerson, "")).await.unwrap();
    let again = record(telling(pb::NoticeState::Phone, "")).await.unwrap_err();
    assert_eq!(again.code(), Code::NotFound);
    let told = list(true).await.remove(0);
    assert_eq!(told.state(), pb::NoticeState::InPerson);
    assert!(told.told_ms >= notice.at_ms && !told.told_by.is_empty() && !told.noted_by.is_empty());
}
