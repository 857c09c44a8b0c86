//! A look-up index over names, shared by medicines, findings and conditions.
//!
//! [`NameIndex::exact`] answers "is this that name?", [`NameIndex::search`] answers "what did the
//! doctor begin to type?": Chinese, English, code, full pinyin, pinyin initials or a mixture. A
//! character with several readings matches under each of them. The last tier forgives one slip of
//! the keyboard (or characters that sound alike); such hits say so and are never exact.
//!
//! Deliberately absent: any knowledge of what a name means. Dosage forms and salts are the
//! business of [`super::prescription`].

use std::collections::{BTreeMap, HashMap};

use pinyin::ToPinyinMulti as _;

use crate::tables::text::fold;

/// Longest query that is searched, in characters after folding. Longer ones find nothing.
pub const QUERY_CHARS_MAX: usize = 48;
/// Most hits one search returns, whatever the caller asks for.
pub const HITS_MAX: usize = 100;
/// Longest text [`NameIndex::within`] looks through, in bytes.
pub const TEXT_BYTES_MAX: usize = 4096;
/// Readings kept of one character.
const READINGS_MAX: usize = 8;
/// Shortest Chinese and shortest Latin query that may match with one slip.
const FUZZY_CHARS_MIN: (usize, usize) = (3, 5);

/// The bonus of a query that spells a name from its first character to its last.
const WHOLE: u32 = 63;

/// What a name is to its owner; a better kind ranks first among equal matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NameKind {
    /// The name shown to people.
    Primary,
    /// Another name in use.
    Alias,
    /// The English name.
    English,
    /// A code or slug.
    Code,
}

/// How a name matched, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tier {
    /// The whole name.
    Exact,
    /// The name begins with the query.
    Prefix,
    /// The query stands inside the name.
    Substring,
    /// Syllables in full: `amoxilin`, `toubao`.
    Pinyin,
    /// First letters of syllables: `amxl`.
    Initials,
    /// Characters, syllables and first letters mixed: `阿mox`.
    Mixed,
    /// One slip away, or the same sounds in other characters. A suggestion, never an answer.
    Fuzzy,
}

/// One found name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit {
    /// Whose name it is.
    pub id: u32,
    /// Higher is better; comparable within one search only.
    pub score: u32,
    /// How the name matched.
    pub tier: Tier,
    /// The name that matched, as it was added.
    pub matched_name: String,
}

impl Hit {
    /// Whether the hit rests on forgiving a slip.
    pub fn is_fuzzy(&self) -> bool {
        self.tier == Tier::Fuzzy
    }
}

/// Collects names for a [`NameIndex`].
#[derive(Debug, Default)]
pub struct NameIndexBuilder {
    names: Vec<(u32, String, NameKind)>,
}

/// The index. Immutable; ids are the caller's own.
#[derive(Debug, Default)]
pub struct NameIndex {
    entries: Vec<Entry>,
    /// One for each of `entries`.
    glances: Vec<Glance>,
    /// Places of `entries` in the order of their keys.
    by_key: Vec<u32>,
    readings: Vec<Vec<&'static str>>,
}

#[derive(Debug)]
struct Entry {
    id: u32,
    kind: NameKind,
    name: Box<str>,
    key: Box<str>,
    /// Each character of `key` with the place of its readings in `NameIndex::readings`.
    chars: Box<[(char, u16)]>,
}

/// What tells at a glance that a name cannot match: kept apart from the names, so that looking
/// through thousands of them touches little memory.
#[derive(Debug, Clone, Copy)]
struct Glance {
    /// The characters of the key, as [`mask`] has them.
    mask: u64,
    /// How many there are.
    length: usize,
}

/// Characters as bits: what is in a text has its bit there. Another may have the same bit, so a
/// missing bit is proof and a bit is none.
fn mask(chars: impl IntoIterator<Item = char>) -> u64 {
    chars.into_iter().fold(0, |mask, c| mask | bit_of(c))
}

fn bit_of(c: char) -> u64 {
    // The top six bits of a multiplication that mixes all of them (Fibonacci hashing).
    1 << (u32::from(c).wrapping_mul(0x9E37_79B9) >> 26)
}

impl NameIndexBuilder {
    /// Adds one name. A name that folds to nothing is left out.
    #[must_use]
    pub fn add(mut self, id: u32, name: &str, kind: NameKind) -> Self {
        self.push(id, name, kind);
        self
    }

    /// Adds one name, for loops.
    pub fn push(&mut self, id: u32, name: &str, kind: NameKind) {
        self.names.push((id, name.to_owned(), kind));
    }

    /// Builds the index. The order in which names were added does not matter.
    pub fn build(self) -> NameIndex {
        let mut index = NameIndex { readings: vec![Vec::new()], ..NameIndex::default() };
        let mut known: HashMap<char, u16> = HashMap::new();
        for (id, name, kind) in self.names {
            let key = key(&name);
            if key.is_empty() {
                continue;
            }
            let chars = key.chars().map(|c| {
                let place = *known.entry(c).or_insert_with(|| {
                    let readings = readings(c);
                    // Beyond 65,535 different characters one is matched by itself alone.
                    match u16::try_from(index.readings.len()) {
                        Ok(place) if !readings.is_empty() => {
                            index.readings.push(readings);
                            place
                        }
                        Ok(_) | Err(_) => 0,
                    }
                });
                (c, place)
            });
            let chars: Box<[(char, u16)]> = chars.collect();
            let (name, key) = (name.into_boxed_str(), key.into_boxed_str());
            index.entries.push(Entry { id, kind, name, key, chars });
        }
        index.entries.sort_by(|a, b| (a.id, a.kind, &a.name).cmp(&(b.id, b.kind, &b.name)));
        index.glances = (index.entries.iter())
            .map(|entry| Glance {
                mask: mask(entry.chars.iter().map(|(c, _)| *c)),
                length: entry.chars.len(),
            })
            .collect();
        index.by_key = (0..).take(index.entries.len()).collect();
        let entries = &index.entries;
        index.by_key.sort_by_key(|place| key_at(entries, *place));
        index
    }
}

fn key_at(entries: &[Entry], place: u32) -> &str {
    let entry = usize::try_from(place).ok().and_then(|place| entries.get(place));
    entry.map_or("", |entry| &entry.key)
}

impl NameIndex {
    /// An empty builder.
    pub fn builder() -> NameIndexBuilder {
        NameIndexBuilder::default()
    }

    /// Everyone of exactly this name, in ascending order. Width, case, traditional characters,
    /// spaces and hyphens do not matter.
    pub fn exact(&self, query: &str) -> Vec<u32> {
        let key = key(query);
        let first = self.by_key.partition_point(|at| key_at(&self.entries, *at) < key.as_str());
        let same = self.by_key.iter().skip(first);
        let entries = same.filter_map(|at| self.entries.get(usize::try_from(*at).ok()?));
        let mut ids: Vec<u32> =
            entries.take_while(|entry| *entry.key == *key).map(|entry| entry.id).collect();
        ids.sort_unstable();
        ids.dedup();
        ids
    }

    /// The best hit of each id, best first, at most `limit` (and [`HITS_MAX`]). The order is the
    /// same on every run. Fuzzy hits come only when nothing else matched.
    pub fn search(&self, query: &str, limit: usize) -> Vec<Hit> {
        if query.len() > TEXT_BYTES_MAX {
            return Vec::new();
        }
        let query = Query::new(key(query));
        if query.chars.is_empty() || query.chars.len() > QUERY_CHARS_MAX {
            return Vec::new();
        }
        // Only what is typed in letters can be the sound of something else.
        let may = |glance: &Glance| query.mask_unspelled & !glance.mask == 0;
        let sure = Self::rank(self.glanced(may), limit, |entry| self.sure(entry, &query));
        if sure.is_empty() && query.may_be_fuzzy() {
            let length = query.chars.len();
            let may = |glance: &Glance| match glance.length.abs_diff(length) {
                0 => true,
                // One slip: at most one character is not in the name.
                1 => (query.mask & !glance.mask).count_ones() <= 1,
                _ => false,
            };
            return Self::rank(self.glanced(may), limit, |entry| self.fuzzy(entry, &query));
        }
        sure
    }

    /// Names of at least three characters that stand inside `text`, longest first, one per id:
    /// a last resort for a text that holds a name among words nobody knows.
    pub fn within(&self, text: &str, limit: usize) -> Vec<Hit> {
        if text.len() > TEXT_BYTES_MAX {
            return Vec::new();
        }
        let text = key(text);
        let places = text.char_indices().filter_map(|(start, _)| text.get(start..));
        let inside = places.flat_map(|rest| self.beginning(rest));
        Self::rank(inside, limit, |entry| {
            let length = entry.chars.len();
            let found = length >= 3 && entry.kind != NameKind::Code;
            found.then(|| (Tier::Fuzzy, cap(length) * 8))
        })
    }

    /// Entries that a glance does not rule out.
    fn glanced(&self, may: impl Fn(&Glance) -> bool) -> impl Iterator<Item = &Entry> {
        let both = self.glances.iter().zip(&self.entries);
        both.filter(move |(glance, _)| may(glance)).map(|(_, entry)| entry)
    }

    /// Entries whose whole key stands at the beginning of `text`.
    fn beginning(&self, text: &str) -> Vec<&Entry> {
        let mut found = Vec::new();
        let mut range = self.by_key.as_slice();
        for (start, c) in text.char_indices() {
            // What is left are the keys that begin with what was read so far.
            let read = text.get(..start + c.len_utf8()).unwrap_or_default();
            let first = range.partition_point(|at| key_at(&self.entries, *at) < read);
            range = range.get(first..).unwrap_or_default();
            let end = range.partition_point(|at| key_at(&self.entries, *at).starts_with(read));
            range = range.get(..end).unwrap_or_default();
            if range.is_empty() {
                break;
            }
            let entries =
                range.iter().filter_map(|at| self.entries.get(usize::try_from(*at).ok()?));
            found.extend(entries.take_while(|entry| *entry.key == *read));
        }
        found
    }

    /// Runs `judge` over entries and keeps the best verdict for each id.
    fn rank<'a>(
        entries: impl IntoIterator<Item = &'a Entry>,
        limit: usize,
        judge: impl Fn(&Entry) -> Option<(Tier, u32)>,
    ) -> Vec<Hit> {
        let mut best: BTreeMap<u32, (u32, Tier, &Entry)> = BTreeMap::new();
        for entry in entries {
            let Some((tier, bonus)) = judge(entry) else { continue };
            let score = score(tier, entry.kind, bonus);
            let place = best.entry(entry.id).or_insert((score, tier, entry));
            if score > place.0 {
                *place = (score, tier, entry);
            }
        }
        let mut hits: Vec<Hit> = best
            .into_iter()
            .map(|(id, (score, tier, entry))| Hit {
                id,
                score,
                tier,
                matched_name: entry.name.to_string(),
            })
            .collect();
        // Ids are places in a table, where what is common stands first.
        hits.sort_by(|a, b| (b.score, a.id).cmp(&(a.score, b.id)));
        hits.truncate(limit.min(HITS_MAX));
        hits
    }

    fn sure(&self, entry: &Entry, query: &Query) -> Option<(Tier, u32)> {
        let closeness = 63 - cap(entry.chars.len().saturating_sub(query.chars.len()));
        if *entry.key == *query.key {
            return Some((Tier::Exact, closeness));
        }
        if entry.key.len() > query.key.len() {
            if entry.key.starts_with(&query.key) {
                return Some((Tier::Prefix, closeness));
            }
            if entry.key.contains(&query.key) && (!query.is_latin || query.chars.len() >= 2) {
                return Some((Tier::Substring, closeness));
            }
        }
        if !query.has_latin || entry.chars.iter().all(|(_, place)| *place == 0) {
            return None;
        }
        // Mixed accepts all that the stricter ways accept, and most names fail it at once.
        let mixed = self.spelled(entry, query, Ways { full: true, initials: true })?;
        let strict = [
            (Tier::Pinyin, Ways { full: true, initials: false }),
            (Tier::Initials, Ways { full: false, initials: true }),
        ];
        for (tier, ways) in strict {
            if query.is_latin
                && let Some(bonus) = self.spelled(entry, query, ways)
            {
                return Some((tier, bonus));
            }
        }
        Some((Tier::Mixed, mixed))
    }

    /// Matches the query against the spellings of a name from each of its characters on. The
    /// bonus prefers a match from the start, then one that leaves little of the name over.
    fn spelled(&self, entry: &Entry, query: &Query, ways: Ways) -> Option<u32> {
        let starts = if query.chars.len() < 2 { 1 } else { entry.chars.len() };
        for start in 0..starts {
            let mut reached = Reached::begin();
            for (used, (c, place)) in entry.chars.iter().skip(start).enumerate() {
                let readings =
                    self.readings.get(usize::from(*place)).map_or(&[][..], Vec::as_slice);
                reached = reached.step(query, *c, readings, ways);
                if reached.complete {
                    let over = entry.chars.len() - start - used - 1;
                    let from_start = if start == 0 { 32 } else { 0 };
                    return Some(from_start + (WHOLE - 32).saturating_sub(cap(over + start)));
                }
                if reached.places == 0 {
                    break;
                }
            }
        }
        None
    }

    fn fuzzy(&self, entry: &Entry, query: &Query) -> Option<(Tier, u32)> {
        if entry.kind == NameKind::Code {
            return None;
        }
        if self.sounds_alike(entry, query) {
            return Some((Tier::Fuzzy, 2));
        }
        let (a, b) = (&query.chars, &entry.chars);
        if a.len().abs_diff(b.len()) > 1 || b.len() < query.fuzzy_chars_min() {
            return None;
        }
        let front = a.iter().zip(b).take_while(|(x, (y, _))| *x == y).count();
        let back = a.iter().rev().zip(b.iter().rev()).take_while(|(x, (y, _))| *x == y).count();
        // One slip leaves all but one character (all but two, swapped) in place.
        let near = front + back + 2 >= a.len().max(b.len());
        (near && strsim::osa_distance(&query.key, &entry.key) <= 1).then_some((Tier::Fuzzy, 1))
    }

    fn sounds_alike(&self, entry: &Entry, query: &Query) -> bool {
        !query.is_latin
            && query.chars.len() == entry.chars.len()
            && query.chars.iter().zip(&query.readings).zip(&entry.chars).all(
                |((c, mine), (d, place))| {
                    c == d
                        || self
                            .readings
                            .get(usize::from(*place))
                            .is_some_and(|theirs| mine.iter().any(|r| theirs.contains(r)))
                },
            )
    }
}

/// A folded query with what the matchers ask of it.
struct Query {
    key: String,
    chars: Vec<char>,
    readings: Vec<Vec<&'static str>>,
    has_latin: bool,
    is_latin: bool,
    /// All its characters, as [`mask`] has them.
    mask: u64,
    /// Those that cannot spell another.
    mask_unspelled: u64,
}

impl Query {
    fn new(key: String) -> Self {
        let chars: Vec<char> = key.chars().take(QUERY_CHARS_MAX + 1).collect();
        let readings = chars.iter().map(|c| readings(*c)).collect();
        let has_latin = chars.iter().any(char::is_ascii_alphabetic);
        let is_latin = has_latin && chars.iter().all(char::is_ascii);
        let mask_unspelled = mask(chars.iter().copied().filter(|c| !c.is_ascii()));
        let mask = mask(chars.iter().copied());
        Self { key, chars, readings, has_latin, is_latin, mask, mask_unspelled }
    }

    fn fuzzy_chars_min(&self) -> usize {
        if self.is_latin { FUZZY_CHARS_MIN.1 } else { FUZZY_CHARS_MIN.0 }
    }

    fn may_be_fuzzy(&self) -> bool {
        self.chars.len() >= self.fuzzy_chars_min() && self.chars.iter().any(|c| !c.is_ascii_digit())
    }
}

/// Which spellings of a character count, besides the character itself.
#[derive(Clone, Copy)]
struct Ways {
    full: bool,
    initials: bool,
}

/// How much of the query the characters so far can have used: bit `n` for `n` characters.
#[derive(Clone, Copy)]
struct Reached {
    places: u64,
    complete: bool,
}

impl Reached {
    fn begin() -> Self {
        Self { places: 1, complete: false }
    }

    fn step(self, query: &Query, c: char, readings: &[&str], ways: Ways) -> Self {
        let mut next = Self { places: 0, complete: false };
        for place in 0..query.chars.len() {
            if self.places & bit(place) == 0 {
                continue;
            }
            let rest = query.chars.get(place..).unwrap_or_default();
            if rest.first() == Some(&c) {
                next.places |= bit(place + 1);
            }
            for reading in readings {
                if ways.full {
                    let common = rest.iter().zip(reading.chars()).take_while(|(a, b)| *a == b);
                    let common = common.count();
                    if common == reading.len() {
                        next.places |= bit(place + common);
                    } else if common == rest.len() {
                        // The last syllable is still being typed.
                        next.complete = true;
                    }
                }
                if ways.initials {
                    let mut letters = reading.chars();
                    if rest.first() == letters.next().as_ref() {
                        next.places |= bit(place + 1);
                        if letters.next() == Some('h') && rest.get(1) == Some(&'h') {
                            next.places |= bit(place + 2);
                        }
                    }
                }
            }
        }
        next.complete |= next.places & bit(query.chars.len()) != 0;
        next
    }
}

/// The form under which names meet: folded, without spaces and hyphens.
fn key(name: &str) -> String {
    let mut folded = fold(name);
    folded.retain(|c| !(c.is_whitespace() || c.is_control() || is_hyphen(c)));
    folded
}

fn is_hyphen(c: char) -> bool {
    matches!(c, '-' | '\u{2010}'..='\u{2015}' | '\u{2212}' | '_' | '·' | '・' | '•')
}

/// The readings of a character without tones; `ü` is typed `v` and by some `u`.
fn readings(c: char) -> Vec<&'static str> {
    let mut out: Vec<&'static str> = Vec::new();
    for reading in c.to_pinyin_multi().into_iter().flatten() {
        let plain = reading.plain();
        let variants: &[&'static str] = match plain {
            "lü" | "lv" => &["lv", "lu"],
            "nü" | "nv" => &["nv", "nu"],
            "lüe" | "lve" => &["lve", "lue"],
            "nüe" | "nve" => &["nve", "nue"],
            _ => &[plain],
        };
        for variant in variants {
            if out.len() < READINGS_MAX && !out.contains(variant) {
                out.push(variant);
            }
        }
    }
    out
}

fn score(tier: Tier, kind: NameKind, bonus: u32) -> u32 {
    // Who types the whole of a name's sounds or initials means that name, before any English word
    // that only begins with the same letters.
    let whole = bonus == WHOLE && kind != NameKind::Code;
    let tier = match tier {
        Tier::Exact => 7,
        Tier::Prefix => 6,
        Tier::Pinyin | Tier::Initials if whole => 6,
        Tier::Substring => 5,
        Tier::Pinyin => 4,
        Tier::Initials => 3,
        Tier::Mixed => 2,
        Tier::Fuzzy => 1,
    };
    let kind = match kind {
        NameKind::Primary => 3,
        NameKind::Alias => 2,
        NameKind::English => 1,
        NameKind::Code => 0,
    };
    tier * 1000 + bonus.min(127) * 4 + kind
}

fn bit(place: usize) -> u64 {
    u32::try_from(place).ok().and_then(|p| 1_u64.checked_shl(p)).unwrap_or(0)
}

fn cap(length: usize) -> u32 {
    u32::try_from(length.min(63)).unwrap_or(63)
}

#[cfg(test)]
#[path = "names_tests.rs"]
mod tests;
