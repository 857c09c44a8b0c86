//! The checks that look at the patient: allergies and pregnancy.

use super::super::{Action, AllergyEntry, Kind, Order, PrescriptionKnowledge};
use super::{actions, check, files_with, only, order, short, silent, with_allergy};
use crate::medicine::patient::{Patient, Pregnancy, Sex};

fn pregnant(names: &[&str], weeks: Option<u8>) -> Order {
    let patient = Patient {
        age_years: Some(28.0),
        sex: Some(Sex::Female),
        pregnancy: Pregnancy::Yes { weeks },
        ..Patient::default()
    };
    Order { patient, ..order(names) }
}

// Allergies

#[test]
fn an_allergy_stops_the_substance_and_its_class() {
    for (allergy, name) in [
        ("阿莫西林", "阿莫西林胶囊"),
        ("青霉素过敏", "阿莫西林胶囊"),
        ("对青霉素类药物过敏", "阿莫西林克拉维酸钾片"),
        ("青霉素皮试阳性", "阿莫西林"),
        ("布洛芬", "双氯芬酸钠凝胶"),
        ("阿司匹林 过敏史", "布洛芬"),
        ("扑热息痛", "维C银翘片"),
        ("amoxicillin", "阿莫西林"),
    ] {
        let found = only(&with_allergy(&[name], allergy));
        assert_eq!((found.kind, found.action), (Kind::Allergy, Action::Stop), "{allergy} {name}");
        assert_eq!(found.review_code.as_deref(), Some("2-2"));
    }
}

#[test]
fn the_same_substance_is_cited_by_the_row_that_says_what_is_inside() {
    let found = only(&with_allergy(&["维C银翘片"], "扑热息痛"));
    assert_eq!(found.id, "allergy:same-ingredient:paracetamol");
    assert_eq!(&*found.source, "memory");
    assert_eq!(
        found.reason_zh,
        "病人记有“扑热息痛”过敏，维C银翘片（含对乙酰氨基酚）：就是过敏的药。"
    );
    let found = only(&with_allergy(&["磺胺嘧啶"], "磺胺"));
    assert_eq!((&*found.rule, found.action), ("same-class", Action::Stop));
}

#[test]
fn cross_class_rules_speak_unless_it_was_tolerated_since() {
    let mut order = with_allergy(&["头孢氨苄", "头孢克肟"], "青霉素");
    order.allergies[0].reaction = Some("皮疹".to_owned());
    let report = check(&order);
    let expected = [
        (Kind::Allergy, Action::NeedsReason, vec!["1"]),
        (Kind::Allergy, Action::Notice, vec!["2"]),
    ];
    assert_eq!(short(&report), expected);
    assert_eq!(report.findings[0].reason_zh, "病人记有“青霉素”过敏（皮疹），头孢氨苄：侧链相近。");
    order.allergies[0].tolerated_since = true;
    silent(&order);
    // What was tolerated was a relative, not the allergen.
    order.lines[0].name = "阿莫西林".to_owned();
    assert_eq!(actions(&order, Kind::Allergy), [Action::Stop]);
}

#[test]
fn a_table_row_about_the_class_itself_decides_over_identity() {
    let found = only(&with_allergy(&["短效胰岛素"], "胰岛素"));
    assert_eq!((&*found.rule, found.action), ("A05", Action::NeedsReason));
}

#[test]
fn several_allergens_in_one_entry_are_all_read() {
    let mut order = with_allergy(&["阿莫西林", "布洛芬"], "青霉素、阿司匹林过敏");
    order.patient.sex = Some(Sex::Male);
    assert_eq!(actions(&order, Kind::Allergy), [Action::Stop, Action::Stop]);
    assert_eq!(check(&order).unchecked, vec![]);
}

#[test]
fn two_entries_for_one_cause_are_one_finding() {
    let mut order = with_allergy(&["阿莫西林"], "青霉素");
    order.allergies.push(AllergyEntry { name: "阿莫西林".to_owned(), ..Default::default() });
    assert_eq!(actions(&order, Kind::Allergy), [Action::Stop]);
}

#[test]
fn a_product_with_two_allergens_of_one_entry_is_one_finding() {
    let found = only(&with_allergy(&["维C银翘片"], "感冒灵颗粒"));
    assert_eq!((found.kind, found.action), (Kind::Allergy, Action::Stop));
}

#[test]
fn an_allergy_to_something_else_or_to_nothing_is_silent() {
    for allergy in
        ["海鲜", "无", "否认药物过敏史", "无药物过敏史", "无已知药物过敏", "NKDA", "磺胺"]
    {
        let order = with_allergy(&["阿莫西林", "头孢克肟"], allergy);
        silent(&order);
        assert_eq!(check(&order).unchecked, vec![], "{allergy}");
    }
}

#[test]
fn an_allergy_nobody_understands_is_unchecked() {
    for allergy in ["某药", "青霉素、白色小药片", "不详", "尼美地平"] {
        let report = check(&with_allergy(&["氨氯地平"], allergy));
        assert_eq!(report.unchecked.len(), 1, "{allergy}");
        let unchecked = &report.unchecked[0];
        assert_eq!(unchecked.what, [Kind::Allergy]);
        assert_eq!(unchecked.names, [allergy]);
        assert!(!unchecked.on_request);
    }
    let report = check(&with_allergy(&["氨氯地平"], "尼美地平"));
    assert_eq!(report.unchecked[0].suggestions, ["尼莫地平", "尼群地平"]);
}

#[test]
fn an_allergy_to_a_current_medicine_is_listed_on_request() {
    let order = Order {
        current: vec!["阿莫西林".into()], ..with_allergy(&["氨氯地平"], "青霉素")
    };
    assert_eq!(short(&check(&order)), [(Kind::Allergy, Action::OnRequest, vec![])]);
}

// Pregnancy

#[test]
fn a_medicine_forbidden_in_pregnancy_stops() {
    let found = only(&pregnant(&["盐酸左氧氟沙星片@口服"], Some(20)));
    assert_eq!((found.kind, found.action), (Kind::Pregnancy, Action::Stop));
    assert_eq!(found.reason_zh, "病人妊娠20周，盐酸左氧氟沙星片：影响软骨。");
    assert_eq!(found.instead_zh, "改用头孢");
}

#[test]
fn pregnancy_rules_hold_by_week() {
    let at = |weeks| actions(&pregnant(&["布洛芬"], weeks), Kind::Pregnancy);
    assert_eq!(at(Some(10)), [Action::Notice]);
    assert_eq!(at(Some(19)), [Action::Notice]);
    assert_eq!(at(Some(20)), [Action::NeedsReason]);
    assert_eq!(at(Some(29)), [Action::NeedsReason]);
    assert_eq!(at(Some(30)), [Action::Stop]);
    assert_eq!(at(Some(43)), [Action::Stop], "a row that ends at term ends with the pregnancy");
    assert_eq!(at(None), [Action::Stop], "an unknown week is the worst one");
    let found = only(&pregnant(&["布洛芬"], None));
    assert!(found.reason_zh.contains("孕周不明"));
}

#[test]
fn outside_its_weeks_a_rule_leaves_the_medicine_unchecked() {
    let report = check(&pregnant(&["华法林"], Some(30)));
    assert_eq!(short(&report), vec![]);
    assert_eq!(report.unchecked[0].what, [Kind::Pregnancy]);
}

#[test]
fn eye_drops_are_only_noticed() {
    let order = pregnant(&["左氧氟沙星滴眼液"], Some(20));
    assert_eq!(actions(&order, Kind::Pregnancy), [Action::Notice]);
}

#[test]
fn skin_medicine_keeps_a_stop_and_loses_a_reason() {
    let gel = |weeks| actions(&pregnant(&["双氯芬酸钠凝胶@外用"], Some(weeks)), Kind::Pregnancy);
    assert_eq!(gel(32), [Action::Stop]);
    assert_eq!(gel(25), [Action::Notice]);
}

#[test]
fn the_most_specific_row_speaks_for_a_patent_medicine() {
    let found = only(&pregnant(&["牛黄解毒片"], Some(8)));
    assert_eq!((&*found.rule, found.action), ("P05", Action::Stop));
}

#[test]
fn accepted_medicines_are_silent_and_others_unchecked_in_one_entry() {
    silent(&pregnant(&["对乙酰氨基酚", "阿莫西林克拉维酸钾", "头孢克肟"], Some(12)));
    let report = check(&pregnant(&["氨氯地平", "六味地黄丸", "阿莫西林"], Some(12)));
    let asked: Vec<_> = report.unchecked.iter().filter(|u| !u.on_request).collect();
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].lines, ["1", "2"]);
    assert_eq!(asked[0].what, [Kind::Pregnancy]);
    // 柴胡 is accepted, the herbs beside it are not known.
    silent(&pregnant(&["柴胡注射液"], Some(12)));
    assert_eq!(check(&pregnant(&["柴胡注射液"], Some(12))).summary.unchecked, 0);
    assert_eq!(check(&pregnant(&["小柴胡颗粒"], Some(12))).summary.unchecked, 1);
}

#[test]
fn a_product_with_one_forbidden_ingredient_stops() {
    assert_eq!(
        actions(&pregnant(&["缬沙坦氢氯噻嗪片"], Some(12)), Kind::Pregnancy),
        [Action::Stop]
    );
}

#[test]
fn a_mere_notice_does_not_hide_that_the_rest_is_unknown() {
    let files = files_with("pregnancy", "P06,valsartan,,,STOP", "P06,valsartan,,,NOTICE");
    let knowledge = PrescriptionKnowledge::load(&files).unwrap();
    let report = knowledge.check(&pregnant(&["缬沙坦氢氯噻嗪片"], Some(12)));
    assert_eq!(short(&report), [(Kind::Pregnancy, Action::Notice, vec!["1"])]);
    assert_eq!(report.unchecked[0].what, [Kind::Pregnancy]);
}

#[test]
fn pregnancy_is_asked_about_once_where_it_matters() {
    let ask = |age, sex, names: &[&str]| {
        let patient = Patient { age_years: age, sex, ..Patient::default() };
        check(&Order { patient, ..order(names) })
    };
    let names = ["左氧氟沙星@口服", "缬沙坦氢氯噻嗪", "阿莫西林"];
    let report = ask(Some(30.0), Some(Sex::Female), &names);
    assert_eq!(short(&report), [(Kind::Pregnancy, Action::Notice, vec!["1", "2"])]);
    assert!(report.findings[0].instead_zh.contains("末次月经"));
    for (age, sex) in [
        (Some(11.0), Some(Sex::Female)),
        (Some(56.0), Some(Sex::Female)),
        (Some(30.0), Some(Sex::Male)),
        (None, Some(Sex::Male)),
    ] {
        let report = ask(age, sex, &names);
        let asked = report.findings.iter().any(|f| f.kind == Kind::Pregnancy);
        assert!(!asked, "{age:?} {sex:?}");
    }
    assert_eq!(ask(None, Some(Sex::Female), &names).findings.len(), 1);
    assert_eq!(ask(Some(55.9), Some(Sex::Female), &names).findings.len(), 1);
    let report = ask(Some(30.0), None, &names);
    assert_eq!(short(&report), vec![]);
    assert_eq!(report.unchecked[0].what, [Kind::Pregnancy]);
    assert_eq!(short(&ask(Some(30.0), Some(Sex::Female), &["布洛芬"])).len(), 1);
    assert_eq!(short(&ask(Some(30.0), Some(Sex::Female), &["阿莫西林"])), vec![]);
}

#[test]
fn a_woman_said_not_to_be_pregnant_is_not_asked() {
    let mut order = pregnant(&["左氧氟沙星@口服"], None);
    order.patient.pregnancy = Pregnancy::No;
    silent(&order);
}
