//! Administrative divisions, and the one that an address names.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::sharing::discharge::model::Address;
use crate::tables::files::{Files, LoadError};
use crate::tables::table::{Sources, Status, rows};
use crate::tables::text::fold;

const SOURCES: &str = "regions/sources.csv";
const DIVISIONS: &str = "regions/divisions.csv";
const ALIASES: &str = "regions/aliases.csv";
/// Longest address that is read, in characters.
const ADDRESS_CHARS_MAX: usize = 200;
/// The province and city of the tables.
const PROVINCE: &str = "江西";
const CITY: &str = "上饶";
/// How names of townships end, the longer before the shorter.
const TOWNSHIP_ENDS: [&str; 6] = ["街道办事处", "街道办", "街道", "办事处", "镇", "乡"];
/// How names of villages and communities end in the tables.
const VILLAGE_ENDS: [&str; 3] = ["村民委员会", "村委会", "村"];
const COMMUNITY_ENDS: [&str; 8] = [
    "社区居民委员会",
    "社区居民委会",
    "社区居委员会",
    "社区居委会",
    "居民委员会",
    "居委会",
    "社区",
    "生活区",
];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DivisionRow {
    code: String,
    name: String,
    source: String,
    #[serde(rename = "status")]
    _status: Status,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AliasRow {
    code: String,
    name: String,
    #[serde(rename = "note_zh")]
    _note_zh: String,
    source: String,
    #[serde(rename = "status")]
    _status: Status,
}

/// How precisely a residence is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    /// Not at all, or outside the tables.
    Unknown,
    /// Several places fit, or code and words disagree.
    Ambiguous,
    /// The county.
    County,
    /// The township.
    Township,
    /// The village or community.
    Village,
}

/// What is worth knowing of a residence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResidenceNote {
    /// The address says nothing.
    NoAddress,
    /// The division code that was sent is none of the tables.
    CodeUnknown,
    /// The division code and the words name different places.
    CodeDisagrees,
    /// The address lies in another province or city.
    Elsewhere,
    /// No county or township of the tables begins the address.
    PlaceUnknown,
    /// The county is known, the township is not.
    TownshipUnknown,
    /// The township is known; the address names no village, or none of the tables.
    VillageUnknown,
    /// The words fit several villages or townships.
    SeveralFit,
}

/// Where somebody lives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Residence {
    /// Division code of 6, 9 or 12 digits; empty if unknown or ambiguous.
    pub code: String,
    /// How precisely.
    pub precision: Precision,
    /// What else is to be known.
    pub notes: Vec<ResidenceNote>,
    /// Codes that fit, where several do.
    pub candidates: Vec<String>,
}

impl Residence {
    fn unknown(note: ResidenceNote) -> Self {
        Self {
            code: String::new(),
            precision: Precision::Unknown,
            notes: vec![note],
            candidates: Vec::new(),
        }
    }

    /// The residence with this code of 6, 9 or 12 digits; zeros at the end, which stand for a
    /// whole township or county, are cut. None if it is no such code.
    pub fn of_code(code: &str) -> Option<Self> {
        let mut code = code.trim();
        if !matches!(code.len(), 6 | 9 | 12) || !code.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        while code.len() > 6
            && let Some(shorter) = code.strip_suffix("000")
        {
            code = shorter;
        }
        let precision = match code.len() {
            6 => Precision::County,
            9 => Precision::Township,
            _ => Precision::Village,
        };
        Some(Self { code: code.to_owned(), precision, notes: Vec::new(), candidates: Vec::new() })
    }
}

/// How a place is written in addresses, folded.
#[derive(Debug, Clone)]
struct Place {
    code: String,
    name: String,
    /// What counts at the beginning of a part of an address.
    written: Vec<String>,
    /// What counts only as a whole part.
    bare: String,
}

/// The divisions of the tables.
#[derive(Debug, Clone)]
pub struct Divisions {
    /// Every code, and the name as the tables write it.
    codes: BTreeMap<String, String>,
    counties: Vec<Place>,
    /// All townships, and by county; the villages by township.
    townships: Vec<Place>,
    below: BTreeMap<String, Vec<Place>>,
    /// Former names of counties, folded.
    aliases: Vec<(String, String)>,
}

impl Divisions {
    /// Reads and checks the tables. Fails with file and line on a row without a known source, a
    /// code that is none, or whose county or township is missing.
    pub fn load(files: &Files) -> Result<Self, LoadError> {
        let sources = Sources::load(files, SOURCES)?;
        let mut divisions = Self {
            codes: BTreeMap::new(),
            counties: Vec::new(),
            townships: Vec::new(),
            below: BTreeMap::new(),
            aliases: Vec::new(),
        };
        for (line, row) in rows::<DivisionRow>(files, DIVISIONS)? {
            sources.check(DIVISIONS, line, &row.source)?;
            divisions.add(&row).map_err(|message| LoadError::line(DIVISIONS, line, message))?;
        }
        for (line, row) in rows::<AliasRow>(files, ALIASES)? {
            sources.check(ALIASES, line, &row.source)?;
            if row.code.len() != 6 || !divisions.contains(&row.code) {
                return Err(LoadError::line(ALIASES, line, "no county of the tables"));
            }
            divisions.aliases.push((row.code, fold(&row.name)));
        }
        Ok(divisions)
    }

    fn add(&mut self, row: &DivisionRow) -> Result<(), &'static str> {
        let Some(known) = Residence::of_code(&row.code).filter(|known| known.code == row.code)
        else {
            return Err("no division code");
        };
        let parent = row.code.get(..row.code.len() - 3).filter(|parent| parent.len() >= 6);
        if parent.is_some_and(|parent| !self.codes.contains_key(parent)) {
            return Err("the division above it does not stand before it");
        }
        let name = row.name.clone();
        if name.is_empty() || self.codes.insert(row.code.clone(), name).is_some() {
            return Err("name is empty or code stands twice");
        }
        let name = fold(&row.name);
        let village = known.precision == Precision::Village;
        let (written, bare) = if village { village_forms(&name) } else { township_forms(&name) };
        let place = Place { code: row.code.clone(), name, written, bare };
        match parent {
            None => self.counties.push(place),
            Some(parent) => {
                if known.precision == Precision::Township {
                    self.townships.push(place.clone());
                }
                self.below.entry(parent.to_owned()).or_default().push(place);
            }
        }
        Ok(())
    }

    /// Whether the tables have this code.
    pub fn contains(&self, code: &str) -> bool {
        self.codes.contains_key(code)
    }

    /// Code and name of the city that the tables are of.
    pub fn city() -> (&'static str, &'static str) {
        ("3611", "上饶市")
    }

    /// Every code with its name, in the order of the codes: a division stands before those below it.
    pub fn all(&self) -> impl Iterator<Item = (&str, &str)> {
        self.codes.iter().map(|(code, name)| (code.as_str(), name.as_str()))
    }

    /// The place that an address names: by its division code and its words, which must agree.
    pub fn resolve(&self, address: &Address) -> Residence {
        let told = self.by_words(address);
        if address.division.trim().is_empty() {
            return told;
        }
        let Some(coded) = Residence::of_code(&address.division).filter(|r| self.contains(&r.code))
        else {
            return Residence {
                notes: [vec![ResidenceNote::CodeUnknown], told.notes].concat(),
                ..told
            };
        };
        let mut candidates = vec![told.code.clone()];
        candidates.extend(told.candidates.iter().cloned());
        candidates.retain(|code| !code.is_empty());
        if candidates.is_empty() {
            if told.notes.contains(&ResidenceNote::Elsewhere) {
                return disagreeing(vec![coded.code]);
            }
            return coded;
        }
        if told.code.starts_with(&coded.code) {
            return told;
        }
        if candidates.iter().any(|code| coded.code.starts_with(code.as_str())) {
            return coded;
        }
        candidates.push(coded.code);
        disagreeing(candidates)
    }

    fn by_words(&self, address: &Address) -> Residence {
        let parts = [
            &address.province,
            &address.city,
            &address.county,
            &address.township,
            &address.village,
            &address.house,
        ];
        let parts: Vec<&str> = parts.iter().map(|part| part.trim()).collect();
        let by_parts = self.read(&parts.join(" "));
        let by_text = self.read(&address.text);
        match (precise(&by_parts), precise(&by_text)) {
            (parts, text) if parts >= text => by_parts,
            _ => by_text,
        }
    }

    /// Reads an address from the left.
    fn read(&self, text: &str) -> Residence {
        let text: String = fold(text).chars().take(ADDRESS_CHARS_MAX).collect();
        let Some(rest) = here(&text) else { return Residence::unknown(ResidenceNote::Elsewhere) };
        if rest.is_empty() {
            return Residence::unknown(ResidenceNote::NoAddress);
        }
        let (county, rest) = match self.county(rest) {
            Some((code, rest)) => (code, rest),
            None => (String::new(), rest),
        };
        let below = |code: &str| self.below.get(code).map(Vec::as_slice).unwrap_or_default();
        let townships = if county.is_empty() { &self.townships } else { below(&county) };
        let found = closest(rest, townships);
        let (township, rest) = match (found.codes.as_slice(), county.is_empty()) {
            ([one], _) => (one.clone(), found.rest),
            ([], true) => return Residence::unknown(ResidenceNote::PlaceUnknown),
            ([], false) => return noted(&county, ResidenceNote::TownshipUnknown),
            (several, _) => return several_fit(&county, several),
        };
        let found = closest(rest, below(&township));
        match found.codes.as_slice() {
            [one] => Residence {
                code: one.clone(),
                precision: Precision::Village,
                notes: Vec::new(),
                candidates: Vec::new(),
            },
            [] => noted(&township, ResidenceNote::VillageUnknown),
            several => several_fit(&township, several),
        }
    }

    /// The county with which the text begins: its name, a former one, or its name without the
    /// last character.
    fn county<'a>(&self, rest: &'a str) -> Option<(String, &'a str)> {
        let counties = self.counties.iter().map(|county| (&county.code, &county.name));
        let all = counties.chain(self.aliases.iter().map(|(code, name)| (code, name)));
        let mut best: Option<(String, &str)> = None;
        for (code, name) in all {
            let mut short = name.clone();
            short.pop();
            for form in [name.as_str(), short.as_str()] {
                if let Some(left) = rest.strip_prefix(form)
                    && best.as_ref().is_none_or(|(_, best)| left.len() < best.len())
                {
                    best = Some((code.clone(), left));
                }
            }
        }
        best
    }
}

/// What an address says behind province and city; none if these are others.
fn here(text: &str) -> Option<&str> {
    let rest = trimmed(text);
    let rest =
        trimmed(rest.strip_prefix(PROVINCE).map_or(rest, |r| r.strip_prefix('省').unwrap_or(r)));
    // 上饶县 is a former county of the city.
    let city = rest.strip_prefix(CITY).filter(|r| !r.starts_with('县'));
    let rest = trimmed(city.map_or(rest, |r| r.strip_prefix('市').unwrap_or(r)));
    let first: String = rest.chars().take_while(|c| !is_mark(*c)).take(10).collect();
    let county_town = ["德兴", "上饶"].iter().any(|own| first.starts_with(own));
    // A city stands before any county: 信州区东市街道 is none.
    let town: String = first.chars().take_while(|c| !"区县".contains(*c)).take(5).collect();
    let other_city = town.chars().position(|c| c == '市').is_some_and(|at| at >= 2);
    let region = ["省", "自治区", "自治州", "地区"];
    let other_province = region.iter().any(|word| first.contains(word));
    (!(other_province || other_city && !county_town)).then_some(rest)
}

fn is_mark(c: char) -> bool {
    !c.is_alphanumeric()
}

fn trimmed(text: &str) -> &str {
    text.trim_start_matches(is_mark)
}

/// What fits best, and what is left behind it.
struct Found<'a> {
    codes: Vec<String>,
    rest: &'a str,
}

/// The places with the longest form that stands at the beginning of `rest`, else behind a mark.
fn closest<'a>(rest: &'a str, places: &[Place]) -> Found<'a> {
    let mut at = trimmed(rest);
    loop {
        let segment = at.split(is_mark).next().unwrap_or_default();
        let mut longest = 0;
        let mut codes = BTreeSet::new();
        for place in places {
            let whole = (segment == place.bare).then_some(place.bare.len());
            let starts = place.written.iter().filter(|form| at.starts_with(form.as_str()));
            let Some(len) = starts.map(String::len).chain(whole).max() else { continue };
            if len > longest {
                longest = len;
                codes.clear();
            }
            if len == longest {
                codes.insert(place.code.clone());
            }
        }
        if !codes.is_empty() {
            let codes = codes.into_iter().collect();
            return Found { codes, rest: at.get(longest..).unwrap_or_default() };
        }
        match at.get(segment.len()..).map(trimmed) {
            Some(next) if !next.is_empty() => at = next,
            _ => return Found { codes: Vec::new(), rest: "" },
        }
    }
}

/// How a township is written, and its bare name, which counts only as a whole part of an address.
fn township_forms(name: &str) -> (Vec<String>, String) {
    let Some(bare) = TOWNSHIP_ENDS.iter().find_map(|end| name.strip_suffix(end)) else {
        return (vec![name.to_owned()], name.to_owned());
    };
    // A 乡 may have become a 镇 or a 街道 since the address was written down.
    let forms = TOWNSHIP_ENDS.iter().map(|end| format!("{bare}{end}"));
    (forms.collect(), bare.to_owned())
}

/// How a village or community is written, and its bare name.
fn village_forms(name: &str) -> (Vec<String>, String) {
    let mut forms = vec![name.to_owned()];
    for ends in [&VILLAGE_ENDS[..], &COMMUNITY_ENDS[..]] {
        if let Some(bare) = ends.iter().find_map(|end| name.strip_suffix(end)) {
            forms.extend(ends.iter().map(|end| format!("{bare}{end}")));
            // 下源村村民委员会 is written 下源村.
            if bare.ends_with('村') {
                forms.push(bare.to_owned());
            }
            return (forms, bare.to_owned());
        }
    }
    (forms, name.to_owned())
}

fn noted(code: &str, note: ResidenceNote) -> Residence {
    match Residence::of_code(code) {
        Some(known) => Residence { notes: vec![note], ..known },
        None => Residence::unknown(note),
    }
}

/// Several villages of a known township are the township; several townships are not known.
fn several_fit(parent: &str, several: &[String]) -> Residence {
    let mut residence = match Residence::of_code(parent) {
        Some(township) if township.precision == Precision::Township => township,
        _ => Residence {
            precision: Precision::Ambiguous,
            ..Residence::unknown(ResidenceNote::SeveralFit)
        },
    };
    residence.notes = vec![ResidenceNote::SeveralFit];
    residence.candidates = several.to_vec();
    residence
}

fn disagreeing(candidates: Vec<String>) -> Residence {
    Residence {
        code: String::new(),
        precision: Precision::Ambiguous,
        notes: vec![ResidenceNote::CodeDisagrees],
        candidates,
    }
}

/// How much a reading says, for choosing between two.
fn precise(residence: &Residence) -> (usize, bool, bool) {
    let silent = residence.notes.contains(&ResidenceNote::NoAddress);
    (residence.code.len(), residence.precision != Precision::Unknown, !silent)
}
