//! Bytes that mean harm: nothing panics, nothing takes more than its limit.

use std::sync::LazyLock;
use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;

use super::draw::drawn;
use super::error::RenderError;
use super::testing::{EXPLICIT, Object, file};
use super::{frame_bytes, render, thumbnail};
use crate::app::imaging::render::{PixelSource, RenderRequest, Viewport, Window};

const SYNTAXES: [&str; 12] = [
    EXPLICIT,
    "1.2.840.10008.1.2",
    "1.2.840.10008.1.2.2",
    "1.2.840.10008.1.2.1.99",
    "1.2.840.10008.1.2.4.50",
    "1.2.840.10008.1.2.4.51",
    "1.2.840.10008.1.2.4.70",
    "1.2.840.10008.1.2.4.80",
    "1.2.840.10008.1.2.4.90",
    "1.2.840.10008.1.2.4.203",
    "1.2.840.10008.1.2.5",
    "1.2.840.10008.1.2.8.1",
];

/// Small real files, one for each way of packing.
static FILES: LazyLock<Vec<PixelSource>> = LazyLock::new(|| {
    [
        "pydicom-bundled/test_files/MR_small.dcm",
        "pydicom-bundled/test_files/MR_small_expb.dcm",
        "pydicom-bundled/test_files/MR_small_RLE.dcm",
        "pydicom-bundled/test_files/MR_small_jpeg_ls_lossless.dcm",
        "pydicom-bundled/test_files/MR_small_jp2klossless.dcm",
        "pydicom-bundled/test_files/JPEGLSNearLossless_16.dcm",
        "pydicom-bundled/test_files/SC_rgb_jls_lossy_sample.dcm",
        "pydicom-bundled/test_files/JPGExtended.dcm",
        "pydicom-bundled/test_files/SC_rgb_jpeg_gdcm.dcm",
        "pydicom-bundled/test_files/SC_rgb_dcmtk_+eb+cy+s2.dcm",
        "pydicom-bundled/test_files/SC_rgb_rle_16bit_2frame.dcm",
        "pydicom-bundled/test_files/examples_overlay.dcm",
        "pydicom-data/JLSL_08_07_0_1F.dcm",
        "pydicom-data/liver_deflate.dcm",
        "pydicom-bundled/test_files/rtdose_rle.dcm",
        "pydicom-data/emri_small_jpeg_ls_lossless.dcm",
    ]
    .into_iter()
    .map(file)
    .collect()
});

fn request(frame: u32) -> RenderRequest {
    RenderRequest {
        frame,
        overlays: true,
        window: Window::Stored,
        viewport: Some(Viewport { width: 64, height: 64 }),
        ..RenderRequest::default()
    }
}

fn survives(source: &PixelSource) {
    drop(frame_bytes(source, 2));
    drop(thumbnail(source, 32));
    for frame in [1, 2] {
        if let Ok(image) = render(source, &request(frame)) {
            assert!(image.width <= 64 && image.height <= 64);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn random_bytes_never_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..512),
        syntax in prop::sample::select(&SYNTAXES[..]),
    ) {
        let source = PixelSource { transfer_syntax: syntax.to_owned(), data_set: bytes.into() };
        survives(&source);
    }

    #[test]
    fn random_frames_of_a_sound_image_never_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..2048),
        syntax in prop::sample::select(&SYNTAXES[4..]),
        colour in any::<bool>(),
        bits in prop::sample::select(vec![1_u16, 8, 16, 32]),
    ) {
        let kind = if colour { "RGB" } else { "MONOCHROME2" };
        let image = Object::image(kind, 23, 17, bits).fragments(&[], &[&bytes]);
        survives(&image.source(syntax));
    }

    #[test]
    fn real_files_with_changed_bytes_never_panic(
        number in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
        tail in any::<bool>(),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let source = number.get(&FILES);
        let mut bytes = source.data_set.to_vec();
        // Half of the changes fall on what is compressed, which is most of most files.
        let from = if tail { 0 } else { bytes.len().saturating_sub(bytes.len() / 2) };
        for (at, value) in changes {
            let at = from + at.index(bytes.len() - from);
            bytes[at] = value;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        survives(&PixelSource { data_set: bytes.into(), ..source.clone() });
    }

    #[test]
    fn headers_of_real_files_with_changed_bytes_never_panic(
        number in any::<prop::sample::Index>(),
        tag in prop::sample::select(vec![0x02_u8, 0x04, 0x06, 0x08, 0x10, 0x11]),
        value in any::<[u8; 2]>(),
    ) {
        let source = number.get(&FILES);
        let mut bytes = source.data_set.to_vec();
        let big = source.transfer_syntax == "1.2.840.10008.1.2.2";
        let find = if big { [0, 0x28, 0, tag] } else { [0x28, 0, tag, 0] };
        if let Some(at) = bytes.windows(4).position(|four| four == find) {
            if let Some(to) = bytes.get_mut(at + 8..at + 10) {
                to.copy_from_slice(&value);
            }
            survives(&PixelSource { data_set: bytes.into(), ..source.clone() });
        }
    }
}

#[test]
fn a_sequence_nested_a_hundred_thousand_deep_is_refused() {
    let mut data = Vec::new();
    for _ in 0..100_000 {
        // An open sequence, an open item.
        data.extend(b"\x40\x00\x75\x02SQ\0\0\xFF\xFF\xFF\xFF\xFE\xFF\x00\xE0\xFF\xFF\xFF\xFF");
    }
    let source = PixelSource { transfer_syntax: EXPLICIT.to_owned(), data_set: data.into() };
    assert!(matches!(frame_bytes(&source, 1), Err(RenderError::Malformed(_))));
}

#[test]
fn a_pixel_length_of_four_gigabytes_allocates_nothing() {
    let mut data = Object::image("MONOCHROME2", 16, 16, 8).data();
    data.extend(b"\xE0\x7F\x10\x00OB\0\0\xFE\xFF\xFF\xFF\x01\x02");
    let source = PixelSource { transfer_syntax: EXPLICIT.to_owned(), data_set: data.into() };
    assert_eq!(frame_bytes(&source, 1), Err(RenderError::Truncated));
}

#[test]
fn a_frame_of_65535_by_65535_is_refused_before_anything_is_allocated() {
    let image = Object::image("RGB", 65535, 65535, 8).fragments(&[], &[b"\xFF\xD8\xFF\xD9"]);
    for syntax in SYNTAXES {
        let refused = drawn(&image.source(syntax), &RenderRequest::default());
        assert!(refused.is_err(), "{syntax}");
    }
    let large = Object::image("MONOCHROME2", 10_000, 10_000, 8).fragments(&[], &[&[0; 64]]);
    for syntax in &SYNTAXES[4..] {
        let refused = drawn(&large.source(syntax), &RenderRequest::default());
        assert!(matches!(refused, Err(RenderError::Malformed(_))), "{syntax}");
    }
}

#[test]
fn a_deflate_bomb_stops_at_the_frame() {
    use std::io::Write;
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
    for _ in 0..64 {
        encoder.write_all(&vec![0; 1 << 20]).unwrap();
    }
    let bomb = encoder.finish().unwrap();
    let image = Object::image("MONOCHROME2", 8, 8, 8).fragments(&[], &[&bomb]);
    let drawn = drawn(&image.source("1.2.840.10008.1.2.8.1"), &RenderRequest::default());
    assert_eq!(drawn.unwrap().0.data, [0; 64]);
}

#[test]
fn a_lying_frame_count_and_a_long_table_cost_no_time() {
    let began = tokio::time::Instant::now();
    let image = Object::image("MONOCHROME2", 8, 8, 8).text(0x0028_0008, "999999");
    let fragments = vec![[0_u8; 2].as_slice(); 100_000];
    let source = image.clone().fragments(&[], &fragments).source("1.2.840.10008.1.2.4.50");
    assert!(frame_bytes(&source, 999_999).is_err());
    let many = image.text(0x0028_0008, "1000001").pixels8(&[0; 64]).source(EXPLICIT);
    assert!(matches!(frame_bytes(&many, 1), Err(RenderError::TooLarge { .. })));
    assert!(began.elapsed() < Duration::from_secs(2));
}

#[test]
fn contradicting_attributes_are_named() {
    let image = Object::image("MONOCHROME2", 2, 2, 16).pixels16(&[0; 4]);
    let wrong = [
        (0x0028_0010, 0, "Rows or Columns"),
        (0x0028_0002, 2, "SamplesPerPixel"),
        (0x0028_0100, 12, "BitsAllocated"),
        (0x0028_0101, 17, "BitsStored or HighBit"),
        (0x0028_0102, 16, "BitsStored or HighBit"),
        (0x0028_0101, 0, "BitsStored or HighBit"),
        (0x0028_0002, 3, "PhotometricInterpretation"),
    ];
    for (tag, value, attribute) in wrong {
        let source = image.clone().shorts(tag, &[value]).source(EXPLICIT);
        let refused = render(&source, &RenderRequest::default());
        assert_eq!(refused, Err(RenderError::Attribute { attribute }));
    }
}

#[test]
fn empty_and_tiny_data_sets_have_no_pixels() {
    for bytes in [b"".as_slice(), b"\xE0", b"\xE0\x7F\x10\x00OB"] {
        let data_set = Bytes::copy_from_slice(bytes);
        let source = PixelSource { transfer_syntax: EXPLICIT.to_owned(), data_set };
        assert_eq!(frame_bytes(&source, 1), Err(RenderError::NoPixels));
    }
}
