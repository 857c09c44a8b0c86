//! Every error answer: a status, a reason and, where a parameter is wrong, which and what is
//! allowed, as `application/problem+json` (RFC 9457). The only place that turns errors into
//! statuses. No patient data, and no value that a caller sent.

use axum::http::header::{CONTENT_RANGE, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::app::error::{Code, Error, FieldProblem};
use crate::web::status;

/// An error answer.
#[derive(Debug)]
pub(super) struct Problem {
    status: StatusCode,
    code: &'static str,
    detail: String,
    fields: Vec<FieldProblem>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Problem {
    pub(super) fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self { status, code, detail: detail.into(), fields: Vec::new(), headers: Vec::new() }
    }

    /// 400 about one parameter.
    pub(super) fn field(field: &str, allowed: impl Into<String>) -> Self {
        Error::field(field, allowed).into()
    }

    /// 404.
    pub(super) fn not_found(kind: &'static str) -> Self {
        Error::NotFound { kind }.into()
    }

    /// 406: `offers` are the media types there are.
    pub(super) fn not_acceptable(offers: &[String]) -> Self {
        let detail = format!("none of the accepted media types is offered: {}", offers.join("; "));
        let mut problem = Self::new(StatusCode::NOT_ACCEPTABLE, "NOT_ACCEPTABLE", detail);
        problem.fields = vec![FieldProblem::new("accept", offers.join(", "))];
        problem
    }

    /// 413.
    pub(super) fn too_large(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "MESSAGE_TOO_LARGE", detail)
    }

    /// 415.
    pub(super) fn media_type(allowed: &str) -> Self {
        let detail = format!("content-type must be {allowed}");
        let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        let mut problem = Self::new(status, "UNSUPPORTED_MEDIA_TYPE", detail);
        problem.fields = vec![FieldProblem::new("content-type", allowed)];
        problem
    }

    /// 416 for something of `length` bytes.
    pub(super) fn range(length: u64) -> Self {
        let status = StatusCode::RANGE_NOT_SATISFIABLE;
        let detail = format!("the range lies outside the {length} bytes there are");
        let mut problem = Self::new(status, "RANGE_NOT_SATISFIABLE", detail);
        let value = HeaderValue::from_str(&format!("bytes */{length}"));
        problem.headers.extend(value.ok().map(|value| (CONTENT_RANGE, value)));
        problem
    }
}

/// 405; what is allowed stands in `allow`, which the router adds.
pub(super) async fn method_not_allowed() -> Problem {
    let status = StatusCode::METHOD_NOT_ALLOWED;
    Problem::new(status, "METHOD_NOT_ALLOWED", "the resource has no such method")
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let code = error.code();
        if matches!(code, Code::Internal | Code::Unavailable) {
            tracing::warn!(error = crate::app::chain(&error), "DICOMweb");
        }
        let mut problem = Self::new(status(code), code.name(), error.public());
        match error {
            Error::Invalid(fields) => problem.fields = fields,
            Error::Unauthenticated => {
                problem.headers.push((WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")));
            }
            Error::Overloaded { retry_after, .. } => {
                let seconds = retry_after.as_secs().max(1);
                problem.headers.push((RETRY_AFTER, HeaderValue::from(seconds)));
            }
            Error::Unavailable { .. } | Error::DeadlineExceeded => {
                problem.headers.push((RETRY_AFTER, HeaderValue::from(5_u16)));
            }
            Error::Denied { .. }
            | Error::Withheld { .. }
            | Error::NotFound { .. }
            | Error::RequestIdReused
            | Error::TooLarge { .. }
            | Error::Refused { .. }
            | Error::Internal { .. } => {}
        }
        problem
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let fields: Vec<_> = self
            .fields
            .iter()
            .map(|problem| json!({ "field": problem.field, "allowed": problem.allowed }))
            .collect();
        let mut body = json!({
            "title": self.status.canonical_reason().unwrap_or_default(),
            "status": self.status.as_u16(),
            "code": self.code,
            "detail": self.detail,
        });
        if let (Some(body), false) = (body.as_object_mut(), fields.is_empty()) {
            body.insert("fields".to_owned(), fields.into());
        }
        let mut response = (self.status, body.to_string()).into_response();
        let kind = HeaderValue::from_static("application/problem+json");
        response.headers_mut().insert(CONTENT_TYPE, kind);
        response.headers_mut().extend(self.headers);
        response
    }
}
