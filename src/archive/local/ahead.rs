//! Reading ahead in the remote store: objects are read in small pieces, and each request there costs
//! a round trip. What is read is kept in memory for a while, whole blocks of it, the latest few.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use bytes::{Bytes, BytesMut};

use super::disk;
use super::tier::Tier;
use crate::archive::remote::{Blobs, RemoteError};

/// Bytes of a block.
const BLOCK_BYTES: u64 = 1 << 20;
/// Blocks kept.
const BLOCKS_MAX: usize = 32;

/// Segment, generation of its copy, and number of the block.
type Which = (u64, u64, u64);

/// Blocks that were read lately, the latest first.
#[derive(Debug, Default)]
pub(super) struct Ahead(Mutex<VecDeque<(Which, Bytes)>>);

impl Ahead {
    fn get(&self, which: Which) -> Option<Bytes> {
        let mut blocks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = blocks.iter().position(|(there, _)| *there == which)?;
        let found = blocks.remove(at)?;
        let bytes = found.1.clone();
        blocks.push_front(found);
        Some(bytes)
    }

    fn keep(&self, which: Which, bytes: Bytes) {
        let mut blocks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if blocks.iter().all(|(there, _)| *there != which) {
            blocks.push_front((which, bytes));
            blocks.truncate(BLOCKS_MAX);
        }
    }

    /// Bytes `range` of the copy that `tier` tells of.
    pub(super) async fn read(
        &self,
        blobs: &dyn Blobs,
        (name, tier): (&str, &Tier),
        range: Range<u64>,
    ) -> Result<Bytes, RemoteError> {
        if range.end > tier.length {
            return Err(RemoteError::Changed { name: name.to_owned() });
        }
        if range.end.saturating_sub(range.start) >= BLOCK_BYTES {
            return super::tend::fetch(blobs, name, range).await;
        }
        let mut out = BytesMut::new();
        let mut at = range.start;
        while at < range.end {
            let number = at / BLOCK_BYTES;
            let begin = number.saturating_mul(BLOCK_BYTES);
            let end = begin.saturating_add(BLOCK_BYTES).min(tier.length);
            let which = (tier.number, tier.generation, number);
            let block = if let Some(block) = self.get(which) {
                block
            } else {
                let block = blobs.range(name, begin..end).await?;
                self.keep(which, block.clone());
                block
            };
            let to = range.end.min(end);
            let part = disk::size(at.saturating_sub(begin))..disk::size(to.saturating_sub(begin));
            let changed = || RemoteError::Changed { name: name.to_owned() };
            out.extend_from_slice(block.get(part).ok_or_else(changed)?);
            at = to;
        }
        Ok(out.freeze())
    }
}
