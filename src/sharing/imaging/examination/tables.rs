//! The tables under `models/imaging/`, checked against each other when they load.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::features::{Contrast, View};
use super::lexicon::{Lexicon, Term};
use super::{Basis, Modality, Programme};
use crate::tables::files::{Files, LoadError};
use crate::tables::table::{Sources, Status, list, rows};

const SOURCES: &str = "imaging/sources.csv";
const MODALITIES: &str = "imaging/modalities.csv";
const REGIONS: &str = "imaging/regions.csv";
const CODES: &str = "imaging/region_codes.csv";
const TECHNIQUES: &str = "imaging/techniques.csv";
const EXAMINATIONS: &str = "imaging/examinations.csv";
const TERMS: &str = "imaging/terms.csv";
const CONFIDENCE: &str = "imaging/confidence.csv";
/// Steps from a region to the widest that holds it, at most.
const DEPTH_MAX: usize = 8;

/// A body region.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Region {
    /// Slug.
    pub id: String,
    /// Chinese name.
    pub zh: String,
    /// Regions that hold it, nearest first.
    pub within: Vec<String>,
    /// SNOMED CT code as `SCT:value`; may be empty.
    pub code: String,
}

/// A type of examination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Examination {
    /// Stable id, for example `ct.brain.plain`.
    pub id: String,
    /// Modality group.
    pub modality: Modality,
    /// Regions of which one must be found; empty for any.
    pub regions: Vec<String>,
    /// Chinese name.
    pub zh: String,
    /// Programme.
    pub programme: Programme,
    pub(super) technique: Option<String>,
    pub(super) contrast: Option<Contrast>,
    pub(super) views: BTreeSet<View>,
    pub(super) beats: Vec<String>,
}

/// Everything that body region and examination type are derived with.
#[derive(Debug)]
pub struct Examinations {
    pub(super) modalities: BTreeMap<String, Modality>,
    pub(super) sop_classes: BTreeMap<String, Modality>,
    pub(super) regions: BTreeMap<String, Region>,
    pub(super) codes: BTreeMap<String, Vec<String>>,
    /// Which kinds of contrast a technique implies, so that they make no examination of their own.
    pub(super) absorbs: BTreeMap<String, Vec<Contrast>>,
    pub(super) types: BTreeMap<String, Examination>,
    pub(super) lexicon: Lexicon,
    pub(super) confidence: BTreeMap<Basis, f64>,
    version: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ModalityRow {
    kind: Kind,
    value: String,
    group: Modality,
    source: String,
    status: Status,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Modality,
    Sop,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RegionRow {
    id: String,
    zh: String,
    within: String,
    code: String,
    source: String,
    status: Status,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CodeRow {
    code: String,
    regions: String,
    meaning: String,
    source: String,
    status: Status,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TechniqueRow {
    id: String,
    zh: String,
    absorbs: String,
    source: String,
    status: Status,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ExaminationRow {
    id: String,
    modality: Modality,
    regions: String,
    technique: String,
    contrast: Option<Contrast>,
    views: String,
    beats: String,
    zh: String,
    programme: Programme,
    source: String,
    status: Status,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TermRow {
    term: String,
    regions: String,
    techniques: String,
    contrast: String,
    views: String,
    modality: Option<Modality>,
    source: String,
    status: Status,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ConfidenceRow {
    basis: Basis,
    value: f64,
    meaning_zh: String,
    source: String,
    status: Status,
}

impl Examinations {
    /// Reads and checks the tables. Fails with file and line on a row without a known source, a
    /// repeated id, or a name that no other table has.
    pub fn load(files: &Files) -> Result<Self, LoadError> {
        let sources = Sources::load(files, SOURCES)?;
        let (modalities, sop_classes) = read_modalities(files, &sources)?;
        let regions = read_regions(files, &sources)?;
        let absorbs = read_techniques(files, &sources)?;
        let codes = read_codes(files, &sources, &regions)?;
        let types = read_examinations(files, &sources, &regions, &absorbs)?;
        let lexicon = read_terms(files, &sources, &regions, &absorbs)?;
        let mut confidence = BTreeMap::new();
        for (line, row) in rows::<ConfidenceRow>(files, CONFIDENCE)? {
            origin(&sources, CONFIDENCE, line, &row.source, row.status)?;
            filled(CONFIDENCE, line, "meaning_zh", &row.meaning_zh)?;
            if !(0.0..=1.0).contains(&row.value) {
                return Err(LoadError::line(CONFIDENCE, line, "value must be 0 to 1"));
            }
            once(confidence.insert(row.basis, row.value).is_none(), CONFIDENCE, line)?;
        }
        Ok(Self {
            modalities,
            sop_classes,
            regions,
            codes,
            absorbs,
            types,
            lexicon,
            confidence,
            version: files.below("imaging/", ".csv").digest("imaging/", ".csv"),
        })
    }

    /// The group of modalities that a DICOM code names; [`Modality::Other`] if it is none.
    pub fn modality_named(&self, code: &str) -> Modality {
        let code = code.trim().to_uppercase();
        self.modalities.get(&code).copied().unwrap_or(Modality::Other)
    }

    /// Twelve hex digits over the tables below `imaging/`.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The examination with `id`.
    pub fn examination(&self, id: &str) -> Option<&Examination> {
        self.types.get(id)
    }

    /// All examinations, by id.
    pub fn all(&self) -> impl Iterator<Item = &Examination> {
        self.types.values()
    }

    /// The region with `id`.
    pub fn region(&self, id: &str) -> Option<&Region> {
        self.regions.get(id)
    }

    /// Whether region `inner` is `outer` or lies within it.
    pub fn is_within(&self, inner: &str, outer: &str) -> bool {
        inner == outer || self.above(inner).contains(&outer)
    }

    /// The regions that hold `region`, nearest first, without itself.
    pub(super) fn above(&self, region: &str) -> Vec<&str> {
        above(&self.regions, region)
    }
}

fn above<'a>(regions: &'a BTreeMap<String, Region>, region: &str) -> Vec<&'a str> {
    let mut out: Vec<&str> = Vec::new();
    let mut layer: Vec<&str> = regions.get(region).map(parents).unwrap_or_default();
    for _ in 0..DEPTH_MAX {
        let mut next = Vec::new();
        for id in layer {
            if !out.contains(&id) {
                out.push(id);
                next.extend(regions.get(id).map(parents).unwrap_or_default());
            }
        }
        layer = next;
    }
    out
}

fn parents(region: &Region) -> Vec<&str> {
    region.within.iter().map(String::as_str).collect()
}

type Modalities = BTreeMap<String, Modality>;

fn read_modalities(
    files: &Files,
    sources: &Sources,
) -> Result<(Modalities, Modalities), LoadError> {
    let (mut modalities, mut sop_classes) = (BTreeMap::new(), BTreeMap::new());
    for (line, row) in rows::<ModalityRow>(files, MODALITIES)? {
        origin(sources, MODALITIES, line, &row.source, row.status)?;
        filled(MODALITIES, line, "value", &row.value)?;
        let map = match row.kind {
            Kind::Modality => &mut modalities,
            Kind::Sop => &mut sop_classes,
        };
        once(map.insert(row.value, row.group).is_none(), MODALITIES, line)?;
    }
    Ok((modalities, sop_classes))
}

fn read_regions(files: &Files, sources: &Sources) -> Result<BTreeMap<String, Region>, LoadError> {
    let mut regions = BTreeMap::new();
    let mut lines = Vec::new();
    for (line, row) in rows::<RegionRow>(files, REGIONS)? {
        origin(sources, REGIONS, line, &row.source, row.status)?;
        filled(REGIONS, line, "id", &row.id)?;
        filled(REGIONS, line, "zh", &row.zh)?;
        let within = list(&row.within).map(str::to_owned).collect();
        lines.push((line, row.id.clone()));
        let region = Region { id: row.id.clone(), zh: row.zh, within, code: row.code };
        once(regions.insert(row.id, region).is_none(), REGIONS, line)?;
    }
    for (line, id) in lines {
        let holders = above(&regions, &id);
        if let Some(missing) = holders.iter().find(|r| !regions.contains_key(**r)) {
            return Err(LoadError::line(REGIONS, line, format!("unknown region `{missing}`")));
        }
        if holders.contains(&id.as_str()) {
            return Err(LoadError::line(
                REGIONS,
                line,
                format!("region `{id}` lies within itself"),
            ));
        }
    }
    Ok(regions)
}

type Techniques = BTreeMap<String, Vec<Contrast>>;

fn read_techniques(files: &Files, sources: &Sources) -> Result<Techniques, LoadError> {
    let mut absorbs = BTreeMap::new();
    for (line, row) in rows::<TechniqueRow>(files, TECHNIQUES)? {
        origin(sources, TECHNIQUES, line, &row.source, row.status)?;
        filled(TECHNIQUES, line, "id", &row.id)?;
        filled(TECHNIQUES, line, "zh", &row.zh)?;
        let contrasts = contrasts(TECHNIQUES, line, &row.absorbs)?;
        once(absorbs.insert(row.id, contrasts).is_none(), TECHNIQUES, line)?;
    }
    Ok(absorbs)
}

fn read_codes(
    files: &Files,
    sources: &Sources,
    regions: &BTreeMap<String, Region>,
) -> Result<BTreeMap<String, Vec<String>>, LoadError> {
    let mut codes = BTreeMap::new();
    for (line, row) in rows::<CodeRow>(files, CODES)? {
        origin(sources, CODES, line, &row.source, row.status)?;
        filled(CODES, line, "code", &row.code)?;
        filled(CODES, line, "meaning", &row.meaning)?;
        let found = known(CODES, line, "region", &row.regions, regions)?;
        once(codes.insert(row.code, found).is_none(), CODES, line)?;
    }
    Ok(codes)
}

fn read_examinations(
    files: &Files,
    sources: &Sources,
    regions: &BTreeMap<String, Region>,
    techniques: &Techniques,
) -> Result<BTreeMap<String, Examination>, LoadError> {
    let mut all = BTreeMap::new();
    let mut lines = Vec::new();
    for (line, row) in rows::<ExaminationRow>(files, EXAMINATIONS)? {
        origin(sources, EXAMINATIONS, line, &row.source, row.status)?;
        filled(EXAMINATIONS, line, "id", &row.id)?;
        filled(EXAMINATIONS, line, "zh", &row.zh)?;
        let mut technique = known(EXAMINATIONS, line, "technique", &row.technique, techniques)?;
        let examination = Examination {
            id: row.id.clone(),
            modality: row.modality,
            regions: known(EXAMINATIONS, line, "region", &row.regions, regions)?,
            zh: row.zh,
            programme: row.programme,
            technique: technique.pop(),
            contrast: row.contrast,
            views: views(EXAMINATIONS, line, &row.views)?,
            beats: list(&row.beats).map(str::to_owned).collect(),
        };
        lines.push((line, row.id.clone()));
        once(all.insert(row.id, examination).is_none(), EXAMINATIONS, line)?;
    }
    for (line, id) in lines {
        for beaten in all.get(&id).map(|e| e.beats.as_slice()).unwrap_or_default() {
            if !beaten.ends_with('*') && !all.contains_key(beaten) {
                let message = format!("unknown examination `{beaten}`");
                return Err(LoadError::line(EXAMINATIONS, line, message));
            }
        }
    }
    Ok(all)
}

fn read_terms(
    files: &Files,
    sources: &Sources,
    regions: &BTreeMap<String, Region>,
    techniques: &Techniques,
) -> Result<Lexicon, LoadError> {
    let mut terms = Vec::new();
    let mut seen = BTreeSet::new();
    for (line, row) in rows::<TermRow>(files, TERMS)? {
        origin(sources, TERMS, line, &row.source, row.status)?;
        filled(TERMS, line, "term", &row.term)?;
        let text = super::lexicon::normal(&row.term);
        once(seen.insert(text.clone()), TERMS, line)?;
        let contrasts = contrasts(TERMS, line, &row.contrast)?;
        terms.push(Term {
            text,
            regions: known(TERMS, line, "region", &row.regions, regions)?,
            techniques: known(TERMS, line, "technique", &row.techniques, techniques)?,
            contrasts,
            views: views(TERMS, line, &row.views)?,
            modality: row.modality,
        });
    }
    Lexicon::new(terms).map_err(|e| LoadError::file(TERMS, e.to_string()))
}

fn origin(
    sources: &Sources,
    path: &str,
    line: u64,
    cited: &str,
    _status: Status,
) -> Result<(), LoadError> {
    sources.check(path, line, cited)
}

fn filled(path: &str, line: u64, column: &str, value: &str) -> Result<(), LoadError> {
    if value.is_empty() {
        return Err(LoadError::line(path, line, format!("column `{column}` is empty")));
    }
    Ok(())
}

fn once(new: bool, path: &str, line: u64) -> Result<(), LoadError> {
    if new { Ok(()) } else { Err(LoadError::line(path, line, "stands twice")) }
}

fn known<T>(
    path: &str,
    line: u64,
    what: &str,
    cell: &str,
    all: &BTreeMap<String, T>,
) -> Result<Vec<String>, LoadError> {
    list(cell)
        .map(|id| {
            if all.contains_key(id) {
                Ok(id.to_owned())
            } else {
                Err(LoadError::line(path, line, format!("unknown {what} `{id}`")))
            }
        })
        .collect()
}

fn contrasts(path: &str, line: u64, cell: &str) -> Result<Vec<Contrast>, LoadError> {
    list(cell)
        .map(|word| match word {
            "plain" => Ok(Contrast::Plain),
            "contrast" => Ok(Contrast::Enhanced),
            _ => Err(LoadError::line(path, line, format!("unknown contrast `{word}`"))),
        })
        .collect()
}

fn views(path: &str, line: u64, cell: &str) -> Result<BTreeSet<View>, LoadError> {
    list(cell)
        .map(|word| match word {
            "pa" => Ok(View::Pa),
            "lateral" => Ok(View::Lateral),
            "bedside" => Ok(View::Bedside),
            _ => Err(LoadError::line(path, line, format!("unknown view `{word}`"))),
        })
        .collect()
}
