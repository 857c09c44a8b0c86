//! Fetches the key set of an identity provider over HTTPS.
//!
//! No redirects, no proxies, a time limit, and no more bytes than a key set may have; an answer other
//! than 200 is none.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use tokio_rustls::rustls::ClientConfig;

use crate::app::error::Cause;
use crate::app::identity::keys::KEY_SET_BYTES_MAX;
use crate::app::identity::oidc::KeySource;
use crate::app::ports::BoxFuture;

/// How long the provider may take to be reached.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the whole may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A key set behind a URL.
pub struct Url {
    client: reqwest::Client,
    url: String,
}

/// A key set in a file that whoever runs the node puts there.
#[derive(Debug)]
pub struct File(pub PathBuf);

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Url").field("url", &self.url).finish_non_exhaustive()
    }
}

impl Url {
    /// Behind `url`, over `tls` where it is `https`.
    ///
    /// # Errors
    /// Where the TLS configuration cannot be used.
    pub fn new(url: &str, tls: ClientConfig) -> Result<Self, Cause> {
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .pool_max_idle_per_host(0)
            .build()?;
        Ok(Self { client, url: url.to_owned() })
    }
}

impl KeySource for Url {
    fn fetch(&self) -> BoxFuture<'_, Result<Vec<u8>, Cause>> {
        Box::pin(async move {
            let request = self.client.get(&self.url).header("accept", "application/json");
            let mut answer = request.send().await?;
            if answer.status() != reqwest::StatusCode::OK {
                return Err(format!("the identity provider answers {}", answer.status()).into());
            }
            let mut set = Vec::new();
            while let Some(piece) = answer.chunk().await? {
                if set.len() + piece.len() > KEY_SET_BYTES_MAX {
                    return Err("the key set is too large".into());
                }
                set.extend_from_slice(&piece);
            }
            Ok(set)
        })
    }
}

impl KeySource for File {
    fn fetch(&self) -> BoxFuture<'_, Result<Vec<u8>, Cause>> {
        Box::pin(async move {
            use tokio::io::AsyncReadExt as _;
            let named = |e| -> Cause { format!("{}: {e}", self.0.display()).into() };
            let file = tokio::fs::File::open(&self.0).await.map_err(named)?;
            let most = u64::try_from(KEY_SET_BYTES_MAX + 1).unwrap_or(u64::MAX);
            let mut set = Vec::new();
            file.take(most).read_to_end(&mut set).await.map_err(named)?;
            Ok(set)
        })
    }
}
