//! Who may read a record, for what, and how much of it.

use sha2::{Digest as _, Sha256};
use tonic::{Code, Request, Status};
use xiangyi::app::access::Role;
use xiangyi::config::{NodeRole, TokenSection};
use xiangyi::rpc::proto::xiangyi::records::v1 as pb;
use xiangyi::rpc::proto::xiangyi::records::v1::consent_service_client::ConsentServiceClient;

use crate::harness::{Setup, TestNode, token_of};
use crate::records::{
    PATIENT, handed_over, has, hub, listed, node, records, register, stroke, submit, tasks,
};
use crate::region::until;

/// Reads as somebody with a role.
async fn read_as(
    node: &TestNode,
    role: Role,
    request: pb::GetRecordRequest,
) -> Result<pb::GetRecordResponse, Status> {
    let request = signed(role, request);
    records(node).get_record(request).await.map(tonic::Response::into_inner)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_may_be_read_depends_on_role_purpose_and_the_patients_consent() {
    let county = Setup::new().tokens().with(|c| c.node.role = NodeRole::Hospital).start().await;
    let request = pb::SubmitRecordRequest { content: stroke("CYXJ-1"), ..Default::default() };
    let kept = records(&county).submit_record(signed(Role::VillageDoctor, request)).await.unwrap();
    let name = kept.into_inner().name;
    let asked = |purpose: pb::Purpose| pb::GetRecordRequest {
        name: name.clone(),
        purpose: purpose.into(),
        ..Default::default()
    };
    let whole = read_as(&county, Role::VillageDoctor, asked(pb::Purpose::Treatment)).await.unwrap();
    assert_eq!(whole.scope(), pb::AccessScope::Whole);
    assert!(!whole.record.unwrap().patient.unwrap().identifiers.is_empty());
    // A pharmacist sees what dispensing needs and no numbers.
    let cut = read_as(&county, Role::Pharmacist, asked(pb::Purpose::Treatment)).await.unwrap();
    assert_eq!(cut.scope(), pb::AccessScope::Summary);
    let record = cut.record.unwrap();
    let (patient, narrative) = (record.patient.unwrap(), record.narrative.unwrap());
    assert!(patient.identifiers.is_empty() && patient.phones.is_empty());
    assert!(patient.address.unwrap_or_default().village.is_empty());
    assert!(narrative.course.is_empty() && !narrative.orders.is_empty());
    assert!(!record.diagnoses.is_empty());
    for (role, purpose) in [
        (Role::VillageDoctor, pb::Purpose::Quality),
        (Role::Auditor, pb::Purpose::Treatment),
        (Role::Administrator, pb::Purpose::Treatment),
        (Role::Pharmacist, pb::Purpose::PublicHealth),
    ] {
        let denied = read_as(&county, role, asked(purpose)).await.unwrap_err();
        assert_eq!(denied.code(), Code::PermissionDenied, "{role:?} {purpose:?}: {denied}");
        assert!(!denied.message().contains(PATIENT.0));
    }
    let quality = read_as(&county, Role::Auditor, asked(pb::Purpose::Quality)).await.unwrap();
    assert_eq!(quality.scope(), pb::AccessScope::Whole, "the institution's own records");
    // The original cannot be cut, so it is not given.
    let request = pb::ExportRecordRequest {
        name: name.clone(),
        purpose: pb::Purpose::Treatment.into(),
        ..Default::default()
    };
    let refused = records(&county).export_record(signed(Role::Pharmacist, request)).await;
    assert_eq!(refused.unwrap_err().code(), Code::PermissionDenied);
}

/// Who works for one village of a township sees records of its people; of others only where they are here.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn somebody_who_works_for_one_village_reads_of_its_people() {
    let hash = |token: &str| {
        Sha256::digest(token.as_bytes())
            .iter()
            .fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"))
    };
    let credential = |name: &str, area: &str| TokenSection {
        name: name.to_owned(),
        sha256: hash(name),
        role: Role::VillageDoctor,
        place: None,
        area: area.to_owned(),
    };
    let clinic = Setup::new().with(|c| {
        c.node.area = "361104204".to_owned();
        c.auth.tokens = vec![
            credential("township", ""),
            credential("own", "361104204201"),
            credential("other", "361104204202"),
        ];
    });
    let clinic = clinic.start().await;
    let by =
        |who: &str| format!("Bearer {who}").parse::<tonic::metadata::MetadataValue<_>>().unwrap();
    let request = pb::SubmitRecordRequest { content: stroke("CYXJ-1"), ..Default::default() };
    let mut request = Request::new(request);
    request.metadata_mut().insert("authorization", by("township"));
    let name = records(&clinic).submit_record(request).await.unwrap().into_inner().name;
    let read = |who: &str, purpose: pb::Purpose, reason: &str| {
        let mut request = Request::new(pb::GetRecordRequest {
            name: name.clone(),
            purpose: purpose.into(),
            break_glass_reason: reason.to_owned(),
            ..Default::default()
        });
        request.metadata_mut().insert("authorization", by(who));
        let mut service = records(&clinic);
        async move { service.get_record(request).await.map(|found| found.into_inner().under_review) }
    };
    let treatment = pb::Purpose::Treatment;
    assert_eq!(read("township", treatment, "").await.ok(), Some(false));
    assert_eq!(read("own", treatment, "").await.ok(), Some(false));
    let denied = read("other", treatment, "").await.unwrap_err();
    assert_eq!(denied.code(), Code::PermissionDenied);
    assert!(denied.message().contains("不在您负责的区划内"), "{denied}");
    let listed = |who: &str| {
        let mut request = Request::new(pb::ListRecordsRequest {
            purpose: treatment.into(),
            ..Default::default()
        });
        request.metadata_mut().insert("authorization", by(who));
        let mut service = records(&clinic);
        async move { service.list_records(request).await.unwrap().into_inner().records.len() }
    };
    assert_eq!((listed("own").await, listed("other").await), (1, 0), "not even the name");
    let reason = "患者昏迷送来，需要知道用药和过敏史";
    let broken = read("other", pb::Purpose::Emergency, reason).await;
    assert_eq!(broken.ok(), Some(true), "and it is reviewed");
    let mut present = Request::new(pb::ConfirmPresenceRequest {
        record: name.clone(),
        check: pb::PresenceCheck::IdentityCard.into(),
        ..Default::default()
    });
    present.metadata_mut().insert("authorization", by("other"));
    ConsentServiceClient::new(clinic.channel.clone()).confirm_presence(present).await.unwrap();
    assert_eq!(read("other", treatment, "").await.ok(), Some(false), "the patient is here");
}

/// A role that has nothing to do where the credential places it is a slip that must not wait for the first
/// call to show.
#[tokio::test]
async fn a_role_without_rights_where_it_works_ends_the_start() {
    let mut config = xiangyi::config::Config::default();
    let data = tempfile::tempdir().unwrap();
    config.store.dir = data.path().to_owned();
    config.server.listen = "127.0.0.1:0".parse().unwrap();
    config.node.area = "361104204201".to_owned();
    config.auth.tokens = vec![TokenSection {
        name: "film".to_owned(),
        sha256: "0".repeat(64),
        role: Role::Radiologist,
        place: None,
        area: String::new(),
    }];
    config.validate().unwrap();
    let error = xiangyi::node::Node::start(config.clone()).await.unwrap_err().to_string();
    assert!(error.contains("`film` has the role radiologist"), "{error}");
    assert!(error.contains("no rights at a village") && error.contains("hospital"), "{error}");
    config.auth.tokens[0].area = "361102001001".to_owned();
    let error = config.validate().unwrap_err().to_string();
    assert!(error.contains("auth.tokens[0].area must lie in node.area"), "{error}");
    config.auth.tokens[0].area = "3611".to_owned();
    let error = config.validate().unwrap_err().to_string();
    assert!(error.contains("must have 6, 9 or 12 digits"), "{error}");
}

fn signed<T>(role: Role, message: T) -> Request<T> {
    let mut request = Request::new(message);
    let bearer = format!("Bearer {}", token_of(role)).parse().unwrap();
    request.metadata_mut().insert("authorization", bearer);
    request
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_withdrawal_stops_the_village_and_breaking_the_glass_leaves_a_review() {
    let hub = hub().await;
    let (county, village) = (node("county", &hub).await, node("village", &hub).await);
    let kept = submit(&county, stroke("CYXJ-1")).await;
    has(&village, &kept.name, 1).await;
    let consent = || ConsentServiceClient::new(village.channel.clone());
    let withdraw = |all| pb::WithdrawConsentRequest { record: kept.name.clone(), all };
    consent().withdraw_consent(withdraw(true)).await.unwrap();
    let read = |purpose: pb::Purpose, reason: &str| pb::GetRecordRequest {
        name: kept.name.clone(),
        purpose: purpose.into(),
        break_glass_reason: reason.to_owned(),
        ..Default::default()
    };
    let denied = records(&village).get_record(read(pb::Purpose::Treatment, "")).await.unwrap_err();
    assert_eq!(denied.code(), Code::PermissionDenied);
    assert!(denied.message().contains("撤回"), "{denied}");
    assert_eq!(listed(&village).await, [], "not even its name");
    assert!(tasks(&village, &kept.name).await.is_empty());
    // An emergency without a reason, or with none that is one, opens nothing.
    for reason in ["", "急", "啊啊啊啊啊啊啊啊啊啊啊啊"] {
        let denied = records(&village).get_record(read(pb::Purpose::Emergency, reason)).await;
        assert_eq!(denied.unwrap_err().code(), Code::PermissionDenied, "{reason}");
    }
    let reason = "患者昏迷送来，需要知道用药和过敏史";
    let open = records(&village).get_record(read(pb::Purpose::Emergency, reason)).await.unwrap();
    let open = open.into_inner();
    assert!(open.under_review && open.access_until_ms > 0 && open.record.is_some());
    let listing = pb::ListAccessReviewsRequest::default();
    let reviews = consent().list_access_reviews(listing).await.unwrap().into_inner().reviews;
    assert_eq!(reviews.len(), 1);
    assert_eq!((reviews[0].record.as_str(), reviews[0].reason.as_str()), (&*kept.name, reason));
    let close = pb::CloseAccessReviewRequest {
        review_id: reviews[0].review_id.clone(),
        finding: "属实".to_owned(),
    };
    consent().close_access_review(close.clone()).await.unwrap();
    let again = consent().close_access_review(close).await.unwrap_err();
    assert_eq!(again.code(), Code::NotFound);
    assert!(consent().list_access_reviews(listing).await.unwrap().into_inner().reviews.is_empty());
    let restore = pb::RestoreConsentRequest { record: kept.name.clone(), all: true };
    consent().restore_consent(restore).await.unwrap();
    records(&village).get_record(read(pb::Purpose::Treatment, "")).await.unwrap();
    // What the hospital wrote stays its own to read.
    let own = pb::WithdrawConsentRequest { record: kept.name.clone(), all: true };
    ConsentServiceClient::new(county.channel.clone()).withdraw_consent(own).await.unwrap();
    records(&county).get_record(read(pb::Purpose::Treatment, "")).await.unwrap();
}

/// Waits until the record is read at the node, or withheld because consent was taken back.
async fn readable(node: &TestNode, name: &str, expected: bool) {
    until(&format!("{name} is readable: {expected}"), async || {
        let request = pb::GetRecordRequest {
            name: name.to_owned(),
            purpose: pb::Purpose::Treatment.into(),
            ..Default::default()
        };
        match records(node).get_record(request).await {
            Ok(_) => expected.then_some(()),
            Err(status) => {
                let is_withheld = status.code() == Code::PermissionDenied;
                (!expected && is_withheld && status.message().contains("撤回")).then_some(())
            }
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_withdrawal_travels_to_every_node_that_has_the_records_and_to_who_registers_later() {
    let hub = hub().await;
    let (county, village) = (node("county", &hub).await, node("village", &hub).await);
    let first = submit(&county, stroke("CYXJ-1")).await;
    let second = submit(&county, stroke("CYXJ-2")).await;
    for record in [&first, &second] {
        has(&village, &record.name, 1).await;
    }
    let consent = |node: &TestNode| ConsentServiceClient::new(node.channel.clone());
    let of = |name: &str, all| pb::WithdrawConsentRequest { record: name.to_owned(), all };
    let again = |name: &str, all| pb::RestoreConsentRequest { record: name.to_owned(), all };
    // Said at the hospital, it counts in the village; for one record only for that.
    consent(&county).withdraw_consent(of(&first.name, false)).await.unwrap();
    readable(&village, &first.name, false).await;
    readable(&village, &second.name, true).await;
    consent(&village).restore_consent(again(&first.name, false)).await.unwrap();
    readable(&village, &first.name, true).await;
    // Of all records, also for a clinic that registers the patient later and for records that come.
    consent(&village).withdraw_consent(of(&first.name, true)).await.unwrap();
    handed_over(&village).await;
    let elsewhere = node("elsewhere", &hub).await;
    register(&elsewhere, false).await;
    readable(&elsewhere, &second.name, false).await;
    let third = submit(&county, stroke("CYXJ-3")).await;
    readable(&elsewhere, &third.name, false).await;
    readable(&village, &third.name, false).await;
    // Given again in one place it is given again in all; and taken back in another.
    consent(&elsewhere).restore_consent(again(&third.name, true)).await.unwrap();
    for record in [&first, &second, &third] {
        readable(&village, &record.name, true).await;
        readable(&elsewhere, &record.name, true).await;
    }
    handed_over(&elsewhere).await;
    consent(&village).withdraw_consent(of(&second.name, true)).await.unwrap();
    readable(&elsewhere, &first.name, false).await;
    // What the hospital wrote stays its own to read.
    handed_over(&village).await;
    readable(&county, &first.name, true).await;
    let missing = consent(&village).withdraw_consent(of("nothing", true)).await.unwrap_err();
    assert_eq!(missing.code(), Code::NotFound);
}
