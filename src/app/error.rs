//! The one application error. No transport types; doors translate it.
//!
//! What a caller may read ([`Error::public`]) and what only an operator's log may hold (the
//! `#[source]` chain) are apart, and neither ever carries patient data.

use std::time::Duration;

/// One field of a request that cannot be accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldProblem {
    /// Path in the request, for example `lines[2].days`.
    pub field: String,
    /// What is wrong and what is allowed, without repeating the value.
    pub allowed: String,
}

impl FieldProblem {
    /// A problem with `field`.
    pub fn new(field: impl Into<String>, allowed: impl Into<String>) -> Self {
        Self { field: field.into(), allowed: allowed.into() }
    }
}

/// A cause that only logs may show.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Why a use case did not answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The request breaks the contract.
    #[error("invalid request ({} problems)", .0.len())]
    Invalid(Vec<FieldProblem>),
    /// Nobody said who calls.
    #[error("caller is not authenticated")]
    Unauthenticated,
    /// The caller may not do this.
    #[error("caller may not {action}")]
    Denied {
        /// What was asked, for example `reload_models`.
        action: &'static str,
    },
    /// The region's policy does not allow this read; the reason is fit for the caller.
    #[error("withheld: {reason}")]
    Withheld {
        /// Why, in Chinese, without patient data.
        reason: String,
    },
    /// There is no such thing, or not for this caller.
    #[error("{kind} not found")]
    NotFound {
        /// What was looked for.
        kind: &'static str,
    },
    /// A request id came back with other content.
    #[error("request id was used before with other content")]
    RequestIdReused,
    /// A message is larger than the node takes.
    #[error("message is larger than {bytes_max} bytes")]
    TooLarge {
        /// Most bytes taken.
        bytes_max: usize,
    },
    /// Too much is waiting.
    #[error("{what} is full")]
    Overloaded {
        /// Which queue.
        what: &'static str,
        /// When to try again.
        retry_after: Duration,
    },
    /// The node starts, drains or lost a part it needs.
    #[error("{what} is not available")]
    Unavailable {
        /// Which part.
        what: &'static str,
        /// The cause, for the log.
        #[source]
        cause: Option<Cause>,
    },
    /// The time the caller gave has run out.
    #[error("deadline passed")]
    DeadlineExceeded,
    /// The state does not allow it; the reason is fit for the caller.
    #[error("refused: {reason}")]
    Refused {
        /// Why, without patient data.
        reason: String,
    },
    /// A fault of ours.
    #[error("internal fault in {what}")]
    Internal {
        /// Where.
        what: &'static str,
        /// The cause, for the log.
        #[source]
        cause: Cause,
    },
}

/// Stable machine-readable names of the errors (`google.rpc.ErrorInfo.reason`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// The request breaks the contract.
    InvalidArgument,
    /// Nobody said who calls.
    Unauthenticated,
    /// The caller may not do this.
    PermissionDenied,
    /// There is no such thing.
    NotFound,
    /// A request id came back with other content.
    RequestIdReused,
    /// A message is larger than the node takes.
    TooLarge,
    /// Too much is waiting.
    Overloaded,
    /// Not now.
    Unavailable,
    /// Too late.
    DeadlineExceeded,
    /// The state does not allow it.
    FailedPrecondition,
    /// A fault of ours.
    Internal,
}

impl Error {
    /// An [`Error::Invalid`] about one field.
    pub fn field(field: impl Into<String>, allowed: impl Into<String>) -> Self {
        Self::Invalid(vec![FieldProblem::new(field, allowed)])
    }

    /// An [`Error::Internal`].
    pub fn internal(what: &'static str, cause: impl Into<Cause>) -> Self {
        Self::Internal { what, cause: cause.into() }
    }

    /// The stable code.
    pub fn code(&self) -> Code {
        match self {
            Self::Invalid(_) => Code::InvalidArgument,
            Self::Unauthenticated => Code::Unauthenticated,
            Self::Denied { .. } | Self::Withheld { .. } => Code::PermissionDenied,
            Self::NotFound { .. } => Code::NotFound,
            Self::RequestIdReused => Code::RequestIdReused,
            Self::TooLarge { .. } => Code::TooLarge,
            Self::Overloaded { .. } => Code::Overloaded,
            Self::Unavailable { .. } => Code::Unavailable,
            Self::DeadlineExceeded => Code::DeadlineExceeded,
            Self::Refused { .. } => Code::FailedPrecondition,
            Self::Internal { .. } => Code::Internal,
        }
    }

    /// Whether the same call may succeed later.
    pub fn retryable(&self) -> bool {
        match self {
            Self::Overloaded { .. } | Self::Unavailable { .. } | Self::DeadlineExceeded => true,
            Self::Invalid(_)
            | Self::Unauthenticated
            | Self::Denied { .. }
            | Self::Withheld { .. }
            | Self::NotFound { .. }
            | Self::RequestIdReused
            | Self::TooLarge { .. }
            | Self::Refused { .. }
            | Self::Internal { .. } => false,
        }
    }

    /// What the caller may read.
    pub fn public(&self) -> String {
        match self {
            Self::Invalid(problems) => {
                let mut text = "invalid request".to_owned();
                for (i, p) in problems.iter().take(5).enumerate() {
                    text.push_str(if i == 0 { ": " } else { "; " });
                    text.push_str(&p.field);
                    text.push(' ');
                    text.push_str(&p.allowed);
                }
                if problems.len() > 5 {
                    text.push_str("; and more, see details");
                }
                text
            }
            Self::Internal { what, .. } => format!("internal fault in {what}, see the node's log"),
            Self::Unauthenticated => {
                "no valid credentials: send `authorization: Bearer <token>`".to_owned()
            }
            Self::Denied { .. }
            | Self::Withheld { .. }
            | Self::NotFound { .. }
            | Self::RequestIdReused
            | Self::TooLarge { .. }
            | Self::Overloaded { .. }
            | Self::Unavailable { .. }
            | Self::DeadlineExceeded
            | Self::Refused { .. } => self.to_string(),
        }
    }
}

impl Code {
    /// The name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::InvalidArgument => "INVALID_ARGUMENT",
            Self::Unauthenticated => "UNAUTHENTICATED",
            Self::PermissionDenied => "PERMISSION_DENIED",
            Self::NotFound => "NOT_FOUND",
            Self::RequestIdReused => "REQUEST_ID_REUSED",
            Self::TooLarge => "MESSAGE_TOO_LARGE",
            Self::Overloaded => "OVERLOADED",
            Self::Unavailable => "UNAVAILABLE",
            Self::DeadlineExceeded => "DEADLINE_EXCEEDED",
            Self::FailedPrecondition => "FAILED_PRECONDITION",
            Self::Internal => "INTERNAL",
        }
    }
}
