//! What the hub has put aside, as an operator looks at it: a list, the original bytes, and what came of it.

use super::hub::Exchange;
use super::ports::{PutAside, QuarantineQuery, Settled};
use crate::app::App;
use crate::app::access::{Action, Caller, authorise};
use crate::app::error::Error;
use crate::app::request::{PageRequest, Problems};
use crate::sharing::exchange::Document;

/// Lists of documents put aside are told apart from others by this.
const SEAL: &str = "quarantined";
/// Characters of what came of it at most.
const FINDING_CHARS_MAX: usize = 500;
/// Characters of a node's name at most.
const NODE_CHARS_MAX: usize = 64;

impl App {
    fn as_hub(&self) -> Result<&Exchange, Error> {
        let reason = "this node is no hub: documents are put aside at the hub".to_owned();
        self.hub.as_deref().ok_or(Error::Refused { reason })
    }

    /// At the hub: documents that were put aside, newest first; those of one node or of all, those that
    /// nobody has dealt with or all. And where the next page begins.
    pub async fn list_quarantined(
        &self,
        caller: &Caller,
        (node, settled): (&str, bool),
        page: &PageRequest,
    ) -> Result<(Vec<PutAside>, String), Error> {
        authorise(caller, Action::ReadExchange)?;
        let mut problems = Problems::default();
        problems.chars("node", node, NODE_CHARS_MAX);
        problems.finish()?;
        let (size, before) = page.open(SEAL)?;
        // One more than asked for tells whether there is a next page.
        let query = QuarantineQuery {
            node: node.to_owned(),
            settled,
            before,
            limit: size.saturating_add(1),
        };
        let mut found = self.as_hub()?.quarantined(query).await?;
        let asked = usize::try_from(size).unwrap_or(usize::MAX);
        let has_more = found.len() > asked;
        found.truncate(asked);
        let token = found.last().filter(|_| has_more).map(|last| format!("{SEAL}-{}", last.id));
        Ok((found, token.unwrap_or_default()))
    }

    /// At the hub: a document that was put aside, with the bytes as they came. The reading is audited.
    pub async fn get_quarantined(
        &self,
        caller: &Caller,
        id: u64,
    ) -> Result<(PutAside, Document), Error> {
        let permit = authorise(caller, Action::OpenQuarantine)?;
        named(id)?;
        let found = self.as_hub()?.read_quarantined(id).await?;
        let outcome = if found.is_some() { "ok" } else { "not_found" };
        let mut entry = self.entry(&format!("{SEAL}-{id}"), "");
        entry.outcome = outcome;
        self.journal.audit(&permit, entry).await?;
        found.ok_or(Error::NotFound { kind: "document that was put aside" })
    }

    /// At the hub: says what came of a document that was put aside. It stays there; said again, the later
    /// words stand.
    pub async fn settle_quarantined(
        &self,
        caller: &Caller,
        id: u64,
        finding: &str,
    ) -> Result<PutAside, Error> {
        let permit = authorise(caller, Action::SettleQuarantine)?;
        let mut problems = Problems::default();
        problems.unless(!finding.trim().is_empty(), "finding", "must say what came of it");
        problems.chars("finding", finding, FINDING_CHARS_MAX);
        problems.finish()?;
        named(id)?;
        let hub = self.as_hub()?;
        let settled = Settled {
            by: caller.name.clone(),
            finding: finding.trim().to_owned(),
            at_ms: self.clock.now_ms(),
        };
        let found = hub.settle_quarantined(id, settled).await?;
        let mut entry = self.entry(&format!("{SEAL}-{id}"), "");
        entry.outcome = if found.is_some() { "ok" } else { "not_found" };
        self.journal.audit(&permit, entry).await?;
        found.ok_or(Error::NotFound { kind: "document that was put aside" })
    }
}

fn named(id: u64) -> Result<(), Error> {
    let mut problems = Problems::default();
    problems.unless(id > 0, "id", "must be the id of a document that was put aside");
    problems.finish()
}
