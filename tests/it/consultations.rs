//! What a village doctor gets for a complaint.

use tonic::Code;
use xiangyi::rpc::proto::xiangyi::common::v1 as common;
use xiangyi::rpc::proto::xiangyi::diagnosis::v1 as dx;

use crate::harness::{Setup, both_engines, complaint, patient, reason};

fn present(c: &dx::Consultation) -> Vec<&str> {
    let of = |m: &&dx::Mention| m.state() == dx::FindingState::Present && !m.other_person;
    c.mentions.iter().filter(of).map(|m| m.name.as_str()).collect()
}

fn absent(c: &dx::Consultation) -> Vec<&str> {
    let of = |m: &&dx::Mention| m.state() == dx::FindingState::Absent;
    c.mentions.iter().filter(of).map(|m| m.name.as_str()).collect()
}

both_engines! {
    async fn a_cough_with_yellow_sputum_and_chest_pain_is_ranked_and_explained(setup) {
        let node = setup.start().await;
        let c = node.diagnose(complaint("发热3天，咳嗽咳黄痰，右胸痛，否认咯血")).await.unwrap();
        assert!(present(&c).contains(&"发热") && present(&c).contains(&"咳嗽"), "{:?}", c.mentions);
        assert_eq!(absent(&c), ["咯血"]);
        let fever = c.mentions.iter().find(|m| m.name == "发热").unwrap();
        let duration = fever.duration.as_ref().expect("发热3天 has a duration");
        assert!((duration.hours_min - 72.0).abs() < 0.01, "{duration:?}");
        assert_eq!((fever.start, fever.end), (0, 2));

        let listed: Vec<_> = c.conditions.iter().filter(|c| !c.listed_for_safety).collect();
        assert!(listed.windows(2).all(|w| w[0].probability >= w[1].probability));
        let sum: f64 = c.conditions.iter().map(|c| c.probability).sum();
        let outside = c.coverage.as_ref().unwrap().outside_probability;
        assert!(sum + outside <= 1.0 + 1e-4 && sum > 0.3, "{sum} + {outside}");
        let five: Vec<_> = listed.iter().take(5).map(|c| c.name.as_str()).collect();
        assert!(five.iter().any(|n| n.contains("肺炎")), "{five:?}");
        let top = listed[0];
        assert!(!top.icd10.is_empty() && !top.reasons_for.is_empty());
        assert!(top.reasons_for.iter().all(|r| r.log_likelihood_ratio > 0.0 && !r.source.is_empty()));
        assert!(top.reasons_against.iter().all(|r| r.log_likelihood_ratio < 0.0));
    }
}

both_engines! {
    async fn an_old_man_with_crushing_chest_pain_raises_an_emergency_that_no_model_silences(setup) {
        let node = setup.start().await;
        let c = node
            .diagnose(dx::DiagnoseRequest {
                patient: Some(patient(68.0, common::Sex::Male)),
                text: "胸口压榨样疼痛1小时，大汗，向左肩放射".to_owned(),
                ..Default::default()
            })
            .await
            .unwrap();
        let flag = c.red_flags.first().expect("a red flag");
        assert_eq!(flag.urgency(), dx::Urgency::Emergency, "{flag:?}");
        assert!(!flag.act_now.is_empty() && !flag.refer_to.is_empty() && !flag.source.is_empty());
        assert!(!flag.because.is_empty());
    }
}

both_engines! {
    async fn the_same_request_gives_the_same_answer_apart_from_its_ids(setup) {
        let node = setup.start().await;
        let strip = |mut c: dx::Consultation| {
            c.consultation_id.clear();
            c.request_id.clear();
            c.create_time = None;
            c
        };
        let text = "头痛、恶心2天，伴呕吐，无发热";
        let first = strip(node.diagnose(complaint(text)).await.unwrap());
        let second = strip(node.diagnose(complaint(text)).await.unwrap());
        assert_eq!(first, second);
    }
}

#[tokio::test]
async fn text_it_cannot_read_and_findings_it_does_not_know_are_said() {
    let node = Setup::new().start().await;
    let mut request = complaint("发热2天，昨夜梦见紫色大象跳舞");
    request.findings.push(dx::FindingInput {
        finding: "量子纠缠".to_owned(),
        state: dx::FindingState::Present.into(),
    });
    let coverage = node.diagnose(request).await.unwrap().coverage.unwrap();
    assert!(coverage.unread.iter().any(|u| u.words.contains("大象")), "{coverage:?}");
    assert_eq!(coverage.unknown_findings, ["量子纠缠"]);
    assert!(!coverage.notes.is_empty());
}

#[tokio::test]
async fn a_complaint_with_nothing_readable_gets_no_ranking_passed_off_as_one() {
    let node = Setup::new().start().await;
    let c = node.diagnose(complaint("天气不错，路上车很多")).await.unwrap();
    assert!(c.conditions.is_empty(), "{:?}", c.conditions);
    assert!(!c.coverage.unwrap().notes.is_empty());
}

#[tokio::test]
async fn coded_findings_win_over_the_text_and_vitals_entail_findings() {
    let node = Setup::new().start().await;
    let mut request = complaint("咳嗽3天");
    request.findings.push(dx::FindingInput {
        finding: "cough".to_owned(),
        state: dx::FindingState::Absent.into(),
    });
    request.vitals = Some(common::Vitals { temperature_c: Some(39.4), ..Default::default() });
    let c = node.diagnose(request).await.unwrap();
    let cough = c.findings.iter().find(|f| f.finding_id == "cough").unwrap();
    assert_eq!(cough.state(), dx::FindingState::Absent);
    assert_eq!(cough.origin(), dx::FindingOrigin::Given);
    let fever = c.findings.iter().find(|f| f.finding_id == "fever").unwrap();
    assert_eq!(fever.state(), dx::FindingState::Present);
    let origins = [dx::FindingOrigin::Measured, dx::FindingOrigin::Implied];
    assert!(origins.contains(&fever.origin()), "{fever:?}");
}

#[tokio::test]
async fn full_width_and_traditional_text_reads_like_plain_text() {
    let node = Setup::new().start().await;
    let plain = node.diagnose(complaint("发热3天,头痛,T38.9")).await.unwrap();
    let fancy = node.diagnose(complaint("發熱３天，頭痛，Ｔ３８．９")).await.unwrap();
    assert_eq!(present(&plain), present(&fancy));
    assert_eq!(plain.measurements.len(), 1);
    assert_eq!(plain.measurements[0].value.to_bits(), 38.9_f64.to_bits());
    assert_eq!(fancy.measurements[0].value.to_bits(), 38.9_f64.to_bits());
}

#[tokio::test]
async fn a_repeated_request_id_returns_the_first_answer_and_refuses_other_content() {
    let node = Setup::new().start().await;
    let request =
        dx::DiagnoseRequest { request_id: "visit-1".to_owned(), ..complaint("发热3天") };
    let first = node.diagnosis().diagnose(request.clone()).await.unwrap().into_inner();
    let again = node.diagnosis().diagnose(request.clone()).await.unwrap().into_inner();
    assert!(!first.replayed && again.replayed);
    assert_eq!(first.consultation, again.consultation);
    let other = dx::DiagnoseRequest { text: "腹痛".to_owned(), ..request };
    let status = node.diagnosis().diagnose(other).await.unwrap_err();
    assert_eq!(status.code(), Code::AlreadyExists);
    assert_eq!(reason(&status), "REQUEST_ID_REUSED");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_id_used_by_many_at_once_is_answered_once() {
    let node = Setup::new().start().await;
    let request = dx::DiagnoseRequest { request_id: "race".to_owned(), ..complaint("发热3天") };
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..32 {
        let (mut client, request) = (node.diagnosis(), request.clone());
        calls.spawn(async move { client.diagnose(request).await.unwrap().into_inner() });
    }
    let answers = calls.join_all().await;
    assert_eq!(answers.iter().filter(|a| !a.replayed).count(), 1);
    assert!(answers.windows(2).all(|w| w[0].consultation == w[1].consultation));
}

#[tokio::test]
async fn kept_consultations_are_read_back_and_listed_page_by_page() {
    let node = Setup::new().start().await;
    let mut kept = Vec::new();
    for i in 0..5 {
        let mut request = complaint("发热，咳嗽");
        let reference = if i % 2 == 0 { "p-even" } else { "p-odd" };
        request.patient.as_mut().unwrap().reference = reference.to_owned();
        kept.push(node.diagnose(request).await.unwrap());
    }
    let id = kept[2].consultation_id.clone();
    let request = dx::GetConsultationRequest { consultation_id: id };
    let read = node.diagnosis().get_consultation(request).await.unwrap().into_inner();
    assert_eq!(read.consultation.as_ref(), Some(&kept[2]));

    let (mut seen, mut token, mut pages) = (Vec::new(), String::new(), 0);
    loop {
        let request = dx::ListConsultationsRequest {
            page_size: 2,
            page_token: token,
            patient_reference: String::new(),
        };
        let page = node.diagnosis().list_consultations(request).await.unwrap().into_inner();
        assert!(page.consultations.len() <= 2);
        seen.extend(page.consultations.into_iter().map(|c| c.consultation_id));
        (token, pages) = (page.next_page_token, pages + 1);
        if token.is_empty() {
            break;
        }
    }
    let newest_first: Vec<_> = kept.iter().rev().map(|c| c.consultation_id.clone()).collect();
    assert_eq!((seen, pages), (newest_first, 3));

    let request = dx::ListConsultationsRequest {
        patient_reference: "p-odd".to_owned(),
        ..Default::default()
    };
    let odd = node.diagnosis().list_consultations(request).await.unwrap().into_inner();
    assert_eq!(odd.consultations.len(), 2);
}

#[tokio::test]
async fn answers_survive_a_restart_of_the_node() {
    let node = Setup::new().start().await;
    let request = dx::DiagnoseRequest { request_id: "r-1".to_owned(), ..complaint("发热3天") };
    let before = node.diagnose(request.clone()).await.unwrap();
    let crate::harness::TestNode { node, data, .. } = node;
    assert!(node.stop().await);
    let node = Setup::new().start_in(data).await;
    let after = node.diagnosis().diagnose(request).await.unwrap().into_inner();
    assert!(after.replayed);
    assert_eq!(after.consultation, Some(before));
}

#[tokio::test]
async fn findings_and_conditions_are_found_by_pinyin_initials_english_and_code() {
    let node = Setup::new().start().await;
    for query in ["发热", "fare", "fr", "fever"] {
        let request = dx::SearchFindingsRequest { query: query.to_owned(), count_max: 10 };
        let found = node.diagnosis().search_findings(request).await.unwrap().into_inner().findings;
        assert!(found.iter().any(|f| f.finding_id == "fever"), "{query}: {found:?}");
    }
    for query in ["肺炎", "feiyan", "J18.900"] {
        let request = dx::SearchConditionsRequest { query: query.to_owned(), count_max: 10 };
        let found = node.diagnosis().search_conditions(request).await.unwrap().into_inner();
        assert!(found.conditions.iter().any(|c| c.name.contains("肺炎")), "{query}");
    }
}
