//! Who calls: bearer tokens from the configuration, for every door that takes them.
//!
//! Tokens are kept as SHA-256 only and compared in constant time. With no token configured the
//! node's doors open on loopback only (the configuration refuses anything else) and every caller is
//! [`Role::Local`]. What a caller may do is not decided here but in [`super::access`].

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::access::Caller;
use super::error::Error;

/// A credential.
#[derive(Debug, Clone)]
pub struct Token {
    /// SHA-256 of the token.
    pub sha256: [u8; 32],
    /// Whose it is.
    pub caller: Caller,
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

    /// The caller who says `authorization`, the value of the header of that name (RFC 6750, 2.1).
    ///
    /// # Errors
    /// [`Error::Unauthenticated`], where it is missing, not `Bearer` or not known.
    pub fn caller(&self, authorization: Option<&str>) -> Result<Caller, Error> {
        if self.tokens.is_empty() {
            return Ok(Caller::local("local"));
        }
        let value = authorization.ok_or(Error::Unauthenticated)?;
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
        Ok(known.caller.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::access::Role;

    #[test]
    fn only_a_known_bearer_token_is_a_caller() {
        let sha256 = Sha256::digest(b"secret").into();
        let caller = Caller::shipped("clinic", Role::VillageDoctor);
        let token = Token { sha256, caller };
        let known = Authenticator::new(vec![token]);
        for good in ["Bearer secret", "bearer  secret "] {
            assert_eq!(known.caller(Some(good)).unwrap().name, "clinic", "{good}");
        }
        for bad in [None, Some(""), Some("secret"), Some("Basic secret"), Some("Bearer other")] {
            assert!(matches!(known.caller(bad), Err(Error::Unauthenticated)), "{bad:?}");
        }
        assert_eq!(Authenticator::new(Vec::new()).caller(None).unwrap().role, Role::Local);
    }
}
