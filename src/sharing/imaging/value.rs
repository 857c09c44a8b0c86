//! Values of elements: text decoded and without its padding, numbers, dates and times.

use dicom_core::dictionary::{DataDictionary, DataDictionaryEntry};
use dicom_core::{Tag, VR};
use dicom_dictionary_std::{StandardDataDictionary, tags};

use super::charset::{CharacterSets, Kind};
use super::element::{Element, ElementSet, Value};
use super::moment;

/// Levels of items whose text is weighed to find the character set.
const SAMPLE_DEPTH_MAX: usize = 8;
/// Values that are weighed at most.
const SAMPLE_VALUES_MAX: usize = 1_024;
/// Values of one element that are read at most.
const VALUES_MAX: usize = 1_024;

/// A data set or item with the character sets that its text is in.
#[derive(Debug, Clone)]
pub struct Values<'a> {
    elements: &'a ElementSet,
    sets: CharacterSets,
}

impl<'a> Values<'a> {
    /// Of a data set: as it declares, unless its text shows otherwise.
    pub fn of(elements: &'a ElementSet) -> Self {
        let mut sample = Vec::new();
        collect(elements, SAMPLE_DEPTH_MAX, &mut sample);
        let declared = elements.bytes(tags::SPECIFIC_CHARACTER_SET);
        Self { elements, sets: CharacterSets::of_text(declared, sample.into_iter()) }
    }

    /// The items of a sequence, with the character sets that they declare or else those of this.
    pub fn items(&self, tag: Tag) -> impl Iterator<Item = Values<'a>> + use<'a, '_> {
        self.elements.items(tag).iter().map(|item| match item.bytes(tags::SPECIFIC_CHARACTER_SET) {
            Some(_) => Values::of(item),
            None => Values { elements: item, sets: self.sets.clone() },
        })
    }

    /// The elements.
    pub fn elements(&self) -> &'a ElementSet {
        self.elements
    }

    /// The character sets of its text.
    pub fn character_sets(&self) -> &CharacterSets {
        &self.sets
    }

    /// The text of an element; several values stay separated by `\`. Padding is gone, and so are
    /// control characters, except those that lay out a block of text. Empty if the element is not
    /// there, has no value or no text.
    pub fn text(&self, tag: Tag) -> String {
        match self.decoded(tag) {
            Some((vr, text)) if kind(vr) == Kind::Block => trimmed(&text, vr),
            Some(_) => self.texts(tag).join("\\"),
            None => String::new(),
        }
    }

    /// The values of an element, each as [`Values::text`] has it. None if it has no value.
    pub fn texts(&self, tag: Tag) -> Vec<String> {
        match self.decoded(tag) {
            Some((vr, text)) if kind(vr) == Kind::Block => {
                Some(trimmed(&text, vr)).filter(|text| !text.is_empty()).into_iter().collect()
            }
            Some((vr, text)) => {
                let values: Vec<String> =
                    text.split('\\').take(VALUES_MAX).map(|value| trimmed(value, vr)).collect();
                if values.iter().all(String::is_empty) { Vec::new() } else { values }
            }
            None => Vec::new(),
        }
    }

    /// The first value of an element.
    pub fn first(&self, tag: Tag) -> String {
        self.texts(tag).into_iter().next().unwrap_or_default()
    }

    /// The first value as a whole number: binary (US SS UL SL) or text (IS, DS without fraction).
    pub fn integer(&self, tag: Tag) -> Option<i64> {
        let element = self.elements.get(tag)?;
        let Value::Bytes(bytes) = &element.value else { return None };
        let vr = vr(element);
        if vr == VR::US {
            return Some(u16::from_le_bytes(*bytes.first_chunk()?).into());
        } else if vr == VR::SS {
            return Some(i16::from_le_bytes(*bytes.first_chunk()?).into());
        } else if vr == VR::UL {
            return Some(u32::from_le_bytes(*bytes.first_chunk()?).into());
        } else if vr == VR::SL {
            return Some(i32::from_le_bytes(*bytes.first_chunk()?).into());
        }
        let text = self.first(tag);
        let whole = match text.split_once('.') {
            Some((whole, zeros)) if zeros.bytes().all(|b| b == b'0') => whole,
            Some(_) => return None,
            None => &text,
        };
        whole.parse().ok()
    }

    /// The first value, if it is a number from 0 to 65,535.
    pub fn u16(&self, tag: Tag) -> Option<u16> {
        u16::try_from(self.integer(tag)?).ok()
    }

    /// The first value, if it is a number from 0 to 4,294,967,295.
    pub fn u32(&self, tag: Tag) -> Option<u32> {
        u32::try_from(self.integer(tag)?).ok()
    }

    /// The first value, if it is a number of 32 bits with sign.
    pub fn i32(&self, tag: Tag) -> Option<i32> {
        i32::try_from(self.integer(tag)?).ok()
    }

    /// The first value as a finite number: DS, IS, FL, FD or a binary whole number.
    pub fn decimal(&self, tag: Tag) -> Option<f64> {
        let element = self.elements.get(tag)?;
        let Value::Bytes(bytes) = &element.value else { return None };
        let vr = vr(element);
        let number = if vr == VR::FL {
            f32::from_le_bytes(*bytes.first_chunk()?).into()
        } else if vr == VR::FD {
            f64::from_le_bytes(*bytes.first_chunk()?)
        } else if matches!(vr, VR::US | VR::SS | VR::UL | VR::SL) {
            f64::from(i32::try_from(self.integer(tag)?).ok()?)
        } else {
            self.first(tag).parse().ok()?
        };
        Some(number).filter(|number: &f64| number.is_finite())
    }

    /// The first value as a date, `YYYYMMDD`; empty if it is none.
    pub fn date(&self, tag: Tag) -> String {
        moment::date(&self.first(tag)).unwrap_or_default()
    }

    /// The first value as a time, `HHMMSS.FFFFFF`; empty if it is none.
    pub fn time(&self, tag: Tag) -> String {
        moment::time(&self.first(tag)).unwrap_or_default()
    }

    /// The first value as a date and time.
    pub fn date_time(&self, tag: Tag) -> Option<moment::DateTime> {
        moment::date_time(&self.first(tag))
    }

    fn decoded(&self, tag: Tag) -> Option<(VR, String)> {
        let element = self.elements.get(tag)?;
        let Value::Bytes(bytes) = &element.value else { return None };
        let vr = vr(element);
        // Illegal as it is, codes are met in Chinese too, so every text is decoded.
        is_text(vr).then(|| (vr, self.sets.decode(bytes, kind(vr))))
    }
}

/// A person's name in its three groups (PS3.5, 6.2.1.2).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NameGroups<'a> {
    /// In an alphabet.
    pub alphabetic: &'a str,
    /// In ideographs.
    pub ideographic: &'a str,
    /// As it is pronounced.
    pub phonetic: &'a str,
}

impl<'a> NameGroups<'a> {
    /// Of the first name in `text`.
    pub fn of(text: &'a str) -> Self {
        let name = text.split('\\').next().unwrap_or_default();
        let mut groups = name.split('=').map(str::trim);
        let mut next = || groups.next().unwrap_or_default();
        Self { alphabetic: next(), ideographic: next(), phonetic: next() }
    }
}

/// What text of that VR may contain.
pub fn kind(vr: VR) -> Kind {
    if matches!(vr, VR::LT | VR::ST | VR::UT | VR::UR) {
        Kind::Block
    } else if vr == VR::PN {
        Kind::Names
    } else {
        Kind::Values
    }
}

/// Whether values of that VR are text.
pub fn is_text(vr: VR) -> bool {
    matches!(
        vr,
        VR::AE
            | VR::AS
            | VR::CS
            | VR::DA
            | VR::DS
            | VR::DT
            | VR::IS
            | VR::LO
            | VR::LT
            | VR::PN
            | VR::SH
            | VR::ST
            | VR::TM
            | VR::UC
            | VR::UI
            | VR::UR
            | VR::UT
    )
}

/// The VR of an element; that of the dictionary where a sender wrote UN.
fn vr(element: &Element) -> VR {
    if element.vr != VR::UN {
        return element.vr;
    }
    StandardDataDictionary.by_tag(element.tag).map_or(VR::UN, |entry| entry.vr().relaxed())
}

/// The text of `elements` that may show the character set; items that declare their own are left
/// out.
fn collect<'a>(elements: &'a ElementSet, depth: usize, sample: &mut Vec<&'a [u8]>) {
    for element in elements.iter() {
        if sample.len() >= SAMPLE_VALUES_MAX {
            return;
        }
        match &element.value {
            Value::Bytes(bytes) => {
                if is_text(vr(element)) && (!bytes.is_ascii() || bytes.contains(&0x1B)) {
                    sample.push(bytes);
                }
            }
            Value::Items(items) => {
                let Some(depth) = depth.checked_sub(1) else { continue };
                for item in items.iter().filter(|i| i.get(tags::SPECIFIC_CHARACTER_SET).is_none()) {
                    collect(item, depth, sample);
                }
            }
        }
    }
}

/// Without padding (PS3.5, 6.2: leading blanks count in UC, UT, ST and LT only) and control
/// characters.
pub(super) fn trimmed(text: &str, vr: VR) -> String {
    let laid_out = matches!(vr, VR::LT | VR::ST | VR::UT);
    let clean: String = text
        .chars()
        .filter(|c| !c.is_control() || laid_out && matches!(c, '\t' | '\n' | '\r' | '\u{C}'))
        .collect();
    let end = clean.trim_end_matches(' ');
    if laid_out || vr == VR::UC {
        end.to_owned()
    } else if vr == VR::PN {
        end.split('=').map(|group| group.trim_matches(' ')).collect::<Vec<_>>().join("=")
    } else {
        end.trim_start_matches(' ').to_owned()
    }
}

#[cfg(test)]
mod tests;
