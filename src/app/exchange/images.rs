//! Images that nodes ask the hub for: persons count in the same allowance as those whose records are
//! looked up, and are written down before anything is told.

use super::hub::Exchange;
use super::look_up::Refusal;
use super::ports::{Entered, LookUpEntry};
use crate::app::error::Error;
use crate::app::ports::BoxFuture;
use crate::app::regional::ports::{AskedImages, Ledger};

/// What a keyed digest of whose images are asked for is made under.
const LABEL: &str = "images";
/// What a node that has asked for too many is told.
const ALLOWANCE: &str = "allowance of persons that may be looked up within an hour";

impl Ledger for Exchange {
    fn note<'a>(&'a self, asked: &'a AskedImages) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            let at_ms = self.now_ms();
            for person in &asked.persons {
                let entry = LookUpEntry {
                    at_ms,
                    node: asked.node.clone(),
                    caller: asked.asked_by.clone(),
                    role: "node",
                    action: asked.action,
                    purpose: asked.purpose,
                    glass_broken: false,
                    reason: String::new(),
                    person: self.key.stated(LABEL, &[person.as_bytes()]).to_vec(),
                    record: asked.study.clone(),
                    version: 0,
                    documents: Vec::new(),
                    outcome: if asked.found { "found" } else { "nothing" },
                    counted: true,
                };
                let Entered { over, .. } = self.enter(entry).await?;
                if let Some(spent) = over
                    && let Refusal::TooMany { retry_after } =
                        self.too_many(&asked.node, spent, at_ms)
                {
                    return Err(Error::Overloaded { what: ALLOWANCE, retry_after });
                }
            }
            Ok(())
        })
    }
}
