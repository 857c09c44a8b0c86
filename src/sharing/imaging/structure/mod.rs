//! The streaming check of a data set's structure.
//!
//! It runs over the bytes as they arrive and before any library builds an object from them. It
//! checks what such libraries trust: that what is nested is not nested without end, that no length
//! reaches beyond what holds it, that what is opened is closed, that a small deflated stream does
//! not inflate without end. Along the way it keeps the few values that somebody wants, so that an
//! object can be identified and indexed without reading it a second time.
//!
//! What it holds in memory is bounded by [`Limits`] whatever the bytes say: values that nobody
//! wants are passed over, and nothing is allocated because a length says so.
//!
//! What real files do wrong without being ambiguous (tags out of order, odd lengths, delimiters too
//! many, zeros at the end) is let pass and counted in [`Warnings`]. Deliberately absent: what
//! values mean, and whether an object is complete in the sense of its IOD.

mod error;
mod facts;
mod header;
mod inflate;
mod parts;
mod syntax;
mod walk;
mod wanted;

#[cfg(test)]
mod corpus_tests;
#[cfg(test)]
mod fixtures;
#[cfg(test)]
mod hostile_tests;
#[cfg(test)]
mod property_tests;
#[cfg(test)]
mod tests;

pub use error::StructureError;
pub use facts::{Facts, PixelData, PixelForm, Warnings};
pub use parts::{Part, Parts};
pub use syntax::{Coding, Pixels, Syntax};
pub use wanted::{Want, Wanted};

pub(super) use header::{
    Decoded, Header, HeaderBytes, ITEM, ITEM_END, SEQUENCE_END, dictionary_vr,
};
pub use header::{has_long_length, number_bytes};
use inflate::Inflater;
use walk::Walk;

/// Levels of sequences at most.
pub const DEPTH_MAX: u32 = 64;
/// Bytes received at most: 4 GiB.
pub const BYTES_MAX: u64 = 4 << 30;
/// Bytes that a deflated data set may inflate to at most: 512 MiB.
pub const INFLATED_BYTES_MAX: u64 = 512 << 20;
/// Elements, items and fragments at most.
pub const ELEMENTS_MAX: u64 = 4_000_000;
/// Bytes of all kept values at most, with 128 for each element and item: 256 KiB.
pub const KEPT_BYTES_MAX: u32 = 256 << 10;
/// Bytes of one kept value at most: 64 KiB.
pub const VALUE_BYTES_MAX: u32 = 64 << 10;

/// What a data set may have at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Levels of sequences.
    pub depth_max: u32,
    /// Bytes received.
    pub bytes_max: u64,
    /// Bytes that a deflated data set inflates to.
    pub inflated_bytes_max: u64,
    /// Elements, items and fragments.
    pub elements_max: u64,
    /// Bytes of all kept values, with 128 for each element and item.
    pub kept_bytes_max: u32,
    /// Bytes of one kept value.
    pub value_bytes_max: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            depth_max: DEPTH_MAX,
            bytes_max: BYTES_MAX,
            inflated_bytes_max: INFLATED_BYTES_MAX,
            elements_max: ELEMENTS_MAX,
            kept_bytes_max: KEPT_BYTES_MAX,
            value_bytes_max: VALUE_BYTES_MAX,
        }
    }
}

/// Checks one data set, without preamble and file meta group, as its bytes come.
#[derive(Debug)]
pub struct Guard {
    walk: Walk,
    inflater: Option<Inflater>,
    /// Bytes that may still come.
    left: u64,
    limit: u64,
    failed: Option<StructureError>,
}

impl Guard {
    /// For a data set coded in `syntax` of which `wanted` is kept.
    pub fn new(syntax: Syntax, wanted: Wanted, limits: Limits) -> Self {
        Self {
            walk: Walk::new(syntax, wanted, limits),
            inflater: syntax.deflated.then(|| Inflater::new(limits.inflated_bytes_max)),
            left: limits.bytes_max,
            limit: limits.bytes_max,
            failed: None,
        }
    }

    /// Checks the next bytes, which may be cut anywhere.
    ///
    /// # Errors
    /// What is wrong. Once something was, the same error comes again whatever follows.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), StructureError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        self.take(bytes).inspect_err(|error| self.failed = Some(error.clone()))
    }

    fn take(&mut self, chunk: &[u8]) -> Result<(), StructureError> {
        let allowed = usize::try_from(self.left).unwrap_or(usize::MAX).min(chunk.len());
        let (chunk, beyond) = chunk.split_at(allowed);
        self.left -= bytes(chunk.len());
        self.walk.facts_mut().bytes += bytes(chunk.len());
        match &mut self.inflater {
            Some(inflater) => inflater.feed(chunk, &mut self.walk)?,
            None => self.walk.feed(chunk)?,
        }
        if beyond.is_empty() {
            Ok(())
        } else {
            Err(StructureError::TooManyBytes { limit: self.limit })
        }
    }

    /// What was found so far.
    pub fn facts(&self) -> &Facts {
        self.walk.facts()
    }

    /// Whether the data set may end here.
    ///
    /// # Errors
    /// What was wrong before, or [`StructureError::Truncated`].
    pub fn check_end(&self) -> Result<(), StructureError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        self.walk.check_end()?;
        match &self.inflater {
            Some(inflater) if !inflater.has_ended() => Err(StructureError::Truncated {
                tag: None,
                offset: self.walk.offset(),
                header_whole: self.walk.facts().header_whole,
            }),
            Some(_) | None => Ok(()),
        }
    }

    /// The data set ends here.
    ///
    /// # Errors
    /// Those of [`Self::check_end`].
    pub fn finish(mut self) -> Result<Facts, StructureError> {
        self.check_end()?;
        self.walk.end();
        Ok(self.walk.into_facts())
    }

    /// What was found in a data set that is refused: what can still be said about it. See
    /// [`Facts::header_whole`].
    pub fn abandon(self) -> Facts {
        self.walk.into_facts()
    }
}

/// A length in bytes as it is counted here.
fn bytes(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}
