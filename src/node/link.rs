//! Joining the region: as its hub, or as a node that dials the hub.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio_rustls::rustls::RootCertStore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::enrolment::{self, Files};
use super::imaging::Opened;
use super::{NodeError, bind, keys, nodes, pem, reporting};
use crate::app::audit::anchored::AnchorDesk;
use crate::app::audit::anchoring::AnchorPlace;
use crate::app::audit::ports::Anchored;
use crate::app::exchange::hub::Exchange;
use crate::app::exchange::look_up::Elsewhere;
use crate::app::nodes::Nodes;
use crate::app::ports::{Clock, IdSource, Journal};
use crate::app::records::desk::NodeDesk;
use crate::app::regional::behind::Behind;
use crate::app::regional::holding::Holder;
use crate::app::regional::hub::{Hub, HubParts, Member, OwnRegion};
use crate::app::regional::ports::Region;
use crate::app::regional::publisher::Publisher;
use crate::app::{App, error};
use crate::config::{self, Config, NodeRole};
use crate::link::client::{HubLink, LinkOptions, TlsSource};
use crate::link::identity::{Credential, Credentials};
use crate::link::inflow::Room;
use crate::link::lines::Lines;
use crate::link::server::LinkDoor;
use crate::store::sqlite::anchors::AnchorStore;
use crate::store::sqlite::region::RegionStore;
use crate::telemetry::Metrics;
use crate::tls::{self, H2, Versions};

/// Name of the database in the store's directory.
const DATABASE: &str = "region.db";
/// Name of the database of nodes' signed heads in the store's directory.
const ANCHORS: &str = "anchors.db";
/// Between two looks at the line for metrics.
const WATCH_EVERY: Duration = Duration::from_secs(5);

/// What a certificate that the node enrolled for is renewed with.
pub(super) type Renewal = (Files, (String, Option<RootCertStore>));

/// What every use case is given.
type With = (Arc<dyn Journal>, Arc<dyn Clock>, Arc<dyn IdSource>);

/// A region that was joined and not yet begun with.
pub(super) enum Joined {
    /// As its hub.
    Hub {
        hub: Arc<Hub>,
        door: LinkDoor,
        listen: SocketAddr,
        anchors: Arc<AnchorDesk>,
        /// Who is let in by certificates of the hub's own, and the lines that are open.
        given: Option<(Arc<Nodes>, Lines)>,
    },
    /// As a node.
    Node { link: Arc<HubLink>, holder: Option<Holder>, renewal: Option<Renewal> },
}

/// Joins the region, if the configuration names one.
pub(super) async fn join(
    config: &Config,
    (opened, behind): (Option<&Opened>, Option<Arc<Behind>>),
    ((journal, clock, ids), records): (With, &super::records::Opened),
    (metrics, stop): (&Arc<Metrics>, &CancellationToken),
) -> Result<Option<Joined>, NodeError> {
    let section = &config.link;
    let name = config.node.name.clone();
    let holder =
        opened.map(|opened| Holder::new(Arc::clone(&opened.imaging), name.clone(), behind));
    if config.node.role == NodeRole::Hub {
        let exchange = records.hub.clone();
        let coverage = records.coverage.clone();
        let parts = (section.listen, exchange, coverage);
        let (Some(listen), Some(exchange), Some(coverage)) = parts else { return Ok(None) };
        let clock_of = Arc::clone(&clock);
        let store = studies(config).await?;
        let anchored = AnchorStore::open(keys::database(config, ANCHORS)?).await?;
        let with = (Arc::clone(&journal), Arc::clone(&clock));
        let anchors = Arc::new(AnchorDesk::new(Arc::new(anchored), with.0, with.1));
        let members = section.nodes.iter();
        let members = members.map(|m| Member { name: m.name.clone(), area: m.area.clone() });
        let hub = Hub::new(HubParts {
            name,
            members: members.collect(),
            store: Arc::new(store),
            ledger: Arc::<Exchange>::clone(&exchange),
            own: holder,
            journal,
            clock,
            ids,
        });
        let nodes::Opened { nodes, tls, lines } = nodes::open(config, &clock_of).await?;
        let room = Room::new(config.exchange.receive_bytes_max, Arc::clone(metrics));
        let with = (Arc::clone(&hub), exchange, Arc::clone(&anchors), coverage);
        let given = (nodes.clone(), lines.clone());
        let door = LinkDoor::new(with, credentials(config), given, (tls, room), stop.clone());
        let given = nodes.map(|nodes| (nodes, lines));
        return Ok(Some(Joined::Hub { hub, door, listen, anchors, given }));
    }
    let Some(hub) = section.hub.clone() else { return Ok(None) };
    let token = match &section.token_file {
        Some(path) => Some(String::from_utf8_lossy(&read(path).await?).trim().to_owned()),
        None => None,
    };
    let (tls, renewal) = dialled_with(config, &hub)?;
    let options = LinkOptions { hub, tls, token };
    let link = HubLink::new(options, Arc::new(chance), Arc::clone(&records.time))
        .map_err(NodeError::Link)?;
    Ok(Some(Joined::Node { link, holder, renewal }))
}

impl Joined {
    /// The region as the application reaches it.
    pub(super) fn region(&self) -> Arc<dyn Region> {
        match self {
            Self::Hub { hub, .. } => Arc::new(OwnRegion(Arc::clone(hub))),
            Self::Node { link, .. } => Arc::<HubLink>::clone(link),
        }
    }

    /// Records at the hub as the application reaches them; none at the hub itself.
    pub(super) fn elsewhere(&self) -> Option<Arc<dyn Elsewhere>> {
        match self {
            Self::Hub { .. } => None,
            Self::Node { link, .. } => Some(Arc::<HubLink>::clone(link)),
        }
    }

    /// Where the heads of the node's audit trail go.
    pub(super) fn anchor_place(&self) -> Arc<dyn AnchorPlace> {
        match self {
            Self::Hub { anchors, .. } => Arc::<AnchorDesk>::clone(anchors),
            Self::Node { link, .. } => Arc::<HubLink>::clone(link),
        }
    }

    /// At the hub: heads of nodes' audit trails.
    pub(super) fn anchored(&self) -> Option<Arc<dyn Anchored>> {
        match self {
            Self::Hub { anchors, .. } => Some(anchors.heads()),
            Self::Node { .. } => None,
        }
    }

    /// Opens the hub's side or dials it, and publishes what the node holds. Returns where nodes
    /// dial in.
    pub(super) async fn start(
        self,
        config: &Config,
        (app, behind, metrics): (&Arc<App>, Option<Arc<Behind>>, Arc<Metrics>),
        (tasks, stop): (&TaskTracker, &CancellationToken),
    ) -> Result<Option<SocketAddr>, NodeError> {
        if config.imaging.enabled {
            let publisher = Publisher::new(Arc::clone(app), self.region(), behind);
            until(stop, tasks, publisher.run());
        }
        match self {
            Self::Hub { hub, door, listen, given, .. } => {
                let connected = Arc::clone(&metrics);
                until(stop, tasks, watch(move || connected.nodes_connected(hub.attending_count())));
                if let Some(given) = given {
                    until(stop, tasks, nodes::watch(given, metrics));
                }
                let listener = bind(listen).await?;
                let address = listener.local_addr().unwrap_or(listen);
                tasks.spawn(async move {
                    if let Err(error) = door.serve(listener).await {
                        tracing::error!(error = crate::app::chain(&error), "link door");
                    }
                });
                tracing::info!(%address, "link door open");
                Ok(Some(address))
            }
            Self::Node { link, holder, renewal } => {
                let (watched, connected) = (Arc::clone(&link), Arc::clone(&metrics));
                let tell = move || connected.hub_connected(watched.is_attending());
                until(stop, tasks, watch(tell));
                if let Some((files, with)) = renewal {
                    until(stop, tasks, enrolment::renew(files, with, metrics));
                }
                if let Some(desk) = NodeDesk::new(Arc::clone(app)) {
                    until(stop, tasks, Arc::clone(&link).exchange(Arc::new(desk)));
                }
                reporting::tell(config, Arc::<HubLink>::clone(&link), (tasks, stop))?;
                until(stop, tasks, link.run(holder));
                Ok(None)
            }
        }
    }
}

/// Tells the metrics how the line stands, for ever.
async fn watch(tell: impl Fn()) {
    loop {
        tell();
        tokio::time::sleep(WATCH_EVERY).await;
    }
}

/// At the hub: what nodes published of their studies.
pub(super) async fn studies(config: &Config) -> Result<RegionStore, NodeError> {
    Ok(RegionStore::open(keys::database(config, DATABASE)?).await?)
}

/// Runs `task` until the node stops.
pub(super) fn until(
    stop: &CancellationToken,
    tasks: &TaskTracker,
    task: impl Future<Output = ()> + Send + 'static,
) {
    let stop = stop.clone();
    tasks.spawn(async move {
        tokio::select! {
            () = task => {}
            () = stop.cancelled() => {}
        }
    });
}

fn credentials(config: &Config) -> Credentials {
    let digest = |hex: &Option<String>| hex.as_deref().and_then(config::parse_sha256);
    let nodes = config.link.nodes.iter().map(|member| Credential {
        node: member.name.clone(),
        certificate: digest(&member.certificate_sha256),
        token: digest(&member.token_sha256),
    });
    Credentials::new(nodes.collect())
}

async fn read(path: &Path) -> Result<Vec<u8>, NodeError> {
    let pem = |source: std::io::Error| NodeError::Pem {
        path: PathBuf::from(path),
        source: error::Cause::from(source),
    };
    tokio::fs::read(path).await.map_err(pem)
}

/// What the hub at a URL is dialled with, and what the certificate is renewed with where the node enrolled
/// for it.
pub(super) fn dialled_with(
    config: &Config,
    hub: &str,
) -> Result<(Option<TlsSource>, Option<Renewal>), NodeError> {
    let section = &config.link;
    if !hub.starts_with("https:") {
        return Ok((None, None));
    }
    let roots = match &section.tls_ca {
        Some(path) => Some(pem::roots(path)?),
        None => None,
    };
    if section.is_enrolled() {
        let files = Files::of(config);
        let renewal = (files.clone(), (hub.to_owned(), roots.clone()));
        let source: TlsSource = Arc::new(move || enrolment::shown(&files, roots.as_ref()));
        return Ok((Some(source), Some(renewal)));
    }
    let identity = match (&section.tls_cert, &section.tls_key) {
        (Some(cert), Some(key)) => Some(pem::identity(cert, key)?),
        (None | Some(_), None) | (None, Some(_)) => None,
    };
    let roots = roots.unwrap_or_else(RootCertStore::empty);
    let config = tls::client(roots, identity, (Versions::Modern, &[H2]));
    let config = config.map_err(NodeError::Link)?;
    Ok((Some(Arc::new(move || Ok(config.clone()))), None))
}

/// From 0 to 1.
fn chance() -> f64 {
    let mut bytes = [0; 4];
    // Without chance all pauses are the shortest; that does no harm.
    let _ = getrandom::fill(&mut bytes);
    f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX)
}
