//! One frame from bytes to a picture, synchronously: what a worker does.

use std::io::Read;

use bytes::Bytes;

use super::codec::{Raster, decode, decode_halved};
use super::colour::colours;
use super::dataset::Elements;
use super::encode::encoded;
use super::error::{RenderError, Result};
use super::frames::frame;
use super::functional::Scopes;
use super::grey::grey;
use super::image::{FRAME_BYTES_MAX, Image, Photometric, aspect};
use super::num::size;
use super::overlay::burn;
use super::scale::Picture;
use super::syntax::{Syntax, syntax};
use crate::app::imaging::render::{
    ImageFormat, PixelSource, RenderRequest, RenderedImage, StoredFrame, Viewport, Window,
};

/// Bytes of a data set at most.
pub const DATA_SET_BYTES_MAX: usize = 4 * 1024 * 1024 * 1024;
const PIXEL_MEASURES: u32 = 0x0028_9110;
const PIXEL_SPACING: u32 = 0x0028_0030;
/// Quality of thumbnails.
const THUMBNAIL_QUALITY: u8 = 75;

/// A data set with its transfer syntax, inflated if it was deflated.
pub(super) struct Opened {
    pub data: Bytes,
    pub syntax: Syntax,
}

impl Opened {
    /// The guard stands here: what is opened is walked by `dataset` only, which has limits of its
    /// own, and a deflated data set is inflated no further than [`FRAME_BYTES_MAX`].
    pub(super) fn new(source: &PixelSource) -> Result<Self> {
        let syntax = syntax(&source.transfer_syntax)?;
        if source.data_set.len() > DATA_SET_BYTES_MAX {
            let max = u64::try_from(DATA_SET_BYTES_MAX).unwrap_or(u64::MAX);
            return Err(RenderError::TooLarge { what: "data set", max });
        }
        if !syntax.deflated {
            return Ok(Self { data: source.data_set.clone(), syntax });
        }
        let limit = u64::try_from(FRAME_BYTES_MAX).unwrap_or(u64::MAX);
        let mut data = Vec::new();
        let mut reader =
            flate2::read::DeflateDecoder::new(source.data_set.as_ref()).take(limit + 1);
        // A stream cut short gives what it gave; the walk says what is missing.
        drop(reader.read_to_end(&mut data));
        if data.len() > FRAME_BYTES_MAX {
            return Err(RenderError::TooLarge { what: "inflated data set", max: limit });
        }
        Ok(Self { data: data.into(), syntax })
    }

    pub(super) fn elements(&self) -> Result<Elements<'_>> {
        Elements::read(&self.data, self.syntax.encoding)
    }
}

/// The bytes of frame `number` (from 1) of an object, not decoded.
pub fn frame_bytes(source: &PixelSource, number: u32) -> Result<StoredFrame> {
    let opened = Opened::new(source)?;
    let set = opened.elements()?;
    let image = Image::read(&set)?;
    let bytes = frame(&opened.data, &set, &image, opened.syntax, number)?;
    Ok(StoredFrame { bytes, media_type: opened.syntax.media_type })
}

/// Draws one frame.
pub fn render(source: &PixelSource, request: &RenderRequest) -> Result<RenderedImage> {
    let (picture, aspect) = drawn(source, request)?;
    let picture = match request.region {
        Some(region) => picture.cut(region)?,
        None => picture,
    };
    encoded(&picture.fitted(aspect, request.viewport)?, request.format)
}

/// Draws the middle frame, `edge` pixels at most each way.
pub fn thumbnail(source: &PixelSource, edge: u32) -> Result<RenderedImage> {
    let opened = Opened::new(source)?;
    let frames = Image::read(&opened.elements()?)?.frames;
    let request = RenderRequest {
        frame: frames / 2 + 1,
        viewport: Some(Viewport { width: edge, height: edge }),
        format: ImageFormat::Jpeg { quality: THUMBNAIL_QUALITY },
        ..RenderRequest::default()
    };
    render(source, &request)
}

/// One frame as 8-bit pixels of its own size, or of a half, a quarter … of it that is still
/// twice the viewport if that is quicker, and the height of a pixel by its width.
pub(super) fn drawn(source: &PixelSource, request: &RenderRequest) -> Result<(Picture, f64)> {
    let opened = Opened::new(source)?;
    let set = opened.elements()?;
    let image = Image::read(&set)?;
    let index = image.index(request.frame)?;
    let bytes = frame(&opened.data, &set, &image, opened.syntax, request.frame)?;
    let times = halvings(&image, request);
    let (image, raster) = if let Some(raster) = decode_halved(&image, opened.syntax, &bytes, times)
    {
        (image.halved(times), raster)
    } else {
        let raster = decode(&image, opened.syntax, &bytes)?;
        (image, raster)
    };
    let mut picture = picture(&set, &image, index, &raster, request.window)?;
    if request.overlays {
        let pixels = (picture.data.as_mut_slice(), picture.channels);
        burn(&set, &image, index, &raster, pixels);
    }
    let measures = Scopes::read(&set, index)?.holding(PIXEL_MEASURES, PIXEL_SPACING)?;
    Ok((picture, aspect(&measures)))
}

/// How often rows and columns may be halved while the image stays twice as large as what is wanted:
/// the averaging of the rest hides that the low resolutions of a stream are a little displaced.
fn halvings(image: &Image<'_>, request: &RenderRequest) -> u32 {
    let Some(Viewport { width, height }) = request.viewport else { return 0 };
    if request.overlays || request.region.is_some() || width == 0 || height == 0 {
        return 0;
    }
    let times = (image.cols / size(width)).max(image.rows / size(height));
    times.checked_ilog2().unwrap_or(0).saturating_sub(1)
}

fn picture(
    set: &Elements<'_>,
    image: &Image<'_>,
    index: usize,
    raster: &Raster,
    window: Window,
) -> Result<Picture> {
    let grey_scale = match image.photometric {
        Photometric::Monochrome1 | Photometric::Monochrome2 => true,
        Photometric::Palette
        | Photometric::Rgb
        | Photometric::YbrFull
        | Photometric::YbrFull422
        | Photometric::YbrPartial
        | Photometric::YbrIct
        | Photometric::YbrRct => false,
    };
    let (data, channels) = if grey_scale {
        (grey(set, image, index, raster, window)?, 1)
    } else {
        (colours(set, image, raster)?, 3)
    };
    Ok(Picture { width: image.cols, height: image.rows, channels, data })
}
