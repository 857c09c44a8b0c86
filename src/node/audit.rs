//! The audit trail of a node: reading it, looking through it for alarms, signing its heads.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{DATABASE, NodeError, keys, link, records};
use crate::app::audit::anchoring::Anchoring;
use crate::app::audit::ports::{Anchored, AuditTrail, Sealing, Signer};
use crate::app::audit::sealing::Sealer;
use crate::app::audit::sign::NodeKey;
use crate::app::audit::watching::Watcher;
use crate::app::audit::{AtHub, AuditDesk};
use crate::app::chain;
use crate::app::knowledge::Knowledge;
use crate::app::ports::Clock;
use crate::config::Config;
use crate::store::postgres;
use crate::store::sqlite::trail::Trail;
use crate::store::sqlite::{self, Database};
use crate::telemetry::Metrics;

/// Name of the seed of the key that heads are signed with, in the store's directory.
const KEY: &str = "audit.key";
/// Between two looks at what came.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// Between two signatures, where the head has changed; shorter before the first entry, and where one
/// could not be handed over.
const ANCHOR_EVERY: Duration = Duration::from_mins(5);
const ANCHOR_AGAIN: Duration = Duration::from_secs(5);
/// At the hub: between two chainings of what the exchange wrote, and after one that failed.
const SEAL_EVERY: Duration = Duration::from_secs(1);
const SEAL_AGAIN: Duration = Duration::from_secs(30);
/// Chainings between two signatures.
const SEALS_SIGNED: u32 = 60;

/// An opened trail.
struct Opened {
    name: String,
    trail: Arc<dyn AuditTrail>,
    key: Arc<NodeKey>,
    watcher: Watcher,
    hub: Option<AtHub>,
}

/// The trail of a node that may run or not, to look at only.
pub async fn look(config: &Config) -> Result<Trail, NodeError> {
    Ok(Trail::look(&keys::database(config, DATABASE)?).await?)
}

/// The trail of a hub's exchange.
pub fn exchange(config: &Config) -> Result<Arc<dyn Sealing>, NodeError> {
    let section = &config.exchange;
    Ok(match (&section.postgres_url, &section.postgres_url_file) {
        (None, None) => Arc::new(sqlite::hub::seal::HubTrail::open(records::database_of(config)?)),
        (url, file) => {
            let server = records::server((url.as_ref(), file.as_deref()));
            let server = server.map_err(NodeError::PostgresHub)?;
            Arc::new(postgres::hub::seal::HubTrail::open(&server, &section.postgres_schema))
        }
    })
}

/// The node's public key, where it has one.
pub async fn public_key(config: &Config) -> Option<Vec<u8>> {
    let seed = keys::secret(config, KEY, false).await.ok()?;
    Some(NodeKey::new(&seed).ok()?.public())
}

/// Opens the trail in the node's own database, looks through it and signs its heads until the node stops.
pub(super) async fn start(
    config: &Config,
    (database, knowledge, region): (&Database, &Knowledge, Option<&link::Joined>),
    with: (&Arc<Metrics>, &Arc<dyn Clock>),
    until: (&TaskTracker, &CancellationToken),
) -> Result<Arc<AuditDesk>, NodeError> {
    let seed = keys::secret(config, KEY, true).await.map_err(NodeError::AuditKey)?;
    let key = Arc::new(NodeKey::new(&seed).map_err(NodeError::AuditKey)?);
    let trail: Arc<dyn AuditTrail> = Arc::new(Trail::open(database));
    let watcher = Watcher::new(Arc::clone(&trail), knowledge.alarms.clone());
    let hub = match region.and_then(link::Joined::anchored) {
        Some(heads) => Some(AtHub { heads, trail: exchange(config)? }),
        None => None,
    };
    let opened = Opened { name: config.node.name.clone(), trail, key, watcher, hub };
    let desk = opened.desk();
    opened.start(with, region, until);
    Ok(desk)
}

impl Opened {
    /// What the application takes.
    fn desk(&self) -> Arc<AuditDesk> {
        let desk = AuditDesk::new(Arc::clone(&self.trail));
        Arc::new(match self.hub.clone() {
            Some(hub) => desk.at_hub(hub),
            None => desk,
        })
    }

    /// Looks through the trail and signs its heads until the node stops. Heads go to the region's hub.
    fn start(
        self,
        (metrics, clock): (&Arc<Metrics>, &Arc<dyn Clock>),
        region: Option<&link::Joined>,
        (tasks, stop): (&TaskTracker, &CancellationToken),
    ) {
        let Self { name, trail, key, watcher, hub } = self;
        let signer: Arc<dyn Signer> = key;
        let anchored = hub.as_ref().map(|hub| Arc::clone(&hub.heads));
        if let Some(hub) = hub {
            let sealer = Sealer::new(&name, hub, Arc::clone(&signer), Arc::clone(clock));
            link::until(stop, tasks, seal(sealer));
        }
        let with = (Arc::clone(&trail), signer);
        let place = region.map(link::Joined::anchor_place);
        let anchoring = Anchoring::new(&name, with, Arc::clone(clock), place);
        link::until(stop, tasks, watch(watcher, (trail, anchored), Arc::clone(metrics)));
        link::until(stop, tasks, anchor(anchoring));
    }
}

/// Looks through the trail, for ever.
async fn watch(
    mut watcher: Watcher,
    (trail, anchored): (Arc<dyn AuditTrail>, Option<Arc<dyn Anchored>>),
    metrics: Arc<Metrics>,
) {
    loop {
        match watcher.look().await {
            Ok(raised) => {
                for alarm in raised {
                    // The caller's name is that of a credential.
                    tracing::warn!(
                        kind = alarm.kind.name(),
                        caller = alarm.caller,
                        entry = alarm.entry,
                        persons = alarm.persons,
                        "alarm of the audit trail"
                    );
                }
            }
            Err(error) => tracing::warn!(error = chain(&error), "looking through the audit trail"),
        }
        if let Ok(counts) = trail.alarm_counts().await {
            for count in &counts {
                metrics.audit_alarms(&count.kind, count.raised, count.open);
            }
        }
        if let Some(anchored) = &anchored
            && let Ok(counts) = anchored.counts().await
        {
            for (what, count) in &counts {
                metrics.audit_anchors(what, *count);
            }
        }
        if let Ok(last) = trail.last().await {
            metrics.audit_entries(last);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Signs heads, for ever.
async fn anchor(mut anchoring: Anchoring) {
    loop {
        let pause = match anchoring.anchor().await {
            Ok(0) => ANCHOR_AGAIN,
            Ok(_) => ANCHOR_EVERY,
            Err(error) => {
                tracing::debug!(error = chain(&error), "a head of the audit trail is not anchored");
                ANCHOR_AGAIN
            }
        };
        tokio::time::sleep(pause).await;
    }
}

/// Chains the trail of the exchange and signs its heads, for ever.
async fn seal(mut sealer: Sealer) {
    let mut round = 0_u32;
    loop {
        let mut done = sealer.seal().await.map(drop);
        if done.is_ok() && round.is_multiple_of(SEALS_SIGNED) {
            done = sealer.anchor().await;
        }
        round = round.wrapping_add(1);
        let pause = match done {
            Ok(()) => SEAL_EVERY,
            Err(error) => {
                tracing::warn!(error = chain(&error), "chaining the trail of the exchange");
                SEAL_AGAIN
            }
        };
        tokio::time::sleep(pause).await;
    }
}
