//! Decoders against encoders written for the test and against each other.

use proptest::prelude::*;

use super::Samples;
use super::bits::{Bits, Stuffing};
use crate::app::imaging::render::{PixelSource, RenderRequest};
use crate::render::dataset::Elements;
use crate::render::draw::{Opened, drawn};
use crate::render::frames::frame;
use crate::render::image::Image;
use crate::render::testing::{Object, file};

const RLE: &str = "1.2.840.10008.1.2.5";
const CT: &str = "cornerstone-wado/CTImage.dcm";

/// Stored values of the first frame.
fn values(source: &PixelSource) -> Samples {
    let opened = Opened::new(source).unwrap();
    let set: Elements<'_> = opened.elements().unwrap();
    let image = Image::read(&set).unwrap();
    let bytes = frame(&opened.data, &set, &image, opened.syntax, 1).unwrap();
    super::decode(&image, opened.syntax, &bytes).unwrap().samples
}

fn whole(source: &PixelSource) -> Vec<i32> {
    match values(source) {
        Samples::Whole(values) => values,
        Samples::Real(_) => panic!("not whole numbers"),
    }
}

/// Packs each segment as literals and runs (PS3.5, G.3.1).
fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = bytes;
    while let Some(first) = rest.first() {
        let run = rest.iter().take(128).take_while(|b| *b == first).count();
        if run > 1 {
            out.extend([u8::try_from(257 - run).unwrap(), *first]);
            rest = &rest[run..];
        } else {
            let literal = rest.len().min(3);
            out.push(u8::try_from(literal - 1).unwrap());
            out.extend(&rest[..literal]);
            rest = &rest[literal..];
        }
    }
    if out.len() % 2 == 1 {
        // 128 does nothing.
        out.push(128);
    }
    out
}

fn rle(segments: &[Vec<u8>]) -> Vec<u8> {
    let mut header = vec![u32::try_from(segments.len()).unwrap()];
    let mut body = Vec::new();
    for segment in segments {
        header.push(u32::try_from(64 + body.len()).unwrap());
        body.extend(packed(segment));
    }
    header.resize(16, 0);
    header.into_iter().flat_map(u32::to_le_bytes).chain(body).collect()
}

proptest! {
    #[test]
    fn run_lengths_of_any_cell_come_back(
        cells in prop::collection::vec(prop::sample::select(vec![0_u32, 1, 0xFFFF, 0x1234_5678, u32::MAX]), 3..200),
        bytes in prop::sample::select(vec![1_usize, 2, 4]),
        colour in any::<bool>(),
    ) {
        let samples = if colour { 3 } else { 1 };
        let pixels = cells.len() / samples;
        let cells = &cells[..pixels * samples];
        let native: Vec<u8> =
            cells.iter().flat_map(|cell| cell.to_le_bytes()[..bytes].to_vec()).collect();
        let mut segments = Vec::new();
        for channel in 0..samples {
            for byte in (0..bytes).rev() {
                let plane = cells.iter().skip(channel).step_by(samples);
                segments.push(plane.map(|cell| cell.to_le_bytes()[byte]).collect());
            }
        }
        let kind = if colour { "RGB" } else { "MONOCHROME2" };
        let width = u16::try_from(pixels).unwrap();
        let bits = u16::try_from(bytes * 8).unwrap();
        let image = Object::image(kind, width, 1, bits);
        let plain = image.clone().pixels8(&native);
        let packed = image.fragments(&[], &[&rle(&segments)]);
        prop_assert_eq!(
            values(&packed.source(RLE)),
            values(&plain.source(crate::render::testing::EXPLICIT))
        );
    }

    #[test]
    fn bits_come_back_in_order_whatever_their_widths(
        numbers in prop::collection::vec((0_u32..=u32::MAX, 1_u32..=32), 1..60),
        bit_stuffing in any::<bool>(),
    ) {
        let mut bits = Vec::new();
        for (number, width) in &numbers {
            bits.extend((0..*width).rev().map(|at| number >> at & 1 == 1));
        }
        let stuffing = if bit_stuffing { Stuffing::Bit } else { Stuffing::Byte };
        let mut bytes: Vec<u8> = Vec::new();
        let mut source = bits.into_iter().peekable();
        while source.peek().is_some() {
            let short = bit_stuffing && bytes.last() == Some(&0xFF);
            let byte = (0..if short { 7 } else { 8 })
                .fold(0_u8, |byte, _| byte << 1 | u8::from(source.next().unwrap_or(false)));
            bytes.push(byte);
            if !bit_stuffing && byte == 0xFF {
                bytes.push(0);
            }
        }
        let end = bytes.len();
        bytes.extend([0xFF, 0xD9]);
        let mut reader = Bits::new(&bytes, stuffing);
        for (number, width) in &numbers {
            prop_assert_eq!(reader.take(*width), number & (u32::MAX >> (32 - width)));
            prop_assert!(!reader.exhausted());
        }
        prop_assert!(reader.scan_end() >= end);
    }
}

#[test]
fn segments_that_are_missing_short_or_elsewhere_are_refused() {
    let image = Object::image("MONOCHROME2", 4, 1, 8);
    let sound = rle(&[vec![7, 7, 7, 9]]);
    let refused = |bytes: &[u8]| {
        let source = image.clone().fragments(&[], &[bytes]).source(RLE);
        assert!(drawn(&source, &RenderRequest::default()).is_err());
    };
    assert!(
        drawn(&image.clone().fragments(&[], &[&sound]).source(RLE), &RenderRequest::default())
            .is_ok()
    );
    refused(&sound[..60]);
    refused(&sound[..66]);
    let mut two = sound.clone();
    two[0] = 2;
    refused(&two);
    let mut elsewhere = sound;
    elsewhere[4] = 3;
    refused(&elsewhere);
}

#[test]
fn lossless_codecs_give_what_was_there_before() {
    let native = whole(&file(CT));
    for name in [
        "RLELosslessTransferSyntax_1.2.840.10008.1.2.5",
        "JPEGProcess14TransferSyntax_1.2.840.10008.1.2.4.57",
        "JPEGProcess14SV1TransferSyntax_1.2.840.10008.1.2.4.70",
        "JPEGLSLosslessTransferSyntax_1.2.840.10008.1.2.4.80",
        "JPEG2000LosslessOnlyTransferSyntax_1.2.840.10008.1.2.4.90",
        "DeflatedExplicitVRLittleEndianTransferSyntax_1.2.840.10008.1.2.1.99",
        "BigEndianExplicitTransferSyntax_1.2.840.10008.1.2.2",
    ] {
        assert!(whole(&file(&format!("{CT}_{name}.dcm"))) == native, "{name}");
    }
}

#[test]
fn every_interleave_of_jpeg_ls_gives_the_same_image() {
    let apart = whole(&file("pydicom-data/JLSL_RGB_ILV0.dcm"));
    for name in ["JLSL_RGB_ILV1", "JLSL_RGB_ILV2"] {
        assert!(whole(&file(&format!("pydicom-data/{name}.dcm"))) == apart, "{name}");
    }
}

#[test]
fn near_lossless_stays_within_its_error() {
    let native = whole(&file(CT));
    let near = whole(&file(&format!("{CT}_JPEGLSLossyTransferSyntax_1.2.840.10008.1.2.4.81.dcm")));
    let worst = native.iter().zip(&near).map(|(a, b)| a.abs_diff(*b)).max();
    assert!(worst.is_some_and(|worst| (1..=10).contains(&worst)), "{worst:?}");
}

#[test]
fn sequential_and_progressive_jpeg_of_12_bits_agree() {
    let sequential =
        whole(&file(&format!("{CT}_JPEGProcess2_4TransferSyntax_1.2.840.10008.1.2.4.51.dcm")));
    for name in [
        "JPEGProcess6_8TransferSyntax_1.2.840.10008.1.2.4.53",
        "JPEGProcess10_12TransferSyntax_1.2.840.10008.1.2.4.55",
    ] {
        let progressive = whole(&file(&format!("{CT}_{name}.dcm")));
        assert!(progressive == sequential, "{name}");
    }
}

#[test]
fn a_stream_of_a_thousand_scans_is_refused() {
    let sound = file("pydicom-bundled/test_files/JPGExtended.dcm");
    let opened = Opened::new(&sound).unwrap();
    let set = opened.elements().unwrap();
    let image = Image::read(&set).unwrap();
    let stream = frame(&opened.data, &set, &image, opened.syntax, 1).unwrap();
    let mut many = stream.to_vec();
    assert!(super::jpeg::decode(&image, &many).is_ok());
    for _ in 0..1000 {
        many.extend([0xFF, 0xDA, 0, 8, 1, 1, 0, 0, 63, 0]);
    }
    assert!(super::jpeg::decode(&image, &many).is_err());
}

#[test]
fn a_foreign_panic_is_an_error() {
    let caught: super::Result<()> = super::guarded("JPEG", || panic!("as decoders do"));
    assert_eq!(caught, Err(super::RenderError::Panicked { codec: "JPEG" }));
}

#[test]
fn a_deflated_frame_that_ends_early_is_refused() {
    let image = Object::image("MONOCHROME2", 64, 64, 8);
    let source = image.fragments(&[], &[&[3, 0]]).source("1.2.840.10008.1.2.8.1");
    assert!(drawn(&source, &RenderRequest::default()).is_err());
}
