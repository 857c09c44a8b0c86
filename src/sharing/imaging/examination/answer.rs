//! From features to examinations: per series, then for the study.

use std::collections::{BTreeMap, BTreeSet};

use super::features::{Contrast, Features};
use super::tables::{Examination, Examinations};
use super::{Basis, Derived, DerivedStudy, Field, Laterality, Modality, Programme, Reason};
use crate::sharing::imaging::header::Header;

/// Series of one study that are looked at.
const SERIES_MAX: usize = 4096;
/// What is written where no agent was given.
const NO_AGENT: [&str; 10] = ["none", "no", "n", "nil", "c-", "-c", "无", "未用", "0", "without"];

/// What was read from one series.
#[derive(Debug, Clone)]
struct Read<'t> {
    uid: String,
    modality: Modality,
    /// The examinations that study description and procedure name.
    of_study: Vec<Features<'t>>,
    /// The examinations that this series is of.
    pieces: Vec<Features<'t>>,
    basis: Basis,
    laterality: Option<Laterality>,
    reasons: BTreeSet<Reason>,
}

impl Examinations {
    /// Body region and examination type of a study, from one header of each series (more of a
    /// series are passed over).
    pub fn derive(&self, headers: &[Header]) -> DerivedStudy {
        let mut seen = BTreeSet::new();
        let mut reads: Vec<Read<'_>> = Vec::new();
        for header in headers {
            if reads.len() < SERIES_MAX && seen.insert(header.series.uid.as_str()) {
                reads.push(self.read(header));
            }
        }
        let series = reads.iter().map(|r| (r.uid.clone(), self.derive_series(r))).collect();
        DerivedStudy { study: self.derive_study(&reads), series }
    }

    /// What a planned examination is, from how it is written and, if known, its modality.
    pub fn derive_request(&self, modality: Modality, text: &str) -> Derived {
        let pieces = self.read_text(text);
        let mut reasons = BTreeSet::new();
        note(&mut reasons, Field::Procedure, &pieces);
        let basis = if has_region(&pieces) { Basis::Text } else { Basis::Unknown };
        let said = modality != Modality::Other;
        let modality = if said { modality } else { only_modality(&pieces) };
        let laterality = None;
        let of_study = Vec::new();
        let uid = String::new();
        let read = Read { uid, modality, of_study, pieces, basis, laterality, reasons };
        self.derive_series(&read)
    }

    fn read_text(&self, text: &str) -> Vec<Features<'_>> {
        self.lexicon.read(text, |inner, outer| self.is_within(inner, outer))
    }

    fn read(&self, header: &Header) -> Read<'_> {
        let mut reasons = BTreeSet::new();
        let mut of = |field, text: &str| {
            let pieces = self.read_text(text);
            note(&mut reasons, field, &pieces);
            pieces
        };
        let mut of_study = of(Field::Procedure, &header.study.procedure);
        let described = of(Field::StudyDescription, &header.study.description);
        self.join(&mut of_study, described);
        let mut own = of(Field::Protocol, &header.series.protocol);
        let described = of(Field::SeriesDescription, &header.series.description);
        self.join(&mut own, described);
        let part: BTreeSet<&str> = of(Field::BodyPart, &header.series.body_part)
            .into_iter()
            .flat_map(|f| f.regions)
            .collect();
        let view = of(Field::ViewPosition, &header.series.view_position);
        let code = self.codes.get(&header.series.anatomic_region_code);
        let coded: BTreeSet<&str> = code.into_iter().flatten().map(String::as_str).collect();
        if !coded.is_empty() {
            let term = header.series.anatomic_region_code.clone();
            reasons.insert(Reason { field: Field::AnatomicRegion, term });
        }

        let (mut pieces, basis) = self.place(&of_study, own, &coded, &part);
        for piece in &mut pieces {
            for view in &view {
                piece.fill_from(view);
            }
        }
        if let Some(given) = agent(&header.series.contrast_agent) {
            let term = if given { "agent" } else { "no agent" };
            reasons.insert(Reason { field: Field::ContrastAgent, term: term.to_owned() });
            for piece in pieces.iter_mut().filter(|p| p.contrast().is_none()) {
                piece.enhanced = given;
                piece.plain = !given;
            }
        }
        Read {
            uid: header.series.uid.clone(),
            modality: self.modality(header, &pieces),
            of_study,
            pieces,
            basis,
            laterality: laterality(&header.series.laterality),
            reasons,
        }
    }

    /// What the series is of: its own words first, then the study's, then tags.
    fn place<'t>(
        &'t self,
        of_study: &[Features<'t>],
        own: Vec<Features<'t>>,
        coded: &BTreeSet<&'t str>,
        part: &BTreeSet<&'t str>,
    ) -> (Vec<Features<'t>>, Basis) {
        let (study_says, series_says) = (has_region(of_study), has_region(&own));
        let mut pieces = own;
        let mut disagree = false;
        if series_says {
            for piece in &mut pieces {
                let related = of_study
                    .iter()
                    .filter(|s| self.related(&piece.regions, &s.regions))
                    .min_by_key(|s| s.techniques != piece.techniques);
                if let Some(study) = related {
                    piece.fill_from(study);
                    if self.narrower(&study.regions, &piece.regions) {
                        piece.regions.clone_from(&study.regions);
                    }
                } else {
                    disagree |= study_says;
                    if let ([alone], false) = (of_study, study_says) {
                        piece.fill_from(alone);
                    }
                }
            }
        } else {
            let how = pieces.pop();
            pieces = of_study.to_vec();
            match (how, pieces.as_mut_slice()) {
                (Some(mut how), [only]) => {
                    how.fill_from(only);
                    how.regions.extend(&only.regions);
                    how.techniques.extend(&only.techniques);
                    *only = how;
                }
                (Some(how), []) => pieces.push(how),
                (Some(_) | None, _) => {}
            }
        }
        let tag = if coded.is_empty() { part } else { coded };
        if study_says || series_says {
            let agrees = pieces.iter().any(|p| self.related(&p.regions, tag));
            let basis = match (disagree, tag.is_empty(), agrees) {
                (true, _, _) => Basis::TextsDisagree,
                (false, false, true) => Basis::TextAndTag,
                (false, false, false) => Basis::TextAgainstTag,
                (false, true, _) if study_says => Basis::Text,
                (false, true, _) => Basis::SeriesText,
            };
            return (pieces, basis);
        }
        if tag.is_empty() {
            return (pieces, Basis::Unknown);
        }
        let mut piece = pieces.pop().unwrap_or_default();
        piece.regions.extend(tag);
        (vec![piece], if coded.is_empty() { Basis::BodyPart } else { Basis::Code })
    }

    /// Adds what a second text of the same object says. Pieces of one text stay apart.
    fn join<'t>(&'t self, pieces: &mut Vec<Features<'t>>, more: Vec<Features<'t>>) {
        let mut before = std::mem::take(pieces);
        let single = before.len() == 1;
        for piece in more {
            let joins = |p: &Features<'t>| {
                let one_examination =
                    p.techniques == piece.techniques || !p.says_how() || !piece.says_how();
                single && (p.regions.is_empty() || piece.regions.is_empty())
                    || one_examination && self.related(&p.regions, &piece.regions)
            };
            match before.iter_mut().find(|p| joins(p)) {
                Some(there) => {
                    if there.regions.is_empty() || self.narrower(&piece.regions, &there.regions) {
                        there.regions.clone_from(&piece.regions);
                    }
                    there.take_how(&piece);
                    there.terms.extend(&piece.terms);
                }
                None => pieces.push(piece),
            }
        }
        pieces.splice(0..0, before);
    }

    /// Whether one of `a` is, holds or lies within one of `b`.
    fn related(&self, a: &BTreeSet<&str>, b: &BTreeSet<&str>) -> bool {
        a.iter().any(|x| b.iter().any(|y| self.is_within(x, y) || self.is_within(y, x)))
    }

    /// Whether all of `a` lie within regions of `b` and are not the same.
    fn narrower(&self, a: &BTreeSet<&str>, b: &BTreeSet<&str>) -> bool {
        !a.is_empty() && a != b && a.iter().all(|x| b.iter().any(|y| self.is_within(x, y)))
    }

    fn modality(&self, header: &Header, pieces: &[Features<'_>]) -> Modality {
        let code = header.series.modality.trim().to_ascii_uppercase();
        self.modalities
            .get(&code)
            .or_else(|| self.sop_classes.get(&header.instance.sop_class))
            .copied()
            .unwrap_or_else(|| match code.as_str() {
                // Only an object that does not say what it is takes it from its words.
                "" | "OT" => only_modality(pieces),
                _ => Modality::Other,
            })
    }

    fn derive_series(&self, read: &Read<'_>) -> Derived {
        let found = self.examine(read.modality, &read.pieces);
        self.answer(&[(read.modality, &read.pieces)], &found, read.basis, &[read])
    }

    fn derive_study(&self, reads: &[Read<'_>]) -> Derived {
        let images = reads.iter().any(|r| !matches!(r.modality, Modality::Sr | Modality::Other));
        let counted: Vec<&Read<'_>> = reads
            .iter()
            .filter(|r| !images || !matches!(r.modality, Modality::Sr | Modality::Other))
            .collect();
        let mut by_modality: BTreeMap<Modality, Vec<Features<'_>>> = BTreeMap::new();
        for read in &counted {
            let all = by_modality.entry(read.modality).or_default();
            for piece in &read.pieces {
                merge(all, piece);
            }
        }
        for read in &counted {
            let all = by_modality.entry(read.modality).or_default();
            for piece in read.of_study.iter().filter(|p| !p.regions.is_empty()) {
                let same = all.iter().any(|p| {
                    p.regions == piece.regions
                        && (p.techniques == piece.techniques || !piece.says_how())
                });
                let refined = all.iter().any(|p| self.narrower(&p.regions, &piece.regions));
                if !refined && (!same || piece.says_how()) {
                    merge(all, piece);
                }
            }
        }
        let mut found = BTreeSet::new();
        for (modality, pieces) in &by_modality {
            found.extend(self.examine(*modality, pieces));
        }
        // The least sure series that says a region counts; a localiser that says none does not.
        let basis = counted
            .iter()
            .map(|r| r.basis)
            .filter(|basis| *basis != Basis::Unknown)
            .min_by(|a, b| self.value(*a).total_cmp(&self.value(*b)))
            .unwrap_or(Basis::Unknown);
        let pieces: Vec<(Modality, &Vec<Features<'_>>)> =
            by_modality.iter().map(|(m, p)| (*m, p)).collect();
        self.answer(&pieces, &found, basis, &counted)
    }

    fn answer(
        &self,
        pieces: &[(Modality, &Vec<Features<'_>>)],
        found: &BTreeSet<&str>,
        basis: Basis,
        reads: &[&Read<'_>],
    ) -> Derived {
        let mut regions: BTreeSet<&str> =
            pieces.iter().flat_map(|(_, p)| p.iter()).flat_map(|f| f.regions.clone()).collect();
        let examinations: Vec<&Examination> =
            found.iter().filter_map(|id| self.examination(id)).collect();
        let by_modality = basis == Basis::Unknown && !found.is_empty();
        let basis = if by_modality { Basis::Modality } else { basis };
        if regions.is_empty() {
            regions
                .extend(examinations.iter().filter_map(|e| e.regions.first()).map(String::as_str));
        }
        let mut programmes: BTreeSet<Programme> =
            examinations.iter().map(|e| e.programme).collect();
        if programmes.len() > 1 {
            programmes.remove(&Programme::Unknown);
        }
        if programmes.is_empty() {
            programmes.insert(Programme::Unknown);
        }
        let first = pieces.first().map_or(Modality::Other, |(m, _)| *m);
        let reasons: BTreeSet<Reason> =
            reads.iter().flat_map(|r| r.reasons.iter().cloned()).collect();
        let mut sides = reads.iter().filter_map(|r| r.laterality);
        let side = sides.next();
        let laterality = if sides.all(|s| Some(s) == side) { side } else { Some(Laterality::Both) };
        Derived {
            modality: examinations.first().map_or(first, |e| e.modality),
            regions: regions.into_iter().map(str::to_owned).collect(),
            examinations: found.iter().map(|&id| id.to_owned()).collect(),
            programmes: programmes.into_iter().collect(),
            laterality,
            basis,
            confidence: self.value(basis),
            reasons: reasons.into_iter().collect(),
        }
    }

    fn value(&self, basis: Basis) -> f64 {
        self.confidence.get(&basis).copied().unwrap_or(0.0)
    }

    /// The examinations that pieces amount to.
    fn examine(&self, modality: Modality, pieces: &[Features<'_>]) -> BTreeSet<&str> {
        let mut found: BTreeSet<&str> = BTreeSet::new();
        let nothing = Features::default();
        let pieces: Vec<&Features<'_>> =
            if pieces.is_empty() { vec![&nothing] } else { pieces.iter().collect() };
        for piece in pieces {
            let regions: Vec<Option<&str>> = if piece.regions.is_empty() {
                vec![None]
            } else {
                piece.regions.iter().copied().map(Some).collect()
            };
            for region in regions {
                found.extend(self.of_region(modality, region, piece));
            }
        }
        let winners: Vec<&Examination> =
            found.iter().filter_map(|id| self.examination(id)).collect();
        found.retain(|id| !winners.iter().any(|e| beats(e, id)));
        found
    }

    /// The rows that fit best at a region, or else at the nearest that holds it.
    fn of_region(
        &self,
        modality: Modality,
        region: Option<&str>,
        piece: &Features<'_>,
    ) -> Vec<&str> {
        let contrast = self.unabsorbed(piece);
        let fits = |e: &&Examination, region: Option<&str>| {
            e.modality == modality
                && (e.regions.is_empty()
                    || region.is_some_and(|r| e.regions.iter().any(|x| x == r)))
                && e.technique.as_deref().is_none_or(|t| piece.techniques.contains(t))
                && (e.contrast.is_none() || e.contrast == contrast)
                && e.views.is_subset(&piece.views)
        };
        let mut places = vec![region];
        places.extend(region.iter().flat_map(|r| self.above(r)).map(Some));
        for place in places {
            let rows: Vec<&Examination> = self.all().filter(|e| fits(e, place)).collect();
            if !rows.is_empty() {
                let best = |e: &&&Examination| !rows.iter().any(|other| says_more(other, e));
                return rows.iter().filter(best).map(|e| e.id.as_str()).collect();
            }
        }
        Vec::new()
    }

    /// Contrast that is an examination of its own and not part of a technique.
    fn unabsorbed(&self, piece: &Features<'_>) -> Option<Contrast> {
        let absorbed = |contrast| {
            piece
                .techniques
                .iter()
                .filter_map(|t| self.absorbs.get(*t))
                .any(|a| a.contains(&contrast))
        };
        match piece.contrast() {
            Some(Contrast::Both) if absorbed(Contrast::Plain) && absorbed(Contrast::Enhanced) => {
                None
            }
            Some(one) if one != Contrast::Both && absorbed(one) => None,
            contrast => contrast,
        }
    }
}

/// Whether `a` asks for all that `b` asks for, and more.
fn says_more(a: &Examination, b: &Examination) -> bool {
    a.id != b.id
        && (b.regions.is_empty() || !a.regions.is_empty())
        && (b.technique.is_none() || a.technique == b.technique)
        && (b.contrast.is_none() || a.contrast == b.contrast)
        && b.views.is_subset(&a.views)
        && (a.regions.is_empty() != b.regions.is_empty()
            || a.technique != b.technique
            || a.contrast != b.contrast
            || a.views != b.views)
}

/// Whether `a` stands in the place of the examination `id`; `ct.*` is all others that begin so.
fn beats(a: &Examination, id: &str) -> bool {
    a.id != id
        && a.beats.iter().any(|beaten| match beaten.strip_suffix('*') {
            Some(start) => id.starts_with(start),
            None => beaten == id,
        })
}

/// Adds what another series says; views and contrast of one technique add up (正位 and 侧位).
fn merge<'t>(all: &mut Vec<Features<'t>>, piece: &Features<'t>) {
    let same =
        |p: &&mut Features<'t>| p.regions == piece.regions && p.techniques == piece.techniques;
    match all.iter_mut().find(same) {
        Some(there) => there.take_how(piece),
        None => all.push(piece.clone()),
    }
}

fn has_region(pieces: &[Features<'_>]) -> bool {
    pieces.iter().any(|p| !p.regions.is_empty())
}

fn only_modality(pieces: &[Features<'_>]) -> Modality {
    let all: BTreeSet<Modality> = pieces.iter().flat_map(|p| p.modalities.clone()).collect();
    match (all.len(), all.first()) {
        (1, Some(only)) => *only,
        _ => Modality::Other,
    }
}

/// Whether an agent was given, where the attribute says either.
fn agent(agent: &str) -> Option<bool> {
    let agent = super::lexicon::normal(agent);
    (!agent.is_empty()).then(|| !NO_AGENT.contains(&agent.trim()))
}

fn laterality(code: &str) -> Option<Laterality> {
    match code.trim() {
        "L" => Some(Laterality::Left),
        "R" => Some(Laterality::Right),
        "B" => Some(Laterality::Both),
        _ => None,
    }
}

fn note(reasons: &mut BTreeSet<Reason>, field: Field, pieces: &[Features<'_>]) {
    let terms = pieces.iter().flat_map(|p| p.terms.iter());
    reasons.extend(terms.map(|term| Reason { field, term: (*term).to_owned() }));
}
