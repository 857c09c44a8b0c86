//! From stored values to 8-bit red, green and blue (PS3.3, C.7.6.3.1.2).

use super::codec::{Raster, Samples};
use super::dataset::Elements;
use super::error::{RenderError, Result};
use super::image::{Image, Photometric};
use super::num::{byte, clamp_byte, whole};
use super::palette::Palette;

/// Red, green and blue of each pixel.
pub(super) fn colours(set: &Elements<'_>, image: &Image<'_>, raster: &Raster) -> Result<Vec<u8>> {
    if raster.photometric == Photometric::Palette {
        let palette = Palette::read(set, image.signed)?;
        return Ok(match &raster.samples {
            Samples::Whole(values) => {
                values.iter().flat_map(|value| palette.colour((*value).into())).collect()
            }
            Samples::Real(values) => {
                values.iter().flat_map(|value| palette.colour(whole(*value))).collect()
            }
        });
    }
    let mut bytes = bytes(image, raster);
    let (pixels, _) = bytes.as_chunks_mut::<3>();
    match raster.photometric {
        Photometric::Rgb => {}
        Photometric::YbrFull | Photometric::YbrFull422 | Photometric::YbrIct => {
            for pixel in pixels {
                *pixel = full(*pixel);
            }
        }
        Photometric::YbrPartial => {
            for pixel in pixels {
                *pixel = partial(*pixel);
            }
        }
        Photometric::YbrRct
        | Photometric::Monochrome1
        | Photometric::Monochrome2
        | Photometric::Palette => {
            return Err(RenderError::Unsupported("YBR_RCT outside JPEG 2000"));
        }
    }
    Ok(bytes)
}

/// The high 8 of the stored bits; of fewer than 8, all of them spread over 8.
fn bytes(image: &Image<'_>, raster: &Raster) -> Vec<u8> {
    let bits = image.bits_stored;
    match &raster.samples {
        Samples::Whole(values) if bits >= 8 => {
            values.iter().map(|value| clamp_byte(value >> (bits - 8).min(31))).collect()
        }
        Samples::Whole(values) => {
            let most = (1_i32 << bits) - 1;
            values.iter().map(|value| clamp_byte(value.saturating_mul(255) / most)).collect()
        }
        Samples::Real(values) => {
            let unit = f64::from(bits).exp2() / 256.0;
            values.iter().map(|value| byte((value / unit).floor())).collect()
        }
    }
}

/// Full range, of 256 steps (ITU-R BT.601).
fn full([y, blue, red]: [u8; 3]) -> [u8; 3] {
    // In parts of 65,536.
    let y = i32::from(y) << 16;
    let (blue, red) = (i32::from(blue) - 128, i32::from(red) - 128);
    let round = |value: i32| clamp_byte((value + (1 << 15)) >> 16);
    [round(y + 91_881 * red), round(y - 22_554 * blue - 46_802 * red), round(y + 116_130 * blue)]
}

/// Luminance from 16 to 235 and chrominance from 16 to 240.
fn partial([y, blue, red]: [u8; 3]) -> [u8; 3] {
    let y = 76_309 * (i32::from(y) - 16);
    let (blue, red) = (i32::from(blue) - 128, i32::from(red) - 128);
    let round = |value: i32| clamp_byte((value + (1 << 15)) >> 16);
    [round(y + 104_597 * red), round(y - 25_675 * blue - 53_279 * red), round(y + 132_201 * blue)]
}
