//! Legal holds and erasing for good, over gRPC: who may, what stands in the way, what remains.

use tonic::transport::Channel;
use tonic::{Code, Request, Status};
use xiangyi::app::access::Role;
use xiangyi::rpc::proto::xiangyi::imaging::v1 as im;
use xiangyi::rpc::proto::xiangyi::imaging::v1::custody_service_client::CustodyServiceClient;

use crate::harness::{TestNode, bad_fields, http_get, token_of};
use crate::images::{Slice, as_data_set, retrieve, search, small, store, store_slices};

fn custody(node: &TestNode) -> CustodyServiceClient<Channel> {
    CustodyServiceClient::new(node.channel.clone())
}

async fn place(node: &TestNode, study: &str) -> Result<im::Hold, Status> {
    let request =
        im::PlaceHoldRequest { study_uid: study.to_owned(), reason: "a court asked".to_owned() };
    Ok(custody(node).place_hold(request).await?.into_inner().hold.unwrap())
}

async fn erase(node: &TestNode, study: &str, apart_too: bool) -> Result<im::Erasure, Status> {
    let request = im::EraseStudyRequest {
        study_uid: study.to_owned(),
        reason: "the patient asked".to_owned(),
        include_kept_apart: apart_too,
    };
    Ok(custody(node).erase_study(request).await?.into_inner().erasure.unwrap())
}

async fn holds(node: &TestNode, standing_only: bool) -> Vec<im::Hold> {
    let request = im::ListHoldsRequest { standing_only, ..Default::default() };
    custody(node).list_holds(request).await.unwrap().into_inner().holds
}

fn instance(uid: &str) -> im::RetrieveObjectRequest {
    im::RetrieveObjectRequest { sop_instance_uid: uid.to_owned(), ..Default::default() }
}

/// What the audit trail says of erasures and holds.
async fn trail(node: &TestNode) -> Vec<String> {
    use sqlx::ConnectOptions as _;
    use sqlx::Row as _;
    let path = node.data.path().join("xiangyi.db");
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path).read_only(true);
    let mut connection = options.connect().await.unwrap();
    let rows = sqlx::query(
        "SELECT caller, action, record_id, patient_reference, outcome, detail FROM audit \
         WHERE action IN ('erase_images', 'hold_images') ORDER BY seq",
    )
    .fetch_all(&mut connection)
    .await
    .unwrap();
    let line = |r: &sqlx::sqlite::SqliteRow| {
        (0..6).map(|i| r.get::<String, _>(i)).collect::<Vec<_>>().join("|")
    };
    rows.iter().map(line).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_held_study_is_not_erased_until_every_hold_is_lifted_and_the_history_stays() {
    let node = small().start().await;
    store_slices(&node, &[Slice::head("1.2.1", 1), Slice::head("1.2.2", 1)]).await;
    let hold = place(&node, "1.2.1").await.unwrap();
    assert_eq!(place(&node, "1.2.1").await.unwrap(), hold, "the same again");
    let refused = erase(&node, "1.2.1", true).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    assert!(refused.message().contains(&hold.hold_id), "{}", refused.message());
    let one = im::EraseInstanceRequest {
        sop_instance_uid: Slice::head("1.2.1", 1).uid(),
        reason: "a mistake".to_owned(),
        ..Default::default()
    };
    let refused = custody(&node).erase_instance(one.clone()).await.unwrap_err();
    assert!(refused.message().contains(&hold.hold_id), "{}", refused.message());
    assert_eq!(holds(&node, true).await, std::slice::from_ref(&hold));

    let lift = im::LiftHoldRequest {
        hold_id: hold.hold_id.clone(),
        reason: "the court is done".to_owned(),
    };
    let lifted = custody(&node).lift_hold(lift.clone()).await.unwrap().into_inner().hold.unwrap();
    assert!(lifted.lift_time.is_some() && lifted.lift_reason == "the court is done");
    let again = im::LiftHoldRequest { reason: "once more".to_owned(), ..lift };
    let again = custody(&node).lift_hold(again).await.unwrap().into_inner().hold.unwrap();
    assert_eq!(again, lifted, "lifted once");
    assert!(holds(&node, true).await.is_empty());
    assert_eq!(holds(&node, false).await, [lifted]);
    assert_eq!(erase(&node, "1.2.1", false).await.unwrap().object_count, 1);

    let trail = trail(&node).await;
    let id = &hold.hold_id;
    // What is meant is written before it is done; which hold it became, or which one stood, after.
    let meant = "local|hold_images|1.2.1|P1|asked|hold: a court asked".to_owned();
    let told = [
        meant.clone(),
        format!("local|hold_images|1.2.1|P1|ok|hold {id}: a court asked"),
        meant,
        format!("local|hold_images|1.2.1|P1|ok|hold {id}: a court asked"),
        "local|erase_images|1.2.1|P1|held|the patient asked".to_owned(),
        "local|erase_images|1.2.1|P1|held|a mistake".to_owned(),
        format!("local|hold_images|1.2.1|P1|asked|hold {id} lifted: the court is done"),
        format!("local|hold_images|1.2.1|P1|ok|hold {id} lifted: the court is done"),
        format!("local|hold_images|1.2.1|P1|asked|hold {id} lifted: once more"),
        format!("local|hold_images|1.2.1|P1|ok|hold {id} lifted: once more"),
        "local|erase_images|1.2.1|P1|ok|the patient asked".to_owned(),
    ];
    assert_eq!(trail, told);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_erased_is_gone_at_every_door_and_may_be_stored_anew() {
    let node = small().with(|c| c.web.listen = Some("127.0.0.1:0".parse().unwrap())).start().await;
    let (first, second) = (Slice::head("1.2.1", 1), Slice::head("1.2.1", 2));
    store_slices(&node, &[first.clone(), second.clone(), Slice::head("1.2.2", 1)]).await;
    let mut other = first.bytes();
    *other.last_mut().unwrap() ^= 1;
    store(&node, as_data_set("other", &other)).await.unwrap();
    let web = node.node.web_address().unwrap();
    let path = "/dicom-web/studies/1.2.1/metadata";
    assert!(http_get(web, path).await.0.contains("200"));

    let one = im::EraseInstanceRequest {
        sop_instance_uid: second.uid(),
        reason: "the wrong patient".to_owned(),
        ..Default::default()
    };
    let erased = custody(&node).erase_instance(one.clone()).await.unwrap().into_inner();
    assert_eq!(erased.erasure.unwrap().object_count, 1);
    let gone = custody(&node).erase_instance(one).await.unwrap_err();
    assert_eq!(gone.code(), Code::NotFound);
    let erased = erase(&node, "1.2.1", false).await.unwrap();
    assert_eq!((erased.object_count, erased.kept_apart_left_count), (1, 1));

    let gone = retrieve(&node, instance(&first.uid())).await.unwrap_err();
    assert_eq!(gone.code(), Code::NotFound);
    let (status, _) = http_get(web, path).await;
    assert!(status.contains("404"), "{status}");
    let found = search(&node, im::SearchStudiesRequest::default()).await;
    assert_eq!(found.iter().map(|s| &*s.study_uid).collect::<Vec<_>>(), ["1.2.2"]);
    let changes = im::ListChangesRequest::default();
    let changes = node.imaging().list_changes(changes).await.unwrap().into_inner().changes;
    let erased = changes.iter().filter(|c| c.kind() == im::ChangeKind::Erased);
    assert_eq!(erased.count(), 2);
    let raw = std::fs::read_dir(node.data.path().join("imaging/archive/segments")).unwrap();
    let needle = &first.bytes()[..200];
    for segment in raw {
        let bytes = std::fs::read(segment.unwrap().path()).unwrap();
        let copies = bytes.windows(needle.len()).filter(|w| *w == needle).count();
        assert_eq!(copies, 1, "only the one kept apart begins like that");
    }
    assert_eq!(erase(&node, "1.2.1", true).await.unwrap().kept_apart_count, 1);
    assert_eq!(erase(&node, "1.2.1", true).await.unwrap_err().code(), Code::NotFound);

    store_slices(&node, std::slice::from_ref(&first)).await;
    let TestNode { node: running, data, .. } = node;
    assert!(running.stop().await, "drains");
    let node = small().start_in(data).await;
    assert!(retrieve(&node, instance(&first.uid())).await.is_ok(), "stored anew");
    assert_eq!(retrieve(&node, instance(&second.uid())).await.unwrap_err().code(), Code::NotFound);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_asked_is_refused_by_field() {
    let node = small().start().await;
    let long = "长".repeat(301);
    for (study, reason, fields) in [
        ("", "why", vec!["study_uid"]),
        ("../etc", "", vec!["study_uid", "reason"]),
        ("1.2", "  ", vec!["reason"]),
        ("1.2", "a\nb", vec!["reason"]),
        ("1.2", long.as_str(), vec!["reason"]),
    ] {
        let (study_uid, reason) = (study.to_owned(), reason.to_owned());
        let request = im::EraseStudyRequest {
            study_uid: study_uid.clone(),
            reason: reason.clone(),
            include_kept_apart: false,
        };
        let status = custody(&node).erase_study(request).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
        assert_eq!(bad_fields(&status), fields);
        let request = im::PlaceHoldRequest { study_uid, reason };
        let status = custody(&node).place_hold(request).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
        assert_eq!(bad_fields(&status), fields);
    }
    let request = im::EraseInstanceRequest {
        sop_instance_uid: "1.2".to_owned(),
        sha256: "ab".to_owned(),
        reason: "why".to_owned(),
    };
    let status = custody(&node).erase_instance(request).await.unwrap_err();
    assert_eq!(bad_fields(&status), ["sha256"]);
    let request = im::LiftHoldRequest { hold_id: String::new(), reason: String::new() };
    let status = custody(&node).lift_hold(request).await.unwrap_err();
    assert_eq!(bad_fields(&status), ["hold_id", "reason"]);
    let request = im::ListHoldsRequest { page_token: "apart-1".to_owned(), ..Default::default() };
    let status = custody(&node).list_holds(request).await.unwrap_err();
    assert_eq!(bad_fields(&status), ["page_token"]);
    assert_eq!(place(&node, "1.2.3").await.unwrap_err().code(), Code::NotFound);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_administrator_may_and_is_told_nothing_of_the_patient() {
    let node = small().tokens().start().await;
    let dressed = |role: Role, message| {
        let mut request = Request::new(message);
        let value = format!("Bearer {}", token_of(role)).parse().unwrap();
        request.metadata_mut().insert("authorization", value);
        request
    };
    let messages = as_data_set("1", &Slice::head("1.2.1", 1).bytes());
    let mut request = Request::new(tokio_stream::iter(messages));
    let value = format!("Bearer {}", token_of(Role::VillageDoctor)).parse().unwrap();
    request.metadata_mut().insert("authorization", value);
    let mut replies = node.imaging().store_objects(request).await.unwrap().into_inner();
    while replies.message().await.unwrap().is_some() {}
    let erase = im::EraseStudyRequest {
        study_uid: "1.2.1".to_owned(),
        reason: "a duplicate".to_owned(),
        include_kept_apart: false,
    };
    let denied = custody(&node).erase_study(dressed(Role::VillageDoctor, erase.clone())).await;
    assert_eq!(denied.unwrap_err().code(), Code::PermissionDenied);
    let erased = custody(&node).erase_study(dressed(Role::Administrator, erase)).await;
    let erased = erased.unwrap().into_inner();
    assert!(!format!("{erased:?}").contains("P1"));
    let trail = trail(&node).await;
    assert_eq!(trail, ["test-administrator|erase_images|1.2.1|P1|ok|a duplicate"]);
}
