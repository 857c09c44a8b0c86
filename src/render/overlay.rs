//! Overlays (PS3.3, C.9.2): planes of one bit, of their own or in the unused bits of the pixels.

use super::codec::Raster;
use super::dataset::{Elements, shorts};
use super::image::Image;
use super::num::size;

/// Overlays of one object at most (groups 6000 to 601E).
const OVERLAYS_MAX: u32 = 16;

/// Draws the overlays of the frame with `index` in white onto `pixels`, which have `channels` bytes
/// each. An overlay that contradicts itself is left out.
pub(super) fn burn(
    set: &Elements<'_>,
    image: &Image<'_>,
    index: usize,
    raster: &Raster,
    (pixels, channels): (&mut [u8], usize),
) {
    for number in 0..OVERLAYS_MAX {
        let group = 0x6000_0000 + (number << 17);
        if let Some(plane) = Plane::read(set, group, image, index, raster) {
            plane.burn(image, pixels, channels);
        }
    }
}

struct Plane {
    rows: usize,
    cols: usize,
    /// Row and column of the first point, from 0; may lie outside.
    top: i64,
    left: i64,
    points: Vec<bool>,
}

impl Plane {
    fn read(
        set: &Elements<'_>,
        group: u32,
        image: &Image<'_>,
        index: usize,
        raster: &Raster,
    ) -> Option<Self> {
        let rows = usize::from(set.short(group + 0x10)?);
        let cols = usize::from(set.short(group + 0x11)?);
        let origin = set.shorts(group + 0x50);
        let [top, left] = match origin.as_slice() {
            [top, left, ..] => [top.cast_signed(), left.cast_signed()].map(|n| i64::from(n) - 1),
            _ => [0, 0],
        };
        let points = match set.get(group + 0x3000).filter(|data| !data.value.is_empty()) {
            Some(data) => {
                let frame = frame_of(set, group, index)?;
                let words = data.big_endian() && data.vr != *b"OB";
                let swapped: Vec<u8>;
                let bytes = if words {
                    swapped = shorts(data.value, true).flat_map(u16::to_le_bytes).collect();
                    &swapped
                } else {
                    data.value
                };
                bits(bytes, frame.checked_mul(rows * cols)?, rows * cols)?
            }
            None => embedded(set, group, image, raster, rows * cols)?,
        };
        Some(Self { rows, cols, top, left, points })
    }

    fn burn(&self, image: &Image<'_>, pixels: &mut [u8], channels: usize) {
        for (row, points) in self.points.chunks(self.cols.max(1)).take(self.rows).enumerate() {
            let at = i64::try_from(row).unwrap_or(i64::MAX).saturating_add(self.top);
            let Ok(y) = usize::try_from(at) else { continue };
            if y >= image.rows {
                break;
            }
            for (col, _) in points.iter().enumerate().filter(|(_, point)| **point) {
                let at = i64::try_from(col).unwrap_or(i64::MAX).saturating_add(self.left);
                let Ok(x) = usize::try_from(at) else { continue };
                if x >= image.cols {
                    break;
                }
                let begin = (y * image.cols + x) * channels;
                if let Some(pixel) = pixels.get_mut(begin..begin + channels) {
                    pixel.fill(u8::MAX);
                }
            }
        }
    }
}

/// Which frame of the overlay belongs to frame `index`: an overlay that does not count its frames
/// belongs to all.
fn frame_of(set: &Elements<'_>, group: u32, index: usize) -> Option<usize> {
    let Some(frames) = set.text(group + 0x15).and_then(|text| text.parse::<usize>().ok()) else {
        return Some(0);
    };
    let origin = set.short(group + 0x51).map_or(0, |origin| usize::from(origin).saturating_sub(1));
    index.checked_sub(origin).filter(|frame| *frame < frames)
}

fn bits(bytes: &[u8], first: usize, count: usize) -> Option<Vec<bool>> {
    let end = first.checked_add(count)?;
    let part = bytes.get(first / 8..end.div_ceil(8))?;
    let all = part.iter().flat_map(|byte| (0..8).map(move |bit| byte >> bit & 1 == 1));
    Some(all.skip(first % 8).take(count).collect())
}

/// Points in a bit of the cells above or below the stored bits (retired, still about).
fn embedded(
    set: &Elements<'_>,
    group: u32,
    image: &Image<'_>,
    raster: &Raster,
    count: usize,
) -> Option<Vec<bool>> {
    let bit = size(u32::from(set.short(group + 0x102)?));
    let cells = raster.cells.as_ref()?;
    let stored = size(image.high_bit + 1 - image.bits_stored)..=size(image.high_bit);
    let inside = bit < image.cell_bytes() * 8 && !stored.contains(&bit);
    if image.bits_allocated < 8 || image.samples != 1 || count != image.area() || !inside {
        return None;
    }
    let cells = cells.chunks_exact(image.cell_bytes());
    let point = |cell: &[u8]| cell.get(bit / 8).is_some_and(|byte| byte >> (bit % 8) & 1 == 1);
    Some(cells.take(count).map(point).collect())
}
