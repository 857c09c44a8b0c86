//! TLS of every door and of every line that a node dials: version 1.3 and no other, with `ring`.
//!
//! Whoever needs the older version for a device says so ([`Versions`]); nothing falls back to it.

pub mod incoming;
pub mod watched;

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::client::WebPkiServerVerifier;
use tokio_rustls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use tokio_rustls::rustls::crypto::CryptoProvider;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio_rustls::rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use tokio_rustls::rustls::{
    self, CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, ServerConfig,
    SignatureScheme, SupportedProtocolVersion, version,
};

use crate::app::ports::BoxFuture;

/// What is dialled with.
pub type Config = ClientConfig;

/// How long a handshake may take.
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(10);
/// Handshakes of a door at the same time.
const HANDSHAKES_MAX: usize = 256;
/// Lines that wait for the door to take them.
const UNTAKEN_MAX: usize = 16;
/// After an error of accepting, such as no file descriptor being left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);
/// The name of HTTP/2 in the handshake.
pub const H2: &[u8] = b"h2";

static MODERN: [&SupportedProtocolVersion; 1] = [&version::TLS13];
static OLDER: [&SupportedProtocolVersion; 2] = [&version::TLS13, &version::TLS12];

/// Something went wrong.
type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Whether a certificate (DER) is the one that was named beforehand.
pub type Pin = Arc<dyn Fn(&[u8]) -> bool + Send + Sync>;

/// Which versions are spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Versions {
    /// 1.3.
    Modern,
    /// 1.2 as well, for devices that know no other.
    Older,
}

/// Which certificates a door asks its callers for.
#[derive(Debug)]
pub enum Clients {
    /// None.
    Unasked,
    /// One of these authorities; without it nobody comes in.
    Required(RootCertStore),
    /// One of these authorities, or none: who calls is then known by something else.
    Welcome(RootCertStore),
}

/// A certificate chain and its key.
pub struct Identity {
    /// The own certificate first.
    pub chain: Vec<CertificateDer<'static>>,
    /// Its key.
    pub key: PrivateKeyDer<'static>,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("chain", &self.chain.len()).finish_non_exhaustive()
    }
}

impl Identity {
    /// From PEM: certificates and a key, in one text or two.
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Self, Cause> {
        Ok(Self { chain: certificates(chain)?, key: private_key(key)? })
    }
}

/// Certificates in PEM; at least one.
pub fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, Cause> {
    let list = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>()?;
    if list.is_empty() { Err("the file holds no certificate".into()) } else { Ok(list) }
}

/// A private key in PEM.
pub fn private_key(pem: &[u8]) -> Result<PrivateKeyDer<'static>, Cause> {
    Ok(PrivateKeyDer::from_pem_slice(pem)?)
}

/// Authorities in PEM.
pub fn roots(pem: &[u8]) -> Result<RootCertStore, Cause> {
    let mut store = RootCertStore::empty();
    for certificate in certificates(pem)? {
        store.add(certificate)?;
    }
    Ok(store)
}

impl Versions {
    fn list(self) -> &'static [&'static SupportedProtocolVersion] {
        match self {
            Self::Modern => &MODERN,
            Self::Older => &OLDER,
        }
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// For a door that speaks `protocols` (ALPN; none where it has no names). Sessions are not taken up
/// again: each line shows its certificate anew, so that one that has ended opens none.
pub fn server(
    identity: Identity,
    clients: Clients,
    (versions, protocols): (Versions, &[&[u8]]),
) -> Result<ServerConfig, Cause> {
    let provider = provider();
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(versions.list())?;
    let verifier =
        |roots| WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
    let builder = match clients {
        Clients::Unasked => builder.with_no_client_auth(),
        Clients::Required(roots) => builder.with_client_cert_verifier(verifier(roots).build()?),
        Clients::Welcome(roots) => {
            builder.with_client_cert_verifier(verifier(roots).allow_unauthenticated().build()?)
        }
    };
    let mut config = builder.with_single_cert(identity.chain, identity.key)?;
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}

/// For dialling whoever one of `roots` vouches for.
pub fn client(
    roots: RootCertStore,
    identity: Option<Identity>,
    (versions, protocols): (Versions, &[&[u8]]),
) -> Result<ClientConfig, Cause> {
    let builder = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(versions.list())?
        .with_root_certificates(roots);
    let mut config = match identity {
        Some(identity) => builder.with_client_auth_cert(identity.chain, identity.key)?,
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    config.resumption = rustls::client::Resumption::disabled();
    Ok(config)
}

/// For dialling whoever shows a certificate that `pin` knows, as its own or as its authority's.
pub fn pinned_client(pin: Pin, protocols: &[&[u8]]) -> Result<ClientConfig, Cause> {
    let verifier = Arc::new(Pinned { pin, provider: provider() });
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(Versions::Modern.list())?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    Ok(config)
}

/// Takes a server whose chain has the pinned certificate: as its own, or as the authority that vouches for
/// it and for its name.
struct Pinned {
    pin: Pin,
    provider: Arc<CryptoProvider>,
}

impl fmt::Debug for Pinned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pinned").finish_non_exhaustive()
    }
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let shown = [end_entity].into_iter().chain(intermediates);
        let Some(known) = shown.into_iter().find(|certificate| (self.pin)(certificate)) else {
            return Err(CertificateError::UnknownIssuer.into());
        };
        let mut roots = RootCertStore::empty();
        roots.add(known.clone().into_owned())?;
        let provider = Arc::clone(&self.provider);
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
            .build()
            .map_err(|error| rustls::Error::General(error.to_string()))?;
        verifier.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("TLS 1.2 is not spoken".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// Dials over TLS, for a gRPC channel.
#[derive(Clone)]
pub struct Dial {
    config: Arc<ClientConfig>,
}

impl fmt::Debug for Dial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dial").finish_non_exhaustive()
    }
}

impl Dial {
    /// With this configuration, which must speak [`H2`].
    pub fn new(config: ClientConfig) -> Self {
        Self { config: Arc::new(config) }
    }

    /// An endpoint for `https://` URLs that leaves TLS to this.
    pub fn endpoint(url: &str) -> Result<tonic::transport::Endpoint, Cause> {
        let origin: Uri = url.parse()?;
        let authority = origin.authority().ok_or("the URL names no host")?.as_str();
        let port = if origin.port().is_some() { "" } else { ":443" };
        // To the channel the line is a plain one.
        let endpoint =
            tonic::transport::Endpoint::from_shared(format!("http://{authority}{port}"))?;
        Ok(endpoint.origin(origin))
    }
}

impl tower::Service<Uri> for Dial {
    type Response = TokioIo<tokio_rustls::client::TlsStream<TcpStream>>;
    type Error = Cause;
    type Future = BoxFuture<'static, Result<Self::Response, Cause>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Cause>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let config = Arc::clone(&self.config);
        Box::pin(async move {
            let host = uri.host().ok_or("the URL names no host")?;
            let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
            let name = ServerName::try_from(host.clone())?;
            let stream = TcpStream::connect((host, uri.port_u16().unwrap_or(443))).await?;
            stream.set_nodelay(true)?;
            let connecting = TlsConnector::from(config).connect(name, stream);
            let stream = timeout(HANDSHAKE_WITHIN, connecting).await??;
            if stream.get_ref().1.alpn_protocol() != Some(H2) {
                return Err("the other side does not speak HTTP/2".into());
            }
            Ok(TokioIo::new(stream))
        })
    }
}
