//! At the hub: chaining the trail of the exchange, and signing its heads.

use std::sync::Arc;

use super::AtHub;
use super::ports::Signer;
use crate::app::error::Error;
use crate::app::ports::Clock;
use crate::sharing::audit::{Head, Mark};

/// The name that heads of the exchange's trail are signed under: the hub's own trail has its name.
pub fn name_of(node: &str) -> String {
    format!("{node}/exchange")
}

/// Chains and signs.
#[derive(Debug)]
pub struct Sealer {
    node: String,
    hub: AtHub,
    signer: Arc<dyn Signer>,
    clock: Arc<dyn Clock>,
    signed: u64,
}

impl Sealer {
    /// Of the hub with this name.
    pub fn new(node: &str, hub: AtHub, signer: Arc<dyn Signer>, clock: Arc<dyn Clock>) -> Self {
        Self { node: name_of(node), hub, signer, clock, signed: 0 }
    }

    /// Chains what is settled; how many entries.
    pub async fn seal(&self) -> Result<u64, Error> {
        self.hub.trail.seal().await
    }

    /// Signs the head, if it has changed, and keeps it with those of nodes.
    pub async fn anchor(&mut self) -> Result<(), Error> {
        let (origin, last) = self.hub.trail.origin().await?;
        if last == self.signed {
            return Ok(());
        }
        let Some(entry) = self.hub.trail.after(last - 1, 1).await?.pop() else { return Ok(()) };
        let (Ok(sha256), Ok(sm3)) = (entry.sha256.try_into(), entry.sm3.try_into()) else {
            return Err(Error::internal("audit trail", "the last entry has no digests"));
        };
        let head = Head { number: entry.number, sha256, sm3 };
        let at_ms = self.clock.now_ms();
        let mark = Mark { node: self.node.clone(), chain: origin.chain, head, at_ms };
        self.hub.heads.take(self.signer.sign(mark), at_ms).await?;
        self.signed = last;
        Ok(())
    }
}
