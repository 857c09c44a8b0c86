//! Section of reports of how far the programme has come, at the hub.

use serde::{Deserialize, Serialize};

use super::{ConfigError, refuse};
use crate::sharing::reporting::CUT_OFF_DAY;

/// How months are drawn up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ReportingSection {
    /// A month is drawn up at the end of this day of the next one, 1 to 28; what comes later corrects it.
    pub cut_off_day: u8,
}

impl Default for ReportingSection {
    fn default() -> Self {
        Self { cut_off_day: CUT_OFF_DAY }
    }
}

impl ReportingSection {
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        if (1..=28).contains(&self.cut_off_day) {
            return Ok(());
        }
        refuse("reporting.cut_off_day must be from 1 to 28")
    }
}
