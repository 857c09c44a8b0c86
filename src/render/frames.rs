//! Finds the bytes of one frame without decoding it and without touching the others: by arithmetic
//! where pixels are native, by offset table where there is one, else by walking the headers of
//! fragments (PS3.5, A.4; PS3.3, C.7.6.3.1.8).

use bytes::Bytes;

use super::dataset::{Elements, long};
use super::error::{RenderError, Result};
use super::image::{Image, Photometric};
use super::num::size;
use super::syntax::{Codec, Syntax};

const EXTENDED_OFFSETS: u32 = 0x7FE0_0001;
const EXTENDED_LENGTHS: u32 = 0x7FE0_0002;
const ITEM: u32 = 0xE000_FFFE;

/// The bytes of frame `number` (from 1): native pixels little-endian, or the compressed stream.
/// `data` is the data set that `set` and `image` were read from. Nothing is copied unless the frame
/// is in pieces, not at a byte's edge, or big-endian.
pub(super) fn frame(
    data: &Bytes,
    set: &Elements<'_>,
    image: &Image<'_>,
    syntax: Syntax,
    number: u32,
) -> Result<Bytes> {
    let index = image.index(number)?;
    if syntax.codec == Codec::Native {
        if image.pixels.open {
            return Err(RenderError::Malformed("native pixel data has no length"));
        }
        return native(data, image, syntax, index);
    }
    encapsulated(data, set, image, syntax, index)
}

/// Bits of a native frame; chrominance at half width takes two samples a pixel.
fn frame_bits(image: &Image<'_>) -> usize {
    image.area() * native_samples(image) * size(image.bits_allocated)
}

/// Samples stored for a pixel. What is declared as halved but is long enough not to be is taken as
/// not halved: senders forget to say so.
pub(super) fn native_samples(image: &Image<'_>) -> usize {
    let halved = matches!(image.photometric, Photometric::YbrFull422 | Photometric::YbrPartial);
    let full = image.area().saturating_mul(3 * image.cell_bytes());
    let long = image.pixels.value.len() >= full.saturating_mul(size(image.frames));
    if image.samples == 3 && halved && !long { 2 } else { image.samples }
}

fn native(data: &Bytes, image: &Image<'_>, syntax: Syntax, index: usize) -> Result<Bytes> {
    let bits = frame_bits(image);
    let pixels = image.pixels.value;
    let first = index.saturating_mul(bits);
    let end = first.saturating_add(bits);
    let bytes = pixels.get(first / 8..end.div_ceil(8)).ok_or(RenderError::Truncated)?;
    let words = syntax.pixels_big_endian && image.pixels.vr != *b"OB";
    if first.is_multiple_of(8) && !words && (image.cell_bytes() == 1 || !syntax.pixels_big_endian) {
        return Ok(data.slice_ref(bytes));
    }
    if image.cell_bytes() > 1 {
        let mut swapped = bytes.to_vec();
        swapped.chunks_exact_mut(image.cell_bytes()).for_each(<[u8]>::reverse);
        return Ok(swapped.into());
    }
    if words {
        return swapped_words(pixels, first, bits);
    }
    Ok(shifted(bytes, first % 8, bits).into())
}

/// Bytes of big-endian words lie swapped in pairs, also where a pair holds two pixels.
fn swapped_words(pixels: &[u8], first: usize, bits: usize) -> Result<Bytes> {
    let from = first / 16 * 2;
    let to = (first + bits).div_ceil(16) * 2;
    let mut words = pixels.get(from..to.min(pixels.len())).unwrap_or_default().to_vec();
    words.chunks_exact_mut(2).for_each(<[u8]>::reverse);
    let skip = first - from * 8;
    let part = words.get(skip / 8..(skip + bits).div_ceil(8)).ok_or(RenderError::Truncated)?;
    Ok(shifted(part, skip % 8, bits).into())
}

/// `bits` bits of `bytes` from bit `skip` on, least significant first (PS3.5, 8.1.1).
fn shifted(bytes: &[u8], skip: usize, bits: usize) -> Vec<u8> {
    let pairs = bytes.iter().zip(bytes.iter().skip(1).chain([&0]));
    pairs
        .take(bits.div_ceil(8))
        .map(|(low, high)| {
            let word = u16::from_le_bytes([*low, *high]) >> skip;
            word.to_le_bytes().first().copied().unwrap_or_default()
        })
        .collect()
}

/// The fragment at `at`: its bytes and where the next one begins. What is cut off counts as far as
/// it goes.
fn fragment(items: &[u8], at: usize) -> Option<(&[u8], usize)> {
    if long(items, at)? != ITEM {
        return None;
    }
    let begin = at + 8;
    let end = begin.saturating_add(size(long(items, at + 4)?)).min(items.len());
    Some((items.get(begin..end)?, end))
}

fn fragments(items: &[u8], from: usize) -> impl Iterator<Item = (usize, &[u8])> {
    let mut at = from;
    std::iter::from_fn(move || {
        let (bytes, next) = fragment(items, at)?;
        let begin = std::mem::replace(&mut at, next);
        Some((begin, bytes))
    })
}

fn encapsulated(
    data: &Bytes,
    set: &Elements<'_>,
    image: &Image<'_>,
    syntax: Syntax,
    index: usize,
) -> Result<Bytes> {
    let items = image.pixels.value;
    let (table, begin) =
        fragment(items, 0).ok_or(RenderError::Malformed("encapsulated pixels have no items"))?;
    if let Some(found) = by_extended_table(set, items, begin, index) {
        return Ok(data.slice_ref(found));
    }
    if let Some(found) = by_basic_table(items, table, begin, index) {
        return Ok(joined(data, &found));
    }
    if image.frames == 1 {
        let all: Vec<_> = fragments(items, begin).map(|(_, bytes)| bytes).collect();
        return if all.is_empty() { Err(RenderError::Truncated) } else { Ok(joined(data, &all)) };
    }
    let count = fragments(items, begin).count();
    if count == size(image.frames) || syntax.codec == Codec::Rle {
        let mut all = fragments(items, begin);
        let (_, found) = all.nth(index).ok_or(RenderError::Truncated)?;
        return Ok(data.slice_ref(found));
    }
    by_beginnings(data, items, begin, index)
}

/// PS3.3, C.7.6.3.1.8: 64-bit offsets from the first fragment on, and lengths.
fn by_extended_table<'a>(
    set: &Elements<'_>,
    items: &'a [u8],
    begin: usize,
    index: usize,
) -> Option<&'a [u8]> {
    let entry = |tag| {
        let eight = set.bytes(tag)?.get(index.checked_mul(8)?..)?.first_chunk::<8>()?;
        usize::try_from(u64::from_le_bytes(*eight)).ok()
    };
    let at = begin.checked_add(entry(EXTENDED_OFFSETS)?)?;
    let (bytes, _) = fragment(items, at)?;
    bytes.get(..entry(EXTENDED_LENGTHS).unwrap_or(bytes.len()).min(bytes.len()))
}

/// The fragments from one offset to the next; none if the table lies.
fn by_basic_table<'a>(
    items: &'a [u8],
    table: &[u8],
    begin: usize,
    index: usize,
) -> Option<Vec<&'a [u8]>> {
    let at = |entry: usize| {
        long(table, entry.checked_mul(4)?).and_then(|offset| begin.checked_add(size(offset)))
    };
    let from = at(index)?;
    let to = at(index + 1).unwrap_or(items.len());
    let found: Vec<_> =
        fragments(items, from).take_while(|(at, _)| *at < to).map(|(_, bytes)| bytes).collect();
    (!found.is_empty()).then_some(found)
}

/// Without a table, a frame begins where a stream begins (JPEG `FFD8`, JPEG 2000 `FF4F`).
fn by_beginnings(data: &Bytes, items: &[u8], begin: usize, index: usize) -> Result<Bytes> {
    let starts =
        |bytes: &[u8]| bytes.starts_with(&[0xFF, 0xD8]) || bytes.starts_with(&[0xFF, 0x4F]);
    let mut frame = 0_usize;
    let mut found = Vec::new();
    for (_, bytes) in fragments(items, begin) {
        frame += usize::from(starts(bytes));
        if frame == index + 1 {
            found.push(bytes);
        } else if frame > index + 1 {
            break;
        }
    }
    if found.is_empty() {
        return Err(RenderError::Malformed("fragments cannot be told apart by frame"));
    }
    Ok(joined(data, &found))
}

fn joined(data: &Bytes, pieces: &[&[u8]]) -> Bytes {
    match pieces {
        [one] => data.slice_ref(one),
        many => many.concat().into(),
    }
}
