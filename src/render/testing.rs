//! What tests share: real files, and objects made up for one test.

#![expect(
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    reason = "lengths and tags of objects made up here are small"
)]

use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::draw::drawn;
use super::error::RenderError;
use crate::app::imaging::render::{PixelSource, RenderRequest};

/// The folder of real files.
pub(super) fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/dicom")
}

/// One of the real files.
pub(super) fn file(name: &str) -> PixelSource {
    let bytes = std::fs::read(corpus().join(name)).unwrap_or_else(|e| panic!("{name}: {e}"));
    part10(&bytes).unwrap_or_else(|| panic!("{name} is no DICOM file"))
}

/// All files below the folder, sorted.
pub(super) fn corpus_files() -> Vec<PathBuf> {
    fn collect(dir: &Path, out: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { collect(&path, out) } else { out.push(path) }
        }
    }
    let mut files = Vec::new();
    collect(&corpus(), &mut files);
    files.sort();
    files
}

/// Splits a file into its meta group and its data set. Without a meta group the transfer syntax is
/// guessed from the first element.
pub(super) fn part10(bytes: &[u8]) -> Option<PixelSource> {
    let mut at = if bytes.get(128..132) == Some(b"DICM") { 132 } else { 0 };
    let mut transfer_syntax = None;
    while bytes.get(at..at + 2) == Some(&[2, 0]) {
        let vr = bytes.get(at + 4..at + 6)?;
        let (length, head) = if matches!(vr, b"OB" | b"UN") {
            (u32::from_le_bytes(*bytes.get(at + 8..)?.first_chunk()?) as usize, 12)
        } else {
            (usize::from(u16::from_le_bytes(*bytes.get(at + 6..)?.first_chunk()?)), 8)
        };
        let value = bytes.get(at + head..at + head + length)?;
        if bytes.get(at + 2..at + 4) == Some(&[0x10, 0]) {
            transfer_syntax = Some(String::from_utf8_lossy(value).trim_matches('\0').to_owned());
        }
        at += head + length;
    }
    let explicit = bytes.get(at + 4..at + 6)?.iter().all(u8::is_ascii_uppercase);
    let guess = if explicit { "1.2.840.10008.1.2.1" } else { "1.2.840.10008.1.2" };
    Some(PixelSource {
        transfer_syntax: transfer_syntax.unwrap_or_else(|| guess.to_owned()),
        data_set: Bytes::copy_from_slice(bytes.get(at..)?),
    })
}

/// An object made up element by element, explicit VR little endian.
#[derive(Debug, Clone, Default)]
pub(super) struct Object {
    elements: std::collections::BTreeMap<u32, Vec<u8>>,
}

/// Explicit VR little endian.
pub(super) const EXPLICIT: &str = "1.2.840.10008.1.2.1";

impl Object {
    /// An image of `cols` by `rows` with cells of `bits`.
    pub(super) fn image(photometric: &str, cols: u16, rows: u16, bits: u16) -> Self {
        let samples =
            if photometric.starts_with("MONO") || photometric.starts_with("PAL") { 1 } else { 3 };
        Self::default()
            .shorts(0x0028_0002, &[samples])
            .text(0x0028_0004, photometric)
            .shorts(0x0028_0006, &[0])
            .shorts(0x0028_0010, &[rows])
            .shorts(0x0028_0011, &[cols])
            .shorts(0x0028_0100, &[bits])
            .shorts(0x0028_0101, &[bits])
            .shorts(0x0028_0102, &[bits - 1])
            .shorts(0x0028_0103, &[0])
    }

    fn element(mut self, tag: u32, vr: [u8; 2], value: &[u8], length: Option<u32>) -> Self {
        let mut bytes = Vec::new();
        bytes.extend(((tag >> 16) as u16).to_le_bytes());
        bytes.extend((tag as u16).to_le_bytes());
        bytes.extend(vr);
        let length = length.unwrap_or(value.len() as u32);
        if matches!(&vr, b"OB" | b"OW" | b"OF" | b"OD" | b"OV" | b"SQ" | b"UN") {
            bytes.extend([0, 0]);
            bytes.extend(length.to_le_bytes());
        } else {
            bytes.extend((length as u16).to_le_bytes());
        }
        bytes.extend(value);
        self.elements.insert(tag, bytes);
        self
    }

    pub(super) fn shorts(self, tag: u32, values: &[u16]) -> Self {
        let value: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.element(tag, *b"US", &value, None)
    }

    pub(super) fn text(self, tag: u32, text: &str) -> Self {
        let mut value = text.as_bytes().to_vec();
        if value.len() % 2 == 1 {
            value.push(b' ');
        }
        self.element(tag, *b"DS", &value, None)
    }

    pub(super) fn bytes(self, tag: u32, value: &[u8]) -> Self {
        self.element(tag, *b"OB", value, None)
    }

    /// A value of unknown representation.
    pub(super) fn unknown(self, tag: u32, value: &[u8]) -> Self {
        self.element(tag, *b"UN", value, None)
    }

    pub(super) fn words(self, tag: u32, values: &[u16]) -> Self {
        let value: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.element(tag, *b"OW", &value, None)
    }

    /// A sequence of items, each of known length.
    pub(super) fn items(self, tag: u32, items: &[Self]) -> Self {
        let mut value = Vec::new();
        for item in items {
            let bytes = item.data();
            value.extend([0xFE, 0xFF, 0x00, 0xE0]);
            value.extend((bytes.len() as u32).to_le_bytes());
            value.extend(bytes);
        }
        self.element(tag, *b"SQ", &value, None)
    }

    pub(super) fn pixels8(self, values: &[u8]) -> Self {
        self.bytes(0x7FE0_0010, values)
    }

    pub(super) fn pixels16(self, values: &[u16]) -> Self {
        self.words(0x7FE0_0010, values)
    }

    /// Encapsulated pixels: the offset table, then fragments.
    pub(super) fn fragments(self, table: &[u32], fragments: &[&[u8]]) -> Self {
        let mut value = Vec::new();
        let table: Vec<u8> = table.iter().flat_map(|v| v.to_le_bytes()).collect();
        for bytes in std::iter::once(table.as_slice()).chain(fragments.iter().copied()) {
            value.extend([0xFE, 0xFF, 0x00, 0xE0]);
            value.extend((bytes.len() as u32).to_le_bytes());
            value.extend(bytes);
        }
        value.extend([0xFE, 0xFF, 0xDD, 0xE0, 0, 0, 0, 0]);
        self.element(0x7FE0_0010, *b"OB", &value, Some(u32::MAX))
    }

    /// The data set.
    pub(super) fn data(&self) -> Vec<u8> {
        self.elements.values().flatten().copied().collect()
    }

    /// As a source.
    pub(super) fn source(&self, transfer_syntax: &str) -> PixelSource {
        PixelSource { transfer_syntax: transfer_syntax.to_owned(), data_set: self.data().into() }
    }

    /// Drawn without scaling: its 8-bit values.
    pub(super) fn drawn(&self, request: &RenderRequest) -> Result<Vec<u8>, RenderError> {
        drawn(&self.source(EXPLICIT), request).map(|(picture, _)| picture.data)
    }

    /// Drawn as a viewer opens it.
    pub(super) fn shown(&self) -> Vec<u8> {
        self.drawn(&RenderRequest::default()).unwrap()
    }
}
