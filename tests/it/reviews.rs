//! Reviews in retrospect, explanations and overrides, over the wire.

use tonic::Code;
use xiangyi::rpc::proto::xiangyi::common::v1 as common;
use xiangyi::rpc::proto::xiangyi::prescription::v1 as rx;
use xiangyi::rpc::proto::xiangyi::prescription::v1::review_prescriptions_response::Result as Reply;

use crate::harness::{Setup, TestNode, bad_fields, order, patient, reason};

/// 青霉素过敏 and amoxicillin: one finding that says STOP.
fn allergic(reference: &str) -> rx::CheckPrescriptionRequest {
    let mut request = order(&["阿莫西林胶囊"]);
    request.diagnoses = vec!["急性扁桃体炎".to_owned()];
    request.allergies.push(rx::Allergy { name: "青霉素".to_owned(), ..Default::default() });
    request.patient = Some(common::Patient {
        reference: reference.to_owned(),
        ..patient(30.0, common::Sex::Male)
    });
    request
}

async fn review(node: &TestNode, requests: Vec<rx::ReviewPrescriptionsRequest>) -> Vec<Reply> {
    let stream = tokio_stream::iter(requests);
    let mut replies = node.prescription().review_prescriptions(stream).await.unwrap().into_inner();
    let mut all = Vec::new();
    while let Some(reply) = replies.message().await.unwrap() {
        all.push(reply.result.unwrap());
    }
    all
}

fn numbered(
    n: usize,
    prescription: rx::CheckPrescriptionRequest,
) -> rx::ReviewPrescriptionsRequest {
    rx::ReviewPrescriptionsRequest {
        prescription_id: format!("rx-{n}"),
        prescription: Some(prescription),
    }
}

#[tokio::test]
async fn a_review_answers_each_prescription_in_order_and_ends_with_the_statistics() {
    let node = Setup::new().start().await;
    let mut clean = order(&["对乙酰氨基酚片"]);
    clean.diagnoses = vec!["发热".to_owned()];
    clean.lines[0].days = Some(2.0);
    let mut infusion = order(&["头孢曲松钠"]);
    infusion.diagnoses = vec!["普通感冒".to_owned()];
    infusion.lines[0].route = "静滴".to_owned();
    let unreadable = rx::CheckPrescriptionRequest::default();
    let requests = [allergic(""), clean, infusion, unreadable];
    let requests = requests.into_iter().enumerate().map(|(n, rx)| numbered(n, rx)).collect();
    let replies = review(&node, requests).await;
    assert_eq!(replies.len(), 5, "{replies:?}");
    let mut reviewed = Vec::new();
    for reply in &replies[..4] {
        let Reply::Reviewed(r) = reply else { panic!("{reply:?}") };
        reviewed.push(r);
    }
    assert_eq!(reviewed[0].prescription_id, "rx-0");
    assert!(reviewed[0].findings.iter().any(|f| f.action() == rx::Action::Stop));
    assert!(reviewed[0].review_codes.contains(&"2-2".to_owned()), "{:?}", reviewed[0]);
    assert!(reviewed[1].findings.is_empty(), "{:?}", reviewed[1].findings);
    let kinds: Vec<_> = reviewed[2].findings.iter().map(rx::CheckFinding::kind).collect();
    assert!(kinds.contains(&rx::FindingKind::Antibiotic), "{kinds:?}");
    assert!(reviewed[3].problems.iter().any(|p| p.starts_with("lines:")), "{:?}", reviewed[3]);
    let Reply::Statistics(s) = &replies[4] else { panic!("{:?}", replies[4]) };
    assert_eq!((s.prescription_count, s.rejected_count), (3, 1));
    assert!((s.mean_medicines - 1.0).abs() < 1e-9);
    assert!((s.antibiotic_share - 2.0 / 3.0).abs() < 1e-9, "{s:?}");
    assert!((s.infusion_share - 1.0 / 3.0).abs() < 1e-9, "{s:?}");
    assert!((s.rational_share - 1.0 / 3.0).abs() < 1e-9, "{s:?}");
    let named = s.review_codes.iter().find(|c| c.review_code == "2-2").unwrap();
    assert!(named.prescription_count >= 1 && named.name.contains("遴选"), "{named:?}");
}

#[tokio::test]
async fn a_review_keeps_nothing_and_an_empty_one_has_statistics_of_nothing() {
    let node = Setup::new().start().await;
    let replies = review(&node, vec![numbered(1, allergic("p-1"))]).await;
    assert_eq!(replies.len(), 2);
    let list = rx::ListPrescriptionChecksRequest::default();
    let kept = node.prescription().list_prescription_checks(list).await.unwrap().into_inner();
    assert!(kept.checks.is_empty());
    let replies = review(&node, Vec::new()).await;
    let [Reply::Statistics(s)] = replies.as_slice() else { panic!("{replies:?}") };
    assert_eq!(s.prescription_count, 0);
    assert!(s.mean_medicines.abs() < 1e-9 && s.rational_share.abs() < 1e-9);
}

#[tokio::test]
async fn a_finding_is_explained_by_the_row_it_comes_from() {
    let node = Setup::new().start().await;
    let check = node.check(allergic("p-2")).await.unwrap();
    let found = check.findings.iter().find(|f| f.kind() == rx::FindingKind::Allergy).unwrap();
    let ask = rx::ExplainFindingRequest {
        check_id: check.check_id.clone(),
        finding_id: found.finding_id.clone(),
    };
    let told = node.prescription().explain_finding(ask).await.unwrap().into_inner();
    assert_eq!(told.table, "allergy_cross.csv", "{told:?}");
    let cell = |name: &str| told.row.iter().find(|c| c.column == name).map(|c| c.value.as_str());
    assert_eq!(cell("id"), Some(found.rule_id.as_str()));
    assert!(!told.citation.is_empty() && told.status == "draft");
    assert!(told.review_item.contains("遴选的药品不适宜"), "{}", told.review_item);
    assert_eq!(told.rule_version, told.checked_rule_version);
    for (check_id, finding_id, code) in [
        ("nobody", found.finding_id.as_str(), Code::NotFound),
        (check.check_id.as_str(), "nothing", Code::NotFound),
        ("", "x", Code::InvalidArgument),
        ("a b", "x", Code::InvalidArgument),
    ] {
        let ask = rx::ExplainFindingRequest {
            check_id: check_id.to_owned(),
            finding_id: finding_id.to_owned(),
        };
        let status = node.prescription().explain_finding(ask).await.unwrap_err();
        assert_eq!(status.code(), code, "{check_id} {finding_id}");
    }
}

#[tokio::test]
async fn an_override_is_kept_once_and_remembered_for_this_patient_only() {
    let node = Setup::new().start().await;
    let check = node.check(allergic("p-3")).await.unwrap();
    let found = check.findings.iter().find(|f| f.kind() == rx::FindingKind::Allergy).unwrap();
    assert!(found.overridden_before.is_none());
    let request = rx::RecordOverrideRequest {
        request_id: "override-1".to_owned(),
        check_id: check.check_id.clone(),
        finding_id: found.finding_id.clone(),
        reason: "  皮试阴性，曾多次使用无不适  ".to_owned(),
    };
    let mut client = node.prescription();
    let first = client.record_override(request.clone()).await.unwrap().into_inner();
    let again = client.record_override(request.clone()).await.unwrap().into_inner();
    assert!(!first.replayed && again.replayed);
    assert_eq!(first.r#override, again.r#override);
    let kept = first.r#override.unwrap();
    assert_eq!(
        (kept.reason.as_str(), kept.patient_reference.as_str()),
        ("皮试阴性，曾多次使用无不适", "p-3")
    );
    let other = rx::RecordOverrideRequest { reason: "别的理由".to_owned(), ..request.clone() };
    let status = client.record_override(other).await.unwrap_err();
    assert_eq!(reason(&status), "REQUEST_ID_REUSED");

    let same = node.check(allergic("p-3")).await.unwrap();
    let remembered = same.findings.iter().find(|f| f.finding_id == found.finding_id).unwrap();
    assert_eq!(remembered.overridden_before.as_ref().unwrap().override_id, kept.override_id);
    for reference in ["p-4", ""] {
        let another = node.check(allergic(reference)).await.unwrap();
        assert!(another.findings.iter().all(|f| f.overridden_before.is_none()), "{reference}");
    }
    let list =
        rx::ListOverridesRequest { patient_reference: "p-3".to_owned(), ..Default::default() };
    let listed = client.list_overrides(list).await.unwrap().into_inner();
    assert_eq!(listed.overrides, vec![kept.clone()]);
    let ask =
        rx::ExplainFindingRequest { check_id: same.check_id, finding_id: found.finding_id.clone() };
    let told = client.explain_finding(ask).await.unwrap().into_inner();
    assert_eq!(told.overrides, vec![kept]);

    let short =
        rx::RecordOverrideRequest { reason: "a".to_owned(), request_id: String::new(), ..request };
    let status = client.record_override(short).await.unwrap_err();
    assert_eq!(
        (status.code(), bad_fields(&status)),
        (Code::InvalidArgument, vec!["reason".to_owned()])
    );
}

#[tokio::test]
async fn free_text_orders_are_read_and_shown_back() {
    let node = Setup::new().start().await;
    let request = rx::CheckPrescriptionRequest {
        diagnoses: vec!["细菌性肺炎".to_owned()],
        order_texts: vec![
            "阿莫西林胶囊 0.5g tid po ×7天".to_owned(),
            "NS 100ml + 头孢曲松 2g ivgtt qd".to_owned(),
        ],
        ..Default::default()
    };
    let check = node.check(request).await.unwrap();
    assert_eq!(check.lines.len(), 2, "{:?}", check.lines);
    let first = &check.lines[0];
    assert_eq!((first.line_id.as_str(), first.medicine_name.as_str()), ("t1", "阿莫西林"));
    assert_eq!((first.dose.as_str(), first.times_per_day, first.days), ("500mg", 3.0, 7.0));
    assert_eq!(first.route, "口服");
    let second = &check.lines[1];
    assert_eq!((second.medicine_name.as_str(), second.dose.as_str()), ("头孢曲松", "2g"));
    assert_eq!((second.route.as_str(), second.diluent.as_str()), ("静脉", "NS 100ml"));
    let empty =
        rx::CheckPrescriptionRequest { order_texts: vec!["；".to_owned()], ..Default::default() };
    let status = node.prescription().check_prescription(empty).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(bad_fields(&status).contains(&"order_texts[0]".to_owned()), "{status:?}");
}
