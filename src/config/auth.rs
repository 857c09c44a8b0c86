//! Section of credentials: who may call, and where they work.

use serde::{Deserialize, Serialize};

use super::accounts::AccountsSection;
use super::oidc::OidcSection;
use super::{ConfigError, NodeRole, NodeSection, parse_sha256, refuse};
use crate::app::access::{Place, Post, Role};
use crate::app::identity::RESERVED_PREFIXES;

/// Credentials.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AuthSection {
    /// Bearer tokens. With no credentials of any kind: only loopback, and every caller is local.
    pub tokens: Vec<TokenSection>,
    /// An identity provider whose tokens are taken.
    pub oidc: Option<OidcSection>,
    /// Accounts of this node, which people sign in with.
    pub accounts: Option<AccountsSection>,
}

/// One bearer token; `xiangyi token` makes one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenSection {
    /// Name that audit shows.
    pub name: String,
    /// SHA-256 of the token, 64 hex digits.
    pub sha256: String,
    /// Role: `village_doctor`, `township_doctor`, `hospital_doctor`, `radiologist`, `pharmacist`,
    /// `public_health_worker`, `auditor` or `administrator`.
    pub role: Role,
    /// Where its holder works: `village`, `township`, `county`, `region` or `hospital`. None: by `area`,
    /// or else as the node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<Place>,
    /// Division code of whose patients its holder looks after, 6, 9 or 12 digits, within the node's own.
    /// Empty: all that the node has.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub area: String,
}

impl AuthSection {
    pub(super) fn validate(&self, node: &NodeSection) -> Result<(), ConfigError> {
        check_tokens(&self.tokens, node)?;
        self.oidc.as_ref().map_or(Ok(()), OidcSection::validate)?;
        self.accounts.as_ref().map_or(Ok(()), AccountsSection::validate)
    }

    /// Whether there are no credentials of any kind.
    pub fn nobody(&self) -> bool {
        self.tokens.is_empty() && self.oidc.is_none() && self.accounts.is_none()
    }
}

impl NodeSection {
    /// Where somebody works of whom a credential says this of it. Nothing said: as the node, all of it.
    pub fn post(&self, place: Option<Place>, area: &str) -> Post {
        let own = match (self.role, area, self.area.as_str()) {
            (_, area, _) if !area.is_empty() => Place::of_area(area),
            (NodeRole::Hospital, ..) => Place::Hospital,
            (NodeRole::Hub, ..) => Place::Region,
            // A clinic that does not say where it is.
            (NodeRole::Clinic, _, "") => Place::Township,
            (NodeRole::Clinic, _, own) => Place::of_area(own),
        };
        Post {
            place: place.unwrap_or(own),
            areas: Some(area.to_owned()).filter(|area| !area.is_empty()).into_iter().collect(),
        }
    }
}

fn check_tokens(tokens: &[TokenSection], node: &NodeSection) -> Result<(), ConfigError> {
    for (i, token) in tokens.iter().enumerate() {
        if token.name.is_empty() || token.name.chars().count() > 64 {
            return refuse(&format!("auth.tokens[{i}].name must have 1 to 64 characters"));
        }
        if tokens.iter().take(i).any(|other| other.name == token.name) {
            return refuse(&format!("auth.tokens[{i}].name stands twice"));
        }
        if parse_sha256(&token.sha256).is_none() {
            return refuse(&format!("auth.tokens[{i}].sha256 must be 64 hex digits"));
        }
        if RESERVED_PREFIXES.iter().any(|prefix| token.name.starts_with(prefix)) {
            return refuse(&format!("auth.tokens[{i}].name must not begin with oidc: or account:"));
        }
        if [Role::Local, Role::DicomPeer, Role::Node].contains(&token.role) {
            return refuse(&format!("auth.tokens[{i}].role must not be \"local\""));
        }
        if !token.area.is_empty() {
            let digits = token.area.bytes().all(|b| b.is_ascii_digit());
            if !digits || ![6, 9, 12].contains(&token.area.len()) {
                return refuse(&format!("auth.tokens[{i}].area must have 6, 9 or 12 digits"));
            }
            if !token.area.starts_with(&node.area) {
                return refuse(&format!(
                    "auth.tokens[{i}].area must lie in node.area ({})",
                    node.area
                ));
            }
        }
    }
    Ok(())
}
