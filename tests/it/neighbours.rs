//! Who works for one village of a node sees images of its people, and of others only where they are here.

use prost::Message;
use sha2::{Digest as _, Sha256};
use tonic::{Code, Status};
use xiangyi::app::access::Role;
use xiangyi::config::TokenSection;
use xiangyi::rpc::proto::xiangyi::audit::v1 as au;
use xiangyi::rpc::proto::xiangyi::imaging::v1 as im;
use xiangyi::rpc::proto::xiangyi::recognition::v1 as rg;
use xiangyi::rpc::proto::xiangyi::records::v1 as pb;

use crate::harness::{TestNode, hex};
use crate::images::{Slice, as_data_set, small};
use crate::records::{PATIENT, stroke};

/// Of the patient of the record, who lives in 361104204201.
const OURS: &str = "1.2.10";
/// Of somebody of whom nothing is known here.
const STRANGERS: &str = "1.2.20";
const RECORDS: &str = "/xiangyi.records.v1.RecordService";
const CONSENT: &str = "/xiangyi.records.v1.ConsentService";
const IMAGING: &str = "/xiangyi.imaging.v1.ImagingService";
const RECOGNITION: &str = "/xiangyi.recognition.v1.RecognitionService";
const OTHER: (&str, &str, &str) = ("纪秀兰", "361121195803214233", "1958-03-21");

fn credential(name: &str, role: Role, area: &str) -> TokenSection {
    let sha256 = hex(&Sha256::digest(name.as_bytes()));
    TokenSection { name: name.to_owned(), sha256, role, place: None, area: area.to_owned() }
}

async fn call<T: Message + Default>(
    node: &TestNode,
    who: &str,
    (service, rpc): (&str, &str),
    message: impl Message,
) -> Result<T, Status> {
    let answer = node.raw(&format!("{service}/{rpc}"), message.encode_to_vec(), Some(who)).await?;
    Ok(T::decode(answer.as_slice()).unwrap())
}

/// Of which studies a search tells.
async fn found(node: &TestNode, who: &str, request: im::SearchStudiesRequest) -> Vec<String> {
    let page: im::SearchStudiesResponse =
        call(node, who, (IMAGING, "SearchStudies"), request).await.unwrap();
    let mut found: Vec<String> = page.studies.into_iter().map(|study| study.study_uid).collect();
    found.sort();
    found
}

async fn all(node: &TestNode, who: &str) -> Vec<String> {
    found(node, who, im::SearchStudiesRequest::default()).await
}

/// Every call that tells of one study.
async fn told(node: &TestNode, who: &str, study: &str) -> Vec<(&'static str, Result<(), Code>)> {
    let slice = Slice::head(study, 1);
    let study_uid = study.to_owned();
    let (sop_instance_uid, series_uid) = (slice.uid(), slice.series);
    let patient_id = if study == OURS { PATIENT.1 } else { OTHER.1 };
    let planned = rg::PlannedExamination {
        patient_id: patient_id.to_owned(),
        text: "颅脑CT平扫".to_owned(),
        ..Default::default()
    };
    let calls: [(&str, &'static str, Vec<u8>); 6] = [
        (
            IMAGING,
            "GetStudyMetadata",
            im::GetStudyMetadataRequest { study_uid: study_uid.clone(), ..Default::default() }
                .encode_to_vec(),
        ),
        (
            IMAGING,
            "RetrieveObject",
            im::RetrieveObjectRequest {
                sop_instance_uid: sop_instance_uid.clone(),
                ..Default::default()
            }
            .encode_to_vec(),
        ),
        (
            IMAGING,
            "RenderFrame",
            im::RenderFrameRequest { sop_instance_uid, ..Default::default() }.encode_to_vec(),
        ),
        (
            IMAGING,
            "RenderContactSheet",
            im::RenderContactSheetRequest {
                study_uid: study_uid.clone(),
                series_uid,
                ..Default::default()
            }
            .encode_to_vec(),
        ),
        (
            IMAGING,
            "DeliverStudy",
            im::DeliverStudyRequest { study_uid, ..Default::default() }.encode_to_vec(),
        ),
        (
            RECOGNITION,
            "AssessRecognition",
            rg::AssessRecognitionRequest { planned: Some(planned) }.encode_to_vec(),
        ),
    ];
    let mut told = Vec::new();
    for (service, rpc, message) in calls {
        let answer = node.raw(&format!("{service}/{rpc}"), message, Some(who)).await;
        if let Err(status) = &answer
            && status.code() == Code::PermissionDenied
        {
            assert!(status.message().contains("不在您负责的区划内"), "{rpc}: {status}");
            assert!(!status.message().contains(PATIENT.0), "{rpc}: {status}");
        }
        told.push((rpc, answer.map(drop).map_err(|status| status.code())));
    }
    told
}

async fn sees(node: &TestNode, who: &str, study: &str, all: bool) {
    let expected = if all { Ok(()) } else { Err(Code::PermissionDenied) };
    for (rpc, answer) in told(node, who, study).await {
        assert_eq!(answer, expected, "{who} {study}: {rpc}");
    }
}

async fn changed(node: &TestNode, who: &str) -> Vec<String> {
    let request = im::ListChangesRequest::default();
    let page: im::ListChangesResponse =
        call(node, who, (IMAGING, "ListChanges"), request).await.unwrap();
    assert_eq!(page.last_number, 3, "where it goes on is the same for everybody");
    let mut studies: Vec<String> = page.changes.into_iter().map(|c| c.study_uid).collect();
    studies.dedup();
    studies
}

async fn apart(node: &TestNode, who: &str) -> usize {
    let request = im::ListKeptApartRequest::default();
    let page: im::ListKeptApartResponse =
        call(node, who, (IMAGING, "ListKeptApart"), request).await.unwrap();
    page.objects.len()
}

async fn fill(node: &TestNode) {
    let ours = Slice {
        patient_id: PATIENT.1.to_owned(),
        name: format!("Rao^Jianguo={}", PATIENT.0),
        birth_date: PATIENT.2.replace('-', ""),
        ..Slice::head(OURS, 1)
    };
    let strangers = Slice {
        patient_id: OTHER.1.to_owned(),
        name: OTHER.0.to_owned(),
        birth_date: OTHER.2.replace('-', ""),
        ..Slice::head(STRANGERS, 1)
    };
    let mut another = ours.bytes();
    *another.last_mut().unwrap() ^= 1;
    for (id, bytes) in [("1", ours.bytes()), ("2", strangers.bytes()), ("3", another)] {
        let mut messages = as_data_set(id, &bytes);
        let mut request = tonic::Request::new(tokio_stream::iter(std::mem::take(&mut messages)));
        request.metadata_mut().insert("authorization", "Bearer township".parse().unwrap());
        let mut replies = node.imaging().store_objects(request).await.unwrap().into_inner();
        while replies.message().await.unwrap().is_some() {}
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn somebody_who_works_for_one_village_sees_images_of_its_people() {
    let node = small().with(|c| {
        c.node.area = "361104204".to_owned();
        c.auth.tokens = vec![
            credential("township", Role::VillageDoctor, ""),
            credential("own", Role::VillageDoctor, "361104204201"),
            credential("other", Role::VillageDoctor, "361104204202"),
            credential("auditor", Role::Auditor, ""),
        ];
    });
    let node = node.start().await;
    fill(&node).await;
    assert_eq!(all(&node, "own").await, [""; 0], "nobody knows yet who lives where");
    let request = pb::SubmitRecordRequest { content: stroke("CYXJ-1"), ..Default::default() };
    let kept: pb::SubmitRecordResponse =
        call(&node, "township", (RECORDS, "SubmitRecord"), request).await.unwrap();

    assert_eq!(all(&node, "township").await, [OURS, STRANGERS]);
    assert_eq!(all(&node, "own").await, [OURS]);
    assert_eq!(all(&node, "other").await, [""; 0]);
    let by_number =
        im::SearchStudiesRequest { patient_id: PATIENT.1.to_owned(), ..Default::default() };
    assert_eq!(found(&node, "own", by_number.clone()).await, [OURS]);
    assert_eq!(found(&node, "other", by_number).await, [""; 0]);
    assert_eq!(changed(&node, "township").await, [OURS, STRANGERS, OURS]);
    assert_eq!(changed(&node, "own").await, [OURS]);
    assert_eq!(changed(&node, "other").await, [""; 0]);
    let kept_apart = (apart(&node, "own").await, apart(&node, "other").await);
    assert_eq!(kept_apart, (1, 0));
    for (who, study, all) in [
        ("township", OURS, true),
        ("township", STRANGERS, true),
        ("own", OURS, true),
        ("own", STRANGERS, false),
        ("other", OURS, false),
        ("other", STRANGERS, false),
    ] {
        sees(&node, who, study, all).await;
    }
    let request = au::ListAuditEntriesRequest { page_size: 200, ..Default::default() };
    let audit = ("/xiangyi.audit.v1.AuditService", "ListAuditEntries");
    let trail: au::ListAuditEntriesResponse = call(&node, "auditor", audit, request).await.unwrap();
    let of = |study: &str| {
        let denied = |e: &&au::AuditEntry| e.outcome == "out_of_place" && e.caller == "other";
        trail.entries.iter().filter(denied).filter(|e| e.record_id == study).count()
    };
    assert_eq!((of(OURS), of(STRANGERS), of("")), (5, 5, 2), "each is in the trail");

    // The patient comes to the other village, and somebody of that village is registered.
    let present = pb::ConfirmPresenceRequest {
        record: kept.name,
        check: pb::PresenceCheck::IdentityCard.into(),
        ..Default::default()
    };
    let _: pb::ConfirmPresenceResponse =
        call(&node, "other", (CONSENT, "ConfirmPresence"), present).await.unwrap();
    sees(&node, "other", OURS, true).await;
    let person = pb::RegisteredPerson {
        name: OTHER.0.to_owned(),
        resident_id: OTHER.1.to_owned(),
        birth_date: OTHER.2.to_owned(),
        division: "361104204202".to_owned(),
        ..Default::default()
    };
    let mut request = pb::RegisterPatientRequest {
        person: Some(person),
        relation: pb::Relation::Registered.into(),
        ..Default::default()
    };
    let registering = ("/xiangyi.records.v1.ExchangeService", "RegisterPatient");
    let _: pb::RegisterPatientResponse =
        call(&node, "other", registering, request.clone()).await.unwrap();
    sees(&node, "other", STRANGERS, true).await;
    sees(&node, "own", STRANGERS, false).await;
    assert_eq!(all(&node, "other").await, [OURS, STRANGERS]);
    request.ends = true;
    let _: pb::RegisterPatientResponse = call(&node, "other", registering, request).await.unwrap();
    sees(&node, "other", STRANGERS, false).await;
}
