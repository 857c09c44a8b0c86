//! Doses, frequencies and courses; on the small tables.

use super::super::{Action, Kind, Line, Order, Report};
use super::{full, order};
use crate::medicine::patient::{Patient, Sex};

/// One line with a dose for a patient of an age and weight.
fn dosed(name: &str, dose: (f32, &str), frequency: &str, patient: (f32, Option<f32>)) -> Order {
    let mut order = order(&[name]);
    let line = &mut order.lines[0];
    line.dose = Some(dose.0);
    dose.1.clone_into(&mut line.dose_unit);
    frequency.clone_into(&mut line.frequency);
    "口服".clone_into(&mut line.route);
    order.patient = Patient {
        age_years: Some(patient.0),
        weight_kg: patient.1,
        sex: Some(Sex::Male),
        ..Patient::default()
    };
    order
}

/// Kind and action of what is said of doses.
fn said(report: &Report) -> Vec<(Kind, Action)> {
    let about = [Kind::SingleDose, Kind::DailyDose, Kind::Frequency, Kind::Duration];
    report.findings.iter().filter(|f| about.contains(&f.kind)).map(|f| (f.kind, f.action)).collect()
}

const ADULT: (f32, Option<f32>) = (40.0, None);

#[test]
fn a_dose_over_the_largest_is_said_then_asked_about_then_stopped() {
    for (mg, expected) in [
        (500.0, vec![]),
        (600.0, vec![]),
        (640.0, vec![]),
        (700.0, vec![(Kind::SingleDose, Action::Notice)]),
        (1000.0, vec![(Kind::SingleDose, Action::NeedsReason)]),
        (5000.0, vec![(Kind::SingleDose, Action::Stop)]),
    ] {
        let report = full(&dosed("对乙酰氨基酚片", (mg, "mg"), "bid", ADULT));
        assert_eq!(said(&report), expected, "{mg}");
    }
    let report = full(&dosed("对乙酰氨基酚片", (5.0, "g"), "bid", ADULT));
    let found = &report.findings[0];
    assert!(found.reason_zh.contains("5g") && found.reason_zh.contains("小数点"), "{found:?}");
    assert_eq!((found.review_code.as_deref(), &*found.rule), (Some("2-5"), "D1"));
    assert!(found.instead_zh.contains("300mg至600mg"), "{}", found.instead_zh);
}

#[test]
fn the_day_speaks_where_each_dose_is_right() {
    let report = full(&dosed("碳酸锂", (500.0, "mg"), "qid", ADULT));
    assert_eq!(said(&report), [(Kind::DailyDose, Action::Notice)]);
    let report = full(&dosed("碳酸锂", (500.0, "mg"), "tid", ADULT));
    assert_eq!(said(&report), []);
}

#[test]
fn one_slip_is_one_finding() {
    let report = full(&dosed("碳酸锂", (5.0, "g"), "tid", ADULT));
    assert_eq!(said(&report), [(Kind::SingleDose, Action::Stop)]);
}

#[test]
fn a_dose_far_too_small_has_its_decimal_point_in_doubt() {
    let report = full(&dosed("碳酸锂", (25.0, "mg"), "tid", ADULT));
    assert_eq!(said(&report), [(Kind::SingleDose, Action::Notice)]);
    assert!(report.findings[0].reason_zh.contains("10%"), "{}", report.findings[0].reason_zh);
}

#[test]
fn a_childs_dose_goes_by_weight_and_its_ceiling() {
    let child = |mg| full(&dosed("对乙酰氨基酚片", (mg, "mg"), "tid", (4.0, Some(16.0))));
    assert_eq!(said(&child(240.0)), []);
    assert_eq!(said(&child(400.0)), [(Kind::SingleDose, Action::NeedsReason)]);
    // 15 mg/kg would be 900 mg: the ceiling is 600.
    let heavy = full(&dosed("对乙酰氨基酚片", (700.0, "mg"), "bid", (11.0, Some(60.0))));
    assert_eq!(said(&heavy), [(Kind::SingleDose, Action::Notice)]);
}

#[test]
fn a_missing_weight_is_asked_for_and_a_slip_seen_all_the_same() {
    let report = full(&dosed("对乙酰氨基酚片", (200.0, "mg"), "tid", (4.0, None)));
    assert_eq!(said(&report), []);
    let asked = report.unchecked.iter().find(|u| u.what.contains(&Kind::SingleDose)).unwrap();
    assert!(asked.reason_zh.contains("体重") && !asked.on_request, "{asked:?}");
    let slip = full(&dosed("对乙酰氨基酚片", (2500.0, "mg"), "tid", (4.0, None)));
    assert_eq!(said(&slip), [(Kind::SingleDose, Action::Stop)]);
}

#[test]
fn a_weight_no_child_of_that_age_has_is_asked_about() {
    let report = full(&dosed("对乙酰氨基酚片", (300.0, "mg"), "tid", (1.0, Some(30.0))));
    let found = report.findings.iter().find(|f| f.id.ends_with(":weight")).unwrap();
    assert_eq!((found.kind, found.action), (Kind::SingleDose, Action::NeedsReason));
    assert!(found.reason_zh.contains("30kg") && found.instead_zh.contains("斤"), "{found:?}");
    let fine = full(&dosed("对乙酰氨基酚片", (100.0, "mg"), "tid", (1.0, Some(10.0))));
    assert!(fine.findings.iter().all(|f| !f.id.ends_with(":weight")));
}

#[test]
fn an_age_without_a_row_is_unchecked_for_a_child() {
    let report = full(&dosed("碳酸锂", (250.0, "mg"), "tid", (8.0, Some(25.0))));
    let gap = report.unchecked.iter().find(|u| u.what.contains(&Kind::SingleDose)).unwrap();
    assert!(gap.reason_zh.contains("年龄") && !gap.on_request, "{gap:?}");
}

#[test]
fn pieces_become_milligrams_through_the_strength() {
    let mut two = dosed("对乙酰氨基酚片", (2.0, "片"), "tid", ADULT);
    two.lines[0].strength = "0.5g×12片".to_owned();
    assert_eq!(said(&full(&two)), [(Kind::SingleDose, Action::NeedsReason)]);
    two.lines[0].strength.clear();
    // Nothing says what a tablet holds: not guessed.
    assert_eq!(said(&full(&two)), []);
    let combination = dosed("阿莫西林克拉维酸钾", (9.0, "片"), "bid", ADULT);
    assert_eq!(said(&full(&combination)), [(Kind::SingleDose, Action::Stop)]);
}

#[test]
fn the_diagnosis_chooses_the_row() {
    let mut order = dosed("阿司匹林", (300.0, "mg"), "qd", ADULT);
    assert_eq!(said(&full(&order)), []);
    order.diagnoses = vec!["冠心病".to_owned()];
    assert_eq!(said(&full(&order)), [(Kind::SingleDose, Action::Stop)]);
}

#[test]
fn a_weekly_medicine_every_day_is_stopped_once() {
    let report = full(&dosed("尼群地平", (10.0, "mg"), "qd", ADULT));
    assert_eq!(said(&report), [(Kind::Frequency, Action::Stop)]);
    let report = full(&dosed("尼群地平", (10.0, "mg"), "每周1次", ADULT));
    assert_eq!(said(&report), []);
}

#[test]
fn too_seldom_and_too_often_are_noticed() {
    let report = full(&dosed("阿莫西林", (0.5, "g"), "qd", ADULT));
    assert_eq!(said(&report), [(Kind::Frequency, Action::Notice)]);
    let report = full(&dosed("阿莫西林", (0.25, "g"), "q4h", ADULT));
    assert_eq!(said(&report), [(Kind::Frequency, Action::Notice)]);
    let report = full(&dosed("阿莫西林", (0.5, "g"), "必要时", ADULT));
    assert_eq!(said(&report), []);
}

#[test]
fn sums_of_several_products_are_told_and_stopped_far_over_the_largest() {
    let mut order = order(&["对乙酰氨基酚片", "感冒灵颗粒"]);
    let set = |line: &mut Line, dose, unit: &str| {
        line.dose = Some(dose);
        unit.clone_into(&mut line.dose_unit);
        "tid".clone_into(&mut line.frequency);
    };
    set(&mut order.lines[0], 500.0, "mg");
    set(&mut order.lines[1], 1.0, "袋");
    let report = full(&order);
    let found = report.findings.iter().find(|f| f.kind == Kind::Duplicate).unwrap();
    assert_eq!(found.action, Action::NeedsReason);
    assert!(
        found.reason_zh.contains("合计一日2.1g") && found.reason_zh.contains("未超过"),
        "{found:?}"
    );
    set(&mut order.lines[1], 20.0, "袋");
    let report = full(&order);
    let found = report.findings.iter().find(|f| f.kind == Kind::Duplicate).unwrap();
    assert_eq!(found.action, Action::Stop, "{found:?}");
    assert!(found.reason_zh.contains("超过上限4g"), "{found:?}");
}

#[test]
fn a_unit_nobody_knows_is_said_with_what_is_allowed() {
    let report = full(&dosed("碳酸锂", (2.0, "大勺"), "tid", ADULT));
    let gap = report.unchecked.iter().find(|u| u.what.contains(&Kind::SingleDose)).unwrap();
    assert!(gap.reason_zh.contains("单位认不出") && !gap.on_request, "{gap:?}");
    assert_eq!(said(&report), []);
}
