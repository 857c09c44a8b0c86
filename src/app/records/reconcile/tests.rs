//! What reconciliation says, case by case.

use std::sync::LazyLock;

use super::*;
use crate::sharing::discharge::cda;
use crate::sharing::discharge::model::Coded;

static KNOWLEDGE: LazyLock<PrescriptionKnowledge> =
    LazyLock::new(|| PrescriptionKnowledge::load(&crate::embedded::files()).unwrap());

/// 2026-11-29.
const NOW: i64 = 1_795_910_400_000;

use MedicineChange::{Altered, Continued, New, Stopped};
use MedicineStanding::{Both, ClinicOnly, HospitalOnly, NotRecognised, StoppedStillGiven};

fn record(medicines: &[(&str, Option<MedicineChange>)], orders: &str) -> DischargeRecord {
    let medicines = medicines.iter().map(|(name, change)| Medicine {
        coded: Coded::text(*name),
        change: *change,
        ..Medicine::default()
    });
    let mut record =
        DischargeRecord { medicines: medicines.collect(), ..DischargeRecord::default() };
    orders.clone_into(&mut record.narrative.orders);
    record
}

fn reconciled(record: &DischargeRecord, clinic: &[&str]) -> Reconciliation {
    let clinic: Vec<String> = clinic.iter().map(|line| (*line).to_owned()).collect();
    reconcile(&KNOWLEDGE, record, &clinic, NOW)
}

fn standings(found: &Reconciliation) -> Vec<(&str, MedicineStanding)> {
    found.medicines.iter().map(|m| (m.written.as_str(), m.standing)).collect()
}

/// Medicines of the hospital, of the clinic, and how each must stand.
type Case<'a> =
    (&'a [(&'a str, Option<MedicineChange>)], &'a [&'a str], &'a [(&'a str, MedicineStanding)]);

const CASES: &[Case<'_>] = &[
    // New, and the clinic does not give it yet.
    (&[("阿托伐他汀钙片", Some(New))], &[], &[("阿托伐他汀钙片", HospitalOnly)]),
    // Continued.
    (
        &[("阿司匹林肠溶片", Some(Continued))],
        &["阿司匹林肠溶片 100mg qd"],
        &[("阿司匹林肠溶片", Both)],
    ),
    // Another dose.
    (&[("氨氯地平片", Some(Altered))], &["氨氯地平片 5mg qd"], &[("氨氯地平片", Both)]),
    // Nothing said of the change.
    (&[("氨氯地平片", None)], &["苯磺酸氨氯地平片"], &[("苯磺酸氨氯地平片", Both)]),
    // Stopped and still given; stopped and not given is as it should be.
    (
        &[("硝苯地平缓释片", Some(Stopped))],
        &["硝苯地平缓释片"],
        &[("硝苯地平缓释片", StoppedStillGiven)],
    ),
    (&[("硝苯地平缓释片", Some(Stopped))], &[], &[]),
    // From one medicine to a combination that holds it: the combination goes on.
    (
        &[("缬沙坦胶囊", Some(Stopped)), ("缬沙坦氨氯地平片", Some(New))],
        &["缬沙坦氨氯地平片"],
        &[("缬沙坦氨氯地平片", Both)],
    ),
    (
        &[("缬沙坦胶囊", Some(Stopped)), ("缬沙坦氨氯地平片", None)],
        &["缬沙坦胶囊"],
        &[("缬沙坦胶囊", StoppedStillGiven), ("缬沙坦氨氯地平片", HospitalOnly)],
    ),
    // From a combination to one of its parts: the combination holds what was stopped.
    (
        &[("缬沙坦氨氯地平片", Some(Stopped)), ("氨氯地平片", None)],
        &["缬沙坦氨氯地平片"],
        &[("缬沙坦氨氯地平片", StoppedStillGiven), ("氨氯地平片", HospitalOnly)],
    ),
    (
        &[("缬沙坦胶囊", Some(Stopped)), ("氨氯地平片", None)],
        &["缬沙坦氨氯地平片"],
        &[("缬沙坦氨氯地平片", StoppedStillGiven), ("氨氯地平片", HospitalOnly)],
    ),
    // A part of what goes on as a combination: the combination is still to be given.
    (
        &[("缬沙坦氨氯地平片", None)],
        &["氨氯地平片"],
        &[("氨氯地平片", Both), ("缬沙坦氨氯地平片", HospitalOnly)],
    ),
    // Another form of the same.
    (
        &[("硝苯地平片", Some(Stopped)), ("硝苯地平控释片", None)],
        &["硝苯地平控释片"],
        &[("硝苯地平控释片", Both)],
    ),
    (
        &[("硝苯地平片", Some(Stopped)), ("硝苯地平控释片", None)],
        &["硝苯地平片"],
        &[("硝苯地平片", StoppedStillGiven), ("硝苯地平控释片", HospitalOnly)],
    ),
    (
        &[("硝苯地平控释片", None), ("硝苯地平片", Some(Stopped))],
        &["硝苯地平控释片 30mg qd"],
        &[("硝苯地平控释片", Both)],
    ),
    // Another name of the same.
    (&[("硝苯地平", Some(Stopped))], &["心痛定"], &[("心痛定", StoppedStillGiven)]),
    (&[("阿司匹林肠溶片", None)], &["拜阿司匹灵"], &[("拜阿司匹灵", Both)]),
    // The same class, and another ingredient.
    (
        &[("阿托伐他汀钙片", None)],
        &["瑞舒伐他汀钙片"],
        &[("瑞舒伐他汀钙片", ClinicOnly), ("阿托伐他汀钙片", HospitalOnly)],
    ),
    // Only the clinic.
    (
        &[("阿司匹林肠溶片", None)],
        &["二甲双胍片"],
        &[("二甲双胍片", ClinicOnly), ("阿司匹林肠溶片", HospitalOnly)],
    ),
    // Not known to the tables, on either side and on both.
    (
        &[("甲乙丙特效片", None)],
        &["丁戊己胶囊"],
        &[("丁戊己胶囊", NotRecognised), ("甲乙丙特效片", NotRecognised)],
    ),
    (
        &[("甲乙丙特效片", Some(Stopped))],
        &["甲乙丙特效片 1片 qd"],
        &[("甲乙丙特效片", StoppedStillGiven)],
    ),
    (
        &[("甲乙丙特效片", Some(Stopped))],
        &["阿司匹林肠溶片"],
        &[("阿司匹林肠溶片", ClinicOnly), ("甲乙丙特效片", NotRecognised)],
    ),
    // Herbs that two products share make them no duplicate of each other.
    (&[("感冒清热颗粒", Some(Stopped))], &["银翘解毒片"], &[("银翘解毒片", ClinicOnly)]),
];

#[test]
fn every_medicine_stands_as_it_should() {
    for (hospital, clinic, wanted) in CASES {
        let found = reconciled(&record(hospital, ""), clinic);
        assert_eq!(standings(&found), *wanted, "{hospital:?} {clinic:?}");
        // No advice to stop what the hospital goes on with in the same form.
        for medicine in found.medicines.iter().filter(|m| m.standing == Both) {
            assert!(!medicine.advice.contains("请停用"), "{}", medicine.advice);
        }
    }
}

#[test]
fn a_medicine_is_no_duplicate_of_itself_and_real_duplicates_and_interactions_stay() {
    let kinds = |hospital: &[(&str, Option<MedicineChange>)], clinic: &[&str]| {
        let found = reconciled(&record(hospital, ""), clinic);
        let kinds: Vec<ProblemKind> = found.problems.iter().map(|p| p.kind).collect();
        kinds
    };
    for same in ["阿司匹林肠溶片", "氨氯地平片", "缬沙坦氨氯地平片", "硝苯地平控释片"]
    {
        assert_eq!(kinds(&[(same, None)], &[same]), [], "{same}");
    }
    assert_eq!(kinds(&[("苯磺酸氨氯地平片", Some(New))], &["氨氯地平片 5mg qd"]), []);
    // Two statins, the part beside the whole, and two forms of one medicine.
    for (hospital, clinic) in
        [("阿托伐他汀钙片", "瑞舒伐他汀钙片"), ("缬沙坦氨氯地平片", "氨氯地平片")]
    {
        assert!(
            kinds(&[(hospital, None)], &[clinic]).contains(&ProblemKind::Duplicate),
            "{hospital} {clinic}"
        );
    }
    let forms = [("硝苯地平片", Some(Stopped)), ("硝苯地平控释片", Some(New))];
    assert!(kinds(&forms, &["硝苯地平片"]).contains(&ProblemKind::Duplicate));
    // What the hospital gives meets what the clinic gives, also beside one that both give.
    let both = [("华法林钠片", None), ("氨氯地平片", None)];
    assert!(kinds(&both, &["布洛芬缓释胶囊", "氨氯地平片"]).contains(&ProblemKind::Interaction));
    // What was stopped meets nothing.
    assert_eq!(kinds(&[("华法林钠片", Some(Stopped))], &["布洛芬缓释胶囊"]), []);
}

#[test]
fn a_medicine_that_is_only_an_instruction_is_compared_by_it() {
    let mut free = record(&[("", Some(Stopped))], "");
    "硝苯地平缓释片 20mg bid".clone_into(&mut free.medicines[0].instruction);
    let found = reconciled(&free, &["硝苯地平缓释片"]);
    assert_eq!(standings(&found), [("硝苯地平缓释片", StoppedStillGiven)]);
    // A name with strength, dose and use in one text.
    let whole = record(&[("阿司匹林肠溶片 100mg 口服 每日1次", None)], "");
    let found = reconciled(&whole, &["阿司匹林肠溶片 0.1g qd"]);
    assert_eq!(standings(&found), [("阿司匹林肠溶片", Both)]);
    assert_eq!(found.problems, []);
}

#[test]
fn medicines_of_the_orders_words_are_compared_and_marked() {
    let bytes = include_bytes!("../../../../tests/data/records/wst500-53-stroke.xml");
    let stroke = cda::read(bytes).unwrap().record;
    assert_eq!(stroke.medicines, [], "its medicines stand in words alone");
    let found = reconciled(&stroke, &["硝苯地平缓释片 20mg bid", "阿司匹林肠溶片", "格列美脲片"]);
    assert_eq!(
        standings(&found),
        [
            ("硝苯地平缓释片", StoppedStillGiven),
            ("阿司匹林肠溶片", Both),
            ("格列美脲片", ClinicOnly),
            ("硫酸氢氯吡格雷片", HospitalOnly),
            ("阿托伐他汀钙片", HospitalOnly),
            ("缬沙坦氨氯地平片", HospitalOnly),
            ("盐酸二甲双胍片", HospitalOnly),
        ]
    );
    for medicine in &found.medicines {
        let marked = medicine.advice.contains("从医嘱文字读出");
        assert_eq!(marked, medicine.standing != ClinicOnly, "{}", medicine.advice);
    }
    assert!(found.medicines[0].advice.contains("原用硝苯地平缓释片停用"));
    // 服至12月1日停用 is not stopped, and is told.
    let told = |words: &str| found.not_checked.iter().any(|n| n.reason.contains(words));
    assert!(told("服至12月1日停用"), "{:?}", found.not_checked);
    assert_eq!(found.medicines[3].change, None);
    // It is nowhere said that a medicine is not in the record while words were left unread.
    assert!(!found.medicines.iter().any(|m| m.advice.contains("出院记录中没有此药")));
}

#[test]
fn what_words_say_of_a_medicine_counts_only_where_it_is_certain() {
    let changes = |orders: &str| {
        let record = record(&[], orders);
        let words = orders::read(KNOWLEDGE.formulary(), &record);
        let medicines: Vec<(String, Option<MedicineChange>)> =
            words.medicines.into_iter().map(|m| (m.name, m.change)).collect();
        (medicines, words.unread.len())
    };
    let one = |name: &str, change| vec![(name.to_owned(), change)];
    for (orders, medicines, unread) in [
        ("停用硝苯地平缓释片", one("硝苯地平缓释片", Some(Stopped)), 0),
        ("硝苯地平缓释片停服。", one("硝苯地平缓释片", Some(Stopped)), 0),
        ("硝苯地平缓释片，已停用", one("硝苯地平缓释片", Some(Stopped)), 0),
        ("继续服用阿司匹林肠溶片100mg qd", one("阿司匹林肠溶片", Some(Continued)), 0),
        ("加用阿托伐他汀钙片20mg 每晚1次", one("阿托伐他汀钙片", Some(New)), 0),
        ("氨氯地平片改为10mg qd", one("氨氯地平片", Some(Altered)), 0),
        ("二甲双胍片增至0.5g tid", one("二甲双胍片", Some(Altered)), 0),
        (
            "硝苯地平片改为氨氯地平片5mg qd",
            vec![("硝苯地平片".to_owned(), Some(Stopped)), ("氨氯地平片".to_owned(), Some(New))],
            0,
        ),
        (
            "停用硝苯地平片、华法林钠片，缬沙坦胶囊80mg qd",
            vec![
                ("硝苯地平片".to_owned(), Some(Stopped)),
                ("华法林钠片".to_owned(), Some(Stopped)),
                ("缬沙坦胶囊".to_owned(), None),
            ],
            0,
        ),
        (
            "1.阿司匹林肠溶片 0.1g qd 2.阿托伐他汀钙片 20mg qn",
            vec![("阿司匹林肠溶片".to_owned(), None), ("阿托伐他汀钙片".to_owned(), None)],
            0,
        ),
        ("出院带药：阿司匹林肠溶片100mg qd", one("阿司匹林肠溶片", None), 0),
        // With a condition, later, or forbidden: nothing is stopped and nothing begun.
        ("氯吡格雷片75mg qd，服至明年停用", one("氯吡格雷片", None), 1),
        ("氯吡格雷片75mg qd，1年后停用", one("氯吡格雷片", None), 1),
        ("阿司匹林肠溶片不可自行停用", vec![], 1),
        ("如血压升高加用氨氯地平片", vec![], 1),
        ("避免使用布洛芬", vec![], 1),
        // Medicines that the tables do not know are said to be unread.
        ("停用甲乙丙胶囊", vec![], 1),
        ("甲乙丙片 5mg qd", vec![], 1),
        // Advice about all of them is about none, and leaves nothing unread.
        ("规律服药，停用格列本脲；两周后复查血压", one("格列本脲", Some(Stopped)), 0),
        ("阿司匹林肠溶片100mg qd，请勿自行停药", one("阿司匹林肠溶片", None), 0),
        ("规律服药甲乙丙片", vec![], 1),
        // No medicine at all.
        ("两周后复诊，监测血压低于140/90mmHg。低盐低脂饮食", vec![], 0),
        ("", vec![], 0),
    ] {
        assert_eq!(changes(orders), (medicines, unread), "{orders}");
    }
}

#[test]
fn the_list_counts_where_words_say_otherwise_and_what_is_not_read_is_said() {
    let listed = record(&[("氨氯地平片", Some(Continued))], "停用氨氯地平片。甲乙丙片 5mg qd");
    let found = reconciled(&listed, &["氨氯地平片", "辛伐他汀片"]);
    assert_eq!(standings(&found), [("氨氯地平片", Both), ("辛伐他汀片", ClinicOnly)]);
    let reasons: Vec<&str> = found.not_checked.iter().map(|n| n.reason.as_str()).collect();
    assert!(reasons.iter().any(|reason| reason.contains("说法不一致")), "{reasons:?}");
    assert!(
        reasons.iter().any(|reason| reason.contains("医嘱文字中另有用药，未能逐项读出")),
        "{reasons:?}"
    );
    assert!(found.medicines[1].advice.contains("未能逐项读出"));
    // A name in the words whose fate was not read.
    let named = record(&[], "避免与辛伐他汀片同服");
    let found = reconciled(&named, &["辛伐他汀片"]);
    assert!(found.medicines[0].advice.contains("提到此药"), "{}", found.medicines[0].advice);
    // A record without any medicine says so.
    let silent = reconciled(&record(&[], "低盐饮食"), &["辛伐他汀片"]);
    assert!(silent.medicines[0].advice.contains("没有列出用药"));
    // All known, and it is not there.
    let whole = reconciled(&record(&[("氨氯地平片", None)], ""), &["辛伐他汀片"]);
    assert_eq!(whole.medicines[0].advice, "出院记录中没有此药：请核对是否继续使用");
}
