//! The tables of programmes, and looking a diagnosis up in them.

use std::collections::BTreeMap;
use std::ops::Range;

use aho_corasick::{AhoCorasick, MatchKind};
use serde::Deserialize;

use super::{Because, NotCounted, Programme, Standing};
use crate::sharing::discharge::model::Coded;
use crate::tables::files::{Files, LoadError};
use crate::tables::table::{Sources, Status, rows};
use crate::tables::text::fold;

const SOURCES: &str = "records/sources.csv";
const PROGRAMMES: &str = "records/programmes.csv";
const SYSTEMS: &str = "records/code_systems.csv";
const CODES: &str = "records/programme_codes.csv";
const NAMES: &str = "records/programme_names.csv";
const CUES: &str = "records/diagnosis_cues.csv";

/// What a row says about the diagnosis that it fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Holds {
    Member,
    Confirm,
    History,
    None,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
enum System {
    Icd10,
    Snomed,
}

/// Where a cue stands: anywhere in the same part of the text, or touching the name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Place {
    Anywhere,
    Before,
    After,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Effect {
    Uncertain,
    Family,
    Denied,
    History,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ProgrammeRow {
    id: Programme,
    name_zh: String,
    age_from: Option<i32>,
    source: String,
    #[serde(rename = "status")]
    _status: Status,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SystemRow {
    system: String,
    kind: System,
    source: String,
    #[serde(rename = "status")]
    _status: Status,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CodeRow {
    system: System,
    code: String,
    programme: Programme,
    membership: Holds,
    note_zh: String,
    source: String,
    #[serde(rename = "status")]
    _status: Status,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NameRow {
    term: String,
    programme: Programme,
    membership: Holds,
    note_zh: String,
    source: String,
    #[serde(rename = "status")]
    _status: Status,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CueRow {
    word: String,
    place: Place,
    effect: Effect,
    note_zh: String,
    source: String,
    #[serde(rename = "status")]
    _status: Status,
}

/// A row that fitted.
#[derive(Debug, Clone)]
pub(super) struct Hit {
    pub(super) standing: Standing,
    pub(super) note_zh: String,
    pub(super) row: String,
    pub(super) source: String,
}

/// What a diagnosis says about a programme.
#[derive(Debug, Clone)]
pub(super) enum Told {
    Is { because: Because, hit: Hit },
    IsNot { because: Because, reason: NotCounted, hit: Hit },
}

#[derive(Debug, Clone)]
struct Row {
    programme: Programme,
    holds: Holds,
    hit: Hit,
}

#[derive(Debug, Clone)]
struct Cue {
    word: String,
    place: Place,
    effect: Effect,
    hit: Hit,
}

/// The tables of programmes.
#[derive(Debug, Clone)]
pub struct Programmes {
    about: BTreeMap<Programme, (String, Option<i32>)>,
    systems: BTreeMap<String, System>,
    /// By system and normalised code; a code may speak about several programmes.
    codes: BTreeMap<(System, String), Vec<Row>>,
    finder: AhoCorasick,
    named: Vec<(String, Row)>,
    cues: Vec<Cue>,
}

/// Cites a row.
struct Citing<'a> {
    sources: &'a Sources,
    path: &'static str,
}

impl Citing<'_> {
    fn hit(&self, line: u64, holds: Holds, note: String, cited: &str) -> Result<Hit, LoadError> {
        self.sources.check(self.path, line, cited)?;
        let standing = match holds {
            Holds::Member | Holds::None => Standing::Current,
            Holds::Confirm => Standing::ToConfirm,
            Holds::History => Standing::History,
        };
        if holds != Holds::Member && note.is_empty() {
            return Err(LoadError::line(self.path, line, "such a row needs a note"));
        }
        let source = self.sources.cite(cited);
        Ok(Hit { standing, note_zh: note, row: format!("{}:{line}", self.path), source })
    }
}

impl Programmes {
    /// Reads and checks the tables. Fails with file and line on a row without a known source, a
    /// term that is not folded, a code that is none, or a row that stands twice.
    pub fn load(files: &Files) -> Result<Self, LoadError> {
        let sources = Sources::load(files, SOURCES)?;
        let mut about = BTreeMap::new();
        for (line, row) in rows::<ProgrammeRow>(files, PROGRAMMES)? {
            sources.check(PROGRAMMES, line, &row.source)?;
            if about.insert(row.id, (row.name_zh, row.age_from)).is_some() {
                return Err(LoadError::line(PROGRAMMES, line, "programme stands twice"));
            }
        }
        if let Some(missing) = Programme::ALL.iter().find(|p| !about.contains_key(p)) {
            return Err(LoadError::file(PROGRAMMES, format!("programme {missing:?} is missing")));
        }
        let mut systems = BTreeMap::new();
        for (line, row) in rows::<SystemRow>(files, SYSTEMS)? {
            sources.check(SYSTEMS, line, &row.source)?;
            systems.insert(row.system, row.kind);
        }
        let codes = read_codes(files, &sources)?;
        let named = read_names(files, &sources)?;
        let finder = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostLongest)
            .build(named.iter().map(|(term, _)| term))
            .map_err(|e| LoadError::file(NAMES, e.to_string()))?;
        let cues = read_cues(files, &sources)?;
        Ok(Self { about, systems, codes, finder, named, cues })
    }

    /// Chinese name, and the age in years from which the standard counts.
    pub(super) fn about(&self, programme: Programme) -> (String, Option<i32>) {
        self.about.get(&programme).cloned().unwrap_or_default()
    }

    /// Whether a code of a known system could be read, and what the codes say.
    pub(super) fn by_codes(&self, coded: &Coded) -> (bool, Vec<(Programme, Told)>) {
        let mut read = false;
        let mut out = Vec::new();
        for code in &coded.codes {
            let Some(system) = self.system(&code.system) else { continue };
            for key in keys(system, &code.code) {
                read = true;
                let because =
                    Because::Code { system: code.system.clone(), code: code.code.clone() };
                for row in self.closest(system, &key) {
                    out.push((row.programme, self.judged(row, because.clone(), &coded.text)));
                }
            }
        }
        (read, out)
    }

    /// What the words say.
    pub(super) fn by_names(&self, text: &str) -> Vec<(Programme, Told)> {
        let text = fold(text);
        let mut out = Vec::new();
        for part in parts(&text) {
            for found in self.finder.find_iter(part) {
                let Some((term, row)) = self.named.get(found.pattern().as_usize()) else {
                    continue;
                };
                let because = Because::Name { term: term.clone() };
                let cue = self.cue(part, Some(&found.range()));
                out.push((row.programme, settled(row, because, cue)));
            }
        }
        out
    }

    /// Which kind of system this is: a row of the table, or any system whose name says ICD-10 and
    /// not that it is the one of procedures.
    fn system(&self, named: &str) -> Option<System> {
        let named = fold(named.trim());
        if let Some(kind) = self.systems.get(&named) {
            return Some(*kind);
        }
        if let Some(kind) = self.systems.get(&format!("urn:oid:{named}")) {
            return Some(*kind);
        }
        let says = named.contains("icd-10") || named.contains("icd10");
        (says && !named.contains("pcs")).then_some(System::Icd10)
    }

    /// The rows of the longest beginning of `key` that has any.
    fn closest(&self, system: System, key: &str) -> &[Row] {
        let get = |key: &str| self.codes.get(&(system, key.to_owned())).map(Vec::as_slice);
        match system {
            System::Snomed => get(key).unwrap_or_default(),
            System::Icd10 => {
                (3..=key.len()).rev().find_map(|len| get(key.get(..len)?)).unwrap_or_default()
            }
        }
    }

    /// A row that a code found, with the doubts that the sender's words put beside the code. If
    /// the words name the disease, only the part that does counts.
    fn judged(&self, row: &Row, because: Because, text: &str) -> Told {
        let text = fold(text);
        let mut named = false;
        let mut cue = None;
        for part in parts(&text) {
            for found in self.finder.find_iter(part) {
                let same = self
                    .named
                    .get(found.pattern().as_usize())
                    .is_some_and(|(_, other)| other.programme == row.programme);
                if same {
                    named = true;
                    cue = cue.or_else(|| self.cue(part, Some(&found.range())));
                }
            }
        }
        if !named {
            cue = parts(&text).find_map(|part| self.cue(part, None));
        }
        settled(row, because, cue)
    }

    /// The cue that counts for a name in `part`: one that takes the diagnosis out before one that
    /// makes it history, then the longest.
    fn cue(&self, part: &str, name: Option<&Range<usize>>) -> Option<&Cue> {
        let stands = |cue: &&Cue| match (cue.place, name) {
            (Place::Anywhere, Some(name)) => outside(part, &cue.word, name),
            (Place::Anywhere, None) => part.contains(&cue.word),
            (Place::Before, Some(name)) => {
                part.get(..name.start).is_some_and(|before| before.ends_with(&cue.word))
            }
            (Place::After, Some(name)) => {
                part.get(name.end..).is_some_and(|after| after.starts_with(&cue.word))
            }
            (Place::Before | Place::After, None) => false,
        };
        self.cues
            .iter()
            .filter(stands)
            .max_by_key(|cue| (cue.effect != Effect::History, cue.word.len()))
    }
}

/// Whether `word` stands in `part` elsewhere than within the name itself.
fn outside(part: &str, word: &str, name: &Range<usize>) -> bool {
    part.match_indices(word).any(|(at, _)| at < name.start || at + word.len() > name.end)
}

/// A text that says several things says each between such marks. An enumeration (、) shares its
/// doubt: 高血压、糖尿病家族史.
fn parts(text: &str) -> impl Iterator<Item = &str> {
    text.split([',', ';', '。', '\n', '\r']).filter(|part| !part.trim().is_empty())
}

fn settled(row: &Row, because: Because, cue: Option<&Cue>) -> Told {
    if row.holds == Holds::None {
        return Told::IsNot { because, reason: NotCounted::Other, hit: row.hit.clone() };
    }
    let Some(cue) = cue else { return Told::Is { because, hit: row.hit.clone() } };
    let out = |reason| Told::IsNot { because: because.clone(), reason, hit: cue.hit.clone() };
    match cue.effect {
        Effect::Uncertain => out(NotCounted::Uncertain),
        Effect::Family => out(NotCounted::Family),
        Effect::Denied => out(NotCounted::Denied),
        Effect::History => {
            let mut hit = row.hit.clone();
            hit.standing = Standing::History;
            hit.note_zh = super::joined(&hit.note_zh, &cue.hit.note_zh);
            Told::Is { because, hit }
        }
    }
}

/// The codes that one field holds, in the form in which the table is looked up: folded, in
/// capitals, without point. `I60.902+H45.0*` holds two.
fn keys(system: System, code: &str) -> Vec<String> {
    let folded = fold(code).to_uppercase();
    let pieces = folded.split(['+', '*', '†', '/', ',', ';', '、', '\\']);
    pieces.filter_map(|piece| key(system, piece)).collect()
}

fn key(system: System, piece: &str) -> Option<String> {
    let key: String =
        piece.chars().filter(|c| !c.is_whitespace() && !".。·-".contains(*c)).collect();
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let fits = match system {
        System::Icd10 => {
            key.is_ascii()
                && (3..=20).contains(&key.len())
                && key.starts_with(|c: char| c.is_ascii_uppercase())
                && key.get(1..3).is_some_and(digits)
                && key.bytes().all(|b| b.is_ascii_alphanumeric())
        }
        System::Snomed => (6..=18).contains(&key.len()) && digits(&key),
    };
    fits.then_some(key)
}

fn read_codes(
    files: &Files,
    sources: &Sources,
) -> Result<BTreeMap<(System, String), Vec<Row>>, LoadError> {
    let citing = Citing { sources, path: CODES };
    let mut codes: BTreeMap<(System, String), Vec<Row>> = BTreeMap::new();
    for (line, row) in rows::<CodeRow>(files, CODES)? {
        let Some(key) = key(row.system, &row.code.to_uppercase()) else {
            return Err(LoadError::line(CODES, line, format!("`{}` is no code", row.code)));
        };
        let hit = citing.hit(line, row.membership, row.note_zh, &row.source)?;
        let same = codes.entry((row.system, key)).or_default();
        if same.iter().any(|other| other.programme == row.programme) {
            return Err(LoadError::line(CODES, line, "code stands twice for this programme"));
        }
        same.push(Row { programme: row.programme, holds: row.membership, hit });
    }
    Ok(codes)
}

fn read_names(files: &Files, sources: &Sources) -> Result<Vec<(String, Row)>, LoadError> {
    let citing = Citing { sources, path: NAMES };
    let mut named: Vec<(String, Row)> = Vec::new();
    for (line, row) in rows::<NameRow>(files, NAMES)? {
        if row.term.is_empty() || row.term != fold(&row.term) {
            return Err(LoadError::line(NAMES, line, "term is empty or not folded"));
        }
        if named.iter().any(|(term, _)| *term == row.term) {
            return Err(LoadError::line(NAMES, line, format!("`{}` stands twice", row.term)));
        }
        let hit = citing.hit(line, row.membership, row.note_zh, &row.source)?;
        named.push((row.term, Row { programme: row.programme, holds: row.membership, hit }));
    }
    Ok(named)
}

fn read_cues(files: &Files, sources: &Sources) -> Result<Vec<Cue>, LoadError> {
    let citing = Citing { sources, path: CUES };
    let mut cues = Vec::new();
    for (line, row) in rows::<CueRow>(files, CUES)? {
        if row.word.is_empty() || row.word != fold(&row.word) {
            return Err(LoadError::line(CUES, line, "word is empty or not folded"));
        }
        let hit = citing.hit(line, Holds::None, row.note_zh, &row.source)?;
        cues.push(Cue { word: row.word, place: row.place, effect: row.effect, hit });
    }
    Ok(cues)
}
