//! `DeliverStudy`: parts as fast as the caller reads; nothing is worked ahead.

use std::pin::Pin;

use futures_util::stream::{Stream, try_unfold};
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::retrieving::object_header;
use crate::app::error::Error;
use crate::app::imaging::delivery::{Delivery, DeliveryRequest, Part, Plan};
use crate::rpc::proto::xiangyi::imaging::v1 as pb;
use crate::rpc::proto::xiangyi::imaging::v1::deliver_study_response as answer;

/// The parts of a study.
pub(super) type Parts =
    Pin<Box<dyn Stream<Item = Result<pb::DeliverStudyResponse, Status>> + Send>>;

pub(super) fn parts(delivery: Delivery, stop: CancellationToken) -> Parts {
    Box::pin(try_unfold((delivery, stop), |(mut delivery, stop)| async move {
        let next = tokio::select! {
            next = delivery.next() => next?,
            () = stop.cancelled() => {
                return Err(Error::Unavailable { what: "node", cause: None }.into());
            }
        };
        Ok(next.map(|(resume_token, part)| {
            let part = Some(part.into());
            (pb::DeliverStudyResponse { resume_token, part }, (delivery, stop))
        }))
    }))
}

impl From<pb::DeliverStudyRequest> for DeliveryRequest {
    fn from(r: pb::DeliverStudyRequest) -> Self {
        Self {
            study: r.study_uid,
            series: r.series_uid,
            keys: r.key_sop_instance_uids,
            objects: r.objects,
            bytes_max: r.bytes_max,
            sheet_bytes_max: r.sheet_bytes_max,
            image_pixels_max: r.image_pixels_max,
            resume_token: r.resume_token,
        }
    }
}

impl From<Part> for answer::Part {
    fn from(part: Part) -> Self {
        match part {
            Part::Plan(Plan { sheets, images, objects, object_bytes }) => {
                Self::Plan(pb::DeliveryPlan {
                    sheet_count: sheets,
                    key_image_count: images,
                    object_count: objects,
                    object_bytes,
                })
            }
            Part::Sheet(series_uid, sheet) => {
                Self::Sheet(pb::DeliveredSheet { series_uid, sheet: Some(sheet.into()) })
            }
            Part::Image(sop_instance_uid, frame, image) => {
                let image = Some(image.into());
                Self::Image(pb::DeliveredImage { sop_instance_uid, frame, image })
            }
            Part::Header(object, meta) => Self::Header(object_header(&object, meta)),
            Part::Chunk(offset, data) => Self::Chunk(pb::ObjectChunk { offset, data }),
            Part::Verified(digest) => {
                Self::Verified(pb::ObjectVerified { sha256: digest.to_string() })
            }
            Part::Skipped(series_uid, sop_instance_uid, reason) => {
                Self::Skipped(pb::DeliverySkipped { series_uid, sop_instance_uid, reason })
            }
            Part::Ended { complete, sent } => {
                let reason =
                    if complete { pb::DeliveryEnd::Complete } else { pb::DeliveryEnd::Bytes };
                Self::Ended(pb::DeliveryEnded { reason: reason.into(), sent_bytes: sent })
            }
        }
    }
}
