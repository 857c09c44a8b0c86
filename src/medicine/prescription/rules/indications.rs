//! `indications.csv`: what a medicine is for, by ICD-10.

use serde::Deserialize;

use super::{BySubject, Rows, place};
use crate::medicine::prescription::diseases::Icd;
use crate::medicine::prescription::formulary::{Formulary, Subject};
use crate::medicine::prescription::route::Routes;
use crate::tables::files::{Files, LoadError};
use crate::tables::table::{Status, rows};

const PATH: &str = "prescription/indications.csv";

/// One row.
#[derive(Debug)]
pub(in crate::medicine::prescription) struct Indication {
    pub(in crate::medicine::prescription) subject: Subject,
    pub(in crate::medicine::prescription) routes: Routes,
    pub(in crate::medicine::prescription) icd: Vec<Icd>,
    pub(in crate::medicine::prescription) name_zh: String,
    /// 1 first choice, 2 alternative, 3 reserve; in primary care.
    pub(in crate::medicine::prescription) rank: u8,
}

/// All rows by what they speak of.
#[derive(Debug)]
pub(in crate::medicine::prescription) struct Indications {
    rules: Vec<Indication>,
    by_subject: BySubject,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Use {
    Label,
    Guideline,
    Common,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    id: String,
    subject: String,
    route: String,
    icd: String,
    name_zh: String,
    #[serde(rename = "use")]
    #[expect(dead_code, reason = "for the reader of the table")]
    used: Use,
    rank: Option<u8>,
    source: String,
    status: Status,
}

/// Rank of a row that gives none.
const RANK_DEFAULT: u8 = 2;

impl Indications {
    pub(in crate::medicine::prescription) fn load(
        files: &Files,
        formulary: &Formulary,
    ) -> Result<Self, LoadError> {
        let mut checks = Rows::new(formulary, PATH);
        let mut all = Self { rules: Vec::new(), by_subject: BySubject::new(formulary) };
        for (line, row) in rows::<Row>(files, PATH)? {
            checks.origin(line, &row.id, &row.source, row.status)?;
            checks.filled(line, "icd", &row.icd)?;
            checks.filled(line, "name_zh", &row.name_zh)?;
            let routes = if row.route.is_empty() { "any" } else { &row.route };
            let routes = checks.routes(line, routes)?;
            let icd = checks.prefixes(line, &row.icd)?;
            for subject in checks.subjects(line, &row.subject)? {
                let at = place(all.rules.len(), PATH, line)?;
                all.by_subject.add(formulary, subject, at);
                all.rules.push(Indication {
                    subject,
                    routes,
                    icd: icd.clone(),
                    name_zh: row.name_zh.clone(),
                    rank: row.rank.unwrap_or(RANK_DEFAULT),
                });
            }
        }
        Ok(all)
    }

    /// Rows by what they speak of.
    pub(in crate::medicine::prescription) fn by_subject(&self) -> &BySubject {
        &self.by_subject
    }

    /// One row.
    pub(in crate::medicine::prescription) fn get(&self, at: u16) -> Option<&Indication> {
        self.rules.get(usize::from(at))
    }

    /// All rows.
    pub(in crate::medicine::prescription) fn all(&self) -> &[Indication] {
        &self.rules
    }
}
