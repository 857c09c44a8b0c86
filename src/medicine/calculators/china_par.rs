//! Ten-year risk of atherosclerotic cardiovascular disease in Chinese adults.
//!
//! The paper prints its coefficients to two digits, which is too coarse to give its own results
//! (6 % too high for men). Its worked example multiplies with the exact ones: dividing those
//! products by the example's values gives the six continuous coefficients of men to four digits. The
//! baseline survival of women, printed as 0.99, is solved from the example of women (sum 119.22,
//! risk 10.1 %). With both, the table of the paper comes out to within 1 %.

use super::{Calculator, FEMALE, Input, Score, Values};
use crate::medicine::patient::Sex;

/// mmol/L of cholesterol in one mg/dL, as the paper converts.
const MMOL_L_IN_MG_DL: f64 = 0.0259;

pub(super) const CHINA_PAR: Calculator = Calculator {
    name: "china_par",
    title_zh: "10年心脑血管病风险 China-PAR（中国人群）",
    unit: "%",
    source: "Yang X, Li J, Hu D, et al. Predicting the 10-year risks of atherosclerotic \
             cardiovascular disease in Chinese population: the China-PAR project (Prediction for \
             ASCVD Risk in China). Circulation 2016; 134: 1430–1440, Data Supplement Tables 1–2. \
             Classes: 中国心血管病风险评估和管理指南编写联合委员会. 中国心血管病风险评估和管理指南. \
             中国循环杂志 2019; 34: 4–28.",
    inputs: &[
        Input::number("age_years", "年龄", "岁", (35.0, 74.0)),
        FEMALE,
        Input::number("systolic_mmhg", "收缩压（诊室坐位）", "mmHg", (70.0, 200.0)),
        Input::number("total_cholesterol_mmol_l", "总胆固醇", "mmol/L", (2.0, 11.0)),
        Input::number("hdl_cholesterol_mmol_l", "高密度脂蛋白胆固醇", "mmol/L", (0.5, 4.0)),
        Input::number("waist_cm", "腰围", "cm", (50.0, 130.0)),
        Input::yes_no("treated_hypertension", "近两周服用降压药"),
        Input::yes_no("smoker", "现在吸烟"),
        Input::yes_no("diabetes", "糖尿病（空腹血糖≥7.0 mmol/L 或用降糖药）"),
        Input::yes_no("north", "住在北方（长江以北）"),
        Input::yes_no("urban", "住在城市（女性不影响结果）").optional(),
        Input::yes_no("family_history", "父母或兄弟姐妹有心肌梗死或脑卒中（女性不影响结果）")
            .optional(),
    ],
    compute: described,
};

/// What is present besides the measurements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChinaParFactor {
    /// Took drugs for hypertension within two weeks.
    TreatedHypertension,
    /// Smokes now.
    Smoker,
    /// Fasting glucose of 7.0 mmol/L or more, or takes drugs for it.
    Diabetes,
    /// Lives north of the Yangtze.
    North,
    /// Lives in a city; counts for men only.
    Urban,
    /// A parent or sibling had a myocardial infarction or a stroke; counts for men only.
    FamilyHistory,
}

/// The factors and the inputs that ask for them.
const FACTORS: [(ChinaParFactor, &str); 6] = [
    (ChinaParFactor::TreatedHypertension, "treated_hypertension"),
    (ChinaParFactor::Smoker, "smoker"),
    (ChinaParFactor::Diabetes, "diabetes"),
    (ChinaParFactor::North, "north"),
    (ChinaParFactor::Urban, "urban"),
    (ChinaParFactor::FamilyHistory, "family_history"),
];

/// Who is assessed: an adult from 35 to 74 years without myocardial infarction or stroke.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ChinaPar<'a> {
    /// Age.
    pub age_years: f64,
    /// Sex.
    pub sex: Sex,
    /// Systolic blood pressure.
    pub systolic_mmhg: f64,
    /// Total cholesterol.
    pub total_cholesterol_mmol_l: f64,
    /// Cholesterol in high-density lipoproteins.
    pub hdl_cholesterol_mmol_l: f64,
    /// Waist.
    pub waist_cm: f64,
    /// What is present.
    pub factors: &'a [ChinaParFactor],
}

/// Coefficients of one sex. All measurements enter as natural logarithms, cholesterol in mg/dL.
struct Equation {
    age: f64,
    /// Untreated, treated.
    systolic: (f64, f64),
    total_cholesterol: f64,
    hdl_cholesterol: f64,
    waist: f64,
    smoker: f64,
    diabetes: f64,
    north: f64,
    urban: f64,
    family_history: f64,
    /// With age: untreated, treated.
    age_systolic: (f64, f64),
    age_smoker: f64,
    age_family_history: f64,
    mean: f64,
    survival: f64,
}

const MEN: Equation = Equation {
    age: 31.966_04,
    systolic: (26.148_76, 27.39),
    total_cholesterol: 0.620_90,
    hdl_cholesterol: -0.693_73,
    waist: -0.712_00,
    smoker: 3.96,
    diabetes: 0.36,
    north: 0.48,
    urban: -0.16,
    family_history: 6.22,
    age_systolic: (-5.730_74, -6.02),
    age_smoker: -0.94,
    age_family_history: -1.53,
    mean: 140.68,
    survival: 0.9707,
};

const WOMEN: Equation = Equation {
    age: 24.87,
    systolic: (19.98, 20.71),
    total_cholesterol: 0.06,
    hdl_cholesterol: -0.22,
    waist: 1.48,
    smoker: 0.49,
    diabetes: 0.57,
    north: 0.54,
    urban: 0.0,
    family_history: 0.0,
    age_systolic: (-4.36, -4.53),
    age_smoker: 0.0,
    age_family_history: 0.0,
    mean: 117.26,
    survival: 0.9851,
};

/// Risk of a myocardial infarction, coronary death or stroke within 10 years by the China-PAR
/// equations, in percent, for Chinese adults from 35 to 74 years.
///
/// Yang X et al., Circulation 2016; 134: 1430–1440, Data Supplement Tables 1 and 2.
pub fn china_par(person: &ChinaPar<'_>) -> f64 {
    let equation = match person.sex {
        Sex::Female => &WOMEN,
        Sex::Male => &MEN,
    };
    let individual: f64 = terms(equation, person).iter().sum();
    100.0 * (1.0 - equation.survival.powf((individual - equation.mean).exp()))
}

/// Coefficient times value, in the order of the paper.
fn terms(e: &Equation, p: &ChinaPar<'_>) -> [f64; 13] {
    let has = |factor| f64::from(p.factors.contains(&factor));
    let either = |(untreated, treated): (f64, f64)| {
        let treated_hypertension = p.factors.contains(&ChinaParFactor::TreatedHypertension);
        if treated_hypertension { treated } else { untreated }
    };
    let (age, systolic) = (p.age_years.ln(), p.systolic_mmhg.ln());
    [
        e.age * age,
        either(e.systolic) * systolic,
        e.total_cholesterol * (p.total_cholesterol_mmol_l / MMOL_L_IN_MG_DL).ln(),
        e.hdl_cholesterol * (p.hdl_cholesterol_mmol_l / MMOL_L_IN_MG_DL).ln(),
        e.waist * p.waist_cm.ln(),
        e.diabetes * has(ChinaParFactor::Diabetes),
        e.north * has(ChinaParFactor::North),
        e.urban * has(ChinaParFactor::Urban),
        either(e.age_systolic) * age * systolic,
        e.smoker * has(ChinaParFactor::Smoker),
        e.family_history * has(ChinaParFactor::FamilyHistory),
        e.age_smoker * age * has(ChinaParFactor::Smoker),
        e.age_family_history * age * has(ChinaParFactor::FamilyHistory),
    ]
}

fn described(v: &Values<'_>) -> Score {
    let factors: Vec<_> =
        FACTORS.iter().filter(|(_, input)| v.yes(input)).map(|(factor, _)| *factor).collect();
    let value = china_par(&ChinaPar {
        age_years: v.number("age_years"),
        sex: v.sex(),
        systolic_mmhg: v.number("systolic_mmhg"),
        total_cholesterol_mmol_l: v.number("total_cholesterol_mmol_l"),
        hdl_cholesterol_mmol_l: v.number("hdl_cholesterol_mmol_l"),
        waist_cm: v.number("waist_cm"),
        factors: &factors,
    });
    let advice = if value < 5.0 {
        "低危（<5%）：保持健康生活方式，定期复查"
    } else if value < 10.0 {
        "中危（5%～9.9%）：改善生活方式，控制血压、血脂、血糖，戒烟，每年复评"
    } else {
        "高危（≥10%）：在改善生活方式的同时，转上级医院评估降压和他汀治疗"
    };
    let meaning_zh = format!(
        "10年内发生心肌梗死、冠心病死亡或脑卒中的风险约 {value:.1}%，{advice}；\
         已有冠心病或脑卒中者不用本评分，直接按高危管理。"
    );
    Score { value, meaning_zh }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the paper: 130 mmHg untreated, cholesterol 210 and HDL 55 mg/dL, waist 80 cm,
    /// diabetes, does not smoke, lives in a city of the north, no family history.
    fn example(age_years: f64, sex: Sex) -> ChinaPar<'static> {
        ChinaPar {
            age_years,
            sex,
            systolic_mmhg: 130.0,
            total_cholesterol_mmol_l: 210.0 * MMOL_L_IN_MG_DL,
            hdl_cholesterol_mmol_l: 55.0 * MMOL_L_IN_MG_DL,
            waist_cm: 80.0,
            factors: &[ChinaParFactor::Diabetes, ChinaParFactor::North, ChinaParFactor::Urban],
        }
    }

    #[test]
    fn the_products_of_the_worked_example_come_out() {
        let products = terms(&MEN, &example(60.0, Sex::Male));
        let printed = [130.88, 127.28, 3.32, -2.78, -3.12, 0.36, 0.48, -0.16, -114.21];
        for (product, printed) in products.iter().zip(printed) {
            assert!((product - printed).abs() < 0.006, "{product}, not {printed}");
        }
        let men: f64 = products.iter().sum();
        let women: f64 = terms(&WOMEN, &example(60.0, Sex::Female)).iter().sum();
        assert!((men - 142.04).abs() < 0.015 && (women - 119.22).abs() < 0.01, "{men}, {women}");
    }

    #[test]
    fn the_risks_of_table_2_come_out() {
        for (age, men, women) in
            [(40.0, 2.2, 2.4), (50.0, 5.4, 5.4), (60.0, 11.0, 10.1), (70.0, 19.6, 17.1)]
        {
            for (sex, printed) in [(Sex::Male, men), (Sex::Female, women)] {
                let risk = china_par(&example(age, sex));
                assert!((risk - printed).abs() < 0.1, "{age}, {sex:?}: {risk}, not {printed}");
            }
        }
    }

    #[test]
    fn the_example_of_the_chinese_guideline_is_at_low_risk() {
        // Appendix of the guideline of 2019, by the official calculator: 4.7 %.
        let risk = china_par(&ChinaPar {
            age_years: 40.0,
            sex: Sex::Male,
            systolic_mmhg: 145.0,
            total_cholesterol_mmol_l: 5.2,
            hdl_cholesterol_mmol_l: 1.3,
            waist_cm: 80.0,
            factors: &[ChinaParFactor::North, ChinaParFactor::Urban, ChinaParFactor::FamilyHistory],
        });
        assert!((risk - 4.7).abs() < 0.2 && risk < 5.0, "{risk}");
    }

    /// Outputs of the official calculator (cvdrisk.com.cn), which has more digits than the paper
    /// prints: treated, smoker, diabetes, family history, 160 mmHg, 300 and 30 mg/dL.
    #[test]
    fn the_official_calculator_is_met_within_a_twentieth() {
        use ChinaParFactor::{Diabetes, FamilyHistory, North, Smoker, TreatedHypertension, Urban};
        let ill = [TreatedHypertension, Smoker, Diabetes, FamilyHistory];
        for (sex, age, north, official) in [
            (Sex::Male, 40.0, false, 39.2),
            (Sex::Male, 50.0, false, 32.5),
            (Sex::Male, 60.0, false, 27.7),
            (Sex::Male, 70.0, true, 31.4),
            (Sex::Female, 40.0, false, 13.6),
            (Sex::Female, 50.0, true, 31.9),
            (Sex::Female, 60.0, true, 41.9),
        ] {
            let mut factors = ill.to_vec();
            if north {
                factors.extend([North, Urban]);
            }
            let waist_cm = match sex {
                Sex::Male => 110.0,
                Sex::Female => 100.0,
            };
            let risk = china_par(&ChinaPar {
                age_years: age,
                sex,
                systolic_mmhg: 160.0,
                total_cholesterol_mmol_l: 300.0 * MMOL_L_IN_MG_DL,
                hdl_cholesterol_mmol_l: 30.0 * MMOL_L_IN_MG_DL,
                waist_cm,
                factors: &factors,
            });
            assert!((risk / official - 1.0).abs() < 0.05, "{sex:?} {age}: {risk}, not {official}");
        }
    }
}
