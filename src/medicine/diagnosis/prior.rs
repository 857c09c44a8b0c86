//! How often a condition is met: by age and sex, at this clinic, in this season.
//!
//! The model was trained on the shares of visits of `prevalence.csv`. A clinic that knows its own
//! (`site.csv`, the same columns) moves the odds of a condition by the ratio of the two, and a
//! known month by the factor of `seasons.csv`; both are stated, neither is learned.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::likelihood::{AgeBand, BandCell, Entry, add, entry, narrow, resolve};
use crate::medicine::patient::{Patient, Sex};
use crate::medicine::vocabulary::{Condition, ConditionId, SexCell, Vocabulary};
use crate::tables::files::{Files, LoadError};
use crate::tables::table::{Status, rows};

/// The table of shares of visits.
pub const PREVALENCE: &str = "diagnosis/prevalence.csv";
/// Shares of visits of one clinic; the conditions it names replace those of [`PREVALENCE`].
pub const SITE: &str = "diagnosis/site.csv";
/// The table of seasons.
pub const SEASONS: &str = "diagnosis/seasons.csv";
/// A clinic moves the odds of a condition by at most this factor, either way.
const SITE_FACTOR_MAX: f64 = 100.0;

type Visits = BTreeMap<ConditionId, Vec<Entry>>;

/// How often conditions are met.
#[derive(Debug, Clone)]
pub struct Priors {
    /// Visits that the model was trained on.
    base: Visits,
    /// Visits that the clinic states, for the conditions it names.
    site: Visits,
    /// Spring, summer, autumn and winter, as a factor on the yearly average.
    seasons: BTreeMap<ConditionId, [f32; 4]>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PrevalenceRow {
    condition: String,
    age_band: BandCell,
    sex: SexCell,
    per_1000: f32,
    source: String,
    #[serde(rename = "status")]
    _status: Status,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SeasonRow {
    condition: String,
    spring: f32,
    summer: f32,
    autumn: f32,
    winter: f32,
    source: String,
    #[serde(rename = "status")]
    _status: Status,
}

impl Priors {
    /// Loads the tables; [`SITE`] and [`SEASONS`] may be missing. Refuses uncited rows, unknown
    /// ids, a row that stands twice, visits outside 0 to 1000, a condition without any, and
    /// seasons that are not above 0 or do not average 1.
    pub fn load(files: &Files, vocabulary: &Vocabulary) -> Result<Self, LoadError> {
        let base = visits(files, vocabulary, PREVALENCE)?;
        if let Some((_, condition)) = vocabulary.conditions().find(|(id, _)| !base.contains_key(id))
        {
            let message = format!("no visits for `{}`", condition.slug);
            return Err(LoadError::file(PREVALENCE, message));
        }
        let has = |name: &str| files.paths().any(|path| path == name);
        let site = if has(SITE) { visits(files, vocabulary, SITE)? } else { Visits::new() };
        let seasons = if has(SEASONS) { seasons(files, vocabulary)? } else { BTreeMap::new() };
        Ok(Self { base, site, seasons })
    }

    /// Shares of the visits of one stratum at this clinic, by condition; they add up to 1.
    pub(super) fn shares(
        &self,
        vocabulary: &Vocabulary,
        band: Option<AgeBand>,
        sex: Option<Sex>,
    ) -> Vec<f64> {
        let raw: Vec<f64> = vocabulary
            .conditions()
            .map(|(id, condition)| {
                let entries = self.site.get(&id).or_else(|| self.base.get(&id));
                cells(condition, entries, band, sex)
            })
            .collect();
        let total: f64 = raw.iter().sum();
        raw.iter().map(|visits| if total > 0.0 { visits / total } else { 0.0 }).collect()
    }

    /// The factor on the odds of a condition for such a patient at this clinic in this month (1 to
    /// 12), against what the model was trained on; 1 where nothing is stated.
    pub fn factor(
        &self,
        vocabulary: &Vocabulary,
        condition: ConditionId,
        patient: &Patient,
        month: Option<u8>,
    ) -> f32 {
        let season = month.and_then(season_of).and_then(|season| {
            self.seasons.get(&condition).and_then(|factors| factors.get(season)).copied()
        });
        season.unwrap_or(1.0) * self.site_factor(vocabulary, condition, patient)
    }

    fn site_factor(
        &self,
        vocabulary: &Vocabulary,
        condition: ConditionId,
        patient: &Patient,
    ) -> f32 {
        let (Some(here), Some(row)) =
            (self.site.get(&condition), vocabulary.get_condition(condition))
        else {
            return 1.0;
        };
        let (band, sex) = (patient.age_years.map(AgeBand::of), patient.sex);
        let here = cells(row, Some(here), band, sex);
        let usual = cells(row, self.base.get(&condition), band, sex);
        if usual > 0.0 {
            narrow((here / usual).clamp(1.0 / SITE_FACTOR_MAX, SITE_FACTOR_MAX))
        } else {
            1.0
        }
    }

    /// Moves probabilities (those of `conditions`, in that order, and last that of none of them)
    /// by the factors of this clinic and month, so that they still add up to what they did.
    pub fn adjust(
        &self,
        vocabulary: &Vocabulary,
        conditions: &[ConditionId],
        patient: &Patient,
        month: Option<u8>,
        probabilities: &mut [f32],
    ) {
        if self.site.is_empty() && month.and_then(season_of).is_none() {
            return;
        }
        let before: f32 = probabilities.iter().sum();
        for (condition, probability) in conditions.iter().zip(probabilities.iter_mut()) {
            *probability *= self.factor(vocabulary, *condition, patient, month);
        }
        let after: f32 = probabilities.iter().sum();
        if after > 0.0 {
            for probability in probabilities.iter_mut() {
                *probability *= before / after;
            }
        }
    }
}

/// Position of a month's season: March begins spring.
fn season_of(month: u8) -> Option<usize> {
    match month {
        3..=5 => Some(0),
        6..=8 => Some(1),
        9..=11 => Some(2),
        12 | 1 | 2 => Some(3),
        _ => None,
    }
}

/// Visits of one stratum: those of each concrete age band and sex in it, added up.
fn cells(
    condition: &Condition,
    entries: Option<&Vec<Entry>>,
    band: Option<AgeBand>,
    sex: Option<Sex>,
) -> f64 {
    let entries = entries.map_or(&[][..], Vec::as_slice);
    let bands = super::likelihood::BANDS.into_iter().flatten();
    let bands = bands.filter(|other| band.is_none_or(|band| band == *other));
    bands
        .flat_map(|band| [Sex::Male, Sex::Female].map(|sex| (band, sex)))
        .filter(|(_, other)| sex.is_none_or(|sex| sex == *other))
        .map(|(band, sex)| {
            let (from, to) = band.years();
            let old_enough = condition.age_min_years.is_none_or(|min| min < to);
            let young_enough = condition.age_max_years.is_none_or(|max| max + 1.0 > from);
            let admitted = old_enough && young_enough && condition.admits_sex(Some(sex));
            let value = resolve(entries, Some(band), Some(sex)).filter(|_| admitted);
            value.map_or(0.0, |(value, _)| f64::from(value))
        })
        .sum()
}

fn visits(files: &Files, vocabulary: &Vocabulary, path: &str) -> Result<Visits, LoadError> {
    let mut out = Visits::new();
    for (line, row) in rows::<PrevalenceRow>(files, path)? {
        let condition = vocabulary.require_condition(path, line, &row.condition)?;
        vocabulary.sources().check(path, line, &row.source)?;
        if !(0.0..=1000.0).contains(&row.per_1000) {
            let message = format!("needs 0 to 1000 visits, has {}", row.per_1000);
            return Err(LoadError::line(path, line, message));
        }
        let entry = entry(row.age_band, row.sex, row.per_1000, row.source);
        add(out.entry(condition).or_default(), entry, path, line)?;
    }
    Ok(out)
}

fn seasons(
    files: &Files,
    vocabulary: &Vocabulary,
) -> Result<BTreeMap<ConditionId, [f32; 4]>, LoadError> {
    let mut out = BTreeMap::new();
    for (line, row) in rows::<SeasonRow>(files, SEASONS)? {
        let condition = vocabulary.require_condition(SEASONS, line, &row.condition)?;
        vocabulary.sources().check(SEASONS, line, &row.source)?;
        let factors = [row.spring, row.summer, row.autumn, row.winter];
        let mean = factors.iter().sum::<f32>() / 4.0;
        if factors.iter().any(|factor| *factor <= 0.0) || (mean - 1.0).abs() > 0.05 {
            let message = "seasons must be above 0 and average 1".to_owned();
            return Err(LoadError::line(SEASONS, line, message));
        }
        if out.insert(condition, factors).is_some() {
            return Err(LoadError::line(SEASONS, line, "the condition stands twice"));
        }
    }
    Ok(out)
}

#[cfg(test)]
#[path = "prior_tests.rs"]
mod tests;
