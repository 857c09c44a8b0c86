//! The audit trail as auditors use it: reading it, who saw a patient's data, whether it is whole, and
//! what in it somebody should look at. Reading the trail is itself in the trail.

mod alarms;
pub mod anchored;
pub mod anchoring;
pub mod ports;
pub mod sealing;
pub mod sign;
pub mod watching;

use std::sync::Arc;

pub use self::alarms::{Closing, Finding, alarm_record};
use self::ports::{
    AlarmQuery, Anchored, AuditTrail, Chained, EntryQuery, KeptAlarm, Sealing, Whose,
};
use super::App;
use super::access::{Action, Caller, authorise};
use super::error::Error;
use super::exchange::facts::RegisteredPerson;
use super::ports::AuditEntry;
use super::records::person::PersonKeys;
use super::request::{NAME_CHARS_MAX, PageRequest, Problems};
use crate::sharing::audit::{Anchor, Broken, Entry, Fault, Intact, Mark, Origin, Verifier};

/// Entries that are read at once where a chain is gone along.
const PAGE: u32 = 2_000;
/// Tokens of lists of entries, of a patient's accesses and of alarms begin with these.
const ENTRIES: &str = "audit-entries";
const ACCESSES: &str = "audit-accesses";
const ALARMS: &str = "audit-alarms";
/// Anchors that a caller may send at most.
pub const ANCHORS_MAX: usize = 10_000;
/// Characters of a number of a person at most.
const NUMBER_CHARS_MAX: usize = 64;

/// Which entries are asked for.
#[derive(Debug, Clone, Default)]
pub struct EntryRequest {
    /// Only from this time on, in milliseconds since 1970; none: from the first.
    pub from_ms: Option<i64>,
    /// Only before this time; none: to the last.
    pub until_ms: Option<i64>,
    /// Only of this caller; empty: of all.
    pub caller: String,
    /// Only of this action; empty: of all.
    pub action: String,
    /// Only with this outcome; empty: any.
    pub outcome: String,
}

/// Whose data.
#[derive(Debug, Clone, Default)]
pub struct AccessRequest {
    /// The clinic's reference or patient ID; may be empty.
    pub patient_reference: String,
    /// Name of a record; may be empty.
    pub record: String,
    /// The person, where records of theirs are to be found by name and number or birth date.
    pub person: Option<RegisteredPerson>,
}

/// What came of going along a chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// What the chain begins with.
    pub origin: Origin,
    /// Whether everything fits.
    pub result: Result<Intact, Broken>,
}

/// The trail of this node.
#[derive(Debug)]
pub struct AuditDesk {
    pub(super) trail: Arc<dyn AuditTrail>,
    pub(super) hub: Option<AtHub>,
}

/// What a hub has beside its own trail.
#[derive(Debug, Clone)]
pub struct AtHub {
    /// Heads of nodes, and the hub's own of the exchange's trail.
    pub heads: Arc<dyn Anchored>,
    /// The trail of the exchange.
    pub trail: Arc<dyn Sealing>,
}

impl AuditDesk {
    /// Over the node's trail.
    pub fn new(trail: Arc<dyn AuditTrail>) -> Self {
        Self { trail, hub: None }
    }

    /// Likewise at a hub.
    #[must_use]
    pub fn at_hub(self, hub: AtHub) -> Self {
        Self { hub: Some(hub), ..self }
    }

    /// The trail.
    pub fn trail(&self) -> &Arc<dyn AuditTrail> {
        &self.trail
    }
}

/// Goes along a trail and compares it with heads that were anchored.
pub async fn verify(trail: &dyn Chained, marks: &[Mark]) -> Result<Verdict, Error> {
    let (origin, reached) = trail.origin().await?;
    let mut verifier = Verifier::new(&origin, marks).reaching(reached);
    let mut last = 0;
    loop {
        let page = trail.after(last, PAGE).await?;
        let Some(end) = page.last() else { break };
        last = end.number;
        for entry in page {
            if let Err(broken) = verifier.next(entry) {
                return Ok(Verdict { origin, result: Err(broken) });
            }
        }
    }
    let mut result = verifier.finish();
    if result.is_ok()
        && let Some(number) = trail.stray().await?
    {
        result = Err(Broken { number, up_to: number, fault: Fault::Inserted });
    }
    Ok(Verdict { origin, result })
}

impl App {
    fn audit_desk(&self) -> Result<&AuditDesk, Error> {
        let reason = "this node keeps no audit trail".to_owned();
        self.audit.as_deref().ok_or(Error::Refused { reason })
    }

    /// Entries of the trail, newest first, and the token of the next page.
    pub async fn audit_entries(
        &self,
        caller: &Caller,
        asked: EntryRequest,
        page: &PageRequest,
    ) -> Result<(Vec<Entry>, String), Error> {
        let permit = authorise(caller, Action::ReadAudit)?;
        let (size, before) = page.open(ENTRIES)?;
        let mut problems = Problems::default();
        for (field, value) in
            [("caller", &asked.caller), ("action", &asked.action), ("outcome", &asked.outcome)]
        {
            problems.chars(field, value, NAME_CHARS_MAX);
        }
        problems.finish()?;
        let filled = |text: String| (!text.is_empty()).then_some(text);
        let query = EntryQuery {
            from_ms: asked.from_ms,
            until_ms: asked.until_ms,
            caller: filled(asked.caller),
            action: filled(asked.action),
            outcome: filled(asked.outcome),
            ..EntryQuery::default()
        };
        let found = self.page_of_entries(query, (ENTRIES, size, before)).await?;
        let entry = AuditEntry { detail: "entries".to_owned(), ..self.entry("", "") };
        self.journal.audit(&permit, entry).await?;
        Ok(found)
    }

    /// Who saw or changed a patient's data here, newest first, and the token of the next page.
    pub async fn patient_accesses(
        &self,
        caller: &Caller,
        asked: AccessRequest,
        page: &PageRequest,
    ) -> Result<(Vec<Entry>, String), Error> {
        let permit = authorise(caller, Action::ReadAudit)?;
        let (size, before) = page.open(ACCESSES)?;
        asked.check()?;
        let AccessRequest { patient_reference, record, person } = asked;
        let mut whose = match &person {
            Some(person) => {
                self.audit_desk()?.trail.whose(PersonKeys::of_registered(person)).await?
            }
            None => Whose::default(),
        };
        // The trail names the person as it does elsewhere: by reference or record, never by number.
        let entry = AuditEntry {
            detail: "who saw a patient's data".to_owned(),
            ..self.entry(
                whose.records.first().map_or(record.as_str(), String::as_str),
                &patient_reference,
            )
        };
        whose.patients.extend(Some(patient_reference).filter(|text| !text.is_empty()));
        whose.records.extend(Some(record).filter(|text| !text.is_empty()));
        let query = EntryQuery { whose: Some(whose), ..EntryQuery::default() };
        let found = self.page_of_entries(query, (ACCESSES, size, before)).await?;
        self.journal.audit(&permit, entry).await?;
        Ok(found)
    }

    /// Goes along the trail, or at the hub along that of the exchange, and compares it with the signed
    /// heads that are kept here and those that the caller brings; one with a wrong signature is refused.
    pub async fn verify_trail(
        &self,
        caller: &Caller,
        (exchange, anchors): (bool, Vec<Anchor>),
    ) -> Result<Verdict, Error> {
        let permit = authorise(caller, Action::VerifyAudit)?;
        let mut problems = Problems::default();
        problems.unless(anchors.len() <= ANCHORS_MAX, "anchors", "must have at most 10000 entries");
        let name = if exchange { sealing::name_of(&self.name) } else { self.name.clone() };
        for (place, anchor) in anchors.iter().enumerate().take(ANCHORS_MAX) {
            let field = format!("anchors[{place}].signature");
            problems.unless(sign::is_signed(anchor), &field, "must be of the anchor and its key");
            let field = format!("anchors[{place}].node");
            problems.unless(anchor.mark.node == name, &field, "must be the name of this node");
        }
        problems.finish()?;
        let desk = self.audit_desk()?;
        let verdict = if exchange {
            let reason = "this node is no hub: it has no trail of an exchange".to_owned();
            let hub = desk.hub.as_ref().ok_or(Error::Refused { reason })?;
            let own = hub.heads.of(&name).await?.into_iter().filter(sign::is_signed);
            let marks: Vec<Mark> = own.chain(anchors).map(|anchor| anchor.mark).collect();
            verify(hub.trail.as_ref(), &marks).await?
        } else {
            let own = desk.trail.anchors(&name).await?.into_iter().filter(sign::is_signed);
            let marks: Vec<Mark> = own.chain(anchors).map(|anchor| anchor.mark).collect();
            verify(desk.trail.as_ref(), &marks).await?
        };
        let outcome = if verdict.result.is_ok() { "ok" } else { "broken" };
        let detail = if exchange { "exchange" } else { "" }.to_owned();
        let entry = AuditEntry { outcome, detail, ..self.entry("", "") };
        self.journal.audit(&permit, entry).await?;
        Ok(verdict)
    }

    /// Alarms, newest first, and the token of the next page. `open_only`: those that are not closed.
    pub async fn audit_alarms(
        &self,
        caller: &Caller,
        open_only: bool,
        page: &PageRequest,
    ) -> Result<(Vec<KeptAlarm>, String), Error> {
        let permit = authorise(caller, Action::ReadAudit)?;
        let (size, before) = page.open(ALARMS)?;
        let before = before.and_then(|before| u64::try_from(before).ok());
        let query = AlarmQuery { before, open_only, limit: size + 1, ..AlarmQuery::default() };
        let mut found = self.audit_desk()?.trail.alarms(query).await?;
        let more = cut(&mut found, size);
        let next = found.last().filter(|_| more).map(|last| format!("{ALARMS}-{}", last.number));
        let entry = AuditEntry { detail: "alarms".to_owned(), ..self.entry("", "") };
        self.journal.audit(&permit, entry).await?;
        Ok((found, next.unwrap_or_default()))
    }

    /// Signed heads of the node's own trail that are kept here; at the hub, those of another node.
    pub async fn audit_anchors(&self, caller: &Caller, node: &str) -> Result<Vec<Anchor>, Error> {
        let permit = authorise(caller, Action::VerifyAudit)?;
        let mut problems = Problems::default();
        problems.chars("node", node, NAME_CHARS_MAX);
        problems.finish()?;
        let desk = self.audit_desk()?;
        let anchors = match (&desk.hub, node) {
            (_, "") => desk.trail.anchors(&self.name).await?,
            (Some(hub), node) => hub.heads.of(node).await?,
            (None, _) => return Err(Error::field("node", "must be empty where no hub is asked")),
        };
        let entry = AuditEntry { detail: "anchors".to_owned(), ..self.entry("", "") };
        self.journal.audit(&permit, entry).await?;
        let skip = anchors.len().saturating_sub(ANCHORS_MAX);
        Ok(anchors.into_iter().skip(skip).collect())
    }

    /// Name of the node and id of its chain.
    pub async fn audit_chain(&self) -> Result<(String, String), Error> {
        let (origin, _) = self.audit_desk()?.trail.origin().await?;
        Ok((self.name.clone(), origin.chain))
    }

    async fn page_of_entries(
        &self,
        query: EntryQuery,
        (seal, size, before): (&str, u32, Option<i64>),
    ) -> Result<(Vec<Entry>, String), Error> {
        let before = before.and_then(|before| u64::try_from(before).ok());
        let query = EntryQuery { before, limit: size + 1, ..query };
        let mut found = self.audit_desk()?.trail.find(query).await?;
        let more = cut(&mut found, size);
        let next = found.last().filter(|_| more).map(|last| format!("{seal}-{}", last.number));
        Ok((found, next.unwrap_or_default()))
    }
}

impl AccessRequest {
    fn check(&self) -> Result<(), Error> {
        let mut problems = Problems::default();
        let asked = !self.patient_reference.is_empty() || !self.record.is_empty();
        problems.unless(
            asked || self.person.is_some(),
            "patient_reference",
            "must not be empty where no record and no person is named",
        );
        problems.chars("patient_reference", &self.patient_reference, NAME_CHARS_MAX);
        problems.chars("record", &self.record, NAME_CHARS_MAX);
        if let Some(person) = &self.person {
            problems.unless(!person.name.trim().is_empty(), "person.name", "must not be empty");
            problems.chars("person.name", &person.name, NAME_CHARS_MAX);
            let numbers = [
                ("person.resident_id", &person.resident_id),
                ("person.health_card", &person.health_card),
                ("person.birth_date", &person.birth_date),
            ];
            for (field, value) in numbers {
                problems.chars(field, value, NUMBER_CHARS_MAX);
            }
            problems.unless(
                numbers.iter().any(|(_, value)| !value.trim().is_empty()),
                "person.resident_id",
                "must not be empty where health_card and birth_date are",
            );
        }
        problems.finish()
    }
}

/// Cuts a list to a page; whether there was more.
fn cut<T>(found: &mut Vec<T>, size: u32) -> bool {
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    let more = found.len() > size;
    found.truncate(size);
    more
}
