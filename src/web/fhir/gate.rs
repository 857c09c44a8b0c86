//! What every request passes before its handler: who calls, is there room, how long may it take. What
//! the server can do is told to everybody.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::HeaderValue;
use axum::http::header::X_CONTENT_TYPE_OPTIONS;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};

use super::Shared;
use super::outcome::Outcome;
use crate::app::error::Error;
use crate::web::base;
use crate::web::place::{held, place};

/// Where the server says what it can do.
const METADATA: &str = "/fhir/metadata";

/// `router` behind the gate.
pub(super) fn guarded(router: Router, shared: &Arc<Shared>) -> Router {
    router.layer(from_fn_with_state(Arc::clone(shared), gate))
}

async fn gate(State(shared): State<Arc<Shared>>, mut request: Request, next: Next) -> Response {
    let options = &shared.options;
    match shared.auth.caller(base::asked(&request)).await {
        Ok(caller) => {
            request.extensions_mut().insert(caller);
        }
        Err(_) if request.uri().path() == METADATA => {}
        Err(error) => return Outcome::from(error).into_response(),
    }
    let place = match place(&shared.places, options.wait_timeout, "FHIR door").await {
        Ok(place) => place,
        Err(error) => return Outcome::from(error).into_response(),
    };
    let answer = tokio::time::timeout(options.request_timeout, next.run(request)).await;
    let mut response =
        answer.unwrap_or_else(|_| Outcome::from(Error::DeadlineExceeded).into_response());
    let headers = response.headers_mut();
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    held(response, place)
}
