//! A data set that lies whole in memory, part by part: for whoever writes it anew in another coding.
//!
//! The check of [`super::Guard`] comes first, so nothing here nests without end or reaches beyond
//! what there is. Parts are found where the check found them: both read headers the same way.

use dicom_core::{Tag, VR};

use super::error::StructureError;
use super::header::{
    Decoded, Header, HeaderBytes, ITEM, ITEM_END, ITEM_GROUP, SEQUENCE_END, SHORT_BYTES,
};
use super::syntax::{Coding, Syntax};
use super::{Facts, Guard, Limits, Wanted, bytes};

const PIXEL_DATA: Tag = Tag(0x7FE0, 0x0010);

/// A part of a data set. Each that opens something is followed by what is in it and by its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part<'a> {
    /// An element with a value.
    Value {
        /// Tag.
        tag: Tag,
        /// Value representation: as written, or that of the dictionary; UN for one that is not in
        /// the standard.
        vr: VR,
        /// How it is coded.
        coding: Coding,
        /// Value, as it lies.
        value: &'a [u8],
    },
    /// A sequence begins.
    Sequence {
        /// Tag.
        tag: Tag,
        /// SQ, or UN where nothing says what it is; then its items are implicit VR little endian.
        vr: VR,
        /// Whether its length is given.
        defined: bool,
    },
    /// The innermost sequence ends.
    SequenceEnd,
    /// An item of the innermost sequence begins.
    Item {
        /// Whether its length is given.
        defined: bool,
    },
    /// The innermost item ends.
    ItemEnd,
    /// Fragments begin (PS3.5, A.4).
    Fragments {
        /// Tag.
        tag: Tag,
        /// Value representation.
        vr: VR,
    },
    /// A fragment; the first is the basic offset table.
    Fragment(&'a [u8]),
    /// The fragments end.
    FragmentsEnd,
}

/// The parts of a data set, in their order.
#[derive(Debug)]
pub struct Parts<'a> {
    data: &'a [u8],
    at: usize,
    syntax: Syntax,
    open: Vec<Open>,
    failed: bool,
}

#[derive(Debug, Clone, Copy)]
struct Open {
    kind: Kind,
    coding: Coding,
    /// Where it ends, if it says so.
    end: Option<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Sequence,
    Item,
    Fragments,
}

impl Kind {
    fn end(self) -> Part<'static> {
        match self {
            Self::Sequence => Part::SequenceEnd,
            Self::Item => Part::ItemEnd,
            Self::Fragments => Part::FragmentsEnd,
        }
    }
}

impl<'a> Parts<'a> {
    /// Checks `data`, coded in `syntax` and inflated if it was deflated, and takes it apart.
    ///
    /// # Errors
    /// What is wrong with its structure.
    pub fn of(
        data: &'a [u8],
        syntax: Syntax,
        wanted: Wanted,
        limits: Limits,
    ) -> Result<(Facts, Self), StructureError> {
        let syntax = Syntax { deflated: false, ..syntax };
        let mut guard = Guard::new(syntax, wanted, limits);
        guard.push(data)?;
        let facts = guard.finish()?;
        Ok((facts, Self { data, at: 0, syntax, open: Vec::new(), failed: false }))
    }

    /// Levels that are open.
    pub fn depth(&self) -> usize {
        self.open.len()
    }

    fn coding(&self) -> Coding {
        self.open.last().map_or(self.syntax.coding, |open| open.coding)
    }

    fn cut(&self) -> StructureError {
        StructureError::Truncated { tag: None, offset: bytes(self.at), header_whole: false }
    }

    fn take(&mut self, length: u32) -> Result<&'a [u8], StructureError> {
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let end = self.at.saturating_add(length);
        let value = self.data.get(self.at..end).ok_or_else(|| self.cut())?;
        self.at = end;
        Ok(value)
    }

    fn end_of(&self, length: Option<u32>) -> Option<usize> {
        length.map(|length| self.at.saturating_add(usize::try_from(length).unwrap_or(usize::MAX)))
    }

    fn part(&mut self) -> Result<Option<Part<'a>>, StructureError> {
        loop {
            if let Some(open) = self.open.last()
                && open.end == Some(self.at)
            {
                let end = open.kind.end();
                self.open.pop();
                return Ok(Some(end));
            }
            let rest = self.data.get(self.at..).unwrap_or_default();
            let top = self.open.last().copied();
            let beginning = rest.get(..SHORT_BYTES).unwrap_or(rest);
            // The check let only zeros follow padding.
            if top.is_none() && beginning.iter().all(|byte| *byte == 0) {
                return Ok(None);
            }
            let only_items = top.is_some_and(|open| open.kind != Kind::Item);
            let (header, length) = self.decode(rest, only_items)?;
            self.at += length;
            let coding = self.coding();
            if header.tag.0 == ITEM_GROUP {
                match header.tag {
                    ITEM if top.is_some_and(|open| open.kind == Kind::Fragments) => {
                        let length = header.length.ok_or_else(|| self.cut())?;
                        return self.take(length).map(|value| Some(Part::Fragment(value)));
                    }
                    ITEM => {
                        let end = self.end_of(header.length);
                        self.open.push(Open { kind: Kind::Item, coding, end });
                        return Ok(Some(Part::Item { defined: end.is_some() }));
                    }
                    // One too many, where a length says the end.
                    ITEM_END | SEQUENCE_END if top.is_some_and(|open| open.end.is_some()) => {
                        continue;
                    }
                    ITEM_END | SEQUENCE_END => {
                        let open = self.open.pop().ok_or_else(|| self.cut())?;
                        return Ok(Some(open.kind.end()));
                    }
                    _ => return Err(self.cut()),
                }
            }
            return self.element(header, coding).map(Some);
        }
    }

    /// The header at the beginning of `rest`, and its bytes.
    fn decode(&self, rest: &[u8], only_items: bool) -> Result<(Header, usize), StructureError> {
        let mut needed = SHORT_BYTES;
        loop {
            let mut header = HeaderBytes::default();
            header.take(needed, rest);
            if header.bytes().len() < needed {
                return Err(self.cut());
            }
            match header.decode(self.coding(), only_items) {
                Decoded::Needs(more) if more > needed => needed = more,
                Decoded::Needs(_) => return Err(self.cut()),
                Decoded::IllegalVr(tag) => {
                    return Err(StructureError::IllegalVr { tag, offset: bytes(self.at) });
                }
                Decoded::Header(found) => return Ok((found, needed)),
            }
        }
    }

    fn element(&mut self, header: Header, coding: Coding) -> Result<Part<'a>, StructureError> {
        let (tag, vr) = (header.tag, header.vr);
        let end = self.end_of(header.length);
        let fragments = end.is_none()
            && self.syntax.is_encapsulated()
            && (matches!(vr, VR::OB | VR::OW) || tag == PIXEL_DATA);
        match (vr, header.length) {
            (_, None) if fragments => {
                self.open.push(Open { kind: Kind::Fragments, coding, end: None });
                Ok(Part::Fragments { tag, vr })
            }
            (VR::SQ, _) | (VR::UN, None) => {
                let inside = if vr == VR::UN { Coding::ImplicitLittle } else { coding };
                self.open.push(Open { kind: Kind::Sequence, coding: inside, end });
                Ok(Part::Sequence { tag, vr, defined: end.is_some() })
            }
            (_, Some(length)) => {
                let value = self.take(length)?;
                Ok(Part::Value { tag, vr, coding, value })
            }
            (_, None) => Err(StructureError::UndefinedLength { tag, offset: bytes(self.at) }),
        }
    }
}

impl<'a> Iterator for Parts<'a> {
    type Item = Result<Part<'a>, StructureError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let part = self.part().transpose();
        self.failed = matches!(part, Some(Err(_)));
        part
    }
}
