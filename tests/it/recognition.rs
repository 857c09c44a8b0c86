//! Mutual recognition over gRPC: assessed, decided, kept, explained, counted.

use tonic::Code;
use xiangyi::rpc::proto::xiangyi::imaging::v1 as im;
use xiangyi::rpc::proto::xiangyi::recognition::v1 as rg;

use crate::harness::{TestNode, bad_fields, reason};
use crate::images::{Slice, small, store_slices};

/// A complete CT of the head, made on 2026-11-20, and a chest CT of the same patient.
async fn node() -> TestNode {
    let node = small().start().await;
    let mut slices: Vec<Slice> = (1..=30).map(|n| Slice::head("1.2.1", n)).collect();
    slices.push(Slice { description: "胸部CT平扫".to_owned(), ..Slice::head("1.2.2", 1) });
    store_slices(&node, &slices).await;
    node
}

fn stated() -> rg::StatedFacts {
    rg::StatedFacts {
        study_uid: "1.2.1".to_owned(),
        institution: Some(place("COUNTY", "361123")),
        report: im::ReportState::Signed.into(),
        marks: vec![rg::Mark {
            level: rg::RecognitionLevel::City.into(),
            scope: "3611".to_owned(),
            valid_from: "2025-01-01".to_owned(),
            valid_to: String::new(),
        }],
        ..Default::default()
    }
}

fn place(id: &str, region: &str) -> rg::Institution {
    rg::Institution { institution_id: id.to_owned(), region: region.to_owned() }
}

fn planned() -> rg::PlannedExamination {
    rg::PlannedExamination {
        patient_id: "P1".to_owned(),
        text: "颅脑CT平扫".to_owned(),
        date: "2026-11-28".to_owned(),
        asking: Some(place("VILLAGE", "361102")),
        stated: vec![stated()],
        ..Default::default()
    }
}

async fn assess(node: &TestNode, planned: rg::PlannedExamination) -> rg::AssessRecognitionResponse {
    let request = rg::AssessRecognitionRequest { planned: Some(planned) };
    node.recognition().assess_recognition(request).await.unwrap().into_inner()
}

fn codes(study: &rg::StudyAssessment) -> Vec<&str> {
    study.reasons.iter().map(|r| r.code.as_str()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_study_that_fulfils_every_rule_is_recognised_with_words_for_doctor_and_patient() {
    let node = node().await;
    let answer = assess(&node, planned()).await;
    assert_eq!(answer.date, "2026-11-28");
    assert!(!answer.policy_version.is_empty() && !answer.disclaimer.is_empty());
    assert_eq!(answer.assessments.len(), 1);
    let one = &answer.assessments[0];
    assert_eq!(
        (one.examination_id.as_str(), one.examination_name.as_str()),
        ("ct.brain.plain", "颅脑CT平扫")
    );
    assert_eq!(one.conclusion(), rg::Conclusion::NotNeeded, "{one:?}");
    assert_eq!(one.studies.len(), 2);
    let head = &one.studies[0];
    assert_eq!(head.study_uid, "1.2.1");
    assert_eq!(head.verdict(), rg::Verdict::Recognised, "{head:?}");
    assert!(head.reasons.iter().all(|r| !r.doctor_text.is_empty() && !r.patient_text.is_empty()));
    assert_eq!(head.study.as_ref().unwrap().instance_count, 30);
    let chest = &one.studies[1];
    assert_eq!(chest.verdict(), rg::Verdict::NotRecognised);
    assert!(codes(chest).contains(&"examination_other"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_says_stays_unknown_and_what_has_expired_is_not_recognised() {
    let node = node().await;
    let answer = assess(&node, rg::PlannedExamination { stated: Vec::new(), ..planned() }).await;
    let head = answer.assessments[0].studies.iter().find(|s| s.study_uid == "1.2.1").unwrap();
    assert_eq!(head.verdict(), rg::Verdict::CannotSay, "{head:?}");
    assert!(codes(head).contains(&"report_unknown") && codes(head).contains(&"level_unknown"));
    assert_eq!(answer.assessments[0].conclusion(), rg::Conclusion::Unclear);
    let late = rg::PlannedExamination { date: "2027-06-01".to_owned(), ..planned() };
    let answer = assess(&node, late).await;
    let head = answer.assessments[0].studies.iter().find(|s| s.study_uid == "1.2.1").unwrap();
    assert_eq!(head.verdict(), rg::Verdict::NotRecognised);
    assert!(codes(head).contains(&"window_expired"), "{head:?}");
    assert_eq!(answer.assessments[0].conclusion(), rg::Conclusion::Needed);
    // Slices that are missing are seen in the headers.
    let node = small().start().await;
    let gaps: Vec<Slice> = (1..=30).filter(|n| *n != 12).map(|n| Slice::head("1.2.1", n)).collect();
    store_slices(&node, &gaps).await;
    let answer = assess(&node, planned()).await;
    let head = &answer.assessments[0].studies[0];
    assert!(codes(head).iter().any(|c| c.ends_with("_missing")), "{head:?}");
    assert_ne!(head.verdict(), rg::Verdict::Recognised);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_persons_under_one_patient_id_are_never_mixed() {
    let node = node().await;
    let other = Slice {
        name: "Li^Na=李^娜".to_owned(),
        birth_date: "19800229".to_owned(),
        ..Slice::head("1.2.9", 1)
    };
    store_slices(&node, &[other]).await;
    let ask = |planned| {
        let request = rg::AssessRecognitionRequest { planned: Some(planned) };
        let mut client = node.recognition();
        async move { client.assess_recognition(request).await }
    };
    let status = ask(planned()).await.unwrap_err();
    assert_eq!(bad_fields(&status), ["planned.patient_id"]);
    let named = rg::PlannedExamination {
        patient_name: "王^小东".to_owned(),
        birth_date: "1960-01-31".to_owned(),
        ..planned()
    };
    let answer = ask(named).await.unwrap().into_inner();
    assert_eq!(answer.assessments[0].studies.len(), 2);
    let one = rg::PlannedExamination { study_uids: vec!["1.2.9".to_owned()], ..planned() };
    let answer = ask(one).await.unwrap().into_inner();
    assert_eq!(answer.assessments[0].studies.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_cannot_be_understood_says_so_and_bad_fields_are_named() {
    let node = node().await;
    let odd = rg::PlannedExamination { text: "看看".to_owned(), ..planned() };
    let answer = assess(&node, odd.clone()).await;
    assert!(answer.assessments[0].examination_id.is_empty());
    assert_eq!(codes(&answer.assessments[0].studies[0]), ["planned_unknown"]);
    let mark = rg::Mark { scope: "36".to_owned(), ..stated().marks[0].clone() };
    let claim = rg::GroundClaim { ground: 0, explanation: String::new() };
    let p = planned;
    for (planned, field) in [
        (rg::PlannedExamination { patient_id: String::new(), ..p() }, "planned.patient_id"),
        (rg::PlannedExamination { text: String::new(), ..p() }, "planned.text"),
        (
            rg::PlannedExamination { examination_id: "ct.moon".to_owned(), ..p() },
            "planned.examination_id",
        ),
        (rg::PlannedExamination { date: "morgen".to_owned(), ..p() }, "planned.date"),
        (rg::PlannedExamination { date: "2099-01-01".to_owned(), ..p() }, "planned.date"),
        (rg::PlannedExamination { situation: 9, ..p() }, "planned.situation"),
        (rg::PlannedExamination { asking: Some(place("X", "36")), ..p() }, "planned.asking.region"),
        (rg::PlannedExamination { grounds: vec![claim], ..p() }, "planned.grounds[0].ground"),
        (
            rg::PlannedExamination {
                stated: vec![rg::StatedFacts { marks: vec![mark], ..stated() }],
                ..p()
            },
            "planned.stated[0].marks[0].scope",
        ),
    ] {
        let request = rg::AssessRecognitionRequest { planned: Some(planned) };
        let status = node.recognition().assess_recognition(request).await.unwrap_err();
        assert_eq!(
            (status.code(), bad_fields(&status)),
            (Code::InvalidArgument, vec![field.into()])
        );
    }
    let record = rg::RecordRecognitionRequest {
        planned: Some(odd),
        kind: rg::DecisionKind::Examined.into(),
        ..Default::default()
    };
    let status = node.recognition().record_recognition(record).await.unwrap_err();
    assert_eq!(bad_fields(&status), ["planned.text"]);
}

async fn record(
    node: &TestNode,
    request: rg::RecordRecognitionRequest,
) -> rg::RecordRecognitionResponse {
    node.recognition().record_recognition(request).await.unwrap().into_inner()
}

fn taken() -> rg::RecordRecognitionRequest {
    rg::RecordRecognitionRequest {
        request_id: "r1".to_owned(),
        planned: Some(planned()),
        kind: rg::DecisionKind::Recognised.into(),
        study_uid: "1.2.1".to_owned(),
        ..Default::default()
    }
}

fn repeated() -> rg::RecordRecognitionRequest {
    rg::RecordRecognitionRequest {
        request_id: "r2".to_owned(),
        planned: Some(planned()),
        kind: rg::DecisionKind::Repeated.into(),
        ground: rg::RepeatGround::ConditionChanged.into(),
        explanation: "意识障碍加重".to_owned(),
        patient_told: true,
        ..Default::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn decisions_are_kept_once_listed_explained_and_counted_also_after_a_restart() {
    let node = node().await;
    let first = record(&node, taken()).await;
    let again = record(&node, taken()).await;
    assert!(!first.replayed && again.replayed);
    assert_eq!(first.decision, again.decision);
    let kept = first.decision.unwrap();
    assert!(kept.follows, "{kept:?}");
    assert_eq!((kept.conclusion(), kept.holder.as_str()), (rg::Conclusion::NotNeeded, "COUNTY"));
    let other = rg::RecordRecognitionRequest { study_uid: "1.2.2".to_owned(), ..taken() };
    let status = node.recognition().record_recognition(other).await.unwrap_err();
    assert_eq!((status.code(), reason(&status)), (Code::AlreadyExists, "REQUEST_ID_REUSED".into()));
    let repeat = record(&node, repeated()).await.decision.unwrap();
    assert!(repeat.follows && repeat.conclusion() == rg::Conclusion::RepeatAllowed, "{repeat:?}");
    // Against the rules: the doctor decides, and it is said.
    let late = rg::PlannedExamination { date: "2027-06-01".to_owned(), ..planned() };
    let against = rg::RecordRecognitionRequest {
        request_id: "r3".to_owned(),
        planned: Some(late),
        ..taken()
    };
    let against = record(&node, against).await.decision.unwrap();
    assert!(!against.follows);
    assert_eq!(against.refusal_codes, ["window_expired"]);

    let TestNode { node: running, data, .. } = node;
    assert!(running.stop().await, "drains");
    let node = small().start_in(data).await;
    let list = rg::ListRecognitionDecisionsRequest {
        page_size: 2,
        patient_id: "P1".to_owned(),
        ..Default::default()
    };
    let page = node.recognition().list_recognition_decisions(list.clone()).await.unwrap();
    let page = page.into_inner();
    let ids: Vec<&str> = page.decisions.iter().map(|d| d.decision_id.as_str()).collect();
    assert_eq!(ids, [against.decision_id.as_str(), repeat.decision_id.as_str()]);
    let rest = rg::ListRecognitionDecisionsRequest { page_token: page.next_page_token, ..list };
    let rest = node.recognition().list_recognition_decisions(rest).await.unwrap().into_inner();
    assert_eq!(rest.decisions, std::slice::from_ref(&kept));
    let ask = rg::ExplainDecisionRequest { decision_id: kept.decision_id.clone() };
    let explained = node.recognition().explain_decision(ask).await.unwrap().into_inner();
    assert!(explained.same_conclusion && explained.same_tables && explained.follows);
    assert_eq!(explained.assessment.unwrap().conclusion(), rg::Conclusion::NotNeeded);

    let ask = rg::SummariseRecognitionRequest::default();
    let all = node.recognition().summarise_recognition(ask).await.unwrap().into_inner();
    let total = all.total.unwrap();
    assert_eq!((total.recognised_count, total.repeated_count, total.examined_count), (2, 1, 0));
    assert_eq!(all.deviating_count, 1);
    assert_eq!(all.examinations[0].key, "ct.brain.plain");
    assert_eq!(all.grounds[0].key, "condition_changed");
    assert!(!all.grounds[0].name.is_empty());
    assert_eq!(all.refusals[0].key, "window_expired");
    assert_eq!(all.asking[0].key, "VILLAGE");
    let months: Vec<&str> = all.months.iter().map(|m| m.key.as_str()).collect();
    assert_eq!(months, ["2026-11", "2027-06"]);
    let ask = rg::SummariseRecognitionRequest {
        date_to: "2026-12-31".to_owned(),
        asking_institution_id: "VILLAGE".to_owned(),
        ..Default::default()
    };
    let some = node.recognition().summarise_recognition(ask).await.unwrap().into_inner();
    assert_eq!(some.total.unwrap().recognised_count, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repeat_needs_a_ground_and_a_patient_who_was_told() {
    let node = node().await;
    for (request, field) in [
        (rg::RecordRecognitionRequest { patient_told: false, ..repeated() }, "patient_told"),
        (rg::RecordRecognitionRequest { ground: 0, ..repeated() }, "ground"),
        (
            rg::RecordRecognitionRequest {
                ground: rg::RepeatGround::Other.into(),
                explanation: " ".to_owned(),
                ..repeated()
            },
            "explanation",
        ),
        (rg::RecordRecognitionRequest { kind: 0, ..repeated() }, "kind"),
        (rg::RecordRecognitionRequest { study_uid: "9.9".to_owned(), ..taken() }, "study_uid"),
        (rg::RecordRecognitionRequest { study_uid: String::new(), ..taken() }, "study_uid"),
    ] {
        let status = node.recognition().record_recognition(request).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{field}");
        assert!(bad_fields(&status).contains(&field.to_owned()), "{field}: {status:?}");
    }
    let ask = rg::SummariseRecognitionRequest::default();
    let all = node.recognition().summarise_recognition(ask).await.unwrap().into_inner();
    assert_eq!(all.total.unwrap(), rg::Count::default(), "nothing was kept");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn items_say_how_far_how_long_and_what_is_required() {
    let node = small().start().await;
    let ask = rg::ListRecognitionItemsRequest { page_size: 200, ..Default::default() };
    let page = node.recognition().list_recognition_items(ask.clone()).await.unwrap().into_inner();
    let item = page.items.iter().find(|i| i.examination_id == "ct.brain.plain").unwrap();
    assert_eq!(item.name, "颅脑CT平扫");
    assert!(item.levels.iter().any(|l| l.level() == rg::RecognitionLevel::National));
    assert!(item.validities.iter().all(|v| !v.source.is_empty()));
    assert!(item.requirements.iter().any(|r| r.check == "signed_report" && r.required));
    assert_eq!(page.grounds.len(), 6);
    assert!(page.grounds.iter().all(|g| !g.clause.is_empty() && !g.patient_text.is_empty()));
    let before = rg::ListRecognitionItemsRequest { date: "2020-01-01".to_owned(), ..ask };
    let page = node.recognition().list_recognition_items(before).await.unwrap().into_inner();
    assert!(page.items.is_empty() && page.grounds.is_empty(), "no rule was in force");
}
