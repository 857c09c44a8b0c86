//! Dated rows: what every table of recognition has in common.

use std::collections::BTreeMap;

use jiff::civil::Date;
use serde::{Deserialize as _, Deserializer, de::DeserializeOwned};

use crate::tables::files::{Files, LoadError};
use crate::tables::table::{Sources, rows};

/// First and last day on which a row is in force; an empty end is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Period {
    pub(super) from: Date,
    pub(super) to: Option<Date>,
}

impl Period {
    pub(super) fn holds(&self, day: Date) -> bool {
        self.from <= day && self.to.is_none_or(|to| day <= to)
    }

    fn overlaps(&self, other: &Self) -> bool {
        self.to.is_none_or(|to| other.from <= to) && other.to.is_none_or(|to| self.from <= to)
    }
}

/// A row and when it is in force.
#[derive(Debug, Clone)]
pub(super) struct Dated<T> {
    pub(super) line: u64,
    pub(super) period: Period,
    pub(super) row: T,
}

/// What a row must give for the checks that all tables share.
pub(super) trait Row: DeserializeOwned {
    /// First and last day.
    fn dates(&self) -> (Date, Option<Date>);
    /// Citation.
    fn source(&self) -> &str;
    /// What may have one row a day.
    fn key(&self) -> String;
    /// What is wrong with it, if anything.
    fn fault(&self) -> Option<String>;
}

/// Reads a table. A row without a known source, that ends before it begins, that is wrong in
/// itself, or whose days overlap with those of another row on the same thing does not load.
pub(super) fn read<T: Row>(
    files: &Files,
    sources: &Sources,
    path: &str,
) -> Result<Vec<Dated<T>>, LoadError> {
    let mut out: Vec<Dated<T>> = Vec::new();
    let mut by_key: BTreeMap<String, Vec<(u64, Period)>> = BTreeMap::new();
    for (line, row) in rows::<T>(files, path)? {
        sources.check(path, line, row.source())?;
        let (from, to) = row.dates();
        if to.is_some_and(|to| to < from) {
            return Err(LoadError::line(path, line, "valid_to lies before valid_from"));
        }
        if let Some(fault) = row.fault() {
            return Err(LoadError::line(path, line, fault));
        }
        let period = Period { from, to };
        let others = by_key.entry(row.key()).or_default();
        if let Some((other, _)) = others.iter().find(|(_, p)| p.overlaps(&period)) {
            let message =
                format!("in force on days on which line {other} says the same or another");
            return Err(LoadError::line(path, line, message));
        }
        others.push((line, period));
        out.push(Dated { line, period, row });
    }
    Ok(out)
}

/// A day in what is kept.
pub(super) mod written_day {
    use jiff::civil::Date;
    use serde::Serializer;

    pub(in super::super) use super::day as deserialize;

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
    pub(in super::super) fn serialize<S: Serializer>(day: &Date, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(day)
    }
}

/// A day in what is kept that may be missing.
pub(super) mod written_open_day {
    use jiff::civil::Date;
    use serde::Serializer;

    pub(in super::super) use super::open_day as deserialize;

    #[expect(clippy::ref_option, clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
    pub(in super::super) fn serialize<S: Serializer>(
        day: &Option<Date>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        match day {
            Some(day) => to.collect_str(day),
            None => to.serialize_str(""),
        }
    }
}

/// `2022-03-01`.
pub(super) fn day<'de, D: Deserializer<'de>>(from: D) -> Result<Date, D::Error> {
    let text = String::deserialize(from)?;
    text.parse().map_err(|_| serde::de::Error::custom("a day is written YYYY-MM-DD"))
}

/// `2022-03-01` or empty.
pub(super) fn open_day<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Date>, D::Error> {
    let text = String::deserialize(from)?;
    if text.is_empty() {
        return Ok(None);
    }
    let day = text.parse().map_err(|_| serde::de::Error::custom("a day is written YYYY-MM-DD"))?;
    Ok(Some(day))
}

/// How closely a pattern names an examination: `*` is all, `ct.chest.*` all that begin so, else
/// the one. `None` if it does not; a larger number is closer.
pub(super) fn closeness(pattern: &str, examination: &str) -> Option<usize> {
    match pattern.strip_suffix('*') {
        Some(start) => examination.starts_with(start).then_some(start.len()),
        None => (pattern == examination).then_some(usize::MAX),
    }
}
