//! Walks a data set without building an object of it: values stay where they lie.
//!
//! Nothing is allocated by a received length; nesting costs no stack and ends at a limit. So this
//! walk is its own guard: no library builds an object from these bytes.

use super::error::{RenderError, Result};
use super::num::size;
use super::syntax::{Encoding, IMPLICIT};

/// Levels of sequences at most.
const DEPTH_MAX: usize = 64;
/// Elements of one data set or item at most.
const ELEMENTS_MAX: usize = 20_000;

const ITEM: u32 = 0xFFFE_E000;
const ITEM_END: u32 = 0xFFFE_E00D;
const SEQUENCE_END: u32 = 0xFFFE_E0DD;
const UNDEFINED: u32 = 0xFFFF_FFFF;

/// Pixel Data (7FE0,0010).
pub(super) const PIXEL_DATA: u32 = 0x7FE0_0010;

/// One element.
#[derive(Debug, Clone, Copy)]
pub(super) struct Element<'a> {
    /// Group and element.
    pub tag: u32,
    /// Value representation as written; spaces if none is.
    pub vr: [u8; 2],
    /// Its value. Of a sequence: its items. Of encapsulated pixels: their items.
    pub value: &'a [u8],
    /// Whether the length was left open; of pixel data: whether it is encapsulated.
    pub open: bool,
    /// How items inside are written.
    encoding: Encoding,
}

impl Element<'_> {
    /// Whether its numbers begin with the high byte.
    pub(super) fn big_endian(&self) -> bool {
        self.encoding.big_endian
    }
}

/// The elements of a data set or an item, sorted by tag.
#[derive(Debug, Clone, Default)]
pub(super) struct Elements<'a> {
    sorted: Vec<Element<'a>>,
}

struct Head {
    tag: u32,
    vr: [u8; 2],
    length: u32,
    bytes: usize,
}

impl<'a> Elements<'a> {
    /// Walks `data` to its end. What is cut off counts as far as it goes.
    pub(super) fn read(data: &'a [u8], encoding: Encoding) -> Result<Self> {
        let mut sorted: Vec<Element<'a>> = Vec::new();
        let mut at = 0;
        while let Some(head) = head(tail(data, at), encoding) {
            if head.tag == ITEM_END || head.tag == SEQUENCE_END {
                break;
            }
            if sorted.len() == ELEMENTS_MAX {
                return Err(RenderError::Malformed("too many elements"));
            }
            let begin = at + head.bytes;
            let inner = inner(head.vr, encoding, head.length);
            let (end, next) = if head.length == UNDEFINED {
                match open_end(tail(data, begin), inner)? {
                    Some(length) => (begin + length, begin + length + 8),
                    None => (data.len(), data.len()),
                }
            } else {
                let end = begin.saturating_add(size(head.length)).min(data.len());
                (end, end)
            };
            sorted.push(Element {
                tag: head.tag,
                vr: head.vr,
                value: data.get(begin..end).unwrap_or_default(),
                open: head.length == UNDEFINED,
                encoding: inner,
            });
            at = next;
        }
        sorted.sort_by_key(|element| element.tag);
        Ok(Self { sorted })
    }

    /// The element with `tag`.
    pub(super) fn get(&self, tag: u32) -> Option<&Element<'a>> {
        let at = self.sorted.binary_search_by_key(&tag, |element| element.tag).ok()?;
        self.sorted.get(at)
    }

    /// The bytes of the element with `tag`; none if it is empty.
    pub(super) fn bytes(&self, tag: u32) -> Option<&'a [u8]> {
        self.get(tag).map(|element| element.value).filter(|value| !value.is_empty())
    }

    /// The first 16-bit number of the element with `tag`.
    pub(super) fn short(&self, tag: u32) -> Option<u16> {
        self.shorts(tag).first().copied()
    }

    /// 16-bit numbers of the element with `tag`.
    pub(super) fn shorts(&self, tag: u32) -> Vec<u16> {
        let Some(element) = self.get(tag) else { return Vec::new() };
        shorts(element.value, element.encoding.big_endian).collect()
    }

    /// The first `max` bytes of text of the element with `tag`, without padding.
    pub(super) fn text(&self, tag: u32) -> Option<&'a str> {
        const TEXT_BYTES_MAX: usize = 4096;
        let value = self.bytes(tag)?;
        let value = value.get(..TEXT_BYTES_MAX).unwrap_or(value);
        std::str::from_utf8(value).ok().map(|text| text.trim_matches(['\0', ' ']))
    }

    /// Decimal strings of the element with `tag`.
    pub(super) fn decimals(&self, tag: u32) -> Vec<f64> {
        let text = self.text(tag).unwrap_or_default();
        text.split('\\')
            .map_while(|word| word.trim().parse().ok())
            .filter(|number: &f64| number.is_finite())
            .collect()
    }

    /// Item `number` (from 0) of the sequence with `tag`.
    pub(super) fn item(&self, tag: u32, number: usize) -> Result<Option<Self>> {
        let Some(element) = self.get(tag) else { return Ok(None) };
        // A sequence that went through a node that did not know it (PS3.5, 6.2.2, note 2).
        let unknown = element.vr == *b"UN";
        let (data, encoding) = (element.value, if unknown { IMPLICIT } else { element.encoding });
        let mut at = 0;
        let mut seen = 0;
        while let Some(head) = head(tail(data, at), encoding) {
            if head.tag != ITEM {
                break;
            }
            let begin = at + head.bytes;
            if seen == number && head.length == UNDEFINED {
                return Self::read(tail(data, begin), encoding).map(Some);
            }
            if seen == number {
                let end = begin.saturating_add(size(head.length)).min(data.len());
                return Self::read(data.get(begin..end).unwrap_or_default(), encoding).map(Some);
            }
            seen += 1;
            at = if head.length == UNDEFINED {
                match item_end(tail(data, begin), encoding)? {
                    Some(length) => begin + length,
                    None => return Ok(None),
                }
            } else {
                begin.saturating_add(size(head.length))
            };
        }
        Ok(None)
    }
}

/// `data` from `at` on.
pub(super) fn tail(data: &[u8], at: usize) -> &[u8] {
    data.get(at..).unwrap_or_default()
}

/// 16-bit numbers.
pub(super) fn shorts(data: &[u8], big_endian: bool) -> impl Iterator<Item = u16> + '_ {
    let (pairs, _) = data.as_chunks::<2>();
    pairs.iter().map(
        move |pair| {
            if big_endian { u16::from_be_bytes(*pair) } else { u16::from_le_bytes(*pair) }
        },
    )
}

/// A 32-bit little-endian number at `at`.
pub(super) fn long(data: &[u8], at: usize) -> Option<u32> {
    data.get(at..)?.first_chunk().map(|four| u32::from_le_bytes(*four))
}

/// How the inside of an element is written: an unknown value of open length holds implicit
/// elements (PS3.5, 6.2.2, note 4).
fn inner(vr: [u8; 2], encoding: Encoding, length: u32) -> Encoding {
    if vr == *b"UN" && length == UNDEFINED { IMPLICIT } else { encoding }
}

/// The header at the beginning of `data`.
fn head(data: &[u8], encoding: Encoding) -> Option<Head> {
    let number16 = |at: usize| {
        let two = data.get(at..)?.first_chunk::<2>()?;
        Some(if encoding.big_endian { u16::from_be_bytes(*two) } else { u16::from_le_bytes(*two) })
    };
    let number32 = |at: usize| {
        let four = data.get(at..)?.first_chunk::<4>()?;
        Some(if encoding.big_endian {
            u32::from_be_bytes(*four)
        } else {
            u32::from_le_bytes(*four)
        })
    };
    let tag = (u32::from(number16(0)?) << 16) | u32::from(number16(2)?);
    let vr = *data.get(4..)?.first_chunk::<2>()?;
    let written = encoding.explicit && tag >> 16 != 0xFFFE && vr.iter().all(u8::is_ascii_uppercase);
    if !written {
        return Some(Head { tag, vr: *b"  ", length: number32(4)?, bytes: 8 });
    }
    let long = matches!(
        &vr,
        b"OB"
            | b"OD"
            | b"OF"
            | b"OL"
            | b"OV"
            | b"OW"
            | b"SQ"
            | b"SV"
            | b"UC"
            | b"UN"
            | b"UR"
            | b"UT"
            | b"UV"
    );
    if long {
        return Some(Head { tag, vr, length: number32(8)?, bytes: 12 });
    }
    Some(Head { tag, vr, length: u32::from(number16(6)?), bytes: 8 })
}

/// Bytes before the delimiter of the sequence (or of encapsulated pixels) that `data` begins in.
fn open_end(data: &[u8], encoding: Encoding) -> Result<Option<usize>> {
    walk(data, encoding, Level::Sequence).map(|end| end.map(|(before, _)| before))
}

/// Bytes up to and with the delimiter of the item that `data` begins in.
fn item_end(data: &[u8], encoding: Encoding) -> Result<Option<usize>> {
    walk(data, encoding, Level::Item).map(|end| end.map(|(_, after)| after))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Level {
    Sequence,
    Item,
}

/// Where the level that `data` begins in ends: before and after its delimiter. What has a length
/// is passed over, so only open levels are entered.
fn walk(data: &[u8], encoding: Encoding, begin: Level) -> Result<Option<(usize, usize)>> {
    let mut levels = vec![(begin, encoding)];
    let mut at = 0;
    while let Some((level, encoding)) = levels.last().copied() {
        let Some(head) = head(tail(data, at), encoding) else { return Ok(None) };
        let before = at;
        at += head.bytes;
        let delimiter = if level == Level::Item { ITEM_END } else { SEQUENCE_END };
        if head.tag == delimiter {
            levels.pop();
            if levels.is_empty() {
                return Ok(Some((before, at)));
            }
        } else if level == Level::Sequence && head.tag != ITEM {
            return Err(RenderError::Malformed("sequence holds something that is no item"));
        } else if head.length == UNDEFINED {
            if levels.len() >= 2 * DEPTH_MAX {
                return Err(RenderError::Malformed("sequences are nested too deep"));
            }
            levels.push(match level {
                Level::Sequence => (Level::Item, encoding),
                Level::Item => (Level::Sequence, inner(head.vr, encoding, head.length)),
            });
        } else {
            at = at.saturating_add(size(head.length));
            if at > data.len() {
                return Ok(None);
            }
        }
    }
    Ok(None)
}
