//! What every request passes before its handler: who calls, is there room, how long may it take.
//!
//! Preflight requests of browsers are answered before all that. A place is held until the answer
//! has gone out whole, so that slow readers count.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::{
    ACCEPT, AUTHORIZATION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, IF_NONE_MATCH,
    IF_RANGE, LOCATION, RANGE, RETRY_AFTER, WARNING,
};
use axum::http::{HeaderValue, Method};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use tower_http::cors::{AllowOrigin, Any, CorsLayer};

use super::Shared;
use super::problem::Problem;
use crate::app::error::Error;
use crate::app::imaging::Requester;
use crate::web::base;
use crate::web::place::{held, place};

/// `router` behind the gate.
pub(super) fn guarded(router: Router, shared: &Arc<Shared>) -> Router {
    let gated = router.layer(from_fn_with_state(Arc::clone(shared), gate));
    let origins = &shared.options.cors_origins;
    if origins.is_empty() { gated } else { gated.layer(cors(origins)) }
}

async fn gate(State(shared): State<Arc<Shared>>, mut request: Request, next: Next) -> Response {
    let options = &shared.options;
    let caller = match shared.auth.caller(base::asked(&request)).await {
        Ok(caller) => caller,
        Err(error) => return Problem::from(error).into_response(),
    };
    let place = match place(&shared.places, options.wait_timeout, "DICOMweb door").await {
        Ok(place) => place,
        Err(error) => return Problem::from(error).into_response(),
    };
    request.extensions_mut().insert(Requester::of(caller));
    let storing = request.method() == Method::POST;
    let answer = next.run(request);
    // A store takes as long as its body; it is given up when the body stands still.
    let response = if storing {
        answer.await
    } else {
        tokio::time::timeout(options.request_timeout, answer)
            .await
            .unwrap_or_else(|_| Problem::from(Error::DeadlineExceeded).into_response())
    };
    held(response, place)
}

fn cors(origins: &[String]) -> CorsLayer {
    let layer = CorsLayer::new()
        .allow_methods([Method::GET, Method::HEAD, Method::POST])
        .allow_headers([ACCEPT, AUTHORIZATION, CONTENT_TYPE, IF_NONE_MATCH, IF_RANGE, RANGE])
        .expose_headers([
            CONTENT_LENGTH,
            CONTENT_RANGE,
            CONTENT_TYPE,
            ETAG,
            LOCATION,
            RETRY_AFTER,
            WARNING,
        ]);
    if origins.iter().any(|origin| origin == "*") {
        return layer.allow_origin(Any);
    }
    let list = origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok());
    layer.allow_origin(AllowOrigin::list(list))
}
