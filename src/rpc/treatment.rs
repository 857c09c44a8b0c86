//! `xiangyi.treatment.v1.TreatmentService`.

use std::collections::BTreeSet;
use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::common::{caller, narrow, patient, timestamp, vitals};
use super::prescription::{allergies, level};
use super::proto::xiangyi::treatment::v1 as pb;
use crate::app::App;
use crate::app::calculators as calc;
use crate::app::consultation::DISCLAIMER_ZH;
use crate::app::error::Error;
use crate::app::request::{PageRequest, Problems};
use crate::app::treatment as domain;
use crate::medicine::prescription::{Chart, Order};
use crate::medicine::treatment::PlanQuery;

/// The service.
#[derive(Debug)]
pub(super) struct Treatments(pub(super) Arc<App>);

#[tonic::async_trait]
impl pb::treatment_service_server::TreatmentService for Treatments {
    async fn recommend_plan(
        &self,
        request: Request<pb::RecommendPlanRequest>,
    ) -> Result<Response<pb::RecommendPlanResponse>, Status> {
        let caller = caller(&request)?;
        let request = domain::PlanRequest::try_from(request.into_inner())?;
        let (found, replayed) = self.0.recommend_plan(&caller, request).await?;
        Ok(Response::new(pb::RecommendPlanResponse {
            recommendation: Some(found.into()),
            replayed,
        }))
    }

    async fn get_recommendation(
        &self,
        request: Request<pb::GetRecommendationRequest>,
    ) -> Result<Response<pb::GetRecommendationResponse>, Status> {
        let caller = caller(&request)?;
        let id = request.into_inner().recommendation_id;
        let found = self.0.get_recommendation(&caller, &id).await?;
        Ok(Response::new(pb::GetRecommendationResponse { recommendation: Some(found.into()) }))
    }

    async fn list_recommendations(
        &self,
        request: Request<pb::ListRecommendationsRequest>,
    ) -> Result<Response<pb::ListRecommendationsResponse>, Status> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let page = PageRequest {
            page_size: request.page_size,
            page_token: request.page_token,
            patient_reference: request.patient_reference,
        };
        let (lines, next_page_token) = self.0.list_recommendations(&caller, &page).await?;
        Ok(Response::new(pb::ListRecommendationsResponse {
            recommendations: lines
                .into_iter()
                .map(|l| pb::RecommendationSummary {
                    recommendation_id: l.id,
                    create_time: Some(timestamp(l.created_ms)),
                    patient_reference: l.patient_reference,
                    plan_names: l.plans,
                })
                .collect(),
            next_page_token,
        }))
    }

    async fn list_plan_topics(
        &self,
        request: Request<pb::ListPlanTopicsRequest>,
    ) -> Result<Response<pb::ListPlanTopicsResponse>, Status> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let page = page(request.page_size, request.page_token);
        let (topics, next_page_token) = self.0.list_plan_topics(&caller, &page)?;
        Ok(Response::new(pb::ListPlanTopicsResponse {
            topics: topics.into_iter().map(Into::into).collect(),
            next_page_token,
        }))
    }

    async fn list_calculators(
        &self,
        request: Request<pb::ListCalculatorsRequest>,
    ) -> Result<Response<pb::ListCalculatorsResponse>, Status> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let page = page(request.page_size, request.page_token);
        let (found, next_page_token) = self.0.list_calculators(&caller, &page)?;
        Ok(Response::new(pb::ListCalculatorsResponse {
            calculators: found.into_iter().map(Into::into).collect(),
            next_page_token,
        }))
    }

    async fn calculate(
        &self,
        request: Request<pb::CalculateRequest>,
    ) -> Result<Response<pb::CalculateResponse>, Status> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let inputs = request.inputs.into_iter().collect();
        let score = self.0.calculate(&caller, &request.name, &inputs)?;
        Ok(Response::new(score.into()))
    }
}

fn page(page_size: u32, page_token: String) -> PageRequest {
    PageRequest { page_size, page_token, patient_reference: String::new() }
}

impl TryFrom<pb::RecommendPlanRequest> for domain::PlanRequest {
    type Error = Error;

    fn try_from(request: pb::RecommendPlanRequest) -> Result<Self, Error> {
        let mut problems = Problems::default();
        let (patient_reference, patient) = patient(&mut problems, request.patient);
        let level = level(&mut problems, request.level);
        problems.finish()?;
        let order = Order {
            patient,
            diagnoses: request.diagnoses,
            current: request.current_medicines,
            allergies: allergies(request.allergies),
            chart: Chart {
                conditions: request.conditions,
                lactating: request.lactating,
                egfr: request.egfr.map(narrow),
                alt_times_uln: request.alt_times_uln.map(narrow),
                ..Chart::default()
            },
            level,
            ..Order::default()
        };
        let names = |list: Vec<String>| list.into_iter().collect::<BTreeSet<String>>();
        Ok(Self {
            request_id: request.request_id,
            patient_reference,
            vitals: vitals(request.vitals),
            query: PlanQuery {
                order,
                plans: request.plan_ids,
                numbers: request.numbers.into_iter().collect(),
                present: names(request.present),
                absent: names(request.absent),
            },
        })
    }
}

impl From<domain::Recommended> for pb::Recommendation {
    fn from(r: domain::Recommended) -> Self {
        Self {
            recommendation_id: r.id,
            request_id: r.request_id,
            create_time: Some(timestamp(r.created_ms)),
            patient_reference: r.patient_reference,
            plans: r.plans.into_iter().map(Into::into).collect(),
            without_plan: r.without_plan,
            plan_version: r.plan_version,
            rule_version: r.rule_version,
            disclaimer: DISCLAIMER_ZH.to_owned(),
        }
    }
}

impl From<domain::PlanAnswer> for pb::TreatmentPlan {
    fn from(p: domain::PlanAnswer) -> Self {
        Self {
            plan_id: p.id,
            name: p.name,
            scope: p.scope,
            source: p.source,
            advice: p.advice.into_iter().map(Into::into).collect(),
            medicines: p.medicines.into_iter().map(Into::into).collect(),
            rejected: p
                .rejected
                .into_iter()
                .map(|r| pb::RejectedMedicine {
                    rule_id: r.rule,
                    medicine_code: r.code,
                    name: r.name,
                    reasons: r.reasons,
                })
                .collect(),
            wanted: p.wanted.into_iter().map(Into::into).collect(),
            conflicts: p
                .conflicts
                .into_iter()
                .map(|c| pb::GuidelineConflict {
                    topic: c.topic,
                    a: Some(pb::GuidelineSide { text: c.a.0, source: c.a.1 }),
                    b: Some(pb::GuidelineSide { text: c.b.0, source: c.b.1 }),
                    follows_a: c.follows_a,
                    reason: c.reason,
                })
                .collect(),
        }
    }
}

impl From<domain::AdviceLine> for pb::PlanAdvice {
    fn from(a: domain::AdviceLine) -> Self {
        let urgency = match a.urgency {
            None => pb::Urgency::Unspecified,
            Some(domain::UrgencyName::Now) => pb::Urgency::Now,
            Some(domain::UrgencyName::Today) => pb::Urgency::Today,
            Some(domain::UrgencyName::ThreeDays) => pb::Urgency::ThreeDays,
            Some(domain::UrgencyName::TwoWeeks) => pb::Urgency::TwoWeeks,
            Some(domain::UrgencyName::Routine) => pb::Urgency::Routine,
        };
        Self {
            rule_id: a.rule,
            section: section(a.section).into(),
            applies_now: a.applies_now,
            text: a.text,
            urgency: urgency.into(),
            days: a.days.unwrap_or_default(),
            date: a.date,
            annotation: a.annotation,
            source: a.source,
        }
    }
}

impl From<domain::PlannedLine> for pb::PlannedMedicine {
    fn from(m: domain::PlannedLine) -> Self {
        Self {
            rule_id: m.rule,
            section: section(m.section).into(),
            medicine_code: m.code,
            name: m.name,
            dose: m.dose,
            dose_unit: m.unit,
            dose_basis: m.basis,
            route: m.route,
            frequency: m.frequency,
            days: m.days.unwrap_or_default(),
            text: m.text,
            annotation: m.annotation,
            findings: m.problems.into_iter().map(Into::into).collect(),
            alternatives: m
                .alternatives
                .into_iter()
                .map(|(rule_id, medicine_code, name, dose)| pb::PlannedAlternative {
                    rule_id,
                    medicine_code,
                    name,
                    dose,
                })
                .collect(),
            source: m.source,
        }
    }
}

impl From<domain::Topic> for pb::PlanTopic {
    fn from(t: domain::Topic) -> Self {
        Self {
            plan_id: t.id,
            name: t.name,
            icd10: t.icd10,
            scope: t.scope,
            inputs: t.inputs.into_iter().map(Into::into).collect(),
            source: t.source,
        }
    }
}

impl From<calc::Computed> for pb::CalculateResponse {
    fn from(c: calc::Computed) -> Self {
        Self { value: c.value, unit: c.unit, meaning: c.meaning, source: c.source }
    }
}

impl From<domain::Wanted> for pb::WantedInput {
    fn from(w: domain::Wanted) -> Self {
        Self { name: w.name, question: w.question, about_danger: w.about_danger }
    }
}

impl From<calc::Description> for pb::Calculator {
    fn from(c: calc::Description) -> Self {
        Self {
            name: c.name,
            title: c.title,
            inputs: c
                .inputs
                .into_iter()
                .map(|i| pb::CalculatorInput {
                    name: i.name,
                    label: i.label,
                    unit: i.unit,
                    min: i.min,
                    max: i.max,
                    optional: i.optional,
                })
                .collect(),
            unit: c.unit,
            source: c.source,
        }
    }
}

fn section(section: domain::SectionName) -> pb::Section {
    match section {
        domain::SectionName::FirstAid => pb::Section::FirstAid,
        domain::SectionName::Warning => pb::Section::Warning,
        domain::SectionName::Goal => pb::Section::Goal,
        domain::SectionName::Medicine => pb::Section::Medicine,
        domain::SectionName::Measure => pb::Section::Measure,
        domain::SectionName::Test => pb::Section::Test,
        domain::SectionName::Advice => pb::Section::Advice,
        domain::SectionName::FollowUp => pb::Section::FollowUp,
        domain::SectionName::Stop => pb::Section::Stop,
        domain::SectionName::Escalate => pb::Section::Escalate,
        domain::SectionName::Refer => pb::Section::Refer,
    }
}
