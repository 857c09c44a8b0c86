//! Every RPC that tells, takes or changes images leaves an entry that says whose they are.

use prost::Message as _;
use tonic::transport::Channel;
use xiangyi::rpc::proto::xiangyi::audit::v1 as au;
use xiangyi::rpc::proto::xiangyi::audit::v1::audit_service_client::AuditServiceClient;
use xiangyi::rpc::proto::xiangyi::imaging::v1 as im;
use xiangyi::rpc::proto::xiangyi::recognition::v1 as rg;

use crate::doors::CALLS;
use crate::harness::TestNode;
use crate::images::{Slice, as_data_set, small, store};

const STUDY: &str = "1.2.1";
const PATIENT: &str = "P1";

/// What a call leaves.
enum Leaves {
    /// An entry of this action that names the patient and the study.
    Both(&'static str),
    /// One that names the patient.
    Patient(&'static str),
    /// One: it is about no patient, or about many.
    Entry(&'static str),
    /// None, and why.
    Nothing(#[expect(dead_code, reason = "for who reads it")] &'static str),
}

/// What each RPC about images leaves. `tests/it/doors.rs` knows all of them: one that is missing here
/// fails the test.
const LEAVES: &[(&str, Leaves)] = &[
    ("StoreObjects", Leaves::Both("store_images")),
    ("SearchStudies", Leaves::Both("find_images")),
    ("GetStudyMetadata", Leaves::Both("find_images")),
    ("RetrieveObject", Leaves::Both("retrieve_images")),
    ("RenderFrame", Leaves::Both("retrieve_images")),
    ("RenderContactSheet", Leaves::Both("retrieve_images")),
    ("DeliverStudy", Leaves::Both("retrieve_images")),
    ("ListChanges", Leaves::Both("find_images")),
    ("WatchChanges", Leaves::Both("find_images")),
    ("ListKeptApart", Leaves::Both("find_images")),
    ("PlaceHold", Leaves::Both("hold_images")),
    ("ListHolds", Leaves::Both("read_holds")),
    ("LiftHold", Leaves::Both("hold_images")),
    ("AssessRecognition", Leaves::Patient("assess_recognition")),
    ("RecordRecognition", Leaves::Patient("record_recognition")),
    ("ListRecognitionDecisions", Leaves::Entry("read_recognition")),
    ("ExplainDecision", Leaves::Patient("read_recognition")),
    ("SummariseRecognition", Leaves::Entry("read_recognition")),
    ("EraseInstance", Leaves::Both("erase_images")),
    ("EraseStudy", Leaves::Both("erase_images")),
    ("FetchStudy", Leaves::Nothing("this node belongs to no region; see region.rs")),
    ("AnalyseStudy", Leaves::Nothing("this node has no models; see imaging_models.rs")),
    ("GetArchiveInfo", Leaves::Nothing("it says nothing of any patient")),
    ("ListImagingModels", Leaves::Nothing("it says nothing of any patient")),
    ("ListRecognitionItems", Leaves::Nothing("it says nothing of any patient")),
];

async fn entries(node: &TestNode) -> Vec<au::AuditEntry> {
    let mut audit: AuditServiceClient<Channel> = AuditServiceClient::new(node.channel.clone());
    let request = au::ListAuditEntriesRequest { page_size: 200, ..Default::default() };
    audit.list_audit_entries(request).await.unwrap().into_inner().entries
}

fn planned() -> rg::PlannedExamination {
    rg::PlannedExamination {
        patient_id: PATIENT.to_owned(),
        text: "颅脑CT平扫".to_owned(),
        ..Default::default()
    }
}

fn message(rpc: &str, (hold, decision): (&str, &str)) -> Vec<u8> {
    let (study_uid, reason) = (STUDY.to_owned(), "复核".to_owned());
    let slice = Slice::head(STUDY, 1);
    let sop_instance_uid = slice.uid();
    match rpc {
        "GetStudyMetadata" => {
            im::GetStudyMetadataRequest { study_uid, ..Default::default() }.encode_to_vec()
        }
        "RetrieveObject" => {
            im::RetrieveObjectRequest { sop_instance_uid, ..Default::default() }.encode_to_vec()
        }
        "RenderFrame" => {
            im::RenderFrameRequest { sop_instance_uid, ..Default::default() }.encode_to_vec()
        }
        "RenderContactSheet" => {
            let series_uid = slice.series;
            im::RenderContactSheetRequest { study_uid, series_uid, ..Default::default() }
                .encode_to_vec()
        }
        "DeliverStudy" => {
            im::DeliverStudyRequest { study_uid, ..Default::default() }.encode_to_vec()
        }
        "WatchChanges" => {
            let idle_max = Some(prost_types::Duration::default());
            im::WatchChangesRequest { after_number: 0, idle_max }.encode_to_vec()
        }
        "PlaceHold" => im::PlaceHoldRequest { study_uid, reason }.encode_to_vec(),
        "LiftHold" => im::LiftHoldRequest { hold_id: hold.to_owned(), reason }.encode_to_vec(),
        "EraseInstance" => {
            im::EraseInstanceRequest { sop_instance_uid, reason, ..Default::default() }
                .encode_to_vec()
        }
        "EraseStudy" => {
            im::EraseStudyRequest { study_uid, reason, include_kept_apart: true }.encode_to_vec()
        }
        "AssessRecognition" => {
            rg::AssessRecognitionRequest { planned: Some(planned()) }.encode_to_vec()
        }
        "RecordRecognition" => rg::RecordRecognitionRequest {
            planned: Some(planned()),
            kind: rg::DecisionKind::Examined.into(),
            ..Default::default()
        }
        .encode_to_vec(),
        "ExplainDecision" => {
            rg::ExplainDecisionRequest { decision_id: decision.to_owned() }.encode_to_vec()
        }
        _ => Vec::new(),
    }
}

/// Two objects of the study, and another under the UID of the first.
async fn fill(node: &TestNode) {
    let first = Slice::head(STUDY, 1).bytes();
    let mut other = first.clone();
    *other.last_mut().unwrap() ^= 1;
    let second = Slice::head(STUDY, 2).bytes();
    for (id, bytes) in [("1", &first), ("2", &other), ("3", &second)] {
        store(node, as_data_set(id, bytes)).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_rpc_about_images_leaves_an_entry_that_says_whose() {
    let about =
        |service: &str| service.starts_with("imaging.") || service.starts_with("recognition.");
    let calls: Vec<_> = CALLS.iter().filter(|(service, ..)| about(service)).collect();
    for (_, rpc, _) in &calls {
        let there = LEAVES.iter().filter(|(known, _)| known == rpc).count();
        assert_eq!(there, 1, "{rpc} must stand in LEAVES, once");
    }
    assert_eq!(LEAVES.len(), calls.len());
    let node = small().start().await;
    fill(&node).await;
    let (mut hold, mut decision) = (String::new(), String::new());
    for (rpc, leaves) in LEAVES {
        let before = entries(&node).await[0].number;
        let (service, ..) = calls.iter().find(|call| call.1 == *rpc).unwrap();
        if *rpc == "StoreObjects" {
            store(&node, as_data_set("1", &Slice::head(STUDY, 2).bytes())).await.unwrap();
        } else {
            let path = format!("/xiangyi.{service}/{rpc}");
            let answer = node.raw(&path, message(rpc, (&hold, &decision)), None).await;
            let answer = match (answer, leaves) {
                (Ok(answer), _) => answer,
                (Err(_), Leaves::Nothing(_)) => Vec::new(),
                (Err(status), _) => panic!("{rpc}: {status}"),
            };
            match *rpc {
                "PlaceHold" => {
                    let placed = im::PlaceHoldResponse::decode(answer.as_slice()).unwrap();
                    hold = placed.hold.unwrap().hold_id;
                }
                "RecordRecognition" => {
                    let kept = rg::RecordRecognitionResponse::decode(answer.as_slice()).unwrap();
                    decision = kept.decision.unwrap().decision_id;
                }
                _ => {}
            }
        }
        // The look at the trail itself is the first of them.
        let new: Vec<_> =
            entries(&node).await.into_iter().filter(|entry| entry.number > before + 1).collect();
        let (action, study, patient) = match leaves {
            Leaves::Both(action) => (*action, STUDY, PATIENT),
            Leaves::Patient(action) => (*action, "", PATIENT),
            Leaves::Entry(action) => (*action, "", ""),
            Leaves::Nothing(_) => {
                assert!(new.is_empty(), "{rpc}: {new:?}");
                continue;
            }
        };
        let says = |entry: &&au::AuditEntry| {
            entry.action == action
                && entry.outcome == "ok"
                && (study.is_empty() || entry.record_id == study)
                && entry.patient_reference == patient
        };
        assert!(new.iter().any(|entry| says(&entry)), "{rpc}: {new:?}");
        let before = |entry: &&au::AuditEntry| {
            entry.outcome == "asked"
                && entry.record_id == STUDY
                && entry.patient_reference == PATIENT
        };
        if action == "hold_images" {
            assert!(new.iter().any(|entry| before(&entry)), "{rpc} is said before: {new:?}");
        }
    }
}
