//! Look-ups of records in the words of the link, and back.

use std::time::Duration;

use super::pb;
use crate::app::error::Error;
use crate::app::exchange::look_up::{
    Answer, Decision, FetchedRecord, FoundRecord, FoundRecords, Question, Refusal, StatedPerson,
};
use crate::app::records::RecordLine;
use crate::sharing::consent::{Purpose, Role};

impl From<Question> for pb::RecordQuestion {
    fn from(question: Question) -> Self {
        let Question { person, purpose, role, asked_by, decision, reason } = question;
        let decision = match decision {
            Decision::Allowed => pb::LookUpDecision::Allowed,
            Decision::GlassBroken => pb::LookUpDecision::GlassBroken,
            Decision::Denied => pb::LookUpDecision::Denied,
        };
        Self {
            name: person.name,
            resident_id: person.resident_id,
            health_card: person.health_card,
            purpose: purpose.id().to_owned(),
            role: role.id().to_owned(),
            asked_by,
            decision: decision.into(),
            reason,
        }
    }
}

pub(super) fn question(question: Option<pb::RecordQuestion>) -> Result<Question, Error> {
    let question = question.ok_or_else(|| Error::field("question", "must be given"))?;
    let decision = match pb::LookUpDecision::try_from(question.decision) {
        Ok(pb::LookUpDecision::Allowed) => Decision::Allowed,
        Ok(pb::LookUpDecision::GlassBroken) => Decision::GlassBroken,
        Ok(pb::LookUpDecision::Denied) => Decision::Denied,
        Ok(pb::LookUpDecision::Unspecified) | Err(_) => {
            let allowed = "must be one of LOOK_UP_DECISION_ALLOWED, LOOK_UP_DECISION_GLASS_BROKEN, \
                           LOOK_UP_DECISION_DENIED";
            return Err(Error::field("question.decision", allowed));
        }
    };
    let purpose = Purpose::from_id(&question.purpose)
        .ok_or_else(|| Error::field("question.purpose", one_of(Purpose::ALL, Purpose::id)))?;
    let role = Role::from_id(&question.role)
        .ok_or_else(|| Error::field("question.role", one_of(Role::ALL, Role::id)))?;
    let pb::RecordQuestion { name, resident_id, health_card, asked_by, reason, .. } = question;
    let person = StatedPerson { name, resident_id, health_card };
    Ok(Question { person, purpose, role, asked_by, decision, reason })
}

fn one_of<T: Copy>(all: &[T], id: impl Fn(T) -> &'static str) -> String {
    let all: Vec<&str> = all.iter().map(|value| id(*value)).collect();
    format!("must be one of {}", all.join(", "))
}

/// The entry, and what is given.
fn parts<T>(answer: Answer<T>) -> (pb::LookUpEntry, Option<T>) {
    let Answer { entry, person, result } = answer;
    let mut entry =
        pb::LookUpEntry { number: entry, person: person.into(), ..pb::LookUpEntry::default() };
    let mut given = None;
    let outcome = match result {
        Ok(found) => {
            given = Some(found);
            pb::LookUpOutcome::Answered
        }
        Err(Refusal::Denied { reason }) => {
            entry.reason = reason;
            pb::LookUpOutcome::Denied
        }
        Err(Refusal::TooMany { retry_after }) => {
            entry.retry_after_ms = u64::try_from(retry_after.as_millis()).unwrap_or(u64::MAX);
            pb::LookUpOutcome::TooManyPersons
        }
        Err(Refusal::Damaged { node }) => {
            entry.damaged_of = node;
            pb::LookUpOutcome::Damaged
        }
    };
    entry.outcome = outcome.into();
    (entry, given)
}

fn answer<T>(
    entry: Option<pb::LookUpEntry>,
    given: impl FnOnce() -> Result<T, Error>,
) -> Result<Answer<T>, Error> {
    let pb::LookUpEntry { number, person, outcome, reason, retry_after_ms, damaged_of } =
        entry.ok_or_else(|| Error::field("entry", "must be given"))?;
    let result = match pb::LookUpOutcome::try_from(outcome) {
        Ok(pb::LookUpOutcome::Answered) => Ok(given()?),
        Ok(pb::LookUpOutcome::Denied) => Err(Refusal::Denied { reason }),
        Ok(pb::LookUpOutcome::TooManyPersons) => {
            Err(Refusal::TooMany { retry_after: Duration::from_millis(retry_after_ms) })
        }
        Ok(pb::LookUpOutcome::Damaged) => Err(Refusal::Damaged { node: damaged_of }),
        Ok(pb::LookUpOutcome::Unspecified) | Err(_) => {
            return Err(Error::field("entry.outcome", "must be a known outcome"));
        }
    };
    Ok(Answer { entry: number, person: person.to_vec(), result })
}

impl From<Answer<FoundRecords>> for pb::LookUpRecordsResponse {
    fn from(found: Answer<FoundRecords>) -> Self {
        let (entry, found) = parts(found);
        let FoundRecords { records, has_more } = found.unwrap_or_default();
        let records = records.into_iter().map(Into::into).collect();
        Self { entry: Some(entry), records, has_more }
    }
}

impl TryFrom<pb::LookUpRecordsResponse> for Answer<FoundRecords> {
    type Error = Error;
    fn try_from(found: pb::LookUpRecordsResponse) -> Result<Self, Error> {
        let pb::LookUpRecordsResponse { entry, records, has_more } = found;
        let records = records.into_iter().map(Into::into).collect();
        answer(entry, || Ok(FoundRecords { records, has_more }))
    }
}

impl From<FoundRecord> for pb::HeldRecord {
    fn from(record: FoundRecord) -> Self {
        let FoundRecord { line, node, kept_ms } = record;
        Self {
            name: line.name,
            version: line.version,
            patient_name: line.patient,
            birth_date: line.birth_date,
            institution: line.institution,
            discharged: line.discharged,
            diagnosis: line.diagnosis,
            withdrawn: line.withdrawn,
            problem: line.problem,
            node,
            kept_ms,
        }
    }
}

impl From<pb::HeldRecord> for FoundRecord {
    fn from(record: pb::HeldRecord) -> Self {
        let line = RecordLine {
            name: record.name,
            version: record.version,
            patient: record.patient_name,
            birth_date: record.birth_date,
            institution: record.institution,
            discharged: record.discharged,
            diagnosis: record.diagnosis,
            programmes: Vec::new(),
            withdrawn: record.withdrawn,
            problem: record.problem,
        };
        Self { line, node: record.node, kept_ms: record.kept_ms }
    }
}

impl From<Answer<Option<FetchedRecord>>> for pb::FetchRecordResponse {
    fn from(found: Answer<Option<FetchedRecord>>) -> Self {
        let (entry, found) = parts(found);
        let entry = Some(entry);
        match found.flatten() {
            None => Self { entry, ..Self::default() },
            Some(FetchedRecord { document, current, node, kept_ms }) => {
                Self { entry, document: Some(document.into()), current, node, kept_ms }
            }
        }
    }
}

impl TryFrom<pb::FetchRecordResponse> for Answer<Option<FetchedRecord>> {
    type Error = Error;
    fn try_from(found: pb::FetchRecordResponse) -> Result<Self, Error> {
        let pb::FetchRecordResponse { entry, document, current, node, kept_ms } = found;
        answer(entry, || {
            let document = document.map(TryInto::try_into).transpose()?;
            Ok(document.map(|document| FetchedRecord { document, current, node, kept_ms }))
        })
    }
}
