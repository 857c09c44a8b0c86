//! What is known to identify the patient of a document, and numbers that look as if they did:
//! found in text, and taken out of it.

use std::collections::BTreeSet;

use super::words::Words;

/// Characters of a part of a name at least, beyond ASCII.
const WIDE_CHARS_MIN: usize = 2;
/// Characters of a part of a name at least, in ASCII.
const NAME_CHARS_MIN: usize = 3;
/// Characters of a number at least.
const NUMBER_CHARS_MIN: usize = 4;
/// Digits that make a number somebody's: land lines have seven, mobiles eleven, IDs eighteen.
const DIGITS_MIN: usize = 7;
/// Turns of cleaning at most; each but the last makes the text shorter.
const TURNS_MAX: usize = 64;
/// What stands in the place of a name.
const NAME: &str = "［姓名］";
/// What stands in the place of a number.
const NUMBER: &str = "［号码］";
/// What stands in the place of a date.
const DATE: &str = "［日期］";

/// Names and numbers that identify the patient, or somebody else who is named in the document.
#[derive(Default)]
pub(super) struct Known {
    names: BTreeSet<String>,
    numbers: BTreeSet<String>,
}

impl std::fmt::Debug for Known {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Known(..)")
    }
}

impl Known {
    /// Adds a person's name in any form (`ZHANG^SAN=张^三`), and its parts.
    pub(super) fn name(&mut self, text: &str) {
        let divides =
            |c: char| matches!(c, '^' | '=' | '\\' | ',' | '，' | '、' | ';') || c.is_whitespace();
        for group in text.split(['=', '\\']) {
            let parts: Vec<&str> = group.split(divides).filter(|part| !part.is_empty()).collect();
            // Chinese names are written without the mark between surname and given name.
            let joined: String = parts.concat();
            let long = |part: &&str| long_enough(part, NAME_CHARS_MIN);
            self.names.extend(parts.iter().copied().filter(long).map(folded));
            if long_enough(&joined, NAME_CHARS_MIN) {
                self.names.insert(folded(&joined));
            }
            if parts.len() > 1 {
                self.names.insert(folded(&parts.join(" ")));
                self.names.insert(folded(&parts.join("^")));
            }
        }
    }

    /// Adds a number or another whole value.
    pub(super) fn number(&mut self, text: &str) {
        let text = text.trim();
        if long_enough(text, NUMBER_CHARS_MIN) {
            self.numbers.insert(folded(text));
        }
    }

    /// Forgets what is replaced already.
    pub(super) fn forget(&mut self, mut replaced: impl FnMut(&str) -> bool) {
        // Folding makes small letters; pseudonyms are written in capitals.
        self.names.retain(|name| !replaced(&name.to_ascii_uppercase()));
        self.numbers.retain(|number| !replaced(&number.to_ascii_uppercase()));
    }

    /// Whether `text` holds one of them.
    pub(super) fn is_in(&self, text: &str) -> bool {
        let text = folded(text);
        self.names.iter().chain(&self.numbers).any(|known| find(&text, known, 0).is_some())
    }

    /// `text` without names, numbers and dates, and how many were taken out.
    pub(super) fn strip(&self, text: &str) -> (String, u64) {
        let mut count = 0;
        let mut text = text.to_owned();
        let mut known: Vec<(&String, &str)> = self.names.iter().map(|name| (name, NAME)).collect();
        known.extend(self.numbers.iter().map(|number| (number, NUMBER)));
        known.sort_by_key(|(known, _)| std::cmp::Reverse(known.len()));
        for (known, instead) in known {
            let mut from = 0;
            while let Some(at) = find(&folded(&text), known, from) {
                text.replace_range(at..at + known.len(), instead);
                from = at + instead.len();
                count += 1;
            }
        }
        let (text, more) = without_numbers(&text);
        (text, count + more)
    }
}

/// `text` without what is known and without anything but known words, again until nothing changes:
/// short numbers that come together make a long one.
pub(super) fn known_words(known: &Known, words: &Words, text: &str) -> String {
    let mut kept = text.to_owned();
    for _ in 0..TURNS_MAX {
        let next = words.clean(&known.strip(&kept).0);
        if next == kept {
            break;
        }
        kept = next;
    }
    kept
}

fn long_enough(text: &str, ascii_min: usize) -> bool {
    let min = if text.is_ascii() { ascii_min } else { WIDE_CHARS_MIN };
    text.chars().count() >= min
}

/// Small letters; only ASCII, so that no byte moves.
fn folded(text: &str) -> String {
    text.to_ascii_lowercase()
}

/// Where `known` stands in `text` from byte `from`: as a word of its own if it is ASCII.
fn find(text: &str, known: &str, from: usize) -> Option<usize> {
    let mut at = from;
    while let Some(found) = text.get(at..)?.find(known) {
        let (start, end) = (at + found, at + found + known.len());
        let is_word = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
        let before =
            is_word(text.get(..start)?.chars().next_back()) && is_word(known.chars().next());
        let after = is_word(text.get(end..)?.chars().next()) && is_word(known.chars().next_back());
        if !before && !after {
            return Some(start);
        }
        at = start + known.chars().next().map_or(1, char::len_utf8);
    }
    None
}

/// Whether `text` holds a number as long as a telephone number, separators within it allowed.
pub(super) fn has_number(text: &str) -> bool {
    runs(text).any(|(_, run)| digits(run) >= DIGITS_MIN)
}

fn digits(text: &str) -> usize {
    text.chars().filter(|c| c.is_ascii_digit() || ('０'..='９').contains(c)).count()
}

/// Stretches of digits with what separates them in numbers and dates, and where they begin.
fn runs(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let within = |c: char| {
        c.is_ascii_digit()
            || ('０'..='９').contains(&c)
            || matches!(c, '-' | '－' | '—' | ' ' | '/' | '年' | '月' | '日' | '号' | 'x' | 'X')
    };
    let mut at = 0;
    std::iter::from_fn(move || {
        let rest = text.get(at..)?;
        let start = at + rest.find(within)?;
        let length = text.get(start..)?.find(|c| !within(c)).unwrap_or(text.len() - start);
        at = start + length;
        Some((start, text.get(start..at)?))
    })
}

/// Whether a stretch is a day as `2026-11-29`, `2026/1/2` or `29-11-2026`.
fn is_day(run: &str) -> bool {
    let mut lengths: Vec<usize> = run.trim().split(['-', '/']).map(str::len).collect();
    lengths.sort_unstable();
    let plain = run.trim().bytes().all(|b| b.is_ascii_digit() || matches!(b, b'-' | b'/'));
    plain && matches!(lengths.as_slice(), [1 | 2, 1 | 2, 2 | 4])
}

/// Takes numbers of five digits and more and dates out.
fn without_numbers(text: &str) -> (String, u64) {
    let (mut out, mut end, mut count) = (String::with_capacity(text.len()), 0, 0);
    for (start, run) in runs(text) {
        let is_date = run.contains(['年', '月', '日']) && digits(run) > 0 || is_day(run);
        let longest = run.split([' ', '/']).map(digits).max().unwrap_or(0);
        let instead = if is_date {
            DATE
        } else if longest >= 5 || digits(run) >= DIGITS_MIN {
            NUMBER
        } else {
            continue;
        };
        out.push_str(text.get(end..start).unwrap_or_default());
        out.push_str(instead);
        end = start + run.len();
        count += 1;
    }
    out.push_str(text.get(end..).unwrap_or_default());
    (out, count)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known() -> Known {
        let mut known = Known::default();
        known.name("ZHANG^SAN=张^三");
        known.name("李小明");
        known.number("ZY00123");
        known
    }

    #[test]
    fn names_and_numbers_of_the_document_are_found_in_any_form() {
        let known = known();
        for text in
            ["seen by Zhang San", "ZHANG^SAN", "患者张三入院", "zy00123", "李小明之妻", "Dr. ZHANG"]
        {
            assert!(known.is_in(text), "{text}");
        }
        for text in ["ZHANGSHAN", "三张片子", "ZY001234", "小明"] {
            assert!(!known.is_in(text), "{text}");
        }
    }

    #[test]
    fn text_is_stripped_of_names_numbers_and_dates_and_stays_stripped() {
        let known = known();
        let text = "张三（ZY00123）于2026年3月4日入院，电话139-1234-5678，血压150/90mmHg，2026-03-05复查，李小明签";
        let (stripped, count) = known.strip(text);
        assert_eq!(
            stripped,
            "［姓名］（［号码］）于［日期］入院，电话［号码］，血压150/90mmHg，［日期］复查，［姓名］签"
        );
        assert_eq!(count, 6);
        assert_eq!(known.strip(&stripped), (stripped.clone(), 0));
    }

    #[test]
    fn long_numbers_are_told_from_short_ones() {
        for text in ["360102199001011234", "13912345678", "0791-8888-1234", "tel 8888 1234 x"] {
            assert!(has_number(text), "{text}");
        }
        for text in ["VB35A", "512 x 512", "1.2.840", "syngo 2009E", ""] {
            assert!(!has_number(text), "{text}");
        }
    }
}
