//! Records that a node does not have, for somebody there who treats the patient: at the hub.
//!
//! The node has decided by its region's policy and by what it knows of the patient; the hub checks again
//! what it can, finds by the keys of the person as stated, and writes down who asked, for whom, why and
//! what came of it before it answers. A name with somebody else's number finds nothing, like a person
//! who has no records. A node that looks very many persons up within an hour is refused.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::facts;
use super::hub::Exchange;
use super::ports::{
    Allowance, Counting, Entered, HeldRecord, LookUpEntry, PersonKey, Spent, TOO_MANY, Wanted,
};
use crate::app::error::Error;
use crate::app::ports::BoxFuture;
use crate::app::records::reading::region_of;
use crate::app::records::{RecordLine, read, summary};
use crate::app::request::{NAME_CHARS_MAX, Problems};
use crate::sharing::consent::{
    AccessRequest, PolicyTables, Purpose, RecordRef, Role, Scope, Standing, Verdict, decide,
};
use crate::sharing::exchange::Document;

/// Records of one answer at most; the newest.
pub const LISTED_MAX: usize = 100;
/// Bytes of bodies that are read for one answer; the first is read whatever it has.
const LISTED_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Characters of a number at most.
pub(in crate::app) const NUMBER_CHARS_MAX: usize = 64;
/// Characters of a reason at most.
pub(in crate::app) const REASON_CHARS_MAX: usize = 500;
/// Characters of a record's name at most.
pub(in crate::app) const RECORD_CHARS_MAX: usize = 512;
/// Characters of a caller's name at most.
const CALLER_CHARS_MAX: usize = 256;
/// What persons are counted over.
const HOUR_MS: i64 = 3_600_000;

/// Why a line of an answer says no more than a record's name: its body is not what was kept.
pub const DAMAGED: &str = "damaged";

/// A person as somebody states who it is.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct StatedPerson {
    /// Name.
    pub name: String,
    /// 居民身份证号, or empty.
    pub resident_id: String,
    /// 健康卡号, or empty.
    pub health_card: String,
}

/// Who it is stays out of logs.
impl fmt::Debug for StatedPerson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StatedPerson(..)")
    }
}

/// What the node has decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// The policy allows it.
    Allowed,
    /// The policy allows it because the glass was broken.
    GlassBroken,
    /// The policy does not allow it: the hub only writes it down.
    Denied,
}

/// Somebody at a node asks for a person's records.
#[derive(Clone, PartialEq, Eq)]
pub struct Question {
    /// Whose.
    pub person: StatedPerson,
    /// What for.
    pub purpose: Purpose,
    /// As what.
    pub role: Role,
    /// Who, as the node knows the caller.
    pub asked_by: String,
    /// What the node has decided.
    pub decision: Decision,
    /// Why the glass was broken; else empty.
    pub reason: String,
}

/// Reasons name patients; they stay out of logs.
impl fmt::Debug for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Question")
            .field("purpose", &self.purpose)
            .field("role", &self.role)
            .field("decision", &self.decision)
            .finish_non_exhaustive()
    }
}

/// What the hub has written down, and what it answers.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer<T> {
    /// Number of the entry in the hub's trail.
    pub entry: u64,
    /// Keys of the person as stated, one after the other: the trails of both sides have them.
    pub person: Vec<u8>,
    /// What is given.
    pub result: Result<T, Refusal>,
}

/// Why nothing is given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The policy does not allow it.
    Denied {
        /// Why, in Chinese.
        reason: String,
    },
    /// The node has looked too many persons up.
    TooMany {
        /// When it may look one more up.
        retry_after: Duration,
    },
    /// The document is not what was kept.
    Damaged {
        /// The node that handed it over, which has it.
        node: String,
    },
}

/// A record in an answer.
#[derive(Debug, Clone, PartialEq)]
pub struct FoundRecord {
    /// What a list shows; without programmes.
    pub line: RecordLine,
    /// The node that handed it over.
    pub node: String,
    /// When it was kept, in milliseconds since 1970.
    pub kept_ms: i64,
}

/// Records of a person.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FoundRecords {
    /// The current versions, those kept last first, at most [`LISTED_MAX`].
    pub records: Vec<FoundRecord>,
    /// There are older ones.
    pub has_more: bool,
}

/// A record that is given out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchedRecord {
    /// As its sender wrote it.
    pub document: Document,
    /// Whether it is the newest version.
    pub current: bool,
    /// The node that handed it over.
    pub node: String,
    /// When it was kept, in milliseconds since 1970.
    pub kept_ms: i64,
}

/// The hub's records as a node asks for them.
pub trait Elsewhere: fmt::Debug + Send + Sync {
    /// A person's records, the current versions.
    fn look_up(&self, question: Question) -> BoxFuture<'_, Result<Answer<FoundRecords>, Error>>;

    /// One of them, by name and version, 0 for the current one; none where this person has no such
    /// record.
    fn fetch(
        &self,
        question: Question,
        record: (String, u32),
    ) -> BoxFuture<'_, Result<Answer<Option<FetchedRecord>>, Error>>;
}

/// Who may look records up, and how often it was done.
#[derive(Debug)]
pub struct LookUps {
    policy: PolicyTables,
    areas: HashMap<String, String>,
    most: Most,
    counts: Counts,
}

/// Different persons within an hour, of each node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Most {
    /// Whose records or images may be asked for.
    pub looked_up: u64,
    /// Who may be registered of those of whom the node is given records then.
    pub registered: u64,
}

/// How often what came of look-ups, since the hub started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LookUpCounts {
    /// Answered questions for a person's records.
    pub looked_up: u64,
    /// Records given.
    pub fetched: u64,
    /// Questions that node or hub did not allow.
    pub denied: u64,
    /// Questions of nodes that had looked too many persons up.
    pub too_many: u64,
    /// Documents that were found damaged.
    pub damaged: u64,
}

#[derive(Debug, Default)]
struct Counts {
    looked_up: AtomicU64,
    fetched: AtomicU64,
    denied: AtomicU64,
    too_many: AtomicU64,
    damaged: AtomicU64,
}

impl LookUps {
    /// By `policy`; `areas` are the nodes' division codes by name.
    pub fn new(policy: PolicyTables, areas: HashMap<String, String>, most: Most) -> Self {
        Self { policy, areas, most, counts: Counts::default() }
    }

    /// Why the hub does not allow what the node has: a stable name, and the reason in Chinese.
    fn denied(&self, node: &str, question: &Question, at_ms: i64) -> Option<String> {
        let region = region_of(self.areas.get(node).map_or("", String::as_str));
        match question.decision {
            Decision::Denied => None,
            Decision::Allowed => {
                let opens = self.policy.opens(region, (question.purpose, question.role), at_ms);
                let reason = "按本地区的政策，此角色不能以此目的查阅任何病历";
                (!opens).then(|| reason.to_owned())
            }
            Decision::GlassBroken => {
                // What only the node knows of the patient is not asked: a glass that had to be broken
                // can be broken by who has no relation at all.
                let request = AccessRequest {
                    purpose: Some(question.purpose),
                    role: Some(question.role),
                    institution: node.to_owned(),
                    region: region.to_owned(),
                    record: RecordRef::default(),
                    scope: Scope::Whole,
                    is_the_patient: false,
                    break_glass: Some(question.reason.clone()),
                };
                let access = decide(&request, &Standing::default(), &self.policy, at_ms);
                let reasons = access.reasons.into_iter().map(|reason| reason.text_zh);
                let broken = access.verdict == Verdict::GlassBroken;
                (!broken).then(|| reasons.collect::<Vec<_>>().join("；"))
            }
        }
    }
}

/// A question that has been read.
struct Asked<'a> {
    node: &'a str,
    question: &'a Question,
    /// The record asked for; none for all.
    record: Option<(&'a str, u32)>,
    keys: Vec<PersonKey>,
    at_ms: i64,
}

impl Asked<'_> {
    fn person(&self) -> Vec<u8> {
        self.keys.concat()
    }

    fn entry(&self, outcome: &'static str, documents: Vec<u64>) -> LookUpEntry {
        let (record, version) = self.record.unwrap_or_default();
        LookUpEntry {
            at_ms: self.at_ms,
            node: self.node.to_owned(),
            caller: self.question.asked_by.clone(),
            role: self.question.role.id(),
            action: if self.record.is_some() { "fetch" } else { "look_up" },
            purpose: self.question.purpose.id(),
            glass_broken: self.question.decision == Decision::GlassBroken,
            reason: self.question.reason.clone(),
            person: self.person(),
            record: record.to_owned(),
            version,
            documents,
            outcome,
            counted: true,
        }
    }

    fn answer<T>(&self, entry: u64, result: Result<T, Refusal>) -> Answer<T> {
        Answer { entry, person: self.person(), result }
    }
}

impl Exchange {
    /// The current versions of a person's records, for somebody at a node.
    pub async fn look_up(
        &self,
        node: &str,
        question: &Question,
    ) -> Result<Answer<FoundRecords>, Error> {
        let asked = self.asked(node, question, None)?;
        if let Some((entry, refusal)) = self.refused(&asked).await? {
            return Ok(asked.answer(entry, Err(refusal)));
        }
        let limit = LISTED_MAX + 1;
        let mut held = self.store.held(&asked.keys, Wanted::Current, limit).await?;
        let taken_back = self.taken_back(&asked).await?;
        held.retain(|held| !taken_back.contains(&held.name));
        let mut found = FoundRecords::default();
        let (mut documents, mut bytes) = (Vec::new(), 0_u64);
        for held in held {
            bytes = bytes.saturating_add(held.bytes);
            let is_full = found.records.len() == LISTED_MAX || bytes > LISTED_BYTES_MAX;
            if is_full && !found.records.is_empty() {
                found.has_more = true;
                break;
            }
            documents.push(held.number);
            found.records.push(self.line(held).await?);
        }
        let outcome = if documents.is_empty() { "nothing" } else { "found" };
        let Entered { number, over } = self.enter(asked.entry(outcome, documents)).await?;
        if let Some(spent) = over {
            return Ok(asked.answer(number, Err(self.too_many(node, spent, asked.at_ms))));
        }
        self.look_ups.counts.looked_up.fetch_add(1, Ordering::Relaxed);
        Ok(asked.answer(number, Ok(found)))
    }

    /// One record of a person, by name and version (0: the current one); none where this person has no
    /// such record.
    pub async fn fetch(
        &self,
        node: &str,
        question: &Question,
        record: (&str, u32),
    ) -> Result<Answer<Option<FetchedRecord>>, Error> {
        let asked = self.asked(node, question, Some(record))?;
        if let Some((entry, refusal)) = self.refused(&asked).await? {
            return Ok(asked.answer(entry, Err(refusal)));
        }
        let (name, version) = record;
        let held = self.store.held(&asked.keys, Wanted::Named(name, version), 1).await?;
        let held = held.into_iter().next();
        let numbers = held.iter().map(|held| held.number).collect();
        let (outcome, result) = match held {
            None => ("not_found", Ok(None)),
            Some(held) => match self.opened(&held).await? {
                None => ("damaged", Err(Refusal::Damaged { node: held.node })),
                Some(document) => {
                    let HeldRecord { current, node, kept_ms, .. } = held;
                    ("given", Ok(Some(FetchedRecord { document, current, node, kept_ms })))
                }
            },
        };
        let Entered { number, over } = self.enter(asked.entry(outcome, numbers)).await?;
        if let Some(spent) = over {
            return Ok(asked.answer(number, Err(self.too_many(node, spent, asked.at_ms))));
        }
        if outcome == "given" {
            self.look_ups.counts.fetched.fetch_add(1, Ordering::Relaxed);
        }
        Ok(asked.answer(number, result))
    }

    /// How often what came of look-ups, since the hub started.
    pub fn look_up_counts(&self) -> LookUpCounts {
        let counts = &self.look_ups.counts;
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        LookUpCounts {
            looked_up: read(&counts.looked_up),
            fetched: read(&counts.fetched),
            denied: read(&counts.denied),
            too_many: read(&counts.too_many),
            damaged: read(&counts.damaged),
        }
    }

    /// The keys by which records of a person are found: those of the person as stated. What the hub
    /// comes to know of people beyond that belongs here.
    fn keys_of(&self, person: &StatedPerson) -> Vec<PersonKey> {
        let StatedPerson { name, resident_id, health_card } = person;
        facts::stated_keys((name, resident_id, health_card), &self.key)
    }

    /// What the person has taken back, by names of records, empty for all. Where the policy lets a broken
    /// glass stand, it stands.
    async fn taken_back(&self, asked: &Asked<'_>) -> Result<Vec<String>, Error> {
        if asked.question.decision == Decision::GlassBroken {
            return Ok(Vec::new());
        }
        let withdrawn = self.store.withdrawals(&asked.keys).await?;
        Ok(withdrawn.into_iter().map(|back| back.record).collect())
    }

    fn asked<'a>(
        &self,
        node: &'a str,
        question: &'a Question,
        record: Option<(&'a str, u32)>,
    ) -> Result<Asked<'a>, Error> {
        let mut problems = Problems::default();
        check_person(&mut problems, &question.person);
        let caller = question.asked_by.as_str();
        let fine = !caller.is_empty() && !caller.contains(char::is_control);
        problems.unless(fine, "asked_by", "must not be empty or have control characters");
        problems.chars("asked_by", caller, CALLER_CHARS_MAX);
        problems.chars("reason", &question.reason, REASON_CHARS_MAX);
        problems.written("reason", &question.reason);
        problems.unless(
            question.decision != Decision::GlassBroken || !question.reason.trim().is_empty(),
            "reason",
            "must be given where the glass was broken",
        );
        if let Some((name, _)) = record {
            check_record(&mut problems, name);
        }
        problems.finish()?;
        let keys = self.keys_of(&question.person);
        if keys.is_empty() {
            return Err(Error::field("person.name", "must have letters or characters"));
        }
        Ok(Asked { node, question, record, keys, at_ms: self.clock.now_ms() })
    }

    pub(super) fn allowance(&self, of: Counting, at_ms: i64) -> Allowance {
        let Most { looked_up, registered } = self.look_ups.most;
        let persons_max = match of {
            Counting::LookUps => looked_up,
            Counting::Registrations => registered,
        };
        Allowance { of, persons_max, since_ms: at_ms - HOUR_MS }
    }

    pub(super) async fn enter(&self, entry: LookUpEntry) -> Result<Entered, Error> {
        let allowance = self.allowance(Counting::LookUps, entry.at_ms);
        self.store.enter(entry, allowance).await
    }

    /// Refuses what may not be looked up before anything is read, and writes it down.
    async fn refused(&self, asked: &Asked<'_>) -> Result<Option<(u64, Refusal)>, Error> {
        let Asked { node, question, at_ms, .. } = *asked;
        let said = |outcome, reason: &str| {
            let reason = reason.to_owned();
            Some((outcome, Refusal::Denied { reason }))
        };
        let taken_back = self.taken_back(asked).await?;
        let is_taken_back = taken_back
            .iter()
            .any(|of| of.is_empty() || asked.record.is_some_and(|(name, _)| name == of));
        let refused = if question.decision == Decision::Denied {
            said("denied_at_node", "")
        } else if let Some(reason) = self.look_ups.denied(node, question, at_ms) {
            said("denied", &reason)
        } else if is_taken_back {
            said("withdrawn", "患者已撤回同意，不再提供其病历")
        } else {
            let allowance = self.allowance(Counting::LookUps, at_ms);
            let spent = self.store.spent(node, &asked.person(), allowance).await?;
            (!spent.allows(allowance)).then(|| (TOO_MANY, self.too_many(node, spent, at_ms)))
        };
        let Some((outcome, refusal)) = refused else { return Ok(None) };
        let entry = LookUpEntry { counted: false, ..asked.entry(outcome, Vec::new()) };
        let entered = self.enter(entry).await?;
        if outcome != TOO_MANY {
            self.look_ups.counts.denied.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(node, entry = entered.number, outcome, "a look-up is not allowed");
        }
        Ok(Some((entered.number, refusal)))
    }

    pub(super) fn too_many(&self, node: &str, spent: Spent, at_ms: i64) -> Refusal {
        self.look_ups.counts.too_many.fetch_add(1, Ordering::Relaxed);
        tracing::warn!(
            node,
            persons = spent.persons,
            "a node has looked too many persons up within an hour and is refused"
        );
        // Where nobody may be looked up at all, there is no earliest one either.
        let oldest_ms = if spent.persons == 0 { at_ms } else { spent.oldest_ms };
        let free_ms = oldest_ms.saturating_add(HOUR_MS).saturating_sub(at_ms);
        let retry_after = Duration::from_millis(u64::try_from(free_ms).unwrap_or(0));
        Refusal::TooMany { retry_after }
    }

    /// The document as its sender wrote it; none if it is not what was kept.
    async fn opened(&self, held: &HeldRecord) -> Result<Option<Document>, Error> {
        let sealed = match self.store.document(held.number).await {
            Ok(sealed) => sealed.ok_or_else(|| Error::internal("look-up", "a document has gone")),
            Err(error) => Err(error),
        };
        match sealed.and_then(|sealed| self.key.open(sealed)) {
            Ok(document) => Ok(Some(document)),
            Err(Error::Internal { cause, .. }) => {
                self.look_ups.counts.damaged.fetch_add(1, Ordering::Relaxed);
                tracing::error!(
                    document = held.number,
                    node = held.node,
                    cause = %cause,
                    "a document in the hub's database is damaged: restore it from a backup"
                );
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// What a list shows of a record. One that cannot be read is named all the same, and why.
    async fn line(&self, held: HeldRecord) -> Result<FoundRecord, Error> {
        let unread = |problem: &str| RecordLine {
            name: held.name.clone(),
            version: held.version,
            patient: String::new(),
            birth_date: String::new(),
            institution: String::new(),
            discharged: String::new(),
            diagnosis: String::new(),
            programmes: Vec::new(),
            withdrawn: held.withdrawn,
            problem: problem.to_owned(),
        };
        let line = match self.opened(&held).await? {
            None => unread(DAMAGED),
            Some(document) => match read(&document.media_type, &document.body) {
                Ok(reading) => summary((&held.name, held.version), &reading.record, Vec::new()),
                Err(problems) => {
                    unread(problems.first().map_or("unknown", |problem| problem.code.as_str()))
                }
            },
        };
        Ok(FoundRecord { line, node: held.node, kept_ms: held.kept_ms })
    }
}

/// A name, and a number that can be one.
pub(in crate::app) fn check_person(problems: &mut Problems, person: &StatedPerson) {
    use crate::sharing::patient::ResidentId;
    let StatedPerson { name, resident_id, health_card } = person;
    problems.unless(!name.trim().is_empty(), "person.name", "must not be empty");
    problems.chars("person.name", name, NAME_CHARS_MAX);
    problems.unless(
        !resident_id.is_empty() || !health_card.is_empty(),
        "person.resident_id",
        "or person.health_card must be given: a name alone identifies nobody",
    );
    problems.unless(
        resident_id.is_empty() || ResidentId::parse(resident_id).is_ok(),
        "person.resident_id",
        "must be 18 characters with a fitting check digit (GB 11643), or an old one of 15 digits",
    );
    problems.chars("person.health_card", health_card, NUMBER_CHARS_MAX);
}

/// The name of a record.
pub(in crate::app) fn check_record(problems: &mut Problems, name: &str) {
    problems.unless(!name.is_empty(), "name", "must not be empty");
    problems.printable("name", name);
    problems.chars("name", name, RECORD_CHARS_MAX);
}
