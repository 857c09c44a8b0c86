//! Person names (VR `PN`; PS3.5, 6.2.1): what of them is compared, and under which keys an index
//! finds them.
//!
//! A name is compared by its *look*: compatibility forms and width undone (NFKC), lower case,
//! traditional characters as simplified, separators of components dropped, component groups kept
//! apart. `ＺＨＡＮＧ^San=張^三` looks like `=zhangsan=张三=`, so that `zhang^san`, `张三` and `*三*`
//! find it. A fuzzy question goes by its *sounds* as well: the readings of its characters, written
//! out and as initials, from every character on.
//!
//! Characters are simplified one at a time, not by the words around them: a name and a part of it
//! must come out alike.

use std::collections::BTreeSet;

use pinyin::ToPinyinMulti as _;
use unicode_normalization::UnicodeNormalization as _;

/// Characters of a name, or of a question for one, that are looked at. `PN` allows three groups of
/// 64 (PS3.5, 6.2).
pub const NAME_CHARS_MAX: usize = 256;
/// Characters of a sound that are kept and compared.
pub const SOUND_CHARS_MAX: usize = 16;
/// Characters of a look that make a key.
const LOOK_KEY_CHARS_MAX: usize = 8;
/// Readings kept of one character.
const READINGS_MAX: usize = 4;
/// Ways to spell one run of characters, when some have several readings.
const SPELLINGS_MAX: usize = 8;
/// Keys of one name.
const KEYS_MAX: usize = 512;

/// What a name looks like; empty for a name without a letter. See the module.
pub fn look(name: &str) -> String {
    let mut look = String::with_capacity(name.len() + 2);
    look.push('=');
    for c in folded(name) {
        if c == '=' && look.ends_with('=') {
            continue;
        }
        if !is_separator(c) {
            look.push(c);
        }
    }
    if !look.ends_with('=') {
        look.push('=');
    }
    if look == "=" { String::new() } else { look }
}

/// How a name may be spelled: each run of characters that begins at an ideograph or a word, as it
/// is written, in pinyin under every reading, and by its initials. Sorted.
pub fn sounds(name: &str) -> BTreeSet<String> {
    let mut sounds = BTreeSet::new();
    for group in units(name) {
        let mut rest = group.as_slice();
        while let Some((_, after)) = rest.split_first() {
            spell(rest, &mut sounds);
            rest = after;
            if sounds.len() >= KEYS_MAX {
                return sounds;
            }
        }
    }
    sounds
}

/// How the whole of one component group of a [`look`] may be spelled out in letters, under every
/// reading of its characters; never by initials alone. Cut at [`SOUND_CHARS_MAX`]. Sorted.
pub fn spellings(group: &str) -> BTreeSet<String> {
    let mut full = Spellings::default();
    for unit in units(group).iter().flatten() {
        match unit {
            Unit::Word(word) => full.extend(&[&word.replace('ü', "v")]),
            Unit::Ideograph(c) => {
                let readings = readings(*c);
                if readings.is_empty() {
                    full.extend(&[&c.to_string()]);
                } else {
                    full.extend(&readings.iter().map(String::as_str).collect::<Vec<_>>());
                }
            }
        }
    }
    full.0.into_iter().filter(|spelling| !spelling.is_empty()).collect()
}

/// The keys under which an index keeps a name: its [`sounds`]; the beginning of each group after
/// `^`; after `~`, the beginning of every part of a group that begins with another letter than an
/// ideograph.
pub fn keys(name: &str) -> BTreeSet<String> {
    let mut keys = sounds(name);
    for group in look(name).split('=').filter(|group| !group.is_empty()) {
        keys.insert(std::iter::once('^').chain(group.chars().take(LOOK_KEY_CHARS_MAX)).collect());
        for (at, c) in group.char_indices() {
            if !is_ideograph(c) && keys.len() < KEYS_MAX {
                let part = group.get(at..).unwrap_or_default();
                keys.insert(
                    std::iter::once('~').chain(part.chars().take(LOOK_KEY_CHARS_MAX)).collect(),
                );
            }
        }
    }
    keys
}

/// The pattern that a [`look`] must fit: `*` and `?` as in the question, everything else folded.
/// None if it asks for nothing. It fits anywhere between the borders of groups.
pub fn pattern(question: &str) -> Option<String> {
    let folded: String = folded(question).filter(|&c| !is_separator(c)).collect();
    let asked = folded.trim_matches('=');
    asked.chars().any(|c| c != '*').then(|| format!("*={asked}=*"))
}

/// What a [`look`] must contain to be equal to `question`. None if it asks for nothing.
pub fn equal(question: &str) -> Option<String> {
    let look = look(question);
    (!look.is_empty()).then_some(look)
}

/// The words of a fuzzy question; each must begin one of the [`sounds`].
pub fn words(question: &str) -> Vec<String> {
    let plain: String = folded(question).filter(|c| !matches!(c, '*' | '?')).collect();
    plain
        .split(|c| c == '=' || is_separator(c))
        .filter(|word| !word.is_empty())
        .map(|word| word.replace('ü', "v").chars().take(SOUND_CHARS_MAX).collect())
        .collect()
}

/// The beginnings of keys that every name that fits `pattern` (of [`pattern`]) has, the most telling
/// first; none if only a look at all names can tell.
pub fn pattern_keys(pattern: &str) -> Vec<String> {
    let inner = pattern.strip_prefix("*=").and_then(|rest| rest.strip_suffix("=*"));
    let parts = inner.unwrap_or_default().split(['*', '?', '=']).enumerate();
    let mut keys: Vec<_> = parts.filter_map(|(at, part)| literal_key(part, at == 0)).collect();
    keys.sort_by_key(|key| std::cmp::Reverse(weight(key)));
    keys
}

/// The beginning of the keys of every name that contains `look` (of [`equal`]).
pub fn equal_key(look: &str) -> Option<String> {
    look.split('=').filter_map(|group| literal_key(group, true)).max_by_key(|key| weight(key))
}

/// How much a key narrows the search: an ideograph is one of thousands, a letter one of 26.
fn weight(key: &str) -> usize {
    key.chars().map(|c| if is_ideograph(c) { 4 } else { 1 }).sum()
}

fn literal_key(part: &str, anchored: bool) -> Option<String> {
    let first = part.chars().next()?;
    let mark = match (anchored, is_ideograph(first)) {
        (true, _) => "^",
        (false, true) => "",
        (false, false) => "~",
    };
    Some(mark.chars().chain(part.chars().take(LOOK_KEY_CHARS_MAX)).collect())
}

/// The characters of a name, one form each. Separators stand as they are, but folded as well.
fn folded(name: &str) -> impl Iterator<Item = char> + '_ {
    name.chars()
        .take(NAME_CHARS_MAX)
        .nfkc()
        .flat_map(char::to_lowercase)
        .map(|c| if c == '\\' { '=' } else { simplified(c) })
        .take(NAME_CHARS_MAX)
}

fn simplified(c: char) -> char {
    // The conversion knows characters of three bytes only.
    if c.len_utf8() != 3 || !is_ideograph(c) {
        return c;
    }
    fast2s::convert(c.encode_utf8(&mut [0; 4])).chars().next().unwrap_or(c)
}

/// Whether `c` only parts the components of a name: `^`, spaces, the dots between the parts of a
/// transcribed name in all their codes, points, commas, hyphens and apostrophes.
fn is_separator(c: char) -> bool {
    c.is_whitespace()
        || c.is_control()
        || matches!(
            c,
            '^' | '\u{B7}'
                | '\u{2010}'
                | '\u{2011}'
                | '\u{2019}'
                | '\u{2022}'
                | '\u{2027}'
                | '\u{2219}'
                | '\u{22C5}'
                | '\u{2E31}'
                | '\u{30FB}'
                | '.'
                | ','
                | '-'
                | '\''
                | '、'
        )
}

fn is_ideograph(c: char) -> bool {
    matches!(c,
        '\u{3007}' | '\u{3400}'..='\u{9FFF}' | '\u{F900}'..='\u{FAFF}' | '\u{20000}'..='\u{3FFFF}')
}

/// What a name is spelled from.
#[derive(Debug)]
enum Unit {
    Ideograph(char),
    Word(String),
}

/// The units of each component group.
fn units(name: &str) -> Vec<Vec<Unit>> {
    let mut groups = vec![Vec::new()];
    let mut word = String::new();
    // The separator at the end closes the last word.
    for c in folded(name).chain(std::iter::once('=')) {
        let ends = c == '=' || is_separator(c) || is_ideograph(c);
        let Some(group) = groups.last_mut() else { break };
        if !ends {
            word.push(c);
            continue;
        }
        if !word.is_empty() {
            group.push(Unit::Word(std::mem::take(&mut word)));
        }
        if is_ideograph(c) {
            group.push(Unit::Ideograph(c));
        } else if c == '=' {
            groups.push(Vec::new());
        }
    }
    groups
}

/// Adds the ways to write what begins with the first of `units`.
fn spell(units: &[Unit], sounds: &mut BTreeSet<String>) {
    let mut written = Spellings::default();
    let mut full = Spellings::default();
    let mut initials = Spellings::default();
    for unit in units.iter().take(SOUND_CHARS_MAX) {
        match unit {
            Unit::Word(word) => {
                let spelled = word.replace('ü', "v");
                written.extend(&[&spelled]);
                full.extend(&[&spelled]);
                initials.extend(&[initial(&spelled)]);
            }
            Unit::Ideograph(c) => {
                let own = c.to_string();
                written.extend(&[&own]);
                let readings = readings(*c);
                if readings.is_empty() {
                    full.extend(&[&own]);
                    initials.extend(&[&own]);
                } else {
                    let letters: BTreeSet<_> = readings.iter().map(|r| initial(r)).collect();
                    full.extend(&readings.iter().map(String::as_str).collect::<Vec<_>>());
                    initials.extend(&letters.into_iter().collect::<Vec<_>>());
                }
            }
        }
    }
    for spelling in written.0.into_iter().chain(full.0).chain(initials.0) {
        sounds.insert(spelling);
    }
}

fn initial(word: &str) -> &str {
    word.chars().next().and_then(|c| word.get(..c.len_utf8())).unwrap_or_default()
}

/// Readings of `c` without tones; `ü` is typed `v`, and on passports `yu` or `u`.
fn readings(c: char) -> Vec<String> {
    let mut readings = Vec::new();
    for reading in c.to_pinyin_multi().into_iter().flatten().map(pinyin::Pinyin::plain) {
        let typed = if reading.contains('ü') {
            vec![reading.replace('ü', "v"), reading.replace('ü', "u")]
        } else {
            vec![reading.to_owned()]
        };
        for reading in typed {
            if !readings.contains(&reading) && readings.len() < READINGS_MAX {
                readings.push(reading);
            }
        }
    }
    readings
}

/// The spellings of a run that grows, cut at [`SOUND_CHARS_MAX`] and [`SPELLINGS_MAX`].
#[derive(Debug)]
struct Spellings(Vec<String>);

impl Default for Spellings {
    fn default() -> Self {
        Self(vec![String::new()])
    }
}

impl Spellings {
    fn extend(&mut self, ways: &[&str]) {
        let mut longer = Vec::with_capacity(self.0.len());
        for way in ways {
            for spelling in &self.0 {
                let spelling: String =
                    spelling.chars().chain(way.chars()).take(SOUND_CHARS_MAX).collect();
                if longer.len() < SPELLINGS_MAX && !longer.contains(&spelling) {
                    longer.push(spelling);
                }
            }
        }
        if !longer.is_empty() {
            self.0 = longer;
        }
    }
}

#[cfg(test)]
#[path = "name_tests.rs"]
mod tests;
