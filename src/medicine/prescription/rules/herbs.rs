//! `herbs.csv` (饮片: dose and toxicity), `patent_herbs.csv` (what a 中成药 is made of),
//! `tcm_pairs.csv` (十八反, 十九畏 and herbs beside western medicines) and `patterns.csv` (证 for which
//! a 中成药 is wrong).

use std::collections::HashMap;

use serde::Deserialize;

use super::{BySubject, Origin, Rows, TableAction, TableSeverity};
use crate::medicine::prescription::formulary::{Formulary, IngredientId, Medicine, Subject};
use crate::medicine::prescription::report::{Action, Severity};
use crate::tables::files::{Files, LoadError};
use crate::tables::table::{Status, list, rows};
use crate::tables::text::fold;

const HERBS: &str = "prescription/herbs.csv";
const PATENTS: &str = "prescription/patent_herbs.csv";
const PAIRS: &str = "prescription/tcm_pairs.csv";
const PATTERNS: &str = "prescription/patterns.csv";

/// How poisonous a 饮片 is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::medicine::prescription) enum Toxicity {
    /// None is known.
    None,
    /// 有小毒
    Small,
    /// 有毒
    Toxic,
    /// 有大毒
    VeryToxic,
    /// 医疗用毒性药品
    Controlled,
}

/// One row of `herbs.csv`.
#[derive(Debug)]
pub(in crate::medicine::prescription) struct Herb {
    pub(in crate::medicine::prescription) origin: Origin,
    pub(in crate::medicine::prescription) toxicity: Toxicity,
    /// Grams a day in a decoction.
    pub(in crate::medicine::prescription) dose_max_g: Option<f64>,
    pub(in crate::medicine::prescription) note_zh: String,
}

/// One row of `tcm_pairs.csv`.
#[derive(Debug)]
pub(in crate::medicine::prescription) struct HerbPair {
    pub(in crate::medicine::prescription) origin: Origin,
    pub(in crate::medicine::prescription) a: Vec<IngredientId>,
    pub(in crate::medicine::prescription) b: Vec<IngredientId>,
    pub(in crate::medicine::prescription) action: Action,
    pub(in crate::medicine::prescription) severity: Severity,
    pub(in crate::medicine::prescription) reason_zh: String,
    pub(in crate::medicine::prescription) instead_zh: String,
}

/// One row of `patterns.csv`.
#[derive(Debug)]
pub(in crate::medicine::prescription) struct Pattern {
    pub(in crate::medicine::prescription) origin: Origin,
    /// Words of a diagnosis, folded, that name a pattern the medicine does not suit.
    pub(in crate::medicine::prescription) words: Vec<String>,
    pub(in crate::medicine::prescription) action: Action,
    pub(in crate::medicine::prescription) severity: Severity,
    pub(in crate::medicine::prescription) reason_zh: String,
    pub(in crate::medicine::prescription) instead_zh: String,
}

/// The four tables.
#[derive(Debug)]
pub(in crate::medicine::prescription) struct Herbs {
    pieces: HashMap<IngredientId, Herb>,
    /// Herbs of each medicine, by its place.
    patents: Vec<Vec<IngredientId>>,
    pairs: Vec<HerbPair>,
    /// Pairs that a herb or western ingredient takes part in.
    of_ingredient: Vec<Vec<u16>>,
    patterns: Vec<Pattern>,
    patterns_of: BySubject,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HerbRow {
    id: String,
    #[expect(dead_code, reason = "read with the ingredients")]
    name_zh: String,
    #[expect(dead_code, reason = "read with the ingredients")]
    aliases: String,
    toxicity: Toxicity,
    dose_min_g: Option<f64>,
    dose_max_g: Option<f64>,
    #[expect(dead_code, reason = "pregnancy has its own table")]
    pregnancy: String,
    note_zh: String,
    source: String,
    status: Status,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PatentRow {
    medicine: String,
    herbs: String,
    #[expect(dead_code, reason = "for the reader of the table")]
    complete: String,
    source: String,
    #[expect(dead_code, reason = "a fact like any other: its status must be readable")]
    status: Status,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PatternRow {
    id: String,
    subject: String,
    words: String,
    #[expect(dead_code, reason = "all are about the indication")]
    kind: String,
    action: TableAction,
    severity: TableSeverity,
    reason_zh: String,
    instead_zh: String,
    source: String,
    status: Status,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PairRow {
    id: String,
    a: String,
    b: String,
    action: TableAction,
    severity: TableSeverity,
    reason_zh: String,
    instead_zh: String,
    source: String,
    status: Status,
}

impl Herbs {
    pub(in crate::medicine::prescription) fn load(
        files: &Files,
        formulary: &Formulary,
    ) -> Result<Self, LoadError> {
        let mut all = Self {
            pieces: HashMap::new(),
            patents: vec![Vec::new(); formulary.medicines().len()],
            pairs: Vec::new(),
            of_ingredient: vec![Vec::new(); formulary.ingredients().len()],
            patterns: Vec::new(),
            patterns_of: BySubject::new(formulary),
        };
        let mut checks = Rows::new(formulary, HERBS);
        for (line, row) in rows::<HerbRow>(files, HERBS)? {
            let origin = checks.origin(line, &row.id, &row.source, row.status)?;
            checks.rising(line, "dose_min_g and dose_max_g", row.dose_min_g, row.dose_max_g)?;
            let Subject::Ingredient(id) = checks.subject(line, &row.id)? else {
                return Err(LoadError::line(HERBS, line, format!("`{}` is no herb", row.id)));
            };
            let herb = Herb {
                origin,
                toxicity: row.toxicity,
                dose_max_g: row.dose_max_g,
                note_zh: row.note_zh,
            };
            all.pieces.insert(id, herb);
        }
        let checks = Rows::new(formulary, PATENTS);
        for (line, row) in rows::<PatentRow>(files, PATENTS)? {
            formulary.sources().check(PATENTS, line, &row.source)?;
            let Subject::Medicine(id) = checks.subject(line, &row.medicine)? else {
                let message = format!("`{}` is no medicine", row.medicine);
                return Err(LoadError::line(PATENTS, line, message));
            };
            let mut herbs = Vec::new();
            for herb in list(&row.herbs) {
                herbs.extend(formulary.members(checks.ingredients(line, herb)?));
            }
            if let Some(place) = all.patents.get_mut(id.index()) {
                place.extend(herbs);
                place.sort_unstable();
                place.dedup();
            }
        }
        let mut checks = Rows::new(formulary, PAIRS);
        for (line, row) in rows::<PairRow>(files, PAIRS)? {
            let origin = checks.origin(line, &row.id, &row.source, row.status)?;
            checks.filled(line, "reason_zh", &row.reason_zh)?;
            let side = |cell: &str| -> Result<Vec<IngredientId>, LoadError> {
                let mut ids = Vec::new();
                for subject in checks.subjects(line, cell)? {
                    ids.extend(formulary.members(subject));
                }
                ids.sort_unstable();
                ids.dedup();
                Ok(ids)
            };
            let (a, b) = (side(&row.a)?, side(&row.b)?);
            let at = super::place(all.pairs.len(), PAIRS, line)?;
            for id in a.iter().chain(&b) {
                if let Some(places) = all.of_ingredient.get_mut(id.index())
                    && places.last() != Some(&at)
                {
                    places.push(at);
                }
            }
            all.pairs.push(HerbPair {
                origin,
                a,
                b,
                action: row.action.into(),
                severity: row.severity.into(),
                reason_zh: row.reason_zh,
                instead_zh: row.instead_zh,
            });
        }
        all.load_patterns(files, formulary)?;
        Ok(all)
    }

    fn load_patterns(&mut self, files: &Files, formulary: &Formulary) -> Result<(), LoadError> {
        let mut checks = Rows::new(formulary, PATTERNS);
        for (line, row) in rows::<PatternRow>(files, PATTERNS)? {
            let origin = checks.origin(line, &row.id, &row.source, row.status)?;
            checks.filled(line, "words", &row.words)?;
            let at = super::place(self.patterns.len(), PATTERNS, line)?;
            for subject in checks.subjects(line, &row.subject)? {
                self.patterns_of.add(formulary, subject, at);
            }
            self.patterns.push(Pattern {
                origin,
                words: list(&row.words).map(fold).collect(),
                action: row.action.into(),
                severity: row.severity.into(),
                reason_zh: row.reason_zh,
                instead_zh: row.instead_zh,
            });
        }
        Ok(())
    }

    /// Patterns that a medicine does not suit.
    pub(in crate::medicine::prescription) fn patterns(
        &self,
        medicine: Option<&Medicine>,
    ) -> impl Iterator<Item = &Pattern> {
        let places = self.patterns_of.of_medicine(medicine).iter();
        places.filter_map(|at| self.patterns.get(usize::from(*at)))
    }

    /// The row of a 饮片.
    pub(in crate::medicine::prescription) fn herb(&self, id: IngredientId) -> Option<&Herb> {
        self.pieces.get(&id)
    }

    /// Herbs of a 中成药, as far as compiled.
    pub(in crate::medicine::prescription) fn of_medicine(
        &self,
        medicine: Option<&Medicine>,
    ) -> &[IngredientId] {
        medicine.and_then(|m| self.patents.get(m.id.index())).map_or(&[], Vec::as_slice)
    }

    /// Places of the pairs an ingredient takes part in.
    pub(in crate::medicine::prescription) fn pairs_of(&self, id: IngredientId) -> &[u16] {
        self.of_ingredient.get(id.index()).map_or(&[], Vec::as_slice)
    }

    /// One pair.
    pub(in crate::medicine::prescription) fn pair(&self, at: u16) -> Option<&HerbPair> {
        self.pairs.get(usize::from(at))
    }
}
