//! What the hub reads of a document to route it: whose it is, as keyed digests, and where the person
//! lives.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::ports::{Facts, PersonKey, Registers, Relation};
use crate::sharing::discharge::model::{IdentifierKind, Patient};
use crate::sharing::discharge::routing::Divisions;
use crate::sharing::discharge::{Reading, Severity};
use crate::sharing::exchange::{Document, Kind};
use crate::tables::text;

/// Media type of what the program writes itself.
pub const JSON: &str = "application/json";

/// Makes digests of what identifies people. HMAC-SHA-256 (RFC 2104) with the hub's key.
#[derive(Clone)]
pub struct Keyer {
    inner: [u8; 64],
    outer: [u8; 64],
}

/// A person as a registration says it.
#[derive(Clone, Default, Serialize, Deserialize)]
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
    /// Who.
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

impl Keyer {
    /// With the hub's key, at least 32 bytes.
    pub fn new(key: &[u8]) -> Self {
        let digest: [u8; 32] = Sha256::digest(key).into();
        let mut block = [0_u8; 64];
        let key = if key.len() > 64 { &digest[..] } else { key };
        for (byte, key) in block.iter_mut().zip(key) {
            *byte = *key;
        }
        Self { inner: block.map(|byte| byte ^ 0x36), outer: block.map(|byte| byte ^ 0x5c) }
    }

    fn digest(&self, parts: &[&str]) -> PersonKey {
        let mut inner = Sha256::new_with_prefix(self.inner);
        for part in parts {
            inner.update(part.as_bytes());
            inner.update([0]);
        }
        let whole = Sha256::new_with_prefix(self.outer).chain_update(inner.finalize()).finalize();
        let mut key = PersonKey::default();
        for (byte, of) in key.iter_mut().zip(whole) {
            *byte = of;
        }
        key
    }

    /// Keys of a person: each identifier together with the name.
    pub fn keys(&self, name: &str, identifiers: &[(&str, &str)]) -> Vec<PersonKey> {
        let name = folded(name);
        if name.is_empty() {
            return Vec::new();
        }
        let mut keys = Vec::new();
        for (kind, value) in identifiers {
            let value = folded(value).to_uppercase();
            if !value.is_empty() {
                keys.push(self.digest(&[kind, &value, &name]));
            }
        }
        keys.sort_unstable();
        keys.dedup();
        keys
    }
}

/// Who it is stays out of logs.
impl fmt::Debug for RegisteredPerson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RegisteredPerson(..)")
    }
}

impl fmt::Debug for Keyer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keyer(..)")
    }
}

/// Width, case and simplified form as everywhere; spaces and dots between names left out.
fn folded(name: &str) -> String {
    text::fold(name).chars().filter(|c| c.is_alphanumeric()).collect()
}

/// Reads a document for routing. An error is a stable name and what is wrong.
pub(super) fn of(
    document: &Document,
    keyer: &Keyer,
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
            Ok(record(&reading, keyer, divisions))
        }
        Kind::Registration => registration(document, keyer),
        Kind::Task => Ok(Facts::default()),
    }
}

fn record(reading: &Reading, keyer: &Keyer, divisions: &Divisions) -> Facts {
    let patient = &reading.record.patient;
    Facts {
        keys: patient_keys(patient, keyer),
        // A place that is not sure is nobody's.
        division: divisions.resolve(&patient.address).code,
        registers: None,
        withdrawn: reading.record.document.entered_in_error,
    }
}

fn patient_keys(patient: &Patient, keyer: &Keyer) -> Vec<PersonKey> {
    let mut identifiers = Vec::new();
    for (kind, name) in
        [(IdentifierKind::ResidentId, "resident_id"), (IdentifierKind::HealthCard, "health_card")]
    {
        if let Some(value) = patient.identifier(kind) {
            identifiers.push((name, value));
        }
    }
    keyer.keys(&patient.name, &identifiers)
}

fn registration(document: &Document, keyer: &Keyer) -> Result<Facts, (String, String)> {
    let refuse = |reason: String| ("registration_invalid".to_owned(), reason);
    let body: RegistrationBody = serde_json::from_slice(&document.body)
        .map_err(|error| refuse(format!("is no registration (line {})", error.line())))?;
    let person = &body.person;
    let keys = keyer.keys(
        &person.name,
        &[("resident_id", &person.resident_id), ("health_card", &person.health_card)],
    );
    if keys.is_empty() {
        return Err(refuse("needs a name, and a resident ID or health card number".to_owned()));
    }
    let registers = Registers {
        relation: body.relation.into(),
        active: body.active,
        until_ms: body.until_ms,
    };
    Ok(Facts {
        keys,
        division: person.division.clone(),
        registers: Some(registers),
        withdrawn: false,
    })
}
