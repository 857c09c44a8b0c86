//! A data set as a tree that borrows the values of the original, and its bytes again.
//!
//! Depth, lengths and the number of elements are limited by the check of
//! [`structure`](crate::sharing::imaging::structure), which runs first.

use std::borrow::Cow;

use dicom_core::dictionary::{DataDictionary as _, DataDictionaryEntry as _};
use dicom_core::{Tag, VR};
use dicom_dictionary_std::StandardDataDictionary;

use crate::sharing::imaging::structure::{
    Coding, Limits, Part, Parts, StructureError, Syntax, Wanted, has_long_length, number_bytes,
};

/// Elements of a data set or item, in the order of the original.
pub(super) type Set<'a> = Vec<Node<'a>>;

/// One element.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node<'a> {
    pub(super) tag: Tag,
    /// As written, or of the dictionary.
    pub(super) vr: VR,
    pub(super) value: Held<'a>,
}

/// What an element holds.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Held<'a> {
    /// A value as it lies, in the coding given.
    Bytes(Coding, Cow<'a, [u8]>),
    Items(Vec<Set<'a>>),
    /// Fragments of pixel data, the basic offset table first.
    Fragments(Vec<&'a [u8]>),
}

impl<'a> Node<'a> {
    /// A value of ASCII text, padded to even length.
    pub(super) fn text(tag: Tag, vr: VR, text: &str) -> Self {
        Self::bytes(tag, vr, text.as_bytes().to_vec())
    }

    /// A value of text that is encoded already, padded to even length.
    pub(super) fn bytes(tag: Tag, vr: VR, mut bytes: Vec<u8>) -> Self {
        if bytes.len() % 2 == 1 {
            bytes.push(if vr == VR::UI { 0 } else { b' ' });
        }
        // Text is the same in every coding.
        Self { tag, vr, value: Held::Bytes(Coding::ExplicitLittle, Cow::Owned(bytes)) }
    }

    pub(super) fn items(tag: Tag, items: Vec<Set<'a>>) -> Self {
        Self { tag, vr: VR::SQ, value: Held::Items(items) }
    }

    /// Its value, if it is no sequence.
    pub(super) fn value(&self) -> Option<&[u8]> {
        match &self.value {
            Held::Bytes(_, bytes) => Some(bytes),
            Held::Items(_) | Held::Fragments(_) => None,
        }
    }
}

/// The first value of `tag` in a set.
pub(super) fn value<'s>(set: &'s Set<'_>, tag: Tag) -> Option<&'s [u8]> {
    set.iter().find(|node| node.tag == tag).and_then(Node::value)
}

/// The same as ASCII text without padding; what is no ASCII becomes U+FFFD.
pub(super) fn ascii(set: &Set<'_>, tag: Tag) -> String {
    let value = value(set, tag).unwrap_or_default();
    let text: String =
        value.iter().map(|b| if b.is_ascii() { char::from(*b) } else { '\u{FFFD}' }).collect();
    text.trim_matches(['\0', ' ']).to_owned()
}

/// Takes a data set apart; it must be inflated.
pub(super) fn read(data: &[u8], syntax: Syntax) -> Result<Set<'_>, StructureError> {
    let (_, parts) = Parts::of(data, syntax, Wanted::List(&[]), Limits::default())?;
    let mut root: Set<'_> = Vec::new();
    let mut open: Vec<Open<'_>> = Vec::new();
    for part in parts {
        match part? {
            Part::Value { tag, vr, coding, value } => {
                let value = Held::Bytes(coding, Cow::Borrowed(value));
                place(&mut root, &mut open, Node { tag, vr, value });
            }
            Part::Sequence { tag, vr, .. } => {
                open.push(Open::Sequence(Node { tag, vr, value: Held::Items(Vec::new()) }));
            }
            Part::Item { .. } => open.push(Open::Item(Vec::new())),
            Part::Fragments { tag, vr } => {
                open.push(Open::Sequence(Node { tag, vr, value: Held::Fragments(Vec::new()) }));
            }
            Part::Fragment(bytes) => {
                if let Some(Open::Sequence(Node { value: Held::Fragments(all), .. })) =
                    open.last_mut()
                {
                    all.push(bytes);
                }
            }
            Part::ItemEnd => {
                if let Some(Open::Item(set)) = open.pop()
                    && let Some(Open::Sequence(Node { value: Held::Items(items), .. })) =
                        open.last_mut()
                {
                    items.push(set);
                }
            }
            Part::SequenceEnd | Part::FragmentsEnd => {
                if let Some(Open::Sequence(node)) = open.pop() {
                    place(&mut root, &mut open, node);
                }
            }
        }
    }
    Ok(root)
}

enum Open<'a> {
    Sequence(Node<'a>),
    Item(Set<'a>),
}

fn place<'a>(root: &mut Set<'a>, open: &mut [Open<'a>], node: Node<'a>) {
    match open.last_mut() {
        Some(Open::Item(set)) => set.push(node),
        Some(Open::Sequence(_)) | None => root.push(node),
    }
}

/// What the dictionary calls `tag`, and its value representation; none for what is not in the
/// standard.
pub(super) fn known(tag: Tag) -> Option<(&'static str, VR)> {
    if tag.0 % 2 == 1 || tag.1 == 0 {
        return None;
    }
    StandardDataDictionary.by_tag(tag).map(|entry| (entry.alias(), entry.vr().relaxed()))
}

/// Writes a data set in `syntax`, sequences and items with undefined length (PS3.5, 7.5). Elements
/// are put in the order of their tags; of a tag that stands twice the last is written.
pub(super) fn write(set: &Set<'_>, syntax: Syntax) -> Vec<u8> {
    let mut out = Vec::new();
    put_set(&mut out, set, syntax);
    out
}

fn put_set(out: &mut Vec<u8>, set: &Set<'_>, syntax: Syntax) {
    let mut order: Vec<&Node<'_>> = set.iter().collect();
    order.sort_by_key(|node| node.tag);
    let mut rest = order.into_iter().peekable();
    while let Some(node) = rest.next() {
        if rest.peek().is_none_or(|next| next.tag != node.tag) {
            put(out, node, syntax);
        }
    }
}

const ITEM: Tag = Tag(0xFFFE, 0xE000);
const ITEM_END: Tag = Tag(0xFFFE, 0xE00D);
const SEQUENCE_END: Tag = Tag(0xFFFE, 0xE0DD);
const UNDEFINED: u32 = u32::MAX;

fn put(out: &mut Vec<u8>, node: &Node<'_>, syntax: Syntax) {
    match &node.value {
        Held::Bytes(coding, bytes) => {
            let swap =
                (*coding == Coding::ExplicitBig) != syntax.is_big_endian() && is_number(node.vr);
            let length = u32::try_from(bytes.len()).unwrap_or(UNDEFINED - 1);
            header(out, node.tag, node.vr, length, syntax);
            if swap && number_bytes(node.vr) > 1 {
                for number in bytes.chunks(number_bytes(node.vr)) {
                    out.extend(number.iter().rev());
                }
            } else {
                out.extend_from_slice(bytes);
            }
        }
        Held::Items(items) => {
            header(out, node.tag, VR::SQ, UNDEFINED, syntax);
            for item in items {
                delimiter(out, ITEM, UNDEFINED, syntax);
                put_set(out, item, syntax);
                delimiter(out, ITEM_END, 0, syntax);
            }
            delimiter(out, SEQUENCE_END, 0, syntax);
        }
        Held::Fragments(fragments) => {
            header(out, node.tag, node.vr, UNDEFINED, syntax);
            for fragment in fragments {
                let length = u32::try_from(fragment.len()).unwrap_or(UNDEFINED - 1);
                delimiter(out, ITEM, length, syntax);
                out.extend_from_slice(fragment);
            }
            delimiter(out, SEQUENCE_END, 0, syntax);
        }
    }
}

/// Whether the bytes of a value stand in the order of the data set.
fn is_number(vr: VR) -> bool {
    number_bytes(vr) > 1
}

/// The representation in which a value of `length` bytes is written: a short length that does not
/// hold it is written as UN (PS3.5, 6.2.2).
fn written(vr: VR, length: u32) -> VR {
    let short = u16::try_from(length).is_ok();
    if short || has_long_length(vr) { vr } else { VR::UN }
}

fn header(out: &mut Vec<u8>, tag: Tag, vr: VR, length: u32, syntax: Syntax) {
    put_tag(out, tag, syntax);
    if syntax.is_implicit() {
        number(out, length, syntax);
        return;
    }
    let vr = written(vr, length);
    out.extend_from_slice(&vr.to_bytes());
    match u16::try_from(length) {
        Ok(short) if !has_long_length(vr) => {
            let bytes =
                if syntax.is_big_endian() { short.to_be_bytes() } else { short.to_le_bytes() };
            out.extend_from_slice(&bytes);
        }
        Ok(_) | Err(_) => {
            out.extend_from_slice(&[0, 0]);
            number(out, length, syntax);
        }
    }
}

fn delimiter(out: &mut Vec<u8>, tag: Tag, length: u32, syntax: Syntax) {
    put_tag(out, tag, syntax);
    number(out, length, syntax);
}

fn put_tag(out: &mut Vec<u8>, tag: Tag, syntax: Syntax) {
    for part in [tag.0, tag.1] {
        let bytes = if syntax.is_big_endian() { part.to_be_bytes() } else { part.to_le_bytes() };
        out.extend_from_slice(&bytes);
    }
}

fn number(out: &mut Vec<u8>, number: u32, syntax: Syntax) {
    let bytes = if syntax.is_big_endian() { number.to_be_bytes() } else { number.to_le_bytes() };
    out.extend_from_slice(&bytes);
}
