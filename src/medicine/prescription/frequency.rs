//! How often: `tid`, `q8h`, `每日3次`, `隔日1次`, `每晚`, `必要时`.

use super::quantity::number_at_start;

/// How often a dose is given.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Frequency {
    /// Doses a day; a weekly dose is 1/7. For a single dose, 1.
    pub(super) per_day: f64,
    /// Only when needed: the number is an upper bound that nobody wrote.
    pub(super) as_needed: bool,
    /// Given once and not again.
    pub(super) once: bool,
}

/// Abbreviations that stand alone, and doses a day.
const LATIN: &[(&str, f64)] = &[
    ("qd", 1.0),
    ("qn", 1.0),
    ("qm", 1.0),
    ("hs", 1.0),
    ("bid", 2.0),
    ("tid", 3.0),
    ("qid", 4.0),
    ("qod", 0.5),
    ("qw", 1.0 / 7.0),
    ("biw", 2.0 / 7.0),
    ("tiw", 3.0 / 7.0),
    ("q2w", 1.0 / 14.0),
    ("q4w", 1.0 / 28.0),
    ("am", 1.0),
    ("pm", 1.0),
    ("qam", 1.0),
    ("qpm", 1.0),
    ("od", 1.0),
    ("tds", 3.0),
    ("q.d", 1.0),
    ("daily", 1.0),
    ("weekly", 1.0 / 7.0),
];
const ONCE: &[&str] = &["st", "stat", "once"];
const AS_NEEDED: &[&str] = &["prn", "sos"];

/// Chinese words without a number.
const WORDS: &[(&str, f64)] = &[
    ("隔日", 0.5),
    ("隔天", 0.5),
    ("早晚各", 2.0),
    ("早晚", 2.0),
    ("早中晚", 3.0),
    ("三餐", 3.0),
    ("每餐", 3.0),
    ("每晚", 1.0),
    ("每早", 1.0),
    ("每晨", 1.0),
    ("晨起", 1.0),
    ("睡前", 1.0),
    ("顿服", 1.0),
];

/// Parts of a day, as bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct TimesOfDay(u8);

/// What names a part of the day: morning, noon, evening.
const TIMES: [&[&str]; 3] = [&["晨", "早"], &["中午", "午餐", "午饭"], &["晚", "睡前", "夜"]];
/// Abbreviations that do.
const LATIN_TIMES: [&[&str]; 3] = [&["qm", "am", "qam"], &[], &["qn", "hs", "pm", "qpm"]];

impl TimesOfDay {
    /// The parts of the day that a text names, folded or not.
    pub(super) fn read(text: &str) -> Self {
        let mut found = 0;
        for (part, (chinese, latin)) in TIMES.iter().zip(LATIN_TIMES).enumerate() {
            let is_one = |word: &str| latin.iter().any(|known| word.eq_ignore_ascii_case(known));
            let named = chinese.iter().any(|word| text.contains(word)) || words(text).any(is_one);
            found |= u8::from(named) << part;
        }
        Self(found)
    }

    /// The parts that either names.
    pub(super) fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether both are said and have no part in common.
    pub(super) fn apart(self, other: Self) -> bool {
        self.0 != 0 && other.0 != 0 && self.0 & other.0 == 0
    }
}

impl Frequency {
    fn per_day(per_day: f64) -> Self {
        Self { per_day, as_needed: false, once: false }
    }

    /// Reads a folded text; `None` where it does not say. Words that only wish ("遵医嘱") do not.
    pub(super) fn read(folded: &str) -> Option<Self> {
        let as_needed = folded.contains("必要时")
            || folded.contains("发作时")
            || folded.contains("疼痛时")
            || folded.contains("发热时")
            || folded.contains("按需")
            || words(folded).any(|word| AS_NEEDED.contains(&word));
        let counted = counted(folded)
            .or_else(|| latin(folded))
            .or_else(|| WORDS.iter().find(|(word, _)| folded.contains(word)).map(|(_, n)| *n));
        let once = counted.is_none()
            && (words(folded).any(|word| ONCE.contains(&word))
                || ["立即", "即刻", "首剂", "负荷"].iter().any(|word| folded.contains(word))
                || folded.contains("单次")
                || folded.contains("一次性")
                || folded == "一次"
                || folded == "1次");
        match counted {
            Some(per_day) => Some(Self { as_needed, ..Self::per_day(per_day) }),
            None if once => Some(Self { per_day: 1.0, as_needed, once: true }),
            None if as_needed => Some(Self { per_day: 1.0, as_needed, once: false }),
            None => None,
        }
    }
}

fn words(folded: &str) -> impl Iterator<Item = &str> {
    folded.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty())
}

/// `qd`, `q8h`, `q6h`, `q3d`; a day count behind (`bid×3天`) is cut off by the words.
fn latin(folded: &str) -> Option<f64> {
    words(folded)
        .find_map(|word| {
            let word = word.trim_end_matches(|c: char| c.is_ascii_digit() || c == 'x');
            let word = if word.is_empty() { return None } else { word };
            LATIN.iter().find(|(name, _)| *name == word).map(|(_, n)| *n)
        })
        .or_else(|| words(folded).find_map(every))
}

/// `q8h`, `q3d`, `q2w`, also with what follows (`q8hx3`).
fn every(word: &str) -> Option<f64> {
    let rest = word.strip_prefix('q')?;
    let (n, length) = number_at_start(rest)?;
    let unit = rest.get(length..)?.chars().next()?;
    (n > 0.0).then_some(())?;
    match unit {
        'h' => Some(24.0 / n),
        'd' => Some(1.0 / n),
        'w' => Some(1.0 / (7.0 * n)),
        _ => None,
    }
}

/// `每日3次`, `一天三次`, `3次/日`, `每8小时1次`, `每周一次`, `每月1次`, `日3次`.
fn counted(folded: &str) -> Option<f64> {
    for (at, c) in folded.char_indices() {
        let rest = folded.get(at..)?;
        let found = match c {
            '每' => span(rest.get(c.len_utf8()..)?),
            '隔' => span(rest.get(c.len_utf8()..)?).map(|(days, after)| (2.0 * days, after)),
            '一' | '1' => span(rest).filter(|(days, _)| *days >= 1.0),
            '日' | '天' => Some((1.0, rest.get(c.len_utf8()..)?)),
            _ => None,
        };
        if let Some((days, after)) = found
            && let Some(times) = times(after)
        {
            return Some(times / days);
        }
        if let Some((times, length)) = number_at_start(rest)
            && let Some(after) = rest.get(length..).and_then(|r| r.trim_start().strip_prefix('次'))
            && let Some(after) = after.trim_start().strip_prefix(['/', '每'])
            && let Some((days, _)) = span(after)
        {
            return Some(times / days);
        }
    }
    None
}

/// A span of time at the beginning of a text, in days, and what follows: `日`, `8小时`, `周`.
fn span(text: &str) -> Option<(f64, &str)> {
    let text = text.trim_start();
    let (n, length) = number_at_start(text).unwrap_or((1.0, 0));
    let rest = text.get(length..)?.trim_start();
    let units: [(&str, f64); 10] = [
        ("小时", 1.0 / 24.0),
        ("个小时", 1.0 / 24.0),
        ("日", 1.0),
        ("天", 1.0),
        ("周", 7.0),
        ("星期", 7.0),
        ("个月", 30.0),
        ("月", 30.0),
        ("h", 1.0 / 24.0),
        ("d", 1.0),
    ];
    let (word, days) = units.iter().find(|(word, _)| rest.starts_with(word))?;
    (n > 0.0).then_some((n * days, rest.get(word.len()..)?))
}

/// `3次`, `各一次`, `(2-3)次` takes the larger.
fn times(text: &str) -> Option<f64> {
    let text = text.trim_start_matches([' ', ',', '，', '、', '各', '分', '/']);
    let (mut n, length) = number_at_start(text)?;
    let mut rest = text.get(length..)?;
    if let Some(after) = rest.strip_prefix(['-', '~', '～', '至', '到'])
        && let Some((larger, length)) = number_at_start(after)
    {
        n = larger;
        rest = after.get(length..)?;
    }
    rest.trim_start().starts_with('次').then_some(n).filter(|n| *n > 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frequencies_are_read_as_prescriptions_write_them() {
        for (text, per_day) in [
            ("tid", 3.0),
            ("bid×3天", 2.0),
            ("q8h", 3.0),
            ("q12h", 2.0),
            ("每日3次", 3.0),
            ("每日 3 次", 3.0),
            ("一日三次", 3.0),
            ("1日2次", 2.0),
            ("3次/日", 3.0),
            ("每8小时1次", 3.0),
            ("每周一次", 1.0 / 7.0),
            ("qw", 1.0 / 7.0),
            ("隔日1次", 0.5),
            ("每晚", 1.0),
            ("早晚各1次", 2.0),
            ("每日2-3次", 3.0),
            ("qn", 1.0),
            ("q3d", 1.0 / 3.0),
            ("每月1次", 1.0 / 30.0),
        ] {
            let read = Frequency::read(text).map(|f| f.per_day);
            assert!(read.is_some_and(|n| (n - per_day).abs() < 1e-9), "{text}: {read:?}");
        }
    }

    #[test]
    fn parts_of_the_day_are_told_apart() {
        let apart = |a: &str, b: &str| TimesOfDay::read(a).apart(TimesOfDay::read(b));
        assert!(apart("早餐前30分钟", "晚餐前30分钟") && apart("qd 晨起空腹", "QN"));
        assert!(!apart("早晚各1次", "睡前") && !apart("qd", "qn") && !apart("qd", "bid"));
    }

    #[test]
    fn single_and_needed_doses_are_told_apart() {
        assert!(Frequency::read("st").is_some_and(|f| f.once));
        assert!(Frequency::read("立即").is_some_and(|f| f.once));
        assert!(Frequency::read("必要时").is_some_and(|f| f.as_needed && !f.once));
        assert!(Frequency::read("tid prn").is_some_and(|f| f.as_needed && f.per_day > 2.9));
        assert_eq!(Frequency::read("遵医嘱"), None);
        assert_eq!(Frequency::read(""), None);
    }
}
