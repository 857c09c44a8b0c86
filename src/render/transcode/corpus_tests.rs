//! Every real file is converted to every syntax that is offered, or refused for a reason that
//! stands here; what is converted is the same elements and the same picture.

use dicom_core::VR;

use super::*;
use crate::app::imaging::render::{PixelSource, RenderRequest};
use crate::render::RenderError;
use crate::render::draw::drawn;
use crate::render::testing::{corpus, corpus_files, part10};
use crate::sharing::imaging::structure::{Coding, Limits, Part, Parts, Wanted};

/// Files that are converted.
const CONVERTED: usize = 301;
/// Of them, files that are implicit, and come back byte for byte.
const ROUND_TRIPS: usize = 15;
/// What is refused: no data set, cut off, another syntax than the file says, or (one) a codestream
/// whose size marker was overwritten.
const REFUSED: [&str; 14] = [
    "README.md",
    "pydicom-bundled/palettes/README.md",
    "pydicom-bundled/test_files/ExplVR_BigEndNoMeta.dcm",
    "pydicom-bundled/test_files/JPEG2000-embedded-sequence-delimiter.dcm",
    "pydicom-bundled/test_files/MR_truncated.dcm",
    "pydicom-bundled/test_files/SC_rgb_jpeg.dcm",
    "pydicom-bundled/test_files/crayons.icc",
    "pydicom-bundled/test_files/dicomdirtests/DICOMDIR-nooffset",
    "pydicom-bundled/test_files/dicomdirtests/TINY_ALPHA/README",
    "pydicom-bundled/test_files/no_meta.dcm",
    "pydicom-bundled/test_files/rtplan.dump",
    "pydicom-bundled/test_files/rtplan_truncated.dcm",
    "pydicom-bundled/test_files/rtstruct.dump",
    "pydicom-data/emri_small_jpeg_2k_lossless_too_short.dcm",
];

/// Tags with their bytes and what is open around them, without what a conversion may change.
fn elements(data: &[u8], syntax: Syntax) -> Vec<(usize, dicom_core::Tag, Vec<u8>)> {
    let (_, mut parts) = Parts::of(data, syntax, Wanted::List(&[]), Limits::default()).unwrap();
    let mut found = Vec::new();
    while let Some(part) = parts.next() {
        match part.unwrap() {
            Part::Value { tag, vr, coding, value } if tag.1 != 0 && tag.0 != 0x7FE0 => {
                let mut value = value.to_vec();
                if coding == Coding::ExplicitBig && vr != VR::UN {
                    let width = crate::sharing::imaging::structure::number_bytes(vr);
                    value.chunks_exact_mut(width).for_each(<[u8]>::reverse);
                }
                found.push((parts.depth(), tag, value));
            }
            Part::Sequence { tag, .. } => found.push((parts.depth(), tag, Vec::new())),
            Part::Item { .. } => found.push((parts.depth(), ITEM, Vec::new())),
            Part::Value { .. }
            | Part::SequenceEnd
            | Part::ItemEnd
            | Part::Fragments { .. }
            | Part::Fragment(_)
            | Part::FragmentsEnd => {}
        }
    }
    found
}

const ITEM: dicom_core::Tag = dicom_core::Tag(0xFFFE, 0xE000);
/// What says how pixels lie.
const CHANGED: [dicom_core::Tag; 3] = [
    dicom_core::Tag(0x0028, 0x0004),
    dicom_core::Tag(0x0028, 0x0006),
    dicom_core::Tag(0x0028, 0x2110),
];

fn pictures(source: &PixelSource) -> Vec<Result<Vec<u8>, RenderError>> {
    let mut pictures = Vec::new();
    for frame in 1..=2 {
        let request = RenderRequest { frame, ..RenderRequest::default() };
        pictures.push(drawn(source, &request).map(|(picture, _)| picture.data));
    }
    pictures
}

#[test]
fn every_file_is_converted_or_refused_for_a_known_reason() {
    let (mut converted, mut round_trips, mut refused) = (0, 0, Vec::new());
    for path in corpus_files() {
        let name = path.strip_prefix(corpus()).unwrap().display().to_string();
        let Some(source) = part10(&std::fs::read(&path).unwrap()) else { continue };
        let stored = source.transfer_syntax.as_str();
        let Ok(explicit) = transcode(stored, &source.data_set, EXPLICIT_LITTLE) else {
            let as_kept = stored == IMPLICIT_LITTLE;
            let implicit = transcode(stored, &source.data_set, IMPLICIT_LITTLE);
            assert!(as_kept || implicit.is_err(), "{name}");
            refused.push(name);
            continue;
        };
        let Ok(implicit) = transcode(stored, &source.data_set, IMPLICIT_LITTLE) else {
            // What is kept in explicit VR is given as it is, even if it is no whole data set.
            assert_eq!(stored, EXPLICIT_LITTLE, "{name}");
            refused.push(name);
            continue;
        };
        converted += 1;
        let of = |uid| Syntax::of(uid).unwrap();
        let before = if of(stored).deflated {
            inflate(&source.data_set).unwrap()
        } else {
            source.data_set.clone()
        };
        let changed = |list: Vec<(usize, dicom_core::Tag, Vec<u8>)>| -> Vec<_> {
            let compressed = of(stored).is_encapsulated();
            let kept = |tag: &dicom_core::Tag| !compressed || !CHANGED.contains(tag);
            list.into_iter().filter(|(_, tag, _)| kept(tag)).collect()
        };
        let expected = changed(elements(&before, of(stored)));
        if stored != EXPLICIT_LITTLE {
            let found = changed(elements(&explicit, Syntax::EXPLICIT_LITTLE));
            assert!(found == expected, "{name}: explicit differs");
        }
        if stored == IMPLICIT_LITTLE {
            let back = transcode(EXPLICIT_LITTLE, &explicit, IMPLICIT_LITTLE).unwrap();
            if unambiguous(&before) {
                assert!(back == before, "{name}: does not come back");
                round_trips += 1;
            }
        } else {
            let again = transcode(EXPLICIT_LITTLE, &explicit, IMPLICIT_LITTLE).unwrap();
            assert!(again == implicit, "{name}: two ways to implicit differ");
        }
        let deflated = transcode(stored, &source.data_set, DEFLATED).unwrap();
        let back = transcode(DEFLATED, &deflated, IMPLICIT_LITTLE).unwrap();
        let as_it_was = stored == IMPLICIT_LITTLE && !unambiguous(&before);
        assert!(back == implicit || as_it_was, "{name}: deflated differs");
        let drawing = pictures(&source);
        for (syntax, data_set) in [(EXPLICIT_LITTLE, explicit), (IMPLICIT_LITTLE, implicit)] {
            let other = PixelSource { transfer_syntax: syntax.to_owned(), data_set };
            for (before, after) in drawing.iter().zip(pictures(&other)) {
                assert!(before.is_err() || *before == after, "{name}: {syntax} is drawn otherwise");
            }
        }
    }
    assert_eq!(refused, REFUSED);
    assert_eq!((converted, round_trips), (CONVERTED, ROUND_TRIPS));
}

/// Whether nothing in an implicit data set goes or changes on the way.
fn unambiguous(data: &[u8]) -> bool {
    let syntax = Syntax::IMPLICIT_LITTLE;
    let (facts, mut parts) = Parts::of(data, syntax, Wanted::List(&[]), Limits::default()).unwrap();
    let lengths = parts.any(|part| matches!(part.unwrap(), Part::Value { tag, .. } if tag.1 == 0));
    let warnings = facts.warnings;
    !lengths && warnings.padding_bytes + warnings.needless_delimiters == 0
}
