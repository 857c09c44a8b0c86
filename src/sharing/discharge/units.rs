//! Units of time.

/// Days in a month and in a year where only their number is said, as pharmacies count.
const MONTH: f64 = 30.0;
const YEAR: f64 = 365.0;

/// A unit of time, UCUM or as written in Chinese and English, as so many days (first number) of which so
/// many make them (second): an hour is one day of which 24 make it. Whole numbers, so that what is
/// written in hours is read back to the last digit.
fn ratio(unit: &str) -> Option<(f64, f64)> {
    Some(match unit.trim() {
        "s" | "秒" => (1.0, 86_400.0),
        "min" | "分" | "分钟" | "minute" | "minutes" => (1.0, 1440.0),
        "h" | "hr" | "小时" | "hour" | "hours" => (1.0, 24.0),
        "d" | "天" | "日" | "day" | "days" => (1.0, 1.0),
        "wk" | "周" | "星期" | "week" | "weeks" => (7.0, 1.0),
        "mo" | "mo_g" | "mo_j" | "mo_s" | "月" | "个月" | "month" | "months" => (MONTH, 1.0),
        "a" | "a_g" | "a_j" | "a_t" | "年" | "year" | "years" => (YEAR, 1.0),
        _ => return None,
    })
}

/// Days in one of a unit of time. None for anything else.
pub(super) fn days(unit: &str) -> Option<f64> {
    ratio(unit).map(|(days, parts)| days / parts)
}

/// How often something is in a day that is once in so many of a unit of time.
pub(super) fn times_per_day(every: f64, unit: &str) -> Option<f64> {
    let (days, parts) = ratio(unit)?;
    (every > 0.0).then(|| parts / days / every)
}
