//! The tables of follow-up: rules, and how measurements are known.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Basis, TaskKind};
use crate::sharing::discharge::programmes::Programme;
use crate::tables::files::{Files, LoadError};
use crate::tables::table::{Sources, Status, rows};
use crate::tables::text::fold;

const SOURCES: &str = "records/sources.csv";
const RULES: &str = "records/follow_up.csv";
const MEASURES: &str = "records/measures.csv";
/// More days or repetitions are a slip.
const DAYS_MAX: i64 = 3660;
const TIMES_MAX: i64 = 60;

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Measure {
    /// Systolic pressure, mmHg.
    Systolic,
    /// Diastolic pressure, mmHg.
    Diastolic,
    /// Both in one text.
    Pressure,
    /// Glucose in blood, mmol/L.
    Glucose,
    /// Oxygen saturation, %.
    Spo2,
}

/// What a rule looks at: a measure, or both pressures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Looked {
    Systolic,
    Diastolic,
    BloodPressure,
    Glucose,
    Spo2,
}

impl Looked {
    /// The measures that answer it.
    pub(super) fn measures(self) -> &'static [Measure] {
        match self {
            Self::Systolic => &[Measure::Systolic],
            Self::Diastolic => &[Measure::Diastolic],
            Self::BloodPressure => &[Measure::Systolic, Measure::Diastolic],
            Self::Glucose => &[Measure::Glucose],
            Self::Spo2 => &[Measure::Spo2],
        }
    }
}

/// When a rule holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Trigger {
    /// Always; earlier if the hospital asks for an earlier day.
    AfterDischarge,
    /// Always, several times.
    Repeated,
    /// The last measurement lies so.
    Measured,
    /// There is no measurement that can be read.
    NotMeasured,
    /// There is one that cannot be read.
    Unreadable,
    /// For each request of the hospital.
    HospitalRequest,
    /// The orders speak of coming again, and no request is listed.
    RequestInOrders,
    /// For each stopped medicine.
    MedicineStopped,
    /// There are new or altered medicines.
    MedicineChanged,
    /// No medicine says what became of it.
    MedicineChangeUnsaid,
    /// No medicines are listed.
    NoMedicines,
    /// No telephone of the patient.
    NoPhone,
    /// No day of discharge.
    DischargeDayUnknown,
    /// The patient died in hospital.
    Died,
}

impl Trigger {
    /// What of a record it looks at. That no medicine says what became of it is something the record
    /// says: one without medicines does not say more.
    pub(super) fn basis(self) -> Basis {
        match self {
            Self::NotMeasured | Self::NoMedicines | Self::NoPhone | Self::DischargeDayUnknown => {
                Basis::Unsaid
            }
            Self::Died => Basis::Death,
            Self::AfterDischarge
            | Self::Repeated
            | Self::Measured
            | Self::Unreadable
            | Self::HospitalRequest
            | Self::RequestInOrders
            | Self::MedicineStopped
            | Self::MedicineChanged
            | Self::MedicineChangeUnsaid => Basis::Said,
        }
    }
}

/// How a value is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(super) enum Op {
    #[serde(rename = ">=")]
    AtLeast,
    #[serde(rename = "<=")]
    AtMost,
    #[serde(rename = "<")]
    Below,
}

impl Op {
    pub(super) fn holds(self, value: f64, limit: f64) -> bool {
        match self {
            Self::AtLeast => value >= limit,
            Self::AtMost => value <= limit,
            Self::Below => value < limit,
        }
    }
}

/// For whom a rule is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Scope {
    /// Members of the programme.
    Programme(Programme),
    /// Members of any programme.
    Any,
    /// Everybody.
    Everybody,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleRow {
    rule: String,
    programme: String,
    kind: TaskKind,
    trigger: Trigger,
    measure: Option<Looked>,
    op: Option<Op>,
    limit: Option<f64>,
    from_days: Option<i64>,
    due_days: Option<i64>,
    every_days: Option<i64>,
    times: Option<i64>,
    wording_zh: String,
    reason_zh: String,
    source: String,
    #[serde(rename = "status")]
    _status: Status,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MeasureRow {
    measure: Measure,
    kind: KeyKind,
    key: String,
    source: String,
    #[serde(rename = "status")]
    _status: Status,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum KeyKind {
    Loinc,
    Element,
    Name,
    NotName,
}

/// A rule.
#[derive(Debug, Clone)]
pub(super) struct Rule {
    pub(super) id: String,
    pub(super) scope: Scope,
    pub(super) kind: TaskKind,
    pub(super) trigger: Trigger,
    pub(super) looked: Option<Looked>,
    pub(super) compared: Option<(Op, f64)>,
    pub(super) from_days: Option<i64>,
    pub(super) due_days: Option<i64>,
    pub(super) every_days: i64,
    pub(super) times: i64,
    pub(super) wording_zh: String,
    pub(super) reason_zh: String,
    pub(super) row: String,
    pub(super) source: String,
}

/// The names by which a measure is known.
#[derive(Debug, Clone, Default)]
pub(super) struct Names {
    pub(super) is: Vec<String>,
    pub(super) is_not: Vec<String>,
}

/// The tables of follow-up.
#[derive(Debug, Clone)]
pub struct FollowUpTables {
    pub(super) rules: Vec<Rule>,
    pub(super) codes: BTreeMap<String, Measure>,
    pub(super) names: BTreeMap<Measure, Names>,
}

impl FollowUpTables {
    /// Reads and checks the tables. Fails with file and line on a row without a known source, an
    /// unknown programme, or columns that do not fit the trigger.
    pub fn load(files: &Files) -> Result<Self, LoadError> {
        let sources = Sources::load(files, SOURCES)?;
        let mut rules: Vec<Rule> = Vec::new();
        for (line, row) in rows::<RuleRow>(files, RULES)? {
            sources.check(RULES, line, &row.source)?;
            let rule = checked(row, line, &sources)?;
            let differs = |other: &&Rule| {
                other.id == rule.id && (other.kind, other.trigger) != (rule.kind, rule.trigger)
            };
            if rules.iter().any(|other| differs(&other)) {
                let message = "rows of one rule differ in kind or trigger";
                return Err(LoadError::line(RULES, line, message));
            }
            rules.push(rule);
        }
        let mut codes = BTreeMap::new();
        let mut names: BTreeMap<Measure, Names> = BTreeMap::new();
        for (line, row) in rows::<MeasureRow>(files, MEASURES)? {
            sources.check(MEASURES, line, &row.source)?;
            let known = names.entry(row.measure).or_default();
            let key = fold(&row.key);
            if key.is_empty() {
                return Err(LoadError::line(MEASURES, line, "key is empty"));
            }
            match row.kind {
                KeyKind::Loinc | KeyKind::Element => {
                    if codes.insert(key, row.measure).is_some() {
                        return Err(LoadError::line(MEASURES, line, "code stands twice"));
                    }
                }
                KeyKind::Name => known.is.push(key),
                KeyKind::NotName => known.is_not.push(key),
            }
        }
        Ok(Self { rules, codes, names })
    }
}

fn checked(row: RuleRow, line: u64, sources: &Sources) -> Result<Rule, LoadError> {
    let fault = |message: &str| LoadError::line(RULES, line, message);
    let scope = match row.programme.as_str() {
        "*" => Scope::Everybody,
        "any" => Scope::Any,
        named => Programme::ALL
            .into_iter()
            .find(|programme| programme.id() == named)
            .map(Scope::Programme)
            .ok_or_else(|| fault("unknown programme"))?,
    };
    let compared = row.op.zip(row.limit);
    let fits = match row.trigger {
        Trigger::Measured => row.measure.is_some() && compared.is_some(),
        Trigger::NotMeasured | Trigger::Unreadable => row.measure.is_some() && compared.is_none(),
        Trigger::Repeated => {
            row.every_days.is_some() && row.times.is_some() && row.due_days.is_some()
        }
        Trigger::AfterDischarge
        | Trigger::HospitalRequest
        | Trigger::RequestInOrders
        | Trigger::MedicineStopped
        | Trigger::MedicineChanged
        | Trigger::MedicineChangeUnsaid
        | Trigger::NoMedicines
        | Trigger::NoPhone
        | Trigger::DischargeDayUnknown
        | Trigger::Died => row.measure.is_none() && compared.is_none(),
    };
    if !fits || row.op.is_some() != row.limit.is_some() {
        return Err(fault("columns do not fit the trigger"));
    }
    let days = [row.from_days, row.due_days, row.every_days];
    let times = row.times.unwrap_or(1);
    if days.into_iter().flatten().any(|days| !(0..=DAYS_MAX).contains(&days))
        || !(1..=TIMES_MAX).contains(&times)
        || row.limit.is_some_and(|limit| !limit.is_finite())
        || row.from_days > row.due_days
    {
        return Err(fault("days, times or limit are out of range"));
    }
    if row.rule.is_empty() || row.wording_zh.is_empty() || row.reason_zh.is_empty() {
        return Err(fault("a rule needs an id, a wording and a reason"));
    }
    Ok(Rule {
        id: row.rule,
        scope,
        kind: row.kind,
        trigger: row.trigger,
        looked: row.measure,
        compared,
        from_days: row.from_days,
        due_days: row.due_days,
        every_days: row.every_days.unwrap_or(0),
        times,
        wording_zh: row.wording_zh,
        reason_zh: row.reason_zh,
        row: format!("{RULES}:{line}"),
        source: sources.cite(&row.source),
    })
}
