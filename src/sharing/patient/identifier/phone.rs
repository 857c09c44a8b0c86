//! Telephone numbers of the mainland, in one form.

use std::fmt;

use super::{is_filler, plain};
use crate::sharing::patient::problem::ProblemKind;

/// A telephone number: 11 digits of a mobile, or a land line with its area code if it was written.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Phone(String);

impl fmt::Debug for Phone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Phone").finish_non_exhaustive()
    }
}

impl Phone {
    /// Reads the first number of what was written; `Ok(None)` if it only fills the form
    /// (13800000000, 12345678). Country code, separators and extensions are dropped.
    pub fn parse(written: &str) -> Result<Option<Self>, ProblemKind> {
        // Before white space goes, since a space may stand between two numbers.
        let first = written
            .trim_start()
            .trim_start_matches(['(', '（'])
            .split(['/', '／', ',', '，', '、', ';', '；', '转', '(', '（'])
            .map(plain)
            .find(|part| part.chars().any(|c| c.is_ascii_digit()));
        let Some(first) = first else {
            return if plain(written).is_empty() { Ok(None) } else { Err(ProblemKind::Characters) };
        };
        let bare: String = first
            .chars()
            .filter(|c| !matches!(c, '-' | '\u{2010}'..='\u{2015}' | '.' | ')' | '~'))
            .collect();
        let bare = bare.strip_prefix('+').unwrap_or(&bare);
        if !bare.chars().all(|c| c.is_ascii_digit()) {
            return Err(ProblemKind::Characters);
        }
        // Two mobile numbers with nothing but a space between them.
        let bare = match bare.get(..11) {
            Some(mobile) if bare.len() == 22 && is_mobile(mobile) => mobile,
            _ => bare,
        };
        let national = national(bare);
        if is_placeholder(&national) {
            return Ok(None);
        }
        let land_line = match national.strip_prefix('0') {
            // Area codes have 2 or 3 digits after the 0, numbers 7 or 8.
            Some(rest) => (9..=11).contains(&rest.len()) && !rest.starts_with('0'),
            None => (7..=8).contains(&national.len()) && !national.starts_with('1'),
        };
        if is_mobile(&national) || land_line {
            Ok(Some(Self(national)))
        } else {
            Err(ProblemKind::Characters)
        }
    }

    /// The digits.
    pub fn number(&self) -> &str {
        &self.0
    }
}

fn is_mobile(digits: &str) -> bool {
    digits.len() == 11
        && digits.starts_with('1')
        && digits.as_bytes().get(1).is_some_and(|second| (b'3'..=b'9').contains(second))
}

/// Without the country code; a land line behind it gets its 0 back.
fn national(digits: &str) -> String {
    let rest = digits.strip_prefix("0086").or_else(|| {
        digits.strip_prefix("86").filter(|rest| is_mobile(rest) || (9..=11).contains(&rest.len()))
    });
    match rest {
        Some(rest) if is_mobile(rest) || rest.starts_with('0') => rest.to_owned(),
        Some(rest) => format!("0{rest}"),
        // Mobile numbers used to be dialled with a 0 before them.
        None => match digits.strip_prefix('0') {
            Some(rest) if is_mobile(rest) => rest.to_owned(),
            _ => digits.to_owned(),
        },
    }
}

fn is_placeholder(digits: &str) -> bool {
    let tail = |n: usize| digits.len().checked_sub(n).and_then(|from| digits.get(from..));
    is_filler(digits)
        || tail(8)
            .is_some_and(|tail| digits.len() == 11 && is_filler(tail) && tail.starts_with('0'))
        || "1234567890123".starts_with(digits)
        || ["12345678900", "12345678910", "12345678911", "13123456789"].contains(&digits)
}
