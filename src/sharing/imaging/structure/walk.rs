//! The walk over a data set: where in it the next byte is, and what may stand there.
//!
//! Nothing calls itself: what is open stands on a stack of bounded depth. Whatever it does depends
//! on the bytes alone and not on how they are cut, so every step is taken as soon as its last byte
//! is there.

mod keep;

use dicom_core::{Tag, VR};

use super::error::StructureError;
use super::facts::{Facts, PixelData, PixelForm};
use super::header::{
    Decoded, Header, HeaderBytes, ITEM, ITEM_END, ITEM_GROUP, SEQUENCE_END, SHORT_BYTES,
};
use super::syntax::{Coding, Syntax};
use super::wanted::Wanted;
use super::{Limits, bytes};
use crate::sharing::imaging::element::ElementSet;

/// Group of the file meta information.
const META_GROUP: u16 = 0x0002;
const PIXEL_DATA: Tag = Tag(0x7FE0, 0x0010);
const PIXEL_TAGS: [Tag; 3] = [Tag(0x7FE0, 0x0008), Tag(0x7FE0, 0x0009), PIXEL_DATA];
/// What errors call the data set itself.
const NO_TAG: Tag = Tag(0, 0);

/// The walk.
#[derive(Debug)]
pub(super) struct Walk {
    syntax: Syntax,
    limits: Limits,
    /// Bytes a data set may have, inflated.
    bytes_max: u64,
    /// Bytes seen.
    offset: u64,
    header: HeaderBytes,
    needed: usize,
    state: State,
    stack: Vec<Frame>,
    depth: u32,
    /// Elements, items and fragments.
    parts: u64,
    kept_bytes: u32,
    facts: Facts,
}

#[derive(Debug)]
enum State {
    /// In or before a header.
    Header,
    /// In a value.
    Value { tag: Tag, vr: VR, left: u64, kept: Option<Vec<u8>> },
    /// In zeros that nothing but zeros may follow.
    Padding,
}

/// What is open.
#[derive(Debug)]
struct Frame {
    kind: Kind,
    /// Tag of the sequence, or of the sequence that the item is in.
    tag: Tag,
    coding: Coding,
    /// Where it ends at the latest, because it or something around it says a length.
    end: Option<u64>,
    /// Whether it says a length itself.
    defined: bool,
    /// Tag of the last element.
    last: Option<Tag>,
    /// What is wanted in it, if itself is.
    wanted: Option<Wanted>,
    kept: Kept,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    DataSet,
    Item,
    Sequence,
    Fragments,
}

#[derive(Debug)]
enum Kept {
    Nothing,
    Elements(ElementSet),
    Items(Vec<ElementSet>),
}

impl Walk {
    pub(super) fn new(syntax: Syntax, wanted: Wanted, limits: Limits) -> Self {
        let bytes_max = if syntax.deflated { limits.inflated_bytes_max } else { limits.bytes_max };
        let root = Frame {
            kind: Kind::DataSet,
            tag: NO_TAG,
            coding: syntax.coding,
            end: None,
            defined: false,
            last: None,
            wanted: Some(wanted),
            kept: Kept::Nothing,
        };
        Self {
            syntax,
            limits,
            bytes_max,
            offset: 0,
            header: HeaderBytes::default(),
            needed: SHORT_BYTES,
            state: State::Header,
            stack: vec![root],
            depth: 0,
            parts: 0,
            kept_bytes: 0,
            facts: Facts::default(),
        }
    }

    pub(super) fn facts(&self) -> &Facts {
        &self.facts
    }

    pub(super) fn facts_mut(&mut self) -> &mut Facts {
        &mut self.facts
    }

    pub(super) fn into_facts(self) -> Facts {
        self.facts
    }

    /// Bytes seen.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// Walks over `bytes`.
    pub(super) fn feed(&mut self, mut bytes: &[u8]) -> Result<(), StructureError> {
        while !bytes.is_empty() {
            bytes = match &mut self.state {
                State::Header => self.feed_header(bytes)?,
                State::Value { left, kept, .. } => {
                    let length = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                    let (now, rest) = bytes.split_at(length);
                    *left -= self::bytes(length);
                    if let Some(kept) = kept {
                        kept.extend_from_slice(now);
                    }
                    self.advance(length);
                    self.settle()?;
                    rest
                }
                State::Padding => {
                    if let Some(at) = bytes.iter().position(|byte| *byte != 0) {
                        let offset = self.offset + self::bytes(at);
                        return Err(StructureError::AfterPadding { offset });
                    }
                    self.facts.warnings.padding_bytes += self::bytes(bytes.len());
                    self.advance(bytes.len());
                    &[]
                }
            };
        }
        Ok(())
    }

    /// Whether the data set may end here.
    pub(super) fn check_end(&self) -> Result<(), StructureError> {
        let within = match &self.state {
            State::Padding => return Ok(()),
            State::Value { tag, .. } => Some(*tag),
            State::Header => self.stack.get(1..).and_then(<[_]>::last).map(|frame| frame.tag),
        };
        let begun = self.header.bytes().iter().any(|byte| *byte != 0);
        if within.is_none() && !begun {
            return Ok(());
        }
        let header_whole = self.facts.header_whole;
        Err(StructureError::Truncated { tag: within, offset: self.offset, header_whole })
    }

    /// The data set ends here and is whole.
    pub(super) fn end(&mut self) {
        self.facts.header_whole = true;
        self.facts.warnings.padding_bytes += bytes(self.header.bytes().len());
    }

    fn advance(&mut self, length: usize) {
        self.offset = self.offset.saturating_add(bytes(length));
        self.facts.checked_bytes = self.offset;
    }

    fn top(&self) -> Option<&Frame> {
        self.stack.last()
    }

    fn coding(&self) -> Coding {
        self.top().map_or(self.syntax.coding, |frame| frame.coding)
    }

    /// Byte at which the header that is being read begins.
    fn header_at(&self) -> u64 {
        self.offset - bytes(self.header.bytes().len())
    }

    fn feed_header<'a>(&mut self, bytes: &'a [u8]) -> Result<&'a [u8], StructureError> {
        let rest = self.header.take(self.needed, bytes);
        self.advance(bytes.len() - rest.len());
        if self.header.bytes().len() < self.needed {
            return Ok(rest);
        }
        let at_top = self.stack.len() == 1;
        if at_top && self.header.is_padding() {
            self.facts.warnings.padding_bytes += self::bytes(SHORT_BYTES);
            self.header.clear();
            self.state = State::Padding;
            return Ok(rest);
        }
        let only_items =
            self.top().is_some_and(|frame| matches!(frame.kind, Kind::Sequence | Kind::Fragments));
        match self.header.decode(self.coding(), only_items) {
            Decoded::Needs(needed) => {
                self.check_room(self::bytes(needed))?;
                self.needed = needed;
            }
            Decoded::IllegalVr(tag) => {
                return Err(StructureError::IllegalVr { tag, offset: self.header_at() });
            }
            Decoded::Header(header) => {
                let at = self.header_at();
                self.header.clear();
                self.needed = SHORT_BYTES;
                self.begin(header, at)?;
                self.settle()?;
            }
        }
        Ok(rest)
    }

    /// Checks that a header of `length` bytes fits where the one being read begins.
    fn check_room(&self, length: u64) -> Result<(), StructureError> {
        let Some(frame) = self.top() else { return Ok(()) };
        let offset = self.header_at();
        match frame.end.map(|end| end.saturating_sub(offset)) {
            Some(remaining) if remaining < length => {
                Err(StructureError::Leftover { offset, remaining, within: frame.tag })
            }
            Some(_) | None => Ok(()),
        }
    }

    /// After a header or a piece of a value: finishes a value that is complete, closes what ends
    /// here, and checks that something can follow in what is still open.
    fn settle(&mut self) -> Result<(), StructureError> {
        if let State::Value { left, .. } = &self.state {
            if *left > 0 {
                return Ok(());
            }
            if let State::Value { tag, vr, kept: Some(value), .. } =
                std::mem::replace(&mut self.state, State::Header)
            {
                self.keep_value(tag, vr, value);
            }
        }
        while let Some(frame) = self.top()
            && frame.end == Some(self.offset)
        {
            if !frame.defined {
                return Err(StructureError::NotClosed { tag: frame.tag, offset: self.offset });
            }
            self.pop();
        }
        self.check_room(bytes(SHORT_BYTES))
    }

    /// Begins what `header`, at byte `at`, announces.
    fn begin(&mut self, header: Header, at: u64) -> Result<(), StructureError> {
        let Some((kind, within)) = self.top().map(|frame| (frame.kind, frame.tag)) else {
            return Ok(());
        };
        match kind {
            Kind::DataSet | Kind::Item if header.tag.0 == ITEM_GROUP => {
                if kind == Kind::Item && header.tag == ITEM_END {
                    self.delimiter(header);
                    return Ok(());
                }
                Err(StructureError::StrayDelimiter { tag: header.tag, offset: at })
            }
            Kind::DataSet | Kind::Item => self.element(header, at),
            Kind::Sequence | Kind::Fragments if header.tag == SEQUENCE_END => {
                self.delimiter(header);
                Ok(())
            }
            Kind::Sequence if header.tag == ITEM => self.item(header, at),
            Kind::Fragments if header.tag == ITEM => self.fragment(header, at),
            Kind::Sequence | Kind::Fragments => {
                Err(StructureError::NotAnItem { tag: header.tag, offset: at, within })
            }
        }
    }

    /// The end of the item or sequence on top of the stack. One whose length is given needs none,
    /// and ends where it says.
    fn delimiter(&mut self, header: Header) {
        if header.length != Some(0) {
            self.facts.warnings.delimiter_lengths += 1;
        }
        if self.top().is_some_and(|frame| frame.defined) {
            self.facts.warnings.needless_delimiters += 1;
        } else {
            self.pop();
        }
    }

    fn count(&mut self, tag: Tag, offset: u64) -> Result<(), StructureError> {
        self.parts += 1;
        let limit = self.limits.elements_max;
        if self.parts > limit {
            return Err(StructureError::TooManyElements { tag, offset, limit });
        }
        Ok(())
    }

    /// Checks the length that `header`, at byte `at`, says, against what remains, and says where
    /// it ends.
    fn end_of(&self, header: Header, length: u32, at: u64) -> Result<u64, StructureError> {
        let tag = header.tag;
        let end = self.offset.saturating_add(u64::from(length));
        if let Some(frame) = self.top()
            && let Some(frame_end) = frame.end
            && end > frame_end
        {
            let remaining = frame_end.saturating_sub(self.offset);
            let within = frame.tag;
            return Err(StructureError::Overrun { tag, offset: at, length, remaining, within });
        }
        let limit = self.bytes_max;
        if end > limit {
            return Err(StructureError::LengthBeyondLimit { tag, offset: at, length, limit });
        }
        Ok(end)
    }

    fn element(&mut self, header: Header, at: u64) -> Result<(), StructureError> {
        let Header { tag, vr, length, .. } = header;
        self.count(tag, at)?;
        self.facts.elements += 1;
        self.note(header);
        let wanted = self.top().and_then(|frame| frame.wanted).and_then(|w| w.within(tag));
        let end = match length {
            Some(length) => Some(self.end_of(header, length, at)?),
            None => None,
        };
        let fragments = length.is_none()
            && self.syntax.is_encapsulated()
            && (matches!(vr, VR::OB | VR::OW) || tag == PIXEL_DATA);
        let at_top = self.stack.len() == 1;
        if at_top && PIXEL_TAGS.contains(&tag) && (fragments || length.is_some()) {
            self.facts.header_whole = true;
            let form = match length {
                None => PixelForm::Encapsulated {
                    offset_table_bytes: 0,
                    fragments: 0,
                    fragment_bytes: 0,
                    first_fragment: None,
                },
                Some(length) => PixelForm::Native { length: u64::from(length) },
            };
            self.facts.pixel_data = Some(PixelData { tag, vr, offset: self.offset, form });
        }
        if fragments {
            return self.open_fragments(header, at, wanted);
        }
        match (vr, length) {
            (VR::SQ, _) => self.open_sequence(header, end, at, wanted),
            // PS3.5, 6.2.2, note 2: inside, the data set is implicit VR little endian.
            (VR::UN, None) => self.open_sequence(header, None, at, wanted),
            (_, None) => Err(StructureError::UndefinedLength { tag, offset: at }),
            (_, Some(length)) => self.begin_value(header, length, at, wanted),
        }
    }

    /// Counts what is odd about an element but let pass.
    fn note(&mut self, header: Header) {
        let warnings = &mut self.facts.warnings;
        if header.length.is_some_and(|length| length % 2 == 1) {
            warnings.odd_lengths += 1;
        }
        warnings.unknown_vrs += u64::from(header.unknown_vr);
        if header.tag.0 == META_GROUP {
            warnings.meta_elements += 1;
        }
        if let Some(frame) = self.stack.last_mut() {
            match frame.last.map(|last| header.tag.cmp(&last)) {
                Some(std::cmp::Ordering::Less) => warnings.out_of_order += 1,
                Some(std::cmp::Ordering::Equal) => warnings.repeated += 1,
                Some(std::cmp::Ordering::Greater) | None => {}
            }
            frame.last = Some(header.tag);
        }
    }

    fn open_sequence(
        &mut self,
        header: Header,
        end: Option<u64>,
        at: u64,
        wanted: Option<Wanted>,
    ) -> Result<(), StructureError> {
        let Header { tag, vr, length, .. } = header;
        let limit = self.limits.depth_max;
        if self.depth >= limit {
            return Err(StructureError::TooDeep { tag, offset: at, limit });
        }
        self.depth += 1;
        self.facts.depth = self.facts.depth.max(self.depth);
        let wanted = match wanted {
            Some(wanted) => self.charge(tag, at, 0, wanted)?.then_some(wanted),
            None => None,
        };
        let coding = if vr == VR::UN { Coding::ImplicitLittle } else { self.coding() };
        self.facts.unknown_sequences += u64::from(coding != self.coding());
        self.stack.push(Frame {
            kind: Kind::Sequence,
            tag,
            coding,
            end: end.or_else(|| self.top().and_then(|frame| frame.end)),
            defined: length.is_some(),
            last: None,
            wanted,
            kept: wanted.map_or(Kept::Nothing, |_| Kept::Items(Vec::new())),
        });
        Ok(())
    }

    fn item(&mut self, header: Header, at: u64) -> Result<(), StructureError> {
        self.count(header.tag, at)?;
        let end = match header.length {
            Some(length) => Some(self.end_of(header, length, at)?),
            None => None,
        };
        let Some(sequence) = self.top() else { return Ok(()) };
        let (tag, coding, outer, wanted) =
            (sequence.tag, sequence.coding, sequence.end, sequence.wanted);
        let wanted = match wanted {
            Some(wanted) => self.charge(tag, at, 0, wanted)?.then_some(wanted),
            None => None,
        };
        self.stack.push(Frame {
            kind: Kind::Item,
            tag,
            coding,
            end: end.or(outer),
            defined: end.is_some(),
            last: None,
            wanted,
            kept: wanted.map_or(Kept::Nothing, |_| Kept::Elements(ElementSet::default())),
        });
        Ok(())
    }

    fn open_fragments(
        &mut self,
        header: Header,
        at: u64,
        wanted: Option<Wanted>,
    ) -> Result<(), StructureError> {
        let tag = header.tag;
        match wanted {
            Some(Wanted::All) => return Err(StructureError::Fragments { tag, offset: at }),
            Some(Wanted::List(_)) => self.facts.warnings.left_out += 1,
            None => {}
        }
        self.stack.push(Frame {
            kind: Kind::Fragments,
            tag,
            coding: self.coding(),
            end: self.top().and_then(|frame| frame.end),
            defined: false,
            last: None,
            wanted: None,
            kept: Kept::Nothing,
        });
        Ok(())
    }

    /// One fragment, or the basic offset table, which is the first (PS3.5, A.4).
    fn fragment(&mut self, header: Header, at: u64) -> Result<(), StructureError> {
        self.count(header.tag, at)?;
        let Some(length) = header.length else {
            return Err(StructureError::UndefinedLength { tag: header.tag, offset: at });
        };
        self.end_of(header, length, at)?;
        if length % 2 == 1 {
            self.facts.warnings.odd_lengths += 1;
        }
        let of_data_set = self.stack.len() == 2;
        let Some(frame) = self.stack.last_mut() else { return Ok(()) };
        let is_table = frame.last.replace(ITEM).is_none();
        let tag = frame.tag;
        if of_data_set
            && PIXEL_TAGS.contains(&tag)
            && let Some(PixelData {
                form:
                    PixelForm::Encapsulated {
                        offset_table_bytes,
                        fragments,
                        fragment_bytes,
                        first_fragment,
                    },
                ..
            }) = &mut self.facts.pixel_data
        {
            if is_table {
                *offset_table_bytes = u64::from(length);
            } else {
                *fragments += 1;
                *fragment_bytes += u64::from(length);
                first_fragment.get_or_insert(at);
            }
        }
        self.state = State::Value { tag, vr: VR::OB, left: u64::from(length), kept: None };
        Ok(())
    }

    fn begin_value(
        &mut self,
        header: Header,
        length: u32,
        at: u64,
        wanted: Option<Wanted>,
    ) -> Result<(), StructureError> {
        let Header { tag, vr, .. } = header;
        let kept = match wanted {
            Some(wanted) => self.charge(tag, at, length, wanted)?.then(Vec::new),
            None => None,
        };
        self.state = State::Value { tag, vr, left: u64::from(length), kept };
        Ok(())
    }
}
