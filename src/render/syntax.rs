//! Transfer syntaxes and how their pixels are packed (PS3.5, 10 and annex A).

use super::error::{RenderError, Result};

/// How elements are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Encoding {
    /// Whether value representations are written.
    pub explicit: bool,
    /// Whether numbers begin with the high byte.
    pub big_endian: bool,
}

/// Implicit VR little endian.
pub(super) const IMPLICIT: Encoding = Encoding { explicit: false, big_endian: false };
const EXPLICIT: Encoding = Encoding { explicit: true, big_endian: false };

/// How a frame is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Codec {
    /// As it is; the byte order is that of the data set unless said otherwise.
    Native,
    /// Run lengths (PS3.5, annex G).
    Rle,
    /// JPEG: baseline, extended, progressive, lossless.
    Jpeg,
    /// JPEG-LS.
    JpegLs,
    /// JPEG 2000 and HTJ2K.
    Jpeg2000,
    /// Each frame deflated (PS3.5, A.4.14).
    DeflatedFrame,
}

/// A transfer syntax.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Syntax {
    /// How elements are written.
    pub encoding: Encoding,
    /// Whether the whole data set is deflated.
    pub deflated: bool,
    /// How frames are packed.
    pub codec: Codec,
    /// Whether native pixels are big-endian.
    pub pixels_big_endian: bool,
    /// Media type of a frame as it lies (PS3.18, 8.7.3.5.2).
    pub media_type: &'static str,
}

/// The transfer syntax with `uid`.
pub(super) fn syntax(uid: &str) -> Result<Syntax> {
    let native = Syntax {
        encoding: EXPLICIT,
        deflated: false,
        codec: Codec::Native,
        pixels_big_endian: false,
        media_type: "application/octet-stream",
    };
    let packed = |codec, media_type| Syntax { codec, media_type, ..native };
    Ok(match uid.trim_end_matches(['\0', ' ']) {
        "1.2.840.10008.1.2" => Syntax { encoding: IMPLICIT, ..native },
        "1.2.840.10008.1.2.1" | "1.2.840.10008.1.2.1.98" => native,
        "1.2.840.10008.1.2.1.99" => Syntax { deflated: true, ..native },
        "1.2.840.10008.1.2.2" => Syntax {
            encoding: Encoding { explicit: true, big_endian: true },
            pixels_big_endian: true,
            ..native
        },
        // GE private: implicit little endian with big-endian pixels.
        "1.2.840.113619.5.2" => Syntax { encoding: IMPLICIT, pixels_big_endian: true, ..native },
        "1.2.840.10008.1.2.4.50"
        | "1.2.840.10008.1.2.4.51"
        | "1.2.840.10008.1.2.4.53"
        | "1.2.840.10008.1.2.4.55"
        | "1.2.840.10008.1.2.4.57"
        | "1.2.840.10008.1.2.4.70" => packed(Codec::Jpeg, "image/jpeg"),
        "1.2.840.10008.1.2.4.80" | "1.2.840.10008.1.2.4.81" => packed(Codec::JpegLs, "image/jls"),
        "1.2.840.10008.1.2.4.90" | "1.2.840.10008.1.2.4.91" => packed(Codec::Jpeg2000, "image/jp2"),
        "1.2.840.10008.1.2.4.92" | "1.2.840.10008.1.2.4.93" => packed(Codec::Jpeg2000, "image/jpx"),
        "1.2.840.10008.1.2.4.201" | "1.2.840.10008.1.2.4.202" | "1.2.840.10008.1.2.4.203" => {
            packed(Codec::Jpeg2000, "image/jphc")
        }
        "1.2.840.10008.1.2.5" => packed(Codec::Rle, "image/dicom-rle"),
        "1.2.840.10008.1.2.8.1" => packed(Codec::DeflatedFrame, "application/octet-stream"),
        _ => return Err(RenderError::Unsupported("this transfer syntax")),
    })
}
