//! Data sets in another transfer syntax, for receivers that do not take what is kept.
//!
//! | from | to |
//! | --- | --- |
//! | implicit and explicit little endian, deflated, explicit big endian, GE's big-endian pixels | each of the little-endian ones |
//! | JPEG, JPEG-LS, JPEG 2000, HTJ2K, RLE, deflated frames, as far as `codec` decodes them | the same, pixels native |
//!
//! Elements keep their order, private ones stay, values keep their padding. Group lengths go: they
//! are retired and would be wrong. Zeros after the last element go. A length that was given stays
//! one that is given. What no dictionary knows becomes UN.
//!
//! Pixels that were compressed become native: colour by pixel, RGB wherever the decoder undoes a
//! transform (JPEG of `YBR_FULL` and `YBR_FULL_422`, JPEG 2000 of `YBR_ICT` and `YBR_RCT`), else
//! `YBR_FULL`; the attributes are made to say so. An image that was compressed with loss says so
//! still, also where its sender forgot to.
//!
//! Deliberately absent: compressing, compressed icons within sequences, video, and any change of
//! UIDs: a conversion loses nothing, so it is the same instance (PS3.4, B.4.1.3).

#[cfg(test)]
mod corpus_tests;
mod pixels;
#[cfg(test)]
mod property_tests;
mod rewrite;
#[cfg(test)]
mod tests;
mod vr;
mod write;

use std::io::{Read as _, Write as _};

use bytes::Bytes;
use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;

use super::error::RenderError;
use super::syntax::syntax;
use super::workers::Workers;
use crate::app::imaging::transcode::{
    DEFLATED, EXPLICIT_LITTLE, IMPLICIT_LITTLE, TARGETS, TRANSCODED_BYTES_MAX, TranscodeError,
    Transcoder,
};
use crate::app::ports::BoxFuture;
use crate::sharing::imaging::structure::Syntax;

/// Fragments that hold native pixels; known to nobody here.
const ENCAPSULATED_UNCOMPRESSED: &str = "1.2.840.10008.1.2.1.98";

/// Whether data sets in `stored` can be had in `wanted`.
pub fn can(stored: &str, wanted: &str) -> bool {
    stored == wanted
        || TARGETS.contains(&wanted)
            && stored != ENCAPSULATED_UNCOMPRESSED
            && syntax(stored).is_ok()
            && Syntax::of(stored).is_some_and(|syntax| syntax.known)
}

/// Writes `data_set`, which is coded in `stored`, in `wanted`; synchronously.
///
/// # Errors
/// What is wrong with it, or too long, or not converted here.
pub fn transcode(stored: &str, data_set: &Bytes, wanted: &str) -> Result<Bytes, TranscodeError> {
    if stored == wanted {
        return Ok(data_set.clone());
    }
    if !can(stored, wanted) {
        return Err(TranscodeError::NotOffered);
    }
    let coding = Syntax::of(stored).ok_or(TranscodeError::NotOffered)?;
    let data = if coding.deflated { inflate(data_set)? } else { data_set.clone() };
    let as_it_is = [EXPLICIT_LITTLE, DEFLATED].contains(&stored) && wanted != IMPLICIT_LITTLE;
    let written = if as_it_is {
        rewrite::check(&data, coding)?;
        data
    } else {
        rewrite::rewrite(&data, stored, coding, wanted != IMPLICIT_LITTLE)?.into()
    };
    if wanted == DEFLATED { deflate(&written) } else { Ok(written) }
}

/// Inflates a data set that ends with its stream, or with one zero after it.
fn inflate(data: &[u8]) -> Result<Bytes, TranscodeError> {
    let bytes_max = TRANSCODED_BYTES_MAX;
    let limit = u64::try_from(bytes_max).unwrap_or(u64::MAX).saturating_add(1);
    let mut inflated = Vec::new();
    let read = DeflateDecoder::new(data).take(limit).read_to_end(&mut inflated);
    read.map_err(|_| TranscodeError::Inflate)?;
    if inflated.len() > bytes_max {
        return Err(TranscodeError::TooLarge { bytes_max });
    }
    Ok(inflated.into())
}

/// Deflates a data set and makes its length even (PS3.5, A.5).
fn deflate(data: &[u8]) -> Result<Bytes, TranscodeError> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    let written = encoder.write_all(data).and_then(|()| encoder.finish());
    let mut deflated = written.map_err(|_| TranscodeError::Inflate)?;
    if deflated.len() % 2 == 1 {
        deflated.push(0);
    }
    Ok(deflated.into())
}

impl From<RenderError> for TranscodeError {
    fn from(error: RenderError) -> Self {
        match error {
            RenderError::TooLarge { .. } | RenderError::DoesNotFit { .. } => {
                Self::TooLarge { bytes_max: TRANSCODED_BYTES_MAX }
            }
            RenderError::Full | RenderError::Stopped | RenderError::Cancelled => {
                Self::Busy(error.into())
            }
            RenderError::Malformed(_)
            | RenderError::NoPixels
            | RenderError::NoSuchFrame { .. }
            | RenderError::Truncated
            | RenderError::Attribute { .. }
            | RenderError::Unsupported(_)
            | RenderError::Codec { .. }
            | RenderError::Panicked { .. }
            | RenderError::Encode
            | RenderError::Unfit(_)
            | RenderError::Request(_) => Self::Pixels(error.into()),
        }
    }
}

impl Transcoder for Workers {
    fn can(&self, stored: &str, wanted: &str) -> bool {
        can(stored, wanted)
    }

    fn transcode<'a>(
        &'a self,
        stored: &'a str,
        data_set: Bytes,
        wanted: &'a str,
    ) -> BoxFuture<'a, Result<Bytes, TranscodeError>> {
        let (stored, wanted) = (stored.to_owned(), wanted.to_owned());
        Box::pin(async move {
            // The worker's own error says whether it ran; what it did is the inner result.
            self.run(move || Ok(transcode(&stored, &data_set, &wanted))).await?
        })
    }
}
