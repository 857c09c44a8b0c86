//! What was told of places and months, with every revision and when it came.
//!
//! Nothing is ever replaced. What counts on a day is the newest revision that had come by then, so that a
//! report of then can be made again, and a late one can be seen to have changed it.

use std::collections::BTreeMap;

use super::counters::Values;
use super::month::Month;

/// What somebody told of a place and month.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// Who: name of the node, or the hub's own.
    pub teller: String,
    /// Of which place, a division code.
    pub place: String,
    /// Of which month.
    pub month: Month,
    /// Goes up with every change.
    pub revision: u32,
    /// When it came.
    pub at_ms: i64,
    /// Whether the teller is a site; the hub's own numbers are of none.
    pub is_site: bool,
    /// The numbers.
    pub values: Values,
}

/// A site: a node that has been connected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// Name of the node.
    pub node: String,
    /// Where it stands, a division code.
    pub place: String,
    /// When it was connected first.
    pub since_ms: i64,
}

/// What was told, by month, as it was known at some moment.
pub type Known<'a> = BTreeMap<Month, Vec<&'a Told>>;

/// The newest revision of each teller, place and month that had come by a moment.
pub fn known_by<'a>(told: impl IntoIterator<Item = &'a Told>, at_ms: i64) -> Known<'a> {
    let mut newest: BTreeMap<(Month, &str, &str), &Told> = BTreeMap::new();
    for one in told.into_iter().filter(|one| one.at_ms <= at_ms) {
        let key = (one.month, one.teller.as_str(), one.place.as_str());
        let kept = newest.entry(key).or_insert(one);
        if kept.revision < one.revision {
            *kept = one;
        }
    }
    let mut known = Known::new();
    for ((month, _, _), one) in newest {
        known.entry(month).or_default().push(one);
    }
    known
}
