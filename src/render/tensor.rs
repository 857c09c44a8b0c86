//! From a frame to the numbers an imaging model takes.

use ndarray::Array4;

use super::codec::decode;
use super::colour::colours;
use super::draw::Opened;
use super::error::{RenderError, Result};
use super::frames::frame;
use super::functional::Scopes;
use super::grey::Modality;
use super::image::{Image, Photometric};
use super::num::single;
use super::scale::weights;
use super::voi::window;
use crate::app::imaging::render::{PixelSource, WindowFunction};

/// Edge of a tensor at most, in pixels.
pub const EDGE_MAX: usize = 4096;
/// Channels at most.
pub const CHANNELS_MAX: usize = 16;

/// What a model takes.
#[derive(Debug, Clone, PartialEq)]
pub struct TensorSpec {
    /// Pixels across.
    pub width: usize,
    /// Pixels down.
    pub height: usize,
    /// Centre and width of a window, in units of the modality, one per channel; each value becomes
    /// 0 to 1. Of colour images the channels are red, green and blue and this is empty.
    pub windows: Vec<(f64, f64)>,
    /// Subtracted from each channel.
    pub mean: Vec<f32>,
    /// Divides each channel after that; not 0.
    pub deviation: Vec<f32>,
}

/// Frame `number` (from 1) as `[1, channels, height, width]`, stretched to the model's size by
/// averaging; MONOCHROME1 turned so that more is brighter.
pub fn tensor(source: &PixelSource, number: u32, spec: &TensorSpec) -> Result<Array4<f32>> {
    let edges = 1..=EDGE_MAX;
    if !edges.contains(&spec.width) || !edges.contains(&spec.height) {
        return Err(RenderError::Request("needs a tensor of 1 to 4096 pixels each way"));
    }
    let opened = Opened::new(source)?;
    let set = opened.elements()?;
    let image = Image::read(&set)?;
    let grey = matches!(image.photometric, Photometric::Monochrome1 | Photometric::Monochrome2);
    let channels = if grey { spec.windows.len() } else { 3 };
    let fits = (1..=CHANNELS_MAX).contains(&channels)
        && spec.windows.is_empty() != grey
        && spec.windows.iter().all(|(center, width)| center.is_finite() && *width > 0.0)
        && spec.mean.len() == channels
        && spec.deviation.len() == channels
        && spec.deviation.iter().all(|by| by.abs() >= f32::MIN_POSITIVE);
    if !fits {
        return Err(RenderError::Request("needs a window, mean and deviation for each channel"));
    }
    let index = image.index(number)?;
    let bytes = frame(&opened.data, &set, &image, opened.syntax, number)?;
    let raster = decode(&image, opened.syntax, &bytes)?;
    let planes: Vec<Vec<f32>> = if grey {
        let scopes = Scopes::read(&set, index)?;
        let modality = Modality::read(&scopes, &set, image.signed)?;
        let inverse = image.photometric == Photometric::Monochrome1;
        let plane = |(center, width): &(f64, f64)| {
            raster.samples.mapped(|stored| {
                let value =
                    window(modality.value(stored), *center, *width, WindowFunction::LinearExact);
                single(if inverse { 1.0 - value } else { value })
            })
        };
        spec.windows.iter().map(plane).collect()
    } else {
        let pixels = colours(&set, &image, &raster)?;
        let plane = |channel: usize| {
            pixels.iter().skip(channel).step_by(3).map(|byte| f32::from(*byte) / 255.0).collect()
        };
        (0..3).map(plane).collect()
    };
    let mut values = Vec::with_capacity(channels * spec.width * spec.height);
    for ((plane, mean), deviation) in planes.iter().zip(&spec.mean).zip(&spec.deviation) {
        let scaled = stretched(plane, (image.cols, image.rows), (spec.width, spec.height));
        values.extend(scaled.into_iter().map(|value| (value - mean) / deviation));
    }
    Array4::from_shape_vec((1, channels, spec.height, spec.width), values)
        .map_err(|_| RenderError::Malformed("frame holds another number of samples"))
}

/// A plane scaled to another width and height.
fn stretched(plane: &[f32], from: (usize, usize), to: (usize, usize)) -> Vec<f32> {
    let (across, down) = (weights(from.0, to.0), weights(from.1, to.1));
    let mut out = Vec::with_capacity(to.0 * to.1);
    let mut sums = vec![0.0_f32; from.0];
    for (first, parts) in &down {
        sums.fill(0.0);
        for (line, part) in plane.chunks_exact(from.0).skip(*first).zip(parts) {
            sums.iter_mut().zip(line).for_each(|(sum, value)| *sum += value * part);
        }
        for (first, parts) in &across {
            let row = sums.get(*first..).unwrap_or_default();
            out.push(row.iter().zip(parts).map(|(value, part)| value * part).sum());
        }
    }
    out
}
