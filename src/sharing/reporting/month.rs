//! A month of the calendar in Shanghai's time (UTC+8 all year).

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use jiff::civil::{Date, date};
use jiff::tz::Offset;
use serde::{Deserialize, Serialize};

/// Milliseconds of an hour and of a day.
pub const HOUR_MS: i64 = 3_600_000;
/// See [`HOUR_MS`].
pub const DAY_MS: i64 = 24 * HOUR_MS;
/// How far Shanghai is ahead of UTC.
const SHANGHAI: Offset = Offset::constant(8);
/// Years that a month can be of: before there was nothing to report, and later is a wrong clock.
const YEARS: std::ops::RangeInclusive<i16> = 2020..=2199;

/// A month. Months are in order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Month {
    year: i16,
    month: i8,
}

/// Text that names no month.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a month such as 2026-10, from 2020-01 to 2199-12")]
pub struct NoMonth;

impl Month {
    /// The month of a year.
    pub fn new(year: i16, month: i8) -> Result<Self, NoMonth> {
        if YEARS.contains(&year) && (1..=12).contains(&month) {
            Ok(Self { year, month })
        } else {
            Err(NoMonth)
        }
    }

    /// The month in which a moment lies; none outside of the years that are known.
    pub fn of_ms(ms: i64) -> Option<Self> {
        let day = SHANGHAI.to_datetime(Timestamp::from_millisecond(ms).ok()?).date();
        Self::new(day.year(), day.month()).ok()
    }

    /// All months of a year.
    pub fn of_year(year: i16) -> Result<Vec<Self>, NoMonth> {
        (1..=12).map(|month| Self::new(year, month)).collect()
    }

    /// The year.
    pub fn year(self) -> i16 {
        self.year
    }

    /// The month, from 1.
    pub fn month(self) -> i8 {
        self.month
    }

    /// Its first day.
    pub fn first_day(self) -> Date {
        date(self.year, self.month, 1)
    }

    /// The day after its last.
    pub fn day_after(self) -> Date {
        match self.month {
            12 => date(self.year + 1, 1, 1),
            month => date(self.year, month + 1, 1),
        }
    }

    /// When it begins, in milliseconds since 1970.
    pub fn start_ms(self) -> i64 {
        midnight_ms(self.first_day())
    }

    /// When the next one begins.
    pub fn end_ms(self) -> i64 {
        midnight_ms(self.day_after())
    }

    /// When the figures of this month are drawn up: at the end of that day of the next month.
    pub fn cut_off_ms(self, day: u8) -> i64 {
        self.end_ms() + i64::from(day) * DAY_MS
    }

    /// The month after it; the last one that is known has none.
    pub fn next(self) -> Option<Self> {
        let day = self.day_after();
        Self::new(day.year(), day.month()).ok()
    }

    /// The month before it.
    pub fn previous(self) -> Option<Self> {
        match self.month {
            1 => Self::new(self.year - 1, 12).ok(),
            month => Self::new(self.year, month - 1).ok(),
        }
    }

    /// So many months, of which this is the last; fewer where the calendar begins.
    pub fn back(self, count: usize) -> Vec<Self> {
        let mut months: Vec<Self> =
            std::iter::successors(Some(self), |month| month.previous()).take(count).collect();
        months.reverse();
        months
    }
}

/// When a day begins in Shanghai.
pub fn midnight_ms(day: Date) -> i64 {
    let at = SHANGHAI.to_timestamp(day.at(0, 0, 0, 0));
    at.map_or(i64::MAX, Timestamp::as_millisecond)
}

/// The day in Shanghai on which a moment lies; empty for a moment that no calendar has.
pub fn day_of_ms(ms: i64) -> Option<Date> {
    Some(SHANGHAI.to_datetime(Timestamp::from_millisecond(ms).ok()?).date())
}

/// Date and minute in Shanghai, for people.
pub fn minute_of_ms(ms: i64) -> String {
    let Ok(at) = Timestamp::from_millisecond(ms) else { return String::new() };
    let at = SHANGHAI.to_datetime(at);
    let (day, hour, minute) = (at.date(), at.hour(), at.minute());
    format!("{day} {hour:02}:{minute:02}")
}

impl fmt::Display for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}", self.year, self.month)
    }
}

impl fmt::Debug for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Month {
    type Err = NoMonth;

    fn from_str(text: &str) -> Result<Self, NoMonth> {
        let (year, month) = text.split_once('-').ok_or(NoMonth)?;
        let digits = |part: &str, len: usize| {
            part.len() == len && part.bytes().all(|byte| byte.is_ascii_digit())
        };
        if !digits(year, 4) || !digits(month, 2) {
            return Err(NoMonth);
        }
        Self::new(year.parse().map_err(|_| NoMonth)?, month.parse().map_err(|_| NoMonth)?)
    }
}

impl TryFrom<String> for Month {
    type Error = NoMonth;

    fn try_from(text: String) -> Result<Self, NoMonth> {
        text.parse()
    }
}

impl From<Month> for String {
    fn from(month: Month) -> Self {
        month.to_string()
    }
}
