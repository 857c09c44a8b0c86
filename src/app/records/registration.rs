//! Registering people with a clinic, so that the hub knows who gets their records, and so that the clinic
//! knows what stands between it and them.

use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use sm3::Sm3;
use uuid::Uuid;

use super::grants::{GrantChange, NewGrant, kind_of};
use super::person::PersonKeys;
use super::place::{About, Near, exhausted};
use super::ports::{Indexed, NewDocument};
use crate::app::access::{Action, Caller, authorise};
use crate::app::error::Error;
use crate::app::exchange::facts::{JSON, RegisteredPerson, RegistrationBody, RelationName};
use crate::app::ports::AuditEntry;
use crate::app::request::{NAME_CHARS_MAX, Problems};
use crate::app::{App, encode};
use crate::sharing::exchange::{Document, Kind};
use crate::sharing::patient::ResidentId;

/// Names of registrations are UUIDs of this namespace.
const NAMESPACE: Uuid = Uuid::from_u128(0x2c8e_51b4_7da0_5f3b_9e64_c01f_83d5_aa17);
/// Characters of a number at most.
const NUMBER_CHARS_MAX: usize = 64;
/// Characters of a reason at most.
const REASON_CHARS_MAX: usize = 200;

/// A registration, or its end.
#[derive(Clone)]
pub struct RegistrationRequest {
    /// Why the clinic gets the person's records.
    pub relation: RelationName,
    /// False: no longer.
    pub active: bool,
    /// Last day, in milliseconds since 1970 of its end. A contract and a referral need one.
    pub until_ms: Option<i64>,
    /// Why the person is followed, which a subscription must say; without patient data.
    pub reason: String,
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

/// What is wrong with how somebody is told.
pub(super) fn check_person(problems: &mut Problems, person: &RegisteredPerson) {
    problems.unless(!person.name.trim().is_empty(), "person.name", "must not be empty");
    problems.chars("person.name", &person.name, NAME_CHARS_MAX);
    problems.unless(
        person.resident_id.is_empty() || ResidentId::parse(&person.resident_id).is_ok(),
        "person.resident_id",
        "must be 18 characters with a fitting check digit (GB 11643), or an old one of 15 digits",
    );
    problems.chars("person.health_card", &person.health_card, NUMBER_CHARS_MAX);
    problems.chars("person.phone", &person.phone, NUMBER_CHARS_MAX);
    for (field, value) in [
        ("person.name", &person.name),
        ("person.health_card", &person.health_card),
        ("person.phone", &person.phone),
    ] {
        problems.printable(field, value);
    }
    problems.unless(
        person.birth_date.is_empty() || person.birth_date.parse::<jiff::civil::Date>().is_ok(),
        "person.birth_date",
        "must be a day such as 1958-03-21",
    );
    if let Ok(id) = ResidentId::parse(&person.resident_id)
        && !person.birth_date.is_empty()
    {
        problems.unless(
            person.birth_date == id.birth_date().to_string(),
            "person.birth_date",
            "must be the birth date that the resident ID states, or be left out",
        );
    }
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
}

impl RegistrationRequest {
    fn check(&self, now_ms: i64) -> Result<(), Error> {
        let mut problems = Problems::default();
        let Self { relation, active, until_ms, reason, person } = self;
        check_person(&mut problems, person);
        problems.unless(
            !person.resident_id.is_empty() || !person.health_card.is_empty(),
            "person.resident_id",
            "or person.health_card must be given: a name alone identifies nobody",
        );
        let ends_some_day = matches!(relation, RelationName::Contract | RelationName::Referral);
        match until_ms {
            _ if !active => {}
            None => problems.unless(
                !ends_some_day,
                "until_ms",
                "must be the end of the last day that the contract or referral holds, in milliseconds \
                 since 1970; only a registration or a subscription may have none",
            ),
            Some(until_ms) => {
                problems.unless(*until_ms > now_ms, "until_ms", "must lie in the future");
            }
        }
        let follows = *relation == RelationName::Subscription;
        problems.unless(
            !follows || !active || !reason.trim().is_empty(),
            "reason",
            "must say why the person is followed, for example the programme; a subscription needs it",
        );
        problems.unless(
            follows || reason.is_empty(),
            "reason",
            "must be empty but for a subscription: the other relations say why themselves",
        );
        problems.chars("reason", reason, REASON_CHARS_MAX);
        problems.written("reason", reason);
        problems.finish()
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
        let now = self.clock.now_ms();
        request.check(now)?;
        let RegistrationRequest { relation, active, until_ms, reason, person } = request;
        let desk = self.desk()?;
        let identity = format!(
            "{}\n{relation:?}\n{}\n{}\n{}",
            self.name, person.resident_id, person.health_card, person.name
        );
        let name = Uuid::new_v5(&NAMESPACE, identity.as_bytes()).to_string();
        let reason = reason.trim().to_owned();
        let detail = if active { reason.clone() } else { "ended".to_owned() };
        let keys = PersonKeys::of_registered(&person);
        let entry = AuditEntry { detail, ..self.entry(&name, "") };
        let about = (About::Person(&keys, &person.division), Near::InPerson);
        self.may_write(&permit, about, entry.clone()).await?;
        let said = RegistrationBody { relation, active, until_ms, reason, person };
        let by = format!("{}@{}", caller.name, self.name);
        let grant = self.granted(&said, by, now);
        let body = Bytes::from(encode(&said)?);
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
            patient: keys.name.clone(),
            keys,
            ..Indexed::default()
        };
        let new = NewDocument { document, indexed, task: None, grant, at_ms: now };
        let submitted = desk.store.submit(&permit, new, entry).await?;
        desk.wake();
        match submitted {
            super::ports::Submitted::Kept(version) | super::ports::Submitted::Known(version) => {
                Ok((name, version))
            }
            super::ports::Submitted::Exhausted => Err(exhausted()),
            super::ports::Submitted::Conflict(_)
            | super::ports::Submitted::Stale(_)
            | super::ports::Submitted::NameTaken(_) => {
                Err(Error::internal("records", "a registration without version conflicts"))
            }
        }
    }

    /// What a registration makes of the clinic's relation to the person.
    pub(super) fn granted(
        &self,
        said: &RegistrationBody,
        by: String,
        at_ms: i64,
    ) -> Option<GrantChange> {
        let keys = PersonKeys::of_registered(&said.person);
        let id = self.ids.new_id();
        let new = NewGrant { id, until_ms: said.until_ms, by, how: String::new() };
        let gives = said.active.then_some(new);
        kind_of(said.relation).map(|kind| GrantChange { keys, kind, at_ms, gives })
    }
}
