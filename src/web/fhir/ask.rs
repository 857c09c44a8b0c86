//! What every handler reads from a request: who asks, for what and why, and in which form; and how an
//! answer is put together.

use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::header::{ACCEPT, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, ETAG, HeaderName};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde_json::Value;

use super::Shared;
use super::outcome::{FHIR_JSON, Outcome};
use crate::app::access::Caller;
use crate::app::error::Error;
use crate::app::records::Purpose;
use crate::web::base::root;
use crate::web::etag::not_modified;
use crate::web::media::{Media, Wish, split};

/// Says why something is read (HL7 v3 `PurposeOfUse`).
const PURPOSE: HeaderName = HeaderName::from_static("x-purpose-of-use");
/// Says what is preferred (RFC 7240).
const PREFER: HeaderName = HeaderName::from_static("prefer");
/// Parameters of a request at most.
pub(super) const PARAMETERS_MAX: usize = 256;
/// Media ranges of a request at most.
const RANGES_MAX: usize = 64;

/// A request.
#[derive(Debug)]
pub(super) struct Ask {
    caller: Option<Caller>,
    /// Headers.
    pub(super) headers: HeaderMap,
    /// Parameters, decoded.
    pub(super) parameters: Vec<(String, String)>,
    id: Option<String>,
    /// Base URL of the façade, without a final slash.
    pub(super) base: String,
}

impl Ask {
    /// Who asks.
    pub(super) fn caller(&self) -> Result<&Caller, Outcome> {
        self.caller.as_ref().ok_or_else(|| Error::Unauthenticated.into())
    }

    /// What a path names. What can be no id of R4 is not there.
    pub(super) fn id(&self, kind: &'static str) -> Result<&str, Outcome> {
        let id = self.id.as_deref().unwrap_or_default();
        let fits = (1..=64).contains(&id.len())
            && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.');
        if fits { Ok(id) } else { Err(Outcome::not_found(kind)) }
    }

    /// Why it is read.
    pub(super) fn purpose(&self) -> Result<Purpose, Outcome> {
        let said = self.headers.get(PURPOSE).and_then(|value| value.to_str().ok());
        let known = [
            Purpose::Treatment,
            Purpose::Emergency,
            Purpose::Quality,
            Purpose::PublicHealth,
            Purpose::PatientRequest,
        ];
        let purpose = known.into_iter().find(|purpose| Some(purpose.id()) == said.map(str::trim));
        purpose.ok_or_else(|| {
            let allowed = "must say why this is read: TREAT, ETREAT, HQUALIMP, PUBHLTH or PATRQT";
            Outcome::field("header X-Purpose-Of-Use", allowed)
        })
    }

    /// A parameter by name; the last one counts.
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        let found = self.parameters.iter().rev().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// 406 unless the caller takes JSON. `_format` wins over `Accept`.
    pub(super) fn accepts_json(&self) -> Result<(), Outcome> {
        if let Some(format) = self.parameter("_format") {
            // A plus sign that was not encoded is a space by now.
            let format = format.replace(' ', "+");
            let kind = format.split(';').next().unwrap_or_default().trim_end_matches('+');
            let known = ["json", "application/json", "application/fhir+json", "text/json"];
            return if known.contains(&kind) { Ok(()) } else { Err(Outcome::not_acceptable()) };
        }
        let wishes = self.wishes()?;
        let offered = ["application/fhir+json", "application/json"];
        let wanted = |offer: &&str| weight(&wishes, offer).is_some_and(|weight| weight > 0);
        if wishes.is_empty() || offered.iter().any(wanted) {
            Ok(())
        } else {
            Err(Outcome::not_acceptable())
        }
    }

    /// Whether the caller asks by name for FHIR's JSON, not for whatever there is.
    pub(super) fn names_json(&self) -> Result<bool, Outcome> {
        if self.parameter("_format").is_some() {
            self.accepts_json()?;
            return Ok(true);
        }
        let named = |wish: &Wish| wish.media.closeness("application/fhir+json") == Some(3);
        Ok(self.wishes()?.iter().any(|wish| named(wish) && wish.weight > 0))
    }

    /// Whether the caller takes this media type.
    pub(super) fn accepts(&self, media: &str) -> Result<bool, Outcome> {
        let wishes = self.wishes()?;
        Ok(wishes.is_empty() || weight(&wishes, media).is_some_and(|weight| weight > 0))
    }

    fn wishes(&self) -> Result<Vec<Wish>, Outcome> {
        let mut wishes = Vec::new();
        let lines = self.headers.get_all(ACCEPT).iter().map(|v| v.to_str().unwrap_or("?"));
        for text in lines.flat_map(|line| split(line, ',')).filter(|text| !text.trim().is_empty()) {
            let wish = Wish::parse(text).filter(|_| wishes.len() < RANGES_MAX);
            let wish = wish
                .ok_or_else(|| Outcome::field("header Accept", "must be a list of media types"))?;
            wishes.push(wish);
        }
        Ok(wishes)
    }

    /// Whether a preference was said, for example `handling=strict`.
    pub(super) fn prefers(&self, preference: &str) -> bool {
        let lines = self.headers.get_all(PREFER).iter().filter_map(|value| value.to_str().ok());
        let mut said = lines.flat_map(|line| line.split([',', ';']));
        said.any(|one| one.trim().replace('"', "").eq_ignore_ascii_case(preference))
    }

    /// 415 unless the body is one of these.
    pub(super) fn content(&self, allowed: &[&str]) -> Result<(), Outcome> {
        let said = self.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let media = said.and_then(Media::parse);
        let fits = media.is_some_and(|media| {
            let name = format!("{}/{}", media.kind, media.sub);
            let utf8 = media.parameter("charset").is_none_or(|c| c.eq_ignore_ascii_case("utf-8"));
            utf8 && allowed.contains(&name.as_str())
        });
        if fits { Ok(()) } else { Err(Outcome::media_type(&allowed.join(" or "))) }
    }

    /// The whole body; 413 if it has more bytes.
    pub(super) async fn body(&self, body: Body, bytes_max: usize) -> Result<Bytes, Outcome> {
        let said = self.headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok());
        let said = said.and_then(|value| value.parse::<usize>().ok());
        if said.is_some_and(|bytes| bytes > bytes_max) {
            return Err(Outcome::too_large(bytes_max));
        }
        // One byte more than allowed tells a body that is too large from one that broke off.
        let read = to_bytes(body, bytes_max.saturating_add(1)).await;
        match read {
            Ok(bytes) if bytes.len() <= bytes_max => Ok(bytes),
            Ok(_) => Err(Outcome::too_large(bytes_max)),
            Err(error) if said.is_none() && !broke_off(&error) => {
                Err(Outcome::too_large(bytes_max))
            }
            Err(_) => Err(Outcome::field("body", "must come whole")),
        }
    }

    /// 304 if the caller has what the tag names, else the answer with the tag.
    pub(super) fn tagged(&self, etag: &str, mut response: Response) -> Response {
        let value = HeaderValue::from_str(etag).ok();
        if not_modified(&self.headers, etag.strip_prefix("W/").unwrap_or(etag)) {
            response = StatusCode::NOT_MODIFIED.into_response();
        }
        let headers = response.headers_mut();
        headers.extend(value.map(|value| (ETAG, value)));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
        response
    }
}

/// Whether a body ended before its end, not at the limit.
fn broke_off(error: &axum::Error) -> bool {
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    while let Some(one) = cause {
        if one.to_string().contains("length limit exceeded") {
            return false;
        }
        cause = one.source();
    }
    true
}

/// The weight that the closest of the ranges gives.
fn weight(wishes: &[Wish], media: &str) -> Option<u16> {
    let fits = wishes
        .iter()
        .filter_map(|wish| wish.media.closeness(media).map(|closeness| (closeness, wish.weight)));
    fits.max().map(|(_, weight)| weight)
}

/// A resource.
pub(super) fn json(resource: &Value) -> Response {
    bytes(FHIR_JSON, resource.to_string().into())
}

/// Bytes of a media type.
pub(super) fn bytes(media: &str, body: Bytes) -> Response {
    let mut response = Body::from(body).into_response();
    let kind = HeaderValue::from_str(media)
        .unwrap_or(HeaderValue::from_static("application/octet-stream"));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, kind);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Parameters of a query or a form.
pub(super) fn parameters(encoded: &[u8]) -> Result<Vec<(String, String)>, Outcome> {
    let read: Vec<(String, String)> = form_urlencoded::parse(encoded)
        .take(PARAMETERS_MAX + 1)
        .map(|(name, value)| (name.into_owned(), value.into_owned()))
        .collect();
    if read.len() > PARAMETERS_MAX {
        return Err(Outcome::field("query", "must have at most 256 parameters"));
    }
    Ok(read)
}

impl FromRequestParts<Arc<Shared>> for Ask {
    type Rejection = Outcome;

    async fn from_request_parts(
        parts: &mut Parts,
        state: &Arc<Shared>,
    ) -> Result<Self, Self::Rejection> {
        let path = RawPathParams::from_request_parts(parts, state)
            .await
            .map_err(|_| Outcome::field("path", "must be UTF-8, percent-encoded"))?;
        let id = path.iter().find(|(name, _)| *name == "id").map(|(_, value)| value.to_owned());
        let root = root(parts, state.options.base_url.as_deref(), state.options.tls.is_some());
        Ok(Self {
            caller: parts.extensions.get::<Caller>().cloned(),
            headers: parts.headers.clone(),
            parameters: parameters(parts.uri.query().unwrap_or_default().as_bytes())?,
            id,
            base: format!("{root}/fhir"),
        })
    }
}
