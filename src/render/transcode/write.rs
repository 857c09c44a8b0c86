//! Writes elements in little endian, with lengths put in when what they count is there.

use dicom_core::{Tag, VR};

use crate::app::imaging::transcode::{TRANSCODED_BYTES_MAX, TranscodeError};
use crate::sharing::imaging::structure::has_long_length;

const ITEM: Tag = Tag(0xFFFE, 0xE000);
const ITEM_END: Tag = Tag(0xFFFE, 0xE00D);
const SEQUENCE_END: Tag = Tag(0xFFFE, 0xE0DD);
const UNDEFINED: u32 = 0xFFFF_FFFF;

/// A data set being written.
#[derive(Debug)]
pub(super) struct Writer {
    out: Vec<u8>,
    open: Vec<Open>,
    explicit: bool,
    bytes_max: usize,
}

#[derive(Debug, Clone, Copy)]
struct Open {
    /// Where its length stands, if it has one.
    length_at: Option<usize>,
    /// Whether elements within have a value representation.
    explicit: bool,
    /// What closes it otherwise.
    end: Tag,
}

impl Writer {
    /// With or without value representations; `expected` bytes are made room for.
    pub(super) fn new(explicit: bool, expected: usize) -> Self {
        let out = Vec::with_capacity(expected.min(TRANSCODED_BYTES_MAX));
        Self { out, open: Vec::new(), explicit, bytes_max: TRANSCODED_BYTES_MAX }
    }

    /// Whether what comes next has a value representation.
    pub(super) fn is_explicit(&self) -> bool {
        self.open.last().map_or(self.explicit, |open| open.explicit)
    }

    /// An element.
    pub(super) fn value(&mut self, tag: Tag, vr: VR, value: &[u8]) -> Result<(), TranscodeError> {
        let length = u32::try_from(value.len()).map_err(|_| self.too_large())?;
        self.begin_value(tag, vr, length)?;
        self.raw(value)
    }

    /// The header of an element whose value of `length` bytes follows through [`Self::raw`].
    pub(super) fn begin_value(
        &mut self,
        tag: Tag,
        vr: VR,
        length: u32,
    ) -> Result<(), TranscodeError> {
        let (before, after) = if self.is_explicit() {
            match u16::try_from(length) {
                Ok(short) if !has_long_length(vr) => (vr.to_bytes(), short.to_le_bytes()),
                // PS3.5, 6.2.2, note 2: what is too long for its representation is UN.
                Ok(_) | Err(_) => {
                    let vr = if has_long_length(vr) { vr } else { VR::UN };
                    return self.raw(&long_header(tag, vr, length));
                }
            }
        } else {
            let [a, b, c, d] = length.to_le_bytes();
            ([a, b], [c, d])
        };
        let [g0, g1] = tag.0.to_le_bytes();
        let [e0, e1] = tag.1.to_le_bytes();
        let ([b0, b1], [a0, a1]) = (before, after);
        let short = [g0, g1, e0, e1, b0, b1, a0, a1];
        self.raw(&short)
    }

    /// A sequence, of length `defined` or not. Items of one that is UN are implicit.
    pub(super) fn sequence(
        &mut self,
        tag: Tag,
        vr: VR,
        defined: bool,
    ) -> Result<(), TranscodeError> {
        let explicit = self.is_explicit();
        if explicit {
            self.raw(&long_header(tag, vr, UNDEFINED))?;
        } else {
            self.plain(tag, UNDEFINED)?;
        }
        self.opened(defined, explicit && vr == VR::SQ, SEQUENCE_END);
        Ok(())
    }

    /// An item.
    pub(super) fn item(&mut self, defined: bool) -> Result<(), TranscodeError> {
        let explicit = self.is_explicit();
        self.plain(ITEM, UNDEFINED)?;
        self.opened(defined, explicit, ITEM_END);
        Ok(())
    }

    /// The end of the innermost item or sequence.
    pub(super) fn end(&mut self) -> Result<(), TranscodeError> {
        let Some(Open { length_at, end, .. }) = self.open.pop() else { return Ok(()) };
        let Some(at) = length_at else { return self.plain(end, 0) };
        let length = self.out.len().saturating_sub(at + 4);
        let length = u32::try_from(length).map_err(|_| self.too_large())?;
        if let Some(place) = self.out.get_mut(at..at + 4) {
            place.copy_from_slice(&length.to_le_bytes());
        }
        Ok(())
    }

    /// Bytes of a value.
    pub(super) fn raw(&mut self, bytes: &[u8]) -> Result<(), TranscodeError> {
        if self.out.len().saturating_add(bytes.len()) > self.bytes_max {
            return Err(self.too_large());
        }
        self.out.extend_from_slice(bytes);
        Ok(())
    }

    /// What was written.
    pub(super) fn finish(self) -> Vec<u8> {
        self.out
    }

    fn opened(&mut self, defined: bool, explicit: bool, end: Tag) {
        let length_at = defined.then(|| self.out.len().saturating_sub(4));
        self.open.push(Open { length_at, explicit, end });
    }

    fn plain(&mut self, tag: Tag, length: u32) -> Result<(), TranscodeError> {
        self.raw(&tag.0.to_le_bytes())?;
        self.raw(&tag.1.to_le_bytes())?;
        self.raw(&length.to_le_bytes())
    }

    fn too_large(&self) -> TranscodeError {
        TranscodeError::TooLarge { bytes_max: self.bytes_max }
    }
}

fn long_header(tag: Tag, vr: VR, length: u32) -> [u8; 12] {
    let [g0, g1] = tag.0.to_le_bytes();
    let [e0, e1] = tag.1.to_le_bytes();
    let [v0, v1] = vr.to_bytes();
    let [l0, l1, l2, l3] = length.to_le_bytes();
    [g0, g1, e0, e1, v0, v1, 0, 0, l0, l1, l2, l3]
}
