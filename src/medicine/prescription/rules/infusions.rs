//! `infusion.csv` (what a medicine is dissolved in, how thin and how slow) and
//! `iv_incompatible.csv` (what may not meet in one bag or line).

use serde::Deserialize;

use super::{BySubject, Origin, Rows, TableAction, TableSeverity, place};
use crate::medicine::prescription::formulary::{Formulary, Subject};
use crate::medicine::prescription::quantity::Unit;
use crate::medicine::prescription::report::{Action, Severity};
use crate::tables::files::{Files, LoadError};
use crate::tables::table::{Status, list, rows};

const INFUSION: &str = "prescription/infusion.csv";
const INCOMPATIBLE: &str = "prescription/iv_incompatible.csv";

/// What an infusion is dissolved in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(in crate::medicine::prescription) enum Vehicle {
    /// 0.9 % 氯化钠
    Ns,
    /// 0.45 % 氯化钠
    Hs,
    /// 5 % 葡萄糖
    Gs5,
    /// 10 % 葡萄糖
    Gs10,
    /// 葡萄糖氯化钠
    Gns,
    /// 林格
    Ringer,
    /// 乳酸钠林格
    Lr,
    /// 灭菌注射用水
    Swfi,
}

/// One row of `infusion.csv`.
#[derive(Debug)]
pub(in crate::medicine::prescription) struct Infusion {
    pub(in crate::medicine::prescription) origin: Origin,
    /// Empty: not said.
    pub(in crate::medicine::prescription) good: Vec<Vehicle>,
    pub(in crate::medicine::prescription) bad: Vec<Vehicle>,
    /// Per millilitre, in `unit`.
    pub(in crate::medicine::prescription) concentration_max: Option<f64>,
    pub(in crate::medicine::prescription) unit: Option<Unit>,
    pub(in crate::medicine::prescription) volume_ml: (Option<f64>, Option<f64>),
    pub(in crate::medicine::prescription) minutes_min: Option<f64>,
    /// `false`: never pushed into a vein.
    pub(in crate::medicine::prescription) push: bool,
    pub(in crate::medicine::prescription) action: Action,
    pub(in crate::medicine::prescription) note_zh: String,
}

/// One row of `iv_incompatible.csv`.
#[derive(Debug)]
pub(in crate::medicine::prescription) struct Incompatible {
    pub(in crate::medicine::prescription) origin: Origin,
    pub(in crate::medicine::prescription) a: Vec<Subject>,
    pub(in crate::medicine::prescription) b: Vec<Subject>,
    pub(in crate::medicine::prescription) action: Action,
    pub(in crate::medicine::prescription) severity: Severity,
    pub(in crate::medicine::prescription) reason_zh: String,
    pub(in crate::medicine::prescription) instead_zh: String,
}

/// Both tables.
#[derive(Debug)]
pub(in crate::medicine::prescription) struct Infusions {
    rules: Vec<Infusion>,
    by_subject: BySubject,
    pub(in crate::medicine::prescription) incompatible: Vec<Incompatible>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    id: String,
    subject: String,
    diluents_ok: String,
    diluents_bad: String,
    #[expect(dead_code, reason = "for the reader of the table: too thin is no danger")]
    conc_min: Option<f64>,
    conc_max: Option<f64>,
    conc_unit: String,
    volume_min_ml: Option<f64>,
    volume_max_ml: Option<f64>,
    minutes_min: Option<f64>,
    #[expect(dead_code, reason = "for the reader of the table: orders have no rate")]
    rate_max: Option<f64>,
    #[expect(dead_code, reason = "for the reader of the table: orders have no rate")]
    rate_unit: String,
    push: String,
    action: TableAction,
    note_zh: String,
    source: String,
    status: Status,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct IncompatibleRow {
    id: String,
    a: String,
    b: String,
    action: TableAction,
    severity: TableSeverity,
    reason_zh: String,
    instead_zh: String,
    source: String,
    status: Status,
}

impl Infusions {
    pub(in crate::medicine::prescription) fn load(
        files: &Files,
        formulary: &Formulary,
    ) -> Result<Self, LoadError> {
        let mut checks = Rows::new(formulary, INFUSION);
        let mut all = Self {
            rules: Vec::new(),
            by_subject: BySubject::new(formulary),
            incompatible: Vec::new(),
        };
        for (line, row) in rows::<Row>(files, INFUSION)? {
            let origin = checks.origin(line, &row.id, &row.source, row.status)?;
            let (good, bad) =
                (vehicles(line, &row.diluents_ok)?, vehicles(line, &row.diluents_bad)?);
            if let Some(both) = good.iter().find(|vehicle| bad.contains(vehicle)) {
                let message = format!("{both:?} stands in diluents_ok and diluents_bad");
                return Err(LoadError::line(INFUSION, line, message));
            }
            // `mg/ml`: the amount of one millilitre.
            let amount = row.conc_unit.split('/').next().unwrap_or_default();
            let unit = Unit::read(amount);
            if row.conc_max.is_some() && unit.is_none() {
                let message = format!("`{}` is no concentration", row.conc_unit);
                return Err(LoadError::line(INFUSION, line, message));
            }
            checks.rising(
                line,
                "volume_min_ml and volume_max_ml",
                row.volume_min_ml,
                row.volume_max_ml,
            )?;
            let at = place(all.rules.len(), INFUSION, line)?;
            for subject in checks.subjects(line, &row.subject)? {
                all.by_subject.add(formulary, subject, at);
            }
            all.rules.push(Infusion {
                origin,
                good,
                bad,
                concentration_max: row.conc_max.zip(unit).map(|(max, (_, factor))| max * factor),
                unit: unit.map(|(unit, _)| unit),
                volume_ml: (row.volume_min_ml, row.volume_max_ml),
                minutes_min: row.minutes_min,
                push: row.push != "no",
                action: row.action.into(),
                note_zh: row.note_zh,
            });
        }
        let mut checks = Rows::new(formulary, INCOMPATIBLE);
        for (line, row) in rows::<IncompatibleRow>(files, INCOMPATIBLE)? {
            let origin = checks.origin(line, &row.id, &row.source, row.status)?;
            checks.filled(line, "reason_zh", &row.reason_zh)?;
            all.incompatible.push(Incompatible {
                origin,
                a: checks.subjects(line, &row.a)?,
                b: checks.subjects(line, &row.b)?,
                action: row.action.into(),
                severity: row.severity.into(),
                reason_zh: row.reason_zh,
                instead_zh: row.instead_zh,
            });
        }
        Ok(all)
    }

    /// Rows by what they speak of.
    pub(in crate::medicine::prescription) fn by_subject(&self) -> &BySubject {
        &self.by_subject
    }

    /// One row.
    pub(in crate::medicine::prescription) fn get(&self, at: u16) -> Option<&Infusion> {
        self.rules.get(usize::from(at))
    }
}

impl Vehicle {
    /// How it is written in answers.
    pub(in crate::medicine::prescription) fn name_zh(self) -> &'static str {
        match self {
            Self::Ns => "0.9%氯化钠注射液",
            Self::Hs => "0.45%氯化钠注射液",
            Self::Gs5 => "5%葡萄糖注射液",
            Self::Gs10 => "10%葡萄糖注射液",
            Self::Gns => "葡萄糖氯化钠注射液",
            Self::Ringer => "林格注射液",
            Self::Lr => "乳酸钠林格注射液",
            Self::Swfi => "灭菌注射用水",
        }
    }

    /// The vehicle a folded text names (`0.9%氯化钠注射液 100ml`, `5%gs`, `ns`).
    pub(in crate::medicine::prescription) fn read(folded: &str) -> Option<Self> {
        let has = |words: &[&str]| words.iter().any(|word| folded.contains(word));
        if has(&["葡萄糖氯化钠", "糖盐", "gns"]) {
            Some(Self::Gns)
        } else if has(&["乳酸钠林格", "乳酸林格", "平衡液"]) {
            Some(Self::Lr)
        } else if has(&["林格", "ringer"]) {
            Some(Self::Ringer)
        } else if has(&["0.45%"]) {
            Some(Self::Hs)
        } else if has(&["葡萄糖", "gs"]) && !has(&["葡萄糖酸", "50%"]) {
            Some(if has(&["10%"]) { Self::Gs10 } else { Self::Gs5 })
        } else if has(&["氯化钠", "生理盐水", "盐水", "ns", "n.s"])
            && !has(&["10%", "3%", "碳酸氢钠"])
        {
            Some(Self::Ns)
        } else if has(&["注射用水"]) {
            Some(Self::Swfi)
        } else {
            None
        }
    }
}

fn vehicles(line: u64, cell: &str) -> Result<Vec<Vehicle>, LoadError> {
    list(cell)
        .map(|name| {
            let read = serde::de::value::StrDeserializer::<serde::de::value::Error>::new(name);
            Vehicle::deserialize(read)
                .map_err(|_| LoadError::line(INFUSION, line, format!("unknown diluent `{name}`")))
        })
        .collect()
}
