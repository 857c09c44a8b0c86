//! Fluids in diarrhoea by the plans of the WHO, and the anion gap.

use super::{Calculator, Input, Score, Values};

const WHO_2005: &str = "World Health Organization. The treatment of diarrhoea: a manual for \
                        physicians and other senior health workers, 4th rev. Geneva: WHO, 2005 \
                        (WHO/FCH/CAH/05.1), treatment plans A, B and C.";

const AGE: Input = Input::number("age_months", "月龄", "月", (0.0, 1440.0));
const WEIGHT: Input = Input::number("weight_kg", "体重", "kg", (2.0, 150.0));

pub(super) const REHYDRATION_PLAN_A: Calculator = Calculator {
    name: "rehydration_plan_a",
    title_zh: "腹泻无脱水：方案A 口服补液盐用量",
    unit: "mL/日",
    source: WHO_2005,
    inputs: &[AGE],
    compute: |v| {
        let age = v.number(AGE.name);
        let plan = plan_a(age);
        let stool = plan.per_stool_ml.map_or_else(
            || "按需要随意喝".to_owned(),
            |(least, most)| format!("{least:.0}～{most:.0} mL"),
        );
        let zinc = zinc(age);
        let value = plan.per_day_ml;
        let meaning_zh = format!(
            "在家补液：每次稀便后喝口服补液盐{stool}，备 {value:.0} mL/日；继续哺乳和进食。{zinc}\
             眼窝凹陷、口渴明显、便血、发热或吃不进时复诊。"
        );
        Score { value, meaning_zh }
    },
};

pub(super) const REHYDRATION_PLAN_B: Calculator = Calculator {
    name: "rehydration_plan_b",
    title_zh: "腹泻轻中度脱水：方案B 口服补液盐用量",
    unit: "mL",
    source: WHO_2005,
    inputs: &[AGE, WEIGHT],
    compute: |v| {
        let value = plan_b(v.number(WEIGHT.name));
        let zinc = zinc(v.number(AGE.name));
        let meaning_zh = format!(
            "在诊所4小时内少量多次喝口服补液盐约 {value:.0} mL（75 mL/kg），想喝可多给，\
             呕吐则停10分钟再慢喝；4小时后重新判断脱水，加重改方案C。{zinc}\
             重度营养不良者不用本量，转诊。"
        );
        Score { value, meaning_zh }
    },
};

pub(super) const REHYDRATION_PLAN_C: Calculator = Calculator {
    name: "rehydration_plan_c",
    title_zh: "腹泻重度脱水：方案C 静脉补液用量",
    unit: "mL",
    source: WHO_2005,
    inputs: &[AGE, WEIGHT],
    compute: severe,
};

/// Fluid at home for a patient without signs of dehydration.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PlanA {
    /// Least and most after each loose stool; from 10 years on as much as is wanted.
    pub per_stool_ml: Option<(f64, f64)>,
    /// Oral rehydration solution to have at home for a day.
    pub per_day_ml: f64,
}

/// Plan A of the WHO, by age in months.
///
/// WHO, The treatment of diarrhoea, 2005: below 2 years 50 to 100 mL after each loose stool and
/// 500 mL a day, below 10 years 100 to 200 mL and 1000 mL, then as wanted and 2000 mL.
pub fn plan_a(age_months: f64) -> PlanA {
    if age_months < 24.0 {
        PlanA { per_stool_ml: Some((50.0, 100.0)), per_day_ml: 500.0 }
    } else if age_months < 120.0 {
        PlanA { per_stool_ml: Some((100.0, 200.0)), per_day_ml: 1000.0 }
    } else {
        PlanA { per_stool_ml: None, per_day_ml: 2000.0 }
    }
}

/// Plan B of the WHO for some dehydration: oral rehydration solution of the first 4 hours in mL,
/// 75 mL/kg. Weight in kilograms.
///
/// WHO, The treatment of diarrhoea, 2005. Its table ends with 4000 mL for adults, and so does this.
pub fn plan_b(weight_kg: f64) -> f64 {
    (75.0 * weight_kg).min(4000.0)
}

/// Intravenous fluid for severe dehydration, in two steps.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PlanC {
    /// First amount.
    pub first_ml: f64,
    /// Its time.
    pub first_hours: f64,
    /// Second amount.
    pub then_ml: f64,
    /// Its time.
    pub then_hours: f64,
}

/// Plan C of the WHO: 30 mL/kg, then 70 mL/kg of Ringer's lactate; below 12 months in 1 and
/// 5 hours, later in half an hour and 2½ hours. Age in months, weight in kilograms.
///
/// WHO, The treatment of diarrhoea, 2005.
pub fn plan_c(age_months: f64, weight_kg: f64) -> PlanC {
    let (first_hours, then_hours) = if age_months < 12.0 { (1.0, 5.0) } else { (0.5, 2.5) };
    let (first_ml, then_ml) = (30.0 * weight_kg, 70.0 * weight_kg);
    PlanC { first_ml, first_hours, then_ml, then_hours }
}

/// Zinc for a child with diarrhoea.
fn zinc(age_months: f64) -> &'static str {
    if age_months < 6.0 {
        "补锌10 mg/日，10～14日。"
    } else if age_months < 60.0 {
        "补锌20 mg/日，10～14日。"
    } else {
        ""
    }
}

fn severe(v: &Values<'_>) -> Score {
    let PlanC { first_ml, first_hours, then_ml, then_hours } =
        plan_c(v.number(AGE.name), v.number(WEIGHT.name));
    let value = first_ml + then_ml;
    let meaning_zh = format!(
        "呼叫120，同时静脉滴乳酸林格液（没有则生理盐水）共 {value:.0} mL：先 {first_ml:.0} mL \
         在{}分钟内，再 {then_ml:.0} mL 在{then_hours}小时内，能喝时加口服补液盐每小时5 mL/kg；\
         不能静脉时鼻饲口服补液盐每小时20 mL/kg 并转运；\
         重度营养不良、心衰、肾衰者不用本量。",
        first_hours * 60.0
    );
    Score { value, meaning_zh }
}

pub(super) const ANION_GAP: Calculator = Calculator {
    name: "anion_gap",
    title_zh: "阴离子间隙",
    unit: "mmol/L",
    source: "Emmett M, Narins RG. Clinical use of the anion gap. Medicine (Baltimore) 1977; 56: \
             38–54.",
    inputs: &[
        Input::number("sodium_mmol_l", "血钠", "mmol/L", (90.0, 200.0)),
        Input::number("chloride_mmol_l", "血氯", "mmol/L", (50.0, 160.0)),
        Input::number("bicarbonate_mmol_l", "碳酸氢根", "mmol/L", (1.0, 60.0)),
    ],
    compute: |v| {
        let (sodium, chloride) = (v.number("sodium_mmol_l"), v.number("chloride_mmol_l"));
        let value = anion_gap(sodium, chloride, v.number("bicarbonate_mmol_l"));
        let advice = if value > 16.0 {
            "升高（>16）：想到酮症酸中毒、乳酸酸中毒、肾衰竭、甲醇或水杨酸中毒，立即转诊"
        } else if value < 8.0 {
            "偏低（<8）：多为低白蛋白或化验误差，复查"
        } else {
            "正常（8～16）：若碳酸氢根低，多为腹泻或肾小管性的高氯性酸中毒"
        };
        let meaning_zh = format!(
            "{value:.0} mmol/L，{advice}；各实验室参考值不同，白蛋白每低10 g/L 间隙约低2.5。"
        );
        Score { value, meaning_zh }
    },
};

/// Anion gap without potassium, in mmol/L, as are the arguments.
///
/// Emmett M, Narins RG, Medicine 1977; 56: 38–54.
pub fn anion_gap(sodium_mmol_l: f64, chloride_mmol_l: f64, bicarbonate_mmol_l: f64) -> f64 {
    sodium_mmol_l - (chloride_mmol_l + bicarbonate_mmol_l)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plan_a_changes_at_two_and_at_ten_years() {
        for (months, most, day) in [
            (0.0, Some(100.0), 500.0),
            (23.9, Some(100.0), 500.0),
            (24.0, Some(200.0), 1000.0),
            (119.9, Some(200.0), 1000.0),
            (120.0, None, 2000.0),
        ] {
            let plan = plan_a(months);
            assert_eq!(plan.per_stool_ml.map(|(_, most)| most), most, "{months}");
            assert!((plan.per_day_ml - day).abs() < 1e-9, "{months}");
        }
    }

    /// The table of plan B: least and most weight of a column, least and most volume.
    #[test]
    fn plan_b_stays_near_the_table_of_the_who() {
        for (weights, volumes) in [
            ((3.0, 4.9), (200.0, 400.0)),
            ((5.0, 7.9), (400.0, 600.0)),
            ((8.0, 10.9), (600.0, 800.0)),
            ((11.0, 15.9), (800.0, 1200.0)),
            ((16.0, 29.9), (1200.0, 2200.0)),
            ((30.0, 150.0), (2200.0, 4000.0)),
        ] {
            for weight in [weights.0, weights.1] {
                let volume = plan_b(weight);
                // The table is rounded to whole cups.
                assert!(
                    (volumes.0 - 30.0..=volumes.1 + 50.0).contains(&volume),
                    "{weight}: {volume}"
                );
            }
        }
        assert!((plan_b(8.0) - 600.0).abs() < 1e-9);
    }

    #[test]
    fn plan_c_is_slower_in_the_first_year() {
        let infant = plan_c(11.9, 8.0);
        let child = plan_c(12.0, 10.0);
        let near = |a: f64, b: f64| (a - b).abs() < 1e-9;
        assert!(near(infant.first_ml, 240.0) && near(infant.then_ml, 560.0));
        assert!(near(infant.first_hours, 1.0) && near(infant.then_hours, 5.0));
        assert!(near(child.first_ml, 300.0) && near(child.then_ml, 700.0));
        assert!(near(child.first_hours, 0.5) && near(child.then_hours, 2.5));
    }

    #[test]
    fn the_gap_by_hand() {
        assert!((anion_gap(140.0, 104.0, 24.0) - 12.0).abs() < 1e-9);
    }
}
