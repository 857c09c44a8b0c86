//! Bad input: each gets a clear error in a documented status, nothing panics, the node goes on.

use tonic::Code;
use xiangyi::rpc::proto::xiangyi::common::v1 as common;
use xiangyi::rpc::proto::xiangyi::diagnosis::v1 as dx;
use xiangyi::rpc::proto::xiangyi::prescription::v1 as rx;

use crate::harness::{Setup, TestNode, bad_fields, complaint, order, patient, reason};

async fn refused(node: &TestNode, request: dx::DiagnoseRequest, field: &str) {
    let status = node.diagnose(request).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument, "{field}: {status:?}");
    assert_eq!(reason(&status), "INVALID_ARGUMENT");
    assert!(bad_fields(&status).iter().any(|f| f == field), "{field}: {:?}", bad_fields(&status));
    assert!(status.message().contains(field), "{}", status.message());
}

#[tokio::test]
async fn every_impossible_field_of_a_consultation_is_named() {
    let node = Setup::new().start().await;
    refused(&node, complaint(""), "text").await;
    refused(&node, complaint(" \n\t　"), "text").await;
    refused(&node, complaint(&"痛".repeat(4_001)), "text").await;
    refused(&node, complaint(&"a".repeat(1 << 20)), "text").await;
    for age in [-0.1, 130.1, f64::NAN, f64::INFINITY, 1e300] {
        let request = dx::DiagnoseRequest {
            patient: Some(patient(age, common::Sex::Male)),
            ..complaint("发热")
        };
        refused(&node, request, "patient.age_years").await;
    }
    let vitals = [
        (
            common::Vitals { temperature_c: Some(389.0), ..Default::default() },
            "vitals.temperature_c",
        ),
        (common::Vitals { spo2_percent: Some(101.0), ..Default::default() }, "vitals.spo2_percent"),
        (
            common::Vitals { glucose_mmol_l: Some(f64::NAN), ..Default::default() },
            "vitals.glucose_mmol_l",
        ),
        (
            common::Vitals {
                systolic_mmhg: Some(80.0),
                diastolic_mmhg: Some(120.0),
                ..Default::default()
            },
            "vitals.diastolic_mmhg",
        ),
    ];
    for (vitals, field) in vitals {
        let request = dx::DiagnoseRequest { vitals: Some(vitals), ..complaint("发热") };
        refused(&node, request, field).await;
    }
    let request = dx::DiagnoseRequest { condition_count_max: 51, ..complaint("发热") };
    refused(&node, request, "condition_count_max").await;
    let request =
        dx::DiagnoseRequest { request_id: "有空格 的".to_owned(), ..complaint("发热") };
    refused(&node, request, "request_id").await;
    let findings = vec![dx::FindingInput { finding: "发热".to_owned(), state: 0 }];
    let request = dx::DiagnoseRequest { findings, ..complaint("发热") };
    refused(&node, request, "findings[0].state").await;
    let findings = vec![dx::FindingInput { finding: String::new(), state: 1 }; 201];
    let request = dx::DiagnoseRequest { findings, ..complaint("发热") };
    refused(&node, request, "findings").await;
}

#[tokio::test]
async fn unknown_enum_numbers_are_refused_never_defaulted() {
    let node = Setup::new().start().await;
    let with = |change: fn(&mut common::Patient)| {
        let mut request = complaint("发热");
        change(request.patient.as_mut().unwrap());
        request
    };
    refused(&node, with(|p| p.sex = 9), "patient.sex").await;
    refused(&node, with(|p| p.pregnancy = -1), "patient.pregnancy").await;
    refused(&node, with(|p| p.pregnancy_weeks = Some(20)), "patient.pregnancy_weeks").await;
    let pregnant_man = with(|p| p.pregnancy = common::PregnancyStatus::Pregnant.into());
    refused(&node, pregnant_man, "patient.pregnancy").await;
    let mut request = order(&["阿莫西林胶囊"]);
    request.setting = 17;
    let status = node.check(request).await.unwrap_err();
    assert_eq!(bad_fields(&status), ["setting"]);
}

#[tokio::test]
async fn every_impossible_field_of_an_order_is_named_at_once() {
    let node = Setup::new().start().await;
    let mut request = order(&["阿莫西林胶囊", "", "头孢克肟片"]);
    request.lines[0].line_id = "a".to_owned();
    request.lines[2].line_id = "a".to_owned();
    request.lines[0].days = Some(-1.0);
    request.lines[2].dose = Some(0.0);
    request.current_medicines.push("长".repeat(201));
    request.allergies.push(rx::Allergy::default());
    let status = node.check(request).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    let mut fields = bad_fields(&status);
    fields.sort();
    let expected = [
        "allergies[0]",
        "current_medicines[0]",
        "lines[0].days",
        "lines[1].name",
        "lines[2].dose",
        "lines[2].line_id",
    ];
    assert_eq!(fields, expected);
    assert_eq!(bad_fields(&node.check(order(&[])).await.unwrap_err()), ["lines"]);
    let many = vec!["阿莫西林胶囊"; 101];
    assert!(bad_fields(&node.check(order(&many)).await.unwrap_err()).contains(&"lines".to_owned()));
}

#[tokio::test]
async fn strange_but_valid_text_is_answered() {
    let node = Setup::new().start().await;
    for text in [
        "😷🤒发烧3天😭",
        "發燒３天　頭疼，Ｔ：３９．２℃",
        "\u{0}\u{1}\u{7f}咳嗽\u{202e}\u{feff}",
        "𠮷野家𬌗关节疼痛",
        "无无无无无发热无无不没否认",
        "((((（（（【【【发热",
        "e\u{301}\u{301}\u{301}\u{301}咳",
    ] {
        let c = node.diagnose(complaint(text)).await.unwrap();
        for mention in &c.mentions {
            let span = text
                .chars()
                .skip(usize::try_from(mention.start).unwrap())
                .take(usize::try_from(mention.end - mention.start).unwrap());
            assert_eq!(span.collect::<String>(), mention.words, "{text}");
        }
    }
    let max = "咳".repeat(4_000);
    node.diagnose(complaint(&max)).await.unwrap();
}

#[tokio::test]
async fn lookups_of_nothing_and_tokens_of_other_lists_are_refused() {
    let node = Setup::new().start().await;
    let get = dx::GetConsultationRequest { consultation_id: "no-such".to_owned() };
    let status = node.diagnosis().get_consultation(get).await.unwrap_err();
    assert_eq!(status.code(), Code::NotFound);
    let get = dx::GetConsultationRequest { consultation_id: String::new() };
    let status = node.diagnosis().get_consultation(get).await.unwrap_err();
    assert_eq!(bad_fields(&status), ["consultation_id"]);
    for token in ["x", "checks-1", "consultations-0", "consultations--4", "consultations-1.5"] {
        let list =
            dx::ListConsultationsRequest { page_token: token.to_owned(), ..Default::default() };
        let status = node.diagnosis().list_consultations(list).await.unwrap_err();
        assert_eq!(bad_fields(&status), ["page_token"], "{token}");
    }
    let list = dx::ListConsultationsRequest { page_size: 201, ..Default::default() };
    let status = node.diagnosis().list_consultations(list).await.unwrap_err();
    assert_eq!(bad_fields(&status), ["page_size"]);
    let search = rx::SearchMedicinesRequest { query: " ".to_owned(), count_max: 1 };
    let status = node.prescription().search_medicines(search).await.unwrap_err();
    assert_eq!(bad_fields(&status), ["query"]);
    let get = rx::GetMedicineRequest { code: "W999999".to_owned() };
    let status = node.prescription().get_medicine(get).await.unwrap_err();
    assert_eq!(status.code(), Code::NotFound);
}

#[tokio::test]
async fn errors_never_repeat_what_the_patient_said() {
    let node = Setup::new().start().await;
    let secret = "秘密病情王小明";
    let mut request = complaint(&format!("{secret}{}", "痛".repeat(4_000)));
    request.patient.as_mut().unwrap().reference = format!("{secret} x");
    request.findings.push(dx::FindingInput { finding: secret.repeat(20), state: 1 });
    let status = node.diagnose(request).await.unwrap_err();
    let everything = format!("{status:?} {}", String::from_utf8_lossy(status.details()));
    assert!(!everything.contains("王小明"), "{everything}");
}
