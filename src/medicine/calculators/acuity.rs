//! How ill an adult is now, whatever the cause.

use super::{Calculator, Input, Score, Values};

const RESPIRATORY_RATE: Input = Input::number("respiratory_rate", "呼吸频率", "次/分", (0.0, 80.0));
const SYSTOLIC: Input = Input::number("systolic_mmhg", "收缩压", "mmHg", (20.0, 300.0));
const ALTERED: Input = Input::yes_no("altered_mentation", "意识改变（新出现的糊涂、嗜睡或昏迷）");

pub(super) const QSOFA: Calculator = Calculator {
    name: "qsofa",
    title_zh: "感染者快速器官衰竭评分 qSOFA",
    unit: "分",
    source: "Singer M, Deutschman CS, Seymour CW, et al. The third international consensus \
             definitions for sepsis and septic shock (Sepsis-3). JAMA 2016; 315: 801–810.",
    inputs: &[RESPIRATORY_RATE, SYSTOLIC, ALTERED],
    compute: |v| {
        let rate = v.number(RESPIRATORY_RATE.name);
        let score = qsofa(rate, v.number(SYSTOLIC.name), v.yes(ALTERED.name));
        let advice = if score >= 2 {
            "（≥2分）感染者死亡风险明显升高：按脓毒症处理，呼叫120，建静脉通路并补液，血氧低时吸氧"
        } else {
            "（<2分）不能排除脓毒症：病情加重时重评，有其他危险征象照样转诊"
        };
        Score { value: f64::from(score), meaning_zh: format!("{score} 分，{advice}。") }
    },
};

/// Quick SOFA of an adult with a suspected infection, 0 to 3: respiratory rate of 22 or more,
/// systolic pressure up to 100 mmHg, altered mentation.
///
/// Singer M et al., JAMA 2016; 315: 801–810.
pub fn qsofa(respiratory_rate: f64, systolic_mmhg: f64, altered_mentation: bool) -> u8 {
    u8::from(respiratory_rate >= 22.0)
        + u8::from(systolic_mmhg <= 100.0)
        + u8::from(altered_mentation)
}

pub(super) const NEWS2: Calculator = Calculator {
    name: "news2",
    title_zh: "早期预警评分 NEWS2",
    unit: "分",
    source: "Royal College of Physicians. National Early Warning Score (NEWS) 2: standardising the \
             assessment of acute-illness severity in the NHS. London: RCP, 2017.",
    inputs: &[
        RESPIRATORY_RATE,
        Input::number("spo2_percent", "血氧饱和度", "%", (40.0, 100.0)),
        Input::yes_no(
            "hypercapnic",
            "确诊高碳酸性呼吸衰竭、目标血氧88%～92%（用第2量表；不填按否）",
        )
        .optional(),
        Input::yes_no("oxygen", "正在吸氧"),
        SYSTOLIC,
        Input::number("pulse_bpm", "脉搏", "次/分", (0.0, 300.0)),
        Input::yes_no(
            "altered_mentation",
            "意识不清醒（新出现的糊涂，或只对声音、疼痛有反应或无反应）",
        ),
        Input::number("temperature_c", "体温", "℃", (25.0, 45.0)),
    ],
    compute: early_warning,
};

/// What the early warning score looks at.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Observations {
    /// Breaths per minute.
    pub respiratory_rate: f64,
    /// Oxygen saturation.
    pub spo2_percent: f64,
    /// Confirmed hypercapnic respiratory failure with a target of 88 to 92 %: scale 2.
    pub hypercapnic: bool,
    /// Breathes added oxygen.
    pub oxygen: bool,
    /// Systolic blood pressure.
    pub systolic_mmhg: f64,
    /// Pulse.
    pub pulse_bpm: f64,
    /// New confusion, or responds only to voice, to pain, or not at all.
    pub altered_mentation: bool,
    /// Temperature.
    pub temperature_c: f64,
}

impl Observations {
    /// The points of each observation: respiration, saturation, oxygen, pressure, pulse,
    /// consciousness, temperature.
    fn points(&self) -> [u8; 7] {
        let saturation = if self.hypercapnic {
            saturation_scale_2(self.spo2_percent, self.oxygen)
        } else {
            band(self.spo2_percent, &[(92.0, 3), (94.0, 2), (96.0, 1)], 0)
        };
        [
            band(self.respiratory_rate, &[(9.0, 3), (12.0, 1), (21.0, 0), (25.0, 2)], 3),
            saturation,
            if self.oxygen { 2 } else { 0 },
            band(self.systolic_mmhg, &[(91.0, 3), (101.0, 2), (111.0, 1), (220.0, 0)], 3),
            band(self.pulse_bpm, &[(41.0, 3), (51.0, 1), (91.0, 0), (111.0, 1), (131.0, 2)], 3),
            if self.altered_mentation { 3 } else { 0 },
            band(self.temperature_c, &[(35.05, 3), (36.05, 1), (38.05, 0), (39.05, 1)], 2),
        ]
    }
}

/// National Early Warning Score 2 of a patient from 16 years on who is not pregnant, 0 to 20.
///
/// Royal College of Physicians, 2017. Its chart has whole numbers, and tenths for the temperature:
/// what lies between two of them counts as the lower one, a temperature as the nearest tenth.
pub fn news2(observations: &Observations) -> u8 {
    observations.points().iter().sum()
}

/// The points of the first band that the value is below, or of what lies above all.
fn band(value: f64, bands: &[(f64, u8)], above: u8) -> u8 {
    bands.iter().find(|(limit, _)| value < *limit).map_or(above, |(_, points)| *points)
}

/// Saturation where 88 to 92 % is the target: too much counts only under oxygen.
fn saturation_scale_2(spo2_percent: f64, oxygen: bool) -> u8 {
    let low = [(84.0, 3), (86.0, 2), (88.0, 1), (93.0, 0)];
    if oxygen {
        band(spo2_percent, &[low.as_slice(), &[(95.0, 1), (97.0, 2)]].concat(), 3)
    } else {
        band(spo2_percent, &low, 0)
    }
}

fn early_warning(v: &Values<'_>) -> Score {
    let observations = Observations {
        respiratory_rate: v.number(RESPIRATORY_RATE.name),
        spo2_percent: v.number("spo2_percent"),
        hypercapnic: v.yes("hypercapnic"),
        oxygen: v.yes("oxygen"),
        systolic_mmhg: v.number(SYSTOLIC.name),
        pulse_bpm: v.number("pulse_bpm"),
        altered_mentation: v.yes(ALTERED.name),
        temperature_c: v.number("temperature_c"),
    };
    let score = news2(&observations);
    let red = observations.points().contains(&3);
    let advice = match score {
        7.. => "高危（≥7分）：呼叫120，立即转县级医院，途中持续监测",
        5 | 6 => "中危（5～6分）：1小时内由医生评估并转上级医院，每小时复测",
        _ if red => "总分低但有单项3分：由医生当面查明原因，每小时复测，考虑转诊",
        1..=4 => "低危（1～4分）：每4～6小时复测，由医生决定是否加强观察",
        0 => "没有异常：按常规观察",
    };
    let meaning_zh = format!("{score} 分，{advice}；不用于未满16岁者和孕妇。");
    Score { value: f64::from(score), meaning_zh }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WELL: Observations = Observations {
        respiratory_rate: 16.0,
        spo2_percent: 97.0,
        hypercapnic: false,
        oxygen: false,
        systolic_mmhg: 120.0,
        pulse_bpm: 70.0,
        altered_mentation: false,
        temperature_c: 36.8,
    };

    type Make = fn(f64) -> Observations;

    /// The chart of the Royal College: the last value of each band and its points.
    #[test]
    fn each_band_of_the_chart_ends_where_the_chart_ends_it() {
        let rate = |v| Observations { respiratory_rate: v, ..WELL };
        let spo2 = |v| Observations { spo2_percent: v, ..WELL };
        let systolic = |v| Observations { systolic_mmhg: v, ..WELL };
        let pulse = |v| Observations { pulse_bpm: v, ..WELL };
        let temperature = |v| Observations { temperature_c: v, ..WELL };
        let chart: [(Make, &[(f64, u8)]); 5] = [
            (
                rate,
                &[
                    (8.0, 3),
                    (9.0, 1),
                    (11.0, 1),
                    (12.0, 0),
                    (20.0, 0),
                    (21.0, 2),
                    (24.0, 2),
                    (25.0, 3),
                ],
            ),
            (spo2, &[(91.0, 3), (92.0, 2), (93.0, 2), (94.0, 1), (95.0, 1), (96.0, 0), (100.0, 0)]),
            (
                systolic,
                &[
                    (90.0, 3),
                    (91.0, 2),
                    (100.0, 2),
                    (101.0, 1),
                    (110.0, 1),
                    (111.0, 0),
                    (219.0, 0),
                    (220.0, 3),
                ],
            ),
            (
                pulse,
                &[
                    (40.0, 3),
                    (41.0, 1),
                    (50.0, 1),
                    (51.0, 0),
                    (90.0, 0),
                    (91.0, 1),
                    (110.0, 1),
                    (111.0, 2),
                    (130.0, 2),
                    (131.0, 3),
                ],
            ),
            (
                temperature,
                &[
                    (35.0, 3),
                    (35.1, 1),
                    (36.0, 1),
                    (36.1, 0),
                    (38.0, 0),
                    (38.1, 1),
                    (39.0, 1),
                    (39.1, 2),
                ],
            ),
        ];
        for (make, bands) in chart {
            for (value, points) in bands {
                assert_eq!(news2(&make(*value)), *points, "{:?}", make(*value));
            }
        }
    }

    #[test]
    fn the_second_scale_wants_88_to_92() {
        let of = |spo2_percent, oxygen| {
            news2(&Observations { spo2_percent, hypercapnic: true, oxygen, ..WELL })
        };
        for (spo2, points) in [
            (83.0, 3),
            (84.0, 2),
            (85.0, 2),
            (86.0, 1),
            (87.0, 1),
            (88.0, 0),
            (92.0, 0),
            (93.0, 0),
            (100.0, 0),
        ] {
            assert_eq!(of(spo2, false), points, "{spo2} on air");
        }
        for (spo2, points) in [
            (87.0, 1),
            (92.0, 0),
            (93.0, 1),
            (94.0, 1),
            (95.0, 2),
            (96.0, 2),
            (97.0, 3),
            (100.0, 3),
        ] {
            assert_eq!(of(spo2, true), points + 2, "{spo2} on oxygen");
        }
    }

    #[test]
    fn the_worst_has_twenty() {
        let worst = Observations {
            respiratory_rate: 30.0,
            spo2_percent: 80.0,
            hypercapnic: false,
            oxygen: true,
            systolic_mmhg: 70.0,
            pulse_bpm: 150.0,
            altered_mentation: true,
            temperature_c: 34.0,
        };
        assert_eq!(news2(&worst), 20);
        assert_eq!(news2(&WELL), 0);
    }

    #[test]
    fn each_limit_of_quick_sofa_counts_once() {
        assert_eq!(qsofa(21.9, 100.1, false), 0);
        assert_eq!(qsofa(22.0, 101.0, false), 1);
        assert_eq!(qsofa(20.0, 100.0, false), 1);
        assert_eq!(qsofa(22.0, 100.0, true), 3);
    }
}
