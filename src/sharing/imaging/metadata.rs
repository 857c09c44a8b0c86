//! Metadata of a stored object as DICOM JSON (PS3.18, F), and as XML from that ([`native_xml`]):
//! walked where it lies, up to the pixels, and written without building an object in between.
//!
//! [`Walk`] does no I/O: it says which bytes it needs next and passes over what is long, so that an
//! object of a gigabyte costs a few kilobytes. What is long or pixels is not in the answer but has
//! an address ([`Bulk`]). Text comes out as Unicode whatever the object's character set
//! ([`json`]).
//!
//! The structure of what is stored was checked when it came; nothing here relies on it. Elements
//! behind encapsulated pixel data are left out, because finding them means reading the pixels.

mod json;
mod text;
mod xml;

#[cfg(test)]
mod tests;

use std::fmt::Write as _;
use std::ops::Range;

use bytes::Bytes;
use dicom_core::{Tag, VR};

use super::structure::{
    Coding, DEPTH_MAX, Decoded, Header, HeaderBytes, ITEM, ITEM_END, SEQUENCE_END, Syntax,
    dictionary_vr, number_bytes,
};
use super::value::is_text;

pub use self::json::write_json;
pub use self::xml::{NAMESPACE, native_xml};

/// Bytes of a value without text or numbers that stand in the answer themselves, at most.
pub const INLINE_BYTES_MAX: u32 = 1024;
/// Bytes of text or numbers that stand in the answer, at most.
pub const VALUE_BYTES_MAX: u32 = 64 * 1024;
/// Bytes of values that are held of one object at most.
pub const HELD_BYTES_MAX: usize = 32 << 20;
/// Elements, items and sequences of one object at most.
pub const PARTS_MAX: usize = 1_000_000;
/// Bytes of the longest header of an element.
const HEADER_BYTES: u64 = 12;
/// Bytes of the header of an item and the shortest of an element.
const SHORT_BYTES: u64 = 8;
const PIXEL_DATA: Tag = Tag(0x7FE0, 0x0010);
const PIXEL_TAGS: [Tag; 3] = [Tag(0x7FE0, 0x0008), Tag(0x7FE0, 0x0009), PIXEL_DATA];

/// Why an object has no metadata.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MetadataError {
    /// Its bytes are no data set.
    #[error("data set is malformed at byte {offset}")]
    Malformed {
        /// Where.
        offset: u64,
    },
    /// It is nested too deep.
    #[error("sequences are nested deeper than {DEPTH_MAX} levels")]
    TooDeep,
    /// It has too many elements or too long values.
    #[error("over {PARTS_MAX} elements, or {HELD_BYTES_MAX} bytes of values")]
    TooMuch,
}

/// What is to be done next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Bytes from `from` on are to be given, at least `least` unless the object ends before.
    Read {
        /// Byte of the data set.
        from: u64,
        /// How many at least.
        least: u64,
    },
    /// Everything is there.
    Done,
}

/// A value that is not in the answer itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bulk {
    /// Tag.
    pub tag: Tag,
    /// Value representation.
    pub vr: VR,
    /// Where its bytes lie in the data set; for encapsulated pixels, where the fragments begin.
    pub range: Range<u64>,
    /// Whether it is pixel data in fragments, of which the end is not known.
    pub encapsulated: bool,
    /// Bytes of one of its numbers if these are big-endian, else 1.
    pub swap: usize,
}

/// A part of a data set, in the order it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Value { tag: Tag, vr: VR, coding: Coding, bytes: Bytes },
    Bulk(Bulk),
    Sequence(Tag),
    Item,
    ItemEnd,
    SequenceEnd,
}

/// The walk over one object.
#[derive(Debug)]
pub struct Walk {
    syntax: Syntax,
    length: u64,
    at: u64,
    held: usize,
    open: Vec<Open>,
    parts: Vec<Part>,
}

#[derive(Debug, Clone, Copy)]
struct Open {
    kind: Kind,
    coding: Coding,
    end: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Sequence,
    Item,
    /// Fragments of pixels within an item (an icon), which are passed over.
    Fragments,
}

/// Where one step led.
enum Step {
    On,
    Need(u64),
    End,
}

impl Walk {
    /// Over a data set of `length` bytes, after inflating if it is deflated.
    pub fn new(syntax: Syntax, length: u64) -> Self {
        Self { syntax, length, at: 0, held: 0, open: Vec::new(), parts: Vec::new() }
    }

    /// Walks on in `window`, the bytes from `from` on.
    ///
    /// # Errors
    /// [`MetadataError`], where the bytes are no data set or beyond a limit.
    pub fn feed(&mut self, from: u64, window: &Bytes) -> Result<Next, MetadataError> {
        loop {
            match self.step(from, window)? {
                Step::On => {}
                Step::Need(least) => {
                    return Ok(Next::Read { from: self.at, least });
                }
                Step::End => {
                    while let Some(open) = self.open.pop() {
                        self.close(open);
                    }
                    return Ok(Next::Done);
                }
            }
            if self.parts.len() > PARTS_MAX || self.held > HELD_BYTES_MAX {
                return Err(MetadataError::TooMuch);
            }
        }
    }

    /// The values that are not in the answer, with their place: tags and numbers of items (from 0)
    /// from the data set down.
    pub fn bulk(&self) -> Vec<(String, Bulk)> {
        let mut path = Path::default();
        let mut found = Vec::new();
        for part in &self.parts {
            path.pass(part);
            if let Part::Bulk(bulk) = part {
                found.push((path.to(bulk.tag), bulk.clone()));
            }
        }
        found
    }

    /// The first value of an element of the data set itself, as a whole number.
    pub fn number(&self, tag: Tag) -> Option<u32> {
        let mut depth = 0_u32;
        for part in &self.parts {
            match part {
                Part::Sequence(_) => depth += 1,
                Part::SequenceEnd => depth = depth.saturating_sub(1),
                Part::Value { tag: own, vr, coding, bytes } if depth == 0 && *own == tag => {
                    return text::first_number(*vr, *coding, bytes);
                }
                Part::Value { .. } | Part::Bulk(_) | Part::Item | Part::ItemEnd => {}
            }
        }
        None
    }

    /// The pixel data of the data set itself.
    pub fn pixels(&self) -> Option<&Bulk> {
        self.parts.iter().rev().find_map(|part| match part {
            Part::Bulk(bulk) if PIXEL_TAGS.contains(&bulk.tag) => Some(bulk),
            Part::Value { .. }
            | Part::Bulk(_)
            | Part::Sequence(_)
            | Part::Item
            | Part::ItemEnd
            | Part::SequenceEnd => None,
        })
    }

    fn step(&mut self, from: u64, window: &Bytes) -> Result<Step, MetadataError> {
        let malformed = MetadataError::Malformed { offset: self.at };
        if let Some(open) = self.open.last().copied()
            && let Some(end) = open.end
            && self.at >= end
        {
            if self.at > end {
                return Err(malformed);
            }
            self.open.pop();
            self.close(open);
            return Ok(Step::On);
        }
        let left = self.length.saturating_sub(self.at);
        if left < SHORT_BYTES {
            return Ok(Step::End);
        }
        let Some(bytes) =
            self.place(from, window, left.min(HEADER_BYTES)).and_then(|at| window.get(at))
        else {
            return Ok(Step::Need(left.min(HEADER_BYTES)));
        };
        let top = self.open.last().copied();
        let coding = top.map_or(self.syntax.coding, |open| open.coding);
        let only_items = top.is_some_and(|open| open.kind != Kind::Item);
        let Some((header, used)) = decode(bytes, coding, only_items) else {
            return Err(malformed);
        };
        if top.is_none() && header.tag == Tag(0, 0) {
            // Zeros at the end.
            return Ok(Step::End);
        }
        let begin = self.at.saturating_add(used);
        match (top, header.tag) {
            (Some(open), ITEM) if open.kind != Kind::Item => {
                let end = header.length.map(|length| begin.saturating_add(u64::from(length)));
                if open.kind == Kind::Fragments {
                    self.at = end.ok_or(malformed)?;
                } else {
                    self.at = begin;
                    self.parts.push(Part::Item);
                    self.open.push(Open { kind: Kind::Item, coding: open.coding, end });
                }
                Ok(Step::On)
            }
            (Some(open), SEQUENCE_END) if open.kind != Kind::Item => Ok(self.delimiter(begin)),
            (Some(open), ITEM_END) if open.kind == Kind::Item => Ok(self.delimiter(begin)),
            (Some(open), _) if open.kind != Kind::Item => Err(malformed),
            (_, ITEM | ITEM_END | SEQUENCE_END) => Err(malformed),
            _ => self.element(header, begin, (from, window)),
        }
    }

    /// The end of what is open; where a length says the end, it says so alone.
    fn delimiter(&mut self, begin: u64) -> Step {
        self.at = begin;
        if let Some(open) = self.open.last().copied()
            && open.end.is_none()
        {
            self.open.pop();
            self.close(open);
        }
        Step::On
    }

    fn close(&mut self, open: Open) {
        match open.kind {
            Kind::Sequence => self.parts.push(Part::SequenceEnd),
            Kind::Item => self.parts.push(Part::ItemEnd),
            Kind::Fragments => {}
        }
    }

    fn element(
        &mut self,
        header: Header,
        begin: u64,
        (from, window): (u64, &Bytes),
    ) -> Result<Step, MetadataError> {
        let Header { tag, mut vr, length, .. } = header;
        let coding = self.open.last().map_or(self.syntax.coding, |open| open.coding);
        let end = length.map(|length| begin.saturating_add(u64::from(length)));
        if vr == VR::SQ || vr == VR::UN && length.is_none() {
            return self.sequence(tag, vr, begin, end);
        }
        let Some((length, end)) = length.zip(end) else {
            return self.fragments(tag, vr, begin);
        };
        if vr == VR::UN {
            // A sender that did not know a public element wrote it so (PS3.5, 6.2.2, note 1).
            let known = dictionary_vr(tag);
            vr = if known == VR::SQ { VR::UN } else { known };
        }
        let whole_numbers =
            number_bytes(vr) > 1 && !matches!(vr, VR::OW | VR::OF | VR::OL | VR::OD | VR::OV);
        let max = if is_text(vr) || whole_numbers { VALUE_BYTES_MAX } else { INLINE_BYTES_MAX };
        if tag.1 == 0 {
            // Group lengths are of the transfer syntax (PS3.18, F.2.2).
        } else if length > max || self.open.is_empty() && PIXEL_TAGS.contains(&tag) {
            let swap = if coding == Coding::ExplicitBig { number_bytes(vr) } else { 1 };
            // What the object lost is not to be given.
            let range = begin..end.min(self.length);
            self.parts.push(Part::Bulk(Bulk { tag, vr, range, encapsulated: false, swap }));
        } else {
            let used = begin.saturating_sub(self.at);
            let all = used.saturating_add(u64::from(length));
            let Some(mut place) = self.place(from, window, all) else {
                if self.at.saturating_add(all) > self.length {
                    return Err(MetadataError::Malformed { offset: self.at });
                }
                return Ok(Step::Need(all));
            };
            place.start = place.end.saturating_sub(usize::try_from(length).unwrap_or(0));
            let bytes = window.slice(place);
            self.held = self.held.saturating_add(bytes.len());
            self.parts.push(Part::Value { tag, vr, coding, bytes });
        }
        self.at = end;
        Ok(Step::On)
    }

    fn sequence(
        &mut self,
        tag: Tag,
        vr: VR,
        begin: u64,
        end: Option<u64>,
    ) -> Result<Step, MetadataError> {
        if self.open.len() >= 2 * usize::try_from(DEPTH_MAX).unwrap_or(usize::MAX) {
            return Err(MetadataError::TooDeep);
        }
        let coding = self.open.last().map_or(self.syntax.coding, |open| open.coding);
        // PS3.5, 6.2.2, note 2: inside, it is implicit VR little endian.
        let coding = if vr == VR::UN { Coding::ImplicitLittle } else { coding };
        self.parts.push(Part::Sequence(tag));
        self.open.push(Open { kind: Kind::Sequence, coding, end });
        self.at = begin;
        Ok(Step::On)
    }

    /// Pixels in fragments: those of the data set are the end of the walk.
    fn fragments(&mut self, tag: Tag, vr: VR, begin: u64) -> Result<Step, MetadataError> {
        if !self.syntax.is_encapsulated() || !(matches!(vr, VR::OB | VR::OW) || tag == PIXEL_DATA) {
            return Err(MetadataError::Malformed { offset: self.at });
        }
        self.at = begin;
        if self.open.is_empty() {
            let range = begin..self.length;
            self.parts.push(Part::Bulk(Bulk { tag, vr, range, encapsulated: true, swap: 1 }));
            return Ok(Step::End);
        }
        let coding = self.syntax.coding;
        self.parts.push(Part::Value { tag, vr, coding, bytes: Bytes::new() });
        self.open.push(Open { kind: Kind::Fragments, coding, end: None });
        Ok(Step::On)
    }

    /// Where in `window` the `length` bytes from where the walk stands are, if it has them.
    fn place(&self, from: u64, window: &Bytes, length: u64) -> Option<Range<usize>> {
        let begin = usize::try_from(self.at.checked_sub(from)?).ok()?;
        let end = begin.checked_add(usize::try_from(length).ok()?)?;
        (end <= window.len()).then_some(begin..end)
    }
}

/// The header at the beginning of `bytes`, and how many of them it takes.
fn decode(bytes: &[u8], coding: Coding, only_items: bool) -> Option<(Header, u64)> {
    let mut header = HeaderBytes::default();
    let rest = header.take(8, bytes);
    match header.decode(coding, only_items) {
        Decoded::Header(header) => Some((header, SHORT_BYTES)),
        Decoded::Needs(needed) => {
            header.take(needed, rest);
            match header.decode(coding, only_items) {
                Decoded::Header(header) => Some((header, HEADER_BYTES)),
                Decoded::Needs(_) | Decoded::IllegalVr(_) => None,
            }
        }
        Decoded::IllegalVr(_) => None,
    }
}

/// The way from the data set to where a pass over its parts stands.
#[derive(Debug, Default)]
struct Path(Vec<(Tag, Option<u32>)>);

impl Path {
    fn pass(&mut self, part: &Part) {
        match part {
            Part::Sequence(tag) => self.0.push((*tag, None)),
            Part::SequenceEnd => drop(self.0.pop()),
            Part::Item => {
                if let Some((_, item)) = self.0.last_mut() {
                    *item = Some(item.map_or(0, |item| item + 1));
                }
            }
            Part::Value { .. } | Part::Bulk(_) | Part::ItemEnd => {}
        }
    }

    /// The place of the element `tag` here, for example `52009229/0/00281050`.
    fn to(&self, tag: Tag) -> String {
        let mut text = String::new();
        for (Tag(group, element), item) in &self.0 {
            let _ = write!(text, "{group:04X}{element:04X}/{}/", item.unwrap_or(0));
        }
        let _ = write!(text, "{:04X}{:04X}", tag.0, tag.1);
        text
    }
}
