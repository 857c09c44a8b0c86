//! Section of the identity provider.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{ConfigError, refuse};
use crate::app::access::Role;
use crate::app::identity::keys::Algorithm;

/// An identity provider (OIDC) whose tokens are taken.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OidcSection {
    /// `iss` of its tokens, letter for letter.
    pub issuer: String,
    /// One of these must be in a token's `aud`.
    pub audiences: Vec<String>,
    /// Where its keys are: `https://…`, or `http://…` on a loopback address. This or `jwks_file`.
    pub jwks_url: Option<String>,
    /// A file with its keys, for a node that cannot reach it. This or `jwks_url`.
    pub jwks_file: Option<PathBuf>,
    /// PEM certificates of the authorities for `jwks_url`; none: those of the system.
    pub tls_ca: Option<PathBuf>,
    /// Ways of signing that are taken, of `EdDSA`, `ES256` and `RS256`.
    pub algorithms: Vec<Algorithm>,
    /// How far the clocks of node and provider may be apart, in seconds.
    pub leeway_s: u64,
    /// Longest that a token may still be valid for, in seconds.
    pub lifetime_max_s: u64,
    /// Between two looks at the provider's keys, in seconds.
    pub refresh_s: u64,
    /// Shortest time between two looks that tokens with unknown keys lead to, in seconds.
    pub unknown_key_interval_s: u64,
    /// How long keys are good while the provider cannot be reached, in seconds.
    pub keys_age_max_s: u64,
    /// Claim that names the caller in the audit trail; one that begins with `/` is a JSON Pointer.
    pub name_claim: String,
    /// Claim with a role or a list of roles, likewise.
    pub role_claim: String,
    /// Claim with a list of where the caller may work, likewise; none: no scope.
    pub scope_claim: Option<String>,
    /// What the provider's roles mean here. A token without one of these is denied.
    pub roles: BTreeMap<String, Role>,
}

impl Default for OidcSection {
    fn default() -> Self {
        Self {
            issuer: String::new(),
            audiences: Vec::new(),
            jwks_url: None,
            jwks_file: None,
            tls_ca: None,
            algorithms: vec![Algorithm::EdDSA, Algorithm::ES256, Algorithm::RS256],
            leeway_s: 60,
            lifetime_max_s: 86_400,
            refresh_s: 300,
            unknown_key_interval_s: 30,
            keys_age_max_s: 7 * 86_400,
            name_claim: "sub".to_owned(),
            role_claim: "roles".to_owned(),
            scope_claim: None,
            roles: BTreeMap::new(),
        }
    }
}

impl OidcSection {
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        if self.issuer.is_empty() {
            return refuse("auth.oidc.issuer must be what the provider's tokens have as `iss`");
        }
        if self.audiences.is_empty() || self.audiences.iter().any(String::is_empty) {
            return refuse(
                "auth.oidc.audiences must have at least one name, and none that is empty",
            );
        }
        match (&self.jwks_url, &self.jwks_file) {
            (Some(url), None) => check_url(url)?,
            (None, Some(_)) => {}
            (Some(_), Some(_)) | (None, None) => {
                return refuse("auth.oidc needs one of jwks_url and jwks_file");
            }
        }
        if self.algorithms.is_empty() {
            return refuse("auth.oidc.algorithms must have at least one of EdDSA, ES256, RS256");
        }
        for (key, value, min, max) in [
            ("leeway_s", self.leeway_s, 0, 600),
            ("lifetime_max_s", self.lifetime_max_s, 60, 30 * 86_400),
            ("refresh_s", self.refresh_s, 1, 86_400),
            ("unknown_key_interval_s", self.unknown_key_interval_s, 1, 3_600),
            ("keys_age_max_s", self.keys_age_max_s, 60, 365 * 86_400),
        ] {
            if !(min..=max).contains(&value) {
                return refuse(&format!("auth.oidc.{key} must be from {min} to {max}"));
            }
        }
        let claims = [Some(&self.name_claim), Some(&self.role_claim), self.scope_claim.as_ref()];
        if claims.into_iter().flatten().any(String::is_empty) {
            return refuse("auth.oidc.name_claim, role_claim and scope_claim must not be empty");
        }
        if self.roles.is_empty() {
            return refuse(
                "auth.oidc.roles must say what at least one of the provider's roles means here",
            );
        }
        if self.roles.values().any(|r| [Role::Local, Role::DicomPeer, Role::Node].contains(r)) {
            return refuse("auth.oidc.roles: no role must mean \"local\"");
        }
        Ok(())
    }
}

/// Keys decide who gets in: nobody on the way may change them.
fn check_url(url: &str) -> Result<(), ConfigError> {
    const ALLOWED: &str = "auth.oidc.jwks_url must begin with https://, or with http:// and a loopback address such as \
         127.0.0.1, and have no user, password or fragment";
    let Ok(parsed) = reqwest::Url::parse(url) else { return refuse(ALLOWED) };
    let host = parsed.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let loopback = host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    let fine = match parsed.scheme() {
        "https" => !host.is_empty(),
        "http" => loopback,
        _ => false,
    };
    let bare =
        parsed.username().is_empty() && parsed.password().is_none() && parsed.fragment().is_none();
    if fine && bare { Ok(()) } else { refuse(ALLOWED) }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use crate::config::Config;

    const GOOD: &str = "[auth.oidc]\nissuer = \"https://id.example\"\naudiences = [\"xiangyi\"]\n\
                        jwks_url = \"https://id.example/jwks\"\n\
                        [auth.oidc.roles]\n\"village\" = \"village_doctor\"\n";

    fn parse(text: &str) -> Result<Config, String> {
        Config::parse("test", text, &BTreeMap::new()).map_err(|e| e.to_string())
    }

    #[test]
    fn a_provider_is_taken_only_over_a_way_that_nobody_can_change() {
        assert!(!parse(GOOD).unwrap().auth.nobody());
        for url in ["http://127.0.0.1:8080/jwks", "http://[::1]/jwks"] {
            assert!(parse(&GOOD.replace("https://id.example/jwks", url)).is_ok(), "{url}");
        }
        for url in [
            "http://id.example/jwks",
            "http://localhost/jwks",
            "http://127.0.0.1.evil.example/jwks",
            "https://user:secret@id.example/jwks",
            "file:///etc/passwd",
            "jwks",
        ] {
            let error = parse(&GOOD.replace("https://id.example/jwks", url)).unwrap_err();
            assert!(error.contains("auth.oidc.jwks_url"), "{url}: {error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn what_a_provider_needs_is_named_when_it_is_missing() {
        for (from, to, key) in [
            ("issuer = \"https://id.example\"", "issuer = \"\"", "auth.oidc.issuer"),
            ("[\"xiangyi\"]", "[]", "auth.oidc.audiences"),
            ("[\"xiangyi\"]", "[\"xiangyi\"]\nalgorithms = []", "auth.oidc.algorithms"),
            ("[\"xiangyi\"]", "[\"xiangyi\"]\nalgorithms = [\"HS256\"]", "HS256"),
            ("[\"xiangyi\"]", "[\"xiangyi\"]\nalgorithms = [\"none\"]", "none"),
            ("[\"xiangyi\"]", "[\"xiangyi\"]\njwks_file = \"k\"", "auth.oidc needs one of"),
            ("[\"xiangyi\"]", "[\"xiangyi\"]\nleeway_s = 601", "auth.oidc.leeway_s"),
            ("[\"xiangyi\"]", "[\"xiangyi\"]\nrole_claim = \"\"", "role_claim"),
            ("village_doctor", "local", "auth.oidc.roles"),
            ("\"village\" = \"village_doctor\"", "", "auth.oidc.roles"),
        ] {
            let error = parse(&GOOD.replace(from, to)).unwrap_err();
            assert!(error.contains(key), "{key}: {error}");
        }
        let named = "[[auth.tokens]]\nname = \"oidc:admin\"\nrole = \"auditor\"\nsha256 = \"";
        let named = format!("{named}{}\"\n", "0".repeat(64));
        assert!(parse(&named).unwrap_err().contains("auth.tokens[0].name"));
    }
}
