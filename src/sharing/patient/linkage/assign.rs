//! Linking two files of which neither holds anybody twice.

use std::collections::BTreeSet;

/// A pair of records with what it weighs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Link {
    /// Number of the record in the first file.
    pub left: u32,
    /// Number of the record in the second file.
    pub right: u32,
    /// Weight in bits.
    pub bits: f64,
}

/// Of `links`, those that remain when each record may be linked once: the heaviest first, then the
/// heaviest of what is left. Links under `bits_min` are dropped. Equal weights go by number, so that
/// the answer does not depend on the order of `links`.
pub fn one_to_one(mut links: Vec<Link>, bits_min: f64) -> Vec<Link> {
    links.retain(|link| link.bits >= bits_min);
    links.sort_by(|a, b| {
        b.bits.total_cmp(&a.bits).then_with(|| (a.left, a.right).cmp(&(b.left, b.right)))
    });
    let (mut left, mut right) = (BTreeSet::new(), BTreeSet::new());
    links.retain(|link| {
        let free = !left.contains(&link.left) && !right.contains(&link.right);
        if free {
            left.insert(link.left);
            right.insert(link.right);
        }
        free
    });
    links
}
