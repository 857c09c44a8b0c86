//! The words that text may keep: terms of the tables, and nothing else.
//!
//! Names of people are no terms, so a text that is reduced to terms names nobody, whatever its
//! sender wrote into it. It loses what no table knows.

use std::collections::BTreeSet;

use aho_corasick::{AhoCorasick, BuildError, MatchKind};

/// Letters of a number that stays: `T2` is a word, `12.5` a number, `139…` neither.
const NUMBER_BYTES_MAX: usize = 5;
/// Digits of a number that stays.
const NUMBER_DIGITS_MAX: usize = 4;
/// Characters of a term at least; single ones are surnames too.
const TERM_CHARS_MIN: usize = 2;
/// Single characters that are words for themselves: sides, units and forms.
const SINGLE: [&str; 10] = ["左", "右", "片", "粒", "袋", "支", "瓶", "克", "l", "g"];

/// The words.
#[derive(Debug)]
pub(super) struct Words(AhoCorasick);

impl Words {
    /// Of these terms.
    pub(super) fn new<'t>(terms: impl Iterator<Item = &'t str>) -> Result<Self, BuildError> {
        let terms: BTreeSet<String> = terms
            .map(|term| term.trim().to_ascii_lowercase())
            .filter(|term| {
                term.chars().count() >= TERM_CHARS_MIN || SINGLE.contains(&term.as_str())
            })
            .filter(|term| !term.bytes().all(|b| b.is_ascii_digit()))
            .collect();
        let built = AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(terms)?;
        Ok(Self(built))
    }

    /// What stays of `text`: known words and short numbers in their order, a space wherever
    /// something was left out.
    pub(super) fn clean(&self, text: &str) -> String {
        let lower = text.to_ascii_lowercase();
        let mut kept = String::new();
        let mut end = 0;
        for hit in self.0.find_iter(&lower) {
            if !stands_alone(&lower, hit.start(), hit.end()) {
                continue;
            }
            numbers(text.get(end..hit.start()).unwrap_or_default(), &mut kept);
            let touches = end == hit.start() && end > 0;
            push(&mut kept, text.get(hit.range()).unwrap_or_default(), touches);
            end = hit.end();
        }
        numbers(text.get(end..).unwrap_or_default(), &mut kept);
        kept
    }
}

fn push(kept: &mut String, word: &str, touches: bool) {
    if !kept.is_empty() && !touches {
        kept.push(' ');
    }
    kept.push_str(word);
}

/// Whether no letter or digit goes on before or behind what is written in ASCII.
fn stands_alone(text: &str, start: usize, end: usize) -> bool {
    let is_word = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    let before = text.get(..start).and_then(|text| text.chars().next_back());
    let after = text.get(end..).and_then(|text| text.chars().next());
    let hit = text.get(start..end).unwrap_or_default();
    let goes_on_before = is_word(hit.chars().next()) && is_word(before);
    let goes_on_after = is_word(hit.chars().next_back()) && is_word(after);
    !goes_on_before && !goes_on_after
}

/// Adds the short numbers of what lies between words.
fn numbers(between: &str, kept: &mut String) {
    let part = |c: char| !(c.is_alphanumeric() || c == '.');
    for token in between.split(part).map(|token| token.trim_matches('.')) {
        let digits = token.bytes().filter(u8::is_ascii_digit).count();
        let is_number = token.bytes().all(|b| b.is_ascii_digit() || b == b'.')
            && (1..=NUMBER_DIGITS_MAX).contains(&digits)
            && token.len() <= NUMBER_BYTES_MAX
            && token.bytes().filter(|b| *b == b'.').count() <= 1;
        // Four digits may be a year.
        if is_number && (digits < NUMBER_DIGITS_MAX || token.contains('.')) {
            push(kept, token, false);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn words() -> Words {
        Words::new(
            ["chest", "CT", "chest ct", "平扫", "胸部", "胸部CT", "左", "mg", "张"].into_iter(),
        )
        .unwrap()
    }

    #[test]
    fn only_known_words_and_short_numbers_stay() {
        let words = words();
        assert_eq!(words.clean("Chest CT for ZHANG San 5.0 mm"), "Chest CT 5.0");
        assert_eq!(words.clean("张三胸部CT平扫"), "胸部CT平扫");
        assert_eq!(words.clean("chestnut 13912345678 2026 20261129"), "");
        assert_eq!(words.clean("左 360102199001011234 100mg"), "左");
        assert_eq!(words.clean("李四 100 mg"), "100 mg");
    }

    proptest! {
        #[test]
        fn what_is_clean_stays_as_it_is(text in "(chest|CT|平扫|胸部|[张三0-9 .^=mgx-]){0,12}") {
            let words = words();
            let once = words.clean(&text);
            prop_assert_eq!(words.clean(&once), once.clone());
            prop_assert!(!once.contains('张') && !once.contains('三'));
        }
    }
}
