//! Messages of the link as what the application speaks of, and back.

use super::pb;
use super::studies::{found, found_by};
use crate::app::error::Error;
use crate::app::regional::holding::Order;
use crate::app::regional::{
    FetchRequest, Holding, IndexState, ListedObject, NodeLine, OfflineNode, Piece, Publication,
    Purpose, RegionalAnswer, RegionalStudy, Wanted, WantedObject,
};
use crate::sharing::imaging::object::{Digest, InstanceUids};
use crate::sharing::imaging::published::PatientQuestion;

/// Study UIDs of one question at most.
const STUDIES_MAX: usize = 200;

impl From<IndexState> for pb::IndexState {
    fn from(state: IndexState) -> Self {
        let IndexState { generation, complete, cursor } = state;
        Self { generation, complete, cursor }
    }
}

impl From<pb::IndexState> for IndexState {
    fn from(state: pb::IndexState) -> Self {
        let pb::IndexState { generation, complete, cursor } = state;
        Self { generation, complete, cursor }
    }
}

impl From<Publication> for pb::PublishStudiesRequest {
    fn from(p: Publication) -> Self {
        Self {
            generation: p.generation,
            studies: p.studies.into_iter().map(Into::into).collect(),
            removed_study_uids: p.removed,
            cursor: p.cursor,
            complete: p.complete,
        }
    }
}

impl From<pb::PublishStudiesRequest> for Publication {
    fn from(p: pb::PublishStudiesRequest) -> Self {
        Self {
            generation: p.generation,
            studies: p.studies.into_iter().map(Into::into).collect(),
            removed: p.removed_study_uids,
            cursor: p.cursor,
            complete: p.complete,
        }
    }
}

impl From<PatientQuestion> for pb::FindStudiesRequest {
    fn from(q: PatientQuestion) -> Self {
        Self {
            patient_id: q.patient_id,
            patient_name: q.name,
            birth_date: q.birth_date,
            study_uids: q.studies,
        }
    }
}

pub(super) fn question(r: pb::FindStudiesRequest) -> Result<PatientQuestion, Error> {
    if r.study_uids.len() > STUDIES_MAX {
        return Err(Error::field("study_uids", "must have at most 200 entries"));
    }
    Ok(PatientQuestion {
        patient_id: r.patient_id,
        name: r.patient_name,
        birth_date: r.birth_date,
        studies: r.study_uids,
    })
}

impl From<RegionalAnswer> for pb::FindStudiesResponse {
    fn from(answer: RegionalAnswer) -> Self {
        let studies = answer.studies.into_iter().map(|study| pb::FoundStudy {
            found_by: found_by(study.found_by).into(),
            holdings: study.holdings.into_iter().map(Into::into).collect(),
        });
        let offline = answer
            .offline
            .into_iter()
            .map(|o| pb::OfflineMember { node: o.node, indexed_ms: o.indexed_ms });
        Self { studies: studies.collect(), nodes: answer.nodes, offline: offline.collect() }
    }
}

impl From<pb::FindStudiesResponse> for RegionalAnswer {
    fn from(answer: pb::FindStudiesResponse) -> Self {
        let studies = answer.studies.into_iter().map(|study| RegionalStudy {
            found_by: found(study.found_by()),
            holdings: study.holdings.into_iter().map(Into::into).collect(),
        });
        let offline = answer
            .offline
            .into_iter()
            .map(|o| OfflineNode { node: o.node, indexed_ms: o.indexed_ms });
        Self { studies: studies.collect(), nodes: answer.nodes, offline: offline.collect() }
    }
}

impl From<Holding> for pb::Holding {
    fn from(h: Holding) -> Self {
        let Holding { node, study, online, indexed_ms } = h;
        Self { node, study: Some(study.into()), online, indexed_ms }
    }
}

impl From<pb::Holding> for Holding {
    fn from(h: pb::Holding) -> Self {
        let pb::Holding { node, study, online, indexed_ms } = h;
        Self { node, study: study.unwrap_or_default().into(), online, indexed_ms }
    }
}

impl From<NodeLine> for pb::Member {
    fn from(l: NodeLine) -> Self {
        Self {
            node: l.node,
            area: l.area,
            online: l.online,
            seen_ms: l.seen_ms,
            indexed_ms: l.indexed_ms,
            studies: l.studies,
            round_trip_us: l.round_trip_us,
        }
    }
}

impl From<pb::Member> for NodeLine {
    fn from(m: pb::Member) -> Self {
        Self {
            node: m.node,
            area: m.area,
            online: m.online,
            seen_ms: m.seen_ms,
            indexed_ms: m.indexed_ms,
            studies: m.studies,
            round_trip_us: m.round_trip_us,
        }
    }
}

fn purpose_number(purpose: Purpose) -> i32 {
    match purpose {
        Purpose::Treatment => pb::Purpose::Treatment,
        Purpose::Emergency => pb::Purpose::Emergency,
        Purpose::Quality => pb::Purpose::Quality,
    }
    .into()
}

fn purpose(number: i32) -> Result<Purpose, Error> {
    match pb::Purpose::try_from(number) {
        Ok(pb::Purpose::Treatment) => Ok(Purpose::Treatment),
        Ok(pb::Purpose::Emergency) => Ok(Purpose::Emergency),
        Ok(pb::Purpose::Quality) => Ok(Purpose::Quality),
        Ok(pb::Purpose::Unspecified) | Err(_) => {
            let allowed = "must be one of PURPOSE_TREATMENT, PURPOSE_EMERGENCY, PURPOSE_QUALITY";
            Err(Error::field("purpose", allowed))
        }
    }
}

fn digest(field: &str, bytes: &[u8]) -> Result<Digest, Error> {
    let digest = bytes.try_into().map(Digest);
    digest.map_err(|_| Error::field(field, "must be 32 bytes"))
}

fn digest_bytes(digest: &Digest) -> bytes::Bytes {
    bytes::Bytes::copy_from_slice(&digest.0)
}

fn wanted_objects(wanted: Wanted) -> Vec<pb::WantedObject> {
    let Wanted::Objects(objects) = wanted else { return Vec::new() };
    let objects = objects.into_iter().map(|o| pb::WantedObject {
        sha256: digest_bytes(&o.digest),
        sop_instance_uid: o.instance,
        offset: o.offset,
    });
    objects.collect()
}

fn wanted(objects: Vec<pb::WantedObject>) -> Result<Wanted, Error> {
    if objects.is_empty() {
        return Ok(Wanted::Listing);
    }
    let objects: Result<Vec<WantedObject>, Error> = objects
        .into_iter()
        .map(|o| {
            let digest = digest("objects.sha256", &o.sha256)?;
            Ok(WantedObject { instance: o.sop_instance_uid, digest, offset: o.offset })
        })
        .collect();
    Ok(Wanted::Objects(objects?))
}

impl From<FetchRequest> for pb::FetchObjectsRequest {
    fn from(r: FetchRequest) -> Self {
        Self {
            study_uid: r.study,
            node: r.node,
            avoid: r.avoid,
            objects: wanted_objects(r.wanted),
            purpose: purpose_number(r.purpose),
            requested_by: r.requested_by,
        }
    }
}

impl TryFrom<pb::FetchObjectsRequest> for FetchRequest {
    type Error = Error;

    fn try_from(r: pb::FetchObjectsRequest) -> Result<Self, Error> {
        Ok(Self {
            purpose: purpose(r.purpose)?,
            wanted: wanted(r.objects)?,
            study: r.study_uid,
            node: r.node,
            avoid: r.avoid,
            requested_by: r.requested_by,
        })
    }
}

impl From<Order> for pb::Order {
    fn from(o: Order) -> Self {
        Self {
            ticket: o.ticket,
            study_uid: o.study,
            objects: wanted_objects(o.wanted),
            asked_by: o.asked_by,
            requested_by: o.requested_by,
            purpose: purpose_number(o.purpose),
        }
    }
}

impl TryFrom<pb::Order> for Order {
    type Error = Error;

    fn try_from(o: pb::Order) -> Result<Self, Error> {
        Ok(Self {
            purpose: purpose(o.purpose)?,
            wanted: wanted(o.objects)?,
            ticket: o.ticket,
            study: o.study_uid,
            asked_by: o.asked_by,
            requested_by: o.requested_by,
        })
    }
}

impl From<Piece> for pb::Piece {
    fn from(piece: Piece) -> Self {
        use pb::piece::Piece as Part;
        let part = match piece {
            Piece::From { node } => Part::From(node),
            Piece::Listed(objects) => {
                let objects = objects.into_iter().map(|o| pb::ListedObject {
                    sha256: digest_bytes(&o.digest),
                    series_uid: o.uids.series,
                    sop_instance_uid: o.uids.instance,
                    size_bytes: o.bytes,
                });
                Part::Listing(pb::Listing { objects: objects.collect() })
            }
            Piece::Object { instance, digest, transfer_syntax, meta, offset, length } => {
                Part::Begin(pb::ObjectBegin {
                    sop_instance_uid: instance,
                    sha256: digest_bytes(&digest),
                    transfer_syntax_uid: transfer_syntax,
                    file_meta: meta,
                    offset,
                    size_bytes: length,
                })
            }
            Piece::Bytes(bytes) => Part::Data(bytes),
            Piece::Missing { instance } => Part::Missing(instance),
        };
        Self { piece: Some(part) }
    }
}

/// A piece of `study`.
pub(super) fn piece(study: &str, piece: Option<pb::Piece>) -> Result<Piece, Error> {
    use pb::piece::Piece as Part;
    let part = piece.and_then(|piece| piece.piece);
    Ok(match part.ok_or_else(|| Error::field("piece", "must be given"))? {
        Part::From(node) => Piece::From { node },
        Part::Listing(listing) => {
            let objects: Result<Vec<ListedObject>, Error> = listing
                .objects
                .into_iter()
                .map(|o| {
                    Ok(ListedObject {
                        digest: digest("listing.objects.sha256", &o.sha256)?,
                        uids: InstanceUids {
                            study: study.to_owned(),
                            series: o.series_uid,
                            instance: o.sop_instance_uid,
                        },
                        bytes: o.size_bytes,
                    })
                })
                .collect();
            Piece::Listed(objects?)
        }
        Part::Begin(begin) => Piece::Object {
            digest: digest("begin.sha256", &begin.sha256)?,
            instance: begin.sop_instance_uid,
            transfer_syntax: begin.transfer_syntax_uid,
            meta: begin.file_meta,
            offset: begin.offset,
            length: begin.size_bytes,
        },
        Part::Data(bytes) => Piece::Bytes(bytes),
        Part::Missing(instance) => Piece::Missing { instance },
    })
}
