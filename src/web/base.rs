//! What links in answers begin with.

use axum::extract::Request;
use axum::http::HeaderValue;
use axum::http::header::{AUTHORIZATION, HOST};
use axum::http::request::Parts;

use crate::app::credentials::Asked;

/// What a request says of who sends it, and to whom.
pub(super) fn asked(request: &Request) -> Asked<'_> {
    let header = |name| request.headers().get(name).map(HeaderValue::as_bytes);
    let authority = request.uri().authority().map(http::uri::Authority::as_str);
    Asked::new(header(AUTHORIZATION), authority, header(HOST))
}

/// Scheme and authority without a final slash: as configured, or as the caller asked.
pub(super) fn root(parts: &Parts, configured: Option<&str>, tls: bool) -> String {
    if let Some(configured) = configured {
        return configured.to_owned();
    }
    let scheme = if tls { "https" } else { "http" };
    let said = parts.headers.get(HOST).and_then(|host| host.to_str().ok());
    let host = parts.uri.authority().map(http::uri::Authority::as_str).or(said);
    let plain = |c: u8| c.is_ascii_alphanumeric() || b".-:[]_".contains(&c);
    let host = host.filter(|host| !host.is_empty() && host.bytes().all(plain));
    format!("{scheme}://{}", host.unwrap_or("localhost"))
}
