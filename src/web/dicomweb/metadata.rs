//! Metadata and bulk data (PS3.18, 10.4.1.1.2 and 10.4.1.1.5): what objects say, as DICOM JSON or XML
//! read up to the pixels, and the values that are too long to stand in it.

use std::io::Read as _;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, VARY};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::future::try_join_all;
use futures_util::{StreamExt as _, stream};

use super::Shared;
use super::accept::Offer;
use super::ask::Ask;
use super::deliver::{self, Piece};
use super::problem::Problem;
use super::retrieve::{Parts, ranged, set, whole};
use super::search::{DICOM_JSON, DICOM_XML, JSON};
use super::{conditional, frames};
use crate::app::error::Error;
use crate::app::imaging::Requester;
use crate::app::imaging::ports::IndexedInstance;
use crate::sharing::imaging::metadata::{Bulk, Next, Walk, native_xml, write_json};
use crate::sharing::imaging::structure::Syntax;

/// Bytes that are read of an object at first: most headers are shorter.
const FIRST_BYTES: u64 = 16 * 1024;
/// Bytes that are read at once after that.
const WINDOW_BYTES: u64 = 128 * 1024;
/// Objects read at the same time for one answer.
const OBJECTS_AHEAD: usize = 8;
/// Objects whose JSON goes out together: each piece of an answer costs a trip to the system.
const OBJECTS_TOGETHER: usize = 16;
/// Bytes of a deflated object at most, as it lies and inflated: it is inflated whole.
const DEFLATED_BYTES_MAX: u64 = 128 << 20;
/// Bytes of a value that has to be turned at most.
const TURNED_BYTES_MAX: u64 = 128 << 20;
/// The media type of bytes.
pub(super) const OCTETS: &str = "application/octet-stream";

/// A walk that is done, with the data set where that had to be inflated.
pub(super) struct Walked {
    pub(super) walk: Walk,
    inflated: Option<Bytes>,
}

impl Shared {
    /// Walks over an object up to its pixels.
    pub(super) async fn walk(
        &self,
        requester: &Requester,
        instance: &IndexedInstance,
    ) -> Result<Walked, Error> {
        let syntax = Syntax::of(&instance.transfer_syntax)
            .ok_or(Error::Refused { reason: "transfer syntax is not known".to_owned() })?;
        if syntax.deflated {
            let inflated = self.inflated(requester, instance).await?;
            let mut walk = Walk::new(syntax, length(&inflated));
            return match walk.feed(0, &inflated).map_err(|e| refused(&e))? {
                Next::Done => Ok(Walked { walk, inflated: Some(inflated) }),
                Next::Read { .. } => Err(Error::Refused { reason: "object is cut".to_owned() }),
            };
        }
        let location = instance.location;
        let mut walk = Walk::new(syntax, location.length);
        let (mut from, mut least, mut window) = (0, 0, FIRST_BYTES);
        loop {
            let range = from..u64::saturating_add(from, window.max(least));
            let bytes = self.imaging.bytes(requester, location, range).await?;
            if length(&bytes) < least {
                return Err(Error::Refused { reason: "object is cut".to_owned() });
            }
            match walk.feed(from, &bytes).map_err(|error| refused(&error))? {
                Next::Done => return Ok(Walked { walk, inflated: None }),
                Next::Read { from: next, least: more } => (from, least) = (next, more),
            }
            window = WINDOW_BYTES;
        }
    }

    /// A deflated object, inflated.
    async fn inflated(
        &self,
        requester: &Requester,
        instance: &IndexedInstance,
    ) -> Result<Bytes, Error> {
        let too_long = || Error::Refused {
            reason: format!("deflated object is longer than {DEFLATED_BYTES_MAX} bytes"),
        };
        if instance.location.length > DEFLATED_BYTES_MAX {
            return Err(too_long());
        }
        let all = 0..instance.location.length;
        let bytes = self.imaging.bytes(requester, instance.location, all).await?;
        let inflate = move || {
            let mut out = Vec::new();
            let mut reader = flate2::read::DeflateDecoder::new(bytes.as_ref());
            let read = reader.by_ref().take(DEFLATED_BYTES_MAX + 1).read_to_end(&mut out);
            read.map(|_| out)
        };
        let out = tokio::task::spawn_blocking(inflate).await;
        let out = out.map_err(|error| Error::internal("inflating", error))?;
        let out =
            out.map_err(|_| Error::Refused { reason: "the deflated stream is broken".to_owned() })?;
        if length(&out) > DEFLATED_BYTES_MAX { Err(too_long()) } else { Ok(out.into()) }
    }

    /// One object as an XML document.
    async fn xml(
        &self,
        requester: &Requester,
        instance: &IndexedInstance,
        base: &str,
    ) -> Result<String, Error> {
        let json = self.json(requester, instance, base).await?;
        // JSON is read to a depth that no object of sense has.
        let object = serde_json::from_slice(&json).map_err(|_| Error::Refused {
            reason: "object is nested too deep for XML".to_owned(),
        })?;
        Ok(native_xml(&object))
    }

    /// One object as DICOM JSON.
    async fn json(
        &self,
        requester: &Requester,
        instance: &IndexedInstance,
        base: &str,
    ) -> Result<Vec<u8>, Error> {
        let walked = self.walk(requester, instance).await?;
        let uids = &instance.uids;
        let bulk = format!(
            "{base}/studies/{}/series/{}/instances/{}/bulkdata/",
            uids.study, uids.series, uids.instance
        );
        let mut out = Vec::with_capacity(8 * 1024);
        write_json(&walked.walk, &bulk, &mut out);
        Ok(out)
    }
}

fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

fn refused(error: &crate::sharing::imaging::metadata::MetadataError) -> Error {
    Error::Refused { reason: error.to_string() }
}

/// Metadata of a study, series or instance.
pub(super) async fn metadata(
    State(door): State<Arc<Shared>>,
    ask: Ask,
) -> Result<Response, Problem> {
    let offers = [Offer::single(DICOM_JSON), Offer::single(JSON), Offer::parts(DICOM_XML)];
    let media = ask.accept()?.choose(&offers)?.media;
    let instances = door.instances(&ask.requester, &ask.target).await?;
    let etag = deliver::etag(&instances, &format!("metadata {} {media}", ask.base));
    if conditional::not_modified(&ask.headers, &etag) {
        return door.unchanged(&ask, &instances, &etag).await;
    }
    door.audit_view(&ask.requester, &instances).await?;
    if media == DICOM_XML {
        return xml_answer(&door, &ask, instances, &etag).await;
    }
    let (requester, base) = (ask.requester.clone(), ask.base.clone());
    let groups: Vec<Vec<IndexedInstance>> =
        instances.chunks(OBJECTS_TOGETHER).map(<[_]>::to_vec).collect();
    let mut answers = stream::iter(groups)
        .map(move |group| {
            let (door, requester, base) = (Arc::clone(&door), requester.clone(), base.clone());
            async move {
                let each = group.iter().map(|instance| door.json(&requester, instance, &base));
                Ok::<_, Error>(try_join_all(each).await?.join(b",".as_slice()))
            }
        })
        .buffered(2);
    // The first says a reason with a status; should a later one fail, the answer breaks off.
    let mut first = vec![b'['];
    if let Some(answer) = answers.next().await {
        first.extend(answer?);
    }
    let rest = answers.map(|answer| {
        let answer = answer.inspect_err(|error| {
            tracing::warn!(error = crate::app::chain(error), "metadata broken off");
        });
        answer.map(|json| Bytes::from([b",".as_slice(), &json].concat()))
    });
    let begin = stream::iter([Ok::<_, Error>(Bytes::from(first))]);
    let end = stream::iter([Ok(Bytes::from_static(b"]"))]);
    Ok(answered(Body::from_stream(begin.chain(rest).chain(end)), media, &etag))
}

/// An answer that only the caller may keep, and asks again.
pub(super) fn answered(body: Body, content: &str, etag: &str) -> Response {
    let mut response = body.into_response();
    set(&mut response, CONTENT_TYPE, content);
    set(&mut response, ETAG, etag);
    set(&mut response, VARY, "accept");
    set(&mut response, CACHE_CONTROL, "private, no-cache");
    response
}

/// A part with an XML document for each instance (PS3.18, 8.7.5; PS3.19, A.1).
async fn xml_answer(
    door: &Arc<Shared>,
    ask: &Ask,
    instances: Vec<IndexedInstance>,
    etag: &str,
) -> Result<Response, Problem> {
    let parts = Arc::new(Parts::new(DICOM_XML, etag));
    let (content, tail) = (parts.content_type(), parts.tail());
    let (door, requester, base) = (Arc::clone(door), ask.requester.clone(), ask.base.clone());
    let mut documents = stream::iter(instances)
        .map(move |instance| {
            let (door, requester, base) = (Arc::clone(&door), requester.clone(), base.clone());
            let parts = Arc::clone(&parts);
            async move {
                let uids = &instance.uids;
                let location = format!(
                    "{base}/studies/{}/series/{}/instances/{}/metadata",
                    uids.study, uids.series, uids.instance
                );
                let document = door.xml(&requester, &instance, &base).await?;
                let head = parts.head(DICOM_XML, &location);
                Ok::<_, Error>(Bytes::from([head.as_ref(), document.as_bytes()].concat()))
            }
        })
        .buffered(OBJECTS_AHEAD);
    // The first says a reason with a status; should a later one fail, the answer breaks off.
    let first = match documents.next().await {
        Some(first) => first?,
        None => Bytes::new(),
    };
    let rest = documents.map(|document| {
        document.inspect_err(|error| {
            tracing::warn!(error = crate::app::chain(error), "metadata broken off");
        })
    });
    let (begin, end) = (stream::iter([Ok(first)]), stream::iter([Ok(tail)]));
    Ok(answered(Body::from_stream(begin.chain(rest).chain(end)), &content, etag))
}

/// One value that metadata gives the address of.
pub(super) async fn bulk(State(door): State<Arc<Shared>>, ask: Ask) -> Result<Response, Problem> {
    let accept = ask.accept()?;
    let instances = door.instances(&ask.requester, &ask.target).await?;
    let instance = instances.first().ok_or_else(|| Problem::not_found("instance"))?;
    let walked = door.walk(&ask.requester, instance).await?;
    let place = ask.target.bulk.as_deref().unwrap_or_default();
    let found = walked.walk.bulk().into_iter().find(|(path, _)| path == place);
    let (_, bulk) = found.ok_or_else(|| Problem::not_found("bulk data"))?;
    if bulk.encapsulated {
        // Fragments are of no use to anybody; frames are.
        let count = instance.frames.max(1);
        return frames::answer(&door, &ask, instance, (1..=count).collect()).await;
    }
    let offers = [Offer::parts(OCTETS), Offer::single(OCTETS)];
    let offer = accept.choose(&offers)?;
    let etag = deliver::etag(&instances, &format!("bulk {place} {}", offer.name()));
    if conditional::not_modified(&ask.headers, &etag) {
        return door.unchanged(&ask, &instances, &etag).await;
    }
    let piece = piece(&door, &ask, instance, &walked, &bulk).await?;
    if offer.multipart {
        door.audit_view(&ask.requester, &instances).await?;
        let parts = Parts::new(OCTETS, &etag);
        let uids = &instance.uids;
        let location = format!(
            "{}/studies/{}/series/{}/instances/{}/bulkdata/{place}",
            ask.base, uids.study, uids.series, uids.instance
        );
        let pieces = vec![parts.begin(OCTETS, None, &location), piece, parts.end()];
        return Ok(whole(&door, &ask, pieces, &parts.content_type(), &etag));
    }
    let range = conditional::range(&ask.headers, &etag, piece.length().unwrap_or(0))?;
    door.audit_view(&ask.requester, &instances).await?;
    Ok(ranged(&door, &ask, vec![piece], (OCTETS, &etag), range))
}

/// A value in little-endian order.
async fn piece(
    door: &Shared,
    ask: &Ask,
    instance: &IndexedInstance,
    walked: &Walked,
    bulk: &Bulk,
) -> Result<Piece, Problem> {
    let stored = match &walked.inflated {
        None if bulk.swap <= 1 => return Ok(Piece::Stored(instance.location, bulk.range.clone())),
        None => {
            let length = bulk.range.end.saturating_sub(bulk.range.start);
            if length > TURNED_BYTES_MAX {
                return Err(Problem::too_large(format!(
                    "big-endian value is longer than {TURNED_BYTES_MAX} bytes"
                )));
            }
            door.imaging.bytes(&ask.requester, instance.location, bulk.range.clone()).await?
        }
        Some(data) => {
            let at = |n| usize::try_from(n).unwrap_or(usize::MAX).min(data.len());
            data.slice(at(bulk.range.start)..at(bulk.range.end))
        }
    };
    if bulk.swap <= 1 {
        return Ok(Piece::Text(stored));
    }
    let mut turned = stored.to_vec();
    turned.chunks_exact_mut(bulk.swap).for_each(<[u8]>::reverse);
    Ok(Piece::Text(turned.into()))
}
