//! From a frame to the numbers an imaging model takes.
//!
//! One pass over the stored values: each is windowed where it is needed and its part of an output
//! row added up, so that no second plane of the image's own size is made. The numbers stand in the
//! buffer that the engine reads.

use super::codec::{Raster, Samples, decode};
use super::colour::colours;
use super::dataset::Elements;
use super::draw::Opened;
use super::error::{RenderError, Result};
use super::frames::frame;
use super::functional::Scopes;
use super::grey::{Modality, whole_range};
use super::image::{Image, Photometric, flat};
use super::num::{float, real, single, size, whole};
use super::scale::weights;
use super::voi::{Voi, chosen};
use crate::app::imaging::models::{GreyRange, TensorSpec};
use crate::app::imaging::render::{PixelSource, Window, WindowFunction};

/// Edge of a tensor at most, in pixels.
pub const EDGE_MAX: usize = 4096;
/// Channels at most.
pub const CHANNELS_MAX: usize = 16;
/// Stored values that a table or a count of all is made for.
const TABLE_MAX: i64 = 1 << 20;

/// Frame `number` (from 1) as `[1, channels, rows, columns]`, row by row: the average of the pixels
/// under one downwards, linear between pixels upwards.
///
/// # Errors
///
/// [`RenderError::Unfit`] for an image that `spec` does not take, [`RenderError::Request`] for a
/// `spec` that contradicts itself, others for an image that cannot be decoded.
pub fn tensor(source: &PixelSource, number: u32, spec: &TensorSpec) -> Result<Vec<f32>> {
    check(spec)?;
    let opened = Opened::new(source)?;
    let set = opened.elements()?;
    let image = Image::read(&set)?;
    fits(&image, spec)?;
    let index = image.index(number)?;
    let bytes = frame(&opened.data, &set, &image, opened.syntax, number)?;
    let raster = decode(&image, opened.syntax, &bytes)?;
    let place = Place::of(&image, spec);
    let mut out = vec![0.0; spec.channels * place.plane()];
    if spec.colour {
        let pixels = colours(&set, &image, &raster)?;
        for (channel, plane) in out.chunks_exact_mut(place.plane()).enumerate() {
            let of_channel = |line: usize| {
                let line = pixels.get(line * image.cols * 3..).unwrap_or_default();
                line.iter().skip(channel).step_by(3).take(image.cols)
            };
            place.put(plane, of_channel, |byte: &u8| f32::from(*byte) / 255.0);
        }
    } else {
        let grey = Grey::read(&set, &image, &raster, index)?;
        for (range, plane) in spec.ranges.iter().zip(out.chunks_exact_mut(place.plane())) {
            grey.put(plane, &place, *range, spec.invert_monochrome1)?;
        }
        // One range for all channels: they are alike until they are normalised.
        if spec.ranges.len() == 1 {
            for channel in 1..spec.channels {
                out.copy_within(..place.plane(), channel * place.plane());
            }
        }
    }
    for ((plane, mean), deviation) in
        out.chunks_exact_mut(place.plane()).zip(&spec.mean).zip(&spec.deviation)
    {
        let (times, less) = (spec.scale / deviation, mean / deviation);
        for value in plane {
            *value = *value * times - less;
        }
    }
    Ok(out)
}

fn check(spec: &TensorSpec) -> Result<()> {
    let edges = 1..=EDGE_MAX;
    if !edges.contains(&spec.columns) || !edges.contains(&spec.rows) {
        return Err(RenderError::Request("needs a tensor of 1 to 4096 pixels each way"));
    }
    let ranges = if spec.colour {
        spec.channels == 3 && spec.ranges.is_empty()
    } else {
        spec.ranges.len() == 1 || spec.ranges.len() == spec.channels
    };
    let range = |range: &GreyRange| match range {
        GreyRange::Window { center, width } => center.is_finite() && *width > 0.0,
        GreyRange::Stored => true,
        GreyRange::Percentiles { low, high } => 0.0 <= *low && low < high && *high <= 100.0,
    };
    let consistent = (1..=CHANNELS_MAX).contains(&spec.channels)
        && ranges
        && spec.ranges.iter().all(range)
        && spec.scale.is_finite()
        && spec.mean.len() == spec.channels
        && spec.deviation.len() == spec.channels
        && spec.deviation.iter().all(|by| by.abs() >= f32::MIN_POSITIVE);
    if consistent {
        return Ok(());
    }
    Err(RenderError::Request("needs a range, mean and deviation for each channel"))
}

fn fits(image: &Image<'_>, spec: &TensorSpec) -> Result<()> {
    let grey = matches!(image.photometric, Photometric::Monochrome1 | Photometric::Monochrome2);
    if grey == spec.colour {
        let wanted = if spec.colour { "it takes colour" } else { "it takes grey" };
        return Err(RenderError::Unfit(wanted));
    }
    let name = image.photometric.name();
    if !spec.photometric.is_empty() && !spec.photometric.iter().any(|taken| taken == name) {
        return Err(RenderError::Unfit("its photometric interpretation is another"));
    }
    Ok(())
}

/// Where the image goes in a plane of the tensor.
struct Place {
    stride: usize,
    rows: usize,
    left: usize,
    top: usize,
    /// First pixel and parts of it and those after, for each column of the tensor it fills.
    across: Vec<(usize, Vec<f32>)>,
    /// Likewise for each row.
    down: Vec<(usize, Vec<f32>)>,
    cols: usize,
}

impl Place {
    fn of(image: &Image<'_>, spec: &TensorSpec) -> Self {
        let (mut width, mut height) = (spec.columns, spec.rows);
        if spec.keep_aspect {
            let factor = (real(width) / real(image.cols)).min(real(height) / real(image.rows));
            let edge = |length: usize, most: usize| {
                let scaled = usize::try_from(whole(real(length) * factor)).unwrap_or(most);
                scaled.clamp(1, most)
            };
            (width, height) = (edge(image.cols, width), edge(image.rows, height));
        }
        Self {
            stride: spec.columns,
            rows: spec.rows,
            left: (spec.columns - width) / 2,
            top: (spec.rows - height) / 2,
            across: weights(image.cols, width),
            down: weights(image.rows, height),
            cols: image.cols,
        }
    }

    /// Numbers of one plane.
    fn plane(&self) -> usize {
        self.stride * self.rows
    }

    /// Scales the lines of an image into `plane`.
    fn put<S, L>(&self, plane: &mut [f32], line: impl Fn(usize) -> L, value: impl Fn(S) -> f32)
    where
        L: Iterator<Item = S>,
    {
        let mut sums = vec![0.0_f32; self.cols];
        let rows = plane.chunks_exact_mut(self.stride).skip(self.top);
        for ((first, parts), out) in self.down.iter().zip(rows) {
            sums.fill(0.0);
            for (at, part) in (*first..).zip(parts) {
                for (sum, sample) in sums.iter_mut().zip(line(at)) {
                    *sum += value(sample) * part;
                }
            }
            let out = out.iter_mut().skip(self.left);
            for ((first, parts), out) in self.across.iter().zip(out) {
                let row = sums.get(*first..).unwrap_or_default();
                *out = row.iter().zip(parts).map(|(value, part)| value * part).sum();
            }
        }
    }
}

/// A decoded grey frame and what its values mean.
struct Grey<'a, 's> {
    set_scopes: Scopes<'a>,
    image: &'s Image<'a>,
    raster: &'s Raster,
    modality: Modality,
}

/// From stored values to 0 to 1.
enum Map {
    /// `value * slope + intercept`, cut.
    Linear { slope: f32, intercept: f32 },
    /// For each stored value from the lowest.
    Table { low: i32, values: Vec<f32> },
}

impl<'a, 's> Grey<'a, 's> {
    fn read(
        set: &Elements<'a>,
        image: &'s Image<'a>,
        raster: &'s Raster,
        index: usize,
    ) -> Result<Self> {
        let set_scopes = Scopes::read(set, index)?;
        let modality = Modality::read(&set_scopes, set, image.signed)?;
        Ok(Self { set_scopes, image, raster, modality })
    }

    fn put(
        &self,
        plane: &mut [f32],
        fit: &Place,
        range: GreyRange,
        invert_monochrome1: bool,
    ) -> Result<()> {
        let voi = self.voi(range)?;
        let inverse = invert_monochrome1 && self.image.photometric == Photometric::Monochrome1;
        let grey = |stored: f64| {
            let grey = voi.grey(self.modality.value(stored)) / 255.0;
            if inverse { 1.0 - grey } else { grey }
        };
        let cols = self.image.cols;
        match &self.raster.samples {
            Samples::Real(values) => {
                let line = |at: usize| values.iter().skip(at * cols).take(cols);
                fit.put(plane, line, |value: &f64| single(grey(*value)));
            }
            Samples::Whole(values) => {
                let line =
                    |at: usize| values.get(at * cols..(at + 1) * cols).unwrap_or_default().iter();
                match self.map(values, &voi, inverse, &grey) {
                    Some(Map::Linear { slope, intercept }) => fit.put(plane, line, |v: &i32| {
                        (float(*v) * slope + intercept).clamp(0.0, 1.0)
                    }),
                    Some(Map::Table { low, values }) => fit.put(plane, line, |v: &i32| {
                        values.get(size(v.abs_diff(low))).copied().unwrap_or(0.0)
                    }),
                    None => fit.put(plane, line, |v: &i32| single(grey(f64::from(*v)))),
                }
            }
        }
        Ok(())
    }

    /// How whole values are mapped quickly; none if they spread too far.
    fn map(
        &self,
        values: &[i32],
        voi: &Voi,
        inverse: bool,
        grey: &impl Fn(f64) -> f64,
    ) -> Option<Map> {
        if let (Modality::Linear { slope, intercept }, Some((times, plus))) =
            (&self.modality, linear(voi))
        {
            let (mut slope, mut intercept) = (slope * times, intercept * times + plus);
            if inverse {
                (slope, intercept) = (-slope, 1.0 - intercept);
            }
            return Some(Map::Linear { slope: single(slope), intercept: single(intercept) });
        }
        let (low, high) = (*values.iter().min()?, *values.iter().max()?);
        if i64::from(high) - i64::from(low) >= TABLE_MAX {
            return None;
        }
        let values = (low..=high).map(|stored| single(grey(f64::from(stored)))).collect();
        Some(Map::Table { low, values })
    }

    fn voi(&self, range: GreyRange) -> Result<Voi> {
        Ok(match range {
            GreyRange::Window { center, width } => {
                Voi::Window { center, width, function: WindowFunction::LinearExact }
            }
            GreyRange::Stored => {
                match chosen(&self.set_scopes, Window::Stored, self.image.signed)? {
                    Some(voi) => voi,
                    None => whole_range(self.image, self.raster, &self.modality, Window::Stored),
                }
            }
            GreyRange::Percentiles { low, high } => {
                let (low, high) = self.percentiles(low, high);
                Voi::Between { low, high }
            }
        })
    }

    /// The least values that `low` and `high` percent of the pixels do not exceed.
    fn percentiles(&self, low: f64, high: f64) -> (f64, f64) {
        let padding = self.image.padding;
        let counts =
            |v: &&i32| padding.is_none_or(|(from, to)| !(from..=to).contains(&i64::from(**v)));
        let value = |stored: &i32| self.modality.value(f64::from(*stored));
        if let (Samples::Whole(values), Modality::Linear { slope, .. }) =
            (&self.raster.samples, &self.modality)
            && let values = values.iter().filter(counts).copied()
            && let Some((one, other)) = counted(values, (low, high), *slope < 0.0)
        {
            return (value(&one), value(&other));
        }
        let mut of_all: Vec<f64> = match &self.raster.samples {
            Samples::Whole(values) => values.iter().filter(counts).map(value).collect(),
            Samples::Real(values) => {
                let values = values.iter().filter(|value| value.is_finite());
                values.map(|value| self.modality.value(*value)).collect()
            }
        };
        of_all.sort_unstable_by(f64::total_cmp);
        let at = |percent: f64| of_all.get(rank(percent, of_all.len())).copied().unwrap_or(0.0);
        (at(low), at(high))
    }
}

/// The place from 0 of the value that `percent` of `count` values do not exceed.
fn rank(percent: f64, count: usize) -> usize {
    let place = whole((percent / 100.0 * real(count)).ceil()) - 1;
    usize::try_from(place).unwrap_or(0).min(count.saturating_sub(1))
}

/// The percentiles of whole values by counting them; none if they spread too far or there are none.
/// With `falling`, more stands for less.
fn counted(
    values: impl Iterator<Item = i32> + Clone,
    (low, high): (f64, f64),
    falling: bool,
) -> Option<(i32, i32)> {
    let (least, most) = values
        .clone()
        .fold((i32::MAX, i32::MIN), |(least, most), value| (least.min(value), most.max(value)));
    if least > most || i64::from(most) - i64::from(least) >= TABLE_MAX {
        return None;
    }
    let mut counts = vec![0_usize; size(most.abs_diff(least)) + 1];
    let mut all = 0;
    for value in values {
        if let Some(count) = counts.get_mut(size(value.abs_diff(least))) {
            *count += 1;
            all += 1;
        }
    }
    let find = |percent: f64| {
        let wanted = rank(percent, all);
        let wanted = if falling { all - 1 - wanted } else { wanted };
        let mut below = 0;
        (least..=most).zip(&counts).find_map(|(value, count)| {
            below += count;
            (below > wanted).then_some(value)
        })
    };
    Some((find(low)?, find(high)?))
}

/// Slope and intercept of a map to 0 to 1 that is straight between its ends.
fn linear(voi: &Voi) -> Option<(f64, f64)> {
    match voi {
        Voi::Window { center, width, function: WindowFunction::LinearExact } => {
            Some((1.0 / width, 0.5 - center / width))
        }
        Voi::Window { center, width, function: WindowFunction::Linear } if *width > 1.0 => {
            Some((1.0 / (width - 1.0), 0.5 - (center - 0.5) / (width - 1.0)))
        }
        Voi::Between { low, high } if !flat(*low, *high) => {
            Some((1.0 / (high - low), -low / (high - low)))
        }
        Voi::Window { .. } | Voi::Between { .. } | Voi::Table(_) => None,
    }
}

#[cfg(test)]
mod tests;
