//! Words on consent, and which of them counts.

use std::collections::BTreeMap;
use std::fmt;

use super::person::PersonKeys;
use super::ports::TakenBack;

/// Something that was said of a person's consent.
#[derive(Clone, PartialEq, Eq)]
pub struct Word {
    /// The record that it is about; empty: all of the person's.
    pub record: String,
    /// Whose consent. Nobody's: that of whom the record is about. Of before there is one digest, and no name.
    pub keys: PersonKeys,
    /// Version of its document.
    pub version: u32,
    /// When it was said, in milliseconds since 1970.
    pub at_ms: i64,
    /// Digest of its document.
    pub sha256: [u8; 32],
    /// Given again; false: taken back.
    pub given: bool,
    /// Since when it counts, in milliseconds since 1970.
    pub counts_ms: i64,
    /// Who wrote it down here; empty where it came from elsewhere.
    pub by: String,
}

/// The name is the patient's.
impl fmt::Debug for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Word").field("version", &self.version).finish_non_exhaustive()
    }
}

impl Word {
    /// Whether it is about the person who has these keys in records, of one of the records that it is about;
    /// `before` are the digests that the person may have in what was kept before there were keys.
    pub fn is_of(&self, person: &[PersonKeys], before: &[String]) -> bool {
        let of = &self.keys;
        if of.is_empty() {
            return !self.record.is_empty();
        }
        if of.name.is_empty() {
            let has = |keys: &PersonKeys| {
                [&keys.resident, &keys.card, &keys.born, &keys.only].contains(&&of.only)
            };
            return person.iter().any(has) || before.contains(&of.only);
        }
        person.iter().any(|keys| of.fits(keys))
    }
}

/// What is taken back by the words on one person's consent, and who wrote down what is taken back now. Of
/// all records and of each one the last word counts: by version, then time, then digest, so that every node
/// comes to the same in whatever order it hears.
pub fn taken_back(mut words: Vec<Word>) -> (Vec<TakenBack>, Vec<String>) {
    words.sort_by_key(|word| (word.version, word.at_ms, word.sha256));
    let mut all: BTreeMap<String, (Vec<TakenBack>, String)> = BTreeMap::new();
    for word in words {
        let (taken, by) = all.entry(word.record.clone()).or_default();
        if let Some(last) = taken.last_mut().filter(|last| last.until_ms.is_none()) {
            last.until_ms = Some(word.counts_ms);
        }
        if !word.given {
            let Word { record, counts_ms: from_ms, .. } = word;
            taken.push(TakenBack { record, from_ms, until_ms: None });
            *by = word.by;
        }
    }
    let (mut taken, mut by) = (Vec::new(), Vec::new());
    for (back, who) in all.into_values() {
        by.extend(back.iter().any(|back| back.until_ms.is_none()).then_some(who));
        taken.extend(back);
    }
    (taken, by)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(keys: &PersonKeys, (version, at_ms, given): (u32, i64, bool)) -> Word {
        Word {
            record: String::new(),
            keys: keys.clone(),
            version,
            at_ms,
            sha256: [0; 32],
            given,
            counts_ms: at_ms,
            by: format!("{version}"),
        }
    }

    #[test]
    fn a_word_is_the_persons_by_every_number_as_a_grant_is() {
        let keys = |resident: &str, card: &str, born: &str| PersonKeys {
            name: "饶建国".to_owned(),
            resident: resident.to_owned(),
            card: card.to_owned(),
            born: born.to_owned(),
            only: String::new(),
        };
        let all = keys("1", "2", "3");
        for (said_by, is_of) in [
            (keys("1", "", ""), true),
            (keys("", "2", ""), true),
            (keys("", "", "3"), true),
            (keys("1", "x", ""), true),
            (keys("x", "2", "3"), false),
            (keys("", "x", "3"), false),
            // A borrowed card.
            (PersonKeys { name: "饶小明".to_owned(), ..keys("", "2", "") }, false),
        ] {
            let word = word(&said_by, (1, 1, false));
            assert_eq!(word.is_of(std::slice::from_ref(&all), &[]), is_of, "{word:?}");
            assert_eq!(said_by.fits(&all), is_of);
        }
        // Of before: a digest, whatever the name.
        let before = |only: &str| PersonKeys { only: only.to_owned(), ..PersonKeys::default() };
        for (only, is_of) in [("1", true), ("2", true), ("3", true), ("4", true), ("5", false)] {
            let word = word(&before(only), (1, 1, false));
            assert_eq!(word.is_of(std::slice::from_ref(&all), &["4".to_owned()]), is_of, "{only}");
        }
        // Nobody's is about its record, and about nothing without one.
        let nobody = word(&PersonKeys::default(), (1, 1, false));
        assert!(!nobody.is_of(std::slice::from_ref(&all), &[]));
        assert!(Word { record: "r".to_owned(), ..nobody }.is_of(std::slice::from_ref(&all), &[]));
    }

    #[test]
    fn the_last_word_counts_of_each_record_by_itself() {
        let keys = PersonKeys { name: "甲".to_owned(), ..PersonKeys::default() };
        let of_one = Word { record: "r".to_owned(), ..word(&keys, (9, 5, false)) };
        let words = vec![
            word(&keys, (3, 30, false)),
            of_one,
            word(&keys, (1, 10, false)),
            word(&keys, (2, 20, true)),
        ];
        let (taken, by) = taken_back(words);
        let spans: Vec<_> =
            taken.iter().map(|t| (t.record.as_str(), t.from_ms, t.until_ms)).collect();
        assert_eq!(spans, [("", 10, Some(20)), ("", 30, None), ("r", 5, None)]);
        assert_eq!(by, ["3", "9"]);
        let given = vec![word(&keys, (1, 10, false)), word(&keys, (2, 20, true))];
        assert_eq!(taken_back(given).1, Vec::<String>::new());
    }
}
