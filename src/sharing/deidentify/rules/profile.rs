//! Table E.1-1 of PS3.15: what the basic profile and its options do to each attribute.

use std::collections::{BTreeMap, BTreeSet};

use dicom_core::Tag;
use serde::Deserialize;

use super::Loader;
use crate::tables::files::LoadError;
use crate::tables::table::Status;

/// An option of the basic profile (PS3.15, E.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Choice {
    /// Clean Graphics.
    Graphics,
    /// Clean Structured Content.
    Structured,
    /// Clean Descriptors.
    Descriptors,
    /// Retain Longitudinal Temporal Information with Full Dates.
    FullDates,
    /// Retain Longitudinal Temporal Information with Modified Dates.
    ModifiedDates,
    /// Retain Patient Characteristics.
    Patient,
    /// Retain Device Identity.
    Device,
    /// Retain UIDs.
    Uids,
    /// Retain Safe Private.
    SafePrivate,
    /// Retain Institution Identity.
    Institution,
}

impl Choice {
    /// All, with what they are called on the command line.
    pub const ALL: [(Self, &'static str); 10] = [
        (Self::Graphics, "clean-graphics"),
        (Self::Structured, "clean-structured"),
        (Self::Descriptors, "clean-descriptors"),
        (Self::FullDates, "full-dates"),
        (Self::ModifiedDates, "modified-dates"),
        (Self::Patient, "patient"),
        (Self::Device, "device"),
        (Self::Uids, "uids"),
        (Self::SafePrivate, "safe-private"),
        (Self::Institution, "institution"),
    ];
}

/// The options that were chosen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Choices(BTreeSet<Choice>);

/// Options that exclude each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("options: full-dates and modified-dates exclude each other")]
pub struct Contradiction;

impl Choices {
    /// Of these.
    ///
    /// # Errors
    /// [`Contradiction`] if dates are to be kept and modified.
    pub fn of(chosen: impl IntoIterator<Item = Choice>) -> Result<Self, Contradiction> {
        let chosen: BTreeSet<_> = chosen.into_iter().collect();
        if chosen.contains(&Choice::FullDates) && chosen.contains(&Choice::ModifiedDates) {
            return Err(Contradiction);
        }
        Ok(Self(chosen))
    }

    /// Whether it was chosen.
    pub fn has(&self, choice: Choice) -> bool {
        self.0.contains(&choice)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Choice> {
        self.0.iter().copied()
    }
}

/// What is done to an attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    /// `D`: a value that means nothing.
    Dummy,
    /// `Z`: no value.
    Empty,
    /// `X`: removed.
    Remove,
    /// `K`: kept; of a sequence, its items are treated.
    Keep,
    /// `C`: what identifies is taken out.
    Clean,
    /// `U`: another UID.
    Uid,
    /// `X/Z/U*`: a sequence of references, kept with other UIDs.
    References,
}

impl Action {
    /// Of a code of the table. Where the table lets the type of the attribute in its IOD decide
    /// (`Z/D`, `X/Z`, `X/D`, `X/Z/D`), what fits every type is taken: a dummy fits type 1, no value
    /// type 2. No table of IODs is needed, and no object loses what it must have.
    fn of(code: &str) -> Option<Self> {
        Some(match code {
            "D" | "Z/D" | "X/D" | "X/Z/D" => Self::Dummy,
            "Z" | "X/Z" => Self::Empty,
            "X" => Self::Remove,
            "K" => Self::Keep,
            "C" => Self::Clean,
            "U" => Self::Uid,
            "X/Z/U*" => Self::References,
            _ => return None,
        })
    }
}

/// A row of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// What the attribute is called.
    pub name: String,
    basic: Action,
    options: BTreeMap<Choice, Action>,
}

impl Row {
    /// What is done under the options chosen. Keeping goes before cleaning.
    pub(in super::super) fn action(&self, choices: &Choices) -> Action {
        let chosen = || choices.iter().filter_map(|choice| self.options.get(&choice).copied());
        if chosen().any(|action| action == Action::Keep) {
            return Action::Keep;
        }
        chosen().next().unwrap_or(self.basic)
    }

    /// What the profile alone does.
    pub(in super::super) fn basic(&self) -> Action {
        self.basic
    }

    /// Whether one of the options that were chosen says what is done.
    pub(in super::super) fn by(&self, choice: Choice, choices: &Choices) -> bool {
        choices.has(choice) && self.options.contains_key(&choice)
    }
}

/// A code of CID 7050.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Coded {
    /// Code value in the scheme DCM.
    pub code: String,
    /// Its meaning.
    pub meaning: String,
    /// For people.
    pub zh: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ProfileRow {
    tag: String,
    name: String,
    basic: String,
    safe_private: String,
    uids: String,
    device: String,
    institution: String,
    patient: String,
    full_dates: String,
    modified_dates: String,
    descriptors: String,
    structured: String,
    graphics: String,
    source: String,
    #[expect(dead_code, reason = "a row without a status is refused")]
    status: Status,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct OptionRow {
    option: String,
    code: String,
    meaning: String,
    zh: String,
    source: String,
    #[expect(dead_code, reason = "a row without a status is refused")]
    status: Status,
}

/// `GGGG,EEEE` in hexadecimal digits.
pub(super) fn tag(text: &str) -> Option<Tag> {
    let (group, element) = text.split_once(',')?;
    let number = |digits: &str| u16::from_str_radix(digits, 16).ok().filter(|_| digits.len() == 4);
    Some(Tag(number(group)?, number(element)?))
}

type Profile = (BTreeMap<Tag, Row>, Vec<(Tag, Row)>, Row);

/// Reads table E.1-1: rows by tag, those of repeating groups, and that of private attributes.
pub(super) fn load(loader: &Loader<'_>) -> Result<Profile, LoadError> {
    let name = "profile.csv";
    let (mut rows, mut repeating, mut private) = (BTreeMap::new(), Vec::new(), None);
    for (line, row) in loader.table(name, |row: &ProfileRow| &row.source)? {
        let wrong = |what: &str| Loader::wrong(name, line, what);
        let cells = [
            (Choice::SafePrivate, &row.safe_private),
            (Choice::Uids, &row.uids),
            (Choice::Device, &row.device),
            (Choice::Institution, &row.institution),
            (Choice::Patient, &row.patient),
            (Choice::FullDates, &row.full_dates),
            (Choice::ModifiedDates, &row.modified_dates),
            (Choice::Descriptors, &row.descriptors),
            (Choice::Structured, &row.structured),
            (Choice::Graphics, &row.graphics),
        ];
        let action = |code: &str| Action::of(code).ok_or_else(|| wrong("no action code of PS3.15"));
        let mut options = BTreeMap::new();
        for (choice, code) in cells {
            if !code.is_empty() {
                options.insert(choice, action(code)?);
            }
        }
        let read = Row { name: row.name, basic: action(&row.basic)?, options };
        if row.tag == "private" {
            private = Some(read);
        } else if row.tag.contains('X') {
            let of = tag(&row.tag.replace('X', "0"));
            repeating.push((of.ok_or_else(|| wrong("column `tag`: GGXX,EEEE is wanted"))?, read));
        } else {
            let of = tag(&row.tag).ok_or_else(|| wrong("column `tag`: GGGG,EEEE is wanted"))?;
            if rows.insert(of, read).is_some() {
                return Err(wrong("the tag stands twice"));
            }
        }
    }
    let none = || Loader::wrong(name, 0, "the row `private` is missing");
    Ok((rows, repeating, private.ok_or_else(none)?))
}

/// Reads the codes of the options, that of the basic profile apart.
pub(super) fn codes(loader: &Loader<'_>) -> Result<(Coded, BTreeMap<Choice, Coded>), LoadError> {
    let name = "options.csv";
    let (mut basic, mut codes) = (None, BTreeMap::new());
    for (line, row) in loader.table(name, |row: &OptionRow| &row.source)? {
        let entry = Coded { code: row.code, meaning: row.meaning, zh: row.zh };
        if row.option == "basic" {
            basic = Some(entry);
            continue;
        }
        let of: serde::de::value::StrDeserializer<'_, serde::de::value::Error> =
            serde::de::IntoDeserializer::into_deserializer(row.option.as_str());
        let choice = Choice::deserialize(of);
        let choice = choice.map_err(|_| Loader::wrong(name, line, "no option of the profile"))?;
        codes.insert(choice, entry);
    }
    if codes.len() != Choice::ALL.len() {
        return Err(Loader::wrong(name, 0, "every option needs a row"));
    }
    let none = || Loader::wrong(name, 0, "the row `basic` is missing");
    Ok((basic.ok_or_else(none)?, codes))
}
