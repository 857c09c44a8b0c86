//! `limits.csv` (legal limits of a prescription) and `review_items.csv` (处方点评).

use std::collections::HashMap;
use std::sync::Arc;

use serde::Deserialize;

use super::{Origin, Rows};
use crate::medicine::prescription::formulary::Formulary;
use crate::medicine::prescription::order::Setting;
use crate::tables::files::{Files, LoadError};
use crate::tables::table::{Status, rows};

const LIMITS: &str = "prescription/limits.csv";
const ITEMS: &str = "prescription/review_items.csv";

/// Topic of the number of medicines on one prescription.
const MEDICINES: &str = "items_per_rx";
/// Topics of the days of supply.
const OUTPATIENT_DAYS: &str = "quantity_outpatient";
const EMERGENCY_DAYS: &str = "quantity_emergency";
/// Topic of the longest supply with a reason.
const LONG_SUPPLY: &str = "long_term_rx";
/// Days in one unit of a limit.
const UNIT_DAYS: [(&str, f32); 2] = [("day", 1.0), ("week", 7.0)];

/// One limit with a number.
#[derive(Debug, Clone)]
pub(in crate::medicine::prescription) struct Limit {
    pub(in crate::medicine::prescription) origin: Origin,
    pub(in crate::medicine::prescription) value: f32,
    /// The number counts doses and not days.
    pub(in crate::medicine::prescription) is_one_dose: bool,
    pub(in crate::medicine::prescription) rule_zh: String,
    pub(in crate::medicine::prescription) review_code: Option<String>,
}

/// The limits that are checked.
#[derive(Debug)]
pub(in crate::medicine::prescription) struct Limits {
    medicines: Limit,
    outpatient_days: Limit,
    emergency_days: Limit,
    long_supply_days: Limit,
    /// The other topics that have a number.
    others: HashMap<String, Limit>,
}

/// Items of the prescription review.
#[derive(Debug)]
pub(in crate::medicine::prescription) struct ReviewItems {
    items: HashMap<String, Origin>,
    /// Stands for an item that the table lacks; loading refuses tables that lack a needed one.
    none: Origin,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LimitRow {
    id: String,
    topic: String,
    value: String,
    unit: String,
    #[expect(dead_code, reason = "the topics name their setting")]
    setting: String,
    rule_zh: String,
    review_code: String,
    source: String,
    status: Status,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ItemRow {
    code: String,
    #[expect(dead_code, reason = "for the reader of the table")]
    class: String,
    zh: String,
    source: String,
    status: Status,
}

impl Limits {
    pub(in crate::medicine::prescription) fn load(
        files: &Files,
        formulary: &Formulary,
        items: &ReviewItems,
    ) -> Result<Self, LoadError> {
        let mut checks = Rows::new(formulary, LIMITS);
        let mut topics: HashMap<String, Limit> = HashMap::new();
        for (line, row) in rows::<LimitRow>(files, LIMITS)? {
            let origin = checks.origin(line, &row.id, &row.source, row.status)?;
            checks.filled(line, "rule_zh", &row.rule_zh)?;
            let review_code = (!row.review_code.is_empty()).then_some(row.review_code);
            if let Some(code) = review_code.as_ref().filter(|code| items.get(code).is_none()) {
                let message = format!("unknown review item `{code}`");
                return Err(LoadError::line(LIMITS, line, message));
            }
            let unit = UNIT_DAYS.iter().find(|(unit, _)| *unit == row.unit).map_or(1.0, |u| u.1);
            let value = match row.value.parse::<f32>() {
                Ok(value) if value.is_finite() && value > 0.0 => value * unit,
                Ok(_) | Err(_) => {
                    let message = format!("`{}` must be a number above 0", row.value);
                    return Err(LoadError::line(LIMITS, line, message));
                }
            };
            let is_one_dose = row.unit == "dose";
            let limit = Limit { origin, value, is_one_dose, rule_zh: row.rule_zh, review_code };
            if topics.insert(row.topic.clone(), limit).is_some() {
                let message = format!("topic `{}` stands twice", row.topic);
                return Err(LoadError::line(LIMITS, line, message));
            }
        }
        let mut take = |topic: &str| {
            let missing = || LoadError::file(LIMITS, format!("topic `{topic}` is missing"));
            topics.remove(topic).ok_or_else(missing)
        };
        Ok(Self {
            medicines: take(MEDICINES)?,
            outpatient_days: take(OUTPATIENT_DAYS)?,
            emergency_days: take(EMERGENCY_DAYS)?,
            long_supply_days: take(LONG_SUPPLY)?,
            others: topics,
        })
    }

    /// Most medicines on one prescription.
    pub(in crate::medicine::prescription) fn medicines(&self) -> &Limit {
        &self.medicines
    }

    /// Longest supply without a reason, in days.
    pub(in crate::medicine::prescription) fn days(&self, setting: Setting) -> &Limit {
        match setting {
            Setting::Outpatient => &self.outpatient_days,
            Setting::Emergency => &self.emergency_days,
        }
    }

    /// The limit of a topic, such as `psych2`; `None` where the table has none.
    pub(in crate::medicine::prescription) fn topic(&self, topic: &str) -> Option<&Limit> {
        self.others.get(topic)
    }

    /// Longest supply with a reason, in days.
    pub(in crate::medicine::prescription) fn long_supply_days(&self) -> &Limit {
        &self.long_supply_days
    }
}

impl ReviewItems {
    pub(in crate::medicine::prescription) fn load(
        files: &Files,
        formulary: &Formulary,
    ) -> Result<Self, LoadError> {
        let mut checks = Rows::new(formulary, ITEMS);
        let mut items = HashMap::new();
        for (line, row) in rows::<ItemRow>(files, ITEMS)? {
            let origin = checks.origin(line, &row.code, &row.source, row.status)?;
            checks.filled(line, "zh", &row.zh)?;
            items.insert(row.code, origin);
        }
        let empty: Arc<str> = Arc::from("");
        let none = Origin {
            id: Arc::clone(&empty),
            source: Arc::clone(&empty),
            citation: empty,
            status: Status::Draft,
        };
        Ok(Self { items, none })
    }

    /// The row of an item.
    pub(in crate::medicine::prescription) fn get(&self, code: &str) -> Option<&Origin> {
        self.items.get(code)
    }

    /// Refuses tables without an item that the checks themselves need.
    pub(in crate::medicine::prescription) fn require(&self, code: &str) -> Result<(), LoadError> {
        match self.get(code) {
            Some(_) => Ok(()),
            None => Err(LoadError::file(ITEMS, format!("review item `{code}` is missing"))),
        }
    }

    /// The row of an item that was required at loading.
    pub(in crate::medicine::prescription) fn origin(&self, code: &str) -> &Origin {
        self.get(code).unwrap_or(&self.none)
    }
}
