//! The value representation to write where none was written (PS3.5, 6.2.2, 7.8 and annex A).

use dicom_core::dictionary::{DataDictionary as _, DataDictionaryEntry, VirtualVr};
use dicom_core::{Tag, VR};
use dicom_dictionary_std::StandardDataDictionary;

const BITS_ALLOCATED: Tag = Tag(0x0028, 0x0100);
const PIXEL_REPRESENTATION: Tag = Tag(0x0028, 0x0103);
const WAVEFORM_BITS_ALLOCATED: Tag = Tag(0x5400, 0x1004);
const WAVEFORM_GROUP: u16 = 0x5400;

/// What was said so far, in an item or around it, that representations depend on.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Context {
    /// Pixel representation 1.
    pub signed: bool,
    /// Bits of a pixel's cell; 0 if not said yet.
    pub bits_allocated: u16,
    waveform_bits: u16,
}

impl Context {
    /// Takes note of an element; `number` is its first 16-bit number.
    pub(super) fn note(&mut self, tag: Tag, number: Option<u16>) {
        let Some(number) = number else { return };
        match tag {
            BITS_ALLOCATED => self.bits_allocated = number,
            PIXEL_REPRESENTATION => self.signed = number == 1,
            WAVEFORM_BITS_ALLOCATED => self.waveform_bits = number,
            _ => {}
        }
    }

    /// The representation of `tag` with a value of `length` bytes.
    pub(super) fn vr(self, tag: Tag, found: VR, length: usize) -> VR {
        // Group lengths, private elements and their creators are no matter of the dictionary.
        if tag.1 == 0 || tag.0 % 2 == 1 {
            return found;
        }
        let virtual_vr = StandardDataDictionary.by_tag(tag).map(DataDictionaryEntry::vr);
        match virtual_vr {
            Some(VirtualVr::Xs) => {
                if self.signed {
                    VR::SS
                } else {
                    VR::US
                }
            }
            // A table of one number is a number.
            Some(VirtualVr::Lt) => {
                if length == 2 {
                    VR::US
                } else {
                    VR::OW
                }
            }
            Some(VirtualVr::Px) => bytes_or_words(self.bits_allocated),
            Some(VirtualVr::Ox) if tag.0 == WAVEFORM_GROUP => bytes_or_words(self.waveform_bits),
            Some(VirtualVr::Ox) => VR::OW,
            Some(VirtualVr::Exact(vr)) => vr,
            Some(_) | None => found,
        }
    }
}

/// PS3.5, A.2: cells of more than 8 bits are words.
fn bytes_or_words(bits: u16) -> VR {
    if (1..=8).contains(&bits) { VR::OB } else { VR::OW }
}

/// Whether the dictionary has `tag` as a sequence.
pub(super) fn is_sequence(tag: Tag) -> bool {
    let entry = StandardDataDictionary.by_tag(tag);
    tag.0.is_multiple_of(2) && entry.is_some_and(|entry| entry.vr().relaxed() == VR::SQ)
}

/// Whether items of a sequence without a representation are found in `tag`.
pub(super) fn is_sequence_by_itself(tag: Tag) -> bool {
    if tag.0 % 2 == 1 {
        return true;
    }
    StandardDataDictionary
        .by_tag(tag)
        .is_none_or(|entry| matches!(entry.vr().relaxed(), VR::SQ | VR::UN))
}
