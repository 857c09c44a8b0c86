//! PACS behind the node.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::imaging::{self, Opened};
use super::{NodeError, error, link};
use crate::app::imaging::peers::Peers;
use crate::app::ports::Clock;
use crate::app::regional::behind::following::{Follower, Following};
use crate::app::regional::behind::{Behind, BehindStore, Pacs};
use crate::config::{Config, PacsSection, RetrieveName};
use crate::dicom::{Dialler, DimsePacs, Way};
use crate::store::sqlite::exchange::ExchangeStore;

/// What is behind the node, and who asks for it.
pub(super) type Opening = (Arc<Behind>, Vec<Follower>);

/// Knows the PACS of the configuration, if there are some. Asks nothing yet.
pub(super) async fn open(
    config: &Config,
    opened: Option<&Opened>,
    store: Arc<ExchangeStore>,
    clock: &Arc<dyn Clock>,
) -> Result<Option<Opening>, NodeError> {
    let sections = &config.imaging.pacs;
    let (Some(opened), false) = (opened, sections.is_empty()) else { return Ok(None) };
    let failed = |source: error::Error| NodeError::Imaging(source.into());
    let names = sections.iter().map(|section| section.ae_title.clone()).collect();
    store.retain(names).await.map_err(failed)?;
    let dialler = imaging::dialler(&config.dicom)?;
    let peers = imaging::peers(&config.dicom);
    let known = sections.iter().filter_map(|section| pacs(section, opened, (&dialler, &peers)));
    let known: Vec<(Arc<dyn Pacs>, Following)> = known.collect();
    let each = known.iter().map(|(pacs, _)| Arc::clone(pacs)).collect();
    let behind = Arc::new(Behind::new(Arc::clone(&opened.imaging), store, each));
    let followers = known.into_iter().map(|(pacs, following)| {
        Follower::new(Arc::clone(&behind), pacs, Arc::clone(clock), following)
    });
    let followers = followers.collect();
    Ok(Some((behind, followers)))
}

/// Follows what is behind the node until it stops.
pub(super) fn follow(
    followers: Option<Vec<Follower>>,
    (tasks, stop): (&TaskTracker, &CancellationToken),
) {
    for follower in followers.into_iter().flatten() {
        link::until(stop, tasks, follower.run());
    }
}

fn pacs(
    section: &PacsSection,
    opened: &Opened,
    (dialler, peers): (&Dialler, &Peers),
) -> Option<(Arc<dyn Pacs>, Following)> {
    // The configuration was checked: it is in the table.
    let peer = peers.destination(&section.ae_title)?.clone();
    let way = match section.retrieve {
        RetrieveName::Get => Way::Get,
        RetrieveName::Move => {
            Way::Move { title: peers.own_title().to_owned(), moves: opened.moves.clone() }
        }
    };
    let pacs = DimsePacs::new(peer, dialler.clone(), Arc::clone(&opened.imaging), way);
    let following = Following {
        days: section.days,
        every: Duration::from_secs(section.every_s.into()),
        whole_every: Duration::from_secs(section.whole_every_s.into()),
    };
    Some((Arc::new(pacs), following))
}
