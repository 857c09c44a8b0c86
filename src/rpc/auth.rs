//! Who calls, by the `authorization` header of a call.

use http::header::{AUTHORIZATION, HOST};
use http::uri::Authority;
use http::{Extensions, HeaderMap, HeaderValue, Uri};

use super::identity::OPEN;
use crate::app::credentials::{Asked, Authenticator};
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
    let asked = asked(request.headers(), request.uri());
    let known = auth.identify(asked).await?;
    let extensions: &mut Extensions = request.extensions_mut();
    extensions.insert(known.caller.clone());
    extensions.insert(known);
    Ok(())
}

/// What a request says of who sends it, and to whom.
fn asked<'a>(headers: &'a HeaderMap, uri: &'a Uri) -> Asked<'a> {
    let header = |name| headers.get(name).map(HeaderValue::as_bytes);
    Asked::new(header(AUTHORIZATION), uri.authority().map(Authority::as_str), header(HOST))
}
