//! Every RPC with a caller who may not, with input that cannot be read, and cut off.
//!
//! `tests/tidy.rs` fails when an RPC of the contract is missing from [`CALLS`].

use std::time::Duration;

use prost::Message as _;
use tonic::Code;
use xiangyi::app::access::Role;
use xiangyi::rpc::proto::xiangyi::diagnosis::v1 as dx;
use xiangyi::rpc::proto::xiangyi::imaging::v1 as im;
use xiangyi::rpc::proto::xiangyi::people::v1 as pe;
use xiangyi::rpc::proto::xiangyi::prescription::v1 as rx;
use xiangyi::rpc::proto::xiangyi::recognition::v1 as rg;
use xiangyi::rpc::proto::xiangyi::records::v1 as rc;
use xiangyi::rpc::proto::xiangyi::treatment::v1 as tx;

use crate::harness::{Setup, complaint, order, reason, token_of};

/// Those who are told nothing of any patient's images.
const NO_IMAGES: &[Role] = &[Role::Pharmacist, Role::Administrator];
/// Those who see no images and decide nothing about them.
const NO_PIXELS: &[Role] = &[Role::Pharmacist, Role::Auditor, Role::Administrator];

/// Those who neither hold nor erase.
const NO_CUSTODY: &[Role] = &[Role::VillageDoctor, Role::Pharmacist, Role::Auditor];

/// Those who read no discharge records and hand none in.
const NO_RECORDS: &[Role] = &[Role::Pharmacist, Role::Auditor, Role::Administrator];

/// Those who do not look at what others have opened.
const NO_REVIEWS: &[Role] = &[Role::VillageDoctor, Role::Pharmacist, Role::Administrator];

/// Those who do not read who is whom at the hub, and those who do not decide it.
const NO_PEOPLE: &[Role] = &[Role::VillageDoctor, Role::Pharmacist];
const NO_DECISIONS: &[Role] = &[Role::VillageDoctor, Role::Pharmacist, Role::Auditor];
/// Those who do not open what a hub has put aside.
const NO_QUARANTINE: &[Role] = &[Role::VillageDoctor, Role::Pharmacist, Role::Auditor];

/// Service, RPC, and the roles that may not call it.
const CALLS: &[(&str, &str, &[Role])] = &[
    (
        "diagnosis.v1.DiagnosisService",
        "Diagnose",
        &[Role::Pharmacist, Role::Auditor, Role::Administrator],
    ),
    (
        "diagnosis.v1.DiagnosisService",
        "Interview",
        &[Role::Pharmacist, Role::Auditor, Role::Administrator],
    ),
    ("diagnosis.v1.DiagnosisService", "GetConsultation", &[Role::Pharmacist, Role::Administrator]),
    (
        "diagnosis.v1.DiagnosisService",
        "ListConsultations",
        &[Role::Pharmacist, Role::Administrator],
    ),
    ("diagnosis.v1.DiagnosisService", "SearchFindings", &[]),
    ("diagnosis.v1.DiagnosisService", "SearchConditions", &[]),
    (
        "prescription.v1.PrescriptionService",
        "CheckPrescription",
        &[Role::Auditor, Role::Administrator],
    ),
    ("prescription.v1.PrescriptionService", "GetPrescriptionCheck", &[Role::Administrator]),
    ("prescription.v1.PrescriptionService", "ListPrescriptionChecks", &[Role::Administrator]),
    ("prescription.v1.PrescriptionService", "SearchMedicines", &[]),
    ("prescription.v1.PrescriptionService", "GetMedicine", &[]),
    ("prescription.v1.PrescriptionService", "ReviewPrescriptions", &[Role::Administrator]),
    ("prescription.v1.PrescriptionService", "ExplainFinding", &[Role::Administrator]),
    (
        "prescription.v1.PrescriptionService",
        "RecordOverride",
        &[Role::Pharmacist, Role::Auditor, Role::Administrator],
    ),
    ("prescription.v1.PrescriptionService", "ListOverrides", &[Role::Administrator]),
    (
        "treatment.v1.TreatmentService",
        "RecommendPlan",
        &[Role::Pharmacist, Role::Auditor, Role::Administrator],
    ),
    (
        "treatment.v1.TreatmentService",
        "GetRecommendation",
        &[Role::Pharmacist, Role::Auditor, Role::Administrator],
    ),
    (
        "treatment.v1.TreatmentService",
        "ListRecommendations",
        &[Role::Pharmacist, Role::Auditor, Role::Administrator],
    ),
    ("treatment.v1.TreatmentService", "ListPlanTopics", &[]),
    ("treatment.v1.TreatmentService", "ListCalculators", &[]),
    ("records.v1.RecordService", "ValidateRecord", NO_RECORDS),
    ("records.v1.RecordService", "SubmitRecord", NO_RECORDS),
    ("records.v1.RecordService", "GetRecord", &[Role::Administrator]),
    ("records.v1.RecordService", "ListRecords", &[Role::Administrator]),
    ("records.v1.RecordService", "ExportRecord", &[Role::Administrator]),
    ("records.v1.RecordService", "ReconcileMedicines", &[Role::Auditor, Role::Administrator]),
    ("records.v1.RecordService", "LookUpRecords", &[Role::Administrator]),
    ("records.v1.RecordService", "FetchRecord", &[Role::Administrator]),
    ("records.v1.FollowUpService", "ListTasks", &[Role::Administrator]),
    ("records.v1.ConsentService", "WithdrawConsent", NO_RECORDS),
    ("records.v1.ConsentService", "RestoreConsent", NO_RECORDS),
    ("records.v1.ConsentService", "ConfirmPresence", NO_RECORDS),
    ("records.v1.ConsentService", "EndPresence", NO_RECORDS),
    ("records.v1.ConsentService", "ListGrants", &[Role::Administrator]),
    ("records.v1.ConsentService", "ListAccessReviews", NO_REVIEWS),
    ("records.v1.ConsentService", "ListPatientNotices", &[Role::Pharmacist, Role::Administrator]),
    ("records.v1.ConsentService", "RecordPatientNotice", &[Role::Pharmacist, Role::Administrator]),
    ("records.v1.ConsentService", "CloseAccessReview", NO_REVIEWS),
    ("records.v1.FollowUpService", "UpdateTask", NO_RECORDS),
    ("records.v1.ExchangeService", "RegisterPatient", NO_RECORDS),
    ("records.v1.ExchangeService", "GetExchangeStatus", &[Role::Pharmacist]),
    ("records.v1.ExchangeService", "ListExchangeNodes", &[Role::Pharmacist]),
    ("people.v1.PersonService", "MatchPerson", NO_PEOPLE),
    ("people.v1.PersonService", "GetPerson", NO_PEOPLE),
    ("people.v1.PersonService", "ListPersonReviews", NO_PEOPLE),
    ("people.v1.PersonService", "DecidePersonReview", NO_DECISIONS),
    ("people.v1.PersonService", "JoinPersons", NO_DECISIONS),
    ("people.v1.PersonService", "PartPerson", NO_DECISIONS),
    ("people.v1.PersonService", "UndoPersonDecision", NO_DECISIONS),
    ("people.v1.PersonService", "GetPeopleReport", &[Role::Pharmacist]),
    ("records.v1.ExchangeService", "ListQuarantined", &[Role::Pharmacist]),
    ("records.v1.ExchangeService", "GetQuarantined", NO_QUARANTINE),
    ("records.v1.ExchangeService", "SettleQuarantined", NO_QUARANTINE),
    ("treatment.v1.TreatmentService", "Calculate", &[]),
    ("imaging.v1.ImagingService", "SearchStudies", NO_IMAGES),
    ("imaging.v1.ImagingService", "GetStudyMetadata", NO_IMAGES),
    ("imaging.v1.ImagingService", "RetrieveObject", NO_PIXELS),
    ("imaging.v1.ImagingService", "StoreObjects", NO_PIXELS),
    ("imaging.v1.ImagingService", "RenderFrame", NO_PIXELS),
    ("imaging.v1.ImagingService", "RenderContactSheet", NO_PIXELS),
    ("imaging.v1.ImagingService", "ListChanges", NO_IMAGES),
    ("imaging.v1.ImagingService", "WatchChanges", NO_IMAGES),
    ("imaging.v1.ImagingService", "ListKeptApart", NO_IMAGES),
    ("imaging.v1.ImagingService", "FetchStudy", NO_PIXELS),
    ("imaging.v1.ImagingService", "GetArchiveInfo", &[]),
    ("imaging.v1.ImagingService", "DeliverStudy", NO_PIXELS),
    ("imaging.v1.ImagingService", "ListImagingModels", &[]),
    ("imaging.v1.ImagingService", "AnalyseStudy", NO_PIXELS),
    ("imaging.v1.CustodyService", "PlaceHold", NO_CUSTODY),
    ("imaging.v1.CustodyService", "LiftHold", NO_CUSTODY),
    ("imaging.v1.CustodyService", "ListHolds", &[Role::VillageDoctor, Role::Pharmacist]),
    ("imaging.v1.CustodyService", "EraseStudy", NO_CUSTODY),
    ("imaging.v1.CustodyService", "EraseInstance", NO_CUSTODY),
    ("recognition.v1.RecognitionService", "ListRecognitionItems", &[]),
    ("recognition.v1.RecognitionService", "AssessRecognition", NO_PIXELS),
    ("recognition.v1.RecognitionService", "RecordRecognition", NO_PIXELS),
    ("recognition.v1.RecognitionService", "ListRecognitionDecisions", NO_IMAGES),
    ("recognition.v1.RecognitionService", "ExplainDecision", NO_IMAGES),
    ("recognition.v1.RecognitionService", "SummariseRecognition", NO_IMAGES),
    ("model.v1.ModelService", "ListModels", &[]),
    (
        "model.v1.ModelService",
        "ReloadModels",
        &[Role::VillageDoctor, Role::Pharmacist, Role::Auditor],
    ),
    ("node.v1.NodeService", "GetNodeInfo", &[]),
    ("node.v1.NodeService", "ListNodes", &[]),
];

fn path(service: &str, rpc: &str) -> String {
    format!("/xiangyi.{service}/{rpc}")
}

/// These nodes belong to no region; see `region.rs`.
fn alone(rpc: &str, code: Option<Code>) -> bool {
    let of_people = CALLS.iter().any(|call| call.0 == "people.v1.PersonService" && call.1 == rpc);
    let of_hubs = ["ListExchangeNodes", "ListQuarantined", "GetQuarantined", "SettleQuarantined"];
    let of_region = ["FetchStudy", "ListNodes", "LookUpRecords", "FetchRecord"];
    (of_people || of_hubs.contains(&rpc) || of_region.contains(&rpc))
        && code == Some(Code::FailedPrecondition)
}

fn of_region(rpc: &str) -> Vec<u8> {
    let fetch = im::FetchStudyRequest {
        study_uid: "1.2.3".to_owned(),
        purpose: im::PurposeOfUse::Treatment.into(),
        ..Default::default()
    };
    if rpc == "FetchStudy" { fetch.encode_to_vec() } else { Vec::new() }
}

/// A message that the RPC answers without error.
fn good(rpc: &str) -> Vec<u8> {
    match rpc {
        "Diagnose" => complaint("发热3天，咳嗽").encode_to_vec(),
        "Interview" => {
            let start = dx::InterviewStart {
                consultation: Some(complaint("发热3天，咳嗽")),
                ..Default::default()
            };
            dx::InterviewRequest { step: Some(dx::interview_request::Step::Start(start)) }
                .encode_to_vec()
        }
        "CheckPrescription" => order(&["阿莫西林胶囊"]).encode_to_vec(),
        "GetConsultation" => {
            dx::GetConsultationRequest { consultation_id: "nobody".to_owned() }.encode_to_vec()
        }
        "GetPrescriptionCheck" => {
            rx::GetPrescriptionCheckRequest { check_id: "nobody".to_owned() }.encode_to_vec()
        }
        "SearchFindings" => {
            dx::SearchFindingsRequest { query: "发热".to_owned(), count_max: 3 }.encode_to_vec()
        }
        "SearchConditions" => {
            dx::SearchConditionsRequest { query: "肺炎".to_owned(), count_max: 3 }.encode_to_vec()
        }
        "SearchMedicines" => {
            rx::SearchMedicinesRequest { query: "amxl".to_owned(), count_max: 3 }.encode_to_vec()
        }
        "ReviewPrescriptions" => rx::ReviewPrescriptionsRequest {
            prescription_id: "1".to_owned(),
            prescription: Some(order(&["阿莫西林胶囊"])),
        }
        .encode_to_vec(),
        "ExplainFinding" => rx::ExplainFindingRequest {
            check_id: "nobody".to_owned(),
            finding_id: "nothing".to_owned(),
        }
        .encode_to_vec(),
        "RecordOverride" => rx::RecordOverrideRequest {
            check_id: "nobody".to_owned(),
            finding_id: "nothing".to_owned(),
            reason: "病人坚持".to_owned(),
            ..Default::default()
        }
        .encode_to_vec(),
        "RecommendPlan" => tx::RecommendPlanRequest {
            diagnoses: vec!["高血压病".to_owned()],
            ..Default::default()
        }
        .encode_to_vec(),
        "GetRecommendation" => {
            tx::GetRecommendationRequest { recommendation_id: "nobody".to_owned() }.encode_to_vec()
        }
        "Calculate" => tx::CalculateRequest {
            name: "body_mass_index".to_owned(),
            inputs: [("weight_kg".to_owned(), 60.0), ("height_cm".to_owned(), 165.0)].into(),
        }
        .encode_to_vec(),
        "GetStudyMetadata" => {
            im::GetStudyMetadataRequest { study_uid: "1.2.3".to_owned(), ..Default::default() }
                .encode_to_vec()
        }
        "StoreObjects" => {
            let start = im::ObjectStart { object_id: "1".to_owned(), ..Default::default() };
            im::StoreObjectsRequest { part: Some(im::store_objects_request::Part::Start(start)) }
                .encode_to_vec()
        }
        // Ends when it has said what there is.
        "WatchChanges" => {
            let idle_max = Some(prost_types::Duration::default());
            im::WatchChangesRequest { after_number: 0, idle_max }.encode_to_vec()
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
            rg::ExplainDecisionRequest { decision_id: "nobody".to_owned() }.encode_to_vec()
        }
        "GetMedicine" => rx::GetMedicineRequest { code: "W001".to_owned() }.encode_to_vec(),
        _ => good_about_images(rpc),
    }
}

/// Likewise, about one object or study.
fn good_about_images(rpc: &str) -> Vec<u8> {
    match rpc {
        "RetrieveObject" => {
            im::RetrieveObjectRequest { sop_instance_uid: "1.2.3".to_owned(), ..Default::default() }
                .encode_to_vec()
        }
        "RenderFrame" => {
            im::RenderFrameRequest { sop_instance_uid: "1.2.3".to_owned(), ..Default::default() }
                .encode_to_vec()
        }
        "RenderContactSheet" => im::RenderContactSheetRequest {
            study_uid: "1.2.3".to_owned(),
            series_uid: "1.2.3".to_owned(),
            ..Default::default()
        }
        .encode_to_vec(),
        "DeliverStudy" => {
            im::DeliverStudyRequest { study_uid: "1.2.3".to_owned(), ..Default::default() }
                .encode_to_vec()
        }
        "PlaceHold" => {
            im::PlaceHoldRequest { study_uid: "1.2.3".to_owned(), reason: "why".to_owned() }
                .encode_to_vec()
        }
        "LiftHold" => {
            im::LiftHoldRequest { hold_id: "nobody".to_owned(), reason: "why".to_owned() }
                .encode_to_vec()
        }
        "EraseStudy" => im::EraseStudyRequest {
            study_uid: "1.2.3".to_owned(),
            reason: "why".to_owned(),
            include_kept_apart: true,
        }
        .encode_to_vec(),
        "EraseInstance" => im::EraseInstanceRequest {
            sop_instance_uid: "1.2.3".to_owned(),
            reason: "why".to_owned(),
            ..Default::default()
        }
        .encode_to_vec(),
        "AnalyseStudy" => {
            im::AnalyseStudyRequest { study_uid: "1.2.3".to_owned(), ..Default::default() }
                .encode_to_vec()
        }
        _ => good_about_records(rpc),
    }
}

/// Likewise, about discharge records.
fn good_about_records(rpc: &str) -> Vec<u8> {
    let purpose = rc::Purpose::Treatment.into();
    let name = "nobody".to_owned();
    match rpc {
        "ValidateRecord" => {
            rc::ValidateRecordRequest { content: record(), ..Default::default() }.encode_to_vec()
        }
        "SubmitRecord" => {
            rc::SubmitRecordRequest { content: record(), ..Default::default() }.encode_to_vec()
        }
        "GetRecord" => rc::GetRecordRequest { name, purpose, ..Default::default() }.encode_to_vec(),
        "ListRecords" => rc::ListRecordsRequest { purpose, ..Default::default() }.encode_to_vec(),
        "ExportRecord" => {
            rc::ExportRecordRequest { name, purpose, ..Default::default() }.encode_to_vec()
        }
        "ReconcileMedicines" => {
            rc::ReconcileMedicinesRequest { name, purpose, ..Default::default() }.encode_to_vec()
        }
        "LookUpRecords" => {
            rc::LookUpRecordsRequest { person: Some(looked_up()), purpose, ..Default::default() }
                .encode_to_vec()
        }
        "FetchRecord" => rc::FetchRecordRequest {
            name,
            person: Some(looked_up()),
            purpose,
            ..Default::default()
        }
        .encode_to_vec(),
        "ListTasks" => rc::ListTasksRequest { purpose, ..Default::default() }.encode_to_vec(),
        "WithdrawConsent" => rc::WithdrawConsentRequest { record: name, all: true }.encode_to_vec(),
        "RestoreConsent" => rc::RestoreConsentRequest { record: name, all: true }.encode_to_vec(),
        "ConfirmPresence" => {
            let check = rc::PresenceCheck::IdentityCard.into();
            rc::ConfirmPresenceRequest { record: name, check, ..Default::default() }.encode_to_vec()
        }
        "EndPresence" => {
            rc::EndPresenceRequest { record: name, ..Default::default() }.encode_to_vec()
        }
        "ListGrants" => {
            rc::ListGrantsRequest { record: name, purpose, ..Default::default() }.encode_to_vec()
        }
        "RecordPatientNotice" => {
            let told = rc::NoticeState::Phone.into();
            rc::RecordPatientNoticeRequest { notice_id: name, told, ..Default::default() }
                .encode_to_vec()
        }
        "CloseAccessReview" => {
            rc::CloseAccessReviewRequest { review_id: name, finding: "属实".to_owned() }
                .encode_to_vec()
        }
        "GetQuarantined" => rc::GetQuarantinedRequest { id: 1 }.encode_to_vec(),
        "SettleQuarantined" => {
            rc::SettleQuarantinedRequest { id: 1, finding: "已补发".to_owned() }.encode_to_vec()
        }
        "UpdateTask" => {
            let state = rc::TaskState::Done.into();
            rc::UpdateTaskRequest { task_id: name, state, ..Default::default() }.encode_to_vec()
        }
        "RegisterPatient" => {
            let person = rc::RegisteredPerson {
                name: "饶建国".to_owned(),
                health_card: "36110000000571".to_owned(),
                ..Default::default()
            };
            let relation = rc::Relation::Registered.into();
            let person = Some(person);
            rc::RegisterPatientRequest { person, relation, ..Default::default() }.encode_to_vec()
        }
        _ => of_people(rpc),
    }
}

fn of_people(rpc: &str) -> Vec<u8> {
    let note = "核实过".to_owned();
    match rpc {
        "MatchPerson" => {
            let person = pe::StatedPerson {
                name: "饶建国".to_owned(),
                birth_date: "1957-03-17".to_owned(),
                ..Default::default()
            };
            pe::MatchPersonRequest { person: Some(person) }.encode_to_vec()
        }
        "GetPerson" => pe::GetPersonRequest { person: 1 }.encode_to_vec(),
        "DecidePersonReview" => {
            pe::DecidePersonReviewRequest { review: 1, same_person: 0, different: true, note }
                .encode_to_vec()
        }
        "JoinPersons" => {
            pe::JoinPersonsRequest { person: 1, other_person: 2, note }.encode_to_vec()
        }
        "PartPerson" => pe::PartPersonRequest { particulars: 1, note }.encode_to_vec(),
        "UndoPersonDecision" => pe::UndoPersonDecisionRequest { decision: 1, note }.encode_to_vec(),
        _ => of_region(rpc),
    }
}

fn looked_up() -> rc::LookedUpPerson {
    rc::LookedUpPerson {
        name: "饶建国".to_owned(),
        health_card: "36110000000571".to_owned(),
        ..Default::default()
    }
}

fn record() -> Vec<u8> {
    include_bytes!("../data/records/wst500-53-stroke.xml").to_vec()
}

fn planned() -> rg::PlannedExamination {
    rg::PlannedExamination {
        patient_id: "nobody".to_owned(),
        text: "颅脑CT平扫".to_owned(),
        ..Default::default()
    }
}

/// Whether the message of [`good`] asks for something that nobody keeps.
fn asks_for_one(rpc: &str) -> bool {
    let others = [
        "ExplainFinding",
        "RecordOverride",
        "RetrieveObject",
        "RenderFrame",
        "RenderContactSheet",
        "DeliverStudy",
        "AnalyseStudy",
        "ExplainDecision",
        "PlaceHold",
        "LiftHold",
        "EraseStudy",
        "EraseInstance",
        "ExportRecord",
        "ReconcileMedicines",
        "UpdateTask",
        "WithdrawConsent",
        "RestoreConsent",
        "ConfirmPresence",
        "EndPresence",
        "ListGrants",
        "RecordPatientNotice",
        "CloseAccessReview",
    ];
    (rpc.starts_with("Get") && rpc != "GetExchangeStatus") || others.contains(&rpc)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn denied_callers_get_nothing_from_any_rpc() {
    let node = Setup::new().tokens().start().await;
    for (service, rpc, denied) in CALLS {
        let path = path(service, rpc);
        for token in [None, Some(""), Some("wrong"), Some("token-of-local")] {
            let status = node.raw(&path, good(rpc), token).await.unwrap_err();
            assert_eq!(status.code(), Code::Unauthenticated, "{rpc} with {token:?}");
        }
        for role in *denied {
            let status = node.raw(&path, good(rpc), Some(&token_of(*role))).await.unwrap_err();
            assert_eq!(status.code(), Code::PermissionDenied, "{rpc} as {role:?}");
            assert_eq!(reason(&status), "PERMISSION_DENIED");
        }
        for role in Role::ALL {
            // No bearer token can have the role of a DICOM application entity.
            if [Role::Local, Role::DicomPeer, Role::Node].contains(&role) || denied.contains(&role)
            {
                continue;
            }
            let outcome = node.raw(&path, good(rpc), Some(&token_of(role))).await;
            let code = outcome.err().map(|s| s.code());
            let fine = code.is_none()
                || (asks_for_one(rpc) && code == Some(Code::NotFound))
                || alone(rpc, code);
            assert!(fine, "{rpc} as {role:?}: {code:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_input_that_is_no_protobuf_is_the_callers_fault_at_every_rpc() {
    let node = Setup::new().start().await;
    for (service, rpc, _) in CALLS {
        // A length that runs past the end, a string that is not UTF-8 where field 1 is one, a
        // group end that was never begun, and noise.
        for bytes in [&b"\x0a\x7f"[..], b"\x0c", b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"] {
            let status = node.raw(&path(service, rpc), bytes.to_vec(), None).await.unwrap_err();
            assert_eq!(status.code(), Code::InvalidArgument, "{rpc}: {status:?}");
            assert!(status.message().contains("protobuf"), "{rpc}: {}", status.message());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cancelled_calls_leave_nothing_running_at_any_rpc() {
    let node = Setup::new().metrics().start().await;
    for (service, rpc, _) in CALLS {
        let path = path(service, rpc);
        for micros in [0, 50, 200, 1000] {
            let call = node.raw(&path, good(rpc), None);
            // Whether it was cut off or came through, the node goes on.
            let _ = tokio::time::timeout(Duration::from_micros(micros), call).await;
        }
        let outcome = node.raw(&path, good(rpc), None).await;
        let code = outcome.err().map(|s| s.code());
        let fine = matches!(code, None | Some(Code::NotFound)) || alone(rpc, code);
        assert!(fine, "{rpc} afterwards: {code:?}");
    }
    // A cut call may still be on its way through the socket when the next one was answered.
    let mut left = String::new();
    for _ in 0..2000 {
        left = node.metrics().await;
        if left.contains("xiangyi_rpc_running 0\n") && left.contains("xiangyi_rpc_waiting 0\n") {
            return;
        }
    }
    panic!("calls still run:\n{left}");
}
