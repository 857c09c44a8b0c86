//! Who calls, by the `authorization` header of a call.

use http::Extensions;

use super::identity::OPEN;
use crate::app::credentials::Authenticator;
use crate::app::error::Error;

/// Finds who is behind the `authorization` header, for the handler. Where people can sign in, what they
/// sign in with needs none.
pub(super) async fn admit(
    auth: &Authenticator,
    request: &mut http::Request<tonic::body::Body>,
) -> Result<(), Error> {
    if auth.accounts().is_some() && OPEN.contains(&request.uri().path()) {
        return Ok(());
    }
    let value = request.headers().get(http::header::AUTHORIZATION);
    let known = auth.identify(value.and_then(|value| value.to_str().ok())).await?;
    let extensions: &mut Extensions = request.extensions_mut();
    extensions.insert(known.caller.clone());
    extensions.insert(known);
    Ok(())
}
