//! Use cases of diagnosis.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::access::{Action, Caller, authorise};
use super::consultation::{Consultation, ConsultationLine};
use super::error::Error;
use super::explain;
use super::knowledge::Knowledge;
use super::ports::{NewRecord, RecordKind};
use super::request::{CONDITIONS_DEFAULT, DiagnoseRequest, PageRequest, content_sha256};
use super::{App, encode};
use crate::app::consultation::State;
use crate::medicine::diagnosis::differential::{Differential, Inputs};
use crate::medicine::diagnosis::evidence::{Claims, Evidence};
use crate::medicine::diagnosis::interview::{Question, Situation};
use crate::medicine::diagnosis::reading::Reading;
use crate::medicine::diagnosis::triage;
use crate::medicine::diagnosis::workup::Suggestion;
use crate::medicine::patient::{Patient, Sex};
use crate::medicine::vocabulary::{ConditionId, FindingId};

/// Lists of consultations are told apart from others by this.
const SEAL: &str = "consultations";

/// Questions told with an answer.
const NEXT_MAX: usize = 5;
/// Tests told with an answer.
const TESTS_MAX: usize = 4;

/// What was understood of a request, and what the model says to it.
pub(super) struct Assessment {
    pub(super) knowledge: Arc<Knowledge>,
    pub(super) reading: Reading,
    pub(super) evidence: Evidence,
    /// Coded findings that the vocabulary does not have.
    pub(super) unknown: Vec<String>,
    /// One per label; none where the model had nothing to go by.
    pub(super) probabilities: Option<Vec<f32>>,
}

impl App {
    /// Ranks conditions for a consultation and keeps the answer. `true` when the request id was
    /// known and the answer is the one given then.
    pub async fn diagnose(
        &self,
        caller: &Caller,
        mut request: DiagnoseRequest,
    ) -> Result<(Consultation, bool), Error> {
        let permit = authorise(caller, Action::Diagnose)?;
        request.validate()?;
        let request_json = encode(&request)?;
        let content = content_sha256(&request_json);
        let kind = RecordKind::Consultation;
        let asked = (kind, &mut request.request_id, &*request.patient_reference);
        if let Some(kept) = self.answered(&permit, asked, content).await? {
            return Ok((kept, true));
        }
        let answer = self.decide(&request).await?;
        let line = ConsultationLine {
            id: answer.id.clone(),
            created_ms: answer.created_ms,
            patient_reference: answer.patient_reference.clone(),
            top_condition: answer
                .conditions
                .first()
                .map(|c| c.condition.clone())
                .unwrap_or_default(),
            red_flag_count: u32::try_from(answer.alarms.len()).unwrap_or(u32::MAX),
        };
        let record = NewRecord {
            id: answer.id.clone(),
            kind,
            request_id: answer.request_id.clone(),
            content_sha256: content,
            patient_reference: answer.patient_reference.clone(),
            created_ms: answer.created_ms,
            request_json,
            answer_json: encode(&answer)?,
            summary_json: encode(&line)?,
            model_version: answer.model_version.clone(),
            rule_version: answer.knowledge_version.clone(),
        };
        self.keep(&permit, record, answer).await
    }

    /// A kept consultation.
    pub async fn get_consultation(&self, caller: &Caller, id: &str) -> Result<Consultation, Error> {
        let what = (RecordKind::Consultation, "consultation");
        self.read_record(caller, Action::ReadConsultations, what, ("consultation_id", id)).await
    }

    /// Kept consultations, newest first, and the token of the next page.
    pub async fn list_consultations(
        &self,
        caller: &Caller,
        page: &PageRequest,
    ) -> Result<(Vec<ConsultationLine>, String), Error> {
        let what = (RecordKind::Consultation, SEAL);
        self.list_records(caller, Action::ReadConsultations, what, page).await
    }

    /// Reads the request and asks the model.
    pub(super) async fn assess(&self, request: &DiagnoseRequest) -> Result<Assessment, Error> {
        let knowledge = self.knowledge.load_full();
        let (reading, evidence, unknown) = understand(&knowledge, request);
        let row = knowledge.features.vector(&evidence);
        let probabilities = if row.iter().all(|v| v.abs() < 0.5) {
            // Nothing the model could know: prevalence alone is no answer to this patient.
            None
        } else {
            let mut answer = knowledge.differential.predict(row, coded(&request.patient)).await?;
            let (priors, labels) = (&knowledge.diagnosis.priors, knowledge.labels.conditions());
            let month = u8::try_from(request.month).ok().filter(|month| *month > 0);
            let vocabulary = &knowledge.diagnosis.vocabulary;
            priors.adjust(vocabulary, labels, &request.patient, month, &mut answer);
            Some(answer)
        };
        Ok(Assessment { knowledge, reading, evidence, unknown, probabilities })
    }

    async fn decide(&self, request: &DiagnoseRequest) -> Result<Consultation, Error> {
        let assessment = self.assess(request).await?;
        let patient = &request.patient;
        let asked = match request.condition_count_max {
            0 => CONDITIONS_DEFAULT,
            count => count,
        };
        let differential =
            assessment.differential(patient, usize::try_from(asked).unwrap_or(usize::MAX))?;
        let Assessment { knowledge, reading, evidence, unknown, .. } = &assessment;
        let unknown = unknown.clone();
        let triage = triage::decide(&knowledge.diagnosis.vocabulary, &differential);
        let next = assessment.questions(patient, &BTreeSet::new(), NEXT_MAX, None);
        let tests = assessment.tests(patient, TESTS_MAX);
        let description = knowledge.differential.description();
        let shown = explain::Shown { knowledge, text: &request.text };
        Ok(Consultation {
            id: self.ids.new_id(),
            request_id: request.request_id.clone(),
            created_ms: self.clock.now_ms(),
            patient_reference: request.patient_reference.clone(),
            conditions: shown.conditions(&differential),
            alarms: shown.alarms(&differential, evidence),
            mentions: shown.mentions(reading),
            values: shown.values(reading),
            findings: shown.findings(evidence),
            limits: shown.limits(reading, evidence, patient, (unknown, &differential)),
            triage: Some(explain::triage(triage)),
            next: next.iter().map(|question| shown.ask(question)).collect(),
            tests: tests.iter().map(|suggestion| shown.test(suggestion)).collect(),
            model_id: description.id.clone(),
            model_version: description.version.clone(),
            engine: description.engine.clone(),
            knowledge_version: knowledge.diagnosis_version.clone(),
        })
    }
}

impl Assessment {
    /// The explained ranking, with the red flags that fire.
    pub(super) fn differential<'a>(
        &'a self,
        patient: &'a Patient,
        ranked_max: usize,
    ) -> Result<Differential<'a>, Error> {
        let diagnosis = &self.knowledge.diagnosis;
        let evidence = &self.evidence;
        let flags = diagnosis.red_flags.evaluate(evidence, evidence.vitals(), patient);
        let inputs = Inputs {
            vocabulary: &diagnosis.vocabulary,
            likelihoods: &diagnosis.likelihoods,
            features: &self.knowledge.features,
            labels: &self.knowledge.labels,
            evidence,
            patient,
            reading: Some(&self.reading),
            ranked_max,
        };
        match &self.probabilities {
            Some(probabilities) => Differential::new(inputs, probabilities, flags)
                .map_err(|e| Error::internal("model", e)),
            None => Ok(Differential::unranked(inputs, flags)),
        }
    }

    /// Conditions with their probability, in the order of the model.
    pub(super) fn ranked(&self) -> Vec<(ConditionId, f32)> {
        let labels = self.knowledge.labels.conditions().iter().copied();
        labels.zip(self.probabilities.iter().flatten().copied()).collect()
    }

    /// What to ask next, the most telling first; nothing once the order is settled.
    pub(super) fn questions(
        &self,
        patient: &Patient,
        skipped: &BTreeSet<FindingId>,
        count: usize,
        last: Option<FindingId>,
    ) -> Vec<Question> {
        let probabilities = self.ranked();
        let situation = self.situation(patient, &probabilities, skipped);
        if situation.is_settled() { Vec::new() } else { situation.questions(count, last) }
    }

    /// Tests worth doing, the most telling first; none once the order is settled.
    fn tests(&self, patient: &Patient, count: usize) -> Vec<Suggestion<'_>> {
        let (probabilities, skipped) = (self.ranked(), BTreeSet::new());
        let situation = self.situation(patient, &probabilities, &skipped);
        if situation.is_settled() {
            return Vec::new();
        }
        self.knowledge.diagnosis.workup.suggest(&situation, count)
    }

    fn situation<'a>(
        &'a self,
        patient: &'a Patient,
        probabilities: &'a [(ConditionId, f32)],
        skipped: &'a BTreeSet<FindingId>,
    ) -> Situation<'a> {
        Situation {
            vocabulary: &self.knowledge.diagnosis.vocabulary,
            likelihoods: &self.knowledge.diagnosis.likelihoods,
            features: &self.knowledge.features,
            evidence: &self.evidence,
            patient,
            probabilities,
            skipped,
        }
    }
}

fn understand(
    knowledge: &Knowledge,
    request: &DiagnoseRequest,
) -> (Reading, Evidence, Vec<String>) {
    let diagnosis = &knowledge.diagnosis;
    let reading = diagnosis.reader.read(&request.text);
    let (mut present, mut absent, mut unknown) = (Vec::new(), Vec::new(), Vec::new());
    for (name, state) in &request.findings {
        let Some(id) = diagnosis.vocabulary.resolve_finding(name) else {
            unknown.push(name.clone());
            continue;
        };
        let list: Option<&mut Vec<FindingId>> = match state {
            State::Present => Some(&mut present),
            State::Absent => Some(&mut absent),
            State::Uncertain => None,
        };
        if let Some(list) = list {
            list.push(id);
        }
    }
    let evidence = Evidence::gather(
        &diagnosis.vocabulary,
        Claims {
            reading: Some(&reading),
            present: &present,
            absent: &absent,
            vitals: &request.vitals,
            patient: &request.patient,
        },
    );
    (reading, evidence, unknown)
}

/// Age and sex as the model takes them.
fn coded(patient: &Patient) -> [f32; 2] {
    let sex = match patient.sex {
        Some(Sex::Male) => 1.0,
        Some(Sex::Female) => -1.0,
        None => 0.0,
    };
    [patient.age_years.unwrap_or(-1.0), sex]
}
