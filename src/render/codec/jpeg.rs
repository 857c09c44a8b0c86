//! JPEG (ISO 10918-1): looks at the frame header, then hands over to the decoder that can do it.

use jpeg_decoder::{ColorTransform, Decoder, PixelFormat};

use super::{Coded, jpeg12};
use crate::render::error::{RenderError, Result};
use crate::render::image::{FRAME_BYTES_MAX, Image, Photometric};

const fn damaged(reason: &'static str) -> RenderError {
    RenderError::Codec { codec: "JPEG", reason }
}

/// Scans at most: each is a pass over all pixels, however few bytes it has.
const SCANS_MAX: usize = 256;

/// What stands before the first scan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Header {
    process: u8,
    precision: u8,
    rows: u16,
    cols: u16,
    components: u8,
    /// Transform of the Adobe marker, if there is one.
    adobe: Option<u8>,
    /// Whether components are named R, G, B.
    named_rgb: bool,
}

pub(super) fn decode(image: &Image<'_>, frame: &[u8]) -> Result<Coded> {
    let header = header(frame)?;
    if usize::from(header.rows) != image.rows || usize::from(header.cols) != image.cols {
        return Err(damaged("has other rows or columns than the data set"));
    }
    if usize::from(header.components) != image.samples {
        return Err(damaged("has another number of components than the data set"));
    }
    // The marker of a scan cannot stand in entropy-coded bytes.
    if frame.windows(2).filter(|pair| *pair == [0xFF, 0xDA]).count() > SCANS_MAX {
        return Err(damaged("has too many scans"));
    }
    let sequential_or_progressive = matches!(header.process, 0xC0..=0xC2);
    if !sequential_or_progressive && header.process != 0xC3 {
        return Err(RenderError::Unsupported("arithmetic or hierarchical JPEG"));
    }
    if sequential_or_progressive && header.precision > 8 {
        let values = jpeg12::decode(frame)?;
        return Ok(Coded {
            values,
            precision: header.precision.into(),
            signed: false,
            photometric: image.photometric,
        });
    }
    let mut decoder = Decoder::new(frame);
    decoder.set_max_decoding_buffer_size(FRAME_BYTES_MAX);
    let turned = header.components == 3 && sequential_or_progressive && transformed(image, header);
    if header.components == 3 {
        decoder.set_color_transform(if turned {
            ColorTransform::YCbCr
        } else {
            ColorTransform::RGB
        });
    }
    let bytes = decoder.decode().map_err(|_| damaged("cannot be decoded"))?;
    let format = decoder.info().ok_or(damaged("cannot be decoded"))?.pixel_format;
    let values = match format {
        PixelFormat::L8 | PixelFormat::RGB24 => bytes.iter().map(|byte| i32::from(*byte)).collect(),
        PixelFormat::L16 => {
            let (cells, _) = bytes.as_chunks::<2>();
            cells.iter().map(|cell| u16::from_ne_bytes(*cell).into()).collect()
        }
        PixelFormat::CMYK32 => return Err(RenderError::Unsupported("JPEG of four components")),
    };
    let photometric = match image.photometric {
        Photometric::YbrFull | Photometric::YbrFull422 if !turned => Photometric::YbrFull,
        Photometric::Monochrome1 | Photometric::Monochrome2 | Photometric::Palette => {
            image.photometric
        }
        Photometric::Rgb
        | Photometric::YbrFull
        | Photometric::YbrFull422
        | Photometric::YbrPartial
        | Photometric::YbrIct
        | Photometric::YbrRct => Photometric::Rgb,
    };
    Ok(Coded { values, precision: header.precision.into(), signed: false, photometric })
}

/// Whether components are YCbCr. The stream knows best where it says so; else the data set does.
fn transformed(image: &Image<'_>, header: Header) -> bool {
    match header.adobe {
        Some(transform) => transform != 0,
        None => image.photometric != Photometric::Rgb && !header.named_rgb,
    }
}

fn header(frame: &[u8]) -> Result<Header> {
    const CUT: RenderError = damaged("header is cut off");
    let mut adobe = None;
    let mut at = 2;
    if !frame.starts_with(&[0xFF, 0xD8]) {
        return Err(damaged("does not begin with a start of image"));
    }
    loop {
        let [begin, marker] = *frame.get(at..).and_then(|rest| rest.first_chunk()).ok_or(CUT)?;
        if begin != 0xFF {
            return Err(damaged("marker expected"));
        }
        at += 1;
        if marker == 0xFF {
            continue;
        }
        at += 1;
        let length = frame.get(at..).and_then(|rest| rest.first_chunk()).ok_or(CUT)?;
        let length = usize::from(u16::from_be_bytes(*length));
        let segment = frame.get(at + 2..at + length.max(2)).ok_or(CUT)?;
        match (marker, segment) {
            (0xC4 | 0xC8 | 0xCC, _) => {}
            (0xC0..=0xCF, [precision, r1, r2, c1, c2, components, rest @ ..]) => {
                let names: Vec<u8> = rest.iter().step_by(3).copied().collect();
                return Ok(Header {
                    process: marker,
                    precision: *precision,
                    rows: u16::from_be_bytes([*r1, *r2]),
                    cols: u16::from_be_bytes([*c1, *c2]),
                    components: *components,
                    adobe,
                    named_rgb: names.starts_with(b"RGB"),
                });
            }
            (0xEE, [b'A', b'd', b'o', b'b', b'e', _, _, _, _, _, _, transform, ..]) => {
                adobe = Some(*transform);
            }
            (0xDA | 0xD9, _) => return Err(damaged("has no frame header")),
            _ => {}
        }
        at += length.max(2);
    }
}
