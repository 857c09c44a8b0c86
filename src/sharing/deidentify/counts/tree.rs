//! Counts that add up over several levels: villages to townships, townships to counties.
//!
//! Every count of the tree is taken as shown where it is not hidden, whatever levels somebody prints, so
//! that two tables of different levels cannot be subtracted from each other.

use super::flow::{Flowing, Network};

/// A count that is a part of the one above it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// Place in the list of the count that this one is a part of; none: of none. Counts that have parts
    /// are their sum.
    pub above: Option<usize>,
    /// The count.
    pub count: u64,
    /// What it is at least, by other counts that are shown.
    pub least: u64,
    /// What it is at most, by other counts that are shown; none: anything.
    pub most: Option<u64>,
    /// Whether it is hidden.
    pub hidden: bool,
}

/// Hides the counts from 1 to one less than `threshold`, and others with them until no sum gives one back.
pub fn suppress_tree(parts: &mut [Part], threshold: u64) {
    let mut has_parts = vec![false; parts.len()];
    for above in parts.iter().filter_map(|part| part.above) {
        if let Some(has) = has_parts.get_mut(above) {
            *has = true;
        }
    }
    // Point 0 is the world outside; each count with parts has a point of its own.
    let point = |at: usize| at + 1;
    let is_small = |part: &Part| part.count > 0 && part.count < threshold;
    let cells = parts.iter().zip(&has_parts).enumerate().map(|(at, (part, has_parts))| {
        let price = part.count.saturating_add(1);
        Flowing {
            ends: (if *has_parts { point(at) } else { 0 }, part.above.map_or(0, point)),
            count: part.count,
            least: part.least.clamp(1, part.count.max(1)),
            most: part.most.map(|most| most.max(part.count)),
            hidden: part.hidden || is_small(part),
            // Sums are hidden last.
            price: if *has_parts { price.saturating_mul(1 << 20) } else { price },
        }
    });
    let mut network = Network::new(cells.collect(), parts.len() + 1);
    for (at, part) in parts.iter().enumerate().filter(|(_, part)| is_small(part)) {
        network.protect(at, threshold - part.count);
    }
    for (at, part) in parts.iter_mut().enumerate() {
        part.hidden = network.is_hidden(at);
    }
}
