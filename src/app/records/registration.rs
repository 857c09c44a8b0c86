//! Registering people with a clinic, so that the hub knows who gets their records.

use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use sm3::Sm3;
use uuid::Uuid;

use super::ports::{Indexed, NewDocument};
use crate::app::access::{Action, Caller, authorise};
use crate::app::error::Error;
use crate::app::exchange::facts::{JSON, RegisteredPerson, RegistrationBody, RelationName};
use crate::app::request::{NAME_CHARS_MAX, Problems};
use crate::app::{App, encode};
use crate::sharing::exchange::{Document, Kind};
use crate::sharing::patient::ResidentId;

/// Names of registrations are UUIDs of this namespace.
const NAMESPACE: Uuid = Uuid::from_u128(0x2c8e_51b4_7da0_5f3b_9e64_c01f_83d5_aa17);
/// Characters of a number at most.
const NUMBER_CHARS_MAX: usize = 64;

/// A registration, or its end.
#[derive(Clone)]
pub struct RegistrationRequest {
    /// Why the clinic gets the person's records.
    pub relation: RelationName,
    /// False: no longer.
    pub active: bool,
    /// Last day, in milliseconds since 1970 of its end.
    pub until_ms: Option<i64>,
    /// Who.
    pub person: RegisteredPerson,
}

impl std::fmt::Debug for RegistrationRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RegistrationRequest")
            .field("relation", &self.relation)
            .field("active", &self.active)
            .finish_non_exhaustive()
    }
}

impl App {
    /// Registers a person with this clinic, or ends it. The hub sends the person's current records, and
    /// those to come. Returns the registration's name and version.
    pub async fn register_person(
        &self,
        caller: &Caller,
        request: RegistrationRequest,
    ) -> Result<(String, u32), Error> {
        let permit = authorise(caller, Action::RegisterPeople)?;
        let RegistrationRequest { relation, active, until_ms, person } = request;
        let mut problems = Problems::default();
        problems.unless(!person.name.trim().is_empty(), "person.name", "must not be empty");
        problems.chars("person.name", &person.name, NAME_CHARS_MAX);
        problems.unless(
            !person.resident_id.is_empty() || !person.health_card.is_empty(),
            "person.resident_id",
            "or person.health_card must be given: a name alone identifies nobody",
        );
        problems.unless(
            person.resident_id.is_empty() || ResidentId::parse(&person.resident_id).is_ok(),
            "person.resident_id",
            "must be 18 characters with a fitting check digit (GB 11643), or an old one of 15 digits",
        );
        problems.chars("person.health_card", &person.health_card, NUMBER_CHARS_MAX);
        problems.chars("person.phone", &person.phone, NUMBER_CHARS_MAX);
        problems.unless(
            person.birth_date.is_empty() || person.birth_date.parse::<jiff::civil::Date>().is_ok(),
            "person.birth_date",
            "must be a day such as 1958-03-21",
        );
        problems.unless(
            ["", "male", "female"].contains(&person.sex.as_str()),
            "person.sex",
            "must be male, female or empty",
        );
        let digits = person.division.bytes().all(|b| b.is_ascii_digit());
        problems.unless(
            digits && matches!(person.division.len(), 0 | 9 | 12),
            "person.division",
            "must have 9 or 12 digits",
        );
        problems.finish()?;
        let desk = self.desk()?;
        let identity = format!(
            "{}\n{relation:?}\n{}\n{}\n{}",
            self.name, person.resident_id, person.health_card, person.name
        );
        let name = Uuid::new_v5(&NAMESPACE, identity.as_bytes()).to_string();
        let body = Bytes::from(encode(&RegistrationBody { relation, active, until_ms, person })?);
        let document = Document {
            kind: Kind::Registration,
            name: name.clone(),
            version: 0,
            media_type: JSON.to_owned(),
            sha256: Sha256::digest(&body).into(),
            body,
        };
        let indexed = Indexed {
            sm3: Sm3::digest(&document.body).into(),
            format: "registration",
            withdrawn: !active,
            ..Indexed::default()
        };
        let new = NewDocument { document, indexed, task: None, at_ms: self.clock.now_ms() };
        let submitted = desk.store.submit(&permit, new, self.entry(&name, "")).await?;
        desk.wake();
        match submitted {
            super::ports::Submitted::Kept(version) | super::ports::Submitted::Known(version) => {
                Ok((name, version))
            }
            super::ports::Submitted::Conflict(_) | super::ports::Submitted::Stale(_) => {
                Err(Error::internal("records", "a registration without version conflicts"))
            }
        }
    }
}
