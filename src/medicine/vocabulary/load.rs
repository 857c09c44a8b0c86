//! Loading the vocabulary's tables, with every check.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use serde::Deserialize;

use super::wordings::{Wordings, wordings};
use super::{
    CONDITIONS, Comparison, Condition, ConditionId, FINDINGS, Finding, FindingId, FindingKind,
    IMPLICATIONS, Implication, MEASUREMENTS, MeasuredFinding, REPORTING, Referral, Reporting,
    SOURCES, Severity, Vocabulary,
};
use super::{english, timing, wider};
use crate::medicine::patient::{AGE_YEARS_MAX, Measure, Sex};
use crate::tables::files::{Files, LoadError};
use crate::tables::table::{Sources, Status, list, rows};
use crate::tables::text::fold;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FindingRow {
    id: String,
    name_zh: String,
    name_en: String,
    kind: FindingKind,
    body_part: String,
    synonyms: String,
    #[serde(default)]
    synonyms_en: String,
    source: String,
    status: Status,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ConditionRow {
    id: String,
    name_zh: String,
    name_en: String,
    synonyms: String,
    #[serde(default)]
    synonyms_en: String,
    icd10: String,
    #[serde(default)]
    icd10_more: String,
    severity: Severity,
    must_not_miss: YesNo,
    age_min_years: Option<f32>,
    age_max_years: Option<f32>,
    sex: SexCell,
    department: String,
    referral: Referral,
    confusion_group: String,
    source: String,
    status: Status,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReportingRow {
    condition: String,
    class: String,
    hours: u32,
    source: String,
    #[serde(rename = "status")]
    _status: Status,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MeasurementRow {
    finding: String,
    measure: Measure,
    op: Comparison,
    value: f32,
    unit: String,
    age_min_years: Option<f32>,
    age_max_years: Option<f32>,
    source: String,
    #[serde(rename = "status")]
    _status: Status,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ImplicationRow {
    finding: String,
    implies: String,
    source: String,
    #[serde(rename = "status")]
    _status: Status,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum YesNo {
    Yes,
    No,
}

/// The `sex` column of the diagnosis tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum SexCell {
    Any,
    Male,
    Female,
}

impl SexCell {
    pub(crate) fn sex(self) -> Option<Sex> {
        match self {
            Self::Any => None,
            Self::Male => Some(Sex::Male),
            Self::Female => Some(Sex::Female),
        }
    }
}

pub(super) fn vocabulary(files: &Files) -> Result<Vocabulary, LoadError> {
    let sources = Sources::load(files, SOURCES)?;
    let (findings, finding_names) = findings(files, &sources)?;
    let (conditions, condition_names) = conditions(files, &sources)?;
    let mut vocabulary = Vocabulary {
        sources,
        implied: vec![Vec::new(); findings.len()],
        implied_by: vec![Vec::new(); findings.len()],
        findings,
        conditions,
        finding_english: by_words(&finding_names),
        condition_english: by_words(&condition_names),
        finding_names,
        condition_names,
        wider: HashMap::new(),
        measured: Vec::new(),
        timed: Vec::new(),
        implications: Vec::new(),
        wordings: Wordings::default(),
    };
    vocabulary.wider = wider::wider(files, &vocabulary)?;
    vocabulary.measured = measured(files, &vocabulary)?;
    vocabulary.timed = timing::timed(files, &vocabulary)?;
    vocabulary.implications = implications(files, &vocabulary)?;
    close(&mut vocabulary);
    vocabulary.wordings = wordings(files, &vocabulary)?;
    Ok(vocabulary)
}

impl Vocabulary {
    /// The finding a table names, or an error at that line.
    pub(crate) fn require_finding(
        &self,
        path: &str,
        line: u64,
        slug: &str,
    ) -> Result<FindingId, LoadError> {
        self.finding(slug)
            .ok_or_else(|| LoadError::line(path, line, format!("unknown finding `{slug}`")))
    }

    /// The condition a table names, or an error at that line.
    pub(crate) fn require_condition(
        &self,
        path: &str,
        line: u64,
        slug: &str,
    ) -> Result<ConditionId, LoadError> {
        self.condition(slug)
            .ok_or_else(|| LoadError::line(path, line, format!("unknown condition `{slug}`")))
    }
}

/// Names of one table: the first line that took a name keeps it.
struct Names<Id> {
    path: &'static str,
    taken: HashMap<String, (Id, u64)>,
}

impl<Id: Copy + PartialEq> Names<Id> {
    fn take(&mut self, name: &str, id: Id, line: u64) -> Result<(), LoadError> {
        let folded = fold(name.trim());
        if folded.is_empty() {
            return Ok(());
        }
        match self.taken.entry(folded) {
            Entry::Vacant(place) => {
                place.insert((id, line));
                Ok(())
            }
            Entry::Occupied(other) if other.get().0 == id => Ok(()),
            Entry::Occupied(other) => Err(LoadError::line(
                self.path,
                line,
                format!("the name `{name}` already belongs to line {}", other.get().1),
            )),
        }
    }

    fn finish(self) -> HashMap<String, Id> {
        self.taken.into_iter().map(|(name, (id, _))| (name, id)).collect()
    }
}

/// English names by the words that count in them; words that mean two things mean none.
fn by_words<Id: Copy + PartialEq>(names: &HashMap<String, Id>) -> HashMap<String, Id> {
    let mut out: HashMap<String, Option<Id>> = HashMap::new();
    for (name, id) in names {
        let Some(key) = english::key(name) else { continue };
        out.entry(key).and_modify(|known| *known = known.filter(|k| k == id)).or_insert(Some(*id));
    }
    out.into_iter().filter_map(|(key, id)| Some((key, id?))).collect()
}

fn findings(
    files: &Files,
    sources: &Sources,
) -> Result<(Vec<Finding>, HashMap<String, FindingId>), LoadError> {
    let mut out = Vec::new();
    let mut names = Names { path: FINDINGS, taken: HashMap::new() };
    for (line, row) in rows::<FindingRow>(files, FINDINGS)? {
        let id = FindingId(next_id(FINDINGS, out.len())?);
        slug(FINDINGS, line, &row.id)?;
        required(FINDINGS, line, "name_zh", &row.name_zh)?;
        sources.check(FINDINGS, line, &row.source)?;
        if names.taken.contains_key(&row.id) {
            return Err(LoadError::line(FINDINGS, line, format!("`{}` stands twice", row.id)));
        }
        let synonyms: Vec<String> = list(&row.synonyms).map(str::to_owned).collect();
        let synonyms_en: Vec<String> = list(&row.synonyms_en).map(str::to_owned).collect();
        for name in
            [&row.id, &row.name_zh, &row.name_en].into_iter().chain(&synonyms).chain(&synonyms_en)
        {
            names.take(name, id, line)?;
        }
        out.push(Finding {
            slug: row.id,
            name_zh: row.name_zh,
            name_en: row.name_en,
            kind: row.kind,
            body_part: row.body_part,
            synonyms,
            synonyms_en,
            source: row.source,
            status: row.status,
        });
    }
    Ok((out, names.finish()))
}

fn conditions(
    files: &Files,
    sources: &Sources,
) -> Result<(Vec<Condition>, HashMap<String, ConditionId>), LoadError> {
    let mut out = Vec::new();
    let mut names = Names { path: CONDITIONS, taken: HashMap::new() };
    for (line, row) in rows::<ConditionRow>(files, CONDITIONS)? {
        let id = ConditionId(next_id(CONDITIONS, out.len())?);
        slug(CONDITIONS, line, &row.id)?;
        required(CONDITIONS, line, "name_zh", &row.name_zh)?;
        required(CONDITIONS, line, "icd10", &row.icd10)?;
        sources.check(CONDITIONS, line, &row.source)?;
        ages(CONDITIONS, line, row.age_min_years, row.age_max_years)?;
        if names.taken.contains_key(&row.id) {
            return Err(LoadError::line(CONDITIONS, line, format!("`{}` stands twice", row.id)));
        }
        let synonyms: Vec<String> = list(&row.synonyms).map(str::to_owned).collect();
        let synonyms_en: Vec<String> = list(&row.synonyms_en).map(str::to_owned).collect();
        for name in
            [&row.id, &row.name_zh, &row.name_en].into_iter().chain(&synonyms).chain(&synonyms_en)
        {
            names.take(name, id, line)?;
        }
        out.push(Condition {
            slug: row.id,
            name_zh: row.name_zh,
            name_en: row.name_en,
            synonyms,
            synonyms_en,
            icd10: row.icd10,
            icd10_more: list(&row.icd10_more).map(str::to_owned).collect(),
            severity: row.severity,
            must_not_miss: matches!(row.must_not_miss, YesNo::Yes),
            age_min_years: row.age_min_years,
            age_max_years: row.age_max_years,
            sex: row.sex.sex(),
            department: row.department,
            referral: row.referral,
            reporting: None,
            confusion_group: row.confusion_group,
            source: row.source,
            status: row.status,
        });
    }
    let names = names.finish();
    reporting(files, sources, &names, &mut out)?;
    Ok((out, names))
}

/// Adds the duties to report; a set of tables without [`REPORTING`] knows none.
fn reporting(
    files: &Files,
    sources: &Sources,
    names: &HashMap<String, ConditionId>,
    conditions: &mut [Condition],
) -> Result<(), LoadError> {
    if !files.paths().any(|path| path == REPORTING) {
        return Ok(());
    }
    for (line, row) in rows::<ReportingRow>(files, REPORTING)? {
        let refuse = |message: String| LoadError::line(REPORTING, line, message);
        sources.check(REPORTING, line, &row.source)?;
        let found = names.get(&row.condition).and_then(|id| conditions.get_mut(id.index()));
        let condition = found
            .filter(|c| c.slug == row.condition)
            .ok_or_else(|| refuse(format!("unknown condition `{}`", row.condition)))?;
        if !["A", "B", "C"].contains(&row.class.as_str()) || !(1..=24).contains(&row.hours) {
            return Err(refuse("class must be A, B or C and hours from 1 to 24".to_owned()));
        }
        let duty = Reporting { class: row.class, hours: row.hours, source: row.source };
        if condition.reporting.replace(duty).is_some() {
            return Err(refuse(format!("`{}` stands twice", row.condition)));
        }
    }
    Ok(())
}

fn measured(files: &Files, vocabulary: &Vocabulary) -> Result<Vec<MeasuredFinding>, LoadError> {
    let mut out = Vec::new();
    for (line, row) in rows::<MeasurementRow>(files, MEASUREMENTS)? {
        let finding = vocabulary.require_finding(MEASUREMENTS, line, &row.finding)?;
        vocabulary.sources.check(MEASUREMENTS, line, &row.source)?;
        ages(MEASUREMENTS, line, row.age_min_years, row.age_max_years)?;
        let (min, max) = row.measure.range();
        if !(min..=max).contains(&row.value) {
            let name = row.measure.name();
            let message = format!("{name} {} lies outside {min} to {max}", row.value);
            return Err(LoadError::line(MEASUREMENTS, line, message));
        }
        if !units(row.measure).contains(&fold(&row.unit).as_str()) {
            let message = format!("`{}` is not a unit of {}", row.unit, row.measure.name());
            return Err(LoadError::line(MEASUREMENTS, line, message));
        }
        out.push(MeasuredFinding {
            finding,
            measure: row.measure,
            comparison: row.op,
            value: row.value,
            age_min_years: row.age_min_years,
            age_max_years: row.age_max_years,
            source: row.source,
        });
    }
    Ok(out)
}

/// Spellings of a measure's unit, folded.
fn units(measure: Measure) -> &'static [&'static str] {
    match measure {
        Measure::TemperatureC => &["°c", "c", "celsius"],
        Measure::SystolicMmhg | Measure::DiastolicMmhg => &["mmhg"],
        Measure::HeartRateBpm | Measure::RespiratoryRateBpm => {
            &["bpm", "/min", "次/分", "次/min", "per_minute"]
        }
        Measure::Spo2Percent | Measure::NeutrophilsPercent => &["%", "percent"],
        Measure::WhiteCells10e9L | Measure::Platelets10e9L => &["10^9/l"],
        Measure::HemoglobinGL => &["g/l"],
        Measure::CrpMgL => &["mg/l"],
        Measure::CreatinineUmolL => &["umol/l"],
        Measure::GlucoseMmolL => &["mmol/l"],
    }
}

fn implications(files: &Files, vocabulary: &Vocabulary) -> Result<Vec<Implication>, LoadError> {
    let mut out: Vec<Implication> = Vec::new();
    let mut direct: Vec<Vec<FindingId>> = vec![Vec::new(); vocabulary.findings.len()];
    for (line, row) in rows::<ImplicationRow>(files, IMPLICATIONS)? {
        let finding = vocabulary.require_finding(IMPLICATIONS, line, &row.finding)?;
        let implies = vocabulary.require_finding(IMPLICATIONS, line, &row.implies)?;
        vocabulary.sources.check(IMPLICATIONS, line, &row.source)?;
        if reachable(&direct, implies).contains(&finding) {
            let message =
                format!("`{}` would entail itself through `{}`", row.finding, row.implies);
            return Err(LoadError::line(IMPLICATIONS, line, message));
        }
        let targets = direct.get_mut(finding.index());
        match targets {
            Some(targets) if targets.contains(&implies) => {
                return Err(LoadError::line(IMPLICATIONS, line, "the implication stands twice"));
            }
            Some(targets) => targets.push(implies),
            None => {}
        }
        out.push(Implication { finding, implies, source: row.source });
    }
    Ok(out)
}

/// Everything reachable from `start` along `direct`, `start` included, in order.
fn reachable(direct: &[Vec<FindingId>], start: FindingId) -> Vec<FindingId> {
    let mut seen = vec![start];
    let mut at = 0;
    while let Some(id) = seen.get(at).copied() {
        at += 1;
        for next in direct.get(id.index()).map_or(&[][..], Vec::as_slice) {
            if !seen.contains(next) {
                seen.push(*next);
            }
        }
    }
    seen.sort_unstable();
    seen
}

fn close(vocabulary: &mut Vocabulary) {
    let mut direct: Vec<Vec<FindingId>> = vec![Vec::new(); vocabulary.findings.len()];
    for row in &vocabulary.implications {
        if let Some(targets) = direct.get_mut(row.finding.index()) {
            targets.push(row.implies);
        }
    }
    for (id, _) in (0..).map(FindingId).zip(&vocabulary.findings) {
        let implied: Vec<FindingId> =
            reachable(&direct, id).into_iter().filter(|other| *other != id).collect();
        for other in &implied {
            if let Some(by) = vocabulary.implied_by.get_mut(other.index()) {
                by.push(id);
            }
        }
        if let Some(place) = vocabulary.implied.get_mut(id.index()) {
            *place = implied;
        }
    }
}

fn next_id(path: &str, taken: usize) -> Result<u16, LoadError> {
    u16::try_from(taken).map_err(|_| LoadError::file(path, "more than 65536 rows"))
}

fn slug(path: &str, line: u64, id: &str) -> Result<(), LoadError> {
    let ok = id.starts_with(|c: char| c.is_ascii_lowercase())
        && id.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if ok { Ok(()) } else { Err(LoadError::line(path, line, format!("`{id}` is not a slug"))) }
}

fn required(path: &str, line: u64, column: &str, value: &str) -> Result<(), LoadError> {
    if value.is_empty() {
        return Err(LoadError::line(path, line, format!("column `{column}` is empty")));
    }
    Ok(())
}

fn ages(path: &str, line: u64, min: Option<f32>, max: Option<f32>) -> Result<(), LoadError> {
    let possible = |age: Option<f32>| age.is_none_or(|age| (0.0..=AGE_YEARS_MAX).contains(&age));
    let ordered = min.zip(max).is_none_or(|(min, max)| min <= max);
    if possible(min) && possible(max) && ordered {
        return Ok(());
    }
    Err(LoadError::line(path, line, "impossible age limits"))
}
