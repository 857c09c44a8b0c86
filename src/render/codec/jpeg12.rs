//! JPEG of 12 bits (ISO 10918-1, extended and progressive Huffman), one component: what CT and MR
//! of older PACS are packed with, and what the maintained decoders leave out.

use super::bits::{Bits, Stuffing};
use crate::render::error::{RenderError, Result};
use crate::render::num::{small, whole};

const fn damaged(reason: &'static str) -> RenderError {
    RenderError::Codec { codec: "JPEG", reason }
}
const CUT: RenderError = damaged("ends early");

/// Where the coefficients of a block stand (figure A.6).
const ZIGZAG: [usize; 64] = [
    0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20,
    13, 6, 7, 14, 21, 28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59,
    52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63,
];

type Block = [i32; 64];

/// A Huffman table (annex C and F.2.2.3).
#[derive(Debug, Clone, Default)]
struct Table {
    /// For each length of 1 to 16 bits: first code, number of codes, first value.
    lengths: Vec<(u32, u32, u32)>,
    values: Vec<u8>,
}

impl Table {
    fn new(counts: &[u8], values: &[u8]) -> Self {
        let mut lengths = Vec::with_capacity(16);
        let (mut code, mut first) = (0_u32, 0_u32);
        for count in counts {
            let count = u32::from(*count);
            lengths.push((code, count, first));
            code = (code + count) << 1;
            first += count;
        }
        Self { lengths, values: values.to_vec() }
    }

    fn value(&self, bits: &mut Bits<'_>) -> Result<u8> {
        let ahead = bits.peek16();
        for (length, (code, count, first)) in (1..).zip(&self.lengths) {
            let at = (ahead >> (16 - length)).wrapping_sub(*code);
            if at < *count {
                bits.drop(length);
                let at = usize::try_from(first + at).unwrap_or(usize::MAX);
                return self.values.get(at).copied().ok_or(damaged("code has no value"));
            }
        }
        Err(damaged("code is in no table"))
    }
}

#[derive(Debug, Default)]
struct Frame {
    precision: u8,
    progressive: bool,
    rows: usize,
    cols: usize,
    quantiser: usize,
    blocks: Vec<Block>,
}

/// What a scan does (G.1.1.1): band of coefficients, bits before and now.
#[derive(Debug, Clone, Copy)]
struct Pass {
    from: usize,
    to: usize,
    refine: bool,
    low: u32,
    dc: usize,
    ac: usize,
}

#[derive(Debug, Default)]
struct Decoder {
    quantisers: [Option<Block>; 4],
    dc: [Table; 4],
    ac: [Table; 4],
    restart: usize,
    frame: Frame,
}

/// Values of one component, row by row; rows and columns were checked by the caller.
pub(super) fn decode(data: &[u8]) -> Result<Vec<i32>> {
    let mut decoder = Decoder::default();
    let mut at = 2;
    let mut scans = 0;
    loop {
        let [begin, marker] = match data.get(at..).and_then(|rest| rest.first_chunk()) {
            Some(pair) => *pair,
            // Streams whose end was cut off after the scans are common.
            None if scans > 0 => break,
            None => return Err(CUT),
        };
        if begin != 0xFF || matches!(marker, 0 | 0xFF | 0xD0..=0xD7) {
            at += 1;
            continue;
        }
        if marker == 0xD9 {
            break;
        }
        let length = data.get(at + 2..).and_then(|rest| rest.first_chunk()).ok_or(CUT)?;
        let length = usize::from(u16::from_be_bytes(*length)).max(2);
        let segment = data.get(at + 4..at + 2 + length).ok_or(CUT)?;
        at += 2 + length;
        match marker {
            0xC0..=0xC2 => decoder.frame(marker == 0xC2, segment)?,
            0xC4 => decoder.tables(segment)?,
            0xDB => decoder.quantisers(segment)?,
            0xDD => {
                decoder.restart =
                    segment.first_chunk().map_or(0, |n| u16::from_be_bytes(*n).into());
            }
            0xDA => {
                at += decoder.scan(segment, data.get(at..).unwrap_or_default())?;
                scans += 1;
            }
            _ => {}
        }
    }
    if scans == 0 {
        return Err(damaged("has no scan"));
    }
    decoder.pixels()
}

impl Decoder {
    fn frame(&mut self, progressive: bool, segment: &[u8]) -> Result<()> {
        let [precision, r1, r2, c1, c2, count, rest @ ..] = segment else { return Err(CUT) };
        if *count != 1 {
            return Err(RenderError::Unsupported("colour JPEG of 12 bits"));
        }
        if *precision != 12 || !self.frame.blocks.is_empty() {
            return Err(damaged("has a precision of neither 8 nor 12 bits, or two frames"));
        }
        let quantiser = rest.get(2).copied().ok_or(CUT)?;
        let rows = usize::from(u16::from_be_bytes([*r1, *r2]));
        let cols = usize::from(u16::from_be_bytes([*c1, *c2]));
        self.frame = Frame {
            precision: *precision,
            progressive,
            rows,
            cols,
            quantiser: usize::from(quantiser),
            blocks: vec![[0; 64]; rows.div_ceil(8) * cols.div_ceil(8)],
        };
        Ok(())
    }

    fn tables(&mut self, mut segment: &[u8]) -> Result<()> {
        while let Some((kind, rest)) = segment.split_first() {
            let (counts, rest) = rest.split_at_checked(16).ok_or(CUT)?;
            let total = counts.iter().map(|count| usize::from(*count)).sum();
            let (values, rest) = rest.split_at_checked(total).ok_or(CUT)?;
            let class = if kind >> 4 == 0 { &mut self.dc } else { &mut self.ac };
            let table =
                class.get_mut(usize::from(kind & 15)).ok_or(damaged("has a fifth table"))?;
            *table = Table::new(counts, values);
            segment = rest;
        }
        Ok(())
    }

    fn quantisers(&mut self, mut segment: &[u8]) -> Result<()> {
        while let Some((kind, rest)) = segment.split_first() {
            let width = if kind >> 4 == 0 { 1 } else { 2 };
            let (numbers, rest) = rest.split_at_checked(64 * width).ok_or(CUT)?;
            let mut block = [0; 64];
            for (number, at) in numbers.chunks_exact(width).zip(ZIGZAG) {
                let value = number.iter().fold(0, |sum, byte| sum << 8 | i32::from(*byte));
                put(&mut block, at, value);
            }
            let to = self.quantisers.get_mut(usize::from(kind & 15));
            *to.ok_or(damaged("has a fifth table"))? = Some(block);
            segment = rest;
        }
        Ok(())
    }

    /// Decodes a scan: how many bytes it had.
    fn scan(&mut self, header: &[u8], body: &[u8]) -> Result<usize> {
        let [1, _, tables, from, to, bits, ..] = *header else {
            return Err(damaged("scan has more than one component"));
        };
        let pass = Pass {
            from: usize::from(from),
            to: if self.frame.progressive { usize::from(to) } else { 63 },
            refine: self.frame.progressive && bits >> 4 != 0,
            low: if self.frame.progressive { u32::from(bits & 15) } else { 0 },
            dc: usize::from(tables >> 4),
            ac: usize::from(tables & 15),
        };
        let mixed = self.frame.progressive && pass.from == 0 && pass.to != 0;
        if pass.from > pass.to || pass.to > 63 || pass.low > 13 || mixed {
            return Err(damaged("scan has a band out of range"));
        }
        let mut blocks = std::mem::take(&mut self.frame.blocks);
        let every = if self.restart == 0 { blocks.len().max(1) } else { self.restart };
        let mut used = 0;
        for group in blocks.chunks_mut(every) {
            let mut bits = Bits::new(body.get(used..).unwrap_or_default(), Stuffing::Byte);
            self.group(pass, &mut bits, group)?;
            used += bits.scan_end();
            if matches!(body.get(used..), Some([0xFF, 0xD0..=0xD7, ..])) {
                used += 2;
            }
        }
        self.frame.blocks = blocks;
        Ok(used)
    }

    /// Decodes blocks between two restarts.
    fn group(&self, pass: Pass, bits: &mut Bits<'_>, blocks: &mut [Block]) -> Result<()> {
        let none = damaged("scan names a table that is not there");
        let dc = self.dc.get(pass.dc).ok_or(none.clone())?;
        let ac = self.ac.get(pass.ac).ok_or(none)?;
        let (mut before, mut ended) = (0_i32, 0_u32);
        for block in blocks {
            if bits.exhausted() {
                return Err(CUT);
            }
            if pass.from == 0 && pass.refine {
                let bit = i32::from(bits.bit()) << pass.low;
                *block.first_mut().ok_or(CUT)? |= bit;
            } else if pass.from == 0 {
                let width = u32::from(dc.value(bits)?);
                if width > 16 {
                    return Err(damaged("difference is too wide"));
                }
                before = before.wrapping_add(extended(bits.take(width), width));
                put(block, 0, before.wrapping_shl(pass.low));
            }
            if !self.frame.progressive {
                band(ac, bits, block, Pass { from: 1, ..pass }, &mut ended)?;
            } else if pass.from > 0 && pass.refine {
                refine(ac, bits, block, pass, &mut ended)?;
            } else if pass.from > 0 {
                band(ac, bits, block, pass, &mut ended)?;
            }
        }
        Ok(())
    }

    fn pixels(&self) -> Result<Vec<i32>> {
        let frame = &self.frame;
        let quantiser = self.quantisers.get(frame.quantiser).copied().flatten();
        let quantiser = quantiser.ok_or(damaged("names a table that is not there"))?;
        let basis = basis();
        let (middle, max) = (1 << (frame.precision - 1), (1 << frame.precision) - 1);
        let mut values = vec![0; frame.rows * frame.cols];
        let across = frame.cols.div_ceil(8);
        for (number, block) in frame.blocks.iter().enumerate() {
            let (top, left) = (number / across * 8, number % across * 8);
            let pixels = transformed(block, &quantiser, &basis);
            for (row, line) in (top..frame.rows).zip(pixels.chunks_exact(8)) {
                let from = row * frame.cols + left;
                let to = (row * frame.cols + frame.cols).min(from + 8);
                let out = values.get_mut(from..to).unwrap_or_default();
                for (to, value) in out.iter_mut().zip(line) {
                    *to = (small(whole(*value)).saturating_add(middle)).clamp(0, max);
                }
            }
        }
        Ok(values)
    }
}

fn put(block: &mut Block, at: usize, value: i32) {
    if let Some(to) = block.get_mut(at) {
        *to = value;
    }
}

/// F.2.2.1, EXTEND.
fn extended(bits: u32, width: u32) -> i32 {
    let value = small(i64::from(bits));
    if width > 0 && bits >> (width - 1) == 0 { value - (1 << width) + 1 } else { value }
}

/// The coefficients of a band for the first time (F.2.2.2, G.1.2.2).
fn band(
    table: &Table,
    bits: &mut Bits<'_>,
    block: &mut Block,
    pass: Pass,
    ended: &mut u32,
) -> Result<()> {
    if *ended > 0 {
        *ended -= 1;
        return Ok(());
    }
    let mut k = pass.from;
    while k <= pass.to {
        let value = table.value(bits)?;
        let (run, width) = (u32::from(value >> 4), u32::from(value & 15));
        if width > 0 {
            k += usize::try_from(run).unwrap_or(0);
            let coefficient = extended(bits.take(width), width).wrapping_shl(pass.low);
            let at = ZIGZAG.get(k).ok_or(damaged("run passes the end of a block"))?;
            put(block, *at, coefficient);
            k += 1;
        } else if run == 15 {
            k += 16;
        } else {
            *ended = (1 << run) - 1 + bits.take(run);
            break;
        }
    }
    Ok(())
}

/// One more bit of the coefficients of a band (G.1.2.3).
fn refine(
    table: &Table,
    bits: &mut Bits<'_>,
    block: &mut Block,
    pass: Pass,
    ended: &mut u32,
) -> Result<()> {
    let step = 1 << pass.low;
    let mut k = pass.from;
    while k <= pass.to && *ended == 0 {
        let value = table.value(bits)?;
        let (mut run, width) = (u32::from(value >> 4), value & 15);
        let mut fresh = 0;
        if width > 0 {
            fresh = if bits.bit() { step } else { -step };
        } else if run < 15 {
            *ended = (1 << run) + bits.take(run);
            break;
        }
        while k <= pass.to {
            let at = ZIGZAG.get(k).copied().unwrap_or(0);
            k += 1;
            let there = block.get(at).copied().unwrap_or(0);
            if there != 0 {
                corrected(bits, block, at, step);
            } else if run == 0 {
                put(block, at, fresh);
                break;
            } else {
                run -= 1;
            }
        }
    }
    if *ended > 0 {
        for at in ZIGZAG.get(k..=pass.to).unwrap_or_default() {
            if block.get(*at).is_some_and(|there| *there != 0) {
                corrected(bits, block, *at, step);
            }
        }
        *ended -= 1;
    }
    Ok(())
}

fn corrected(bits: &mut Bits<'_>, block: &mut Block, at: usize, step: i32) {
    if bits.bit()
        && let Some(value) = block.get_mut(at)
        && *value & step == 0
    {
        *value += step * value.signum();
    }
}

/// Cosines of the inverse transform (A.3.3), `[position][frequency]`, scaled.
fn basis() -> [[f64; 8]; 8] {
    std::array::from_fn(|x| {
        std::array::from_fn(|u| {
            let (x, u) = (crate::render::num::real(x), crate::render::num::real(u));
            let scale = if u < 0.5 { 0.5_f64.sqrt() } else { 1.0 };
            scale * 0.5 * ((2.0 * x + 1.0) * u * std::f64::consts::PI / 16.0).cos()
        })
    })
}

fn transformed(block: &Block, quantiser: &Block, basis: &[[f64; 8]; 8]) -> [f64; 64] {
    let (rows, _) = block.as_chunks::<8>();
    let (steps, _) = quantiser.as_chunks::<8>();
    let mut partial = [[0.0; 8]; 8];
    for ((row, steps), out) in rows.iter().zip(steps).zip(&mut partial) {
        if row.iter().all(|value| *value == 0) {
            continue;
        }
        let scaled = row.iter().zip(steps).map(|(v, s)| f64::from(*v) * f64::from(*s));
        for (frequency, value) in scaled.enumerate() {
            for (to, cosines) in out.iter_mut().zip(basis) {
                *to += value * cosines.get(frequency).copied().unwrap_or(0.0);
            }
        }
    }
    let mut pixels = [0.0; 64];
    for (line, cosines) in pixels.chunks_exact_mut(8).zip(basis) {
        for (row, cosine) in partial.iter().zip(cosines) {
            for (to, value) in line.iter_mut().zip(row) {
                *to += value * cosine;
            }
        }
    }
    pixels
}
