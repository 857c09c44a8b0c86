//! The number of a health card (居民健康卡, WS 537) or of its electronic form.
//!
//! The standard's text was not at hand: only what any such number fulfils is checked, and the
//! number is brought to one form. Cards that carry the resident ID as their number are common.

use std::fmt;

use super::{is_filler, plain};
use crate::sharing::patient::problem::ProblemKind;

/// Characters of a card number at least and at most; the electronic card has 64.
const CHARS: std::ops::RangeInclusive<usize> = 6..=64;

/// The number of a health card, in capitals and without marks.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct HealthCard(String);

impl fmt::Debug for HealthCard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HealthCard").finish_non_exhaustive()
    }
}

impl HealthCard {
    /// Reads a number; `Ok(None)` if it only fills the form.
    pub fn parse(written: &str) -> Result<Option<Self>, ProblemKind> {
        let text: String = plain(written)
            .chars()
            .filter(|c| !matches!(c, '-' | '\u{2010}'..='\u{2015}' | '/'))
            .map(|c| c.to_ascii_uppercase())
            .collect();
        if is_filler(&text) {
            return Ok(None);
        }
        if !text.chars().all(|c| c.is_ascii_alphanumeric()) {
            return Err(ProblemKind::Characters);
        }
        if !CHARS.contains(&text.len()) {
            return Err(if text.len() > *CHARS.end() {
                ProblemKind::TooLong
            } else {
                ProblemKind::Characters
            });
        }
        Ok(Some(Self(text)))
    }

    /// The number.
    pub fn number(&self) -> &str {
        &self.0
    }
}
