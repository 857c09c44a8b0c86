//! What a report shows (`models/reporting/indicators.csv`): which counter over which, by which version of
//! the formula, and from which day that holds.

use jiff::civil::Date;
use serde::Deserialize;

use super::counters::{CounterKind, Counters};
use super::month::Month;
use crate::tables::files::{Files, LoadError};
use crate::tables::table::{Sources, Status, rows};

const SOURCES: &str = "reporting/sources.csv";
const INDICATORS: &str = "reporting/indicators.csv";

/// What is made of the counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Formula {
    /// The numerator itself.
    Count,
    /// The numerator in a hundred of the denominator.
    Share,
    /// The middle of the numerator's classes of hours.
    Median,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    id: String,
    name_zh: String,
    unit: String,
    kind: Formula,
    numerator: String,
    denominator: String,
    version: u32,
    from: String,
    group_zh: String,
    note_zh: String,
    source: String,
    #[serde(rename = "status")]
    status: Status,
}

/// One version of an indicator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Indicator {
    /// Id; versions of one share it.
    pub id: String,
    /// Name.
    pub name_zh: String,
    /// Unit.
    pub unit: String,
    /// What is made of the counters.
    pub formula: Formula,
    /// Number of the counter above.
    pub numerator: usize,
    /// Number of the counter below; only of a share.
    pub denominator: Option<usize>,
    /// Version of the formula.
    pub version: u32,
    /// The first day of the months for which it holds.
    pub from: Date,
    /// Where it stands in a report.
    pub group_zh: String,
    /// What to know about it; may be empty.
    pub note_zh: String,
    /// What it cites.
    pub source: String,
    /// Whether somebody has reviewed it.
    pub status: Status,
}

/// The indicators of the table.
#[derive(Debug, Clone)]
pub struct Indicators {
    /// In the order of the table.
    all: Vec<Indicator>,
}

impl Indicators {
    /// Reads and checks the table.
    ///
    /// # Errors
    /// With file and line: a row without a known source, an unknown counter, a share without a
    /// denominator, a median of what counts no hours, versions that do not go up with their days.
    pub fn load(files: &Files, counters: &Counters) -> Result<Self, LoadError> {
        let sources = Sources::load(files, SOURCES)?;
        let mut all: Vec<Indicator> = Vec::new();
        for (line, row) in rows::<Row>(files, INDICATORS)? {
            sources.check(INDICATORS, line, &row.source)?;
            let indicator = indicator(row, counters);
            let indicator =
                indicator.map_err(|message| LoadError::line(INDICATORS, line, message))?;
            let before = all.iter().rev().find(|other| other.id == indicator.id);
            if before.is_some_and(|b| b.version >= indicator.version || b.from >= indicator.from) {
                let message = "a later version needs a higher number and a later day";
                return Err(LoadError::line(INDICATORS, line, message));
            }
            all.push(indicator);
        }
        Ok(Self { all })
    }

    /// Every version of every indicator.
    pub fn all(&self) -> &[Indicator] {
        &self.all
    }

    /// Ids in the order of the table, each once.
    pub fn ids(&self) -> Vec<&str> {
        let mut ids: Vec<&str> = Vec::new();
        for indicator in &self.all {
            if !ids.contains(&indicator.id.as_str()) {
                ids.push(&indicator.id);
            }
        }
        ids
    }

    /// The version of an indicator that holds for a month; none before the first.
    pub fn version(&self, id: &str, month: Month) -> Option<&Indicator> {
        let holds = |one: &&Indicator| one.id == id && one.from <= month.first_day();
        self.all.iter().rev().find(holds)
    }

    /// Counters of which the first is never above the second, for a month.
    pub fn inclusions(&self, month: Month) -> Vec<(usize, usize)> {
        let of = |id: &str| {
            let indicator = self.version(id, month)?;
            Some((indicator.numerator, indicator.denominator?))
        };
        self.ids().into_iter().filter_map(of).collect()
    }
}

fn indicator(row: Row, counters: &Counters) -> Result<Indicator, String> {
    if row.id.is_empty() || row.name_zh.is_empty() || row.group_zh.is_empty() {
        return Err("an indicator needs an id, a name and a group".to_owned());
    }
    let number = |id: &str| counters.number(id).ok_or(format!("unknown counter `{id}`"));
    let numerator = number(&row.numerator)?;
    let denominator = match (row.kind, row.denominator.as_str()) {
        (Formula::Share, "-") => return Err("a share needs a denominator".to_owned()),
        (Formula::Share, id) => Some(number(id)?),
        (Formula::Count | Formula::Median, "-") => None,
        (Formula::Count | Formula::Median, _) => {
            return Err("only a share has a denominator: write `-`".to_owned());
        }
    };
    let kind = counters.get(numerator).map(|counter| counter.kind);
    let fits = match row.kind {
        Formula::Median => kind == Some(CounterKind::Hours),
        Formula::Count | Formula::Share => kind == Some(CounterKind::Number),
    };
    if !fits {
        return Err("a median is of hours, and everything else is not".to_owned());
    }
    let from = row.from.parse().map_err(|_| "from must be a day such as 2026-01-01".to_owned())?;
    Ok(Indicator {
        id: row.id,
        name_zh: row.name_zh,
        unit: row.unit,
        formula: row.kind,
        numerator,
        denominator,
        version: row.version,
        from,
        group_zh: row.group_zh,
        note_zh: row.note_zh,
        source: row.source,
        status: row.status,
    })
}
