//! Discharge records: the documents of a node, or the exchange of a hub.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{NodeError, keys, link, reporting};
use crate::app::chain;
use crate::app::exchange::clock::HubTime;
use crate::app::exchange::hub::Exchange;
use crate::app::exchange::key::HubKey;
use crate::app::exchange::look_up::{LookUps, Most};
use crate::app::exchange::ports::{HubDocuments, Scope};
use crate::app::knowledge::Knowledge;
use crate::app::ports::{Clock, IdSource};
use crate::app::records::RecordDesk;
use crate::app::records::references::References;
use crate::app::reporting::Coverage;
use crate::config::{Config, NodeRole, SecretUrl};
use crate::store::postgres::{self, Server};
use crate::store::sqlite::Database;
use crate::store::sqlite::documents::Documents;
use crate::store::sqlite::hub::HubStore;
use crate::telemetry::Metrics;

/// Name of the hub's database in the store's directory.
const DATABASE: &str = "hub.db";
/// Name of the key that a node hashes people's numbers with, in the store's directory.
const PEOPLE_KEY: &str = "people.key";
/// Name of the hub's key in the store's directory, where the configuration names no other.
const KEY: &str = "hub.key";
/// Between two looks at how the exchange stands.
const WATCH_EVERY: Duration = Duration::from_secs(5);

/// What was opened.
pub(super) struct Opened {
    /// At a clinic or hospital.
    pub(super) desk: Option<Arc<RecordDesk>>,
    /// At the hub.
    pub(super) hub: Option<Arc<Exchange>>,
    /// At the hub: what nodes tell for reports.
    pub(super) coverage: Option<Arc<Coverage>>,
    /// What a node knows of its hub's time.
    pub(super) time: Arc<HubTime>,
}

/// Opens what the role needs. `database` is the node's own.
pub(super) async fn open(
    config: &Config,
    database: &Database,
    knowledge: &Knowledge,
    (clock, ids): (&Arc<dyn Clock>, &Arc<dyn IdSource>),
    (tasks, stop): (&TaskTracker, &CancellationToken),
) -> Result<Opened, NodeError> {
    let time = HubTime::new(Arc::clone(clock));
    if config.node.role != NodeRole::Hub {
        let documents = Documents::open(database, &ids.new_id()).await?;
        let documents = Arc::new(documents);
        let mut desk = RecordDesk::new(Arc::<Documents>::clone(&documents), Arc::clone(&time));
        if config.fhir.listen.is_some() {
            let key = keys::secret(config, PEOPLE_KEY, true).await.map_err(NodeError::Key)?;
            let references = References::new(documents, &key, Arc::clone(&knowledge.people));
            let references = Arc::new(references);
            // Whoever asks first then waits for less.
            let early = Arc::clone(&references);
            link::until(stop, tasks, async move {
                if let Err(error) = early.catch_up().await {
                    tracing::warn!(error = chain(&error), "persons are not read yet");
                }
            });
            desk = desk.with_references(references);
        }
        return Ok(Opened { desk: Some(Arc::new(desk)), hub: None, coverage: None, time });
    }
    let members = config.link.nodes.iter();
    let scopes: Vec<Scope> =
        members.map(|m| Scope { node: m.name.clone(), area: m.area.clone() }).collect();
    let section = &config.exchange;
    let store: Arc<dyn HubDocuments> = match (&section.postgres_url, &section.postgres_url_file) {
        (None, None) => Arc::new(HubStore::open(database_of(config)?, scopes).await?),
        (url, file) => {
            let server = server((url.as_ref(), file.as_deref())).map_err(NodeError::PostgresHub)?;
            let schema = &section.postgres_schema;
            let opened = postgres::hub::open_or_wait(&server, schema, scopes, tasks).await;
            opened.map_err(NodeError::PostgresHub)?
        }
    };
    let key = match section.key_file.clone() {
        Some(path) => tokio::task::spawn_blocking(move || keys::key_file(&path, false))
            .await
            .unwrap_or_else(|error| Err(error.into())),
        None => keys::secret(config, KEY, true).await,
    };
    let key = key.map_err(NodeError::Link)?;
    let members = config.link.nodes.iter();
    let areas = members.map(|m| (m.name.clone(), m.area.clone())).collect();
    let most = Most {
        looked_up: section.look_up_persons_per_hour_max.into(),
        registered: section.registered_persons_per_hour_max.into(),
    };
    let look_ups = LookUps::new(knowledge.policy.clone(), areas, most);
    let with = (HubKey::new(&key), knowledge.divisions.clone(), Arc::clone(&knowledge.people));
    let hub = Exchange::new(store, with, look_ups, Arc::clone(clock));
    link::until(stop, tasks, Arc::clone(hub.people()).run());
    link::until(stop, tasks, Arc::clone(&hub).run());
    let coverage = Some(reporting::open(config, knowledge, clock, (tasks, stop)).await?);
    Ok(Opened { desk: None, hub: Some(hub), coverage, time })
}

impl Opened {
    /// Tells the metrics how the exchange stands until the node stops.
    pub(super) fn watch(
        &self,
        (metrics, clock): (&Arc<Metrics>, &Arc<dyn Clock>),
        (tasks, stop): (&TaskTracker, &CancellationToken),
    ) {
        if let Some(desk) = &self.desk {
            let clock = Arc::clone(clock);
            link::until(stop, tasks, watch(Arc::clone(desk), (Arc::clone(metrics), clock)));
        }
        if let Some(hub) = &self.hub {
            link::until(stop, tasks, watch_hub(Arc::clone(hub), Arc::clone(metrics)));
        }
    }
}

/// Tells the metrics how the exchange stands, for ever.
async fn watch(desk: Arc<RecordDesk>, (metrics, clock): (Arc<Metrics>, Arc<dyn Clock>)) {
    loop {
        match desk.report().await {
            Ok(report) => metrics.exchange(&report, clock.now_ms()),
            Err(error) => {
                tracing::warn!(error = chain(&error), "metrics of the exchange");
            }
        }
        match desk.notices_open().await {
            Ok(open) => metrics.patient_notices(open),
            Err(error) => tracing::warn!(error = chain(&error), "metrics of notices to patients"),
        }
        tokio::time::sleep(WATCH_EVERY).await;
    }
}

/// Tells the metrics what came of look-ups at a hub, what it has put aside and how far it is with people,
/// for ever.
async fn watch_hub(hub: Arc<Exchange>, metrics: Arc<Metrics>) {
    loop {
        metrics.look_ups(hub.look_up_counts());
        match hub.quarantined_count().await {
            Ok(documents) => metrics.quarantined(documents),
            Err(error) => tracing::warn!(error = chain(&error), "metrics of the exchange"),
        }
        match hub.people().waiting().await {
            Ok((persons, unsettled, reviews)) => metrics.people(persons, unsettled, reviews),
            Err(error) => tracing::warn!(error = chain(&error), "metrics of people"),
        }
        tokio::time::sleep(WATCH_EVERY).await;
    }
}

/// The hub's database, where it is one file.
pub(super) fn database_of(config: &Config) -> Result<Database, keys::KeysError> {
    keys::database(config, DATABASE)
}

/// The server that the configuration names, itself or in a file.
pub(super) fn server(
    (url, file): (Option<&SecretUrl>, Option<&Path>),
) -> Result<Server, postgres::OpenError> {
    match (url, file) {
        (Some(url), _) => Server::parse(url.expose()),
        (None, Some(path)) => {
            let read = std::fs::read_to_string(path);
            let url = read
                .map_err(|source| postgres::OpenError::UrlFile { path: path.to_owned(), source })?;
            Server::parse(&url)
        }
        (None, None) => Err(postgres::OpenError::Url("is missing")),
    }
}
