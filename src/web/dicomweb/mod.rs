//! The `DICOMweb` door (PS3.18): what the imaging use cases offer, over HTTP.
//!
//! Searches (QIDO-RS), retrieval of objects, metadata, frames, bulk data and rendered images
//! (WADO-RS, WADO-URI) and storage (STOW-RS), below `/dicom-web` and, for WADO-URI, `/wado`.
//! Every request passes [`gate`] first; every error is built in [`problem`]. Objects go out from
//! the archive and come in to it piece by piece, none is held whole.
//!
//! Deliberately absent: worklists over the web (UPS-RS), XML in what is stored, and changing what is
//! stored.

mod accept;
mod ask;
mod audit;
mod conditional;
mod deliver;
mod frames;
mod gate;
mod known;
mod metadata;
pub mod multipart;
mod problem;
mod rendered;
mod rendered_all;
mod retrieve;
mod search;
mod server;
mod store;
mod uri;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::Uri;
use axum::routing::get;
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;

use self::problem::Problem;
use crate::app::credentials::Authenticator;
use crate::app::imaging::Imaging;
use crate::app::imaging::render::Renderer;

/// Memory for whole objects that frames are taken from is counted in pieces of so many bytes.
const MEMORY_UNIT_BYTES: u64 = 1 << 20;
/// Bytes of whole objects that are in memory at the same time.
const MEMORY_BYTES_MAX: u64 = 512 << 20;

/// How the door is set up.
pub struct DoorOptions {
    /// What links in answers begin with; none: what the caller asked.
    pub base_url: Option<String>,
    /// Origins of viewers in browsers; `*` for any.
    pub cors_origins: Vec<String>,
    /// Largest body of a request, in bytes.
    pub body_bytes_max: u64,
    /// Requests at the same time.
    pub concurrency_max: usize,
    /// Connections at the same time.
    pub connections_max: usize,
    /// How long a request may wait for its turn.
    pub wait_timeout: Duration,
    /// How long a request other than a store may take until its answer begins.
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
struct Shared {
    imaging: Arc<Imaging>,
    renderer: Arc<dyn Renderer>,
    auth: Authenticator,
    options: DoorOptions,
    places: Arc<Semaphore>,
    seen: audit::Seen,
    known: known::Known,
    memory: Arc<Semaphore>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("renderer", &self.renderer).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for DoorOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DoorOptions").field("tls", &self.tls.is_some()).finish_non_exhaustive()
    }
}

impl Door {
    /// A door to `imaging`.
    pub fn new(
        imaging: Arc<Imaging>,
        renderer: Arc<dyn Renderer>,
        auth: Authenticator,
        options: DoorOptions,
    ) -> Self {
        let places = Arc::new(Semaphore::new(options.concurrency_max.max(1)));
        let (seen, known) = (audit::Seen::default(), known::Known::default());
        let units = usize::try_from(MEMORY_BYTES_MAX / MEMORY_UNIT_BYTES).unwrap_or(usize::MAX);
        let memory = Arc::new(Semaphore::new(units));
        Self(Arc::new(Shared { imaging, renderer, auth, options, places, seen, known, memory }))
    }

    fn router(&self) -> Router {
        // Series and instances stand below their study only.
        let instance = Router::new()
            .route("/", get(retrieve::objects))
            .route("/metadata", get(metadata::metadata))
            .route("/rendered", get(rendered::rendered))
            .route("/thumbnail", get(rendered::thumbnail))
            .route("/bulkdata/{*bulk}", get(metadata::bulk))
            .route("/frames/{frames}", get(frames::frames))
            .route("/frames/{frames}/rendered", get(rendered::rendered))
            .route("/frames/{frames}/thumbnail", get(rendered::thumbnail));
        let series = Router::new()
            .route("/", get(retrieve::objects))
            .route("/metadata", get(metadata::metadata))
            .route("/rendered", get(rendered_all::rendered))
            .route("/thumbnail", get(rendered::thumbnail))
            .route("/instances", get(search::instances))
            .nest("/instances/{instance}", instance);
        let study = Router::new()
            .route("/", get(retrieve::objects).post(store::store))
            .route("/metadata", get(metadata::metadata))
            .route("/rendered", get(rendered_all::rendered))
            .route("/thumbnail", get(rendered::thumbnail))
            .route("/series", get(search::series))
            .route("/instances", get(search::instances))
            .nest("/series/{series}", series);
        let resources = Router::new()
            .route("/studies", get(search::studies).post(store::store))
            .route("/series", get(search::series))
            .route("/instances", get(search::instances))
            .route("/wado", get(uri::wado))
            .nest("/studies/{study}", study);
        let router = Router::new()
            .nest("/dicom-web", resources)
            .route("/wado", get(uri::wado))
            .fallback(nowhere)
            .method_not_allowed_fallback(problem::method_not_allowed)
            .with_state(Arc::clone(&self.0));
        gate::guarded(router, &self.0)
    }
}

async fn nowhere(_: Uri) -> Problem {
    Problem::not_found("resource")
}
