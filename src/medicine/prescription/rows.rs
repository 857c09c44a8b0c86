//! A rule as it is written in its table, for those who ask why.

use crate::tables::files::Files;
use crate::tables::table::Sources;

/// A row of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleRow {
    /// Table, below `models/prescription/`.
    pub table: String,
    /// Columns and values; empty cells left out.
    pub cells: Vec<(String, String)>,
    /// Full citation.
    pub citation: String,
    /// Where the source can be read; may be empty.
    pub url: String,
    /// How its facts were taken over.
    pub note: String,
    /// `draft` or `reviewed`.
    pub status: String,
}

impl RuleRow {
    /// The value of a column.
    pub fn cell(&self, column: &str) -> Option<String> {
        self.cells.iter().find(|(name, _)| name == column).map(|(_, value)| value.clone())
    }
}

/// The row with this id, in the first cell; `None` where no table has it.
pub fn rule_row(tables: &Files, sources: &Sources, id: &str) -> Option<RuleRow> {
    if id.is_empty() {
        return None;
    }
    let start = format!("{id},");
    tables.paths().find_map(|path| {
        let text = tables.text(path).ok()?;
        // Most tables do not hold it: a look at the beginnings of lines spares the parsing.
        text.lines().find(|line| line.starts_with(&start))?;
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let headers = reader.headers().ok()?.clone();
        let record = reader.records().filter_map(Result::ok).find(|row| row.get(0) == Some(id))?;
        let cells = headers.iter().zip(record.iter()).filter(|(_, value)| !value.is_empty());
        let cells: Vec<(String, String)> =
            cells.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let of =
            |column: &str| cells.iter().find(|(name, _)| name == column).map(|(_, v)| v.clone());
        let cited = of("source").unwrap_or_default();
        let source = sources.get(&cited);
        Some(RuleRow {
            table: path.rsplit('/').next().unwrap_or(path).to_owned(),
            citation: sources.cite(&cited),
            url: source.map(|s| s.url.clone()).unwrap_or_default(),
            note: source.map(|s| s.note.clone()).unwrap_or_default(),
            status: of("status").unwrap_or_default(),
            cells,
        })
    })
}
