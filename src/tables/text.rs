//! Folding of Chinese clinical text to one form, with a way back to the original bytes.
//!
//! Full width becomes half width and compatibility forms become plain (Unicode NFKC), traditional
//! becomes simplified, Latin letters become lower case. Dictionaries are folded with the same
//! function, so that text and dictionary meet.

use std::borrow::Cow;

use unicode_normalization::UnicodeNormalization as _;

/// Bytes in small hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Text as a page (HTML) holds it, in an attribute too; control characters become spaces.
pub fn markup(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

/// Whether a line of text shows as it is written: no control characters, no breaks of lines, no marks that
/// turn the direction of writing.
pub fn is_printable(text: &str) -> bool {
    text.chars().all(shows)
}

/// The text with what does not show as it is written spelled out, so that a table cannot be forged by what
/// stands in it.
pub fn printable(text: &str) -> Cow<'_, str> {
    if is_printable(text) {
        return Cow::Borrowed(text);
    }
    let spelled = text.chars().fold(String::with_capacity(text.len()), |mut out, c| {
        if shows(c) {
            out.push(c);
        } else {
            out.extend(c.escape_unicode());
        }
        out
    });
    Cow::Owned(spelled)
}

fn shows(c: char) -> bool {
    let is_mark = matches!(
        c,
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    );
    !c.is_control() && !is_mark
}

/// Folded text that remembers where each folded byte came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folded {
    /// The folded text.
    pub text: String,
    /// For each byte of `text`, and one past its end, the byte offset in the original.
    origin: Vec<u32>,
}

impl Folded {
    /// Folds `original`, which may not exceed 4 GiB.
    pub fn new(original: &str) -> Self {
        let mut plain = String::with_capacity(original.len());
        let mut starts = Vec::with_capacity(original.len() / 2);
        for (at, c) in original.char_indices() {
            let at = u32::try_from(at).unwrap_or(u32::MAX);
            if is_plain(c) {
                plain.push(c);
                starts.push(at);
                continue;
            }
            for folded in std::iter::once(c).nfkc() {
                plain.push(folded);
                starts.push(at);
            }
        }
        // One character in, one out; a few depend on their neighbours, hence the whole text.
        let simplified = fast2s::convert(&plain);
        let mut text = String::with_capacity(simplified.len());
        let mut origin = Vec::with_capacity(simplified.len() + 1);
        let mut buffer = [0_u8; 4];
        for (c, at) in simplified.chars().zip(starts) {
            for lower in c.to_lowercase() {
                let piece = lower.encode_utf8(&mut buffer);
                text.push_str(piece);
                origin.extend(std::iter::repeat_n(at, piece.len()));
            }
        }
        origin.push(u32::try_from(original.len()).unwrap_or(u32::MAX));
        Self { text, origin }
    }

    /// The byte offset in the original of byte `at` of the folded text.
    pub fn origin(&self, at: usize) -> usize {
        let last = self.origin.last().copied().unwrap_or(0);
        usize::try_from(self.origin.get(at).copied().unwrap_or(last)).unwrap_or(usize::MAX)
    }
}

/// Characters that NFKC leaves as they are, and of which nearly all text is made: ASCII and the
/// first block of Chinese characters.
fn is_plain(c: char) -> bool {
    c.is_ascii() || ('\u{4e00}'..='\u{9fff}').contains(&c)
}

/// The folded form alone.
pub fn fold(original: &str) -> String {
    if original.is_ascii() {
        return original.to_ascii_lowercase();
    }
    let plain = if original.chars().all(is_plain) {
        Cow::Borrowed(original)
    } else {
        Cow::Owned(original.chars().flat_map(|c| std::iter::once(c).nfkc()).collect())
    };
    let simplified = fast2s::convert(&plain);
    let capital =
        |c: char| c.is_ascii_uppercase() || !is_plain(c) && c.to_lowercase().next() != Some(c);
    if simplified.chars().any(capital) {
        simplified.chars().flat_map(char::to_lowercase).collect()
    } else {
        simplified
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_show_is_told_from_what_does_and_spelled_out() {
        for fine in ["", "CYXJ-9", "饶建国 ℃ é", "𠮷"] {
            assert!(is_printable(fine) && printable(fine) == fine, "{fine}");
        }
        for (text, spelled) in [
            ("a\n2026", "a\\u{a}2026"),
            ("\u{1b}[1A", "\\u{1b}[1A"),
            ("a\u{202e}b", "a\\u{202e}b"),
            ("\u{2066}x\u{2069}", "\\u{2066}x\\u{2069}"),
            ("\u{85}\u{2028}\u{200f}\u{61c}", "\\u{85}\\u{2028}\\u{200f}\\u{61c}"),
        ] {
            assert!(!is_printable(text), "{spelled}");
            assert_eq!(printable(text), spelled);
        }
    }

    #[test]
    fn full_width_traditional_and_capitals_fold_to_one_form() {
        assert_eq!(fold("發熱３８．９℃，ＳｐＯ２ ９５％"), "发热38.9°c,spo2 95%");
    }

    #[test]
    fn the_form_alone_is_that_of_the_long_way() {
        for text in
            ["發熱３８．９℃", "NS 100ml＋維生素Ｃ", "", "Q8h PO", "İstanbul Ⅱ 頭痛", "阿莫西林"]
        {
            assert_eq!(fold(text), Folded::new(text).text, "{text}");
        }
    }

    #[test]
    fn folded_bytes_lead_back_to_the_original() {
        let folded = Folded::new("℃頭痛");
        assert_eq!(folded.text, "°c头痛");
        assert_eq!(folded.origin(3), "℃".len());
        assert_eq!(folded.origin(folded.text.len()), "℃頭痛".len());
    }
}
