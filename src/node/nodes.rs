//! The hub's own authority: its file, its door's certificate, and who is let in.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio_rustls::rustls::{RootCertStore, ServerConfig};
use tokio_util::task::TaskTracker;

use super::backup::RESTORED_CODES;
use super::{NodeError, SystemClock, pem, records, secret};
use crate::app::chain;
use crate::app::error::Cause;
use crate::app::nodes::certificate::{Authority, is_signed_by};
use crate::app::nodes::ports::NodeStore;
use crate::app::nodes::{Nodes, Options};
use crate::app::ports::Clock;
use crate::config::{CaSection, Config};
use crate::link::lines::Lines;
use crate::store::postgres;
use crate::store::sqlite;
use crate::telemetry::Metrics;
use crate::tls::{self, Clients, H2, Identity, Versions};

/// Name of the authority's file in the store's directory, where the configuration names no other.
pub(super) const FILE: &str = "link-ca.pem";
/// Between two looks at what was revoked. It ends everywhere within this and what a look takes.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// How long the certificate of the hub's own door is good; each start makes another.
const DOOR_LIFE: Duration = Duration::from_hours(2 * 365 * 24);
/// Hours of a day.
const DAY_HOURS: u64 = 24;

/// The door of the link, ready to be opened.
pub(super) struct Opened {
    /// Who is let in by certificates of the hub's own; none where it gives none.
    pub(super) nodes: Option<Arc<Nodes>>,
    /// TLS; none: plain, on loopback.
    pub(super) tls: Option<Arc<ServerConfig>>,
    /// Lines that are open.
    pub(super) lines: Lines,
}

/// Where the authority's file is.
pub fn authority_path(config: &Config, section: &CaSection) -> PathBuf {
    section.file.clone().unwrap_or_else(|| config.store.dir.join(FILE))
}

/// Reads the authority's file. Where there is none, makes it if the configuration names none.
///
/// # Errors
/// The file cannot be read, or others can read it, or it is none.
pub fn authority(config: &Config, section: &CaSection) -> Result<Authority, NodeError> {
    let path = authority_path(config, section);
    let failed = |error: Cause| pem::named(&path, error);
    let mut text = secret::read(&path).map_err(failed)?;
    if text.is_none() && section.file.is_none() {
        make_authority(config, section)?;
        text = secret::read(&path).map_err(failed)?;
    }
    let Some(text) = text else {
        let said = "it is not there: copy it from another hub on the same database, or make it with \
                    `xiangyi admin ca init`";
        return Err(failed(said.into()));
    };
    Authority::from_pem(&text).map_err(failed)
}

/// Makes the authority's file; `false`: it is there.
///
/// # Errors
/// It cannot be written.
pub fn make_authority(config: &Config, section: &CaSection) -> Result<bool, NodeError> {
    let path = authority_path(config, section);
    let failed = |error: Cause| pem::named(&path, error);
    let text = Authority::make(&config.node.name, SystemClock.now_ms()).map_err(failed)?;
    let made = secret::make(&path, text.as_bytes()).map_err(failed)?;
    if made {
        tracing::info!(file = %path.display(), "the authority of the hub's nodes was made");
    }
    Ok(made)
}

/// Opens what the hub's door needs.
pub(super) async fn open(config: &Config, clock: &Arc<dyn Clock>) -> Result<Opened, NodeError> {
    let section = &config.link;
    let others = match &section.tls_ca {
        Some(path) => Some(pem::roots(path)?),
        None => None,
    };
    let own = match (&section.tls_cert, &section.tls_key) {
        (Some(cert), Some(key)) => Some(pem::identity(cert, key)?),
        (None | Some(_), None) | (None, Some(_)) => None,
    };
    let lines = Lines::default();
    let Some(ca) = &section.ca else {
        let Some(own) = own else { return Ok(Opened { nodes: None, tls: None, lines }) };
        let clients = others.map_or(Clients::Unasked, Clients::Welcome);
        let tls = tls::server(own, clients, (Versions::Modern, &[H2])).map_err(NodeError::Link)?;
        return Ok(Opened { nodes: None, tls: Some(Arc::new(tls)), lines });
    };
    let authority = authority(config, ca)?;
    let door = door(config, (ca, &authority), own, clock.now_ms())?;
    let vouching = door.chain.last().map(|last| last.to_vec()).unwrap_or_default();
    let mut roots = others.unwrap_or_else(RootCertStore::empty);
    let trusted = roots.add(authority.der().to_vec().into());
    trusted.map_err(|e| NodeError::Link(e.into()))?;
    // A node may show a token instead; who shows neither is refused by each call.
    let tls = tls::server(door, Clients::Welcome(roots), (Versions::Modern, &[H2]));
    let tls = tls.map_err(NodeError::Link)?;
    let nodes = Arc::new(assemble(config, (ca, authority), vouching, Arc::clone(clock))?);
    if let Err(error) = nodes.adopt().await {
        if !error.retryable() {
            return Err(NodeError::Link(error.into()));
        }
        tracing::warn!(error = chain(&error), "the authority is compared when the store answers");
    }
    after_restore(&nodes, config).await?;
    Ok(Opened { nodes: Some(nodes), tls: Some(Arc::new(tls)), lines })
}

/// Ends codes where the hub was put back from a backup and has not started since.
async fn after_restore(nodes: &Nodes, config: &Config) -> Result<(), NodeError> {
    let failed = |source: std::io::Error| NodeError::Link(source.into());
    let mark = config.store.dir.join(RESTORED_CODES);
    if !tokio::fs::try_exists(&mark).await.map_err(failed)? {
        return Ok(());
    }
    let section = &config.exchange;
    if section.postgres_url.is_some() || section.postgres_url_file.is_some() {
        // The codes are not in what was put back.
        return tokio::fs::remove_file(&mark).await.map_err(failed);
    }
    let ended = nodes.after_restore().await.map_err(|e| NodeError::Link(e.into()))?;
    tracing::warn!(
        codes = ended,
        "put back from a backup: codes to enrol with were ended; nodes that enrolled since must enrol again, \
         and certificates that were revoked since are good again: look through them \
         (`xiangyi admin nodes`)"
    );
    tokio::fs::remove_file(&mark).await.map_err(failed)
}

/// The certificate of the hub's door: the configured one, or one of its own authority.
fn door(
    config: &Config,
    (ca, authority): (&CaSection, &Authority),
    own: Option<Identity>,
    now_ms: i64,
) -> Result<Identity, NodeError> {
    let Some(own) = own else {
        let (chain, key) =
            authority.for_door(&ca.names, (now_ms, DOOR_LIFE)).map_err(NodeError::Link)?;
        return Identity::from_pem(chain.as_bytes(), key.as_bytes()).map_err(NodeError::Link);
    };
    // Nodes that enrol learn from this chain whom to trust.
    let vouches = own.chain.last().is_some_and(|last| is_signed_by(last, last));
    if !vouches {
        let path = config.link.tls_cert.clone().unwrap_or_default();
        let said = "with link.ca the file must end with the certificate of the authority that vouches \
                    for the first one";
        return Err(pem::named(&path, said.into()));
    }
    Ok(own)
}

fn assemble(
    config: &Config,
    (ca, authority): (&CaSection, Authority),
    vouching: Vec<u8>,
    clock: Arc<dyn Clock>,
) -> Result<Nodes, NodeError> {
    let life = Duration::from_hours(DAY_HOURS * u64::from(ca.days));
    let members = config.link.nodes.iter().map(|member| member.name.clone());
    let options = Options { life, vouching };
    Ok(Nodes::new(store(config)?, (authority, options), members, clock))
}

fn store(config: &Config) -> Result<Arc<dyn NodeStore>, NodeError> {
    let section = &config.exchange;
    Ok(match (&section.postgres_url, &section.postgres_url_file) {
        (None, None) => {
            let database = records::database_of(config)?;
            Arc::new(sqlite::hub::nodes::NodeCertificates::open(database))
        }
        (url, file) => {
            let server = records::server((url.as_ref(), file.as_deref()));
            let server = server.map_err(NodeError::PostgresHub)?;
            let schema = &section.postgres_schema;
            Arc::new(postgres::hub::nodes::NodeCertificates::open(&server, schema))
        }
    })
}

/// Who is let in at a hub that may be running or not, for the command line.
///
/// # Errors
/// The node is no hub with `link.ca`, or its database or authority cannot be used.
pub async fn beside(config: &Config) -> Result<Nodes, NodeError> {
    let Some(ca) = &config.link.ca else {
        return Err(NodeError::Link(
            "this configuration is not of a hub that gives certificates: it has no section [link.ca]"
                .into(),
        ));
    };
    let authority = authority(config, ca)?;
    let section = &config.exchange;
    match (&section.postgres_url, &section.postgres_url_file) {
        (None, None) => {
            let database = records::database_of(config)?;
            drop(sqlite::hub::HubStore::open(database, Vec::new()).await?);
        }
        (url, file) => {
            let server = records::server((url.as_ref(), file.as_deref()));
            let server = server.map_err(NodeError::PostgresHub)?;
            let tasks = TaskTracker::new();
            let schema = &section.postgres_schema;
            let opening = postgres::hub::HubStore::open(&server, schema, Vec::new(), &tasks);
            drop(Box::pin(opening).await.map_err(NodeError::PostgresHub)?);
            tasks.close();
            tasks.wait().await;
        }
    }
    let own = match &config.link.tls_cert {
        Some(path) => Some(pem::chain(path)?),
        None => None,
    };
    let vouching = own.and_then(|mut chain| chain.pop());
    let vouching = vouching.map_or_else(|| authority.der().to_vec(), |last| last.to_vec());
    let nodes = assemble(config, (ca, authority), vouching, Arc::new(SystemClock))?;
    nodes.adopt().await.map_err(|e| NodeError::Link(e.into()))?;
    Ok(nodes)
}

/// Looks again and again at what was revoked, and ends the lines of whoever it was, for ever.
pub(super) async fn watch((nodes, lines): (Arc<Nodes>, Lines), metrics: Arc<Metrics>) {
    let mut is_adopted = false;
    loop {
        if !is_adopted {
            match nodes.adopt().await {
                Ok(()) => is_adopted = true,
                Err(error) => tracing::error!(error = chain(&error), "the hub's authority"),
            }
        }
        match nodes.refresh().await {
            Ok(counts) => metrics.node_certificates(counts),
            Err(error) => tracing::warn!(
                error = chain(&error),
                "what was revoked is not known now; what was known before holds"
            ),
        }
        let ended = lines.end(|sha256| nodes.has_ended(sha256));
        if ended > 0 {
            tracing::info!(
                lines = ended,
                "lines were ended: their certificates are not good any more"
            );
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
