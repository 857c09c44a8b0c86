//! What the headers of a series say about its completeness: numbers missing, gaps between slices,
//! thickness, coverage.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::sharing::imaging::header::Header;

/// Positions nearer than this are one (several phases of one slice), in millimetres.
const SAME_MM: f64 = 0.01;
/// A slice further than this from the line of the others does not belong to one stack, in
/// millimetres.
const OFF_LINE_MM: f64 = 2.0;
/// A step of more than this many usual steps has a gap in it.
const GAP_STEPS: f64 = 1.5;
/// Gaps are counted to here.
const MISSING_MAX: f64 = 1_000_000.0;

/// Facts about a series. `None` is unknown.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SeriesFacts {
    /// Images: instances, or frames where they have several.
    pub images: Option<u32>,
    /// Instance numbers (0020,0013) missing between the lowest and the highest.
    pub missing_numbers: Option<u32>,
    /// Slices missing, by the steps between image positions (0020,0032).
    pub missing_slices: Option<u32>,
    /// Largest slice thickness (0018,0050), millimetres.
    pub slice_thickness_mm: Option<f64>,
    /// From the first to the last slice with their thickness, millimetres.
    pub coverage_mm: Option<f64>,
    /// Whether text is burned into the pixels (0028,0301).
    pub burned_in: Option<bool>,
    /// Whether the side is marked (0020,0060).
    pub side_marked: Option<bool>,
}

/// Facts from the headers of all instances of one series. A fact is unknown if one of the
/// instances does not say it: what is absent never counts as good.
pub fn series_quality(headers: &[Header]) -> SeriesFacts {
    if headers.is_empty() {
        return SeriesFacts::default();
    }
    let images = headers.iter().try_fold(0_u32, |sum, h| sum.checked_add(h.instance.frames.max(1)));
    let multi_frame = headers.iter().any(|h| h.instance.frames > 1);
    let thickness = all(headers, |h| number(&h.instance.slice_thickness).filter(|mm| *mm > 0.0))
        .map(|mm| mm.into_iter().fold(0.0, f64::max));
    // The position in a multi-frame header is that of one frame only.
    let stack = if multi_frame { None } else { all(headers, position).and_then(|p| stack(&p)) };
    let burned: Vec<&str> =
        headers.iter().map(|h| h.instance.burned_in_annotation.trim()).collect();
    SeriesFacts {
        images,
        missing_numbers: missing_numbers(headers),
        missing_slices: stack.map(|s| s.missing),
        slice_thickness_mm: thickness,
        coverage_mm: stack.zip(thickness).map(|(s, mm)| s.length_mm + mm),
        burned_in: if burned.contains(&"YES") {
            Some(true)
        } else if burned.iter().all(|b| *b == "NO") {
            Some(false)
        } else {
            None
        },
        // Without (0020,0060) the side may still stand in (0020,0062) or in the pixels.
        side_marked: headers
            .iter()
            .all(|h| matches!(h.series.laterality.trim(), "L" | "R" | "B"))
            .then_some(true),
    }
}

fn all<T>(headers: &[Header], of: impl Fn(&Header) -> Option<T>) -> Option<Vec<T>> {
    headers.iter().map(of).collect()
}

fn number(text: &str) -> Option<f64> {
    text.trim().parse::<f64>().ok().filter(|n| n.is_finite())
}

fn missing_numbers(headers: &[Header]) -> Option<u32> {
    let numbers: BTreeSet<i64> =
        all(headers, |h| h.instance.number.trim().parse::<i64>().ok())?.into_iter().collect();
    let (first, last) = (numbers.first()?, numbers.last()?);
    let span = last.checked_sub(*first)?.checked_add(1)?;
    let there = i64::try_from(numbers.len()).ok()?;
    Some(u32::try_from(span.saturating_sub(there)).unwrap_or(u32::MAX))
}

fn position(header: &Header) -> Option<[f64; 3]> {
    let mut parts = header.instance.image_position.split('\\').map(number);
    let position = [parts.next()??, parts.next()??, parts.next()??];
    parts.next().is_none().then_some(position)
}

#[derive(Clone, Copy)]
struct Stack {
    missing: u32,
    length_mm: f64,
}

/// Slices along the line from the first to the one farthest from it; `None` for fewer than three
/// places, or if they do not lie on one line.
fn stack(positions: &[[f64; 3]]) -> Option<Stack> {
    let origin = positions.first()?;
    let apart = |p: &[f64; 3]| minus(p, origin);
    let far = positions.iter().map(apart).max_by(|a, b| length(a).total_cmp(&length(b)))?;
    let reach = length(&far);
    if !(reach.is_finite() && reach > SAME_MM) {
        return None;
    }
    let axis = far.map(|c| c / reach);
    let mut along = Vec::with_capacity(positions.len());
    for p in positions.iter().map(apart) {
        let at = dot(&p, &axis);
        let off = minus(&p, &axis.map(|c| c * at));
        let off = length(&off);
        if off.is_nan() || off > OFF_LINE_MM {
            return None;
        }
        along.push(at);
    }
    along.sort_by(f64::total_cmp);
    along.dedup_by(|b, a| *b - *a < SAME_MM);
    let steps: Vec<f64> = along.iter().zip(along.iter().skip(1)).map(|(a, b)| b - a).collect();
    if steps.len() < 2 {
        return None;
    }
    let mut sorted = steps.clone();
    sorted.sort_by(f64::total_cmp);
    let usual = *sorted.get((sorted.len() - 1) / 2)?;
    let gaps = steps.iter().filter(|step| **step > GAP_STEPS * usual);
    // An empty `sum` would be -0, which does not read back as a whole number.
    let missing = gaps.fold(0.0, |sum, step| sum + (step / usual).round() - 1.0);
    let missing = whole(missing.min(MISSING_MAX));
    let length_mm = along.last()? - along.first()?;
    Some(Stack { missing, length_mm })
}

/// A whole number of at most [`MISSING_MAX`] as an integer.
fn whole(n: f64) -> u32 {
    format!("{n:.0}").parse().unwrap_or(u32::MAX)
}

fn minus(a: &[f64; 3], b: &[f64; 3]) -> [f64; 3] {
    let ([ax, ay, az], [bx, by, bz]) = (a, b);
    [ax - bx, ay - by, az - bz]
}

fn dot(a: &[f64; 3], b: &[f64; 3]) -> f64 {
    let ([ax, ay, az], [bx, by, bz]) = (a, b);
    ax.mul_add(*bx, ay.mul_add(*by, az * bz))
}

fn length(a: &[f64; 3]) -> f64 {
    dot(a, a).sqrt()
}
