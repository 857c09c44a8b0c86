//! Writes what was walked as DICOM JSON (PS3.18, F.2).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dicom_core::dictionary::{DataDictionary as _, DataDictionaryEntry as _, VirtualVr};
use dicom_core::{Tag, VR};
use dicom_dictionary_std::{StandardDataDictionary, tags};

use super::text::{write_decimal, write_name, write_numbers, write_string};
use super::{Part, Path, Walk};
use crate::sharing::imaging::charset::{CharacterSets, Kind};
use crate::sharing::imaging::structure::{Coding, number_bytes};
use crate::sharing::imaging::value::{is_text, kind, trimmed};

/// Values that are weighed to find the character set at most.
const SAMPLE_VALUES_MAX: usize = 1_024;

/// Where text of one character set begins: the data set, or an item that declares its own.
#[derive(Default)]
struct Scope<'a> {
    declared: Option<&'a [u8]>,
    sample: Vec<&'a [u8]>,
}

/// Appends the object to `out`. `bulk_base` is what addresses of bulk data begin with; the place of
/// the element follows.
pub fn write_json(walk: &Walk, bulk_base: &str, out: &mut Vec<u8>) {
    let sets = character_sets(&walk.parts);
    let mut writer = Writer {
        out,
        bulk_base,
        path: Path::default(),
        sets: &sets,
        scopes: vec![0],
        next_scope: 1,
        signed: vec![false],
        first: vec![true],
    };
    writer.out.push(b'{');
    for part in &walk.parts {
        writer.part(part);
    }
    writer.out.push(b'}');
}

/// The character sets of each scope, in the order they begin.
fn character_sets(parts: &[Part]) -> Vec<CharacterSets> {
    let mut scopes = vec![Scope::default()];
    let mut open = vec![0];
    for part in parts {
        match part {
            Part::Item => open.push(open.last().copied().unwrap_or(0)),
            Part::ItemEnd => drop(open.pop()),
            Part::Value { tag: tags::SPECIFIC_CHARACTER_SET, bytes, .. } => {
                if open.len() > 1 {
                    let new = scopes.len();
                    scopes.push(Scope::default());
                    if let Some(now) = open.last_mut() {
                        *now = new;
                    }
                }
                if let Some(scope) = open.last().and_then(|at| scopes.get_mut(*at)) {
                    scope.declared = Some(bytes);
                }
            }
            Part::Value { vr, bytes, .. } if is_text(*vr) => {
                if let Some(scope) = open.last().and_then(|at| scopes.get_mut(*at))
                    && (!bytes.is_ascii() || bytes.contains(&0x1B))
                    && scope.sample.len() < SAMPLE_VALUES_MAX
                {
                    scope.sample.push(bytes);
                }
            }
            Part::Value { .. } | Part::Bulk(_) | Part::Sequence(_) | Part::SequenceEnd => {}
        }
    }
    scopes
        .iter()
        .map(|scope| CharacterSets::of_text(scope.declared, scope.sample.iter().copied()))
        .collect()
}

struct Writer<'a> {
    out: &'a mut Vec<u8>,
    bulk_base: &'a str,
    path: Path,
    sets: &'a [CharacterSets],
    /// The scope of the data set and of each open item.
    scopes: Vec<usize>,
    next_scope: usize,
    /// Whether pixels are signed, in the data set and in each open item.
    signed: Vec<bool>,
    /// Whether nothing was written yet in each open object or array.
    first: Vec<bool>,
}

impl Writer<'_> {
    fn part(&mut self, part: &Part) {
        match part {
            Part::Sequence(tag) => {
                self.key(*tag, VR::SQ);
                self.first.push(true);
            }
            Part::SequenceEnd => {
                // A sequence without items has no value.
                let empty = self.first.pop().unwrap_or(true);
                self.out.extend_from_slice(if empty { b"}" } else { b"]}" });
            }
            Part::Item => {
                let first = self.first.last_mut().is_none_or(std::mem::take);
                self.out.extend_from_slice(if first { b",\"Value\":[{" } else { b",{" });
                self.first.push(true);
                self.scopes.push(self.scopes.last().copied().unwrap_or(0));
                self.signed.push(self.signed.last().copied().unwrap_or(false));
            }
            Part::ItemEnd => {
                self.first.pop();
                self.scopes.pop();
                self.signed.pop();
                self.out.push(b'}');
            }
            Part::Bulk(bulk) => {
                self.key(bulk.tag, bulk.vr);
                self.out.extend_from_slice(b",\"BulkDataURI\":");
                let address = format!("{}{}", self.bulk_base, self.path.to(bulk.tag));
                write_string(self.out, &address);
                self.out.push(b'}');
            }
            Part::Value { tag, vr, coding, bytes } => self.value(*tag, *vr, *coding, bytes),
        }
        self.path.pass(part);
    }

    /// Begins an element: its key and its VR.
    fn key(&mut self, Tag(group, element): Tag, vr: VR) {
        if !self.first.last_mut().is_none_or(std::mem::take) {
            self.out.push(b',');
        }
        let hex = |n: u16| {
            let digit = |shift: u32| {
                let nibble = u8::try_from((n >> shift) & 0xF).unwrap_or(0);
                if nibble < 10 { b'0' + nibble } else { b'A' + nibble - 10 }
            };
            [digit(12), digit(8), digit(4), digit(0)]
        };
        self.out.push(b'"');
        self.out.extend_from_slice(&hex(group));
        self.out.extend_from_slice(&hex(element));
        self.out.extend_from_slice(b"\":{\"vr\":\"");
        self.out.extend_from_slice(vr.to_string().as_bytes());
        self.out.push(b'"');
    }

    fn value(&mut self, tag: Tag, vr: VR, coding: Coding, bytes: &[u8]) {
        if tag == tags::PIXEL_REPRESENTATION
            && let Some(signed) = self.signed.last_mut()
        {
            *signed = super::text::first_number(vr, coding, bytes) == Some(1);
        }
        if tag == tags::SPECIFIC_CHARACTER_SET {
            if self.scopes.len() > 1
                && let Some(scope) = self.scopes.last_mut()
            {
                *scope = self.next_scope;
                self.next_scope += 1;
            }
            // JSON is Unicode, which this says (PS3.18, F.2.2).
            self.key(tag, VR::CS);
            self.out.extend_from_slice(b",\"Value\":[\"ISO_IR 192\"]}");
            return;
        }
        let vr = self.resolved(tag, vr, coding);
        self.key(tag, vr);
        if is_text(vr) {
            self.text(vr, bytes);
        } else if bytes.is_empty() {
            // Only the VR.
        } else if number_bytes(vr) > 1 && !matches!(vr, VR::OW | VR::OF | VR::OL | VR::OD | VR::OV)
        {
            self.out.extend_from_slice(b",\"Value\":[");
            write_numbers(self.out, vr, coding, bytes);
            self.out.push(b']');
        } else {
            self.out.extend_from_slice(b",\"InlineBinary\":\"");
            let width = number_bytes(vr);
            let text = if coding == Coding::ExplicitBig && width > 1 {
                let mut swapped = bytes.to_vec();
                swapped.chunks_exact_mut(width).for_each(<[u8]>::reverse);
                STANDARD.encode(swapped)
            } else {
                STANDARD.encode(bytes)
            };
            self.out.extend_from_slice(text.as_bytes());
            self.out.push(b'"');
        }
        self.out.push(b'}');
    }

    /// Where no VR was written, numbers that can be signed are as the pixels are (PS3.5, A.1).
    fn resolved(&self, tag: Tag, vr: VR, coding: Coding) -> VR {
        if vr == VR::US
            && coding == Coding::ImplicitLittle
            && self.signed.last() == Some(&true)
            && StandardDataDictionary.by_tag(tag).is_some_and(|e| e.vr() == VirtualVr::Xs)
        {
            return VR::SS;
        }
        vr
    }

    fn text(&mut self, vr: VR, bytes: &[u8]) {
        let several = kind(vr) != Kind::Block;
        let mut values = TextValues { vr, begun: false, empty: 0 };
        // Most text is such that every character set reads it alike.
        if let Some(text) = plain(bytes) {
            let mut put = |value| values.put(self.out, trimmed_plain(value, vr));
            if several { text.split('\\').for_each(put) } else { put(text) }
        } else {
            let sets = self.scopes.last().and_then(|at| self.sets.get(*at));
            let text = match sets {
                Some(sets) => sets.decode(bytes, kind(vr)),
                None => CharacterSets::default().decode(bytes, kind(vr)),
            };
            let mut put = |value| values.put(self.out, &trimmed(value, vr));
            if several { text.split('\\').for_each(put) } else { put(&text) }
        }
        if values.begun {
            self.out.push(b']');
        }
    }
}

/// Text of printable ASCII, without the padding at its end.
fn plain(bytes: &[u8]) -> Option<&str> {
    let end = bytes.iter().rposition(|byte| !matches!(byte, 0 | b' ')).map_or(0, |last| last + 1);
    let text = bytes.get(..end)?;
    let printable = text.iter().all(|byte| (b' '..=b'~').contains(byte));
    if printable { std::str::from_utf8(text).ok() } else { None }
}

/// Plain text as [`trimmed`] has it.
fn trimmed_plain(text: &str, vr: VR) -> &str {
    let end = text.trim_end_matches(' ');
    if matches!(vr, VR::LT | VR::ST | VR::UT | VR::UC) { end } else { end.trim_start_matches(' ') }
}

/// Values of one element while they are written: none is an element without a value.
struct TextValues {
    vr: VR,
    begun: bool,
    /// Values without text before the first with some.
    empty: usize,
}

impl TextValues {
    fn put(&mut self, out: &mut Vec<u8>, value: &str) {
        if value.is_empty() && !self.begun {
            self.empty += 1;
            return;
        }
        if self.begun {
            out.push(b',');
        } else {
            self.begun = true;
            out.extend_from_slice(b",\"Value\":[");
            for _ in 0..self.empty {
                out.extend_from_slice(b"null,");
            }
        }
        if value.is_empty() {
            out.extend_from_slice(b"null");
        } else if self.vr == VR::PN {
            write_name(out, value);
        } else if self.vr == VR::DS || self.vr == VR::IS {
            write_decimal(out, value, self.vr == VR::IS);
        } else {
            write_string(out, value);
        }
    }
}
