//! Reading the cited tables under `models/`: typed rows with errors that name file and line.
//!
//! Every table of medical facts has a `source` and a `status` column; a row without a known
//! source does not load.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::files::{Files, LoadError};

/// Whether a clinician has reviewed a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Compiled by engineers, not reviewed.
    Draft,
    /// Reviewed by a named clinician.
    Reviewed,
}

/// One document, data set or admission (`memory`, `expert-guess`) that rows cite.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// Slug that rows cite.
    pub id: String,
    /// The full citation.
    pub citation: String,
    /// Where it can be read, if anywhere.
    pub url: String,
    /// Its licence.
    pub licence: String,
    /// How its facts were taken over.
    pub note: String,
}

/// The sources of one area (`diagnosis/sources.csv`).
#[derive(Debug, Clone, Default)]
pub struct Sources(BTreeMap<String, Source>);

impl Sources {
    /// Reads `path`.
    pub fn load(files: &Files, path: &str) -> Result<Self, LoadError> {
        let mut map = BTreeMap::new();
        for (line, source) in rows::<Source>(files, path)? {
            if source.id.is_empty() || source.citation.is_empty() {
                return Err(LoadError::line(path, line, "a source needs an id and a citation"));
            }
            let id = source.id.clone();
            if map.insert(id.clone(), source).is_some() {
                return Err(LoadError::line(path, line, format!("source `{id}` stands twice")));
            }
        }
        Ok(Self(map))
    }

    /// Refuses an empty or unknown citation. `cited` is `<source id>` or `<source id>#<locator>`.
    pub fn check(&self, path: &str, line: u64, cited: &str) -> Result<(), LoadError> {
        if cited.trim().is_empty() {
            return Err(LoadError::line(path, line, "row has no source"));
        }
        match self.get(cited) {
            Some(_) => Ok(()),
            None => Err(LoadError::line(path, line, format!("unknown source `{cited}`"))),
        }
    }

    /// The source a citation points at.
    pub fn get(&self, cited: &str) -> Option<&Source> {
        let id = cited.split_once('#').map_or(cited, |(id, _)| id);
        self.0.get(id)
    }

    /// A citation as a person reads it: the full citation and the locator.
    pub fn cite(&self, cited: &str) -> String {
        match (self.get(cited), cited.split_once('#')) {
            (Some(source), Some((_, locator))) => format!("{} [{locator}]", source.citation),
            (Some(source), None) => source.citation.clone(),
            (None, _) => cited.to_owned(),
        }
    }
}

/// All rows of a CSV table with their 1-based line numbers. Cells are trimmed; an unknown,
/// missing or malformed column is an error that names the line.
pub fn rows<T: DeserializeOwned>(files: &Files, path: &str) -> Result<Vec<(u64, T)>, LoadError> {
    let mut reader =
        csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(files.text(path)?.as_bytes());
    let headers = reader.headers().map_err(|e| LoadError::file(path, e.to_string()))?.clone();
    let mut out = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|e| match e.position() {
            Some(p) => LoadError::line(path, p.line(), e.to_string()),
            None => LoadError::file(path, e.to_string()),
        })?;
        let line = record.position().map_or(0, csv::Position::line);
        let row = record
            .deserialize(Some(&headers))
            .map_err(|e| LoadError::line(path, line, describe(&e, &headers)))?;
        out.push((line, row));
    }
    Ok(out)
}

/// The cells of a `|`-separated list, trimmed, empty ones dropped.
pub fn list(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('|').map(str::trim).filter(|part| !part.is_empty())
}

fn describe(error: &csv::Error, headers: &csv::StringRecord) -> String {
    let csv::ErrorKind::Deserialize { err, .. } = error.kind() else { return error.to_string() };
    let column = err.field().and_then(|i| headers.get(usize::try_from(i).unwrap_or(usize::MAX)));
    format!("column `{}`: {}", column.unwrap_or("?"), err.kind())
}
