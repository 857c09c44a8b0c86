//! How forwarding sends: C-STORE of objects as they are kept, over associations of our own.

use std::fmt;
use std::sync::Arc;

use super::dial::{DialError, Dialled, Dialler, Outgoing};
use super::retrieve::{SendError, proposals, way};
use crate::app::access::Caller;
use crate::app::chain;
use crate::app::imaging::forwarding::{Call, Pace, SendFailure, Sender, SentObject};
use crate::app::imaging::peers::Peers;
use crate::app::imaging::ports::IndexedInstance;
use crate::app::imaging::{Imaging, Requester};
use crate::app::ports::BoxFuture;

/// Sends to the peers of the table.
pub struct DimseSender {
    dialler: Dialler,
    peers: Arc<Peers>,
    imaging: Arc<Imaging>,
}

/// An association with a peer.
struct DimseCall {
    dialled: Dialled,
    imaging: Arc<Imaging>,
    requester: Requester,
    pace: Option<Arc<dyn Pace>>,
}

/// The peer accepted nothing that was proposed, and there is no association any more.
#[derive(Debug)]
struct NothingAccepted;

impl fmt::Debug for DimseSender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DimseSender").field("dialler", &self.dialler).finish_non_exhaustive()
    }
}

impl fmt::Debug for DimseCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DimseCall").field("dialled", &self.dialled).finish_non_exhaustive()
    }
}

impl DimseSender {
    /// Objects are read from `imaging` and go to `peers`, dialled by `dialler`.
    pub fn new(dialler: Dialler, peers: Arc<Peers>, imaging: Arc<Imaging>) -> Self {
        Self { dialler, peers, imaging }
    }
}

impl Sender for DimseSender {
    fn call<'a>(
        &'a self,
        destination: &'a str,
        instances: &'a [IndexedInstance],
        pace: Option<Arc<dyn Pace>>,
    ) -> BoxFuture<'a, Result<Box<dyn Call>, SendFailure>> {
        Box::pin(async move {
            let Some(peer) = self.peers.destination(destination) else {
                let reason = format!("{destination} is not in the AE table, or has no address");
                return Err(SendFailure { reason });
            };
            let proposed = proposals(instances, |from, to| self.imaging.converts(from, to));
            let dialled = match self.dialler.dial(peer, proposed).await {
                Ok(dialled) => dialled,
                Err(DialError::NothingAccepted { .. }) => {
                    let call: Box<dyn Call> = Box::new(NothingAccepted);
                    return Ok(call);
                }
                Err(error) => return Err(SendFailure { reason: chain(&error) }),
            };
            let name = format!("forward:{destination}");
            let requester = Requester::of(Caller::local(name));
            let imaging = Arc::clone(&self.imaging);
            let call: Box<dyn Call> = Box::new(DimseCall { dialled, imaging, requester, pace });
            Ok(call)
        })
    }
}

impl Call for DimseCall {
    fn send<'a>(
        &'a mut self,
        instance: &'a IndexedInstance,
    ) -> BoxFuture<'a, Result<SentObject, SendFailure>> {
        Box::pin(async move {
            let converts = |from: &str, to: &str| self.imaging.converts(from, to);
            let Some(way) = way(&self.dialled.contexts, instance, converts) else {
                return Ok(SentObject::NotAccepted);
            };
            let object = Outgoing {
                context: way.context,
                sop_class: &instance.sop_class,
                sop_instance: &instance.uids.instance,
                originator: None,
                converted_to: way.converted_to.as_deref(),
            };
            let from = (&*self.imaging, &self.requester);
            match self.dialled.store(&object, from, instance, self.pace.as_deref()).await {
                Ok(sent) => Ok(SentObject::Answered { status: sent.status, comment: sent.comment }),
                Err(SendError::Object(error)) => {
                    Ok(SentObject::Unreadable { reason: chain(&error) })
                }
                Err(SendError::Wire(error)) => Err(SendFailure { reason: chain(&error) }),
            }
        })
    }

    fn close(self: Box<Self>) -> BoxFuture<'static, ()> {
        Box::pin(self.dialled.release())
    }
}

impl Call for NothingAccepted {
    fn send<'a>(
        &'a mut self,
        _: &'a IndexedInstance,
    ) -> BoxFuture<'a, Result<SentObject, SendFailure>> {
        Box::pin(std::future::ready(Ok(SentObject::NotAccepted)))
    }

    fn close(self: Box<Self>) -> BoxFuture<'static, ()> {
        Box::pin(std::future::ready(()))
    }
}
