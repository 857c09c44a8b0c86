//! Published studies in the words of the link, and back.

use super::pb;
use crate::sharing::imaging::header::{Patient, Series, Study};
use crate::sharing::imaging::published::{
    FoundBy, Held, PublishedReport, PublishedSeries, PublishedStudy,
};
use crate::sharing::recognition::{Report, SeriesFacts};

impl From<PublishedStudy> for pb::Study {
    fn from(s: PublishedStudy) -> Self {
        let PublishedStudy { patient, study, report, .. } = s;
        Self {
            uid: study.uid,
            patient: Some(pb::Patient {
                id: patient.id,
                issuer: patient.issuer,
                name: patient.name,
                birth_date: patient.birth_date,
                sex: patient.sex,
            }),
            date: study.date,
            time: study.time,
            accession_number: study.accession_number,
            study_id: study.id,
            description: study.description,
            referring_physician: study.referring_physician,
            patient_age: study.patient_age,
            procedure: study.procedure,
            modalities: s.modalities,
            series: s.series.into_iter().map(Into::into).collect(),
            report_state: match report.state {
                None => pb::ReportState::Unspecified,
                Some(Report::Absent) => pb::ReportState::Absent,
                Some(Report::Unsigned) => pb::ReportState::Unsigned,
                Some(Report::Signed) => pb::ReportState::Signed,
            }
            .into(),
            report_title: report.title,
            report_uid: report.instance,
            instances: s.instances,
            size_bytes: s.bytes,
            kept_apart: s.kept_apart,
            content_sha256: s.content,
            held: match s.held {
                Held::Own => pb::Held::Own,
                Held::Copy => pb::Held::Copy,
                Held::Behind => pb::Held::Behind,
            }
            .into(),
            character_set_guessed: s.character_set_guessed,
        }
    }
}

impl From<pb::Study> for PublishedStudy {
    fn from(s: pb::Study) -> Self {
        let state = match s.report_state() {
            pb::ReportState::Unspecified => None,
            pb::ReportState::Absent => Some(Report::Absent),
            pb::ReportState::Unsigned => Some(Report::Unsigned),
            pb::ReportState::Signed => Some(Report::Signed),
        };
        let held = match s.held() {
            pb::Held::Unspecified | pb::Held::Own => Held::Own,
            pb::Held::Copy => Held::Copy,
            pb::Held::Behind => Held::Behind,
        };
        let patient = s.patient.unwrap_or_default();
        Self {
            patient: Patient {
                id: patient.id,
                issuer: patient.issuer,
                name: patient.name,
                birth_date: patient.birth_date,
                sex: patient.sex,
            },
            study: Study {
                uid: s.uid,
                date: s.date,
                time: s.time,
                accession_number: s.accession_number,
                id: s.study_id,
                description: s.description,
                referring_physician: s.referring_physician,
                patient_age: s.patient_age,
                procedure: s.procedure,
            },
            modalities: s.modalities,
            series: s.series.into_iter().map(Into::into).collect(),
            report: PublishedReport { state, title: s.report_title, instance: s.report_uid },
            instances: s.instances,
            bytes: s.size_bytes,
            kept_apart: s.kept_apart,
            content: s.content_sha256,
            held,
            character_set_guessed: s.character_set_guessed,
        }
    }
}

impl From<PublishedSeries> for pb::Series {
    fn from(published: PublishedSeries) -> Self {
        let PublishedSeries { series: s, quality: q } = published;
        Self {
            uid: s.uid,
            modality: s.modality,
            number: s.number,
            description: s.description,
            date: s.date,
            time: s.time,
            body_part: s.body_part,
            laterality: s.laterality,
            view_position: s.view_position,
            protocol: s.protocol,
            contrast_agent: s.contrast_agent,
            anatomic_region: s.anatomic_region,
            anatomic_region_code: s.anatomic_region_code,
            institution: s.institution,
            department: s.department,
            manufacturer: s.manufacturer,
            model: s.model,
            images: q.images,
            missing_numbers: q.missing_numbers,
            missing_slices: q.missing_slices,
            slice_thickness_mm: q.slice_thickness_mm,
            coverage_mm: q.coverage_mm,
            burned_in: q.burned_in,
            side_marked: q.side_marked,
        }
    }
}

impl From<pb::Series> for PublishedSeries {
    fn from(s: pb::Series) -> Self {
        Self {
            quality: SeriesFacts {
                images: s.images,
                missing_numbers: s.missing_numbers,
                missing_slices: s.missing_slices,
                slice_thickness_mm: s.slice_thickness_mm,
                coverage_mm: s.coverage_mm,
                burned_in: s.burned_in,
                side_marked: s.side_marked,
            },
            series: Series {
                uid: s.uid,
                modality: s.modality,
                number: s.number,
                description: s.description,
                date: s.date,
                time: s.time,
                body_part: s.body_part,
                laterality: s.laterality,
                view_position: s.view_position,
                protocol: s.protocol,
                contrast_agent: s.contrast_agent,
                anatomic_region: s.anatomic_region,
                anatomic_region_code: s.anatomic_region_code,
                institution: s.institution,
                department: s.department,
                manufacturer: s.manufacturer,
                model: s.model,
                ..Series::default()
            },
        }
    }
}

pub(super) fn found_by(by: FoundBy) -> pb::FoundBy {
    match by {
        FoundBy::Study => pb::FoundBy::Study,
        FoundBy::PatientId => pb::FoundBy::PatientId,
        FoundBy::Name => pb::FoundBy::Name,
        FoundBy::Sound => pb::FoundBy::Sound,
    }
}

/// What a hub does not say is taken as the least sure.
pub(super) fn found(by: pb::FoundBy) -> FoundBy {
    match by {
        pb::FoundBy::Study => FoundBy::Study,
        pb::FoundBy::PatientId => FoundBy::PatientId,
        pb::FoundBy::Name => FoundBy::Name,
        pb::FoundBy::Sound | pb::FoundBy::Unspecified => FoundBy::Sound,
    }
}
