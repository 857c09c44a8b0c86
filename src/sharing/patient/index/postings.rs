//! Which rows a key leads to: sorted numbers of a key and a row, in buckets by the key's first bits.
//!
//! A sorted run in one piece would have to be merged with what was added since, which makes somebody
//! wait; in a bucket of some hundreds an addition moves a few kilobytes.

/// Buckets, by the first bits of a key.
const BUCKET_BITS: u32 = 16;
/// A full bucket grows by its length shifted right by this, and a little.
const GROWTH_SHIFT: u32 = 4;
/// The same while many are added at once.
const LOADING_SHIFT: u32 = 1;
/// The least by which a full bucket grows.
const GROWTH_MIN: usize = 4;

/// Rows by key. A key is 32 bits of a hash: a row that it leads to need not have what was hashed.
#[derive(Debug)]
pub(super) struct Postings {
    buckets: Vec<Vec<u64>>,
    count: usize,
}

impl Default for Postings {
    fn default() -> Self {
        Self { buckets: vec![Vec::new(); 1 << BUCKET_BITS], count: 0 }
    }
}

impl Postings {
    /// Adds a row under a key, once.
    pub(super) fn insert(&mut self, key: u32, row: u32) {
        let Some(bucket) = self.buckets.get_mut(place(key)) else { return };
        let entry = entry(key, row);
        if let Err(at) = bucket.binary_search(&entry) {
            if bucket.len() == bucket.capacity() {
                bucket.reserve_exact((bucket.len() >> GROWTH_SHIFT).max(GROWTH_MIN));
            }
            bucket.insert(at, entry);
            self.count += 1;
        }
    }

    /// Adds a row under a key without order. Nothing is found until [`Postings::settle`] was called.
    pub(super) fn push(&mut self, key: u32, row: u32) {
        let Some(bucket) = self.buckets.get_mut(place(key)) else { return };
        if bucket.len() == bucket.capacity() {
            bucket.reserve_exact((bucket.len() >> LOADING_SHIFT).max(GROWTH_MIN));
        }
        bucket.push(entry(key, row));
    }

    /// Puts what was pushed in order.
    pub(super) fn settle(&mut self) {
        for bucket in &mut self.buckets {
            bucket.sort_unstable();
            bucket.dedup();
            bucket.shrink_to(bucket.len() + (bucket.len() >> GROWTH_SHIFT));
        }
        self.count = self.buckets.iter().map(Vec::len).sum();
    }

    /// Takes a row from under a key.
    pub(super) fn remove(&mut self, key: u32, row: u32) {
        let Some(bucket) = self.buckets.get_mut(place(key)) else { return };
        if let Ok(at) = bucket.binary_search(&entry(key, row)) {
            bucket.remove(at);
            self.count -= 1;
        }
    }

    /// The rows under a key, in order.
    pub(super) fn rows(&self, key: u32) -> impl ExactSizeIterator<Item = u32> + '_ {
        let bucket = self.buckets.get(place(key)).map_or(&[][..], Vec::as_slice);
        let from = bucket.partition_point(|found| *found < entry(key, 0));
        let rest = bucket.get(from..).unwrap_or_default();
        let to = rest.partition_point(|found| *found <= entry(key, u32::MAX));
        rest.get(..to).unwrap_or_default().iter().map(|found| row_of(*found))
    }

    /// Entries.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Bytes of memory.
    pub(super) fn bytes(&self) -> usize {
        let entries: usize = self.buckets.iter().map(Vec::capacity).sum();
        entries * size_of::<u64>() + self.buckets.capacity() * size_of::<Vec<u64>>()
    }
}

fn place(key: u32) -> usize {
    usize::try_from(key >> (u32::BITS - BUCKET_BITS)).unwrap_or(0)
}

fn entry(key: u32, row: u32) -> u64 {
    u64::from(key) << 32 | u64::from(row)
}

fn row_of(entry: u64) -> u32 {
    u32::try_from(entry & u64::from(u32::MAX)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn postings_hold_what_a_plain_set_holds(
            steps in proptest::collection::vec((any::<bool>(), 0_u32..4, 0_u32..8), 0..200),
        ) {
            let mut postings = Postings::default();
            let mut plain = BTreeSet::new();
            // Keys of one bucket, of two, and the last of all.
            let keys = [0, 1, 1 << 20, u32::MAX];
            for (adds, key, row) in steps {
                let key = keys[usize::try_from(key).unwrap()];
                if adds {
                    postings.insert(key, row);
                    plain.insert((key, row));
                } else {
                    postings.remove(key, row);
                    plain.remove(&(key, row));
                }
            }
            let mut pushed = Postings::default();
            for (key, row) in plain.iter().rev().chain(&plain) {
                pushed.push(*key, *row);
            }
            pushed.settle();
            prop_assert_eq!((postings.count(), pushed.count()), (plain.len(), plain.len()));
            for key in keys {
                let found: Vec<u32> = postings.rows(key).collect();
                let wanted: Vec<u32> =
                    plain.iter().filter(|(k, _)| *k == key).map(|(_, row)| *row).collect();
                prop_assert_eq!(&found, &wanted);
                prop_assert_eq!(pushed.rows(key).collect::<Vec<u32>>(), wanted);
            }
        }
    }
}
