//! Run lengths (PS3.5, annex G): a header of segment offsets, then for each channel, from its high
//! byte to its low byte, a segment of packed bytes.

use crate::render::dataset::{long, tail};
use crate::render::error::{RenderError, Result};
use crate::render::image::Image;
use crate::render::num::size;

/// Bytes of the header (G.5).
const HEADER_BYTES: usize = 64;
/// Segments at most (G.5).
const SEGMENTS_MAX: usize = 15;
/// A pair of bytes gives 128 at most (G.3.2).
const EXPANSION_MAX: usize = 64;

const fn damaged(reason: &'static str) -> RenderError {
    RenderError::Codec { codec: "RLE", reason }
}

/// Little-endian cells, channels side by side.
pub(super) fn decode(image: &Image<'_>, frame: &[u8]) -> Result<Vec<u8>> {
    let cell = image.cell_bytes();
    let stride = cell * image.samples;
    let bits = size(image.bits_allocated);
    // Bits of a bitmap are packed into one segment.
    let plane = if bits == 1 { image.area().div_ceil(8) } else { image.area() };
    let segments = size(long(frame, 0).ok_or(damaged("header is cut off"))?);
    if segments != stride || segments > SEGMENTS_MAX {
        return Err(damaged("number of segments does not fit the pixels"));
    }
    if plane * stride > frame.len().saturating_mul(EXPANSION_MAX) {
        return Err(damaged("too short for so many pixels"));
    }
    let mut cells = vec![0; plane * stride];
    for segment in 0..segments {
        let begin = offset(frame, segment)?;
        let end = if segment + 1 < segments { offset(frame, segment + 1)? } else { frame.len() };
        let packed = frame.get(begin..end).ok_or(damaged("segments overlap or lie outside"))?;
        let (channel, high) = (segment / cell, segment % cell);
        let at = channel * cell + (cell - 1 - high);
        unpack(packed, tail_mut(&mut cells, at).iter_mut().step_by(stride), plane)?;
    }
    Ok(cells)
}

fn offset(frame: &[u8], segment: usize) -> Result<usize> {
    let offset = size(long(frame, 4 + 4 * segment).ok_or(damaged("header is cut off"))?);
    if offset < HEADER_BYTES || tail(frame, offset).is_empty() {
        return Err(damaged("segments overlap or lie outside"));
    }
    Ok(offset)
}

fn tail_mut(cells: &mut [u8], at: usize) -> &mut [u8] {
    cells.get_mut(at..).unwrap_or_default()
}

/// Unpacks `count` bytes into `out` (G.3.2).
fn unpack<'a>(
    packed: &[u8],
    mut out: impl Iterator<Item = &'a mut u8>,
    count: usize,
) -> Result<()> {
    let mut left = count;
    let mut at = 0;
    while left > 0 {
        let control = *packed.get(at).ok_or(damaged("segment ends early"))?;
        at += 1;
        if control < 128 {
            let length = (usize::from(control) + 1).min(left);
            let literal = packed.get(at..at + length).ok_or(damaged("segment ends early"))?;
            // The literal first: a zip takes from its first part before it looks at the second.
            for (from, to) in literal.iter().zip(out.by_ref()) {
                *to = *from;
            }
            at += length;
            left -= length;
        } else if control > 128 {
            let length = (257 - usize::from(control)).min(left);
            let value = *packed.get(at).ok_or(damaged("segment ends early"))?;
            out.by_ref().take(length).for_each(|to| *to = value);
            at += 1;
            left -= length;
        }
    }
    Ok(())
}
