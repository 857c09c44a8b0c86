//! Writing small data sets of our own: answers, reports of storage commitment, identifiers.
//!
//! Objects that were received are never written anew. Values are bytes already in the character
//! set of the data set, so no library may decode and encode them again on the way.

use dicom_core::VR;

use super::element::{Element, ElementSet, Value};
use super::structure::has_long_length;

/// Writes `set` in little endian, explicit or implicit VR (PS3.5, 7.1). Values of odd length are
/// padded as their VR asks. Values beyond what a short length can say are left out.
pub fn write(set: &ElementSet, explicit: bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    for element in set.iter() {
        put(&mut out, element, explicit);
    }
    out
}

fn put(out: &mut Vec<u8>, element: &Element, explicit: bool) {
    let value = match &element.value {
        Value::Bytes(bytes) => {
            let mut value = bytes.clone();
            if value.len() % 2 == 1 {
                value.push(padding(element.vr));
            }
            value
        }
        Value::Items(items) => {
            let mut value = Vec::new();
            for item in items {
                let bytes = write(item, explicit);
                value.extend_from_slice(&[0xFE, 0xFF, 0x00, 0xE0]);
                value.extend_from_slice(&length(bytes.len()).to_le_bytes());
                value.extend_from_slice(&bytes);
            }
            value
        }
    };
    let short = u16::try_from(value.len());
    if explicit && !has_long_length(element.vr) && short.is_err() {
        return;
    }
    out.extend_from_slice(&element.tag.group().to_le_bytes());
    out.extend_from_slice(&element.tag.element().to_le_bytes());
    if explicit {
        out.extend_from_slice(&element.vr.to_bytes());
        match short {
            Ok(short) if !has_long_length(element.vr) => {
                out.extend_from_slice(&short.to_le_bytes());
            }
            Ok(_) | Err(_) => {
                out.extend_from_slice(&[0, 0]);
                out.extend_from_slice(&length(value.len()).to_le_bytes());
            }
        }
    } else {
        out.extend_from_slice(&length(value.len()).to_le_bytes());
    }
    out.extend_from_slice(&value);
}

fn length(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

fn padding(vr: VR) -> u8 {
    const NUL: [VR; 8] = [VR::UI, VR::OB, VR::UN, VR::OW, VR::OD, VR::OF, VR::OL, VR::OV];
    if NUL.contains(&vr) { 0 } else { b' ' }
}

impl ElementSet {
    /// Adds an element with the text `value`, which must be ASCII or already encoded.
    #[must_use]
    pub fn with_text(mut self, tag: dicom_core::Tag, vr: VR, value: &str) -> Self {
        let value = Value::Bytes(value.as_bytes().to_vec());
        self.insert(Element { tag, vr, value });
        self
    }

    /// Adds an unsigned number of two bytes.
    #[must_use]
    pub fn with_u16(mut self, tag: dicom_core::Tag, value: u16) -> Self {
        let value = Value::Bytes(value.to_le_bytes().to_vec());
        self.insert(Element { tag, vr: VR::US, value });
        self
    }

    /// Adds a sequence.
    #[must_use]
    pub fn with_items(mut self, tag: dicom_core::Tag, items: Vec<Self>) -> Self {
        self.insert(Element { tag, vr: VR::SQ, value: Value::Items(items) });
        self
    }
}
