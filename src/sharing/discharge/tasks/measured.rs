//! The last measurements of a record, in the units of the rules.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::{DateTime, time};
use jiff::tz::offset;

use super::tables::{FollowUpTables, Measure, Op};
use crate::sharing::discharge::Moment;
use crate::sharing::discharge::model::{Coded, DischargeRecord, Measurement};
use crate::tables::text::fold;

/// Milligrams a decilitre of glucose in one millimole a litre (180.16 g/mol).
const GLUCOSE_MG_DL: f64 = 18.016;
/// Millimetres of mercury in one kilopascal.
const KPA_MMHG: f64 = 7.500_62;

/// Behind a value whose time is not known.
const UNTIMED: &str = "（时间不明）";
/// Words before a value in the text on the state at discharge.
const SAID: [(Measure, &[&str]); 3] = [
    (Measure::Pressure, &["血压", "bp"]),
    (Measure::Glucose, &["血糖"]),
    (Measure::Spo2, &["spo2", "氧饱和度"]),
];

/// Units that are read behind a value in that text, folded and without white space.
const UNITS: [(Measure, &str); 12] = [
    (Measure::Pressure, "mmhg"),
    (Measure::Pressure, "mm[hg]"),
    (Measure::Pressure, "毫米汞柱"),
    (Measure::Pressure, "kpa"),
    (Measure::Pressure, "千帕"),
    (Measure::Glucose, "mmol/l"),
    (Measure::Glucose, "mmol.l-1"),
    (Measure::Glucose, "mmol·l-1"),
    (Measure::Glucose, "毫摩尔/升"),
    (Measure::Glucose, "mg/dl"),
    (Measure::Glucose, "毫克/分升"),
    (Measure::Spo2, "%"),
];
/// Words of how it was measured, between the name and the value; longer ones first.
const HOW: [&str; 18] = [
    "(空腹)",
    "(随机)",
    "(餐后2小时)",
    "(餐后2h)",
    "(餐后)",
    "餐后2小时",
    "餐后2h",
    "餐后两小时",
    "餐后",
    "餐前",
    "空腹",
    "随机",
    "睡前",
    "末梢",
    "复测",
    "测得",
    "监测",
    "测",
];
/// Signs of more or less.
const SIGNS: &str = "<>≤≥";

/// A measurement that could be read.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Reading {
    /// mmHg, mmol/L or %.
    pub(super) value: f64,
    /// What was measured lies above (`Greater`) or below (`Less`) the value, which then is no reading of
    /// the value itself (`<180`).
    pub(super) beyond: Ordering,
    /// As a doctor reads it, with what was written where it was converted.
    pub(super) shown: String,
    /// When, at 东八区; none if no day was said.
    at: Option<DateTime>,
}

impl Reading {
    /// Whether what was measured surely fits a rule's limit: of `<180` it is not known that it is at or
    /// above 180, nor of `>10` that it is at or above 16.7.
    pub(super) fn holds(&self, op: Op, limit: f64) -> bool {
        let upward = op == Op::AtLeast;
        match self.beyond {
            Ordering::Equal => op.holds(self.value, limit),
            Ordering::Greater => upward && self.value >= limit,
            Ordering::Less => !upward && self.value <= limit,
        }
    }
}

/// What the record has of one measure.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Seen {
    /// The last one by time, and beside it the last of those without a time: which of the two is
    /// later cannot be known.
    pub(super) last: Vec<Reading>,
    /// There is one that could not be read.
    pub(super) unreadable: bool,
}

/// The last measurements by measure, those in the words on the state at discharge included, where
/// many hospitals alone have them. What was measured before the day of admission is not of this
/// stay and does not count.
pub(super) fn seen(record: &DischargeRecord, tables: &FollowUpTables) -> BTreeMap<Measure, Seen> {
    let admitted = record.stay.admitted.as_ref().and_then(Moment::day);
    let mut all: BTreeMap<Measure, Vec<Option<Reading>>> = BTreeMap::new();
    for measurement in &record.measurements {
        let Some(measure) = which(&measurement.coded, tables) else { continue };
        let at = measurement.taken.as_ref().and_then(instant);
        if let (Some(at), Some(admitted)) = (at, admitted)
            && at.date() < admitted
        {
            continue;
        }
        for (measure, reading) in read(measure, measurement, at) {
            all.entry(measure).or_default().push(reading);
        }
    }
    for text in [&record.narrative.discharge, &record.narrative.symptoms_and_signs] {
        for (measure, reading) in told(text) {
            all.entry(measure).or_default().push(Some(reading));
        }
    }
    all.into_iter().map(|(measure, readings)| (measure, last_of(readings))).collect()
}

fn last_of(readings: Vec<Option<Reading>>) -> Seen {
    let unreadable = readings.iter().any(Option::is_none);
    let (timed, untimed): (Vec<Reading>, Vec<Reading>) =
        readings.into_iter().flatten().partition(|reading| reading.at.is_some());
    let mut last: Vec<Reading> = timed.into_iter().max_by_key(|r| r.at).into_iter().collect();
    last.extend(untimed.into_iter().next_back());
    Seen { last, unreadable }
}

fn which(coded: &Coded, tables: &FollowUpTables) -> Option<Measure> {
    let by_code = coded.codes.iter().find_map(|code| tables.codes.get(&fold(code.code.trim())));
    if by_code.is_some() {
        return by_code.copied();
    }
    let display = coded.codes.first().map_or("", |code| code.display.as_str());
    let text = fold(if coded.text.is_empty() { display } else { &coded.text });
    let named = |names: &[String]| names.iter().any(|name| text.contains(name));
    tables
        .names
        .iter()
        .find(|(_, names)| named(&names.is) && !named(&names.is_not))
        .map(|(measure, _)| *measure)
}

/// The instant at 东八区, in which a time without an offset is meant. A day counts as its end.
fn instant(moment: &Moment) -> Option<DateTime> {
    let day = moment.day()?;
    if !moment.has_time() {
        return Some(day.to_datetime(time(23, 59, 59, 0)));
    }
    let text = moment.as_str();
    match text.parse::<Timestamp>() {
        Ok(instant) => Some(offset(8).to_datetime(instant)),
        Err(_) => text.parse().ok(),
    }
}

/// The readings of a measurement; none for one that says something that cannot be read.
fn read(
    measure: Measure,
    measurement: &Measurement,
    at: Option<DateTime>,
) -> Vec<(Measure, Option<Reading>)> {
    if measure == Measure::Pressure {
        let text =
            if measurement.text.is_empty() { &measurement.coded.text } else { &measurement.text };
        let silent = measurement.text.is_empty() && measurement.value.is_none();
        let beyond = comparator(&fold(text));
        return match pair(text) {
            Some((systolic, diastolic)) => [systolic, diastolic]
                .into_iter()
                .zip([Measure::Systolic, Measure::Diastolic])
                .map(|(value, measure)| (measure, canonical(measure, (value, beyond), "mmhg", at)))
                .collect(),
            // A panel that only holds the two others says nothing itself.
            None if silent => Vec::new(),
            None => vec![(Measure::Systolic, None), (Measure::Diastolic, None)],
        };
    }
    let (value, unit, beyond) = match &measurement.value {
        Some(quantity) => (Some(quantity.value), fold(&quantity.unit), Ordering::Equal),
        None if measurement.text.is_empty() => return Vec::new(),
        None => {
            let text = fold(&measurement.text);
            let (value, unit) = number_and_unit(&text);
            (value, unit, comparator(&text))
        }
    };
    vec![(measure, value.and_then(|value| canonical(measure, (value, beyond), &unit, at)))]
}

/// Into mmHg, mmol/L or %; none if the unit is unknown or the value none that a living person has.
fn canonical(
    measure: Measure,
    (value, beyond): (f64, Ordering),
    unit: &str,
    at: Option<DateTime>,
) -> Option<Reading> {
    let unit: String = unit.chars().filter(|c| !c.is_whitespace()).collect();
    let (name, to, range, converted) = match (measure, unit.as_str()) {
        (Measure::Systolic | Measure::Diastolic, "" | "mmhg" | "mm[hg]" | "毫米汞柱") => {
            ("mmHg", value, pressure_range(measure), None)
        }
        (Measure::Systolic | Measure::Diastolic, "kpa" | "千帕") => {
            ("mmHg", (value * KPA_MMHG).round(), pressure_range(measure), Some("kPa"))
        }
        (Measure::Glucose, "mmol/l" | "mmol.l-1" | "mmol·l-1" | "毫摩尔/升" | "毫摩尔每升") => {
            ("mmol/L", value, 0.1..=100.0, None)
        }
        (Measure::Glucose, "mg/dl" | "毫克/分升") => {
            ("mmol/L", tenths(value / GLUCOSE_MG_DL), 0.1..=100.0, Some("mg/dL"))
        }
        (Measure::Spo2, "%" | "") => ("%", value, 20.0..=100.0, None),
        (
            Measure::Systolic
            | Measure::Diastolic
            | Measure::Pressure
            | Measure::Glucose
            | Measure::Spo2,
            _,
        ) => return None,
    };
    if !range.contains(&to) {
        return None;
    }
    let written = converted.map(|unit| format!("（记录为{value} {unit}）")).unwrap_or_default();
    let when = at.map_or_else(|| UNTIMED.to_owned(), |at| format!("（{}）", at.date()));
    let sign = match beyond {
        Ordering::Less => "<",
        Ordering::Equal => "",
        Ordering::Greater => ">",
    };
    let shown = format!("{sign}{} {name}{written}{when}", tenths(to));
    Some(Reading { value: to, beyond, shown, at })
}

/// What the words on the state at discharge say behind a measure's name, the last of each measure:
/// 血压185/110mmHg, 空腹血糖 17.2 mmol/L. A range, an aim (血压控制在140/90以下) or a glucose without unit
/// says nothing.
fn told(text: &str) -> Vec<(Measure, Reading)> {
    let text = fold(text);
    let mut out = Vec::new();
    for (measure, words) in SAID {
        let ends = words
            .iter()
            .flat_map(|word| text.match_indices(word).map(|(at, found)| at + found.len()));
        let mut ends: Vec<usize> = ends.collect();
        ends.sort_unstable();
        let readings = ends.into_iter().rev().filter_map(|end| anchored(measure, text.get(end..)?));
        out.extend(readings.take(1).flatten());
    }
    out
}

/// The readings of a text that begins with one value, behind words of how it was measured.
fn anchored(measure: Measure, text: &str) -> Option<Vec<(Measure, Reading)>> {
    let text = behind_words(text);
    let beyond = comparator(text);
    let text = text.trim_start_matches(|c: char| c.is_whitespace() || SIGNS.contains(c));
    let number = |text: &str| text.find(|c: char| !(c.is_ascii_digit() || c == '.'));
    let (first, rest) = text.split_at(number(text).unwrap_or(text.len()));
    let first: f64 = first.parse().ok()?;
    let mut second = None;
    let mut rest = rest.trim_start();
    if measure == Measure::Pressure {
        let low = rest.strip_prefix('/')?.trim_start();
        let (low, behind) = low.split_at(number(low).unwrap_or(low.len()));
        second = Some(low.parse::<f64>().ok()?);
        rest = behind.trim_start();
    }
    let unit = UNITS.iter().filter(|(of, ..)| *of == measure);
    let unit = unit.filter_map(|(_, unit)| Some((*unit, unit_at(rest, unit)?)));
    let (unit, rest) = unit.max_by_key(|(unit, _)| unit.len()).unwrap_or(("", rest));
    // An aim, a range, or more of a unit than is known.
    let goes_on = |c: char| c.is_ascii_alphanumeric() || "-~/%以之至到".contains(c);
    let unitless = unit.is_empty()
        && !rest.is_empty()
        && !rest.starts_with(|c: char| ",;。()、!?".contains(c))
        && !text_ends_number(text, rest);
    if rest.starts_with(goes_on) || unitless || (unit.is_empty() && measure != Measure::Pressure) {
        return None;
    }
    let said = |measure, value: f64, unit: &str| {
        let mut reading = canonical(measure, (value, beyond), unit, None)?;
        reading.shown = reading.shown.replace(UNTIMED, "（出院情况所述）");
        Some((measure, reading))
    };
    let Some(second) = second else { return Some(vec![said(measure, first, unit)?]) };
    let (systolic, diastolic) = pair(&format!("{first}/{second}{unit}"))?;
    let both = [(Measure::Systolic, systolic), (Measure::Diastolic, diastolic)];
    both.into_iter().map(|(measure, value)| said(measure, value, "mmhg")).collect()
}

/// Whether white space stands between a number and what follows it.
fn text_ends_number(text: &str, rest: &str) -> bool {
    let before = text.len().checked_sub(rest.len()).and_then(|end| text.get(..end));
    before.is_some_and(|before| before.ends_with(char::is_whitespace))
}

/// What follows a unit that the text begins with, however many spaces it is written with.
fn unit_at<'t>(text: &'t str, unit: &str) -> Option<&'t str> {
    let mut rest = text;
    for c in unit.chars() {
        rest = rest.trim_start().strip_prefix(c)?;
    }
    Some(rest)
}

/// Without the words between a measure's name and its value.
fn behind_words(text: &str) -> &str {
    let mut rest = text;
    loop {
        let before = rest.len();
        rest = rest.trim_start_matches(|c: char| c.is_whitespace() || ":=为约是值".contains(c));
        for word in HOW {
            rest = rest.strip_prefix(word).unwrap_or(rest);
        }
        if rest.len() == before {
            return rest;
        }
    }
}

/// Whether a text begins with a word or sign of more or less.
fn comparator(text: &str) -> Ordering {
    let begins = |words: &[&str]| words.iter().any(|word| text.trim_start().starts_with(word));
    if begins(&["<", "≤", "低于", "小于", "不足", "少于", "不超过"]) {
        Ordering::Less
    } else if begins(&[">", "≥", "高于", "大于", "超过", "多于", "不低于"]) {
        Ordering::Greater
    } else {
        Ordering::Equal
    }
}

fn pressure_range(measure: Measure) -> std::ops::RangeInclusive<f64> {
    if measure == Measure::Systolic { 30.0..=350.0 } else { 10.0..=250.0 }
}

fn tenths(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

/// A number at the beginning of the text (behind words), and what stands behind it.
fn number_and_unit(text: &str) -> (Option<f64>, String) {
    let number = |c: char| c.is_ascii_digit() || c == '.';
    let Some(start) = text.find(|c: char| c.is_ascii_digit()) else { return (None, String::new()) };
    let rest = text.get(start..).unwrap_or_default();
    let end = rest.find(|c: char| !number(c)).unwrap_or(rest.len());
    let value = rest.get(..end).and_then(|digits| digits.parse().ok());
    let unit = rest.get(end..).unwrap_or_default();
    let unit: String = unit
        .trim_start()
        .chars()
        .take_while(|c| !c.is_whitespace() && !",;。()".contains(*c))
        .collect();
    (value, unit)
}

/// Systolic and diastolic of a text like `180/110 mmHg`, in mmHg: the first pair that can be one.
fn pair(text: &str) -> Option<(f64, f64)> {
    let text = fold(text);
    let scale = if text.contains("kpa") || text.contains("千帕") { KPA_MMHG } else { 1.0 };
    let number = |c: char| c.is_ascii_digit() || c == '.';
    for (at, _) in text.match_indices('/') {
        let before = text.get(..at)?.trim_end();
        let after = text.get(at + 1..)?.trim_start();
        let start = before.rfind(|c: char| !number(c)).map_or(0, |i| {
            i + before.get(i..).and_then(|rest| rest.chars().next()).map_or(1, char::len_utf8)
        });
        let end = after.find(|c: char| !number(c)).unwrap_or(after.len());
        let high = before.get(start..)?.parse::<f64>();
        let low = after.get(..end)?.parse::<f64>();
        if let (Ok(high), Ok(low)) = (high, low) {
            let (high, low) = ((high * scale).round(), (low * scale).round());
            if pressure_range(Measure::Systolic).contains(&high)
                && pressure_range(Measure::Diastolic).contains(&low)
                && high > low
            {
                return Some((high, low));
            }
        }
    }
    None
}
