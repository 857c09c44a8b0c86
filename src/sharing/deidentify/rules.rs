//! The rules of de-identification, read from the cited tables under
//! `models/policy/deidentification/`.

use std::collections::{BTreeMap, BTreeSet};

use dicom_core::{Tag, VR};
use serde::Deserialize;

use super::words::Words;
use crate::tables::files::{Files, LoadError};
use crate::tables::table::{Sources, Status, list, rows};

mod profile;

pub use profile::{Action, Choice, Choices, Coded, Row};

const SOURCES: &str = "policy/sources.csv";
const FOLDER: &str = "policy/deidentification/";

/// All rules.
#[derive(Debug)]
pub struct Rules {
    rows: BTreeMap<Tag, Row>,
    repeating: Vec<(Tag, Row)>,
    private: Row,
    kept: BTreeMap<Tag, How>,
    safe: Vec<SafePrivate>,
    schemes: BTreeSet<String>,
    codes: BTreeMap<Choice, Coded>,
    basic: Coded,
    pub(super) pixels: Vec<PixelRule>,
    pub(super) records: BTreeMap<String, RecordAction>,
    pub(super) words: Words,
    /// Numbers of the policy.
    pub limits: Limits,
    /// The edition of the rules: what changes when a table does.
    pub version: String,
}

/// Numbers of the policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Counts from 1 to one less than this are small.
    pub small_cell_threshold: u64,
    /// Ages from this on are one group, in years.
    pub age_cap: u32,
    /// Days that dates are shifted by at least.
    pub shift_days_min: u32,
    /// Days that dates are shifted by at most.
    pub shift_days_max: u32,
    /// Digits of an administrative division that stay.
    pub division_digits: usize,
}

/// How an attribute that the profile does not name is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum How {
    /// As it is, unless it looks like a name or number.
    Text,
    /// Known words of it.
    Words,
    /// If the coding scheme beside it is a known one.
    Code,
}

/// A private attribute that stays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SafePrivate {
    pub(super) creator: String,
    pub(super) group: u16,
    pub(super) element: u8,
    pub(super) vr: VR,
}

/// What makes an image suspicious.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PixelRule {
    pub(super) kind: PixelKind,
    pub(super) value: String,
    pub(super) flag: String,
    pub(super) effect: Effect,
    pub(super) unless_no: Answer,
    pub(super) reason_zh: String,
    source: String,
    pub(super) status: Status,
}

/// Where a suspicious value stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum PixelKind {
    Modality,
    SopClass,
    BurnedIn,
    VisualFeatures,
    ImageType,
    BodyPart,
}

/// What comes of a flag.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Effect {
    /// Not given out unless asked for.
    Withhold,
    /// Told.
    Note,
}

/// Whether Burned In Annotation `NO` counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Answer {
    Yes,
    No,
}

/// What is done to a part of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum RecordAction {
    Keep,
    Remove,
    Date,
    Birth,
    Age,
    Pseudonym,
    Patient,
    Institution,
    Uid,
    Division,
    Language,
    Term,
    Text,
    Coded,
    Quantity,
    Targets,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeptRow {
    tag: String,
    #[expect(dead_code, reason = "for who reads the table")]
    name: String,
    how: How,
    source: String,
    #[expect(dead_code, reason = "a row without a status is refused")]
    status: Status,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SafeRow {
    creator: String,
    group: String,
    element: String,
    vr: String,
    #[expect(dead_code, reason = "for who reads the table")]
    name: String,
    source: String,
    #[expect(dead_code, reason = "a row without a status is refused")]
    status: Status,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SchemeRow {
    designator: String,
    #[expect(dead_code, reason = "for who reads the table")]
    name: String,
    source: String,
    #[expect(dead_code, reason = "a row without a status is refused")]
    status: Status,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ParameterRow {
    name: String,
    value: u32,
    #[expect(dead_code, reason = "for who reads the table")]
    unit: String,
    source: String,
    #[expect(dead_code, reason = "a row without a status is refused")]
    status: Status,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RecordRow {
    path: String,
    action: RecordAction,
    #[expect(dead_code, reason = "for who reads the table")]
    note_zh: String,
    source: String,
    #[expect(dead_code, reason = "a row without a status is refused")]
    status: Status,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WordFileRow {
    file: String,
    column: String,
    separator: String,
    source: String,
    #[expect(dead_code, reason = "a row without a status is refused")]
    status: Status,
}

impl Rules {
    /// Reads the tables.
    ///
    /// # Errors
    /// The file and line that is wrong, a row without a known source among it.
    pub fn load(files: &Files) -> Result<Self, LoadError> {
        let sources = Sources::load(files, SOURCES)?;
        let loader = Loader { files, sources: &sources };
        let (rows, repeating, private) = profile::load(&loader)?;
        let (basic, codes) = profile::codes(&loader)?;
        Ok(Self {
            rows,
            repeating,
            private,
            kept: loader.kept()?,
            safe: loader.safe()?,
            schemes: loader.schemes()?,
            codes,
            basic,
            pixels: loader.pixels()?,
            records: loader.records()?,
            words: loader.words()?,
            limits: loader.limits()?,
            version: files.digest(FOLDER, ".csv"),
        })
    }

    /// The row of the profile for `tag`, repeating groups and private attributes included.
    pub(super) fn row(&self, tag: Tag) -> Option<&Row> {
        if tag.0 % 2 == 1 {
            return Some(&self.private);
        }
        self.rows.get(&tag).or_else(|| {
            let repeats = |of: &Tag| {
                of.0 == tag.0 & 0xFF00 && tag.0 & 0x00FF <= 0x1E && (of.1 == tag.1 || of.1 == 0)
            };
            self.repeating.iter().find(|(of, _)| repeats(of)).map(|(_, row)| row)
        })
    }

    /// How the attribute `tag`, which the profile does not name, is kept; none if it is not.
    pub(super) fn kept(&self, tag: Tag) -> Option<How> {
        self.kept.get(&tag).copied()
    }

    /// The private attribute that stays, if it is one.
    pub(super) fn safe(&self, creator: &str, tag: Tag) -> Option<&SafePrivate> {
        let element = u8::try_from(tag.1 & 0xFF).ok()?;
        let is = |safe: &&SafePrivate| {
            safe.creator == creator && safe.group == tag.0 && safe.element == element
        };
        self.safe.iter().find(is)
    }

    /// Whether a coding scheme is one whose meanings are believed.
    pub(super) fn knows_scheme(&self, designator: &str) -> bool {
        self.schemes.contains(designator)
    }

    /// The codes of what was chosen (PS3.16, CID 7050), that of the basic profile first.
    pub fn codes(&self, choices: &Choices) -> Vec<&Coded> {
        let chosen = choices.iter().filter_map(|choice| self.codes.get(&choice));
        std::iter::once(&self.basic).chain(chosen).collect()
    }
}

/// Reads tables.
struct Loader<'a> {
    files: &'a Files,
    sources: &'a Sources,
}

impl Loader<'_> {
    /// All rows of a table; `source` gives what a row cites, several separated by `|`.
    fn table<T: serde::de::DeserializeOwned>(
        &self,
        name: &str,
        source: impl Fn(&T) -> &str,
    ) -> Result<Vec<(u64, T)>, LoadError> {
        let path = format!("{FOLDER}{name}");
        let found = rows::<T>(self.files, &path)?;
        for (line, row) in &found {
            let cited: Vec<&str> = list(source(row)).collect();
            if cited.is_empty() {
                return Err(LoadError::line(&path, *line, "row has no source"));
            }
            for cited in cited {
                self.sources.check(&path, *line, cited)?;
            }
        }
        Ok(found)
    }

    fn wrong(name: &str, line: u64, what: &str) -> LoadError {
        LoadError::line(&format!("{FOLDER}{name}"), line, what)
    }

    fn kept(&self) -> Result<BTreeMap<Tag, How>, LoadError> {
        let name = "kept.csv";
        let mut kept = BTreeMap::new();
        for (line, row) in self.table(name, |row: &KeptRow| &row.source)? {
            let tag = profile::tag(&row.tag)
                .ok_or_else(|| Self::wrong(name, line, "column `tag`: GGGG,EEEE is wanted"))?;
            if kept.insert(tag, row.how).is_some() {
                return Err(Self::wrong(name, line, "the tag stands twice"));
            }
        }
        Ok(kept)
    }

    fn safe(&self) -> Result<Vec<SafePrivate>, LoadError> {
        let name = "safe_private.csv";
        let mut safe = Vec::new();
        for (line, row) in self.table(name, |row: &SafeRow| &row.source)? {
            let read = || {
                let group = u16::from_str_radix(&row.group, 16).ok().filter(|g| g % 2 == 1)?;
                let element = u8::from_str_radix(&row.element, 16).ok()?;
                let vr = row.vr.parse().ok().filter(|vr| {
                    matches!(vr, VR::IS | VR::DS | VR::CS | VR::FL | VR::FD | VR::US | VR::SS)
                })?;
                Some(SafePrivate { creator: row.creator.clone(), group, element, vr })
            };
            let wrong = "an odd group, an element of two digits and a VR of IS, DS, CS, FL, FD, US or SS are wanted";
            safe.push(read().ok_or_else(|| Self::wrong(name, line, wrong))?);
        }
        Ok(safe)
    }

    fn schemes(&self) -> Result<BTreeSet<String>, LoadError> {
        let rows = self.table("schemes.csv", |row: &SchemeRow| &row.source)?;
        Ok(rows.into_iter().map(|(_, row)| row.designator).collect())
    }

    fn pixels(&self) -> Result<Vec<PixelRule>, LoadError> {
        let rows = self.table("burned_in.csv", |row: &PixelRule| &row.source)?;
        Ok(rows.into_iter().map(|(_, row)| row).collect())
    }

    fn records(&self) -> Result<BTreeMap<String, RecordAction>, LoadError> {
        let rows = self.table("records.csv", |row: &RecordRow| &row.source)?;
        Ok(rows.into_iter().map(|(_, row)| (row.path, row.action)).collect())
    }

    fn limits(&self) -> Result<Limits, LoadError> {
        let name = "parameters.csv";
        let rows = self.table(name, |row: &ParameterRow| &row.source)?;
        let of = |wanted: &str| {
            let found = rows.iter().find(|(_, row)| row.name == wanted).map(|(_, row)| row.value);
            let path = format!("{FOLDER}{name}");
            found.ok_or_else(|| LoadError::file(&path, format!("parameter `{wanted}` is missing")))
        };
        let limits = Limits {
            small_cell_threshold: of("small_cell_threshold")?.into(),
            age_cap: of("age_cap")?,
            shift_days_min: of("shift_days_min")?,
            shift_days_max: of("shift_days_max")?,
            division_digits: usize::try_from(of("division_digits")?).unwrap_or(usize::MAX),
        };
        if limits.shift_days_min == 0 || limits.shift_days_min >= limits.shift_days_max {
            return Err(Self::wrong(name, 0, "1 <= shift_days_min < shift_days_max is wanted"));
        }
        Ok(limits)
    }

    fn words(&self) -> Result<Words, LoadError> {
        let name = "word_files.csv";
        let mut terms = Vec::new();
        for (line, row) in self.table(name, |row: &WordFileRow| &row.source)? {
            let cells = rows::<BTreeMap<String, String>>(self.files, &row.file)?;
            for (_, cell) in &cells {
                let cell = cell
                    .get(&row.column)
                    .ok_or_else(|| Self::wrong(name, line, "the file has no such column"))?;
                if row.separator.is_empty() {
                    terms.push(cell.clone());
                } else {
                    terms.extend(cell.split(row.separator.as_str()).map(str::to_owned));
                }
            }
        }
        let built = Words::new(terms.iter().map(String::as_str));
        built.map_err(|e| LoadError::file(&format!("{FOLDER}{name}"), e.to_string()))
    }
}

#[cfg(test)]
mod tests;
