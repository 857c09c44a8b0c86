//! Section of the DICOMweb door.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{AuthSection, ConfigError, ImagingSection, refuse};

/// The DICOMweb door.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WebSection {
    /// Address and port; none: the door stays closed.
    pub listen: Option<SocketAddr>,
    /// What links in answers begin with, for example `https://pacs.example`, where a proxy stands
    /// in front; none: what the caller asked.
    pub base_url: Option<String>,
    /// PEM certificate chain; turns TLS on, together with `tls_key`.
    pub tls_cert: Option<PathBuf>,
    /// PEM private key.
    pub tls_key: Option<PathBuf>,
    /// PEM certificates of the authorities whose client certificates are required.
    pub tls_client_ca: Option<PathBuf>,
    /// Origins that viewers in browsers may call from; `*` for any.
    pub cors_origins: Vec<String>,
    /// Largest body of a request, in bytes.
    pub body_bytes_max: u64,
    /// Requests at the same time.
    pub concurrency_max: usize,
    /// Connections at the same time.
    pub connections_max: usize,
    /// How long a request may wait for its turn, in milliseconds.
    pub wait_timeout_ms: u64,
    /// How long a request other than a store may take until its answer begins, in milliseconds.
    pub request_timeout_ms: u64,
    /// How long a peer may send or take nothing while something is to be sent, in milliseconds.
    pub idle_timeout_ms: u64,
}

impl Default for WebSection {
    fn default() -> Self {
        Self {
            listen: None,
            base_url: None,
            tls_cert: None,
            tls_key: None,
            tls_client_ca: None,
            cors_origins: Vec::new(),
            body_bytes_max: 16 << 30,
            concurrency_max: 64,
            connections_max: 1024,
            wait_timeout_ms: 5_000,
            request_timeout_ms: 60_000,
            idle_timeout_ms: 60_000,
        }
    }
}

impl WebSection {
    pub(super) fn validate(
        &self,
        imaging: &ImagingSection,
        auth: &AuthSection,
    ) -> Result<(), ConfigError> {
        let count = |value: usize| u64::try_from(value).unwrap_or(u64::MAX);
        for (key, value, min, max) in [
            ("web.body_bytes_max", self.body_bytes_max, 1 << 20, 1 << 40),
            ("web.concurrency_max", count(self.concurrency_max), 1, 65_536),
            ("web.connections_max", count(self.connections_max), 1, 65_536),
            ("web.wait_timeout_ms", self.wait_timeout_ms, 1, 3_600_000),
            ("web.request_timeout_ms", self.request_timeout_ms, 1, 3_600_000),
            ("web.idle_timeout_ms", self.idle_timeout_ms, 1, 3_600_000),
        ] {
            if !(min..=max).contains(&value) {
                return refuse(&format!("{key} must be from {min} to {max}"));
            }
        }
        match (&self.tls_cert, &self.tls_key) {
            (Some(_), None) => return refuse("web.tls_key is missing: web.tls_cert is set"),
            (None, Some(_)) => return refuse("web.tls_cert is missing: web.tls_key is set"),
            (None, None) if self.tls_client_ca.is_some() => {
                return refuse("web.tls_client_ca needs web.tls_cert and web.tls_key");
            }
            (None, None) | (Some(_), Some(_)) => {}
        }
        let web = |url: &str| {
            let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
            rest.is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_graphic()))
        };
        if self.base_url.as_ref().is_some_and(|url| !web(url) || url.ends_with('/')) {
            return refuse("web.base_url must be like https://pacs.example, without a final slash");
        }
        if self.cors_origins.iter().any(|origin| origin != "*" && !web(origin)) {
            return refuse("web.cors_origins must be origins such as https://viewer.example, or *");
        }
        let Some(listen) = self.listen else { return Ok(()) };
        if !imaging.enabled {
            return refuse("web.listen needs imaging.enabled = true");
        }
        if listen.ip().is_loopback() {
            return Ok(());
        }
        if self.tls_cert.is_none() {
            return refuse(
                "web.listen is not a loopback address: set web.tls_cert and web.tls_key, or listen \
                 on 127.0.0.1",
            );
        }
        if auth.nobody() {
            return refuse(
                "web.listen is not a loopback address: add at least one [[auth.tokens]] (make one \
                 with `xiangyi token`), or listen on 127.0.0.1",
            );
        }
        Ok(())
    }
}
