//! JPEG 2000 and HTJ2K (ISO 15444-1 and -15): checks the size marker, then `openjp2` decodes.

use jpeg2k::{DecodeParameters, Image as Decoded, ImageComponent as Component};

use super::Coded;
use crate::render::error::{RenderError, Result};
use crate::render::image::{Image, Photometric};
use crate::render::num::size;

/// Tiles at most: each costs the decoder memory before any of it is read.
const TILES_MAX: usize = 16_384;

const fn damaged(reason: &'static str) -> RenderError {
    RenderError::Codec { codec: "JPEG 2000", reason }
}

/// Decodes to rows and columns divided by two, `halvings` times (rounded up); fails if the stream
/// has fewer levels than that.
pub(super) fn decode(image: &Image<'_>, frame: &[u8], halvings: u32) -> Result<Coded> {
    check(image, frame)?;
    let area = image.halved(halvings).area();
    let parameters = DecodeParameters::new().ignore_pclr_cmap_cdef().reduce(halvings);
    let decoded =
        Decoded::from_bytes_with(frame, parameters).map_err(|_| damaged("cannot be decoded"))?;
    let components = decoded.components();
    let planes: Vec<&[i32]> = components.iter().take(image.samples).map(Component::data).collect();
    if planes.len() != image.samples || planes.iter().any(|plane| plane.len() != area) {
        return Err(damaged("has other rows, columns or components than the data set"));
    }
    let first = components.first().ok_or(damaged("has no components"))?;
    let (precision, signed) = (first.precision(), first.is_signed());
    let values = match planes.as_slice() {
        [a, b, c] => a.iter().zip(*b).zip(*c).flat_map(|((a, b), c)| [*a, *b, *c]).collect(),
        [a] => a.to_vec(),
        _ => return Err(damaged("has another number of components than the data set")),
    };
    // The decoder has undone the transform that these name.
    let undone = matches!(image.photometric, Photometric::YbrIct | Photometric::YbrRct);
    let photometric = if undone { Photometric::Rgb } else { image.photometric.unhalved() };
    Ok(Coded { values, precision, signed, photometric })
}

/// Reads the size marker (A.5.1), which follows the start of the codestream.
fn check(image: &Image<'_>, frame: &[u8]) -> Result<()> {
    let start = frame
        .windows(4)
        .position(|four| four == [0xFF, 0x4F, 0xFF, 0x51])
        .ok_or(damaged("has no codestream"))?;
    let number = |at: usize| {
        let four = frame.get(start + at..).and_then(|rest| rest.first_chunk::<4>());
        four.map(|four| size(u32::from_be_bytes(*four))).ok_or(damaged("header is cut off"))
    };
    let (right, bottom) = (number(8)?, number(12)?);
    let (left, top) = (number(16)?, number(20)?);
    let (tile_width, tile_height) = (number(24)?, number(28)?);
    let components = number(40)? >> 16;
    if right.checked_sub(left) != Some(image.cols) || bottom.checked_sub(top) != Some(image.rows) {
        return Err(damaged("has other rows or columns than the data set"));
    }
    if components != image.samples {
        return Err(damaged("has another number of components than the data set"));
    }
    if tile_width == 0 || tile_height == 0 {
        return Err(damaged("has tiles without area"));
    }
    let tiles = right.div_ceil(tile_width).saturating_mul(bottom.div_ceil(tile_height));
    if tiles > TILES_MAX {
        return Err(damaged("has too many tiles"));
    }
    // Chrominance at half size is decoded to fewer samples; only whole components are taken.
    let steps = frame.get(start + 42..).unwrap_or_default();
    if steps.chunks(3).take(components).any(|c| !matches!(c, [_, 1, 1])) {
        return Err(damaged("has subsampled components"));
    }
    Ok(())
}
