//! Dates of a patient, moved together (the intervals stay).

use jiff::ToSpan as _;
use jiff::civil::Date;

/// The day `days` earlier, if there is one.
pub(super) fn back(day: Date, days: u32) -> Option<Date> {
    day.checked_sub(i64::from(days).days()).ok()
}

/// A DICOM date `YYYYMMDD` (or, before 1993, `YYYY.MM.DD`), `days` earlier and in the first form.
pub(super) fn da(text: &str, days: u32) -> Option<String> {
    let plain: String = text.trim().chars().filter(|c| *c != '.').collect();
    let day = day(&plain)?;
    let moved = back(day, days)?;
    Some(digits(moved))
}

/// A DICOM date and time, `days` earlier, as precise as it was: `YYYY[MM[DD[HH[MM[SS[.F]]]]]][&ZZXX]`.
pub(super) fn dt(text: &str, days: u32) -> Option<String> {
    let text = text.trim();
    let stamp_bytes = text.find(['.', '+', '-']).unwrap_or(text.len());
    let (stamp, rest) = text.split_at_checked(stamp_bytes)?;
    let rest_fits = rest.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'+' | b'-'));
    let digits_only = stamp.bytes().all(|b| b.is_ascii_digit());
    if !digits_only
        || !rest_fits
        || !matches!(stamp.len(), 4 | 6 | 8 | 10 | 12 | 14)
        || rest.len() > 12
    {
        return None;
    }
    let (date, clock) = stamp.split_at_checked(stamp.len().min(8))?;
    let whole = match date.len() {
        4 => format!("{date}0701"),
        6 => format!("{date}15"),
        _ => date.to_owned(),
    };
    let moved = digits(back(day(&whole)?, days)?);
    Some(format!("{}{clock}{rest}", moved.get(..date.len())?))
}

/// Whether `text` is a DICOM time: `HH[MM[SS[.F]]]`, or as before 1993 with colons.
pub(super) fn is_time(text: &str) -> bool {
    let plain: String = text.trim().chars().filter(|c| *c != ':').collect();
    let (clock, fraction) = plain.split_once('.').unwrap_or((&plain, ""));
    matches!(clock.len(), 2 | 4 | 6)
        && fraction.len() <= 6
        && clock.bytes().chain(fraction.bytes()).all(|b| b.is_ascii_digit())
}

fn day(digits: &str) -> Option<Date> {
    let fits = digits.len() == 8 && digits.bytes().all(|b| b.is_ascii_digit());
    let part = |from: usize, to: usize| digits.get(from..to).filter(|_| fits);
    let year: i16 = part(0, 4)?.parse().ok()?;
    Date::new(year, part(4, 6)?.parse().ok()?, part(6, 8)?.parse().ok()?).ok()
}

fn digits(day: Date) -> String {
    format!("{:04}{:02}{:02}", day.year(), day.month(), day.day())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_move_together_and_stay_as_precise_as_they_were() {
        assert_eq!(da("20240229", 366).unwrap(), "20230228");
        assert_eq!(da("1997.04.24", 1).unwrap(), "19970423");
        assert_eq!(da("20240230", 1), None);
        assert_eq!(da("", 1), None);
        assert_eq!(dt("20240301120000.123+0800", 1).unwrap(), "20240229120000.123+0800");
        assert_eq!(dt("2024", 366).unwrap(), "2023");
        assert_eq!(dt("202403", 31).unwrap(), "202402");
        assert_eq!(dt("20240301 张三", 1), None);
        assert!(is_time("120000.123456") && is_time("12:00") && !is_time("noon") && !is_time("1"));
    }
}
