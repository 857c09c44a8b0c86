//! Diagnosis: from what a village doctor typed to a ranked, explained list.
//!
//! Reading the text, gathering the evidence and firing red flags are rules over cited tables;
//! the probabilities come from a model outside this module and only order the list. Nothing the
//! model says can take a red flag away. Deliberately absent: the model and its runtime, and
//! treatment.

pub mod differential;
pub mod evidence;
pub mod interview;
pub mod likelihood;
pub mod prior;
pub mod reading;
pub mod red_flags;
pub mod triage;
pub mod workup;

use likelihood::Likelihoods;
use prior::Priors;
use reading::{Cues, Reader};
use red_flags::RedFlags;
use workup::Workup;

use super::vocabulary::Vocabulary;
use crate::tables::files::{Files, LoadError};

/// Everything that diagnosis knows, loaded once.
#[derive(Debug, Clone)]
pub struct DiagnosisKnowledge {
    /// Findings, conditions and what entails what.
    pub vocabulary: Vocabulary,
    /// Reads text.
    pub reader: Reader,
    /// What must not wait.
    pub red_flags: RedFlags,
    /// How much a finding speaks for a condition.
    pub likelihoods: Likelihoods,
    /// How often a condition is met, here and in this season.
    pub priors: Priors,
    /// What can be tested, and where.
    pub workup: Workup,
}

impl DiagnosisKnowledge {
    /// Loads and checks all tables of `diagnosis/`.
    pub fn load(files: &Files) -> Result<Self, LoadError> {
        let vocabulary = Vocabulary::load(files)?;
        let reader = Reader::new(&vocabulary, &Cues::load(files)?)?;
        let red_flags = RedFlags::load(files, &vocabulary)?;
        let priors = Priors::load(files, &vocabulary)?;
        let likelihoods = Likelihoods::load(files, &vocabulary, &priors)?;
        let workup = Workup::load(files, &vocabulary)?;
        Ok(Self { vocabulary, reader, red_flags, likelihoods, priors, workup })
    }
}

#[cfg(test)]
mod tests;
