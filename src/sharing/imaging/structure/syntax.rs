//! How a data set is coded, by its transfer syntax (PS3.5, chapter 10 and annex A; PS3.6, table
//!

/// How elements are coded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Coding {
    /// No value representations, little-endian (PS3.5, A.1).
    ImplicitLittle,
    /// Value representations, little-endian (PS3.5, A.2).
    ExplicitLittle,
    /// Value representations, big-endian (retired).
    ExplicitBig,
}

/// How pixels are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Pixels {
    /// As one value, in the byte order of the data set.
    Native,
    /// As one value, big-endian in a little-endian data set (GE, private).
    NativeBigEndian,
    /// In fragments (PS3.5, A.4). A value of explicit length is taken as well.
    Encapsulated,
    /// Elsewhere: a JPIP server (PS3.5, A.6) or a real-time stream.
    Elsewhere,
}

/// Coding of a data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Syntax {
    /// Name, for people.
    pub name: &'static str,
    /// How elements are coded.
    pub coding: Coding,
    /// How pixels are kept.
    pub pixels: Pixels,
    /// Whether the whole data set is deflated (PS3.5, A.5).
    pub deflated: bool,
    /// Whether the UID is known. One that is not is taken as encapsulated explicit VR little
    /// endian, which every syntax since 1994 is, and reads native pixels as well.
    pub known: bool,
}

/// Longest UID (PS3.5, 9.1).
const UID_BYTES_MAX: usize = 64;

const IMPLICIT: Syntax = Syntax {
    name: "Implicit VR Little Endian",
    coding: Coding::ImplicitLittle,
    pixels: Pixels::Native,
    deflated: false,
    known: true,
};
const EXPLICIT: Syntax =
    Syntax { name: "Explicit VR Little Endian", coding: Coding::ExplicitLittle, ..IMPLICIT };

const fn encapsulated(name: &'static str) -> Syntax {
    Syntax { name, pixels: Pixels::Encapsulated, ..EXPLICIT }
}

const fn elsewhere(name: &'static str) -> Syntax {
    Syntax { name, pixels: Pixels::Elsewhere, ..EXPLICIT }
}

/// What every UID of the standard begins with.
const STANDARD_ROOT: &str = "1.2.840.10008.";
/// Where the standard registers transfer syntaxes.
const STANDARD_SYNTAXES: &str = "1.2.840.10008.1.2.";

/// Registered, but no binary data set: MIME and XML (both retired).
const NOT_BINARY: [&str; 2] = ["1.2.840.10008.1.2.6.1", "1.2.840.10008.1.2.6.2"];

/// By UID.
const SYNTAXES: &[(&str, Syntax)] = &[
    ("1.2.840.10008.1.2", IMPLICIT),
    ("1.2.840.10008.1.2.1", EXPLICIT),
    ("1.2.840.10008.1.2.1.98", encapsulated("Encapsulated Uncompressed Explicit VR Little Endian")),
    (
        "1.2.840.10008.1.2.1.99",
        Syntax { name: "Deflated Explicit VR Little Endian", deflated: true, ..EXPLICIT },
    ),
    (
        "1.2.840.10008.1.2.2",
        Syntax { name: "Explicit VR Big Endian", coding: Coding::ExplicitBig, ..EXPLICIT },
    ),
    ("1.2.840.10008.1.20", Syntax { name: "Papyrus 3 Implicit VR Little Endian", ..IMPLICIT }),
    (
        "1.2.840.113619.5.2",
        Syntax {
            name: "GE private Implicit VR Little Endian, big-endian pixels",
            pixels: Pixels::NativeBigEndian,
            ..IMPLICIT
        },
    ),
    ("1.2.840.10008.1.2.4.50", encapsulated("JPEG Baseline (Process 1)")),
    ("1.2.840.10008.1.2.4.51", encapsulated("JPEG Extended (Process 2 & 4)")),
    ("1.2.840.10008.1.2.4.52", encapsulated("JPEG Extended (Process 3 & 5)")),
    ("1.2.840.10008.1.2.4.53", encapsulated("JPEG Spectral Selection (Process 6 & 8)")),
    ("1.2.840.10008.1.2.4.54", encapsulated("JPEG Spectral Selection (Process 7 & 9)")),
    ("1.2.840.10008.1.2.4.55", encapsulated("JPEG Full Progression (Process 10 & 12)")),
    ("1.2.840.10008.1.2.4.56", encapsulated("JPEG Full Progression (Process 11 & 13)")),
    ("1.2.840.10008.1.2.4.57", encapsulated("JPEG Lossless (Process 14)")),
    ("1.2.840.10008.1.2.4.58", encapsulated("JPEG Lossless (Process 15)")),
    ("1.2.840.10008.1.2.4.59", encapsulated("JPEG Extended, Hierarchical (Process 16 & 18)")),
    ("1.2.840.10008.1.2.4.60", encapsulated("JPEG Extended, Hierarchical (Process 17 & 19)")),
    (
        "1.2.840.10008.1.2.4.61",
        encapsulated("JPEG Spectral Selection, Hierarchical (Process 20 & 22)"),
    ),
    (
        "1.2.840.10008.1.2.4.62",
        encapsulated("JPEG Spectral Selection, Hierarchical (Process 21 & 23)"),
    ),
    (
        "1.2.840.10008.1.2.4.63",
        encapsulated("JPEG Full Progression, Hierarchical (Process 24 & 26)"),
    ),
    (
        "1.2.840.10008.1.2.4.64",
        encapsulated("JPEG Full Progression, Hierarchical (Process 25 & 27)"),
    ),
    ("1.2.840.10008.1.2.4.65", encapsulated("JPEG Lossless, Hierarchical (Process 28)")),
    ("1.2.840.10008.1.2.4.66", encapsulated("JPEG Lossless, Hierarchical (Process 29)")),
    ("1.2.840.10008.1.2.4.70", encapsulated("JPEG Lossless (Process 14, Selection Value 1)")),
    ("1.2.840.10008.1.2.4.80", encapsulated("JPEG-LS Lossless")),
    ("1.2.840.10008.1.2.4.81", encapsulated("JPEG-LS Lossy (Near-Lossless)")),
    ("1.2.840.10008.1.2.4.90", encapsulated("JPEG 2000 (Lossless Only)")),
    ("1.2.840.10008.1.2.4.91", encapsulated("JPEG 2000")),
    ("1.2.840.10008.1.2.4.92", encapsulated("JPEG 2000 Part 2 Multi-component (Lossless Only)")),
    ("1.2.840.10008.1.2.4.93", encapsulated("JPEG 2000 Part 2 Multi-component")),
    ("1.2.840.10008.1.2.4.94", elsewhere("JPIP Referenced")),
    ("1.2.840.10008.1.2.4.95", Syntax { deflated: true, ..elsewhere("JPIP Referenced Deflate") }),
    ("1.2.840.10008.1.2.4.100", encapsulated("MPEG2 Main Profile / Main Level")),
    ("1.2.840.10008.1.2.4.100.1", encapsulated("Fragmentable MPEG2 Main Profile / Main Level")),
    ("1.2.840.10008.1.2.4.101", encapsulated("MPEG2 Main Profile / High Level")),
    ("1.2.840.10008.1.2.4.101.1", encapsulated("Fragmentable MPEG2 Main Profile / High Level")),
    ("1.2.840.10008.1.2.4.102", encapsulated("H.264 High Profile / Level 4.1")),
    ("1.2.840.10008.1.2.4.102.1", encapsulated("Fragmentable H.264 High Profile / Level 4.1")),
    ("1.2.840.10008.1.2.4.103", encapsulated("H.264 BD-compatible High Profile / Level 4.1")),
    (
        "1.2.840.10008.1.2.4.103.1",
        encapsulated("Fragmentable H.264 BD-compatible High Profile / Level 4.1"),
    ),
    ("1.2.840.10008.1.2.4.104", encapsulated("H.264 High Profile / Level 4.2 for 2D video")),
    (
        "1.2.840.10008.1.2.4.104.1",
        encapsulated("Fragmentable H.264 High Profile / Level 4.2 for 2D video"),
    ),
    ("1.2.840.10008.1.2.4.105", encapsulated("H.264 High Profile / Level 4.2 for 3D video")),
    (
        "1.2.840.10008.1.2.4.105.1",
        encapsulated("Fragmentable H.264 High Profile / Level 4.2 for 3D video"),
    ),
    ("1.2.840.10008.1.2.4.106", encapsulated("H.264 Stereo High Profile / Level 4.2")),
    (
        "1.2.840.10008.1.2.4.106.1",
        encapsulated("Fragmentable H.264 Stereo High Profile / Level 4.2"),
    ),
    ("1.2.840.10008.1.2.4.107", encapsulated("H.265 Main Profile / Level 5.1")),
    ("1.2.840.10008.1.2.4.108", encapsulated("H.265 Main 10 Profile / Level 5.1")),
    ("1.2.840.10008.1.2.4.110", encapsulated("JPEG XL Lossless")),
    ("1.2.840.10008.1.2.4.111", encapsulated("JPEG XL JPEG Recompression")),
    ("1.2.840.10008.1.2.4.112", encapsulated("JPEG XL")),
    ("1.2.840.10008.1.2.4.201", encapsulated("High-Throughput JPEG 2000 (Lossless Only)")),
    (
        "1.2.840.10008.1.2.4.202",
        encapsulated("High-Throughput JPEG 2000 with RPCL (Lossless Only)"),
    ),
    ("1.2.840.10008.1.2.4.203", encapsulated("High-Throughput JPEG 2000")),
    ("1.2.840.10008.1.2.4.204", elsewhere("JPIP HTJ2K Referenced")),
    (
        "1.2.840.10008.1.2.4.205",
        Syntax { deflated: true, ..elsewhere("JPIP HTJ2K Referenced Deflate") },
    ),
    ("1.2.840.10008.1.2.5", encapsulated("RLE Lossless")),
    ("1.2.840.10008.1.2.7.1", elsewhere("SMPTE ST 2110-20 Progressive Active Video")),
    ("1.2.840.10008.1.2.7.2", elsewhere("SMPTE ST 2110-20 Interlaced Active Video")),
    ("1.2.840.10008.1.2.7.3", elsewhere("SMPTE ST 2110-30 PCM Digital Audio")),
    ("1.2.840.10008.1.2.8.1", encapsulated("Deflated Image Frame Compression")),
];

impl Syntax {
    /// Implicit VR little endian: command sets, and whatever DIMSE peers can always fall back to.
    pub const IMPLICIT_LITTLE: Self = IMPLICIT;
    /// Explicit VR little endian.
    pub const EXPLICIT_LITTLE: Self = EXPLICIT;

    /// The coding that `uid` names. None if it is no transfer syntax of a binary data set: no UID,
    /// a UID of the standard for something else, or the retired MIME and XML encodings. A UID that
    /// is registered by nobody here is taken as encapsulated explicit VR little endian, with
    /// [`Syntax::known`] false.
    pub fn of(uid: &str) -> Option<Self> {
        if let Some((_, syntax)) = SYNTAXES.iter().find(|(known, _)| *known == uid) {
            return Some(*syntax);
        }
        let well_formed = !uid.is_empty()
            && uid.len() <= UID_BYTES_MAX
            && uid
                .split('.')
                .all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()));
        let other = uid.starts_with(STANDARD_ROOT) && !uid.starts_with(STANDARD_SYNTAXES);
        let unknown =
            Self { known: false, ..encapsulated("unknown, taken as Explicit VR Little Endian") };
        (well_formed && !other && !NOT_BINARY.contains(&uid)).then_some(unknown)
    }

    /// Whether elements carry no value representation.
    pub fn is_implicit(self) -> bool {
        self.coding == Coding::ImplicitLittle
    }

    /// Whether numbers are big-endian.
    pub fn is_big_endian(self) -> bool {
        self.coding == Coding::ExplicitBig
    }

    /// Whether pixel data come in fragments.
    pub fn is_encapsulated(self) -> bool {
        self.pixels == Pixels::Encapsulated
    }
}

#[cfg(test)]
mod tests {
    use dicom_dictionary_std::uids;

    use super::*;

    #[test]
    fn each_syntax_stands_once() {
        for (at, (uid, syntax)) in SYNTAXES.iter().enumerate() {
            assert!(SYNTAXES.iter().skip(at + 1).all(|(other, _)| other != uid), "{uid}");
            assert!(syntax.known && Syntax::of(uid) == Some(*syntax), "{uid}");
        }
        // PS3.6 2025, table A-1, has 63 transfer syntaxes; two are not binary, one here is GE's.
        assert_eq!(SYNTAXES.len(), 63 - NOT_BINARY.len() + 1);
    }

    #[test]
    fn codings_are_those_of_the_standard() {
        let of = |uid| Syntax::of(uid).unwrap();
        assert!(of(uids::IMPLICIT_VR_LITTLE_ENDIAN).is_implicit());
        assert!(of("1.2.840.10008.1.2.2").is_big_endian());
        assert!(of(uids::DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN).deflated);
        assert!(!of(uids::DEFLATED_IMAGE_FRAME_COMPRESSION).deflated);
        assert!(of(uids::DEFLATED_IMAGE_FRAME_COMPRESSION).is_encapsulated());
        assert!(of(uids::JPIP_REFERENCED_DEFLATE).deflated);
        assert!(of(uids::HEVCMP51).is_encapsulated() && !of(uids::HEVCMP51).is_big_endian());
        let ge = of("1.2.840.113619.5.2");
        assert!(ge.is_implicit() && ge.pixels == Pixels::NativeBigEndian && !ge.is_encapsulated());
    }

    #[test]
    fn a_uid_nobody_registered_is_taken_as_encapsulated_and_said_so() {
        for uid in ["1.3.6.1.4.1.5962.300.1", "1.2.840.10008.1.2.4.999"] {
            let syntax = Syntax::of(uid).unwrap();
            assert!(!syntax.known && syntax.is_encapsulated() && !syntax.is_implicit(), "{uid}");
        }
    }

    #[test]
    fn what_is_no_transfer_syntax_has_no_coding() {
        let long = format!("1.{}", "2".repeat(63));
        for uid in ["", "1..2", "1.2.", "abc", uids::VERIFICATION, uids::CT_IMAGE_STORAGE, &long]
            .into_iter()
            .chain(NOT_BINARY)
        {
            assert_eq!(Syntax::of(uid), None, "{uid}");
        }
    }
}
