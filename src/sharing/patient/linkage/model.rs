//! Fields, levels, and what a pattern of levels weighs.

use std::fmt;

/// Fields of a model at most.
pub const FIELDS_MAX: usize = 16;
/// Levels of a field at most.
const LEVELS_MAX: usize = 32;
/// How far the probabilities of a field's levels may add up to something else than one.
const SUM_TOLERANCE: f64 = 0.002;

/// One level of agreement of a field.
#[derive(Debug, Clone, PartialEq)]
pub struct Level {
    /// Stable name.
    pub id: String,
    /// What a person reads.
    pub zh: String,
    /// Probability of this level between two records of one person, neither lacking the field.
    pub m: f64,
    /// Probability of this level between records of two persons drawn by chance.
    pub u: f64,
}

impl Level {
    /// What the level says for (or, negative, against) one person, in bits: log2(m / u).
    pub fn bits(&self) -> f64 {
        (self.m / self.u).log2()
    }
}

/// One field that is compared.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    /// Stable name.
    pub id: String,
    /// What a person reads.
    pub zh: String,
    /// Levels, the closest first. The last is the level of everything else.
    pub levels: Vec<Level>,
}

/// Why a set of fields is no model.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ModelError {
    /// There is no field, or more than [`FIELDS_MAX`].
    #[error("a model has 1 to {FIELDS_MAX} fields")]
    Fields,
    /// A field has fewer than two levels, or too many.
    #[error("field `{0}` needs 2 to {LEVELS_MAX} levels")]
    Levels(String),
    /// A probability is zero, over one, or not a number.
    #[error("field `{0}`: a probability must be over 0 and at most 1")]
    Probability(String),
    /// The m or the u of a field do not add up to one.
    #[error("field `{0}`: the probabilities of its levels must add up to 1")]
    Sum(String),
}

/// Fields with their levels. Probabilities are over 0, and of each field add up to 1.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    fields: Vec<Field>,
}

/// One level a field, or none where a record lacks the field.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pattern([u8; FIELDS_MAX]);

/// What a pattern weighs, with its parts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PatternWeight {
    /// Sum over the fields, in bits.
    pub bits: f64,
    /// Of each field, in bits; zero where one record lacks it.
    pub parts: [f64; FIELDS_MAX],
}

const MISSING: u8 = u8::MAX;

impl Pattern {
    /// No field is compared yet.
    pub const fn new() -> Self {
        Self([MISSING; FIELDS_MAX])
    }

    /// Sets the level of a field. A field or level beyond the limits is left out.
    #[must_use]
    pub fn with(mut self, field: usize, level: Option<usize>) -> Self {
        let level = level.and_then(|level| u8::try_from(level).ok()).unwrap_or(MISSING);
        if let Some(place) = self.0.get_mut(field) {
            *place = level;
        }
        self
    }

    /// The level of a field, unless a record lacks it.
    pub fn level(&self, field: usize) -> Option<usize> {
        self.0.get(field).filter(|level| **level != MISSING).map(|level| usize::from(*level))
    }
}

impl Default for Pattern {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries((0..FIELDS_MAX).map(|field| self.level(field))).finish()
    }
}

impl Model {
    /// A model of `fields`, checked.
    pub fn new(fields: Vec<Field>) -> Result<Self, ModelError> {
        if fields.is_empty() || fields.len() > FIELDS_MAX {
            return Err(ModelError::Fields);
        }
        for field in &fields {
            if !(2..=LEVELS_MAX).contains(&field.levels.len()) {
                return Err(ModelError::Levels(field.id.clone()));
            }
            let fits = |p: f64| p > 0.0 && p <= 1.0;
            if !field.levels.iter().all(|level| fits(level.m) && fits(level.u)) {
                return Err(ModelError::Probability(field.id.clone()));
            }
            let one = |sum: f64| (sum - 1.0).abs() <= SUM_TOLERANCE;
            let (m, u): (f64, f64) =
                field.levels.iter().fold((0.0, 0.0), |(m, u), level| (m + level.m, u + level.u));
            if !one(m) || !one(u) {
                return Err(ModelError::Sum(field.id.clone()));
            }
        }
        Ok(Self { fields })
    }

    /// The fields.
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// The number of a field in patterns.
    pub fn field(&self, id: &str) -> Option<usize> {
        self.fields.iter().position(|field| field.id == id)
    }

    /// A level of a field.
    pub fn level(&self, field: usize, level: usize) -> Option<&Level> {
        self.fields.get(field).and_then(|field| field.levels.get(level))
    }

    /// What a pattern weighs. `adjust` is asked for each compared field for bits to add, such as
    /// those of a value that is rarer or commoner than most.
    pub fn weigh(&self, pattern: &Pattern, adjust: impl Fn(usize, &Level) -> f64) -> PatternWeight {
        let mut weight = PatternWeight { bits: 0.0, parts: [0.0; FIELDS_MAX] };
        for (number, (field, part)) in self.fields.iter().zip(&mut weight.parts).enumerate() {
            let Some(level) = pattern.level(number).and_then(|level| field.levels.get(level))
            else {
                continue;
            };
            *part = level.bits() + adjust(number, level);
            weight.bits += *part;
        }
        weight
    }

    /// The most that any pattern weighs, in bits, without adjustments.
    pub fn bits_max(&self) -> f64 {
        let best = |field: &Field| field.levels.iter().map(Level::bits).fold(0.0, f64::max);
        self.fields.iter().map(best).sum()
    }
}
