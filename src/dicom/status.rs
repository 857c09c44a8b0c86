//! Statuses of DIMSE responses (PS3.7, annex C; PS3.4, B.2.3, C.4): what went wrong, and a comment
//! for people that holds no patient data.

use crate::app::error::Error;
use crate::app::imaging::{Kept, Refused, Stored};

/// A status with a comment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Status {
    pub(super) code: u16,
    pub(super) comment: String,
}

/// More answers follow.
pub(super) const PENDING: u16 = 0xFF00;
/// More answers follow; some keys asked for are not supported.
pub(super) const PENDING_UNSUPPORTED_KEYS: u16 = 0xFF01;
/// Stopped by C-CANCEL.
pub(super) const CANCEL: u16 = 0xFE00;
/// Some sub-operations failed.
pub(super) const SOME_FAILED: u16 = 0xB000;

impl Status {
    pub(super) const SUCCESS: Self = Self { code: 0, comment: String::new() };

    pub(super) fn new(code: u16, comment: impl Into<String>) -> Self {
        Self { code, comment: comment.into() }
    }
}

/// The status of a C-STORE.
pub(super) fn of_store(stored: &Result<Stored, Refused>) -> Status {
    match stored {
        Ok(Stored { kept: Kept::New | Kept::Known, .. }) => Status::SUCCESS,
        Ok(Stored { kept: Kept::Apart, .. }) => {
            Status::new(0x0111, "other content has this UID; this object is kept apart")
        }
        Err(refused) => of_refused(refused),
    }
}

/// The status of a refusal.
pub(super) fn of_refused(refused: &Refused) -> Status {
    match refused {
        Refused::Structure(error) => Status::new(0xC000, error.to_string()),
        Refused::Identity(error) => Status::new(0xA900, error.to_string()),
        Refused::NotAsAnnounced { .. } => Status::new(0xA900, refused.to_string()),
        Refused::TransferSyntax => Status::new(0xC000, refused.to_string()),
        Refused::TooLong => Status::new(0xA700, refused.to_string()),
        Refused::Node(error) => of_error(error, 0xA700),
    }
}

/// The status of an error of the node; `failure` where nothing else fits.
pub(super) fn of_error(error: &Error, failure: u16) -> Status {
    match error {
        Error::Denied { .. } | Error::Withheld { .. } | Error::Unauthenticated => {
            Status::new(0x0124, error.to_string())
        }
        Error::Invalid(_)
        | Error::NotFound { .. }
        | Error::RequestIdReused
        | Error::TooLarge { .. }
        | Error::Overloaded { .. }
        | Error::Unavailable { .. }
        | Error::DeadlineExceeded
        | Error::Refused { .. }
        | Error::Internal { .. } => Status::new(failure, error.to_string()),
    }
}
