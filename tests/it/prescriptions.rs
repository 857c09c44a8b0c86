//! What a village doctor gets for a prescription.

use xiangyi::rpc::proto::xiangyi::common::v1 as common;
use xiangyi::rpc::proto::xiangyi::prescription::v1 as rx;

use crate::harness::{Setup, both_engines, order, patient};

fn of(check: &rx::PrescriptionCheck, kind: rx::FindingKind) -> Vec<&rx::CheckFinding> {
    check.findings.iter().filter(|f| f.kind() == kind).collect()
}

#[tokio::test]
async fn paracetamol_inside_a_patent_medicine_is_a_duplicate() {
    let node = Setup::new().start().await;
    let mut request = order(&["维C银翘片", "对乙酰氨基酚片"]);
    request.current_medicines.push("苯磺酸氨氯地平片".to_owned());
    let check = node.check(request).await.unwrap();
    let duplicates = of(&check, rx::FindingKind::Duplicate);
    assert_eq!(duplicates.len(), 1, "one cause, one finding: {duplicates:?}");
    assert_eq!(duplicates[0].line_ids, ["1", "2"]);
    assert!(duplicates[0].reason.contains("对乙酰氨基酚") && !duplicates[0].source.is_empty());
    assert_eq!(duplicates[0].review_code, "2-7", "{:?}", duplicates[0]);
}

#[tokio::test]
async fn a_penicillin_allergy_stops_amoxicillin_and_is_silent_for_a_macrolide() {
    let node = Setup::new().start().await;
    let allergic = |name: &str| {
        let mut request = order(&[name]);
        request.allergies.push(rx::Allergy {
            name: "青霉素".to_owned(),
            reaction: "皮疹".to_owned(),
            tolerated_since: false,
        });
        request
    };
    let check = node.check(allergic("阿莫西林胶囊")).await.unwrap();
    let found = of(&check, rx::FindingKind::Allergy);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].action(), rx::Action::Stop);
    let check = node.check(allergic("阿奇霉素片")).await.unwrap();
    assert!(of(&check, rx::FindingKind::Allergy).is_empty(), "{:?}", check.findings);
}

#[tokio::test]
async fn a_quinolone_in_pregnancy_is_stopped_with_something_else_to_do() {
    let node = Setup::new().start().await;
    let mut request = order(&["左氧氟沙星片"]);
    request.patient = Some(common::Patient {
        pregnancy: common::PregnancyStatus::Pregnant.into(),
        pregnancy_weeks: Some(20),
        ..patient(28.0, common::Sex::Female)
    });
    let check = node.check(request).await.unwrap();
    let found = of(&check, rx::FindingKind::Pregnancy);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(matches!(found[0].action(), rx::Action::Stop | rx::Action::NeedsReason));
    assert!(!found[0].instead.is_empty() && !found[0].source.is_empty());
}

#[tokio::test]
async fn a_contraindicated_pair_is_stopped_also_against_current_medicines() {
    let node = Setup::new().start().await;
    let mut request = order(&["克拉霉素片"]);
    request.current_medicines.push("辛伐他汀片".to_owned());
    let check = node.check(request).await.unwrap();
    let found = of(&check, rx::FindingKind::Interaction);
    assert_eq!(found.len(), 1, "{:?}", check.findings);
    assert_eq!(found[0].action(), rx::Action::Stop, "{:?}", found[0]);
    assert!(found[0].medicines.iter().any(|m| m.contains("辛伐他汀")));
}

#[tokio::test]
async fn six_medicines_and_ten_days_need_reasons_and_are_content_with_them() {
    let node = Setup::new().start().await;
    let six =
        ["阿莫西林胶囊", "氨溴索片", "氯雷他定片", "维生素B1片", "奥美拉唑肠溶胶囊", "氨氯地平片"];
    let mut request = order(&six);
    request.diagnoses = vec!["急性支气管炎".to_owned(), "高血压".to_owned()];
    request.lines[0].skin_test = rx::SkinTest::Negative.into();
    for line in &mut request.lines {
        line.days = Some(10.0);
    }
    let check = node.check(request.clone()).await.unwrap();
    let strong = |f: &&rx::CheckFinding| f.action() == rx::Action::NeedsReason;
    for kind in [rx::FindingKind::LegalForm, rx::FindingKind::Duration] {
        let found = of(&check, kind);
        assert_eq!(found.len(), 1, "{kind:?}: {:?}", check.findings);
        assert!(found.iter().all(strong), "{found:?}");
    }
    request.long_supply_reason = "慢性病，路远".to_owned();
    request.many_medicines_reason = "多病共存".to_owned();
    let check = node.check(request.clone()).await.unwrap();
    assert_eq!(check.findings.iter().filter(strong).count(), 0, "{:?}", check.findings);

    let mut emergency = order(&["阿莫西林胶囊"]);
    emergency.setting = rx::Setting::Emergency.into();
    emergency.lines[0].days = Some(4.0);
    let check = node.check(emergency).await.unwrap();
    assert_eq!(of(&check, rx::FindingKind::Duration).len(), 1, "{:?}", check.findings);
}

#[tokio::test]
async fn an_unknown_medicine_is_unchecked_with_near_names_and_never_resolved_by_likeness() {
    let node = Setup::new().start().await;
    let check = node.check(order(&["阿莫西林胶曩", "神效止咳丸", "阿莫西林胶囊"])).await.unwrap();
    let unknown: Vec<_> = check.lines.iter().filter(|l| l.medicine_code.is_empty()).collect();
    assert!(unknown.iter().any(|l| l.name == "神效止咳丸"), "{:?}", check.lines);
    for line in unknown {
        let about = check.unchecked.iter().find(|u| u.line_ids.contains(&line.line_id));
        let about = about.expect("an unknown medicine is listed as unchecked");
        assert!(!about.checks.is_empty(), "{about:?}");
    }
    assert!(!check.lines[2].medicine_code.is_empty());
}

#[tokio::test]
async fn a_clean_prescription_has_no_findings_and_says_what_was_checked() {
    let node = Setup::new().start().await;
    let mut request = order(&["阿莫西林胶囊", "对乙酰氨基酚片"]);
    request.diagnoses = vec!["急性化脓性扁桃体炎".to_owned(), "发热".to_owned()];
    request.lines[0].days = Some(5.0);
    request.lines[0].skin_test = rx::SkinTest::Negative.into();
    let check = node.check(request).await.unwrap();
    let shown = |f: &&rx::CheckFinding| f.action() != rx::Action::OnRequest;
    assert_eq!(check.findings.iter().filter(shown).count(), 0, "{:?}", check.findings);
    assert!(check.unchecked.iter().all(|u| u.on_request), "{:?}", check.unchecked);
    assert_eq!(check.checks_done.len(), 24);
    assert!(!check.rule_version.is_empty() && !check.disclaimer.is_empty());
}

#[tokio::test]
async fn checks_are_kept_listed_and_replayed() {
    let node = Setup::new().start().await;
    let request = rx::CheckPrescriptionRequest {
        request_id: "rx-1".to_owned(),
        ..order(&["阿莫西林胶囊"])
    };
    let first = node.check(request.clone()).await.unwrap();
    let answer =
        node.prescription().check_prescription(request.clone()).await.unwrap().into_inner();
    assert!(answer.replayed);
    assert_eq!(answer.check.as_ref(), Some(&first));
    let get = rx::GetPrescriptionCheckRequest { check_id: first.check_id.clone() };
    let read = node.prescription().get_prescription_check(get).await.unwrap().into_inner().check;
    assert_eq!(read, Some(first.clone()));
    let list = rx::ListPrescriptionChecksRequest::default();
    let listed =
        node.prescription().list_prescription_checks(list).await.unwrap().into_inner().checks;
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].check_id, first.check_id);
}

both_engines! {
    async fn the_fit_model_gives_hints_where_it_is_switched_on_and_moves_no_finding(setup) {
        let on = setup.with(|c| c.models.indication_fit = true).start().await;
        let off = Setup::new().start().await;
        let mut hints = 0;
        let mut asked = 0;
        for (diagnoses, names) in [
            (&["急性上呼吸道感染"][..], &["阿莫西林胶囊", "格列吡嗪片"][..]),
            (&["高血压"], &["氨氯地平片", "甲巯咪唑片"]),
            (&["2型糖尿病", "高血压"], &["二甲双胍片", "缬沙坦胶囊", "螺内酯片"]),
            (&["急性扁桃体炎"], &["左氧氟沙星片", "布洛芬片"]),
            (&["没有这个病"], &["氨氯地平片"]),
        ] {
            let mut request = order(names);
            request.patient = Some(patient(15.0, common::Sex::Female));
            request.diagnoses = diagnoses.iter().map(|d| (*d).to_owned()).collect();
            let with = on.check(request.clone()).await.unwrap();
            let without = off.check(request).await.unwrap();
            assert_eq!((without.fit_model.as_str(), without.fit_hints.len()), ("", 0));
            let known = diagnoses != ["没有这个病"];
            assert_eq!(with.fit_model.starts_with("indication-fit "), known, "{}", with.fit_model);
            asked += usize::from(known);
            hints += with.fit_hints.len();
            for hint in &with.fit_hints {
                assert!((0.0..0.5).contains(&hint.fit) && hint.text.contains(&hint.medicine));
            }
            let told = |check: &rx::PrescriptionCheck| {
                let all = check.findings.iter();
                all.map(|f| (f.finding_id.clone(), f.action, f.severity)).collect::<Vec<_>>()
            };
            assert_eq!(told(&with), told(&without));
        }
        assert_eq!(asked, 4);
        assert!(hints > 0, "a sulphonylurea is not for a cold");
        let listed = on.models().await;
        assert!(listed.iter().any(|id| id == "indication-fit"), "{listed:?}");
        let listed = off.models().await;
        assert!(listed.iter().all(|id| id != "indication-fit"), "{listed:?}");
    }
}
