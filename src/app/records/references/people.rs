//! The persons of a node's records, in memory, and the references that lead to the records.
//!
//! Whoever asks first takes in what came since the last question, one record after the other, so that
//! nothing of submitting or receiving depends on it and every answer knows what was acknowledged
//! before. Numbers of persons are there as keyed hashes only.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;
use ring::hmac;
use uuid::Uuid;

use super::ports::{NewReference, Particulars, ReferenceStore, Subject, Unreferenced};
use crate::app::error::Error;
use crate::sharing::discharge::fhir::resources::identifier_system;
use crate::sharing::discharge::model::{self, DischargeRecord, Patient};
use crate::sharing::discharge::{Moment, Reading};
use crate::sharing::patient::{
    self, BirthDate, Digest, Found, IdentifierKind, Keyer, PeopleIndex, PeopleLoader, PeopleTables,
    Person, Prepared, Sex, Undecided, prepare_leniently,
};
use crate::tables::text;

/// Records taken in at once.
const BATCH: u32 = 100;
/// Namespace of the ids of references.
const NAMESPACE: Uuid = Uuid::from_u128(0x9b1c_44e7_2a5d_5e80_b3f6_6d02_c817_4f9e);

/// Keyed hashes of numbers and identifiers.
struct Hashes(hmac::Key);

/// References to the records of a node.
pub struct References {
    pub(super) store: Arc<dyn ReferenceStore>,
    tables: Arc<PeopleTables>,
    hashes: Hashes,
    people: RwLock<PeopleIndex>,
    /// Whether the index is what the store says.
    whole: tokio::sync::Mutex<bool>,
}

impl fmt::Debug for References {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("References").finish_non_exhaustive()
    }
}

impl Hashes {
    fn digest(&self, parts: &[&str]) -> Digest {
        let mut signed = hmac::Context::with_key(&self.0);
        for part in parts {
            signed.update(part.as_bytes());
            signed.update(&[0]);
        }
        let mut digest = Digest::default();
        for (byte, of) in digest.iter_mut().zip(signed.sign().as_ref()) {
            *byte = *of;
        }
        digest
    }
}

impl Keyer for Hashes {
    fn digest(&self, kind: IdentifierKind, number: &str) -> Digest {
        let kind = match kind {
            IdentifierKind::ResidentId => "resident_id",
            IdentifierKind::HealthCard => "health_card",
            IdentifierKind::Phone => "phone",
        };
        Self::digest(self, &["person", kind, number])
    }
}

impl References {
    /// Over a store, with the key that numbers are hashed with.
    pub fn new(store: Arc<dyn ReferenceStore>, key: &[u8], tables: Arc<PeopleTables>) -> Self {
        Self {
            store,
            tables,
            hashes: Hashes(hmac::Key::new(hmac::HMAC_SHA256, key)),
            people: RwLock::default(),
            whole: tokio::sync::Mutex::new(false),
        }
    }

    /// Takes in what came since.
    pub async fn catch_up(&self) -> Result<(), Error> {
        let mut whole = self.whole.lock().await;
        if !*whole {
            self.load().await?;
            *whole = true;
        }
        loop {
            let new = self.store.unreferenced(BATCH).await?;
            if new.is_empty() {
                return Ok(());
            }
            // Whoever is cut off here leaves the index to be made anew.
            *whole = false;
            for one in new {
                self.take(one).await?;
            }
            *whole = true;
        }
    }

    async fn load(&self) -> Result<(), Error> {
        self.store.open(self.hashes.digest(&["proof"])).await?;
        let mut best: BTreeMap<i64, Prepared> = BTreeMap::new();
        for (person, blob) in self.store.particulars(None).await? {
            let said = self.prepared(&blob)?;
            if best.get(&person).is_none_or(|known| better(&said, known)) {
                best.insert(person, said);
            }
        }
        let mut loader = PeopleLoader::new();
        for (person, said) in best {
            loader.add(number(person), &said).map_err(|e| Error::internal("people", e))?;
        }
        *self.people.write().unwrap_or_else(PoisonError::into_inner) = loader.finish();
        Ok(())
    }

    async fn take(&self, new: Unreferenced) -> Result<(), Error> {
        let record = read(&new.reading_json);
        let said = record.as_ref().and_then(|record| self.prepare(record).0);
        let subject = match said.as_ref().map(|said| self.find(said)) {
            Some(Found::Linked(one)) => i64::try_from(one.id).map_or(Subject::New, Subject::Known),
            Some(Found::Review(_) | Found::New(_)) => Subject::New,
            None => Subject::Unknown,
        };
        let reference = NewReference {
            document: new.document,
            id: reference_id(&new.name, new.version),
            subject,
            particulars: said.as_ref().map(Prepared::to_bytes).unwrap_or_default(),
            identifiers: record.map(|r| self.identifiers(&r.patient)).unwrap_or_default(),
        };
        for person in self.store.refer(reference).await? {
            let all = self.store.particulars(Some(person)).await?;
            self.settle(person, &all)?;
        }
        Ok(())
    }

    /// A person is what the current records say.
    fn settle(&self, person: i64, all: &[Particulars]) -> Result<(), Error> {
        let mut best: Option<Prepared> = None;
        for (_, blob) in all {
            let said = self.prepared(blob)?;
            if best.as_ref().is_none_or(|known| better(&said, known)) {
                best = Some(said);
            }
        }
        let id = number(person);
        let mut people = self.people.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(said) = best {
            return people.insert(id, &said).map_err(|e| Error::internal("people", e));
        }
        people.remove(id);
        Ok(())
    }

    fn prepared(&self, blob: &Bytes) -> Result<Prepared, Error> {
        let said = Prepared::from_bytes(blob).map_err(|e| Error::internal("store", e))?;
        Ok(said.renewed(&self.tables))
    }

    /// The particulars of a record's patient as they are matched.
    pub(super) fn prepare(
        &self,
        record: &DischargeRecord,
    ) -> (Option<Prepared>, Vec<patient::Problem>) {
        let sent_on = record.document.written.as_ref().and_then(Moment::first_day);
        let person = person(&record.patient, sent_on);
        prepare_leniently(&person, &self.hashes, &self.tables)
    }

    /// Who somebody is.
    pub(super) fn find(&self, said: &Prepared) -> Found {
        let people = self.people.read().unwrap_or_else(PoisonError::into_inner);
        people.find(&self.tables, said, &Undecided)
    }

    /// Persons known.
    pub fn count(&self) -> usize {
        self.people.read().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Digest of an identifier as it is asked for: of a system, of none (empty), or of any.
    pub(super) fn identifier(&self, system: Option<&str>, value: &str) -> Digest {
        let value = text::fold(value).trim().to_uppercase();
        match system {
            Some(system) => self.hashes.digest(&["identifier", system, &value]),
            None => self.hashes.digest(&["value", &value]),
        }
    }

    /// Every digest that a patient is found by.
    fn identifiers(&self, patient: &Patient) -> Vec<Digest> {
        let mut digests = Vec::new();
        for one in &patient.identifiers {
            digests.push(self.identifier(None, &one.value));
            digests.push(self.identifier(Some(&one.system), &one.value));
            // A number whose kind is known is also found under the system that the kind has.
            let known = identifier_system(one.kind);
            digests.extend(known.map(|system| self.identifier(Some(system), &one.value)));
        }
        digests.sort_unstable();
        digests.dedup();
        digests
    }
}

/// The record of a kept reading; none where this node could not read it.
pub(super) fn read(json: &str) -> Option<DischargeRecord> {
    if json.is_empty() {
        return None;
    }
    let read: Result<Reading, _> = serde_json::from_str(json);
    read.inspect_err(|error| tracing::error!(%error, "a kept reading cannot be read"))
        .ok()
        .map(|reading| reading.record)
}

/// Id of the reference to a version of a record: the same on every node.
pub fn reference_id(name: &str, version: u32) -> String {
    Uuid::new_v5(&NAMESPACE, format!("{name}\n{version}").as_bytes()).to_string()
}

fn number(person: i64) -> u64 {
    u64::try_from(person).unwrap_or(0)
}

fn has_number(said: &Prepared) -> bool {
    said.digest(IdentifierKind::ResidentId).is_some()
}

/// What comes later is better, unless it does not have the resident ID that was known.
fn better(said: &Prepared, known: &Prepared) -> bool {
    has_number(said) || !has_number(known)
}

/// A patient as people are matched.
pub(in crate::app) fn person(patient: &Patient, sent_on: Option<jiff::civil::Date>) -> Person {
    let numbered = |kind: model::IdentifierKind| patient.identifier(kind).map(str::to_owned);
    let address = &patient.address;
    let whole = [
        &address.province,
        &address.city,
        &address.county,
        &address.township,
        &address.village,
        &address.house,
    ];
    let whole: String = whole.into_iter().map(String::as_str).collect();
    let written = if address.text.is_empty() { whole } else { address.text.clone() };
    Person {
        name: patient.name.clone(),
        birth_date: patient.birth_date.as_ref().and_then(birth_date),
        sex: match patient.sex {
            model::Sex::Male => Some(Sex::Male),
            model::Sex::Female => Some(Sex::Female),
            model::Sex::Unknown | model::Sex::Unstated => None,
        },
        resident_id: numbered(model::IdentifierKind::ResidentId),
        health_card: numbered(model::IdentifierKind::HealthCard),
        phone: patient.phones.first().cloned(),
        village: Some(address.division.clone()).filter(|code| !code.is_empty()),
        address: Some(written).filter(|text| !text.is_empty()),
        sent_on,
    }
}

fn birth_date(said: &Moment) -> Option<BirthDate> {
    let day = said.as_str().split('T').next().unwrap_or_default();
    BirthDate::parse(day)
}
