//! Dates of searches (R4, 3.1.1.5.4): a prefix and a date or time as precisely as it is said.

use jiff::civil::{Date, DateTime};
use jiff::tz::Offset;
use jiff::{SignedDuration, Timestamp};

use crate::app::records::references::ports::Span;
use crate::sharing::discharge::Moment;

/// Dates without a zone are China's.
const CHINA: Offset = Offset::constant(8);

/// What a value stands for; none if it is no date, or has a prefix that is not supported (`ne`, `ap`).
pub(super) fn span(value: &str) -> Option<Span> {
    // A plus sign that was not encoded is a space by now.
    let value = value.trim().replace(' ', "+");
    let letters = value.bytes().take_while(u8::is_ascii_lowercase).count();
    let (prefix, date) = value.split_at_checked(letters)?;
    let (first, next) = bounds(date)?;
    let always = Span::default();
    Some(match prefix {
        "" | "eq" => Span { from_ms: first, before_ms: next },
        "gt" | "sa" => Span { from_ms: next, ..always },
        "ge" => Span { from_ms: first, ..always },
        "lt" | "eb" => Span { before_ms: first, ..always },
        "le" => Span { before_ms: next, ..always },
        _ => return None,
    })
}

/// The first millisecond of a date or time, and the first after it.
fn bounds(date: &str) -> Option<(i64, i64)> {
    Moment::iso(date).ok()?;
    let Some((day, time)) = date.split_once('T') else {
        let (first, next) = days(date)?;
        return Some((at(first.into(), CHINA)?, at(next.into(), CHINA)?));
    };
    let zoned = time.ends_with('Z') || time.contains(['+', '-']);
    let clock = time.split(['Z', '+', '-']).next()?;
    let zone = time.get(clock.len()..).unwrap_or_default();
    let zone = if zoned { zone } else { "+08:00" };
    let seconds = if clock.len() == 5 { format!("{clock}:00") } else { clock.to_owned() };
    let first: Timestamp = format!("{day}T{seconds}{zone}").parse().ok()?;
    let precise = match clock.len() {
        5 => SignedDuration::from_secs(60),
        8 => SignedDuration::from_secs(1),
        _ => SignedDuration::from_millis(1),
    };
    let next = first.checked_add(precise).ok()?;
    Some((first.as_millisecond(), next.as_millisecond()))
}

/// The first day of a year, month or day, and the first after it.
fn days(date: &str) -> Option<(Date, Date)> {
    let span = match date.len() {
        4 => jiff::Span::new().years(1),
        7 => jiff::Span::new().months(1),
        _ => jiff::Span::new().days(1),
    };
    let first = Moment::iso(date).ok()?.first_day()?;
    Some((first, first.checked_add(span).ok()?))
}

fn at(time: DateTime, offset: Offset) -> Option<i64> {
    Some(offset.to_timestamp(time).ok()?.as_millisecond())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ms(time: &str) -> i64 {
        time.parse::<Timestamp>().unwrap().as_millisecond()
    }

    #[test]
    fn a_date_stands_for_all_of_it_and_a_prefix_for_what_is_beside_it() {
        let (day, next) = (ms("2026-11-29T00:00:00+08:00"), ms("2026-11-30T00:00:00+08:00"));
        let ever = Span::default();
        for (value, from_ms, before_ms) in [
            ("2026-11-29", day, next),
            ("eq2026-11-29", day, next),
            ("gt2026-11-29", next, ever.before_ms),
            ("sa2026-11-29", next, ever.before_ms),
            ("ge2026-11-29", day, ever.before_ms),
            ("lt2026-11-29", ever.from_ms, day),
            ("eb2026-11-29", ever.from_ms, day),
            ("le2026-11-29", ever.from_ms, next),
            ("2026-11", ms("2026-11-01T00:00:00+08:00"), ms("2026-12-01T00:00:00+08:00")),
            ("2026", ms("2026-01-01T00:00:00+08:00"), ms("2027-01-01T00:00:00+08:00")),
            ("2026-11-29T10:30", ms("2026-11-29T02:30:00Z"), ms("2026-11-29T02:31:00Z")),
            ("2026-11-29T02:30:00Z", ms("2026-11-29T02:30:00Z"), ms("2026-11-29T02:30:01Z")),
            ("2026-11-29T10:30:00 08:00", ms("2026-11-29T02:30:00Z"), ms("2026-11-29T02:30:01Z")),
            (
                "2026-11-29T02:30:00.5Z",
                ms("2026-11-29T02:30:00.5Z"),
                ms("2026-11-29T02:30:00.501Z"),
            ),
        ] {
            assert_eq!(span(value), Some(Span { from_ms, before_ms }), "{value}");
        }
        for bad in [
            "",
            "ge",
            "2026-02-30",
            "2026-13",
            "ne2026",
            "ap2026",
            "29.11.2026",
            "2026-11-29T25:00",
        ] {
            assert_eq!(span(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_span_or_none(text in "\\PC{0,40}", near in "[a-z]{0,3}[0-9T:+.Z -]{0,30}") {
            for value in [text, near] {
                if let Some(span) = span(&value) {
                    prop_assert!(span.from_ms < span.before_ms);
                }
            }
        }
    }
}
