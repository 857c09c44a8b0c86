//! An S3-compatible store as the remote store of the archive: signatures of version 4, TLS with the
//! same provider as the doors, time limits and retries. Credentials are read from a file and appear
//! in no log, error or debug print.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3Builder, Checksum};
use object_store::client::{HttpClient, HttpConnector};
use object_store::{BackoffConfig, ClientOptions, RetryConfig};
use rustls_platform_verifier::BuilderVerifierExt as _;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore};

use super::remote::ObjectBlobs;

/// Bytes of a file of credentials at most.
const CREDENTIALS_BYTES_MAX: usize = 4096;
/// How long a connection may take to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Why a connector of ours failed, as the store names it.
const STORE: &str = "S3";

type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Where the store is and how it is spoken to.
#[derive(Debug, Clone)]
pub struct S3Options {
    /// `https://host[:port]`, or `http://` where the network is trusted.
    pub endpoint: String,
    /// Bucket.
    pub bucket: String,
    /// What names in it begin with.
    pub prefix: String,
    /// Region.
    pub region: String,
    /// File with the access key's id in its first line and the secret in its second.
    pub access_key_file: PathBuf,
    /// PEM certificates of the authorities that the store's certificate must be signed by; none: those
    /// of the system.
    pub tls_ca: Option<PathBuf>,
    /// How long a request may take, its answer included.
    pub request_timeout: Duration,
    /// How many times a request is tried again.
    pub retries_max: usize,
}

/// Why the store cannot be spoken to.
#[derive(Debug, thiserror::Error)]
pub enum S3Error {
    /// A file cannot be read.
    #[error("cannot read {}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file of credentials is none.
    #[error("{} must hold the access key's id in its first line and the secret in its second", path.display())]
    Credentials {
        /// Which.
        path: PathBuf,
    },
    /// A certificate cannot be used.
    #[error("cannot use the certificates of the S3 store's authorities")]
    Certificates(#[source] Cause),
    /// What was configured makes no client.
    #[error("cannot make an S3 client of the configuration")]
    Client(#[source] object_store::Error),
}

/// Makes clients with our TLS.
#[derive(Debug)]
struct Connector {
    tls: ClientConfig,
    timeout: Duration,
}

impl HttpConnector for Connector {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(self.tls.clone())
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(self.timeout)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()
            .map_err(|e| object_store::Error::Generic { store: STORE, source: e.into() })?;
        Ok(HttpClient::new(client))
    }
}

/// The blobs of a bucket. Asks the store for nothing yet.
pub fn open(options: &S3Options) -> Result<ObjectBlobs, S3Error> {
    let (id, secret) = credentials(&options.access_key_file)?;
    let connector =
        Connector { tls: tls(options.tls_ca.as_deref())?, timeout: options.request_timeout };
    let retry = RetryConfig {
        backoff: BackoffConfig::default(),
        max_retries: options.retries_max,
        retry_timeout: options.request_timeout.saturating_mul(2),
    };
    let store = AmazonS3Builder::new()
        .with_endpoint(&options.endpoint)
        .with_bucket_name(&options.bucket)
        .with_region(&options.region)
        .with_access_key_id(id)
        .with_secret_access_key(secret)
        .with_allow_http(options.endpoint.starts_with("http://"))
        .with_virtual_hosted_style_request(false)
        .with_checksum_algorithm(Checksum::SHA256)
        .with_retry(retry)
        .with_http_connector(connector)
        .build()
        .map_err(S3Error::Client)?;
    Ok(ObjectBlobs::new(Arc::new(store), &options.prefix))
}

fn read(path: &Path) -> Result<String, S3Error> {
    fs::read_to_string(path).map_err(|source| S3Error::File { path: path.to_owned(), source })
}

fn credentials(path: &Path) -> Result<(String, String), S3Error> {
    let text = read(path)?;
    let bad = || S3Error::Credentials { path: path.to_owned() };
    if text.len() > CREDENTIALS_BYTES_MAX {
        return Err(bad());
    }
    let mut lines = text.lines().map(str::trim);
    match (lines.next(), lines.next()) {
        (Some(id), Some(secret)) if !id.is_empty() && !secret.is_empty() => {
            Ok((id.to_owned(), secret.to_owned()))
        }
        (_, _) => Err(bad()),
    }
}

fn tls(ca: Option<&Path>) -> Result<ClientConfig, S3Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| S3Error::Certificates(e.into()))?;
    let Some(path) = ca else {
        let verified = builder.with_platform_verifier();
        return Ok(verified.map_err(|e| S3Error::Certificates(e.into()))?.with_no_client_auth());
    };
    let text = read(path)?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(text.as_bytes()) {
        let certificate = certificate.map_err(|e| S3Error::Certificates(e.into()))?;
        roots.add(certificate).map_err(|e| S3Error::Certificates(e.into()))?;
    }
    if roots.is_empty() {
        return Err(S3Error::Certificates("the file holds no certificate".into()));
    }
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(folder: &Path) -> S3Options {
        S3Options {
            endpoint: "https://s3.example:9000".to_owned(),
            bucket: "images".to_owned(),
            prefix: "node-1".to_owned(),
            region: "us-east-1".to_owned(),
            access_key_file: folder.join("key"),
            tls_ca: None,
            request_timeout: Duration::from_secs(5),
            retries_max: 2,
        }
    }

    #[test]
    fn credentials_come_from_their_file_and_are_never_shown() {
        let folder = tempfile::tempdir().unwrap();
        let options = options(folder.path());
        assert!(matches!(open(&options), Err(S3Error::File { .. })));
        for bad in ["", "id\n", "id\n\n", &"x".repeat(5000)] {
            fs::write(&options.access_key_file, bad).unwrap();
            assert!(matches!(open(&options), Err(S3Error::Credentials { .. })));
        }
        fs::write(&options.access_key_file, "AKID\nverysecretindeed\n").unwrap();
        let blobs = open(&options).unwrap();
        let shown = format!("{blobs:?} {options:?}");
        assert!(!shown.contains("verysecret"), "{shown}");
    }

    #[test]
    fn authorities_must_be_certificates() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        fs::write(folder.path().join("key"), "a\nb\n").unwrap();
        let options = S3Options { tls_ca: Some(path.clone()), ..options(folder.path()) };
        fs::write(&path, "nothing").unwrap();
        assert!(matches!(open(&options), Err(S3Error::Certificates(_))));
        let key = rcgen::generate_simple_self_signed(vec!["s3.example".to_owned()]).unwrap();
        fs::write(&path, key.cert.pem()).unwrap();
        assert!(open(&options).is_ok());
    }
}
