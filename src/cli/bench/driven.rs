//! The node that is driven, over several connections, as several clinics have.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::child::{Node, Used};
use super::{Failure, Target};
use crate::benchmark::machine::Host;
use crate::cli::client::{Client, connect};

/// Connections to the node.
pub(super) const CONNECTIONS: usize = 8;
/// How long a call to a node of this run may take.
const CALL_MAX: Duration = Duration::from_secs(10);

/// Clients on connections of their own.
#[derive(Debug, Clone)]
pub(super) struct Clients(Arc<Vec<Client>>);

/// A node that is driven.
#[derive(Debug)]
pub(super) struct Driven {
    pub(super) clients: Clients,
    /// None: it is elsewhere.
    pub(super) node: Option<Node>,
    /// Engine of its models.
    pub(super) engine: String,
}

impl Clients {
    /// The client of a call's number.
    pub(super) fn of(&self, number: u64) -> Result<&Client, String> {
        let count = u64::try_from(self.0.len()).unwrap_or(1).max(1);
        let place = usize::try_from(number % count).unwrap_or(0);
        self.0.get(place).ok_or_else(|| "no connection".to_owned())
    }
}

impl Driven {
    /// Starts a node in `data`.
    pub(super) async fn start(data: &Path, models_dir: Option<&Path>) -> Result<Self, Failure> {
        let dir = models_dir.map(Path::to_owned);
        let node = Node::start(data, |config, _| {
            if dir.is_some() {
                config.models.dir = dir;
            }
        });
        let node = node.await?;
        let url = node.url()?;
        let mut clients = Vec::with_capacity(CONNECTIONS);
        for _ in 0..CONNECTIONS {
            clients.push(Client::remote(connect(&url, None, CALL_MAX).await?, CALL_MAX));
        }
        Self::of(clients, Some(node)).await
    }

    /// Connects to the node that `target` names.
    pub(super) async fn elsewhere(target: &Target) -> Result<Self, Failure> {
        let mut clients = Vec::with_capacity(CONNECTIONS);
        for _ in 0..CONNECTIONS {
            clients.push(Client::open(target).await?);
        }
        Self::of(clients, None).await
    }

    async fn of(clients: Vec<Client>, node: Option<Node>) -> Result<Self, Failure> {
        let clients = Clients(Arc::new(clients));
        let models = clients.of(0)?.models().await?;
        let engine = models.models.first().map(|model| model.engine.clone()).unwrap_or_default();
        Ok(Self { clients, node, engine })
    }

    /// What its process used so far; none of a node elsewhere.
    pub(super) fn used(&self, host: &Host) -> Option<Used> {
        self.node.as_ref().map(|node| node.used(host))
    }

    /// An error where the node has ended.
    pub(super) fn is_there(&mut self) -> Result<(), Failure> {
        let Some(node) = &mut self.node else { return Ok(()) };
        if node.is_running() {
            return Ok(());
        }
        Err(format!("the node stopped by itself: {}", node.last_words()).into())
    }
}
