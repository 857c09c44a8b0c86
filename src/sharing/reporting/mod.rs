//! Reporting how far the programme has come (进展报送): counters that sites tell by month, added up over
//! villages, townships and counties, and made into indicators by formulas of a table.
//!
//! Numbers alone come here, no names and no patients. What is not known stays unknown and is never 0.
//! Every revision is kept with the time that it came, so a late one corrects its month and can be seen to.
//! Small numbers are hidden, and others with them, so that no level gives one back by subtraction.
//!
//! Deliberately absent: comparing reports of two days that somebody asks for one after the other (the
//! difference may be one village), and whatever the figures should be: there are no targets here.

pub mod counters;
pub mod hours;
pub mod indicators;
pub mod ledger;
pub mod month;
pub mod places;
pub mod report;
mod rollup;
pub mod simulation;
mod small;
#[cfg(test)]
mod tests;

pub use self::counters::{Counter, CounterKind, Counters, NotTaken, ToldBy, Values};
pub use self::indicators::{Formula, Indicator, Indicators};
pub use self::ledger::{Site, Told};
pub use self::month::Month;
pub use self::places::{Level, Place, Places};
pub use self::report::{Figure, Late, Question, Report, ReportingTables, Row, Standing, Stated};
use crate::sharing::discharge::divisions::Divisions;
use crate::tables::files::{Files, LoadError};

/// The day of the next month at whose end a month is drawn up, where nothing else is configured.
pub const CUT_OFF_DAY: u8 = 5;

impl ReportingTables {
    /// Reads and checks the tables.
    ///
    /// # Errors
    /// As [`Counters::load`] and [`Indicators::load`].
    pub fn load(files: &Files, divisions: &Divisions) -> Result<Self, LoadError> {
        let counters = Counters::load(files)?;
        let indicators = Indicators::load(files, &counters)?;
        let version = files.digest("reporting/", ".csv");
        Ok(Self { counters, indicators, places: Places::new(divisions), version })
    }
}
