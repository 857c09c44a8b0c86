//! Weight of children: an estimate where no scales are, and how it compares with the standard.

use super::growth_tables::{BOYS, GIRLS, Lms};
use super::{Calculator, FEMALE, Input, Score};
use crate::medicine::patient::Sex;

pub(super) const CHILD_WEIGHT_ESTIMATE: Calculator = Calculator {
    name: "child_weight_estimate",
    title_zh: "儿童体重估计（不能称重时）",
    unit: "kg",
    source: "Weech AA. Signposts on the highway of growth. AMA Am J Dis Child 1954; 88: 452–457; \
             王卫平, 孙锟, 常立文. 儿科学, 第9版. 北京: 人民卫生出版社, 2018.",
    inputs: &[Input::number("age_months", "月龄（3月～12岁）", "月", (3.0, 155.0))],
    compute: |v| {
        let value = child_weight_estimate(v.number("age_months"));
        let meaning_zh = format!(
            "估计体重约 {value:.1} kg，只在急用而不能称重时使用；明显偏瘦或偏胖者不准，能称重后按实际体重重算药量。"
        );
        Score { value, meaning_zh }
    },
};

pub(super) const WEIGHT_FOR_AGE: Calculator = Calculator {
    name: "weight_for_age",
    title_zh: "0～5岁年龄别体重 Z 评分（WHO）",
    unit: "Z",
    source: "WHO Multicentre Growth Reference Study Group. WHO Child Growth Standards: \
             length/height-for-age, weight-for-age, weight-for-length, weight-for-height and body \
             mass index-for-age: methods and development. Geneva: WHO, 2006; Acta Paediatr Suppl \
             2006; 450: 76–85.",
    inputs: &[
        Input::number("age_months", "月龄（早产儿用矫正月龄）", "月", (0.0, 60.0)),
        Input::number("weight_kg", "体重", "kg", (0.5, 60.0)),
        FEMALE,
    ],
    compute: |v| {
        let (age, weight) = (v.number("age_months"), v.number("weight_kg"));
        // The input ends where the standard ends.
        let value = weight_for_age_z(age, weight, v.sex()).unwrap_or_default();
        let advice = if value < -3.0 {
            "重度低体重（<-3）：查水肿和消瘦，测身长别体重和上臂围，转上级医院"
        } else if value < -2.0 {
            "低体重（-3～-2）：查喂养和慢性病，测身长别体重，营养指导，1个月内复查"
        } else if value <= 1.0 {
            "正常范围（-2～+1）：继续定期测量，看曲线走向"
        } else {
            "偏重（>+1）：用身长别体重或BMI判断是否超重"
        };
        let meaning_zh = format!("Z 评分 {value:.2}，{advice}；有水肿时体重不可靠。");
        Score { value, meaning_zh }
    },
};

/// Weight that a child of this age usually has, in kilograms. Age in months, from 3 months to the
/// end of the 12th year.
///
/// The rules of Weech (Am J Dis Child 1954; 88: 452–457), as the Chinese textbook of paediatrics
/// teaches them: below 1 year (months + 9) / 2, below 7 years 2 · years + 8, then (7 · years − 5) / 2.
pub fn child_weight_estimate(age_months: f64) -> f64 {
    let years = age_months / 12.0;
    if age_months < 12.0 {
        f64::midpoint(age_months, 9.0)
    } else if years < 7.0 {
        2.0 * years + 8.0
    } else {
        (7.0 * years - 5.0) / 2.0
    }
}

/// Weight-for-age as a z-score of the WHO Child Growth Standards. Age in months from 0 to 60,
/// weight in kilograms; nothing outside these ages.
///
/// By the monthly tables of the WHO (2006), between two months by proportion. Beyond 3 standard
/// deviations the distance between the second and the third is the unit, as the WHO has it.
pub fn weight_for_age_z(age_months: f64, weight_kg: f64, sex: Sex) -> Option<f64> {
    let table = match sex {
        Sex::Female => &GIRLS,
        Sex::Male => &BOYS,
    };
    let lms = at_age(table, age_months)?;
    let z = ((weight_kg / lms.m).powf(lms.l) - 1.0) / (lms.l * lms.s);
    Some(if z > 3.0 {
        3.0 + (weight_kg - lms.weight(3.0)) / (lms.weight(3.0) - lms.weight(2.0))
    } else if z < -3.0 {
        -3.0 + (weight_kg - lms.weight(-3.0)) / (lms.weight(-2.0) - lms.weight(-3.0))
    } else {
        z
    })
}

/// The parameters at an age.
fn at_age(table: &[Lms], age_months: f64) -> Option<Lms> {
    let months = table.iter().zip(table.iter().skip(1));
    let (before, after) =
        months.into_iter().find(|(a, b)| (a.month..=b.month).contains(&age_months))?;
    let part = (age_months - before.month) / (after.month - before.month);
    let between = |a: f64, b: f64| a + part * (b - a);
    let l = between(before.l, after.l);
    Some(Lms {
        month: age_months,
        // Where the power passes through zero the formula is its own limit, to nine digits.
        l: if l.abs() < 1e-6 { 1e-6 } else { l },
        m: between(before.m, after.m),
        s: between(before.s, after.s),
    })
}

impl Lms {
    /// The weight at a number of standard deviations.
    pub(super) fn weight(&self, z: f64) -> f64 {
        self.m * (1.0 + self.l * self.s * z).powf(1.0 / self.l)
    }
}
