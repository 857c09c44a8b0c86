//! The tables of recognition, and the rules in force on a day.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::reasons::{ReasonCode, Words, bad_placeholder};
use super::rows::{Dated, Period, Row, closeness, day, open_day, read};
use crate::sharing::imaging::examination::Examinations;
use crate::tables::files::{Files, LoadError};
use crate::tables::table::{Sources, Status, list, rows};

const SOURCES: &str = "imaging/sources.csv";
const ITEMS: &str = "imaging/recognition/items.csv";
const WINDOWS: &str = "imaging/recognition/windows.csv";
const REQUIREMENTS: &str = "imaging/recognition/requirements.csv";
const COVERS: &str = "imaging/recognition/covers.csv";
const GROUNDS: &str = "imaging/recognition/grounds.csv";
const REASONS: &str = "imaging/recognition/reasons.csv";
/// An operator adds files of this beginning in the same form.
const INSTITUTIONS: &str = "imaging/recognition/institutions";
/// Files of this end show the form and are not read.
const EXAMPLE: &str = ".example.csv";
/// A window of more days is a slip.
const DAYS_MAX: u32 = 3660;

/// Up to where a mark of recognition reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// One county or district (`XX县HR`).
    County,
    /// One city (`XX市HR`); not valid elsewhere.
    City,
    /// One province.
    Province,
    /// The country (全国HR).
    National,
}

impl Level {
    /// Digits of the code of such a place (GB/T 2260).
    fn digits(self) -> usize {
        match self {
            Self::County => 6,
            Self::City => 4,
            Self::Province => 2,
            Self::National => 0,
        }
    }

    /// Whether `scope` is the code of such a place.
    pub(super) fn fits(self, scope: &str) -> bool {
        scope.len() == self.digits() && scope.bytes().all(|b| b.is_ascii_digit())
    }
}

/// A mark of recognition on a study.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// Up to where.
    pub level: Level,
    /// Code of the county, city or province; empty for the country.
    pub scope: String,
    /// First day on which it may be put on a report.
    #[serde(with = "super::rows::written_day")]
    pub valid_from: Date,
    /// Last such day, if there is one.
    #[serde(with = "super::rows::written_open_day")]
    pub valid_to: Option<Date>,
}

/// How the patient is, for the time that a result stays valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Situation {
    /// Not said: the rule for any situation.
    Any,
    /// A chronic, stable condition.
    Stable,
    /// Acutely ill.
    Acute,
    /// Before an operation.
    Preoperative,
}

/// The six grounds on which an examination may be repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ground {
    /// The condition has changed, and the result does not fit it.
    ConditionChanged,
    /// The result changes quickly in the course of the disease.
    ChangesQuickly,
    /// Decisive before an operation, a transfusion or another major measure.
    Decisive,
    /// Emergency.
    Emergency,
    /// Forensic, disability or other assessment.
    Forensic,
    /// Another situation that makes it necessary.
    Other,
}

impl Ground {
    const ALL: [Self; 6] = [
        Self::ConditionChanged,
        Self::ChangesQuickly,
        Self::Decisive,
        Self::Emergency,
        Self::Forensic,
        Self::Other,
    ];
}

/// A ground as its table words it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroundText {
    /// Which.
    pub ground: Ground,
    /// Clause and source.
    pub clause: String,
    /// For the doctor.
    pub doctor_zh: String,
    /// For the patient.
    pub patient_zh: String,
}

/// What a requirement looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Check {
    /// Signed report.
    SignedReport,
    /// Certainty of the derived type, at least.
    Confidence,
    /// Images, at least.
    Images,
    /// Instance numbers missing, at most.
    MissingNumbers,
    /// Slices missing, at most.
    MissingSlices,
    /// Slice thickness in millimetres, at most.
    ThicknessMm,
    /// Coverage in millimetres, at least.
    CoverageMm,
    /// No text burned into the pixels.
    NoBurnedIn,
    /// Side marked.
    SideMarked,
}

impl Check {
    fn has_limit(self) -> bool {
        match self {
            Self::SignedReport | Self::NoBurnedIn | Self::SideMarked => false,
            Self::Confidence
            | Self::Images
            | Self::MissingNumbers
            | Self::MissingSlices
            | Self::ThicknessMm
            | Self::CoverageMm => true,
        }
    }
}

/// Whether a requirement decides or is only to be minded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Weight {
    Required,
    Remark,
}

/// How far one examination covers another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Extent {
    /// Wholly.
    Full,
    /// With a reservation.
    Partly,
    /// One of the two does not say enough.
    Unclear,
}

/// Declares a row with the columns that all tables share, and how it is checked.
macro_rules! table_row {
    ($name:ident { $($field:ident: $type:ty,)* } key $key:expr, fault $fault:expr) => {
        #[derive(Debug, Clone, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub(super) struct $name {
            $(pub(super) $field: $type,)*
            #[serde(deserialize_with = "day")]
            valid_from: Date,
            #[serde(deserialize_with = "open_day")]
            valid_to: Option<Date>,
            pub(super) source: String,
            #[serde(rename = "status")]
            _status: Status,
        }

        impl Row for $name {
            fn dates(&self) -> (Date, Option<Date>) {
                (self.valid_from, self.valid_to)
            }

            fn source(&self) -> &str {
                &self.source
            }

            fn key(&self) -> String {
                let key: fn(&Self) -> String = $key;
                key(self)
            }

            fn fault(&self) -> Option<String> {
                let fault: fn(&Self) -> Option<String> = $fault;
                fault(self)
            }
        }
    };
}

table_row!(ItemRow { examination: String, level: Level, scope: String, }
    key |r| format!("{} {:?} {}", r.examination, r.level, r.scope),
    fault |r| (r.scope != "*" && !r.level.fits(&r.scope))
        .then(|| format!("`{}` is no code of this level", r.scope)));
table_row!(WindowRow { examination: String, situation: Situation, days: u32, }
    key |r| format!("{} {:?}", r.examination, r.situation),
    fault |r| (r.days > DAYS_MAX).then(|| format!("more than {DAYS_MAX} days")));
table_row!(RequirementRow { examination: String, check: Check, limit: Option<f64>, weight: Weight, }
key |r| format!("{} {:?}", r.examination, r.check),
fault |r| match (r.check.has_limit(), r.limit) {
    (true, None) => Some("limit is missing".to_owned()),
    (false, Some(_)) => Some("this check has no limit".to_owned()),
    (_, Some(limit)) if !(limit.is_finite() && limit >= 0.0) =>
        Some("limit must not be negative".to_owned()),
    (true, Some(_)) | (false, None) => None,
});
table_row!(CoverRow { existing: String, planned: String, extent: Extent, note_zh: String, }
key |r| format!("{} {}", r.existing, r.planned),
fault |r| if r.existing == r.planned {
    Some("an examination covers itself without a row".to_owned())
} else if r.extent == Extent::Partly && r.note_zh.is_empty() {
    Some("a partly covered examination needs a note".to_owned())
} else {
    None
});
table_row!(GroundRow { id: Ground, clause: String, doctor_zh: String, patient_zh: String, }
    key |r| format!("{:?}", r.id),
    fault |r| (r.clause.is_empty() || r.doctor_zh.is_empty() || r.patient_zh.is_empty())
        .then(|| "a ground needs a clause and words for doctor and patient".to_owned()));
table_row!(InstitutionRow {
    id: String, name: String, region: String, level: Level, scope: String, examinations: String,
}
key |r| format!("{} {:?} {} {}", r.id, r.level, r.scope, r.examinations),
fault |r| if r.id.is_empty() || r.name.is_empty() {
    Some("an institution needs an id and a name".to_owned())
} else if !Level::County.fits(&r.region) {
    Some(format!("`{}` is no code of a county", r.region))
} else if !r.level.fits(&r.scope) {
    Some(format!("`{}` is no code of this level", r.scope))
} else if !r.region.starts_with(&r.scope) {
    Some("the institution does not lie in the scope of its mark".to_owned())
} else {
    None
});

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReasonRow {
    code: String,
    doctor_zh: String,
    patient_zh: String,
    clause: String,
    source: String,
    #[serde(rename = "status")]
    _status: Status,
}

#[derive(Debug)]
struct Tables {
    items: Vec<Dated<ItemRow>>,
    windows: Vec<Dated<WindowRow>>,
    requirements: Vec<Dated<RequirementRow>>,
    covers: Vec<Dated<CoverRow>>,
    grounds: Vec<Dated<GroundRow>>,
    institutions: Vec<Dated<InstitutionRow>>,
    words: BTreeMap<ReasonCode, Words>,
    names: BTreeMap<String, String>,
    sources: Sources,
    version: String,
}

/// Every rule there is and was.
#[derive(Debug, Clone)]
pub struct Policies(Arc<Tables>);

/// The rules in force on one day.
#[derive(Debug, Clone)]
pub struct Policy {
    tables: Arc<Tables>,
    date: Date,
}

impl Policies {
    /// Reads and checks the tables; `examinations` knows the ids that rows may name. Fails with
    /// file and line on a row without a known source, an unknown examination, rows on the same
    /// thing whose days overlap, or a reason without words.
    pub fn load(files: &Files, examinations: &Examinations) -> Result<Self, LoadError> {
        let sources = Sources::load(files, SOURCES)?;
        let s = &sources;
        let items = read::<ItemRow>(files, s, ITEMS)?;
        let windows = read::<WindowRow>(files, s, WINDOWS)?;
        let requirements = read::<RequirementRow>(files, s, REQUIREMENTS)?;
        let covers = read::<CoverRow>(files, s, COVERS)?;
        let grounds = read::<GroundRow>(files, s, GROUNDS)?;
        known(ITEMS, &items, examinations, |r| vec![&r.examination])?;
        known(WINDOWS, &windows, examinations, |r| vec![&r.examination])?;
        known(REQUIREMENTS, &requirements, examinations, |r| vec![&r.examination])?;
        known(COVERS, &covers, examinations, |r| vec![&r.existing, &r.planned])?;
        for ground in Ground::ALL {
            if !grounds.iter().any(|g| g.row.id == ground) {
                return Err(LoadError::file(GROUNDS, format!("ground {ground:?} is missing")));
            }
        }
        let institutions = read_institutions(files, s, examinations)?;
        let words = read_words(files, s)?;
        let names = examinations.all().map(|e| (e.id.clone(), e.zh.clone())).collect();
        let version =
            files.below("imaging/recognition/", ".csv").digest("imaging/recognition/", ".csv");
        Ok(Self(Arc::new(Tables {
            items,
            windows,
            requirements,
            covers,
            grounds,
            institutions,
            words,
            names,
            sources,
            version,
        })))
    }

    /// The rules in force on `date`.
    pub fn on(&self, date: Date) -> Policy {
        Policy { tables: Arc::clone(&self.0), date }
    }

    /// Twelve hex digits over the tables.
    pub fn version(&self) -> &str {
        &self.0.version
    }

    /// Id, name and county of every institution of the tables; one may stand there several times.
    pub(super) fn institutions(&self) -> impl Iterator<Item = (&str, &str, &str)> {
        let rows = self.0.institutions.iter().map(|d| &d.row);
        rows.map(|r| (r.id.as_str(), r.name.as_str(), r.region.as_str()))
    }
}

fn known<T>(
    path: &str,
    table: &[Dated<T>],
    examinations: &Examinations,
    named: impl Fn(&T) -> Vec<&String>,
) -> Result<(), LoadError> {
    for Dated { line, row, .. } in table {
        for pattern in named(row) {
            named_somewhere(path, *line, pattern, examinations)?;
        }
    }
    Ok(())
}

fn named_somewhere(
    path: &str,
    line: u64,
    pattern: &str,
    examinations: &Examinations,
) -> Result<(), LoadError> {
    if examinations.all().any(|e| closeness(pattern, &e.id).is_some()) {
        return Ok(());
    }
    Err(LoadError::line(path, line, format!("unknown examination `{pattern}`")))
}

fn read_institutions(
    files: &Files,
    sources: &Sources,
    examinations: &Examinations,
) -> Result<Vec<Dated<InstitutionRow>>, LoadError> {
    let mut all: Vec<Dated<InstitutionRow>> = Vec::new();
    let files = files.below(INSTITUTIONS, ".csv");
    for path in files.paths().filter(|p| !p.ends_with(EXAMPLE)) {
        let table = read::<InstitutionRow>(&files, sources, path)?;
        for Dated { line, row, .. } in &table {
            for pattern in list(&row.examinations) {
                named_somewhere(path, *line, pattern, examinations)?;
            }
            let elsewhere = table.iter().find(|o| o.row.id == row.id && o.row.region != row.region);
            if elsewhere.is_some() || all.iter().any(|o| o.row.id == row.id) {
                let message =
                    format!("institution `{}` stands in another file or place too", row.id);
                return Err(LoadError::line(path, *line, message));
            }
        }
        all.extend(table);
    }
    Ok(all)
}

fn read_words(files: &Files, sources: &Sources) -> Result<BTreeMap<ReasonCode, Words>, LoadError> {
    let mut words = BTreeMap::new();
    for (line, row) in rows::<ReasonRow>(files, REASONS)? {
        sources.check(REASONS, line, &row.source)?;
        let Some(code) = ReasonCode::ALL.iter().find(|c| c.as_str() == row.code) else {
            return Err(LoadError::line(REASONS, line, format!("unknown reason `{}`", row.code)));
        };
        for text in [&row.doctor_zh, &row.patient_zh] {
            if text.is_empty() {
                return Err(LoadError::line(REASONS, line, "words for doctor or patient missing"));
            }
            if let Some(name) = bad_placeholder(text) {
                return Err(LoadError::line(REASONS, line, format!("unknown value `{name}`")));
            }
        }
        let entry =
            Words { doctor_zh: row.doctor_zh, patient_zh: row.patient_zh, clause: row.clause };
        if words.insert(*code, entry).is_some() {
            return Err(LoadError::line(REASONS, line, "stands twice"));
        }
    }
    match ReasonCode::ALL.iter().find(|code| !words.contains_key(code)) {
        Some(code) => {
            Err(LoadError::file(REASONS, format!("reason `{}` has no words", code.as_str())))
        }
        None => Ok(words),
    }
}

impl Policy {
    /// The day.
    pub fn date(&self) -> Date {
        self.date
    }

    /// Version of the tables.
    pub fn version(&self) -> &str {
        &self.tables.version
    }

    /// The six grounds as they were worded on the day.
    pub fn grounds(&self) -> Vec<GroundText> {
        Ground::ALL.into_iter().filter_map(|g| self.ground(g)).collect()
    }

    /// One ground, if it was in force.
    pub fn ground(&self, ground: Ground) -> Option<GroundText> {
        self.in_force(&self.tables.grounds).find(|r| r.id == ground).map(|r| GroundText {
            ground,
            clause: format!("{}（{}）", r.clause, self.cite(&r.source)),
            doctor_zh: r.doctor_zh.clone(),
            patient_zh: r.patient_zh.clone(),
        })
    }

    /// Whether an examination was on the list of a level.
    pub(super) fn lists(&self, examination: &str, level: Level, scope: &str) -> bool {
        self.in_force(&self.tables.items).any(|r| {
            r.level == level
                && (r.scope == "*" || r.scope == scope)
                && closeness(&r.examination, examination).is_some()
        })
    }

    /// How many days a result stays valid: the closest row of the situation, or else of any.
    pub(super) fn window(&self, examination: &str, situation: Situation) -> Option<&WindowRow> {
        let of = |wanted: Situation| {
            self.in_force(&self.tables.windows)
                .filter(|r| r.situation == wanted)
                .filter_map(|r| closeness(&r.examination, examination).map(|c| (c, r)))
                .max_by_key(|(close, _)| *close)
        };
        match (of(situation), of(Situation::Any)) {
            // A row for the very examination is closer than one for its kind and situation.
            (Some((close, row)), Some((any, _))) if close >= any => Some(row),
            (Some((_, row)), Some((_, any))) => Some(if row.days < any.days { row } else { any }),
            (Some((_, row)), None) | (None, Some((_, row))) => Some(row),
            (None, None) => None,
        }
    }

    /// The closest requirement of each kind.
    pub(super) fn requirements(&self, examination: &str) -> Vec<&RequirementRow> {
        let mut best: BTreeMap<Check, (usize, &RequirementRow)> = BTreeMap::new();
        for row in self.in_force(&self.tables.requirements) {
            if let Some(close) = closeness(&row.examination, examination) {
                match best.get(&row.check) {
                    Some((other, _)) if *other >= close => {}
                    Some(_) | None => {
                        best.insert(row.check, (close, row));
                    }
                }
            }
        }
        best.into_values().map(|(_, row)| row).collect()
    }

    /// How far `existing` covers `planned`.
    pub(super) fn cover(&self, existing: &str, planned: &str) -> Option<&CoverRow> {
        self.in_force(&self.tables.covers).find(|r| r.existing == existing && r.planned == planned)
    }

    /// The marks that an institution could put on an examination made on `day`; `None` if no
    /// table knows the institution.
    pub(super) fn marks(&self, institution: &str, examination: &str) -> Option<Vec<Mark>> {
        let mut rows = self.tables.institutions.iter().filter(|d| d.row.id == institution);
        let mut known = false;
        let marks = rows
            .by_ref()
            .inspect(|_| known = true)
            .filter(|d| list(&d.row.examinations).any(|p| closeness(p, examination).is_some()))
            .map(|Dated { period: Period { from, to }, row, .. }| Mark {
                level: row.level,
                scope: row.scope.clone(),
                valid_from: *from,
                valid_to: *to,
            })
            .collect();
        known.then_some(marks)
    }

    /// Where an institution lies, if a table says it.
    pub(super) fn region(&self, institution: &str) -> Option<&str> {
        let mut rows = self.tables.institutions.iter();
        rows.find(|d| d.row.id == institution).map(|d| d.row.region.as_str())
    }

    pub(super) fn words(&self, code: ReasonCode) -> Option<&Words> {
        self.tables.words.get(&code)
    }

    /// Chinese name of an examination; its id if it has none.
    pub(super) fn name<'a>(&'a self, examination: &'a str) -> &'a str {
        self.tables.names.get(examination).map_or(examination, String::as_str)
    }

    /// Levels on whose list an examination was, with the code of the place.
    pub(super) fn levels(&self, examination: &str) -> Vec<(Level, String)> {
        let rows = self.in_force(&self.tables.items);
        rows.filter(|r| closeness(&r.examination, examination).is_some())
            .map(|r| (r.level, r.scope.clone()))
            .collect()
    }

    /// Ids and Chinese names of all examinations, by id.
    pub(super) fn examinations(&self) -> impl Iterator<Item = (&str, &str)> {
        self.tables.names.iter().map(|(id, zh)| (id.as_str(), zh.as_str()))
    }

    pub(super) fn cite(&self, cited: &str) -> String {
        self.tables.sources.cite(cited)
    }

    fn in_force<'a, T>(&'a self, table: &'a [Dated<T>]) -> impl Iterator<Item = &'a T> {
        table.iter().filter(|d| d.period.holds(self.date)).map(|d| &d.row)
    }
}
