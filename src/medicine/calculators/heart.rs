//! Atrial fibrillation: stroke without anticoagulants, bleeding with them.

use super::points::{Item, answered, total};
use super::{Calculator, FEMALE, Input, Score, Values};
use crate::medicine::patient::Sex;

const AGE: Input = Input::number("age_years", "年龄", "岁", (18.0, 120.0));

const STROKE: [Item<StrokeFactor>; 5] = [
    (StrokeFactor::HeartFailure, "heart_failure", 1.0),
    (StrokeFactor::Hypertension, "hypertension", 1.0),
    (StrokeFactor::Diabetes, "diabetes", 1.0),
    (StrokeFactor::Stroke, "stroke", 2.0),
    (StrokeFactor::VascularDisease, "vascular_disease", 1.0),
];

pub(super) const CHA2DS2_VASC: Calculator = Calculator {
    name: "cha2ds2_vasc",
    title_zh: "房颤卒中风险 CHA₂DS₂-VASc",
    unit: "分",
    source: "Lip GYH, Nieuwlaat R, Pisters R, Lane DA, Crijns HJGM. Refining clinical risk \
             stratification for predicting stroke and thromboembolism in atrial fibrillation using \
             a novel risk factor-based approach. Chest 2010; 137: 263–272. Thresholds: 2020 ESC \
             guidelines for atrial fibrillation. Eur Heart J 2021; 42: 373–498.",
    inputs: &[
        AGE,
        FEMALE,
        Input::yes_no("heart_failure", "心力衰竭或左室功能减退"),
        Input::yes_no("hypertension", "高血压"),
        Input::yes_no("diabetes", "糖尿病"),
        Input::yes_no("stroke", "脑卒中、短暂性脑缺血发作或血栓栓塞史"),
        Input::yes_no("vascular_disease", "心肌梗死、外周动脉病或主动脉斑块"),
    ],
    compute: stroke_risk,
};

/// What adds to the risk of stroke in atrial fibrillation, besides age and sex.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StrokeFactor {
    /// Congestive heart failure or left ventricular dysfunction.
    HeartFailure,
    /// Hypertension.
    Hypertension,
    /// Diabetes mellitus.
    Diabetes,
    /// Stroke, transient ischaemic attack or thromboembolism: 2 points.
    Stroke,
    /// Myocardial infarction, peripheral artery disease or aortic plaque.
    VascularDisease,
}

/// CHA₂DS₂-VASc of an adult with non-valvular atrial fibrillation, 0 to 9: the factors, 2 points
/// from 75 years on, 1 from 65 on, 1 for women.
///
/// Lip GYH et al., Chest 2010; 137: 263–272.
pub fn cha2ds2_vasc(age_years: f64, sex: Sex, factors: &[StrokeFactor]) -> f64 {
    let age = if age_years >= 75.0 {
        2.0
    } else if age_years >= 65.0 {
        1.0
    } else {
        0.0
    };
    let sex = match sex {
        Sex::Female => 1.0,
        Sex::Male => 0.0,
    };
    total(&STROKE, factors) + age + sex
}

fn stroke_risk(v: &Values<'_>) -> Score {
    let (age, sex) = (v.number(AGE.name), v.sex());
    let value = cha2ds2_vasc(age, sex, &answered(&STROKE, v));
    let without_sex = match sex {
        Sex::Female => value - 1.0,
        Sex::Male => value,
    };
    let advice = if without_sex < 1.0 {
        "低危：不需抗凝，定期重评"
    } else if without_sex < 2.0 {
        "中危（男1分、女2分）：应考虑口服抗凝，权衡出血风险"
    } else {
        "高危（男≥2分、女≥3分）：若无禁忌应口服抗凝，不以阿司匹林代替，转上级医院启动"
    };
    let ours = if (60.0..75.0).contains(&age) {
        "；2023年中国房颤指南用 CHA₂DS₂-VASc-60，60～64岁计1分、65岁以上计2分，会高1分"
    } else {
        ""
    };
    let meaning_zh =
        format!("{value:.0} 分，{advice}{ours}；中重度二尖瓣狭窄或机械瓣者不用本评分。");
    Score { value, meaning_zh }
}

const BLEEDING: [Item<BleedingFactor>; 8] = [
    (BleedingFactor::UncontrolledHypertension, "systolic_over_160", 1.0),
    (BleedingFactor::AbnormalKidney, "abnormal_kidney", 1.0),
    (BleedingFactor::AbnormalLiver, "abnormal_liver", 1.0),
    (BleedingFactor::Stroke, "stroke", 1.0),
    (BleedingFactor::Bleeding, "bleeding", 1.0),
    (BleedingFactor::LabileInr, "labile_inr", 1.0),
    (BleedingFactor::Drugs, "antiplatelet_or_nsaid", 1.0),
    (BleedingFactor::Alcohol, "alcohol", 1.0),
];

pub(super) const HAS_BLED: Calculator = Calculator {
    name: "has_bled",
    title_zh: "房颤抗凝出血风险 HAS-BLED",
    unit: "分",
    source: "Pisters R, Lane DA, Nieuwlaat R, de Vos CB, Crijns HJGM, Lip GYH. A novel \
             user-friendly score (HAS-BLED) to assess 1-year risk of major bleeding in patients \
             with atrial fibrillation: the Euro Heart Survey. Chest 2010; 138: 1093–1100.",
    inputs: &[
        AGE,
        Input::yes_no("systolic_over_160", "收缩压>160 mmHg"),
        Input::yes_no("abnormal_kidney", "透析、肾移植或肌酐≥200 μmol/L"),
        Input::yes_no(
            "abnormal_liver",
            "肝硬化等慢性肝病，或胆红素>2倍上限并转氨酶或碱性磷酸酶>3倍上限",
        ),
        Input::yes_no("stroke", "脑卒中史"),
        Input::yes_no("bleeding", "出血史或出血倾向（如贫血）"),
        Input::yes_no("labile_inr", "服华法林而 INR 不稳定（达标时间<60%）"),
        Input::yes_no("antiplatelet_or_nsaid", "同时用抗血小板药或非甾体抗炎药"),
        Input::yes_no("alcohol", "酗酒（每周≥8个酒精单位）"),
    ],
    compute: |v| {
        let value = has_bled(v.number(AGE.name), &answered(&BLEEDING, v));
        let rate = if value < 1.0 {
            "约1.1次"
        } else if value < 2.0 {
            "约1.0次"
        } else if value < 3.0 {
            "约1.9次"
        } else if value < 4.0 {
            "约3.7次"
        } else if value < 5.0 {
            "约8.7次"
        } else {
            "12次或更多"
        };
        let advice = if value < 3.0 {
            "出血风险不高，可以抗凝"
        } else {
            "高出血风险（≥3分）：先纠正可改的因素（血压、合用药、饮酒、INR），加强随访；\
             高分本身不是停用抗凝的理由"
        };
        let meaning_zh = format!("{value:.0} 分，每百人年大出血{rate}；{advice}。");
        Score { value, meaning_zh }
    },
};

/// What adds to the risk of bleeding under anticoagulants, besides age.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BleedingFactor {
    /// Systolic pressure above 160 mmHg.
    UncontrolledHypertension,
    /// Dialysis, transplant, or creatinine of 200 µmol/L or more.
    AbnormalKidney,
    /// Chronic liver disease, or bilirubin above twice the upper limit with enzymes above 3 times.
    AbnormalLiver,
    /// Stroke.
    Stroke,
    /// Major bleeding before, or a predisposition such as anaemia.
    Bleeding,
    /// Less than 60 % of the time in the therapeutic range.
    LabileInr,
    /// Antiplatelet drugs or NSAIDs.
    Drugs,
    /// Eight or more alcoholic drinks a week.
    Alcohol,
}

/// HAS-BLED of an adult with atrial fibrillation, 0 to 9: one point for each factor and one above
/// 65 years.
///
/// Pisters R et al., Chest 2010; 138: 1093–1100.
pub fn has_bled(age_years: f64, factors: &[BleedingFactor]) -> f64 {
    let elderly = f64::from(age_years > 65.0);
    total(&BLEEDING, factors) + elderly
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-9
    }

    #[test]
    fn all_factors_make_nine() {
        let all = STROKE.map(|(factor, ..)| factor);
        assert!(near(cha2ds2_vasc(80.0, Sex::Female, &all), 9.0));
        assert!(near(has_bled(80.0, &BLEEDING.map(|(factor, ..)| factor)), 9.0));
    }

    #[test]
    fn age_counts_from_65_and_again_from_75() {
        for (age, points) in [(64.9, 0.0), (65.0, 1.0), (74.9, 1.0), (75.0, 2.0)] {
            assert!(near(cha2ds2_vasc(age, Sex::Male, &[]), points), "{age}");
        }
        assert!(near(has_bled(65.0, &[]), 0.0) && near(has_bled(65.1, &[]), 1.0));
    }

    #[test]
    fn a_stroke_counts_twice_for_stroke_and_once_for_bleeding() {
        assert!(near(cha2ds2_vasc(50.0, Sex::Male, &[StrokeFactor::Stroke]), 2.0));
        assert!(near(has_bled(50.0, &[BleedingFactor::Stroke]), 1.0));
    }

    #[test]
    fn a_woman_of_70_with_hypertension_and_diabetes_has_four() {
        let factors = [StrokeFactor::Hypertension, StrokeFactor::Diabetes];
        assert!(near(cha2ds2_vasc(70.0, Sex::Female, &factors), 4.0));
    }
}
