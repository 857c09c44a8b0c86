//! Treatment plans and calculators, over the wire.

use tonic::Code;
use xiangyi::rpc::proto::xiangyi::common::v1 as common;
use xiangyi::rpc::proto::xiangyi::prescription::v1 as rx;
use xiangyi::rpc::proto::xiangyi::treatment::v1 as tx;

use crate::harness::{Setup, TestNode, bad_fields, patient};

async fn plan(node: &TestNode, request: tx::RecommendPlanRequest) -> tx::Recommendation {
    let response = node.treatment().recommend_plan(request).await.unwrap().into_inner();
    response.recommendation.unwrap()
}

fn hypertension() -> tx::RecommendPlanRequest {
    tx::RecommendPlanRequest {
        patient: Some(common::Patient {
            reference: "plan-1".to_owned(),
            ..patient(56.0, common::Sex::Male)
        }),
        diagnoses: vec!["高血压病".to_owned()],
        vitals: Some(common::Vitals {
            systolic_mmhg: Some(162.0),
            diastolic_mmhg: Some(98.0),
            ..Default::default()
        }),
        egfr: Some(88.0),
        ..Default::default()
    }
}

#[tokio::test]
async fn a_plan_for_hypertension_has_all_parts_and_checked_medicines() {
    let node = Setup::new().start().await;
    let r = plan(&node, hypertension()).await;
    let plan = r.plans.first().expect("a plan");
    assert!(plan.name.contains("高血压"), "{}", plan.name);
    assert!(!plan.medicines.is_empty(), "{plan:?}");
    for m in &plan.medicines {
        assert!(m.dose > 0.0 && !m.frequency.is_empty() && !m.source.is_empty(), "{m:?}");
        let strong =
            |f: &rx::CheckFinding| matches!(f.action(), rx::Action::Stop | rx::Action::NeedsReason);
        assert!(!m.findings.iter().any(strong), "{m:?}");
    }
    let has = |section| plan.advice.iter().any(|a| a.section() == section);
    for section in
        [tx::Section::Goal, tx::Section::Measure, tx::Section::Advice, tx::Section::FollowUp]
    {
        assert!(has(section), "{section:?}");
    }
    assert!(has(tx::Section::Escalate) || has(tx::Section::Stop) || has(tx::Section::Refer));
    assert!(plan.wanted.iter().any(|w| w.about_danger), "danger signs are asked for");
    let follow = plan.advice.iter().find(|a| a.section() == tx::Section::FollowUp).unwrap();
    assert!(follow.days > 0.0 && follow.date.len() == 10, "{follow:?}");
    assert!(!plan.conflicts.is_empty(), "the targets of two documents differ");
    assert!(plan.advice.iter().all(|a| !a.source.is_empty() && !a.rule_id.is_empty()));
}

#[tokio::test]
async fn what_the_patient_may_not_have_is_not_proposed() {
    let node = Setup::new().start().await;
    let mut asthma = hypertension();
    asthma.conditions = vec!["支气管哮喘".to_owned(), "痛风".to_owned()];
    let mut pregnant = hypertension();
    pregnant.patient = Some(common::Patient {
        pregnancy: common::PregnancyStatus::Pregnant.into(),
        pregnancy_weeks: Some(20),
        ..patient(30.0, common::Sex::Female)
    });
    for (request, forbidden) in [(asthma, &["洛尔", "噻嗪"][..]), (pregnant, &["普利", "沙坦"])]
    {
        let r = plan(&node, request).await;
        for m in r.plans.iter().flat_map(|p| &p.medicines) {
            assert!(!forbidden.iter().any(|word| m.name.contains(word)), "{m:?}");
        }
    }
}

#[tokio::test]
async fn a_childs_dose_is_worked_out_from_the_weight_and_asked_for_without() {
    let node = Setup::new().start().await;
    let request = |weight_kg| tx::RecommendPlanRequest {
        patient: Some(common::Patient { weight_kg, ..patient(3.0, common::Sex::Female) }),
        diagnoses: vec!["肺炎".to_owned()],
        ..Default::default()
    };
    let r = plan(&node, request(Some(14.0))).await;
    let by_weight: Vec<_> =
        r.plans.iter().flat_map(|p| &p.medicines).filter(|m| !m.dose_basis.is_empty()).collect();
    assert!(!by_weight.is_empty(), "{r:?}");
    assert!(by_weight.iter().all(|m| m.dose_basis.contains("×14kg")), "{by_weight:?}");
    let r = plan(&node, request(None)).await;
    let plan = r.plans.first().expect("a plan");
    assert!(plan.wanted.iter().any(|w| w.name == "weight"), "{:?}", plan.wanted);
    assert!(plan.medicines.iter().all(|m| m.dose_basis.is_empty()));
}

#[tokio::test]
async fn plans_are_kept_replayed_and_listed() {
    let node = Setup::new().start().await;
    let mut request = hypertension();
    request.request_id = "plan-request".to_owned();
    request.diagnoses.push("没有这种病".to_owned());
    let mut client = node.treatment();
    let first = client.recommend_plan(request.clone()).await.unwrap().into_inner();
    let again = client.recommend_plan(request.clone()).await.unwrap().into_inner();
    assert!(!first.replayed && again.replayed);
    assert_eq!(first.recommendation, again.recommendation);
    let kept = first.recommendation.unwrap();
    assert_eq!(kept.without_plan, ["没有这种病"]);
    let get = tx::GetRecommendationRequest { recommendation_id: kept.recommendation_id.clone() };
    let read = client.get_recommendation(get).await.unwrap().into_inner().recommendation.unwrap();
    assert_eq!(read, kept);
    let list = tx::ListRecommendationsRequest {
        patient_reference: "plan-1".to_owned(),
        ..Default::default()
    };
    let listed = client.list_recommendations(list).await.unwrap().into_inner();
    assert_eq!(listed.recommendations.len(), 1);
    assert_eq!(listed.recommendations[0].recommendation_id, kept.recommendation_id);
}

#[tokio::test]
async fn bad_questions_are_told_field_by_field() {
    let node = Setup::new().start().await;
    let mut client = node.treatment();
    let cases: [(tx::RecommendPlanRequest, &str); 5] = [
        (tx::RecommendPlanRequest::default(), "diagnoses"),
        (
            tx::RecommendPlanRequest {
                plan_ids: vec!["no-such-plan".to_owned()],
                ..Default::default()
            },
            "plan_ids",
        ),
        (
            tx::RecommendPlanRequest {
                numbers: [("hba1c".to_owned(), 99.0)].into(),
                ..hypertension()
            },
            "numbers.hba1c",
        ),
        (
            tx::RecommendPlanRequest { present: vec!["no_such_sign".to_owned()], ..hypertension() },
            "present",
        ),
        (tx::RecommendPlanRequest { egfr: Some(-1.0), ..hypertension() }, "egfr"),
    ];
    for (request, field) in cases {
        let status = client.recommend_plan(request).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{field}");
        assert_eq!(bad_fields(&status), [field]);
    }
}

#[tokio::test]
async fn topics_cover_sixty_conditions_and_name_what_they_ask_for() {
    let node = Setup::new().start().await;
    let request = tx::ListPlanTopicsRequest { page_size: 200, ..Default::default() };
    let topics = node.treatment().list_plan_topics(request).await.unwrap().into_inner().topics;
    assert!(topics.len() >= 60, "{}", topics.len());
    for topic in &topics {
        assert!(!topic.name.is_empty() && !topic.icd10.is_empty() && !topic.source.is_empty());
        assert!(topic.inputs.iter().all(|i| !i.question.is_empty()), "{topic:?}");
        // Every plan can be asked for by its id and answers something.
        let request = tx::RecommendPlanRequest {
            patient: Some(common::Patient {
                weight_kg: Some(60.0),
                ..patient(40.0, common::Sex::Female)
            }),
            plan_ids: vec![topic.plan_id.clone()],
            ..Default::default()
        };
        let r = plan(&node, request).await;
        assert_eq!(r.plans.len(), 1, "{}", topic.plan_id);
        assert!(!r.plans[0].advice.is_empty(), "{}", topic.plan_id);
    }
}

#[tokio::test]
async fn calculators_compute_and_refuse_with_the_field() {
    let node = Setup::new().start().await;
    let mut client = node.treatment();
    let list = tx::ListCalculatorsRequest { page_size: 200, ..Default::default() };
    let all = client.list_calculators(list).await.unwrap().into_inner().calculators;
    for name in [
        "ckd_epi_2021",
        "curb_65",
        "mcisaac",
        "cha2ds2_vasc",
        "wells_dvt",
        "qsofa",
        "news2",
        "qrisk3",
    ] {
        assert!(all.iter().any(|c| c.name == name && !c.source.is_empty()), "{name}");
    }
    let request = |name: &str, inputs: &[(&str, f64)]| tx::CalculateRequest {
        name: name.to_owned(),
        inputs: inputs.iter().map(|(k, v)| ((*k).to_owned(), *v)).collect(),
    };
    let bmi = [("weight_kg", 60.0), ("height_cm", 165.0)];
    let score = client.calculate(request("body_mass_index", &bmi)).await.unwrap().into_inner();
    assert!((score.value - 22.04).abs() < 0.01 && !score.meaning.is_empty(), "{score:?}");
    for (name, inputs, field) in [
        ("no_such_score", &bmi[..], "name"),
        ("body_mass_index", &bmi[..1], "inputs.height_cm"),
        ("body_mass_index", &[("weight_kg", -1.0), ("height_cm", 165.0)], "inputs.weight_kg"),
        ("body_mass_index", &[("weight_kg", 60.0), ("height_cm", 165.0), ("x", 1.0)], "inputs.x"),
    ] {
        let status = client.calculate(request(name, inputs)).await.unwrap_err();
        assert_eq!(
            (status.code(), bad_fields(&status)),
            (Code::InvalidArgument, vec![field.to_owned()])
        );
    }
}
