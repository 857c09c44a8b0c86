//! Opening the DICOMweb door.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::imaging::Opened;
use super::pem::{Pem, acceptor};
use super::{NodeError, bind};
use crate::app::credentials::Authenticator;
use crate::config::Config;
use crate::render::Workers;
use crate::tls::{H2, Versions};
use crate::web::dicomweb::{Door, DoorOptions};

/// Opens the DICOMweb door, if the configuration has one. Returns where it is.
pub(super) async fn open_door(
    config: &Config,
    (opened, auth): (Option<&Opened>, &Authenticator),
    (tasks, stop): (&TaskTracker, &CancellationToken),
) -> Result<Option<SocketAddr>, NodeError> {
    let section = &config.web;
    let (Some(listen), Some(opened)) = (section.listen, opened) else { return Ok(None) };
    let files = Pem {
        cert: section.tls_cert.as_deref(),
        key: section.tls_key.as_deref(),
        client_ca: section.tls_client_ca.as_deref(),
    };
    let tls = acceptor(&files, (Versions::Modern, &[H2, b"http/1.1"]))?;
    let door = Door::new(
        Arc::clone(&opened.imaging),
        Arc::<Workers>::clone(&opened.workers),
        auth.clone(),
        DoorOptions {
            base_url: section.base_url.clone(),
            cors_origins: section.cors_origins.clone(),
            body_bytes_max: section.body_bytes_max,
            concurrency_max: section.concurrency_max,
            connections_max: section.connections_max,
            wait_timeout: Duration::from_millis(section.wait_timeout_ms),
            request_timeout: Duration::from_millis(section.request_timeout_ms),
            idle_timeout: Duration::from_millis(section.idle_timeout_ms),
            tls,
        },
    );
    let listener = bind(listen).await?;
    let address = listener.local_addr().unwrap_or(listen);
    tasks.spawn(door.serve(listener, tasks.clone(), stop.clone()));
    tracing::info!(%address, "DICOMweb door open");
    Ok(Some(address))
}
