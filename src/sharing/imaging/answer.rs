//! Identifiers of C-FIND answers, as bytes.
//!
//! They are written here and not by the DICOM crates, which would encode text in GB18030 or ISO
//! 2022 IR 58 anew from their own tables.

use dicom_core::{Tag, VR};
use dicom_dictionary_std::tags;

use super::attribute::{About, Attribute, Held};
use super::charset::{Encoding, NotRepresentable};
use super::identifier::Asked;
use super::query::Match;
use super::value::kind;

/// Bytes of a value whose length has 16 bits, at most.
const SHORT_VALUE_BYTES_MAX: usize = 0xFFFE;

/// Transfer syntaxes that answers are written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Syntax {
    /// Implicit VR little endian.
    ImplicitLittleEndian,
    /// Explicit VR little endian.
    ExplicitLittleEndian,
}

/// How to answer a peer.
#[derive(Debug, Clone, Copy)]
pub struct Manner<'a> {
    /// The character set that the peer reads; where it lacks a character, its
    /// [`Encoding::fallback`] is taken.
    pub encoding: Encoding,
    /// Transfer syntax of the presentation context.
    pub syntax: Syntax,
    /// AE title from which what was found can be retrieved.
    pub retrieve_ae: &'a str,
}

/// The identifier that answers `asked` with `found`: what was asked for and is known, empty where
/// there is no value, with level, retrieve AE title and, if it has text beyond ASCII, character
/// set.
pub fn answer(found: &Match, asked: &Asked, manner: &Manner<'_>) -> Vec<u8> {
    let about = About { level: asked.level, retrieve_ae: manner.retrieve_ae };
    let mut tags = asked.wanted.clone();
    tags.extend([tags::QUERY_RETRIEVE_LEVEL, tags::RETRIEVE_AE_TITLE]);
    tags.retain(|tag| *tag != tags::SPECIFIC_CHARACTER_SET);
    tags.sort_unstable();
    tags.dedup();
    let fields: Vec<(Tag, VR, Held)> = tags
        .into_iter()
        .filter_map(Attribute::by_tag)
        .map(|attribute| (attribute.tag, attribute.vr, attribute.held(found, &about)))
        .collect();
    let ascii = fields.iter().all(|(_, _, held)| match held {
        Held::Text(text) => text.is_ascii(),
        Held::Item(item) => item.iter().all(|(_, _, text)| text.is_ascii()),
    });
    let write = |encoding: Encoding| {
        let mut writer = Writer { syntax: manner.syntax, out: Vec::new() };
        if !ascii {
            writer.value(tags::SPECIFIC_CHARACTER_SET, VR::CS, encoding.term().as_bytes());
        }
        for (tag, vr, held) in &fields {
            writer.held(*tag, *vr, held, encoding)?;
        }
        Ok::<_, NotRepresentable>(writer.out)
    };
    write(manner.encoding)
        .or_else(|_| write(manner.encoding.fallback()))
        // UTF-8 has every character, so this is the last.
        .or_else(|_| write(Encoding::Utf8))
        .unwrap_or_default()
}

struct Writer {
    syntax: Syntax,
    out: Vec<u8>,
}

impl Writer {
    fn held(
        &mut self,
        tag: Tag,
        vr: VR,
        held: &Held,
        encoding: Encoding,
    ) -> Result<(), NotRepresentable> {
        match held {
            Held::Text(text) => self.text(tag, vr, text, encoding)?,
            Held::Item(item) => {
                let mut inside = Self { syntax: self.syntax, out: Vec::new() };
                for (tag, vr, text) in item {
                    inside.text(*tag, *vr, text, encoding)?;
                }
                let mut content = Vec::new();
                if !inside.out.is_empty() {
                    content.extend(tag_bytes(Tag(0xFFFE, 0xE000)));
                    content.extend(length_bytes(inside.out.len()));
                    content.extend(inside.out);
                }
                self.value(tag, VR::SQ, &content);
            }
        }
        Ok(())
    }

    fn text(
        &mut self,
        tag: Tag,
        vr: VR,
        text: &str,
        encoding: Encoding,
    ) -> Result<(), NotRepresentable> {
        if vr == VR::US {
            let number = text.parse::<u16>().map(u16::to_le_bytes);
            self.value(tag, vr, number.as_ref().map_or(&[], |bytes| bytes.as_slice()));
        } else {
            self.value(tag, vr, &encoding.encode(text, kind(vr))?);
        }
        Ok(())
    }

    /// Writes an element; a value that is too long for its VR is left out.
    fn value(&mut self, tag: Tag, vr: VR, bytes: &[u8]) {
        let bytes = if vr != VR::SQ && bytes.len() > SHORT_VALUE_BYTES_MAX { &[] } else { bytes };
        let padding = bytes.len() % 2;
        let length = bytes.len().saturating_add(padding);
        self.out.extend(tag_bytes(tag));
        match (self.syntax, u16::try_from(length)) {
            (Syntax::ExplicitLittleEndian, Ok(length)) if vr != VR::SQ => {
                self.out.extend(vr.to_bytes());
                self.out.extend(length.to_le_bytes());
            }
            (Syntax::ExplicitLittleEndian, _) => {
                self.out.extend(vr.to_bytes());
                self.out.extend([0, 0]);
                self.out.extend(length_bytes(length));
            }
            (Syntax::ImplicitLittleEndian, _) => self.out.extend(length_bytes(length)),
        }
        self.out.extend_from_slice(bytes);
        if padding > 0 {
            self.out.push(if vr == VR::UI { 0 } else { b' ' });
        }
    }
}

fn tag_bytes(Tag(group, element): Tag) -> [u8; 4] {
    let ([a, b], [c, d]) = (group.to_le_bytes(), element.to_le_bytes());
    [a, b, c, d]
}

/// Values are short of 64 KiB and items have few, so the length always fits.
fn length_bytes(length: usize) -> [u8; 4] {
    u32::try_from(length).unwrap_or_default().to_le_bytes()
}

#[cfg(test)]
mod tests;
