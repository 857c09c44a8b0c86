//! Pneumonia and sore throat.

use super::points::{Item, answered, total};
use super::{Calculator, Input, Score, Values};

const CONFUSION: Input = Input::yes_no("confusion", "新出现的意识模糊");
const RESPIRATORY_RATE: Input = Input::number("respiratory_rate", "呼吸频率", "次/分", (0.0, 80.0));
const SYSTOLIC: Input = Input::number("systolic_mmhg", "收缩压", "mmHg", (30.0, 300.0));
const DIASTOLIC: Input = Input::number("diastolic_mmhg", "舒张压", "mmHg", (10.0, 200.0));
const ADULT: Input = Input::number("age_years", "年龄", "岁", (18.0, 120.0));
const UREA: Input = Input::number("urea_mmol_l", "血尿素", "mmol/L", (0.1, 100.0));

pub(super) const CURB_65: Calculator = Calculator {
    name: "curb_65",
    title_zh: "社区获得性肺炎严重度 CURB-65",
    unit: "分",
    source: "Lim WS, van der Eerden MM, Laing R, et al. Defining community acquired pneumonia \
             severity on presentation to hospital: an international derivation and validation \
             study. Thorax 2003; 58: 377–382. Risk bands: NICE CG191. Place of care: 中华医学会\
             呼吸病学分会. 中国成人社区获得性肺炎诊断和治疗指南（2016年版）. 中华结核和呼吸杂志 \
             2016; 39: 253–279.",
    inputs: &[CONFUSION, UREA, RESPIRATORY_RATE, SYSTOLIC, DIASTOLIC, ADULT],
    compute: |v| {
        let score = curb_65(&pneumonia(v), v.number(UREA.name));
        let advice = match score {
            0 | 1 => "低危（30天病死率<3%）：一般可门诊治疗，48～72小时复诊",
            2 => "中危（3%～15%）：建议住院，或在严密随访下院外治疗",
            _ => "高危（>15%）：应立即转县级医院住院，4～5分者可能需要重症监护",
        };
        Score { value: f64::from(score), meaning_zh: pneumonia_meaning("CURB-65", score, advice) }
    },
};

pub(super) const CRB_65: Calculator = Calculator {
    name: "crb_65",
    title_zh: "社区获得性肺炎严重度 CRB-65（不需化验）",
    unit: "分",
    source: CURB_65.source,
    inputs: &[CONFUSION, RESPIRATORY_RATE, SYSTOLIC, DIASTOLIC, ADULT],
    compute: |v| {
        let score = crb_65(&pneumonia(v));
        let advice = match score {
            0 => "低危（30天病死率<1%）：一般可在家或门诊治疗，48～72小时复诊",
            1 | 2 => "中危（1%～10%）：转上级医院评估是否住院，2分者尤其要转",
            _ => "高危（>10%）：立即转县级医院住院",
        };
        Score { value: f64::from(score), meaning_zh: pneumonia_meaning("CRB-65", score, advice) }
    },
};

/// What both pneumonia scores look at.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pneumonia {
    /// New confusion.
    pub confusion: bool,
    /// Breaths per minute.
    pub respiratory_rate: f64,
    /// Systolic blood pressure.
    pub systolic_mmhg: f64,
    /// Diastolic blood pressure.
    pub diastolic_mmhg: f64,
    /// Age.
    pub age_years: f64,
}

/// CRB-65 of an adult with community-acquired pneumonia, 0 to 4: confusion, respiratory rate of 30
/// or more, blood pressure below 90 systolic or up to 60 diastolic, age of 65 or more.
///
/// Lim WS et al., Thorax 2003; 58: 377–382.
pub fn crb_65(patient: &Pneumonia) -> u8 {
    let low_pressure = patient.systolic_mmhg < 90.0 || patient.diastolic_mmhg <= 60.0;
    u8::from(patient.confusion)
        + u8::from(patient.respiratory_rate >= 30.0)
        + u8::from(low_pressure)
        + u8::from(patient.age_years >= 65.0)
}

/// CURB-65 of an adult with community-acquired pneumonia, 0 to 5: CRB-65 and urea above 7 mmol/L.
///
/// Lim WS et al., Thorax 2003; 58: 377–382.
pub fn curb_65(patient: &Pneumonia, urea_mmol_l: f64) -> u8 {
    crb_65(patient) + u8::from(urea_mmol_l > 7.0)
}

fn pneumonia(v: &Values<'_>) -> Pneumonia {
    Pneumonia {
        confusion: v.yes(CONFUSION.name),
        respiratory_rate: v.number(RESPIRATORY_RATE.name),
        systolic_mmhg: v.number(SYSTOLIC.name),
        diastolic_mmhg: v.number(DIASTOLIC.name),
        age_years: v.number(ADULT.name),
    }
}

fn pneumonia_meaning(name: &str, score: u8, advice: &str) -> String {
    format!("{name} {score} 分，{advice}；血氧饱和度低、有基础病或家中无人照护者，分低也应转诊。")
}

const THROAT: [Input; 4] = [
    Input::yes_no("fever", "发热史或体温>38℃"),
    Input::yes_no("no_cough", "没有咳嗽"),
    Input::yes_no("tonsillar_exudate", "扁桃体有渗出或脓点"),
    Input::yes_no("tender_anterior_nodes", "颈前淋巴结肿大压痛"),
];
const THROAT_SIGNS: [Item<ThroatSign>; 4] = [
    (ThroatSign::Fever, "fever", 1.0),
    (ThroatSign::NoCough, "no_cough", 1.0),
    (ThroatSign::TonsillarExudate, "tonsillar_exudate", 1.0),
    (ThroatSign::TenderAnteriorNodes, "tender_anterior_nodes", 1.0),
];

pub(super) const CENTOR: Calculator = Calculator {
    name: "centor",
    title_zh: "成人咽痛 Centor 评分",
    unit: "分",
    source: "Centor RM, Witherspoon JM, Dalton HP, Brody CE, Link K. The diagnosis of strep throat \
             in adults in the emergency room. Med Decis Making 1981; 1: 239–246.",
    inputs: &THROAT,
    compute: |v| {
        let value = centor(&answered(&THROAT_SIGNS, v));
        let chance = if value < 1.0 {
            "2.5%"
        } else if value < 2.0 {
            "6.5%"
        } else if value < 3.0 {
            "15%"
        } else if value < 4.0 {
            "32%"
        } else {
            "56%"
        };
        Score { value, meaning_zh: throat_meaning("Centor", value, chance) }
    },
};

pub(super) const MCISAAC: Calculator = Calculator {
    name: "mcisaac",
    title_zh: "咽痛 McIsaac 评分（按年龄修正的 Centor）",
    unit: "分",
    source: "McIsaac WJ, White D, Tannenbaum D, Low DE. A clinical score to reduce unnecessary \
             antibiotic use in patients with sore throat. CMAJ 1998; 158: 75–83. Probabilities: \
             McIsaac WJ, Goel V, To T, Low DE. The validity of a sore throat score in family \
             practice. CMAJ 2000; 163: 811–815.",
    inputs: &[
        Input::number("age_years", "年龄", "岁", (3.0, 120.0)),
        Input::yes_no("fever", "体温>38℃"),
        Input::yes_no("no_cough", "没有咳嗽"),
        Input::yes_no("tonsillar_exudate", "扁桃体肿大或有渗出"),
        Input::yes_no("tender_anterior_nodes", "颈前淋巴结肿大压痛"),
    ],
    compute: |v| {
        let value = mcisaac(&answered(&THROAT_SIGNS, v), v.number("age_years"));
        let chance = if value < 1.0 {
            "1%～2.5%"
        } else if value < 2.0 {
            "5%～10%"
        } else if value < 3.0 {
            "11%～17%"
        } else if value < 4.0 {
            "28%～35%"
        } else {
            "51%～53%"
        };
        Score { value, meaning_zh: throat_meaning("McIsaac", value, chance) }
    },
};

/// What speaks for streptococci in a sore throat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ThroatSign {
    /// History of fever (Centor), or above 38 °C (`McIsaac`).
    Fever,
    /// No cough.
    NoCough,
    /// Exudate on the tonsils, for `McIsaac` also swelling.
    TonsillarExudate,
    /// Swollen and tender anterior cervical nodes.
    TenderAnteriorNodes,
}

/// Centor score of an adult with a sore throat, 0 to 4: one point for each sign.
///
/// Centor RM et al., Med Decis Making 1981; 1: 239–246.
pub fn centor(signs: &[ThroatSign]) -> f64 {
    total(&THROAT_SIGNS, signs)
}

/// `McIsaac` score of a sore throat from 3 years on, −1 to 5: the Centor signs, one point more
/// below 15 years, one less from 45 on.
///
/// `McIsaac` WJ et al., CMAJ 1998; 158: 75–83.
pub fn mcisaac(signs: &[ThroatSign], age_years: f64) -> f64 {
    let age = if age_years < 15.0 {
        1.0
    } else if age_years < 45.0 {
        0.0
    } else {
        -1.0
    };
    centor(signs) + age
}

fn throat_meaning(name: &str, value: f64, chance: &str) -> String {
    let advice = if value < 2.0 {
        "不需查链球菌，也不用抗菌药，对症处理"
    } else if value < 4.0 {
        "有条件查链球菌快速抗原或咽拭子培养，阳性才用抗菌药"
    } else {
        "先查链球菌抗原或培养，不能检查时可按链球菌咽炎用药"
    };
    format!(
        "{name} {value:.0} 分，A组链球菌咽炎的可能约{chance}：{advice}；\
         流涎、张口困难、喘鸣或颈部肿胀者立即转诊。"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const WELL: Pneumonia = Pneumonia {
        confusion: false,
        respiratory_rate: 29.0,
        systolic_mmhg: 90.0,
        diastolic_mmhg: 61.0,
        age_years: 64.9,
    };

    #[test]
    fn each_limit_of_curb_65_counts_once() {
        assert_eq!((crb_65(&WELL), curb_65(&WELL, 7.0)), (0, 0));
        assert_eq!(curb_65(&WELL, 7.1), 1);
        for patient in [
            Pneumonia { confusion: true, ..WELL },
            Pneumonia { respiratory_rate: 30.0, ..WELL },
            Pneumonia { systolic_mmhg: 89.0, ..WELL },
            Pneumonia { diastolic_mmhg: 60.0, ..WELL },
            Pneumonia { systolic_mmhg: 89.0, diastolic_mmhg: 60.0, ..WELL },
            Pneumonia { age_years: 65.0, ..WELL },
        ] {
            assert_eq!((crb_65(&patient), curb_65(&patient, 7.0)), (1, 1), "{patient:?}");
        }
    }

    #[test]
    fn the_worst_has_all_the_points() {
        let worst = Pneumonia {
            confusion: true,
            respiratory_rate: 40.0,
            systolic_mmhg: 70.0,
            diastolic_mmhg: 40.0,
            age_years: 80.0,
        };
        assert_eq!((crb_65(&worst), curb_65(&worst, 20.0)), (4, 5));
    }

    #[test]
    fn age_moves_the_throat_score_by_one() {
        let all = THROAT_SIGNS.map(|(sign, ..)| sign);
        for (age, expected) in [(3.0, 5.0), (14.9, 5.0), (15.0, 4.0), (44.9, 4.0), (45.0, 3.0)] {
            assert!((mcisaac(&all, age) - expected).abs() < 1e-9, "{age}");
        }
        assert!((mcisaac(&[], 60.0) + 1.0).abs() < 1e-9);
        assert!((centor(&all[..3]) - 3.0).abs() < 1e-9);
    }

    #[test]
    fn a_sign_named_twice_counts_once() {
        assert!((centor(&[ThroatSign::Fever, ThroatSign::Fever]) - 1.0).abs() < 1e-9);
    }
}
