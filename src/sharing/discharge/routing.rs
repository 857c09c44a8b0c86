//! Who gets a record: the clinic of the village and the township where the patient is registered,
//! the clinic with which the patient has a contract, and who subscribed. Never the district as a
//! whole: a node whose scope is a county gets nothing by residence.
//!
//! A record that reaches nobody is said to be unrouted, with the reason. Sending to a wrong
//! village gives a record to strangers, so an address that does not name one place is not guessed
//! ([`Divisions::resolve`]).
//!
//! Pure: the caller gives nodes, contracts, subscriptions and the time.

mod divisions;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::model::Address;

pub use divisions::{Divisions, Precision, Residence, ResidenceNote};

/// A node of the region.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoutingNode {
    /// Its name.
    pub name: String,
    /// Division codes that it is responsible for: 6 (county), 9 (township) or 12 digits (village).
    pub scopes: Vec<String>,
}

/// The nodes of the region, found by name and by scope.
#[derive(Debug, Clone, Default)]
pub struct RoutingNodes {
    names: BTreeSet<String>,
    by_scope: BTreeMap<String, BTreeSet<String>>,
    invalid: Vec<String>,
}

impl RoutingNodes {
    /// Of a list; a node that stands there twice has the scopes of both.
    pub fn new(nodes: impl IntoIterator<Item = RoutingNode>) -> Self {
        let mut index = Self::default();
        for node in nodes {
            for scope in node.scopes {
                if is_scope(&scope) {
                    index.by_scope.entry(scope).or_default().insert(node.name.clone());
                } else {
                    index.invalid.push(node.name.clone());
                }
            }
            index.names.insert(node.name);
        }
        index
    }

    /// Names of nodes with a scope that is no division code of 6, 9 or 12 digits. Such a scope is
    /// passed over; whoever reads the list is to say so.
    pub fn invalid(&self) -> &[String] {
        &self.invalid
    }

    fn of_scope(&self, scope: Option<&str>) -> impl Iterator<Item = &str> {
        let names = scope.and_then(|scope| self.by_scope.get(scope));
        names.into_iter().flatten().map(String::as_str)
    }
}

/// A family-doctor contract of the patient. Milliseconds since 1970 UTC; the end is not included.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoutingContract {
    /// With the clinic of this node.
    pub node: String,
    /// From when.
    pub from_ms: i64,
    /// Until when.
    pub until_ms: i64,
}

/// What is known of a record's way.
#[derive(Clone)]
pub struct RoutingQuestion<'a> {
    /// The node that sent the record.
    pub sender: &'a str,
    /// Division code of the patient's registered residence, if the patient is registered.
    pub registered: Option<&'a str>,
    /// The address in the record; it counts where the patient is not registered.
    pub address: &'a Address,
    /// The patient's contracts, those that have ended included.
    pub contracts: &'a [RoutingContract],
    /// Nodes that subscribed to this patient.
    pub subscriptions: &'a [String],
    /// All nodes of the region.
    pub nodes: &'a RoutingNodes,
    /// Now, in milliseconds since 1970 UTC.
    pub at_ms: i64,
}

/// Where the patient lives stays out of logs.
impl std::fmt::Debug for RoutingQuestion<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RoutingQuestion").field("sender", &self.sender).finish_non_exhaustive()
    }
}

/// Why somebody gets a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Because {
    /// The clinic of the patient's village.
    Village,
    /// The patient's township.
    Township,
    /// A contract.
    Contract,
    /// A subscription.
    Subscription,
}

impl Because {
    /// In Chinese.
    pub fn text_zh(self) -> &'static str {
        match self {
            Self::Village => "患者居住的村（社区）",
            Self::Township => "患者居住的乡镇（街道）",
            Self::Contract => "与患者签有家庭医生协议",
            Self::Subscription => "订阅了该患者的记录",
        }
    }
}

/// Somebody who gets the record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recipient {
    /// Name of the node.
    pub node: String,
    /// Why, each reason once; never empty.
    pub because: Vec<Because>,
}

/// Why nobody gets it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unrouted {
    /// Where the patient lives is not known, or only the county.
    ResidenceUnknown,
    /// The residence is named in several ways that disagree or fit several places.
    ResidenceAmbiguous,
    /// No node is responsible for where the patient lives.
    NoNode,
    /// Only the sender itself would get it.
    OnlySender,
}

impl Unrouted {
    /// What to do, in Chinese.
    pub fn text_zh(self) -> &'static str {
        match self {
            Self::ResidenceUnknown => "不知道患者住在哪个乡镇或村：请补登居住地，或由签约机构订阅",
            Self::ResidenceAmbiguous => "患者的居住地说法不一，或对得上几个地方：请人工核定",
            Self::NoNode => "患者居住的村和乡镇都没有接入的机构",
            Self::OnlySender => "应收的机构只有发送方自己",
        }
    }
}

/// What is worth knowing of a routing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "note")]
pub enum RoutingNote {
    /// The village is known and has no node; the township has.
    NoVillageNode,
    /// The address in the record names another place than the registration, which counts.
    AddressDiffers,
    /// The registered residence is no code of the tables; it is used as it is.
    RegisteredNotInTables,
    /// A contract or subscription names a node that the region does not have.
    UnknownNode {
        /// Its name.
        node: String,
    },
}

/// Who gets a record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Routing {
    /// Everybody who gets it, by name; never the sender.
    pub recipients: Vec<Recipient>,
    /// Where the patient lives, as far as it is known.
    pub residence: Residence,
    /// Why nobody gets it; none exactly if somebody does.
    pub unrouted: Option<Unrouted>,
    /// What else is worth knowing.
    pub notes: Vec<RoutingNote>,
}

/// Works out who gets a record.
pub fn route(question: &RoutingQuestion<'_>, divisions: &Divisions) -> Routing {
    let mut notes = Vec::new();
    let residence = residence(question, divisions, &mut notes);
    let mut found: BTreeMap<&str, Vec<Because>> = BTreeMap::new();
    // A county's scope is never asked for.
    for (digits, because) in [(12, Because::Village), (9, Because::Township)] {
        for node in question.nodes.of_scope(residence.code.get(..digits)) {
            found.entry(node).or_default().push(because);
        }
    }
    let in_village = |because: &Vec<Because>| because.contains(&Because::Village);
    let villages = found.values().any(in_village);
    if residence.precision == Precision::Village && !villages && !found.is_empty() {
        notes.push(RoutingNote::NoVillageNode);
    }
    let running = |contract: &&RoutingContract| {
        contract.from_ms <= question.at_ms && question.at_ms < contract.until_ms
    };
    let contracts = question.contracts.iter().filter(running).map(|c| (&c.node, Because::Contract));
    let subscribed = question.subscriptions.iter().map(|node| (node, Because::Subscription));
    for (name, because) in contracts.chain(subscribed) {
        if let Some(node) = question.nodes.names.get(name) {
            found.entry(node).or_default().push(because);
            continue;
        }
        let note = RoutingNote::UnknownNode { node: name.clone() };
        if !notes.contains(&note) {
            notes.push(note);
        }
    }
    let sender = found.remove(question.sender).is_some();
    let recipients: Vec<Recipient> = found
        .into_iter()
        .map(|(node, mut because)| {
            because.sort_unstable();
            because.dedup();
            Recipient { node: node.to_owned(), because }
        })
        .collect();
    let unrouted = match (recipients.is_empty(), sender, residence.precision) {
        (false, _, _) => None,
        (true, true, _) => Some(Unrouted::OnlySender),
        (true, false, Precision::Ambiguous) => Some(Unrouted::ResidenceAmbiguous),
        (true, false, Precision::Unknown | Precision::County) => Some(Unrouted::ResidenceUnknown),
        (true, false, Precision::Township | Precision::Village) => Some(Unrouted::NoNode),
    };
    Routing { recipients, residence, unrouted, notes }
}

/// The registered residence, else the one that the address names.
fn residence(
    question: &RoutingQuestion<'_>,
    divisions: &Divisions,
    notes: &mut Vec<RoutingNote>,
) -> Residence {
    let told = divisions.resolve(question.address);
    let Some(registered) = question.registered.and_then(Residence::of_code) else { return told };
    if !divisions.contains(&registered.code) {
        notes.push(RoutingNote::RegisteredNotInTables);
    }
    if !told.code.is_empty()
        && !told.code.starts_with(&registered.code)
        && !registered.code.starts_with(&told.code)
    {
        notes.push(RoutingNote::AddressDiffers);
    }
    registered
}

fn is_scope(scope: &str) -> bool {
    matches!(scope.len(), 6 | 9 | 12) && scope.bytes().all(|b| b.is_ascii_digit())
}
