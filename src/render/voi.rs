//! From values to grey: windows, tables, or all values from lowest to highest (PS3.3, C.11.2).

use super::dataset::Elements;
use super::error::{RenderError, Result};
use super::functional::Scopes;
use super::image::flat;
use super::num::whole;
use super::palette::Lut;
use crate::app::imaging::render::{Window, WindowFunction};

const FRAME_VOI: u32 = 0x0028_9132;
const CENTER: u32 = 0x0028_1050;
const WIDTH: u32 = 0x0028_1051;
const FUNCTION: u32 = 0x0028_1056;
const VOI_SEQUENCE: u32 = 0x0028_3010;

/// Tables of one object that are looked at.
const TABLES_MAX: usize = 64;

/// How a value becomes grey.
#[derive(Debug, Clone)]
pub(super) enum Voi {
    Window { center: f64, width: f64, function: WindowFunction },
    Table(Lut),
    Between { low: f64, high: f64 },
}

impl Voi {
    /// Grey of `value`, from 0 to 255, before it is rounded.
    pub(super) fn grey(&self, value: f64) -> f64 {
        match self {
            Self::Window { center, width, function } => {
                255.0 * window(value, *center, *width, *function)
            }
            Self::Table(lut) => 255.0 * f64::from(lut.at(whole(value))) / lut.max(),
            Self::Between { low, high } if flat(*low, *high) => 0.0,
            Self::Between { low, high } => (255.0 * (value - low) / (high - low)).clamp(0.0, 255.0),
        }
    }
}

/// From 0 to 1 (C.11.2.1.2 and C.11.2.1.3).
pub(super) fn window(value: f64, center: f64, width: f64, function: WindowFunction) -> f64 {
    let ramp = |offset: f64, width: f64| {
        if offset <= -width / 2.0 {
            0.0
        } else if offset > width / 2.0 {
            1.0
        } else {
            offset / width + 0.5
        }
    };
    match function {
        WindowFunction::Linear => ramp(value - (center - 0.5), width - 1.0),
        WindowFunction::LinearExact => ramp(value - center, width),
        WindowFunction::Sigmoid => 1.0 / (1.0 + (-4.0 * (value - center) / width).exp()),
    }
}

/// What `wanted` means for one frame; none: from the lowest to the highest value.
pub(super) fn chosen(scopes: &Scopes<'_>, wanted: Window, signed: bool) -> Result<Option<Voi>> {
    match wanted {
        Window::Full => Ok(None),
        Window::Explicit { center, width, function } => {
            let least = if function == WindowFunction::Linear { 1.0 } else { f64::MIN_POSITIVE };
            if !center.is_finite() || !width.is_finite() || width < least {
                return Err(RenderError::Request("needs a window of at least 1 in width"));
            }
            Ok(Some(Voi::Window { center, width, function }))
        }
        Window::Stored => Ok(stored(scopes, signed, 1)?.into_iter().next()),
        Window::Index(index) => {
            let all = stored(scopes, signed, TABLES_MAX)?;
            let found = all.into_iter().nth(index);
            found.map(Some).ok_or(RenderError::Request("needs a window that the object has"))
        }
    }
}

/// Windows in their order, then tables; tables beyond `tables` are not read.
fn stored(scopes: &Scopes<'_>, signed: bool, tables: usize) -> Result<Vec<Voi>> {
    let set = scopes.holding(FRAME_VOI, CENTER)?;
    let function = match set.text(FUNCTION) {
        Some("SIGMOID") => WindowFunction::Sigmoid,
        Some("LINEAR_EXACT") => WindowFunction::LinearExact,
        _ => WindowFunction::Linear,
    };
    let mut found: Vec<Voi> = set
        .decimals(CENTER)
        .into_iter()
        .zip(set.decimals(WIDTH))
        // A width of less than 1 is written by senders that mean LINEAR_EXACT, or nothing.
        .filter(|(_, width)| *width > 0.0)
        .map(|(center, width)| {
            let exact = function == WindowFunction::Linear && width < 1.0;
            let function = if exact { WindowFunction::LinearExact } else { function };
            Voi::Window { center, width, function }
        })
        .collect();
    if tables > 1 || found.is_empty() {
        let set = scopes.holding(FRAME_VOI, VOI_SEQUENCE)?;
        for number in 0..tables {
            let Some(item) = set.item(VOI_SEQUENCE, number)? else { break };
            found.extend(table(&item, signed)?.map(Voi::Table));
        }
    }
    Ok(found)
}

/// The table of a modality or VOI LUT item.
pub(super) fn table(item: &Elements<'_>, signed: bool) -> Result<Option<Lut>> {
    Lut::read(item, 0x0028_3002, 0x0028_3006, signed)
}
