//! `xiangyi.records.v1`: discharge records, what follows from them, and the exchange with the hub.

mod consent;
mod exchange;
mod follow_up;
mod record;
mod record_in;
mod service;
#[cfg(test)]
mod tests;

pub(super) use consent::ConsentDoor;
pub(super) use exchange::ExchangeDoor;
pub(super) use follow_up::FollowUpDoor;
pub(super) use service::RecordDoor;

use super::proto::xiangyi::records::v1 as pb;
use crate::app::error::Error;
use crate::app::records::Purpose;

/// Why a record is read; one that is not said is refused.
fn purpose(number: i32) -> Result<Purpose, Error> {
    match pb::Purpose::try_from(number) {
        Ok(pb::Purpose::Treatment) => Ok(Purpose::Treatment),
        Ok(pb::Purpose::Emergency) => Ok(Purpose::Emergency),
        Ok(pb::Purpose::Quality) => Ok(Purpose::Quality),
        Ok(pb::Purpose::PublicHealth) => Ok(Purpose::PublicHealth),
        Ok(pb::Purpose::PatientRequest) => Ok(Purpose::PatientRequest),
        Ok(pb::Purpose::Compliance) => Ok(Purpose::Compliance),
        Ok(pb::Purpose::Unspecified) | Err(_) => Err(Error::field(
            "purpose",
            "must be one of PURPOSE_TREATMENT, PURPOSE_EMERGENCY, PURPOSE_QUALITY, \
             PURPOSE_PUBLIC_HEALTH, PURPOSE_PATIENT_REQUEST, PURPOSE_COMPLIANCE",
        )),
    }
}
