//! Answers made of what was read back, and the columns that are read in the same order everywhere.

use super::merge::{SeriesState, StudyState};
use crate::sharing::imaging::header::Header;
use crate::sharing::imaging::query::Match;

/// Columns of a [`StudyState`]: study `s` and its patient `p`.
macro_rules! study_columns {
    () => {
        "s.id, s.patient, s.guessed, s.uid, s.modalities, s.sop_classes, s.series, s.instances, \
         s.bytes, p.patient_id, p.issuer, p.name, p.birth_date, p.sex, s.date, s.time, \
         s.accession_number, s.study_id, s.description, s.referring_physician, s.patient_age, \
         s.procedure"
    };
}

/// Columns of a [`SeriesState`]: series `e`.
macro_rules! series_columns {
    () => {
        "e.id, e.study, e.instances, e.bytes, e.uid, e.sop_classes, e.modality, e.number, \
         e.description, e.date, e.time, e.body_part, e.laterality, e.view_position, e.protocol, \
         e.contrast_agent, e.anatomic_region, e.anatomic_region_code, e.institution, \
         e.department, e.station, e.manufacturer, e.model, e.performed_date, e.performed_time, \
         e.requested_procedure_id, e.scheduled_step_id"
    };
}

/// Columns of an instance `i` in an answer.
macro_rules! instance_columns {
    () => {
        "(SELECT text FROM word WHERE id = i.sop_class), \
         (SELECT text FROM word WHERE id = i.transfer_syntax), \
         (SELECT text FROM word WHERE id = i.image_type), i.uid, i.length, i.rows, i.columns, \
         i.frames, i.bits_allocated, i.number, i.content_date, i.content_time, \
         i.slice_thickness, i.image_position, i.burned_in, i.report_state, i.report_title"
    };
}
pub(in crate::store) use {instance_columns, series_columns, study_columns};

/// Columns of a study and its patient.
pub(in crate::store) const STUDY_COLUMNS: usize = 22;
/// Columns of a series.
pub(in crate::store) const SERIES_COLUMNS: usize = 27;

/// The answer of a question for studies.
pub(in crate::store) fn study_match(study: StudyState) -> Match {
    Match {
        header: Header {
            patient: study.patient,
            study: study.study,
            character_set_guessed: study.guessed,
            ..Header::default()
        },
        modalities: study.modalities.into_iter().collect(),
        sop_classes: study.sop_classes.into_iter().collect(),
        series: study.series,
        instances: study.instances,
        bytes: study.bytes,
        ..Match::default()
    }
}

/// The answer of a question for series.
pub(in crate::store) fn series_match(study: StudyState, series: SeriesState) -> Match {
    let mut answer = study_match(study);
    answer.header.series = series.series;
    answer.instances = series.instances;
    answer.bytes = series.bytes;
    answer
}
