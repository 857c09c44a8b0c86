//! Look-up tables: modality and VOI (PS3.3, C.11.1, C.11.2) and palettes (C.7.6.3.1.5, C.7.9).

use super::dataset::{Element, Elements, shorts};
use super::error::{RenderError, Result};
use super::num::size;

/// Entries of a table at most: what a descriptor can say.
const ENTRIES_MAX: usize = 65_536;

/// A table of numbers.
#[derive(Debug, Clone)]
pub(super) struct Lut {
    /// Value that the first entry is for.
    pub first: i64,
    pub entries: Vec<u16>,
    /// Bits of an entry.
    pub bits: u32,
}

impl Lut {
    /// The table that `descriptor` describes and `data` holds; `signed` says how its first value is
    /// read.
    pub(super) fn read(
        set: &Elements<'_>,
        descriptor: u32,
        data: u32,
        signed: bool,
    ) -> Result<Option<Self>> {
        let Some(data) = set.get(data).filter(|element| !element.value.is_empty()) else {
            return Ok(None);
        };
        let (count, first, bits) = described(set, descriptor, signed)?;
        let entries = entries(data, count, bits);
        let Some(max) = entries.iter().max().copied() else { return Ok(None) };
        // Some say fewer bits than they use.
        let bits = bits.max(u16::BITS - max.leading_zeros());
        Ok(Some(Self { first, entries, bits }))
    }

    /// The entry for `value`; the ends go on for ever.
    pub(super) fn at(&self, value: i64) -> u16 {
        let index = usize::try_from(value.saturating_sub(self.first)).unwrap_or(0);
        self.entries.get(index).or(self.entries.last()).copied().unwrap_or(0)
    }

    /// The largest value an entry may have.
    pub(super) fn max(&self) -> f64 {
        f64::from(u16::MAX >> (16 - self.bits.clamp(1, 16)))
    }
}

/// Entries, first value and bits.
fn described(set: &Elements<'_>, tag: u32, signed: bool) -> Result<(usize, i64, u32)> {
    let [count, first, bits] = *set.shorts(tag).as_slice() else {
        return Err(RenderError::Attribute { attribute: "LUTDescriptor" });
    };
    let count = if count == 0 { ENTRIES_MAX } else { usize::from(count) };
    let first = if signed { i64::from(first.cast_signed()) } else { i64::from(first) };
    if bits == 0 || bits > 16 {
        return Err(RenderError::Attribute { attribute: "LUTDescriptor" });
    }
    Ok((count, first, bits.into()))
}

/// Entries of one word each, or of one byte each where the data is too short for words.
fn entries(data: &Element<'_>, count: usize, bits: u32) -> Vec<u16> {
    let words: Vec<u16> = shorts(data.value, data.big_endian()).take(count).collect();
    if bits <= 8 && data.value.len() < 2 * count {
        let bytes = shorts(data.value, data.big_endian()).flat_map(u16::to_le_bytes);
        return bytes.take(count).map(u16::from).collect();
    }
    words
}

/// Red, green and blue of 8 bits for each index.
#[derive(Debug, Clone)]
pub(super) struct Palette {
    channels: [(i64, Vec<u8>); 3],
}

impl Palette {
    /// The palette of a data set.
    pub(super) fn read(set: &Elements<'_>, signed: bool) -> Result<Self> {
        const MISSING: RenderError =
            RenderError::Attribute { attribute: "PaletteColorLookupTableData" };
        let channel = |number: u32| -> Result<(i64, Vec<u8>)> {
            let (plain, segmented) = (0x0028_1201 + number, 0x0028_1221 + number);
            let (count, first, bits) = described(set, 0x0028_1101 + number, signed)?;
            let (entries, bits) =
                if let Some(lut) = Lut::read(set, 0x0028_1101 + number, plain, signed)? {
                    (lut.entries, lut.bits)
                } else {
                    let data = set.get(segmented).ok_or(MISSING)?;
                    (expanded(data, count, bits)?, bits)
                };
            if entries.is_empty() {
                return Err(MISSING);
            }
            // Some write 8 bits into words and call them 16.
            let wide = bits > 8 && entries.iter().any(|entry| *entry > 0xFF);
            let down = if wide { bits - 8 } else { 0 };
            let low = |entry: u16| u8::try_from(entry >> down).unwrap_or(u8::MAX);
            Ok((first, entries.into_iter().map(low).collect()))
        };
        Ok(Self { channels: [channel(0)?, channel(1)?, channel(2)?] })
    }

    /// The colour of an index; the ends go on for ever.
    pub(super) fn colour(&self, index: i64) -> [u8; 3] {
        self.channels.each_ref().map(|(first, entries)| {
            let at = usize::try_from(index.saturating_sub(*first)).unwrap_or(0);
            entries.get(at).or(entries.last()).copied().unwrap_or(0)
        })
    }
}

/// A segmented table written out (C.7.9.2): discrete, linear and indirect segments.
fn expanded(data: &Element<'_>, count: usize, bits: u32) -> Result<Vec<u16>> {
    let words: Vec<u16> = shorts(data.value, data.big_endian()).collect();
    let numbers: Vec<u16> = if bits <= 8 {
        words.iter().flat_map(|word| word.to_le_bytes()).map(u16::from).collect()
    } else {
        words
    };
    let mut out = Vec::new();
    let mut at = 0;
    while out.len() < count && at < numbers.len() {
        at = segment(&numbers, at, bits, count, &mut out, true)?;
    }
    Ok(out)
}

fn segment(
    numbers: &[u16],
    at: usize,
    bits: u32,
    count: usize,
    out: &mut Vec<u16>,
    indirect: bool,
) -> Result<usize> {
    const BROKEN: RenderError =
        RenderError::Attribute { attribute: "SegmentedPaletteColorLookupTableData" };
    let rest = numbers.get(at..).ok_or(BROKEN)?;
    match rest {
        // Padding of an odd number of bytes.
        [0] => Ok(at + 1),
        [0, length, values @ ..] => {
            let length = usize::from(*length);
            let room = count.saturating_sub(out.len());
            out.extend(values.iter().take(length.min(room)));
            Ok(at + 2 + length)
        }
        [1, length, end, ..] => {
            let from = i64::from(*out.last().ok_or(BROKEN)?);
            let (to, steps) = (i64::from(*end), i64::from(*length));
            for step in 1..=steps {
                if out.len() >= count {
                    break;
                }
                let value =
                    from + ((to - from) * step * 2 + steps * (to - from).signum()) / (2 * steps);
                out.push(u16::try_from(value).unwrap_or(0));
            }
            Ok(at + 3)
        }
        [2, times, rest @ ..] if indirect => {
            let width = if bits <= 8 { 4 } else { 2 };
            let (offset, _) = rest.split_at_checked(width).ok_or(BROKEN)?;
            let shift = if bits <= 8 { 8 } else { 16 };
            let offset = offset.iter().rev().fold(0_u32, |sum, n| sum << shift | u32::from(*n));
            // Counted in bytes.
            let mut from = if bits <= 8 { size(offset) } else { size(offset) / 2 };
            for _ in 0..*times {
                if out.len() >= count {
                    break;
                }
                from = segment(numbers, from, bits, count, out, false)?;
            }
            Ok(at + 2 + width)
        }
        _ => Err(BROKEN),
    }
}
