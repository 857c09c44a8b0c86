//! What the attributes say about the pixels (PS3.3, C.7.6.3), checked before anything is allocated.

use super::dataset::{Element, Elements, PIXEL_DATA};
use super::error::{RenderError, Result};
use super::num::{real, size};

/// Frames of one object at most.
pub const FRAMES_MAX: u32 = 1_000_000;
/// Bytes of one decoded frame at most.
pub const FRAME_BYTES_MAX: usize = 512 * 1024 * 1024;
/// Samples of one frame at most: each takes four bytes when decoded.
pub const FRAME_SAMPLES_MAX: usize = FRAME_BYTES_MAX / 4;

const FLOAT_PIXEL_DATA: u32 = 0x7FE0_0008;
const DOUBLE_PIXEL_DATA: u32 = 0x7FE0_0009;

/// What a cell of the pixel data holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Whole numbers (7FE0,0010).
    Integer,
    /// Single precision (7FE0,0008).
    Float,
    /// Double precision (7FE0,0009).
    Double,
}

/// Photometric interpretation (0028,0004).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Photometric {
    Monochrome1,
    Monochrome2,
    Palette,
    Rgb,
    YbrFull,
    YbrFull422,
    YbrPartial,
    YbrIct,
    YbrRct,
}

impl Photometric {
    /// The term of the standard; of variants that are read alike, the usual one.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Monochrome1 => "MONOCHROME1",
            Self::Monochrome2 => "MONOCHROME2",
            Self::Palette => "PALETTE COLOR",
            Self::Rgb => "RGB",
            Self::YbrFull => "YBR_FULL",
            Self::YbrFull422 => "YBR_FULL_422",
            Self::YbrPartial => "YBR_PARTIAL_420",
            Self::YbrIct => "YBR_ICT",
            Self::YbrRct => "YBR_RCT",
        }
    }

    /// The same once chrominance has full width.
    pub(super) fn unhalved(self) -> Self {
        if self == Self::YbrFull422 { Self::YbrFull } else { self }
    }
}

/// The pixels of an object.
#[derive(Debug, Clone)]
pub(super) struct Image<'a> {
    pub rows: usize,
    pub cols: usize,
    /// Frames, at least 1.
    pub frames: u32,
    /// Samples of a pixel: 1 or 3.
    pub samples: usize,
    pub photometric: Photometric,
    /// Whether each channel lies for itself (planar configuration 1).
    pub planar: bool,
    /// Bits of a cell: 1, 8, 16, 32 or 64.
    pub bits_allocated: u32,
    pub bits_stored: u32,
    pub high_bit: u32,
    pub signed: bool,
    pub kind: Kind,
    /// Stored values that stand for no pixel (PS3.3, C.7.5.1.1.2).
    pub padding: Option<(i64, i64)>,
    pub pixels: Element<'a>,
}

impl<'a> Image<'a> {
    /// Reads and checks the attributes.
    pub(super) fn read(set: &Elements<'a>) -> Result<Self> {
        let found = [
            (PIXEL_DATA, Kind::Integer),
            (FLOAT_PIXEL_DATA, Kind::Float),
            (DOUBLE_PIXEL_DATA, Kind::Double),
        ]
        .into_iter()
        .find_map(|(tag, kind)| set.get(tag).map(|pixels| (*pixels, kind)));
        let (pixels, kind) = found.ok_or(RenderError::NoPixels)?;
        let number = |tag, attribute| {
            set.short(tag).map(u32::from).ok_or(RenderError::Attribute { attribute })
        };
        let rows = size(number(0x0028_0010, "Rows")?);
        let cols = size(number(0x0028_0011, "Columns")?);
        if rows == 0 || cols == 0 {
            return Err(RenderError::Attribute { attribute: "Rows or Columns" });
        }
        let samples = size(u32::from(set.short(0x0028_0002).unwrap_or(1)));
        if samples != 1 && samples != 3 {
            return Err(RenderError::Attribute { attribute: "SamplesPerPixel" });
        }
        if rows * cols > FRAME_SAMPLES_MAX / samples {
            let max = u64::try_from(FRAME_SAMPLES_MAX).unwrap_or(u64::MAX);
            return Err(RenderError::TooLarge { what: "samples of a frame", max });
        }
        let bits_allocated = number(0x0028_0100, "BitsAllocated")?;
        let whole = kind == Kind::Integer;
        let (bits_stored, high_bit, signed) = if whole {
            let stored = set.short(0x0028_0101).map_or(bits_allocated, u32::from);
            let high = set.short(0x0028_0102).map_or(stored.saturating_sub(1), u32::from);
            (stored, high, set.short(0x0028_0103) == Some(1))
        } else {
            (bits_allocated, bits_allocated.saturating_sub(1), true)
        };
        let allowed: &[u32] = match kind {
            Kind::Integer => &[1, 8, 16, 32],
            Kind::Float => &[32],
            Kind::Double => &[64],
        };
        if !allowed.contains(&bits_allocated) {
            return Err(RenderError::Attribute { attribute: "BitsAllocated" });
        }
        if bits_stored == 0 || high_bit >= bits_allocated || bits_stored > high_bit + 1 {
            return Err(RenderError::Attribute { attribute: "BitsStored or HighBit" });
        }
        let photometric = photometric(set, samples)?;
        Ok(Self {
            rows,
            cols,
            frames: frames(set)?,
            samples,
            photometric,
            planar: samples > 1 && set.short(0x0028_0006) == Some(1),
            bits_allocated,
            bits_stored,
            high_bit,
            signed,
            kind,
            padding: padding(set, signed),
            pixels,
        })
    }

    /// The same at half the rows and columns, `times` times, rounded up.
    pub(super) fn halved(&self, times: u32) -> Self {
        let by = 1_usize.checked_shl(times).unwrap_or(usize::MAX);
        Self { rows: self.rows.div_ceil(by), cols: self.cols.div_ceil(by), ..self.clone() }
    }

    /// Pixels of a frame.
    pub(super) fn area(&self) -> usize {
        self.rows * self.cols
    }

    /// Bytes of a cell, at least 1.
    pub(super) fn cell_bytes(&self) -> usize {
        size(self.bits_allocated.div_ceil(8))
    }

    /// Whether frame `number` (from 1) exists; its index from 0.
    pub(super) fn index(&self, number: u32) -> Result<usize> {
        if number == 0 || number > self.frames {
            return Err(RenderError::NoSuchFrame { frames: self.frames });
        }
        Ok(size(number - 1))
    }
}

fn frames(set: &Elements<'_>) -> Result<u32> {
    // Sent broken often enough ("1A"): leading digits count.
    let text = set.text(0x0028_0008).unwrap_or_default();
    let digits: String = text.chars().take_while(char::is_ascii_digit).collect();
    let frames = digits.parse().unwrap_or(1).max(1);
    if frames > FRAMES_MAX {
        return Err(RenderError::TooLarge { what: "number of frames", max: FRAMES_MAX.into() });
    }
    Ok(frames)
}

fn photometric(set: &Elements<'_>, samples: usize) -> Result<Photometric> {
    let colour = match set.text(0x0028_0004) {
        Some("MONOCHROME1") if samples == 1 => return Ok(Photometric::Monochrome1),
        None | Some("MONOCHROME2" | "") if samples == 1 => return Ok(Photometric::Monochrome2),
        Some("PALETTE COLOR") if samples == 1 => return Ok(Photometric::Palette),
        None | Some("" | "RGB") => Photometric::Rgb,
        Some("YBR_FULL") => Photometric::YbrFull,
        Some("YBR_FULL_422") => Photometric::YbrFull422,
        Some("YBR_PARTIAL_422" | "YBR_PARTIAL_420") => Photometric::YbrPartial,
        Some("YBR_ICT") => Photometric::YbrIct,
        Some("YBR_RCT") => Photometric::YbrRct,
        Some(_) => {
            return Err(RenderError::Attribute { attribute: "PhotometricInterpretation" });
        }
    };
    if samples != 3 {
        return Err(RenderError::Attribute { attribute: "PhotometricInterpretation" });
    }
    Ok(colour)
}

/// Height of a pixel divided by its width (PS3.3, C.7.6.3.1.7): from the aspect ratio (0028,0034), else from a spacing: of pixels (0028,0030), of the imager
/// (0018,1164) or of a scanned page (0018,2010). A ratio beyond [`ASPECT_MAX`] is taken for broken.
pub(super) fn aspect(set: &Elements<'_>) -> f64 {
    const ASPECT_MAX: f64 = 10.0;
    for tag in [0x0028_0034, 0x0028_0030, 0x0018_1164, 0x0018_2010] {
        if let [vertical, horizontal, ..] = set.decimals(tag).as_slice()
            && *vertical > 0.0
            && *horizontal > 0.0
        {
            let ratio = vertical / horizontal;
            return if (1.0 / ASPECT_MAX..=ASPECT_MAX).contains(&ratio) { ratio } else { 1.0 };
        }
    }
    1.0
}

fn padding(set: &Elements<'_>, signed: bool) -> Option<(i64, i64)> {
    let read = |tag| {
        set.short(tag).map(|bits| if signed { i64::from(bits.cast_signed()) } else { bits.into() })
    };
    let value = read(0x0028_0120)?;
    let limit = read(0x0028_0121).unwrap_or(value);
    Some((value.min(limit), value.max(limit)))
}

/// How many samples may come of `bytes` of a compressed frame: black pixels pack well, so the
/// first [`SAMPLES_FREE`] are free.
pub(super) fn plausible(samples: usize, bytes: usize) -> Result<()> {
    const SAMPLES_FREE: usize = 16 * 1024 * 1024;
    const RATIO_MAX: usize = 4096;
    if samples > SAMPLES_FREE && samples > bytes.saturating_mul(RATIO_MAX) {
        return Err(RenderError::Malformed("frame is too small for so many pixels"));
    }
    Ok(())
}

/// Whether values of `range` have one value only.
pub(super) fn flat(low: f64, high: f64) -> bool {
    high - low < f64::EPSILON * real(1).max(low.abs())
}
