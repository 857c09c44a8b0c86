//! Every error answer: a status and an `OperationOutcome` that tells what is wrong, where, and what is
//! allowed. The only place that turns errors into answers. No patient data, and no value that a caller
//! sent.

use std::error::Error as StdError;

use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};

use crate::app::error::{Code, Error};
use crate::app::records::ports::NameTaken;
use crate::sharing::discharge::fhir::resources::operation_outcome;
use crate::sharing::discharge::{Problem, Severity};
use crate::web::status;

/// Media type of everything but the bytes of originals.
pub(super) const FHIR_JSON: &str = "application/fhir+json; charset=utf-8";
/// Problems told at most.
const PROBLEMS_MAX: usize = 1_000;

/// An error answer.
#[derive(Debug)]
pub(super) struct Outcome {
    status: StatusCode,
    problems: Vec<Problem>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Outcome {
    fn new(status: StatusCode, code: &str, message: impl Into<String>) -> Self {
        let problems = vec![Problem::fatal("/", code, message)];
        Self { status, problems, headers: Vec::new() }
    }

    /// 400 about one parameter or header.
    pub(super) fn field(field: &str, allowed: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid", format!("{field} {allowed}"))
    }

    /// 400 about something of R4 that this server does not do.
    pub(super) fn not_supported(field: &str, why: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "not_supported", format!("{field} {why}"))
    }

    /// 404.
    pub(super) fn not_found(kind: &'static str) -> Self {
        Error::NotFound { kind }.into()
    }

    /// 406.
    pub(super) fn not_acceptable() -> Self {
        let message = "none of the accepted formats is offered: application/fhir+json";
        Self::new(StatusCode::NOT_ACCEPTABLE, "not_supported", message)
    }

    /// 409.
    pub(super) fn conflict(version: u32) -> Self {
        let message = format!(
            "已有另一份文档使用相同的标识和版本号{version}：更正的文档应使用更高的版本号（meta.versionId）"
        );
        Self::new(StatusCode::CONFLICT, "version_conflict", message)
    }

    /// 409: the identifier is another record's.
    pub(super) fn name_taken(whose: NameTaken) -> Self {
        let message = match whose {
            NameTaken::OtherPatient => {
                "此文书编号已用于另一患者的出院记录，该记录保持不变：若是更正，请写明更高的版本号\
                （meta.versionId）或用relatesTo声明replaces该编号；若是另一份文书，请换用新的编号"
            }
            NameTaken::OtherInstitution => {
                "此文书编号属于另一机构的出院记录，该记录保持不变：请用本机构自己的标识根（OID）\
                重新编号；不要用提高版本号的办法提交"
            }
        };
        Self::new(StatusCode::CONFLICT, "name_taken", message)
    }

    /// 413.
    pub(super) fn too_large(bytes_max: usize) -> Self {
        Error::TooLarge { bytes_max }.into()
    }

    /// 415.
    pub(super) fn media_type(allowed: &str) -> Self {
        let message = format!("content-type must be {allowed}");
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not_supported", message)
    }

    /// 422: a record that is kept and cannot be read here.
    pub(super) fn unreadable() -> Self {
        let message = "本机无法解读这份文档，请取原件（Binary）";
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "not_supported", message)
    }

    /// What was sent cannot be taken: 400 where it is no JSON, 413 where it is too large, else 422.
    pub(super) fn refused(problems: Vec<Problem>) -> Self {
        let has = |codes: &[&str]| problems.iter().any(|p| codes.contains(&p.code.as_str()));
        let status = if has(&["too_large"]) {
            StatusCode::PAYLOAD_TOO_LARGE
        } else if has(&["not_json", "not_utf8", "bom", "too_deep", "too_many"]) {
            StatusCode::BAD_REQUEST
        } else {
            StatusCode::UNPROCESSABLE_ENTITY
        };
        Self { status, problems, headers: Vec::new() }
    }

    /// 500 by something that cannot be.
    pub(super) fn fault(cause: impl StdError + Send + Sync + 'static) -> Self {
        Error::internal("FHIR", cause).into()
    }
}

/// 405; what is allowed stands in `allow`, which the router adds.
pub(super) async fn method_not_allowed() -> Outcome {
    let message = "the resource has no such interaction; see metadata";
    Outcome::new(StatusCode::METHOD_NOT_ALLOWED, "not_supported", message)
}

impl From<Error> for Outcome {
    fn from(error: Error) -> Self {
        let code = error.code();
        if matches!(code, Code::Internal | Code::Unavailable) {
            tracing::warn!(error = crate::app::chain(&error), "FHIR");
        }
        let name = if code == Code::TooLarge { "too_large" } else { code.name() };
        let name = name.to_ascii_lowercase();
        let mut outcome = Self::new(status(code), &name, error.public());
        match error {
            Error::Invalid(fields) => {
                let told = fields.into_iter().map(|field| {
                    Problem::fatal("/", "invalid", format!("{} {}", field.field, field.allowed))
                });
                outcome.problems = told.collect();
            }
            Error::Unauthenticated => {
                outcome.headers.push((WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")));
            }
            Error::Denied { .. } => {
                let value = HeaderValue::from_static("Bearer error=\"insufficient_scope\"");
                outcome.headers.push((WWW_AUTHENTICATE, value));
            }
            Error::Overloaded { retry_after, .. } => {
                let seconds = retry_after.as_secs().max(1);
                outcome.headers.push((RETRY_AFTER, HeaderValue::from(seconds)));
            }
            Error::Unavailable { .. } | Error::DeadlineExceeded => {
                outcome.headers.push((RETRY_AFTER, HeaderValue::from(5_u16)));
            }
            // Other credentials would not help, another purpose may.
            Error::Withheld { .. }
            | Error::NotFound { .. }
            | Error::RequestIdReused
            | Error::TooLarge { .. }
            | Error::Refused { .. }
            | Error::Internal { .. } => {}
        }
        outcome
    }
}

impl IntoResponse for Outcome {
    fn into_response(self) -> Response {
        let mut problems = self.problems;
        // What refuses comes first, so that it is among those that are told.
        problems.sort_by_key(|problem| std::cmp::Reverse(problem.severity));
        if problems.len() > PROBLEMS_MAX {
            let left = problems.len() - PROBLEMS_MAX;
            problems.truncate(PROBLEMS_MAX);
            let message = format!("另有{left}个问题未列出");
            problems.push(Problem::new(Severity::Information, "/", "document_named", message));
        }
        let body = operation_outcome(&problems).to_string();
        let mut response = (self.status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(FHIR_JSON));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.extend(self.headers);
        response
    }
}
