//! From what the application answers to the contract.

use crate::app::imaging::feed::{ArchiveInfo, ChangePage};
use crate::app::imaging::holdings::CopyInfo;
use crate::app::imaging::metadata::{SeriesPage, StudyPage};
use crate::app::imaging::pictures::SeriesSheet;
use crate::app::imaging::ports::{Change, ChangeKind, KnownObject, RemoteUsage};
use crate::app::imaging::render::RenderedImage;
use crate::app::imaging::search;
use crate::app::imaging::study::{
    Availability, Examined, Place, StudyFacts, StudyReport, report_state,
};
use crate::rpc::common::timestamp;
use crate::rpc::proto::xiangyi::imaging::v1 as pb;
use crate::sharing::imaging::examination::{Basis, Field, Laterality, Programme, Reason};
use crate::sharing::imaging::moment;
use crate::sharing::imaging::object::Digest;
use crate::sharing::imaging::published::FoundBy;
use crate::sharing::imaging::query::Match;
use crate::sharing::imaging::suggestion::is_suggestion;
use crate::sharing::recognition::{Outcome, Report, StudyAssessment, Verdict};

/// `20261128` as `2026-11-28`; what is no day stays.
pub(in crate::rpc) fn day(plain: &str) -> String {
    match (plain.get(..4), plain.get(4..6), plain.get(6..8)) {
        (Some(year), Some(month), Some(day)) if plain.len() == 8 => format!("{year}-{month}-{day}"),
        _ => plain.to_owned(),
    }
}

/// `103000.500000` as `10:30:00.500000`, `103000.000000` as `10:30:00`.
fn time_of_day(plain: &str) -> String {
    let plain = moment::without_zero_fraction(plain);
    match (plain.get(..2), plain.get(2..4), plain.get(4..)) {
        (Some(hours), Some(minutes), Some(seconds)) if plain.len() >= 6 => {
            format!("{hours}:{minutes}:{seconds}")
        }
        _ => plain.to_owned(),
    }
}

pub(in crate::rpc) fn report(state: Option<Report>) -> pb::ReportState {
    match state {
        None => pb::ReportState::Unspecified,
        Some(Report::Absent) => pb::ReportState::Absent,
        Some(Report::Unsigned) => pb::ReportState::Unsigned,
        Some(Report::Signed) => pb::ReportState::Signed,
    }
}

fn programme(programme: Programme) -> pb::Programme {
    match programme {
        Programme::Brain => pb::Programme::Brain,
        Programme::Chest => pb::Programme::Chest,
        Programme::Cardiovascular => pb::Programme::Cardiovascular,
        Programme::Other => pb::Programme::Other,
        Programme::Unknown => pb::Programme::Unspecified,
    }
}

impl From<Examined> for pb::Examination {
    fn from(e: Examined) -> Self {
        let types = e.derived.examinations.into_iter().zip(e.names).zip(e.programmes);
        let programmes = e.derived.programmes.into_iter().map(programme);
        Self {
            types: types
                .map(|((examination_id, name), of)| pb::ExaminationType {
                    examination_id,
                    name,
                    programme: programme(of).into(),
                })
                .collect(),
            regions: e.derived.regions,
            region_names: e.region_names,
            programmes: programmes
                .filter(|p| *p != pb::Programme::Unspecified)
                .map(Into::into)
                .collect(),
            laterality: match e.derived.laterality {
                None => pb::Laterality::Unspecified,
                Some(Laterality::Left) => pb::Laterality::Left,
                Some(Laterality::Right) => pb::Laterality::Right,
                Some(Laterality::Both) => pb::Laterality::Both,
            }
            .into(),
            basis: basis(e.derived.basis).into(),
            confidence: e.derived.confidence,
            reasons: e.derived.reasons.into_iter().map(Into::into).collect(),
        }
    }
}

fn basis(basis: Basis) -> pb::ExaminationBasis {
    match basis {
        Basis::TextAndTag => pb::ExaminationBasis::TextAndTag,
        Basis::Text => pb::ExaminationBasis::Text,
        Basis::SeriesText => pb::ExaminationBasis::SeriesText,
        Basis::Code => pb::ExaminationBasis::Code,
        Basis::BodyPart => pb::ExaminationBasis::BodyPart,
        Basis::TextAgainstTag => pb::ExaminationBasis::TextAgainstTag,
        Basis::TextsDisagree => pb::ExaminationBasis::TextsDisagree,
        Basis::Modality => pb::ExaminationBasis::Modality,
        Basis::Unknown => pb::ExaminationBasis::Unspecified,
    }
}

impl From<Reason> for pb::ExaminationReason {
    fn from(reason: Reason) -> Self {
        let field = match reason.field {
            Field::Procedure => "procedure",
            Field::StudyDescription => "study_description",
            Field::SeriesDescription => "series_description",
            Field::Protocol => "protocol",
            Field::AnatomicRegion => "anatomic_region",
            Field::BodyPart => "body_part",
            Field::ViewPosition => "view_position",
            Field::ContrastAgent => "contrast_agent",
        };
        Self { field: field.to_owned(), term: reason.term }
    }
}

impl From<StudyReport> for pb::StudyReport {
    fn from(r: StudyReport) -> Self {
        Self { state: report(r.state).into(), title: r.title, sop_instance_uid: r.instance }
    }
}

impl From<StudyFacts> for pb::StudySummary {
    fn from(s: StudyFacts) -> Self {
        let Match { header, modalities, series, instances, bytes, .. } = s.found;
        let places: Vec<pb::StudyPlace> = s.places.into_iter().map(Into::into).collect();
        Self {
            study_uid: header.study.uid,
            patient: Some(pb::ImagedPatient {
                patient_id: header.patient.id,
                issuer: header.patient.issuer,
                name: header.patient.name,
                birth_date: day(&header.patient.birth_date),
                sex: header.patient.sex,
            }),
            date: day(&header.study.date),
            time: time_of_day(&header.study.time),
            accession_number: header.study.accession_number,
            study_id: header.study.id,
            description: header.study.description,
            institution: s.institution,
            institution_id: s.institution_id,
            modalities,
            series_count: series,
            instance_count: instances,
            size_bytes: bytes,
            examination: Some(s.examined.into()),
            report: Some(s.report.into()),
            place: places.first().cloned(),
            kept_apart_count: s.kept_apart,
            character_set_guessed: header.character_set_guessed,
            places,
            found_by: s.found_by.map_or(pb::FoundBy::Unspecified, found_by).into(),
            recognition: s.outlook.map(Into::into),
        }
    }
}

impl From<Place> for pb::StudyPlace {
    fn from(place: Place) -> Self {
        Self {
            node: place.node,
            availability: match place.availability {
                Availability::Online => pb::Availability::Online,
                Availability::Nearline => pb::Availability::Nearline,
                Availability::Offline => pb::Availability::Offline,
            }
            .into(),
            copy: place.copy,
            instance_count: place.instances,
            indexed_at: place.indexed_ms.filter(|ms| *ms > 0).map(timestamp),
        }
    }
}

fn found_by(by: FoundBy) -> pb::FoundBy {
    match by {
        FoundBy::Study => pb::FoundBy::Study,
        FoundBy::PatientId => pb::FoundBy::PatientId,
        FoundBy::Name => pb::FoundBy::Name,
        FoundBy::Sound => pb::FoundBy::Sound,
    }
}

impl From<StudyAssessment> for pb::StudyOutlook {
    fn from(judged: StudyAssessment) -> Self {
        let outlook = match judged.verdict {
            Verdict::Recognised => pb::RecognitionOutlook::Recognised,
            Verdict::RecognisedWithRemark => pb::RecognitionOutlook::WithRemark,
            Verdict::CannotSay => pb::RecognitionOutlook::CannotSay,
            Verdict::NotRecognised => pb::RecognitionOutlook::NotRecognised,
        };
        let reasons = judged.reasons.into_iter().filter(|r| r.outcome != Outcome::Met);
        Self { outlook: outlook.into(), reasons: reasons.map(|r| r.doctor_zh).collect() }
    }
}

impl From<search::StudyPage> for pb::SearchStudiesResponse {
    fn from(page: search::StudyPage) -> Self {
        Self {
            studies: page.studies.into_iter().map(Into::into).collect(),
            next_page_token: page.next,
            region: page.region.map(Into::into),
        }
    }
}

impl From<search::RegionState> for pb::RegionState {
    fn from(state: search::RegionState) -> Self {
        let offline = state.offline.into_iter().map(|o| pb::OfflineNode {
            node: o.node,
            indexed_at: (o.indexed_ms > 0).then(|| timestamp(o.indexed_ms)),
        });
        Self {
            reachable: state.reachable,
            node_count: state.nodes,
            offline: offline.collect(),
            retry_after: state.retry_after.and_then(|after| after.try_into().ok()),
        }
    }
}

impl From<StudyPage> for pb::GetStudyMetadataResponse {
    fn from(page: StudyPage) -> Self {
        Self {
            study: Some(page.study.into()),
            series: page.series.into_iter().map(Into::into).collect(),
            next_page_token: page.next_page_token,
        }
    }
}

impl From<SeriesPage> for pb::SeriesMetadata {
    fn from(page: SeriesPage) -> Self {
        let s = page.series;
        Self {
            series_uid: s.uid,
            modality: s.modality,
            number: s.number,
            description: s.description,
            body_part: s.body_part,
            laterality: s.laterality,
            protocol: s.protocol,
            date: day(&s.date),
            time: time_of_day(&s.time),
            institution: s.institution,
            station: s.station,
            manufacturer: s.manufacturer,
            model: s.model,
            examination: Some(page.examined.into()),
            instances: page.instances.into_iter().map(instance).collect(),
        }
    }
}

fn instance((found, digest): (Match, Option<Digest>)) -> pb::InstanceMetadata {
    // What a model says has the flags of a report and is none.
    let suggestion = is_suggestion(&found.header);
    let i = found.header.instance;
    let state = report_state(&i.report_state).filter(|_| !suggestion);
    pb::InstanceMetadata {
        sop_instance_uid: i.uid,
        sop_class_uid: i.sop_class,
        transfer_syntax_uid: found.transfer_syntax,
        number: i.number,
        image_type: i.image_type,
        rows: i.rows,
        columns: i.columns,
        frames: i.frames,
        bits_allocated: i.bits_allocated,
        slice_thickness_mm: i.slice_thickness,
        image_position_mm: i.image_position,
        size_bytes: found.bytes,
        sha256: digest.map(|d| d.to_string()).unwrap_or_default(),
        report_state: report(state).into(),
    }
}

impl From<RenderedImage> for pb::RenderFrameResponse {
    fn from(image: RenderedImage) -> Self {
        Self {
            image: image.bytes,
            media_type: image.media_type.to_owned(),
            width: image.width,
            height: image.height,
        }
    }
}

impl From<SeriesSheet> for pb::RenderContactSheetResponse {
    fn from(drawn: SeriesSheet) -> Self {
        let tiles = drawn.tiles.into_iter();
        Self {
            width: drawn.sheet.image.width,
            height: drawn.sheet.image.height,
            image: drawn.sheet.image.bytes,
            across: drawn.sheet.across,
            tile_width: drawn.sheet.tile_width,
            tile_height: drawn.sheet.tile_height,
            tiles: tiles
                .map(|(sop_instance_uid, frame, missing)| pb::SheetTile {
                    sop_instance_uid,
                    frame,
                    missing,
                })
                .collect(),
        }
    }
}

impl From<Change> for pb::Change {
    fn from(change: Change) -> Self {
        Self {
            number: change.number,
            kind: match change.kind {
                ChangeKind::Stored => pb::ChangeKind::Stored,
                ChangeKind::KeptApart => pb::ChangeKind::KeptApart,
                ChangeKind::Erased => pb::ChangeKind::Erased,
            }
            .into(),
            study_uid: change.uids.study,
            series_uid: change.uids.series,
            sop_instance_uid: change.uids.instance,
            time: Some(timestamp(change.at_ms)),
        }
    }
}

impl From<ChangePage> for pb::ListChangesResponse {
    fn from(page: ChangePage) -> Self {
        Self {
            changes: page.changes.into_iter().map(Into::into).collect(),
            last_number: page.last,
            more: page.more,
        }
    }
}

impl From<KnownObject> for pb::KeptApart {
    fn from(object: KnownObject) -> Self {
        Self {
            study_uid: object.uids.study,
            series_uid: object.uids.series,
            sop_instance_uid: object.uids.instance,
            sop_class_uid: object.sop_class,
            transfer_syntax_uid: object.transfer_syntax,
            sha256: object.digest.to_string(),
            size_bytes: object.location.length,
        }
    }
}

impl From<RemoteUsage> for pb::ArchiveRemote {
    fn from(usage: RemoteUsage) -> Self {
        Self {
            segment_count: usage.segments,
            size_bytes: usage.bytes,
            away_size_bytes: usage.away_bytes,
            waiting_size_bytes: usage.waiting_bytes,
            tainted_segment_count: usage.tainted_segments,
            failing: usage.failing,
        }
    }
}

impl From<CopyInfo> for pb::ArchiveCopies {
    fn from(info: CopyInfo) -> Self {
        Self {
            study_count: info.totals.studies,
            object_count: info.totals.objects,
            size_bytes: info.totals.bytes,
            size_bytes_max: info.bytes_max,
            evicted_study_count: info.evictions.studies,
            evicted_object_count: info.evictions.objects,
            evicted_size_bytes: info.evictions.bytes,
        }
    }
}

impl From<ArchiveInfo> for pb::GetArchiveInfoResponse {
    fn from(info: ArchiveInfo) -> Self {
        Self {
            patient_count: info.counts.patients,
            study_count: info.counts.studies,
            series_count: info.counts.series,
            instance_count: info.counts.instances,
            kept_apart_count: info.counts.apart,
            segment_count: info.usage.segments,
            size_bytes: info.usage.bytes,
            free_bytes: info.usage.bytes_free,
            examination_version: info.examination_version,
            copies: Some(info.copies.into()),
            remote: info.usage.remote.map(Into::into),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_times_are_written_for_people_and_odd_ones_stay() {
        assert_eq!(day("20261128"), "2026-11-28");
        assert_eq!(day(""), "");
        assert_eq!(day("二〇"), "二〇");
        assert_eq!(time_of_day("103000.000000"), "10:30:00");
        assert_eq!(time_of_day("103000.500000"), "10:30:00.500000");
        assert_eq!(time_of_day("10"), "10");
    }
}
