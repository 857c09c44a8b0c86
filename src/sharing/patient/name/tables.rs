//! What is known about names: `surnames.csv`, `surname_readings.csv`, `variants.csv`,
//! `private_use.csv`, `words.csv`.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::sound::Syllable;
use crate::tables::files::{Files, LoadError};
use crate::tables::table::{Sources, Status, list, rows};

/// Tables on names.
#[derive(Debug, Clone, Default)]
pub struct NameTables {
    /// Share of the people who bear a surname.
    shares: BTreeMap<String, f64>,
    /// Readings of a surname, of each of its characters.
    readings: BTreeMap<String, Vec<Vec<Syllable>>>,
    variants: BTreeMap<char, char>,
    private_use: BTreeMap<char, char>,
    words: BTreeMap<WordKind, BTreeSet<String>>,
}

/// What a word of `words.csv` means in a field of a form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum WordKind {
    /// Nothing was known; any field.
    Absent,
    /// The label of the field.
    Label,
    /// A title before or after a name.
    Title,
    /// Says whose relative somebody is.
    Relative,
    /// A stand-in for a name.
    Unknown,
    /// Stands in the place of a hidden character.
    Hidden,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SurnameRow {
    surname: String,
    per_million: f64,
    source: String,
    #[serde(rename = "status")]
    _status: Status,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReadingRow {
    surname: String,
    readings: String,
    source: String,
    #[serde(rename = "status")]
    _status: Status,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct VariantRow {
    variant: char,
    standard: char,
    source: String,
    #[serde(rename = "status")]
    _status: Status,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PrivateUseRow {
    private_use: String,
    unicode: String,
    #[serde(rename = "gb18030")]
    _code: String,
    source: String,
    #[serde(rename = "status")]
    _status: Status,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WordRow {
    kind: WordKind,
    text: String,
    source: String,
    #[serde(rename = "status")]
    _status: Status,
}

impl NameTables {
    /// Reads the tables under `people/`.
    pub fn load(files: &Files, sources: &Sources) -> Result<Self, LoadError> {
        let mut tables = Self::default();
        tables.load_surnames(files, sources)?;
        tables.load_characters(files, sources)?;
        let path = "people/words.csv";
        for (line, row) in rows::<WordRow>(files, path)? {
            sources.check(path, line, &row.source)?;
            if row.text.is_empty() || !tables.words.entry(row.kind).or_default().insert(row.text) {
                return Err(LoadError::line(path, line, "word is empty or stands twice"));
            }
        }
        Ok(tables)
    }

    fn load_surnames(&mut self, files: &Files, sources: &Sources) -> Result<(), LoadError> {
        let path = "people/surnames.csv";
        for (line, row) in rows::<SurnameRow>(files, path)? {
            sources.check(path, line, &row.source)?;
            if row.surname.is_empty() || !(0.0..=1e6).contains(&row.per_million) {
                return Err(LoadError::line(path, line, "surname or share is impossible"));
            }
            if self.shares.insert(row.surname, row.per_million / 1e6).is_some() {
                return Err(LoadError::line(path, line, "surname stands twice"));
            }
        }
        let path = "people/surname_readings.csv";
        for (line, row) in rows::<ReadingRow>(files, path)? {
            sources.check(path, line, &row.source)?;
            let readings: Option<Vec<Vec<Syllable>>> = row
                .readings
                .split(' ')
                .map(|of_one| list(of_one).map(Syllable::new).collect())
                .collect();
            let fits = readings.filter(|readings| {
                readings.len() == row.surname.chars().count()
                    && readings.iter().all(|of_one| !of_one.is_empty())
            });
            let Some(readings) = fits else {
                return Err(LoadError::line(path, line, "readings are one or more a character"));
            };
            if self.readings.insert(row.surname, readings).is_some() {
                return Err(LoadError::line(path, line, "surname stands twice"));
            }
        }
        Ok(())
    }

    fn load_characters(&mut self, files: &Files, sources: &Sources) -> Result<(), LoadError> {
        let path = "people/variants.csv";
        for (line, row) in rows::<VariantRow>(files, path)? {
            sources.check(path, line, &row.source)?;
            if self.variants.insert(row.variant, row.standard).is_some() {
                return Err(LoadError::line(path, line, "variant stands twice"));
            }
        }
        // One step must be enough: a chain would depend on the order.
        if self.variants.values().any(|standard| self.variants.contains_key(standard)) {
            return Err(LoadError::file(path, "a standard character is a variant of another"));
        }
        let path = "people/private_use.csv";
        for (line, row) in rows::<PrivateUseRow>(files, path)? {
            sources.check(path, line, &row.source)?;
            let point = |hex: &str| u32::from_str_radix(hex, 16).ok().and_then(char::from_u32);
            let (Some(old), Some(new)) = (point(&row.private_use), point(&row.unicode)) else {
                return Err(LoadError::line(path, line, "code points are hexadecimal"));
            };
            if !is_private(old) || is_private(new) || self.private_use.insert(old, new).is_some() {
                return Err(LoadError::line(path, line, "leads not out of the private use area"));
            }
        }
        Ok(())
    }

    /// The character that is meant by one of the private use area, as far as GB 18030 tells.
    pub fn meant(&self, c: char) -> char {
        self.private_use.get(&c).copied().unwrap_or(c)
    }

    /// The standard form of a variant character.
    pub fn standard(&self, c: char) -> char {
        self.variants.get(&c).copied().unwrap_or(c)
    }

    /// Characters of the surname at the beginning of a name of ideographs: two of a known compound
    /// surname if something follows it, otherwise one.
    pub fn surname_chars(&self, name: &str) -> usize {
        let mut ends = name.char_indices().map(|(at, c)| at + c.len_utf8());
        let (first, second) = (ends.next(), ends.next());
        let compound = second.filter(|_| ends.next().is_some()).and_then(|end| name.get(..end));
        match (first, compound) {
            (_, Some(two)) if self.shares.contains_key(two) || self.readings.contains_key(two) => 2,
            (Some(_), _) => 1,
            (None, _) => 0,
        }
    }

    /// Share of the people who bear a surname, if it is listed.
    pub fn share(&self, surname: &str) -> Option<f64> {
        self.shares.get(surname).copied()
    }

    /// Surnames with their shares.
    pub fn surnames(&self) -> impl Iterator<Item = (&str, f64)> {
        self.shares.iter().map(|(surname, share)| (surname.as_str(), *share))
    }

    /// Readings of a surname's characters, where they are not those of the characters alone.
    pub fn readings(&self, surname: &str) -> Option<&[Vec<Syllable>]> {
        self.readings.get(surname).map(Vec::as_slice)
    }

    /// Whether a field says that nothing is known.
    pub fn is_absent(&self, written: &str) -> bool {
        let folded = crate::tables::text::fold(written.trim());
        folded.is_empty() || self.words(WordKind::Absent).any(|word| word == folded)
    }

    pub(super) fn words(&self, kind: WordKind) -> impl Iterator<Item = &str> {
        self.words.get(&kind).into_iter().flatten().map(String::as_str)
    }
}

pub(super) fn is_private(c: char) -> bool {
    matches!(c, '\u{e000}'..='\u{f8ff}' | '\u{f0000}'..='\u{10ffff}')
}
