//! From stored values to 8-bit grey: modality transform, window, polarity (PS3.3, C.11.1; C.11.2;
//! C.11.6).

use super::codec::{Raster, Samples};
use super::dataset::Elements;
use super::error::Result;
use super::functional::Scopes;
use super::image::{Image, Photometric};
use super::num::{byte, size, whole};
use super::palette::Lut;
use super::voi::{Voi, chosen, table};
use crate::app::imaging::render::Window;

const TRANSFORMATION: u32 = 0x0028_9145;
const INTERCEPT: u32 = 0x0028_1052;
const SLOPE: u32 = 0x0028_1053;
const MODALITY_LUT: u32 = 0x0028_3000;
const SHAPE: u32 = 0x2050_0020;

/// Stored values that a table of all greys is made for; wider ranges are mapped one by one.
const TABLE_MAX: i64 = 65_536;

/// What a stored value stands for.
#[derive(Debug, Clone)]
pub(super) enum Modality {
    Linear { slope: f64, intercept: f64 },
    Table(Lut),
}

impl Modality {
    /// The transform of one frame.
    pub(super) fn read(scopes: &Scopes<'_>, set: &Elements<'_>, signed: bool) -> Result<Self> {
        if let Some(item) = set.item(MODALITY_LUT, 0)?
            && let Some(lut) = table(&item, signed)?
        {
            return Ok(Self::Table(lut));
        }
        let place = scopes.holding(TRANSFORMATION, SLOPE)?;
        let first = |tag, default: f64| place.decimals(tag).first().copied().unwrap_or(default);
        let slope = first(SLOPE, 1.0);
        // A slope of nothing is written by senders that have none.
        let slope = if slope.abs() < f64::MIN_POSITIVE { 1.0 } else { slope };
        Ok(Self::Linear { slope, intercept: first(INTERCEPT, 0.0) })
    }

    /// The value in units of the modality.
    pub(super) fn value(&self, stored: f64) -> f64 {
        match self {
            Self::Linear { slope, intercept } => stored * slope + intercept,
            Self::Table(lut) => f64::from(lut.at(whole(stored))),
        }
    }
}

/// Grey of each pixel.
pub(super) fn grey(
    set: &Elements<'_>,
    image: &Image<'_>,
    index: usize,
    raster: &Raster,
    wanted: Window,
) -> Result<Vec<u8>> {
    let scopes = Scopes::read(set, index)?;
    let modality = Modality::read(&scopes, set, image.signed)?;
    let voi = match chosen(&scopes, wanted, image.signed)? {
        Some(voi) => voi,
        None => whole_range(image, raster, &modality, wanted),
    };
    let inverse = image.photometric == Photometric::Monochrome1
        || set.text(SHAPE).is_some_and(|shape| shape == "INVERSE");
    let map = |stored: f64| {
        let grey = voi.grey(modality.value(stored));
        byte(if inverse { 255.0 - grey } else { grey })
    };
    Ok(match &raster.samples {
        Samples::Real(values) => values.iter().map(|value| map(*value)).collect(),
        Samples::Whole(values) => mapped(values, map),
    })
}

/// Maps by a table where there are more pixels than values.
fn mapped(values: &[i32], map: impl Fn(f64) -> u8) -> Vec<u8> {
    let low = values.iter().min().copied().unwrap_or(0);
    let high = values.iter().max().copied().unwrap_or(0);
    if i64::from(high) - i64::from(low) >= TABLE_MAX {
        return values.iter().map(|value| map(f64::from(*value))).collect();
    }
    let greys: Vec<u8> = (low..=high).map(|value| map(f64::from(value))).collect();
    values.iter().map(|value| greys.get(size(value.abs_diff(low))).copied().unwrap_or(0)).collect()
}

/// What to show without a window: of up to 8 bits unsigned, all that could be stored, since such
/// pixels are made to be looked at; else, or if asked for, what there is.
pub(super) fn whole_range(
    image: &Image<'_>,
    raster: &Raster,
    modality: &Modality,
    wanted: Window,
) -> Voi {
    let looked_at = !image.signed && image.bits_stored <= 8 && wanted == Window::Stored;
    if looked_at || image.bits_stored == 1 {
        let most = f64::from((1_u32 << image.bits_stored) - 1);
        let (one, other) = (modality.value(0.0), modality.value(most));
        return Voi::Between { low: one.min(other), high: one.max(other) };
    }
    let (low, high) = range(image, raster, modality);
    Voi::Between { low, high }
}

/// Lowest and highest value, without those that stand for no pixel.
pub(super) fn range(image: &Image<'_>, raster: &Raster, modality: &Modality) -> (f64, f64) {
    let padding = image.padding.filter(|_| matches!(raster.samples, Samples::Whole(_)));
    let counts =
        |stored: &i32| padding.is_none_or(|(from, to)| !(from..=to).contains(&i64::from(*stored)));
    let ends = |low: Option<f64>, high: Option<f64>| (low.unwrap_or(0.0), high.unwrap_or(0.0));
    match (&raster.samples, modality) {
        (Samples::Whole(values), Modality::Linear { .. }) => {
            let low = values.iter().filter(|value| counts(value)).min();
            let high = values.iter().filter(|value| counts(value)).max();
            let value = |end: Option<&i32>| end.map(|end| modality.value(f64::from(*end)));
            let (one, other) = ends(value(low), value(high));
            (one.min(other), one.max(other))
        }
        (Samples::Whole(values), Modality::Table(_)) => spread(
            values.iter().filter(|value| counts(value)).map(|v| modality.value(f64::from(*v))),
        ),
        (Samples::Real(values), _) => spread(values.iter().map(|value| modality.value(*value))),
    }
}

fn spread(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let ends = values.filter(|value| value.is_finite()).fold(None, |ends, value| {
        let (low, high) = ends.unwrap_or((value, value));
        Some((value.min(low), value.max(high)))
    });
    ends.unwrap_or((0.0, 0.0))
}
