//! JPEG-LS (ISO 14495-1): markers and scans. The decoder crates that are maintained wrap a C++
//! library, which a clinic's box cannot build; the format is small enough to be read here.

use super::Coded;
use super::bits::{Bits, Stuffing};
use super::jpegls_scan::{Parameters, Scan};
use crate::render::error::{RenderError, Result};
use crate::render::image::Image;

pub(super) const fn damaged(reason: &'static str) -> RenderError {
    RenderError::Codec { codec: "JPEG-LS", reason }
}

/// How components of a scan lie (C.2.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Interleave {
    None,
    Line,
    Sample,
}

#[derive(Debug, Clone, Copy, Default)]
struct Preset {
    max: i32,
    thresholds: [i32; 3],
    reset: i32,
}

struct Frame {
    precision: u32,
    components: Vec<u8>,
}

pub(super) fn decode(image: &Image<'_>, data: &[u8]) -> Result<Coded> {
    if !data.starts_with(&[0xFF, 0xD8]) {
        return Err(damaged("does not begin with a start of image"));
    }
    let mut values = vec![0; image.area() * image.samples];
    let mut frame: Option<Frame> = None;
    let mut preset = Preset::default();
    let mut decoded = 0;
    let mut at = 2;
    while decoded < image.samples {
        let (marker, segment, next) = segment(data, at)?;
        at = next;
        match marker {
            0xF7 => frame = Some(frame_header(image, segment)?),
            0xF8 => preset = parameters(preset, segment)?,
            0xDA => {
                let frame = frame.as_ref().ok_or(damaged("scan comes before its frame"))?;
                let body = data.get(at..).unwrap_or_default();
                let (count, used) = scan(image, frame, preset, (segment, body), &mut values)?;
                decoded += count;
                at += used;
            }
            0xDD if segment.iter().any(|byte| *byte != 0) => {
                return Err(RenderError::Unsupported("JPEG-LS with restart intervals"));
            }
            // The colour transform of Hewlett-Packard.
            0xE8 if matches!(segment, [b'm', b'r', b'f', b'x', 1..=255]) => {
                return Err(RenderError::Unsupported("JPEG-LS with a colour transform"));
            }
            0xD9 => return Err(damaged("ends before its last scan")),
            _ => {}
        }
    }
    let precision = frame.map_or(8, |frame| frame.precision);
    let photometric = image.photometric.unhalved();
    Ok(Coded { values, precision, signed: false, photometric })
}

/// The marker at `at`, its segment and where the next one is looked for.
fn segment(data: &[u8], mut at: usize) -> Result<(u8, &[u8], usize)> {
    const CUT: RenderError = damaged("header is cut off");
    loop {
        match data.get(at..).unwrap_or_default() {
            [0xFF, 0xFF, ..] => at += 1,
            [0xFF, 0xD9, ..] => return Ok((0xD9, &[], at + 2)),
            [0xFF, marker, high, low, ..] => {
                let length = usize::from(u16::from_be_bytes([*high, *low])).max(2);
                let bytes = data.get(at + 4..at + 2 + length).ok_or(CUT)?;
                return Ok((*marker, bytes, at + 2 + length));
            }
            [_, _, ..] => return Err(damaged("marker expected")),
            _ => return Err(CUT),
        }
    }
}

fn frame_header(image: &Image<'_>, segment: &[u8]) -> Result<Frame> {
    let [precision, r1, r2, c1, c2, count, rest @ ..] = segment else {
        return Err(damaged("frame header is cut off"));
    };
    let rows = usize::from(u16::from_be_bytes([*r1, *r2]));
    let cols = usize::from(u16::from_be_bytes([*c1, *c2]));
    if rows != image.rows || cols != image.cols {
        return Err(damaged("has other rows or columns than the data set"));
    }
    if !(2..=16).contains(precision) {
        return Err(damaged("has a precision outside 2 to 16 bits"));
    }
    let components: Vec<u8> = rest.chunks_exact(3).filter_map(|c| c.first().copied()).collect();
    if usize::from(*count) != image.samples || components.len() != image.samples {
        return Err(damaged("has another number of components than the data set"));
    }
    if rest.chunks_exact(3).any(|c| c.get(1) != Some(&0x11)) {
        return Err(RenderError::Unsupported("JPEG-LS with subsampled components"));
    }
    Ok(Frame { precision: u32::from(*precision), components })
}

/// C.2.4.1.1; zeros mean the defaults.
fn parameters(before: Preset, segment: &[u8]) -> Result<Preset> {
    match segment {
        [1, numbers @ ..] => {
            let (pairs, _) = numbers.as_chunks::<2>();
            let numbers: Vec<i32> = pairs.iter().map(|p| u16::from_be_bytes(*p).into()).collect();
            let [max, t1, t2, t3, reset] = *numbers.as_slice() else {
                return Err(damaged("parameters are cut off"));
            };
            Ok(Preset { max, thresholds: [t1, t2, t3], reset })
        }
        [2 | 3, ..] => Err(RenderError::Unsupported("JPEG-LS with mapping tables")),
        _ => Ok(before),
    }
}

/// Decodes one scan into `values`: how many components it had, and its bytes.
fn scan(
    image: &Image<'_>,
    frame: &Frame,
    preset: Preset,
    (header, body): (&[u8], &[u8]),
    values: &mut [i32],
) -> Result<(usize, usize)> {
    const CUT: RenderError = damaged("scan header is cut off");
    let (count, rest) = header.split_first().ok_or(CUT)?;
    let (named, rest) = rest.split_at_checked(2 * usize::from(*count)).ok_or(CUT)?;
    let [near, interleave, _transform, ..] = *rest else { return Err(CUT) };
    let mut channels = Vec::new();
    for pair in named.chunks_exact(2) {
        let [name, table] = *pair else { return Err(CUT) };
        if table != 0 {
            return Err(RenderError::Unsupported("JPEG-LS with mapping tables"));
        }
        let at = frame.components.iter().position(|component| *component == name);
        let at = at.ok_or(damaged("scan names a component that is not in the frame"))?;
        if channels.contains(&at) {
            return Err(damaged("scan names a component twice"));
        }
        channels.push(at);
    }
    let interleave = match (interleave, channels.len()) {
        (0..=2, 1) => Interleave::None,
        (1, 2..) => Interleave::Line,
        (2, 3) => Interleave::Sample,
        _ => return Err(damaged("has an interleave that does not fit its components")),
    };
    let parameters =
        Parameters::new(frame.precision, near, preset.max, preset.thresholds, preset.reset)?;
    let mut scan =
        Scan::new(parameters, Bits::new(body, Stuffing::Bit), image.cols, channels.len());
    for row in values.chunks_exact_mut(image.cols * image.samples) {
        match interleave {
            Interleave::Sample => scan.pixels()?,
            Interleave::None | Interleave::Line => scan.lines()?,
        }
        for (line, channel) in scan.current().zip(&channels) {
            let out = row.iter_mut().skip(*channel).step_by(image.samples);
            out.zip(line).for_each(|(to, from)| *to = *from);
        }
    }
    Ok((channels.len(), scan.used()))
}
