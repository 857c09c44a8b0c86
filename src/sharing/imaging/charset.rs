//! Text of data sets by Specific Character Set (PS3.3, C.12.1.1.2; PS3.5, 6.1).
//!
//! Decoding never fails: what does not fit becomes U+FFFD. Where the declared set cannot be what
//! was written (GBK or UTF-8 declared as `ISO_IR 100`, or not declared), the text of the whole data
//! set decides ([`CharacterSets::of_text`]) and the result says that it was guessed.

mod detect;
mod encode;
mod hanzi;
mod segments;
mod terms;

use encoding_rs::{GB18030, SHIFT_JIS, UTF_8};

use self::segments::Start;
use self::terms::Set;

pub use self::encode::{Encoding, NotRepresentable};

/// Bytes of one text value that are decoded at most; more is cut.
pub const TEXT_BYTES_MAX: usize = 65_536;
/// Values of Specific Character Set that are read at most.
const DECLARED_MAX: usize = 16;

/// What a text value may contain (PS3.5, 6.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Values separated by `\` (LO, SH, UC).
    Values,
    /// One block of text in which `\` is a character (LT, ST, UT).
    Block,
    /// Persons' names: values separated by `\`, groups by `=`, components by `^` (PN).
    Names,
}

/// The character sets that a data set's text is written in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CharacterSets {
    scheme: Scheme,
    guessed: bool,
}

/// How bytes become characters.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Scheme {
    Utf8,
    /// GB18030 or GBK, of which it is a superset.
    Gb18030,
    /// `ISO_IR 13` alone; Shift-JIS has its characters in the same places, and devices that declare
    /// it write kanji so.
    ShiftJis,
    /// Single bytes, and others after escape sequences.
    Extended(Start),
}

impl Default for CharacterSets {
    /// The default repertoire (ISO-IR 6).
    fn default() -> Self {
        Self::extended(Set::Ascii, Vec::new())
    }
}

impl CharacterSets {
    /// What `declared`, the value of (0008,0005), says; terms in other spellings are understood,
    /// unknown ones are taken for the default repertoire.
    pub fn declared(declared: &[u8]) -> Self {
        read(declared).0
    }

    /// The character sets of a data set: as `declared` (none if the element is absent) unless
    /// `text`, the values of all its text elements, shows that they are others.
    pub fn of_text<'a, I>(declared: Option<&[u8]>, text: I) -> Self
    where
        I: Iterator<Item = &'a [u8]> + Clone,
    {
        let (sets, known) = read(declared.unwrap_or_default());
        let foreign = text.filter(|value| !value.is_ascii() || value.contains(&0x1B));
        if foreign.clone().next().is_none() {
            return sets;
        }
        let escaped = foreign.clone().any(|value| value.contains(&0x1B));
        let doubtful = match &sets.scheme {
            Scheme::Utf8 => foreign.clone().any(|value| !detect::is_utf8(value)),
            Scheme::Gb18030 => foreign.clone().any(|value| !detect::is_gb18030(value)),
            Scheme::ShiftJis => false,
            Scheme::Extended(start) => !escaped && start.may_be_mistaken(),
        };
        if !doubtful {
            return sets;
        }
        match detect::detect(foreign) {
            Some(scheme) if scheme != sets.scheme => Self { scheme, guessed: true },
            Some(_) => sets,
            None => sets.when_nothing_fits(known),
        }
    }

    /// Whether the declared set did not fit and another was taken.
    pub fn guessed(&self) -> bool {
        self.guessed
    }

    /// The set that was taken in place of the declared one.
    pub fn guess(&self) -> Option<Encoding> {
        let taken = match &self.scheme {
            Scheme::Utf8 => Encoding::Utf8,
            Scheme::Gb18030 => Encoding::Gb18030,
            Scheme::Extended(_) => Encoding::Latin1,
            Scheme::ShiftJis => return None,
        };
        Some(taken).filter(|_| self.guessed)
    }

    /// Decodes a whole value, separators included.
    pub fn decode(&self, bytes: &[u8], kind: Kind) -> String {
        let bytes = bytes.get(..TEXT_BYTES_MAX).unwrap_or(bytes);
        if bytes.is_ascii() && !bytes.contains(&0x1B) {
            return String::from_utf8_lossy(bytes).into_owned();
        }
        let encoding = match &self.scheme {
            Scheme::Utf8 => UTF_8,
            Scheme::Gb18030 => GB18030,
            Scheme::ShiftJis if !bytes.contains(&0x1B) => SHIFT_JIS,
            Scheme::ShiftJis => return Start::new(Set::JisX0201, Vec::new()).decode(bytes, kind),
            Scheme::Extended(start) => return start.decode(bytes, kind),
        };
        encoding.decode_with_bom_removal(bytes).0.into_owned()
    }

    fn extended(first: Set, others: Vec<Set>) -> Self {
        Self { scheme: Scheme::Extended(Start::new(first, others)), guessed: false }
    }

    /// Bytes above ASCII that no declared set explains are most often Latin-1.
    fn when_nothing_fits(self, known: bool) -> Self {
        match &self.scheme {
            Scheme::Extended(start) if start.is_ascii() || !known => {
                Self { guessed: true, ..Self::extended(Set::Latin1, Vec::new()) }
            }
            Scheme::Extended(_) | Scheme::Utf8 | Scheme::Gb18030 | Scheme::ShiftJis => self,
        }
    }
}

/// Reads the value of (0008,0005), and whether all its terms are known.
fn read(declared: &[u8]) -> (CharacterSets, bool) {
    let text = String::from_utf8_lossy(declared.get(..TEXT_BYTES_MAX).unwrap_or(declared));
    let mut known = true;
    let terms: Vec<terms::Term> = text
        .split('\\')
        .take(DECLARED_MAX)
        .map(|term| {
            terms::read(term).unwrap_or_else(|| {
                known = false;
                terms::Term { set: Set::Ascii, extension: false }
            })
        })
        .collect();
    let whole = |set: Set| terms.iter().any(|term| term.set == set);
    let scheme = if whole(Set::Utf8) {
        Scheme::Utf8
    } else if whole(Set::Gb18030) {
        Scheme::Gb18030
    } else {
        match terms.as_slice() {
            [only] if only.set == Set::JisX0201 && !only.extension => Scheme::ShiftJis,
            [first, others @ ..] => Scheme::Extended(Start::new(
                first.set,
                others.iter().map(|term| term.set).collect(),
            )),
            [] => Scheme::Extended(Start::new(Set::Ascii, Vec::new())),
        }
    };
    (CharacterSets { scheme, guessed: false }, known)
}

#[cfg(test)]
mod tests;
