//! Data sets for tests, written in any coding, right or wrong as asked.

use dicom_core::{Tag, VR};
use dicom_dictionary_std::tags;

use super::header::{ITEM, ITEM_END, SEQUENCE_END, has_long_length};
use super::{Coding, Facts, Guard, Limits, StructureError, Syntax, Want, Wanted};
use crate::sharing::imaging::element::{Element, ElementSet, Value};

pub(super) const UNDEFINED: u32 = u32::MAX;
pub(super) const PIXELS: Tag = tags::PIXEL_DATA;
/// A sequence, and one to nest in it.
pub(super) const SEQUENCE: Tag = tags::PROCEDURE_CODE_SEQUENCE;
/// A private sequence, which implicit VR does not know to be one.
pub(super) const PRIVATE: Tag = Tag(0x0009, 0x1001);
pub(super) const NOTHING: Wanted = Wanted::List(&[]);

/// What is wanted where a list is.
pub(super) const LIST: &[Want] = &[
    Want::value(tags::SOP_INSTANCE_UID),
    Want::value(tags::MODALITY),
    Want::sequence(SEQUENCE, &[Want::value(tags::CODE_VALUE)]),
    Want::value(tags::PATIENT_NAME),
    Want::value(tags::ROWS),
];

/// Writes a data set.
#[derive(Debug, Clone)]
pub(super) struct Writer {
    pub(super) coding: Coding,
    pub(super) bytes: Vec<u8>,
}

impl Writer {
    pub(super) fn new(coding: Coding) -> Self {
        Self { coding, bytes: Vec::new() }
    }

    pub(super) fn explicit() -> Self {
        Self::new(Coding::ExplicitLittle)
    }

    fn u16(&mut self, number: u16) {
        let big = self.coding == Coding::ExplicitBig;
        self.bytes.extend(if big { number.to_be_bytes() } else { number.to_le_bytes() });
    }

    fn u32(&mut self, number: u32) {
        let big = self.coding == Coding::ExplicitBig;
        self.bytes.extend(if big { number.to_be_bytes() } else { number.to_le_bytes() });
    }

    /// Tag, and a length of 32 bits.
    pub(super) fn plain(mut self, tag: Tag, length: u32) -> Self {
        self.u16(tag.0);
        self.u16(tag.1);
        self.u32(length);
        self
    }

    /// A header, whatever value follows.
    pub(super) fn header(mut self, tag: Tag, vr: VR, length: u32) -> Self {
        if self.coding == Coding::ImplicitLittle {
            return self.plain(tag, length);
        }
        self.u16(tag.0);
        self.u16(tag.1);
        self.bytes.extend(vr.to_string().as_bytes());
        if has_long_length(vr) {
            self.u16(0);
            self.u32(length);
        } else {
            self.u16(u16::try_from(length).unwrap());
        }
        self
    }

    pub(super) fn raw(mut self, bytes: &[u8]) -> Self {
        self.bytes.extend(bytes);
        self
    }

    pub(super) fn value(self, tag: Tag, vr: VR, value: &[u8]) -> Self {
        self.header(tag, vr, u32::try_from(value.len()).unwrap()).raw(value)
    }

    pub(super) fn open(self, tag: Tag) -> Self {
        self.header(tag, VR::SQ, UNDEFINED)
    }

    pub(super) fn item(self, length: u32) -> Self {
        self.plain(ITEM, length)
    }

    pub(super) fn end_item(self) -> Self {
        self.plain(ITEM_END, 0)
    }

    pub(super) fn end(self) -> Self {
        self.plain(SEQUENCE_END, 0)
    }

    /// Encapsulated pixel data: basic offset table and fragments.
    pub(super) fn fragments(self, parts: &[&[u8]]) -> Self {
        let mut writer = self.header(PIXELS, VR::OB, UNDEFINED);
        for part in parts {
            writer = writer.item(u32::try_from(part.len()).unwrap()).raw(part);
        }
        writer.end()
    }

    /// A UID and a modality, so that there is something before what is tested.
    pub(super) fn start(self) -> Self {
        self.value(tags::SOP_INSTANCE_UID, VR::UI, b"1.2.3\0").value(tags::MODALITY, VR::CS, b"CT")
    }

    /// Byte at which the next thing is written.
    pub(super) fn at(&self) -> u64 {
        u64::try_from(self.bytes.len()).unwrap()
    }
}

/// `depth` sequences within each other, of undefined length or not.
pub(super) fn nested(coding: Coding, depth: u32, defined: bool) -> Vec<u8> {
    if !defined {
        let open = Writer::new(coding).open(SEQUENCE).item(UNDEFINED).bytes;
        let close = Writer::new(coding).end_item().end().bytes;
        let times = usize::try_from(depth).unwrap();
        return [open.repeat(times), close.repeat(times)].concat();
    }
    let mut inner = Vec::new();
    for _ in 0..depth {
        let length = u32::try_from(inner.len()).unwrap();
        let writer = Writer::new(coding).header(SEQUENCE, VR::SQ, length + 8).item(length);
        inner = writer.raw(&inner).bytes;
    }
    inner
}

/// A guard fed with `bytes` in one piece.
pub(super) fn check(
    syntax: Syntax,
    wanted: Wanted,
    limits: Limits,
    bytes: &[u8],
) -> Result<Facts, StructureError> {
    let mut guard = Guard::new(syntax, wanted, limits);
    guard.push(bytes)?;
    guard.finish()
}

/// The same for explicit VR little endian and the limits in use.
pub(super) fn check_explicit(writer: &Writer) -> Result<Facts, StructureError> {
    check(Syntax::EXPLICIT_LITTLE, Wanted::List(LIST), Limits::default(), &writer.bytes)
}

/// The same with an encapsulated syntax.
pub(super) fn check_encapsulated(writer: &Writer) -> Result<Facts, StructureError> {
    check(jpeg(), Wanted::List(LIST), Limits::default(), &writer.bytes)
}

pub(super) fn jpeg() -> Syntax {
    Syntax::of("1.2.840.10008.1.2.4.50").unwrap()
}

pub(super) fn deflated() -> Syntax {
    Syntax::of("1.2.840.10008.1.2.1.99").unwrap()
}

pub(super) fn big_endian() -> Syntax {
    Syntax::of("1.2.840.10008.1.2.2").unwrap()
}

pub(super) fn deflate(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write as _;

    let mut encoder =
        flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub(super) fn element(tag: Tag, vr: VR, value: &[u8]) -> Element {
    Element { tag, vr, value: Value::Bytes(value.to_vec()) }
}

pub(super) fn set(elements: impl IntoIterator<Item = Element>) -> ElementSet {
    let mut set = ElementSet::default();
    elements.into_iter().for_each(|element| set.insert(element));
    set
}
