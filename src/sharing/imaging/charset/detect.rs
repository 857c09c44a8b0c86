//! Which character set bytes are in that nobody declared, or that were declared as `ISO_IR 100`:
//! UTF-8, GB18030 (of which GBK is a part), or something else.
//!
//! All text of a data set is weighed together. Chinese is recognised by characters that are
//! frequent in Chinese; valid pairs alone prove little, since every second pair of Cyrillic letters
//! is some hanzi and an umlaut before a letter is a rare one.

use encoding_rs::GB18030;

use super::Scheme;
use super::hanzi::is_common;

/// Bytes that are weighed at most.
const SAMPLE_BYTES_MAX: usize = 16_384;
/// Points from which text is taken for Chinese: one common character (3) and a rare one that may
/// as well be two letters (-2).
const POINTS_MIN: i64 = 1;
/// Bytes from which what looks like a word of an alphabet hardly is Chinese.
const LONG_WORD_BYTES: usize = 6;

/// The scheme that the values fit, if it is UTF-8 or GB18030.
pub(super) fn detect<'a>(values: impl Iterator<Item = &'a [u8]>) -> Option<Scheme> {
    let mut utf8 = Utf8::default();
    let mut gb = Gb::default();
    let mut left = SAMPLE_BYTES_MAX;
    for value in values {
        let value = value.get(..left).unwrap_or(value);
        left = left.saturating_sub(value.len());
        utf8.weigh(value);
        gb.weigh(value);
        if left == 0 {
            break;
        }
    }
    if utf8.fits() && (utf8.wide > 0 || utf8.in_words > 0 || !gb.fits(60)) {
        Some(Scheme::Utf8)
    } else if gb.fits(gb.common_percent_min()) {
        Some(Scheme::Gb18030)
    } else {
        None
    }
}

/// Whether `value` is UTF-8, apart from a character cut at its end.
pub(super) fn is_utf8(value: &[u8]) -> bool {
    std::str::from_utf8(value).map_or_else(|e| e.error_len().is_none(), |_| true)
}

/// Whether `value` is GB18030, apart from a character cut at its end.
pub(super) fn is_gb18030(value: &[u8]) -> bool {
    let mut gb = Gb::default();
    gb.weigh(value);
    gb.invalid == 0
}

/// How much speaks for UTF-8.
#[derive(Debug, Default)]
struct Utf8 {
    /// Values that are not UTF-8.
    invalid: u32,
    /// Characters of three or four bytes.
    wide: u32,
    /// Letters of two bytes.
    letters: u32,
    /// Those that stand beside small ASCII letters.
    in_words: u32,
    /// Other characters of two bytes.
    odd: u32,
}

impl Utf8 {
    fn weigh(&mut self, value: &[u8]) {
        let text = match std::str::from_utf8(value) {
            Ok(text) => text,
            Err(error) if error.error_len().is_none() => {
                let valid = value.get(..error.valid_up_to()).unwrap_or_default();
                std::str::from_utf8(valid).unwrap_or_default()
            }
            Err(_) => {
                self.invalid = self.invalid.saturating_add(1);
                return;
            }
        };
        let mut before = ' ';
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            match u32::from(c) {
                0..0x80 => {}
                0x800.. => self.wide = self.wide.saturating_add(1),
                0xA0..=0x24F | 0x370..=0x45F | 0x5D0..=0x5EA | 0x620..=0x64A => {
                    self.letters = self.letters.saturating_add(1);
                    let beside = before.is_ascii_lowercase()
                        || chars.peek().is_some_and(char::is_ascii_lowercase);
                    self.in_words = self.in_words.saturating_add(u32::from(beside));
                }
                _ => self.odd = self.odd.saturating_add(1),
            }
            before = c;
        }
    }

    fn fits(&self) -> bool {
        self.invalid == 0
            && self.odd <= self.letters / 8 + self.wide
            && self.letters + self.wide > 0
    }
}

/// How much speaks for GB18030.
#[derive(Debug, Default)]
struct Gb {
    points: i64,
    /// Characters of two or four bytes.
    characters: u32,
    /// Those that are frequent in Chinese.
    common: u32,
    /// Places that are no GB18030.
    invalid: u32,
    /// Runs of bytes above ASCII.
    runs: u32,
    /// Runs that read as words of an alphabet: no capital after a small letter.
    words: u32,
    /// Those of six bytes or more.
    long_words: u32,
}

impl Gb {
    fn weigh(&mut self, value: &[u8]) {
        let mut before = b' ';
        let mut rest = value;
        while let [byte, after @ ..] = rest {
            if byte.is_ascii() {
                before = *byte;
                rest = after;
                continue;
            }
            // A run of characters; its pairs may end in an ASCII byte.
            let mut run = Run::default();
            let capitals = matches!(rest, [0xC0..=0xDE, 0xC0..=0xDE, ..]);
            while let [lead, after @ ..] = rest
                && !lead.is_ascii()
            {
                let length = run.character(*lead, after);
                rest = rest.get(length..).unwrap_or_default();
            }
            let after = rest.first().copied().unwrap_or(b' ');
            let beside = |is: fn(&u8) -> bool| is(&before) || is(&after);
            let in_word =
                beside(u8::is_ascii_lowercase) || capitals && beside(u8::is_ascii_uppercase);
            if run.characters == 1 && in_word || run.letters > 0 && beside(u8::is_ascii_alphabetic)
            {
                // `Þórður`, `PÄÄSKY`: two letters of Latin-1 in a row within a word; `TÖRÄÄ`: such
                // and more of them.
                run.points = run.points.min(0).saturating_sub(2);
                run.common = 0;
            }
            self.points = self.points.saturating_add(run.points);
            self.characters = self.characters.saturating_add(run.characters);
            self.common = self.common.saturating_add(run.common);
            self.invalid = self.invalid.saturating_add(run.invalid);
            before = b' ';
        }
        for run in value.split(u8::is_ascii).filter(|run| !run.is_empty()) {
            self.runs = self.runs.saturating_add(1);
            let word = is_word(run);
            self.words = self.words.saturating_add(u32::from(word));
            self.long_words =
                self.long_words.saturating_add(u32::from(word && run.len() >= LONG_WORD_BYTES));
        }
    }

    /// How many of a hundred characters must be common. Hardly any Chinese reads as a long Cyrillic
    /// word, one name of two characters in thirty as a short one.
    fn common_percent_min(&self) -> u32 {
        if self.words.saturating_mul(2) < self.runs {
            40
        } else if self.long_words == 0 {
            60
        } else {
            90
        }
    }

    /// Whether it is Chinese, with at least that many common characters among a hundred.
    fn fits(&self, common_percent: u32) -> bool {
        self.points >= POINTS_MIN
            && self.common > 0
            && self.common.saturating_mul(100) >= self.characters.saturating_mul(common_percent)
            && self.invalid.saturating_mul(8) <= self.characters
    }
}

/// A run of characters that begin above ASCII.
#[derive(Debug, Default)]
struct Run {
    points: i64,
    characters: u32,
    common: u32,
    invalid: u32,
    /// Characters whose second byte is an ASCII letter.
    letters: u32,
}

impl Run {
    /// Weighs the character that begins with `lead`; returns its length in bytes.
    fn character(&mut self, lead: u8, after: &[u8]) -> usize {
        let (points, length) = match (lead, after) {
            (0x80 | 0xFF, _) | (_, [0..0x30 | 0x3A..0x40 | 0x7F | 0xFF, ..]) => {
                self.invalid = self.invalid.saturating_add(1);
                (-3, 1)
            }
            // Cut at the end of a value too long for its VR, or a last letter of Latin-1.
            (_, []) => (-2, 1),
            (_, [b'0'..=b'9', ..]) => match after {
                [b, c @ 0x81..=0xFE, d @ b'0'..=b'9', ..]
                    if decoded(&[lead, *b, *c, *d]).is_some() =>
                {
                    self.characters = self.characters.saturating_add(1);
                    (0, 4)
                }
                _ => {
                    self.invalid = self.invalid.saturating_add(1);
                    (-3, 1)
                }
            },
            (_, [second, ..]) => {
                self.characters = self.characters.saturating_add(1);
                (self.pair(lead, *second), 2)
            }
        };
        self.points = self.points.saturating_add(points);
        length
    }

    fn pair(&mut self, lead: u8, second: u8) -> i64 {
        self.letters = self.letters.saturating_add(u32::from(second.is_ascii_alphabetic()));
        match decoded(&[lead, second]) {
            // With an ASCII byte it may as well be a letter of Latin-1 and one of ASCII (`ÉF`).
            Some(c) if is_common(c) && second < 0x80 => 0,
            Some(c) if is_common(c) => {
                self.common = self.common.saturating_add(1);
                3
            }
            // Punctuation, letters and digits of full width.
            Some('\u{3000}'..='\u{303F}' | '\u{FF01}'..='\u{FF5E}') => {
                self.common = self.common.saturating_add(u32::from(second >= 0xA1));
                0
            }
            None | Some('\u{E000}'..='\u{F8FF}') => -3,
            Some(_) => match (lead, second) {
                // The first 3,755 hanzi of GB 2312, in the order of their pronunciation.
                (0xB0..=0xD7, 0xA1..) => 1,
                (_, 0x80..) | (0x81..=0xA0, _) => 0,
                (_, b'a'..=b'z') => -2,
                _ => -1,
            },
        }
    }
}

/// The one character that `bytes` are, if they are one.
fn decoded(bytes: &[u8]) -> Option<char> {
    let text = GB18030.decode_without_bom_handling_and_without_replacement(bytes)?;
    let mut chars = text.chars();
    chars.next().filter(|_| chars.next().is_none())
}

/// Whether a run of four bytes or more reads as a word in ISO 8859-5, Windows-1251 or KOI8: small
/// letters after at most one capital, or capitals only.
fn is_word(run: &[u8]) -> bool {
    let shaped = |capital: fn(u8) -> bool, small: fn(u8) -> bool| {
        let Some((first, others)) = run.split_first() else { return false };
        (capital(*first) || small(*first)) && others.iter().all(|b| small(*b))
            || run.iter().all(|b| capital(*b))
    };
    run.len() >= 4
        && (shaped(|b| matches!(b, 0xA1..=0xCF), |b| matches!(b, 0xD0..=0xFF))
            || shaped(|b| matches!(b, 0xC0..=0xDF | 0xA8), |b| matches!(b, 0xE0..=0xFF | 0xB8))
            || shaped(|b| matches!(b, 0xE0..=0xFF | 0xB3), |b| matches!(b, 0xC0..=0xDF | 0xA3)))
}
