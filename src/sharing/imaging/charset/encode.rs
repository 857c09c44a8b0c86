//! Writing text in a character set, for answers.

use encoding_rs::{GB18030, GBK};

use super::Kind;
use super::terms::{self, Set};

/// ISO-IR 58 into G1.
const DESIGNATE_GB2312: &[u8] = b"\x1B$)A";

/// A character set that answers can be written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum Encoding {
    /// The default repertoire, ISO-IR 6.
    #[serde(rename = "ISO_IR 6")]
    Ascii,
    /// `ISO_IR 100`.
    #[serde(rename = "ISO_IR 100")]
    Latin1,
    /// `ISO_IR 192`.
    #[serde(rename = "ISO_IR 192")]
    Utf8,
    /// `GB18030`.
    #[serde(rename = "GB18030")]
    Gb18030,
    /// `GBK`.
    #[serde(rename = "GBK")]
    Gbk,
    /// `\ISO 2022 IR 58`.
    #[serde(rename = "ISO 2022 IR 58")]
    Iso2022Gb2312,
}

/// A text has characters that the character set lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("text has characters that {} lacks", encoding.term())]
pub struct NotRepresentable {
    /// The character set.
    pub encoding: Encoding,
}

impl Encoding {
    /// The value of Specific Character Set (0008,0005).
    pub fn term(self) -> &'static str {
        match self {
            Self::Ascii => "ISO_IR 6",
            Self::Latin1 => "ISO_IR 100",
            Self::Utf8 => "ISO_IR 192",
            Self::Gb18030 => "GB18030",
            Self::Gbk => "GBK",
            Self::Iso2022Gb2312 => "\\ISO 2022 IR 58",
        }
    }

    /// The one that a peer reads who declares (or is configured with) `declared`, a value of
    /// Specific Character Set; none if text is not written in that.
    pub fn read_by(declared: &str) -> Option<Self> {
        let terms: Option<Vec<Set>> =
            declared.split('\\').map(|term| terms::read(term).map(|term| term.set)).collect();
        let terms = terms?;
        let has = |set: Set| terms.contains(&set);
        if has(Set::Utf8) {
            Some(Self::Utf8)
        } else if has(Set::Gb18030) {
            let gbk = declared.to_ascii_uppercase().contains("GBK");
            Some(if gbk { Self::Gbk } else { Self::Gb18030 })
        } else if has(Set::Gb2312) {
            Some(Self::Iso2022Gb2312)
        } else if terms.iter().all(|set| matches!(set, Set::Ascii | Set::Latin1)) {
            Some(if has(Set::Latin1) { Self::Latin1 } else { Self::Ascii })
        } else {
            None
        }
    }

    /// The one to take when this cannot represent a text: GB18030 for those who read Chinese sets,
    /// UTF-8 for the others. Only a code point for private use (U+E5E5) is not in GB18030.
    #[must_use]
    pub fn fallback(self) -> Self {
        match self {
            Self::Gb18030 | Self::Gbk | Self::Iso2022Gb2312 => Self::Gb18030,
            Self::Ascii | Self::Latin1 | Self::Utf8 => Self::Utf8,
        }
    }

    /// Encodes `text`.
    pub fn encode(self, text: &str, kind: Kind) -> Result<Vec<u8>, NotRepresentable> {
        let lacks = NotRepresentable { encoding: self };
        if text.is_ascii() {
            return Ok(text.as_bytes().to_vec());
        }
        match self {
            Self::Ascii => Err(lacks),
            Self::Utf8 => Ok(text.as_bytes().to_vec()),
            Self::Latin1 => text
                .chars()
                .map(|c| u8::try_from(u32::from(c)).ok().filter(|b| !(0x80..0xA0).contains(b)))
                .collect::<Option<_>>()
                .ok_or(lacks),
            Self::Gb18030 => {
                let (bytes, _, unmappable) = GB18030.encode(text);
                if unmappable { Err(lacks) } else { Ok(bytes.into_owned()) }
            }
            Self::Gbk => {
                // Windows writes the euro sign as one byte, which GBK itself does not have.
                let (bytes, _, unmappable) = GBK.encode(text);
                if unmappable || text.contains('€') { Err(lacks) } else { Ok(bytes.into_owned()) }
            }
            Self::Iso2022Gb2312 => gb2312(text, kind).ok_or(lacks),
        }
    }
}

/// With the escape sequence before the first character that needs it in each part of the value
/// (PS3.5, 6.1.2.5.3 and K.2).
fn gb2312(text: &str, kind: Kind) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len().saturating_add(16));
    let mut designated = false;
    let mut buffer = [0; 4];
    for c in text.chars() {
        if c.is_ascii() {
            let delimiter = matches!(
                (c, kind),
                ('\n' | '\r' | '\u{C}' | '\t', _)
                    | ('\\', Kind::Values | Kind::Names)
                    | ('^' | '=', Kind::Names)
            );
            designated &= !delimiter;
            out.push(u8::try_from(c).ok()?);
            continue;
        }
        let (bytes, _, unmappable) = GBK.encode(c.encode_utf8(&mut buffer));
        let &[row, cell] = bytes.as_ref() else { return None };
        if unmappable || !in_gb2312(row, cell) {
            return None;
        }
        if !designated {
            out.extend_from_slice(DESIGNATE_GB2312);
            designated = true;
        }
        out.extend_from_slice(&[row, cell]);
    }
    Some(out)
}

/// Whether GB 2312-80 has a character there; GBK filled some of its gaps.
fn in_gb2312(row: u8, cell: u8) -> bool {
    matches!(
        (row, cell),
        (0xA1 | 0xA3 | 0xB0..=0xD6 | 0xD8..=0xF7, 0xA1..=0xFE)
            | (0xA2, 0xB1..=0xE2 | 0xE5..=0xEE | 0xF1..=0xFC)
            | (0xA4, 0xA1..=0xF3)
            | (0xA5, 0xA1..=0xF6)
            | (0xA6, 0xA1..=0xB8 | 0xC1..=0xD8)
            | (0xA7, 0xA1..=0xC1 | 0xD1..=0xF1)
            | (0xA8, 0xA1..=0xBA | 0xC5..=0xE9)
            | (0xA9, 0xA4..=0xEF)
            | (0xD7, 0xA1..=0xF9)
    )
}
