//! Buffers that are used again. Memory that is new from the system costs a page fault for every four
//! kilobytes, which for half a megabyte is as much time as reading it.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

/// Fewer bytes are not worth it,
const LEAST: usize = 64 * 1024;
/// and more not worth keeping.
const MOST: usize = 1024 * 1024;
/// Buffers kept while nobody uses them.
const KEPT_MAX: usize = 8;

/// The buffers that nobody uses.
#[derive(Debug, Default)]
pub(super) struct Buffers(Mutex<Vec<Vec<u8>>>);

/// A buffer that somebody uses.
struct Lent {
    buffer: Vec<u8>,
    length: usize,
    home: Arc<Buffers>,
}

impl Buffers {
    /// `length` bytes as `fill` leaves them; none if it does.
    pub(super) fn filled(
        self: &Arc<Self>,
        length: usize,
        fill: impl FnOnce(&mut [u8]) -> Option<()>,
    ) -> Option<Bytes> {
        if !(LEAST..=MOST).contains(&length) {
            let mut buffer = vec![0; length];
            fill(&mut buffer)?;
            return Some(buffer.into());
        }
        let mut lent = Lent { buffer: self.take(length), length, home: Arc::clone(self) };
        fill(lent.buffer.get_mut(..length)?)?;
        Some(Bytes::from_owner(lent))
    }

    /// A buffer of at least `length` bytes.
    fn take(&self, length: usize) -> Vec<u8> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = kept.iter().position(|buffer| buffer.len() >= length);
        let found = fits.map(|at| kept.swap_remove(at));
        drop(kept);
        found.unwrap_or_else(|| vec![0; length.next_power_of_two()])
    }
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        self.buffer.get(..self.length).unwrap_or_default()
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let mut kept = self.home.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < KEPT_MAX {
            kept.push(std::mem::take(&mut self.buffer));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(buffers: &Buffers) -> usize {
        buffers.0.lock().unwrap().len()
    }

    #[test]
    fn a_buffer_comes_back_and_nobody_sees_what_another_left_in_it() {
        let buffers = Arc::<Buffers>::default();
        let first = buffers.filled(100_000, |to| {
            to.fill(7);
            Some(())
        });
        let first = first.unwrap();
        assert_eq!((first.len(), kept(&buffers)), (100_000, 0));
        let part = first.slice(10..20);
        drop(first);
        assert_eq!((&part[..], kept(&buffers)), (&[7; 10][..], 0), "a part of it is in use");
        drop(part);
        assert_eq!(kept(&buffers), 1);
        // A shorter one takes it, and shows no more than was filled.
        let second = buffers.filled(70_000, |to| {
            to.fill(9);
            Some(())
        });
        let second = second.unwrap();
        assert_eq!((second.len(), kept(&buffers)), (70_000, 0));
        assert!(second.iter().all(|byte| *byte == 9));
        assert!(buffers.filled(70_000, |_| None).is_none());
        assert_eq!(kept(&buffers), 1, "what could not be filled comes back too");
    }

    #[test]
    fn short_and_long_ones_are_not_kept_and_no_more_than_a_few() {
        let buffers = Arc::<Buffers>::default();
        for length in [0, 1, LEAST - 1, MOST + 1] {
            assert_eq!(buffers.filled(length, |_| Some(())).unwrap().len(), length);
        }
        assert_eq!(kept(&buffers), 0);
        let many: Vec<_> = (0..20).map(|_| buffers.filled(LEAST, |_| Some(()))).collect();
        drop(many);
        assert_eq!(kept(&buffers), KEPT_MAX);
    }
}
