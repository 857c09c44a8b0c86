//! Every RPC with a caller who may not, with input that cannot be read, and cut off.
//!
//! `tests/tidy.rs` fails when an RPC of the contract is missing from [`CALLS`].

use std::time::Duration;

use prost::Message as _;
use tonic::Code;
use xiangyi::app::access::Role;
use xiangyi::rpc::proto::xiangyi::audit::v1 as au;
use xiangyi::rpc::proto::xiangyi::diagnosis::v1 as dx;
use xiangyi::rpc::proto::xiangyi::imaging::v1 as im;
use xiangyi::rpc::proto::xiangyi::people::v1 as pe;
use xiangyi::rpc::proto::xiangyi::prescription::v1 as rx;
use xiangyi::rpc::proto::xiangyi::recognition::v1 as rg;
use xiangyi::rpc::proto::xiangyi::records::v1 as rc;
use xiangyi::rpc::proto::xiangyi::treatment::v1 as tx;

use crate::harness::{Setup, complaint, order, reason, token_of};

/// Letters of the roles that may call: village, township and hospital doctor, radiologist, pharmacist,
/// public-health worker, auditor, administrator ("manager").
const LETTERS: [(char, Role); 8] = [
    ('V', Role::VillageDoctor),
    ('T', Role::TownshipDoctor),
    ('H', Role::HospitalDoctor),
    ('R', Role::Radiologist),
    ('P', Role::Pharmacist),
    ('W', Role::PublicHealthWorker),
    ('A', Role::Auditor),
    ('M', Role::Administrator),
];

/// Service, RPC, and who may call it; everybody else is denied.
pub(crate) const CALLS: &[(&str, &str, &str)] = &[
    ("diagnosis.v1.DiagnosisService", "Diagnose", "VTH-----"),
    ("diagnosis.v1.DiagnosisService", "Interview", "VTH-----"),
    ("diagnosis.v1.DiagnosisService", "GetConsultation", "VTH---A-"),
    ("diagnosis.v1.DiagnosisService", "ListConsultations", "VTH---A-"),
    ("diagnosis.v1.DiagnosisService", "SearchFindings", "VTHRPWAM"),
    ("diagnosis.v1.DiagnosisService", "SearchConditions", "VTHRPWAM"),
    ("prescription.v1.PrescriptionService", "CheckPrescription", "VTH-P---"),
    ("prescription.v1.PrescriptionService", "GetPrescriptionCheck", "VTH-P-A-"),
    ("prescription.v1.PrescriptionService", "ListPrescriptionChecks", "VTH-P-A-"),
    ("prescription.v1.PrescriptionService", "SearchMedicines", "VTHRPWAM"),
    ("prescription.v1.PrescriptionService", "GetMedicine", "VTHRPWAM"),
    ("prescription.v1.PrescriptionService", "ReviewPrescriptions", "VTH-P-A-"),
    ("prescription.v1.PrescriptionService", "ExplainFinding", "VTH-P-A-"),
    ("prescription.v1.PrescriptionService", "RecordOverride", "VTH-----"),
    ("prescription.v1.PrescriptionService", "ListOverrides", "VTH-P-A-"),
    ("treatment.v1.TreatmentService", "RecommendPlan", "VTH-----"),
    ("treatment.v1.TreatmentService", "GetRecommendation", "VTH-----"),
    ("treatment.v1.TreatmentService", "ListRecommendations", "VTH-----"),
    ("treatment.v1.TreatmentService", "ListPlanTopics", "VTHRPWAM"),
    ("treatment.v1.TreatmentService", "ListCalculators", "VTHRPWAM"),
    ("records.v1.RecordService", "ValidateRecord", "VTH-----"),
    ("records.v1.RecordService", "SubmitRecord", "VTH-----"),
    ("records.v1.RecordService", "GetRecord", "VTH-PWA-"),
    ("records.v1.RecordService", "ListRecords", "VTH-PWA-"),
    ("records.v1.RecordService", "ExportRecord", "VTH-PWA-"),
    ("records.v1.RecordService", "ReconcileMedicines", "VTH-P---"),
    ("records.v1.RecordService", "LookUpRecords", "VTH-PWA-"),
    ("records.v1.RecordService", "FetchRecord", "VTH-PWA-"),
    ("records.v1.FollowUpService", "ListTasks", "VTH-PWA-"),
    ("records.v1.ConsentService", "WithdrawConsent", "VTH-----"),
    ("records.v1.ConsentService", "RestoreConsent", "VTH-----"),
    ("records.v1.ConsentService", "ConfirmPresence", "VTH-----"),
    ("records.v1.ConsentService", "EndPresence", "VTH-----"),
    ("records.v1.ConsentService", "ListGrants", "VTH-PWA-"),
    ("records.v1.ConsentService", "ListAccessReviews", "------A-"),
    ("records.v1.ConsentService", "ListPatientNotices", "VTH---A-"),
    ("records.v1.ConsentService", "RecordPatientNotice", "VTH---A-"),
    ("records.v1.ConsentService", "CloseAccessReview", "------A-"),
    ("records.v1.FollowUpService", "UpdateTask", "VTH--W--"),
    ("records.v1.ExchangeService", "RegisterPatient", "VTH--W--"),
    ("records.v1.ExchangeService", "GetExchangeStatus", "VTH--WAM"),
    ("records.v1.ExchangeService", "ListExchangeNodes", "VTH--WAM"),
    ("people.v1.PersonService", "MatchPerson", "------AM"),
    ("people.v1.PersonService", "GetPerson", "------AM"),
    ("people.v1.PersonService", "ListPersonReviews", "------AM"),
    ("people.v1.PersonService", "DecidePersonReview", "-------M"),
    ("people.v1.PersonService", "JoinPersons", "-------M"),
    ("people.v1.PersonService", "PartPerson", "-------M"),
    ("people.v1.PersonService", "UndoPersonDecision", "-------M"),
    ("people.v1.PersonService", "GetPeopleReport", "VTH--WAM"),
    ("records.v1.ExchangeService", "ListQuarantined", "VTH--WAM"),
    ("records.v1.ExchangeService", "GetQuarantined", "-------M"),
    ("records.v1.ExchangeService", "SettleQuarantined", "-------M"),
    ("audit.v1.AuditService", "ListAuditEntries", "------A-"),
    ("audit.v1.AuditService", "ListPatientAccesses", "------A-"),
    ("audit.v1.AuditService", "VerifyTrail", "------AM"),
    ("reporting.v1.ReportingService", "GetCoverageReport", "-----WAM"),
    ("reporting.v1.ReportingService", "ListIndicators", "-----WAM"),
    ("audit.v1.AuditService", "ListAnchors", "------AM"),
    ("audit.v1.AuditService", "ListAlarms", "------A-"),
    ("audit.v1.AuditService", "CloseAlarm", "------A-"),
    ("treatment.v1.TreatmentService", "Calculate", "VTHRPWAM"),
    ("imaging.v1.ImagingService", "SearchStudies", "VTHR--A-"),
    ("imaging.v1.ImagingService", "GetStudyMetadata", "VTHR--A-"),
    ("imaging.v1.ImagingService", "RetrieveObject", "VTHR----"),
    ("imaging.v1.ImagingService", "StoreObjects", "VTHR----"),
    ("imaging.v1.ImagingService", "RenderFrame", "VTHR----"),
    ("imaging.v1.ImagingService", "RenderContactSheet", "VTHR----"),
    ("imaging.v1.ImagingService", "ListChanges", "VTHR--A-"),
    ("imaging.v1.ImagingService", "WatchChanges", "VTHR--A-"),
    ("imaging.v1.ImagingService", "ListKeptApart", "VTHR--A-"),
    ("imaging.v1.ImagingService", "FetchStudy", "VTHR----"),
    ("imaging.v1.ImagingService", "GetArchiveInfo", "VTHRPWAM"),
    ("imaging.v1.ImagingService", "DeliverStudy", "VTHR----"),
    ("imaging.v1.ImagingService", "ListImagingModels", "VTHRPWAM"),
    ("imaging.v1.ImagingService", "AnalyseStudy", "VTHR----"),
    ("imaging.v1.CustodyService", "PlaceHold", "-------M"),
    ("imaging.v1.CustodyService", "LiftHold", "-------M"),
    ("imaging.v1.CustodyService", "ListHolds", "------AM"),
    ("imaging.v1.CustodyService", "EraseStudy", "-------M"),
    ("imaging.v1.CustodyService", "EraseInstance", "-------M"),
    ("recognition.v1.RecognitionService", "ListRecognitionItems", "VTHRPWAM"),
    ("recognition.v1.RecognitionService", "AssessRecognition", "VTHR----"),
    ("recognition.v1.RecognitionService", "RecordRecognition", "VTHR----"),
    ("recognition.v1.RecognitionService", "ListRecognitionDecisions", "VTHR--A-"),
    ("recognition.v1.RecognitionService", "ExplainDecision", "VTHR--A-"),
    ("recognition.v1.RecognitionService", "SummariseRecognition", "VTHR--A-"),
    ("model.v1.ModelService", "ListModels", "VTHRPWAM"),
    ("model.v1.ModelService", "ReloadModels", "-------M"),
    ("identity.v1.IdentityService", "SetUp", "VTHRPWAM"),
    ("identity.v1.IdentityService", "SignIn", "VTHRPWAM"),
    ("identity.v1.IdentityService", "Refresh", "VTHRPWAM"),
    ("identity.v1.IdentityService", "SignOut", "VTHRPWAM"),
    ("identity.v1.IdentityService", "ChangePassword", "VTHRPWAM"),
    ("identity.v1.IdentityService", "WhoAmI", "VTHRPWAM"),
    ("node.v1.NodeService", "GetNodeInfo", "VTHRPWAM"),
    ("node.v1.NodeService", "ListNodes", "VTHRPWAM"),
];

/// Whether a role is among those that may call.
fn may(letters: &str, role: Role) -> bool {
    LETTERS.iter().any(|(letter, known)| *known == role && letters.contains(*letter))
}

fn path(service: &str, rpc: &str) -> String {
    format!("/xiangyi.{service}/{rpc}")
}

/// These nodes belong to no region; see `region.rs`.
fn alone(rpc: &str, code: Option<Code>) -> bool {
    let of_people = CALLS.iter().any(|call| call.0 == "people.v1.PersonService" && call.1 == rpc);
    let of_hubs = [
        "ListExchangeNodes",
        "ListQuarantined",
        "GetQuarantined",
        "SettleQuarantined",
        "GetCoverageReport",
    ];
    let of_region = ["FetchStudy", "ListNodes", "LookUpRecords", "FetchRecord"];
    // They admit no accounts; see `identity.rs`.
    let of_accounts = ["SetUp", "SignIn", "Refresh", "SignOut", "ChangePassword"];
    (of_people || of_hubs.contains(&rpc) || of_region.contains(&rpc) || of_accounts.contains(&rpc))
        && code == Some(Code::FailedPrecondition)
}

fn of_region(rpc: &str) -> Vec<u8> {
    let accesses =
        au::ListPatientAccessesRequest { patient_reference: "P1".to_owned(), ..Default::default() };
    let fetch = im::FetchStudyRequest {
        study_uid: "1.2.3".to_owned(),
        purpose: im::PurposeOfUse::Treatment.into(),
        ..Default::default()
    };
    match rpc {
        "FetchStudy" => fetch.encode_to_vec(),
        "ListPatientAccesses" => accesses.encode_to_vec(),
        _ => Vec::new(),
    }
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
        "CloseAlarm" => {
            let finding = au::AlarmFinding::Justified.into();
            let note = "checked".to_owned();
            au::CloseAlarmRequest { number: 9, finding, note }.encode_to_vec()
        }
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
        "CloseAlarm",
    ];
    (rpc.starts_with("Get") && rpc != "GetExchangeStatus") || others.contains(&rpc)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn denied_callers_get_nothing_from_any_rpc() {
    let node = Setup::new().tokens().start().await;
    for (service, rpc, letters) in CALLS {
        let path = path(service, rpc);
        for token in [None, Some(""), Some("wrong"), Some("token-of-local")] {
            let status = node.raw(&path, good(rpc), token).await.unwrap_err();
            assert_eq!(status.code(), Code::Unauthenticated, "{rpc} with {token:?}");
        }
        for role in Role::PEOPLE {
            if !may(letters, role) {
                let status = node.raw(&path, good(rpc), Some(&token_of(role))).await.unwrap_err();
                assert_eq!(status.code(), Code::PermissionDenied, "{rpc} as {role:?}");
                assert_eq!(reason(&status), "PERMISSION_DENIED");
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
