//! The bytes before a value: tag, value representation, length (PS3.5, 7.1).

use dicom_core::dictionary::{DataDictionary as _, DataDictionaryEntry as _};
use dicom_core::{Tag, VR};
use dicom_dictionary_std::StandardDataDictionary;

use super::syntax::Coding;

/// Bytes of the shortest header.
pub(in crate::sharing::imaging) const SHORT_BYTES: usize = 8;
/// Bytes of the longest header: explicit VR with a length of 32 bits.
pub(in crate::sharing::imaging) const LONG_BYTES: usize = 12;

/// Group of items and delimiters.
pub(super) const ITEM_GROUP: u16 = 0xFFFE;
pub(in crate::sharing::imaging) const ITEM: Tag = Tag(ITEM_GROUP, 0xE000);
pub(in crate::sharing::imaging) const ITEM_END: Tag = Tag(ITEM_GROUP, 0xE00D);
pub(in crate::sharing::imaging) const SEQUENCE_END: Tag = Tag(ITEM_GROUP, 0xE0DD);

/// The length that means: until a delimiter.
const UNDEFINED: u32 = 0xFFFF_FFFF;

/// A header as it comes, byte by byte.
#[derive(Debug, Clone, Default)]
pub(in crate::sharing::imaging) struct HeaderBytes {
    bytes: [u8; LONG_BYTES],
    length: usize,
}

/// What a header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::sharing::imaging) struct Header {
    pub(in crate::sharing::imaging) tag: Tag,
    pub(in crate::sharing::imaging) vr: VR,
    /// None if undefined.
    pub(in crate::sharing::imaging) length: Option<u32>,
    /// Whether its value representation is not in the standard.
    pub(super) unknown_vr: bool,
}

/// What can be said about the bytes there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::sharing::imaging) enum Decoded {
    /// So many are needed in all.
    Needs(usize),
    /// It is complete.
    Header(Header),
    /// The value representation is illegal.
    IllegalVr(Tag),
}

impl HeaderBytes {
    /// Takes from `bytes` what is missing of `needed`; the rest is returned.
    pub(in crate::sharing::imaging) fn take<'a>(
        &mut self,
        needed: usize,
        bytes: &'a [u8],
    ) -> &'a [u8] {
        let free = self.bytes.get_mut(self.length..needed).unwrap_or_default();
        let (now, rest) = bytes.split_at(free.len().min(bytes.len()));
        for (to, from) in free.iter_mut().zip(now) {
            *to = *from;
        }
        self.length += now.len();
        rest
    }

    pub(in crate::sharing::imaging) fn clear(&mut self) {
        self.length = 0;
    }

    pub(super) fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }

    /// Whether it is the shortest header and all zeros, which only padding is.
    pub(super) fn is_padding(&self) -> bool {
        self.length == SHORT_BYTES && self.bytes().iter().all(|byte| *byte == 0)
    }

    /// Tag, once four bytes are there.
    pub(super) fn tag(&self, coding: Coding) -> Option<Tag> {
        let (group, element) = (self.array(0)?, self.array(2)?);
        Some(match coding {
            Coding::ImplicitLittle | Coding::ExplicitLittle => {
                Tag(u16::from_le_bytes(group), u16::from_le_bytes(element))
            }
            Coding::ExplicitBig => Tag(u16::from_be_bytes(group), u16::from_be_bytes(element)),
        })
    }

    fn array<const N: usize>(&self, at: usize) -> Option<[u8; N]> {
        self.bytes().get(at..)?.first_chunk().copied()
    }

    /// Reads the header. Where only items and delimiters may stand it is read as theirs, which have
    /// no value representation (PS3.5, 7.5).
    pub(in crate::sharing::imaging) fn decode(&self, coding: Coding, only_items: bool) -> Decoded {
        let (Some(tag), Some(vr_bytes), Some(short_bytes), Some(length_bytes)) =
            (self.tag(coding), self.array(4), self.array(6), self.array(4))
        else {
            return Decoded::Needs(SHORT_BYTES);
        };
        let big = coding == Coding::ExplicitBig;
        let long = |bytes| if big { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) };
        let short = |bytes| if big { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) };
        let plain = |vr| {
            let length = Some(long(length_bytes)).filter(|length| *length != UNDEFINED);
            Decoded::Header(Header { tag, vr, length, unknown_vr: false })
        };
        if only_items || tag.0 == ITEM_GROUP {
            return plain(VR::UN);
        }
        if coding == Coding::ImplicitLittle {
            return plain(dictionary_vr(tag));
        }
        let known = known_vr(vr_bytes);
        let unknown_vr = known.is_none();
        let vr = known.unwrap_or(VR::UN);
        let is_long = match known {
            Some(vr) => has_long_length(vr),
            // A representation newer than this reads like OB, with two reserved bytes of zero
            // (PS3.5, 6.2, note 4). What has no zeros there was invented, and is taken as short,
            // as is the `??` of a toolkit that did not know better.
            None if vr_bytes.iter().all(u8::is_ascii_uppercase) => short_bytes == [0, 0],
            None if vr_bytes == *b"??" => false,
            None => return Decoded::IllegalVr(tag),
        };
        if !is_long {
            let length = Some(u32::from(short(short_bytes)));
            return Decoded::Header(Header { tag, vr, length, unknown_vr });
        }
        let Some(length_bytes) = self.array(8) else { return Decoded::Needs(LONG_BYTES) };
        let length = Some(long(length_bytes)).filter(|length| *length != UNDEFINED);
        Decoded::Header(Header { tag, vr, length, unknown_vr })
    }
}

/// The value representation that two letters name (PS3.5, table 6.2-1). The library has the same
/// through comparisons of text, which took half of a walk.
fn known_vr(letters: [u8; 2]) -> Option<VR> {
    Some(match &letters {
        b"AE" => VR::AE,
        b"AS" => VR::AS,
        b"AT" => VR::AT,
        b"CS" => VR::CS,
        b"DA" => VR::DA,
        b"DS" => VR::DS,
        b"DT" => VR::DT,
        b"FL" => VR::FL,
        b"FD" => VR::FD,
        b"IS" => VR::IS,
        b"LO" => VR::LO,
        b"LT" => VR::LT,
        b"OB" => VR::OB,
        b"OD" => VR::OD,
        b"OF" => VR::OF,
        b"OL" => VR::OL,
        b"OV" => VR::OV,
        b"OW" => VR::OW,
        b"PN" => VR::PN,
        b"SH" => VR::SH,
        b"SL" => VR::SL,
        b"SQ" => VR::SQ,
        b"SS" => VR::SS,
        b"ST" => VR::ST,
        b"SV" => VR::SV,
        b"TM" => VR::TM,
        b"UC" => VR::UC,
        b"UI" => VR::UI,
        b"UL" => VR::UL,
        b"UN" => VR::UN,
        b"UR" => VR::UR,
        b"US" => VR::US,
        b"UT" => VR::UT,
        b"UV" => VR::UV,
        _ => return None,
    })
}

/// Whether the length of an explicit `vr` has 32 bits (PS3.5, table 7.1-1).
pub fn has_long_length(vr: VR) -> bool {
    matches!(
        vr,
        VR::OB
            | VR::OD
            | VR::OF
            | VR::OL
            | VR::OV
            | VR::OW
            | VR::SQ
            | VR::SV
            | VR::UC
            | VR::UN
            | VR::UR
            | VR::UT
            | VR::UV
    )
}

/// The value representation of `tag` where none is written (PS3.5, 6.2.2 and 7.8).
pub(in crate::sharing::imaging) fn dictionary_vr(tag: Tag) -> VR {
    let Tag(group, element) = tag;
    if element == 0 {
        return VR::UL;
    }
    if group % 2 == 1 {
        return if (0x0010..=0x00FF).contains(&element) { VR::LO } else { VR::UN };
    }
    StandardDataDictionary.by_tag(tag).map_or(VR::UN, |entry| entry.vr().relaxed())
}

/// Bytes of one number of `vr`, where its bytes stand in the order of the data set (PS3.5, 7.3).
pub fn number_bytes(vr: VR) -> usize {
    match vr {
        VR::AT | VR::OW | VR::SS | VR::US => 2,
        VR::FL | VR::OF | VR::OL | VR::SL | VR::UL => 4,
        VR::FD | VR::OD | VR::OV | VR::SV | VR::UV => 8,
        VR::AE
        | VR::AS
        | VR::CS
        | VR::DA
        | VR::DS
        | VR::DT
        | VR::IS
        | VR::LO
        | VR::LT
        | VR::OB
        | VR::PN
        | VR::SH
        | VR::SQ
        | VR::ST
        | VR::TM
        | VR::UC
        | VR::UI
        | VR::UN
        | VR::UR
        | VR::UT => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn representations_are_those_the_library_knows() {
        for letters in (0..=u16::MAX).map(u16::to_be_bytes) {
            assert_eq!(known_vr(letters), VR::from_binary(letters), "{letters:?}");
        }
    }
}
