//! Days of tasks: adding to a day, days that Chinese words name, and how days are written.

use jiff::ToSpan as _;
use jiff::civil::Date;

use crate::sharing::discharge::Moment;
use crate::tables::text::fold;

/// Longest text that is searched for a day, in characters.
const TEXT_CHARS_MAX: usize = 500;
/// Days that a number before a unit may name at most.
const COUNT_MAX: i64 = 400;

/// `from` and so many days.
pub(super) fn after(from: Date, days: i64) -> Option<Date> {
    from.checked_add(days.checked_abs()?.days()).ok()
}

/// The last day that a moment allows: the day, or the last one of the month. A year alone says
/// no day.
pub(super) fn last_day(moment: &Moment) -> Option<Date> {
    let first = moment.first_day()?;
    match moment.as_str().len() {
        4 => None,
        7 => Some(first.last_of_month()),
        _ => Some(first),
    }
}

/// The day that words like 出院后2周复查, 一月后到门诊复查 or 每3个月复查 name, counted from `from`; the
/// first that the text holds. Only numbers before a unit and 后, 内 or a word of coming again count, so
/// that 术后3天拆线 and 12月2日 do not; what comes again and again counts with its first time.
pub fn relative_due(text: &str, from: Date) -> Option<Date> {
    let text: Vec<char> = fold(text).chars().take(TEXT_CHARS_MAX).collect();
    let mut at = 0;
    while at < text.len() {
        // 每月复查: every single one.
        let every = text.get(at..)?.first() == Some(&'每');
        let each = every.then_some((Count::Whole(1), 1));
        let Some((count, len)) = number(text.get(at..)?).or(each) else {
            at += 1;
            continue;
        };
        let rest: String = text.get(at + len..)?.iter().take(8).collect();
        let before = text.get(at.saturating_sub(1)..at)?.iter().collect::<String>();
        let before = if every { "每" } else { &before };
        if let Some(day) = counted(before, &count, &rest, from) {
            return Some(day);
        }
        at += len.max(1);
    }
    None
}

/// A number, or half of what follows.
enum Count {
    Whole(i64),
    Half,
}

/// The number that `text` begins with, and its length.
fn number(text: &[char]) -> Option<(Count, usize)> {
    let digits: String = text.iter().take_while(|c| c.is_ascii_digit()).take(4).collect();
    if !digits.is_empty() {
        return Some((Count::Whole(digits.parse().ok()?), digits.len()));
    }
    let small = |c: &char| match c {
        '一' => Some(1),
        '二' | '两' => Some(2),
        '三' => Some(3),
        '四' => Some(4),
        '五' => Some(5),
        '六' => Some(6),
        '七' => Some(7),
        '八' => Some(8),
        '九' => Some(9),
        _ => None,
    };
    match (text.first()?, text.get(1), text.get(2)) {
        ('半', _, _) => Some((Count::Half, 1)),
        ('十', Some(ones), _) if small(ones).is_some() => {
            Some((Count::Whole(10 + small(ones)?), 2))
        }
        ('十', _, _) => Some((Count::Whole(10), 1)),
        (tens, Some('十'), Some(ones)) if small(ones).is_some() => {
            Some((Count::Whole(small(tens)? * 10 + small(ones)?), 3))
        }
        (tens, Some('十'), _) => Some((Count::Whole(small(tens)? * 10), 2)),
        (one, _, _) => Some((Count::Whole(small(one)?), 1)),
    }
}

fn counted(before: &str, count: &Count, rest: &str, from: Date) -> Option<Date> {
    if ["第", "月", "."].contains(&before) {
        return None;
    }
    let units = [
        ("个月", 'm'),
        ("月", 'M'),
        ("个季度", 'q'),
        ("季度", 'q'),
        ("季", 'q'),
        ("个半月", 'h'),
        ("个星期", 'w'),
        ("星期", 'w'),
        ("礼拜", 'w'),
        ("周", 'w'),
        ("天", 'd'),
        ("日", 'd'),
        ("年", 'y'),
    ];
    let (unit, then) =
        units.iter().find_map(|(word, unit)| Some((*unit, rest.strip_prefix(word)?)))?;
    let later = ["后", "内", "以后", "之后", "以内", "之内", "左右"];
    let again = [
        "复",
        "门诊",
        "随",
        "来院",
        "来门诊",
        "来我院",
        "来复",
        "返院",
        "回院",
        "再复",
        "再来",
        "再次来",
        "再次复",
        "一次复",
    ];
    let then = then.trim_start();
    let is_later = later.iter().any(|word| then.starts_with(word));
    // 到呼吸科门诊, 于我院; 1周到2周 is a span.
    let to = |then: &str| {
        let place = then.strip_prefix(['到', '于', '至'])?.chars().next()?;
        (!place.is_ascii_digit() && number(&[place]).is_none()).then_some(())
    };
    if !is_later && !again.iter().any(|word| then.starts_with(word)) && to(then).is_none() {
        return None;
    }
    // 3月 without 个 is March, but 3月后 and 每3月 are months.
    let unit = if unit == 'M' && (is_later || before == "每") { 'm' } else { unit };
    let days = |days: i64| after(from, days);
    let months = |months: i64| from.checked_add(months.months()).ok();
    match (count, unit) {
        (Count::Whole(n), _) if *n > COUNT_MAX || *n == 0 => None,
        (Count::Whole(n), 'd') => days(*n),
        (Count::Whole(n), 'w') => days(n * 7),
        (Count::Whole(n), 'm') => months(*n),
        (Count::Whole(n), 'y') => months(n * 12),
        (Count::Whole(n), 'q') => months(n * 3),
        // 1个半月
        (Count::Whole(n), 'h') => months(*n).and_then(|day| after(day, 15)),
        (Count::Half, 'm' | 'M') => days(15),
        (Count::Half, 'y') => months(6),
        (Count::Whole(_) | Count::Half, _) => None,
    }
}

/// A day as it is kept, or none.
pub(super) mod written {
    use jiff::civil::Date;
    use serde::{Deserialize as _, Deserializer, Serializer};

    #[expect(clippy::ref_option, clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
    pub(in super::super) fn serialize<S: Serializer>(
        day: &Option<Date>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        match day {
            Some(day) => to.collect_str(day),
            None => to.serialize_none(),
        }
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<Date>, D::Error> {
        let text = Option::<String>::deserialize(from)?;
        let parsed = text.map(|text| text.parse()).transpose();
        parsed.map_err(|_| serde::de::Error::custom("a day is written YYYY-MM-DD"))
    }
}
