//! What the hub reads of a document to route it: whose it is, as keyed digests, and where the person
//! lives.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::key::{HubKey, RESIDENT_ID};
use super::ports::{Consent, Facts, PersonKey, Registers, Relation};
use crate::sharing::discharge::divisions::Divisions;
use crate::sharing::discharge::model::{IdentifierKind, Patient};
use crate::sharing::discharge::{Reading, Severity};
use crate::sharing::exchange::{Document, Kind};

/// Media type of what the program writes itself.
pub const JSON: &str = "application/json";
/// Kind of identifier that is a health card's number.
const HEALTH_CARD: &str = "health_card";

/// A person as a registration says it.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RegisteredPerson {
    /// Name.
    pub name: String,
    /// 居民身份证号.
    pub resident_id: String,
    /// 健康卡号.
    pub health_card: String,
    /// Birth date, ISO 8601.
    pub birth_date: String,
    /// `male`, `female` or empty.
    pub sex: String,
    /// Telephone.
    pub phone: String,
    /// Division code of the village, 12 digits, or empty.
    pub division: String,
}

/// Body of a document of [`Kind::Registration`].
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RegistrationBody {
    /// Why the clinic gets the person's documents.
    pub relation: RelationName,
    /// False: no longer.
    pub active: bool,
    /// Last day, in milliseconds since 1970 of its end.
    pub until_ms: Option<i64>,
    /// Why a subscription follows the person; left out where empty, so that a hub of before takes it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Who.
    pub person: RegisteredPerson,
}

/// Body of a document of [`Kind::Consent`].
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConsentBody {
    /// Given again; false: taken back.
    pub given: bool,
    /// It is about all of the person's records.
    pub all: bool,
    /// The record by which it was said, and that it is about if it is not about all.
    pub record: String,
    /// When it was said, in milliseconds since 1970.
    pub at_ms: i64,
    /// Who; may say little: then the record leads to those who have it.
    pub person: RegisteredPerson,
}

/// [`Relation`] as a registration writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names of Relation")]
pub enum RelationName {
    Registered,
    Contract,
    Referral,
    Subscription,
}

impl From<RelationName> for Relation {
    fn from(name: RelationName) -> Self {
        match name {
            RelationName::Registered => Self::Registered,
            RelationName::Contract => Self::Contract,
            RelationName::Referral => Self::Referral,
            RelationName::Subscription => Self::Subscription,
        }
    }
}

/// Who it is stays out of logs.
impl fmt::Debug for RegisteredPerson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RegisteredPerson(..)")
    }
}

/// Reads a document for routing. An error is a stable name and what is wrong.
pub(super) fn of(
    document: &Document,
    key: &HubKey,
    divisions: &Divisions,
) -> Result<Facts, (String, String)> {
    match document.kind {
        Kind::Record => {
            let reading = crate::app::records::read(&document.media_type, &document.body);
            let reading = reading.map_err(|problems| {
                let fatal = problems.iter().filter(|p| p.severity == Severity::Fatal).count();
                let first = problems.first().map_or("", |p| p.code.as_str());
                let reason = format!("{fatal} fatal problems, the first is {first}");
                ("record_invalid".to_owned(), reason)
            })?;
            Ok(record(&reading, key, divisions))
        }
        Kind::Registration => registration(document, key),
        Kind::Task => Ok(Facts::default()),
        Kind::Consent => consent(document, key),
    }
}

fn record(reading: &Reading, key: &HubKey, divisions: &Divisions) -> Facts {
    let patient = &reading.record.patient;
    Facts {
        keys: patient_keys(patient, key),
        // A place that is not sure is nobody's.
        division: divisions.resolve(&patient.address).code,
        withdrawn: reading.record.document.entered_in_error,
        author: crate::app::records::author(&reading.record),
        ..Facts::default()
    }
}

fn patient_keys(patient: &Patient, key: &HubKey) -> Vec<PersonKey> {
    let mut identifiers = Vec::new();
    for (kind, name) in
        [(IdentifierKind::ResidentId, RESIDENT_ID), (IdentifierKind::HealthCard, HEALTH_CARD)]
    {
        if let Some(value) = patient.identifier(kind) {
            identifiers.push((name, value));
        }
    }
    key.people(&patient.name, &identifiers)
}

/// Keys of a person who is stated by name, resident ID and health card number; numbers may be empty.
pub(super) fn stated_keys(
    (name, resident_id, health_card): (&str, &str, &str),
    key: &HubKey,
) -> Vec<PersonKey> {
    key.people(name, &[(RESIDENT_ID, resident_id), (HEALTH_CARD, health_card)])
}

fn registration(document: &Document, key: &HubKey) -> Result<Facts, (String, String)> {
    let refuse = |reason: String| ("registration_invalid".to_owned(), reason);
    let body: RegistrationBody = serde_json::from_slice(&document.body)
        .map_err(|error| refuse(format!("is no registration (line {})", error.line())))?;
    let person = &body.person;
    let keys = person_keys(person, key);
    if keys.is_empty() {
        return Err(refuse("needs a name, and a resident ID or health card number".to_owned()));
    }
    let registers =
        Registers { relation: body.relation.into(), active: body.active, until_ms: body.until_ms };
    Ok(Facts {
        keys,
        division: person.division.clone(),
        registers: Some(registers),
        ..Facts::default()
    })
}

fn consent(document: &Document, key: &HubKey) -> Result<Facts, (String, String)> {
    let refuse = |reason: String| ("consent_invalid".to_owned(), reason);
    let body: ConsentBody = serde_json::from_slice(&document.body)
        .map_err(|error| refuse(format!("is no consent (line {})", error.line())))?;
    let keys = person_keys(&body.person, key);
    if body.record.is_empty() {
        return Err(refuse("needs the record by which it was said".to_owned()));
    }
    let ConsentBody { given, all, record, at_ms, .. } = body;
    let consent = Some(Consent { given, all, record, at_ms });
    Ok(Facts { keys, consent, ..Facts::default() })
}

fn person_keys(person: &RegisteredPerson, key: &HubKey) -> Vec<PersonKey> {
    stated_keys((&person.name, &person.resident_id, &person.health_card), key)
}
