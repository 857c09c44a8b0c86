//! Registrations that would give a node records of somebody: how many persons within an hour. Without it, who
//! has the names and numbers of strangers could have their records sent without being counted.

use super::hub::Exchange;
use super::ports::{Counting, Entered, LookUpEntry, REGISTER, Registers, Submission, TOO_MANY};
use crate::app::error::Error;
use crate::sharing::exchange::Outcome;

/// What a node is told whose registration waits.
const WAITS: &str = "本机构一小时内登记的、中心已有其病历的人员已达上限：登记已保存在本机，稍后自动重新\
                     提交，无需操作";

impl Exchange {
    /// Counts whom a node registers of whom it would be given records, and writes it down. Too many within
    /// an hour wait: the node hands the registration over again by itself.
    pub(super) async fn counted(&self, submission: &Submission) -> Result<Option<Outcome>, Error> {
        let Submission { node, document, facts, at_ms, .. } = submission;
        let (node, at_ms) = (node.as_str(), *at_ms);
        let holds = |registers: &Registers| {
            registers.active && registers.until_ms.is_none_or(|until_ms| until_ms >= at_ms)
        };
        let gives = facts.registers.as_ref().is_some_and(holds);
        if !gives || !self.store.opens(node, &facts.keys).await? {
            return Ok(None);
        }
        let entry = LookUpEntry {
            at_ms,
            node: node.to_owned(),
            caller: format!("node:{node}"),
            role: "node",
            action: REGISTER,
            purpose: "",
            glass_broken: false,
            reason: String::new(),
            person: facts.keys.concat(),
            record: document.name.clone(),
            version: document.version,
            documents: Vec::new(),
            outcome: "registered",
            counted: true,
        };
        let allowance = self.allowance(Counting::Registrations, at_ms);
        let Entered { over, .. } = self.store.enter(entry, allowance).await?;
        let Some(spent) = over else { return Ok(None) };
        tracing::warn!(
            node,
            persons = spent.persons,
            "a node has registered too many persons of whom it is given records within an hour, and waits"
        );
        Ok(Some(Outcome::Refused { code: TOO_MANY.to_owned(), reason: WAITS.to_owned() }))
    }
}
