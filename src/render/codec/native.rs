//! Native pixels: cells of 1 to 64 bits, channels together or apart, chrominance at half width.

use std::io::Read;

use bytes::Bytes;

use super::{Raster, Samples};
use crate::render::error::{RenderError, Result};
use crate::render::frames::native_samples;
use crate::render::image::{Image, Kind};
use crate::render::num::size;

/// Reads little-endian cells as the planar configuration says.
pub(super) fn raster(image: &Image<'_>, cells: Bytes) -> Result<Raster> {
    if image.samples == 3 && native_samples(image) == 2 {
        return halved(image, &cells);
    }
    let samples = values(image, &cells, image.area() * image.samples)?;
    let samples = if image.planar { together(image, samples) } else { samples };
    Ok(whole(image, samples, cells))
}

/// Reads little-endian cells whose channels lie side by side.
pub(super) fn raster_interleaved(image: &Image<'_>, cells: Bytes) -> Result<Raster> {
    let samples = values(image, &cells, image.area() * image.samples)?;
    Ok(whole(image, samples, cells))
}

fn whole(image: &Image<'_>, samples: Samples, cells: Bytes) -> Raster {
    let photometric = image.photometric.unhalved();
    Raster { samples, photometric, cells: Some(cells) }
}

/// Inflates one frame; stops where the frame must end.
pub(super) fn inflated(image: &Image<'_>, frame: &[u8]) -> Result<Vec<u8>> {
    let bits = image.area() * native_samples(image) * size(image.bits_allocated);
    let bytes = bits.div_ceil(8);
    let mut cells = Vec::new();
    let limit = u64::try_from(bytes).unwrap_or(u64::MAX);
    let mut reader = flate2::read::DeflateDecoder::new(frame).take(limit);
    // A stream cut short gives what it gave; its length is checked below.
    drop(reader.read_to_end(&mut cells));
    if cells.len() < bytes {
        return Err(RenderError::Codec { codec: "deflate", reason: "stream ends early" });
    }
    Ok(cells)
}

/// The first `count` stored values of `cells`.
fn values(image: &Image<'_>, cells: &[u8], count: usize) -> Result<Samples> {
    if cells.len() * 8 < count * size(image.bits_allocated) {
        return Err(RenderError::Truncated);
    }
    if image.kind == Kind::Double {
        let (cells, _) = cells.as_chunks::<8>();
        let real = cells.iter().take(count).map(|cell| f64::from_le_bytes(*cell));
        return Ok(Samples::Real(real.collect()));
    }
    if image.kind == Kind::Float {
        let (cells, _) = cells.as_chunks::<4>();
        let real = cells.iter().take(count).map(|cell| f64::from(f32::from_le_bytes(*cell)));
        return Ok(Samples::Real(real.collect()));
    }
    // The stored bits are moved to the top and back, which also extends the sign.
    let up = 31 - image.high_bit;
    let down = 32 - image.bits_stored;
    let signed = move |bits: u32| bits.wrapping_shl(up).cast_signed().wrapping_shr(down);
    let unsigned = move |bits: u32| bits.wrapping_shl(up).wrapping_shr(down).cast_signed();
    let whole: Vec<i32> = match (image.bits_allocated, image.signed) {
        (1, _) => cells
            .iter()
            .flat_map(|byte| (0..8).map(move |bit| i32::from(byte >> bit & 1)))
            .take(count)
            .collect(),
        (8, true) => cells.iter().take(count).map(|cell| signed((*cell).into())).collect(),
        (8, false) => cells.iter().take(count).map(|cell| unsigned((*cell).into())).collect(),
        (16, true) => short(cells, count).map(signed).collect(),
        (16, false) => short(cells, count).map(unsigned).collect(),
        (_, true) => long(cells, count).map(signed).collect(),
        (_, false) if image.bits_stored < 32 => long(cells, count).map(unsigned).collect(),
        (_, false) => return Ok(Samples::Real(long(cells, count).map(f64::from).collect())),
    };
    Ok(Samples::Whole(whole))
}

fn short(cells: &[u8], count: usize) -> impl Iterator<Item = u32> + '_ {
    cells.as_chunks::<2>().0.iter().take(count).map(|cell| u16::from_le_bytes(*cell).into())
}

fn long(cells: &[u8], count: usize) -> impl Iterator<Item = u32> + '_ {
    cells.as_chunks::<4>().0.iter().take(count).map(|cell| u32::from_le_bytes(*cell))
}

/// From planes to pixels.
fn together(image: &Image<'_>, samples: Samples) -> Samples {
    fn weave<T: Copy>(area: usize, planes: &[T]) -> Vec<T> {
        let (first, rest) = planes.split_at(area.min(planes.len()));
        let (second, third) = rest.split_at(area.min(rest.len()));
        let pixels = first.iter().zip(second).zip(third);
        pixels.flat_map(|((a, b), c)| [*a, *b, *c]).collect()
    }
    match samples {
        Samples::Whole(values) => Samples::Whole(weave(image.area(), &values)),
        Samples::Real(values) => Samples::Real(weave(image.area(), &values)),
    }
}

/// Two luminances, then the chrominance of both (PS3.3, C.7.6.3.1.2).
fn halved(image: &Image<'_>, cells: &Bytes) -> Result<Raster> {
    let Samples::Whole(values) = values(image, cells, image.area() * 2)? else {
        return Err(RenderError::Unsupported("YBR_FULL_422 of 32 bits"));
    };
    let (fours, _) = values.as_chunks::<4>();
    let mut samples = Vec::with_capacity(image.area() * 3);
    for [one, two, blue, red] in fours {
        samples.extend([*one, *blue, *red, *two, *blue, *red]);
    }
    if samples.len() != image.area() * 3 {
        return Err(RenderError::Attribute { attribute: "Columns" });
    }
    let photometric = image.photometric.unhalved();
    Ok(Raster { samples: Samples::Whole(samples), photometric, cells: None })
}
