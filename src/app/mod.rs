//! Use cases: authorise -> load -> decide -> keep and audit in one transaction.
//!
//! Owns the port traits that adapters implement, and names no adapter.

pub mod access;
pub mod audit;
pub mod calculators;
mod checks;
pub mod consultation;
pub mod credentials;
pub mod deidentify;
mod diagnoses;
pub mod error;
pub mod evaluation;
pub mod exchange;
mod explain;
mod fit;
pub mod identity;
pub mod imaging;
pub mod interview;
pub mod knowledge;
pub mod nodes;
pub mod overrides;
pub mod people;
pub mod ports;
pub mod prescription_check;
pub mod recognition;
pub mod records;
pub mod regional;
pub mod reporting;
pub mod request;
pub mod review;
pub mod search;
pub mod treatment;

use std::sync::Arc;

use arc_swap::ArcSwap;

use self::access::{Action, Caller, Permit, authorise};
use self::audit::AuditDesk;
use self::error::Error;
use self::exchange::hub::Exchange;
use self::exchange::look_up::Elsewhere;
use self::imaging::images::Images;
use self::knowledge::Knowledge;
use self::ports::{
    Appended, AuditEntry, Clock, IdSource, Journal, JournalInfo, KeptRecord, KnowledgeSource,
    ListQuery, ListedRecord, ModelDescription, NewRecord, RecordKind,
};
use self::records::RecordDesk;
use self::records::neighbours::Neighbourhood;
use self::regional::behind::Behind;
use self::regional::ports::Region;
use self::reporting::Coverage;
use self::request::{PageRequest, Problems};

/// The application: what a node can be asked.
#[derive(Debug)]
pub struct App {
    name: String,
    started_ms: i64,
    knowledge: Arc<ArcSwap<Knowledge>>,
    source: Arc<dyn KnowledgeSource>,
    journal: Arc<dyn Journal>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn IdSource>,
    images: Option<Images>,
    region: Option<Arc<dyn Region>>,
    behind: Option<Arc<Behind>>,
    records: Option<Arc<RecordDesk>>,
    audit: Option<Arc<AuditDesk>>,
    hub: Option<Arc<Exchange>>,
    elsewhere: Option<Arc<dyn Elsewhere>>,
    coverage: Option<Arc<Coverage>>,
    institution: String,
    area: String,
    role: NodeKind,
    reloading: tokio::sync::Mutex<()>,
}

/// What an [`App`] is made of.
#[derive(Debug)]
pub struct Parts {
    /// Name of the node.
    pub name: String,
    /// Knowledge to begin with.
    pub knowledge: Arc<Knowledge>,
    /// Where newer knowledge comes from.
    pub source: Arc<dyn KnowledgeSource>,
    /// Where answers are kept.
    pub journal: Arc<dyn Journal>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Ids.
    pub ids: Arc<dyn IdSource>,
    /// Images, where the node keeps any.
    pub images: Option<Images>,
    /// The region, where the node belongs to one.
    pub region: Option<Arc<dyn Region>>,
    /// What is behind the node, where a PACS is.
    pub behind: Option<Arc<Behind>>,
    /// Discharge records, where the node keeps any.
    pub records: Option<Arc<RecordDesk>>,
    /// The audit trail, where it can be read.
    pub audit: Option<Arc<AuditDesk>>,
    /// At the hub: the exchange of documents.
    pub hub: Option<Arc<Exchange>>,
    /// Records at the hub, where the node belongs to a region.
    pub elsewhere: Option<Arc<dyn Elsewhere>>,
    /// At the hub: what nodes tell of how far the programme has come.
    pub coverage: Option<Arc<Coverage>>,
    /// Name of the institution that the node stands in, as in the table of institutions; may be
    /// empty.
    pub institution: String,
    /// Administrative division code of where it stands; may be empty.
    pub area: String,
    /// Where it runs.
    pub role: NodeKind,
}

/// Where a node runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum NodeKind {
    /// Village or township clinic.
    #[default]
    Clinic,
    /// Beside a hospital's systems.
    Hospital,
    /// The prefecture's data centre.
    Hub,
}

/// What a node is.
#[derive(Debug, Clone)]
pub struct NodeInfo {
    /// Name.
    pub name: String,
    /// Where it runs.
    pub role: NodeKind,
    /// Program version.
    pub version: String,
    /// Milliseconds since 1970.
    pub started_ms: i64,
    /// Milliseconds since start.
    pub uptime_ms: i64,
    /// Table sets.
    pub knowledge: Vec<KnowledgeInfo>,
    /// Engine and version.
    pub engine: String,
    /// Store.
    pub journal: JournalInfo,
}

/// A table set.
#[derive(Debug, Clone)]
pub struct KnowledgeInfo {
    /// `diagnosis`, `prescription`, `treatment` or `imaging`.
    pub area: &'static str,
    /// Digest of the tables.
    pub version: String,
    /// Rows that await review.
    pub draft_rows: u64,
    /// Rows reviewed.
    pub reviewed_rows: u64,
}

impl App {
    /// Puts the parts together.
    pub fn new(parts: Parts) -> Self {
        let knowledge = Arc::new(ArcSwap::new(parts.knowledge));
        if let Some(images) = &parts.images {
            images.imaging().know(Arc::new(Neighbourhood {
                name: parts.name.clone(),
                desk: parts.records.clone(),
                knowledge: Arc::clone(&knowledge),
                clock: Arc::clone(&parts.clock),
            }));
        }
        Self {
            name: parts.name,
            started_ms: parts.clock.now_ms(),
            knowledge,
            source: parts.source,
            journal: parts.journal,
            clock: parts.clock,
            ids: parts.ids,
            images: parts.images,
            region: parts.region,
            behind: parts.behind,
            records: parts.records,
            audit: parts.audit,
            hub: parts.hub,
            elsewhere: parts.elsewhere,
            coverage: parts.coverage,
            institution: parts.institution,
            area: parts.area,
            role: parts.role,
            reloading: tokio::sync::Mutex::new(()),
        }
    }

    /// What this node is.
    pub async fn node_info(&self, caller: &Caller) -> Result<NodeInfo, Error> {
        authorise(caller, Action::ReadNodeInfo)?;
        let knowledge = self.knowledge.load_full();
        let [diagnosis, prescription, treatment, imaging, records] = knowledge.rows;
        Ok(NodeInfo {
            name: self.name.clone(),
            role: self.role,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started_ms: self.started_ms,
            uptime_ms: self.clock.now_ms().saturating_sub(self.started_ms),
            knowledge: vec![
                KnowledgeInfo {
                    area: "diagnosis",
                    version: knowledge.diagnosis_version.clone(),
                    draft_rows: diagnosis.0,
                    reviewed_rows: diagnosis.1,
                },
                KnowledgeInfo {
                    area: "prescription",
                    version: knowledge.prescription.version().to_owned(),
                    draft_rows: prescription.0,
                    reviewed_rows: prescription.1,
                },
                KnowledgeInfo {
                    area: "treatment",
                    version: knowledge.treatment.version().to_owned(),
                    draft_rows: treatment.0,
                    reviewed_rows: treatment.1,
                },
                KnowledgeInfo {
                    area: "imaging",
                    version: knowledge.examinations.version().to_owned(),
                    draft_rows: imaging.0,
                    reviewed_rows: imaging.1,
                },
                KnowledgeInfo {
                    area: "records",
                    version: knowledge.records_version.clone(),
                    draft_rows: records.0,
                    reviewed_rows: records.1,
                },
            ],
            engine: knowledge.differential.description().engine.clone(),
            journal: self.journal.info().await?,
        })
    }

    /// The models being served, by id, and the token of the next page.
    pub fn list_models(
        &self,
        caller: &Caller,
        page: &PageRequest,
    ) -> Result<(Vec<ModelDescription>, String), Error> {
        authorise(caller, Action::ListModels)?;
        let (size, skip) = page.open("models")?;
        let skip = usize::try_from(skip.unwrap_or(0)).unwrap_or(usize::MAX);
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        let knowledge = self.knowledge.load();
        let models: Vec<_> = knowledge.models.iter().skip(skip).take(size).cloned().collect();
        let end = skip.saturating_add(models.len());
        let more = end < knowledge.models.len();
        Ok((models, if more { format!("models-{end}") } else { String::new() }))
    }

    /// Loads tables and models again and swaps them in when every check passes. Calls in flight
    /// finish on what they began with; a refused set changes nothing.
    pub async fn reload_models(&self, caller: &Caller) -> Result<Vec<ModelDescription>, Error> {
        let permit = authorise(caller, Action::ReloadModels)?;
        let _one_at_a_time = self.reloading.lock().await;
        let loaded = self.source.load().await;
        let entry = AuditEntry {
            at_ms: self.clock.now_ms(),
            record_id: String::new(),
            patient_reference: String::new(),
            outcome: if loaded.is_ok() { "ok" } else { "refused" },
            detail: String::new(),
        };
        self.journal.audit(&permit, entry).await?;
        match loaded {
            Ok(knowledge) => {
                self.knowledge.store(Arc::clone(&knowledge));
                Ok(knowledge.models.clone())
            }
            Err(cause) => Err(Error::Refused { reason: chain(cause.as_ref()) }),
        }
    }

    /// Healthy means: the model answers and the store answers.
    pub async fn health(&self) -> Result<(), Error> {
        if !self.knowledge.load().differential.healthy() {
            return Err(Error::Unavailable { what: "model", cause: None });
        }
        self.journal.info().await?;
        Ok(())
    }

    /// Ready means: healthy, and a hub's store of documents answers.
    pub async fn ready(&self) -> Result<(), Error> {
        self.health().await?;
        match &self.hub {
            Some(hub) => hub.ready().await,
            None => Ok(()),
        }
    }

    fn entry(&self, record_id: &str, patient_reference: &str) -> AuditEntry {
        AuditEntry {
            at_ms: self.clock.now_ms(),
            record_id: record_id.to_owned(),
            patient_reference: patient_reference.to_owned(),
            outcome: "ok",
            detail: String::new(),
        }
    }

    /// What was answered to this request id before, which goes into the audit trail as a read of this
    /// patient's data. A request without one is given one.
    async fn answered<T: serde::de::DeserializeOwned>(
        &self,
        permit: &Permit<'_>,
        (kind, request_id, patient): (RecordKind, &mut String, &str),
        content_sha256: [u8; 32],
    ) -> Result<Option<T>, Error> {
        if request_id.is_empty() {
            *request_id = self.ids.new_id();
            return Ok(None);
        }
        let Some(kept) = self.journal.find_request(permit, kind, request_id).await? else {
            return Ok(None);
        };
        let answer = replay(&kept, content_sha256)?;
        let detail = format!("repeated request {request_id}");
        let entry = AuditEntry { outcome: "replayed", detail, ..self.entry("", patient) };
        self.journal.audit(permit, entry).await?;
        Ok(Some(answer))
    }

    /// Keeps an answer; the one kept before, and `true`, when the same request came at the same
    /// time and was kept first.
    async fn keep<T: serde::de::DeserializeOwned>(
        &self,
        permit: &Permit<'_>,
        record: NewRecord,
        answer: T,
    ) -> Result<(T, bool), Error> {
        let entry = self.entry(&record.id, &record.patient_reference);
        let content = record.content_sha256;
        match self.journal.append(permit, record, entry).await? {
            Appended::New => Ok((answer, false)),
            Appended::Existing(kept) => Ok((replay(&kept, content)?, true)),
        }
    }

    async fn read_record<T: serde::de::DeserializeOwned>(
        &self,
        caller: &Caller,
        action: Action,
        (kind, what): (RecordKind, &'static str),
        (field, id): (&str, &str),
    ) -> Result<T, Error> {
        let permit = authorise(caller, action)?;
        let mut problems = Problems::default();
        problems.unless(!id.is_empty(), field, "must not be empty");
        problems.id(field, id);
        problems.finish()?;
        let kept = self.journal.read(&permit, kind, id, self.entry(id, "")).await?;
        decode(&kept.ok_or(Error::NotFound { kind: what })?)
    }

    async fn list_records<T: serde::de::DeserializeOwned>(
        &self,
        caller: &Caller,
        action: Action,
        (kind, seal): (RecordKind, &'static str),
        page: &PageRequest,
    ) -> Result<(Vec<T>, String), Error> {
        let permit = authorise(caller, action)?;
        let window = page.open(seal)?;
        self.list_kept(&permit, (kind, seal), window, &page.patient_reference).await
    }

    /// A page of what is kept: so many below a position, of one patient or of all.
    async fn list_kept<T: serde::de::DeserializeOwned>(
        &self,
        permit: &Permit<'_>,
        (kind, seal): (RecordKind, &'static str),
        (size, before_seq): (u32, Option<i64>),
        patient: &str,
    ) -> Result<(Vec<T>, String), Error> {
        // One more than asked for tells whether there is a next page.
        let query = ListQuery {
            kind,
            before_seq,
            patient_reference: (!patient.is_empty()).then(|| patient.to_owned()),
            limit: size + 1,
        };
        let mut found = self.journal.list(permit, query, self.entry("", patient)).await?;
        let asked = usize::try_from(size).unwrap_or(usize::MAX);
        let more = found.len() > asked;
        found.truncate(asked);
        let token = found.last().filter(|_| more).map(|last| format!("{seal}-{}", last.seq));
        let lines = found
            .iter()
            .map(|ListedRecord { summary_json, .. }| {
                serde_json::from_str(summary_json).map_err(|e| Error::internal("store", e))
            })
            .collect::<Result<_, _>>()?;
        Ok((lines, token.unwrap_or_default()))
    }
}

/// The kept answer, if the content is the same; [`Error::RequestIdReused`] if not.
fn replay<T: serde::de::DeserializeOwned>(
    kept: &KeptRecord,
    content_sha256: [u8; 32],
) -> Result<T, Error> {
    if kept.content_sha256 == content_sha256 { decode(kept) } else { Err(Error::RequestIdReused) }
}

fn decode<T: serde::de::DeserializeOwned>(kept: &KeptRecord) -> Result<T, Error> {
    serde_json::from_str(&kept.answer_json).map_err(|e| Error::internal("store", e))
}

fn encode<T: serde::Serialize>(value: &T) -> Result<String, Error> {
    serde_json::to_string(value).map_err(|e| Error::internal("encoding", e))
}

/// An error and its causes in one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}
