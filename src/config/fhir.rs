//! Section of the FHIR door.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{AuthSection, ConfigError, NodeRole, NodeSection, refuse};

/// The FHIR door.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FhirSection {
    /// Address and port; none: the door stays closed.
    pub listen: Option<SocketAddr>,
    /// What links in answers begin with before `/fhir`, for example `https://records.example`, where a
    /// proxy stands in front; none: what the caller asked.
    pub base_url: Option<String>,
    /// PEM certificate chain; turns TLS on, together with `tls_key`.
    pub tls_cert: Option<PathBuf>,
    /// PEM private key.
    pub tls_key: Option<PathBuf>,
    /// PEM certificates of the authorities whose client certificates are required.
    pub tls_client_ca: Option<PathBuf>,
    /// Requests at the same time.
    pub concurrency_max: usize,
    /// Connections at the same time.
    pub connections_max: usize,
    /// How long a request may wait for its turn, in milliseconds.
    pub wait_timeout_ms: u64,
    /// How long a request may take until its answer begins, its body included, in milliseconds.
    pub request_timeout_ms: u64,
    /// How long a peer may send or take nothing while something is to be sent, in milliseconds.
    pub idle_timeout_ms: u64,
}

impl Default for FhirSection {
    fn default() -> Self {
        Self {
            listen: None,
            base_url: None,
            tls_cert: None,
            tls_key: None,
            tls_client_ca: None,
            concurrency_max: 64,
            connections_max: 1024,
            wait_timeout_ms: 5_000,
            request_timeout_ms: 60_000,
            idle_timeout_ms: 60_000,
        }
    }
}

impl FhirSection {
    pub(super) fn validate(
        &self,
        node: &NodeSection,
        auth: &AuthSection,
    ) -> Result<(), ConfigError> {
        let count = |value: usize| u64::try_from(value).unwrap_or(u64::MAX);
        for (key, value, max) in [
            ("fhir.concurrency_max", count(self.concurrency_max), 65_536),
            ("fhir.connections_max", count(self.connections_max), 65_536),
            ("fhir.wait_timeout_ms", self.wait_timeout_ms, 3_600_000),
            ("fhir.request_timeout_ms", self.request_timeout_ms, 3_600_000),
            ("fhir.idle_timeout_ms", self.idle_timeout_ms, 3_600_000),
        ] {
            if !(1..=max).contains(&value) {
                return refuse(&format!("{key} must be from 1 to {max}"));
            }
        }
        match (&self.tls_cert, &self.tls_key) {
            (Some(_), None) => return refuse("fhir.tls_key is missing: fhir.tls_cert is set"),
            (None, Some(_)) => return refuse("fhir.tls_cert is missing: fhir.tls_key is set"),
            (None, None) if self.tls_client_ca.is_some() => {
                return refuse("fhir.tls_client_ca needs fhir.tls_cert and fhir.tls_key");
            }
            (None, None) | (Some(_), Some(_)) => {}
        }
        let web = |url: &str| {
            let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
            rest.is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_graphic()))
        };
        if self.base_url.as_ref().is_some_and(|url| !web(url) || url.ends_with('/')) {
            return refuse(
                "fhir.base_url must be like https://records.example, without a final slash",
            );
        }
        let Some(listen) = self.listen else { return Ok(()) };
        if node.role == NodeRole::Hub {
            return refuse(
                "fhir.listen is for a clinic or hospital: a hub keeps what nodes exchange sealed",
            );
        }
        if listen.ip().is_loopback() {
            return Ok(());
        }
        if self.tls_cert.is_none() {
            return refuse(
                "fhir.listen is not a loopback address: set fhir.tls_cert and fhir.tls_key, or listen \
                 on 127.0.0.1",
            );
        }
        if auth.nobody() {
            return refuse(
                "fhir.listen is not a loopback address: add at least one [[auth.tokens]] (make one \
                 with `xiangyi token`), or listen on 127.0.0.1",
            );
        }
        Ok(())
    }
}
