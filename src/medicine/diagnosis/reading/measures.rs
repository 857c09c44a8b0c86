//! Measured values in folded text: `t38.9°c`, `体温39度2`, `bp 150/95mmhg`, `spo2 92%`.

use super::cursor::Cursor;
use super::numbers::{Quantity, quantity};
use crate::medicine::patient::Measure;

/// Milligrams per decilitre of glucose in one mmol/L (molar mass 180.16 g/mol).
const GLUCOSE_MG_DL_PER_MMOL_L: f32 = 18.016;

/// Least number behind a bare T that is a temperature, °C.
const BARE_CELSIUS_MIN: f32 = 25.0;

/// µmol/L of creatinine in one mg/dL (molar mass 113.12 g/mol).
const CREATININE_UMOL_L_PER_MG_DL: f32 = 88.4;

/// A value with what it measures.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Measured {
    pub(super) measure: Measure,
    pub(super) value: f32,
    pub(super) peak: bool,
}

/// One or two (blood pressure) values.
pub(super) type Pair = (Measured, Option<Measured>);

/// The value after a label. `brief` labels (single letters) must stand right before the number.
pub(super) fn labelled(
    c: &mut Cursor<'_>,
    measure: Measure,
    second: Option<Measure>,
    brief: bool,
) -> Option<Pair> {
    let saved = *c;
    let pair = after_label(c, measure, second, brief);
    if pair.is_none() {
        *c = saved;
    }
    pair
}

/// Words that stand between the name of a measurement and its value; longer ones first.
const BETWEEN: [&str; 26] = [
    "波动在",
    "波动于",
    "最低",
    "测得",
    "测",
    "约",
    "为",
    "是",
    "达",
    "至",
    "到",
    "在",
    "值",
    "偏高",
    "偏低",
    "升高",
    "高",
    "低",
    ">=",
    "<=",
    "≥",
    "≤",
    ">",
    "<",
    "(",
    "有",
];

fn after_label(
    c: &mut Cursor<'_>,
    measure: Measure,
    second: Option<Measure>,
    brief: bool,
) -> Option<Pair> {
    let mut peak = false;
    for _ in 0..4 {
        if c.eat_any(&[" ", ":", "="]) {
            continue;
        }
        if brief {
            break;
        }
        // A temperature that swings is told for the illness, a blood pressure for the patient.
        let swings = measure == Measure::TemperatureC && c.eat_any(&["波动在", "波动于"]);
        if swings || c.eat_any(&["最高达", "最高", "高达"]) {
            peak = true;
            continue;
        }
        let skipped = c.eat_any(&BETWEEN);
        if !skipped {
            break;
        }
    }
    let number = quantity(c).filter(|q| !q.endless)?;
    let one = |value| Measured { measure, value, peak };
    match measure {
        Measure::TemperatureC => {
            let tail = degrees(c);
            let value = if tail == Degrees::Fahrenheit { f32::INFINITY } else { number.high };
            // T4 is a hormone and T12 a vertebra.
            if tail == Degrees::None && (!ends(c) || (brief && value < BARE_CELSIUS_MIN)) {
                return None;
            }
            Some((one(value + tail.extra()), None))
        }
        Measure::SystolicMmhg | Measure::DiastolicMmhg => {
            let mut other = None;
            if let Some(second) = second
                && c.eat_any(&["/", "-", "~"])
            {
                let value = quantity(c).filter(|q| !q.endless)?.high;
                other = Some(Measured { measure: second, value, peak });
            }
            c.spaces();
            if !c.eat("mmhg") && !ends(c) {
                return None;
            }
            Some((one(number.high), other))
        }
        Measure::HeartRateBpm | Measure::RespiratoryRateBpm => {
            c.spaces();
            let unit = c.eat_any(&["次/分钟", "次/分", "次每分", "次/min", "次", "bpm", "/min"]);
            // A single digit after a bare letter (p2) is a sound of the heart, not a pulse.
            if !unit && (!ends(c) || (brief && number.high < 10.0)) {
                return None;
            }
            Some((one(number.high), None))
        }
        Measure::Spo2Percent => {
            c.spaces();
            if !c.eat_any(&["%", "个"]) && !ends(c) {
                return None;
            }
            Some((one(number.low), None))
        }
        Measure::WhiteCells10e9L
        | Measure::NeutrophilsPercent
        | Measure::HemoglobinGL
        | Measure::Platelets10e9L
        | Measure::CrpMgL
        | Measure::CreatinineUmolL => Some((one(laboratory(c, measure, number, brief)?), None)),
        Measure::GlucoseMmolL => {
            c.spaces();
            let value = if c.eat("mg/dl") {
                number.high / GLUCOSE_MG_DL_PER_MMOL_L
            } else if c.eat_any(&["mmol/l", "mmol", "点多", "个"]) || ends(c) {
                number.high
            } else {
                return None;
            };
            Some((one(value), None))
        }
    }
}

/// A value of a laboratory in the unit of its measure, out of the units clinics write; `None`
/// before a unit of something else (cells per field, pluses).
fn laboratory(c: &mut Cursor<'_>, measure: Measure, number: Quantity, brief: bool) -> Option<f32> {
    if number.more {
        return None;
    }
    c.spaces();
    let value = if measure == Measure::HemoglobinGL { number.low } else { number.high };
    let factor = match measure {
        Measure::WhiteCells10e9L | Measure::Platelets10e9L => {
            if c.eat("万") {
                // 10^4 per mm³ (or µl)
                c.eat_any(&["/mm3", "/ul", "/μl"]);
                10.0
            } else if c.eat_any(&["×", "x", "*"]) {
                c.spaces();
                c.eat_any(&["10^9/l", "10~9/l", "109/l", "10^9", "109", "10的9次方"])
                    .then_some(1.0)?
            } else if c.eat_any(&["10^9/l", "g/l"]) {
                1.0
            } else if !ends(c) {
                return None;
            } else if value >= 1000.0 {
                0.001
            } else {
                1.0
            }
        }
        Measure::NeutrophilsPercent => {
            if c.eat("%") {
                1.0
            } else if brief || !ends(c) {
                // A bare N1 is a name (H1N1), N 0.85 and N85% are shares.
                return None;
            } else if value <= 1.0 {
                100.0
            } else {
                1.0
            }
        }
        Measure::HemoglobinGL => {
            if c.eat("g/l") {
                1.0
            } else if c.eat_any(&["g/dl", "g%"]) {
                10.0
            } else if c.eat_any(&["克", "g"]) || ends(c) {
                // 血色素6克 is said per 100 ml.
                if value < 25.0 { 10.0 } else { 1.0 }
            } else {
                return None;
            }
        }
        Measure::CrpMgL => {
            (c.eat_any(&["mg/l", "mg", "ug/ml", "μg/ml"]) || ends(c)).then_some(1.0)?
        }
        Measure::CreatinineUmolL => {
            if c.eat_any(&["umol/l", "μmol/l", "umol", "μmol"]) {
                1.0
            } else if c.eat("mg/dl") {
                CREATININE_UMOL_L_PER_MG_DL
            } else {
                ends(c).then_some(1.0)?
            }
        }
        Measure::TemperatureC
        | Measure::SystolicMmhg
        | Measure::DiastolicMmhg
        | Measure::HeartRateBpm
        | Measure::RespiratoryRateBpm
        | Measure::Spo2Percent
        | Measure::GlucoseMmolL => return None,
    };
    Some(value * factor)
}

/// Whether a number without a unit may end here: not before a unit of something else.
fn ends(c: &Cursor<'_>) -> bool {
    !c.peek().is_some_and(|next| {
        matches!(
            next,
            '天' | '日'
                | '周'
                | '月'
                | '年'
                | '岁'
                | '小'
                | '个'
                | '次'
                | '分'
                | '余'
                | '多'
                | '%'
                | '/'
                | '°'
                | '点'
                | '.'
                | '支'
                | '片'
                | '号'
        ) || next.is_ascii_digit()
    })
}

/// What follows the number of a temperature.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Degrees {
    /// No unit.
    None,
    /// A unit, and what is to be added: 39度**2**, 39度**半**.
    Celsius(f32),
    /// °F
    Fahrenheit,
}

impl Degrees {
    pub(super) fn extra(self) -> f32 {
        match self {
            Self::Celsius(extra) => extra,
            Self::None | Self::Fahrenheit => 0.0,
        }
    }
}

/// The unit of a temperature and what may follow it.
pub(super) fn degrees(c: &mut Cursor<'_>) -> Degrees {
    let saved = *c;
    c.spaces();
    if c.eat_any(&["°f", "华氏度"]) {
        return Degrees::Fahrenheit;
    }
    if c.eat_any(&["°c", "摄氏度", "°"]) || c.eat_latin("c") {
        return Degrees::Celsius(0.0);
    }
    if !c.eat("度") {
        *c = saved;
        return Degrees::None;
    }
    if c.eat_any(&["半", "多", "几"]) {
        return Degrees::Celsius(0.5);
    }
    let saved = *c;
    match quantity(c) {
        Some(Quantity { low, high, digits, more: false, endless: false })
            if high < 10.0 && low >= 1.0 && (digits || saved.at + 3 == c.at) && ends(c) =>
        {
            Degrees::Celsius(high / 10.0)
        }
        _ => {
            *c = saved;
            Degrees::Celsius(0.0)
        }
    }
}

/// A temperature or a blood pressure that its unit or its form gives away. `number` has just
/// been read, `before` stands before it; `feverish` says that a word for fever does.
pub(super) fn unlabelled(
    c: &mut Cursor<'_>,
    before: Option<char>,
    number: Quantity,
    feverish: bool,
) -> Option<Pair> {
    let saved = *c;
    if !number.endless && number.digits && c.eat("/") {
        let second = quantity(c).filter(|q| q.digits && !q.endless);
        if let Some(second) = second {
            c.spaces();
            let unit = c.eat("mmhg");
            let shaped = number.low >= 70.0 && second.low >= 40.0 && number.low > second.high;
            if unit || (shaped && ends(c) && !c.peek().is_some_and(char::is_alphabetic)) {
                let value = |measure, value| Measured { measure, value, peak: false };
                return Some((
                    value(Measure::SystolicMmhg, number.high),
                    Some(value(Measure::DiastolicMmhg, second.high)),
                ));
            }
        }
        *c = saved;
    }
    // 室温, 水温, 弯曲: something else has degrees.
    let elsewhere = before.is_some_and(|c| "温水角曲酒气".contains(c));
    if !(34.0..=43.0).contains(&number.high) || number.more || elsewhere {
        return None;
    }
    let tail = degrees(c);
    let found = match tail {
        Degrees::Celsius(_) => true,
        Degrees::None => feverish && number.low >= 35.0 && ends(c),
        Degrees::Fahrenheit => false,
    };
    if !found {
        *c = saved;
        return None;
    }
    let value = number.high + tail.extra();
    Some((Measured { measure: Measure::TemperatureC, value, peak: feverish }, None))
}
