//! A header from the elements of an object.

use dicom_core::Tag;
use dicom_dictionary_std::tags;

use super::{Header, Instance, Patient, Series, Study};
use crate::sharing::imaging::element::ElementSet;
use crate::sharing::imaging::structure::Want;
use crate::sharing::imaging::value::Values;

/// Elements that a header is made of, in the order of their tags, sequences among them.
pub const WANTED: &[Want] = &[
    Want::value(tags::SPECIFIC_CHARACTER_SET),
    Want::value(tags::IMAGE_TYPE),
    Want::value(tags::SOP_CLASS_UID),
    Want::value(tags::SOP_INSTANCE_UID),
    Want::value(tags::STUDY_DATE),
    Want::value(tags::SERIES_DATE),
    Want::value(tags::CONTENT_DATE),
    Want::value(tags::STUDY_TIME),
    Want::value(tags::SERIES_TIME),
    Want::value(tags::CONTENT_TIME),
    Want::value(tags::ACCESSION_NUMBER),
    Want::value(tags::MODALITY),
    Want::value(tags::MANUFACTURER),
    Want::value(tags::INSTITUTION_NAME),
    Want::value(tags::REFERRING_PHYSICIAN_NAME),
    Want::value(tags::STATION_NAME),
    Want::value(tags::STUDY_DESCRIPTION),
    Want::sequence(tags::PROCEDURE_CODE_SEQUENCE, WANTED_IN_ITEMS),
    Want::value(tags::SERIES_DESCRIPTION),
    Want::value(tags::INSTITUTIONAL_DEPARTMENT_NAME),
    Want::value(tags::MANUFACTURER_MODEL_NAME),
    Want::sequence(tags::ANATOMIC_REGION_SEQUENCE, WANTED_IN_ITEMS),
    Want::value(tags::PATIENT_NAME),
    Want::value(tags::PATIENT_ID),
    Want::value(tags::ISSUER_OF_PATIENT_ID),
    Want::value(tags::PATIENT_BIRTH_DATE),
    Want::value(tags::PATIENT_SEX),
    Want::value(tags::PATIENT_AGE),
    Want::value(tags::CONTRAST_BOLUS_AGENT),
    Want::value(tags::BODY_PART_EXAMINED),
    Want::value(tags::SLICE_THICKNESS),
    Want::value(tags::PROTOCOL_NAME),
    Want::value(tags::VIEW_POSITION),
    Want::value(tags::STUDY_INSTANCE_UID),
    Want::value(tags::SERIES_INSTANCE_UID),
    Want::value(tags::STUDY_ID),
    Want::value(tags::SERIES_NUMBER),
    Want::value(tags::INSTANCE_NUMBER),
    Want::value(tags::IMAGE_POSITION_PATIENT),
    Want::value(tags::LATERALITY),
    Want::value(tags::NUMBER_OF_FRAMES),
    Want::value(tags::ROWS),
    Want::value(tags::COLUMNS),
    Want::value(tags::BITS_ALLOCATED),
    Want::value(tags::BURNED_IN_ANNOTATION),
    Want::value(tags::PERFORMED_PROCEDURE_STEP_START_DATE),
    Want::value(tags::PERFORMED_PROCEDURE_STEP_START_TIME),
    Want::sequence(tags::REQUEST_ATTRIBUTES_SEQUENCE, WANTED_IN_ITEMS),
    Want::sequence(tags::CONCEPT_NAME_CODE_SEQUENCE, WANTED_IN_ITEMS),
    Want::value(tags::COMPLETION_FLAG),
    Want::value(tags::VERIFICATION_FLAG),
];

/// Elements that are wanted in the items of those sequences, in the order of their tags.
pub const WANTED_IN_ITEMS: &[Want] = &[
    Want::value(tags::SPECIFIC_CHARACTER_SET),
    Want::value(tags::CODE_VALUE),
    Want::value(tags::CODING_SCHEME_DESIGNATOR),
    Want::value(tags::CODE_MEANING),
    Want::value(tags::LONG_CODE_VALUE),
    Want::value(tags::URN_CODE_VALUE),
    Want::value(tags::SCHEDULED_PROCEDURE_STEP_ID),
    Want::value(tags::REQUESTED_PROCEDURE_ID),
];

impl Header {
    /// The header of an object with these elements. What cannot be read is empty.
    pub fn from_elements(elements: &ElementSet) -> Self {
        let values = Values::of(elements);
        Self {
            patient: patient(&values),
            study: study(&values),
            series: series(&values),
            instance: instance(&values),
            character_set_guessed: values.character_sets().guessed(),
        }
    }
}

fn patient(values: &Values<'_>) -> Patient {
    Patient {
        id: values.text(tags::PATIENT_ID),
        issuer: values.text(tags::ISSUER_OF_PATIENT_ID),
        name: values.first(tags::PATIENT_NAME),
        birth_date: values.date(tags::PATIENT_BIRTH_DATE),
        sex: sex(&values.first(tags::PATIENT_SEX)).to_owned(),
    }
}

fn study(values: &Values<'_>) -> Study {
    Study {
        uid: values.first(tags::STUDY_INSTANCE_UID),
        date: values.date(tags::STUDY_DATE),
        time: values.time(tags::STUDY_TIME),
        accession_number: values.text(tags::ACCESSION_NUMBER),
        id: values.text(tags::STUDY_ID),
        description: values.text(tags::STUDY_DESCRIPTION),
        referring_physician: values.first(tags::REFERRING_PHYSICIAN_NAME),
        patient_age: values.first(tags::PATIENT_AGE),
        procedure: in_first_item(values, tags::PROCEDURE_CODE_SEQUENCE, tags::CODE_MEANING),
    }
}

fn series(values: &Values<'_>) -> Series {
    let requested = |tag| in_first_item(values, tags::REQUEST_ATTRIBUTES_SEQUENCE, tag);
    Series {
        uid: values.first(tags::SERIES_INSTANCE_UID),
        modality: values.first(tags::MODALITY),
        number: values.first(tags::SERIES_NUMBER),
        description: values.text(tags::SERIES_DESCRIPTION),
        date: values.date(tags::SERIES_DATE),
        time: values.time(tags::SERIES_TIME),
        body_part: values.text(tags::BODY_PART_EXAMINED),
        laterality: values.text(tags::LATERALITY),
        view_position: values.text(tags::VIEW_POSITION),
        protocol: values.text(tags::PROTOCOL_NAME),
        contrast_agent: values.text(tags::CONTRAST_BOLUS_AGENT),
        anatomic_region: in_first_item(values, tags::ANATOMIC_REGION_SEQUENCE, tags::CODE_MEANING),
        anatomic_region_code: first_code(values, tags::ANATOMIC_REGION_SEQUENCE),
        institution: values.text(tags::INSTITUTION_NAME),
        department: values.text(tags::INSTITUTIONAL_DEPARTMENT_NAME),
        station: values.text(tags::STATION_NAME),
        manufacturer: values.text(tags::MANUFACTURER),
        model: values.text(tags::MANUFACTURER_MODEL_NAME),
        performed_date: values.date(tags::PERFORMED_PROCEDURE_STEP_START_DATE),
        performed_time: values.time(tags::PERFORMED_PROCEDURE_STEP_START_TIME),
        requested_procedure_id: requested(tags::REQUESTED_PROCEDURE_ID),
        scheduled_step_id: requested(tags::SCHEDULED_PROCEDURE_STEP_ID),
    }
}

fn instance(values: &Values<'_>) -> Instance {
    let number = |tag| values.u32(tag).unwrap_or(0);
    let (rows, columns) = (number(tags::ROWS), number(tags::COLUMNS));
    let pixels = rows > 0 && columns > 0;
    let states = [values.first(tags::COMPLETION_FLAG), values.first(tags::VERIFICATION_FLAG)];
    Instance {
        sop_class: values.first(tags::SOP_CLASS_UID),
        uid: values.first(tags::SOP_INSTANCE_UID),
        number: values.first(tags::INSTANCE_NUMBER),
        content_date: values.date(tags::CONTENT_DATE),
        content_time: values.time(tags::CONTENT_TIME),
        image_type: values.text(tags::IMAGE_TYPE),
        rows,
        columns,
        frames: if pixels { number(tags::NUMBER_OF_FRAMES).max(1) } else { 0 },
        bits_allocated: if pixels { number(tags::BITS_ALLOCATED) } else { 0 },
        slice_thickness: values.first(tags::SLICE_THICKNESS),
        image_position: values.text(tags::IMAGE_POSITION_PATIENT),
        burned_in_annotation: values.text(tags::BURNED_IN_ANNOTATION),
        report_state: if states.iter().all(String::is_empty) {
            String::new()
        } else {
            states.join("\\")
        },
        report_title: in_first_item(values, tags::CONCEPT_NAME_CODE_SEQUENCE, tags::CODE_MEANING),
    }
}

/// The sex as its code; senders write words too. Empty if it says nothing.
fn sex(text: &str) -> &'static str {
    match text.to_uppercase().as_str() {
        "M" | "MALE" | "男" | "男性" => "M",
        "F" | "FEMALE" | "W" | "女" | "女性" => "F",
        "O" | "OTHER" => "O",
        _ => "",
    }
}

fn in_first_item(values: &Values<'_>, sequence: Tag, tag: Tag) -> String {
    values.items(sequence).next().map(|item| item.text(tag)).unwrap_or_default()
}

/// `scheme:value` of the first item of a code sequence (PS3.3, 8.8).
fn first_code(values: &Values<'_>, sequence: Tag) -> String {
    let Some(item) = values.items(sequence).next() else { return String::new() };
    let code = [tags::CODE_VALUE, tags::LONG_CODE_VALUE, tags::URN_CODE_VALUE]
        .into_iter()
        .map(|tag| item.first(tag))
        .find(|code| !code.is_empty());
    match (item.first(tags::CODING_SCHEME_DESIGNATOR), code) {
        (scheme, Some(code)) if !scheme.is_empty() => format!("{scheme}:{code}"),
        (_, Some(code)) => code,
        (_, None) => String::new(),
    }
}

#[cfg(test)]
mod tests;
