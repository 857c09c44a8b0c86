//! What a document states of a person, as it is matched, as it is shown to whoever must decide, and
//! as it is kept: sealed, under keyed digests.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::ports::{KeptParticulars, KeptPerson, Stated};
use crate::app::error::Error;
use crate::app::exchange::facts::{RegisteredPerson, RegistrationBody};
use crate::app::exchange::key::HubKey;
use crate::app::records::references::people::person as of_patient;
use crate::sharing::discharge::Moment;
use crate::sharing::discharge::divisions::Divisions;
use crate::sharing::discharge::model::{IdentifierKind, Patient, Sex as StatedSex};
use crate::sharing::exchange::{Document, Kind};
use crate::sharing::patient::{
    BirthDate, PeopleTables, Person, Prepared, Problem, Sex, prepare_leniently,
};

/// What persons are sealed under.
const PERSON: &str = "person";
/// What particulars are sealed under.
const PARTICULARS: &str = "particulars";

/// What a document states of a person. `Debug` prints nobody.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Particulars {
    /// As it was written.
    pub shown: RegisteredPerson,
    /// Address as it was written.
    pub address: String,
    /// As it is matched.
    pub prepared: Prepared,
}

impl fmt::Debug for Particulars {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Particulars(..)")
    }
}

/// Reads documents.
pub(super) struct Reader {
    pub(super) key: Arc<HubKey>,
    pub(super) tables: Arc<PeopleTables>,
    pub(super) divisions: Divisions,
}

impl Reader {
    /// What an opened document states; none if that is too little to know anybody by.
    pub(super) fn read(&self, document: &Document) -> Option<Particulars> {
        match document.kind {
            Kind::Record => {
                let read = crate::app::records::read(&document.media_type, &document.body).ok()?;
                let record = read.record;
                let sent_on = record.document.written.as_ref().and_then(Moment::first_day);
                let mut person = of_patient(&record.patient, sent_on);
                let place = self.divisions.resolve(&record.patient.address).code;
                person.village = Some(place).filter(|code| !code.is_empty()).or(person.village);
                Particulars::prepared(shown(&record.patient), person, &self.key, &self.tables).0
            }
            Kind::Registration => {
                let body: RegistrationBody = serde_json::from_slice(&document.body).ok()?;
                Particulars::registered(body.person, &self.key, &self.tables).0
            }
            Kind::Task | Kind::Consent => None,
        }
    }
}

impl Particulars {
    /// What is stated in a registration or a question, with what is wrong with it.
    pub(super) fn registered(
        shown: RegisteredPerson,
        key: &HubKey,
        tables: &PeopleTables,
    ) -> (Option<Self>, Vec<Problem>) {
        let given = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        let person = Person {
            name: shown.name.clone(),
            birth_date: BirthDate::parse(&shown.birth_date),
            sex: match shown.sex.as_str() {
                "male" => Some(Sex::Male),
                "female" => Some(Sex::Female),
                _ => None,
            },
            resident_id: given(&shown.resident_id),
            health_card: given(&shown.health_card),
            phone: given(&shown.phone),
            village: given(&shown.division),
            address: None,
            sent_on: None,
        };
        Self::prepared(shown, person, key, tables)
    }

    fn prepared(
        shown: RegisteredPerson,
        person: Person,
        key: &HubKey,
        tables: &PeopleTables,
    ) -> (Option<Self>, Vec<Problem>) {
        let (prepared, problems) = prepare_leniently(&person, key, tables);
        let address = person.address.unwrap_or_default();
        (prepared.map(|prepared| Self { shown, address, prepared }), problems)
    }

    /// Digest of all that is stated.
    pub(super) fn digest(&self, key: &HubKey) -> Stated {
        key.stated("stated", &[&self.prepared.stated_bytes()])
    }

    /// Digest of what does not change when somebody moves.
    pub(super) fn core(&self, key: &HubKey) -> Stated {
        key.stated("core", &[&self.prepared.core_bytes()])
    }

    /// As they are kept.
    pub(super) fn keep(
        &self,
        key: &HubKey,
        (number, person, at_ms): (u64, u64, i64),
    ) -> Result<KeptParticulars, Error> {
        let digest = self.digest(key);
        let json = crate::app::encode(self)?;
        let sealed = key.seal_bytes(PARTICULARS, &digest, json.as_bytes())?;
        Ok(KeptParticulars { number, digest, core: self.core(key), sealed, person, at_ms })
    }

    /// Opens what was kept.
    pub(super) fn open(kept: &KeptParticulars, key: &HubKey) -> Result<Self, Error> {
        let json = key.open_bytes(PARTICULARS, &kept.digest, &kept.sealed)?;
        serde_json::from_slice(&json).map_err(|e| Error::internal("particulars", e))
    }
}

/// A person as it is kept.
pub(super) fn keep_person(
    key: &HubKey,
    number: u64,
    prepared: &Prepared,
) -> Result<KeptPerson, Error> {
    let sealed = key.seal_bytes(PERSON, &number.to_be_bytes(), &prepared.to_bytes())?;
    Ok(KeptPerson { number, sealed, into: 0, change: 0 })
}

/// A person that was joined to another.
pub(super) fn joined_person(number: u64, into: u64) -> KeptPerson {
    KeptPerson { number, sealed: Vec::new(), into, change: 0 }
}

/// What is matched of a person; none where it was joined to another.
pub(super) fn open_person(
    key: &HubKey,
    tables: &PeopleTables,
    kept: &KeptPerson,
) -> Result<Option<Prepared>, Error> {
    if kept.sealed.is_empty() {
        return Ok(None);
    }
    let bytes = key.open_bytes(PERSON, &kept.number.to_be_bytes(), &kept.sealed)?;
    let prepared = Prepared::from_bytes(&bytes).map_err(|e| Error::internal("person", e))?;
    Ok(Some(prepared.renewed(tables)))
}

/// What a record says of its patient, to be shown.
fn shown(patient: &Patient) -> RegisteredPerson {
    let numbered =
        |kind: IdentifierKind| patient.identifier(kind).map(str::to_owned).unwrap_or_default();
    let born = patient.birth_date.as_ref().map(ToString::to_string).unwrap_or_default();
    let sex = match patient.sex {
        StatedSex::Male => "male",
        StatedSex::Female => "female",
        StatedSex::Unknown | StatedSex::Unstated => "",
    };
    RegisteredPerson {
        name: patient.name.clone(),
        resident_id: numbered(IdentifierKind::ResidentId),
        health_card: numbered(IdentifierKind::HealthCard),
        birth_date: born,
        sex: sex.to_owned(),
        phone: patient.phones.first().cloned().unwrap_or_default(),
        division: patient.address.division.clone(),
    }
}

/// A number with its middle hidden: six characters in front and four behind, fewer of a short one.
pub(super) fn masked(number: &str) -> String {
    let chars: Vec<char> = number.chars().collect();
    let (front, behind) = match chars.len() {
        0..=4 => (0, 0),
        5..=8 => (0, 2),
        9..=12 => (3, 4),
        _ => (6, 4),
    };
    let hidden = chars.len() - front - behind;
    chars
        .iter()
        .enumerate()
        .map(|(at, c)| if at >= front && at < front + hidden { '*' } else { *c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shown_number_keeps_its_ends_only() {
        for (number, shown) in [
            ("36112119570317051X", "361121********051X"),
            ("13979300000", "139****0000"),
            ("1234567", "*****67"),
            ("1234", "****"),
            ("", ""),
        ] {
            assert_eq!(masked(number), shown);
        }
    }
}
