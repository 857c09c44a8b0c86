//! What is known about the patient: one state per finding, each with its origin.
//!
//! Four kinds of claim are merged. What the doctor ticked wins over what was measured, that over
//! what the text says; a normal reading counts last and only against signs. Of two claims of the
//! same weight the present one is kept, because a missed danger costs more than a false alarm.
//! A claim that loses is listed as a contradiction, and entails nothing.

use std::ops::Range;

use super::reading::{Duration, Experiencer, MeasuredAt, Presence, Reading};
use crate::medicine::patient::{Measure, Patient, Vitals};
use crate::medicine::vocabulary::{FindingId, FindingKind, MeasuredFinding, Vocabulary};

/// The age, in years, whose limits hold for a patient of unknown age.
const ADULT_YEARS: f32 = 40.0;

/// Why a finding is taken as present or absent.
#[derive(Debug, Clone, PartialEq)]
pub enum Origin {
    /// The text says so, at these bytes.
    Text(Range<usize>),
    /// The caller said so.
    Given,
    /// A measured value says so.
    Measured {
        /// What was measured.
        measure: Measure,
        /// The value, in the unit of `measure`.
        value: f32,
    },
    /// For how long something has lasted says so, at these bytes of the text.
    Lasting(Range<usize>),
    /// Another fact entails it.
    Implied(FindingId),
}

/// One known finding.
#[derive(Debug, Clone, PartialEq)]
pub struct Fact {
    /// The finding.
    pub finding: FindingId,
    /// Present or absent.
    pub present: bool,
    /// Why.
    pub origin: Origin,
}

/// A finding that was claimed both present and absent.
#[derive(Debug, Clone, PartialEq)]
pub struct Contradiction {
    /// The claim that was kept.
    pub kept: Fact,
    /// Where the opposite claim came from.
    pub against: Origin,
}

/// Everything said about a patient, before it is merged.
#[derive(Debug, Clone, Copy)]
pub struct Claims<'a> {
    /// What a text says.
    pub reading: Option<&'a Reading>,
    /// Findings the caller says are present.
    pub present: &'a [FindingId],
    /// Findings the caller says are absent.
    pub absent: &'a [FindingId],
    /// Values the caller gives; they replace those of the text.
    pub vitals: &'a Vitals,
    /// Who the patient is.
    pub patient: &'a Patient,
}

/// What is known: present, absent or unknown for each finding.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Evidence {
    /// By finding index.
    states: Vec<Option<bool>>,
    facts: Vec<Fact>,
    contradictions: Vec<Contradiction>,
    uncertain: Vec<FindingId>,
    vitals: Vitals,
}

/// The inputs of a model, in order, resolved once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Features {
    order: Vec<FindingId>,
    /// By finding index.
    known: Vec<bool>,
}

/// A feature that the vocabulary cannot give.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FeatureError {
    /// No such finding.
    #[error("unknown finding `{0}`")]
    Unknown(String),
    /// Named twice.
    #[error("`{0}` stands twice")]
    Twice(String),
}

impl Evidence {
    /// Merges `claims` and closes them over the implications.
    pub fn gather(vocabulary: &Vocabulary, claims: Claims<'_>) -> Self {
        let mut merge = Merge {
            vocabulary,
            out: Self {
                states: vec![None; vocabulary.finding_count()],
                vitals: merged_vitals(claims),
                ..Self::default()
            },
        };
        for (findings, present) in [(claims.present, true), (claims.absent, false)] {
            for finding in findings {
                merge.claim(*finding, present, Origin::Given);
            }
        }
        let (over, normal) = measured(vocabulary, claims, &merge.out.vitals);
        for (finding, origin) in over {
            merge.claim(finding, true, origin);
        }
        if let Some(reading) = claims.reading {
            merge.text(reading);
            merge.time(reading);
        }
        for (finding, origin) in normal {
            if merge.out.state(finding).is_none() {
                merge.claim(finding, false, origin);
            }
        }
        merge.out.facts.sort_by_key(|fact| fact.finding);
        merge.out.uncertain.sort_unstable();
        merge.out.uncertain.dedup();
        let states = &merge.out.states;
        merge.out.uncertain.retain(|id| states.get(id.index()).copied().flatten().is_none());
        merge.out
    }

    /// `Some(true)` present, `Some(false)` absent, `None` unknown.
    pub fn state(&self, finding: FindingId) -> Option<bool> {
        self.states.get(finding.index()).copied().flatten()
    }

    /// All known findings, in the order of the vocabulary.
    pub fn facts(&self) -> &[Fact] {
        &self.facts
    }

    /// The fact about one finding.
    pub fn fact(&self, finding: FindingId) -> Option<&Fact> {
        let at = self.facts.binary_search_by_key(&finding, |fact| fact.finding).ok()?;
        self.facts.get(at)
    }

    /// Findings claimed both present and absent.
    pub fn contradictions(&self) -> &[Contradiction] {
        &self.contradictions
    }

    /// Findings that were only mentioned as possible and are not known otherwise, in order.
    pub fn uncertain(&self) -> &[FindingId] {
        &self.uncertain
    }

    /// The present values: those given, and for the rest those of the text.
    pub fn vitals(&self) -> &Vitals {
        &self.vitals
    }
}

impl Features {
    /// Resolves the slugs of a model's inputs.
    pub fn new(vocabulary: &Vocabulary, slugs: &[String]) -> Result<Self, FeatureError> {
        let mut out: Vec<FindingId> = Vec::with_capacity(slugs.len());
        let mut seen = vec![false; vocabulary.finding_count()];
        for slug in slugs {
            let unknown = || FeatureError::Unknown(slug.clone());
            let id = vocabulary.finding(slug).ok_or_else(unknown)?;
            if seen.get_mut(id.index()).is_none_or(|seen| std::mem::replace(seen, true)) {
                return Err(FeatureError::Twice(slug.clone()));
            }
            out.push(id);
        }
        Ok(Self { order: out, known: seen })
    }

    /// The findings in input order.
    pub fn findings(&self) -> &[FindingId] {
        &self.order
    }

    /// Whether the model has an input for the finding.
    pub fn knows(&self, finding: FindingId) -> bool {
        self.known.get(finding.index()).copied().unwrap_or(false)
    }

    /// One value per input: 1 present, -1 absent, 0 unknown.
    pub fn vector(&self, evidence: &Evidence) -> Vec<f32> {
        self.order
            .iter()
            .map(|finding| match evidence.state(*finding) {
                Some(true) => 1.0,
                Some(false) => -1.0,
                None => 0.0,
            })
            .collect()
    }
}

struct Merge<'a> {
    vocabulary: &'a Vocabulary,
    out: Evidence,
}

impl Merge<'_> {
    /// Takes a claim, and everything it entails, unless the opposite is already known. Claims
    /// come in order of weight. A finding that is known has had its consequences settled too, so
    /// the facts stay free of contradiction.
    fn claim(&mut self, finding: FindingId, present: bool, origin: Origin) {
        match self.out.state(finding) {
            Some(known) if known == present => return,
            Some(_) => {
                let kept = self.out.facts.iter().find(|fact| fact.finding == finding).cloned();
                let known = self.out.contradictions.iter().any(|c| c.kept.finding == finding);
                if let Some(kept) = kept.filter(|_| !known) {
                    self.out.contradictions.push(Contradiction { kept, against: origin });
                }
                return;
            }
            None => {}
        }
        self.set(finding, present, origin);
        let vocabulary = self.vocabulary;
        let entailed =
            if present { vocabulary.implied(finding) } else { vocabulary.implied_by(finding) };
        for other in entailed {
            if self.out.state(*other).is_none() {
                self.set(*other, present, Origin::Implied(finding));
            }
        }
    }

    fn set(&mut self, finding: FindingId, present: bool, origin: Origin) {
        if let Some(state) = self.out.states.get_mut(finding.index()) {
            *state = Some(present);
            self.out.facts.push(Fact { finding, present, origin });
        }
    }

    /// What the times said entail, where nothing else is known.
    fn time(&mut self, reading: &Reading) {
        for (finding, present, origin) in timed(self.vocabulary, reading) {
            if self.out.state(finding).is_none() {
                self.claim(finding, present, origin);
            }
        }
    }

    /// The patient's own mentions; of the past only what outlasts it.
    fn text(&mut self, reading: &Reading) {
        for wanted in [Presence::Present, Presence::Absent, Presence::Uncertain] {
            for mention in &reading.mentions {
                let kind = self.vocabulary.get_finding(mention.finding).map(|f| f.kind);
                let counts = mention.presence == wanted
                    && mention.experiencer == Experiencer::Patient
                    && (!mention.past || kind.is_some_and(FindingKind::outlasts));
                if !counts {
                    continue;
                }
                let origin = Origin::Text(mention.span.clone());
                match wanted {
                    Presence::Present => self.claim(mention.finding, true, origin),
                    Presence::Absent => self.claim(mention.finding, false, origin),
                    Presence::Uncertain => self.out.uncertain.push(mention.finding),
                }
            }
        }
    }
}

/// Findings that the times said in the text entail (present first), and those they exclude.
fn timed(vocabulary: &Vocabulary, reading: &Reading) -> Vec<(FindingId, bool, Origin)> {
    let complaint = |finding: FindingId| {
        vocabulary.get_finding(finding).is_some_and(|row| row.kind.is_complaint())
    };
    let lasting: Vec<(FindingId, &Duration)> = reading
        .mentions
        .iter()
        .filter(|mention| {
            mention.presence == Presence::Present
                && mention.experiencer == Experiencer::Patient
                && !mention.past
        })
        .filter_map(|mention| Some((mention.finding, mention.duration.as_ref()?)))
        .filter(|(finding, _)| complaint(*finding))
        .collect();
    let mut out = Vec::new();
    for row in vocabulary.timed() {
        let told = lasting.iter().filter(|(finding, _)| match row.of {
            None => true,
            Some(of) => of == *finding || vocabulary.implied(*finding).contains(&of),
        });
        // How long the illness has lasted is what is said with the complaint, which comes first.
        let told = told.take(if row.of.is_none() { 1 } else { usize::MAX });
        let answers: Vec<(bool, &Duration)> = told
            .filter_map(|(_, time)| Some((row.holds(time.least_days, time.most_days)?, *time)))
            .collect();
        let met = answers.iter().find(|(holds, _)| *holds).or(answers.last());
        if let Some((holds, time)) = met {
            out.push((row.finding, *holds, Origin::Lasting(time.span.clone())));
        }
    }
    out.sort_by_key(|(_, present, _)| !*present);
    out
}

fn merged_vitals(claims: Claims<'_>) -> Vitals {
    let mut vitals = claims.reading.map(Reading::vitals).unwrap_or_default();
    for measure in Measure::ALL {
        if let Some(value) = claims.vitals.get(measure) {
            *vitals.get_mut(measure) = Some(value);
        }
    }
    vitals
}

type Origins = Vec<(FindingId, Origin)>;

/// Findings that measured values entail, and signs that they exclude.
fn measured(vocabulary: &Vocabulary, claims: Claims<'_>, now: &Vitals) -> (Origins, Origins) {
    // A fever of yesterday is a fever of this illness; other values count as they are now.
    let peak = claims.reading.and_then(|r| r.vitals_at(MeasuredAt::Peak).temperature_c);
    let values = |measure: Measure| {
        let peak = peak.filter(|_| measure == Measure::TemperatureC);
        peak.into_iter().chain(now.get(measure))
    };
    let age = claims.patient.age_years;
    let mut over = Origins::new();
    let mut normal = Origins::new();
    let rows = vocabulary.measured();
    for (at, row) in rows.iter().enumerate() {
        let holds = |row: &MeasuredFinding, value: &f32| row.comparison.holds(*value, row.value);
        let met = values(row.measure).find(|value| holds(row, value));
        let measure = row.measure;
        // Of a patient of unknown age an adult's limits hold: most are, and a danger must not be lost.
        let applies = row.applies(age).or_else(|| row.applies(Some(ADULT_YEARS)));
        if let (Some(true), Some(value)) = (applies, met) {
            over.push((row.finding, Origin::Measured { measure, value }));
        }
        // The last row of a finding decides whether all of its rows are measured and unmet.
        let last = !rows.iter().skip(at + 1).any(|other| other.finding == row.finding);
        let kind = vocabulary.get_finding(row.finding).map(|finding| finding.kind);
        let sign = matches!(kind, Some(FindingKind::Vital | FindingKind::Sign | FindingKind::Test));
        if !last || !sign {
            continue;
        }
        let mut seen = None;
        let all = rows.iter().filter(|other| other.finding == row.finding).all(|other| match other
            .applies(age)
        {
            Some(false) => true,
            None => false,
            Some(true) => {
                let unmet = values(other.measure).all(|value| !holds(other, &value));
                seen = values(other.measure).last().map(|value| (other.measure, value));
                unmet && seen.is_some()
            }
        });
        if let (true, Some((measure, value))) = (all, seen) {
            normal.push((row.finding, Origin::Measured { measure, value }));
        }
    }
    (over, normal)
}

#[cfg(test)]
#[path = "evidence_tests.rs"]
mod tests;
