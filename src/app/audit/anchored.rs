//! At the hub: taking signed heads of nodes' audit trails. Nothing that is signed is refused; what does
//! not fit to what the node said before is an alarm.

use std::sync::Arc;

use super::anchoring::AnchorPlace;
use super::ports::{Anchored, Taken};
use super::sign;
use crate::app::access::{Action, Caller, Role, authorise};
use crate::app::error::Error;
use crate::app::ports::{AuditEntry, BoxFuture, Clock, Journal};
use crate::sharing::audit::Anchor;

/// Characters of a chain's id at most.
const CHAIN_CHARS_MAX: usize = 64;

/// Takes heads.
#[derive(Debug)]
pub struct AnchorDesk {
    store: Arc<dyn Anchored>,
    journal: Arc<dyn Journal>,
    clock: Arc<dyn Clock>,
}

impl AnchorDesk {
    /// Over a store.
    pub fn new(store: Arc<dyn Anchored>, journal: Arc<dyn Journal>, clock: Arc<dyn Clock>) -> Self {
        Self { store, journal, clock }
    }

    /// The store.
    pub fn heads(&self) -> Arc<dyn Anchored> {
        Arc::clone(&self.store)
    }

    /// Keeps a head that the node with this name shows. One that is not the node's own, or not signed, is
    /// refused.
    pub async fn take(&self, node: &str, anchor: Anchor) -> Result<Taken, Error> {
        let caller = Caller::system(node, Role::Node);
        let permit = authorise(&caller, Action::AnchorAudit)?;
        let mark = &anchor.mark;
        if mark.node != node {
            return Err(Error::field("anchor.node", "must be the name of the node that calls"));
        }
        if mark.chain.is_empty() || mark.chain.len() > CHAIN_CHARS_MAX {
            return Err(Error::field("anchor.chain", "must have from 1 to 64 characters"));
        }
        if mark.head.number == 0 {
            return Err(Error::field("anchor.number", "must be above 0"));
        }
        if !sign::is_signed(&anchor) {
            return Err(Error::field("anchor.signature", "must be of the anchor and its key"));
        }
        let (at_ms, number) = (self.clock.now_ms(), mark.head.number);
        let (record_id, detail) = (mark.chain.clone(), format!("entry {number}"));
        let taken = self.store.take(anchor, at_ms).await?;
        if taken != Taken::Fits {
            let said = taken.name();
            tracing::warn!(
                node,
                said,
                number,
                "the audit trail of a node does not fit its anchors"
            );
            let entry = AuditEntry {
                at_ms,
                record_id,
                patient_reference: String::new(),
                outcome: said,
                detail,
            };
            self.journal.audit(&permit, entry).await?;
        }
        Ok(taken)
    }
}

/// The hub's own trail.
impl AnchorPlace for AnchorDesk {
    fn anchor<'a>(&'a self, anchor: &'a Anchor) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            self.take(&anchor.mark.node, anchor.clone()).await?;
            Ok(())
        })
    }
}
