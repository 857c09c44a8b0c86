//! Serving the door.

use std::sync::Arc;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Door;
use crate::web::server::{self, Connections};

impl Door {
    /// Serves until `stop`, then lets running requests finish.
    pub async fn serve(self, listener: TcpListener, tasks: TaskTracker, stop: CancellationToken) {
        let shared = Arc::clone(&self.0);
        let connections = Connections {
            door: "DICOMweb",
            most: shared.options.connections_max,
            idle_timeout: shared.options.idle_timeout,
            tls: shared.options.tls.clone(),
        };
        server::serve(self.router(), connections, listener, (tasks, stop)).await;
    }
}
