//! Errors of the application as statuses of the link, and back. A node and its hub run the same
//! program, so the code says enough; words are for logs.

use std::time::Duration;

use tonic::{Code, Status};

use crate::app::error::{self, Error};

/// Seconds after which to ask again whom the other side does not answer now.
const RETRY_AFTER: &str = "retry-after";

/// An error as the other side reads it. Faults of ours are logged here with their cause.
pub(super) fn of(error: &Error) -> Status {
    if let Error::Internal { what, cause } = error {
        tracing::error!(what, cause = %cause, "internal fault");
    }
    let code = match error.code() {
        error::Code::InvalidArgument => Code::InvalidArgument,
        error::Code::Unauthenticated => Code::Unauthenticated,
        error::Code::PermissionDenied => Code::PermissionDenied,
        error::Code::NotFound => Code::NotFound,
        error::Code::RequestIdReused => Code::AlreadyExists,
        error::Code::TooLarge | error::Code::Overloaded => Code::ResourceExhausted,
        error::Code::Unavailable => Code::Unavailable,
        error::Code::DeadlineExceeded => Code::DeadlineExceeded,
        error::Code::FailedPrecondition => Code::FailedPrecondition,
        error::Code::Internal => Code::Internal,
    };
    let mut status = Status::new(code, error.public());
    if let Error::Overloaded { retry_after, .. } = error {
        status.metadata_mut().insert(RETRY_AFTER, retry_after.as_secs().max(1).into());
    }
    status
}

/// Another node attends under the same name.
pub(super) fn replaced() -> Status {
    Status::aborted("another node attends under the same name")
}

/// A message began and did not go on.
pub(super) fn stalled() -> Status {
    Status::deadline_exceeded("a message began and did not go on for two minutes")
}

/// What the other side said.
pub(super) fn error(status: Status) -> Error {
    let words = status.message().to_owned();
    if status.code() == Code::ResourceExhausted
        && let Some(after) = status.metadata().get(RETRY_AFTER)
        && let Some(seconds) = after.to_str().ok().and_then(|text| text.parse().ok())
    {
        return Error::Overloaded { what: "region", retry_after: Duration::from_secs(seconds) };
    }
    match status.code() {
        Code::NotFound => Error::NotFound { kind: "study" },
        Code::PermissionDenied => Error::Denied { action: "ask the region" },
        Code::InvalidArgument
        | Code::FailedPrecondition
        | Code::Unimplemented
        | Code::Unauthenticated => Error::Refused { reason: format!("the hub refuses: {words}") },
        Code::Ok
        | Code::Cancelled
        | Code::Unknown
        | Code::DeadlineExceeded
        | Code::AlreadyExists
        | Code::ResourceExhausted
        | Code::Aborted
        | Code::OutOfRange
        | Code::Internal
        | Code::Unavailable
        | Code::DataLoss => Error::Unavailable { what: "region", cause: Some(status.into()) },
    }
}

/// Why a node does not deliver, by its stable name.
pub(super) fn failure(reason: &str) -> Error {
    match reason {
        "NOT_FOUND" => Error::NotFound { kind: "study" },
        _ => Error::Unavailable {
            what: "node that holds the study",
            cause: Some(format!("it answered {}", reason.escape_debug()).into()),
        },
    }
}
