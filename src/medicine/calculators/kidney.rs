//! Kidney function from serum creatinine.

use super::{Calculator, FEMALE, Input, Score, Values};
use crate::medicine::patient::Sex;

/// µmol/L of creatinine in one mg/dL.
const UMOL_L_IN_MG_DL: f64 = 88.4;

/// Creatinine that a laboratory can report.
const CREATININE: Input = Input::number("creatinine_umol_l", "血肌酐", "μmol/L", (10.0, 3000.0));
/// Adults.
const AGE: Input = Input::number("age_years", "年龄", "岁", (18.0, 120.0));

pub(super) const CKD_EPI_2021: Calculator = Calculator {
    name: "ckd_epi_2021",
    title_zh: "估算肾小球滤过率 eGFR（CKD-EPI 2021）",
    unit: "mL/min/1.73m²",
    source: "Inker LA, Eneanya ND, Coresh J, et al. New creatinine- and cystatin C-based equations \
             to estimate GFR without race. N Engl J Med 2021; 385: 1737–1749. Stages: KDIGO 2024 \
             clinical practice guideline for CKD. Kidney Int 2024; 105(4S): S117–S314.",
    inputs: &[CREATININE, AGE, FEMALE],
    compute: |v| {
        let (creatinine, age) = (v.number(CREATININE.name), v.number(AGE.name));
        let value = ckd_epi_2021(creatinine, age, v.sex());
        Score { value, meaning_zh: format!("eGFR {value:.0}，{}", kdigo(value)) }
    },
};

pub(super) const COCKCROFT_GAULT: Calculator = Calculator {
    name: "cockcroft_gault",
    title_zh: "肌酐清除率（Cockcroft-Gault）",
    unit: "mL/min",
    source: "Cockcroft DW, Gault MH. Prediction of creatinine clearance from serum creatinine. \
             Nephron 1976; 16: 31–41. Classes: FDA guidance on pharmacokinetics in patients with \
             impaired renal function, 2024.",
    inputs: &[CREATININE, AGE, Input::number("weight_kg", "体重", "kg", (20.0, 300.0)), FEMALE],
    compute: clearance,
};

/// Glomerular filtration rate by the CKD-EPI creatinine equation of 2021 without race, in
/// mL/min/1.73 m². Creatinine in µmol/L, age in years; for adults from 18 on.
///
/// Inker LA et al., N Engl J Med 2021; 385: 1737–1749.
pub fn ckd_epi_2021(creatinine_umol_l: f64, age_years: f64, sex: Sex) -> f64 {
    let (kappa, alpha, factor) = match sex {
        Sex::Female => (0.7, -0.241, 1.012),
        Sex::Male => (0.9, -0.302, 1.0),
    };
    let ratio = creatinine_umol_l / UMOL_L_IN_MG_DL / kappa;
    142.0
        * ratio.min(1.0).powf(alpha)
        * ratio.max(1.0).powf(-1.2)
        * 0.9938_f64.powf(age_years)
        * factor
}

/// Creatinine clearance by Cockcroft and Gault, in mL/min. Creatinine in µmol/L, age in years,
/// weight in kilograms.
///
/// Cockcroft DW, Gault MH, Nephron 1976; 16: 31–41.
pub fn cockcroft_gault(creatinine_umol_l: f64, age_years: f64, weight_kg: f64, sex: Sex) -> f64 {
    let factor = match sex {
        Sex::Female => 0.85,
        Sex::Male => 1.0,
    };
    (140.0 - age_years) * weight_kg * factor / (72.0 * creatinine_umol_l / UMOL_L_IN_MG_DL)
}

/// The stage of KDIGO 2024 and what to do at it.
fn kdigo(gfr: f64) -> &'static str {
    if gfr >= 90.0 {
        "G1 期（≥90）：滤过率正常；有蛋白尿或血尿仍可能有慢性肾病，要查尿。"
    } else if gfr >= 60.0 {
        "G2 期（60～89）：轻度下降；查尿白蛋白/肌酐比，每年复查。"
    } else if gfr >= 45.0 {
        "G3a 期（45～59）：轻中度下降；持续3个月以上为慢性肾病，经肾排泄的药要核对剂量，避免肾毒性药。"
    } else if gfr >= 30.0 {
        "G3b 期（30～44）：中重度下降；经肾排泄的药要减量，避免非甾体抗炎药，转上级医院评估。"
    } else if gfr >= 15.0 {
        "G4 期（15～29）：重度下降；用药须按肾功能调整，转肾内科。"
    } else {
        "G5 期（<15）：肾衰竭；尽快转肾内科。肌酐在短期内升高时按急性肾损伤处理，本式不适用。"
    }
}

fn clearance(v: &Values<'_>) -> Score {
    let (creatinine, age) = (v.number(CREATININE.name), v.number(AGE.name));
    let value = cockcroft_gault(creatinine, age, v.number("weight_kg"), v.sex());
    let class = if value >= 90.0 {
        "正常（≥90）：一般不需因肾功能调整剂量。"
    } else if value >= 60.0 {
        "轻度减退（60～89）：多数药不需调整，按说明书核对。"
    } else if value >= 30.0 {
        "中度减退（30～59）：经肾排泄的药按说明书调整剂量或间隔。"
    } else if value >= 15.0 {
        "重度减退（15～29）：许多药须减量或禁用，逐个核对说明书，转上级医院。"
    } else {
        "肾衰竭（<15）：用药请肾内科决定。"
    };
    let meaning_zh = format!("肌酐清除率 {value:.0} mL/min，{class}肥胖、消瘦或水肿者估算不准。");
    Score { value, meaning_zh }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Creatinine in mg/dL.
    fn gfr(creatinine: f64, age: f64, sex: Sex) -> f64 {
        ckd_epi_2021(creatinine * UMOL_L_IN_MG_DL, age, sex)
    }

    #[test]
    fn the_calculator_of_the_national_kidney_foundation_gives_the_same() {
        // kidney.org: man of 55 years, 1.2 mg/dL: 71 mL/min/1.73 m².
        assert!((gfr(1.2, 55.0, Sex::Male) - 71.0).abs() < 0.5);
    }

    #[test]
    fn at_the_knot_only_the_constants_are_left() {
        for (knot, sex, factor) in [(0.7, Sex::Female, 1.012), (0.9, Sex::Male, 1.0)] {
            for age in [18.0, 50.0, 90.0] {
                let expected = 142.0 * factor * 0.9938_f64.powf(age);
                assert!((gfr(knot, age, sex) - expected).abs() < 1e-9);
            }
            let step = gfr(knot - 1e-6, 50.0, sex) - gfr(knot + 1e-6, 50.0, sex);
            assert!((0.0..0.01).contains(&step), "no jump at the knot: {step}");
        }
    }

    #[test]
    fn cockcroft_and_gault_by_hand() {
        // (140 − 60) · 72 / (72 · 1.0) = 80, and 85 % of it for a woman.
        let of = |sex| cockcroft_gault(88.4, 60.0, 72.0, sex);
        assert!((of(Sex::Male) - 80.0).abs() < 1e-9);
        assert!((of(Sex::Female) - 68.0).abs() < 1e-9);
    }

    #[test]
    fn each_stage_begins_at_its_limit() {
        for (gfr, stage) in [
            (90.0, "G1 "),
            (89.9, "G2 "),
            (60.0, "G2 "),
            (59.9, "G3a"),
            (45.0, "G3a"),
            (44.9, "G3b"),
            (30.0, "G3b"),
            (29.9, "G4 "),
            (15.0, "G4 "),
            (14.9, "G5 "),
        ] {
            assert!(kdigo(gfr).starts_with(stage), "{gfr}");
        }
    }
}
