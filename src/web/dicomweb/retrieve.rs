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
use crate::app::imaging::transcode::TARGETS;
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
    let offers = door.forms(&instances, ask.target.instance.is_some());
    let offer = accept.choose(&offers)?;
    let syntax = offer.target();
    let etag = deliver::etag(&instances, &offer.name());
    if conditional::not_modified(&ask.headers, &etag) {
        return door.unchanged(&ask, &instances, &etag).await;
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
            let said = syntax.unwrap_or(&instance.transfer_syntax);
            pieces.push(parts.begin(DICOM, Some(said), &location));
            pieces.extend(file(instance, syntax)?);
        }
        pieces.push(parts.end());
        return Ok(whole(&door, &ask, pieces, &parts.content_type(), &etag));
    }
    let Some(instance) = instances.first() else { return Err(Problem::not_found("instance")) };
    single(&door, &ask, instance, syntax, &etag).await
}

/// One instance by itself, in `syntax` or as it is kept.
pub(super) async fn single(
    door: &Arc<Shared>,
    ask: &Ask,
    instance: &IndexedInstance,
    syntax: Option<&'static str>,
    etag: &str,
) -> Result<Response, Problem> {
    let said = syntax.unwrap_or(&instance.transfer_syntax);
    let content = format!("{DICOM}; transfer-syntax={said}");
    let [meta, mut body] = file(instance, syntax)?;
    door.audit(&ask.requester, std::slice::from_ref(instance)).await?;
    if let Piece::Converted(_, syntax) = body {
        // Its length is asked for, and whether it can be converted says the status.
        body = Piece::Text(door.converted(&ask.requester, instance, syntax).await?);
    }
    let pieces = vec![meta, body];
    let length = deliver::length(&pieces).unwrap_or(0);
    let range = conditional::range(&ask.headers, etag, length)?;
    Ok(ranged(door, ask, pieces, (&content, etag), range))
}

impl Shared {
    /// The forms in which `instances` can be given: each as it is kept, and all in those transfer
    /// syntaxes that each is kept in or can be converted to. Who names no transfer syntax takes it
    /// as it is kept: nothing is lost, and nobody waits for a conversion that they can do better.
    pub(super) fn forms(&self, instances: &[IndexedInstance], single: bool) -> Vec<Offer> {
        let first = instances.first().map(|instance| instance.transfer_syntax.as_str());
        let same = instances.iter().all(|i| Some(i.transfer_syntax.as_str()) == first);
        // Of several there is only one answer to every syntax: `*`.
        let mut syntaxes = vec![if same { first.unwrap_or_default() } else { "as stored" }];
        syntaxes.extend(TARGETS.into_iter().filter(|wanted| {
            let one = |i: &IndexedInstance| self.imaging.converts(&i.transfer_syntax, wanted);
            (!same || first != Some(wanted)) && instances.iter().all(one)
        }));
        let mut offers = Vec::new();
        for syntax in syntaxes {
            offers.push(Offer::parts(DICOM).in_syntax(syntax));
            if single {
                offers.push(Offer::single(DICOM).in_syntax(syntax));
            }
        }
        offers
    }
}

impl Offer {
    /// The transfer syntax to convert to, where one is kept otherwise.
    pub(super) fn target(&self) -> Option<&'static str> {
        TARGETS.into_iter().find(|target| self.syntax.as_deref() == Some(target))
    }
}

/// An instance as a file, in `syntax` or as it is kept.
pub(super) fn file(
    instance: &IndexedInstance,
    syntax: Option<&'static str>,
) -> Result<[Piece; 2], Problem> {
    let meta = write_meta(Meta {
        sop_class: &instance.sop_class,
        sop_instance: &instance.uids.instance,
        transfer_syntax: syntax.unwrap_or(&instance.transfer_syntax),
        source_ae: None,
    });
    let meta = meta.map_err(|error| Error::internal("file meta group", error))?;
    let body = match syntax {
        Some(syntax) if syntax != instance.transfer_syntax => {
            Piece::Converted(Box::new(instance.clone()), syntax)
        }
        Some(_) | None => Piece::Stored(instance.location, 0..instance.location.length),
    };
    Ok([Piece::Text(meta.into()), body])
}

impl Shared {
    /// 304: it says what the caller has, and is entered like what is given.
    pub(super) async fn unchanged(
        &self,
        ask: &Ask,
        instances: &[IndexedInstance],
        etag: &str,
    ) -> Result<Response, Problem> {
        self.audit_view(&ask.requester, instances).await?;
        Ok(unchanged(etag))
    }
}

fn unchanged(etag: &str) -> Response {
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
    if let Some(length) = length {
        set(&mut response, CONTENT_LENGTH, &length.to_string());
    }
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
    let length = deliver::length(&pieces).unwrap_or(0);
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
        Piece::Text(self.head(&format!("{media}{syntax}"), location))
    }

    /// What stands after the last.
    pub(super) fn end(&self) -> Piece {
        Piece::Text(self.tail())
    }

    /// What stands before a part of the content type `content`.
    pub(super) fn head(&self, content: &str, location: &str) -> Bytes {
        Bytes::from(format!(
            "\r\n--{}\r\nContent-Type: {content}\r\nContent-Location: {location}\r\n\r\n",
            self.boundary
        ))
    }

    /// What stands after the last.
    pub(super) fn tail(&self) -> Bytes {
        Bytes::from(format!("\r\n--{}--\r\n", self.boundary))
    }
}
