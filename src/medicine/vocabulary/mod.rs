//! The words of diagnosis: findings, conditions, and what a measured value or another finding
//! entails.
//!
//! A [`Vocabulary`] is loaded once from the cited tables and never changes. Ids are dense (0, 1,
//! 2 …) in the order of the tables, so that tables elsewhere can be plain arrays; they are not
//! stable between versions of the tables, slugs are. Deliberately absent: search with typing
//! mistakes or pinyin (`medicine::names`), and everything that says how likely something is
//! (`medicine::diagnosis::likelihood`).

mod comparison;
mod english;
mod load;
mod timing;
mod wider;
mod wordings;

use std::collections::HashMap;

pub use comparison::Comparison;
pub(crate) use load::SexCell;
use serde::Deserialize;
pub use timing::{DURATIONS, TimedFinding};
pub use wider::WIDER;
pub(crate) use wordings::Sense;
pub use wordings::WORDINGS;
use wordings::Wordings;

use super::patient::{Measure, Sex};
use crate::tables::files::{Files, LoadError};
use crate::tables::table::{Sources, Status};
use crate::tables::text::fold;

/// The table of findings.
pub const FINDINGS: &str = "diagnosis/findings.csv";
/// The table of duties to report.
pub const REPORTING: &str = "diagnosis/reporting.csv";
/// The table of conditions.
pub const CONDITIONS: &str = "diagnosis/conditions.csv";
/// The table of sources that the diagnosis tables cite.
pub const SOURCES: &str = "diagnosis/sources.csv";
/// The table of findings that entail others.
pub const IMPLICATIONS: &str = "diagnosis/implications.csv";
/// The table of measured values that entail findings.
pub const MEASUREMENTS: &str = "diagnosis/measurements.csv";

/// A finding, as a dense index in the order of `findings.csv`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FindingId(u16);

/// A condition, as a dense index in the order of `conditions.csv`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConditionId(u16);

/// What sort of thing a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FindingKind {
    /// What the patient feels or reports.
    Symptom,
    /// What the doctor sees, hears or feels.
    Sign,
    /// A vital sign out of the ordinary.
    Vital,
    /// A test, or its result.
    Test,
    /// An illness or an event of the past.
    History,
    /// What the patient was exposed to.
    Exposure,
    /// A medicine taken.
    Medicine,
    /// The name of a disease that somebody mentions.
    Diagnosis,
    /// How long the illness has lasted; of these a patient has exactly one.
    Course,
}

/// One finding (one row of `findings.csv`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Stable English name in `snake_case`.
    pub slug: String,
    /// Chinese name.
    pub name_zh: String,
    /// English name.
    pub name_en: String,
    /// Sort of finding.
    pub kind: FindingKind,
    /// Part of the body, a slug; may be empty.
    pub body_part: String,
    /// Everyday and clinical Chinese wordings.
    pub synonyms: Vec<String>,
    /// Other English wordings.
    pub synonyms_en: Vec<String>,
    /// `<source id>` or `<source id>#<locator>`.
    pub source: String,
    /// Whether a clinician has reviewed the row.
    pub status: Status,
}

/// How bad a condition usually is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Passes by itself or with simple means.
    Mild,
    /// Needs treatment.
    Moderate,
    /// Can do lasting harm.
    Severe,
    /// Threatens life.
    Critical,
}

/// The lowest level of care that should treat a condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Referral {
    /// 村卫生室
    Village,
    /// 乡镇卫生院
    Township,
    /// 县级医院
    County,
    /// 市级医院
    City,
}

/// A duty to report a condition under the law on infectious diseases (`reporting.csv`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reporting {
    /// Class of the law: 甲, 乙 or 丙 as `A`, `B` or `C`.
    pub class: String,
    /// Hours from diagnosis to the report.
    pub hours: u32,
    /// `<source id>` or `<source id>#<locator>`.
    pub source: String,
}

/// One condition (one row of `conditions.csv`).
#[derive(Debug, Clone, PartialEq)]
pub struct Condition {
    /// Stable English name in `snake_case`.
    pub slug: String,
    /// Chinese name.
    pub name_zh: String,
    /// English name.
    pub name_en: String,
    /// Other Chinese names.
    pub synonyms: Vec<String>,
    /// Other English names.
    pub synonyms_en: Vec<String>,
    /// Code of the 医保 edition of ICD-10.
    pub icd10: String,
    /// Further codes, or beginnings of codes, of what a general practitioner calls the same.
    pub icd10_more: Vec<String>,
    /// Usual severity.
    pub severity: Severity,
    /// Must be thought of even when it is unlikely.
    pub must_not_miss: bool,
    /// Youngest age in years, inclusive.
    pub age_min_years: Option<f32>,
    /// Oldest age in years, inclusive. A whole number counts completed years (14 admits a child
    /// of 14.9 years), a fraction is taken as it stands (0.25 ends at three months).
    pub age_max_years: Option<f32>,
    /// The only sex that can have it; `None` for any.
    pub sex: Option<Sex>,
    /// Department that treats it, in Chinese.
    pub department: String,
    /// Lowest level of care that should treat it.
    pub referral: Referral,
    /// The duty to report it, where the law sets one.
    pub reporting: Option<Reporting>,
    /// Conditions that are easily taken for one another share a slug; empty for none.
    pub confusion_group: String,
    /// `<source id>` or `<source id>#<locator>`.
    pub source: String,
    /// Whether a clinician has reviewed the row.
    pub status: Status,
}

/// A measured value that entails a finding (one row of `measurements.csv`).
#[derive(Debug, Clone, PartialEq)]
pub struct MeasuredFinding {
    /// The finding entailed.
    pub finding: FindingId,
    /// What is measured.
    pub measure: Measure,
    /// How the reading is compared with `value`.
    pub comparison: Comparison,
    /// The limit, in the unit of `measure`.
    pub value: f32,
    /// Youngest age in years to which the row applies, inclusive.
    pub age_min_years: Option<f32>,
    /// Age in years from which the row no longer applies, exclusive.
    pub age_max_years: Option<f32>,
    /// `<source id>` or `<source id>#<locator>`.
    pub source: String,
}

/// A finding that entails another (one row of `implications.csv`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Implication {
    /// The finding that entails.
    pub finding: FindingId,
    /// The finding that is entailed.
    pub implies: FindingId,
    /// `<source id>` or `<source id>#<locator>`.
    pub source: String,
}

/// All findings and conditions with their names.
#[derive(Debug, Clone)]
pub struct Vocabulary {
    sources: Sources,
    findings: Vec<Finding>,
    conditions: Vec<Condition>,
    finding_names: HashMap<String, FindingId>,
    condition_names: HashMap<String, ConditionId>,
    /// English names by the words that count in them.
    finding_english: HashMap<String, FindingId>,
    condition_english: HashMap<String, ConditionId>,
    /// Names that are wider than a condition, with the conditions that belong there.
    wider: HashMap<String, Vec<ConditionId>>,
    measured: Vec<MeasuredFinding>,
    timed: Vec<TimedFinding>,
    implications: Vec<Implication>,
    /// Per finding, everything it entails (transitive), in order.
    implied: Vec<Vec<FindingId>>,
    /// Per finding, everything that entails it (transitive), in order.
    implied_by: Vec<Vec<FindingId>>,
    wordings: Wordings,
}

impl FindingId {
    /// The first one.
    pub(in crate::medicine) const FIRST: Self = Self(0);

    /// Position in `findings.csv`, from 0.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

impl ConditionId {
    /// Position in `conditions.csv`, from 0.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

impl FindingKind {
    /// The name used in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Symptom => "symptom",
            Self::Sign => "sign",
            Self::Vital => "vital",
            Self::Test => "test",
            Self::History => "history",
            Self::Exposure => "exposure",
            Self::Medicine => "medicine",
            Self::Diagnosis => "diagnosis",
            Self::Course => "course",
        }
    }

    /// Whether something of this kind that happened in the past still says something about the
    /// patient of today: an old illness does, an old cough does not.
    pub fn outlasts(self) -> bool {
        match self {
            Self::History | Self::Exposure | Self::Medicine | Self::Diagnosis => true,
            Self::Symptom | Self::Sign | Self::Vital | Self::Test | Self::Course => false,
        }
    }

    /// Whether something of this kind is part of the illness the patient comes with, so that how
    /// long it has lasted is how long the illness has.
    pub fn is_complaint(self) -> bool {
        matches!(self, Self::Symptom | Self::Sign | Self::Vital)
    }
}

impl Severity {
    /// The name used in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mild => "mild",
            Self::Moderate => "moderate",
            Self::Severe => "severe",
            Self::Critical => "critical",
        }
    }
}

impl Referral {
    /// The name used in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Village => "village",
            Self::Township => "township",
            Self::County => "county",
            Self::City => "city",
        }
    }
}

impl Condition {
    /// Whether a patient of this age can have the condition; unknown age can.
    pub fn admits_age(&self, age_years: Option<f32>) -> bool {
        let Some(age) = age_years else { return true };
        self.age_min_years.is_none_or(|min| age >= min)
            && self
                .age_max_years
                .is_none_or(|max| if max.fract() > 0.0 { age <= max } else { age < max + 1.0 })
    }

    /// Whether a patient of this sex can have the condition; unknown sex can.
    pub fn admits_sex(&self, sex: Option<Sex>) -> bool {
        match (self.sex, sex) {
            (Some(only), Some(sex)) => only == sex,
            (None, _) | (_, None) => true,
        }
    }
}

impl MeasuredFinding {
    /// Whether the row applies at this age; `None` where the row has age limits and the age is
    /// unknown.
    pub fn applies(&self, age_years: Option<f32>) -> Option<bool> {
        match (self.age_min_years, self.age_max_years, age_years) {
            (None, None, _) => Some(true),
            (_, _, None) => None,
            (min, max, Some(age)) => {
                Some(min.is_none_or(|min| age >= min) && max.is_none_or(|max| age < max))
            }
        }
    }
}

impl Vocabulary {
    /// Reads and checks the tables. Refuses an uncited row, an unknown source, a slug that
    /// stands twice, a name shared by two findings or by two conditions, a reference to nothing,
    /// an implication that comes back to itself, impossible limits, and composed wordings that
    /// contradict each other or are too many.
    pub fn load(files: &Files) -> Result<Self, LoadError> {
        load::vocabulary(files)
    }

    /// The sources that the diagnosis tables cite.
    pub fn sources(&self) -> &Sources {
        &self.sources
    }

    /// Number of findings; ids are below it.
    pub fn finding_count(&self) -> usize {
        self.findings.len()
    }

    /// Number of conditions; ids are below it.
    pub fn condition_count(&self) -> usize {
        self.conditions.len()
    }

    /// All findings in order.
    pub fn findings(&self) -> impl Iterator<Item = (FindingId, &Finding)> {
        (0..).map(FindingId).zip(&self.findings)
    }

    /// All conditions in order.
    pub fn conditions(&self) -> impl Iterator<Item = (ConditionId, &Condition)> {
        (0..).map(ConditionId).zip(&self.conditions)
    }

    /// The finding with this id. An id of another vocabulary gives `None` or the wrong row.
    pub fn get_finding(&self, id: FindingId) -> Option<&Finding> {
        self.findings.get(id.index())
    }

    /// The condition with this id. An id of another vocabulary gives `None` or the wrong row.
    pub fn get_condition(&self, id: ConditionId) -> Option<&Condition> {
        self.conditions.get(id.index())
    }

    /// The slug of a finding; empty for an id of another vocabulary.
    pub fn finding_slug(&self, id: FindingId) -> &str {
        self.get_finding(id).map_or("", |finding| finding.slug.as_str())
    }

    /// The slug of a condition; empty for an id of another vocabulary.
    pub fn condition_slug(&self, id: ConditionId) -> &str {
        self.get_condition(id).map_or("", |condition| condition.slug.as_str())
    }

    /// The finding with exactly this slug.
    pub fn finding(&self, slug: &str) -> Option<FindingId> {
        self.resolve_finding(slug).filter(|id| self.finding_slug(*id) == slug)
    }

    /// The condition with exactly this slug.
    pub fn condition(&self, slug: &str) -> Option<ConditionId> {
        self.resolve_condition(slug).filter(|id| self.condition_slug(*id) == slug)
    }

    /// The finding whose slug, name or synonym equals `name` after folding; an English name may
    /// have its words in another order and say more than it needs to (severe, left).
    pub fn resolve_finding(&self, name: &str) -> Option<FindingId> {
        let name = fold(name.trim());
        let found = self.finding_names.get(&name);
        found.or_else(|| english(&self.finding_english, &name)).copied()
    }

    /// The condition whose slug, name, synonym or ICD-10 code equals `name` after folding. A
    /// shortened code (`J18`, `J18.9`) resolves where only one condition's code begins with it.
    pub fn resolve_condition(&self, name: &str) -> Option<ConditionId> {
        let name = fold(name.trim());
        if let Some(id) = self.condition_names.get(&name) {
            return Some(*id);
        }
        let mut found = self.loosely(&name);
        found.pop().filter(|_| found.is_empty())
    }

    /// The conditions that `name` may mean: those that belong to a wider name (脑卒中), the one of
    /// that name or code, or those whose code begins with it. Empty for an unknown name.
    pub fn resolve_conditions(&self, name: &str) -> Vec<ConditionId> {
        let name = fold(name.trim());
        let wider = self.wider.get(&name).cloned();
        wider
            .or_else(|| self.condition_names.get(&name).map(|id| vec![*id]))
            .unwrap_or_else(|| self.loosely(&name))
    }

    /// The conditions that a folded name means which is no condition's own.
    fn loosely(&self, name: &str) -> Vec<ConditionId> {
        if is_code(name) {
            return self.coded(name);
        }
        if let Some(id) = english(&self.condition_english, name) {
            return vec![*id];
        }
        english::key(name).and_then(|key| self.wider.get(&key)).cloned().unwrap_or_default()
    }

    /// The conditions with this folded code, or else those whose code begins with it, or else
    /// those that a further code of theirs covers.
    fn coded(&self, code: &str) -> Vec<ConditionId> {
        let by = |fits: &dyn Fn(&Condition) -> bool| -> Vec<ConditionId> {
            self.conditions().filter(|(_, c)| fits(c)).map(|(id, _)| id).collect()
        };
        let further =
            |c: &Condition, code: &str| c.icd10_more.iter().any(|more| fold(more) == code);
        let exact = by(&|c| fold(&c.icd10) == code || further(c, code));
        if !exact.is_empty() {
            return exact;
        }
        let narrower = by(&|c| fold(&c.icd10).starts_with(code));
        if !narrower.is_empty() {
            return narrower;
        }
        // The 医保 edition writes I10.x00 for what has no fourth place.
        if let Some((category, _)) = code.split_once(".x") {
            return by(&|c| further(c, category) || fold(&c.icd10).starts_with(category));
        }
        // I21.401 is an I21.4; a category of three places covers nothing but itself.
        let subcategory = code.get(..SUBCATEGORY_LENGTH).unwrap_or(code);
        by(&|c| further(c, subcategory))
    }

    /// Every name of every finding (Chinese, English, synonyms), for a search index.
    pub fn finding_names(&self) -> impl Iterator<Item = (FindingId, &str)> {
        self.findings().flat_map(|(id, finding)| {
            [finding.name_zh.as_str(), finding.name_en.as_str()]
                .into_iter()
                .chain(finding.synonyms.iter().chain(&finding.synonyms_en).map(String::as_str))
                .map(move |name| (id, name))
        })
    }

    /// Every name of every condition (Chinese, English, synonyms), for a search index.
    pub fn condition_names(&self) -> impl Iterator<Item = (ConditionId, &str)> {
        self.conditions().flat_map(|(id, condition)| {
            [condition.name_zh.as_str(), condition.name_en.as_str()]
                .into_iter()
                .chain(condition.synonyms.iter().chain(&condition.synonyms_en).map(String::as_str))
                .map(move |name| (id, name))
        })
    }

    /// Wordings put together from parts.
    pub(crate) fn wordings(&self) -> &Wordings {
        &self.wordings
    }

    /// The rows of `measurements.csv`.
    pub fn measured(&self) -> &[MeasuredFinding] {
        &self.measured
    }

    /// The rows of `durations.csv`.
    pub fn timed(&self) -> &[TimedFinding] {
        &self.timed
    }

    /// The rows of `implications.csv`.
    pub fn implications(&self) -> &[Implication] {
        &self.implications
    }

    /// Everything that `finding` entails, directly or through others.
    pub fn implied(&self, finding: FindingId) -> &[FindingId] {
        self.implied.get(finding.index()).map_or(&[], Vec::as_slice)
    }

    /// Everything that entails `finding`, directly or through others.
    pub fn implied_by(&self, finding: FindingId) -> &[FindingId] {
        self.implied_by.get(finding.index()).map_or(&[], Vec::as_slice)
    }
}

/// Bytes of an ICD-10 subcategory (`I21.4`).
const SUBCATEGORY_LENGTH: usize = 5;

/// Whether a folded name has the form of an ICD-10 code.
fn is_code(name: &str) -> bool {
    let mut chars = name.chars();
    chars.next().is_some_and(|c| c.is_ascii_lowercase())
        && chars.next().is_some_and(|c| c.is_ascii_digit())
        && chars.next().is_some_and(|c| c.is_ascii_digit())
}

fn english<'a, Id>(names: &'a HashMap<String, Id>, name: &str) -> Option<&'a Id> {
    let exact = english::key(name).and_then(|key| names.get(&key));
    exact.or_else(|| english::plain_key(name).and_then(|key| names.get(&key)))
}

#[cfg(test)]
pub(crate) mod tests;
