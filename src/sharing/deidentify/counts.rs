//! Tables of counts without small cells.
//!
//! A count from 1 to one less than the threshold is suppressed, and so many others with it that no
//! margin gives it back: for all that is shown, each small cell could be at the threshold (upper
//! protection, found by flows through the cells as in Cox 1995 and Fischetti and Salazar 1999).
//! Zeros are shown, as the policy has it, so a suppressed cell is known to be at least 1.
//!
//! [`suppress_tree`] does the same for counts that add up over levels.
//!
//! Deliberately absent: several tables of the same people, which can be subtracted from each other,
//! and tables of more than two dimensions.

mod flow;
mod tree;

use self::flow::{Flowing, Network};
pub use self::tree::{Part, suppress_tree};
use super::{Did, Report};

/// What stands in the place of a count.
pub const SUPPRESSED: &str = "*";
/// Rows of a table at most.
pub const ROWS_MAX: usize = 500;
/// Columns of a table at most.
pub const COLUMNS_MAX: usize = 60;
/// Labels that say that a row or column adds up the others.
const TOTALS: [&str; 8] = ["total", "totals", "all", "sum", "合计", "总计", "小计", "总数"];

/// Where the counts of a table are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Shape {
    /// Columns at the left that are labels; none to take those that hold anything but counts.
    pub label_columns: Option<usize>,
}

/// A table that may be given out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// Its rows, the header first.
    pub rows: Vec<Vec<String>>,
    /// What was done, by column.
    pub report: Report,
    /// Small counts that were suppressed.
    pub small: u64,
    /// Other counts that were suppressed with them.
    pub complementary: u64,
    /// Whether a last row of totals was found.
    pub total_row: bool,
    /// Whether a last column of totals was found.
    pub total_column: bool,
}

/// Why a table is not taken. No message holds a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CountsError {
    /// No header or no row.
    #[error("a table needs a header and a row")]
    Empty,
    /// Rows of different lengths.
    #[error("row {row} has {found} cells where the header has {wanted}")]
    Ragged {
        /// Number of the row, the header being 1.
        row: usize,
        /// Cells it has.
        found: usize,
        /// Cells of the header.
        wanted: usize,
    },
    /// No counts.
    #[error("no column holds counts alone (whole numbers from 0)")]
    NoCounts,
    /// A cell that is no count, in a column of counts.
    #[error("row {row}, column {column}: a whole number from 0 is wanted, or an empty cell")]
    NoCount {
        /// Number of the row, the header being 1.
        row: usize,
        /// Number of the column, from 1.
        column: usize,
    },
    /// Too large.
    #[error("a table has {ROWS_MAX} rows and {COLUMNS_MAX} columns at most")]
    TooLarge,
    /// A total that is not the sum.
    #[error("row {row}, column {column}: the total is not the sum of its cells")]
    WrongTotal {
        /// Number of the row, the header being 1.
        row: usize,
        /// Number of the column, from 1.
        column: usize,
    },
}

/// Suppresses the small counts of a table, whose first row is the header.
///
/// # Errors
/// [`CountsError`] if it is no table of counts.
pub fn suppress(rows: &[Vec<String>], shape: Shape, threshold: u64) -> Result<Made, CountsError> {
    let read = read(rows, shape)?;
    let mut grid = Grid::new(&read, threshold);
    grid.check(read.labels)?;
    grid.primary();
    let small = grid.suppressed();
    grid.protect();
    let mut out = rows.to_vec();
    let mut report = Report::default();
    for (r, row) in out.iter_mut().enumerate().skip(1) {
        for (c, cell) in row.iter_mut().enumerate().skip(read.labels) {
            let (gr, gc) = (r - 1, c - read.labels);
            let Some(found) = grid.cell(gr, gc) else { continue };
            let column = rows.first().and_then(|header| header.get(c)).cloned().unwrap_or_default();
            if found.hidden {
                SUPPRESSED.clone_into(cell);
                report.note(column, "", Did::Removed);
            } else {
                report.note(column, "", Did::Kept);
            }
        }
    }
    let complementary = grid.suppressed() - small;
    let Read { total_row, total_column, .. } = read;
    Ok(Made { rows: out, report, small, complementary, total_row, total_column })
}

/// A table as read.
struct Read {
    labels: usize,
    /// Counts by row and column; none for an empty cell.
    counts: Vec<Vec<Option<u64>>>,
    total_row: bool,
    total_column: bool,
}

fn count(cell: &str) -> Option<u64> {
    let cell = cell.trim();
    (!cell.is_empty() && cell.len() <= 15 && cell.bytes().all(|b| b.is_ascii_digit()))
        .then(|| cell.parse().ok())
        .flatten()
}

fn read(rows: &[Vec<String>], shape: Shape) -> Result<Read, CountsError> {
    let [header, body @ ..] = rows else { return Err(CountsError::Empty) };
    if body.is_empty() {
        return Err(CountsError::Empty);
    }
    if body.len() > ROWS_MAX || header.len() > COLUMNS_MAX {
        return Err(CountsError::TooLarge);
    }
    for (at, row) in body.iter().enumerate() {
        if row.len() != header.len() {
            let (found, wanted) = (row.len(), header.len());
            return Err(CountsError::Ragged { row: at + 2, found, wanted });
        }
    }
    let is_counts = |column: usize| {
        let cells = || body.iter().filter_map(move |row| row.get(column));
        cells().all(|cell| {
            cell.trim().is_empty() || cell.trim() == SUPPRESSED || count(cell).is_some()
        }) && cells().any(|cell| count(cell).is_some())
    };
    let labels = match shape.label_columns {
        Some(labels) => labels,
        // Counts are the columns at the right.
        None => {
            (0..header.len()).rev().find(|column| !is_counts(*column)).map_or(0, |last| last + 1)
        }
    };
    if labels >= header.len() {
        return Err(CountsError::NoCounts);
    }
    let mut counts = Vec::with_capacity(body.len());
    for (r, row) in body.iter().enumerate() {
        let mut line = Vec::with_capacity(header.len() - labels);
        for (c, cell) in row.iter().enumerate().skip(labels) {
            let nothing = cell.trim().is_empty();
            match count(cell) {
                None if !nothing => return Err(CountsError::NoCount { row: r + 2, column: c + 1 }),
                found => line.push(found),
            }
        }
        counts.push(line);
    }
    let is_total = |text: &str| TOTALS.contains(&text.trim().to_lowercase().as_str());
    let last_labels = body.last().map(|row| row.iter().take(labels).any(|cell| is_total(cell)));
    Ok(Read {
        labels,
        total_row: last_labels == Some(true) && body.len() > 1,
        total_column: header.last().is_some_and(|name| is_total(name)) && header.len() > labels + 1,
        counts,
    })
}

#[derive(Debug, Clone, Copy)]
struct Cell {
    count: u64,
    small: bool,
    hidden: bool,
}

/// The cells and the equations between them.
struct Grid {
    cells: Vec<Vec<Option<Cell>>>,
    threshold: u64,
    /// Whether the cells of a row add up to its last.
    rows_add: bool,
    /// Whether the cells of a column add up to its last.
    columns_add: bool,
}

/// A row or a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Line {
    Row(usize),
    Column(usize),
}

impl Grid {
    fn new(read: &Read, threshold: u64) -> Self {
        let cell =
            |count: &Option<u64>| count.map(|count| Cell { count, small: false, hidden: false });
        let cells = read.counts.iter().map(|row| row.iter().map(cell).collect()).collect();
        Self { cells, threshold, rows_add: read.total_column, columns_add: read.total_row }
    }

    fn height(&self) -> usize {
        self.cells.len()
    }

    fn width(&self) -> usize {
        self.cells.first().map_or(0, Vec::len)
    }

    fn cell(&self, row: usize, column: usize) -> Option<Cell> {
        self.cells.get(row)?.get(column).copied().flatten()
    }

    fn lines(&self) -> Vec<Line> {
        let rows = (0..self.height()).filter(|_| self.rows_add).map(Line::Row);
        let columns = (0..self.width()).filter(|_| self.columns_add).map(Line::Column);
        rows.chain(columns).collect()
    }

    fn places(&self, line: Line) -> Vec<(usize, usize)> {
        match line {
            Line::Row(row) => (0..self.width()).map(|column| (row, column)).collect(),
            Line::Column(column) => (0..self.height()).map(|row| (row, column)).collect(),
        }
    }

    /// Refuses totals that are wrong: what is suppressed could be computed from another sum.
    fn check(&self, labels: usize) -> Result<(), CountsError> {
        for line in self.lines() {
            let places = self.places(line);
            let Some(((row, column), parts)) = places.split_last() else { continue };
            let Some(total) = self.cell(*row, *column) else { continue };
            let sum: u64 =
                parts.iter().filter_map(|(r, c)| self.cell(*r, *c)).map(|c| c.count).sum();
            if sum != total.count {
                return Err(CountsError::WrongTotal { row: row + 2, column: column + labels + 1 });
            }
        }
        Ok(())
    }

    fn primary(&mut self) {
        let threshold = self.threshold;
        for cell in self.cells.iter_mut().flatten().flatten() {
            cell.small = cell.count > 0 && cell.count < threshold;
            cell.hidden = cell.small;
        }
    }

    fn suppressed(&self) -> u64 {
        let hidden = self.cells.iter().flatten().flatten().filter(|cell| cell.hidden).count();
        u64::try_from(hidden).unwrap_or(u64::MAX)
    }

    /// Hides others until each small cell could be at the threshold for all that is shown.
    ///
    /// Cells are arcs between rows and columns, totals arcs the other way. A hidden cell can grow, and
    /// shrink to 1.
    fn protect(&mut self) {
        if !self.rows_add && !self.columns_add {
            return;
        }
        let (height, width) = (self.height(), self.width());
        let mut network = Network::new(self.flowing(), height + width + 1);
        let place = |row: usize, column: usize| row * width + column;
        for row in 0..height {
            for column in 0..width {
                if let Some(cell) = self.cell(row, column).filter(|cell| cell.small) {
                    network.protect(place(row, column), self.threshold.saturating_sub(cell.count));
                }
            }
        }
        for (row, line) in self.cells.iter_mut().enumerate() {
            for (column, cell) in line.iter_mut().enumerate() {
                if let Some(cell) = cell {
                    cell.hidden = network.is_hidden(place(row, column));
                }
            }
        }
    }

    /// All cells, row by row; an empty one is never anything else.
    fn flowing(&self) -> Vec<Flowing> {
        let places = (0..self.height()).flat_map(|r| (0..self.width()).map(move |c| (r, c)));
        let flowing = places.map(|(row, column)| {
            let cell = self.cell(row, column);
            Flowing {
                ends: self.ends(row, column),
                count: cell.map_or(0, |cell| cell.count),
                least: 1,
                most: None,
                hidden: cell.is_some_and(|cell| cell.hidden),
                price: self.price((row, column)),
            }
        });
        flowing.collect()
    }

    /// From which point to which the arc of a cell leads. Rows without a total are one point, as
    /// are columns.
    fn ends(&self, row: usize, column: usize) -> (usize, usize) {
        let (height, width) = (self.height(), self.width());
        let row_point = if self.rows_add { row } else { 0 };
        let column_point = if self.columns_add { height + column } else { height };
        let total_row = self.columns_add && row + 1 == height;
        let total_column = self.rows_add && column + 1 == width;
        // Without totals of rows the sum of columns is free, and the other way round.
        let (row_point, column_point) = match (self.rows_add, self.columns_add) {
            (true, false) => (row_point, height + width),
            (false, true) => (height + width, column_point),
            (true, true) | (false, false) => (row_point, column_point),
        };
        if total_row == total_column {
            (row_point, column_point)
        } else {
            (column_point, row_point)
        }
    }

    /// What hiding a cell costs: its count, and of totals much more.
    fn price(&self, (row, column): (usize, usize)) -> u64 {
        let Some(cell) = self.cell(row, column) else { return 0 };
        let total = self.columns_add && row + 1 == self.height()
            || self.rows_add && column + 1 == self.width();
        let price = cell.count.saturating_add(1);
        if total { price.saturating_mul(1 << 20) } else { price }
    }
}

#[cfg(test)]
mod tests;
