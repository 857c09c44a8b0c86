//! Follow-up tasks of records.

use std::sync::LazyLock;

use proptest::prelude::*;

use super::*;
use crate::sharing::discharge::Moment;
use crate::sharing::discharge::model::{
    Code, Coded, Contact, Diagnosis, FollowUp, Measurement, Medicine, MedicineChange, Quantity,
};
use crate::sharing::discharge::programmes::Programmes;

const ICD: &str = "http://hl7.org/fhir/sid/icd-10";

fn tables() -> &'static (Programmes, FollowUpTables) {
    static SHIPPED: LazyLock<(Programmes, FollowUpTables)> = LazyLock::new(|| {
        let files = crate::embedded::files();
        (Programmes::load(&files).unwrap(), FollowUpTables::load(&files).unwrap())
    });
    &SHIPPED
}

fn of(record: &DischargeRecord) -> Vec<Task> {
    let (programmes, rules) = tables();
    tasks(record, &programmes.of(record).members, rules)
}

fn moment(text: &str) -> Option<Moment> {
    Moment::iso(text).ok()
}

fn day(text: &str) -> Option<Date> {
    text.parse().ok()
}

/// A record with a phone, with these diagnoses, discharged on 2026-11-02.
fn record(codes: &[&str]) -> DischargeRecord {
    let mut record = DischargeRecord::default();
    record.stay.admitted = moment("2026-10-20T09:00+08:00");
    record.stay.discharged = moment("2026-11-02T10:00+08:00");
    record.patient.phones = vec!["13900000000".into()];
    for code in codes {
        let code = Code { system: ICD.into(), code: (*code).into(), display: String::new() };
        let what = Coded { text: String::new(), codes: vec![code] };
        record.diagnoses.push(Diagnosis { coded: what, ..Diagnosis::default() });
    }
    record
}

fn measured(name: &str, value: f64, unit: &str, taken: &str) -> Measurement {
    Measurement {
        coded: Coded::text(name),
        value: Some(Quantity { value, unit: unit.into() }),
        taken: if taken.is_empty() { None } else { moment(taken) },
        ..Measurement::default()
    }
}

fn said(name: &str, text: &str) -> Measurement {
    Measurement { coded: Coded::text(name), text: text.into(), ..Measurement::default() }
}

fn find<'a>(tasks: &'a [Task], id: &str) -> Option<&'a Task> {
    tasks.iter().find(|task| task.id == id)
}

fn ids(tasks: &[Task]) -> Vec<&str> {
    tasks.iter().map(|task| task.id.as_str()).collect()
}

#[test]
fn a_member_is_visited_within_two_weeks_and_each_quarter() {
    let tasks = of(&record(&["I10.x05", "E11.900"]));
    let visit = find(&tasks, "visit_after_discharge").unwrap();
    assert_eq!(visit.programmes, [Programme::Hypertension, Programme::Type2Diabetes]);
    assert_eq!((visit.earliest, visit.due), (day("2026-11-02"), day("2026-11-16")));
    assert_eq!(visit.reasons.len(), 2);
    assert!(visit.reasons[0].source.contains("国家基本公共卫生服务规范"));
    let dues: Vec<_> =
        (1..=4).map(|n| find(&tasks, &format!("visit_quarterly#{n}")).unwrap().due).collect();
    assert_eq!(dues, [day("2027-01-31"), day("2027-05-01"), day("2027-07-30"), day("2027-10-28")]);
    assert_eq!(find(&tasks, "visit_quarterly#1").unwrap().earliest, day("2027-01-17"));
    assert!(find(&tasks, "yearly_check").is_some());
}

#[test]
fn the_hospitals_earlier_date_counts() {
    let mut record = record(&["I10"]);
    let follow_up = |text: &str, due: &str| FollowUp {
        text: text.into(),
        due: if due.is_empty() { None } else { moment(due) },
        ..FollowUp::default()
    };
    record.follow_ups =
        vec![follow_up("心内科门诊复诊", "2026-11-09"), follow_up("出院后一个月复查血脂", "")];
    let tasks = of(&record);
    let visit = find(&tasks, "visit_after_discharge").unwrap();
    assert_eq!(visit.due, day("2026-11-09"));
    assert!(visit.reasons.iter().any(|r| r.text_zh.contains("2026-11-09")));
    let first = find(&tasks, "hospital_request#1").unwrap();
    assert_eq!(
        (first.due, first.wording_zh.as_str()),
        (day("2026-11-09"), "医院要求：心内科门诊复诊")
    );
    let second = find(&tasks, "hospital_request#2").unwrap();
    assert_eq!(second.due, day("2026-12-02"));
    assert!(second.reasons.iter().any(|r| r.text_zh.contains("推算")));
    // A later one does not move the visit.
    record.follow_ups.remove(0);
    assert_eq!(find(&of(&record), "visit_after_discharge").unwrap().due, day("2026-11-16"));
    // A month alone lasts until its end; a year alone is no day.
    record.follow_ups = vec![follow_up("复查", "2026-12"), follow_up("复查", "2027")];
    let tasks = of(&record);
    assert_eq!(find(&tasks, "hospital_request#1").unwrap().due, day("2026-12-31"));
    let none = find(&tasks, "hospital_request#2").unwrap();
    assert_eq!(none.due, None);
    assert!(none.reasons.iter().any(|r| r.text_zh.contains("没有说明日期")));
}

#[test]
fn extreme_pressure_and_glucose_refer_at_once_at_the_very_limit() {
    let refers = |measurements: Vec<Measurement>, codes: &[&str]| -> Vec<String> {
        let mut record = record(codes);
        record.measurements = measurements;
        let now = of(&record).into_iter().filter(|t| t.kind == TaskKind::ReferNow);
        now.map(|task| task.rule).collect()
    };
    let pressure = vec!["refer_blood_pressure".to_owned()];
    let high = vec!["refer_glucose_high".to_owned()];
    let low = vec!["refer_glucose_low".to_owned()];
    let at = "2026-11-01";
    for (name, value, unit, expected) in [
        ("收缩压", 180.0, "mmHg", &pressure),
        ("收缩压", 179.0, "mm[Hg]", &vec![]),
        ("收缩压", 24.0, "kPa", &pressure),
        ("舒张压", 110.0, "mmHg", &pressure),
        ("舒张压", 109.0, "毫米汞柱", &vec![]),
        ("空腹血糖", 16.7, "mmol/L", &high),
        ("随机血糖", 16.6, "mmol/L", &vec![]),
        ("葡萄糖（GLU）", 301.0, "mg/dL", &high),
        ("葡萄糖", 299.0, "mg/dL", &vec![]),
        ("血糖", 3.9, "mmol/L", &low),
        ("血糖", 4.0, "mmol/L", &vec![]),
        ("Glucose", 70.0, "mg/dL", &low),
        ("尿葡萄糖", 55.0, "mmol/L", &vec![]),
        ("糖化血红蛋白（葡萄糖）", 17.0, "mmol/L", &vec![]),
    ] {
        let got = refers(vec![measured(name, value, unit, at)], &["I10", "E11.9"]);
        assert_eq!(&got, expected, "{name} {value} {unit}");
    }
    for (text, expected) in [
        ("180/95mmHg", &pressure),
        ("１７８／１１０ mmHg", &pressure),
        ("178/108", &vec![]),
        ("24.0/14.0 kPa", &pressure),
    ] {
        assert_eq!(&refers(vec![said("血压", text)], &["I10"]), expected, "{text}");
    }
    // Codes of LOINC, whatever the words.
    let mut coded = measured("BP", 185.0, "mm[Hg]", at);
    coded.coded.codes.push(Code { code: "8480-6".into(), ..Code::default() });
    assert_eq!(refers(vec![coded], &[]), pressure);
    // Without diabetes 3.5 is not low.
    assert_eq!(refers(vec![measured("血糖", 3.5, "mmol/L", at)], &["I10"]), Vec::<String>::new());
    assert_eq!(refers(vec![measured("血糖", 2.8, "mmol/L", at)], &["I10"]), low);
}

#[test]
fn the_last_measurement_counts_and_one_without_a_time_may_be_the_last() {
    let refers = |measurements: Vec<Measurement>| {
        let mut record = record(&["I10"]);
        record.measurements = measurements;
        find(&of(&record), "refer_blood_pressure").map(|task| task.due)
    };
    let high = |taken: &str| measured("收缩压", 190.0, "mmHg", taken);
    let calm = |taken: &str| measured("收缩压", 130.0, "mmHg", taken);
    assert_eq!(refers(vec![high("2026-10-21"), calm("2026-11-01")]), None);
    assert_eq!(refers(vec![calm("2026-11-01"), high("2026-10-21")]), None);
    assert_eq!(refers(vec![high("2026-11-01"), calm("2026-10-21")]), Some(day("2026-11-02")));
    // The offset counts: 23:30 UTC is the next morning here.
    assert_eq!(
        refers(vec![high("2026-10-31T23:30Z"), calm("2026-10-31T23:50+08:00")]),
        Some(day("2026-11-02"))
    );
    assert_eq!(refers(vec![high(""), calm("2026-11-01")]), Some(day("2026-11-02")));
    assert_eq!(refers(vec![calm(""), high("2026-10-30")]), Some(day("2026-11-02")));
    assert_eq!(refers(vec![high(""), calm("")]), None);
    // Before the stay.
    assert_eq!(refers(vec![high("2026-10-19")]), None);
}

#[test]
fn the_words_on_the_state_at_discharge_are_read_where_they_say_one_value() {
    let found = |text: &str| -> Vec<String> {
        let mut record = record(&["I10", "E11.9"]);
        record.narrative.discharge = text.into();
        let now = of(&record).into_iter().filter(|t| t.kind == TaskKind::ReferNow);
        now.map(|task| task.rule).collect()
    };
    for (text, expected) in [
        ("神清，BP：185/100mmHg，双肺清。", "refer_blood_pressure"),
        ("血压约１８５／１００ｍｍＨｇ", "refer_blood_pressure"),
        ("血压 24.5/14.0kPa", "refer_blood_pressure"),
        ("入院时血压150/90mmHg，今血压182/100mmHg", "refer_blood_pressure"),
        ("今晨空腹血糖17.2mmol/L。", "refer_glucose_high"),
        ("空腹血糖3.5mmol/L", "refer_glucose_low"),
        ("血压 186 / 112 mmHg，心率70次/分", "refer_blood_pressure"),
        ("血压\n186/112\nmmHg", "refer_blood_pressure"),
        ("血压186/112 心率70次/分", "refer_blood_pressure"),
        ("空腹血糖 17.2 mmol/L", "refer_glucose_high"),
        ("空腹血糖 １７．２ mmol／L 余无不适", "refer_glucose_high"),
        ("血糖：\n17.2 mmol / L 2026-11-18", "refer_glucose_high"),
        ("血糖（空腹）17.2mmol/L", "refer_glucose_high"),
        ("餐后2小时血糖 17.2mmol/L伴口渴", "refer_glucose_high"),
        ("血糖餐后2小时 17.2mmol/L", "refer_glucose_high"),
        ("血糖＞33.3mmol/L", "refer_glucose_high"),
        ("血糖 310 mg/dL", "refer_glucose_high"),
        ("血糖17.2mmol·L-1", "refer_glucose_high"),
        ("血糖＜2.8 mmol/L", "refer_glucose_low"),
        ("血压＜180/110mmHg", ""),
        ("血糖<16.7mmol/L", ""),
        ("血糖17.2mmol/L以下", ""),
        ("血压138/82mmHg 以下为尿常规", ""),
        ("入院时血压190/110mmHg，今血压132/80mmHg", ""),
        ("血压控制在190/110以下", ""),
        ("血压波动于180-190/100-110mmHg", ""),
        ("血压正常", ""),
        ("血糖17.2", ""),
        ("血糖波动在17.0-18.0mmol/L", ""),
        ("血糖17-18mmol/L", ""),
        ("尿糖17.2mmol/L", ""),
        ("", ""),
    ] {
        let expected: Vec<&str> = [expected].into_iter().filter(|rule| !rule.is_empty()).collect();
        assert_eq!(found(text), expected, "{text}");
    }
    // A measurement with a time beside it does not take the words back.
    let mut both = record(&["I10"]);
    both.narrative.symptoms_and_signs = "血压185/112mmHg".into();
    both.measurements = vec![measured("收缩压", 130.0, "mmHg", "2026-11-01")];
    let tasks = of(&both);
    let refer = find(&tasks, "refer_blood_pressure").unwrap();
    assert!(refer.reasons.iter().any(|r| r.text_zh.contains("出院情况所述")));
}

#[test]
fn low_oxygen_of_copd_is_measured_again_and_referred() {
    let mut copd = record(&["J44.900"]);
    assert!(find(&of(&copd), "measure_spo2").is_some());
    copd.measurements = vec![measured("指脉氧SpO2", 89.0, "%", "2026-11-01")];
    let tasks = of(&copd);
    let refer = find(&tasks, "refer_spo2").unwrap();
    assert_eq!((refer.kind, refer.due), (TaskKind::Refer, day("2026-11-16")));
    assert!(refer.wording_zh.contains("89 %"));
    assert!(find(&tasks, "measure_spo2").is_none());
    copd.measurements = vec![measured("血氧饱和度", 90.0, "%", "2026-11-01")];
    assert!(find(&of(&copd), "refer_spo2").is_none());
    let mut other = record(&["I10"]);
    other.measurements = vec![measured("血氧饱和度", 85.0, "%", "2026-11-01")];
    assert!(find(&of(&other), "refer_spo2").is_none());
}

#[test]
fn what_the_record_does_not_say_is_a_task() {
    let mut bare = record(&["I10", "E11.9", "J44.9"]);
    bare.patient.phones = vec![" ".into()];
    let tasks = of(&bare);
    for id in
        ["no_phone", "measure_blood_pressure", "measure_glucose", "measure_spo2", "no_medicines"]
    {
        assert!(find(&tasks, id).is_some(), "{id}");
    }
    assert!(find(&tasks, "no_phone").unwrap().wording_zh.contains("也没有联系人"));
    bare.patient.contacts = vec![Contact { phone: "1".into(), ..Contact::default() }];
    let tasks = of(&bare);
    let phone = find(&tasks, "no_phone").unwrap();
    assert!(phone.wording_zh.contains("可先联系") && !phone.wording_zh.contains("{contact}"));
    // Only one of the two pressures is not a pressure.
    bare.measurements = vec![measured("收缩压", 130.0, "mmHg", "2026-11-01")];
    assert!(find(&of(&bare), "measure_blood_pressure").is_some());
    bare.measurements.push(measured("舒张压", 80.0, "mmHg", "2026-11-01"));
    assert!(find(&of(&bare), "measure_blood_pressure").is_none());
    // A unit that is not known is said, not guessed.
    for unreadable in [
        measured("血糖", 17.0, "", "2026-11-01"),
        measured("血糖", 17.0, "g/L", "2026-11-01"),
        said("血糖", "偏高"),
    ] {
        bare.measurements = vec![unreadable];
        let tasks = of(&bare);
        assert!(find(&tasks, "unreadable_glucose").is_some());
        assert!(find(&tasks, "measure_glucose").is_some());
        assert!(find(&tasks, "refer_glucose_high").is_none());
    }
    bare.measurements = vec![said("血压", "未测")];
    assert!(find(&of(&bare), "unreadable_blood_pressure").is_some());
}

#[test]
fn an_unknown_day_of_discharge_is_said_and_gives_no_days() {
    for unknown in [None, moment("2026-11")] {
        let mut record = record(&["I10"]);
        record.stay.discharged = unknown;
        let tasks = of(&record);
        assert!(find(&tasks, "discharge_day_unknown").is_some());
        assert!(tasks.iter().all(|task| task.due.is_none() && task.earliest.is_none()));
        let visit = find(&tasks, "visit_after_discharge").unwrap();
        assert!(visit.reasons.iter().any(|r| r.text_zh.contains("出院日期不明")));
    }
    assert!(find(&of(&record(&["I10"])), "discharge_day_unknown").is_none());
}

#[test]
fn stopped_and_changed_medicines_are_reviewed() {
    let medicine =
        |name: &str, change| Medicine { coded: Coded::text(name), change, ..Medicine::default() };
    let mut record = record(&["I10"]);
    record.medicines = vec![
        medicine("氨氯地平片5mg", Some(MedicineChange::New)),
        medicine("硝苯地平片10mg", Some(MedicineChange::Stopped)),
        medicine("阿司匹林肠溶片", Some(MedicineChange::Continued)),
        medicine("利血平片", Some(MedicineChange::Stopped)),
        medicine("厄贝沙坦片", Some(MedicineChange::Altered)),
    ];
    record.medicines[1].change_text = "换用长效制剂".into();
    let tasks = of(&record);
    let first = find(&tasks, "stopped_medicine#1").unwrap();
    assert!(first.wording_zh.contains("硝苯地平片10mg"));
    assert!(first.reasons.iter().any(|r| r.text_zh.contains("换用长效制剂")));
    assert_eq!(first.due, day("2026-11-09"));
    assert!(find(&tasks, "stopped_medicine#2").unwrap().wording_zh.contains("利血平片"));
    let changed = find(&tasks, "changed_medicine").unwrap();
    assert!(changed.wording_zh.contains("氨氯地平片5mg、厄贝沙坦片"));
    assert!(find(&tasks, "medicine_change_unsaid").is_none());
    record.medicines = vec![medicine("氨氯地平片", None)];
    assert!(find(&of(&record), "medicine_change_unsaid").is_some());
}

#[test]
fn orders_that_ask_for_coming_again_are_pointed_at() {
    let mut record = record(&[]);
    record.narrative.orders = "低盐饮食，2周后心内科门诊复查。".into();
    let tasks = of(&record);
    assert_eq!(find(&tasks, "request_in_orders").unwrap().due, day("2026-11-16"));
    record.follow_ups = vec![FollowUp::default()];
    assert!(find(&of(&record), "request_in_orders").is_none());
}

#[test]
fn a_patient_who_died_and_a_record_in_error_are_not_followed_up() {
    let mut dead = record(&["I10"]);
    dead.stay.outcome = Some(Coded::text("死亡"));
    assert_eq!(ids(&of(&dead)), ["died"]);
    let code = Code {
        system: "urn:oid:2.16.156.10011.2.3.1.148".into(),
        code: "5".into(),
        ..Code::default()
    };
    dead.stay.outcome = Some(Coded { text: String::new(), codes: vec![code] });
    assert_eq!(ids(&of(&dead)), ["died"]);
    let mut error = record(&["I10"]);
    error.document.entered_in_error = true;
    assert_eq!(of(&error), []);
}

#[test]
fn nobody_of_a_programme_is_visited_by_rule_but_requests_and_dangers_stay() {
    let mut other = record(&["K35.9"]);
    other.measurements = vec![said("血压", "200/120mmHg")];
    other.follow_ups = vec![FollowUp { text: "7天后拆线".into(), ..FollowUp::default() }];
    assert_eq!(ids(&of(&other)), ["refer_blood_pressure", "hospital_request#1"]);
}

#[test]
fn a_value_that_is_only_more_or_less_counts_where_it_must_and_is_looked_at_again() {
    let found = |name: &str, text: &str| -> Vec<String> {
        let mut record = record(&["I10", "E11.9", "J44.9"]);
        record.measurements = vec![said(name, text)];
        let rules = ["refer", "measure_", "unreadable"];
        let tasks = of(&record).into_iter().filter(|t| rules.iter().any(|r| t.rule.starts_with(r)));
        let measure = match name {
            "收缩压" => "blood_pressure",
            "血糖" => "glucose",
            _ => "spo2",
        };
        let mut ids: Vec<String> =
            tasks.map(|task| task.rule).filter(|rule| rule.contains(measure)).collect();
        ids.sort();
        ids
    };
    for (name, text, expected) in [
        ("收缩压", "<180 mmHg", &["measure_blood_pressure", "unreadable_blood_pressure"][..]),
        ("收缩压", "≤ 180 mmHg", &["measure_blood_pressure", "unreadable_blood_pressure"]),
        ("收缩压", ">180 mmHg", &["measure_blood_pressure", "refer_blood_pressure"]),
        ("血糖", ">10 mmol/L", &["measure_glucose", "unreadable_glucose"]),
        ("血糖", ">33.3 mmol/L", &["refer_glucose_high"]),
        ("血糖", "<3.9 mmol/L", &["refer_glucose_low"]),
        ("血糖", "<11.1 mmol/L", &["measure_glucose", "unreadable_glucose"]),
        ("SpO2", "<90 %", &[]),
    ] {
        let found = found(name, text);
        if name == "SpO2" {
            assert!(found.iter().any(|rule| rule == "refer_spo2"), "{found:?}");
            continue;
        }
        assert_eq!(found, expected, "{name} {text}");
    }
}

#[test]
fn every_task_cites_and_survives_json() {
    let mut record = record(&["I10", "E11.9", "J44.9", "I63.9", "I25.1"]);
    record.measurements = vec![said("血压", "182/112mmHg")];
    let tasks = of(&record);
    assert_eq!(tasks[0].id, "refer_blood_pressure");
    assert!(tasks[0].wording_zh.contains("182/112 mmHg"), "{}", tasks[0].wording_zh);
    for task in &tasks {
        assert!(!task.reasons.is_empty() && !task.wording_zh.contains('{'), "{}", task.id);
        for reason in &task.reasons {
            assert!(!reason.source.is_empty() && reason.row.contains("follow_up.csv:"));
        }
    }
    let json = serde_json::to_string(&tasks).unwrap();
    assert!(json.contains("\"due\":\"2026-11-16\""));
    assert_eq!(serde_json::from_str::<Vec<Task>>(&json).unwrap(), tasks);
}

#[test]
fn words_name_a_day_only_where_they_do() {
    let from = "2026-11-02".parse().unwrap();
    for (text, expected) in [
        ("出院后2周复查", day("2026-11-16")),
        ("两周后门诊随访", day("2026-11-16")),
        ("一个月后复诊", day("2026-12-02")),
        ("１个月内复查肝功能", day("2026-12-02")),
        ("半个月后复查", day("2026-11-17")),
        ("半年后复查CT", day("2027-05-02")),
        ("十四天后拆线", day("2026-11-16")),
        ("3天后换药，2周后复查", day("2026-11-05")),
        ("1年复查", day("2027-11-02")),
        ("一月后到呼吸科门诊复查", day("2026-12-02")),
        ("3月后复查", day("2027-02-02")),
        ("三个月后到我院复查", day("2027-02-02")),
        ("半月后门诊", day("2026-11-17")),
        ("1个月到呼吸科门诊复查", day("2026-12-02")),
        ("1个半月后复查", day("2026-12-17")),
        ("每3月复查肝功能", day("2027-02-02")),
        ("每3个月随访", day("2027-02-02")),
        ("每月复查", day("2026-12-02")),
        ("每季度随访一次", day("2027-02-02")),
        ("两周来院复查", day("2026-11-16")),
        ("近3天来咳嗽", None),
        ("1周到2周症状缓解", None),
        ("服药3天再服1次", None),
        ("每周1次口服", None),
        ("12月2日复查", None),
        ("3月复查", None),
        ("术后3天拆线", None),
        ("第2周后", None),
        ("不适随诊", None),
        ("0天后", None),
        ("9999天后", None),
        ("", None),
    ] {
        assert_eq!(relative_due(text, from), expected, "{text}");
    }
}

#[test]
fn rules_that_are_uncited_or_do_not_fit_do_not_load() {
    let refused = |row: &str| {
        let mut files = crate::embedded::files();
        let path = "records/follow_up.csv";
        let text = format!("{}{row}\n", files.text(path).unwrap());
        files.insert(path, text.into_bytes());
        FollowUpTables::load(&files).unwrap_err().to_string()
    };
    for (row, message) in [
        ("x,*,visit,after_discharge,,,,0,14,,,去,因,,draft", "row has no source"),
        ("x,gout,visit,after_discharge,,,,0,14,,,去,因,memory,draft", "unknown programme"),
        ("x,*,refer_now,measured,systolic,>=,,0,0,,,去,因,memory,draft", "do not fit"),
        ("x,*,refer_now,measured,,>=,180,0,0,,,去,因,memory,draft", "do not fit"),
        ("x,*,visit,after_discharge,,,,15,14,,,去,因,memory,draft", "out of range"),
        ("x,*,visit,repeated,,,,0,14,,,去,因,memory,draft", "do not fit"),
        ("x,*,visit,after_discharge,,,,0,14,,,,因,memory,draft", "needs an id"),
        ("died,*,visit,after_discharge,,,,0,14,,,去,因,memory,draft", "differ in kind"),
    ] {
        let said = refused(row);
        assert!(said.contains(message) && said.contains("follow_up.csv:"), "{said}");
    }
}

proptest! {
    #[test]
    fn any_text_of_a_measurement_or_request_is_read_without_harm(
        name in "(血压|血糖|收缩压|SpO2|.){0,4}",
        text in "[0-9/.一二十半周天月年后内 a-zA-Z%]{0,24}|.{0,16}",
        value in prop::option::of(-1e9_f64..1e9),
        unit in "(mmHg|mg/dL|mmol/L|kPa|%|.){0,2}",
    ) {
        let mut record = record(&["I10", "E11.9", "J44.9"]);
        let value = value.map(|value| Quantity { value, unit });
        let coded = Coded::text(name);
        let measurement =
            Measurement { coded, value, text: text.clone(), ..Measurement::default() };
        record.measurements = vec![measurement];
        record.narrative.discharge.clone_from(&text);
        record.follow_ups = vec![FollowUp { text, ..FollowUp::default() }];
        let found = of(&record);
        prop_assert_eq!(&found, &of(&record));
        let mut ids: Vec<_> = found.iter().map(|task| &task.id).collect();
        ids.sort();
        ids.dedup();
        prop_assert_eq!(ids.len(), found.len());
        prop_assert!(found.iter().all(|t| t.earliest.is_none() || t.due.is_none() || t.earliest <= t.due));
    }

    /// One more diagnosis never takes a task away.
    #[test]
    fn more_diagnoses_never_mean_fewer_tasks(systolic in 60.0_f64..260.0, glucose in 1.0_f64..40.0) {
        let mut less = record(&["I10"]);
        less.measurements = vec![
            measured("收缩压", systolic.round(), "mmHg", "2026-11-01"),
            measured("血糖", glucose, "mmol/L", "2026-11-01"),
        ];
        let mut more = less.clone();
        more.diagnoses.extend(record(&["E11.9", "J44.9"]).diagnoses);
        let (less, more) = (of(&less), of(&more));
        for task in &less {
            prop_assert!(find(&more, &task.id).is_some(), "{}", task.id);
        }
    }
}
