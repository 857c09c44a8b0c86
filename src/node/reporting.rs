//! Reports of how far the programme has come: hearing nodes at a hub, telling the hub at a node.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{DATABASE, NodeError, SystemClock, keys, link, records};
use crate::app::chain;
use crate::app::knowledge::Knowledge;
use crate::app::ports::Clock;
use crate::app::reporting::Coverage;
use crate::app::reporting::ports::{Listener, ReportingStore};
use crate::app::reporting::telling::Teller;
use crate::config::Config;
use crate::store::{postgres, sqlite};

/// Between two writings of who was connected.
const WRITE_EVERY: Duration = Duration::from_secs(30);
/// Between two looks at what is to be told, which cost nothing where nothing is due; longer where the hub
/// has refused something.
const TELL_EVERY: Duration = Duration::from_secs(5);
const REFUSED_PAUSE: Duration = Duration::from_mins(10);

/// What a hub hears and reports, over the database of its documents.
pub(super) async fn open(
    config: &Config,
    knowledge: &Knowledge,
    clock: &Arc<dyn Clock>,
    (tasks, stop): (&TaskTracker, &CancellationToken),
) -> Result<Arc<Coverage>, NodeError> {
    let section = &config.exchange;
    let store: Arc<dyn ReportingStore> = match (&section.postgres_url, &section.postgres_url_file) {
        (None, None) => {
            Arc::new(sqlite::hub::reporting::HubReporting::open(records::database_of(config)?))
        }
        (url, file) => {
            let server = records::server((url.as_ref(), file.as_deref()));
            let server = server.map_err(NodeError::PostgresHub)?;
            Arc::new(postgres::hub::reporting::HubReporting::open(
                &server,
                &section.postgres_schema,
            ))
        }
    };
    let members = config.link.nodes.iter();
    let areas = members.map(|member| (member.name.clone(), member.area.clone())).collect();
    let with = (Arc::clone(&knowledge.reporting), config.reporting.cut_off_day);
    let mut coverage = Coverage::new(store, with, Arc::clone(clock), areas);
    if config.link.listen.is_some() {
        coverage = coverage.with_studies(Arc::new(link::studies(config).await?));
    }
    let coverage = Arc::new(coverage);
    link::until(stop, tasks, write_down(Arc::clone(&coverage)));
    Ok(coverage)
}

/// Tells the hub the node's counts until the node stops, where the node says where it stands.
pub(super) fn tell(
    config: &Config,
    hub: Arc<dyn Listener>,
    (tasks, stop): (&TaskTracker, &CancellationToken),
) -> Result<(), NodeError> {
    if config.node.area.is_empty() {
        tracing::info!("node.area is empty: no counts are told to the hub for its reports");
        return Ok(());
    }
    let counts = sqlite::reporting::Counts::open(keys::database(config, DATABASE)?);
    let teller = Teller::new(Arc::new(counts), hub, Arc::new(SystemClock), &config.node.area);
    link::until(stop, tasks, go_on_telling(teller));
    Ok(())
}

async fn write_down(coverage: Arc<Coverage>) {
    loop {
        tokio::time::sleep(WRITE_EVERY).await;
        if let Err(error) = coverage.write_down().await {
            tracing::warn!(error = chain(&error), "who was connected is not written down yet");
        }
    }
}

async fn go_on_telling(mut teller: Teller) {
    loop {
        let pause = match teller.tell().await {
            Ok(0) => TELL_EVERY,
            Ok(months) => {
                tracing::debug!(months, "counts told to the hub");
                TELL_EVERY
            }
            // What the hub refuses it will refuse again.
            Err(error) if !error.retryable() => {
                tracing::warn!(error = chain(&error), "the hub does not take the node's counts");
                REFUSED_PAUSE
            }
            Err(error) => {
                tracing::debug!(error = chain(&error), "counts are not told to the hub");
                TELL_EVERY
            }
        };
        tokio::time::sleep(pause).await;
    }
}
