//! Body mass index and body surface.

use super::{Calculator, Input, Score};

const WEIGHT: Input = Input::number("weight_kg", "体重", "kg", (1.0, 400.0));
const HEIGHT: Input = Input::number("height_cm", "身高", "cm", (30.0, 250.0));

pub(super) const BODY_MASS_INDEX: Calculator = Calculator {
    name: "body_mass_index",
    title_zh: "成人体重指数 BMI",
    unit: "kg/m²",
    source: "Keys A, Fidanza F, Karvonen MJ, Kimura N, Taylor HL. Indices of relative weight and \
             obesity. J Chronic Dis 1972; 25: 329–343. Thresholds: WS/T 428—2013 成人体重判定.",
    inputs: &[
        Input::number("weight_kg", "体重", "kg", (20.0, 400.0)),
        Input::number("height_cm", "身高（成人）", "cm", (100.0, 250.0)),
    ],
    compute: |v| {
        let value = body_mass_index(v.number("weight_kg"), v.number("height_cm"));
        let advice = if value < 18.5 {
            "体重过低（<18.5）：查消瘦原因（结核、甲亢、糖尿病、肿瘤、进食少），加强营养"
        } else if value < 24.0 {
            "体重正常（18.5～23.9）：保持"
        } else if value < 28.0 {
            "超重（24.0～27.9）：控制饮食、增加运动，查血压、血糖、血脂"
        } else {
            "肥胖（≥28.0）：制定减重计划，查血压、血糖、血脂，必要时转诊"
        };
        let meaning_zh = format!("BMI {value:.1}，{advice}；只用于18岁及以上、未怀孕者。");
        Score { value, meaning_zh }
    },
};

pub(super) const BODY_SURFACE_AREA: Calculator = Calculator {
    name: "body_surface_area",
    title_zh: "体表面积（Mosteller）",
    unit: "m²",
    source: "Mosteller RD. Simplified calculation of body-surface area. N Engl J Med 1987; 317: \
             1098.",
    inputs: &[WEIGHT, HEIGHT],
    compute: |v| {
        let value = body_surface_area(v.number(WEIGHT.name), v.number(HEIGHT.name));
        let meaning_zh = format!(
            "体表面积 {value:.2} m²，供按体表面积给药和补液时用；算出的剂量不得超过成人最大量。"
        );
        Score { value, meaning_zh }
    },
};

/// Body mass index, in kg/m². Weight in kilograms, height in centimetres.
///
/// Keys A et al., J Chronic Dis 1972; 25: 329–343 (the index of Quetelet).
pub fn body_mass_index(weight_kg: f64, height_cm: f64) -> f64 {
    let metres = height_cm / 100.0;
    weight_kg / (metres * metres)
}

/// Body surface area by Mosteller, in m². Weight in kilograms, height in centimetres; any age.
///
/// Mosteller RD, N Engl J Med 1987; 317: 1098.
pub fn body_surface_area(weight_kg: f64, height_cm: f64) -> f64 {
    (height_cm * weight_kg / 3600.0).sqrt()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::calculate;
    use super::*;

    #[test]
    fn by_hand() {
        assert!((body_mass_index(65.0, 170.0) - 22.491).abs() < 1e-3);
        // √(180 · 80 / 3600) = √4.
        assert!((body_surface_area(80.0, 180.0) - 2.0).abs() < 1e-9);
    }

    #[test]
    fn the_chinese_limits_decide() {
        for (weight, class) in [
            (18.4, "过低"),
            (18.5, "正常"),
            (23.9, "正常"),
            (24.0, "超重"),
            (27.9, "超重"),
            (28.0, "肥胖"),
        ] {
            // At 100 cm the index is the weight; a weight below 20 kg is not an adult's.
            let (weight, height) = (weight * 4.0, 200.0);
            let values = BTreeMap::from([
                ("weight_kg".to_owned(), weight),
                ("height_cm".to_owned(), height),
            ]);
            let (_, score) = calculate("body_mass_index", &values).unwrap();
            assert!(score.meaning_zh.contains(class), "{weight}: {}", score.meaning_zh);
        }
    }
}
