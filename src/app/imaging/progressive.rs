//! In which order the slices of a series travel over a thin link: one to recognise it by, then the
//! key images, then the rest so that every moment's slices are spread over the whole.

use std::collections::BTreeSet;

/// All of `count` slices, each once: the middle one (its thumbnail), then `keys` in their order,
/// then the others, each halving the largest gap.
pub fn delivery_order(count: usize, keys: &[usize]) -> Vec<usize> {
    let mut order = Vec::new();
    let mut left: BTreeSet<usize> = (0..count).collect();
    for index in std::iter::once(count / 2).chain(keys.iter().copied()) {
        if left.remove(&index) {
            order.push(index);
        }
    }
    // Bits of a counter, read backwards, spread evenly (van der Corput).
    let width = count.next_power_of_two().trailing_zeros();
    for step in 0..count.next_power_of_two() {
        let index = if width == 0 { 0 } else { step.reverse_bits() >> (usize::BITS - width) };
        if left.remove(&index) {
            order.push(index);
        }
    }
    order
}

/// At most `max` of `count` slices, evenly spaced, the first and the last among them; the middle
/// one alone if only one may be.
pub fn evenly(count: usize, max: usize) -> Vec<usize> {
    match max.min(count) {
        0 => Vec::new(),
        1 => vec![count / 2],
        tiles => (0..tiles).map(|i| (i * (count - 1) + (tiles - 1) / 2) / (tiles - 1)).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::{delivery_order, evenly};
    use proptest::prelude::*;

    #[test]
    fn the_middle_comes_first_then_the_keys_then_a_spread() {
        let order = delivery_order(16, &[3, 12, 3, 99]);
        assert_eq!(order.get(..3), Some([8, 3, 12].as_slice()));
        assert_eq!(order.get(3..6), Some([0, 4, 2].as_slice()));
        assert_eq!(delivery_order(0, &[1]), Vec::<usize>::new());
        assert_eq!(delivery_order(1, &[]), [0]);
    }

    #[test]
    fn even_choices_have_both_ends() {
        assert_eq!(evenly(300, 4), [0, 100, 199, 299]);
        assert_eq!(evenly(3, 10), [0, 1, 2]);
        assert_eq!(evenly(9, 1), [4]);
        assert!(evenly(0, 5).is_empty());
    }

    proptest! {
        #[test]
        fn every_slice_is_delivered_once(count in 0_usize..2000, keys in prop::collection::vec(0_usize..2100, 0..20)) {
            let mut order = delivery_order(count, &keys);
            order.sort_unstable();
            prop_assert_eq!(order, (0..count).collect::<Vec<_>>());
        }

        #[test]
        fn even_choices_grow_and_stay_inside(count in 1_usize..5000, max in 1_usize..600) {
            let chosen = evenly(count, max);
            prop_assert_eq!(chosen.len(), max.min(count));
            prop_assert!(chosen.windows(2).all(|pair| pair[0] < pair[1]));
            prop_assert!(chosen.iter().all(|index| *index < count));
        }
    }
}
