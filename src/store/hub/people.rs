//! What both stores of the hub's people do alike, without SQL.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::rows::{HeadRow, InboxRow};
use super::{Sha, relation_name, relation_named};
use crate::sharing::exchange::Cursor;

/// Bytes of bodies after which a reading of documents stops.
pub(in crate::store) const BODIES_BYTES_MAX: i64 = 8 * 1024 * 1024;

/// A record, or a task of one, that a registration of its person gives to a node.
#[derive(Debug)]
pub(in crate::store) struct Meeting {
    pub(in crate::store) node: String,
    pub(in crate::store) document: i64,
    pub(in crate::store) sha256: Sha,
    pub(in crate::store) relation: String,
    pub(in crate::store) is_task: bool,
}

/// Nodes whose inboxes grow.
pub(in crate::store) fn receivers(meetings: &[Meeting]) -> BTreeSet<String> {
    meetings.iter().map(|meeting| meeting.node.clone()).collect()
}

/// Rows of inboxes and heads, from where the heads are. A document comes to a node once, records in order of
/// number, then tasks.
pub(in crate::store) fn deliveries(
    meetings: Vec<Meeting>,
    heads: &HashMap<String, Cursor>,
) -> (Vec<InboxRow>, Vec<HeadRow>) {
    let mut by_node: BTreeMap<String, BTreeMap<(bool, i64), Meeting>> = BTreeMap::new();
    for meeting in meetings {
        let all = by_node.entry(meeting.node.clone()).or_default();
        all.entry((meeting.is_task, meeting.document)).or_insert(meeting);
    }
    let (mut inbox, mut changed) = (Vec::new(), Vec::new());
    for (node, all) in by_node {
        let mut cursor = heads.get(&node).copied().unwrap_or_default();
        for ((_, document), Meeting { sha256, relation, .. }) in all {
            cursor = cursor.after(&sha256);
            let reason = relation_named(&relation).map_or("linked", relation_name);
            let node = node.clone();
            inbox.push(InboxRow { node, cursor, document, reason, handed_ms: None });
        }
        changed.push(HeadRow { node, cursor, handed: 0 });
    }
    (inbox, changed)
}
