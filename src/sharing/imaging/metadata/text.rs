//! Values as JSON has them: numbers from bytes and from text, names by group.

use std::io::Write as _;

use dicom_core::VR;

use crate::sharing::imaging::structure::Coding;
use crate::sharing::imaging::value::NameGroups;

/// Whole numbers that every reader of JSON can hold lie below this (RFC 8259, 6).
const EXACT_MAX: u64 = 1 << 53;

/// The numbers in `bytes`, `width` bytes each, little-endian.
pub(super) fn numbers<const N: usize>(
    bytes: &[u8],
    coding: Coding,
) -> impl Iterator<Item = [u8; N]> + '_ {
    let (whole, _) = bytes.as_chunks::<N>();
    whole.iter().map(move |number| {
        let mut number = *number;
        if coding == Coding::ExplicitBig {
            number.reverse();
        }
        number
    })
}

/// The first value as a whole number.
pub(super) fn first_number(vr: VR, coding: Coding, bytes: &[u8]) -> Option<u32> {
    if matches!(vr, VR::US | VR::SS) {
        return numbers::<2>(bytes, coding).next().map(|n| u16::from_le_bytes(n).into());
    }
    if matches!(vr, VR::UL | VR::SL) {
        return numbers::<4>(bytes, coding).next().map(u32::from_le_bytes);
    }
    let text = std::str::from_utf8(bytes).ok()?;
    text.split('\\').next()?.trim_matches([' ', '\0']).parse().ok()
}

/// Writes the values of a binary number VR, separated by commas.
pub(super) fn write_numbers(out: &mut Vec<u8>, vr: VR, coding: Coding, bytes: &[u8]) {
    let mut first = true;
    let mut put = |text: std::fmt::Arguments<'_>| {
        if !std::mem::take(&mut first) {
            out.push(b',');
        }
        // Writing to memory does not fail.
        drop(out.write_fmt(text));
    };
    if vr == VR::US {
        numbers::<2>(bytes, coding).for_each(|n| put(format_args!("{}", u16::from_le_bytes(n))));
    } else if vr == VR::SS {
        numbers::<2>(bytes, coding).for_each(|n| put(format_args!("{}", i16::from_le_bytes(n))));
    } else if vr == VR::UL {
        numbers::<4>(bytes, coding).for_each(|n| put(format_args!("{}", u32::from_le_bytes(n))));
    } else if vr == VR::SL {
        numbers::<4>(bytes, coding).for_each(|n| put(format_args!("{}", i32::from_le_bytes(n))));
    } else if vr == VR::UV {
        for number in numbers::<8>(bytes, coding).map(u64::from_le_bytes) {
            let quote = if number > EXACT_MAX { "\"" } else { "" };
            put(format_args!("{quote}{number}{quote}"));
        }
    } else if vr == VR::SV {
        for number in numbers::<8>(bytes, coding).map(i64::from_le_bytes) {
            let quote = if number.unsigned_abs() > EXACT_MAX { "\"" } else { "" };
            put(format_args!("{quote}{number}{quote}"));
        }
    } else if vr == VR::FL {
        numbers::<4>(bytes, coding).for_each(|n| put_float(&mut put, f32::from_le_bytes(n).into()));
    } else if vr == VR::FD {
        numbers::<8>(bytes, coding).for_each(|n| put_float(&mut put, f64::from_le_bytes(n)));
    } else if vr == VR::AT {
        for tag in bytes.as_chunks::<4>().0 {
            let mut halves = numbers::<2>(tag, coding).map(u16::from_le_bytes);
            let mut half = || halves.next().unwrap_or_default();
            let (group, element) = (half(), half());
            put(format_args!("\"{group:04X}{element:04X}\""));
        }
    }
}

/// What is no number in JSON is a string (PS3.18, table F.2.3-1, note).
fn put_float(put: &mut impl FnMut(std::fmt::Arguments<'_>), number: f64) {
    if number.is_finite() {
        put(format_args!("{number:?}"));
    } else if number.is_nan() {
        put(format_args!("\"NaN\""));
    } else {
        put(format_args!("\"{}\"", if number > 0.0 { "inf" } else { "-inf" }));
    }
}

/// Writes `text` as a JSON string.
pub(super) fn write_string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    let plain = |byte: u8| byte >= 0x20 && byte != b'"' && byte != b'\\';
    if text.bytes().all(plain) {
        out.extend_from_slice(text.as_bytes());
    } else {
        for c in text.chars() {
            match c {
                '"' => out.extend_from_slice(b"\\\""),
                '\\' => out.extend_from_slice(b"\\\\"),
                c if c < ' ' => drop(write!(out, "\\u{:04x}", u32::from(c))),
                c => drop(write!(out, "{c}")),
            }
        }
    }
    out.push(b'"');
}

/// Writes a DS or IS as the number it is, with every digit it has; as a string if it is none.
pub(super) fn write_decimal(out: &mut Vec<u8>, text: &str, whole: bool) {
    if is_number(text, whole) {
        return out.extend_from_slice(text.as_bytes());
    }
    match decimal(text, whole) {
        Some(number) => out.extend_from_slice(number.as_bytes()),
        None => write_string(out, text),
    }
}

/// Whether `text` is in the grammar of JSON as it stands, and not so long that it could be infinite.
fn is_number(text: &str, whole: bool) -> bool {
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (before, after) = unsigned.split_once('.').unwrap_or((unsigned, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    text.len() <= 16
        && digits(before)
        && digits(after)
        && (before.len() == 1 || !before.starts_with('0'))
        && (!whole || before.len() == unsigned.len())
}

/// A decimal string in the grammar of JSON (RFC 8259, 6).
fn decimal(text: &str, whole: bool) -> Option<String> {
    let (sign, rest) = match text.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    let (mantissa, exponent) = match rest.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (rest, None),
    };
    let (before, after) = match mantissa.split_once('.') {
        Some((before, after)) => (before, Some(after)),
        None => (mantissa, None),
    };
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if before.is_empty() && after.unwrap_or_default().is_empty() {
        return None;
    }
    if !digits(before) || !digits(after.unwrap_or_default()) {
        return None;
    }
    let before = before.trim_start_matches('0');
    let mut out = format!("{sign}{}", if before.is_empty() { "0" } else { before });
    if let Some(after) = after.filter(|after| !after.is_empty()) {
        // Some write whole numbers with a fraction of zero.
        if !whole || after.bytes().any(|b| b != b'0') {
            out.push('.');
            out.push_str(after);
        }
    }
    if let Some(exponent) = exponent {
        let unsigned = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        if unsigned.is_empty() || !digits(unsigned) {
            return None;
        }
        out.push('e');
        out.push_str(exponent);
    }
    // Beyond what a reader can hold it would become infinite.
    out.parse::<f64>().is_ok_and(f64::is_finite).then_some(out)
}

/// Writes one person's name; nothing of it is `{}`, which no reader stumbles over.
pub(super) fn write_name(out: &mut Vec<u8>, text: &str) {
    let groups = NameGroups::of(text);
    let named = [
        ("Alphabetic", groups.alphabetic),
        ("Ideographic", groups.ideographic),
        ("Phonetic", groups.phonetic),
    ];
    out.push(b'{');
    for (at, (name, group)) in named.into_iter().filter(|(_, g)| !g.is_empty()).enumerate() {
        if at > 0 {
            out.push(b',');
        }
        write_string(out, name);
        out.push(b':');
        write_string(out, group);
    }
    out.push(b'}');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_keep_every_digit_in_the_grammar_of_json() {
        for (text, expected) in [
            ("1", Some("1")),
            ("+1.50", Some("1.50")),
            ("-.5", Some("-0.5")),
            ("1.", Some("1")),
            ("007", Some("7")),
            ("0", Some("0")),
            ("-0.0", Some("-0.0")),
            ("0.12345678901234567890", Some("0.12345678901234567890")),
            ("1E+3", Some("1e+3")),
            ("1e-3", Some("1e-3")),
            ("", None),
            (".", None),
            ("-", None),
            ("1e", None),
            ("1e+", None),
            ("1e999", None),
            ("1,5", None),
            ("0x10", None),
            ("NaN", None),
            ("1 2", None),
        ] {
            assert_eq!(decimal(text, false).as_deref(), expected, "{text}");
        }
        assert_eq!(decimal("12.000", true).as_deref(), Some("12"));
    }

    proptest::proptest! {
        #[test]
        fn what_is_written_is_json(text in "[-+0-9.eE]{0,12}", string in "\\PC{0,20}[\u{0}-\u{1F}\"\\\\]{0,3}") {
            let mut out = Vec::new();
            write_decimal(&mut out, &text, false);
            let value: serde_json::Value = serde_json::from_slice(&out).unwrap();
            if let (Ok(theirs), Some(ours)) = (text.parse::<f64>(), value.as_f64()) {
                proptest::prop_assert!((theirs - ours).abs() <= theirs.abs() * 1e-15);
            }
            out.clear();
            write_string(&mut out, &string);
            proptest::prop_assert_eq!(serde_json::from_slice::<String>(&out).unwrap(), string);
        }
    }
}
