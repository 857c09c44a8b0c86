//! How much a finding speaks for or against a condition.
//!
//! Probabilities of a finding given a condition come from `likelihoods.csv`, the most specific
//! row for the patient's age band and sex first; a finding without a row for a condition has the
//! rate of `background.csv`. What a finding weighs is ln(P(finding | condition) / P(finding |
//! the other conditions)), the others mixed by their share of visits (`prevalence.csv`). The
//! model does not use these numbers at run time: they explain its answer in terms that can be
//! looked up.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::evidence::{Evidence, Origin};
use super::prior::Priors;
use crate::medicine::patient::{Patient, Sex};
use crate::medicine::vocabulary::{ConditionId, FindingId, SexCell, Vocabulary};
use crate::tables::files::{Files, LoadError};
use crate::tables::table::{Status, rows};

/// The table of likelihoods.
pub const LIKELIHOODS: &str = "diagnosis/likelihoods.csv";
/// The table of background rates.
pub const BACKGROUND: &str = "diagnosis/background.csv";

/// Probabilities are kept this far from 0 and 1 before a logarithm is taken.
const PROBABILITY_MARGIN: f64 = 1e-6;

/// An age band of the tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum AgeBand {
    /// Below 1 year.
    Infant,
    /// 1 to 13 years.
    Child,
    /// 14 to 64 years.
    Adult,
    /// 65 years and above.
    Elder,
}

/// What one finding weighs for one condition.
#[derive(Debug, Clone, PartialEq)]
pub struct Reason<'a> {
    /// The finding.
    pub finding: FindingId,
    /// Present or absent in this patient.
    pub present: bool,
    /// Natural logarithm of the likelihood ratio: above 0 for, below 0 against.
    pub log_likelihood_ratio: f32,
    /// P(finding | condition), for the patient's age band and sex.
    pub p_given_condition: f32,
    /// P(finding | any other condition), for the patient's age band and sex.
    pub p_given_others: f32,
    /// Citation of the likelihood, or of the background rate where there is none.
    pub source: &'a str,
}

/// The loaded tables, ready to weigh.
#[derive(Debug, Clone)]
pub struct Likelihoods {
    /// Whether any condition has a likelihood for the finding, by finding index.
    weighed: Vec<bool>,
    strata: Vec<Stratum>,
    rows: BTreeMap<(ConditionId, FindingId), Vec<Entry>>,
    background: BTreeMap<FindingId, (f32, String)>,
}

/// The numbers for patients of one age band and sex, unknown ones included.
#[derive(Debug, Clone, Default)]
struct Stratum {
    /// Shares of visits per condition; they add up to 1.
    shares: Vec<f64>,
    /// By finding index, the sum over conditions of share times P(finding | condition).
    mixed: Vec<f64>,
}

/// One number of a table with the patients it is for.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    band: Option<AgeBand>,
    sex: Option<Sex>,
    pub(super) value: f32,
    source: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum BandCell {
    Any,
    Infant,
    Child,
    Adult,
    Elder,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LikelihoodRow {
    condition: String,
    finding: String,
    age_band: BandCell,
    sex: SexCell,
    p: f32,
    p_low: f32,
    p_high: f32,
    source: String,
    #[serde(rename = "status")]
    _status: Status,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BackgroundRow {
    finding: String,
    p: f32,
    source: String,
    #[serde(rename = "status")]
    _status: Status,
}

pub(super) const BANDS: [Option<AgeBand>; 5] =
    [None, Some(AgeBand::Infant), Some(AgeBand::Child), Some(AgeBand::Adult), Some(AgeBand::Elder)];
pub(super) const SEXES: [Option<Sex>; 3] = [None, Some(Sex::Male), Some(Sex::Female)];

impl AgeBand {
    /// The band of an age in years.
    pub fn of(age_years: f32) -> Self {
        if age_years < 1.0 {
            Self::Infant
        } else if age_years < 14.0 {
            Self::Child
        } else if age_years < 65.0 {
            Self::Adult
        } else {
            Self::Elder
        }
    }

    /// Youngest age in the band, and the age from which the next one begins.
    pub(super) fn years(self) -> (f32, f32) {
        match self {
            Self::Infant => (0.0, 1.0),
            Self::Child => (1.0, 14.0),
            Self::Adult => (14.0, 65.0),
            Self::Elder => (65.0, f32::INFINITY),
        }
    }
}

impl BandCell {
    fn band(self) -> Option<AgeBand> {
        match self {
            Self::Any => None,
            Self::Infant => Some(AgeBand::Infant),
            Self::Child => Some(AgeBand::Child),
            Self::Adult => Some(AgeBand::Adult),
            Self::Elder => Some(AgeBand::Elder),
        }
    }
}

impl Likelihoods {
    /// Loads the two tables. Refuses uncited rows, unknown ids, a row that stands twice, a
    /// probability outside 0 < `p_low` ≤ `p` ≤ `p_high` < 1, and a finding without a background
    /// rate.
    pub fn load(
        files: &Files,
        vocabulary: &Vocabulary,
        priors: &Priors,
    ) -> Result<Self, LoadError> {
        let background = background(files, vocabulary)?;
        let rows = likelihoods(files, vocabulary)?;
        let mut weighed = vec![false; vocabulary.finding_count()];
        for (_, finding) in rows.keys() {
            if !background.contains_key(finding) {
                let slug = vocabulary.finding_slug(*finding);
                return Err(LoadError::file(BACKGROUND, format!("no rate for `{slug}`")));
            }
            if let Some(place) = weighed.get_mut(finding.index()) {
                *place = true;
            }
        }
        let mut out = Self { weighed, strata: Vec::new(), rows, background };
        for (band, sex) in BANDS.into_iter().flat_map(|band| SEXES.map(|sex| (band, sex))) {
            let shares = priors.shares(vocabulary, band, sex);
            let mixed = out.mix(&shares, band, sex);
            out.strata.push(Stratum { shares, mixed });
        }
        Ok(out)
    }

    /// What each known finding weighs for `condition`, the heaviest first. A fact that another
    /// known fact entails is left out: it would be counted twice.
    pub fn weights(
        &self,
        condition: ConditionId,
        evidence: &Evidence,
        patient: &Patient,
    ) -> Vec<Reason<'_>> {
        let mut out = Vec::new();
        for fact in evidence.facts() {
            if let Origin::Implied(by) = fact.origin
                && self.weighed.get(by.index()).copied().unwrap_or(false)
            {
                continue;
            }
            out.extend(self.weigh(condition, fact.finding, fact.present, patient));
        }
        out.sort_by(|a, b| {
            let (a, b) = (a.log_likelihood_ratio.abs(), b.log_likelihood_ratio.abs());
            b.total_cmp(&a)
        });
        out
    }

    /// What one finding weighs; `None` where no condition has a likelihood for it.
    pub fn weigh(
        &self,
        condition: ConditionId,
        finding: FindingId,
        present: bool,
        patient: &Patient,
    ) -> Option<Reason<'_>> {
        if !self.weighed.get(finding.index()).copied()? {
            return None;
        }
        let band = patient.age_years.map(AgeBand::of);
        let stratum = self.stratum(band, patient.sex)?;
        let (p, source) = self.probability(condition, finding, band, patient.sex)?;
        let p = f64::from(p);
        let share = *stratum.shares.get(condition.index())?;
        // The patients of every other condition; with one condition alone there are none.
        let others = (stratum.mixed.get(finding.index())? - share * p) / (1.0 - share);
        if !others.is_finite() {
            return None;
        }
        let [p, others] =
            [p, others].map(|p| p.clamp(PROBABILITY_MARGIN, 1.0 - PROBABILITY_MARGIN));
        let ratio = if present { p / others } else { (1.0 - p) / (1.0 - others) };
        Some(Reason {
            finding,
            present,
            log_likelihood_ratio: narrow(ratio.ln()),
            p_given_condition: narrow(p),
            p_given_others: narrow(others),
            source,
        })
    }

    /// P(finding | condition) for such a patient, 0 to 1, for the findings that the tables describe
    /// `condition` by; any other finding has its [`Likelihoods::rate`].
    pub fn chances(
        &self,
        condition: ConditionId,
        patient: &Patient,
    ) -> impl Iterator<Item = (FindingId, f32)> + '_ {
        let (band, sex) = (patient.age_years.map(AgeBand::of), patient.sex);
        let rows = self.rows.range((condition, FindingId::FIRST)..);
        rows.take_while(move |(key, _)| key.0 == condition)
            .filter_map(move |(key, entries)| Some((key.1, resolve(entries, band, sex)?.0)))
    }

    /// P(finding) in a patient without a cause for it, 0 to 1; `None` for one that no table knows.
    pub fn rate(&self, finding: FindingId) -> Option<f32> {
        self.background.get(&finding).map(|(p, _)| *p)
    }

    /// The condition's share of the visits of such patients, 0 to 1, among all conditions known.
    pub fn share(&self, condition: ConditionId, patient: &Patient) -> Option<f32> {
        let stratum = self.stratum(patient.age_years.map(AgeBand::of), patient.sex)?;
        stratum.shares.get(condition.index()).map(|share| narrow(*share))
    }

    fn stratum(&self, band: Option<AgeBand>, sex: Option<Sex>) -> Option<&Stratum> {
        let band = BANDS.iter().position(|other| *other == band)?;
        let sex = SEXES.iter().position(|other| *other == sex)?;
        self.strata.get(band * SEXES.len() + sex)
    }

    /// P(finding | condition) with its citation; the background rate where there is no row.
    fn probability(
        &self,
        condition: ConditionId,
        finding: FindingId,
        band: Option<AgeBand>,
        sex: Option<Sex>,
    ) -> Option<(f32, &str)> {
        let cited = self.rows.get(&(condition, finding));
        let found = cited.and_then(|entries| resolve(entries, band, sex));
        found.or_else(|| self.background.get(&finding).map(|(p, source)| (*p, source.as_str())))
    }

    /// The mix of all conditions by their shares: background rates, corrected row by row.
    fn mix(&self, shares: &[f64], band: Option<AgeBand>, sex: Option<Sex>) -> Vec<f64> {
        let total: f64 = shares.iter().sum();
        let mut mixed = vec![0.0; self.weighed.len()];
        for (finding, (rate, _)) in &self.background {
            if let Some(place) = mixed.get_mut(finding.index()) {
                *place = f64::from(*rate) * total;
            }
        }
        for ((condition, finding), entries) in &self.rows {
            if let (Some((p, _)), Some((rate, _)), Some(share), Some(place)) = (
                resolve(entries, band, sex),
                self.background.get(finding),
                shares.get(condition.index()),
                mixed.get_mut(finding.index()),
            ) {
                *place += share * (f64::from(p) - f64::from(*rate));
            }
        }
        mixed
    }
}

/// The most specific value for a patient; where age or sex is unknown and only rows for some
/// patients exist, their mean.
pub(super) fn resolve(
    entries: &[Entry],
    band: Option<AgeBand>,
    sex: Option<Sex>,
) -> Option<(f32, &str)> {
    let exact = |band, sex| entries.iter().find(|e| e.band == band && e.sex == sex);
    let found = exact(band, sex)
        .or_else(|| exact(band, None))
        .or_else(|| exact(None, sex))
        .or_else(|| exact(None, None));
    if let Some(entry) = found {
        return Some((entry.value, &entry.source));
    }
    let fits = |entry: &&Entry| {
        (band.is_none() || entry.band.is_none() || entry.band == band)
            && (sex.is_none() || entry.sex.is_none() || entry.sex == sex)
    };
    let (mut sum, mut count, mut source) = (0.0, 0.0, None);
    for entry in entries.iter().filter(fits) {
        sum += entry.value;
        count += 1.0;
        source = source.or(Some(entry.source.as_str()));
    }
    source.map(|source| (sum / count, source))
}

fn likelihoods(
    files: &Files,
    vocabulary: &Vocabulary,
) -> Result<BTreeMap<(ConditionId, FindingId), Vec<Entry>>, LoadError> {
    let mut out: BTreeMap<(ConditionId, FindingId), Vec<Entry>> = BTreeMap::new();
    for (line, row) in rows::<LikelihoodRow>(files, LIKELIHOODS)? {
        let condition = vocabulary.require_condition(LIKELIHOODS, line, &row.condition)?;
        let finding = vocabulary.require_finding(LIKELIHOODS, line, &row.finding)?;
        vocabulary.sources().check(LIKELIHOODS, line, &row.source)?;
        let ordered =
            0.0 < row.p_low && row.p_low <= row.p && row.p <= row.p_high && row.p_high < 1.0;
        if !ordered {
            let message = format!(
                "needs 0 < p_low <= p <= p_high < 1, has {} {} {}",
                row.p_low, row.p, row.p_high
            );
            return Err(LoadError::line(LIKELIHOODS, line, message));
        }
        let entry = entry(row.age_band, row.sex, row.p, row.source);
        add(out.entry((condition, finding)).or_default(), entry, LIKELIHOODS, line)?;
    }
    Ok(out)
}

fn background(
    files: &Files,
    vocabulary: &Vocabulary,
) -> Result<BTreeMap<FindingId, (f32, String)>, LoadError> {
    let mut out = BTreeMap::new();
    for (line, row) in rows::<BackgroundRow>(files, BACKGROUND)? {
        let finding = vocabulary.require_finding(BACKGROUND, line, &row.finding)?;
        vocabulary.sources().check(BACKGROUND, line, &row.source)?;
        if !(0.0 < row.p && row.p < 1.0) {
            let message = format!("needs 0 < p < 1, has {}", row.p);
            return Err(LoadError::line(BACKGROUND, line, message));
        }
        if out.insert(finding, (row.p, row.source)).is_some() {
            return Err(LoadError::line(BACKGROUND, line, "the finding stands twice"));
        }
    }
    Ok(out)
}

pub(super) fn entry(band: BandCell, sex: SexCell, value: f32, source: String) -> Entry {
    Entry { band: band.band(), sex: sex.sex(), value, source }
}

pub(super) fn add(
    entries: &mut Vec<Entry>,
    entry: Entry,
    path: &str,
    line: u64,
) -> Result<(), LoadError> {
    if entries.iter().any(|other| other.band == entry.band && other.sex == entry.sex) {
        return Err(LoadError::line(path, line, "the row stands twice"));
    }
    entries.push(entry);
    Ok(())
}

/// A number of table precision, back from the wider type the sums need.
#[expect(
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    reason = "there is no checked conversion from f64 to f32; the values are small and finite"
)]
pub(super) fn narrow(value: f64) -> f32 {
    value as f32
}

#[cfg(test)]
#[path = "likelihood_tests.rs"]
mod tests;
