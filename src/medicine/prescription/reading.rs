//! Free-text orders into lines: `阿莫西林胶囊 0.5g tid po ×7天`, `NS 100ml + 头孢曲松 2g ivgtt qd`.
//!
//! Language, not medicine. What a part of the text was taken for is shown back by the check; what
//! is not understood stays empty and is asked for there, never guessed.

use super::frequency::Frequency;
use super::order::{Line, NAME_CHARS_MAX, SkinTestResult};
use super::quantity::{Quantity, Unit, amounts, number_at_start};
use super::route::Route;
use super::usage::Usage;
use crate::tables::text::Folded;

/// A day, in days.
const DAY: f64 = 1.0;
/// Most lines read from one text.
const PARTS_MAX: usize = 20;

/// What joins the parts of one infusion.
const JOINTS: &[char] = &['+', '＋'];
/// What parts orders written one after the other.
const BREAKS: &[char] = &['\n', ';', '；', '。'];

/// Reads a text of one or several orders. The ids of the lines are `prefix` and a number from 1.
pub fn read_orders(text: &str, prefix: &str) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    for (order, number) in text.split(BREAKS).filter(|t| !t.trim().is_empty()).zip(1_usize..) {
        let parts: Vec<&str> = order.split(JOINTS).filter(|p| !p.trim().is_empty()).collect();
        let mut read: Vec<Line> = parts.iter().map(|part| read_part(part)).collect();
        share(&mut read, number);
        lines.extend(read);
        if lines.len() >= PARTS_MAX {
            break;
        }
    }
    lines.truncate(PARTS_MAX);
    for (line, number) in lines.iter_mut().zip(1_usize..) {
        line.id = format!("{prefix}{number}");
    }
    lines
}

/// What stands once for a whole infusion (`ivgtt qd`) holds for each of its parts, and the
/// vehicle becomes the diluent of the others.
fn share(lines: &mut Vec<Line>, number: usize) {
    if lines.len() < 2 {
        return;
    }
    let last = lines.iter().rev().find(|line| !line.frequency.is_empty()).cloned();
    let route = lines.iter().rev().find(|line| !line.route.is_empty()).map(|l| l.route.clone());
    let days = lines.iter().rev().find_map(|line| line.days);
    for line in lines.iter_mut() {
        if line.frequency.is_empty() {
            line.frequency = last.as_ref().map(|l| l.frequency.clone()).unwrap_or_default();
        }
        if line.route.is_empty() {
            line.route = route.clone().unwrap_or_default();
        }
        line.days = line.days.or(days);
        line.group = format!("组{number}");
    }
    let vehicle = lines.iter().position(is_vehicle);
    let Some(vehicle) = vehicle else { return };
    let removed = lines.remove(vehicle);
    let volume = removed.dose.map(|d| format!(" {d}{}", removed.dose_unit)).unwrap_or_default();
    for line in lines.iter_mut() {
        line.diluent = format!("{}{volume}", removed.name);
    }
    if let [only] = lines.as_mut_slice() {
        only.group.clear();
    }
}

/// Whether a part is what an infusion is dissolved in: a known vehicle with a volume.
fn is_vehicle(line: &Line) -> bool {
    let name = crate::tables::text::fold(&line.name);
    super::rules::Vehicle::read(&name).is_some() && line.dose_unit == "ml"
}

/// One medicine with its use.
fn read_part(part: &str) -> Line {
    let folded = Folded::new(part.trim());
    let text = folded.text.as_str();
    let days = days(text);
    let found = amounts(text);
    let start = name_end(text, &found);
    let original = part.trim();
    let name = original.get(..folded.origin(start)).unwrap_or(original);
    let name = name
        .trim_matches(|c: char| c.is_whitespace() || matches!(c, ',' | '，' | '、' | ':' | '：'));
    let name: String = name.chars().take(NAME_CHARS_MAX).collect();
    let rest = text.get(start..).unwrap_or_default();
    let usage = Usage::of_text(rest);
    let (dose, dose_unit) = usage.dose.map(written).unwrap_or_default();
    let frequency = frequency(rest);
    let route = Route::read(rest).or_else(|| Route::of_form(text));
    let strength = if usage.strength.is_empty() {
        String::new()
    } else {
        usage.strength.per_piece.map(Quantity::show).unwrap_or_default()
    };
    Line {
        name,
        strength,
        dose,
        dose_unit,
        route: route_text(rest, route),
        frequency,
        days,
        skin_test: skin_test(rest),
        ..Line::default()
    }
}

/// Where the name ends: before the first amount that follows a word, or before a word of usage.
fn name_end(text: &str, found: &[(Quantity, std::ops::Range<usize>)]) -> usize {
    let amount = found.iter().map(|(_, range)| range.start).find(|start| *start > 0);
    // `0.9%氯化钠注射液` and `10%葡萄糖` begin with a number that belongs to the name.
    let space = text.char_indices().skip(1).find(|(_, c)| c.is_whitespace()).map(|(at, _)| at);
    let after_percent = amount.filter(|at| text.get(..*at).is_some_and(has_word));
    match (after_percent, space.filter(|at| text.get(..*at).is_some_and(has_word))) {
        (Some(a), Some(s)) => a.min(s),
        (a, s) => a.or(s).unwrap_or(text.len()),
    }
}

/// Whether a text holds a letter or a character: a name and not a number alone.
fn has_word(text: &str) -> bool {
    text.chars().any(char::is_alphabetic)
}

/// The dose as a number and the unit as written in answers.
fn written(quantity: Quantity) -> (Option<f32>, String) {
    let unit = match quantity.unit {
        Unit::Mg => "mg",
        Unit::Iu => "单位",
        Unit::Ml => "ml",
        Unit::Mmol => "mmol",
        Unit::Piece(piece) => match piece.family() {
            0 => "片",
            1 => "袋",
            2 => "支",
            3 => "滴",
            4 => "喷",
            5 => "贴",
            _ => "剂",
        },
    };
    #[expect(
        clippy::as_conversions,
        clippy::cast_possible_truncation,
        reason = "a dose has few digits"
    )]
    let value = quantity.value as f32;
    // A number without end was a slip of the pen: then the dose is not known.
    if value.is_finite() { (Some(value), unit.to_owned()) } else { (None, String::new()) }
}

/// The frequency as a word that [`Frequency::read`] understands again.
fn frequency(text: &str) -> String {
    let Some(read) = Frequency::read(text) else { return String::new() };
    let words =
        [(1.0, "qd"), (2.0, "bid"), (3.0, "tid"), (4.0, "qid"), (0.5, "qod"), (1.0 / 7.0, "qw")];
    let near = |n: f64| (n - read.per_day).abs() < 1e-6;
    if read.once {
        return "st".to_owned();
    }
    let word = words.iter().find(|(n, _)| near(*n)).map(|(_, word)| (*word).to_owned());
    let word = word.unwrap_or_else(|| {
        let hours = 24.0 / read.per_day;
        if hours <= 24.0 {
            format!("q{}h", hours.round())
        } else {
            format!("q{}d", (hours / 24.0).round())
        }
    });
    if read.as_needed { format!("{word} prn") } else { word }
}

fn route_text(text: &str, route: Option<Route>) -> String {
    // A push is more than a route: the word is kept.
    for word in ["静推", "静脉推注", "静脉注射", "静注", "舌下", "雾化", "鞘内", "嚼服"]
    {
        if text.contains(word) {
            return word.to_owned();
        }
    }
    match route {
        Some(Route::Iv) => "静滴".to_owned(),
        Some(route) => route.name_zh().to_owned(),
        None => String::new(),
    }
}

/// `×7天`, `5d`, `共3日`, `2周`: the last that is no frequency.
fn days(text: &str) -> Option<f32> {
    let mut found = None;
    let mut at = 0;
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        let before = text.get(..at).unwrap_or_default();
        let inside = before.ends_with(|c: char| c.is_ascii_alphanumeric() || c == '.');
        let counted = before.ends_with(['×', '*', 'x']);
        let per = before.ends_with(['每', '/', '隔']);
        if (!inside || counted)
            && !per
            && let Some((n, length)) = number_at_start(rest)
        {
            let after = rest.get(length..).unwrap_or_default().trim_start();
            let day = after.starts_with(['天', '日']) && (counted || !after.contains("次"));
            let factor = if day {
                Some(1.0)
            } else if after.starts_with('周') {
                Some(7.0)
            } else if after.starts_with("个月") {
                Some(30.0)
            } else if after.starts_with('d') && !after.starts_with("dl") {
                Some(DAY)
            } else {
                None
            };
            if let Some(factor) = factor.filter(|_| n > 0.0) {
                found = Some(n * factor);
            }
            at += length;
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    #[expect(clippy::as_conversions, clippy::cast_possible_truncation, reason = "days are few")]
    let found = found.map(|days: f64| days as f32);
    found.filter(|days| days.is_finite())
}

fn skin_test(text: &str) -> SkinTestResult {
    if text.contains("皮试(-)") || text.contains("皮试阴性") || text.contains("皮试-") {
        SkinTestResult::Negative
    } else if text.contains("皮试(+)") || text.contains("皮试阳性") {
        SkinTestResult::Positive
    } else {
        SkinTestResult::NotSaid
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_read_into_a_line() {
        let lines = read_orders("阿莫西林胶囊 0.5g tid po ×7天", "t");
        assert_eq!(lines.len(), 1);
        let line = &lines[0];
        assert_eq!(
            (line.name.as_str(), line.dose, line.dose_unit.as_str()),
            ("阿莫西林胶囊", Some(500.0), "mg")
        );
        assert_eq!(
            (line.frequency.as_str(), line.route.as_str(), line.days),
            ("tid", "口服", Some(7.0))
        );
        assert_eq!(line.id, "t1");
    }

    #[test]
    fn a_number_without_end_is_no_dose_and_no_number_of_days() {
        let nines = "9".repeat(60);
        let lines = read_orders(&format!("阿莫西林胶囊 {nines}mg tid ×{nines}天"), "t");
        assert_eq!((lines[0].dose, lines[0].dose_unit.as_str(), lines[0].days), (None, "", None));
    }

    #[test]
    fn the_vehicle_of_an_infusion_becomes_the_diluent() {
        let lines = read_orders("NS 100ml + 头孢曲松 2g ivgtt qd", "");
        assert_eq!(lines.len(), 1);
        assert_eq!(lines[0].name, "头孢曲松");
        assert_eq!(lines[0].diluent, "NS 100ml");
        assert_eq!(
            (lines[0].dose, lines[0].route.as_str(), lines[0].frequency.as_str()),
            (Some(2000.0), "静滴", "qd")
        );
    }

    #[test]
    fn two_medicines_in_one_bag_share_a_group() {
        let lines = read_orders("5%葡萄糖注射液250ml+维生素C 2g+氨茶碱0.25g 静滴 每日1次 3天", "");
        assert_eq!(lines.len(), 2);
        assert!(
            lines
                .iter()
                .all(|l| l.group == "组1" && l.days == Some(3.0) && l.diluent.contains("250"))
        );
    }

    #[test]
    fn strength_and_count_are_told_apart() {
        let lines = read_orders("二甲双胍片 0.5g×60片 一次2片 每日2次 口服；氨氯地平片5mg qd", "");
        assert_eq!(lines.len(), 2);
        assert_eq!(
            (lines[0].dose, lines[0].dose_unit.as_str(), lines[0].strength.as_str()),
            (Some(2.0), "片", "500mg")
        );
        assert_eq!(lines[1].dose, Some(5.0));
    }

    #[test]
    fn what_is_not_said_stays_empty() {
        let lines = read_orders("感冒灵颗粒", "");
        assert_eq!((lines[0].dose, lines[0].days, lines[0].frequency.as_str()), (None, None, ""));
        assert_eq!(read_orders(" ；\n", "").len(), 0);
    }
}
