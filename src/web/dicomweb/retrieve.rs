//! WADO-RS retrieval of objects (PS3.18, 10.4.1.1.1 to 10.4.1.1.3): a study, a series or an
//! instance as `multipart/related`, one instance also by itself.
//!
//! The data set goes out byte for byte as it was received, behind a file meta group of our own: the
//! preamble a sender wrote may be a program, and no peer needs it.

use std::ops::Range;
use std::sync::Arc;

use axum::extract::State;
use axum::http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, VARY,
};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;

use super::Shared;
use super::accept::Offer;
use super::ask::Ask;
use super::conditional;
use super::deliver::{self, Piece};
use super::problem::Problem;
use crate::app::error::Error;
use crate::app::imaging::ports::IndexedInstance;
use crate::sharing::imaging::part10::{Meta, write_meta};

/// The media type of a DICOM file.
pub(super) const DICOM: &str = "application/dicom";

/// A study, a series or an instance.
pub(super) async fn objects(
    State(door): State<Arc<Shared>>,
    ask: Ask,
) -> Result<Response, Problem> {
    let accept = ask.accept()?;
    let instances = door.instances(&ask.requester, &ask.target).await?;
    let offers = forms(&instances, ask.target.instance.is_some());
    let offer = accept.choose(&offers)?;
    let etag = deliver::etag(&instances, &offer.name());
    if conditional::not_modified(&ask.headers, &etag) {
        return Ok(unchanged(&etag));
    }
    if offer.multipart {
        door.audit(&ask.requester, &instances).await?;
        let parts = Parts::new(DICOM, &etag);
        let mut pieces = Vec::with_capacity(instances.len() * 3 + 1);
        for instance in &instances {
            let location = format!(
                "{}/studies/{}/series/{}/instances/{}",
                ask.base, instance.uids.study, instance.uids.series, instance.uids.instance
            );
            let syntax = Some(instance.transfer_syntax.as_str());
            pieces.push(parts.begin(DICOM, syntax, &location));
            pieces.extend(file(instance)?);
        }
        pieces.push(parts.end());
        return Ok(whole(&door, &ask, pieces, &parts.content_type(), &etag));
    }
    let Some(instance) = instances.first() else { return Err(Problem::not_found("instance")) };
    let content = format!("{DICOM}; transfer-syntax={}", instance.transfer_syntax);
    let pieces = file(instance)?.to_vec();
    let range = conditional::range(&ask.headers, &etag, deliver::length(&pieces))?;
    door.audit(&ask.requester, &instances).await?;
    Ok(ranged(&door, &ask, pieces, (&content, &etag), range))
}

/// The forms in which `instances` can be given: in the transfer syntax each is stored in. With a
/// transcoder, others join here, and [`file()`] is where they are made.
fn forms(instances: &[IndexedInstance], single: bool) -> Vec<Offer> {
    let first = instances.first().map(|instance| instance.transfer_syntax.as_str());
    let same = instances.iter().all(|instance| Some(instance.transfer_syntax.as_str()) == first);
    // Of several there is only one answer to every syntax: `*`.
    let syntax = if same { first.unwrap_or_default() } else { "as stored" };
    let mut offers = vec![Offer::parts(DICOM).in_syntax(syntax)];
    if single {
        offers.push(Offer::single(DICOM).in_syntax(syntax));
    }
    offers
}

/// An instance as a file.
pub(super) fn file(instance: &IndexedInstance) -> Result<[Piece; 2], Problem> {
    let meta = write_meta(Meta {
        sop_class: &instance.sop_class,
        sop_instance: &instance.uids.instance,
        transfer_syntax: &instance.transfer_syntax,
        source_ae: None,
    });
    let meta = meta.map_err(|error| Error::internal("file meta group", error))?;
    let body = Piece::Stored(instance.location, 0..instance.location.length);
    Ok([Piece::Text(meta.into()), body])
}

/// 304.
pub(super) fn unchanged(etag: &str) -> Response {
    let mut response = StatusCode::NOT_MODIFIED.into_response();
    set(&mut response, ETAG, etag);
    set(&mut response, VARY, "accept");
    response
}

pub(super) fn set(response: &mut Response, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

/// All of `pieces`.
pub(super) fn whole(
    door: &Arc<Shared>,
    ask: &Ask,
    pieces: Vec<Piece>,
    content: &str,
    etag: &str,
) -> Response {
    let length = deliver::length(&pieces);
    let mut response = deliver::body(door, &ask.requester, pieces).into_response();
    set(&mut response, CONTENT_TYPE, content);
    set(&mut response, CONTENT_LENGTH, &length.to_string());
    set(&mut response, ETAG, etag);
    set(&mut response, VARY, "accept");
    // It never changes, but is the patient's: only the caller may keep it, and asks again.
    set(&mut response, CACHE_CONTROL, "private, no-cache");
    response
}

/// `range` of `pieces`, which are one thing of the type and tag said.
pub(super) fn ranged(
    door: &Arc<Shared>,
    ask: &Ask,
    pieces: Vec<Piece>,
    (content, etag): (&str, &str),
    range: Option<Range<u64>>,
) -> Response {
    let length = deliver::length(&pieces);
    let mut response = match range {
        None => whole(door, ask, pieces, content, etag),
        Some(range) => {
            let part = deliver::cut(pieces, &range);
            let mut response = whole(door, ask, part, content, etag);
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
            let last = range.end.saturating_sub(1);
            let said = format!("bytes {}-{last}/{length}", range.start);
            set(&mut response, CONTENT_RANGE, &said);
            response
        }
    };
    set(&mut response, ACCEPT_RANGES, "bytes");
    response
}

/// Writes `multipart/related` (RFC 2387). The boundary is made of the entity tag, so that the same
/// parts are the same bytes.
pub(super) struct Parts {
    media: &'static str,
    boundary: String,
}

impl Parts {
    pub(super) fn new(media: &'static str, etag: &str) -> Self {
        Self { media, boundary: format!("xiangyi-{}", etag.trim_matches('"')) }
    }

    pub(super) fn content_type(&self) -> String {
        format!("multipart/related; type=\"{}\"; boundary={}", self.media, self.boundary)
    }

    /// What stands before a part.
    pub(super) fn begin(&self, media: &str, syntax: Option<&str>, location: &str) -> Piece {
        let syntax = syntax.map(|syntax| format!("; transfer-syntax={syntax}")).unwrap_or_default();
        let text = format!(
            "\r\n--{}\r\nContent-Type: {media}{syntax}\r\nContent-Location: {location}\r\n\r\n",
            self.boundary
        );
        Piece::Text(Bytes::from(text))
    }

    /// What stands after the last.
    pub(super) fn end(&self) -> Piece {
        Piece::Text(Bytes::from(format!("\r\n--{}--\r\n", self.boundary)))
    }
}
