//! The real tables: they load, and they catch what they are for.

use super::super::{Action, Finding, Kind, Order, PrescriptionKnowledge, Report, Resolution};
use super::{order, with_allergy, with_current};
use crate::medicine::patient::{Patient, Pregnancy, Sex};

/// The tables of this build.
pub(super) fn real() -> PrescriptionKnowledge {
    PrescriptionKnowledge::load(&crate::embedded::files()).unwrap()
}

fn woman(order: Order, age: f32, pregnancy: Pregnancy) -> Order {
    let patient =
        Patient { age_years: Some(age), sex: Some(Sex::Female), pregnancy, weight_kg: None };
    Order { patient, ..order }
}

fn find<'r>(report: &'r Report, kind: Kind, subject: &str) -> &'r Finding {
    let found = report.findings.iter().find(|f| f.kind == kind && f.id.contains(subject));
    found.unwrap_or_else(|| panic!("{kind:?} {subject} is not in {:#?}", report.findings))
}

#[test]
fn a_hypertensive_woman_with_a_cold_is_not_given_paracetamol_twice() {
    let mut order = woman(
        with_current(&["维C银翘片", "对乙酰氨基酚片"], &["氨氯地平 5mg 口服 qd"]),
        62.0,
        Pregnancy::Unknown,
    );
    order.diagnoses = vec!["高血压".to_owned(), "普通感冒".to_owned()];
    let report = real().check(&order);
    let found = find(&report, Kind::Duplicate, "paracetamol");
    assert_eq!(found.action, Action::NeedsReason);
    assert_eq!(found.lines, ["1", "2"]);
    assert!(found.reason_zh.contains("都含对乙酰氨基酚"), "{}", found.reason_zh);
    assert_eq!(report.taken[2].name_zh.as_deref(), Some("氨氯地平"));
    assert_eq!(report.summary.unchecked, 0, "{:#?}", report.unchecked);
    let interrupting = report.findings.iter().filter(|f| f.action <= Action::NeedsReason);
    assert_eq!(interrupting.count(), 1, "{:#?}", report.findings);
}

#[test]
fn what_is_decocted_is_the_herb_and_not_the_product_of_its_name() {
    let taken = |line: &str| real().check(&order(&[line])).taken[0].clone();
    assert_eq!(taken("益母草@煎服").code, None);
    assert_eq!(taken("益母草@煎服").name_zh.as_deref(), Some("益母草"));
    assert_eq!(taken("益母草@口服").code.as_deref(), Some("T223"));
}

#[test]
fn an_infant_of_0_years_has_an_age_in_days_or_months_to_be_written() {
    let mut order = order(&["对乙酰氨基酚口服混悬液@口服"]);
    order.diagnoses = vec!["发热".to_owned()];
    let asked = |age: f32| {
        let patient = Patient { age_years: Some(age), ..order.patient };
        let report = real().check(&Order { patient, ..order.clone() });
        report.findings.iter().any(|f| f.rule.as_ref() == "1-4" && f.id.contains("infant_age"))
    };
    assert!(asked(0.0));
    assert!(!asked(0.1), "an age in months was written");
}

#[test]
fn a_pregnant_woman_with_a_urinary_infection_is_not_given_levofloxacin_unawares() {
    let lines = order(&["盐酸左氧氟沙星片@口服"]);
    let mut order = woman(lines, 27.0, Pregnancy::Yes { weeks: Some(20) });
    order.diagnoses = vec!["泌尿道感染".to_owned()];
    let report = real().check(&order);
    let found = find(&report, Kind::Pregnancy, "levofloxacin");
    assert!(found.action <= Action::NeedsReason);
    assert_eq!(found.lines, ["1"]);
    assert!(!found.instead_zh.is_empty());
    assert!(found.reason_zh.contains("妊娠20周"), "{}", found.reason_zh);
}

#[test]
fn classic_dangers_are_caught() {
    let real = real();
    for (names, current, kind, about, action) in [
        (&["西地那非"][..], &["硝酸甘油"][..], Kind::Interaction, "nitroglycerin", Action::Stop),
        (
            &["布洛芬缓释胶囊"],
            &["华法林钠片 2.5mg qn"],
            Kind::Interaction,
            "warfarin",
            Action::NeedsReason,
        ),
        (&["克拉霉素"], &["辛伐他汀"], Kind::Interaction, "simvastatin", Action::NeedsReason),
        (
            &["头孢曲松@静滴", "葡萄糖酸钙@静滴"],
            &[],
            Kind::Interaction,
            "ceftriaxone",
            Action::Stop,
        ),
        (
            &["复方氨酚烷胺胶囊", "感冒灵颗粒"],
            &[],
            Kind::Duplicate,
            "paracetamol",
            Action::NeedsReason,
        ),
        (&["格列本脲"], &["消渴丸"], Kind::Duplicate, "glibenclamide", Action::NeedsReason),
    ] {
        let report = real.check(&with_current(names, current));
        let found = find(&report, kind, about);
        assert!(found.action <= action, "{names:?}: {found:#?}");
    }
    let report = real.check(&with_allergy(&["阿莫西林胶囊"], "青霉素过敏"));
    assert_eq!(find(&report, Kind::Allergy, "amoxicillin").action, Action::Stop);
    let report = real.check(&with_allergy(&["复方磺胺甲噁唑片"], "磺胺"));
    assert_eq!(find(&report, Kind::Allergy, "sulfamethoxazole").action, Action::Stop);
}

#[test]
fn every_medicine_is_found_by_each_of_its_names() {
    let real = real();
    let formulary = real.formulary();
    for medicine in formulary.medicines() {
        let names = medicine.aliases.iter().chain([&medicine.name_zh, &medicine.code]);
        for name in names {
            assert_eq!(formulary.resolve(name), Resolution::Medicine(medicine.id), "{name}");
        }
    }
}

#[test]
fn names_as_village_prescriptions_write_them_resolve() {
    let real = real();
    let formulary = real.formulary();
    for (name, expected) in [
        ("阿莫西林胶囊 0.25g*24粒", "阿莫西林"),
        ("注射用青霉素钠 80万单位", "青霉素"),
        ("硝苯地平缓释片(Ⅱ) 20mg×30片", "硝苯地平"),
        ("苯磺酸左氨氯地平片 2.5mg qd", "左氨氯地平"),
        ("盐酸二甲双胍缓释片0.5g", "二甲双胍"),
        ("阿司匹林肠溶片 100mg 口服 每晚一次", "阿司匹林"),
        ("奥美拉唑肠溶胶囊20mg", "奥美拉唑"),
        ("硫酸沙丁胺醇吸入气雾剂", "沙丁胺醇"),
        ("吸入用布地奈德混悬液 2ml:1mg", "布地奈德"),
        ("地塞米松磷酸钠注射液 5mg", "地塞米松"),
        ("红霉素眼膏", "红霉素"),
        ("0.9%氯化钠注射液 250ml", "氯化钠"),
        ("5%葡萄糖注射液250ml", "葡萄糖"),
        ("5%GS 250ml", "葡萄糖"),
        ("硝酸甘油片0.5mg舌下含服", "硝酸甘油"),
        ("蒙脱石散 3g/袋", "蒙脱石"),
        ("藿香正气口服液10ml*10支", "藿香正气水（口服液、软胶囊）"),
        ("消炎痛栓", "吲哚美辛"),
        ("马来酸氯苯那敏片4mg", "氯苯那敏"),
        ("单硝酸异山梨酯缓释片40mg", "单硝酸异山梨酯"),
        ("复方甘草片", "复方甘草"),
        ("口服补液盐散(Ⅲ)", "口服补液盐"),
        ("甲硝唑氯化钠注射液100ml:0.5g", "甲硝唑"),
        ("头孢克肟分散片", "头孢克肟"),
        ("酒石酸美托洛尔片25mg bid", "美托洛尔"),
    ] {
        let resolution = formulary.resolve(name);
        let Resolution::Medicine(id) = resolution else { panic!("{name}: {resolution:?}") };
        let taken = &formulary.medicine(id).unwrap().name_zh;
        assert_eq!(taken, expected, "{name}");
    }
}

#[test]
fn every_finding_of_the_real_tables_is_cited_and_says_what_to_do() {
    let real = real();
    let all: Vec<&str> = real.formulary().medicines().iter().map(|m| m.name_zh.as_str()).collect();
    for names in all.chunks(40) {
        let order = woman(order(names), 30.0, Pregnancy::Yes { weeks: Some(33) });
        let report = real.check(&order);
        for found in &report.findings {
            assert!(!found.citation.is_empty() && !found.instead_zh.is_empty(), "{found:#?}");
            assert!(!found.medicines.is_empty() && !found.reason_zh.is_empty(), "{found:#?}");
        }
        // Only the names of whole groups (结核病用药) may go unchecked for everything.
        for unchecked in report.unchecked.iter().filter(|u| u.what == Kind::ALL) {
            assert!(unchecked.reason_zh.contains("统称"), "{unchecked:#?}");
        }
    }
}

#[test]
fn who_may_have_no_penicillin_is_offered_another_antibiotic_by_mouth() {
    let known = real();
    for diagnosis in ["急性扁桃体炎", "肺炎", "急性膀胱炎"] {
        let order = with_allergy(&["阿莫西林胶囊"], "青霉素");
        let patient = Patient { age_years: Some(40.0), sex: Some(Sex::Male), ..Patient::default() };
        let order = Order { diagnoses: vec![diagnosis.to_owned()], patient, ..order };
        let report = known.check(&order);
        let found = find(&report, Kind::Allergy, "amoxicillin");
        assert!(!found.alternatives.is_empty(), "{diagnosis}: {found:#?}");
        for other in &found.alternatives {
            let given = super::order(&[&other.name_zh]);
            let listed = known.review(&given).1.antibiotics == 1;
            assert!(listed, "{diagnosis}: {} is no antibiotic", other.name_zh);
            assert!(found.instead_zh.contains(&other.name_zh), "{}", found.instead_zh);
        }
    }
}

#[test]
fn tablets_without_a_written_route_are_no_infusion() {
    let mut order = order(&["阿奇霉素"]);
    order.diagnoses = vec!["急性扁桃体炎".to_owned()];
    let infusion =
        |order: &Order| real().check(order).findings.iter().any(|f| f.kind == Kind::Infusion);
    assert!(!infusion(&order));
    order.lines[0].route = "静脉滴注".to_owned();
    assert!(infusion(&order));
}

#[test]
fn a_risk_is_no_disease_and_what_is_guarded_against_is_not_there() {
    let known = real();
    let stopped = |text: &str| {
        let mut order = order(&["阿司匹林肠溶片 100mg 口服 qd"]);
        order.diagnoses = vec!["冠心病".to_owned(), text.to_owned()];
        known.check(&order).findings.iter().any(|f| f.kind == Kind::Disease)
    };
    assert!(stopped("消化道出血"));
    for text in ["消化道出血风险", "消化道出血高风险", "预防消化道出血"] {
        assert!(!stopped(text), "{text}");
    }
}

#[test]
fn low_doses_of_aspirin_against_preeclampsia_are_let_through_and_high_ones_are_not() {
    let known = real();
    let found = |dose: (Option<f32>, String, String), weeks: u8| {
        let mut order = woman(order(&["阿司匹林片"]), 30.0, Pregnancy::Yes { weeks: Some(weeks) });
        let line = &mut order.lines[0];
        (line.dose, line.dose_unit, line.frequency) = dose;
        order.diagnoses = vec!["子痫前期高风险".to_owned()];
        strongest(&known, &order, Kind::Pregnancy)
    };
    let small = || (Some(100.0), "mg".to_owned(), "qd".to_owned());
    assert_eq!(found(small(), 13), None);
    assert_eq!(found(small(), 24), None);
    assert_eq!(found(small(), 8), Some(Action::Notice));
    let large = (Some(0.5), "g".to_owned(), "tid".to_owned());
    assert_eq!(found(large, 24), Some(Action::NeedsReason));
    let unknown = (None, String::new(), String::new());
    assert_eq!(found(unknown, 24), Some(Action::NeedsReason));
}

#[test]
fn a_prescription_marked_as_a_long_one_is_not_asked_why() {
    let known = real();
    let said = |diagnosis: &str| {
        let mut order = order(&["氨氯地平片 5mg 口服 qd"]);
        order.lines[0].days = Some(84.0);
        order.diagnoses = vec![diagnosis.to_owned()];
        strongest(&known, &order, Kind::Duration)
    };
    assert_eq!(said("高血压"), Some(Action::Notice));
    assert_eq!(said("高血压（长期处方）"), Some(Action::OnRequest));
}

#[test]
fn a_course_is_no_excess_and_a_loading_dose_no_duplicate() {
    let known = real();
    let mut zinc = order(&["葡萄糖酸锌口服溶液"]);
    zinc.patient.age_years = Some(1.5);
    zinc.patient.weight_kg = Some(11.0);
    zinc.lines[0].days = Some(14.0);
    let over = |order: &Order| {
        let report = known.check(order);
        report.findings.iter().any(|f| f.kind == Kind::Duration && f.action < Action::OnRequest)
    };
    zinc.diagnoses = vec!["急性腹泻病".to_owned()];
    assert!(!over(&zinc));
    zinc.lines[0].days = Some(15.0);
    assert!(over(&zinc));
    zinc.lines[0].days = Some(14.0);
    zinc.diagnoses = vec!["急性上呼吸道感染".to_owned()];
    assert!(over(&zinc));

    let mut heart = order(&["盐酸胺碘酮注射液", "盐酸胺碘酮注射液"]);
    heart.setting = super::super::Setting::Emergency;
    heart.diagnoses = vec!["心房颤动".to_owned()];
    let twice = |order: &Order| strongest(&known, order, Kind::Duplicate);
    assert_eq!(twice(&heart), Some(Action::NeedsReason));
    heart.lines[0].frequency = "st".to_owned();
    heart.lines[1].route = "静脉泵入".to_owned();
    assert_eq!(twice(&heart), Some(Action::OnRequest));
}

#[test]
fn what_hinders_absorption_is_quiet_where_the_times_are_written_apart() {
    let known = real();
    let mut order = order(&["左甲状腺素钠片", "碳酸钙D3片"]);
    for line in &mut order.lines {
        line.route = "口服".to_owned();
        line.frequency = "qd".to_owned();
    }
    let said = |order: &Order| strongest(&known, order, Kind::Interaction);
    assert_eq!(said(&order), Some(Action::Notice));
    order.lines[0].frequency = "qd 晨起空腹".to_owned();
    order.lines[1].frequency = "qd 晚餐后".to_owned();
    assert_eq!(said(&order), Some(Action::OnRequest));
}

/// The strongest action of a kind.
fn strongest(known: &PrescriptionKnowledge, order: &Order, kind: Kind) -> Option<Action> {
    let report = known.check(order);
    report.findings.iter().filter(|f| f.kind == kind).map(|f| f.action).min()
}

#[test]
fn what_quiets_an_alert_is_true_of_the_patient_today() {
    let known = real();
    let mut heart = order(&["依那普利片", "螺内酯片"]);
    heart.patient.age_years = Some(71.0);
    heart.chart.known_tests = vec!["血钾".to_owned()];
    for (history, expected) in [
        ("慢性心力衰竭", Action::OnRequest),
        ("心功能正常", Action::Notice),
        ("否认心力衰竭", Action::Notice),
    ] {
        heart.diagnoses = vec!["高血压".to_owned(), history.to_owned()];
        assert_eq!(strongest(&known, &heart, Kind::Interaction), Some(expected), "{history}");
    }

    let mut pain = woman(order(&["布洛芬片"]), 22.0, Pregnancy::Unknown);
    pain.diagnoses = vec!["原发性痛经".to_owned()];
    assert_eq!(strongest(&known, &pain, Kind::Pregnancy), None);
    pain.diagnoses = vec!["头痛".to_owned()];
    pain.chart.conditions = vec!["痛经".to_owned()];
    assert_eq!(strongest(&known, &pain, Kind::Pregnancy), Some(Action::Notice));
}
