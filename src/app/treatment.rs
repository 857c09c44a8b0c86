//! Use cases of treatment plans: recommended, kept, read again; and what plans there are.

use serde::{Deserialize, Serialize};

use super::access::{Action, Caller, authorise};
use super::error::Error;
use super::ports::{NewRecord, RecordKind};
use super::prescription_check::Problem;
use super::request::{PageRequest, Problems, content_sha256, repeated};
use super::{App, encode};
use crate::medicine::patient::{Measure, Vitals};
use crate::medicine::prescription::{Line, Order};
use crate::medicine::treatment::{
    self, DIAGNOSES_MAX, FLAGS_MAX, Number, PLANS_MAX, PlanQuery, Section, Urgency,
};

/// Lists of kept plans, and of topics, are told apart from others by these.
const SEAL: &str = "recommendations";
const TOPICS_SEAL: &str = "topics";
/// Characters of the name of a number, sign or plan at most.
const NAME_CHARS_MAX: usize = 100;

/// A patient to plan for.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PlanRequest {
    /// Empty: the node makes one.
    #[serde(skip)]
    pub request_id: String,
    /// The clinic's reference of the patient; may be empty.
    pub patient_reference: String,
    /// Vital signs.
    pub vitals: Vitals,
    /// Everything else.
    pub query: PlanQuery,
}

/// A row without a medicine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AdviceLine {
    /// Row.
    pub rule: String,
    /// What it is.
    pub section: SectionName,
    /// Whether its condition holds now.
    pub applies_now: bool,
    /// The sentence.
    pub text: String,
    /// How soon.
    pub urgency: Option<UrgencyName>,
    /// In how many days.
    pub days: Option<f64>,
    /// Date of the follow-up.
    pub date: String,
    /// Remark for the doctor.
    pub annotation: String,
    /// Citation.
    pub source: String,
}

/// A medicine of a plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlannedLine {
    /// Row.
    pub rule: String,
    /// What it is.
    pub section: SectionName,
    /// Code.
    pub code: String,
    /// Name.
    pub name: String,
    /// One dose.
    pub dose: f64,
    /// Its unit.
    pub unit: String,
    /// How it was worked out.
    pub basis: String,
    /// Route.
    pub route: String,
    /// Frequency.
    pub frequency: String,
    /// Days.
    pub days: Option<f64>,
    /// Why and how.
    pub text: String,
    /// Remark for the doctor.
    pub annotation: String,
    /// What the check says.
    pub problems: Vec<Problem>,
    /// Row, code, name and dose of what passed too.
    pub alternatives: Vec<(String, String, String, String)>,
    /// Citation.
    pub source: String,
}

/// A medicine that is not proposed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RejectedLine {
    /// Row.
    pub rule: String,
    /// Code.
    pub code: String,
    /// Name.
    pub name: String,
    /// Why not.
    pub reasons: Vec<String>,
}

/// Something to ask or measure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wanted {
    /// Name.
    pub name: String,
    /// What to ask for.
    pub question: String,
    /// Whether danger hangs on it.
    pub about_danger: bool,
}

/// Two guidelines that disagree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disagreement {
    /// About what.
    pub topic: String,
    /// The one: text and citation.
    pub a: (String, String),
    /// The other.
    pub b: (String, String),
    /// Whether `a` is followed.
    pub follows_a: bool,
    /// Why.
    pub reason: String,
}

/// A plan for the patient.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlanAnswer {
    /// Id.
    pub id: String,
    /// Name.
    pub name: String,
    /// For whom it is.
    pub scope: String,
    /// Citation.
    pub source: String,
    /// Rows without a medicine.
    pub advice: Vec<AdviceLine>,
    /// Medicines.
    pub medicines: Vec<PlannedLine>,
    /// Medicines that are not proposed.
    pub rejected: Vec<RejectedLine>,
    /// What to ask.
    pub wanted: Vec<Wanted>,
    /// Where guidelines disagree.
    pub conflicts: Vec<Disagreement>,
}

/// Kept plans.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Recommended {
    /// Id.
    pub id: String,
    /// Request id, given or made.
    pub request_id: String,
    /// Milliseconds since 1970.
    pub created_ms: i64,
    /// The clinic's reference of the patient.
    pub patient_reference: String,
    /// Plans.
    pub plans: Vec<PlanAnswer>,
    /// Diagnoses without a plan.
    pub without_plan: Vec<String>,
    /// Version of the treatment tables.
    pub plan_version: String,
    /// Version of the prescription tables.
    pub rule_version: String,
}

/// What a list shows of kept plans.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecommendedLine {
    /// Id.
    pub id: String,
    /// Milliseconds since 1970.
    pub created_ms: i64,
    /// The clinic's reference of the patient.
    pub patient_reference: String,
    /// Names of the plans.
    pub plans: Vec<String>,
}

/// A condition that has a plan.
#[derive(Debug, Clone, PartialEq)]
pub struct Topic {
    /// Id.
    pub id: String,
    /// Name.
    pub name: String,
    /// ICD-10 prefixes.
    pub icd10: Vec<String>,
    /// For whom it is.
    pub scope: String,
    /// What its rows may ask for.
    pub inputs: Vec<Wanted>,
    /// Citation.
    pub source: String,
}

/// What a row is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SectionName {
    /// First aid.
    FirstAid,
    /// Mind this.
    Warning,
    /// Goal.
    Goal,
    /// Medicine.
    Medicine,
    /// Beside medicines.
    Measure,
    /// Test.
    Test,
    /// Tell the patient.
    Advice,
    /// Come back.
    FollowUp,
    /// Stop.
    Stop,
    /// Step up.
    Escalate,
    /// Refer.
    Refer,
}

/// How soon.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UrgencyName {
    /// Now.
    Now,
    /// Today.
    Today,
    /// Within three days.
    ThreeDays,
    /// Within two weeks.
    TwoWeeks,
    /// When it suits.
    Routine,
}

impl App {
    /// Recommends plans and keeps them. `true` when the request id was known and the answer is
    /// the one given then.
    pub async fn recommend_plan(
        &self,
        caller: &Caller,
        mut request: PlanRequest,
    ) -> Result<(Recommended, bool), Error> {
        let permit = authorise(caller, Action::RecommendPlan)?;
        request.validate()?;
        let request_json = encode(&request)?;
        let content = content_sha256(&request_json);
        let asked = (RecordKind::Plan, &mut request.request_id, &*request.patient_reference);
        if let Some(kept) = self.answered(&permit, asked, content).await? {
            return Ok((kept, true));
        }
        let knowledge = self.knowledge.load_full();
        let mut unknown = Problems::default();
        for (field, name) in knowledge.treatment.unknown_names(&request.query) {
            let name = repeated(&name);
            unknown.add(field, format!("must not name {name}, which ListPlanTopics does not know"));
        }
        unknown.finish()?;
        request.query.take_vitals(&request.vitals);
        let rx = &knowledge.prescription;
        let plans = knowledge.treatment.recommend(rx, &request.query);
        let without_plan = knowledge.treatment.without_plan(rx, &request.query, &plans);
        let created_ms = self.clock.now_ms();
        let answer = Recommended {
            id: self.ids.new_id(),
            request_id: request.request_id.clone(),
            created_ms,
            patient_reference: request.patient_reference.clone(),
            plans: plans.into_iter().map(|plan| answer(plan, created_ms)).collect(),
            without_plan,
            plan_version: knowledge.treatment.version().to_owned(),
            rule_version: knowledge.prescription.version().to_owned(),
        };
        let line = RecommendedLine {
            id: answer.id.clone(),
            created_ms,
            patient_reference: answer.patient_reference.clone(),
            plans: answer.plans.iter().map(|plan| plan.name.clone()).collect(),
        };
        let record = NewRecord {
            id: answer.id.clone(),
            kind: RecordKind::Plan,
            request_id: answer.request_id.clone(),
            content_sha256: content,
            patient_reference: answer.patient_reference.clone(),
            created_ms,
            request_json,
            answer_json: encode(&answer)?,
            summary_json: encode(&line)?,
            model_version: String::new(),
            rule_version: answer.plan_version.clone(),
        };
        self.keep(&permit, record, answer).await
    }

    /// Kept plans.
    pub async fn get_recommendation(
        &self,
        caller: &Caller,
        id: &str,
    ) -> Result<Recommended, Error> {
        let what = (RecordKind::Plan, "recommendation");
        self.read_record(caller, Action::RecommendPlan, what, ("recommendation_id", id)).await
    }

    /// Kept plans, newest first, and the token of the next page.
    pub async fn list_recommendations(
        &self,
        caller: &Caller,
        page: &PageRequest,
    ) -> Result<(Vec<RecommendedLine>, String), Error> {
        self.list_records(caller, Action::RecommendPlan, (RecordKind::Plan, SEAL), page).await
    }

    /// Conditions that have a plan, in the order of the table, and the token of the next page.
    pub fn list_plan_topics(
        &self,
        caller: &Caller,
        page: &PageRequest,
    ) -> Result<(Vec<Topic>, String), Error> {
        authorise(caller, Action::SearchKnowledge)?;
        let knowledge = self.knowledge.load();
        let topics = knowledge.treatment.plans().iter().enumerate().map(|(at, plan)| Topic {
            id: plan.id.clone(),
            name: plan.name_zh.clone(),
            icd10: plan.icd.clone(),
            scope: plan.scope_zh.clone(),
            inputs: knowledge.treatment.inputs_of(at).into_iter().map(wanted).collect(),
            source: knowledge.treatment.sources().cite(&plan.source),
        });
        paged(topics, page, TOPICS_SEAL)
    }
}

/// One page of a list that is made from tables.
pub(super) fn paged<T>(
    items: impl ExactSizeIterator<Item = T>,
    page: &PageRequest,
    seal: &str,
) -> Result<(Vec<T>, String), Error> {
    let (size, skip) = page.open(seal)?;
    let skip = usize::try_from(skip.unwrap_or(0)).unwrap_or(usize::MAX);
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    let total = items.len();
    let found: Vec<T> = items.skip(skip).take(size).collect();
    let end = skip.saturating_add(found.len());
    Ok((found, if end < total { format!("{seal}-{end}") } else { String::new() }))
}

impl PlanRequest {
    /// Checks every field.
    pub fn validate(&self) -> Result<(), Error> {
        let mut problems = Problems::default();
        problems.id("request_id", &self.request_id);
        problems.id("patient.reference", &self.patient_reference);
        problems.vitals(&self.vitals);
        let query = &self.query;
        // The order is checked as one with a line: what else it says must be possible.
        let line = Line { id: "1".to_owned(), name: "-".to_owned(), ..Line::default() };
        let order = Order { lines: vec![line], ..query.order.clone() };
        for problem in order.problems() {
            problems.add(problem.field, format!("must be {}", problem.allowed));
        }
        problems.unless(
            !query.order.diagnoses.is_empty() || !query.plans.is_empty(),
            "diagnoses",
            "must not be empty when there are no plan_ids",
        );
        problems.unless(
            query.order.diagnoses.len() <= DIAGNOSES_MAX,
            "diagnoses",
            "must have at most 10 entries",
        );
        problems.unless(query.plans.len() <= PLANS_MAX, "plan_ids", "must have at most 5 entries");
        let flags = query.present.len() + query.absent.len();
        problems.unless(flags <= FLAGS_MAX, "present", "must with absent have at most 200 entries");
        for name in query.plans.iter().chain(&query.present).chain(&query.absent) {
            problems.chars("present", name, NAME_CHARS_MAX);
        }
        if let Some(both) = query.present.intersection(&query.absent).next() {
            let both = repeated(both);
            problems.add("absent", format!("must not name {both}, which is present too"));
        }
        for (name, value) in &query.numbers {
            if let Some(number) = Number::named(name) {
                let (min, max) = number.range();
                if !(min..=max).contains(value) {
                    problems.add(format!("numbers.{name}"), format!("must be from {min} to {max}"));
                }
            }
        }
        problems.finish()
    }
}

impl PlanQuery {
    /// Takes vital signs over as numbers, where a number is not given.
    fn take_vitals(&mut self, vitals: &Vitals) {
        for (measure, number) in [
            (Measure::SystolicMmhg, Number::Systolic),
            (Measure::DiastolicMmhg, Number::Diastolic),
            (Measure::HeartRateBpm, Number::HeartRate),
            (Measure::RespiratoryRateBpm, Number::RespiratoryRate),
            (Measure::TemperatureC, Number::Temperature),
            (Measure::Spo2Percent, Number::Saturation),
            (Measure::GlucoseMmolL, Number::Glucose),
            (Measure::HemoglobinGL, Number::Haemoglobin),
            (Measure::CreatinineUmolL, Number::Creatinine),
        ] {
            if let Some(value) = vitals.get(measure) {
                self.numbers.entry(number.name().to_owned()).or_insert(f64::from(value));
            }
        }
        if self.order.chart.creatinine_umol_l.is_none() {
            self.order.chart.creatinine_umol_l = vitals.creatinine_umol_l;
        }
    }
}

fn answer(plan: treatment::Recommendation, now_ms: i64) -> PlanAnswer {
    PlanAnswer {
        id: plan.plan,
        name: plan.name_zh,
        scope: plan.scope_zh,
        source: plan.citation,
        advice: plan
            .advice
            .into_iter()
            .map(|a| AdviceLine {
                rule: a.rule,
                section: a.section.into(),
                applies_now: a.applies_now,
                text: a.text_zh,
                urgency: a.urgency.map(Into::into),
                date: match (a.section, a.days) {
                    (Section::FollowUp, Some(days)) => date(now_ms, days),
                    _ => String::new(),
                },
                days: a.days,
                annotation: a.annotation_zh,
                source: a.citation,
            })
            .collect(),
        medicines: plan
            .medicines
            .into_iter()
            .map(|m| PlannedLine {
                rule: m.rule,
                section: m.section.into(),
                code: m.code,
                name: m.name_zh,
                dose: m.dose,
                unit: m.unit,
                basis: m.dose_basis,
                route: m.route_zh,
                frequency: m.frequency,
                days: m.days,
                text: m.text_zh,
                annotation: m.annotation_zh,
                problems: m.findings.into_iter().map(Into::into).collect(),
                alternatives: m
                    .alternatives
                    .into_iter()
                    .map(|o| (o.rule, o.code, o.name_zh, o.dose))
                    .collect(),
                source: m.citation,
            })
            .collect(),
        rejected: plan
            .rejected
            .into_iter()
            .map(|r| RejectedLine {
                rule: r.rule,
                code: r.code,
                name: r.name_zh,
                reasons: r.reasons_zh,
            })
            .collect(),
        wanted: plan.wanted.into_iter().map(wanted).collect(),
        conflicts: plan
            .conflicts
            .into_iter()
            .map(|d| Disagreement {
                topic: d.topic_zh,
                a: d.a,
                b: d.b,
                follows_a: d.follows_a,
                reason: d.why_zh,
            })
            .collect(),
    }
}

fn wanted(input: treatment::WantedInput) -> Wanted {
    Wanted { name: input.name, question: input.question_zh, about_danger: input.about_danger }
}

/// The date so many days later, by the clock of Beijing.
fn date(now_ms: i64, days: f64) -> String {
    const DAY_MS: f64 = 86_400_000.0;
    const BEIJING: i8 = 8;
    #[expect(clippy::as_conversions, clippy::cast_possible_truncation, reason = "days are few")]
    let later = now_ms.saturating_add((days * DAY_MS) as i64);
    let offset = jiff::tz::Offset::constant(BEIJING);
    let moment = jiff::Timestamp::from_millisecond(later);
    moment.map(|m| offset.to_datetime(m).date().to_string()).unwrap_or_default()
}

impl From<Section> for SectionName {
    fn from(section: Section) -> Self {
        match section {
            Section::FirstAid => Self::FirstAid,
            Section::Warning => Self::Warning,
            Section::Goal => Self::Goal,
            Section::Medicine => Self::Medicine,
            Section::Measure => Self::Measure,
            Section::Test => Self::Test,
            Section::Advice => Self::Advice,
            Section::FollowUp => Self::FollowUp,
            Section::Stop => Self::Stop,
            Section::Escalate => Self::Escalate,
            Section::Refer => Self::Refer,
        }
    }
}

impl From<Urgency> for UrgencyName {
    fn from(urgency: Urgency) -> Self {
        match urgency {
            Urgency::Now => Self::Now,
            Urgency::Today => Self::Today,
            Urgency::Days3 => Self::ThreeDays,
            Urgency::Week2 => Self::TwoWeeks,
            Urgency::Routine => Self::Routine,
        }
    }
}
