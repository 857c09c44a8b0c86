//! What is counted (`models/reporting/counters.csv`), and the numbers of one place and month.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::hours::{CLASSES, class_name};
use crate::tables::files::{Files, LoadError};
use crate::tables::table::{Sources, Status, rows};

const SOURCES: &str = "reporting/sources.csv";
const COUNTERS: &str = "reporting/counters.csv";
/// Largest number that a node may tell: sums of all places stay far from overflow.
pub const VALUE_MAX: u64 = 1 << 40;

/// How a counter counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CounterKind {
    /// One number.
    Number,
    /// A number for each class of hours.
    Hours,
}

/// Who tells a counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToldBy {
    /// The node, of what it keeps.
    Node,
    /// The hub.
    Hub,
    /// The table of divisions.
    Tables,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum YesNo {
    Yes,
    No,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    id: String,
    name_zh: String,
    what_zh: String,
    unit: String,
    kind: CounterKind,
    told_by: ToldBy,
    small_below: u64,
    part_of: String,
    counted: YesNo,
    source: String,
    #[serde(rename = "status")]
    _status: Status,
}

/// A counter of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counter {
    /// Id.
    pub id: String,
    /// Name.
    pub name_zh: String,
    /// What it counts.
    pub what_zh: String,
    /// Unit.
    pub unit: String,
    /// How it counts.
    pub kind: CounterKind,
    /// Who tells it.
    pub told_by: ToldBy,
    /// Numbers from 1 to below this are not shown; 0: all are.
    pub small_below: u64,
    /// The counter that it and others add up to.
    pub part_of: Option<usize>,
    /// Whether anybody counts it.
    pub counted: bool,
    /// Its first slot in [`Values`].
    first: usize,
}

/// The counters of the table.
#[derive(Debug, Clone)]
pub struct Counters {
    all: Vec<Counter>,
    by_id: BTreeMap<String, usize>,
    slots: usize,
}

/// What is known of one place and month: a number for each slot, none where nobody told one. What is not
/// known is never 0.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Values(Vec<Option<u64>>);

/// Why a number that was told is not taken. The message goes behind the field's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotTaken {
    /// No such counter.
    #[error("must be a counter of models/reporting/counters.csv that nodes tell")]
    Unknown,
    /// Told twice.
    #[error("must be told once")]
    Twice,
    /// Too large.
    #[error("must be at most 1099511627776")]
    TooLarge,
}

impl Counter {
    /// Slots that it takes up.
    pub fn slots(&self) -> std::ops::Range<usize> {
        let width = match self.kind {
            CounterKind::Number => 1,
            CounterKind::Hours => CLASSES,
        };
        self.first..self.first + width
    }

    /// Whether it is shown whatever it is.
    pub fn is_open(&self) -> bool {
        self.small_below == 0
    }
}

impl Counters {
    /// Reads and checks the table.
    ///
    /// # Errors
    /// With file and line: a row without a known source, an id that stands twice, a part of what does not
    /// stand before it, a small limit of hours or of the tables' own counters that makes no sense.
    pub fn load(files: &Files) -> Result<Self, LoadError> {
        let sources = Sources::load(files, SOURCES)?;
        let mut counters = Self { all: Vec::new(), by_id: BTreeMap::new(), slots: 0 };
        for (line, row) in rows::<Row>(files, COUNTERS)? {
            sources.check(COUNTERS, line, &row.source)?;
            let counter =
                counters.counter(row).map_err(|why| LoadError::line(COUNTERS, line, why))?;
            let number = counters.all.len();
            if counters.by_id.insert(counter.id.clone(), number).is_some() {
                return Err(LoadError::line(COUNTERS, line, "the counter stands twice"));
            }
            counters.slots = counter.slots().end;
            counters.all.push(counter);
        }
        Ok(counters)
    }

    fn counter(&self, row: Row) -> Result<Counter, &'static str> {
        if row.id.is_empty() || row.id.contains('/') || row.name_zh.is_empty() {
            return Err("a counter needs an id without `/` and a name");
        }
        if row.what_zh.is_empty() {
            return Err("a counter needs words for what it counts");
        }
        let part_of = match row.part_of.as_str() {
            "-" => None,
            whole => match self.by_id.get(whole) {
                Some(whole) => Some(*whole),
                None => return Err("part_of must be `-` or a counter that stands before it"),
            },
        };
        if part_of.is_some() && row.kind == CounterKind::Hours {
            return Err("hours are no part of another counter");
        }
        Ok(Counter {
            id: row.id,
            name_zh: row.name_zh,
            what_zh: row.what_zh,
            unit: row.unit,
            kind: row.kind,
            told_by: row.told_by,
            small_below: row.small_below,
            part_of,
            counted: row.counted == YesNo::Yes,
            first: self.slots,
        })
    }

    /// All of them, in the order of the table.
    pub fn all(&self) -> &[Counter] {
        &self.all
    }

    /// The one with this number.
    pub fn get(&self, number: usize) -> Option<&Counter> {
        self.all.get(number)
    }

    /// Number of the one with this id.
    pub fn number(&self, id: &str) -> Option<usize> {
        self.by_id.get(id).copied()
    }

    /// Slots of [`Values`].
    pub fn slots(&self) -> usize {
        self.slots
    }

    /// The slot that a name on the wire means: `checks`, or `read_hours/24` for a class of hours.
    pub fn slot(&self, name: &str) -> Option<usize> {
        let (id, class) = match name.split_once('/') {
            Some((id, class)) => (id, Some(class)),
            None => (name, None),
        };
        let counter = self.all.get(self.number(id)?)?;
        match (counter.kind, class) {
            (CounterKind::Number, None) => Some(counter.first),
            (CounterKind::Hours, Some(class)) => {
                let place = (0..CLASSES).find(|number| class_name(*number) == class)?;
                Some(counter.first + place)
            }
            (CounterKind::Number, Some(_)) | (CounterKind::Hours, None) => None,
        }
    }

    /// Names on the wire and numbers of what is known, in the order of the table.
    pub fn named(&self, values: &Values) -> Vec<(String, u64)> {
        let mut out = Vec::new();
        for counter in &self.all {
            for (class, slot) in counter.slots().enumerate() {
                let Some(value) = values.at(slot) else { continue };
                out.push(match counter.kind {
                    CounterKind::Number => (counter.id.clone(), value),
                    CounterKind::Hours => (format!("{}/{}", counter.id, class_name(class)), value),
                });
            }
        }
        out
    }

    /// Takes what a node told. The place in the list is that of the one that is not taken.
    pub fn taken(&self, told: &[(String, u64)], by: ToldBy) -> Result<Values, (usize, NotTaken)> {
        let mut values = Values::default();
        for (place, (name, value)) in told.iter().enumerate() {
            let id = name.split_once('/').map_or(name.as_str(), |(id, _)| id);
            let counter = self.number(id).and_then(|number| self.get(number));
            let told_so = counter.is_some_and(|counter| counter.told_by == by && counter.counted);
            let slot = self.slot(name).filter(|_| told_so).ok_or((place, NotTaken::Unknown))?;
            if *value > VALUE_MAX {
                return Err((place, NotTaken::TooLarge));
            }
            if values.at(slot).is_some() {
                return Err((place, NotTaken::Twice));
            }
            values.add(slot, *value);
        }
        Ok(values)
    }

    /// The number of a counter; of hours, how many there are in all classes.
    pub fn value(&self, values: &Values, counter: usize) -> Option<u64> {
        let counter = self.get(counter)?;
        counter.slots().filter_map(|slot| values.at(slot)).reduce(u64::saturating_add)
    }
}

impl Values {
    /// The number at a slot, if it is known.
    pub fn at(&self, slot: usize) -> Option<u64> {
        self.0.get(slot).copied().flatten()
    }

    /// Adds to a slot, which is known from then on.
    pub fn add(&mut self, slot: usize, value: u64) {
        if self.0.len() <= slot {
            self.0.resize(slot + 1, None);
        }
        if let Some(at) = self.0.get_mut(slot) {
            *at = Some(at.unwrap_or(0).saturating_add(value));
        }
    }

    /// Adds what is known elsewhere.
    pub fn merge(&mut self, other: &Self) {
        for (slot, value) in other.0.iter().enumerate() {
            if let Some(value) = value {
                self.add(slot, *value);
            }
        }
    }

    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(Option::is_none)
    }
}
