//! Use cases of prescription checking.

use super::access::{Action, Caller, authorise};
use super::error::Error;
use super::fit::suggest;
use super::knowledge::Knowledge;
use super::ports::{NewRecord, RecordKind};
use super::prescription_check::{
    CheckLine, Demand, Harm, NotChecked, PrescriptionCheck, Problem, ProblemKind, UnderstoodLine,
};
use super::request::{CheckRequest, PageRequest, content_sha256};
use super::search::by_code;
use super::{App, encode};
use crate::medicine::prescription::{self, Finding, Kind, Report, Taken, Unchecked};

/// Lists of checks are told apart from others by this.
const SEAL: &str = "checks";

impl App {
    /// Checks a prescription and keeps the answer. `true` when the request id was known and the
    /// answer is the one given then.
    pub async fn check_prescription(
        &self,
        caller: &Caller,
        mut request: CheckRequest,
    ) -> Result<(PrescriptionCheck, bool), Error> {
        let permit = authorise(caller, Action::CheckPrescription)?;
        request.validate()?;
        let request_json = encode(&request)?;
        let content = content_sha256(&request_json);
        let asked = (RecordKind::Check, &mut request.request_id, &*request.patient_reference);
        if let Some(kept) = self.answered(&permit, asked, content).await? {
            return Ok((kept, true));
        }
        let knowledge = self.knowledge.load_full();
        let mut report = knowledge.prescription.check(&request.order);
        let rules = &knowledge.prescription;
        let fit = suggest(knowledge.fit.as_deref(), rules, &request.order, &mut report).await;
        let before = self.overrides_of(&permit, &request.patient_reference).await?;
        let mut answer = PrescriptionCheck {
            id: self.ids.new_id(),
            request_id: request.request_id.clone(),
            created_ms: self.clock.now_ms(),
            patient_reference: request.patient_reference,
            lines: understood(&knowledge, &report),
            problems: report.findings.into_iter().map(Into::into).collect(),
            not_checked: report.unchecked.into_iter().map(Into::into).collect(),
            rule_version: report.rule_version,
            checks_done: Kind::ALL.map(Into::into).to_vec(),
            hints: fit.hints,
            fit_model: fit.model,
        };
        for problem in &mut answer.problems {
            let same = before.iter().find(|o| o.finding == problem.id);
            problem.overridden_before = same.cloned();
        }
        let line = CheckLine {
            id: answer.id.clone(),
            created_ms: answer.created_ms,
            patient_reference: answer.patient_reference.clone(),
            stop_count: count(answer.problems.iter().filter(|p| p.demand == Demand::Stop).count()),
            finding_count: count(answer.problems.len()),
            unchecked_count: count(answer.not_checked.iter().filter(|n| !n.on_request).count()),
        };
        let record = NewRecord {
            id: answer.id.clone(),
            kind: RecordKind::Check,
            request_id: answer.request_id.clone(),
            content_sha256: content,
            patient_reference: answer.patient_reference.clone(),
            created_ms: answer.created_ms,
            request_json,
            answer_json: encode(&answer)?,
            summary_json: encode(&line)?,
            model_version: answer.fit_model.clone(),
            rule_version: answer.rule_version.clone(),
        };
        self.keep(&permit, record, answer).await
    }

    /// A kept check.
    pub async fn get_prescription_check(
        &self,
        caller: &Caller,
        id: &str,
    ) -> Result<PrescriptionCheck, Error> {
        let what = (RecordKind::Check, "prescription check");
        self.read_record(caller, Action::ReadChecks, what, ("check_id", id)).await
    }

    /// Kept checks, newest first, and the token of the next page.
    pub async fn list_prescription_checks(
        &self,
        caller: &Caller,
        page: &PageRequest,
    ) -> Result<(Vec<CheckLine>, String), Error> {
        self.list_records(caller, Action::ReadChecks, (RecordKind::Check, SEAL), page).await
    }
}

fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

/// The lines with the ingredients of what each was taken for.
fn understood(knowledge: &Knowledge, report: &Report) -> Vec<UnderstoodLine> {
    let formulary = knowledge.prescription.formulary();
    let ingredients = |taken: &Taken| {
        let medicine = taken.code.as_deref().and_then(|code| by_code(formulary, code));
        medicine
            .into_iter()
            .flat_map(|m| &m.ingredients)
            .filter_map(|id| formulary.ingredient(*id))
            .map(|i| i.name_zh.clone())
            .collect()
    };
    report
        .taken
        .iter()
        .filter_map(|taken| {
            Some(UnderstoodLine {
                line: taken.line.clone()?,
                name: taken.written.clone(),
                code: taken.code.clone().unwrap_or_default(),
                medicine: taken.name_zh.clone().unwrap_or_default(),
                ingredients: ingredients(taken),
                route: taken.route.map(|r| r.name_zh().to_owned()).unwrap_or_default(),
                dose: taken.dose.clone(),
                per_day: taken.per_day,
                days: taken.days,
                diluent: taken.diluent.clone(),
            })
        })
        .collect()
}

impl From<Kind> for ProblemKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Allergy => Self::Allergy,
            Kind::Interaction => Self::Interaction,
            Kind::Pregnancy => Self::Pregnancy,
            Kind::Duplicate => Self::Duplicate,
            Kind::SingleDose => Self::SingleDose,
            Kind::DailyDose => Self::DailyDose,
            Kind::Age => Self::Age,
            Kind::Sex => Self::Sex,
            Kind::Lactation => Self::Lactation,
            Kind::Disease => Self::Disease,
            Kind::Renal => Self::Renal,
            Kind::Hepatic => Self::Hepatic,
            Kind::Route => Self::Route,
            Kind::Frequency => Self::Frequency,
            Kind::Duration => Self::Duration,
            Kind::Indication => Self::Indication,
            Kind::Antibiotic => Self::Antibiotic,
            Kind::SkinTest => Self::SkinTest,
            Kind::Infusion => Self::Infusion,
            Kind::Tcm => Self::Tcm,
            Kind::LegalForm => Self::LegalForm,
            Kind::Monitoring => Self::Monitoring,
            Kind::Elderly => Self::Elderly,
            Kind::FoodAlcohol => Self::FoodAlcohol,
        }
    }
}

impl From<Finding> for Problem {
    fn from(f: Finding) -> Self {
        Self {
            id: f.id,
            kind: f.kind.into(),
            harm: match f.severity {
                prescription::Severity::Contraindicated => Harm::Contraindicated,
                prescription::Severity::Serious => Harm::Serious,
                prescription::Severity::Moderate => Harm::Moderate,
                prescription::Severity::Minor => Harm::Minor,
            },
            demand: match f.action {
                prescription::Action::Stop => Demand::Stop,
                prescription::Action::NeedsReason => Demand::NeedsReason,
                prescription::Action::Notice => Demand::Notice,
                prescription::Action::OnRequest => Demand::OnRequest,
            },
            lines: f.lines,
            medicines: f.medicines,
            reason: f.reason_zh,
            instead: f.instead_zh,
            review_code: f.review_code.unwrap_or_default(),
            rule: f.rule.to_string(),
            source: f.citation.to_string(),
            alternatives: f.alternatives.into_iter().map(|one| (one.code, one.name_zh)).collect(),
            overridden_before: None,
        }
    }
}

impl From<Unchecked> for NotChecked {
    fn from(u: Unchecked) -> Self {
        Self {
            lines: u.lines,
            subjects: u.names,
            checks: u.what.into_iter().map(Into::into).collect(),
            reason: u.reason_zh,
            suggestions: u.suggestions,
            on_request: u.on_request,
        }
    }
}
