//! `RetrieveObject`: as fast as the caller reads, one chunk in memory.

use std::pin::Pin;

use bytes::Bytes;
use futures_util::stream::{Stream, try_unfold};
use tonic::Status;

use crate::app::imaging::objects::{ObjectReader, Piece};
use crate::app::imaging::ports::KnownObject;
use crate::rpc::proto::xiangyi::imaging::v1 as pb;
use crate::rpc::proto::xiangyi::imaging::v1::retrieve_object_response::Part;

/// The parts of an object.
pub(super) type Parts =
    Pin<Box<dyn Stream<Item = Result<pb::RetrieveObjectResponse, Status>> + Send>>;

pub(super) fn parts(reader: ObjectReader) -> Parts {
    let header = Some(header(&reader));
    Box::pin(try_unfold((reader, header), |(mut reader, header)| async move {
        let part = match header {
            Some(header) => Some(Part::Header(header)),
            None => reader.next().await?.map(|piece| match piece {
                Piece::Chunk { offset, data } => Part::Chunk(pb::ObjectChunk { offset, data }),
                Piece::Verified(digest) => {
                    Part::Verified(pb::ObjectVerified { sha256: digest.to_string() })
                }
            }),
        };
        let answer = part.map(|part| pb::RetrieveObjectResponse { part: Some(part) });
        Ok(answer.map(|answer| (answer, (reader, None))))
    }))
}

fn header(reader: &ObjectReader) -> pb::ObjectHeader {
    object_header(reader.object(), Bytes::copy_from_slice(reader.meta()))
}

/// What an object is, with its preamble and file meta group.
pub(super) fn object_header(object: &KnownObject, file_meta: Bytes) -> pb::ObjectHeader {
    pb::ObjectHeader {
        study_uid: object.uids.study.clone(),
        series_uid: object.uids.series.clone(),
        sop_instance_uid: object.uids.instance.clone(),
        sop_class_uid: object.sop_class.clone(),
        transfer_syntax_uid: object.transfer_syntax.clone(),
        size_bytes: object.location.length,
        sha256: object.digest.to_string(),
        file_meta,
        kept_apart: object.apart,
    }
}
