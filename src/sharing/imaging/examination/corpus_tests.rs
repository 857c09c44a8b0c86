//! Real headers of public test collections, read with another reader than ours.

use std::path::Path;

use dicom_core::Tag;
use dicom_object::{InMemDicomObject, OpenFileOptions};

use super::tests::tables;
use super::{Basis, Derived};
use crate::sharing::imaging::header::Header;

/// File, examinations, what the region rests on.
const EXPECTED: &[(&str, &str, Basis)] = &[
    ("cornerstone-wado/CT1_J2KR", "", Basis::Unknown),
    ("cornerstone-wado/no-pixel-data.dcm", "sr.report", Basis::Modality),
    ("notzaki-samples/DICOMSamples/CT_Explicit_Little.dcm", "ct.brain.plain", Basis::SeriesText),
    ("notzaki-samples/DICOMSamples/CT_JPEG70.dcm", "ct.chest", Basis::TextAndTag),
    ("notzaki-samples/DICOMSamples/MG_Explicit_Little.dcm", "mg.breast", Basis::TextAndTag),
    ("notzaki-samples/DICOMSamples/MR_Implicit_Little.dcm", "mr.brain.plain", Basis::Text),
    ("notzaki-samples/DICOMSamples/MR_UnspecifiedLength.dcm", "", Basis::TextAndTag),
    ("pydicom-bundled/charset_files/chrJapMulti.dcm", "xr.chest.pa", Basis::TextAndTag),
    ("pydicom-bundled/test_files/J2K_pixelrep_mismatch.dcm", "ct.brain", Basis::BodyPart),
    ("pydicom-bundled/test_files/dicomdirtests/77654033/CR1/6154", "xr.spine", Basis::TextAndTag),
    (
        "pydicom-bundled/test_files/dicomdirtests/77654033/CT2/17106",
        "ct.brain.plain",
        Basis::TextAndTag,
    ),
    (
        "pydicom-bundled/test_files/dicomdirtests/98892001/CT5N/2062",
        "ct.heart.calcium",
        Basis::SeriesText,
    ),
    ("pydicom-bundled/test_files/dicomdirtests/98892003/MR1/5641", "mr.head.mra", Basis::Text),
    ("pydicom-bundled/test_files/examples_overlay.dcm", "mr.abdomen.contrast", Basis::TextAndTag),
    ("pydicom-bundled/test_files/waveform_ecg.dcm", "ecg.resting", Basis::Modality),
    ("pydicom-data/MR2_J2KI.dcm", "mr.limb", Basis::Text),
    ("pydicom-data/RG1_J2KI.dcm", "xr.chest.pa", Basis::TextAndTag),
    ("pydicom-data/bad_sequence.dcm", "ct.neck", Basis::BodyPart),
    ("pydicom-data/color-pl.dcm", "us.heart.tee", Basis::Text),
    ("pydicom-data/vlut_04.dcm", "", Basis::Unknown),
];

fn text(object: &InMemDicomObject, group: u16, element: u16) -> String {
    object
        .element_opt(Tag(group, element))
        .unwrap()
        .and_then(|e| e.to_str().ok().map(|t| t.trim_end_matches([' ', '\0']).to_owned()))
        .unwrap_or_default()
}

fn first_item(object: &InMemDicomObject, group: u16, element: u16) -> Option<InMemDicomObject> {
    let element = object.element_opt(Tag(group, element)).unwrap()?;
    element.items()?.first().cloned()
}

/// The attributes that the derivation looks at.
pub(crate) fn header(path: &Path) -> Header {
    let object = OpenFileOptions::new().read_until(Tag(0x7FE0, 0x0010)).open_file(path);
    let object = object.unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let object = object.into_inner();
    let mut header = Header::default();
    header.study.description = text(&object, 0x0008, 0x1030);
    header.study.procedure =
        first_item(&object, 0x0008, 0x1032).map(|i| text(&i, 0x0008, 0x0104)).unwrap_or_default();
    header.series.uid = text(&object, 0x0020, 0x000E);
    header.series.modality = text(&object, 0x0008, 0x0060);
    header.series.description = text(&object, 0x0008, 0x103E);
    header.series.protocol = text(&object, 0x0018, 0x1030);
    header.series.body_part = text(&object, 0x0018, 0x0015);
    header.series.view_position = text(&object, 0x0018, 0x5101);
    header.series.contrast_agent = text(&object, 0x0018, 0x0010);
    header.series.laterality = text(&object, 0x0020, 0x0060);
    if let Some(item) = first_item(&object, 0x0008, 0x2218) {
        let (value, scheme) = (text(&item, 0x0008, 0x0100), text(&item, 0x0008, 0x0102));
        header.series.anatomic_region = text(&item, 0x0008, 0x0104);
        // SNM3 and 99SDM are older names of SRT (PS3.16, 8).
        let scheme = if matches!(scheme.as_str(), "SNM3" | "99SDM") { "SRT" } else { &scheme };
        header.series.anatomic_region_code = format!("{scheme}:{value}");
    }
    header.instance.sop_class = text(&object, 0x0008, 0x0016);
    header.instance.number = text(&object, 0x0020, 0x0013);
    header.instance.slice_thickness = text(&object, 0x0018, 0x0050);
    header.instance.frames = 1;
    header.instance.image_position = text(&object, 0x0020, 0x0032);
    header
}

#[test]
fn real_headers_are_read_as_a_person_reads_them() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/dicom");
    let tables = tables();
    let mut wrong = Vec::new();
    for (file, examinations, basis) in EXPECTED {
        let Derived { examinations: found, basis: rests_on, .. } =
            tables.derive(&[header(&root.join(file))]).study;
        if found.join("|") != *examinations || rests_on != *basis {
            wrong.push(format!("{file}: {found:?} {rests_on:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
