//! Who calls, by the `authorization` header of a call.

use crate::app::access::Caller;
use crate::app::credentials::Authenticator;
use crate::app::error::Error;

/// The caller behind the `authorization` header.
pub(super) fn caller(auth: &Authenticator, headers: &http::HeaderMap) -> Result<Caller, Error> {
    let value = headers.get(http::header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    auth.caller(value)
}
