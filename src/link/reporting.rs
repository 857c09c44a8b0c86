//! Counts of months in the words of the link.

use super::pb;
use crate::app::error::Error;
use crate::app::reporting::ports::{Heard, Telling};

impl From<Telling> for pb::TellCoverageRequest {
    fn from(Telling { place, month, revision, numbers }: Telling) -> Self {
        let number = |(counter, value)| pb::CoverageNumber { counter, value };
        Self {
            place,
            month: month.to_string(),
            revision,
            numbers: numbers.into_iter().map(number).collect(),
        }
    }
}

impl TryFrom<pb::TellCoverageRequest> for Telling {
    type Error = Error;

    fn try_from(said: pb::TellCoverageRequest) -> Result<Self, Error> {
        let month = said.month.parse();
        Ok(Self {
            place: said.place,
            month: month.map_err(|error: crate::sharing::reporting::month::NoMonth| {
                Error::field("month", error.to_string())
            })?,
            revision: said.revision,
            numbers: said.numbers.into_iter().map(|one| (one.counter, one.value)).collect(),
        })
    }
}

impl From<Heard> for pb::TellCoverageResponse {
    fn from(heard: Heard) -> Self {
        let (outcome, newest_revision) = match heard {
            Heard::Kept => (pb::CoverageOutcome::Kept, 0),
            Heard::Known => (pb::CoverageOutcome::Known, 0),
            Heard::Behind { newest } => (pb::CoverageOutcome::Behind, newest),
        };
        Self { outcome: outcome.into(), newest_revision }
    }
}

impl TryFrom<pb::TellCoverageResponse> for Heard {
    type Error = Error;

    fn try_from(said: pb::TellCoverageResponse) -> Result<Self, Error> {
        match said.outcome() {
            pb::CoverageOutcome::Kept => Ok(Self::Kept),
            pb::CoverageOutcome::Known => Ok(Self::Known),
            pb::CoverageOutcome::Behind => Ok(Self::Behind { newest: said.newest_revision }),
            pb::CoverageOutcome::Unspecified => {
                Err(Error::internal("link", "the hub did not say what became of a count"))
            }
        }
    }
}
