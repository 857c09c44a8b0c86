//! Every real file is drawn or refused for a reason that stands here; what is drawn is compared
//! with values computed independently (Python, numpy on decoders of other makers).

use std::time::Duration;

use super::draw::drawn;
use super::testing::{corpus, corpus_files, file, part10};
use super::{RenderError, frame_bytes};
use crate::app::imaging::render::{RenderRequest, Viewport};

/// Files that are drawn.
const DRAWN: usize = 218;
/// Files without pixels: reports, plans, directories.
const WITHOUT_PIXELS: usize = 92;
/// Files with pixels that are refused, and why.
const REFUSED: [(&str, &str); 4] = [
    (
        // Its size marker was overwritten to look like a sequence delimiter.
        "pydicom-bundled/test_files/JPEG2000-embedded-sequence-delimiter.dcm",
        "JPEG 2000 frame is damaged: has other rows or columns than the data set",
    ),
    (
        "pydicom-bundled/test_files/MR_truncated.dcm",
        "pixel data is shorter than rows, columns and frames need",
    ),
    ("pydicom-bundled/test_files/meta_missing_tsyntax.dcm", "Rows is missing or not allowed"),
    ("pydicom-bundled/test_files/nested_priv_SQ.dcm", "Rows is missing or not allowed"),
];
/// What one frame may take, in a build that is not optimised.
const FRAME_TIME_MAX: Duration = Duration::from_secs(20);

#[test]
fn every_file_is_drawn_or_refused_for_a_known_reason() {
    let (mut drawn_count, mut without, mut refused) = (0, 0, Vec::new());
    for path in corpus_files() {
        let name = path.strip_prefix(corpus()).unwrap().display().to_string();
        if name == "README.md" {
            continue;
        }
        let source = part10(&std::fs::read(&path).unwrap()).unwrap();
        let began = tokio::time::Instant::now();
        match drawn(&source, &RenderRequest::default()) {
            Ok((picture, _)) => {
                let Ok(frame) = frame_bytes(&source, 1) else { panic!("{name}: drawn, not found") };
                assert!(!frame.bytes.is_empty());
                assert_eq!(picture.data.len(), picture.width * picture.height * picture.channels);
                drawn_count += 1;
            }
            Err(RenderError::NoPixels) => without += 1,
            Err(error) => refused.push((name.clone(), error.to_string())),
        }
        assert!(began.elapsed() < FRAME_TIME_MAX, "{name} took {:?}", began.elapsed());
    }
    let expected = REFUSED.map(|(name, why)| (name.to_owned(), why.to_owned()));
    assert_eq!(refused, expected);
    assert_eq!((drawn_count, without), (DRAWN, WITHOUT_PIXELS));
}

/// Name, width, height, channels, and the weighed sum.
const EXACT: &[(&str, usize, usize, usize, u64)] = &[
    ("cornerstone-wado/CTImage.dcm", 512, 512, 1, 1_565_424_455),
    ("cornerstone-wado/US-YBR_FULL_422-EVRLE.dcm", 800, 555, 3, 2_631_195_147),
    (
        "cornerstone-wado/CTImage.dcm_JPEGLSLossyTransferSyntax_1.2.840.10008.1.2.4.81.dcm",
        512,
        512,
        1,
        1_565_469_834,
    ),
    ("notzaki-samples/DICOMSamples/MG_Explicit_Little.dcm", 512, 512, 1, 429_630_630),
    ("notzaki-samples/DICOMSamples/US_Explicit_Big_RGB.dcm", 640, 480, 3, 3_085_004_574),
    ("notzaki-samples/DICOMSamples/CT_JPEG70.dcm", 512, 400, 1, 3_803_610_881),
    ("pydicom-bundled/test_files/CT_small.dcm", 128, 128, 1, 199_309_242),
    ("pydicom-bundled/test_files/MR_small_expb.dcm", 64, 64, 1, 57_669_065),
    ("pydicom-bundled/test_files/J2K_pixelrep_mismatch.dcm", 512, 512, 1, 2_099_175_284),
    ("pydicom-bundled/test_files/SC_rgb_jls_lossy_line.dcm", 100, 100, 3, 482_915_280),
    ("pydicom-bundled/test_files/SC_rgb_rle_32bit.dcm", 100, 100, 3, 481_785_150),
    ("pydicom-bundled/test_files/examples_palette.dcm", 800, 350, 3, 2_172_999_452),
    ("pydicom-bundled/test_files/rtdose_expb_1frame.dcm", 10, 10, 1, 384_143),
    ("pydicom-bundled/test_files/dicomdirtests/77654033/CR1/6154", 16, 16, 1, 3_022_509),
    ("pydicom-bundled/test_files/examples_overlay.dcm", 484, 300, 1, 880_841_145),
    ("pydicom-data/mlut_18.dcm", 512, 512, 1, 4_260_634_866),
    ("pydicom-data/vlut_04.dcm", 512, 512, 1, 4_260_549_750),
    ("pydicom-data/gdcm-US-ALOKA-16.dcm", 640, 480, 3, 3_452_243_117),
    ("pydicom-data/OBXXXX1A.dcm", 800, 600, 3, 2_262_572_328),
    ("pydicom-data/JLSL_RGB_ILV1.dcm", 256, 256, 3, 3_637_634_090),
    ("pydicom-data/JLSL_16_15_1_1F.dcm", 128, 128, 1, 199_313_286),
    ("pydicom-data/RG3_J2KR.dcm", 1760, 1760, 1, 69_290_230_480),
    ("pydicom-data/US1_J2KR.dcm", 640, 480, 3, 4_005_446_846),
    ("pydicom-data/HTJ2KLossless_08_RGB.dcm", 640, 480, 3, 14_760_439_046),
    ("pydicom-data/emri_small_jpeg_2k_lossless.dcm", 64, 64, 1, 43_863_129),
    ("pydicom-data/parametric_map_float.dcm", 128, 128, 1, 524_760_165),
    ("pydicom-data/parametric_map_double_float.dcm", 128, 128, 1, 524_760_165),
    ("pydicom-data/liver_nonbyte_aligned.dcm", 510, 510, 1, 1_162_251_495),
    ("pydicom-data/color-pl.dcm", 256, 120, 3, 497_818_264),
    ("pydicom-data/SC_rgb_expb_16bit_2frame.dcm", 100, 100, 3, 481_785_150),
    ("pydicom-data/eCT_Supplemental.dcm", 512, 512, 1, 1_309_457_629),
    ("pydicom-data/JPGLosslessP14SV1_1s_1f_8b.dcm", 1024, 768, 1, 1_719_997_758),
];

/// The sum of each value times its place modulo 251 plus one.
fn weighed(values: &[u8]) -> u64 {
    values.iter().zip((1..=251_u64).cycle()).map(|(value, weight)| u64::from(*value) * weight).sum()
}

#[test]
fn drawn_values_are_those_computed_elsewhere() {
    for (name, width, height, channels, expected) in EXACT {
        let (picture, _) = drawn(&file(name), &RenderRequest::default()).unwrap();
        let size = (picture.width, picture.height, picture.channels);
        assert_eq!(size, (*width, *height, *channels), "{name}");
        assert_eq!(weighed(&picture.data), *expected, "{name}");
    }
}

#[test]
fn overlays_of_real_files_lie_where_they_should() {
    for (name, expected) in [
        ("pydicom-bundled/test_files/examples_overlay.dcm", 887_328_728),
        ("pydicom-data/MR-SIEMENS-DICOM-WithOverlays.dcm", 892_005_274),
    ] {
        let request = RenderRequest { overlays: true, ..RenderRequest::default() };
        let (picture, _) = drawn(&file(name), &request).unwrap();
        assert_eq!(weighed(&picture.data), expected, "{name}");
    }
}

#[test]
fn a_small_drawing_of_a_stream_of_resolutions_is_like_a_large_one_made_small() {
    // The last says which of its values stand for no pixel, so it is decoded whole.
    for (name, width) in [
        ("pydicom-data/RG3_J2KR.dcm", 220),
        ("pydicom-data/US1_J2KR.dcm", 320),
        ("pydicom-data/MR2_J2KI.dcm", 256),
        ("cornerstone-wado/CT1_J2KR", 512),
    ] {
        let source = file(name);
        let viewport = Some(Viewport { width: 100, height: 120 });
        let (full, aspect) = drawn(&source, &RenderRequest::default()).unwrap();
        let full = full.fitted(aspect, viewport).unwrap();
        let request = RenderRequest { viewport, ..RenderRequest::default() };
        let (small, aspect) = drawn(&source, &request).unwrap();
        assert_eq!(small.width, width, "{name}");
        let small = small.fitted(aspect, viewport).unwrap();
        assert_eq!((small.width, small.height), (full.width, full.height), "{name}");
        let differences = small.data.iter().zip(&full.data).map(|(a, b)| u64::from(a.abs_diff(*b)));
        let count = u64::try_from(full.data.len()).unwrap();
        let sum: u64 = differences.sum();
        assert!(sum < 3 * count, "{name}: {sum} over {count}");
    }
}

/// Lossy streams, of which decoders may differ by rounding: the mean of each channel.
const MEANS: &[(&str, [f64; 3])] = &[
    (
        "cornerstone-wado/CTImage.dcm_JPEGProcess1TransferSyntax_1.2.840.10008.1.2.4.50.dcm",
        [43.19, 43.19, 43.19],
    ),
    (
        "cornerstone-wado/CTImage.dcm_JPEGProcess2_4TransferSyntax_1.2.840.10008.1.2.4.51.dcm",
        [47.07, 47.07, 47.07],
    ),
    ("pydicom-bundled/test_files/JPGExtended.dcm", [13.90, 13.90, 13.90]),
    ("pydicom-bundled/test_files/SC_rgb_dcmtk_+eb+cr.dcm", [127.75, 127.73, 127.75]),
    ("pydicom-bundled/test_files/SC_rgb_dcmtk_+eb+cy+s2.dcm", [127.72, 127.65, 127.83]),
    ("pydicom-bundled/test_files/SC_jpeg_no_color_transform.dcm", [243.98, 243.98, 243.96]),
    ("pydicom-bundled/test_files/SC_rgb_jpeg_app14_dcmd.dcm", [245.50, 245.52, 245.90]),
    ("pydicom-bundled/test_files/examples_ybr_color.dcm", [9.22, 9.54, 9.68]),
    ("pydicom-data/US1_J2KI.dcm", [40.45, 34.62, 29.01]),
];

#[test]
fn lossy_streams_have_the_mean_colour_that_other_decoders_find() {
    for (name, expected) in MEANS {
        let (picture, _) = drawn(&file(name), &RenderRequest::default()).unwrap();
        for (channel, mean) in expected.iter().enumerate().take(picture.channels) {
            let values = picture.data.iter().skip(channel).step_by(picture.channels);
            let sum: f64 = values.map(|value| f64::from(*value)).sum();
            let pixels = f64::from(u32::try_from(picture.width * picture.height).unwrap());
            assert!((sum / pixels - mean).abs() < 0.2, "{name}: {} for {mean}", sum / pixels);
        }
    }
}
