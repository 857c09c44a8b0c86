//! Section of the link between a node and its hub.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{ConfigError, NodeRole, NodeSection, parse_sha256, refuse};

/// Digits of an administrative division code at most (GB/T 2260, and GB/T 10114 below counties).
const AREA_DIGITS_MAX: usize = 12;

/// Days of a node's certificate at most.
const DAYS_MAX: u32 = 825;

/// Between a node and its hub.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LinkSection {
    /// At a clinic or hospital: the hub, for example `https://hub.example:50061`; none: the node
    /// belongs to no region.
    pub hub: Option<String>,
    /// At a clinic or hospital: a file with the node's token and nothing else, where it shows no
    /// certificate. Without one and without `tls_cert` the node shows the certificate that it got by
    /// `xiangyi admin enrol`.
    pub token_file: Option<PathBuf>,
    /// PEM certificates of the authorities of the other side: at a node those of the hub's
    /// certificate, at the hub those of the nodes' certificates.
    pub tls_ca: Option<PathBuf>,
    /// PEM certificate chain shown to the other side.
    pub tls_cert: Option<PathBuf>,
    /// PEM private key of it.
    pub tls_key: Option<PathBuf>,
    /// At the hub: address and port where nodes dial in.
    pub listen: Option<SocketAddr>,
    /// At the hub: its own authority, which gives nodes their certificates. None: nodes are known by
    /// what `nodes` says of them alone.
    pub ca: Option<CaSection>,
    /// At the hub: the nodes of the region.
    pub nodes: Vec<MemberSection>,
}

/// The hub's own authority.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CaSection {
    /// PEM file with the authority's certificate and private key, which only the node's user may read.
    /// None: `link-ca.pem` in `store.dir`, made at the first start. Hubs on one database have the same.
    pub file: Option<PathBuf>,
    /// Names and addresses that nodes dial, for the certificate of the hub's own door; needed where
    /// `link.tls_cert` is not set.
    pub names: Vec<String>,
    /// How many days a node's certificate is good; it is renewed after two thirds of them.
    pub days: u32,
}

impl Default for CaSection {
    fn default() -> Self {
        Self { file: None, names: Vec::new(), days: 90 }
    }
}

/// A node of the region.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MemberSection {
    /// Name, as in its own `node.name`.
    pub name: String,
    /// Administrative division code of where it stands (GB/T 2260), up to twelve digits: studies
    /// are fetched from near nodes first. May be left out.
    #[serde(default)]
    pub area: String,
    /// SHA-256 of its certificate (DER), 64 hex digits.
    pub certificate_sha256: Option<String>,
    /// SHA-256 of its token, 64 hex digits; `xiangyi token` makes one.
    pub token_sha256: Option<String>,
}

impl CaSection {
    fn validate(&self, has_certificate: bool) -> Result<(), ConfigError> {
        if !(1..=DAYS_MAX).contains(&self.days) {
            return refuse("link.ca.days must be from 1 to 825");
        }
        if self.names.is_empty() && !has_certificate {
            return refuse(
                "link.ca.names is needed where link.tls_cert is not set: the names and addresses \
                 that nodes dial",
            );
        }
        if !self.names.is_empty() && has_certificate {
            return refuse("link.ca.names and link.tls_cert exclude each other");
        }
        let fine = |name: &String| {
            let is_host = !name.is_empty()
                && name.len() <= 253
                && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-'));
            is_host || name.parse::<IpAddr>().is_ok()
        };
        if !self.names.iter().all(fine) {
            return refuse(
                "link.ca.names must be names or addresses such as hub.example or 10.0.0.1, without \
                 port",
            );
        }
        Ok(())
    }
}

impl LinkSection {
    pub(super) fn validate(&self, node: &NodeSection) -> Result<(), ConfigError> {
        match (&self.tls_cert, &self.tls_key) {
            (Some(_), None) => return refuse("link.tls_key is missing: link.tls_cert is set"),
            (None, Some(_)) => return refuse("link.tls_cert is missing: link.tls_key is set"),
            (None, None) | (Some(_), Some(_)) => {}
        }
        if node.role == NodeRole::Hub { self.validate_hub(node) } else { self.validate_node() }
    }

    fn validate_node(&self) -> Result<(), ConfigError> {
        if self.listen.is_some() || self.ca.is_some() || !self.nodes.is_empty() {
            return refuse(
                "link.listen, link.ca and link.nodes are for a hub: set node.role = \"hub\"",
            );
        }
        let Some(hub) = &self.hub else { return Ok(()) };
        let Ok(uri) = hub.parse::<http::Uri>() else {
            return refuse("link.hub must be a URL such as https://hub.example:50061");
        };
        let host = uri.host().unwrap_or_default();
        let loopback = matches!(host, "localhost" | "127.0.0.1" | "[::1]");
        match uri.scheme_str() {
            Some("https") => {}
            Some("http") if loopback && self.token_file.is_none() => {
                return refuse(
                    "link.hub without TLS needs link.token_file: the hub must know which node dials",
                );
            }
            Some("http") if loopback => {}
            Some("http") => {
                return refuse("link.hub must begin with https:// where it is not on loopback");
            }
            _ => return refuse("link.hub must be a URL such as https://hub.example:50061"),
        }
        Ok(())
    }

    /// Whether this node shows the certificate that it enrolled for: nothing else is configured.
    pub fn is_enrolled(&self) -> bool {
        self.hub.is_some() && self.tls_cert.is_none() && self.token_file.is_none()
    }

    fn validate_hub(&self, node: &NodeSection) -> Result<(), ConfigError> {
        if self.hub.is_some() || self.token_file.is_some() {
            return refuse("link.hub and link.token_file are for nodes that dial, not for a hub");
        }
        let Some(listen) = self.listen else {
            return refuse("link.listen is needed where node.role is \"hub\"");
        };
        if !listen.ip().is_loopback() && self.tls_cert.is_none() && self.ca.is_none() {
            return refuse(
                "link.listen is not a loopback address: set link.ca, or link.tls_cert and \
                 link.tls_key",
            );
        }
        if let Some(ca) = &self.ca {
            ca.validate(self.tls_cert.is_some())?;
        }
        for (at, member) in self.nodes.iter().enumerate() {
            let key = |name: &str| format!("link.nodes[{at}].{name}");
            if member.name.is_empty() || member.name.chars().count() > 64 {
                return refuse(&format!("{} must have 1 to 64 characters", key("name")));
            }
            let twice = self.nodes.iter().take(at).any(|other| other.name == member.name);
            if twice || member.name == node.name {
                return refuse(&format!("{} is the name of another node", key("name")));
            }
            let digits = member.area.bytes().all(|b| b.is_ascii_digit());
            if !digits || member.area.len() > AREA_DIGITS_MAX {
                return refuse(&format!("{} must have at most 12 digits", key("area")));
            }
            for (name, digest) in [
                ("certificate_sha256", &member.certificate_sha256),
                ("token_sha256", &member.token_sha256),
            ] {
                if digest.as_ref().is_some_and(|hex| parse_sha256(hex).is_none()) {
                    return refuse(&format!("{} must be 64 hex digits", key(name)));
                }
            }
            let known = member.certificate_sha256.is_some() || member.token_sha256.is_some();
            if !known && self.ca.is_none() {
                let needed = key("certificate_sha256");
                return refuse(&format!("{needed} or token_sha256 is needed, or link.ca"));
            }
            if member.certificate_sha256.is_some() && self.tls_ca.is_none() {
                let needed = key("certificate_sha256");
                return refuse(&format!("{needed} needs link.tls_ca, the nodes' authorities"));
            }
        }
        Ok(())
    }
}
