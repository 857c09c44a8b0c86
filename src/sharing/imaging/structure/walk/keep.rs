//! What the walk keeps of the elements that are wanted, and what that may cost.

use dicom_core::{Tag, VR};

use super::{Frame, Kept, Kind, Walk};
use crate::sharing::imaging::element::{Element, Value};
use crate::sharing::imaging::structure::error::StructureError;
use crate::sharing::imaging::structure::header::{dictionary_vr, number_bytes};
use crate::sharing::imaging::structure::syntax::Coding;
use crate::sharing::imaging::structure::wanted::Wanted;

/// What a kept element or item costs beside its value, in bytes: a bound for what it takes in
/// memory, so that a million empty items are not free.
const KEPT_BYTES: u32 = 128;

impl Walk {
    /// Whether a wanted element with a value of `length` bytes can be kept; then its cost is
    /// counted. An error where all must be.
    pub(super) fn charge(
        &mut self,
        tag: Tag,
        offset: u64,
        length: u32,
        wanted: Wanted,
    ) -> Result<bool, StructureError> {
        let limit = self.limits.value_bytes_max;
        let too_long = length > limit;
        if too_long && wanted == Wanted::All {
            return Err(StructureError::ValueTooLong { tag, offset, length, limit });
        }
        let limit = self.limits.kept_bytes_max;
        let sum = self.kept_bytes.saturating_add(length).saturating_add(KEPT_BYTES);
        let too_much = sum > limit;
        if too_much && wanted == Wanted::All {
            return Err(StructureError::TooMuchToRead { tag, offset, limit });
        }
        if too_long || too_much {
            self.facts.warnings.left_out += 1;
            return Ok(false);
        }
        self.kept_bytes = sum;
        Ok(true)
    }

    pub(super) fn keep_value(&mut self, tag: Tag, vr: VR, mut value: Vec<u8>) {
        let width = number_bytes(vr);
        if self.coding() == Coding::ExplicitBig && width > 1 {
            value.chunks_exact_mut(width).for_each(<[u8]>::reverse);
        }
        // A sender that did not know a public element wrote it as UN, with the bytes it has in
        // implicit VR little endian (PS3.5, 6.2.2, note 1).
        let known = if vr == VR::UN { dictionary_vr(tag) } else { vr };
        let vr = if known == VR::SQ { vr } else { known };
        value.shrink_to_fit();
        self.keep(Element { tag, vr, value: Value::Bytes(value) });
    }

    fn keep(&mut self, element: Element) {
        match self.stack.last_mut() {
            Some(Frame { kind: Kind::DataSet, .. }) => self.facts.captured.insert(element),
            Some(Frame { kept: Kept::Elements(set), .. }) => set.insert(element),
            Some(_) | None => {}
        }
    }

    /// Closes what is on top of the stack and hands what was kept of it to what holds it.
    pub(super) fn pop(&mut self) {
        let Some(frame) = self.stack.pop() else { return };
        if frame.kind == Kind::Sequence {
            self.depth -= 1;
        }
        match frame.kept {
            Kept::Nothing => {}
            Kept::Items(items) => {
                self.keep(Element { tag: frame.tag, vr: VR::SQ, value: Value::Items(items) });
            }
            Kept::Elements(set) => {
                if let Some(Frame { kept: Kept::Items(items), .. }) = self.stack.last_mut() {
                    items.push(set);
                }
            }
        }
    }

    /// Bytes held now, of which [`super::super::Limits::kept_bytes_max`] is to be the bound.
    #[cfg(test)]
    pub(in crate::sharing::imaging::structure) fn held_bytes(&self) -> usize {
        fn of(set: &crate::sharing::imaging::element::ElementSet) -> usize {
            let of_value = |value: &Value| match value {
                Value::Bytes(bytes) => bytes.capacity(),
                Value::Items(items) => {
                    items.capacity() * size_of::<Vec<Element>>()
                        + items.iter().map(of).sum::<usize>()
                }
            };
            // The capacity of a set cannot be asked; a growing vector has at least four places and
            // at most twice what it needs.
            let places = if set.is_empty() { 0 } else { (set.len() * 2).max(4) };
            places * size_of::<Element>() + set.iter().map(|e| of_value(&e.value)).sum::<usize>()
        }
        let value = match &self.state {
            super::State::Value { kept: Some(kept), .. } => kept.len(),
            super::State::Value { .. } | super::State::Header | super::State::Padding => 0,
        };
        let open = self.stack.iter().map(|frame| match &frame.kept {
            Kept::Nothing => 0,
            Kept::Elements(set) => of(set),
            Kept::Items(items) => items.iter().map(|set| of(set) + 48).sum(),
        });
        value + of(&self.facts.captured) + open.sum::<usize>()
    }

    /// Places on the stack.
    #[cfg(test)]
    pub(in crate::sharing::imaging::structure) fn open_frames(&self) -> usize {
        self.stack.len()
    }
}
