//! Section of the link between a node and its hub.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{ConfigError, NodeRole, NodeSection, parse_sha256, refuse};

/// Digits of an administrative division code at most (GB/T 2260, and GB/T 10114 below counties).
const AREA_DIGITS_MAX: usize = 12;

/// Between a node and its hub.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LinkSection {
    /// At a clinic or hospital: the hub, for example `https://hub.example:50061`; none: the node
    /// belongs to no region.
    pub hub: Option<String>,
    /// At a clinic or hospital: a file with the node's token and nothing else, where it shows no
    /// certificate.
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
    /// At the hub: the nodes of the region.
    pub nodes: Vec<MemberSection>,
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
        if self.listen.is_some() || !self.nodes.is_empty() {
            return refuse("link.listen and link.nodes are for a hub: set node.role = \"hub\"");
        }
        let Some(hub) = &self.hub else { return Ok(()) };
        let Ok(uri) = hub.parse::<http::Uri>() else {
            return refuse("link.hub must be a URL such as https://hub.example:50061");
        };
        let host = uri.host().unwrap_or_default();
        let loopback = matches!(host, "localhost" | "127.0.0.1" | "[::1]");
        match uri.scheme_str() {
            Some("https") => {}
            Some("http") if loopback => {}
            Some("http") => {
                return refuse("link.hub must begin with https:// where it is not on loopback");
            }
            _ => return refuse("link.hub must be a URL such as https://hub.example:50061"),
        }
        if self.tls_cert.is_none() && self.token_file.is_none() {
            return refuse(
                "link.hub needs link.tls_cert and link.tls_key, or link.token_file: the hub must \
                 know which node dials",
            );
        }
        Ok(())
    }

    fn validate_hub(&self, node: &NodeSection) -> Result<(), ConfigError> {
        if self.hub.is_some() || self.token_file.is_some() {
            return refuse("link.hub and link.token_file are for nodes that dial, not for a hub");
        }
        let Some(listen) = self.listen else {
            return refuse("link.listen is needed where node.role is \"hub\"");
        };
        if !listen.ip().is_loopback() && self.tls_cert.is_none() {
            return refuse(
                "link.listen is not a loopback address: set link.tls_cert and link.tls_key",
            );
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
            if member.certificate_sha256.is_none() && member.token_sha256.is_none() {
                let needed = key("certificate_sha256");
                return refuse(&format!("{needed} or token_sha256 is needed"));
            }
            if member.certificate_sha256.is_some() && self.tls_ca.is_none() {
                let needed = key("certificate_sha256");
                return refuse(&format!("{needed} needs link.tls_ca, the nodes' authorities"));
            }
        }
        Ok(())
    }
}
