//! The patient's context: cautions, indications, antibiotics, skin tests, infusions, Chinese
//! medicine, legal form; on the small tables.

use super::super::{Action, Kind, Level, Order, Report, SkinTestResult};
use super::{full, order, with_current};
use crate::medicine::patient::{Patient, Sex};

fn aged(names: &[&str], years: f32) -> Order {
    Order { patient: Patient { age_years: Some(years), ..Patient::default() }, ..order(names) }
}

fn of(report: &Report, kind: Kind) -> Vec<(Action, &str)> {
    report.findings.iter().filter(|f| f.kind == kind).map(|f| (f.action, &*f.rule)).collect()
}

#[test]
fn age_sex_and_old_age() {
    let report = full(&aged(&["左氧氟沙星@口服"], 12.0));
    assert_eq!(of(&report, Kind::Age), [(Action::Stop, "C1")]);
    assert!(report.findings[0].reason_zh.starts_with("病人12岁，"), "{:?}", report.findings[0]);
    assert_eq!(of(&full(&aged(&["左氧氟沙星@口服"], 18.0)), Kind::Age), []);
    assert_eq!(
        of(&full(&aged(&["左氧氟沙星滴眼液"], 12.0)), Kind::Age),
        [],
        "the eye is no way in"
    );
    let report = full(&order(&["左氧氟沙星@口服"]));
    assert!(report.unchecked.iter().any(|u| u.what == [Kind::Age] && !u.on_request));
    assert_eq!(of(&full(&aged(&["氯丙嗪"], 70.0)), Kind::Elderly), [(Action::Notice, "C3")]);
    assert_eq!(of(&full(&aged(&["氯丙嗪"], 60.0)), Kind::Elderly), []);
    let mut woman = aged(&["西地那非"], 40.0);
    woman.patient.sex = Some(Sex::Female);
    assert_eq!(of(&full(&woman), Kind::Sex), [(Action::Notice, "C2")]);
}

#[test]
fn breastfeeding_has_rows_a_list_of_the_compatible_and_the_unknown() {
    let mut order = order(&["氯丙嗪", "阿莫西林", "氨氯地平"]);
    assert_eq!(of(&full(&order), Kind::Lactation), []);
    order.chart.lactating = Some(true);
    let report = full(&order);
    assert_eq!(of(&report, Kind::Lactation), [(Action::NeedsReason, "C4")]);
    let unknown = report.unchecked.iter().find(|u| u.what == [Kind::Lactation]).unwrap();
    assert_eq!(unknown.lines, ["3"], "amlodipine is in neither table");
    order.patient.sex = Some(Sex::Male);
    let fields: Vec<String> = order.problems().into_iter().map(|p| p.field).collect();
    assert_eq!(fields, ["lactating"]);
}

#[test]
fn a_disease_counts_from_diagnoses_and_history_and_not_when_denied() {
    let mut order = order(&["比索洛尔"]);
    order.chart.conditions = vec!["支气管哮喘病史".to_owned()];
    let report = full(&order);
    assert_eq!(of(&report, Kind::Disease), [(Action::Stop, "C5")]);
    assert!(report.findings[0].reason_zh.contains("支气管哮喘病史"));
    let denied = ["否认哮喘", "否认高血压、哮喘史", "无哮喘", "哮喘家族史", "哮喘：无"];
    for denied in denied.into_iter().chain(["哮喘疫苗已接种", "哮喘全程免疫史不详"])
    {
        order.chart.conditions = vec![denied.to_owned()];
        assert_eq!(of(&full(&order), Kind::Disease), [], "{denied}");
    }
    order.diagnoses = vec!["J45.9".to_owned()];
    assert_eq!(of(&full(&order), Kind::Disease), [(Action::Stop, "C5")], "a code is understood");
}

#[test]
fn the_kidney_speaks_with_its_strongest_row_and_is_estimated_from_creatinine() {
    let mut order = aged(&["碳酸锂"], 70.0);
    order.patient.sex = Some(Sex::Female);
    let unknown = full(&order);
    assert_eq!(of(&unknown, Kind::Renal), []);
    assert!(unknown.unchecked.iter().any(|u| u.what == [Kind::Renal]));
    order.chart.egfr = Some(45.0);
    assert_eq!(of(&full(&order), Kind::Renal), [(Action::NeedsReason, "C6")]);
    order.chart.egfr = None;
    order.chart.creatinine_umol_l = Some(250.0);
    let report = full(&order);
    assert_eq!(of(&report, Kind::Renal), [(Action::Stop, "C7")]);
    assert!(report.findings[0].reason_zh.contains("肾小球滤过率"), "{:?}", report.findings[0]);
}

#[test]
fn the_liver_counts_with_the_dose() {
    let mut order = aged(&["对乙酰氨基酚片@口服"], 40.0);
    order.chart.alt_times_uln = Some(4.0);
    order.lines[0].dose = Some(0.5);
    order.lines[0].dose_unit = "g".to_owned();
    order.lines[0].frequency = "tid".to_owned();
    assert_eq!(of(&full(&order), Kind::Hepatic), []);
    order.lines[0].frequency = "q4h".to_owned();
    assert_eq!(of(&full(&order), Kind::Hepatic), [(Action::NeedsReason, "C8")]);
}

#[test]
fn a_test_that_is_known_anywhere_is_not_asked_for() {
    let mut order = aged(&["尼莫地平"], 60.0);
    assert_eq!(of(&full(&order), Kind::Monitoring), [(Action::Notice, "C9")]);
    order.chart.known_tests = vec!["INR 2.3".to_owned()];
    assert_eq!(of(&full(&order), Kind::Monitoring), []);
    order.chart.known_tests.clear();
    order.chart.conditions = vec!["本周INR 2.1".to_owned()];
    assert_eq!(of(&full(&order), Kind::Monitoring), []);
}

#[test]
fn protection_is_missed_until_it_is_there() {
    let old = |current: &[&str]| {
        let patient = Patient { age_years: Some(70.0), ..Patient::default() };
        Order { patient, ..with_current(&["布洛芬"], current) }
    };
    assert_eq!(of(&full(&old(&[])), Kind::Monitoring), [(Action::Notice, "C10")]);
    assert_eq!(of(&full(&old(&["甘油"])), Kind::Monitoring), []);
}

#[test]
fn a_row_about_two_names_both_whichever_is_new() {
    let mut order = with_current(&["布洛芬"], &["缬沙坦"]);
    order.chart.conditions = vec!["慢性肾脏病".to_owned()];
    let report = full(&order);
    let found = report.findings.iter().find(|f| &*f.rule == "C13").unwrap();
    assert_eq!((found.kind, found.medicines.len()), (Kind::Disease, 2), "{found:?}");
    assert_eq!(found.lines, ["1"]);
}

#[test]
fn drink_counts_when_it_is_known() {
    let mut order = order(&["甲硝唑@口服"]);
    assert_eq!(of(&full(&order), Kind::FoodAlcohol), []);
    order.chart.conditions = vec!["每日饮酒2两".to_owned()];
    assert_eq!(of(&full(&order), Kind::FoodAlcohol), [(Action::NeedsReason, "C11")]);
    order.chart.conditions = vec!["不饮酒".to_owned()];
    assert_eq!(of(&full(&order), Kind::FoodAlcohol), []);
}

#[test]
fn forms_and_routes_must_fit() {
    for (name, action) in [
        ("对乙酰氨基酚片@静滴", Some(Action::Stop)),
        ("左氧氟沙星滴眼液@口服", Some(Action::Stop)),
        ("华法林@肌注", Some(Action::NeedsReason)),
        ("双氯芬酸钠缓释片@嚼服", Some(Action::Notice)),
        ("对乙酰氨基酚片@口服", None),
        ("头孢曲松@静滴", None),
    ] {
        let report = full(&order(&[name]));
        let said = of(&report, Kind::Route).first().map(|(action, _)| *action);
        assert_eq!(said, action, "{name}");
    }
}

#[test]
fn indications_need_an_understood_diagnosis() {
    let mut order = order(&["氨氯地平", "阿莫西林", "维生素C"]);
    order.diagnoses = vec!["高血压2级（高危）".to_owned()];
    let report = full(&order);
    assert_eq!(of(&report, Kind::Indication), []);
    assert_eq!(of(&report, Kind::Antibiotic), [(Action::NeedsReason, "3-1")]);
    order.diagnoses = vec!["急性扁桃体炎".to_owned()];
    let report = full(&order);
    assert_eq!(of(&report, Kind::Indication), [(Action::Notice, "2-1")]);
    assert_eq!(of(&report, Kind::Antibiotic), []);
    order.diagnoses = vec!["没人知道的病".to_owned()];
    let report = full(&order);
    assert_eq!(of(&report, Kind::Indication), []);
    assert!(report.unchecked.iter().any(|u| u.what == [Kind::Indication] && u.on_request));
    order.diagnoses.clear();
    let report = full(&order);
    assert_eq!(of(&report, Kind::LegalForm).first(), Some(&(Action::NeedsReason, "1-10")));
}

#[test]
fn a_virus_alone_justifies_no_antibiotic() {
    let mut order = order(&["阿莫西林"]);
    order.diagnoses = vec!["感冒".to_owned()];
    assert_eq!(of(&full(&order), Kind::Antibiotic), [(Action::NeedsReason, "J1")]);
    order.diagnoses.push("细菌性肺炎".to_owned());
    assert_eq!(of(&full(&order), Kind::Antibiotic), []);
}

#[test]
fn grades_go_by_the_institution() {
    let mut order = order(&["维拉帕米", "伊曲康唑"]);
    for (level, expected) in [
        (Level::NotSaid, vec![(Action::Stop, "B3"), (Action::Notice, "B2")]),
        (Level::Village, vec![(Action::Stop, "B3"), (Action::NeedsReason, "B2")]),
        (Level::Township, vec![(Action::Stop, "B3"), (Action::Notice, "B2")]),
        (Level::Hospital, vec![(Action::NeedsReason, "B3"), (Action::OnRequest, "B2")]),
    ] {
        order.level = level;
        let report = full(&order);
        let said: Vec<_> =
            of(&report, Kind::Antibiotic).into_iter().filter(|(_, r)| r.starts_with('B')).collect();
        assert_eq!(said, expected, "{level:?}");
    }
}

#[test]
fn a_skin_test_must_be_on_record_and_negative() {
    let mut order = order(&["头孢曲松@静滴"]);
    for (result, expected) in [
        (SkinTestResult::NotSaid, Some(Action::NeedsReason)),
        (SkinTestResult::NotRecorded, Some(Action::NeedsReason)),
        (SkinTestResult::Positive, Some(Action::Stop)),
        (SkinTestResult::Negative, None),
    ] {
        order.lines[0].skin_test = result;
        let said = of(&full(&order), Kind::SkinTest).first().map(|(action, _)| *action);
        assert_eq!(said, expected, "{result:?}");
    }
}

#[test]
fn infusions_need_the_right_diluent_strength_and_company() {
    let infusion = |diluent: &str, grams: f32, route: &str| {
        let mut order = order(&["头孢曲松"]);
        let line = &mut order.lines[0];
        line.skin_test = SkinTestResult::Negative;
        line.dose = Some(grams);
        line.dose_unit = "g".to_owned();
        line.route = route.to_owned();
        line.diluent = diluent.to_owned();
        order
    };
    for (diluent, grams, route, expected) in [
        ("0.9%氯化钠注射液 100ml", 2.0, "静滴", None),
        ("5%葡萄糖注射液 250ml", 2.0, "ivgtt", None),
        ("乳酸钠林格注射液 500ml", 2.0, "静滴", Some(Action::Stop)),
        ("10%葡萄糖注射液 100ml", 2.0, "静滴", Some(Action::Notice)),
        ("NS 40ml", 2.0, "静滴", Some(Action::NeedsReason)),
        ("NS 10ml", 2.0, "静滴", Some(Action::Stop)),
        ("", 1.0, "静推", Some(Action::Stop)),
    ] {
        let report = full(&infusion(diluent, grams, route));
        let said = of(&report, Kind::Infusion);
        let said = said.first().map(|(action, _)| *action);
        assert_eq!(said, expected, "{diluent} {route}");
    }
    let mut two = order(&["头孢曲松@静滴", "甲硝唑@静滴"]);
    two.lines[0].skin_test = SkinTestResult::Negative;
    assert_eq!(of(&full(&two), Kind::Infusion), [(Action::OnRequest, "V1")]);
    for line in &mut two.lines {
        line.group = "1".to_owned();
    }
    assert_eq!(of(&full(&two), Kind::Infusion), [(Action::NeedsReason, "V1")]);
}

#[test]
fn opposed_herbs_meet_as_pieces_and_more_softly_inside_patents() {
    let mut pieces = order(&["柴胡", "雄黄"]);
    for line in &mut pieces.lines {
        line.dose_unit = "g".to_owned();
        line.dose = Some(0.05);
    }
    let report = full(&pieces);
    assert_eq!(of(&report, Kind::Tcm), [(Action::NeedsReason, "Q1")]);
    let patents = full(&order(&["小柴胡颗粒", "牛黄解毒片"]));
    assert_eq!(of(&patents, Kind::Tcm), [(Action::Notice, "Q1")]);
    pieces.lines[1].dose = Some(1.0);
    let report = full(&pieces);
    assert!(of(&report, Kind::Tcm).contains(&(Action::Stop, "realgar")), "{report:#?}");
    let mixed = full(&order(&["柴胡", "氨氯地平"]));
    assert!(of(&mixed, Kind::LegalForm).contains(&(Action::NeedsReason, "L8")), "{mixed:#?}");
}

#[test]
fn controlled_medicines_have_their_own_limits() {
    let mut order = order(&["氯丙嗪"]);
    order.lines[0].days = Some(7.0);
    assert_eq!(of(&full(&order), Kind::LegalForm), []);
    order.lines[0].days = Some(14.0);
    let report = full(&order);
    assert_eq!(of(&report, Kind::LegalForm), [(Action::NeedsReason, "L7")]);
    assert_eq!(of(&report, Kind::Duration), [], "one cause, one finding");
    order.long_supply_reason = Some("慢性病".to_owned());
    assert_eq!(of(&full(&order), Kind::LegalForm), [(Action::OnRequest, "L7")]);
}

#[test]
fn alternatives_pass_the_same_checks() {
    let mut order = order(&["比索洛尔", "布洛芬"]);
    order.diagnoses = vec!["高血压".to_owned()];
    order.chart.conditions = vec!["哮喘".to_owned()];
    let report = full(&order);
    let found = report.findings.iter().find(|f| f.kind == Kind::Disease).unwrap();
    let names: Vec<&str> = found.alternatives.iter().map(|one| one.name_zh.as_str()).collect();
    assert!(names.contains(&"氨氯地平"), "{found:?}");
    assert!(found.instead_zh.contains("氨氯地平"), "{}", found.instead_zh);
    // With the patient's kidney disease the sartan beside ibuprofen would be asked about.
    order.chart.conditions.push("慢性肾脏病".to_owned());
    let report = full(&order);
    let found = report.findings.iter().find(|f| &*f.rule == "C5").unwrap();
    assert!(found.alternatives.iter().all(|one| one.name_zh != "缬沙坦"), "{found:?}");
}

#[test]
fn an_infant_of_zero_years_needs_days_or_months() {
    let report = full(&aged(&["对乙酰氨基酚片"], 0.0));
    assert!(of(&report, Kind::LegalForm).contains(&(Action::Notice, "1-4")), "{report:#?}");
    let report = full(&aged(&["对乙酰氨基酚片"], 0.25));
    assert!(!of(&report, Kind::LegalForm).contains(&(Action::Notice, "1-4")));
}

#[test]
fn a_patent_medicine_must_suit_the_pattern() {
    let mut order = order(&["小柴胡颗粒"]);
    order.diagnoses = vec!["感冒（风寒束表证）".to_owned()];
    assert_eq!(of(&full(&order), Kind::Indication), [(Action::Notice, "G1")]);
    order.diagnoses = vec!["感冒（风热犯表证）".to_owned()];
    assert_eq!(of(&full(&order), Kind::Indication), []);
}

#[test]
fn a_refill_for_a_chronic_disease_is_only_listed() {
    let mut order = with_current(&["氨氯地平"], &["氨氯地平 5mg qd"]);
    order.diagnoses = vec!["高血压".to_owned()];
    let report = full(&order);
    assert_eq!(of(&report, Kind::Duplicate), [(Action::OnRequest, "2-7")]);
    order.diagnoses = vec!["感冒".to_owned()];
    assert_eq!(of(&full(&order), Kind::Duplicate), [(Action::Notice, "2-7")]);
}
