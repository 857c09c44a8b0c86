//! Metrics of the certificates of nodes.

use std::sync::atomic::AtomicI64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::Metrics;
use crate::app::nodes::NodeCounts;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StateLabel {
    state: &'static str,
}

/// Shown only where there is something to show: a node without certificate has no days left of one.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfLabel {
    of: &'static str,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct CertificateMetrics {
    days: Family<OfLabel, Gauge<i64, AtomicI64>>,
    states: Family<StateLabel, Gauge<i64, AtomicI64>>,
}

impl CertificateMetrics {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "link_certificate_days",
            "Whole days until a certificate of the link ends: this node's, or the hub's authority's",
            self.days.clone(),
        );
        registry.register(
            "node_certificates",
            "At the hub: certificates of nodes that are good, revoked, or good and about to end",
            self.states.clone(),
        );
    }
}

impl Metrics {
    /// Whole days until the certificate of this node ends; less than 0: it has.
    pub fn link_certificate(&self, days: i64) {
        self.certificates.days.get_or_create(&OfLabel { of: "node" }).set(days);
    }

    /// How many certificates there are at the hub.
    pub fn node_certificates(&self, counts: NodeCounts) {
        let NodeCounts { good, ending, revoked, authority_days } = counts;
        self.certificates.days.get_or_create(&OfLabel { of: "authority" }).set(authority_days);
        for (state, number) in [("good", good), ("ending", ending), ("revoked", revoked)] {
            let gauge = self.certificates.states.get_or_create(&StateLabel { state });
            gauge.set(i64::try_from(number).unwrap_or(i64::MAX));
        }
    }
}
