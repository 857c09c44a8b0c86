//! Plans on small tables: conditions of three values, choices that pass the check, doses by weight.

use std::collections::BTreeSet;

use super::loading::TreatmentKnowledge;
use super::{Number, PlanQuery, Section};
use crate::embedded;
use crate::medicine::patient::{Patient, Pregnancy, Sex};
use crate::medicine::prescription::{AllergyEntry, Order, PrescriptionKnowledge};
use crate::tables::files::Files;

const PLANS: &str = "id,name_zh,icd,age_from_m,age_to_m,sex,scope_zh,source,status
P,测试病,I10,,,,成人,memory,draft
C,测试病儿童,I10,1,168,,儿童,memory,draft
";
const INPUTS: &str = "name,kind,unit,min,max,question_zh,source,status
bad_sign,flag,,,,有危险表现吗,memory,draft
";
const CONFLICTS: &str = "id,plan,topic_zh,a_zh,a_source,b_zh,b_source,followed,why_zh,status
K1,P,目标,甲,memory,乙,memory#2,b,更严,draft
";
const SOURCES: &str = "id,citation,url,licence,note\nmemory,记忆,,,\n";
const HEADER: &str = "id,plan,section,order,when,text_zh,urgency,medicine,choice,dose,dose_unit,per,dose_max,route,frequency,days,annotation_zh,source,status\n";
const RULES: &str = "P-1,P|C,goal,1,,目标,,,,,,,,,,,,memory,draft
P-2,P,medicine,2,age_y>=18,首选,,W185,bp,5,mg,fixed,,oral,qd,28,,memory,draft
P-3,P,medicine,3,,其次,,W174,bp,10,mg,fixed,,oral,qd,28,,memory,draft
P-4,P|C,advice,4,,告知,,,,,,,,,,,,memory,draft
P-5,P|C,follow_up,5,,两周后,,,,,,,,,,14,,memory,draft
P-6,P|C,refer,6,flag:bad_sign & sbp>=180 | dbp>=110,转诊,now,,,,,,,,,,,memory,draft
P-7,P|C,stop,7,,停药,,,,,,,,,,,,memory,draft
P-8,P,warning,8,!pregnant,没有怀孕,,,,,,,,,,,,memory,draft
P-9,C,medicine,9,,退热,,W076,,15,mg,kg,600,oral,q6h prn,3,,memory,draft
";

fn rx() -> PrescriptionKnowledge {
    PrescriptionKnowledge::load(&embedded::files()).unwrap()
}

fn files(rules: &str) -> Files {
    let mut files = Files::new();
    for (name, text) in [
        ("sources", SOURCES.to_owned()),
        ("plans", PLANS.to_owned()),
        ("rules", format!("{HEADER}{rules}")),
        ("inputs", INPUTS.to_owned()),
        ("conflicts", CONFLICTS.to_owned()),
    ] {
        files.insert(format!("treatment/{name}.csv"), text.into_bytes());
    }
    files
}

fn query(patient: Patient) -> PlanQuery {
    let order = Order { patient, diagnoses: vec!["高血压病".to_owned()], ..Order::default() };
    PlanQuery { order, ..PlanQuery::default() }
}

fn adult() -> Patient {
    Patient { age_years: Some(50.0), sex: Some(Sex::Male), ..Patient::default() }
}

#[test]
fn rows_hold_only_when_they_certainly_do() {
    let rx = rx();
    let known = TreatmentKnowledge::load(&files(RULES), rx.formulary()).unwrap();
    let mut query = query(adult());
    let plans = known.recommend(&rx, &query);
    assert_eq!(plans.len(), 1);
    let refer = |plans: &[super::Recommendation]| {
        let found = plans[0].advice.iter().find(|a| a.section == Section::Refer);
        found.map(|a| a.applies_now)
    };
    assert_eq!(refer(&plans), Some(false), "a criterion to watch for");
    let names: BTreeSet<&str> = plans[0].wanted.iter().map(|w| w.name.as_str()).collect();
    assert_eq!(names, ["bad_sign", "dbp", "sbp"].into());
    assert!(plans[0].wanted.iter().all(|w| w.about_danger && !w.question_zh.is_empty()));
    query.present.insert("bad_sign".to_owned());
    query.numbers.insert(Number::Systolic.name().to_owned(), 190.0);
    assert_eq!(refer(&known.recommend(&rx, &query)), Some(true), "one of two is enough");
    query.present.clear();
    query.absent.insert("bad_sign".to_owned());
    assert_eq!(refer(&known.recommend(&rx, &query)), None);
    assert!(plans[0].advice.iter().any(|a| a.rule == "P-8"), "a man is not pregnant");
    assert_eq!(plans[0].conflicts.len(), 1);
    assert!(!plans[0].conflicts[0].follows_a);
}

#[test]
fn the_first_of_a_group_that_passes_the_check_is_proposed() {
    let rx = rx();
    let first = rx.formulary().medicines().iter().find(|m| m.code == "W185").unwrap();
    let second = rx.formulary().medicines().iter().find(|m| m.code == "W174").unwrap();
    let known = TreatmentKnowledge::load(&files(RULES), rx.formulary()).unwrap();
    let mut query = query(adult());
    let plans = known.recommend(&rx, &query);
    let chosen: Vec<&str> = plans[0].medicines.iter().map(|m| m.code.as_str()).collect();
    assert_eq!(chosen.len(), 1, "{:?} {:?}", plans[0].medicines, plans[0].rejected);
    let chosen = chosen[0].to_owned();
    // Allergic to the one that was chosen: the other is, or none, and the reason is told.
    let name = if chosen == "W185" { &first.name_zh } else { &second.name_zh };
    query.order.allergies.push(AllergyEntry { name: name.clone(), ..AllergyEntry::default() });
    let plans = known.recommend(&rx, &query);
    assert!(plans[0].medicines.iter().all(|m| m.code != chosen));
    let refused = plans[0].rejected.iter().find(|r| r.code == chosen).unwrap();
    assert!(refused.reasons_zh[0].contains("过敏"), "{refused:?}");
}

#[test]
fn a_childs_dose_is_by_weight_with_its_ceiling() {
    let rx = rx();
    let known = TreatmentKnowledge::load(&files(RULES), rx.formulary()).unwrap();
    let child = |years, weight_kg| Patient {
        age_years: Some(years),
        weight_kg,
        pregnancy: Pregnancy::No,
        ..Patient::default()
    };
    let plans = known.recommend(&rx, &query(child(5.0, Some(18.0))));
    let plan = plans.iter().find(|p| p.plan == "C").unwrap();
    assert!((plan.medicines[0].dose - 270.0).abs() < 1e-9, "{:?}", plan.medicines);
    assert_eq!(plan.medicines[0].dose_basis, "15mg/kg×18kg");
    let plans = known.recommend(&rx, &query(child(11.0, Some(48.0))));
    let plan = plans.iter().find(|p| p.plan == "C").unwrap();
    assert!((plan.medicines[0].dose - 600.0).abs() < 1e-9);
    assert!(plan.medicines[0].dose_basis.ends_with("取上限"));
    let plans = known.recommend(&rx, &query(child(5.0, None)));
    let plan = plans.iter().find(|p| p.plan == "C").unwrap();
    assert!(plan.medicines.is_empty() && plan.wanted.iter().any(|w| w.name == "weight"));
    assert!(plan.rejected[0].reasons_zh[0].contains("体重"));
}

#[test]
fn tables_that_leave_the_doctor_alone_or_dangle_are_refused() {
    let rx = rx();
    let error = |rules: &str| {
        TreatmentKnowledge::load(&files(rules), rx.formulary()).unwrap_err().to_string()
    };
    for (from, to, expected) in [
        ("P-7,P|C,stop", "P-7,P,stop", "plan `C` is without a criterion"),
        ("flag:bad_sign", "flag:no_sign", "`flag:no_sign` is no condition"),
        ("age_y>=18", "age_y>=old", "`age_y>=old` is no condition"),
        ("age_y>=18", "shoe_size>=18", "`shoe_size>=18` is no condition"),
        ("W076", "W999", "unknown medicine `W999`"),
        ("转诊,now", "转诊,", "a referral needs an urgency"),
        ("P-2,P,", "P-2,Q,", "unknown plan in `Q`"),
        ("P-3,", "P-2,", "stands twice"),
        ("告知,,,,,,,,,,,,memory", "告知,,,,,,,,,,,,hearsay", "unknown source `hearsay`"),
    ] {
        assert!(RULES.contains(from), "{from}");
        let message = error(&RULES.replacen(from, to, 1));
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn the_real_plans_load_with_every_condition_and_medicine() {
    let rx = rx();
    let known = TreatmentKnowledge::load(&embedded::files(), rx.formulary()).unwrap();
    assert!(known.plans().len() >= 60, "{}", known.plans().len());
    assert_eq!(known.version().len(), 12);
}
