//! Reading what a village doctor types: findings, negation, duration, degree and measured values
//! out of a few lines of Chinese.
//!
//! The work is done in three steps, each linear in the length of the text: the folded text is
//! cut into tokens (`tokens`: dictionary words first, longest match, then cues, numbers and
//! punctuation), wordings that another word splits are joined (头**有点**痛), and one pass over
//! the tokens decides what each finding means (`assemble`). No step guesses: what matched
//! nothing is handed back as [`Unread`], and a value no living patient has as [`Implausible`].
//! Deliberately absent: spelling correction, statistics, and anything medical; the words come
//! from the vocabulary, the language from `cues.csv`.

mod assemble;
mod composed;
mod cues;
mod cursor;
mod effects;
mod lexicon;
mod measures;
mod mind;
mod numbers;
mod tokens;

use std::ops::Range;

pub use cues::{CUES, Cues};
pub use numbers::TimeUnit;

use crate::medicine::patient::{Measure, Vitals};
use crate::medicine::vocabulary::{FindingId, Vocabulary};
use crate::tables::files::LoadError;
use crate::tables::text::Folded;

/// Whether a finding is said to be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Presence {
    /// Said to be there.
    Present,
    /// Said not to be there.
    Absent,
    /// Mentioned as possible, asked about, or negated in a way that can be read two ways.
    Uncertain,
}

/// How strong a finding is said to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Degree {
    /// 轻微
    Mild,
    /// 明显, or growing worse.
    Moderate,
    /// 剧烈
    Severe,
}

/// Who has the finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Experiencer {
    /// The patient.
    Patient,
    /// A relative, a classmate, somebody the patient met.
    Other,
}

/// For how long a finding has lasted.
#[derive(Debug, Clone, PartialEq)]
pub struct Duration {
    /// Shortest reading of the words, in days (a month counts 30, a year 365).
    pub least_days: f32,
    /// Longest reading of the words, in days.
    pub most_days: f32,
    /// Unit the words use.
    pub unit: TimeUnit,
    /// Where it stands, in bytes of the original text.
    pub span: Range<usize>,
    /// The words as written.
    pub words: String,
}

/// One mention of a finding.
#[derive(Debug, Clone, PartialEq)]
pub struct Mention {
    /// The finding.
    pub finding: FindingId,
    /// Whether it is there.
    pub presence: Presence,
    /// Where it stands, in bytes of the original text.
    pub span: Range<usize>,
    /// The words as written.
    pub words: String,
    /// For how long, where said.
    pub duration: Option<Duration>,
    /// How strong, where said.
    pub degree: Option<Degree>,
    /// Who has it.
    pub experiencer: Experiencer,
    /// Said of the time before this illness.
    pub past: bool,
    /// Said to be over by now; still part of this illness (a palsy that lasted an hour).
    pub resolved: bool,
}

/// When a value was measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MeasuredAt {
    /// Now, as far as the text says.
    Now,
    /// The highest value during this illness.
    Peak,
    /// In the past.
    Past,
}

/// One measured value.
#[derive(Debug, Clone, PartialEq)]
pub struct Measurement {
    /// What was measured.
    pub measure: Measure,
    /// The value, in the unit of `measure`; of a range the worse end.
    pub value: f32,
    /// When.
    pub at: MeasuredAt,
    /// Whose.
    pub experiencer: Experiencer,
    /// Where it stands, in bytes of the original text, label included.
    pub span: Range<usize>,
}

/// A value that no living patient can have; read, reported, not used.
#[derive(Debug, Clone, PartialEq)]
pub struct Implausible {
    /// What the text says was measured.
    pub measure: Measure,
    /// The value as written.
    pub value: f32,
    /// Where it stands, in bytes of the original text.
    pub span: Range<usize>,
}

/// A part of the text that carries content and matched nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unread {
    /// Where it stands, in bytes of the original text.
    pub span: Range<usize>,
    /// The words as written.
    pub words: String,
}

/// What a text says. Every list is in the order of the text; spans are byte ranges of the
/// original text on character boundaries.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Reading {
    /// Mentions of findings.
    pub mentions: Vec<Mention>,
    /// Measured values.
    pub measurements: Vec<Measurement>,
    /// Content that matched nothing.
    pub unread: Vec<Unread>,
    /// Values that cannot be.
    pub implausible: Vec<Implausible>,
}

/// Reads clinical Chinese. Built once; reading takes `&self` and is deterministic.
#[derive(Debug, Clone)]
pub struct Reader {
    lexicon: lexicon::Lexicon,
}

impl Reading {
    /// The patient's present values, the last one of each measure.
    pub fn vitals(&self) -> Vitals {
        self.vitals_at(MeasuredAt::Now)
    }

    /// The patient's values of one time, the last one of each measure.
    pub fn vitals_at(&self, at: MeasuredAt) -> Vitals {
        let mut vitals = Vitals::default();
        for measurement in &self.measurements {
            if measurement.at == at && measurement.experiencer == Experiencer::Patient {
                *vitals.get_mut(measurement.measure) = Some(measurement.value);
            }
        }
        vitals
    }
}

impl Reader {
    /// Compiles the words of `vocabulary` and the cues.
    pub fn new(vocabulary: &Vocabulary, cues: &Cues) -> Result<Self, LoadError> {
        Ok(Self { lexicon: lexicon::Lexicon::new(vocabulary, cues)? })
    }

    /// Reads `text` (any text, up to 4 GiB) in time linear in its length.
    pub fn read(&self, text: &str) -> Reading {
        self.read_counting(text).0
    }

    /// Reads and tells how many tokens were made and how many steps back were taken.
    fn read_counting(&self, text: &str) -> (Reading, usize) {
        let folded = Folded::new(text);
        let tokens = tokens::tokenise(&self.lexicon, &folded.text);
        let tokens = tokens::join_split(&self.lexicon, &folded.text, tokens);
        assemble::assemble(&self.lexicon, text, &folded, &tokens)
    }
}

#[cfg(test)]
mod tests;
