//! The FHIR R4 door: a façade over discharge records, and nothing more.
//!
//! `GET /fhir/metadata`; `POST /fhir/Bundle`; `DocumentReference` searched and read;
//! `Composition/{id}/$document`; `Binary/{id}`, the bytes as they came; `POST /fhir/Patient/$match`.
//! Every request passes [`gate`] first; every error is an `OperationOutcome` built in [`outcome`].
//! One id leads to a version of a record under `DocumentReference`, `Composition` and `Binary`, and is
//! the id that creating a `Bundle` tells.
//!
//! Deliberately absent: transactions and batches (`POST /fhir`), updates, reading a `Bundle` or a
//! `Patient`, XML, terminology, subscriptions, and CORS.

mod ask;
mod bundle;
mod dates;
mod document;
mod gate;
mod outcome;
mod people;
mod search;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::Uri;
use axum::response::Response;
use axum::routing::{get, post};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::ask::{Ask, json};
use self::outcome::Outcome;
use super::server::{self, Connections};
use crate::app::App;
use crate::app::credentials::Authenticator;
use crate::sharing::discharge::Moment;
use crate::sharing::discharge::fhir::resources::{Server, capability_statement};

/// When the statement of capabilities was last changed.
const STATED: &str = "2026-11-29";

/// How the door is set up.
pub struct DoorOptions {
    /// What links in answers begin with before `/fhir`; none: what the caller asked.
    pub base_url: Option<String>,
    /// Requests at the same time.
    pub concurrency_max: usize,
    /// Connections at the same time.
    pub connections_max: usize,
    /// How long a request may wait for its turn.
    pub wait_timeout: Duration,
    /// How long a request may take until its answer begins, its body included.
    pub request_timeout: Duration,
    /// How long a peer may send or take nothing while something is to be sent.
    pub idle_timeout: Duration,
    /// TLS, or plain on loopback.
    pub tls: Option<TlsAcceptor>,
}

/// A door that is ready to serve.
#[derive(Debug)]
pub struct Door(Arc<Shared>);

/// What every request sees.
#[derive(Debug)]
struct Shared {
    app: Arc<App>,
    auth: Authenticator,
    options: DoorOptions,
    places: Arc<Semaphore>,
}

impl std::fmt::Debug for DoorOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DoorOptions").field("tls", &self.tls.is_some()).finish_non_exhaustive()
    }
}

impl Door {
    /// A door to `app`.
    pub fn new(app: Arc<App>, auth: Authenticator, options: DoorOptions) -> Self {
        let places = Arc::new(Semaphore::new(options.concurrency_max.max(1)));
        Self(Arc::new(Shared { app, auth, options, places }))
    }

    /// Serves until `stop`, then lets running requests finish.
    pub async fn serve(self, listener: TcpListener, tasks: TaskTracker, stop: CancellationToken) {
        let options = &self.0.options;
        let connections = Connections {
            door: "FHIR",
            most: options.connections_max,
            idle_timeout: options.idle_timeout,
            tls: options.tls.clone(),
        };
        server::serve(self.router(), connections, listener, (tasks, stop)).await;
    }

    fn router(&self) -> Router {
        let router = Router::new()
            .route("/fhir/metadata", get(metadata))
            .route("/fhir/Bundle", post(bundle::create))
            .route("/fhir/DocumentReference", get(search::search))
            .route("/fhir/DocumentReference/_search", post(search::search_form))
            .route("/fhir/DocumentReference/{id}", get(search::read))
            .route(
                "/fhir/Composition/{id}/$document",
                get(document::document).post(document::document_posted),
            )
            .route("/fhir/Binary/{id}", get(document::binary))
            .route("/fhir/Patient/$match", post(people::matches))
            .fallback(nowhere)
            .method_not_allowed_fallback(outcome::method_not_allowed)
            .with_state(Arc::clone(&self.0));
        gate::guarded(router, &self.0)
    }
}

async fn nowhere(_: Uri) -> Outcome {
    Outcome::not_found("resource")
}

async fn metadata(State(_): State<Arc<Shared>>, ask: Ask) -> Result<Response, Outcome> {
    ask.accepts_json()?;
    let date = Moment::iso(STATED).map_err(Outcome::fault)?;
    let server = Server { base: &ask.base, version: env!("CARGO_PKG_VERSION"), date: &date };
    Ok(json(&capability_statement(&server)))
}
