//! How values travel to the database and lie in it: UIDs packed, digests cut in two, many rows as
//! one JSON text, so that one statement (one trip to the connection's thread) adds them all.

use std::fmt::Write as _;

use crate::sharing::imaging::object::Digest;

/// Begins a UID that is kept as it came, because it has other characters than digits and dots.
const PLAIN: u8 = 0xFF;

/// Two characters a byte: digits as they are, a dot as 10, nothing as 15. UIDs that cannot be
/// written so are kept as they came, after a byte that no packed one begins with.
pub(super) fn pack_uid(uid: &str) -> Vec<u8> {
    let nibble = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'.' => Some(10),
        _ => None,
    };
    let packed: Option<Vec<u8>> = uid
        .as_bytes()
        .chunks(2)
        .map(|pair| {
            let high = nibble(pair.first().copied()?)?;
            let low = pair.get(1).map_or(Some(15), |&byte| nibble(byte))?;
            Some(high << 4 | low)
        })
        .collect();
    packed.unwrap_or_else(|| {
        let mut plain = Vec::with_capacity(uid.len() + 1);
        plain.push(PLAIN);
        plain.extend_from_slice(uid.as_bytes());
        plain
    })
}

/// What [`pack_uid`] packed.
pub(super) fn unpack_uid(packed: &[u8]) -> String {
    if let Some((&PLAIN, plain)) = packed.split_first() {
        return String::from_utf8_lossy(plain).into_owned();
    }
    let mut uid = String::with_capacity(packed.len() * 2);
    for nibble in packed.iter().flat_map(|byte| [byte >> 4, byte & 15]) {
        match nibble {
            0..=9 => uid.push(char::from(b'0' + nibble)),
            10 => uid.push('.'),
            _ => {}
        }
    }
    uid
}

/// The first 8 bytes of a digest, by which it is found, and the others.
pub(super) fn cut_digest(digest: &Digest) -> (i64, &[u8]) {
    let (head, rest) = digest.0.split_at(8);
    (head.iter().fold(0_i64, |number, &byte| number << 8 | i64::from(byte)), rest)
}

/// What [`cut_digest`] cut; none if `rest` is not 24 bytes.
pub(super) fn join_digest(head: i64, rest: &[u8]) -> Option<Digest> {
    let mut bytes = Vec::with_capacity(32);
    bytes.extend_from_slice(&head.to_be_bytes());
    bytes.extend_from_slice(rest);
    bytes.try_into().ok().map(Digest)
}

/// A number for the database, which knows no larger one.
pub(super) fn int(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A number from the database; what cannot be is 0.
pub(super) fn count(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

/// Rows as a JSON array of arrays.
#[derive(Debug)]
pub(super) struct Rows {
    text: String,
    rows: usize,
}

impl Rows {
    pub(super) fn new() -> Self {
        Self { text: "[".to_owned(), rows: 0 }
    }

    /// Begins the next row.
    pub(super) fn row(&mut self) -> &mut Self {
        self.text.push_str(if self.rows == 0 { "[" } else { "],[" });
        self.rows += 1;
        self
    }

    pub(super) fn int(&mut self, number: i64) -> &mut Self {
        self.comma();
        // Writing to a string cannot fail.
        let _ = write!(self.text, "{number}");
        self
    }

    pub(super) fn maybe(&mut self, number: Option<i64>) -> &mut Self {
        if let Some(number) = number {
            return self.int(number);
        }
        self.comma();
        self.text.push_str("null");
        self
    }

    /// Bytes as hex digits.
    pub(super) fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        const DIGITS: [char; 16] =
            ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
        self.comma();
        self.text.push('"');
        for nibble in bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]) {
            self.text.push(DIGITS.get(usize::from(nibble)).copied().unwrap_or('0'));
        }
        self.text.push('"');
        self
    }

    /// Text; without NUL, which the database takes for its end.
    pub(super) fn text(&mut self, text: &str) -> &mut Self {
        self.comma();
        self.text.push('"');
        for c in text.chars() {
            match c {
                '"' => self.text.push_str("\\\""),
                '\\' => self.text.push_str("\\\\"),
                '\0' => {}
                '\u{1}'..='\u{1F}' => {
                    let _ = write!(self.text, "\\u{:04x}", u32::from(c));
                }
                c => self.text.push(c),
            }
        }
        self.text.push('"');
        self
    }

    pub(super) fn len(&self) -> usize {
        self.rows
    }

    pub(super) fn finish(mut self) -> String {
        self.text.push_str(if self.rows == 0 { "]" } else { "]]" });
        self.text
    }

    fn comma(&mut self) {
        if !self.text.ends_with('[') {
            self.text.push(',');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Rows, cut_digest, join_digest, pack_uid, unpack_uid};
    use crate::sharing::imaging::object::Digest;

    #[test]
    fn every_uid_comes_back_and_no_two_are_alike() {
        let uids = [
            "",
            "1",
            "1.2",
            "1.2.840.10008.1.2",
            "0",
            "00",
            ".",
            "1.2a",
            "x",
            "\u{FF}",
            "1F",
            "1?",
        ];
        for uid in uids {
            assert_eq!(unpack_uid(&pack_uid(uid)), uid);
        }
        let packed: std::collections::HashSet<_> = uids.iter().map(|uid| pack_uid(uid)).collect();
        assert_eq!(packed.len(), uids.len());
        assert_eq!(pack_uid(&"1.".repeat(32)).len(), 32);
    }

    #[test]
    fn a_digest_is_joined_as_it_was_cut() {
        for byte in [0, 0x7F, 0x80, 0xFF] {
            let digest = Digest([byte; 32]);
            let (head, rest) = cut_digest(&digest);
            assert_eq!(join_digest(head, rest), Some(digest));
        }
        assert_eq!(join_digest(0, &[0; 23]), None);
    }

    #[test]
    fn rows_are_json_whatever_stands_in_them() {
        let mut rows = Rows::new();
        rows.row().text("a\"\\\n\0𠮷[").int(-1).maybe(None).bytes(&[0, 0xAF]);
        rows.row();
        rows.row().text("[").text("[");
        assert_eq!(rows.len(), 3);
        let read: serde_json::Value = serde_json::from_str(&rows.finish()).unwrap();
        assert_eq!(read, serde_json::json!([["a\"\\\n𠮷[", -1, null, "00af"], [], ["[", "["]]));
        assert_eq!(Rows::new().finish(), "[]");
    }
}
