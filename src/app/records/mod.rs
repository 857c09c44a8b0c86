//! Discharge records on a node: taken from hospital systems, kept with the bytes as they came, handed to
//! the hub, received for the clinic's patients, and what follows from them.
//!
//! [`desk`] is the node's end of the exchange, [`elsewhere`] asks the hub for what the node does not have,
//! [`reconcile`] compares a record's medicines with what the clinic prescribes, [`ports`] says what the
//! store must do.

mod consent;
pub mod desk;
pub mod elsewhere;
pub mod grants;
pub(in crate::app) mod neighbours;
pub mod notices;
pub mod person;
mod place;
pub mod ports;
pub mod reading;
pub mod reconcile;
pub mod references;
mod registration;
pub mod tasks;
pub mod words;

use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use sm3::Sm3;
use tokio::sync::watch;

use self::person::{PersonKeys, person};
use self::ports::{
    DocumentQuery, DocumentStore, ExchangeReport, Indexed, KeptDocument, NameTaken, NewDocument,
    Submitted,
};
pub use self::reading::Granted;
use self::reading::{Reading as Read, summary_only};
use self::references::References;
pub use self::registration::RegistrationRequest;
pub use self::tasks::{ChangedTask, TaskBody, TaskList};
use super::access::{Action, Caller, authorise};
use super::error::{Error, FieldProblem};
use super::exchange::clock::HubTime;
use super::exchange::hub::BODY_BYTES_MAX;
use super::exchange::ports::NodeExchange;
use super::knowledge::Knowledge;
use super::ports::AuditEntry;
use super::request::{PageRequest, Problems};
use super::{App, encode};
pub use crate::sharing::consent::Purpose;
use crate::sharing::consent::{Scope, Verdict};
use crate::sharing::discharge::model::DiagnosisRole;
use crate::sharing::discharge::plausible;
use crate::sharing::discharge::{
    DischargeRecord, Memberships, Moment, Problem, Programme, Reading, Severity, cda, fhir,
};
use crate::sharing::exchange::{Document, Kind};
use crate::tables::text;

/// Lists of records are told apart from others by this.
const SEAL: &str = "records";
/// Media type of FHIR as JSON.
pub const FHIR_JSON: &str = "application/fhir+json";
/// Media type of CDA.
pub const CDA_XML: &str = "application/xml";
/// Characters of a record's name at most.
const NAME_CHARS_MAX: usize = 512;
/// Characters of a reason for breaking the glass at most.
const REASON_CHARS_MAX: usize = 500;
/// Problems that an error repeats at most.
const PROBLEMS_TOLD_MAX: usize = 100;

/// Documents of a node, and who is told when one waits to be handed over.
#[derive(Debug)]
pub struct RecordDesk {
    pub(super) store: Arc<dyn DocumentStore>,
    pub(super) changed: watch::Sender<u64>,
    pub(super) references: Option<Arc<References>>,
    time: Arc<HubTime>,
}

/// A record handed in.
#[derive(Debug, Clone, PartialEq)]
pub struct SubmittedRecord {
    /// Name.
    pub name: String,
    /// Version.
    pub version: u32,
    /// It was there already.
    pub known: bool,
    /// What was read.
    pub reading: Reading,
    /// SHA-256 of the bytes.
    pub sha256: [u8; 32],
    /// SM3 of the bytes.
    pub sm3: [u8; 32],
}

/// What became of a record that was handed in.
#[derive(Debug, Clone, PartialEq)]
pub enum Taken {
    /// It is kept.
    Kept(Box<SubmittedRecord>),
    /// It cannot be taken; some of these are fatal.
    Refused(Vec<Problem>),
    /// Another document has its name and this version.
    Conflict(u32),
    /// Its name is that of another record.
    NameTaken(NameTaken),
}

/// What a record can be written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExportFormat {
    /// FHIR R4 document.
    Fhir,
    /// CDA after WS/T 500.53.
    Cda,
}

/// What a list of records shows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RecordLine {
    /// Name.
    pub name: String,
    /// Version; 0 in the summary of a record whose version the store gave.
    pub version: u32,
    /// Patient's name.
    pub patient: String,
    /// Birth date, ISO 8601.
    pub birth_date: String,
    /// Institution.
    pub institution: String,
    /// Discharge, ISO 8601.
    pub discharged: String,
    /// Main diagnosis.
    pub diagnosis: String,
    /// Programmes.
    pub programmes: Vec<String>,
    /// The sender took it back.
    pub withdrawn: bool,
    /// Why this node cannot read it; empty if it can.
    #[serde(default)]
    pub problem: String,
}

/// A record as kept, with what follows from it.
#[derive(Debug, Clone)]
pub struct FoundRecord {
    /// As kept.
    pub kept: KeptDocument,
    /// What was read; none where this node could not read it.
    pub reading: Option<Reading>,
    /// Programmes it belongs to, by the tables of today.
    pub memberships: Memberships,
    /// What decided about the read.
    pub granted: Granted,
}

impl RecordDesk {
    /// Over a store; `time` knows how the node's clock stands to the hub's.
    pub fn new(store: Arc<dyn DocumentStore>, time: Arc<HubTime>) -> Self {
        Self { store, changed: watch::Sender::new(0), references: None, time }
    }

    /// With references to its records.
    #[must_use]
    pub fn with_references(self, references: Arc<References>) -> Self {
        Self { references: Some(references), ..self }
    }

    /// How the exchange with the hub stands.
    pub async fn report(&self) -> Result<ExchangeReport, Error> {
        let report = self.store.report().await?;
        Ok(ExchangeReport { clock: self.time.compared(), ..report })
    }

    /// Patients who are yet to be told of a read.
    pub async fn notices_open(&self) -> Result<u64, Error> {
        self.store.notices_open().await
    }

    pub(super) fn wake(&self) {
        self.changed.send_modify(|count| *count = count.wrapping_add(1));
    }
}

/// Reads a document of any format that is understood. The media type decides between FHIR and CDA; where
/// it says neither, the first character does.
pub fn read(media_type: &str, bytes: &[u8]) -> Result<Reading, Vec<Problem>> {
    let kind = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if kind.ends_with("json") {
        return fhir::read(bytes);
    }
    if kind.ends_with("xml") || kind.ends_with("hl7-v3") {
        return cda::read(bytes);
    }
    let first = bytes.iter().find(|b| !b.is_ascii_whitespace() && **b > b' ' && **b < 0x80);
    match first {
        Some(b'{') => fhir::read(bytes),
        Some(b'<') => cda::read(bytes),
        Some(_) | None => Err(vec![Problem::fatal(
            "/",
            "format_unknown",
            "文件既不是FHIR JSON也不是CDA XML：请用application/fhir+json或application/xml提交",
        )]),
    }
}

/// Fatal problems as an error of the request.
fn refused(field: &str, problems: &[Problem]) -> Error {
    let fatal = problems.iter().filter(|p| p.severity == Severity::Fatal);
    let told = fatal.take(PROBLEMS_TOLD_MAX);
    let told = told.map(|p| FieldProblem::new(format!("{field}:{}", p.path), p.message.clone()));
    let told: Vec<_> = told.collect();
    if told.is_empty() {
        return Error::field(field, "must be a discharge record");
    }
    Error::Invalid(told)
}

/// Why a name cannot be used, and what to do.
fn name_taken(whose: NameTaken) -> &'static str {
    match whose {
        NameTaken::OtherPatient => {
            "has the identifier of a record of another patient: a correction must carry a higher \
             version, or say that it replaces that one (relatesTo, RPLC); another record needs an \
             identifier of its own"
        }
        NameTaken::OtherInstitution => {
            "has the identifier of another institution's record: use an identifier under a root (OID) of \
             your own institution; a higher version is not taken either"
        }
    }
}

/// What a store keeps beside the bytes.
pub(super) fn indexed(
    knowledge: &Knowledge,
    (name, version): (&str, u32),
    bytes: &[u8],
    reading: &Reading,
) -> Result<Indexed, Error> {
    let members = knowledge.programmes.of(&reading.record);
    let programmes: Vec<String> =
        members.members.iter().map(|m| m.programme.id().to_owned()).collect();
    let line = summary((name, version), &reading.record, programmes.clone());
    Ok(Indexed {
        sm3: Sm3::digest(bytes).into(),
        format: reading.format.name(),
        reading_json: encode(reading)?,
        summary_json: encode(&line)?,
        patient: folded_patient(&reading.record),
        person: person(&reading.record),
        keys: PersonKeys::of(&reading.record),
        author: author(&reading.record),
        sender: String::new(),
        handed_ms: None,
        replaces: replaces(name, &reading.record),
        discharged: discharge_day(&reading.record),
        replaces_itself: reading.record.document.replaces.trim() == name,
        programmes,
        withdrawn: reading.record.document.entered_in_error,
        problem: String::new(),
    })
}

/// The institution that wrote a record, so that two records can be told to be of the same one.
pub(in crate::app) fn author(record: &DischargeRecord) -> String {
    let code = record.stay.institution_code.trim();
    if code.is_empty() {
        return text::fold(&record.stay.institution).trim().to_owned();
    }
    code.to_uppercase()
}

/// The day of discharge, ISO 8601; empty where no day was said.
fn discharge_day(record: &DischargeRecord) -> String {
    let day = record.stay.discharged.as_ref().and_then(Moment::day);
    day.map(|day| day.to_string()).unwrap_or_default()
}

/// Name of another record that this one says it replaces; one that takes itself back replaces nothing.
fn replaces(name: &str, record: &DischargeRecord) -> String {
    let other = record.document.replaces.trim();
    let counts = other != name && !record.document.entered_in_error;
    if counts { other.to_owned() } else { String::new() }
}

/// A name as lists are asked for it.
fn folded_patient(record: &DischargeRecord) -> String {
    text::fold(&record.patient.name)
}

pub(in crate::app) fn summary(
    (name, version): (&str, u32),
    record: &DischargeRecord,
    programmes: Vec<String>,
) -> RecordLine {
    let moment =
        |moment: &Option<Moment>| moment.as_ref().map(ToString::to_string).unwrap_or_default();
    let main = record.diagnoses.iter().find(|d| d.role == DiagnosisRole::DischargeMain);
    let main =
        main.or_else(|| record.diagnoses.iter().find(|d| d.role == DiagnosisRole::Discharge));
    RecordLine {
        name: name.to_owned(),
        version,
        patient: record.patient.name.clone(),
        birth_date: moment(&record.patient.birth_date),
        institution: record.stay.institution.clone(),
        discharged: moment(&record.stay.discharged),
        diagnosis: main.map(|d| d.coded.text.clone()).unwrap_or_default(),
        programmes,
        withdrawn: record.document.entered_in_error,
        problem: String::new(),
    }
}

impl App {
    pub(super) fn desk(&self) -> Result<&RecordDesk, Error> {
        let reason = "this node keeps no discharge records".to_owned();
        self.records.as_ref().map(AsRef::as_ref).ok_or(Error::Refused { reason })
    }

    /// As [`read`], and held against the day on which it is received. What another node of the exchange
    /// took in was held against its day there.
    fn read_today(&self, media_type: &str, content: &[u8]) -> Result<Reading, Vec<Problem>> {
        let reading = read(media_type, content)?;
        match jiff::Timestamp::from_millisecond(self.clock.now_ms()) {
            // The latest day that it is anywhere a sender of these records is.
            Ok(now) => plausible::on_day(reading, jiff::tz::offset(8).to_datetime(now).date()),
            Err(_) => Ok(reading),
        }
    }

    /// Reads a document and says everything that is wrong with it; keeps nothing.
    pub fn validate_record(
        &self,
        caller: &Caller,
        media_type: &str,
        content: &[u8],
    ) -> Result<Result<Reading, Vec<Problem>>, Error> {
        authorise(caller, Action::SubmitRecords)?;
        sized(content)?;
        Ok(self.read_today(media_type, content))
    }

    /// Takes a discharge record: it, its place in the outbox and the audit entry are on disk when this
    /// returns. The same bytes again are the same version.
    pub async fn submit_record(
        &self,
        caller: &Caller,
        media_type: &str,
        content: Bytes,
    ) -> Result<SubmittedRecord, Error> {
        match self.take_record(caller, media_type, content).await? {
            Taken::Kept(kept) => Ok(*kept),
            Taken::Refused(problems) => Err(refused("content", &problems)),
            Taken::NameTaken(whose) => Err(Error::field("content", name_taken(whose))),
            Taken::Conflict(version) => Err(Error::field(
                "content",
                format!(
                    "is another document under the same name and version {version}: a correction must \
                     carry a higher version"
                ),
            )),
        }
    }

    /// As [`App::submit_record`], for doors that say why a record was not taken in their own words.
    pub async fn take_record(
        &self,
        caller: &Caller,
        media_type: &str,
        content: Bytes,
    ) -> Result<Taken, Error> {
        let permit = authorise(caller, Action::SubmitRecords)?;
        sized(&content)?;
        let reading = match self.read_today(media_type, &content) {
            Ok(reading) => reading,
            Err(problems) => return Ok(Taken::Refused(problems)),
        };
        let desk = self.desk()?;
        let knowledge = self.knowledge.load_full();
        let sha256: [u8; 32] = Sha256::digest(&content).into();
        let document = &reading.record.document;
        let name = document.name.clone();
        let mut problems = Problems::default();
        problems.unless(!name.is_empty(), "content", "must have an identifier of the document");
        problems.chars("content", &name, NAME_CHARS_MAX);
        problems.unless(
            text::is_printable(&name),
            "content",
            "must have an identifier without control characters or marks of writing direction",
        );
        problems.finish()?;
        let stated = document.version.unwrap_or(0);
        let mut indexed = indexed(&knowledge, (&name, stated), &content, &reading)?;
        indexed.sender.clone_from(&self.name);
        let sm3 = indexed.sm3;
        let media_type = if reading.format.is_json() { FHIR_JSON } else { CDA_XML };
        let document = Document {
            kind: Kind::Record,
            name: name.clone(),
            version: stated,
            media_type: media_type.to_owned(),
            sha256,
            body: content,
        };
        let now = self.clock.now_ms();
        let new = NewDocument { document, indexed, task: None, grant: None, at_ms: now };
        let entry = self.entry(&name, "");
        let (version, known) = match desk.store.submit(&permit, new, entry).await? {
            Submitted::Kept(version) => (version, false),
            Submitted::Known(version) => (version, true),
            Submitted::Conflict(version) => return Ok(Taken::Conflict(version)),
            Submitted::NameTaken(whose) => return Ok(Taken::NameTaken(whose)),
            Submitted::Exhausted => return Err(place::exhausted()),
            Submitted::Stale(_) => {
                return Err(Error::internal("records", "a record is no task"));
            }
        };
        desk.wake();
        let kept = SubmittedRecord { name, version, known, reading, sha256, sm3 };
        Ok(Taken::Kept(Box::new(kept)))
    }

    /// Takes what a discharge record says and writes it as a FHIR document, which is then the original.
    pub async fn compose_record(
        &self,
        caller: &Caller,
        record: &DischargeRecord,
    ) -> Result<SubmittedRecord, Error> {
        authorise(caller, Action::SubmitRecords)?;
        // The time that the sender wrote it, so that the same content gives the same bytes.
        let written = match &record.document.written {
            Some(written) if written.has_time() => written.clone(),
            Some(_) | None => {
                let allowed = "must be an instant such as 2026-11-29T10:30:00+08:00";
                return Err(Error::field("record.document.written", allowed));
            }
        };
        let content = encode(&fhir::write(record, &written))?;
        self.submit_record(caller, FHIR_JSON, content.into()).await
    }

    /// A kept record: the newest version, or the one asked for.
    pub async fn get_record(
        &self,
        caller: &Caller,
        (name, version): (&str, u32),
        reading: Read<'_>,
    ) -> Result<FoundRecord, Error> {
        self.read_record_for(caller, (name, version), (reading, Scope::Whole)).await
    }

    async fn read_record_for(
        &self,
        caller: &Caller,
        (name, version): (&str, u32),
        asked: (Read<'_>, Scope),
    ) -> Result<FoundRecord, Error> {
        let permit = authorise(caller, Action::ReadRecords)?;
        let mut problems = Problems::default();
        problems.unless(!name.is_empty(), "name", "must not be empty");
        problems.chars("name", name, NAME_CHARS_MAX);
        problems.chars("break_glass_reason", asked.0.break_glass, REASON_CHARS_MAX);
        problems.written("break_glass_reason", asked.0.break_glass);
        problems.finish()?;
        let granted = self.may_read(caller, &permit, name, asked).await?;
        let version = (version > 0).then_some(version);
        let desk = self.desk()?;
        let entry = self.read_for(name, asked.0.purpose);
        let kept = desk.store.read(&permit, Kind::Record, name, version, entry).await?;
        let kept = kept.ok_or(Error::NotFound { kind: "discharge record" })?;
        let reading: Option<Reading> = match kept.reading_json.as_str() {
            "" => None,
            json => Some(serde_json::from_str(json).map_err(|e| Error::internal("store", e))?),
        };
        let knowledge = self.knowledge.load();
        let memberships = match &reading {
            Some(reading) => knowledge.programmes.of(&reading.record),
            None => Memberships::default(),
        };
        let mut found = FoundRecord { kept, reading, memberships, granted };
        if found.granted.scope == Scope::Summary {
            summary_only(&mut found);
        }
        Ok(found)
    }

    /// Kept records, the newest version of each, newest first, and the token of the next page.
    pub async fn list_discharge_records(
        &self,
        caller: &Caller,
        page: &PageRequest,
        (programme, patient): (&str, &str),
        purpose: Purpose,
    ) -> Result<(Vec<RecordLine>, String), Error> {
        let permit = authorise(caller, Action::ReadRecords)?;
        let (size, before_seq) = page.open(SEAL)?;
        let known = Programme::ALL;
        let mut problems = Problems::default();
        problems.unless(
            programme.is_empty() || known.iter().any(|p| p.id() == programme),
            "programme",
            &format!("must be empty or one of {}", known.map(Programme::id).join(", ")),
        );
        problems.chars("patient", patient, super::request::NAME_CHARS_MAX);
        problems.finish()?;
        let query = DocumentQuery {
            before_seq,
            programme: programme.to_owned(),
            patient: text::fold(patient).trim().to_owned(),
            limit: size + 1,
        };
        let desk = self.desk()?;
        let entry = self.read_for("", purpose);
        let mut found = desk.store.list(&permit, Kind::Record, query, entry).await?;
        let asked = usize::try_from(size).unwrap_or(usize::MAX);
        let more = found.len() > asked;
        found.truncate(asked);
        let token = found.last().filter(|_| more).map(|last| format!("{SEAL}-{}", last.seq));
        let mut lines = Vec::with_capacity(found.len());
        for line in &found {
            let version = line.version;
            let line: RecordLine = serde_json::from_str(&line.summary_json)
                .map_err(|e| Error::internal("store", e))?;
            // The summary of one whose sender gave no version was written before the store gave it.
            let line = RecordLine { version, ..line };
            // What the policy does not allow is not even named.
            if let Some(has) = desk.store.standing(&line.name).await? {
                let asked = (Read::for_purpose(purpose), Scope::Summary);
                if self.policy_on(caller, &line.name, &has, asked).verdict == Verdict::Allowed {
                    lines.push(line);
                }
            }
        }
        Ok((lines, token.unwrap_or_default()))
    }

    /// A record as it came, or written anew in another format; and its media type.
    pub async fn export_record(
        &self,
        caller: &Caller,
        name: (&str, u32),
        format: Option<ExportFormat>,
        reading: Read<'_>,
    ) -> Result<(Bytes, String), Error> {
        let found = self.get_record(caller, name, reading).await?;
        if format.is_none() && found.granted.scope == Scope::Summary {
            // The original cannot be cut.
            let reason = "此目的和角色只可查阅摘要，不可取得原件".to_owned();
            return Err(Error::Withheld { reason });
        }
        let Some(format) = format else { return Ok((found.kept.body, found.kept.media_type)) };
        let Some(reading) = found.reading else {
            let reason = "this node could not read the record: ask for it as it came".to_owned();
            return Err(Error::Refused { reason });
        };
        Ok(match format {
            ExportFormat::Fhir => {
                let now = references::instant(self.clock.now_ms())?;
                let document = encode(&fhir::write(&reading.record, &now))?;
                (document.into(), FHIR_JSON.to_owned())
            }
            ExportFormat::Cda => (cda::write(&reading.record).into(), CDA_XML.to_owned()),
        })
    }

    pub(super) fn read_for(&self, name: &str, purpose: Purpose) -> AuditEntry {
        AuditEntry { detail: purpose.id().to_owned(), ..self.entry(name, "") }
    }

    /// At the hub: how each node stands.
    pub async fn exchange_nodes(&self, caller: &Caller) -> Result<Vec<NodeExchange>, Error> {
        authorise(caller, Action::ReadExchange)?;
        let reason = "this node is no hub".to_owned();
        self.hub.as_ref().ok_or(Error::Refused { reason })?.nodes().await
    }

    /// How the exchange with the hub stands.
    pub async fn exchange_report(&self, caller: &Caller) -> Result<ExchangeReport, Error> {
        authorise(caller, Action::ReadExchange)?;
        self.desk()?.report().await
    }
}

fn sized(content: &[u8]) -> Result<(), Error> {
    if content.is_empty() {
        return Err(Error::field("content", "must not be empty"));
    }
    if content.len() > BODY_BYTES_MAX {
        return Err(Error::TooLarge { bytes_max: BODY_BYTES_MAX });
    }
    Ok(())
}
