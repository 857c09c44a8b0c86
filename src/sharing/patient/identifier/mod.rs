//! Numbers that people are known by: resident ID, health card, telephone.
//!
//! They are read leniently (full width, spaces, a lower-case x, country codes) and checked strictly.
//! None of the types prints its number in `Debug`.

mod card;
mod phone;
mod resident;

pub use card::HealthCard;
pub use phone::Phone;
pub use resident::{ResidentId, check_digit};

#[cfg(test)]
mod tests;

/// Characters of a written number that are looked at.
const WRITTEN_CHARS_MAX: usize = 256;

/// Half-width form without white space, invisible characters and the marks that people set between
/// groups of digits.
fn plain(written: &str) -> String {
    use unicode_normalization::UnicodeNormalization as _;
    written
        .chars()
        .take(WRITTEN_CHARS_MAX)
        .nfkc()
        .filter(|c| !c.is_whitespace() && !super::name::is_invisible(*c))
        .collect()
}

/// Whether a number is only there to fill a form: one character over and over.
fn is_filler(number: &str) -> bool {
    let mut chars = number.chars();
    let first = chars.next();
    first.is_none() || chars.all(|c| Some(c) == first)
}
