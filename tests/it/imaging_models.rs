//! Imaging models of a node: installed, asked, running by themselves, and never a report.

use std::path::{Path, PathBuf};

use dicom_core::VR;
use dicom_dictionary_std::{tags, uids};
use tempfile::TempDir;
use tonic::{Code, Status};
use xiangyi::app::access::Role;
use xiangyi::rpc::proto::xiangyi::imaging::v1 as im;
use xiangyi::rpc::proto::xiangyi::imaging::v1::analyse_study_response::Part;
use xiangyi::rpc::proto::xiangyi::recognition::v1 as rg;

use crate::harness::{Setup, TestNode, bad_fields, both_engines, token_of};
use crate::images::{Slice, as_data_set, retrieve, small, store, store_slices};

const STUDY: &str = "1.2.1";

/// The model of the fixture, its manifest changed.
pub(crate) fn model(change: impl Fn(&str) -> String) -> TempDir {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/imaging-models/mean");
    let dir = tempfile::tempdir().unwrap();
    let to = dir.path().join("mean");
    std::fs::create_dir(&to).unwrap();
    for name in ["model.onnx", "known.f32"] {
        std::fs::copy(from.join(name), to.join(name)).unwrap();
    }
    let manifest = std::fs::read_to_string(from.join("model.toml")).unwrap();
    std::fs::write(to.join("model.toml"), change(&manifest)).unwrap();
    dir
}

fn with(setup: Setup, dir: PathBuf) -> Setup {
    setup.with(move |c| {
        c.imaging.models.dir = Some(dir);
        c.imaging.free_bytes_min = 0;
        c.imaging.segment_bytes = 16 << 20;
    })
}

/// Everything that is said of a study, and how it came out.
async fn analyse(
    node: &TestNode,
    request: im::AnalyseStudyRequest,
) -> Result<(Vec<im::ImageAnalysis>, im::AnalysisSummary), Status> {
    let mut answers = node.imaging().analyse_study(request).await?.into_inner();
    let mut said = Vec::new();
    while let Some(message) = answers.message().await? {
        match message.part.expect("a part") {
            Part::Analysis(one) => said.push(one),
            Part::Summary(summary) => return Ok((said, summary)),
        }
    }
    panic!("no summary")
}

fn all() -> im::AnalyseStudyRequest {
    im::AnalyseStudyRequest { study_uid: STUDY.to_owned(), ..Default::default() }
}

async fn metadata(node: &TestNode) -> im::GetStudyMetadataResponse {
    let request = im::GetStudyMetadataRequest { study_uid: STUDY.to_owned(), ..Default::default() };
    node.imaging().get_study_metadata(request).await.unwrap().into_inner()
}

/// A signed report of a doctor.
fn report(state: &str) -> Vec<u8> {
    let slice = Slice {
        series: format!("{STUDY}.8"),
        more: vec![
            (tags::MODALITY, VR::CS, "SR".to_owned()),
            (tags::SOP_CLASS_UID, VR::UI, uids::BASIC_TEXT_SR_STORAGE.to_owned()),
            (tags::COMPLETION_FLAG, VR::CS, "COMPLETE".to_owned()),
            (tags::VERIFICATION_FLAG, VR::CS, state.to_owned()),
        ],
        ..Slice::head(STUDY, 1)
    };
    slice.bytes()
}

both_engines! {
    async fn a_model_says_once_what_can_be_computed_by_hand(setup) {
        let dir = model(str::to_owned);
        let node = with(setup, dir.path().to_owned()).start().await;
        let chest = Slice { description: "胸部CT平扫".to_owned(), ..Slice::head("1.2.2", 1) };
        store_slices(&node, &[Slice::head(STUDY, 1), Slice::head(STUDY, 2), chest]).await;

        let listed = node.imaging().list_imaging_models(im::ListImagingModelsRequest {}).await;
        let listed = listed.unwrap().into_inner();
        assert_eq!(listed.refused, []);
        assert_eq!((listed.models[0].model_id.as_str(), listed.models[0].labels.len()), ("mean", 4));
        assert_eq!(listed.models[0].certificate, "", "for research only");

        let (said, summary) = analyse(&node, all()).await.unwrap();
        assert_eq!((summary.said_count, summary.said_before_count), (2, 0));
        assert!(summary.disclaimer.contains("不是诊断报告"));
        // Pixels are 0 to 4095 and the window 0 to 4096: the mean m is 4095 / 8192.
        let mean = 4095.0 / 8192.0_f64;
        let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
        let wanted = [
            ("bright", sigmoid(4.0 * mean - 1.0), true),
            ("dark", sigmoid(1.0 - 4.0 * mean), false),
            ("kind-a", sigmoid(2.0 * mean), false),
            ("kind-b", sigmoid(-2.0 * mean), false),
        ];
        for one in &said {
            assert_eq!(one.outcome(), im::AnalysisOutcome::Said);
            assert_eq!(one.suggestions.len(), wanted.len());
            for (got, (id, probability, passes)) in one.suggestions.iter().zip(wanted) {
                assert_eq!((got.label_id.as_str(), got.passes), (id, passes));
                assert!((got.probability - probability).abs() < 1e-5, "{id}: {}", got.probability);
            }
        }
        let (again, summary) = analyse(&node, all()).await.unwrap();
        assert_eq!((summary.said_count, summary.said_before_count), (0, 2));
        let reports = |said: &[im::ImageAnalysis]| -> Vec<String> {
            said.iter().map(|one| one.report_sop_instance_uid.clone()).collect()
        };
        assert_eq!(reports(&again), reports(&said));

        let study = metadata(&node).await;
        let series = study.series.iter().find(|s| s.modality == "SR").unwrap();
        assert_eq!(series.instances.len(), 2);
        assert_eq!(series.description, "模型提示，不是诊断报告");
        assert_eq!((series.model.as_str(), series.manufacturer.as_str()), ("mean", "Xiangyi tests"));
        assert_eq!(study.study.unwrap().kept_apart_count, 0);
        // The chest is not what the model is for.
        let other = im::AnalyseStudyRequest { study_uid: "1.2.2".to_owned(), ..all() };
        let (said, summary) = analyse(&node, other).await.unwrap();
        assert_eq!((said.len(), summary.not_matching_count), (0, 1));
        assert!(node.node.stop().await);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_model_says_is_never_the_report_of_a_study() {
    let dir = model(str::to_owned);
    let node = with(small(), dir.path().to_owned()).start().await;
    store_slices(&node, &(1..=3).map(|n| Slice::head(STUDY, n)).collect::<Vec<_>>()).await;
    let (said, _) = analyse(&node, all()).await.unwrap();
    assert_eq!(said.len(), 3);
    let study = metadata(&node).await;
    let told = study.study.clone().unwrap().report.unwrap();
    assert_eq!(told.state(), im::ReportState::Unspecified, "{told:?}");
    assert_eq!(told.sop_instance_uid, "");
    let suggestions = study.series.iter().filter(|s| s.modality == "SR").flat_map(|s| &s.instances);
    for instance in suggestions {
        assert_eq!(instance.report_state(), im::ReportState::Unspecified);
    }

    // Even one whose flags were set to a signed report by somebody.
    let uid = &said[0].report_sop_instance_uid;
    let request = im::RetrieveObjectRequest { sop_instance_uid: uid.clone(), ..Default::default() };
    let object = retrieve(&node, request).await.unwrap();
    let forged = replaced(&object.data, b"UNVERIFIED", b"VERIFIED  ");
    let forged = replaced(&forged, b"PARTIAL ", b"COMPLETE");
    let forged = replaced(&forged, uid.as_bytes(), &{
        let mut other = uid.clone().into_bytes();
        let last = other.last_mut().unwrap();
        *last = if *last == b'1' { b'2' } else { b'1' };
        other
    });
    let stored = store(&node, as_data_set("forged", &forged)).await.unwrap();
    assert_eq!(stored.results[0].outcome(), im::StoreOutcome::Stored, "{stored:?}");
    let told = metadata(&node).await.study.unwrap().report.unwrap();
    assert_eq!(told.state(), im::ReportState::Unspecified, "{told:?}");

    let planned = rg::PlannedExamination {
        patient_id: "P1".to_owned(),
        text: "颅脑CT平扫".to_owned(),
        date: "2026-11-28".to_owned(),
        ..Default::default()
    };
    let assess = || async {
        let request = rg::AssessRecognitionRequest { planned: Some(planned.clone()) };
        let answer = node.recognition().assess_recognition(request).await.unwrap().into_inner();
        let studies = answer.assessments.into_iter().flat_map(|a| a.studies);
        let reasons = studies.filter(|s| s.study_uid == STUDY).flat_map(|s| s.reasons);
        let report = reasons.filter(|r| r.code.contains("report"));
        report.map(|r| (r.code.clone(), r.outcome())).collect::<Vec<_>>()
    };
    let without = assess().await;
    assert!(!without.is_empty(), "the report is among the reasons");
    assert!(without.iter().all(|(_, outcome)| *outcome != rg::ReasonOutcome::Met), "{without:?}");

    // A doctor's report counts beside it.
    let stored = store(&node, as_data_set("report", &report("VERIFIED"))).await.unwrap();
    assert_eq!(stored.results[0].outcome(), im::StoreOutcome::Stored, "{stored:?}");
    let told = metadata(&node).await.study.unwrap().report.unwrap();
    assert_eq!(told.state(), im::ReportState::Signed, "{told:?}");
    let with = assess().await;
    assert!(with.iter().any(|(_, outcome)| *outcome == rg::ReasonOutcome::Met), "{with:?}");
    assert!(node.node.stop().await);
}

/// `bytes` with each `from` replaced by `to` of the same length.
fn replaced(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let mut out = bytes.to_vec();
    let places: Vec<usize> =
        (0..=bytes.len() - from.len()).filter(|at| bytes[*at..].starts_with(from)).collect();
    assert!(!places.is_empty(), "{}", String::from_utf8_lossy(from));
    for at in places {
        out[at..at + to.len()].copy_from_slice(to);
    }
    out
}

both_engines! {
    async fn an_automatic_model_follows_what_is_stored_and_goes_on_after_a_restart(setup) {
        let dir = model(|text| text.replace("automatic = false", "automatic = true"));
        let setup = with(setup, dir.path().to_owned());
        let config = setup.config.clone();
        let node = setup.start().await;
        store_slices(&node, &[Slice::head(STUDY, 1)]).await;
        until_said(&node, 1).await;
        let TestNode { node, channel, data } = node;
        drop(channel);
        assert!(node.stop().await);

        let node = Setup { config }.start_in(data).await;
        store_slices(&node, &[Slice::head(STUDY, 2)]).await;
        until_said(&node, 2).await;
        let study = metadata(&node).await.study.unwrap();
        assert_eq!((study.instance_count, study.kept_apart_count), (4, 0));
        assert!(node.node.stop().await);
    }
}

/// Waits until so many structured reports are kept.
async fn until_said(node: &TestNode, count: usize) {
    let idle_max = Some(prost_types::Duration { seconds: 20, nanos: 0 });
    let request = im::WatchChangesRequest { after_number: 0, idle_max };
    let mut changes = node.imaging().watch_changes(request).await.unwrap().into_inner();
    while let Some(message) = changes.message().await.unwrap() {
        let reports = message.changes.iter().filter(|c| c.series_uid.starts_with("2.25."));
        let study = metadata(node).await;
        let kept = study.series.iter().filter(|s| s.modality == "SR");
        if reports.count() > 0 && kept.map(|s| s.instances.len()).sum::<usize>() == count {
            return;
        }
    }
    panic!("nothing was said");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_model_is_told_of_and_the_node_serves() {
    for (from, to, why) in [
        ("none: research only", "soon", "certificate must be"),
        ("regions = [\"head\"]", "regions = [\"elbow-pit\"]", "for.regions: \"elbow-pit\""),
        ("[for]", "[for]\nexaminations = [\"ct.nothing\"]", "for.examinations: \"ct.nothing\""),
    ] {
        let dir = model(|text| text.replace(from, to));
        let node = with(small(), dir.path().to_owned()).start().await;
        let listed = node.imaging().list_imaging_models(im::ListImagingModelsRequest {}).await;
        let listed = listed.unwrap().into_inner();
        assert_eq!((listed.models.len(), listed.refused.len()), (0, 1));
        assert!(listed.refused[0].reason.contains(why), "{}", listed.refused[0].reason);
        store_slices(&node, &[Slice::head(STUDY, 1)]).await;
        let (said, summary) = analyse(&node, all()).await.unwrap();
        assert_eq!((said.len(), summary.not_matching_count), (0, 1));
        assert!(node.node.stop().await);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_questions_are_answered_with_what_is_wrong() {
    let dir = model(str::to_owned);
    let node = with(small(), dir.path().to_owned()).start().await;
    store_slices(&node, &[Slice::head(STUDY, 1)]).await;
    for (request, field) in [
        (im::AnalyseStudyRequest { study_uid: "x".to_owned(), ..all() }, "study_uid"),
        (im::AnalyseStudyRequest { series_uid: "x".to_owned(), ..all() }, "series_uid"),
        (im::AnalyseStudyRequest { sop_instance_uid: "x".to_owned(), ..all() }, "sop_instance_uid"),
        (im::AnalyseStudyRequest { model_ids: vec!["other".to_owned()], ..all() }, "model_ids"),
        (im::AnalyseStudyRequest { model_ids: vec!["mean".to_owned(); 17], ..all() }, "model_ids"),
    ] {
        let status = analyse(&node, request).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
        assert_eq!(bad_fields(&status), [field]);
    }
    let nobody = im::AnalyseStudyRequest { study_uid: "1.9".to_owned(), ..all() };
    assert_eq!(analyse(&node, nobody).await.unwrap_err().code(), Code::NotFound);
    assert!(node.node.stop().await);

    let without = small().start().await;
    store_slices(&without, &[Slice::head(STUDY, 1)]).await;
    let status = analyse(&without, all()).await.unwrap_err();
    assert_eq!(status.code(), Code::FailedPrecondition);
    assert!(status.message().contains("imaging.models.dir"), "{}", status.message());
    assert!(without.node.stop().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn images_that_a_model_does_not_take_say_why() {
    let dir = model(|text| text.replace("\"MONOCHROME1\", \"MONOCHROME2\"", "\"MONOCHROME1\""));
    let node = with(small(), dir.path().to_owned()).start().await;
    store_slices(&node, &[Slice::head(STUDY, 1)]).await;
    let (said, summary) = analyse(&node, all()).await.unwrap();
    assert_eq!(summary.not_taken_count, 1);
    assert_eq!(said[0].outcome(), im::AnalysisOutcome::NotTaken);
    assert!(said[0].reason.contains("photometric interpretation"), "{}", said[0].reason);
    assert_eq!(said[0].report_sop_instance_uid, "");
    assert!(node.node.stop().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_doctors_have_models_look_at_images() {
    let dir = model(str::to_owned);
    let node = with(small().tokens(), dir.path().to_owned()).start().await;
    for role in [Role::Pharmacist, Role::Auditor, Role::Administrator] {
        let mut request = tonic::Request::new(all());
        let bearer = format!("Bearer {}", token_of(role)).parse().unwrap();
        request.metadata_mut().insert("authorization", bearer);
        let status = node.imaging().analyse_study(request).await.unwrap_err();
        assert_eq!(status.code(), Code::PermissionDenied, "{role:?}");
    }
    assert!(node.node.stop().await);
}
