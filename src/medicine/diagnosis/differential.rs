//! The differential diagnosis: the model's probabilities, explained, with its limits.
//!
//! The model orders the list. Around it stand the rules: red flags are handed through untouched,
//! conditions that must not be missed stay in sight though they are unlikely, conditions that a
//! patient of this age or sex cannot have are set aside, and [`Coverage`] says what the model
//! did not see. Probabilities are passed on as the model gave them; nothing is rescaled.

use super::evidence::{Evidence, Features, Origin};
use super::likelihood::{Likelihoods, Reason};
use super::reading::Reading;
use super::red_flags::RedFlagHit;
use crate::medicine::patient::Patient;
use crate::medicine::vocabulary::{ConditionId, FindingId, Vocabulary};

/// The label of everything that is not in the list; always the last output of the model.
pub const OUTSIDE: &str = "outside";
/// Conditions ranked however unlikely they are.
pub const RANKED_MIN: usize = 3;
/// Least probability ranked beyond [`RANKED_MIN`].
pub const RANKED_PROBABILITY_MIN: f32 = 0.01;
/// Least probability at which a condition that must not be missed is still listed.
pub const MUST_NOT_MISS_PROBABILITY_MIN: f32 = 0.005;
/// Most conditions listed only because they must not be missed: a list that names everything warns
/// of nothing.
pub const MUST_NOT_MISS_MAX: usize = 6;
/// Most reasons for, and most reasons against, given per condition.
pub const REASONS_MAX: usize = 6;
/// Least weight (natural logarithm of the likelihood ratio) that counts as a reason.
pub const REASON_WEIGHT_MIN: f32 = 0.1;
/// Below this many facts known to the model its answer rests on hardly anything.
pub const FACTS_FEW: usize = 3;

/// The conditions a model answers with, in output order, resolved once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Labels(Vec<ConditionId>);

/// Labels that the vocabulary cannot give.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LabelError {
    /// No such condition.
    #[error("unknown condition `{0}`")]
    Unknown(String),
    /// Named twice.
    #[error("`{0}` stands twice")]
    Twice(String),
    /// The last label must be [`OUTSIDE`].
    #[error("the last label must be `outside`")]
    NoOutside,
}

/// Probabilities that are none.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum DifferentialError {
    /// The model gave another number of values than it has labels.
    #[error("expected {expected} probabilities, found {found}")]
    Count {
        /// Labels, `outside` included.
        expected: usize,
        /// Values given.
        found: usize,
    },
    /// A value below 0, above 1 or not a number.
    #[error("probability {at} is {value}")]
    Value {
        /// Position, from 0.
        at: usize,
        /// The value.
        value: f32,
    },
}

/// Everything a differential is made from.
#[derive(Debug, Clone, Copy)]
pub struct Inputs<'a> {
    /// Names and limits of the conditions.
    pub vocabulary: &'a Vocabulary,
    /// Weights of the reasons.
    pub likelihoods: &'a Likelihoods,
    /// What the model sees.
    pub features: &'a Features,
    /// What the model answers with.
    pub labels: &'a Labels,
    /// What is known about the patient.
    pub evidence: &'a Evidence,
    /// Who the patient is.
    pub patient: &'a Patient,
    /// The text read, where there was one.
    pub reading: Option<&'a Reading>,
    /// Most conditions ranked; those that must not be missed come in addition.
    pub ranked_max: usize,
}

/// One condition with what speaks for and against it.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate<'a> {
    /// The condition.
    pub condition: ConditionId,
    /// The model's probability.
    pub probability: f32,
    /// Must be thought of even when it is unlikely.
    pub must_not_miss: bool,
    /// What speaks for it, the heaviest first.
    pub reasons_for: Vec<Reason<'a>>,
    /// What speaks against it, the heaviest first.
    pub reasons_against: Vec<Reason<'a>>,
}

/// Why a condition was set aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RuledOutBy {
    /// The patient's age.
    Age,
    /// The patient's sex.
    Sex,
}

/// A condition that this patient cannot have, though the model gave it a probability.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RuledOut {
    /// The condition.
    pub condition: ConditionId,
    /// The model's probability.
    pub probability: f32,
    /// Why it is set aside.
    pub by: RuledOutBy,
}

/// How much of what was said the model has seen.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Coverage {
    /// Findings said or measured to be present or absent; what they merely entail not counted.
    pub facts: usize,
    /// Of these, the inputs of the model.
    pub facts_used: usize,
    /// Present findings that the model has no input for, in the order of the vocabulary.
    pub unknown_to_model: Vec<FindingId>,
    /// Findings that were only mentioned as possible.
    pub uncertain: Vec<FindingId>,
    /// Findings claimed both present and absent.
    pub contradictory: Vec<FindingId>,
    /// Parts of the text that matched nothing.
    pub unread: Vec<String>,
    /// Values in the text that cannot be.
    pub implausible: usize,
}

/// A ranked differential diagnosis.
#[derive(Debug, Clone, PartialEq)]
pub struct Differential<'a> {
    /// Red flags that fire, the most urgent first; no model has a say in them.
    pub red_flags: Vec<RedFlagHit<'a>>,
    /// The likeliest conditions, the likeliest first.
    pub ranked: Vec<Candidate<'a>>,
    /// Conditions below those ranked that must not be missed, the likeliest first.
    pub must_not_miss: Vec<Candidate<'a>>,
    /// Conditions set aside, the likeliest first.
    pub ruled_out: Vec<RuledOut>,
    /// The model's probability that it is none of its conditions.
    pub outside_probability: f32,
    /// What the answer rests on.
    pub coverage: Coverage,
}

impl Labels {
    /// Resolves the slugs of a model's outputs; the last one must be [`OUTSIDE`].
    pub fn new(vocabulary: &Vocabulary, slugs: &[String]) -> Result<Self, LabelError> {
        let Some((last, conditions)) = slugs.split_last() else {
            return Err(LabelError::NoOutside);
        };
        if last != OUTSIDE {
            return Err(LabelError::NoOutside);
        }
        let mut out = Vec::with_capacity(conditions.len());
        for slug in conditions {
            let id = vocabulary.condition(slug).ok_or_else(|| LabelError::Unknown(slug.clone()))?;
            if out.contains(&id) {
                return Err(LabelError::Twice(slug.clone()));
            }
            out.push(id);
        }
        Ok(Self(out))
    }

    /// The conditions in output order, without the final [`OUTSIDE`].
    pub fn conditions(&self) -> &[ConditionId] {
        &self.0
    }
}

impl Coverage {
    fn of(inputs: Inputs<'_>) -> Self {
        let evidence = inputs.evidence;
        let mut known = vec![false; inputs.vocabulary.finding_count()];
        for finding in inputs.features.findings() {
            if let Some(place) = known.get_mut(finding.index()) {
                *place = true;
            }
        }
        let used = |finding: FindingId| known.get(finding.index()).copied().unwrap_or(false);
        let stated = || {
            let facts = evidence.facts().iter();
            facts.filter(|fact| !matches!(fact.origin, Origin::Implied(_)))
        };
        let missing = stated().filter(|fact| fact.present && !used(fact.finding));
        let unread = inputs.reading.map_or(&[][..], |reading| reading.unread.as_slice());
        Self {
            facts: stated().count(),
            facts_used: stated().filter(|fact| used(fact.finding)).count(),
            unknown_to_model: missing.map(|fact| fact.finding).collect(),
            uncertain: evidence.uncertain().to_vec(),
            contradictory: evidence.contradictions().iter().map(|c| c.kept.finding).collect(),
            unread: unread.iter().map(|part| part.words.clone()).collect(),
            implausible: inputs.reading.map_or(0, |reading| reading.implausible.len()),
        }
    }

    /// Whether the model knows so little that its order means hardly anything.
    pub fn is_thin(&self) -> bool {
        self.facts_used < FACTS_FEW
    }
}

impl<'a> Differential<'a> {
    /// Ranks and explains the model's answer. `probabilities` are in the order of the labels,
    /// `outside` last.
    pub fn new(
        inputs: Inputs<'a>,
        probabilities: &[f32],
        red_flags: Vec<RedFlagHit<'a>>,
    ) -> Result<Self, DifferentialError> {
        let expected = inputs.labels.0.len() + 1;
        let count = DifferentialError::Count { expected, found: probabilities.len() };
        let Some((outside, listed)) = probabilities.split_last() else { return Err(count) };
        if probabilities.len() != expected {
            return Err(count);
        }
        let bad = |(_, p): &(usize, &f32)| !(0.0..=1.0).contains(*p);
        if let Some((at, value)) = probabilities.iter().enumerate().find(bad) {
            return Err(DifferentialError::Value { at, value: *value });
        }
        let mut order: Vec<(ConditionId, f32)> =
            inputs.labels.0.iter().copied().zip(listed.iter().copied()).collect();
        order.sort_by(|a, b| b.1.total_cmp(&a.1));
        let mut out = Self { outside_probability: *outside, ..Self::unranked(inputs, red_flags) };
        for (condition, probability) in order {
            out.place(inputs, condition, probability);
        }
        Ok(out)
    }

    /// Red flags and coverage alone, where the model had nothing to go by.
    pub fn unranked(inputs: Inputs<'a>, red_flags: Vec<RedFlagHit<'a>>) -> Self {
        Self {
            red_flags,
            ranked: Vec::new(),
            must_not_miss: Vec::new(),
            ruled_out: Vec::new(),
            outside_probability: 0.0,
            coverage: Coverage::of(inputs),
        }
    }

    /// Puts the next likeliest condition where it belongs.
    fn place(&mut self, inputs: Inputs<'a>, condition: ConditionId, probability: f32) {
        let Some(row) = inputs.vocabulary.get_condition(condition) else { return };
        let by = if !row.admits_sex(inputs.patient.sex) {
            Some(RuledOutBy::Sex)
        } else if !row.admits_age(inputs.patient.age_years) {
            Some(RuledOutBy::Age)
        } else {
            None
        };
        if let Some(by) = by {
            if probability >= MUST_NOT_MISS_PROBABILITY_MIN {
                self.ruled_out.push(RuledOut { condition, probability, by });
            }
            return;
        }
        let ranks = self.ranked.len() < inputs.ranked_max
            && (self.ranked.len() < RANKED_MIN || probability >= RANKED_PROBABILITY_MIN);
        if ranks {
            self.ranked.push(candidate(inputs, condition, probability, row.must_not_miss));
        } else if row.must_not_miss
            && probability >= MUST_NOT_MISS_PROBABILITY_MIN
            && self.must_not_miss.len() < MUST_NOT_MISS_MAX
        {
            self.must_not_miss.push(candidate(inputs, condition, probability, true));
        }
    }
}

fn candidate(
    inputs: Inputs<'_>,
    condition: ConditionId,
    probability: f32,
    must_not_miss: bool,
) -> Candidate<'_> {
    let weights = inputs.likelihoods.weights(condition, inputs.evidence, inputs.patient);
    let heavy = weights.into_iter().filter(|r| r.log_likelihood_ratio.abs() >= REASON_WEIGHT_MIN);
    let (mut reasons_for, mut reasons_against): (Vec<_>, Vec<_>) =
        heavy.partition(|reason| reason.log_likelihood_ratio > 0.0);
    reasons_for.truncate(REASONS_MAX);
    reasons_against.truncate(REASONS_MAX);
    Candidate { condition, probability, must_not_miss, reasons_for, reasons_against }
}

#[cfg(test)]
#[path = "differential_tests.rs"]
mod tests;
