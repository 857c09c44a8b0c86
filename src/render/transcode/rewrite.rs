//! Goes over the parts of a data set and writes each in the other coding.

use std::borrow::Cow;

use bytes::Bytes;
use dicom_core::{Tag, VR};

use super::pixels::{Native, OFFSETS};
use super::vr::{Context, is_sequence, is_sequence_by_itself};
use super::write::Writer;
use crate::app::imaging::transcode::TranscodeError;
use crate::render::error::RenderError;
use crate::render::num::size;
use crate::sharing::imaging::structure::{
    Coding, Facts, Limits, Part, Parts, Pixels, Syntax, Wanted, number_bytes,
};

const PIXEL_DATA: Tag = Tag(0x7FE0, 0x0010);

/// An element that is written in place of what the data set has, or where it has none.
#[derive(Debug)]
pub(super) struct Override {
    pub tag: Tag,
    pub vr: VR,
    pub value: Vec<u8>,
}

/// Checks the structure of `data`.
pub(super) fn check(data: &[u8], coding: Syntax) -> Result<Facts, TranscodeError> {
    Ok(Parts::of(data, coding, Wanted::List(&[]), Limits::default())?.0)
}

/// Writes `data`, inflated and coded in `coding`, as little endian with or without representations.
pub(super) fn rewrite(
    data: &Bytes,
    stored: &str,
    coding: Syntax,
    explicit: bool,
) -> Result<Vec<u8>, TranscodeError> {
    let (facts, parts) = Parts::of(data, coding, Wanted::List(&[]), Limits::default())?;
    let native = Native::of(data, stored, &facts)?;
    let expected = native.as_ref().map_or(0, Native::length) + data.len() + data.len() / 8;
    let overrides = native.as_ref().map_or_else(Vec::new, Native::overrides);
    let mut rewrite = Rewrite {
        writer: Writer::new(explicit, expected),
        contexts: vec![Context::default()],
        pixels: coding.pixels,
        overrides: overrides.into_iter().peekable(),
        native,
        levels: 0,
        looked_into: false,
    };
    for part in parts {
        rewrite.part(part?)?;
    }
    rewrite.insert_before(Tag(0xFFFF, 0xFFFF))?;
    let looked_into = rewrite.looked_into;
    let written = rewrite.writer.finish();
    if looked_into {
        check(&written, Syntax::IMPLICIT_LITTLE)?;
    }
    Ok(written)
}

struct Rewrite<'a> {
    writer: Writer,
    /// Of the data set and of each open item.
    contexts: Vec<Context>,
    pixels: Pixels,
    /// Sorted by tag.
    overrides: std::iter::Peekable<std::vec::IntoIter<Override>>,
    native: Option<Native<'a>>,
    /// Sequences and items that are open.
    levels: usize,
    /// Whether a value was written that whoever reads it takes for a sequence.
    looked_into: bool,
}

impl Rewrite<'_> {
    fn part(&mut self, part: Part<'_>) -> Result<(), TranscodeError> {
        match part {
            Part::Value { tag, vr, coding, value } => {
                // Group lengths are retired and would be wrong.
                if tag.1 == 0 || self.replaces(tag)? {
                    return Ok(());
                }
                self.value(tag, vr, coding, value)
            }
            Part::Sequence { tag, vr, defined } => {
                if self.replaces(tag)? {
                    return Err(RenderError::Malformed("a value stands as a sequence").into());
                }
                self.levels += 1;
                // Without a representation only the dictionary tells an open sequence from what it
                // may not be.
                let hidden = !self.writer.is_explicit() && !is_sequence_by_itself(tag);
                self.writer.sequence(tag, vr, defined || hidden)
            }
            Part::Item { defined } => {
                self.levels += 1;
                let around = self.contexts.last().copied().unwrap_or_default();
                self.contexts.push(around);
                self.writer.item(defined)
            }
            Part::SequenceEnd => {
                self.levels -= 1;
                self.writer.end()
            }
            Part::ItemEnd => {
                self.levels -= 1;
                self.contexts.pop();
                self.writer.end()
            }
            Part::Fragments { tag, vr } => self.fragments(tag, vr),
            Part::Fragment(_) | Part::FragmentsEnd => Ok(()),
        }
    }

    fn value(
        &mut self,
        tag: Tag,
        vr: VR,
        coding: Coding,
        value: &[u8],
    ) -> Result<(), TranscodeError> {
        let context = self.contexts.last().copied().unwrap_or_default();
        let implicit = coding == Coding::ImplicitLittle;
        let width = self.swapped(tag, vr, coding, context);
        let value = if width > 1 {
            let mut value = value.to_vec();
            value.chunks_exact_mut(width).for_each(<[u8]>::reverse);
            Cow::Owned(value)
        } else {
            Cow::Borrowed(value)
        };
        if let Some(here) = self.contexts.last_mut() {
            here.note(tag, value.first_chunk().map(|two| u16::from_le_bytes(*two)));
        }
        let vr = if implicit { context.vr(tag, vr, value.len()) } else { vr };
        if !self.writer.is_explicit() && !value.is_empty() && is_sequence(tag) {
            // What has no representation is coded without representations inside (PS3.5, 6.2.2). What has
            // another one is no sequence, and would be read as one.
            if vr != VR::UN {
                return Err(RenderError::Unsupported(
                    "a value where the dictionary has a sequence, in a transfer syntax that does not say so",
                )
                .into());
            }
            self.looked_into = true;
        }
        self.writer.value(tag, vr, &value)
    }

    /// Bytes of numbers that lie big-endian; 1 if none do.
    fn swapped(&self, tag: Tag, vr: VR, coding: Coding, context: Context) -> usize {
        let big = coding == Coding::ExplicitBig;
        if tag == PIXEL_DATA {
            let ge = self.pixels == Pixels::NativeBigEndian && self.levels == 0;
            let cell = size(u32::from(context.bits_allocated) / 8);
            return match (big || ge, cell) {
                (true, 2 | 4 | 8) => cell,
                (true, _) => number_bytes(vr),
                (false, _) => 1,
            };
        }
        if big { number_bytes(vr) } else { 1 }
    }

    fn fragments(&mut self, tag: Tag, vr: VR) -> Result<(), TranscodeError> {
        if self.levels > 0 {
            return Err(RenderError::Unsupported("a compressed image within a sequence").into());
        }
        self.insert_before(tag)?;
        match &self.native {
            Some(native) if tag == PIXEL_DATA => native.write(&mut self.writer),
            // No pixels between the delimiters.
            None if tag == PIXEL_DATA => self.writer.value(tag, vr, &[]),
            Some(_) | None => {
                Err(RenderError::Unsupported("fragments of something other than pixels").into())
            }
        }
    }

    /// Whether another element, or none, stands for `tag`; then that is written.
    fn replaces(&mut self, tag: Tag) -> Result<bool, TranscodeError> {
        if self.levels > 0 {
            return Ok(false);
        }
        self.insert_before(tag)?;
        if let Some(Override { vr, value, .. }) = self.overrides.next_if(|next| next.tag == tag) {
            self.writer.value(tag, vr, &value)?;
            return Ok(true);
        }
        Ok(self.native.is_some() && OFFSETS.contains(&tag))
    }

    /// Writes what belongs before `tag` and was not there.
    fn insert_before(&mut self, tag: Tag) -> Result<(), TranscodeError> {
        while let Some(Override { tag, vr, value }) = self.overrides.next_if(|next| next.tag < tag)
        {
            self.writer.value(tag, vr, &value)?;
        }
        Ok(())
    }
}
