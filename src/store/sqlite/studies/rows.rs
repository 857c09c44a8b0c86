//! Many rows as one JSON text, so that one statement (one trip to the connection's thread) adds
//! them all.

use std::fmt::Write as _;

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
    use super::Rows;

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
