//! The regions' tables.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::offset;
use serde::Deserialize;

use super::notice::{NoticeKind, Notices, Told};
use super::terms::{Purpose, Relation, Role, Scope};
use crate::tables::files::{Files, LoadError};
use crate::tables::table::{Sources, Status, list, rows};

const SOURCES: &str = "policy/sources.csv";
const PURPOSES: &str = "policy/purposes.csv";
/// One file a region: `default.csv`, or the division code of a province, city or county.
const FOLDER: &str = "policy/consent/";
const DEFAULT: &str = "default";
/// A permit of more hours is a slip.
const HOURS_MAX: i64 = 24 * 31;
/// Characters that a reason may be asked to have.
const REASON_CHARS_MAX: usize = 200;

/// What a cell says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Decision {
    Allow,
    BreakGlass,
    Deny,
}

/// What a withdrawal makes of a cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Withdrawn {
    /// Denied.
    Stops,
    /// Only by breaking the glass.
    BreaksGlass,
    /// As before: the law or the patient's own wish asks for it.
    Stands,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum YesNo {
    Yes,
    No,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CellRow {
    purpose: Purpose,
    role: String,
    relation: String,
    decision: Decision,
    scope: Option<Scope>,
    expires_hours: Option<i64>,
    notify: Option<YesNo>,
    withdrawal: Option<Withdrawn>,
    reason_chars_min: Option<usize>,
    note_zh: String,
    valid_from: String,
    valid_to: String,
    source: String,
    #[serde(rename = "status")]
    _status: Status,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PurposeRow {
    code: Purpose,
    name_zh: String,
    source: String,
    #[serde(rename = "status")]
    _status: Status,
}

/// What a row gives where it does not deny.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Opens {
    pub(super) scope: Scope,
    pub(super) hours: i64,
    pub(super) notify: bool,
    pub(super) withdrawn: Withdrawn,
    pub(super) reason_chars_min: usize,
}

/// A row, in force on some days.
#[derive(Debug, Clone)]
pub(super) struct Cell {
    pub(super) decision: Decision,
    /// None where it denies.
    pub(super) opens: Option<Opens>,
    pub(super) note_zh: String,
    pub(super) row: String,
    pub(super) source: String,
    from: Date,
    to: Option<Date>,
}

impl Cell {
    fn holds(&self, day: Date) -> bool {
        self.from <= day && self.to.is_none_or(|to| day <= to)
    }

    fn overlaps(&self, other: &Self) -> bool {
        self.to.is_none_or(|to| other.from <= to) && other.to.is_none_or(|to| self.from <= to)
    }
}

type Key = (Purpose, Role, Relation);

/// Every region's policy.
#[derive(Debug, Clone)]
pub struct PolicyTables {
    /// By division code; the empty one is the default.
    regions: BTreeMap<String, BTreeMap<Key, Vec<Cell>>>,
    purposes: BTreeMap<Purpose, String>,
    notices: Notices,
    version: String,
}

impl PolicyTables {
    /// Reads and checks the tables. Fails with file and line on a row without a known source, an
    /// unknown term, columns that do not fit the decision, or two rows for one cell on one day.
    pub fn load(files: &Files) -> Result<Self, LoadError> {
        let sources = Sources::load(files, SOURCES)?;
        let mut purposes = BTreeMap::new();
        for (line, row) in rows::<PurposeRow>(files, PURPOSES)? {
            sources.check(PURPOSES, line, &row.source)?;
            purposes.insert(row.code, row.name_zh);
        }
        if let Some(missing) = Purpose::ALL.iter().find(|p| !purposes.contains_key(p)) {
            return Err(LoadError::file(PURPOSES, format!("{} is missing", missing.id())));
        }
        let notices = Notices::load(files, &sources)?;
        let files = files.below(FOLDER, ".csv");
        let mut regions = BTreeMap::new();
        for path in files.paths() {
            let name = path.strip_prefix(FOLDER).and_then(|name| name.strip_suffix(".csv"));
            let region = match name {
                Some(DEFAULT) => String::new(),
                Some(code) if is_region(code) => code.to_owned(),
                _ => {
                    let message = "a file is named default.csv or by a division code";
                    return Err(LoadError::file(path, message));
                }
            };
            regions.insert(region, read(&files, &sources, path)?);
        }
        if !regions.contains_key("") {
            return Err(LoadError::file(&format!("{FOLDER}{DEFAULT}.csv"), "file is missing"));
        }
        let version = files.digest(FOLDER, ".csv");
        Ok(Self { regions, purposes, notices, version })
    }

    /// Twelve hex digits over the regions' tables.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The Chinese name of a purpose.
    pub fn purpose_zh(&self, purpose: Purpose) -> &str {
        self.purposes.get(&purpose).map_or("", String::as_str)
    }

    /// Whether a role may read anything at all for a purpose, whatever the relation, by the policy of
    /// `region` at `at_ms` (milliseconds since 1970 UTC); by breaking the glass too.
    pub fn opens(&self, region: &str, (purpose, role): (Purpose, Role), at_ms: i64) -> bool {
        let Some(day) = day(at_ms) else { return false };
        Relation::ALL.iter().any(|relation| {
            let cell = self.cell(region, (purpose, role, *relation), day);
            cell.is_some_and(|cell| cell.opens.is_some())
        })
    }

    /// What a patient of a region is told of a read.
    pub fn notice(&self, region: &str, kind: NoticeKind, told: &Told<'_>) -> String {
        self.notices.words(region, kind, told)
    }

    /// The row for a cell on a day: of the closest region that has one.
    pub(super) fn cell(&self, region: &str, key: Key, day: Date) -> Option<&Cell> {
        (0..=region.len()).rev().find_map(|len| {
            let cells = self.regions.get(region.get(..len)?)?.get(&key)?;
            cells.iter().find(|cell| cell.holds(day))
        })
    }
}

/// The day in 东八区, where the policy is in force; none if the time cannot be.
pub(super) fn day(at_ms: i64) -> Option<Date> {
    let at = Timestamp::from_millisecond(at_ms).ok()?;
    Some(offset(8).to_datetime(at).date())
}

/// The code of a province, city or county (GB/T 2260).
pub(super) fn is_region(code: &str) -> bool {
    matches!(code.len(), 2 | 4 | 6) && code.bytes().all(|b| b.is_ascii_digit())
}

fn read(
    files: &Files,
    sources: &Sources,
    path: &str,
) -> Result<BTreeMap<Key, Vec<Cell>>, LoadError> {
    let mut cells: BTreeMap<Key, Vec<Cell>> = BTreeMap::new();
    for (line, row) in rows::<CellRow>(files, path)? {
        sources.check(path, line, &row.source)?;
        let fault = |message: String| LoadError::line(path, line, message);
        let cell = cell(&row, path, line, sources).map_err(fault)?;
        let (roles, relations): (Vec<&str>, Vec<&str>) =
            (list(&row.role).collect(), list(&row.relation).collect());
        if roles.is_empty() || relations.is_empty() {
            return Err(fault("a row needs a role and a relation".to_owned()));
        }
        for role in &roles {
            let role =
                Role::from_id(role).ok_or_else(|| fault(format!("unknown role `{role}`")))?;
            for relation in &relations {
                let relation = Relation::from_id(relation)
                    .ok_or_else(|| fault(format!("unknown relation `{relation}`")))?;
                let others = cells.entry((row.purpose, role, relation)).or_default();
                if others.iter().any(|other| other.overlaps(&cell)) {
                    let which = format!("{} {} {}", row.purpose.id(), role.id(), relation.id());
                    return Err(fault(format!("`{which}` stands twice on one day")));
                }
                others.push(cell.clone());
            }
        }
    }
    Ok(cells)
}

fn cell(row: &CellRow, path: &str, line: u64, sources: &Sources) -> Result<Cell, String> {
    let day =
        |text: &str| text.parse::<Date>().map_err(|_| "a day is written YYYY-MM-DD".to_owned());
    let from = day(&row.valid_from)?;
    let to = if row.valid_to.is_empty() { None } else { Some(day(&row.valid_to)?) };
    if to.is_some_and(|to| to < from) {
        return Err("valid_to lies before valid_from".to_owned());
    }
    if row.note_zh.is_empty() {
        return Err("a row needs a note".to_owned());
    }
    let glass =
        row.decision == Decision::BreakGlass || row.withdrawal == Some(Withdrawn::BreaksGlass);
    let opens = match (row.decision, row.scope, row.expires_hours, row.notify, row.withdrawal) {
        (Decision::Deny, None, None, None, None) if row.reason_chars_min.is_none() => None,
        (
            Decision::Allow | Decision::BreakGlass,
            Some(scope),
            Some(hours @ 1..=HOURS_MAX),
            Some(notify),
            Some(withdrawn),
        ) => {
            let notify = notify == YesNo::Yes;
            let chars = row.reason_chars_min.unwrap_or(0);
            if glass != (1..=REASON_CHARS_MAX).contains(&chars) {
                return Err("breaking the glass needs reason_chars_min, nothing else".to_owned());
            }
            if row.decision == Decision::BreakGlass && !notify {
                return Err("breaking the glass tells the patient".to_owned());
            }
            Some(Opens { scope, hours, notify, withdrawn, reason_chars_min: chars })
        }
        _ => return Err("columns do not fit the decision".to_owned()),
    };
    Ok(Cell {
        decision: row.decision,
        opens,
        note_zh: row.note_zh.clone(),
        row: format!("{path}:{line}"),
        source: sources.cite(&row.source),
        from,
        to,
    })
}
