//! The words around a medicine's name: dosage forms, strengths, usage, salts.
//!
//! Language, not medicine: nothing here says what a medicine does. [`Written`] offers shorter
//! readings of a written name, longest first, by taking away an ending that consists of nothing
//! but such words; the caller looks each of them up as an exact name. An ending with any other
//! word in it is never taken away, so that a second medicine in the same text is not lost.

use std::collections::BTreeMap;

/// Longest written name that is taken apart, in characters.
pub(super) const NAME_CHARS_MAX: usize = 200;
/// Most shorter readings offered of one name.
const READINGS_MAX: usize = 32;
/// Most salt-free variants offered of one name.
const VARIANTS_MAX: usize = 12;

/// Dosage forms and their attributes, in any combination at the end of a name.
const FORMS: &str = "片 片剂 含片 口含片 缓释 控释 肠溶 肠溶性 分散 泡腾 咀嚼 口腔崩解 口崩 薄膜衣 糖衣 舌下 \
    阴道 双层 速释 胶囊 胶囊剂 软胶囊 硬胶囊 软 微丸 胶丸 颗粒 颗粒剂 冲剂 散 散剂 丸 丸剂 水丸 \
    蜜丸 大蜜丸 小蜜丸 水蜜丸 浓缩丸 浓缩 滴丸 糖浆 糖浆剂 干糖浆 口服液 口服溶液 口服溶液剂 \
    口服混悬液 口服乳 混悬液 混悬剂 干混悬剂 混悬滴剂 口服滴剂 滴剂 合剂 露 酊 酊剂 膏 软膏 \
    软膏剂 乳膏 乳膏剂 乳胶 乳胶剂 霜 凝胶 凝胶剂 眼膏 眼用凝胶 眼用 滴眼液 滴眼剂 眼药水 滴耳液 滴耳剂 \
    滴鼻液 滴鼻剂 鼻喷雾剂 鼻用喷雾剂 鼻喷剂 喷雾剂 喷剂 气雾剂 吸入气雾剂 粉雾剂 吸入粉雾剂 \
    吸入剂 吸入溶液 吸入用溶液 吸入用混悬液 吸入混悬液 雾化吸入溶液 雾化液 溶液 溶液剂 洗剂 搽剂 \
    擦剂 涂剂 涂膜剂 栓 栓剂 贴膏 贴剂 透皮贴剂 贴片 膏药 橡胶膏 注射液 注射剂 针 针剂 粉针 \
    粉针剂 冻干粉针 冻干粉 冻干 乳状注射液 灭菌粉末 无菌粉末 灌肠剂 灌肠液 漱口液 含漱液 液 剂 油 \
    胶浆 植入剂 大输液 小针 儿童 小儿 婴幼儿 成人 无糖型 无糖 i ii iii";

/// Words of usage: routes, times, notes of the stock.
const USAGE: &str = "口服 内服 外用 外涂 外敷 外洗 外搽 外擦 外贴 涂患处 湿敷 静滴 静脉滴注 静脉注射 \
    静脉推注 静脉 静注 静推 静点 肌注 肌内注射 肌肉注射 皮下注射 皮下 舌下含服 含服 含化 含漱 吸入 \
    雾化 雾化吸入 冲服 嚼服 吞服 顿服 滴眼 点眼 滴耳 滴鼻 塞肛 纳肛 餐前 餐后 餐中 饭前 饭后 空腹 \
    随餐 睡前 临睡 早 中 晚 早上 晚上 中午 早晚 晨起 晨 每日 每天 每晚 每早 每晨 每次 每周 每 日 天 \
    必要时 长期 服用 口含 维持 续服 规律 按需 一日 一次 备用 集采 国采 进口 国产 甲类 乙类 基药 \
    自备 po iv im sc ih sl ivgtt ivdrip qd bid tid qid qn qm qod qw biw tiw hs ac pc prn sos st stat \
    q4h q6h q8h q12h q24h";

/// Units after a number.
const UNITS: &str = "g mg μg ug mcg ml l iu u ku wu % mmol meq cm h d s 毫克 克 微克 毫升 升 单位 万单位 \
    万u 万iu 万 亿 国际单位 丸 片 粒 袋 支 瓶 盒 包 板 贴 枚 滴 喷 揿 吸 次 日 天 周 月 年 小时 分钟 \
    付 剂 管 套 张 颗 勺 大 小";

/// Words before a name that say how it is given or made up.
const BEFORE: &str = "注射用 外用 医用 吸入用 雾化吸入用 冻干 静脉用 口服用 灭菌 甲 乙 基";

/// Acids and the like before the base: `盐酸左氧氟沙星`.
const SALTS_BEFORE: &str = "盐酸 二盐酸 氢溴酸 硫酸氢 硫酸 磷酸 硝酸 醋酸 重酒石酸 酒石酸 枸橼酸 柠檬酸 \
    马来酸 富马酸 琥珀酸 苯磺酸 甲磺酸 甲苯磺酸 对甲苯磺酸 乳酸 乳糖酸 葡萄糖酸 苹果酸 草酸 \
    双羟萘酸 棕榈酸 丙酸 二丙酸 戊酸 糠酸 丁酸 硬脂酸 羟乙磺酸 甲硫酸 水合 无水 消旋";

/// Metals and the like after the base: `双氯芬酸钠`. The vehicle of an infusion counts too.
const SALTS_AFTER: &str = "钠 二钠 钾 钙 镁 磷酸钠 磷酸二钠 琥珀酸钠 琥珀酸酯钠 棕榈酸酯 磷酸酯 丙酸酯 \
    盐酸盐 硫酸盐 磷酸盐 马来酸盐 氨丁三醇 葡甲胺 叔丁胺 特丁胺 精氨酸 一水合物 二水合物 三水合物 \
    水合物 氯化钠 葡萄糖 葡萄糖氯化钠";

/// Metals at the end of a name.
const METALS: &[char] = &['钠', '钾', '钙', '镁', '锌', '铝', '铁', '铋'];

/// What is left when a salt is taken away although the whole was another medicine.
const NOT_SALTS: &[&str] =
    &["甘油", "水杨酸", "乳酸", "葡萄糖", "氯化钠", "苯甲酸", "醋酸", "精氨酸"];

/// Words by their first character, in ascending order of it.
type ByFirst = Vec<(char, Vec<Vec<char>>)>;

/// Word lists made ready for matching.
#[derive(Debug)]
pub(super) struct Words {
    endings: ByFirst,
    units: ByFirst,
    before: Vec<Vec<char>>,
}

impl Default for Words {
    fn default() -> Self {
        let group = |lists: &[&str]| {
            let mut out: BTreeMap<char, Vec<Vec<char>>> = BTreeMap::new();
            for word in lists.iter().flat_map(|list| list.split_whitespace()) {
                let word: Vec<char> = word.chars().collect();
                if let Some(first) = word.first() {
                    out.entry(*first).or_default().push(word);
                }
            }
            out.into_iter().collect()
        };
        let mut before: Vec<Vec<char>> =
            BEFORE.split_whitespace().map(|w| w.chars().collect()).collect();
        before.sort_by_key(|word| std::cmp::Reverse(word.len()));
        Self { endings: group(&[FORMS, USAGE]), units: group(&[UNITS]), before }
    }
}

/// Shorter readings of one written name, in the form under which names meet (see [`key`]).
#[derive(Debug)]
pub(super) struct Written {
    key: String,
    /// Byte positions in the key at which a reading may begin.
    starts: Vec<usize>,
    /// Byte positions at which it may end, the whole name first.
    ends: Vec<usize>,
}

/// The form under which written names meet: without spaces, brackets, joints and marks.
pub(super) fn key(folded: &str) -> String {
    let mut key = String::with_capacity(folded.len());
    for c in folded.chars().filter(|c| !is_dropped(*c)) {
        key.push(c);
    }
    key
}

impl Written {
    /// Takes a folded name apart. One that is too long has a single reading, the whole.
    pub(super) fn new(words: &Words, folded: &str) -> Self {
        let chars: Vec<char> = folded.chars().take(NAME_CHARS_MAX + 1).collect();
        if chars.len() > NAME_CHARS_MAX {
            let key = key(folded);
            return Self { starts: vec![0], ends: vec![key.len()], key };
        }
        let mut key = String::with_capacity(folded.len());
        let mut at: Vec<usize> = Vec::with_capacity(chars.len());
        for c in &chars {
            at.push(key.len());
            if !is_dropped(*c) {
                key.push(*c);
            }
        }
        let loose = words.endings_from(&chars);
        let mut ends = vec![key.len()];
        for i in (1..chars.len()).rev() {
            if loose.get(i) == Some(&true) && !splits(&chars, i) {
                // Dropped characters leave several places with the same text before them.
                let end = at.get(i).copied().filter(|end| ends.last() != Some(end));
                ends.extend(end);
            }
            if ends.len() > READINGS_MAX {
                break;
            }
        }
        let mut starts = vec![0];
        starts.extend(at.get(words.leading(&chars)).filter(|start| **start > 0));
        Self { key, starts, ends }
    }

    /// The readings, longest first.
    pub(super) fn readings(&self) -> impl Iterator<Item = &str> {
        self.starts.iter().flat_map(move |start| {
            self.ends.iter().filter_map(move |end| self.key.get(*start..*end))
        })
    }

    /// The shortest reading: all that could be taken away is.
    pub(super) fn core(&self) -> &str {
        let (start, end) = (self.starts.last(), self.ends.last());
        start.zip(end).and_then(|(s, e)| self.key.get(*s..*e)).unwrap_or(&self.key)
    }
}

impl Words {
    /// For each place, whether the text from there on is endings and nothing else.
    fn endings_from(&self, chars: &[char]) -> Vec<bool> {
        let mut loose = vec![false; chars.len() + 1];
        if let Some(end) = loose.last_mut() {
            *end = true;
        }
        for i in (0..chars.len()).rev() {
            let rest = chars.get(i..).unwrap_or_default();
            let free = |length: usize| loose.get(i + length) == Some(&true);
            let Some(c) = rest.first().copied() else { continue };
            let found = (is_separator(c) && free(1))
                || (is_times(chars, i) && free(1))
                || self.number(chars, i, free)
                || (after_per(chars, i) && self.unit(chars, i, free))
                || starting(&self.endings, c)
                    .iter()
                    .any(|w| begins(rest, w) && stands_alone(chars, i, w) && free(w.len()));
            if let Some(place) = loose.get_mut(i) {
                *place = found;
            }
        }
        loose
    }

    /// A number with its unit, or one next to a multiplication or division sign.
    fn number(&self, chars: &[char], i: usize, free: impl Fn(usize) -> bool) -> bool {
        let rest = chars.get(i..).unwrap_or_default();
        if !rest.first().is_some_and(|c| is_numeral(*c) && *c != '.') {
            return false;
        }
        let digits = rest.iter().take_while(|c| is_numeral(**c)).count();
        let after = rest.get(digits..).unwrap_or_default();
        let unit = self.unit(chars, i + digits, |length| free(digits + length));
        let joined = i.checked_sub(1).and_then(|p| chars.get(p)).is_some_and(|c| is_sign(*c))
            || after.first().is_some_and(|c| is_sign(*c));
        unit || (joined && free(digits))
    }

    /// A unit, after a number or after 每 or a stroke (粒/盒).
    fn unit(&self, chars: &[char], i: usize, free: impl Fn(usize) -> bool) -> bool {
        let rest = chars.get(i..).unwrap_or_default();
        rest.first().is_some_and(|c| {
            starting(&self.units, *c)
                .iter()
                .any(|u| begins(rest, u) && stands_alone(chars, i, u) && free(u.len()))
        })
    }

    /// How many characters at the front are list marks, percentages and words before a name.
    fn leading(&self, chars: &[char]) -> usize {
        let mut at = 0;
        loop {
            let rest = chars.get(at..).unwrap_or_default();
            let digits = rest.iter().take_while(|c| is_numeral(**c)).count();
            let mark = rest.get(digits).copied();
            let step = if digits > 0 && mark.is_some_and(|c| matches!(c, '%' | '、' | ')')) {
                digits + 1
            } else if digits > 0 && rest.get(digits - 1) == Some(&'.') {
                digits
            } else if rest.first().is_some_and(|c| is_separator(*c)) {
                1
            } else if let Some(word) = self.before.iter().find(|w| begins(rest, w)) {
                // 甲 乙 基 are marks of the price list, and only so in brackets.
                let bracketed = at > 0 && rest.get(word.len()).is_some_and(|c| is_separator(*c));
                if word.len() == 1 && !bracketed {
                    return at;
                }
                word.len()
            } else {
                return at;
            };
            at += step;
        }
    }
}

/// The key without salts at its ends and sodium inside: each variant once, mildest first.
pub(super) fn salt_free(key: &str) -> Vec<String> {
    let mut out: Vec<String> = vec![key.to_owned()];
    let mut at = 0;
    while let Some(text) = out.get(at).cloned() {
        at += 1;
        let before = SALTS_BEFORE.split_whitespace().filter_map(|s| text.strip_prefix(s));
        // 法莫替丁钙镁 is not a salt of 法莫替丁: two metals are two more ingredients.
        let after = SALTS_AFTER.split_whitespace().filter_map(|s| {
            let rest = text.strip_suffix(s)?;
            (s.chars().count() > 1 || !rest.ends_with(METALS)).then_some(rest)
        });
        let mut shorter: Vec<String> = before.chain(after).map(str::to_owned).collect();
        shorter.extend(inner_sodium(&text));
        for variant in shorter {
            let long_enough = variant.chars().nth(1).is_some();
            let fits = out.len() <= VARIANTS_MAX && !NOT_SALTS.contains(&variant.as_str());
            if long_enough && fits && !out.contains(&variant) {
                out.push(variant);
            }
        }
    }
    out.remove(0);
    out
}

/// `哌拉西林钠他唑巴坦` without its 钠: sodium after 林 酮 松 南 坦, where it closes a base.
fn inner_sodium(text: &str) -> Option<String> {
    ["林钠", "酮钠", "松钠", "南钠", "坦钠"].iter().find_map(|pair| {
        let at = text.find(pair)?;
        let base = pair.chars().next()?;
        let rest = text.get(at + pair.len()..).filter(|rest| !rest.is_empty())?;
        Some(format!("{}{base}{rest}", text.get(..at)?))
    })
}

fn starting(words: &ByFirst, c: char) -> &[Vec<char>] {
    let at = words.binary_search_by_key(&c, |(first, _)| *first).ok();
    at.and_then(|at| words.get(at)).map_or(&[], |(_, words)| words)
}

fn begins(text: &[char], word: &[char]) -> bool {
    text.starts_with(word)
}

/// Latin words must not be cut out of longer ones; `x` may follow as a multiplication sign.
fn stands_alone(chars: &[char], i: usize, word: &[char]) -> bool {
    let ends_latin = word.last().is_some_and(char::is_ascii_alphabetic);
    let after = i + word.len();
    let cut = ends_latin
        && chars.get(after).is_some_and(char::is_ascii_alphabetic)
        && !is_times(chars, after);
    let starts_latin = word.first().is_some_and(char::is_ascii_alphabetic);
    let before = i.checked_sub(1).and_then(|p| chars.get(p));
    !(cut || starts_latin && before.is_some_and(char::is_ascii_alphabetic))
}

/// Whether cutting before place `i` would tear a number or a Latin word apart.
fn splits(chars: &[char], i: usize) -> bool {
    let (Some(a), Some(b)) = (i.checked_sub(1).and_then(|p| chars.get(p)), chars.get(i)) else {
        return false;
    };
    // The digit of 维生素B1 belongs to the letter; that of NS100ml does not.
    let numbered = a.is_ascii_alphabetic()
        && b.is_ascii_digit()
        && !i.checked_sub(2).and_then(|p| chars.get(p)).is_some_and(char::is_ascii_alphabetic);
    numbered
        || (is_digit(*a) && is_digit(*b))
        || (a.is_ascii_alphabetic() && b.is_ascii_alphabetic())
}

fn is_digit(c: char) -> bool {
    c.is_ascii_digit() || c == '.'
}

fn is_numeral(c: char) -> bool {
    is_digit(c)
        || matches!(
            c,
            '一' | '二'
                | '三'
                | '四'
                | '五'
                | '六'
                | '七'
                | '八'
                | '九'
                | '十'
                | '百'
                | '半'
                | '两'
        )
}

/// Signs that join the numbers of a pack or a ratio.
fn is_sign(c: char) -> bool {
    matches!(c, '×' | '*' | '/' | ':' | '∶' | '~')
}

fn is_joint(c: char) -> bool {
    is_sign(c) || matches!(c, '-' | '+')
}

fn is_times(chars: &[char], i: usize) -> bool {
    chars.get(i) == Some(&'x')
        && chars.get(i + 1).is_some_and(char::is_ascii_digit)
        && i.checked_sub(1).and_then(|p| chars.get(p)).is_some_and(|c| {
            c.is_ascii_digit() || matches!(c, 'g' | 'l' | '片' | '粒' | '袋' | '支' | '瓶' | '丸')
        })
}

fn after_per(chars: &[char], i: usize) -> bool {
    i.checked_sub(1).and_then(|p| chars.get(p)).is_some_and(|c| matches!(c, '/' | '每'))
}

fn is_separator(c: char) -> bool {
    !is_han(c) && (is_joint(c) || is_dropped(c) || matches!(c, ';' | '。' | '.' | '#' | '!' | '|'))
}

/// Marks that do not tell names apart.
fn is_dropped(c: char) -> bool {
    !is_han(c)
        && (c.is_whitespace()
            || c.is_control()
            || matches!(
                c,
                '(' | ')'
                    | '['
                    | ']'
                    | '{'
                    | '}'
                    | '【'
                    | '】'
                    | '<'
                    | '>'
                    | '《'
                    | '》'
                    | '-'
                    | '_'
                    | '/'
                    | '+'
                    | '*'
                    | '·'
                    | '•'
                    | '、'
                    | ','
                    | '"'
                    | '\''
                    | '\\'
                    | '“'
                    | '”'
                    | '®'
                    | '™'
                    | '★'
                    | '△'
                    | '\u{2010}'..='\u{2015}'
            ))
}

/// The common ideographs, which are most of what is read.
fn is_han(c: char) -> bool {
    matches!(c, '\u{3400}'..='\u{9fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn core(text: &str) -> String {
        Written::new(&Words::default(), text).core().to_owned()
    }

    #[test]
    fn forms_strengths_and_usage_come_off_and_nothing_else_does() {
        for (text, expected) in [
            ("阿莫西林胶囊0.25g×24粒", "阿莫西林"),
            ("阿莫西林胶囊 0.25gx24粒/盒", "阿莫西林"),
            ("氨氯地平 5mg 口服 qd", "氨氯地平"),
            ("硝苯地平缓释片(ii) 20mg*30片", "硝苯地平"),
            ("注射用头孢曲松 1.0g", "头孢曲松"),
            ("10%葡萄糖注射液 250ml", "葡萄糖"),
            ("氯化钠0.9%注射液", "氯化钠"),
            ("1.布洛芬混悬液", "布洛芬"),
            ("阿司匹林肠溶片 一次一片 一日一次", "阿司匹林"),
            ("(甲)奥美拉唑肠溶胶囊", "奥美拉唑"),
            ("维生素b12", "维生素b12"),
            ("维生素b1 10mg", "维生素b1"),
            ("维生素b4片", "维生素b4"),
            ("ns100ml", "ns"),
            ("复方氨基酸胶囊(8-11)", "复方氨基酸胶囊811"),
            ("阿莫西林克拉维酸钾(4:1)分散片", "阿莫西林克拉维酸钾"),
            ("右旋糖酐40", "右旋糖酐40"),
            ("阿莫西林0.5g 布洛芬0.3g", "阿莫西林0.5g布洛芬"),
            ("阿司匹林 氯吡格雷", "阿司匹林氯吡格雷"),
            ("七厘散", "七厘"),
            ("ivabradine", "ivabradine"),
        ] {
            assert_eq!(core(text), expected, "{text}");
        }
    }

    #[test]
    fn readings_come_longest_first() {
        let words = Words::default();
        let written = Written::new(&words, "注射用头孢曲松 1g");
        let readings: Vec<&str> = written.readings().collect();
        assert_eq!(readings.first(), Some(&"注射用头孢曲松1g"));
        assert!(
            readings.iter().position(|r| *r == "注射用头孢曲松")
                < readings.iter().position(|r| *r == "头孢曲松")
        );
    }

    #[test]
    fn salts_come_off_at_the_ends() {
        for (name, base) in [
            ("盐酸左氧氟沙星", "左氧氟沙星"),
            ("盐酸左氧氟沙星氯化钠", "左氧氟沙星"),
            ("苯磺酸氨氯地平", "氨氯地平"),
            ("地塞米松磷酸钠", "地塞米松"),
            ("阿莫西林钠克拉维酸钾", "阿莫西林克拉维酸钾"),
            ("哌拉西林钠他唑巴坦钠", "哌拉西林他唑巴坦"),
        ] {
            assert!(salt_free(name).contains(&base.to_owned()), "{name}");
        }
    }

    #[test]
    fn another_medicine_never_remains_when_a_salt_is_taken_away() {
        let names =
            ["硝酸甘油", "水杨酸钠", "乳酸钠", "葡萄糖氯化钠", "硫酸镁", "碳酸锂", "法莫替丁钙镁"];
        for name in names {
            let left = salt_free(name);
            for other in ["甘油", "水杨酸", "乳酸", "葡萄糖", "镁", "锂", "法莫替丁"]
            {
                assert!(!left.contains(&other.to_owned()), "{name} became {other}");
            }
        }
    }
}
