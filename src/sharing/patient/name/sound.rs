//! How names sound: syllables of pinyin without tones, with every reading of a character that has
//! several, except that a surname is read as a surname (单 shan, 仇 qiu, 解 xie).

use pinyin::ToPinyinMulti as _;

use super::normal::is_ideograph;
use super::tables::NameTables;

/// Syllables of a name that are kept.
pub const SYLLABLES_MAX: usize = 16;
/// Letters of a syllable at most (zhuang).
const LETTERS_MAX: usize = 6;
/// Ways of writing one name out.
const SPELLINGS_MAX: usize = 6;
/// Readings kept of one character.
const READINGS_MAX: usize = 4;

/// A syllable of at most six letters in four bytes, so that millions of names can be compared in
/// memory. Zero is a character that has no reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Syllable(u32);

impl Syllable {
    /// A character without a reading: sounds like nothing else.
    pub const SILENT: Self = Self(0);

    /// Packs the letters; none unless there are one to six of them. `ü` and `v` are the same.
    pub fn new(letters: &str) -> Option<Self> {
        let mut packed = 0_u32;
        let mut count = 0;
        for c in letters.chars() {
            let c = if c == 'ü' { 'v' } else { c };
            if !c.is_ascii_lowercase() || count == LETTERS_MAX {
                return None;
            }
            packed = packed * 27 + (u32::from(c) - u32::from('a') + 1);
            count += 1;
        }
        (count > 0).then_some(Self(packed))
    }

    /// Of a packed reading, first or further.
    pub(super) fn of(packed: u32) -> Self {
        Self(packed & !FURTHER)
    }

    /// The letters.
    pub fn letters(self) -> String {
        let mut rest = self.0;
        let mut reversed = Vec::with_capacity(LETTERS_MAX);
        while rest > 0 && reversed.len() < LETTERS_MAX {
            let letter = char::from_u32(u32::from('a') + (rest % 27).max(1) - 1);
            reversed.extend(letter);
            rest /= 27;
        }
        reversed.iter().rev().collect()
    }

    /// Folds what speakers of Gan and of the south hear as one: retroflex and flat initials, n and l,
    /// h and f, front and back nasals.
    #[must_use]
    pub fn as_heard(self) -> Self {
        let letters = self.letters();
        let rest = |n: usize| letters.get(n..).unwrap_or_default();
        let begun = if letters.starts_with("zh") {
            format!("z{}", rest(2))
        } else if letters.starts_with("ch") {
            format!("c{}", rest(2))
        } else if letters.starts_with("sh") {
            format!("s{}", rest(2))
        } else if letters.starts_with('n') && letters.len() > 1 {
            format!("l{}", rest(1))
        } else if letters.starts_with("hu") && letters.len() > 2 {
            // 黄 and 方, 胡 and 扶.
            format!("f{}", rest(2))
        } else if letters == "hu" {
            "fu".to_owned()
        } else {
            letters.clone()
        };
        let ended = ["ang", "eng", "ing"].iter().find(|end| begun.ends_with(**end));
        let heard = match ended {
            Some(_) => begun.get(..begun.len() - 1).unwrap_or_default(),
            None => &begun,
        };
        Self::new(heard).unwrap_or(self)
    }
}

/// Set on a kept syllable that is a further reading of the character before it.
pub(super) const FURTHER: u32 = 1 << 31;

/// The readings of each character of `folded`, a name in its folded form, packed one after the
/// other with [`FURTHER`] on all but a character's first; empty unless it is written in ideographs.
pub(super) fn readings_of(folded: &str, tables: &NameTables) -> Vec<u32> {
    if !folded.chars().any(is_ideograph) {
        return Vec::new();
    }
    let surname_chars = tables.surname_chars(folded);
    let surname: String = folded.chars().take(surname_chars).collect();
    let of_surname = tables.readings(&surname);
    let mut packed = Vec::with_capacity(4);
    for (at, c) in folded.chars().take(SYLLABLES_MAX).enumerate() {
        let own;
        let readings = if let Some(readings) = of_surname.and_then(|readings| readings.get(at)) {
            readings
        } else {
            own = readings(c);
            &own
        };
        for (n, syllable) in readings.iter().take(READINGS_MAX).enumerate() {
            packed.push(if n == 0 { syllable.0 } else { syllable.0 | FURTHER });
        }
    }
    packed
}

/// The readings of each character, of what [`readings_of`] packed.
pub(super) fn characters(packed: &[u32]) -> impl Iterator<Item = &[u32]> {
    packed.chunk_by(|_, next| next & FURTHER != 0)
}

/// How a name may be written out in letters, under every reading of its characters, at most
/// [`SPELLINGS_MAX`] ways.
pub(super) fn spellings(packed: &[u32]) -> Vec<String> {
    let mut ways = vec![String::new()];
    for readings in characters(packed) {
        let mut longer = Vec::with_capacity(ways.len());
        for reading in readings {
            let letters = Syllable::of(*reading).letters();
            // Who cannot type ü writes u.
            let plain = letters.contains('v').then(|| letters.replace('v', "u"));
            for letters in [Some(letters), plain].into_iter().flatten() {
                for way in &ways {
                    if longer.len() < SPELLINGS_MAX {
                        longer.push(format!("{way}{letters}"));
                    }
                }
            }
        }
        ways = longer;
    }
    ways.retain(|way| !way.is_empty());
    ways
}

fn readings(c: char) -> Vec<Syllable> {
    let mut found = Vec::new();
    for reading in c.to_pinyin_multi().into_iter().flatten() {
        // ê, m, ng and the like are no syllables of names.
        if let Some(syllable) = Syllable::new(reading.plain())
            && !found.contains(&syllable)
            && found.len() < READINGS_MAX
        {
            found.push(syllable);
        }
    }
    if found.is_empty() {
        found.push(Syllable::SILENT);
    }
    found
}
