//! The checks that look at the medicines, on the small tables.

use super::super::{Action, Finding, Kind, Line, Order, PrescriptionKnowledge, Setting, Severity};
use super::{
    actions, check, files_with, full, knowledge, only, order, short, silent, with_allergy,
    with_current,
};

const DUPLICATE: Kind = Kind::Duplicate;
const INTERACTION: Kind = Kind::Interaction;

// Duplicates

#[test]
fn one_ingredient_in_three_products_is_one_finding() {
    let found = only_of(&order(&["维C银翘片", "感冒灵颗粒", "对乙酰氨基酚片"]), DUPLICATE, 2);
    let paracetamol = &found[1];
    assert_eq!(paracetamol.id, "duplicate:2-7:paracetamol");
    assert_eq!(paracetamol.lines, ["1", "2", "3"]);
    assert_eq!(
        (paracetamol.action, paracetamol.severity),
        (Action::NeedsReason, Severity::Serious)
    );
    assert_eq!(
        paracetamol.reason_zh,
        "维C银翘片（含对乙酰氨基酚）、感冒灵颗粒（含对乙酰氨基酚）、对乙酰氨基酚片都含对乙酰氨基酚，属重复给药。"
    );
    assert_eq!(paracetamol.review_code.as_deref(), Some("2-7"));
    assert_eq!(&*paracetamol.citation, "一部规章 [2-7]");
    assert_eq!(found[0].id, "duplicate:2-7:chlorphenamine");
    assert_eq!(found[0].lines, ["1", "2"]);
}

fn only_of(order: &Order, kind: Kind, count: usize) -> Vec<Finding> {
    let report = check(order);
    let found: Vec<Finding> = report.findings.into_iter().filter(|f| f.kind == kind).collect();
    assert_eq!(found.len(), count, "{found:#?}");
    found
}

#[test]
fn ingredients_shared_by_the_same_products_are_one_cause() {
    let found = only_of(&order(&["维C银翘片", "感冒灵颗粒"]), DUPLICATE, 1);
    assert_eq!(found[0].id, "duplicate:2-7:chlorphenamine+paracetamol");
}

#[test]
fn the_same_medicine_twice_needs_a_reason() {
    let found = only(&order(&["阿莫西林胶囊", "阿莫西林颗粒"]));
    assert_eq!((found.kind, found.action), (DUPLICATE, Action::NeedsReason));
    assert_eq!(found.id, "duplicate:2-7:W005");
    let found = only(&order(&["六味地黄丸", "六味地黄胶囊"]));
    assert_eq!((found.kind, found.action), (DUPLICATE, Action::NeedsReason));
}

#[test]
fn a_dose_made_up_of_two_strengths_is_only_noticed() {
    let mut order = order(&["华法林", "华法林"]);
    order.lines[0].strength = "2.5mg".to_owned();
    assert_eq!(actions(&order, DUPLICATE), [Action::NeedsReason]);
    order.lines[1].strength = "1mg".to_owned();
    assert_eq!(actions(&order, DUPLICATE), [Action::Notice]);
    order.current = vec!["华法林 3mg qn".to_owned()];
    assert_eq!(actions(&order, DUPLICATE), [Action::Notice]);
}

#[test]
fn a_current_medicine_with_the_same_ingredient_needs_a_reason() {
    let found = only(&with_current(&["对乙酰氨基酚片"], &["维C银翘片 2片 tid"]));
    assert_eq!(found.action, Action::NeedsReason);
    assert_eq!(found.lines, ["1"]);
    assert_eq!(found.medicines, ["对乙酰氨基酚片", "维C银翘片 2片 tid"]);
    assert!(found.reason_zh.contains("维C银翘片（含对乙酰氨基酚）（在用）"), "{}", found.reason_zh);
}

#[test]
fn medicines_that_go_on_are_one_notice() {
    let found =
        only(&with_current(&["氨氯地平", "氯吡格雷"], &["苯磺酸氨氯地平片 5mg qd", "氯吡格雷"]));
    assert_eq!((found.kind, found.action), (DUPLICATE, Action::Notice));
    assert_eq!(found.lines, ["1", "2"]);
    assert!(found.instead_zh.contains("续方"));
}

#[test]
fn two_current_medicines_alike_are_listed_on_request() {
    let order = with_current(&["氨氯地平"], &["维C银翘片", "对乙酰氨基酚"]);
    assert_eq!(short(&check(&order)), [(DUPLICATE, Action::OnRequest, vec![])]);
}

#[test]
fn skin_and_mouth_together_are_only_noticed() {
    let found = only(&order(&["双氯芬酸钠片@口服", "双氯芬酸钠凝胶@外用"]));
    assert_eq!((found.kind, found.action), (DUPLICATE, Action::Notice));
}

#[test]
fn the_same_medicine_twice_inside_a_larger_duplicate_is_told_once() {
    let found = only_of(&order(&["对乙酰氨基酚片", "对乙酰氨基酚颗粒", "维C银翘片"]), DUPLICATE, 1);
    assert_eq!(found[0].lines, ["1", "2", "3"]);
}

#[test]
fn vehicles_are_not_duplicates() {
    silent(&order(&["0.9%氯化钠注射液@静滴", "5%葡萄糖注射液@静滴", "口服补液盐散"]));
    silent(&order(&[
        "0.9%氯化钠注射液@静滴",
        "氯化钠注射液@静滴",
        "5%葡萄糖注射液@静滴",
        "葡萄糖@口服",
    ]));
}

#[test]
fn insulins_are_combined_by_design() {
    let order_of = |a, b| with_current(&[a, b], &[]);
    assert_eq!(actions(&order_of("短效胰岛素", "中效胰岛素"), DUPLICATE), [Action::OnRequest]);
    assert_eq!(actions(&order_of("短效胰岛素", "短效胰岛素"), DUPLICATE), [Action::Notice]);
}

#[test]
fn a_vitamin_twice_is_only_noticed() {
    assert_eq!(actions(&order(&["维C银翘片", "维生素C片"]), DUPLICATE), [Action::Notice]);
}

#[test]
fn different_medicines_are_no_duplicate() {
    silent(&order(&["阿莫西林", "对乙酰氨基酚", "氨氯地平"]));
}

// Interactions

#[test]
fn a_contraindicated_pair_stops() {
    let found = only(&with_current(&["枸橼酸西地那非片"], &["硝酸甘油"]));
    assert_eq!((found.kind, found.action), (INTERACTION, Action::Stop));
    assert_eq!(found.severity, Severity::Contraindicated);
    assert_eq!(found.id, "interaction:I03:nitroglycerin+sildenafil");
    assert_eq!(found.lines, ["1"]);
    assert_eq!(found.reason_zh, "硝酸甘油（在用）与枸橼酸西地那非片：血压骤降可致死。");
    assert_eq!(found.instead_zh, "24小时内禁用");
    assert_eq!(&*found.source, "book#i3");
    assert_eq!(&*found.citation, "一本书 [i3]");
}

#[test]
fn an_avoidable_pair_needs_a_reason_and_is_told_per_pair_of_ingredients() {
    let order = order(&["华法林", "布洛芬", "双氯芬酸钠@口服", "布洛芬缓释胶囊"]);
    let found = only_of(&order, INTERACTION, 2);
    assert!(found.iter().all(|f| f.action == Action::NeedsReason && &*f.rule == "I01"));
    assert_eq!(found[0].id, "interaction:I01:diclofenac+warfarin");
    assert_eq!(found[0].lines, ["1", "3"]);
    assert_eq!(found[1].lines, ["1", "2", "4"]);
}

#[test]
fn the_stronger_of_two_rules_for_a_pair_speaks() {
    let found = only(&order(&["华法林", "阿司匹林肠溶片"]));
    assert_eq!((&*found.rule, found.action), ("I02", Action::Stop));
}

#[test]
fn of_two_equal_rules_the_more_specific_one_speaks() {
    let files =
        files_with("interactions", "I13,valsartan,hydrochlorothiazide", "I13,warfarin,diclofenac");
    let knowledge = PrescriptionKnowledge::load(&files).unwrap();
    let report = knowledge.check(&order(&["华法林", "双氯芬酸钠@口服"]));
    assert_eq!(&*report.findings[0].rule, "I13");
}

#[test]
fn two_current_medicines_do_not_interrupt() {
    let order = with_current(&["对乙酰氨基酚"], &["硝酸甘油", "西地那非"]);
    assert_eq!(short(&check(&order)), [(INTERACTION, Action::OnRequest, vec![])]);
}

#[test]
fn medicine_on_the_skin_does_not_interrupt() {
    let gel = |route: &str| order(&["华法林", &format!("双氯芬酸钠凝胶@{route}")]);
    assert_eq!(actions(&gel("外用"), INTERACTION), [Action::OnRequest]);
    assert_eq!(actions(&gel("口服"), INTERACTION), [Action::NeedsReason]);
    assert_eq!(actions(&gel(""), INTERACTION), [Action::NeedsReason], "unknown counts as inside");
    let drops = order(&["华法林", "双氯芬酸钠滴眼液"]);
    assert_eq!(actions(&drops, INTERACTION), [Action::OnRequest]);
}

#[test]
fn a_patch_acts_on_the_whole_body_though_it_is_written_as_external() {
    let patch = with_current(&["硝酸甘油贴片@外用"], &["西地那非"]);
    assert_eq!(actions(&patch, INTERACTION), [Action::Stop]);
}

#[test]
fn a_rule_for_every_route_speaks_lower_where_little_is_absorbed() {
    let found = only(&order(&["华法林", "硝酸咪康唑乳膏"]));
    assert_eq!((&*found.rule, found.action), ("I09", Action::NeedsReason));
    assert!(found.reason_zh.contains("局部用药"));
    // The eye drop is only a member of the class the rule names.
    assert_eq!(actions(&order(&["维拉帕米", "噻吗洛尔滴眼液"]), INTERACTION), [Action::Notice]);
}

#[test]
fn what_is_inhaled_counts_as_local_where_both_must_reach_the_blood() {
    let with = |route| actions(&order(&["伊曲康唑", &format!("布地奈德@{route}")]), INTERACTION);
    assert_eq!(with("雾化吸入"), [Action::OnRequest]);
    assert_eq!(with("口服"), [Action::NeedsReason]);
}

#[test]
fn a_fixed_combination_does_not_meet_itself_but_meets_others() {
    silent(&order(&["缬沙坦氢氯噻嗪片"]));
    let found = only_of(&order(&["缬沙坦氢氯噻嗪片", "碳酸锂"]), INTERACTION, 2);
    assert_eq!(&*found[0].rule, "I06");
    // The single ingredient beside the combination is a duplicate, not an interaction.
    let report = check(&order(&["缬沙坦氢氯噻嗪片", "氢氯噻嗪"]));
    assert_eq!(short(&report), [(DUPLICATE, Action::NeedsReason, vec!["1", "2"])]);
}

#[test]
fn rules_for_the_vein_hold_in_the_vein_only() {
    let pair = |a: &str, b: &str| {
        actions(&order(&[&format!("头孢曲松@{a}"), &format!("葡萄糖酸钙@{b}")]), INTERACTION)
    };
    assert_eq!(pair("静滴", "静脉注射"), [Action::Stop]);
    assert_eq!(pair("", ""), [Action::Stop], "unknown counts as the vein");
    assert_eq!(pair("静滴", "口服"), []);
    assert_eq!(pair("肌注", "静滴"), []);
}

#[test]
fn alcohol_counts_by_the_form() {
    let with = |name: &str| actions(&order(&["甲硝唑片@口服", name]), INTERACTION);
    assert_eq!(with("藿香正气水"), [Action::NeedsReason]);
    assert_eq!(with("藿香正气软胶囊"), []);
    assert_eq!(with("藿香正气口服液"), []);
    assert_eq!(with("藿香正气"), [Action::Notice], "the form is not said");
}

#[test]
fn high_doses_that_are_not_known_lower_the_voice() {
    let found = only_of(&order(&["缬沙坦氢氯噻嗪片", "碳酸锂"]), INTERACTION, 2);
    assert_eq!((&*found[1].rule, found[1].action), ("I12", Action::Notice));
}

#[test]
fn the_diagnosis_decides_where_the_rule_says_so() {
    let diagnosed = |names: &[&str], diagnoses: &[&str]| {
        let diagnoses = diagnoses.iter().map(|d| (*d).to_owned()).collect();
        actions(&Order { diagnoses, ..order(names) }, INTERACTION)
    };
    let heart = ["地尔硫䓬", "比索洛尔"];
    assert_eq!(diagnosed(&heart, &["慢性心力衰竭"]), [Action::Stop]);
    assert_eq!(diagnosed(&heart, &["高血压"]), [Action::Notice]);
    let two = ["氯吡格雷", "阿司匹林"];
    assert_eq!(diagnosed(&two, &["冠心病 PCI术后"]), [Action::OnRequest]);
    assert_eq!(diagnosed(&two, &["感冒"]), [Action::NeedsReason]);
    assert_eq!(diagnosed(&two, &[]), [Action::Notice]);
}

#[test]
fn a_rescue_is_not_held_up() {
    let rescue = ["肾上腺素", "氯丙嗪"];
    assert_eq!(actions(&order(&rescue), INTERACTION), [Action::NeedsReason]);
    let emergency = Order { setting: Setting::Emergency, ..order(&rescue) };
    assert_eq!(actions(&emergency, INTERACTION), [Action::OnRequest]);
}

#[test]
fn added_drowsiness_is_noticed() {
    assert_eq!(actions(&order(&["氯丙嗪", "感冒灵颗粒"]), INTERACTION), [Action::Notice]);
}

// Legal limits

#[test]
fn more_than_five_medicines_need_a_reason_and_vehicles_do_not_count() {
    let five = ["阿莫西林", "对乙酰氨基酚", "氨氯地平", "六味地黄丸", "氯吡格雷"];
    silent(&order(&five));
    let with = |extra: &str| order(&[&five[..], &[extra]].concat());
    silent(&with("0.9%氯化钠注射液@静滴"));
    let twice = check(&with("阿莫西林颗粒"));
    assert!(twice.findings.iter().all(|f| f.kind == DUPLICATE), "one medicine counts once");
    let found = only(&with("布洛芬"));
    assert_eq!((found.kind, found.action), (Kind::LegalForm, Action::NeedsReason));
    assert_eq!(found.review_code.as_deref(), Some("1-11"));
    assert_eq!(found.id, "legal_form:L1:");
    let report = check(&with("没人知道的药"));
    assert_eq!(report.summary.needs_reason, 1, "an unknown medicine counts");
    let mut excused = with("布洛芬");
    excused.more_than_five_reason = Some("慢病多".to_owned());
    let said = full(&excused);
    assert!(
        said.findings.iter().any(|f| f.id == "legal_form:L1:" && f.action == Action::OnRequest)
    );
    excused.more_than_five_reason = Some("  ".to_owned());
    assert_eq!(actions(&excused, Kind::LegalForm), [Action::NeedsReason]);
}

#[test]
fn the_length_of_a_supply_depends_on_the_setting_and_the_reason() {
    let mut order = order(&["阿莫西林", "氨氯地平"]);
    let duration = |order: &Order| actions(order, Kind::Duration);
    order.lines[1].days = Some(7.0);
    assert_eq!(duration(&order), []);
    order.setting = Setting::Emergency;
    assert_eq!(duration(&order), [Action::NeedsReason]);
    order.setting = Setting::Outpatient;
    order.lines[0].days = Some(7.5);
    order.lines[1].days = Some(28.0);
    // Half a day more is said; four weeks without a chronic disease are asked about.
    assert_eq!(duration(&order), [Action::NeedsReason, Action::Notice]);
    order.diagnoses = vec!["感冒".to_owned()];
    let found = check(&order).findings.into_iter().find(|f| f.kind == Kind::Duration).unwrap();
    assert_eq!(found.lines, ["1", "2"], "an acute illness has seven days");
    assert_eq!(found.review_code.as_deref(), Some("1-12"));
    order.long_supply_reason = Some("路远".to_owned());
    assert_eq!(duration(&order), [Action::OnRequest]);
    order.lines[1].days = Some(85.0);
    assert_eq!(duration(&order), [Action::NeedsReason, Action::OnRequest]);
}

#[test]
fn a_chronic_disease_has_four_weeks_and_antibiotics_have_not() {
    let mut order = order(&["阿莫西林", "氨氯地平"]);
    order.diagnoses = vec!["高血压2级".to_owned()];
    order.lines[1].days = Some(28.0);
    assert_eq!(actions(&order, Kind::Duration), []);
    order.lines[1].days = Some(56.0);
    assert_eq!(actions(&order, Kind::Duration), [Action::Notice]);
    order.lines[1].days = Some(28.0);
    order.lines[0].days = Some(28.0);
    let found = check(&order).findings.into_iter().find(|f| f.kind == Kind::Duration).unwrap();
    assert_eq!(
        (found.lines.as_slice(), found.action),
        (&["1".to_owned()][..], Action::NeedsReason)
    );
}

#[test]
fn a_line_without_days_is_listed_as_unchecked_on_request() {
    let mut order = order(&["阿莫西林"]);
    order.lines[0].days = None;
    let report = check(&order);
    assert_eq!(report.unchecked[0].what, [Kind::Duration]);
    assert!(report.unchecked[0].on_request);
    assert_eq!(report.summary.unchecked, 0);
}

// Unknown names and the report

#[test]
fn an_unknown_line_or_current_medicine_is_unchecked_for_everything() {
    let report = check(&with_current(&["阿莫西淋", "氨氯地平"], &["神奇丸"]));
    assert_eq!(report.unchecked.len(), 2);
    let line = &report.unchecked[0];
    assert_eq!(line.lines, ["1"]);
    assert_eq!(line.what, Kind::ALL);
    assert_eq!(line.suggestions, ["阿莫西林"]);
    assert_eq!(line.reason_zh, "认不出“阿莫西淋”，没有做任何核对。是不是阿莫西林？");
    assert_eq!(report.unchecked[1].lines, Vec::<String>::new());
    assert_eq!(report.unchecked[1].names, ["神奇丸"]);
    assert_eq!(report.summary.unchecked, 2);
    assert_eq!(report.taken[0].name_zh, None);
    assert_eq!(report.taken[1].code.as_deref(), Some("W013"));
}

#[test]
fn the_name_of_a_whole_group_is_unchecked() {
    let report = check(&order(&["避孕药"]));
    let whole = report.unchecked.iter().find(|u| u.what == Kind::ALL);
    assert!(whole.is_some_and(|u| u.reason_zh.contains("统称")), "{:#?}", report.unchecked);
}

#[test]
fn herbs_that_were_not_compiled_are_one_entry_on_request() {
    let report = check(&order(&["六味地黄丸", "维C银翘片", "阿莫西林"]));
    assert_eq!(report.unchecked.len(), 1);
    assert_eq!(report.unchecked[0].lines, ["1", "2"]);
    assert!(report.unchecked[0].on_request);
    assert_eq!(report.summary.unchecked, 0);
}

#[test]
fn findings_come_by_action_then_severity_then_line() {
    let mut order = with_allergy(&["氨氯地平", "华法林", "布洛芬", "阿莫西林"], "青霉素");
    order.lines[0].days = Some(30.0);
    let report = check(&order);
    let expected = [
        (Kind::Allergy, Action::Stop, vec!["4"]),
        (INTERACTION, Action::NeedsReason, vec!["2", "3"]),
        (Kind::Duration, Action::NeedsReason, vec!["1"]),
    ];
    assert_eq!(short(&report), expected);
    assert_eq!((report.summary.stop, report.summary.needs_reason), (1, 2));
    assert_eq!(report.rule_version, knowledge().version());
}

#[test]
fn an_impossible_order_is_still_answered_without_panic() {
    let lines = vec![Line::default(), Line { days: Some(f32::NAN), ..Line::default() }];
    let report = knowledge().check(&Order { lines, ..Order::default() });
    assert_eq!(report.unchecked.len(), 3);
    let _ = knowledge().check(&Order::default());
}
