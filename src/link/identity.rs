//! Which node calls: by the SHA-256 of its certificate, which TLS has shown it to hold the key of, or
//! by a bearer token. Never by what a message says.

use std::collections::HashMap;

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use tonic::Request;

use crate::app::error::Error;

/// How one node is known; one of the two suffices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    /// Name of the node.
    pub node: String,
    /// SHA-256 of its certificate (DER).
    pub certificate: Option<[u8; 32]>,
    /// SHA-256 of its token.
    pub token: Option<[u8; 32]>,
}

/// Every node that may call.
#[derive(Debug, Clone, Default)]
pub struct Credentials {
    certificates: HashMap<[u8; 32], String>,
    tokens: Vec<([u8; 32], String)>,
}

impl Credentials {
    /// From a list.
    pub fn new(list: Vec<Credential>) -> Self {
        let mut all = Self::default();
        for credential in list {
            if let Some(digest) = credential.certificate {
                all.certificates.insert(digest, credential.node.clone());
            }
            if let Some(digest) = credential.token {
                all.tokens.push((digest, credential.node));
            }
        }
        all
    }

    /// The node that calls.
    pub(super) fn caller<T>(&self, request: &Request<T>) -> Result<String, Error> {
        if let Some(certificates) = request.peer_certs()
            && let Some(own) = certificates.first()
        {
            let digest: [u8; 32] = Sha256::digest(own.as_ref()).into();
            if let Some(node) = self.certificates.get(&digest) {
                return Ok(node.clone());
            }
        }
        let header = request.metadata().get("authorization").and_then(|v| v.to_str().ok());
        let token = header.and_then(|value| value.strip_prefix("Bearer "));
        let token = token.ok_or(Error::Unauthenticated)?;
        let digest: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        let mut found = None;
        // All are compared, so that the time does not tell which.
        for (known, node) in &self.tokens {
            if bool::from(known.ct_eq(&digest)) {
                found = Some(node.clone());
            }
        }
        found.ok_or(Error::Unauthenticated)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(token: Option<&str>) -> Request<()> {
        let mut request = Request::new(());
        if let Some(token) = token {
            request.metadata_mut().insert("authorization", token.parse().unwrap());
        }
        request
    }

    #[test]
    fn a_token_names_one_node_and_anything_else_names_none() {
        let token = |node: &str, token: &str| Credential {
            node: node.to_owned(),
            certificate: None,
            token: Some(Sha256::digest(token.as_bytes()).into()),
        };
        let all = Credentials::new(vec![token("a", "one"), token("b", "two")]);
        assert_eq!(all.caller(&request(Some("Bearer two"))).unwrap(), "b");
        for wrong in [None, Some("Bearer three"), Some("two"), Some("Bearer "), Some("Basic two")] {
            let refused = all.caller(&request(wrong));
            assert!(matches!(refused, Err(Error::Unauthenticated)), "{wrong:?}");
        }
    }
}
