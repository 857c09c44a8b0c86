//! The table of attributes.

use dicom_core::{Tag, VR};

use super::Read::{Context as Of, Count, Items, Text};
use super::{At, Attribute, Context, Nested, Read};
use crate::sharing::imaging::moment::without_zero_fraction;
use crate::sharing::imaging::query::{Level, Match};

/// Scheme and value of the anatomic region's code; a code without scheme has an empty one.
fn region_code(found: &Match) -> (&str, &str) {
    let code = found.header.series.anatomic_region_code.as_str();
    code.split_once(':').unwrap_or(("", code))
}

const fn row(
    tag: (u16, u16),
    keyword: &'static str,
    vr: VR,
    level: At,
    key: bool,
    read: Read,
) -> Attribute {
    Attribute { tag: Tag(tag.0, tag.1), keyword, vr, level, key, read }
}

const fn nested(tag: (u16, u16), vr: VR, key: bool, read: fn(&Match) -> String) -> Nested {
    Nested { tag: Tag(tag.0, tag.1), vr, key, read }
}

const PROCEDURE: &[Nested] =
    &[nested((0x0008, 0x0104), VR::LO, false, |m| m.header.study.procedure.clone())];
const REGION: &[Nested] = &[
    nested((0x0008, 0x0100), VR::SH, false, |m| region_code(m).1.to_owned()),
    nested((0x0008, 0x0102), VR::SH, false, |m| region_code(m).0.to_owned()),
    nested((0x0008, 0x0104), VR::LO, false, |m| m.header.series.anatomic_region.clone()),
];
const REQUEST: &[Nested] = &[
    nested((0x0040, 0x0009), VR::SH, true, |m| m.header.series.scheduled_step_id.clone()),
    nested((0x0040, 0x1001), VR::SH, true, |m| m.header.series.requested_procedure_id.clone()),
];
const TITLE: &[Nested] =
    &[nested((0x0008, 0x0104), VR::LO, false, |m| m.header.instance.report_title.clone())];

/// In the order of their tags.
pub static ATTRIBUTES: &[Attribute] = &[
    row(
        (0x0008, 0x0005),
        "SpecificCharacterSet",
        VR::CS,
        At::Any,
        false,
        Of(Context::CharacterSet),
    ),
    row(
        (0x0008, 0x0008),
        "ImageType",
        VR::CS,
        At::Image,
        false,
        Text(|m| m.header.instance.image_type.clone()),
    ),
    row(
        (0x0008, 0x0016),
        "SOPClassUID",
        VR::UI,
        At::Image,
        true,
        Text(|m| m.header.instance.sop_class.clone()),
    ),
    row(
        (0x0008, 0x0018),
        "SOPInstanceUID",
        VR::UI,
        At::Image,
        true,
        Text(|m| m.header.instance.uid.clone()),
    ),
    row(
        (0x0008, 0x0020),
        "StudyDate",
        VR::DA,
        At::Study,
        true,
        Text(|m| m.header.study.date.clone()),
    ),
    row(
        (0x0008, 0x0021),
        "SeriesDate",
        VR::DA,
        At::Series,
        true,
        Text(|m| m.header.series.date.clone()),
    ),
    row(
        (0x0008, 0x0023),
        "ContentDate",
        VR::DA,
        At::Image,
        true,
        Text(|m| m.header.instance.content_date.clone()),
    ),
    row(
        (0x0008, 0x0030),
        "StudyTime",
        VR::TM,
        At::Study,
        true,
        Text(|m| time(&m.header.study.time)),
    ),
    row(
        (0x0008, 0x0031),
        "SeriesTime",
        VR::TM,
        At::Series,
        true,
        Text(|m| time(&m.header.series.time)),
    ),
    row(
        (0x0008, 0x0033),
        "ContentTime",
        VR::TM,
        At::Image,
        true,
        Text(|m| time(&m.header.instance.content_time)),
    ),
    row(
        (0x0008, 0x0050),
        "AccessionNumber",
        VR::SH,
        At::Study,
        true,
        Text(|m| m.header.study.accession_number.clone()),
    ),
    row((0x0008, 0x0052), "QueryRetrieveLevel", VR::CS, At::Any, false, Of(Context::Level)),
    row((0x0008, 0x0054), "RetrieveAETitle", VR::AE, At::Any, false, Of(Context::RetrieveAe)),
    row(
        (0x0008, 0x0056),
        "InstanceAvailability",
        VR::CS,
        At::Any,
        false,
        Of(Context::Availability),
    ),
    row(
        (0x0008, 0x0060),
        "Modality",
        VR::CS,
        At::Series,
        true,
        Text(|m| m.header.series.modality.clone()),
    ),
    row(
        (0x0008, 0x0061),
        "ModalitiesInStudy",
        VR::CS,
        At::Study,
        true,
        Text(|m| m.modalities.join("\\")),
    ),
    row(
        (0x0008, 0x0062),
        "SOPClassesInStudy",
        VR::UI,
        At::Study,
        true,
        Text(|m| m.sop_classes.join("\\")),
    ),
    row(
        (0x0008, 0x0070),
        "Manufacturer",
        VR::LO,
        At::Series,
        true,
        Text(|m| m.header.series.manufacturer.clone()),
    ),
    row(
        (0x0008, 0x0080),
        "InstitutionName",
        VR::LO,
        At::Series,
        true,
        Text(|m| m.header.series.institution.clone()),
    ),
    row(
        (0x0008, 0x0090),
        "ReferringPhysicianName",
        VR::PN,
        At::Study,
        true,
        Text(|m| m.header.study.referring_physician.clone()),
    ),
    row(
        (0x0008, 0x1010),
        "StationName",
        VR::SH,
        At::Series,
        true,
        Text(|m| m.header.series.station.clone()),
    ),
    row(
        (0x0008, 0x1030),
        "StudyDescription",
        VR::LO,
        At::Study,
        true,
        Text(|m| m.header.study.description.clone()),
    ),
    row((0x0008, 0x1032), "ProcedureCodeSequence", VR::SQ, At::Study, false, Items(PROCEDURE)),
    row(
        (0x0008, 0x103E),
        "SeriesDescription",
        VR::LO,
        At::Series,
        true,
        Text(|m| m.header.series.description.clone()),
    ),
    row(
        (0x0008, 0x1040),
        "InstitutionalDepartmentName",
        VR::LO,
        At::Series,
        true,
        Text(|m| m.header.series.department.clone()),
    ),
    row(
        (0x0008, 0x1090),
        "ManufacturerModelName",
        VR::LO,
        At::Series,
        true,
        Text(|m| m.header.series.model.clone()),
    ),
    row((0x0008, 0x2218), "AnatomicRegionSequence", VR::SQ, At::Series, false, Items(REGION)),
    row(
        (0x0010, 0x0010),
        "PatientName",
        VR::PN,
        At::Patient,
        true,
        Text(|m| m.header.patient.name.clone()),
    ),
    row(
        (0x0010, 0x0020),
        "PatientID",
        VR::LO,
        At::Patient,
        true,
        Text(|m| m.header.patient.id.clone()),
    ),
    row(
        (0x0010, 0x0021),
        "IssuerOfPatientID",
        VR::LO,
        At::Patient,
        true,
        Text(|m| m.header.patient.issuer.clone()),
    ),
    row(
        (0x0010, 0x0030),
        "PatientBirthDate",
        VR::DA,
        At::Patient,
        true,
        Text(|m| m.header.patient.birth_date.clone()),
    ),
    row(
        (0x0010, 0x0040),
        "PatientSex",
        VR::CS,
        At::Patient,
        true,
        Text(|m| m.header.patient.sex.clone()),
    ),
    row(
        (0x0010, 0x1010),
        "PatientAge",
        VR::AS,
        At::Study,
        false,
        Text(|m| m.header.study.patient_age.clone()),
    ),
    row(
        (0x0018, 0x0010),
        "ContrastBolusAgent",
        VR::LO,
        At::Series,
        true,
        Text(|m| m.header.series.contrast_agent.clone()),
    ),
    row(
        (0x0018, 0x0015),
        "BodyPartExamined",
        VR::CS,
        At::Series,
        true,
        Text(|m| m.header.series.body_part.clone()),
    ),
    row(
        (0x0018, 0x0050),
        "SliceThickness",
        VR::DS,
        At::Image,
        false,
        Text(|m| m.header.instance.slice_thickness.clone()),
    ),
    row(
        (0x0018, 0x1030),
        "ProtocolName",
        VR::LO,
        At::Series,
        true,
        Text(|m| m.header.series.protocol.clone()),
    ),
    row(
        (0x0018, 0x5101),
        "ViewPosition",
        VR::CS,
        At::Series,
        true,
        Text(|m| m.header.series.view_position.clone()),
    ),
    row(
        (0x0020, 0x000D),
        "StudyInstanceUID",
        VR::UI,
        At::Study,
        true,
        Text(|m| m.header.study.uid.clone()),
    ),
    row(
        (0x0020, 0x000E),
        "SeriesInstanceUID",
        VR::UI,
        At::Series,
        true,
        Text(|m| m.header.series.uid.clone()),
    ),
    row((0x0020, 0x0010), "StudyID", VR::SH, At::Study, true, Text(|m| m.header.study.id.clone())),
    row(
        (0x0020, 0x0011),
        "SeriesNumber",
        VR::IS,
        At::Series,
        true,
        Text(|m| m.header.series.number.clone()),
    ),
    row(
        (0x0020, 0x0013),
        "InstanceNumber",
        VR::IS,
        At::Image,
        true,
        Text(|m| m.header.instance.number.clone()),
    ),
    row(
        (0x0020, 0x0032),
        "ImagePositionPatient",
        VR::DS,
        At::Image,
        false,
        Text(|m| m.header.instance.image_position.clone()),
    ),
    row(
        (0x0020, 0x0060),
        "Laterality",
        VR::CS,
        At::Series,
        true,
        Text(|m| m.header.series.laterality.clone()),
    ),
    row(
        (0x0020, 0x1200),
        "NumberOfPatientRelatedStudies",
        VR::IS,
        At::Patient,
        false,
        Count(Level::Patient, |m| m.studies),
    ),
    row(
        (0x0020, 0x1202),
        "NumberOfPatientRelatedSeries",
        VR::IS,
        At::Patient,
        false,
        Count(Level::Patient, |m| m.series),
    ),
    row(
        (0x0020, 0x1204),
        "NumberOfPatientRelatedInstances",
        VR::IS,
        At::Patient,
        false,
        Count(Level::Patient, |m| m.instances),
    ),
    row(
        (0x0020, 0x1206),
        "NumberOfStudyRelatedSeries",
        VR::IS,
        At::Study,
        false,
        Count(Level::Study, |m| m.series),
    ),
    row(
        (0x0020, 0x1208),
        "NumberOfStudyRelatedInstances",
        VR::IS,
        At::Study,
        false,
        Count(Level::Study, |m| m.instances),
    ),
    row(
        (0x0020, 0x1209),
        "NumberOfSeriesRelatedInstances",
        VR::IS,
        At::Series,
        false,
        Count(Level::Series, |m| m.instances),
    ),
    row(
        (0x0028, 0x0008),
        "NumberOfFrames",
        VR::IS,
        At::Image,
        false,
        Text(|m| pixels(m.header.instance.frames)),
    ),
    row(
        (0x0028, 0x0010),
        "Rows",
        VR::US,
        At::Image,
        false,
        Text(|m| pixels(m.header.instance.rows)),
    ),
    row(
        (0x0028, 0x0011),
        "Columns",
        VR::US,
        At::Image,
        false,
        Text(|m| pixels(m.header.instance.columns)),
    ),
    row(
        (0x0028, 0x0100),
        "BitsAllocated",
        VR::US,
        At::Image,
        false,
        Text(|m| pixels(m.header.instance.bits_allocated)),
    ),
    row(
        (0x0028, 0x0301),
        "BurnedInAnnotation",
        VR::CS,
        At::Image,
        false,
        Text(|m| m.header.instance.burned_in_annotation.clone()),
    ),
    row(
        (0x0040, 0x0244),
        "PerformedProcedureStepStartDate",
        VR::DA,
        At::Series,
        true,
        Text(|m| m.header.series.performed_date.clone()),
    ),
    row(
        (0x0040, 0x0245),
        "PerformedProcedureStepStartTime",
        VR::TM,
        At::Series,
        true,
        Text(|m| time(&m.header.series.performed_time)),
    ),
    row((0x0040, 0x0275), "RequestAttributesSequence", VR::SQ, At::Series, false, Items(REQUEST)),
    row((0x0040, 0xA043), "ConceptNameCodeSequence", VR::SQ, At::Image, false, Items(TITLE)),
    row((0x0040, 0xA491), "CompletionFlag", VR::CS, At::Image, false, Text(|m| report_state(m, 0))),
    row(
        (0x0040, 0xA493),
        "VerificationFlag",
        VR::CS,
        At::Image,
        false,
        Text(|m| report_state(m, 1)),
    ),
];

fn time(time: &str) -> String {
    without_zero_fraction(time).to_owned()
}

fn pixels(number: u32) -> String {
    if number == 0 { String::new() } else { number.to_string() }
}

fn report_state(found: &Match, at: usize) -> String {
    let mut states = found.header.instance.report_state.split('\\');
    states.nth(at).unwrap_or_default().to_owned()
}
