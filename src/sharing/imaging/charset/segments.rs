//! Code extension (ISO/IEC 2022, as PS3.5, 6.1.2.5 allows it): which set is in force, byte by byte.
//!
//! Delimiters are looked for between characters, so a second byte that is `\` or `^` separates
//! nothing.

use encoding_rs::{
    EUC_JP, EUC_KR, Encoding, GBK, ISO_8859_2, ISO_8859_3, ISO_8859_4, ISO_8859_5, ISO_8859_6,
    ISO_8859_7, ISO_8859_8, ISO_8859_15, SHIFT_JIS, WINDOWS_874, WINDOWS_1252, WINDOWS_1254,
};

use super::Kind;
use super::terms::Set;

const ESCAPE: u8 = 0x1B;
/// Bytes between the escape character and the final byte at most.
const INTERMEDIATES_MAX: usize = 3;

/// The sets in force at the beginning of a value and after each delimiter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Start {
    first: Set,
    others: Vec<Set>,
}

/// What is in force.
#[derive(Debug, Clone, Copy)]
struct State {
    /// For bytes below 0x80.
    low: Set,
    /// For bytes from 0x80.
    high: Option<Set>,
}

impl Start {
    /// `first` is the first value of Specific Character Set, `others` those that follow.
    pub(super) fn new(first: Set, others: Vec<Set>) -> Self {
        Self { first, others }
    }

    /// Whether text without any escape sequence may well be in a set that was not declared.
    pub(super) fn may_be_mistaken(&self) -> bool {
        let first = matches!(self.first, Set::Ascii | Set::Latin1 | Set::Gb2312);
        first && self.others.iter().all(|set| matches!(set, Set::Ascii | Set::Latin1 | Set::Gb2312))
    }

    /// Whether nothing above ASCII is declared.
    pub(super) fn is_ascii(&self) -> bool {
        self.first == Set::Ascii && self.others.iter().all(|set| *set == Set::Ascii)
    }

    fn state(&self) -> State {
        let high = match self.first {
            // Nothing is designated yet. Senders that leave the escape sequence out mean the one
            // set they declared that lives here.
            Set::Ascii | Set::JisX0208 | Set::JisX0212 => {
                self.others.iter().copied().find(|set| matches!(set, Set::Gb2312 | Set::Korean))
            }
            Set::Latin1
            | Set::Latin2
            | Set::Latin3
            | Set::Latin4
            | Set::Cyrillic
            | Set::Arabic
            | Set::Greek
            | Set::Hebrew
            | Set::Latin5
            | Set::Latin9
            | Set::Thai
            | Set::JisX0201
            | Set::Korean
            | Set::Gb2312
            | Set::Utf8
            | Set::Gb18030 => Some(self.first),
        };
        State { low: Set::Ascii, high }
    }

    /// Decodes `bytes`.
    pub(super) fn decode(&self, bytes: &[u8], kind: Kind) -> String {
        let mut out = String::with_capacity(bytes.len());
        let mut state = self.state();
        let mut rest = bytes;
        while let [byte, after @ ..] = rest {
            if *byte == ESCAPE {
                let (designation, length) = escape(after);
                match designation {
                    Some(Designation::Low(set)) => state.low = set,
                    Some(Designation::High(set)) => state.high = Some(set),
                    None => out.push(char::REPLACEMENT_CHARACTER),
                }
                rest = after.get(length..).unwrap_or_default();
                continue;
            }
            if state.low == Set::Ascii && resets(*byte, kind) || matches!(byte, 9 | 10 | 12 | 13) {
                state = self.state();
                out.push(char::from(*byte));
                rest = after;
                continue;
            }
            let length = character(state, *byte, after, &mut out);
            rest = rest.get(length.max(1)..).unwrap_or_default();
        }
        out
    }
}

/// Whether `byte` separates parts of a value of that kind.
fn resets(byte: u8, kind: Kind) -> bool {
    match kind {
        Kind::Block => false,
        Kind::Values => byte == b'\\',
        Kind::Names => matches!(byte, b'\\' | b'^' | b'='),
    }
}

/// Decodes the character that begins with `byte`; returns its length in bytes.
fn character(state: State, byte: u8, after: &[u8], out: &mut String) -> usize {
    let next = after.first().copied();
    if byte < 0x80 {
        let pair = next.filter(|second| {
            state.low != Set::Ascii
                && (0x21..=0x7E).contains(&byte)
                && (0x21..=0x7E).contains(second)
        });
        let Some(second) = pair else {
            out.push(char::from(byte));
            return 1;
        };
        let (a, b) = (byte | 0x80, second | 0x80);
        if state.low == Set::JisX0212 {
            push(EUC_JP, &[0x8F, a, b], out);
        } else {
            push(encoding(state.low), &[a, b], out);
        }
        return 2;
    }
    let Some(set) = state.high else {
        out.push(char::REPLACEMENT_CHARACTER);
        return 1;
    };
    let pair = next.filter(|second| {
        if set == Set::JisX0201 {
            matches!(byte, 0x81..=0x9F | 0xE0..=0xFC) && *second >= 0x40
        } else {
            matches!(set, Set::Gb2312 | Set::Korean)
                && !matches!(byte, 0x80 | 0xFF)
                && *second > 0x40
                && !separates(*second)
        }
    });
    if let Some(second) = pair {
        push(encoding(set), &[byte, second], out);
        return 2;
    }
    push(encoding(set), &[byte], out);
    1
}

/// In the sets of two bytes both are above 0x80, so these are never part of a character.
fn separates(byte: u8) -> bool {
    matches!(byte, b'\\' | b'^' | b'=')
}

fn push(encoding: &'static Encoding, bytes: &[u8], out: &mut String) {
    out.push_str(&encoding.decode_without_bom_handling(bytes).0);
}

/// The table of a set. Those of the Latin sets 1 and 5 are the ones that have characters in place
/// of the control codes from 0x80, which DICOM does not use and Windows programs do.
fn encoding(set: Set) -> &'static Encoding {
    match set {
        Set::Ascii | Set::Latin1 | Set::Utf8 => WINDOWS_1252,
        Set::Latin2 => ISO_8859_2,
        Set::Latin3 => ISO_8859_3,
        Set::Latin4 => ISO_8859_4,
        Set::Cyrillic => ISO_8859_5,
        Set::Arabic => ISO_8859_6,
        Set::Greek => ISO_8859_7,
        Set::Hebrew => ISO_8859_8,
        Set::Latin5 => WINDOWS_1254,
        Set::Latin9 => ISO_8859_15,
        Set::Thai => WINDOWS_874,
        Set::JisX0201 => SHIFT_JIS,
        Set::JisX0208 | Set::JisX0212 => EUC_JP,
        Set::Korean => EUC_KR,
        Set::Gb2312 | Set::Gb18030 => GBK,
    }
}

/// What an escape sequence puts where.
enum Designation {
    Low(Set),
    High(Set),
}

/// Reads what follows an escape character: what it designates (none if unknown) and its length.
fn escape(after: &[u8]) -> (Option<Designation>, usize) {
    use Designation::{High, Low};

    let intermediates =
        after.iter().take(INTERMEDIATES_MAX).take_while(|b| (0x20..=0x2F).contains(*b)).count();
    let Some(sequence) = after.get(..=intermediates) else {
        return (None, after.len());
    };
    let designation = match sequence {
        b"(B" | b"(J" => Low(Set::Ascii),
        b"$B" | b"$@" | b"$(B" | b"$(@" => Low(Set::JisX0208),
        b"$(D" => Low(Set::JisX0212),
        b"$A" | b"$(A" => Low(Set::Gb2312),
        b")I" => High(Set::JisX0201),
        b"-A" => High(Set::Latin1),
        b"-B" => High(Set::Latin2),
        b"-C" => High(Set::Latin3),
        b"-D" => High(Set::Latin4),
        b"-L" => High(Set::Cyrillic),
        b"-G" => High(Set::Arabic),
        b"-F" => High(Set::Greek),
        b"-H" => High(Set::Hebrew),
        b"-M" => High(Set::Latin5),
        b"-b" => High(Set::Latin9),
        b"-T" => High(Set::Thai),
        b"$)C" => High(Set::Korean),
        b"$)A" => High(Set::Gb2312),
        _ => return (None, intermediates),
    };
    (Some(designation), intermediates + 1)
}
