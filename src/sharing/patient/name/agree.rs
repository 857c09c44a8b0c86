//! How far two names agree.

use std::fmt;

use super::normal::{DOT, LOST};
use super::sound::{Syllable, characters, spellings};

/// Jaro-Winkler similarity from which two names in letters are close.
const LETTERS_CLOSE: f64 = 0.92;
/// Characters from which a name may differ by two slips; names that are written by their sound.
const LONG_CHARS: usize = 5;

/// How far two names agree, the closest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Agreement {
    /// The same characters.
    Exact,
    /// The same but for variant, traditional or capital characters, separators, or the order of
    /// words in letters.
    Variant,
    /// The same sound without tones, in characters or in pinyin.
    Sound,
    /// The same sound if some character is read in another of its ways (青 as jing).
    Reading,
    /// One slip away: a character more, less, lost, other (in names of three or more) or changed
    /// places; the same to southern ears; or one part of a long name.
    Near,
    /// The surname, or one character of two, is the same and nothing else.
    Surname,
    /// Nothing of that.
    Other,
}

impl Agreement {
    /// All, the closest first.
    pub const ALL: [Self; 7] = [
        Self::Exact,
        Self::Variant,
        Self::Sound,
        Self::Reading,
        Self::Near,
        Self::Surname,
        Self::Other,
    ];

    /// Its name in `parameters.csv`.
    pub fn id(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Variant => "variant",
            Self::Sound => "sound",
            Self::Reading => "reading",
            Self::Near => "near",
            Self::Surname => "surname",
            Self::Other => "other",
        }
    }
}

/// What is compared of a name. `Debug` does not print it.
#[derive(Clone, Copy)]
pub struct NameView<'n> {
    /// See [`super::Name::text`].
    pub text: &'n str,
    /// See [`super::Name::folded`].
    pub folded: &'n str,
    /// Readings of each character, packed; empty for a name in letters.
    pub readings: &'n [u32],
}

impl fmt::Debug for NameView<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NameView").finish_non_exhaustive()
    }
}

impl NameView<'_> {
    /// How it may be written out in letters, at most a few ways: in pinyin, or as it is with its
    /// words in either order. One of whose characters no reading is known is written as it is, so that
    /// it is found at all.
    pub fn spellings(&self) -> Vec<String> {
        if !self.readings.is_empty() {
            let ways = spellings(self.readings);
            return if ways.is_empty() { vec![self.folded.to_owned()] } else { ways };
        }
        let mut words: Vec<String> = self.text.split(' ').map(letters).collect();
        let mut ways = vec![words.concat()];
        if words.len() > 1 {
            words.rotate_right(1);
            ways.push(words.concat());
            // Two words are back where they were.
            let by = 2 % words.len();
            words.rotate_left(by);
            ways.push(words.concat());
        }
        ways.retain(|way| !way.is_empty());
        ways.sort_unstable();
        ways.dedup();
        ways
    }

    /// How its first and its last character, or word in letters, may sound.
    pub fn ends(&self) -> [Vec<String>; 2] {
        if self.readings.is_empty() {
            let word = |word: Option<&str>| word.map(letters).into_iter().collect();
            return [word(self.text.split(' ').next()), word(self.text.split(' ').next_back())];
        }
        let all: Vec<&[u32]> = characters(self.readings).collect();
        [all.first(), all.last()].map(|one| one.map(|one| each(one)).unwrap_or_default())
    }
}

/// The readings of one character in letters.
fn each(readings: &[u32]) -> Vec<String> {
    let letters = readings.iter().map(|reading| Syllable::of(*reading).letters());
    letters.filter(|letters| !letters.is_empty()).collect()
}

/// In small letters, with ü as pinyin keyboards write it: on passports and in databases 吕 is Lü, Lyu or Lv.
fn letters(word: &str) -> String {
    let plain = word.chars().filter(|c| c.is_alphabetic()).flat_map(char::to_lowercase);
    let plain: String = plain.map(|c| if c == 'ü' { 'v' } else { c }).collect();
    plain.replace("lyu", "lv").replace("nyu", "nv")
}

/// How far two names agree; the same both ways.
pub fn agreement(a: NameView<'_>, b: NameView<'_>) -> Agreement {
    if a.text == b.text {
        return Agreement::Exact;
    }
    if a.folded == b.folded {
        return Agreement::Variant;
    }
    match (a.readings.is_empty(), b.readings.is_empty()) {
        (true, true) => in_letters(a, b),
        (false, false) => in_characters(a, b),
        (false, true) => across(a, b),
        (true, false) => across(b, a),
    }
}

/// Two names in letters.
fn in_letters(a: NameView<'_>, b: NameView<'_>) -> Agreement {
    let words = |name: &str| -> Vec<String> {
        let mut words: Vec<String> =
            name.split([' ', '-', DOT]).map(str::to_lowercase).filter(|w| !w.is_empty()).collect();
        words.sort_unstable();
        words
    };
    let (of_a, of_b) = (words(a.text), words(b.text));
    if of_a == of_b {
        Agreement::Variant
    } else if strsim::jaro_winkler(a.folded, b.folded) >= LETTERS_CLOSE {
        Agreement::Near
    } else if of_a.iter().any(|word| word.chars().nth(1).is_some() && of_b.contains(word)) {
        Agreement::Surname
    } else {
        Agreement::Other
    }
}

/// A name in characters and one in letters.
fn across(in_characters: NameView<'_>, in_letters: NameView<'_>) -> Agreement {
    let groups: Vec<&[u32]> = characters(in_characters.readings).collect();
    let orders = (0..groups.len().min(3)).map(|from| {
        let (front, back) = groups.split_at_checked(from).unwrap_or((&groups, &[]));
        // The given name first, and behind it a surname of one or two characters.
        [back, front].concat()
    });
    let mut orders = orders;
    if orders.any(|order| is_spelled(in_letters.folded, &order)) {
        Agreement::Sound
    } else {
        Agreement::Other
    }
}

/// Whether `letters` are one reading of each character, one after the other.
fn is_spelled(letters: &str, groups: &[&[u32]]) -> bool {
    let Some((first, rest)) = groups.split_first() else { return letters.is_empty() };
    first.iter().any(|reading| {
        let spelled = Syllable::of(*reading).letters();
        if spelled.is_empty() {
            return false;
        }
        // In letters ü is ü, v, u or yu.
        let ways = ["v", "ü", "u", "yu"].map(|way| spelled.replace('v', way));
        ways.iter()
            .any(|way| letters.strip_prefix(way.as_str()).is_some_and(|l| is_spelled(l, rest)))
    })
}

/// Two names in characters.
fn in_characters(a: NameView<'_>, b: NameView<'_>) -> Agreement {
    let (of_a, of_b): (Vec<char>, Vec<char>) =
        (a.folded.chars().collect(), b.folded.chars().collect());
    let (short, long) = (of_a.len().min(of_b.len()), of_a.len().max(of_b.len()));
    if short == long {
        let places: Vec<Place> = places(&of_a, &of_b, a.readings, b.readings);
        if places.iter().all(|place| *place <= Place::Sound) {
            return Agreement::Sound;
        }
        if places.iter().all(|place| *place <= Place::Reading) {
            return Agreement::Reading;
        }
        if places.iter().all(|place| *place <= Place::Heard) {
            return Agreement::Near;
        }
        let others = places.iter().filter(|place| **place > Place::Same).count();
        let lost = places.contains(&Place::Lost);
        if others == 1 && (short >= 3 || lost && short == 2) {
            return Agreement::Near;
        }
        if is_swapped(&of_a, &of_b) {
            return Agreement::Near;
        }
    } else if long == short + 1 && short >= 2 && strsim::osa_distance(a.folded, b.folded) == 1 {
        return Agreement::Near;
    }
    if short >= LONG_CHARS && strsim::osa_distance(a.folded, b.folded) <= 2 {
        return Agreement::Near;
    }
    if is_part(a, b) || is_part(b, a) {
        return Agreement::Near;
    }
    let shared =
        of_a.first() == of_b.first() || (long == 2 && short == 2 && of_a.last() == of_b.last());
    if shared { Agreement::Surname } else { Agreement::Other }
}

/// How one character agrees with that at its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Same,
    Sound,
    Reading,
    Heard,
    Lost,
    Other,
}

fn places(a: &[char], b: &[char], of_a: &[u32], of_b: &[u32]) -> Vec<Place> {
    let mut readings = characters(of_a).zip(characters(of_b));
    let mut places = Vec::with_capacity(a.len());
    for (x, y) in a.iter().zip(b) {
        let readings = readings.next();
        places.push(if x == y {
            Place::Same
        } else if *x == LOST || *y == LOST {
            Place::Lost
        } else {
            readings.map_or(Place::Other, |(x, y)| of_place(x, y))
        });
    }
    places
}

fn of_place(a: &[u32], b: &[u32]) -> Place {
    let meets = |heard: bool| {
        a.iter().any(|x| {
            b.iter().any(|y| {
                let (x, y) = (Syllable::of(*x), Syllable::of(*y));
                let known = x != Syllable::SILENT && y != Syllable::SILENT;
                known && if heard { x.as_heard() == y.as_heard() } else { x == y }
            })
        })
    };
    // The first reading is the usual one.
    let usual = a.first().zip(b.first()).is_some_and(|(x, y)| x == y && *x != 0);
    if usual {
        Place::Sound
    } else if meets(false) {
        Place::Reading
    } else if meets(true) {
        Place::Heard
    } else {
        Place::Other
    }
}

/// Whether two neighbours changed places and nothing else differs.
fn is_swapped(a: &[char], b: &[char]) -> bool {
    let differ: Vec<usize> =
        a.iter().zip(b).enumerate().filter(|(_, (x, y))| x != y).map(|(at, _)| at).collect();
    match differ.as_slice() {
        [first, second] if *second == first + 1 => {
            a.get(*first) == b.get(*second) && a.get(*second) == b.get(*first)
        }
        _ => false,
    }
}

/// Whether `part` is the first of the parts of `whole`, a name with dots.
fn is_part(part: NameView<'_>, whole: NameView<'_>) -> bool {
    part.folded.chars().nth(1).is_some()
        && whole.text.contains(DOT)
        && part.folded.len() < whole.folded.len()
        && whole.folded.starts_with(part.folded)
}
