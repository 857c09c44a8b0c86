//! The compiled words: findings and whole phrases in one automaton, cues in another.

use std::collections::{HashMap, HashSet};

use aho_corasick::{AhoCorasick, Anchored, Input, MatchKind, StartKind};

use super::composed::Tree;
use super::cues::{CUES, Cue, Cues, NORMALS};
use super::tokens::{Kind, tokenise};
use crate::medicine::patient::Measure;
use crate::medicine::vocabulary::{
    Comparison, FINDINGS, FindingId, FindingKind, Sense, Vocabulary,
};
use crate::tables::files::LoadError;
use crate::tables::text::fold;

/// Shortest English name that is looked for inside a text.
const ENGLISH_CHARS_MIN: usize = 5;

/// Words of the vocabulary and of the language, ready to match folded text.
#[derive(Debug, Clone)]
pub(super) struct Lexicon {
    known: AhoCorasick,
    entries: Vec<Known>,
    cues: AhoCorasick,
    cue_effects: Vec<Cue>,
    /// Folded wording to finding, for wordings that another word splits.
    words: HashMap<String, FindingId>,
    /// Findings that a high temperature entails: a bare number after one is a temperature.
    feverish: Vec<FindingId>,
    kinds: Vec<FindingKind>,
    /// The composed wordings.
    composed: Tree,
    /// Cues that a composed wording may begin with and give way over.
    heads: HashSet<String>,
    /// What the composed wordings say; `after` holds what entails a finding too, behind it.
    senses: Vec<Sense>,
    /// Names of laboratory values, folded: some are names of tests as well (白细胞).
    labels: HashMap<String, Measure>,
    /// What each normal state excludes.
    normals: Vec<Vec<FindingId>>,
}

/// A word of the first automaton.
#[derive(Debug, Clone)]
pub(super) struct Known {
    what: What,
    section: bool,
    affirmed: bool,
    timed: bool,
    /// Byte lengths of the cues the word begins with (没有呼吸: 没 and 没有, 有痰: 有).
    heads: Vec<usize>,
    edges: Edges,
}

/// The Latin letter or digit that a word begins and ends with.
#[derive(Debug, Clone, Copy)]
struct Edges {
    start: Option<char>,
    end: Option<char>,
}

/// What a word of the first automaton is.
#[derive(Debug, Clone, Copy)]
pub(super) enum What {
    /// A wording of a finding.
    Finding(FindingId),
    /// A composed wording that says several findings, or depends on what stands before it.
    Composed(usize),
    /// A phrase that is read and carries nothing.
    Phrase,
    /// A normal state, by its place among those of the table.
    Normal(usize),
    /// A cue that holds one of the other words (末梢血糖 holds 末梢血) and must go before it.
    Cue(Cue),
}

/// A word found in a text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Found {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) what: What,
    /// The same words begin a new part of the note (查体).
    pub(super) section: bool,
    /// Begins with 有, and so affirms itself.
    pub(super) affirmed: bool,
    /// Holds a number or a unit of time (发烧5天).
    pub(super) timed: bool,
    /// Which word of the dictionary; none for a composed one.
    entry: Option<usize>,
}

/// What the dictionary said about the text ahead.
#[derive(Debug, Clone, Copy)]
pub(super) enum Ahead {
    Unknown,
    Found(Found),
    Nothing,
}

impl Lexicon {
    pub(super) fn new(vocabulary: &Vocabulary, cues: &Cues) -> Result<Self, LoadError> {
        let (phrases, rest): (Vec<_>, Vec<_>) =
            cues.rows.iter().partition(|(_, cue)| *cue == Cue::Phrase);
        let (apart, second): (Vec<_>, Vec<_>) =
            rest.into_iter().partition(|(_, cue)| *cue == Cue::Apart);
        let mut feverish: Vec<FindingId> = vocabulary
            .measured()
            .iter()
            .filter(|row| row.measure == Measure::TemperatureC)
            .filter(|row| matches!(row.comparison, Comparison::AtLeast | Comparison::Above))
            .map(|row| row.finding)
            .collect();
        feverish.dedup();
        let mut lexicon = Self {
            known: automaton(&[], FINDINGS)?,
            entries: Vec::new(),
            cues: automaton(&texts(&second), CUES)?,
            cue_effects: second.iter().map(|(_, kind)| *kind).collect(),
            words: HashMap::new(),
            feverish,
            kinds: vocabulary.findings().map(|(_, finding)| finding.kind).collect(),
            composed: Tree::new(&vocabulary.wordings().texts),
            heads: second
                .iter()
                .filter(|(_, cue)| matches!(cue, Cue::Negation(_) | Cue::Positive))
                .map(|(text, _)| text.clone())
                .collect(),
            senses: senses(vocabulary),
            labels: second
                .iter()
                .filter_map(|(text, cue)| {
                    let Cue::Label(measure, None) = cue else { return None };
                    measure.is_laboratory().then(|| (text.clone(), *measure))
                })
                .collect(),
            normals: Vec::new(),
        };
        for normal in &cues.normals {
            let ids = normal.excludes.iter();
            let ids = ids.map(|slug| vocabulary.require_finding(NORMALS, normal.line, slug));
            lexicon.normals.push(ids.collect::<Result<_, _>>()?);
        }
        let normals = &cues.normals;
        let cues: HashMap<&str, Cue> =
            second.iter().map(|(text, cue)| (text.as_str(), *cue)).collect();
        let apart: HashSet<&str> = apart.iter().map(|(text, _)| text.as_str()).collect();
        let mut patterns = Vec::new();
        for (id, finding) in vocabulary.findings() {
            let chinese =
                std::iter::once(&finding.name_zh).chain(&finding.synonyms).map(|name| fold(name));
            let english = std::iter::once(&finding.name_en).chain(&finding.synonyms_en);
            for name in
                chinese.chain(english.map(|name| fold(name)).filter(|name| is_telling(name)))
            {
                // 体温39 and 血压180 are measured values: they are read as numbers, and
                // `measurements.csv` says what they mean.
                if apart.contains(name.as_str())
                    || lexicon.is_measured(&name)
                    || lexicon.words.contains_key(&name)
                {
                    continue;
                }
                lexicon.words.insert(name.clone(), id);
                // A name that means something else behind another finding is composed.
                if lexicon.composed.get(&name).is_none() {
                    lexicon.entries.push(Known::new(&name, What::Finding(id), &cues));
                    patterns.push(name);
                }
            }
        }
        let mut others: HashSet<&str> = HashSet::new();
        for (at, normal) in normals.iter().enumerate() {
            for text in &normal.texts {
                if lexicon.is_new(text) && others.insert(text) {
                    lexicon.entries.push(Known::new(text, What::Normal(at), &cues));
                    patterns.push(text.clone());
                }
            }
        }
        for (text, _) in phrases {
            if lexicon.is_new(text) && others.insert(text) {
                lexicon.entries.push(Known::new(text, What::Phrase, &cues));
                patterns.push(text.clone());
            }
        }
        let known = |word: &str| !lexicon.is_new(word) || others.contains(word);
        let holders: Vec<_> =
            second.iter().filter(|(text, _)| !known(text) && parts(text).any(known)).collect();
        for (text, kind) in holders {
            lexicon.entries.push(Known::new(text, What::Cue(*kind), &cues));
            patterns.push(text.clone());
        }
        lexicon.known = automaton(&patterns, FINDINGS)?;
        Ok(lexicon)
    }

    /// Whether a wording is nothing but a measured value.
    fn is_measured(&self, name: &str) -> bool {
        name.contains(|c: char| c.is_ascii_digit())
            && tokenise(self, name).iter().any(|token| matches!(token.kind, Kind::Measured(_)))
    }

    /// What is measured by this name, which may be that of a test as well.
    pub(super) fn label(&self, name: &str) -> Option<Measure> {
        self.labels.get(name).copied()
    }

    /// Whether no finding and no composed wording is called so.
    fn is_new(&self, text: &str) -> bool {
        !self.words.contains_key(text) && self.composed.get(text).is_none()
    }

    /// The next known word at or after `at`. `ahead` is what the dictionary said last; it is
    /// asked again only beyond that, so that a text is searched once.
    pub(super) fn next_known(&self, text: &str, mut at: usize, ahead: &mut Ahead) -> Option<Found> {
        loop {
            let listed = self.listed(text, at, ahead);
            let composed = self.next_composed(text, at, listed.as_ref());
            let found = composed.or(listed)?;
            let heads = match found.entry.and_then(|entry| self.entries.get(entry)) {
                Some(known) => known.heads.clone(),
                None => self.heads_of(text.get(found.start..found.end)?),
            };
            if let Some(length) = self.hides_longer(text, &heads, found.start, found.end) {
                at = found.start + length;
                continue;
            }
            // 疼 and 疼痛 are one word.
            let doubled =
                text.get(..found.end)?.ends_with('疼') && text.get(found.end..)?.starts_with('痛');
            let end = if doubled { found.end + '痛'.len_utf8() } else { found.end };
            return Some(Found { end, ..found });
        }
    }

    /// The next word of the dictionary.
    fn listed(&self, text: &str, mut at: usize, ahead: &mut Ahead) -> Option<Found> {
        match ahead {
            Ahead::Nothing => return None,
            Ahead::Found(found) if found.start >= at => return Some(*found),
            Ahead::Unknown | Ahead::Found(_) => {}
        }
        loop {
            let Some(found) = self.known.find(Input::new(text).range(at..)) else {
                *ahead = Ahead::Nothing;
                return None;
            };
            let (start, end) = (found.start(), found.end());
            let entry = found.pattern().as_usize();
            let known = self.entries.get(entry)?;
            if known.edges.bounded(text, start, end) {
                let (what, section) = (known.what, known.section);
                let (affirmed, timed) = (known.affirmed, known.timed);
                let found =
                    Found { start, end, what, section, affirmed, timed, entry: Some(entry) };
                *ahead = Ahead::Found(found);
                return Some(found);
            }
            at = start + text.get(start..)?.chars().next()?.len_utf8();
        }
    }

    /// The next composed wording, where it begins before the next word of the dictionary or
    /// reaches further.
    fn next_composed(&self, text: &str, at: usize, listed: Option<&Found>) -> Option<Found> {
        let last = listed.map_or(text.len(), |found| found.start);
        for (offset, _) in text.get(at..)?.char_indices() {
            let start = at + offset;
            if start > last {
                return None;
            }
            let Some((length, sense)) = self.composed.longest(text.get(start..)?) else { continue };
            let end = start + length;
            if listed.is_some_and(|listed| listed.start == start && listed.end >= end) {
                return None;
            }
            let words = text.get(start..end)?;
            let what = match self.senses.get(sense).map(|s| (&*s.findings, &*s.after)) {
                Some(([], [])) => What::Phrase,
                Some(([id], [])) => What::Finding(*id),
                Some(_) | None => What::Composed(sense),
            };
            return Some(Found {
                start,
                end,
                what,
                section: false,
                affirmed: words.starts_with('有'),
                timed: words.contains(super::numbers::begins_number),
                entry: None,
            });
        }
        None
    }

    /// Byte lengths of the cues that a composed wording begins with.
    fn heads_of(&self, words: &str) -> Vec<usize> {
        let ends = words.char_indices().skip(1).map(|(end, _)| end);
        ends.filter(|end| words.get(..*end).is_some_and(|head| self.heads.contains(head))).collect()
    }

    /// 没有呼吸 in 没有呼吸困难, 有痰 in 有痰中带血: a word that begins with a cue gives way to a
    /// longer word that stands behind the cue. Returns the length of the cue.
    fn hides_longer(&self, text: &str, heads: &[usize], start: usize, end: usize) -> Option<usize> {
        heads.iter().copied().find(|length| {
            let from = start + length;
            let input = Input::new(text).range(from..).anchored(Anchored::Yes);
            let composed = text.get(from..).and_then(|rest| self.composed.longest(rest));
            self.known.find(input).is_some_and(|other| other.end() > end)
                || composed.is_some_and(|(length, _)| from + length > end)
        })
    }

    /// The next cue in `text[from..to]`.
    pub(super) fn next_cue(
        &self,
        text: &str,
        from: usize,
        to: usize,
    ) -> Option<(usize, usize, Cue)> {
        let mut at = from;
        loop {
            let found = self.cues.find(Input::new(text).range(at..to))?;
            let (start, end) = (found.start(), found.end());
            let kind = self.cue_effects.get(found.pattern().as_usize())?;
            // `no` is a word of its own, and nothing in `nose`; the P of 38.9°CP96 is a label.
            let label = matches!(kind, Cue::Label(..));
            if label || Edges::of(text.get(start..end)?).bounded(text, start, end) {
                return Some((start, end, *kind));
            }
            at = start + text.get(start..)?.chars().next()?.len_utf8();
        }
    }

    /// The findings with exactly this folded wording; none where no wording is so.
    pub(super) fn word(&self, word: &str) -> &[FindingId] {
        if let Some(id) = self.words.get(word) {
            return std::slice::from_ref(id);
        }
        let sense = self.composed.get(word).and_then(|sense| self.senses.get(sense));
        sense.map_or(&[], |sense| &sense.findings)
    }

    /// What a composed wording says behind the findings `before`, the nearest first. Without
    /// one that matters it says its own findings, which may be none.
    pub(super) fn composed(
        &self,
        sense: usize,
        before: impl Iterator<Item = FindingId>,
    ) -> &[FindingId] {
        let Some(sense) = self.senses.get(sense) else { return &[] };
        for id in before {
            let meaning = sense.after.iter().position(|(after, _)| *after == id);
            if let Some((_, meaning)) = meaning.and_then(|at| sense.after.get(at)) {
                return std::slice::from_ref(meaning);
            }
        }
        &sense.findings
    }

    /// Whether a composed wording that says no finding is a modifier.
    pub(super) fn absorbs(&self, sense: usize) -> bool {
        self.senses.get(sense).is_some_and(|sense| sense.absorbed)
    }

    /// Whether what a composed wording says depends on what stands before it.
    pub(super) fn depends(&self, sense: usize) -> bool {
        self.senses.get(sense).is_some_and(|sense| !sense.after.is_empty())
    }

    /// What a normal state excludes.
    pub(super) fn excluded(&self, normal: usize) -> &[FindingId] {
        self.normals.get(normal).map_or(&[], Vec::as_slice)
    }

    pub(super) fn is_feverish(&self, finding: FindingId) -> bool {
        self.feverish.contains(&finding)
    }

    pub(super) fn kind(&self, finding: FindingId) -> Option<FindingKind> {
        self.kinds.get(finding.index()).copied()
    }
}

impl Known {
    fn new(text: &str, what: What, cues: &HashMap<&str, Cue>) -> Self {
        let begins = |end: usize| text.get(..end).and_then(|head| cues.get(head));
        Self {
            what,
            section: cues.get(text) == Some(&Cue::Section),
            affirmed: text.starts_with('有'),
            timed: text.contains(super::numbers::begins_number),
            heads: text
                .char_indices()
                .skip(1)
                .map(|(end, _)| end)
                .filter(|end| matches!(begins(*end), Some(Cue::Negation(_) | Cue::Positive)))
                .collect(),
            edges: Edges::of(text),
        }
    }
}

impl Edges {
    fn of(word: &str) -> Self {
        Self {
            start: word.chars().next().filter(char::is_ascii_alphanumeric),
            end: word.chars().next_back().filter(char::is_ascii_alphanumeric),
        }
    }

    /// A Latin word or a number must not be part of a longer one.
    fn bounded(self, text: &str, start: usize, end: usize) -> bool {
        // CRP12 is CRP and a number, ECT is not CT.
        let joins = |edge: Option<char>, next: Option<char>| match (edge, next) {
            (Some(edge), Some(next)) if edge.is_ascii_digit() => next.is_ascii_digit(),
            (Some(_), Some(next)) => next.is_ascii_alphabetic(),
            (None, _) | (_, None) => false,
        };
        let before = text.get(..start).and_then(|text| text.chars().next_back());
        let after = text.get(end..).and_then(|text| text.chars().next());
        !joins(self.start, before) && !joins(self.end, after)
    }
}

/// The senses of the composed wordings. Behind the pairs of the table stand those for what
/// entails their first finding: what holds after 胸痛 holds after 压榨样胸痛.
fn senses(vocabulary: &Vocabulary) -> Vec<Sense> {
    let mut senses = vocabulary.wordings().senses.clone();
    for sense in &mut senses {
        for (after, meaning) in sense.after.clone() {
            let narrower = vocabulary.implied_by(after).iter().filter(|id| **id != meaning);
            sense.after.extend(narrower.map(|id| (*id, meaning)));
        }
    }
    senses
}

/// Whether an English name may be looked for inside a text: not an abbreviation or a short word.
fn is_telling(name: &str) -> bool {
    name.len() >= ENGLISH_CHARS_MIN && name.chars().any(|c| c.is_ascii_alphabetic())
}

/// Every stretch of a text but the whole.
fn parts(text: &str) -> impl Iterator<Item = &str> {
    let ends = || text.char_indices().map(|(at, _)| at).chain(std::iter::once(text.len()));
    ends()
        .flat_map(move |start| ends().filter_map(move |end| text.get(start..end)))
        .filter(move |part| !part.is_empty() && part.len() < text.len())
}

fn texts(rows: &[&(String, Cue)]) -> Vec<String> {
    rows.iter().map(|(text, _)| text.clone()).collect()
}

fn automaton(patterns: &[String], path: &str) -> Result<AhoCorasick, LoadError> {
    AhoCorasick::builder()
        .match_kind(MatchKind::LeftmostLongest)
        .start_kind(StartKind::Both)
        .build(patterns)
        .map_err(|e| LoadError::file(path, e.to_string()))
}
