//! One form for names.

use std::fmt;

use unicode_normalization::UnicodeNormalization as _;

use super::agree::NameView;
use super::sound::readings_of;
use super::tables::{NameTables, WordKind, is_private};
use crate::sharing::patient::problem::ProblemKind;

/// The dot between the parts of Uyghur and Tibetan names, U+00B7.
pub const DOT: char = '\u{b7}';
/// Stands for a character that was lost on the way (`?`, `□`, a private use area of somebody's own).
pub const LOST: char = '\u{3013}';
/// Characters of a name as it is written that are looked at.
const WRITTEN_CHARS_MAX: usize = 256;
/// Characters of a name at most.
const NAME_CHARS_MAX: usize = 64;

/// A name in one form. `Debug` does not print it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Name {
    text: String,
    folded: String,
    readings: Vec<u32>,
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Name").finish_non_exhaustive()
    }
}

impl Name {
    /// Brings a name to its form, or says why it is none.
    pub fn parse(written: &str, tables: &NameTables) -> Result<Self, ProblemKind> {
        if written.chars().nth(WRITTEN_CHARS_MAX).is_some() {
            return Err(ProblemKind::TooLong);
        }
        if tables.is_absent(written) {
            return Err(ProblemKind::Empty);
        }
        let plain = plain(written, tables);
        let (open, whole) = without_remarks(&plain);
        if is_word(whole.trim(), tables, WordKind::Unknown) {
            return Err(ProblemKind::NameUnknown);
        }
        let kept = without_frame(open.trim(), tables);
        if kept.is_empty() {
            return Err(ProblemKind::Empty);
        }
        if is_word(&kept, tables, WordKind::Unknown) {
            return Err(ProblemKind::NameUnknown);
        }
        if tables.words(WordKind::Hidden).any(|word| kept.contains(word)) {
            return Err(ProblemKind::NameHidden);
        }
        let text = joined(&kept);
        // Only what is not in brackets says who it is: 张伟（儿子） is the name of somebody's son.
        let relative = |word: &str| ends_as_relative(&kept, word) || ends_as_relative(&text, word);
        if tables.words(WordKind::Relative).any(relative) {
            return Err(ProblemKind::NameOfRelative);
        }
        if !text.chars().any(char::is_alphabetic) {
            return Err(if text.contains(LOST) {
                ProblemKind::Characters
            } else {
                ProblemKind::Empty
            });
        }
        if text.chars().any(|c| !is_of_name(c)) {
            return Err(ProblemKind::Characters);
        }
        if text.chars().nth(NAME_CHARS_MAX).is_some() {
            return Err(ProblemKind::TooLong);
        }
        Ok(Self::of_form(text, tables))
    }

    /// From a name that has its form already (of [`Name::text`]).
    pub fn of_form(text: String, tables: &NameTables) -> Self {
        let folded = folded(&text, tables);
        let readings = readings_of(&folded, tables);
        Self { text, folded, readings }
    }

    /// As it is shown: Unicode NFC, half width, U+00B7 between the parts.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// As it is compared: standard and simplified characters, small letters, no separators.
    pub fn folded(&self) -> &str {
        &self.folded
    }

    /// What is compared of it.
    pub fn view(&self) -> NameView<'_> {
        NameView { text: &self.text, folded: &self.folded, readings: &self.readings }
    }

    /// Its form, its folded form and its packed readings, to be kept.
    pub(in crate::sharing::patient) fn parts(&self) -> (&str, &str, &[u32]) {
        (&self.text, &self.folded, &self.readings)
    }

    /// From [`Name::parts`]; none if they cannot be those of a name.
    pub(in crate::sharing::patient) fn of_parts(
        text: &str,
        folded: &str,
        readings: Vec<u32>,
    ) -> Option<Self> {
        let fits = |part: &str| !part.is_empty() && part.chars().nth(NAME_CHARS_MAX * 4).is_none();
        (fits(text) && fits(folded)).then(|| Self {
            text: text.to_owned(),
            folded: folded.to_owned(),
            readings,
        })
    }
}

/// Composed, half width, the characters of the private use area as what they mean, nothing invisible.
fn plain(written: &str, tables: &NameTables) -> String {
    written
        .chars()
        .map(|c| tables.meant(c))
        .filter(|c| !is_invisible(*c))
        .map(|c| if is_private(c) || matches!(c, '\u{fffd}' | '□' | '?' | '？') { LOST } else { c })
        .flat_map(|c| {
            // Width and radicals only: NFKC of a whole name would also take apart what NFC keeps.
            let folds = matches!(c, '\u{2f00}'..='\u{2fdf}' | '\u{ff01}'..='\u{ffee}' | '\u{3000}');
            let mut one = [None; 4];
            if folds {
                for (place, c) in one.iter_mut().zip(std::iter::once(c).nfkc()) {
                    *place = Some(c);
                }
            } else {
                one = [Some(c), None, None, None];
            }
            one.into_iter().flatten()
        })
        .nfc()
        .collect()
}

/// Formatting characters, variation selectors and controls, which no name holds.
pub fn is_invisible(c: char) -> bool {
    (c.is_control() && !c.is_whitespace())
        || matches!(c,
            '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{feff}' | '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e01ef}')
}

/// The name without what stands in brackets, and the name with the brackets alone taken away.
fn without_remarks(name: &str) -> (String, String) {
    let mut depth = 0_u32;
    let (mut open, mut whole) = (String::new(), String::new());
    for c in name.chars() {
        match c {
            '(' | '[' | '{' | '<' | '【' | '〔' | '《' | '「' | '［' => depth += 1,
            ')' | ']' | '}' | '>' | '】' | '〕' | '》' | '」' | '］' => {
                depth = depth.saturating_sub(1);
            }
            c => {
                whole.push(c);
                if depth == 0 {
                    open.push(c);
                }
            }
        }
    }
    (open, whole)
}

fn is_word(name: &str, tables: &NameTables, kind: WordKind) -> bool {
    let folded = name.to_lowercase();
    tables.words(kind).any(|word| word == folded)
}

/// Without labels and titles around it, and without numbers that tell namesakes of a list apart.
fn without_frame(name: &str, tables: &NameTables) -> String {
    let mut kept = name;
    loop {
        let edge = |c: char| {
            c.is_whitespace()
                || c.is_ascii_digit()
                || matches!(c, ':' | '：' | ',' | '，' | '、' | '_' | '/' | '"' | '“' | '”')
        };
        let before = kept;
        kept = kept.trim_matches(edge);
        for word in tables.words(WordKind::Label) {
            if let Some(rest) = strip_word(kept, word, true) {
                kept = rest;
            }
        }
        for word in tables.words(WordKind::Title) {
            for front in [true, false] {
                // 师傅 alone, or 张老师, is no name; the surname alone would be taken for one.
                if let Some(rest) = strip_word(kept, word, front)
                    && rest.chars().filter(|c| c.is_alphabetic()).count() >= 2
                {
                    kept = rest;
                }
            }
        }
        if kept == before {
            return kept.to_owned();
        }
    }
}

/// `name` without `word` at one end. A word in letters must be parted from the name.
fn strip_word<'n>(name: &'n str, word: &str, front: bool) -> Option<&'n str> {
    let is_same = |part: &str| part.to_lowercase() == word;
    let rest = if front {
        let (part, rest) = name.split_at_checked(word.len())?;
        is_same(part).then_some(rest)?
    } else {
        let (rest, part) = name.split_at_checked(name.len().checked_sub(word.len())?)?;
        is_same(part).then_some(rest)?
    };
    let neighbour = if front { rest.chars().next() } else { rest.chars().next_back() };
    let parted = neighbour.is_none_or(|c| !c.is_ascii_alphanumeric());
    // A Chinese word at the front is a label only with its colon or a space behind it.
    let marked = neighbour.is_none_or(|c| !c.is_alphanumeric());
    let fits = if word.is_ascii() { parted } else { !front || marked };
    fits.then_some(rest)
}

fn ends_as_relative(name: &str, word: &str) -> bool {
    let folded = name.to_lowercase();
    folded.strip_suffix(word).is_some_and(|whose| {
        // 李婴儿 is the child of a 李; 婴儿 alone is nobody.
        word.is_ascii() || !whose.is_empty() || word.chars().count() > 1
    })
}

/// The parts of a name with one dot, one space, or nothing between them.
fn joined(name: &str) -> String {
    let parts: Vec<&str> =
        name.split(|c| is_dot(c) || c.is_whitespace()).filter(|part| !part.is_empty()).collect();
    let ideographs = name.chars().filter(|c| is_ideograph(*c)).count();
    if ideographs == 0 {
        return parts.join(" ");
    }
    let by_dot = name.chars().any(is_dot);
    // 张 伟 is padded; 买买提 艾力 lacks its dot.
    let long = parts.iter().filter(|part| part.chars().count() >= 2).count() >= 2;
    let separator = if by_dot || (long && ideographs >= 5) { "\u{b7}" } else { "" };
    parts.join(separator)
}

/// The dot of a name in all the codes that stand for it.
fn is_dot(c: char) -> bool {
    matches!(
        c,
        DOT | '.'
            | '\u{2022}'
            | '\u{2027}'
            | '\u{2219}'
            | '\u{22c5}'
            | '\u{2024}'
            | '\u{25cf}'
            | '\u{2e31}'
            | '\u{30fb}'
            | '\u{ff65}'
            | '\u{ff0e}'
            | '\u{387}'
            | '\u{2e33}'
            | '\u{a78f}'
            | '。'
            | '\u{ff61}'
    )
}

fn is_of_name(c: char) -> bool {
    c.is_alphabetic()
        || is_ideograph(c)
        || matches!(c, DOT | LOST | ' ' | '-' | '\'' | '\u{2019}' | '々')
        || is_mark(c)
}

/// Combining marks that no composed letter exists for.
fn is_mark(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36f}' | '\u{64b}'..='\u{652}' | '\u{f71}'..='\u{f84}')
}

/// Ideographs, the rare ones of the supplementary planes and the compatibility blocks included.
pub(super) fn is_ideograph(c: char) -> bool {
    matches!(c,
        '\u{3007}' | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}'
        | '\u{20000}'..='\u{3ffff}')
}

fn folded(text: &str, tables: &NameTables) -> String {
    let mut folded = String::with_capacity(text.len());
    let mut buffer = [0; 4];
    for c in text.chars() {
        if is_ideograph(c) {
            // One at a time: a name and a part of it must come out alike. The conversion knows
            // characters of three bytes only.
            let simple = if c.len_utf8() == 3 {
                fast2s::convert(c.encode_utf8(&mut buffer)).chars().next().unwrap_or(c)
            } else {
                c
            };
            folded.push(tables.standard(simple));
        } else if c == LOST || c.is_alphabetic() || is_mark(c) {
            folded.extend(c.to_lowercase());
        }
    }
    folded
}
