//! What is exchanged with other systems: opening its database, and starting to forward.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{NodeError, SystemClock, UuidSource, folder, imaging, keys};
use crate::app::chain;
use crate::app::imaging::Imaging;
use crate::app::imaging::forwarding::{Dice, Forwarding, ForwardingParts};
use crate::app::imaging::worklist::Worklist;
use crate::app::ports::{Clock, IdSource, Journal};
use crate::config::Config;
use crate::dicom::DimseSender;
use crate::sharing::imaging::examination::Examinations;
use crate::store::sqlite::SqliteStore;
use crate::store::sqlite::exchange::ExchangeStore;
use crate::telemetry::Metrics;

/// Name of the database in the store's directory.
const DATABASE: &str = "exchange.db";
/// Between two looks at the queue for metrics.
const WATCH_EVERY: Duration = Duration::from_secs(5);

/// Chance from the system.
#[derive(Debug)]
struct SystemDice;

impl Dice for SystemDice {
    fn roll(&self) -> u32 {
        let mut bytes = [0; 4];
        // Without chance everything is tried again after half the pause; that does no harm.
        let _ = getrandom::fill(&mut bytes);
        u32::from_le_bytes(bytes)
    }
}

/// Where the database lies: with the journal and not with the images, which may fill a disk of their
/// own.
pub fn exchange_path(config: &Config) -> PathBuf {
    config.store.dir.join(DATABASE)
}

/// Opens the database. The command line does so beside a running node.
pub async fn open_exchange(config: &Config) -> Result<ExchangeStore, NodeError> {
    Ok(ExchangeStore::open(keys::database(config, DATABASE)?).await?)
}

/// The worklist of a node that may be running or not, for the command line, and what is to be closed
/// and waited for when it is dropped.
pub async fn open_worklist(config: &Config) -> Result<(Worklist, TaskTracker), NodeError> {
    let tasks = TaskTracker::new();
    let journal = SqliteStore::open(keys::database(config, super::DATABASE)?, 1, &tasks).await?;
    let store = open_exchange(config).await?;
    let with: (Arc<dyn Journal>, Arc<dyn Clock>) = (Arc::new(journal), Arc::new(SystemClock));
    Ok((Worklist::new(Arc::new(store), with, Arc::new(UuidSource)), tasks))
}

/// What every use case is given.
type With = (Arc<dyn Journal>, Arc<dyn Clock>, Arc<dyn IdSource>);

/// What is exchanged with others: forwarding, if there are rules, the worklist, and their database.
type Exchange = (Option<Arc<Forwarding>>, Option<Arc<Worklist>>, Arc<ExchangeStore>);

/// Starts to forward and opens the worklist. Must have returned before the doors open.
pub(super) async fn start(
    config: &Config,
    (images, store): (&Arc<Imaging>, Arc<ExchangeStore>),
    ((journal, clock, ids), metrics): (With, Arc<Metrics>),
    until: (&TaskTracker, &CancellationToken),
) -> Result<Exchange, NodeError> {
    let with = (Arc::clone(&clock), metrics);
    let forwarding = forward(config, images, Arc::clone(&store), with, until).await?;
    let exchange = Arc::<ExchangeStore>::clone(&store);
    Ok((forwarding, Some(Arc::new(Worklist::new(exchange, (journal, clock), ids))), store))
}

/// Starts to forward, if there are rules. Must have returned before the doors open.
async fn forward(
    config: &Config,
    images: &Arc<Imaging>,
    store: Arc<ExchangeStore>,
    (clock, metrics): (Arc<dyn Clock>, Arc<Metrics>),
    (tasks, stop): (&TaskTracker, &CancellationToken),
) -> Result<Option<Arc<Forwarding>>, NodeError> {
    let plan = config.forwarding.plan();
    if plan.rules.is_empty() {
        return Ok(None);
    }
    let examinations = examinations(config)?;
    let mut regions = plan.rules.iter().flat_map(|rule| &rule.regions);
    if let Some(unknown) = regions.find(|id| examinations.region(id).is_none()) {
        return Err(NodeError::Region { id: unknown.clone() });
    }
    let dialler = imaging::dialler(&config.dicom)?;
    let peers = Arc::new(imaging::peers(&config.dicom));
    let parts = ForwardingParts {
        imaging: Arc::clone(images),
        examinations: Arc::new(examinations),
        store,
        sender: Arc::new(DimseSender::new(dialler, peers, Arc::clone(images))),
        clock,
        dice: Arc::new(SystemDice),
    };
    let failed = |source: crate::app::error::Error| NodeError::Imaging(source.into());
    let (forwarding, work) = Forwarding::start(plan, parts).await.map_err(failed)?;
    for task in work {
        let stop = stop.clone();
        // What is cut off here is sent again after the next start.
        tasks.spawn(async move {
            tokio::select! {
                () = task => {}
                () = stop.cancelled() => {}
            }
        });
    }
    tasks.spawn(watch(Arc::clone(&forwarding), metrics, stop.clone()));
    Ok(Some(forwarding))
}

async fn watch(forwarding: Arc<Forwarding>, metrics: Arc<Metrics>, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(WATCH_EVERY);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => {}
        }
        match forwarding.status().await {
            Ok(statuses) => {
                for status in statuses {
                    metrics.forwarding(&status);
                }
            }
            Err(error) => tracing::warn!(error = chain(&error), "forwarding cannot be measured"),
        }
    }
}

/// What examinations are, by the tables of the configuration.
pub(super) fn examinations(config: &Config) -> Result<Examinations, NodeError> {
    let files = folder::tables(&config.models)?;
    Examinations::load(&files).map_err(|error| NodeError::Knowledge(error.into()))
}
