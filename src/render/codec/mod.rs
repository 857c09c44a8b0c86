//! From the bytes of one frame to stored values, pixel by pixel.
//!
//! | frame | decoded by |
//! | --- | --- |
//! | native, deflated frame | here, `native` |
//! | RLE, any cell of 1 to 32 bits | here, `rle` |
//! | JPEG baseline, extended and progressive of 8 bits, lossless of 2 to 16 bits | `jpeg-decoder` |
//! | JPEG extended and progressive of 12 bits, one component | here, `jpeg12` |
//! | JPEG-LS, lossless and near-lossless, every interleave | here, `jpegls` |
//! | JPEG 2000 and HTJ2K | `jpeg2k` over `openjp2` |
//!
//! Refused: arithmetic coding, colour JPEG of 12 bits, JPEG-LS with mapping tables, restart
//! intervals or colour transforms, JPEG XL, video. Foreign decoders panic on some bytes; that is
//! caught here, after the size of what they decode was checked against the data set.

mod bits;
mod jpeg;
mod jpeg12;
mod jpeg2000;
mod jpegls;
mod jpegls_scan;
mod native;
mod rle;
#[cfg(test)]
mod tests;

use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;

use super::error::{RenderError, Result};
use super::image::{Image, Kind, Photometric, plausible};
use super::syntax::{Codec, Syntax};

/// Stored values, the channels of a pixel side by side.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::render) enum Samples {
    /// Whole numbers of at most 32 bits.
    Whole(Vec<i32>),
    /// Unsigned numbers of 32 bits, and numbers with a fraction.
    Real(Vec<f64>),
}

/// One decoded frame.
#[derive(Debug, Clone)]
pub(in crate::render) struct Raster {
    pub samples: Samples,
    /// What the values mean: a decoder may have turned YBR into RGB.
    pub photometric: Photometric,
    /// Cells as native pixels would have them, little-endian; none of lossy and predictive codecs.
    pub cells: Option<Bytes>,
}

/// What a predictive or transforming decoder found.
struct Coded {
    values: Vec<i32>,
    precision: u32,
    signed: bool,
    photometric: Photometric,
}

/// Decodes the bytes of one frame.
pub(in crate::render) fn decode(
    image: &Image<'_>,
    syntax: Syntax,
    frame: &Bytes,
) -> Result<Raster> {
    if !matches!(syntax.codec, Codec::Native) {
        plausible(image.area() * image.samples, frame.len())?;
        if image.kind != Kind::Integer {
            return Err(RenderError::Unsupported("compressed floating point"));
        }
    }
    match syntax.codec {
        Codec::Native => native::raster(image, frame.clone()),
        Codec::Rle => native::raster_interleaved(image, rle::decode(image, frame)?.into()),
        Codec::DeflatedFrame => native::raster(image, native::inflated(image, frame)?.into()),
        Codec::Jpeg => coded(image, guarded("JPEG", || jpeg::decode(image, frame))?),
        Codec::JpegLs => coded(image, jpegls::decode(image, frame)?),
        Codec::Jpeg2000 => {
            coded(image, guarded("JPEG 2000", || jpeg2000::decode(image, frame, 0))?)
        }
    }
}

/// Decodes a frame of JPEG 2000 at a resolution halved `times` times, for a small drawing; none if
/// the frame is none or has not that many resolutions. What it gives belongs to
/// [`Image::halved`].
pub(in crate::render) fn decode_halved(
    image: &Image<'_>,
    syntax: Syntax,
    frame: &Bytes,
    times: u32,
) -> Option<Raster> {
    // Averages of indices, of bits, or with values that stand for no pixel mean nothing.
    let averages = image.photometric != Photometric::Palette
        && image.bits_stored > 1
        && image.padding.is_none();
    if syntax.codec != Codec::Jpeg2000 || times == 0 || !averages {
        return None;
    }
    plausible(image.area() * image.samples, frame.len()).ok()?;
    let found = guarded("JPEG 2000", || jpeg2000::decode(image, frame, times)).ok()?;
    // Nor do those of signed values that were coded as unsigned.
    if found.signed != image.signed {
        return None;
    }
    coded(&image.halved(times), found).ok()
}

/// Runs a decoder that was not written here.
fn guarded<T>(codec: &'static str, run: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or(Err(RenderError::Panicked { codec }))
}

/// Turns what a decoder found into stored values: some encode the cell with all its bits, some
/// forget the sign.
fn coded(image: &Image<'_>, coded: Coded) -> Result<Raster> {
    let Coded { mut values, precision, signed, photometric } = coded;
    if values.len() != image.area() * image.samples {
        return Err(RenderError::Malformed("frame holds another number of samples"));
    }
    if !signed && (image.signed || precision > image.bits_stored) && precision <= 32 {
        let stored = image.bits_stored.min(precision);
        let whole_cell = precision == image.bits_allocated;
        let low = if whole_cell { image.high_bit + 1 - image.bits_stored } else { 0 };
        let up = 32 - stored - low.min(32 - stored);
        for value in &mut values {
            let bits = value.cast_unsigned().wrapping_shl(up);
            *value = if image.signed {
                bits.cast_signed().wrapping_shr(32 - stored)
            } else {
                bits.wrapping_shr(32 - stored).cast_signed()
            };
        }
    }
    Ok(Raster { samples: Samples::Whole(values), photometric, cells: None })
}
