//! Free text to features: the longest term counts, from the left.

use std::collections::BTreeSet;

use aho_corasick::{AhoCorasick, BuildError};

use super::Modality;
use super::features::{Contrast, Features, View};
use crate::tables::text::fold;

/// Characters of one attribute that are read; LO has 64 at most (PS3.5, 6.2), a request 1,024.
const TEXT_CHARS_MAX: usize = 1024;

/// A term of the table.
#[derive(Debug)]
pub(super) struct Term {
    /// In normal form.
    pub(super) text: String,
    pub(super) regions: Vec<String>,
    pub(super) techniques: Vec<String>,
    pub(super) contrasts: Vec<Contrast>,
    pub(super) views: BTreeSet<View>,
    pub(super) modality: Option<Modality>,
}

/// All terms.
#[derive(Debug)]
pub(super) struct Lexicon {
    automaton: AhoCorasick,
    terms: Vec<Term>,
}

struct Hit<'t> {
    start: usize,
    end: usize,
    term: &'t Term,
}

impl Lexicon {
    pub(super) fn new(terms: Vec<Term>) -> Result<Self, BuildError> {
        let automaton = AhoCorasick::new(terms.iter().map(|t| t.text.as_str()))?;
        Ok(Self { automaton, terms })
    }

    /// What a text says, one piece for each examination that it names. `颅脑+胸部CT平扫` has two,
    /// `颅脑CT平扫+增强` one.
    ///
    /// `narrows` says whether one region lies within another: of one piece the narrower counts
    /// (`胸部CT肺动脉成像`).
    pub(super) fn read(
        &self,
        text: &str,
        narrows: impl Fn(&str, &str) -> bool,
    ) -> Vec<Features<'_>> {
        let text = normal(text);
        let hits = self.hits(&text);
        let mut pieces: Vec<Features<'_>> = Vec::new();
        let mut current = Features::default();
        let mut at = 0;
        for hit in &hits {
            if text.get(at..hit.start).is_some_and(divides) {
                close(&mut pieces, std::mem::take(&mut current));
            }
            add(&mut current, hit.term);
            at = hit.end;
        }
        close(&mut pieces, current);
        for piece in &mut pieces {
            let all = piece.regions.clone();
            piece.regions.retain(|wide| !all.iter().any(|r| r != wide && narrows(r, wide)));
        }
        share(&mut pieces);
        pieces
    }

    /// Terms at word boundaries, longest first from the left, none overlapping.
    fn hits(&self, text: &str) -> Vec<Hit<'_>> {
        let mut all: Vec<Hit<'_>> = self
            .automaton
            .find_overlapping_iter(text)
            .filter(|m| stands_alone(text, m.start(), m.end()))
            .filter_map(|m| {
                let term = self.terms.get(m.pattern().as_usize())?;
                Some(Hit { start: m.start(), end: m.end(), term })
            })
            .collect();
        all.sort_by_key(|hit| (hit.start, std::cmp::Reverse(hit.end)));
        let mut end = 0;
        all.retain(|hit| {
            let keep = hit.start >= end;
            if keep {
                end = hit.end;
            }
            keep
        });
        all
    }
}

/// The form in which texts and terms meet: folded, words that are run together in capitals
/// (`CTA_HeadNeck`) taken apart, separators one space, none between Chinese characters.
pub(super) fn normal(text: &str) -> String {
    let mut apart = String::with_capacity(text.len() + 8);
    let mut before = ' ';
    for c in text.chars().take(TEXT_CHARS_MAX) {
        if before.is_ascii_lowercase() && c.is_ascii_uppercase() {
            apart.push(' ');
        }
        apart.push(c);
        before = c;
    }
    let folded = fold(&apart);
    let mut out = String::with_capacity(folded.len());
    let mut gap = false;
    for c in folded.chars() {
        if c.is_whitespace() || c.is_control() || matches!(c, '_' | '^' | '\\' | '|') {
            gap = true;
            continue;
        }
        let joins = |c: char| !c.is_ascii();
        if gap && !out.is_empty() && !(joins(c) && out.ends_with(joins)) {
            out.push(' ');
        }
        gap = false;
        out.push(c);
    }
    out
}

/// Whether the text between two terms parts one examination from the next.
fn divides(between: &str) -> bool {
    between
        .chars()
        .any(|c| matches!(c, '+' | ',' | ';' | '、' | '&' | '/' | '及' | '和' | '与' | '并' | '加'))
}

/// A Latin term may not be part of a longer word, nor a number of a longer number.
fn stands_alone(text: &str, start: usize, end: usize) -> bool {
    let joined = |a: Option<char>, b: Option<char>| match (a, b) {
        (Some(a), Some(b)) => {
            (a.is_ascii_alphabetic() && b.is_ascii_alphabetic())
                || (a.is_ascii_digit() && b.is_ascii_digit())
                || (matches!(a, '+' | '-') && b.is_ascii_alphanumeric())
        }
        _ => false,
    };
    let inside = text.get(start..end).unwrap_or_default();
    let before = text.get(..start).and_then(|t| t.chars().next_back());
    let after = text.get(end..).and_then(|t| t.chars().next());
    let first = inside.chars().next();
    !joined(before.filter(char::is_ascii_alphanumeric), first)
        && !joined(inside.chars().next_back(), after)
}

fn add<'t>(features: &mut Features<'t>, term: &'t Term) {
    features.regions.extend(term.regions.iter().map(String::as_str));
    features.techniques.extend(term.techniques.iter().map(String::as_str));
    features.plain |= term.contrasts.contains(&Contrast::Plain);
    features.enhanced |= term.contrasts.contains(&Contrast::Enhanced);
    features.views.extend(&term.views);
    features.modalities.extend(term.modality);
    let says_nothing = term.regions.is_empty()
        && term.techniques.is_empty()
        && term.contrasts.is_empty()
        && term.views.is_empty()
        && term.modality.is_none();
    if !says_nothing {
        features.terms.insert(&term.text);
    }
}

/// Ends a piece. One without a region belongs to the piece before it (平扫+增强), or is another
/// examination of the same region if it names a technique (平扫+DWI).
fn close<'t>(pieces: &mut Vec<Features<'t>>, mut piece: Features<'t>) {
    if piece == Features::default() {
        return;
    }
    match pieces.last_mut() {
        Some(last) if piece.regions.is_empty() && !piece.techniques.is_empty() => {
            piece.regions.clone_from(&last.regions);
            pieces.push(piece);
        }
        Some(last) if piece.regions.is_empty() || last.regions.is_empty() => {
            last.regions.extend(&piece.regions);
            last.take_how(&piece);
            last.terms.extend(&piece.terms);
        }
        Some(_) | None => pieces.push(piece),
    }
}

/// `颅脑+胸部CT平扫`: what only names a region is made as the next is.
fn share(pieces: &mut [Features<'_>]) {
    let mut next: Option<Features<'_>> = None;
    for piece in pieces.iter_mut().rev() {
        if let Some(next) = &next
            && piece.modalities.is_empty()
            && !piece.says_how()
        {
            piece.take_how(next);
        }
        next = Some(piece.clone());
    }
}
