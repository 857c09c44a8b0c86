//! Opening what imaging needs, and its DICOM door.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio_rustls::TlsConnector;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::pem::{self, Pem};
use super::records::server;
use super::{NodeError, bind, keys, open_exchange};
use crate::app::chain;
use crate::app::error::{self, Cause};
use crate::app::imaging::custody::Custody as _;
use crate::app::imaging::holdings::{CopyInfo, Holdings as _};
use crate::app::imaging::images::Images;
use crate::app::imaging::models::Analyses;
use crate::app::imaging::peers::{Peer, Peers};
use crate::app::imaging::ports::{Archive as _, IndexCounts, StudyIndex, Usage};
use crate::app::imaging::worklist::Worklist;
use crate::app::imaging::{CaughtUp, CopyLimits, Imaging, ImagingParts, catch_up};
use crate::app::ports::{Clock, Journal};
use crate::archive::local::{
    LocalArchive, Options, Recovery, ScrubProgress, ScrubReport, Tended, Tender,
};
use crate::archive::s3::{self, S3Options};
use crate::config::{Config, DicomSection, IndexName, PeerSection};
use crate::dicom::{self, Dialler, DicomOptions, Moves};
use crate::render::{self, Workers};
use crate::store::postgres;
use crate::store::sqlite;
use crate::store::sqlite::exchange::ExchangeStore;
use crate::telemetry::Metrics;
use crate::tls;

/// Name of the index of studies in the imaging directory.
const INDEX: &str = keys::INDEX;

/// Between two looks at copies for metrics.
const WATCH_EVERY: Duration = Duration::from_secs(5);

/// What the doors open to.
pub(super) struct Opened {
    pub(super) imaging: Arc<Imaging>,
    /// The threads that draw and convert, one pool for all.
    pub(super) workers: Arc<Workers>,
    /// Who looks after copies in a remote store, where there is one.
    pub(super) tender: Option<Tender>,
    /// What was asked of a PACS to be moved here.
    pub(super) moves: Moves,
}

/// Opens archive and index, and brings the one up to the other.
pub(super) async fn open(
    config: &Config,
    (journal, clock, exchange): (Arc<dyn Journal>, Arc<dyn Clock>, Arc<ExchangeStore>),
    tasks: &TaskTracker,
) -> Result<Option<Opened>, NodeError> {
    let section = &config.imaging;
    if !section.enabled {
        return Ok(None);
    }
    let (archive, _) = open_archive(config).await?;
    let local_bytes_max = section.s3.as_ref().and_then(|s3| s3.local_bytes_max);
    let tender = archive.tender(local_bytes_max);
    let index = open_index(config, tasks).await?;
    let workers =
        Workers::start(render::Options::default()).map_err(|e| NodeError::Imaging(e.into()))?;
    let workers = Arc::new(workers);
    let parts = ImagingParts {
        archive: Arc::new(archive),
        index,
        journal,
        clock,
        transcoder: Arc::<Workers>::clone(&workers),
        custody: exchange,
        copies: copy_limits(config),
    };
    let failed = |e: error::Error| NodeError::Imaging(e.into());
    let (imaging, keeper, caught) = Imaging::start(parts).await.map_err(failed)?;
    if caught.added > 0 || caught.unreadable > 0 {
        tracing::info!(added = caught.added, unreadable = caught.unreadable, "index caught up");
    }
    tasks.spawn(keeper.run());
    Ok(Some(Opened { imaging, workers, tender, moves: Moves::default() }))
}

/// Measures copies and the archive until the node stops.
pub(super) fn watched(
    opened: &Opened,
    metrics: &Arc<Metrics>,
    (tasks, stop): (&TaskTracker, &CancellationToken),
) {
    tasks.spawn(watch(Arc::clone(&opened.imaging), Arc::clone(metrics), stop.clone()));
}

async fn watch(imaging: Arc<Imaging>, metrics: Arc<Metrics>, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(WATCH_EVERY);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => {}
        }
        match imaging.copy_info().await {
            Ok(info) => metrics.copies(&info),
            Err(error) => tracing::warn!(error = chain(&error), "copies cannot be measured"),
        }
        match imaging.usage().await {
            Ok(usage) => metrics.archive(&usage),
            Err(error) => tracing::warn!(error = chain(&error), "archive cannot be measured"),
        }
    }
}

/// Looks after copies in a remote store until the node stops. What is cut off is done again at the
/// next start.
pub(super) async fn tend(remote: Tender, config: Config, stop: CancellationToken) {
    let every = config.imaging.s3.map_or(10_000, |s3| s3.look_every_ms);
    let mut failing = false;
    loop {
        let tended = tokio::select! {
            () = stop.cancelled() => return,
            tended = remote.tend() => tended,
        };
        match tended {
            Ok(done) => {
                if done != Tended::default() {
                    let Tended { put, replaced, away } = done;
                    tracing::info!(put, replaced, away, "copies of segments in the remote store");
                }
                failing = false;
            }
            Err(error) => {
                if !failing {
                    tracing::warn!(error = chain(&error), "copies of segments wait");
                }
                failing = true;
            }
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(Duration::from_millis(every)) => {}
        }
    }
}

/// Images with the threads that draw them and the models that look at them.
pub(super) fn for_people(
    opened: Option<&Opened>,
    analyses: Option<Arc<Analyses>>,
) -> Option<Images> {
    let Opened { imaging, workers, .. } = opened?;
    let images = Images::new(Arc::clone(imaging), Arc::<Workers>::clone(workers));
    Some(images.with_analyses(analyses))
}

/// What archive and index hold.
#[derive(Debug)]
pub struct Held {
    /// Of the archive.
    pub usage: Usage,
    /// Of the index.
    pub counts: IndexCounts,
    /// Copies of other nodes.
    pub copies: CopyInfo,
    /// What opening the archive had to mend.
    pub recovery: Recovery,
}

/// What may be kept of copies. The archive counts as free what it may write itself.
fn copy_limits(config: &Config) -> CopyLimits {
    let copies = &config.imaging.copies;
    CopyLimits {
        bytes_max: copies.bytes_max,
        spare_bytes_min: copies.free_bytes_min.saturating_sub(config.imaging.free_bytes_min),
    }
}

fn options(config: &Config) -> Result<Options, keys::KeysError> {
    Ok(Options {
        segment_bytes: config.imaging.segment_bytes,
        free_bytes_min: config.imaging.free_bytes_min,
        seals: keys::archive(config)?,
        ..Options::new(folder(config).join("archive"))
    })
}

/// Opens the archive, with the remote store that the configuration names. Blocks; asks the remote
/// store for nothing.
fn open_files(config: &Config) -> Result<(LocalArchive, Recovery), Cause> {
    let options = options(config)?;
    let Some(section) = &config.imaging.s3 else { return Ok(LocalArchive::open(options)?) };
    let blobs = s3::open(&S3Options {
        endpoint: section.endpoint.clone(),
        bucket: section.bucket.clone(),
        prefix: section.prefix.clone(),
        region: section.region.clone(),
        access_key_file: section.access_key_file.clone(),
        tls_ca: section.tls_ca.clone(),
        request_timeout: Duration::from_millis(section.request_timeout_ms),
        retries_max: usize::try_from(section.retries_max).unwrap_or(0),
    })?;
    Ok(LocalArchive::open_with(options, Arc::new(blobs))?)
}

pub(super) async fn open_archive(config: &Config) -> Result<(LocalArchive, Recovery), NodeError> {
    let config = config.clone();
    let opened = tokio::task::spawn_blocking(move || open_files(&config)).await;
    let (archive, recovery) =
        opened.map_err(|e| NodeError::Imaging(e.into()))?.map_err(NodeError::Imaging)?;
    if recovery.bytes_cut > 0 || recovery.gaps > 0 || recovery.missing > 0 {
        tracing::warn!(?recovery, "archive was mended");
    }
    Ok((archive, recovery))
}

pub(super) async fn open_index(
    config: &Config,
    tasks: &TaskTracker,
) -> Result<Arc<dyn StudyIndex>, NodeError> {
    let section = &config.imaging;
    Ok(match section.index {
        IndexName::Sqlite => {
            let database = keys::database_in(config, &folder(config), INDEX)?;
            let index = sqlite::studies::StudyIndexStore::open(database, tasks).await;
            Arc::new(index.map_err(NodeError::StudyIndex)?)
        }
        IndexName::Postgres => {
            let url = (section.postgres_url.as_ref(), section.postgres_url_file.as_deref());
            let server = server(url).map_err(NodeError::PostgresIndex)?;
            let (schema, readers) = (&section.postgres_schema, section.postgres_connections);
            let key = keys::studies(config)?;
            let opened = postgres::studies::StudyIndexStore::open(
                server,
                schema,
                readers,
                key.as_ref(),
                tasks,
            );
            let opened = Box::pin(opened).await;
            Arc::new(opened.map_err(NodeError::PostgresIndex)?)
        }
    })
}

/// Closes an index that nobody else holds.
async fn close_index(index: Arc<dyn StudyIndex>, tasks: &TaskTracker) {
    drop(index);
    tasks.close();
    tasks.wait().await;
}

/// What a node that does not run holds. Fails if it runs.
pub async fn held(config: &Config) -> Result<Held, NodeError> {
    let failed = |e: error::Error| NodeError::Imaging(e.into());
    let (archive, recovery) = open_archive(config).await?;
    let tasks = TaskTracker::new();
    let index = open_index(config, &tasks).await?;
    let usage = archive.usage().await.map_err(failed)?;
    let exchange = open_exchange(config).await?;
    let copies = CopyInfo {
        totals: exchange.totals().await.map_err(failed)?,
        bytes_max: config.imaging.copies.bytes_max,
        evictions: exchange.evictions().await.map_err(failed)?,
    };
    let counts = index.counts().await;
    close_index(index, &tasks).await;
    Ok(Held { usage, counts: counts.map_err(failed)?, copies, recovery })
}

/// Reads every object of a node that does not run. Blocks; not to be called on a thread of the
/// runtime.
pub fn scrub(
    config: &Config,
    progress: &mut dyn FnMut(&ScrubProgress),
) -> Result<ScrubReport, NodeError> {
    let (archive, _) = open_files(config).map_err(NodeError::Imaging)?;
    Ok(archive.scrub(&|| false, progress))
}

/// Makes the index of a node that does not run anew.
pub async fn reindex(
    config: &Config,
    progress: &mut (dyn FnMut(&CaughtUp) + Send),
) -> Result<CaughtUp, NodeError> {
    let failed = |e: error::Error| NodeError::Imaging(e.into());
    let (archive, _) = open_archive(config).await?;
    if config.imaging.index == IndexName::Sqlite {
        remove_files(config)?;
    }
    let tasks = TaskTracker::new();
    let index = open_index(config, &tasks).await?;
    let caught = async {
        index.clear().await?;
        catch_up(&archive, &*index, None, progress).await
    };
    let caught = caught.await;
    close_index(index, &tasks).await;
    caught.map_err(failed)
}

/// Empties the index of a node that does not run.
pub(super) async fn clear_index(config: &Config) -> Result<(), NodeError> {
    let tasks = TaskTracker::new();
    let index = open_index(config, &tasks).await?;
    let cleared = index.clear().await;
    close_index(index, &tasks).await;
    cleared.map_err(|e| NodeError::Imaging(e.into()))
}

/// The files of the index go, so that one that is damaged beyond opening is made anew as well.
fn remove_files(config: &Config) -> Result<(), NodeError> {
    for suffix in ["", "-wal", "-shm"] {
        let path = folder(config).join(format!("{INDEX}{suffix}"));
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(NodeError::Imaging(error.into()));
            }
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}

/// Opens the DICOM door, if the configuration has one. Returns where it is.
pub(super) async fn open_door(
    config: &Config,
    opened: Option<&Opened>,
    worklist: Option<Arc<Worklist>>,
    (tasks, stop): (&TaskTracker, &CancellationToken),
) -> Result<Option<SocketAddr>, NodeError> {
    let section = &config.dicom;
    let (Some(listen), Some(opened), Some(worklist)) = (section.listen, opened, worklist) else {
        return Ok(None);
    };
    let files = Pem {
        cert: section.tls_cert.as_deref(),
        key: section.tls_key.as_deref(),
        client_ca: section.tls_client_ca.as_deref(),
    };
    // Devices speak DICOM over TLS without naming a protocol.
    let acceptor = pem::acceptor(&files, (versions(section), &[]))?;
    let dialler = dialler(section)?;
    let listener: TcpListener = bind(listen).await?;
    let address = listener.local_addr().unwrap_or(listen);
    let options = DicomOptions {
        pdu_bytes_max: section.pdu_bytes_max,
        associations_max: section.associations_max,
        idle_timeout: Duration::from_millis(section.idle_timeout_ms),
        pdu_timeout: Duration::from_millis(section.pdu_timeout_ms),
    };
    let door = dicom::Door {
        tls: acceptor,
        imaging: Arc::clone(&opened.imaging),
        worklist,
        peers: Arc::new(peers(section)),
        dialler,
        moves: opened.moves.clone(),
        options,
        tasks: tasks.clone(),
        stop: stop.clone(),
    };
    tasks.spawn(door.serve(listener));
    tracing::info!(%address, ae_title = section.ae_title, "DICOM door open");
    Ok(Some(address))
}

/// How peers are dialled.
pub(super) fn dialler(section: &DicomSection) -> Result<Dialler, NodeError> {
    Ok(Dialler::new(section.ae_title.clone(), connector(section)?, section.pdu_bytes_max))
}

/// Where imaging keeps what it keeps.
pub(super) fn folder(config: &Config) -> PathBuf {
    config.imaging.dir.clone().unwrap_or_else(|| config.store.dir.join("imaging"))
}

/// The table of application entities that the configuration gives.
pub(super) fn peers(section: &DicomSection) -> Peers {
    let titles = [&section.ae_title].into_iter().chain(&section.aliases).cloned().collect();
    let table = section.peers.iter().map(peer).collect();
    let others = section.others().map(|services| services.into_iter().collect());
    Peers::new(titles, table, others)
}

/// An entry of the table.
pub(super) fn peer(section: &PeerSection) -> Peer {
    Peer {
        ae_title: section.ae_title.clone(),
        address: section.address.clone(),
        hosts: section.hosts.iter().map(std::net::IpAddr::to_canonical).collect(),
        tls: section.tls,
        certificates: section.marks().into_iter().flatten().collect(),
        services: section.services.iter().copied().collect(),
        character_set: section.character_set,
    }
}

/// Which versions of TLS are spoken with devices.
fn versions(section: &DicomSection) -> tls::Versions {
    if section.tls12 { tls::Versions::Older } else { tls::Versions::Modern }
}

/// For dialling peers over TLS, with our own certificate where there is one.
fn connector(section: &DicomSection) -> Result<Option<TlsConnector>, NodeError> {
    let Some(ca) = &section.tls_ca else { return Ok(None) };
    let identity = match (&section.tls_cert, &section.tls_key) {
        (Some(cert), Some(key)) => Some(pem::identity(cert, key)?),
        (None | Some(_), None) | (None, Some(_)) => None,
    };
    let config = tls::client(pem::roots(ca)?, identity, (versions(section), &[]));
    let config = config.map_err(|e| pem::named(ca, e))?;
    Ok(Some(TlsConnector::from(Arc::new(config))))
}
