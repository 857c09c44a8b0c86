//! What was removed, replaced, kept and flagged: by attribute and number, never with values.

use std::collections::BTreeMap;

use serde::Serialize;

/// What was done to an attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Did {
    /// Removed because the rules say so.
    Removed,
    /// Removed because no rule lets it stay: private, unknown, free text, or in a representation
    /// that is not its own.
    RemovedUnlisted,
    /// Its value was taken away and the attribute left.
    Emptied,
    /// Its value was replaced by one that means nothing.
    Replaced,
    /// Its value was replaced by a pseudonym.
    Pseudonymised,
    /// A UID was replaced by another.
    UidReplaced,
    /// A date was shifted.
    Shifted,
    /// Its text was reduced to words of the list.
    Cleaned,
    /// A number was put into its group (ages).
    Grouped,
    /// Removed or emptied because it held something that identifies the patient elsewhere in the
    /// same document.
    HeldIdentifier,
    /// Left because an option or a rule says so.
    Kept,
}

impl Did {
    /// For people.
    pub fn zh(self) -> &'static str {
        match self {
            Self::Removed => "按规则删除",
            Self::RemovedUnlisted => "未列入保留清单，删除",
            Self::Emptied => "置空",
            Self::Replaced => "换成无意义的值",
            Self::Pseudonymised => "换成化名",
            Self::UidReplaced => "换成新的UID",
            Self::Shifted => "日期平移",
            Self::Cleaned => "只留词表中的词",
            Self::Grouped => "归并",
            Self::HeldIdentifier => "含有本人标识，删除或置空",
            Self::Kept => "按选项或规则保留",
        }
    }
}

/// What was done to one document or to many.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    attributes: BTreeMap<(String, String, Did), u64>,
    flags: BTreeMap<String, u64>,
    /// Attributes that no rule names and whose form cannot hold a name: numbers, codes, pixels.
    pub passed: u64,
}

/// One line of a report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Line {
    /// Tag, path or column.
    pub attribute: String,
    /// What it is called; may be empty.
    pub name: String,
    /// What was done.
    pub did: Did,
    /// How often.
    pub count: u64,
}

impl Report {
    /// Notes that something was done once.
    pub fn note(&mut self, attribute: impl Into<String>, name: &str, did: Did) {
        *self.attributes.entry((attribute.into(), name.to_owned(), did)).or_default() += 1;
    }

    /// Notes a flag.
    pub fn flag(&mut self, flag: &str) {
        *self.flags.entry(flag.to_owned()).or_default() += 1;
    }

    /// Adds another report.
    pub fn add(&mut self, other: Self) {
        for (what, count) in other.attributes {
            *self.attributes.entry(what).or_default() += count;
        }
        for (flag, count) in other.flags {
            *self.flags.entry(flag).or_default() += count;
        }
        self.passed += other.passed;
    }

    /// What was done, by attribute.
    pub fn lines(&self) -> Vec<Line> {
        let line = |((attribute, name, did), count): (&(String, String, Did), &u64)| Line {
            attribute: attribute.clone(),
            name: name.clone(),
            did: *did,
            count: *count,
        };
        self.attributes.iter().map(line).collect()
    }

    /// How often each thing was done.
    pub fn totals(&self) -> BTreeMap<Did, u64> {
        let mut totals = BTreeMap::new();
        for ((_, _, did), count) in &self.attributes {
            *totals.entry(*did).or_default() += count;
        }
        totals
    }

    /// Flags and how often each was raised.
    pub fn flags(&self) -> &BTreeMap<String, u64> {
        &self.flags
    }

    /// How often `did` was done to `attribute`.
    pub fn count(&self, attribute: &str, did: Did) -> u64 {
        let of = |(a, _, d): &(String, String, Did)| a == attribute && *d == did;
        self.attributes.iter().filter(|(what, _)| of(what)).map(|(_, count)| count).sum()
    }
}
