//! Quantities and spans of time in folded Chinese text: `3天`, `两三个月`, `1周余`, `一年半`,
//! `2+天`, `3天前`.
//!
//! Everything here looks a bounded number of characters ahead, except a run of digits, which
//! its caller consumes whole.

use super::cursor::Cursor;

/// A unit of time as written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TimeUnit {
    /// 分钟
    Minute,
    /// 小时
    Hour,
    /// 天, 日, 夜
    Day,
    /// 周, 星期, 礼拜
    Week,
    /// 月 (30 days)
    Month,
    /// 年 (365 days)
    Year,
}

/// A number, or a range of numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Quantity {
    pub(super) low: f32,
    pub(super) high: f32,
    /// Written in digits.
    pub(super) digits: bool,
    /// 余, 多, +: somewhat more than said.
    pub(super) more: bool,
    /// A run of digits too long to be a quantity.
    pub(super) endless: bool,
}

/// A span of time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct TimeSpan {
    pub(super) least_days: f32,
    pub(super) most_days: f32,
    pub(super) unit: TimeUnit,
    /// 3天**前**, 3天**来**: reaches from then to now, and says so.
    pub(super) ago: bool,
    /// A word such as 昨晚, which may also date something else.
    pub(super) word: bool,
}

/// What stands where a number begins.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Timed {
    /// A span of time.
    Span(TimeSpan),
    /// 3天**后**
    Later,
    /// 5次, 一天吐了五次
    Times,
    /// An age, a date or a time of day.
    Other,
}

impl TimeUnit {
    /// Days in the unit.
    pub fn days(self) -> f32 {
        match self {
            Self::Minute => 1.0 / 1440.0,
            Self::Hour => 1.0 / 24.0,
            Self::Day => 1.0,
            Self::Week => 7.0,
            Self::Month => 30.0,
            Self::Year => 365.0,
        }
    }
}

/// Whether a quantity can begin with this character.
pub(super) fn begins_number(c: char) -> bool {
    c.is_ascii_digit() || digit(c).is_some() || matches!(c, '十' | '百' | '半' | '几' | '数' | '多')
}

/// A quantity at the cursor.
pub(super) fn quantity(c: &mut Cursor<'_>) -> Option<Quantity> {
    if c.peek()?.is_ascii_digit() { arabic(c) } else { chinese(c) }
}

fn arabic(c: &mut Cursor<'_>) -> Option<Quantity> {
    let (low, endless) = decimal(c)?;
    let mut out = Quantity { low, high: low, digits: true, more: false, endless };
    if endless {
        return Some(out);
    }
    let saved = *c;
    if c.eat_if(|c| matches!(c, '-' | '~' | '—' | '–' | '至' | '到')).is_some() {
        match decimal(c) {
            Some((high, false)) if high > low => out.high = high,
            _ => *c = saved,
        }
    }
    out.more = c.eat_any(&["余", "多", "来", "几", "+"]);
    Some(out)
}

/// Digits with an optional fraction; a run of more than seven digits is consumed and marked.
fn decimal(c: &mut Cursor<'_>) -> Option<(f32, bool)> {
    let rest = c.rest();
    let run = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let whole = run(rest);
    if whole == 0 {
        return None;
    }
    let mut length = whole;
    let separator = ['.', '点']
        .into_iter()
        .find(|s| rest.get(whole..).is_some_and(|tail| tail.starts_with(*s)));
    let mut written = rest.get(..whole)?.to_owned();
    if let Some(separator) = separator {
        let from = whole + separator.len_utf8();
        let fraction = run(rest.get(from..).unwrap_or(""));
        if fraction > 0 {
            length = from + fraction;
            if fraction > 7 {
                c.at += length;
                return Some((0.0, true));
            }
            written.push('.');
            written.push_str(rest.get(from..length).unwrap_or(""));
        }
    }
    c.at += length;
    if whole > 7 {
        return Some((0.0, true));
    }
    Some((written.parse().ok()?, false))
}

fn digit(c: char) -> Option<f32> {
    Some(match c {
        '零' | '〇' => 0.0,
        '一' => 1.0,
        '二' | '两' | '俩' => 2.0,
        '三' | '仨' => 3.0,
        '四' => 4.0,
        '五' => 5.0,
        '六' => 6.0,
        '七' => 7.0,
        '八' => 8.0,
        '九' => 9.0,
        _ => return None,
    })
}

fn chinese(c: &mut Cursor<'_>) -> Option<Quantity> {
    let saved = *c;
    let out = vague(c).or_else(|| {
        *c = saved;
        exact(c)
    });
    if out.is_none() {
        *c = saved;
    }
    out
}

/// 半, 几, 十几, 几十, 十来
fn vague(c: &mut Cursor<'_>) -> Option<Quantity> {
    let quantity = |low, high| Quantity { low, high, digits: false, more: false, endless: false };
    if c.eat_any(&["几十", "数十"]) {
        return Some(quantity(20.0, 99.0));
    }
    if c.eat_any(&["几百", "数百"]) {
        return Some(quantity(200.0, 999.0));
    }
    if c.eat_any(&["十几", "十多", "十余"]) {
        return Some(quantity(11.0, 19.0));
    }
    if c.eat("十来") {
        return Some(quantity(8.0, 12.0));
    }
    let years = ["多年", "多月", "多日", "多天", "多次"];
    if years.iter().any(|word| c.rest().starts_with(word)) {
        let _ = c.eat("多");
        return Some(quantity(2.0, 9.0));
    }
    if c.eat_any(&["几", "数"]) {
        return Some(quantity(2.0, 9.0));
    }
    c.eat("半").then(|| quantity(0.5, 0.5))
}

fn exact(c: &mut Cursor<'_>) -> Option<Quantity> {
    let mut out = Quantity { low: 0.0, high: 0.0, digits: false, more: false, endless: false };
    let mut any = false;
    let hundreds = {
        let saved = *c;
        let n = c.eat_if(|c| digit(c).is_some()).and_then(digit).unwrap_or(1.0);
        if c.eat("百") {
            Some(n * 100.0)
        } else {
            *c = saved;
            None
        }
    };
    if let Some(hundreds) = hundreds {
        any = true;
        out.low = hundreds;
        let _ = c.eat_any(&["零", "〇"]);
    }
    // 二三十, 二十, 十
    let saved = *c;
    let first = c.eat_if(|c| digit(c).is_some()).and_then(digit);
    let second = c.eat_if(|c| digit(c).is_some()).and_then(digit);
    if c.eat("十") {
        any = true;
        let base = out.low;
        out.low = base + first.unwrap_or(1.0) * 10.0;
        out.high = base + second.or(first).unwrap_or(1.0) * 10.0;
        if let Some(units) = c.eat_if(|c| digit(c).is_some()).and_then(digit) {
            out.low += units;
            out.high += units;
        } else {
            out.more = c.eat_any(&["余", "多", "来", "几"]);
        }
    } else if let (Some(first), true) = (first, hundreds.is_some() && second.is_none()) {
        // 一百八 is 180, 一百零八 is 108.
        let tens = saved.before().is_some_and(|c| c == '百');
        out.low += if tens { first * 10.0 } else { first };
        out.high = out.low;
    } else if let Some(first) = first {
        if hundreds.is_some() {
            return None;
        }
        any = true;
        // 三五天 is three to five days; 一二三 is no quantity.
        if c.peek().is_some_and(|c| digit(c).is_some()) {
            return None;
        }
        out.low += first;
        out.high = second.filter(|second| *second > first).map_or(out.low, |second| second);
        if second.is_some_and(|second| second <= first) {
            return None;
        }
    } else {
        *c = saved;
        out.high = out.low;
    }
    if !any {
        return None;
    }
    spoken_fraction(c, &mut out);
    Some(out)
}

/// 三十八**点五**
fn spoken_fraction(c: &mut Cursor<'_>, out: &mut Quantity) {
    let saved = *c;
    if !c.eat("点") {
        return;
    }
    match c.eat_if(|c| digit(c).is_some()).and_then(digit) {
        Some(tenths) if out.low.total_cmp(&out.high).is_eq() => {
            out.low += tenths / 10.0;
            out.high = out.low;
        }
        _ => *c = saved,
    }
}

/// A span of time, an age, a date, a time of day or a frequency that begins with `number`, which
/// has just been read; `start` is where it began.
pub(super) fn timed(c: &mut Cursor<'_>, start: Cursor<'_>, number: Quantity) -> Option<Timed> {
    if number.endless {
        return None;
    }
    let before = start.before();
    if c.eat_any(&["岁", "周岁", "号", "月份", "年级", "年代"]) {
        return Some(Timed::Other);
    }
    if c.eat_any(&["次", "回", "趟", "道"]) {
        let _ = c.eat_any(&["/日", "/天", "/分钟", "/分", "/小时", "每天", "每日"]);
        return Some(Timed::Times);
    }
    if number.digits && clock(c) {
        return Some(Timed::Other);
    }
    let (mut span, counted) = span(c, number)?;
    if number.low >= 1000.0 && span.unit == TimeUnit::Year {
        let saved = *c;
        if quantity(c).is_none() || !c.eat("月") {
            *c = saved;
        } else {
            let _ = date(c);
        }
        return Some(Timed::Other);
    }
    if matches!(before, Some('每' | '隔' | '孕')) || c.eat("龄") || old(c) {
        return Some(Timed::Other);
    }
    if span.unit == TimeUnit::Month && !counted && date(c) {
        return Some(Timed::Other);
    }
    smaller(c, &mut span);
    if number.high <= 1.0 && span.unit <= TimeUnit::Week && frequency(c) {
        return Some(Timed::Times);
    }
    let other = ["前后", "来院", "来诊", "来我", "后背", "前胸", "后脑"];
    if other.iter().any(|word| c.rest().starts_with(word)) {
        return Some(Timed::Span(span));
    }
    if c.eat_any(&["以前", "之前", "前", "以来", "来"]) {
        span.ago = true;
    } else if c.eat_any(&["以后", "之后", "过后", "后"]) {
        return Some(Timed::Later);
    }
    Some(Timed::Span(span))
}

/// The rest of 8个月**大**, but not of 3天**大便**未解.
fn old(c: &mut Cursor<'_>) -> bool {
    let saved = *c;
    if c.eat("大") && !c.peek().is_some_and(|c| "便小汗量家概约片面".contains(c)) {
        return true;
    }
    *c = saved;
    false
}

/// 8:30, 8点, 8点半
fn clock(c: &mut Cursor<'_>) -> bool {
    let saved = *c;
    if c.eat(":") && c.eat_if(|c| c.is_ascii_digit()).is_some() {
        let _ = c.eat_if(|c| c.is_ascii_digit());
        return true;
    }
    *c = saved;
    if !c.eat("点") {
        return false;
    }
    let _ = c.eat_any(&["钟", "半", "多", "左右"]);
    true
}

/// The rest of 5月**3日**, 5月**初**
fn date(c: &mut Cursor<'_>) -> bool {
    let saved = *c;
    if c.eat_any(&["份", "初", "底", "中旬", "上旬", "下旬"]) || c.rest().starts_with("开始")
    {
        return true;
    }
    if quantity(c).is_some() && c.eat_any(&["日", "号"]) {
        return true;
    }
    *c = saved;
    false
}

/// One number with its unit; tells whether the unit was counted with 个.
fn span(c: &mut Cursor<'_>, number: Quantity) -> Option<(TimeSpan, bool)> {
    c.spaces();
    let counted = c.eat("个");
    let mut half = counted && c.eat("半");
    let mut more = number.more | (counted && c.eat_any(&["多", "余", "来", "把"]));
    let unit = unit(c, counted)?;
    half |= c.eat("半");
    more |= c.eat_any(&["余", "多", "+", "有余"]);
    let extra = if half { 0.5 } else { 0.0 };
    let low = number.low + extra;
    let mut high = number.high + extra;
    if more {
        // 10余天 may be nineteen, 3天余 not four.
        let tens = !half && number.low >= 10.0 && (number.low % 10.0).abs() < f32::EPSILON;
        high += if tens { 9.0 } else { 1.0 };
    }
    let days = unit.days();
    let span =
        TimeSpan { least_days: low * days, most_days: high * days, unit, ago: false, word: false };
    Some((span, counted))
}

fn unit(c: &mut Cursor<'_>, counted: bool) -> Option<TimeUnit> {
    const UNITS: [(&str, TimeUnit); 13] = [
        ("小时", TimeUnit::Hour),
        ("钟头", TimeUnit::Hour),
        ("分钟", TimeUnit::Minute),
        ("天", TimeUnit::Day),
        ("日", TimeUnit::Day),
        ("夜", TimeUnit::Day),
        ("晚上", TimeUnit::Day),
        ("晚", TimeUnit::Day),
        ("星期", TimeUnit::Week),
        ("礼拜", TimeUnit::Week),
        ("周", TimeUnit::Week),
        ("月", TimeUnit::Month),
        ("年", TimeUnit::Year),
    ];
    const LATIN: [(&str, TimeUnit); 6] = [
        ("min", TimeUnit::Minute),
        ("hrs", TimeUnit::Hour),
        ("hr", TimeUnit::Hour),
        ("h", TimeUnit::Hour),
        ("d", TimeUnit::Day),
        ("w", TimeUnit::Week),
    ];
    let saved = *c;
    if let Some((_, unit)) = UNITS.iter().find(|(word, _)| c.eat(word)) {
        // 2个年 is nothing; 3周岁, 三年级 and 2月经 are something else.
        let other = c.peek().is_some_and(|c| matches!(c, '岁' | '级' | '经'));
        if other || (counted && matches!(unit, TimeUnit::Year)) {
            *c = saved;
            return None;
        }
        return Some(*unit);
    }
    LATIN.iter().find(|(word, _)| c.eat_latin(word)).map(|(_, unit)| *unit)
}

/// The rest of 1年**3个月**: adds a smaller span that follows directly.
fn smaller(c: &mut Cursor<'_>, whole: &mut TimeSpan) {
    let saved = *c;
    let _ = c.eat_any(&["零", "又"]);
    let part = quantity(c).filter(|q| !q.endless).and_then(|q| span(c, q));
    match part {
        Some((part, _)) if part.unit < whole.unit => {
            whole.least_days += part.least_days;
            whole.most_days += part.most_days;
        }
        _ => *c = saved,
    }
}

/// The rest of 一天**吐了五次**
fn frequency(c: &mut Cursor<'_>) -> bool {
    let saved = *c;
    for _ in 0..5 {
        let here = *c;
        if quantity(c).is_some_and(|q| !q.endless)
            && c.eat_any(&["次", "回", "趟", "道", "遍", "顿"])
        {
            return true;
        }
        *c = here;
        if c.eat_if(|c| c.is_alphanumeric() && !c.is_ascii_digit()).is_none() {
            break;
        }
    }
    *c = saved;
    false
}
