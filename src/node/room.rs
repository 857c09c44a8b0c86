//! Measures how much room is left on the disks of the node's folders.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::imaging;
use crate::config::Config;
use crate::telemetry::Metrics;

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(15);

/// Tells the metrics, for ever. A disk that does not answer holds one thread, and the last number stands.
pub(super) async fn watch(config: Config, metrics: Arc<Metrics>) {
    let mut folders = vec![("store", config.store.dir.clone())];
    if config.imaging.enabled {
        folders.push(("imaging", imaging::folder(&config)));
    }
    loop {
        let (looked, tell) = (folders.clone(), Arc::clone(&metrics));
        let look = move || {
            for (name, folder) in looked {
                if let Some(bytes) = free_bytes(&folder) {
                    tell.disk_free(name, bytes);
                }
            }
        };
        if let Err(error) = tokio::task::spawn_blocking(look).await {
            tracing::warn!(%error, "room on the disks cannot be measured");
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn free_bytes(folder: &Path) -> Option<u64> {
    let found = rustix::fs::statvfs(folder).ok()?;
    Some(found.f_bavail.saturating_mul(found.f_frsize))
}
