//! Cuts and scales pictures: the average of all pixels under one downwards, linear between pixels
//! upwards.

use super::error::{RenderError, Result};
use super::num::{byte, count, real, single, size, whole};
use crate::app::imaging::render::{Region, Viewport};

/// Pixels of a drawn image at most.
const OUTPUT_PIXELS_MAX: usize = 128 * 1024 * 1024;
/// Pixels across or down at most: what JPEG can say.
const OUTPUT_EDGE_MAX: usize = 65_535;

/// 8-bit pixels, row by row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Picture {
    pub width: usize,
    pub height: usize,
    /// 1 grey, 3 red, green and blue.
    pub channels: usize,
    pub data: Vec<u8>,
}

impl Picture {
    /// Without pixels, black.
    pub(super) fn black(width: usize, height: usize, channels: usize) -> Self {
        Self { width, height, channels, data: vec![0; width * height * channels] }
    }

    /// The part that `region` names, at least one pixel each way.
    pub(super) fn cut(self, region: Region) -> Result<Self> {
        let Region { left, top, width, height } = region;
        let inside = |from: f64, length: f64| {
            from >= 0.0 && length > 0.0 && from < 1.0 && from + length <= 1.0 + 1e-9
        };
        if !inside(left, width) || !inside(top, height) {
            return Err(RenderError::Request("needs a region inside the image"));
        }
        let span = |from: f64, length: f64, pixels: usize| {
            let at = |part: f64| usize::try_from(whole(part * real(pixels))).unwrap_or(0);
            let begin = at(from).min(pixels - 1);
            (begin, at(from + length).clamp(begin + 1, pixels))
        };
        let (x1, x2) = span(left, width, self.width);
        let (y1, y2) = span(top, height, self.height);
        let stride = self.width * self.channels;
        let lines = self.data.chunks_exact(stride).skip(y1).take(y2 - y1);
        let parts = lines.filter_map(|line| line.get(x1 * self.channels..x2 * self.channels));
        let data = parts.collect::<Vec<_>>().concat();
        Ok(Self { width: x2 - x1, height: y2 - y1, channels: self.channels, data })
    }

    /// Drawn so that pixels are square (`aspect`: height by width of one) and all fits `viewport`;
    /// never larger than it is, other than to make pixels square.
    pub(super) fn fitted(self, aspect: f64, viewport: Option<Viewport>) -> Result<Self> {
        let (mut width, mut height) = (real(self.width), real(self.height));
        if aspect > 1.0 {
            height *= aspect;
        } else {
            width /= aspect;
        }
        if let Some(Viewport { width: across, height: down }) = viewport {
            if across == 0 || down == 0 {
                return Err(RenderError::Request("needs a viewport with an area"));
            }
            let factor = (f64::from(across) / width).min(f64::from(down) / height).min(1.0);
            width *= factor;
            height *= factor;
        }
        let edge = |length: f64| usize::try_from(whole(length)).unwrap_or(0).max(1);
        self.scaled(edge(width), edge(height))
    }

    /// Scaled to exactly this size.
    pub(super) fn scaled(self, width: usize, height: usize) -> Result<Self> {
        let edge = width.max(height);
        if edge > OUTPUT_EDGE_MAX || width * height > OUTPUT_PIXELS_MAX {
            return Err(RenderError::TooLarge {
                what: "pixels of the drawn image",
                max: u64::from(count(OUTPUT_PIXELS_MAX)),
            });
        }
        if (width, height) == (self.width, self.height) {
            return Ok(self);
        }
        let across = weights(self.width, width);
        let down = weights(self.height, height);
        let (stride, channels) = (self.width * self.channels, self.channels);
        let mut data = Vec::with_capacity(width * height * channels);
        let mut sums = vec![0.0_f32; stride];
        for (first, parts) in &down {
            sums.fill(0.0);
            let lines = self.data.chunks_exact(stride).skip(*first);
            for (line, part) in lines.zip(parts) {
                for (sum, value) in sums.iter_mut().zip(line) {
                    *sum += f32::from(*value) * part;
                }
            }
            for (first, parts) in &across {
                for channel in 0..channels {
                    let row = sums.get(first * channels + channel..).unwrap_or_default();
                    let pixels = row.iter().step_by(channels);
                    let sum: f32 = pixels.zip(parts).map(|(value, part)| value * part).sum();
                    data.push(byte(f64::from(sum)));
                }
            }
        }
        Ok(Self { width, height, channels, data })
    }
}

/// For each place of `to`: the first of `from` that counts, and the parts of it and those after.
pub(super) fn weights(from: usize, to: usize) -> Vec<(usize, Vec<f32>)> {
    let step = real(from) / real(to);
    let floor = |value: f64| usize::try_from(whole(value.floor())).unwrap_or(0);
    (0..to)
        .map(|place| {
            if step <= 1.0 {
                let at = ((real(place) + 0.5) * step - 0.5).clamp(0.0, real(from - 1));
                let first = floor(at);
                let part = single(at - real(first));
                let both = if first + 1 < from { vec![1.0 - part, part] } else { vec![1.0] };
                return (first, both);
            }
            let (begin, end) = (real(place) * step, real(place + 1) * step);
            let first = floor(begin).min(from - 1);
            let last = floor(end - 1e-9).clamp(first, from - 1);
            let parts = (first..=last)
                .map(|at| {
                    let part = end.min(real(at + 1)) - begin.max(real(at));
                    single(part.max(0.0) / step)
                })
                .collect();
            (first, parts)
        })
        .collect()
}

/// The largest size with the shape of `width` by `height` and no edge above `edge`.
pub(super) fn within(width: usize, height: usize, edge: u32) -> (usize, usize) {
    let factor = (f64::from(edge) / real(width.max(height))).min(1.0);
    let scaled = |length: usize| usize::try_from(whole(real(length) * factor)).unwrap_or(0);
    (scaled(width).clamp(1, size(edge).max(1)), scaled(height).clamp(1, size(edge).max(1)))
}
