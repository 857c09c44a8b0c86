//! Compressed pixels made native, and the attributes that say what they are then (PS3.3, C.7.6.3).

use bytes::Bytes;
use dicom_core::{Tag, VR};

use super::rewrite::Override;
use super::write::Writer;
use crate::app::imaging::transcode::{TRANSCODED_BYTES_MAX, TranscodeError};
use crate::render::codec::{Raster, Samples, decode};
use crate::render::dataset::Elements;
use crate::render::error::RenderError;
use crate::render::frames::frame;
use crate::render::image::{Image, Photometric};
use crate::render::num::size;
use crate::render::syntax::{Codec, Syntax, syntax};
use crate::sharing::imaging::structure::{Facts, PixelForm};

const SAMPLES_PER_PIXEL: Tag = Tag(0x0028, 0x0002);
const PHOTOMETRIC: Tag = Tag(0x0028, 0x0004);
const PLANAR: Tag = Tag(0x0028, 0x0006);
const LOSSY: Tag = Tag(0x0028, 0x2110);
const PIXEL_DATA: Tag = Tag(0x7FE0, 0x0010);
/// Where compressed frames lie (PS3.3, C.7.6.3.1.8); these go with the compression.
pub(super) const OFFSETS: [Tag; 3] =
    [Tag(0x7FE0, 0x0001), Tag(0x7FE0, 0x0002), Tag(0x7FE0, 0x0003)];
/// Transfer syntaxes that never are without loss.
const ALWAYS_LOSSY: [&str; 4] = [
    "1.2.840.10008.1.2.4.50",
    "1.2.840.10008.1.2.4.51",
    "1.2.840.10008.1.2.4.53",
    "1.2.840.10008.1.2.4.55",
];
/// Fragments looked at for all frames together at most: frames without an offset table are found
/// by counting.
const FRAGMENTS_SEEN_MAX: u64 = 1_000_000_000;

/// Pixels that are to be decoded.
#[derive(Debug)]
pub(super) struct Native<'a> {
    data: &'a Bytes,
    set: Elements<'a>,
    image: Image<'a>,
    syntax: Syntax,
    first: Raster,
    length: usize,
    lossy: bool,
}

impl<'a> Native<'a> {
    /// Of `data`, which is coded in `stored`; none if there is nothing to decode. The first frame
    /// is decoded here, because it says what the attributes must say.
    pub(super) fn of(
        data: &'a Bytes,
        stored: &str,
        facts: &Facts,
    ) -> Result<Option<Self>, TranscodeError> {
        let syntax = syntax(stored)?;
        let Some(pixels) = facts.pixel_data.filter(|pixels| !pixels.is_empty()) else {
            return Ok(None);
        };
        if syntax.codec == Codec::Native || pixels.tag != PIXEL_DATA {
            return Ok(None);
        }
        let PixelForm::Encapsulated { fragments, .. } = pixels.form else {
            return Err(RenderError::Unsupported("a compressed image in one value").into());
        };
        let set = Elements::read(data, syntax.encoding)?;
        let image = Image::read(&set)?;
        if fragments.saturating_mul(image.frames.into()) > FRAGMENTS_SEEN_MAX {
            return Err(RenderError::TooLarge { what: "frames", max: FRAGMENTS_SEEN_MAX }.into());
        }
        let samples = image.area().saturating_mul(image.samples);
        let bits =
            samples.saturating_mul(size(image.frames)).saturating_mul(size(image.bits_allocated));
        let length = bits.div_ceil(8).next_multiple_of(2);
        if length > TRANSCODED_BYTES_MAX {
            return Err(TranscodeError::TooLarge { bytes_max: TRANSCODED_BYTES_MAX });
        }
        let first = decode(&image, syntax, &frame(data, &set, &image, syntax, 1)?)?;
        let lossy = ALWAYS_LOSSY.contains(&stored);
        Ok(Some(Self { data, set, image, syntax, first, length, lossy }))
    }

    /// Bytes of the pixel data.
    pub(super) fn length(&self) -> usize {
        self.length
    }

    /// Whether cells are taken as they lie within a frame.
    fn keeps_planes(&self) -> bool {
        self.syntax.codec == Codec::DeflatedFrame && self.first.cells.is_some()
    }

    /// Elements that are to stand in the data set, sorted by tag.
    pub(super) fn overrides(&self) -> Vec<Override> {
        let mut overrides = Vec::new();
        let mut put = |tag, vr, value: &[u8]| {
            overrides.push(Override { tag, vr, value: value.to_vec() });
        };
        if self.set.short(0x0028_0002).is_none() {
            let samples = u16::try_from(self.image.samples).unwrap_or(1);
            put(SAMPLES_PER_PIXEL, VR::US, &samples.to_le_bytes());
        }
        if self.first.photometric != self.image.photometric
            && let Some(name) = name(self.first.photometric)
        {
            put(PHOTOMETRIC, VR::CS, name);
        }
        if self.image.samples > 1 && !self.keeps_planes() {
            put(PLANAR, VR::US, &[0, 0]);
        }
        if self.lossy && self.set.text(0x0028_2110).unwrap_or_default().is_empty() {
            put(LOSSY, VR::CS, b"01");
        }
        overrides
    }

    /// Decodes and writes all frames.
    pub(super) fn write(&self, writer: &mut Writer) -> Result<(), TranscodeError> {
        if self.first.photometric != self.image.photometric
            && name(self.first.photometric).is_none()
        {
            return Err(RenderError::Unsupported("this colour space without compression").into());
        }
        let vr = if self.image.bits_allocated > 8 { VR::OW } else { VR::OB };
        let length = u32::try_from(self.length)
            .map_err(|_| TranscodeError::TooLarge { bytes_max: TRANSCODED_BYTES_MAX })?;
        writer.begin_value(PIXEL_DATA, vr, length)?;
        let mut cells =
            Cells { bits: self.image.bits_allocated, low: low(&self.image), ..Cells::default() };
        let mut written = 0;
        for number in 1..=self.image.frames {
            if number == 1 {
                cells.put(&self.image, &self.first)?;
            } else {
                let bytes = frame(self.data, &self.set, &self.image, self.syntax, number)?;
                let raster = decode(&self.image, self.syntax, &bytes)?;
                if raster.photometric != self.first.photometric {
                    return Err(
                        RenderError::Unsupported("frames of different colour spaces").into()
                    );
                }
                cells.put(&self.image, &raster)?;
            }
            written += cells.out.len();
            writer.raw(&cells.out)?;
            cells.out.clear();
        }
        if cells.held > 0 {
            written += 1;
            writer.raw(&[cells.byte])?;
        }
        // Of frames of odd length together: one zero.
        match self.length.checked_sub(written) {
            Some(0) => Ok(()),
            Some(1) => writer.raw(&[0]),
            Some(_) | None => {
                Err(RenderError::Malformed("frames hold another number of samples").into())
            }
        }
    }
}

/// Bits below the stored ones.
fn low(image: &Image<'_>) -> u32 {
    (image.high_bit + 1).saturating_sub(image.bits_stored)
}

/// What native pixels in this colour space are called; none if they cannot be.
fn name(photometric: Photometric) -> Option<&'static [u8]> {
    Some(match photometric {
        Photometric::Monochrome1 => b"MONOCHROME1 ",
        Photometric::Monochrome2 => b"MONOCHROME2 ",
        Photometric::Palette => b"PALETTE COLOR ",
        Photometric::Rgb => b"RGB ",
        Photometric::YbrFull => b"YBR_FULL",
        Photometric::YbrFull422
        | Photometric::YbrPartial
        | Photometric::YbrIct
        | Photometric::YbrRct => return None,
    })
}

/// Stored values as little-endian cells.
#[derive(Debug, Default)]
struct Cells {
    out: Vec<u8>,
    /// Bits of a cell.
    bits: u32,
    /// Bits below the stored ones.
    low: u32,
    /// Pixels of one bit that do not fill a byte yet: frames follow each other without a gap.
    byte: u8,
    held: u32,
}

impl Cells {
    fn put(&mut self, image: &Image<'_>, raster: &Raster) -> Result<(), RenderError> {
        if let Some(cells) = &raster.cells
            && self.bits > 1
        {
            let bytes = image.area() * image.samples * image.cell_bytes();
            self.out.extend_from_slice(cells.get(..bytes).ok_or(RenderError::Truncated)?);
            return Ok(());
        }
        let Samples::Whole(values) = &raster.samples else {
            return Err(RenderError::Unsupported("compressed cells of 32 bits"));
        };
        let low = self.low;
        let cell = |value: &i32| value.cast_unsigned().wrapping_shl(low).to_le_bytes();
        match self.bits {
            1 => values.iter().for_each(|value| self.bit(*value & 1 == 1)),
            8 => self.out.extend(values.iter().map(|value| cell(value)[0])),
            16 => self.out.extend(values.iter().flat_map(|value| {
                let [a, b, ..] = cell(value);
                [a, b]
            })),
            _ => self.out.extend(values.iter().flat_map(cell)),
        }
        Ok(())
    }

    /// Least significant first (PS3.5, 8.1.1).
    fn bit(&mut self, set: bool) {
        self.byte |= u8::from(set) << self.held;
        self.held += 1;
        if self.held == 8 {
            self.out.push(self.byte);
            (self.byte, self.held) = (0, 0);
        }
    }
}
