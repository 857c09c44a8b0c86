//! Dates and times as DICOM writes them (DA, TM, DT; PS3.5, 6.2), brought to one form in which the
//! order of the text is the order in time.

/// Digits of a fraction of a second.
const FRACTION_DIGITS: usize = 6;
/// Fraction of a time that is a whole second.
const NO_FRACTION: &str = ".000000";

/// A date and time with what is known of its offset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DateTime {
    /// `YYYYMMDD`; a month or day that is not given is the first.
    pub date: String,
    /// `HHMMSS.FFFFFF`; what is not given is zero.
    pub time: String,
    /// Minutes east of UTC, if given.
    pub offset_minutes: Option<i16>,
}

/// `YYYYMMDD` from a date as DICOM (`YYYYMMDD`), ACR-NEMA (`YYYY.MM.DD`) or others (`YYYY-MM-DD`,
/// `YYYY/MM/DD`) write it. None if it is no day of the calendar.
pub fn date(text: &str) -> Option<String> {
    let text = text.trim_matches([' ', '\0']);
    let bytes = text.as_bytes();
    let digits: String = match bytes.len() {
        8 => text.to_owned(),
        10 => {
            let separator = *bytes.get(4)?;
            let separated =
                matches!(separator, b'.' | b'-' | b'/') && bytes.get(7) == Some(&separator);
            separated.then(|| {
                [text.get(..4), text.get(5..7), text.get(8..)].into_iter().flatten().collect()
            })?
        }
        _ => return None,
    };
    is_date(&digits).then_some(digits)
}

/// `HHMMSS.FFFFFF` from `HH`, `HHMM`, `HHMMSS`, `HHMMSS.F` to `.FFFFFF`, also with colons: the
/// earliest time that it can mean. None if it is no time of day.
pub fn time(text: &str) -> Option<String> {
    Some(span(text)?.0)
}

/// The earliest and the latest time that a time means: `1015` is from `101500.000000` to
/// `101559.999999`. None if it is no time of day.
pub fn span(text: &str) -> Option<(String, String)> {
    let text = text.trim_matches([' ', '\0']);
    let (clock, fraction) = text.split_once('.').unwrap_or((text, ""));
    let clock = without_colons(clock)?;
    if clock.len() != 6 && text.contains('.') || text.ends_with('.') {
        return None;
    }
    let is_fraction = fraction.bytes().all(|b| b.is_ascii_digit());
    let limits = [(clock.get(..2), 23), (clock.get(2..4), 59), (clock.get(4..6), 60)];
    let within = limits.iter().all(|(part, most)| match part {
        Some(part) => part.parse::<u8>().is_ok_and(|n| n <= *most),
        None => true,
    });
    if !is_fraction || !within || !matches!(clock.len(), 2 | 4 | 6) {
        return None;
    }
    let fraction = fraction.get(..FRACTION_DIGITS).unwrap_or(fraction);
    let filled = |rest: &str, digit: &str| {
        let missing = FRACTION_DIGITS.saturating_sub(fraction.len());
        format!(
            "{clock}{}.{fraction}{}",
            rest.get(clock.len()..).unwrap_or(""),
            digit.repeat(missing)
        )
    };
    Some((filled("000000", "0"), filled("235959", "9")))
}

/// A time without a fraction that is zero: how it goes into answers.
pub fn without_zero_fraction(time: &str) -> &str {
    time.strip_suffix(NO_FRACTION).unwrap_or(time)
}

/// Reads a DT value: `YYYYMMDDHHMMSS.FFFFFF&ZZXX` or the beginning of one, with or without offset.
pub fn date_time(text: &str) -> Option<DateTime> {
    let text = text.trim_matches([' ', '\0']);
    let (moment, offset_minutes) = match text.rfind(['+', '-']) {
        Some(at) => (text.get(..at)?, Some(offset(text.get(at..)?)?)),
        None => (text, None),
    };
    let digits = moment.bytes().take_while(u8::is_ascii_digit).count();
    let day = moment.get(..digits.min(8))?;
    let date = match day.len() {
        4 => format!("{day}0101"),
        6 => format!("{day}01"),
        8 => day.to_owned(),
        _ => return None,
    };
    let rest = moment.get(day.len()..)?;
    let time = if rest.is_empty() { time("00")? } else { time(rest)? };
    (is_date(&date) && !rest.contains(':')).then_some(DateTime { date, time, offset_minutes })
}

fn without_colons(clock: &str) -> Option<String> {
    let colons = clock.bytes().filter(|b| *b == b':').count();
    let in_place = clock.bytes().enumerate().all(|(at, b)| (b == b':') == (at % 3 == 2));
    let digits: String = clock.chars().filter(|c| *c != ':').collect();
    let valid = digits.bytes().all(|b| b.is_ascii_digit()) && (colons == 0 || in_place);
    valid.then_some(digits)
}

fn offset(text: &str) -> Option<i16> {
    if text.len() != 5 || !text.bytes().skip(1).all(|b| b.is_ascii_digit()) {
        return None;
    }
    let hours: i16 = text.get(1..3)?.parse().ok()?;
    let minutes: i16 = text.get(3..5)?.parse().ok()?;
    let total = hours.checked_mul(60)?.checked_add(minutes)?;
    (hours <= 14 && minutes < 60).then_some(if text.starts_with('-') { -total } else { total })
}

/// Whether eight digits are a day of the calendar.
fn is_date(digits: &str) -> bool {
    if digits.len() != 8 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return false;
    }
    let part = |range: std::ops::Range<usize>| {
        digits.get(range).and_then(|part| part.parse::<u16>().ok()).unwrap_or(0)
    };
    let (year, month, day) = (part(0..4), part(4..6), part(6..8));
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        _ => 0,
    };
    year > 0 && (1..=days).contains(&day)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{DateTime, date, date_time, span, time, without_zero_fraction};

    #[test]
    fn dates_of_every_age_come_to_one_form() {
        for text in
            ["20240229", "2024.02.29", "2024-02-29", "2024/02/29", "20240229 ", "20240229\0"]
        {
            assert_eq!(date(text).as_deref(), Some("20240229"), "{text}");
        }
        for text in [
            "",
            "2024",
            "20230229",
            "20241301",
            "00000000",
            "2024.02-29",
            "2024x02x29",
            "二〇二四",
            "2024022a",
        ] {
            assert_eq!(date(text), None, "{text}");
        }
    }

    #[test]
    fn times_come_to_one_form_and_know_how_long_they_may_be() {
        for (text, earliest, latest) in [
            ("10", "100000.000000", "105959.999999"),
            ("1015", "101500.000000", "101559.999999"),
            ("10:15", "101500.000000", "101559.999999"),
            ("101530", "101530.000000", "101530.999999"),
            ("10:15:30.5", "101530.500000", "101530.599999"),
            ("101530.123456", "101530.123456", "101530.123456"),
            ("101530.12345678", "101530.123456", "101530.123456"),
            ("235960", "235960.000000", "235960.999999"),
        ] {
            assert_eq!(span(text), Some((earliest.to_owned(), latest.to_owned())), "{text}");
        }
        for text in [
            "", "1", "24", "1060", "101561", "1015.5", "10:1530", ":10", "101530.", "10153",
            "十点", "1a",
        ] {
            assert_eq!(time(text), None, "{text}");
        }
        assert_eq!(without_zero_fraction("101530.000000"), "101530");
        assert_eq!(without_zero_fraction("101530.500000"), "101530.500000");
    }

    #[test]
    fn date_times_may_be_cut_anywhere_and_have_an_offset() {
        let read = |date: &str, time: &str, offset_minutes| {
            Some(DateTime { date: date.to_owned(), time: time.to_owned(), offset_minutes })
        };
        assert_eq!(date_time("2024"), read("20240101", "000000.000000", None));
        assert_eq!(date_time("2024+0800"), read("20240101", "000000.000000", Some(480)));
        assert_eq!(
            date_time("20240229101530.5-0330 "),
            read("20240229", "101530.500000", Some(-210))
        );
        for text in ["", "20240230", "202402291", "2024022910:15", "2024+08", "2024+9900", "+0800"]
        {
            assert_eq!(date_time(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn anything_is_read_and_what_is_read_stays(text in "\\PC{0,20}|[0-9.:+-]{0,20}") {
            date_time(&text);
            if let Some(day) = date(&text) {
                prop_assert_eq!(date(&day), Some(day));
            }
            if let Some((from, to)) = span(&text) {
                prop_assert!(from <= to);
                prop_assert_eq!(time(&from), Some(from));
            }
        }
    }
}
