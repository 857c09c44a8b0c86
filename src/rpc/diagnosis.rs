//! `xiangyi.diagnosis.v1.DiagnosisService`.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::common::{caller, known, patient, timestamp, vitals};
use super::proto::xiangyi::diagnosis::v1 as pb;
use crate::app::App;
use crate::app::consultation as domain;
use crate::app::error::Error;
use crate::app::request::{DiagnoseRequest, PageRequest, Problems};

/// The service.
#[derive(Debug)]
pub(super) struct Diagnosis(pub(super) Arc<App>);

#[tonic::async_trait]
impl pb::diagnosis_service_server::DiagnosisService for Diagnosis {
    async fn diagnose(
        &self,
        request: Request<pb::DiagnoseRequest>,
    ) -> Result<Response<pb::DiagnoseResponse>, Status> {
        let caller = caller(&request)?;
        let request = DiagnoseRequest::try_from(request.into_inner())?;
        let (answer, replayed) = self.0.diagnose(&caller, request).await?;
        Ok(Response::new(pb::DiagnoseResponse { consultation: Some(answer.into()), replayed }))
    }

    type InterviewStream = super::interview::Answers;

    async fn interview(
        &self,
        request: Request<tonic::Streaming<pb::InterviewRequest>>,
    ) -> Result<Response<Self::InterviewStream>, Status> {
        let caller = caller(&request)?;
        super::interview::open(Arc::clone(&self.0), caller, request.into_inner()).await
    }

    async fn get_consultation(
        &self,
        request: Request<pb::GetConsultationRequest>,
    ) -> Result<Response<pb::GetConsultationResponse>, Status> {
        let caller = caller(&request)?;
        let id = request.into_inner().consultation_id;
        let found = self.0.get_consultation(&caller, &id).await?;
        Ok(Response::new(pb::GetConsultationResponse { consultation: Some(found.into()) }))
    }

    async fn list_consultations(
        &self,
        request: Request<pb::ListConsultationsRequest>,
    ) -> Result<Response<pb::ListConsultationsResponse>, Status> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let page = PageRequest {
            page_size: request.page_size,
            page_token: request.page_token,
            patient_reference: request.patient_reference,
        };
        let (lines, next_page_token) = self.0.list_consultations(&caller, &page).await?;
        Ok(Response::new(pb::ListConsultationsResponse {
            consultations: lines.into_iter().map(Into::into).collect(),
            next_page_token,
        }))
    }

    async fn search_findings(
        &self,
        request: Request<pb::SearchFindingsRequest>,
    ) -> Result<Response<pb::SearchFindingsResponse>, Status> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let findings = self.0.search_findings(&caller, &request.query, request.count_max)?;
        Ok(Response::new(pb::SearchFindingsResponse {
            findings: findings
                .into_iter()
                .map(|f| pb::Finding {
                    finding_id: f.id,
                    name: f.name,
                    name_en: f.name_en,
                    kind: f.kind,
                    synonyms: f.synonyms,
                    source: f.source,
                })
                .collect(),
        }))
    }

    async fn search_conditions(
        &self,
        request: Request<pb::SearchConditionsRequest>,
    ) -> Result<Response<pb::SearchConditionsResponse>, Status> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let conditions = self.0.search_conditions(&caller, &request.query, request.count_max)?;
        Ok(Response::new(pb::SearchConditionsResponse {
            conditions: conditions
                .into_iter()
                .map(|c| pb::Condition {
                    condition_id: c.id,
                    severity: severity(c.about.severity).into(),
                    referral_level: level(c.about.referral).into(),
                    name: c.about.name,
                    name_en: c.about.name_en,
                    icd10: c.about.icd10,
                    must_not_miss: c.about.must_not_miss,
                    department: c.about.department,
                    synonyms: c.synonyms,
                    source: c.source,
                })
                .collect(),
        }))
    }
}

impl TryFrom<pb::DiagnoseRequest> for DiagnoseRequest {
    type Error = Error;

    fn try_from(request: pb::DiagnoseRequest) -> Result<Self, Error> {
        let mut problems = Problems::default();
        let (patient_reference, patient) = patient(&mut problems, request.patient);
        let mut findings = Vec::with_capacity(request.findings.len().min(256));
        for (i, input) in request.findings.into_iter().enumerate() {
            let field = format!("findings[{i}].state");
            let allowed = "FINDING_STATE_PRESENT, FINDING_STATE_ABSENT, FINDING_STATE_UNCERTAIN";
            match known::<pb::FindingState>(&mut problems, &field, input.state, allowed) {
                Some(pb::FindingState::Present) => {
                    findings.push((input.finding, domain::State::Present));
                }
                Some(pb::FindingState::Absent) => {
                    findings.push((input.finding, domain::State::Absent));
                }
                Some(pb::FindingState::Uncertain) => {
                    findings.push((input.finding, domain::State::Uncertain));
                }
                Some(pb::FindingState::Unspecified) => {
                    problems.add(field, format!("must be one of {allowed}"));
                }
                None => {}
            }
        }
        let decoded = Self {
            request_id: request.request_id,
            patient_reference,
            patient,
            text: request.text,
            findings,
            vitals: vitals(request.vitals),
            condition_count_max: request.condition_count_max,
            month: request.month,
        };
        problems.finish()?;
        Ok(decoded)
    }
}

impl From<domain::Consultation> for pb::Consultation {
    fn from(c: domain::Consultation) -> Self {
        Self {
            consultation_id: c.id,
            request_id: c.request_id,
            create_time: Some(timestamp(c.created_ms)),
            patient_reference: c.patient_reference,
            conditions: c.conditions.into_iter().map(Into::into).collect(),
            red_flags: c.alarms.into_iter().map(Into::into).collect(),
            mentions: c.mentions.into_iter().map(Into::into).collect(),
            measurements: c
                .values
                .into_iter()
                .map(|v| pb::ReadMeasurement {
                    measure: v.measure,
                    value: shown(v.value),
                    words: v.words,
                    implausible: v.implausible,
                })
                .collect(),
            findings: c
                .findings
                .into_iter()
                .map(|f| pb::UsedFinding {
                    finding_id: f.finding,
                    name: f.name,
                    state: state(f.state).into(),
                    origin: origin(f.origin).into(),
                    known_to_model: f.known_to_model,
                })
                .collect(),
            coverage: Some(c.limits.into()),
            provenance: Some(pb::Provenance {
                model_id: c.model_id,
                model_version: c.model_version,
                engine: c.engine,
                knowledge_version: c.knowledge_version,
            }),
            disclaimer: domain::DISCLAIMER_ZH.to_owned(),
            triage: c.triage.map(Into::into),
            next_questions: c.next.into_iter().map(Into::into).collect(),
            suggested_tests: c.tests.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<domain::Ranked> for pb::RankedCondition {
    fn from(r: domain::Ranked) -> Self {
        Self {
            condition_id: r.condition,
            severity: severity(r.about.severity).into(),
            referral_level: level(r.about.referral).into(),
            name: r.about.name,
            name_en: r.about.name_en,
            icd10: r.about.icd10,
            probability: f64::from(r.probability),
            must_not_miss: r.about.must_not_miss,
            department: r.about.department,
            reasons_for: r.reasons_for.into_iter().map(Into::into).collect(),
            reasons_against: r.reasons_against.into_iter().map(Into::into).collect(),
            listed_for_safety: r.listed_for_safety,
            reporting: r.about.reporting.map(|duty| pb::Reporting {
                infectious_class: duty.class,
                hours: duty.hours,
                source: duty.source,
            }),
        }
    }
}

impl From<domain::Triage> for pb::Triage {
    fn from(t: domain::Triage) -> Self {
        let place = match t.place {
            domain::CarePlace::Home => pb::CarePlace::Home,
            domain::CarePlace::Clinic => pb::CarePlace::Clinic,
            domain::CarePlace::Township => pb::CarePlace::Township,
            domain::CarePlace::County => pb::CarePlace::County,
            domain::CarePlace::Ambulance => pb::CarePlace::Ambulance,
        };
        Self { place: place.into(), reason: t.reason, emergency: t.emergency, can_wait: t.can_wait }
    }
}

impl From<domain::SuggestedTest> for pb::SuggestedTest {
    fn from(t: domain::SuggestedTest) -> Self {
        Self {
            test_id: t.test,
            name: t.name,
            name_en: t.name_en,
            level: level(t.level).into(),
            worth: f64::from(t.worth),
            about: t.about,
            source: t.source,
        }
    }
}

impl From<domain::Ask> for pb::Question {
    fn from(a: domain::Ask) -> Self {
        Self {
            finding_id: a.finding,
            name: a.name,
            question: a.question,
            kind: a.kind,
            body_part: a.body_part,
            worth: shown(a.worth),
            about: a.about,
        }
    }
}

impl From<domain::Why> for pb::Reason {
    fn from(w: domain::Why) -> Self {
        Self {
            finding_id: w.finding,
            name: w.name,
            state: state(w.state).into(),
            log_likelihood_ratio: f64::from(w.log_likelihood_ratio),
            source: w.source,
        }
    }
}

impl From<domain::Alarm> for pb::RedFlag {
    fn from(a: domain::Alarm) -> Self {
        let urgency = if a.emergency { pb::Urgency::Emergency } else { pb::Urgency::Urgent };
        Self {
            rule_id: a.rule,
            name: a.name,
            urgency: urgency.into(),
            meaning: a.meaning,
            act_now: a.act_now,
            refer_to: a.refer_to,
            because: a.because,
            source: a.source,
        }
    }
}

impl From<domain::ReadMention> for pb::Mention {
    fn from(m: domain::ReadMention) -> Self {
        let degree = match m.degree {
            None => pb::Degree::Unspecified,
            Some(domain::SaidDegree::Mild) => pb::Degree::Mild,
            Some(domain::SaidDegree::Moderate) => pb::Degree::Moderate,
            Some(domain::SaidDegree::Severe) => pb::Degree::Severe,
        };
        Self {
            finding_id: m.finding,
            name: m.name,
            state: state(m.state).into(),
            words: m.words,
            start: m.start,
            end: m.end,
            duration: m.duration.map(|d| pb::SaidDuration {
                hours_min: shown(d.hours_min),
                hours_max: shown(d.hours_max),
                words: d.words,
            }),
            degree: degree.into(),
            other_person: m.other_person,
            past: m.past,
        }
    }
}

impl From<domain::Limits> for pb::Coverage {
    fn from(l: domain::Limits) -> Self {
        Self {
            unread: l
                .unread
                .into_iter()
                .map(|u| pb::UnreadText { words: u.words, start: u.start, end: u.end })
                .collect(),
            unknown_findings: l.unknown_findings,
            contradictions: l.contradictions,
            fact_count: l.fact_count,
            outside_probability: f64::from(l.outside_probability),
            condition_count: l.condition_count,
            notes: l.notes,
        }
    }
}

impl From<domain::ConsultationLine> for pb::ConsultationSummary {
    fn from(l: domain::ConsultationLine) -> Self {
        Self {
            consultation_id: l.id,
            create_time: Some(timestamp(l.created_ms)),
            patient_reference: l.patient_reference,
            top_condition_id: l.top_condition,
            red_flag_count: l.red_flag_count,
        }
    }
}

pub(super) fn state(state: domain::State) -> pb::FindingState {
    match state {
        domain::State::Present => pb::FindingState::Present,
        domain::State::Absent => pb::FindingState::Absent,
        domain::State::Uncertain => pb::FindingState::Uncertain,
    }
}

fn origin(origin: domain::Origin) -> pb::FindingOrigin {
    match origin {
        domain::Origin::Text => pb::FindingOrigin::Text,
        domain::Origin::Given => pb::FindingOrigin::Given,
        domain::Origin::Measured => pb::FindingOrigin::Measured,
        domain::Origin::Implied => pb::FindingOrigin::Implied,
    }
}

fn severity(severity: domain::SeverityLevel) -> pb::Severity {
    match severity {
        domain::SeverityLevel::Mild => pb::Severity::Mild,
        domain::SeverityLevel::Moderate => pb::Severity::Moderate,
        domain::SeverityLevel::Severe => pb::Severity::Severe,
        domain::SeverityLevel::Critical => pb::Severity::Critical,
    }
}

fn level(level: domain::CareLevel) -> pb::Level {
    match level {
        domain::CareLevel::Village => pb::Level::Village,
        domain::CareLevel::Township => pb::Level::Township,
        domain::CareLevel::County => pb::Level::County,
        domain::CareLevel::City => pb::Level::City,
    }
}

/// A reading such as 38.9 without the digits that widening an f32 would add.
fn shown(value: f32) -> f64 {
    value.to_string().parse().unwrap_or_else(|_| f64::from(value))
}
