//! What in the trail somebody should look at: broken glasses, one caller who reads many patients in a
//! short time, and one who reads their neighbours. The limits are rows of `models/policy/alarms.csv`.

use std::collections::HashMap;

use serde::Deserialize;

use super::Entry;
use crate::tables::files::{Files, LoadError};
use crate::tables::table::{Sources, Status, rows};

/// The table of limits.
const PATH: &str = "policy/alarms.csv";
/// What its rows cite.
const SOURCES: &str = "policy/sources.csv";
/// Hours of a window at most.
const HOURS_MAX: u32 = 24 * 7;
/// Milliseconds of an hour.
const HOUR_MS: i64 = 3_600_000;

/// Kind of alarm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AlarmKind {
    /// A record was opened by breaking the glass.
    BreakGlass,
    /// One caller read more patients than anybody sees.
    MassReading,
    /// One caller read many patients of one village.
    Neighbours,
    /// One caller read several patients of one village who have the caller's family name.
    SameName,
}

/// When an alarm is raised.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Limit {
    kind: AlarmKind,
    /// `*`: any.
    role: String,
    more_than: usize,
    hours: u32,
}

/// The limits.
#[derive(Debug, Clone, Default)]
pub struct Limits(Vec<Limit>);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    kind: AlarmKind,
    role: String,
    more_than: usize,
    hours: u32,
    #[serde(rename = "meaning_zh")]
    _meaning_zh: String,
    source: String,
    #[serde(rename = "status")]
    _status: Status,
}

/// Whose record an entry is about, as far as the node knows.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Subject {
    /// The person: a digest.
    pub person: String,
    /// The name.
    pub name: String,
    /// The village: a division code of 12 digits, or township and village as written. Empty: unknown.
    pub village: String,
}

/// An alarm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alarm {
    /// What it is about.
    pub kind: AlarmKind,
    /// When the entry was written, in milliseconds since 1970.
    pub at_ms: i64,
    /// Who read.
    pub caller: String,
    /// As what.
    pub role: String,
    /// Number of the entry that raised it.
    pub entry: u64,
    /// Patients read.
    pub persons: u64,
    /// In so many hours.
    pub hours: u32,
}

/// Goes along a trail and raises alarms. Keeps who was read within the longest window.
#[derive(Debug)]
pub struct Watch {
    limits: Limits,
    /// For each limit, caller and village: whom, and when last.
    windows: HashMap<(usize, String, String), Window>,
}

#[derive(Debug, Default)]
struct Window {
    seen: HashMap<String, i64>,
    /// Raised until then: one alarm a window.
    raised_until_ms: i64,
}

/// The name is the patient's.
impl std::fmt::Debug for Subject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Subject(..)")
    }
}

impl AlarmKind {
    /// Every kind.
    pub const ALL: [Self; 4] =
        [Self::BreakGlass, Self::MassReading, Self::Neighbours, Self::SameName];

    /// The name in tables and answers.
    pub fn name(self) -> &'static str {
        match self {
            Self::BreakGlass => "break_glass",
            Self::MassReading => "mass_reading",
            Self::Neighbours => "neighbours",
            Self::SameName => "same_name",
        }
    }

    /// The one with this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

impl Limits {
    /// Reads the table.
    pub fn load(files: &Files) -> Result<Self, LoadError> {
        let sources = Sources::load(files, SOURCES)?;
        let mut limits: Vec<Limit> = Vec::new();
        for (line, row) in rows::<Row>(files, PATH)? {
            sources.check(PATH, line, &row.source)?;
            let Row { kind, role, more_than, hours, .. } = row;
            if !(1..=HOURS_MAX).contains(&hours) {
                return Err(LoadError::line(PATH, line, "hours must be from 1 to 168"));
            }
            if role.is_empty() {
                return Err(LoadError::line(PATH, line, "role must be a role or *"));
            }
            if limits.iter().any(|l| l.kind == kind && l.role == role) {
                return Err(LoadError::line(PATH, line, "stands twice"));
            }
            limits.push(Limit { kind, role, more_than, hours });
        }
        Ok(Self(limits))
    }
}

impl Watch {
    /// Over a trail.
    pub fn new(limits: Limits) -> Self {
        Self { limits, windows: HashMap::new() }
    }

    /// Looks at an entry. `subject`: whose record it is about, where the node knows.
    pub fn see(&mut self, entry: &Entry, subject: Option<&Subject>) -> Vec<Alarm> {
        let mut alarms = Vec::new();
        let limits = std::mem::take(&mut self.limits.0);
        for (place, limit) in limits.iter().enumerate() {
            if limit.role != "*" && limit.role != entry.role {
                continue;
            }
            let persons = match limit.kind {
                AlarmKind::BreakGlass => (entry.outcome == "glass_broken").then_some(1),
                AlarmKind::MassReading => {
                    self.count((place, limit), entry, (person(entry, subject), String::new()))
                }
                AlarmKind::Neighbours => village(subject).and_then(|village| {
                    self.count((place, limit), entry, (person(entry, subject), village))
                }),
                AlarmKind::SameName => {
                    let same = subject.filter(|s| is_namesake(&entry.caller, &s.name));
                    village(same).and_then(|village| {
                        self.count((place, limit), entry, (person(entry, subject), village))
                    })
                }
            };
            alarms.extend(persons.map(|persons| Alarm {
                kind: limit.kind,
                at_ms: entry.at_ms,
                caller: entry.caller.clone(),
                role: entry.role.clone(),
                entry: entry.number,
                persons,
                hours: limit.hours,
            }));
        }
        self.limits.0 = limits;
        alarms
    }

    /// Counts whom the caller has read in the window; how many, where an alarm is due.
    fn count(
        &mut self,
        (place, limit): (usize, &Limit),
        entry: &Entry,
        (person, village): (Option<String>, String),
    ) -> Option<u64> {
        let person = person.filter(|_| gave(entry))?;
        let window = self.windows.entry((place, entry.caller.clone(), village)).or_default();
        window.seen.insert(person, entry.at_ms);
        if window.seen.len() <= limit.more_than {
            return None;
        }
        let since = entry.at_ms - i64::from(limit.hours) * HOUR_MS;
        window.seen.retain(|_, at_ms| *at_ms > since);
        if window.seen.len() <= limit.more_than || entry.at_ms < window.raised_until_ms {
            return None;
        }
        window.raised_until_ms = entry.at_ms + i64::from(limit.hours) * HOUR_MS;
        u64::try_from(window.seen.len()).ok()
    }
}

/// Whether a patient's data was given to a reader.
fn gave(entry: &Entry) -> bool {
    let reads = ["read_", "retrieve_", "look_up_", "find_", "review_access"];
    let given = ["ok", "glass_broken", "patient_to_be_told", "replayed"];
    reads.iter().any(|start| entry.action.starts_with(start))
        && given.contains(&entry.outcome.as_str())
}

/// Whom an entry is about: what leads to the person, or the record alone.
fn person(entry: &Entry, subject: Option<&Subject>) -> Option<String> {
    let known = subject.map(|subject| subject.person.as_str());
    [known.unwrap_or_default(), &entry.patient_reference, &entry.record_id]
        .into_iter()
        .find(|text| !text.is_empty())
        .map(str::to_owned)
}

fn village(subject: Option<&Subject>) -> Option<String> {
    subject.map(|subject| subject.village.clone()).filter(|village| !village.is_empty())
}

/// Whether caller and patient have one family name: the first character of both, where that is no letter
/// or digit of ASCII. What says where a caller's name comes from (`account:`, `oidc:`) is no part of it.
fn is_namesake(caller: &str, patient: &str) -> bool {
    let first = |name: &str| name.trim().chars().next().filter(|c| !c.is_ascii());
    let caller = caller.split_once(':').map_or(caller, |(_, name)| name);
    first(caller).is_some_and(|name| first(patient) == Some(name))
}
