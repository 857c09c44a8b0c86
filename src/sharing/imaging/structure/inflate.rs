//! Inflating a deflated data set as it comes (PS3.5, A.5; RFC 1951), piece by piece, so that what a
//! small stream inflates to never stands in memory.

use flate2::{Decompress, FlushDecompress, Status};

use super::bytes;
use super::error::StructureError;
use super::walk::Walk;

/// Bytes inflated at a time.
const PIECE_BYTES: usize = 16 * 1024;

/// The inflater.
#[derive(Debug)]
pub(super) struct Inflater {
    stream: Decompress,
    piece: Vec<u8>,
    left: u64,
    limit: u64,
    ended: bool,
    /// Whether anything came after it.
    after: bool,
}

impl Inflater {
    pub(super) fn new(limit: u64) -> Self {
        Self {
            stream: Decompress::new(false),
            piece: vec![0; PIECE_BYTES],
            left: limit,
            limit,
            ended: false,
            after: false,
        }
    }

    /// Whether the stream has come to its end.
    pub(super) fn has_ended(&self) -> bool {
        self.ended
    }

    /// Inflates `input` and walks over what comes out.
    pub(super) fn feed(&mut self, mut input: &[u8], walk: &mut Walk) -> Result<(), StructureError> {
        while !self.ended {
            let (before_in, before_out) = (self.stream.total_in(), self.stream.total_out());
            let status = self.stream.decompress(input, &mut self.piece, FlushDecompress::None);
            let consumed = self.stream.total_in().saturating_sub(before_in);
            let produced = self.stream.total_out().saturating_sub(before_out);
            input = usize::try_from(consumed).ok().and_then(|n| input.get(n..)).unwrap_or_default();
            let produced = usize::try_from(produced).unwrap_or(usize::MAX);
            let out = self.piece.get(..produced).unwrap_or(&self.piece);
            let allowed = out.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
            let (out, beyond) = out.split_at(allowed);
            walk.feed(out)?;
            self.left -= bytes(out.len());
            if !beyond.is_empty() {
                return Err(StructureError::InflatedTooLong { limit: self.limit });
            }
            match status {
                Err(_) => return Err(StructureError::Inflate),
                Ok(Status::StreamEnd) => self.ended = true,
                // It took all there is and has nothing more to give.
                Ok(Status::Ok | Status::BufError)
                    if input.is_empty() && produced < self.piece.len() =>
                {
                    return Ok(());
                }
                Ok(Status::Ok | Status::BufError) if consumed == 0 && produced == 0 => {
                    return Err(StructureError::Inflate);
                }
                Ok(Status::Ok | Status::BufError) => {}
            }
        }
        self.feed_after(input, walk);
        Ok(())
    }

    /// Counts what comes after the end. A first zero is padding to even length and allowed.
    fn feed_after(&mut self, input: &[u8], walk: &mut Walk) {
        let mut counted = input;
        if !self.after
            && let Some((first, rest)) = input.split_first()
        {
            self.after = true;
            if *first == 0 {
                counted = rest;
            }
        }
        walk.facts_mut().warnings.after_deflated += bytes(counted.len());
    }
}
