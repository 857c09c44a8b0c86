//! Signing the head of the trail, and having it kept where this node cannot change it.

use std::sync::Arc;

use super::ports::{AuditTrail, Signer};
use crate::app::error::Error;
use crate::app::ports::{BoxFuture, Clock};
use crate::sharing::audit::{Anchor, Head, Mark};

/// Where heads are anchored.
pub trait AnchorPlace: std::fmt::Debug + Send + Sync {
    /// Hands a signed head over; it is kept there when this returns.
    fn anchor<'a>(&'a self, anchor: &'a Anchor) -> BoxFuture<'a, Result<(), Error>>;
}

/// Signs heads of one trail.
#[derive(Debug)]
pub struct Anchoring {
    node: String,
    trail: Arc<dyn AuditTrail>,
    signer: Arc<dyn Signer>,
    clock: Arc<dyn Clock>,
    place: Option<Arc<dyn AnchorPlace>>,
    /// The last number that was signed.
    signed: u64,
    /// What is still to be handed over.
    pending: Option<Anchor>,
}

impl Anchoring {
    /// Of the node with this name; `place`: where heads go beside the node's own list.
    pub fn new(
        node: &str,
        (trail, signer): (Arc<dyn AuditTrail>, Arc<dyn Signer>),
        clock: Arc<dyn Clock>,
        place: Option<Arc<dyn AnchorPlace>>,
    ) -> Self {
        Self { node: node.to_owned(), trail, signer, clock, place, signed: 0, pending: None }
    }

    /// Signs the head, if it has changed since, keeps it, and hands it over. The number of the head that
    /// was signed last; 0: there is no entry yet.
    pub async fn anchor(&mut self) -> Result<u64, Error> {
        let last = self.trail.last().await?;
        if last != self.signed {
            let anchor = self.sign(last).await?;
            self.trail.keep_anchor(anchor.clone(), None).await?;
            self.signed = last;
            self.pending = Some(anchor);
        }
        if let (Some(place), Some(anchor)) = (&self.place, &self.pending) {
            place.anchor(anchor).await?;
            self.trail.keep_anchor(anchor.clone(), Some(self.clock.now_ms())).await?;
            self.pending = None;
        }
        Ok(self.signed)
    }

    async fn sign(&self, number: u64) -> Result<Anchor, Error> {
        let entry = self.trail.after(number.saturating_sub(1), 1).await?.pop();
        let digests = entry.and_then(|e| Some((e.sha256.try_into().ok()?, e.sm3.try_into().ok()?)));
        let Some((sha256, sm3)) = digests else {
            return Err(Error::internal("audit trail", "the last entry has no digests"));
        };
        let (origin, _) = self.trail.origin().await?;
        let mark = Mark {
            node: self.node.clone(),
            chain: origin.chain,
            head: Head { number, sha256, sm3 },
            at_ms: self.clock.now_ms(),
        };
        Ok(self.signer.sign(mark))
    }
}
