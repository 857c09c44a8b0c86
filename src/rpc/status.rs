//! The one place where errors become a `tonic::Status`, with `google.rpc` details: which field and
//! what is allowed, a stable reason, and when to try again.

use std::collections::HashMap;
use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation, StatusExt as _};

use crate::app::error::{self, Error};

/// `google.rpc.ErrorInfo.domain` of every error.
pub const DOMAIN: &str = "xiangyi";

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        from_error(&error)
    }
}

/// Translates an application error. Faults of ours are logged with their cause; the caller reads
/// only what [`Error::public`] allows.
pub fn from_error(error: &Error) -> Status {
    let code = error.code();
    let mut details = ErrorDetails::with_error_info(code.name(), DOMAIN, HashMap::new());
    match error {
        Error::Invalid(problems) => {
            let violations = problems
                .iter()
                .map(|p| FieldViolation {
                    field: p.field.clone(),
                    description: p.allowed.clone(),
                    reason: String::new(),
                    localized_message: None,
                })
                .collect::<Vec<_>>();
            details.set_bad_request(violations);
        }
        Error::Overloaded { retry_after, .. } => {
            details.set_retry_info(Some(*retry_after));
        }
        Error::Unavailable { what, cause } => {
            details.set_retry_info(Some(Duration::from_secs(1)));
            tracing::warn!(
                what,
                cause = cause.as_ref().map(tracing::field::display),
                "unavailable"
            );
        }
        Error::Internal { what, cause } => {
            tracing::error!(what, cause = %cause, "internal fault");
        }
        Error::Unauthenticated
        | Error::Denied { .. }
        | Error::Withheld { .. }
        | Error::NotFound { .. }
        | Error::RequestIdReused
        | Error::TooLarge { .. }
        | Error::DeadlineExceeded
        | Error::Refused { .. } => {}
    }
    Status::with_error_details(wire(code), error.public(), details)
}

/// A request that is not valid protobuf. prost names the message and field, never the content.
pub fn undecodable(status: &Status) -> Status {
    from_error(&Error::field(
        "request",
        format!("must be a valid protobuf message with UTF-8 strings: {}", status.message()),
    ))
}

fn wire(code: error::Code) -> Code {
    match code {
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
    }
}
