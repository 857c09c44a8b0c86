//! The node that holds a study gives out what the hub orders.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, Stream, StreamExt as _, TryStreamExt as _};
use tokio::time::timeout;

use super::behind::{Behind, BehindStudy};
use super::ports::Pieces;
use super::{ListedObject, PIECE_BYTES, Piece, Purpose, Wanted, WantedObject};
use crate::app::access::{Action, Caller, Role, authorise};
use crate::app::error::Error;
use crate::app::imaging::peers::{Service, Services};
use crate::app::imaging::ports::{KnownObject, Selection};
use crate::app::imaging::{Imaging, Requester};
use crate::app::ports::BoxFuture;
use crate::sharing::imaging::object::Digest;

/// Objects of a listing told at once.
const LISTED_AT_ONCE: u64 = 500;
/// While a study is brought from a PACS, who waits hears so often that it is not silent.
const BEAT_EVERY: Duration = Duration::from_secs(5);

/// What the hub orders of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// Names the order; the delivery carries it.
    pub ticket: String,
    /// Study instance UID.
    pub study: String,
    /// What of it.
    pub wanted: Wanted,
    /// The node that asks.
    pub asked_by: String,
    /// Who asks there.
    pub requested_by: String,
    /// Why.
    pub purpose: Purpose,
}

/// Gives out what is ordered.
#[derive(Debug, Clone)]
pub struct Holder {
    imaging: Arc<Imaging>,
    name: String,
    behind: Option<Arc<Behind>>,
}

impl Holder {
    /// For the node called `name`, with what is behind it.
    pub fn new(imaging: Arc<Imaging>, name: String, behind: Option<Arc<Behind>>) -> Self {
        Self { imaging, name, behind }
    }

    /// The pieces of an order. The audit trail has an entry before the first of them.
    pub fn open(&self, order: Order) -> BoxFuture<'static, Result<Pieces, Error>> {
        Box::pin(self.clone().opened(order))
    }

    async fn opened(self, order: Order) -> Result<Pieces, Error> {
        let who = format!("{}/{}", order.asked_by, order.requested_by);
        let caller = Caller::system(format!("node:{who}"), Role::Node);
        authorise(&caller, Action::RetrieveImages)?;
        let services: Services =
            [Service::Find, Service::Retrieve, Service::Store].into_iter().collect();
        let requester = Requester { caller, services };
        let selection = Selection { studies: vec![order.study.clone()], ..Selection::default() };
        let first = self.imaging.instances(&requester, selection.clone(), 0, 1).await?;
        let lacking = match (&self.behind, &order.wanted) {
            (Some(behind), Wanted::Listing) => behind.lacking(&requester, &order.study).await?,
            (Some(_) | None, _) => None,
        };
        let patient = match &lacking {
            Some(behind) => behind.study.patient.id.clone(),
            None if first.is_empty() => return Err(Error::NotFound { kind: "study" }),
            None => self.imaging.patient_of(&order.study).await?,
        };
        let of = (order.study.as_str(), patient.as_str());
        self.imaging.audit_images(&requester, of, order.purpose.audited()).await?;
        let from = Piece::From { node: self.name.clone() };
        let from = stream::once(std::future::ready(Ok(from)));
        let imaging = Arc::clone(&self.imaging);
        Ok(match order.wanted.clone() {
            Wanted::Listing => {
                let listing = listing(imaging, requester.clone(), selection);
                match (self.behind, lacking) {
                    (Some(behind), Some(lacking)) => {
                        let brought = brought(behind, requester, lacking);
                        Box::pin(from.chain(brought).chain(listing))
                    }
                    (_, _) => Box::pin(from.chain(listing)),
                }
            }
            Wanted::Objects(wanted) => {
                let study = order.study.clone();
                let each = stream::iter(wanted).then(move |object| {
                    let (imaging, requester) = (Arc::clone(&imaging), requester.clone());
                    let study = study.clone();
                    async move { delivered(imaging, requester, study, object).await }
                });
                Box::pin(from.chain(each.try_flatten()))
            }
        })
    }
}

/// Brings a study from the PACS behind the node. Empty lists say that it goes on; the error, that it
/// cannot be had.
fn brought(
    behind: Arc<Behind>,
    requester: Requester,
    lacking: BehindStudy,
) -> impl Stream<Item = Result<Piece, Error>> + Send {
    let bringing = async move { behind.bring(&requester, &lacking).await };
    stream::unfold(Some(Box::pin(bringing)), |bringing| async {
        let mut bringing = bringing?;
        match timeout(BEAT_EVERY, &mut bringing).await {
            Err(_) => Some((Ok(Piece::Listed(Vec::new())), Some(bringing))),
            Ok(Ok(_)) => None,
            Ok(Err(error)) => Some((Err(error), None)),
        }
    })
}

fn listing(
    imaging: Arc<Imaging>,
    requester: Requester,
    selection: Selection,
) -> impl Stream<Item = Result<Piece, Error>> + Send {
    stream::try_unfold(Some(0_u64), move |offset| {
        let (imaging, requester) = (Arc::clone(&imaging), requester.clone());
        let selection = selection.clone();
        async move {
            let Some(offset) = offset else { return Ok(None) };
            let page = imaging.instances(&requester, selection, offset, LISTED_AT_ONCE).await?;
            let count = u64::try_from(page.len()).unwrap_or(u64::MAX);
            let next = (count == LISTED_AT_ONCE).then(|| offset + count);
            let listed = page.into_iter().map(|instance| ListedObject {
                uids: instance.uids,
                digest: instance.digest,
                bytes: instance.location.length,
            });
            Ok(Some((Piece::Listed(listed.collect()), next)))
        }
    })
}

/// The pieces of one object; [`Piece::Missing`] if the study has no such object any more.
async fn delivered(
    imaging: Arc<Imaging>,
    requester: Requester,
    study: String,
    wanted: WantedObject,
) -> Result<Pieces, Error> {
    let WantedObject { instance, digest, offset } = wanted;
    let missing = |instance| -> Pieces {
        Box::pin(stream::once(std::future::ready(Ok(Piece::Missing { instance }))))
    };
    let known = imaging.known(&requester, vec![instance.clone()]).await?;
    let is_it = |object: &KnownObject| {
        object.digest == digest && object.uids.study == study && object.location.length >= offset
    };
    let Some(object) = known.into_iter().flatten().find(is_it) else {
        return Ok(missing(instance));
    };
    let Some(kept) = imaging.object(&requester, object.location).await?.filter(|o| !o.erased)
    else {
        return Ok(missing(instance));
    };
    let head = begin(&object, kept.head.meta, digest, offset);
    let location = object.location;
    let body = stream::try_unfold(offset, move |at| {
        let (imaging, requester) = (Arc::clone(&imaging), requester.clone());
        async move {
            if at >= location.length {
                return Ok(None);
            }
            let end = at.saturating_add(PIECE_BYTES).min(location.length);
            let bytes = imaging.bytes(&requester, location, at..end).await?;
            if bytes.is_empty() {
                return Err(Error::internal("archive", "an object is shorter than it was"));
            }
            let next = at + u64::try_from(bytes.len()).unwrap_or(u64::MAX);
            Ok(Some((Piece::Bytes(bytes), next)))
        }
    });
    Ok(Box::pin(stream::once(std::future::ready(Ok(head))).chain(body)))
}

fn begin(object: &KnownObject, meta: Vec<u8>, digest: Digest, offset: u64) -> Piece {
    Piece::Object {
        instance: object.uids.instance.clone(),
        digest,
        transfer_syntax: object.transfer_syntax.clone(),
        meta: Bytes::from(meta),
        offset,
        length: object.location.length,
    }
}
