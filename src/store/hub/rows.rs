//! The rows of a batch that is decided, after the documents have numbers and the heads of the
//! inboxes are known.

use std::collections::{BTreeMap, HashMap};

use super::count;
use super::plan::{At, Decided, Plan, Registration, Said};
use crate::app::exchange::ports::{PersonKey, Relation, Submission};
use crate::sharing::exchange::{Cursor, Outcome};

/// A document in an inbox.
#[derive(Debug)]
pub(in crate::store) struct InboxRow {
    pub(in crate::store) node: String,
    pub(in crate::store) cursor: Cursor,
    pub(in crate::store) document: i64,
    pub(in crate::store) reason: &'static str,
    /// When the document was handed over, where it is sent on at once.
    pub(in crate::store) handed_ms: Option<i64>,
}

/// Where an inbox has come to, and how many more its node has handed over.
#[derive(Debug)]
pub(in crate::store) struct HeadRow {
    pub(in crate::store) node: String,
    pub(in crate::store) cursor: Cursor,
    pub(in crate::store) handed: i64,
}

/// What a node has said of its relation to a person, in which document.
#[derive(Debug)]
pub(in crate::store) struct RegistrationRow {
    pub(in crate::store) key: PersonKey,
    pub(in crate::store) node: String,
    pub(in crate::store) relation: Relation,
    pub(in crate::store) said: Registration,
    pub(in crate::store) document: i64,
}

/// What was said last of a person's consent, in which document.
#[derive(Debug)]
pub(in crate::store) struct ConsentRow {
    pub(in crate::store) key: PersonKey,
    pub(in crate::store) name: String,
    pub(in crate::store) said: Said,
    pub(in crate::store) document: i64,
}

impl ConsentRow {
    /// The record that it is about; empty: all of the person's.
    pub(in crate::store) fn record(&self) -> &str {
        if self.said.consent.all { "" } else { &self.said.consent.record }
    }
}

/// An entry of the audit trail; the document is 0 if there is none.
#[derive(Debug)]
pub(in crate::store) struct AuditRow {
    pub(in crate::store) at_ms: i64,
    pub(in crate::store) node: String,
    pub(in crate::store) action: &'static str,
    pub(in crate::store) document: i64,
    pub(in crate::store) outcome: String,
    pub(in crate::store) recipients: String,
}

/// See the module. Places are those of the submissions in the batch.
#[derive(Debug, Default)]
pub(in crate::store) struct Rows {
    pub(in crate::store) documents: Vec<(usize, i64)>,
    /// Records that are the first of their name.
    pub(in crate::store) names: Vec<usize>,
    pub(in crate::store) handed: Vec<(usize, i64)>,
    pub(in crate::store) inbox: Vec<InboxRow>,
    pub(in crate::store) heads: Vec<HeadRow>,
    pub(in crate::store) registrations: Vec<RegistrationRow>,
    pub(in crate::store) consents: Vec<ConsentRow>,
    pub(in crate::store) audit: Vec<AuditRow>,
    pub(in crate::store) outcomes: Vec<Outcome>,
}

/// A document of the batch has got no number: a fault of the store.
#[derive(Debug, thiserror::Error)]
#[error("a document has no number")]
pub(in crate::store) struct Unnumbered;

impl Rows {
    /// `numbers`: for each of [`Plan::new`], as many at least. `heads`: of those of [`Plan::heads`]
    /// that have one.
    pub(in crate::store) fn settle(
        plan: Plan,
        batch: &[Submission],
        numbers: &[i64],
        heads: &HashMap<String, Cursor>,
    ) -> Result<Self, Unnumbered> {
        let number = |at: At| match at {
            At::There(number) => Ok(number),
            At::New(place) => numbers.get(place).copied().ok_or(Unnumbered),
        };
        let head = |node: &String| heads.get(node).copied().unwrap_or_default();
        let mut changed: BTreeMap<String, (Cursor, i64)> =
            plan.heads(batch).into_iter().map(|node| (node.clone(), (head(&node), 0))).collect();
        let mut rows = Self {
            documents: Vec::with_capacity(plan.new.len()),
            names: plan.first,
            handed: Vec::with_capacity(plan.handed.len()),
            inbox: Vec::new(),
            heads: Vec::with_capacity(changed.len()),
            registrations: Vec::with_capacity(plan.registrations.len()),
            consents: Vec::with_capacity(plan.consents.len()),
            audit: Vec::with_capacity(plan.audit.len()),
            outcomes: Vec::with_capacity(plan.decided.len()),
        };
        for (new, place) in plan.new.iter().enumerate() {
            rows.documents.push((*place, number(At::New(new))?));
        }
        for (place, at) in plan.handed {
            rows.handed.push((place, number(at)?));
            if let Some(submission) = batch.get(place)
                && let Some((_, handed)) = changed.get_mut(&submission.node)
            {
                *handed += 1;
            }
        }
        for (node, deliveries) in plan.deliveries {
            let Some((cursor, _)) = changed.get_mut(&node) else { continue };
            for delivery in deliveries {
                *cursor = cursor.after(&delivery.sha256);
                let handed = match delivery.document {
                    At::New(new) => plan.new.get(new).and_then(|place| batch.get(*place)),
                    At::There(_) => None,
                };
                rows.inbox.push(InboxRow {
                    node: node.clone(),
                    cursor: *cursor,
                    document: number(delivery.document)?,
                    reason: delivery.reason,
                    handed_ms: handed.map(|submission| submission.at_ms),
                });
            }
        }
        rows.heads.extend(changed.into_iter().map(|(node, (cursor, handed))| HeadRow {
            node,
            cursor,
            handed,
        }));
        for ((key, node, relation), (said, at)) in plan.registrations {
            let document = number(at)?;
            rows.registrations.push(RegistrationRow { key, node, relation, said, document });
        }
        for ((key, name), said) in plan.consents {
            let document = number(said.document)?;
            rows.consents.push(ConsentRow { key, name, said, document });
        }
        for entry in plan.audit {
            let Some(submission) = batch.get(entry.submission) else { continue };
            rows.audit.push(AuditRow {
                at_ms: submission.at_ms,
                node: submission.node.clone(),
                action: entry.action,
                document: entry.document.map_or(Ok(0), number)?,
                outcome: entry.outcome,
                recipients: entry.recipients,
            });
        }
        for decided in plan.decided {
            rows.outcomes.push(match decided {
                Decided::Kept(at) => Outcome::Kept(count(number(at)?)),
                Decided::Known(at) => Outcome::Known(count(number(at)?)),
                Decided::Other(outcome) => outcome,
            });
        }
        Ok(rows)
    }

    /// Nodes whose inbox grows, in order of name.
    pub(in crate::store) fn grown(&self) -> Vec<String> {
        let mut nodes: Vec<String> = self.inbox.iter().map(|row| row.node.clone()).collect();
        nodes.dedup();
        nodes
    }
}
