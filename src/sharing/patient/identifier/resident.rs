//! The resident ID number (公民身份号码) of GB 11643: six digits of region, eight of birth date, three
//! of sequence whose last is odd for men, and a check character by ISO 7064 MOD 11-2.
//!
//! The numbers of 15 digits that were issued before 1999 lack the century and the check character;
//! they are written out with the 20th century. Residence permits for people of Hong Kong, Macao and
//! Taiwan and the newer permanent residence cards of foreigners have the same form.

use std::fmt;

use jiff::civil::Date;

use super::plain;
use crate::sharing::patient::person::Sex;
use crate::sharing::patient::problem::ProblemKind;

/// A resident ID number whose check character and birth date hold.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ResidentId {
    number: String,
    upgraded: bool,
}

impl fmt::Debug for ResidentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResidentId").field("upgraded", &self.upgraded).finish_non_exhaustive()
    }
}

impl ResidentId {
    /// Reads a number of 18 or 15 characters. Whether its region exists is for who has the table.
    pub fn parse(written: &str) -> Result<Self, ProblemKind> {
        let text: String = plain(written)
            .chars()
            .filter(|c| !matches!(c, '-' | '\u{2010}'..='\u{2015}'))
            // A Cyrillic or Greek look-alike, or a multiplication sign, for the x.
            .map(|c| if matches!(c, 'x' | '×' | 'Х' | 'х' | 'Χ' | 'χ') { 'X' } else { c })
            .collect();
        if text.is_empty() {
            return Err(ProblemKind::Empty);
        }
        let (number, upgraded) = match text.chars().count() {
            18 => (text, false),
            15 => (upgrade(&text)?, true),
            _ => return Err(ProblemKind::Length),
        };
        let (digits, last) = number.split_at_checked(17).ok_or(ProblemKind::Characters)?;
        let expected = check_digit(digits).ok_or(ProblemKind::Characters)?;
        let found = last.chars().next().ok_or(ProblemKind::Length)?;
        if !found.is_ascii_digit() && found != 'X' {
            return Err(ProblemKind::Characters);
        }
        let read = Self { number, upgraded };
        if read.date().is_none() {
            return Err(ProblemKind::NoSuchDate);
        }
        if found != expected {
            return Err(ProblemKind::CheckDigit);
        }
        Ok(read)
    }

    /// The number in 18 characters.
    pub fn number(&self) -> &str {
        &self.number
    }

    /// Whether it was written in 15 digits, so that century and check character are ours.
    pub fn upgraded(&self) -> bool {
        self.upgraded
    }

    /// The birth date in it.
    pub fn birth_date(&self) -> Date {
        self.date().unwrap_or(Date::MIN)
    }

    fn date(&self) -> Option<Date> {
        let part = |from: usize, to: usize| self.number.get(from..to);
        let year: i16 = part(6, 10)?.parse().ok()?;
        let month: i8 = part(10, 12)?.parse().ok()?;
        let day: i8 = part(12, 14)?.parse().ok()?;
        (year >= 1800).then_some(())?;
        Date::new(year, month, day).ok()
    }

    /// The sex in it.
    pub fn sex(&self) -> Sex {
        let sequence = self.number.as_bytes().get(16).copied().unwrap_or_default();
        if sequence % 2 == 1 { Sex::Male } else { Sex::Female }
    }

    /// The six digits of the region that first issued it.
    pub fn region(&self) -> &str {
        self.number.get(..6).unwrap_or_default()
    }
}

fn upgrade(old: &str) -> Result<String, ProblemKind> {
    if !old.chars().all(|c| c.is_ascii_digit()) {
        return Err(ProblemKind::Characters);
    }
    let (region, rest) = old.split_at_checked(6).ok_or(ProblemKind::Characters)?;
    let digits = format!("{region}19{rest}");
    let check = check_digit(&digits).ok_or(ProblemKind::Characters)?;
    Ok(format!("{digits}{check}"))
}

/// The check character of 17 digits by ISO 7064 MOD 11-2; none for anything else.
pub fn check_digit(digits: &str) -> Option<char> {
    if digits.len() != 17 {
        return None;
    }
    // Horner's scheme with radix 2: the remainder that is left makes the sum 1 modulo 11.
    let mut sum = 0;
    for c in digits.chars() {
        sum = (sum + c.to_digit(10)?) * 2 % 11;
    }
    match (12 - sum) % 11 {
        10 => Some('X'),
        check => char::from_digit(check, 10),
    }
}
