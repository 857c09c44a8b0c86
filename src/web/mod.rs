//! The HTTP door beside gRPC: `GET /metrics` (Prometheus) and `GET /healthz`. Loopback only.
//!
//! `DICOMweb` and FHIR have doors of their own ([`dicomweb`], [`fhir`]); a console joins later.

mod base;
pub mod dicomweb;
mod etag;
pub mod fhir;
pub mod jwks;
mod media;
mod place;
mod server;

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::app::error::Code;
use crate::telemetry::Metrics;

/// Serves until `stop`.
pub async fn serve(
    listener: TcpListener,
    app: Arc<App>,
    metrics: Arc<Metrics>,
    stop: CancellationToken,
) -> std::io::Result<()> {
    let router = Router::new()
        .route("/metrics", get(render))
        .with_state(metrics)
        .merge(Router::new().route("/healthz", get(healthz)).with_state(app));
    axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned()).await
}

async fn render(State(metrics): State<Arc<Metrics>>) -> impl IntoResponse {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], metrics.render())
}

async fn healthz(State(app): State<Arc<App>>) -> impl IntoResponse {
    match app.ready().await {
        Ok(()) => (StatusCode::OK, "ok\n".to_owned()),
        Err(error) => (StatusCode::SERVICE_UNAVAILABLE, format!("{}\n", error.public())),
    }
}

/// The status that an error has at every HTTP door.
fn status(code: Code) -> StatusCode {
    match code {
        Code::InvalidArgument => StatusCode::BAD_REQUEST,
        Code::Unauthenticated => StatusCode::UNAUTHORIZED,
        Code::PermissionDenied => StatusCode::FORBIDDEN,
        Code::NotFound => StatusCode::NOT_FOUND,
        Code::RequestIdReused | Code::FailedPrecondition => StatusCode::CONFLICT,
        Code::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Code::Overloaded => StatusCode::TOO_MANY_REQUESTS,
        Code::Unavailable | Code::DeadlineExceeded => StatusCode::SERVICE_UNAVAILABLE,
        Code::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}
