//! The four comparisons that tables use.

use serde::Deserialize;

/// How a value is compared with a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
pub enum Comparison {
    /// At or above the limit.
    #[serde(rename = ">=")]
    AtLeast,
    /// Above the limit.
    #[serde(rename = ">")]
    Above,
    /// At or below the limit.
    #[serde(rename = "<=")]
    AtMost,
    /// Below the limit.
    #[serde(rename = "<")]
    Below,
}

impl Comparison {
    /// Whether `value` compares with `limit` in this way; a NaN never does.
    pub fn holds(self, value: f32, limit: f32) -> bool {
        match self {
            Self::AtLeast => value >= limit,
            Self::Above => value > limit,
            Self::AtMost => value <= limit,
            Self::Below => value < limit,
        }
    }

    /// The sign used in tables.
    pub fn sign(self) -> &'static str {
        match self {
            Self::AtLeast => ">=",
            Self::Above => ">",
            Self::AtMost => "<=",
            Self::Below => "<",
        }
    }

    /// Splits `name op number` at the sign; `None` where there is no sign.
    pub(crate) fn split(text: &str) -> Option<(&str, Self, &str)> {
        // Two-character signs first: `>=` begins with `>`.
        [Self::AtLeast, Self::AtMost, Self::Above, Self::Below].into_iter().find_map(|sign| {
            let (left, right) = text.split_once(sign.sign())?;
            Some((left.trim(), sign, right.trim()))
        })
    }
}
