//! What written names are taken for.

use super::super::Resolution;
use super::knowledge;

fn resolve(name: &str) -> String {
    let knowledge = knowledge();
    let formulary = knowledge.formulary();
    match formulary.resolve(name) {
        Resolution::Medicine(id) => formulary.medicine(id).unwrap().code.clone(),
        Resolution::Ingredient(id) => formulary.ingredient(id).unwrap().slug.clone(),
        Resolution::Ambiguous(ids) => {
            let codes = ids.iter().map(|id| formulary.medicine(*id).unwrap().code.clone());
            codes.collect::<Vec<_>>().join("|")
        }
        Resolution::Unknown(near) => format!("?{}", near.join("|")),
    }
}

fn assert_resolves(cases: &[(&str, &str)]) {
    for (name, expected) in cases {
        assert_eq!(resolve(name), *expected, "{name}");
    }
}

#[test]
fn names_codes_aliases_and_english_resolve() {
    assert_resolves(&[
        ("阿莫西林", "W005"),
        ("W005", "W005"),
        ("w005", "W005"),
        ("羟氨苄青霉素", "W005"),
        ("Amoxicillin", "W005"),
        ("扑热息痛", "W001"),
        ("維生素Ｃ", "W020"),
        ("缬沙坦", "valsartan"),
        ("ceftriaxone", "W009"),
    ]);
}

#[test]
fn dosage_forms_strengths_and_packs_are_looked_through() {
    assert_resolves(&[
        ("阿莫西林胶囊", "W005"),
        ("阿莫西林胶囊0.25g×24粒", "W005"),
        ("阿莫西林分散片 0.5g*12片/盒", "W005"),
        ("注射用头孢曲松钠 1.0g", "W009"),
        ("布洛芬缓释胶囊0.3g", "W002"),
        ("布洛芬混悬液(儿童) 100ml:2g", "W002"),
        ("阿司匹林肠溶片 100mg", "W026"),
        ("双氯芬酸钠凝胶", "W003"),
        ("左氧氟沙星滴眼液 5ml:24.4mg", "W010"),
        ("5%葡萄糖注射液250ml", "W017"),
        ("10%葡萄糖酸钙注射液10ml", "W018"),
        ("0.9%氯化钠注射液", "W016"),
        ("硝酸甘油片 0.5mg", "W014"),
        ("氨氯地平 5mg 口服 qd", "W013"),
        ("络活喜 5mg 每日一次", "W013"),
        ("1.甲硝唑片 0.2g tid", "W021"),
        ("华法林 2.5mg 每晚一次 长期服用", "W004"),
    ]);
}

#[test]
fn salts_are_looked_through() {
    assert_resolves(&[
        ("盐酸左氧氟沙星片", "W010"),
        ("盐酸左氧氟沙星氯化钠注射液", "W010"),
        ("乳酸左氧氟沙星", "W010"),
        ("苯磺酸氨氯地平片", "W013"),
        ("马来酸氯苯那敏", "chlorphenamine"),
        ("枸橼酸西地那非片50mg", "X003"),
        ("双氯芬酸钾", "W003"),
        ("阿莫西林钠克拉维酸钾", "W006"),
        ("盐酸氯丙嗪注射液", "W032"),
    ]);
}

#[test]
fn a_salt_is_never_taken_away_from_another_medicine() {
    for name in ["硝酸甘油软膏", "硝酸甘油"] {
        assert_eq!(resolve(name), "W014", "{name}");
    }
    // 葡萄糖氯化钠 is not in these tables: it is neither 葡萄糖 nor 氯化钠.
    for name in ["葡萄糖氯化钠", "葡萄糖氯化钠注射液", "葡萄糖酸锌", "复方氯化钠注射液", "浓氯化钠"]
    {
        assert!(resolve(name).starts_with('?'), "{name} became {}", resolve(name));
    }
}

#[test]
fn a_near_miss_is_suggested_and_never_taken() {
    assert_eq!(resolve("尼美地平"), "?尼莫地平|尼群地平");
    assert_eq!(resolve("阿莫西淋胶囊"), "?阿莫西林");
    assert_eq!(resolve("amoxicilin"), "?Amoxicillin");
    assert_eq!(resolve("某某神药"), "?");
    assert_eq!(resolve(""), "?");
    assert!(resolve("片").starts_with('?'));
}

#[test]
fn two_medicines_in_one_text_are_not_taken_for_one() {
    for name in
        ["阿莫西林0.5g 布洛芬0.3g", "阿司匹林、氯吡格雷", "复方阿莫西林", "阿莫西林双氯西林"]
    {
        assert!(resolve(name).starts_with('?'), "{name} became {}", resolve(name));
    }
    assert_eq!(resolve("阿司匹林+氯吡格雷胶囊"), "?氯吡格雷|阿司匹林");
}

#[test]
fn a_patent_medicine_keeps_its_identity_across_forms_but_not_into_the_needle() {
    assert_resolves(&[
        ("六味地黄丸", "T005"),
        ("六味地黄浓缩丸 200丸/瓶", "T005"),
        ("六味地黄口服液", "T005"),
        ("小柴胡泡腾片", "T002"),
        ("柴胡注射液 2ml", "T001"),
        ("牛黄解毒片", "T003"),
        ("维C银翘片 0.5g×24片", "X001"),
        ("维C银翘胶囊", "X001"),
    ]);
    assert!(resolve("小柴胡注射液").starts_with('?'));
    assert!(resolve("柴胡颗粒").starts_with('?') || resolve("柴胡颗粒") == "bupleurum");
    assert!(resolve("六味地黄注射液").starts_with('?'));
}

#[test]
fn an_english_name_of_two_medicines_is_ambiguous() {
    let files =
        super::files_with("extra_products", "X003,西地那非,Sildenafil", "X003,西地那非,Warfarin");
    let knowledge = super::super::PrescriptionKnowledge::load(&files).unwrap();
    let Resolution::Ambiguous(ids) = knowledge.formulary().resolve("warfarin") else { panic!() };
    assert_eq!(ids.len(), 2);
    let report = knowledge.check(&super::order(&["warfarin"]));
    assert_eq!(report.unchecked[0].suggestions, ["华法林", "西地那非"]);
}
