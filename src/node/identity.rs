//! Who may come in: what the configuration says of credentials, put together once for every door.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls_platform_verifier::BuilderVerifierExt as _;
use tokio_rustls::rustls::{self, ClientConfig};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::pem::roots;
use super::{DATABASE, NodeError, accounts, callers, keys, link};
use crate::app::credentials::{Authenticator, Placing};
use crate::app::error::Cause;
use crate::app::identity::oidc::{KeptSet, KeyKeeper, KeySource, Oidc, Rules, Timing};
use crate::app::ports::{BoxFuture, Clock, Journal};
use crate::config::{Config, OidcSection};
use crate::web::jwks;

/// Name of the file in the store's directory that holds the provider's keys over a restart.
const KEPT_KEYS: &str = "oidc-keys.json";

/// Puts the credentials together, and fetches the keys of an identity provider until the node stops.
pub(super) async fn open(
    config: &Config,
    (journal, clock, placing): (&Arc<dyn Journal>, &Arc<dyn Clock>, Placing),
    (tasks, stop): (&TaskTracker, &CancellationToken),
) -> Result<Authenticator, NodeError> {
    let tokens = callers::tokens(config, &placing)?;
    let oidc = match &config.auth.oidc {
        None => None,
        Some(section) => {
            let keeper: Arc<dyn KeyKeeper> = Arc::new(KeptKeys {
                path: config.store.dir.join(KEPT_KEYS),
                issuer: section.issuer.clone(),
            });
            let with = (source(section)?, keeper);
            let oidc = Oidc::open(rules(section), timing(section), with, Arc::clone(clock)).await;
            let oidc = Arc::new(oidc);
            link::until(stop, tasks, Arc::clone(&oidc).run());
            Some(oidc)
        }
    };
    let accounts = match &config.auth.accounts {
        None => None,
        Some(section) => {
            let opened = accounts::open(&keys::database(config, DATABASE)?, section)?;
            accounts::offer_setup(&opened, &config.store.dir).await?;
            accounts::after_restore(&opened, &config.store.dir).await?;
            Some(opened)
        }
    };
    let known = Authenticator::new(tokens).with_placing(placing);
    let known = known.with_oidc(oidc).with_accounts(accounts);
    let (journal, clock, stop) = (Arc::clone(journal), Arc::clone(clock), stop.clone());
    let refusals = Arc::clone(known.refusals());
    tasks.spawn(async move { refusals.enter(journal.as_ref(), clock.as_ref(), stop).await });
    Ok(known)
}

fn source(section: &OidcSection) -> Result<Arc<dyn KeySource>, NodeError> {
    match (&section.jwks_url, &section.jwks_file) {
        (Some(url), _) => {
            let tls = tls(section)?;
            Ok(Arc::new(jwks::Url::new(url, tls).map_err(NodeError::Provider)?))
        }
        (None, Some(path)) => Ok(Arc::new(jwks::File(path.clone()))),
        (None, None) => Err(NodeError::Provider("neither jwks_url nor jwks_file".into())),
    }
}

fn tls(section: &OidcSection) -> Result<ClientConfig, NodeError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| NodeError::Provider(e.into()))?;
    if let Some(path) = &section.tls_ca {
        return Ok(builder.with_root_certificates(roots(path)?).with_no_client_auth());
    }
    let verified = builder.with_platform_verifier();
    Ok(verified.map_err(|e| NodeError::Provider(e.into()))?.with_no_client_auth())
}

fn rules(section: &OidcSection) -> Rules {
    Rules {
        issuer: section.issuer.clone(),
        audiences: section.audiences.clone(),
        algorithms: section.algorithms.clone(),
        leeway: Duration::from_secs(section.leeway_s),
        lifetime_max: Duration::from_secs(section.lifetime_max_s),
        name_claim: section.name_claim.clone(),
        role_claim: section.role_claim.clone(),
        scope_claim: section.scope_claim.clone(),
        roles: section.roles.clone(),
    }
}

fn timing(section: &OidcSection) -> Timing {
    Timing {
        refresh: Duration::from_secs(section.refresh_s),
        unknown_key_interval: Duration::from_secs(section.unknown_key_interval_s),
        age_max: Duration::from_secs(section.keys_age_max_s),
    }
}

/// The last good key set in a file. That of another issuer is none.
#[derive(Debug)]
struct KeptKeys {
    path: PathBuf,
    issuer: String,
}

/// What the file holds.
#[derive(serde::Serialize, serde::Deserialize)]
struct Kept {
    issuer: String,
    fetched_ms: i64,
    /// The set as it came, in base64.
    set: String,
}

impl KeyKeeper for KeptKeys {
    fn load(&self) -> BoxFuture<'_, Result<Option<KeptSet>, Cause>> {
        Box::pin(async move {
            let text = match tokio::fs::read(&self.path).await {
                Ok(text) => text,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(error.into()),
            };
            let kept: Kept = serde_json::from_slice(&text)?;
            if kept.issuer != self.issuer {
                return Ok(None);
            }
            Ok(Some((kept.fetched_ms, STANDARD.decode(kept.set)?)))
        })
    }

    fn save<'a>(&'a self, fetched_ms: i64, set: &'a [u8]) -> BoxFuture<'a, Result<(), Cause>> {
        let kept = Kept { issuer: self.issuer.clone(), fetched_ms, set: STANDARD.encode(set) };
        Box::pin(async move {
            let (text, path) = (serde_json::to_vec(&kept)?, self.path.clone());
            tokio::task::spawn_blocking(move || replace(&path, &text)).await??;
            Ok(())
        })
    }
}

/// Writes a file that only its owner reads, whole or not at all.
fn replace(path: &std::path::Path, text: &[u8]) -> std::io::Result<()> {
    use std::io::Write as _;
    let folder = path.parent().unwrap_or_else(|| std::path::Path::new("."));
    // Made with mode 0600.
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(text)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}
