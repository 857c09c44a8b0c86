//! The attributes of the worklist's information model that are answered (PS3.4, table K.6-1).

use dicom_core::{Tag, VR};
use dicom_dictionary_std::tags;

use super::{Item, State};
use crate::sharing::imaging::matching::Kind;

/// An attribute with a value.
#[derive(Debug, Clone, Copy)]
pub(super) struct Field {
    pub(super) tag: Tag,
    pub(super) vr: VR,
    /// How it is matched; none: it is not.
    pub(super) kind: Option<Kind>,
    pub(super) read: fn(&Item, State) -> &str,
}

/// A code sequence: its tag, and where value, scheme and meaning are.
#[derive(Debug, Clone, Copy)]
pub(super) struct Code {
    pub(super) tag: Tag,
    pub(super) read: fn(&Item) -> [&str; 3],
}

const fn field(tag: Tag, vr: VR, kind: Option<Kind>, read: fn(&Item, State) -> &str) -> Field {
    Field { tag, vr, kind, read }
}

const ID: Option<Kind> = Some(Kind::Identifier);
const TEXT: Option<Kind> = Some(Kind::Text);
const NAME: Option<Kind> = Some(Kind::Name);

/// Of the request, the patient and the visit.
pub(super) const ITEM: &[Field] = &[
    field(tags::ACCESSION_NUMBER, VR::SH, ID, |i, _| &i.accession_number),
    field(tags::REFERRING_PHYSICIAN_NAME, VR::PN, NAME, |i, _| &i.referring_physician),
    field(tags::PATIENT_NAME, VR::PN, NAME, |i, _| &i.patient_name),
    field(tags::PATIENT_ID, VR::LO, ID, |i, _| &i.patient_id),
    field(tags::ISSUER_OF_PATIENT_ID, VR::LO, TEXT, |i, _| &i.issuer_of_patient_id),
    field(tags::PATIENT_BIRTH_DATE, VR::DA, Some(Kind::Date), |i, _| &i.patient_birth_date),
    field(tags::PATIENT_SEX, VR::CS, TEXT, |i, _| &i.patient_sex),
    field(tags::PATIENT_WEIGHT, VR::DS, None, |i, _| &i.patient_weight),
    field(tags::MEDICAL_ALERTS, VR::LO, None, |i, _| &i.medical_alerts),
    field(tags::ALLERGIES, VR::LO, None, |i, _| &i.allergies),
    field(tags::STUDY_INSTANCE_UID, VR::UI, Some(Kind::Uid), |i, _| &i.study_instance_uid),
    field(tags::REQUESTING_PHYSICIAN, VR::PN, NAME, |i, _| &i.requesting_physician),
    field(tags::REQUESTED_PROCEDURE_DESCRIPTION, VR::LO, TEXT, |i, _| {
        &i.requested_procedure_description
    }),
    field(tags::ADMISSION_ID, VR::LO, ID, |i, _| &i.admission_id),
    field(tags::CURRENT_PATIENT_LOCATION, VR::LO, TEXT, |i, _| &i.current_patient_location),
    field(tags::REQUESTED_PROCEDURE_ID, VR::SH, ID, |i, _| &i.requested_procedure_id),
    field(tags::REQUESTED_PROCEDURE_PRIORITY, VR::SH, TEXT, |i, _| &i.requested_procedure_priority),
];

/// Of the scheduled procedure step.
pub(super) const STEP: &[Field] = &[
    field(tags::MODALITY, VR::CS, TEXT, |i, _| &i.modality),
    field(tags::REQUESTED_CONTRAST_AGENT, VR::LO, None, |i, _| &i.requested_contrast_agent),
    field(tags::SCHEDULED_STATION_AE_TITLE, VR::AE, Some(Kind::Uids), |i, _| &i.station_ae_title),
    field(tags::SCHEDULED_PROCEDURE_STEP_START_DATE, VR::DA, Some(Kind::Date), |i, _| {
        &i.start_date
    }),
    field(tags::SCHEDULED_PROCEDURE_STEP_START_TIME, VR::TM, Some(Kind::Time), |i, _| {
        &i.start_time
    }),
    field(tags::SCHEDULED_PERFORMING_PHYSICIAN_NAME, VR::PN, NAME, |i, _| &i.performing_physician),
    field(tags::SCHEDULED_PROCEDURE_STEP_DESCRIPTION, VR::LO, TEXT, |i, _| &i.step_description),
    field(tags::SCHEDULED_PROCEDURE_STEP_ID, VR::SH, ID, |i, _| &i.step_id),
    field(tags::SCHEDULED_STATION_NAME, VR::SH, TEXT, |i, _| &i.station_name),
    field(tags::SCHEDULED_PROCEDURE_STEP_LOCATION, VR::SH, TEXT, |i, _| &i.step_location),
    field(tags::PRE_MEDICATION, VR::LO, None, |i, _| &i.pre_medication),
    field(tags::SCHEDULED_PROCEDURE_STEP_STATUS, VR::CS, TEXT, |_, state| state.term()),
    field(tags::COMMENTS_ON_THE_SCHEDULED_PROCEDURE_STEP, VR::LT, None, |i, _| &i.comments),
];

/// Code sequences of the request.
pub(super) const ITEM_CODES: &[Code] = &[Code {
    tag: tags::REQUESTED_PROCEDURE_CODE_SEQUENCE,
    read: |i| [&i.procedure_code_value, &i.procedure_code_scheme, &i.procedure_code_meaning],
}];

/// Code sequences of the step.
pub(super) const STEP_CODES: &[Code] = &[Code {
    tag: tags::SCHEDULED_PROTOCOL_CODE_SEQUENCE,
    read: |i| [&i.protocol_code_value, &i.protocol_code_scheme, &i.protocol_code_meaning],
}];

/// Attributes of a code item, in the order that [`Code::read`] gives.
pub(super) const CODE: [(Tag, VR); 3] = [
    (tags::CODE_VALUE, VR::SH),
    (tags::CODING_SCHEME_DESIGNATOR, VR::SH),
    (tags::CODE_MEANING, VR::LO),
];
