//! The next question: which unknown finding would tell most, whom it concerns, when to stop.
//!
//! A question is worth its expected information about the conditions, in nats, by the tables:
//! the sum over conditions of P(condition) times the expected logarithm of P(answer | condition) /
//! P(answer). The share of conditions that must not be missed counts [`DANGER`] times, so that
//! excluding one is worth asking for. The model's probabilities stand in for P(condition); the
//! tables' likelihoods say how an answer would come out.

use std::collections::{BTreeMap, BTreeSet};

use super::evidence::{Evidence, Features};
use super::likelihood::{Likelihoods, narrow};
use crate::medicine::patient::Patient;
use crate::medicine::vocabulary::{ConditionId, Finding, FindingId, FindingKind, Vocabulary};

/// How much more a condition that must not be missed counts.
pub const DANGER: f64 = 2.0;
/// Questions asked when the caller does not say.
pub const QUESTIONS_DEFAULT: u32 = 10;
/// Questions at most.
pub const QUESTIONS_MAX: u32 = 30;
/// Conditions that questions are weighed for, the likeliest first.
const CONDITIONS_WEIGHED: usize = 30;
/// Least probability of a condition that questions are weighed for.
const PROBABILITY_MIN: f32 = 0.002;
/// Information, in nats, below which no question is worth a patient's time.
const WORTH_MIN: f32 = 0.012;
/// A question about the same part of the body as the last is preferred when it is worth this share
/// of the best one, as a doctor would stay with a subject.
const SAME_PART: f32 = 0.75;
/// The answer is settled above this probability while no dangerous condition is above the next.
const SETTLED: f32 = 0.92;
/// See [`SETTLED`].
const DANGER_LEFT: f32 = 0.02;
/// Conditions named as what a question is about.
const ABOUT_MAX: usize = 3;
/// Least logarithm of the likelihood ratio at which a question is about a condition.
const ABOUT_MIN: f64 = 0.5;

/// A question worth asking.
#[derive(Debug, Clone, PartialEq)]
pub struct Question {
    /// The finding asked about.
    pub finding: FindingId,
    /// Expected information, in nats, dangerous conditions counted [`DANGER`] times.
    pub worth: f32,
    /// The conditions that a yes would move up most, the likeliest first.
    pub about: Vec<ConditionId>,
}

/// What questions are chosen from.
#[derive(Debug, Clone, Copy)]
pub struct Situation<'a> {
    /// Names.
    pub vocabulary: &'a Vocabulary,
    /// How answers come out.
    pub likelihoods: &'a Likelihoods,
    /// What the model can make use of.
    pub features: &'a Features,
    /// What is known.
    pub evidence: &'a Evidence,
    /// Who the patient is.
    pub patient: &'a Patient,
    /// Conditions with their probability, in any order.
    pub probabilities: &'a [(ConditionId, f32)],
    /// Findings asked already and not known.
    pub skipped: &'a BTreeSet<FindingId>,
}

impl Situation<'_> {
    /// Whether the order is settled: one condition stands out and nothing dangerous is left.
    pub fn is_settled(&self) -> bool {
        let best = self.probabilities.iter().max_by(|a, b| a.1.total_cmp(&b.1));
        let Some((first, p)) = best else { return false };
        let danger = self.probabilities.iter().filter(|(id, _)| id != first && self.dangerous(*id));
        *p >= SETTLED && danger.map(|(_, p)| p).sum::<f32>() <= DANGER_LEFT
    }

    /// Questions worth asking, the best first, at most `count`. `last` is what was asked before.
    pub fn questions(&self, count: usize, last: Option<FindingId>) -> Vec<Question> {
        let weighed = self.weighed();
        let candidates = self.candidates(&weighed, |finding| self.can_be_asked(finding));
        let part = last.and_then(|id| self.part(id));
        let mut found: Vec<(f32, Question)> = candidates
            .into_iter()
            .filter_map(|(finding, chances)| {
                let ease = ease(self.vocabulary.get_finding(finding)?);
                let question = weigh(self, finding, chances, &weighed, ease);
                let same = part.is_some() && self.part(finding) == part;
                let preferred = question.worth / if same { SAME_PART } else { 1.0 };
                (question.worth >= WORTH_MIN).then_some((preferred, question))
            })
            .collect();
        found.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.finding.cmp(&b.1.finding)));
        found.truncate(count);
        found.into_iter().map(|(_, question)| question).collect()
    }

    /// What each of `wanted` would tell, by whatever means it is found out; those that the model can
    /// make no use of, or that tell nothing here, are left out.
    pub fn told_by(&self, wanted: &BTreeSet<FindingId>) -> BTreeMap<FindingId, Question> {
        let weighed = self.weighed();
        let useful = |id: FindingId| wanted.contains(&id) && self.features.knows(id);
        let candidates = self.candidates(&weighed, useful).into_iter();
        candidates.map(|(id, chances)| (id, weigh(self, id, chances, &weighed, 1.0))).collect()
    }

    /// P(finding | condition) in the order of `weighed`, for every finding admitted that one of them
    /// is described by.
    fn candidates(
        &self,
        weighed: &[(ConditionId, f64)],
        admitted: impl Fn(FindingId) -> bool,
    ) -> BTreeMap<FindingId, Vec<f64>> {
        let mut candidates: BTreeMap<FindingId, Vec<f64>> = BTreeMap::new();
        for (at, (id, _)) in weighed.iter().enumerate() {
            for (finding, chance) in self.likelihoods.chances(*id, self.patient) {
                let chances = candidates.entry(finding).or_insert_with(|| {
                    let rate = self.likelihoods.rate(finding).filter(|_| admitted(finding));
                    rate.map(|rate| vec![f64::from(rate); weighed.len()]).unwrap_or_default()
                });
                if let Some(place) = chances.get_mut(at) {
                    *place = f64::from(chance);
                }
            }
        }
        candidates.retain(|_, chances| !chances.is_empty());
        candidates
    }

    /// The likeliest conditions with their probability.
    fn weighed(&self) -> Vec<(ConditionId, f64)> {
        let mut likely: Vec<_> =
            self.probabilities.iter().filter(|(_, p)| *p >= PROBABILITY_MIN).collect();
        likely.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        likely.truncate(CONDITIONS_WEIGHED);
        likely.into_iter().map(|(id, p)| (*id, f64::from(*p))).collect()
    }

    fn dangerous(&self, condition: ConditionId) -> bool {
        self.vocabulary.get_condition(condition).is_some_and(|c| c.must_not_miss)
    }

    fn part(&self, finding: FindingId) -> Option<&str> {
        let part = self.vocabulary.get_finding(finding).map(|f| f.body_part.as_str());
        part.filter(|p| !p.is_empty() && *p != "general")
    }

    /// Unknown, not asked before, not measured already, of use to the model, and not excluded by
    /// what is known.
    fn can_be_asked(&self, finding: FindingId) -> bool {
        let absent = |id: &FindingId| self.evidence.state(*id) == Some(false);
        let vitals = self.evidence.vitals();
        let mut measured = self.vocabulary.measured().iter().filter(|m| m.finding == finding);
        if measured.any(|m| vitals.get(m.measure).is_some()) {
            return false;
        }
        self.evidence.state(finding).is_none()
            && !self.skipped.contains(&finding)
            && !self.vocabulary.implied(finding).iter().any(absent)
            && self.features.knows(finding)
            && self.vocabulary.get_finding(finding).is_some_and(|f| ease(f) > 0.0)
    }
}

/// What a finding would tell, times `ease`.
fn weigh(
    situation: &Situation<'_>,
    finding: FindingId,
    chances: Vec<f64>,
    weighed: &[(ConditionId, f64)],
    ease: f64,
) -> Question {
    let total: f64 = weighed.iter().map(|(_, p)| p).sum();
    let chances: Vec<f64> = chances.into_iter().map(|p| p.clamp(1e-4, 1.0 - 1e-4)).collect();
    let yes: f64 = weighed.iter().zip(&chances).map(|((_, p), c)| p / total * c).sum();
    let mut worth = 0.0;
    let mut about = Vec::new();
    for ((id, p), chance) in weighed.iter().zip(&chances) {
        let told =
            chance * (chance / yes).ln() + (1.0 - chance) * ((1.0 - chance) / (1.0 - yes)).ln();
        let weight = if situation.dangerous(*id) { DANGER } else { 1.0 };
        worth += p / total * weight * told;
        if (chance / yes).ln() >= ABOUT_MIN {
            about.push(*id);
        }
    }
    about.truncate(ABOUT_MAX);
    Question { finding, worth: narrow(worth * ease), about }
}

#[cfg(test)]
#[path = "interview_tests.rs"]
mod tests;

/// How readily a question of this kind is answered in a village clinic, 0 (not at all) to 1.
fn ease(finding: &Finding) -> f64 {
    match finding.kind {
        FindingKind::Symptom => 1.0,
        FindingKind::History | FindingKind::Exposure => 0.9,
        FindingKind::Sign | FindingKind::Vital => 0.75,
        FindingKind::Medicine => 0.6,
        FindingKind::Test | FindingKind::Diagnosis | FindingKind::Course => 0.0,
    }
}

/// The question in Chinese, as a doctor would put it to a patient or to himself.
pub fn wording(finding: &Finding) -> String {
    let name = &finding.name_zh;
    match finding.kind {
        FindingKind::Symptom => format!("有没有{name}？"),
        FindingKind::Sign => format!("检查一下，有没有{name}？"),
        FindingKind::Vital => format!("量一量，是否{name}？"),
        FindingKind::History => format!("以前是否有{name}？"),
        FindingKind::Exposure => format!("发病前是否有{name}？"),
        FindingKind::Medicine => format!("是否在用：{name}？"),
        FindingKind::Test | FindingKind::Diagnosis | FindingKind::Course => {
            format!("是否{name}？")
        }
    }
}
