//! Who calls: bearer tokens from the configuration.
//!
//! Tokens are kept as SHA-256 only and compared in constant time. With no token configured the
//! node listens on loopback only (the configuration refuses anything else) and every caller is
//! [`Role::Local`]. What a caller may do is not decided here but in `app::access`.

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::app::access::{Caller, Role};
use crate::app::error::Error;

/// A credential.
#[derive(Debug, Clone)]
pub struct Token {
    /// Name that audit shows.
    pub name: String,
    /// SHA-256 of the token.
    pub sha256: [u8; 32],
    /// Role.
    pub role: Role,
}

/// Knows the credentials.
#[derive(Debug, Clone)]
pub struct Authenticator {
    tokens: Vec<Token>,
}

impl Authenticator {
    /// With no `tokens`, everybody is local.
    pub fn new(tokens: Vec<Token>) -> Self {
        Self { tokens }
    }

    /// The caller behind the `authorization` header.
    pub fn caller(&self, headers: &http::HeaderMap) -> Result<Caller, Error> {
        if self.tokens.is_empty() {
            return Ok(Caller { name: "local".to_owned(), role: Role::Local });
        }
        let value = headers
            .get(http::header::AUTHORIZATION)
            .and_then(|v| v.to_str().ok())
            .ok_or(Error::Unauthenticated)?;
        let (scheme, token) = value.split_once(' ').ok_or(Error::Unauthenticated)?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(Error::Unauthenticated);
        }
        let digest = Sha256::digest(token.trim().as_bytes());
        let mut found = None;
        for known in &self.tokens {
            if bool::from(known.sha256.as_slice().ct_eq(digest.as_slice())) {
                found = Some(known);
            }
        }
        let known = found.ok_or(Error::Unauthenticated)?;
        Ok(Caller { name: known.name.clone(), role: known.role })
    }
}
