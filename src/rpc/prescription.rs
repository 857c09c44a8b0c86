//! `xiangyi.prescription.v1.PrescriptionService`.

use std::sync::Arc;

use tonic::{Request, Response, Status, Streaming};

use super::common::{caller, known, narrow, patient, timestamp};
use super::proto::xiangyi::prescription::v1 as pb;
use crate::app::App;
use crate::app::consultation::DISCLAIMER_ZH;
use crate::app::error::Error;
use crate::app::overrides::{Explanation, OverrideRequest};
use crate::app::prescription_check as domain;
use crate::app::request::{CheckRequest, PageRequest, Problems, read_texts};
use crate::app::search::{FoundMedicine, MedicineFacts};
use crate::medicine::prescription::{
    AllergyEntry, Chart, Level, Line, Order, Setting, SkinTestResult,
};

/// The service.
#[derive(Debug)]
pub(super) struct Prescriptions(pub(super) Arc<App>);

#[tonic::async_trait]
impl pb::prescription_service_server::PrescriptionService for Prescriptions {
    async fn check_prescription(
        &self,
        request: Request<pb::CheckPrescriptionRequest>,
    ) -> Result<Response<pb::CheckPrescriptionResponse>, Status> {
        let caller = caller(&request)?;
        let request = CheckRequest::try_from(request.into_inner())?;
        let (check, replayed) = self.0.check_prescription(&caller, request).await?;
        Ok(Response::new(pb::CheckPrescriptionResponse { check: Some(check.into()), replayed }))
    }

    async fn get_prescription_check(
        &self,
        request: Request<pb::GetPrescriptionCheckRequest>,
    ) -> Result<Response<pb::GetPrescriptionCheckResponse>, Status> {
        let caller = caller(&request)?;
        let id = request.into_inner().check_id;
        let found = self.0.get_prescription_check(&caller, &id).await?;
        Ok(Response::new(pb::GetPrescriptionCheckResponse { check: Some(found.into()) }))
    }

    async fn list_prescription_checks(
        &self,
        request: Request<pb::ListPrescriptionChecksRequest>,
    ) -> Result<Response<pb::ListPrescriptionChecksResponse>, Status> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let page = PageRequest {
            page_size: request.page_size,
            page_token: request.page_token,
            patient_reference: request.patient_reference,
        };
        let (lines, next_page_token) = self.0.list_prescription_checks(&caller, &page).await?;
        Ok(Response::new(pb::ListPrescriptionChecksResponse {
            checks: lines.into_iter().map(Into::into).collect(),
            next_page_token,
        }))
    }

    async fn search_medicines(
        &self,
        request: Request<pb::SearchMedicinesRequest>,
    ) -> Result<Response<pb::SearchMedicinesResponse>, Status> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let found = self.0.search_medicines(&caller, &request.query, request.count_max)?;
        Ok(Response::new(pb::SearchMedicinesResponse {
            matches: found.into_iter().map(Into::into).collect(),
        }))
    }

    async fn get_medicine(
        &self,
        request: Request<pb::GetMedicineRequest>,
    ) -> Result<Response<pb::GetMedicineResponse>, Status> {
        let caller = caller(&request)?;
        let medicine = self.0.get_medicine(&caller, &request.into_inner().code)?;
        Ok(Response::new(pb::GetMedicineResponse { medicine: Some(medicine.into()) }))
    }

    type ReviewPrescriptionsStream = super::review::Answers;

    async fn review_prescriptions(
        &self,
        request: Request<Streaming<pb::ReviewPrescriptionsRequest>>,
    ) -> Result<Response<Self::ReviewPrescriptionsStream>, Status> {
        let caller = caller(&request)?;
        super::review::open(Arc::clone(&self.0), caller, request.into_inner())
    }

    async fn explain_finding(
        &self,
        request: Request<pb::ExplainFindingRequest>,
    ) -> Result<Response<pb::ExplainFindingResponse>, Status> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let found = self.0.explain_finding(&caller, &request.check_id, &request.finding_id).await?;
        Ok(Response::new(found.into()))
    }

    async fn record_override(
        &self,
        request: Request<pb::RecordOverrideRequest>,
    ) -> Result<Response<pb::RecordOverrideResponse>, Status> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let request = OverrideRequest {
            request_id: request.request_id,
            check: request.check_id,
            finding: request.finding_id,
            reason: request.reason,
        };
        let (kept, replayed) = self.0.record_override(&caller, request).await?;
        Ok(Response::new(pb::RecordOverrideResponse { r#override: Some(kept.into()), replayed }))
    }

    async fn list_overrides(
        &self,
        request: Request<pb::ListOverridesRequest>,
    ) -> Result<Response<pb::ListOverridesResponse>, Status> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let page = PageRequest {
            page_size: request.page_size,
            page_token: request.page_token,
            patient_reference: request.patient_reference,
        };
        let (overrides, next_page_token) = self.0.list_overrides(&caller, &page).await?;
        Ok(Response::new(pb::ListOverridesResponse {
            overrides: overrides.into_iter().map(Into::into).collect(),
            next_page_token,
        }))
    }
}

impl From<Explanation> for pb::ExplainFindingResponse {
    fn from(e: Explanation) -> Self {
        let rule = e.rule;
        let cell = |(column, value)| pb::RuleCell { column, value };
        Self {
            table: rule.as_ref().map(|r| r.table.clone()).unwrap_or_default(),
            citation: rule.as_ref().map(|r| r.citation.clone()).unwrap_or_default(),
            source_url: rule.as_ref().map(|r| r.url.clone()).unwrap_or_default(),
            source_note: rule.as_ref().map(|r| r.note.clone()).unwrap_or_default(),
            status: rule.as_ref().map(|r| r.status.clone()).unwrap_or_default(),
            row: rule.into_iter().flat_map(|r| r.cells).map(cell).collect(),
            finding: Some(e.problem.into()),
            review_item: e.review_item,
            rule_version: e.rule_version,
            checked_rule_version: e.checked_rule_version,
            overrides: e.overrides.into_iter().map(Into::into).collect(),
        }
    }
}

impl TryFrom<pb::CheckPrescriptionRequest> for CheckRequest {
    type Error = Error;

    fn try_from(request: pb::CheckPrescriptionRequest) -> Result<Self, Error> {
        let mut problems = Problems::default();
        let (patient_reference, patient) = patient(&mut problems, request.patient);
        let allowed = "SETTING_UNSPECIFIED, SETTING_OUTPATIENT, SETTING_EMERGENCY";
        let setting = known::<pb::Setting>(&mut problems, "setting", request.setting, allowed);
        let setting = match setting {
            Some(pb::Setting::Emergency) => Setting::Emergency,
            Some(pb::Setting::Unspecified | pb::Setting::Outpatient) | None => Setting::Outpatient,
        };
        let level = level(&mut problems, request.level);
        let numbered = request.lines.into_iter().enumerate();
        let mut lines: Vec<Line> =
            numbered.map(|(at, written)| line(&mut problems, at, written)).collect();
        lines.extend(read_texts(&mut problems, &request.order_texts));
        problems.finish()?;
        let order = Order {
            lines,
            patient,
            setting,
            diagnoses: request.diagnoses,
            current: request.current_medicines,
            allergies: allergies(request.allergies),
            long_supply_reason: given(request.long_supply_reason),
            more_than_five_reason: given(request.many_medicines_reason),
            chart: Chart {
                conditions: request.conditions,
                lactating: request.lactating,
                egfr: request.egfr.map(narrow),
                creatinine_umol_l: request.creatinine_umol_l.map(narrow),
                alt_times_uln: request.alt_times_uln.map(narrow),
                known_tests: request.known_tests,
            },
            level,
        };
        Ok(Self { request_id: request.request_id, patient_reference, order })
    }
}

/// The level of the institution.
pub(super) fn level(problems: &mut Problems, number: i32) -> Level {
    let allowed = "INSTITUTION_LEVEL_UNSPECIFIED, INSTITUTION_LEVEL_VILLAGE, \
        INSTITUTION_LEVEL_TOWNSHIP, INSTITUTION_LEVEL_HOSPITAL";
    match known::<pb::InstitutionLevel>(problems, "level", number, allowed) {
        Some(pb::InstitutionLevel::Unspecified) | None => Level::NotSaid,
        Some(pb::InstitutionLevel::Village) => Level::Village,
        Some(pb::InstitutionLevel::Township) => Level::Township,
        Some(pb::InstitutionLevel::Hospital) => Level::Hospital,
    }
}

/// The allergy list.
pub(super) fn allergies(allergies: Vec<pb::Allergy>) -> Vec<AllergyEntry> {
    let entry = |a: pb::Allergy| AllergyEntry {
        name: a.name,
        reaction: given(a.reaction),
        tolerated_since: a.tolerated_since,
    };
    allergies.into_iter().map(entry).collect()
}

fn line(problems: &mut Problems, at: usize, line: pb::OrderLine) -> Line {
    let allowed =
        "SKIN_TEST_UNSPECIFIED, SKIN_TEST_NEGATIVE, SKIN_TEST_POSITIVE, SKIN_TEST_NOT_RECORDED";
    let field = format!("lines[{at}].skin_test");
    let skin_test = match known::<pb::SkinTest>(problems, &field, line.skin_test, allowed) {
        Some(pb::SkinTest::Unspecified) | None => SkinTestResult::NotSaid,
        Some(pb::SkinTest::Negative) => SkinTestResult::Negative,
        Some(pb::SkinTest::Positive) => SkinTestResult::Positive,
        Some(pb::SkinTest::NotRecorded) => SkinTestResult::NotRecorded,
    };
    Line {
        id: if line.line_id.is_empty() { (at + 1).to_string() } else { line.line_id },
        name: line.name,
        strength: line.strength,
        dose: line.dose.map(narrow),
        dose_unit: line.dose_unit,
        route: line.route,
        frequency: line.frequency,
        days: line.days.map(narrow),
        diluent: line.diluent,
        group: line.group,
        skin_test,
        infusion_minutes: line.infusion_minutes.map(narrow),
    }
}

/// A text that says something.
fn given(text: String) -> Option<String> {
    (!text.trim().is_empty()).then_some(text)
}

impl From<domain::PrescriptionCheck> for pb::PrescriptionCheck {
    fn from(c: domain::PrescriptionCheck) -> Self {
        Self {
            check_id: c.id,
            request_id: c.request_id,
            create_time: Some(timestamp(c.created_ms)),
            patient_reference: c.patient_reference,
            findings: c.problems.into_iter().map(Into::into).collect(),
            unchecked: c.not_checked.into_iter().map(Into::into).collect(),
            lines: c
                .lines
                .into_iter()
                .map(|l| pb::ResolvedLine {
                    line_id: l.line,
                    name: l.name,
                    medicine_code: l.code,
                    medicine_name: l.medicine,
                    ingredients: l.ingredients,
                    route: l.route,
                    dose: l.dose,
                    times_per_day: l.per_day.unwrap_or_default(),
                    days: l.days.unwrap_or_default(),
                    diluent: l.diluent,
                })
                .collect(),
            rule_version: c.rule_version,
            disclaimer: DISCLAIMER_ZH.to_owned(),
            checks_done: kinds(&c.checks_done),
            fit_hints: c.hints.into_iter().map(Into::into).collect(),
            fit_model: c.fit_model,
        }
    }
}

impl From<domain::FitHint> for pb::FitHint {
    fn from(h: domain::FitHint) -> Self {
        Self { line_id: h.line, medicine: h.medicine, fit: h.fit, text: h.text }
    }
}

impl From<domain::Problem> for pb::CheckFinding {
    fn from(p: domain::Problem) -> Self {
        let severity = match p.harm {
            domain::Harm::Minor => pb::FindingSeverity::Minor,
            domain::Harm::Moderate => pb::FindingSeverity::Moderate,
            domain::Harm::Serious => pb::FindingSeverity::Serious,
            domain::Harm::Contraindicated => pb::FindingSeverity::Contraindicated,
        };
        let action = match p.demand {
            domain::Demand::Stop => pb::Action::Stop,
            domain::Demand::NeedsReason => pb::Action::NeedsReason,
            domain::Demand::Notice => pb::Action::Notice,
            domain::Demand::OnRequest => pb::Action::OnRequest,
        };
        Self {
            finding_id: p.id,
            kind: kind(p.kind).into(),
            severity: severity.into(),
            action: action.into(),
            line_ids: p.lines,
            medicines: p.medicines,
            reason: p.reason,
            instead: p.instead,
            review_code: p.review_code,
            rule_id: p.rule,
            source: p.source,
            alternatives: p
                .alternatives
                .into_iter()
                .map(|(medicine_code, name)| pb::Alternative { medicine_code, name })
                .collect(),
            overridden_before: p.overridden_before.map(Into::into),
        }
    }
}

impl From<domain::Override> for pb::Override {
    fn from(o: domain::Override) -> Self {
        Self {
            override_id: o.id,
            create_time: Some(timestamp(o.created_ms)),
            finding_id: o.finding,
            check_id: o.check,
            reason: o.reason,
            patient_reference: o.patient_reference,
            recorded_by: o.recorded_by,
        }
    }
}

impl From<domain::NotChecked> for pb::Unchecked {
    fn from(n: domain::NotChecked) -> Self {
        Self {
            line_ids: n.lines,
            subjects: n.subjects,
            checks: kinds(&n.checks),
            reason: n.reason,
            suggestions: n.suggestions,
            on_request: n.on_request,
        }
    }
}

impl From<domain::CheckLine> for pb::PrescriptionCheckSummary {
    fn from(l: domain::CheckLine) -> Self {
        Self {
            check_id: l.id,
            create_time: Some(timestamp(l.created_ms)),
            patient_reference: l.patient_reference,
            stop_count: l.stop_count,
            finding_count: l.finding_count,
            unchecked_count: l.unchecked_count,
        }
    }
}

impl From<FoundMedicine> for pb::MedicineMatch {
    fn from(f: FoundMedicine) -> Self {
        Self { medicine: Some(f.medicine.into()), matched_name: f.matched_name, fuzzy: f.fuzzy }
    }
}

impl From<MedicineFacts> for pb::Medicine {
    fn from(m: MedicineFacts) -> Self {
        Self {
            code: m.code,
            name: m.name,
            name_en: m.name_en,
            on_essential_list: m.on_essential_list,
            category: m.category,
            ingredients: m
                .ingredients
                .into_iter()
                .map(|(ingredient_id, name, name_en)| pb::Ingredient {
                    ingredient_id,
                    name,
                    name_en,
                })
                .collect(),
            classes: m.classes,
            aliases: m.aliases,
            forms_strengths: m.forms_strengths,
            specialist: m.specialist,
            advice: m.advice,
            source: m.source,
        }
    }
}

fn kind(kind: domain::ProblemKind) -> pb::FindingKind {
    match kind {
        domain::ProblemKind::Allergy => pb::FindingKind::Allergy,
        domain::ProblemKind::Interaction => pb::FindingKind::Interaction,
        domain::ProblemKind::Pregnancy => pb::FindingKind::Pregnancy,
        domain::ProblemKind::Duplicate => pb::FindingKind::Duplicate,
        domain::ProblemKind::SingleDose => pb::FindingKind::SingleDose,
        domain::ProblemKind::DailyDose => pb::FindingKind::DailyDose,
        domain::ProblemKind::Age => pb::FindingKind::Age,
        domain::ProblemKind::Sex => pb::FindingKind::Sex,
        domain::ProblemKind::Lactation => pb::FindingKind::Lactation,
        domain::ProblemKind::Disease => pb::FindingKind::Disease,
        domain::ProblemKind::Renal => pb::FindingKind::Renal,
        domain::ProblemKind::Hepatic => pb::FindingKind::Hepatic,
        domain::ProblemKind::Route => pb::FindingKind::Route,
        domain::ProblemKind::Frequency => pb::FindingKind::Frequency,
        domain::ProblemKind::Duration => pb::FindingKind::Duration,
        domain::ProblemKind::Indication => pb::FindingKind::Indication,
        domain::ProblemKind::Antibiotic => pb::FindingKind::Antibiotic,
        domain::ProblemKind::SkinTest => pb::FindingKind::SkinTest,
        domain::ProblemKind::Infusion => pb::FindingKind::Infusion,
        domain::ProblemKind::Tcm => pb::FindingKind::Tcm,
        domain::ProblemKind::LegalForm => pb::FindingKind::LegalForm,
        domain::ProblemKind::Monitoring => pb::FindingKind::Monitoring,
        domain::ProblemKind::Elderly => pb::FindingKind::Elderly,
        domain::ProblemKind::FoodAlcohol => pb::FindingKind::FoodAlcohol,
    }
}

fn kinds(list: &[domain::ProblemKind]) -> Vec<i32> {
    list.iter().map(|k| kind(*k).into()).collect()
}
