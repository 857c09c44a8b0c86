//! Records that this node does not have: looked up at the hub for a patient who is treated here and lives
//! elsewhere.
//!
//! The region's policy decides here, by the relation that this node has to the patient; the hub checks
//! again what it can. What comes is the district's and is not kept on the node. Both sides write down who
//! asked, for whom (the hub's keyed digest, never the number), why, which record and what came of it,
//! before anything is told; this side also that it asks, so that a call that is cut off is there too.

use std::sync::Arc;

use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use sm3::Sm3;

use super::person::{PersonKeys, digest};
use super::ports::{KeptDocument, RecordStanding, TakenBack};
use super::reading::{Granted, Reading, only_in_person, standing_of, summary_only, within_rights};
use super::{FoundRecord, RecordLine, read};
use crate::app::access::{Action, Caller, Permit, authorise};
use crate::app::error::Error;
use crate::app::exchange::facts::RegisteredPerson;
use crate::app::exchange::look_up::{
    Answer, Decision, Elsewhere, FetchedRecord, Question, REASON_CHARS_MAX, Refusal, StatedPerson,
    check_person, check_record,
};
use crate::app::ports::AuditEntry;
use crate::app::request::Problems;
use crate::app::{App, chain};
use crate::sharing::consent::{
    Access, AccessRequest, Grant, PolicyTables, Reach, RecordRef, Scope, Standing, Verdict,
    Withdrawal, decide,
};
use crate::sharing::discharge::Memberships;
use crate::sharing::patient::ResidentId;
use crate::tables::text::hex;

/// What is missing where the hub cannot be asked.
const OFFLINE: &str = "looking records up needs the link to the hub, while what is on this node can be \
                       read as before: the link";
/// What a node has used up that has looked too many persons up.
const ALLOWANCE: &str =
    "the allowance of different persons that this node may look up at the hub within an hour";

/// A record of a person, as the hub tells of it.
#[derive(Debug, Clone, PartialEq)]
pub struct RecordElsewhere {
    /// What a list shows; without programmes.
    pub line: RecordLine,
    /// The node that handed it to the hub.
    pub node: String,
    /// When the hub kept it, in milliseconds since 1970.
    pub kept_ms: i64,
    /// This node has this version.
    pub here: bool,
    /// How much of it may be seen.
    pub scope: Scope,
}

/// A person's records.
#[derive(Debug, Clone, PartialEq)]
pub struct RecordsElsewhere {
    /// The current versions that may be seen, those kept last first.
    pub records: Vec<RecordElsewhere>,
    /// The hub has older ones.
    pub has_more: bool,
    /// What decided about the look-up.
    pub granted: Granted,
}

/// A record that the hub gave.
#[derive(Debug, Clone)]
pub struct RecordFetched {
    /// As if it were kept here.
    pub found: FoundRecord,
    /// The node that handed it to the hub.
    pub node: String,
}

/// What this node knows of a person beyond single records.
#[derive(Debug, Default)]
struct Known {
    grants: Vec<Grant>,
    withdrawals: Vec<TakenBack>,
}

/// What is asked of the hub, and what was decided here.
struct Asked<'a> {
    permit: Permit<'a>,
    reading: Reading<'a>,
    /// Empty: all records of the person.
    record: &'a str,
    access: Access,
}

/// Digests by which this node may know the person.
fn digests(person: &StatedPerson) -> Vec<String> {
    let whole = ResidentId::parse(&person.resident_id).ok().map(|id| id.number().to_owned());
    let numbers =
        [Some(person.resident_id.trim()), whole.as_deref(), Some(person.health_card.trim())];
    let numbers = numbers.into_iter().flatten().filter(|number| !number.is_empty());
    let mut digests: Vec<String> = numbers.map(|n| digest(&n.to_uppercase())).collect();
    digests.dedup();
    digests
}

impl App {
    fn elsewhere(&self) -> Result<&Arc<dyn Elsewhere>, Error> {
        self.elsewhere.as_ref().ok_or_else(|| Error::Refused {
            reason:
                "this node belongs to no region, so there is no hub to look records up at: set \
                     link.hub"
                    .to_owned(),
        })
    }

    /// Looks a person's records up at the hub: the current versions that may be seen.
    pub async fn look_up_records(
        &self,
        caller: &Caller,
        person: StatedPerson,
        reading: Reading<'_>,
    ) -> Result<RecordsElsewhere, Error> {
        let permit = authorise(caller, Action::LookUpRecords)?;
        check(&person, reading, None)?;
        let (elsewhere, known) = (self.elsewhere()?, self.known(&person).await?);
        let access = self.access(caller, &known, ("", None), reading);
        let question = self.question(caller, person, reading, &access)?;
        let asked = Asked { permit, reading, record: "", access };
        self.note_asked(&asked).await?;
        let answer = elsewhere.look_up(question).await;
        let found = self.conclude(&asked, answer, Ok).await?;
        let mut records = Vec::with_capacity(found.records.len());
        for record in found.records {
            let (name, version) = (record.line.name.as_str(), record.line.version);
            let has = self.desk()?.store.standing(name).await?;
            let access = self.access(caller, &known, (name, has.as_ref()), reading);
            // What the policy does not allow is not even named.
            let Some(scope) = access.scope.filter(|_| access.verdict != Verdict::Denied) else {
                continue;
            };
            let here = has.is_some() && self.desk()?.store.holds(name, version).await?;
            let (line, node, kept_ms) = (record.line, record.node, record.kept_ms);
            records.push(RecordElsewhere { line, node, kept_ms, here, scope });
        }
        let granted = granted(&asked.access, Scope::Summary);
        Ok(RecordsElsewhere { records, has_more: found.has_more, granted })
    }

    /// Fetches one record of a person from the hub, by name and version (0: the current one). It is not
    /// kept here. `original` says that the bytes as they came are wanted, which only the whole may be.
    pub async fn fetch_record(
        &self,
        caller: &Caller,
        (person, (name, version)): (StatedPerson, (&str, u32)),
        (reading, original): (Reading<'_>, bool),
    ) -> Result<RecordFetched, Error> {
        let permit = authorise(caller, Action::LookUpRecords)?;
        check(&person, reading, Some(name))?;
        let (elsewhere, known) = (self.elsewhere()?, self.known(&person).await?);
        let has = self.desk()?.store.standing(name).await?;
        let mut access = self.access(caller, &known, (name, has.as_ref()), reading);
        if original && access.scope == Some(Scope::Summary) {
            access = without_original(access);
        }
        let question = self.question(caller, person, reading, &access)?;
        let asked = Asked { permit, reading, record: name, access };
        self.note_asked(&asked).await?;
        let answer = elsewhere.fetch(question, (name.to_owned(), version)).await;
        let fetched = self.conclude(&asked, answer, given).await?;
        let granted = granted(&asked.access, Scope::Summary);
        Ok(self.understood(fetched, granted))
    }

    /// What follows from a record that came.
    fn understood(&self, fetched: FetchedRecord, granted: Granted) -> RecordFetched {
        let FetchedRecord { document, current, node, kept_ms } = fetched;
        let reading = read(&document.media_type, &document.body).ok();
        let memberships = match &reading {
            Some(reading) => self.knowledge.load().programmes.of(&reading.record),
            None => Memberships::default(),
        };
        let kept = KeptDocument {
            name: document.name,
            version: document.version,
            media_type: document.media_type,
            sha256: document.sha256,
            sm3: Sm3::digest(&document.body).into(),
            format: reading.as_ref().map_or("unread", |r| r.format.name()).to_owned(),
            body: document.body,
            reading_json: String::new(),
            current,
            replaced_by: String::new(),
            from_hub: true,
            received_ms: kept_ms,
        };
        let mut found = FoundRecord { kept, reading, memberships, granted };
        if found.granted.scope == Scope::Summary {
            summary_only(&mut found);
            // The original cannot be cut.
            found.kept.body = Bytes::new();
        }
        RecordFetched { found, node }
    }

    /// What this node knows of the person that the policy asks for.
    async fn known(&self, person: &StatedPerson) -> Result<Known, Error> {
        let before = digests(person);
        let StatedPerson { name, resident_id, health_card } = person.clone();
        let person =
            RegisteredPerson { name, resident_id, health_card, ..RegisteredPerson::default() };
        let keys = PersonKeys::of_registered(&person);
        let withdrawals = self.desk()?.store.withdrawals(&keys, &before).await?;
        Ok(Known { grants: self.grants_for(&person).await?, withdrawals })
    }

    /// What the policy says of all of a person's records (an empty name), or of one.
    fn access(
        &self,
        caller: &Caller,
        known: &Known,
        of: (&str, Option<&RecordStanding>),
        reading: Reading<'_>,
    ) -> Access {
        let request = AccessRequest {
            purpose: Some(reading.purpose),
            role: self.policy_role(caller.role),
            institution: self.name.clone(),
            region: self.policy_region().to_owned(),
            record: RecordRef::default(),
            scope: Scope::Whole,
            is_the_patient: false,
            break_glass: (!reading.break_glass.is_empty()).then(|| reading.break_glass.to_owned()),
        };
        let knowledge = self.knowledge.load();
        let is_near = caller.has_the_whole_node()
            || of.1.is_some_and(|has| {
                caller.looks_after(&knowledge.divisions.resolve(&has.address).code)
            });
        let with = (&knowledge.policy, self.clock.now_ms(), is_near);
        let access = decided(request, known, of, with);
        within_rights(access, (caller, Action::LookUpRecords), (reading.purpose, is_near))
    }

    fn question(
        &self,
        caller: &Caller,
        person: StatedPerson,
        reading: Reading<'_>,
        access: &Access,
    ) -> Result<Question, Error> {
        let (decision, reason) = match access.verdict {
            Verdict::Allowed => (Decision::Allowed, ""),
            Verdict::GlassBroken => (Decision::GlassBroken, reading.break_glass.trim()),
            Verdict::Denied => (Decision::Denied, ""),
        };
        let denied = Error::Denied { action: Action::LookUpRecords.name() };
        Ok(Question {
            person,
            purpose: reading.purpose,
            role: self.policy_role(caller.role).ok_or(denied)?,
            asked_by: caller.name.clone(),
            decision,
            reason: reason.to_owned(),
        })
    }

    async fn note_asked(&self, asked: &Asked<'_>) -> Result<(), Error> {
        let entry = self.read_for(asked.record, asked.reading.purpose);
        self.journal.audit(&asked.permit, AuditEntry { outcome: "asked", ..entry }).await
    }

    /// Writes down what came of it, with the review of a broken glass, and gives it.
    async fn conclude<T, U>(
        &self,
        asked: &Asked<'_>,
        answer: Result<Answer<T>, Error>,
        given: impl FnOnce(T) -> Result<U, Error>,
    ) -> Result<U, Error> {
        let (number, person, result) = match answer {
            Ok(Answer { entry, person, result }) => {
                (Some(entry), hex(&person), result.map_err(refused).and_then(given))
            }
            Err(error) => (None, String::new(), Err(unreachable_hub(error))),
        };
        let (access, reading) = (&asked.access, asked.reading);
        let result = match access.verdict {
            // Decided here, whether or not the hub could be told.
            Verdict::Denied => Err(Error::Withheld { reason: reasons(access).join("；") }),
            Verdict::Allowed | Verdict::GlassBroken => result,
        };
        let purpose = reading.purpose.id();
        let entry = AuditEntry {
            patient_reference: person,
            outcome: result.as_ref().map_or_else(outcome, |_| "ok"),
            detail: match number {
                Some(number) => format!("{purpose} hub entry {number}"),
                None => purpose.to_owned(),
            },
            ..self.entry(asked.record, "")
        };
        let caller = asked.permit.caller();
        let is_broken = access.verdict == Verdict::GlassBroken;
        let review = is_broken.then(|| self.review_of(caller, asked.record, (reading, access)));
        let id = review.as_ref().map_or("", |review| review.id.as_str());
        let notice = self.notice_of(caller, (asked.record, id), (reading, access));
        if result.is_err() || (review.is_none() && notice.is_none()) {
            self.journal.audit(&asked.permit, entry).await?;
            return result;
        }
        let outcome = if is_broken { "glass_broken" } else { "patient_to_be_told" };
        if is_broken {
            tracing::warn!(caller = caller.name, "records were looked up by breaking the glass");
        }
        let entry = AuditEntry { outcome, ..entry };
        self.desk()?.store.open_review(&asked.permit, review, notice, entry).await?;
        result
    }
}

/// What the policy says of a request of which all is known but the record: a name, and how it stands here
/// if it is here.
fn decided(
    mut request: AccessRequest,
    known: &Known,
    (name, has): (&str, Option<&RecordStanding>),
    (policy, now, is_near): (&PolicyTables, i64, bool),
) -> Access {
    let own = &request.institution;
    // As where it is read here.
    let mut standing = has.map_or_else(Standing::default, |has| standing_of(own, name, has, now));
    standing.grants.extend(known.grants.iter().cloned());
    if !is_near {
        only_in_person(&mut standing);
    }
    for TakenBack { record, from_ms, until_ms } in &known.withdrawals {
        let reach = if record.is_empty() { Reach::All } else { Reach::Record(record.clone()) };
        standing.withdrawals.push(Withdrawal { reach, from_ms: *from_ms, until_ms: *until_ms });
    }
    let wrote = is_near && has.is_some_and(|has| !has.from_hub || has.sender == *own);
    let author_institution = if wrote { own.clone() } else { String::new() };
    request.record = RecordRef { name: name.to_owned(), author_institution };
    decide(&request, &standing, policy, now)
}

fn check(person: &StatedPerson, reading: Reading<'_>, name: Option<&str>) -> Result<(), Error> {
    let mut problems = Problems::default();
    check_person(&mut problems, person);
    problems.chars("break_glass_reason", reading.break_glass, REASON_CHARS_MAX);
    problems.written("break_glass_reason", reading.break_glass);
    if let Some(name) = name {
        check_record(&mut problems, name);
    }
    problems.finish()
}

fn reasons(access: &Access) -> Vec<String> {
    access.reasons.iter().map(|reason| reason.text_zh.clone()).collect()
}

/// What decided; `least` where the access says nothing of how much.
fn granted(access: &Access, least: Scope) -> Granted {
    Granted {
        scope: access.scope.unwrap_or(least),
        until_ms: access.until_ms,
        review: access.review,
        reasons: reasons(access),
    }
}

/// The original cannot be cut: who may see the summary does not get it.
fn without_original(mut access: Access) -> Access {
    use crate::sharing::consent::{AccessReason, ReasonCode};
    access.verdict = Verdict::Denied;
    access.scope = None;
    let text_zh = "此目的和角色只可查阅摘要，不可取得原件".to_owned();
    access.reasons = vec![AccessReason { code: ReasonCode::ScopeNarrowed, text_zh }];
    access
}

/// The record, if there is one and it is what its sender wrote.
fn given(fetched: Option<FetchedRecord>) -> Result<FetchedRecord, Error> {
    let kind = "such a discharge record of this person at the hub";
    let fetched = fetched.ok_or(Error::NotFound { kind })?;
    let digest: [u8; 32] = Sha256::digest(&fetched.document.body).into();
    if digest == fetched.document.sha256 { Ok(fetched) } else { Err(damaged(&fetched.node)) }
}

fn refused(refusal: Refusal) -> Error {
    match refusal {
        Refusal::Denied { reason } => Error::Withheld { reason },
        Refusal::TooMany { retry_after } => Error::Overloaded { what: ALLOWANCE, retry_after },
        Refusal::Damaged { node } => damaged(&node),
    }
}

fn damaged(node: &str) -> Error {
    let reason = format!(
        "the record is damaged in the hub's database and is not given: ask {node}, which handed it over, \
         and tell the hub's operator, whose log has its number"
    );
    Error::Refused { reason }
}

/// Whatever keeps the hub from answering, with what that means.
fn unreachable_hub(error: Error) -> Error {
    if let Error::Unavailable { cause, .. } = error {
        if let Some(cause) = &cause {
            tracing::info!(error = %cause, "the hub cannot be asked for records");
        }
        return Error::Unavailable { what: OFFLINE, cause };
    }
    tracing::info!(error = chain(&error), "the hub does not answer for records");
    if matches!(error, Error::Invalid(_)) {
        // Not the caller's fault.
        return Error::internal("the hub's answer", error.public());
    }
    error
}

/// What came of it, as the audit trail says it.
fn outcome(error: &Error) -> &'static str {
    match error {
        Error::Withheld { .. } | Error::Denied { .. } => "withheld",
        Error::NotFound { .. } => "not_found",
        Error::Overloaded { .. } => "too_many_persons",
        Error::Unavailable { .. } | Error::DeadlineExceeded => "unavailable",
        Error::Refused { .. }
        | Error::Invalid(_)
        | Error::Unauthenticated
        | Error::RequestIdReused
        | Error::TooLarge { .. }
        | Error::Internal { .. } => "refused",
    }
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use super::*;
    use crate::app::records::person::PersonKeys;
    use crate::app::records::reading::region_of;
    use crate::sharing::consent::{GrantKind, Purpose, Role};
    use crate::sharing::discharge::model::Address;

    const HOUR_MS: i64 = 3_600_000;
    /// 2026-11-29T12:00+08:00.
    const NOW: i64 = 1_795_924_800_000;
    const REASON: &str = "患者昏迷，家属不在，需要了解用药和过敏";

    /// What is decided for somebody at `clinic`, and how much may be seen.
    fn decision(
        (purpose, role, reason): (Purpose, Role, &str),
        known: &Known,
        of: (&str, Option<&RecordStanding>),
    ) -> (Verdict, Option<Scope>) {
        static POLICY: LazyLock<PolicyTables> =
            LazyLock::new(|| PolicyTables::load(&crate::embedded::files()).unwrap());
        let request = AccessRequest {
            purpose: Some(purpose),
            role: Some(role),
            institution: "clinic".to_owned(),
            region: region_of("361102001001").to_owned(),
            record: RecordRef::default(),
            scope: Scope::Whole,
            is_the_patient: false,
            break_glass: (!reason.is_empty()).then(|| reason.to_owned()),
        };
        let access = decided(request, known, of, (&POLICY, NOW, true));
        (access.verdict, access.scope)
    }

    fn grant(kind: GrantKind, institution: &str) -> Known {
        let (institution, until_ms) = (institution.to_owned(), Some(NOW + HOUR_MS));
        let grant = Grant { kind, institution, from_ms: NOW - HOUR_MS, until_ms };
        Known { grants: vec![grant], ..Known::default() }
    }

    #[test]
    fn a_relation_opens_what_nobody_else_may_see() {
        const ALL: (&str, Option<&RecordStanding>) = ("", None);
        let treats = (Purpose::Treatment, Role::VillageDoctor, "");
        let whole = (Verdict::Allowed, Some(Scope::Whole));
        let denied = (Verdict::Denied, None);
        assert_eq!(decision(treats, &Known::default(), ALL), denied);
        for kind in
            [GrantKind::Presence, GrantKind::Referral, GrantKind::Contract, GrantKind::Registration]
        {
            assert_eq!(decision(treats, &grant(kind, "clinic"), ALL), whole, "{kind:?}");
            assert_eq!(decision(treats, &grant(kind, "another"), ALL), denied, "{kind:?}");
        }
        let present = grant(GrantKind::Presence, "clinic");
        let dispenses = (Purpose::Treatment, Role::Pharmacist, "");
        let summary = (Verdict::Allowed, Some(Scope::Summary));
        assert_eq!(decision(dispenses, &present, ALL), summary);
        // Without a relation an emergency is one only with a reason, and of a doctor.
        let broken = (Verdict::GlassBroken, Some(Scope::Whole));
        for (role, reason, expected) in [
            (Role::VillageDoctor, REASON, broken),
            (Role::HospitalDoctor, REASON, broken),
            (Role::VillageDoctor, "", denied),
            (Role::VillageDoctor, "急", denied),
            (Role::Pharmacist, REASON, denied),
            (Role::Auditor, REASON, denied),
        ] {
            let asked = (Purpose::Emergency, role, reason);
            assert_eq!(decision(asked, &Known::default(), ALL), expected, "{role:?} {reason}");
        }
    }

    #[test]
    fn what_was_taken_back_here_stops_a_look_up() {
        let treats = (Purpose::Treatment, Role::VillageDoctor, "");
        let denied = (Verdict::Denied, None);
        let known = |of: &str, until| Known {
            withdrawals: vec![TakenBack {
                record: of.to_owned(),
                from_ms: NOW - 1,
                until_ms: until,
            }],
            ..grant(GrantKind::Presence, "clinic")
        };
        for name in ["", "r"] {
            assert_eq!(decision(treats, &known("", None), (name, None)), denied, "{name}");
            let given_again = known("", Some(NOW));
            assert_eq!(decision(treats, &given_again, (name, None)).0, Verdict::Allowed, "{name}");
        }
        // One record: it alone.
        assert_eq!(decision(treats, &known("r", None), ("r", None)), denied);
        assert_eq!(decision(treats, &known("r", None), ("s", None)).0, Verdict::Allowed);
        // What is known by the record that is here counts too; and what was written here is one's own.
        let has = |from_hub| RecordStanding {
            from_hub,
            sent_for: None,
            sender: String::new(),
            received_ms: NOW - HOUR_MS,
            person: String::new(),
            address: Address::default(),
            keys: PersonKeys::default(),
            withdrawals: vec![(false, NOW - 1, None)],
            withdrawn_by: Vec::new(),
            grants: Vec::new(),
        };
        let nothing = Known::default();
        assert_eq!(decision(treats, &nothing, ("r", Some(&has(true)))), denied);
        assert_eq!(decision(treats, &nothing, ("r", Some(&has(false)))).0, Verdict::Allowed);
    }

    #[test]
    fn a_person_is_known_here_by_every_form_of_a_number() {
        let of = |resident_id: &str, health_card: &str| {
            digests(&StatedPerson {
                name: "饶建国".to_owned(),
                resident_id: resident_id.to_owned(),
                health_card: health_card.to_owned(),
            })
        };
        let whole = digest("36112119570317051X");
        assert_eq!(of("36112119570317051X", ""), [whole.as_str()]);
        assert_eq!(of(" 36112119570317051x ", ""), [whole.as_str()]);
        assert!(of("361121570317051", "36110000000571").contains(&whole));
        assert!(of("", "36110000000571").contains(&digest("36110000000571")));
    }
}
