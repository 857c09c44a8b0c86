//! Metrics of what a node stands on: room on its disks, and the line to its hub.

use std::sync::atomic::AtomicI64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::Metrics;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FolderLabel {
    folder: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ToLabel {
    to: &'static str,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct SystemMetrics {
    free: Family<FolderLabel, Gauge<i64, AtomicI64>>,
    connected: Family<ToLabel, Gauge<i64, AtomicI64>>,
}

impl SystemMetrics {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "disk_free_bytes",
            "Bytes that are free for the node's user on the disk of a folder: store or imaging",
            self.free.clone(),
        );
        registry.register(
            "link_connected",
            "To the hub: 1 while this node attends it, else 0; to nodes, at the hub: how many attend",
            self.connected.clone(),
        );
    }
}

impl Metrics {
    /// So many bytes are free on the disk of a folder.
    pub fn disk_free(&self, folder: &'static str, bytes: u64) {
        let gauge = self.system.free.get_or_create(&FolderLabel { folder });
        gauge.set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    /// Whether this node attends its hub.
    pub fn hub_connected(&self, attends: bool) {
        self.system.connected.get_or_create(&ToLabel { to: "hub" }).set(i64::from(attends));
    }

    /// At the hub: so many nodes attend.
    pub fn nodes_connected(&self, nodes: usize) {
        let gauge = self.system.connected.get_or_create(&ToLabel { to: "nodes" });
        gauge.set(i64::try_from(nodes).unwrap_or(i64::MAX));
    }
}
