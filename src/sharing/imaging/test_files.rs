//! Reads files of the corpus into elements, for tests: little-endian, up to the pixel data.

use std::fs;
use std::path::{Path, PathBuf};

use dicom_core::dictionary::{DataDictionary, DataDictionaryEntry};
use dicom_core::{Tag, VR};
use dicom_dictionary_std::StandardDataDictionary;

use super::element::{Element, ElementSet, Value};

/// The folder of files; tests that need it fail without it.
pub(super) fn corpus() -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/dicom");
    assert!(folder.is_dir(), "{} is missing", folder.display());
    folder
}

/// All files under `folder`.
pub(super) fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// The elements of a file; none where this reader does not understand it.
pub(super) fn read(path: &Path) -> Option<ElementSet> {
    let bytes = fs::read(path).unwrap();
    if bytes.get(128..132) != Some(b"DICM") {
        return None;
    }
    let mut meta = Reader { rest: &bytes[132..], explicit: true };
    let mut syntax = String::new();
    while meta.rest.get(..2) == Some(&[2, 0]) {
        let element = meta.element()?;
        if let (Tag(2, 0x10), Value::Bytes(value)) = (element.tag, element.value) {
            String::from_utf8_lossy(&value).trim_end_matches('\0').clone_into(&mut syntax);
        }
    }
    if matches!(syntax.as_str(), "" | "1.2.840.10008.1.2.2" | "1.2.840.10008.1.2.1.99") {
        return None;
    }
    let mut body = Reader { rest: meta.rest, explicit: syntax != "1.2.840.10008.1.2" };
    body.set(false)
}

struct Reader<'a> {
    rest: &'a [u8],
    explicit: bool,
}

impl Reader<'_> {
    fn take(&mut self, length: usize) -> Option<Vec<u8>> {
        let (head, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(head.to_vec())
    }

    fn u16(&mut self) -> Option<u16> {
        Some(u16::from_le_bytes(self.take(2)?.try_into().ok()?))
    }

    fn u32(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(self.take(4)?.try_into().ok()?))
    }

    fn set(&mut self, item: bool) -> Option<ElementSet> {
        let mut set = ElementSet::default();
        while !self.rest.is_empty() {
            if self.rest.get(..4) == Some(&[0xE0, 0x7F, 0x10, 0]) {
                break;
            }
            if item && self.rest.get(..4) == Some(&[0xFE, 0xFF, 0x0D, 0xE0]) {
                self.take(8)?;
                break;
            }
            set.insert(self.element()?);
        }
        Some(set)
    }

    fn element(&mut self) -> Option<Element> {
        let tag = Tag(self.u16()?, self.u16()?);
        let mut vr = StandardDataDictionary.by_tag(tag).map_or(VR::UN, |e| e.vr().relaxed());
        let length = if self.explicit {
            vr = VR::from_binary(self.take(2)?.try_into().ok()?)?;
            let long = [
                VR::OB,
                VR::OD,
                VR::OF,
                VR::OL,
                VR::OV,
                VR::OW,
                VR::SQ,
                VR::SV,
                VR::UC,
                VR::UN,
                VR::UR,
                VR::UT,
                VR::UV,
            ];
            if long.contains(&vr) {
                self.take(2)?;
                self.u32()?
            } else {
                self.u16()?.into()
            }
        } else {
            self.u32()?
        };
        if vr != VR::SQ && length != u32::MAX {
            let value = Value::Bytes(self.take(usize::try_from(length).ok()?)?);
            return Some(Element { tag, vr, value });
        }
        let mut inside = Reader { rest: self.rest, explicit: self.explicit };
        if length != u32::MAX {
            inside.rest = self.rest.get(..usize::try_from(length).ok()?)?;
        }
        let before = inside.rest.len();
        let mut items = Vec::new();
        while !inside.rest.is_empty() {
            let delimiter = (inside.u16()?, inside.u16()?);
            let length = inside.u32()?;
            if delimiter == (0xFFFE, 0xE0DD) {
                break;
            }
            items.push(if length == u32::MAX {
                inside.set(true)?
            } else {
                let bytes = inside.take(usize::try_from(length).ok()?)?;
                Reader { rest: &bytes, explicit: self.explicit }.set(false)?
            });
        }
        let used = before - inside.rest.len();
        self.take(used)?;
        Some(Element { tag, vr: VR::SQ, value: Value::Items(items) })
    }
}
