//! Defined terms of Specific Character Set (PS3.3, C.12.1.1.2, tables C.12-2 to C.12-5) and the
//! other spellings that are met.

/// A character set that text can be in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Set {
    /// ISO-IR 6.
    Ascii,
    /// ISO-IR 100.
    Latin1,
    /// ISO-IR 101.
    Latin2,
    /// ISO-IR 109.
    Latin3,
    /// ISO-IR 110.
    Latin4,
    /// ISO-IR 144.
    Cyrillic,
    /// ISO-IR 127.
    Arabic,
    /// ISO-IR 126.
    Greek,
    /// ISO-IR 138.
    Hebrew,
    /// ISO-IR 148.
    Latin5,
    /// ISO-IR 203.
    Latin9,
    /// ISO-IR 166, TIS 620.
    Thai,
    /// ISO-IR 13 and 14: half-width katakana in G1, JIS romaji in G0.
    JisX0201,
    /// ISO-IR 87, two bytes in G0.
    JisX0208,
    /// ISO-IR 159, two bytes in G0.
    JisX0212,
    /// ISO-IR 149, two bytes in G1.
    Korean,
    /// ISO-IR 58, two bytes in G1.
    Gb2312,
    /// `ISO_IR 192`; not within ISO 2022.
    Utf8,
    /// `GB18030` and `GBK`; not within ISO 2022.
    Gb18030,
}

/// A value of Specific Character Set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Term {
    pub(super) set: Set,
    /// Whether it is a term of code extension (`ISO 2022 ...`).
    pub(super) extension: bool,
}

/// Reads one term; none if it is unknown. Case, `-`, `_` and blanks do not matter.
pub(super) fn read(term: &str) -> Option<Term> {
    let folded: String = term
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|c| c.to_ascii_uppercase())
        .take(32)
        .collect();
    let (name, extension) = match folded.strip_prefix("ISO2022") {
        Some(rest) => (rest, true),
        None => (folded.strip_prefix("ISO").unwrap_or(&folded), false),
    };
    let name = name.strip_prefix("IR").unwrap_or(name);
    let set = match name {
        "" | "6" | "646" | "ASCII" | "USASCII" => Set::Ascii,
        "100" | "88591" | "LATIN1" => Set::Latin1,
        "101" | "88592" | "LATIN2" => Set::Latin2,
        "109" | "88593" => Set::Latin3,
        "110" | "88594" => Set::Latin4,
        "144" | "88595" => Set::Cyrillic,
        "127" | "88596" => Set::Arabic,
        "126" | "88597" => Set::Greek,
        "138" | "88598" => Set::Hebrew,
        "148" | "88599" => Set::Latin5,
        "203" | "885915" => Set::Latin9,
        "166" | "TIS620" => Set::Thai,
        "13" | "14" | "JISX0201" | "SHIFTJIS" | "SJIS" => Set::JisX0201,
        "87" | "JP" => Set::JisX0208,
        "159" => Set::JisX0212,
        "149" | "EUCKR" | "KSX1001" | "KR" => Set::Korean,
        "58" => Set::Gb2312,
        "192" | "UTF8" | "10646" => Set::Utf8,
        "GB18030" | "GBK" | "GB2312" | "CP936" | "936" | "GB" => Set::Gb18030,
        _ => return None,
    };
    Some(Term { set, extension })
}
