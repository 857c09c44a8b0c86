//! Records as a façade of documents shows them: a reference to every version, found by patient and
//! date, and the persons that the records are about.
//!
//! [`people`] keeps persons in memory and takes in what came, [`ports`] says what the store must do.

pub mod people;
pub mod ports;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

pub use self::people::{References, reference_id};
use self::ports::{KeptReference, ReferenceQuery, Span};
use super::Purpose;
use super::reading::{Reading, summary_of};
use crate::app::App;
use crate::app::access::{Action, Caller, authorise};
use crate::app::error::Error;
use crate::app::ports::AuditEntry;
use crate::app::request::Problems;
use crate::sharing::consent::{Scope, Verdict};
use crate::sharing::discharge::Moment;
use crate::sharing::discharge::fhir::resources::{Grade, Standing};
use crate::sharing::discharge::model::{DischargeRecord, Patient};
use crate::sharing::patient::{self, Candidate, Found, Reason};

/// References of a page at most.
pub const PAGE_MAX: u32 = 200;
/// Records of which it is decided before the first page whether they may be seen; where a question finds
/// more, nobody is told how many there are.
const NAMES_MAX: u32 = 500;
/// Values of one list of a question at most.
pub const VALUES_MAX: usize = 100;
/// Characters of a value at most.
pub const VALUE_CHARS_MAX: usize = 512;

/// A question for references. Of every list one must fit; none: any.
#[derive(Debug, Clone, Default)]
pub struct ReferenceRequest {
    /// Only below this place.
    pub before: Option<i64>,
    /// Ids.
    pub ids: Option<Vec<String>>,
    /// Ids of persons.
    pub persons: Option<Vec<String>>,
    /// Identifiers of the patient: the system, empty for those without one, none for any; the value.
    pub identifiers: Option<Vec<(Option<String>, String)>>,
    /// What has become of the record.
    pub standings: Option<Vec<Standing>>,
    /// When it came.
    pub kept: Span,
    /// When what is said of it last changed.
    pub updated: Span,
    /// At most so many, up to [`PAGE_MAX`]; 0 counts only.
    pub count: u32,
}

/// A reference to a version of a record.
#[derive(Debug, Clone)]
pub struct Reference {
    /// As kept.
    pub kept: KeptReference,
    /// Id of the person it is about, if known.
    pub person: Option<String>,
    /// What the record says; only its name and version where this node cannot read it.
    pub record: DischargeRecord,
    /// Whether this node can read it.
    pub readable: bool,
    /// When it came.
    pub received: Moment,
    /// When what is said of it last changed.
    pub updated: Moment,
}

/// A page of references.
#[derive(Debug, Clone)]
pub struct ReferencePage {
    /// Newest first.
    pub references: Vec<Reference>,
    /// How many there are on all pages; none where there are so many records that they are not counted.
    pub total: Option<u64>,
    /// Where the next page begins, if there is one.
    pub next: Option<i64>,
}

/// Somebody who may be whom was asked for.
#[derive(Debug, Clone)]
pub struct MatchedPerson {
    /// Id.
    pub id: String,
    /// What the newest record says, as much as the policy lets be seen of it.
    pub patient: Patient,
    /// How likely it is the person, 0 to 1.
    pub score: f64,
    /// How sure.
    pub grade: Grade,
}

/// What somebody sees of the records that a question finds.
#[derive(Default)]
struct Sees {
    /// Names of records, and whether they may be seen.
    names: HashMap<String, bool>,
    /// Persons who were asked for, or of whom something is shown.
    shown: BTreeSet<i64>,
    /// Persons of whom something is not shown.
    withheld: BTreeSet<i64>,
}

/// Persons, as the trail names several.
fn listed(persons: &BTreeSet<i64>) -> String {
    persons.iter().map(|id| person_id(*id)).collect::<Vec<_>>().join(",")
}

impl App {
    fn references(&self) -> Result<&Arc<References>, Error> {
        let reason = "this node keeps no references to records".to_owned();
        self.desk()?.references.as_ref().ok_or(Error::Refused { reason })
    }

    /// References to kept records, newest first. What the policy does not let be seen is neither shown nor
    /// counted.
    pub async fn find_references(
        &self,
        caller: &Caller,
        asked: ReferenceRequest,
        purpose: Purpose,
    ) -> Result<ReferencePage, Error> {
        let permit = authorise(caller, Action::ReadRecords)?;
        let references = self.references()?;
        asked.check()?;
        references.catch_up().await?;
        let digests = asked.identifiers.map(|all| {
            all.iter()
                .map(|(system, value)| references.identifier(system.as_deref(), value))
                .collect()
        });
        let persons: Option<Vec<i64>> =
            asked.persons.map(|all| all.iter().filter_map(|id| number(id)).collect());
        let mut query = ReferenceQuery {
            before: asked.before,
            ids: asked.ids,
            persons,
            identifiers: digests,
            standings: asked.standings,
            kept: asked.kept,
            updated: asked.updated,
            limit: asked.count.saturating_add(1),
        };
        let mut sees =
            Sees { shown: query.persons.iter().flatten().copied().collect(), ..Sees::default() };
        let mut matching = references.store.matching(query.clone(), NAMES_MAX + 1).await?;
        let is_whole = matching.len() <= usize::try_from(NAMES_MAX).unwrap_or(usize::MAX);
        if !is_whole {
            matching.clear();
        }
        let mut total = 0;
        for one in &matching {
            let lets = self.sees(&mut sees.names, &one.name, (caller, purpose)).await?;
            let whose = if lets { &mut sees.shown } else { &mut sees.withheld };
            if asked.count == 0 || !lets {
                whose.extend(one.person);
            }
            total += if lets { one.references } else { 0 };
        }
        let mut found = Vec::new();
        let mut next = None;
        let count = usize::try_from(asked.count).unwrap_or(usize::MAX);
        let mut is_last = count == 0;
        while !is_last && next.is_none() {
            let rows = references.store.search(query.clone()).await?;
            is_last = rows.len() <= count;
            for row in rows {
                query.before = Some(row.document);
                if !self.sees(&mut sees.names, &row.name, (caller, purpose)).await? {
                    sees.withheld.extend(row.person);
                    continue;
                }
                if found.len() == count {
                    next = found.last().map(|last: &Reference| last.kept.document);
                    break;
                }
                sees.shown.extend(row.person);
                found.push(reference(row)?);
            }
        }
        let one = match found.as_slice() {
            [one] => one.kept.name.as_str(),
            [] | [_, ..] => "",
        };
        let outcome = if found.is_empty() && total == 0 { "not_found" } else { "ok" };
        let entry = self.read_for(one, purpose);
        let shown = AuditEntry { patient_reference: listed(&sees.shown), outcome, ..entry };
        self.journal.audit(&permit, shown).await?;
        if !sees.withheld.is_empty() {
            let entry = self.read_for("", purpose);
            let patient_reference = listed(&sees.withheld);
            let withheld = AuditEntry { patient_reference, outcome: "withheld", ..entry };
            self.journal.audit(&permit, withheld).await?;
        }
        Ok(ReferencePage { references: found, total: is_whole.then_some(total), next })
    }

    /// Whether something of a record may be seen, decided once.
    async fn sees(
        &self,
        names: &mut HashMap<String, bool>,
        name: &str,
        (caller, purpose): (&Caller, Purpose),
    ) -> Result<bool, Error> {
        if let Some(lets) = names.get(name) {
            return Ok(*lets);
        }
        let lets = self.lets_see(caller, name, purpose).await?.is_some();
        names.insert(name.to_owned(), lets);
        Ok(lets)
    }

    /// How much of a record the policy lets be seen; none: not even a summary.
    async fn lets_see(
        &self,
        caller: &Caller,
        name: &str,
        purpose: Purpose,
    ) -> Result<Option<Scope>, Error> {
        let Some(has) = self.desk()?.store.standing(name).await? else { return Ok(None) };
        let asked = (Reading::for_purpose(purpose), Scope::Whole);
        let access = self.policy_on(caller, name, &has, asked);
        Ok(access.scope.filter(|_| access.verdict == Verdict::Allowed))
    }

    /// The reference of this id. Where the policy does not let it be seen the trail says so; whoever asks is
    /// not even told that there is one.
    pub async fn get_reference(
        &self,
        caller: &Caller,
        id: &str,
        purpose: Purpose,
    ) -> Result<Reference, Error> {
        const KIND: &str = "DocumentReference";
        let (name, _) = self.referred_record(caller, (id, KIND), purpose).await?;
        let permit = authorise(caller, Action::ReadRecords)?;
        let lets = self.lets_see(caller, &name, purpose).await?.is_some();
        let query = ReferenceQuery {
            ids: Some(vec![id.to_owned()]),
            limit: 1,
            ..ReferenceQuery::default()
        };
        let row = self.references()?.store.search(query).await?.pop();
        let entry = self.read_for(&name, purpose);
        let patient_reference =
            row.as_ref().and_then(|row| row.person).map(person_id).unwrap_or_default();
        let outcome = if lets { "ok" } else { "withheld" };
        self.journal.audit(&permit, AuditEntry { patient_reference, outcome, ..entry }).await?;
        row.filter(|_| lets).ok_or(Error::NotFound { kind: KIND }).and_then(reference)
    }

    /// Name and version of the record that the reference of this id leads to.
    pub async fn referred_record(
        &self,
        caller: &Caller,
        (id, kind): (&str, &'static str),
        purpose: Purpose,
    ) -> Result<(String, u32), Error> {
        let permit = authorise(caller, Action::ReadRecords)?;
        let references = self.references()?;
        references.catch_up().await?;
        if let Some(named) = references.store.named(id).await? {
            return Ok(named);
        }
        let mut entry = self.read_for(id.get(..64.min(id.len())).unwrap_or_default(), purpose);
        entry.outcome = "not_found";
        self.journal.audit(&permit, entry).await?;
        Err(Error::NotFound { kind })
    }

    /// Who of the persons of the node's records somebody may be, likeliest first. The inner error says
    /// why nobody can be looked for.
    pub async fn match_people(
        &self,
        caller: &Caller,
        patient: &Patient,
        (only_certain, count): (bool, Option<u32>),
        purpose: Purpose,
    ) -> Result<Result<Vec<MatchedPerson>, Vec<patient::Problem>>, Error> {
        let permit = authorise(caller, Action::ReadRecords)?;
        let references = self.references()?;
        references.catch_up().await?;
        let asked = DischargeRecord { patient: patient.clone(), ..DischargeRecord::default() };
        let (said, problems) = references.prepare(&asked);
        let Some(said) = said else { return Ok(Err(problems)) };
        let candidates = match references.find(&said) {
            Found::Linked(one) => vec![(one, Grade::Certain)],
            Found::Review(all) => all.into_iter().map(graded).collect(),
            Found::New(_) => Vec::new(),
        };
        let most = usize::try_from(count.unwrap_or(u32::MAX)).unwrap_or(usize::MAX);
        let wanted = candidates
            .into_iter()
            .filter(|(_, grade)| !only_certain || *grade == Grade::Certain)
            .take(most);
        let mut matched = Vec::new();
        for (one, grade) in wanted {
            let person = i64::try_from(one.id).unwrap_or(0);
            let json = references.store.reading_of(person).await?;
            let Some(record) = json.as_deref().and_then(people::read) else { continue };
            let Some(granted) = self.lets_see(caller, &record.document.name, purpose).await? else {
                continue;
            };
            let mut patient = record.patient;
            if granted == Scope::Summary {
                summary_of(&mut patient);
            }
            let score = 1.0 / (1.0 + (-one.explanation.bits).exp2());
            matched.push(MatchedPerson { id: person_id(person), patient, score, grade });
        }
        let mut entry = self.read_for("", purpose);
        entry.patient_reference =
            matched.iter().map(|m| m.id.as_str()).collect::<Vec<_>>().join(",");
        if matched.is_empty() {
            entry.outcome = "not_found";
        }
        self.journal.audit(&permit, entry).await?;
        Ok(Ok(matched))
    }
}

impl ReferenceRequest {
    fn check(&self) -> Result<(), Error> {
        let mut problems = Problems::default();
        problems.unless(self.count <= PAGE_MAX, "_count", "must be from 0 to 200");
        let lengths = [
            ("_id", self.ids.as_ref().map(Vec::len)),
            ("patient", self.persons.as_ref().map(Vec::len)),
            ("patient.identifier", self.identifiers.as_ref().map(Vec::len)),
        ];
        for (field, length) in lengths {
            let fine = length.is_none_or(|length| length <= VALUES_MAX);
            problems.unless(fine, field, "must have at most 100 values");
        }
        for (system, value) in self.identifiers.iter().flatten() {
            problems.unless(!value.is_empty(), "patient.identifier", "must have a value");
            problems.chars("patient.identifier", value, VALUE_CHARS_MAX);
            let system = system.as_deref().unwrap_or_default();
            problems.chars("patient.identifier", system, VALUE_CHARS_MAX);
        }
        problems.finish()
    }
}

fn graded(one: Candidate) -> (Candidate, Grade) {
    let grade = grade(&one);
    (one, grade)
}

/// How sure a candidate is that somebody must look at.
fn grade(candidate: &Candidate) -> Grade {
    match candidate.explanation.reason {
        Reason::Decided | Reason::ResidentId | Reason::Weight => Grade::Certain,
        Reason::DecidedTwice
        | Reason::ParticularsDisagree
        | Reason::ResidentIdTwice
        | Reason::BirthDateNotSame
        | Reason::NotAlone => Grade::Probable,
        Reason::ResidentIdOtherName
        | Reason::ResidentIdsDiffer
        | Reason::HealthCardOtherName
        | Reason::NameNotSame
        | Reason::SexDiffers
        | Reason::Between
        | Reason::TooLittle => Grade::Possible,
    }
}

/// Id of a person on this node.
fn person_id(person: i64) -> String {
    format!("p-{person}")
}

fn number(id: &str) -> Option<i64> {
    let digits = id.strip_prefix("p-")?;
    digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok())?
}

fn reference(kept: KeptReference) -> Result<Reference, Error> {
    let read = people::read(&kept.reading_json);
    let readable = read.is_some();
    let mut record = read.unwrap_or_default();
    record.document.name.clone_from(&kept.name);
    record.document.version = Some(kept.version);
    Ok(Reference {
        person: kept.person.map(person_id),
        received: instant(kept.received_ms)?,
        updated: instant(kept.updated_ms)?,
        record,
        readable,
        kept,
    })
}

/// A time of the clock, to the millisecond.
pub fn instant(at_ms: i64) -> Result<Moment, Error> {
    let at = jiff::Timestamp::from_millisecond(at_ms).ok();
    let at = at.and_then(|at| Moment::iso(&at.to_string()).ok());
    at.ok_or_else(|| Error::internal("clock", "no time of a calendar"))
}
