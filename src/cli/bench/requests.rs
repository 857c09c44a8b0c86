//! The requests that are sent in turn: complaints, prescriptions and plans of a village's ordinary day.

use crate::rpc::proto::xiangyi::common::v1 as common;
use crate::rpc::proto::xiangyi::diagnosis::v1 as dx;
use crate::rpc::proto::xiangyi::prescription::v1 as rx;
use crate::rpc::proto::xiangyi::treatment::v1 as tx;

const COMPLAINTS: [(&str, f64); 8] = [
    ("发热3天，咳嗽咳黄痰，右胸痛，否认咯血", 45.0),
    ("鼻塞流涕2天，打喷嚏，嗓子疼，没有咳嗽，无发热", 30.0),
    ("腹泻水样便1天，呕吐，腹痛，尿少", 24.0),
    ("胸口压榨样疼痛1小时，大汗，向左肩放射", 66.0),
    ("尿频、尿急、尿痛2天，无发热，无腰痛", 38.0),
    ("头晕，视物旋转，恶心，耳鸣，无头痛", 58.0),
    ("腰痛1周，弯腰加重，无外伤，下肢无麻木", 52.0),
    ("反复上腹痛半年，饿时明显，反酸，无黑便", 41.0),
];

/// Medicines of a prescription, and what the patient takes already.
const ORDERS: [(&[&str], &[&str]); 4] = [
    (&["阿莫西林胶囊", "对乙酰氨基酚片", "氨溴索口服溶液"], &["苯磺酸氨氯地平片"]),
    (&["苯磺酸氨氯地平片", "盐酸二甲双胍片", "阿托伐他汀钙片"], &["阿司匹林肠溶片"]),
    (&["布洛芬片", "维C银翘片", "对乙酰氨基酚片"], &["华法林钠片"]),
    (&["奥美拉唑肠溶胶囊", "阿莫西林胶囊", "克拉霉素片"], &[]),
];

/// Diagnoses with a plan.
const DIAGNOSES: [&str; 4] = ["高血压病", "2型糖尿病", "慢性阻塞性肺疾病", "高脂血症"];

fn pick<T: Copy>(all: &[T], number: u64) -> Option<T> {
    let count = u64::try_from(all.len()).ok()?;
    all.get(usize::try_from(number.checked_rem(count)?).ok()?).copied()
}

fn patient(age_years: f64, number: u64) -> common::Patient {
    let sex = if number.is_multiple_of(2) { common::Sex::Male } else { common::Sex::Female };
    common::Patient { age_years: Some(age_years), sex: sex.into(), ..common::Patient::default() }
}

/// The complaint of a call's number.
pub(super) fn complaint(number: u64) -> dx::DiagnoseRequest {
    let (text, age) = pick(&COMPLAINTS, number).unwrap_or(("咳嗽", 40.0));
    dx::DiagnoseRequest {
        patient: Some(patient(age, number)),
        text: text.to_owned(),
        ..dx::DiagnoseRequest::default()
    }
}

/// The prescription of a call's number.
pub(super) fn order(number: u64) -> rx::CheckPrescriptionRequest {
    let (lines, current) = pick(&ORDERS, number).unwrap_or_default();
    let line = |name: &&str| rx::OrderLine {
        name: (*name).to_owned(),
        days: Some(5.0),
        ..rx::OrderLine::default()
    };
    rx::CheckPrescriptionRequest {
        patient: Some(patient(56.0, number)),
        lines: lines.iter().map(line).collect(),
        current_medicines: current.iter().map(|&name| name.to_owned()).collect(),
        ..rx::CheckPrescriptionRequest::default()
    }
}

/// The patient that a plan is asked for.
pub(super) fn plan(number: u64) -> tx::RecommendPlanRequest {
    let diagnosis = pick(&DIAGNOSES, number).unwrap_or_default();
    tx::RecommendPlanRequest {
        patient: Some(patient(62.0, number)),
        diagnoses: vec![diagnosis.to_owned()],
        vitals: Some(common::Vitals {
            systolic_mmhg: Some(156.0),
            diastolic_mmhg: Some(94.0),
            ..common::Vitals::default()
        }),
        ..tx::RecommendPlanRequest::default()
    }
}
