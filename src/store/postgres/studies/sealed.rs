//! Patients on a server that must not know them. Where the node encrypts what it keeps, the server has
//! for each patient one sealed text and keyed digests, by which a patient ID and a person are found again;
//! what else is asked of patients is held against a list in the node's memory, which is read when the
//! index is opened: up to about 830 bytes of memory a patient (386 MiB for 486,613, `benches/imaging/index.rs`).
//!
//! Each text is sealed under a nonce of chance, which allows 2^32 of them for a key (NIST SP 800-38D, 8.3),
//! and bound to the number of its row. Texts are filled up to a multiple of 64 bytes: their length tells
//! little of a name.
//!
//! Deliberately absent: what is no patient's. Dates, descriptions, accession numbers, names of doctors and
//! institutions, and UIDs lie there as they are, and the server searches through them.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use dicom_core::Tag;
use dicom_dictionary_std::tags;
use ring::hmac;
use sqlx::postgres::PgConnection;
use sqlx::{Connection as _, Row as _};

use super::question::asks_for_nul;
use super::read::patient_of;
use super::values::kept;
use crate::sharing::imaging::header::Patient;
use crate::sharing::imaging::matching::{self, Kind, Test};
use crate::sharing::imaging::name;
use crate::sharing::imaging::object::Digest;
use crate::sharing::imaging::query::Level;
use crate::sharing::sealing::cipher::{NONCE_BYTES, Sealer, TAG_BYTES, derive};
use crate::sharing::sealing::keyring::DataKey;
use crate::sharing::sealing::{Fault, KeyId};
use crate::store::studies::merge::{Identity, patient_fields};
use crate::store::studies::plan::sounds_column;
use crate::store::studies::question::{Question, What};

/// What the key of patients is made for, and that of their digests.
const LABEL: &[u8] = b"xiangyi studies 1";
const DIGESTS: &[u8] = b"xiangyi studies digests 1";
/// What digests are of.
const PERSON: &str = "person";
const PATIENT_ID: &str = "patient id";
/// Texts are filled up to a multiple of this many bytes.
const FILLED_BYTES: usize = 64;
/// Patients read, or sealed, at a time.
const PAGE: usize = 2_000;

/// See the module.
pub(super) struct SealedPatients {
    sealer: Sealer,
    digests: hmac::Key,
    key: KeyId,
    list: RwLock<HashMap<i64, Known>>,
}

/// A patient as questions are held against it: the name as its look and sounds alone.
struct Known {
    patient: Patient,
    look: String,
    sounds: String,
}

/// Something that is asked of patients.
struct Asked {
    tag: Tag,
    kind: Kind,
    test: Test,
}

/// What a schema says of itself does not fit the node's key.
#[derive(Debug, thiserror::Error)]
pub(super) enum Misfit {
    #[error("its patients are sealed with key {there}, and the node's keyring has {given} for it")]
    Key { there: String, given: String },
    #[error(transparent)]
    Server(#[from] sqlx::Error),
}

/// Names nobody.
impl fmt::Debug for SealedPatients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealedPatients({})", self.key)
    }
}

impl Known {
    fn of(mut patient: Patient) -> Self {
        let (look, sounds) = (name::look(&patient.name), sounds_column(&patient.name));
        patient.name = String::new();
        Self { patient, look, sounds }
    }

    fn passes(&self, tag: Tag, kind: Kind, test: &Test) -> bool {
        match test {
            Test::NameIs(looks) => looks.iter().any(|look| self.look.contains(look)),
            Test::NameLike(pattern) => matching::like(pattern, &self.look),
            Test::NameSounds(begun) => begun.iter().all(|begun| self.sounds.contains(begun)),
            Test::Either(tests) => tests.iter().any(|test| self.passes(tag, kind, test)),
            Test::Any
            | Test::Never
            | Test::Equal(_)
            | Test::Like(_)
            | Test::Between(..)
            | Test::Numbers(_) => test.holds(kind, self.value(tag)),
        }
    }

    fn value(&self, tag: Tag) -> &str {
        let Patient { id, issuer, name: _, birth_date, sex } = &self.patient;
        match tag {
            tags::PATIENT_ID => id,
            tags::ISSUER_OF_PATIENT_ID => issuer,
            tags::PATIENT_BIRTH_DATE => birth_date,
            tags::PATIENT_SEX => sex,
            _ => "",
        }
    }
}

/// A test whose values are as values are kept: a sound is looked for where one begins.
fn as_kept(test: Test) -> Test {
    let kept = |texts: Vec<String>| texts.iter().map(|text| kept(text).into_owned()).collect();
    if asks_for_nul(&test) {
        return Test::Never;
    }
    match test {
        Test::Equal(texts) => Test::Equal(kept(texts)),
        Test::NameIs(looks) => Test::NameIs(kept(looks)),
        Test::NameSounds(words) => {
            Test::NameSounds(words.iter().map(|word| format!("\u{1}{word}")).collect())
        }
        Test::Either(tests) => Test::Either(tests.into_iter().map(as_kept).collect()),
        test @ (Test::Any
        | Test::Never
        | Test::Like(_)
        | Test::Between(..)
        | Test::Numbers(_)
        | Test::NameLike(_)) => test,
    }
}

/// The error of a column that does not open.
fn closed(fault: Fault) -> sqlx::Error {
    sqlx::Error::ColumnDecode { index: "sealed".to_owned(), source: Box::new(fault) }
}

impl SealedPatients {
    pub(super) fn new(key: &DataKey) -> Result<Self, Fault> {
        let mut digests = [0; 32];
        derive(key.secret.expose(), b"", &[DIGESTS], &mut digests)?;
        Ok(Self {
            sealer: key.sealer(b"", LABEL)?,
            digests: hmac::Key::new(hmac::HMAC_SHA256, &digests),
            key: key.id,
            list: RwLock::default(),
        })
    }

    fn digest(&self, of: &str, texts: &[&str]) -> Digest {
        let mut context = hmac::Context::with_key(&self.digests);
        for text in [of].iter().chain(texts) {
            context.update(&u64::try_from(text.len()).unwrap_or(u64::MAX).to_be_bytes());
            context.update(text.as_bytes());
        }
        let mut digest = [0; 32];
        for (to, from) in digest.iter_mut().zip(context.sign().as_ref()) {
            *to = *from;
        }
        Digest(digest)
    }

    /// What tells a patient from another, as the server has it.
    pub(super) fn identity(&self, identity: &Identity) -> Vec<u8> {
        let Identity { id, issuer, look, birth_date } = identity;
        self.digest(PERSON, &[id, issuer, look, birth_date]).0.to_vec()
    }

    /// A patient ID as the server has it; an empty one stays empty.
    pub(super) fn patient_id(&self, id: &str) -> String {
        if id.is_empty() {
            return String::new();
        }
        self.digest(PATIENT_ID, &[id]).to_string()
    }

    /// The patient of row `id`, sealed.
    pub(super) fn seal(&self, id: i64, patient: &Patient) -> Result<Vec<u8>, Fault> {
        let fields = patient_fields(&mut patient.clone()).map(std::mem::take);
        let mut text = serde_json::to_vec(&fields).map_err(|_| Fault::Cipher)?;
        text.resize(text.len().next_multiple_of(FILLED_BYTES), b' ');
        let mut nonce = [0; NONCE_BYTES];
        getrandom::fill(&mut nonce).map_err(|_| Fault::Random)?;
        let tag = self.sealer.seal(nonce, &id.to_be_bytes(), &mut text)?;
        Ok([&nonce[..], &text, &tag].concat())
    }

    /// What [`Self::seal`] sealed for row `id`.
    pub(super) fn open(&self, id: i64, sealed: &[u8]) -> Result<Patient, Fault> {
        let (nonce, rest) = sealed.split_first_chunk().ok_or(Fault::Altered)?;
        let mut text = rest.to_vec();
        if text.len() < TAG_BYTES {
            return Err(Fault::Altered);
        }
        let length = self.sealer.open(*nonce, &id.to_be_bytes(), &mut text, 0)?;
        text.truncate(length);
        let fields: [String; 5] = serde_json::from_slice(&text).map_err(|_| Fault::Altered)?;
        let mut patient = Patient::default();
        for (to, from) in patient_fields(&mut patient).into_iter().zip(fields) {
            *to = from;
        }
        Ok(patient)
    }

    /// The same for a row that was read.
    pub(super) fn read(&self, id: i64, sealed: &[u8]) -> Result<Patient, sqlx::Error> {
        self.open(id, sealed).map_err(closed)
    }

    /// These patients are there now, as they are now.
    pub(super) fn know(&self, patients: impl IntoIterator<Item = (i64, Patient)>) {
        let known: Vec<_> = patients.into_iter().map(|(id, one)| (id, Known::of(one))).collect();
        self.list.write().unwrap_or_else(PoisonError::into_inner).extend(known);
    }

    /// This one is not there any more.
    pub(super) fn forget(&self, id: i64) {
        self.list.write().unwrap_or_else(PoisonError::into_inner).remove(&id);
    }

    /// Whether somebody of this patient ID is known.
    #[cfg(test)]
    pub(super) fn knows(&self, id: &str) -> bool {
        let list = self.list.read().unwrap_or_else(PoisonError::into_inner);
        list.values().any(|known| known.patient.id == id)
    }

    /// Nobody is there any more.
    pub(super) fn clear(&self) {
        self.list.write().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Takes out of a question what the server cannot answer, and answers which patients fit it; none
    /// where any may.
    pub(super) async fn who(
        self: &Arc<Self>,
        question: &mut Question,
    ) -> Result<Option<Vec<i64>>, sqlx::Error> {
        let mut asked = Vec::new();
        question.parts.retain_mut(|part| {
            let What::Test(test) = &mut part.what else { return true };
            if part.level != Level::Patient {
                return true;
            }
            let whole = as_kept(std::mem::replace(test, Test::Any));
            if part.tag == tags::PATIENT_ID
                && let Test::Equal(ids) = &whole
            {
                *test = Test::Equal(ids.iter().map(|id| self.patient_id(id)).collect());
                return true;
            }
            if whole != Test::Any {
                asked.push(Asked { tag: part.tag, kind: part.kind, test: whole });
            }
            false
        });
        if asked.is_empty() {
            return Ok(None);
        }
        let this = Arc::clone(self);
        // Many patients are many steps, and others are to be answered meanwhile.
        let fitting = tokio::task::spawn_blocking(move || {
            let list = this.list.read().unwrap_or_else(PoisonError::into_inner);
            let fits = |known: &Known| {
                asked.iter().all(|Asked { tag, kind, test }| known.passes(*tag, *kind, test))
            };
            list.iter().filter(|(_, known)| fits(known)).map(|(id, _)| *id).collect()
        });
        fitting.await.map(Some).map_err(|_| sqlx::Error::WorkerCrashed)
    }

    /// Reads who is there.
    pub(super) async fn load(&self, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        let mut list = HashMap::new();
        patients(connection, Some(self), |id, patient| {
            list.insert(id, Known::of(patient));
        })
        .await?;
        *self.list.write().unwrap_or_else(PoisonError::into_inner) = list;
        Ok(())
    }

    /// Seals the patients that lie there as they are, all or none. Their table is emptied and filled again:
    /// the server gives it new files then, and what had names is gone with the old ones. Answers how many.
    async fn seal_all(&self, connection: &mut PgConnection) -> Result<usize, sqlx::Error> {
        let mut transaction = connection.begin().await?;
        let mut there = Vec::new();
        patients(&mut transaction, None, |id, patient| there.push((id, patient))).await?;
        sqlx::raw_sql("TRUNCATE patient, name_key").execute(&mut *transaction).await?;
        for page in there.chunks(PAGE) {
            let (mut ids, mut identities) = (Vec::new(), Vec::new());
            let (mut texts, mut digests) = (Vec::new(), Vec::new());
            for (id, patient) in page {
                ids.push(*id);
                identities.push(self.identity(&Identity::of(patient)));
                texts.push(self.seal(*id, patient).map_err(closed)?);
                digests.push(self.patient_id(&patient.id));
            }
            sqlx::query(
                "INSERT INTO patient (id, identity, sealed, patient_id, issuer, name, birth_date, \
                 sex, look, sounds) SELECT id, identity, sealed, patient_id, '', '', '', '', '', '' \
                 FROM unnest($1::int8[], $2::bytea[], $3::bytea[], $4::text[]) \
                 j(id, identity, sealed, patient_id)",
            )
            .bind(ids)
            .bind(identities)
            .bind(texts)
            .bind(digests)
            .execute(&mut *transaction)
            .await?;
        }
        sqlx::query("UPDATE state SET sealed_by = $1")
            .bind(&self.key.0[..])
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(there.len())
    }
}

/// Gives `take` every patient that is there, with the number of its row.
async fn patients(
    connection: &mut PgConnection,
    sealed: Option<&SealedPatients>,
    mut take: impl FnMut(i64, Patient),
) -> Result<(), sqlx::Error> {
    let mut last = 0;
    loop {
        let rows = sqlx::query(
            "SELECT id, patient_id, issuer, name, birth_date, sex, sealed FROM patient \
             WHERE id > $1 ORDER BY id LIMIT $2",
        )
        .bind(last)
        .bind(i64::try_from(PAGE).unwrap_or(i64::MAX))
        .fetch_all(&mut *connection)
        .await?;
        if rows.is_empty() {
            return Ok(());
        }
        for row in &rows {
            last = row.try_get(0)?;
            take(last, patient_of(row, (last, 1), sealed)?);
        }
    }
}

/// Makes the patients of a schema ready for a node that has this key, or none: seals those that are not,
/// and reads who is there.
pub(super) async fn prepare(
    connection: &mut PgConnection,
    sealed: Option<&SealedPatients>,
) -> Result<(), Misfit> {
    let by: Option<Vec<u8>> =
        sqlx::query_scalar("SELECT sealed_by FROM state").fetch_one(&mut *connection).await?;
    let there = by.map(|bytes| match <[u8; 8]>::try_from(bytes) {
        Ok(bytes) => KeyId(bytes).to_string(),
        Err(_) => "of a form that this program does not know".to_owned(),
    });
    let given = sealed.map(|sealed| sealed.key.to_string());
    match (sealed, there) {
        (None, None) => Ok(()),
        (Some(sealed), None) => {
            let patients = sealed.seal_all(connection).await?;
            if patients > 0 {
                tracing::info!(patients, "sealed the patients in the index of studies");
            }
            Ok(sealed.load(connection).await?)
        }
        (Some(sealed), Some(there)) if given.as_ref() == Some(&there) => {
            Ok(sealed.load(connection).await?)
        }
        (_, Some(there)) => {
            Err(Misfit::Key { there, given: given.unwrap_or_else(|| "none".to_owned()) })
        }
    }
}
