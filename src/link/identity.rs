//! Which node calls: by a certificate that the hub's own authority gave it, by the SHA-256 of another
//! one (TLS has shown that the node holds the key), or by a bearer token. Never by what a message says.

use std::collections::HashMap;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tonic::Request;
use tonic::metadata::{Ascii, MetadataValue};

use crate::app::error::Error;
use crate::app::nodes::Nodes;

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
    given: Option<Arc<Nodes>>,
}

/// What a call shows of who makes it.
pub(super) struct Shown {
    certificate: Option<Arc<Vec<CertificateDer<'static>>>>,
    header: Option<MetadataValue<Ascii>>,
}

impl Shown {
    pub(super) fn of<T>(request: &Request<T>) -> Self {
        let header = request.metadata().get("authorization").cloned();
        Self { certificate: request.peer_certs(), header }
    }
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

    /// With the certificates that the hub gave.
    #[must_use]
    pub fn with_given(mut self, given: Option<Arc<Nodes>>) -> Self {
        self.given = given;
        self
    }

    /// The node that calls.
    pub(super) async fn caller(
        &self,
        Shown { certificate, header }: Shown,
    ) -> Result<String, Error> {
        if let Some(certificates) = certificate
            && let Some(own) = certificates.first()
            && let Some(node) = self.by_certificate(own).await?
        {
            return Ok(node);
        }
        let header = header.as_ref().and_then(|v| v.to_str().ok());
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

    async fn by_certificate(&self, own: &[u8]) -> Result<Option<String>, Error> {
        let digest: [u8; 32] = Sha256::digest(own).into();
        if let Some(node) = self.certificates.get(&digest) {
            return Ok(Some(node.clone()));
        }
        let Some(given) = &self.given else { return Ok(None) };
        let known = match given.known(&digest) {
            Some(node) => Some(node),
            None => given.look_again(own).await?,
        };
        // Whoever shows one that has ended does not come in by a token instead.
        if known.is_none() && given.has_ended(&digest) {
            return Err(Error::Unauthenticated);
        }
        Ok(known)
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

    #[tokio::test]
    async fn a_token_names_one_node_and_anything_else_names_none() {
        let token = |node: &str, token: &str| Credential {
            node: node.to_owned(),
            certificate: None,
            token: Some(Sha256::digest(token.as_bytes()).into()),
        };
        let all = Credentials::new(vec![token("a", "one"), token("b", "two")]);
        assert_eq!(all.caller(Shown::of(&request(Some("Bearer two")))).await.unwrap(), "b");
        for wrong in [None, Some("Bearer three"), Some("two"), Some("Bearer "), Some("Basic two")] {
            let refused = all.caller(Shown::of(&request(wrong))).await;
            assert!(matches!(refused, Err(Error::Unauthenticated)), "{wrong:?}");
        }
    }
}
