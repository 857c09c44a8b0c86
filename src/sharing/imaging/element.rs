//! Elements as they stand in a data set, values not yet decoded.
//!
//! The streaming structure check collects them; text is decoded later, with the character set that
//! the data set declares (PS3.5, 6.1).

use dicom_core::{Tag, VR};

/// One element of a data set.
#[derive(Debug, Clone, PartialEq)]
pub struct Element {
    /// Tag.
    pub tag: Tag,
    /// Value representation: as written (explicit VR) or from the dictionary (implicit VR).
    pub vr: VR,
    /// Its value.
    pub value: Value,
}

/// The value of an element.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Bytes as they stand, padding included. Numbers of the VRs `AT FD FL OD OF OL OV OW SL SS SV
    /// UL US UV` are little-endian whatever the transfer syntax.
    Bytes(Vec<u8>),
    /// Items of a sequence (`SQ`), in order.
    Items(Vec<ElementSet>),
}

/// Elements of one data set or item, by tag.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ElementSet(Vec<Element>);

impl ElementSet {
    /// Adds `element`. A tag that is there already is replaced: the last one counts.
    pub fn insert(&mut self, element: Element) {
        match self.0.binary_search_by_key(&element.tag, |e| e.tag) {
            Ok(at) => {
                if let Some(there) = self.0.get_mut(at) {
                    *there = element;
                }
            }
            Err(at) => self.0.insert(at, element),
        }
    }

    /// The element with `tag`.
    pub fn get(&self, tag: Tag) -> Option<&Element> {
        let at = self.0.binary_search_by_key(&tag, |e| e.tag).ok()?;
        self.0.get(at)
    }

    /// The bytes of the element with `tag`, if it is there and is no sequence.
    pub fn bytes(&self, tag: Tag) -> Option<&[u8]> {
        match &self.get(tag)?.value {
            Value::Bytes(bytes) => Some(bytes),
            Value::Items(_) => None,
        }
    }

    /// The items of the sequence with `tag`; none if it is not there or no sequence.
    pub fn items(&self, tag: Tag) -> &[Self] {
        match self.get(tag).map(|e| &e.value) {
            Some(Value::Items(items)) => items,
            Some(Value::Bytes(_)) | None => &[],
        }
    }

    /// Elements in the order of their tags.
    pub fn iter(&self) -> impl Iterator<Item = &Element> {
        self.0.iter()
    }

    /// How many elements there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
