//! PEM files of doors and of what is dialled.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

use super::NodeError;
use crate::app::error::Cause;
use crate::tls::{self, Clients, Identity, Versions};

/// PEM files of a door.
pub(super) struct Pem<'a> {
    /// Certificate chain.
    pub(super) cert: Option<&'a Path>,
    /// Private key.
    pub(super) key: Option<&'a Path>,
    /// Authorities of required client certificates.
    pub(super) client_ca: Option<&'a Path>,
}

/// TLS of a door that speaks these versions and protocols (ALPN; none where it has no names); none
/// without a certificate.
pub(super) fn acceptor(
    files: &Pem<'_>,
    speaks: (Versions, &[&[u8]]),
) -> Result<Option<TlsAcceptor>, NodeError> {
    Ok(server_config(files, speaks)?.map(|config| TlsAcceptor::from(Arc::new(config))))
}

/// Likewise, for a door that accepts by itself.
pub(super) fn server_config(
    files: &Pem<'_>,
    speaks: (Versions, &[&[u8]]),
) -> Result<Option<ServerConfig>, NodeError> {
    let (Some(cert), Some(key)) = (files.cert, files.key) else { return Ok(None) };
    let clients = match files.client_ca {
        None => Clients::Unasked,
        Some(path) => Clients::Required(roots(path)?),
    };
    let config = tls::server(identity(cert, key)?, clients, speaks);
    config.map(Some).map_err(|e| named(cert, e))
}

/// A certificate chain.
pub(super) fn chain(cert: &Path) -> Result<Vec<CertificateDer<'static>>, NodeError> {
    tls::certificates(&read(cert)?).map_err(|e| named(cert, e))
}

/// A certificate chain and its key.
pub(super) fn identity(cert: &Path, key: &Path) -> Result<Identity, NodeError> {
    let chain = chain(cert)?;
    let key = tls::private_key(&read(key)?).map_err(|e| named(key, e))?;
    Ok(Identity { chain, key })
}

/// Authorities.
pub(super) fn roots(path: &Path) -> Result<RootCertStore, NodeError> {
    tls::roots(&read(path)?).map_err(|e| named(path, e))
}

fn read(path: &Path) -> Result<Vec<u8>, NodeError> {
    std::fs::read(path).map_err(|e| named(path, e.into()))
}

/// An error about a file.
pub(super) fn named(path: &Path, source: Cause) -> NodeError {
    NodeError::Pem { path: PathBuf::from(path), source }
}
