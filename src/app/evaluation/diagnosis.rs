//! `xiangyi eval diagnosis`: the differential, red flags, triage and interviews against cases.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Value, json};

use super::Evaluation;
use super::cases::{DiagnosisCase, Urgency};
use super::scores::{Calibration, Hits, percentiles, rounded, share};
use super::terms;
use crate::app::App;
use crate::app::consultation::State;
use crate::app::diagnoses::Assessment;
use crate::app::error::Error;
use crate::app::knowledge::Knowledge;
use crate::app::request::DiagnoseRequest;
use crate::medicine::diagnosis::differential::Differential;
use crate::medicine::diagnosis::reading::Presence;
use crate::medicine::diagnosis::triage::{self, Place, Triage};
use crate::medicine::patient::Vitals;
use crate::medicine::vocabulary::{ConditionId, FindingId};

/// Conditions written per case.
const WRITTEN: usize = 10;
/// Marks that end the first clause of a text.
const CLAUSE_ENDS: [char; 9] = ['，', '。', '；', ',', ';', '！', '？', '\n', '、'];

/// Which parts of a case the node is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input {
    /// Only the text.
    Text,
    /// Only the terms.
    Terms,
    /// Both.
    Both,
}

/// Watches a run: tells the time and is told how far it is.
pub trait Watch {
    /// Time since any fixed moment.
    fn now(&self) -> Duration;
    /// So many cases are done.
    fn done(&mut self, cases: usize);
}

/// How a run goes.
#[derive(Debug, Clone, Copy)]
pub struct DiagnosisOptions {
    /// What the node is given.
    pub input: Input,
    /// Ask at most so many questions, from the chief complaint on.
    pub interview: Option<u32>,
}

/// What a run adds up.
#[derive(Debug, Default)]
struct Sums {
    all: Hits,
    covered: Hits,
    candidates: Hits,
    levels: BTreeMap<String, Hits>,
    calibration: Calibration,
    among: Calibration,
    emergencies: (usize, usize),
    routine: (usize, usize),
    triage: [usize; 4],
    asked: (usize, usize),
    millis: Vec<f64>,
    unresolved: Vec<Value>,
}

impl App {
    /// Decides every case and compares.
    pub async fn evaluate_diagnosis(
        &self,
        cases: &[DiagnosisCase],
        options: DiagnosisOptions,
        watch: &mut (impl Watch + Send),
    ) -> Result<Evaluation, Error> {
        let knowledge = self.knowledge.load_full();
        let mut sums = Sums::default();
        let mut lines = Vec::with_capacity(cases.len());
        for (done, case) in cases.iter().enumerate() {
            let begun = watch.now();
            lines.push(self.decide_case(&knowledge, case, options, &mut sums).await?);
            sums.millis.push(watch.now().saturating_sub(begun).as_secs_f64() * 1000.0);
            watch.done(done + 1);
        }
        Ok(Evaluation { report: sums.report(options), cases: lines })
    }

    async fn decide_case(
        &self,
        knowledge: &Knowledge,
        case: &DiagnosisCase,
        options: DiagnosisOptions,
        sums: &mut Sums,
    ) -> Result<Value, Error> {
        let (full, unresolved) = request(knowledge, case, options.input);
        let (assessment, asked) = match options.interview {
            None => (self.assess(&full).await?, None),
            Some(most) => {
                let (assessment, asked) = self.interview(case, &full, most).await?;
                (assessment, Some(asked))
            }
        };
        let differential = assessment.differential(&full.patient, WRITTEN)?;
        let triage = triage::decide(&knowledge.diagnosis.vocabulary, &differential);
        let judged = judge(knowledge, case, &assessment, sums);
        sums.rules(case, &differential, &triage);
        if let Some(asked) = asked {
            sums.asked = (sums.asked.0 + asked, sums.asked.1 + 1);
        }
        let lost = judged.unresolved.into_iter().chain(unresolved);
        let lost: Vec<Value> = lost
            .map(|(field, name)| json!({"id": case.id, "field": field, "name": name}))
            .collect();
        sums.unresolved.extend(lost.iter().cloned());
        Ok(line(
            knowledge,
            case,
            &assessment,
            (&differential, &triage),
            json!({
                "rank": judged.rank,
                "candidate_rank": judged.candidate_rank,
                "covered": judged.covered,
                "questions": asked,
                "unresolved": lost,
            }),
        ))
    }

    /// Asks at most `most` questions, from the chief complaint on, answered by the whole case.
    async fn interview(
        &self,
        case: &DiagnosisCase,
        full: &DiagnoseRequest,
        most: u32,
    ) -> Result<(Assessment, usize), Error> {
        let truth = self.assess(full).await?;
        let mut request = DiagnoseRequest {
            text: if full.findings.is_empty() { first_clause(&full.text) } else { String::new() },
            findings: Vec::new(),
            vitals: Vitals::default(),
            ..full.clone()
        };
        let chief = full.findings.iter().find(|(_, state)| *state == State::Present);
        request.findings.extend(chief.cloned());
        if request.findings.is_empty() && request.text.is_empty() {
            request.text = first_clause(&case.text);
        }
        let vocabulary = &truth.knowledge.diagnosis.vocabulary;
        let mut asked: BTreeSet<FindingId> = BTreeSet::new();
        let mut last = None;
        let mut assessment = self.assess(&request).await?;
        while asked.len() < usize::try_from(most).unwrap_or(usize::MAX) {
            let next = assessment.questions(&request.patient, &asked, 1, last);
            let Some(question) = next.first() else { break };
            let finding = question.finding;
            asked.insert(finding);
            last = Some(finding);
            let Some(present) = truth.evidence.state(finding) else { continue };
            let state = if present { State::Present } else { State::Absent };
            request.findings.push((vocabulary.finding_slug(finding).to_owned(), state));
            assessment = self.assess(&request).await?;
        }
        let count = asked.len();
        Ok((assessment, count))
    }
}

/// Where the right answers stand in one case.
struct Judged {
    rank: Option<usize>,
    candidate_rank: Option<usize>,
    covered: bool,
    unresolved: Vec<(&'static str, String)>,
}

fn judge(
    knowledge: &Knowledge,
    case: &DiagnosisCase,
    assessment: &Assessment,
    sums: &mut Sums,
) -> Judged {
    let vocabulary = &knowledge.diagnosis.vocabulary;
    let labels = knowledge.labels.conditions();
    let resolve = |name: &String| -> Vec<ConditionId> {
        let mut found = vocabulary.resolve_conditions(name);
        if found.is_empty() {
            found = vocabulary.resolve_conditions(name.trim().trim_start_matches("小儿"));
        }
        found.retain(|id| labels.contains(id));
        found
    };
    let gold: BTreeSet<ConditionId> = case.gold.iter().flat_map(resolve).collect();
    let mut ranked = assessment.ranked();
    ranked.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    let place = |list: &[(ConditionId, f32)]| {
        list.iter().position(|(id, _)| gold.contains(id)).map(|at| at + 1)
    };
    let rank = place(&ranked);
    let mut unresolved = Vec::new();
    if gold.is_empty() {
        unresolved.extend(case.gold.iter().map(|name| ("gold", name.clone())));
    }
    sums.all.add(rank);
    if let Some(level) = &case.level {
        sums.levels.entry(level.clone()).or_default().add(rank);
    }
    if !gold.is_empty() {
        sums.covered.add(rank);
        add(&mut sums.calibration, &ranked, &gold, 1.0);
    }
    let mut candidate_rank = None;
    if !case.candidates.is_empty() {
        let mut offered = BTreeSet::new();
        for name in &case.candidates {
            let found = resolve(name);
            if found.is_empty() {
                unresolved.push(("candidates", name.clone()));
            }
            offered.extend(found);
        }
        let among: Vec<_> = ranked.iter().filter(|(id, _)| offered.contains(id)).copied().collect();
        candidate_rank = place(&among);
        sums.candidates.add(candidate_rank);
        let total: f32 = among.iter().map(|(_, p)| p).sum();
        if total > 0.0 && !gold.is_empty() {
            add(&mut sums.among, &among, &gold, f64::from(total));
        }
    }
    Judged { rank, candidate_rank, covered: !gold.is_empty(), unresolved }
}

fn add(
    sums: &mut Calibration,
    ranked: &[(ConditionId, f32)],
    gold: &BTreeSet<ConditionId>,
    total: f64,
) {
    let Some((first, p)) = ranked.first() else { return };
    // Several right names of one case are one truth: their probabilities add up.
    let right: f64 = ranked.iter().filter(|r| gold.contains(&r.0)).map(|r| f64::from(r.1)).sum();
    let wrong = ranked.iter().filter(|r| !gold.contains(&r.0));
    let wrong: f64 = wrong.map(|r| (f64::from(r.1) / total).powi(2)).sum();
    let brier = (1.0 - right / total).powi(2) + wrong;
    sums.add((f64::from(*p) / total, gold.contains(first)), brier);
}

impl Sums {
    fn rules(&mut self, case: &DiagnosisCase, differential: &Differential<'_>, triage: &Triage) {
        let Some(wanted) = case.triage else { return };
        let alarmed = usize::from(!differential.red_flags.is_empty());
        match wanted {
            Urgency::Emergency => {
                self.emergencies = (self.emergencies.0 + alarmed, self.emergencies.1 + 1);
            }
            Urgency::Routine => self.routine = (self.routine.0 + alarmed, self.routine.1 + 1),
            Urgency::Urgent => {}
        }
        let got = urgency(triage, alarmed > 0);
        let [n, right, under, over] = &mut self.triage;
        *n += 1;
        *right += usize::from(got == wanted);
        *under += usize::from(got < wanted);
        *over += usize::from(got > wanted);
    }

    fn report(self, options: DiagnosisOptions) -> Value {
        let [n, right, under, over] = self.triage;
        let number = |n: usize| f64::from(u32::try_from(n).unwrap_or(u32::MAX));
        let levels: BTreeMap<_, _> = self.levels.iter().map(|(k, v)| (k, v.value())).collect();
        let all = self.all.value();
        let interview = options.interview.map(|most| {
            json!({
                "questions_max": most,
                "top1": all.get("top1"),
                "top3": all.get("top3"),
                "questions_mean": rounded(number(self.asked.0) / number(self.asked.1)),
            })
        });
        json!({
            "n": all.get("n"),
            "covered": self.covered.value().get("n"),
            "top1": all.get("top1"),
            "top3": all.get("top3"),
            "top5": all.get("top5"),
            "over_covered": self.covered.value(),
            "among_candidates": {
                "hits": self.candidates.value(),
                "ece": self.among.ece(),
                "brier": self.among.brier(),
            },
            "by_level": levels,
            "ece": self.calibration.ece(),
            "brier": self.calibration.brier(),
            "red_flag": {
                "recall": share(self.emergencies.0, self.emergencies.1),
                "emergencies": self.emergencies.1,
                "alarm_rate": share(self.routine.0, self.routine.1),
                "routine": self.routine.1,
            },
            "triage": {
                "n": n,
                "accuracy": share(right, n),
                "under": share(under, n),
                "over": share(over, n),
            },
            "interview": interview,
            "unresolved": {"count": self.unresolved.len(), "list": self.unresolved},
            "ms": percentiles(self.millis),
        })
    }
}

/// A place of care in the words of case files.
fn urgency(triage: &Triage, alarmed: bool) -> Urgency {
    match triage.place {
        Place::Ambulance => Urgency::Emergency,
        _ if triage.emergency => Urgency::Emergency,
        Place::County | Place::Township if triage.can_wait => Urgency::Routine,
        Place::County | Place::Township => Urgency::Urgent,
        Place::Clinic | Place::Home if alarmed => Urgency::Urgent,
        Place::Clinic | Place::Home => Urgency::Routine,
    }
}

/// The case as the node is asked, and the terms that nobody could resolve.
fn request(
    knowledge: &Knowledge,
    case: &DiagnosisCase,
    input: Input,
) -> (DiagnoseRequest, Vec<(&'static str, String)>) {
    let vocabulary = &knowledge.diagnosis.vocabulary;
    let patient = case.patient();
    let mut findings = Vec::new();
    let mut unresolved = Vec::new();
    if input != Input::Text {
        for (field, terms, wanted) in
            [("present", &case.present, State::Present), ("absent", &case.absent, State::Absent)]
        {
            for term in terms {
                let before = findings.len();
                for (id, affirmed) in terms::meaning(knowledge, &patient, term) {
                    // A negation in a list of what is absent says the same.
                    let state = if affirmed { wanted } else { State::Absent };
                    findings.push((vocabulary.finding_slug(id).to_owned(), state));
                }
                if findings.len() == before {
                    unresolved.push((field, term.clone()));
                }
            }
        }
    }
    let request = DiagnoseRequest {
        request_id: String::new(),
        patient_reference: String::new(),
        patient,
        text: if input == Input::Terms { String::new() } else { case.text.clone() },
        findings,
        vitals: case.vitals,
        condition_count_max: 0,
        month: 0,
    };
    (request, unresolved)
}

fn first_clause(text: &str) -> String {
    text.split(CLAUSE_ENDS).find(|part| !part.trim().is_empty()).unwrap_or_default().to_owned()
}

fn line(
    knowledge: &Knowledge,
    case: &DiagnosisCase,
    assessment: &Assessment,
    (differential, triage): (&Differential<'_>, &Triage),
    judged: Value,
) -> Value {
    let vocabulary = &knowledge.diagnosis.vocabulary;
    let mut ranked = assessment.ranked();
    ranked.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    let ranked: Vec<Value> = ranked
        .iter()
        .take(WRITTEN)
        .filter_map(|(id, p)| {
            let condition = vocabulary.get_condition(*id)?;
            Some(json!({
                "condition": condition.slug,
                "name": condition.name_zh,
                "icd10": condition.icd10,
                "probability": rounded(f64::from(*p)),
            }))
        })
        .collect();
    let alarms: Vec<Value> = differential
        .red_flags
        .iter()
        .map(|hit| json!({"rule": hit.flag.id, "name": hit.flag.name_zh}))
        .collect();
    let read = |wanted: Presence| -> Vec<&str> {
        let mentions = assessment.reading.mentions.iter().filter(|m| m.presence == wanted);
        mentions.map(|m| vocabulary.finding_slug(m.finding)).collect()
    };
    let used = |wanted: bool| -> Vec<&str> {
        let facts = assessment.evidence.facts().iter().filter(|fact| fact.present == wanted);
        facts.map(|fact| vocabulary.finding_slug(fact.finding)).collect()
    };
    let mut line = json!({
        "id": case.id,
        "ranked": ranked,
        "outside_probability": rounded(f64::from(differential.outside_probability)),
        "alerts": alarms,
        "triage": urgency(triage, !alarms.is_empty()).name(),
        "triage_reason": triage.reason,
        "used": {"present": used(true), "absent": used(false)},
        "read": {"present": read(Presence::Present), "absent": read(Presence::Absent)},
    });
    if let (Some(line), Value::Object(judged)) = (line.as_object_mut(), judged) {
        line.extend(judged);
    }
    line
}
