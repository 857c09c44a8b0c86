//! Mutual recognition (互认): which of a patient's studies stand in the place of a planned
//! examination, what the doctor decided, and counts of it.
//!
//! An assessment keeps nothing but its entry in the audit trail. A decision is kept with the facts
//! it was taken on, so that it can be worked out again by the rules of its day.

mod facts;
pub mod kept;
mod planned;
pub mod summary;

use jiff::civil::Date;

pub(in crate::app) use self::facts::existing_study;
pub use self::kept::{DecisionLine, KeptDecision};
pub use self::planned::{Asked, PlannedRequest, StatedFacts};
use super::access::{Action, Caller, Permit, authorise};
use super::error::Error;
use super::imaging::Requester;
use super::imaging::search::RegionState;
use super::imaging::study::StudyFacts;
use super::knowledge::Knowledge;
use super::ports::{NewRecord, RecordKind};
use super::request::{ID_CHARS_MAX, PageRequest, Problems, content_sha256};
use super::{App, encode};
use crate::sharing::recognition::{
    Assessment, Decision, DecisionRecord, Existing, Explanation, Ground, GroundClaim, GroundText,
    Item, Planned, ReasonCode, StudyAssessment, Verdict, assess, explain,
};

/// Lists of decisions and of items are told apart from others by these.
const SEAL: &str = "recognition";
const ITEMS_SEAL: &str = "items";
/// Characters of a doctor's words at most.
pub const WORDS_CHARS_MAX: usize = 500;
/// By how many days a planned examination may lie away from today.
const DAYS_AWAY_MAX: i64 = 366;

/// One examination, assessed.
#[derive(Debug, Clone, PartialEq)]
pub struct Assessed {
    /// Id of the examination; empty if what was written could not be told.
    pub examination: String,
    /// Its Chinese name.
    pub name: String,
    /// The answer.
    pub assessment: Assessment,
}

/// The answer for a planned examination.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// One for each examination that was named.
    pub assessed: Vec<Assessed>,
    /// The studies that were looked at.
    pub studies: Vec<StudyFacts>,
    /// Studies that were not, because there are too many.
    pub left_out: u64,
    /// Day whose rules were applied.
    pub date: Date,
    /// Version of the tables.
    pub policy_version: String,
    /// What the region said; none where it was not asked.
    pub region: Option<RegionState>,
}

/// A decision to keep.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct DecisionRequest {
    /// Empty: the node makes one.
    #[serde(skip)]
    pub request_id: String,
    /// The planned examination.
    pub planned: PlannedRequest,
    /// What was decided.
    pub decision: Decision,
    /// The doctor's words.
    pub explanation: String,
    /// Whether the patient was told why it is repeated.
    pub patient_told: bool,
}

/// Items of a page, the six grounds, the version of the tables, and the token of the next page.
#[derive(Debug, Clone, PartialEq)]
pub struct ItemPage {
    /// By id.
    pub items: Vec<Item>,
    /// As they are worded on the day.
    pub grounds: Vec<GroundText>,
    /// Version of the tables.
    pub policy_version: String,
    /// Token of the next page; empty at the end.
    pub next_page_token: String,
}

/// A kept decision, worked out again.
#[derive(Debug, Clone, PartialEq)]
pub struct Explained {
    /// What was kept.
    pub kept: KeptDecision,
    /// By the rules of its day.
    pub explanation: Explanation,
}

/// What was assessed, and everything it rests on.
struct Judged {
    answer: Answer,
    existing: Vec<Existing>,
    planned: Vec<Planned>,
}

impl App {
    /// What can be recognised on `date`, empty for today.
    pub fn recognition_items(
        &self,
        caller: &Caller,
        page: &PageRequest,
        date: &str,
    ) -> Result<ItemPage, Error> {
        authorise(caller, Action::SearchKnowledge)?;
        let mut problems = Problems::default();
        let date = self.day(&mut problems, "date", date);
        problems.finish()?;
        let (size, skip) = page.open(ITEMS_SEAL)?;
        let skip = usize::try_from(skip.unwrap_or(0)).unwrap_or(usize::MAX);
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        let knowledge = self.knowledge.load();
        let policy = knowledge.recognition.on(date);
        let all = policy.items();
        let more = all.len() > skip.saturating_add(size);
        let token = if more { format!("{ITEMS_SEAL}-{}", skip + size) } else { String::new() };
        Ok(ItemPage {
            items: all.into_iter().skip(skip).take(size).collect(),
            grounds: policy.grounds(),
            policy_version: policy.version().to_owned(),
            next_page_token: token,
        })
    }

    /// Which of the patient's studies stand in the place of a planned examination.
    pub async fn assess_recognition(
        &self,
        caller: &Caller,
        request: &PlannedRequest,
    ) -> Result<Answer, Error> {
        let permit = authorise(caller, Action::AssessRecognition)?;
        self.images()?;
        let knowledge = self.knowledge.load_full();
        let asked = self.asked(&knowledge, request)?;
        self.journal.audit(&permit, self.entry("", &request.patient_id)).await?;
        Ok(self.judge(caller, &knowledge, request, &asked).await?.answer)
    }

    /// Keeps a decision. `true` when the request id was known and the answer is what was kept
    /// then.
    pub async fn record_recognition(
        &self,
        caller: &Caller,
        mut request: DecisionRequest,
    ) -> Result<(KeptDecision, bool), Error> {
        let permit = authorise(caller, Action::RecordRecognition)?;
        self.images()?;
        let knowledge = self.knowledge.load_full();
        request.validate()?;
        request.claim_ground();
        let asked = self.asked(&knowledge, &request.planned)?;
        if asked.examinations.len() != 1 {
            let allowed = "must name one examination: give examination_id";
            return Err(Error::field("planned.text", allowed));
        }
        let request_json = encode(&request)?;
        let content = content_sha256(&request_json);
        let known =
            (RecordKind::Recognition, &mut request.request_id, &*request.planned.patient_id);
        if let Some(kept) = self.answered(&permit, known, content).await? {
            return Ok((kept, true));
        }
        let judged = self.judge(caller, &knowledge, &request.planned, &asked).await?;
        let kept = self.decided(&permit, &request, judged)?;
        let explanation = explain(&knowledge.recognition, &kept.record);
        let kept = KeptDecision { follows: explanation.follows, ..kept };
        let record = NewRecord {
            id: kept.id.clone(),
            kind: RecordKind::Recognition,
            request_id: kept.request_id.clone(),
            content_sha256: content,
            patient_reference: kept.patient_id.clone(),
            created_ms: kept.created_ms,
            request_json,
            answer_json: encode(&kept)?,
            summary_json: encode(&DecisionLine::from(&kept))?,
            model_version: String::new(),
            rule_version: kept.record.policy_version.clone(),
        };
        self.keep(&permit, record, kept).await
    }

    /// Kept decisions, newest first, and the token of the next page.
    pub async fn list_recognition(
        &self,
        caller: &Caller,
        page: &PageRequest,
    ) -> Result<(Vec<DecisionLine>, String), Error> {
        let permit = authorise(caller, Action::ReadRecognition)?;
        // A patient ID of images may have any characters; a reference of the clinic may not.
        let mut problems = Problems::default();
        let patient = page.patient_reference.as_str();
        problems.chars("patient_id", patient, ID_CHARS_MAX);
        problems.finish()?;
        let any = PageRequest { patient_reference: String::new(), ..page.clone() };
        let window = any.open(SEAL)?;
        self.list_kept(&permit, (RecordKind::Recognition, SEAL), window, patient).await
    }

    /// A kept decision, worked out again by the rules of its day.
    pub async fn explain_recognition(&self, caller: &Caller, id: &str) -> Result<Explained, Error> {
        let what = (RecordKind::Recognition, "recognition decision");
        let kept: KeptDecision =
            self.read_record(caller, Action::ReadRecognition, what, ("decision_id", id)).await?;
        let knowledge = self.knowledge.load_full();
        let explanation = explain(&knowledge.recognition, &kept.record);
        Ok(Explained { kept, explanation })
    }

    /// Looks the studies up and applies the rules of the day, once for each examination.
    async fn judge(
        &self,
        caller: &Caller,
        knowledge: &Knowledge,
        request: &PlannedRequest,
        asked: &Asked,
    ) -> Result<Judged, Error> {
        let requester = Requester::of(caller.clone());
        let looked = self.existing(&requester, knowledge, request, &asked.stated).await?;
        let policy = knowledge.recognition.on(asked.date);
        let planned: Vec<Planned> = if asked.examinations.is_empty() {
            vec![asked.planned(None)]
        } else {
            asked.examinations.iter().map(|id| asked.planned(Some(id.clone()))).collect()
        };
        let assessed = planned
            .iter()
            .map(|planned| {
                let examination = planned.examination.clone().unwrap_or_default();
                let known = knowledge.examinations.examination(&examination);
                Assessed {
                    name: known.map(|e| e.zh.clone()).unwrap_or_default(),
                    assessment: assess(&policy, planned, &looked.existing),
                    examination,
                }
            })
            .collect();
        let answer = Answer {
            assessed,
            studies: looked.studies,
            left_out: looked.left_out,
            date: asked.date,
            policy_version: policy.version().to_owned(),
            region: looked.region,
        };
        Ok(Judged { answer, existing: looked.existing, planned })
    }

    /// The decision with what it was taken on.
    fn decided(
        &self,
        permit: &Permit<'_>,
        request: &DecisionRequest,
        judged: Judged,
    ) -> Result<KeptDecision, Error> {
        let Judged { answer, existing, planned } = judged;
        let one = answer.assessed.into_iter().next().zip(planned.into_iter().next());
        let (assessed, planned) = one.ok_or(Error::NotFound { kind: "examination" })?;
        let mut holder = String::new();
        if let Decision::Recognised { study } = &request.decision {
            let Some(taken) = answer.studies.iter().find(|s| s.found.header.study.uid == *study)
            else {
                return Err(Error::field("study_uid", "must be a study of this patient"));
            };
            let made_by =
                existing.iter().find(|e| e.study == *study).map(|e| e.institution.id.as_str());
            let named =
                [made_by.unwrap_or_default(), taken.institution_id.as_str(), &taken.institution];
            named
                .into_iter()
                .find(|name| !name.is_empty())
                .unwrap_or_default()
                .clone_into(&mut holder);
        }
        Ok(KeptDecision {
            id: self.ids.new_id(),
            request_id: request.request_id.clone(),
            created_ms: self.clock.now_ms(),
            patient_id: request.planned.patient_id.clone(),
            examination: assessed.examination,
            examination_name: assessed.name,
            explanation: request.explanation.trim().to_owned(),
            holder,
            refusals: refusals(&assessed.assessment),
            follows: false,
            recorded_by: permit.caller().name.clone(),
            record: DecisionRecord {
                date: answer.date,
                policy_version: answer.policy_version,
                planned,
                existing,
                conclusion: assessed.assessment.conclusion,
                decision: request.decision.clone(),
            },
        })
    }

    /// Today in China.
    pub(in crate::app) fn today(&self) -> Date {
        beijing_day(self.clock.now_ms())
    }

    /// A day of a request; empty is today. At most [`DAYS_AWAY_MAX`] away in the future.
    fn day(&self, problems: &mut Problems, field: &str, text: &str) -> Date {
        let today = self.today();
        if text.is_empty() {
            return today;
        }
        let Ok(day) = text.parse::<Date>() else {
            problems.add(field, "must be a day such as 2026-11-28, or empty");
            return today;
        };
        let away = day.duration_since(today).as_hours() / 24;
        problems.unless(away <= DAYS_AWAY_MAX, field, "must be at most a year from today");
        day
    }
}

impl DecisionRequest {
    fn validate(&self) -> Result<(), Error> {
        let mut problems = Problems::default();
        problems.id("request_id", &self.request_id);
        problems.chars("explanation", &self.explanation, WORDS_CHARS_MAX);
        match &self.decision {
            Decision::Recognised { study } => {
                super::imaging::search::validate_uid(&mut problems, "study_uid", study);
            }
            Decision::Repeated { ground } => {
                let said = *ground != Ground::Other || !self.explanation.trim().is_empty();
                problems.unless(said, "explanation", "is needed with REPEAT_GROUND_OTHER");
                let allowed = "must be true: a refusal is to be explained to the patient";
                problems.unless(self.patient_told, "patient_told", allowed);
            }
            Decision::Examined => {}
        }
        problems.finish()
    }

    /// The ground of a repeat is one that the doctor gives.
    fn claim_ground(&mut self) {
        if let Decision::Repeated { ground } = self.decision
            && !self.planned.grounds.iter().any(|claim| claim.ground == ground)
        {
            let explanation = self.explanation.trim().to_owned();
            self.planned.grounds.push(GroundClaim { ground, explanation });
        }
    }
}

/// What spoke against studies of the same examination, each reason once.
fn refusals(assessment: &Assessment) -> Vec<String> {
    let of_another =
        |s: &StudyAssessment| s.reasons.iter().any(|r| r.code == ReasonCode::ExaminationOther);
    let mut codes: Vec<String> = assessment
        .studies
        .iter()
        .filter(|s| s.verdict == Verdict::NotRecognised && !of_another(s))
        .flat_map(|s| &s.reasons)
        .filter(|r| r.outcome == crate::sharing::recognition::Outcome::Failed)
        .map(|r| r.code.as_str().to_owned())
        .collect();
    codes.sort_unstable();
    codes.dedup();
    codes
}

/// The day in Beijing at `now_ms`, milliseconds since 1970-01-01T00:00:00Z.
pub(in crate::app) fn beijing_day(now_ms: i64) -> Date {
    const HOURS: i8 = 8;
    let offset = jiff::tz::Offset::constant(HOURS);
    let now = jiff::Timestamp::from_millisecond(now_ms);
    now.map(|now| offset.to_datetime(now).date()).unwrap_or_default()
}
