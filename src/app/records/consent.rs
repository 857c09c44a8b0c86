//! What patients say of their consent: it counts here at once, and goes to every node that has the
//! patient's records.

use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use sm3::Sm3;
use uuid::Uuid;

use super::person::{PersonKeys, digest};
use super::place::{About, Near, exhausted};
use super::ports::{ConsentChange, ConsentSaid, Indexed, KeptDocument, NewDocument, Submitted};
use super::{NAME_CHARS_MAX, Reading};
use crate::app::access::{Action, Caller, authorise};
use crate::app::error::Error;
use crate::app::exchange::facts::{ConsentBody, JSON, RegisteredPerson};
use crate::app::ports::AuditEntry;
use crate::app::request::Problems;
use crate::app::{App, encode};
use crate::sharing::discharge::model::IdentifierKind;
use crate::sharing::exchange::{Document, Kind};

/// Names of what is said of consent are UUIDs of this namespace.
const NAMESPACE: Uuid = Uuid::from_u128(0x7be1_40d9_3c52_5a86_b1f4_0e97_6a2d_c853);

impl App {
    /// A patient takes consent back for a record or for all, or gives it again. It counts here from now
    /// on, and at the other nodes that have the patient's records when they hear of it. Where a record
    /// does not say whose it is, it is about that record.
    pub async fn change_consent(
        &self,
        caller: &Caller,
        change: ConsentChange,
    ) -> Result<(), Error> {
        let permit = authorise(caller, Action::ChangeConsent)?;
        let mut problems = Problems::default();
        problems.unless(!change.record.is_empty(), "record", "must not be empty");
        problems.chars("record", &change.record, NAME_CHARS_MAX);
        problems.printable("record", &change.record);
        problems.finish()?;
        let desk = self.desk()?;
        let entry = |detail: &str| AuditEntry {
            detail: detail.to_owned(),
            ..self.entry(&change.record, "")
        };
        let has = self.standing_here(&permit, &change.record, entry("")).await?;
        let own = |by: &String| *by == caller.name;
        let is_own = !has.withdrawn_by.is_empty() && has.withdrawn_by.iter().all(own);
        let near = if change.given && !is_own { Near::OfPlace } else { Near::InPerson };
        let what = if change.given { "given" } else { "withdrawn" };
        self.may_write(&permit, (About::Record(&has), near), entry(what)).await?;
        let found = desk.store.read(&permit, Kind::Record, &change.record, None, entry("read"));
        let found = found.await?.ok_or(Error::NotFound { kind: "discharge record" })?;
        let person = named(&found)?;
        let persons = persons(&person);
        let keys = PersonKeys::of_registered(&person);
        let body = ConsentBody {
            given: change.given,
            all: change.all && !keys.is_empty(),
            record: change.record.clone(),
            at_ms: self.clock.now_ms(),
            person,
        };
        let identity = match persons.first() {
            Some(person) if body.all => format!("all\n{person}"),
            Some(_) | None => format!("record\n{}", change.record),
        };
        let said = said(&body);
        let at_ms = body.at_ms;
        let body = Bytes::from(encode(&body)?);
        let document = Document {
            kind: Kind::Consent,
            name: Uuid::new_v5(&NAMESPACE, identity.as_bytes()).to_string(),
            version: 0,
            media_type: JSON.to_owned(),
            sha256: Sha256::digest(&body).into(),
            body,
        };
        let indexed = Indexed {
            sm3: Sm3::digest(&document.body).into(),
            format: "consent",
            reading_json: encode(&said)?,
            keys,
            ..Indexed::default()
        };
        let new = NewDocument { document, indexed, task: None, grant: None, at_ms };
        let submitted = desk.store.submit(&permit, new, entry(what)).await?;
        desk.wake();
        match submitted {
            Submitted::Kept(_) | Submitted::Known(_) => Ok(()),
            Submitted::Exhausted => Err(exhausted()),
            Submitted::Conflict(_) | Submitted::Stale(_) | Submitted::NameTaken(_) => {
                Err(Error::internal("records", "a consent without version conflicts"))
            }
        }
    }
}

/// What a document of consent says, and of whom.
pub(super) fn read(body: &[u8]) -> Result<(ConsentSaid, PersonKeys), serde_json::Error> {
    let body: ConsentBody = serde_json::from_slice(body)?;
    Ok((said(&body), PersonKeys::of_registered(&body.person)))
}

fn said(body: &ConsentBody) -> ConsentSaid {
    // What is about all must be about somebody.
    let all = body.all && !PersonKeys::of_registered(&body.person).is_empty();
    let record = if all { String::new() } else { body.record.clone() };
    let (by_record, persons) = (body.record.clone(), persons(&body.person));
    ConsentSaid { persons, record, by_record, given: body.given, at_ms: body.at_ms }
}

/// The patient of a kept record; nothing where it could not be read.
fn named(kept: &KeptDocument) -> Result<RegisteredPerson, Error> {
    if kept.reading_json.is_empty() {
        return Ok(RegisteredPerson::default());
    }
    let reading: Reading =
        serde_json::from_str(&kept.reading_json).map_err(|e| Error::internal("store", e))?;
    let patient = reading.record.patient;
    let number = |kind| patient.identifier(kind).unwrap_or_default().to_owned();
    Ok(RegisteredPerson {
        resident_id: number(IdentifierKind::ResidentId),
        health_card: number(IdentifierKind::HealthCard),
        birth_date: patient.birth_date.as_ref().map(ToString::to_string).unwrap_or_default(),
        name: patient.name,
        ..RegisteredPerson::default()
    })
}

/// Digests of a person, as records of the person may have them: see [`super::person::person`].
fn persons(person: &RegisteredPerson) -> Vec<String> {
    let numbers = [&person.resident_id, &person.health_card];
    let numbers: Vec<String> =
        numbers.into_iter().filter(|n| !n.is_empty()).map(|n| n.to_uppercase()).collect();
    let texts = match (numbers.is_empty(), person.birth_date.is_empty()) {
        (false, _) => numbers,
        (true, false) => vec![format!("{}\n{}", person.name, person.birth_date)],
        (true, true) => Vec::new(),
    };
    texts.iter().map(|text| digest(text)).collect()
}
